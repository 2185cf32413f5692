/* UUIDs in all the spellings that Google's Go library reads. */
#pragma once

#include "base/uuid.h"
#include "schema/call.h"

/* 36 characters, the same in braces or behind urn:uuid:, or 32 hex digits. False: *ret_why says
 * why. */
CM_MUST_USE bool uuid_text_parse(struct call *c, struct cm_str s, struct cm_uuid *ret,
                                 struct cm_str *ret_why);
