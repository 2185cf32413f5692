/* ?q= of lists: whatever it is, each value comes from the text and the terms are bounded. */
#include <stdint.h>

#include "api/search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const texts[] = {"", "a", "b"};
    static const struct cm_enum statuses = {"status", texts, CM_COUNT_OF(texts)};
    static const char *const keys[] = {"name", "status", "after", "flag", NULL};
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct api_req r = {.arena = a};
    struct search s;
    size_t bytes = 0;

    search_parse(&r, cm_str_n(data, size), keys, size % 2 ? "name" : NULL, &s);
    cm_assert(s.n < CM_COUNT_OF(keys));
    for (size_t i = 0; i < s.n; i++) {
        cm_assert(s.terms[i].n > 0);
        for (size_t k = 0; k < s.terms[i].n; k++)
            bytes += s.terms[i].values[k].len;
    }
    cm_assert(bytes <= size);
    search_time(&r, &s, "after");
    search_bool(&r, &s, "flag");
    search_uuid(&r, &s, "status");
    search_int(&r, &s, "name");
    if (s.n)
        search_check_enum(&r, &s.terms[0], &statuses);
    cm_assert(r.violations.n <= CM_VIOLATIONS_MAX);
    return 0;
}
