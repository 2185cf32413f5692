#include "manifest/manifest.h"

#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "base/buf.h"
#include "base/uuid.h"
#include "sys/fs.h"

static void *arena_alloc(void *a, size_t n)
{
    return cm_arena_alloc(a, n);
}

static void arena_keep(void *a, void *p)
{
    (void)a;
    (void)p;
}

static const Coder__Agent__V1__Manifest *unpack(struct cm_arena *a, const void *data, size_t n)
{
    ProtobufCAllocator alloc = {.alloc = arena_alloc, .free = arena_keep, .allocator_data = a};
    return coder__agent__v1__manifest__unpack(&alloc, n, data);
}

static uint8_t *pack(const Coder__Agent__V1__Manifest *m, size_t *ret_n)
{
    *ret_n = coder__agent__v1__manifest__get_packed_size(m);
    uint8_t *data = cm_xmalloc(*ret_n + 1);
    coder__agent__v1__manifest__pack(m, data);
    return data;
}

bool manifest_same(const Coder__Agent__V1__Manifest *a, const Coder__Agent__V1__Manifest *b)
{
    size_t na, nb;
    CM_AUTOFREE uint8_t *pa = pack(a, &na);
    CM_AUTOFREE uint8_t *pb = pack(b, &nb);
    return na == nb && memcmp(pa, pb, na) == 0;
}

/* The environment. */

struct list {
    struct cm_arena *a;
    Coder__Agent__V1__Variable **v;
    size_t n, cap;
};

static struct list list_new(struct cm_arena *a, size_t cap)
{
    return (struct list){
        .a = a, .v = CM_NEW_ARRAY(a, Coder__Agent__V1__Variable *, cap + 1), .cap = cap};
}

static void add(struct list *l, const char *name, const char *value)
{
    cm_assert(l->n < l->cap);
    Coder__Agent__V1__Variable *v = CM_NEW(l->a, Coder__Agent__V1__Variable);
    coder__agent__v1__variable__init(v);
    v->name = cm_arena_cstr(l->a, cm_str(name));
    v->value = cm_arena_cstr(l->a, cm_str(value ? value : ""));
    l->v[l->n++] = v;
}

static char *uuid_text(struct cm_arena *a, ProtobufCBinaryData b)
{
    struct cm_uuid u = {{0}};
    if (b.len == sizeof(u.b))
        memcpy(u.b, b.data, sizeof(u.b));
    return cm_arena_cstr(a, cm_str(cm_uuid_text(u).s));
}

static const Coder__Agent__V1__CommandEnvironment *build(struct cm_arena *a,
                                                         const Coder__Agent__V1__Manifest *m,
                                                         const struct manifest_process *p)
{
    Coder__Agent__V1__CommandEnvironment *e = CM_NEW(a, Coder__Agent__V1__CommandEnvironment);
    coder__agent__v1__command_environment__init(e);
    struct list coder = list_new(a, 16), manifest = list_new(a, m->n_environment),
                last = list_new(a, 2);
    add(&coder, "CODER", "true");
    add(&coder, "CODER_WORKSPACE_NAME", m->workspace_name);
    add(&coder, "CODER_WORKSPACE_AGENT_NAME", m->agent_name);
    add(&coder, "CODER_WORKSPACE_OWNER_NAME", m->owner_name);
    add(&coder, "CODER_WORKSPACE_ID", uuid_text(a, m->workspace_id));
    add(&coder, "CODER_AGENT_TOKEN", p->token);
    add(&coder, "CODER_AGENT_URL", p->url);
    add(&coder, "CS_DISABLE_GETTING_STARTED_OVERRIDE", "true");
    if (p->exe)
        add(&coder, "GIT_SSH_COMMAND", cm_arena_printf(a, "%s gitssh --", p->exe));
    if (m->vscode_port_proxy_uri && *m->vscode_port_proxy_uri)
        add(&coder, "VSCODE_PROXY_URI", m->vscode_port_proxy_uri);
    for (size_t i = 0; i < m->n_environment; i++)
        add(&manifest, m->environment[i]->name, m->environment[i]->value);
    if (p->exe)
        add(&last, "GIT_ASKPASS", p->exe);
    e->coder = coder.v;
    e->n_coder = coder.n;
    e->manifest = manifest.v;
    e->n_manifest = manifest.n;
    e->last = last.v;
    e->n_last = last.n;
    e->path_first = cm_arena_cstr(a, cm_str(p->script_bin));
    e->path_last = cm_arena_cstr(a, cm_str(p->exe_dir));
    e->directory = m->directory;
    e->has_set_priority = e->has_nice = e->has_oom_score_adj = true;
    e->set_priority = p->set_priority;
    e->nice = p->nice;
    e->oom_score_adj = p->oom_score_adj;
    return e;
}

