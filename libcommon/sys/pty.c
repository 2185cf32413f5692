#include "sys/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum cm_code cm_pty_open(int *ret_master, int *ret_slave, char name[CM_PTY_NAME_MAX],
                         struct cm_err *err)
{
    CM_AUTOFD int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0)
        return cm_err_errno(err, CM_UNAVAILABLE, "open a pseudo terminal (/dev/ptmx)");
    if (grantpt(master) < 0 || unlockpt(master) < 0)
        return cm_err_errno(err, CM_IO, "unlock a pseudo terminal");
    int e = ptsname_r(master, name, CM_PTY_NAME_MAX);
    if (e) {
        errno = e;
        return cm_err_errno(err, CM_IO, "name of the pseudo terminal");
    }
    CM_AUTOFD int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
#ifdef TIOCGPTPEER
    /* Where /dev/pts belongs to another mount namespace, the name leads nowhere, but the master
     * knows its peer. */
    if (slave < 0)
        slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
#endif
    if (slave < 0)
        return cm_err_errno(err, CM_IO, "open %s", name);
    *ret_master = CM_TAKE_FD(master);
    *ret_slave = CM_TAKE_FD(slave);
    return CM_OK;
}

static unsigned short clamp16(unsigned v)
{
    return (unsigned short)(v > 65535 ? 65535 : v);
}

void cm_pty_resize(int master, unsigned rows, unsigned cols, unsigned xpixel, unsigned ypixel)
{
    struct winsize ws = {.ws_row = clamp16(rows),
                         .ws_col = clamp16(cols),
                         .ws_xpixel = clamp16(xpixel),
                         .ws_ypixel = clamp16(ypixel)};
    ioctl(master, TIOCSWINSZ, &ws);
}
