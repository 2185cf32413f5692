#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "sys/fd.h"
#include "sys/fs.h"

static int setup(void **state)
{
    char *dir = NULL;
    struct cm_err err;
    if (cm_fs_temp_dir(NULL, "cm-test-fs-", &dir, &err) != CM_OK)
        return 1;
    *state = dir;
    return 0;
}

static int teardown(void **state)
{
    struct cm_err err;
    enum cm_code code = cm_fs_remove_tree(*state, &err);
    cm_free(*state);
    return code != CM_OK;
}

static void written_file_reads_back_with_its_mode(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    const char *path = cm_fs_join(a, *state, "f");
    struct cm_err err;
    umask(0077);
    for (int i = 0; i < 2; i++) {
        struct cm_str data = i ? CM_STR("second") : CM_STR("the first one");
        assert_int_equal(cm_fs_write(path, data, i ? 0600 : 0644, i, &err), CM_OK);
        CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(100);
        assert_int_equal(cm_fs_read(path, &b, &err), CM_OK);
        assert_true(cm_str_eq(cm_buf_view(&b), data));
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, i ? 0600 : 0644);
    }
    CM_AUTOBUF struct cm_buf small = CM_BUF_INIT(3);
    assert_int_equal(cm_fs_read(path, &small, &err), CM_TOO_LARGE);
    assert_int_equal(cm_fs_read("/no/such", &small, &err), CM_NOT_FOUND);
    assert_int_equal(cm_fs_write("/no/such/file", CM_STR("x"), 0600, false, &err), CM_NOT_FOUND);
}

static void folders_are_made_and_removed(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    const char *deep = cm_fs_join(a, *state, "a/b//c");
    struct cm_err err;
    assert_int_equal(cm_fs_mkdirs(deep, 0700, &err), CM_OK);
    assert_int_equal(cm_fs_mkdirs(deep, 0700, &err), CM_OK);
    assert_true(cm_fs_is_dir(deep));
    const char *file = cm_fs_join(a, deep, "file");
    assert_int_equal(cm_fs_write(file, CM_STR("x"), 0600, false, &err), CM_OK);
    assert_int_equal(cm_fs_mkdirs(cm_fs_join(a, file, "x"), 0700, &err), CM_NOT_FOUND);
    assert_int_equal(cm_fs_mkdirs(file, 0700, &err), CM_CONFLICT);

    /* What a symbolic link points to stays. */
    const char *outside = cm_fs_join(a, *state, "outside");
    assert_int_equal(cm_fs_mkdirs(outside, 0700, &err), CM_OK);
    assert_int_equal(symlink(outside, cm_fs_join(a, deep, "link")), 0);
    assert_int_equal(cm_fs_remove_tree(cm_fs_join(a, *state, "a"), &err), CM_OK);
    assert_false(cm_fs_exists(deep));
    assert_true(cm_fs_is_dir(outside));
    assert_int_equal(cm_fs_remove_tree(deep, &err), CM_OK);
}

static void paths_are_joined_and_split(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    static const struct {
        const char *dir, *name, *joined, *dirname;
    } rows[] = {
        {"/a", "b", "/a/b", "/a"},    {"/a/", "b", "/a/b", "/a"}, {"/", "b", "/b", "/"},
        {"/a", "/b/c", "/b/c", "/b"}, {"", "b", "b", "."},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        const char *j = cm_fs_join(a, rows[i].dir, rows[i].name);
        assert_string_equal(j, rows[i].joined);
        assert_string_equal(cm_fs_dirname(a, j), rows[i].dirname);
    }
    assert_string_equal(cm_fs_basename("/a/b"), "b");
    assert_string_equal(cm_fs_basename("b"), "b");
}

static void memory_file_holds_its_data(void **state)
{
    (void)state;
    int fd = -1;
    struct cm_err err;
    assert_int_equal(cm_fd_from_memory("test", CM_STR("hello"), &fd, &err), CM_OK);
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(100);
    assert_int_equal(cm_fd_read_all(fd, &b, &err), CM_OK);
    assert_string_equal(b.ptr, "hello");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_file_reads_back_with_its_mode),
        cmocka_unit_test(folders_are_made_and_removed),
        cmocka_unit_test(paths_are_joined_and_split),
        cmocka_unit_test(memory_file_holds_its_data),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
