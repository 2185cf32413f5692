/* One command of terraform inside a job: what it prints becomes the job's log, its timings and its
 * error. */
#include <stdlib.h>

#include "runner/job_impl.h"

#define ARGS_MAX     24
#define TIMINGS_MAX  5000
#define SPANS_MAX    2000
#define DETAIL_SHOWN 400

struct command {
    struct job *job;
    bool structured; /* -json: lines are events */
};

void job_add_timing(struct job *j, struct cm_time began, struct cm_time ended, struct cm_str action,
                    struct cm_str resource, struct cm_str source)
{
    struct timings *t = &j->timings;
    if (t->n >= TIMINGS_MAX)
        return;
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 32;
        PB(Timing) **v = CM_NEW_ARRAY(j->a, PB(Timing) *, cap);
        if (t->n > 0)
            memcpy(v, t->v, t->n * sizeof(PB(Timing) *));
        t->v = v;
        t->cap = cap;
    }
    PB(Timing) *m = CM_NEW(j->a, PB(Timing));
    coder__provisioner__v1__timing__init(m);
    m->started_at_us = began.us;
    m->ended_at_us = CM_MAX(ended.us, began.us);
    m->stage = cm_arena_printf(j->a, "%s", j->timing_stage);
    m->action = cm_arena_cstr(j->a, action);
    m->resource = cm_arena_cstr(j->a, resource);
    m->source = cm_arena_cstr(j->a, source);
    t->v[t->n++] = m;
}

static void span_begin(struct job *j, const struct ui_event *ev)
{
    if (j->n_spans >= SPANS_MAX)
        return;
    if (j->n_spans == j->cap_spans) {
        size_t cap = j->cap_spans ? j->cap_spans * 2 : 32;
        struct span *v = CM_NEW_ARRAY(j->a, struct span, cap);
        if (j->n_spans > 0)
            memcpy(v, j->spans, j->n_spans * sizeof *v);
        j->spans = v;
        j->cap_spans = cap;
    }
    j->spans[j->n_spans++] =
        (struct span){ev->at, cm_arena_str(j->a, ev->action), cm_arena_str(j->a, ev->resource)};
}

static void span_end(struct job *j, const struct ui_event *ev)
{
    for (size_t i = 0; i < j->n_spans; i++) {
        struct span *s = &j->spans[i];
        if (!cm_str_eq(s->resource, ev->resource) || !cm_str_eq(s->action, ev->action))
            continue;
        job_add_timing(j, s->began, ev->at, s->action, s->resource, ev->source);
        *s = j->spans[--j->n_spans];
        return;
    }
}

/* init tells only what it begins with: a step ends where the next one begins. */
static void init_step(struct job *j, struct cm_time at, struct cm_str resource)
{
    if (j->n_spans > 0) {
        job_add_timing(j, j->spans[0].began, at, CM_STR("load"), j->spans[0].resource,
                       CM_STR("terraform"));
        j->n_spans = 0;
    }
    if (resource.len > 0) {
        struct ui_event ev = {.at = at, .action = CM_STR("load"), .resource = resource};
        span_begin(j, &ev);
    }
}

/* The stage that follows a plan within the same `apply`. */
static const char *apply_stage(const struct job *j)
{
    const PB(BuildContext) *c = j->msg->context;
    if (c && c->transition == PB_ENUM(TRANSITION__STOP))
        return "Stopping workspace";
    return c && c->transition == PB_ENUM(TRANSITION__DELETE) ? "Destroying workspace"
                                                             : "Starting workspace";
}

static void remember_error(struct job *j, const struct ui_event *ev)
{
    if (j->error_summary.len > 0 || strcmp(ev->level, "error") != 0)
        return;
    j->error_summary = cm_arena_str(j->a, ev->summary);
    j->error_detail = cm_arena_str(j->a, cm_str_sub(ev->detail, 0, DETAIL_SHOWN));
}

