#include "api/job_show.h"

#include "app.h"

enum cm_code job_load(struct api_req *r, struct cm_uuid id, struct store_job **ret,
                      struct cm_err *err)
{
    struct store_job *rows = NULL;
    size_t n = 0;
    if (store_jobs_by_ids(r->db, r->arena, &id, 1, &rows, &n, err) != CM_OK)
        return err->code;
    if (n == 0)
        return api_not_found(err);
    *ret = rows;
    return CM_OK;
}

static struct cm_uuid input_uuid(const struct cm_json *input, const char *key)
{
    struct cm_uuid id = {{0}};
    cm_ignore(!cm_uuid_parse(cm_json_str(cm_json_get(input, key)), &id), "absent reads as nil");
    return id;
}

struct api_provisioner_job *job_show(struct cm_arena *a, const struct store_job *j)
{
    struct api_provisioner_job *out = CM_NEW(a, struct api_provisioner_job);
    struct api_provisioner_job_input *input = CM_NEW(a, struct api_provisioner_job_input);
    const struct cm_json *node = NULL;
    int code = 0;
    cm_ignore(cm_json_parse(a, j->input, NULL, &node, NULL) != CM_OK,
              "our own JSON; broken reads as empty");
    input->template_version_id = input_uuid(node, "template_version_id");
    input->workspace_build_id = input_uuid(node, "workspace_build_id");
    cm_ignore(!cm_enum_parse(&api_job_error_code_enum, j->error_code, &code),
              "a new code reads as none");
    *out = (struct api_provisioner_job){
        .id = j->id,
        .created_at = j->created_at,
        .started_at = j->started_at,
        .completed_at = j->completed_at,
        .canceled_at = j->canceled_at,
        .error = j->error,
        .error_code = (enum api_job_error_code)code,
        .status = j->status,
        .worker_id = j->worker_id,
        .worker_name = j->worker_name,
        .file_id = j->file_id,
        .tags = j->tags,
        .n_tags = j->n_tags,
        .queue_position = j->queue_position,
        .queue_size = j->queue_size,
        .organization_id = j->organization_id,
        .initiator_id = j->initiator_id,
        .input = input,
        .type = j->type,
        .metadata = CM_NEW(a, struct api_provisioner_job_metadata),
        .logs_overflowed = j->logs_overflowed,
    };
    return out;
}

struct cm_pair *job_tags(struct cm_arena *a, const struct cm_pair *tags, size_t n,
                         struct cm_uuid user_id, size_t *ret_n)
{
    struct cm_pair *out = CM_NEW_ARRAY(a, struct cm_pair, n + 2);
    bool user_scope = false;
    size_t k = 2;
    for (size_t i = 0; i < n; i++) {
        if (cm_str_eq_c(tags[i].key, "scope"))
            user_scope = cm_str_eq_c(tags[i].value, "user");
        else if (!cm_str_eq_c(tags[i].key, "owner"))
            out[k++] = tags[i];
    }
    out[0] =
        (struct cm_pair){CM_STR("scope"), user_scope ? CM_STR("user") : CM_STR("organization")};
    out[1] = (struct cm_pair){CM_STR("owner"),
                              user_scope ? cm_arena_str(a, cm_str(cm_uuid_text(user_id).s))
                                         : CM_STR("")};
    *ret_n = k;
    return out;
}
