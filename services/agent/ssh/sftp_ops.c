#include "ssh/sftp_ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "sys/fs.h"

#define HANDLES_MAX 256
#define READ_MAX    ((size_t)255 * 1024)
#define NAMES_BYTES ((size_t)48 * 1024) /* of one READDIR reply, about */
#define REPLY_FRAME 64

struct handle {
    int fd; /* of a file; -1 for a folder */
    DIR *dir;
    bool used, append;
    uint32_t stamp; /* so that a stale handle does not name its successor */
};

struct sftp_files {
    char *directory;
    struct handle handles[HANDLES_MAX];
    uint32_t stamp;
};

struct request {
    struct sftp_files *f;
    struct cm_arena *arena;
    sftp_client_message msg;
    size_t room;
};

struct sftp_files *sftp_files_new(const char *directory)
{
    struct sftp_files *f = cm_xcalloc(1, sizeof(*f));
    f->directory = cm_xstrdup(directory);
    return f;
}

static void handle_close(struct handle *h)
{
    if (h->dir)
        closedir(h->dir);
    cm_cleanup_fd(&h->fd);
    *h = (struct handle){.fd = -1};
}

void sftp_files_free(struct sftp_files *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < HANDLES_MAX; i++)
        if (f->handles[i].used)
            handle_close(&f->handles[i]);
    cm_free(f->directory);
    cm_free(f);
}

static uint32_t status_of(int e)
{
    switch (e) {
    case 0:
        return SSH_FX_OK;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
        return SSH_FX_NO_SUCH_FILE;
    case EACCES:
    case EPERM:
    case EROFS:
        return SSH_FX_PERMISSION_DENIED;
    }
    return SSH_FX_FAILURE;
}

static void reply_errno(struct request *r, int e)
{
    char text[128];
    sftp_reply_status(r->msg, status_of(e), e ? strerror_r(e, text, sizeof(text)) : "Success");
}

/* For calls that return -1 and errno, or 0. */
static void reply_result(struct request *r, int result)
{
    reply_errno(r, result < 0 ? errno : 0);
}

static const char *path_of(struct request *r, const char *name)
{
    return *name ? cm_fs_join(r->arena, r->f->directory, name) : r->f->directory;
}

/* Handles. */

static void reply_new_handle(struct request *r, struct handle h)
{
    for (uint32_t i = 0; i < HANDLES_MAX; i++) {
        if (r->f->handles[i].used)
            continue;
        uint32_t id[2] = {i, ++r->f->stamp};
        ssh_string s = ssh_string_new(sizeof(id));
        if (!s)
            break;
        h.used = true;
        h.stamp = id[1];
        r->f->handles[i] = h;
        memcpy(ssh_string_data(s), id, sizeof(id));
        sftp_reply_handle(r->msg, s);
        ssh_string_free(s);
        return;
    }
    handle_close(&h);
    sftp_reply_status(r->msg, SSH_FX_FAILURE, "too many open files");
}

/* NULL after having replied. */
static struct handle *handle_of(struct request *r, bool want_dir)
{
    uint32_t id[2];
    if (r->msg->handle && ssh_string_len(r->msg->handle) == sizeof(id)) {
        memcpy(id, ssh_string_data(r->msg->handle), sizeof(id));
        if (id[0] < HANDLES_MAX) {
            struct handle *h = &r->f->handles[id[0]];
            if (h->used && h->stamp == id[1] && (h->dir != NULL) == want_dir)
                return h;
        }
    }
    sftp_reply_status(r->msg, SSH_FX_FAILURE, "no such handle");
    return NULL;
}

/* Attributes. */

static void fill_attr(struct sftp_attributes_struct *a, const struct stat *st)
{
    *a = (struct sftp_attributes_struct){
        .flags = SSH_FILEXFER_ATTR_SIZE | SSH_FILEXFER_ATTR_UIDGID | SSH_FILEXFER_ATTR_PERMISSIONS |
                 SSH_FILEXFER_ATTR_ACMODTIME,
        .size = (uint64_t)st->st_size,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .permissions = st->st_mode,
        .atime = (uint32_t)st->st_atime,
        .mtime = (uint32_t)st->st_mtime,
    };
}

