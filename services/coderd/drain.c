#include "drain.h"

#include <signal.h>
#include <unistd.h>

#include "api/followers.h"
#include "app.h"
#include "background/background.h"
#include "obs/log.h"
#include "options.h"
#include "relay/tunnels.h"

#define LOOK_EVERY (2 * CM_MSEC)
/* What a peer gets to answer the goodbye of its WebSocket. */
#define FOLLOWERS_PATIENCE CM_SECOND
/* From the RPC server's last answer until it has surely left nng. Should it not have, its caller
 * asks again. */
#define RPC_SETTLES (5 * CM_MSEC)
/* After the limit: for what no loop looks after any more, such as a chore that waits for a lock. */
#define LAST_WAIT 2

void drain_leave(void)
{
    _exit(0); /* workers may be in the middle of anything */
}

static void on_alarm(int signo)
{
    (void)signo;
    _exit(0);
}

static bool is_done(struct drain *d, cm_usec now)
{
    const struct coderd *app = d->app;
    if (cm_rpc_server_busy(app->rpc))
        d->rpc_seen = now;
    if (cm_http_server_busy(app->http) || cm_http_server_busy(app->https))
        return false;
    if (followers_busy(app->followers) && now - d->began < FOLLOWERS_PATIENCE)
        return false;
    return !d->rpc_seen || now - d->rpc_seen >= RPC_SETTLES;
}

static void look(void *ctx)
{
    struct drain *d = ctx;
    const struct coderd *app = d->app;
    cm_usec now = cm_monotonic_now();
    if (is_done(d, now)) {
        cm_loop_stop(app->loops[0]);
    } else if (now - d->began >= app->opt->drain_timeout) {
        CM_WARN("stopping with work undone",
                CM_F_INT(http_requests,
                         cm_http_server_busy(app->http) + cm_http_server_busy(app->https)),
                CM_F_INT(rpc_requests, cm_rpc_server_busy(app->rpc)));
        drain_leave();
    } else {
        cm_timer_start(&d->look, LOOK_EVERY);
    }
}

void drain_start(struct drain *d, struct coderd *app)
{
    *d = (struct drain){.app = app, .began = cm_monotonic_now()};
    signal(SIGALRM, on_alarm);
    alarm((unsigned)(app->opt->drain_timeout / CM_SECOND) + LAST_WAIT);
    cm_http_server_drain(app->http);
    cm_http_server_drain(app->https);
    background_stop(app->background);
    if (cm_rpc_server_busy(app->rpc))
        d->rpc_seen = d->began;
    cm_rpc_server_drain(app->rpc);
    followers_drain(app->followers);
    tunnels_drain(app->tunnels);
    cm_timer_init(&d->look, app->loops[0], look, d);
    cm_timer_start(&d->look, 0);
}

void drain_done(struct drain *d)
{
    if (d->app)
        cm_timer_done(&d->look);
}
