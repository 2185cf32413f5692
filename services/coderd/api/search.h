/* The ?q= of lists: key:value tokens and bare words. Source: api-behaviour reference, 2.4. */
#pragma once

#include "api/request.h"

#define SEARCH_TERMS_MAX 32

struct search_term {
    const char *key; /* one of the caller's keys */
    struct cm_str *values;
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
