#include "codec/hcl.h"

#include "codec/json.h"

#define DEPTH_MAX 64

static bool at(const struct cm_hcl *h, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(h->end - h->p) >= n && memcmp(h->p, text, n) == 0;
}

struct cm_hcl cm_hcl_open(struct cm_arena *a, struct cm_str text)
{
    struct cm_hcl h = {.p = text.ptr, .end = text.ptr + text.len, .arena = a};
    if (at(&h, "\xef\xbb\xbf"))
        h.p += 3;
    return h;
}

/* Names may have letters of every script; which, terraform says. */
static bool is_name_char(char c)
{
    return (unsigned char)c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static void skip_line(struct cm_hcl *h)
{
    while (h->p < h->end && *h->p != '\n')
        h->p++;
}

void cm_hcl_skip_space(struct cm_hcl *h, bool stop_at_newline)
{
    while (h->p < h->end) {
        if (*h->p == '#' || at(h, "//")) {
            skip_line(h);
        } else if (at(h, "/*")) {
            for (h->p += 2; h->p < h->end && !at(h, "*/"); h->p++)
                ;
            h->p = h->end - h->p < 2 ? h->end : h->p + 2;
        } else if (*h->p == ' ' || *h->p == '\t' || *h->p == '\r' ||
                   (*h->p == '\n' && !stop_at_newline)) {
            h->p++;
        } else {
            return;
        }
    }
}

bool cm_hcl_take_name(struct cm_hcl *h, struct cm_str *ret)
{
    const char *start = h->p;
    while (h->p < h->end && is_name_char(*h->p))
        h->p++;
    *ret = cm_str_n(start, (size_t)(h->p - start));
    return ret->len > 0;
}

bool cm_hcl_take_char(struct cm_hcl *h, char c)
{
    if (h->p == h->end || *h->p != c)
        return false;
    h->p++;
    return true;
}

static bool skip_brackets(struct cm_hcl *h, unsigned depth);

/* At the opening quote. A template inside may hold strings of its own. */
static bool skip_string(struct cm_hcl *h, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return false;
    for (h->p++; h->p < h->end; h->p++) {
        if (*h->p == '"') {
            h->p++;
            return true;
        }
        if (*h->p == '\n')
            return false;
        if (*h->p == '\\' && h->p + 1 < h->end) {
            h->p++;
        } else if (at(h, "$${") || at(h, "%%{")) {
            h->p += 2;
        } else if (at(h, "${") || at(h, "%{")) {
            h->p++;
            if (!skip_brackets(h, depth + 1))
                return false;
            h->p--; /* the loop's step */
        }
    }
    return false;
}

/* At "<<". Yields the lines between the markers, and whether they are to be unindented. */
static bool take_heredoc(struct cm_hcl *h, struct cm_str *ret, bool *ret_indented)
{
    struct cm_str marker;
    h->p += 2;
    *ret_indented = cm_hcl_take_char(h, '-');
    if (!cm_hcl_take_name(h, &marker))
        return false;
    skip_line(h);
    if (h->p == h->end)
        return false;
    const char *start = ++h->p;
    while (h->p < h->end) {
        const char *line = h->p;
        skip_line(h);
        if (cm_str_eq(cm_str_trim(cm_str_n(line, (size_t)(h->p - line))), marker)) {
            *ret = cm_str_n(start, (size_t)(line - start));
            return true; /* before the newline that ends the expression */
        }
        if (h->p < h->end)
            h->p++;
    }
    return false;
}

/* One lexical element inside an expression. */
static bool skip_element(struct cm_hcl *h, unsigned depth)
{
    struct cm_str text;
    bool indented;
    if (*h->p == '"')
        return skip_string(h, depth);
    if (*h->p == '(' || *h->p == '[' || *h->p == '{')
        return skip_brackets(h, depth + 1);
    if (at(h, "<<") && h->end - h->p > 2 && (h->p[2] == '-' || is_name_char(h->p[2])))
        return take_heredoc(h, &text, &indented);
    h->p++;
    return true;
}

/* At an opening bracket: to behind its closing one. */
static bool skip_brackets(struct cm_hcl *h, unsigned depth)
{
    int close = *h->p == '(' ? ')' : *h->p == '[' ? ']' : '}';
    if (depth > DEPTH_MAX)
        return false;
    h->p++;
    for (;;) {
        cm_hcl_skip_space(h, false);
        if (h->p == h->end)
            return false;
        if (*h->p == close) {
            h->p++;
            return true;
        }
        if (*h->p == ')' || *h->p == ']' || *h->p == '}')
            return false;
        if (!skip_element(h, depth))
            return false;
    }
}

bool cm_hcl_skip_expr(struct cm_hcl *h, struct cm_str *ret)
{
    cm_hcl_skip_space(h, true);
    const char *start = h->p, *last = h->p;
    while (h->p < h->end && *h->p != '\n' && *h->p != ')' && *h->p != ']' && *h->p != '}') {
        if (!skip_element(h, 0))
            return false;
        last = h->p;
        cm_hcl_skip_space(h, true);
    }
    *ret = cm_str_trim(cm_str_n(start, (size_t)(last - start)));
    return ret->len > 0;
}

bool cm_hcl_skip_body(struct cm_hcl *h)
{
    h->p--; /* back to the brace */
    return skip_brackets(h, 0);
}

bool cm_hcl_take_label(struct cm_hcl *h, struct cm_str *ret)
{
    if (h->p < h->end && *h->p == '"') {
        const char *start = h->p;
        bool is_string = false;
        CM_AUTOBUF struct cm_buf none = CM_BUF_INIT(1);
        return skip_string(h, 0) &&
               cm_hcl_constant(h->arena, cm_str_n(start, (size_t)(h->p - start)), &none, ret,
                               &is_string) &&
               is_string;
    }
    return cm_hcl_take_name(h, ret);
}

static void put_utf8(struct cm_buf *b, uint32_t c)
{
    if (c < 0x80) {
        cm_buf_char(b, (char)c);
    } else if (c < 0x800) {
        cm_buf_char(b, (char)(0xc0 | (c >> 6)));
        cm_buf_char(b, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        cm_buf_char(b, (char)(0xe0 | (c >> 12)));
        cm_buf_char(b, (char)(0x80 | ((c >> 6) & 0x3f)));
        cm_buf_char(b, (char)(0x80 | (c & 0x3f)));
    } else {
        cm_buf_char(b, (char)(0xf0 | (c >> 18)));
        cm_buf_char(b, (char)(0x80 | ((c >> 12) & 0x3f)));
        cm_buf_char(b, (char)(0x80 | ((c >> 6) & 0x3f)));
        cm_buf_char(b, (char)(0x80 | (c & 0x3f)));
    }
}

/* \uXXXX and \UXXXXXXXX, at the letter. */
static bool put_code_point(struct cm_hcl *h, struct cm_buf *b)
{
    int digits = *h->p == 'u' ? 4 : 8;
    uint32_t c = 0;
    for (int i = 0; i < digits; i++) {
        h->p++;
        int d = h->p < h->end ? *h->p : '"';
        uint32_t v = d >= '0' && d <= '9'   ? (uint32_t)(d - '0')
                     : d >= 'a' && d <= 'f' ? (uint32_t)(d - 'a' + 10)
                     : d >= 'A' && d <= 'F' ? (uint32_t)(d - 'A' + 10)
                                            : 16;
        if (v == 16)
            return false;
        c = (c << 4) | v;
    }
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return false;
    put_utf8(b, c);
    return true;
}

/* The characters of a string or heredoc up to end, unescaped. False when a template is inside. */
static bool unescape(struct cm_hcl *h, bool quoted, struct cm_buf *b)
{
    for (; h->p < h->end; h->p++) {
        if (quoted && *h->p == '"') {
            h->p++;
            return true;
        }
        if (at(h, "$${") || at(h, "%%{")) {
            cm_buf_char(b, *h->p);
            cm_buf_char(b, '{');
            h->p += 2;
        } else if (at(h, "${") || at(h, "%{")) {
            return false;
        } else if (quoted && *h->p == '\\') {
            if (++h->p == h->end)
                return false;
            switch (*h->p) {
            case 'n':
                cm_buf_char(b, '\n');
                break;
            case 'r':
                cm_buf_char(b, '\r');
                break;
            case 't':
                cm_buf_char(b, '\t');
                break;
            case '"':
            case '\\':
                cm_buf_char(b, *h->p);
                break;
            case 'u':
            case 'U':
                if (!put_code_point(h, b))
                    return false;
                break;
            default:
                return false;
            }
        } else {
            cm_buf_char(b, *h->p);
        }
    }
    return !quoted;
}

/* Takes the smallest indentation away from all lines, as <<- asks. */
static struct cm_str unindent(struct cm_arena *a, struct cm_str text)
{
    size_t common = SIZE_MAX;
    for (struct cm_str rest = text, line; rest.len > 0;) {
        rest = cm_str_split(rest, '\n', &line);
        size_t n = 0;
        while (n < line.len && (line.ptr[n] == ' ' || line.ptr[n] == '\t'))
            n++;
        if (cm_str_trim(line).len > 0)
            common = CM_MIN(common, n);
    }
    if (common == 0 || common == SIZE_MAX)
        return text;
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(text.len + 1);
    for (struct cm_str rest = text, line; rest.len > 0;) {
        bool newline = cm_str_find(rest, '\n') >= 0;
        rest = cm_str_split(rest, '\n', &line);
        cm_buf_str(&b, cm_str_sub(line, CM_MIN(common, line.len), line.len));
        if (newline)
            cm_buf_char(&b, '\n');
    }
    return cm_arena_str(a, cm_buf_view(&b));
}

static bool value_string(struct cm_hcl *h, struct cm_str *ret)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)(h->end - h->p) + 8);
    if (*h->p == '"') {
        h->p++;
        if (!unescape(h, true, &b))
            return false;
    } else {
        struct cm_str text;
        bool indented;
        if (!take_heredoc(h, &text, &indented))
            return false;
        if (indented)
            text = unindent(h->arena, text);
        struct cm_hcl inner = {.p = text.ptr, .end = text.ptr + text.len, .arena = h->arena};
        if (!unescape(&inner, false, &b))
            return false;
    }
    *ret = cm_arena_str(h->arena, cm_buf_view(&b));
    return !b.failed;
}

