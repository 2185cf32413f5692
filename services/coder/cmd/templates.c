#include "cmd/templates.h"

static const char *duration_text(struct cm_arena *a, int64_t ms)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(64);
    cm_duration_format(&text, ms * CM_MSEC);
    return cm_arena_cstr(a, cm_buf_view(&text));
}

static enum cm_code run_list(struct cli *cli, struct cm_err *err)
{
    struct cm_str body;
    struct api_template *all = NULL;
    size_t n = 0;

    if (cli_session(cli, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err, "/api/v2/templates") !=
        CM_OK)
        return err->code;
    if (ui_wants_json(cli))
        return json_rows(cli, body, "Template", NULL, NULL, err);
    if (cm_json_decode_answer_list(&api_template_msg, cli->arena, body, (void **)&all, &n, err) !=
        CM_OK)
        return err->code;
    if (!n) {
        fprintf(stderr,
                "No templates found! Create one:\n\n  coder templates push <directory>\n\n");
        return CM_OK;
    }
    struct ui_table *t = ui_table_new(cli->arena, cli->command->columns);
    for (size_t i = 0; i < n; i++) {
        const struct api_template *x = &all[i];
        ui_table_row(t);
        ui_table_cell(t, x->name);
        ui_table_cell(t, cm_str(ui_date(cli->arena, x->created_at)));
        ui_table_cell(t, cm_str(ui_date(cli->arena, x->updated_at)));
        ui_table_cell(t, cm_str(cm_uuid_text(x->organization_id).s));
        ui_table_cell(t, x->organization_name);
        ui_table_cell(t, cm_str(api_provisioner_type_enum.texts[x->provisioner]));
        ui_table_cell(t, cm_str(cm_uuid_text(x->active_version_id).s));
        ui_table_cellf(t, "%lld active developer%s", (long long)CM_MAX(x->active_user_count, 0),
                       x->active_user_count == 1 ? "" : "s");
        ui_table_cell(t, cm_str(duration_text(cli->arena, x->default_ttl_ms)));
    }
    ui_table_print(t, &cli->output.columns);
    return CM_OK;
}

static const struct command list = {
    .name = "list",
    .aliases = "ls",
    .brief = "List all the templates available for the organization",
    .uses = USES_OUTPUT,
    .outputs = "table|json",
    .columns = "name|created at|last updated|organization id|organization name|provisioner|active "
               "version id|used "
               "by|default ttl",
    .default_columns = "name,organization name,last updated,used by",
    .run = run_list,
};

