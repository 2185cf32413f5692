#include "options.h"

#include "base/buf.h"

enum type { STR, BOOL, DURATION };

struct row {
    enum type type;
    size_t offset;
    const char *flag; /* NULL: environment only */
    const char *env, *def, *help;
};

#define AT(member) offsetof(struct agent_options, member)

static const struct row rows[] = {
    {STR, AT(url), "agent-url", "CODER_AGENT_URL", "", "URL of the deployment."},
    {STR, AT(token), "agent-token", "CODER_AGENT_TOKEN", "",
     "The agent's token. Prefer the environment or a file."},
    {STR, AT(token_file), "agent-token-file", "CODER_AGENT_TOKEN_FILE", "",
     "File that holds the agent's token."},
    {STR, AT(auth), "auth", "CODER_AGENT_AUTH", "token", "How the agent proves who it is: token."},
    {STR, AT(name), "agent-name", "CODER_AGENT_NAME", "",
     "Name of the agent, where several share an instance."},
    {STR, AT(log_dir), "log-dir", "CODER_AGENT_LOG_DIR", "/tmp",
     "Folder of the log files of scripts."},
    {STR, AT(script_data_dir), "script-data-dir", "CODER_AGENT_SCRIPT_DATA_DIR", "/tmp",
     "Folder of the data that scripts keep."},
    {STR, AT(pprof_address), "pprof-address", "CODER_AGENT_PPROF_ADDRESS", "127.0.0.1:6060",
     "Accepted and not used: there is no profile to serve."},
    {STR, AT(prometheus_address), "prometheus-address", "CODER_AGENT_PROMETHEUS_ADDRESS",
     "127.0.0.1:2112", "Address at which metrics would be served."},
    {STR, AT(debug_address), "debug-address", "CODER_AGENT_DEBUG_ADDRESS", "127.0.0.1:2113",
     "Address at which debugging information would be served."},
    {STR, AT(header), "agent-header", "CODER_AGENT_HEADER", "",
     "HTTP headers to add to requests: Name=value,..."},
    {STR, AT(header_command), "agent-header-command", "CODER_AGENT_HEADER_COMMAND", "",
     "Command that prints more headers, one Name=value a line."},
    {BOOL, AT(no_reap), "no-reap", NULL, "false",
     "Do not reap orphaned processes when the agent is process 1."},
    {DURATION, AT(ssh_max_timeout), "ssh-max-timeout", "CODER_AGENT_SSH_MAX_TIMEOUT", "72h",
     "How long an SSH connection may stay without a sign of life."},
    {STR, AT(log_human), "log-human", "CODER_AGENT_LOGGING_HUMAN", "/dev/stderr",
     "Where human-readable logs go."},
    {STR, AT(log_json), "log-json", "CODER_AGENT_LOGGING_JSON", "", "Where JSON logs go instead."},
    {STR, AT(log_stackdriver), "log-stackdriver", "CODER_AGENT_LOGGING_STACKDRIVER", "",
     "The same as --log-json."},
    {BOOL, AT(block_file_transfer), "block-file-transfer", "CODER_AGENT_BLOCK_FILE_TRANSFER",
     "false", "Refuse sftp, scp, rsync and nc."},
    {BOOL, AT(block_remote_forward), "block-reverse-port-forwarding",
     "CODER_AGENT_BLOCK_REVERSE_PORT_FORWARDING", "false",
     "Refuse forwarding from the workspace to clients."},
    {BOOL, AT(block_local_forward), "block-local-port-forwarding",
     "CODER_AGENT_BLOCK_LOCAL_PORT_FORWARDING", "false",
     "Refuse forwarding from clients to the workspace."},
    {STR, AT(extra_ca_file), "extra-ca-file", "CODER_AGENT_EXTRA_CA_FILE", "",
     "PEM file of certificate authorities to trust besides the system's."},
    {BOOL, AT(verbose), "verbose", "CODER_VERBOSE", "false", "Log debugging information as well."},
    {BOOL, AT(version), "version", NULL, "false", "Print the version."},
    {BOOL, AT(help), "help", NULL, "false", "Print this."},
    {STR, AT(subsystem), NULL, "CODER_AGENT_SUBSYSTEM", "", ""},
    {STR, AT(prio_mgmt), NULL, "CODER_PROC_PRIO_MGMT", "", ""},
    {STR, AT(nice_score), NULL, "CODER_PROC_NICE_SCORE", "", ""},
    {STR, AT(oom_score), NULL, "CODER_PROC_OOM_SCORE", "", ""},
};

/* Of flags that the reference's agent has and that change nothing here, so that a command line
 * written for it still starts the agent. */
static const char *const ignored[] = {"tailnet-listen-port",
                                      "devcontainers-enable",
                                      "socket-path",
                                      "socket-server-enabled",
                                      "devcontainers-project-discovery-enable",
                                      "devcontainers-discovery-autostart-enable"};

