/* The lexical part of terraform's language that is needed to find blocks and to read constant
 * values: comments, strings with templates inside, heredocs, brackets. Not an evaluator. Pure;
 * bounded recursion. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

struct cm_hcl {
    const char *p, *end;
    struct cm_arena *arena; /* for what has to be unescaped */
};

/* At the beginning of a file: behind the byte order mark that some editors put there. */
struct cm_hcl cm_hcl_open(struct cm_arena *a, struct cm_str text);
/* Space, newlines and comments; with stop_at_newline a newline is left where it is. */
void cm_hcl_skip_space(struct cm_hcl *h, bool stop_at_newline);
/* A name at the current place: letters, digits, _ and -. False when there is none. */
CM_MUST_USE bool cm_hcl_take_name(struct cm_hcl *h, struct cm_str *ret);
CM_MUST_USE bool cm_hcl_take_char(struct cm_hcl *h, char c);
/* A block's label: a quoted string or a name. */
CM_MUST_USE bool cm_hcl_take_label(struct cm_hcl *h, struct cm_str *ret);
/* Passes over an expression up to the end of its line, or to a closing bracket that is not its own.
 */
CM_MUST_USE bool cm_hcl_skip_expr(struct cm_hcl *h, struct cm_str *ret);
/* Passes over a block's body; the opening brace has been taken. */
CM_MUST_USE bool cm_hcl_skip_body(struct cm_hcl *h);

/* A constant: string, heredoc, number, bool, null, list, object. A string's text goes to
 * *ret_string (when it is not NULL and the value is a string, *ret_is_string is set), everything
 * else is appended to json. False for anything else. */
CM_MUST_USE bool cm_hcl_constant(struct cm_arena *a, struct cm_str expr, struct cm_buf *json,
                                 struct cm_str *ret_string, bool *ret_is_string);
