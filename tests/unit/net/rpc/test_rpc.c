/* Calls over the unix socket. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include "rpc_fixture.h"

#define SOON (10 * CM_SECOND)

static void echo_over_the_unix_socket(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a;
    struct stat st;
    assert_int_equal(stat(b->s.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    call_now(&b->c, "test.Echo", "name", "value", SOON, &a);
    assert_int_equal(a.code, CM_OK);
    assert_string_equal(a.name, "name");
    assert_string_equal(a.value, "value");
    assert_int_equal(b->c.ready, 1);
    assert_int_equal(cm_rpc_client_api_version(b->c.client), 2);
    assert_int_equal(b->s.hellos, 1);
    assert_int_equal(b->s.checks, 1);
    assert_string_equal(b->s.last_name, "daemon-1");
    assert_int_equal(b->s.last_tags, 2);
    assert_string_equal(b->s.last_address, "");
}

static void calls_run_side_by_side(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a[300];
    for (size_t i = 0; i < CM_COUNT_OF(a); i++) {
        char value[16];
        snprintf(value, sizeof(value), "%zu", i);
        call(&b->c, i < 4 ? "test.Together" : "test.Echo", "n", value, SOON, &a[i]);
    }
    for (size_t i = 0; i < CM_COUNT_OF(a); i++) {
        char value[16];
        snprintf(value, sizeof(value), "%zu", i);
        until(&b->c, &a[i].done, 1);
        assert_int_equal(a[i].code, CM_OK);
        assert_string_equal(a[i].value, value);
    }
    assert_int_equal(b->s.max_at_once, 4);
    assert_int_equal(b->s.echoes, CM_COUNT_OF(a));
}

static void refusals_carry_code_and_text(void **state)
{
    static const struct {
        const char *method, *value;
        enum cm_code code;
        const char *text;
    } rows[] = {
        {"test.Nothing", "", CM_UNIMPLEMENTED,
         "test.Nothing: this server does not know the method test.Nothing"},
        {"test.AgentsOnly", "", CM_DENIED,
         "test.AgentsOnly: the method test.AgentsOnly is not for this kind of caller"},
        {"test.Refuse", "", CM_CONFLICT, "test.Refuse: dev exists already"},
        {"test.Refuse", "internal", CM_INTERNAL,
         "test.Refuse: internal error; the server's log has the cause"},
        {"test.Large", "", CM_TOO_LARGE, "has 1048587 bytes, but may have 1040384 at most"},
    };
    struct rpc_pair *b = *state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct answer a;
        call_now(&b->c, rows[i].method, "dev", rows[i].value, SOON, &a);
        assert_int_equal(a.code, rows[i].code);
        if (!strstr(a.err, rows[i].text))
            fail_msg("%s", a.err);
    }
}

static void large_requests_end_at_the_client(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a;
    char *value = cm_xmalloc(CM_RPC_MESSAGE_MAX + 1);
    memset(value, 'y', CM_RPC_MESSAGE_MAX);
    value[CM_RPC_MESSAGE_MAX] = '\0';
    call_now(&b->c, "test.Echo", "n", value, SOON, &a);
    assert_int_equal(a.code, CM_TOO_LARGE);
    assert_int_equal(b->s.echoes, 0);
    value[CM_RPC_CHUNK] = '\0';
    call_now(&b->c, "test.Echo", "n", value, SOON, &a);
    assert_int_equal(a.code, CM_OK);
    assert_int_equal(a.value_len, CM_RPC_CHUNK);
    cm_free(value);
}

/* Whoever sends more than a message may have loses the connection, and nobody else does. */
static void oversized_bytes_close_the_connection(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a;
    struct cm_rpc_stats st = {0};
    nng_socket sock;
    nng_msg *msg = NULL;
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    sock = raw_dial(&b->s, b->s.private_port.secret);
    assert_int_equal(nng_msg_alloc(&msg, CM_RPC_MESSAGE_MAX + 4096), 0);
    assert_int_equal(nng_sendmsg(sock, msg, 0), 0);
    assert_int_equal(nng_recvmsg(sock, &msg, 0), NNG_ECONNRESET);
    nng_close(sock);
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    assert_int_equal(a.code, CM_OK);
    assert_int_equal(b->c.ready, 1);
    cm_rpc_server_stats(b->s.server, &st);
    assert_int_equal(st.requests, 3); /* Hello and two calls */
}

