#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/yaml.h"
#include "conf/conf.h"

struct values {
    const char *name, *wait, *token;
    bool yes, all;
    int64_t count;
    cm_usec timeout;
    struct cm_conf_list items, columns;
};

static const struct cm_opt opts[] = {
    {CM_OPT_STR, offsetof(struct values, name), "name", 'n', "=", "dev", "A name.",
     .yaml = "who.name"},
    {CM_OPT_CHOICE, offsetof(struct values, wait), "wait", .env = "CODER_SSH_WAIT", .def = "auto",
     .help = "Wait.", .choices = "yes|no|auto"},
    {CM_OPT_STR, offsetof(struct values, token), "token", .env = "=", .help = "A secret.",
     .yaml = "token", .flags = CM_OPT_SECRET},
    {CM_OPT_BOOL, offsetof(struct values, yes), "yes", 'y', .help = "Bypass prompts."},
    {CM_OPT_BOOL, offsetof(struct values, all), "all", 'a', "=", "false", "All of them.",
     .yaml = "who.all"},
    {CM_OPT_INT, offsetof(struct values, count), "count", 'c', "=", "3", "How many.",
     .yaml = "count"},
    {CM_OPT_DURATION, offsetof(struct values, timeout), "timeout", 't', "=", "1m30s", "How long.",
     .yaml = "timeout"},
    {CM_OPT_LIST, offsetof(struct values, items), "item", 'i', "CODER_ITEMS", "x,y", "Some items.",
     .yaml = "items"},
    {CM_OPT_CHOICES, offsetof(struct values, columns), "column", .def = "id,name",
     .help = "Columns.", .choices = "id|name|last used"},
};

static const char *const *env;

static const char *fake_getenv(const char *name)
{
    for (const char *const *e = env; e && *e; e += 2)
        if (strcmp(e[0], name) == 0)
            return e[1];
    return NULL;
}

static enum cm_code load(struct values *v, const char *const *args, struct cm_conf **ret,
                         struct cm_err *err)
{
    size_t n = 0;
    while (args[n])
        n++;
    struct cm_conf_set set = {opts, CM_COUNT_OF(opts), v};
    return cm_conf_load(&set, 1, args, n, fake_getenv, ret, err);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void defaults_fill_the_struct(void **state)
{
    (void)state;
    struct values v;
    CM_AUTO(cm_conf) c = NULL;
    env = NULL;
    assert_int_equal(load(&v, ARGS("pos", "--", "--yes"), &c, NULL), CM_OK);
    assert_string_equal(v.name, "dev");
    assert_string_equal(v.token, "");
    assert_false(v.yes);
    assert_int_equal(v.count, 3);
    assert_int_equal(v.timeout, 90 * CM_SECOND);
    assert_int_equal(v.items.n, 2);
    assert_string_equal(v.items.v[1], "y");
    const char *const *rest;
    assert_int_equal(cm_conf_args(c, &rest), 2);
    assert_string_equal(rest[0], "pos");
    assert_string_equal(rest[1], "--yes");
    assert_false(cm_conf_given(c, "name"));
}

static void flags_are_read_in_all_their_forms(void **state)
{
    (void)state;
    struct values v;
    CM_AUTO(cm_conf) c = NULL;
    env = NULL;
    assert_int_equal(
        load(&v,
             ARGS("one", "--name=x=y", "-yac7", "--timeout", "2h", "-i", "a,\"b,\"\"c\"\"\"", "two",
                  "-i=d", "--wait=yes", "--column", "last used"),
             &c, NULL),
        CM_OK);
    assert_string_equal(v.name, "x=y");
    assert_true(v.yes);
    assert_true(v.all);
    assert_int_equal(v.count, 7);
    assert_int_equal(v.timeout, 2 * CM_HOUR);
    assert_int_equal(v.items.n, 3);
    assert_string_equal(v.items.v[0], "a");
    assert_string_equal(v.items.v[1], "b,\"c\"");
    assert_string_equal(v.items.v[2], "d");
    assert_int_equal(v.columns.n, 1);
    const char *const *rest;
    assert_int_equal(cm_conf_args(c, &rest), 2);
    assert_string_equal(rest[1], "two");
}

static void mistakes_are_said_as_users_know_them(void **state)
{
    (void)state;
    static const struct {
        const char *args[3];
        const char *text;
    } rows[] = {
        {{"--x"}, "unknown flag: --x"},
        {{"--x=1"}, "unknown flag: --x"},
        {{"-Z"}, "unknown shorthand flag: 'Z' in -Z"},
        {{"-yZ"}, "unknown shorthand flag: 'Z' in -Z"},
        {{"--name"}, "flag needs an argument: --name"},
        {{"-n"}, "flag needs an argument: 'n' in -n"},
        {{"--=x"}, "bad flag syntax: --=x"},
        {{"--wait", "maybe"},
         "invalid argument \"maybe\" for \"--wait\" flag: invalid choice: maybe, should be one of "
         "[yes|no|auto]"},
        {{"--count", "many"},
         "invalid argument \"many\" for \"-c, --count\" flag: strconv.ParseInt: parsing \"many\": "
         "invalid syntax"},
        {{"--yes=perhaps"},
         "invalid argument \"perhaps\" for \"-y, --yes\" flag: strconv.ParseBool: parsing "
         "\"perhaps\": invalid syntax"},
        {{"--timeout", "5"},
         "invalid argument \"5\" for \"-t, --timeout\" flag: time: invalid duration \"5\""},
        {{"-i", "a=[\"b\"]"},
         "invalid argument \"a=[\"b\"]\" for \"-i, --item\" flag: parse error on line 1, column 4: "
         "bare \" in non-quoted-field"},
        {{"--column", "size"},
         "invalid argument \"size\" for \"--column\" flag: invalid choice: size, should be one of "
         "[id|name|last used]"},
    };
    env = NULL;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct values v;
        CM_AUTO(cm_conf) c = NULL;
        struct cm_err err;
        assert_int_equal(load(&v, rows[i].args, &c, &err), CM_INVALID);
        assert_string_equal(err.text, rows[i].text);
    }
}

