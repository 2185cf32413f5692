/* What is told about a session while it lasts: its use to the deployment, which keeps the workspace
 * awake, and its speed to the IDE that started this program. Lives on the session's loop. */
#pragma once

#include "remote/link.h"
#include "remote/pump.h"

struct report_spec {
    struct cm_uuid workspace, agent;
    const char *app;         /* of the API's names; "": the deployment is told nothing */
    const char *dir;         /* of network information; "": none */
    cm_usec interval;        /* between two of its files */
    const struct pump *pump; /* with dir: whose bytes are counted */
};

struct report;
struct report *report_new(struct cli *cli, struct remote_link *link,
                          const struct report_spec *spec);
void report_free(struct report *r);
CM_DEFINE_CLEANUP(report, report_free)
