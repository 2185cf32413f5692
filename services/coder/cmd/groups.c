/* groups: list, create, edit, delete. */
#include "api/groups.h"

#include "cmd/members.h"

struct group_opts {
    const char *name, *display_name, *avatar_url;
    struct cm_conf_list add, remove;
};

#define G(member) offsetof(struct group_opts, member)

static const struct cm_opt create_rows[] = {
    {CM_OPT_STR, G(avatar_url), "avatar-url", 'u', "CODER_AVATAR_URL",
     .help = "Set an avatar for a group."},
    {CM_OPT_STR, G(display_name), "display-name", .env = "CODER_DISPLAY_NAME",
     .help = "Optional human friendly name for the group."},
};

static const struct cm_opt edit_rows[] = {
    {CM_OPT_STR, G(name), "name", 'n', .help = "Update the group name."},
    {CM_OPT_STR, G(avatar_url), "avatar-url", 'u', .help = "Update the group avatar."},
    {CM_OPT_STR, G(display_name), "display-name", .env = "CODER_DISPLAY_NAME",
     .help = "Optional human friendly name for the group."},
    {CM_OPT_LIST, G(add), "add-users", 'a',
     .help = "Add users to the group: names, e-mail addresses or ids."},
    {CM_OPT_LIST, G(remove), "rm-users", 'r',
     .help = "Remove users from the group: names, e-mail addresses or ids."},
};

static enum cm_code find_group(struct cli *cli, const struct api_organization **ret_org,
                               struct api_group **ret, struct cm_err *err)
{
    if (cli_session(cli, err) != CM_OK || find_org(cli, ret_org, err) != CM_OK)
        return err->code;
    enum cm_code code = cm_sdk_get(
        cli->sdk, cli->arena, &api_group_msg, ret, err, "/api/v2/organizations/%s/groups/%s",
        cm_uuid_text((*ret_org)->id).s, cm_sdk_part(cli->arena, cm_str(cli_arg(cli, 0))));
    if (code == CM_NOT_FOUND)
        cli->hint = "'coder groups list' shows the groups.";
    return code == CM_OK ? CM_OK : cm_err_wrap(err, "get group \"%s\"", cli_arg(cli, 0));
}

static enum cm_code run_list(struct cli *cli, struct cm_err *err)
{
    const struct api_organization *org = NULL;
    struct api_group *all = NULL;
    struct cm_str body;
    size_t n = 0;

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err,
                   "/api/v2/organizations/%s/groups", cm_uuid_text(org->id).s) != CM_OK)
        return cm_err_wrap(err, "get groups");
    if (ui_wants_json(cli))
        return json_rows(cli, body, "Group", NULL, NULL, err);
    if (cm_json_decode_answer_list(&api_group_msg, cli->arena, body, (void **)&all, &n, err) !=
        CM_OK)
        return err->code;
    struct ui_table *t = ui_table_new(cli->arena, cli->command->columns);
    for (size_t i = 0; i < n; i++) {
        CM_AUTOBUF struct cm_buf members = CM_BUF_INIT((size_t)1 << 20);
        for (size_t k = 0; k < all[i].n_members; k++)
            cm_buf_printf(&members, "%s%.*s", k ? "," : "", CM_STR_ARG(all[i].members[k].email));
        ui_table_row(t);
        ui_table_cell(t, all[i].name);
        ui_table_cell(t, all[i].display_name);
        ui_table_cell(t, cm_str(cm_uuid_text(all[i].organization_id).s));
        ui_table_cell(t, cm_buf_view(&members));
        ui_table_cell(t, all[i].avatar_url);
    }
    ui_table_print(t, &cli->output.columns);
    return CM_OK;
}

static enum cm_code run_create(struct cli *cli, struct cm_err *err)
{
    const struct group_opts *o = cli->opts;
    const struct api_organization *org = NULL;
    struct api_group *made = NULL;
    struct api_create_group_request req = {.name = cm_str(cli_arg(cli, 0)),
                                           .display_name = cm_str(o->display_name),
                                           .avatar_url = cm_str(o->avatar_url)};

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_create_group_request_msg, &req,
                    &api_group_msg, &made, err, "/api/v2/organizations/%s/groups",
                    cm_uuid_text(org->id).s) != CM_OK)
        return cm_err_wrap(err, "create group");
    printf("Successfully created group %.*s!\n", CM_STR_ARG(made->name));
    return CM_OK;
}

