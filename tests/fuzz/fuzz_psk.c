/* The server's side of a PSK handshake, fed with up to three flights. */
#include "net/rpc/psk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum cm_code lookup(void *ctx, struct cm_str name, uint8_t key[CM_PSK_KEY], bool *found,
                           struct cm_err *err)
{
    (void)ctx;
    (void)err;
    cm_assert(name.len > 0 && name.len <= CM_PSK_NAME_MAX);
    *found = name.ptr[0] == 'p';
    memset(key, 0, CM_PSK_KEY);
    return CM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t fake[32] = {1};
    CM_AUTO(cm_psk) p = NULL;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(CM_PSK_FLIGHT_MAX);
    if (cm_psk_server_new(fake, lookup, &p, NULL) != CM_OK)
        return 0;
    /* Flights end at the byte pairs that say so. */
    const uint8_t *at = data, *end = data + size;
    for (int i = 0; i < 3; i++) {
        const uint8_t *cut = memmem(at, (size_t)(end - at), "\xfe\xfe", 2);
        struct cm_str flight = cm_str_n(at, (size_t)((cut ? cut : end) - at));
        cm_buf_reset(&out);
        enum cm_code code = cm_psk_step(p, flight, &out, NULL, NULL);
        cm_assert(code == CM_OK || out.len == 0);
        if (code != CM_OK || !cut)
            break;
        at = cut + 2;
    }
    cm_assert(!cm_psk_is_done(p)); /* nobody makes up a handshake */
    return 0;
}
