/* Loading templates and versions for handlers: with the right to read them, else not found. */
#pragma once

#include "api/job_show.h"
#include "api/templates.h"
#include "store/template_versions.h"
#include "store/templates.h"

/* The object for may(): the access list of the template counts. */
struct rbac_object template_object(struct api_req *r, const struct store_template *t);

/* By id; CM_NOT_FOUND also when there is none. Does not ask may(). */
CM_MUST_USE enum cm_code template_load(struct api_req *r, struct cm_uuid id,
                                       struct store_template **ret, struct cm_err *err);

/* params[i] as a template that the route's rule allows; or params[0] and [1] as organization and
 * name.
 */
CM_MUST_USE enum cm_code template_param(struct api_req *r, size_t i, struct store_template **ret,
                                        struct cm_err *err);
CM_MUST_USE enum cm_code template_named(struct api_req *r, struct store_template **ret,
                                        struct cm_err *err);

struct version_view {
    struct store_template_version *v;
    struct store_template *t; /* NULL while unattached */
    struct store_job *job;
    struct rbac_object object; /* of the template, or of the organization for unattached ones */
};
CM_MUST_USE enum cm_code version_view_load(struct api_req *r, struct cm_uuid id,
                                           struct version_view *ret, struct cm_err *err);
/* params[i] as a version that the route's rule allows; the usual beginning of a handler. */
CM_MUST_USE enum cm_code version_param(struct api_req *r, size_t i, struct version_view *ret,
                                       struct cm_err *err);

void version_show(struct cm_arena *a, const struct store_template_version *v,
                  const struct store_job *job, struct api_template_version *out);
/* n versions with their jobs, in one query more. */
CM_MUST_USE enum cm_code versions_show(struct api_req *r, const struct store_template_version *v,
                                       size_t n, struct api_template_version **ret,
                                       struct cm_err *err);
/* How many live daemons could run a job with these tags. */
CM_MUST_USE enum cm_code matched_provisioners(struct api_req *r, struct cm_uuid org_id,
                                              const struct cm_pair *tags, size_t n,
                                              struct api_matched_provisioners **ret,
                                              struct cm_err *err);
