/* Ended jobs and what they have made, kept in memory: resources with their agents, apps and scripts
 * as the template defined them. None of it changes once the job has ended, so an entry is never
 * wrong; what does change (states, health, log sources) is not in it, and nor is who may see it:
 * both are asked of the database each time. Bounded; the least recently used go first. Any thread.
 */
#pragma once

#include "api/builds.h"
#include "base/arena.h"

struct parts_cache;

struct job_parts {
    const struct api_provisioner_job *job;
    const struct api_workspace_resource *resources; /* ordered */
    size_t n;
};

/* max: bytes of all entries; the rest of what is put pushes older ones out. */
struct parts_cache *parts_cache_new(size_t max);
void parts_cache_free(struct parts_cache *c); /* after all arenas that hold entries are gone */
CM_DEFINE_CLEANUP(parts_cache, parts_cache_free)

/* They stay as long as the arena does. False: not here. */
CM_MUST_USE bool parts_cache_get(struct parts_cache *c, struct cm_uuid job_id,
                                 struct cm_arena *holder, struct job_parts *ret);
/* Copies them. Only for jobs that have ended. */
void parts_cache_put(struct parts_cache *c, struct cm_uuid job_id, const struct job_parts *parts);
size_t parts_cache_bytes(struct parts_cache *c);
