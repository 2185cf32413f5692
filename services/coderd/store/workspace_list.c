#include "store/workspace_list.h"

/* The argument structs share these members by name; the generator makes a type of its own for
 * each. */
#define FILTER_MEMBERS(f)                                                                          \
    .caller = (f)->caller, .see_all = (f)->see_all, .see_orgs = (f)->see_orgs,                     \
    .n_see_orgs = (f)->n_see_orgs, .groups = (f)->groups, .n_groups = (f)->n_groups,               \
    .ids = (f)->ids, .n_ids = (f)->n_ids, .owner_id = (f)->owner_id,                               \
    .owner_username = (f)->owner_username, .organization_id = (f)->organization_id,                \
    .template_ids = (f)->template_ids, .n_template_ids = (f)->n_template_ids,                      \
    .template_name = (f)->template_name, .name = (f)->name, .exact_name = (f)->exact_name,         \
    .statuses = (f)->statuses, .n_statuses = (f)->n_statuses, .dormant = (f)->dormant,             \
    .outdated = (f)->outdated, .last_used_after = (f)->last_used_after,                            \
    .last_used_before = (f)->last_used_before, .shared = (f)->shared,                              \
    .shared_with_user = (f)->shared_with_user, .shared_with_group = (f)->shared_with_group,        \
    .agent_statuses = (f)->agent_statuses, .n_agent_statuses = (f)->n_agent_statuses,              \
    .healthy = (f)->healthy, .has_external_agent = (f)->has_external_agent,                        \
    .param_names = (f)->param_names, .n_param_names = (f)->n_params,                               \
    .param_values = (f)->param_values, .n_param_values = (f)->n_params

static bool filters_nothing(const struct store_workspace_filter *f)
{
    return f->see_all && !f->deleted && !f->ids && !f->owner_id && !f->owner_username.ptr &&
           !f->organization_id && !f->template_ids && !f->template_name.ptr && !f->name.ptr &&
           !f->exact_name.ptr && !f->statuses && !f->dormant && !f->outdated && !f->shared &&
           !f->healthy && !f->has_external_agent && !f->last_used_after && !f->last_used_before &&
           !f->shared_with_user.ptr && !f->shared_with_group.ptr && !f->agent_statuses &&
           !f->param_names;
}

enum cm_code store_workspaces_list(struct cm_db *db, struct cm_arena *a,
                                   const struct store_workspace_filter *f,
                                   struct store_workspace **ret, size_t *ret_n, int64_t *ret_total,
                                   struct cm_err *err)
{
    struct cm_db_batch *b = cm_db_batch_new(a);
    int64_t *total = NULL;
    if (f->deleted) {
        struct store_workspaces_page_deleted_args page = {FILTER_MEMBERS(f), .limit = f->limit,
                                                          .offset = f->offset};
        struct store_workspaces_count_all_args count = {FILTER_MEMBERS(f), .deleted = true};
        store_workspaces_page_deleted_batch(b, &page, ret, ret_n);
        store_workspaces_count_all_batch(b, &count, &total);
    } else if ((f->see_all || f->n_see_orgs) && !f->owner_id) {
        struct store_workspaces_page_all_args page = {FILTER_MEMBERS(f), .limit = f->limit,
                                                      .offset = f->offset};
        struct store_workspaces_count_all_args count = {FILTER_MEMBERS(f)};
        if (filters_nothing(f)) {
            store_workspaces_page_plain_batch(b, f->caller, f->limit, f->offset, ret, ret_n);
            store_workspaces_count_unfiltered_batch(b, &total);
        } else {
            store_workspaces_page_all_batch(b, &page, ret, ret_n);
            store_workspaces_count_all_batch(b, &count, &total);
        }
    } else {
        struct store_workspaces_page_few_args page = {FILTER_MEMBERS(f), .limit = f->limit,
                                                      .offset = f->offset};
        struct store_workspaces_count_few_args count = {FILTER_MEMBERS(f)};
        store_workspaces_page_few_batch(b, &page, ret, ret_n);
        store_workspaces_count_few_batch(b, &count, &total);
    }
    enum cm_code code = cm_db_batch_run(b, db, err);
    if (code == CM_OK)
        *ret_total = *total;
    return code;
}
