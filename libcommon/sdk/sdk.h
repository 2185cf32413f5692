/* A client of coderd's API: one session (URL, token, headers), calls typed by the field tables of
 * proto/api, and answers of refusal as errors with all that the server said. Blocking calls drive
 * the session's own loop, so they are for programs that do nothing else meanwhile; the loop and the
 * HTTP client are there for the others. */
#pragma once

#include "codec/json.h"
#include "net/dial/http_client.h"

struct cm_sdk;

struct cm_sdk_config {
    const char *url;                       /* http:// or https://, a path is allowed */
    const char *token;                     /* "" or NULL: none */
    const struct cm_httpc_header *headers; /* sent with each request, besides */
    size_t n_headers;
    const char *user_agent;
    struct cm_dialer_config dialer;
    cm_usec timeout; /* of a call; 0: 60 s */
    /* Sees every answer, for what its headers say about the server. May be NULL. */
    void (*on_answer)(void *ctx, const struct cm_httpc_answer *answer);
    void *ctx;
};

/* All texts are copied. */
CM_MUST_USE enum cm_code cm_sdk_new(const struct cm_sdk_config *cfg, struct cm_sdk **ret,
                                    struct cm_err *err);
void cm_sdk_free(struct cm_sdk *s);
CM_DEFINE_CLEANUP(cm_sdk, cm_sdk_free)

const char *cm_sdk_url(const struct cm_sdk *s); /* without a slash at the end */
void cm_sdk_set_token(struct cm_sdk *s, const char *token);
struct cm_loop *cm_sdk_loop(struct cm_sdk *s);
struct cm_httpc *cm_sdk_http(struct cm_sdk *s);
/* Fills url, headers and n_headers of a request for path, in the arena. */
void cm_sdk_request(const struct cm_sdk *s, struct cm_arena *a, const char *path,
                    struct cm_httpc_req *ret);

/* What the server said in its last refusal; until the next call. Its line (method, URL, status,
 * message) is what a cm_err of that call ends with. */
struct cm_sdk_refusal {
    int status;
    const char *method, *url, *message, *detail, *helper; /* helper: what to do, or "" */
    const struct cm_violation *validations;
    size_t n_validations;
    const char *line;
};
const struct cm_sdk_refusal *cm_sdk_refusal(
    const struct cm_sdk *s); /* NULL: the last call was not refused */

/* One part of a path: percent-encoded. */
const char *cm_sdk_part(struct cm_arena *a, struct cm_str s);

/* Paths are formats, "/api/v2/users/%s". Results live in the arena. out NULL: any 2xx answer will
 * do. */
CM_MUST_USE enum cm_code cm_sdk_get(struct cm_sdk *s, struct cm_arena *a,
                                    const struct cm_message *out, void *ret, struct cm_err *err,
                                    const char *path, ...) CM_PRINTF(6, 7);
CM_MUST_USE enum cm_code cm_sdk_get_list(struct cm_sdk *s, struct cm_arena *a,
                                         const struct cm_message *out, void *ret, size_t *ret_n,
                                         struct cm_err *err, const char *path, ...) CM_PRINTF(7, 8);
/* in NULL: without a body. */
CM_MUST_USE enum cm_code cm_sdk_send(struct cm_sdk *s, struct cm_arena *a, const char *method,
                                     const struct cm_message *in, const void *body,
                                     const struct cm_message *out, void *ret, struct cm_err *err,
                                     const char *path, ...) CM_PRINTF(9, 10);
/* Bytes as they are. body and ret may be NULL. */
CM_MUST_USE enum cm_code cm_sdk_raw(struct cm_sdk *s, struct cm_arena *a, const char *method,
                                    const char *content_type, const struct cm_str *body,
                                    struct cm_str *ret, struct cm_err *err, const char *path, ...)
    CM_PRINTF(8, 9);

/* Follows a WebSocket of the API: each message goes to on_message, until the server closes in good
 * order (CM_OK), on_message returns false (CM_CANCELED), or it breaks. Blocking. */
CM_MUST_USE enum cm_code cm_sdk_follow(struct cm_sdk *s,
                                       bool (*on_message)(void *ctx, struct cm_str message),
                                       void *ctx, struct cm_err *err, const char *path, ...)
    CM_PRINTF(5, 6);
/* The same without waiting. done runs once, on the session's loop, unless stopped first. */
struct cm_sdk_follower;
struct cm_sdk_follower *cm_sdk_follow_start(struct cm_sdk *s,
                                            bool (*on_message)(void *ctx, struct cm_str message),
                                            void (*done)(void *ctx, const struct cm_err *err),
                                            void *ctx, const char *path);
void cm_sdk_follow_stop(struct cm_sdk_follower *f); /* NULL is fine */
