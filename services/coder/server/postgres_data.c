/* The data folder: made once in one step, so that a first start that is interrupted leaves nothing
 * half made. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "base/secret.h"
#include "obs/log.h"
#include "server/postgres.h"
#include "sys/fs.h"

#define PASSWORD_CHARS      40
#define TOOL_TIMEOUT        (5 * CM_MINUTE) /* initdb on a slow disk */
#define OLD_SERVER_WAIT     (2 * CM_MINUTE)
#define OLD_SERVER_PATIENCE (10 * CM_SECOND)
#define OUTPUT_MAX          ((size_t)64 << 10)

static const char *const tool_env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8",
                                       "LC_ALL=C.UTF-8", NULL};

/* The line that says what is wrong: the first with "error" or "FATAL" in it, or the last. */
static struct cm_str complaint(struct cm_str text)
{
    struct cm_str last = CM_STR("it printed nothing"), line;
    while (text.ptr && text.len) {
        text = cm_str_split(text, '\n', &line);
        line = cm_str_trim(line);
        if (line.len)
            last = line;
        if (cm_str_contains(line, CM_STR("error:")) || cm_str_contains(line, CM_STR("FATAL:")) ||
            cm_str_contains(line, CM_STR("No space left")))
            return line;
    }
    return last;
}

static enum cm_code run_tool(const struct postgres *pg, const char *const *argv,
                             struct cm_str input, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(OUTPUT_MAX);
    const struct cm_child_spec spec = {.argv = argv,
                                       .env = tool_env,
                                       .cwd = "/",
                                       .die_with_parent = true,
                                       .user = pg->other_user ? &pg->child_user : NULL};
    struct cm_child_status st;
    if (cm_child_run(&spec, input, &out, NULL, TOOL_TIMEOUT, &st, NULL, err) != CM_OK)
        return err->code;
    if (st.code == 0 && st.signo == 0)
        return CM_OK;
    struct cm_str why = complaint(cm_buf_view(&out));
    return cm_err_set(err, CM_IO, "%s: %.*s", cm_fs_basename(argv[0]), CM_STR_ARG(why));
}

static enum cm_code keep(const struct postgres *pg, const char *path, struct cm_str text,
                         struct cm_err *err)
{
    if (cm_fs_write(path, text, 0600, true, err) != CM_OK)
        return err->code;
    if (pg->other_user && lchown(path, pg->child_user.uid, pg->child_user.gid) != 0)
        return cm_err_errno(err, CM_IO, "give %s to the servers' user", path);
    return CM_OK;
}

static const char *in_dir(struct cm_arena *a, const struct layout *l, const char *name)
{
    return cm_fs_join(a, l->postgres_dir, name);
}

enum cm_code postgres_read_secret(struct cm_arena *a, const struct layout *l, struct postgres *pg,
                                  struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf text = {.max = 256, .wipe = true};
    CM_AUTOBUF struct cm_buf port = CM_BUF_INIT(64);
    uint16_t n;
    if (cm_fs_read(in_dir(a, l, "password"), &text, err) != CM_OK ||
        cm_fs_read(in_dir(a, l, "port"), &port, err) != CM_OK)
        return err->code;
    struct cm_str password = cm_str_trim(cm_buf_view(&text));
    for (size_t i = 0; i < password.len; i++)
        if (!((password.ptr[i] | 32) >= 'a' && (password.ptr[i] | 32) <= 'z') &&
            !(password.ptr[i] >= '0' && password.ptr[i] <= '9'))
            password.len = 0;
    if (!password.len || !cm_str_to_u16(cm_str_trim(cm_buf_view(&port)), &n) || n == 0)
        return cm_err_set(
            err, CM_INVALID,
            "the files password and port in %s are damaged: remove them, and the next "
            "start makes new ones",
            l->postgres_dir);
    pg->password = cm_arena_cstr(a, password);
    pg->port = n;
    return CM_OK;
}