static void reply_stat(struct request *r, int result, const struct stat *st)
{
    if (result < 0) {
        reply_errno(r, errno);
        return;
    }
    struct sftp_attributes_struct a;
    fill_attr(&a, st);
    sftp_reply_attr(r->msg, &a);
}

/* Sets what attr has, by path (fd -1) or descriptor; 0 or errno. */
static int set_attr(const char *path, int fd, const struct sftp_attributes_struct *a)
{
    int rc = 0;
    if (a->flags & SSH_FILEXFER_ATTR_SIZE)
        rc = fd >= 0 ? ftruncate(fd, (off_t)a->size) : truncate(path, (off_t)a->size);
    if (rc == 0 && (a->flags & SSH_FILEXFER_ATTR_PERMISSIONS))
        rc = fd >= 0 ? fchmod(fd, a->permissions & 07777) : chmod(path, a->permissions & 07777);
    if (rc == 0 && (a->flags & SSH_FILEXFER_ATTR_ACMODTIME)) {
        struct timespec t[2] = {{.tv_sec = a->atime}, {.tv_sec = a->mtime}};
        rc = fd >= 0 ? futimens(fd, t) : utimensat(AT_FDCWD, path, t, 0);
    }
    if (rc == 0 && (a->flags & SSH_FILEXFER_ATTR_UIDGID))
        rc = fd >= 0 ? fchown(fd, a->uid, a->gid) : chown(path, a->uid, a->gid);
    return rc < 0 ? errno : 0;
}

/* Files. */

static void do_open(struct request *r)
{
    uint32_t want = r->msg->flags;
    int flags = (want & SSH_FXF_READ) && (want & SSH_FXF_WRITE) ? O_RDWR
                : want & SSH_FXF_WRITE                          ? O_WRONLY
                                                                : O_RDONLY;
    flags |= (want & SSH_FXF_APPEND ? O_APPEND : 0) | (want & SSH_FXF_CREAT ? O_CREAT : 0) |
             (want & SSH_FXF_TRUNC ? O_TRUNC : 0) | (want & SSH_FXF_EXCL ? O_EXCL : 0);
    const struct sftp_attributes_struct *a = r->msg->attr;
    mode_t mode = a && (a->flags & SSH_FILEXFER_ATTR_PERMISSIONS) ? a->permissions & 07777 : 0666;
    /* Non-blocking, or opening a named pipe would hold up the whole connection. Regular files
     * ignore it. */
    int fd = open(path_of(r, r->msg->filename), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);
    if (fd < 0)
        reply_errno(r, errno);
    else
        reply_new_handle(r, (struct handle){.fd = fd, .append = want & SSH_FXF_APPEND});
}

static void do_close(struct request *r)
{
    uint32_t id[2];
    bool is_dir = false;
    if (r->msg->handle && ssh_string_len(r->msg->handle) == sizeof(id)) {
        memcpy(id, ssh_string_data(r->msg->handle), sizeof(id));
        is_dir = id[0] < HANDLES_MAX && r->f->handles[id[0]].dir != NULL;
    }
    struct handle *h = handle_of(r, is_dir);
    if (!h)
        return;
    /* Here a full disk or quota on a network file system may show for the first time. */
    int e = 0;
    if (h->fd >= 0 && !h->dir) {
        e = close(h->fd) < 0 ? errno : 0;
        h->fd = -1;
    }
    handle_close(h);
    reply_errno(r, e);
}

static void do_read(struct request *r)
{
    struct handle *h = handle_of(r, false);
    if (!h)
        return;
    size_t want = CM_MIN(CM_MIN((size_t)r->msg->len, READ_MAX), r->room - REPLY_FRAME);
    char *buf = cm_arena_alloc(r->arena, want ? want : 1);
    ssize_t n;
    do
        n = pread(h->fd, buf, want, (off_t)r->msg->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == ESPIPE)
        n = read(h->fd, buf, want);
    if (n < 0)
        reply_errno(r, errno);
    else if (n == 0)
        sftp_reply_status(r->msg, SSH_FX_EOF, "End of file");
    else
        sftp_reply_data(r->msg, buf, (int)n);
}

