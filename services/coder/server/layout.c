#include "server/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "obs/log.h"
#include "sys/fs.h"

/* sockaddr_un has 108 bytes; the longest name below the folder is "provisioner.sock" with a suffix
 * of the RPC's own. */
#define RUN_DIR_MAX 80

static const char *env_or(const char *name, const char *otherwise)
{
    const char *v = cm_conf_getenv(name);
    return v && *v ? v : otherwise;
}

static const char *default_config_dir(struct cm_arena *a)
{
    const char *xdg = env_or("XDG_CONFIG_HOME", NULL);
    if (geteuid() == 0)
        return "/var/lib/coder"; /* root's home is closed to the servers' user */
    if (xdg)
        return cm_arena_printf(a, "%s/coderv2", xdg);
    return cm_arena_printf(a, "%s/.config/coderv2", env_or("HOME", "/tmp"));
}

static const char *default_cache_dir(struct cm_arena *a)
{
    const char *given = env_or("CACHE_DIRECTORY", NULL), *xdg = env_or("XDG_CACHE_HOME", NULL);
    if (given)
        return given; /* systemd's */
    if (geteuid() == 0)
        return "/var/cache/coder";
    if (xdg)
        return cm_arena_printf(a, "%s/coder", xdg);
    return cm_arena_printf(a, "%s/.cache/coder", env_or("HOME", "/tmp"));
}

static const char *absolute(struct cm_arena *a, const char *path)
{
    CM_AUTOFREE char *cwd = NULL;
    if (path[0] == '/' || !(cwd = getcwd(NULL, 0)))
        return path;
    return cm_fs_join(a, cwd, path);
}

static enum cm_code find_user(struct cm_arena *a, const struct settings *s, struct layout *l,
                              struct cm_err *err)
{
    static const char *const usual[] = {"coder", "postgres", "nobody"};
    l->user = (struct cm_user){.uid = geteuid(), .gid = getegid(), .name = ""};
    if (geteuid() != 0) {
        if (s->user[0] &&
            (cm_user_by_name(a, s->user, &l->user, err) != CM_OK || l->user.uid != geteuid()))
            return cm_err_set(err, CM_INVALID,
                              "only root can start the server as another user; leave --server-user "
                              "out, or start it as %s",
                              s->user);
        return CM_OK;
    }
    if (s->user[0]) {
        if (cm_user_by_name(a, s->user, &l->user, err) != CM_OK)
            return cm_err_wrap(err, "--server-user");
    } else {
        size_t i = 0;
        while (i < CM_COUNT_OF(usual) && cm_user_by_name(a, usual[i], &l->user, err) != CM_OK)
            i++;
        if (i == CM_COUNT_OF(usual))
            return cm_err_set(err, CM_NOT_FOUND,
                              "there is no user to run the database as: name one by --server-user");
    }
    if (l->user.uid == 0)
        return cm_err_set(err, CM_INVALID,
                          "PostgreSQL refuses to run as root: name another user by --server-user");
    l->other_user = true;
    return CM_OK;
}

enum cm_code layout_find(struct cm_arena *a, const struct settings *s, struct layout *l,
                         struct cm_err *err)
{
    CM_AUTOFREE char *self = NULL;
    *l = (struct layout){.lock_fd = -1};
    if (cm_fs_self_exe(&self, err) != CM_OK || find_user(a, s, l, err) != CM_OK)
        return err->code;
    l->bin_dir = cm_fs_dirname(a, self);
    l->config_dir = absolute(a, s->config_dir[0] ? s->config_dir : default_config_dir(a));
    l->cache_dir = absolute(a, s->coderd.cache_dir[0] ? s->coderd.cache_dir : default_cache_dir(a));
    l->postgres_dir = cm_fs_join(a, l->config_dir, "postgres");
    l->run_dir = cm_fs_join(a, l->config_dir, "run");
    if (strlen(l->run_dir) > RUN_DIR_MAX)
        l->run_dir =
            cm_arena_printf(a, "%s/coder-%u-%08x", l->other_user ? "/run" : "/tmp",
                            (unsigned)geteuid(), (unsigned)cm_str_hash(cm_str(l->config_dir)));
    l->provisioner_socket = cm_fs_join(a, l->run_dir, "provisioner.sock");
    l->database_user = (struct cm_child_user){.uid = l->user.uid, .gid = l->user.gid};
    l->coderd_user = l->database_user;
    l->coderd_user.low_ports = true;
    return CM_OK;
}

/* May the servers' user pass this folder? By mode bits alone: it has no supplementary groups. */
static bool may_pass(const struct layout *l, const struct stat *st)
{
    if (st->st_uid == l->user.uid)
        return st->st_mode & S_IXUSR;
    if (st->st_gid == l->user.gid)
        return st->st_mode & S_IXGRP;
    return st->st_mode & S_IXOTH;
}