/* Statements for a server without connections: one a line, the first that fails ends it. */
static enum cm_code run_sql(struct cm_arena *a, const struct postgres *pg, const char *data_dir,
                            const char *sql, struct cm_err *err)
{
    const char *argv[] = {cm_fs_join(a, pg->bin_dir, "postgres"),
                          "--single",
                          "-D",
                          data_dir,
                          "-c",
                          "exit_on_error=true",
                          "-c",
                          "log_min_error_statement=panic",
                          "-c",
                          "log_checkpoints=off",
                          "template1",
                          NULL};
    return run_tool(pg, argv, cm_str(sql), err);
}

static enum cm_code make_secret(struct cm_arena *a, const struct layout *l, struct postgres *pg,
                                struct cm_err *err)
{
    char password[PASSWORD_CHARS + 1];
    cm_random_alnum(password, PASSWORD_CHARS);
    pg->password = cm_arena_cstr(a, cm_str(password));
    cm_secret_wipe(password, sizeof(password));
    if (keep(pg, in_dir(a, l, "password"), cm_str(pg->password), err) != CM_OK)
        return err->code;
    return keep(pg, in_dir(a, l, "port"), cm_arena_fmt(a, "%u\n", pg->port), err);
}

static enum cm_code make_data(struct cm_arena *a, const struct layout *l, struct postgres *pg,
                              struct cm_err *err)
{
    const char *fresh = in_dir(a, l, "data.new");
    const char *argv[] = {cm_fs_join(a, pg->bin_dir, "initdb"),
                          "-D",
                          fresh,
                          "-U",
                          "postgres",
                          "-E",
                          "UTF8",
                          "--locale=C.UTF-8",
                          "--auth-local=peer",
                          "--auth-host=reject",
                          "--no-instructions",
                          NULL};
    CM_INFO("making the database", CM_F_CSTR(folder, pg->data_dir),
            CM_F_INT(postgresql, pg->version));
    if (cm_fs_remove_tree(fresh, err) != CM_OK || run_tool(pg, argv, CM_STR_NONE, err) != CM_OK ||
        make_secret(a, l, pg, err) != CM_OK)
        return err->code;
    const char *sql = cm_arena_printf(
        a, "CREATE ROLE coder LOGIN PASSWORD '%s';\nCREATE DATABASE coder OWNER coder;\n",
        pg->password);
    if (run_sql(a, pg, fresh, sql, err) != CM_OK)
        return err->code;
    if (rename(fresh, pg->data_dir) != 0)
        return cm_err_errno(err, CM_IO, "rename %s", fresh);
    return CM_OK;
}

static enum cm_code write_rules(struct cm_arena *a, const struct layout *l,
                                const struct postgres *pg, struct cm_err *err)
{
    const char *who = l->user.name;
    if (!*who) {
        struct cm_user me;
        if (cm_user_by_uid(a, l->user.uid, &me, err) != CM_OK)
            return cm_err_wrap(err, "PostgreSQL needs a user with a name");
        who = me.name;
    }
    struct cm_str rules = CM_STR("# Written at each start.\n"
                                 "local all   postgres peer map=owner\n"
                                 "local coder coder    scram-sha-256\n");
    if (keep(pg, pg->hba_file, rules, err) != CM_OK)
        return err->code;
    return keep(pg, pg->ident_file,
                cm_arena_fmt(a, "# Written at each start.\nowner \"%s\" postgres\n", who), err);
}

/* The process that postmaster.pid names, 0: none. */
static pid_t old_server(struct cm_arena *a, const struct postgres *pg)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(4096);
    struct cm_str first;
    int64_t pid;
    if (cm_fs_read(cm_fs_join(a, pg->data_dir, "postmaster.pid"), &text, NULL) != CM_OK)
        return 0;
    cm_str_split(cm_buf_view(&text), '\n', &first);
    return cm_str_to_i64(cm_str_trim(first), &pid) && pid > 1 && pid < INT32_MAX ? (pid_t)pid : 0;
}

