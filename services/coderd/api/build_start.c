#include "api/build_start.h"

#include "api/form_load.h"
#include "app.h"
#include "background/hub.h"
#include "domain/parameters.h"

/* The version's import must have succeeded: 406 while it runs, 400 when it failed. */
static bool version_ready(struct api_req *r, const struct version_view *v)
{
    switch (v->job->status) {
    case API_PROVISIONER_JOB_STATUS_SUCCEEDED:
        break;
    case API_PROVISIONER_JOB_STATUS_PENDING:
    case API_PROVISIONER_JOB_STATUS_RUNNING:
        api_reply_message(
            r, 406,
            "The provided template version is still importing! Wait for it to complete importing!",
            NULL);
        return false;
    case API_PROVISIONER_JOB_STATUS_CANCELED:
    case API_PROVISIONER_JOB_STATUS_CANCELING:
        api_reply_message(r, 400,
                          "The provided template version was canceled during import. You cannot "
                          "build workspaces with it!",
                          NULL);
        return false;
    case API_PROVISIONER_JOB_STATUS_FAILED:
    case API_PROVISIONER_JOB_STATUS_UNKNOWN:
    case API_PROVISIONER_JOB_STATUS_UNSET:
        api_reply_message(
            r, 400,
            cm_arena_printf(
                r->arena,
                "The provided template version \"%.*s\" has failed to import: %.*s. You "
                "cannot build workspaces with it!",
                CM_STR_ARG(v->v->name), CM_STR_ARG(v->job->error)),
            NULL);
        return false;
    }
    if (v->v->archived) {
        api_reply_message(r, 400, "The provided template version is archived.", NULL);
        return false;
    }
    return true;
}

/* Values of a preset come before those given with the request. */
static enum cm_code with_preset(struct api_req *r, const struct build_request *q,
                                struct cm_uuid version_id, struct parameter_values *ret,
                                struct cm_err *err)
{
    struct store_preset *p = NULL;
    if (cm_uuid_is_nil(q->preset_id)) {
        *ret = (struct parameter_values){q->values.v, q->values.n};
        return CM_OK;
    }
    enum cm_code code = store_preset_by_id(r->db, r->arena, q->preset_id, &p, err);
    /* Values of another template's presets are none of the caller's business. */
    if (code == CM_NOT_FOUND || (code == CM_OK && !cm_uuid_eq(p->template_version_id, version_id)))
        return cm_err_set(err, CM_INVALID, "The preset does not exist.");
    if (code != CM_OK)
        return code;
    struct api_workspace_build_parameter *all =
        CM_NEW_ARRAY(r->arena, struct api_workspace_build_parameter, p->n_parameters + q->values.n);
    size_t n = 0;
    for (size_t i = 0; i < p->n_parameters; i++)
        all[n++] =
            (struct api_workspace_build_parameter){p->parameters[i].key, p->parameters[i].value};
    for (size_t i = 0; i < q->values.n; i++)
        all[n++] = q->values.v[i];
    *ret = (struct parameter_values){all, n};
    return CM_OK;
}

/* What a build is made with. */
struct inputs {
    struct api_workspace_build_parameter *values;
    size_t n;
    struct cm_pair *tags;
    size_t n_tags;
};

/* Which parameters there are may depend on values of others, and so may the tags: with those of
 * this build. */
static enum cm_code declare(struct api_req *r, const struct build_request *q,
                            const struct version_view *v, struct parameter_resolve *in,
                            struct inputs *ret, struct cm_err *err)
{
    struct cm_pair *values = CM_NEW_ARRAY(r->arena, struct cm_pair, in->given.n + in->previous.n);
    struct form_request form = {.version_id = v->v->id,
                                .file_id = v->job->file_id,
                                .owner_id = q->ws->owner_id,
                                .values = values};
    struct form_result f;
    for (size_t i = 0; i < in->previous.n; i++)
        values[form.n_values++] = (struct cm_pair){in->previous.v[i].name, in->previous.v[i].value};
    /* The last of a name counts there, the first here. */
    for (size_t i = in->given.n; i > 0; i--)
        values[form.n_values++] =
            (struct cm_pair){in->given.v[i - 1].name, in->given.v[i - 1].value};
    if (form_load(r->db, r->arena, &form, &f, err) != CM_OK)
        return err->code;
    ret->tags = form_tags(r->arena, &f, v->job->tags, v->job->n_tags, true, &ret->n_tags);
    if (q->ws->template_use_classic_parameter_flow)
        return CM_OK;
    struct api_template_version_parameter *declared =
        CM_NEW_ARRAY(r->arena, struct api_template_version_parameter, f.n);
    for (size_t i = 0; i < f.n; i++)
        declared[i] = f.v[i].p;
    in->declared = declared;
    in->n_declared = f.n;
    return CM_OK;
}

