#include "rpc/job.h"

#include "api/auth.h"
#include "base/random.h"
#include "codec/json.h"
#include "domain/init_script.h"
#include "domain/rbac.h"
#include "net/rpc/wire.h"
#include "options.h"
#include "store/api_keys.h"
#include "store/builds.h"
#include "store/files.h"
#include "store/groups.h"
#include "store/organizations.h"
#include "store/template_versions.h"
#include "store/templates.h"
#include "store/users.h"
#include "store/workspaces.h"

typedef Coder__Provisioner__V1__Pair wire_pair;

static struct cm_uuid json_uuid(const struct cm_json *n, const char *key)
{
    struct cm_uuid id = {{0}};
    cm_ignore(!cm_uuid_parse(cm_json_str(cm_json_get(n, key)), &id), "absent reads as nil");
    return id;
}

struct job_input job_input_parse(struct cm_arena *a, struct cm_str input)
{
    const struct cm_json *n = NULL;
    cm_ignore(cm_json_parse(a, input, NULL, &n, NULL) != CM_OK,
              "our own JSON; broken reads as empty");
    return (struct job_input){.template_version_id = json_uuid(n, "template_version_id"),
                              .workspace_build_id = json_uuid(n, "workspace_build_id"),
                              .orphan = cm_json_bool(cm_json_get(n, "orphan")),
                              .debug_log =
                                  cm_str_eq_c(cm_json_str(cm_json_get(n, "log_level")), "debug"),
                              .workspace_name = cm_json_str(cm_json_get(n, "workspace_name")),
                              .parameters = cm_json_get(n, "rich_parameter_values")};
}

static wire_pair *pair(struct cm_arena *a, struct cm_str name, struct cm_str value, bool sensitive)
{
    wire_pair *p = CM_NEW(a, wire_pair);
    coder__provisioner__v1__pair__init(p);
    p->name = cm_arena_cstr(a, name);
    p->value = cm_arena_cstr(a, value);
    p->has_sensitive = true;
    p->sensitive = sensitive;
    return p;
}

/* For an import, what the user has given; later only what differs from the template's own defaults,
 * which terraform knows better (a default may be null, or no string). */
static enum cm_code add_variables(struct cm_db *db, struct cm_arena *a, struct cm_uuid version_id,
                                  Coder__Provisioner__V1__Job *job, struct cm_err *err)
{
    struct api_template_version_variable *v = NULL;
    size_t n = 0;
    if (store_template_version_variables(db, a, version_id, &v, &n, err) != CM_OK)
        return err->code;
    job->variables = CM_NEW_ARRAY(a, wire_pair *, n);
    for (size_t i = 0; i < n; i++) {
        bool import = job->kind == CODER__PROVISIONER__V1__JOB_KIND__TEMPLATE_IMPORT;
        if (import || v[i].required || !cm_str_eq(v[i].value, v[i].default_value))
            job->variables[job->n_variables++] = pair(a, v[i].name, v[i].value, v[i].sensitive);
    }
    return CM_OK;
}

static enum cm_code add_parameters(struct cm_db *db, struct cm_arena *a, struct cm_uuid build_id,
                                   wire_pair ***ret, size_t *ret_n, struct cm_err *err)
{
    struct api_workspace_build_parameter *p = NULL;
    size_t n = 0;
    if (store_build_parameters(db, a, build_id, &p, &n, err) != CM_OK)
        return err->code;
    *ret = CM_NEW_ARRAY(a, wire_pair *, n);
    for (size_t i = 0; i < n; i++)
        (*ret)[i] = pair(a, p[i].name, p[i].value, false);
    *ret_n = n;
    return CM_OK;
}

