#include "cmd/cmd.h"

struct create_opts {
    const char *name, *lifetime, *user;
    struct cm_conf_list scopes, allow;
};

#define O(member) offsetof(struct create_opts, member)

static const struct cm_opt create_opts[] = {
    {CM_OPT_STR, O(lifetime), "lifetime", .env = "CODER_TOKEN_LIFETIME",
     .help = "Specify a duration for the lifetime of the token: Go's units, and d and y."},
    {CM_OPT_STR, O(name), "name", 'n', "CODER_TOKEN_NAME",
     .help = "Specify a human-readable name."},
    {CM_OPT_STR, O(user), "user", 'u', "CODER_TOKEN_USER",
     .help = "Specify the user to create the token for."},
    {CM_OPT_LIST, O(scopes), "scope", .env = "=",
     .help = "Repeatable scope to attach to the token."},
    {CM_OPT_LIST, O(allow), "allow", .env = "=",
     .help = "Repeatable allow-list entry, <type>:<uuid>."},
};

/* Go's form, or a whole number of years. */
static bool parse_lifetime(struct cm_str text, cm_usec *ret)
{
    int64_t years;
    if (text.len > 1 && text.ptr[text.len - 1] == 'y' &&
        cm_str_to_i64(cm_str_sub(text, 0, text.len - 1), &years) && years > 0 && years <= 100) {
        *ret = years * 365 * CM_DAY;
        return true;
    }
    return cm_duration_parse(text, ret);
}

static enum cm_code run_create(struct cli *cli, struct cm_err *err)
{
    const struct create_opts *o = cli->opts;
    struct api_generate_api_key_response *key = NULL;
    struct api_create_token_request req = {.token_name = cm_str(o->name)};
    cm_usec lifetime = 0;

    if (*o->lifetime && !parse_lifetime(cm_str(o->lifetime), &lifetime))
        return cm_err_set(err, CM_INVALID,
                          "invalid lifetime \"%s\": use a form such as 90m, 36h, 30d or 1y",
                          o->lifetime);
    req.lifetime = lifetime > INT64_MAX / 1000 ? INT64_MAX : lifetime * 1000;
    req.scopes = CM_NEW_ARRAY(cli->arena, struct cm_str, o->scopes.n + 1);
    for (size_t i = 0; i < o->scopes.n; i++)
        req.scopes[req.n_scopes++] = cm_str(o->scopes.v[i]);
    req.allow_list = CM_NEW_ARRAY(cli->arena, struct cm_str, o->allow.n + 1);
    for (size_t i = 0; i < o->allow.n; i++) {
        CM_AUTOBUF struct cm_buf json = CM_BUF_INIT(4096);
        struct cm_str entry = cm_str(o->allow.v[i]);
        cm_json_write_str(&json, entry);
        if (cm_str_find(entry, ':') < 0 || json.failed)
            return cm_err_set(err, CM_INVALID,
                              "invalid allow-list entry \"%s\": it must be <type>:<uuid>",
                              o->allow.v[i]);
        req.allow_list[req.n_allow_list++] = cm_arena_str(cli->arena, cm_buf_view(&json));
    }
    if (cli_session(cli, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_create_token_request_msg, &req,
                    &api_generate_api_key_response_msg, &key, err, "/api/v2/users/%s/keys/tokens",
                    *o->user ? cm_sdk_part(cli->arena, cm_str(o->user)) : "me") != CM_OK)
        return cm_err_wrap(err, "create tokens");
    printf("%.*s\n", CM_STR_ARG(key->key));
    return CM_OK;
}

static const struct command create = {
    .name = "create",
    .brief = "Create a token",
    .opts = create_opts,
    .n_opts = CM_COUNT_OF(create_opts),
    .opts_size = sizeof(struct create_opts),
    .run = run_create,
};

#define COLUMNS         "id|name|scopes|allow list|last used|expires at|created at|owner"
#define DEFAULT_COLUMNS "id,name,scopes,allow list,last used,expires at,created at"

static const struct cm_conf_list columns_with_owner = {
    (const char *const[]){"id", "name", "scopes", "allow list", "last used", "expires at",
                          "created at", "owner"},
    8};

struct list_opts {
    bool all, expired;
};

static const struct cm_opt list_opts[] = {
    {CM_OPT_BOOL, offsetof(struct list_opts, all), "all", 'a',
     .help = "Specifies whether all users' tokens will be listed or not (must have Owner role to "
             "see all tokens)."},
    {CM_OPT_BOOL, offsetof(struct list_opts, expired), "include-expired",
     .help = "Include expired tokens in the output."},
};

/* A list as the server tells it. */
static enum cm_code print_keys(struct cli *cli, struct cm_str body, bool with_owner,
                               struct cm_err *err)
{
    struct api_api_key_with_owner *keys = NULL;
    size_t n = 0;

