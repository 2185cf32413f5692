#include "base/version.h"
#include "cmd/cmd.h"

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    struct api_user *me = NULL;
    CM_AUTOBUF struct cm_buf orgs = CM_BUF_INIT(65536), roles = CM_BUF_INIT(65536),
                             json = CM_BUF_INIT(262144);

    if (cli_session(cli, err) != CM_OK)
        return err->code;
    if (cm_sdk_get(cli->sdk, cli->arena, &api_user_msg, &me, err, "/api/v2/users/me") != CM_OK)
        return err->code;
    for (size_t i = 0; i < me->n_organization_ids; i++)
        cm_buf_printf(&orgs, "%s%s", i ? "," : "", cm_uuid_text(me->organization_ids[i]).s);
    for (size_t i = 0; i < me->n_roles; i++)
        cm_buf_printf(&roles, "%s*:%.*s", i ? "," : "", CM_STR_ARG(me->roles[i].display_name));
    if (strcmp(cli->output.format, "text") == 0) {
        printf("Coder is running at %s, You're authenticated as %.*s !\n", cm_sdk_url(cli->sdk),
               CM_STR_ARG(me->username));
        return CM_OK;
    }
    if (!ui_wants_json(cli)) {
        struct ui_table *t = ui_table_new(cli->arena, cli->command->columns);
        ui_table_row(t);
        ui_table_cell(t, cm_str(cm_sdk_url(cli->sdk)));
        ui_table_cell(t, me->username);
        ui_table_cell(t, cm_str(cm_uuid_text(me->id).s));
        ui_table_cell(t, cm_buf_view(&orgs));
        ui_table_cell(t, cm_buf_view(&roles));
        ui_table_print(t, &cli->output.columns);
        return CM_OK;
    }
    cm_buf_cstr(&json, "[{\"url\":");
    cm_json_write_str(&json, cm_str(cm_sdk_url(cli->sdk)));
    cm_buf_cstr(&json, ",\"username\":");
    cm_json_write_str(&json, me->username);
    cm_buf_printf(&json, ",\"user_id\":\"%s\",\"organization_ids\":[", cm_uuid_text(me->id).s);
    for (size_t i = 0; i < me->n_organization_ids; i++)
        cm_buf_printf(&json, "%s\"%s\"", i ? "," : "", cm_uuid_text(me->organization_ids[i]).s);
    cm_buf_cstr(&json, "],\"roles\":{");
    for (size_t i = 0; i < me->n_roles; i++) {
        cm_buf_cstr(&json, i ? "," : "\"*\":[");
        cm_json_write_str(&json, me->roles[i].display_name);
    }
    cm_buf_cstr(&json, me->n_roles ? "]}}]" : "}}]");
    ui_json_print(cm_buf_view(&json));
    return CM_OK;
}

const struct command command_whoami = {
    .name = "whoami",
    .brief = "Fetch authenticated user info for Coder deployment",
    .uses = USES_OUTPUT,
    .outputs = "text|json|table",
    .columns = "URL|Username|ID|Orgs|Roles",
    .default_columns = "url,username,id",
    .run = run,
};

static enum cm_code run_version(struct cli *cli, struct cm_err *err)
{
    (void)err;
    if (ui_wants_json(cli))
        ui_json_print(
            CM_STR("{\"version\":\"" CM_VERSION "\",\"build_time\":\"0001-01-01T00:00:00Z\","
                   "\"external_url\":\"\",\"slim\":false,\"agpl\":false,\"boring_crypto\":false}"));
    else
        printf("Coder %s\n\nFull build of Coder, supports the server subcommand.\n", CM_VERSION);
    return CM_OK;
}

const struct command command_version = {
    .name = "version",
    .brief = "Show coder version",
    .uses = USES_OUTPUT,
    .outputs = "text|json",
    .run = run_version,
};

static enum cm_code run_reference(struct cli *cli, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf page = CM_BUF_INIT((size_t)16 << 20);
    (void)cli;
    command_reference_page(&page);
    fwrite(page.ptr, 1, page.len, stdout);
    return cm_buf_check(&page, "the reference", err);
}

/* The page that docs/ keeps. */
const struct command command_reference = {
    .name = "reference",
    .brief = "Print the reference of all commands in Markdown",
    .hidden = true,
    .run = run_reference,
};
