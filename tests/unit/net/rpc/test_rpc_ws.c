/* Calls through the public port: the front, the forwarder, the PSK, and what somebody on the way
 * can see and do. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include "base/enc.h"
#include "envelope.pb-c.h"
#include "rpc_fixture.h"

#define SOON  (10 * CM_SECOND)
#define PLAIN "correct-horse-battery-staple"

struct both {
    struct rpc_server_fixture s;
    struct front_fixture *front;
    struct client_fixture c;
    char url[64];
};

static int setup(void **state)
{
    struct both *b = cm_xcalloc(1, sizeof(*b));
    server_start(&b->s, NULL);
    b->front = front_start(&b->s, 0);
    snprintf(b->url, sizeof(b->url), "http://127.0.0.1:%u", front_port(b->front));
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct both *b = *state;
    if (b->c.client)
        client_stop(&b->c);
    cm_loop_thread_join(b->s.loop);
    front_stop(b->front);
    server_cleanup(&b->s);
    cm_free(b);
    return 0;
}

static bool seen(struct both *b, const char *text)
{
    return cm_str_contains(front_capture(b->front), cm_str(text));
}

static void an_agent_calls_through_the_public_port(void **state)
{
    struct both *b = *state;
    struct answer a;
    client_start(&b->c, AS_AGENT, b->url);
    call_now(&b->c, "test.AgentsOnly", "n", PLAIN, SOON, &a);
    assert_int_equal(a.code, CM_OK);
    assert_string_equal(a.value, PLAIN);
    assert_string_equal(b->s.last_address, "192.0.2.7");
    assert_int_equal(cm_rpc_client_api_version(b->c.client), 2);
    /* What a balancer sees: nng's subprotocol, and here the payload, but neither of the listener's
     * headers. */
    assert_true(seen(b, "rep.sp.nanomsg.org"));
    assert_true(seen(b, PLAIN));
    assert_false(seen(b, b->s.private_port.secret));
    assert_false(seen(b, "Coder-Rpc"));
    /* The largest that fits, in both directions. */
    char *value = cm_xmalloc(CM_RPC_PAYLOAD_MAX);
    memset(value, 'y', CM_RPC_PAYLOAD_MAX - 100);
    value[CM_RPC_PAYLOAD_MAX - 100] = '\0';
    call_now(&b->c, "test.Echo", "n", value, SOON, &a);
    assert_int_equal(a.code, CM_OK);
    assert_int_equal(a.value_len, CM_RPC_PAYLOAD_MAX - 100);
    cm_free(value);
}

static void a_provisioner_s_payloads_are_sealed_end_to_end(void **state)
{
    struct both *b = *state;
    struct answer a;
    client_start(&b->c, AS_EXTERNAL, b->url);
    call_now(&b->c, "test.Echo", "n", PLAIN, SOON, &a);
    assert_int_equal(a.code, CM_OK);
    assert_string_equal(a.value, PLAIN);
    assert_string_equal(b->s.last_name, "daemon-1");
    assert_string_equal(b->s.last_key, PSK_NAME);
    assert_int_equal(b->s.last_tags, 2);
    /* Errors are sealed too. */
    call_now(&b->c, "test.Refuse", "a-workspace-of-mine", "", SOON, &a);
    assert_int_equal(a.code, CM_CONFLICT);
    assert_string_equal(a.err, "test.Refuse: a-workspace-of-mine exists already");
    assert_true(seen(b, "rep.sp.nanomsg.org"));
    assert_true(seen(b, "test.Echo")); /* the capture sees what is not sealed: method names */
    assert_false(seen(b, PLAIN));
    assert_false(seen(b, "horse-battery"));
    assert_false(seen(b, "of-mine"));
    assert_false(seen(b, "daemon-1"));
    assert_false(seen(b, "a100"));
    assert_false(seen(b, PSK_TEXT));
    uint8_t key[CM_PSK_KEY];
    cm_psk_key_from_text(CM_STR(PSK_TEXT), key);
    assert_false(cm_str_contains(front_capture(b->front), cm_str_n(key, sizeof(key))));
}

