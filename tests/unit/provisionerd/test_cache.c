#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/cache.h"
#include "sys/fs.h"

struct fixture {
    struct cm_arena *a;
    char *dir;
    const char *cache, *work, *other;
    struct version_cache *c;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct cm_err err;
    f->a = cm_arena_new();
    assert_int_equal(cm_fs_temp_dir(NULL, "cache-", &f->dir, &err), CM_OK);
    f->cache = cm_fs_join(f->a, f->dir, "cache");
    f->work = cm_fs_join(f->a, f->dir, "work");
    f->other = cm_fs_join(f->a, f->dir, "other");
    assert_int_equal(cm_fs_mkdirs(cm_fs_join(f->a, f->work, ".terraform/modules/m"), 0700, &err),
                     CM_OK);
    assert_int_equal(cm_fs_mkdirs(f->other, 0700, &err), CM_OK);
    assert_int_equal(cm_fs_write(cm_fs_join(f->a, f->work, ".terraform/modules/m/x.tf"),
                                 CM_STR("m"), 0600, false, &err),
                     CM_OK);
    assert_int_equal(cm_fs_write(cm_fs_join(f->a, f->work, ".terraform.lock.hcl"), CM_STR("lock"),
                                 0600, false, &err),
                     CM_OK);
    assert_int_equal(symlink("/somewhere", cm_fs_join(f->a, f->work, ".terraform/link")), 0);
    assert_int_equal(version_cache_new(f->cache, &f->c, &err), CM_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    version_cache_free(f->c);
    cm_ignore(cm_fs_remove_tree(f->dir, NULL) != CM_OK, "a temporary folder");
    cm_free(f->dir);
    cm_arena_free(f->a);
    free(f);
    return 0;
}

static void cache_keeps_and_restores_a_version(void **state)
{
    struct fixture *f = *state;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(100);
    char link[64] = "";
    assert_false(version_cache_restore(f->c, "key", f->other));
    assert_false(version_cache_get_graph(f->c, "key", &text));
    version_cache_keep(f->c, "key", CM_STR("tar"), CM_STR("dot"), f->work);
    assert_true(version_cache_get_source(f->c, "key", &text));
    assert_str_is(cm_buf_view(&text), "tar");
    cm_buf_reset(&text);
    assert_true(version_cache_get_graph(f->c, "key", &text));
    assert_str_is(cm_buf_view(&text), "dot");
    assert_true(version_cache_restore(f->c, "key", f->other));
    assert_true(cm_fs_exists(cm_fs_join(f->a, f->other, ".terraform/modules/m/x.tf")));
    assert_true(cm_fs_exists(cm_fs_join(f->a, f->other, ".terraform.lock.hcl")));
    assert_int_equal(readlink(cm_fs_join(f->a, f->other, ".terraform/link"), link, sizeof link),
                     10);
    assert_memory_equal(link, "/somewhere", 10);
    version_cache_drop(f->c, "key");
    assert_false(version_cache_get_graph(f->c, "key", &text));
}

/* What a job writes into its own copy must not reach the next job. */
static void cache_entries_are_not_shared_with_jobs(void **state)
{
    struct fixture *f = *state;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(100);
    struct cm_err err;
    const char *again = cm_fs_join(f->a, f->dir, "again");
    version_cache_keep(f->c, "key", CM_STR("tar"), CM_STR("dot"), f->work);
    assert_true(version_cache_restore(f->c, "key", f->other));
    int fd = open(cm_fs_join(f->a, f->other, ".terraform/modules/m/x.tf"), O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "poison", 6), 6);
    close(fd);
    assert_int_equal(cm_fs_mkdirs(again, 0700, &err), CM_OK);
    assert_true(version_cache_restore(f->c, "key", again));
    assert_int_equal(cm_fs_read(cm_fs_join(f->a, again, ".terraform/modules/m/x.tf"), &text, &err),
                     CM_OK);
    assert_str_is(cm_buf_view(&text), "m");
}

static void cache_does_not_keep_backend_settings(void **state)
{
    struct fixture *f = *state;
    struct cm_err err;
    assert_int_equal(cm_fs_write(cm_fs_join(f->a, f->work, ".terraform/terraform.tfstate"),
                                 CM_STR("{}"), 0600, false, &err),
                     CM_OK);
    version_cache_keep(f->c, "key", CM_STR("tar"), CM_STR("dot"), f->work);
    assert_false(version_cache_restore(f->c, "key", f->other));
}

static void cache_start_removes_what_is_old_or_half_made(void **state)
{
    struct fixture *f = *state;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(100);
    struct cm_err err;
    version_cache_keep(f->c, "old", CM_STR("tar"), CM_STR("dot"), f->work);
    version_cache_keep(f->c, "young", CM_STR("tar"), CM_STR("dot"), f->work);
    assert_int_equal(cm_fs_mkdirs(cm_fs_join(f->a, f->cache, "new-abc"), 0700, &err), CM_OK);
    const struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    assert_int_equal(utimensat(AT_FDCWD, cm_fs_join(f->a, f->cache, "old"), long_ago, 0), 0);
    version_cache_free(f->c);
    assert_int_equal(version_cache_new(f->cache, &f->c, &err), CM_OK);
    assert_false(version_cache_get_graph(f->c, "old", &text));
    assert_true(version_cache_get_graph(f->c, "young", &text));
    assert_false(cm_fs_exists(cm_fs_join(f->a, f->cache, "new-abc")));
}

static void cache_keys_differ_by_each_part(void **state)
{
    struct fixture *f = *state;
    const char *keys[] = {
        version_cache_key(f->a, CM_STR("ab"), CM_STR("c"), "f"),
        version_cache_key(f->a, CM_STR("a"), CM_STR("bc"), "f"),
        version_cache_key(f->a, CM_STR("ab"), CM_STR(""), "f"),
        version_cache_key(f->a, CM_STR("ab"), CM_STR("c"), "g"),
    };
    for (size_t i = 0; i < CM_COUNT_OF(keys); i++) {
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(keys[i], keys[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cache_keeps_and_restores_a_version, setup, teardown),
        cmocka_unit_test_setup_teardown(cache_entries_are_not_shared_with_jobs, setup, teardown),
        cmocka_unit_test_setup_teardown(cache_does_not_keep_backend_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(cache_start_removes_what_is_old_or_half_made, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(cache_keys_differ_by_each_part, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
