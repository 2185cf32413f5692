/* Asking a person for the value of one parameter, in the way that its type wants. */
#pragma once

#include "cmd/cmd.h"

struct param_question {
    struct cm_uuid version;
    const struct api_template_version_parameter *p;
    struct cm_str def;
    const struct api_workspace_build_parameter *before; /* what the others are, so far */
    size_t n_before;
};

/* Asks until the answer is one that the parameter takes. */
CM_MUST_USE enum cm_code param_ask(struct cli *cli, const struct param_question *q,
                                   struct cm_str *ret, struct cm_err *err);
/* Whether the server, asked with the others as they are in the question, has nothing against it. */
bool param_is_accepted(struct cli *cli, const struct param_question *q, struct cm_str value);