static void sealed_sessions_survive_new_tickets(void **state)
{
    struct both *b = *state;
    struct answer parked, a;
    cm_loop_thread_join(b->s.loop);
    front_stop(b->front);
    server_stop(&b->s);
    const struct server_options o = {.ticket_life = 1500 * CM_MSEC};
    server_start(&b->s, &o);
    b->front = front_start(&b->s, 0);
    snprintf(b->url, sizeof(b->url), "http://127.0.0.1:%u", front_port(b->front));
    client_start(&b->c, AS_EXTERNAL, b->url);
    b->s.token = b->s.open = 0;
    call(&b->c, "test.Wait", "n", "v", SOON, &parked);
    cm_usec end =
        cm_monotonic_now() + 2500 * CM_MSEC; /* beyond the ticket's life, by the real clock */
    while (cm_monotonic_now() < end)
        cm_loop_turn(b->c.loop, 50 * CM_MSEC);
    unsigned hellos = b->s.hellos;
    call_now(&b->c, "test.Echo", "n", PLAIN, SOON, &a);
    assert_int_equal(a.code, CM_OK);
    assert_int_equal(b->s.hellos, hellos + 1);
    /* The answer to what was asked under the old secret is still understood. */
    __atomic_store_n(&b->s.open, 1, __ATOMIC_SEQ_CST);
    cm_rpc_resume(b->s.server, __atomic_load_n(&b->s.token, __ATOMIC_SEQ_CST));
    until(&b->c, &parked.done, 1);
    assert_int_equal(parked.code, CM_OK);
    assert_string_equal(parked.value, "resumed");
}

static void refused_callers_are_told_why(void **state)
{
    static const struct {
        enum client_as as;
        const char *name, *text, *want;
    } rows[] = {
        {AS_EXTERNAL, PSK_NAME, "not-the-right-key-at-all-x",
         "rpc.Hello: refused: wrong key or unknown key name"},
        {AS_EXTERNAL, "nobody", PSK_TEXT, "rpc.Hello: refused: wrong key or unknown key name"},
        {AS_BUILTIN, NULL, NULL,
         "rpc.Hello: built-in provisioners come by the private socket only"},
    };
    struct both *b = *state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct answer a;
        if (rows[i].name)
            client_start_psk(&b->c, b->url, rows[i].name, rows[i].text);
        else
            client_start(&b->c, rows[i].as, b->url);
        call_now(&b->c, "test.Echo", "n", "v", SOON,
                 &a); /* ends with the refusal, not with the deadline */
        if (!strstr(a.err, rows[i].want))
            fail_msg("%s", a.err);
        assert_int_equal(b->c.refused, 1);
        assert_int_equal(b->c.ready, 0);
        assert_int_equal(cm_rpc_client_state(b->c.client), CM_RPC_REFUSED);
        client_stop(&b->c);
        b->c.client = NULL;
    }
    assert_int_equal(b->s.echoes, 0);
}

static void a_wrong_token_is_refused_and_a_right_one_taken(void **state)
{
    struct both *b = *state;
    struct answer a;
    client_start(&b->c, AS_AGENT, b->url);
    cm_rpc_client_set_token(b->c.client, CM_STR("fd9cd5a4-7f6c-4a0e-9a60-000000000000"));
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    assert_int_equal(a.code, CM_UNAUTHENTICATED);
    assert_non_null(strstr(a.err, "no agent has this token"));
    cm_rpc_client_set_token(b->c.client, CM_STR(AGENT_TOKEN));
    cm_rpc_client_reconnect(b->c.client);
    call_now(&b->c, "test.Echo", "n", "v", SOON, &a);
    assert_int_equal(a.code, CM_OK);
}

