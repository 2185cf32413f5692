/* The dependency graph that `terraform graph -type=plan` prints in DOT form. Nodes are labels
 * without indexes (docker_container.dev, module.m.coder_agent.main); others (variables, locals,
 * outputs, module borders) count as steps on the way. Lives in the arena; immutable once read. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct tf_graph;

CM_MUST_USE enum cm_code tf_graph_read(struct cm_arena *a, struct cm_str dot, struct tf_graph **ret,
                                       struct cm_err *err);

enum tf_graph_way {
    TF_GRAPH_DEPENDENTS,   /* towards what depends on the node */
    TF_GRAPH_DEPENDENCIES, /* towards what the node depends on */
};

/* The node nearest to label that accept() takes, by number of steps, then by label. False when
 * there is none, or no such label. The node itself is not a candidate. */
bool tf_graph_nearest(const struct tf_graph *g, struct cm_str label, enum tf_graph_way way,
                      bool (*accept)(void *ctx, struct cm_str label), void *ctx,
                      struct cm_str *ret);

/* Does the node from depend on the node to, directly or over nodes that are no resources (locals,
 * variables, outputs)? */
bool tf_graph_depends(const struct tf_graph *g, struct cm_str from, struct cm_str to);
