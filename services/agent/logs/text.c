#include "logs/text.h"

#define MARK "\xe2\x9d\x8c" /* U+274C */

/* Length of the UTF-8 sequence at the start of s, or 0: no overlong forms, no surrogates (RFC
 * 3629). */
static size_t sequence(struct cm_str s)
{
    const uint8_t *p = (const uint8_t *)s.ptr;
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
               : (p[0] & 0xf0) == 0xe0        ? 3
               : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                              : 0;
    return n && n <= s.len && cm_str_is_utf8(cm_str_sub(s, 0, n)) ? n : 0;
}

void logs_clean(struct cm_buf *out, struct cm_str text)
{
    if (cm_str_is_utf8(text) && cm_str_find(text, '\0') < 0) {
        cm_buf_str(out, text);
        return;
    }
    while (text.len) {
        size_t n = sequence(text);
        if (n == 0 || text.ptr[0] == '\0')
            cm_buf_cstr(out, MARK);
        else
            cm_buf_append(out, text.ptr, n);
        n = n ? n : 1;
        text = cm_str_sub(text, n, text.len - n);
    }
}

void line_splitter_init(struct line_splitter *s, void (*line)(void *ctx, struct cm_str line),
                        void *ctx)
{
    *s = (struct line_splitter){.line = line, .ctx = ctx};
    cm_buf_init(&s->part, LINE_MAX_BYTES);
}

static void emit(struct line_splitter *s)
{
    struct cm_str line = cm_buf_view(&s->part);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    s->line(s->ctx, line);
    cm_buf_reset(&s->part);
}

void line_splitter_add(struct line_splitter *s, struct cm_str piece)
{
    while (piece.len) {
        ptrdiff_t at = cm_str_find(piece, '\n');
        size_t n = at < 0 ? piece.len : (size_t)at;
        size_t step = CM_MIN(n, LINE_MAX_BYTES - s->part.len);
        cm_buf_append(&s->part, piece.ptr, step);
        bool whole = step == n && at >= 0;
        if (whole || s->part.len == LINE_MAX_BYTES)
            emit(s);
        piece = cm_str_sub(piece, step + whole, piece.len);
    }
}

void line_splitter_end(struct line_splitter *s)
{
    if (s->part.len)
        emit(s);
}

void line_splitter_done(struct line_splitter *s)
{
    cm_buf_done(&s->part);
}
