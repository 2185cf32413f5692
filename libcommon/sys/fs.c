#include "sys/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "sys/fd.h"

static enum cm_code code_of_errno(void)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
        return CM_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return CM_DENIED;
    case EEXIST:
        return CM_CONFLICT;
    }
    return CM_IO;
}

enum cm_code cm_fs_read(const char *path, struct cm_buf *out, struct cm_err *err)
{
    CM_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return cm_err_errno(err, code_of_errno(), "open %s", path);
    if (cm_fd_read_all(fd, out, err) != CM_OK)
        return cm_err_wrap(err, "%s", path);
    return CM_OK;
}

enum cm_code cm_fs_write(const char *path, struct cm_str data, mode_t mode, bool sync,
                         struct cm_err *err)
{
    char suffix[13];
    cm_random_alnum(suffix, sizeof(suffix) - 1);
    CM_AUTOFREE char *tmp = cm_xasprintf("%s.%s.tmp", path, suffix);
    CM_AUTOFD int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return cm_err_errno(err, code_of_errno(), "create %s", path);
    enum cm_code code = cm_fd_write_all(fd, data.ptr, data.len, err);
    if (code != CM_OK) {
        unlink(tmp);
        return cm_err_wrap(err, "%s", tmp);
    }
    /* The umask must not decide about a mode that was asked for. */
    if (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0) || rename(tmp, path) < 0) {
        code = cm_err_errno(err, code_of_errno(), "replace %s", path);
        unlink(tmp);
        return code;
    }
    if (sync) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        CM_AUTOFD int dir = open(cm_fs_dirname(a, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir >= 0)
            fsync(dir);
    }
    return CM_OK;
}

enum cm_code cm_fs_mkdirs(const char *path, mode_t mode, struct cm_err *err)
{
    CM_AUTOFREE char *p = cm_xstrdup(path);
    for (char *at = p + 1; *p; at++) {
        if (*at != '/' && *at)
            continue;
        char was = *at;
        *at = '\0';
        if (mkdir(p, mode) < 0 && errno != EEXIST) {
            int e = errno;
            if (!cm_fs_is_dir(p)) {
                errno = e;
                return cm_err_errno(err, code_of_errno(), "make folder %s", p);
            }
        }
        if (!was)
            break;
        *at = was;
    }
    if (!cm_fs_is_dir(path))
        return cm_err_set(err, CM_CONFLICT, "%s exists and is not a folder", path);
    return CM_OK;
}

/* Works downwards by descriptors, so that a folder swapped for a symbolic link meanwhile leads
 * nowhere. */
static enum cm_code remove_at(int dir, const char *name, int depth, struct cm_err *err)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return CM_OK;
    if (errno != EISDIR && errno != EPERM)
        return cm_err_errno(err, code_of_errno(), "remove %s", name);
    if (depth > 256)
        return cm_err_set(err, CM_TOO_LARGE, "remove %s: folders nest more than 256 deep", name);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return cm_err_errno(err, code_of_errno(), "open %s", name);
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return cm_err_errno(err, CM_IO, "read %s", name);
    }
    enum cm_code code = CM_OK;
    struct dirent *e;
    while (code == CM_OK && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        code = remove_at(fd, e->d_name, depth + 1, err);
    }
    closedir(d);
    if (code != CM_OK)
        return cm_err_wrap(err, "%s", name);
    if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return cm_err_errno(err, code_of_errno(), "remove folder %s", name);
    return CM_OK;
}

enum cm_code cm_fs_remove_tree(const char *path, struct cm_err *err)
{
    return remove_at(AT_FDCWD, path, 0, err);
}

enum cm_code cm_fs_temp_dir(const char *parent, const char *prefix, char **ret, struct cm_err *err)
{
    if (!parent)
        parent = getenv("TMPDIR");
    if (!parent || !*parent)
        parent = "/tmp";
    CM_AUTOFREE char *path = cm_xasprintf("%s/%sXXXXXX", parent, prefix);
    if (!mkdtemp(path))
        return cm_err_errno(err, code_of_errno(), "make a folder in %s", parent);
    *ret = CM_TAKE(path);
    return CM_OK;
}

bool cm_fs_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool cm_fs_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool cm_fs_is_executable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *cm_fs_join(struct cm_arena *a, const char *dir, const char *name)
{
    if (name[0] == '/' || !dir[0])
        return cm_arena_cstr(a, cm_str(name));
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    return cm_arena_printf(a, "%.*s%s%s", (int)n, dir, n == 1 && dir[0] == '/' ? "" : "/", name);
}

char *cm_fs_dirname(struct cm_arena *a, const char *path)
{
    struct cm_str s = cm_str(path);
    while (s.len > 1 && s.ptr[s.len - 1] == '/')
        s.len--;
    ptrdiff_t at = cm_str_find_last(s, '/');
    if (at < 0)
        return cm_arena_cstr(a, CM_STR("."));
    while (at > 0 && s.ptr[at - 1] == '/')
        at--;
    return cm_arena_cstr(a, cm_str_sub(s, 0, at ? (size_t)at : 1));
}

const char *cm_fs_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum cm_code cm_fs_self_exe(char **ret, struct cm_err *err)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
    if (n < 0)
        return cm_err_errno(err, CM_IO, "read /proc/self/exe");
    if (n == (ssize_t)sizeof(path))
        return cm_err_set(err, CM_TOO_LARGE, "the program's own path is too long");
    *ret = cm_xstrndup(path, (size_t)n);
    return CM_OK;
}
