#include "api/acl.h"

#include "codec/json.h"
#include "obs/log.h"

static enum acl_role read_role(const struct cm_json *n, enum acl_kind kind)
{
    if (kind == ACL_OF_WORKSPACE) {
        if (cm_str_eq_c(cm_json_str(n), "admin"))
            return ACL_ADMIN;
        return cm_str_eq_c(cm_json_str(n), "use") ? ACL_USE : ACL_NONE;
    }
    for (size_t i = 0; i < cm_json_count(n); i++) {
        if (cm_str_eq_c(cm_json_str(cm_json_at(n, i)), "*"))
            return ACL_ADMIN;
    }
    return cm_json_count(n) ? ACL_USE : ACL_NONE;
}

struct acl acl_read(struct cm_arena *a, struct cm_str json, enum acl_kind kind)
{
    const struct cm_json *root = NULL;
    struct acl list = {0};
    cm_ignore(cm_json_parse(a, json, NULL, &root, NULL) != CM_OK,
              "our own JSON; broken grants nothing");
    list.v = CM_NEW_ARRAY(a, struct acl_entry, cm_json_count(root));
    for (size_t i = 0; i < cm_json_count(root); i++) {
        const struct cm_json *m = cm_json_at(root, i);
        struct acl_entry e = {.role = read_role(m, kind)};
        if (e.role != ACL_NONE && cm_uuid_parse(cm_json_key(m), &e.id))
            list.v[list.n++] = e;
    }
    return list;
}

struct cm_str acl_write(struct cm_arena *a, const struct acl *list, enum acl_kind kind)
{
    static const char *const texts[][3] = {
        [ACL_OF_WORKSPACE] = {"", "\"admin\"", "\"use\""},
        [ACL_OF_TEMPLATE] = {"", "[\"*\"]", "[\"read\",\"use\"]"},
    };
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)1024 * 1024);
    cm_buf_char(&b, '{');
    for (size_t i = 0; i < list->n; i++)
        cm_buf_printf(&b, "%s\"%s\":%s", i ? "," : "", cm_uuid_text(list->v[i].id).s,
                      texts[kind][list->v[i].role]);
    cm_buf_char(&b, '}');
    return cm_arena_str(a, cm_buf_view(&b));
}

static void apply_one(struct cm_arena *a, struct acl *list, const struct acl_entry *e)
{
    for (size_t i = 0; i < list->n; i++) {
        if (!cm_uuid_eq(list->v[i].id, e->id))
            continue;
        if (e->role == ACL_NONE)
            list->v[i] = list->v[--list->n];
        else
            list->v[i].role = e->role;
        return;
    }
    if (e->role == ACL_NONE)
        return;
    struct acl_entry *grown = CM_NEW_ARRAY(a, struct acl_entry, list->n + 1);
    for (size_t i = 0; i < list->n; i++)
        grown[i] = list->v[i];
    grown[list->n++] = *e;
    list->v = grown;
}

void acl_apply(struct api_req *r, struct acl *list, const struct acl_change *c, size_t n,
               const char *field)
{
    for (size_t i = 0; i < n; i++) {
        struct acl_entry e = {.role = c[i].role};
        if (cm_uuid_parse(c[i].key, &e.id))
            apply_one(r->arena, list, &e);
        else
            cm_violations_add(&r->violations, r->arena, cm_str(field), "\"%.*s\" is no UUID",
                              (int)CM_MIN(c[i].key.len, (size_t)64), c[i].key.ptr);
    }
}

/* The caller's groups, Everyone of each organization included: read once per request, when a list
 * first asks. None when the database cannot say: a list then grants less, never more. */
static void my_groups(struct api_req *r, const struct cm_uuid **ret, size_t *ret_n)
{
    struct cm_uuid *ids = NULL;
    struct cm_err err;
    if (!r->has_groups && r->who && r->db) {
        r->has_groups = true;
        if (store_group_ids_of_user(r->db, r->arena, r->who->user_id, &ids, &r->n_groups, &err) !=
            CM_OK) {
            CM_WARN("groups of a user cannot be read", CM_F_ERR(&err));
            r->n_groups = 0;
        }
        r->groups = ids;
    }
    *ret = r->groups;
    *ret_n = r->n_groups;
}

