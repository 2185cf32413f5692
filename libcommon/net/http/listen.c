#include "net/http/listen.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

enum cm_code cm_http_listen(const char *address, int *ret_fd, struct cm_err *err)
{
    struct cm_str a = cm_str(address);
    ptrdiff_t colon = cm_str_find_last(a, ':');
    if (colon < 0)
        return cm_err_set(err, CM_INVALID, "address \"%s\" must have the form host:port", address);
    struct cm_str host = cm_str_sub(a, 0, (size_t)colon);
    if (host.len > 1 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = cm_str_sub(host, 1, host.len - 2);
    CM_AUTOFREE char *node = cm_str_xdup(host);
    const char *port = address + colon + 1;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *list = NULL;
    int e = getaddrinfo(host.len ? node : NULL, port, &hints, &list);
    if (e)
        return cm_err_set(err, CM_INVALID, "address \"%s\": %s", address, gai_strerror(e));
    enum cm_code code = CM_IO;
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, list->ai_addr, list->ai_addrlen) != 0 ||
        listen(fd, CM_HTTP_BACKLOG) != 0) {
        if (errno == EADDRINUSE)
            code = cm_err_set(
                err, CM_CONFLICT,
                "port %s is in use by another program; stop it or choose another address", port);
        else
            code = cm_err_errno(err, CM_IO, "listen on %s", address);
        if (fd >= 0)
            close(fd);
    } else {
        code = CM_OK;
        *ret_fd = fd;
    }
    freeaddrinfo(list);
    return code;
}
