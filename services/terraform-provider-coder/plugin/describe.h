/* Tables and diagnostics as tfplugin5 messages. All memory is the arena's. */
#pragma once

#include "schema/field.h"
#include "tfplugin5.pb-c.h"

Tfplugin5__Schema *describe_schema(struct cm_arena *a, int64_t version, const char *about,
                                   const struct block *block);
Tfplugin5__AttributePath *describe_path(struct cm_arena *a, const struct path *p);
/* *ret_list and *ret_n get the diagnostics of the call, in order. */
void describe_diags(const struct call *c, Tfplugin5__Diagnostic ***ret_list, size_t *ret_n);
