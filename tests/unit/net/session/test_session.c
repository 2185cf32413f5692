/* Whole sessions: a client and an agent, with paths in memory or through a relay's two tunnels, and
 * with a relay that dies under bulk transfers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "mempipe.h"
#include "net/session/session.h"
#include "until.h"

struct peer { /* what the owner of a stream has seen */
    struct cm_stream *s;
    struct cm_buf data;
    bool echo, eof, failed;
    struct cm_err err;
};

struct rig {
    struct cm_loop *loop;
    struct cm_session_identity *client_id, *agent_id;
    struct cm_ticket_key *key;
    struct cm_ticket ticket;
    struct cm_session_server *server;
    struct cm_session_client *client;
    struct mempipe *pipe; /* of the latest path */
    bool through_relay;
    struct cm_tunnel *relay_end, *agent_end; /* of the agent's tunnel to the relay */
    struct mempipe *relay_pipe;
    size_t cut_every; /* each path dies after so many bytes */
    unsigned paths, ups, losts, ended;
    bool refuse_paths; /* with why */
    struct cm_err why;
    struct cm_err ended_why;
    enum cm_kind last_kind;
    char last_arg[128], last_user[64];
    struct peer far[64];
    size_t n_far;
    bool gone;
};

static void on_peer(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct peer *p = ctx;
    struct evbuffer *in = cm_stream_input(s);
    size_t n = evbuffer_get_length(in);
    switch (ev) {
    case CM_STREAM_DATA:
        if (p->echo) {
            cm_stream_send(s, in);
        } else {
            char *to = cm_buf_reserve(&p->data, n);
            assert_non_null(to);
            evbuffer_remove(in, to, n);
            cm_buf_commit(&p->data, n);
        }
        cm_stream_consumed(s, n);
        break;
    case CM_STREAM_DRAINED:
        break;
    case CM_STREAM_EOF:
        p->eof = true;
        if (p->echo)
            cm_stream_finish(s);
        break;
    case CM_STREAM_FAILED:
        p->failed = true;
        p->err = *cm_stream_err(s);
        break;
    }
}

static void watch(struct peer *p, struct cm_stream *s)
{
    cm_buf_init(&p->data, 64 * 1024 * 1024);
    p->s = s;
    cm_stream_set_fn(s, on_peer, p);
}

static void unwatch(struct peer *p)
{
    cm_stream_close(CM_TAKE(p->s));
    cm_buf_done(&p->data);
}

static void on_accept(void *ctx, struct cm_tunnel_call *call, enum cm_kind kind, struct cm_str arg,
                      const struct cm_ticket *who)
{
    struct rig *r = ctx;
    r->last_kind = kind;
    snprintf(r->last_arg, sizeof(r->last_arg), "%s", arg.ptr);
    snprintf(r->last_user, sizeof(r->last_user), "%.60s", who->user_name);
    if (cm_str_eq_c(arg, "refuse")) {
        struct cm_err err;
        cm_err_set(&err, CM_NOT_FOUND, "nobody listens there");
        cm_tunnel_call_refuse(call, &err);
        return;
    }
    struct peer *p = &r->far[r->n_far++];
    p->echo = true;
    watch(p, cm_tunnel_call_accept(call));
}

static struct cm_buf ticket_text(struct rig *r)
{
    struct cm_buf text = CM_BUF_INIT(CM_TICKET_TEXT_MAX);
    struct cm_err err;
    assert_int_equal(cm_ticket_mint(r->key, &r->ticket, &text, &err), CM_OK);
    return text;
}

