/* Language helpers that every file may use: cleanup attributes, ownership hand-over, must-use
 * results. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CM_MUST_USE     __attribute__((warn_unused_result))
#define CM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define CM_UNUSED       __attribute__((unused))
#define CM_NORETURN     __attribute__((noreturn))
#define CM_COUNT_OF(a)  (sizeof(a) / sizeof((a)[0]))
#define CM_CLEANUP(fn)  __attribute__((cleanup(fn)))
#define CM_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define CM_MAX(a, b)    ((a) > (b) ? (a) : (b))

#define cm_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* CM_AUTO(cm_buf) b = NULL;  declares an owned pointer that frees itself when the scope ends. The
 * type's header says CM_DEFINE_CLEANUP(cm_buf, cm_buf_free) once; the destructor must accept NULL.
 */
#define CM_AUTO(type) CM_CLEANUP(type##_cleanup) struct type *
#define CM_DEFINE_CLEANUP(type, free_fn)                                                           \
    static inline CM_UNUSED void type##_cleanup(struct type **p)                                   \
    {                                                                                              \
        free_fn(*p);                                                                               \
    }

/* CM_AUTOFREE char *s = NULL;  CM_AUTOFD int fd = -1; */
#define CM_AUTOFREE CM_CLEANUP(cm_cleanup_free)
#define CM_AUTOFD   CM_CLEANUP(cm_cleanup_fd)
void cm_cleanup_free(void *pp);
void cm_cleanup_fd(int *fd);

/* Hands an owned pointer over: yields its value and leaves NULL behind. */
#define CM_TAKE(p)                                                                                 \
    __extension__({                                                                                \
        __typeof__(p) cm_taken_ = (p);                                                             \
        (p) = NULL;                                                                                \
        cm_taken_;                                                                                 \
    })
#define CM_TAKE_FD(fd)                                                                             \
    __extension__({                                                                                \
        int cm_taken_ = (fd);                                                                      \
        (fd) = -1;                                                                                 \
        cm_taken_;                                                                                 \
    })

/* Ignores a must-use result on purpose; the reason is for the reader. */
#define cm_ignore(expr, reason)                                                                    \
    do {                                                                                           \
        if (expr) {                                                                                \
        }                                                                                          \
    } while (0)

/* Assertions stay in release builds: they catch programming errors, never input. */
#define cm_assert(cond)                                                                            \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            cm_assert_fail(#cond, __FILE__, __LINE__);                                             \
    } while (0)
CM_NORETURN void cm_assert_fail(const char *cond, const char *file, int line);

/* Allocation that aborts when memory is gone: for small internal sizes only. Sizes from outside
 * meet a limit first. cm_xrealloc_array checks the multiplication. */
void *cm_xmalloc(size_t n);
void *cm_xcalloc(size_t count, size_t size);
void *cm_xrealloc_array(void *p, size_t count, size_t size);
char *cm_xstrdup(const char *s);
char *cm_xstrndup(const char *s, size_t n);
char *cm_xasprintf(const char *fmt, ...) CM_PRINTF(1, 2);
void cm_free(void *p);
