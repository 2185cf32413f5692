/* Options of coderd: one row each, for coderd itself and for "coder server", which takes the same
 * and passes them on. Names, environment, YAML paths and defaults are the reference's where the
 * option exists there (api-behaviour reference, section 6). */
#pragma once

#include "conf/conf.h"

/* OPT(type, member, more): a type of enum cm_opt_type without its prefix, the struct's member, and
 * other members of struct cm_opt. */
#define CODERD_OPTIONS(OPT)                                                                        \
    OPT(STR, http_address, .flag = "http-address", .env = "=", .def = "127.0.0.1:3000",            \
        .yaml = "networking.http.httpAddress", .value = "host:port", .group = "NETWORKING",        \
        .help = "Address of the plain HTTP listener. Empty: none.")                                \
    OPT(BOOL, tls_enable, .flag = "tls-enable", .env = "=", .yaml = "networking.tls.enable",       \
        .group = "NETWORKING", .help = "Whether to serve HTTPS.")                                  \
    OPT(STR, tls_address, .flag = "tls-address", .env = "=", .def = "127.0.0.1:3443",              \
        .yaml = "networking.tls.address", .value = "host:port", .group = "NETWORKING",             \
        .help = "Address of the HTTPS listener.")                                                  \
    OPT(STR, tls_cert_file, .flag = "tls-cert-file", .env = "=",                                   \
        .yaml = "networking.tls.certFiles", .value = "file", .group = "NETWORKING",                \
        .help = "PEM file with the certificate and its chain.")                                    \
    OPT(STR, tls_key_file, .flag = "tls-key-file", .env = "=", .yaml = "networking.tls.keyFiles",  \
        .value = "file", .group = "NETWORKING", .help = "PEM file with the private key.")          \
    OPT(STR, tls_min_version, .flag = "tls-min-version", .env = "=", .def = "tls12",               \
        .yaml = "networking.tls.minVersion", .group = "NETWORKING",                                \
        .help = "Oldest TLS version accepted: tls12 or tls13.")                                    \
    OPT(STR, access_url, .flag = "access-url", .env = "=", .yaml = "networking.accessURL",         \
        .value = "url", .group = "NETWORKING",                                                     \
        .help = "URL that users and agents use to reach the deployment.")                          \
    OPT(STR, wildcard_access_url, .flag = "wildcard-access-url", .env = "=",                       \
        .yaml = "networking.wildcardAccessURL", .group = "NETWORKING",                             \
        .help = "Host of applications, as *.example.com.")                                         \
    OPT(STR, proxy_trusted_origins, .flag = "proxy-trusted-origins", .env = "=",                   \
        .yaml = "networking.proxyTrustedOrigins", .group = "NETWORKING",                           \
        .help = "Addresses or networks (10.0.0.0/8) of proxies whose X-Forwarded-For is "          \
                "believed, separated by commas.")                                                  \
    OPT(INT, max_connections, .flag = "max-connections", .env = "=", .def = "20000",               \
        .group = "NETWORKING", .help = "Open connections beyond which new ones are turned away.")  \
    OPT(DURATION, drain_timeout, .flag = "drain-timeout", .env = "=", .def = "10s",                \
        .group = "NETWORKING", .help = "How long a stop waits for the requests that are in work.") \
    OPT(STR, pg_connection_url, .flag = "postgres-url", .env = "CODER_PG_CONNECTION_URL",          \
        .value = "url", .flags = CM_OPT_SECRET, .group = "STORAGE",                                \
        .help = "URL of the PostgreSQL database.")                                                 \
    OPT(STR, cache_dir, .flag = "cache-dir", .env = "CODER_CACHE_DIRECTORY", .yaml = "cacheDir",   \
        .value = "dir", .group = "STORAGE", .help = "Folder for files that can be made again.")    \
    OPT(STR, bin_dir, .flag = "bin-dir", .env = "=", .value = "dir", .group = "STORAGE",           \
        .help = "Folder with the programs offered for download. Default: beside this program.")    \
    OPT(INT, db_workers, .flag = "db-workers", .env = "=", .def = "0", .group = "STORAGE",         \
        .help = "Threads that run handlers and SQL, each with a database connection; 0: three "    \
                "for each two processors, at least 3.")                                            \
    OPT(INT, loops, .flag = "loops", .env = "=", .def = "0", .group = "STORAGE",                   \
        .help = "Event loop threads; 0: one for each two cores.")                                  \
    OPT(DURATION, session_duration, .flag = "session-duration", .env = "=", .def = "24h",          \
        .yaml = "networking.http.sessionDuration", .group = "LOGIN",                               \
        .help = "How long a browser session lasts unused.")                                        \
    OPT(DURATION, default_token_lifetime, .flag = "default-token-lifetime", .env = "=",            \
        .def = "168h", .yaml = "defaultTokenLifetime", .group = "LOGIN",                           \
        .help = "Lifetime of tokens that ask for none.")                                           \
    OPT(DURATION, max_token_lifetime, .flag = "max-token-lifetime", .env = "=", .def = "876600h",  \
        .yaml = "networking.http.maxTokenLifetime", .group = "LOGIN",                              \
        .help = "Longest lifetime of a token.")                                                    \
    OPT(DURATION, max_admin_token_lifetime, .flag = "max-admin-token-lifetime", .env = "=",        \
        .def = "168h", .yaml = "networking.http.maxAdminTokenLifetime", .group = "LOGIN",          \
        .help = "The same for owners.")                                                            \
    OPT(BOOL, disable_session_expiry_refresh, .flag = "disable-session-expiry-refresh",            \
        .env = "=", .yaml = "networking.http.disableSessionExpiryRefresh", .group = "LOGIN",       \
        .help = "Sessions end when they end, used or not.")                                        \
    OPT(BOOL, disable_password_auth, .flag = "disable-password-auth", .env = "=",                  \
        .yaml = "networking.http.disablePasswordAuth", .group = "LOGIN",                           \
        .help = "Nobody signs in with a password.")                                                \
    OPT(BOOL, secure_auth_cookie, .flag = "secure-auth-cookie", .env = "=",                        \
        .yaml = "networking.secureAuthCookie", .group = "LOGIN",                                   \
        .help = "Send the session cookie over HTTPS only.")                                        \
    OPT(BOOL, disable_rate_limits, .flag = "dangerous-disable-rate-limits", .env = "=",            \
        .group = "LOGIN", .help = "Turn rate limits off.")                                         \
    OPT(STR, provisioner_socket, .flag = "provisioner-socket", .env = "=", .value = "file",        \
        .group = "PROVISIONING", .help = "Unix socket for provisioners of this host.")             \
    OPT(STR, provisioner_daemon_psk, .flag = "provisioner-daemon-psk", .env = "=",                 \
        .flags = CM_OPT_SECRET, .group = "PROVISIONING",                                           \
        .help = "Pre-shared key of external provisioners; at least 22 characters.")                \
    OPT(DURATION, job_hang_detector_interval, .flag = "job-hang-detector-interval", .env = "=",    \
        .def = "1m", .yaml = "jobHangDetectorInterval", .group = "PROVISIONING",                   \
        .help = "How often hung jobs are looked for.")                                             \
    OPT(DURATION, autobuild_poll_interval, .flag = "autobuild-poll-interval", .env = "=",          \
        .def = "1m", .yaml = "autobuildPollInterval", .group = "PROVISIONING",                     \
        .help = "How often schedules of workspaces are looked at.")                                \
    OPT(DURATION, job_lease, .flag = "provisioner-job-lease", .env = "=", .def = "5m",             \
        .group = "PROVISIONING", .help = "How long a job is its daemon's without news from it.")   \
    OPT(BOOL, enable_terraform_debug_mode, .flag = "enable-terraform-debug-mode", .env = "=",      \
        .yaml = "introspection.logging.enableTerraformDebugMode", .group = "PROVISIONING",         \
        .help = "Owners may ask for terraform's own log.")                                         \
    OPT(STR, ssh_hostname_prefix, .flag = "ssh-hostname-prefix", .env = "=", .def = "coder.",      \
        .yaml = "client.sshHostnamePrefix", .group = "CLIENT",                                     \
        .help = "Prefix of workspace hosts in ssh.")                                               \
    OPT(STR, workspace_hostname_suffix, .flag = "workspace-hostname-suffix", .env = "=",           \
        .def = "coder", .yaml = "client.workspaceHostnameSuffix", .group = "CLIENT",               \
        .help = "Suffix of workspace hosts in ssh.")                                               \
    OPT(BOOL, allow_workspace_renames, .flag = "allow-workspace-renames", .env = "=",              \
        .yaml = "allowWorkspaceRenames", .group = "CLIENT", .help = "Workspaces may be renamed.")  \
    OPT(CHOICE, log_level, .flag = "log-level", .env = "=", .def = "info",                         \
        .choices = "debug|info|warn|error", .group = "LOGGING",                                    \
        .help = "The least of what is logged.")                                                    \
    OPT(BOOL, log_json, .flag = "log-json", .env = "=", .yaml = "introspection.logging.jsonPath",  \
        .group = "LOGGING", .help = "Log lines as JSON.")                                          \
    OPT(INT, ready_fd, .flag = "ready-fd", .env = "=", .def = "0", .flags = CM_OPT_HIDDEN,         \
        .group = "LOGGING",                                                                        \
        .help = "An open descriptor, to which the URL and a newline are written when requests "    \
                "are answered; 0: none.")

