#include "net/ws/frame.h"

void cm_ws_decoder_init(struct cm_ws_decoder *d, bool from_client, size_t max_message)
{
    *d = (struct cm_ws_decoder){.from_client = from_client, .max_message = max_message};
    cm_buf_init(&d->message, max_message);
}

void cm_ws_decoder_done(struct cm_ws_decoder *d)
{
    cm_buf_done(&d->message);
}

void cm_ws_mask(void *data, size_t len, const unsigned char mask[4], uint64_t offset)
{
    unsigned char *p = data;
    size_t i = 0;
    uint64_t word;
    unsigned char turned[8];

    for (size_t k = 0; k < 8; k++)
        turned[k] = mask[(offset + k) & 3];
    memcpy(&word, turned, 8);
    for (; len - i >= 8; i += 8) {
        uint64_t v;
        memcpy(&v, p + i, 8);
        v ^= word;
        memcpy(p + i, &v, 8);
    }
    for (; i < len; i++)
        p[i] ^= turned[i & 7];
}

size_t cm_ws_head(unsigned char out[CM_WS_HEAD_MAX], enum cm_ws_opcode op, uint64_t len,
                  const unsigned char *mask)
{
    size_t n = 2;
    unsigned char m = mask ? 0x80 : 0;

    out[0] = (unsigned char)(0x80 | op);
    if (len <= 125) {
        out[1] = (unsigned char)(m | len);
    } else {
        size_t bytes = len <= UINT16_MAX ? 2 : 8;
        out[1] = (unsigned char)(m | (bytes == 2 ? 126 : 127));
        for (size_t i = 0; i < bytes; i++)
            out[n++] = (unsigned char)(len >> 8 * (bytes - 1 - i));
    }
    if (mask) {
        memcpy(out + n, mask, 4);
        n += 4;
    }
    return n;
}

