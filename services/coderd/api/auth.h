/* Who asks: reading credentials from a request and looking them up, many requests in one round
 * trip. Source: api-behaviour reference, 1.1 to 1.4. */
#pragma once

#include "api/request.h"

struct worker;

/* On the loop: fills token and token_in_cookie from the first carrier that has one: cookie, query,
 * header, bearer. */
void auth_read_token(struct api_req *r);
/* The client's address: the peer's, or what a trusted proxy says (X-Forwarded-For). out: 48 bytes.
 */
void auth_client_ip(struct coderd *app, const struct cm_http_req *http, char *out);

/* On a worker: fills who (or agent) of each request; where the route demands one and there is none,
 * the reply is the refusal. */
void auth_resolve(struct worker *w, struct api_req **reqs, size_t n);

/* The text form of a key: 10 characters of id, '-', 22 of secret. */
#define AUTH_KEY_ID_LEN     10
#define AUTH_KEY_SECRET_LEN 22
#define AUTH_KEY_LEN        (AUTH_KEY_ID_LEN + 1 + AUTH_KEY_SECRET_LEN)
/* A fresh key: out has AUTH_KEY_LEN + 1 bytes, hash 32. */
void auth_key_make(char *out, uint8_t *hash);
void auth_sha256(struct cm_str data, uint8_t *out);
