/* Functions of texts and files. */
#include <ctype.h>
#include <math.h>

#include "codec/yaml.h"
#include "form/functions.h"

static struct form_value fn_join(const struct args *x)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(FORM_TEXT_MAX);
    struct form_value sep = text_arg(x, 0);
    bool first = true;
    for (size_t i = 1; i < x->n; i++) {
        if (x->v[i].kind != FORM_LIST || sep.kind != FORM_STRING)
            return FORM_ERROR_VALUE;
        for (size_t k = 0; k < x->v[i].count; k++) {
            struct form_value s = form_to_string(x->a, x->v[i].items[k]);
            if (s.kind != FORM_STRING)
                return FORM_ERROR_VALUE;
            cm_buf_str(&b, first ? CM_STR("") : sep.s);
            cm_buf_str(&b, s.s);
            first = false;
        }
    }
    return form_string(cm_arena_str(x->a, cm_buf_view(&b)));
}

/* The place of needle, or -1. */
static ptrdiff_t find(struct cm_str s, struct cm_str needle)
{
    for (size_t i = 0; needle.len && i + needle.len <= s.len; i++)
        if (memcmp(s.ptr + i, needle.ptr, needle.len) == 0)
            return (ptrdiff_t)i;
    return -1;
}

static struct form_value fn_split(const struct args *x)
{
    struct form_value sep = text_arg(x, 0), s = text_arg(x, 1);
    if (sep.kind != FORM_STRING || s.kind != FORM_STRING)
        return FORM_ERROR_VALUE;
    if (!sep.s.len)
        return FORM_UNKNOWN_VALUE;
    struct form_value ret = form_list(x->a, s.s.len / sep.s.len + 1);
    ptrdiff_t at;
    while ((at = find(s.s, sep.s)) >= 0) {
        form_push(&ret, form_string(cm_str_sub(s.s, 0, (size_t)at)));
        s.s = cm_str_sub(s.s, (size_t)at + sep.s.len, s.s.len);
    }
    form_push(&ret, form_string(s.s));
    return ret;
}

static struct form_value fn_replace(const struct args *x)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(FORM_TEXT_MAX);
    struct form_value s = text_arg(x, 0), from = text_arg(x, 1), to = text_arg(x, 2);
    ptrdiff_t at;
    if (s.kind != FORM_STRING || from.kind != FORM_STRING || to.kind != FORM_STRING)
        return FORM_ERROR_VALUE;
    if (from.s.len > 1 && from.s.ptr[0] == '/' && from.s.ptr[from.s.len - 1] == '/')
        return FORM_UNKNOWN_VALUE; /* a pattern */
    while ((at = find(s.s, from.s)) >= 0) {
        cm_buf_append(&b, s.s.ptr, (size_t)at);
        cm_buf_str(&b, to.s);
        s.s = cm_str_sub(s.s, (size_t)at + from.s.len, s.s.len);
    }
    cm_buf_str(&b, s.s);
    return b.failed ? FORM_UNKNOWN_VALUE : form_string(cm_arena_str(x->a, cm_buf_view(&b)));
}

static bool is_ascii(struct cm_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] >= 0x80)
            return false;
    return true;
}

static struct form_value change_case(const struct args *x, bool up, bool words)
{
    struct form_value s = text_arg(x, 0);
    if (s.kind != FORM_STRING)
        return FORM_ERROR_VALUE;
    if (!is_ascii(s.s))
        return FORM_UNKNOWN_VALUE;
    char *t = cm_arena_cstr(x->a, s.s);
    for (size_t i = 0; i < s.s.len; i++) {
        bool start = i == 0 || !(isalnum((unsigned char)t[i - 1]) || t[i - 1] == '_');
        if (!words || start)
            t[i] = (char)(up ? toupper((unsigned char)t[i]) : tolower((unsigned char)t[i]));
    }
    return form_string(cm_str_n(t, s.s.len));
}

static struct form_value fn_lower(const struct args *x)
{
    return change_case(x, false, false);
}

static struct form_value fn_upper(const struct args *x)
{
    return change_case(x, true, false);
}

static struct form_value fn_title(const struct args *x)
{
    return change_case(x, true, true);
}

static struct form_value fn_trimspace(const struct args *x)
{
    struct form_value s = text_arg(x, 0);
    s.s = cm_str_trim(s.s);
    return s;
}

static struct form_value fn_chomp(const struct args *x)
{
    struct form_value s = text_arg(x, 0);
    while (s.s.len && (s.s.ptr[s.s.len - 1] == '\n' || s.s.ptr[s.s.len - 1] == '\r'))
        s.s.len--;
    return s;
}

static struct form_value fn_trimprefix(const struct args *x)
{
    struct form_value s = text_arg(x, 0), part = text_arg(x, 1);
    if (cm_str_starts(s.s, part.s))
        s.s = cm_str_sub(s.s, part.s.len, s.s.len);
    return s;
}

static struct form_value fn_trimsuffix(const struct args *x)
{
    struct form_value s = text_arg(x, 0), part = text_arg(x, 1);
    if (cm_str_ends(s.s, part.s))
        s.s.len -= part.s.len;
    return s;
}

static struct form_value fn_startswith(const struct args *x)
{
    return form_bool(cm_str_starts(text_arg(x, 0).s, text_arg(x, 1).s));
}

static struct form_value fn_endswith(const struct args *x)
{
    return form_bool(cm_str_ends(text_arg(x, 0).s, text_arg(x, 1).s));
}

