#include "plugin/grpc.h"

static uint32_t load_be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

enum cm_code grpc_unframe(struct cm_str body, struct cm_str *ret_message, struct cm_err *err)
{
    if (body.len < GRPC_PREFIX_BYTES)
        return cm_err_set(err, CM_PROTOCOL, "a request of %zu bytes has no message", body.len);
    const unsigned char *p = (const unsigned char *)body.ptr;
    if (p[0] != 0)
        return cm_err_set(err, CM_PROTOCOL, "compressed messages are not supported");
    uint32_t len = load_be32(p + 1);
    if (len != body.len - GRPC_PREFIX_BYTES)
        return cm_err_set(err, CM_PROTOCOL, "a message of %u bytes came with %zu bytes", len,
                          body.len - GRPC_PREFIX_BYTES);
    *ret_message = cm_str_n(body.ptr + GRPC_PREFIX_BYTES, len);
    return CM_OK;
}

void grpc_frame_begin(struct cm_buf *out)
{
    cm_buf_append(out, "\0\0\0\0\0", GRPC_PREFIX_BYTES);
}

void grpc_frame_end(struct cm_buf *out)
{
    if (out->failed)
        return;
    cm_assert(out->len >= GRPC_PREFIX_BYTES && out->len - GRPC_PREFIX_BYTES <= UINT32_MAX);
    uint32_t len = (uint32_t)(out->len - GRPC_PREFIX_BYTES);
    for (int i = 0; i < 4; i++)
        out->ptr[1 + i] = (char)(len >> (24 - 8 * i));
}

void grpc_encode_message(struct cm_buf *out, struct cm_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c <= 0x7e && c != '%')
            cm_buf_char(out, (char)c);
        else
            cm_buf_printf(out, "%%%02X", c);
    }
}
