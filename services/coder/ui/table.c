#include "ui/table.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

#define OUTPUT_MAX  ((size_t)256 << 20)
#define COLUMNS_MAX 64

struct row {
    struct cm_str *cells;
    size_t n;
    bool ruled; /* a line above, in a frame */
    struct row *next;
};

struct ui_table {
    struct cm_arena *a;
    struct cm_str names[COLUMNS_MAX];
    size_t n_names;
    struct row *first, *last;
    bool rule_next;
};

struct ui_table *ui_table_new(struct cm_arena *a, const char *columns)
{
    struct ui_table *t = CM_NEW(a, struct ui_table);
    struct cm_str rest = cm_str(columns);

    t->a = a;
    while (rest.len) {
        cm_assert(t->n_names < CM_COUNT_OF(t->names));
        rest = cm_str_split(rest, '|', &t->names[t->n_names++]);
    }
    return t;
}

void ui_table_row(struct ui_table *t)
{
    struct row *r = CM_NEW(t->a, struct row);

    cm_assert(!t->last || t->last->n == t->n_names);
    r->cells = CM_NEW_ARRAY(t->a, struct cm_str, t->n_names);
    r->ruled = t->rule_next;
    t->rule_next = false;
    if (t->last)
        t->last->next = r;
    else
        t->first = r;
    t->last = r;
}

void ui_table_cell(struct ui_table *t, struct cm_str text)
{
    cm_assert(t->last->n < t->n_names);
    t->last->cells[t->last->n++] = cm_arena_str(t->a, text);
}

void ui_table_cellf(struct ui_table *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = cm_arena_vprintf(t->a, fmt, ap);
    va_end(ap);
    ui_table_cell(t, cm_str(text));
}

void ui_table_append(struct ui_table *t, const char *fmt, ...)
{
    struct cm_str *cell = &t->last->cells[t->last->n - 1];
    va_list ap;
    va_start(ap, fmt);
    const char *text = cm_arena_vprintf(t->a, fmt, ap);
    va_end(ap);
    *cell = cm_arena_fmt(t->a, "%.*s%s", CM_STR_ARG(*cell), text);
}

void ui_table_rest(struct ui_table *t)
{
    while (t->last->n < t->n_names)
        ui_table_cell(t, CM_STR(""));
}

void ui_table_rule(struct ui_table *t)
{
    t->rule_next = t->first != NULL;
}

/* Characters, not bytes; control characters are shown as blanks. */
static size_t width(struct cm_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

static void put(struct cm_buf *out, struct cm_str s, size_t pad_to, bool upper)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if ((unsigned char)c < ' ' || c == 0x7f)
            c = ' ';
        if (upper)
            c = (char)toupper((unsigned char)c);
        cm_buf_char(out, c);
    }
    cm_buf_printf(out, "%*s", (int)(pad_to - width(s)), "");
}

/* The columns of order; r NULL: their heads. */
static void put_row(const struct ui_table *t, struct cm_buf *out, const struct row *r,
                    const size_t *order, const size_t *widths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put(out, r ? r->cells[order[i]] : t->names[order[i]], widths[i], !r);
        cm_buf_str(out, CM_STR("  "));
    }
    cm_buf_char(out, '\n');
}

static void print_columns(const struct ui_table *t, const size_t *order, size_t n, bool heads)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(OUTPUT_MAX);
    size_t widths[COLUMNS_MAX];

    if (!t->first)
        return;
    for (size_t i = 0; i < n; i++) {
        widths[i] = heads ? width(t->names[order[i]]) : 0;
        for (const struct row *r = t->first; r; r = r->next)
            widths[i] = CM_MAX(widths[i], width(r->cells[order[i]]));
    }
    if (heads)
        put_row(t, &out, NULL, order, widths, n);
    for (const struct row *r = t->first; r; r = r->next)
        put_row(t, &out, r, order, widths, n);
    fwrite(out.ptr, 1, out.len, stdout);
}

void ui_table_print(const struct ui_table *t, const struct cm_conf_list *chosen)
{
    size_t order[COLUMNS_MAX], n = 0;

    for (size_t i = 0; i < chosen->n && n < CM_COUNT_OF(order); i++)
        for (size_t k = 0; k < t->n_names; k++)
            if (cm_str_eq_nocase(t->names[k], cm_str(chosen->v[i])))
                order[n++] = k;
    print_columns(t, order, n, true);
}

void ui_table_print_bare(const struct ui_table *t)
{
    size_t order[COLUMNS_MAX];
    for (size_t i = 0; i < t->n_names; i++)
        order[i] = i;
    print_columns(t, order, t->n_names, false);
}

/* One row with its two sides; cells NULL: the heads. */
static void framed_row(const struct ui_table *t, struct cm_buf *out, const struct cm_str *cells,
                       const size_t *widths)
{
    cm_buf_str(out, CM_STR("\u2502"));
    for (size_t i = 0; i < t->n_names; i++) {
        cm_buf_char(out, ' ');
        put(out, cells ? cells[i] : t->names[i], widths[i], !cells);
        cm_buf_char(out, ' ');
    }
    cm_buf_str(out, CM_STR("\u2502\n"));
}

static void line(struct cm_buf *out, size_t inner, const char *left, const char *right)
{
    cm_buf_str(out, cm_str(left));
    for (size_t i = 0; i < inner; i++)
        cm_buf_str(out, CM_STR("\u2500"));
    cm_buf_printf(out, "%s\n", right);
}