static enum cm_code run_delete(struct cli *cli, struct cm_err *err)
{
    const struct api_organization *org = NULL;
    struct api_template **found = CM_NEW_ARRAY(cli->arena, struct api_template *, cli->n_args + 1);
    CM_AUTOBUF struct cm_buf names = CM_BUF_INIT(65536);
    size_t n = cli->n_args;

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (find_template(cli, org, cli->args[i], &found[i], err) != CM_OK)
            return err->code;
    if (!n) {
        struct api_template *all = NULL;
        size_t count = 0, chosen = 0;
        if (cm_sdk_get_list(cli->sdk, cli->arena, &api_template_msg, &all, &count, err,
                            "/api/v2/organizations/%s/templates", cm_uuid_text(org->id).s) != CM_OK)
            return err->code;
        const char **options = CM_NEW_ARRAY(cli->arena, const char *, count + 1);
        for (size_t i = 0; i < count; i++)
            options[i] = cm_arena_cstr(cli->arena, all[i].name);
        if (ui_select(cli, "Select a template to delete:", options, count, &chosen, err) != CM_OK)
            return err->code;
        found[n++] = &all[chosen];
    }
    for (size_t i = 0; i < n; i++)
        cm_buf_printf(&names, "%s%.*s", i ? ", " : "", CM_STR_ARG(found[i]->name));
    if (ui_confirm(cli,
                   cm_arena_printf(cli->arena, "Delete these templates: %.*s?",
                                   CM_STR_ARG(cm_buf_view(&names))),
                   false, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        if (cm_sdk_send(cli->sdk, cli->arena, "DELETE", NULL, NULL, NULL, NULL, err,
                        "/api/v2/templates/%s", cm_uuid_text(found[i]->id).s) != CM_OK)
            return cm_err_wrap(err, "delete template \"%.*s\"", CM_STR_ARG(found[i]->name));
        printf("Deleted template %.*s at %s!\n", CM_STR_ARG(found[i]->name), ui_now(cli->arena));
    }
    return CM_OK;
}

static const struct command delete = {
    .name = "delete",
    .aliases = "rm",
    .args = "[name...]",
    .brief = "Delete templates",
    .uses = USES_YES | USES_ORG,
    .max_args = -1,
    .run = run_delete,
};

struct versions_opts {
    bool archived;
};

static const struct cm_opt versions_opts[] = {
    {CM_OPT_BOOL, offsetof(struct versions_opts, archived), "include-archived",
     .help = "Include archived versions in the result list."},
};

struct active_mark {
    const struct api_template_version *all;
    size_t n;
    struct cm_uuid active;
};

static const char *active_text(void *ctx, size_t i)
{
    const struct active_mark *m = ctx;
    return i < m->n && cm_uuid_eq(m->all[i].id, m->active) ? ",\"active\":true"
                                                           : ",\"active\":false";
}

static enum cm_code run_versions(struct cli *cli, struct cm_err *err)
{
    const struct versions_opts *o = cli->opts;
    const struct api_organization *org = NULL;
    struct api_template *t = NULL;
    struct api_template_version *all = NULL;
    struct cm_str body;
    size_t n = 0;

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK ||
        find_template(cli, org, cli_arg(cli, 0), &t, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err,
                   "/api/v2/templates/%s/versions%s", cm_uuid_text(t->id).s,
                   o->archived ? "?include_archived=true" : "") != CM_OK)
        return cm_err_wrap(err, "get template versions by template");
    if (cm_json_decode_answer_list(&api_template_version_msg, cli->arena, body, (void **)&all, &n,
                                   err) != CM_OK)
        return err->code;
    struct active_mark mark = {all, n, t->active_version_id};
    if (ui_wants_json(cli))
        return json_rows(cli, body, "TemplateVersion", active_text, &mark, err);
    struct ui_table *table = ui_table_new(cli->arena, cli->command->columns);
    for (size_t i = 0; i < n; i++) {
        ui_table_row(table);
        ui_table_cell(table, cm_str(cm_uuid_text(all[i].id).s));
        ui_table_cell(table, all[i].name);
        ui_table_cell(table, cm_str(ui_time(cli->arena, all[i].created_at)));
        ui_table_cell(table, all[i].created_by ? all[i].created_by->username : CM_STR(""));
        ui_table_cell(
            table,
            cm_str(all[i].job ? ui_title(cli->arena,
                                         api_provisioner_job_status_enum.texts[all[i].job->status])
                              : ""));
        ui_table_cell(table,
                      cm_uuid_eq(all[i].id, t->active_version_id) ? CM_STR("Active") : CM_STR(""));
        ui_table_cell(table, all[i].archived ? CM_STR("Archived") : CM_STR(""));
    }
    ui_table_print(table, &cli->output.columns);
    return CM_OK;
}

static const struct command versions_list = {
    .name = "list",
    .args = "<template>",
    .brief = "List all the versions of the specified template",
    .opts = versions_opts,
    .n_opts = CM_COUNT_OF(versions_opts),
    .opts_size = sizeof(struct versions_opts),
    .uses = USES_OUTPUT | USES_ORG,
    .outputs = "table|json",
    .columns = "id|name|created at|created by|status|active|archived",
    .default_columns = "name,created at,created by,status,active",
    .min_args = 1,
    .max_args = 1,
    .run = run_versions,
};

static const struct command *const versions_subs[] = {&versions_list, &templates_versions_promote,
                                                      &templates_versions_archive,
                                                      &templates_versions_unarchive, NULL};

