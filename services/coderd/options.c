#include "options.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/version.h"

const struct cm_opt coderd_option_rows[] = {
#define OPTION_ROW(type_, member, ...)                                                             \
    {.type = CM_OPT_##type_, .offset = offsetof(struct coderd_options, member), __VA_ARGS__},
    CODERD_OPTIONS(OPTION_ROW)
#undef OPTION_ROW
};
const size_t coderd_option_row_count = CM_COUNT_OF(coderd_option_rows);

/* Flags of the program itself, not of the server. */
struct program_flags {
    bool help, version;
};

static const struct cm_opt program_rows[] = {
    {.type = CM_OPT_BOOL,
     .offset = offsetof(struct program_flags, help),
     .flag = "help",
     .shorthand = 'h',
     .help = "Print this help."},
    {.type = CM_OPT_BOOL,
     .offset = offsetof(struct program_flags, version),
     .flag = "version",
     .help = "Print the version."},
};

static void print_help(void)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT((size_t)256 << 10);
    cm_buf_printf(&text,
                  "coderd %s: the API server. People start it by \"coder server\".\n\n"
                  "USAGE:\n  coderd [flags]\n\n",
                  CM_VERSION);
    cm_conf_help(&text, program_rows, CM_COUNT_OF(program_rows), 0);
    cm_conf_help(&text, coderd_option_rows, coderd_option_row_count, CM_OPT_HIDDEN);
    fputs(cm_buf_view(&text).ptr, stdout);
}

static bool is_negative(const struct cm_opt *row, const void *at)
{
    switch (row->type) {
    case CM_OPT_INT:
        return *(const int64_t *)at < 0;
    case CM_OPT_DURATION:
        return *(const cm_usec *)at < 0;
    case CM_OPT_UNSET:
    case CM_OPT_STR:
    case CM_OPT_BOOL:
    case CM_OPT_CHOICE:
    case CM_OPT_LIST:
    case CM_OPT_CHOICES:
        break;
    }
    return false;
}

static enum cm_code check_address(const char *flag, const char *address, struct cm_err *err)
{
    const char *colon = strrchr(address, ':');
    int64_t port;

    if (colon && cm_str_to_i64(cm_str(colon + 1), &port) && port >= 0 && port <= UINT16_MAX)
        return CM_OK;
    return cm_err_set(err, CM_INVALID,
                      "--%s \"%s\" must have the form host:port, such as 127.0.0.1:3000", flag,
                      address);
}

static enum cm_code check_url(const char *flag, const char *url, struct cm_err *err)
{
    struct cm_str rest = cm_str(url);

    if (!*url)
        return CM_OK;
    if (cm_str_starts_nocase(rest, CM_STR("http://")))
        rest = cm_str_sub(rest, 7, rest.len);
    else if (cm_str_starts_nocase(rest, CM_STR("https://")))
        rest = cm_str_sub(rest, 8, rest.len);
    else
        rest = CM_STR("");
    if (rest.len && !strchr("/:?#", rest.ptr[0]))
        return CM_OK;
    return cm_err_set(err, CM_INVALID,
                      "--%s \"%s\" must be a URL such as https://coder.example.com", flag, url);
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("-.:", c);
}

/* The names of apps are made by putting something in the place of the asterisk. */
static enum cm_code check_wildcard(const char *given, struct cm_err *err)
{
    const char *scheme = strstr(given, "://"), *host = scheme ? scheme + 3 : given;
    bool ok = host[0] == '*' && strchr(host, '.') && !strstr(host, "..");

    for (const char *p = host + 1; ok && *p; p++)
        ok = is_host_char(*p) && (p[1] || *p != '.');
    if (ok || !*given)
        return CM_OK;
    return cm_err_set(err, CM_INVALID,
                      "--wildcard-access-url \"%s\" must be a host name that begins with its only "
                      "asterisk, such as *.apps.example.com",
                      given);
}

