/* LISTEN on a connection of its own, driven by somebody's event loop.
 *
 * Nothing here blocks, except that libpq looks up host names while it starts to connect (use
 * addresses, a unix socket, or a caching resolver). The caller watches cm_db_listen_fd() for
 * cm_db_listen_events() and calls cm_db_listen_poll() when the descriptor is ready or
 * cm_db_listen_deadline() has passed; after each poll all three may have changed. One thread at a
 * time.
 *
 * Notifications are lost while there is no connection: on_ready is called after every connect, the
 * first included, and means "look at everything again". */
#pragma once

#include "base/err.h"
#include "base/time.h"

struct cm_db_listen;

struct cm_db_listen_conf {
    const char *conninfo; /* as in struct cm_db_conf */
    const char *app_name;
    const char *const *channels; /* lower-case words of letters, digits and _ */
    size_t n_channels;
    void (*on_notify)(void *ctx, struct cm_str channel, struct cm_str payload);
    void (*on_ready)(void *ctx);
    void (*on_lost)(void *ctx,
                    const struct cm_err *why); /* may be NULL; also for a failed attempt */
    void *ctx;
};

/* Starts with the first cm_db_listen_poll(). The callbacks run inside cm_db_listen_poll() only, and
 * must not free the listener. */
CM_MUST_USE enum cm_code cm_db_listen_new(const struct cm_db_listen_conf *conf,
                                          struct cm_db_listen **ret, struct cm_err *err);
void cm_db_listen_free(struct cm_db_listen *l);
CM_DEFINE_CLEANUP(cm_db_listen, cm_db_listen_free)

int cm_db_listen_fd(const struct cm_db_listen *l);           /* -1: none now */
short cm_db_listen_events(const struct cm_db_listen *l);     /* POLLIN, POLLOUT */
cm_usec cm_db_listen_deadline(const struct cm_db_listen *l); /* of cm_monotonic_now() */
void cm_db_listen_poll(struct cm_db_listen *l);