static void garbage_is_answered(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {{"", 0},
                {"\xff\xff\xff", 3},
                {"hello", 5},
                {"\x08\x01\x12\x03"
                 "a.b\x1a\x01"
                 "x",
                 11}};
    struct rpc_pair *b = *state;
    nng_socket sock;
    sock = raw_dial(&b->s, b->s.private_port.secret);
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        nng_msg *msg = NULL;
        assert_int_equal(nng_msg_alloc(&msg, 0), 0);
        assert_int_equal(nng_msg_append(msg, rows[i].bytes, rows[i].len), 0);
        assert_int_equal(nng_sendmsg(sock, msg, 0), 0);
        assert_int_equal(nng_recvmsg(sock, &msg, 0), 0);
        assert_true(nng_msg_len(msg) > 4);
        nng_msg_free(msg);
    }
    nng_close(sock);
}

static void silence_ends_at_the_deadline(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a;
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    cm_usec start = cm_monotonic_now();
    call_now(&b->c, "test.Slow", "n", "v", 300 * CM_MSEC, &a);
    assert_int_equal(a.code, CM_TIMEOUT);
    assert_string_equal(a.err, "test.Slow: no answer within 300 ms");
    assert_true(cm_monotonic_now() - start >= 300 * CM_MSEC);
    __atomic_store_n(&b->s.gate, 1, __ATOMIC_SEQ_CST);
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    assert_int_equal(a.code, CM_OK);
}

static void wait_until_parked(struct rpc_pair *b, unsigned n)
{
    cm_usec give_up = cm_monotonic_now() + SOON;
    struct cm_rpc_stats st = {0};
    while (st.parked != n && cm_monotonic_now() < give_up) {
        cm_loop_turn(b->c.loop, 2 * CM_MSEC);
        cm_rpc_server_stats(b->s.server, &st);
    }
    assert_int_equal(st.parked, n);
}

static void parked_requests_cost_no_thread_or_context(void **state)
{
    struct rpc_pair *b = *state;
    struct answer parked[60], a; /* of 16 contexts, 4 threads, and 64 per connection */
    uint64_t token = 0;
    for (size_t i = 0; i < CM_COUNT_OF(parked); i++)
        call(&b->c, "test.Wait", "n", "v", SOON, &parked[i]);
    wait_until_parked(b, CM_COUNT_OF(parked));
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    assert_int_equal(a.code, CM_OK);
    /* One is resumed: one answer. A second time for the same token changes nothing. */
    __atomic_store_n(&b->s.open, 1, __ATOMIC_SEQ_CST);
    token = __atomic_load_n(&b->s.token, __ATOMIC_SEQ_CST);
    cm_rpc_resume(b->s.server, token);
    cm_rpc_resume(b->s.server, token);
    cm_rpc_resume(b->s.server, 0);
    wait_until_parked(b, CM_COUNT_OF(parked) - 1);
    /* The rest is told to answer now. */
    server_drain(&b->s);
    unsigned resumed = 0, deadline = 0;
    for (size_t i = 0; i < CM_COUNT_OF(parked); i++) {
        until(&b->c, &parked[i].done, 1);
        assert_int_equal(parked[i].code, CM_OK);
        resumed += strcmp(parked[i].value, "resumed") == 0;
        deadline += strcmp(parked[i].value, "deadline") == 0;
    }
    assert_int_equal(resumed, 1);
    assert_int_equal(deadline, CM_COUNT_OF(parked) - 1);
    assert_int_equal(b->s.gone, 0);
}

static void parked_requests_answer_before_the_caller_gives_up(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a;
    call_now(&b->c, "test.Wait", "n", "v", 3 * CM_SECOND, &a);
    assert_int_equal(a.code, CM_OK);
    assert_string_equal(a.value, "deadline");
}

static void parked_requests_learn_that_the_caller_is_gone(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a;
    call(&b->c, "test.Wait", "n", "v", SOON, &a);
    wait_until_parked(b, 1);
    cm_rpc_client_reconnect(b->c.client);
    until(&b->c, &b->s.gone, 1);
    /* It was sent again with the new connection. */
    wait_until_parked(b, 1);
    __atomic_store_n(&b->s.open, 1, __ATOMIC_SEQ_CST);
    cm_rpc_resume(b->s.server, __atomic_load_n(&b->s.token, __ATOMIC_SEQ_CST));
    until(&b->c, &a.done, 1);
    assert_int_equal(a.code, CM_OK);
    assert_string_equal(a.value, "resumed");
    assert_int_equal(b->s.gone, 1);
    assert_int_equal(b->s.hellos, 2);
}