/* What can be said before there is a database. */
static enum cm_code check_listening(const struct coderd_options *opt, struct cm_err *err)
{
    if (!opt->http_address[0] && !opt->tls_enable)
        return cm_err_set(err, CM_INVALID,
                          "there is nothing to listen on: set --http-address or --tls-enable");
    if (opt->http_address[0] && check_address("http-address", opt->http_address, err) != CM_OK)
        return err->code;
    if (!opt->tls_enable)
        return CM_OK;
    if (!opt->tls_cert_file[0] || !opt->tls_key_file[0])
        return cm_err_set(err, CM_INVALID, "--tls-enable needs --tls-cert-file and --tls-key-file");
    return check_address("tls-address", opt->tls_address, err);
}

enum cm_code options_check(const struct coderd_options *opt, struct cm_err *err)
{
    for (size_t i = 0; i < coderd_option_row_count; i++) {
        const struct cm_opt *row = &coderd_option_rows[i];
        if (is_negative(row, (const char *)opt + row->offset))
            return cm_err_set(err, CM_INVALID, "--%s must be 0 or more", row->flag);
    }
    if (check_listening(opt, err) != CM_OK)
        return err->code;
    if (check_wildcard(opt->wildcard_access_url, err) != CM_OK)
        return err->code;
    return check_url("access-url", opt->access_url, err);
}

enum cm_code options_load(int argc, char **argv, struct coderd_options *ret,
                          struct cm_conf **ret_conf, struct cm_err *err)
{
    struct program_flags flags = {0};
    const struct cm_conf_set sets[] = {
        {coderd_option_rows, coderd_option_row_count, ret},
        {program_rows, CM_COUNT_OF(program_rows), &flags},
    };
    const char *const *args;
    CM_AUTO(cm_conf) conf = NULL;
    if (cm_conf_load(sets, CM_COUNT_OF(sets), (const char *const *)argv + 1,
                     (size_t)CM_MAX(argc - 1, 0), cm_conf_getenv, &conf, err) != CM_OK)
        return err->code;
    if (flags.help) {
        print_help();
        return cm_err_set(err, CM_CANCELED, "help");
    }
    if (flags.version) {
        printf("coderd %s\n", CM_VERSION);
        return cm_err_set(err, CM_CANCELED, "version");
    }
    if (cm_conf_args(conf, &args))
        return cm_err_set(err, CM_INVALID, "unknown argument \"%s\"; see coderd --help", args[0]);
    if (options_check(ret, err) != CM_OK)
        return err->code;
    ret->conf = conf;
    *ret_conf = CM_TAKE(conf);
    return CM_OK;
}

struct network {
    uint8_t b[sizeof(struct in6_addr)];
    size_t len;
};

static bool read_address(struct cm_str text, struct network *ret)
{
    char z[INET6_ADDRSTRLEN] = "";
    if (text.len >= sizeof(z))
        return false;
    memcpy(z, text.ptr, text.len);
    ret->len = inet_pton(AF_INET, z, ret->b) == 1    ? 4
               : inet_pton(AF_INET6, z, ret->b) == 1 ? 16
                                                     : 0;
    return ret->len > 0;
}

/* "10.0.0.0/8", or one address. */
static bool network_has(struct cm_str text, const struct network *a)
{
    struct cm_str address;
    struct cm_str prefix = cm_str_split(text, '/', &address);
    struct network n;
    uint16_t bits = 0;
    if (!read_address(address, &n) || n.len != a->len ||
        (prefix.ptr && !cm_str_to_u16(prefix, &bits)))
        return false;
    if (!prefix.ptr || bits > n.len * 8)
        bits = (uint16_t)(n.len * 8);
    for (size_t i = 0; i < bits; i++) {
        if ((n.b[i / 8] ^ a->b[i / 8]) & (0x80 >> (i % 8)))
            return false;
    }
    return true;
}

bool option_trusts_proxy(const struct coderd_options *opt, const char *address)
{
    struct cm_str rest = cm_str(opt->proxy_trusted_origins), one;
    struct network a;
    if (!rest.len || !read_address(cm_str(address), &a))
        return false;
    while (rest.len) {
        rest = cm_str_split(rest, ',', &one);
        if (network_has(cm_str_trim(one), &a))
            return true;
    }
    return false;
}
