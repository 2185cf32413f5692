#include "base/random.h"
#include "cmd/cmd.h"

#define PASSWORD_LEN 20

static enum cm_code not_found(struct cli *cli, enum cm_code code)
{
    if (code == CM_NOT_FOUND || code == CM_INVALID) /* the API calls it either */
        cli->hint = "'coder users list' shows the users.";
    return code;
}

static enum cm_code get_user(struct cli *cli, const char *name, struct api_user **ret,
                             struct cm_err *err)
{
    if (cli_session(cli, err) != CM_OK)
        return err->code;
    if (cm_sdk_get(cli->sdk, cli->arena, &api_user_msg, ret, err, "/api/v2/users/%s",
                   cm_sdk_part(cli->arena, cm_str(name))) != CM_OK)
        return not_found(cli, cm_err_wrap(err, "fetch user"));
    return CM_OK;
}

static const char *status_text(const struct api_user *u)
{
    return api_user_status_enum.texts[u->status];
}

#define USER_COLUMNS "id|username|name|email|created at|updated at|status"

static struct ui_table *user_table(struct cli *cli, const struct api_user *users, size_t n)
{
    struct ui_table *t = ui_table_new(cli->arena, USER_COLUMNS);
    for (size_t i = 0; i < n; i++) {
        ui_table_row(t);
        ui_table_cell(t, cm_str(cm_uuid_text(users[i].id).s));
        ui_table_cell(t, users[i].username);
        ui_table_cell(t, users[i].name);
        ui_table_cell(t, users[i].email);
        ui_table_cell(t, cm_str(ui_time(cli->arena, users[i].created_at)));
        ui_table_cell(t, cm_str(ui_time(cli->arena, users[i].updated_at)));
        ui_table_cell(t, cm_str(status_text(&users[i])));
    }
    return t;
}

struct create_opts {
    const char *email, *username, *name, *password, *login_type;
    bool service_account;
};

#define O(member) offsetof(struct create_opts, member)

static const struct cm_opt create_opts[] = {
    {CM_OPT_STR, O(email), "email", 'e', .help = "Specifies an email address for the new user."},
    {CM_OPT_STR, O(username), "username", 'u', .help = "Specifies a username for the new user."},
    {CM_OPT_STR, O(name), "full-name", 'n',
     .help = "Specifies an optional human-readable name for the new user."},
    {CM_OPT_STR, O(password), "password", 'p', .help = "Specifies a password for the new user.",
     .flags = CM_OPT_SECRET},
    {CM_OPT_CHOICE, O(login_type), "login-type", .choices = "password|github|oidc|none",
     .help = "Optionally specify the login type for the user. Using 'none' prevents the user from "
             "authenticating."},
    {CM_OPT_BOOL, O(service_account), "service-account",
     .help = "Create a user who can only use tokens."},
};

static enum cm_code check_email(void *ctx, const char *answer, struct cm_err *err)
{
    (void)ctx;
    if (cm_str_find(cm_str(answer), '@') <= 0)
        return cm_err_set(err, CM_INVALID, "That's not a valid email address!");
    return CM_OK;
}

static enum cm_code ask_for_user(struct cli *cli, struct create_opts *o, struct cm_err *err)
{
    struct ui_question username = {.text = "Username:"};
    struct ui_question email = {.text = "Email:", .check = check_email};
    struct ui_question name = {.text = "Full name (optional):", .def = ""};
    bool ask_name = !*o->username;

    if (!*o->username && ui_ask(cli, &username, &o->username, err) != CM_OK)
        return err->code;
    if (!*o->email && !o->service_account && ui_ask(cli, &email, &o->email, err) != CM_OK)
        return err->code;
    if (!*o->name && ask_name && ui_ask(cli, &name, &o->name, err) != CM_OK)
        return err->code;
    return CM_OK;
}

