#include "site/site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <zlib.h>

#include "app.h"
#include "base/embedded.h"
#include "base/enc.h"
#include "base/random.h"
#include "base/version.h"
#include "obs/log.h"

extern const struct cm_embedded_file site_files[]; /* of site/pages/ */

#define BINARIES_MAX 4
#define BINARY_BYTES ((size_t)64 * 1024 * 1024)

enum gzip_state { GZIP_NONE, GZIP_WORKING, GZIP_READY };

struct binary {
    char name[64]; /* coder-linux-amd64 */
    const char *map;
    size_t len;
    /* Made by a worker for the first one who asks, who waits for it; others get the plain file
     * until it is ready. */
    char *gzip;
    size_t gzip_len;
    _Atomic(int) gzip_state; /* enum gzip_state */
    /* Quoted SHA-1 of the uncompressed file, as IDE plugins check it; to be read once it is hashed.
     */
    char etag[48];
    atomic_bool hashed;
    struct cm_task hash_task;
    char length[24];
};

struct site {
    struct binary binaries[BINARIES_MAX];
    size_t n;
};

static const char *machine_arch(void)
{
    static const struct {
        const char *uname, *go;
    } names[] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "armv7"}};
    struct utsname u;
    if (uname(&u) == 0) {
        for (size_t i = 0; i < CM_COUNT_OF(names); i++) {
            if (strcmp(u.machine, names[i].uname) == 0)
                return names[i].go;
        }
    }
    return "amd64";
}

/* Half the time of the default level, for two hundredths more bytes: somebody is waiting. */
#define GZIP_LEVEL 4

static void compress_binary(struct cm_task *t, void *thread_ctx)
{
    (void)thread_ctx;
    struct binary *b = cm_container_of(t, struct api_req, task)->state;
    z_stream z = {0};
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        b->gzip_state = GZIP_NONE;
        return;
    }
    size_t cap = deflateBound(&z, b->len);
    b->gzip = cm_xmalloc(cap);
    z.next_in = (Bytef *)(uintptr_t)b->map;
    z.avail_in = (uInt)b->len;
    z.next_out = (Bytef *)b->gzip;
    z.avail_out = (uInt)cap;
    if (deflate(&z, Z_FINISH) == Z_STREAM_END) {
        b->gzip_len = z.total_out;
        b->gzip = cm_xrealloc_array(b->gzip, b->gzip_len, 1);
    }
    deflateEnd(&z);
    madvise((void *)(uintptr_t)b->map, b->len, MADV_DONTNEED);
    b->gzip_state = GZIP_READY;
}

/* Reading has brought a file in; what nobody downloads need not stay in memory. */
static void forget_pages(void *binary)
{
    struct binary *b = binary;
    madvise((void *)(uintptr_t)b->map, b->len, MADV_DONTNEED);
}

static void hash_binary(struct cm_task *t, void *thread_ctx)
{
    (void)thread_ctx;
    struct binary *b = cm_container_of(t, struct binary, hash_task);
    uint8_t sha1[EVP_MAX_MD_SIZE];
    unsigned sha1_len = 0;
    cm_assert(EVP_Digest(b->map, b->len, sha1, &sha1_len, EVP_sha1(), NULL) == 1);
    CM_AUTOBUF struct cm_buf hex = CM_BUF_INIT(2 * sizeof(sha1));
    cm_hex_encode(&hex, sha1, sha1_len);
    snprintf(b->etag, sizeof(b->etag), "\"%s\"", hex.ptr);
    forget_pages(b);
    b->hashed = true;
}

static enum cm_code add_binary(struct site *s, const char *dir, const char *file,
                               const char *prefix, struct cm_err *err)
{
    CM_AUTOFREE char *path = cm_xasprintf("%s/%s", dir, file);
    CM_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? CM_OK : cm_err_errno(err, CM_IO, "open %s", path);
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= 0 || (size_t)st.st_size > BINARY_BYTES)
        return cm_err_set(err, CM_INVALID, "%s is not a program that can be offered for download",
                          path);
    struct binary *b = &s->binaries[s->n];
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return cm_err_errno(err, CM_IO, "read %s", path);
    b->map = map;
    b->len = (size_t)st.st_size;
    snprintf(b->name, sizeof(b->name), "%s-linux-%s", prefix, machine_arch());
    snprintf(b->length, sizeof(b->length), "%zu", b->len);
    s->n++;
    return CM_OK;
}

enum cm_code site_new(const char *bin_dir, struct site **ret, struct cm_err *err)
{
    CM_AUTO(site) s = cm_xcalloc(1, sizeof(*s));
    if (add_binary(s, bin_dir, "coder", "coder", err) != CM_OK ||
        add_binary(s, bin_dir, "coder-agent", "coder-agent", err) != CM_OK)
        return err->code;
    *ret = CM_TAKE(s);
    return CM_OK;
}

void site_fingerprint(struct site *s, struct cm_pool *workers)
{
    for (size_t i = 0; i < s->n; i++) {
        struct cm_err err;
        s->binaries[i].hash_task.work = hash_binary;
        if (cm_pool_submit(workers, &s->binaries[i].hash_task, &err) != CM_OK)
            CM_WARN("a program is offered without ETag", CM_F_ERR(&err));
    }
}

