#include <stdlib.h>

#include "cmd/cmd.h"
#include "near.h"
#include "schedule_text.h"

struct create_opts {
    const char *tmpl, *version, *preset, *start_at, *automatic_updates, *copy_from;
    cm_usec stop_after;
    bool no_wait;
};

#define NAME_MAX_LEN 32
#define O(member)    offsetof(struct create_opts, member)

static const struct cm_opt opts[] = {
    {CM_OPT_STR, O(tmpl), "template", 't', "CODER_TEMPLATE_NAME",
     .help = "Specify a template name."},
    {CM_OPT_STR, O(version), "template-version", .env = "CODER_TEMPLATE_VERSION",
     .help = "Specify a template version name."},
    {CM_OPT_STR, O(preset), "preset", .env = "CODER_PRESET_NAME",
     .help = "Specify the name of a template version preset. Use 'none' to explicitly indicate "
             "that no preset should be "
             "used."},
    {CM_OPT_STR, O(start_at), "start-at", .env = "CODER_WORKSPACE_START_AT",
     .help = "Specify the workspace autostart schedule as a cron expression with its time zone "
             "(CRON_TZ=...)."},
    {CM_OPT_DURATION, O(stop_after), "stop-after", .env = "CODER_WORKSPACE_STOP_AFTER",
     .help = "Specify a duration after which the workspace should shut down (e.g. 8h)."},
    {CM_OPT_CHOICE, O(automatic_updates), "automatic-updates",
     .env = "CODER_WORKSPACE_AUTOMATIC_UPDATES", .def = "never", .choices = "always|never",
     .help = "Specify automatic updates setting for the workspace (accepts 'always' or 'never')."},
    {CM_OPT_STR, O(copy_from), "copy-parameters-from",
     .env = "CODER_WORKSPACE_COPY_PARAMETERS_FROM",
     .help = "Specify the source workspace name to copy parameters from."},
    {CM_OPT_BOOL, O(no_wait), "no-wait", .env = "CODER_CREATE_NO_WAIT",
     .help =
         "Return immediately after creating the workspace. The build will run in the background."},
};

/* Before any question is asked; the server decides. */
static bool is_name(struct cm_str s)
{
    bool dash = true;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool sign = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!sign && (c != '-' || dash))
            return false;
        dash = !sign;
    }
    return !dash && s.len <= NAME_MAX_LEN;
}

static enum cm_code get_name(struct cli *cli, const char **ret_owner, const char **ret_name,
                             struct cm_err *err)
{
    struct ui_question q = {.text = "Specify a name for your workspace:"};
    const char *text = cli_arg(cli, 0);
    struct cm_str owner, name;
    struct api_workspace *taken = NULL;

    if (!text && ui_ask(cli, &q, &text, err) != CM_OK)
        return err->code;
    name = cm_str_split(cm_str(text), '/', &owner);
    if (!name.ptr) {
        name = owner;
        owner = CM_STR("me");
    }
    if (!name.len || !owner.len || cm_str_find(name, '/') >= 0)
        return cm_err_set(err, CM_INVALID, "invalid workspace name: \"%s\"", text);
    if (!is_name(name))
        return cm_err_set(err, CM_INVALID,
                          "invalid workspace name: \"%s\": use up to %d letters, digits and single "
                          "dashes between them",
                          text, NAME_MAX_LEN);
    *ret_owner = cm_arena_cstr(cli->arena, owner);
    *ret_name = cm_arena_cstr(cli->arena, name);
    enum cm_code code = cm_sdk_get(cli->sdk, cli->arena, &api_workspace_msg, &taken, err,
                                   "/api/v2/users/%s/workspace/%s", cm_sdk_part(cli->arena, owner),
                                   cm_sdk_part(cli->arena, name));
    if (code == CM_OK)
        return cm_err_set(err, CM_CONFLICT,
                          "a workspace already exists named \"%s\": choose another name",
                          *ret_name);
    return code == CM_NOT_FOUND ? CM_OK : cm_err_wrap(err, "check workspace name");
}

static int by_use(const void *a, const void *b)
{
    const struct api_template *x = a, *y = b;
    if (x->active_user_count != y->active_user_count)
        return x->active_user_count > y->active_user_count ? -1 : 1;
    return cm_str_cmp(x->name, y->name);
}

