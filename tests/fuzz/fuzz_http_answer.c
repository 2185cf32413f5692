/* HTTP answers as a client reads them: the first byte says how the rest is cut into pieces and what
 * was asked. */
#include "net/dial/http_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_piece(void *ctx, struct cm_str piece)
{
    *(size_t *)ctx += piece.len;
    return *(size_t *)ctx < 4096;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t total = 0, piece = (data[0] & 0x1f) + 1;
    struct cm_httpc_req req = {
        .method = data[0] & 0x20 ? "HEAD" : "GET",
        .upgrade = data[0] & 0x40 ? "x" : NULL,
        .max_body = 2048,
        .on_body = data[0] & 0x80 ? on_piece : NULL,
        .body_ctx = &total,
    };
    struct cm_httpc_reader r;
    enum cm_httpc_step step = CM_HTTPC_MORE;

    cm_httpc_reader_init(&r, &req);
    for (size_t at = 1; at < size && step == CM_HTTPC_MORE;) {
        size_t used = 0, n = CM_MIN(piece, size - at);
        step = cm_httpc_reader_feed(&r, cm_str_n(data + at, n), &used);
        cm_assert(used <= n);
        cm_assert(step != CM_HTTPC_MORE || used == n);
        at += used;
    }
    if (step == CM_HTTPC_MORE)
        step = cm_httpc_reader_eof(&r);
    if (step == CM_HTTPC_COMPLETE)
        cm_assert(r.answer->status >= 100 && r.answer->body.len <= 2048);
    if (step == CM_HTTPC_BROKEN)
        cm_assert(r.err.code != CM_OK && r.err.text[0]);
    cm_httpc_reader_done(&r);
    return 0;
}