static struct form_value fn_strcontains(const struct args *x)
{
    return form_bool(cm_str_contains(text_arg(x, 0).s, text_arg(x, 1).s));
}

static struct form_value fn_substr(const struct args *x)
{
    struct form_value s = text_arg(x, 0), from = number_arg(x, 1), len = number_arg(x, 2);
    if (s.kind != FORM_STRING || from.kind != FORM_NUMBER || len.kind != FORM_NUMBER ||
        !is_ascii(s.s))
        return s.kind == FORM_STRING ? FORM_UNKNOWN_VALUE : FORM_ERROR_VALUE;
    double at = from.n < 0 ? fmax(0, (double)s.s.len + from.n) : fmin(from.n, (double)s.s.len);
    size_t n = len.n < 0 ? s.s.len : (size_t)fmin(len.n, (double)s.s.len);
    return form_string(cm_str_sub(s.s, (size_t)at, n));
}

static struct form_value fn_format(const struct args *x)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(FORM_TEXT_MAX);
    struct form_value f = text_arg(x, 0);
    size_t next = 1;
    for (size_t i = 0; f.kind == FORM_STRING && i < f.s.len; i++) {
        if (f.s.ptr[i] != '%') {
            cm_buf_char(&b, f.s.ptr[i]);
            continue;
        }
        char verb = ++i < f.s.len ? f.s.ptr[i] : '\0';
        if (verb == '%') {
            cm_buf_char(&b, '%');
            continue;
        }
        if (!verb || !strchr("svd", verb))
            return FORM_UNKNOWN_VALUE;
        if (next >= x->n)
            return FORM_ERROR_VALUE;
        struct form_value v = x->v[next++];
        struct form_value s = form_to_string(x->a, v);
        if (verb == 'v' && (v.kind == FORM_LIST || v.kind == FORM_OBJECT))
            form_to_json(&b, v);
        else if (s.kind == FORM_STRING &&
                 (verb != 'd' || number_arg(x, next - 1).kind == FORM_NUMBER))
            cm_buf_str(&b, s.s);
        else
            return FORM_ERROR_VALUE;
    }
    return form_string(cm_arena_str(x->a, cm_buf_view(&b)));
}

static struct form_value fn_jsonencode(const struct args *x)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(FORM_TEXT_MAX);
    form_to_json(&b, x->v[0]);
    return form_string(cm_arena_str(x->a, cm_buf_view(&b)));
}

static struct form_value fn_jsondecode(const struct args *x)
{
    struct form_value s = text_arg(x, 0);
    const struct cm_json *j = NULL;
    struct cm_err err;
    if (s.kind != FORM_STRING || cm_json_parse_whole(x->a, s.s, NULL, &j, &err) != CM_OK)
        return FORM_ERROR_VALUE;
    return form_from_json(x->a, j);
}

static struct form_value fn_yamldecode(const struct args *x)
{
    struct form_value s = text_arg(x, 0);
    const struct cm_json *j = NULL;
    struct cm_err err;
    if (s.kind != FORM_STRING || cm_yaml_parse(x->a, s.s, NULL, &j, &err) != CM_OK)
        return FORM_ERROR_VALUE;
    return form_from_json(x->a, j);
}

static struct form_value fn_file(const struct args *x)
{
    struct form_value name = text_arg(x, 0);
    struct cm_str text;
    if (name.kind != FORM_STRING)
        return FORM_ERROR_VALUE;
    return x->scope->read_file(x->scope->ctx, name.s, &text) ? form_string(text)
                                                             : FORM_UNKNOWN_VALUE;
}

static struct form_value fn_fileexists(const struct args *x)
{
    struct form_value name = text_arg(x, 0);
    struct cm_str text;
    return form_bool(x->scope->read_file(x->scope->ctx, name.s, &text));
}

static struct form_value fn_basename(const struct args *x)
{
    struct form_value s = text_arg(x, 0);
    ptrdiff_t at = cm_str_find_last(s.s, '/');
    s.s = cm_str_sub(s.s, (size_t)(at + 1), s.s.len);
    return s;
}

const struct form_function form_text_functions[] = {
    {"basename", fn_basename, 1, 1, 0},     {"chomp", fn_chomp, 1, 1, 0},
    {"endswith", fn_endswith, 2, 2, 0},     {"file", fn_file, 1, 1, 0},
    {"fileexists", fn_fileexists, 1, 1, 0}, {"format", fn_format, 1, SIZE_MAX, 0},
    {"join", fn_join, 2, SIZE_MAX, 0},      {"jsondecode", fn_jsondecode, 1, 1, 0},
    {"jsonencode", fn_jsonencode, 1, 1, 0}, {"lower", fn_lower, 1, 1, 0},
    {"replace", fn_replace, 3, 3, 0},       {"split", fn_split, 2, 2, 0},
    {"startswith", fn_startswith, 2, 2, 0}, {"strcontains", fn_strcontains, 2, 2, 0},
    {"substr", fn_substr, 3, 3, 0},         {"title", fn_title, 1, 1, 0},
    {"trimprefix", fn_trimprefix, 2, 2, 0}, {"trimspace", fn_trimspace, 1, 1, 0},
    {"trimsuffix", fn_trimsuffix, 2, 2, 0}, {"upper", fn_upper, 1, 1, 0},
    {"yamldecode", fn_yamldecode, 1, 1, 0}, {0},
};
