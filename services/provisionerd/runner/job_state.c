/* The workspace's Terraform state: terraform writes the file after each resource, and each version
 * of it that is whole goes to the host at once, so that whatever happens to this machine, nothing
 * that was made is forgotten. */
#include <sys/stat.h>

#include "runner/job_impl.h"
#include "sys/fs.h"

static const char *state_path(struct job *j)
{
    return cm_fs_join(j->a, j->src, "terraform.tfstate");
}

enum cm_code job_state_load(struct job *j, bool *ret_has_objects, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf state = CM_BUF_INIT(JOB_STATE_MAX);
    *ret_has_objects = false;
    if (j->msg->orphan || j->msg->state_size <= 0)
        return CM_OK;
    enum cm_code code =
        j->host->fetch(j->host->ctx, PB_ENUM(FETCH_REQUEST__WHAT__STATE), &state, err);
    if (code != CM_OK)
        return cm_err_wrap(err, "fetch the workspace's state");
    *ret_has_objects = tf_state_has_objects(cm_buf_view(&state));
    j->last_state = cm_str(tf_sha256_hex(j->a, cm_buf_view(&state)));
    return cm_fs_write(state_path(j), cm_buf_view(&state), 0600, false, err);
}

/* Hands the text to the host unless it has it already. */
static void send_state(struct job *j, struct cm_str text, bool always)
{
    struct cm_str hash = cm_str(tf_sha256_hex(j->a, text));
    if (!always && cm_str_eq(hash, j->last_state))
        return;
    j->last_state = hash;
    j->host->state(j->host->ctx, text);
}

void job_state_watch(struct job *j)
{
    struct stat st;
    if (!j->state_watched || stat(state_path(j), &st) < 0)
        return;
    struct cm_time now = {(cm_usec)st.st_mtim.tv_sec * CM_SECOND + st.st_mtim.tv_nsec / 1000};
    if (now.us == j->state_seen.us)
        return;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(JOB_STATE_MAX);
    /* terraform writes in place: what is not whole yet is looked at again at the next tick. */
    if (cm_fs_read(state_path(j), &text, NULL) != CM_OK ||
        !tf_state_is_complete(cm_buf_view(&text)))
        return;
    j->state_seen = now;
    send_state(j, cm_buf_view(&text), false);
}

enum cm_code job_state_final(struct job *j, bool always, struct cm_buf *out, struct cm_err *err)
{
    j->state_watched = false;
    if (!cm_fs_exists(state_path(j)))
        return CM_OK;
    enum cm_code code = cm_fs_read(state_path(j), out, err);
    if (code != CM_OK)
        return cm_err_wrap(err, "read the new state");
    if (out->len > 0)
        send_state(j, cm_buf_view(out), always);
    return CM_OK;
}
