/* All route tables; one line per file with routes. */
#include "api/route.h"

#define ROUTE_TABLES(T)                                                                            \
    T(agents)                                                                                      \
    T(buildinfo)                                                                                   \
    T(builds)                                                                                      \
    T(files)                                                                                       \
    T(login)                                                                                       \
    T(template_versions)                                                                           \
    T(templates)                                                                                   \
    T(users)                                                                                       \
    T(workspaces)

#define DECLARE(name) extern const struct route_table name##_routes;
ROUTE_TABLES(DECLARE)
#undef DECLARE

static const struct route_table *const tables[] = {
#define ENTRY(name) &name##_routes,
    ROUTE_TABLES(ENTRY)
#undef ENTRY
};

const struct route_table *const *route_tables(size_t *ret_n)
{
    *ret_n = CM_COUNT_OF(tables);
    return tables;
}
