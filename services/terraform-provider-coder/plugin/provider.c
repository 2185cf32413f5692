#include "plugin/provider.h"

#include "plugin/describe.h"
#include "schema/conform.h"
#include "schema/plan.h"
#include "schema/types.h"
#include "schema/validate.h"
#include "value/json.h"
#include "value/msgpack.h"

/* Answers larger than this would be refused by terraform's own limits, or are not ours. */
#define VALUE_BYTES_MAX ((size_t)128 << 20)

static struct provider *provider_of(Tfplugin5__Provider_Service *s)
{
    return (struct provider *)(void *)s;
}

static void call_begin(struct call *c, struct provider *p)
{
    call_init(c, p->arena, &p->env, p->access_url);
}

/* A value of a request in its table's shape. False: the call has an error. */
static bool take_value(struct call *c, const struct block *block, const Tfplugin5__DynamicValue *in,
                       struct value *ret)
{
    struct value raw = VALUE_NONE;
    struct cm_err err;
    enum cm_code code = CM_OK;
    *ret = VALUE_NONE;
    if (in && in->msgpack.len)
        code = value_decode(c->arena, cm_str_n(in->msgpack.data, in->msgpack.len), &raw, &err);
    else if (in && in->json.len)
        code = json_decode(c->arena, JSON_WHOLE, cm_str_n(in->json.data, in->json.len), &raw, &err);
    if (code == CM_OK)
        code = conform_object(c->arena, block, CONFORM_EXACT, &raw, ret, &err);
    if (code != CM_OK)
        call_error(c, PATH_ROOT, "The provider could not read a value from Terraform: %s",
                   err.text);
    return code == CM_OK;
}

static Tfplugin5__DynamicValue *put_value(struct call *c, const struct value *v)
{
    struct cm_buf b = CM_BUF_INIT(VALUE_BYTES_MAX);
    value_encode(&b, v);
    Tfplugin5__DynamicValue *out = CM_NEW(c->arena, Tfplugin5__DynamicValue);
    tfplugin5__dynamic_value__init(out);
    if (b.failed)
        call_error(c, PATH_ROOT, "The result is larger than %zu bytes", VALUE_BYTES_MAX);
    cm_arena_defer(c->arena, cm_free, b.failed ? NULL : b.ptr);
    if (b.failed) {
        cm_buf_done(&b);
        return out;
    }
    out->msgpack.data = (uint8_t *)b.ptr;
    out->msgpack.len = b.len;
    return out;
}

static const struct type *find_type(struct call *c, const char *name, bool data)
{
    const struct type *t = types_find(cm_str(name), data);
    if (!t)
        call_error(c, PATH_ROOT, "The provider has no %s \"%s\"", data ? "data source" : "resource",
                   name);
    return t;
}

static Tfplugin5__ServerCapabilities *capabilities(struct cm_arena *a)
{
    Tfplugin5__ServerCapabilities *caps = CM_NEW(a, Tfplugin5__ServerCapabilities);
    tfplugin5__server_capabilities__init(caps);
    /* Without this terraform asks every process for the schema again. */
    caps->get_provider_schema_optional = true;
    return caps;
}

static void on_get_metadata(Tfplugin5__Provider_Service *s,
                            const Tfplugin5__GetMetadata__Request *in CM_UNUSED,
                            Tfplugin5__GetMetadata__Response_Closure closure, void *data)
{
    struct cm_arena *a = provider_of(s)->arena;
    Tfplugin5__GetMetadata__Response out = TFPLUGIN5__GET_METADATA__RESPONSE__INIT;
    out.server_capabilities = capabilities(a);
    out.data_sources = CM_NEW_ARRAY(a, Tfplugin5__GetMetadata__TypeName *, TYPES_COUNT);
    out.resources = CM_NEW_ARRAY(a, Tfplugin5__GetMetadata__TypeName *, TYPES_COUNT);
    for (size_t i = 0; i < TYPES_COUNT; i++) {
        Tfplugin5__GetMetadata__TypeName *n = CM_NEW(a, Tfplugin5__GetMetadata__TypeName);
        tfplugin5__get_metadata__type_name__init(n);
        n->type_name = cm_arena_cstr(a, cm_str(types_all[i]->name));
        if (types_all[i]->data)
            out.data_sources[out.n_data_sources++] = n;
        else
            out.resources[out.n_resources++] = n;
    }
    closure(&out, data);
}

