#include "local.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "obs/log.h"
#include "runner/job.h"
#include "sys/fs.h"
#include "terraform/unpack.h"
#include "text.h"

#define PAIRS_MAX 100

struct pairs {
    PB(Pair) v[PAIRS_MAX], *ptrs[PAIRS_MAX];
    size_t n;
};

struct local {
    struct cm_arena *a;
    const char *source, *state, *cache, *provider, *terraform, *mirror, *modules;
    const char *kind, *transition;
    const char *const *host_env;
    struct pairs variables, parameters, previous;
    struct cm_buf archive, state_text, modules_text;
    PB(BuildContext) context;
    PB(Job) job;
    PB(Lease) lease;
    struct tf_cancel cancel;
    bool quiet;
    cm_usec grace;
};

enum { OPT_PARAM = 256, OPT_PREVIOUS, OPT_MIRROR, OPT_GRACE, OPT_MODULES };
static const struct option options[] = {
    {"source", required_argument, NULL, 's'},
    {"kind", required_argument, NULL, 'k'},
    {"transition", required_argument, NULL, 't'},
    {"state", required_argument, NULL, 'f'},
    {"var", required_argument, NULL, 'v'},
    {"parameter", required_argument, NULL, OPT_PARAM},
    {"previous", required_argument, NULL, OPT_PREVIOUS},
    {"cache-dir", required_argument, NULL, 'c'},
    {"provider", required_argument, NULL, 'p'},
    {"terraform-path", required_argument, NULL, 'T'},
    {"mirror", required_argument, NULL, OPT_MIRROR},
    {"grace", required_argument, NULL, OPT_GRACE},
    {"modules", required_argument, NULL, OPT_MODULES},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: provisionerd run-local --source DIR|TAR [options]\n"
    "  --kind import|build|dry-run   build unless said otherwise\n"
    "  --transition start|stop|delete\n"
    "  --state FILE                  read before and written after a build\n"
    "  --var NAME=VALUE              a template variable; may be repeated\n"
    "  --parameter NAME=VALUE        a parameter; may be repeated\n"
    "  --previous NAME=VALUE         a parameter's value in the build before\n"
    "  --modules FILE                the module archive: written by an import, used by a build\n"
    "  --cache-dir DIR               keeps providers and initialised versions\n"
    "  --provider FILE               terraform-provider-coder; that beside provisionerd unless "
    "said otherwise\n"
    "  --terraform-path FILE         terraform; looked up in PATH unless said otherwise\n"
    "  --mirror DIR                  a mirror of other providers\n"
    "  --grace DURATION              from the gentle stop of terraform to its kill (3m)\n"
    "  --quiet                       no log\n";

static bool add_pair(struct local *l, struct pairs *p, const char *arg)
{
    const char *eq = strchr(arg, '=');
    if (!eq || p->n == PAIRS_MAX)
        return false;
    PB(Pair) *pair = &p->v[p->n];
    coder__provisioner__v1__pair__init(pair);
    pair->name = cm_arena_cstr(l->a, cm_str_n(arg, (size_t)(eq - arg)));
    pair->value = cm_arena_printf(l->a, "%s", eq + 1);
    p->ptrs[p->n++] = pair;
    return true;
}

static bool parse(struct local *l, int argc, char **argv)
{
    int c;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        bool ok = true;
        switch (c) {
        case 's':
            l->source = optarg;
            break;
        case 'k':
            l->kind = optarg;
            break;
        case 't':
            l->transition = optarg;
            break;
        case 'f':
            l->state = optarg;
            break;
        case 'v':
            ok = add_pair(l, &l->variables, optarg);
            break;
        case OPT_PARAM:
            ok = add_pair(l, &l->parameters, optarg);
            break;
        case OPT_PREVIOUS:
            ok = add_pair(l, &l->previous, optarg);
            break;
        case 'c':
            l->cache = optarg;
            break;
        case 'p':
            l->provider = optarg;
            break;
        case 'T':
            l->terraform = optarg;
            break;
        case OPT_MIRROR:
            l->mirror = optarg;
            break;
        case OPT_MODULES:
            l->modules = optarg;
            break;
        case OPT_GRACE:
            ok = cm_duration_parse(cm_str(optarg), &l->grace);
            break;
        case 'q':
            l->quiet = true;
            break;
        default:
            ok = false;
        }
        if (!ok)
            return false;
    }
    return l->source && optind == argc;
}

/* --- the job's host --- */

static void host_log(void *ctx, const struct job_log_line *line)
{
    const struct local *l = ctx;
    char at[CM_TIME_TEXT];
    if (!l->quiet)
        fprintf(stderr, "%s %-5s [%s] %.*s\n", cm_time_format(line->at, at), line->level,
                line->stage, CM_STR_ARG(line->output));
}

