/* A protobuf message as indented text, for people and tests: one line per member that is set. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"

void message_text(struct cm_buf *out, const ProtobufCMessage *msg, unsigned indent);
