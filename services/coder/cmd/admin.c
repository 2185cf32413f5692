/* reset-password and server create-admin-user: for whoever has the database and no other way in.
 * coderd does it; here are the questions. */
#include "cmd/admin.h"

#include "codec/rules.h"
#include "server.h"

#define OUTPUT_MAX 65536

struct admin_opts {
    const char *username, *email, *password, *postgres_url;
};

#define A(member) offsetof(struct admin_opts, member)
#define POSTGRES_URL                                                                               \
    {                                                                                              \
        CM_OPT_STR, A(postgres_url), "postgres-url",                                               \
            .env = "CODER_PG_CONNECTION_URL", .flags = CM_OPT_SECRET, .value = "url",              \
            .help = "URL of the deployment's PostgreSQL database. The embedded one of 'coder "     \
                    "server', "                                                                    \
                    "which must run, unless set."                                                  \
    }

static const struct cm_opt reset_rows[] = {POSTGRES_URL};

static const struct cm_opt create_rows[] = {
    {CM_OPT_STR, A(username), "username", .env = "=", .help = "The username of the new user."},
    {CM_OPT_STR, A(email), "email", .env = "=", .help = "The email of the new user."},
    {CM_OPT_STR, A(password), "password", .env = "=", .flags = CM_OPT_SECRET,
     .help = "The password of the new user. Other users of this machine can see flags: prefer the "
             "question or the environment variable."},
    POSTGRES_URL,
};

static enum cm_code check_rule(void *ctx, const char *answer, struct cm_err *err)
{
    const char *must = cm_rule_check(ctx, cm_str(answer));
    return must ? cm_err_set(err, CM_INVALID, "it must be %s", must) : CM_OK;
}

static enum cm_code ask_password(struct cli *cli, const char **ret, struct cm_err *err)
{
    struct ui_question first = {.text = "Enter a new password:", .secret = true};
    struct ui_question second = {.text = "Confirm password:", .secret = true};
    const char *again = NULL;

    if (ui_ask(cli, &first, ret, err) != CM_OK || ui_ask(cli, &second, &again, err) != CM_OK)
        return err->code;
    return strcmp(*ret, again) == 0 ? CM_OK : cm_err_set(err, CM_INVALID, "Passwords do not match");
}

static enum cm_code in_database(struct cli *cli, const char *const *args, const char *password,
                                struct cm_err *err)
{
    const struct admin_opts *o = cli->opts;
    bool given = cm_conf_given(cli->conf, "global-config");
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(OUTPUT_MAX);

    return server_in_database(given ? cli->g.config_dir : "", o->postgres_url, args,
                              cm_str(password), &out, err);
}

static enum cm_code run_reset(struct cli *cli, struct cm_err *err)
{
    const char *password = NULL, *name = cli_arg(cli, 0);

    if (ask_password(cli, &password, err) != CM_OK ||
        in_database(cli, (const char *const[]){"coderd", "reset-password", name, NULL}, password,
                    err) != CM_OK)
        return err->code;
    printf("\nPassword has been reset for user %s!\n", name);
    return CM_OK;
}

static enum cm_code run_create(struct cli *cli, struct cm_err *err)
{
    struct admin_opts *o = cli->opts;
    static char username_rule[] = "username", email_rule[] = "email";
    struct ui_question username = {.text = "Username", .check = check_rule, .ctx = username_rule};
    struct ui_question email = {.text = "Email", .check = check_rule, .ctx = email_rule};

    if ((!*o->username && ui_ask(cli, &username, &o->username, err) != CM_OK) ||
        (!*o->email && ui_ask(cli, &email, &o->email, err) != CM_OK) ||
        (!*o->password && ask_password(cli, &o->password, err) != CM_OK) ||
        in_database(
            cli, (const char *const[]){"coderd", "create-admin-user", o->username, o->email, NULL},
            o->password, err) != CM_OK)
        return err->code;
    printf("User created successfully.\n\nUsername: %s\nEmail:    %s\n", o->username, o->email);
    return CM_OK;
}

const struct command command_reset_password = {
    .name = "reset-password",
    .args = "<username>",
    .brief = "Directly connect to the database to reset a user's password",
    .opts = reset_rows,
    .n_opts = CM_COUNT_OF(reset_rows),
    .opts_size = sizeof(struct admin_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run_reset,
};

const struct command server_create_admin = {
    .name = "create-admin-user",
    .brief = "Create a new admin user with the given username, email and password and adds it to "
             "every organization.",
    .opts = create_rows,
    .n_opts = CM_COUNT_OF(create_rows),
    .opts_size = sizeof(struct admin_opts),
    .run = run_create,
};
