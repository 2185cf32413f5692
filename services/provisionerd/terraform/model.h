/* What terraform knows about a template's objects, in one shape whether it comes from a plan or
 * from a state file. Everything lives in the arena it was read into. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/node.h"

#define TF_RESOURCES_MAX ((size_t)20000)

struct tf_resource {
    struct cm_str address; /* module.a[0].docker_container.dev["x"] */
    struct cm_str label;   /* the same without any index, as the graph names it; data sources begin
                              with data. */
    struct cm_str module;  /* module.a[0]; empty for the root */
    struct cm_str type, name;
    struct cm_str index;          /* the index as text, without quotes; empty when there is none */
    bool managed;                 /* false: a data source */
    const struct cm_json *values; /* an object; unknown values are absent */
};

struct tf_resources {
    struct tf_resource *v;
    size_t n, cap;
};

/* From the text of a state file (terraform.tfstate, version 4). Objects that wait to be destroyed
 * (deposed) are left out. An empty text yields nothing. */
CM_MUST_USE enum cm_code tf_state_read(struct cm_arena *a, struct cm_str text,
                                       struct tf_resources *ret, struct cm_err *err);
/* Does the text of a state file hold any managed object? Also true when it cannot be read. */
bool tf_state_has_objects(struct cm_str text);
/* Is the text a whole state file, and not one that is being written? */
bool tf_state_is_complete(struct cm_str text);

/* From `terraform show -json PLAN`, already parsed: what will be, and the data sources that were
 * read on the way. In terraform's order, a module's resources before those of its children. */
CM_MUST_USE enum cm_code tf_plan_read(struct cm_arena *a, const struct cm_json *plan,
                                      struct tf_resources *ret, struct cm_err *err);

/* For the two readers: adds one, or fails when there are too many. */
CM_MUST_USE enum cm_code tf_resources_add(struct cm_arena *a, struct tf_resources *list,
                                          struct tf_resource r, struct cm_err *err);
/* An address without the indexes. */
struct cm_str tf_label(struct cm_arena *a, struct cm_str address);
