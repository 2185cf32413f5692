#include "ssh/rewrite.h"

#include <arpa/inet.h>

#define SSH_OPEN 90 /* SSH_MSG_CHANNEL_OPEN */

static bool take_u32(struct cm_str *s, uint32_t *ret)
{
    if (s->len < 4)
        return false;
    uint32_t be;
    memcpy(&be, s->ptr, 4);
    *ret = ntohl(be);
    *s = cm_str_sub(*s, 4, s->len - 4);
    return true;
}

static bool take_string(struct cm_str *s, struct cm_str *ret)
{
    uint32_t n;
    if (!take_u32(s, &n) || n > s->len)
        return false;
    *ret = cm_str_sub(*s, 0, n);
    *s = cm_str_sub(*s, n, s->len - n);
    return true;
}

static void put_u32(struct cm_buf *b, uint32_t v)
{
    uint32_t be = htonl(v);
    cm_buf_append(b, &be, 4);
}

static void put_string(struct cm_buf *b, struct cm_str s)
{
    put_u32(b, (uint32_t)s.len);
    cm_buf_str(b, s);
}

static bool is_path(struct cm_str s)
{
    return s.len > 0 && s.ptr[0] == '/' && cm_str_find(s, '\0') < 0;
}

bool ssh_rewrite_channel_open(struct cm_str packet, struct cm_buf *out)
{
    struct cm_str type, path, numbers;
    if (!take_string(&packet, &type) || !cm_str_eq_c(type, "direct-streamlocal@openssh.com") ||
        packet.len < 12)
        return false;
    numbers = cm_str_sub(packet, 0, 12); /* channel, window, packet size */
    packet = cm_str_sub(packet, 12, packet.len - 12);
    if (!take_string(&packet, &path) || !is_path(path))
        return false;
    put_string(out, CM_STR("direct-tcpip"));
    cm_buf_str(out, numbers);
    put_string(out, path);
    put_u32(out, 0);
    put_string(out, CM_STR(""));
    put_u32(out, 0);
    return !out->failed;
}

bool ssh_rewrite_global_request(struct cm_str packet, struct cm_buf *out)
{
    struct cm_str type, path, want_reply;
    if (!take_string(&packet, &type) || packet.len < 1)
        return false;
    bool cancel = cm_str_eq_c(type, "cancel-streamlocal-forward@openssh.com");
    if (!cancel && !cm_str_eq_c(type, "streamlocal-forward@openssh.com"))
        return false;
    want_reply = cm_str_sub(packet, 0, 1);
    packet = cm_str_sub(packet, 1, packet.len - 1);
    if (!take_string(&packet, &path) || !is_path(path))
        return false;
    put_string(out, cancel ? CM_STR("cancel-tcpip-forward") : CM_STR("tcpip-forward"));
    cm_buf_str(out, want_reply);
    put_string(out, path);
    put_u32(out, 1); /* not 0: to a request for any port the answer would name one */
    return !out->failed;
}

int __wrap_ssh_buffer_add_buffer(ssh_buffer buffer, ssh_buffer source)
{
    struct cm_str head = cm_str_n(ssh_buffer_get(buffer), ssh_buffer_get_len(buffer));
    struct cm_str args =
        source ? cm_str_n(ssh_buffer_get(source), ssh_buffer_get_len(source)) : CM_STR_NONE;
    struct cm_str type, path;
    if (head.len < 1 || (uint8_t)head.ptr[0] != SSH_OPEN)
        return __real_ssh_buffer_add_buffer(buffer, source);
    head = cm_str_sub(head, 1, head.len - 1);
    if (!take_string(&head, &type) || !cm_str_eq_c(type, "forwarded-tcpip") ||
        !take_string(&args, &path) || !is_path(path))
        return __real_ssh_buffer_add_buffer(buffer, source);
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT((size_t)16 * 1024);
    cm_buf_char(&out, SSH_OPEN);
    put_string(&out, CM_STR("forwarded-streamlocal@openssh.com"));
    cm_buf_str(&out, head); /* channel, window, packet size */
    put_string(&out, path);
    put_string(&out, CM_STR("")); /* reserved */
    if (out.failed || ssh_buffer_reinit(buffer) != 0)
        return -1;
    return ssh_buffer_add_data(buffer, out.ptr, (uint32_t)out.len);
}