static enum cm_code run_create(struct cli *cli, struct cm_err *err)
{
    struct create_opts *o = cli->opts;
    const struct api_organization *org = NULL;
    struct api_user *user = NULL;
    char generated[PASSWORD_LEN + 1];
    int login = API_LOGIN_TYPE_PASSWORD;

    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK ||
        ask_for_user(cli, o, err) != CM_OK)
        return err->code;
    if (o->service_account)
        login = API_LOGIN_TYPE_NONE;
    else if (*o->login_type && !cm_enum_parse(&api_login_type_enum, cm_str(o->login_type), &login))
        return cm_err_set(err, CM_INVALID, "unknown login type %s", o->login_type);
    bool has_password = login == API_LOGIN_TYPE_PASSWORD;
    cm_random_alnum(generated, PASSWORD_LEN);
    if (has_password && !*o->password)
        o->password = generated;
    struct cm_uuid orgs[1] = {org->id};
    struct api_create_user_request_with_orgs req = {
        .email = cm_str(o->email),
        .username = cm_str(o->username),
        .name = cm_str(o->name),
        .password = has_password ? cm_str(o->password) : CM_STR(""),
        .login_type = (enum api_login_type)login,
        .organization_ids = orgs,
        .n_organization_ids = 1,
        .service_account = o->service_account,
    };
    if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_create_user_request_with_orgs_msg, &req,
                    &api_user_msg, &user, err, "/api/v2/users") != CM_OK)
        return err->code;
    fprintf(stderr,
            "A new user has been created!\nShare the instructions below to get them "
            "started.\n---------------------\n"
            "Log in with:\n\n    coder login %s\n\nYour email is: %.*s\n",
            cm_sdk_url(cli->sdk), CM_STR_ARG(user->email));
    if (has_password && o->password == generated)
        fprintf(stderr, "Your password is: %s\n", generated);
    fprintf(stderr, "\nCreate a workspace with: coder create\n");
    return CM_OK;
}

static const struct command create = {
    .name = "create",
    .brief = "Create a new user",
    .opts = create_opts,
    .n_opts = CM_COUNT_OF(create_opts),
    .opts_size = sizeof(struct create_opts),
    .uses = USES_ORG,
    .run = run_create,
};

struct list_opts {
    int64_t github_id;
};

static const struct cm_opt list_opts[] = {
    {CM_OPT_INT, offsetof(struct list_opts, github_id), "github-user-id",
     .help = "Filter users by their GitHub user ID."},
};

static enum cm_code run_list(struct cli *cli, struct cm_err *err)
{
    const struct list_opts *o = cli->opts;
    struct api_get_users_response *answer = NULL;
    struct cm_str body;

    if (cli_session(cli, err) != CM_OK)
        return err->code;
    const char *query = o->github_id ? cm_arena_printf(cli->arena, "?q=github_com_user_id:%lld",
                                                       (long long)o->github_id)
                                     : "";
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err, "/api/v2/users%s", query) !=
        CM_OK)
        return err->code;
    if (ui_wants_json(cli)) {
        if (json_member(cli, body, "users", &body, err) != CM_OK)
            return err->code;
        ui_json_print(body);
        return CM_OK;
    }
    if (cm_json_decode_answer(&api_get_users_response_msg, cli->arena, body, (void **)&answer,
                              err) != CM_OK)
        return err->code;
    ui_table_print(user_table(cli, answer->users, answer->n_users), &cli->output.columns);
    return CM_OK;
}

static const struct command list = {
    .name = "list",
    .aliases = "ls",
    .brief = "List users",
    .opts = list_opts,
    .n_opts = CM_COUNT_OF(list_opts),
    .opts_size = sizeof(struct list_opts),
    .uses = USES_OUTPUT,
    .outputs = "table|json",
    .columns = USER_COLUMNS,
    .default_columns = "username,email,created at,status",
    .run = run_list,
};

/* Their names, and in JSON: ["coder","other"]. */
static enum cm_code organization_names(struct cli *cli, const struct api_user *u,
                                       struct cm_str **ret, struct cm_buf *json, struct cm_err *err)
{
    *ret = CM_NEW_ARRAY(cli->arena, struct cm_str, u->n_organization_ids + 1);
    cm_buf_char(json, '[');
    for (size_t i = 0; i < u->n_organization_ids; i++) {
        struct api_organization *org = NULL;
        if (cm_sdk_get(cli->sdk, cli->arena, &api_organization_msg, &org, err,
                       "/api/v2/organizations/%s", cm_uuid_text(u->organization_ids[i]).s) != CM_OK)
            return cm_err_wrap(err, "get organization \"%s\"",
                               cm_uuid_text(u->organization_ids[i]).s);
        (*ret)[i] = org->name;
        cm_buf_cstr(json, i ? "," : "");
        cm_json_write_str(json, org->name);
    }
    cm_buf_char(json, ']');
    return CM_OK;
}

static void line(struct ui_table *t, const char *key, struct cm_str value)
{
    ui_table_row(t);
    ui_table_cellf(t, *key ? "%s:" : "", key);
    ui_table_cell(t, value);
}