/* With what tells it from another of the same name. */
static const char *template_label(struct cli *cli, const struct api_template *all, size_t n,
                                  size_t which)
{
    const struct api_template *t = &all[which];
    bool shared = false;

    for (size_t i = 0; i < n; i++)
        shared = shared || (i != which && cm_str_eq(all[i].name, t->name));
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(4096);
    cm_buf_str(&out, t->name);
    if (shared)
        cm_buf_printf(&out, " (%.*s)", CM_STR_ARG(t->organization_name));
    if (t->active_user_count > 0)
        cm_buf_printf(&out, ", used by %lld developer%s", (long long)t->active_user_count,
                      t->active_user_count == 1 ? "" : "s");
    return cm_arena_cstr(cli->arena, cm_buf_view(&out));
}

static enum cm_code choose_template(struct cli *cli, const struct create_opts *o,
                                    const struct api_workspace *copied, struct api_template **ret,
                                    struct cm_err *err)
{
    struct api_template *all = NULL;
    size_t n = 0, found = 0, count = 0, chosen = 0;

    if (copied && !*o->tmpl)
        return cm_sdk_get(cli->sdk, cli->arena, &api_template_msg, ret, err, "/api/v2/templates/%s",
                          cm_uuid_text(copied->template_id).s);
    if (cm_sdk_get_list(cli->sdk, cli->arena, &api_template_msg, &all, &n, err,
                        "/api/v2/templates") != CM_OK)
        return err->code;
    if (*o->tmpl) {
        for (size_t i = 0; i < n; i++) {
            bool org_fits = !cli->org || !*cli->org ||
                            cm_str_eq_c(all[i].organization_name, cli->org) ||
                            strcmp(cm_uuid_text(all[i].organization_id).s, cli->org) == 0;
            if (cm_str_eq_c(all[i].name, o->tmpl) && org_fits) {
                found = i;
                count++;
            }
        }
        if (!count) {
            struct near near = near_start(cm_str(o->tmpl));
            for (size_t i = 0; i < n; i++)
                near_try(&near, all[i].name);
            if (near.best.ptr)
                return cm_err_set(err, CM_NOT_FOUND,
                                  "template not found: \"%s\"; did you mean \"%.*s\"?", o->tmpl,
                                  CM_STR_ARG(near.best));
            return cm_err_set(
                err, CM_NOT_FOUND,
                "template not found: \"%s\"; 'coder templates list' shows the templates", o->tmpl);
        }
        if (count > 1)
            return cm_err_set(
                err, CM_INVALID,
                "multiple templates found with the name \"%s\": name the organization with --org",
                o->tmpl);
        *ret = &all[found];
        return CM_OK;
    }
    if (!n)
        return cm_err_set(err, CM_NOT_FOUND,
                          "no templates found; push one with 'coder templates push'");
    qsort(all, n, sizeof(*all), by_use);
    const char **names = CM_NEW_ARRAY(cli->arena, const char *, n);
    for (size_t i = 0; i < n; i++)
        names[i] = template_label(cli, all, n, i);
    if (ui_select(cli, "Select a template below to preview the provisioned infrastructure:", names,
                  n, &chosen, err) != CM_OK)
        return err->code;
    *ret = &all[chosen];
    return CM_OK;
}

static enum cm_code choose_version(struct cli *cli, const struct create_opts *o,
                                   const struct api_template *t, struct cm_uuid *ret,
                                   struct cm_err *err)
{
    struct api_template_version *v = NULL;

    *ret = t->active_version_id;
    if (!*o->version)
        return CM_OK;
    if (cm_sdk_get(cli->sdk, cli->arena, &api_template_version_msg, &v, err,
                   "/api/v2/templates/%s/versions/%s", cm_uuid_text(t->id).s,
                   cm_sdk_part(cli->arena, cm_str(o->version))) != CM_OK)
        return cm_err_wrap(err, "get template version by name");
    *ret = v->id;
    return CM_OK;
}

static enum cm_code ask_preset(struct cli *cli, struct api_preset *all, size_t n,
                               struct api_preset **ret, struct cm_err *err)
{
    const char **names = CM_NEW_ARRAY(cli->arena, const char *, n + 1);
    size_t chosen = 0;

    for (size_t i = 0; i < n; i++)
        names[i] = cm_arena_cstr(cli->arena, all[i].name);
    names[n] = "None";
    if (ui_select(cli, "Select a preset below:", names, n + 1, &chosen, err) != CM_OK)
        return err->code;
    *ret = chosen < n ? &all[chosen] : NULL;
    return CM_OK;
}