/* Raw REQ clients. */

/* Yields the answer's body, or the error. */
static int exchange(nng_socket sock, const ProtobufCMessage *m, struct cm_buf *out)
{
    nng_msg *msg = NULL;
    assert_int_equal(nng_msg_alloc(&msg, protobuf_c_message_get_packed_size(m)), 0);
    protobuf_c_message_pack(m, nng_msg_body(msg));
    int rv = nng_sendmsg(sock, msg, 0);
    if (rv != 0)
        nng_msg_free(msg);
    else
        rv = nng_recvmsg(sock, &msg, 0);
    if (rv != 0)
        return rv;
    cm_buf_reset(out);
    cm_buf_append(out, nng_msg_body(msg), nng_msg_len(msg));
    nng_msg_free(msg);
    return 0;
}

static void the_private_port_wants_its_secret(void **state)
{
    static const char *const wrong[] = {NULL, "", "0123456789abcdefghijklmnopqrstuv"};
    struct both *b = *state;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(65536);
    struct cm_rpc_stats st = {0};
    for (size_t i = 0; i < CM_COUNT_OF(wrong); i++) {
        unsigned before = (unsigned)st.refused;
        cm_usec give_up = cm_monotonic_now() + SOON;
        nng_socket sock = raw_dial(&b->s, wrong[i]);
        do
            cm_rpc_server_stats(b->s.server, &st);
        while (st.refused == before && cm_monotonic_now() < give_up);
        assert_true(st.refused > before);
        assert_int_equal(st.connections, 0);
        nng_close(sock);
    }
    Coder__Rpc__V1__Envelope e = CODER__RPC__V1__ENVELOPE__INIT;
    e.version = 1;
    e.method = (char[]){"rpc.Hello"};
    e.request_id = (ProtobufCBinaryData){16, (uint8_t[16]){1}};
    nng_socket sock = raw_dial(&b->s, b->s.private_port.secret);
    assert_int_equal(exchange(sock, &e.base, &out), 0);
    cm_rpc_server_stats(b->s.server, &st);
    assert_int_equal(st.requests, 1);
    nng_close(sock);
}

static void send_hello(nng_socket sock, const Coder__Rpc__V1__HelloRequest *m, struct cm_buf *out)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    Coder__Rpc__V1__Envelope e = CODER__RPC__V1__ENVELOPE__INIT;
    struct cm_str payload;
    struct cm_err err;
    assert_int_equal(cm_rpc_pack(a, &m->base, &payload, &err), CM_OK);
    e.version = 1;
    e.method = (char[]){"rpc.Hello"};
    e.request_id = (ProtobufCBinaryData){16, (uint8_t[16]){1}};
    e.has_payload = 1;
    e.payload = cm_rpc_bytes(a, payload);
    assert_int_equal(exchange(sock, &e.base, out), 0);
}

static void say_hello(nng_socket sock, unsigned step, ProtobufCBinaryData id, struct cm_str data,
                      struct cm_buf *out)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    Coder__Rpc__V1__HelloRequest m = CODER__RPC__V1__HELLO_REQUEST__INIT;
    Coder__Rpc__V1__Handshake h = CODER__RPC__V1__HANDSHAKE__INIT;
    m.handshake = &h;
    h.step = step;
    h.data = cm_rpc_bytes(a, data);
    h.has_id = id.len > 0;
    h.id = id;
    send_hello(sock, &m, out);
}

static unsigned reply_code(struct cm_str got)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    ProtobufCMessage *r = NULL;
    struct cm_err err;
    assert_int_equal(cm_rpc_unpack(a, &coder__rpc__v1__reply__descriptor, got, &r, &err), CM_OK);
    return ((Coder__Rpc__V1__Reply *)r)->body->code;
}

