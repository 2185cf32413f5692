/* Text encodings of bytes: hex, base64 (RFC 4648), percent. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

int cm_hex_digit(char c); /* 0-15, or -1 */
void cm_hex_encode(struct cm_buf *out, const void *data, size_t len);
CM_MUST_USE bool cm_hex_decode(struct cm_str text, void *out, size_t out_len); /* exact length */

enum cm_base64 { CM_BASE64_STD, CM_BASE64_STD_NOPAD, CM_BASE64_URL_NOPAD };
void cm_base64_encode(struct cm_buf *out, enum cm_base64 kind, const void *data, size_t len);
/* Strict: no white space, padding exactly as the kind has it. Appends to out. */
CM_MUST_USE bool cm_base64_decode(struct cm_buf *out, enum cm_base64 kind, struct cm_str text);

/* Percent-encodes everything but unreserved characters (RFC 3986) and those in keep. */
void cm_percent_encode(struct cm_buf *out, struct cm_str s, const char *keep);
/* Decodes %XX; with plus_is_space also '+'. False for a broken escape or an encoded NUL. */
CM_MUST_USE bool cm_percent_decode(struct cm_buf *out, struct cm_str s, bool plus_is_space);
