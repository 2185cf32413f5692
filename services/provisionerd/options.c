#include "options.h"

#define ROW(type_, member_, ...)                                                                   \
    {                                                                                              \
        .type = CM_OPT_##type_, .offset = offsetof(struct options, member_), __VA_ARGS__           \
    }

const struct cm_opt option_rows[] = {
    ROW(STR, url, .flag = "url", .env = "CODER_URL", .value = "url",
        .help = "The deployment's URL; or ipc:///path of the socket of a server on this machine."),
    ROW(STR, name, .flag = "name", .env = "CODER_PROVISIONER_DAEMON_NAME", .value = "string",
        .help =
            "The daemon's name among the deployment's provisioners. The host's name unless set."),
    ROW(LIST, tags, .flag = "tag", .shorthand = 't', .env = "CODER_PROVISIONERD_TAGS",
        .value = "name=value",
        .help = "A tag; the daemon takes jobs whose tags it has all. May be repeated."),
    ROW(STR, psk, .env = "CODER_PROVISIONER_DAEMON_PSK", .flags = CM_OPT_SECRET, .value = "string",
        .help = "The deployment's pre-shared key for provisioners. Only from the environment."),
    ROW(STR, key, .env = "CODER_PROVISIONER_DAEMON_KEY", .flags = CM_OPT_SECRET, .value = "string",
        .help = "A provisioner key, which brings its own organization and tags. Only from the "
                "environment."),
    ROW(STR, cache_dir, .flag = "cache-dir", .shorthand = 'c', .env = "CODER_CACHE_DIRECTORY",
        .value = "dir",
        .help = "Where jobs run, and where providers and initialised template versions are kept. "
                "One daemon per "
                "directory. ~/.cache/coder/provisioner unless set."),
    ROW(STR, terraform_path, .flag = "terraform-path", .env = "CODER_PROVISIONER_TERRAFORM_PATH",
        .value = "file", .help = "The terraform program. Looked up in PATH unless set."),
    ROW(STR, provider_path, .flag = "provider-path", .env = "CODER_PROVISIONER_PROVIDER_PATH",
        .value = "file",
        .help = "The provider for workspaces, terraform-provider-coder, offered to every template "
                "without a network. "
                "Looked for beside this program unless set."),
    ROW(STR, mirror, .flag = "provider-mirror", .env = "CODER_PROVISIONER_PROVIDER_MIRROR",
        .value = "dir",
        .help = "A directory with other providers, in terraform's mirror layout. Those in it are "
                "never looked for "
                "elsewhere."),
    ROW(STR, network_mirror, .flag = "provider-network-mirror",
        .env = "CODER_PROVISIONER_PROVIDER_NETWORK_MIRROR", .value = "url",
        .help = "A mirror to ask for all other providers, instead of their registries."),
    ROW(STR, cli_config, .flag = "terraform-cli-config", .env = "TF_CLI_CONFIG_FILE",
        .value = "file",
        .help = "Terraform's own configuration file, e.g. with credentials. What it says about "
                "provider_installation comes before the options above."),
    ROW(DURATION, grace, .flag = "terraform-grace", .env = "CODER_PROVISIONER_TERRAFORM_GRACE",
        .def = "3m", .help = "How long terraform may take to stop gently before it is killed."),
    ROW(DURATION, heartbeat, .flag = "heartbeat", .env = "CODER_PROVISIONER_HEARTBEAT", .def = "5s",
        .flags = CM_OPT_HIDDEN, .help = "How often a running job reports to the server at least."),
    ROW(STR, ca_file, .flag = "tls-ca-file", .env = "CODER_TLS_CA_FILE", .value = "file",
        .help = "More certificate authorities to trust, in PEM form."),
    ROW(STR, tls_cert, .flag = "tls-client-cert-file", .env = "CODER_TLS_CLIENT_CERT_FILE",
        .value = "file",
        .help = "A client certificate, for deployments behind a proxy that wants one."),
    ROW(STR, tls_key, .flag = "tls-client-key-file", .env = "CODER_TLS_CLIENT_KEY_FILE",
        .value = "file", .help = "The client certificate's key."),
    ROW(CHOICE, log_format, .flag = "log-format", .env = "CODER_PROVISIONER_LOG_FORMAT",
        .def = "text", .choices = "text|json",
        .help = "The form of the daemon's own log, which goes to stderr."),
    ROW(BOOL, verbose, .flag = "verbose", .env = "CODER_VERBOSE", .help = "Log more."),
    ROW(BOOL, version, .flag = "version", .help = "Print the version."),
    ROW(BOOL, help, .flag = "help", .shorthand = 'h', .help = "Print this help."),
};
const size_t option_row_count = CM_COUNT_OF(option_rows);
