/* The agent's small parts: options, schedules, log text, rings, ports, priorities, requests for
 * terminals, manifests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "logs/text.h"
#include "manifest/manifest.h"
#include "options.h"
#include "ports/ports.h"
#include "priority.h"
#include "pty/pty.h"
#include "pty/ring.h"
#include "scripts/cron.h"
#include "sys/fs.h"

static const char *fake_env(const char *name)
{
    static const char *const vars[][2] = {
        {"CODER_AGENT_URL", "https://env.example"},
        {"CODER_AGENT_BLOCK_FILE_TRANSFER", "true"},
        {"CODER_AGENT_SUBSYSTEM", "envbox, envbuilder"},
        {"CODER_PROC_PRIO_MGMT", "1"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(vars); i++)
        if (strcmp(vars[i][0], name) == 0)
            return vars[i][1];
    return NULL;
}

static const char *no_env(const char *name)
{
    (void)name;
    return NULL;
}

static enum cm_code load(struct cm_arena *a, const char *const *args,
                         const char *(*env)(const char *), struct agent_options *o,
                         struct cm_err *err)
{
    char *argv[16];
    int n = 0;
    for (; args[n]; n++)
        argv[n] = cm_arena_cstr(a, cm_str(args[n]));
    return agent_options_load(a, n, argv, env, o, err);
}

static void options_come_from_flags_then_environment_then_defaults(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct agent_options o;
    struct cm_err err;
    const char *args[] = {"--ssh-max-timeout=30m", "--log-dir", "/x", "--no-reap",
                          "--tailnet-listen-port", "4",         NULL};
    assert_int_equal(load(a, args, fake_env, &o, &err), CM_OK);
    assert_string_equal(o.url, "https://env.example");
    assert_true(o.block_file_transfer && o.no_reap && !o.block_local_forward);
    assert_int_equal(o.ssh_max_timeout, 30 * CM_MINUTE);
    assert_string_equal(o.log_dir, "/x");
    assert_string_equal(o.auth, "token");
    assert_int_equal(o.n_subsystems, 2);
    assert_string_equal(o.subsystems[1], "envbuilder");
    assert_string_equal(o.prio_mgmt, "1");
    const char *over[] = {"--agent-url", "https://flag.example", "--block-file-transfer=false",
                          NULL};
    assert_int_equal(load(a, over, fake_env, &o, &err), CM_OK);
    assert_string_equal(o.url, "https://flag.example");
    assert_false(o.block_file_transfer);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *args[3];
        const char *text;
    } rows[] = {
        {{"--nope"}, "unknown flag: --nope"},
        {{"--log-dir"}, "needs an argument"},
        {{"word"}, "\"word\" is not an option"},
        {{"--ssh-max-timeout=soon"}, "not a duration"},
        {{"--no-reap=maybe"}, "neither true nor false"},
    };
    CM_AUTO(cm_arena) a = cm_arena_new();
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct agent_options o;
        struct cm_err err = {0};
        assert_int_equal(load(a, rows[i].args, no_env, &o, &err), CM_INVALID);
        assert_non_null(strstr(err.text, rows[i].text));
    }
}

static void schedules_find_their_next_moment(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    static const struct {
        const char *cron, *from, *next;
    } rows[] = {
        {"0 0 * * *", "2026-01-01T00:00:30Z", "2026-01-01T01:00:00Z"},
        {"0 0 * * * *", "2026-01-01T00:00:30Z", "2026-01-01T01:00:00Z"},
        {"0 30 9 * * 1-5", "2026-01-02T10:00:00Z", "2026-01-05T09:30:00Z"},
        {"0 30 9 * * mon,Wed", "2026-01-05T09:30:00Z", "2026-01-07T09:30:00Z"},
        {"*/15 * * * * *", "2026-01-01T00:00:44Z", "2026-01-01T00:00:45Z"},
        {"0 0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"},
        {"0 0 0 1 jan *", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
        {"0 0 0 13 * 5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"},
        {"0 0 12 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T12:00:00Z"},
        {"0 5/20 * * * *", "2026-01-01T00:26:00Z", "2026-01-01T00:45:00Z"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct cron c;
        struct cm_err err = {0};
        struct cm_time from, next;
        char text[CM_TIME_TEXT];
        assert_true(cm_time_parse(cm_str(rows[i].from), &from));
        if (cron_parse(cm_str(rows[i].cron), &c, &err) != CM_OK)
            fail_msg("%s", err.text);
        assert_true(cron_next(&c, from, &next));
        assert_string_equal(cm_time_format(next, text), rows[i].next);
    }
    static const char *const bad[] = {"",
                                      "* * * *",
                                      "* * * * * * *",
                                      "60 * * * * *",
                                      "* * 24 * * *",
                                      "a * * * * *",
                                      "1-0 * * * * *",
                                      "*/0 * * * * *",
                                      "1, * * * * *",
                                      "* * * 0 * *"};
    for (size_t i = 0; i < CM_COUNT_OF(bad); i++) {
        struct cron c;
        struct cm_err err;
        assert_int_equal(cron_parse(cm_str(bad[i]), &c, &err), CM_INVALID);
    }
    struct cron never;
    struct cm_time at;
    assert_int_equal(cron_parse(CM_STR("0 0 0 31 2 *"), &never, NULL), CM_OK);
    assert_false(cron_next(&never, cm_time_now(), &at));
}

