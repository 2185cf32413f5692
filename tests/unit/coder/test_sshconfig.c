/* The block that config-ssh keeps: its exact text, what it remembers, and what it refuses to touch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sshconfig.h"

static struct ssh_block plain(void)
{
    return (struct ssh_block){
        .options = {.wait = "auto", .prefix = "", .suffix = "", .header_command = ""},
        .prefix = "coder.",
        .suffix = "coder",
        .binary = "/usr/bin/coder",
        .config_dir = "/home/bea/.config/coderv2",
        .wait_default = "auto",
    };
}

#define DEFAULTS                                                                                   \
    "\tConnectTimeout=0\n\tStrictHostKeyChecking=no\n\tUserKnownHostsFile=/dev/null\n\tLogLevel "  \
    "ERROR\n"
#define HEAD                                                                                       \
    "# ------------START-CODER-----------\n"                                                       \
    "# This section is managed by coder. DO NOT EDIT.\n#\n"                                        \
    "# You should not hand-edit this section unless you are removing it, all\n"                    \
    "# changes will be lost when running \"coder config-ssh\".\n#\n"
#define COMMAND "/usr/bin/coder --global-config /home/bea/.config/coderv2"

static void the_block_has_its_exact_form(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(SSH_CONFIG_MAX);
    struct ssh_block b = plain();
    ssh_block_write(a, &b, &out);
    assert_string_equal(out.ptr,
                        HEAD "Host coder.*\n" DEFAULTS "\tProxyCommand " COMMAND
                             " ssh --stdio --ssh-host-prefix coder. %h\n\n"
                             "Host *.coder\n" DEFAULTS "\n"
                             "Match host *.coder !exec \"/usr/bin/coder connect exists %h\"\n"
                             "\tProxyCommand " COMMAND " ssh --stdio --hostname-suffix coder %h\n"
                             "# ------------END-CODER------------\n");
}

static void options_are_used_and_remembered(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(SSH_CONFIG_MAX);
    struct ssh_block b = plain();
    const char *ssh[] = {"LogLevel=DEBUG", "ForwardAgent=yes", "ConnectTimeout="};
    const char *headers[] = {"X=1"};
    const char *deployment[] = {"ForwardAgent=", "Compression=yes"};
    b.options = (struct ssh_options){.wait = "yes",
                                     .prefix = "p.",
                                     .suffix = "",
                                     .header_command = "echo h=\"1\"",
                                     .disable_autostart = true,
                                     .ssh = {ssh, 3},
                                     .headers = {headers, 1}};
    b.prefix = "p.";
    b.suffix = "";
    b.deployment = deployment;
    b.n_deployment = 2;
    b.binary = "/opt/my coder/coder";
    ssh_block_write(a, &b, &out);
    assert_string_equal(
        out.ptr,
        HEAD "# Last config-ssh options:\n# :wait=yes\n# :ssh-host-prefix=p.\n# "
             ":disable-autostart=true\n"
             "# :ssh-option=LogLevel=DEBUG\n# :ssh-option=ForwardAgent=yes\n# "
             ":ssh-option=ConnectTimeout=\n"
             "# :header=X=1\n# :header-command=echo h=\"1\"\n#\n"
             "Host p.*\n\tLogLevel=DEBUG\n\tForwardAgent=yes\n\tCompression=yes\n"
             "\tStrictHostKeyChecking=no\n\tUserKnownHostsFile=/dev/null\n\tLogLevel ERROR\n"
             "\tProxyCommand \"/opt/my coder/coder\" --global-config /home/bea/.config/coderv2 "
             "--header \"X=1\" "
             "--header-command \"echo h=\\\"1\\\"\" ssh --stdio --wait=yes "
             "--disable-autostart=true --ssh-host-prefix p. %h\n"
             "# ------------END-CODER------------\n");

    struct ssh_options read;
    struct cm_str before, section, after;
    assert_int_equal(ssh_section_find(cm_buf_view(&out), &before, &section, &after, NULL), CM_OK);
    ssh_options_read(a, section, &read);
    assert_true(ssh_options_equal(&read, &b.options));
    read.wait = "no";
    assert_false(ssh_options_equal(&read, &b.options));
}

static void a_path_with_a_blank_is_quoted_in_both_ways(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(SSH_CONFIG_MAX);
    struct ssh_block b = plain();
    b.binary = "/opt/my coder/100%/coder";
    ssh_block_write(a, &b, &out);
    assert_non_null(strstr(out.ptr, "ProxyCommand \"/opt/my coder/100%%/coder\" --global"));
    assert_non_null(strstr(out.ptr, "!exec \"/opt/my\\ coder/100%%/coder connect exists %h\""));
}

#define S "# ------------START-CODER-----------\n"
#define E "# ------------END-CODER------------\n"

static void sections_are_found_and_broken_files_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *before, *section, *after; /* section NULL: refused */
    } rows[] = {
        {"", "", "", ""},
        {"Host a\n", "Host a\n", "", ""},
        {"Host a\n" S "x\n" E "Host b\n", "Host a\n", S "x\n" E, "Host b\n"},
        {S E, "", S E, ""},
        {"# about " S "Host a\n", "# about " S "Host a\n", "", ""},
        {S "x\n", NULL, NULL, NULL},
        {E, NULL, NULL, NULL},
        {E S, NULL, NULL, NULL},
        {S E S E, NULL, NULL, NULL},
        {S S E, NULL, NULL, NULL},
        {S E E, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct cm_str before, section, after;
        struct cm_err err;
        enum cm_code code = ssh_section_find(cm_str(rows[i].file), &before, &section, &after, &err);
        if (!rows[i].section) {
            assert_int_equal(code, CM_INVALID);
            continue;
        }
        assert_int_equal(code, CM_OK);
        assert_true(cm_str_eq_c(before, rows[i].before));
        assert_true(cm_str_eq_c(section, rows[i].section));
        assert_true(cm_str_eq_c(after, rows[i].after));
    }
}

static void values_that_would_break_out_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"ProxyCommand=evil", "host=x",      "Match all",
                                      "NoValue",           "A=b\nHost *", "=x"};
    for (size_t i = 0; i < CM_COUNT_OF(bad); i++) {
        struct ssh_block b = plain();
        b.options.ssh = (struct cm_conf_list){&bad[i], 1};
        assert_int_equal(ssh_block_check(&b, NULL), CM_INVALID);
    }
    struct ssh_block b = plain();
    assert_int_equal(ssh_block_check(&b, NULL), CM_OK);
    b.prefix = "a b";
    assert_int_equal(ssh_block_check(&b, NULL), CM_INVALID);
    b = plain();
    b.suffix = "x\n";
    assert_int_equal(ssh_block_check(&b, NULL), CM_INVALID);
    b = plain();
    b.binary = "/x\ny";
    assert_int_equal(ssh_block_check(&b, NULL), CM_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_block_has_its_exact_form),
        cmocka_unit_test(options_are_used_and_remembered),
        cmocka_unit_test(a_path_with_a_blank_is_quoted_in_both_ways),
        cmocka_unit_test(sections_are_found_and_broken_files_refused),
        cmocka_unit_test(values_that_would_break_out_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
