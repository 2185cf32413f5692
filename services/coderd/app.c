#include "app.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "api/front.h"
#include "api/parts_cache.h"
#include "api/ratelimit.h"
#include "api/socket.h"
#include "background/background.h"
#include "background/hub.h"
#include "db/migrate.h"
#include "net/http/tls_server.h"
#include "obs/log.h"
#include "keyring.h"
#include "options.h"
#include "relay/tunnels.h"
#include "rpc/rpc.h"
#include "rpc/waiters.h"
#include "site/site.h"
#include "store/migrations.h"
#include "api/job_show.h"
#include "store/agents.h"
#include "store/organizations.h"
#include "store/workspaces.h"
#include "store/site.h"
#include "sys/fd.h"

#define QUEUE_MAX 4096
/* Some thousand builds: more than people look at in a day, and less than coderd itself takes. */
#define PARTS_CACHE_MAX (8 << 20)

/* Connections are made as requests need them: a start would wait for eight of them, and a small
 * deployment never uses them all. */
static void *worker_init(void *arg, unsigned index)
{
    (void)index;
    struct worker *w = cm_xcalloc(1, sizeof(*w));
    w->app = arg;
    struct cm_err err;
    struct cm_db_conf conf = {.conninfo = w->app->conninfo, .app_name = "coderd", .lazy = true};
    cm_assert(cm_db_open(&conf, &w->db, &err) == CM_OK);
    return w;
}

static void worker_done(void *thread_ctx)
{
    struct worker *w = thread_ctx;
    cm_db_free(w->db);
    cm_free(w);
}

/* Brings the schema up to date and reads what identifies the deployment. */
static enum cm_code open_database(struct coderd *app, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_db_conf conf = {.conninfo = app->conninfo, .app_name = "coderd start"};
    if (cm_db_open(&conf, &app->start_db, err) != CM_OK)
        return cm_err_wrap(err, "connect to the database");
    struct cm_db *db = app->start_db;
    size_t applied = 0;
    if (cm_db_migrate(db, store_migrations, store_n_migrations, &applied, err) != CM_OK)
        return cm_err_wrap(err, "prepare the database");
    if (applied)
        CM_INFO("database migrated", CM_F_INT(migrations, applied));
    struct cm_str *id = NULL;
    if (store_site_config_get(db, a, CM_STR("deployment_id"), &id, err) != CM_OK)
        return err->code;
    if (!id || !cm_uuid_parse(*id, &app->deployment_id))
        return cm_err_set(err, CM_INTERNAL, "the database has no deployment_id");
    struct store_organization *org = NULL;
    if (store_organization_default(db, a, &org, err) != CM_OK)
        return cm_err_wrap(err, "read the default organization");
    app->default_org_id = org->id;
    return CM_OK;
}

static void on_agent_lost(void *ctx, struct cm_uuid agent_id);

static enum cm_code start_loops(struct coderd *app, struct cm_err *err)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    app->n_loops = app->opt->loops ? (size_t)app->opt->loops : (size_t)CM_MAX(cpus / 2, 1L);
    app->n_loops = CM_MIN(app->n_loops, (size_t)CODERD_LOOPS_MAX);
    for (size_t i = 0; i < app->n_loops; i++)
        app->loops[i] = cm_loop_new();
    for (size_t i = 1; i < app->n_loops; i++) {
        char name[16];
        snprintf(name, sizeof(name), "loop-%zu", i % 1000);
        if (cm_loop_thread_start(app->loops[i], name, err) != CM_OK)
            return err->code;
    }
    return CM_OK;
}

static enum cm_code listen_http(struct coderd *app, struct cm_err *err)
{
    struct cm_http_server_config cfg = {.loops = app->loops,
                                        .n_loops = app->n_loops,
                                        .max_connections = (size_t)app->opt->max_connections,
                                        .spool_dir = "/tmp",
                                        .app = api_front(app)};
    if (app->opt->http_address[0]) {
        if (cm_http_server_new(&cfg, app->opt->http_address, &app->http, err) != CM_OK)
            return cm_err_wrap(err, "listen on %s", app->opt->http_address);
    }
    if (app->opt->tls_enable) {
        if (cm_tls_server_new(app->opt->tls_cert_file, app->opt->tls_key_file,
                              app->opt->tls_min_version, &app->tls, err) != CM_OK)
            return err->code;
        cfg.tls = app->tls;
        if (cm_http_server_new(&cfg, app->opt->tls_address, &app->https, err) != CM_OK)
            return cm_err_wrap(err, "listen on %s", app->opt->tls_address);
    }
    cm_assert(app->http || app->https); /* options_check */
    return CM_OK;
}

