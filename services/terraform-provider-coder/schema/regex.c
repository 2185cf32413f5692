#define PCRE2_CODE_UNIT_WIDTH 8
#include "schema/regex.h"

#include <pcre2.h>

/* Templates may hold any pattern and users any value: matching is cut off here, where RE2 would be
 * linear. */
#define MATCH_LIMIT 1000000
#define DEPTH_LIMIT 10000
#define HEAP_KIB    16384
#define PATTERN_MAX 65536
#define REPEAT_MAX  1000

static bool refuse(struct call *c, struct cm_str pattern, size_t at, size_t n, const char *what,
                   struct cm_str *why)
{
    struct cm_str part = cm_str_sub(pattern, at, n);
    *why = cm_arena_fmt(c->arena, "%s: `%.*s`", what, CM_STR_ARG(part));
    return false;
}

/* What may follow "(?": a name, flags, or nothing special. */
static bool check_group(struct call *c, struct cm_str p, size_t at, struct cm_str *why)
{
    struct cm_str rest = cm_str_sub(p, at + 2, p.len);
    if (cm_str_starts(rest, CM_STR("P<")))
        return true;
    if (cm_str_starts(rest, CM_STR("<")) && rest.len > 1 && rest.ptr[1] != '=' &&
        rest.ptr[1] != '!')
        return true;
    size_t i = 0;
    while (i < rest.len && strchr("imsU-", rest.ptr[i]) && rest.ptr[i])
        i++;
    if (i < rest.len && (rest.ptr[i] == ':' || (rest.ptr[i] == ')' && i > 0)))
        return true;
    return refuse(c, p, at, 4, "invalid or unsupported Perl syntax", why);
}

static bool check_escape(struct call *c, struct cm_str p, size_t at, struct cm_str *why)
{
    char ch = at + 1 < p.len ? p.ptr[at + 1] : '\0';
    bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
    bool octal =
        ch >= '1' && ch <= '7' && at + 2 < p.len && p.ptr[at + 2] >= '0' && p.ptr[at + 2] <= '7';
    if (letter && !strchr("aftnrvxAbBzdDsSwWpPQE", ch))
        return refuse(c, p, at, 2, "invalid escape sequence", why);
    if (ch >= '1' && ch <= '9' && !octal)
        return refuse(c, p, at, 2, "invalid escape sequence", why);
    return true;
}

/* {n}, {n,} and {n,m} have a limit in RE2. Returns the length of the repeat, or 0 for a literal
 * brace. */
static size_t repeat_length(struct cm_str p, size_t at, bool *ret_too_many)
{
    size_t i = at + 1, digits = 0;
    int64_t n = 0;
    *ret_too_many = false;
    for (; i < p.len && p.ptr[i] != '}'; i++) {
        if (p.ptr[i] == ',') {
            n = 0;
            if (!digits)
                return 0;
            continue;
        }
        if (p.ptr[i] < '0' || p.ptr[i] > '9')
            return 0;
        digits++;
        n = CM_MIN(n * 10 + (p.ptr[i] - '0'), (int64_t)REPEAT_MAX + 1);
        *ret_too_many |= n > REPEAT_MAX;
    }
    return i < p.len && digits ? i - at + 1 : 0;
}

/* Two quantifiers in a row: "?" behind one makes it lazy, "+" would make it possessive, which RE2
 * lacks. */
static bool check_quantifier(struct call *c, struct cm_str p, size_t *at, struct cm_str *why)
{
    bool too_many = false;
    size_t n = p.ptr[*at] == '{' ? repeat_length(p, *at, &too_many) : 1;
    if (n == 0)
        return true;
    if (too_many)
        return refuse(c, p, *at, n, "invalid repeat count", why);
    size_t next = *at + n;
    if (next < p.len && p.ptr[next] == '?')
        next++;
    bool more = next < p.len && (strchr("*+?", p.ptr[next]) != NULL && p.ptr[next]);
    if (!more && next < p.len && p.ptr[next] == '{')
        more = repeat_length(p, next, &too_many) > 0;
    if (more)
        return refuse(c, p, *at, next - *at + 1, "invalid nested repetition operator", why);
    *at = next - 1;
    return true;
}

/* Skips a [class], whose first character may be a closing bracket. */
static size_t class_end(struct cm_str p, size_t at)
{
    size_t i = at + 1;
    if (i < p.len && p.ptr[i] == '^')
        i++;
    if (i < p.len && p.ptr[i] == ']')
        i++;
    for (; i < p.len && p.ptr[i] != ']'; i++) {
        if (p.ptr[i] == '\\') {
            i++;
        } else if (p.ptr[i] == '[' && i + 1 < p.len && p.ptr[i + 1] == ':') {
            while (i + 1 < p.len && !(p.ptr[i] == ':' && p.ptr[i + 1] == ']'))
                i++;
            i++;
        }
    }
    return i;
}

static bool is_re2(struct call *c, struct cm_str p, struct cm_str *why)
{
    for (size_t i = 0; i < p.len; i++) {
        bool ok = true;
        switch (p.ptr[i]) {
        case '\\':
            ok = check_escape(c, p, i, why);
            if (i + 1 < p.len && p.ptr[i + 1] == 'Q') {
                while (i + 1 < p.len && !(p.ptr[i] == '\\' && p.ptr[i + 1] == 'E'))
                    i++;
            }
            i++;
            break;
        case '[':
            i = class_end(p, i);
            break;
        case '(':
            if (i + 1 < p.len && p.ptr[i + 1] == '*')
                ok = refuse(c, p, i, 2, "missing argument to repetition operator", why);
            else if (i + 1 < p.len && p.ptr[i + 1] == '?')
                ok = check_group(c, p, i++, why);
            break;
        case '*':
        case '+':
        case '?':
        case '{':
            ok = check_quantifier(c, p, &i, why);
            break;
        }
        if (!ok)
            return false;
    }
    return true;
}

static void free_code(void *p)
{
    pcre2_code_free(p);
}

static void free_match(void *p)
{
    pcre2_match_data_free(p);
}

static void free_context(void *p)
{
    pcre2_match_context_free(p);
}

enum regex_result regex_search(struct call *c, struct cm_str pattern, struct cm_str subject,
                               struct cm_str *ret_why)
{
    if (pattern.len > PATTERN_MAX) {
        *ret_why = cm_arena_fmt(c->arena, "the expression has %zu bytes, at most %d are taken",
                                pattern.len, PATTERN_MAX);
        return REGEX_ERROR;
    }
    if (!is_re2(c, pattern, ret_why))
        return REGEX_ERROR;
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_code *re =
        pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len,
                      PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!re) {
        PCRE2_UCHAR text[256];
        pcre2_get_error_message(code, text, sizeof(text));
        *ret_why = cm_arena_fmt(c->arena, "%s at byte %zu", (const char *)text, (size_t)at);
        return REGEX_ERROR;
    }
    cm_arena_defer(c->arena, free_code, re);
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(re, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    cm_assert(match && limits);
    cm_arena_defer(c->arena, free_match, match);
    cm_arena_defer(c->arena, free_context, limits);
    pcre2_set_match_limit(limits, MATCH_LIMIT);
    pcre2_set_depth_limit(limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(limits, HEAP_KIB);
    int rc = pcre2_match(re, (PCRE2_SPTR)subject.ptr, subject.len, 0, 0, match, limits);
    if (rc >= 0)
        return REGEX_MATCH;
    if (rc == PCRE2_ERROR_NOMATCH)
        return REGEX_NO_MATCH;
    *ret_why = CM_STR("matching takes too long: simplify nested repetitions");
    return REGEX_ERROR;
}