/* [{"name": ..., "org_id": ...}], as templates read it. */
static enum cm_code roles_json(struct cm_db *db, struct cm_arena *a, const struct store_user *u,
                               char **ret, struct cm_err *err)
{
    struct store_user_org_roles *orgs = NULL;
    size_t n = 0;
    if (store_user_org_roles_get(db, a, u->id, &orgs, &n, err) != CM_OK)
        return err->code;
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(64 * 1024);
    cm_buf_cstr(&b, "[{\"name\":\"member\",\"org_id\":\"\"}");
    for (size_t i = 0; i < u->n_rbac_roles; i++)
        cm_buf_printf(&b, ",{\"name\":\"%.*s\",\"org_id\":\"\"}", CM_STR_ARG(u->rbac_roles[i]));
    for (size_t i = 0; i < n; i++) {
        const char *org = cm_arena_cstr(a, cm_str(cm_uuid_text(orgs[i].organization_id).s));
        cm_buf_printf(&b, ",{\"name\":\"organization-member\",\"org_id\":\"%s\"}", org);
        for (size_t k = 0; k < orgs[i].n_roles; k++)
            cm_buf_printf(&b, ",{\"name\":\"%.*s\",\"org_id\":\"%s\"}",
                          CM_STR_ARG(orgs[i].roles[k]), org);
    }
    cm_buf_cstr(&b, "]");
    if (cm_buf_check(&b, "the list of roles", err) != CM_OK)
        return err->code;
    *ret = cm_arena_cstr(a, cm_buf_view(&b));
    return CM_OK;
}

/* A key for templates to act as the owner: made anew for each start, gone with stop. */
static enum cm_code owner_key(struct coderd *app, struct cm_db *db, struct cm_arena *a,
                              const struct store_build *b, char **ret, struct cm_err *err)
{
    struct cm_str name =
        cm_arena_fmt(a, "%s_%s_session_token", cm_uuid_text(b->workspace_owner_id).s,
                     cm_uuid_text(b->workspace_id).s);
    if (store_api_key_delete_by_name(db, a, b->workspace_owner_id, name, NULL, err) != CM_OK)
        return err->code;
    if (b->transition != API_WORKSPACE_TRANSITION_START)
        return CM_OK;
    static const struct cm_str all[] = {{"coder:all", 9}};
    char key[AUTH_KEY_LEN + 1];
    uint8_t hash[32];
    auth_key_make(key, hash);
    cm_usec life = app->opt->max_token_lifetime;
    struct store_api_key_insert_args row = {.id = cm_str_n(key, AUTH_KEY_ID_LEN),
                                            .hashed_secret = cm_str_n(hash, sizeof(hash)),
                                            .user_id = b->workspace_owner_id,
                                            .login_type = CM_STR("token"),
                                            .token_name = name,
                                            .scopes = all,
                                            .n_scopes = 1,
                                            .lifetime_seconds = life / CM_SECOND,
                                            .ip_address = CM_STR(""),
                                            .expires_at = cm_time_add(cm_time_now(), life)};
    if (store_api_key_insert(db, a, &row, NULL, err) != CM_OK)
        return err->code;
    *ret = cm_arena_cstr(a, cm_str(key));
    return CM_OK;
}

static void add_scripts(struct cm_arena *a, Coder__Provisioner__V1__BuildContext *c)
{
    c->agent_scripts = CM_NEW_ARRAY(a, wire_pair *, 16);
    for (size_t i = 0; init_script_pairs[i][0]; i++) {
        const char *os = init_script_pairs[i][0], *arch = init_script_pairs[i][1];
        c->agent_scripts[c->n_agent_scripts++] =
            pair(a, cm_arena_fmt(a, "%s_%s", os, arch),
                 cm_str(init_script(cm_str(os), cm_str(arch))), false);
    }
}

static enum cm_code add_owner(struct cm_db *db, struct cm_arena *a, struct cm_uuid owner_id,
                              struct cm_uuid org_id, Coder__Provisioner__V1__BuildContext *c,
                              struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_git_ssh_key *ssh = NULL;
    struct store_group *groups = NULL;
    size_t n_groups = 0;
    if (store_user_by_id(db, a, owner_id, &u, err) != CM_OK)
        return cm_err_wrap(err, "owner of the workspace");
    if (store_groups(db, a, &org_id, &owner_id, NULL, 0, CM_STR_NONE, &groups, &n_groups, err) !=
        CM_OK)
        return err->code;
    enum cm_code code = store_git_ssh_key_get(db, a, owner_id, &ssh, err);
    if (code != CM_OK && code != CM_NOT_FOUND)
        return code;
    c->has_owner_id = true;
    c->owner_id = cm_rpc_uuid(a, owner_id);
    c->owner_name = cm_arena_cstr(a, u->username);
    c->owner_full_name = cm_arena_cstr(a, u->name);
    c->owner_email = cm_arena_cstr(a, u->email);
    c->owner_login_type = cm_arena_cstr(a, cm_str(api_login_type_enum.texts[u->login_type]));
    c->owner_groups = CM_NEW_ARRAY(a, char *, n_groups);
    for (size_t i = 0; i < n_groups; i++)
        c->owner_groups[c->n_owner_groups++] = cm_arena_cstr(a, groups[i].name);
    if (ssh) {
        c->owner_ssh_public_key = cm_arena_cstr(a, ssh->public_key);
        c->owner_ssh_private_key = cm_arena_cstr(a, ssh->private_key);
    }
    return roles_json(db, a, u, &c->owner_rbac_roles_json, err);
}

