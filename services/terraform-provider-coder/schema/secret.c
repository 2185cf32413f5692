/* data coder_secret: a secret that the owner must have stored, as a variable or a file. */
#include "base/buf.h"
#include "base/enc.h"
#include "schema/types.h"

static void check_env_name(const struct check *c, const struct value *v)
{
    bool ok = v->str.len > 0;
    for (size_t i = 0; ok && i < v->str.len; i++) {
        char ch = v->str.ptr[i];
        bool digit = ch >= '0' && ch <= '9';
        ok = ch == '_' || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (digit && i > 0);
    }
    if (!ok)
        check_fail(c, "invalid value for %.*s (must be a valid POSIX environment variable name)",
                   CM_STR_ARG(c->key));
}

static void check_file(const struct check *c, const struct value *v)
{
    if (!cm_str_starts(v->str, CM_STR("/")) && !cm_str_starts(v->str, CM_STR("~/")))
        check_fail(c, "invalid value for %.*s (must start with `/` or `~/`)", CM_STR_ARG(c->key));
}

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {.name = "env",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Environment variable that holds the secret.",
     .check = check_env_name},
    {.name = "file",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "File that holds the secret.",
     .check = check_file},
    {.name = "help_message",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "What to tell a user who lacks the secret."},
    {.name = "value",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED | F_SENSITIVE,
     .about = "The secret."},
};

static const char *file_variable(struct call *c, struct cm_str path)
{
    CM_AUTOBUF struct cm_buf hex = CM_BUF_INIT(path.len * 2);
    cm_hex_encode(&hex, path.ptr, path.len);
    return cm_arena_printf(c->arena, "CODER_SECRET_FILE_%.*s", CM_STR_ARG(cm_buf_view(&hex)));
}

static void report_missing(struct call *c, const struct value *config, const char *what,
                           struct cm_str name)
{
    struct cm_str quoted = call_quote(c, name);
    struct diag *d =
        call_error(c, PATH_ROOT, "Missing required secret: %s %.*s", what, CM_STR_ARG(quoted));
    d->detail = cm_arena_fmt(
        c->arena,
        "This workspace needs a secret for the %s %.*s.\n\n%.*s\n\nAdd the secret to your account "
        "and start the workspace again.",
        what, CM_STR_ARG(quoted), CM_STR_ARG(value_str(config, "help_message")));
}

static void secret_read(struct call *c, const struct value *config, struct value *state)
{
    struct cm_str env = value_str(config, "env"), file = value_str(config, "file");
    if (!env.len == !file.len) {
        call_error(c, PATH_ROOT, "exactly one of `env` or `file` must be set");
        return;
    }
    const char *variable = env.len
                               ? cm_arena_printf(c->arena, "CODER_SECRET_ENV_%.*s", CM_STR_ARG(env))
                               : file_variable(c, file);
    struct cm_str name = env.len ? env : file;
    struct cm_str id =
        cm_arena_fmt(c->arena, "%s:%.*s", env.len ? "env" : "file", CM_STR_ARG(name));
    struct cm_str secret = call_env(c, variable, NULL);
    value_set(state, "id", value_of_str(id));
    value_set(state, "value", value_of_str(secret));
    bool starts = cm_str_eq_c(call_env(c, "CODER_WORKSPACE_TRANSITION", NULL), "start") &&
                  call_env(c, "CODER_WORKSPACE_BUILD_ID", NULL).len > 0;
    if (!secret.len && starts)
        report_missing(c, config, env.len ? "environment variable" : "file", name);
}

const struct type data_secret = {
    .name = "coder_secret",
    .about = "A secret of the workspace's owner.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .data = true,
    .read = secret_read,
};