/* The relay: splices the client's path to a stream of the agent's tunnel. */
static void relay_path(struct rig *r, struct cm_stream *client_side, struct cm_uuid carrier,
                       uint64_t offset)
{
    char path[CM_SESSION_PATH_TEXT];
    CM_AUTOBUF struct cm_buf text = ticket_text(r);
    const struct cm_tunnel_header h = {CM_STR(CM_SESSION_TICKET_HEADER), cm_buf_view(&text)};
    struct cm_stream *to_agent =
        cm_tunnel_open(r->relay_end, CM_STR(CM_SESSION_PROTOCOL),
                       cm_str(cm_session_path_format(carrier, offset, path)), &h, 1);
    cm_splice_new(client_side, to_agent, NULL, NULL);
}

static void on_open_path(void *ctx, struct cm_session_client *s, struct cm_uuid carrier,
                         uint64_t offset)
{
    struct rig *r = ctx;
    struct cm_stream *ends[2];
    if (r->refuse_paths) {
        cm_session_client_path_failed(s, &r->why);
        return;
    }
    r->paths++;
    r->pipe = mempipe_new(r->loop, 0, ends);
    if (r->cut_every)
        mempipe_cut_after(r->pipe, r->cut_every);
    if (r->through_relay) {
        relay_path(r, ends[1], carrier, offset);
    } else {
        CM_AUTOBUF struct cm_buf text = ticket_text(r);
        struct cm_err err;
        if (cm_session_server_path(r->server, ends[1], carrier, offset, cm_buf_view(&text), &err) !=
            CM_OK) {
            cm_stream_close(ends[0]);
            cm_session_client_path_failed(s, &err);
            return;
        }
    }
    cm_session_client_path(s, ends[0]);
}

static void on_state(void *ctx, struct cm_session_client *s, enum cm_session_state state,
                     const struct cm_err *why)
{
    (void)s;
    struct rig *r = ctx;
    switch (state) {
    case CM_SESSION_CONNECTING:
        fail();
        break;
    case CM_SESSION_UP:
        r->ups++;
        break;
    case CM_SESSION_LOST:
        assert_int_not_equal(why->code, CM_OK);
        r->losts++;
        break;
    case CM_SESSION_ENDED:
        r->ended++;
        r->ended_why = *why;
        break;
    }
}

static void on_agent_call(void *ctx, struct cm_tunnel_call *call)
{
    struct rig *r = ctx;
    assert_true(cm_str_eq_c(cm_tunnel_call_protocol(call), CM_SESSION_PROTOCOL));
    cm_session_server_call(r->server, call);
}

static void relay_connect(struct rig *r)
{
    struct cm_stream *ends[2];
    cm_tunnel_free(r->relay_end);
    cm_tunnel_free(r->agent_end);
    r->relay_pipe = mempipe_new(r->loop, 0, ends);
    struct cm_tunnel_config cfg = {.call = on_agent_call, .ctx = r};
    r->relay_end = cm_tunnel_client_new(ends[0], &cfg);
    r->agent_end = cm_tunnel_server_new(ends[1], &cfg);
}

static struct rig *rig_new(void)
{
    struct rig *r = cm_xcalloc(1, sizeof(*r));
    struct cm_err err;
    uint8_t raw[32];
    r->loop = cm_loop_new();
    assert_int_equal(cm_session_identity_new(&r->client_id, &err), CM_OK);
    assert_int_equal(cm_session_identity_new(&r->agent_id, &err), CM_OK);
    cm_ticket_key_random(raw);
    assert_int_equal(cm_ticket_key_new(raw, &r->key, &err), CM_OK);
    r->ticket = (struct cm_ticket){
        .user_id = cm_uuid_random(),
        .agent_id = cm_uuid_random(),
        .user_name = "alice",
        .kinds = cm_kind_bit(CM_KIND_ECHO) | cm_kind_bit(CM_KIND_TCP) | cm_kind_bit(CM_KIND_UNIX),
        .issued_at = cm_time_now(),
        .expires_at = cm_time_add(cm_time_now(), CM_MINUTE),
    };
    memcpy(r->ticket.client_cert_sha256, cm_session_identity_sha256(r->client_id), CM_SHA256_LEN);
    const struct cm_session_server_config sc = {
        .id = r->agent_id,
        .agent_id = r->ticket.agent_id,
        .accept = on_accept,
        .ctx = r,
        .max_sessions = 2,
    };
    r->server = cm_session_server_new(r->loop, &sc);
    const struct cm_ticket_public pub = cm_ticket_key_public(r->key);
    cm_session_server_set_keys(r->server, &pub, 1);
    return r;
}

