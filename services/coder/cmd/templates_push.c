/* templates push: a folder becomes a template version. */
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>

#include "template_tar.h"
#include "tfvars.h"
#include "cmd/templates.h"
#include "codec/yaml.h"
#include "sys/fd.h"
#include "sys/fs.h"

#define TEMPLATE_MAX ((size_t)1 << 20)
#define MESSAGE_LONG 72
#define NAME_LEN_MAX 32

struct push_opts {
    const char *directory, *name, *message, *variables_file;
    struct cm_conf_list variables, tags;
    bool always_prompt, activate, ignore_lockfile;
};

#define O(member) offsetof(struct push_opts, member)

static const struct cm_opt push_opts[] = {
    {CM_OPT_STR, O(directory), "directory", 'd', .def = ".",
     .help = "Specify the directory to create from, use '-' to read tar from stdin."},
    {CM_OPT_STR, O(name), "name", .help = "Specify a name for the new template version."},
    {CM_OPT_STR, O(message), "message", 'm',
     .help = "Specify a message describing the changes in this version of the "
             "template. Messages longer than 72 characters will be displayed as "
             "truncated."},
    {CM_OPT_STR, O(variables_file), "variables-file",
     .help = "Specify a file path with values for Terraform-managed variables, in YAML."},
    {CM_OPT_LIST, O(variables), "variable",
     .help = "Specify a set of values for Terraform-managed variables."},
    {CM_OPT_LIST, O(variables), "var", .help = "Alias of --variable.", .flags = CM_OPT_HIDDEN},
    {CM_OPT_LIST, O(tags), "provisioner-tag",
     .help = "Specify a set of tags to target provisioner daemons. '-' clears those of the active "
             "version."},
    {CM_OPT_BOOL, O(always_prompt), "always-prompt",
     .help = "Always prompt all parameters. Does not pull parameter values from active template "
             "version."},
    {CM_OPT_BOOL, O(activate), "activate", .def = "true",
     .help = "Whether the new template will be marked active."},
    {CM_OPT_BOOL, O(ignore_lockfile), "ignore-lockfile",
     .help =
         "Ignore warnings about not having a .terraform.lock.hcl file present in the template."},
};

/* Where a template's variables get their values, each over the one before: the folder's own files,
 * --variables-file, --variable. */
struct given {
    struct api_variable_value *v;
    size_t n;
};

static void give(struct given *g, struct cm_str name, struct cm_str value)
{
    for (size_t i = 0; i < g->n; i++) {
        if (cm_str_eq(g->v[i].name, name)) {
            g->v[i].value = value;
            return;
        }
    }
    g->v[g->n++] = (struct api_variable_value){.name = name, .value = value};
}

static void give_yaml(struct cli *cli, struct given *g, const struct cm_json *member)
{
    struct cm_str value;
    if (!cm_json_scalar_text(member, &value)) {
        CM_AUTOBUF struct cm_buf json = CM_BUF_INIT(TEMPLATE_MAX);
        json.wipe = true;
        cm_json_write(&json, member);
        value = cm_arena_str(cli->arena, cm_buf_view(&json));
    }
    give(g, cm_json_key(member), value);
}

static enum cm_code read_variables(struct cli *cli, const struct push_opts *o, bool from_stdin,
                                   struct api_variable_value **ret, size_t *ret_n,
                                   struct cm_err *err)
{
    const struct cm_json *root = NULL;
    struct tfvars files = {0};

    if (!from_stdin && tfvars_read(cli->arena, o->directory, &files, err) != CM_OK)
        return err->code;
    if (*o->variables_file) {
        CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(TEMPLATE_MAX);
        text.wipe = true;
        if (cm_fs_read(o->variables_file, &text, err) != CM_OK ||
            cm_yaml_parse(cli->arena, cm_buf_view(&text), NULL, &root, err) != CM_OK)
            return cm_err_wrap(err, "read variables file %s", o->variables_file);
    }
    struct given g = {.v = CM_NEW_ARRAY(cli->arena, struct api_variable_value,
                                        files.n + cm_json_count(root) + o->variables.n + 1)};
    for (size_t i = 0; i < files.n; i++)
        give(&g, files.v[i].name, files.v[i].value);
    for (size_t i = 0; i < cm_json_count(root); i++)
        give_yaml(cli, &g, cm_json_at(root, i));
    for (size_t i = 0; i < o->variables.n; i++) {
        struct cm_str name, value;
        if (split_pair(cli->arena, o->variables.v[i], &name, &value, err) != CM_OK)
            return err->code;
        give(&g, name, value);
    }
    *ret = g.v;
    *ret_n = g.n;
    return CM_OK;
}

