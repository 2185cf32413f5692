#include "ssh/launch.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "sys/fs.h"
#include "sys/pty.h"

#define MOTD_MAX ((size_t)64 * 1024)

void ssh_launch_init(struct ssh_launch *l, struct cm_arena *a)
{
    *l = (struct ssh_launch){.arena = a};
}

void ssh_launch_env(struct ssh_launch *l, struct cm_str name, struct cm_str value)
{
    if (l->env_count == l->env_cap) {
        size_t cap = l->env_cap ? l->env_cap * 2 : 16;
        struct environ_pair *env = CM_NEW_ARRAY(l->arena, struct environ_pair, cap);
        if (l->env_count)
            memcpy(env, l->env, l->env_count * sizeof(*env));
        l->env = env;
        l->env_cap = cap;
    }
    l->env[l->env_count++] = (struct environ_pair){.name = cm_arena_str(l->arena, name),
                                                   .value = cm_arena_str(l->arena, value)};
}

/* The last one wins; none is passed on. */
static struct cm_str take_magic(struct ssh_launch *l, const char *name)
{
    struct cm_str value = CM_STR_NONE;
    size_t n = 0;
    for (size_t i = 0; i < l->env_count; i++) {
        if (cm_str_eq_c(l->env[i].name, name))
            value = l->env[i].value;
        else
            l->env[n++] = l->env[i];
    }
    l->env_count = n;
    return value;
}

static const char *session_type(struct cm_str v)
{
    static const char *const known[] = {"ssh", "vscode", "jetbrains"};
    for (size_t i = 0; i < CM_COUNT_OF(known); i++)
        if (cm_str_eq_nocase(v, cm_str(known[i])))
            return known[i];
    return v.len ? "unknown" : "ssh";
}

void ssh_launch_prepare(struct ssh_launch *l, const struct ssh_conn *conn)
{
    const char *type = session_type(take_magic(l, "CODER_SSH_SESSION_TYPE"));
    snprintf(l->type, sizeof(l->type), "%s", type);
    l->in_container = take_magic(l, "CODER_CONTAINER").len > 0;
    take_magic(l, "CODER_CONTAINER_USER");
    /* What sshd sets, for scripts that look whether they run under SSH; a tunnel has no addresses
     * to tell. */
    ssh_launch_env(l, CM_STR("SSH_CLIENT"), CM_STR("0.0.0.0 0 0"));
    ssh_launch_env(l, CM_STR("SSH_CONNECTION"), CM_STR("0.0.0.0 0 0.0.0.0 0"));
    if (l->pty && *l->term)
        ssh_launch_env(l, CM_STR("TERM"), cm_str(l->term));
    l->environ = environ_build(l->arena, conn->cfg->environment, conn->base_env, l->env,
                               l->env_count, &conn->user);
}

const char *ssh_launch_directory(struct ssh_launch *l, const struct ssh_conn *conn)
{
    return environ_directory(l->environ, l->arena, conn->cfg->environment, &conn->user);
}

bool ssh_launch_blocked(const Coder__Agent__V1__SshChildConfig *cfg, const char *command)
{
    static const char *const movers[] = {"nc", "rsync", "scp", "sftp"};
    if (!cfg->block_file_transfer || !command)
        return false;
    struct cm_str word, text = cm_str_trim(cm_str(command));
    cm_str_split(text, ' ', &word);
    ptrdiff_t slash = cm_str_find_last(word, '/');
    if (slash >= 0)
        word = cm_str_sub(word, (size_t)slash + 1, word.len);
    for (size_t i = 0; i < CM_COUNT_OF(movers); i++)
        if (cm_str_eq_c(word, movers[i]))
            return true;
    return false;
}