#define CODERD_OPT_TYPE_STR      const char *
#define CODERD_OPT_TYPE_CHOICE   const char *
#define CODERD_OPT_TYPE_INT      int64_t
#define CODERD_OPT_TYPE_BOOL     bool
#define CODERD_OPT_TYPE_DURATION cm_usec

struct coderd_options {
#define CODERD_OPT_MEMBER(type, member, ...) CODERD_OPT_TYPE_##type member;
    CODERD_OPTIONS(CODERD_OPT_MEMBER)
#undef CODERD_OPT_MEMBER
    const struct cm_conf *conf; /* says where each value came from; NULL: unknown */
};

extern const struct cm_opt coderd_option_rows[];
extern const size_t coderd_option_row_count;

/* Rules that a row cannot say: numbers and durations of 0 or more. CM_INVALID names the option. */
CM_MUST_USE enum cm_code options_check(const struct coderd_options *opt, struct cm_err *err);

/* Reads flags and environment. CM_CANCELED when --help or --version was asked for and printed.
 * Texts live as long as *ret_conf. */
CM_MUST_USE enum cm_code options_load(int argc, char **argv, struct coderd_options *ret,
                                      struct cm_conf **ret_conf, struct cm_err *err);

bool option_trusts_proxy(const struct coderd_options *opt, const char *address);