static enum cm_code read_tags(struct cli *cli, const struct push_opts *o,
                              const struct api_template_version *active, struct cm_pair **ret,
                              size_t *ret_n, struct cm_err *err)
{
    size_t inherited = active && active->job && !o->tags.n ? active->job->n_tags : 0, n = 0;
    struct cm_pair *p = CM_NEW_ARRAY(cli->arena, struct cm_pair, inherited + o->tags.n + 1);

    for (size_t i = 0; i < inherited; i++)
        p[n++] = active->job->tags[i];
    for (size_t i = 0; i < o->tags.n; i++) {
        if (strcmp(o->tags.v[i], "-") == 0)
            continue;
        if (split_pair(cli->arena, o->tags.v[i], &p[n].key, &p[n].value, err) != CM_OK)
            return err->code;
        n++;
    }
    *ret = p;
    *ret_n = n;
    return CM_OK;
}

static enum cm_code get_archive(struct cli *cli, const struct push_opts *o, bool from_stdin,
                                struct cm_buf *tar, struct cm_err *err)
{
    struct template_tar_notes notes;

    if (from_stdin) {
        if (cm_fd_read_all(0, tar, err) != CM_OK)
            return cm_err_wrap(err, "read the template from standard input");
        if (!tar->len)
            return cm_err_set(err, CM_INVALID,
                              "there is no template here, and none on standard input: -d names its "
                              "folder");
        return CM_OK;
    }
    if (template_tar_pack(o->directory, tar, &notes, err) != CM_OK)
        return err->code;
    if (!notes.has_lock && !o->ignore_lockfile)
        fprintf(stderr, "No .terraform.lock.hcl file found. When provisioning, Terraform will be "
                        "unable to cache providers "
                        "without a lockfile and must download them from the internet each "
                        "time.\nCreate one by running terraform "
                        "init in your template directory.\n");
    if (*notes.skipped_vars)
        fprintf(stderr,
                "Not uploaded: %s. What those in the template's own folder say are its variables' "
                "values; --variables-file and --variable go before them.\n",
                notes.skipped_vars);
    return ui_confirm(cli, cm_arena_printf(cli->arena, "Upload \"%s\"?", o->directory), true, err);
}

/* Before all the work, at whose end the server would say so. */
static enum cm_code name_is_right(const char *name, struct cm_err *err)
{
    bool right = *name && strlen(name) <= NAME_LEN_MAX;
    for (const char *c = name; right && *c; c++)
        right =
            isalnum((unsigned char)*c) || (*c == '-' && c > name && isalnum((unsigned char)c[1]));
    return right ? CM_OK
                 : cm_err_set(
                       err, CM_INVALID,
                       "template name \"%s\" is invalid: it must be 1 to %d letters and digits, "
                       "with single hyphens between them; name it by 'coder templates push NAME'",
                       name, NAME_LEN_MAX);
}

static enum cm_code template_name(struct cli *cli, const struct push_opts *o, bool from_stdin,
                                  const char **ret, struct cm_err *err)
{
    char real[PATH_MAX];

    *ret = cli_arg(cli, 0);
    if (*ret)
        return name_is_right(*ret, err);
    if (from_stdin)
        return cm_err_set(err, CM_INVALID, "template name argument must be provided");
    if (!realpath(o->directory, real))
        return cm_err_errno(err, CM_NOT_FOUND, "read folder %s", o->directory);
    *ret = cm_arena_cstr(cli->arena, cm_str(cm_fs_basename(real)));
    return name_is_right(*ret, err);
}

/* Asks for what the template wants and was not given. */
static enum cm_code ask_variables(struct cli *cli, struct cm_uuid version,
                                  struct api_create_template_version_request *req,
                                  struct cm_err *err)
{
    struct api_template_version_variable *vars = NULL;
    size_t n = 0;

