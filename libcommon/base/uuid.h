/* UUIDs as 16 bytes; text is lower case with hyphens. */
#pragma once

#include "base/defs.h"
#include "base/str.h"

struct cm_uuid {
    uint8_t b[16];
};

#define CM_UUID_TEXT 37 /* with NUL */

struct cm_uuid cm_uuid_random(void); /* version 4 */
bool cm_uuid_is_nil(struct cm_uuid u);
bool cm_uuid_eq(struct cm_uuid a, struct cm_uuid b);
/* Accepts exactly the hyphenated form, either case. */
CM_MUST_USE bool cm_uuid_parse(struct cm_str s, struct cm_uuid *ret);
const char *cm_uuid_format(struct cm_uuid u, char out[CM_UUID_TEXT]);
/* For one expression: cm_uuid_text(id).s lives until the end of the full expression. */
struct cm_uuid_str {
    char s[CM_UUID_TEXT];
};
struct cm_uuid_str cm_uuid_text(struct cm_uuid u);
