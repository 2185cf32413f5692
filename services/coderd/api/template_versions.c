/* Template versions. Source: api-behaviour reference, 4.8. */
#include "api/form_load.h"
#include "api/audit_log.h"
#include "api/file_store.h"
#include "api/targets.h"
#include "api/template_load.h"
#include "app.h"
#include "background/hub.h"
#include "domain/examples.h"
#include "domain/names.h"
#include "sys/fd.h"

#define EXAMPLE_MAX ((size_t)4 * 1024 * 1024)

static enum cm_code insert_variable(struct api_req *r, struct cm_uuid version_id,
                                    struct cm_str name, struct cm_str value, bool sensitive,
                                    struct cm_err *err)
{
    struct store_template_version_variable_insert_args row = {
        .template_version_id = version_id,
        .name = name,
        .type = CM_STR("string"),
        .value = value.ptr ? value : CM_STR(""),
        .description = CM_STR(""),
        .default_value = CM_STR(""),
        .sensitive = sensitive,
    };
    return store_template_version_variable_insert(r->db, r->arena, &row, NULL, err);
}

static bool is_given(const struct api_create_template_version_request *q, struct cm_str name)
{
    for (size_t i = 0; i < q->n_user_variable_values; i++) {
        if (cm_str_eq(q->user_variable_values[i].name, name))
            return true;
    }
    return false;
}

/* Values that are not given again are those of the active version, unless they were no more than
 * its defaults. */
static enum cm_code insert_variables(struct api_req *r, struct cm_uuid version_id,
                                     const struct api_create_template_version_request *q,
                                     struct cm_err *err)
{
    struct api_template_version_variable *had = NULL;
    size_t n_had = 0;
    if (!cm_uuid_is_nil(q->template_id)) {
        struct store_template *t = NULL;
        if (template_load(r, q->template_id, &t, err) != CM_OK ||
            store_template_version_variables(r->db, r->arena, t->active_version_id, &had, &n_had,
                                             err) != CM_OK)
            return err->code;
    }
    for (size_t i = 0; i < n_had; i++) {
        if (!is_given(q, had[i].name) && !cm_str_eq(had[i].value, had[i].default_value) &&
            insert_variable(r, version_id, had[i].name, had[i].value, had[i].sensitive, err) !=
                CM_OK)
            return err->code;
    }
    for (size_t i = 0; i < q->n_user_variable_values; i++) {
        /* Only the import knows whether it is a secret; if it never gets that far, it is one. */
        if (insert_variable(r, version_id, q->user_variable_values[i].name,
                            q->user_variable_values[i].value, true, err) != CM_OK)
            return err->code;
    }
    return CM_OK;
}

/* Version row, job row and variables in one transaction; the daemons hear of it at commit. */
static enum cm_code insert_version(struct api_req *r,
                                   const struct api_create_template_version_request *q,
                                   struct cm_uuid org_id, struct cm_uuid version_id,
                                   struct cm_str name, struct cm_uuid file_id,
                                   const struct cm_pair *tags, size_t n_tags, struct cm_err *err)
{
    struct cm_uuid job_id = cm_uuid_random();
    struct cm_str input =
        cm_arena_fmt(r->arena, "{\"template_version_id\":\"%s\"}", cm_uuid_text(version_id).s);
    struct store_job_insert_args job = {.id = job_id,
                                        .organization_id = org_id,
                                        .initiator_id = r->who->user_id,
                                        .type = API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT,
                                        .provisioner = API_PROVISIONER_TYPE_TERRAFORM,
                                        .file_id = file_id,
                                        .tags = tags,
                                        .n_tags = n_tags,
                                        .input = input};
    struct store_template_version_insert_args row = {
        .id = version_id,
        .template_id = cm_uuid_is_nil(q->template_id) ? NULL : &q->template_id,
        .organization_id = org_id,
        .job_id = job_id,
        .created_by = r->who->user_id,
        .name = name,
        .message = q->message.ptr ? q->message : CM_STR(""),
        .source_example_id = q->example_id.ptr ? q->example_id : CM_STR("")};
    CM_AUTO(cm_db_tx) tx = NULL;
    if (cm_db_tx_begin(r->db, &tx, err) != CM_OK ||
        store_job_insert(r->db, r->arena, &job, NULL, err) != CM_OK ||
        store_template_version_insert(r->db, r->arena, &row, NULL, err) != CM_OK ||
        insert_variables(r, version_id, q, err) != CM_OK ||
        hub_notify(r->db, err, TOPIC_JOBS) != CM_OK)
        return err->code;
    return cm_db_tx_commit(tx, err);
}

