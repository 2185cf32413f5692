/* Variables out of a template's files: users write them. */
#include <stdint.h>

#include "terraform/varfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_variables list = {0};
    bool is_json = size > 0 && data[0] == '{';
    if (tf_variables_scan(a, cm_str_n(data, size), is_json, false, &list, NULL) != CM_OK)
        return 0;
    cm_assert(list.n <= TF_VARIABLES_MAX);
    for (size_t i = 0; i < list.n; i++) {
        cm_assert(tf_variables_find(&list, list.v[i].name) == &list.v[i]);
        cm_assert(list.v[i].has_default || list.v[i].default_value.len == 0);
    }
    return 0;
}
