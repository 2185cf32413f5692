#include "remote/ports.h"

#include "net/dial/resolve.h"

struct range {
    uint16_t from, to;
};

static bool parse_range(struct cm_str s, struct range *ret)
{
    struct cm_str first, last = cm_str_split(s, '-', &first);
    if (!cm_str_to_u16(first, &ret->from) || !ret->from)
        return false;
    ret->to = ret->from;
    return !last.ptr || (cm_str_to_u16(last, &ret->to) && ret->to >= ret->from);
}

/* Splits off an address in front, where there is one. */
static struct cm_str take_ip(struct cm_arena *a, struct cm_str s, const char **ret_ip)
{
    struct cm_addr addr;
    ptrdiff_t at;

    *ret_ip = "";
    if (s.len && s.ptr[0] == '[' && (at = cm_str_find(s, ']')) > 0 && (size_t)at + 1 < s.len &&
        s.ptr[at + 1] == ':') {
        *ret_ip = cm_arena_cstr(a, cm_str_sub(s, 1, (size_t)at - 1));
        return cm_str_sub(s, (size_t)at + 2, s.len);
    }
    at = cm_str_find(s, ':');
    if (at > 0) {
        const char *ip = cm_arena_cstr(a, cm_str_sub(s, 0, (size_t)at));
        if (cm_addr_parse(ip, 0, &addr)) {
            *ret_ip = ip;
            return cm_str_sub(s, (size_t)at + 1, s.len);
        }
    }
    return s;
}

enum cm_code ports_parse(struct cm_arena *a, const char *text, struct port_list *list,
                         struct cm_err *err)
{
    struct range local, remote;
    const char *ip;
    struct cm_addr addr;
    struct cm_str rest = take_ip(a, cm_str_trim(cm_str(text)), &ip), first;
    struct cm_str second = cm_str_split(rest, ':', &first);

    if ((*ip && !cm_addr_parse(ip, 0, &addr)) || !parse_range(first, &local) ||
        (second.ptr && !parse_range(second, &remote)))
        return cm_err_set(err, CM_INVALID,
                          "failed to parse port forward specification \"%s\": it must be "
                          "[ip:]port[-end][:port[-end]] with "
                          "ports from 1 to 65535",
                          text);
    if (!second.ptr)
        remote = local;
    if (remote.to - remote.from != local.to - local.from)
        return cm_err_set(err, CM_INVALID, "port ranges of \"%s\" must be the same length", text);
    for (unsigned i = 0; i <= (unsigned)(local.to - local.from); i++) {
        uint16_t port = (uint16_t)(local.from + i);
        for (size_t k = 0; k < list->n; k++)
            if (list->v[k].local == port && strcmp(list->v[k].local_ip, ip) == 0)
                return cm_err_set(err, CM_INVALID, "local port %u is specified more than once",
                                  port);
        if (list->n == PORTS_MAX)
            return cm_err_set(err, CM_TOO_LARGE, "more than %d ports", PORTS_MAX);
        list->v[list->n++] = (struct port_pair){
            .local_ip = ip, .local = port, .remote = (uint16_t)(remote.from + i)};
    }
    return CM_OK;
}
