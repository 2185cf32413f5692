#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum cm_code cm_err_set_at(struct cm_err *err, enum cm_code code, int sys_errno, const char *file,
                           int line, const char *fmt, ...)
{
    if (!err)
        return code;
    err->code = code;
    err->sys_errno = sys_errno;
    err->file = file;
    err->line = line;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    if (sys_errno && n >= 0 && (size_t)n < sizeof(err->text)) {
        char why[128];
        const char *text = strerror_r(sys_errno, why, sizeof(why));
        snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", text);
    }
    return code;
}

enum cm_code cm_err_wrap(struct cm_err *err, const char *fmt, ...)
{
    if (!err)
        return CM_INTERNAL;
    char clause[CM_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(clause, sizeof(clause), fmt, ap);
    va_end(ap);
    if (n < 0)
        return err->code;
    char joined[2 * CM_ERR_TEXT_MAX + 4];
    snprintf(joined, sizeof(joined), "%s: %s", clause, err->text);
    size_t len = strnlen(joined, sizeof(err->text) - 1);
    memcpy(err->text, joined, len);
    err->text[len] = '\0';
    return err->code;
}

static const struct {
    const char *name;
    int http;
} codes[] = {
#define CM_CODE_ROW(name, http) [CM_##name] = {#name, http},
    CM_CODES(CM_CODE_ROW)
#undef CM_CODE_ROW
};

const char *cm_code_name(enum cm_code code)
{
    return (size_t)code < CM_COUNT_OF(codes) ? codes[code].name : "UNKNOWN";
}

int cm_code_http_status(enum cm_code code)
{
    return (size_t)code < CM_COUNT_OF(codes) ? codes[code].http : 500;
}

enum cm_code cm_code_of_http_status(int status)
{
    for (size_t i = 1; i < CM_COUNT_OF(codes); i++)
        if (codes[i].http == status)
            return (enum cm_code)i;
    return status < 500 ? CM_INVALID : CM_INTERNAL;
}
