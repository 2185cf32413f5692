/* Lines of the log as they reach standard error, less the time in front. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time.h"
#include "obs/log.h"

#define THREADS    4
#define EACH       200
#define PIPE_BYTES (1024 * 1024)

struct capture {
    int saved, fd;
    char text[128 * 1024];
};

static void capture_start(struct capture *c)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    /* Whole lines of all threads fit, so that nobody needs to read meanwhile. */
    assert_true(fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES) >= 0);
    c->saved = dup(STDERR_FILENO);
    assert_true(c->saved >= 0 && dup2(fds[1], STDERR_FILENO) == STDERR_FILENO);
    close(fds[1]);
    c->fd = fds[0];
}

static const char *capture_end(struct capture *c)
{
    size_t n = 0;
    ssize_t got;
    assert_int_equal(dup2(c->saved, STDERR_FILENO), STDERR_FILENO);
    close(c->saved);
    while ((got = read(c->fd, c->text + n, sizeof(c->text) - 1 - n)) > 0)
        n += (size_t)got;
    assert_int_equal(got, 0);
    close(c->fd);
    c->text[n] = '\0';
    return c->text;
}

/* What follows the time, which is taken off. */
static const char *after_time(const char *line)
{
    struct cm_time t;
    const char *space = strchr(line, ' ');
    assert_non_null(space);
    assert_true(cm_time_parse(cm_str_n(line, (size_t)(space - line)), &t));
    return space + 1;
}

static const struct cm_uuid an_id = {{0xab, [15] = 1}};

static void write_all_kinds(void)
{
    struct cm_err err;
    cm_err_set(&err, CM_IO, "no\troom");
    CM_WARN("it happened", CM_F_CSTR(name, "dev"), CM_F_CSTR(text, "a \"b\"\n\\"),
            CM_F_CSTR(empty, ""), CM_F_INT(n, -7), CM_F_UUID(user_id, an_id), CM_F_ERR(&err));
}

static void a_line_of_text(void **state)
{
    (void)state;
    struct capture c;
    cm_log_setup("prog", CM_LOG_INFO, CM_LOG_TEXT);
    capture_start(&c);
    write_all_kinds();
    CM_INFO("no fields");
    const char *out = capture_end(&c);
    static const char first[] = "warn  prog: it happened name=dev text=\"a \\\"b\\\"\\u000a\\\\\" "
                                "empty=\"\" n=-7 user_id=ab000000-0000-0000-0000-000000000001 "
                                "error=\"no\\u0009room\"\n";
    const char *line = after_time(out);
    assert_memory_equal(line, first, sizeof(first) - 1);
    assert_string_equal(after_time(line + sizeof(first) - 1), "info  prog: no fields\n");
}

static void a_line_of_json(void **state)
{
    (void)state;
    struct capture c;
    cm_log_setup("prog", CM_LOG_INFO, CM_LOG_JSON);
    capture_start(&c);
    write_all_kinds();
    const char *out = capture_end(&c);
    assert_memory_equal(out, "{\"ts\":\"", 7);
    assert_string_equal(strchr(out, ','),
                        ",\"level\":\"warn\",\"name\":\"prog\",\"msg\":\"it happened\","
                        "\"name\":\"dev\",\"text\":\"a \\\"b\\\"\\u000a\\\\\",\"empty\":\"\","
                        "\"n\":-7,\"user_id\":\"ab000000-0000-0000-0000-000000000001\","
                        "\"error\":\"no\\u0009room\"}\n");
}

static int evaluated;

static int64_t evaluate(void)
{
    return ++evaluated;
}

static void what_is_below_the_level_is_not_even_evaluated(void **state)
{
    (void)state;
    struct capture c;
    cm_log_setup("prog", CM_LOG_WARN, CM_LOG_TEXT);
    capture_start(&c);
    CM_DEBUG("debug", CM_F_INT(n, evaluate()));
    CM_INFO("info", CM_F_INT(n, evaluate()));
    CM_WARN("warn", CM_F_INT(n, evaluate()));
    CM_ERROR("error", CM_F_INT(n, evaluate()));
    const char *out = capture_end(&c);
    assert_int_equal(evaluated, 2);
    const char *second = strchr(out, '\n') + 1;
    assert_memory_equal(after_time(out), "warn  prog: warn n=1\n", 21);
    assert_string_equal(after_time(second), "error prog: error n=2\n");
}

static void a_field_that_does_not_fit_is_left_out_and_the_line_stays_whole(void **state)
{
    (void)state;
    struct capture c;
    static char large[10000];
    memset(large, 'x', sizeof(large) - 1);
    cm_log_setup("prog", CM_LOG_INFO, CM_LOG_JSON);
    capture_start(&c);
    CM_INFO("big", CM_F_INT(first, 1), CM_F_CSTR(large, large), CM_F_INT(last, 2));
    const char *out = capture_end(&c);
    assert_non_null(strstr(out, ",\"first\":1"));
    assert_null(strstr(out, "large"));
    assert_string_equal(out + strlen(out) - 2, "}\n");
    assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
}

static void errno_survives(void **state)
{
    (void)state;
    struct capture c;
    cm_log_setup("prog", CM_LOG_INFO, CM_LOG_TEXT);
    capture_start(&c);
    close(STDERR_FILENO); /* the write fails */
    errno = EEXIST;
    CM_INFO("lost");
    assert_int_equal(errno, EEXIST);
    assert_string_equal(capture_end(&c), "");
}

static void *write_many(void *arg)
{
    for (int i = 0; i < EACH; i++)
        CM_INFO("together", CM_F_INT(thread, (intptr_t)arg), CM_F_INT(i, i));
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    struct capture c;
    pthread_t threads[THREADS];
    int next[THREADS] = {0}, lines = 0;
    cm_log_setup("prog", CM_LOG_INFO, CM_LOG_TEXT);
    capture_start(&c);
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    const char *out = capture_end(&c);
    for (const char *line = out; *line; line = strchr(line, '\n') + 1, lines++) {
        int thread, i, len = 0;
        assert_int_equal(
            sscanf(after_time(line), "info  prog: together thread=%d i=%d%n", &thread, &i, &len),
            2);
        assert_true(thread >= 0 && thread < THREADS);
        assert_int_equal(after_time(line)[len], '\n');
        assert_int_equal(i, next[thread]++);
    }
    assert_int_equal(lines, THREADS * EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_text),
        cmocka_unit_test(a_line_of_json),
        cmocka_unit_test(what_is_below_the_level_is_not_even_evaluated),
        cmocka_unit_test(a_field_that_does_not_fit_is_left_out_and_the_line_stays_whole),
        cmocka_unit_test(errno_survives),
        cmocka_unit_test(lines_of_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
