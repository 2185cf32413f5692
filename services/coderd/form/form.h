/* A template's parameters for what has been filled in, evaluated from its files: which there are
 * (count, for_each), their defaults, options and rules, through locals, variables and modules in
 * the template's own folders.
 *
 * Terraform is not run, so resources, other data sources and modules from elsewhere are unknown
 * here. Where a parameter needs one of them, what the import found takes its place, and a
 * diagnostic says so: no template is refused for what cannot be known before a build. Pure. */
#pragma once

#include "api/templates.h"
#include "codec/json.h"
#include "form/value.h"

struct form_owner {
    struct cm_str id, name, full_name, email, login_type;
    const struct cm_str *groups;
    size_t n_groups;
};

struct form_input {
    const struct cm_pair *files; /* name, relative and without a leading ./, and text */
    size_t n_files;
    const struct cm_pair *variables; /* values of the version; absent: the declared default */
    size_t n_variables;
    const struct form_owner *owner; /* NULL: unknown */
    const struct cm_pair *values;   /* of parameters */
    size_t n_values;
    const struct api_template_version_parameter *imported;
    size_t n_imported;
};

struct form_parameter {
    struct api_template_version_parameter p;
    int64_t order;
    struct form_value styling; /* an object, or NULL */
    const char *uncertain;     /* the argument that could not be known, or NULL */
};

struct form_result {
    struct form_parameter *v; /* by order, then by name */
    size_t n, cap;
    bool opaque; /* some parameters are as the import found them */
    /* Of coder_workspace_tags in the root module; what cannot be known is left out. */
    struct cm_pair *tags;
    size_t n_tags;
};

void form_compute(struct cm_arena *a, const struct form_input *in, struct form_result *ret);