static enum cm_code host_fetch(void *ctx, PB(FetchRequest__What) what, struct cm_buf *out,
                               struct cm_err *err)
{
    struct local *l = ctx;
    switch (what) {
    case PB_ENUM(FETCH_REQUEST__WHAT__SOURCE):
        cm_buf_str(out, cm_buf_view(&l->archive));
        break;
    case PB_ENUM(FETCH_REQUEST__WHAT__STATE):
        cm_buf_str(out, cm_buf_view(&l->state_text));
        break;
    case PB_ENUM(FETCH_REQUEST__WHAT__MODULES):
        cm_buf_str(out, cm_buf_view(&l->modules_text));
        break;
    case _CODER__PROVISIONER__V1__FETCH_REQUEST__WHAT_IS_INT_SIZE:
        break;
    }
    return cm_buf_check(out, "the file", err);
}

static void host_state(void *ctx, struct cm_str state)
{
    struct local *l = ctx;
    struct cm_err err;
    if (l->state && cm_fs_write(l->state, state, 0600, false, &err) != CM_OK)
        fprintf(stderr, "cannot write the state: %s\n", err.text);
}

static void host_modules(void *ctx, struct cm_str archive)
{
    struct local *l = ctx;
    struct cm_err err;
    if (l->modules && cm_fs_write(l->modules, archive, 0600, false, &err) != CM_OK)
        fprintf(stderr, "cannot write the modules: %s\n", err.text);
}

static void host_describe(void *ctx, struct cm_str readme, PB(TemplateVariable) *const *variables,
                          size_t n)
{
    (void)ctx;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT((size_t)16 << 20);
    cm_buf_printf(&out, "readme_bytes: %zu\n", readme.len);
    for (size_t i = 0; i < n; i++) {
        cm_buf_cstr(&out, "template_variables {\n");
        message_text(&out, &variables[i]->base, 1);
        cm_buf_cstr(&out, "}\n");
    }
    fputs(out.ptr, stdout);
}

/* --- setting up --- */

static enum cm_code read_inputs(struct local *l, struct cm_err *err)
{
    enum cm_code code = cm_fs_is_dir(l->source)
                            ? tf_pack(l->source, ".", TF_ARCHIVE_MAX, &l->archive, err)
                            : cm_fs_read(l->source, &l->archive, err);
    if (code == CM_OK && l->state && cm_fs_exists(l->state))
        code = cm_fs_read(l->state, &l->state_text, err);
    if (code == CM_OK && l->modules && cm_fs_exists(l->modules) && strcmp(l->kind, "import") != 0)
        code = cm_fs_read(l->modules, &l->modules_text, err);
    return code;
}

static ProtobufCBinaryData hash_id(struct cm_arena *a, struct cm_str data)
{
    char *hex = tf_sha256_hex(a, data);
    return (ProtobufCBinaryData){.data = (uint8_t *)hex, .len = 16};
}

static bool fill_job(struct local *l)
{
    coder__provisioner__v1__build_context__init(&l->context);
    coder__provisioner__v1__job__init(&l->job);
    coder__provisioner__v1__lease__init(&l->lease);
    l->job.lease = &l->lease;
    l->job.context = &l->context;
    l->job.kind = PB_ENUM(JOB_KIND__WORKSPACE_BUILD);
    if (strcmp(l->kind, "import") == 0)
        l->job.kind = PB_ENUM(JOB_KIND__TEMPLATE_IMPORT);
    else if (strcmp(l->kind, "dry-run") == 0)
        l->job.kind = PB_ENUM(JOB_KIND__TEMPLATE_DRY_RUN);
    else if (strcmp(l->kind, "build") != 0)
        return false;
    l->context.has_transition = true;
    l->context.transition = PB_ENUM(TRANSITION__START);
    if (strcmp(l->transition, "stop") == 0)
        l->context.transition = PB_ENUM(TRANSITION__STOP);
    else if (strcmp(l->transition, "delete") == 0)
        l->context.transition = PB_ENUM(TRANSITION__DELETE);
    else if (strcmp(l->transition, "start") != 0)
        return false;
    l->context.access_url = cm_arena_printf(l->a, "http://127.0.0.1:3000");
    l->context.workspace_name = cm_arena_printf(l->a, "local");
    l->context.owner_name = cm_arena_printf(l->a, "local");
    l->job.source_file_id = hash_id(l->a, cm_buf_view(&l->archive));
    l->job.source_size = (int64_t)l->archive.len;
    l->job.has_state_size = true;
    l->job.state_size = (int64_t)l->state_text.len;
    if (l->modules_text.len > 0) {
        l->job.has_modules_file_id = l->job.has_modules_size = true;
        l->job.modules_file_id = hash_id(l->a, cm_buf_view(&l->modules_text));
        l->job.modules_size = (int64_t)l->modules_text.len;
    }
    l->job.variables = l->variables.ptrs;
    l->job.n_variables = l->variables.n;
    l->job.parameters = l->parameters.ptrs;
    l->job.n_parameters = l->parameters.n;
    l->job.previous_parameters = l->previous.ptrs;
    l->job.n_previous_parameters = l->previous.n;
    return true;
}