static void on_event(struct job *j, const struct ui_event *ev)
{
    if (ev->text.len > 0)
        job_log(j, "provisioner", ev->level, ev->text);
    switch (ev->kind) {
    case UI_TEXT:
        break;
    case UI_DIAGNOSTIC:
        remember_error(j, ev);
        break;
    case UI_PLANNED:
        if (strcmp(j->stage, STAGE_PLAN) == 0 &&
            j->msg->kind == PB_ENUM(JOB_KIND__WORKSPACE_BUILD)) {
            job_stage(j, apply_stage(j));
            j->timing_stage = "apply";
        }
        break;
    case UI_STARTED:
        span_begin(j, ev);
        break;
    case UI_ENDED:
        span_end(j, ev);
        break;
    case UI_INIT_STEP:
        init_step(j, ev->at, ev->resource);
        break;
    }
}

static void on_line(void *ctx, bool is_stderr, struct cm_str line)
{
    struct command *c = ctx;
    CM_AUTO(cm_arena) scratch = cm_arena_new();
    struct ui_event ev;
    ui_parse_line(scratch, line, &ev);
    if (is_stderr || !c->structured) {
        /* terraform's own log (TF_LOG=JSON) says its level; anything else there is a complaint. */
        bool is_log = ev.text.ptr != line.ptr;
        if (cm_str_trim(ev.text).len > 0)
            job_log(c->job, "provisioner", is_log ? ev.level : "warn", ev.text);
        return;
    }
    on_event(c->job, &ev);
}

static void on_tick(void *ctx)
{
    struct command *c = ctx;
    job_state_watch(c->job);
}

/* What the job's error says when terraform fails. */
static enum cm_code terraform_failed(struct job *j, const char *verb, struct cm_child_status st,
                                     struct cm_err *err)
{
    struct cm_str s = j->error_summary, d = j->error_detail;
    if (s.len > 0)
        return cm_err_set(err, CM_INVALID, "terraform %s: %.*s%s%.*s", verb, CM_STR_ARG(s),
                          d.len ? ": " : "", CM_STR_ARG(d));
    if (st.signo)
        return cm_err_set(err, CM_INVALID, "terraform %s was killed by signal %d", verb, st.signo);
    return cm_err_set(err, CM_INVALID, "terraform %s failed with exit status %d", verb, st.code);
}

static enum cm_code run(struct job *j, const char *const *args, const struct tf_env *env,
                        struct cm_buf *out, struct cm_err *err)
{
    const char *argv[ARGS_MAX] = {"terraform"};
    struct command c = {.job = j, .structured = !out};
    struct cm_child_status st;
    bool stopped = false;
    for (size_t i = 0; args[i]; i++) {
        cm_assert(i + 2 < ARGS_MAX);
        argv[i + 1] = args[i];
    }
    const struct tf_run spec = {.program = j->cfg->terraform->path,
                                .argv = argv,
                                .env = env->v,
                                .cwd = j->src,
                                .cancel = j->cancel,
                                .grace = j->cfg->grace,
                                .out = out,
                                .line = on_line,
                                .tick = on_tick,
                                .ctx = &c};
    j->error_summary = j->error_detail = CM_STR_NONE;
    j->n_spans = 0;
    enum cm_code code = tf_run(&spec, &st, &stopped, err);
    if (strcmp(args[0], "init") == 0)
        init_step(j, cm_time_now(), CM_STR_NONE);
    if (code != CM_OK)
        return code;
    if (stopped)
        return cm_err_set(err, CM_CANCELED, "canceled during terraform %s", args[0]);
    return cm_child_status_shell(st) == 0 ? CM_OK : terraform_failed(j, args[0], st, err);
}

enum cm_code job_terraform(struct job *j, const char *const *args, const struct tf_env *env,
                           struct cm_err *err)
{
    return run(j, args, env, NULL, err);
}

enum cm_code job_terraform_output(struct job *j, const char *const *args, struct cm_buf *out,
                                  struct cm_err *err)
{
    return run(j, args, &j->basic, out, err);
}
