/* http, https, ws and wss URLs, taken apart by http-parser. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct cm_url {
    bool tls;         /* https, wss */
    const char *host; /* without brackets */
    uint16_t port;    /* 80 or 443 when the text has none */
    bool default_port;
    struct cm_str authority; /* for the Host header: brackets and port as needed */
    struct cm_str target;    /* path and query, at least "/" */
    struct cm_str path;      /* as it was, perhaps "" */
    struct cm_str origin;    /* scheme://authority */
};

/* CM_INVALID says what is wrong with the text, which is at most 8 KiB. A user name or password in
 * it is refused. */
CM_MUST_USE enum cm_code cm_url_parse(struct cm_arena *a, struct cm_str text, struct cm_url *ret,
                                      struct cm_err *err);
