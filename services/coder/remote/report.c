#include "remote/report.h"

#include <unistd.h>

#include "cmd/cmd.h"
#include "sys/fs.h"

/* A command that ends sooner is not worth a call. */
#define USAGE_FIRST  (1 * CM_SECOND)
#define USAGE_EVERY  CM_MINUTE
#define INTERVAL_MIN (100 * CM_MSEC)

struct report {
    struct cli *cli;
    struct report_spec spec;
    struct cm_timer usage, network;
    struct cm_httpc_call *call;
    struct cm_arena *arena; /* of the call */
    struct cm_buf body;
    struct cm_stream *echo;
    cm_usec asked, latency;
    uint64_t in_before, out_before;
    const char *path; /* of the file; NULL: none */
    struct cm_arena *own;
};

static void on_usage(void *ctx, struct cm_httpc_answer *answer, const struct cm_err *err)
{
    struct report *r = ctx;
    (void)err; /* the next one is as good */
    r->call = NULL;
    cm_httpc_answer_free(answer);
}

static void tell_usage(void *ctx)
{
    struct report *r = ctx;
    struct api_post_workspace_usage_request usage = {.agent_id = r->spec.agent};
    struct cm_httpc_req req = {.url = {NULL, 0}};
    int app = 0;

    cm_timer_start(&r->usage, USAGE_EVERY);
    if (r->call)
        return;
    cm_arena_free(r->arena);
    r->arena = cm_arena_new();
    cm_buf_reset(&r->body);
    if (cm_enum_parse(&api_usage_app_name_enum, cm_str(r->spec.app), &app))
        usage.app_name = (enum api_usage_app_name)app;
    cm_json_encode(&r->body, &api_post_workspace_usage_request_msg, &usage);
    const char *path =
        cm_arena_printf(r->arena, "/api/v2/workspaces/%s/usage", cm_uuid_text(r->spec.workspace).s);
    cm_sdk_request(r->cli->sdk, r->arena, path, &req);
    req.method = "POST";
    req.body = cm_buf_view(&r->body);
    req.has_body = true;
    r->call = cm_httpc_start(cm_sdk_http(r->cli->sdk), &req, on_usage, r);
}

/* The file that the IDE reads, under the id of the OpenSSH that runs this program. */
static void tell_network(void *ctx)
{
    struct report *r = ctx;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(4096);
    struct cm_err err;
    uint64_t in, out;
    char byte = 'p';

    cm_timer_start(&r->network, r->spec.interval);
    pump_count(r->spec.pump, &in, &out);
    double seconds = (double)r->spec.interval / CM_SECOND, ms = (double)r->latency / CM_MSEC;
    cm_buf_printf(&text,
                  "{\"p2p\":false,\"latency\":%.3f,\"preferred_derp\":\"Deployment\","
                  "\"derp_latency\":{\"Deployment\":%.3f},\"upload_bytes_sec\":%.0f,"
                  "\"download_bytes_sec\":%.0f,\"using_coder_connect\":false}",
                  ms, ms, (double)(in - r->in_before) / seconds,
                  (double)(out - r->out_before) / seconds);
    r->in_before = in;
    r->out_before = out;
    cm_ignore(cm_fs_write(r->path, cm_buf_view(&text), 0600, false, &err) != CM_OK,
              "the session goes on without it");
    if (!r->asked && !r->echo->failed) {
        r->asked = cm_monotonic_now();
        cm_stream_write(r->echo, &byte, 1);
    }
}

static void on_echo(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct report *r = ctx;
    char byte;

    if (ev != CM_STREAM_DATA || cm_stream_read(s, &byte, 1) != 1)
        return;
    r->latency = CM_MAX(cm_monotonic_now() - r->asked, 1);
    r->asked = 0;
}

struct report *report_new(struct cli *cli, struct remote_link *link, const struct report_spec *spec)
{
    struct report *r = cm_xcalloc(1, sizeof(*r));
    struct cm_loop *loop = cm_sdk_loop(cli->sdk);

    r->cli = cli;
    r->spec = *spec;
    r->spec.interval = CM_MAX(spec->interval, INTERVAL_MIN);
    r->own = cm_arena_new();
    cm_buf_init(&r->body, 4096);
    cm_timer_init(&r->usage, loop, tell_usage, r);
    cm_timer_init(&r->network, loop, tell_network, r);
    if (*spec->app)
        cm_timer_start(&r->usage, USAGE_FIRST);
    if (*spec->dir) {
        cm_ignore(cm_fs_mkdirs(spec->dir, 0700, NULL) != CM_OK, "writing there tells");
        r->path = cm_fs_join(r->own, spec->dir,
                             cm_arena_printf(r->own, "%lld.json", (long long)getppid()));
        r->echo = remote_link_open(link, CM_KIND_ECHO, "");
        cm_stream_set_fn(r->echo, on_echo, r);
        cm_timer_start(&r->network, 0);
    }
    return r;
}

void report_free(struct report *r)
{
    if (!r)
        return;
    cm_timer_done(&r->usage);
    cm_timer_done(&r->network);
    cm_httpc_cancel(CM_TAKE(r->call));
    cm_stream_close(CM_TAKE(r->echo));
    if (r->path)
        unlink(r->path);
    cm_buf_done(&r->body);
    cm_arena_free(r->arena);
    cm_arena_free(r->own);
    cm_free(r);
}
