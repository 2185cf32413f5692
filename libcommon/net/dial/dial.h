/* Outgoing connections: TCP or unix, through a proxy where one is set, with TLS where asked for.
 *
 * All addresses of a name are tried, a slow one beside the next (a light form of RFC 8305). Errors
 * say what failed: the name, the connection, the proxy, the certificate, the clock. A dialer may be
 * used from any number of loops. */
#pragma once

#include "net/dial/resolve.h"
#include "net/dial/tls.h"
#include "net/stream.h"

/* One set of options for every program. Texts are copied; NULL or "" means unset. */
struct cm_dialer_config {
    struct cm_tls_config tls;
    /* As in the environment variables of the same names; only http:// proxies. */
    const char *https_proxy, *http_proxy, *no_proxy;
};

struct cm_dialer;

CM_MUST_USE enum cm_code cm_dialer_new(const struct cm_dialer_config *cfg, struct cm_dialer **ret,
                                       struct cm_err *err);
void cm_dialer_free(struct cm_dialer *d); /* when no dial is under way */
CM_DEFINE_CLEANUP(cm_dialer, cm_dialer_free)

/* Fills the proxy fields and system_ca_file from HTTPS_PROXY, HTTP_PROXY, NO_PROXY (either case)
 * and SSL_CERT_FILE, looked up with get: for the one place of a program that may read the
 * environment. */
void cm_dialer_config_env(struct cm_dialer_config *cfg, const char *(*get)(const char *name));

struct cm_dial_target {
    const char *host; /* name or numeric address */
    uint16_t port;
    const char *unix_path; /* when set, host names only the TLS peer, and no proxy is used */
    bool tls;
    const char *alpn; /* one protocol, or NULL */
};

struct cm_dial;
/* Runs exactly once, on the loop, never before cm_dial_start has returned, unless canceled first.
 * stream is owned by the callee; NULL with err set on failure. */
typedef void (*cm_dial_fn)(void *ctx, struct cm_stream *stream, const struct cm_err *err);

/* target is copied. timeout covers everything from the name to the TLS handshake. */
struct cm_dial *cm_dial_start(struct cm_dialer *d, struct cm_loop *loop,
                              const struct cm_dial_target *target, cm_usec timeout, cm_dial_fn fn,
                              void *ctx);
void cm_dial_cancel(struct cm_dial *c); /* NULL is fine */
