/* Hostile archives: what comes out, and what is refused. */
#include "test.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fs.h"
#include "terraform/unpack.h"

struct entry {
    const char *path;
    mode_t type;      /* AE_IFREG unless set */
    const char *link; /* target; hard says which kind */
    bool hard;
    const char *text;
    size_t zeros; /* this many instead of text */
};

static la_ssize_t sink(struct archive *w, void *ctx, const void *data, size_t n)
{
    (void)w;
    cm_buf_append(ctx, data, n);
    return (la_ssize_t)n;
}

static void make(struct cm_buf *out, const struct entry *entries, size_t n)
{
    struct archive *w = archive_write_new();
    archive_write_set_format_pax(w);
    assert_int_equal(archive_write_open(w, out, NULL, sink, NULL), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        size_t size = entries[i].text ? strlen(entries[i].text) : entries[i].zeros;
        archive_entry_set_pathname(e, entries[i].path);
        archive_entry_set_filetype(e, entries[i].type ? entries[i].type : AE_IFREG);
        archive_entry_set_perm(e, 0777);
        archive_entry_set_size(e, (la_int64_t)size);
        if (entries[i].link && entries[i].hard)
            archive_entry_set_hardlink(e, entries[i].link);
        else if (entries[i].link)
            archive_entry_set_symlink(e, entries[i].link);
        assert_int_equal(archive_write_header(w, e), ARCHIVE_OK);
        if (entries[i].text)
            archive_write_data(w, entries[i].text, size);
        for (size_t left = entries[i].zeros; left > 0;) {
            static const char zeros[65536];
            size_t k = CM_MIN(left, sizeof zeros);
            archive_write_data(w, zeros, k);
            left -= k;
        }
        archive_entry_free(e);
    }
    archive_write_close(w);
    archive_write_free(w);
}

static enum cm_code unpack(const struct entry *entries, size_t n, const char *dir,
                           unsigned *skipped, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf tar = CM_BUF_INIT((size_t)200 << 20);
    make(&tar, entries, n);
    return tf_unpack(cm_buf_view(&tar), dir, TF_UNPACK_SOURCE, skipped, err);
}

static char *fresh_dir(void)
{
    char *dir = NULL;
    struct cm_err err;
    assert_int_equal(cm_fs_temp_dir(NULL, "unpack-", &dir, &err), CM_OK);
    return dir;
}

static void remove_dir(char *dir)
{
    assert_int_equal(cm_fs_remove_tree(dir, NULL), CM_OK);
    cm_free(dir);
}

