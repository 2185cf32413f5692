/* The ?q= of lists: key:value tokens and bare words. Source: api-behaviour reference, 2.4. */
#pragma once

#include "api/request.h"

#define SEARCH_TERMS_MAX 32

struct search_term {
    const char *key;       /* one of the caller's keys */
    struct cm_str *values; /* at least one */
    size_t n;
};

struct search {
    struct search_term terms[SEARCH_TERMS_MAX];
    size_t n;
};

/* keys: NULL at the end. Bare words are joined with spaces into default_key (NULL: none allowed).
 * Everything is lower-cased first. Mistakes become violations of the request, with the key as
 * field. */
void search_parse(struct api_req *r, struct cm_str q, const char *const *keys,
                  const char *default_key, struct search *ret);
/* The term of that key, or NULL. */
const struct search_term *search_get(const struct search *s, const char *key);

/* Values of one key; NULL (the filter is absent) when the key is not there, or when its value is
 * none of that type, which becomes a violation. In the arena. */
struct cm_str search_text(const struct search *s, const char *key); /* ptr NULL when absent */
const bool *search_bool(struct api_req *r, const struct search *s, const char *key);
const int64_t *search_int(struct api_req *r, const struct search *s, const char *key);
const struct cm_uuid *search_uuid(struct api_req *r, const struct search *s, const char *key);
const struct cm_time *search_time(struct api_req *r, const struct search *s, const char *key);
/* A violation for each value that is none of the enum. */
void search_check_enum(struct api_req *r, const struct search_term *t, const struct cm_enum *en);
/* An organization by name or id; one that there is not finds nothing. */
const struct cm_uuid *search_org(struct api_req *r, const struct search *s, const char *key);
