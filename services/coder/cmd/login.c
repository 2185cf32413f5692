/* Getting a session, and giving it back. */
#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"

struct login_opts {
    const char *email, *username, *name, *password;
    bool trial, keep_token;
};

#define L(member) offsetof(struct login_opts, member)

static const struct cm_opt opts[] = {
    {CM_OPT_STR, L(email), "first-user-email", .env = "CODER_FIRST_USER_EMAIL",
     .help = "Specifies an email address to use if creating the first user for the deployment."},
    {CM_OPT_STR, L(username), "first-user-username", .env = "CODER_FIRST_USER_USERNAME",
     .help = "Specifies a username to use if creating the first user for the deployment."},
    {CM_OPT_STR, L(name), "first-user-full-name", .env = "CODER_FIRST_USER_FULL_NAME",
     .help = "Specifies a human-readable name for the first user of the deployment."},
    {CM_OPT_STR, L(password), "first-user-password", .env = "CODER_FIRST_USER_PASSWORD",
     .help = "Specifies a password to use if creating the first user for the deployment.",
     .flags = CM_OPT_SECRET},
    {CM_OPT_BOOL, L(trial), "first-user-trial", .env = "CODER_FIRST_USER_TRIAL",
     .help = "Accepted for compatibility: there is no trial licence."},
    {CM_OPT_BOOL, L(keep_token), "use-token-as-session",
     .help = "By default, the CLI will generate a new session token when logging in. This flag "
             "will instead use the "
             "provided token as the session token."},
};

static const char *with_scheme(struct cli *cli, const char *url)
{
    if (cm_str_contains(cm_str(url), CM_STR("://")))
        return url;
    bool local = cm_str_starts(cm_str(url), CM_STR("localhost"));
    return cm_arena_printf(cli->arena, "%s://%s", local ? "http" : "https", url);
}

static enum cm_code check_email(void *ctx, const char *answer, struct cm_err *err)
{
    (void)ctx;
    if (cm_str_find(cm_str(answer), '@') <= 0)
        return cm_err_set(err, CM_INVALID, "That's not a valid email address!");
    return CM_OK;
}

static enum cm_code check_not_empty(void *ctx, const char *answer, struct cm_err *err)
{
    return *answer ? CM_OK : cm_err_set(err, CM_INVALID, "%s must not be empty", (const char *)ctx);
}

/* Asks again for what the server would refuse, as long as the other answers are not lost for it. */
static enum cm_code check_username(void *ctx, const char *answer, struct cm_err *err)
{
    size_t n = strlen(answer);
    bool ok = n >= 1 && n <= 32 && isalnum((unsigned char)answer[n - 1]);

    (void)ctx;
    for (size_t i = 0; ok && i < n; i++)
        ok = isalnum((unsigned char)answer[i]) ||
             (answer[i] == '-' && i > 0 && answer[i - 1] != '-');
    return ok ? CM_OK
              : cm_err_set(err, CM_INVALID,
                           "a username is 1 to 32 letters and digits, with single hyphens between");
}

struct password_check {
    struct cli *cli;
    struct cm_sdk *sdk;
};

static enum cm_code check_password(void *ctx, const char *answer, struct cm_err *err)
{
    const struct password_check *c = ctx;
    struct api_validate_user_password_request req = {.password = cm_str(answer)};
    struct api_validate_user_password_response *said = NULL;
    static char what[] = "The password";

    if (check_not_empty(what, answer, err) != CM_OK)
        return err->code;
    /* Where this cannot be asked, making the user will tell. */
    if (cm_sdk_send(c->sdk, c->cli->arena, "POST", &api_validate_user_password_request_msg, &req,
                    &api_validate_user_password_response_msg, &said, err,
                    "/api/v2/users/validate-password") != CM_OK ||
        said->valid)
        return CM_OK;
    return cm_err_set(
        err, CM_INVALID, "%.*s",
        CM_STR_ARG(said->details.len ? said->details : CM_STR("the password is too weak")));
}

static enum cm_code ask_new_password(struct cli *cli, struct cm_sdk *sdk, const char **ret,
                                     struct cm_err *err)
{
    struct password_check with = {cli, sdk};
    const char *again = NULL;
    struct ui_question first = {
        .text = "Enter a password:", .secret = true, .check = check_password, .ctx = &with};
    struct ui_question second = {.text = "Confirm password:", .secret = true};

    for (int tries = 0; tries < 10; tries++) {
        if (ui_ask(cli, &first, ret, err) != CM_OK || ui_ask(cli, &second, &again, err) != CM_OK)
            return err->code;
        if (strcmp(*ret, again) == 0)
            return CM_OK;
        fputs("Passwords do not match\n", stderr);
    }
    return cm_err_set(err, CM_INVALID, "Passwords do not match");
}