static void print_user(struct cli *cli, const struct api_user *u, const struct cm_str *orgs)
{
    struct ui_table *t = ui_table_new(cli->arena, "key|value");
    size_t shown = 0;
    line(t, "ID", cm_str(cm_uuid_text(u->id).s));
    line(t, "Username", u->username);
    line(t, "Full name", u->name);
    line(t, "Email", u->email);
    line(t, "Status", cm_str(status_text(u)));
    line(t, "Created At", cm_str(ui_stamp(cli->arena, u->created_at)));
    line(t, "", CM_STR(""));
    for (size_t i = 0; i < u->n_roles; i++)
        if (u->roles[i].display_name.len)
            line(t, shown++ ? "" : "Roles", u->roles[i].display_name);
    if (!shown)
        line(t, "Roles", CM_STR("(none)"));
    line(t, "", CM_STR(""));
    for (size_t i = 0; i < u->n_organization_ids; i++)
        line(t, i ? "" : "Organizations", orgs[i]);
    if (!u->n_organization_ids)
        line(t, "Organizations", CM_STR("(none)"));
    ui_table_print_bare(t);
}

static enum cm_code run_show(struct cli *cli, struct cm_err *err)
{
    struct cm_str body, *orgs = NULL;
    struct api_user *u = NULL;
    CM_AUTOBUF struct cm_buf names = CM_BUF_INIT(1 << 20);

    if (cli_session(cli, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err, "/api/v2/users/%s",
                   cm_sdk_part(cli->arena, cm_str(cli_arg(cli, 0)))) != CM_OK)
        return not_found(cli, err->code);
    if (cm_json_decode_answer(&api_user_msg, cli->arena, body, (void **)&u, err) != CM_OK ||
        organization_names(cli, u, &orgs, &names, err) != CM_OK ||
        json_member(cli, body, NULL, &body, err) != CM_OK)
        return err->code;
    if (ui_wants_json(cli))
        ui_json_print(cm_arena_fmt(cli->arena, "%.*s,\"organization_names\":%.*s}",
                                   CM_STR_ARG(cm_str_sub(body, 0, body.len - 1)),
                                   CM_STR_ARG(cm_buf_view(&names))));
    else
        print_user(cli, u, orgs);
    return CM_OK;
}

static const struct command show = {
    .name = "show",
    .args = "<username|user_id|'me'>",
    .brief = "Show a single user. Use 'me' to indicate the currently authenticated user.",
    .uses = USES_OUTPUT,
    .outputs = "table|json",
    .min_args = 1,
    .max_args = 1,
    .run = run_show,
};

static enum cm_code change_status(struct cli *cli, const char *verb, const char *past,
                                  struct cm_err *err)
{
    struct api_user *u = NULL;

    if (get_user(cli, cli_arg(cli, 0), &u, err) != CM_OK)
        return err->code;
    ui_table_print(user_table(cli, u, 1), &cli->output.columns);
    if (ui_confirm(cli, cm_arena_printf(cli->arena, "Are you sure you want to %s this user?", verb),
                   true, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "PUT", NULL, NULL, NULL, NULL, err,
                    "/api/v2/users/%s/status/%s", cm_uuid_text(u->id).s, verb) != CM_OK)
        return cm_err_wrap(err, "%s user", verb);
    printf("\nUser %.*s has been %s!\n", CM_STR_ARG(u->username), past);
    return CM_OK;
}

static enum cm_code run_suspend(struct cli *cli, struct cm_err *err)
{
    return change_status(cli, "suspend", "suspended", err);
}

static enum cm_code run_activate(struct cli *cli, struct cm_err *err)
{
    return change_status(cli, "activate", "activated", err);
}

static const struct command suspend = {
    .name = "suspend",
    .args = "<username|user_id>",
    .brief = "Update a user's status to 'suspended'. A suspended user cannot log into the platform",
    .uses = USES_OUTPUT,
    .outputs = "table",
    .columns = USER_COLUMNS,
    .default_columns = "username,email,created at,status",
    .min_args = 1,
    .max_args = 1,
    .run = run_suspend,
};

static const struct command activate = {
    .name = "activate",
    .aliases = "active",
    .args = "<username|user_id>",
    .brief =
        "Update a user's status to 'active'. Active users can fully interact with the platform",
    .uses = USES_OUTPUT,
    .outputs = "table",
    .columns = USER_COLUMNS,
    .default_columns = "username,email,created at,status",
    .min_args = 1,
    .max_args = 1,
    .run = run_activate,
};

static enum cm_code run_delete(struct cli *cli, struct cm_err *err)
{
    struct api_user *u = NULL;