static void on_get_schema(Tfplugin5__Provider_Service *s,
                          const Tfplugin5__GetProviderSchema__Request *in CM_UNUSED,
                          Tfplugin5__GetProviderSchema__Response_Closure closure, void *data)
{
    struct cm_arena *a = provider_of(s)->arena;
    Tfplugin5__GetProviderSchema__Response out = TFPLUGIN5__GET_PROVIDER_SCHEMA__RESPONSE__INIT;
    out.provider = describe_schema(a, 0, "", &provider_block);
    out.server_capabilities = capabilities(a);
    out.data_source_schemas =
        CM_NEW_ARRAY(a, Tfplugin5__GetProviderSchema__SchemaEntry *, TYPES_COUNT);
    out.resource_schemas =
        CM_NEW_ARRAY(a, Tfplugin5__GetProviderSchema__SchemaEntry *, TYPES_COUNT);
    for (size_t i = 0; i < TYPES_COUNT; i++) {
        const struct type *t = types_all[i];
        Tfplugin5__GetProviderSchema__SchemaEntry *e =
            CM_NEW(a, Tfplugin5__GetProviderSchema__SchemaEntry);
        tfplugin5__get_provider_schema__schema_entry__init(e);
        e->key = cm_arena_cstr(a, cm_str(t->name));
        e->value = describe_schema(a, t->version, t->about, &t->block);
        if (t->data)
            out.data_source_schemas[out.n_data_source_schemas++] = e;
        else
            out.resource_schemas[out.n_resource_schemas++] = e;
    }
    closure(&out, data);
}

static void on_prepare_provider_config(Tfplugin5__Provider_Service *s,
                                       const Tfplugin5__PrepareProviderConfig__Request *in,
                                       Tfplugin5__PrepareProviderConfig__Response_Closure closure,
                                       void *data)
{
    struct call c;
    call_begin(&c, provider_of(s));
    Tfplugin5__PrepareProviderConfig__Response out =
        TFPLUGIN5__PREPARE_PROVIDER_CONFIG__RESPONSE__INIT;
    struct value config;
    if (take_value(&c, &provider_block, in->config, &config)) {
        validate_block(&c, &provider_block, &config);
        out.prepared_config = put_value(&c, &config);
    }
    describe_diags(&c, &out.diagnostics, &out.n_diagnostics);
    closure(&out, data);
}

static void on_configure(Tfplugin5__Provider_Service *s, const Tfplugin5__Configure__Request *in,
                         Tfplugin5__Configure__Response_Closure closure, void *data)
{
    struct provider *p = provider_of(s);
    struct call c;
    call_begin(&c, p);
    Tfplugin5__Configure__Response out = TFPLUGIN5__CONFIGURE__RESPONSE__INIT;
    struct value config;
    if (take_value(&c, &provider_block, in->config, &config)) {
        struct cm_str url = provider_configure(&c, &config);
        cm_arena_free(p->config);
        p->config = cm_arena_new();
        p->access_url = cm_arena_str(p->config, url);
    }
    describe_diags(&c, &out.diagnostics, &out.n_diagnostics);
    closure(&out, data);
}

static void validate(struct call *c, const char *name, bool data_source,
                     const Tfplugin5__DynamicValue *in)
{
    struct value config;
    const struct type *t = find_type(c, name, data_source);
    if (t && take_value(c, &t->block, in, &config))
        validate_config(c, t, &config);
}

