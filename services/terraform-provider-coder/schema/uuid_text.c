#include "schema/uuid_text.h"

#include "base/enc.h"

bool uuid_text_parse(struct call *c, struct cm_str s, struct cm_uuid *ret, struct cm_str *ret_why)
{
    const size_t plain = CM_UUID_TEXT - 1, bare = 2 * sizeof(ret->b);
    struct cm_str urn = CM_STR("urn:uuid:");
    bool ok = false;
    if (s.len == plain)
        ok = cm_uuid_parse(s, ret);
    else if (s.len == plain + urn.len && cm_str_starts_nocase(s, urn))
        ok = cm_uuid_parse(cm_str_sub(s, urn.len, plain), ret);
    else if (s.len == plain + 2 && s.ptr[0] == '{' && s.ptr[s.len - 1] == '}')
        ok = cm_uuid_parse(cm_str_sub(s, 1, plain), ret);
    else if (s.len == bare)
        ok = cm_hex_decode(s, ret->b, sizeof(ret->b));
    else
        *ret_why = cm_arena_fmt(c->arena, "invalid UUID length: %zu", s.len);
    if (!ok && (s.len == plain || s.len == plain + urn.len || s.len == plain + 2 || s.len == bare))
        *ret_why = CM_STR("invalid UUID format");
    return ok;
}
