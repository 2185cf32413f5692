#include "domain/archive.h"

#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/str.h"

#define BLOCK ((size_t)64 * 1024)

static void reader_done(struct archive **a)
{
    if (*a)
        archive_read_free(*a);
}
static void writer_done(struct archive **a)
{
    if (*a)
        archive_write_free(*a);
}

static enum cm_code broken(struct archive *a, const char *kind, struct cm_err *err)
{
    const char *why = archive_error_string(a);
    return cm_err_set(err, CM_INVALID, "the upload is not a readable %s archive: %s", kind,
                      why ? why : "unknown format");
}

/* Relative, without a .. segment, not empty, no NUL or backslash tricks. */
static bool is_local(const char *name)
{
    struct cm_str rest = cm_str(name), seg;
    if (!rest.len || rest.ptr[0] == '/' || cm_str_find(rest, '\\') >= 0)
        return false;
    while (rest.ptr) {
        rest = cm_str_split(rest, '/', &seg);
        if (cm_str_eq_c(seg, ".."))
            return false;
    }
    return true;
}

struct totals {
    uint64_t bytes;
    size_t entries;
};

static enum cm_code check_entry(struct archive_entry *e, struct totals *t, struct cm_err *err)
{
    const char *name = archive_entry_pathname(e);
    if (!name)
        return cm_err_set(err, CM_INVALID,
                          "the archive holds an entry whose name is not valid UTF-8");
    if (!is_local(name))
        return cm_err_set(err, CM_INVALID,
                          "the archive holds \"%.200s\", which leads out of its folder", name);
    if (archive_entry_hardlink(e) || archive_entry_filetype(e) == AE_IFLNK)
        return cm_err_set(err, CM_INVALID,
                          "the archive holds the link \"%.200s\"; put the file itself in its place",
                          name);
    if (archive_entry_filetype(e) != AE_IFREG && archive_entry_filetype(e) != AE_IFDIR)
        return cm_err_set(err, CM_INVALID,
                          "the archive holds \"%.200s\", which is neither a file nor a folder",
                          name);
    if (++t->entries > ARCHIVE_ENTRIES_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "the archive holds more than %d entries",
                          ARCHIVE_ENTRIES_MAX);
    return CM_OK;
}

static enum cm_code add_bytes(struct totals *t, int64_t n, struct cm_err *err)
{
    if (n > 0)
        t->bytes += (uint64_t)n;
    if (t->bytes > ARCHIVE_BYTES_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "the archive expands to more than %llu MiB",
                          (unsigned long long)(ARCHIVE_BYTES_MAX >> 20));
    return CM_OK;
}

static enum cm_code open_reader(int fd, enum archive_kind kind, struct archive *a,
                                struct cm_err *err)
{
    if (kind == ARCHIVE_TAR)
        archive_read_support_format_tar(a);
    else
        archive_read_support_format_zip(a);
    if (lseek(fd, 0, SEEK_SET) != 0 || archive_read_open_fd(a, fd, BLOCK) != ARCHIVE_OK)
        return broken(a, kind == ARCHIVE_TAR ? "tar" : "zip", err);
    return CM_OK;
}

/* Walks all entries of in; with out, copies them there. */
static enum cm_code walk(struct archive *in, const char *kind, struct archive *out,
                         struct cm_err *err)
{
    struct totals t = {0};
    struct archive_entry *e;
    int rc;
    while ((rc = archive_read_next_header(in, &e)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
        if (check_entry(e, &t, err) != CM_OK || add_bytes(&t, archive_entry_size(e), err) != CM_OK)
            return err->code;
        if (out && archive_write_header(out, e) < ARCHIVE_WARN)
            return cm_err_set(err, CM_IO, "convert the archive: %s", archive_error_string(out));
        const void *block;
        size_t len;
        la_int64_t offset;
        uint64_t seen = 0;
        while ((rc = archive_read_data_block(in, &block, &len, &offset)) == ARCHIVE_OK) {
            seen += len;
            /* What an entry says of its size and what comes out need not agree in a hostile zip. */
            if (seen > ARCHIVE_BYTES_MAX ||
                (!archive_entry_size_is_set(e) && add_bytes(&t, (int64_t)len, err) != CM_OK))
                return cm_err_set(err, CM_TOO_LARGE, "the archive expands to more than %llu MiB",
                                  (unsigned long long)(ARCHIVE_BYTES_MAX >> 20));
            if (out && archive_write_data(out, block, len) < 0)
                return cm_err_set(err, CM_IO, "convert the archive: %s", archive_error_string(out));
        }
        if (rc != ARCHIVE_EOF)
            return broken(in, kind, err);
    }
    return rc == ARCHIVE_EOF ? CM_OK : broken(in, kind, err);
}

enum cm_code archive_check_tar(int fd, struct cm_err *err)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_size == 0)
        return CM_OK;
    CM_CLEANUP(reader_done) struct archive *in = archive_read_new();
    if (open_reader(fd, ARCHIVE_TAR, in, err) != CM_OK)
        return err->code;
    return walk(in, "tar", NULL, err);
}

