/* The way of a client's nng to a public port: nng speaks plain ws:// to a listener inside this
 * process, and the forwarder carries that to coderd through net/dial, which does names, proxies and
 * TLS, and says exactly what failed. Serves one connection of nng's, whose path must carry a
 * secret, since any local process could knock. */
#pragma once

#include "net/dial/http_client.h"

struct rpc_forward;

/* url: what nng may dial now; or NULL with err: it failed or the connection has ended, for good. At
 * most one of each, url first; on the loop. */
typedef void (*rpc_forward_fn)(void *ctx, const char *url, const struct cm_err *err);

/* url: the RPC's on the public port (http or https), copied. unix_path: connect there
 * instead (borrowed while it lives), or NULL. timeout: until coderd has agreed to
 * the WebSocket. */
struct rpc_forward *rpc_forward_start(struct cm_dialer *dialer, struct cm_loop *loop,
                                      struct cm_str url, const char *unix_path, cm_usec timeout,
                                      rpc_forward_fn fn, void *ctx);
/* Ends the connection too. May be called from the callback. NULL is fine. */
void rpc_forward_stop(struct rpc_forward *f);