static struct cm_session_client *client_new(struct rig *r, const struct cm_session_identity *agent)
{
    struct cm_session_client_config cc = {
        .id = r->client_id, .open_path = on_open_path, .state = on_state, .ctx = r};
    memcpy(cc.agent_cert_sha256, cm_session_identity_sha256(agent), CM_SHA256_LEN);
    return cm_session_client_new(r->loop, &cc);
}

static void rig_free(struct rig *r)
{
    for (size_t i = 0; i < r->n_far; i++)
        unwatch(&r->far[i]);
    cm_session_client_free(r->client);
    cm_session_server_free(r->server);
    cm_tunnel_free(r->relay_end);
    cm_tunnel_free(r->agent_end);
    cm_session_identity_free(r->client_id);
    cm_session_identity_free(r->agent_id);
    cm_ticket_key_free(r->key);
    TURN_UNTIL(r->loop, mempipe_alive() == 0); /* goodbyes that nobody hears take a second */
    cm_loop_free(r->loop);
    cm_free(r);
}

static void streams_work_end_to_end(void **state)
{
    (void)state;
    for (int relay = 0; relay < 2; relay++) {
        struct rig *r = rig_new();
        r->through_relay = relay;
        if (relay)
            relay_connect(r);
        r->client = client_new(r, r->agent_id);
        const struct {
            enum cm_kind kind;
            const char *arg;
        } rows[] = {
            {CM_KIND_ECHO, ""},
            {CM_KIND_TCP, "[::1]:8080"},
            {CM_KIND_UNIX, "/run/user/1000/a b%c?d#e/\xc3\xa4.sock"},
        };
        for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
            struct peer p = {0};
            watch(&p, cm_session_open(r->client, rows[i].kind, cm_str(rows[i].arg)));
            cm_stream_write(p.s, "ping", 4);
            cm_stream_finish(p.s);
            TURN_UNTIL(r->loop, p.eof);
            assert_string_equal(p.data.ptr, "ping");
            assert_int_equal(r->last_kind, rows[i].kind);
            assert_string_equal(r->last_arg, rows[i].arg);
            assert_string_equal(r->last_user, "alice");
            assert_false(p.failed);
            unwatch(&p);
        }
        assert_int_equal(cm_session_client_state(r->client), CM_SESSION_UP);
        assert_int_equal(r->ups, 1);
        assert_int_equal(cm_session_server_count(r->server), 1);
        rig_free(r);
    }
}

static void relay_sees_no_plain_text(void **state)
{
    (void)state;
    struct rig *r = rig_new();
    r->client = client_new(r, r->agent_id);
    struct peer p = {0};
    watch(&p, cm_session_open(r->client, CM_KIND_ECHO, CM_STR("secret-argument")));
    TURN_UNTIL(r->loop, r->n_far == 1);
    /* From here on the line is silent: what the client writes stays in the pipe, where a relay
     * would see it. */
    mempipe_silence(r->pipe, true);
    cm_stream_write(p.s, "secret-payload-secret-payload", 29);
    for (int i = 0; i < 10; i++)
        cm_loop_turn(r->loop, 0);
    struct evbuffer *line = mempipe_pending(r->pipe, 0);
    assert_true(evbuffer_get_length(line) > 29);
    assert_int_equal(evbuffer_search(line, "secret", 6, NULL).pos, -1);
    mempipe_silence(r->pipe, false);
    TURN_UNTIL(r->loop, p.data.len == 29);
    unwatch(&p);
    rig_free(r);
}

