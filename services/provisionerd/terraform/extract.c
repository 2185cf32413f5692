/* Resources with their metadata, and which agent runs on which. */
#include "terraform/extract.h"

#include <stdlib.h>

#include "base/map.h"
#include "terraform/extract_impl.h"

/* A resource on its way into a message. */
struct entry {
    const struct tf_resource *res;
    const struct tf_resource *metadata; /* the coder_metadata that describes it, or NULL */
    PB(Resource) * msg;
    struct ptrs agents;
};

struct extraction {
    struct cm_arena *a;
    const struct tf_resources *list; /* sorted by address */
    const struct tf_graph *graph;
    struct entry *v;
    size_t n;
    struct cm_map *targets; /* labels of what is_target() takes */
};

static bool is_own(struct cm_str type)
{
    return cm_str_starts(type, CM_STR("coder_"));
}

/* What agents run on and metadata describes: real infrastructure. */
static bool is_target(const struct tf_resource *r)
{
    return r->managed && (!is_own(r->type) || cm_str_eq_c(r->type, "coder_external_agent"));
}

static bool is_listed(const struct tf_resource *r)
{
    static const char *const hidden[] = {"coder_script", "coder_agent", "coder_agent_instance",
                                         "coder_app", "coder_metadata"};
    for (size_t i = 0; i < CM_COUNT_OF(hidden); i++) {
        if (cm_str_eq_c(r->type, hidden[i]))
            return false;
    }
    return r->managed;
}

static bool accept_target(void *ctx, struct cm_str label)
{
    const struct extraction *x = ctx;
    return cm_map_get(x->targets, label) != NULL;
}

/* Of the instances of one resource: the one with the same index in the same module, else the first.
 * The graph does not tell instances apart. */
static struct entry *pick_instance(struct extraction *x, struct cm_str label,
                                   const struct tf_resource *partner)
{
    struct entry *first = NULL;
    for (size_t i = 0; i < x->n; i++) {
        const struct tf_resource *r = x->v[i].res;
        if (!cm_str_eq(r->label, label))
            continue;
        if (cm_str_eq(r->module, partner->module) && cm_str_eq(r->index, partner->index))
            return &x->v[i];
        if (!first)
            first = &x->v[i];
    }
    return first;
}

static struct entry *by_id(struct extraction *x, struct cm_str label, struct cm_str id)
{
    for (size_t i = 0; id.len > 0 && i < x->n; i++) {
        if (cm_str_eq(x->v[i].res->label, label) &&
            cm_str_eq(cm_json_str(value_of(x->v[i].res, "id")), id))
            return &x->v[i];
    }
    return NULL;
}

/* --- agents --- */

