/* What is wrong with a value, for people. */
#include <stdarg.h>

#include "codec/decode_impl.h"

static void add_violation(struct cm_violations *vs, struct cm_arena *a, struct cm_str field,
                          struct cm_str detail)
{
    if (vs->n >= CM_VIOLATIONS_MAX)
        return;
    if (!vs->v)
        vs->v = CM_NEW_ARRAY(a, struct cm_violation, CM_VIOLATIONS_MAX);
    vs->v[vs->n++] = (struct cm_violation){field, detail};
}

void cm_violations_add(struct cm_violations *vs, struct cm_arena *a, struct cm_str field,
                       const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *detail = cm_arena_vprintf(a, fmt, ap);
    va_end(ap);
    add_violation(vs, a, cm_arena_str(a, field), cm_str(detail));
}

/* Somebody's text in quotes, at most 64 bytes of it. */
static void put_cut(struct cm_buf *out, struct cm_str s)
{
    size_t keep = CM_MIN(s.len, (size_t)64);

    while (keep > 0 && keep < s.len && (s.ptr[keep] & 0xc0) == 0x80)
        keep--;
    cm_buf_char(out, '"');
    cm_buf_append(out, s.ptr, keep);
    cm_buf_cstr(out, keep < s.len ? "...\"" : "\"");
}

/* "workspaces[3].name" */
static void put_place(struct cm_buf *out, const struct place *at)
{
    if (at->up && at->up->field) {
        put_place(out, at->up);
        cm_buf_char(out, '.');
    }
    cm_buf_cstr(out, at->map ? at->map->name : at->field->name);
    if (at->index >= 0)
        cm_buf_printf(out, "[%td]", at->index);
    if (at->map) {
        cm_buf_char(out, '[');
        put_cut(out, at->key);
        cm_buf_char(out, ']');
    }
}

/* The value as it was given, for the end of a sentence. */
static void put_given(struct cm_buf *out, const struct cm_field *f, const struct cm_json *n)
{
    struct cm_str s;

    if (f->secret || !cm_json_to_str(n, &s))
        return;
    cm_buf_cstr(out, ", not ");
    put_cut(out, s);
}

void decode_complain(struct decoder *d, const struct place *at, const struct cm_json *given,
                     const char *fmt, ...)
{
    CM_AUTOBUF struct cm_buf detail = CM_BUF_INIT(4096);
    va_list ap;

    if (d->violations->n >= CM_VIOLATIONS_MAX)
        return;
    if (at->index >= 0 || at->map || (at->up && at->up->field)) {
        put_place(&detail, at);
        cm_buf_cstr(&detail, ": ");
    }
    va_start(ap, fmt);
    cm_buf_str(&detail, cm_str(cm_arena_vprintf(d->a, fmt, ap)));
    va_end(ap);
    if (given)
        put_given(&detail, at->field, given);
    add_violation(d->violations, d->a, cm_str((at->map ? at->map : at->field)->name),
                  cm_arena_str(d->a, cm_buf_view(&detail)));
}

bool decode_wrong_type(struct decoder *d, const struct place *at, const struct cm_json *n,
                       const char *want)
{
    decode_complain(d, at, NULL, "must be %s, not %s", want, cm_json_type_name(cm_json_type(n)));
    return false;
}
