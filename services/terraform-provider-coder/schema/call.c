#include "schema/call.h"

#include <openssl/evp.h>
#include <stdarg.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/uuid.h"

static struct path path_push(struct path p, struct path_step step)
{
    if (p.sealed)
        return p;
    cm_assert(p.n < PATH_STEPS_MAX); /* the tables nest less deeply */
    p.steps[p.n++] = step;
    return p;
}

struct path path_name(struct path p, const char *name)
{
    return path_push(p, (struct path_step){.name = cm_str(name)});
}

struct path path_index(struct path p, size_t index)
{
    return path_push(p, (struct path_step){.name = CM_STR_NONE, .index = (int64_t)index});
}

struct path path_seal(struct path p)
{
    p.sealed = true;
    return p;
}

void call_init(struct call *c, struct cm_arena *arena, const struct environment *env,
               struct cm_str access_url)
{
    *c = (struct call){.arena = arena, .env = env, .access_url = access_url};
    c->tail = &c->first;
}

static CM_PRINTF(4, 0) struct diag *add_diag(struct call *c, bool warning, struct path at,
                                             const char *fmt, va_list ap)
{
    struct diag *d = CM_NEW(c->arena, struct diag);
    d->warning = warning;
    d->path = at;
    d->detail = CM_STR("");
    d->summary = cm_str(cm_arena_vprintf(c->arena, fmt, ap));
    if (!warning)
        c->failed = true;
    if (c->n_diags < CALL_DIAGS_MAX) {
        *c->tail = d;
        c->tail = &d->next;
    }
    c->n_diags++;
    return d;
}

struct diag *call_error(struct call *c, struct path at, const char *summary, ...)
{
    va_list ap;
    va_start(ap, summary);
    struct diag *d = add_diag(c, false, at, summary, ap);
    va_end(ap);
    return d;
}

struct diag *call_warning(struct call *c, struct path at, const char *summary, ...)
{
    va_list ap;
    va_start(ap, summary);
    struct diag *d = add_diag(c, true, at, summary, ap);
    va_end(ap);
    return d;
}

struct cm_str call_env(const struct call *c, const char *name, bool *exists)
{
    size_t n = strlen(name);
    for (const char *const *v = c->env->vars; v && *v; v++) {
        if (strncmp(*v, name, n) == 0 && (*v)[n] == '=') {
            if (exists)
                *exists = true;
            return cm_str(*v + n + 1);
        }
    }
    if (exists)
        *exists = false;
    return CM_STR("");
}

struct cm_str call_env_or(const struct call *c, const char *name, const char *otherwise)
{
    struct cm_str s = call_env(c, name, NULL);
    return s.len ? s : cm_str(otherwise);
}

struct value call_new_uuid(struct call *c)
{
    return value_of_cstr(cm_arena_cstr(c->arena, cm_str(cm_uuid_text(cm_uuid_random()).s)));
}

struct cm_str call_sha256(struct call *c, struct cm_str s)
{
    unsigned char digest[32];
    unsigned int n = 0;
    int ok = EVP_Digest(s.ptr, s.len, digest, &n, EVP_sha256(), NULL);
    cm_assert(ok == 1 && n == sizeof(digest));
    CM_AUTOBUF struct cm_buf hex = CM_BUF_INIT(64);
    cm_hex_encode(&hex, digest, sizeof(digest));
    return cm_arena_str(c->arena, cm_buf_view(&hex));
}

struct cm_str call_quote(struct call *c, struct cm_str s)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(s.len * 4 + 2);
    cm_buf_char(&b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];
        if (ch == '"' || ch == '\\') {
            cm_buf_char(&b, '\\');
            cm_buf_char(&b, (char)ch);
        } else if (ch == '\n') {
            cm_buf_cstr(&b, "\\n");
        } else if (ch == '\t') {
            cm_buf_cstr(&b, "\\t");
        } else if (ch == '\r') {
            cm_buf_cstr(&b, "\\r");
        } else if (ch < 0x20 || ch == 0x7f) {
            cm_buf_printf(&b, "\\x%02x", ch);
        } else {
            cm_buf_char(&b, (char)ch);
        }
    }
    cm_buf_char(&b, '"');
    return cm_arena_str(c->arena, cm_buf_view(&b));
}
