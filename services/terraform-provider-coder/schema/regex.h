/* Regular expressions of templates. They are written for RE2, the engine of the reference; they run
 * on PCRE2, which knows more: what RE2 would refuse is refused here too, so that a template means
 * the same everywhere. */
#pragma once

#include "schema/call.h"

enum regex_result { REGEX_MATCH, REGEX_NO_MATCH, REGEX_ERROR };

/* Unanchored search. REGEX_ERROR: *ret_why says what is wrong with the pattern, or that matching
 * took too long. */
enum regex_result regex_search(struct call *c, struct cm_str pattern, struct cm_str subject,
                               struct cm_str *ret_why);
