/* The functions that parameters are written with. Each gets known arguments, unless its row says
 * that it looks at unknown ones itself. */
#include <ctype.h>
#include <math.h>

#include "codec/yaml.h"
#include "form/expr.h"

#define TEXT_MAX  ((size_t)1 << 20)
#define RANGE_MAX 1024

struct args {
    const struct form_scope *scope;
    struct cm_arena *a;
    const struct form_value *v;
    size_t n;
};

static struct form_value text_arg(const struct args *x, size_t i)
{
    return form_to_string(x->a, x->v[i]);
}

static struct form_value number_arg(const struct args *x, size_t i)
{
    return form_to_number(x->a, x->v[i]);
}

static struct form_value fn_length(const struct args *x)
{
    if (x->v[0].kind == FORM_LIST || x->v[0].kind == FORM_OBJECT)
        return form_number((double)x->v[0].count);
    if (x->v[0].kind != FORM_STRING)
        return FORM_ERROR_VALUE;
    size_t n = 0;
    for (size_t i = 0; i < x->v[0].s.len; i++)
        n += ((unsigned char)x->v[0].s.ptr[i] & 0xc0) != 0x80;
    return form_number((double)n);
}

static bool has(struct cm_arena *a, struct form_value list, struct form_value v)
{
    struct form_value s = form_to_string(a, v);
    for (size_t i = 0; i < list.count; i++) {
        struct form_value t = form_to_string(a, list.items[i]);
        if (form_same(list.items[i], v) ||
            (s.kind == FORM_STRING && t.kind == FORM_STRING && cm_str_eq(s.s, t.s)))
            return true;
    }
    return false;
}

static struct form_value fn_contains(const struct args *x)
{
    return x->v[0].kind == FORM_LIST ? form_bool(has(x->a, x->v[0], x->v[1])) : FORM_ERROR_VALUE;
}

static struct form_value fn_lookup(const struct args *x)
{
    struct form_value key = text_arg(x, 1);
    if (x->v[0].kind != FORM_OBJECT || key.kind != FORM_STRING)
        return FORM_ERROR_VALUE;
    const struct form_value *v = form_get(&x->v[0], key.s);
    return v ? *v : x->n > 2 ? x->v[2] : FORM_ERROR_VALUE;
}

static struct form_value fn_merge(const struct args *x)
{
    size_t room = 0;
    for (size_t i = 0; i < x->n; i++)
        room += x->v[i].count;
    struct form_value ret = form_object(x->a, room);
    for (size_t i = 0; i < x->n; i++) {
        if (x->v[i].kind != FORM_OBJECT && x->v[i].kind != FORM_NULL)
            return FORM_ERROR_VALUE;
        for (size_t k = 0; k < x->v[i].count; k++)
            form_set(&ret, x->v[i].keys[k], x->v[i].items[k]);
    }
    return ret;
}

static size_t flat_count(struct form_value v)
{
    size_t n = 0;
    for (size_t i = 0; v.kind == FORM_LIST && i < v.count; i++)
        n += v.items[i].kind == FORM_LIST ? flat_count(v.items[i]) : 1;
    return n;
}

static void flatten_into(struct form_value *ret, struct form_value v)
{
    for (size_t i = 0; i < v.count; i++) {
        if (v.items[i].kind == FORM_LIST)
            flatten_into(ret, v.items[i]);
        else
            form_push(ret, v.items[i]);
    }
}

static struct form_value fn_flatten(const struct args *x)
{
    struct form_value ret = form_list(x->a, flat_count(x->v[0]));
    if (x->v[0].kind != FORM_LIST)
        return FORM_ERROR_VALUE;
    flatten_into(&ret, x->v[0]);
    return ret;
}

static struct form_value fn_concat(const struct args *x)
{
    size_t room = 0;
    for (size_t i = 0; i < x->n; i++)
        room += x->v[i].count;
    struct form_value ret = form_list(x->a, room);
    for (size_t i = 0; i < x->n; i++) {
        if (x->v[i].kind != FORM_LIST)
            return FORM_ERROR_VALUE;
        for (size_t k = 0; k < x->v[i].count; k++)
            form_push(&ret, x->v[i].items[k]);
    }
    return ret;
}

