/* ping: how long a byte takes to a workspace and back, through the session that everything else
 * uses. */
#include <stdio.h>
#include <time.h>

#include "remote/link.h"
#include "remote/target.h"

struct ping_opts {
    cm_usec wait, timeout;
    int64_t count;
    bool time, utc;
};

static const struct cm_opt opts[] = {
    {CM_OPT_DURATION, offsetof(struct ping_opts, wait), "wait", .def = "1s",
     .help = "Specifies how long to wait between pings."},
    {CM_OPT_DURATION, offsetof(struct ping_opts, timeout), "timeout", 't', .def = "5s",
     .help = "Specifies how long to wait for a ping to complete."},
    {CM_OPT_INT, offsetof(struct ping_opts, count), "num", 'n', .def = "0",
     .help = "Specifies the number of pings to perform. By default, pings will continue until "
             "interrupted."},
    {CM_OPT_BOOL, offsetof(struct ping_opts, time), "time",
     .help = "Show the response time of each pong in local time."},
    {CM_OPT_BOOL, offsetof(struct ping_opts, utc), "utc",
     .help = "Show the response time of each pong in UTC (implies --time)."},
};

static void turn_for(struct cli *cli, cm_usec d)
{
    cm_usec until = cm_monotonic_now() + d;
    for (cm_usec left = d; left > 0; left = until - cm_monotonic_now())
        cm_loop_turn(cm_sdk_loop(cli->sdk), left);
}

/* One byte there and back. 0 when it did not come in time. */
static cm_usec ping_once(struct cli *cli, struct remote_link *link, struct cm_stream *s,
                         cm_usec timeout)
{
    char byte = 'p', got;
    cm_usec start = cm_monotonic_now(), until = start + timeout;

    cm_stream_write(s, &byte, 1);
    while (cm_monotonic_now() < until && !s->failed &&
           remote_link_state(link) != CM_SESSION_ENDED) {
        if (cm_stream_read(s, &got, 1) == 1)
            return CM_MAX(cm_monotonic_now() - start, 1);
        cm_loop_turn(cm_sdk_loop(cli->sdk), CM_MIN(until - cm_monotonic_now(), 100 * CM_MSEC));
    }
    return 0;
}

static void print_pong(const struct ping_opts *o, const char *name, cm_usec took)
{
    char stamp[64] = "";
    time_t now = time(NULL);
    struct tm tm;

    if ((o->time || o->utc) && (o->utc ? gmtime_r(&now, &tm) : localtime_r(&now, &tm)))
        strftime(stamp, sizeof(stamp), " | %Y-%m-%dT%H:%M:%S%z", &tm);
    if (took)
        printf("pong from %s proxied via the deployment in %.3f ms%s\n", name, (double)took / 1000,
               stamp);
    else
        printf("ping to %s timed out%s\n", name, stamp);
    fflush(stdout);
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    const struct ping_opts *o = cli->opts;
    struct remote_wish wish = {.autostart = true, .wait = "no", .reason = "cli"};
    struct api_workspace *ws = NULL;
    struct api_workspace_agent *agent = NULL;
    struct remote_link *link = NULL;
    int64_t pongs = 0;

    if (remote_find(cli, cli_arg(cli, 0), &wish, &ws, &agent, err) != CM_OK ||
        remote_link_new(cli, agent->id, cm_kind_bit(CM_KIND_ECHO), &link, err) != CM_OK)
        return err->code;
    struct cm_stream *s = remote_link_open(link, CM_KIND_ECHO, "");
    const char *name = cm_arena_cstr(cli->arena, agent->name);
    /* The first one also pays for the connection. */
    cm_usec took = ping_once(cli, link, s, 2 * o->timeout);
    for (int64_t i = 0; took && !s->failed && (o->count <= 0 || i < o->count); i++) {
        took = ping_once(cli, link, s, o->timeout);
        print_pong(o, name, took);
        pongs += took != 0;
        if (o->count <= 0 || i + 1 < o->count)
            turn_for(cli, o->wait);
        took = 1;
    }
    enum cm_code code = CM_OK;
    if (s->failed || remote_link_state(link) == CM_SESSION_ENDED) {
        *err = s->failed ? *cm_stream_err(s) : *remote_link_err(link);
        code = cm_err_wrap(err, "ping");
    } else if (!pongs) {
        code = cm_err_set(err, CM_TIMEOUT, "no pong from the workspace's agent");
    }
    if (code == CM_OK)
        printf("\u2714 connected through the deployment; direct connections are not in use.\n");
    cm_stream_close(s);
    remote_link_free(link);
    cm_loop_turn(cm_sdk_loop(cli->sdk), 0);
    return code;
}

const struct command command_ping = {
    .name = "ping",
    .args = "<workspace>",
    .brief = "Ping a workspace",
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct ping_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