static enum cm_code complete_first_user(struct cli *cli, struct cm_sdk *sdk, struct login_opts *o,
                                        struct cm_err *err)
{
    const char *user = cm_conf_getenv("USER");
    struct ui_question username = {.text = "What username would you like?",
                                   .def = user && *user ? user : "admin",
                                   .check = check_username};
    struct ui_question email = {.text = "What's your email?", .check = check_email};

    printf("> Your Coder deployment hasn't been set up!\n");
    if (!*o->username) {
        if (!ui_interactive(cli))
            return cm_err_set(
                err, CM_INVALID,
                "the initial user cannot be created in non-interactive mode. use the API");
        if (ui_confirm(cli, "Would you like to create the first user?", true, err) != CM_OK ||
            ui_ask(cli, &username, &o->username, err) != CM_OK)
            return err->code;
    }
    if (!*o->email && ui_ask(cli, &email, &o->email, err) != CM_OK)
        return err->code;
    if (!*o->password && ask_new_password(cli, sdk, &o->password, err) != CM_OK)
        return err->code;
    return CM_OK;
}

static enum cm_code log_in(struct cli *cli, struct cm_sdk *sdk, const char *email,
                           const char *password, const char **ret_token, struct cm_err *err)
{
    struct api_login_with_password_request req = {.email = cm_str(email),
                                                  .password = cm_str(password)};
    struct api_login_with_password_response *session = NULL;
    if (cm_sdk_send(sdk, cli->arena, "POST", &api_login_with_password_request_msg, &req,
                    &api_login_with_password_response_msg, &session, err,
                    "/api/v2/users/login") != CM_OK)
        return cm_err_wrap(err, "login with password");
    *ret_token = cm_arena_cstr(cli->arena, session->session_token);
    return CM_OK;
}

static enum cm_code make_first_user(struct cli *cli, struct cm_sdk *sdk, struct login_opts *o,
                                    const char **ret_token, struct cm_err *err)
{
    if (complete_first_user(cli, sdk, o, err) != CM_OK)
        return err->code;
    struct api_create_first_user_request req = {.email = cm_str(o->email),
                                                .username = cm_str(o->username),
                                                .name = cm_str(o->name),
                                                .password = cm_str(o->password),
                                                .trial = o->trial};
    if (cm_sdk_send(sdk, cli->arena, "POST", &api_create_first_user_request_msg, &req, NULL, NULL,
                    err, "/api/v2/users/first") != CM_OK)
        return cm_err_wrap(err, "create initial user");
    return log_in(cli, sdk, o->email, o->password, ret_token, err);
}

/* A token, or an e-mail address and then its password. */
static enum cm_code ask_token(struct cli *cli, struct cm_sdk *sdk, const char **ret,
                              struct cm_err *err)
{
    struct ui_question q = {.text = "Paste your token here:", .secret = true};
    struct ui_question password = {.text = "Password:", .secret = true};
    const char *page = cm_arena_printf(cli->arena, "%s/cli-auth", cm_sdk_url(sdk));
    struct api_user *me = NULL;

    if (ui_open_browser(cli, page))
        printf("Your browser has been opened to visit:\n\n\t%s\n\n", page);
    else
        printf("Open the following in your browser:\n\n\t%s\n\n", page);
    printf("Without a browser, give your e-mail address in place of the token.\n");
    for (int tries = 0; tries < 10; tries++) {
        if (ui_ask(cli, &q, ret, err) != CM_OK) {
            if (err->code == CM_END)
                cli->hint = "--token gives a token without a question.";
            return err->code;
        }
        if (strchr(*ret, '@')) {
            const char *email = *ret, *secret = NULL;
            if (ui_ask(cli, &password, &secret, err) != CM_OK)
                return err->code;
            enum cm_code code = log_in(cli, sdk, email, secret, ret, err);
            if (code != CM_UNAUTHENTICATED)
                return code;
            fprintf(stderr, "%s\n", err->text);
            continue;
        }
        cm_sdk_set_token(sdk, *ret);
        if (cm_sdk_get(sdk, cli->arena, &api_user_msg, &me, err, "/api/v2/users/me") == CM_OK)
            return CM_OK;
        if (err->code != CM_UNAUTHENTICATED)
            return err->code;
        fputs("That's not a valid token!\n", stderr);
    }
    return err->code;
}

static enum cm_code has_first_user(struct cli *cli, struct cm_sdk *sdk, bool *ret,
                                   struct cm_err *err)
{
    struct cm_str body;