static enum cm_code set(const struct row *r, struct agent_options *o, const char *text,
                        struct cm_err *err)
{
    void *at = (char *)o + r->offset;
    switch (r->type) {
    case STR:
        *(const char **)at = text;
        return CM_OK;
    case BOOL:
        if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
            *(bool *)at = true;
        else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0 || !*text)
            *(bool *)at = false;
        else
            return cm_err_set(err, CM_INVALID, "%s: \"%s\" is neither true nor false", r->flag,
                              text);
        return CM_OK;
    case DURATION:
        if (!cm_duration_parse(cm_str(text), at))
            return cm_err_set(err, CM_INVALID, "%s: \"%s\" is not a duration like 72h or 30m",
                              r->flag, text);
        return CM_OK;
    }
    return CM_OK;
}

static const struct row *row_of(struct cm_str flag)
{
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++)
        if (rows[i].flag && cm_str_eq_c(flag, rows[i].flag))
            return &rows[i];
    return NULL;
}

static bool is_ignored(struct cm_str flag)
{
    for (size_t i = 0; i < CM_COUNT_OF(ignored); i++)
        if (cm_str_eq_c(flag, ignored[i]))
            return true;
    return false;
}

static enum cm_code read_flags(int argc, char **argv, struct agent_options *o, struct cm_err *err)
{
    for (int i = 0; i < argc; i++) {
        struct cm_str arg = cm_str(argv[i]), flag;
        if (!cm_str_starts(arg, CM_STR("--")))
            return cm_err_set(err, CM_INVALID, "\"%s\" is not an option; see --help", argv[i]);
        struct cm_str value = cm_str_split(cm_str_sub(arg, 2, arg.len), '=', &flag);
        const struct row *r = row_of(flag);
        if (!r && !is_ignored(flag))
            return cm_err_set(err, CM_INVALID, "unknown flag: --%.*s", CM_STR_ARG(flag));
        const char *text = value.ptr;
        if (!text && r && r->type == BOOL)
            text = "true";
        else if (!text && ++i < argc)
            text = argv[i];
        if (!text)
            return cm_err_set(err, CM_INVALID, "flag needs an argument: --%.*s", CM_STR_ARG(flag));
        enum cm_code code = r ? set(r, o, text, err) : CM_OK;
        if (code != CM_OK)
            return code;
    }
    return CM_OK;
}

static enum cm_code read_subsystems(struct cm_arena *a, struct agent_options *o, struct cm_err *err)
{
    static const char *const known[] = {"envbox", "envbuilder", "exectrace"};
    struct cm_str rest = cm_str(o->subsystem);
    while (rest.len) {
        struct cm_str name;
        rest = cm_str_split(rest, ',', &name);
        name = cm_str_trim(name);
        size_t i = 0;
        while (i < CM_COUNT_OF(known) && !cm_str_eq_c(name, known[i]))
            i++;
        if (i == CM_COUNT_OF(known) || o->n_subsystems == AGENT_SUBSYSTEMS_MAX)
            return cm_err_set(err, CM_INVALID,
                              "CODER_AGENT_SUBSYSTEM: \"%.*s\" is unknown; known are envbox, "
                              "envbuilder, exectrace",
                              CM_STR_ARG(name));
        o->subsystems[o->n_subsystems++] = cm_arena_cstr(a, name);
    }
    return CM_OK;
}

enum cm_code agent_options_load(struct cm_arena *a, int argc, char **argv,
                                const char *(*get)(const char *name), struct agent_options *ret,
                                struct cm_err *err)
{
    struct agent_options o = {0};
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        const char *env = rows[i].env ? get(rows[i].env) : NULL;
        const char *text = env && *env ? cm_arena_cstr(a, cm_str(env)) : rows[i].def;
        if (set(&rows[i], &o, text, err) != CM_OK)
            return cm_err_wrap(err, "%s", rows[i].env ? rows[i].env : rows[i].flag);
    }
    enum cm_code code = read_flags(argc, argv, &o, err);
    if (code == CM_OK)
        code = read_subsystems(a, &o, err);
    if (code == CM_OK)
        *ret = o;
    return code;
}

void agent_options_help(struct cm_buf *out)
{
    cm_buf_cstr(out, "USAGE:\n  coder agent [flags]\n\n  Runs in a workspace and makes it "
                     "reachable.\n\nOPTIONS:\n");
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        if (!rows[i].flag)
            continue;
        cm_buf_printf(out, "      --%s%s", rows[i].flag,
                      rows[i].type == STR        ? " string"
                      : rows[i].type == DURATION ? " duration"
                                                 : "");
        if (rows[i].env)
            cm_buf_printf(out, ", $%s", rows[i].env);
        if (*rows[i].def && rows[i].type != BOOL)
            cm_buf_printf(out, " (default: %s)", rows[i].def);
        cm_buf_printf(out, "\n          %s\n", rows[i].help);
    }
}
