#include "rpc_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <nng/protocol/reqrep0/req.h>

#include "base/secret.h"
#include "net/dial/dial.h"

typedef Coder__Provisioner__V1__Pair Pair;

#define ADD(x, n) __atomic_add_fetch(&(x), (n), __ATOMIC_SEQ_CST)
#define GET(x)    __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define CAS(x, had, v)                                                                             \
    __atomic_compare_exchange_n(&(x), had, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define PUT(x, v) __atomic_store_n(&(x), (v), __ATOMIC_SEQ_CST)

static enum cm_code echo(struct cm_rpc_request *rq, const void *request, void *reply,
                         struct cm_err *err)
{
    (void)err;
    struct rpc_server_fixture *f = rq->app;
    const Pair *in = request;
    Pair *out = reply;
    pthread_mutex_lock(&f->lock);
    f->last_id = rq->id;
    snprintf(f->last_address, sizeof(f->last_address), "%.*s", CM_STR_ARG(rq->address));
    pthread_mutex_unlock(&f->lock);
    ADD(f->echoes, 1);
    out->name = cm_arena_cstr(rq->arena, cm_str(in->name));
    out->value = cm_arena_cstr(rq->arena, cm_str(in->value));
    return CM_OK;
}

/* As many at once as there are threads: proves that calls run side by side. */
static enum cm_code together(struct cm_rpc_request *rq, const void *request, void *reply,
                             struct cm_err *err)
{
    struct rpc_server_fixture *f = rq->app;
    unsigned n = ADD(f->at_once, 1), max = GET(f->max_at_once);
    while (n > max && !CAS(f->max_at_once, &max, n))
        continue;
    while (GET(f->max_at_once) < 4 && cm_monotonic_now() < rq->deadline)
        usleep(200);
    ADD(f->at_once, -1u);
    return echo(rq, request, reply, err);
}

static enum cm_code slow(struct cm_rpc_request *rq, const void *request, void *reply,
                         struct cm_err *err)
{
    struct rpc_server_fixture *f = rq->app;
    ADD(f->at_once, 1);
    while (!GET(f->gate))
        usleep(200);
    return echo(rq, request, reply, err);
}

static enum cm_code wait_for(struct cm_rpc_request *rq, const void *request, void *reply,
                             struct cm_err *err)
{
    struct rpc_server_fixture *f = rq->app;
    static const char *const names[] = {"first", "resumed", "deadline", "gone"};
    if (rq->wake == CM_RPC_GONE) {
        ADD(f->gone, 1);
        return CM_OK;
    }
    uint64_t token = GET(f->open) ? 0 : cm_rpc_park(rq);
    if (token) {
        PUT(f->token, token);
        /* Woken before its handler has returned: still runs once more. */
        if (GET(f->open))
            cm_rpc_resume(f->server, token);
        return CM_OK;
    }
    Pair *out = reply;
    enum cm_code code = echo(rq, request, reply, err);
    out->value = cm_arena_cstr(rq->arena, cm_str(names[rq->wake]));
    return code;
}

static enum cm_code refuse(struct cm_rpc_request *rq, const void *request, void *reply,
                           struct cm_err *err)
{
    (void)rq;
    (void)reply;
    const Pair *in = request;
    if (strcmp(in->value, "internal") == 0)
        return cm_err_set(err, CM_INTERNAL, "the secret cause");
    return cm_err_set(err, CM_CONFLICT, "%s exists already", in->name);
}

static enum cm_code large(struct cm_rpc_request *rq, const void *request, void *reply,
                          struct cm_err *err)
{
    (void)request;
    (void)err;
    Pair *out = reply;
    out->name = cm_arena_cstr(rq->arena, CM_STR("large"));
    out->value = cm_arena_alloc(rq->arena, CM_RPC_MESSAGE_MAX + 1);
    memset(out->value, 'x', CM_RPC_MESSAGE_MAX);
    return CM_OK;
}

#define D &coder__provisioner__v1__pair__descriptor
static const struct cm_rpc_method methods[] = {
    {"test.Echo", ~0u, D, D, echo},
    {"test.Together", ~0u, D, D, together},
    {"test.Slow", ~0u, D, D, slow},
    {"test.Wait", ~0u, D, D, wait_for},
    {"test.Refuse", ~0u, D, D, refuse},
    {"test.Large", ~0u, D, D, large},
    {"test.AgentsOnly", CM_RPC_KIND_BIT(CM_RPC_AGENT), D, D, echo},
    {NULL, 0, NULL, NULL, NULL},
};
static const struct cm_rpc_method *const tables[] = {methods};

static enum cm_code hello(void *app, void *thread_ctx, struct cm_arena *a,
                          const struct cm_rpc_hello *h, struct cm_rpc_identity *ret,
                          struct cm_err *err)
{
    (void)thread_ctx;
    (void)a;
    struct rpc_server_fixture *f = app;
    ADD(f->hellos, 1);
    if (h->kind == CM_RPC_AGENT && !cm_secret_str_eq(h->token, CM_STR(AGENT_TOKEN)))
        return cm_err_set(err, CM_UNAUTHENTICATED, "no agent has this token");
    if (h->kind == CM_RPC_BUILTIN && h->address.len)
        return cm_err_set(err, CM_DENIED, "a built-in provisioner with an address");
    snprintf(f->last_name, sizeof(f->last_name), "%.*s", CM_STR_ARG(h->name));
    snprintf(f->last_key, sizeof(f->last_key), "%.*s", CM_STR_ARG(h->key_name));
    f->last_tags = h->n_tags;
    memset(ret->subject_id.b, 7, sizeof(ret->subject_id.b));
    ret->subject_id.b[15] = (uint8_t)h->kind;
    ret->name = h->name;
    ret->tags = h->tags;
    ret->n_tags = h->n_tags;
    return CM_OK;
}

static enum cm_code psk(void *app, void *thread_ctx, struct cm_str name, uint8_t key[CM_PSK_KEY],
                        bool *found, struct cm_err *err)
{
    (void)app;
    (void)thread_ctx;
    if (cm_str_eq_c(name, "database-down"))
        return cm_err_set(err, CM_UNAVAILABLE, "no database");
    *found = cm_str_eq_c(name, PSK_NAME);
    if (*found)
        cm_psk_key_from_text(CM_STR(PSK_TEXT), key);
    return CM_OK;
}

static enum cm_code check(void *app, void *thread_ctx, const struct cm_rpc_identity *who,
                          struct cm_err *err)
{
    (void)thread_ctx;
    struct rpc_server_fixture *f = app;
    ADD(f->checks, 1);
    assert_int_equal(who->subject_id.b[3], 7);
    return GET(f->revoked) ? cm_err_set(err, CM_UNAUTHENTICATED, "the key was deleted") : CM_OK;
}

/* nng 1.5 loses the message whose send begins while its connection is being closed: its socket's
 * own, after ours was handed over. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libnng.so\n";
}

void server_start(struct rpc_server_fixture *f, const struct server_options *o)
{
    static const struct server_options none = {0};
    struct cm_err err = {0};
    o = o ? o : &none;
    if (!f->dir[0]) {
        pthread_mutex_init(&f->lock, NULL);
        strcpy(f->dir, "/tmp/cm-rpc-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->path, sizeof(f->path), "%s/rpc.sock", f->dir);
        snprintf(f->url, sizeof(f->url), "ipc://%s", f->path);
    }
    f->loop = cm_loop_new();
    assert_int_equal(cm_loop_thread_start(f->loop, "server", &err), CM_OK);
    const struct cm_pool_config pool = {.name = "rpc",
                                        .threads = o->threads ? o->threads : 4,
                                        .queue_max = o->queue_max ? o->queue_max : 1024};
    assert_int_equal(cm_pool_new(&pool, &f->pool, &err), CM_OK);
    const struct cm_rpc_server_config cfg = {
        .loop = f->loop,
        .pool = f->pool,
        .app = f,
        .tables = tables,
        .n_tables = 1,
        .contexts = o->contexts ? o->contexts : 16,
        .parked_max = 1000,
        .caller_running_max = o->caller_running,
        .caller_waiting_max = o->caller_waiting,
        .caller_refused_max = o->caller_refused,
        .api = {[CM_RPC_AGENT] = {1, 3}, [CM_RPC_BUILTIN] = {1, 2}, [CM_RPC_EXTERNAL] = {1, 2}},
        .fake_secret = {1, 2, 3},
        .hello = hello,
        .psk = psk,
        .check = check,
        .ticket_life = o->ticket_life,
        .heartbeat = o->heartbeat};
    struct cm_rpc_key key = {.id = 1};
    memset(key.key, o->key_byte ? o->key_byte : 5, sizeof(key.key));
    if (cm_rpc_server_new(&cfg, &key, 1, &f->server, &err) != CM_OK ||
        cm_rpc_server_listen_unix(f->server, f->path, &err) != CM_OK ||
        cm_rpc_server_listen_private(f->server, &f->private_port, &err) != CM_OK)
        fail_msg("%s", err.text);
}

void server_stop(struct rpc_server_fixture *f)
{
    PUT(f->gate, 1);
    cm_loop_thread_join(f->loop);
    cm_rpc_server_free(f->server);
    cm_pool_free(f->pool);
    cm_loop_free(f->loop);
    f->server = NULL;
}

static void drain(void *server)
{
    cm_rpc_server_drain(server);
}

void server_drain(struct rpc_server_fixture *f)
{
    cm_loop_post(f->loop, drain, f->server);
}

void server_cleanup(struct rpc_server_fixture *f)
{
    if (f->server)
        server_stop(f);
    pthread_mutex_destroy(&f->lock);
    assert_int_equal(rmdir(f->dir), 0); /* the socket is gone with the server */
}

