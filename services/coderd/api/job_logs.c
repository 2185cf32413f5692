/* Logs of a job: a list, a text, or a WebSocket that follows until the job has ended. Source:
 * api-behaviour reference, 5.1.
 *
 * The follower lives on its connection's loop. On news it submits a task that reads what is new on
 * a worker; the frames are sent back on the loop. One task at a time per follower; news meanwhile
 * is remembered. */
#include "api/job_show.h"
#include "api/socket.h"
#include "app.h"

#define PAGE 1000 /* rows a turn, so that a follower of a huge log holds little in memory */

static enum cm_code as_text(struct api_req *r, const struct api_provisioner_job_log *rows, size_t n)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)16 * 1024 * 1024);
    char when[CM_TIME_TEXT];
    for (size_t i = 0; i < n; i++)
        cm_buf_printf(&b, "%s [%s] [provisioner|%.*s] %.*s\n",
                      cm_time_format(log_time(rows[i].created_at), when),
                      api_log_level_enum.texts[rows[i].log_level], CM_STR_ARG(rows[i].stage),
                      CM_STR_ARG(rows[i].output));
    return api_reply_raw(r, 200, "text/plain; charset=utf-8",
                         cm_arena_str(r->arena, cm_buf_view(&b)));
}

/* What the follower's task found. */
static enum cm_code read_more(struct cm_db *db, struct cm_arena *a, struct socket_follow *f,
                              struct cm_buf *frames, bool *ret_end, struct cm_err *err)
{
    struct api_provisioner_job_log *rows = NULL;
    struct store_job *job = NULL;
    size_t n = 0, n_jobs = 0;
    /* The status first: lines are written before it becomes final, so none can be missed. */
    if (store_jobs_by_ids(db, a, &f->id, 1, &job, &n_jobs, err) != CM_OK ||
        store_job_logs(db, a, f->id, f->after, 0, PAGE, &rows, &n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        size_t at = socket_frame_begin(frames);
        cm_json_encode(frames, &api_provisioner_job_log_msg, &rows[i]);
        socket_frame_end(frames, at);
    }
    if (n)
        f->after = rows[n - 1].id;
    f->again = n == PAGE;
    *ret_end = !f->again && (!n_jobs || job->status == API_PROVISIONER_JOB_STATUS_SUCCEEDED ||
                             job->status == API_PROVISIONER_JOB_STATUS_FAILED ||
                             job->status == API_PROVISIONER_JOB_STATUS_CANCELED);
    return CM_OK;
}

enum cm_code job_logs_reply(struct api_req *r, struct cm_uuid job_id, struct cm_err *err)
{
    int64_t after = 0, before = 0;
    api_query_i64(r, "after", INT64_MIN, INT64_MAX, &after);
    api_query_i64(r, "before", INT64_MIN, INT64_MAX, &before);
    struct cm_str format = api_query(r, "format");
    bool text = cm_str_eq_c(format, "text");
    if (format.len && !text && !cm_str_eq_c(format, "json"))
        cm_violations_add(&r->violations, r->arena, CM_STR("format"), "must be json or text");
    if (text && api_query_has(r, "follow"))
        cm_violations_add(&r->violations, r->arena, CM_STR("format"), "text cannot be followed");
    if (api_query_check(r, err) != CM_OK)
        return err->code;
    if (api_query_has(r, "follow"))
        return socket_follow_start(
            r,
            &(struct socket_follow_config){.topic_fmt = TOPIC_JOB_FMT,
                                           .id = job_id,
                                           .after = CM_MAX(after, (int64_t)0),
                                           .read = read_more,
                                           .end_reason = "done"},
            err);
    struct api_provisioner_job_log *rows = NULL;
    size_t n = 0;
    if (store_job_logs(r->db, r->arena, job_id, after, CM_MAX(before, (int64_t)0), 0, &rows, &n,
                       err) != CM_OK)
        return err->code;
    if (text)
        return as_text(r, rows, n);
    return api_reply_list(r, 200, &api_provisioner_job_log_msg, rows, n);
}
