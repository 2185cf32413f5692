#include "sshconfig.h"

#include <stdio.h>

#define START "# ------------START-CODER-----------"
#define END   "# ------------END-CODER------------"

/* A marker counts at the beginning of a line only. Returns its offset, or -1. */
static ptrdiff_t find_line(struct cm_str text, size_t from, struct cm_str marker)
{
    for (size_t at = from; at + marker.len <= text.len;) {
        if (cm_str_starts(cm_str_sub(text, at, text.len), marker))
            return (ptrdiff_t)at;
        ptrdiff_t next = cm_str_find(cm_str_sub(text, at, text.len), '\n');
        if (next < 0)
            break;
        at += (size_t)next + 1;
    }
    return -1;
}

enum cm_code ssh_section_find(struct cm_str file, struct cm_str *ret_before,
                              struct cm_str *ret_section, struct cm_str *ret_after,
                              struct cm_err *err)
{
    ptrdiff_t start = find_line(file, 0, CM_STR(START)), end = find_line(file, 0, CM_STR(END));

    *ret_before = file;
    *ret_section = *ret_after = CM_STR("");
    if (start < 0 && end < 0)
        return CM_OK;
    if (start >= 0 && end < 0)
        return cm_err_set(err, CM_INVALID,
                          "malformed config: ssh config has start marker but no end marker");
    if (start < 0)
        return cm_err_set(err, CM_INVALID,
                          "malformed config: ssh config has end marker but no start marker");
    if (end < start)
        return cm_err_set(
            err, CM_INVALID,
            "malformed config: ssh config has the end marker before the start marker");
    size_t stop = (size_t)end + sizeof(END) - 1;
    if (find_line(file, (size_t)start + 1, CM_STR(START)) >= 0 ||
        find_line(file, stop, CM_STR(END)) >= 0)
        return cm_err_set(
            err, CM_INVALID,
            "malformed config: ssh config has multiple coder sections, please remove all but one");
    if (stop < file.len && file.ptr[stop] == '\n')
        stop++;
    *ret_before = cm_str_sub(file, 0, (size_t)start);
    *ret_section = cm_str_sub(file, (size_t)start, stop - (size_t)start);
    *ret_after = cm_str_sub(file, stop, file.len);
    return CM_OK;
}

static void push(struct cm_arena *a, struct cm_conf_list *list, struct cm_str s)
{
    const char **v = CM_NEW_ARRAY(a, const char *, list->n + 1);
    if (list->n)
        memcpy(v, list->v, list->n * sizeof(*v));
    v[list->n] = cm_arena_cstr(a, s);
    list->v = v;
    list->n++;
}

void ssh_options_read(struct cm_arena *a, struct cm_str section, struct ssh_options *ret)
{
    *ret = (struct ssh_options){.wait = "auto", .prefix = "", .suffix = "", .header_command = ""};
    while (section.len) {
        struct cm_str line, key, value;
        section = cm_str_split(section, '\n', &line);
        if (!cm_str_starts(line, CM_STR("# :")))
            continue;
        value = cm_str_split(cm_str_sub(line, 3, line.len), '=', &key);
        if (cm_str_eq_c(key, "wait"))
            ret->wait = cm_arena_cstr(a, value);
        else if (cm_str_eq_c(key, "ssh-host-prefix"))
            ret->prefix = cm_arena_cstr(a, value);
        else if (cm_str_eq_c(key, "hostname-suffix"))
            ret->suffix = cm_arena_cstr(a, value);
        else if (cm_str_eq_c(key, "disable-autostart"))
            ret->disable_autostart = cm_str_eq_c(value, "true");
        else if (cm_str_eq_c(key, "ssh-option"))
            push(a, &ret->ssh, value);
        else if (cm_str_eq_c(key, "header"))
            push(a, &ret->headers, value);
        else if (cm_str_eq_c(key, "header-command"))
            ret->header_command = cm_arena_cstr(a, value);
    }
}

static bool lists_equal(const struct cm_conf_list *a, const struct cm_conf_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->v[i], b->v[i]) != 0)
            return false;
    return true;
}

bool ssh_options_equal(const struct ssh_options *a, const struct ssh_options *b)
{
    return strcmp(a->wait, b->wait) == 0 && strcmp(a->prefix, b->prefix) == 0 &&
           strcmp(a->suffix, b->suffix) == 0 && strcmp(a->header_command, b->header_command) == 0 &&
           a->disable_autostart == b->disable_autostart && lists_equal(&a->ssh, &b->ssh) &&
           lists_equal(&a->headers, &b->headers);
}