void ui_table_frame(const struct ui_table *t, const char *title)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(OUTPUT_MAX);
    size_t widths[COLUMNS_MAX], inner = 0;

    for (size_t i = 0; i < t->n_names; i++) {
        widths[i] = width(t->names[i]);
        for (const struct row *r = t->first; r; r = r->next)
            widths[i] = CM_MAX(widths[i], width(r->cells[i]));
        if (title && i + 1 == t->n_names && inner + widths[i] < width(cm_str(title)))
            widths[i] = width(cm_str(title)) - inner;
        inner += widths[i] + 2;
    }
    line(&out, inner, "\u250c", "\u2510");
    if (title) {
        cm_buf_str(&out, CM_STR("\u2502 "));
        put(&out, cm_str(title), inner - 2, false);
        cm_buf_str(&out, CM_STR(" \u2502\n"));
        line(&out, inner, "\u251c", "\u2524");
    }
    framed_row(t, &out, NULL, widths);
    line(&out, inner, "\u251c", "\u2524");
    for (const struct row *r = t->first; r; r = r->next) {
        if (r->ruled)
            line(&out, inner, "\u251c", "\u2524");
        framed_row(t, &out, r->cells, widths);
    }
    line(&out, inner, "\u2514", "\u2518");
    fwrite(out.ptr, 1, out.len, stdout);
}

bool ui_wants_json(const struct cli *cli)
{
    return strcmp(cli->output.format, "json") == 0;
}

static void newline(struct cm_buf *out, unsigned depth)
{
    cm_buf_printf(out, "\n%*s", (int)(2 * depth), "");
}

void ui_json_print(struct cm_str json)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(OUTPUT_MAX);
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        bool opens = c == '{' || c == '[', closes = c == '}' || c == ']';
        if (in_string) {
            cm_buf_char(&out, c);
            if (c == '\\' && i + 1 < json.len)
                cm_buf_char(&out, json.ptr[++i]);
            in_string = c != '"';
        } else if (opens && i + 1 < json.len &&
                   (json.ptr[i + 1] == '}' || json.ptr[i + 1] == ']')) {
            cm_buf_append(&out, json.ptr + i, 2);
            i++;
        } else if (opens) {
            cm_buf_char(&out, c);
            newline(&out, ++depth);
        } else if (closes) {
            newline(&out, --depth);
            cm_buf_char(&out, c);
        } else {
            cm_buf_char(&out, c);
            if (c == ',')
                newline(&out, depth);
            else if (c == ':')
                cm_buf_char(&out, ' ');
            in_string = c == '"';
        }
    }
    cm_buf_char(&out, '\n');
    fwrite(out.ptr, 1, out.len, stdout);
}

void ui_table_print_json(const struct ui_table *t)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(OUTPUT_MAX);
    for (const struct row *r = t->first; r; r = r->next) {
        cm_buf_char(&out, r == t->first ? '[' : ',');
        for (size_t i = 0; i < t->n_names; i++) {
            cm_buf_char(&out, i ? ',' : '{');
            cm_buf_char(&out, '"');
            for (size_t k = 0; k < t->names[i].len; k++) {
                char c = t->names[i].ptr[k];
                if (c == ' ')
                    c = '_';
                cm_buf_char(&out, c);
            }
            cm_buf_cstr(&out, "\":");
            cm_json_write_str(&out, r->cells[i]);
        }
        cm_buf_char(&out, '}');
    }
    cm_buf_cstr(&out, t->first ? "]" : "[]");
    ui_json_print(cm_buf_view(&out));
}

const char *ui_title(struct cm_arena *a, const char *word)
{
    char *text = cm_arena_cstr(a, cm_str(word));
    text[0] = (char)toupper((unsigned char)text[0]);
    return text;
}

const char *ui_time(struct cm_arena *a, struct cm_time t)
{
    char text[CM_TIME_TEXT];
    int64_t second = t.us / CM_SECOND - (t.us % CM_SECOND < 0);
    return cm_arena_cstr(a, cm_str(cm_time_format((struct cm_time){second * CM_SECOND}, text)));
}

static bool utc(struct cm_time t, struct tm *ret)
{
    time_t seconds = (time_t)(t.us / CM_SECOND);
    return gmtime_r(&seconds, ret) != NULL;
}

const char *ui_date(struct cm_arena *a, struct cm_time t)
{
    char text[64] = "";
    struct tm tm;
    if (utc(t, &tm))
        strftime(text, sizeof(text), "%B %-d, %Y", &tm);
    return cm_arena_cstr(a, cm_str(text));
}

const char *ui_stamp(struct cm_arena *a, struct cm_time t)
{
    char text[64] = "";
    struct tm tm;
    if (utc(t, &tm))
        strftime(text, sizeof(text), "%b %e %H:%M:%S", &tm);
    return cm_arena_cstr(a, cm_str(text));
}

const char *ui_now(struct cm_arena *a)
{
    char text[64] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm))
        strftime(text, sizeof(text), "%b %e %H:%M:%S", &tm);
    return cm_arena_cstr(a, cm_str(text));
}

const char *ui_ago(struct cm_arena *a, struct cm_time t)
{
    cm_usec d = cm_time_now().us - t.us;
    return ui_duration(a, d < 0 ? -d : d);
}

const char *ui_duration(struct cm_arena *a, cm_usec d)
{
    long long minutes = (long long)(d / CM_MINUTE);
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(64);
    if (d > CM_DAY)
        minutes -= minutes % 60;
    const struct {
        long long n;
        char unit;
    } parts[] = {{minutes / 1440, 'd'}, {minutes / 60 % 24, 'h'}, {minutes % 60, 'm'}};
    if (!minutes)
        return d > 0 ? "<1m" : "0s";
    for (size_t i = 0; i < CM_COUNT_OF(parts); i++)
        if (parts[i].n)
            cm_buf_printf(&text, "%lld%c", parts[i].n, parts[i].unit);
    return cm_arena_cstr(a, cm_buf_view(&text));
}
