/* The composition root: every long-lived object of a replica, created in order by app_new,
 * destroyed in reverse. */
#pragma once

#include "drain.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "net/http/server.h"
#include "net/rpc/server.h"

#define CODERD_LOOPS_MAX 16

struct cm_db;
struct background;
struct coderd;
struct followers;
struct hub;
struct keyring;
struct parts_cache;
struct ratelimit;
struct router;
struct site;
struct tunnels;
struct waiters;
struct coderd_options;

/* What each worker thread has of its own. */
struct worker {
    struct coderd *app;
    struct cm_db *db;
};

struct coderd {
    const struct coderd_options *opt;
    const char *access_url; /* without a trailing slash */
    const char *conninfo;
    struct cm_db
        *start_db; /* while app_new runs: what must be known first is read over one connection */
    struct cm_uuid deployment_id, replica_id, default_org_id;

    struct cm_loop *loops[CODERD_LOOPS_MAX];
    size_t n_loops;
    struct cm_pool *workers; /* handlers of API and RPC: a database connection each */
    unsigned n_workers;

    struct router *router;
    struct ratelimit *limits;
    struct parts_cache *parts;     /* what ended jobs have made */
    struct site *site;             /* embedded pages and /bin */
    struct hub *hub;               /* PostgreSQL notifications to whoever waits for one */
    struct tunnels *tunnels;       /* agents' tunnels that end here */
    struct followers *followers;   /* streams that push what the database has */
    struct background *background; /* reaper, schedules, purge */

    struct keyring *keyring;     /* what signs tickets */
    struct waiters *job_waiters; /* provisioners that wait for a job */
    struct cm_rpc_server *rpc;
    struct cm_rpc_private rpc_private;

    struct ssl_ctx_st *tls;
    struct cm_http_server *http, *https;

    struct drain drain;

    _Atomic cm_usec unavailable_log_at; /* not before (monotonic): see api_may_log_unavailable */
};

/* opt: borrowed for the life of the app. Starts listening; requests are answered once app_run runs
 * the first loop. */
enum cm_code app_new(const struct coderd_options *opt, struct coderd **ret, struct cm_err *err);
void app_run(
    struct coderd *app); /* until SIGINT or SIGTERM, and until what was in work then is done */
void app_free(struct coderd *app);
CM_DEFINE_CLEANUP(coderd, app_free)
