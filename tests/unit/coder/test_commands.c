/* The command tree and the small languages of arguments: hosts, ports, archives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli.h"
#include "near.h"
#include "remote/forward.h"
#include "remote/ports.h"
#include "remote/target.h"
#include "sys/fs.h"
#include "template_tar.h"
#include "tfvars.h"

static void commands_are_found_by_name_and_alias(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        const char *path; /* NULL: unknown */
        const char *rest[5];
    } rows[] = {
        {{"coder"}, "coder", {0}},
        {{"coder", "list", "-a"}, "coder list", {"-a"}},
        {{"coder", "ls"}, "coder list", {0}},
        {{"coder", "template", "push", "x"}, "coder templates push", {"x"}},
        {{"coder", "--url", "login", "whoami"}, "coder whoami", {"--url", "login"}},
        {{"coder", "--url=x", "-v", "users", "ls"}, "coder users list", {"--url=x", "-v"}},
        {{"coder", "ssh", "dev", "list"}, "coder ssh", {"dev", "list"}},
        {{"coder", "login", "https://x"}, "coder login", {"https://x"}},
        {{"coder", "login", "token"}, "coder login token", {0}},
        {{"coder", "agent", "--url", "x"}, "coder agent", {"--url", "x"}},
        {{"coder", "ssh", "dev", "--", "ls"}, "coder ssh", {"dev", "--", "ls"}},
        {{"coder", "nosuch"}, NULL, {0}},
        {{"coder", "users", "nosuch"}, NULL, {0}},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        const struct command *c = NULL;
        const char *path = NULL;
        char *argv[8] = {NULL}, *args[8];
        size_t n = 0;
        int argc = 0;
        struct cm_err err;
        while (argc < 6 && rows[i].words[argc]) {
            argv[argc] = cm_arena_cstr(a, cm_str(rows[i].words[argc]));
            argc++;
        }
        enum cm_code code = command_find(a, argc, argv, &c, &path, args, &n, &err);
        if (!rows[i].path) {
            assert_int_equal(code, CM_NOT_FOUND);
            assert_string_equal(err.text, "unrecognized subcommand \"nosuch\"");
            continue;
        }
        assert_int_equal(code, CM_OK);
        assert_string_equal(path, rows[i].path);
        for (size_t k = 0; k < 5 && rows[i].rest[k]; k++) {
            assert_true(k < n);
            assert_string_equal(args[k], rows[i].rest[k]);
        }
    }
}

/* Each row of the tree can be shown and run, and no flag or word stands for two things. */
static void walk(const struct command *c, const char *path, int depth)
{
    CM_AUTOBUF struct cm_buf help = CM_BUF_INIT((size_t)1 << 20);
    assert_true(depth < 5);
    assert_non_null(c->brief);
    assert_true(c->sub || c->run || c->run_main);
    command_help(&help, c, path);
    assert_non_null(strstr(help.ptr, path));
    for (size_t i = 0; i < c->n_opts; i++) {
        assert_non_null(c->opts[i].help);
        assert_int_not_equal(c->opts[i].type, CM_OPT_UNSET);
        for (size_t k = 0; k < global_opts_n; k++)
            if (strcmp(c->opts[i].flag, global_opts[k].flag) == 0)
                fail_msg("%s: --%s is a global flag", path, c->opts[i].flag);
        for (size_t k = 0; k < i; k++)
            if (strcmp(c->opts[i].flag, c->opts[k].flag) == 0 ||
                (c->opts[i].shorthand && c->opts[i].shorthand == c->opts[k].shorthand))
                fail_msg("%s: --%s stands twice", path, c->opts[i].flag);
    }
    for (size_t i = 0; c->sub && c->sub[i]; i++) {
        CM_AUTOFREE char *below = cm_xasprintf("%s %s", path, c->sub[i]->name);
        for (size_t k = 0; k < i; k++)
            assert_false(command_is_called(c->sub[k], cm_str(c->sub[i]->name)));
        walk(c->sub[i], below, depth + 1);
    }
}

static void every_command_is_whole(void **state)
{
    (void)state;
    walk(&command_root, "coder", 0);
}