    if (cm_sdk_get_list(cli->sdk, cli->arena, &api_template_version_variable_msg, &vars, &n, err,
                        "/api/v2/templateversions/%s/variables", cm_uuid_text(version).s) != CM_OK)
        return err->code;
    struct api_variable_value *all =
        CM_NEW_ARRAY(cli->arena, struct api_variable_value, req->n_user_variable_values + n + 1);
    if (req->n_user_variable_values)
        memcpy(all, req->user_variable_values, req->n_user_variable_values * sizeof(*all));
    for (size_t i = 0; i < n; i++) {
        struct ui_question q = {
            .text = cm_arena_printf(cli->arena,
                                    "Enter value for variable \"%.*s\":", CM_STR_ARG(vars[i].name)),
            .secret = vars[i].sensitive};
        const char *answer = NULL;
        bool given = !vars[i].required;
        for (size_t k = 0; k < req->n_user_variable_values; k++)
            given = given || cm_str_eq(all[k].name, vars[i].name);
        if (given)
            continue;
        if (vars[i].description.len)
            fprintf(stderr, "%.*s\n", CM_STR_ARG(vars[i].description));
        if (ui_ask(cli, &q, &answer, err) != CM_OK)
            return err->code;
        all[req->n_user_variable_values++] =
            (struct api_variable_value){.name = vars[i].name, .value = cm_str(answer)};
    }
    req->user_variable_values = all;
    return CM_OK;
}

static enum cm_code preview(struct cli *cli, struct cm_uuid version, struct cm_err *err)
{
    struct resources_shown r = {.transition = API_WORKSPACE_TRANSITION_START,
                                .title = "Template Preview"};
    struct api_workspace_resource *all = NULL;
    if (cm_sdk_get_list(cli->sdk, cli->arena, &api_workspace_resource_msg, &all, &r.n, err,
                        "/api/v2/templateversions/%s/resources", cm_uuid_text(version).s) != CM_OK)
        return cm_err_wrap(err, "get the version's resources");
    r.resources = all;
    show_resources(cli, &r);
    return CM_OK;
}

static enum cm_code make_version(struct cli *cli, const struct api_organization *org,
                                 struct api_create_template_version_request *req,
                                 struct api_template_version **ret, struct cm_err *err)
{
    for (int tries = 0;; tries++) {
        enum api_job_error_code why = API_JOB_ERROR_CODE_UNSET;
        if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_create_template_version_request_msg, req,
                        &api_template_version_msg, ret, err,
                        "/api/v2/organizations/%s/templateversions",
                        cm_uuid_text(org->id).s) != CM_OK)
            return cm_err_wrap(err, "create template version");
        const struct api_matched_provisioners *m = (*ret)->matched_provisioners;
        if (m && m->count == 0)
            fprintf(stderr, "Your template is waiting: no provisioner takes jobs with its tags. "
                            "Ask an administrator to "
                            "start one.\n");
        if (ui_follow_version(cli, (*ret)->id, stdout, &why, err) == CM_OK)
            return preview(cli, (*ret)->id, err);
        if (why != API_JOB_ERROR_CODE_REQUIRED_TEMPLATE_VARIABLES || tries)
            return err->code;
        if (ask_variables(cli, (*ret)->id, req, err) != CM_OK)
            return err->code;
        req->name = CM_STR(""); /* the first try has taken it */
    }
}

static enum cm_code publish(struct cli *cli, const struct api_organization *org, const char *name,
                            const struct api_template *existing,
                            const struct api_template_version *version, bool activate,
                            struct cm_err *err)
{
    if (existing) {
        struct api_update_active_template_version req = {.id = version->id};
        if (activate &&
            cm_sdk_send(cli->sdk, cli->arena, "PATCH", &api_update_active_template_version_msg,
                        &req, NULL, NULL, err, "/api/v2/templates/%s/versions",
                        cm_uuid_text(existing->id).s) != CM_OK)
            return cm_err_wrap(err, "update active template version");
        printf("Updated version at %s!\n", ui_now(cli->arena));
        return CM_OK;
    }
    struct api_create_template_request req = {.name = cm_str(name),
                                              .template_version_id = version->id};
    struct api_template *made = NULL;
    if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_create_template_request_msg, &req,
                    &api_template_msg, &made, err, "/api/v2/organizations/%s/templates",
                    cm_uuid_text(org->id).s) != CM_OK)
        return cm_err_wrap(err, "create template");
    printf("\nThe %s template has been created at %s! Developers can provision a workspace with "
           "this template using:\n\n"
           "  coder create --template=\"%s\" [workspace name]\n\n",
           name, ui_now(cli->arena), name);
    return CM_OK;
}

