#include "cmd/members.h"

enum cm_code members_fetch(struct cli *cli, const struct api_organization *org,
                           struct api_organization_member_with_user_data **ret, size_t *ret_n,
                           struct cm_err *err)
{
    if (cm_sdk_get_list(cli->sdk, cli->arena, &api_organization_member_with_user_data_msg, ret,
                        ret_n, err, "/api/v2/organizations/%s/members",
                        cm_uuid_text(org->id).s) != CM_OK)
        return cm_err_wrap(err, "fetch members");
    return CM_OK;
}

enum cm_code members_find(const struct api_organization_member_with_user_data *all, size_t n,
                          const char *who,
                          const struct api_organization_member_with_user_data **ret,
                          struct cm_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (cm_str_eq_c(all[i].username, who) || cm_str_eq_nocase(all[i].email, cm_str(who)) ||
            strcmp(cm_uuid_text(all[i].user_id).s, who) == 0) {
            *ret = &all[i];
            return CM_OK;
        }
    }
    return cm_err_set(err, CM_NOT_FOUND,
                      "user \"%s\" is not a member of the organization; 'coder organizations "
                      "members list' shows who is",
                      who);
}

static enum cm_code run_list(struct cli *cli, struct cm_err *err)
{
    struct api_organization_member_with_user_data *all = NULL;
    const struct api_organization *org = NULL;
    struct cm_str body;
    size_t n = 0;

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err,
                   "/api/v2/organizations/%s/members", cm_uuid_text(org->id).s) != CM_OK)
        return cm_err_wrap(err, "fetch members");
    if (ui_wants_json(cli)) {
        if (json_member(cli, body, NULL, &body, err) != CM_OK)
            return err->code;
        ui_json_print(body);
        return CM_OK;
    }
    if (cm_json_decode_answer_list(&api_organization_member_with_user_data_msg, cli->arena, body,
                                   (void **)&all, &n, err) != CM_OK)
        return err->code;
    struct ui_table *t = ui_table_new(cli->arena, cli->command->columns);
    for (size_t i = 0; i < n; i++) {
        CM_AUTOBUF struct cm_buf roles = CM_BUF_INIT(65536);
        for (size_t k = 0; k < all[i].n_roles; k++)
            cm_buf_printf(&roles, "%s%.*s", k ? "," : "", CM_STR_ARG(all[i].roles[k].name));
        ui_table_row(t);
        ui_table_cell(t, all[i].username);
        ui_table_cell(t, all[i].name);
        ui_table_cell(t, cm_str(ui_time(cli->arena, all[i].last_seen_at)));
        ui_table_cell(t, cm_str(ui_time(cli->arena, all[i].user_created_at)));
        ui_table_cell(t, cm_str(ui_time(cli->arena, all[i].user_updated_at)));
        ui_table_cell(t, cm_str(cm_uuid_text(all[i].user_id).s));
        ui_table_cell(t, cm_str(cm_uuid_text(all[i].organization_id).s));
        ui_table_cell(t, cm_str(ui_time(cli->arena, all[i].created_at)));
        ui_table_cell(t, cm_str(ui_time(cli->arena, all[i].updated_at)));
        ui_table_cell(t, cm_buf_view(&roles));
    }
    ui_table_print(t, &cli->output.columns);
    return CM_OK;
}

static enum cm_code change(struct cli *cli, const char *method, const char *verb, const char *past,
                           struct cm_err *err)
{
    const struct api_organization *org = NULL;
    const char *who = cli_arg(cli, 0);

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, method, NULL, NULL, NULL, NULL, err,
                    "/api/v2/organizations/%s/members/%s", cm_uuid_text(org->id).s,
                    cm_sdk_part(cli->arena, cm_str(who))) != CM_OK)
        return cm_err_wrap(err, "%s member \"%s\"", verb, who);
    printf("%s is %s the organization %.*s.\n", who, past, CM_STR_ARG(org->name));
    return CM_OK;
}

static enum cm_code run_add(struct cli *cli, struct cm_err *err)
{
    return change(cli, "POST", "add", "now a member of", err);
}

static enum cm_code run_remove(struct cli *cli, struct cm_err *err)
{
    return change(cli, "DELETE", "remove", "no longer a member of", err);
}

static enum cm_code run_edit_roles(struct cli *cli, struct cm_err *err)
{
    struct api_update_roles req = {.roles =
                                       CM_NEW_ARRAY(cli->arena, struct cm_str, cli->n_args + 1)};
    const struct api_organization *org = NULL;

    for (size_t i = 1; i < cli->n_args; i++)
        if (*cli->args[i])
            req.roles[req.n_roles++] = cm_str(cli->args[i]);
    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "PUT", &api_update_roles_msg, &req, NULL, NULL, err,
                    "/api/v2/organizations/%s/members/%s/roles", cm_uuid_text(org->id).s,
                    cm_sdk_part(cli->arena, cm_str(cli_arg(cli, 0)))) != CM_OK)
        return cm_err_wrap(err, "update member roles");
    printf("Updated the roles of %s.\n", cli_arg(cli, 0));
    return CM_OK;
}

static const struct command list = {
    .name = "list",
    .aliases = "ls",
    .brief = "List all organization members",
    .uses = USES_OUTPUT | USES_ORG,
    .outputs = "table|json",
    .columns = "username|name|last seen at|user created at|user updated at|user id|organization "
               "id|created at|updated at|organization roles",
    .default_columns = "username,organization roles",
    .run = run_list,
};

static const struct command add = {
    .name = "add",
    .args = "<username|user_id>",
    .brief = "Add a new member to the current organization",
    .uses = USES_ORG,
    .min_args = 1,
    .max_args = 1,
    .run = run_add,
};

static const struct command remove_ = {
    .name = "remove",
    .aliases = "rm",
    .args = "<username|user_id>",
    .brief = "Remove a member from the current organization",
    .uses = USES_ORG,
    .min_args = 1,
    .max_args = 1,
    .run = run_remove,
};

static const struct command edit_roles = {
    .name = "edit-roles",
    .aliases = "edit-role",
    .args = "<username|user_id> [roles...]",
    .brief = "Replace the organization roles of a member; none takes them all away",
    .uses = USES_ORG,
    .min_args = 1,
    .max_args = -1,
    .run = run_edit_roles,
};

static const struct command *const subs[] = {&list, &add, &remove_, &edit_roles, NULL};

const struct command organizations_members = {
    .name = "members",
    .aliases = "member",
    .brief = "Manage organization members",
    .sub = subs,
};