/* Each option that differs from its default, in the order of the block, between the given texts. */
static size_t each_option(const struct ssh_options *o, struct cm_buf *out, const char *before,
                          const char *between)
{
    size_t n = 0;
#define OPTION(name, value) (n++, cm_buf_printf(out, "%s%s%s%s\n", before, name, between, value))
    if (*o->wait && strcmp(o->wait, "auto") != 0)
        OPTION("wait", o->wait);
    if (*o->prefix)
        OPTION("ssh-host-prefix", o->prefix);
    if (*o->suffix)
        OPTION("hostname-suffix", o->suffix);
    if (o->disable_autostart)
        OPTION("disable-autostart", "true");
    for (size_t i = 0; i < o->ssh.n; i++)
        OPTION("ssh-option", o->ssh.v[i]);
    for (size_t i = 0; i < o->headers.n; i++)
        OPTION("header", o->headers.v[i]);
    if (*o->header_command)
        OPTION("header-command", o->header_command);
#undef OPTION
    return n;
}

void ssh_options_list(const struct ssh_options *o, struct cm_buf *out)
{
    if (!each_option(o, out, "    * ", ": "))
        cm_buf_cstr(out, "    * none\n");
}

static bool one_line(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' && *s != '\t')
            return false;
    return true;
}

static bool is_host_text(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || strchr("\"'*?!,", *s))
            return false;
    return true;
}

static enum cm_code check_ssh_option(const char *text, struct cm_err *err)
{
    struct cm_str key = cm_str(text);
    size_t n = 0;
    static const char *const forbidden[] = {"Host", "Match", "ProxyCommand", "Include"};

    while (n < key.len && key.ptr[n] != '=' && key.ptr[n] != ' ')
        n++;
    if (!one_line(text))
        return cm_err_set(err, CM_INVALID, "ssh option \"%.*s\" has a line break", (int)n, text);
    if (!n || n == key.len)
        return cm_err_set(err, CM_INVALID,
                          "invalid ssh option \"%s\": it must be of the form Key=value", text);
    key.len = n;
    for (size_t i = 0; i < CM_COUNT_OF(forbidden); i++)
        if (cm_str_eq_nocase(key, cm_str(forbidden[i])))
            return cm_err_set(err, CM_INVALID, "ssh option %s cannot be set here", forbidden[i]);
    return CM_OK;
}

enum cm_code ssh_block_check(const struct ssh_block *b, struct cm_err *err)
{
    const char *const texts[] = {b->binary, b->config_dir, b->options.header_command,
                                 b->options.wait};

    if (!is_host_text(b->prefix) || !is_host_text(b->suffix))
        return cm_err_set(err, CM_INVALID,
                          "a host prefix or suffix cannot have blanks, quotes or patterns in it");
    for (size_t i = 0; i < CM_COUNT_OF(texts); i++)
        if (!one_line(texts[i]))
            return cm_err_set(err, CM_INVALID,
                              "a path or command for the ssh config has a line break");
    for (size_t i = 0; i < b->options.headers.n; i++)
        if (!one_line(b->options.headers.v[i]))
            return cm_err_set(err, CM_INVALID, "a header for the ssh config has a line break");
    for (size_t i = 0; i < b->options.ssh.n; i++)
        if (check_ssh_option(b->options.ssh.v[i], err) != CM_OK)
            return CM_INVALID;
    for (size_t i = 0; i < b->n_deployment; i++)
        if (strchr(b->deployment[i], '=') && check_ssh_option(b->deployment[i], err) != CM_OK)
            return cm_err_wrap(err, "the deployment's ssh options");
    return CM_OK;
}

/* For ProxyCommand: quoted when there is a blank or quote. */
static const char *quoted(struct cm_arena *a, const char *s)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(65536);
    bool needs = strpbrk(s, " \t\"'\\$`") != NULL;

    for (const char *p = s; *p; p++) {
        if (*p == '%')
            cm_buf_char(&out, '%'); /* OpenSSH expands %h and its like */
        if (strchr("\"\\$`", *p))
            cm_buf_char(&out, '\\');
        cm_buf_char(&out, *p);
    }
    return needs ? cm_arena_printf(a, "\"%.*s\"", CM_STR_ARG(cm_buf_view(&out)))
                 : cm_arena_cstr(a, cm_buf_view(&out));
}

/* Within the quotes of Match exec: blanks are escaped. */
static const char *escaped(struct cm_arena *a, const char *s)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(65536);
    for (const char *p = s; *p; p++) {
        if (*p == '%')
            cm_buf_char(&out, '%');
        if (strchr(" \t\"'\\$`", *p))
            cm_buf_char(&out, '\\');
        cm_buf_char(&out, *p);
    }
    return cm_arena_cstr(a, cm_buf_view(&out));
}

/* "Key=" without a value removes later ones of that key. */
static bool is_removed(const struct ssh_block *b, size_t n_seen, const char *text)
{
    size_t len = strcspn(text, "= ");
    for (size_t i = 0; i < n_seen; i++) {
        const char *o =
            i < b->options.ssh.n ? b->options.ssh.v[i] : b->deployment[i - b->options.ssh.n];
        size_t n = strcspn(o, "= ");
        if (n == len && strncasecmp(o, text, n) == 0 && o[n] == '=' && !o[n + 1])
            return true;
    }
    return false;
}

