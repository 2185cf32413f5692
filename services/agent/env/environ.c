#include "env/environ.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/map.h"
#include "sys/fs.h"

struct variable {
    struct cm_str name;
    const char *text; /* NAME=value */
};

struct environ_set {
    struct cm_arena *arena;
    struct cm_map *by_name;
    struct variable **order;
    size_t count, cap;
};

static void free_map(void *m)
{
    cm_map_free(m);
}

struct environ_set *environ_new(struct cm_arena *a)
{
    struct environ_set *e = CM_NEW(a, struct environ_set);
    e->arena = a;
    e->by_name = cm_map_new();
    cm_arena_defer(a, free_map, e->by_name);
    return e;
}

void environ_put(struct environ_set *e, struct cm_str name, struct cm_str value)
{
    if (!name.len || cm_str_find(name, '=') >= 0 || cm_str_find(name, '\0') >= 0 ||
        cm_str_find(value, '\0') >= 0)
        return;
    struct variable *v = cm_map_get(e->by_name, name);
    if (!v) {
        if (e->count == e->cap) {
            size_t cap = e->cap ? e->cap * 2 : 64;
            struct variable **order = CM_NEW_ARRAY(e->arena, struct variable *, cap);
            if (e->count)
                memcpy(order, e->order, e->count * sizeof(*order));
            e->order = order;
            e->cap = cap;
        }
        v = CM_NEW(e->arena, struct variable);
        v->name = cm_arena_str(e->arena, name);
        e->order[e->count++] = v;
        cm_map_put(e->by_name, v->name, v);
    }
    v->text = cm_arena_printf(e->arena, "%.*s=%.*s", CM_STR_ARG(name), CM_STR_ARG(value));
}

struct cm_str environ_get(const struct environ_set *e, struct cm_str name)
{
    const struct variable *v = cm_map_get(e->by_name, name);
    return v ? cm_str(v->text + v->name.len + 1) : CM_STR_NONE;
}

const char *const *environ_list(const struct environ_set *e)
{
    const char **list = CM_NEW_ARRAY(e->arena, const char *, e->count + 1);
    size_t n = 0;
    for (size_t i = 0; i < e->count; i++)
        list[n++] = e->order[i]->text;
    return list;
}

static bool is_name_char(char c, bool first)
{
    return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (!first && c >= '0' && c <= '9');
}

struct cm_str environ_expand(const struct environ_set *e, struct cm_arena *a, struct cm_str text)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT((size_t)1 << 20);
    for (size_t i = 0; i < text.len;) {
        if (text.ptr[i] != '$') {
            cm_buf_char(&out, text.ptr[i++]);
            continue;
        }
        bool braces = i + 1 < text.len && text.ptr[i + 1] == '{';
        size_t from = i + 1 + braces, to = from;
        while (to < text.len && is_name_char(text.ptr[to], to == from))
            to++;
        if (to == from || (braces && (to == text.len || text.ptr[to] != '}'))) {
            cm_buf_char(&out, text.ptr[i++]);
            continue;
        }
        cm_buf_str(&out, environ_get(e, cm_str_sub(text, from, to - from)));
        i = to + braces;
    }
    return cm_arena_str(a, cm_buf_view(&out));
}

static void put_all(struct environ_set *e, Coder__Agent__V1__Variable *const *vars, size_t n,
                    bool expand)
{
    for (size_t i = 0; i < n; i++) {
        struct cm_str value = cm_str(vars[i]->value);
        environ_put(e, cm_str(vars[i]->name), expand ? environ_expand(e, e->arena, value) : value);
    }
}

