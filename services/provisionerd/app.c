#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/version.h"
#include "net/dial/dial.h"
#include "obs/log.h"
#include "queue/daemon.h"
#include "queue/transfer.h"
#include "runner/cache.h"
#include "sys/fs.h"

#define HOST_NAME_BYTES 256
#define POOL_THREADS    2

struct app {
    const struct options *o;
    struct cm_arena *a;
    int lock_fd; /* one daemon per cache directory */
    struct tf_binary terraform;
    struct tf_install install;
    struct version_cache *cache;
    struct job_config job;
    const char *name;
    struct cm_rpc_tag *tags;
    size_t n_tags;
    struct cm_loop *loop;
    struct cm_dialer *dialer;
    struct cm_rpc_client *client;
    bool was_connected;
    struct cm_err refusal; /* code CM_OK: none */
    struct cm_pool *pool;
    struct daemon *daemon;
    struct cm_sigwatch on_term, on_int;
    unsigned signals; /* so far */
};

static const char *or_null(const char *s)
{
    return s[0] ? s : NULL;
}

/* --- what jobs run with --- */

static enum cm_code lock_cache(struct app *app, const char *dir, struct cm_err *err)
{
    char *path = cm_fs_join(app->a, dir, "lock");
    app->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (app->lock_fd < 0)
        return cm_err_errno(err, CM_IO, "open %s", path);
    if (flock(app->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return cm_err_set(
            err, CM_CONFLICT,
            "another provisionerd works in %s; give each its own directory with --cache-dir", dir);
    return CM_OK;
}

static const char *cache_dir(struct app *app, const char *(*get)(const char *))
{
    const char *home = get("HOME");
    if (app->o->cache_dir[0])
        return app->o->cache_dir;
    return cm_arena_printf(app->a, "%s/.cache/coder/provisioner", home && home[0] ? home : "/tmp");
}

static const char *provider_path(struct app *app)
{
    CM_AUTOFREE char *self = NULL;
    if (app->o->provider_path[0])
        return app->o->provider_path;
    if (cm_fs_self_exe(&self, NULL) != CM_OK)
        return NULL;
    char *path = cm_fs_join(app->a, cm_fs_dirname(app->a, self), "terraform-provider-coder");
    if (cm_fs_is_executable(path))
        return path;
    CM_WARN("terraform-provider-coder is not beside this program: templates will look for it in "
            "the registry");
    return NULL;
}

/* A path in the environment that leads nowhere is terraform's to warn of, and no reason to stop. */
static const char *cli_config(const struct options *o)
{
    if (!o->cli_config[0] || cm_fs_exists(o->cli_config))
        return or_null(o->cli_config);
    CM_WARN("terraform's CLI configuration file does not exist", CM_F_CSTR(path, o->cli_config));
    return NULL;
}

static enum cm_code prepare_jobs(struct app *app, const char *const *host_env,
                                 const char *(*get)(const char *), struct cm_err *err)
{
    const struct options *o = app->o;
    const char *dir = cache_dir(app, get), *work = cm_fs_join(app->a, dir, "work");
    enum cm_code code = cm_fs_mkdirs(work, 0700, err);
    if (code == CM_OK)
        code = lock_cache(app, dir, err);
    if (code == CM_OK)
        code =
            tf_binary_find(app->a, or_null(o->terraform_path), get("PATH"), &app->terraform, err);
    if (code != CM_OK)
        return code;
    const struct tf_install_spec spec = {.cache_dir = dir,
                                         .provider = provider_path(app),
                                         .filesystem_mirror = or_null(o->mirror),
                                         .network_mirror = or_null(o->network_mirror),
                                         .cli_config = cli_config(o)};
    code = tf_install_prepare(app->a, &spec, &app->terraform, &app->install, err);
    if (code == CM_OK)
        code = version_cache_new(cm_fs_join(app->a, dir, "versions"), &app->cache, err);
    app->job = (struct job_config){.terraform = &app->terraform,
                                   .install = &app->install,
                                   .cache = app->cache,
                                   .work_root = work,
                                   .host_env = host_env,
                                   .grace = o->grace};
    return code;
}

/* --- the way to the server --- */

static enum cm_code parse_tags(struct app *app, struct cm_err *err)
{
    const struct cm_conf_list *list = &app->o->tags;
    app->tags = CM_NEW_ARRAY(app->a, struct cm_rpc_tag, list->n + 1);
    if (list->n > CM_RPC_TAGS_MAX)
        return cm_err_set(err, CM_INVALID, "there are %zu tags, but %d is the most", list->n,
                          CM_RPC_TAGS_MAX);
    for (size_t i = 0; i < list->n; i++) {
        struct cm_str name, value = cm_str_split(cm_str(list->v[i]), '=', &name);
        if (!value.ptr || name.len == 0)
            return cm_err_set(err, CM_INVALID, "the tag \"%s\" is not of the form name=value",
                              list->v[i]);
        app->tags[app->n_tags++] = (struct cm_rpc_tag){name, value};
    }
    return CM_OK;
}

static const char *daemon_name(struct app *app)
{
    char *host = cm_arena_alloc(app->a, HOST_NAME_BYTES);
    if (app->o->name[0])
        return app->o->name;
    return gethostname(host, HOST_NAME_BYTES - 1) == 0 && host[0] ? host : "provisioner";
}

/* The deployment's PSK is called "psk". A provisioner key is found by a name that follows from it,
 * so that people have one thing to copy: by way of the handshake's key, which is all that the
 * server keeps. */
static struct cm_str key_name(struct app *app, const uint8_t key[CM_PSK_KEY])
{
    return cm_arena_fmt(app->a, "key-%.32s", tf_sha256_hex(app->a, cm_str_n(key, CM_PSK_KEY)));
}

static enum cm_code set_key(struct app *app, struct cm_rpc_client_config *cfg, struct cm_err *err)
{
    const struct options *o = app->o;
    const char *secret = o->key[0] ? o->key : o->psk;
    cfg->kind = CM_RPC_EXTERNAL;
    if (o->key[0] && o->psk[0])
        return cm_err_set(
            err, CM_INVALID,
            "set one of CODER_PROVISIONER_DAEMON_KEY and CODER_PROVISIONER_DAEMON_PSK, not both");
    if (!secret[0])
        return cm_err_set(err, CM_INVALID,
                          "an external provisioner needs CODER_PROVISIONER_DAEMON_KEY (made by "
                          "`coder provisioner keys "
                          "create`) or CODER_PROVISIONER_DAEMON_PSK");
    if (o->key[0] && o->tags.n > 0)
        return cm_err_set(err, CM_INVALID,
                          "the tags of a provisioner key are fixed: leave --tag out");
    if (cm_psk_text_check(cm_str(secret), err) != CM_OK)
        return err->code;
    cm_psk_key_from_text(cm_str(secret), cfg->psk_key);
    cfg->psk_name = o->key[0] ? key_name(app, cfg->psk_key) : CM_STR("psk");
    return CM_OK;
}

static void on_state(void *ctx, enum cm_rpc_state state, const struct cm_err *err)
{
    struct app *app = ctx;
    switch (state) {
    case CM_RPC_OFFLINE:
        CM_WARN("no connection to the server", CM_F_ERR(err));
        break;
    case CM_RPC_READY:
        CM_INFO("connected to the server");
        app->was_connected = true;
        break;
    case CM_RPC_REFUSED:
        if (app->was_connected) {
            CM_ERROR("the server refuses this provisioner", CM_F_ERR(err));
            break;
        }
        /* A mistake in how it was started: whoever did is still looking. */
        app->refusal = *err;
        cm_err_wrap(&app->refusal, "the server refuses this provisioner");
        daemon_stop(app->daemon, DAEMON_QUIT);
        break;
    }
}

static enum cm_code connect_server(struct app *app, const char *(*get)(const char *),
                                   struct cm_err *err)
{
    const struct options *o = app->o;
    struct cm_dialer_config dial = {.tls = {.extra_ca_file = or_null(o->ca_file),
                                            .cert_file = or_null(o->tls_cert),
                                            .key_file = or_null(o->tls_key)}};
    struct cm_rpc_client_config cfg = {.loop = app->loop,
                                       .url = cm_str(o->url),
                                       .kind = CM_RPC_BUILTIN,
                                       .name = cm_str(app->name),
                                       .program_version = CM_STR(CM_VERSION),
                                       .api_min = QUEUE_API_VERSION,
                                       .api_max = QUEUE_API_VERSION,
                                       .tags = app->tags,
                                       .n_tags = app->n_tags,
                                       .on_state = on_state,
                                       .ctx = app};
    if (!o->url[0])
        return cm_err_set(err, CM_INVALID, "say where the server is: --url, or CODER_URL");
    if (!cm_str_starts(cfg.url, CM_STR("ipc://")) && set_key(app, &cfg, err) != CM_OK)
        return err->code;
    cm_dialer_config_env(&dial, get);
    enum cm_code code = cm_dialer_new(&dial, &app->dialer, err);
    cfg.dialer = app->dialer;
    return code == CM_OK ? cm_rpc_client_new(&cfg, &app->client, err) : code;
}

/* --- life --- */

static void on_signal(void *ctx, int signo)
{
    struct app *app = ctx;
    enum daemon_stop how = app->signals++ > 0 ? DAEMON_QUIT
                           : signo == SIGTERM ? DAEMON_DRAIN
                                              : DAEMON_CANCEL;
    CM_INFO(how == DAEMON_DRAIN    ? "stopping when the running job has ended"
            : how == DAEMON_CANCEL ? "stopping, and canceling the running job"
                                   : "stopping now");
    daemon_stop(app->daemon, how);
}

static void on_finished(void *ctx)
{
    struct app *app = ctx;
    cm_loop_stop(app->loop);
}

static enum cm_code start(struct app *app, const char *const *host_env,
                          const char *(*get)(const char *), struct cm_err *err)
{
    const struct cm_pool_config pool = {.name = "job", .threads = POOL_THREADS, .queue_max = 8};
    enum cm_code code = parse_tags(app, err);
    app->name = daemon_name(app);
    app->loop = cm_loop_new();
    if (code == CM_OK)
        code = connect_server(app, get, err);
    if (code == CM_OK)
        code = prepare_jobs(app, host_env, get, err);
    if (code == CM_OK)
        code = cm_pool_new(&pool, &app->pool, err);
    if (code != CM_OK)
        return code;
    const struct daemon_config cfg = {.loop = app->loop,
                                      .pool = app->pool,
                                      .client = app->client,
                                      .job = &app->job,
                                      .name = app->name,
                                      .tags = app->tags,
                                      .n_tags = app->n_tags,
                                      .heartbeat = app->o->heartbeat,
                                      .on_finished = on_finished,
                                      .ctx = app};
    code = daemon_new(&cfg, &app->daemon, err);
    if (code != CM_OK)
        return code;
    cm_sigwatch_start(&app->on_term, app->loop, SIGTERM, on_signal, app);
    cm_sigwatch_start(&app->on_int, app->loop, SIGINT, on_signal, app);
    CM_INFO("provisioner started", CM_F_CSTR(name, app->name),
            CM_F_CSTR(terraform_version, app->terraform.version));
    return CM_OK;
}

static void stop(struct app *app)
{
    if (app->daemon) {
        cm_sigwatch_stop(&app->on_term);
        cm_sigwatch_stop(&app->on_int);
    }
    /* Ends the calls that pool threads wait for, so that they come back. */
    cm_rpc_client_free(app->client);
    cm_pool_free(app->pool);
    daemon_free(app->daemon);
    cm_dialer_free(app->dialer);
    cm_loop_free(app->loop);
    version_cache_free(app->cache);
    cm_cleanup_fd(&app->lock_fd);
    cm_arena_free(app->a);
}

enum cm_code app_run(const struct options *o, const char *const *host_env,
                     const char *(*get)(const char *name), struct cm_err *err)
{
    struct app app = {.o = o, .a = cm_arena_new(), .lock_fd = -1};
    signal(SIGPIPE, SIG_IGN);
    cm_loop_global_init();
    enum cm_code code = start(&app, host_env, get, err);
    if (code == CM_OK)
        cm_loop_run(app.loop);
    stop(&app);
    if (code == CM_OK && app.refusal.code != CM_OK) {
        *err = app.refusal;
        code = err->code;
    }
    return code;
}
