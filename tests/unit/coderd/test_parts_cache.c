/* What ended jobs have made, kept in memory: found again, bounded, and never gone under a reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/parts_cache.h"

static const struct api_provisioner_job job = {.worker_name = CM_STR("builder")};
static const struct api_workspace_resource made[] = {{.name = CM_STR("first")},
                                                     {.name = CM_STR("second")}};
static const struct job_parts none = {.job = &job}, one = {&job, made, 1}, two = {&job, made, 2};

static bool get(struct parts_cache *c, struct cm_uuid id, struct cm_arena *a, struct job_parts *p)
{
    *p = (struct job_parts){.n = 99};
    return parts_cache_get(c, id, a, p);
}

static void what_is_put_is_found_and_can_be_replaced(void **state CM_UNUSED)
{
    CM_AUTO(parts_cache) c = parts_cache_new(1 << 20);
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_uuid id = cm_uuid_random(), empty = cm_uuid_random();
    struct job_parts p;

    assert_false(get(c, id, a, &p));
    parts_cache_put(c, id, &one);
    parts_cache_put(c, empty, &none);
    assert_true(get(c, id, a, &p));
    assert_int_equal(p.n, 1);
    assert_ptr_not_equal(p.resources, made);
    assert_string_equal(p.resources[0].name.ptr, "first");
    assert_string_equal(p.job->worker_name.ptr, "builder");
    assert_true(get(c, empty, a, &p));
    assert_int_equal(p.n, 0);
    size_t bytes = parts_cache_bytes(c);
    parts_cache_put(c, id, &one);
    assert_int_equal(parts_cache_bytes(c), bytes);
    parts_cache_put(c, id, &two);
    assert_true(get(c, id, a, &p));
    assert_int_equal(p.n, 2);
}

static void the_least_recently_used_go_when_it_is_full(void **state CM_UNUSED)
{
    CM_AUTO(parts_cache) c = parts_cache_new(1 << 20);
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_uuid ids[4];
    struct job_parts p;

    for (size_t i = 0; i < 4; i++)
        ids[i] = cm_uuid_random();
    parts_cache_put(c, ids[0], &one);
    size_t each = parts_cache_bytes(c);
    parts_cache_free(CM_TAKE(c));
    c = parts_cache_new(3 * each);
    for (size_t i = 0; i < 3; i++)
        parts_cache_put(c, ids[i], &one);
    assert_true(get(c, ids[0], a, &p));
    parts_cache_put(c, ids[3], &one);
    assert_int_equal(parts_cache_bytes(c), 3 * each);
    assert_false(get(c, ids[1], a, &p));
    assert_true(get(c, ids[0], a, &p));
    assert_true(get(c, ids[2], a, &p));
    assert_true(get(c, ids[3], a, &p));
}

static void who_reads_an_entry_keeps_it(void **state CM_UNUSED)
{
    CM_AUTO(parts_cache) c = parts_cache_new(1);
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_uuid id = cm_uuid_random();
    struct job_parts p;

    parts_cache_put(c, id, &one); /* larger than the whole cache */
    assert_int_equal(parts_cache_bytes(c), 0);
    assert_false(get(c, id, a, &p));
    parts_cache_free(CM_TAKE(c));
    c = parts_cache_new(1 << 20);
    parts_cache_put(c, id, &one);
    assert_true(get(c, id, a, &p));
    parts_cache_put(c, id, &two);
    assert_int_equal(p.n, 1);
    assert_string_equal(p.resources[0].name.ptr, "first");
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
