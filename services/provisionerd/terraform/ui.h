/* terraform's machine-readable output (`-json`), one line at a time: what to show, how long things
 * take, and where in its work terraform is. Lines that are not JSON are shown as they are. Pure;
 * any thread. */
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "base/time.h"

enum ui_kind {
    UI_TEXT,       /* only to be shown */
    UI_DIAGNOSTIC, /* also summary and detail */
    UI_PLANNED,    /* the plan is complete; what follows is the apply */
    UI_STARTED,    /* span begins: action, resource, source */
    UI_ENDED,      /* span ends */
    UI_INIT_STEP,  /* init begins with what resource names */
};

struct ui_event {
    enum ui_kind kind;
    const char *level;  /* trace, debug, info, warn, error: static */
    struct cm_str text; /* one or more lines without a final newline; empty: show nothing */
    struct cm_str summary, detail; /* of a diagnostic */
    struct cm_time at;
    struct cm_str action, resource, source; /* of a span */
};

/* Everything in *ret points into line, into the arena or at constants. */
void ui_parse_line(struct cm_arena *a, struct cm_str line, struct ui_event *ret);