/* --preset, else the default one, else the person's choice. Its values are as if they had been
 * copied: they beat flags. */
static enum cm_code choose_preset(struct cli *cli, const struct create_opts *o,
                                  struct cm_uuid version, struct api_preset **ret,
                                  struct cm_err *err)
{
    struct api_preset *all = NULL;
    size_t n = 0;

    *ret = NULL;
    if (cm_sdk_get_list(cli->sdk, cli->arena, &api_preset_msg, &all, &n, err,
                        "/api/v2/templateversions/%s/presets", cm_uuid_text(version).s) != CM_OK) {
        /* A server without presets has none. */
        return err->code == CM_NOT_FOUND && !*o->preset ? CM_OK
                                                        : cm_err_wrap(err, "failed to get presets");
    }
    bool none = strcmp(o->preset, "none") == 0;
    for (size_t i = 0; i < n && !none; i++)
        if (*o->preset ? cm_str_eq_c(all[i].name, o->preset) : all[i].default_)
            *ret = &all[i];
    if (*o->preset && !none && !*ret)
        return cm_err_set(err, CM_NOT_FOUND, "preset \"%s\" not found", o->preset);
    if (n && !none && !*ret && ui_interactive(cli) && !cli->params.use_defaults &&
        ask_preset(cli, all, n, ret, err) != CM_OK)
        return err->code;
    if (*ret)
        printf("Preset '%.*s' applied:\n", CM_STR_ARG((*ret)->name));
    for (size_t i = 0; *ret && i < (*ret)->n_parameters; i++)
        printf("  %.*s: '%.*s'\n", CM_STR_ARG((*ret)->parameters[i].name),
               CM_STR_ARG((*ret)->parameters[i].value));
    if (n && !*ret)
        printf("No preset applied.\n");
    return CM_OK;
}

static enum cm_code fetch_dry_run(struct cli *cli, void *ctx,
                                  const struct api_provisioner_job **ret, struct cm_err *err)
{
    struct api_provisioner_job *job = NULL;
    if (cm_sdk_get(cli->sdk, cli->arena, &api_provisioner_job_msg, &job, err, "%s",
                   (const char *)ctx) != CM_OK)
        return err->code;
    *ret = job;
    return CM_OK;
}

/* Plans without building, to show what would be made. Servers that cannot are taken at their word.
 */
static enum cm_code preview(struct cli *cli, struct cm_uuid version, const char *name,
                            struct api_workspace_build_parameter *params, size_t n,
                            struct cm_err *err)
{
    struct api_create_template_version_dry_run_request req = {.workspace_name = cm_str(name),
                                                              .rich_parameter_values = params,
                                                              .n_rich_parameter_values = n};
    struct api_provisioner_job *job = NULL;
    struct api_workspace_resource *resources = NULL;
    size_t n_resources = 0;
    const char *base =
        cm_arena_printf(cli->arena, "/api/v2/templateversions/%s/dry-run", cm_uuid_text(version).s);

    enum cm_code code =
        cm_sdk_send(cli->sdk, cli->arena, "POST", &api_create_template_version_dry_run_request_msg,
                    &req, &api_provisioner_job_msg, &job, err, "%s", base);
    if (code == CM_NOT_FOUND || code == CM_UNIMPLEMENTED || code == CM_DENIED)
        return CM_OK;
    if (code != CM_OK)
        return cm_err_wrap(err, "begin workspace dry-run");
    char *path = cm_arena_printf(cli->arena, "%s/%s", base, cm_uuid_text(job->id).s);
    struct ui_job follow = {.out = stdout,
                            .logs_path = cm_arena_printf(cli->arena, "%s/logs", path),
                            .cancel_path = cm_arena_printf(cli->arena, "%s/cancel", path),
                            .fetch = fetch_dry_run,
                            .ctx = path,
                            .quiet = true};
    if (ui_follow_job(cli, &follow, NULL, err) != CM_OK)
        return cm_err_wrap(err, "dry-run workspace");
    if (cm_sdk_get_list(cli->sdk, cli->arena, &api_workspace_resource_msg, &resources, &n_resources,
                        err, "%s/resources", path) != CM_OK)
        return cm_err_wrap(err, "get workspace dry-run resources");
    show_resources(cli, &(struct resources_shown){.resources = resources,
                                                  .n = n_resources,
                                                  .transition = API_WORKSPACE_TRANSITION_START,
                                                  .title = "Workspace Preview",
                                                  .workspace = cm_str(name)});
    return CM_OK;
}

