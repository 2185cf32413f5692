/* Templates as clients see them, with how long their builds take. */
#pragma once

#include "api/request.h"
#include "api/templates.h"
#include "store/templates.h"

/* n templates in one query more; the texts are the rows'. */
CM_MUST_USE enum cm_code templates_show(struct api_req *r, const struct store_template *rows,
                                        size_t n, struct api_template **ret, struct cm_err *err);
/* Answers with the template as it is now. */
CM_MUST_USE enum cm_code template_reply(struct api_req *r, int status, struct cm_uuid id,
                                        struct cm_err *err);
