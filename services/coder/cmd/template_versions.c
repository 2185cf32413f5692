/* templates versions, archive and presets: which versions there are and which one is taken. */
#include "cmd/templates.h"

struct promote_opts {
    const char *tmpl, *version;
};

static const struct cm_opt promote_opts[] = {
    {CM_OPT_STR, offsetof(struct promote_opts, tmpl), "template", 't', "CODER_TEMPLATE_NAME",
     .help = "Specify the template name."},
    {CM_OPT_STR, offsetof(struct promote_opts, version), "template-version",
     .env = "CODER_TEMPLATE_VERSION_NAME", .help = "Specify the template version name to promote."},
};

static enum cm_code find_version(struct cli *cli, const struct api_template *t, const char *name,
                                 struct api_template_version **ret, struct cm_err *err)
{
    enum cm_code code = cm_sdk_get(cli->sdk, cli->arena, &api_template_version_msg, ret, err,
                                   "/api/v2/templates/%s/versions/%s", cm_uuid_text(t->id).s,
                                   cm_sdk_part(cli->arena, cm_str(name)));
    if (code == CM_NOT_FOUND)
        cli->hint =
            cm_arena_printf(cli->arena, "'coder templates versions list %.*s' shows the versions.",
                            CM_STR_ARG(t->name));
    return code == CM_OK ? CM_OK : cm_err_wrap(err, "get template version by name \"%s\"", name);
}

static enum cm_code run_promote(struct cli *cli, struct cm_err *err)
{
    const struct promote_opts *o = cli->opts;
    const struct api_organization *org = NULL;
    struct api_template *t = NULL;
    struct api_template_version *v = NULL;

    if (!*o->tmpl || !*o->version)
        return cm_err_set(err, CM_INVALID,
                          "name the template by --template and its version by --template-version");
    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK ||
        find_template(cli, org, o->tmpl, &t, err) != CM_OK ||
        find_version(cli, t, o->version, &v, err) != CM_OK)
        return err->code;
    struct api_update_active_template_version req = {.id = v->id};
    if (cm_sdk_send(cli->sdk, cli->arena, "PATCH", &api_update_active_template_version_msg, &req,
                    NULL, NULL, err, "/api/v2/templates/%s/versions",
                    cm_uuid_text(t->id).s) != CM_OK)
        return cm_err_wrap(err, "update active template version");
    printf("Successfully promoted version \"%.*s\" to active\n", CM_STR_ARG(v->name));
    return CM_OK;
}

const struct command templates_versions_promote = {
    .name = "promote",
    .brief = "Promote a template version to active.",
    .about = "  $ coder templates versions promote --template my-template --template-version "
             "brave_fox1",
    .opts = promote_opts,
    .n_opts = CM_COUNT_OF(promote_opts),
    .opts_size = sizeof(struct promote_opts),
    .uses = USES_ORG,
    .run = run_promote,
};

/* Of the named versions, by the name of what is done to them. */
static enum cm_code mark_versions(struct cli *cli, const char *verb, struct cm_err *err)
{
    const struct api_organization *org = NULL;
    struct api_template *t = NULL;
    struct api_template_version **found =
        CM_NEW_ARRAY(cli->arena, struct api_template_version *, cli->n_args);

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK ||
        find_template(cli, org, cli_arg(cli, 0), &t, err) != CM_OK)
        return err->code;
    for (size_t i = 1; i < cli->n_args; i++)
        if (find_version(cli, t, cli->args[i], &found[i], err) != CM_OK)
            return err->code;
    if (ui_confirm(cli,
                   cm_arena_printf(cli->arena, "Do you want to %s %zu version%s of %.*s?", verb,
                                   cli->n_args - 1, cli->n_args == 2 ? "" : "s",
                                   CM_STR_ARG(t->name)),
                   false, err) != CM_OK)
        return err->code;
    for (size_t i = 1; i < cli->n_args; i++) {
        if (cm_sdk_send(cli->sdk, cli->arena, "POST", NULL, NULL, NULL, NULL, err,
                        "/api/v2/templateversions/%s/%s", cm_uuid_text(found[i]->id).s,
                        verb) != CM_OK)
            return cm_err_wrap(err, "%s version \"%.*s\"", verb, CM_STR_ARG(found[i]->name));
        printf("Version %.*s %sd at %s!\n", CM_STR_ARG(found[i]->name), verb, ui_now(cli->arena));
    }
    return CM_OK;
}

static enum cm_code run_archive(struct cli *cli, struct cm_err *err)
{
    return mark_versions(cli, "archive", err);
}

static enum cm_code run_unarchive(struct cli *cli, struct cm_err *err)
{
    return mark_versions(cli, "unarchive", err);
}

const struct command templates_versions_archive = {
    .name = "archive",
    .args = "<template> <version...>",
    .brief = "Archive a template version(s).",
    .uses = USES_YES | USES_ORG,
    .min_args = 2,
    .max_args = -1,
    .run = run_archive,
};

const struct command templates_versions_unarchive = {
    .name = "unarchive",
    .args = "<template> <version...>",
    .brief = "Unarchive a template version(s).",
    .uses = USES_YES | USES_ORG,
    .min_args = 2,
    .max_args = -1,
    .run = run_unarchive,
};

struct archive_opts {
    bool all;
};

static const struct cm_opt archive_opts[] = {
    {CM_OPT_BOOL, offsetof(struct archive_opts, all), "all",
     .help = "Include all unused template versions. By default, only failed template versions are "
             "archived."},
};

