/* What ended jobs have made, kept in memory: found again, bounded, and never gone under a reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/parts_cache.h"

static const struct api_workspace_resource one[] = {{.name = CM_STR("one")}};
static const struct api_workspace_resource two[] = {{.name = CM_STR("first")},
                                                    {.name = CM_STR("second")}};

static bool get(struct parts_cache *c, struct cm_uuid id, struct cm_arena *a,
                const struct api_workspace_resource **r, size_t *n)
{
    *r = NULL;
    *n = 99;
    return parts_cache_get(c, id, a, r, n);
}

static void what_is_put_is_found_and_can_be_replaced(void **state CM_UNUSED)
{
    CM_AUTO(parts_cache) c = parts_cache_new(1 << 20);
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_uuid id = cm_uuid_random(), empty = cm_uuid_random();
    const struct api_workspace_resource *r;
    size_t n;

    assert_false(get(c, id, a, &r, &n));
    parts_cache_put(c, id, one, 1);
    parts_cache_put(c, empty, NULL, 0);
    assert_true(get(c, id, a, &r, &n));
    assert_int_equal(n, 1);
    assert_ptr_not_equal(r, one);
    assert_string_equal(r[0].name.ptr, "one");
    assert_true(get(c, empty, a, &r, &n));
    assert_int_equal(n, 0);
    size_t bytes = parts_cache_bytes(c);
    parts_cache_put(c, id, one, 1);
    assert_int_equal(parts_cache_bytes(c), bytes);
    parts_cache_put(c, id, two, 2);
    assert_true(get(c, id, a, &r, &n));
    assert_int_equal(n, 2);
}

static void the_least_recently_used_go_when_it_is_full(void **state CM_UNUSED)
{
    CM_AUTO(parts_cache) c = parts_cache_new(1 << 20);
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_uuid ids[4];
    const struct api_workspace_resource *r;
    size_t n;

    for (size_t i = 0; i < 4; i++)
        ids[i] = cm_uuid_random();
    parts_cache_put(c, ids[0], one, 1);
    size_t each = parts_cache_bytes(c);
    parts_cache_free(CM_TAKE(c));
    c = parts_cache_new(3 * each);
    for (size_t i = 0; i < 3; i++)
        parts_cache_put(c, ids[i], one, 1);
    assert_true(get(c, ids[0], a, &r, &n));
    parts_cache_put(c, ids[3], one, 1);
    assert_int_equal(parts_cache_bytes(c), 3 * each);
    assert_false(get(c, ids[1], a, &r, &n));
    assert_true(get(c, ids[0], a, &r, &n));
    assert_true(get(c, ids[2], a, &r, &n));
    assert_true(get(c, ids[3], a, &r, &n));
}

static void who_reads_an_entry_keeps_it(void **state CM_UNUSED)
{
    CM_AUTO(parts_cache) c = parts_cache_new(1);
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_uuid id = cm_uuid_random();
    const struct api_workspace_resource *r;
    size_t n;

    parts_cache_put(c, id, one, 1); /* larger than the whole cache */
    assert_int_equal(parts_cache_bytes(c), 0);
    assert_false(get(c, id, a, &r, &n));
    parts_cache_free(CM_TAKE(c));
    c = parts_cache_new(1 << 20);
    parts_cache_put(c, id, one, 1);
    assert_true(get(c, id, a, &r, &n));
    parts_cache_put(c, id, two, 2);
    assert_string_equal(r[0].name.ptr, "one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_found_and_can_be_replaced),
        cmocka_unit_test(the_least_recently_used_go_when_it_is_full),
        cmocka_unit_test(who_reads_an_entry_keeps_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
