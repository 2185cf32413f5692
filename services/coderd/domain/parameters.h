/* Values of a build's parameters: what was given, what the build before had, what the template
 * says. */
#pragma once

#include "api/builds.h"
#include "api/templates.h"
#include "codec/json.h"

struct parameter_values {
    const struct api_workspace_build_parameter *v;
    size_t n;
};

struct parameter_resolve {
    const struct api_template_version_parameter *declared;
    size_t n_declared;
    struct parameter_values given, previous;
    bool first_build; /* nothing is immutable yet */
};

/* One value for each declared parameter: given, else (unless ephemeral) the previous build's, else
 * the default. Broken rules are collected in vs under the parameter's name: missing required value,
 * changed immutable one, wrong type, option, range, pattern, direction. Values of parameters that
 * the template does not declare are dropped. */
void parameters_resolve(struct cm_arena *a, const struct parameter_resolve *in,
                        struct api_workspace_build_parameter **ret, size_t *ret_n,
                        struct cm_violations *vs);
