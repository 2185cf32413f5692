/* provisioner list, jobs and keys: what the deployment knows of its provisioners. */
#include "cmd/provisioners.h"

static const char *tags_text(struct cm_arena *a, const struct cm_pair *tags, size_t n, char sign)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(65536);
    for (size_t i = 0; i < n; i++)
        cm_buf_printf(&out, "%s%.*s%c%.*s", i ? " " : "", CM_STR_ARG(tags[i].key), sign,
                      CM_STR_ARG(tags[i].value));
    return cm_arena_cstr(a, cm_buf_view(&out));
}

/* "map[owner: scope:organization]", which scripts know. */
static void tags_cell(struct cm_arena *a, struct ui_table *t, const struct cm_pair *tags, size_t n)
{
    ui_table_cellf(t, "map[%s]", tags_text(a, tags, n, ':'));
}

static void id_cell(struct ui_table *t, struct cm_uuid id)
{
    ui_table_cell(t, cm_uuid_is_nil(id) ? CM_STR("") : cm_str(cm_uuid_text(id).s));
}

static void time_cell(struct cli *cli, struct ui_table *t, struct cm_time at)
{
    ui_table_cell(t, at.us && !cm_time_is_zero(at) ? cm_str(ui_time(cli->arena, at)) : CM_STR(""));
}

/* The body with each row's organization by name, as scripts know it. */
static enum cm_code print_json(struct cli *cli, struct cm_str body,
                               const struct api_organization *org, struct cm_err *err)
{
    const struct cm_json *root;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT((size_t)64 << 20);

    if (cm_json_parse(cli->arena, body, &cm_json_file_limits, &root, err) != CM_OK)
        return cm_err_wrap(err, "the server's answer");
    cm_buf_char(&out, '[');
    for (size_t i = 0; i < cm_json_count(root); i++) {
        if (i)
            cm_buf_char(&out, ',');
        cm_json_write(&out, cm_json_at(root, i));
        if (out.len && out.ptr[out.len - 1] == '}')
            out.len--;
        cm_buf_cstr(&out, ",\"organization_name\":");
        cm_json_write_str(&out, org->display_name.len ? org->display_name : org->name);
        cm_buf_char(&out, '}');
    }
    cm_buf_char(&out, ']');
    if (cm_buf_check(&out, "the list", err) != CM_OK)
        return err->code;
    ui_json_print(cm_buf_view(&out));
    return CM_OK;
}

struct list_opts {
    int64_t limit;
    bool offline;
    const char *max_age, *initiator;
    struct cm_conf_list status;
};

#define O(member) offsetof(struct list_opts, member)

static const struct cm_opt list_opts[] = {
    {CM_OPT_INT, O(limit), "limit", 'l', "CODER_PROVISIONER_LIST_LIMIT", .def = "50",
     .help = "Limit the number of provisioners returned."},
    {CM_OPT_BOOL, O(offline), "show-offline", 'f', "CODER_PROVISIONER_SHOW_OFFLINE",
     .help = "Show offline provisioners."},
    {CM_OPT_CHOICES, O(status), "status", 's', "CODER_PROVISIONER_LIST_STATUS",
     .choices = "offline|idle|busy", .help = "Filter by provisioner status."},
    {CM_OPT_STR, O(max_age), "max-age", 'm', "CODER_PROVISIONER_LIST_MAX_AGE",
     .help = "Filter provisioners by maximum age."},
};

/* The query that the options make, and the organization it is for. */
static enum cm_code get_list(struct cli *cli, const char *what, const struct api_organization **org,
                             struct cm_str *ret, struct cm_err *err)
{
    const struct list_opts *o = cli->opts;
    CM_AUTOBUF struct cm_buf query = CM_BUF_INIT(4096);