static void refusals_reach_the_stream(void **state)
{
    (void)state;
    struct rig *r = rig_new();
    r->client = client_new(r, r->agent_id);
    static char long_arg[5000];
    memset(long_arg, 'a', sizeof(long_arg) - 1);
    const struct {
        enum cm_kind kind;
        const char *arg;
        enum cm_code code;
        const char *text;
    } rows[] = {
        {CM_KIND_TCP, "refuse", CM_NOT_FOUND, "nobody listens there"},
        {CM_KIND_SSH, "", CM_DENIED, "the ticket does not allow ssh streams"},
        {CM_KIND_ECHO, long_arg, CM_TOO_LARGE,
         "the arguments of a stream are longer than 4096 bytes"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct peer p = {0};
        watch(&p, cm_session_open(r->client, rows[i].kind, cm_str(rows[i].arg)));
        TURN_UNTIL(r->loop, p.failed);
        assert_int_equal(p.err.code, rows[i].code);
        assert_string_equal(p.err.text, rows[i].text);
        unwatch(&p);
    }
    assert_int_equal(r->n_far, 0);
    rig_free(r);
}

static void transfers_survive_lost_paths(void **state)
{
    (void)state;
    for (int relay = 0; relay < 2; relay++) {
        struct rig *r = rig_new();
        r->through_relay = relay;
        r->cut_every = 700000;
        if (relay)
            relay_connect(r);
        r->client = client_new(r, r->agent_id);
        enum { STREAMS = 4, LEN = 2000000 };
        struct peer p[STREAMS] = {0};
        char *data = cm_xcalloc(1, LEN);
        srand(42);
        for (size_t i = 0; i < LEN; i++)
            data[i] = (char)rand();
        for (int i = 0; i < STREAMS; i++) {
            watch(&p[i], cm_session_open(r->client, CM_KIND_ECHO, CM_STR("")));
            cm_stream_write(p[i].s, data, LEN);
            cm_stream_finish(p[i].s);
        }
        for (int i = 0; i < STREAMS; i++) {
            TURN_UNTIL(r->loop, p[i].eof || p[i].failed);
            assert_false(p[i].failed);
            assert_int_equal(p[i].data.len, LEN);
            assert_memory_equal(p[i].data.ptr, data, LEN);
            unwatch(&p[i]);
        }
        assert_true(r->losts >= 10);
        assert_int_equal(r->ups, r->losts + (cm_session_client_state(r->client) == CM_SESSION_UP));
        assert_int_equal(r->ended, 0);
        cm_free(data);
        rig_free(r);
    }
}

/* The relay is killed: its tunnel to the agent and its connection to the client break together. */
static void session_moves_to_another_relay(void **state)
{
    (void)state;
    struct rig *r = rig_new();
    r->through_relay = true;
    relay_connect(r);
    r->client = client_new(r, r->agent_id);
    struct peer p = {0};
    watch(&p, cm_session_open(r->client, CM_KIND_ECHO, CM_STR("")));
    cm_stream_write(p.s, "before ", 7);
    TURN_UNTIL(r->loop, p.data.len == 7);
    mempipe_cut(r->pipe);
    mempipe_cut(r->relay_pipe);
    cm_stream_write(p.s, "meanwhile ", 10);
    relay_connect(r);
    cm_stream_write(p.s, "after", 5);
    TURN_UNTIL(r->loop, p.data.len == 22);
    assert_string_equal(p.data.ptr, "before meanwhile after");
    assert_int_equal(r->losts, 1);
    /* And once more without a loss, as from a relay that drains. */
    unsigned paths = r->paths;
    cm_session_client_move(r->client);
    TURN_UNTIL(r->loop, r->paths == paths + 1);
    cm_stream_write(p.s, ", moved", 7);
    TURN_UNTIL(r->loop, p.data.len == 29);
    assert_int_equal(r->losts, 1);
    assert_false(p.failed);
    unwatch(&p);
    rig_free(r);
}

static void session_is_refused_when(void **state)
{
    (void)state;
    const struct {
        const char *what;
        enum cm_code code;
    } rows[] = {
        {"agent presents another certificate", CM_UNAUTHENTICATED},
        {"client presents another certificate", CM_UNAUTHENTICATED},
        {"ticket is for another agent", CM_UNAUTHENTICATED},
        {"ticket has expired", CM_UNAUTHENTICATED},
        {"ticket is signed by somebody else", CM_UNAUTHENTICATED},
        {"server says so", CM_DENIED},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        for (int relay = 0; relay < 2; relay++) {
            struct rig *r = rig_new();
            struct cm_err err;
            CM_AUTO(cm_session_identity) other = NULL;
            assert_int_equal(cm_session_identity_new(&other, &err), CM_OK);
            r->through_relay = relay;
            if (relay)
                relay_connect(r);
            if (i == 1)
                memcpy(r->ticket.client_cert_sha256, cm_session_identity_sha256(other),
                       CM_SHA256_LEN);
            if (i == 2)
                r->ticket.agent_id = cm_uuid_random();
            if (i == 3) {
                r->ticket.issued_at.us -= 10 * CM_MINUTE;
                r->ticket.expires_at.us -= 10 * CM_MINUTE;
            }
            if (i == 4) {
                cm_ticket_key_free(r->key);
                uint8_t raw[32] = {1};
                assert_int_equal(cm_ticket_key_new(raw, &r->key, &err), CM_OK);
            }
            if (i == 5) {
                r->refuse_paths = true;
                cm_err_set(&r->why, CM_DENIED, "not yours");
            }
            bool refused_by_path = relay && i >= 2 && i <= 4;
            r->client = client_new(r, i == 0 ? other : r->agent_id);
            struct peer p = {0};
            watch(&p, cm_session_open(r->client, CM_KIND_ECHO, CM_STR("")));
            cm_stream_write(p.s, "x", 1);
            if (refused_by_path) {
                /* This relay only hangs up; a real one passes the refusal on. The client goes on
                 * trying. */
                TURN_UNTIL(r->loop, r->paths >= 3);
            } else {
                TURN_UNTIL(r->loop, p.failed && r->ended);
                assert_int_equal(p.err.code, rows[i].code);
                assert_int_equal(r->ended_why.code, rows[i].code);
            }
            assert_int_equal(r->n_far, 0);
            assert_int_equal(r->ended, !refused_by_path);
            TURN_UNTIL(r->loop, cm_session_server_count(r->server) == 0);
            unwatch(&p);
            rig_free(r);
        }
    }
}

static void somebody_elses_session_cannot_be_taken(void **state)
{
    (void)state;
    struct rig *r = rig_new();
    r->client = client_new(r, r->agent_id);
    struct peer p = {0};
    watch(&p, cm_session_open(r->client, CM_KIND_ECHO, CM_STR("")));
    TURN_UNTIL(r->loop, r->n_far == 1);
    struct cm_stream *ends[2];
    struct cm_err err;
    struct cm_ticket mine = r->ticket;
    struct cm_uuid id = cm_session_client_carrier(r->client);
    r->ticket.user_id = cm_uuid_random();
    {
        CM_AUTOBUF struct cm_buf text = ticket_text(r);
        mempipe_new(r->loop, 0, ends);
        assert_int_equal(
            cm_session_server_path(r->server, ends[1], id, 0, cm_buf_view(&text), &err), CM_DENIED);
        cm_stream_close(ends[0]);
    }
    r->ticket = mine;
    {
        CM_AUTOBUF struct cm_buf text = ticket_text(r);
        mempipe_new(r->loop, 0, ends);
        assert_int_equal(
            cm_session_server_path(r->server, ends[1], id, 1 << 20, cm_buf_view(&text), &err),
            CM_GONE);
        cm_stream_close(ends[0]);
        /* A third session is one too many; it needs no offset. */
        mempipe_new(r->loop, 0, ends);
        assert_int_equal(cm_session_server_path(r->server, ends[1], cm_uuid_random(), 0,
                                                cm_buf_view(&text), &err),
                         CM_OK);
        cm_stream_close(ends[0]);
        mempipe_new(r->loop, 0, ends);
        assert_int_equal(cm_session_server_path(r->server, ends[1], cm_uuid_random(), 0,
                                                cm_buf_view(&text), &err),
                         CM_UNAVAILABLE);
        cm_stream_close(ends[0]);
        mempipe_new(r->loop, 0, ends);
        assert_int_equal(cm_session_server_path(r->server, ends[1], cm_uuid_random(), 5,
                                                cm_buf_view(&text), &err),
                         CM_GONE);
        cm_stream_close(ends[0]);
    }
    cm_stream_write(p.s, "mine", 4);
    TURN_UNTIL(r->loop, p.data.len == 4); /* undisturbed */
    unwatch(&p);
    rig_free(r);
}

static void on_gone(void *ctx)
{
    ((struct rig *)ctx)->gone = true;
}

static void leaving_client_ends_the_agents_session(void **state)
{
    (void)state;
    struct rig *r = rig_new();
    r->client = client_new(r, r->agent_id);
    struct peer p = {0};
    watch(&p, cm_session_open(r->client, CM_KIND_ECHO, CM_STR("")));
    TURN_UNTIL(r->loop, r->n_far == 1);
    cm_session_client_leave(CM_TAKE(r->client), on_gone, r);
    assert_false(r->gone || p.failed);
    TURN_UNTIL(r->loop, r->gone && p.failed && r->far[0].failed);
    assert_int_equal(cm_session_server_count(r->server), 0);
    assert_int_equal(r->ended, 0);
    unwatch(&p);
    rig_free(r);
}

static void restarted_agent_ends_the_session(void **state)
{
    (void)state;
    struct rig *r = rig_new();
    r->client = client_new(r, r->agent_id);
    struct peer p = {0};
    watch(&p, cm_session_open(r->client, CM_KIND_ECHO, CM_STR("")));
    cm_stream_write(p.s, "x", 1);
    TURN_UNTIL(r->loop, p.data.len == 1);
    mempipe_cut(r->pipe);
    for (size_t i = 0; i < r->n_far; i++)
        unwatch(&r->far[i]);
    r->n_far = 0;
    struct cm_session_server *old = r->server;
    const struct cm_session_server_config sc = {
        .id = r->agent_id, .agent_id = r->ticket.agent_id, .accept = on_accept, .ctx = r};
    r->server = cm_session_server_new(r->loop, &sc);
    const struct cm_ticket_public pub = cm_ticket_key_public(r->key);
    cm_session_server_set_keys(r->server, &pub, 1);
    cm_session_server_free(old);
    TURN_UNTIL(r->loop, r->ended);
    assert_int_equal(r->ended_why.code, CM_GONE);
    assert_int_equal(p.err.code, CM_GONE);
    struct peer late = {0};
    watch(&late, cm_session_open(r->client, CM_KIND_ECHO, CM_STR("")));
    TURN_UNTIL(r->loop, late.failed);
    assert_int_equal(late.err.code, CM_GONE);
    unwatch(&late);
    unwatch(&p);
    rig_free(r);
}

int main(void)
{
    cm_loop_global_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_work_end_to_end),
        cmocka_unit_test(relay_sees_no_plain_text),
        cmocka_unit_test(refusals_reach_the_stream),
        cmocka_unit_test(transfers_survive_lost_paths),
        cmocka_unit_test(session_moves_to_another_relay),
        cmocka_unit_test(session_is_refused_when),
        cmocka_unit_test(somebody_elses_session_cannot_be_taken),
        cmocka_unit_test(leaving_client_ends_the_agents_session),
        cmocka_unit_test(restarted_agent_ends_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