static char *make_access_url(const struct coderd *app)
{
    if (app->opt->access_url[0]) {
        size_t len = strlen(app->opt->access_url);
        while (len && app->opt->access_url[len - 1] == '/')
            len--;
        return cm_xstrndup(app->opt->access_url, len);
    }
    if (app->https)
        return cm_xasprintf("https://localhost:%u", cm_http_server_port(app->https));
    return cm_xasprintf("http://127.0.0.1:%u", cm_http_server_port(app->http));
}

static char *make_bin_dir(const struct coderd *app)
{
    if (app->opt->bin_dir[0])
        return cm_xstrdup(app->opt->bin_dir);
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0)
        return cm_xstrdup(".");
    struct cm_str dir = cm_str_n(self, (size_t)n);
    return cm_str_xdup(
        cm_str_sub(dir, 0, (size_t)CM_MAX(cm_str_find_last(dir, '/'), (ptrdiff_t)0)));
}

/* More workers than processors only for those that wait for PostgreSQL: with many, each request
 * wakes another one, and fewer are authenticated together. On 2 quiet processors users/me is
 * answered 14,000 times a second by 4 workers, 16,500 by 3 and 20,000 by 2; but of 2, both may be
 * checking passwords. */
static unsigned worker_count(const struct coderd *app)
{
    if (app->opt->db_workers > 0)
        return (unsigned)app->opt->db_workers;
    return (unsigned)CM_MAX(3 * sysconf(_SC_NPROCESSORS_ONLN) / 2, 3L);
}

static enum cm_code build(struct coderd *app, struct cm_err *err)
{
    if (!app->conninfo[0])
        return cm_err_set(
            err, CM_INVALID,
            "CODER_PG_CONNECTION_URL is not set; \"coder server\" starts a database of its own");
    app->replica_id = cm_uuid_random();
    if (router_new(&app->router, err) != CM_OK || open_database(app, err) != CM_OK ||
        start_loops(app, err) != CM_OK)
        return err->code;
    app->parts = parts_cache_new(PARTS_CACHE_MAX);
    app->limits = ratelimit_new(!app->opt->disable_rate_limits);
    CM_AUTOFREE char *bin_dir = make_bin_dir(app);
    if (site_new(bin_dir, &app->site, err) != CM_OK ||
        hub_new(app->loops[0], app->conninfo, &app->hub, err) != CM_OK)
        return err->code;
    app->n_workers = worker_count(app);
    struct cm_pool_config pool = {.name = "worker",
                                  .threads = app->n_workers,
                                  .queue_max = QUEUE_MAX,
                                  .thread_init = worker_init,
                                  .thread_done = worker_done,
                                  .arg = app};
    app->tunnels = tunnels_new(&(struct tunnels_config){.on_lost = on_agent_lost, .ctx = app});
    app->job_waiters = waiters_new(app, TOPIC_JOBS);
    app->followers = followers_new(app);
    if (keyring_new(app, &app->keyring, err) != CM_OK ||
        cm_pool_new(&pool, &app->workers, err) != CM_OK || coderd_rpc_start(app, err) != CM_OK ||
        listen_http(app, err) != CM_OK)
        return err->code;
    cm_db_free(app->start_db);
    app->start_db = NULL;
    site_fingerprint(app->site, app->workers);
    app->access_url = make_access_url(app);
    app->background = background_new(app);
    return CM_OK;
}

/* An agent's last tunnel here has ended: say so in the database, unless it has called again
 * meanwhile. */
struct lost {
    struct cm_task task;
    struct cm_uuid agent_id;
};

