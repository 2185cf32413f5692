/* All route tables; one line per file with routes. */
#include "api/route.h"

#define ROUTE_TABLES(T)                                                                            \
    T(agent_ports)                                                                                 \
    T(agent_self)                                                                                  \
    T(agents)                                                                                      \
    T(audit_list)                                                                                  \
    T(buildinfo)                                                                                   \
    T(builds)                                                                                      \
    T(config_show)                                                                                 \
    T(deployment)                                                                                  \
    T(dynamic_parameters)                                                                          \
    T(files)                                                                                       \
    T(groups)                                                                                      \
    T(health)                                                                                      \
    T(keys)                                                                                        \
    T(login)                                                                                       \
    T(members)                                                                                     \
    T(organizations)                                                                               \
    T(port_shares)                                                                                 \
    T(provisioners)                                                                                \
    T(roles)                                                                                       \
    T(template_acl)                                                                                \
    T(template_archive)                                                                            \
    T(template_edit)                                                                               \
    T(template_examples)                                                                           \
    T(template_version_list)                                                                       \
    T(template_versions)                                                                           \
    T(templates)                                                                                   \
    T(user_settings)                                                                               \
    T(users)                                                                                       \
    T(version_dry_run)                                                                             \
    T(workspace_acl)                                                                               \
    T(workspace_builds)                                                                            \
    T(workspace_create)                                                                            \
    T(workspace_schedule)                                                                          \
    T(workspace_watch)                                                                             \
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
