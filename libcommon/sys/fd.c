#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void cm_fd_nonblock(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

void cm_fd_cloexec(int fd, bool on)
{
    fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

bool cm_fd_wait(int fd, short events, cm_usec timeout)
{
    cm_usec end = cm_monotonic_now() + timeout;
    for (;;) {
        cm_usec left = end - cm_monotonic_now();
        if (timeout >= 0 && left < 0)
            left = 0;
        struct pollfd p = {.fd = fd, .events = events};
        /* Rounded up, or the last millisecond would be a busy loop. */
        int ms = timeout < 0 ? -1 : (int)CM_MIN((left + 999) / 1000, (cm_usec)1000000);
        int n = poll(&p, 1, ms);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
        if (timeout >= 0 && cm_monotonic_now() >= end)
            return false;
    }
}

enum cm_code cm_fd_write_all(int fd, const void *data, size_t len, struct cm_err *err)
{
    const char *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n >= 0) {
            p += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            cm_ignore(cm_fd_wait(fd, POLLOUT, -1), "the next write tells what is wrong");
        } else if (errno != EINTR) {
            return cm_err_errno(err, CM_IO, "write");
        }
    }
    return CM_OK;
}

enum cm_code cm_fd_read_all(int fd, struct cm_buf *out, struct cm_err *err)
{
    char chunk[16384];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n > 0) {
            cm_buf_append(out, chunk, (size_t)n);
            if (out->failed)
                return cm_buf_check(out, "input", err);
        } else if (n == 0) {
            return CM_OK;
        } else if (errno == EAGAIN) {
            cm_ignore(cm_fd_wait(fd, POLLIN, -1), "the next read tells what is wrong");
        } else if (errno != EINTR) {
            return cm_err_errno(err, CM_IO, "read");
        }
    }
}

enum cm_code cm_fd_pipe(int ret[2], struct cm_err *err)
{
    if (pipe2(ret, O_CLOEXEC) < 0)
        return cm_err_errno(err, CM_IO, "make a pipe");
    return CM_OK;
}

enum cm_code cm_fd_from_memory(const char *name, struct cm_str data, int *ret, struct cm_err *err)
{
    CM_AUTOFD int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return cm_err_errno(err, CM_IO, "make a memory file");
    if (cm_fd_write_all(fd, data.ptr, data.len, err) != CM_OK)
        return CM_IO;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return cm_err_errno(err, CM_IO, "rewind a memory file");
    *ret = CM_TAKE_FD(fd);
    return CM_OK;
}

static bool close_range_ok(unsigned from, unsigned to)
{
#ifdef SYS_close_range
    return from > to || syscall(SYS_close_range, from, to, 0) == 0;
#else
    return false;
#endif
}

static bool is_kept(int fd, const int *keep, size_t keep_count)
{
    for (size_t i = 0; i < keep_count; i++)
        if (keep[i] == fd)
            return true;
    return false;
}

/* Kernels before 5.9: every number up to the limit, which may be a million, so the list in /proc is
 * asked first. Its entries are read by getdents64, since opendir allocates and this runs between
 * fork and exec. */
static bool close_listed(int first, const int *keep, size_t keep_count)
{
    struct entry {
        uint64_t ino;
        int64_t off;
        uint16_t reclen;
        uint8_t type;
        char name[];
    };
    int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return false;
    char buf[4096] __attribute__((aligned(8)));
    long n;
    while ((n = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(const void *)(buf + at);
            int fd = 0;
            bool number = e->name[0] >= '0' && e->name[0] <= '9';
            for (const char *p = e->name; *p; p++)
                fd = fd * 10 + (*p - '0');
            if (number && fd >= first && fd != dir && !is_kept(fd, keep, keep_count))
                close(fd);
            at += e->reclen;
        }
    }
    close(dir);
    return n == 0;
}

void cm_fd_close_from(int first, const int *keep, size_t keep_count)
{
    unsigned from = (unsigned)first;
    bool ok = true;
    for (size_t i = 0; i < keep_count && ok; i++) {
        if (keep[i] < (int)from)
            continue;
        if ((unsigned)keep[i] > from)
            ok = close_range_ok(from, (unsigned)keep[i] - 1);
        from = (unsigned)keep[i] + 1;
    }
    if (ok && close_range_ok(from, ~0U))
        return;
    if (close_listed(first, keep, keep_count))
        return;
    struct rlimit lim;
    int max =
        getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < 65536 ? (int)lim.rlim_cur : 65536;
    for (int fd = first; fd < max; fd++)
        if (!is_kept(fd, keep, keep_count))
            close(fd);
}