/* The API knows users by their ids, people by their names. */
static enum cm_code user_ids(struct cli *cli, const struct api_organization *org,
                             const struct cm_conf_list *who, struct cm_str **ret, size_t *ret_n,
                             struct cm_err *err)
{
    struct api_organization_member_with_user_data *all = NULL;
    size_t n = 0;

    if (who->n && members_fetch(cli, org, &all, &n, err) != CM_OK)
        return err->code;
    *ret = CM_NEW_ARRAY(cli->arena, struct cm_str, who->n + 1);
    for (size_t i = 0; i < who->n; i++) {
        const struct api_organization_member_with_user_data *m = NULL;
        if (members_find(all, n, who->v[i], &m, err) != CM_OK)
            return err->code;
        (*ret)[(*ret_n)++] = cm_arena_fmt(cli->arena, "%s", cm_uuid_text(m->user_id).s);
    }
    return CM_OK;
}

static enum cm_code run_edit(struct cli *cli, struct cm_err *err)
{
    const struct group_opts *o = cli->opts;
    const struct api_organization *org = NULL;
    struct api_group *g = NULL;
    struct api_patch_group_request req = {.name = cm_str(o->name),
                                          .display_name = cm_str(o->display_name),
                                          .avatar_url = cm_str(o->avatar_url)};

    if (cm_conf_given(cli->conf, "display-name"))
        cm_set_has(req.has, API_PATCH_GROUP_REQUEST_HAS_DISPLAY_NAME);
    if (cm_conf_given(cli->conf, "avatar-url"))
        cm_set_has(req.has, API_PATCH_GROUP_REQUEST_HAS_AVATAR_URL);
    if (find_group(cli, &org, &g, err) != CM_OK ||
        user_ids(cli, org, &o->add, &req.add_users, &req.n_add_users, err) != CM_OK ||
        user_ids(cli, org, &o->remove, &req.remove_users, &req.n_remove_users, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "PATCH", &api_patch_group_request_msg, &req,
                    &api_group_msg, &g, err, "/api/v2/groups/%s", cm_uuid_text(g->id).s) != CM_OK)
        return cm_err_wrap(err, "patch group");
    printf("Successfully patched group %.*s!\n", CM_STR_ARG(g->name));
    return CM_OK;
}

static enum cm_code run_delete(struct cli *cli, struct cm_err *err)
{
    const struct api_organization *org = NULL;
    struct api_group *g = NULL;

    if (find_group(cli, &org, &g, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "DELETE", NULL, NULL, NULL, NULL, err,
                    "/api/v2/groups/%s", cm_uuid_text(g->id).s) != CM_OK)
        return cm_err_wrap(err, "delete group");
    printf("Successfully deleted group %.*s!\n", CM_STR_ARG(g->name));
    return CM_OK;
}

static const struct command list = {
    .name = "list",
    .aliases = "ls",
    .brief = "List user groups",
    .uses = USES_OUTPUT | USES_ORG,
    .outputs = "table|json",
    .columns = "name|display name|organization id|members|avatar url",
    .default_columns = "name,display name,organization id,members,avatar url",
    .run = run_list,
};

static const struct command create = {
    .name = "create",
    .args = "<name>",
    .brief = "Create a user group",
    .opts = create_rows,
    .n_opts = CM_COUNT_OF(create_rows),
    .opts_size = sizeof(struct group_opts),
    .uses = USES_ORG,
    .min_args = 1,
    .max_args = 1,
    .run = run_create,
};

static const struct command edit = {
    .name = "edit",
    .args = "<name>",
    .brief = "Edit a user group",
    .opts = edit_rows,
    .n_opts = CM_COUNT_OF(edit_rows),
    .opts_size = sizeof(struct group_opts),
    .uses = USES_ORG,
    .min_args = 1,
    .max_args = 1,
    .run = run_edit,
};

static const struct command delete = {
    .name = "delete",
    .aliases = "rm",
    .args = "<name>",
    .brief = "Delete a user group",
    .uses = USES_ORG,
    .min_args = 1,
    .max_args = 1,
    .run = run_delete,
};

static const struct command *const subs[] = {&create, &edit, &list, &delete, NULL};

const struct command command_groups = {
    .name = "groups",
    .aliases = "group",
    .brief = "Manage groups",
    .sub = subs,
};