static void do_write(struct request *r)
{
    struct handle *h = handle_of(r, false);
    if (!h)
        return;
    const char *p = ssh_string_data(r->msg->data);
    size_t left = ssh_string_len(r->msg->data);
    off_t at = (off_t)r->msg->offset;
    while (left) {
        ssize_t n = h->append ? write(h->fd, p, left) : pwrite(h->fd, p, left, at);
        if (n < 0 && errno == ESPIPE)
            n = write(h->fd, p, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            reply_errno(r, errno);
            return;
        }
        p += n;
        at += n;
        left -= (size_t)n;
    }
    reply_errno(r, 0);
}

static void do_stat(struct request *r)
{
    struct stat st;
    reply_stat(r, stat(path_of(r, r->msg->filename), &st), &st);
}

static void do_lstat(struct request *r)
{
    struct stat st;
    reply_stat(r, lstat(path_of(r, r->msg->filename), &st), &st);
}

static void do_fstat(struct request *r)
{
    struct handle *h = handle_of(r, false);
    struct stat st;
    if (h)
        reply_stat(r, fstat(h->fd, &st), &st);
}

static void do_setstat(struct request *r)
{
    reply_errno(r, set_attr(path_of(r, r->msg->filename), -1, r->msg->attr));
}

static void do_fsetstat(struct request *r)
{
    struct handle *h = handle_of(r, false);
    if (h)
        reply_errno(r, set_attr(NULL, h->fd, r->msg->attr));
}

/* Folders. */

static void do_opendir(struct request *r)
{
    DIR *d = opendir(path_of(r, r->msg->filename));
    if (d)
        reply_new_handle(r, (struct handle){.fd = -1, .dir = d});
    else
        reply_errno(r, errno);
}

/* One line as of `ls -l`, which clients show to people. Owners by number: names would take a
 * look-up each. */
static const char *long_name(struct request *r, const char *name, const struct stat *st)
{
    static const char types[] = "?pc?d?b?-?l?s???";
    char mode[] = "?rwxrwxrwx";
    mode[0] = types[(st->st_mode >> 12) & 15];
    for (int i = 0; i < 9; i++)
        if (!(st->st_mode & (0400u >> i)))
            mode[i + 1] = '-';
    if (st->st_mode & S_ISUID)
        mode[3] = st->st_mode & 0100 ? 's' : 'S';
    if (st->st_mode & S_ISGID)
        mode[6] = st->st_mode & 0010 ? 's' : 'S';
    if (st->st_mode & S_ISVTX)
        mode[9] = st->st_mode & 0001 ? 't' : 'T';
    struct tm tm;
    char when[32] = "";
    time_t now = time(NULL);
    bool recent = st->st_mtime <= now && now - st->st_mtime < 182 * 86400;
    if (localtime_r(&st->st_mtime, &tm))
        strftime(when, sizeof(when), recent ? "%b %e %H:%M" : "%b %e  %Y", &tm);
    return cm_arena_printf(r->arena, "%s %4u %-8u %-8u %8lld %s %s", mode, (unsigned)st->st_nlink,
                           st->st_uid, st->st_gid, (long long)st->st_size, when, name);
}

static void do_readdir(struct request *r)
{
    struct handle *h = handle_of(r, true);
    if (!h)
        return;
    size_t bytes = REPLY_FRAME, budget = CM_MIN(r->room, NAMES_BYTES) - 2048;
    const struct dirent *e = NULL;
    errno = 0;
    while (bytes < budget && (e = readdir(h->dir)) != NULL) {
        struct stat st;
        struct sftp_attributes_struct a = {0};
        const char *line = e->d_name;
        if (fstatat(dirfd(h->dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            fill_attr(&a, &st);
            line = long_name(r, e->d_name, &st);
        }
        bytes += strlen(e->d_name) + strlen(line) + 48;
        if (sftp_reply_names_add(r->msg, e->d_name, line, &a) < 0)
            break;
        errno = 0;
    }
    if (r->msg->attr_num)
        sftp_reply_names(r->msg);
    else if (errno)
        reply_errno(r, errno);
    else
        sftp_reply_status(r->msg, SSH_FX_EOF, "End of file");
}

static void do_mkdir(struct request *r)
{
    const struct sftp_attributes_struct *a = r->msg->attr;
    mode_t mode = a && (a->flags & SSH_FILEXFER_ATTR_PERMISSIONS) ? a->permissions & 07777 : 0777;
    reply_result(r, mkdir(path_of(r, r->msg->filename), mode));
}

static void do_rmdir(struct request *r)
{
    reply_result(r, rmdir(path_of(r, r->msg->filename)));
}

static void do_remove(struct request *r)
{
    reply_result(r, unlink(path_of(r, r->msg->filename)));
}

/* Names. */

static void do_rename(struct request *r)
{
    const char *from = path_of(r, r->msg->filename);
    const char *to = path_of(r, sftp_client_message_get_data(r->msg));
    /* Version 3 says that an existing target is an error. */
    int rc = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
    if (rc < 0 &&
        (errno == EINVAL || errno == ENOSYS)) { /* a file system that cannot: nearly as good */
        struct stat st;
        errno = EEXIST;
        rc = lstat(to, &st) == 0 ? -1 : rename(from, to);
    }
    reply_result(r, rc);
}

static void do_readlink(struct request *r)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path_of(r, r->msg->filename), target, sizeof(target) - 1);
    if (n < 0) {
        reply_errno(r, errno);
        return;
    }
    target[n] = '\0';
    sftp_reply_name(r->msg, target, NULL);
}

