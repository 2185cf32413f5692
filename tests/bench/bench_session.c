/* Bytes and round trips through a client session: client -> relay -> agent, each on a loop and
 * thread of its own, with TCP on loopback in between, beside the same three hops without a session:
 * bytes spliced by the relay as they are, and TLS end to end through that splice (what a session
 * promises, without streams and resumption). When socat is installed, its chain of three processes
 * with OpenSSL is the foreign peer. Prints one line a row, with ratios. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <openssl/ssl.h>

#include "net/session/session.h"
#include "net/session/tls.h"
#include "net/sock.h"

#define PINGS 2000

extern char **environ;

enum mode { MODE_SPLICE, MODE_TLS, MODE_SESSION };

struct run {
    enum mode mode;
    bool download; /* the agent sends */
    bool pings;
    size_t bytes;
    struct cm_loop *client, *relay, *agent;
    struct cm_session_identity *client_id, *agent_id;
    struct cm_ticket_key *key;
    struct cm_ticket ticket;
    struct cm_session_server *server;
    struct cm_session_client *session;
    struct cm_tunnel *relay_tunnel, *agent_tunnel;
    int client_fd, relay_fd[2], agent_fd; /* client - relay[0], relay[1] - agent */
    struct cm_stream *near, *far;         /* what the client and the agent hold */
    size_t sent, got;
    unsigned pongs;
    cm_usec began, ended, asked, rtt[PINGS];
    sem_t done;
};

static char block[256 * 1024];

static void tcp_pair(int ret[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int l = socket(AF_INET, SOCK_STREAM, 0);
    cm_assert(l >= 0 && bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 1) == 0 &&
              getsockname(l, (struct sockaddr *)&a, &len) == 0);
    ret[0] = socket(AF_INET, SOCK_STREAM, 0);
    cm_assert(ret[0] >= 0 && connect(ret[0], (struct sockaddr *)&a, sizeof(a)) == 0);
    ret[1] = accept(l, NULL, NULL);
    cm_assert(ret[1] >= 0);
    close(l);
    cm_sock_tune(ret[0]);
    cm_sock_tune(ret[1]);
}

static void die(const char *what, const struct cm_err *err)
{
    fprintf(stderr, "%s: %s\n", what, err ? err->text : "");
    exit(1);
}

static void feed(struct run *r, struct cm_stream *s)
{
    while (r->sent < r->bytes && cm_stream_unsent(s) < CM_STREAM_HIGH) {
        size_t n = CM_MIN(sizeof(block), r->bytes - r->sent);
        struct evbuffer *b = evbuffer_new();
        evbuffer_add_reference(b, block, n, NULL, NULL);
        cm_stream_send(s, b);
        evbuffer_free(b);
        r->sent += n;
    }
    if (r->sent == r->bytes)
        cm_stream_finish(s);
}

static void ping(struct run *r)
{
    r->asked = cm_monotonic_now();
    cm_stream_write(r->near, "k", 1);
}

static void drain(struct run *r, struct cm_stream *s)
{
    struct evbuffer *in = cm_stream_input(s);
    size_t n = evbuffer_get_length(in);
    r->got += n;
    evbuffer_drain(in, n);
    cm_stream_consumed(s, n);
    if (r->got == r->bytes) {
        r->ended = cm_monotonic_now();
        sem_post(&r->done);
    }
}

static void on_near(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct run *r = ctx;
    char c[16];
    switch (ev) {
    case CM_STREAM_DATA:
        if (!r->pings) {
            drain(r, s);
            break;
        }
        cm_stream_read(s, c, sizeof(c));
        r->rtt[r->pongs++] = cm_monotonic_now() - r->asked;
        if (r->pongs < PINGS)
            ping(r);
        else
            sem_post(&r->done);
        break;
    case CM_STREAM_DRAINED:
        if (!r->pings && !r->download)
            feed(r, s);
        break;
    case CM_STREAM_EOF:
        break;
    case CM_STREAM_FAILED:
        die("client's stream", cm_stream_err(s));
    }
}

static void on_far(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct run *r = ctx;
    struct evbuffer *in = cm_stream_input(s);
    size_t n = evbuffer_get_length(in);
    switch (ev) {
    case CM_STREAM_DATA:
        if (r->pings) {
            cm_stream_send(s, in);
            cm_stream_consumed(s, n);
        } else if (!r->download) {
            drain(r, s);
        } else {
            /* the first byte asks for the download */
            evbuffer_drain(in, n);
            cm_stream_consumed(s, n);
            feed(r, s);
        }
        break;
    case CM_STREAM_DRAINED:
        if (r->download && r->sent)
            feed(r, s);
        break;
    case CM_STREAM_EOF:
        break;
    case CM_STREAM_FAILED:
        if (r->got < r->bytes && !r->pings)
            die("agent's stream", cm_stream_err(s));
    }
}