static enum cm_code collect_params(struct cli *cli, const struct create_opts *o,
                                   const struct api_workspace *copied, struct cm_uuid version,
                                   struct cm_uuid *ret_preset,
                                   struct api_workspace_build_parameter **ret, size_t *ret_n,
                                   struct cm_err *err)
{
    struct api_preset *preset = NULL;
    struct api_workspace_build_parameter *last = NULL;
    size_t n = 0;

    if (choose_preset(cli, o, version, &preset, err) != CM_OK ||
        (copied && build_params(cli, copied->latest_build->id, &last, &n, err) != CM_OK))
        return err->code;
    size_t n_preset = preset ? preset->n_parameters : 0;
    struct api_workspace_build_parameter *sources =
        CM_NEW_ARRAY(cli->arena, struct api_workspace_build_parameter, n + n_preset + 1);
    for (size_t i = 0; i < n_preset; i++)
        sources[i] = (struct api_workspace_build_parameter){.name = preset->parameters[i].name,
                                                            .value = preset->parameters[i].value};
    if (n)
        memcpy(sources + n_preset, last, n * sizeof(*last));
    if (preset)
        *ret_preset = preset->id;
    struct param_sources from = {.version = version,
                                 .last = sources,
                                 .n_last = n + n_preset,
                                 .last_is_copy = true,
                                 .is_new = true};
    return resolve_params(cli, &from, ret, ret_n, err);
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    const struct create_opts *o = cli->opts;
    const char *owner = NULL, *name = NULL, *start_at = NULL;
    struct api_workspace *copied = NULL, *made = NULL;
    struct api_template *t = NULL;
    struct api_create_workspace_request req = {.template_id = {{0}}};
    struct cm_uuid version;

    if ((*o->start_at && schedule_parse_text(cli->arena, o->start_at, &start_at, err) != CM_OK) ||
        cli_session(cli, err) != CM_OK || get_name(cli, &owner, &name, err) != CM_OK ||
        (*o->copy_from && find_workspace(cli, o->copy_from, &copied, err) != CM_OK) ||
        choose_template(cli, o, copied, &t, err) != CM_OK ||
        choose_version(cli, o, t, &version, err) != CM_OK ||
        collect_params(cli, o, copied, version, &req.template_version_preset_id,
                       &req.rich_parameter_values, &req.n_rich_parameter_values, err) != CM_OK ||
        preview(cli, version, name, req.rich_parameter_values, req.n_rich_parameter_values, err) !=
            CM_OK ||
        ui_confirm(cli, "Confirm create?", true, err) != CM_OK)
        return err->code;
    req.template_version_id = version;
    req.name = cm_str(name);
    req.automatic_updates = strcmp(o->automatic_updates, "always") == 0
                                ? API_AUTOMATIC_UPDATES_ALWAYS
                                : API_AUTOMATIC_UPDATES_NEVER;
    if (*o->start_at) {
        req.autostart_schedule = cm_str(start_at);
        cm_set_has(req.has, API_CREATE_WORKSPACE_REQUEST_HAS_AUTOSTART_SCHEDULE);
    }
    if (o->stop_after > 0) {
        req.ttl_ms = o->stop_after / CM_MSEC;
        cm_set_has(req.has, API_CREATE_WORKSPACE_REQUEST_HAS_TTL_MS);
    }
    if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_create_workspace_request_msg, &req,
                    &api_workspace_msg, &made, err, "/api/v2/users/%s/workspaces",
                    cm_sdk_part(cli->arena, cm_str(owner))) != CM_OK)
        return cm_err_wrap(err, "create workspace");
    if (o->no_wait) {
        printf("\nThe %.*s workspace has been created and is building in the background.\n",
               CM_STR_ARG(made->name));
        return CM_OK;
    }
    if (!made->latest_build)
        return cm_err_set(err, CM_PROTOCOL, "the server's answer has no build");
    if (ui_follow_build(cli, made->latest_build->id, stdout, err) != CM_OK)
        return cm_err_wrap(err, "watch build");
    printf("\nThe %.*s workspace has been created at %s!\n", CM_STR_ARG(made->name),
           ui_now(cli->arena));
    return CM_OK;
}

const struct command command_create = {
    .name = "create",
    .args = "[workspace]",
    .brief = "Create a workspace",
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct create_opts),
    .uses = USES_PARAMS | USES_YES | USES_ORG,
    .max_args = 1,
    .run = run,
};
