/* What --tcp and --udp say: pairs of a local address and a remote port. */
#pragma once

#include "conf/conf.h"

#define PORTS_MAX 4096

struct port_pair {
    const char *local_ip; /* "" : 127.0.0.1 and, where there is one, ::1 */
    uint16_t local, remote;
};

struct port_list {
    struct port_pair v[PORTS_MAX];
    size_t n;
};

/* One element, "[ip:]local[-end][:remote[-end]]", appended. The same local address twice is
 * CM_INVALID. */
CM_MUST_USE enum cm_code ports_parse(struct cm_arena *a, const char *text, struct port_list *list,
                                     struct cm_err *err);