static bool is_template_folder(void)
{
    static const char *const patterns[] = {"*.tf", "*.tf.json"};
    bool found = false;
    for (size_t i = 0; i < CM_COUNT_OF(patterns) && !found; i++) {
        glob_t names;
        found = glob(patterns[i], GLOB_NOSORT, NULL, &names) == 0;
        globfree(&names);
    }
    return found;
}

/* Without a folder named, what is piped in is the template. But jobs have no terminal either, and
 * nothing to pipe: with -y the folder where they are is meant, if it is one of a template. */
static bool is_from_stdin(const struct cli *cli, const struct push_opts *o)
{
    if (cm_conf_given(cli->conf, "directory"))
        return strcmp(o->directory, "-") == 0;
    if (cli->stdin_tty || cm_fs_exists("main.tf"))
        return false;
    return !cli->yes || !is_template_folder();
}

static enum cm_code run_push(struct cli *cli, struct cm_err *err)
{
    const struct push_opts *o = cli->opts;
    CM_AUTOBUF struct cm_buf tar = CM_BUF_INIT(TEMPLATE_MAX);
    bool from_stdin = is_from_stdin(cli, o);
    const struct api_organization *org = NULL;
    struct api_template *existing = NULL;
    struct api_template_version *active = NULL, *version = NULL;
    struct api_upload_response *file = NULL;
    const char *name = NULL;
    struct api_create_template_version_request req = {.storage_method =
                                                          API_PROVISIONER_STORAGE_METHOD_FILE,
                                                      .provisioner = API_PROVISIONER_TYPE_TERRAFORM,
                                                      .name = cm_str(o->name),
                                                      .message = cm_str(o->message)};

    if (template_name(cli, o, from_stdin, &name, err) != CM_OK || cli_session(cli, err) != CM_OK ||
        find_org(cli, &org, err) != CM_OK)
        return err->code;
    if (find_template(cli, org, name, &existing, err) != CM_OK && err->code != CM_NOT_FOUND)
        return err->code;
    cli->hint = NULL; /* a new one is no mistake */
    if (existing && cli->command == &templates_create)
        return cm_err_set(
            err, CM_CONFLICT,
            "a template already exists named \"%s\"; 'coder templates push %s' makes a "
            "new version of it",
            name, name);
    if (strlen(o->message) > MESSAGE_LONG)
        fprintf(
            stderr,
            "Template message is longer than %d characters, it will be displayed as truncated.\n",
            MESSAGE_LONG);
    if (existing && cm_sdk_get(cli->sdk, cli->arena, &api_template_version_msg, &active, err,
                               "/api/v2/templateversions/%s",
                               cm_uuid_text(existing->active_version_id).s) != CM_OK)
        return cm_err_wrap(err, "get active template version");
    if (read_variables(cli, o, from_stdin, &req.user_variable_values, &req.n_user_variable_values,
                       err) != CM_OK ||
        read_tags(cli, o, active, &req.tags, &req.n_tags, err) != CM_OK ||
        get_archive(cli, o, from_stdin, &tar, err) != CM_OK)
        return err->code;
    struct cm_str body = cm_buf_view(&tar), answer;
    if (cm_sdk_raw(cli->sdk, cli->arena, "POST", "application/x-tar", &body, &answer, err,
                   "/api/v2/files") != CM_OK ||
        cm_json_decode_answer(&api_upload_response_msg, cli->arena, answer, (void **)&file, err) !=
            CM_OK)
        return cm_err_wrap(err, "upload");
    req.file_id = file->hash;
    if (existing)
        req.template_id = existing->id;
    if (make_version(cli, org, &req, &version, err) != CM_OK)
        return err->code;
    return publish(cli, org, name, existing, version, o->activate, err);
}

const struct command templates_push = {
    .name = "push",
    .args = "[template]",
    .brief = "Create or update a template from the current directory or as specified by flag",
    .opts = push_opts,
    .n_opts = CM_COUNT_OF(push_opts),
    .opts_size = sizeof(struct push_opts),
    .uses = USES_YES | USES_ORG,
    .max_args = 1,
    .run = run_push,
};

const struct command templates_create = {
    .name = "create",
    .args = "[template]",
    .brief = "Deprecated: 'coder templates push' creates templates as well",
    .opts = push_opts,
    .n_opts = CM_COUNT_OF(push_opts),
    .opts_size = sizeof(struct push_opts),
    .uses = USES_YES | USES_ORG,
    .max_args = 1,
    .hidden = true,
    .run = run_push,
};
