#include "net/session/session.h"

#include <inttypes.h>
#include <stdio.h>

const char *cm_session_path_format(struct cm_uuid carrier, uint64_t offset,
                                   char out[CM_SESSION_PATH_TEXT])
{
    (void)snprintf(out, CM_SESSION_PATH_TEXT, "/%s?offset=%" PRIu64, cm_uuid_text(carrier).s,
                   offset);
    return out;
}

bool cm_session_path_parse(struct cm_str s, struct cm_uuid *ret_carrier, uint64_t *ret_offset)
{
    struct cm_str id;
    struct cm_uuid carrier;
    int64_t offset;
    const struct cm_str key = CM_STR("offset=");
    if (s.len == 0 || s.len >= CM_SESSION_PATH_TEXT || s.ptr[0] != '/')
        return false;
    struct cm_str query = cm_str_split(cm_str_sub(s, 1, s.len - 1), '?', &id);
    if (!cm_uuid_parse(id, &carrier) || cm_uuid_is_nil(carrier) || !cm_str_starts(query, key) ||
        !cm_str_to_i64(cm_str_sub(query, key.len, query.len - key.len), &offset) || offset < 0)
        return false;
    *ret_carrier = carrier;
    *ret_offset = (uint64_t)offset;
    return true;
}
