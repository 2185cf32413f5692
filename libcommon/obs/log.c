#include "obs/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/time.h"

#define LINE_MAX_BYTES 8192

/* The one piece of state that a process may keep globally: written once at start, read everywhere.
 */
static const char *log_name = "coder";
static atomic_int log_level = CM_LOG_INFO;
static enum cm_log_format log_format = CM_LOG_TEXT;

void cm_log_setup(const char *name, enum cm_log_level level, enum cm_log_format format)
{
    log_name = name;
    log_level = (int)level;
    log_format = format;
}

bool cm_log_enabled(enum cm_log_level level)
{
    return (int)level >= log_level;
}

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static void put_escaped(struct cm_buf *b, struct cm_str s)
{
    cm_buf_char(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\') {
            cm_buf_char(b, '\\');
            cm_buf_char(b, (char)c);
        } else if (c < 0x20 || c == 0x7f) {
            cm_buf_printf(b, "\\u%04x", c);
        } else {
            cm_buf_char(b, (char)c);
        }
    }
    cm_buf_char(b, '"');
}

static bool is_plain(struct cm_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= 0x20 || c == '"' || c == '\\' || c == '=' || c == 0x7f)
            return false;
    }
    return s.len > 0;
}

static void put_value(struct cm_buf *b, const struct cm_log_field *f, bool json)
{
    struct cm_str s;
    char text[CM_UUID_TEXT];
    switch (f->type) {
    case CM_LF_INT:
        cm_buf_i64(b, f->i64);
        return;
    case CM_LF_UUID:
        s = cm_str(cm_uuid_format(f->uuid, text));
        break;
    case CM_LF_ERR:
        s = cm_str(f->err->text);
        break;
    case CM_LF_STR:
    default:
        s = f->str;
        break;
    }
    if (json || !is_plain(s))
        put_escaped(b, s);
    else
        cm_buf_str(b, s);
}

void cm_log_write(enum cm_log_level level, const char *msg, const struct cm_log_field *fields,
                  size_t n)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(LINE_MAX_BYTES);
    char now[CM_TIME_TEXT];
    cm_time_format(cm_time_now(), now);
    bool json = log_format == CM_LOG_JSON;
    if (json)
        cm_buf_printf(&b, "{\"ts\":\"%s\",\"level\":\"%s\",\"name\":\"%s\",\"msg\":\"%s\"", now,
                      level_names[level], log_name, msg);
    else
        cm_buf_printf(&b, "%s %-5s %s: %s", now, level_names[level], log_name, msg);
    for (size_t i = 0; i < n && !b.failed; i++) {
        size_t before = b.len;
        cm_buf_printf(&b, json ? ",\"%s\":" : " %s=", fields[i].key);
        put_value(&b, &fields[i], json);
        if (b.failed)
            b.len = before; /* a field that does not fit is left out; the line stays whole */
    }
    b.failed = false;
    b.max += 4;
    cm_buf_cstr(&b, json ? "}\n" : "\n");
    int saved = errno;
    cm_ignore(write(STDERR_FILENO, b.ptr, b.len) < 0,
              "a log that cannot be written cannot be reported");
    errno = saved;
}
