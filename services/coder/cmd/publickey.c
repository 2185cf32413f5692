#include "cmd/cmd.h"

struct opts {
    bool reset;
};

static const struct cm_opt opts[] = {
    {CM_OPT_BOOL, offsetof(struct opts, reset), "reset",
     .help = "Regenerate your public key. This will require updating the key on any services it's "
             "registered with."},
};

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    const struct opts *o = cli->opts;
    struct api_git_ssh_key *key = NULL;

    if (cli_session(cli, err) != CM_OK ||
        (o->reset &&
         ui_confirm(cli,
                    "Confirm regenerate a new sshkey for your workspaces? This will require "
                    "updating the key on any services it's registered with.",
                    false, err) != CM_OK))
        return err->code;
    if (cm_sdk_send(cli->sdk, cli->arena, o->reset ? "PUT" : "GET", NULL, NULL,
                    &api_git_ssh_key_msg, &key, err, "/api/v2/users/me/gitsshkey") != CM_OK)
        return cm_err_wrap(err, o->reset ? "regenerate sshkey" : "get sshkey");
    fprintf(stderr, "This is your public key for using git in Coder. All clones with SSH will be "
                    "authenticated automatically with it.\n\n");
    printf("%.*s\n", CM_STR_ARG(cm_str_trim(key->public_key)));
    fprintf(stderr, "\nAdd to GitHub and GitLab:\n> https://github.com/settings/ssh/new\n> "
                    "https://gitlab.com/-/profile/keys\n");
    return CM_OK;
}

const struct command command_publickey = {
    .name = "publickey",
    .aliases = "pubkey",
    .brief = "Output your Coder public key used for Git operations",
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct opts),
    .uses = USES_YES,
    .run = run,
};
