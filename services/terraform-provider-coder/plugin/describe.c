#include "plugin/describe.h"

/* protobuf-c's structs hold char * for strings that it only reads when packing. */
static char *text(struct cm_arena *a, const char *s)
{
    return cm_arena_cstr(a, cm_str(s));
}

static struct cm_str type_json(enum field_kind kind)
{
    switch (kind) {
    case FIELD_STRING:
        return CM_STR("\"string\"");
    case FIELD_INT:
        return CM_STR("\"number\"");
    case FIELD_BOOL:
        return CM_STR("\"bool\"");
    case FIELD_STRINGS:
        return CM_STR("[\"list\",\"string\"]");
    case FIELD_MAP:
        return CM_STR("[\"map\",\"string\"]");
    case FIELD_ROLES:
        return CM_STR("[\"list\",[\"object\",{\"name\":\"string\",\"org_id\":\"string\"}]]");
    case FIELD_LIST:
    case FIELD_SET:
    case FIELD_UNSET:
        break;
    }
    cm_assert(!"the field is an attribute");
    return CM_STR("");
}

static Tfplugin5__Schema__Attribute *describe_attribute(struct cm_arena *a, const struct field *f)
{
    Tfplugin5__Schema__Attribute *out = CM_NEW(a, Tfplugin5__Schema__Attribute);
    tfplugin5__schema__attribute__init(out);
    struct cm_str type = cm_arena_str(a, type_json(f->kind));
    out->name = text(a, f->name);
    out->type.data = (uint8_t *)cm_arena_cstr(a, type);
    out->type.len = type.len;
    out->description = text(a, f->about);
    out->required = (f->flags & F_REQUIRED) != 0;
    out->optional = (f->flags & F_OPTIONAL) != 0;
    out->computed = (f->flags & F_COMPUTED) != 0;
    out->sensitive = (f->flags & F_SENSITIVE) != 0;
    out->deprecated = f->deprecated != NULL;
    return out;
}

static Tfplugin5__Schema__Block *describe_block(struct cm_arena *a, const struct block *block,
                                                int64_t version, const char *about,
                                                bool deprecated);

static Tfplugin5__Schema__NestedBlock *describe_nested(struct cm_arena *a, const struct field *f)
{
    Tfplugin5__Schema__NestedBlock *out = CM_NEW(a, Tfplugin5__Schema__NestedBlock);
    tfplugin5__schema__nested_block__init(out);
    out->type_name = text(a, f->name);
    out->block = describe_block(a, f->block, 0, f->about, f->deprecated != NULL);
    out->nesting = f->kind == FIELD_LIST ? TFPLUGIN5__SCHEMA__NESTED_BLOCK__NESTING_MODE__LIST
                                         : TFPLUGIN5__SCHEMA__NESTED_BLOCK__NESTING_MODE__SET;
    out->min_items = f->min_items;
    out->max_items = f->max_items;
    return out;
}

static Tfplugin5__Schema__Block *describe_block(struct cm_arena *a, const struct block *block,
                                                int64_t version, const char *about, bool deprecated)
{
    Tfplugin5__Schema__Block *out = CM_NEW(a, Tfplugin5__Schema__Block);
    tfplugin5__schema__block__init(out);
    out->version = version;
    out->description = text(a, about);
    out->deprecated = deprecated;
    out->attributes = CM_NEW_ARRAY(a, Tfplugin5__Schema__Attribute *, block->n);
    out->block_types = CM_NEW_ARRAY(a, Tfplugin5__Schema__NestedBlock *, block->n);
    for (size_t i = 0; i < block->n; i++) {
        const struct field *f = &block->fields[i];
        if (field_is_block(f))
            out->block_types[out->n_block_types++] = describe_nested(a, f);
        else
            out->attributes[out->n_attributes++] = describe_attribute(a, f);
    }
    return out;
}

Tfplugin5__Schema *describe_schema(struct cm_arena *a, int64_t version, const char *about,
                                   const struct block *block)
{
    Tfplugin5__Schema *out = CM_NEW(a, Tfplugin5__Schema);
    tfplugin5__schema__init(out);
    out->version = version;
    out->block = describe_block(a, block, version, about, false);
    return out;
}

Tfplugin5__AttributePath *describe_path(struct cm_arena *a, const struct path *p)
{
    Tfplugin5__AttributePath *out = CM_NEW(a, Tfplugin5__AttributePath);
    tfplugin5__attribute_path__init(out);
    out->n_steps = p->n;
    out->steps = CM_NEW_ARRAY(a, Tfplugin5__AttributePath__Step *, p->n);
    for (size_t i = 0; i < p->n; i++) {
        Tfplugin5__AttributePath__Step *s = CM_NEW(a, Tfplugin5__AttributePath__Step);
        tfplugin5__attribute_path__step__init(s);
        if (p->steps[i].name.ptr) {
            s->selector_case = TFPLUGIN5__ATTRIBUTE_PATH__STEP__SELECTOR_ATTRIBUTE_NAME;
            s->attribute_name = cm_arena_cstr(a, p->steps[i].name);
        } else {
            s->selector_case = TFPLUGIN5__ATTRIBUTE_PATH__STEP__SELECTOR_ELEMENT_KEY_INT;
            s->element_key_int = p->steps[i].index;
        }
        out->steps[i] = s;
    }
    return out;
}

static Tfplugin5__Diagnostic *describe_diag(struct cm_arena *a, const struct diag *d)
{
    Tfplugin5__Diagnostic *out = CM_NEW(a, Tfplugin5__Diagnostic);
    tfplugin5__diagnostic__init(out);
    out->severity = d->warning ? TFPLUGIN5__DIAGNOSTIC__SEVERITY__WARNING
                               : TFPLUGIN5__DIAGNOSTIC__SEVERITY__ERROR;
    out->summary = cm_arena_cstr(a, d->summary);
    out->detail = cm_arena_cstr(a, d->detail);
    if (d->path.n)
        out->attribute = describe_path(a, &d->path);
    return out;
}

void describe_diags(const struct call *c, Tfplugin5__Diagnostic ***ret_list, size_t *ret_n)
{
    size_t n = 0;
    for (const struct diag *d = c->first; d; d = d->next)
        n++;
    Tfplugin5__Diagnostic **list = CM_NEW_ARRAY(c->arena, Tfplugin5__Diagnostic *, n);
    size_t i = 0;
    for (const struct diag *d = c->first; d; d = d->next)
        list[i++] = describe_diag(c->arena, d);
    *ret_list = list;
    *ret_n = n;
}
