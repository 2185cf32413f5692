#include "schema/parameter_check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "codec/re2.h"
#include "value/json.h"

static bool fail(struct call *c, struct cm_str *why, const char *fmt, ...) CM_PRINTF(3, 4);
static bool fail(struct call *c, struct cm_str *why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    *why = cm_str(cm_arena_vprintf(c->arena, fmt, ap));
    va_end(ap);
    return false;
}

/* The template's own text, with {min}, {max} and {value} filled in; may be empty. */
static struct cm_str render_error(struct call *c, const struct parameter_rules *r,
                                  struct cm_str value)
{
    const struct cm_str marks[] = {CM_STR("{min}"), CM_STR("{max}"), CM_STR("{value}")};
    const struct cm_str texts[] = {cm_arena_fmt(c->arena, "%lld", (long long)r->min),
                                   cm_arena_fmt(c->arena, "%lld", (long long)r->max), value};
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)1 << 20);
    cm_buf_fill(&b, r->error, marks, texts, CM_COUNT_OF(marks));
    return cm_arena_str(c->arena, cm_buf_view(&b));
}

static bool check_monotonic(struct call *c, const struct parameter_rules *r, int64_t n,
                            const struct cm_str *previous, struct cm_str *why)
{
    bool up = cm_str_eq_c(r->monotonic, "increasing"),
         down = cm_str_eq_c(r->monotonic, "decreasing");
    int64_t before;
    if (!r->monotonic.len)
        return true;
    if (!up && !down)
        return fail(c, why, "number monotonicity can be either \"increasing\" or \"decreasing\"");
    if (!previous || !cm_str_to_i64(*previous, &before))
        return true;
    if (up && n < before)
        return fail(c, why,
                    "parameter value '%lld' must be equal or greater than previous value: %lld",
                    (long long)n, (long long)before);
    if (down && n > before)
        return fail(c, why,
                    "parameter value '%lld' must be equal or lower than previous value: %lld",
                    (long long)n, (long long)before);
    return true;
}

static bool validate_number(struct call *c, const struct parameter_rules *r, struct cm_str value,
                            const struct cm_str *previous, struct cm_str *why)
{
    int64_t n = 0;
    struct cm_str quoted = call_quote(c, value);
    bool ok = true;
    if (!cm_str_to_i64(value, &n))
        ok = fail(c, why, "value %.*s is not a number", CM_STR_ARG(quoted));
    else if (r->has_min && n < r->min)
        ok = fail(c, why, "value %lld is less than the minimum %lld", (long long)n,
                  (long long)r->min);
    else if (r->has_max && n > r->max)
        ok = fail(c, why, "value %lld is more than the maximum %lld", (long long)n,
                  (long long)r->max);
    struct cm_str own = ok ? CM_STR("") : render_error(c, r, value);
    if (own.len)
        *why = own;
    return ok && check_monotonic(c, r, n, previous, why);
}

static bool validate_string(struct call *c, const struct parameter_rules *r, struct cm_str value,
                            struct cm_str *why)
{
    struct cm_str reason;
    if (!r->regex.len)
        return true;
    struct cm_str re = call_quote(c, r->regex), quoted = call_quote(c, value);
    enum cm_re2 found = cm_re2_search(c->arena, r->regex, value, &reason);
    if (found == CM_RE2_ERROR)
        return fail(c, why, "compile regex %.*s: %.*s", CM_STR_ARG(re), CM_STR_ARG(reason));
    if (!r->error.len)
        return fail(c, why, "an error must be specified with a regex validation");
    if (found == CM_RE2_MATCH)
        return true;
    return fail(c, why, "%.*s (value %.*s does not match %.*s)", CM_STR_ARG(r->error),
                CM_STR_ARG(quoted), CM_STR_ARG(re));
}

static bool is_string_list(struct call *c, struct cm_str value)
{
    struct value list;
    return json_decode_strings(c->arena, JSON_WHOLE, value, &list, NULL) == CM_OK;
}

