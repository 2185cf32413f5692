#define PCRE2_CODE_UNIT_WIDTH 8
#include "codec/re2.h"

#include <pcre2.h>
#include <string.h>

#include "base/buf.h"

/* Templates may hold any pattern and users any value: matching is cut off here, where RE2 would be
 * linear. */
#define MATCH_LIMIT 1000000
#define DEPTH_LIMIT 10000
#define HEAP_KIB    16384
#define PATTERN_MAX 65536
#define REPEAT_MAX  1000

static bool refuse(struct cm_arena *a, struct cm_str pattern, size_t at, size_t n, const char *what,
                   struct cm_str *why)
{
    struct cm_str part = cm_str_sub(pattern, at, n);
    *why = cm_arena_fmt(a, "%s: `%.*s`", what, CM_STR_ARG(part));
    return false;
}

/* What may follow "(?": a name, flags, or nothing special. */
static bool check_group(struct cm_arena *a, struct cm_str p, size_t at, struct cm_str *why)
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
    return refuse(a, p, at, 4, "invalid or unsupported Perl syntax", why);
}

static bool check_escape(struct cm_arena *a, struct cm_str p, size_t at, struct cm_str *why)
{
    int ch = at + 1 < p.len ? p.ptr[at + 1] : '\0';
    bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
    bool octal =
        ch >= '1' && ch <= '7' && at + 2 < p.len && p.ptr[at + 2] >= '0' && p.ptr[at + 2] <= '7';
    if (letter && !strchr("aftnrvxAbBzdDsSwWpPQE", ch))
        return refuse(a, p, at, 2, "invalid escape sequence", why);
    if (ch >= '1' && ch <= '9' && !octal)
        return refuse(a, p, at, 2, "invalid escape sequence", why);
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
static bool check_quantifier(struct cm_arena *a, struct cm_str p, size_t *at, struct cm_str *why)
{
    bool too_many = false;
    size_t n = p.ptr[*at] == '{' ? repeat_length(p, *at, &too_many) : 1;
    if (n == 0)
        return true;
    if (too_many)
        return refuse(a, p, *at, n, "invalid repeat count", why);
    size_t next = *at + n;
    if (next < p.len && p.ptr[next] == '?')
        next++;
    bool more = next < p.len && (strchr("*+?", p.ptr[next]) != NULL && p.ptr[next]);
    if (!more && next < p.len && p.ptr[next] == '{')
        more = repeat_length(p, next, &too_many) > 0;
    if (more)
        return refuse(a, p, *at, next - *at + 1, "invalid nested repetition operator", why);
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

static bool is_re2(struct cm_arena *a, struct cm_str p, struct cm_str *why)
{
    for (size_t i = 0; i < p.len; i++) {
        bool ok = true;
        switch (p.ptr[i]) {
        case '\\':
            ok = check_escape(a, p, i, why);
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
                ok = refuse(a, p, i, 2, "missing argument to repetition operator", why);
            else if (i + 1 < p.len && p.ptr[i + 1] == '?')
                ok = check_group(a, p, i++, why);
            break;
        case '*':
        case '+':
        case '?':
        case '{':
            ok = check_quantifier(a, p, &i, why);
            break;
        }
        if (!ok)
            return false;
    }
    return true;
}

/* Passes over what stands for several characters in a class: \d, \pL, \p{Greek}, [:alpha:]. Returns
 * its length, 0 for anything else. */
static size_t set_length(struct cm_str p, size_t at)
{
    if (p.ptr[at] == '[' && at + 1 < p.len && p.ptr[at + 1] == ':') {
        for (size_t i = at + 2; i + 1 < p.len; i++)
            if (p.ptr[i] == ':' && p.ptr[i + 1] == ']')
                return i + 2 - at;
        return 0;
    }
    if (p.ptr[at] != '\\' || at + 1 >= p.len)
        return 0;
    if (strchr("dDsSwW", p.ptr[at + 1]) && p.ptr[at + 1])
        return 2;
    if (p.ptr[at + 1] != 'p' && p.ptr[at + 1] != 'P')
        return 0;
    if (at + 2 < p.len && p.ptr[at + 2] == '{') {
        size_t i = at + 3;
        while (i < p.len && p.ptr[i] != '}')
            i++;
        return i - at + 1;
    }
    return 3;
}

/* Of one class, brackets included. A hyphen behind a set is itself in RE2 and an error in PCRE2; a
 * vertical tab is space only in PCRE2. */
static void rewrite_class(struct cm_buf *b, struct cm_str p, size_t from, size_t end)
{
    cm_buf_char(b, '[');
    for (size_t i = from + 1; i < end;) {
        size_t n = CM_MIN(set_length(p, i), end - i);
        if (n == 0) {
            n = p.ptr[i] == '\\' && i + 1 < end ? 2 : 1;
            cm_buf_append(b, p.ptr + i, n);
            i += n;
            continue;
        }
        if (n == 2 && p.ptr[i + 1] == 's')
            cm_buf_str(b, CM_STR("\\t\\n\\f\\r "));
        else
            cm_buf_append(b, p.ptr + i, n);
        i += n;
        if (i + 1 < end && p.ptr[i] == '-') {
            cm_buf_str(b, CM_STR("\\-"));
            i++;
        }
    }
    cm_buf_char(b, ']');
}

static struct cm_str rewrite(struct cm_arena *a, struct cm_str p)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)PATTERN_MAX * 16);
    for (size_t i = 0; i < p.len; i++) {
        size_t end = p.ptr[i] == '[' ? class_end(p, i) : i;
        if (p.ptr[i] == '[' && end < p.len) {
            rewrite_class(&b, p, i, end);
            i = end;
        } else if (p.ptr[i] == '\\' && i + 1 < p.len && p.ptr[i + 1] == 'Q') {
            for (end = i + 2; end + 1 < p.len; end++)
                if (p.ptr[end] == '\\' && p.ptr[end + 1] == 'E')
                    break;
            end = CM_MIN(end + 2, p.len);
            cm_buf_append(&b, p.ptr + i, end - i);
            i = end - 1;
        } else if (p.ptr[i] == '\\' && i + 1 < p.len) {
            char ch = p.ptr[++i];
            if (ch == 's' || ch == 'S')
                cm_buf_str(&b, ch == 's' ? CM_STR("[\\t\\n\\f\\r ]") : CM_STR("[^\\t\\n\\f\\r ]"));
            else
                cm_buf_append(&b, p.ptr + i - 1, 2);
        } else {
            cm_buf_char(&b, p.ptr[i]);
        }
    }
    return cm_arena_str(a, cm_buf_view(&b));
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

