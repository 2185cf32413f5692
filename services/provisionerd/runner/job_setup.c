/* From the archive to a folder in which terraform can plan. */
#include <sys/stat.h>

#include "runner/job_impl.h"
#include "sys/fs.h"
#include "terraform/unpack.h"
#include "terraform/varfile.h"

#define SOURCE_MAX  ((size_t)100 << 20)
#define BACKEND_MAX ((size_t)1 << 20)

static struct cm_str bytes_view(bool has, const ProtobufCBinaryData *d)
{
    return has ? cm_str_n(d->data, d->len) : CM_STR_NONE;
}

static enum cm_code fetch_source(struct job *j, struct cm_err *err)
{
    if (version_cache_get_source(j->cfg->cache, j->key, &j->source))
        return CM_OK;
    cm_buf_reset(&j->source);
    enum cm_code code =
        j->host->fetch(j->host->ctx, PB_ENUM(FETCH_REQUEST__WHAT__SOURCE), &j->source, err);
    return code == CM_OK ? CM_OK : cm_err_wrap(err, "fetch the template");
}

static enum cm_code unpack_source(struct job *j, struct cm_err *err)
{
    unsigned skipped = 0;
    enum cm_code code = cm_fs_mkdirs(j->src, 0700, err);
    if (code == CM_OK)
        code = tf_unpack(cm_buf_view(&j->source), j->src, TF_UNPACK_SOURCE, &skipped, err);
    if (code == CM_OK && skipped > 0)
        job_logf(j, "warn",
                 "%u entries of the archive were left out: links, special files and terraform's "
                 "own files",
                 skipped);
    return code;
}

static enum cm_code write_variables(struct job *j, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT((size_t)16 << 20);
    size_t unknown = 0;
    enum cm_code code = tf_variables_read(j->a, j->src, &j->variables, err);
    if (code != CM_OK)
        return code;
    text.wipe = true;
    tf_varfile_format(&j->variables, j->msg->variables, j->msg->n_variables, &text, &unknown);
    if (unknown > 0)
        job_logf(j, "warn",
                 "%zu template variables have values but are not declared by the template",
                 unknown);
    code = cm_buf_check(&text, "the template variables", err);
    if (code != CM_OK || text.len == 0)
        return code;
    const char *path = cm_fs_join(j->a, j->folder, "variables.tfvars");
    j->var_file = cm_arena_printf(j->a, "-var-file=%s", path);
    return cm_fs_write(path, cm_buf_view(&text), 0600, false, err);
}

enum cm_code job_setup(struct job *j, struct cm_err *err)
{
    job_stage(j, STAGE_SETUP);
    j->src = cm_fs_join(j->a, j->folder, "src");
    j->key =
        version_cache_key(j->a, cm_str_n(j->msg->source_file_id.data, j->msg->source_file_id.len),
                          bytes_view(j->msg->has_modules_file_id, &j->msg->modules_file_id),
                          j->cfg->install->fingerprint);
    tf_env_init(&j->basic, j->a, j->cfg->host_env, j->cfg->install);
    tf_env_init(&j->full, j->a, j->cfg->host_env, j->cfg->install);
    enum cm_code code = tf_env_add_job(&j->full, j->msg, err);
    if (code == CM_OK)
        code = fetch_source(j, err);
    if (code == CM_OK)
        code = unpack_source(j, err);
    if (code == CM_OK)
        code = write_variables(j, err);
    return code;
}

/* The modules that the import fetched. Without them init fetches them again, where there is a
 * network. */