static enum cm_code describe_build(struct coderd *app, struct cm_db *db, struct cm_arena *a,
                                   struct cm_uuid build_id, Coder__Provisioner__V1__Job *job,
                                   struct cm_err *err)
{
    static const Coder__Provisioner__V1__Transition transitions[] = {
        [API_WORKSPACE_TRANSITION_START] = CODER__PROVISIONER__V1__TRANSITION__START,
        [API_WORKSPACE_TRANSITION_STOP] = CODER__PROVISIONER__V1__TRANSITION__STOP,
        [API_WORKSPACE_TRANSITION_DELETE] = CODER__PROVISIONER__V1__TRANSITION__DELETE,
    };
    Coder__Provisioner__V1__BuildContext *c = job->context;
    struct store_build *b = NULL, *before = NULL;
    struct store_template *t = NULL;
    struct cm_str *state = NULL;
    if (store_build_by_id(db, a, build_id, &b, err) != CM_OK ||
        store_build_state(db, a, build_id, &state, err) != CM_OK ||
        store_template_by_id(db, a, b->template_id, &t, err) != CM_OK)
        return cm_err_wrap(err, "workspace build");
    if (add_parameters(db, a, build_id, &job->parameters, &job->n_parameters, err) != CM_OK)
        return err->code;
    enum cm_code code =
        store_build_by_number(db, a, b->workspace_id, b->build_number - 1, &before, err);
    if (code == CM_OK)
        code = add_parameters(db, a, before->id, &job->previous_parameters,
                              &job->n_previous_parameters, err);
    if (code != CM_OK && code != CM_NOT_FOUND)
        return code;
    job->has_state_size = true;
    job->state_size = state ? (int64_t)state->len : 0;
    c->has_workspace_id = c->has_workspace_build_id = c->has_transition = c->has_template_id = true;
    c->workspace_id = cm_rpc_uuid(a, b->workspace_id);
    c->workspace_name = cm_arena_cstr(a, b->workspace_name);
    c->workspace_build_id = cm_rpc_uuid(a, b->id);
    c->transition = transitions[b->transition];
    c->template_id = cm_rpc_uuid(a, t->id);
    c->template_name = cm_arena_cstr(a, t->name);
    c->template_version = cm_arena_cstr(a, b->template_version_name);
    if (add_owner(db, a, b->workspace_owner_id, b->organization_id, c, err) != CM_OK)
        return err->code;
    return owner_key(app, db, a, b, &c->owner_session_token, err);
}

/* A workspace that will not be: its name and parameters come with the request, its owner is who
 * asked. */
static enum cm_code describe_dry_run(struct cm_db *db, struct cm_arena *a,
                                     const struct store_lease *lease,
                                     const struct store_template_version *v,
                                     const struct job_input *in, Coder__Provisioner__V1__Job *job,
                                     struct cm_err *err)
{
    Coder__Provisioner__V1__BuildContext *c = job->context;
    size_t n = cm_json_count(in->parameters);
    job->parameters = CM_NEW_ARRAY(a, wire_pair *, n);
    for (size_t i = 0; i < n; i++) {
        const struct cm_json *p = cm_json_at(in->parameters, i);
        job->parameters[job->n_parameters++] = pair(a, cm_json_str(cm_json_get(p, "name")),
                                                    cm_json_str(cm_json_get(p, "value")), false);
    }
    c->has_workspace_id = c->has_transition = true;
    c->workspace_id = cm_rpc_uuid(a, lease->id);
    c->workspace_name = cm_arena_cstr(a, in->workspace_name);
    c->transition = CODER__PROVISIONER__V1__TRANSITION__START;
    if (!cm_uuid_is_nil(v->template_id)) {
        struct store_template *t = NULL;
        if (store_template_by_id(db, a, v->template_id, &t, err) != CM_OK)
            return cm_err_wrap(err, "template");
        c->has_template_id = true;
        c->template_id = cm_rpc_uuid(a, t->id);
        c->template_name = cm_arena_cstr(a, t->name);
    }
    return add_owner(db, a, lease->initiator_id, lease->organization_id, c, err);
}