nng_socket raw_dial(const struct rpc_server_fixture *f, const char *secret)
{
    char url[64];
    nng_socket sock;
    nng_dialer d;
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/rpc", f->private_port.port);
    assert_int_equal(nng_req0_open(&sock), 0);
    assert_int_equal(nng_socket_set_ms(sock, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), 0);
    assert_int_equal(nng_socket_set_ms(sock, NNG_OPT_RECVTIMEO, 3000), 0);
    assert_int_equal(nng_socket_set_ms(sock, NNG_OPT_SENDTIMEO, 500), 0);
    assert_int_equal(nng_dialer_create(&d, sock, url), 0);
    if (secret)
        assert_int_equal(
            nng_dialer_set_string(d, NNG_OPT_WS_REQUEST_HEADER "Coder-Rpc-Secret", secret), 0);
    assert_int_equal(nng_dialer_set_ms(d, NNG_OPT_RECONNMINT, 3600000), 0);
    assert_int_equal(nng_dialer_start(d, 0), 0);
    return sock;
}

static void on_state(void *ctx, enum cm_rpc_state state, const struct cm_err *err)
{
    struct client_fixture *f = ctx;
    unsigned *const counts[] = {
        [CM_RPC_OFFLINE] = &f->offline, [CM_RPC_READY] = &f->ready, [CM_RPC_REFUSED] = &f->refused};
    ++*counts[state];
    if (err)
        snprintf(f->err, sizeof(f->err), "%s", err->text);
    assert_int_equal(err == NULL, state == CM_RPC_READY);
}

