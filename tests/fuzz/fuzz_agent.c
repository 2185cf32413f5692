/* What the agent parses from outside itself: SSH packets before libssh does, requests for
 * terminals, schedules, the kernel's list of sockets, variables in texts. The first byte chooses.
 */
#include "base/arena.h"
#include "env/environ.h"
#include "logs/text.h"
#include "ports/ports.h"
#include "pty/pty.h"
#include "scripts/cron.h"
#include "ssh/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_line(void *ctx, struct cm_str line)
{
    (void)ctx;
    cm_assert(cm_str_find(line, '\n') < 0);
}

/* The same in two pieces, as it may come. */
static void split(struct cm_str in)
{
    struct line_splitter s;
    line_splitter_init(&s, on_line, NULL);
    line_splitter_add(&s, cm_str_sub(in, 0, in.len / 2));
    line_splitter_add(&s, cm_str_sub(in, in.len / 2, in.len));
    line_splitter_end(&s);
    line_splitter_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct cm_str in = cm_str_n(data + 1, size - 1);
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT((size_t)1 << 20);
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    struct listening_port ports[16];
    struct pty_request rq;
    struct cron cron;
    struct cm_time next;
    bool did;
    switch (data[0] % 6) {
    case 0:
        did = ssh_rewrite_channel_open(in, &out);
        cm_assert(!did || out.len > 12);
        break;
    case 1:
        did = ssh_rewrite_global_request(in, &out);
        cm_assert(!did || out.len > 12);
        break;
    case 2:
        cm_ignore(pty_request_parse(in, &rq, &err) != CM_OK, "either is fine");
        break;
    case 3:
        if (cron_parse(in, &cron, &err) == CM_OK && cron_next(&cron, (struct cm_time){0}, &next))
            cm_assert(next.us > 0);
        break;
    case 4:
        cm_assert(listening_ports_parse(in, ports, NULL, CM_COUNT_OF(ports)) <= CM_COUNT_OF(ports));
        break;
    case 5:
        logs_clean(&out, in);
        cm_assert(out.failed || cm_str_is_utf8(cm_buf_view(&out)));
        environ_expand(environ_new(a), a, in);
        split(in);
        break;
    }
    return 0;
}