void site_free(struct site *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        munmap((void *)(uintptr_t)s->binaries[i].map, s->binaries[i].len);
        cm_free(s->binaries[i].gzip);
    }
    cm_free(s);
}

static void respond(struct api_req *r, int status, const char *type, struct cm_str body,
                    const struct cm_http_header *extra, size_t n_extra)
{
    struct cm_http_header h[10];
    size_t n = 0;
    h[n++] = (struct cm_http_header){CM_STR("X-Coder-Build-Version"), CM_STR(CM_VERSION)};
    h[n++] = (struct cm_http_header){CM_STR("X-Content-Type-Options"), CM_STR("nosniff")};
    for (size_t i = 0; i < n_extra; i++)
        h[n++] = extra[i];
    cm_http_respond(
        r->http,
        &(struct cm_http_resp){
            .status = status, .content_type = type, .headers = h, .n_headers = n, .body = body});
}

static const struct cm_embedded_file *page_find(const char *name)
{
    for (const struct cm_embedded_file *f = site_files; f->name; f++) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

static struct cm_str html_escape(struct cm_arena *a, struct cm_str s)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(s.len * 6 + 1);
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '<':
            cm_buf_cstr(&b, "&lt;");
            break;
        case '>':
            cm_buf_cstr(&b, "&gt;");
            break;
        case '&':
            cm_buf_cstr(&b, "&amp;");
            break;
        case '"':
            cm_buf_cstr(&b, "&quot;");
            break;
        default:
            cm_buf_char(&b, s.ptr[i]);
        }
    }
    return cm_arena_str(a, cm_buf_view(&b));
}

/* Replaces {{csrf}} and {{access_url}}; nothing else in a page varies. */
static struct cm_str page_fill(struct api_req *r, const struct cm_embedded_file *f,
                               struct cm_str csrf)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(f->len + 8192);
    struct cm_str rest = cm_str_n(f->data, f->len);
    while (rest.len) {
        const char *at = memmem(rest.ptr, rest.len, "{{", 2);
        const char *end = at ? memmem(at, (size_t)(rest.ptr + rest.len - at), "}}", 2) : NULL;
        if (!end) {
            cm_buf_str(&b, rest);
            break;
        }
        cm_buf_append(&b, rest.ptr, (size_t)(at - rest.ptr));
        struct cm_str name = cm_str_n(at + 2, (size_t)(end - at - 2));
        if (cm_str_eq_c(name, "csrf"))
            cm_buf_str(&b, csrf);
        else if (cm_str_eq_c(name, "access_url"))
            cm_buf_str(&b, html_escape(r->arena, cm_str(r->app->access_url)));
        rest = cm_str_sub(rest, (size_t)(end + 2 - rest.ptr), rest.len);
    }
    return cm_arena_str(r->arena, cm_buf_view(&b));
}

static const char HTML[] = "text/html; charset=utf-8";

static void serve_page(struct api_req *r, const char *name)
{
    const struct cm_embedded_file *f = page_find(name);
    cm_assert(f);
    struct cm_str csrf = cm_http_cookie(&r->http->head, "csrf_token");
    bool fresh = csrf.len < 16 || csrf.len > 64;
    for (size_t i = 0; i < csrf.len && !fresh; i++)
        fresh = cm_hex_digit(csrf.ptr[i]) < 0 &&
                !((csrf.ptr[i] | 32) >= 'a' && (csrf.ptr[i] | 32) <= 'z');
    char token[33];
    if (fresh) {
        cm_random_alnum(token, sizeof(token) - 1);
        csrf = cm_str(token);
    }
    struct cm_http_header h[3] = {
        {CM_STR("Content-Security-Policy"),
         CM_STR("default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'")},
        {CM_STR("Cache-Control"), CM_STR("no-store")},
        {CM_STR("Set-Cookie"),
         cm_arena_fmt(r->arena, "csrf_token=%.*s; Path=/; HttpOnly; SameSite=Lax%s",
                      CM_STR_ARG(csrf), r->http->tls ? "; Secure" : "")},
    };
    respond(r, 200, HTML, page_fill(r, f, csrf), h, CM_COUNT_OF(h));
}

/* By weak comparison: a proxy that compresses makes the tag a weak one. */
static bool client_has(const struct api_req *r, const struct binary *b)
{
    const struct cm_http_head *h = &r->http->head;
    CM_AUTOFREE char *weak = cm_xasprintf("W/%s", b->etag);
    return cm_http_header_has(h, "if-none-match", b->etag) ||
           cm_http_header_has(h, "if-none-match", weak) ||
           cm_http_header_has(h, "if-none-match", "*");
}

static const char BINARY[] = "application/octet-stream";