static enum cm_code convert(int from_fd, enum archive_kind from, int to_fd, struct cm_err *err)
{
    CM_CLEANUP(reader_done) struct archive *in = archive_read_new();
    CM_CLEANUP(writer_done) struct archive *out = archive_write_new();
    if (open_reader(from_fd, from, in, err) != CM_OK)
        return err->code;
    if (from == ARCHIVE_ZIP)
        archive_write_set_format_pax_restricted(out);
    else
        archive_write_set_format_zip(out);
    archive_write_set_bytes_in_last_block(out, 1);
    if (archive_write_open_fd(out, to_fd) != ARCHIVE_OK)
        return cm_err_set(err, CM_IO, "convert the archive: %s", archive_error_string(out));
    if (walk(in, from == ARCHIVE_TAR ? "tar" : "zip", out, err) != CM_OK)
        return err->code;
    if (archive_write_close(out) != ARCHIVE_OK)
        return cm_err_set(err, CM_IO, "convert the archive: %s", archive_error_string(out));
    return CM_OK;
}

enum cm_code archive_zip_to_tar(int zip_fd, int tar_fd, struct cm_err *err)
{
    return convert(zip_fd, ARCHIVE_ZIP, tar_fd, err);
}

enum cm_code archive_tar_to_zip(int tar_fd, int zip_fd, struct cm_err *err)
{
    return convert(tar_fd, ARCHIVE_TAR, zip_fd, err);
}

enum cm_code archive_texts(struct cm_arena *a, struct cm_str tar, size_t file_max, size_t total_max,
                           struct cm_pair **ret, size_t *ret_n, struct cm_err *err)
{
    CM_CLEANUP(reader_done) struct archive *in = archive_read_new();
    struct archive_entry *e;
    size_t cap = 64, total = 0;
    int rc = ARCHIVE_EOF;
    *ret = CM_NEW_ARRAY(a, struct cm_pair, cap);
    *ret_n = 0;
    archive_read_support_format_tar(in);
    if (tar.len && archive_read_open_memory(in, tar.ptr, tar.len) != ARCHIVE_OK)
        return broken(in, "tar", err);
    while (tar.len && (rc = archive_read_next_header(in, &e)) >= ARCHIVE_WARN &&
           rc != ARCHIVE_EOF) {
        const char *name = archive_entry_pathname(e);
        int64_t size = archive_entry_size(e);
        if (archive_entry_filetype(e) != AE_IFREG || !name || size < 0 ||
            (uint64_t)size > file_max || (uint64_t)size > total_max - total)
            continue;
        char *text = cm_arena_alloc(a, (size_t)size + 1);
        if (archive_read_data(in, text, (size_t)size) != size)
            return broken(in, "tar", err);
        if (!cm_str_is_utf8(cm_str_n(text, (size_t)size)))
            continue;
        total += (size_t)size;
        while (name[0] == '.' && name[1] == '/')
            name += 2;
        if (*ret_n == cap) {
            struct cm_pair *more = CM_NEW_ARRAY(a, struct cm_pair, cap * 2);
            memcpy(more, *ret, cap * sizeof(*more));
            *ret = more;
            cap *= 2;
        }
        (*ret)[(*ret_n)++] =
            (struct cm_pair){cm_arena_str(a, cm_str(name)), cm_str_n(text, (size_t)size)};
    }
    return rc == ARCHIVE_EOF ? CM_OK : broken(in, "tar", err);
}
