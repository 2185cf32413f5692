#include "form/expr.h"

#include <math.h>

#include "codec/hcl.h"

#define PATH_MAX_NAMES 6
#define TEXT_MAX       ((size_t)1 << 20)

struct local {
    struct cm_str name;
    struct form_value value;
    const struct local *next;
};

struct reader {
    const struct form_scope *scope;
    struct cm_arena *a;
    struct cm_hcl h;
    const struct local *locals;
    unsigned depth;
    unsigned inside; /* brackets, where a newline is only space */
    bool broken;     /* not understood: the whole is UNKNOWN */
};

static struct form_value expression(struct reader *r);

static void space(struct reader *r)
{
    cm_hcl_skip_space(&r->h, r->inside == 0);
}

static bool at(struct reader *r, const char *text)
{
    size_t n = strlen(text);
    space(r);
    return (size_t)(r->h.end - r->h.p) >= n && memcmp(r->h.p, text, n) == 0;
}

static bool take(struct reader *r, const char *text)
{
    if (!at(r, text))
        return false;
    r->h.p += strlen(text);
    return true;
}

static struct form_value give_up(struct reader *r)
{
    r->broken = true;
    return FORM_UNKNOWN_VALUE;
}

static void expect(struct reader *r, const char *text)
{
    if (!take(r, text))
        r->broken = true;
}

static bool take_word(struct reader *r, const char *word)
{
    struct cm_hcl before = r->h;
    struct cm_str name;
    space(r);
    if (cm_hcl_take_name(&r->h, &name) && cm_str_eq_c(name, word))
        return true;
    r->h = before;
    return false;
}

static bool step(struct reader *r)
{
    if (*r->scope->steps == 0 || r->broken) {
        r->broken = true;
        return false;
    }
    --*r->scope->steps;
    return true;
}

/* The same text again, with another local name. */
static struct reader nested(const struct reader *r, struct cm_str text)
{
    struct reader in = *r;
    in.h = (struct cm_hcl){text.ptr, text.ptr + text.len, r->a};
    in.depth++;
    in.inside = 1;
    return in;
}

/* ---- templates: "a ${b} c" ---- */

static void put_rune(struct cm_buf *b, uint32_t c)
{
    if (c < 0x80) {
        cm_buf_char(b, (char)c);
    } else if (c < 0x800) {
        cm_buf_char(b, (char)(0xc0 | c >> 6));
        cm_buf_char(b, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        cm_buf_char(b, (char)(0xe0 | c >> 12));
        cm_buf_char(b, (char)(0x80 | (c >> 6 & 0x3f)));
        cm_buf_char(b, (char)(0x80 | (c & 0x3f)));
    } else {
        cm_buf_char(b, (char)(0xf0 | (c >> 18 & 7)));
        cm_buf_char(b, (char)(0x80 | (c >> 12 & 0x3f)));
        cm_buf_char(b, (char)(0x80 | (c >> 6 & 0x3f)));
        cm_buf_char(b, (char)(0x80 | (c & 0x3f)));
    }
}

/* At a backslash. */
static bool take_escape(struct reader *r, struct cm_buf *b)
{
    static const char from[] = "nrt\"\\", to[] = "\n\r\t\"\\";
    if (r->h.end - r->h.p < 2)
        return false;
    char c = r->h.p[1];
    r->h.p += 2;
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        cm_buf_char(b, to[known - from]);
        return true;
    }
    if (c != 'u' && c != 'U')
        return false;
    uint32_t rune = 0;
    for (int i = c == 'u' ? 4 : 8; i > 0; i--, r->h.p++) {
        if (r->h.p == r->h.end)
            return false;
        char d = *r->h.p;
        if (d >= '0' && d <= '9')
            rune = rune << 4 | (uint32_t)(d - '0');
        else if ((d | 32) >= 'a' && (d | 32) <= 'f')
            rune = rune << 4 | (uint32_t)((d | 32) - 'a' + 10);
        else
            return false;
    }
    put_rune(b, rune);
    return true;
}