static void on_first(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    (void)reply;
    (void)err;
    struct answer *a = ctx;
    a->code = code;
    a->done++;
}

static uint64_t call_with(struct rpc_pair *b, const char *method,
                          const struct cm_rpc_call_opts *opts, struct answer *a)
{
    Coder__Provisioner__V1__Pair p = CODER__PROVISIONER__V1__PAIR__INIT;
    p.name = (char[]){"n"};
    p.value = (char[]){"v"};
    *a = (struct answer){0};
    return cm_rpc_call(b->c.client, method, &p.base, &coder__provisioner__v1__pair__descriptor,
                       opts, on_first, a);
}

static void a_restart_keeps_the_request_and_its_id(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a, once;
    const struct cm_rpc_call_opts opts = {.deadline = SOON, .request_id = {{1, 2, 3, 4}}};
    const struct cm_rpc_call_opts only_once = {.deadline = SOON, .once = true};
    call_with(b, "test.Slow", &opts, &a);
    call_with(b, "test.Slow", &only_once, &once);
    until(&b->c, &b->s.at_once, 2);
    __atomic_store_n(&b->s.gate, 1, __ATOMIC_SEQ_CST);
    server_stop(&b->s);
    memset(&b->s.last_id, 0, sizeof(b->s.last_id));
    until(&b->c, &b->c.offline, 1);
    until(&b->c, &once.done, 1);
    assert_int_equal(once.code, CM_UNAVAILABLE);
    assert_int_equal(a.done, 0);
    /* Another replica, even one whose keys are different. */
    const struct server_options o = {.key_byte = 9};
    server_start(&b->s, &o);
    until(&b->c, &a.done, 1);
    assert_int_equal(a.code, CM_OK);
    assert_memory_equal(b->s.last_id.b, opts.request_id.b, 16);
    assert_int_equal(b->c.ready, 2);
}

/* Turns the client's loop until so many requests are in work. */
static void until_busy(struct rpc_pair *b, unsigned n)
{
    cm_usec end = cm_monotonic_now() + SOON;
    while (cm_rpc_server_busy(b->s.server) != n && cm_monotonic_now() < end)
        cm_loop_turn(b->c.loop, CM_MSEC);
    assert_int_equal(cm_rpc_server_busy(b->s.server), n);
}

static void a_drain_ends_what_is_in_work_and_refuses_the_rest(void **state)
{
    struct rpc_pair *b = *state;
    struct answer slow, parked, once, later;
    const struct cm_rpc_call_opts opts = {.deadline = SOON};
    const struct cm_rpc_call_opts only_once = {.deadline = SOON, .once = true};
    call_with(b, "test.Slow", &opts, &slow);
    call(&b->c, "test.Wait", "n", "v", SOON, &parked);
    until(&b->c, &b->s.at_once, 1);
    wait_until_parked(b, 1);
    until_busy(b, 2);
    server_drain(&b->s);
    until(&b->c, &parked.done, 1);
    assert_string_equal(parked.value, "deadline");
    until_busy(b, 1);
    unsigned echoes = b->s.echoes;
    call_with(b, "test.Echo", &opts, &later);
    call_with(b, "test.Echo", &only_once, &once);
    until(&b->c, &once.done, 1);
    assert_int_equal(once.code, CM_UNAVAILABLE);
    assert_int_equal(b->s.echoes, echoes);
    assert_int_equal(access(b->s.path, F_OK), -1); /* another server may take its place */
    __atomic_store_n(&b->s.gate, 1, __ATOMIC_SEQ_CST);
    until(&b->c, &slow.done, 1);
    assert_int_equal(slow.code, CM_OK);
    until_busy(b, 0);
    assert_int_equal(later.done, 0);
    server_stop(&b->s);
    server_start(&b->s, NULL);
    until(&b->c, &later.done, 1);
    assert_int_equal(later.code, CM_OK);
}

static void tickets_are_renewed_when_they_expire(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a;
    server_stop(&b->s);
    const struct server_options o = {.ticket_life = 1500 * CM_MSEC};
    server_start(&b->s, &o);
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    unsigned hellos = b->s.hellos, echoes = b->s.echoes;
    cm_usec end = cm_monotonic_now() + 2 * CM_SECOND;
    while (cm_monotonic_now() < end)
        cm_loop_turn(b->c.loop, 100 * CM_MSEC);
    struct answer many[20];
    for (size_t i = 0; i < CM_COUNT_OF(many); i++)
        call(&b->c, "test.Echo", "n", "v", SOON, &many[i]);
    for (size_t i = 0; i < CM_COUNT_OF(many); i++) {
        until(&b->c, &many[i].done, 1);
        assert_int_equal(many[i].code, CM_OK);
    }
    assert_int_equal(b->s.hellos, hellos + 1);
    assert_int_equal(b->s.echoes, echoes + CM_COUNT_OF(many));
}

