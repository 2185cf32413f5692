/* Checks that rows of several tables name. What each reads from its row stands beside it. */
#pragma once

#include "schema/field.h"

void check_one_of(const struct check *c, const struct value *v);   /* words */
void check_range(const struct check *c, const struct value *v);    /* min, max */
void check_at_least(const struct check *c, const struct value *v); /* min */
void check_length(const struct check *c, const struct value *v);   /* min, max: bytes */
void check_short_text(const struct check *c,
                      const struct value *v); /* max: bytes; text: what it is */
void check_not_empty(const struct check *c, const struct value *v);
void check_uuid(const struct check *c, const struct value *v); /* 36 characters */
void check_url(const struct check *c, const struct value *v);