static void log_text_is_made_clean(void **state)
{
    (void)state;
    static const struct {
        struct cm_str in;
        const char *out;
    } rows[] = {
        {CM_STR("plain \xc3\xa4"), "plain \xc3\xa4"},
        {CM_STR("a\0b"), "a\xe2\x9d\x8c"
                         "b"},
        {CM_STR("\xff!\xc3"), "\xe2\x9d\x8c!\xe2\x9d\x8c"},
        {CM_STR("\xed\xa0\x80"), "\xe2\x9d\x8c\xe2\x9d\x8c\xe2\x9d\x8c"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(1000);
        logs_clean(&b, rows[i].in);
        assert_string_equal(b.ptr, rows[i].out);
    }
}

struct seen {
    struct cm_buf text;
    size_t lines, longest;
};

static void see_line(void *ctx, struct cm_str line)
{
    struct seen *s = ctx;
    s->lines++;
    s->longest = CM_MAX(s->longest, line.len);
    if (line.len < 100) {
        cm_buf_str(&s->text, line);
        cm_buf_char(&s->text, '|');
    }
}

static void output_is_split_into_lines(void **state)
{
    (void)state;
    struct seen seen = {.text = CM_BUF_INIT(1000)};
    struct line_splitter s;
    line_splitter_init(&s, see_line, &seen);
    line_splitter_add(&s, CM_STR("one\ntw"));
    line_splitter_add(&s, CM_STR("o\r\n\nthr"));
    assert_string_equal(seen.text.ptr, "one|two||");
    line_splitter_end(&s);
    assert_string_equal(seen.text.ptr, "one|two||thr|");
    line_splitter_end(&s);
    assert_int_equal(seen.lines, 4);
    char *big = cm_xmalloc(2 * LINE_MAX_BYTES + 10);
    memset(big, 'x', 2 * LINE_MAX_BYTES + 10);
    line_splitter_add(&s, cm_str_n(big, 2 * LINE_MAX_BYTES + 10));
    line_splitter_end(&s);
    assert_int_equal(seen.lines, 7);
    assert_int_equal(seen.longest, LINE_MAX_BYTES);
    cm_free(big);
    line_splitter_done(&s);
    cm_buf_done(&seen.text);
}

static void rings_keep_the_last_bytes(void **state)
{
    (void)state;
    struct ring r;
    ring_init(&r, 8);
    static const struct {
        const char *add, *want;
    } rows[] = {{"abc", "abc"},
                {"defgh", "abcdefgh"},
                {"ij", "cdefghij"},
                {"0123456789", "23456789"},
                {"", "23456789"}};
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        ring_add(&r, rows[i].add, strlen(rows[i].add));
        struct cm_str p[2];
        char got[20] = "";
        ring_view(&r, p);
        memcpy(got, p[0].ptr, p[0].len);
        memcpy(got + p[0].len, p[1].ptr, p[1].len);
        assert_string_equal(got, rows[i].want);
    }
    ring_done(&r);
}

