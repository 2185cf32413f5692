/* Which proxy a connection takes, and the CONNECT exchange with it. Internal to net/dial. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct cm_proxy {
    char *host;
    uint16_t port;
    char *authorization; /* value of Proxy-Authorization, or NULL */
};

/* text: "http://user:password@host:port" or "host:port". Empty text gives host NULL. */
CM_MUST_USE enum cm_code cm_proxy_parse(struct cm_str text, struct cm_proxy *ret,
                                        struct cm_err *err);
void cm_proxy_done(struct cm_proxy *p);

/* Does NO_PROXY (names, .suffixes, addresses, CIDR blocks, each with an optional port; "*") exempt
 * this host? Local names and loopback addresses always are. */
bool cm_proxy_exempt(struct cm_str no_proxy, struct cm_str host, uint16_t port);

void cm_proxy_request(struct cm_buf *out, const struct cm_proxy *p, const char *host,
                      uint16_t port);

/* Reads the proxy's answer. data is looked at from its start each time. *ret_used bytes belong to
 * the answer's head when *ret_done. An answer other than 2xx is an error that quotes status and
 * reason. */
CM_MUST_USE enum cm_code cm_proxy_answer(struct cm_str data, size_t *ret_used, bool *ret_done,
                                         struct cm_err *err);