static void a_revoked_caller_is_refused_at_once(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a;
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    assert_int_equal(a.code, CM_OK);
    __atomic_store_n(&b->s.revoked, 1, __ATOMIC_SEQ_CST);
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    assert_int_equal(a.code, CM_UNAUTHENTICATED);
    assert_string_equal(a.err, "test.Echo: the key was deleted");
}

static void without_a_server_the_error_says_so(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a;
    server_stop(&b->s);
    call_now(&b->c, "test.Echo", "n", "v", 300 * CM_MSEC, &a);
    assert_int_equal(a.code, CM_UNAVAILABLE);
    if (!strstr(a.err, "test.Echo: connect to ipc:///tmp/cm-rpc-") ||
        !strstr(a.err, "No such file or directory"))
        fail_msg("%s", a.err);
    assert_int_equal(cm_rpc_client_state(b->c.client), CM_RPC_OFFLINE);
}

static void canceled_calls_stay_silent(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a, other;
    uint64_t id = call(&b->c, "test.Slow", "n", "v", SOON, &a);
    until(&b->c, &b->s.at_once, 1);
    cm_rpc_cancel(b->c.client, id);
    cm_rpc_cancel(b->c.client, 12345);
    __atomic_store_n(&b->s.gate, 1, __ATOMIC_SEQ_CST);
    until(&b->c, &b->s.echoes, 1);
    call_now(&b->c, "test.Echo", "n", "v", SOON, &other);
    assert_int_equal(other.code, CM_OK);
    assert_int_equal(a.done, 0);
    /* What is under way when the client ends is told. */
    client_stop(&b->c);
    client_start(&b->c, AS_BUILTIN, b->s.url);
    call(&b->c, "test.Wait", "n", "v", SOON, &a);
    wait_until_parked(b, 1);
    client_stop(&b->c);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.code, CM_CANCELED);
    client_start(&b->c, AS_BUILTIN, b->s.url);
}

/* A full pool answers at once, and the client tries again by itself. */
static void a_busy_server_is_asked_again(void **state)
{
    struct rpc_pair *b = *state;
    struct answer slow[2], a[6];
    server_stop(&b->s);
    b->s.gate = 0;
    const struct server_options o = {.threads = 1, .queue_max = 2};
    server_start(&b->s, &o);
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a[0]);
    b->s.at_once = 0;
    call(&b->c, "test.Slow", "n", "v", SOON, &slow[0]);
    until(&b->c, &b->s.at_once, 1);
    struct cm_rpc_stats before, st;
    cm_rpc_server_stats(b->s.server, &before);
    for (size_t i = 0; i < CM_COUNT_OF(a); i++)
        call(&b->c, "test.Echo", "n", "v", SOON, &a[i]);
    cm_usec give_up = cm_monotonic_now() + SOON;
    do { /* until some were sent twice */
        cm_loop_turn(b->c.loop, 5 * CM_MSEC);
        cm_rpc_server_stats(b->s.server, &st);
    } while (st.requests < before.requests + 2 * CM_COUNT_OF(a) && cm_monotonic_now() < give_up);
    __atomic_store_n(&b->s.gate, 1, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < CM_COUNT_OF(a); i++) {
        until(&b->c, &a[i].done, 1);
        assert_int_equal(a[i].code, CM_OK);
    }
    until(&b->c, &slow[0].done, 1);
    assert_int_equal(slow[0].code, CM_OK);
}

static void silent_peers_are_found(void **state)
{
    struct rpc_pair *b = *state;
    struct answer a;
    struct cm_rpc_stats st = {0};
    server_stop(&b->s);
    const struct server_options o = {.heartbeat = CM_SECOND};
    server_start(&b->s, &o);
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    unsigned ready = b->c.ready;
    /* A connection that never says anything is dropped; the client's own lives on by its heartbeat.
     */
    nng_socket sock;
    sock = raw_dial(&b->s, b->s.private_port.secret);
    cm_usec give_up = cm_monotonic_now() + 20 * CM_SECOND;
    bool had_two = false;
    do {
        cm_loop_turn(b->c.loop, 20 * CM_MSEC);
        cm_rpc_server_stats(b->s.server, &st);
        had_two = had_two || st.connections == 2;
    } while ((!had_two || st.connections != 1) && cm_monotonic_now() < give_up);
    nng_close(sock);
    assert_true(had_two);
    assert_int_equal(st.connections, 1);
    assert_int_equal(b->c.ready, ready);
    assert_true(st.requests >= 4); /* Hello, echo, heartbeats */
}

