#include "conf/value.h"

#include <strings.h>

#define LIST_MAX 4096

static void push(struct cm_arena *a, struct cm_conf_list *list, struct cm_str s)
{
    const char **v = CM_NEW_ARRAY(a, const char *, list->n + 1);
    if (list->n)
        memcpy(v, list->v, list->n * sizeof(*v));
    v[list->n] = cm_arena_cstr(a, s);
    list->v = v;
    list->n++;
}

enum cm_code cm_conf_split_csv(struct cm_arena *a, struct cm_str text, struct cm_conf_list *list,
                               struct cm_err *err)
{
    size_t i = 0;

    if (!text.len)
        return CM_OK;
    for (;;) {
        CM_AUTOBUF struct cm_buf field = CM_BUF_INIT(text.len);
        if (list->n >= LIST_MAX)
            return cm_err_set(err, CM_INVALID, "more than %d values", LIST_MAX);
        if (i < text.len && text.ptr[i] == '"') {
            for (i++;; i++) {
                if (i >= text.len)
                    return cm_err_set(err, CM_INVALID, "extraneous or missing \" in quoted-field");
                if (text.ptr[i] != '"') {
                    cm_buf_char(&field, text.ptr[i]);
                } else if (i + 1 < text.len && text.ptr[i + 1] == '"') {
                    cm_buf_char(&field, '"');
                    i++;
                } else {
                    break;
                }
            }
            i++;
            if (i < text.len && text.ptr[i] != ',')
                return cm_err_set(err, CM_INVALID, "extraneous or missing \" in quoted-field");
        } else {
            for (; i < text.len && text.ptr[i] != ','; i++) {
                if (text.ptr[i] == '"')
                    return cm_err_set(
                        err, CM_INVALID,
                        "parse error on line 1, column %zu: bare \" in non-quoted-field", i + 1);
                cm_buf_char(&field, text.ptr[i]);
            }
        }
        push(a, list, cm_buf_view(&field));
        if (i >= text.len)
            return CM_OK;
        i++;
    }
}

static bool is_choice(const char *choices, struct cm_str text)
{
    struct cm_str rest = cm_str(choices), one;
    while (rest.len) {
        rest = cm_str_split(rest, '|', &one);
        if (cm_str_eq_nocase(one, text))
            return true;
    }
    return false;
}

static enum cm_code not_a_choice(const char *choices, struct cm_str text, struct cm_err *err)
{
    return cm_err_set(err, CM_INVALID, "invalid choice: %.*s, should be one of [%s]",
                      CM_STR_ARG(text), choices);
}

/* The words that Go's strconv.ParseBool knows. */
static bool parse_bool(struct cm_str text, bool *ret)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False", ""};
    for (size_t i = 0; i < CM_COUNT_OF(yes); i++)
        if (cm_str_eq_c(text, yes[i]))
            return *ret = true, true;
    for (size_t i = 0; i < CM_COUNT_OF(no); i++)
        if (cm_str_eq_c(text, no[i]))
            return *ret = false, true;
    return false;
}

enum cm_code cm_opt_set(struct cm_arena *a, const struct cm_opt *o, void *target,
                        struct cm_str text, bool append, struct cm_err *err)
{
    void *at = (char *)target + o->offset;

    switch (o->type) {
    case CM_OPT_STR:
        *(const char **)at = cm_arena_cstr(a, text);
        return CM_OK;
    case CM_OPT_BOOL:
        if (!parse_bool(text, at))
            return cm_err_set(err, CM_INVALID,
                              "strconv.ParseBool: parsing \"%.*s\": invalid syntax",
                              CM_STR_ARG(text));
        return CM_OK;
    case CM_OPT_INT:
        if (!text.len)
            *(int64_t *)at = 0;
        else if (!cm_str_to_i64(text, at))
            return cm_err_set(err, CM_INVALID, "strconv.ParseInt: parsing \"%.*s\": invalid syntax",
                              CM_STR_ARG(text));
        return CM_OK;
    case CM_OPT_DURATION:
        if (!text.len)
            *(cm_usec *)at = 0;
        else if (!cm_duration_parse(text, at))
            return cm_err_set(err, CM_INVALID, "time: invalid duration \"%.*s\"", CM_STR_ARG(text));
        return CM_OK;
    case CM_OPT_CHOICE:
        if (text.len && !is_choice(o->choices, text))
            return not_a_choice(o->choices, text, err);
        *(const char **)at = cm_arena_cstr(a, text);
        return CM_OK;
    case CM_OPT_LIST:
    case CM_OPT_CHOICES: {
        struct cm_conf_list list =
            append ? *(struct cm_conf_list *)at : (struct cm_conf_list){NULL, 0};
        size_t before = list.n;
        if (cm_conf_split_csv(a, text, &list, err) != CM_OK)
            return CM_INVALID;
        for (size_t i = before; o->type == CM_OPT_CHOICES && i < list.n; i++)
            if (!is_choice(o->choices, cm_str(list.v[i])))
                return not_a_choice(o->choices, cm_str(list.v[i]), err);
        *(struct cm_conf_list *)at = list;
        return CM_OK;
    }
    case CM_OPT_UNSET:
        break;
    }
    cm_assert(!"a row without a type");
    return CM_INTERNAL;
}

void cm_conf_value_text(const struct cm_opt *o, const void *target, struct cm_buf *out)
{
    const void *at = (const char *)target + o->offset;

    if (o->flags & CM_OPT_SECRET) {
        cm_buf_cstr(out, "***");
        return;
    }
    switch (o->type) {
    case CM_OPT_STR:
    case CM_OPT_CHOICE:
        cm_buf_cstr(out, *(const char *const *)at);
        break;
    case CM_OPT_BOOL:
        cm_buf_cstr(out, *(const bool *)at ? "true" : "false");
        break;
    case CM_OPT_INT:
        cm_buf_i64(out, *(const int64_t *)at);
        break;
    case CM_OPT_DURATION:
        cm_duration_format(out, *(const cm_usec *)at);
        break;
    case CM_OPT_LIST:
    case CM_OPT_CHOICES: {
        const struct cm_conf_list *list = at;
        for (size_t i = 0; i < list->n; i++)
            cm_buf_printf(out, "%s%s", i ? "," : "", list->v[i]);
        break;
    }
    case CM_OPT_UNSET:
        break;
    }
}
