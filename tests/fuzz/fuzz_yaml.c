/* YAML files into the tree. */
#include <stdint.h>

#include "codec/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(64 << 20);
    const struct cm_json *n = NULL, *m = NULL;
    struct cm_err err;

    if (cm_yaml_parse(a, cm_str_n(data, size), NULL, &n, &err) != CM_OK)
        return 0;
    cm_json_write(&out, n);
    cm_assert(cm_json_parse(a, cm_buf_view(&out), &cm_json_file_limits, &m, &err) == CM_OK);
    cm_assert(cm_json_count(n) == cm_json_count(m));
    return 0;
}
