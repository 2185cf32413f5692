#include "form/expr.h"

#include <math.h>

#include "form/reader.h"

#define PATH_MAX_NAMES 6

static struct form_value call(struct reader *r, struct cm_str name)
{
    size_t cap = 4;
    struct form_value args = form_list(r->a, cap);
    while (!r->broken && !expr_take(r, ")")) {
        struct form_value v = expr_expression(r);
        bool spread = expr_take(r, "...");
        if (spread && v.kind != FORM_LIST) {
            v = form_known(v) ? FORM_ERROR_VALUE : v;
            spread = false;
        }
        for (size_t i = 0; i < (spread ? v.count : 1); i++) {
            expr_make_room(r, &args, &cap);
            form_push(&args, spread ? v.items[i] : v);
        }
        if (!expr_at(r, ")"))
            expr_expect(r, ",");
    }
    if (r->broken || args.kind != FORM_LIST)
        return FORM_UNKNOWN_VALUE;
    form_charge(r->scope, args.weight);
    struct form_value v = form_call(r->scope, name, args.items, args.count);
    form_charge(r->scope, form_weight(v));
    return v;
}

static struct form_value reference(struct reader *r, struct cm_str first)
{
    for (const struct local *l = r->locals; l; l = l->next)
        if (cm_str_eq(l->name, first))
            return l->value;
    struct cm_str path[PATH_MAX_NAMES] = {first};
    const char *ends[PATH_MAX_NAMES] = {r->h.p};
    size_t n = 1, used = 0;
    while (n < PATH_MAX_NAMES && r->h.end - r->h.p > 1 && *r->h.p == '.' && r->h.p[1] != '*' &&
           !(r->h.p[1] >= '0' && r->h.p[1] <= '9')) {
        r->h.p++;
        if (!cm_hcl_take_name(&r->h, &path[n]))
            return expr_give_up(r);
        ends[n++] = r->h.p;
    }
    struct form_value v = FORM_ERROR_VALUE;
    if (!r->scope->resolve(r->scope->ctx, path, n, &v, &used) || used == 0 || used > n) {
        return FORM_ERROR_VALUE;
    }
    r->h.p = ends[used - 1];
    return v;
}

static struct form_value number(struct reader *r)
{
    const char *start = r->h.p;
    while (r->h.p < r->h.end &&
           ((*r->h.p >= '0' && *r->h.p <= '9') || *r->h.p == '.' || *r->h.p == 'e' ||
            *r->h.p == 'E' || ((*r->h.p == '+' || *r->h.p == '-') && (r->h.p[-1] | 32) == 'e')))
        r->h.p++;
    return form_to_number(r->a, form_string(cm_str_n(start, (size_t)(r->h.p - start))));
}

static struct form_value bracketed(struct reader *r, struct form_value (*inner)(struct reader *))
{
    unsigned inside = r->inside;
    r->h.p++;
    r->inside = 1;
    struct form_value v = inner(r);
    r->inside = inside;
    return v;
}

static struct form_value parenthesis(struct reader *r)
{
    struct form_value v = expr_expression(r);
    expr_expect(r, ")");
    return v;
}

static struct form_value primary(struct reader *r)
{
    struct cm_str name;
    expr_space(r);
    if (r->h.p == r->h.end)
        return expr_give_up(r);
    char c = *r->h.p;
    if (c == '"') {
        r->h.p++;
        return expr_template(r, true);
    }
    if (c == '<' && expr_at(r, "<<"))
        return expr_heredoc(r);
    if (c == '(')
        return bracketed(r, parenthesis);
    if (c == '[')
        return bracketed(r, expr_tuple);
    if (c == '{')
        return bracketed(r, expr_object);
    if (c >= '0' && c <= '9')
        return number(r);
    if (!cm_hcl_take_name(&r->h, &name))
        return expr_give_up(r);
    if (r->h.p < r->h.end && *r->h.p == '(') {
        unsigned inside = r->inside;
        r->h.p++;
        r->inside = 1;
        struct form_value v = call(r, name);
        r->inside = inside;
        return v;
    }
    if (r->h.end - r->h.p > 1 && r->h.p[0] == ':' && r->h.p[1] == ':')
        return expr_give_up(r); /* a provider's function */
    if (cm_str_eq_c(name, "true") || cm_str_eq_c(name, "false"))
        return form_bool(name.ptr[0] == 't');
    if (cm_str_eq_c(name, "null"))
        return FORM_NULL_VALUE;
    return reference(r, name);
}

