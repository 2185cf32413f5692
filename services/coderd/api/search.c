#include "api/search.h"

#include <ctype.h>

static const char *known_key(const char *const *keys, struct cm_str key)
{
    for (size_t i = 0; keys[i]; i++) {
        if (cm_str_eq_c(key, keys[i]))
            return keys[i];
    }
    return NULL;
}

static struct search_term *term_of(struct search *s, const char *key)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->terms[i].key == key)
            return &s->terms[i];
    }
    if (s->n == SEARCH_TERMS_MAX)
        return NULL;
    s->terms[s->n] = (struct search_term){.key = key};
    return &s->terms[s->n++];
}

static void add_value(struct cm_arena *a, struct search_term *t, struct cm_str v)
{
    struct cm_str *grown = CM_NEW_ARRAY(a, struct cm_str, t->n + 1);
    if (t->n)
        memcpy(grown, t->values, t->n * sizeof(*grown));
    grown[t->n++] = v;
    t->values = grown;
}

static struct cm_str unquote(struct cm_arena *a, struct cm_str s)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(s.len + 1);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '"')
            cm_buf_char(&b, s.ptr[i]);
    }
    return cm_arena_str(a, cm_buf_view(&b));
}

/* The next token: up to a space outside double quotes. */
static struct cm_str next_token(struct cm_str *rest, ptrdiff_t *ret_colon, int *ret_colons)
{
    while (rest->len && rest->ptr[0] == ' ')
        *rest = cm_str_sub(*rest, 1, rest->len);
    size_t i = 0;
    bool quoted = false;
    *ret_colon = -1;
    *ret_colons = 0;
    for (; i < rest->len && (quoted || rest->ptr[i] != ' '); i++) {
        if (rest->ptr[i] == '"')
            quoted = !quoted;
        if (rest->ptr[i] == ':' && !quoted) {
            if (*ret_colon < 0)
                *ret_colon = (ptrdiff_t)i;
            (*ret_colons)++;
        }
    }
    struct cm_str token = cm_str_sub(*rest, 0, i);
    *rest = cm_str_sub(*rest, i, rest->len);
    return token;
}

static void add_pair(struct api_req *r, struct cm_str key, struct cm_str value,
                     const char *const *keys, struct search *s)
{
    const char *k = known_key(keys, key);
    struct search_term *t = k ? term_of(s, k) : NULL;
    if (!t) {
        cm_violations_add(&r->violations, r->arena, key, "\"%.*s\" is not a search key here",
                          CM_STR_ARG(key));
        return;
    }
    struct cm_str one;
    bool list = cm_str_find(value, '"') < 0;
    while (list && value.ptr) {
        value = cm_str_split(value, ',', &one);
        add_value(r->arena, t, one);
    }
    if (!list)
        add_value(r->arena, t, unquote(r->arena, value));
}

void search_parse(struct api_req *r, struct cm_str q, const char *const *keys,
                  const char *default_key, struct search *ret)
{
    *ret = (struct search){0};
    if (!q.len)
        return;
    char *lower = cm_arena_cstr(r->arena, q);
    for (char *p = lower; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    struct cm_str rest = cm_str_n(lower, q.len), words = CM_STR_NONE;
    while (cm_str_trim(rest).len) {
        ptrdiff_t colon;
        int colons;
        struct cm_str token = next_token(&rest, &colon, &colons);
        if (colons > 1 || colon == 0 ||
            (colon > 0 && (size_t)colon + 1 == token.len && token.len > 1 && colons == 1)) {
            /* "name:" alone is an empty value, as the reference has it; any other misplaced colon
             * is an error. */
            if (colons > 1 || colon == 0) {
                cm_violations_add(&r->violations, r->arena, CM_STR("q"),
                                  "\"%.*s\" must have the form key:value; put values with colons "
                                  "in double quotes",
                                  CM_STR_ARG(token));
                continue;
            }
        }
        if (colon > 0)
            add_pair(r, cm_str_sub(token, 0, (size_t)colon),
                     cm_str_sub(token, (size_t)colon + 1, token.len), keys, ret);
        else if (token.len)
            words = words.len ? cm_arena_fmt(r->arena, "%.*s %.*s", CM_STR_ARG(words),
                                             CM_STR_ARG(unquote(r->arena, token)))
                              : unquote(r->arena, token);
    }
    if (!words.len)
        return;
    if (default_key) {
        struct search_term *t = term_of(ret, known_key(keys, cm_str(default_key)));
        if (t)
            add_value(r->arena, t, words);
    } else {
        cm_violations_add(&r->violations, r->arena, CM_STR("q"),
                          "\"%.*s\" must have the form key:value", CM_STR_ARG(words));
    }
}