static void precedence_is_flag_env_file_default(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_json *file;
    assert_int_equal(
        cm_yaml_parse(
            a,
            CM_STR("who:\n  name: filed\n  all: true\ncount: 11\ntimeout: 3s\nitems: [p, 7, z]\n"),
            NULL, &file, NULL),
        CM_OK);
    static const char *const vars[] = {"CODER_NAME",  "from-env", "CODER_COUNT", "9",
                                       "CODER_ITEMS", "",         NULL};
    struct values v;
    CM_AUTO(cm_conf) c = NULL;
    env = vars;
    assert_int_equal(load(&v, ARGS("--count=1"), &c, NULL), CM_OK);
    assert_int_equal(cm_conf_apply_file(c, file, NULL), CM_OK);
    assert_int_equal(v.count, 1);
    assert_string_equal(v.name, "from-env");
    assert_true(v.all);
    assert_int_equal(v.timeout, 3 * CM_SECOND);
    assert_int_equal(v.items.n, 3);
    assert_string_equal(v.items.v[1], "7");
    assert_int_equal(cm_conf_source(c, "count"), CM_CONF_FLAG);
    assert_int_equal(cm_conf_source(c, "name"), CM_CONF_ENV);
    assert_int_equal(cm_conf_source(c, "item"), CM_CONF_FILE);
    assert_int_equal(cm_conf_source(c, "wait"), CM_CONF_DEFAULT);
}

static void what_yaml_writes_is_read_back(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTO(cm_conf) c = NULL;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(65536), again = CM_BUF_INIT(65536);
    struct values v, w;
    const struct cm_json *file;
    const struct cm_conf_set first = {opts, CM_COUNT_OF(opts), &v};
    const struct cm_conf_set second = {opts, CM_COUNT_OF(opts), &w};

    env = NULL;
    assert_int_equal(
        load(&v, ARGS("--name", "a \"b\"\\c: #d", "--item", "p,\"q,r\"", "--token", "hush"), &c,
             NULL),
        CM_OK);
    cm_conf_yaml(&text, &first, 1);
    assert_null(strstr(text.ptr, "hush"));
    assert_non_null(
        strstr(text.ptr, "who:\n  # All of them.\n  all: false\n  # A name.\n  name: "));
    assert_int_equal(cm_yaml_parse(a, cm_buf_view(&text), NULL, &file, NULL), CM_OK);
    CM_AUTO(cm_conf) other = NULL;
    assert_int_equal(load(&w, ARGS("--yes"), &other, NULL), CM_OK);
    assert_int_equal(cm_conf_apply_file(other, file, NULL), CM_OK);
    assert_string_equal(w.name, "a \"b\"\\c: #d");
    assert_int_equal(w.items.n, 2);
    assert_string_equal(w.items.v[1], "q,r");
    cm_conf_yaml(&again, &second, 1);
    assert_string_equal(again.ptr, text.ptr);
}

