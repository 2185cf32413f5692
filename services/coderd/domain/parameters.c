#include "domain/parameters.h"

#include <stdlib.h>

#include "base/buf.h"
#include "codec/re2.h"

/* A template's text may repeat a value of any length. */
#define PROBLEM_BYTES 65536

static const struct cm_str *find(struct parameter_values set, struct cm_str name)
{
    for (size_t i = 0; i < set.n; i++) {
        if (cm_str_eq(set.v[i].name, name))
            return &set.v[i].value;
    }
    return NULL;
}

static bool parse_number(struct cm_arena *a, struct cm_str text, double *ret)
{
    char *s = cm_arena_cstr(a, cm_str_trim(text)), *end = NULL;
    *ret = strtod(s, &end);
    return s[0] != '\0' && *end == '\0';
}

static bool pattern_matches(struct cm_arena *a, struct cm_str pattern, struct cm_str value,
                            const char **ret_problem)
{
    struct cm_str why;
    enum cm_re2 found = cm_re2_search(a, pattern, value, &why);
    *ret_problem =
        found == CM_RE2_ERROR
            ? cm_arena_cstr(a, cm_arena_fmt(a, "the template's pattern: %.*s", CM_STR_ARG(why)))
            : "the value does not match the template's pattern";
    return found == CM_RE2_MATCH;
}

struct check {
    struct cm_arena *a;
    const struct api_template_version_parameter *p;
    struct cm_violations *vs;
};

#define FAIL(c, ...) cm_violations_add((c)->vs, (c)->a, (c)->p->name, __VA_ARGS__)

/* By the template's own text, with {min}, {max} and {value} filled in. False: it has none, or
 * nothing is left of it. */
static bool fail_as_told(const struct check *c, struct cm_str value)
{
    const struct api_template_version_parameter *p = c->p;
    const struct cm_str marks[] = {CM_STR("{min}"), CM_STR("{max}"), CM_STR("{value}")};
    const struct cm_str texts[] = {cm_arena_fmt(c->a, "%lld", (long long)p->validation_min),
                                   cm_arena_fmt(c->a, "%lld", (long long)p->validation_max), value};
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(PROBLEM_BYTES);
    cm_buf_fill(&b, p->validation_error, marks, texts, CM_COUNT_OF(marks));
    if (b.len)
        FAIL(c, "%.*s", CM_STR_ARG(cm_buf_view(&b)));
    return b.len > 0;
}

static void check_number(const struct check *c, struct cm_str value, const struct cm_str *before)
{
    const struct api_template_version_parameter *p = c->p;
    double v, old;
    if (!parse_number(c->a, value, &v)) {
        if (!fail_as_told(c, value))
            FAIL(c, "value \"%.*s\" is not a number", CM_STR_ARG(value));
        return;
    }
    bool low = cm_has(p->has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MIN) &&
               v < (double)p->validation_min;
    bool high = cm_has(p->has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MAX) &&
                v > (double)p->validation_max;
    if ((low || high) && !fail_as_told(c, value))
        FAIL(c, "value %.*s is %s than the limit %lld", CM_STR_ARG(value), low ? "less" : "more",
             (long long)(low ? p->validation_min : p->validation_max));
    if (!before || !parse_number(c->a, *before, &old))
        return;
    if (p->validation_monotonic == API_VALIDATION_MONOTONIC_ORDER_INCREASING && v < old)
        FAIL(c, "the value may only grow: it was %.*s", CM_STR_ARG(*before));
    if (p->validation_monotonic == API_VALIDATION_MONOTONIC_ORDER_DECREASING && v > old)
        FAIL(c, "the value may only shrink: it was %.*s", CM_STR_ARG(*before));
}

static bool is_option(const struct api_template_version_parameter *p, struct cm_str value)
{
    for (size_t i = 0; i < p->n_options; i++) {
        if (cm_str_eq(p->options[i].value, value))
            return true;
    }
    return false;
}

static void check_list(const struct check *c, struct cm_str value)
{
    const struct cm_json *list = NULL;
    struct cm_err err;
    if (cm_json_parse(c->a, value, NULL, &list, &err) != CM_OK ||
        cm_json_type(list) != CM_JSON_ARRAY) {
        FAIL(c, "the value must be a JSON list of strings, such as [\"a\",\"b\"]");
        return;
    }
    for (size_t i = 0; i < cm_json_count(list); i++) {
        struct cm_str item;
        if (!cm_json_to_str(cm_json_at(list, i), &item))
            FAIL(c, "element %zu of the list is not a string", i + 1);
        else if (c->p->n_options && !is_option(c->p, item))
            FAIL(c, "\"%.*s\" is not one of the options", CM_STR_ARG(item));
    }
}

static void check_value(const struct check *c, struct cm_str value, const struct cm_str *before)
{
    const struct api_template_version_parameter *p = c->p;
    const char *problem = NULL;
    if (p->type == API_OPTION_TYPE_LIST_STRING) {
        check_list(c, value);
        return;
    }
    if (p->n_options && !is_option(p, value)) {
        FAIL(c, "\"%.*s\" is not one of the options", CM_STR_ARG(value));
        return;
    }
    if (p->type == API_OPTION_TYPE_NUMBER)
        check_number(c, value, before);
    else if (p->type == API_OPTION_TYPE_BOOL && !cm_str_eq_c(value, "true") &&
             !cm_str_eq_c(value, "false"))
        FAIL(c, "value \"%.*s\" must be true or false", CM_STR_ARG(value));
    else if (p->validation_regex.len &&
             !pattern_matches(c->a, p->validation_regex, value, &problem))
        FAIL(c, "%s", p->validation_error.len ? cm_arena_cstr(c->a, p->validation_error) : problem);
}

static void resolve_one(const struct check *c, const struct parameter_resolve *in,
                        struct api_workspace_build_parameter *out)
{
    const struct api_template_version_parameter *p = c->p;
    const struct cm_str *given = find(in->given, p->name);
    const struct cm_str *before = p->ephemeral ? NULL : find(in->previous, p->name);
    out->name = p->name;
    if (given && before && !p->mutable && !in->first_build && !cm_str_eq(*given, *before)) {
        FAIL(c, "the parameter is immutable: its value \"%.*s\" cannot be changed",
             CM_STR_ARG(*before));
        out->value = *before;
        return;
    }
    if (given)
        out->value = *given;
    else if (before)
        out->value = *before;
    else if (p->required) {
        FAIL(c, "a value is required");
        out->value = CM_STR("");
        return;
    } else
        out->value = p->default_value;
    /* A default that breaks the template's own rules is for the template's author to mend, not for
     * this user. */
    if (given)
        check_value(c, out->value, before);
}

void parameters_resolve(struct cm_arena *a, const struct parameter_resolve *in,
                        struct api_workspace_build_parameter **ret, size_t *ret_n,
                        struct cm_violations *vs)
{
    *ret = CM_NEW_ARRAY(a, struct api_workspace_build_parameter, in->n_declared);
    *ret_n = in->n_declared;
    for (size_t i = 0; i < in->n_declared; i++) {
        struct check c = {a, &in->declared[i], vs};
        resolve_one(&c, in, &(*ret)[i]);
    }
}
