#include "db/listen.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/random.h"
#include "base/secret.h"
#include "db/conn.h"

#define BACKOFF_FIRST (100 * CM_MSEC)
#define BACKOFF_MAX   (5 * CM_SECOND)
#define ANSWER_MAX    (10 * CM_SECOND) /* for a connect, a LISTEN, a sign of life */
#define PING_EVERY    (15 * CM_SECOND) /* a dead peer is found within this and ANSWER_MAX */

/* waiting -> connecting -> asking (LISTEN or ping under way) <-> idle; any -> waiting */
enum listen_state { LISTEN_WAITING, LISTEN_CONNECTING, LISTEN_ASKING, LISTEN_IDLE };

struct cm_db_listen {
    enum listen_state state;
    PGconn *pg;
    char *conninfo, *app_name;
    char *listen_sql;
    short events;
    bool ready; /* on_ready was called for this connection */
    cm_usec deadline, backoff;
    struct cm_db_listen_conf conf; /* of it the callbacks only */
};

static bool is_channel(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) &&
           strlen(name) < 64;
}

enum cm_code cm_db_listen_new(const struct cm_db_listen_conf *conf, struct cm_db_listen **ret,
                              struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf sql = CM_BUF_INIT((size_t)64 << 10);
    for (size_t i = 0; i < conf->n_channels; i++) {
        if (!is_channel(conf->channels[i]))
            return cm_err_set(err, CM_INVALID, "%s is no name for a channel", conf->channels[i]);
        cm_buf_printf(&sql, "LISTEN %s;", conf->channels[i]);
    }
    if (cm_buf_check(&sql, "the list of channels", err) != CM_OK)
        return err ? err->code : CM_TOO_LARGE;
    struct cm_db_listen *l = cm_xcalloc(1, sizeof(*l));
    l->conf = *conf;
    l->conninfo = cm_xstrdup(conf->conninfo);
    l->app_name = cm_xstrdup(conf->app_name ? conf->app_name : "coder");
    l->listen_sql = cm_buf_take(&sql);
    l->deadline = cm_monotonic_now();
    *ret = l;
    return CM_OK;
}

void cm_db_listen_free(struct cm_db_listen *l)
{
    if (!l)
        return;
    if (l->pg)
        PQfinish(l->pg);
    cm_secret_wipe(l->conninfo, strlen(l->conninfo));
    cm_free(l->conninfo);
    cm_free(l->app_name);
    cm_free(l->listen_sql);
    cm_free(l);
}

int cm_db_listen_fd(const struct cm_db_listen *l)
{
    return l->pg ? PQsocket(l->pg) : -1;
}

short cm_db_listen_events(const struct cm_db_listen *l)
{
    return l->events;
}

cm_usec cm_db_listen_deadline(const struct cm_db_listen *l)
{
    return l->deadline;
}

static void give_up(struct cm_db_listen *l, const struct cm_err *why)
{
    if (l->pg)
        PQfinish(l->pg);
    l->pg = NULL;
    l->events = 0;
    l->state = LISTEN_WAITING;
    l->ready = false;
    l->backoff = l->backoff ? CM_MIN(l->backoff * 2, BACKOFF_MAX) : BACKOFF_FIRST;
    l->deadline =
        cm_monotonic_now() + l->backoff / 2 + (cm_usec)cm_random_below((uint64_t)l->backoff);
    if (l->conf.on_lost)
        l->conf.on_lost(l->conf.ctx, why);
}

static void lost(struct cm_db_listen *l, const char *what)
{
    struct cm_err why;
    char text[256] = "";
    struct cm_str pq = cm_str_trim(cm_str(l->pg ? PQerrorMessage(l->pg) : ""));
    snprintf(text, sizeof(text), "%.*s", CM_STR_ARG(cm_str_sub(pq, 0, sizeof(text) - 1)));
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    cm_err_set(&why, CM_UNAVAILABLE, "%s: %s", what, *text ? text : "no answer");
    give_up(l, &why);
}