static struct form_value fn_setunion(const struct args *x)
{
    return form_sorted_set(x->a, fn_concat(x));
}

static struct form_value filter(const struct args *x, bool wanted)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    for (size_t i = 0; i < x->v[0].count; i++) {
        bool keep = true;
        for (size_t k = 1; k < x->n; k++)
            keep = keep && has(x->a, x->v[k], x->v[0].items[i]) == wanted;
        if (keep)
            form_push(&ret, x->v[0].items[i]);
    }
    return x->v[0].kind == FORM_LIST ? form_sorted_set(x->a, ret) : FORM_ERROR_VALUE;
}

static struct form_value fn_setintersection(const struct args *x)
{
    return filter(x, true);
}

static struct form_value fn_setsubtract(const struct args *x)
{
    return filter(x, false);
}

static struct form_value fn_keys(const struct args *x)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    if (x->v[0].kind != FORM_OBJECT)
        return FORM_ERROR_VALUE;
    for (size_t i = 0; i < x->v[0].count; i++)
        form_push(&ret, form_string(x->v[0].keys[i]));
    return ret;
}

static struct form_value fn_values(const struct args *x)
{
    struct form_value ret = x->v[0];
    if (ret.kind != FORM_OBJECT)
        return FORM_ERROR_VALUE;
    ret.kind = FORM_LIST;
    ret.keys = NULL;
    return ret;
}

static struct form_value fn_zipmap(const struct args *x)
{
    struct form_value ret = form_object(x->a, x->v[0].count);
    if (x->v[0].kind != FORM_LIST || x->v[1].kind != FORM_LIST || x->v[0].count != x->v[1].count)
        return FORM_ERROR_VALUE;
    for (size_t i = 0; i < x->v[0].count; i++) {
        struct form_value key = form_to_string(x->a, x->v[0].items[i]);
        if (key.kind != FORM_STRING)
            return FORM_ERROR_VALUE;
        form_set(&ret, key.s, x->v[1].items[i]);
    }
    return ret;
}

static struct form_value fn_element(const struct args *x)
{
    struct form_value i = number_arg(x, 1);
    if (x->v[0].kind != FORM_LIST || !x->v[0].count || i.kind != FORM_NUMBER || !(fabs(i.n) < 1e9))
        return FORM_ERROR_VALUE;
    int64_t n = (int64_t)x->v[0].count, at = (int64_t)i.n % n;
    return x->v[0].items[at < 0 ? at + n : at];
}

static struct form_value fn_index(const struct args *x)
{
    for (size_t i = 0; x->v[0].kind == FORM_LIST && i < x->v[0].count; i++)
        if (form_same(x->v[0].items[i], x->v[1]))
            return form_number((double)i);
    return FORM_ERROR_VALUE;
}

static struct form_value fn_one(const struct args *x)
{
    if (x->v[0].kind != FORM_LIST || x->v[0].count > 1)
        return FORM_ERROR_VALUE;
    return x->v[0].count ? x->v[0].items[0] : FORM_NULL_VALUE;
}

static struct form_value fn_compact(const struct args *x)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    for (size_t i = 0; i < x->v[0].count; i++) {
        struct form_value s = form_to_string(x->a, x->v[0].items[i]);
        if (s.kind == FORM_STRING && s.s.len)
            form_push(&ret, s);
    }
    return x->v[0].kind == FORM_LIST ? ret : FORM_ERROR_VALUE;
}

static struct form_value fn_distinct(const struct args *x)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    for (size_t i = 0; i < x->v[0].count; i++)
        if (!has(x->a, ret, x->v[0].items[i]))
            form_push(&ret, x->v[0].items[i]);
    return x->v[0].kind == FORM_LIST ? ret : FORM_ERROR_VALUE;
}

static struct form_value fn_reverse(const struct args *x)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    for (size_t i = x->v[0].count; i > 0; i--)
        form_push(&ret, x->v[0].items[i - 1]);
    return x->v[0].kind == FORM_LIST ? ret : FORM_ERROR_VALUE;
}