static struct form_value traverse(struct reader *r, struct form_value v, bool *ret_more);

/* Behind "[*]" or ".*": what follows holds for each element. */
static struct form_value splat(struct reader *r, struct form_value from, bool full)
{
    const char *body = r->h.p;
    if (from.kind != FORM_LIST && from.kind != FORM_OBJECT && form_known(from)) {
        struct form_value one = form_list(r->a, 1);
        if (from.kind != FORM_NULL)
            form_push(&one, from);
        from = one;
    }
    size_t n = from.kind == FORM_LIST || from.kind == FORM_OBJECT ? from.count : 0;
    struct form_value ret = form_list(r->a, n);
    for (size_t i = 0; i < CM_MAX(n, (size_t)1) && expr_step(r); i++) {
        struct form_value v = n ? from.items[i] : FORM_UNKNOWN_VALUE;
        bool more = true;
        r->h.p = body;
        while (more && !r->broken && (full || (r->h.p < r->h.end && *r->h.p == '.')))
            v = traverse(r, v, &more);
        if (n)
            form_push(&ret, v);
    }
    return form_known(from) ? ret : from;
}

static struct form_value traverse(struct reader *r, struct form_value v, bool *ret_more)
{
    struct cm_str name;
    const char *p = r->h.p;
    size_t left = (size_t)(r->h.end - p);
    *ret_more = true;
    if (left > 1 && p[0] == '.' && p[1] == '*') {
        r->h.p += 2;
        return splat(r, v, false);
    }
    if (left > 1 && p[0] == '.' && p[1] != '.') {
        r->h.p++;
        if (!cm_hcl_take_name(&r->h, &name))
            return expr_give_up(r);
        return form_index(r->a, v, form_string(name));
    }
    if (left > 0 && p[0] == '[') {
        unsigned inside = r->inside;
        r->h.p++;
        r->inside = 1;
        if (expr_take(r, "*")) {
            expr_expect(r, "]");
            r->inside = inside;
            return splat(r, v, true);
        }
        struct form_value key = expr_expression(r);
        expr_expect(r, "]");
        r->inside = inside;
        return form_index(r->a, v, key);
    }
    *ret_more = false;
    return v;
}

static struct form_value postfix(struct reader *r)
{
    bool more = true;
    struct form_value v = primary(r);
    while (more && !r->broken)
        v = traverse(r, v, &more);
    return v;
}

static struct form_value unary(struct reader *r)
{
    if (expr_at(r, "!") && !expr_at(r, "!=")) {
        expr_take(r, "!");
        struct form_value v = form_to_bool(unary(r));
        if (v.kind == FORM_BOOL)
            v.b = !v.b;
        return v.kind == FORM_NULL ? FORM_ERROR_VALUE : v;
    }
    if (expr_take(r, "-")) {
        struct form_value v = form_to_number(r->a, unary(r));
        v.n = -v.n;
        return v.kind == FORM_NULL ? FORM_ERROR_VALUE : v;
    }
    return postfix(r);
}

enum op {
    OP_OR,
    OP_AND,
    OP_EQ,
    OP_NE,
    OP_LE,
    OP_GE,
    OP_LT,
    OP_GT,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD
};

static const struct {
    const char *text;
    enum op op;
    int level;
} ops[] = {
    {"||", OP_OR, 1}, {"&&", OP_AND, 2}, {"==", OP_EQ, 3}, {"!=", OP_NE, 3}, {"<=", OP_LE, 4},
    {">=", OP_GE, 4}, {"<", OP_LT, 4},   {">", OP_GT, 4},  {"+", OP_ADD, 5}, {"-", OP_SUB, 5},
    {"*", OP_MUL, 6}, {"/", OP_DIV, 6},  {"%", OP_MOD, 6},
};

