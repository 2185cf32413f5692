/* Scopes of API keys by name: what narrows a key to less than its user may do. Source:
 * api-behaviour reference, 1.5. */
#pragma once

#include "base/arena.h"
#include "domain/rbac.h"

#define SCOPE_ALL                 "coder:all"
#define SCOPE_APPLICATION_CONNECT "coder:application_connect"

#define SCOPE_PERMS_MAX 8

/* The name as it is stored: older clients say "all" and "application_connect". */
struct cm_str scope_canonical(struct cm_str name);
/* What a stored scope allows, SCOPE_PERMS_MAX permissions at most; none for SCOPE_ALL and for one
 * of a newer release. */
size_t scope_perms(struct cm_str name, struct rbac_perm *out);
/* May it be asked for? (canonical) */
CM_MUST_USE bool scope_requestable(struct cm_str name);
/* All of those, for people. */
struct cm_str *scope_list(struct cm_arena *a, size_t *ret_n);
/* Is it no more than the subject's own key may do? (canonical) */
bool subject_covers_scope(const struct subject *s, struct cm_str name);
