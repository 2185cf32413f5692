#include "template_tar.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/arena.h"
#include "sys/fs.h"
#include "tfvars.h"

#define DEPTH_MAX    16
#define ENTRIES_MAX  10000
#define UNPACKED_MAX ((int64_t)256 << 20)

struct packer {
    struct archive *tar;
    struct cm_arena *arena;
    struct template_tar_notes *notes;
    struct cm_buf *out;
    bool has_terraform;
    unsigned entries;
};

static ssize_t write_out(struct archive *tar, void *ctx, const void *data, size_t len)
{
    struct cm_buf *out = ctx;
    cm_buf_append(out, data, len);
    if (!out->failed)
        return (ssize_t)len;
    archive_set_error(tar, EFBIG, "too large");
    return -1;
}

static bool is_wanted(struct packer *p, struct cm_str name)
{
    if (cm_str_eq_c(name, ".terraform.lock.hcl")) {
        p->notes->has_lock = true;
        return true;
    }
    if (tfvars_is_file(name)) {
        size_t len = strlen(p->notes->skipped_vars);
        snprintf(p->notes->skipped_vars + len, sizeof(p->notes->skipped_vars) - len, "%s%.*s",
                 len ? ", " : "", CM_STR_ARG(name));
        return false;
    }
    return name.ptr[0] != '.' && !cm_str_contains(name, CM_STR(".tfstate"));
}