static void mistyped_words_find_their_neighbours(void **state)
{
    (void)state;
    static const char *const words[] = {"delete", "templates", "list", "login", "stop", "dev"};
    static const struct {
        const char *typed, *meant; /* NULL: none of them */
    } rows[] = {
        {"dlete", "delete"}, {"detele", "delete"},  {"tempates", "templates"},
        {"lits", "list"},    {"temp", "templates"}, {"dve", "dev"},
        {"logn", "login"},   {"x", NULL},           {"frobnicate", NULL},
        {"", NULL},          {"vet", NULL},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct near near = near_start(cm_str(rows[i].typed));
        for (size_t k = 0; k < CM_COUNT_OF(words); k++)
            near_try(&near, cm_str(words[k]));
        if (!rows[i].meant && near.best.ptr)
            fail_msg("%s: %s", rows[i].typed, near.best.ptr);
        if (rows[i].meant && !cm_str_eq_c(near.best, rows[i].meant))
            fail_msg("%s is not found for %s", rows[i].meant, rows[i].typed);
    }
    /* Neither side's length is a limit to write past. */
    char endless[5000];
    memset(endless, 'a', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    struct near near = near_start(cm_str(endless));
    near_try(&near, cm_str("list"));
    assert_null(near.best.ptr);
    near = near_start(cm_str("list"));
    near_try(&near, cm_str(endless));
    assert_null(near.best.ptr);
}

static void hosts_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *owner, *workspace, *agent; /* owner NULL: refused */
    } rows[] = {
        {"dev", "me", "dev", ""},
        {"my-dev", "me", "my-dev", ""},
        {"dev.main", "me", "dev", "main"},
        {"bea/dev", "bea", "dev", ""},
        {"bea--dev", "bea", "dev", ""},
        {"bea/dev.main", "bea", "dev", "main"},
        {"bea--dev--main", "bea", "dev", "main"},
        {"main.dev.bea", "bea", "dev", "main"},
        {"", NULL, NULL, NULL},
        {"a.b.c.d", NULL, NULL, NULL},
        {"a//b", NULL, NULL, NULL},
        {"/b", NULL, NULL, NULL},
        {"a--", NULL, NULL, NULL},
    };
    CM_AUTO(cm_arena) a = cm_arena_new();
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct remote_name n;
        struct cm_err err;
        enum cm_code code = remote_name_parse(a, rows[i].text, &n, &err);
        if (!rows[i].owner) {
            if (code != CM_INVALID)
                fail_msg("%s was accepted", rows[i].text);
            continue;
        }
        if (code != CM_OK)
            fail_msg("%s: %s", rows[i].text, err.text);
        assert_string_equal(n.owner, rows[i].owner);
        assert_string_equal(n.workspace, rows[i].workspace);
        assert_string_equal(n.agent, rows[i].agent);
    }
}

static void ports_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n; /* 0: refused */
        const char *ip;
        uint16_t local, remote; /* of the last pair */
    } rows[] = {
        {"8080", 1, "", 8080, 8080},
        {"8080:3000", 1, "", 8080, 3000},
        {"8080-8082:3000-3002", 3, "", 8082, 3002},
        {"9090-9095", 6, "", 9095, 9095},
        {"0.0.0.0:80:90", 1, "0.0.0.0", 80, 90},
        {"1.2.3.4:80", 1, "1.2.3.4", 80, 80},
        {"[::1]:80:90", 1, "::1", 80, 90},
        {"0", 0, NULL, 0, 0},
        {"90-80", 0, NULL, 0, 0},
        {"80:90:100", 0, NULL, 0, 0},
        {"80-81:90", 0, NULL, 0, 0},
        {"65536", 0, NULL, 0, 0},
        {"", 0, NULL, 0, 0},
        {"x", 0, NULL, 0, 0},
        {"host:80", 0, NULL, 0, 0},
        {"[nonsense]:80", 0, NULL, 0, 0},
    };
    CM_AUTO(cm_arena) a = cm_arena_new();
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct port_list *list = CM_NEW(a, struct port_list);
        enum cm_code code = ports_parse(a, rows[i].text, list, NULL);
        if ((code == CM_OK) != (rows[i].n > 0))
            fail_msg("%s", rows[i].text);
        if (!rows[i].n)
            continue;
        assert_int_equal(list->n, rows[i].n);
        assert_string_equal(list->v[list->n - 1].local_ip, rows[i].ip);
        assert_int_equal(list->v[list->n - 1].local, rows[i].local);
        assert_int_equal(list->v[list->n - 1].remote, rows[i].remote);
    }
    struct port_list *twice = CM_NEW(a, struct port_list);
    assert_int_equal(ports_parse(a, "8080", twice, NULL), CM_OK);
    assert_int_equal(ports_parse(a, "8080:9", twice, NULL), CM_INVALID);
}