static const struct command versions = {
    .name = "versions",
    .aliases = "version",
    .brief = "Manage different versions of the specified template",
    .sub = versions_subs,
};

struct edit_opts {
    const char *name, *display_name, *description, *icon, *deprecated;
    cm_usec default_ttl, activity_bump, failure_ttl, dormancy, dormancy_delete;
    bool cancel_jobs, autostart, autostop, require_active, is_private;
    struct cm_conf_list autostart_days;
};

#define WEEKDAYS "monday|tuesday|wednesday|thursday|friday|saturday|sunday"

#define E(member) offsetof(struct edit_opts, member)

static const struct cm_opt edit_opts[] = {
    {CM_OPT_STR, E(name), "name", .help = "Edit the template name."},
    {CM_OPT_STR, E(display_name), "display-name", .help = "Edit the template display name."},
    {CM_OPT_STR, E(description), "description", .help = "Edit the template description."},
    {CM_OPT_STR, E(icon), "icon", .help = "Edit the template icon path."},
    {CM_OPT_STR, E(deprecated), "deprecated",
     .help = "Sets the template as deprecated. Must be a message explaining why the template is "
             "deprecated."},
    {CM_OPT_DURATION, E(default_ttl), "default-ttl",
     .help = "Edit the template default time before shutdown - workspaces created from this "
             "template default to this "
             "value."},
    {CM_OPT_DURATION, E(activity_bump), "activity-bump",
     .help = "Edit the template activity bump - workspaces created from this template will have "
             "their shutdown time "
             "bumped by this value when activity is detected."},
    {CM_OPT_DURATION, E(failure_ttl), "failure-ttl",
     .help = "Specify a failure TTL for workspaces created from this template."},
    {CM_OPT_DURATION, E(dormancy), "dormancy-threshold",
     .help = "Specify how long a workspace may be unused before it becomes dormant."},
    {CM_OPT_DURATION, E(dormancy_delete), "dormancy-auto-deletion",
     .help = "Specify how long a workspace may be dormant before it is deleted."},
    {CM_OPT_BOOL, E(cancel_jobs), "allow-user-cancel-workspace-jobs", .def = "true",
     .help = "Allow users to cancel in-progress workspace jobs."},
    {CM_OPT_BOOL, E(autostart), "allow-user-autostart", .def = "true",
     .help = "Allow users to configure autostart for workspaces on this template."},
    {CM_OPT_CHOICES, E(autostart_days), "autostart-requirement-weekdays",
     .choices = WEEKDAYS "|all",
     .help = "Edit the template autostart requirement weekdays - workspaces created from this "
             "template can only autostart on the given weekdays. To unset this value for the "
             "template (and allow autostart on all days), pass 'all'."},
    {CM_OPT_BOOL, E(autostop), "allow-user-autostop", .def = "true",
     .help = "Allow users to customize the autostop TTL for workspaces on this template."},
    {CM_OPT_BOOL, E(require_active), "require-active-version",
     .help = "Requires workspace builds to use the active template version."},
    {CM_OPT_BOOL, E(is_private), "private",
     .help = "Disable the default behavior of granting template access to the "
             "'everyone' group."},
};

/* NULL: not given. "all" stands for each of them. */
static struct api_template_autostart_requirement *autostart_days(struct cli *cli)
{
    const struct edit_opts *o = cli->opts;
    struct api_template_autostart_requirement *r =
        CM_NEW(cli->arena, struct api_template_autostart_requirement);
    struct cm_str all = CM_STR(WEEKDAYS);

    if (!cm_conf_given(cli->conf, "autostart-requirement-weekdays"))
        return NULL;
    r->days_of_week = CM_NEW_ARRAY(cli->arena, struct cm_str, o->autostart_days.n + 7);
    for (size_t i = 0; i < o->autostart_days.n; i++) {
        if (strcmp(o->autostart_days.v[i], "all") != 0) {
            r->days_of_week[r->n_days_of_week++] = cm_str(o->autostart_days.v[i]);
            continue;
        }
        for (r->n_days_of_week = 0; all.ptr; r->n_days_of_week++)
            all = cm_str_split(all, '|', &r->days_of_week[r->n_days_of_week]);
        break;
    }
    return r;
}

