/* Connections against a foreign peer, libwslay, at the other end of a socket pair. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <wslay/wslay.h>

#include "net/sock.h"
#include "net/ws/ws.h"

struct pair {
    struct cm_loop *loop;
    struct cm_ws *ws;
    wslay_event_context_ptr peer;
    int peer_fd;
    struct cm_buf ours, theirs; /* what each side has seen */
    bool peer_ended;
};

static ssize_t peer_recv(wslay_event_context_ptr c, uint8_t *buf, size_t len, int flags, void *ctx)
{
    struct pair *p = ctx;
    (void)flags;
    ssize_t n = recv(p->peer_fd, buf, len, MSG_DONTWAIT);
    if (n > 0)
        return n;
    p->peer_ended = p->peer_ended || n == 0;
    wslay_event_set_error(c, n < 0 && errno == EAGAIN ? WSLAY_ERR_WOULDBLOCK
                                                      : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t peer_send(wslay_event_context_ptr c, const uint8_t *data, size_t len, int flags,
                         void *ctx)
{
    struct pair *p = ctx;
    (void)flags;
    ssize_t n = send(p->peer_fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        wslay_event_set_error(c,
                              errno == EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return n;
}

static int peer_mask(wslay_event_context_ptr c, uint8_t *buf, size_t len, void *ctx)
{
    (void)c;
    (void)ctx;
    memset(buf, 0x5a, len);
    return 0;
}

static void note(struct cm_buf *b, int kind, const void *data, size_t len)
{
    if (len > 100)
        cm_buf_printf(b, "%d:%zu bytes of %c;", kind, len, *(const char *)data);
    else
        cm_buf_printf(b, "%d:%.*s;", kind, (int)len, (const char *)data);
}

static void peer_msg(wslay_event_context_ptr c, const struct wslay_event_on_msg_recv_arg *m,
                     void *ctx)
{
    (void)c;
    struct pair *p = ctx;
    if (m->opcode == WSLAY_CONNECTION_CLOSE)
        cm_buf_printf(&p->theirs, "close %d %.*s;", m->status_code,
                      (int)(m->msg_length > 2 ? m->msg_length - 2 : 0),
                      m->msg_length > 2 ? (const char *)m->msg + 2 : "");
    else
        note(&p->theirs, m->opcode, m->msg, m->msg_length);
}

static void on_ws(struct cm_ws *ws, enum cm_ws_event ev, struct cm_str payload, void *ctx)
{
    struct pair *p = ctx;
    switch (ev) {
    case CM_WS_TEXT:
        note(&p->ours, 1, payload.ptr, payload.len);
        break;
    case CM_WS_BINARY:
        note(&p->ours, 2, payload.ptr, payload.len);
        break;
    case CM_WS_CLOSED:
        cm_buf_printf(&p->ours, "closed %d %.*s;", cm_ws_close_code(ws), CM_STR_ARG(payload));
        break;
    case CM_WS_FAILED:
        cm_buf_printf(&p->ours, "failed %s;", cm_ws_err(ws)->text);
        break;
    }
}

static void pair_start(struct pair *p, bool we_are_client, cm_usec ping_every)
{
    static const struct wslay_event_callbacks cb = {
        .recv_callback = peer_recv,
        .send_callback = peer_send,
        .genmask_callback = peer_mask,
        .on_msg_recv_callback = peer_msg,
    };
    int fd[2];
    *p = (struct pair){.loop = cm_loop_new()};
    cm_buf_init(&p->ours, 4096);
    cm_buf_init(&p->theirs, 4096);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    p->peer_fd = fd[1];
    struct cm_ws_config cfg = {
        .client = we_are_client, .max_message = 2 << 20, .ping_every = ping_every};
    p->ws = cm_ws_new(cm_sock_stream_new(p->loop, fd[0], NULL, false), &cfg, on_ws, p);
    if (we_are_client)
        assert_int_equal(wslay_event_context_server_init(&p->peer, &cb, p), 0);
    else
        assert_int_equal(wslay_event_context_client_init(&p->peer, &cb, p), 0);
}

static void pair_end(struct pair *p)
{
    cm_ws_free(p->ws);
    cm_loop_turn(p->loop, 0);
    cm_loop_free(p->loop);
    wslay_event_context_free(p->peer);
    close(p->peer_fd);
    cm_buf_done(&p->ours);
    cm_buf_done(&p->theirs);
}

static void turn(struct pair *p)
{
    cm_loop_turn(p->loop, 2 * CM_MSEC);
    if (wslay_event_want_read(p->peer))
        wslay_event_recv(p->peer);
    if (wslay_event_want_write(p->peer))
        wslay_event_send(p->peer);
}

static void expect(struct pair *p, struct cm_buf *who, const char *text)
{
    cm_usec until = cm_monotonic_now() + 10 * CM_SECOND;
    while (strcmp(who->ptr ? who->ptr : "", text) != 0) {
        if (cm_monotonic_now() > until)
            fail_msg("expected %s, saw %s", text, who->ptr ? who->ptr : "");
        turn(p);
    }
}

static void peer_send_msg(struct pair *p, uint8_t opcode, const void *data, size_t len)
{
    struct wslay_event_msg m = {opcode, data, len};
    assert_int_equal(wslay_event_queue_msg(p->peer, &m), 0);
}

static ssize_t five_letters(wslay_event_context_ptr c, uint8_t *buf, size_t len,
                            const union wslay_event_msg_source *src, int *eof, void *ctx)
{
    (void)c;
    (void)ctx;
    const char **at = src->data;
    (void)len;
    buf[0] = (uint8_t) * (*at)++;
    *eof = **at == '\0';
    return 1;
}

static void messages_pass_in_both_roles(void **state)
{
    (void)state;
    size_t big = 1500000;
    CM_AUTOFREE char *data = cm_xmalloc(big);
    memset(data, 'b', big);
    for (int client = 0; client < 2; client++) {
        struct pair p;
        pair_start(&p, client, 0);
        cm_ws_send(p.ws, true, "hello", 5);
        cm_ws_send(p.ws, false, "", 0);
        cm_ws_send(p.ws, false, data, 300);
        cm_ws_send(p.ws, false, data, big);
        expect(&p, &p.theirs, "1:hello;2:;2:300 bytes of b;2:1500000 bytes of b;");

        peer_send_msg(&p, WSLAY_TEXT_FRAME, "gr\xc3\xbc\xc3\x9f", 6);
        peer_send_msg(&p, WSLAY_BINARY_FRAME, data, big);
        const char *letters = "abcde";
        struct wslay_event_fragmented_msg f = {WSLAY_TEXT_FRAME, {.data = &letters}, five_letters};
        assert_int_equal(wslay_event_queue_fragmented_msg(p.peer, &f), 0);
        expect(&p, &p.ours, "1:gr\xc3\xbc\xc3\x9f;2:1500000 bytes of b;1:abcde;");
        pair_end(&p);
    }
}

static void pings_are_answered(void **state)
{
    (void)state;
    struct pair p;
    pair_start(&p, true, 0);
    peer_send_msg(&p, WSLAY_PING, "are you there", 13);
    expect(&p, &p.theirs, "10:are you there;");
    pair_end(&p);
}

static void both_sides_can_close(void **state)
{
    (void)state;
    struct pair p;
    pair_start(&p, true, 0);
    assert_int_equal(wslay_event_queue_close(p.peer, 1000, (const uint8_t *)"done", 4), 0);
    expect(&p, &p.ours, "closed 1000 done;");
    expect(&p, &p.theirs, "close 1000 ;");
    pair_end(&p);

    pair_start(&p, false, 0);
    cm_ws_close(p.ws, CM_WS_SERVER_ERROR, "out of luck");
    expect(&p, &p.theirs, "close 1011 out of luck;");
    expect(&p, &p.ours, "closed 1011 out of luck;");
    pair_end(&p);
}

static void a_lost_peer_fails(void **state)
{
    (void)state;
    struct pair p;
    pair_start(&p, true, 0);
    shutdown(p.peer_fd, SHUT_RDWR);
    expect(&p, &p.ours, "failed the peer closed the connection without a goodbye;");
    pair_end(&p);
}

static void a_silent_peer_fails(void **state)
{
    (void)state;
    struct pair p;
    pair_start(&p, true, 20 * CM_MSEC);
    cm_usec until = cm_monotonic_now() + 10 * CM_SECOND;
    while (!p.ours.len && cm_monotonic_now() < until)
        cm_loop_turn(p.loop, 5 * CM_MSEC); /* the peer does not run */
    assert_non_null(strstr(p.ours.ptr, "silent"));
    pair_end(&p);
}

static void a_living_peer_does_not_fail(void **state)
{
    (void)state;
    struct pair p;
    /* Long enough for this process to be kept waiting meanwhile. */
    pair_start(&p, false, 500 * CM_MSEC);
    expect(&p, &p.theirs, "9:;9:;"); /* the second one says that the first was answered */
    assert_int_equal(p.ours.len, 0);
    pair_end(&p);
}

static void oversized_messages_are_refused_with_1009(void **state)
{
    (void)state;
    struct pair p;
    CM_AUTOFREE char *data = cm_xcalloc(1, 3 << 20);
    pair_start(&p, true, 0);
    peer_send_msg(&p, WSLAY_BINARY_FRAME, data, 3 << 20);
    cm_usec until = cm_monotonic_now() + 10 * CM_SECOND;
    while (!p.theirs.len && cm_monotonic_now() < until)
        turn(&p);
    assert_non_null(strstr(p.theirs.ptr, "close 1009"));
    assert_non_null(strstr(p.ours.ptr, "too large"));
    pair_end(&p);
}

static void freed_inside_its_callback(struct cm_ws *ws, enum cm_ws_event ev, struct cm_str payload,
                                      void *ctx)
{
    (void)ev;
    (void)payload;
    ++*(int *)ctx;
    cm_ws_free(ws);
}

static void a_connection_may_be_freed_inside_its_callback(void **state)
{
    (void)state;
    int fd[2], calls = 0;
    CM_AUTO(cm_loop) loop = cm_loop_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    assert_int_equal(write(fd[1],
                           "\x81\x01"
                           "a\x81\x01"
                           "b",
                           6),
                     6);
    struct cm_ws_config cfg = {.client = true, .ping_every = CM_SECOND};
    cm_ws_new(cm_sock_stream_new(loop, fd[0], NULL, false), &cfg, freed_inside_its_callback,
              &calls);
    cm_ws_free(cm_ws_new(cm_sock_stream_new(loop, dup(fd[1]), NULL, false), &cfg,
                         freed_inside_its_callback, &calls));
    for (int i = 0; i < 10; i++)
        cm_loop_turn(loop, 2 * CM_MSEC);
    assert_int_equal(calls, 1);
    close(fd[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_pass_in_both_roles),
        cmocka_unit_test(pings_are_answered),
        cmocka_unit_test(both_sides_can_close),
        cmocka_unit_test(a_lost_peer_fails),
        cmocka_unit_test(a_silent_peer_fails),
        cmocka_unit_test(a_living_peer_does_not_fail),
        cmocka_unit_test(oversized_messages_are_refused_with_1009),
        cmocka_unit_test(a_connection_may_be_freed_inside_its_callback),
    };
    cm_loop_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