static void remote_forwards_are_taken_apart(void **state)
{
    static const struct {
        const char *text, *host; /* host NULL: refused */
        uint16_t port, local;
    } rows[] = {
        {"8080:127.0.0.1:9090", "127.0.0.1", 8080, 9090},
        {"1:localhost:65535", "localhost", 1, 65535},
        {"80:[::1]:81", "::1", 80, 81},
        {"80:::1:81", "::1", 80, 81},
        {"80:a.example:81", "a.example", 80, 81},
        {"", NULL, 0, 0},
        {"80", NULL, 0, 0},
        {"80:81", NULL, 0, 0},
        {"80::81", NULL, 0, 0},
        {"0:h:1", NULL, 0, 0},
        {"1:h:0", NULL, 0, 0},
        {"1:h:65536", NULL, 0, 0},
        {"1:h:", NULL, 0, 0},
        {"x:h:1", NULL, 0, 0},
        {"/a:/b", NULL, 0, 0},
    };
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct forward_rule r;
        enum cm_code code = forward_rule_parse(a, rows[i].text, &r, NULL);
        if ((code == CM_OK) != (rows[i].host != NULL))
            fail_msg("%s", rows[i].text);
        if (!rows[i].host)
            continue;
        assert_string_equal(r.host, rows[i].host);
        assert_int_equal(r.port, rows[i].port);
        assert_int_equal(r.local_port, rows[i].local);
    }
}

static void put(const char *dir, const char *name, const char *text)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    const char *path = cm_fs_join(a, dir, name);
    assert_int_equal(cm_fs_mkdirs(cm_fs_dirname(a, path), 0755, NULL), CM_OK);
    assert_int_equal(cm_fs_write(path, cm_str(text), 0644, false, NULL), CM_OK);
}

static void template_folders_are_packed_without_what_does_not_belong(void **state)
{
    (void)state;
    CM_AUTOFREE char *from = NULL;
    CM_AUTOFREE char *to = NULL;
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf tar = CM_BUF_INIT((size_t)1 << 20), small = CM_BUF_INIT(2000),
                             text = CM_BUF_INIT(100);
    struct template_tar_notes notes;
    struct cm_err err;

    assert_int_equal(cm_fs_temp_dir(NULL, "test_commands.", &from, &err), CM_OK);
    assert_int_equal(cm_fs_temp_dir(NULL, "test_commands.", &to, &err), CM_OK);
    assert_int_equal(template_tar_pack(from, &tar, &notes, &err), CM_NOT_FOUND);
    cm_buf_reset(&tar);
    put(from, "main.tf", "# main");
    put(from, ".terraform.lock.hcl", "# lock");
    put(from, ".terraform/providers/x", "big");
    put(from, ".env", "SECRET=1");
    put(from, "terraform.tfstate", "{}");
    put(from, "terraform.tfstate.backup", "{}");
    put(from, "x.auto.tfvars", "a=1");
    put(from, "scripts/run.sh", "#!/bin/sh\n");
    assert_int_equal(chmod(cm_fs_join(a, from, "scripts/run.sh"), 0755), 0);
    assert_int_equal(symlink("/etc/passwd", cm_fs_join(a, from, "link.tf")), 0);
    assert_int_equal(template_tar_pack(from, &tar, &notes, &err), CM_OK);
    assert_true(notes.has_lock);
    assert_string_equal(notes.skipped_vars, "x.auto.tfvars");
    assert_int_equal(template_tar_pack(from, &small, &notes, &err), CM_TOO_LARGE);

    assert_int_equal(template_tar_unpack(cm_buf_view(&tar), to, &err), CM_OK);
    assert_int_equal(cm_fs_read(cm_fs_join(a, to, "main.tf"), &text, NULL), CM_OK);
    assert_string_equal(text.ptr, "# main");
    assert_true(cm_fs_exists(cm_fs_join(a, to, ".terraform.lock.hcl")));
    assert_true(cm_fs_is_executable(cm_fs_join(a, to, "scripts/run.sh")));
    static const char *const absent[] = {".terraform",        ".env",
                                         "terraform.tfstate", "terraform.tfstate.backup",
                                         "x.auto.tfvars",     "link.tf"};
    for (size_t i = 0; i < CM_COUNT_OF(absent); i++)
        assert_false(cm_fs_exists(cm_fs_join(a, to, absent[i])));

    /* Cut anywhere, it is an error or a shorter whole, never a crash. */
    for (size_t n = 0; n < tar.len; n += 173)
        cm_ignore(template_tar_unpack(cm_str_n(tar.ptr, n), to, &err) != CM_OK,
                  "either way is fine");
    assert_int_equal(cm_fs_remove_tree(from, NULL), CM_OK);
    assert_int_equal(cm_fs_remove_tree(to, NULL), CM_OK);
}

static void values_are(const struct tfvars *vars, const char *const (*rows)[2], size_t n)
{
    assert_int_equal(vars->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(cm_str_eq_c(vars->v[i].name, rows[i][0]));
        assert_true(cm_str_eq_c(vars->v[i].value, rows[i][1]));
    }
}

