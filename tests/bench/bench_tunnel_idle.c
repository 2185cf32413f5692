/* What an idle tunnel costs its relay: memory of one more, as a slope, and CPU time for the PINGs
 * of all. A child process holds the agents' ends. Each tunnel has carried a request and a stream
 * before it falls idle. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/sock.h"
#include "net/tunnel/tunnel.h"

static unsigned answered;

static void on_call(void *ctx, struct cm_tunnel_call *c)
{
    (void)ctx;
    if (cm_tunnel_call_protocol(c).len)
        cm_stream_close(cm_tunnel_call_accept(c));
    else
        cm_tunnel_call_respond(c, 200, "text/plain", CM_STR("ports"));
}

static void on_reply(void *ctx, int status, struct cm_str body, const struct cm_err *err)
{
    (void)ctx;
    (void)body;
    cm_assert(!err && status == 200);
    answered++;
}

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    (void)ctx;
    if (ev == CM_STREAM_FAILED || ev == CM_STREAM_EOF)
        cm_stream_close(s);
}

static double resident_kb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f || fscanf(f, "%*s %ld", &pages) != 1)
        return 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void agents(const int *fds, int n)
{
    struct cm_loop *loop = cm_loop_new();
    const struct cm_tunnel_config cfg = {.call = on_call, .ping_interval = -1};
    for (int i = 0; i < n; i++)
        cm_tunnel_server_new(cm_sock_stream_new(loop, fds[i], NULL, true), &cfg);
    cm_loop_run(loop);
}

int main(int argc, char **argv)
{
    int64_t n = 5000;
    if (argc > 1 && (!cm_str_to_i64(cm_str(argv[1]), &n) || n < 10 || n > 20000)) {
        fprintf(stderr, "usage: bench_tunnel_idle [tunnels]\n");
        return 2;
    }
    struct rlimit files = {.rlim_cur = 65536, .rlim_max = 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    cm_loop_global_init();
    int *near = cm_xcalloc((size_t)n, sizeof(int)), *far = cm_xcalloc((size_t)n, sizeof(int));
    for (int64_t i = 0; i < n; i++) {
        int pair[2];
        cm_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        near[i] = pair[0];
        far[i] = pair[1];
    }
    pid_t child = fork();
    if (child == 0) {
        for (int64_t i = 0; i < n; i++)
            close(near[i]);
        agents(far, (int)n);
        _exit(0);
    }
    for (int64_t i = 0; i < n; i++)
        close(far[i]);
    struct cm_loop *loop = cm_loop_new();
    const struct cm_tunnel_config cfg = {0};
    double first = 0;
    for (int64_t i = 0; i < n; i++) {
        struct cm_tunnel *t =
            cm_tunnel_client_new(cm_sock_stream_new(loop, near[i], NULL, false), &cfg);
        const struct cm_tunnel_request r = {
            .method = CM_STR("GET"), .path = CM_STR("/listening-ports"), .done = on_reply};
        cm_tunnel_request(t, &r);
        struct cm_stream *s = cm_tunnel_open(t, CM_STR("tcp"), CM_STR("/localhost:1"), NULL, 0);
        cm_stream_set_fn(s, on_stream, NULL);
        while (answered <= i)
            cm_loop_turn(loop, CM_SECOND);
        if (i == n / 10)
            first = resident_kb();
    }
    for (int i = 0; i < 100; i++)
        cm_loop_turn(loop, 0);
    double slope = (resident_kb() - first) / (double)(n - n / 10 - 1);
    struct cm_err err;
    cm_assert(cm_loop_thread_start(loop, "loop", &err) == CM_OK);
    sleep(3); /* what the turns above have left behind */
    double cpu = cpu_seconds();
    sleep(20);
    cpu = (cpu_seconds() - cpu) / 20;
    printf("%lld idle tunnels: %.1f KB each, PINGs of all %.4f cores\n", (long long)n, slope, cpu);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}
