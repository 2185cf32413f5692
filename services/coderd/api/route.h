/* The route table: what each endpoint needs before its handler runs is a column. Zero means unset,
 * and start-up refuses an unset column (router_new). One file per resource lists its rows; routes.c
 * lists the files. */
#pragma once

#include "codec/fields.h"
#include "domain/rbac.h"
#include "net/http/message.h"

struct api_req;

enum route_auth {
    AUTH_UNSET,
    AUTH_NONE,     /* for everybody; nothing is looked up */
    AUTH_OPTIONAL, /* a session is read when there is one; a bad one counts as none */
    AUTH_SESSION,  /* a user's key */
    AUTH_AGENT,    /* a workspace agent's token */
};

enum route_kind {
    ROUTE_UNSET,
    ROUTE_CALL,   /* handler on a worker answers */
    ROUTE_STREAM, /* handler on a worker authorises and loads; then api_req.start takes over on the
                     loop */
    ROUTE_LOOP,   /* handler runs on the loop at once: must not block, needs no session and no
                     database */
};

/* Rate limits count per user (or address) and path, over a sliding minute. */
enum route_limit { LIMIT_API, LIMIT_LOGIN, LIMIT_FILES, LIMIT_NONE };

/* The rule that the route's handler must have put to may() before a success can leave: see
 * api_authorize. */
struct route_rule {
    enum rbac_resource resource;
    enum rbac_action action;
    enum { RULE_UNSET, RULE_OBJECT, RULE_PUBLIC, RULE_SELF } kind;
};
/* may(action) on an object of that type, which the handler loads and names with api_authorize(). */
#define RBAC(res, act)                                                                             \
    {                                                                                              \
        .resource = RBAC_##res, .action = RBAC_do_##act, .kind = RULE_OBJECT                       \
    }
/* No rule: everybody may, by design; each such row says so. */
#define RBAC_PUBLIC                                                                                \
    {                                                                                              \
        .kind = RULE_PUBLIC                                                                        \
    }
/* The caller acts on nothing but its own session or agent. */
#define RBAC_SELF                                                                                  \
    {                                                                                              \
        .kind = RULE_SELF                                                                          \
    }

typedef enum cm_code (*route_handler_fn)(struct api_req *r, struct cm_err *err);

struct route {
    enum cm_http_method method;
    const char *path; /* {name} segments become api_req.params in order; a last segment of * takes
                         the rest */
    enum route_auth auth;
    struct route_rule rule;
    enum route_kind kind;
    route_handler_fn handler;
    const struct cm_message *body; /* decoded before the handler; NULL: none, or read raw */
    const char *summary;
    enum route_limit limit;
    uint64_t body_max; /* bytes; 0: 1 MiB */
    bool spool;        /* body to a file: api_req.http->spool_fd */
};

#define API_PARAMS_MAX 6

struct route_table {
    const struct route *rows;
    size_t n;
};
/* Of api/routes.c, which lists the files. */
const struct route_table *const *route_tables(size_t *ret_n);

/* All rows as text, one a line, for tests and people: method, path, who, rule, kind, body,
 * separated by spaces ("-": none). False when writing fails. */
CM_MUST_USE bool routes_print(int fd);

struct router;
/* CM_INTERNAL for a row with an unset column or two rows for one thing. */
enum cm_code router_new(struct router **ret, struct cm_err *err);
void router_free(struct router *r);
CM_DEFINE_CLEANUP(router, router_free)

struct route_match {
    const struct route *route;            /* NULL: none */
    bool other_method;                    /* the path exists for another method */
    struct cm_str params[API_PARAMS_MAX]; /* not decoded */
    size_t n_params;
};
void router_match(const struct router *r, enum cm_http_method method, struct cm_str path,
                  struct route_match *ret);
