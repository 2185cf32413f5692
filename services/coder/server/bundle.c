#include "server/bundle.h"

#include <signal.h>
#include <stdio.h>

#include "obs/log.h"
#include "server/environ.h"
#include "server/service.h"
#include "sys/fd.h"
#include "sys/fs.h"

#define READY_FD       3
#define CODERD_GRACE   (5 * CM_SECOND) /* beyond what its option gives to its requests */
#define DATABASE_GRACE (60 * CM_SECOND)
#define HURRIED_GRACE  (5 * CM_SECOND)
#define NAME_MAX_BYTES 40

enum phase { STARTING, SERVING, STOP_PROVISIONERS, STOP_CODERD, STOP_DATABASE, DONE };

struct provisioner {
    struct bundle *b;
    size_t index;
    struct service *service;
    char name[NAME_MAX_BYTES];
};

struct bundle {
    const struct settings *s;
    const struct layout *l;
    const struct postgres *pg; /* NULL: elsewhere */
    struct cm_loop *loop;
    enum phase phase;
    struct service *database, *coderd; /* NULL where there is none */
    struct provisioner provisioners[SETTINGS_PROVISIONERS_MAX];
    size_t n_provisioners;
    bool said_url;
    unsigned signals; /* so far */
    int stop_signal;
    int status;
};

static void advance(struct bundle *b);

static void on_stopped(void *ctx, struct service *s)
{
    (void)s;
    advance(ctx);
}

static void fail(void *arg)
{
    struct bundle *b = arg;
    b->status = 1;
    if (b->phase < STOP_PROVISIONERS) {
        b->phase = STOP_PROVISIONERS;
        b->stop_signal = SIGINT;
    }
    advance(b);
}

/* --- the database --- */

static enum cm_code database_start(void *ctx, struct service *s, struct cm_child **ret,
                                   struct cm_err *err)
{
    struct bundle *b = ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    int log = -1;
    if (postgres_in_use(b->pg))
        return cm_err_set(err, CM_UNAVAILABLE, "processes of the one before are still ending");
    if (postgres_forget_old(b->l, b->pg, err) != CM_OK)
        return err->code;
    if (postgres_start(a, b->l, b->pg, ret, &log, err) != CM_OK)
        return err->code;
    service_read_lines(s, log);
    return CM_OK;
}

static void database_poll(void *ctx, struct service *s)
{
    struct bundle *b = ctx;
    if (postgres_is_ready(b->pg, service_pid(s)))
        service_ready(s, CM_STR(""));
}

static void database_line(void *ctx, struct service *s, struct cm_str line)
{
    (void)ctx;
    (void)s;
    postgres_log_line(line);
}

static void print_database_url(const struct bundle *b)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    const char *url = postgres_url(a, b->l, b->pg);
    printf(b->s->raw_url ? "%s\n" : "psql \"%s\"\n", url);
    fflush(stdout);
}

static void on_database_ready(void *ctx, struct service *s, struct cm_str text)
{
    struct bundle *b = ctx;
    (void)s;
    (void)text;
    CM_INFO("database ready", CM_F_INT(postgresql, b->pg->version));
    if (b->phase != STARTING)
        return;
    if (b->coderd) {
        if (service_stopped(b->coderd))
            service_start(b->coderd);
        return;
    }
    b->phase = SERVING;
    print_database_url(b);
}

static bool on_first_failure(void *ctx, struct service *s)
{
    struct bundle *b = ctx;
    CM_ERROR(s == b->database ? "the database does not start; what it said is above"
                              : "coderd does not start; what it said is above");
    cm_loop_post(b->loop, fail, b);
    return false;
}

/* --- coderd --- */