static bool valid_close_code(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

bool cm_ws_close_parse(struct cm_str payload, int *ret_code, struct cm_str *ret_reason)
{
    *ret_code = CM_WS_NO_CODE;
    *ret_reason = CM_STR("");
    if (payload.len == 0)
        return true;
    if (payload.len == 1)
        return false;
    *ret_code = (unsigned char)payload.ptr[0] << 8 | (unsigned char)payload.ptr[1];
    *ret_reason = cm_str_sub(payload, 2, payload.len);
    return valid_close_code(*ret_code) && cm_str_is_utf8(*ret_reason);
}

static enum cm_code broken(struct cm_ws_decoder *d, int *ret_close, int close, enum cm_code code,
                           const char *text, struct cm_err *err)
{
    d->failed = true;
    *ret_close = close;
    return cm_err_set(err, code, "WebSocket: %s", text);
}

static enum cm_code check_head(struct cm_ws_decoder *d, int *ret_close, struct cm_err *err)
{
    bool control = d->op & 8;

    if (d->head[0] & 0x70)
        return broken(d, ret_close, CM_WS_PROTOCOL_ERROR, CM_PROTOCOL, "an extension's bit is set",
                      err);
    if ((d->op > CM_WS_OP_BINARY && d->op < CM_WS_OP_CLOSE) || d->op > CM_WS_OP_PONG)
        return broken(d, ret_close, CM_WS_PROTOCOL_ERROR, CM_PROTOCOL, "unknown kind of frame",
                      err);
    if (((d->head[1] & 0x80) != 0) != d->from_client)
        return broken(
            d, ret_close, CM_WS_PROTOCOL_ERROR, CM_PROTOCOL,
            d->from_client ? "a client's frame is not masked" : "a server's frame is masked", err);
    if (control && (!d->fin || d->payload_len > CM_WS_CONTROL_MAX))
        return broken(d, ret_close, CM_WS_PROTOCOL_ERROR, CM_PROTOCOL,
                      "a control frame is too long or in pieces", err);
    if (control)
        return CM_OK;
    if ((d->op == CM_WS_OP_CONT) != (d->message_op != CM_WS_OP_CONT))
        return broken(d, ret_close, CM_WS_PROTOCOL_ERROR, CM_PROTOCOL, "fragments are out of order",
                      err);
    if (d->payload_len > d->max_message - d->message.len)
        return broken(d, ret_close, CM_WS_TOO_BIG, CM_TOO_LARGE, "the message is too large", err);
    if (d->op != CM_WS_OP_CONT)
        d->message_op = d->op;
    return CM_OK;
}

/* How long the head is, as far as its bytes so far tell. */
static size_t head_need(const struct cm_ws_decoder *d)
{
    if (d->head_len < 2)
        return 2;
    unsigned len7 = d->head[1] & 0x7f;
    return 2 + (len7 == 126 ? 2u : len7 == 127 ? 8u : 0u) + (d->head[1] & 0x80 ? 4u : 0u);
}

static enum cm_code finish_head(struct cm_ws_decoder *d, int *ret_close, struct cm_err *err)
{
    unsigned len7 = d->head[1] & 0x7f;
    size_t bytes = len7 == 126 ? 2 : len7 == 127 ? 8 : 0;

    d->fin = d->head[0] & 0x80;
    d->op = d->head[0] & 0x0f;
    d->payload_len = bytes ? 0 : len7;
    for (size_t i = 0; i < bytes; i++)
        d->payload_len = d->payload_len << 8 | d->head[2 + i];
    if ((bytes == 2 && d->payload_len <= 125) ||
        (bytes == 8 && (d->payload_len <= UINT16_MAX || d->payload_len >> 63)))
        return broken(d, ret_close, CM_WS_PROTOCOL_ERROR, CM_PROTOCOL,
                      "a length is not in its shortest form", err);
    if (d->head[1] & 0x80)
        memcpy(d->mask, d->head + d->head_len - 4, 4);
    else
        memset(d->mask, 0, 4);
    d->payload_at = 0;
    d->in_payload = true;
    return check_head(d, ret_close, err);
}

static enum cm_code finish_frame(struct cm_ws_decoder *d, bool *go_on, int *ret_close,
                                 struct cm_err *err)
{
    struct cm_str payload;

    d->in_payload = false;
    d->head_len = 0;
    if (d->op & 8) {
        payload = cm_str_n(d->control, (size_t)d->payload_len);
        int code;
        struct cm_str reason;
        if (d->op == CM_WS_OP_CLOSE && !cm_ws_close_parse(payload, &code, &reason))
            return broken(d, ret_close, CM_WS_PROTOCOL_ERROR, CM_PROTOCOL,
                          "a close frame is broken", err);
        *go_on = d->on_frame(d->ctx, d->op, payload);
        return CM_OK;
    }
    if (!d->fin)
        return CM_OK;
    payload = cm_buf_view(&d->message);
    enum cm_ws_opcode op = d->message_op;
    if (op == CM_WS_OP_TEXT && !cm_str_is_utf8(payload))
        return broken(d, ret_close, CM_WS_BAD_DATA, CM_PROTOCOL, "a text message is not UTF-8",
                      err);
    d->message_op = CM_WS_OP_CONT;
    *go_on = d->on_frame(d->ctx, op, payload);
    cm_buf_reset(&d->message);
    return CM_OK;
}

enum cm_code cm_ws_decoder_feed(struct cm_ws_decoder *d, const void *data, size_t len,
                                size_t *ret_used, int *ret_close, struct cm_err *err)
{
    const unsigned char *p = data;
    size_t at = 0;
    bool go_on = true;
    enum cm_code code = CM_OK;

    cm_assert(!d->failed);
    while (code == CM_OK && go_on &&
           (at < len || (d->in_payload && d->payload_at == d->payload_len))) {
        if (!d->in_payload) {
            d->head[d->head_len++] = p[at++];
            if (d->head_len >= 2 && d->head_len == head_need(d))
                code = finish_head(d, ret_close, err);
            continue;
        }
        size_t n = (size_t)CM_MIN(d->payload_len - d->payload_at, (uint64_t)(len - at));
        unsigned char *to = NULL;
        if (d->op & 8)
            to = d->control + d->payload_at;
        else
            to = (unsigned char *)cm_buf_reserve(&d->message, n);
        cm_assert(to); /* check_head has seen to the size */
        if (n)
            memcpy(to, p + at, n);
        if (d->from_client)
            cm_ws_mask(to, n, d->mask, d->payload_at);
        if (!(d->op & 8))
            cm_buf_commit(&d->message, n);
        d->payload_at += n;
        at += n;
        if (d->payload_at == d->payload_len)
            code = finish_frame(d, &go_on, ret_close, err);
    }
    *ret_used = at;
    return code;
}
