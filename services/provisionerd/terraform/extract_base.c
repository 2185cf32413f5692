/* Values out of terraform's JSON into message members. */
#include "terraform/extract_impl.h"

void ptrs_add(struct cm_arena *a, struct ptrs *p, void *item)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        void **v = CM_NEW_ARRAY(a, void *, cap);
        if (p->n > 0)
            memcpy(v, p->v, p->n * sizeof *v);
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n++] = item;
}

const struct cm_json *value_of(const struct tf_resource *r, const char *key)
{
    return cm_json_get(r->values, key);
}

char *text_of(struct cm_arena *a, const struct cm_json *n)
{
    struct cm_str s;
    if (cm_json_is_null(n) || !cm_json_scalar_text(n, &s))
        return NULL;
    return cm_arena_cstr(a, s);
}

char *nonempty_of(struct cm_arena *a, const struct cm_json *n)
{
    char *s = text_of(a, n);
    return s && s[0] ? s : NULL;
}

bool uuid_bytes(struct cm_arena *a, const struct cm_json *n, ProtobufCBinaryData *ret)
{
    struct cm_uuid u;
    if (!cm_uuid_parse(cm_json_str(n), &u))
        return false;
    ret->data = cm_arena_alloc(a, sizeof u.b);
    ret->len = sizeof u.b;
    memcpy(ret->data, u.b, sizeof u.b);
    return true;
}

PB(Pair) * pair_new(struct cm_arena *a, const char *name, const char *value)
{
    PB(Pair) *p = CM_NEW(a, PB(Pair));
    coder__provisioner__v1__pair__init(p);
    p->name = cm_arena_printf(a, "%s", name);
    p->value = value ? cm_arena_printf(a, "%s", value) : NULL;
    return p;
}
