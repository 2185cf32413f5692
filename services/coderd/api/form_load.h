/* The form of a template version's parameters, with all that it is evaluated from. */
#pragma once

#include "base/uuid.h"
#include "db/db.h"
#include "form/form.h"

struct form_request {
    struct cm_uuid version_id, file_id; /* no version yet: nil, with the variables below */
    const struct cm_pair *variables;
    size_t n_variables;
    struct cm_uuid owner_id; /* nil: unknown */
    const struct cm_pair *values;
    size_t n_values;
};

/* CM_NOT_FOUND when there is no such owner. */
CM_MUST_USE enum cm_code form_load(struct cm_db *db, struct cm_arena *a,
                                   const struct form_request *q, struct form_result *ret,
                                   struct cm_err *err);

/* A job's tags: base and those of the template, of which with over the latter win. A template does
 * not choose the scope or the owner. */
struct cm_pair *form_tags(struct cm_arena *a, const struct form_result *f,
                          const struct cm_pair *base, size_t n, bool over, size_t *ret_n);