static struct form_value fn_sort(const struct args *x)
{
    struct form_value ret = form_list(x->a, x->v[0].count);
    for (size_t i = 0; i < x->v[0].count; i++) {
        struct form_value s = form_to_string(x->a, x->v[0].items[i]);
        size_t at = ret.count;
        if (s.kind != FORM_STRING)
            return FORM_ERROR_VALUE;
        form_push(&ret, s);
        if (ret.kind != FORM_LIST)
            return ret;
        for (; at > 0 && cm_str_cmp(ret.items[at - 1].s, s.s) > 0; at--)
            ret.items[at] = ret.items[at - 1];
        ret.items[at] = s;
    }
    return x->v[0].kind == FORM_LIST ? ret : FORM_ERROR_VALUE;
}

static struct form_value fn_slice(const struct args *x)
{
    struct form_value from = number_arg(x, 1), to = number_arg(x, 2), ret = x->v[0];
    if (ret.kind != FORM_LIST || from.kind != FORM_NUMBER || to.kind != FORM_NUMBER ||
        !(from.n >= 0 && from.n <= to.n && to.n <= (double)ret.count))
        return FORM_ERROR_VALUE;
    ret.items += (size_t)from.n;
    ret.count = (size_t)to.n - (size_t)from.n;
    return ret;
}

static struct form_value fn_range(const struct args *x)
{
    double v[3] = {0, 0, 1};
    for (size_t i = 0; i < x->n; i++) {
        struct form_value n = number_arg(x, i);
        if (n.kind != FORM_NUMBER)
            return FORM_ERROR_VALUE;
        v[x->n == 1 ? 1 : i] = n.n;
    }
    if (x->n < 3 && v[1] < v[0])
        v[2] = -1;
    double count = v[2] == 0 ? -1 : ceil((v[1] - v[0]) / v[2]);
    if (!(count <= RANGE_MAX) || v[2] == 0)
        return FORM_ERROR_VALUE;
    struct form_value ret = form_list(x->a, count > 0 ? (size_t)count : 0);
    for (size_t i = 0; (double)i < count; i++)
        form_push(&ret, form_number(v[0] + (double)i * v[2]));
    return ret;
}

static struct form_value fn_join(const struct args *x)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(TEXT_MAX);
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
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(TEXT_MAX);
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
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(TEXT_MAX);
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
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(TEXT_MAX);
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

static struct form_value fn_tostring(const struct args *x)
{
    return text_arg(x, 0);
}

static struct form_value fn_tonumber(const struct args *x)
{
    return number_arg(x, 0);
}

static struct form_value fn_tobool(const struct args *x)
{
    return form_to_bool(x->v[0]);
}

static struct form_value fn_tolist(const struct args *x)
{
    return x->v[0].kind == FORM_LIST ? x->v[0] : FORM_ERROR_VALUE;
}

static struct form_value fn_toset(const struct args *x)
{
    return form_sorted_set(x->a, x->v[0]);
}

static struct form_value fn_tomap(const struct args *x)
{
    return x->v[0].kind == FORM_OBJECT ? x->v[0] : FORM_ERROR_VALUE;
}

static struct form_value fn_same(const struct args *x)
{
    return x->v[0];
}

static struct form_value extreme(const struct args *x, double sign)
{
    struct form_value best = FORM_ERROR_VALUE;
    for (size_t i = 0; i < x->n; i++) {
        struct form_value v = number_arg(x, i);
        if (v.kind != FORM_NUMBER)
            return FORM_ERROR_VALUE;
        if (best.kind != FORM_NUMBER || v.n * sign > best.n * sign)
            best = v;
    }
    return best;
}

static struct form_value fn_max(const struct args *x)
{
    return extreme(x, 1);
}

static struct form_value fn_min(const struct args *x)
{
    return extreme(x, -1);
}