static void write_host_options(const struct ssh_block *b, struct cm_buf *out)
{
    static const char *const defaults[] = {"ConnectTimeout=0", "StrictHostKeyChecking=no",
                                           "UserKnownHostsFile=/dev/null", "LogLevel ERROR"};
    size_t seen = 0;
    for (size_t i = 0; i < b->options.ssh.n + b->n_deployment + CM_COUNT_OF(defaults); i++) {
        size_t k = i - b->options.ssh.n;
        const char *text = i < b->options.ssh.n  ? b->options.ssh.v[i]
                           : k < b->n_deployment ? b->deployment[k]
                                                 : defaults[k - b->n_deployment];
        size_t n = strcspn(text, "= ");
        bool empty = text[n] == '=' && !text[n + 1];
        if (!empty && !is_removed(b, seen, text))
            cm_buf_printf(out, "\t%s\n", text);
        if (i < b->options.ssh.n + b->n_deployment)
            seen++;
    }
}

static void write_proxy_command(struct cm_arena *a, const struct ssh_block *b, struct cm_buf *out,
                                const char *flag, const char *value)
{
    cm_buf_printf(out, "\tProxyCommand %s --global-config %s", quoted(a, b->binary),
                  quoted(a, b->config_dir));
    for (size_t i = 0; i < b->options.headers.n; i++) {
        const char *q = quoted(a, b->options.headers.v[i]);
        cm_buf_printf(out, *q == '"' ? " --header %s" : " --header \"%s\"", q);
    }
    if (*b->options.header_command) {
        const char *q = quoted(a, b->options.header_command);
        cm_buf_printf(out, *q == '"' ? " --header-command %s" : " --header-command \"%s\"", q);
    }
    cm_buf_cstr(out, " ssh --stdio");
    if (*b->options.wait && strcmp(b->options.wait, b->wait_default) != 0)
        cm_buf_printf(out, " --wait=%s", b->options.wait);
    if (b->options.disable_autostart)
        cm_buf_cstr(out, " --disable-autostart=true");
    cm_buf_printf(out, " %s %s %%h\n", flag, value);
}

void ssh_block_write(struct cm_arena *a, const struct ssh_block *b, struct cm_buf *out)
{
    CM_AUTOBUF struct cm_buf remembered = CM_BUF_INIT(65536);

    cm_buf_cstr(out,
                START "\n"
                      "# This section is managed by coder. DO NOT EDIT.\n"
                      "#\n"
                      "# You should not hand-edit this section unless you are removing it, all\n"
                      "# changes will be lost when running \"coder config-ssh\".\n"
                      "#\n");
    if (each_option(&b->options, &remembered, "# :", "="))
        cm_buf_printf(out, "# Last config-ssh options:\n%.*s#\n",
                      CM_STR_ARG(cm_buf_view(&remembered)));
    cm_buf_printf(out, "Host %s*\n", b->prefix);
    write_host_options(b, out);
    write_proxy_command(a, b, out, "--ssh-host-prefix", b->prefix);
    if (*b->suffix) {
        cm_buf_printf(out, "\nHost *.%s\n", b->suffix);
        write_host_options(b, out);
        cm_buf_printf(out, "\nMatch host *.%s !exec \"%s connect exists %%h\"\n", b->suffix,
                      escaped(a, b->binary));
        write_proxy_command(a, b, out, "--hostname-suffix", b->suffix);
    }
    cm_buf_cstr(out, END "\n");
}

static size_t common_prefix(struct cm_str a, struct cm_str b)
{
    size_t line = 0;
    for (size_t i = 0; i < a.len && i < b.len && a.ptr[i] == b.ptr[i]; i++)
        if (a.ptr[i] == '\n')
            line = i + 1;
    return line;
}

static size_t common_suffix(struct cm_str a, struct cm_str b)
{
    size_t best = 0;
    for (size_t n = 1; n <= a.len && n <= b.len && a.ptr[a.len - n] == b.ptr[b.len - n]; n++)
        if (n < a.len && n < b.len && a.ptr[a.len - n - 1] == '\n' && b.ptr[b.len - n - 1] == '\n')
            best = n;
    return best;
}

static void print_lines(const char *mark, struct cm_str text)
{
    while (text.len) {
        struct cm_str line;
        text = cm_str_split(text, '\n', &line);
        printf("%s%.*s\n", mark, CM_STR_ARG(line));
    }
}

void ssh_print_diff(struct cm_str before, struct cm_str after, const char *path)
{
    size_t head = common_prefix(before, after);
    struct cm_str a = cm_str_sub(before, head, before.len), b = cm_str_sub(after, head, after.len);
    size_t tail = common_suffix(a, b);

    a.len -= tail;
    b.len -= tail;
    if (!a.len && !b.len)
        return;
    printf("\n--- %s\n+++ %s.new\n", path, path);
    print_lines("-", a);
    print_lines("+", b);
}
