#include "terraform/environ.h"

#include "base/uuid.h"
#include "codec/json.h"

/* The kernel's limit for one string of the environment, with its NUL (MAX_ARG_STRLEN). */
#define ENV_STRING_MAX ((size_t)128 << 10)

/* Of the host's variables, what terraform must not see. */
static bool is_dropped(struct cm_str entry)
{
    static const char *const prefixes[] = {
        "CODER_",
        "TF_CLI_ARGS",
        "TF_DATA_DIR=",
        "TF_WORKSPACE=",
        "TF_INPUT=",
        "TF_REATTACH_PROVIDERS=",
        "TF_LOG",
        "TF_PLUGIN_CACHE",
        "TF_CLI_CONFIG_FILE=",
        "TF_IN_AUTOMATION=",
        "NOTIFY_SOCKET=",
        "LISTEN_PID=",
        "LISTEN_FDS=",
        "CHECKPOINT_DISABLE=",
    };
    for (size_t i = 0; i < CM_COUNT_OF(prefixes); i++) {
        if (cm_str_starts(entry, cm_str(prefixes[i])))
            return true;
    }
    return false;
}

static void push(struct tf_env *e, const char *entry)
{
    if (e->n + 1 >= e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 64;
        const char **v = CM_NEW_ARRAY(e->arena, const char *, cap);
        if (e->n > 0)
            memcpy(v, e->v, e->n * sizeof *v);
        e->v = v;
        e->cap = cap;
    }
    e->v[e->n++] = entry;
    e->v[e->n] = NULL;
}

void tf_env_set(struct tf_env *e, const char *name, const char *value)
{
    if (!value)
        return;
    size_t name_len = strlen(name);
    if (name_len + strlen(value) + 2 > ENV_STRING_MAX) {
        if (!e->too_long)
            e->too_long = cm_arena_printf(e->arena, "%s", name);
        return;
    }
    char *entry = cm_arena_printf(e->arena, "%s=%s", name, value);
    for (size_t i = 0; i < e->n; i++) {
        if (strncmp(e->v[i], entry, name_len + 1) == 0) {
            e->v[i] = entry;
            return;
        }
    }
    push(e, entry);
}

void tf_env_init(struct tf_env *e, struct cm_arena *a, const char *const *host,
                 const struct tf_install *install)
{
    *e = (struct tf_env){.arena = a};
    for (; *host; host++) {
        if (!is_dropped(cm_str(*host)))
            push(e, *host);
    }
    tf_env_set(e, "TF_IN_AUTOMATION", "1");
    tf_env_set(e, "TF_INPUT", "0");
    tf_env_set(e, "CHECKPOINT_DISABLE", "1");
    tf_env_set(e, "TF_CLI_CONFIG_FILE", install->cli_config);
    tf_env_set(e, "TF_PLUGIN_CACHE_DIR", install->plugin_cache);
    /* terraform and its providers talk over unix sockets that only our user can open. Certificates
     * for each of the three starts of a provider in one apply cost 90 ms of its 230. */
    tf_env_set(e, "TF_DISABLE_PLUGIN_TLS", "1");
    /* A job's folder is new, so its lock file is no more than what this very init writes. */
    tf_env_set(e, "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE", "1");
}

static const char *uuid_of(struct cm_arena *a, const ProtobufCBinaryData *d)
{
    struct cm_uuid u;
    if (d->len != sizeof u.b)
        return NULL;
    memcpy(u.b, d->data, sizeof u.b);
    return cm_arena_printf(a, "%s", cm_uuid_text(u).s);
}

static const char *transition_name(PB(Transition) t)
{
    /* As the provider knows them. */
    if (t == PB_ENUM(TRANSITION__STOP))
        return "stop";
    return t == PB_ENUM(TRANSITION__DELETE) ? "destroy" : "start";
}

static const char *groups_json(struct cm_arena *a, const PB(BuildContext) * c)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)1 << 20);
    cm_buf_char(&b, '[');
    for (size_t i = 0; i < c->n_owner_groups; i++) {
        if (i > 0)
            cm_buf_char(&b, ',');
        cm_json_write_str(&b, cm_str(c->owner_groups[i]));
    }
    cm_buf_char(&b, ']');
    return cm_arena_cstr(a, cm_buf_view(&b));
}