static void start(struct client_fixture *f, struct cm_rpc_client_config *cfg, const char *url)
{
    static const struct cm_rpc_tag tags[] = {{CM_STR("scope"), CM_STR("organization")},
                                             {CM_STR("gpu"), CM_STR("a100")}};
    struct cm_err err = {0};
    *f = (struct client_fixture){.loop = cm_loop_new()};
    const struct cm_dialer_config dial = {0};
    assert_int_equal(cm_dialer_new(&dial, &f->dialer, &err), CM_OK);
    cfg->loop = f->loop;
    cfg->url = cm_str(url);
    cfg->dialer = f->dialer;
    cfg->name = CM_STR("daemon-1");
    cfg->program_version = CM_STR("v1.2.3");
    cfg->tags = tags;
    cfg->n_tags = 2;
    cfg->api_min = 1;
    cfg->api_max = 2;
    cfg->backoff_min = 10 * CM_MSEC;
    cfg->backoff_max = 100 * CM_MSEC;
    cfg->on_state = on_state;
    cfg->ctx = f;
    if (cm_rpc_client_new(cfg, &f->client, &err) != CM_OK)
        fail_msg("%s", err.text);
}

void client_start(struct client_fixture *f, enum client_as as, const char *url)
{
    static const enum cm_rpc_kind kinds[] = {
        [AS_BUILTIN] = CM_RPC_BUILTIN, [AS_AGENT] = CM_RPC_AGENT, [AS_EXTERNAL] = CM_RPC_EXTERNAL};
    struct cm_rpc_client_config cfg = {.kind = kinds[as]};
    if (as == AS_AGENT)
        cfg.token = CM_STR(AGENT_TOKEN);
    if (as == AS_EXTERNAL) {
        cfg.psk_name = CM_STR(PSK_NAME);
        cm_psk_key_from_text(CM_STR(PSK_TEXT), cfg.psk_key);
    }
    start(f, &cfg, url);
}

