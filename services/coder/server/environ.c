#include "server/environ.h"

#include <unistd.h>

#include "sys/fs.h"

#define EXTRA_MAX 128 /* more than there are options */

struct list {
    struct cm_arena *a;
    const char **v;
    size_t n, max;
};

static bool has_name(const char *entry, const char *name)
{
    size_t n = strlen(name);
    return n && strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static bool is_option(const struct cm_opt *rows, size_t n, const char *entry)
{
    char name[CM_OPT_ENV_MAX];
    for (size_t i = 0; i < n; i++)
        if (has_name(entry, cm_opt_env(&rows[i], name)))
            return true;
    return false;
}

/* drop_libpq: PGHOST and its like would mix with our own database's URL. */
static struct list inherited(struct cm_arena *a, bool drop_libpq)
{
    struct list l = {.a = a};
    size_t n = 0;
    while (environ[n])
        n++;
    l.max = n + EXTRA_MAX;
    l.v = CM_NEW_ARRAY(a, const char *, l.max + 1);
    for (size_t i = 0; i < n; i++) {
        const char *e = environ[i];
        if (is_option(settings_rows, settings_row_count, e) ||
            is_option(coderd_option_rows, coderd_option_row_count, e) ||
            (drop_libpq && strncmp(e, "PG", 2) == 0))
            continue;
        l.v[l.n++] = e;
    }
    return l;
}

static void add(struct list *l, const char *name, const char *value)
{
    for (size_t i = 0; i < l->n; i++) {
        if (has_name(l->v[i], name)) {
            l->v[i] = cm_arena_printf(l->a, "%s=%s", name, value);
            return;
        }
    }
    cm_assert(l->n < l->max);
    l->v[l->n++] = cm_arena_printf(l->a, "%s=%s", name, value);
}

static void add_options(struct list *l, const struct settings *s)
{
    for (size_t i = 0; i < coderd_option_row_count; i++) {
        const struct cm_opt *row = &coderd_option_rows[i];
        char name[CM_OPT_ENV_MAX];
        if (!row->flag || !cm_conf_given(s->conf, row->flag))
            continue;
        cm_opt_env(row, name);
        if (row->flags & CM_OPT_SECRET) {
            const char *const *text = (const void *)((const char *)&s->coderd + row->offset);
            add(l, name, *text);
            continue;
        }
        CM_AUTOBUF struct cm_buf value = CM_BUF_INIT((size_t)64 << 10);
        cm_conf_value_text(row, &s->coderd, &value);
        add(l, name, cm_arena_cstr(l->a, cm_buf_view(&value)));
    }
}

const char *const *environ_coderd(struct cm_arena *a, const struct settings *s,
                                  const struct layout *l, const char *database_url, int ready_fd)
{
    struct list e = inherited(a, database_url != NULL);
    add_options(&e, s);
    if (database_url)
        add(&e, "CODER_PG_CONNECTION_URL", database_url);
    if (!s->coderd.bin_dir[0])
        add(&e, "CODER_BIN_DIR", l->bin_dir);
    if (s->verbose)
        add(&e, "CODER_LOG_LEVEL", "debug");
    add(&e, "CODER_CACHE_DIRECTORY", cm_fs_join(a, l->cache_dir, "coderd"));
    add(&e, "CODER_PROVISIONER_SOCKET", l->provisioner_socket);
    add(&e, "CODER_READY_FD", cm_arena_printf(a, "%d", ready_fd));
    if (l->other_user) {
        add(&e, "HOME", cm_fs_join(a, l->cache_dir, "coderd"));
        add(&e, "USER", l->user.name);
    }
    return e.v;
}

const char *const *environ_provisionerd(struct cm_arena *a, const struct settings *s,
                                        const struct layout *l, size_t index)
{
    char host[256] = "";
    struct list e = inherited(a, true);
    if (gethostname(host, sizeof(host) - 1) != 0 || !host[0])
        memcpy(host, "builtin", sizeof("builtin"));
    add(&e, "CODER_URL", cm_arena_printf(a, "ipc://%s", l->provisioner_socket));
    add(&e, "CODER_CACHE_DIRECTORY", cm_arena_printf(a, "%s/provisioner-%zu", l->cache_dir, index));
    add(&e, "CODER_PROVISIONER_DAEMON_NAME", cm_arena_printf(a, "%s-%zu", host, index));
    if (s->verbose)
        add(&e, "CODER_VERBOSE", "true");
    return e.v;
}

const char *const *environ_database(struct cm_arena *a, const char *database_url)
{
    struct list e = inherited(a, true);
    add(&e, "CODER_PG_CONNECTION_URL", database_url);
    return e.v;
}