static void lost_work(struct cm_task *t, void *thread_ctx)
{
    struct lost *l = cm_container_of(t, struct lost, task);
    struct worker *w = thread_ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct store_workspace *ws = NULL;
    struct cm_err err;
    if (!tunnels_has(w->app->tunnels, l->agent_id) &&
        (store_agent_disconnected(w->db, a, l->agent_id, cm_time_now(), NULL, &err) != CM_OK ||
         store_workspace_by_agent(w->db, a, l->agent_id, &ws, &err) != CM_OK ||
         hub_notify(w->db, &err, TOPIC_WS_FMT, cm_uuid_text(ws->id).s) != CM_OK) &&
        err.code != CM_NOT_FOUND)
        CM_WARN("cannot note that an agent is gone", CM_F_UUID(agent_id, l->agent_id),
                CM_F_ERR(&err));
    cm_free(l);
}

static void on_agent_lost(void *ctx, struct cm_uuid agent_id)
{
    struct coderd *app = ctx;
    struct lost *l = cm_xcalloc(1, sizeof(*l));
    struct cm_err err;
    l->task.work = lost_work;
    l->agent_id = agent_id;
    if (cm_pool_submit(app->workers, &l->task, &err) != CM_OK)
        cm_free(l); /* its heartbeats stop as well, which says the same a little later */
}

enum cm_code app_new(const struct coderd_options *opt, struct coderd **ret, struct cm_err *err)
{
    CM_AUTO(coderd) app = cm_xcalloc(1, sizeof(*app));
    app->opt = opt;
    app->conninfo = opt->pg_connection_url;
    if (build(app, err) != CM_OK)
        return err->code;
    *ret = CM_TAKE(app);
    return CM_OK;
}

/* The second one is from somebody who cannot wait. */
static void on_signal(void *ctx, int signo)
{
    struct coderd *app = ctx;
    CM_INFO(app->drain.app ? "stopping at once" : "stopping", CM_F_INT(signal, signo));
    if (app->drain.app)
        drain_leave();
    drain_start(&app->drain, app);
}

/* Tells whoever started us, by the descriptor that it gave us. */
static void say_ready(const struct coderd *app)
{
    /* 0 to 2 are ours. */
    CM_AUTOFD int fd = app->opt->ready_fd > 2 ? (int)app->opt->ready_fd : -1;
    struct cm_err err;
    CM_AUTOFREE char *line = cm_xasprintf("%s\n", app->access_url);
    CM_INFO("ready", CM_F_CSTR(url, app->access_url));
    if (fd >= 0 && cm_fd_write_all(fd, line, strlen(line), &err) != CM_OK)
        CM_WARN("cannot say that requests are answered", CM_F_ERR(&err));
}

void app_run(struct coderd *app)
{
    struct cm_sigwatch term = {0}, intr = {0};
    cm_sigwatch_start(&term, app->loops[0], SIGTERM, on_signal, app);
    cm_sigwatch_start(&intr, app->loops[0], SIGINT, on_signal, app);
    say_ready(app);
    cm_loop_run(app->loops[0]);
    drain_done(&app->drain);
    /* From here on a signal ends the process. */
    cm_sigwatch_stop(&term);
    cm_sigwatch_stop(&intr);
}

void app_free(struct coderd *app)
{
    if (!app)
        return;
    for (size_t i = 1; i < app->n_loops; i++)
        cm_loop_thread_join(app->loops[i]);
    cm_rpc_server_free(CM_TAKE(app->rpc));
    waiters_free(app->job_waiters);
    if (app->tunnels)
        tunnels_close(app->tunnels);
    background_stop(app->background);
    cm_pool_free(app->workers); /* running handlers end; their answers wait on the stopped loops */
    cm_http_server_free(app->http);
    cm_http_server_free(app->https);
    followers_close(app->followers);
    hub_free(app->hub);
    for (size_t i = 0; i < app->n_loops; i++)
        cm_loop_free(app->loops[i]);
    background_free(app->background);
    followers_free(app->followers);
    tunnels_free(app->tunnels);
    keyring_free(app->keyring);
    site_free(app->site);
    ratelimit_free(app->limits);
    parts_cache_free(app->parts);
    router_free(app->router);
    cm_tls_server_free(app->tls);
    cm_db_free(app->start_db);
    cm_free((void *)(uintptr_t)app->access_url);
    cm_free(app);
}