/* The starter template as a file of the caller's. */
static enum cm_code take_example(struct api_req *r, struct cm_str id, struct cm_uuid *ret,
                                 struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf tar = CM_BUF_INIT(EXAMPLE_MAX);
    bool fresh;
    if (examples_tar(id, &tar, err) != CM_OK)
        return err->code;
    CM_AUTOFD int fd = -1;
    if (cm_fd_from_memory("example", cm_buf_view(&tar), &fd, err) != CM_OK)
        return err->code;
    return file_store(r, fd, ret, &fresh, err);
}

static enum cm_code find_source(struct api_req *r,
                                const struct api_create_template_version_request *q,
                                struct cm_uuid *ret, struct cm_err *err)
{
    bool has_file = !cm_uuid_is_nil(q->file_id);
    if (has_file == (q->example_id.len > 0)) {
        const char *why = has_file ? "give either a file or an example, not both"
                                   : "a file or an example is required";
        cm_violations_add(&r->violations, r->arena, CM_STR("file_id"), "%s", why);
        cm_violations_add(&r->violations, r->arena, CM_STR("example_id"), "%s", why);
        return cm_err_set(err, CM_INVALID, "Validation failed.");
    }
    if (!has_file)
        return take_example(r, q->example_id, ret, err);
    struct store_file *f = NULL;
    struct rbac_object o;
    enum cm_code code = store_file_by_id(r->db, r->arena, q->file_id, &f, err);
    if (code == CM_NOT_FOUND)
        return cm_err_set(err, CM_NOT_FOUND, "File not found.");
    if (code != CM_OK || file_object(r, f, &o, err) != CM_OK)
        return err->code;
    if (!api_may(r, RBAC_do_read, &o))
        return cm_err_set(err, CM_NOT_FOUND, "File not found.");
    *ret = f->id;
    return CM_OK;
}

/* Those of the request, and those that the template itself names: its import runs where its builds
 * will. */
static enum cm_code import_tags(struct api_req *r,
                                const struct api_create_template_version_request *q,
                                struct cm_uuid file_id, struct cm_pair **ret, size_t *ret_n,
                                struct cm_err *err)
{
    size_t n = q->n_user_variable_values, n_tags = 0;
    struct cm_pair *variables = CM_NEW_ARRAY(r->arena, struct cm_pair, n);
    struct form_result f;
    for (size_t i = 0; i < n; i++)
        variables[i] =
            (struct cm_pair){q->user_variable_values[i].name, q->user_variable_values[i].value};
    if (form_load(
            r->db, r->arena,
            &(struct form_request){.file_id = file_id, .variables = variables, .n_variables = n},
            &f, err) != CM_OK)
        return err->code;
    struct cm_pair *tags = form_tags(r->arena, &f, q->tags, q->n_tags, false, &n_tags);
    *ret = job_tags(r->arena, tags, n_tags, r->who->user_id, ret_n);
    return CM_OK;
}

static enum cm_code version_create(struct api_req *r, struct cm_err *err)
{
    const struct api_create_template_version_request *q = r->body;
    struct store_organization *org = NULL;
    if (target_org(r, 0, &org, err) != CM_OK)
        return err->code;
    struct rbac_object o = {.resource = RBAC_template, .org_id = org->id};
    if (!cm_uuid_is_nil(q->template_id)) {
        struct store_template *t = NULL;
        if (template_load(r, q->template_id, &t, err) != CM_OK)
            return err->code;
        o = template_object(r, t);
        if (api_authorize_also(r, RBAC_do_update, &o, err) != CM_OK)
            return err->code;
        /* Its import runs on the provisioners of the organization in the path. */
        if (!cm_uuid_eq(t->organization_id, org->id))
            return api_not_found(err);
        if (o.acl_actions & (uint32_t)RBAC_do_update)
            o.acl_actions |=
                (uint32_t)RBAC_do_create; /* its administrators may give it new versions */
    }
    struct cm_uuid file_id = {{0}};
    if (api_authorize_known(r, &o, err) != CM_OK || find_source(r, q, &file_id, err) != CM_OK)
        return err->code;
    struct cm_uuid id = cm_uuid_random();
    struct cm_str name = CM_STR_NONE;
    size_t n_tags = 0;
    struct cm_pair *tags = NULL;
    if (import_tags(r, q, file_id, &tags, &n_tags, err) != CM_OK)
        return err->code;
    enum cm_code code = CM_CONFLICT;
    /* Where the client leaves it to us, a name that is taken is not its business. */
    for (int i = 0; i < (q->name.len ? 1 : NAME_TRIES) && code == CM_CONFLICT; i++) {
        name = q->name.len ? q->name : name_make(r->arena);
        code = insert_version(r, q, org->id, id, name, file_id, tags, n_tags, err);
    }
    if (code == CM_CONFLICT) {
        cm_violations_add(&r->violations, r->arena, CM_STR("name"),
                          "this name is taken by another version");
        return api_reply_message(
            r, 409,
            cm_arena_printf(
                r->arena, "A template version with name \"%.*s\" already exists for this template.",
                CM_STR_ARG(name)),
            NULL);
    }
    struct version_view view;
    struct api_template_version out;
    if (code != CM_OK || version_view_load(r, id, &view, err) != CM_OK)
        return err->code;
    version_show(r->arena, view.v, view.job, &out);
    if (matched_provisioners(r, org->id, tags, n_tags, &out.matched_provisioners, err) != CM_OK)
        return err->code;
    audit(r, &(struct audit_event){.action = "create",
                                   .resource_type = "template_version",
                                   .resource_id = id,
                                   .target = name,
                                   .org_id = org->id,
                                   .status = 201});
    return api_reply(r, 201, &api_template_version_msg, &out);
}

