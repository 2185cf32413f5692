#include "server/postgres.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "obs/log.h"
#include "sys/fs.h"

#define DEBIAN_DIR   "/usr/lib/postgresql"
#define VERSION_MIN  13
#define SOCKET_PORT  5432
#define PID_FILE_MAX 4096
/* postmaster.pid, line 8 */
#define STATUS_LINE 8

static int newest_installed(void)
{
    int best = 0;
    DIR *d = opendir(DEBIAN_DIR);
    struct dirent *e;
    while (d && (e = readdir(d)) != NULL) {
        int64_t v;
        char path[sizeof(DEBIAN_DIR) + sizeof(e->d_name) + sizeof("//bin/postgres")];
        snprintf(path, sizeof(path), "%s/%s/bin/postgres", DEBIAN_DIR, e->d_name);
        if (cm_str_to_i64(cm_str(e->d_name), &v) && v > best && v < 1000 &&
            cm_fs_is_executable(path))
            best = (int)v;
    }
    if (d)
        closedir(d);
    return best;
}

/* Of a data folder; 0 when there is none. */
static enum cm_code data_version(struct cm_arena *a, const char *data_dir, int *ret,
                                 struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(64);
    int64_t v = 0;
    *ret = 0;
    if (!cm_fs_exists(data_dir))
        return CM_OK;
    if (cm_fs_read(cm_fs_join(a, data_dir, "PG_VERSION"), &text, err) != CM_OK)
        return cm_err_set(err, CM_CONFLICT,
                          "%s is no data folder of PostgreSQL, or one that we may not read: move "
                          "it away, or choose "
                          "another place by --global-config (CODER_CONFIG_DIR)",
                          data_dir);
    if (!cm_str_to_i64(cm_str_trim(cm_buf_view(&text)), &v) || v < 1 || v > 1000)
        return cm_err_set(err, CM_CONFLICT, "%s/PG_VERSION does not hold a version", data_dir);
    *ret = (int)v;
    return CM_OK;
}

/* What "postgres --version" says: "postgres (PostgreSQL) 15.20 (Debian ...)". */
static int program_version(struct cm_arena *a, const char *bin_dir)
{
    const char *argv[] = {cm_fs_join(a, bin_dir, "postgres"), "--version", NULL};
    const struct cm_child_spec spec = {.argv = argv, .die_with_parent = true};
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(1024);
    struct cm_err err;
    int64_t v = 0;
    if (cm_child_run(&spec, CM_STR_NONE, &out, NULL, 10 * CM_SECOND, NULL, NULL, &err) != CM_OK)
        return 0;
    ptrdiff_t at = cm_str_find(cm_buf_view(&out), ')');
    if (at < 0)
        return 0;
    struct cm_str major, rest = cm_str_trim(cm_str_sub(cm_buf_view(&out), (size_t)at + 1, out.len));
    cm_str_split(rest, '.', &major);
    return cm_str_to_i64(major, &v) && v < 1000 ? (int)v : 0;
}

enum cm_code postgres_find(struct cm_arena *a, const struct settings *s, const struct layout *l,
                           struct postgres *pg, struct cm_err *err)
{
    int have = 0;
    *pg = (struct postgres){.data_dir = cm_fs_join(a, l->postgres_dir, "data"),
                            .hba_file = cm_fs_join(a, l->postgres_dir, "pg_hba.conf"),
                            .ident_file = cm_fs_join(a, l->postgres_dir, "pg_ident.conf"),
                            .password = "",
                            .port = SOCKET_PORT,
                            .child_user = l->database_user,
                            .other_user = l->other_user};
    if (data_version(a, pg->data_dir, &have, err) != CM_OK)
        return err->code;
    if (s->postgres_bin_dir[0]) {
        pg->bin_dir = s->postgres_bin_dir;
        pg->version = program_version(a, pg->bin_dir);
        if (!pg->version)
            return cm_err_set(err, CM_NOT_FOUND, "there is no PostgreSQL in %s", pg->bin_dir);
    } else {
        const char *own = cm_arena_printf(a, DEBIAN_DIR "/%d/bin/postgres", have);
        pg->version = have && cm_fs_is_executable(own) ? have : newest_installed();
        pg->bin_dir = cm_arena_printf(a, DEBIAN_DIR "/%d/bin", pg->version);
    }
    if (!pg->version && have)
        return cm_err_set(err, CM_NOT_FOUND,
                          "PostgreSQL %d, which the database in %s needs, is not installed: "
                          "install postgresql-%d, or "
                          "set CODER_PG_CONNECTION_URL",
                          have, pg->data_dir, have);
    if (pg->version < VERSION_MIN)
        return cm_err_set(
            err, CM_NOT_FOUND,
            "no PostgreSQL from version %d on is installed in " DEBIAN_DIR
            ": install the package postgresql, name its folder by --postgres-bin-dir, or set "
            "CODER_PG_CONNECTION_URL to a database elsewhere",
            VERSION_MIN);
    if (have && have != pg->version)
        return cm_err_set(
            err, CM_CONFLICT,
            "the database in %s was made by PostgreSQL %d, but the one installed is %d: install "
            "postgresql-%d, or move the data over (pg_dump there, pg_restore here) and that folder "
            "away",
            pg->data_dir, have, pg->version, have);
    return CM_OK;
}