    *ret = true;
    if (cm_sdk_raw(sdk, cli->arena, "GET", NULL, NULL, &body, err, "/api/v2/users/first") == CM_OK)
        return CM_OK;
    if (err->code == CM_NOT_FOUND && cli->server_version) {
        *ret = false;
        return CM_OK;
    }
    return cm_err_wrap(err,
                       "Failed to check server \"%s\" for first user, is the URL correct and is "
                       "coder accessible from "
                       "your browser? Error - has initial user",
                       cm_sdk_url(sdk));
}

static enum cm_code get_token(struct cli *cli, struct cm_sdk *sdk, struct login_opts *o,
                              const char **ret, struct cm_err *err)
{
    struct api_generate_api_key_response *key = NULL;
    bool has_user = true;

    if (has_first_user(cli, sdk, &has_user, err) != CM_OK)
        return err->code;
    if (!has_user)
        return make_first_user(cli, sdk, o, ret, err);
    if (!*cli->g.token)
        return ask_token(cli, sdk, ret, err);
    *ret = cli->g.token;
    if (o->keep_token)
        return CM_OK;
    cm_sdk_set_token(sdk, cli->g.token);
    if (cm_sdk_send(sdk, cli->arena, "POST", NULL, NULL, &api_generate_api_key_response_msg, &key,
                    err, "/api/v2/users/me/keys") != CM_OK)
        return cm_err_wrap(err, "create api key");
    *ret = cm_arena_cstr(cli->arena, key->key);
    return CM_OK;
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    struct login_opts *o = cli->opts;
    const char *url = cli_arg(cli, 0), *token = NULL;
    struct api_user *me = NULL;

    if (cm_conf_source(cli->conf, "token") == CM_CONF_ENV && !o->keep_token)
        return cm_err_set(err, CM_INVALID,
                          "CODER_SESSION_TOKEN is set. This is incompatible with 'coder login': "
                          "unset it, or use it as "
                          "it is with --use-token-as-session");
    if (!url)
        url = *cli->g.url ? cli->g.url : cli_config_read(cli, "url");
    if (!*url)
        return cm_err_set(
            err, CM_INVALID,
            "no url argument provided: run 'coder login <url>' with the address of your "
            "deployment");
    if (cli_session_new(cli, with_scheme(cli, url), NULL, &cli->sdk, err) != CM_OK ||
        get_token(cli, cli->sdk, o, &token, err) != CM_OK)
        return err->code;
    cm_sdk_set_token(cli->sdk, token);
    if (cm_sdk_get(cli->sdk, cli->arena, &api_user_msg, &me, err, "/api/v2/users/me") != CM_OK)
        return cm_err_wrap(err, "get user");
    if (cli_config_write(cli, "url", cm_sdk_url(cli->sdk), err) != CM_OK ||
        cli_config_write(cli, "session", token, err) != CM_OK)
        return err->code;
    printf("> Welcome to Coder, %.*s! You're authenticated.\n", CM_STR_ARG(me->username));
    return CM_OK;
}

static enum cm_code run_token(struct cli *cli, struct cm_err *err)
{
    const char *token = *cli->g.token ? cli->g.token : cli_config_read(cli, "session");

    if (!*token)
        return cm_err_set(err, CM_UNAUTHENTICATED,
                          "no session token found - run 'coder login' first");
    printf("%s\n", token);
    return CM_OK;
}

static const struct command command_token = {
    .name = "token",
    .brief = "Print the current session token",
    .run = run_token,
};
static const struct command *const subs[] = {&command_token, NULL};

const struct command command_login = {
    .name = "login",
    .args = "[<url>]",
    .brief = "Authenticate with Coder deployment",
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct login_opts),
    .sub = subs,
    .max_args = 1,
    .run = run,
};

static enum cm_code run_logout(struct cli *cli, struct cm_err *err)
{
    static const char *const files[] = {"url", "session", "organization"};

    if (cli_session(cli, err) != CM_OK ||
        ui_confirm(cli, "Are you sure you want to log out?", true, err) != CM_OK)
        return err->code;
    enum cm_code code = cm_sdk_send(cli->sdk, cli->arena, "POST", NULL, NULL, NULL, NULL, err,
                                    "/api/v2/users/logout");
    for (size_t i = 0; i < CM_COUNT_OF(files); i++)
        cm_ignore(unlink(cli_config_path(cli, files[i])) != 0, "what is not there need not go");
    if (code != CM_OK && code != CM_UNAUTHENTICATED)
        return cm_err_wrap(err, "logout");
    printf("> You are no longer logged in. You can log in using 'coder login <url>'.\n");
    return CM_OK;
}

const struct command command_logout = {
    .name = "logout",
    .brief = "Unauthenticate your local session",
    .uses = USES_YES,
    .run = run_logout,
};