static enum cm_code resolve(struct api_req *r, const struct build_request *q,
                            const struct version_view *v, struct cm_uuid previous_build,
                            struct inputs *ret, struct cm_err *err)
{
    struct parameter_resolve in = {.first_build = q->first};
    struct api_template_version_parameter *declared = NULL;
    struct api_workspace_build_parameter *before = NULL;
    size_t n_before = 0;
    if (store_template_version_parameters(r->db, r->arena, v->v->id, &declared, &in.n_declared,
                                          err) != CM_OK)
        return err->code;
    if (!q->first &&
        store_build_parameters(r->db, r->arena, previous_build, &before, &n_before, err) != CM_OK)
        return err->code;
    if (with_preset(r, q, v->v->id, &in.given, err) != CM_OK)
        return err->code;
    in.declared = declared;
    in.previous = (struct parameter_values){before, n_before};
    if (declare(r, q, v, &in, ret, err) != CM_OK)
        return err->code;
    parameters_resolve(r->arena, &in, &ret->values, &ret->n, &r->violations);
    return CM_OK;
}

static enum cm_code insert_rows(struct api_req *r, const struct build_request *q,
                                const struct version_view *v, const struct inputs *in,
                                struct cm_uuid id, bool *ret_active, struct cm_err *err)
{
    struct cm_uuid job_id = cm_uuid_random();
    struct cm_str input = cm_arena_fmt(r->arena, "{\"workspace_build_id\":\"%s\"%s%s}",
                                       cm_uuid_text(id).s, q->orphan ? ",\"orphan\":true" : "",
                                       q->debug_log ? ",\"log_level\":\"debug\"" : "");
    struct store_job_insert_args job = {.id = job_id,
                                        .organization_id = q->ws->organization_id,
                                        .initiator_id = r->who->user_id,
                                        .type = API_PROVISIONER_JOB_TYPE_WORKSPACE_BUILD,
                                        .provisioner = API_PROVISIONER_TYPE_TERRAFORM,
                                        .file_id = v->job->file_id,
                                        .tags = in->tags,
                                        .n_tags = in->n_tags,
                                        .input = input};
    struct store_build_insert_args build = {.id = id,
                                            .workspace_id = q->ws->id,
                                            .template_version_id = v->v->id,
                                            .template_version_preset_id =
                                                cm_uuid_is_nil(q->preset_id) ? NULL : &q->preset_id,
                                            .job_id = job_id,
                                            .initiator_id = r->who->user_id,
                                            .transition = q->transition,
                                            .reason = q->reason,
                                            .provisioner_state = q->state};
    int64_t *number = NULL;
    if (store_job_insert(r->db, r->arena, &job, NULL, err) != CM_OK ||
        store_build_insert(r->db, r->arena, &build, &number, err) != CM_OK)
        return err->code;
    *ret_active = !number;
    if (!number)
        return CM_OK;
    size_t n = in->n;
    struct cm_str *names = CM_NEW_ARRAY(r->arena, struct cm_str, n),
                  *texts = CM_NEW_ARRAY(r->arena, struct cm_str, n);
    for (size_t i = 0; i < n; i++) {
        names[i] = in->values[i].name;
        texts[i] = in->values[i].value;
    }
    if (n &&
        store_build_parameters_insert(r->db, r->arena, id, names, n, texts, n, NULL, err) != CM_OK)
        return err->code;
    if (hub_notify(r->db, err, TOPIC_JOBS) != CM_OK)
        return err->code;
    return hub_notify(r->db, err, TOPIC_WS_FMT, cm_uuid_text(q->ws->id).s);
}

enum cm_code build_start(struct api_req *r, const struct build_request *q, struct cm_uuid *ret_id,
                         struct cm_err *err)
{
    struct cm_uuid version_id =
        cm_uuid_is_nil(q->version_id) ? q->ws->latest_version_id : q->version_id;
    struct version_view v;
    struct inputs in = {0};
    if (version_view_load(r, version_id, &v, err) != CM_OK)
        return err->code;
    if (!cm_uuid_eq(v.v->template_id, q->ws->template_id)) {
        api_reply_invalid(r, "The template version does not belong to the workspace's template.",
                          "template_version_id", "belongs to another template");
        return CM_OK;
    }
    if (!version_ready(r, &v))
        return CM_OK;
    if (resolve(r, q, &v, q->ws->latest_build_id, &in, err) != CM_OK)
        return err->code;
    /* Stopping and deleting must work whatever the parameters are by now. */
    if (r->violations.n && q->transition == API_WORKSPACE_TRANSITION_START) {
        api_reply_message(r, 400, "Validation failed for the build's parameters.", NULL);
        return CM_OK;
    }
    r->violations.n = 0;
    struct cm_uuid id = cm_uuid_random();
    bool active = false;
    enum cm_code code = insert_rows(r, q, &v, &in, id, &active, err);
    if (active || (code == CM_CONFLICT && cm_db_violates(r->db, "workspace_builds_number_key"))) {
        api_reply_message(r, 409, "A workspace build is already active.", NULL);
        return CM_OK;
    }
    if (code == CM_OK)
        *ret_id = id;
    return code;
}
