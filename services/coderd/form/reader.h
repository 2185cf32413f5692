/* Inside form/: the text of an expression while it is read.
 *
 *   reader.c       steps through the text
 *   expr_text.c    "a ${b} c", heredocs
 *   expr_lists.c   for, lists, objects
 *   expr.c         all else */
#pragma once

#include "codec/hcl.h"
#include "form/expr.h"

/* Of one text that is made, in bytes. */
#define FORM_TEXT_MAX ((size_t)1 << 20)

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

/* ---- reader.c: each looks past space first ---- */

void expr_space(struct reader *r);
bool expr_at(struct reader *r, const char *text);
bool expr_take(struct reader *r, const char *text);
bool expr_take_word(struct reader *r, const char *word); /* a whole name */
void expr_expect(struct reader *r, const char *text);    /* or the whole is not understood */
struct form_value expr_give_up(struct reader *r);        /* UNKNOWN, and so is the whole */
bool expr_step(struct reader *r);                        /* false: there are none left */
/* Another text in the same place, e.g. a body again with another local name. */
struct reader expr_nested(const struct reader *r, struct cm_str text);

/* ---- expr.c ---- */

struct form_value expr_expression(struct reader *r);

/* ---- expr_text.c ---- */

struct form_value expr_template(struct reader *r, bool quoted);
struct form_value expr_heredoc(struct reader *r);

/* ---- expr_lists.c ---- */

/* After the opening bracket. */
struct form_value expr_tuple(struct reader *r);
struct form_value expr_object(struct reader *r);
/* Doubles the room of a list or object that is full. */
void expr_make_room(struct reader *r, struct form_value *v, size_t *cap);