static struct form_value fn_sum(const struct args *x)
{
    double sum = 0;
    for (size_t i = 0; i < x->v[0].count; i++) {
        struct form_value v = form_to_number(x->a, x->v[0].items[i]);
        if (v.kind != FORM_NUMBER)
            return FORM_ERROR_VALUE;
        sum += v.n;
    }
    return x->v[0].kind == FORM_LIST && x->v[0].count ? form_number(sum) : FORM_ERROR_VALUE;
}

static struct form_value rounded(const struct args *x, double (*f)(double))
{
    struct form_value v = number_arg(x, 0);
    v.n = f(v.n);
    return v;
}

static struct form_value fn_floor(const struct args *x)
{
    return rounded(x, floor);
}

static struct form_value fn_ceil(const struct args *x)
{
    return rounded(x, ceil);
}

static struct form_value fn_abs(const struct args *x)
{
    return rounded(x, fabs);
}

static struct form_value all_or_any(const struct args *x, bool stops)
{
    for (size_t i = 0; i < x->v[0].count; i++) {
        struct form_value v = form_to_bool(x->v[0].items[i]);
        if (v.kind == FORM_BOOL && v.b == stops)
            return form_bool(stops);
    }
    return x->v[0].kind == FORM_LIST ? form_bool(!stops) : FORM_ERROR_VALUE;
}

static struct form_value fn_alltrue(const struct args *x)
{
    return all_or_any(x, false);
}

static struct form_value fn_anytrue(const struct args *x)
{
    return all_or_any(x, true);
}

/* ---- those that look at what is not known, or not right ---- */

static struct form_value fn_try(const struct args *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->v[i].kind != FORM_ERROR)
            return x->v[i];
    return FORM_ERROR_VALUE;
}

static struct form_value fn_can(const struct args *x)
{
    if (x->v[0].kind == FORM_UNKNOWN)
        return x->v[0];
    return form_bool(x->v[0].kind != FORM_ERROR);
}

static struct form_value fn_coalesce(const struct args *x)
{
    for (size_t i = 0; i < x->n; i++) {
        if (!form_known(x->v[i]))
            return x->v[i];
        if (x->v[i].kind != FORM_NULL && !(x->v[i].kind == FORM_STRING && !x->v[i].s.len))
            return x->v[i];
    }
    return FORM_ERROR_VALUE;
}

static struct form_value fn_coalescelist(const struct args *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (!form_known(x->v[i]) || x->v[i].count)
            return x->v[i];
    return FORM_ERROR_VALUE;
}

