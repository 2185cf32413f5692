#include "terraform/model.h"

#include "base/buf.h"

enum cm_code tf_resources_add(struct cm_arena *a, struct tf_resources *list, struct tf_resource r,
                              struct cm_err *err)
{
    if (list->n >= TF_RESOURCES_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "the template has more than %zu resources",
                          TF_RESOURCES_MAX);
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 32;
        struct tf_resource *v = CM_NEW_ARRAY(a, struct tf_resource, cap);
        if (list->n > 0)
            memcpy(v, list->v, list->n * sizeof *v);
        list->v = v;
        list->cap = cap;
    }
    list->v[list->n++] = r;
    return CM_OK;
}

struct cm_str tf_label(struct cm_arena *a, struct cm_str address)
{
    char *out = cm_arena_alloc(a, address.len + 1);
    size_t n = 0;
    bool inside = false, quoted = false;
    for (size_t i = 0; i < address.len; i++) {
        char c = address.ptr[i];
        if (inside && quoted && c == '\\' && i + 1 < address.len)
            i++;
        else if (inside && c == '"')
            quoted = !quoted;
        else if (!inside && c == '[')
            inside = true;
        else if (inside && !quoted && c == ']')
            inside = false;
        else if (!inside)
            out[n++] = c;
    }
    return cm_str_n(out, n);
}
