/* One API request on its way: what the front puts in before a handler runs, and how a handler
 * answers.
 *
 * A handler runs on a worker thread with a database connection of its own, reads params, body and
 * who, and either fills the reply with one of the api_reply functions and returns CM_OK, or returns
 * an error, whose code becomes the status and whose text the message. Everything it allocates lives
 * in the arena. It knows nothing of sockets. */
#pragma once

#include "api/route.h"
#include "base/arena.h"
#include "codec/json.h"
#include "db/db.h"
#include "loop/pool.h"
#include "net/http/server.h"

struct coderd;

/* The agent behind an AUTH_AGENT request. */
struct agent_identity {
    struct cm_uuid agent_id, workspace_id, owner_id, build_id;
};

#define API_REPLY_HEADERS_MAX 8

struct api_reply {
    int status; /* 0: nothing said yet */
    const char *content_type;
    struct cm_str body;
    struct cm_http_header headers[API_REPLY_HEADERS_MAX];
    size_t n_headers;
};

struct api_req {
    struct cm_task task;
    struct coderd *app;
    struct cm_http_req *http;
    struct cm_arena *arena;
    const struct route *route;
    struct cm_str params[API_PARAMS_MAX]; /* decoded, in the order of the path */
    const void *body;                     /* of the route's body message */
    struct cm_db *db;                     /* on the worker only */
    const struct subject *who;            /* NULL: anonymous */
    const struct agent_identity *agent;
    const struct cm_uuid *groups; /* of who; see acl.c */
    size_t n_groups;
    bool has_groups;
    struct cm_str token; /* as carried; never logged */
    struct cm_violations violations;
    struct cm_err *failure; /* met while the query was read: see lookup.h; NULL: none */
    bool token_in_cookie;
    bool authorized; /* may() has said yes to the route's rule */
    struct {
        enum cm_code code;
        const char *text;
    } detail;      /* beside the text of an error of that code, should the handler return one */
    bool admitted; /* the caller is known, and within the rate limit, before the body came */
    struct cm_uuid request_id;
    char client_ip[48];
    struct api_reply reply;
    /* ROUTE_STREAM: set by the handler; called on the loop instead of answering. Owns the request
     * from then on. */
    void (*start)(struct api_req *r);
    void *state;
    /* For the front: the auth row of a batch. */
    void *auth;
};

/* ---- authorisation ---- */

/* Puts the route's rule to may() for this object. CM_OK and the request counts as authorised;
 * otherwise CM_NOT_FOUND when the caller may not even read the object (its existence never leaks)
 * and CM_DENIED when it may. */
CM_MUST_USE enum cm_code api_authorize(struct api_req *r, const struct rbac_object *o,
                                       struct cm_err *err);
/* For things whose existence is no secret, such as settings of the deployment: always CM_DENIED. */
CM_MUST_USE enum cm_code api_authorize_known(struct api_req *r, const struct rbac_object *o,
                                             struct cm_err *err);
/* The same for another action than the route's; does not count as the route's rule. */
CM_MUST_USE enum cm_code api_authorize_also(struct api_req *r, enum rbac_action action,
                                            const struct rbac_object *o, struct cm_err *err);
/* For lists: the rule is the predicate of the query, or may() on each row (api_may). Marks the
 * request as authorised. */
void api_authorize_list(struct api_req *r);
bool api_may(const struct api_req *r, enum rbac_action action, const struct rbac_object *o);

/* ---- answers ---- */

enum cm_code api_reply(struct api_req *r, int status, const struct cm_message *msg,
                       const void *value);
enum cm_code api_reply_list(struct api_req *r, int status, const struct cm_message *msg,
                            const void *values, size_t n);
/* {"message": ...}; the detail may be NULL. Violations collected in the request are shown with it.
 */
enum cm_code api_reply_message(struct api_req *r, int status, const char *message,
                               const char *detail);
/* While the database is away every request fails: true once a second, for a line that says so. */
bool api_may_log_unavailable(struct coderd *app);
enum cm_code api_reply_none(struct api_req *r, int status);
enum cm_code api_reply_raw(struct api_req *r, int status, const char *content_type,
                           struct cm_str body);
void api_reply_header(struct api_req *r, const char *name,
                      struct cm_str value); /* value in the arena or static */
/* A validation error about one field: 400 "Validation failed." */
enum cm_code api_reply_invalid(struct api_req *r, const char *message, const char *field,
                               const char *fmt, ...) CM_PRINTF(4, 5);

extern const char API_NOT_FOUND[]; /* the one text for absent and unreadable things */
enum cm_code api_not_found(struct cm_err *err);
/* For what the caller may know of but not do: CM_DENIED. */
enum cm_code api_forbidden(struct api_req *r, struct cm_err *err);

/* ---- input ---- */

/* params[i] as a UUID, or 400. */
CM_MUST_USE enum cm_code api_param_uuid(struct api_req *r, size_t i, struct cm_uuid *ret,
                                        struct cm_err *err);
struct cm_str api_query(struct api_req *r, const char *name);
bool api_query_has(struct api_req *r, const char *name);
/* Query numbers and ids: absent leaves *ret alone; a bad one is collected as a violation. Check
 * with api_query_check. */
void api_query_i64(struct api_req *r, const char *name, int64_t min, int64_t max, int64_t *ret);
void api_query_uuid(struct api_req *r, const char *name, struct cm_uuid *ret);
/* For lists that insist on knowing each parameter: a violation for any other than these (NULL at
 * the end) and those that carry a session. */
void api_query_only(struct api_req *r, const char *const *names);
/* The first failure to look something up, else the violations as 400. */
CM_MUST_USE enum cm_code api_query_check(struct api_req *r, struct cm_err *err);
