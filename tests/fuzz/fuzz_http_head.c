/* Request heads of clients. */
#include <stdint.h>

#include "net/http/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_http_head h;
    struct cm_err err;

    if (size > CM_HTTP_HEAD_MAX || cm_http_head_parse(a, cm_str_n(data, size), &h, &err) != CM_OK)
        return 0;
    cm_assert(h.n_headers <= CM_HTTP_HEADERS_MAX);
    cm_assert(h.path.len && (h.path.ptr[0] == '/' || cm_str_eq_c(h.path, "*")));
    cm_assert(h.http10 || h.host.ptr);
    cm_assert(
        !(cm_http_header(&h, "transfer-encoding").ptr && cm_http_header(&h, "content-length").ptr));
    cm_assert(h.has_body == (h.content_length > 0));
    cm_ignore(cm_http_query(&h, a, "q").ptr, "only that it is read within bounds");
    size_t from = 0, n = 0, len = size / 2;
    if (cm_http_range(&h, NULL, len, &from, &n) == CM_HTTP_PART)
        cm_assert(n && from < len && n <= len - from);
    cm_ignore(cm_http_cookie(&h, "c").ptr, "only that it is read within bounds");
    return 0;
}