    cm_buf_printf(&query, "?limit=%lld", (long long)o->limit);
    for (size_t i = 0; i < o->status.n; i++)
        cm_buf_printf(&query, "%s%s", i ? "," : "&status=", o->status.v[i]);
    if (o->offline)
        cm_buf_cstr(&query, "&offline=true");
    if (o->max_age && *o->max_age)
        cm_buf_printf(&query, "&max_age=%s", cm_sdk_part(cli->arena, cm_str(o->max_age)));
    if (o->initiator && *o->initiator)
        cm_buf_printf(&query, "&initiator=%s", cm_sdk_part(cli->arena, cm_str(o->initiator)));
    if (cli_session(cli, err) != CM_OK || find_org(cli, org, err) != CM_OK ||
        cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, ret, err,
                   "/api/v2/organizations/%s/%s%.*s", cm_uuid_text((*org)->id).s, what,
                   CM_STR_ARG(cm_buf_view(&query))) != CM_OK)
        return cm_err_wrap(err, "list %s", what);
    return CM_OK;
}

static void daemon_job_cells(struct ui_table *t, const struct api_provisioner_daemon_job *j)
{
    static const struct api_provisioner_daemon_job none = {.status = 0};
    if (!j)
        j = &none;
    id_cell(t, j->id);
    ui_table_cell(t, cm_str(j->status ? api_provisioner_job_status_enum.texts[j->status] : ""));
    ui_table_cell(t, j->template_name);
    ui_table_cell(t, j->template_icon);
    ui_table_cell(t, j->template_display_name);
}

static enum cm_code run_list(struct cli *cli, struct cm_err *err)
{
    const struct api_organization *org = NULL;
    struct api_provisioner_daemon *all = NULL;
    struct cm_str body;
    size_t n = 0;

    if (get_list(cli, "provisionerdaemons", &org, &body, err) != CM_OK)
        return err->code;
    if (ui_wants_json(cli))
        return print_json(cli, body, org, err);
    if (cm_json_decode_answer_list(&api_provisioner_daemon_msg, cli->arena, body, (void **)&all, &n,
                                   err) != CM_OK)
        return err->code;
    if (!n) {
        fprintf(stderr, "No provisioner daemons found\n");
        return CM_OK;
    }
    struct ui_table *t = ui_table_new(cli->arena, cli->command->columns);
    for (size_t i = 0; i < n; i++) {
        const struct api_provisioner_daemon *d = &all[i];
        ui_table_row(t);
        id_cell(t, d->id);
        id_cell(t, d->organization_id);
        time_cell(cli, t, d->created_at);
        time_cell(cli, t, d->last_seen_at);
        ui_table_cell(t, d->name);
        ui_table_cell(t, d->version);
        ui_table_cell(t, d->api_version);
        tags_cell(cli->arena, t, d->tags, d->n_tags);
        ui_table_cell(t, d->key_name);
        ui_table_cell(t,
                      cm_str(d->status ? api_provisioner_daemon_status_enum.texts[d->status] : ""));
        daemon_job_cells(t, d->current_job);
        daemon_job_cells(t, d->previous_job);
        ui_table_cell(t, org->display_name);
    }
    ui_table_print(t, &cli->output.columns);
    return CM_OK;
}

const struct command provisioner_list = {
    .name = "list",
    .aliases = "ls",
    .brief = "List provisioner daemons in an organization",
    .opts = list_opts,
    .n_opts = CM_COUNT_OF(list_opts),
    .opts_size = sizeof(struct list_opts),
    .uses = USES_OUTPUT | USES_ORG,
    .outputs = "table|json",
    .columns = "id|organization id|created at|last seen at|name|version|api version|tags|key name|"
               "status|current job id|current job status|current job template name|current job "
               "template icon|current job template display name|previous job id|previous job "
               "status|previous job template name|previous job template icon|previous job template "
               "display name|organization",
    .default_columns = "created at,last seen at,key name,name,version,status,tags",
    .run = run_list,
};

static const struct cm_opt jobs_opts[] = {
    {CM_OPT_INT, O(limit), "limit", 'l', "CODER_PROVISIONER_JOB_LIST_LIMIT", .def = "50",
     .help = "Limit the number of jobs returned."},
    {CM_OPT_CHOICES, O(status), "status", 's', "CODER_PROVISIONER_JOB_LIST_STATUS",
     .choices = "pending|running|succeeded|canceling|canceled|failed|unknown",
     .help = "Filter by job status."},
    {CM_OPT_STR, O(initiator), "initiator", 'i', "CODER_PROVISIONER_JOB_LIST_INITIATOR",
     .help = "Filter by initiator (user ID or username)."},
};

