/* Starting a build: rows of job, build and parameters in one transaction, and the news to whoever
 * waits. */
#pragma once

#include "api/build_show.h"
#include "api/template_load.h"

struct build_request {
    const struct store_workspace
        *ws; /* the columns that a fresh workspace has are enough: id, organization_id, owner */
    struct cm_uuid version_id; /* nil: the previous build's */
    struct cm_uuid preset_id;  /* nil: none */
    enum api_workspace_transition transition;
    enum api_build_reason reason;
    struct parameter_values_given {
        const struct api_workspace_build_parameter *v;
        size_t n;
    } values;
    struct cm_str state; /* ptr NULL: the previous build's */
    bool orphan;
    bool debug_log;
    bool first;
};

/* Inside the caller's transaction. On success *ret_id is the build; replies that are no success
 * (400 with violations, 406, 409, ...) are set on the request, and *ret_id stays nil. */
CM_MUST_USE enum cm_code build_start(struct api_req *r, const struct build_request *q,
                                     struct cm_uuid *ret_id, struct cm_err *err);
