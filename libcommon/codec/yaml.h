/* YAML files (configuration, --rich-parameter-file) into the tree of codec/node.h.
 *
 * One document of mappings, sequences and scalars. Plain scalars are read as YAML 1.2 does: null,
 * true, false and decimal numbers keep their type, all else is text; cm_json_scalar_text gives
 * every scalar as it stands in the file. Anchors, aliases, merge keys, application tags, keys that
 * are no scalars and duplicate keys are refused, with the line. */
#pragma once

#include "codec/node.h"

/* 1 MiB, 100,000 values, 32 levels. */
extern const struct cm_json_limits cm_yaml_limits;

/* An empty text is a null node. CM_INVALID with "line N: ...", CM_TOO_LARGE over a limit. limits
 * NULL: cm_yaml_limits. Everything lives in the arena. */
CM_MUST_USE enum cm_code cm_yaml_parse(struct cm_arena *a, struct cm_str text,
                                       const struct cm_json_limits *limits,
                                       const struct cm_json **ret, struct cm_err *err);