static void job_cells(struct cli *cli, struct ui_table *t, const struct api_provisioner_job *j,
                      const struct api_organization *org)
{
    static const struct api_provisioner_job_input no_input = {.error = {NULL, 0}};
    static const struct api_provisioner_job_metadata no_metadata = {.template_name = {NULL, 0}};
    const struct api_provisioner_job_input *in = j->input ? j->input : &no_input;
    const struct api_provisioner_job_metadata *m = j->metadata ? j->metadata : &no_metadata;
    CM_AUTOBUF struct cm_buf workers = CM_BUF_INIT(65536);

    for (size_t i = 0; i < j->n_available_workers; i++)
        cm_buf_printf(&workers, "%s%s", i ? "," : "", cm_uuid_text(j->available_workers[i]).s);
    ui_table_row(t);
    id_cell(t, j->id);
    time_cell(cli, t, j->created_at);
    time_cell(cli, t, j->started_at);
    time_cell(cli, t, j->completed_at);
    time_cell(cli, t, j->canceled_at);
    ui_table_cell(t, j->error);
    ui_table_cell(t, cm_str(j->error_code ? api_job_error_code_enum.texts[j->error_code] : ""));
    ui_table_cell(t, cm_str(j->status ? api_provisioner_job_status_enum.texts[j->status] : ""));
    id_cell(t, j->worker_id);
    ui_table_cell(t, j->worker_name);
    id_cell(t, j->file_id);
    tags_cell(cli->arena, t, j->tags, j->n_tags);
    ui_table_cellf(t, "%lld", (long long)j->queue_position);
    ui_table_cellf(t, "%lld", (long long)j->queue_size);
    id_cell(t, j->organization_id);
    id_cell(t, j->initiator_id);
    id_cell(t, in->template_version_id);
    id_cell(t, in->workspace_build_id);
    ui_table_cell(t, cm_str(j->type ? api_provisioner_job_type_enum.texts[j->type] : ""));
    ui_table_cell(t, cm_buf_view(&workers));
    ui_table_cell(t, m->template_version_name);
    id_cell(t, m->template_id);
    ui_table_cell(t, m->template_name);
    ui_table_cell(t, m->template_display_name);
    ui_table_cell(t, m->template_icon);
    id_cell(t, m->workspace_id);
    ui_table_cell(t, m->workspace_name);
    ui_table_cell(t, cm_str(m->workspace_build_transition
                                ? api_workspace_transition_enum.texts[m->workspace_build_transition]
                                : ""));
    ui_table_cell(t, j->logs_overflowed ? CM_STR("true") : CM_STR("false"));
    ui_table_cell(t, org->display_name);
    if (j->status == API_PROVISIONER_JOB_STATUS_PENDING)
        ui_table_cellf(t, "%lld/%lld", (long long)j->queue_position, (long long)j->queue_size);
    else
        ui_table_cell(t, CM_STR(""));
}

static enum cm_code run_jobs(struct cli *cli, struct cm_err *err)
{
    const struct api_organization *org = NULL;
    struct api_provisioner_job *all = NULL;
    struct cm_str body;
    size_t n = 0;

    if (get_list(cli, "provisionerjobs", &org, &body, err) != CM_OK)
        return err->code;
    if (ui_wants_json(cli))
        return print_json(cli, body, org, err);
    if (cm_json_decode_answer_list(&api_provisioner_job_msg, cli->arena, body, (void **)&all, &n,
                                   err) != CM_OK)
        return err->code;
    if (!n) {
        fprintf(stderr, "No provisioner jobs found\n");
        return CM_OK;
    }
    struct ui_table *t = ui_table_new(cli->arena, cli->command->columns);
    for (size_t i = 0; i < n; i++)
        job_cells(cli, t, &all[i], org);
    ui_table_print(t, &cli->output.columns);
    return CM_OK;
}

