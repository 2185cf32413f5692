/* Builds: one `terraform apply` does plan and apply, which spares a process and the second start of
 * every provider. What was made is read from the state file, and which agent runs where from the
 * graph kept at import. */
#include "runner/job_impl.h"

static enum cm_code apply(struct job *j, bool destroy, struct cm_err *err)
{
    const char *args[12] = {"apply",        "-no-color", "-auto-approve",
                            "-input=false", "-json",     "-backup=-"};
    size_t n = 6;
    if (destroy)
        args[n++] = "-destroy";
    if (j->var_file)
        args[n++] = j->var_file;
    job_stage(j, STAGE_PLAN);
    j->timing_stage = "plan";
    j->state_watched = true;
    return job_terraform(j, args, &j->full, err);
}

static enum cm_code read_result(struct job *j, struct cm_str state, const struct tf_graph *graph,
                                struct cm_err *err)
{
    struct tf_resources list;
    struct tf_extracted x;
    /* What the results point into must live as long as they do. */
    enum cm_code code = tf_state_read(j->a, cm_arena_str(j->a, state), &list, err);
    if (code == CM_OK)
        code = tf_extract_resources(j->a, &list, graph, &x, err);
    if (code != CM_OK)
        return code;
    j->out->resources = x.resources;
    j->out->n_resources = x.n;
    j->out->has_daily_cost = j->out->has_has_external_agent = true;
    j->out->daily_cost = x.daily_cost;
    j->out->has_external_agent = x.has_external_agent;
    return CM_OK;
}

enum cm_code job_build(struct job *j, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf state = CM_BUF_INIT(JOB_STATE_MAX);
    bool destroy = j->msg->context && j->msg->context->transition == PB_ENUM(TRANSITION__DELETE);
    bool has_objects = false;
    struct tf_graph *graph = NULL;
    enum cm_code code = job_setup(j, err);
    if (code == CM_OK)
        code = job_state_load(j, &has_objects, err);
    if (code != CM_OK)
        return code;
    if (destroy && !has_objects) {
        job_logf(j, "info", "The state holds no resources, so there is nothing to destroy");
        return CM_OK;
    }
    code = job_init(j, err);
    if (code == CM_OK && !destroy)
        code = job_graph(j, &graph, err);
    if (code != CM_OK)
        return code;
    enum cm_code applied = apply(j, destroy, err);
    struct cm_err state_err;
    code = job_state_final(j, applied == CM_OK, &state, &state_err);
    if (applied != CM_OK)
        return applied;
    if (code != CM_OK) {
        *err = state_err;
        return code;
    }
    return destroy ? CM_OK : read_result(j, cm_buf_view(&state), graph, err);
}
