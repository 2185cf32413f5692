/* Regular expressions of templates. They are written for RE2, the engine of the reference; they run
 * on PCRE2, which knows more: what RE2 would refuse is refused here too, and what the two read
 * differently is rewritten, so that a template means the same everywhere. */
#pragma once

#include "base/arena.h"
#include "base/str.h"

enum cm_re2 { CM_RE2_MATCH, CM_RE2_NO_MATCH, CM_RE2_ERROR };

/* Unanchored search. CM_RE2_ERROR: *ret_why says what is wrong with the pattern, or that matching
 * took too long. */
enum cm_re2 cm_re2_search(struct cm_arena *a, struct cm_str pattern, struct cm_str subject,
                          struct cm_str *ret_why);
