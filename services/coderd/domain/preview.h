/* How an evaluated form of parameters is shown: each with its value, and what is wrong with it. */
#pragma once

#include "api/templates.h"
#include "codec/json.h"
#include "form/form.h"

/* Fills parameters and the diagnostics of each; id and diagnostics of the whole are the caller's.
 */
void preview_parameters(struct cm_arena *a, const struct form_parameter *declared, size_t n,
                        const struct cm_pair *inputs, size_t n_inputs,
                        struct api_dynamic_parameters_response *out);
/* A diagnostic about the whole form. */
void preview_complain(struct cm_arena *a, struct api_dynamic_parameters_response *out,
                      const char *summary, const char *detail, const char *code);
