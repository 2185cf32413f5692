#include "form/reader.h"

/* ---- for ---- */

struct loop {
    struct cm_str key, value;
    bool object;
    const char *body; /* behind the colon */
};

/* One turn: reads the body, adds what it yields to *ret. An UNKNOWN turn only finds the end. */
static void turn(struct reader *r, const struct loop *l, struct form_value key,
                 struct form_value item, struct form_value *ret, bool *unknown)
{
    struct local value = {l->value, item, r->locals}, k = {l->key, key, &value};
    struct reader in = expr_nested(r, cm_str_n(l->body, (size_t)(r->h.end - l->body)));
    struct form_value name = FORM_NULL_VALUE;
    in.locals = l->key.len ? &k : &value;
    if (l->object) {
        name = expr_expression(&in);
        expr_expect(&in, "=>");
    }
    struct form_value v = expr_expression(&in), keep = form_bool(true);
    bool grouped = expr_take(&in, "...");
    if (expr_take_word(&in, "if"))
        keep = form_to_bool(expr_expression(&in));
    expr_expect(&in, l->object ? "}" : "]");
    r->broken |= in.broken || (grouped && !l->object);
    r->h.p = in.h.p;
    if (!ret || r->broken)
        return;
    name = form_to_string(r->a, name);
    if (keep.kind != FORM_BOOL || (l->object && name.kind != FORM_STRING))
        *unknown = true;
    else if (keep.b && grouped)
        form_group(r->a, ret, name.s, v);
    else if (keep.b && l->object)
        form_set(ret, name.s, v);
    else if (keep.b)
        form_push(ret, v);
}

/* Behind "[for" or "{for". */
static struct form_value expr_loop(struct reader *r, bool object)
{
    struct loop l = {.object = object};
    bool unknown = false;
    expr_space(r);
    if (!cm_hcl_take_name(&r->h, &l.value))
        return expr_give_up(r);
    if (expr_take(r, ",")) {
        l.key = l.value;
        expr_space(r);
        if (!cm_hcl_take_name(&r->h, &l.value))
            return expr_give_up(r);
    }
    if (!expr_take_word(r, "in"))
        return expr_give_up(r);
    struct form_value from = expr_expression(r);
    expr_expect(r, ":");
    l.body = r->h.p;
    if (r->broken)
        return expr_give_up(r);
    if ((from.kind != FORM_LIST && from.kind != FORM_OBJECT) || !from.count) {
        turn(r, &l, FORM_UNKNOWN_VALUE, FORM_UNKNOWN_VALUE, NULL, &unknown);
        if (from.kind == FORM_LIST || from.kind == FORM_OBJECT)
            return object ? form_object(r->a, 0) : form_list(r->a, 0);
        return from.kind == FORM_UNKNOWN ? from : FORM_ERROR_VALUE;
    }
    struct form_value ret = object ? form_object(r->a, from.count) : form_list(r->a, from.count);
    for (size_t i = 0; i < from.count && expr_step(r); i++)
        turn(r, &l, from.kind == FORM_OBJECT ? form_string(from.keys[i]) : form_number((double)i),
             from.items[i], &ret, &unknown);
    return unknown ? FORM_UNKNOWN_VALUE : ret;
}

/* ---- lists, objects ---- */

/* Room for one more. */
void expr_make_room(struct reader *r, struct form_value *v, size_t *cap)
{
    if (v->count < *cap || v->kind == FORM_UNKNOWN)
        return;
    struct form_value more =
        v->kind == FORM_LIST ? form_list(r->a, *cap * 2) : form_object(r->a, *cap * 2);
    for (size_t i = 0; i < v->count; i++) {
        more.items[i] = v->items[i];
        if (v->keys)
            more.keys[i] = v->keys[i];
    }
    more.count = v->count;
    more.weight = v->weight;
    *v = more;
    *cap *= 2;
}

struct form_value expr_tuple(struct reader *r)
{
    size_t cap = 4;
    if (expr_take_word(r, "for"))
        return expr_loop(r, false);
    struct form_value ret = form_list(r->a, cap);
    while (!r->broken && !expr_take(r, "]")) {
        expr_make_room(r, &ret, &cap);
        form_push(&ret, expr_expression(r));
        if (!expr_at(r, "]"))
            expr_expect(r, ",");
    }
    return ret;
}

static struct form_value object_key(struct reader *r)
{
    struct cm_hcl before = r->h;
    struct cm_str name;
    expr_space(r);
    if (cm_hcl_take_name(&r->h, &name) && (expr_at(r, "=") || expr_at(r, ":")))
        return form_string(name);
    r->h = before;
    return form_to_string(r->a, expr_expression(r));
}

struct form_value expr_object(struct reader *r)
{
    size_t cap = 4;
    bool unknown = false;
    if (expr_take_word(r, "for"))
        return expr_loop(r, true);
    struct form_value ret = form_object(r->a, cap);
    while (!r->broken && !expr_take(r, "}")) {
        struct form_value key = object_key(r);
        if (!expr_take(r, "=") && !expr_take(r, ":"))
            return expr_give_up(r);
        /* A newline ends a member. */
        struct cm_str text;
        cm_hcl_skip_space(&r->h, false);
        const char *start = r->h.p;
        r->inside--;
        unsigned inside = r->inside;
        r->inside = 0;
        struct form_value v = expr_expression(r);
        r->inside = inside + 1;
        text = cm_str_n(start, (size_t)(r->h.p - start));
        if (!text.len)
            return expr_give_up(r);
        expr_make_room(r, &ret, &cap);
        if (key.kind == FORM_STRING)
            form_set(&ret, key.s, v);
        else
            unknown = true;
        expr_take(r, ",");
    }
    return unknown ? FORM_UNKNOWN_VALUE : ret;
}
