#include "schema/zone.h"

#include <fcntl.h>
#include <unistd.h>

static const char *const zone_dirs[] = {"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo",
                                        "/usr/lib/locale/TZ", "/etc/zoneinfo"};

static bool is_zone_file(const char *path)
{
    char magic[4];
    CM_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return fd >= 0 && read(fd, magic, sizeof(magic)) == (ssize_t)sizeof(magic) &&
           memcmp(magic, "TZif", 4) == 0;
}

bool zone_exists(struct call *c, struct cm_str name, struct cm_str *ret_why)
{
    if (!name.len || cm_str_eq_c(name, "UTC") || cm_str_eq_c(name, "Local"))
        return true;
    bool bad = name.ptr[0] == '/' || name.ptr[0] == '\\' || cm_str_contains(name, CM_STR("..")) ||
               memchr(name.ptr, '\0', name.len);
    bool installed = false;
    for (size_t i = 0; !bad && i < CM_COUNT_OF(zone_dirs); i++) {
        if (is_zone_file(cm_arena_printf(c->arena, "%s/%.*s", zone_dirs[i], CM_STR_ARG(name))))
            return true;
        installed |= access(zone_dirs[i], F_OK) == 0;
    }
    /* A machine without time zone data cannot tell: the server, which has it, will. */
    if (!bad && !installed)
        return true;
    *ret_why = bad ? CM_STR("time: invalid location name")
                   : cm_arena_fmt(c->arena, "unknown time zone %.*s", CM_STR_ARG(name));
    return false;
}
