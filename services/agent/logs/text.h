/* Making whatever programs print fit for a database and a browser. */
#pragma once

#include "base/buf.h"

/* Appends text with every NUL and every byte that is not part of UTF-8 replaced by a visible mark.
 */
void logs_clean(struct cm_buf *out, struct cm_str text);

/* Output in pieces, taken apart into lines. */
struct line_splitter {
    struct cm_buf part;
    void (*line)(
        void *ctx,
        struct cm_str line); /* without the line break; a carriage return before it is cut too */
    void *ctx;
};

#define LINE_MAX_BYTES ((size_t)256 * 1024) /* a longer line is cut into several */

void line_splitter_init(struct line_splitter *s, void (*line)(void *ctx, struct cm_str line),
                        void *ctx);
void line_splitter_add(struct line_splitter *s, struct cm_str piece);
void line_splitter_end(struct line_splitter *s); /* what is left is a line too */
void line_splitter_done(struct line_splitter *s);