static void send_binary(struct api_req *r, struct binary *b)
{
    const struct cm_http_head *head = &r->http->head;
    const char *etag = b->hashed ? b->etag : NULL;
    struct cm_http_header h[6] = {{CM_STR("X-Original-Content-Length"), cm_str(b->length)},
                                  {CM_STR("Vary"), CM_STR("Accept-Encoding")}};
    size_t n = 2, from = 0, len = b->len;
    int status = 200;
    if (etag)
        h[n++] = (struct cm_http_header){CM_STR("ETag"), cm_str(etag)};
    if (etag && client_has(r, b)) {
        respond(r, 304, NULL, CM_STR_NONE, h, n);
        return;
    }
    switch (cm_http_range(head, etag, b->len, &from, &len)) {
    case CM_HTTP_OUTSIDE:
        h[n++] = (struct cm_http_header){CM_STR("Content-Range"),
                                         cm_arena_fmt(r->arena, "bytes */%zu", b->len)};
        respond(r, 416, NULL, CM_STR_NONE, h, n);
        return;
    case CM_HTTP_PART:
        h[n++] = (struct cm_http_header){
            CM_STR("Content-Range"),
            cm_arena_fmt(r->arena, "bytes %zu-%zu/%zu", from, from + len - 1, b->len)};
        status = 206;
        break;
    case CM_HTTP_WHOLE:
        if (!cm_http_header_has(head, "accept-encoding", "gzip") || b->gzip_state != GZIP_READY ||
            !b->gzip_len)
            break;
        h[n++] = (struct cm_http_header){CM_STR("Content-Encoding"), CM_STR("gzip")};
        respond(r, 200, BINARY, cm_str_n(b->gzip, b->gzip_len), h, n);
        return;
    }
    h[n++] = (struct cm_http_header){CM_STR("Accept-Ranges"), CM_STR("bytes")};
    /* The request lives until its last byte is sent. */
    cm_arena_defer(r->arena, forget_pages, b);
    respond(r, status, BINARY, cm_str_n(b->map + from, len), h, n);
}

static void compressed(struct cm_task *t)
{
    struct api_req *r = cm_container_of(t, struct api_req, task);
    send_binary(r, r->state);
}

/* Whether the request waits now for the file to be compressed. */
static bool wait_for_gzip(struct api_req *r, struct binary *b)
{
    int none = GZIP_NONE;
    if (!cm_http_header_has(&r->http->head, "accept-encoding", "gzip") || client_has(r, b) ||
        !atomic_compare_exchange_strong(&b->gzip_state, &none, GZIP_WORKING))
        return false;
    struct cm_err err;
    r->state = b;
    r->task = (struct cm_task){.work = compress_binary, .done = compressed, .home = r->http->loop};
    r->http->hold = true;
    if (cm_pool_submit(r->app->workers, &r->task, &err) == CM_OK)
        return true;
    r->http->hold = false;
    b->gzip_state = GZIP_NONE;
    return false;
}

static void serve_binary(struct site *s, struct api_req *r, struct cm_str name)
{
    char *wanted = cm_arena_cstr(r->arena, name);
    for (char *p = wanted; *p; p++)
        *p = *p == '_' ? '-' : *p;
    struct binary *b = NULL;
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->binaries[i].name, wanted) == 0)
            b = &s->binaries[i];
    }
    if (!b)
        respond(r, 404, "text/plain; charset=utf-8", CM_STR("404 page not found\n"), NULL, 0);
    else if (!wait_for_gzip(r, b))
        send_binary(r, b);
}

bool site_serve(struct site *s, struct api_req *r)
{
    const struct cm_http_head *head = &r->http->head;
    struct cm_str path = head->path;
    if (head->method != CM_HTTP_GET && head->method != CM_HTTP_HEAD)
        return false;
    if (cm_str_eq_c(path, "/healthz")) {
        respond(r, 200, "text/plain; charset=utf-8", CM_STR("OK"), NULL, 0);
    } else if (cm_str_eq_c(path, "/latency-check")) {
        struct cm_http_header h[] = {{CM_STR("Access-Control-Allow-Origin"), CM_STR("*")},
                                     {CM_STR("Timing-Allow-Origin"), CM_STR("*")}};
        respond(r, 200, "text/plain; charset=utf-8", CM_STR("OK"), h, CM_COUNT_OF(h));
    } else if (cm_str_eq_c(path, "/")) {
        serve_page(r, "home.html");
    } else if (cm_str_eq_c(path, "/login")) {
        serve_page(r, "login.html");
    } else if (cm_str_eq_c(path, "/cli-auth")) {
        serve_page(r, "cli-auth.html");
    } else if (cm_str_starts(path, CM_STR("/static/"))) {
        const struct cm_embedded_file *f =
            page_find(cm_arena_cstr(r->arena, cm_str_sub(path, 8, path.len)));
        if (!f || cm_str_ends(path, CM_STR(".html")))
            return false;
        bool css = cm_str_ends(path, CM_STR(".css"));
        respond(r, 200, css ? "text/css; charset=utf-8" : "text/javascript; charset=utf-8",
                cm_str_n(f->data, f->len), NULL, 0);
    } else if (cm_str_starts(path, CM_STR("/bin/"))) {
        serve_binary(s, r, cm_str_sub(path, 5, path.len));
    } else {
        return false;
    }
    return true;
}