/* Can the servers' user get to the file or folder at path? What is ours at the end of the way is
 * opened (the files within have modes of their own); what is above it is somebody else's choice.
 * NULL: yes; or the first folder that it cannot enter. */
static const char *closed_folder(struct cm_arena *a, const struct layout *l, const char *path)
{
    char *p = cm_arena_cstr(a, cm_str(path));
    size_t len = strlen(path);
    for (size_t i = 1; l->other_user && i <= len; i++) {
        struct stat st;
        if (p[i] != '/' && p[i] != '\0')
            continue;
        p[i] = '\0';
        bool last = i == len;
        if (stat(p, &st) != 0 || (last && !S_ISDIR(st.st_mode)))
            break;
        if (!may_pass(l, &st) &&
            !(last && strcmp(path, l->bin_dir) != 0 && chmod(p, (st.st_mode & 07777) | 0111) == 0))
            return p;
        if (!last)
            p[i] = '/';
    }
    return NULL;
}

static bool may_read(const struct layout *l, const char *path)
{
    struct stat st;
    if (!l->other_user || stat(path, &st) != 0)
        return true; /* that it is not there, coderd says better */
    return st.st_mode & (st.st_uid == l->user.uid   ? S_IRUSR
                         : st.st_gid == l->user.gid ? S_IRGRP
                                                    : S_IROTH);
}

static void open_ways(struct cm_arena *a, const struct settings *s, struct layout *l)
{
    const char *data = closed_folder(a, l, l->config_dir);
    const char *others[] = {data, closed_folder(a, l, l->cache_dir),
                            closed_folder(a, l, l->bin_dir),
                            closed_folder(a, l, s->coderd.tls_key_file)};
    const char *closed = NULL;
    for (size_t i = 0; i < CM_COUNT_OF(others) && !closed; i++)
        closed = others[i];
    if (!closed && !may_read(l, s->coderd.tls_key_file))
        closed = s->coderd.tls_key_file;
    l->database_user.closed_folders = data != NULL;
    l->coderd_user.closed_folders = closed != NULL;
    if (closed)
        CM_WARN("a path is closed to the user that the servers run as, which gets the capability "
                "to read all files: "
                "open it (chmod), or choose others for data and programs",
                CM_F_CSTR(path, closed), CM_F_CSTR(user, l->user.name));
}

enum cm_code layout_private_dir(const struct layout *l, const char *path, struct cm_err *err)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return cm_err_errno(err, errno == ENOSPC ? CM_IO : CM_DENIED, "make folder %s", path);
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) ||
        (st.st_uid != geteuid() && st.st_uid != l->user.uid))
        return cm_err_set(err, CM_DENIED, "%s is not a folder of ours: remove it", path);
    if (st.st_uid != l->user.uid && lchown(path, l->user.uid, l->user.gid) != 0)
        return cm_err_errno(err, CM_DENIED, "give %s to %s", path, l->user.name);
    if ((st.st_mode & 07777) != 0700 && chmod(path, 0700) != 0)
        return cm_err_errno(err, CM_DENIED, "close %s to others", path);
    return CM_OK;
}

static enum cm_code lock(struct cm_arena *a, struct layout *l, struct cm_err *err)
{
    const char *path = cm_fs_join(a, l->config_dir, "server.lock");
    l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->lock_fd < 0)
        return cm_err_errno(err, CM_DENIED, "open %s", path);
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return cm_err_set(err, CM_CONFLICT,
                          "another server uses the folder %s: stop it, or choose another folder by "
                          "--global-config (CODER_CONFIG_DIR)",
                          l->config_dir);
    return CM_OK;
}

enum cm_code layout_prepare(struct cm_arena *a, const struct settings *s, struct layout *l,
                            struct cm_err *err)
{
    if (cm_fs_mkdirs(l->config_dir, l->other_user ? 0755 : 0750, err) != CM_OK ||
        cm_fs_mkdirs(l->cache_dir, l->other_user ? 0755 : 0750, err) != CM_OK)
        return cm_err_wrap(err, "prepare the server's folders");
    if (access(l->config_dir, W_OK) != 0)
        return cm_err_errno(err, CM_DENIED, "the server cannot write to its folder %s",
                            l->config_dir);
    if (lock(a, l, err) != CM_OK)
        return err->code;
    open_ways(a, s, l);
    if (layout_private_dir(l, l->run_dir, err) != CM_OK ||
        layout_private_dir(l, cm_fs_join(a, l->cache_dir, "coderd"), err) != CM_OK)
        return err->code;
    return CM_OK;
}

void layout_done(struct layout *l)
{
    cm_cleanup_fd(&l->lock_fd);
}