static struct manifest *from_bytes(const void *data, size_t n, const struct manifest_process *p)
{
    struct manifest *m = cm_xcalloc(1, sizeof(*m));
    m->arena = cm_arena_new();
    m->message = unpack(m->arena, data, n);
    if (!m->message) {
        manifest_free(m);
        return NULL;
    }
    m->environment = build(m->arena, m->message, p);
    return m;
}

struct manifest *manifest_new(const Coder__Agent__V1__Manifest *msg,
                              const struct manifest_process *p)
{
    size_t n;
    CM_AUTOFREE uint8_t *data = pack(msg, &n);
    struct manifest *m = from_bytes(data, n, p);
    cm_assert(m);
    return m;
}

void manifest_free(struct manifest *m)
{
    if (!m)
        return;
    cm_arena_free(m->arena);
    cm_free(m);
}

/* On disk: the token's SHA-256, then the message. */

enum cm_code manifest_save(const char *path, const char *token, const Coder__Agent__V1__Manifest *m,
                           struct cm_err *err)
{
    uint8_t owner[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)token, strlen(token), owner);
    size_t n;
    CM_AUTOFREE uint8_t *data = pack(m, &n);
    CM_AUTOBUF struct cm_buf file = CM_BUF_INIT(MANIFEST_MAX);
    file.wipe = true;
    cm_buf_append(&file, owner, sizeof(owner));
    cm_buf_append(&file, data, n);
    if (cm_buf_check(&file, "manifest", err) != CM_OK)
        return CM_TOO_LARGE;
    CM_AUTO(cm_arena) a = cm_arena_new();
    enum cm_code code = cm_fs_mkdirs(cm_fs_dirname(a, path), 0700, err);
    return code == CM_OK ? cm_fs_write(path, cm_buf_view(&file), 0600, false, err) : code;
}

enum cm_code manifest_load(const char *path, const char *token, const struct manifest_process *p,
                           struct manifest **ret, struct cm_err *err)
{
    uint8_t owner[SHA256_DIGEST_LENGTH];
    struct stat st;
    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 077))
        return cm_err_set(err, CM_NOT_FOUND, "there is no manifest of ours at %s", path);
    CM_AUTOBUF struct cm_buf file = CM_BUF_INIT(MANIFEST_MAX);
    file.wipe = true;
    enum cm_code code = cm_fs_read(path, &file, err);
    if (code != CM_OK)
        return code;
    SHA256((const uint8_t *)token, strlen(token), owner);
    if (file.len < sizeof(owner) || memcmp(file.ptr, owner, sizeof(owner)) != 0)
        return cm_err_set(err, CM_NOT_FOUND, "the manifest at %s is another agent's", path);
    struct manifest *m = from_bytes(file.ptr + sizeof(owner), file.len - sizeof(owner), p);
    if (!m)
        return cm_err_set(err, CM_INVALID, "the manifest at %s does not parse", path);
    *ret = m;
    return CM_OK;
}
