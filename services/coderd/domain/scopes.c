#include "domain/scopes.h"

#define C     ((uint32_t)RBAC_do_create)
#define R     ((uint32_t)RBAC_do_read)
#define U     ((uint32_t)RBAC_do_update)
#define D     ((uint32_t)RBAC_do_delete)
#define CRUD  (C | R | U | D)
#define USE   ((uint32_t)RBAC_do_use)
#define START ((uint32_t)RBAC_do_start | (uint32_t)RBAC_do_stop)
#define REACH ((uint32_t)RBAC_do_ssh | (uint32_t)RBAC_do_application_connect)

/* Several permissions under one name. */
static const struct {
    const char *name;
    struct rbac_perm perms[SCOPE_PERMS_MAX]; /* up to RBAC_RESOURCE_UNSET */
} composites[] = {
    {SCOPE_APPLICATION_CONNECT, {{RBAC_workspace, (uint32_t)RBAC_do_application_connect, false}}},
    {"coder:workspaces.create",
     {{RBAC_template, R | USE, false}, {RBAC_workspace, C | R | U, false}}},
    {"coder:workspaces.operate",
     {{RBAC_template, R, false}, {RBAC_workspace, R | U | START, false}}},
    {"coder:workspaces.delete", {{RBAC_template, R | USE, false}, {RBAC_workspace, R | D, false}}},
    {"coder:workspaces.access", {{RBAC_template, R, false}, {RBAC_workspace, R | REACH, false}}},
    {"coder:templates.build",
     {{RBAC_template, R, false}, {RBAC_file, C | R, false}, {RBAC_provisioner_jobs, R, false}}},
    {"coder:templates.author",
     {{RBAC_template, CRUD | (uint32_t)RBAC_do_view_insights, false}, {RBAC_file, C | R, false}}},
    {"coder:apikeys.manage_self", {{RBAC_api_key, CRUD, false}}},
};

/* resource:action and resource:* that may be asked for. */
static const struct {
    enum rbac_resource resource;
    uint32_t actions;
} singles[] = {
    {RBAC_workspace, CRUD | START | REACH},
    {RBAC_template, CRUD | USE},
    {RBAC_api_key, CRUD},
    {RBAC_file, C | R},
    {RBAC_user, R | (uint32_t)RBAC_do_read_personal | (uint32_t)RBAC_do_update_personal},
    {RBAC_user_secret, CRUD},
    {RBAC_organization, R | U | D},
};

struct cm_str scope_canonical(struct cm_str name)
{
    if (cm_str_eq_c(name, "all"))
        return CM_STR(SCOPE_ALL);
    if (cm_str_eq_c(name, "application_connect"))
        return CM_STR(SCOPE_APPLICATION_CONNECT);
    return name;
}

/* "workspace:ssh" */
static bool parse_single(struct cm_str name, struct rbac_perm *ret)
{
    struct cm_str resource;
    struct cm_str action = cm_str_split(name, ':', &resource);
    enum rbac_action one;
    if (!action.ptr || !rbac_resource_parse(resource, &ret->resource) ||
        ret->resource == RBAC_ANY_RESOURCE)
        return false;
    if (cm_str_eq_c(action, "*"))
        ret->actions = RBAC_ALL_ACTIONS;
    else if (rbac_action_parse(action, &one))
        ret->actions = (uint32_t)one;
    else
        return false;
    ret->negate = false;
    return true;
}

size_t scope_perms(struct cm_str name, struct rbac_perm *out)
{
    for (size_t i = 0; i < CM_COUNT_OF(composites); i++) {
        size_t n = 0;
        if (!cm_str_eq_c(name, composites[i].name))
            continue;
        while (n < SCOPE_PERMS_MAX && composites[i].perms[n].resource) {
            out[n] = composites[i].perms[n];
            n++;
        }
        return n;
    }
    return parse_single(name, out) ? 1 : 0;
}

bool scope_requestable(struct cm_str name)
{
    struct rbac_perm p;
    if (cm_str_eq_c(name, SCOPE_ALL))
        return true;
    for (size_t i = 0; i < CM_COUNT_OF(composites); i++) {
        if (cm_str_eq_c(name, composites[i].name))
            return true;
    }
    if (!parse_single(name, &p))
        return false;
    for (size_t i = 0; i < CM_COUNT_OF(singles); i++) {
        if (singles[i].resource == p.resource)
            return p.actions == RBAC_ALL_ACTIONS || (p.actions & singles[i].actions) != 0;
    }
    return false;
}

struct cm_str *scope_list(struct cm_arena *a, size_t *ret_n)
{
    size_t max = 1 + CM_COUNT_OF(composites) + CM_COUNT_OF(singles) * (RBAC_N_ACTIONS + 1), n = 0;
    struct cm_str *out = CM_NEW_ARRAY(a, struct cm_str, max);
    out[n++] = CM_STR(SCOPE_ALL);
    for (size_t i = 0; i < CM_COUNT_OF(composites); i++)
        out[n++] = cm_str(composites[i].name);
    for (size_t i = 0; i < CM_COUNT_OF(singles); i++) {
        const char *resource = rbac_resource_name(singles[i].resource);
        out[n++] = cm_arena_fmt(a, "%s:*", resource);
        for (unsigned k = 0; k < RBAC_N_ACTIONS; k++) {
            if (singles[i].actions >> k & 1)
                out[n++] = cm_arena_fmt(a, "%s:%s", resource,
                                        rbac_action_name((enum rbac_action)(1u << k)));
        }
    }
    *ret_n = n;
    return out;
}

static bool covers(const struct subject *s, const struct rbac_perm *p)
{
    uint32_t left = p->actions & rbac_resource_actions(p->resource);
    for (size_t i = 0; i < s->n_scopes; i++) {
        if (s->scopes[i].resource == p->resource)
            left &= ~s->scopes[i].actions;
    }
    return left == 0;
}

bool subject_covers_scope(const struct subject *s, struct cm_str name)
{
    struct rbac_perm perms[SCOPE_PERMS_MAX];
    size_t n = scope_perms(name, perms);
    if (s->scope_all)
        return true;
    for (size_t i = 0; i < n; i++) {
        if (!covers(s, &perms[i]))
            return false;
    }
    return n > 0;
}