static enum cm_code coderd_start(void *ctx, struct service *s, struct cm_child **ret,
                                 struct cm_err *err)
{
    struct bundle *b = ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    int ready[2];
    if (cm_fd_pipe(ready, err) != CM_OK)
        return err->code;
    service_await(s, ready[0]);
    CM_AUTOFD int theirs = ready[1];
    const char *argv[] = {cm_fs_join(a, b->l->bin_dir, "coderd"), NULL};
    const struct cm_child_spec spec = {
        .argv = argv,
        .env = environ_coderd(a, b->s, b->l, b->pg ? postgres_url(a, b->l, b->pg) : NULL, READY_FD),
        .std = {[1] = {CM_CHILD_INHERIT, 0}, [2] = {CM_CHILD_INHERIT, 0}},
        .extra = {{theirs, READY_FD}},
        .extra_count = 1,
        .die_with_parent = true,
        .user = b->l->other_user ? &b->l->coderd_user : NULL};
    return cm_child_start(&spec, ret, err);
}

static void on_coderd_ready(void *ctx, struct service *s, struct cm_str url)
{
    struct bundle *b = ctx;
    (void)s;
    if (b->phase != STARTING)
        return;
    b->phase = SERVING;
    printf("\nView the Web UI: %.*s\n\n", CM_STR_ARG(url));
    fflush(stdout);
    for (size_t i = 0; i < b->n_provisioners; i++)
        service_start(b->provisioners[i].service);
}

/* --- provisioners --- */

static enum cm_code provisioner_start(void *ctx, struct service *s, struct cm_child **ret,
                                      struct cm_err *err)
{
    struct provisioner *p = ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    (void)s;
    const char *argv[] = {cm_fs_join(a, p->b->l->bin_dir, "provisionerd"), NULL};
    const struct cm_child_spec spec = {
        .argv = argv,
        .env = environ_provisionerd(a, p->b->s, p->b->l, p->index),
        .std = {[1] = {CM_CHILD_INHERIT, 0}, [2] = {CM_CHILD_INHERIT, 0}},
        .die_with_parent = true,
        /* A running job is finished, and its result brought to the next server: killed,
         * it would leave resources that nobody knows of. */
        .die_signo = SIGTERM};
    return cm_child_start(&spec, ret, err);
}

static void on_provisioner_stopped(void *ctx, struct service *s)
{
    (void)s;
    advance(((struct provisioner *)ctx)->b);
}

/* It has nothing to say: it calls coderd by itself. */
static void on_provisioner_ready(void *ctx, struct service *s, struct cm_str text)
{
    (void)ctx;
    (void)s;
    (void)text;
}

static bool on_provisioner_failure(void *ctx, struct service *s)
{
    (void)ctx;
    (void)s;
    return true;
}

/* --- stopping --- */

static bool provisioners_stopped(const struct bundle *b)
{
    for (size_t i = 0; i < b->n_provisioners; i++)
        if (!service_stopped(b->provisioners[i].service))
            return false;
    return true;
}

/* Stops what the phase is about, when it runs and has not been told yet, or when told to hurry. */
static void stop_phase(struct bundle *b)
{
    bool hurry = b->signals > 1;
    switch (b->phase) {
    case STOP_PROVISIONERS:
        for (size_t i = 0; i < b->n_provisioners; i++)
            if (!service_stopped(b->provisioners[i].service))
                service_stop(b->provisioners[i].service, b->stop_signal, hurry ? HURRIED_GRACE : 0);
        break;
    case STOP_CODERD:
        if (b->coderd && !service_stopped(b->coderd))
            service_stop(b->coderd, SIGTERM,
                         hurry ? HURRIED_GRACE : b->s->coderd.drain_timeout + CODERD_GRACE);
        break;
    case STOP_DATABASE:
        if (b->database && !service_stopped(b->database))
            service_stop(b->database, hurry ? SIGQUIT : SIGINT,
                         hurry ? HURRIED_GRACE : DATABASE_GRACE);
        break;
    case STARTING:
    case SERVING:
    case DONE:
        break;
    }
}