/* At "${". The value; the closing brace is taken. */
static struct form_value interpolation(struct reader *r)
{
    r->h.p += 2;
    if (r->h.p < r->h.end && *r->h.p == '~')
        return give_up(r);
    unsigned outside = r->inside;
    r->inside = 1;
    struct form_value v = expression(r);
    if (at(r, "~"))
        give_up(r);
    expect(r, "}");
    r->inside = outside;
    return v;
}

/* Up to the closing quote (taken), or to the end of a heredoc's text. */
static struct form_value template(struct reader *r, bool quoted)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(TEXT_MAX);
    struct form_value bad = FORM_NULL_VALUE, only = FORM_NULL_VALUE;
    size_t parts = 0;
    const char *start = r->h.p;
    bool closed = false;
    while (r->h.p < r->h.end && !closed && !r->broken) {
        const char *p = r->h.p;
        size_t left = (size_t)(r->h.end - p);
        bool dollar = *p == '$' || *p == '%';
        if (quoted && *p == '"') {
            closed = true;
            r->h.p++;
        } else if (dollar && left > 2 && p[1] == *p && p[2] == '{') {
            cm_buf_append(&b, p + 1, 2);
            r->h.p += 3;
        } else if (*p == '%' && left > 1 && p[1] == '{') {
            give_up(r);
        } else if (*p == '$' && left > 1 && p[1] == '{') {
            struct form_value v = interpolation(r);
            only = v;
            parts += p == start && r->h.p < r->h.end && *r->h.p == '"' && quoted ? 1 : 2;
            v = form_to_string(r->a, v);
            if (v.kind == FORM_STRING)
                cm_buf_str(&b, v.s);
            else if (bad.kind == FORM_NULL || v.kind == FORM_ERROR || v.kind == FORM_NULL)
                bad = v.kind == FORM_UNKNOWN ? v : FORM_ERROR_VALUE;
        } else if (quoted && *p == '\\') {
            if (!take_escape(r, &b))
                give_up(r);
        } else {
            cm_buf_char(&b, *p);
            r->h.p++;
        }
    }
    if (r->broken || (quoted && !closed) || b.failed)
        return give_up(r);
    if (parts == 1) /* "${x}" is x itself */
        return only;
    if (bad.kind != FORM_NULL)
        return bad;
    form_charge(r->scope, b.len / 16);
    return form_string(cm_arena_str(r->a, cm_buf_view(&b)));
}

static size_t indent_of(struct cm_str line)
{
    size_t n = 0;
    while (n < line.len && (line.ptr[n] == ' ' || line.ptr[n] == '\t'))
        n++;
    return n;
}

static struct cm_str unindent(struct cm_arena *a, struct cm_str text)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(TEXT_MAX);
    size_t least = SIZE_MAX;
    struct cm_str rest = text, line;
    while (rest.len) {
        rest = cm_str_split(rest, '\n', &line);
        if (cm_str_trim(line).len)
            least = CM_MIN(least, indent_of(line));
    }
    rest = text;
    while (rest.len) {
        rest = cm_str_split(rest, '\n', &line);
        cm_buf_str(&b, cm_str_sub(line, CM_MIN(least, indent_of(line)), line.len));
        cm_buf_char(&b, '\n');
    }
    return cm_arena_str(a, cm_buf_view(&b));
}