enum cm_re2 cm_re2_search(struct cm_arena *a, struct cm_str pattern, struct cm_str subject,
                          struct cm_str *ret_why)
{
    if (pattern.len > PATTERN_MAX) {
        *ret_why = cm_arena_fmt(a, "the expression has %zu bytes, at most %d are taken",
                                pattern.len, PATTERN_MAX);
        return CM_RE2_ERROR;
    }
    if (!is_re2(a, pattern, ret_why))
        return CM_RE2_ERROR;
    int code = 0;
    PCRE2_SIZE at = 0;
    struct cm_str text = rewrite(a, pattern);
    pcre2_code *re =
        pcre2_compile((PCRE2_SPTR)(text.ptr ? text.ptr : ""), text.len,
                      PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!re) {
        PCRE2_UCHAR problem[256];
        pcre2_get_error_message(code, problem, sizeof(problem));
        *ret_why = cm_arena_fmt(a, "%s at byte %zu", (const char *)problem, (size_t)at);
        return CM_RE2_ERROR;
    }
    cm_arena_defer(a, free_code, re);
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(re, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    cm_assert(match && limits);
    cm_arena_defer(a, free_match, match);
    cm_arena_defer(a, free_context, limits);
    pcre2_set_match_limit(limits, MATCH_LIMIT);
    pcre2_set_depth_limit(limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(limits, HEAP_KIB);
    int rc = pcre2_match(re, (PCRE2_SPTR)(subject.ptr ? subject.ptr : ""), subject.len, 0, 0, match,
                         limits);
    if (rc >= 0)
        return CM_RE2_MATCH;
    if (rc == PCRE2_ERROR_NOMATCH)
        return CM_RE2_NO_MATCH;
    *ret_why = CM_STR("matching takes too long: simplify nested repetitions");
    return CM_RE2_ERROR;
}