    if (get_user(cli, cli_arg(cli, 0), &u, err) != CM_OK)
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, "DELETE", NULL, NULL, NULL, NULL, err, "/api/v2/users/%s",
                    cm_uuid_text(u->id).s) != CM_OK)
        return cm_err_wrap(err, "delete user");
    fprintf(stderr, "Successfully deleted %.*s.\n", CM_STR_ARG(u->username));
    return CM_OK;
}

static const struct command delete = {
    .name = "delete",
    .aliases = "rm",
    .args = "<username|user_id>",
    .brief = "Delete a user by username or user_id.",
    .min_args = 1,
    .max_args = 1,
    .run = run_delete,
};

struct roles_opts {
    struct cm_conf_list roles;
};

static const struct cm_opt roles_opts[] = {
    {CM_OPT_LIST, offsetof(struct roles_opts, roles), "roles",
     .help = "A list of roles to give to the user. This removes any existing roles the user may "
             "have."},
};

/* The roles that a person types, when no flag names them. */
static enum cm_code ask_roles(struct cli *cli, const struct api_user *u, struct cm_str **ret,
                              size_t *ret_n, struct cm_err *err)
{
    struct api_assignable_roles *all = NULL;
    CM_AUTOBUF struct cm_buf now = CM_BUF_INIT(4096);
    const char *answer = NULL;
    struct cm_str rest, one;
    size_t n = 0;

    if (cm_sdk_get_list(cli->sdk, cli->arena, &api_assignable_roles_msg, &all, &n, err,
                        "/api/v2/users/roles") != CM_OK)
        return cm_err_wrap(err, "fetch site roles");
    fprintf(stderr, "Roles to choose from:");
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, "%s %.*s", i ? "," : "", CM_STR_ARG(all[i].name));
    for (size_t i = 0; i < u->n_roles; i++)
        cm_buf_printf(&now, "%s%.*s", i ? "," : "", CM_STR_ARG(u->roles[i].name));
    fputc('\n', stderr);
    struct ui_question q = {.text = "Roles, with commas between, or none:",
                            .def = cm_arena_cstr(cli->arena, cm_buf_view(&now))};
    if (ui_ask(cli, &q, &answer, err) != CM_OK)
        return err->code;
    *ret = CM_NEW_ARRAY(cli->arena, struct cm_str, strlen(answer) + 1);
    for (rest = cm_str(strcmp(answer, "none") == 0 ? "" : answer); rest.len;) {
        rest = cm_str_split(rest, ',', &one);
        one = cm_str_trim(one);
        if (one.len)
            (*ret)[(*ret_n)++] = one;
    }
    return CM_OK;
}

static enum cm_code run_edit_roles(struct cli *cli, struct cm_err *err)
{
    const struct roles_opts *o = cli->opts;
    struct api_update_roles req = {.n_roles = 0};
    struct api_user *u = NULL;

    if (get_user(cli, cli_arg(cli, 0), &u, err) != CM_OK)
        return err->code;
    if (cm_conf_given(cli->conf, "roles")) {
        req.roles = CM_NEW_ARRAY(cli->arena, struct cm_str, o->roles.n + 1);
        for (size_t i = 0; i < o->roles.n; i++)
            if (*o->roles.v[i])
                req.roles[req.n_roles++] = cm_str(o->roles.v[i]);
    } else if (ask_roles(cli, u, &req.roles, &req.n_roles, err) != CM_OK) {
        return err->code;
    }
    if (cm_sdk_send(cli->sdk, cli->arena, "PUT", &api_update_roles_msg, &req, NULL, NULL, err,
                    "/api/v2/users/%s/roles", cm_uuid_text(u->id).s) != CM_OK)
        return cm_err_wrap(err, "update user roles");
    printf("Updated the roles of %.*s.\n", CM_STR_ARG(u->username));
    return CM_OK;
}

static const struct command edit_roles = {
    .name = "edit-roles",
    .args = "<username|user_id>",
    .brief = "Edit a user's roles by username or id",
    .opts = roles_opts,
    .n_opts = CM_COUNT_OF(roles_opts),
    .opts_size = sizeof(struct roles_opts),
    .uses = USES_YES,
    .min_args = 1,
    .max_args = 1,
    .run = run_edit_roles,
};

static const struct command *const subs[] = {&create,   &list,   &show,       &suspend,
                                             &activate, &delete, &edit_roles, NULL};

const struct command command_users = {
    .name = "users",
    .aliases = "user",
    .brief = "Manage users",
    .sub = subs,
};