static void start_near(struct run *r, struct cm_stream *s)
{
    r->near = s;
    cm_stream_set_fn(s, on_near, r);
    r->began = cm_monotonic_now();
    if (r->pings)
        ping(r);
    else if (r->download)
        cm_stream_write(s, "g", 1);
    else
        feed(r, s);
}

static void on_accept(void *ctx, struct cm_tunnel_call *call, enum cm_kind kind, struct cm_str arg,
                      const struct cm_ticket *who)
{
    (void)kind;
    (void)arg;
    (void)who;
    struct run *r = ctx;
    r->far = cm_tunnel_call_accept(call);
    cm_stream_set_fn(r->far, on_far, r);
}

static void on_call(void *ctx, struct cm_tunnel_call *call)
{
    cm_session_server_call(((struct run *)ctx)->server, call);
}

static struct cm_stream *tls(struct run *r, struct cm_stream *lower, bool server)
{
    struct cm_err err;
    struct ssl_st *ssl;
    const struct cm_session_identity *mine = server ? r->agent_id : r->client_id;
    const struct cm_session_identity *other = server ? r->client_id : r->agent_id;
    if (cm_session_identity_ssl(mine, cm_session_identity_sha256(other), &ssl, &err) != CM_OK)
        die("TLS", &err);
    return cm_tls_stream_new(lower, ssl, server, NULL, NULL);
}

static void agent_start(void *arg)
{
    struct run *r = arg;
    struct cm_stream *s = cm_sock_stream_new(r->agent, r->agent_fd, NULL, true);
    if (r->mode != MODE_SESSION) {
        r->far = r->mode == MODE_TLS ? tls(r, s, true) : s;
        cm_stream_set_fn(r->far, on_far, r);
        return;
    }
    const struct cm_session_server_config sc = {
        .id = r->agent_id, .agent_id = r->ticket.agent_id, .accept = on_accept, .ctx = r};
    const struct cm_ticket_public pub = cm_ticket_key_public(r->key);
    r->server = cm_session_server_new(r->agent, &sc);
    cm_session_server_set_keys(r->server, &pub, 1);
    const struct cm_tunnel_config tc = {.call = on_call, .ctx = r};
    r->agent_tunnel = cm_tunnel_server_new(s, &tc);
}

static void relay_start(void *arg)
{
    struct run *r = arg;
    struct cm_stream *to_agent = cm_sock_stream_new(r->relay, r->relay_fd[1], NULL, false);
    struct cm_stream *from_client = cm_sock_stream_new(r->relay, r->relay_fd[0], NULL, true);
    if (r->mode == MODE_SESSION) {
        const struct cm_tunnel_config tc = {.ctx = r};
        CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(CM_TICKET_TEXT_MAX);
        struct cm_err err;
        char path[CM_SESSION_PATH_TEXT];
        if (cm_ticket_mint(r->key, &r->ticket, &text, &err) != CM_OK)
            die("ticket", &err);
        const struct cm_tunnel_header h = {CM_STR(CM_SESSION_TICKET_HEADER), cm_buf_view(&text)};
        r->relay_tunnel = cm_tunnel_client_new(to_agent, &tc);
        to_agent =
            cm_tunnel_open(r->relay_tunnel, CM_STR(CM_SESSION_PROTOCOL),
                           cm_str(cm_session_path_format(r->ticket.user_id, 0, path)), &h, 1);
    }
    cm_splice_new(from_client, to_agent, NULL, NULL);
}

static void on_open_path(void *ctx, struct cm_session_client *s, struct cm_uuid carrier,
                         uint64_t offset)
{
    (void)carrier;
    (void)offset;
    struct run *r = ctx;
    cm_session_client_path(s, cm_sock_stream_new(r->client, r->client_fd, NULL, false));
}

static void on_state(void *ctx, struct cm_session_client *s, enum cm_session_state state,
                     const struct cm_err *why)
{
    (void)s;
    struct run *r = ctx;
    if (state == CM_SESSION_UP)
        start_near(r, cm_session_open(r->session, CM_KIND_SPEEDTEST, CM_STR("")));
    else
        die("session", why);
}