static enum cm_code run_archive_unused(struct cli *cli, struct cm_err *err)
{
    const struct archive_opts *o = cli->opts;
    struct api_archive_template_versions_request req = {.all = o->all};
    const struct api_organization *org = NULL;
    struct api_template *t = NULL;

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK ||
        ui_confirm(cli,
                   o->all ? "Archive all unused versions of these templates?"
                          : "Archive all unused failed versions of these templates?",
                   false, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < cli->n_args; i++) {
        struct api_archive_template_versions_response *done = NULL;
        if (find_template(cli, org, cli->args[i], &t, err) != CM_OK)
            return err->code;
        if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_archive_template_versions_request_msg,
                        &req, &api_archive_template_versions_response_msg, &done, err,
                        "/api/v2/templates/%s/versions/archive", cm_uuid_text(t->id).s) != CM_OK)
            return cm_err_wrap(err, "archive versions of \"%s\"", cli->args[i]);
        printf("Archived %zu versions from %s at %s!\n", done->n_archived_ids, cli->args[i],
               ui_now(cli->arena));
    }
    return CM_OK;
}

const struct command templates_archive = {
    .name = "archive",
    .args = "<template...>",
    .brief = "Archive unused or failed template versions from a given template(s)",
    .opts = archive_opts,
    .n_opts = CM_COUNT_OF(archive_opts),
    .opts_size = sizeof(struct archive_opts),
    .uses = USES_YES | USES_ORG,
    .min_args = 1,
    .max_args = -1,
    .run = run_archive_unused,
};

struct presets_opts {
    const char *version;
};

static const struct cm_opt presets_opts[] = {
    {CM_OPT_STR, offsetof(struct presets_opts, version), "template-version",
     .help = "Specify a template version to list presets for. Defaults to the active version."},
};

static enum cm_code run_presets(struct cli *cli, struct cm_err *err)
{
    const struct presets_opts *o = cli->opts;
    const struct api_organization *org = NULL;
    struct api_template *t = NULL;
    struct api_template_version *v = NULL;
    struct api_preset *all = NULL;
    struct cm_str body;
    size_t n = 0;

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK ||
        find_template(cli, org, cli_arg(cli, 0), &t, err) != CM_OK)
        return err->code;
    if (*o->version ? find_version(cli, t, o->version, &v, err) != CM_OK
                    : cm_sdk_get(cli->sdk, cli->arena, &api_template_version_msg, &v, err,
                                 "/api/v2/templateversions/%s",
                                 cm_uuid_text(t->active_version_id).s) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err,
                   "/api/v2/templateversions/%s/presets", cm_uuid_text(v->id).s) != CM_OK)
        return cm_err_wrap(err, "get template versions presets by template version");
    if (cm_json_decode_answer_list(&api_preset_msg, cli->arena, body, (void **)&all, &n, err) !=
        CM_OK)
        return err->code;
    if (ui_wants_json(cli))
        return json_rows(cli, body, "TemplatePreset", NULL, NULL, err);
    if (!n) {
        printf("No presets found for template \"%.*s\" and template-version \"%.*s\".\n",
               CM_STR_ARG(t->name), CM_STR_ARG(v->name));
        return CM_OK;
    }
    printf("Showing presets for template \"%.*s\" and template version \"%.*s\".\n",
           CM_STR_ARG(t->name), CM_STR_ARG(v->name));
    struct ui_table *table = ui_table_new(cli->arena, cli->command->columns);
    for (size_t i = 0; i < n; i++) {
        CM_AUTOBUF struct cm_buf values = CM_BUF_INIT(65536);
        for (size_t k = 0; k < all[i].n_parameters; k++)
            cm_buf_printf(&values, "%s%.*s=%.*s", k ? "," : "",
                          CM_STR_ARG(all[i].parameters[k].name),
                          CM_STR_ARG(all[i].parameters[k].value));
        ui_table_row(table);
        ui_table_cell(table, all[i].name);
        ui_table_cell(table, all[i].description);
        ui_table_cell(table, cm_buf_view(&values));
        ui_table_cell(table, all[i].default_ ? CM_STR("true") : CM_STR("false"));
        if (cm_has(all[i].has, API_PRESET_HAS_DESIRED_PREBUILD_INSTANCES))
            ui_table_cellf(table, "%lld", (long long)all[i].desired_prebuild_instances);
        else
            ui_table_cell(table, CM_STR("-"));
    }
    ui_table_print(table, &cli->output.columns);
    return CM_OK;
}

static const struct command presets_list = {
    .name = "list",
    .aliases = "ls",
    .args = "<template>",
    .brief = "List all presets of the specified template. Defaults to the active template version.",
    .opts = presets_opts,
    .n_opts = CM_COUNT_OF(presets_opts),
    .opts_size = sizeof(struct presets_opts),
    .uses = USES_OUTPUT | USES_ORG,
    .outputs = "table|json",
    .columns = "name|description|parameters|default|desired prebuild instances",
    .default_columns = "name,description,parameters,default,desired prebuild instances",
    .min_args = 1,
    .max_args = 1,
    .run = run_presets,
};
static const struct command *const presets_subs[] = {&presets_list, NULL};

const struct command templates_presets = {
    .name = "presets",
    .aliases = "preset",
    .brief = "Manage presets of the specified template",
    .sub = presets_subs,
};
