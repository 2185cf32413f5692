/* Template versions that were initialised before: their source, providers, modules, lock file and
 * graph, so that a build needs no `terraform init`, no network and no transfer of the source. One
 * folder per version, complete or not there at all. One process per cache folder; calls come from
 * one thread. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

struct version_cache;

#define VERSION_CACHE_KEEP (30 * CM_DAY) /* unused for longer: removed */

/* Makes dir, and removes what is old or half made. */
CM_MUST_USE enum cm_code version_cache_new(const char *dir, struct version_cache **ret,
                                           struct cm_err *err);
void version_cache_free(struct version_cache *c);
CM_DEFINE_CLEANUP(version_cache, version_cache_free)

/* The key of a version: source and modules as the job names them, and what else init depends on. In
 * the arena. */
const char *version_cache_key(struct cm_arena *a, struct cm_str source_id, struct cm_str modules_id,
                              const char *fingerprint);

/* The parts of an entry. False when the version is not there; then nothing was changed. */
CM_MUST_USE bool version_cache_get_source(struct version_cache *c, const char *key,
                                          struct cm_buf *out);
CM_MUST_USE bool version_cache_get_graph(struct version_cache *c, const char *key,
                                         struct cm_buf *out);
/* Puts .terraform and the lock file into dir. */
CM_MUST_USE bool version_cache_restore(struct version_cache *c, const char *key, const char *dir);

/* Keeps an initialised folder. A failure is no error of the job: it is logged, and nothing is kept.
 */
void version_cache_keep(struct version_cache *c, const char *key, struct cm_str source,
                        struct cm_str graph, const char *dir);
/* An entry that terraform did not get along with. */
void version_cache_drop(struct version_cache *c, const char *key);
