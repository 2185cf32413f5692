/* Which TCP ports something in the workspace listens on (IPv4, from /proc/net/tcp). */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define PORTS_MAX 1024
#define PORT_MIN  9 /* lower ones are never shown nor forwarded */

struct listening_port {
    uint16_t port;
    char process[32]; /* name, or "" where we may not know */
};

/* Sorted by port, each once. */
CM_MUST_USE enum cm_code ports_list(struct listening_port *out, size_t max, size_t *ret_n,
                                    struct cm_err *err);
/* The same from a file's text (as of /proc/net/tcp), without names; inodes may be NULL. */
size_t listening_ports_parse(struct cm_str text, struct listening_port *out, uint64_t *inodes,
                             size_t max);
