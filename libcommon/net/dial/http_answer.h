/* Reads one HTTP/1.1 answer out of bytes that come in pieces. Internal to net/dial; fuzzed. */
#pragma once

#include "base/buf.h"
#include "net/dial/http_client.h"

#include <http_parser.h>

#define CM_HTTPC_HEADERS_MAX 256
#define CM_HTTPC_HEAD_MAX    ((size_t)128 << 10)

enum cm_httpc_step {
    CM_HTTPC_MORE,     /* feed on */
    CM_HTTPC_COMPLETE, /* answer is whole; what was not used belongs to the next one */
    CM_HTTPC_SWITCHED, /* 101: what was not used belongs to the new protocol */
    CM_HTTPC_BROKEN,   /* see err */
};

struct cm_httpc_reader {
    http_parser parser;
    struct cm_httpc_answer *answer; /* owned until taken */
    struct cm_buf head, body;       /* raw head texts, one after another; collected body */
    size_t max_body;
    bool (*on_body)(void *ctx, struct cm_str piece);
    void *body_ctx;
    struct {
        size_t name, name_len, value, value_len; /* in head */
    } spans[CM_HTTPC_HEADERS_MAX];
    size_t n_spans;
    size_t reason_len;
    bool in_value, head_done, complete, keep_alive, head_request, upgrade, canceled;
    struct cm_err err;
};

void cm_httpc_reader_init(struct cm_httpc_reader *r, const struct cm_httpc_req *req);
void cm_httpc_reader_done(struct cm_httpc_reader *r);
enum cm_httpc_step cm_httpc_reader_feed(struct cm_httpc_reader *r, struct cm_str data,
                                        size_t *ret_used);
/* The connection has ended: completes an answer without a length, else CM_HTTPC_BROKEN. */
enum cm_httpc_step cm_httpc_reader_eof(struct cm_httpc_reader *r);
