#include "remote/stdio.h"

struct stdio_end {
    struct cm_loop *loop;
    struct cm_err err;
};

static void on_pump_done(void *ctx, const struct cm_err *err)
{
    struct stdio_end *e = ctx;
    if (err)
        e->err = *err;
    cm_loop_stop(e->loop);
}

enum cm_code remote_stdio(struct cli *cli, struct remote_link *link, struct report_spec *spec,
                          struct cm_err *err)
{
    struct stdio_end e = {.loop = cm_sdk_loop(cli->sdk)};
    struct pump *p = pump_new(remote_link_open(link, CM_KIND_SSH, ""), 0, 1, on_pump_done, &e);

    spec->pump = p;
    struct report *report = report_new(cli, link, spec);
    cm_loop_run(e.loop);
    report_free(report);
    pump_free(p);
    if (e.err.code == CM_OK)
        return CM_OK;
    *err = e.err;
    return cm_err_wrap(err, "SSH stream");
}
