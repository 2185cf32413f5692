#include "api/search.h"

#include <ctype.h>

#include "api/lookup.h"

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

/* Up to the first c outside double quotes: *head is what is before it, the result what is after,
 * with ptr NULL when there is none. */
static struct cm_str split_unquoted(struct cm_str s, char c, struct cm_str *head)
{
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"')
            quoted = !quoted;
        if (s.ptr[i] == c && !quoted) {
            *head = cm_str_sub(s, 0, i);
            return cm_str_sub(s, i + 1, s.len);
        }
    }
    *head = s;
    return CM_STR_NONE;
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
    while (value.ptr) {
        struct cm_str one;
        value = split_unquoted(value, ',', &one);
        add_value(r->arena, t, unquote(r->arena, one));
    }
}

/* key:value, or a bare word, which the result is. */
static struct cm_str read_token(struct api_req *r, struct cm_str token, const char *const *keys,
                                struct search *s)
{
    struct cm_str key, more;
    struct cm_str value = split_unquoted(token, ':', &key);
    if (!value.ptr)
        return unquote(r->arena, token);
    if (!key.len || !value.len || split_unquoted(value, ':', &more).ptr)
        cm_violations_add(&r->violations, r->arena, CM_STR("q"),
                          "\"%.*s\" must have the form key:value; put values with colons in double "
                          "quotes",
                          CM_STR_ARG(token));
    else
        add_pair(r, key, value, keys, s);
    return CM_STR_NONE;
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
    struct cm_str rest = cm_str(lower), words = CM_STR_NONE, token;
    while (rest.ptr) {
        rest = split_unquoted(rest, ' ', &token);
        struct cm_str word = token.len ? read_token(r, token, keys, ret) : CM_STR_NONE;
        if (word.len)
            words = words.len
                        ? cm_arena_fmt(r->arena, "%.*s %.*s", CM_STR_ARG(words), CM_STR_ARG(word))
                        : word;
    }
    if (!words.len)
        return;
    struct search_term *t = default_key ? term_of(ret, known_key(keys, cm_str(default_key))) : NULL;
    if (t)
        add_value(r->arena, t, words);
    else
        cm_violations_add(&r->violations, r->arena, CM_STR("q"),
                          "\"%.*s\" must have the form key:value", CM_STR_ARG(words));
}

const struct search_term *search_get(const struct search *s, const char *key)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->terms[i].key, key) == 0)
            return &s->terms[i];
    }
    return NULL;
}

struct cm_str search_text(const struct search *s, const char *key)
{
    const struct search_term *t = search_get(s, key);
    return t ? t->values[0] : CM_STR_NONE;
}

const bool *search_bool(struct api_req *r, const struct search *s, const char *key)
{
    static const bool yes = true, no = false;
    struct cm_str v = search_text(s, key);
    if (cm_str_eq_c(v, "true") || cm_str_eq_c(v, "1"))
        return &yes;
    if (cm_str_eq_c(v, "false") || cm_str_eq_c(v, "0"))
        return &no;
    if (v.ptr)
        cm_violations_add(&r->violations, r->arena, cm_str(key), "must be true or false");
    return NULL;
}

const int64_t *search_int(struct api_req *r, const struct search *s, const char *key)
{
    struct cm_str v = search_text(s, key);
    int64_t *n = CM_NEW(r->arena, int64_t);
    if (v.ptr && cm_str_to_i64(v, n))
        return n;
    if (v.ptr)
        cm_violations_add(&r->violations, r->arena, cm_str(key), "must be a number");
    return NULL;
}

const struct cm_uuid *search_uuid(struct api_req *r, const struct search *s, const char *key)
{
    struct cm_str v = search_text(s, key);
    struct cm_uuid *id = CM_NEW(r->arena, struct cm_uuid);
    if (v.ptr && cm_uuid_parse(v, id))
        return id;
    if (v.ptr)
        cm_violations_add(&r->violations, r->arena, cm_str(key), "must be a UUID");
    return NULL;
}

const struct cm_time *search_time(struct api_req *r, const struct search *s, const char *key)
{
    struct cm_str v = search_text(s, key);
    struct cm_time *t = CM_NEW(r->arena, struct cm_time);
    if (v.ptr && cm_time_parse(v, t))
        return t;
    if (v.ptr)
        cm_violations_add(&r->violations, r->arena, cm_str(key),
                          "must be a time such as \"2026-01-31T00:00:00Z\", in double quotes");
    return NULL;
}

void search_check_enum(struct api_req *r, const struct search_term *t, const struct cm_enum *en)
{
    int ignored;
    for (size_t i = 0; i < t->n; i++) {
        if (!cm_enum_parse(en, t->values[i], &ignored))
            cm_violations_add(&r->violations, r->arena, cm_str(t->key),
                              "\"%.*s\" is not among them",
                              (int)CM_MIN(t->values[i].len, (size_t)64), t->values[i].ptr);
    }
}

const struct cm_uuid *search_org(struct api_req *r, const struct search *s, const char *key)
{
    struct cm_str v = search_text(s, key);
    return v.ptr ? lookup_org(r, v) : NULL;
}
