#include "schema/checks.h"

#include "base/buf.h"
#include "base/uuid.h"
#include "schema/gourl.h"

void check_one_of(const struct check *c, const struct value *v)
{
    CM_AUTOBUF struct cm_buf list = CM_BUF_INIT(4096);
    for (const char *const *w = c->field->words; *w; w++) {
        if (cm_str_eq_c(v->str, *w))
            return;
        cm_buf_printf(&list, "%s\"%s\"", list.len ? " " : "", *w);
    }
    struct cm_str words = cm_buf_view(&list);
    check_fail(c, "expected %.*s to be one of [%.*s], got %.*s", CM_STR_ARG(c->key),
               CM_STR_ARG(words), CM_STR_ARG(v->str));
}

void check_range(const struct check *c, const struct value *v)
{
    if (v->integer < c->field->min || v->integer > c->field->max)
        check_fail(c, "expected %.*s to be in the range (%lld - %lld), got %lld",
                   CM_STR_ARG(c->key), (long long)c->field->min, (long long)c->field->max,
                   (long long)v->integer);
}

void check_at_least(const struct check *c, const struct value *v)
{
    if (v->integer < c->field->min)
        check_fail(c, "expected %.*s to be at least (%lld), got %lld", CM_STR_ARG(c->key),
                   (long long)c->field->min, (long long)v->integer);
}

void check_length(const struct check *c, const struct value *v)
{
    if ((int64_t)v->str.len < c->field->min || (int64_t)v->str.len > c->field->max)
        check_fail(c, "expected length of %.*s to be in the range (%lld - %lld), got %.*s",
                   CM_STR_ARG(c->key), (long long)c->field->min, (long long)c->field->max,
                   CM_STR_ARG(v->str));
}

void check_short_text(const struct check *c, const struct value *v)
{
    if ((int64_t)v->str.len > c->field->max)
        check_fail(c, "%s is too long (max %lld characters)", c->field->text,
                   (long long)c->field->max);
}

void check_not_empty(const struct check *c, const struct value *v)
{
    if (v->str.len == 0)
        check_fail(c, "expected \"%.*s\" to not be an empty string, got ", CM_STR_ARG(c->key));
}

void check_uuid(const struct check *c, const struct value *v)
{
    struct cm_uuid id;
    if (!cm_uuid_parse(v->str, &id))
        check_fail(c, "expected \"%.*s\" to be a valid UUID, got %.*s", CM_STR_ARG(c->key),
                   CM_STR_ARG(v->str));
}

void check_url(const struct check *c, const struct value *v)
{
    struct gourl u;
    struct cm_str why;
    if (gourl_parse(c->call, v->str, &u, &why))
        return;
    struct cm_str quoted = call_quote(c->call, v->str);
    check_fail(c, "parse %.*s: %.*s", CM_STR_ARG(quoted), CM_STR_ARG(why));
}
