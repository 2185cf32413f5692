/* start, stop, restart, update, delete. */
#include "cmd/cmd.h"

struct wait_opts {
    bool no_wait;
    const char *reason;
};

static const struct cm_opt start_opts[] = {
    {CM_OPT_BOOL, offsetof(struct wait_opts, no_wait), "no-wait",
     .help = "Return immediately after starting the workspace."},
    {CM_OPT_STR, offsetof(struct wait_opts, reason), "reason",
     .help = "Why the workspace is started.", .flags = CM_OPT_HIDDEN},
};

/* What a start on this version needs. Where something runs that is to be stopped first, this comes
 * before that: whoever gave a parameter that there is not, or gives up at a question, keeps it. */
static enum cm_code plan_start(struct cli *cli, const struct api_workspace *w,
                               struct cm_uuid version, const struct wait_opts *o,
                               struct build_order *ret, struct cm_err *err)
{
    struct api_workspace_build_parameter *last = NULL, *params = NULL;
    size_t n_last = 0;

    *ret = (struct build_order){.transition = API_WORKSPACE_TRANSITION_START,
                                .version = version,
                                .no_wait = o && o->no_wait,
                                .reason = o && *o->reason ? o->reason : NULL};
    if (build_params(cli, w->latest_build->id, &last, &n_last, err) != CM_OK)
        return err->code;
    struct param_sources from = {.version = version, .last = last, .n_last = n_last};
    if (resolve_params(cli, &from, &params, &ret->n_params, err) != CM_OK)
        return err->code;
    ret->params = params;
    return CM_OK;
}

static struct cm_uuid version_to_start(const struct api_workspace *w)
{
    bool newest =
        w->template_require_active_version || w->automatic_updates == API_AUTOMATIC_UPDATES_ALWAYS;
    return newest ? w->template_active_version_id : w->latest_build->template_version_id;
}

static enum cm_code start(struct cli *cli, const struct api_workspace *w,
                          const struct build_order *order, const struct wait_opts *o,
                          struct cm_err *err)
{
    struct api_update_workspace_dormancy awake = {.dormant = false};
    struct api_workspace_build *build = NULL;
    struct build_order newest;

    if (w->dormant_at.us && !cm_time_is_zero(w->dormant_at)) {
        printf("Activating dormant workspace...\n");
        if (cm_sdk_send(cli->sdk, cli->arena, "PUT", &api_update_workspace_dormancy_msg, &awake,
                        NULL, NULL, err, "/api/v2/workspaces/%s/dormant",
                        cm_uuid_text(w->id).s) != CM_OK)
            return cm_err_wrap(err, "activate workspace");
    }
    enum cm_code code = run_build(cli, w, order, &build, err);
    if (code != CM_DENIED || cm_uuid_eq(order->version, w->template_active_version_id))
        return code;
    printf("Unable to start the workspace with template version from last build. The active "
           "version is used.\n");
    if (plan_start(cli, w, w->template_active_version_id, o, &newest, err) != CM_OK)
        return err->code;
    return run_build(cli, w, &newest, &build, err);
}

static enum cm_code run_start(struct cli *cli, struct cm_err *err)
{
    const struct wait_opts *o = cli->opts;
    struct api_workspace *w = NULL;
    struct build_order order;

    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK)
        return err->code;
    enum api_workspace_status status = w->latest_build->status;
    if (status == API_WORKSPACE_STATUS_RUNNING) {
        printf("\nThe %.*s workspace is already running!\n", CM_STR_ARG(w->name));
        return CM_OK;
    }
    bool under_way = status == API_WORKSPACE_STATUS_STARTING ||
                     (status == API_WORKSPACE_STATUS_PENDING &&
                      w->latest_build->transition == API_WORKSPACE_TRANSITION_START);
    if (under_way)
        printf("\nThe %.*s workspace is already starting!\n", CM_STR_ARG(w->name));
    if (under_way && !o->no_wait) {
        if (ui_follow_build(cli, w->latest_build->id, stdout, err) != CM_OK)
            return err->code;
    } else if (!under_way && (plan_start(cli, w, version_to_start(w), o, &order, err) != CM_OK ||
                              start(cli, w, &order, o, err) != CM_OK)) {
        return err->code;
    }
    if (o->no_wait)
        printf("The %.*s workspace has been started in no-wait mode. Workspace is building in the "
               "background.\n",
               CM_STR_ARG(w->name));
    else
        printf("\nThe %.*s workspace has been started at %s!\n", CM_STR_ARG(w->name),
               ui_now(cli->arena));
    return CM_OK;
}

const struct command command_start = {
    .name = "start",
    .args = "<workspace>",
    .brief = "Start a workspace",
    .opts = start_opts,
    .n_opts = CM_COUNT_OF(start_opts),
    .opts_size = sizeof(struct wait_opts),
    .uses = USES_PARAMS | USES_YES,
    .min_args = 1,
    .max_args = 1,
    .run = run_start,
};

