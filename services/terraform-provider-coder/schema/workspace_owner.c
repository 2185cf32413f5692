/* data coder_workspace_owner: whose workspace is being built. */
#include "schema/types.h"
#include "value/json.h"

static const struct field fields[] = {
    {.name = "id", .kind = FIELD_STRING, .flags = F_COMPUTED, .about = "Id of the owner."},
    {.name = "name", .kind = FIELD_STRING, .flags = F_COMPUTED, .about = "User name of the owner."},
    {.name = "full_name",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Full name of the owner."},
    {.name = "email",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Mail address of the owner."},
    {.name = "ssh_public_key",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Public half of the owner's generated SSH key."},
    {.name = "ssh_private_key",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED | F_SENSITIVE,
     .about = "Private half of the owner's generated SSH key."},
    {.name = "groups", .kind = FIELD_STRINGS, .flags = F_COMPUTED, .about = "Groups of the owner."},
    {.name = "session_token",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED | F_SENSITIVE,
     .about = "Session token for the deployment's API, made for this build."},
    {.name = "oidc_access_token",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED | F_SENSITIVE,
     .about = "The owner's OpenID Connect access token."},
    {.name = "login_type",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "How the owner logs in."},
    {.name = "rbac_roles",
     .kind = FIELD_ROLES,
     .flags = F_COMPUTED,
     .about = "Roles of the owner, with the organization of each."},
};

/* Only the first JSON value counts; what follows it is ignored, as it always was. */
static struct value read_groups(struct call *c)
{
    bool exists;
    struct cm_str text = call_env(c, "CODER_WORKSPACE_OWNER_GROUPS", &exists);
    struct value groups = VALUE_EMPTY_LIST;
    struct cm_err err;
    if (exists && json_decode_strings(c->arena, JSON_FIRST, text, &groups, &err) != CM_OK)
        call_error(c, PATH_ROOT, "invalid user groups: %s", err.text);
    return groups;
}

static bool read_role(struct call *c, const struct value *in, struct value *ret)
{
    static const char *const names[] = {"name", "org_id"};
    if (in->kind != VALUE_MAP)
        return false;
    *ret = value_map_new(c->arena, CM_COUNT_OF(names));
    for (size_t i = 0; i < CM_COUNT_OF(names); i++) {
        const struct value *m = value_get(in, names[i]);
        if (m->kind != VALUE_STRING && m->kind != VALUE_NULL)
            return false;
        ret->map.entries[i].key = cm_str(names[i]);
        ret->map.entries[i].value = value_of_str(value_str(in, names[i]));
    }
    return true;
}

static struct value read_roles(struct call *c)
{
    bool exists;
    struct cm_str text = call_env(c, "CODER_WORKSPACE_OWNER_RBAC_ROLES", &exists);
    struct value in, out;
    struct cm_err err;
    if (!exists)
        return VALUE_EMPTY_LIST;
    if (json_decode(c->arena, JSON_FIRST, text, &in, &err) != CM_OK) {
        call_error(c, PATH_ROOT, "invalid user rbac roles: %s", err.text);
        return VALUE_EMPTY_LIST;
    }
    bool ok = in.kind == VALUE_LIST || in.kind == VALUE_NULL;
    out = value_list_new(c->arena, ok ? value_count(&in) : 0);
    for (size_t i = 0; ok && i < out.list.n; i++)
        ok = read_role(c, &in.list.items[i], &out.list.items[i]);
    if (!ok)
        call_error(c, PATH_ROOT,
                   "invalid user rbac roles: a list of objects with name and org_id is required");
    return ok ? out : VALUE_EMPTY_LIST;
}

static void owner_read(struct call *c, const struct value *config CM_UNUSED, struct value *state)
{
    static const struct {
        const char *field, *variable, *otherwise;
    } rows[] = {
        {"name", "CODER_WORKSPACE_OWNER", "default"},
        {"full_name", "CODER_WORKSPACE_OWNER_NAME", "default"},
        {"email", "CODER_WORKSPACE_OWNER_EMAIL", "default@example.com"},
        {"ssh_public_key", "CODER_WORKSPACE_OWNER_SSH_PUBLIC_KEY", ""},
        {"ssh_private_key", "CODER_WORKSPACE_OWNER_SSH_PRIVATE_KEY", ""},
        {"session_token", "CODER_WORKSPACE_OWNER_SESSION_TOKEN", ""},
        {"oidc_access_token", "CODER_WORKSPACE_OWNER_OIDC_ACCESS_TOKEN", ""},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++)
        value_set(state, rows[i].field,
                  value_of_str(call_env_or(c, rows[i].variable, rows[i].otherwise)));
    struct cm_str id = call_env(c, "CODER_WORKSPACE_OWNER_ID", NULL);
    value_set(state, "id", id.len ? value_of_str(id) : call_new_uuid(c));
    struct cm_str login = call_env(c, "CODER_WORKSPACE_OWNER_LOGIN_TYPE", NULL);
    value_set(state, "login_type", login.len ? value_of_str(login) : VALUE_NONE);
    value_set(state, "groups", read_groups(c));
    value_set(state, "rbac_roles", read_roles(c));
}

const struct type data_workspace_owner = {
    .name = "coder_workspace_owner",
    .about = "The owner of the workspace that is being built.",
    .version = 0,
    .block = BLOCK_OF(fields),
    .data = true,
    .read = owner_read,
};