static void restore_modules(struct job *j)
{
    CM_AUTOBUF struct cm_buf archive = CM_BUF_INIT(TF_ARCHIVE_MAX);
    const char *dir = cm_fs_join(j->a, j->src, ".terraform");
    struct cm_err err;
    if (!j->msg->has_modules_file_id || j->msg->modules_size <= 0)
        return;
    enum cm_code code =
        j->host->fetch(j->host->ctx, PB_ENUM(FETCH_REQUEST__WHAT__MODULES), &archive, &err);
    if (code == CM_OK)
        code = cm_fs_mkdirs(dir, 0700, &err);
    if (code == CM_OK)
        code = tf_unpack(cm_buf_view(&archive), dir, TF_UNPACK_MODULES, NULL, &err);
    if (code != CM_OK)
        job_logf(j, "warn", "the stored modules cannot be used: %s", err.text);
}

/* What terraform has noted about a backend in the configuration. Where its state goes elsewhere
 * than to the usual file, the deployment would have none: a workspace without resources, of which
 * nothing could ever be destroyed. */
static enum cm_code check_backend(struct job *j, struct cm_err *err)
{
    const char *path = cm_fs_join(j->a, j->src, ".terraform/terraform.tfstate");
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(BACKEND_MAX);
    const struct cm_json *root = NULL;
    if (!cm_fs_exists(path))
        return CM_OK;
    if (cm_fs_read(path, &text, err) != CM_OK ||
        cm_json_parse(j->a, cm_buf_view(&text), NULL, &root, err) != CM_OK)
        return cm_err_wrap(err, "read the template's backend");
    const struct cm_json *backend = cm_json_get(root, "backend");
    const struct cm_json *config = cm_json_get(backend, "config");
    struct cm_str type = cm_json_str(cm_json_get(backend, "type"));
    if (!backend || (cm_str_eq_c(type, "local") && !cm_json_str(cm_json_get(config, "path")).len &&
                     !cm_json_str(cm_json_get(config, "workspace_dir")).len))
        return CM_OK;
    return cm_err_set(err, CM_INVALID,
                      "the template keeps Terraform's state by itself (backend \"%.*s\"): remove "
                      "its backend or cloud block, since the deployment keeps the state of each "
                      "workspace",
                      CM_STR_ARG(type));
}

enum cm_code job_init(struct job *j, struct cm_err *err)
{
    job_stage(j, STAGE_INIT);
    j->timing_stage = "init";
    struct cm_time began = cm_time_now();
    if (version_cache_restore(j->cfg->cache, j->key, j->src)) {
        job_logf(j, "info", "Providers and modules of this template version are already here");
        job_add_timing(j, began, cm_time_now(), CM_STR("load"), CM_STR("template version"),
                       CM_STR("cache"));
        return CM_OK;
    }
    if (tf_lock_forget_own(j->src, err) != CM_OK)
        return err->code;
    restore_modules(j);
    const char *const args[] = {"init", "-no-color", "-input=false", "-json", NULL};
    const char *const old_args[] = {"init", "-no-color", "-input=false", NULL};
    if (job_terraform(j, j->cfg->terraform->number >= 10900 ? args : old_args, &j->basic, err) !=
        CM_OK)
        return err->code;
    return check_backend(j, err);
}

enum cm_code job_graph(struct job *j, struct tf_graph **ret, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf dot = CM_BUF_INIT((size_t)64 << 20);
    const char *const args[] = {"graph", "-type=plan", NULL};
    const char *const old_args[] = {"graph", NULL};
    if (!version_cache_get_graph(j->cfg->cache, j->key, &dot)) {
        cm_buf_reset(&dot);
        j->timing_stage = "graph";
        struct cm_time began = cm_time_now();
        enum cm_code code = job_terraform_output(
            j, j->cfg->terraform->number >= 10700 ? args : old_args, &dot, err);
        if (code != CM_OK)
            return code;
        job_add_timing(j, began, cm_time_now(), CM_STR("building terraform dependency graph"),
                       CM_STR("state file"), CM_STR("terraform"));
        version_cache_keep(j->cfg->cache, j->key, cm_buf_view(&j->source), cm_buf_view(&dot),
                           j->src);
    }
    return tf_graph_read(j->a, cm_buf_view(&dot), ret, err);
}
