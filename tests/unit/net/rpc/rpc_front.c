/* The public port of the tests: HTTP heads are read as coderd does, and what crosses the wire is
 * kept. */
#include "rpc_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "net/http/message.h"
#include "net/sock.h"

#define PAIRS 16

/* A connection through the wire: what each side sent. */
struct wire {
    int end[2];
    struct cm_buf sent[2];
};

struct front_fixture {
    struct rpc_server_fixture *server;
    int inner, outer; /* the HTTP server's listener, and the wire's before it */
    struct cm_watch watch;
    pthread_t thread;
    int stop[2];
    unsigned watching;
    struct wire wires[PAIRS];
    size_t n_wires;
    pthread_mutex_t lock; /* guards the wires' contents */
    struct cm_buf plain;
    struct cm_splice *splices[PAIRS]; /* the loop's */
    size_t n_splices;
};

static int listen_any(uint16_t port)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in sa;
    socklen_t len = sizeof(sa);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    return ntohs(sa.sin_port);
}

/* HTTP. */

static void answer(struct cm_stream *s, const char *status)
{
    CM_AUTOFREE char *text =
        cm_xasprintf("HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
    cm_stream_write(s, text, strlen(text));
    cm_stream_finish(s);
}

static void on_spliced(void *ctx, uint64_t up, uint64_t down)
{
    (void)up;
    (void)down;
    *(struct cm_splice **)ctx = NULL;
}

static void on_public(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct front_fixture *f = ctx;
    if (ev != CM_STREAM_DATA) {
        if (ev != CM_STREAM_DRAINED)
            cm_stream_close(s);
        return;
    }
    struct evbuffer *in = cm_stream_input(s);
    size_t n = evbuffer_get_length(in);
    const char *text = (const char *)evbuffer_pullup(in, -1);
    const char *end = memmem(text, n, "\r\n\r\n", 4);
    if (!end)
        return;
    size_t head_len = (size_t)(end - text) + 4;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_http_head h;
    struct cm_err err;
    if (cm_http_head_parse(a, cm_arena_str(a, cm_str_n(text, head_len)), &h, &err) != CM_OK) {
        answer(s, "400 Bad Request");
        return;
    }
    evbuffer_drain(in, head_len);
    cm_stream_consumed(s, head_len);
    if (!cm_str_eq_c(h.path, CM_RPC_PATH)) {
        answer(s, "404 Not Found");
        return;
    }
    const struct cm_rpc_front_head head = {.key = cm_http_header(&h, "sec-websocket-key"),
                                           .protocol = cm_http_header(&h, "sec-websocket-protocol"),
                                           .address = CM_STR("192.0.2.7")};
    assert_true(f->n_splices < PAIRS);
    if (cm_rpc_front_splice(f->server->loop, s, &head, &f->server->private_port, on_spliced,
                            &f->splices[f->n_splices], &f->splices[f->n_splices], &err) == CM_OK)
        f->n_splices++;
    else
        answer(s, "400 Bad Request");
}

static void on_accept(void *ctx, int fd)
{
    struct front_fixture *f = ctx;
    int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (got >= 0)
        cm_stream_set_fn(cm_sock_stream_new(f->server->loop, got, NULL, true), on_public, f);
}

static void watch(void *arg)
{
    struct front_fixture *f = arg;
    cm_watch_start(&f->watch, f->server->loop, f->inner, false, on_accept, f);
    __atomic_store_n(&f->watching, 1, __ATOMIC_SEQ_CST);
}

/* The wire. */

static void wire_open(struct front_fixture *f)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(port_of(f->inner)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int a = accept(f->outer, NULL, NULL), b = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (f->n_wires == PAIRS || connect(b, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
        close(a);
        close(b);
        return;
    }
    struct wire *w = &f->wires[f->n_wires++];
    *w = (struct wire){.end = {a, b}, .sent = {CM_BUF_INIT(16 << 20), CM_BUF_INIT(16 << 20)}};
}

static void wire_move(struct front_fixture *f, struct wire *w, int side)
{
    char buf[65536];
    ssize_t n = read(w->end[side], buf, sizeof(buf));
    if (n > 0) {
        pthread_mutex_lock(&f->lock);
        cm_buf_append(&w->sent[side], buf, (size_t)n);
        pthread_mutex_unlock(&f->lock);
    }
    for (ssize_t at = 0, m; at < n; at += m) {
        m = send(w->end[1 - side], buf + at, (size_t)(n - at), MSG_NOSIGNAL);
        if (m <= 0)
            n = 0;
    }
    if (n <= 0) {
        for (int i = 0; i < 2; i++) {
            close(w->end[i]);
            w->end[i] = -1;
        }
    }
}

static void *wire_main(void *arg)
{
    struct front_fixture *f = arg;
    for (;;) {
        struct pollfd p[2 + 2 * PAIRS] = {{f->stop[0], POLLIN, 0}, {f->outer, POLLIN, 0}};
        size_t n = f->n_wires;
        for (size_t i = 0; i < n; i++)
            for (int side = 0; side < 2; side++)
                p[2 + 2 * i + (size_t)side] = (struct pollfd){f->wires[i].end[side], POLLIN, 0};
        poll(p, 2 + 2 * n, -1);
        if (p[0].revents)
            return NULL;
        if (p[1].revents)
            wire_open(f);
        for (size_t i = 0; i < 2 * n; i++)
            if (p[2 + i].revents && f->wires[i / 2].end[i % 2] >= 0)
                wire_move(f, &f->wires[i / 2], (int)(i % 2));
    }
}

struct front_fixture *front_start(struct rpc_server_fixture *server, uint16_t port)
{
    struct front_fixture *f = cm_xcalloc(1, sizeof(*f));
    f->server = server;
    f->inner = listen_any(0);
    f->outer = listen_any(port);
    f->plain = CM_BUF_INIT(64 << 20);
    pthread_mutex_init(&f->lock, NULL);
    assert_int_equal(pipe(f->stop), 0);
    cm_loop_post(server->loop, watch, f);
    while (!__atomic_load_n(&f->watching, __ATOMIC_SEQ_CST))
        sched_yield();
    assert_int_equal(pthread_create(&f->thread, NULL, wire_main, f), 0);
    return f;
}

uint16_t front_port(const struct front_fixture *f)
{
    return port_of(f->outer);
}

/* Appends the payloads of WebSocket frames, unmasked: the mask hides nothing from whoever is on the
 * way. */
static void unframe(struct cm_buf *out, struct cm_str raw)
{
    const char *body = raw.len ? memmem(raw.ptr, raw.len, "\r\n\r\n", 4) : NULL;
    if (!body)
        return;
    cm_buf_append(out, raw.ptr, (size_t)(body - raw.ptr)); /* the head */
    const uint8_t *p = (const uint8_t *)body + 4, *end = (const uint8_t *)raw.ptr + raw.len;
    while (end - p >= 2) {
        bool masked = p[1] & 0x80;
        uint64_t n = p[1] & 0x7f;
        size_t more = n == 126 ? 2 : n == 127 ? 8 : 0;
        p += 2;
        if (more)
            n = 0;
        for (; more && p < end; more--)
            n = n << 8 | *p++;
        uint8_t mask[4] = {0};
        if (masked && end - p >= 4) {
            memcpy(mask, p, 4);
            p += 4;
        }
        for (uint64_t i = 0; i < n && p < end; i++, p++)
            cm_buf_char(out, (char)(*p ^ mask[i % 4]));
    }
}

struct cm_str front_capture(struct front_fixture *f)
{
    pthread_mutex_lock(&f->lock);
    cm_buf_reset(&f->plain);
    for (size_t i = 0; i < f->n_wires; i++) {
        unframe(&f->plain, cm_buf_view(&f->wires[i].sent[0]));
        unframe(&f->plain, cm_buf_view(&f->wires[i].sent[1]));
    }
    pthread_mutex_unlock(&f->lock);
    assert_false(f->plain.failed);
    return cm_buf_view(&f->plain);
}

/* After the server's loop has ended. */
void front_stop(struct front_fixture *f)
{
    assert_int_equal(write(f->stop[1], "", 1), 1);
    pthread_join(f->thread, NULL);
    cm_watch_stop(&f->watch);
    for (size_t i = 0; i < f->n_splices; i++)
        cm_splice_abort(f->splices[i]);
    for (size_t i = 0; i < f->n_wires; i++) {
        for (int side = 0; side < 2; side++) {
            if (f->wires[i].end[side] >= 0)
                close(f->wires[i].end[side]);
            cm_buf_done(&f->wires[i].sent[side]);
        }
    }
    close(f->inner);
    close(f->outer);
    close(f->stop[0]);
    close(f->stop[1]);
    cm_buf_done(&f->plain);
    pthread_mutex_destroy(&f->lock);
    cm_free(f);
}
