/* Two streams joined: bytes both ways, half closes, and the end of the loop under it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "net/sock.h"
#include "net/stream.h"

/* What the test holds of the two joined pairs. */
struct ends {
    struct cm_loop *loop;
    int a, b;
    unsigned told;
    uint64_t a_to_b, b_to_a;
};

static void on_done(void *ctx, uint64_t a_to_b, uint64_t b_to_a)
{
    struct ends *e = ctx;
    e->told++;
    e->a_to_b = a_to_b;
    e->b_to_a = b_to_a;
}

static struct cm_splice *join(struct ends *e)
{
    int a[2], b[2];
    *e = (struct ends){.loop = cm_loop_new()};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b), 0);
    e->a = a[0];
    e->b = b[0];
    return cm_splice_new(cm_sock_stream_new(e->loop, a[1], NULL, false),
                         cm_sock_stream_new(e->loop, b[1], NULL, false), on_done, e);
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Turns the loop until n bytes are there, or, with n 0, the end. */
static void expect(struct ends *e, int fd, const char *text)
{
    char got[64] = "";
    size_t n = 0;
    for (int turns = 0; turns < 1000; turns++) {
        ssize_t r = read(fd, got + n, sizeof(got) - 1 - n);
        n += r > 0 ? (size_t)r : 0;
        if (r == 0 || (*text && n >= strlen(text)))
            break;
        cm_loop_turn(e->loop, 10 * CM_MSEC);
    }
    assert_string_equal(got, text);
}

static void bytes_and_half_closes_pass_both_ways(void **state CM_UNUSED)
{
    struct ends e;
    join(&e);
    send_text(e.a, "to b");
    expect(&e, e.b, "to b");
    send_text(e.b, "to a!");
    expect(&e, e.a, "to a!");
    shutdown(e.a, SHUT_WR);
    expect(&e, e.b, "");
    send_text(e.b, "still");
    expect(&e, e.a, "still");
    assert_int_equal(e.told, 0);
    close(e.b);
    expect(&e, e.a, "");
    for (int turns = 0; turns < 100 && !e.told; turns++)
        cm_loop_turn(e.loop, 10 * CM_MSEC);
    assert_int_equal(e.told, 1);
    assert_int_equal(e.a_to_b, 4);
    assert_int_equal(e.b_to_a, 10);
    close(e.a);
    cm_loop_free(e.loop);
}

static void one_that_lingers_ends_without_the_other_side(void **state CM_UNUSED)
{
    struct ends e;
    struct cm_splice *p = join(&e);
    cm_splice_linger(p, 20 * CM_MSEC);
    send_text(e.a, "last");
    shutdown(e.a, SHUT_WR);
    expect(&e, e.b, "last");
    expect(&e, e.b, "");
    /* b keeps its side open. */
    for (int turns = 0; turns < 1000 && !e.told; turns++)
        cm_loop_turn(e.loop, 10 * CM_MSEC);
    assert_int_equal(e.told, 1);
    assert_int_equal(e.a_to_b, 4);
    expect(&e, e.a, "");
    close(e.a);
    close(e.b);
    cm_loop_free(e.loop);
}

static size_t drain(int fd)
{
    char buf[65536];
    size_t n = 0;
    for (ssize_t r; (r = read(fd, buf, sizeof(buf))) > 0;)
        n += (size_t)r;
    return n;
}

static void what_came_before_the_end_is_sent_to_a_slow_reader(void **state CM_UNUSED)
{
    static const char buf[65536] = "";
    struct ends e;
    size_t sent = 0, got = 0;
    cm_splice_linger(join(&e), 1); /* over at each turn: b has room at each of them */
    for (int full = 0; full < 8; full++) {
        for (ssize_t n; (n = write(e.a, buf, sizeof(buf))) > 0; full = 0)
            sent += (size_t)n;
        cm_loop_turn(e.loop, 0);
    }
    shutdown(e.a, SHUT_WR);
    for (int turns = 0; turns < 1000 && !e.told; turns++) {
        got += drain(e.b);
        cm_loop_turn(e.loop, 10 * CM_MSEC);
    }
    got += drain(e.b);
    assert_int_equal(e.told, 1);
    assert_int_equal(got, sent);
    close(e.a);
    close(e.b);
    cm_loop_free(e.loop);
}

static void a_splice_that_nobody_owns_ends_with_its_loop(void **state CM_UNUSED)
{
    struct ends e;
    char byte;
    join(&e);
    send_text(e.a, "x");
    expect(&e, e.b, "x");
    cm_loop_free(e.loop);
    assert_int_equal(e.told, 0);
    assert_int_equal(read(e.a, &byte, 1), 0);
    assert_int_equal(read(e.b, &byte, 1), 0);
    close(e.a);
    close(e.b);
}

int main(void)
{
    cm_loop_global_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_half_closes_pass_both_ways),
        cmocka_unit_test(one_that_lingers_ends_without_the_other_side),
        cmocka_unit_test(what_came_before_the_end_is_sent_to_a_slow_reader),
        cmocka_unit_test(a_splice_that_nobody_owns_ends_with_its_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
