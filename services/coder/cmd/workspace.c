/* Small changes to one workspace: favorite, unfavorite, autoupdate, rename. */
#include "cmd/cmd.h"

static enum cm_code set_favorite(struct cli *cli, const char *method, struct cm_err *err)
{
    struct api_workspace *w = NULL;

    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, method, NULL, NULL, NULL, NULL, err,
                    "/api/v2/workspaces/%s/favorite", cm_uuid_text(w->id).s) != CM_OK)
        return cm_err_wrap(err, "%s workspace", *method == 'P' ? "favorite" : "unfavorite");
    printf("Workspace %.*s %s favorites.\n", CM_STR_ARG(w->name),
           *method == 'P' ? "added to" : "removed from");
    return CM_OK;
}

static enum cm_code run_favorite(struct cli *cli, struct cm_err *err)
{
    return set_favorite(cli, "PUT", err);
}

static enum cm_code run_unfavorite(struct cli *cli, struct cm_err *err)
{
    return set_favorite(cli, "DELETE", err);
}

const struct command command_favorite = {
    .name = "favorite",
    .aliases = "fav,favourite",
    .args = "<workspace>",
    .brief = "Add a workspace to your favorites",
    .min_args = 1,
    .max_args = 1,
    .run = run_favorite,
};

const struct command command_unfavorite = {
    .name = "unfavorite",
    .aliases = "unfav,unfavourite",
    .args = "<workspace>",
    .brief = "Remove a workspace from your favorites",
    .min_args = 1,
    .max_args = 1,
    .run = run_unfavorite,
};

static enum cm_code run_autoupdate(struct cli *cli, struct cm_err *err)
{
    struct api_update_workspace_automatic_updates_request req;
    struct api_workspace *w = NULL;
    const char *policy = cli_arg(cli, 1);
    int value = 0;

    if (!*policy || !cm_enum_parse(&api_automatic_updates_enum, cm_str(policy), &value))
        return cm_err_set(err, CM_INVALID,
                          "invalid option \"%s\": it must be either \"always\" or \"never\"",
                          policy);
    req.automatic_updates = (enum api_automatic_updates)value;
    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "PUT",
                    &api_update_workspace_automatic_updates_request_msg, &req, NULL, NULL, err,
                    "/api/v2/workspaces/%s/autoupdates", cm_uuid_text(w->id).s) != CM_OK)
        return cm_err_wrap(err, "update workspace automatic updates policy");
    printf("Updated workspace \"%.*s\" auto-update policy to \"%s\"\n", CM_STR_ARG(w->name),
           policy);
    return CM_OK;
}

const struct command command_autoupdate = {
    .name = "autoupdate",
    .args = "<workspace> <always|never>",
    .brief = "Toggle auto-update policy for a workspace",
    .uses = USES_YES,
    .min_args = 2,
    .max_args = 2,
    .run = run_autoupdate,
};

static enum cm_code check_same(void *ctx, const char *answer, struct cm_err *err)
{
    if (strcmp(ctx, answer) == 0)
        return CM_OK;
    return cm_err_set(err, CM_INVALID, "type \"%s\" to go on, or press Ctrl-C", (const char *)ctx);
}

static enum cm_code run_rename(struct cli *cli, struct cm_err *err)
{
    struct api_update_workspace_request req = {.name = cm_str(cli_arg(cli, 1))};
    struct api_workspace *w = NULL;
    const char *answer = NULL;

    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK)
        return err->code;
    char *name = cm_arena_cstr(cli->arena, w->name);
    struct ui_question q = {.text =
                                cm_arena_printf(cli->arena, "Type \"%s\" to confirm rename:", name),
                            .check = check_same,
                            .ctx = name};
    if (!cli->yes) {
        fprintf(stderr, "WARNING: A rename can result in data loss if a resource references the "
                        "workspace name in the template.\n");
        cli->hint = "-y confirms without a question.";
        if (ui_ask(cli, &q, &answer, err) != CM_OK)
            return err->code;
        cli->hint = NULL;
    }
    if (cm_sdk_send(cli->sdk, cli->arena, "PATCH", &api_update_workspace_request_msg, &req, NULL,
                    NULL, err, "/api/v2/workspaces/%s", cm_uuid_text(w->id).s) != CM_OK)
        return cm_err_wrap(err, "rename workspace");
    printf("Workspace \"%s\" renamed to \"%s\"\n", name, cli_arg(cli, 1));
    return CM_OK;
}

const struct command command_rename = {
    .name = "rename",
    .args = "<workspace> <new name>",
    .brief = "Rename a workspace",
    .uses = USES_YES,
    .min_args = 2,
    .max_args = 2,
    .run = run_rename,
};