static const struct command jobs_list = {
    .name = "list",
    .aliases = "ls",
    .brief = "List provisioner jobs",
    .opts = jobs_opts,
    .n_opts = CM_COUNT_OF(jobs_opts),
    .opts_size = sizeof(struct list_opts),
    .uses = USES_OUTPUT | USES_ORG,
    .outputs = "table|json",
    .columns = "id|created at|started at|completed at|canceled at|error|error code|status|worker "
               "id|worker name|file id|tags|queue position|queue size|organization id|initiator "
               "id|template version id|workspace build id|type|available workers|template version "
               "name|template id|template name|template display name|template icon|workspace id|"
               "workspace name|workspace build transition|logs overflowed|organization|queue",
    .default_columns = "created at,id,type,template display name,status,queue,tags",
    .run = run_jobs,
};

static enum cm_code run_cancel(struct cli *cli, struct cm_err *err)
{
    const struct api_organization *org = NULL;
    struct api_provisioner_job *j = NULL;
    struct cm_uuid id;

    if (!cm_uuid_parse(cm_str(cli_arg(cli, 0)), &id))
        return cm_err_set(err, CM_INVALID, "invalid job ID \"%s\": it is a UUID", cli_arg(cli, 0));
    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK)
        return err->code;
    if (cm_sdk_get(cli->sdk, cli->arena, &api_provisioner_job_msg, &j, err,
                   "/api/v2/organizations/%s/provisionerjobs/%s", cm_uuid_text(org->id).s,
                   cm_uuid_text(id).s) != CM_OK) {
        cli->hint = "'coder provisioner jobs list' shows the jobs.";
        return cm_err_wrap(err, "get provisioner job");
    }
    struct cm_uuid version = j->input ? j->input->template_version_id : (struct cm_uuid){{0}};
    struct cm_uuid build = j->input ? j->input->workspace_build_id : (struct cm_uuid){{0}};
    const char *path = NULL;
    if (j->type == API_PROVISIONER_JOB_TYPE_WORKSPACE_BUILD)
        path =
            cm_arena_printf(cli->arena, "/api/v2/workspacebuilds/%s/cancel", cm_uuid_text(build).s);
    else if (j->type == API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT)
        path = cm_arena_printf(cli->arena, "/api/v2/templateversions/%s/cancel",
                               cm_uuid_text(version).s);
    else
        path = cm_arena_printf(cli->arena, "/api/v2/templateversions/%s/dry-run/%s/cancel",
                               cm_uuid_text(version).s, cm_uuid_text(id).s);
    if (cm_sdk_send(cli->sdk, cli->arena, "PATCH", NULL, NULL, NULL, NULL, err, "%s", path) !=
        CM_OK)
        return cm_err_wrap(err, "cancel provisioner job");
    printf("Job canceled\n");
    return CM_OK;
}

static const struct command jobs_cancel = {
    .name = "cancel",
    .args = "<job_id>",
    .brief = "Cancel a provisioner job",
    .uses = USES_ORG,
    .min_args = 1,
    .max_args = 1,
    .run = run_cancel,
};
static const struct command *const jobs_subs[] = {&jobs_list, &jobs_cancel, NULL};

const struct command provisioner_jobs = {
    .name = "jobs",
    .aliases = "job",
    .brief = "View and manage provisioner jobs",
    .sub = jobs_subs,
};

struct key_opts {
    struct cm_conf_list tags;
};

static const struct cm_opt key_opts[] = {
    {CM_OPT_LIST, offsetof(struct key_opts, tags), "tag", 't', "CODER_PROVISIONERD_TAGS",
     .value = "name=value", .help = "Tags to filter provisioner jobs by."},
};

static enum cm_code run_key_create(struct cli *cli, struct cm_err *err)
{
    const struct key_opts *o = cli->opts;
    const struct api_organization *org = NULL;
    struct api_create_provisioner_key_request req = {.name = cm_str(cli_arg(cli, 0))};
    struct api_create_provisioner_key_response *made = NULL;