static const struct function {
    const char *name;
    struct form_value (*fn)(const struct args *);
    size_t min, max;
    bool raw;
} functions[] = {
    {"abs", fn_abs, 1, 1, false},
    {"alltrue", fn_alltrue, 1, 1, false},
    {"anytrue", fn_anytrue, 1, 1, false},
    {"basename", fn_basename, 1, 1, false},
    {"can", fn_can, 1, 1, true},
    {"ceil", fn_ceil, 1, 1, false},
    {"chomp", fn_chomp, 1, 1, false},
    {"coalesce", fn_coalesce, 1, SIZE_MAX, true},
    {"coalescelist", fn_coalescelist, 1, SIZE_MAX, true},
    {"compact", fn_compact, 1, 1, false},
    {"concat", fn_concat, 1, SIZE_MAX, false},
    {"contains", fn_contains, 2, 2, false},
    {"distinct", fn_distinct, 1, 1, false},
    {"element", fn_element, 2, 2, false},
    {"endswith", fn_endswith, 2, 2, false},
    {"file", fn_file, 1, 1, false},
    {"fileexists", fn_fileexists, 1, 1, false},
    {"flatten", fn_flatten, 1, 1, false},
    {"floor", fn_floor, 1, 1, false},
    {"format", fn_format, 1, SIZE_MAX, false},
    {"index", fn_index, 2, 2, false},
    {"join", fn_join, 2, SIZE_MAX, false},
    {"jsondecode", fn_jsondecode, 1, 1, false},
    {"jsonencode", fn_jsonencode, 1, 1, false},
    {"keys", fn_keys, 1, 1, false},
    {"length", fn_length, 1, 1, false},
    {"lookup", fn_lookup, 2, 3, false},
    {"lower", fn_lower, 1, 1, false},
    {"max", fn_max, 1, SIZE_MAX, false},
    {"merge", fn_merge, 0, SIZE_MAX, false},
    {"min", fn_min, 1, SIZE_MAX, false},
    {"nonsensitive", fn_same, 1, 1, false},
    {"one", fn_one, 1, 1, false},
    {"range", fn_range, 1, 3, false},
    {"replace", fn_replace, 3, 3, false},
    {"reverse", fn_reverse, 1, 1, false},
    {"sensitive", fn_same, 1, 1, false},
    {"setintersection", fn_setintersection, 1, SIZE_MAX, false},
    {"setsubtract", fn_setsubtract, 2, 2, false},
    {"setunion", fn_setunion, 1, SIZE_MAX, false},
    {"slice", fn_slice, 3, 3, false},
    {"sort", fn_sort, 1, 1, false},
    {"split", fn_split, 2, 2, false},
    {"startswith", fn_startswith, 2, 2, false},
    {"strcontains", fn_strcontains, 2, 2, false},
    {"substr", fn_substr, 3, 3, false},
    {"sum", fn_sum, 1, 1, false},
    {"title", fn_title, 1, 1, false},
    {"tobool", fn_tobool, 1, 1, false},
    {"tolist", fn_tolist, 1, 1, false},
    {"tomap", fn_tomap, 1, 1, false},
    {"tonumber", fn_tonumber, 1, 1, false},
    {"toset", fn_toset, 1, 1, false},
    {"tostring", fn_tostring, 1, 1, false},
    {"trimprefix", fn_trimprefix, 2, 2, false},
    {"trimspace", fn_trimspace, 1, 1, false},
    {"trimsuffix", fn_trimsuffix, 2, 2, false},
    {"try", fn_try, 1, SIZE_MAX, true},
    {"upper", fn_upper, 1, 1, false},
    {"values", fn_values, 1, 1, false},
    {"yamldecode", fn_yamldecode, 1, 1, false},
    {"zipmap", fn_zipmap, 2, 2, false},
};

/* What inspects the values inside a list must know them all. */
static bool ready(const struct form_value *v, size_t n, bool shape_only)
{
    for (size_t i = 0; i < n; i++)
        if (shape_only ? !form_known(v[i]) : !form_whole(v[i]))
            return false;
    return true;
}

struct form_value form_call(const struct form_scope *scope, struct cm_str name,
                            const struct form_value *v, size_t n)
{
    /* Each element against each. */
    static const char *const squares[] = {
        "distinct", "setintersection", "setsubtract", "setunion", "sort", "toset"};
    static const char *const shapes[] = {"length", "keys",   "values", "merge", "concat", "element",
                                         "lookup", "tolist", "tomap",  "one",   "slice",  "zipmap"};
    const struct args x = {scope, scope->arena, v, n};
    for (size_t i = 0; i < CM_COUNT_OF(functions); i++) {
        const struct function *f = &functions[i];
        bool shape = false;
        if (!cm_str_eq_c(name, f->name))
            continue;
        if (n < f->min || n > f->max)
            return FORM_ERROR_VALUE;
        size_t all = 0;
        for (size_t k = 0; k < n; k++)
            all += v[k].count;
        for (size_t k = 0; k < CM_COUNT_OF(squares); k++)
            form_charge(scope, cm_str_eq_c(name, squares[k]) ? all * all / 16 : 0);
        if (*scope->steps == 0)
            return FORM_UNKNOWN_VALUE;
        for (size_t k = 0; k < CM_COUNT_OF(shapes); k++)
            shape = shape || cm_str_eq_c(name, shapes[k]);
        for (size_t k = 0; !f->raw && k < n; k++)
            if (v[k].kind == FORM_ERROR)
                return FORM_ERROR_VALUE;
        if (!f->raw && !ready(v, n, shape))
            return FORM_UNKNOWN_VALUE;
        return f->fn(&x);
    }
    return FORM_UNKNOWN_VALUE;
}