static bool value_any(struct cm_hcl *h, struct cm_buf *json, unsigned depth);

static bool value_list(struct cm_hcl *h, struct cm_buf *json, unsigned depth)
{
    cm_buf_char(json, '[');
    for (bool first = true;; first = false) {
        cm_hcl_skip_space(h, false);
        if (cm_hcl_take_char(h, ']'))
            break;
        if (!first)
            cm_buf_char(json, ',');
        if (!value_any(h, json, depth + 1))
            return false;
        cm_hcl_skip_space(h, false);
        if (!cm_hcl_take_char(h, ',') && !(h->p < h->end && *h->p == ']'))
            return false;
    }
    cm_buf_char(json, ']');
    return true;
}

static bool value_object(struct cm_hcl *h, struct cm_buf *json, unsigned depth)
{
    cm_buf_char(json, '{');
    for (bool first = true;; first = false) {
        struct cm_str key;
        cm_hcl_skip_space(h, false);
        if (cm_hcl_take_char(h, '}'))
            break;
        if (!cm_hcl_take_label(h, &key))
            return false;
        cm_hcl_skip_space(h, false);
        if (!cm_hcl_take_char(h, '=') && !cm_hcl_take_char(h, ':'))
            return false;
        cm_hcl_skip_space(h, false);
        if (!first)
            cm_buf_char(json, ',');
        cm_json_write_str(json, key);
        cm_buf_char(json, ':');
        if (!value_any(h, json, depth + 1))
            return false;
        cm_hcl_skip_space(h, true);
        if (!cm_hcl_take_char(h, ',') && !(h->p < h->end && (*h->p == '}' || *h->p == '\n')))
            return false;
    }
    cm_buf_char(json, '}');
    return true;
}

