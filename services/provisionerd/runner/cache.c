#include "runner/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "obs/log.h"
#include "sys/fs.h"
#include "terraform/install.h"
#include "terraform/tree.h"
#include "terraform/unpack.h"

#define COPY_MAX    ((size_t)200 << 20)
#define TEMP_PREFIX "new-"

struct version_cache {
    char *dir;
};

/* Removes entries that nobody used for long, and what a kill left half made. */
static void clean(struct version_cache *c)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    cm_usec oldest = cm_time_now().us - VERSION_CACHE_KEEP;
    DIR *d = opendir(c->dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        struct stat st;
        char *path = cm_fs_join(a, c->dir, e->d_name);
        if (e->d_name[0] == '.' || lstat(path, &st) < 0)
            continue;
        bool old = (cm_usec)st.st_mtim.tv_sec * CM_SECOND < oldest;
        if (old || strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
            cm_ignore(cm_fs_remove_tree(path, NULL) != CM_OK, "tried again at the next start");
    }
    if (d)
        closedir(d);
}

enum cm_code version_cache_new(const char *dir, struct version_cache **ret, struct cm_err *err)
{
    enum cm_code code = cm_fs_mkdirs(dir, 0700, err);
    if (code != CM_OK)
        return cm_err_wrap(err, "cache of template versions");
    CM_AUTO(version_cache) c = cm_xcalloc(1, sizeof *c);
    c->dir = cm_xstrdup(dir);
    clean(c);
    *ret = CM_TAKE(c);
    return CM_OK;
}

void version_cache_free(struct version_cache *c)
{
    if (!c)
        return;
    cm_free(c->dir);
    cm_free(c);
}

const char *version_cache_key(struct cm_arena *a, struct cm_str source_id, struct cm_str modules_id,
                              const char *fingerprint)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)4096);
    cm_buf_printf(&b, "%zu:%zu:%s:", source_id.len, modules_id.len, fingerprint);
    cm_buf_str(&b, source_id);
    cm_buf_str(&b, modules_id);
    return tf_sha256_hex(a, cm_buf_view(&b));
}

static char *part(struct version_cache *c, struct cm_arena *a, const char *key, const char *name)
{
    return cm_arena_printf(a, "%s/%s/%s", c->dir, key, name);
}

static bool read_part(struct version_cache *c, const char *key, const char *name,
                      struct cm_buf *out)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    return cm_fs_read(part(c, a, key, name), out, NULL) == CM_OK;
}

bool version_cache_get_source(struct version_cache *c, const char *key, struct cm_buf *out)
{
    return c && read_part(c, key, "source.tar", out);
}

bool version_cache_get_graph(struct version_cache *c, const char *key, struct cm_buf *out)
{
    return c && read_part(c, key, "graph.dot", out);
}

bool version_cache_restore(struct version_cache *c, const char *key, const char *dir)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    if (!c || !cm_fs_is_dir(part(c, a, key, "init")))
        return false;
    struct cm_err err;
    if (tf_tree_copy(part(c, a, key, "init"), dir, COPY_MAX, &err) != CM_OK) {
        CM_WARN("cannot use a cached template version", CM_F_ERR(&err));
        version_cache_drop(c, key);
        cm_ignore(cm_fs_remove_tree(cm_fs_join(a, dir, ".terraform"), NULL) != CM_OK,
                  "init makes it anew");
        return false;
    }
    /* The folder's time says when it was last used. */
    cm_ignore(utimensat(AT_FDCWD, part(c, a, key, ""), NULL, 0) < 0, "it may be dropped too early");
    return true;
}

static enum cm_code fill(struct cm_arena *a, const char *temp, struct cm_str source,
                         struct cm_str graph, const char *dir, struct cm_err *err)
{
    const char *init = cm_fs_join(a, temp, "init");
    const char *lock = cm_fs_join(a, dir, ".terraform.lock.hcl");
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT((size_t)4 << 20);
    enum cm_code code = cm_fs_mkdirs(init, 0700, err);
    if (code == CM_OK && cm_fs_is_dir(cm_fs_join(a, dir, ".terraform")))
        code = tf_tree_copy(cm_fs_join(a, dir, ".terraform"), cm_fs_join(a, init, ".terraform"),
                            COPY_MAX, err);
    if (code == CM_OK && cm_fs_exists(lock)) {
        code = cm_fs_read(lock, &text, err);
        if (code == CM_OK)
            code = cm_fs_write(cm_fs_join(a, init, ".terraform.lock.hcl"), cm_buf_view(&text), 0600,
                               false, err);
    }
    if (code == CM_OK)
        code = cm_fs_write(cm_fs_join(a, temp, "graph.dot"), graph, 0600, false, err);
    if (code == CM_OK)
        code = cm_fs_write(cm_fs_join(a, temp, "source.tar"), source, 0600, false, err);
    return code;
}

void version_cache_keep(struct version_cache *c, const char *key, struct cm_str source,
                        struct cm_str graph, const char *dir)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOFREE char *temp = NULL;
    struct cm_err err;
    /* A backend keeps its settings, perhaps with credentials, in .terraform/terraform.tfstate. */
    if (!c || cm_fs_exists(part(c, a, key, "graph.dot")) ||
        cm_fs_exists(cm_fs_join(a, dir, ".terraform/terraform.tfstate")))
        return;
    enum cm_code code = cm_fs_temp_dir(c->dir, TEMP_PREFIX, &temp, &err);
    if (code == CM_OK)
        code = fill(a, temp, source, graph, dir, &err);
    if (code == CM_OK && rename(temp, cm_arena_printf(a, "%s/%s", c->dir, key)) < 0 &&
        errno != EEXIST && errno != ENOTEMPTY)
        code = cm_err_errno(&err, CM_IO, "rename %s", temp);
    if (temp)
        cm_ignore(cm_fs_remove_tree(temp, NULL) != CM_OK, "removed at the next start");
    if (code != CM_OK)
        CM_WARN("cannot keep a template version for later builds", CM_F_ERR(&err));
}

void version_cache_drop(struct version_cache *c, const char *key)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    if (c)
        cm_ignore(cm_fs_remove_tree(cm_arena_printf(a, "%s/%s", c->dir, key), NULL) != CM_OK,
                  "it is tried again");
}
