/* JSON scalars into members, with the limits and rules of their fields. */
#include "base/enc.h"
#include "codec/decode_impl.h"
#include "codec/rules.h"

static bool check_text(struct decoder *d, const struct place *at, const struct cm_json *n,
                       struct cm_str s)
{
    const struct cm_field *f = at->field;
    size_t max = f->max_len && !f->n_offset ? f->max_len : CM_JSON_STR_MAX;
    const char *form;

    if (d->answer)
        return true;
    if (s.len > max) {
        decode_complain(d, at, NULL, "must have at most %zu bytes, not %zu", max, s.len);
        return false;
    }
    if (f->rule && s.len > 0 && (form = cm_rule_check(f->rule, s))) {
        decode_complain(d, at, n, "must be %s", form);
        return false;
    }
    return true;
}

bool decode_str(struct decoder *d, const struct place *at, const struct cm_json *n,
                struct cm_str *ret)
{
    struct cm_str s;

    if (!cm_json_to_str(n, &s))
        return decode_wrong_type(d, at, n, "a string");
    if (!check_text(d, at, n, s))
        return false;
    *ret = s;
    return true;
}

static bool read_bytes(struct decoder *d, const struct place *at, const struct cm_json *n,
                       struct cm_str *ret)
{
    CM_AUTOBUF struct cm_buf bytes = CM_BUF_INIT(cm_json_body_limits.bytes);
    size_t max = at->field->max_len ? at->field->max_len : CM_JSON_STR_MAX;
    struct cm_str s;

    if (!cm_json_to_str(n, &s))
        return decode_wrong_type(d, at, n, "a string of base64");
    if (!cm_base64_decode(&bytes, CM_BASE64_STD, s)) {
        decode_complain(d, at, NULL, "must be base64 with padding");
        return false;
    }
    if (bytes.len > max && !d->answer) {
        decode_complain(d, at, NULL, "must have at most %zu bytes, not %zu", max, bytes.len);
        return false;
    }
    *ret = cm_arena_str(d->a, cm_buf_view(&bytes));
    return true;
}

static bool read_raw(struct decoder *d, const struct place *at, const struct cm_json *n,
                     struct cm_str *ret)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(cm_json_body_limits.bytes);
    size_t max = at->field->max_len ? at->field->max_len : CM_JSON_STR_MAX;

    cm_json_write(&text, n);
    if (text.failed || (text.len > max && !d->answer)) {
        decode_complain(d, at, NULL, "must have at most %zu bytes as JSON", max);
        return false;
    }
    *ret = cm_arena_str(d->a, cm_buf_view(&text));
    return true;
}

static bool read_uuid(struct decoder *d, const struct place *at, const struct cm_json *n,
                      struct cm_uuid *ret)
{
    struct cm_str s;

    if (!cm_json_to_str(n, &s))
        return decode_wrong_type(d, at, n, "a UUID");
    if (s.len == 0 && !at->field->required) /* how forms send "none" */
        return true;
    if (!cm_uuid_parse(s, ret)) {
        decode_complain(d, at, n, "must be a UUID");
        return false;
    }
    return true;
}

static bool read_time(struct decoder *d, const struct place *at, const struct cm_json *n,
                      struct cm_time *ret)
{
    struct cm_str s;

    if (!cm_json_to_str(n, &s))
        return decode_wrong_type(d, at, n, "a time");
    if (!cm_time_parse(s, ret)) {
        decode_complain(d, at, n, "must be a time such as 2026-11-23T06:16:49Z");
        return false;
    }
    return true;
}

static bool read_enum(struct decoder *d, const struct place *at, const struct cm_json *n, int *ret)
{
    const struct cm_enum *en = at->field->en;
    struct cm_str s;

    if (!cm_json_to_str(n, &s))
        return decode_wrong_type(d, at, n, "a string");
    if (s.len == 0 || cm_enum_parse(en, s, ret) || d->answer)
        return true;
    if (en->n > 13) {
        decode_complain(d, at, n, "must be a known value");
        return false;
    }
    CM_AUTOBUF struct cm_buf names = CM_BUF_INIT(2048);
    for (size_t i = 1; i < en->n; i++) {
        cm_buf_cstr(&names, i == 1 ? "" : i + 1 == en->n ? " or " : ", ");
        cm_buf_cstr(&names, en->texts[i]);
    }
    decode_complain(d, at, n, "must be %.*s", CM_STR_ARG(cm_buf_view(&names)));
    return false;
}

static bool read_i64(struct decoder *d, const struct place *at, const struct cm_json *n,
                     int64_t *ret)
{
    struct cm_str text;

    if (cm_json_to_i64(n, ret))
        return true;
    if (cm_json_type(n) != CM_JSON_NUMBER || !cm_json_scalar_text(n, &text))
        return decode_wrong_type(d, at, n, "a whole number");
    decode_complain(d, at, NULL, "must be a whole number of at most 64 bits, not %.*s",
                    CM_STR_ARG(text));
    return false;
}

bool decode_scalar(struct decoder *d, const struct place *at, const struct cm_json *n, void *into)
{
    switch ((enum cm_field_type)at->field->type) {
    case CM_FT_STR:
        return decode_str(d, at, n, into);
    case CM_FT_RAW:
        return read_raw(d, at, n, into);
    case CM_FT_BYTES:
        return read_bytes(d, at, n, into);
    case CM_FT_UUID:
        return read_uuid(d, at, n, into);
    case CM_FT_TIME:
        return read_time(d, at, n, into);
    case CM_FT_I64:
        return read_i64(d, at, n, into);
    case CM_FT_F64:
        return cm_json_to_f64(n, into) || decode_wrong_type(d, at, n, "a number");
    case CM_FT_BOOL:
        return cm_json_to_bool(n, into) || decode_wrong_type(d, at, n, "true or false");
    case CM_FT_ENUM:
        return read_enum(d, at, n, into);
    case CM_FT_MSG:
    case CM_FT_MAP:
    case CM_FT_UNSET:
        break;
    }
    cm_assert(!"scalar");
    return false;
}
