/* Hash map from byte strings to pointers. Keys are copied; values are borrowed unless the caller
 * frees them when it removes them. Bounded by its owner. Not thread-safe. */
#pragma once

#include "base/str.h"

struct cm_map;

struct cm_map *cm_map_new(void);
void cm_map_free(struct cm_map *m);
CM_DEFINE_CLEANUP(cm_map, cm_map_free)

void *cm_map_get(const struct cm_map *m, struct cm_str key); /* NULL when absent */
void *cm_map_put(struct cm_map *m, struct cm_str key,
                 void *value);                            /* returns the value replaced, or NULL */
void *cm_map_remove(struct cm_map *m, struct cm_str key); /* returns the value removed, or NULL */
size_t cm_map_count(const struct cm_map *m);
/* Walks all entries: *it starts at 0; false at the end. The map must not change meanwhile. */
bool cm_map_next(const struct cm_map *m, size_t *it, struct cm_str *key, void **value);
