#include "cmd/members.h"

#define COLUMNS                                                                                    \
    "id|name|display name|icon|description|created at|updated at|default|default org member roles"

static void add_row(struct cli *cli, struct ui_table *t, const struct api_organization *o)
{
    CM_AUTOBUF struct cm_buf roles = CM_BUF_INIT(65536);

    for (size_t i = 0; i < o->n_default_org_member_roles; i++)
        cm_buf_printf(&roles, "%s%.*s", i ? "," : "", CM_STR_ARG(o->default_org_member_roles[i]));
    ui_table_row(t);
    ui_table_cell(t, cm_str(cm_uuid_text(o->id).s));
    ui_table_cell(t, o->name);
    ui_table_cell(t, o->display_name);
    ui_table_cell(t, o->icon);
    ui_table_cell(t, o->description);
    ui_table_cell(t, cm_str(ui_time(cli->arena, o->created_at)));
    ui_table_cell(t, cm_str(ui_time(cli->arena, o->updated_at)));
    ui_table_cell(t, o->is_default ? CM_STR("true") : CM_STR("false"));
    ui_table_cell(t, cm_buf_view(&roles));
}

static enum cm_code print_list(struct cli *cli, struct cm_str body, struct cm_err *err)
{
    struct api_organization *all = NULL;
    size_t n = 0;

    if (ui_wants_json(cli)) {
        if (json_member(cli, body, NULL, &body, err) != CM_OK)
            return err->code;
        ui_json_print(body);
        return CM_OK;
    }
    if (cm_json_decode_answer_list(&api_organization_msg, cli->arena, body, (void **)&all, &n,
                                   err) != CM_OK)
        return err->code;
    struct ui_table *t = ui_table_new(cli->arena, COLUMNS);
    for (size_t i = 0; i < n; i++)
        add_row(cli, t, &all[i]);
    ui_table_print(t, &cli->output.columns);
    return CM_OK;
}

static enum cm_code run_list(struct cli *cli, struct cm_err *err)
{
    struct cm_str body;

    if (cli_session(cli, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err, "/api/v2/organizations") !=
        CM_OK)
        return cm_err_wrap(err, "list organizations");
    return print_list(cli, body, err);
}

struct show_opts {
    bool only_id;
};

static const struct cm_opt show_opts[] = {
    {CM_OPT_BOOL, offsetof(struct show_opts, only_id), "only-id",
     .help = "Only print the organization ID."},
};

static enum cm_code run_show(struct cli *cli, struct cm_err *err)
{
    const struct show_opts *o = cli->opts;
    const char *what = cli_arg(cli, 0) ? cli_arg(cli, 0) : "selected";
    const struct api_organization *selected = NULL;
    struct api_organization *one = NULL;
    struct cm_str body;
    bool mine = strcmp(what, "me") == 0;

    if (cli_session(cli, err) != CM_OK)
        return err->code;
    if (strcmp(what, "selected") == 0) {
        if (find_org(cli, &selected, err) != CM_OK)
            return err->code;
        what = cm_arena_cstr(cli->arena, cm_str(cm_uuid_text(selected->id).s));
    }
    const char *path = mine ? "/api/v2/users/me/organizations"
                            : cm_arena_printf(cli->arena, "/api/v2/organizations/%s",
                                              cm_sdk_part(cli->arena, cm_str(what)));
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err, "%s", path) != CM_OK)
        return err->code;
    if (!mine) {
        if (cm_json_decode_answer(&api_organization_msg, cli->arena, body, (void **)&one, err) !=
            CM_OK)
            return err->code;
        if (o->only_id) {
            printf("%s\n", cm_uuid_text(one->id).s);
            return CM_OK;
        }
        if (strcmp(cli->output.format, "text") == 0) {
            printf("%s %.*s (%s)\n", selected ? "Current CLI Organization:" : "Organization",
                   CM_STR_ARG(one->name), cm_uuid_text(one->id).s);
            return CM_OK;
        }
        body = cm_arena_fmt(cli->arena, "[%.*s]", CM_STR_ARG(body));
    }
    return print_list(cli, body, err);
}

static const struct command list = {
    .name = "list",
    .aliases = "ls",
    .brief = "List all organizations",
    .uses = USES_OUTPUT,
    .outputs = "table|json",
    .columns = COLUMNS,
    .default_columns = "name,display name,id,default",
    .run = run_list,
};

static const struct command show = {
    .name = "show",
    .args = "[\"selected\"|\"me\"|uuid|name]",
    .brief =
        "Show the organization. Using \"selected\" will show the selected organization from the "
        "\"--org\" flag. Using \"me\" will show all organizations you are a member of.",
    .opts = show_opts,
    .n_opts = CM_COUNT_OF(show_opts),
    .opts_size = sizeof(struct show_opts),
    .uses = USES_OUTPUT | USES_ORG,
    .outputs = "text|table|json",
    .columns = COLUMNS,
    .default_columns = "id,name,default",
    .max_args = 1,
    .run = run_show,
};

static enum cm_code run_create(struct cli *cli, struct cm_err *err)
{
    struct api_create_organization_request req = {.name = cm_str(cli_arg(cli, 0))};
    struct api_organization *made = NULL;

    if (cli_session(cli, err) != CM_OK ||
        ui_confirm(cli,
                   cm_arena_printf(cli->arena, "Create an organization with the name \"%s\"?",
                                   cli_arg(cli, 0)),
                   false, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_create_organization_request_msg, &req,
                    &api_organization_msg, &made, err, "/api/v2/organizations") != CM_OK)
        return cm_err_wrap(err, "create organization");
    printf("Organization %.*s (%s) created.\n", CM_STR_ARG(made->name), cm_uuid_text(made->id).s);
    return CM_OK;
}

static enum cm_code run_delete(struct cli *cli, struct cm_err *err)
{
    struct api_organization *one = NULL;

    if (cli_session(cli, err) != CM_OK ||
        cm_sdk_get(cli->sdk, cli->arena, &api_organization_msg, &one, err,
                   "/api/v2/organizations/%s",
                   cm_sdk_part(cli->arena, cm_str(cli_arg(cli, 0)))) != CM_OK)
        return cm_err_wrap(err, "get organization \"%s\"", cli_arg(cli, 0));
    if (ui_confirm(cli,
                   cm_arena_printf(cli->arena, "Delete organization %.*s?", CM_STR_ARG(one->name)),
                   false, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "DELETE", NULL, NULL, NULL, NULL, err,
                    "/api/v2/organizations/%s", cm_uuid_text(one->id).s) != CM_OK)
        return cm_err_wrap(err, "delete organization");
    printf("Organization %.*s (%s) deleted.\n", CM_STR_ARG(one->name), cm_uuid_text(one->id).s);
    return CM_OK;
}

static const struct command create = {
    .name = "create",
    .args = "<organization name>",
    .brief = "Create a new organization.",
    .uses = USES_YES,
    .min_args = 1,
    .max_args = 1,
    .run = run_create,
};

static const struct command delete = {
    .name = "delete",
    .aliases = "rm",
    .args = "<organization name or id>",
    .brief = "Delete an organization",
    .uses = USES_YES,
    .min_args = 1,
    .max_args = 1,
    .run = run_delete,
};

static const struct command *const subs[] = {&create, &delete, &list, &organizations_members,
                                             &show,   NULL};

const struct command command_organizations = {
    .name = "organizations",
    .aliases = "organization,org,orgs",
    .brief = "Organization related commands",
    .sub = subs,
};