static void bad_files_and_variables_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *text;
    } rows[] = {
        {"nosuch: 1\n", "unknown option nosuch"},
        {"who:\n  nosuch: 1\n", "unknown option who.nosuch"},
        {"token: abc\n", "token is a secret: give it by the environment, not by a file"},
        {"count: [1]\n", "count takes one value, not a list"},
        {"count: {a: 1}\n", "count takes a plain value"},
        {"count: x\n",
         "invalid value \"x\" for count: strconv.ParseInt: parsing \"x\": invalid syntax"},
        {"- 1\n", "a configuration file is a mapping of names to values"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        CM_AUTO(cm_conf) c = NULL;
        const struct cm_json *file;
        struct values v;
        struct cm_err err;
        env = NULL;
        assert_int_equal(cm_yaml_parse(a, cm_str(rows[i].yaml), NULL, &file, &err), CM_OK);
        assert_int_equal(load(&v, ARGS("x"), &c, &err), CM_OK);
        assert_int_equal(cm_conf_apply_file(c, file, &err), CM_INVALID);
        assert_string_equal(err.text, rows[i].text);
    }
    static const char *const vars[] = {"CODER_COUNT", "none", NULL};
    struct values v;
    CM_AUTO(cm_conf) c = NULL;
    struct cm_err err;
    env = vars;
    assert_int_equal(load(&v, ARGS("x"), &c, &err), CM_INVALID);
    assert_string_equal(err.text, "invalid value \"none\" in CODER_COUNT: strconv.ParseInt: "
                                  "parsing \"none\": invalid syntax");
}

static void tables_become_help_and_reference(void **state)
{
    (void)state;
    CM_AUTOBUF struct cm_buf help = CM_BUF_INIT(65536);
    CM_AUTOBUF struct cm_buf page = CM_BUF_INIT(65536);
    cm_conf_help(&help, opts, 2, CM_OPT_HIDDEN);
    assert_string_equal(help.ptr, "  -n, --name string, $CODER_NAME (default: dev)\n"
                                  "          A name.\n\n"
                                  "      --wait [yes|no|auto], $CODER_SSH_WAIT (default: auto)\n"
                                  "          Wait.\n\n");
    cm_conf_markdown(&page, opts, CM_COUNT_OF(opts));
    assert_non_null(strstr(page.ptr, "### -n, --name\n"));
    assert_non_null(strstr(page.ptr, "| YAML | `who.name` |"));
    assert_non_null(strstr(page.ptr, "`[yes\\|no\\|auto]`"));
}

static void secrets_are_not_shown(void **state)
{
    (void)state;
    struct values v;
    CM_AUTO(cm_conf) c = NULL;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(100);
    env = NULL;
    assert_int_equal(load(&v, ARGS("--token", "hush", "-i", "a,b"), &c, NULL), CM_OK);
    cm_conf_value_text(&opts[2], &v, &text);
    cm_buf_char(&text, ' ');
    cm_conf_value_text(&opts[7], &v, &text);
    assert_string_equal(text.ptr, "*** a,b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_fill_the_struct),
        cmocka_unit_test(flags_are_read_in_all_their_forms),
        cmocka_unit_test(mistakes_are_said_as_users_know_them),
        cmocka_unit_test(precedence_is_flag_env_file_default),
        cmocka_unit_test(what_yaml_writes_is_read_back),
        cmocka_unit_test(bad_files_and_variables_are_named),
        cmocka_unit_test(tables_become_help_and_reference),
        cmocka_unit_test(secrets_are_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