/* At whatever point of the beginning they go. */
static void peers_that_vanish_do_no_harm(void **state)
{
    static const char *const heads[] = {
        "", "GET", "GET /rpc HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /rpc HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "
        "Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n\r\n"};
    struct rpc_pair *b = *state;
    struct answer a;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    strcpy(sa.sun_path, b->s.path);
    for (size_t i = 0; i < 200; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        assert_int_equal(send(fd, heads[i % 4], strlen(heads[i % 4]), MSG_NOSIGNAL),
                         strlen(heads[i % 4]));
        close(fd);
    }
    cm_rpc_client_reconnect(b->c.client);
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    assert_int_equal(a.code, CM_OK);
}

struct waiting {
    struct rpc_pair *b;
    unsigned done;
    enum cm_code code, bad;
    char value[32], err[CM_ERR_TEXT_MAX];
};

static void *wait_main(void *arg)
{
    struct waiting *w = arg;
    CM_AUTO(cm_arena) a = cm_arena_new();
    Coder__Provisioner__V1__Pair p = CODER__PROVISIONER__V1__PAIR__INIT;
    const ProtobufCMessageDescriptor *d = &coder__provisioner__v1__pair__descriptor;
    const struct cm_rpc_call_opts opts = {.deadline = SOON};
    struct cm_err err;
    const void *reply = NULL;
    p.name = (char[]){"n"};
    p.value = (char[]){"from a thread"};
    w->code = cm_rpc_call_wait(w->b->c.client, "test.Echo", &p.base, d, &opts, a, &reply, &err);
    if (w->code == CM_OK)
        snprintf(w->value, sizeof(w->value), "%s",
                 ((const Coder__Provisioner__V1__Pair *)reply)->value);
    w->bad = cm_rpc_call_wait(w->b->c.client, "test.Refuse", &p.base, d, &opts, a, &reply, &err);
    snprintf(w->err, sizeof(w->err), "%s", err.text);
    __atomic_store_n(&w->done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void threads_may_wait(void **state)
{
    struct rpc_pair *b = *state;
    struct waiting w[4];
    pthread_t t[4];
    for (size_t i = 0; i < 4; i++) {
        w[i] = (struct waiting){.b = b};
        assert_int_equal(pthread_create(&t[i], NULL, wait_main, &w[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        until(&b->c, &w[i].done, 1);
        pthread_join(t[i], NULL);
        assert_int_equal(w[i].code, CM_OK);
        assert_string_equal(w[i].value, "from a thread");
        assert_int_equal(w[i].bad, CM_CONFLICT);
        assert_string_equal(w[i].err, "test.Refuse: n exists already");
    }
}

int main(void)
{
    cm_loop_global_init();
    signal(SIGPIPE, SIG_IGN); /* as every program of the tree does */
#define TEST(f) cmocka_unit_test_setup_teardown(f, rpc_pair_setup, rpc_pair_teardown)
    const struct CMUnitTest tests[] = {
        TEST(echo_over_the_unix_socket),
        TEST(calls_run_side_by_side),
        TEST(refusals_carry_code_and_text),
        TEST(large_requests_end_at_the_client),
        TEST(oversized_bytes_close_the_connection),
        TEST(garbage_is_answered),
        TEST(silence_ends_at_the_deadline),
        TEST(parked_requests_cost_no_thread_or_context),
        TEST(parked_requests_answer_before_the_caller_gives_up),
        TEST(parked_requests_learn_that_the_caller_is_gone),
        TEST(a_restart_keeps_the_request_and_its_id),
        TEST(a_drain_ends_what_is_in_work_and_refuses_the_rest),
        TEST(tickets_are_renewed_when_they_expire),
        TEST(a_revoked_caller_is_refused_at_once),
        TEST(without_a_server_the_error_says_so),
        TEST(canceled_calls_stay_silent),
        TEST(a_busy_server_is_asked_again),
        TEST(silent_peers_are_found),
        TEST(peers_that_vanish_do_no_harm),
        TEST(threads_may_wait),
    };
    int rv = cmocka_run_group_tests_name("rpc", tests, NULL, NULL);
    cm_rpc_global_done();
    return rv;
}
