/* MessagePack, as terraform writes values in it, to trees and back.
 *
 * An extension of any kind is an unknown value; its bytes are kept and written again as they came.
 * A number over int64 arrives as a decimal string, and nothing on the wire tells it from text: the
 * schema's conform step, which knows the type, turns it into VALUE_DECIMAL. */
#pragma once

#include "base/buf.h"
#include "value/value.h"

/* Deepest nesting and largest message taken. */
#define MSGPACK_MAX_BYTES ((size_t)256 << 20)

/* Decodes exactly one value that fills bytes; zero bytes are a null. Strings point into bytes,
 * which must live as long as the value. CM_PROTOCOL names what is wrong. */
CM_MUST_USE enum cm_code value_decode(struct cm_arena *a, struct cm_str bytes, struct value *ret,
                                      struct cm_err *err);

/* Appends v. The buffer's own error is sticky: check it once at the end. */
void value_encode(struct cm_buf *out, const struct value *v);
