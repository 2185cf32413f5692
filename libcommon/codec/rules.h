/* Named validation rules of API fields ("rule" in proto/api/), also for values from elsewhere (CLI,
 * SQL). */
#pragma once

#include "base/str.h"

/* What the value must be ("1 to 32 letters, digits and single hyphens ..."), or NULL when the value
 * follows the rule. An unknown rule is a programming error. */
const char *cm_rule_check(const char *rule, struct cm_str value);
bool cm_rule_exists(const char *rule);
