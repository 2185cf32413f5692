/* Template archives: upload and download. Source: api-behaviour reference, 4.6. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "api/file_store.h"
#include "api/files.h"
#include "api/targets.h"
#include "api/template_load.h"
#include "base/enc.h"
#include "domain/archive.h"
#include "store/files.h"

#define CHUNK    ((size_t)1024 * 1024)
#define TAR_TYPE "application/x-tar"
#define ZIP_TYPE "application/zip"

static void fd_close(void *fd)
{
    close((int)(intptr_t)fd);
}

static int memory_file(struct api_req *r)
{
    int fd = memfd_create("archive", MFD_CLOEXEC);
    if (fd >= 0)
        cm_arena_defer(r->arena, fd_close, (void *)(intptr_t)fd);
    return fd;
}

/* Reads up to CHUNK bytes at the descriptor's position; short only at the end. */
static enum cm_code read_chunk(int fd, char *buf, size_t *ret_n, struct cm_err *err)
{
    size_t n = 0;
    while (n < CHUNK) {
        ssize_t got = read(fd, buf + n, CHUNK - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cm_err_errno(err, CM_IO, "read the upload");
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return CM_OK;
}

static enum cm_code hash_file(struct api_req *r, int fd, char *buf, struct cm_str *ret,
                              struct cm_err *err)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    cm_assert(md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1);
    enum cm_code code;
    size_t n;
    lseek(fd, 0, SEEK_SET);
    while ((code = read_chunk(fd, buf, &n, err)) == CM_OK && n)
        cm_assert(EVP_DigestUpdate(md, buf, n) == 1);
    uint8_t sum[32];
    cm_assert(EVP_DigestFinal_ex(md, sum, NULL) == 1);
    EVP_MD_CTX_free(md);
    CM_AUTOBUF struct cm_buf hex = CM_BUF_INIT(64);
    cm_hex_encode(&hex, sum, sizeof(sum));
    *ret = cm_arena_str(r->arena, cm_buf_view(&hex));
    return code;
}

static enum cm_code store_content(struct api_req *r, struct cm_uuid id, int fd, char *buf,
                                  struct cm_err *err)
{
    lseek(fd, 0, SEEK_SET);
    for (int64_t k = 0;; k++) {
        size_t n;
        if (read_chunk(fd, buf, &n, err) != CM_OK)
            return err->code;
        if (n == 0)
            return CM_OK;
        CM_AUTO(cm_arena) scratch = cm_arena_new();
        if (store_file_chunk_insert(r->db, scratch, id, k, cm_str_n(buf, n), NULL, err) != CM_OK)
            return err->code;
    }
}

static enum cm_code reply_id(struct api_req *r, int status, struct cm_uuid id)
{
    struct api_upload_response out = {.hash = id};
    return api_reply(r, status, &api_upload_response_msg, &out);
}

enum cm_code file_store(struct api_req *r, int fd, struct cm_uuid *ret_id, bool *ret_new,
                        struct cm_err *err)
{
    char *buf = cm_arena_alloc(r->arena, CHUNK);
    struct cm_str hash;
    struct store_file *old = NULL;
    struct stat st;
    if (hash_file(r, fd, buf, &hash, err) != CM_OK ||
        store_file_by_hash(r->db, r->arena, hash, r->who->user_id, &old, err) != CM_OK)
        return err->code;
    *ret_new = !old;
    if (old) {
        *ret_id = old->id;
        return CM_OK;
    }
    if (fstat(fd, &st) != 0)
        return cm_err_errno(err, CM_IO, "size of the upload");
    struct cm_uuid id = cm_uuid_random();
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK)
        return err->code;
    if (store_file_insert(r->db, r->arena, id, hash, r->who->user_id, CM_STR(TAR_TYPE), st.st_size,
                          NULL, err) != CM_OK) {
        if (err->code != CM_CONFLICT)
            return err->code;
        cm_db_tx_free(CM_TAKE(tx)); /* the same upload, twice at once: the other one's id will do */
        if (store_file_by_hash(r->db, r->arena, hash, r->who->user_id, &old, err) != CM_OK)
            return err->code;
        if (!old)
            return cm_err_set(err, CM_CONFLICT, "The file is being uploaded already.");
        *ret_new = false;
        *ret_id = old->id;
        return CM_OK;
    }
    if (store_content(r, id, fd, buf, err) != CM_OK || cm_db_tx_commit(tx, err) != CM_OK)
        return err->code;
    *ret_id = id;
    return CM_OK;
}