static void do_symlink(struct request *r)
{
    /* OpenSSH sends the target first, against the draft, and so does everybody since. */
    const char *link = path_of(r, sftp_client_message_get_data(r->msg));
    reply_result(r, symlink(r->msg->filename, link));
}

static void do_realpath(struct request *r)
{
    const char *path = path_of(r, r->msg->filename);
    char real[PATH_MAX];
    if (realpath(path, real)) {
        sftp_reply_name(r->msg, real, NULL);
        return;
    }
    /* What does not exist yet has a place all the same: clients ask before they upload. */
    const char *base = cm_fs_basename(path);
    if (errno == ENOENT && *base && strcmp(base, "..") != 0 &&
        realpath(cm_fs_dirname(r->arena, path), real)) {
        sftp_reply_name(r->msg, cm_fs_join(r->arena, real, base), NULL);
        return;
    }
    reply_errno(r, errno);
}

static void do_extended(struct request *r)
{
    const char *name = r->msg->submessage;
    bool is_rename = strcmp(name, "posix-rename@openssh.com") == 0;
    if (!is_rename && strcmp(name, "hardlink@openssh.com") != 0) {
        sftp_reply_status(r->msg, SSH_FX_OP_UNSUPPORTED, "unknown extension");
        return;
    }
    const char *from = path_of(r, r->msg->filename);
    const char *to = path_of(r, sftp_client_message_get_data(r->msg));
    reply_result(r, is_rename ? rename(from, to) : link(from, to));
}

static const struct {
    uint8_t type;
    void (*run)(struct request *r);
} operations[] = {
    {SSH_FXP_OPEN, do_open},         {SSH_FXP_CLOSE, do_close},       {SSH_FXP_READ, do_read},
    {SSH_FXP_WRITE, do_write},       {SSH_FXP_LSTAT, do_lstat},       {SSH_FXP_FSTAT, do_fstat},
    {SSH_FXP_SETSTAT, do_setstat},   {SSH_FXP_FSETSTAT, do_fsetstat}, {SSH_FXP_OPENDIR, do_opendir},
    {SSH_FXP_READDIR, do_readdir},   {SSH_FXP_REMOVE, do_remove},     {SSH_FXP_MKDIR, do_mkdir},
    {SSH_FXP_RMDIR, do_rmdir},       {SSH_FXP_REALPATH, do_realpath}, {SSH_FXP_STAT, do_stat},
    {SSH_FXP_RENAME, do_rename},     {SSH_FXP_READLINK, do_readlink}, {SSH_FXP_SYMLINK, do_symlink},
    {SSH_FXP_EXTENDED, do_extended},
};

void sftp_files_handle(struct sftp_files *f, sftp_client_message msg, size_t room)
{
    CM_AUTO(cm_arena) arena = cm_arena_new();
    struct request r = {.f = f, .arena = arena, .msg = msg, .room = room};
    for (size_t i = 0; i < CM_COUNT_OF(operations); i++)
        if (operations[i].type == msg->type) {
            operations[i].run(&r);
            return;
        }
    sftp_reply_status(msg, SSH_FX_OP_UNSUPPORTED, "unknown operation");
}