static enum cm_code version_get(struct api_req *r, struct cm_err *err)
{
    struct version_view view;
    struct api_template_version out;
    if (version_param(r, 0, &view, err) != CM_OK)
        return err->code;
    version_show(r->arena, view.v, view.job, &out);
    if (view.job->status == API_PROVISIONER_JOB_STATUS_PENDING &&
        matched_provisioners(r, view.v->organization_id, view.job->tags, view.job->n_tags,
                             &out.matched_provisioners, err) != CM_OK)
        return err->code;
    return api_reply(r, 200, &api_template_version_msg, &out);
}

static enum cm_code version_patch(struct api_req *r, struct cm_err *err)
{
    const struct api_patch_template_version_request *q = r->body;
    struct version_view view;
    struct api_template_version out;
    if (version_param(r, 0, &view, err) != CM_OK)
        return err->code;
    enum cm_code code = store_template_version_update(
        r->db, r->arena, view.v->id, q->name.len ? q->name : CM_STR_NONE,
        q->message.ptr ? q->message : CM_STR_NONE, NULL, err);
    if (code == CM_CONFLICT)
        return api_reply_invalid(r, "A template version with this name already exists.", "name",
                                 "this name is taken by another version");
    if (code != CM_OK || version_view_load(r, view.v->id, &view, err) != CM_OK)
        return err->code;
    version_show(r->arena, view.v, view.job, &out);
    return api_reply(r, 200, &api_template_version_msg, &out);
}

static bool is_over(enum api_provisioner_job_status s)
{
    return s == API_PROVISIONER_JOB_STATUS_SUCCEEDED || s == API_PROVISIONER_JOB_STATUS_FAILED ||
           s == API_PROVISIONER_JOB_STATUS_CANCELED;
}

static enum cm_code version_cancel(struct api_req *r, struct cm_err *err)
{
    struct version_view view;
    int64_t changed = 0;
    if (version_param(r, 0, &view, err) != CM_OK)
        return err->code;
    if (is_over(view.job->status))
        return cm_err_set(err, CM_INVALID, "Job has already completed.");
    if (store_job_cancel(r->db, r->arena, view.job->id, CM_STR_NONE, &changed, err) != CM_OK)
        return err->code;
    if (!changed)
        return cm_err_set(err, CM_INVALID, "Job has already been marked as canceled.");
    if (hub_notify(r->db, err, TOPIC_JOB_FMT, cm_uuid_text(view.job->id).s) != CM_OK)
        return err->code;
    return api_reply_message(r, 200, "Job has been marked as canceled.", NULL);
}

static enum cm_code version_logs(struct api_req *r, struct cm_err *err)
{
    struct version_view view;
    if (version_param(r, 0, &view, err) != CM_OK)
        return err->code;
    return job_logs_reply(r, view.job->id, err);
}

/* Parameters of every template are what clients ask for while the import may still run. */
static enum cm_code too_early(struct api_req *r, int status)
{
    return api_reply_message(r, status, "Template version import has not completed yet.", NULL);
}

static enum cm_code version_parameters(struct api_req *r, struct cm_err *err)
{
    struct version_view view;
    struct api_template_version_parameter *rows = NULL;
    size_t n = 0;
    if (version_param(r, 0, &view, err) != CM_OK)
        return err->code;
    if (!is_over(view.job->status))
        return too_early(r, 425);
    if (store_template_version_parameters(r->db, r->arena, view.v->id, &rows, &n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++)
        rows[i].description_plaintext = rows[i].description;
    return api_reply_list(r, 200, &api_template_version_parameter_msg, rows, n);
}

static enum cm_code version_variables(struct api_req *r, struct cm_err *err)
{
    struct version_view view;
    struct api_template_version_variable *rows = NULL;
    size_t n = 0;
    if (version_param(r, 0, &view, err) != CM_OK)
        return err->code;
    if (!is_over(view.job->status))
        return too_early(r, 403);
    if (store_template_version_variables(r->db, r->arena, view.v->id, &rows, &n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].sensitive)
            rows[i].value = rows[i].default_value = CM_STR("*redacted*");
    }
    return api_reply_list(r, 200, &api_template_version_variable_msg, rows, n);
}