static bool phase_done(const struct bundle *b)
{
    switch (b->phase) {
    case STOP_PROVISIONERS:
        return provisioners_stopped(b);
    case STOP_CODERD:
        return !b->coderd || service_stopped(b->coderd);
    case STOP_DATABASE:
        return !b->database || service_stopped(b->database);
    case STARTING:
    case SERVING:
    case DONE:
        break;
    }
    return false;
}

static void advance(struct bundle *b)
{
    enum phase before;
    do {
        before = b->phase;
        if (phase_done(b)) {
            b->phase++;
            stop_phase(b);
        }
    } while (b->phase != before);
    if (b->phase == DONE)
        cm_loop_stop(b->loop);
}

static void on_signal(void *ctx, int signo)
{
    struct bundle *b = ctx;
    b->signals++;
    if (b->phase < STOP_PROVISIONERS) {
        CM_INFO(signo == SIGINT ? "stopping, and canceling running jobs; once more to hurry"
                                : "stopping when running jobs have ended; once more to hurry");
        b->phase = STOP_PROVISIONERS;
        b->stop_signal = signo == SIGINT ? SIGINT : SIGTERM;
    } else {
        CM_INFO("stopping now");
        b->stop_signal = SIGINT;
    }
    stop_phase(b);
    advance(b);
}

/* --- putting it together --- */

static void make_services(struct bundle *b)
{
    if (b->pg) {
        const struct service_config cfg = {.name = "postgresql",
                                           .loop = b->loop,
                                           .ctx = b,
                                           .start = database_start,
                                           .on_ready = on_database_ready,
                                           .on_line = database_line,
                                           .poll = database_poll,
                                           .on_failure = on_first_failure,
                                           .on_stopped = on_stopped};
        b->database = service_new(&cfg);
    }
    if (b->s->command != COMMAND_SERVE)
        return;
    const struct service_config cfg = {.name = "coderd",
                                       .loop = b->loop,
                                       .ctx = b,
                                       .start = coderd_start,
                                       .on_ready = on_coderd_ready,
                                       .on_failure = on_first_failure,
                                       .on_stopped = on_stopped};
    b->coderd = service_new(&cfg);
    b->n_provisioners = (size_t)b->s->provisioners;
    for (size_t i = 0; i < b->n_provisioners; i++) {
        struct provisioner *p = &b->provisioners[i];
        p->b = b;
        p->index = i;
        snprintf(p->name, sizeof(p->name), "provisionerd %zu", i);
        const struct service_config each = {.name = p->name,
                                            .loop = b->loop,
                                            .ctx = p,
                                            .start = provisioner_start,
                                            .on_ready = on_provisioner_ready,
                                            .on_failure = on_provisioner_failure,
                                            .on_stopped = on_provisioner_stopped};
        p->service = service_new(&each);
    }
}

/* Under nohup it stays ignored. */
static bool is_ignored(int signo)
{
    struct sigaction now;
    return sigaction(signo, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

int bundle_run(const struct settings *s, const struct layout *l, const struct postgres *pg)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct cm_sigwatch watches[CM_COUNT_OF(signals)] = {0};
    CM_AUTO(cm_loop) loop = cm_loop_new();
    struct bundle *b = cm_xcalloc(1, sizeof(*b));
    b->s = s;
    b->l = l;
    b->pg = pg;
    b->loop = loop;
    make_services(b);
    for (size_t i = 0; i < CM_COUNT_OF(signals); i++)
        if (signals[i] != SIGHUP || !is_ignored(SIGHUP))
            cm_sigwatch_start(&watches[i], loop, signals[i], on_signal, b);
    service_start(b->database ? b->database : b->coderd);
    cm_loop_run(loop);
    for (size_t i = 0; i < CM_COUNT_OF(signals); i++)
        cm_sigwatch_stop(&watches[i]);
    for (size_t i = 0; i < b->n_provisioners; i++)
        service_free(b->provisioners[i].service);
    service_free(b->coderd);
    service_free(b->database);
    int status = b->status;
    cm_free(b);
    return status;
}