    if (cm_json_decode_answer_list(&api_api_key_with_owner_msg, cli->arena, body, (void **)&keys,
                                   &n, err) != CM_OK)
        return err->code;
    if (!n && !ui_wants_json(cli)) {
        fprintf(stderr, "No tokens found.\n");
        return CM_OK;
    }
    if (ui_wants_json(cli)) {
        if (json_member(cli, body, NULL, &body, err) != CM_OK)
            return err->code;
        ui_json_print(body);
        return CM_OK;
    }
    struct ui_table *t = ui_table_new(cli->arena, cli->command->columns);
    for (size_t i = 0; i < n; i++) {
        CM_AUTOBUF struct cm_buf scopes = CM_BUF_INIT(4096), allow = CM_BUF_INIT(65536);
        for (size_t k = 0; k < keys[i].n_scopes; k++)
            cm_buf_printf(&scopes, "%s%.*s", k ? "," : "", CM_STR_ARG(keys[i].scopes[k]));
        for (size_t k = 0; k < keys[i].n_allow_list; k++)
            cm_buf_printf(&allow, "%s%.*s", k ? "," : "", CM_STR_ARG(keys[i].allow_list[k]));
        ui_table_row(t);
        ui_table_cell(t, keys[i].id);
        ui_table_cell(t, keys[i].token_name);
        ui_table_cell(t, cm_buf_view(&scopes));
        ui_table_cell(t, cm_buf_view(&allow));
        ui_table_cell(t, cm_str(ui_time(cli->arena, keys[i].last_used)));
        ui_table_cell(t, cm_str(ui_time(cli->arena, keys[i].expires_at)));
        ui_table_cell(t, cm_str(ui_time(cli->arena, keys[i].created_at)));
        ui_table_cell(t, keys[i].username);
    }
    ui_table_print(t, with_owner && !cm_conf_given(cli->conf, "column") ? &columns_with_owner
                                                                        : &cli->output.columns);
    return CM_OK;
}

static enum cm_code run_list(struct cli *cli, struct cm_err *err)
{
    const struct list_opts *o = cli->opts;
    struct cm_str body;

    if (cli_session(cli, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err,
                   "/api/v2/users/me/keys/tokens?include_all=%s&include_expired=%s",
                   o->all ? "true" : "false", o->expired ? "true" : "false") != CM_OK)
        return cm_err_wrap(err, "list tokens");
    return print_keys(cli, body, o->all, err);
}

static const struct command list = {
    .name = "list",
    .aliases = "ls",
    .brief = "List tokens",
    .opts = list_opts,
    .n_opts = CM_COUNT_OF(list_opts),
    .opts_size = sizeof(struct list_opts),
    .uses = USES_OUTPUT,
    .outputs = "table|json",
    .columns = COLUMNS,
    .default_columns = DEFAULT_COLUMNS,
    .run = run_list,
};

struct remove_opts {
    bool remove;
};

static const struct cm_opt remove_opts[] = {
    {CM_OPT_BOOL, offsetof(struct remove_opts, remove), "delete",
     .help = "Remove the token for good, instead of letting it expire now."},
};

/* A name, an id, or the whole token. */
static enum cm_code find_key(struct cli *cli, const char *what, struct api_api_key **ret,
                             struct cm_err *err)
{
    struct cm_str id;

    if (cm_sdk_get(cli->sdk, cli->arena, &api_api_key_msg, ret, err,
                   "/api/v2/users/me/keys/tokens/%s",
                   cm_sdk_part(cli->arena, cm_str(what))) == CM_OK)
        return CM_OK;
    cm_str_split(cm_str(what), '-', &id);
    if (cm_sdk_get(cli->sdk, cli->arena, &api_api_key_msg, ret, err, "/api/v2/users/me/keys/%s",
                   cm_sdk_part(cli->arena, id)) != CM_OK) {
        cli->hint = "'coder tokens list' shows your tokens.";
        return cm_err_wrap(err, "fetch api key by name or id");
    }
    return CM_OK;
}

static enum cm_code run_view(struct cli *cli, struct cm_err *err)
{
    struct api_api_key *key = NULL;
    struct cm_str body;

    if (cli_session(cli, err) != CM_OK || find_key(cli, cli_arg(cli, 0), &key, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err, "/api/v2/users/me/keys/%s",
                   cm_sdk_part(cli->arena, key->id)) != CM_OK)
        return cm_err_wrap(err, "fetch token");
    return print_keys(cli, cm_arena_fmt(cli->arena, "[%.*s]", CM_STR_ARG(body)), true, err);
}

static const struct command view = {
    .name = "view",
    .args = "<name|id>",
    .brief = "Display detailed information about a token",
    .uses = USES_OUTPUT,
    .outputs = "table|json",
    .columns = COLUMNS,
    .default_columns = DEFAULT_COLUMNS,
    .min_args = 1,
    .max_args = 1,
    .run = run_view,
};

static enum cm_code run_remove(struct cli *cli, struct cm_err *err)
{
    const struct remove_opts *o = cli->opts;
    struct api_api_key *key = NULL;

    if (cli_session(cli, err) != CM_OK || find_key(cli, cli_arg(cli, 0), &key, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, o->remove ? "DELETE" : "PUT", NULL, NULL, NULL, NULL, err,
                    "/api/v2/users/me/keys/%s%s", cm_sdk_part(cli->arena, key->id),
                    o->remove ? "" : "/expire") != CM_OK)
        return cm_err_wrap(err, o->remove ? "delete api key" : "expire api key");
    fprintf(stderr, o->remove ? "Token has been deleted.\n" : "Token has been expired.\n");
    return CM_OK;
}

static const struct command remove_ = {
    .name = "remove",
    .aliases = "delete,rm",
    .args = "<name|id|token>",
    .brief = "Expire or delete a token",
    .opts = remove_opts,
    .n_opts = CM_COUNT_OF(remove_opts),
    .opts_size = sizeof(struct remove_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run_remove,
};

static const struct command *const subs[] = {&create, &list, &view, &remove_, NULL};

const struct command command_tokens = {
    .name = "tokens",
    .aliases = "token",
    .brief = "Manage personal access tokens",
    .sub = subs,
};
