/* Modules as an archive, so that a build on another machine needs no network for them. */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "sys/fs.h"
#include "terraform/unpack.h"

#define DEPTH_MAX 32

struct packing {
    struct cm_arena *arena;
    struct archive *out;
    struct cm_buf *sink;
    size_t max, bytes;
    unsigned files;
};

static la_ssize_t sink_write(struct archive *out, void *ctx, const void *data, size_t n)
{
    struct packing *p = ctx;
    cm_buf_append(p->sink, data, n);
    if (!p->sink->failed)
        return (la_ssize_t)n;
    archive_set_error(out, ENOSPC, "too large");
    return -1;
}

static enum cm_code put(struct packing *p, const char *rel, mode_t type, mode_t perm,
                        struct cm_str data, struct cm_err *err)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, rel);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, perm);
    archive_entry_set_size(e, (la_int64_t)data.len);
    bool ok =
        archive_write_header(p->out, e) == ARCHIVE_OK &&
        (data.len == 0 || archive_write_data(p->out, data.ptr, data.len) == (la_ssize_t)data.len);
    archive_entry_free(e);
    if (p->sink->failed)
        return cm_err_set(err, CM_TOO_LARGE, "the modules are larger than %zu MiB", p->max >> 20);
    return ok ? CM_OK : cm_err_set(err, CM_IO, "pack %s: %s", rel, archive_error_string(p->out));
}

static enum cm_code pack_path(struct packing *p, const char *dir, const char *rel, unsigned depth,
                              struct cm_err *err);

static int no_dots(const struct dirent *d)
{
    return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
           strcmp(d->d_name, ".git") != 0;
}

static enum cm_code pack_folder(struct packing *p, const char *dir, const char *rel, unsigned depth,
                                struct cm_err *err)
{
    struct dirent **names = NULL;
    enum cm_code code = put(p, rel, AE_IFDIR, 0700, CM_STR_NONE, err);
    /* Sorted, so that the same modules give the same bytes and are stored once. */
    int n = scandir(cm_fs_join(p->arena, dir, rel), &names, no_dots, alphasort);
    if (n < 0)
        return cm_err_errno(err, CM_IO, "read %s", rel);
    for (int i = 0; i < n; i++) {
        if (code == CM_OK)
            code = pack_path(p, dir, cm_fs_join(p->arena, rel, names[i]->d_name), depth + 1, err);
        free(names[i]);
    }
    free(names);
    return code;
}

static enum cm_code pack_path(struct packing *p, const char *dir, const char *rel, unsigned depth,
                              struct cm_err *err)
{
    struct stat st;
    const char *full = cm_fs_join(p->arena, dir, rel);
    if (depth > DEPTH_MAX || ++p->files > TF_ARCHIVE_FILES)
        return cm_err_set(err, CM_TOO_LARGE, "the modules hold too many files");
    if (lstat(full, &st) < 0)
        return cm_err_errno(err, CM_IO, "read %s", rel);
    if (S_ISDIR(st.st_mode))
        return pack_folder(p, dir, rel, depth, err);
    if (!S_ISREG(st.st_mode))
        return CM_OK;
    CM_AUTOBUF struct cm_buf data = CM_BUF_INIT(p->max);
    enum cm_code code = cm_fs_read(full, &data, err);
    if (code != CM_OK)
        return code;
    return put(p, rel, AE_IFREG, (st.st_mode & 0100) ? 0700 : 0600, cm_buf_view(&data), err);
}

static void free_writer(void *out)
{
    archive_write_free(out);
}

enum cm_code tf_pack(const char *dir, const char *name, size_t max, struct cm_buf *out,
                     struct cm_err *err)
{
    CM_AUTO(cm_arena) arena = cm_arena_new();
    struct packing p = {.arena = arena, .sink = out, .max = max};
    p.out = archive_write_new();
    cm_arena_defer(arena, free_writer, p.out);
    archive_write_set_format_pax_restricted(p.out);
    if (archive_write_open(p.out, &p, NULL, sink_write, NULL) != ARCHIVE_OK)
        return cm_err_set(err, CM_IO, "pack: %s", archive_error_string(p.out));
    enum cm_code code = pack_path(&p, dir, name, 0, err);
    if (code != CM_OK)
        return code;
    /* The library writes in blocks, so the end may be what does not fit. */
    bool closed = archive_write_close(p.out) == ARCHIVE_OK;
    code = cm_buf_check(out, "the module archive", err);
    if (code == CM_OK && !closed)
        code = cm_err_set(err, CM_IO, "pack: %s", archive_error_string(p.out));
    return code;
}