/* cwd of every process that we may look at. */
bool postgres_in_use(const struct postgres *pg)
{
    bool found = false;
    CM_AUTOFREE char *real = realpath(pg->data_dir, NULL);
    DIR *d = real ? opendir("/proc") : NULL;
    struct dirent *e;
    while (d && !found && (e = readdir(d)) != NULL) {
        char link[64], cwd[PATH_MAX];
        int64_t pid;
        if (!cm_str_to_i64(cm_str(e->d_name), &pid))
            continue;
        snprintf(link, sizeof(link), "/proc/%.20s/cwd", e->d_name);
        ssize_t n = readlink(link, cwd, sizeof(cwd) - 1);
        found = n > 0 && cm_str_eq_c(cm_str_n(cwd, (size_t)n), real);
    }
    if (d)
        closedir(d);
    return found;
}

static const char *setting(struct cm_arena *a, const char *name, const char *value)
{
    return cm_arena_printf(a, "%s=%s", name, value);
}

enum cm_code postgres_start(struct cm_arena *a, const struct layout *l, const struct postgres *pg,
                            struct cm_child **ret, int *ret_log, struct cm_err *err)
{
    const char *argv[] = {
        cm_fs_join(a, pg->bin_dir, "postgres"),
        "-D",
        pg->data_dir,
        "-c",
        setting(a, "listen_addresses", ""),
        "-c",
        setting(a, "unix_socket_directories", l->run_dir),
        "-c",
        setting(a, "unix_socket_permissions", "0700"),
        "-c",
        cm_arena_printf(a, "port=%u", pg->port),
        "-c",
        setting(a, "hba_file", pg->hba_file),
        "-c",
        setting(a, "ident_file", pg->ident_file),
        "-c",
        setting(a, "timezone", "UTC"),
        "-c",
        setting(a, "log_timezone", "UTC"),
        /* Ours is one line an event; the server's own log would repeat the time, and statements
         * that fail are coderd's to report. */
        "-c",
        setting(a, "log_line_prefix", ""),
        "-c",
        setting(a, "log_min_messages", "log"),
        "-c",
        setting(a, "log_min_error_statement", "panic"),
        "-c",
        setting(a, "log_checkpoints", "off"),
        "-c",
        setting(a, "jit", "off"),
        NULL,
    };
    static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8",
                                      "LC_MESSAGES=C", NULL};
    const struct cm_child_spec spec = {
        .argv = argv,
        .env = env,
        .cwd = "/",
        .std = {[2] = {CM_CHILD_PIPE, 0}},
        .die_with_parent = true,
        /* Killing it would leave its children to clean up. Not the gentler SIGINT: a server that is
         * recovering from the crash of one of its processes never ends after that. */
        .die_signo = SIGQUIT /* immediate shutdown */,
        .user = pg->other_user ? &pg->child_user : NULL};
    if (cm_child_start(&spec, ret, err) != CM_OK)
        return err->code;
    *ret_log = cm_child_take_fd(*ret, 2);
    return CM_OK;
}

bool postgres_is_ready(const struct postgres *pg, pid_t pid)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(PID_FILE_MAX);
    CM_AUTOFREE char *path = cm_xasprintf("%s/postmaster.pid", pg->data_dir);
    struct cm_str rest, line = CM_STR_NONE;
    int64_t n = 0;
    if (cm_fs_read(path, &text, NULL) != CM_OK)
        return false;
    rest = cm_buf_view(&text);
    for (int i = 0; i < STATUS_LINE && rest.ptr; i++) {
        rest = cm_str_split(rest, '\n', &line);
        if (i == 0 && (!cm_str_to_i64(cm_str_trim(line), &n) || n != pid))
            return false;
    }
    return cm_str_eq_c(cm_str_trim(line), "ready");
}

void postgres_log_line(struct cm_str line)
{
    static const struct {
        struct cm_str prefix;
        enum cm_log_level level;
    } kinds[] = {
        {{"FATAL:", 6}, CM_LOG_ERROR},      {{"PANIC:", 6}, CM_LOG_ERROR},
        {{"ERROR:", 6}, CM_LOG_WARN},       {{"WARNING:", 8}, CM_LOG_WARN},
        {{"HINT:", 5}, CM_LOG_INFO},        {{"LOG:", 4}, CM_LOG_DEBUG},
        {{"DETAIL:", 7}, CM_LOG_DEBUG},     {{"NOTICE:", 7}, CM_LOG_DEBUG},
        {{"STATEMENT:", 10}, CM_LOG_DEBUG}, {{"CONTEXT:", 8}, CM_LOG_DEBUG},
        {{"\t", 1}, CM_LOG_DEBUG},
    };
    enum cm_log_level level =
        CM_LOG_WARN; /* what does not come from the server proper, e.g. its loader */
    for (size_t i = 0; i < CM_COUNT_OF(kinds); i++) {
        if (cm_str_starts(line, kinds[i].prefix)) {
            level = kinds[i].level;
            line = cm_str_trim(cm_str_sub(line, kinds[i].prefix.len, line.len));
            break;
        }
    }
    CM_LOG_(level, "postgresql", CM_F_STR(text, line));
}

const char *postgres_url(struct cm_arena *a, const struct layout *l, const struct postgres *pg)
{
    CM_AUTOBUF struct cm_buf host = CM_BUF_INIT(1024);
    for (const char *p = l->run_dir; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("/-._~", c))
            cm_buf_char(&host, *p);
        else
            cm_buf_printf(&host, "%%%02X", c);
    }
    return cm_arena_printf(a, "postgres://coder:%s@/coder?host=%.*s&port=%u", pg->password,
                           (int)host.len, cm_buf_view(&host).ptr, pg->port);
}