static void unpack_makes_files_and_folders_with_private_modes(void **state)
{
    (void)state;
    static const struct entry entries[] = {
        {.path = "./main.tf", .text = "a"},
        {.path = "sub/dir/", .type = AE_IFDIR},
        {.path = "sub//./x.tf", .text = "first"},
        {.path = "sub/x.tf", .text = "second"},
    };
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(100);
    char *dir = fresh_dir();
    unsigned skipped = 9;
    struct cm_err err;
    struct stat st;
    assert_int_equal(unpack(entries, CM_COUNT_OF(entries), dir, &skipped, &err), CM_OK);
    assert_int_equal(skipped, 0);
    assert_int_equal(cm_fs_read(cm_fs_join(a, dir, "sub/x.tf"), &text, &err), CM_OK);
    assert_str_is(cm_buf_view(&text), "second");
    assert_int_equal(stat(cm_fs_join(a, dir, "main.tf"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_true(cm_fs_is_dir(cm_fs_join(a, dir, "sub/dir")));
    remove_dir(dir);
}

static void unpack_leaves_out_links_devices_and_reserved_names(void **state)
{
    (void)state;
    static const struct entry entries[] = {
        {.path = "link", .type = AE_IFLNK, .link = "/etc"},
        {.path = "main.tf", .text = "a"},
        {.path = "hard", .link = "main.tf", .hard = true},
        {.path = "fifo", .type = AE_IFIFO},
        {.path = "dev", .type = AE_IFCHR},
        {.path = ".terraform/providers/evil", .text = "x"},
        {.path = "./.terraform", .type = AE_IFDIR},
        {.path = "terraform.tfstate", .text = "{}"},
        {.path = "terraform.tfstate.backup", .text = "{}"},
        {.path = ".terraform.tfstate.lock.info", .text = "{}"},
    };
    static const char *const absent[] = {"link",
                                         "hard",
                                         "fifo",
                                         "dev",
                                         ".terraform",
                                         "terraform.tfstate",
                                         "terraform.tfstate.backup"};
    CM_AUTO(cm_arena) a = cm_arena_new();
    char *dir = fresh_dir();
    unsigned skipped = 0;
    struct cm_err err;
    assert_int_equal(unpack(entries, CM_COUNT_OF(entries), dir, &skipped, &err), CM_OK);
    assert_int_equal(skipped, 9);
    for (size_t i = 0; i < CM_COUNT_OF(absent); i++) {
        struct stat st;
        assert_int_not_equal(lstat(cm_fs_join(a, dir, absent[i]), &st), 0);
    }
    assert_true(cm_fs_exists(cm_fs_join(a, dir, "main.tf")));
    remove_dir(dir);
}

static void unpack_refuses_paths_that_leave_the_folder(void **state)
{
    (void)state;
    static const char *const paths[] = {"../evil", "a/../../evil", "/etc/evil", "a/..", "a\\..\\b"};
    for (size_t i = 0; i < CM_COUNT_OF(paths); i++) {
        const struct entry entries[] = {{.path = paths[i], .text = "x"}};
        char *dir = fresh_dir();
        struct cm_err err;
        assert_int_equal(unpack(entries, 1, dir, NULL, &err), CM_INVALID);
        remove_dir(dir);
    }
}

/* First a link, then a file through it: the link is never made, so the file lands inside. */
static void unpack_does_not_write_through_a_link(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    char *dir = fresh_dir(), *outside = fresh_dir();
    const struct entry entries[] = {
        {.path = "x", .type = AE_IFLNK, .link = outside},
        {.path = "x/file", .text = "evil"},
    };
    struct cm_err err;
    assert_int_equal(unpack(entries, 2, dir, NULL, &err), CM_OK);
    assert_false(cm_fs_exists(cm_fs_join(a, outside, "file")));
    assert_true(cm_fs_exists(cm_fs_join(a, dir, "x/file")));
    remove_dir(dir);
    remove_dir(outside);
}

static void unpack_refuses_too_much(void **state)
{
    (void)state;
    char *dir = fresh_dir();
    struct cm_err err;
    struct entry *many = calloc(TF_ARCHIVE_FILES + 1, sizeof *many);
    for (size_t i = 0; i <= TF_ARCHIVE_FILES; i++)
        many[i] = (struct entry){.path = "same", .text = ""};
    assert_int_equal(unpack(many, TF_ARCHIVE_FILES + 1, dir, NULL, &err), CM_TOO_LARGE);
    assert_non_null(strstr(err.text, "10000 files"));
    free(many);
    const struct entry big[] = {{.path = "a", .zeros = (size_t)60 << 20},
                                {.path = "b", .zeros = (size_t)60 << 20}};
    assert_int_equal(unpack(big, 2, dir, NULL, &err), CM_TOO_LARGE);
    assert_non_null(strstr(err.text, "100 MiB"));
    remove_dir(dir);
}

/* GNU tar's sparse files: a header that stands for any number of zeros. */
static void unpack_refuses_a_sparse_bomb(void **state)
{
    (void)state;
    char *dir = fresh_dir();
    CM_AUTOBUF struct cm_buf tar = CM_BUF_INIT((size_t)1 << 20);
    struct archive *w = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    struct cm_err err;
    archive_write_set_format_pax(w);
    assert_int_equal(archive_write_open(w, &tar, NULL, sink, NULL), ARCHIVE_OK);
    archive_entry_set_pathname(e, "bomb");
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_size(e, (la_int64_t)90 << 20);
    archive_entry_sparse_add_entry(e, ((la_int64_t)90 << 20) - 1, 1);
    assert_int_equal(archive_write_header(w, e), ARCHIVE_OK);
    static const char zeros[65536];
    for (size_t left = (size_t)90 << 20; left > 0; left -= sizeof zeros)
        archive_write_data(w, zeros, sizeof zeros);
    archive_entry_free(e);
    archive_write_close(w);
    archive_write_free(w);
    assert_true(tar.len < 65536);
    assert_int_equal(tf_unpack(cm_buf_view(&tar), dir, TF_UNPACK_SOURCE, NULL, &err), CM_TOO_LARGE);
    assert_non_null(strstr(err.text, "100 times its size"));
    remove_dir(dir);
}

static void unpack_refuses_what_is_no_archive(void **state)
{
    (void)state;
    char *dir = fresh_dir();
    struct cm_err err;
    assert_int_equal(
        tf_unpack(CM_STR("this is not a tar archive at all"), dir, TF_UNPACK_SOURCE, NULL, &err),
        CM_INVALID);
    remove_dir(dir);
}

static void pack_and_unpack_modules_round_trip(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf tar = CM_BUF_INIT((size_t)1 << 20),
                             again = CM_BUF_INIT((size_t)1 << 20);
    CM_AUTOBUF struct cm_buf tiny = CM_BUF_INIT((size_t)512), text = CM_BUF_INIT(100);
    char *from = fresh_dir(), *to = fresh_dir();
    struct cm_err err;
    assert_int_equal(cm_fs_mkdirs(cm_fs_join(a, from, "modules/x/.git"), 0700, &err), CM_OK);
    assert_int_equal(
        cm_fs_write(cm_fs_join(a, from, "modules/x/.git/HEAD"), CM_STR("ref"), 0600, false, &err),
        CM_OK);
    assert_int_equal(
        cm_fs_write(cm_fs_join(a, from, "modules/x/main.tf"), CM_STR("m"), 0600, false, &err),
        CM_OK);
    assert_int_equal(tf_pack(from, "modules", (size_t)1 << 20, &tar, &err), CM_OK);
    assert_int_equal(tf_pack(from, "modules", (size_t)1 << 20, &again, &err), CM_OK);
    assert_int_equal(tar.len, again.len);
    assert_memory_equal(tar.ptr, again.ptr, tar.len);
    assert_int_equal(tf_unpack(cm_buf_view(&tar), to, TF_UNPACK_MODULES, NULL, &err), CM_OK);
    assert_int_equal(cm_fs_read(cm_fs_join(a, to, "modules/x/main.tf"), &text, &err), CM_OK);
    assert_str_is(cm_buf_view(&text), "m");
    assert_false(cm_fs_exists(cm_fs_join(a, to, "modules/x/.git")));
    assert_int_equal(tf_pack(from, "modules", 512, &tiny, &err), CM_TOO_LARGE);
    remove_dir(from);
    remove_dir(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpack_makes_files_and_folders_with_private_modes),
        cmocka_unit_test(unpack_leaves_out_links_devices_and_reserved_names),
        cmocka_unit_test(unpack_refuses_paths_that_leave_the_folder),
        cmocka_unit_test(unpack_does_not_write_through_a_link),
        cmocka_unit_test(unpack_refuses_too_much),
        cmocka_unit_test(unpack_refuses_a_sparse_bomb),
        cmocka_unit_test(unpack_refuses_what_is_no_archive),
        cmocka_unit_test(pack_and_unpack_modules_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