static enum cm_code add(struct packer *p, const char *path, const char *name, const struct stat *st,
                        struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf data = CM_BUF_INIT(p->out->max);
    struct archive_entry *e = archive_entry_new();
    bool is_dir = S_ISDIR(st->st_mode);
    enum cm_code code = CM_OK;

    if (++p->entries > ENTRIES_MAX)
        code = cm_err_set(err, CM_TOO_LARGE, "more than %d files", ENTRIES_MAX);
    if (code == CM_OK && !is_dir)
        code = cm_fs_read(path, &data, err);
    if (code == CM_OK) {
        archive_entry_set_pathname(e, is_dir ? cm_arena_printf(p->arena, "%s/", name) : name);
        archive_entry_set_filetype(e, is_dir ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(e, (st->st_mode & 0777) | 0400);
        archive_entry_set_size(e, (la_int64_t)data.len);
        archive_entry_set_mtime(e, st->st_mtime, 0);
        if (archive_write_header(p->tar, e) != ARCHIVE_OK ||
            (data.len && archive_write_data(p->tar, data.ptr, data.len) != (la_ssize_t)data.len))
            code = cm_err_set(err, p->out->failed ? CM_TOO_LARGE : CM_IO, "pack %s: %s", name,
                              archive_error_string(p->tar));
    }
    archive_entry_free(e);
    return code;
}

static enum cm_code add_dir(struct packer *p, const char *dir, const char *prefix, int depth,
                            struct cm_err *err)
{
    struct dirent **list = NULL;
    enum cm_code code = CM_OK;
    int n = scandir(dir, &list, NULL,
                    alphasort); /* sorted, so that equal folders give equal archives */

    if (n < 0)
        return cm_err_errno(err, errno == ENOENT ? CM_NOT_FOUND : CM_IO, "read folder %s", dir);
    if (depth > DEPTH_MAX)
        code = cm_err_set(err, CM_TOO_LARGE, "%s is more than %d folders deep", dir, DEPTH_MAX);
    for (int i = 0; i < n; i++) {
        struct cm_str name = cm_str(list[i]->d_name);
        struct stat st;
        char *path = cm_fs_join(p->arena, dir, list[i]->d_name);
        char *inside = cm_arena_printf(p->arena, "%s%s", prefix, list[i]->d_name);
        if (code == CM_OK && !cm_str_eq_c(name, ".") && !cm_str_eq_c(name, "..") &&
            is_wanted(p, name) && lstat(path, &st) == 0 &&
            (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
            if (!*prefix &&
                (cm_str_ends(name, CM_STR(".tf")) || cm_str_ends(name, CM_STR(".tf.json"))))
                p->has_terraform = true;
            code = add(p, path, inside, &st, err);
            if (code == CM_OK && S_ISDIR(st.st_mode))
                code = add_dir(p, path, cm_arena_printf(p->arena, "%s/", inside), depth + 1, err);
        }
        free(list[i]);
    }
    free(list);
    return code;
}

enum cm_code template_tar_pack(const char *dir, struct cm_buf *out,
                               struct template_tar_notes *notes, struct cm_err *err)
{
    CM_AUTO(cm_arena) arena = cm_arena_new();
    struct packer p = {.tar = archive_write_new(), .arena = arena, .notes = notes, .out = out};

    *notes = (struct template_tar_notes){.has_lock = false};
    cm_assert(p.tar);
    archive_write_set_format_pax_restricted(p.tar);
    archive_write_set_bytes_per_block(p.tar, 0);
    archive_write_open(p.tar, out, NULL, write_out, NULL);
    enum cm_code code = add_dir(&p, dir, "", 0, err);
    if (archive_write_close(p.tar) != ARCHIVE_OK && code == CM_OK)
        code = cm_err_set(err, CM_IO, "pack: %s", archive_error_string(p.tar));
    archive_write_free(p.tar);
    if (out->failed)
        return cm_err_set(
            err, CM_TOO_LARGE,
            "the template is larger than %zu bytes: leave out what Terraform does not need",
            out->max);
    if (code == CM_OK && !p.has_terraform)
        return cm_err_set(err, CM_NOT_FOUND,
                          "%s is not a valid template directory: it has no .tf file", dir);
    return code;
}

/* Relative, without a step up, and with no empty name. */
static bool is_safe(const char *name)
{
    struct cm_str rest = cm_str(name), part;
    if (!*name || name[0] == '/')
        return false;
    while (rest.len) {
        rest = cm_str_split(rest, '/', &part);
        if (cm_str_eq_c(part, ".."))
            return false;
    }
    return true;
}

static enum cm_code unpack_entry(struct cm_arena *arena, struct archive *tar,
                                 struct archive_entry *e, const char *dir, int64_t *total,
                                 struct cm_err *err)
{
    const char *name = archive_entry_pathname(e);
    la_int64_t size = archive_entry_size(e);

    if (!name || !is_safe(name))
        return cm_err_set(err, CM_INVALID, "the archive has a file name that leaves the folder");
    const char *path = cm_fs_join(arena, dir, name);
    if (archive_entry_filetype(e) == AE_IFDIR)
        return cm_fs_mkdirs(path, 0755, err);
    if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
        return cm_err_set(err, CM_INVALID, "the archive has a link or device: %s", name);
    if (size < 0 || (*total += size) > UNPACKED_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "the archive unpacks to more than %lld bytes",
                          (long long)UNPACKED_MAX);
    CM_AUTOBUF struct cm_buf data = CM_BUF_INIT((size_t)size + 1);
    char *room = cm_buf_reserve(&data, (size_t)size);
    for (size_t got = 0; got < (size_t)size;) {
        la_ssize_t n = archive_read_data(tar, room + got, (size_t)size - got);
        if (n <= 0)
            return cm_err_set(err, CM_INVALID, "the archive is damaged at %s", name);
        got += (size_t)n;
    }
    cm_buf_commit(&data, (size_t)size);
    enum cm_code code = cm_fs_mkdirs(cm_fs_dirname(arena, path), 0755, err);
    if (code != CM_OK)
        return code;
    return cm_fs_write(path, cm_buf_view(&data), archive_entry_perm(e) & 0111 ? 0755 : 0644, false,
                       err);
}

enum cm_code template_tar_unpack(struct cm_str tar_text, const char *dir, struct cm_err *err)
{
    CM_AUTO(cm_arena) arena = cm_arena_new();
    struct archive *tar = archive_read_new();
    struct archive_entry *e = NULL;
    enum cm_code code = CM_OK;
    int64_t total = 0;
    unsigned entries = 0;
    int r = ARCHIVE_OK;

    cm_assert(tar);
    archive_read_support_format_tar(tar);
    if (archive_read_open_memory(tar, tar_text.ptr, tar_text.len) != ARCHIVE_OK)
        code = cm_err_set(err, CM_INVALID, "not a tar archive: %s", archive_error_string(tar));
    while (code == CM_OK && (r = archive_read_next_header(tar, &e)) == ARCHIVE_OK) {
        if (++entries > ENTRIES_MAX)
            code =
                cm_err_set(err, CM_TOO_LARGE, "the archive has more than %d entries", ENTRIES_MAX);
        else
            code = unpack_entry(arena, tar, e, dir, &total, err);
    }
    if (code == CM_OK && r != ARCHIVE_EOF)
        code = cm_err_set(err, CM_INVALID, "the archive is damaged: %s", archive_error_string(tar));
    archive_read_free(tar);
    return code;
}