static void client_start(void *arg)
{
    struct run *r = arg;
    if (r->mode != MODE_SESSION) {
        struct cm_stream *s = cm_sock_stream_new(r->client, r->client_fd, NULL, false);
        start_near(r, r->mode == MODE_TLS ? tls(r, s, false) : s);
        return;
    }
    struct cm_session_client_config cc = {
        .id = r->client_id, .open_path = on_open_path, .state = on_state, .ctx = r};
    memcpy(cc.agent_cert_sha256, cm_session_identity_sha256(r->agent_id), CM_SHA256_LEN);
    r->session = cm_session_client_new(r->client, &cc);
}

static void on_gone(void *arg)
{
    sem_post(&((struct run *)arg)->done);
}

static void client_stop(void *arg)
{
    struct run *r = arg;
    cm_stream_close(r->near);
    if (r->session)
        cm_session_client_leave(r->session, on_gone, r);
    else
        sem_post(&r->done);
}

static void agent_stop(void *arg)
{
    struct run *r = arg;
    cm_stream_close(r->far);
    cm_session_server_free(r->server);
    cm_tunnel_free(r->agent_tunnel);
    sem_post(&r->done);
}

static void relay_stop(void *arg)
{
    struct run *r = arg;
    cm_tunnel_free(r->relay_tunnel);
    sem_post(&r->done);
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int by_time(const void *a, const void *b)
{
    const cm_usec *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* MB/s, or with pings the median round trip in microseconds. */
static double run(enum mode mode, bool download, bool pings, size_t bytes, double *cpu)
{
    struct run *r = cm_xcalloc(1, sizeof(*r));
    struct cm_err err;
    uint8_t raw[32];
    *r = (struct run){.mode = mode, .download = download, .pings = pings, .bytes = bytes};
    sem_init(&r->done, 0, 0);
    int a[2], b[2];
    tcp_pair(a);
    tcp_pair(b);
    r->client_fd = a[0];
    r->relay_fd[0] = a[1];
    r->relay_fd[1] = b[0];
    r->agent_fd = b[1];
    cm_ticket_key_random(raw);
    if (cm_session_identity_new(&r->client_id, &err) != CM_OK ||
        cm_session_identity_new(&r->agent_id, &err) != CM_OK ||
        cm_ticket_key_new(raw, &r->key, &err) != CM_OK)
        die("keys", &err);
    r->ticket = (struct cm_ticket){.user_id = cm_uuid_random(),
                                   .agent_id = cm_uuid_random(),
                                   .user_name = "bench",
                                   .kinds = CM_KINDS_ALL,
                                   .issued_at = cm_time_now(),
                                   .expires_at = cm_time_add(cm_time_now(), CM_MINUTE)};
    memcpy(r->ticket.client_cert_sha256, cm_session_identity_sha256(r->client_id), CM_SHA256_LEN);
    struct cm_loop **loops[] = {&r->client, &r->relay, &r->agent};
    const char *const names[] = {"client", "relay", "agent"};
    for (int i = 0; i < 3; i++) {
        *loops[i] = cm_loop_new();
        if (cm_loop_thread_start(*loops[i], names[i], &err) != CM_OK)
            die("thread", &err);
    }
    double before = cpu_seconds();
    cm_loop_post(r->agent, agent_start, r);
    cm_loop_post(r->relay, relay_start, r);
    cm_loop_post(r->client, client_start, r);
    sem_wait(&r->done);
    *cpu = cpu_seconds() - before;
    double result = (double)bytes / (double)(r->ended - r->began);
    if (pings) {
        qsort(r->rtt, PINGS, sizeof(r->rtt[0]), by_time);
        result = (double)r->rtt[PINGS / 2];
    }
    cm_loop_post(r->client, client_stop, r);
    sem_wait(&r->done);
    cm_loop_post(r->agent, agent_stop, r);
    sem_wait(&r->done);
    cm_loop_post(r->relay, relay_stop, r);
    sem_wait(&r->done);
    for (int i = 0; i < 3; i++) {
        cm_loop_thread_join(*loops[i]);
        cm_loop_free(*loops[i]);
    }
    cm_session_identity_free(r->client_id);
    cm_session_identity_free(r->agent_id);
    cm_ticket_key_free(r->key);
    sem_destroy(&r->done);
    cm_free(r);
    return result;
}

static pid_t spawn(const char *const argv[])
{
    pid_t pid;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ) != 0)
        die("spawn", NULL);
    return pid;
}

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    cm_assert(s >= 0 && bind(s, (struct sockaddr *)&a, sizeof(a)) == 0 &&
              getsockname(s, (struct sockaddr *)&a, &len) == 0);
    close(s);
    return ntohs(a.sin_port);
}

