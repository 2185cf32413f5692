/* The server's side of a PSK handshake over stdin and stdout, for a foreign client
 * (foreign_psk.py): each flight has its length (4 bytes, big endian) before it; an empty flight
 * refuses. After the handshake either side sends one sealed message. Exit status: 0 all went well,
 * 3 refused. */
#include <stdio.h>
#include <unistd.h>

#include "net/rpc/psk.h"

#define GREETING "the server greets its foreign client"
#define ANSWER   "and is greeted in turn"

static bool read_all(void *out, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(0, (char *)out + at, n - at);
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static bool read_frame(char *out, size_t max, size_t *ret_len)
{
    uint8_t len[4];
    if (!read_all(len, sizeof(len)))
        return false;
    *ret_len = (size_t)len[0] << 24 | (size_t)len[1] << 16 | (size_t)len[2] << 8 | len[3];
    return *ret_len <= max && read_all(out, *ret_len);
}

static bool write_frame(struct cm_str s)
{
    const uint8_t len[4] = {(uint8_t)(s.len >> 24), (uint8_t)(s.len >> 16), (uint8_t)(s.len >> 8),
                            (uint8_t)s.len};
    return write(1, len, sizeof(len)) == sizeof(len) &&
           write(1, s.ptr ? s.ptr : "", s.len) == (ssize_t)s.len;
}

static enum cm_code lookup(void *ctx, struct cm_str name, uint8_t key[CM_PSK_KEY], bool *found,
                           struct cm_err *err)
{
    (void)ctx;
    (void)err;
    *found = cm_str_eq_c(name, "psk");
    if (*found)
        cm_psk_key_from_text(CM_STR("q8xlJ0Zb2n2uS4rTt8Qm0w=="), key);
    return CM_OK;
}

static void aad(struct cm_buf *out, enum cm_seal_dir dir)
{
    struct cm_uuid id;
    for (unsigned i = 0; i < sizeof(id.b); i++)
        id.b[i] = (uint8_t)i;
    cm_seal_aad(out, dir, CM_STR("test.Foreign"), id);
}

static bool exchange(const uint8_t secret[CM_SEAL_SECRET])
{
    struct cm_seal_box box;
    char message[sizeof(GREETING) - 1], in[256];
    size_t n = 0;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(1024), mine = CM_BUF_INIT(256),
                             theirs = CM_BUF_INIT(256);
    aad(&mine, CM_SEAL_REPLY);
    aad(&theirs, CM_SEAL_REQUEST);
    cm_seal(secret, cm_buf_view(&mine), GREETING, sizeof(message), message, &box);
    cm_buf_append(&out, box.salt, sizeof(box.salt));
    cm_buf_append(&out, box.tag, sizeof(box.tag));
    cm_buf_append(&out, message, sizeof(message));
    if (!write_frame(cm_buf_view(&out)) || !read_frame(in, sizeof(in), &n) ||
        n != sizeof(box) + sizeof(ANSWER) - 1)
        return false;
    memcpy(&box, in, sizeof(box));
    char *text = in + sizeof(box);
    return cm_seal_open(secret, &box, cm_buf_view(&theirs), text, sizeof(ANSWER) - 1, text, NULL) ==
               CM_OK &&
           memcmp(text, ANSWER, sizeof(ANSWER) - 1) == 0;
}

int main(void)
{
    const uint8_t fake[32] = {1};
    CM_AUTO(cm_psk) p = NULL;
    struct cm_err err;
    if (cm_psk_server_new(fake, lookup, &p, &err) != CM_OK)
        return 1;
    while (!cm_psk_is_done(p)) {
        char in[CM_PSK_FLIGHT_MAX];
        size_t n = 0;
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(CM_PSK_FLIGHT_MAX);
        if (!read_frame(in, sizeof(in), &n))
            return 1;
        if (cm_psk_step(p, cm_str_n(in, n), &out, NULL, &err) != CM_OK) {
            fprintf(stderr, "%s\n", err.text);
            return write_frame(CM_STR_NONE) ? 3 : 1;
        }
        if (!cm_psk_is_done(p) && !write_frame(cm_buf_view(&out)))
            return 1;
    }
    uint8_t secret[CM_SEAL_SECRET];
    cm_psk_secret(p, secret);
    return exchange(secret) ? 0 : 1;
}
