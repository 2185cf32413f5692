/* Finding a dead peer. Whatever arrives is a sign of life, so a busy tunnel sends no PING, and of
 * two ends that both keep watch mostly one asks. */
#include "internal.h"

#include <event2/buffer.h>

static void send_ping(struct cm_tunnel *t)
{
    uint64_t seq = ++t->ping_seq;
    uint8_t opaque[8];
    memcpy(opaque, &seq, sizeof(opaque));
    t->asked_at = cm_monotonic_now();
    cm_ignore(nghttp2_submit_ping(t->h2, NGHTTP2_FLAG_NONE, opaque), "only a lack of memory");
    tunnel_kick(t);
}

void ping_acked(struct cm_tunnel *t, const uint8_t opaque[8])
{
    uint64_t seq;
    memcpy(&seq, opaque, sizeof(seq));
    if (seq == t->ping_seq && t->asked_at)
        t->rtt = cm_monotonic_now() - t->asked_at;
}

/* Timers of many tunnels fall together, so that one turn of the loop sends many PINGs: half the
 * cost with thousands. */
static void start_timer(struct cm_tunnel *t, cm_usec after)
{
    cm_usec grain = CM_MAX(t->cfg.ping_interval / 200, 1);
    cm_usec at = cm_monotonic_now() + after;
    cm_timer_start(&t->ping_timer, after + grain - at % grain);
}

static void on_timer(void *ctx)
{
    struct cm_tunnel *t = ctx;
    cm_usec now = cm_monotonic_now(), silent = now - t->heard_at;
    if (t->ended)
        return;
    if (t->heard_at >= t->asked_at)
        t->asking = false;
    if (silent < t->cfg.ping_interval) {
        start_timer(t, t->cfg.ping_interval - silent);
        return;
    }
    /* On a slow link the PING may still be queued behind data: as long as that drains, the link
     * lives. */
    bool queued = cm_stream_unsent(t->transport) > 0 && t->drained_count != t->drained_seen;
    if (t->asking && !queued) {
        struct cm_err err;
        cm_err_set(&err, CM_TIMEOUT, "the peer of the tunnel has been silent for %lld s",
                   (long long)(silent / CM_SECOND));
        tunnel_end(t, &err);
        tunnel_kick(t);
        return;
    }
    if (!t->asking)
        send_ping(t);
    t->asking = true;
    t->drained_seen = t->drained_count;
    start_timer(t, t->cfg.ping_timeout);
}

void ping_start(struct cm_tunnel *t)
{
    t->heard_at = cm_monotonic_now();
    cm_timer_init(&t->ping_timer, t->loop, on_timer, t);
    if (t->cfg.ping_interval > 0)
        start_timer(t, t->cfg.ping_interval);
}

cm_usec cm_tunnel_rtt(const struct cm_tunnel *t)
{
    return t->rtt;
}
