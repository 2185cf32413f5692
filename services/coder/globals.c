/* Options that every command takes. */
#include "cli.h"

#define G(member) offsetof(struct global_opts, member)

const struct cm_opt global_opts[] = {
    {CM_OPT_STR, G(url), "url", .env = "=", .help = "URL to a deployment.", .value = "url"},
    {CM_OPT_STR, G(token), "token", .env = "CODER_SESSION_TOKEN",
     .help = "Specify an authentication token. For security reasons setting CODER_SESSION_TOKEN is "
             "preferred.",
     .flags = CM_OPT_SECRET},
    {CM_OPT_STR, G(config_dir), "global-config", .env = "CODER_CONFIG_DIR",
     .help = "Path to the global `coder` config directory. Default: ~/.config/coderv2."},
    {CM_OPT_LIST, G(headers), "header", .env = "=",
     .help = "Additional HTTP headers added to all requests. Provide as key=value. Can be "
             "specified multiple times."},
    {CM_OPT_STR, G(header_command), "header-command", .env = "=",
     .help = "An external command that outputs additional HTTP headers added to all requests. The "
             "command must output "
             "each header as `key=value` on its own line."},
    {CM_OPT_STR, G(ca_file), "client-tls-ca-file", .env = "=",
     .help =
         "Path to a CA certificate file to trust for API requests, besides those of this machine."},
    {CM_OPT_STR, G(cert_file), "client-tls-cert-file", .env = "=",
     .help =
         "Path to a TLS client certificate file for API requests. Requires --client-tls-key-file."},
    {CM_OPT_STR, G(key_file), "client-tls-key-file", .env = "=",
     .help = "Path to a TLS client private key file for API requests. Requires "
             "--client-tls-cert-file."},
    {CM_OPT_BOOL, G(no_version_warning), "no-version-warning", .env = "=",
     .help = "Suppress warning when client and server versions do not match."},
    {CM_OPT_BOOL, G(no_feature_warning), "no-feature-warning", .env = "=",
     .help = "Suppress warnings about unlicensed features."},
    {CM_OPT_BOOL, G(use_keyring), "use-keyring", .env = "=", .def = "true",
     .help = "Store and retrieve session tokens using the operating system keyring. This machine "
             "has none, so files "
             "are used."},
    {CM_OPT_BOOL, G(no_open), "no-open", .env = "=",
     .help = "Suppress opening the browser when logging in.", .flags = CM_OPT_HIDDEN},
    {CM_OPT_BOOL, G(force_tty), "force-tty", .env = "=", .help = "Force the use of a TTY.",
     .flags = CM_OPT_HIDDEN},
    {CM_OPT_BOOL, G(verbose), "verbose", 'v', "=", .help = "Enable verbose output."},
    {CM_OPT_BOOL, G(disable_direct), "disable-direct-connections", .env = "=",
     .help = "Disable direct (P2P) connections to workspaces."},
    {CM_OPT_BOOL, G(disable_network_telemetry), "disable-network-telemetry", .env = "=",
     .help = "Disable network telemetry. There is none."},
    {CM_OPT_BOOL, G(help), "help", 'h', .help = "Show this help.", .flags = CM_OPT_HIDDEN},
    {CM_OPT_STR, G(agent_token), "agent-token", .env = "=",
     .help = "An agent authentication token.", .flags = CM_OPT_HIDDEN | CM_OPT_SECRET},
    {CM_OPT_STR, G(agent_token_file), "agent-token-file", .env = "=",
     .help = "A file with an agent's token.", .flags = CM_OPT_HIDDEN},
    {CM_OPT_STR, G(agent_url), "agent-url", .env = "=",
     .help = "URL for an agent to access your deployment.", .flags = CM_OPT_HIDDEN},
    {CM_OPT_STR, G(agent_auth), "auth", .env = "CODER_AGENT_AUTH", .def = "token",
     .help = "How an agent authenticates.", .flags = CM_OPT_HIDDEN},
    {CM_OPT_STR, G(agent_name), "agent-name", .env = "=", .help = "The agent's name.",
     .flags = CM_OPT_HIDDEN},
};
const size_t global_opts_n = CM_COUNT_OF(global_opts);