static void wait_listening(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.sin_port = htons((uint16_t)port);
    for (int i = 0; i < 5000; i++) {
        /* A second bind fails as soon as somebody listens: a connect would be taken for the
         * transfer. */
        int s = socket(AF_INET, SOCK_STREAM, 0);
        int busy = bind(s, (struct sockaddr *)&a, sizeof(a)) != 0;
        close(s);
        if (busy)
            return;
        usleep(1000);
    }
    die("socat does not listen", NULL);
}

/* socat with OpenSSL at both ends and a socat between them. 0 when there is none. */
static double socat(size_t bytes)
{
    if (access("/usr/bin/socat", X_OK) != 0 || access("/usr/bin/openssl", X_OK) != 0)
        return 0;
    char dir[] = "/tmp/bench-session-XXXXXX", pem[64], listen1[128], listen2[64], relay[64],
         source[64], dial[96];
    if (!mkdtemp(dir))
        die("mkdtemp", NULL);
    snprintf(pem, sizeof(pem), "%s/peer.pem", dir);
    const char *const make_cert[] = {
        "sh", "-c",
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=b "
        "-keyout \"$0.key\" -out \"$0.crt\" 2>/dev/null; cat \"$0.key\" \"$0.crt\" > \"$0\"",
        pem, NULL};
    int status;
    waitpid(spawn(make_cert), &status, 0);
    int p1 = free_port(), p2 = free_port();
    snprintf(listen1, sizeof(listen1), "OPENSSL-LISTEN:%d,bind=127.0.0.1,cert=%s,verify=0", p1,
             pem);
    snprintf(listen2, sizeof(listen2), "TCP-LISTEN:%d,bind=127.0.0.1", p2);
    snprintf(relay, sizeof(relay), "TCP:127.0.0.1:%d", p1);
    snprintf(source, sizeof(source), "OPEN:/dev/zero,readbytes=%zu", bytes);
    snprintf(dial, sizeof(dial), "OPENSSL:127.0.0.1:%d,verify=0", p2);
    const char *const sink_argv[] = {"socat", "-u", "-b262144", listen1, "OPEN:/dev/null", NULL};
    const char *const relay_argv[] = {"socat", "-b262144", listen2, relay, NULL};
    const char *const source_argv[] = {"socat", "-u", "-b262144", source, dial, NULL};
    pid_t sink = spawn(sink_argv), middle = spawn(relay_argv);
    wait_listening(p1);
    wait_listening(p2);
    cm_usec began = cm_monotonic_now();
    pid_t src = spawn(source_argv);
    waitpid(src, &status, 0);
    waitpid(sink, &status, 0);
    double mb = (double)bytes / (double)(cm_monotonic_now() - began);
    kill(middle, SIGTERM);
    waitpid(middle, &status, 0);
    const char *const rm[] = {"rm", "-rf", dir, NULL};
    waitpid(spawn(rm), &status, 0);
    return mb;
}

int main(int argc, char **argv)
{
    int64_t mb = 2000;
    bool only_session = argc > 2;
    if (argc > 1 && (!cm_str_to_i64(cm_str(argv[1]), &mb) || mb < 1)) {
        fprintf(stderr, "usage: bench_session [megabytes [session-only]]\n");
        return 2;
    }
    cm_loop_global_init();
    signal(SIGPIPE, SIG_IGN);
    size_t bytes = (size_t)mb * 1000000;
    static const char *const names[] = {"splice", "splice+tls", "session"};
    double base[3] = {0};
    for (enum mode m = only_session ? MODE_SESSION : MODE_SPLICE; m <= MODE_SESSION; m++) {
        double cpu, up = run(m, false, false, bytes, &cpu);
        double cpu_down, down = run(m, true, false, bytes, &cpu_down), cpu_rtt;
        double rtt = run(m, false, true, 0, &cpu_rtt);
        base[m] = up;
        printf("%-10s  upload %6.0f MB/s (%.2f CPU-s/GB)  download %6.0f MB/s (%.2f CPU-s/GB)  "
               "round trip %4.0f us\n",
               names[m], up, cpu * 1e9 / (double)bytes, down, cpu_down * 1e9 / (double)bytes, rtt);
        fflush(stdout);
    }
    if (only_session)
        return 0;
    double foreign = socat(bytes);
    if (foreign > 0)
        printf("%-10s  upload %6.0f MB/s\n", "socat+tls", foreign);
    printf("session / splice+tls: %.2f\n", base[MODE_SESSION] / base[MODE_TLS]);
    if (foreign > 0)
        printf("session / socat+tls:  %.2f\n", base[MODE_SESSION] / foreign);
    return 0;
}
