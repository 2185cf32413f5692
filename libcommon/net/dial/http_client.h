/* HTTP/1.1 client on a loop: keep-alive, chunked answers, limits, deadlines, streamed bodies, and
 * Upgrade.
 *
 * A client belongs to one loop; calls run side by side, each on a connection of its own, which is
 * kept for the next one. cm_httpc_do drives the loop by hand, for command line programs. */
#pragma once

#include "base/arena.h"
#include "net/dial/dial.h"

struct cm_httpc;

struct cm_httpc *cm_httpc_new(struct cm_loop *loop, struct cm_dialer *dialer); /* both borrowed */
void cm_httpc_free(struct cm_httpc *h); /* with no call under way */
CM_DEFINE_CLEANUP(cm_httpc, cm_httpc_free)

struct cm_httpc_header {
    struct cm_str name, value;
};

struct cm_httpc_req {
    const char *method; /* NULL: GET */
    struct cm_str url;
    const struct cm_httpc_header
        *headers; /* Host, Content-Length, Connection and Upgrade are the client's own */
    size_t n_headers;
    struct cm_str body; /* sent when has_body; borrowed until the call is done */
    bool has_body;
    const char *upgrade; /* protocol to switch to, or NULL */
    size_t max_body;     /* of the answer; 0: 16 MiB */
    cm_usec timeout; /* of the whole call; with on_body, until the head and then between pieces; 0:
                        30 s */
    const char *unix_path; /* connect here whatever the URL's host is, or NULL */
    /* Receives a 2xx body in pieces instead of collecting it; false ends the call with CM_CANCELED.
     */
    bool (*on_body)(void *ctx, struct cm_str piece);
    void *body_ctx;
};

struct cm_httpc_answer {
    struct cm_arena *arena; /* owns what the rest points to, and is freed with the answer */
    int status;
    struct cm_str reason;
    struct cm_httpc_header *headers;
    size_t n_headers;
    struct cm_str body;
    /* After a 101: owned by the answer until taken. Its input may already hold bytes, or have
     * ended: look at once. */
    struct cm_stream *stream;
};
void cm_httpc_answer_free(struct cm_httpc_answer *a);
CM_DEFINE_CLEANUP(cm_httpc_answer, cm_httpc_answer_free)
/* The first header of that name (any case), or an empty string with ptr NULL. */
struct cm_str cm_httpc_header(const struct cm_httpc_answer *a, const char *name);

struct cm_httpc_call;
/* Runs exactly once, on the loop, never inside cm_httpc_start, unless canceled first. answer is
 * owned by the callee, NULL with err set on failure. An answer of any status is an answer, not a
 * failure. */
typedef void (*cm_httpc_fn)(void *ctx, struct cm_httpc_answer *answer, const struct cm_err *err);
struct cm_httpc_call *cm_httpc_start(struct cm_httpc *h, const struct cm_httpc_req *req,
                                     cm_httpc_fn fn, void *ctx);
void cm_httpc_cancel(struct cm_httpc_call *c); /* NULL is fine */

/* The same, waiting: turns the loop until the answer is there. Not from within a callback of that
 * loop. */
CM_MUST_USE enum cm_code cm_httpc_do(struct cm_httpc *h, const struct cm_httpc_req *req,
                                     struct cm_httpc_answer **ret, struct cm_err *err);
