/* features list: what the deployment can do. */
#include "api/deployment.h"

#include "cmd/cmd.h"

static enum cm_code run_list(struct cli *cli, struct cm_err *err)
{
    struct api_entitlements *e = NULL;
    struct cm_str body;

    if (cli_session(cli, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err, "/api/v2/entitlements") !=
        CM_OK)
        return cm_err_wrap(err, "list features");
    if (ui_wants_json(cli)) {
        ui_json_print(body);
        return CM_OK;
    }
    if (cm_json_decode_answer(&api_entitlements_msg, cli->arena, body, (void **)&e, err) != CM_OK)
        return err->code;
    struct ui_table *t = ui_table_new(cli->arena, cli->command->columns);
    for (size_t i = 0; i < e->n_features; i++) {
        const struct api_feature *f = e->features[i].value;
        if (!f)
            continue;
        ui_table_row(t);
        ui_table_cell(t, e->features[i].key);
        ui_table_cell(t, cm_str(api_entitlement_enum.texts[f->entitlement]));
        ui_table_cell(t, f->enabled ? CM_STR("true") : CM_STR("false"));
        ui_table_cell(t, cm_has(f->has, API_FEATURE_HAS_LIMIT)
                             ? cm_arena_fmt(cli->arena, "%lld", (long long)f->limit)
                             : CM_STR(""));
        ui_table_cell(t, cm_has(f->has, API_FEATURE_HAS_ACTUAL)
                             ? cm_arena_fmt(cli->arena, "%lld", (long long)f->actual)
                             : CM_STR(""));
    }
    ui_table_print(t, &cli->output.columns);
    return CM_OK;
}

static const struct command list = {
    .name = "list",
    .aliases = "ls",
    .brief = "List the features of the deployment",
    .uses = USES_OUTPUT,
    .outputs = "table|json",
    .columns = "name|entitlement|enabled|limit|actual",
    .default_columns = "name,entitlement,enabled,limit,actual",
    .run = run_list,
};

static const struct command *const subs[] = {&list, NULL};

const struct command command_features = {
    .name = "features",
    .aliases = "feature",
    .brief = "List what the deployment can do",
    .sub = subs,
};
