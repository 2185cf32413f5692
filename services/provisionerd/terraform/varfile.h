/* Template variables on their way to terraform: in a file of mode 0600 that `-var-file` names, so
 * that they come before the template's own *.tfvars and never stand in arguments. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "terraform/proto.h"
#include "terraform/variables.h"

/* A value means what it means after `-var`: text where the declared type is string, number, bool or
 * not said, an expression for any other type. Variables that the template does not declare are left
 * out; their number is in *ret_unknown. */
void tf_varfile_format(const struct tf_variables *declared, PB(Pair) *const *values, size_t n,
                       struct cm_buf *out, size_t *ret_unknown);