/* Sends only what was given; the server keeps the rest. */
static enum cm_code run_edit(struct cli *cli, struct cm_err *err)
{
    const struct edit_opts *o = cli->opts;
    const struct api_organization *org = NULL;
    struct api_template *t = NULL;
    struct api_update_template_meta req = {.name = cm_str(o->name),
                                           .autostart_requirement = autostart_days(cli)};

#define GIVEN(flag, member, BIT, value)                                                            \
    do {                                                                                           \
        if (cm_conf_given(cli->conf, flag)) {                                                      \
            req.member = (value);                                                                  \
            cm_set_has(req.has, API_UPDATE_TEMPLATE_META_HAS_##BIT);                               \
        }                                                                                          \
    } while (0)
    GIVEN("display-name", display_name, DISPLAY_NAME, cm_str(o->display_name));
    GIVEN("description", description, DESCRIPTION, cm_str(o->description));
    GIVEN("icon", icon, ICON, cm_str(o->icon));
    GIVEN("deprecated", deprecation_message, DEPRECATION_MESSAGE, cm_str(o->deprecated));
    GIVEN("default-ttl", default_ttl_ms, DEFAULT_TTL_MS, o->default_ttl / CM_MSEC);
    GIVEN("activity-bump", activity_bump_ms, ACTIVITY_BUMP_MS, o->activity_bump / CM_MSEC);
    GIVEN("failure-ttl", failure_ttl_ms, FAILURE_TTL_MS, o->failure_ttl / CM_MSEC);
    GIVEN("dormancy-threshold", time_til_dormant_ms, TIME_TIL_DORMANT_MS, o->dormancy / CM_MSEC);
    GIVEN("dormancy-auto-deletion", time_til_dormant_autodelete_ms, TIME_TIL_DORMANT_AUTODELETE_MS,
          o->dormancy_delete / CM_MSEC);
    GIVEN("allow-user-cancel-workspace-jobs", allow_user_cancel_workspace_jobs,
          ALLOW_USER_CANCEL_WORKSPACE_JOBS, o->cancel_jobs);
    GIVEN("allow-user-autostart", allow_user_autostart, ALLOW_USER_AUTOSTART, o->autostart);
    GIVEN("allow-user-autostop", allow_user_autostop, ALLOW_USER_AUTOSTOP, o->autostop);
    GIVEN("require-active-version", require_active_version, REQUIRE_ACTIVE_VERSION,
          o->require_active);
    GIVEN("private", disable_everyone_group_access, DISABLE_EVERYONE_GROUP_ACCESS, o->is_private);
#undef GIVEN
    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK ||
        find_template(cli, org, cli_arg(cli, 0), &t, err) != CM_OK ||
        ui_confirm(cli, "Confirm save changes?", false, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "PATCH", &api_update_template_meta_msg, &req, NULL, NULL,
                    err, "/api/v2/templates/%s", cm_uuid_text(t->id).s) != CM_OK)
        return cm_err_wrap(err, "update template metadata");
    printf("Updated template metadata at %s!\n", ui_now(cli->arena));
    return CM_OK;
}

static const struct command edit = {
    .name = "edit",
    .args = "<template>",
    .brief = "Edit the metadata of a template by name.",
    .opts = edit_opts,
    .n_opts = CM_COUNT_OF(edit_opts),
    .opts_size = sizeof(struct edit_opts),
    .uses = USES_YES | USES_ORG,
    .min_args = 1,
    .max_args = 1,
    .run = run_edit,
};

static const struct command *const subs[] = {
    &templates_init, &list, &templates_push,    &templates_create,  &delete, &versions,
    &templates_pull, &edit, &templates_archive, &templates_presets, NULL};

const struct command command_templates = {
    .name = "templates",
    .aliases = "template",
    .brief = "Manage templates",
    .sub = subs,
};
