/* Memory of one request, message or job: allocate freely, free once.
 *
 * Not thread-safe: an arena belongs to whoever works on the request now. Allocation aborts when
 * memory is gone; sizes from outside must have met their limit before. In sanitizer builds each
 * allocation is its own heap block, so that ASan sees overruns inside what would be one chunk. */
#pragma once

#include <stdarg.h>

#include "base/defs.h"
#include "base/str.h"

struct cm_arena;

struct cm_arena *cm_arena_new(void);
void cm_arena_free(struct cm_arena *a); /* runs deferred functions, last first */
CM_DEFINE_CLEANUP(cm_arena, cm_arena_free)

size_t cm_arena_size(const struct cm_arena *a); /* bytes taken from the heap */

void *cm_arena_alloc(struct cm_arena *a, size_t n);              /* zeroed, aligned to 16 */
void *cm_arena_array(struct cm_arena *a, size_t n, size_t size); /* zeroed; overflow aborts */
#define CM_NEW(a, type)          ((type *)cm_arena_alloc((a), sizeof(type)))
#define CM_NEW_ARRAY(a, type, n) ((type *)cm_arena_array((a), (n), sizeof(type)))

struct cm_str cm_arena_str(struct cm_arena *a, struct cm_str s); /* copy, terminated */
char *cm_arena_cstr(struct cm_arena *a, struct cm_str s);
char *cm_arena_printf(struct cm_arena *a, const char *fmt, ...) CM_PRINTF(2, 3);
char *cm_arena_vprintf(struct cm_arena *a, const char *fmt, va_list ap) CM_PRINTF(2, 0);
/* The same as a cm_str. */
struct cm_str cm_arena_fmt(struct cm_arena *a, const char *fmt, ...) CM_PRINTF(2, 3);

/* Ties another resource to the arena: fn(ptr) runs when the arena is freed. */
void cm_arena_defer(struct cm_arena *a, void (*fn)(void *), void *ptr);