/* The modules that the import fetched, unless the template wants them fetched again. */
static enum cm_code add_modules(struct cm_db *db, struct cm_arena *a,
                                const struct store_template_version *v,
                                Coder__Provisioner__V1__Job *job, struct cm_err *err)
{
    struct store_file *f = NULL;
    struct store_template *t = NULL;
    if (cm_uuid_is_nil(v->modules_file_id))
        return CM_OK;
    if (!cm_uuid_is_nil(v->template_id)) {
        if (store_template_by_id(db, a, v->template_id, &t, err) != CM_OK)
            return cm_err_wrap(err, "template");
        if (t->disable_module_cache)
            return CM_OK;
    }
    if (store_file_by_id(db, a, v->modules_file_id, &f, err) != CM_OK)
        return cm_err_wrap(err, "modules of the template version");
    job->has_modules_file_id = job->has_modules_size = true;
    job->modules_file_id = cm_rpc_uuid(a, f->id);
    job->modules_size = f->size_bytes;
    return CM_OK;
}

enum cm_code job_describe(struct coderd *app, struct cm_db *db, struct cm_arena *a,
                          const struct store_lease *lease, cm_usec lease_time,
                          Coder__Provisioner__V1__Job **ret, struct cm_err *err)
{
    static const Coder__Provisioner__V1__JobKind kinds[] = {
        [API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT] =
            CODER__PROVISIONER__V1__JOB_KIND__TEMPLATE_IMPORT,
        [API_PROVISIONER_JOB_TYPE_WORKSPACE_BUILD] =
            CODER__PROVISIONER__V1__JOB_KIND__WORKSPACE_BUILD,
        [API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_DRY_RUN] =
            CODER__PROVISIONER__V1__JOB_KIND__TEMPLATE_DRY_RUN,
    };
    Coder__Provisioner__V1__Job *job = CM_NEW(a, Coder__Provisioner__V1__Job);
    coder__provisioner__v1__job__init(job);
    job->lease = CM_NEW(a, Coder__Provisioner__V1__Lease);
    coder__provisioner__v1__lease__init(job->lease);
    job->lease->job_id = cm_rpc_uuid(a, lease->id);
    job->lease->token = (uint64_t)lease->fencing_token;
    job->lease->lease_us = lease_time;
    job->kind = kinds[lease->type];
    job->context = CM_NEW(a, Coder__Provisioner__V1__BuildContext);
    coder__provisioner__v1__build_context__init(job->context);
    job->context->access_url = cm_arena_cstr(a, cm_str(app->access_url));
    add_scripts(a, job->context);
    struct store_file *file = NULL;
    enum cm_code code = store_file_by_id(db, a, lease->file_id, &file, err);
    if (code == CM_NOT_FOUND)
        return cm_err_set(err, CM_INVALID, "the template's archive is gone from the database");
    if (code != CM_OK)
        return code;
    job->source_file_id = cm_rpc_uuid(a, lease->file_id);
    job->source_size = file->size_bytes;
    struct job_input in = job_input_parse(a, lease->input);
    struct store_template_version *v = NULL;
    struct store_build *b = NULL;
    if (!cm_uuid_is_nil(in.workspace_build_id)) {
        if (store_build_by_id(db, a, in.workspace_build_id, &b, err) != CM_OK)
            return cm_err_wrap(err, "workspace build");
        in.template_version_id = b->template_version_id;
    }
    if (store_template_version_by_id(db, a, in.template_version_id, &v, err) != CM_OK)
        return cm_err_wrap(err, "template version");
    job->template_version_name = cm_arena_cstr(a, v->name);
    job->context->template_version = cm_arena_cstr(a, v->name);
    job->has_orphan = true;
    job->orphan = in.orphan;
    if (in.debug_log)
        job->log_level = cm_arena_cstr(a, CM_STR("debug"));
    if (add_variables(db, a, v->id, job, err) != CM_OK || add_modules(db, a, v, job, err) != CM_OK)
        return err->code;
    if (lease->type == API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_DRY_RUN &&
        describe_dry_run(db, a, lease, v, &in, job, err) != CM_OK)
        return err->code;
    if (b && describe_build(app, db, a, in.workspace_build_id, job, err) != CM_OK)
        return err->code;
    *ret = job;
    return CM_OK;
}
