#include "terraform/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "sys/fs.h"

#define PATH_LEN_MAX  1024
#define PATH_PART_MAX 255

struct unpacking {
    struct archive *in;
    struct cm_arena *arena;
    const char *dest;
    enum tf_unpack_kind kind;
    size_t archive_bytes, bytes;
    unsigned files, skipped;
};

/* Relative, without "..", and short enough for every file system. Yields it without "." parts and
 * slashes at the end; empty for the root itself. */
static enum cm_code clean_path(struct cm_arena *a, struct cm_str raw, struct cm_str *ret,
                               struct cm_err *err)
{
    char *out = cm_arena_alloc(a, raw.len + 1);
    size_t n = 0;
    if (raw.len == 0 || raw.len > PATH_LEN_MAX || raw.ptr[0] == '/' ||
        memchr(raw.ptr, '\\', raw.len))
        return cm_err_set(err, CM_INVALID,
                          "the archive holds \"%.*s\", which is not a relative path",
                          (int)CM_MIN(raw.len, 100), raw.ptr);
    while (raw.len > 0) {
        struct cm_str part;
        raw = cm_str_split(raw, '/', &part);
        if (part.len == 0 || cm_str_eq_c(part, "."))
            continue;
        if (cm_str_eq_c(part, "..") || part.len > PATH_PART_MAX)
            return cm_err_set(err, CM_INVALID, "the archive holds a path that leaves its folder");
        if (n > 0)
            out[n++] = '/';
        memcpy(out + n, part.ptr, part.len);
        n += part.len;
    }
    *ret = cm_str_n(out, n);
    return CM_OK;
}

/* Files that terraform would take for its own work, made by somebody else. */
static bool is_reserved(enum tf_unpack_kind kind, struct cm_str path)
{
    if (kind == TF_UNPACK_MODULES)
        return !cm_str_eq_c(path, "modules") && !cm_str_starts(path, CM_STR("modules/"));
    return cm_str_eq_c(path, ".terraform") || cm_str_starts(path, CM_STR(".terraform/")) ||
           cm_str_starts(path, CM_STR("terraform.tfstate")) ||
           cm_str_starts(path, CM_STR(".terraform.tfstate"));
}

static enum cm_code check_budget(const struct unpacking *u, struct cm_err *err)
{
    if (u->files > TF_ARCHIVE_FILES)
        return cm_err_set(err, CM_TOO_LARGE, "the archive holds more than %d files",
                          TF_ARCHIVE_FILES);
    if (u->bytes > TF_ARCHIVE_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "the archive unpacks to more than %zu MiB",
                          TF_ARCHIVE_MAX >> 20);
    if (u->bytes > ((size_t)1 << 20) && u->bytes / TF_ARCHIVE_RATIO > u->archive_bytes)
        return cm_err_set(
            err, CM_TOO_LARGE,
            "the archive unpacks to more than %d times its size, which no template does",
            TF_ARCHIVE_RATIO);
    return CM_OK;
}

static enum cm_code write_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, data, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return CM_IO;
        data += w;
        n -= (size_t)w;
    }
    return CM_OK;
}

static enum cm_code write_file(struct unpacking *u, const char *path, mode_t mode,
                               struct cm_err *err)
{
    char chunk[65536];
    /* A later entry of the same name replaces the earlier one, as tar does. */
    unlink(path);
    CM_AUTOFD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return cm_err_errno(err, CM_INVALID, "the archive's file %s", path + strlen(u->dest) + 1);
    for (;;) {
        la_ssize_t n = archive_read_data(u->in, chunk, sizeof chunk);
        if (n == 0)
            return CM_OK;
        if (n < 0)
            return cm_err_set(err, CM_INVALID, "the archive is broken: %s",
                              archive_error_string(u->in));
        u->bytes += (size_t)n;
        if (check_budget(u, err) != CM_OK)
            return CM_TOO_LARGE;
        if (write_all(fd, chunk, (size_t)n) != CM_OK)
            return cm_err_errno(err, CM_IO, "write %s", path);
    }
}

static enum cm_code unpack_entry(struct unpacking *u, struct archive_entry *e, struct cm_err *err)
{
    const char *name = archive_entry_pathname(e);
    struct cm_str path = CM_STR_NONE;
    mode_t type = archive_entry_filetype(e);
    u->files++;
    if (check_budget(u, err) != CM_OK)
        return CM_TOO_LARGE;
    if (!name)
        return cm_err_set(err, CM_INVALID, "the archive holds a file without a readable name");
    enum cm_code code = clean_path(u->arena, cm_str(name), &path, err);
    if (code != CM_OK)
        return code;
    if (path.len == 0)
        return CM_OK;
    if ((type != AE_IFREG && type != AE_IFDIR) || archive_entry_hardlink(e) ||
        is_reserved(u->kind, path)) {
        u->skipped++;
        return CM_OK;
    }
    char *full = cm_arena_printf(u->arena, "%s/%.*s", u->dest, CM_STR_ARG(path));
    if (type == AE_IFDIR)
        return cm_fs_mkdirs(full, 0700, err);
    if (cm_fs_mkdirs(cm_fs_dirname(u->arena, full), 0700, err) != CM_OK)
        return err ? err->code : CM_IO;
    return write_file(u, full, (archive_entry_perm(e) & 0100) ? 0700 : 0600, err);
}

static void free_reader(void *in)
{
    archive_read_free(in);
}

enum cm_code tf_unpack(struct cm_str data, const char *dest, enum tf_unpack_kind kind,
                       unsigned *ret_skipped, struct cm_err *err)
{
    CM_AUTO(cm_arena) arena = cm_arena_new();
    struct unpacking u = {.arena = arena, .dest = dest, .kind = kind, .archive_bytes = data.len};
    if (data.len > TF_ARCHIVE_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "the archive is larger than %zu MiB",
                          TF_ARCHIVE_MAX >> 20);
    u.in = archive_read_new();
    cm_arena_defer(arena, free_reader, u.in);
    archive_read_support_format_tar(u.in);
    if (archive_read_open_memory(u.in, data.ptr, data.len) != ARCHIVE_OK)
        return cm_err_set(err, CM_INVALID, "the template is not a tar archive: %s",
                          archive_error_string(u.in));
    for (;;) {
        struct archive_entry *e = NULL;
        int r = archive_read_next_header(u.in, &e);
        if (r == ARCHIVE_EOF)
            break;
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
            return cm_err_set(err, CM_INVALID, "the archive is broken: %s",
                              archive_error_string(u.in));
        enum cm_code code = unpack_entry(&u, e, err);
        if (code != CM_OK)
            return code;
    }
    if (ret_skipped)
        *ret_skipped = u.skipped;
    return CM_OK;
}