struct cm_str *acl_my_groups_text(struct api_req *r, size_t *ret_n)
{
    const struct cm_uuid *ids;
    my_groups(r, &ids, ret_n);
    struct cm_str *texts = CM_NEW_ARRAY(r->arena, struct cm_str, *ret_n);
    for (size_t i = 0; i < *ret_n; i++)
        texts[i] = cm_arena_str(r->arena, cm_str(cm_uuid_text(ids[i]).s));
    return texts;
}

enum acl_role acl_my_role(struct api_req *r, struct cm_str user_acl, struct cm_str group_acl,
                          enum acl_kind kind)
{
    static const size_t empty = 2; /* {} */
    enum acl_role best = ACL_NONE;
    if (!r->who)
        return ACL_NONE;
    if (user_acl.len > empty) {
        struct acl users = acl_read(r->arena, user_acl, kind);
        best = acl_role_of(&users, r->who->user_id);
    }
    if (best == ACL_ADMIN || group_acl.len <= empty)
        return best;
    struct acl groups = acl_read(r->arena, group_acl, kind);
    const struct cm_uuid *mine;
    size_t n;
    my_groups(r, &mine, &n);
    for (size_t i = 0; i < n; i++) {
        enum acl_role role = acl_role_of(&groups, mine[i]);
        if (role == ACL_ADMIN || best == ACL_NONE)
            best = role;
    }
    return best;
}

static struct cm_uuid *ids_of(struct cm_arena *a, const struct acl *list)
{
    struct cm_uuid *ids = CM_NEW_ARRAY(a, struct cm_uuid, list->n);
    for (size_t i = 0; i < list->n; i++)
        ids[i] = list->v[i].id;
    return ids;
}

enum cm_code acl_load_users(struct api_req *r, const struct acl *list, struct store_user **ret,
                            size_t *ret_n, struct cm_err *err)
{
    *ret_n = 0;
    if (!list->n)
        return CM_OK;
    return store_users_by_ids(r->db, r->arena, ids_of(r->arena, list), list->n, ret, ret_n, err);
}

enum cm_code acl_load_groups(struct api_req *r, const struct acl *list, struct cm_uuid org_id,
                             struct store_group **ret, size_t *ret_n, struct cm_err *err)
{
    *ret_n = 0;
    if (!list->n)
        return CM_OK;
    return store_groups(r->db, r->arena, &org_id, NULL, ids_of(r->arena, list), list->n,
                        CM_STR_NONE, ret, ret_n, err);
}

enum acl_role acl_role_of(const struct acl *list, struct cm_uuid id)
{
    for (size_t i = 0; i < list->n; i++) {
        if (cm_uuid_eq(list->v[i].id, id))
            return list->v[i].role;
    }
    return ACL_NONE;
}

enum cm_code acl_check_given(struct api_req *r, const struct acl *users, const char *users_field,
                             const struct acl *groups, const char *groups_field,
                             struct cm_uuid org_id, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_group *g = NULL;
    size_t n_u = 0, n_g = 0;
    if (acl_load_users(r, users, &u, &n_u, err) != CM_OK ||
        acl_load_groups(r, groups, org_id, &g, &n_g, err) != CM_OK)
        return err->code;
    for (size_t i = 0; i < users->n; i++) {
        bool found = false;
        for (size_t k = 0; k < n_u && !found; k++)
            found = cm_uuid_eq(u[k].id, users->v[i].id);
        if (!found)
            cm_violations_add(&r->violations, r->arena, cm_str(users_field), "there is no user %s",
                              cm_uuid_text(users->v[i].id).s);
    }
    for (size_t i = 0; i < groups->n; i++) {
        bool found = false;
        for (size_t k = 0; k < n_g && !found; k++)
            found = cm_uuid_eq(g[k].id, groups->v[i].id);
        if (!found)
            cm_violations_add(&r->violations, r->arena, cm_str(groups_field),
                              "there is no group %s in this organization",
                              cm_uuid_text(groups->v[i].id).s);
    }
    return CM_OK;
}