static enum cm_code file_upload(struct api_req *r, struct cm_err *err)
{
    struct rbac_object o = object_owned(RBAC_file, r->who->user_id);
    if (api_authorize(r, &o, err) != CM_OK)
        return err->code;
    struct cm_str type = cm_http_header(&r->http->head, "content-type");
    bool zip = cm_str_eq_c(type, ZIP_TYPE) || cm_str_eq_c(type, "application/x-zip-compressed");
    if (!zip && !cm_str_eq_c(type, TAR_TYPE))
        return cm_err_set(err, CM_INVALID,
                          "Unsupported content type header \"%.*s\"; send " TAR_TYPE " or " ZIP_TYPE
                          ".",
                          (int)CM_MIN(type.len, (size_t)100), type.ptr ? type.ptr : "");
    int fd = r->http->spool_fd;
    if (fd < 0 && (fd = memory_file(r)) < 0)
        return cm_err_errno(err, CM_IO, "memory for the upload");
    if (zip) {
        int tar = memory_file(r);
        if (tar < 0)
            return cm_err_errno(err, CM_IO, "memory for the archive");
        if (archive_zip_to_tar(fd, tar, err) != CM_OK)
            return err->code;
        fd = tar;
    } else if (archive_check_tar(fd, err) != CM_OK) {
        return err->code;
    }
    struct cm_uuid id;
    bool fresh;
    if (file_store(r, fd, &id, &fresh, err) != CM_OK)
        return err->code;
    return reply_id(r, fresh ? 201 : 200, id);
}

enum cm_code file_object(struct api_req *r, const struct store_file *f, struct rbac_object *ret,
                         struct cm_err *err)
{
    struct cm_uuid *templates = NULL;
    size_t n = 0;
    *ret = object_owned(RBAC_file, f->created_by);
    if (api_may(r, RBAC_do_read, ret))
        return CM_OK;
    if (store_templates_of_file(r->db, r->arena, f->id, &templates, &n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct store_template *t = NULL;
        if (template_load(r, templates[i], &t, err) != CM_OK)
            return err->code;
        struct rbac_object o = template_object(r, t);
        if (api_may(r, RBAC_do_read, &o))
            ret->acl_actions |= (uint32_t)RBAC_do_read;
    }
    return CM_OK;
}

/* Puts all pieces of a file together; uploads are bounded by ARCHIVE_BYTES_MAX. */
static enum cm_code load_content(struct api_req *r, struct cm_uuid id, struct cm_buf *out,
                                 struct cm_err *err)
{
    for (int64_t k = 0;; k++) {
        CM_AUTO(cm_arena) scratch = cm_arena_new();
        struct cm_str *piece = NULL;
        if (store_file_chunk_get(r->db, scratch, id, k, &piece, err) != CM_OK)
            return err->code;
        if (!piece)
            return cm_buf_check(out, "the file", err);
        cm_buf_str(out, *piece);
    }
}

static enum cm_code as_zip(struct api_req *r, struct cm_str tar, struct cm_str *ret,
                           struct cm_err *err)
{
    int in = memory_file(r), out = memory_file(r);
    if (in < 0 || out < 0 || write(in, tar.ptr, tar.len) != (ssize_t)tar.len)
        return cm_err_errno(err, CM_IO, "memory for the archive");
    if (archive_tar_to_zip(in, out, err) != CM_OK)
        return err->code;
    off_t size = lseek(out, 0, SEEK_END);
    char *data = cm_arena_alloc(r->arena, (size_t)size);
    if (pread(out, data, (size_t)size, 0) != size)
        return cm_err_errno(err, CM_IO, "read the archive");
    *ret = cm_str_n(data, (size_t)size);
    return CM_OK;
}

static enum cm_code file_download(struct api_req *r, struct cm_err *err)
{
    struct cm_uuid id;
    struct store_file *f = NULL;
    if (api_param_uuid(r, 0, &id, err) != CM_OK)
        return err->code;
    struct cm_str format = api_query(r, "format");
    bool zip = cm_str_eq_c(format, "zip");
    if (format.len && !zip)
        return cm_err_set(err, CM_INVALID, "Unsupported conversion format \"%.*s\"; only zip is.",
                          (int)CM_MIN(format.len, (size_t)32), format.ptr);
    enum cm_code code = store_file_by_id(r->db, r->arena, id, &f, err);
    if (code != CM_OK)
        return code == CM_NOT_FOUND ? api_not_found(err) : code;
    struct rbac_object o;
    if (file_object(r, f, &o, err) != CM_OK || api_authorize(r, &o, err) != CM_OK)
        return err->code;
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(ARCHIVE_BYTES_MAX + 1024 * 1024);
    if (load_content(r, id, &b, err) != CM_OK)
        return err->code;
    size_t len = b.len;
    char *data = cm_buf_take(&b);
    cm_arena_defer(r->arena, cm_free, data);
    struct cm_str body = cm_str_n(data, len);
    if (zip && as_zip(r, body, &body, err) != CM_OK)
        return err->code;
    return api_reply_raw(r, 200, zip ? ZIP_TYPE : TAR_TYPE, body);
}

static const struct route rows[] = {
    {CM_HTTP_POST, "/api/v2/files", AUTH_SESSION, RBAC(file, create), ROUTE_CALL, file_upload, NULL,
     "Upload an archive", LIMIT_FILES, ARCHIVE_BYTES_MAX, true},
    {CM_HTTP_GET, "/api/v2/files/{file}", AUTH_SESSION, RBAC(file, read), ROUTE_CALL, file_download,
     NULL, "Download an archive", LIMIT_FILES, 0, false},
};

const struct route_table files_routes = {rows, CM_COUNT_OF(rows)};