static void drop_notice(void *ctx CM_UNUSED, const PGresult *res CM_UNUSED)
{
}

static void ask(struct cm_db_listen *l, const char *sql)
{
    if (!PQsendQuery(l->pg, sql)) {
        lost(l, "listen");
        return;
    }
    l->state = LISTEN_ASKING;
    l->deadline = cm_monotonic_now() + ANSWER_MAX;
    l->events = POLLIN | POLLOUT;
}

static void connecting(struct cm_db_listen *l)
{
    switch (PQconnectPoll(l->pg)) {
    case PGRES_POLLING_READING:
        l->events = POLLIN;
        return;
    case PGRES_POLLING_WRITING:
    case PGRES_POLLING_ACTIVE:
        l->events = POLLOUT;
        return;
    case PGRES_POLLING_OK:
        PQsetNoticeReceiver(l->pg, drop_notice, NULL);
        PQsetnonblocking(l->pg, 1);
        ask(l, l->listen_sql);
        return;
    case PGRES_POLLING_FAILED:
        lost(l, "connect for notifications");
        return;
    }
}

static void start(struct cm_db_listen *l)
{
    struct cm_err why;
    l->pg = db_connect(l->conninfo, l->app_name, false, &why);
    if (!l->pg) {
        give_up(l, &why);
        return;
    }
    if (PQstatus(l->pg) == CONNECTION_BAD) {
        lost(l, "connect for notifications");
        return;
    }
    l->state = LISTEN_CONNECTING;
    l->deadline = cm_monotonic_now() + ANSWER_MAX;
    l->events = POLLOUT; /* libpq: until the first PQconnectPoll, as if it had said WRITING */
}

/* Reads what the answer has so far; true when it is complete. */
static bool answered(struct cm_db_listen *l)
{
    while (!PQisBusy(l->pg)) {
        PGresult *res = PQgetResult(l->pg);
        if (!res)
            return true;
        bool bad = PQresultStatus(res) == PGRES_FATAL_ERROR;
        PQclear(res);
        if (bad) {
            lost(l, "listen");
            return false;
        }
    }
    return false;
}

static void deliver(struct cm_db_listen *l)
{
    PGnotify *n;
    while ((n = PQnotifies(l->pg))) {
        l->conf.on_notify(l->conf.ctx, cm_str(n->relname), cm_str(n->extra));
        PQfreemem(n);
    }
}

static void talk(struct cm_db_listen *l)
{
    if (!PQconsumeInput(l->pg)) {
        lost(l, "connection for notifications");
        return;
    }
    int unsent = PQflush(l->pg);
    if (unsent < 0) {
        lost(l, "connection for notifications");
        return;
    }
    l->events = unsent ? POLLIN | POLLOUT : POLLIN;
    if (l->state == LISTEN_ASKING && answered(l)) {
        l->state = LISTEN_IDLE;
        l->deadline = cm_monotonic_now() + PING_EVERY;
        l->backoff = 0;
        if (!l->ready) {
            l->ready = true;
            l->conf.on_ready(l->conf.ctx);
        }
    }
    if (l->pg)
        deliver(l);
}

void cm_db_listen_poll(struct cm_db_listen *l)
{
    bool late = cm_monotonic_now() >= l->deadline;
    switch (l->state) {
    case LISTEN_WAITING:
        if (late)
            start(l);
        return;
    case LISTEN_CONNECTING:
        if (late)
            lost(l, "connect for notifications");
        else
            connecting(l);
        return;
    case LISTEN_ASKING:
        talk(l);
        if (l->state == LISTEN_ASKING && cm_monotonic_now() >= l->deadline)
            lost(l, "connection for notifications");
        return;
    case LISTEN_IDLE:
        talk(l);
        if (l->state == LISTEN_IDLE && late)
            ask(l, "SELECT 1");
        return;
    }
}