static void set_pairs(struct tf_env *e, const char *prefix, bool hashed, PB(Pair) *const *pairs,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *name = pairs[i]->name;
        if (hashed)
            name = tf_sha256_hex(e->arena, cm_str(name));
        else if (strchr(name, '='))
            continue;
        tf_env_set(e, cm_arena_printf(e->arena, "%s%s", prefix, name),
                   pairs[i]->value ? pairs[i]->value : "");
    }
}

static void set_context(struct tf_env *e, const PB(BuildContext) * c)
{
    struct cm_arena *a = e->arena;
    const struct {
        const char *name, *value;
    } rows[] = {
        {"CODER_AGENT_URL", c->access_url},
        {"CODER_WORKSPACE_TRANSITION", transition_name(c->transition)},
        {"CODER_WORKSPACE_NAME", c->workspace_name},
        {"CODER_WORKSPACE_ID", uuid_of(a, &c->workspace_id)},
        {"CODER_WORKSPACE_BUILD_ID", uuid_of(a, &c->workspace_build_id)},
        {"CODER_WORKSPACE_OWNER", c->owner_name},
        {"CODER_WORKSPACE_OWNER_ID", uuid_of(a, &c->owner_id)},
        {"CODER_WORKSPACE_OWNER_NAME", c->owner_full_name},
        {"CODER_WORKSPACE_OWNER_EMAIL", c->owner_email},
        {"CODER_WORKSPACE_OWNER_LOGIN_TYPE", c->owner_login_type},
        {"CODER_WORKSPACE_OWNER_GROUPS", groups_json(a, c)},
        {"CODER_WORKSPACE_OWNER_RBAC_ROLES",
         c->owner_rbac_roles_json ? c->owner_rbac_roles_json : "[]"},
        {"CODER_WORKSPACE_OWNER_OIDC_ACCESS_TOKEN", c->owner_oidc_access_token},
        {"CODER_WORKSPACE_OWNER_SESSION_TOKEN", c->owner_session_token},
        {"CODER_WORKSPACE_OWNER_SSH_PUBLIC_KEY", c->owner_ssh_public_key},
        {"CODER_WORKSPACE_OWNER_SSH_PRIVATE_KEY", c->owner_ssh_private_key},
        {"CODER_WORKSPACE_TEMPLATE_ID", uuid_of(a, &c->template_id)},
        {"CODER_WORKSPACE_TEMPLATE_NAME", c->template_name},
        {"CODER_WORKSPACE_TEMPLATE_VERSION", c->template_version},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++)
        tf_env_set(e, rows[i].name, rows[i].value);
    set_pairs(e, "CODER_EXTERNAL_AUTH_ACCESS_TOKEN_", false, c->external_auth_tokens,
              c->n_external_auth_tokens);
    set_pairs(e, "CODER_GIT_AUTH_ACCESS_TOKEN_", false, c->external_auth_tokens,
              c->n_external_auth_tokens);
    set_pairs(e, "CODER_AGENT_SCRIPT_", false, c->agent_scripts, c->n_agent_scripts);
}

enum cm_code tf_env_add_job(struct tf_env *e, const PB(Job) * job, struct cm_err *err)
{
    if (job->context)
        set_context(e, job->context);
    set_pairs(e, "CODER_PARAMETER_", true, job->parameters, job->n_parameters);
    set_pairs(e, "CODER_PARAMETER_PREVIOUS_", true, job->previous_parameters,
              job->n_previous_parameters);
    if (job->log_level && strcmp(job->log_level, "debug") == 0)
        tf_env_set(e, "TF_LOG", "JSON");
    if (!e->too_long)
        return CM_OK;
    for (size_t i = 0; i < job->n_parameters; i++) {
        if (job->parameters[i]->value && strlen(job->parameters[i]->value) > ENV_STRING_MAX - 128)
            return cm_err_set(err, CM_TOO_LARGE,
                              "the value of parameter \"%s\" is longer than 128 KiB",
                              job->parameters[i]->name);
    }
    return cm_err_set(err, CM_TOO_LARGE, "the value of %s is longer than 128 KiB", e->too_long);
}