/* Digits as JSON allows them; terraform's numbers are the same but for "1.". */
static bool value_number(struct cm_hcl *h, struct cm_buf *json)
{
    const char *start = h->p;
    if (*h->p == '-')
        h->p++;
    const char *digits = h->p;
    while (h->p < h->end && *h->p >= '0' && *h->p <= '9')
        h->p++;
    if (h->p == digits)
        return false;
    if (h->p < h->end && *h->p == '.') {
        digits = ++h->p;
        while (h->p < h->end && *h->p >= '0' && *h->p <= '9')
            h->p++;
        if (h->p == digits)
            return false;
    }
    if (h->p < h->end && (is_name_char(*h->p) || *h->p == '.'))
        return false;
    cm_buf_append(json, start, (size_t)(h->p - start));
    return true;
}

static bool value_any(struct cm_hcl *h, struct cm_buf *json, unsigned depth)
{
    struct cm_str s;
    if (depth > DEPTH_MAX || h->p == h->end)
        return false;
    if (*h->p == '"' || at(h, "<<")) {
        if (!value_string(h, &s))
            return false;
        cm_json_write_str(json, s);
        return true;
    }
    if (cm_hcl_take_char(h, '['))
        return value_list(h, json, depth);
    if (cm_hcl_take_char(h, '{'))
        return value_object(h, json, depth);
    if (*h->p == '-' || (*h->p >= '0' && *h->p <= '9'))
        return value_number(h, json);
    if (!cm_hcl_take_name(h, &s) ||
        (!cm_str_eq_c(s, "true") && !cm_str_eq_c(s, "false") && !cm_str_eq_c(s, "null")))
        return false;
    cm_buf_str(json, s);
    return true;
}

bool cm_hcl_constant(struct cm_arena *a, struct cm_str expr, struct cm_buf *json,
                     struct cm_str *ret_string, bool *ret_is_string)
{
    struct cm_hcl h = {.p = expr.ptr, .end = expr.ptr + expr.len, .arena = a};
    *ret_is_string = expr.len > 0 && (*h.p == '"' || at(&h, "<<"));
    bool ok = *ret_is_string ? value_string(&h, ret_string) : value_any(&h, json, 0);
    cm_hcl_skip_space(&h, false);
    return ok && h.p == h.end && !json->failed;
}