static void files_of_values_are_read_in_terraforms_order(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOFREE char *dir = NULL;
    struct tfvars vars;
    struct cm_err err;
    static const char *const values[][2] = {
        {"region", "north"}, {"n", "3"},
        {"on", "true"},      {"list", "[\"a\",\"\xc3\xbc\"]"},
        {"text", "x\n y\n"}, {"o", "{\"k\":[1,{}]}"},
        {"late", "json"},
    };
    assert_int_equal(cm_fs_temp_dir(NULL, "test_commands.", &dir, &err), CM_OK);
    assert_int_equal(tfvars_read(a, dir, &vars, &err), CM_OK);
    assert_int_equal(vars.n, 0);
    put(dir, "terraform.tfvars",
        "\xef\xbb\xbf# first\r\nregion = \"south\"\r\nn = 1\r\nnone = null\r\n\"on\" = true\r\n");
    put(dir, "terraform.tfvars.json", "{\"n\": 2, \"none\": null}");
    put(dir, "a.auto.tfvars",
        "list = [\n  \"a\", # one\n  \"\xc3\xbc\",\n]\nn = 3\ntext = <<-E\n  x\n   y\nE\n"
        "o = { k = [1, {}] }\nlate = \"hcl\"");
    put(dir, "b.auto.tfvars.json", "{\"late\": \"json\", \"region\": \"north\"}");
    put(dir, "other.tfvars", "n = 99");
    put(dir, "sub/terraform.tfvars", "n = 98");
    assert_int_equal(tfvars_read(a, dir, &vars, &err), CM_OK);
    values_are(&vars, values, CM_COUNT_OF(values));

    put(dir, "c.auto.tfvars", "x = 1\ny = var.x\n");
    assert_int_equal(tfvars_read(a, dir, &vars, &err), CM_INVALID);
    assert_string_equal(err.text, "read c.auto.tfvars: the value of \"y\" is not a constant");
    assert_int_equal(cm_fs_remove_tree(dir, NULL), CM_OK);
}

static void broken_files_of_values_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool json;
    } rows[] = {{"x", false},   {"x {", false},    {"x = \"a", false},
                {"= 1", false}, {"x = [1", false}, {"x = 1 }", false},
                {"[1]", true},  {"{", true},       {"", true}};
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct tfvars vars = {0};
        struct cm_err err;
        assert_int_equal(tfvars_parse(a, cm_str(rows[i].text), rows[i].json, &vars, &err),
                         CM_INVALID);
        assert_true(err.text[0]);
    }
}

static void archives_cannot_leave_their_folder(void **state)
{
    (void)state;
    /* A ustar head as tar(5) has it: name, mode, uid, gid, size, mtime, checksum, type. */
    static const char *const names[] = {"../evil", "/tmp/test_commands_evil", "a/../../evil"};
    CM_AUTOFREE char *to = NULL;
    struct cm_err err;
    assert_int_equal(cm_fs_temp_dir(NULL, "test_commands.", &to, &err), CM_OK);
    for (size_t i = 0; i < CM_COUNT_OF(names); i++) {
        char tar[3 * 512] = "";
        unsigned sum = 0;
        snprintf(tar, 100, "%s", names[i]);
        memcpy(tar + 100, "0000644", 7);
        memcpy(tar + 108, "0000000", 7);
        memcpy(tar + 116, "0000000", 7);
        memcpy(tar + 124, "00000000000", 11);
        memcpy(tar + 136, "00000000000", 11);
        memset(tar + 148, ' ', 8);
        tar[156] = '0';
        memcpy(tar + 257, "ustar\00000", 8);
        for (size_t k = 0; k < 512; k++)
            sum += (unsigned char)tar[k];
        snprintf(tar + 148, 8, "%06o", sum);
        assert_int_equal(template_tar_unpack(cm_str_n(tar, sizeof(tar)), to, &err), CM_INVALID);
        assert_non_null(strstr(err.text, "leaves the folder"));
    }
    assert_int_equal(cm_fs_remove_tree(to, NULL), CM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_found_by_name_and_alias),
        cmocka_unit_test(every_command_is_whole),
        cmocka_unit_test(mistyped_words_find_their_neighbours),
        cmocka_unit_test(hosts_are_taken_apart),
        cmocka_unit_test(ports_are_taken_apart),
        cmocka_unit_test(remote_forwards_are_taken_apart),
        cmocka_unit_test(template_folders_are_packed_without_what_does_not_belong),
        cmocka_unit_test(files_of_values_are_read_in_terraforms_order),
        cmocka_unit_test(broken_files_of_values_are_refused),
        cmocka_unit_test(archives_cannot_leave_their_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