/* What an agent with that token is told. */
static unsigned agent_hello(nng_socket sock, const char *token)
{
    CM_AUTOBUF struct cm_buf got = CM_BUF_INIT(65536);
    Coder__Rpc__V1__HelloRequest m = CODER__RPC__V1__HELLO_REQUEST__INIT;
    Coder__Rpc__V1__CallerInfo c = CODER__RPC__V1__CALLER_INFO__INIT;
    c.kind = CODER__RPC__V1__CALLER_KIND__CALLER_AGENT;
    c.api_min = c.api_max = 2;
    m.caller = &c;
    m.agent_token = (char *)(uintptr_t)token;
    send_hello(sock, &m, &got);
    return reply_code(cm_buf_view(&got));
}

static void psk_flight(const char *name, const char *text, struct cm_psk **ret, struct cm_buf *out)
{
    uint8_t key[CM_PSK_KEY];
    struct cm_err err;
    cm_psk_key_from_text(cm_str(text), key);
    assert_int_equal(cm_psk_client_new(cm_str(name), key, ret, &err), CM_OK);
    assert_int_equal(cm_psk_step(*ret, CM_STR_NONE, out, NULL, &err), CM_OK);
}

static void all_refusals_of_a_handshake_are_the_same_bytes(void **state)
{
    struct both *b = *state;
    CM_AUTOBUF struct cm_buf first = CM_BUF_INIT(65536), got = CM_BUF_INIT(65536),
                             flight = CM_BUF_INIT(65536);
    static const struct {
        const char *name, *text;
        int damage; /* of the flight: this byte from the end; -1: all garbage; -2: cut */
    } rows[] = {{PSK_NAME, "wrong-wrong-wrong-wrong", 0},
                {"nobody", PSK_TEXT, 0},
                {"nobody", "wrong", 0},
                {PSK_NAME, PSK_TEXT, 1},
                {PSK_NAME, PSK_TEXT, 60},
                {PSK_NAME, PSK_TEXT, -1},
                {"\xff\xfe", PSK_TEXT, 0}};
    nng_socket sock = raw_dial(&b->s, b->s.private_port.secret);
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_psk) p = NULL;
        cm_buf_reset(&flight);
        psk_flight(rows[i].name, rows[i].text, &p, &flight);
        if (rows[i].damage > 0)
            flight.ptr[flight.len - (size_t)rows[i].damage] ^= 1;
        if (rows[i].damage == -1)
            memset(flight.ptr, 'x', flight.len);
        say_hello(sock, 1, (ProtobufCBinaryData){0, NULL}, cm_buf_view(&flight), i ? &got : &first);
        if (i && !cm_str_eq(cm_buf_view(&first), cm_buf_view(&got)))
            fail_msg("refusal %zu reads differently", i);
    }
    nng_close(sock);
}

