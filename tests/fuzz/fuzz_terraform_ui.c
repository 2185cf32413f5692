/* Lines of terraform's machine-readable output. */
#include <stdint.h>

#include "terraform/ui.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cm_str rest = cm_str_n(data, size);
    while (rest.len > 0) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct cm_str line;
        struct ui_event ev;
        rest = cm_str_split(rest, '\n', &line);
        ui_parse_line(a, line, &ev);
        cm_assert(ev.level != NULL);
        cm_assert(cm_str_is_utf8(ev.text));
    }
    return 0;
}
