-- include api/templates.h

-- row store_group: id uuid, organization_id uuid, name text, display_name text, avatar_url text,
--     quota_allowance int, source enum api_group_source, organization_name text,
--     organization_display_name text, total_member_count int

-- Filters may be absent. Everyone groups count the organization's members.
-- query store_groups(organization_id uuid?, has_member uuid?, ids uuid[]?, name text?) -> many store_group
SELECT {g - organization_name, organization_display_name, total_member_count}, o.name AS organization_name,
       o.display_name AS organization_display_name,
       (SELECT count(*) FROM group_members_all m JOIN users u ON u.id = m.user_id AND NOT u.deleted AND NOT u.is_system
        WHERE m.group_id = g.id) AS total_member_count
FROM groups g
JOIN organizations o ON o.id = g.organization_id AND NOT o.deleted
WHERE ($organization_id::uuid IS NULL OR g.organization_id = $organization_id)
  AND ($ids::uuid[] IS NULL OR g.id = ANY ($ids))
  AND ($name::text IS NULL OR lower(g.name) = lower($name))
  AND ($has_member::uuid IS NULL
       OR EXISTS (SELECT FROM group_members_all m WHERE m.group_id = g.id AND m.user_id = $has_member))
ORDER BY lower(g.name), g.id;

-- row store_group_member: group_id uuid, user_id uuid

-- Who is in which of the groups, Everyone groups included.
-- query store_group_members(group_ids uuid[]) -> many store_group_member
SELECT m.group_id, m.user_id
FROM group_members_all m JOIN users u ON u.id = m.user_id AND NOT u.deleted AND NOT u.is_system
WHERE m.group_id = ANY ($group_ids)
ORDER BY m.group_id, lower(u.username);

-- Everyone groups included.
-- query store_group_ids_of_user(user_id uuid) -> many uuid
SELECT group_id FROM group_members_all WHERE user_id = $user_id;

-- Violates groups_name_key.
-- query store_group_insert(id uuid, organization_id uuid, name text, display_name text, avatar_url text, quota_allowance int) -> exec
INSERT INTO groups (id, organization_id, name, display_name, avatar_url, quota_allowance)
VALUES ($id, $organization_id, $name, $display_name, $avatar_url, $quota_allowance);

-- NULL leaves a value as it is.
-- query store_group_update(id uuid, name text?, display_name text?, avatar_url text?, quota_allowance int?) -> exec
UPDATE groups
SET name = coalesce($name, name), display_name = coalesce($display_name, display_name),
    avatar_url = coalesce($avatar_url, avatar_url), quota_allowance = coalesce($quota_allowance, quota_allowance)
WHERE id = $id;

-- query store_group_delete(id uuid) -> exec
DELETE FROM groups WHERE id = $id AND id <> organization_id;

-- query store_group_members_add(group_id uuid, user_ids uuid[]) -> exec
INSERT INTO group_members (group_id, user_id) SELECT $group_id, unnest($user_ids) ON CONFLICT DO NOTHING;

-- query store_group_members_remove(group_id uuid, user_ids uuid[]) -> exec
DELETE FROM group_members WHERE group_id = $group_id AND user_id = ANY ($user_ids);
