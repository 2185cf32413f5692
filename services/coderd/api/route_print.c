#include <unistd.h>

#include "api/route.h"
#include "base/buf.h"

#define TEXT_MAX ((size_t)1 << 20)

static const char *method_name(enum cm_http_method m)
{
    static const char *const names[] = {[CM_HTTP_OTHER] = "?",
#define METHOD_NAME(name) [CM_HTTP_##name] = #name,
                                        CM_HTTP_METHODS(METHOD_NAME)
#undef METHOD_NAME
    };
    return names[m];
}

static const char *auth_name(enum route_auth a)
{
    switch (a) {
    case AUTH_NONE:
        return "none";
    case AUTH_OPTIONAL:
        return "optional";
    case AUTH_SESSION:
        return "session";
    case AUTH_AGENT:
        return "agent";
    case AUTH_UNSET:
        break;
    }
    return "?";
}

static const char *kind_name(enum route_kind k)
{
    switch (k) {
    case ROUTE_CALL:
        return "call";
    case ROUTE_STREAM:
        return "stream";
    case ROUTE_LOOP:
        return "loop";
    case ROUTE_UNSET:
        break;
    }
    return "?";
}

static void print_rule(struct cm_buf *b, const struct route_rule *rule)
{
    switch (rule->kind) {
    case RULE_OBJECT:
        cm_buf_printf(b, "%s:%s", rbac_resource_name(rule->resource),
                      rbac_action_name(rule->action));
        return;
    case RULE_PUBLIC:
        cm_buf_cstr(b, "public");
        return;
    case RULE_SELF:
        cm_buf_cstr(b, "self");
        return;
    case RULE_UNSET:
        break;
    }
    cm_buf_char(b, '?');
}

bool routes_print(int fd)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(TEXT_MAX);
    size_t n_tables;
    const struct route_table *const *tables = route_tables(&n_tables);
    for (size_t i = 0; i < n_tables; i++) {
        for (size_t k = 0; k < tables[i]->n; k++) {
            const struct route *row = &tables[i]->rows[k];
            cm_buf_printf(&b, "%s %s %s ", method_name(row->method), row->path,
                          auth_name(row->auth));
            print_rule(&b, &row->rule);
            cm_buf_printf(&b, " %s %s\n", kind_name(row->kind), row->body ? row->body->name : "-");
        }
    }
    size_t done = 0;
    while (!b.failed && done < b.len) {
        ssize_t n = write(fd, b.ptr + done, b.len - done);
        if (n < 0)
            return false;
        done += (size_t)n;
    }
    return !b.failed;
}