void client_start_psk(struct client_fixture *f, const char *url, const char *name, const char *text)
{
    struct cm_rpc_client_config cfg = {.kind = CM_RPC_EXTERNAL, .psk_name = cm_str(name)};
    cm_psk_key_from_text(cm_str(text), cfg.psk_key);
    start(f, &cfg, url);
}

void client_stop(struct client_fixture *f)
{
    cm_rpc_client_free(f->client);
    for (int i = 0; i < 3; i++)
        cm_loop_turn(f->loop, 0);
    cm_dialer_free(f->dialer);
    cm_loop_free(f->loop);
}

void until(struct client_fixture *f, const unsigned *flag, unsigned n)
{
    cm_usec give_up = cm_monotonic_now() + 20 * CM_SECOND;
    while (GET(*flag) < n) {
        if (cm_monotonic_now() > give_up)
            fail_msg("waited 20 s; client says: %s", f->err);
        cm_loop_turn(f->loop, 5 * CM_MSEC);
    }
}

static void on_answer(void *ctx, enum cm_code code, const void *reply, const struct cm_err *err)
{
    struct answer *a = ctx;
    const Pair *p = reply;
    a->done++;
    a->code = code;
    assert_true((code == CM_OK) == (p != NULL) && (code == CM_OK) == (err == NULL));
    if (p) {
        snprintf(a->name, sizeof(a->name), "%s", p->name);
        snprintf(a->value, sizeof(a->value), "%s", p->value);
        a->value_len = strlen(p->value);
    } else {
        snprintf(a->err, sizeof(a->err), "%s", err->text);
    }
}

uint64_t call(struct client_fixture *f, const char *method, const char *name, const char *value,
              cm_usec deadline, struct answer *a)
{
    Pair p = CODER__PROVISIONER__V1__PAIR__INIT;
    p.name = (char *)(uintptr_t)name;
    p.value = (char *)(uintptr_t)value;
    const struct cm_rpc_call_opts opts = {.deadline = deadline};
    *a = (struct answer){0};
    return cm_rpc_call(f->client, method, &p.base, &coder__provisioner__v1__pair__descriptor, &opts,
                       on_answer, a);
}

void call_now(struct client_fixture *f, const char *method, const char *name, const char *value,
              cm_usec deadline, struct answer *a)
{
    call(f, method, name, value, deadline, a);
    until(f, &a->done, 1);
    assert_int_equal(a->done, 1);
}

int rpc_pair_setup(void **state)
{
    struct rpc_pair *b = cm_xcalloc(1, sizeof(*b));
    server_start(&b->s, NULL);
    client_start(&b->c, AS_BUILTIN, b->s.url);
    *state = b;
    return 0;
}

int rpc_pair_teardown(void **state)
{
    struct rpc_pair *b = *state;
    client_stop(&b->c);
    server_cleanup(&b->s);
    cm_free(b);
    return 0;
}