static enum cm_code stop(struct cli *cli, const struct api_workspace *w, struct cm_err *err)
{
    struct build_order order = {.transition = API_WORKSPACE_TRANSITION_STOP};
    struct api_workspace_build *build = NULL;

    return run_build(cli, w, &order, &build, err);
}

static enum cm_code run_stop(struct cli *cli, struct cm_err *err)
{
    struct api_workspace *w = NULL;

    if (ui_confirm(cli, "Confirm stop workspace?", false, err) != CM_OK ||
        cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK ||
        stop(cli, w, err) != CM_OK)
        return err->code;
    printf("\nThe %.*s workspace has been stopped at %s!\n", CM_STR_ARG(w->name),
           ui_now(cli->arena));
    return CM_OK;
}

const struct command command_stop = {
    .name = "stop",
    .args = "<workspace>",
    .brief = "Stop a workspace",
    .uses = USES_YES,
    .min_args = 1,
    .max_args = 1,
    .run = run_stop,
};

static enum cm_code run_restart(struct cli *cli, struct cm_err *err)
{
    struct api_workspace *w = NULL;
    struct build_order order;

    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK ||
        plan_start(cli, w, version_to_start(w), NULL, &order, err) != CM_OK ||
        ui_confirm(cli, "Restart workspace?", false, err) != CM_OK || stop(cli, w, err) != CM_OK ||
        start(cli, w, &order, NULL, err) != CM_OK)
        return err->code;
    printf("\nThe %.*s workspace has been restarted at %s!\n", CM_STR_ARG(w->name),
           ui_now(cli->arena));
    return CM_OK;
}

const struct command command_restart = {
    .name = "restart",
    .args = "<workspace>",
    .brief = "Restart a workspace",
    .uses = USES_PARAMS | USES_YES,
    .min_args = 1,
    .max_args = 1,
    .run = run_restart,
};

static enum cm_code run_update(struct cli *cli, struct cm_err *err)
{
    struct api_workspace *w = NULL;
    struct api_workspace_build *build = NULL;
    struct build_order order;

    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK)
        return err->code;
    bool asked = cli->params.always_prompt || cli->params.values.n || cli->params.ephemeral.n ||
                 cli->params.prompt_ephemeral || *cli->params.file;
    if (!w->outdated && !asked) {
        printf("Workspace is up-to-date.\n");
        return CM_OK;
    }
    if (plan_start(cli, w, w->template_active_version_id, NULL, &order, err) != CM_OK)
        return cm_err_wrap(err, "start workspace");
    if (w->latest_build->transition == API_WORKSPACE_TRANSITION_START && stop(cli, w, err) != CM_OK)
        return cm_err_wrap(err, "stop workspace");
    if (run_build(cli, w, &order, &build, err) != CM_OK)
        return cm_err_wrap(err, "start workspace");
    printf("\nThe %.*s workspace has been updated at %s!\n", CM_STR_ARG(w->name),
           ui_now(cli->arena));
    return CM_OK;
}

const struct command command_update = {
    .name = "update",
    .args = "<workspace>",
    .brief = "Will update and start a given workspace if it is out of date. If the workspace is "
             "already running, it will "
             "be stopped first.",
    .uses = USES_PARAMS,
    .min_args = 1,
    .max_args = 1,
    .run = run_update,
};

struct delete_opts {
    bool orphan;
};

static const struct cm_opt delete_opts[] = {
    {CM_OPT_BOOL, offsetof(struct delete_opts, orphan), "orphan",
     .help = "Delete a workspace without deleting its resources. This can delete a workspace in a "
             "broken state, but may "
             "also lead to unaccounted cloud resources."},
};

static enum cm_code run_delete(struct cli *cli, struct cm_err *err)
{
    const struct delete_opts *o = cli->opts;
    struct api_workspace *w = NULL;
    struct api_workspace_build *build = NULL;
    struct build_order order = {.transition = API_WORKSPACE_TRANSITION_DELETE, .orphan = o->orphan};

    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK ||
        ui_confirm(
            cli, cm_arena_printf(cli->arena, "Confirm delete workspace %.*s?", CM_STR_ARG(w->name)),
            false, err) != CM_OK ||
        run_build(cli, w, &order, &build, err) != CM_OK)
        return err->code;
    printf("\n%.*s/%.*s has been deleted at %s!\n", CM_STR_ARG(w->owner_name), CM_STR_ARG(w->name),
           ui_now(cli->arena));
    return CM_OK;
}

const struct command command_delete = {
    .name = "delete",
    .aliases = "rm",
    .args = "<workspace>",
    .brief = "Delete a workspace",
    .opts = delete_opts,
    .n_opts = CM_COUNT_OF(delete_opts),
    .opts_size = sizeof(struct delete_opts),
    .uses = USES_YES,
    .min_args = 1,
    .max_args = 1,
    .run = run_delete,
};
