/* URLs as Go's net/url reads and writes them, which is what decides whether a template's url or
 * icon is accepted and what coder_workspace.access_url says. It takes nearly anything; see the
 * parser for what it refuses. */
#pragma once

#include "schema/call.h"

struct gourl {
    struct cm_str scheme; /* lower case, may be empty */
    struct cm_str opaque; /* what follows scheme: without a slash; the rest is then empty */
    bool has_authority;
    struct cm_str userinfo, host; /* as written; host with its port */
    struct cm_str port;           /* of host; may be empty */
    struct cm_str path, query, fragment;
    bool has_query, has_fragment;
};

/* False: *ret_why says why, in Go's words without the leading `parse "...": `. All memory is the
 * call's. */
CM_MUST_USE bool gourl_parse(struct call *c, struct cm_str text, struct gourl *ret,
                             struct cm_str *ret_why);
struct cm_str gourl_format(struct call *c, const struct gourl *u);
/* The root of the same site: scheme://user@host/ */
struct cm_str gourl_root(struct call *c, const struct gourl *u);
