/* What a template or a workspace consists of, out of terraform's objects: the messages that coderd
 * stores. Pure. All results live in the arena, or point into the resources' values. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "terraform/graph.h"
#include "terraform/model.h"
#include "terraform/proto.h"

struct tf_extracted {
    PB(Resource) * *resources;
    size_t n;
    int32_t daily_cost;
    bool has_external_agent;
};

/* Resources by address, each with its agents; an agent with its apps, scripts, environment. An
 * agent belongs to the nearest resource outside this provider that depends on it; one without such
 * a resource is left out. CM_INVALID for what the product forbids (names of agents, two apps with
 * one slug, two metadata for one resource). */
CM_MUST_USE enum cm_code tf_extract_resources(struct cm_arena *a, const struct tf_resources *list,
                                              const struct tf_graph *graph,
                                              struct tf_extracted *ret, struct cm_err *err);

struct tf_inputs {
    PB(Parameter) * *parameters;
    size_t n_parameters;
    PB(Preset) * *presets;
    size_t n_presets;
    char **external_auth_ids; /* sorted */
    size_t n_external_auth_ids;
    char **optional_auth_ids;
    size_t n_optional_auth_ids;
};

/* What people are asked when they make a workspace. CM_INVALID for two parameters of one name, two
 * default presets. */
CM_MUST_USE enum cm_code tf_extract_inputs(struct cm_arena *a, const struct tf_resources *list,
                                           struct tf_inputs *ret, struct cm_err *err);
