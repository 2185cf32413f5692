/* Plan, apply and refresh of any resource, driven by its table.
 *
 * Every argument forces a new object when it changes, so an existing object either stays as it is
 * or is replaced. Comparison follows the Terraform SDK: an unset argument equals its kind's zero
 * value, since states written by other implementations hold one or the other. */
#pragma once

#include "schema/field.h"

#define PLAN_PATHS_MAX 64

struct plan {
    struct value planned;
    struct path replace[PLAN_PATHS_MAX]; /* what changed; more than fit are not needed: one is
                                            enough to replace */
    size_t n_replace;
};

/* prior is null for a new object. config may hold unknowns. */
void plan_change(struct call *c, const struct type *t, const struct value *prior,
                 const struct value *config, struct plan *ret);
/* The state after the change; null planned destroys. With errors in the call, what is returned is
 * kept as tainted. */
struct value plan_apply(struct call *c, const struct type *t, const struct value *prior,
                        const struct value *planned);
struct value plan_refresh(struct call *c, const struct type *t, const struct value *state);
/* The result of a data source's read. */
struct value plan_read(struct call *c, const struct type *t, const struct value *config);
