/* Options of coderd: one row each. Names, environment and defaults are the reference's where the
 * option exists there (api-behaviour reference, section 6). */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/time.h"

/* OPT(type, member, "flag", default, help): STR, INT, BOOL, DUR */
#define CODERD_OPTIONS(OPT)                                                                        \
    OPT(STR, http_address, "http-address", "127.0.0.1:3000",                                       \
        "Address of the plain HTTP listener. Empty: none.")                                        \
    OPT(BOOL, tls_enable, "tls-enable", "false", "Whether to serve HTTPS.")                        \
    OPT(STR, tls_address, "tls-address", "127.0.0.1:3443", "Address of the HTTPS listener.")       \
    OPT(STR, tls_cert_file, "tls-cert-file", "", "PEM file with the certificate and its chain.")   \
    OPT(STR, tls_key_file, "tls-key-file", "", "PEM file with the private key.")                   \
    OPT(STR, tls_min_version, "tls-min-version", "tls12",                                          \
        "Oldest TLS version accepted: tls12 or tls13.")                                            \
    OPT(STR, access_url, "access-url", "",                                                         \
        "URL that users and agents use to reach the deployment.")                                  \
    OPT(STR, wildcard_access_url, "wildcard-access-url", "",                                       \
        "Host of applications, as *.example.com.")                                                 \
    OPT(STR, pg_connection_url, "postgres-url", "", "URL of the PostgreSQL database.")             \
    OPT(STR, cache_dir, "cache-dir", "", "Folder for files that can be made again.")               \
    OPT(STR, bin_dir, "bin-dir", "",                                                               \
        "Folder with the programs offered for download. Default: beside this program.")            \
    OPT(STR, provisioner_socket, "provisioner-socket", "",                                         \
        "Unix socket for provisioners of this host.")                                              \
    OPT(STR, provisioner_daemon_psk, "provisioner-daemon-psk", "",                                 \
        "Pre-shared key of external provisioners; at least 22 characters.")                        \
    OPT(BOOL, disable_rate_limits, "dangerous-disable-rate-limits", "false",                       \
        "Turn rate limits off.")                                                                   \
    OPT(DUR, session_duration, "session-duration", "24h",                                          \
        "How long a browser session lasts unused.")                                                \
    OPT(DUR, default_token_lifetime, "default-token-lifetime", "168h",                             \
        "Lifetime of tokens that ask for none.")                                                   \
    OPT(DUR, max_token_lifetime, "max-token-lifetime", "876600h", "Longest lifetime of a token.")  \
    OPT(DUR, max_admin_token_lifetime, "max-admin-token-lifetime", "168h", "The same for owners.") \
    OPT(BOOL, disable_session_expiry_refresh, "disable-session-expiry-refresh", "false",           \
        "Sessions end when they end, used or not.")                                                \
    OPT(BOOL, disable_password_auth, "disable-password-auth", "false",                             \
        "Nobody signs in with a password.")                                                        \
    OPT(BOOL, secure_auth_cookie, "secure-auth-cookie", "false",                                   \
        "Send the session cookie over HTTPS only.")                                                \
    OPT(STR, proxy_trusted_origins, "proxy-trusted-origins", "",                                   \
        "Addresses of proxies whose X-Forwarded-For is believed, separated by commas.")            \
    OPT(STR, ssh_hostname_prefix, "ssh-hostname-prefix", "coder.",                                 \
        "Prefix of workspace hosts in ssh.")                                                       \
    OPT(STR, workspace_hostname_suffix, "workspace-hostname-suffix", "coder",                      \
        "Suffix of workspace hosts in ssh.")                                                       \
    OPT(BOOL, allow_workspace_renames, "allow-workspace-renames", "false",                         \
        "Workspaces may be renamed.")                                                              \
    OPT(BOOL, enable_terraform_debug_mode, "enable-terraform-debug-mode", "false",                 \
        "Owners may ask for terraform's own log.")                                                 \
    OPT(DUR, job_hang_detector_interval, "job-hang-detector-interval", "1m",                       \
        "How often hung jobs are looked for.")                                                     \
    OPT(DUR, job_lease, "provisioner-job-lease", "5m",                                             \
        "How long a job is its daemon's without news from it.")                                    \
    OPT(INT, loops, "loops", "0", "Event loop threads; 0: one for each two cores.")                \
    OPT(INT, db_workers, "db-workers", "8",                                                        \
        "Threads that run handlers and SQL; also the size of the connection pool.")                \
    OPT(INT, max_connections, "max-connections", "20000",                                          \
        "Open connections beyond which new ones are turned away.")                                 \
    OPT(STR, log_level, "log-level", "info", "debug, info, warn or error.")                        \
    OPT(BOOL, log_json, "log-json", "false", "Log lines as JSON.")

#define CODERD_OPT_TYPE_STR  const char *
#define CODERD_OPT_TYPE_INT  int64_t
#define CODERD_OPT_TYPE_BOOL bool
#define CODERD_OPT_TYPE_DUR  cm_usec

struct coderd_options {
#define CODERD_OPT_MEMBER(type, member, flag, def, help) CODERD_OPT_TYPE_##type member;
    CODERD_OPTIONS(CODERD_OPT_MEMBER)
#undef CODERD_OPT_MEMBER
};

/* Reads flags, then the environment (CODER_ and the flag in capitals; with the flag's own
 * exceptions), then defaults. CM_CANCELED when --help or --version was asked for and printed.
 * Strings live in the arena. */
enum cm_code options_load(struct cm_arena *a, int argc, char **argv, struct coderd_options *ret,
                          struct cm_err *err);

bool option_trusts_proxy(const struct coderd_options *opt, const char *address);
