/* Reads the objects out of a plan's JSON. Planned values hold what will exist; data sources that
 * were read while planning stand in the prior state only. */
#include "terraform/model.h"

#define MODULE_DEPTH_MAX 32

static enum cm_code read_module(struct cm_arena *a, const struct cm_json *module, bool want_managed,
                                unsigned depth, struct tf_resources *list, struct cm_err *err)
{
    const struct cm_json *resources = cm_json_get(module, "resources");
    const struct cm_json *children = cm_json_get(module, "child_modules");
    if (depth > MODULE_DEPTH_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "modules are nested more than %d deep",
                          MODULE_DEPTH_MAX);
    for (size_t i = 0; i < cm_json_count(resources); i++) {
        const struct cm_json *res = cm_json_at(resources, i);
        struct tf_resource r = {
            .address = cm_json_str(cm_json_get(res, "address")),
            .module = cm_json_str(cm_json_get(module, "address")),
            .type = cm_json_str(cm_json_get(res, "type")),
            .name = cm_json_str(cm_json_get(res, "name")),
            .managed = cm_str_eq_c(cm_json_str(cm_json_get(res, "mode")), "managed"),
            .values = cm_json_get(res, "values"),
        };
        if (!cm_json_scalar_text(cm_json_get(res, "index"), &r.index))
            r.index = CM_STR_NONE;
        if (r.managed != want_managed)
            continue;
        r.label = tf_label(a, r.address);
        if (tf_resources_add(a, list, r, err) != CM_OK)
            return CM_TOO_LARGE;
    }
    for (size_t i = 0; i < cm_json_count(children); i++) {
        enum cm_code code =
            read_module(a, cm_json_at(children, i), want_managed, depth + 1, list, err);
        if (code != CM_OK)
            return code;
    }
    return CM_OK;
}

static const struct cm_json *root_module(const struct cm_json *values)
{
    return cm_json_get(values, "root_module");
}

static bool has_address(const struct tf_resources *list, struct cm_str address)
{
    for (size_t i = 0; i < list->n; i++) {
        if (cm_str_eq(list->v[i].address, address))
            return true;
    }
    return false;
}

enum cm_code tf_plan_read(struct cm_arena *a, const struct cm_json *plan, struct tf_resources *ret,
                          struct cm_err *err)
{
    struct tf_resources list = {0}, deferred = {0};
    const struct cm_json *planned = root_module(cm_json_get(plan, "planned_values"));
    const struct cm_json *prior =
        root_module(cm_json_get(cm_json_get(plan, "prior_state"), "values"));
    enum cm_code code = read_module(a, planned, true, 0, &list, err);
    if (code == CM_OK)
        code = read_module(a, prior, false, 0, &list, err);
    /* Data sources that wait for the apply have planned values only. */
    if (code == CM_OK)
        code = read_module(a, planned, false, 0, &deferred, err);
    for (size_t i = 0; code == CM_OK && i < deferred.n; i++) {
        if (!has_address(&list, deferred.v[i].address))
            code = tf_resources_add(a, &list, deferred.v[i], err);
    }
    if (code == CM_OK)
        *ret = list;
    return code;
}