static struct form_value logic(enum op op, struct form_value x, struct form_value y)
{
    bool stops = op == OP_OR;
    x = form_to_bool(x);
    y = form_to_bool(y);
    if (x.kind == FORM_ERROR || y.kind == FORM_ERROR || x.kind == FORM_NULL || y.kind == FORM_NULL)
        return FORM_ERROR_VALUE;
    if ((x.kind == FORM_BOOL && x.b == stops) || (y.kind == FORM_BOOL && y.b == stops))
        return form_bool(stops);
    return x.kind == FORM_BOOL && y.kind == FORM_BOOL ? form_bool(!stops) : FORM_UNKNOWN_VALUE;
}

static struct form_value operate(struct reader *r, enum op op, struct form_value x,
                                 struct form_value y)
{
    if (op == OP_OR || op == OP_AND)
        return logic(op, x, y);
    if (x.kind == FORM_ERROR || y.kind == FORM_ERROR)
        return FORM_ERROR_VALUE;
    if (x.kind == FORM_UNKNOWN || y.kind == FORM_UNKNOWN)
        return FORM_UNKNOWN_VALUE;
    if (op == OP_EQ || op == OP_NE) {
        form_charge(r->scope, form_weight(x) + form_weight(y));
        if (!form_whole(x) || !form_whole(y))
            return FORM_UNKNOWN_VALUE;
        return form_bool(form_same(x, y) == (op == OP_EQ));
    }
    x = form_to_number(r->a, x);
    y = form_to_number(r->a, y);
    if (x.kind != FORM_NUMBER || y.kind != FORM_NUMBER)
        return FORM_ERROR_VALUE;
    switch (op) {
    case OP_LE:
        return form_bool(x.n <= y.n);
    case OP_GE:
        return form_bool(x.n >= y.n);
    case OP_LT:
        return form_bool(x.n < y.n);
    case OP_GT:
        return form_bool(x.n > y.n);
    case OP_ADD:
        return form_number(x.n + y.n);
    case OP_SUB:
        return form_number(x.n - y.n);
    case OP_MUL:
        return form_number(x.n * y.n);
    case OP_DIV:
        return y.n == 0 ? FORM_ERROR_VALUE : form_number(x.n / y.n);
    case OP_MOD:
        return y.n == 0 ? FORM_ERROR_VALUE : form_number(fmod(x.n, y.n));
    case OP_OR:
    case OP_AND:
    case OP_EQ:
    case OP_NE:
        break;
    }
    return FORM_ERROR_VALUE;
}

static struct form_value binary(struct reader *r, int level)
{
    struct form_value x = unary(r);
    for (;;) {
        size_t i = 0;
        while (i < CM_COUNT_OF(ops) && !expr_at(r, ops[i].text))
            i++;
        if (i == CM_COUNT_OF(ops) || ops[i].level < level || r->broken || expr_at(r, "=>"))
            return x;
        expr_take(r, ops[i].text);
        cm_hcl_skip_space(&r->h, false);
        struct form_value y = binary(r, ops[i].level + 1);
        x = operate(r, ops[i].op, x, y);
    }
}

struct form_value expr_expression(struct reader *r)
{
    if (!expr_step(r) || ++r->depth + r->scope->depth > FORM_DEPTH_MAX)
        return expr_give_up(r);
    struct form_value v = binary(r, 1);
    if (!r->broken && expr_take(r, "?")) {
        cm_hcl_skip_space(&r->h, false);
        struct form_value yes = expr_expression(r);
        if (r->h.p < r->h.end)
            cm_hcl_skip_space(&r->h, false);
        expr_expect(r, ":");
        cm_hcl_skip_space(&r->h, false);
        struct form_value no = expr_expression(r);
        v = form_to_bool(v);
        if (v.kind == FORM_BOOL)
            v = v.b ? yes : no;
        else if (v.kind == FORM_NULL)
            v = FORM_ERROR_VALUE;
    }
    r->depth--;
    return v;
}

struct form_value form_eval(const struct form_scope *scope, struct cm_str text)
{
    struct reader r = {
        .scope = scope, .a = scope->arena, .h = {text.ptr, text.ptr + text.len, scope->arena}};
    cm_hcl_skip_space(&r.h, false);
    struct form_value v = expr_expression(&r);
    cm_hcl_skip_space(&r.h, false);
    return r.broken || r.h.p != r.h.end ? FORM_UNKNOWN_VALUE : v;
}