static void listening_ports_are_read(void **state)
{
    (void)state;
    struct cm_str text = CM_STR("  sl  local_address rem_address   st tx_queue rx_queue tr "
                                "tm->when retrnsmt   uid  timeout inode\n"
                                "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 "
                                "00:00000000 00000000     0        0 123 1 0 100 0\n"
                                "   1: 00000000:0016 00000000:0000 0A 00000000:00000000 "
                                "00:00000000 00000000     0        0 45 1 0 100 0\n"
                                "   2: 00000000:0005 00000000:0000 0A 00000000:00000000 "
                                "00:00000000 00000000     0        0 46 1 0 100 0\n"
                                "   3: 0100007F:1F90 00000000:0000 0A 00000000:00000000 "
                                "00:00000000 00000000     0        0 47 1 0 100 0\n"
                                "   4: 0100007F:2000 0100007F:1F90 01 00000000:00000000 "
                                "00:00000000 00000000     0        0 48 1 0 100 0\n"
                                "garbage\n");
    struct listening_port p[4];
    uint64_t inodes[4];
    assert_int_equal(listening_ports_parse(text, p, inodes, 4), 2);
    assert_int_equal(p[0].port, 22);
    assert_int_equal(inodes[0], 45);
    assert_int_equal(p[1].port, 8080);
    assert_int_equal(inodes[1], 123);
}

static void children_of_the_agent_go_first(void **state)
{
    (void)state;
    assert_int_equal(priority_child_oom(-900), 0);
    assert_int_equal(priority_child_oom(0), 998);
    assert_int_equal(priority_child_oom(998), 1000);
    assert_int_equal(priority_child_nice(0), 5);
    assert_int_equal(priority_child_nice(17), 19);
}

static void terminal_requests_are_parsed(void **state)
{
    (void)state;
    struct pty_request rq;
    struct cm_err err;
    assert_int_equal(
        pty_request_parse(
            CM_STR("/3b579bf4-1ed8-4b99-87a8-e9a1e3410410?height=24&width=80&command=a&b=c?d"), &rq,
            &err),
        CM_OK);
    assert_int_equal(rq.height, 24);
    assert_int_equal(rq.width, 80);
    assert_true(cm_str_eq_c(rq.command, "a&b=c?d"));
    assert_int_equal(pty_request_parse(CM_STR("3b579bf4-1ed8-4b99-87a8-e9a1e3410410"), &rq, &err),
                     CM_OK);
    assert_int_equal(rq.command.len, 0);
    static const char *const bad[] = {"", "/x", "3b579bf4-1ed8-4b99-87a8-e9a1e3410410?height=-1",
                                      "3b579bf4-1ed8-4b99-87a8-e9a1e3410410?height=99999",
                                      "3b579bf4-1ed8-4b99-87a8-e9a1e3410410?nope=1"};
    for (size_t i = 0; i < CM_COUNT_OF(bad); i++)
        assert_int_equal(pty_request_parse(cm_str(bad[i]), &rq, &err), CM_INVALID);
}

static void manifest_is_kept_for_its_own_token_only(void **state)
{
    (void)state;
    char *dir = NULL;
    struct cm_err err;
    CM_AUTO(cm_arena) a = cm_arena_new();
    assert_int_equal(cm_fs_temp_dir(NULL, "cm-test-manifest-", &dir, &err), CM_OK);
    const char *path = cm_fs_join(a, dir, "sub/manifest");
    Coder__Agent__V1__Manifest m = CODER__AGENT__V1__MANIFEST__INIT;
    char name[] = "main", ws[] = "dev";
    uint8_t id[16] = {1, 2, 3};
    m.agent_name = name;
    m.workspace_name = ws;
    m.agent_id = m.workspace_id = (ProtobufCBinaryData){.len = 16, .data = id};
    struct manifest_process p = {
        .token = "secret", .url = "https://x", .script_bin = "/b", .exe_dir = "/e"};
    assert_int_equal(manifest_save(path, "secret", &m, &err), CM_OK);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct manifest *got = NULL;
    assert_int_equal(manifest_load(path, "other", &p, &got, &err), CM_NOT_FOUND);
    assert_int_equal(manifest_load(path, "secret", &p, &got, &err), CM_OK);
    assert_true(manifest_same(got->message, &m));
    assert_string_equal(got->environment->coder[0]->name, "CODER");
    manifest_free(got);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(manifest_load(path, "secret", &p, &got, &err), CM_NOT_FOUND);
    assert_int_equal(cm_fs_remove_tree(dir, &err), CM_OK);
    cm_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_come_from_flags_then_environment_then_defaults),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(schedules_find_their_next_moment),
        cmocka_unit_test(log_text_is_made_clean),
        cmocka_unit_test(output_is_split_into_lines),
        cmocka_unit_test(rings_keep_the_last_bytes),
        cmocka_unit_test(listening_ports_are_read),
        cmocka_unit_test(children_of_the_agent_go_first),
        cmocka_unit_test(terminal_requests_are_parsed),
        cmocka_unit_test(manifest_is_kept_for_its_own_token_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
