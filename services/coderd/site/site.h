/* What coderd serves without a database: /healthz, the plain pages for logging in, the agent and
 * CLI binaries under /bin, the icon. All in memory, compressed once; every answer is made on the
 * loop. */
#pragma once

#include "api/request.h"

struct site;

/* bin_dir: where coder and coder-agent lie, to be offered as /bin/coder-linux-ARCH; files that are
 * missing are not offered. */
enum cm_code site_new(const char *bin_dir, struct site **ret, struct cm_err *err);
/* Has a worker compute the files' ETags, which takes longer than all else of a start; until then
 * answers have none. */
void site_fingerprint(struct site *s, struct cm_pool *workers);
void site_free(struct site *s);
CM_DEFINE_CLEANUP(site, site_free)

/* Answers the request if its path is one of these: true. */
bool site_serve(struct site *s, struct api_req *r);
