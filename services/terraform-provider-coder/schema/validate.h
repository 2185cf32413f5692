/* Checks of configurations against their tables, with the wording that the Terraform SDK gives its
 * users. */
#pragma once

#include "schema/field.h"

/* Reports everything wrong with config (a conformed object) as diagnostics of the call. */
void validate_config(struct call *c, const struct type *t, const struct value *config);
/* The same for the provider's own block, which is no type. */
void validate_block(struct call *c, const struct block *block, const struct value *config);