static void a_handshake_s_last_step_must_be_whole(void **state)
{
    struct both *b = *state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf got = CM_BUF_INIT(65536), flight = CM_BUF_INIT(65536),
                             refused = CM_BUF_INIT(65536);
    CM_AUTO(cm_psk) wrong = NULL;
    CM_AUTO(cm_psk) p = NULL;
    struct cm_err err;
    ProtobufCMessage *r = NULL, *h = NULL;
    nng_socket sock = raw_dial(&b->s, b->s.private_port.secret),
               other = raw_dial(&b->s, b->s.private_port.secret);
    psk_flight(PSK_NAME, "wrong-wrong-wrong-wrong", &wrong, &flight);
    say_hello(sock, 1, (ProtobufCBinaryData){0, NULL}, cm_buf_view(&flight), &refused);
    cm_buf_reset(&flight);
    psk_flight(PSK_NAME, PSK_TEXT, &p, &flight);
    say_hello(sock, 1, (ProtobufCBinaryData){0, NULL}, cm_buf_view(&flight), &got);
    assert_int_equal(
        cm_rpc_unpack(a, &coder__rpc__v1__reply__descriptor, cm_buf_view(&got), &r, &err), CM_OK);
    const Coder__Rpc__V1__ReplyBody *body = ((Coder__Rpc__V1__Reply *)r)->body;
    assert_int_equal(body->code, 0);
    assert_int_equal(cm_rpc_unpack(a, &coder__rpc__v1__hello_reply__descriptor,
                                   cm_rpc_str(body->payload), &h, &err),
                     CM_OK);
    const Coder__Rpc__V1__HelloReply *hello = (const Coder__Rpc__V1__HelloReply *)h;
    cm_buf_reset(&flight);
    assert_int_equal(cm_psk_step(p, cm_rpc_str(hello->handshake_data), &flight, NULL, &err), CM_OK);
    /* On another connection it is unknown: start again. On its own, without the sealed caller, it
     * is refused. */
    say_hello(other, 2, hello->handshake_id, cm_buf_view(&flight), &got);
    assert_int_equal(
        cm_rpc_unpack(a, &coder__rpc__v1__reply__descriptor, cm_buf_view(&got), &r, &err), CM_OK);
    assert_int_equal(((Coder__Rpc__V1__Reply *)r)->body->code,
                     CODER__RPC__V1__REPLY_CODE__REPLY_HANDSHAKE);
    say_hello(sock, 2, hello->handshake_id, cm_buf_view(&flight), &got);
    assert_true(cm_str_eq(cm_buf_view(&refused), cm_buf_view(&got)));
    /* And only once. */
    say_hello(sock, 2, hello->handshake_id, cm_buf_view(&flight), &got);
    assert_int_equal(
        cm_rpc_unpack(a, &coder__rpc__v1__reply__descriptor, cm_buf_view(&got), &r, &err), CM_OK);
    assert_int_equal(((Coder__Rpc__V1__Reply *)r)->body->code,
                     CODER__RPC__V1__REPLY_CODE__REPLY_HANDSHAKE);
    assert_int_equal(b->s.hellos, 0);
    nng_close(sock);
    nng_close(other);
}

static void guessing_is_slowed_down(void **state)
{
    struct both *b = *state;
    CM_AUTOBUF struct cm_buf got = CM_BUF_INIT(65536), flight = CM_BUF_INIT(65536);
    CM_AUTO(cm_psk) p = NULL;
    CM_AUTO(cm_psk) q = NULL;
    unsigned code = 0, tries = 0;
    psk_flight(PSK_NAME, "wrong-wrong-wrong-wrong", &p, &flight);
    nng_socket sock = raw_dial(&b->s, b->s.private_port.secret);
    for (; tries < 100 && code != CODER__RPC__V1__REPLY_CODE__REPLY_RATE_LIMITED; tries++) {
        say_hello(sock, 1, (ProtobufCBinaryData){0, NULL}, cm_buf_view(&flight), &got);
        code = reply_code(cm_buf_view(&got));
    }
    assert_int_equal(tries, 21);
    /* Whoever comes from the same address, as all do behind a balancer, and tries another name is
     * not held up; nor is an agent. */
    cm_buf_reset(&flight);
    psk_flight("another", "wrong-wrong-wrong-wrong", &q, &flight);
    say_hello(sock, 1, (ProtobufCBinaryData){0, NULL}, cm_buf_view(&flight), &got);
    assert_int_equal(reply_code(cm_buf_view(&got)),
                     CODER__RPC__V1__REPLY_CODE__REPLY_UNAUTHENTICATED);
    assert_int_equal(agent_hello(sock, AGENT_TOKEN), CODER__RPC__V1__REPLY_CODE__REPLY_OK);
    nng_close(sock);
}

