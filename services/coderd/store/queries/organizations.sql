-- include api/users.h

-- row store_organization: id uuid, name text, display_name text, description text, icon text, is_default bool,
--     default_org_member_roles text[], shareable_workspace_owners text, created_at time, updated_at time

-- query store_organization_by_id(id uuid) -> one store_organization
SELECT {organizations}
FROM organizations
WHERE id = $id AND NOT deleted;

-- query store_organization_by_name(name text) -> one store_organization
SELECT {organizations}
FROM organizations
WHERE lower(name) = lower($name) AND NOT deleted;

-- query store_organization_default() -> one store_organization
SELECT {organizations}
FROM organizations
WHERE is_default;

-- ids NULL: all.
-- query store_organizations(ids uuid[]?) -> many store_organization
SELECT {organizations}
FROM organizations
WHERE NOT deleted AND ($ids::uuid[] IS NULL OR id = ANY ($ids))
ORDER BY lower(name);

-- query store_organizations_of_user(user_id uuid) -> many store_organization
SELECT {o}
FROM organizations o
JOIN organization_members m ON m.organization_id = o.id AND m.user_id = $user_id
WHERE NOT o.deleted
ORDER BY lower(o.name);

-- Violates organizations_name_key.
-- query store_organization_insert(id uuid, name text, display_name text, description text, icon text) -> one store_organization
INSERT INTO organizations (id, name, display_name, description, icon)
VALUES ($id, $name, $display_name, $description, $icon)
RETURNING {organizations};

-- NULL leaves a value as it is.
-- query store_organization_update(id uuid, name text?, display_name text?, description text?, icon text?, default_org_member_roles text[]?) -> one store_organization
UPDATE organizations
SET name = coalesce($name, name), display_name = coalesce($display_name, display_name),
    description = coalesce($description, description), icon = coalesce($icon, icon),
    default_org_member_roles = coalesce($default_org_member_roles, default_org_member_roles), updated_at = now()
WHERE id = $id AND NOT deleted
RETURNING {organizations};

-- query store_organization_delete(id uuid) -> exec
UPDATE organizations SET deleted = true, updated_at = now() WHERE id = $id AND NOT deleted AND NOT is_default;

-- row store_organization_use: workspaces int, templates int, members int, groups int, provisioner_keys int

-- What keeps an organization from being deleted; members: others than user_id.
-- query store_organization_use_of(id uuid, user_id uuid) -> one store_organization_use
SELECT (SELECT count(*) FROM workspaces WHERE organization_id = $id AND NOT deleted) AS workspaces,
       (SELECT count(*) FROM templates WHERE organization_id = $id AND NOT deleted) AS templates,
       (SELECT count(*) FROM organization_members m JOIN users u ON u.id = m.user_id AND NOT u.is_system AND NOT u.deleted
        WHERE m.organization_id = $id AND m.user_id <> $user_id) AS members,
       (SELECT count(*) FROM groups WHERE organization_id = $id AND id <> $id) AS groups,
       (SELECT count(*) FROM provisioner_keys WHERE organization_id = $id AND hashed_secret <> '') AS provisioner_keys;

-- ---- members ----

-- row store_member: user_id uuid, organization_id uuid, roles text[], created_at time, updated_at time,
--     username text, name text, avatar_url text, email text, status enum api_user_status,
--     login_type enum api_login_type, last_seen_at time, user_created_at time, user_updated_at time,
--     is_service_account bool, global_roles text[], total int

-- In the order of the user name; limit 0: all; total is the number of matches; search is a part of the user's name
-- or e-mail.
-- query store_members_page(organization_id uuid, user_id uuid?, search text?, include_system bool, limit int, offset int) -> many store_member
SELECT m.user_id, m.organization_id, m.roles, m.created_at, m.updated_at, u.username, u.name, u.avatar_url, u.email,
       u.status, u.login_type, u.last_seen_at, u.created_at AS user_created_at, u.updated_at AS user_updated_at,
       u.is_service_account, u.rbac_roles AS global_roles, count(*) OVER () AS total
FROM organization_members m
JOIN users u ON u.id = m.user_id AND NOT u.deleted
WHERE m.organization_id = $organization_id AND ($user_id::uuid IS NULL OR m.user_id = $user_id)
  AND ($search::text IS NULL OR position(lower($search) IN lower(u.username)) > 0
       OR position(lower($search) IN lower(u.email)) > 0)
  AND ($include_system OR NOT u.is_system)
ORDER BY lower(u.username)
LIMIT nullif($limit, 0) OFFSET $offset;

-- query store_member_get(organization_id uuid, user_id uuid) -> one store_member
SELECT m.user_id, m.organization_id, m.roles, m.created_at, m.updated_at, u.username, u.name, u.avatar_url, u.email,
       u.status, u.login_type, u.last_seen_at, u.created_at AS user_created_at, u.updated_at AS user_updated_at,
       u.is_service_account, u.rbac_roles AS global_roles, 1::int8 AS total
FROM organization_members m
JOIN users u ON u.id = m.user_id AND NOT u.deleted
WHERE m.organization_id = $organization_id AND m.user_id = $user_id;

-- Violates organization_members_pkey.
-- query store_member_insert(organization_id uuid, user_id uuid, roles text[]) -> exec
INSERT INTO organization_members (organization_id, user_id, roles) VALUES ($organization_id, $user_id, $roles);

-- query store_member_update_roles(organization_id uuid, user_id uuid, roles text[]) -> exec
UPDATE organization_members SET roles = $roles, updated_at = now()
WHERE organization_id = $organization_id AND user_id = $user_id;

-- Groups of the organization are left too.
-- query store_member_delete(organization_id uuid, user_id uuid) -> exec
WITH in_groups AS (
    DELETE FROM group_members gm USING groups g
    WHERE g.id = gm.group_id AND g.organization_id = $organization_id AND gm.user_id = $user_id
)
DELETE FROM organization_members WHERE organization_id = $organization_id AND user_id = $user_id;

-- row store_user_org_roles: organization_id uuid, roles text[]

-- query store_user_org_roles_get(user_id uuid) -> many store_user_org_roles
SELECT m.organization_id, m.roles
FROM organization_members m
JOIN organizations o ON o.id = m.organization_id AND NOT o.deleted
WHERE m.user_id = $user_id
ORDER BY m.organization_id;

-- Which of the users belong to the organization.
-- query store_members_count(organization_id uuid, user_ids uuid[]) -> one int
SELECT count(*) FROM organization_members m JOIN users u ON u.id = m.user_id AND NOT u.deleted
WHERE m.organization_id = $organization_id AND m.user_id = ANY ($user_ids);