static void on_validate_resource_type_config(
    Tfplugin5__Provider_Service *s, const Tfplugin5__ValidateResourceTypeConfig__Request *in,
    Tfplugin5__ValidateResourceTypeConfig__Response_Closure closure, void *data)
{
    struct call c;
    call_begin(&c, provider_of(s));
    Tfplugin5__ValidateResourceTypeConfig__Response out =
        TFPLUGIN5__VALIDATE_RESOURCE_TYPE_CONFIG__RESPONSE__INIT;
    validate(&c, in->type_name, false, in->config);
    describe_diags(&c, &out.diagnostics, &out.n_diagnostics);
    closure(&out, data);
}

static void on_validate_data_source_config(
    Tfplugin5__Provider_Service *s, const Tfplugin5__ValidateDataSourceConfig__Request *in,
    Tfplugin5__ValidateDataSourceConfig__Response_Closure closure, void *data)
{
    struct call c;
    call_begin(&c, provider_of(s));
    Tfplugin5__ValidateDataSourceConfig__Response out =
        TFPLUGIN5__VALIDATE_DATA_SOURCE_CONFIG__RESPONSE__INIT;
    validate(&c, in->type_name, true, in->config);
    describe_diags(&c, &out.diagnostics, &out.n_diagnostics);
    closure(&out, data);
}

static void on_upgrade_resource_state(Tfplugin5__Provider_Service *s,
                                      const Tfplugin5__UpgradeResourceState__Request *in,
                                      Tfplugin5__UpgradeResourceState__Response_Closure closure,
                                      void *data)
{
    struct call c;
    call_begin(&c, provider_of(s));
    Tfplugin5__UpgradeResourceState__Response out =
        TFPLUGIN5__UPGRADE_RESOURCE_STATE__RESPONSE__INIT;
    const struct type *t = find_type(&c, in->type_name, false);
    struct value raw, state;
    struct cm_err err;
    if (t && !(in->raw_state && in->raw_state->json.len)) {
        call_error(
            &c, PATH_ROOT,
            "The state of this resource was written by a Terraform older than 0.12; apply it "
            "once with Terraform 0.12 or later and the provider of that time");
    } else if (t) {
        struct cm_str json = cm_str_n(in->raw_state->json.data, in->raw_state->json.len);
        if (json_decode(c.arena, JSON_WHOLE, json, &raw, &err) != CM_OK ||
            conform_object(c.arena, &t->block, CONFORM_LENIENT, &raw, &state, &err) != CM_OK)
            call_error(&c, PATH_ROOT, "The stored state of this resource cannot be read: %s",
                       err.text);
        else
            out.upgraded_state = put_value(&c, &state);
    }
    describe_diags(&c, &out.diagnostics, &out.n_diagnostics);
    closure(&out, data);
}

static void on_read_resource(Tfplugin5__Provider_Service *s,
                             const Tfplugin5__ReadResource__Request *in,
                             Tfplugin5__ReadResource__Response_Closure closure, void *data)
{
    struct call c;
    call_begin(&c, provider_of(s));
    Tfplugin5__ReadResource__Response out = TFPLUGIN5__READ_RESOURCE__RESPONSE__INIT;
    const struct type *t = find_type(&c, in->type_name, false);
    struct value state;
    if (t && take_value(&c, &t->block, in->current_state, &state)) {
        struct value fresh = plan_refresh(&c, t, &state);
        out.new_state = put_value(&c, &fresh);
    }
    out.private_ = in->private_;
    describe_diags(&c, &out.diagnostics, &out.n_diagnostics);
    closure(&out, data);
}