    req.tags = CM_NEW_ARRAY(cli->arena, struct cm_pair, o->tags.n + 1);
    for (; req.n_tags < o->tags.n; req.n_tags++)
        if (split_pair(cli->arena, o->tags.v[req.n_tags], &req.tags[req.n_tags].key,
                       &req.tags[req.n_tags].value, err) != CM_OK)
            return err->code;
    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_create_provisioner_key_request_msg, &req,
                    &api_create_provisioner_key_response_msg, &made, err,
                    "/api/v2/organizations/%s/provisionerkeys", cm_uuid_text(org->id).s) != CM_OK)
        return cm_err_wrap(err, "create provisioner key");
    fprintf(stderr,
            "Successfully created provisioner key %s! Save this authentication token, it will not "
            "be shown again.\n\n",
            cli_arg(cli, 0));
    printf("%.*s\n", CM_STR_ARG(made->key));
    return CM_OK;
}

static enum cm_code run_key_list(struct cli *cli, struct cm_err *err)
{
    const struct api_organization *org = NULL;
    struct api_provisioner_key *all = NULL;
    struct cm_str body;
    size_t n = 0;

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err,
                   "/api/v2/organizations/%s/provisionerkeys", cm_uuid_text(org->id).s) != CM_OK)
        return cm_err_wrap(err, "list provisioner keys");
    if (ui_wants_json(cli)) {
        if (json_member(cli, body, NULL, &body, err) != CM_OK)
            return err->code;
        ui_json_print(body);
        return CM_OK;
    }
    if (cm_json_decode_answer_list(&api_provisioner_key_msg, cli->arena, body, (void **)&all, &n,
                                   err) != CM_OK)
        return err->code;
    if (!n) {
        fprintf(stderr, "No provisioner keys found\n");
        return CM_OK;
    }
    struct ui_table *t = ui_table_new(cli->arena, cli->command->columns);
    for (size_t i = 0; i < n; i++) {
        ui_table_row(t);
        time_cell(cli, t, all[i].created_at);
        ui_table_cell(t, all[i].name);
        ui_table_cell(t, cm_str(tags_text(cli->arena, all[i].tags, all[i].n_tags, '=')));
    }
    ui_table_print(t, &cli->output.columns);
    return CM_OK;
}

static enum cm_code run_key_delete(struct cli *cli, struct cm_err *err)
{
    const struct api_organization *org = NULL;
    const char *name = cli_arg(cli, 0);

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK ||
        ui_confirm(cli,
                   cm_arena_printf(cli->arena,
                                   "Are you sure you want to delete provisioner key %s?", name),
                   false, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "DELETE", NULL, NULL, NULL, NULL, err,
                    "/api/v2/organizations/%s/provisionerkeys/%s", cm_uuid_text(org->id).s,
                    cm_sdk_part(cli->arena, cm_str(name))) != CM_OK) {
        if (err->code == CM_NOT_FOUND)
            cli->hint = "'coder provisioner keys list' shows the keys.";
        return cm_err_wrap(err, "delete provisioner key");
    }
    printf("Successfully deleted provisioner key %s!\n", name);
    return CM_OK;
}

static const struct command key_create = {
    .name = "create",
    .args = "<name>",
    .brief = "Create a new provisioner key",
    .opts = key_opts,
    .n_opts = CM_COUNT_OF(key_opts),
    .opts_size = sizeof(struct key_opts),
    .uses = USES_ORG,
    .min_args = 1,
    .max_args = 1,
    .run = run_key_create,
};
static const struct command key_list = {
    .name = "list",
    .aliases = "ls",
    .brief = "List provisioner keys in an organization",
    .uses = USES_ORG | USES_OUTPUT,
    .outputs = "table|json",
    .columns = "created at|name|tags",
    .default_columns = "created at,name,tags",
    .run = run_key_list,
};
static const struct command key_delete = {
    .name = "delete",
    .aliases = "rm",
    .args = "<name>",
    .brief = "Delete a provisioner key",
    .uses = USES_ORG | USES_YES,
    .min_args = 1,
    .max_args = 1,
    .run = run_key_delete,
};
static const struct command *const key_subs[] = {&key_create, &key_list, &key_delete, NULL};

const struct command provisioner_keys = {
    .name = "keys",
    .aliases = "key",
    .brief = "Manage provisioner keys",
    .sub = key_subs,
};
