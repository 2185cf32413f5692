#include "form/reader.h"

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
        return expr_give_up(r);
    unsigned outside = r->inside;
    r->inside = 1;
    struct form_value v = expr_expression(r);
    if (expr_at(r, "~"))
        expr_give_up(r);
    expr_expect(r, "}");
    r->inside = outside;
    return v;
}

/* Up to the closing quote (taken), or to the end of a heredoc's text. */
struct form_value expr_template(struct reader *r, bool quoted)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(FORM_TEXT_MAX);
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
            expr_give_up(r);
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
                expr_give_up(r);
        } else {
            cm_buf_char(&b, *p);
            r->h.p++;
        }
    }
    if (r->broken || (quoted && !closed) || b.failed)
        return expr_give_up(r);
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
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(FORM_TEXT_MAX);
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
struct form_value expr_heredoc(struct reader *r)
{
    struct cm_str marker, line, rest;
    r->h.p += 2;
    bool indented = cm_hcl_take_char(&r->h, '-');
    if (!cm_hcl_take_name(&r->h, &marker))
        return expr_give_up(r);
    rest = cm_str_split(cm_str_n(r->h.p, (size_t)(r->h.end - r->h.p)), '\n', &line);
    const char *start = rest.ptr;
    while (rest.len) {
        const char *here = rest.ptr;
        rest = cm_str_split(rest, '\n', &line);
        if (!cm_str_eq(cm_str_trim(line), marker))
            continue;
        struct cm_str text = cm_str_n(start, (size_t)(here - start));
        struct reader in = expr_nested(r, indented ? unindent(r->a, text) : text);
        struct form_value v = expr_template(&in, false);
        r->broken |= in.broken;
        r->h.p = line.ptr + line.len;
        return v;
    }
    return expr_give_up(r);
}
