/* Reads terraform's state file directly: `terraform show` would cost a process and the start of
 * every provider. The file's version 4 has been the same since terraform 0.12. */
#include "base/buf.h"
#include "terraform/model.h"

static struct cm_str index_text(const struct cm_json *key)
{
    struct cm_str text = CM_STR_NONE;
    if (cm_json_is_null(key) || !cm_json_scalar_text(key, &text))
        return CM_STR_NONE;
    return text;
}

/* The address as terraform writes it. */
static struct cm_str instance_address(struct cm_arena *a, struct cm_str base,
                                      const struct cm_json *key)
{
    if (cm_json_is_null(key))
        return base;
    if (cm_json_type(key) != CM_JSON_STRING)
        return cm_arena_fmt(a, "%.*s[%.*s]", CM_STR_ARG(base), CM_STR_ARG(index_text(key)));
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)64 << 10);
    cm_buf_str(&b, base);
    cm_buf_cstr(&b, "[\"");
    struct cm_str k = cm_json_str(key);
    for (size_t i = 0; i < k.len; i++) {
        if (k.ptr[i] == '"' || k.ptr[i] == '\\')
            cm_buf_char(&b, '\\');
        cm_buf_char(&b, k.ptr[i]);
    }
    cm_buf_cstr(&b, "\"]");
    return cm_arena_str(a, cm_buf_view(&b));
}

static enum cm_code read_resource(struct cm_arena *a, const struct cm_json *res,
                                  struct tf_resources *list, struct cm_err *err)
{
    struct tf_resource r = {
        .module = cm_json_str(cm_json_get(res, "module")),
        .type = cm_json_str(cm_json_get(res, "type")),
        .name = cm_json_str(cm_json_get(res, "name")),
        .managed = cm_str_eq_c(cm_json_str(cm_json_get(res, "mode")), "managed"),
    };
    struct cm_str base =
        cm_arena_fmt(a, "%.*s%s%s%.*s.%.*s", CM_STR_ARG(r.module), r.module.len ? "." : "",
                     r.managed ? "" : "data.", CM_STR_ARG(r.type), CM_STR_ARG(r.name));
    const struct cm_json *instances = cm_json_get(res, "instances");
    r.label = tf_label(a, base);
    for (size_t i = 0; i < cm_json_count(instances); i++) {
        const struct cm_json *inst = cm_json_at(instances, i);
        const struct cm_json *key = cm_json_get(inst, "index_key");
        if (!cm_json_is_null(cm_json_get(inst, "deposed")))
            continue;
        r.index = index_text(key);
        r.address = instance_address(a, base, key);
        r.values = cm_json_get(inst, "attributes");
        if (tf_resources_add(a, list, r, err) != CM_OK)
            return CM_TOO_LARGE;
    }
    return CM_OK;
}

enum cm_code tf_state_read(struct cm_arena *a, struct cm_str text, struct tf_resources *ret,
                           struct cm_err *err)
{
    const struct cm_json *root = NULL;
    struct tf_resources list = {0};
    if (cm_str_trim(text).len == 0) {
        *ret = list;
        return CM_OK;
    }
    enum cm_code code = cm_json_parse(a, text, &cm_json_file_limits, &root, err);
    if (code != CM_OK) {
        cm_err_wrap(err, "read the terraform state");
        return code;
    }
    if (cm_json_i64(cm_json_get(root, "version")) != 4)
        return cm_err_set(
            err, CM_INVALID,
            "the terraform state has format version %lld, this program reads version 4",
            (long long)cm_json_i64(cm_json_get(root, "version")));
    const struct cm_json *resources = cm_json_get(root, "resources");
    for (size_t i = 0; i < cm_json_count(resources); i++) {
        code = read_resource(a, cm_json_at(resources, i), &list, err);
        if (code != CM_OK)
            return code;
    }
    *ret = list;
    return CM_OK;
}

bool tf_state_has_objects(struct cm_str text)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_json *root = NULL;
    if (cm_str_trim(text).len == 0)
        return false;
    if (cm_json_parse(a, text, &cm_json_file_limits, &root, NULL) != CM_OK)
        return true;
    const struct cm_json *resources = cm_json_get(root, "resources");
    /* An old or unknown format is for terraform to judge. */
    if (cm_json_i64(cm_json_get(root, "version")) != 4)
        return true;
    for (size_t i = 0; i < cm_json_count(resources); i++) {
        const struct cm_json *res = cm_json_at(resources, i);
        if (!cm_str_eq_c(cm_json_str(cm_json_get(res, "mode")), "data") &&
            cm_json_count(cm_json_get(res, "instances")) > 0)
            return true;
    }
    return false;
}

bool tf_state_is_complete(struct cm_str text)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_json *root = NULL;
    struct cm_str t = cm_str_trim(text);
    return t.len > 0 && t.ptr[t.len - 1] == '}' &&
           cm_json_parse(a, t, &cm_json_file_limits, &root, NULL) == CM_OK &&
           cm_json_get(root, "serial") != NULL;
}
