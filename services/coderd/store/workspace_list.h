/* Pages of the list of workspaces. */
#pragma once

#include "store/workspaces.h"

/* Who asks, what is asked for, which part of it. Members left zero filter nothing. */
struct store_workspace_filter {
    struct cm_uuid caller;
    /* What the caller may see by role: everything, or all of some organizations. Own workspaces,
     * and those that access lists share with the caller or with groups, are seen in any case. */
    bool see_all;
    const struct cm_uuid *see_orgs;
    size_t n_see_orgs;
    const struct cm_str
        *groups; /* ids as text; the caller's organizations among them, for their Everyone */
    size_t n_groups;

    bool deleted; /* deleted ones instead of the others */
    const struct cm_uuid *ids;
    size_t n_ids;
    const struct cm_uuid *owner_id;
    struct cm_str owner_username; /* whole; owner_id finds faster */
    const struct cm_uuid *organization_id;
    const struct cm_uuid *template_ids;
    size_t n_template_ids;
    struct cm_str template_name; /* whole */
    struct cm_str name;          /* a part of it */
    struct cm_str exact_name;
    const struct cm_str *statuses;
    size_t n_statuses;
    const bool *dormant, *outdated, *shared, *healthy, *has_external_agent;
    const struct cm_time *last_used_after, *last_used_before;
    struct cm_str shared_with_user, shared_with_group; /* ids as text */
    const struct cm_str *agent_statuses;
    size_t n_agent_statuses;
    const struct cm_str *param_names;  /* a build parameter of each name, ... */
    const struct cm_str *param_values; /* ... with this value, or any where it is "" */
    size_t n_params;

    int64_t limit, offset; /* limit 0: all */
};

/* The caller's favourites first, then running ones, then by owner and name. ret_total: how many
 * there are without limit and offset. One round trip. */
CM_MUST_USE enum cm_code store_workspaces_list(struct cm_db *db, struct cm_arena *a,
                                               const struct store_workspace_filter *f,
                                               struct store_workspace **ret, size_t *ret_n,
                                               int64_t *ret_total, struct cm_err *err);