static void forgotten_agents_do_not_hold_up_others_of_their_address(void **state)
{
    struct both *b = *state;
    unsigned code = 0, tries = 0;
    nng_socket sock = raw_dial(&b->s, b->s.private_port.secret);
    for (; tries < 100 && code != CODER__RPC__V1__REPLY_CODE__REPLY_RATE_LIMITED; tries++)
        code = agent_hello(sock, "5e9cd5a4-7f6c-4a0e-9a60-3a4b4f5f6a70");
    assert_int_equal(tries, 21);
    for (unsigned i = 0; i < 50; i++) {
        char token[64];
        snprintf(token, sizeof(token), "%08x-7f6c-4a0e-9a60-3a4b4f5f6a70", i);
        assert_int_equal(agent_hello(sock, token),
                         CODER__RPC__V1__REPLY_CODE__REPLY_UNAUTHENTICATED);
    }
    assert_int_equal(agent_hello(sock, AGENT_TOKEN), CODER__RPC__V1__REPLY_CODE__REPLY_OK);
    nng_close(sock);
}

static uint16_t port_without_listener(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    close(fd);
    return ntohs(sa.sin_port);
}

static void errors_of_connecting_are_precise(void **state)
{
    struct both *b = *state;
    char away[64], notfound[80];
    snprintf(away, sizeof(away), "http://127.0.0.1:%u", port_without_listener());
    snprintf(notfound, sizeof(notfound), "http://127.0.0.1:%u/somewhere/", front_port(b->front));
    const struct {
        const char *url, *want;
    } rows[] = {
        {away, "Connection refused"},
        {notfound, "/somewhere/rpc answered 404 Not Found: either no coderd answers there"},
        {"http://no-such-host.invalid", "no-such-host.invalid"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct answer a;
        client_start(&b->c, AS_AGENT, rows[i].url);
        until(&b->c, &b->c.offline, 1);
        call_now(&b->c, "test.Echo", "n", "v", 100 * CM_MSEC, &a);
        assert_int_equal(a.code, CM_UNAVAILABLE);
        if (!strstr(a.err, rows[i].want))
            fail_msg("%s", a.err);
        client_stop(&b->c);
        b->c.client = NULL;
    }
}

static void the_front_takes_only_nng(void **state)
{
    static const struct {
        const char *key, *protocol;
    } rows[] = {
        {"", "rep.sp.nanomsg.org"},
        {"dGhlIHNhbXBsZSBub25jZQ==", "chat"},
        {"dGhlIHNhbXBsZSBub25jZQ==\r\nCoder-Rpc-Client: 10.0.0.1", "rep.sp.nanomsg.org"},
        {"dGhlIHNhbXBsZSBub25jZQ==", ""},
    };
    struct both *b = *state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        const struct cm_rpc_front_head head = {cm_str(rows[i].key), cm_str(rows[i].protocol),
                                               CM_STR("192.0.2.7")};
        struct cm_err err;
        assert_int_equal(
            cm_rpc_front_splice(b->s.loop, NULL, &head, &b->s.private_port, NULL, NULL, NULL, &err),
            CM_INVALID);
    }
}

int main(void)
{
    cm_loop_global_init();
    signal(SIGPIPE, SIG_IGN); /* as every program of the tree does */
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_agent_calls_through_the_public_port),
        TEST(a_provisioner_s_payloads_are_sealed_end_to_end),
        TEST(sealed_sessions_survive_new_tickets),
        TEST(refused_callers_are_told_why),
        TEST(a_wrong_token_is_refused_and_a_right_one_taken),
        TEST(the_private_port_wants_its_secret),
        TEST(all_refusals_of_a_handshake_are_the_same_bytes),
        TEST(a_handshake_s_last_step_must_be_whole),
        TEST(guessing_is_slowed_down),
        TEST(forgotten_agents_do_not_hold_up_others_of_their_address),
        TEST(errors_of_connecting_are_precise),
        TEST(the_front_takes_only_nng),
    };
    int rv = cmocka_run_group_tests_name("rpc through the public port", tests, NULL, NULL);
    cm_rpc_global_done();
    return rv;
}
