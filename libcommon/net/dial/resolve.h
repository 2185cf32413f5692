/* Names to addresses: the hosts file, then DNS by c-ares, so that static programs need no NSS.
 *
 * Numeric addresses and localhost never leave the machine. Each query reads resolv.conf anew, since
 * laptops change networks under a running program. */
#pragma once

#include <sys/socket.h>

#include "base/err.h"
#include "loop/loop.h"

#define CM_ADDRS_MAX 16 /* more are dropped */

struct cm_addr {
    struct sockaddr_storage sa;
    socklen_t len;
};

/* "192.0.2.1:443", "[2001:db8::1]:443", or a path for unix sockets. */
#define CM_ADDR_TEXT 128
const char *cm_addr_format(const struct cm_addr *a, char out[CM_ADDR_TEXT]);
/* Numeric IPv4 or IPv6 (without brackets), or false. */
CM_MUST_USE bool cm_addr_parse(const char *host, uint16_t port, struct cm_addr *ret);

struct cm_resolve;

/* Runs exactly once, on the loop, never before cm_resolve_start has returned, unless canceled
 * first. err is NULL when n > 0. The addresses are borrowed for the call and sorted by preference
 * (RFC 6724). */
typedef void (*cm_resolve_fn)(void *ctx, const struct cm_addr *addrs, size_t n,
                              const struct cm_err *err);

/* The handle is valid until fn runs or it is canceled. */
struct cm_resolve *cm_resolve_start(struct cm_loop *loop, const char *host, uint16_t port,
                                    cm_usec timeout, cm_resolve_fn fn, void *ctx);
void cm_resolve_cancel(struct cm_resolve *q); /* NULL is fine */
