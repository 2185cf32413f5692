/* Programs of their own behind a word: the agent and the server read their arguments themselves;
 * the provisioner is a file beside this one. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent.h"
#include "cmd/admin.h"
#include "cmd/provisioners.h"
#include "server.h"
#include "sys/fs.h"

const struct command command_agent = {
    .name = "agent",
    .brief = "Starts the Coder workspace agent.",
    .hidden = true,
    .raw_args = true,
    .run_main = agent_main,
};

static const struct command *const server_sub[] = {&server_create_admin, NULL};

const struct command command_server = {
    .name = "server",
    .brief = "Start a Coder server",
    .raw_args = true,
    .sub = server_sub,
    .run_main = server_main,
    .reference = server_reference,
};

/* --- provisioner start --- */

#define PROGRAM   "provisionerd"
#define TAG_BYTES 4096

struct provisioner_opts {
    const char *psk, *key, *name, *cache_dir;
    struct cm_conf_list tags;
    struct cm_conf_list ignored_list;
    const char *ignored;
};

#define P(member)   offsetof(struct provisioner_opts, member)
#define IGNORED(x_) .help = "Has no effect.", .flags = CM_OPT_HIDDEN, .env = (x_)

static const struct cm_opt provisioner_rows[] = {
    {CM_OPT_STR, P(psk), "psk", .env = "CODER_PROVISIONER_DAEMON_PSK", .flags = CM_OPT_SECRET,
     .help =
         "The deployment's pre-shared key for provisioners. Other users of this machine can see "
         "flags: prefer the environment variable."},
    {CM_OPT_STR, P(key), "key", .env = "CODER_PROVISIONER_DAEMON_KEY", .flags = CM_OPT_SECRET,
     .help = "A provisioner key, which brings its own organization and tags; not with --psk or "
             "--tag. Prefer the environment variable, as above."},
    {CM_OPT_STR, P(name), "name", .env = "CODER_PROVISIONER_DAEMON_NAME",
     .help = "Name of this provisioner daemon. Defaults to the host's name."},
    {CM_OPT_LIST, P(tags), "tag", 't', "CODER_PROVISIONERD_TAGS", .value = "name=value",
     .help = "Tags to filter provisioner jobs by."},
    {CM_OPT_STR, P(cache_dir), "cache-dir", 'c', "CODER_CACHE_DIRECTORY",
     .help = "Directory to store cached data."},
    {CM_OPT_STR, P(ignored), "poll-interval", IGNORED("CODER_PROVISIONERD_POLL_INTERVAL")},
    {CM_OPT_STR, P(ignored), "poll-jitter", IGNORED("CODER_PROVISIONERD_POLL_JITTER")},
    {CM_OPT_LIST, P(ignored_list), "experiments", IGNORED("CODER_EXPERIMENTS")},
};

/* One value of a CSV record, quoted: it may have commas. */
static void put_quoted(struct cm_buf *out, const char *value)
{
    cm_buf_char(out, '"');
    for (; *value; value++) {
        if (*value == '"')
            cm_buf_char(out, '"');
        cm_buf_char(out, *value);
    }
    cm_buf_char(out, '"');
}

/* All by the environment, above all the secrets. */
static enum cm_code pass_on(const struct cli *cli, const char *url, const char *tags,
                            struct cm_err *err)
{
    const struct provisioner_opts *o = cli->opts;
    const char *const vars[][2] = {
        {"CODER_URL", url},
        {"CODER_PROVISIONER_DAEMON_PSK", o->psk},
        {"CODER_PROVISIONER_DAEMON_KEY", o->key},
        {"CODER_PROVISIONER_DAEMON_NAME", o->name},
        {"CODER_PROVISIONERD_TAGS", tags},
        {"CODER_CACHE_DIRECTORY", o->cache_dir},
        {"CODER_TLS_CA_FILE", cli->g.ca_file},
        {"CODER_TLS_CLIENT_CERT_FILE", cli->g.cert_file},
        {"CODER_TLS_CLIENT_KEY_FILE", cli->g.key_file},
        {"CODER_VERBOSE", cli->g.verbose ? "true" : ""},
    };
    for (size_t i = 0; i < CM_COUNT_OF(vars); i++)
        if (*vars[i][1] && setenv(vars[i][0], vars[i][1], 1) != 0)
            return cm_err_errno(err, CM_INTERNAL, "set %s", vars[i][0]);
    return CM_OK;
}

static enum cm_code run_provisioner(struct cli *cli, struct cm_err *err)
{
    const struct provisioner_opts *o = cli->opts;
    const char *url = *cli->g.url ? cli->g.url : cli_config_read(cli, "url");
    CM_AUTOFREE char *self = NULL;
    CM_AUTOBUF struct cm_buf tags = CM_BUF_INIT(TAG_BYTES);
    char *const argv[] = {(char[]){PROGRAM}, NULL};

    if (!*o->key && !*o->psk)
        return cm_err_set(
            err, CM_INVALID,
            "must provide a provisioner key (--key) or the deployment's pre-shared key "
            "(--psk)");
    for (size_t i = 0; i < o->tags.n; i++) {
        if (i)
            cm_buf_char(&tags, ',');
        put_quoted(&tags, o->tags.v[i]);
    }
    cm_buf_char(&tags, '\0');
    if (cm_buf_check(&tags, "the list of tags", err) != CM_OK ||
        pass_on(cli, url, tags.ptr, err) != CM_OK || cm_fs_self_exe(&self, err) != CM_OK)
        return err->code;
    /* Beside this program, as it is built and packaged; else wherever it is. */
    const char *path = cm_fs_join(cli->arena, cm_fs_dirname(cli->arena, self), PROGRAM);
    if (cm_fs_is_executable(path))
        execv(path, argv);
    else
        execvp(PROGRAM, argv);
    return cm_err_errno(
        err, CM_IO, "start " PROGRAM ", which is neither in the folder of %s nor in PATH", self);
}

static const struct command provisioner_start = {
    .name = "start",
    .brief = "Run a provisioner daemon",
    .about = "Takes jobs from the deployment at --url and runs terraform for them, until it is "
             "interrupted.",
    .opts = provisioner_rows,
    .n_opts = CM_COUNT_OF(provisioner_rows),
    .opts_size = sizeof(struct provisioner_opts),
    .run = run_provisioner,
};

static const struct command *const provisioner_sub[] = {&provisioner_start, &provisioner_list,
                                                        &provisioner_jobs, &provisioner_keys, NULL};

const struct command command_provisioner = {
    .name = "provisioner",
    .aliases = "provisioners",
    .brief = "View and manage provisioner daemons and jobs",
    .sub = provisioner_sub,
};