static char *automatic_instance_id(struct cm_arena *a, const struct tf_resource *r)
{
    static const struct {
        const char *type, *member;
    } rows[] = {
        {"google_compute_instance", "instance_id"},
        {"aws_instance", "id"},
        {"aws_spot_instance_request", "spot_instance_id"},
        {"azurerm_linux_virtual_machine", "virtual_machine_id"},
        {"azurerm_windows_virtual_machine", "virtual_machine_id"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        if (cm_str_eq_c(r->type, rows[i].type))
            return nonempty_of(a, value_of(r, rows[i].member));
    }
    return NULL;
}

static void set_instance_id(struct extraction *x, const struct agent_entry *agent,
                            const struct tf_resource *on)
{
    if (agent->msg->token)
        return;
    agent->msg->instance_id = automatic_instance_id(x->a, on);
    for (size_t i = 0; i < x->list->n; i++) {
        const struct tf_resource *r = &x->list->v[i];
        if (r->managed && cm_str_eq_c(r->type, "coder_agent_instance") && agent->id.len > 0 &&
            cm_str_eq(cm_json_str(value_of(r, "agent_id")), agent->id)) {
            char *explicit = nonempty_of(x->a, value_of(r, "instance_id"));
            if (explicit)
                agent->msg->instance_id = explicit;
        }
    }
}

static void place_agents(struct extraction *x, const struct agents *agents)
{
    for (size_t i = 0; i < agents->n; i++) {
        const struct agent_entry *agent = &agents->v[i];
        struct cm_str label;
        if (!tf_graph_nearest(x->graph, agent->res->label, TF_GRAPH_DEPENDENTS, accept_target, x,
                              &label))
            continue;
        struct entry *e = pick_instance(x, label, agent->res);
        ptrs_add(x->a, &e->agents, agent->msg);
        set_instance_id(x, agent, e->res);
    }
}

/* --- metadata --- */

static enum cm_code place_metadata(struct extraction *x, struct cm_err *err)
{
    for (size_t i = 0; i < x->list->n; i++) {
        const struct tf_resource *r = &x->list->v[i];
        struct cm_str label;
        if (!r->managed || !cm_str_eq_c(r->type, "coder_metadata") ||
            !tf_graph_nearest(x->graph, r->label, TF_GRAPH_DEPENDENCIES, accept_target, x, &label))
            continue;
        struct entry *e = by_id(x, label, cm_json_str(value_of(r, "resource_id")));
        if (!e)
            e = pick_instance(x, label, r);
        if (e->metadata)
            return cm_err_set(err, CM_INVALID, "%.*s has two coder_metadata resources",
                              CM_STR_ARG(e->res->address));
        e->metadata = r;
    }
    return CM_OK;
}

static void fill_metadata(struct cm_arena *a, struct entry *e)
{
    struct ptrs items = {0};
    const struct cm_json *list = value_of(e->metadata, "item");
    for (size_t i = 0; i < cm_json_count(list); i++) {
        const struct cm_json *item = cm_json_at(list, i);
        if (cm_json_bool(cm_json_get(item, "is_null")))
            continue;
        PB(ResourceMetadata) *m = CM_NEW(a, PB(ResourceMetadata));
        coder__provisioner__v1__resource_metadata__init(m);
        char *key = text_of(a, cm_json_get(item, "key"));
        m->key = key ? key : cm_arena_printf(a, "%zu", i);
        m->value = text_of(a, cm_json_get(item, "value"));
        SET_BOOL(m, sensitive, cm_json_get(item, "sensitive"));
        ptrs_add(a, &items, m);
    }
    e->msg->metadata = (PB(ResourceMetadata) **)items.v;
    e->msg->n_metadata = items.n;
    e->msg->icon = nonempty_of(a, value_of(e->metadata, "icon"));
    SET_BOOL(e->msg, hide, value_of(e->metadata, "hide"));
    SET_INT(e->msg, daily_cost, value_of(e->metadata, "daily_cost"));
}

/* --- resources --- */

static char *instance_type(struct cm_arena *a, const struct tf_resource *r)
{
    static const struct {
        const char *type, *member;
    } rows[] = {
        {"google_compute_instance", "machine_type"},    {"aws_instance", "instance_type"},
        {"aws_spot_instance_request", "instance_type"}, {"azurerm_linux_virtual_machine", "size"},
        {"azurerm_windows_virtual_machine", "size"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        if (cm_str_eq_c(r->type, rows[i].type))
            return nonempty_of(a, value_of(r, rows[i].member));
    }
    return NULL;
}

static void fill_resource(struct cm_arena *a, struct entry *e)
{
    PB(Resource) *m = e->msg = CM_NEW(a, PB(Resource));
    coder__provisioner__v1__resource__init(m);
    m->name = cm_arena_cstr(a, e->res->name);
    m->type = cm_arena_cstr(a, e->res->type);
    m->instance_type = instance_type(a, e->res);
    m->module_path = e->res->module.len ? cm_arena_cstr(a, e->res->module) : NULL;
    m->agents = (PB(Agent) **)e->agents.v;
    m->n_agents = e->agents.n;
    if (e->metadata)
        fill_metadata(a, e);
}

static int cmp_address(const void *pa, const void *pb)
{
    const struct tf_resource *a = pa, *b = pb;
    return cm_str_cmp(a->address, b->address);
}

static struct tf_resources sorted_copy(struct cm_arena *a, const struct tf_resources *list)
{
    struct tf_resources out = {.v = CM_NEW_ARRAY(a, struct tf_resource, list->n + 1), .n = list->n};
    if (list->n == 0)
        return out;
    memcpy(out.v, list->v, list->n * sizeof *out.v);
    qsort(out.v, out.n, sizeof *out.v, cmp_address);
    return out;
}

enum cm_code tf_extract_resources(struct cm_arena *a, const struct tf_resources *list,
                                  const struct tf_graph *graph, struct tf_extracted *ret,
                                  struct cm_err *err)
{
    CM_AUTO(cm_map) targets = cm_map_new();
    struct tf_resources sorted = sorted_copy(a, list);
    struct extraction x = {.a = a, .list = &sorted, .graph = graph, .targets = targets};
    struct agents agents = {0};
    struct tf_extracted out = {.resources = CM_NEW_ARRAY(a, PB(Resource) *, list->n + 1)};
    enum cm_code code = agents_read(a, &sorted, graph, &agents, err);
    if (code != CM_OK)
        return code;
    x.v = CM_NEW_ARRAY(a, struct entry, list->n + 1);
    for (size_t i = 0; i < sorted.n; i++) {
        if (is_listed(&sorted.v[i]))
            x.v[x.n++].res = &sorted.v[i];
        if (is_target(&sorted.v[i]))
            cm_map_put(targets, sorted.v[i].label, &sorted.v[i]);
        if (sorted.v[i].managed && cm_str_eq_c(sorted.v[i].type, "coder_external_agent"))
            out.has_external_agent = true;
    }
    place_agents(&x, &agents);
    code = place_metadata(&x, err);
    if (code != CM_OK)
        return code;
    for (size_t i = 0; i < x.n; i++) {
        fill_resource(a, &x.v[i]);
        out.resources[out.n++] = x.v[i].msg;
        out.daily_cost += x.v[i].msg->daily_cost;
    }
    *ret = out;
    return CM_OK;
}