/* Turns signals into stop requests, as the daemon's loop does. */
static void *watch_signals(void *arg)
{
    struct local *l = arg;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    for (;;) {
        int signo = 0;
        if (sigwait(&set, &signo) == 0)
            tf_cancel_request(&l->cancel, tf_cancel_level(&l->cancel) == TF_STOP_NONE
                                              ? TF_STOP_GENTLY
                                              : TF_STOP_NOW);
    }
    return NULL;
}

static void start_signal_thread(struct local *l)
{
    pthread_t thread;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, watch_signals, l) == 0)
        pthread_detach(thread);
}

static const char *default_provider(struct cm_arena *a)
{
    CM_AUTOFREE char *self = NULL;
    if (cm_fs_self_exe(&self, NULL) != CM_OK)
        return NULL;
    char *path = cm_fs_join(a, cm_fs_dirname(a, self), "terraform-provider-coder");
    return cm_fs_is_executable(path) ? path : NULL;
}

static const char *find_env(const char *const *env, const char *name)
{
    for (size_t n = strlen(name); *env; env++) {
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    }
    return NULL;
}

static enum cm_code run(struct local *l, PB(CompleteRequest) * ret, struct cm_err *err)
{
    struct tf_binary terraform;
    struct tf_install install;
    CM_AUTO(version_cache) cache = NULL;
    CM_AUTOFREE char *temp = NULL;
    const char *base = l->cache;
    enum cm_code code =
        tf_binary_find(l->a, l->terraform, find_env(l->host_env, "PATH"), &terraform, err);
    if (code == CM_OK && !base) {
        code = cm_fs_temp_dir(NULL, "provisionerd-", &temp, err);
        base = temp;
    }
    if (code != CM_OK)
        return code;
    const struct tf_install_spec spec = {.cache_dir = base,
                                         .provider =
                                             l->provider ? l->provider : default_provider(l->a),
                                         .filesystem_mirror = l->mirror};
    const char *work = cm_fs_join(l->a, base, "work");
    code = tf_install_prepare(l->a, &spec, &terraform, &install, err);
    if (code == CM_OK)
        code = version_cache_new(cm_fs_join(l->a, base, "versions"), &cache, err);
    if (code == CM_OK)
        code = cm_fs_mkdirs(work, 0700, err);
    if (code == CM_OK) {
        const struct job_config cfg = {.terraform = &terraform,
                                       .install = &install,
                                       .cache = cache,
                                       .work_root = work,
                                       .host_env = l->host_env,
                                       .grace = l->grace};
        const struct job_host host = {.ctx = l,
                                      .log = host_log,
                                      .fetch = host_fetch,
                                      .state = host_state,
                                      .modules = host_modules,
                                      .describe = host_describe};
        cm_usec began = cm_monotonic_now();
        job_run(&cfg, &l->job, &host, &l->cancel, NULL, l->a, ret);
        fprintf(stderr, "the job took %lld ms\n",
                (long long)((cm_monotonic_now() - began) / CM_MSEC));
    }
    if (temp)
        cm_ignore(cm_fs_remove_tree(temp, NULL) != CM_OK, "a temporary folder");
    return code;
}

int local_run(int argc, char **argv, const char *const *host_env)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct local *l = CM_NEW(a, struct local);
    PB(CompleteRequest) *done = CM_NEW(a, PB(CompleteRequest));
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT((size_t)64 << 20);
    struct cm_err err;
    l->a = a;
    l->kind = "build";
    l->transition = "start";
    l->host_env = host_env;
    l->grace = 3 * CM_MINUTE;
    cm_buf_init(&l->archive, TF_ARCHIVE_MAX);
    cm_buf_init(&l->state_text, JOB_STATE_MAX);
    cm_buf_init(&l->modules_text, TF_ARCHIVE_MAX);
    if (!parse(l, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    enum cm_code code = read_inputs(l, &err);
    if (code == CM_OK && !fill_job(l)) {
        fputs(usage, stderr);
        return 2;
    }
    if (code == CM_OK)
        code = tf_cancel_init(&l->cancel, &err);
    if (code == CM_OK) {
        start_signal_thread(l);
        code = run(l, done, &err);
    }
    cm_buf_done(&l->archive);
    cm_buf_done(&l->state_text);
    cm_buf_done(&l->modules_text);
    if (code != CM_OK) {
        fprintf(stderr, "provisionerd: %s\n", err.text);
        return 1;
    }
    /* The lease belongs to jobs of coderd. */
    message_text(&out, &done->base, 0);
    fwrite(out.ptr, 1, out.len, stdout);
    return done->outcome == PB_ENUM(COMPLETE_REQUEST__OUTCOME__SUCCEEDED) ? 0 : 1;
}
