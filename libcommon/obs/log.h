/* Structured log: one line per event, a constant message and typed fields. One concept has one key:
 * workspace_id is never also workspace or ws_id; look for it before inventing one.
 *
 * Lines go to stderr, as text (time level name: message key=value) or as JSON objects. The level is
 * the process's own, set once at start. Thread-safe; each line is one write(2). Secrets have no
 * field type. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "base/uuid.h"

enum cm_log_level { CM_LOG_DEBUG, CM_LOG_INFO, CM_LOG_WARN, CM_LOG_ERROR };
enum cm_log_format { CM_LOG_TEXT, CM_LOG_JSON };

/* name: the program's, in every line; must outlive the process's use of the log. */
void cm_log_setup(const char *name, enum cm_log_level level, enum cm_log_format format);
bool cm_log_enabled(enum cm_log_level level);

struct cm_log_field {
    const char *key;
    enum { CM_LF_STR, CM_LF_INT, CM_LF_UUID, CM_LF_ERR } type;
    union {
        struct cm_str str;
        int64_t i64;
        struct cm_uuid uuid;
        const struct cm_err *err;
    };
};

#define CM_F_STR(key_, s) ((struct cm_log_field){.key = #key_, .type = CM_LF_STR, .str = (s)})
#define CM_F_CSTR(key_, s)                                                                         \
    ((struct cm_log_field){.key = #key_, .type = CM_LF_STR, .str = cm_str(s)})
#define CM_F_INT(key_, v)                                                                          \
    ((struct cm_log_field){.key = #key_, .type = CM_LF_INT, .i64 = (int64_t)(v)})
#define CM_F_UUID(key_, u) ((struct cm_log_field){.key = #key_, .type = CM_LF_UUID, .uuid = (u)})
#define CM_F_ERR(e)        ((struct cm_log_field){.key = "error", .type = CM_LF_ERR, .err = (e)})

void cm_log_write(enum cm_log_level level, const char *msg, const struct cm_log_field *fields,
                  size_t n);

#define CM_LOG_(level, msg, ...)                                                                   \
    do {                                                                                           \
        if (cm_log_enabled(level)) {                                                               \
            const struct cm_log_field cm_lf_[] = {{.key = NULL}, ##__VA_ARGS__};                   \
            cm_log_write(level, msg, cm_lf_ + 1, CM_COUNT_OF(cm_lf_) - 1);                         \
        }                                                                                          \
    } while (0)
/* CM_INFO("build queued", CM_F_UUID(workspace_id, id), CM_F_INT(build_number, n)); */
#define CM_DEBUG(msg, ...) CM_LOG_(CM_LOG_DEBUG, msg, ##__VA_ARGS__)
#define CM_INFO(msg, ...)  CM_LOG_(CM_LOG_INFO, msg, ##__VA_ARGS__)
#define CM_WARN(msg, ...)  CM_LOG_(CM_LOG_WARN, msg, ##__VA_ARGS__)
#define CM_ERROR(msg, ...) CM_LOG_(CM_LOG_ERROR, msg, ##__VA_ARGS__)
