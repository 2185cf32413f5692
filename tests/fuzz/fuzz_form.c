/* Templates of hostile authors, whose forms are evaluated by the server: the first line is the
 * value of a parameter p, the rest is main.tf, which is also a module of itself. */
#include <stdint.h>

#include "form/expr.h"
#include "form/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_str first, rest = cm_str_split(cm_str_n((const char *)data, size), '\n', &first);
    struct cm_pair files[] = {{CM_STR("main.tf"), rest}, {CM_STR("m/main.tf"), rest}};
    struct cm_pair value = {CM_STR("p"), first};
    struct api_template_version_parameter imported = {.name = CM_STR("p")};
    struct form_owner owner = {.name = CM_STR("ann")};
    struct form_input in = {.files = files,
                            .n_files = 2,
                            .owner = &owner,
                            .values = &value,
                            .n_values = 1,
                            .imported = &imported,
                            .n_imported = 1};
    struct form_result f;
    form_compute(a, &in, &f);
    for (size_t i = 1; i < f.n; i++)
        cm_assert(f.v[i - 1].order <= f.v[i].order);
    return 0;
}
