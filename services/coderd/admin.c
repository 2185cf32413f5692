#include "admin.h"

#include <stdio.h>
#include <string.h>

#include "api/users.h"
#include "codec/rules.h"
#include "conf/conf.h"
#include "db/migrate.h"
#include "domain/password.h"
#include "store/migrations.h"
#include "store/organizations.h"
#include "store/users.h"
#include "sys/fd.h"

#define INPUT_MAX 4096

struct admin {
    struct cm_arena *a;
    struct cm_db *db;
    char **args;
    struct cm_str password;
};

static enum cm_code reset_password(struct admin *x, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_user_password *p = NULL;
    enum cm_code code = store_user_by_username(x->db, x->a, cm_str(x->args[0]), &u, err);

    if (code == CM_NOT_FOUND)
        return cm_err_set(err, code, "there is no user \"%s\"", x->args[0]);
    if (code != CM_OK || store_user_password_by_id(x->db, x->a, u->id, &p, err) != CM_OK)
        return err->code;
    if (p->login_type != API_LOGIN_TYPE_PASSWORD)
        return cm_err_set(err, CM_PRECONDITION, "user \"%s\" does not sign in with a password",
                          x->args[0]);
    return store_user_update_password(x->db, x->a, u->id, cm_str(password_hash(x->a, x->password)),
                                      NULL, err);
}

/* An owner, member of every organization and its administrator. */
static enum cm_code insert_admin(struct admin *x, struct cm_err *err)
{
    struct cm_str owner[] = {CM_STR("owner")}, org_admin[] = {CM_STR("organization-admin")};
    struct store_organization *orgs = NULL;
    size_t n = 0;
    const struct store_user_insert_args row = {.id = cm_uuid_random(),
                                               .username = cm_str(x->args[0]),
                                               .email = cm_str(x->args[1]),
                                               .name = CM_STR(""),
                                               .avatar_url = CM_STR(""),
                                               .hashed_password =
                                                   cm_str(password_hash(x->a, x->password)),
                                               .status = API_USER_STATUS_ACTIVE,
                                               .login_type = API_LOGIN_TYPE_PASSWORD,
                                               .rbac_roles = owner,
                                               .n_rbac_roles = 1};
    CM_AUTO(cm_db_tx) tx = NULL;

    if (cm_db_tx_begin(x->db, &tx, err) != CM_OK ||
        store_user_insert(x->db, x->a, &row, NULL, err) != CM_OK ||
        store_organizations(x->db, x->a, NULL, 0, &orgs, &n, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (store_member_insert(x->db, x->a, orgs[i].id, row.id, org_admin, 1, NULL, err) != CM_OK)
            return err->code;
    return cm_db_tx_commit(tx, err);
}

static enum cm_code create_admin(struct admin *x, struct cm_err *err)
{
    const char *fields[] = {"username", "email"};

    for (size_t i = 0; i < CM_COUNT_OF(fields); i++) {
        const char *must = cm_rule_check(fields[i], cm_str(x->args[i]));
        if (must)
            return cm_err_set(err, CM_INVALID, "%s \"%s\" must be %s", fields[i], x->args[i], must);
    }
    if (cm_db_migrate(x->db, store_migrations, store_n_migrations, NULL, err) != CM_OK)
        return cm_err_wrap(err, "prepare the database");
    enum cm_code code = insert_admin(x, err);
    if (code == CM_CONFLICT)
        return cm_err_set(err, code, "another user has the %s already",
                          cm_db_violates(x->db, "users_email_key") ? "e-mail address" : "name");
    return code;
}

static const struct {
    const char *name;
    int n_args;
    enum cm_code (*run)(struct admin *x, struct cm_err *err);
} commands[] = {
    {"reset-password", 1, reset_password},  /* <username> */
    {"create-admin-user", 2, create_admin}, /* <username> <email> */
};

static size_t find(int argc, char **argv)
{
    size_t i = 0;
    while (i < CM_COUNT_OF(commands) &&
           (argc != 2 + commands[i].n_args || strcmp(argv[1], commands[i].name) != 0))
        i++;
    return i;
}

bool admin_is_meant(int argc, char **argv)
{
    return find(argc, argv) < CM_COUNT_OF(commands);
}

static enum cm_code run(int argc, char **argv, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTO(cm_db) db = NULL;
    CM_AUTOBUF struct cm_buf input = CM_BUF_INIT(INPUT_MAX);
    const char *url = cm_conf_getenv("CODER_PG_CONNECTION_URL");
    struct cm_db_conf conf = {.conninfo = url ? url : "", .app_name = "coderd admin"};

    input.wipe = true;
    if (!url || !*url)
        return cm_err_set(err, CM_INVALID, "CODER_PG_CONNECTION_URL is not set");
    if (cm_fd_read_all(0, &input, err) != CM_OK)
        return cm_err_wrap(err, "read the password");
    const char *weak = password_weakness(cm_buf_view(&input));
    if (weak)
        return cm_err_set(err, CM_INVALID, "the password is too weak: %s", weak);
    if (cm_db_open(&conf, &db, err) != CM_OK)
        return cm_err_wrap(err, "connect to the database");
    struct admin x = {a, db, argv + 2, cm_buf_view(&input)};
    return commands[find(argc, argv)].run(&x, err);
}

int admin_main(int argc, char **argv)
{
    struct cm_err err;
    if (run(argc, argv, &err) == CM_OK)
        return 0;
    fprintf(stderr, "%s\n", err.text);
    return 1;
}
