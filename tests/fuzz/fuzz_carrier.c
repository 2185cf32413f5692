/* Frames on the path of a carrier that has sent something already, at either end, in pieces of any
 * size; then a second path, since what the first did to the offsets must not matter. */
#include <event2/buffer.h>

#include "mempipe.h"
#include "net/session/carrier.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    (void)ctx;
    struct evbuffer *in = cm_stream_input(s);
    size_t n = evbuffer_get_length(in);
    if (ev == CM_STREAM_DATA) {
        evbuffer_drain(in, n);
        cm_stream_consumed(s, n);
    }
}

static void play(struct cm_loop *loop, struct cm_carrier *c, bool client, const uint8_t *data,
                 size_t size, size_t chunk)
{
    struct cm_stream *ends[2];
    mempipe_new(loop, chunk, ends);
    if (client)
        cm_carrier_attach_client(c, ends[0]);
    else
        cm_carrier_attach_agent(c, ends[0], 0);
    cm_stream_write(ends[1], data, size);
    cm_stream_finish(ends[1]);
    for (size_t i = 0; i < (chunk ? size / chunk : 0) + 20; i++)
        cm_loop_turn(loop, 0);
    cm_stream_close(ends[1]);
    cm_loop_turn(loop, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    bool client = data[0] & 1;
    size_t chunk = data[0] >> 1 & 0x1f, first = 2 + data[1];
    static const char sent[5000];
    struct cm_loop *loop = cm_loop_new();
    const struct cm_carrier_config cfg = {.ping_interval = -1};
    struct cm_carrier *c = cm_carrier_new(loop, &cfg);
    struct cm_stream *s = cm_carrier_stream(c);
    cm_stream_set_fn(s, on_stream, NULL);
    cm_stream_write(s, sent, sizeof(sent));
    first = CM_MIN(first, size);
    play(loop, c, client, data + 2, first - 2, chunk);
    cm_stream_write(s, sent, 100);
    play(loop, c, client, data + first, size - first, chunk);
    cm_assert(cm_carrier_received(c) <= size);
    cm_stream_close(s);
    cm_loop_free(loop);
    return 0;
}