/* At "<<". */
static struct form_value heredoc(struct reader *r)
{
    struct cm_str marker, line, rest;
    r->h.p += 2;
    bool indented = cm_hcl_take_char(&r->h, '-');
    if (!cm_hcl_take_name(&r->h, &marker))
        return give_up(r);
    rest = cm_str_split(cm_str_n(r->h.p, (size_t)(r->h.end - r->h.p)), '\n', &line);
    const char *start = rest.ptr;
    while (rest.len) {
        const char *here = rest.ptr;
        rest = cm_str_split(rest, '\n', &line);
        if (!cm_str_eq(cm_str_trim(line), marker))
            continue;
        struct cm_str text = cm_str_n(start, (size_t)(here - start));
        struct reader in = nested(r, indented ? unindent(r->a, text) : text);
        struct form_value v = template(&in, false);
        r->broken |= in.broken;
        r->h.p = line.ptr + line.len;
        return v;
    }
    return give_up(r);
}

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
    struct reader in = nested(r, cm_str_n(l->body, (size_t)(r->h.end - l->body)));
    struct form_value name = FORM_NULL_VALUE;
    in.locals = l->key.len ? &k : &value;
    if (l->object) {
        name = expression(&in);
        expect(&in, "=>");
    }
    struct form_value v = expression(&in), keep = form_bool(true);
    bool grouped = take(&in, "...");
    if (take_word(&in, "if"))
        keep = form_to_bool(expression(&in));
    expect(&in, l->object ? "}" : "]");
    r->broken |= in.broken || grouped;
    r->h.p = in.h.p;
    if (!ret || r->broken)
        return;
    name = form_to_string(r->a, name);
    if (keep.kind != FORM_BOOL || (l->object && name.kind != FORM_STRING))
        *unknown = true;
    else if (keep.b && l->object)
        form_set(ret, name.s, v);
    else if (keep.b)
        form_push(ret, v);
}

/* Behind "[for" or "{for". */
static struct form_value loop(struct reader *r, bool object)
{
    struct loop l = {.object = object};
    bool unknown = false;
    space(r);
    if (!cm_hcl_take_name(&r->h, &l.value))
        return give_up(r);
    if (take(r, ",")) {
        l.key = l.value;
        space(r);
        if (!cm_hcl_take_name(&r->h, &l.value))
            return give_up(r);
    }
    if (!take_word(r, "in"))
        return give_up(r);
    struct form_value from = expression(r);
    expect(r, ":");
    l.body = r->h.p;
    if (r->broken)
        return give_up(r);
    if ((from.kind != FORM_LIST && from.kind != FORM_OBJECT) || !from.count) {
        turn(r, &l, FORM_UNKNOWN_VALUE, FORM_UNKNOWN_VALUE, NULL, &unknown);
        if (from.kind == FORM_LIST || from.kind == FORM_OBJECT)
            return object ? form_object(r->a, 0) : form_list(r->a, 0);
        return from.kind == FORM_UNKNOWN ? from : FORM_ERROR_VALUE;
    }
    struct form_value ret = object ? form_object(r->a, from.count) : form_list(r->a, from.count);
    for (size_t i = 0; i < from.count && step(r); i++)
        turn(r, &l, from.kind == FORM_OBJECT ? form_string(from.keys[i]) : form_number((double)i),
             from.items[i], &ret, &unknown);
    return unknown ? FORM_UNKNOWN_VALUE : ret;
}

/* ---- lists, objects ---- */

/* Room for one more. */
static void make_room(struct reader *r, struct form_value *v, size_t *cap)
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

static struct form_value tuple(struct reader *r)
{
    size_t cap = 4;
    if (take_word(r, "for"))
        return loop(r, false);
    struct form_value ret = form_list(r->a, cap);
    while (!r->broken && !take(r, "]")) {
        make_room(r, &ret, &cap);
        form_push(&ret, expression(r));
        if (!at(r, "]"))
            expect(r, ",");
    }
    return ret;
}

static struct form_value object_key(struct reader *r)
{
    struct cm_hcl before = r->h;
    struct cm_str name;
    space(r);
    if (cm_hcl_take_name(&r->h, &name) && (at(r, "=") || at(r, ":")))
        return form_string(name);
    r->h = before;
    return form_to_string(r->a, expression(r));
}

static struct form_value object(struct reader *r)
{
    size_t cap = 4;
    bool unknown = false;
    if (take_word(r, "for"))
        return loop(r, true);
    struct form_value ret = form_object(r->a, cap);
    while (!r->broken && !take(r, "}")) {
        struct form_value key = object_key(r);
        if (!take(r, "=") && !take(r, ":"))
            return give_up(r);
        /* A newline ends a member. */
        struct cm_str text;
        cm_hcl_skip_space(&r->h, false);
        const char *start = r->h.p;
        r->inside--;
        unsigned inside = r->inside;
        r->inside = 0;
        struct form_value v = expression(r);
        r->inside = inside + 1;
        text = cm_str_n(start, (size_t)(r->h.p - start));
        if (!text.len)
            return give_up(r);
        make_room(r, &ret, &cap);
        if (key.kind == FORM_STRING)
            form_set(&ret, key.s, v);
        else
            unknown = true;
        take(r, ",");
    }
    return unknown ? FORM_UNKNOWN_VALUE : ret;
}

