/* Random operations beside a model so simple that it is right: an array by key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/map.h"

enum { KEYS = 500, STEPS = 100000, SEED = 7 };

static struct cm_str key_text(char out[16], uint32_t k)
{
    return cm_str_n(out, (size_t)snprintf(out, 16, "key-%u", k));
}

static void map_agrees_with_a_model(void **state)
{
    (void)state;
    static int things[STEPS];
    void *model[KEYS] = {NULL};
    size_t count = 0;
    uint32_t seed = SEED;
    CM_AUTO(cm_map) m = cm_map_new();

    for (int i = 0; i < STEPS; i++) {
        char text[16];
        seed = seed * 1664525 + 1013904223;
        /* Phases of growing and of shrinking, so that the table is rebuilt and emptied. */
        uint32_t k = (seed >> 8) % KEYS, op = (seed >> 24) % 10, puts = i / 10000 % 2 ? 2 : 6;
        struct cm_str key = key_text(text, k);
        if (op < puts) {
            assert_ptr_equal(cm_map_put(m, key, &things[i]), model[k]);
            count += model[k] == NULL;
            model[k] = &things[i];
        } else if (op < 8) {
            assert_ptr_equal(cm_map_remove(m, key), model[k]);
            count -= model[k] != NULL;
            model[k] = NULL;
        } else {
            assert_ptr_equal(cm_map_get(m, key), model[k]);
        }
        assert_int_equal(cm_map_count(m), count);
    }

    size_t it = 0, seen = 0;
    struct cm_str key;
    void *value;
    while (cm_map_next(m, &it, &key, &value)) {
        uint32_t k = 0;
        for (size_t i = sizeof "key-" - 1; i < key.len; i++)
            k = k * 10 + (uint32_t)(key.ptr[i] - '0');
        assert_true(k < KEYS);
        assert_ptr_equal(value, model[k]);
        model[k] = NULL;
        seen++;
    }
    assert_int_equal(seen, count);
}

static void keys_are_bytes(void **state)
{
    (void)state;
    int one, two, three;
    CM_AUTO(cm_map) m = cm_map_new();
    cm_map_put(m, CM_STR(""), &one);
    cm_map_put(m, CM_STR("a"), &two);
    cm_map_put(m, CM_STR("a\0b"), &three);
    assert_ptr_equal(cm_map_get(m, CM_STR("")), &one);
    assert_ptr_equal(cm_map_get(m, CM_STR("a")), &two);
    assert_ptr_equal(cm_map_get(m, CM_STR("a\0b")), &three);
    assert_null(cm_map_get(m, CM_STR("a\0c")));
    assert_int_equal(cm_map_count(m), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_agrees_with_a_model),
        cmocka_unit_test(keys_are_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