bool parameter_validate(struct call *c, const struct parameter_rules *r, struct cm_str value,
                        const struct cm_str *previous, struct cm_str *ret_why)
{
    const struct cm_str t = r->type;
    struct cm_str quoted = call_quote(c, value);
    if (cm_str_eq_c(t, "number") && r->regex.len)
        return fail(c, ret_why, "a regex cannot be specified for a number type");
    if (cm_str_eq_c(t, "number"))
        return validate_number(c, r, value, previous, ret_why);
    if (r->has_min)
        return fail(c, ret_why, "a min cannot be specified for a %.*s type", CM_STR_ARG(t));
    if (r->has_max)
        return fail(c, ret_why, "a max cannot be specified for a %.*s type", CM_STR_ARG(t));
    if (r->monotonic.len)
        return fail(c, ret_why,
                    "monotonic validation can only be specified for number types, not %.*s types",
                    CM_STR_ARG(t));
    if (cm_str_eq_c(t, "string"))
        return validate_string(c, r, value, ret_why);
    if (r->regex.len)
        return fail(c, ret_why, "a regex cannot be specified for a %.*s type", CM_STR_ARG(t));
    if (cm_str_eq_c(t, "bool") && !cm_str_eq_c(value, "true") && !cm_str_eq_c(value, "false"))
        return fail(c, ret_why, "boolean value can be either \"true\" or \"false\"");
    if (cm_str_eq_c(t, "list(string)") && !is_string_list(c, value))
        return fail(c, ret_why, "value %.*s is not valid list of strings", CM_STR_ARG(quoted));
    return true;
}

static size_t skip_digits(const char *s, size_t at, bool hex)
{
    while ((s[at] >= '0' && s[at] <= '9') || (hex && ((s[at] | 32) >= 'a' && (s[at] | 32) <= 'f')))
        at++;
    return at;
}

/* Go's strconv.ParseFloat: like strtod, but without blanks, and a hexadecimal number needs its
 * exponent. */
static bool is_float(struct call *c, struct cm_str value)
{
    static const char *const words[] = {"inf",       "+inf",      "-inf", "infinity",
                                        "+infinity", "-infinity", "nan"};
    for (size_t i = 0; i < CM_COUNT_OF(words); i++)
        if (cm_str_eq_nocase(value, cm_str(words[i])))
            return true;
    const char *s = cm_arena_cstr(c->arena, value);
    size_t at = s[0] == '+' || s[0] == '-';
    bool hex = s[at] == '0' && (s[at + 1] | 32) == 'x';
    at += hex ? 2 : 0;
    size_t from = at;
    at = skip_digits(s, at, hex);
    size_t digits = at - from;
    if (s[at] == '.') {
        from = at + 1;
        at = skip_digits(s, from, hex);
        digits += at - from;
    }
    bool exponent = (s[at] | 32) == (hex ? 'p' : 'e');
    if (exponent) {
        at++;
        at += s[at] == '+' || s[at] == '-';
        from = at;
        at = skip_digits(s, at, false);
        if (at == from)
            return false;
    }
    if (!digits || at != value.len || (hex && !exponent))
        return false;
    return !isinf(strtod(s, NULL));
}

static bool is_bool(struct cm_str value)
{
    static const char *const words[] = {"1", "t", "T", "TRUE",  "true",  "True",
                                        "0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < CM_COUNT_OF(words); i++)
        if (cm_str_eq_c(value, words[i]))
            return true;
    return false;
}

bool parameter_is_of_type(struct call *c, struct cm_str type, struct cm_str value,
                          struct cm_str *ret_why)
{
    struct cm_str quoted = call_quote(c, value);
    if (cm_str_eq_c(type, "number") && !is_float(c, value))
        return fail(c, ret_why, "%.*s is not a number", CM_STR_ARG(quoted));
    if (cm_str_eq_c(type, "bool") && !is_bool(value))
        return fail(c, ret_why, "%.*s is not a bool", CM_STR_ARG(quoted));
    if (cm_str_eq_c(type, "list(string)") && !is_string_list(c, value))
        return fail(c, ret_why, "%.*s is not a valid list of strings", CM_STR_ARG(quoted));
    return true;
}