/* ---- names, calls ---- */

static struct form_value call(struct reader *r, struct cm_str name)
{
    size_t cap = 4;
    struct form_value args = form_list(r->a, cap);
    while (!r->broken && !take(r, ")")) {
        struct form_value v = expression(r);
        bool spread = take(r, "...");
        if (spread && v.kind != FORM_LIST) {
            v = form_known(v) ? FORM_ERROR_VALUE : v;
            spread = false;
        }
        for (size_t i = 0; i < (spread ? v.count : 1); i++) {
            make_room(r, &args, &cap);
            form_push(&args, spread ? v.items[i] : v);
        }
        if (!at(r, ")"))
            expect(r, ",");
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
            return give_up(r);
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
    struct form_value v = expression(r);
    expect(r, ")");
    return v;
}

static struct form_value primary(struct reader *r)
{
    struct cm_str name;
    space(r);
    if (r->h.p == r->h.end)
        return give_up(r);
    char c = *r->h.p;
    if (c == '"') {
        r->h.p++;
        return template(r, true);
    }
    if (c == '<' && at(r, "<<"))
        return heredoc(r);
    if (c == '(')
        return bracketed(r, parenthesis);
    if (c == '[')
        return bracketed(r, tuple);
    if (c == '{')
        return bracketed(r, object);
    if (c >= '0' && c <= '9')
        return number(r);
    if (!cm_hcl_take_name(&r->h, &name))
        return give_up(r);
    if (r->h.p < r->h.end && *r->h.p == '(') {
        unsigned inside = r->inside;
        r->h.p++;
        r->inside = 1;
        struct form_value v = call(r, name);
        r->inside = inside;
        return v;
    }
    if (r->h.end - r->h.p > 1 && r->h.p[0] == ':' && r->h.p[1] == ':')
        return give_up(r); /* a provider's function */
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
    for (size_t i = 0; i < CM_MAX(n, (size_t)1) && step(r); i++) {
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
            return give_up(r);
        return form_index(r->a, v, form_string(name));
    }
    if (left > 0 && p[0] == '[') {
        unsigned inside = r->inside;
        r->h.p++;
        r->inside = 1;
        if (take(r, "*")) {
            expect(r, "]");
            r->inside = inside;
            return splat(r, v, true);
        }
        struct form_value key = expression(r);
        expect(r, "]");
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
    if (at(r, "!") && !at(r, "!=")) {
        take(r, "!");
        struct form_value v = form_to_bool(unary(r));
        if (v.kind == FORM_BOOL)
            v.b = !v.b;
        return v.kind == FORM_NULL ? FORM_ERROR_VALUE : v;
    }
    if (take(r, "-")) {
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
        while (i < CM_COUNT_OF(ops) && !at(r, ops[i].text))
            i++;
        if (i == CM_COUNT_OF(ops) || ops[i].level < level || r->broken || at(r, "=>"))
            return x;
        take(r, ops[i].text);
        cm_hcl_skip_space(&r->h, false);
        struct form_value y = binary(r, ops[i].level + 1);
        x = operate(r, ops[i].op, x, y);
    }
}

static struct form_value expression(struct reader *r)
{
    if (!step(r) || ++r->depth + r->scope->depth > FORM_DEPTH_MAX)
        return give_up(r);
    struct form_value v = binary(r, 1);
    if (!r->broken && take(r, "?")) {
        cm_hcl_skip_space(&r->h, false);
        struct form_value yes = expression(r);
        if (r->h.p < r->h.end)
            cm_hcl_skip_space(&r->h, false);
        expect(r, ":");
        cm_hcl_skip_space(&r->h, false);
        struct form_value no = expression(r);
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
    struct form_value v = expression(&r);
    cm_hcl_skip_space(&r.h, false);
    return r.broken || r.h.p != r.h.end ? FORM_UNKNOWN_VALUE : v;
}