static void extend_path(struct environ_set *e, const char *first, const char *last)
{
    struct cm_str path = environ_get(e, CM_STR("PATH"));
    if (!path.len)
        path = CM_STR("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    bool has_first = first && *first, has_last = last && *last;
    environ_put(e, CM_STR("PATH"),
                cm_arena_fmt(e->arena, "%s%s%.*s%s%s", has_first ? first : "", has_first ? ":" : "",
                             CM_STR_ARG(path), has_last ? ":" : "", has_last ? last : ""));
}

struct environ_set *environ_build(struct cm_arena *a,
                                  const Coder__Agent__V1__CommandEnvironment *cfg,
                                  const char *const *base, const struct environ_pair *client,
                                  size_t client_count, const struct cm_user *user)
{
    struct environ_set *e = environ_new(a);
    for (; base && *base; base++) {
        struct cm_str name, value = cm_str_split(cm_str(*base), '=', &name);
        environ_put(e, name, value);
    }
    for (size_t i = 0; i < client_count; i++)
        environ_put(e, client[i].name, client[i].value);
    const char *shell = NULL;
    environ_put(e, CM_STR("USER"), cm_str(user->name));
    environ_put(e, CM_STR("LOGNAME"), cm_str(user->name));
    environ_put(e, CM_STR("HOME"), cm_str(environ_home(e, user)));
    if (environ_shell(e, user, &shell, NULL) == CM_OK)
        environ_put(e, CM_STR("SHELL"), cm_str(shell));
    put_all(e, cfg->coder, cfg->n_coder, false);
    put_all(e, cfg->manifest, cfg->n_manifest, true);
    put_all(e, cfg->last, cfg->n_last, false);
    extend_path(e, cfg->path_first, cfg->path_last);
    return e;
}

const char *environ_home(const struct environ_set *e, const struct cm_user *user)
{
    struct cm_str home = environ_get(e, CM_STR("HOME"));
    if (home.len)
        return home.ptr; /* values are terminated */
    return user->home && *user->home ? user->home : "/";
}

const char *environ_path(const struct environ_set *e, struct cm_arena *a, struct cm_str path,
                         const char *dir)
{
    struct cm_str p = environ_expand(e, a, path);
    struct cm_str home = environ_get(e, CM_STR("HOME"));
    if (cm_str_eq_c(p, "~"))
        p = home;
    else if (cm_str_starts(p, CM_STR("~/")))
        return cm_fs_join(a, cm_arena_cstr(a, home), cm_arena_cstr(a, cm_str_sub(p, 2, p.len - 2)));
    return cm_fs_join(a, dir, cm_arena_cstr(a, p));
}

const char *environ_directory(const struct environ_set *e, struct cm_arena *a,
                              const Coder__Agent__V1__CommandEnvironment *cfg,
                              const struct cm_user *user)
{
    const char *home = environ_home(e, user);
    if (cfg->directory && *cfg->directory) {
        const char *dir = environ_path(e, a, cm_str(cfg->directory), home);
        if (cm_fs_is_dir(dir))
            return dir;
    }
    return cm_fs_is_dir(home) ? home : "/";
}

enum cm_code environ_shell(const struct environ_set *e, const struct cm_user *user,
                           const char **ret, struct cm_err *err)
{
    if (user->shell && *user->shell) {
        *ret = user->shell;
        return CM_OK;
    }
    struct cm_str shell = environ_get(e, CM_STR("SHELL"));
    if (!shell.len)
        return cm_err_set(
            err, CM_NOT_FOUND,
            "no shell: the user's passwd entry names none and SHELL is not set; set one of them");
    *ret = shell.ptr;
    return CM_OK;
}

static struct cm_str base_value(const char *const *base, const char *name)
{
    size_t n = strlen(name);
    for (; base && *base; base++)
        if (strncmp(*base, name, n) == 0 && (*base)[n] == '=')
            return cm_str(*base + n + 1);
    return CM_STR_NONE;
}

struct cm_user environ_user(struct cm_arena *a, const char *const *base)
{
    struct cm_user u;
    if (cm_user_by_uid(a, getuid(), &u, NULL) == CM_OK)
        return u;
    struct cm_str name = base_value(base, "USER"), home = base_value(base, "HOME"),
                  shell = base_value(base, "SHELL");
    return (struct cm_user){
        .uid = getuid(),
        .gid = getgid(),
        .name = name.len ? cm_arena_cstr(a, name) : cm_arena_printf(a, "%u", (unsigned)getuid()),
        .home = home.len ? cm_arena_cstr(a, home) : "/",
        .shell = shell.len ? cm_arena_cstr(a, shell) : "",
    };
}

const char *const *environ_script_argv(struct cm_arena *a, const char *shell, struct cm_str script)
{
    const char *text = cm_arena_cstr(a, script);
    struct cm_str line;
    cm_str_split(script, '\n', &line);
    if (!cm_str_starts(script, CM_STR("#!"))) {
        const char **argv = CM_NEW_ARRAY(a, const char *, 4);
        argv[0] = shell;
        argv[1] = "-c";
        argv[2] = text;
        return argv;
    }
    struct cm_str words = cm_str_trim(cm_str_sub(line, 2, line.len - 2));
    const char **argv = CM_NEW_ARRAY(a, const char *, words.len / 2 + 5);
    size_t n = 0;
    while (words.len) {
        size_t to = 0;
        while (to < words.len && words.ptr[to] != ' ' && words.ptr[to] != '\t')
            to++;
        argv[n++] = cm_arena_cstr(a, cm_str_sub(words, 0, to));
        words = cm_str_trim(cm_str_sub(words, to, words.len - to));
    }
    if (!n)
        argv[n++] = shell;
    argv[n++] = "-c";
    argv[n] = text;
    return argv;
}