static void on_plan_resource_change(Tfplugin5__Provider_Service *s,
                                    const Tfplugin5__PlanResourceChange__Request *in,
                                    Tfplugin5__PlanResourceChange__Response_Closure closure,
                                    void *data)
{
    struct call c;
    call_begin(&c, provider_of(s));
    Tfplugin5__PlanResourceChange__Response out = TFPLUGIN5__PLAN_RESOURCE_CHANGE__RESPONSE__INIT;
    const struct type *t = find_type(&c, in->type_name, false);
    struct value prior, proposed, config;
    struct plan *plan = CM_NEW(c.arena, struct plan);
    if (t && take_value(&c, &t->block, in->prior_state, &prior) &&
        take_value(&c, &t->block, in->proposed_new_state, &proposed) &&
        take_value(&c, &t->block, in->config, &config)) {
        if (proposed.kind != VALUE_NULL)
            plan_change(&c, t, &prior, &config, plan);
        out.planned_state = put_value(&c, &plan->planned);
        out.requires_replace = CM_NEW_ARRAY(c.arena, Tfplugin5__AttributePath *, plan->n_replace);
        for (; out.n_requires_replace < plan->n_replace; out.n_requires_replace++)
            out.requires_replace[out.n_requires_replace] =
                describe_path(c.arena, &plan->replace[out.n_requires_replace]);
    }
    out.planned_private = in->prior_private;
    /* The schema has arguments with defaults that are not computed, which only the old type system
     * permits. */
    out.legacy_type_system = true;
    describe_diags(&c, &out.diagnostics, &out.n_diagnostics);
    closure(&out, data);
}

static void on_apply_resource_change(Tfplugin5__Provider_Service *s,
                                     const Tfplugin5__ApplyResourceChange__Request *in,
                                     Tfplugin5__ApplyResourceChange__Response_Closure closure,
                                     void *data)
{
    struct call c;
    call_begin(&c, provider_of(s));
    Tfplugin5__ApplyResourceChange__Response out = TFPLUGIN5__APPLY_RESOURCE_CHANGE__RESPONSE__INIT;
    const struct type *t = find_type(&c, in->type_name, false);
    struct value prior, planned;
    if (t && take_value(&c, &t->block, in->prior_state, &prior) &&
        take_value(&c, &t->block, in->planned_state, &planned)) {
        struct value state = plan_apply(&c, t, &prior, &planned);
        out.new_state = put_value(&c, &state);
    }
    out.private_ = in->planned_private;
    out.legacy_type_system = true;
    describe_diags(&c, &out.diagnostics, &out.n_diagnostics);
    closure(&out, data);
}

static void on_import_resource_state(Tfplugin5__Provider_Service *s,
                                     const Tfplugin5__ImportResourceState__Request *in,
                                     Tfplugin5__ImportResourceState__Response_Closure closure,
                                     void *data)
{
    struct call c;
    call_begin(&c, provider_of(s));
    Tfplugin5__ImportResourceState__Response out = TFPLUGIN5__IMPORT_RESOURCE_STATE__RESPONSE__INIT;
    call_error(&c, PATH_ROOT, "resource %s doesn't support import", in->type_name);
    describe_diags(&c, &out.diagnostics, &out.n_diagnostics);
    closure(&out, data);
}

static void on_read_data_source(Tfplugin5__Provider_Service *s,
                                const Tfplugin5__ReadDataSource__Request *in,
                                Tfplugin5__ReadDataSource__Response_Closure closure, void *data)
{
    struct call c;
    call_begin(&c, provider_of(s));
    Tfplugin5__ReadDataSource__Response out = TFPLUGIN5__READ_DATA_SOURCE__RESPONSE__INIT;
    const struct type *t = find_type(&c, in->type_name, true);
    struct value config;
    if (t && take_value(&c, &t->block, in->config, &config)) {
        struct value state = plan_read(&c, t, &config);
        out.state = put_value(&c, &state);
    }
    describe_diags(&c, &out.diagnostics, &out.n_diagnostics);
    closure(&out, data);
}

/* Calls take microseconds, so there is never one to stop. */
static void on_stop(Tfplugin5__Provider_Service *s CM_UNUSED,
                    const Tfplugin5__Stop__Request *in CM_UNUSED,
                    Tfplugin5__Stop__Response_Closure closure, void *data)
{
    Tfplugin5__Stop__Response out;
    tfplugin5__stop__response__init(&out);
    closure(&out, data);
}

void provider_init(struct provider *p, const char *const *vars)
{
    static const Tfplugin5__Provider_Service handlers = TFPLUGIN5__PROVIDER__INIT(on_);
    *p = (struct provider){.service = handlers, .env = {vars}, .access_url = CM_STR("")};
}

void provider_done(struct provider *p)
{
    cm_arena_free(p->config);
    p->config = NULL;
}