static enum cm_code version_presets(struct api_req *r, struct cm_err *err)
{
    struct version_view view;
    struct store_preset *rows = NULL;
    size_t n = 0;
    if (version_param(r, 0, &view, err) != CM_OK ||
        store_template_version_presets(r->db, r->arena, view.v->id, &rows, &n, err) != CM_OK)
        return err->code;
    struct api_preset *out = CM_NEW_ARRAY(r->arena, struct api_preset, n);
    for (size_t i = 0; i < n; i++) {
        struct api_preset_parameter *p =
            CM_NEW_ARRAY(r->arena, struct api_preset_parameter, rows[i].n_parameters);
        for (size_t k = 0; k < rows[i].n_parameters; k++)
            p[k] = (struct api_preset_parameter){rows[i].parameters[k].key,
                                                 rows[i].parameters[k].value};
        out[i] = (struct api_preset){.id = rows[i].id,
                                     .name = rows[i].name,
                                     .parameters = p,
                                     .n_parameters = rows[i].n_parameters,
                                     .default_ = rows[i].is_default,
                                     .description = rows[i].description,
                                     .icon = rows[i].icon};
        if (cm_has(rows[i].has, STORE_PRESET_HAS_PREBUILD_INSTANCES)) {
            out[i].desired_prebuild_instances = rows[i].prebuild_instances;
            cm_set_has(out[i].has, API_PRESET_HAS_DESIRED_PREBUILD_INSTANCES);
        }
    }
    return api_reply_list(r, 200, &api_preset_msg, out, n);
}

static enum cm_code version_external_auth(struct api_req *r, struct cm_err *err)
{
    struct version_view view;
    if (version_param(r, 0, &view, err) != CM_OK)
        return err->code;
    return api_reply_list(r, 200, &api_template_version_external_auth_msg, NULL, 0);
}

static enum cm_code version_legacy(struct api_req *r, struct cm_err *err)
{
    struct version_view view;
    if (version_param(r, 0, &view, err) != CM_OK)
        return err->code;
    return api_reply_raw(r, 200, "application/json; charset=utf-8", CM_STR("[]\n"));
}

#define V "/api/v2/templateversions/{templateversion}"
static const struct route rows[] = {
    {CM_HTTP_POST, "/api/v2/organizations/{organization}/templateversions", AUTH_SESSION,
     RBAC(template, create), ROUTE_CALL, version_create, &api_create_template_version_request_msg,
     "Create a version", LIMIT_API, 0, false},
    {CM_HTTP_GET, V, AUTH_SESSION, RBAC(template, read), ROUTE_CALL, version_get, NULL,
     "Get a version", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, V, AUTH_SESSION, RBAC(template, update), ROUTE_CALL, version_patch,
     &api_patch_template_version_request_msg, "Rename a version", LIMIT_API, 0, false},
    {CM_HTTP_PATCH, V "/cancel", AUTH_SESSION, RBAC(template, update), ROUTE_CALL, version_cancel,
     NULL, "Cancel the import", LIMIT_API, 0, false},
    {CM_HTTP_GET, V "/logs", AUTH_SESSION, RBAC(template, read), ROUTE_STREAM, version_logs, NULL,
     "Logs of the import", LIMIT_API, 0, false},
    {CM_HTTP_GET, V "/rich-parameters", AUTH_SESSION, RBAC(template, read), ROUTE_CALL,
     version_parameters, NULL, "Parameters", LIMIT_API, 0, false},
    {CM_HTTP_GET, V "/variables", AUTH_SESSION, RBAC(template, read), ROUTE_CALL, version_variables,
     NULL, "Variables", LIMIT_API, 0, false},
    {CM_HTTP_GET, V "/presets", AUTH_SESSION, RBAC(template, read), ROUTE_CALL, version_presets,
     NULL, "Presets", LIMIT_API, 0, false},
    {CM_HTTP_GET, V "/external-auth", AUTH_SESSION, RBAC(template, read), ROUTE_CALL,
     version_external_auth, NULL, "External authentication needed", LIMIT_API, 0, false},
    {CM_HTTP_GET, V "/schema", AUTH_SESSION, RBAC(template, read), ROUTE_CALL, version_legacy, NULL,
     "Legacy: always empty", LIMIT_API, 0, false},
    {CM_HTTP_GET, V "/parameters", AUTH_SESSION, RBAC(template, read), ROUTE_CALL, version_legacy,
     NULL, "Legacy: always empty", LIMIT_API, 0, false},
};

const struct route_table template_versions_routes = {rows, CM_COUNT_OF(rows)};