enum cm_code postgres_forget_old(const struct layout *l, const struct postgres *pg,
                                 struct cm_err *err)
{
    CM_AUTOFREE char *of_data = cm_xasprintf("%s/postmaster.pid", pg->data_dir);
    CM_AUTOFREE char *of_socket = cm_xasprintf("%s/.s.PGSQL.%u.lock", l->run_dir, pg->port);
    const char *files[] = {of_data, of_socket};
    for (size_t i = 0; i < CM_COUNT_OF(files); i++)
        if (unlink(files[i]) != 0 && errno != ENOENT)
            return cm_err_errno(err, CM_IO, "remove %s", files[i]);
    return CM_OK;
}

/* The number is checked, so that no stranger gets the signal. */
static void signal_old_server(struct cm_arena *a, const struct postgres *pg, pid_t pid, int signo)
{
    struct stat of_process, of_data;
    if (pid && stat(cm_arena_printf(a, "/proc/%d/cwd/", (int)pid), &of_process) == 0 &&
        stat(pg->data_dir, &of_data) == 0 && of_process.st_ino == of_data.st_ino &&
        of_process.st_dev == of_data.st_dev)
        kill(pid, signo);
}

/* We hold the folder's lock, so whoever still works in it is left of a supervisor that was killed.
 */
static enum cm_code end_old_server(struct cm_arena *a, const struct layout *l,
                                   const struct postgres *pg, struct cm_err *err)
{
    pid_t pid = old_server(a, pg);
    cm_usec begin = cm_monotonic_now();
    bool quitting = false;
    if (postgres_in_use(pg)) {
        CM_INFO("waiting for the end of an earlier database server", CM_F_INT(pid, pid));
        signal_old_server(a, pg, pid, SIGINT /* fast shutdown */);
    }
    while (postgres_in_use(pg)) {
        cm_usec waited = cm_monotonic_now() - begin;
        if (waited > OLD_SERVER_WAIT)
            return cm_err_set(
                err, CM_CONFLICT,
                "an earlier database server (process %d) still works in %s and does not stop: "
                "look at it, then start again",
                (int)pid, pg->data_dir);
        if (!quitting && waited > OLD_SERVER_PATIENCE) {
            CM_WARN("the earlier database server does not end: stopping it at once",
                    CM_F_INT(pid, pid));
            signal_old_server(a, pg, pid, SIGQUIT /* immediate shutdown */);
            quitting = true;
        }
        usleep(10000);
    }
    return postgres_forget_old(l, pg, err);
}

/* A data folder whose password was lost, e.g. one restored from a copy, gets a new one. */
static enum cm_code renew_secret(struct cm_arena *a, const struct layout *l, struct postgres *pg,
                                 struct cm_err *err)
{
    if (make_secret(a, l, pg, err) != CM_OK)
        return err->code;
    return run_sql(a, pg, pg->data_dir,
                   cm_arena_printf(a, "ALTER ROLE coder PASSWORD '%s';\n", pg->password), err);
}

enum cm_code postgres_prepare(struct cm_arena *a, const struct layout *l, struct postgres *pg,
                              struct cm_err *err)
{
    if (layout_private_dir(l, l->postgres_dir, err) != CM_OK)
        return err->code;
    if (!cm_fs_exists(pg->data_dir)) {
        if (make_data(a, l, pg, err) != CM_OK)
            return cm_err_wrap(err, "make the database in %s", l->postgres_dir);
        return write_rules(a, l, pg, err);
    }
    enum cm_code secret = postgres_read_secret(a, l, pg, err);
    if (secret != CM_OK && secret != CM_NOT_FOUND)
        return secret;
    if (end_old_server(a, l, pg, err) != CM_OK)
        return err->code;
    if (secret == CM_NOT_FOUND && renew_secret(a, l, pg, err) != CM_OK)
        return cm_err_wrap(err, "make a new password for the database");
    return write_rules(a, l, pg, err);
}