static enum cm_code start_child(struct ssh_launch *l, const struct ssh_conn *conn,
                                const char *command, int tty, struct cm_child **ret,
                                struct cm_err *err)
{
    const char *shell;
    if (environ_shell(l->environ, &conn->user, &shell, err) != CM_OK)
        return CM_NOT_FOUND;
    const char *login[] = {shell, "-l", NULL};
    const char *run[] = {shell, "-c", command, NULL};
    const Coder__Agent__V1__CommandEnvironment *env = conn->cfg->environment;
    struct cm_child_spec spec = {
        .argv = command ? run : login,
        .env = environ_list(l->environ),
        .cwd = ssh_launch_directory(l, conn),
        .new_session = true,
        .set_priority = env->set_priority,
        .nice = env->nice,
        .oom_score_adj = env->oom_score_adj,
    };
    for (int i = 0; i < 3; i++)
        spec.std[i] = tty >= 0 ? (struct cm_child_fd){.kind = CM_CHILD_FD, .fd = tty}
                               : (struct cm_child_fd){.kind = CM_CHILD_PIPE};
    spec.controlling_tty = tty >= 0;
    return cm_child_start(&spec, ret, err);
}

enum cm_code ssh_launch(struct ssh_launch *l, const struct ssh_conn *conn, const char *command,
                        struct ssh_launched *ret, struct cm_err *err)
{
    if (l->in_container)
        return cm_err_set(
            err, CM_UNIMPLEMENTED,
            "This agent does not run sessions in containers: connect without CODER_CONTAINER.");
    struct cm_child *child = NULL;
    enum cm_code code;
    if (!l->pty) {
        code = start_child(l, conn, command, -1, &child, err);
        if (code != CM_OK)
            return code;
        *ret = (struct ssh_launched){.child = child,
                                     .in_fd = cm_child_take_fd(child, 0),
                                     .out_fd = cm_child_take_fd(child, 1),
                                     .err_fd = cm_child_take_fd(child, 2)};
        return CM_OK;
    }
    CM_AUTOFD int master = -1;
    CM_AUTOFD int slave = -1;
    char name[CM_PTY_NAME_MAX];
    code = cm_pty_open(&master, &slave, name, err);
    if (code != CM_OK)
        return code;
    cm_pty_resize(master, l->rows, l->cols, l->xpixel, l->ypixel);
    environ_put(l->environ, CM_STR("SSH_TTY"), cm_str(name));
    CM_AUTOFD int in = dup(master);
    if (in < 0)
        return cm_err_errno(err, CM_IO, "duplicate the terminal");
    code = start_child(l, conn, command, slave, &child, err);
    if (code != CM_OK)
        return code;
    *ret = (struct ssh_launched){
        .child = child, .in_fd = CM_TAKE_FD(in), .out_fd = CM_TAKE_FD(master), .err_fd = -1};
    return CM_OK;
}

static void add_lines(struct cm_buf *out, struct cm_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n' && (i == 0 || text.ptr[i - 1] != '\r'))
            cm_buf_char(out, '\r');
        cm_buf_char(out, text.ptr[i]);
    }
}

struct cm_str ssh_launch_greeting(struct ssh_launch *l, const struct ssh_conn *conn,
                                  const char *command)
{
    const Coder__Agent__V1__SshChildConfig *cfg = conn->cfg;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(3 * MOTD_MAX);
    for (size_t i = 0; i < cfg->n_banners; i++) {
        struct cm_str banner = cm_str_trim(cm_str(cfg->banners[i]));
        if (!banner.len)
            continue;
        add_lines(&out, banner);
        cm_buf_cstr(&out, "\r\n\r\n");
    }
    const char *home = environ_home(l->environ, &conn->user);
    if (!command && cfg->motd_file && *cfg->motd_file &&
        !cm_fs_exists(cm_fs_join(l->arena, home, ".hushlogin"))) {
        CM_AUTOBUF struct cm_buf motd = CM_BUF_INIT(MOTD_MAX);
        const char *path = environ_path(l->environ, l->arena, cm_str(cfg->motd_file), home);
        if (cm_fs_read(path, &motd, NULL) == CM_OK)
            add_lines(&out, cm_buf_view(&motd));
    }
    return cm_arena_str(l->arena, cm_buf_view(&out));
}
