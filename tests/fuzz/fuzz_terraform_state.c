/* A state file, a plan and a graph, in one input with lines of three dashes between: what is read
 * out of them goes through the extraction, too. */
#include <stdint.h>

#include "terraform/extract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cm_str take_part(struct cm_str *rest)
{
    for (size_t i = 0; i + 5 <= rest->len; i++) {
        if (memcmp(rest->ptr + i, "\n---\n", 5) == 0) {
            struct cm_str part = cm_str_sub(*rest, 0, i);
            *rest = cm_str_sub(*rest, i + 5, rest->len);
            return part;
        }
    }
    struct cm_str part = *rest;
    *rest = CM_STR_NONE;
    return part;
}

static void extract(struct cm_arena *a, const struct tf_resources *list,
                    const struct tf_graph *graph)
{
    struct tf_extracted x;
    struct tf_inputs in;
    if (tf_extract_resources(a, list, graph, &x, NULL) == CM_OK)
        cm_assert(x.n <= list->n);
    if (tf_extract_inputs(a, list, &in, NULL) == CM_OK)
        cm_assert(in.n_parameters <= list->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_str rest = cm_str_n(data, size);
    struct cm_str state = take_part(&rest), dot = take_part(&rest), plan = take_part(&rest);
    struct tf_resources list;
    struct tf_graph *graph = NULL;
    const struct cm_json *root = NULL;
    bool has_objects = tf_state_has_objects(state);

    tf_state_is_complete(state);
    if (tf_graph_read(a, dot, &graph, NULL) != CM_OK)
        return 0;
    if (tf_state_read(a, state, &list, NULL) == CM_OK) {
        cm_assert(list.n == 0 || has_objects || !list.v[0].managed);
        extract(a, &list, graph);
    }
    if (cm_json_parse(a, plan, NULL, &root, NULL) == CM_OK &&
        tf_plan_read(a, root, &list, NULL) == CM_OK)
        extract(a, &list, graph);
    return 0;
}
