#include "terraform/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"

#define DEPTH_MAX 48
#define FILES_MAX 50000

struct copying {
    size_t left;
    unsigned files;
};

static enum cm_code copy_folder(struct copying *c, int from, int to, unsigned depth,
                                struct cm_err *err);

static enum cm_code copy_file(struct copying *c, int from, int to, const char *name,
                              const struct stat *st, struct cm_err *err)
{
    CM_AUTOFD int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    CM_AUTOFD int out =
        openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st->st_mode & 0777);
    if (in < 0 || out < 0)
        return cm_err_errno(err, CM_IO, "copy %s", name);
    for (;;) {
        ssize_t n = copy_file_range(in, NULL, out, NULL, (size_t)1 << 30, 0);
        if (n == 0)
            return CM_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cm_err_errno(err, CM_IO, "copy %s", name);
        if ((size_t)n > c->left)
            return cm_err_set(err, CM_TOO_LARGE, "too large to copy");
        c->left -= (size_t)n;
    }
}

static enum cm_code copy_link(int from, int to, const char *name, struct cm_err *err)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(from, name, text, sizeof text - 1);
    if (n < 0)
        return cm_err_errno(err, CM_IO, "read the link %s", name);
    text[n] = '\0';
    return symlinkat(text, to, name) < 0 ? cm_err_errno(err, CM_IO, "make the link %s", name)
                                         : CM_OK;
}

static enum cm_code copy_entry(struct copying *c, int from, int to, const char *name,
                               unsigned depth, struct cm_err *err)
{
    struct stat st;
    if (++c->files > FILES_MAX || depth > DEPTH_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "too many files to copy");
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return cm_err_errno(err, CM_IO, "read %s", name);
    if (S_ISREG(st.st_mode))
        return copy_file(c, from, to, name, &st, err);
    if (S_ISLNK(st.st_mode))
        return copy_link(from, to, name, err);
    if (!S_ISDIR(st.st_mode))
        return CM_OK;
    if (mkdirat(to, name, 0700) < 0 && errno != EEXIST)
        return cm_err_errno(err, CM_IO, "make %s", name);
    int sub_from = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CM_AUTOFD int sub_to = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub_from < 0 || sub_to < 0) {
        enum cm_code code = cm_err_errno(err, CM_IO, "open %s", name);
        cm_cleanup_fd(&sub_from);
        return code;
    }
    return copy_folder(c, sub_from, sub_to, depth + 1, err);
}

/* Takes from. */
static enum cm_code copy_folder(struct copying *c, int from, int to, unsigned depth,
                                struct cm_err *err)
{
    DIR *d = fdopendir(from);
    struct dirent *e;
    enum cm_code code = CM_OK;
    if (!d) {
        code = cm_err_errno(err, CM_IO, "read a folder");
        cm_cleanup_fd(&from);
        return code;
    }
    while (code == CM_OK && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strcmp(e->d_name, ".git") != 0)
            code = copy_entry(c, from, to, e->d_name, depth, err);
    }
    closedir(d);
    return code;
}

enum cm_code tf_tree_copy(const char *src, const char *dst, size_t max_bytes, struct cm_err *err)
{
    struct copying c = {.left = max_bytes};
    if (mkdir(dst, 0700) < 0 && errno != EEXIST)
        return cm_err_errno(err, CM_IO, "make %s", dst);
    int from = open(src, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CM_AUTOFD int to = open(dst, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from < 0 || to < 0) {
        enum cm_code code = cm_err_errno(err, CM_IO, "open %s", from < 0 ? src : dst);
        cm_cleanup_fd(&from);
        return code;
    }
    enum cm_code code = copy_folder(&c, from, to, 0, err);
    return code == CM_OK ? CM_OK : cm_err_wrap(err, "copy %s", src);
}
