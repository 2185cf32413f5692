/* WebSocket frames of either role, in pieces of any size. */
#include "net/ws/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_frame(void *ctx, enum cm_ws_opcode op, struct cm_str payload)
{
    (void)ctx;
    if (op == CM_WS_OP_TEXT)
        cm_assert(cm_str_is_utf8(payload));
    cm_assert(payload.len <= (op & 8 ? (size_t)CM_WS_CONTROL_MAX : 512));
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct cm_ws_decoder d;
    struct cm_err err = {.code = CM_OK};
    enum cm_code code = CM_OK;
    size_t piece = (data[0] & 0x7f) + 1;
    int close = 0;

    cm_ws_decoder_init(&d, data[0] & 0x80, 512);
    d.on_frame = on_frame;
    for (size_t at = 1; at < size && code == CM_OK;) {
        size_t used = 0, n = CM_MIN(piece, size - at);
        code = cm_ws_decoder_feed(&d, data + at, n, &used, &close, &err);
        cm_assert(used <= n && (code != CM_OK || used == n));
        at += used;
    }
    if (code != CM_OK)
        cm_assert(close == CM_WS_PROTOCOL_ERROR || close == CM_WS_TOO_BIG ||
                  close == CM_WS_BAD_DATA);
    cm_ws_decoder_done(&d);
    return 0;
}
