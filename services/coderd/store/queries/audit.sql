-- query store_audit_insert(id uuid, time time, user_id uuid?, organization_id uuid?, ip text, user_agent text, resource_type text, resource_id uuid, resource_target text, resource_icon text, action text, diff json, status_code int, additional_fields json, request_id uuid) -> exec
INSERT INTO audit_logs (id, time, user_id, organization_id, ip, user_agent, resource_type, resource_id,
                        resource_target, resource_icon, action, diff, status_code, additional_fields, request_id)
VALUES ($id, $time, $user_id, $organization_id, $ip, $user_agent, $resource_type, $resource_id, $resource_target,
        $resource_icon, $action, $diff, $status_code, $additional_fields, $request_id);

-- include api/users.h
-- include api/audit.h

-- row store_audit_log: id uuid, time time, user_id uuid?, organization_id uuid, ip text, user_agent text,
--     resource_type enum api_resource_type, resource_id uuid, resource_target text, resource_icon text,
--     action enum api_audit_action, diff json, status_code int, additional_fields json, request_id uuid,
--     organization_name text, organization_display_name text, organization_icon text,
--     username text, email text, name text, avatar_url text, status enum api_user_status,
--     login_type enum api_login_type, rbac_roles text[], user_created_at time, user_updated_at time,
--     last_seen_at time, organization_ids uuid[], gone bool

-- fragment found
FROM audit_logs l
LEFT JOIN users u ON u.id = l.user_id
WHERE ($see_all OR l.organization_id = ANY ($see_orgs))
  AND ($request_id::uuid IS NULL OR l.request_id = $request_id)
  AND ($resource_id::uuid IS NULL OR l.resource_id = $resource_id)
  AND ($resource_target::text IS NULL OR lower(l.resource_target) = lower($resource_target))
  AND ($resource_type::text IS NULL OR l.resource_type = $resource_type)
  AND ($action::text IS NULL OR l.action = $action)
  AND ($user_id::uuid IS NULL OR l.user_id = $user_id)
  AND ($username::text IS NULL OR lower(u.username) = lower($username))
  AND ($email::text IS NULL OR lower(u.email) = lower($email))
  AND ($date_from::timestamptz IS NULL OR l.time >= $date_from)
  AND ($date_before::timestamptz IS NULL OR l.time < $date_before)
  AND ($organization_id::uuid IS NULL OR l.organization_id = $organization_id)
  AND ($build_reason::text IS NULL OR EXISTS (SELECT FROM workspace_builds b WHERE b.id = l.resource_id
                                              AND l.resource_type = 'workspace_build' AND b.reason = $build_reason))

-- Newest first. Every filter but limit and offset may be absent; gone: what it is about does not exist any more.
-- query store_audit_page(see_all bool, see_orgs uuid[], request_id uuid?, resource_id uuid?, resource_target text?, resource_type text?, action text?, user_id uuid?, username text?, email text?, date_from time?, date_before time?, organization_id uuid?, build_reason text?, limit int, offset int) -> many store_audit_log
WITH page AS (
    SELECT l.id {{found}}
    ORDER BY l.time DESC, l.id DESC
    LIMIT $limit OFFSET $offset
)
SELECT l.id, l.time, l.user_id, l.organization_id, l.ip, l.user_agent, l.resource_type, l.resource_id, l.resource_target,
       l.resource_icon, l.action, l.diff, l.status_code, l.additional_fields, l.request_id,
       coalesce(o.name, '') AS organization_name, coalesce(o.display_name, '') AS organization_display_name,
       coalesce(o.icon, '') AS organization_icon,
       coalesce(u.username, '') AS username, coalesce(u.email, '') AS email, coalesce(u.name, '') AS name,
       coalesce(u.avatar_url, '') AS avatar_url, coalesce(u.status, '') AS status,
       coalesce(u.login_type, '') AS login_type, coalesce(u.rbac_roles, '{}') AS rbac_roles,
       u.created_at AS user_created_at, u.updated_at AS user_updated_at, u.last_seen_at,
       ARRAY(SELECT m.organization_id FROM organization_members m WHERE m.user_id = u.id
             ORDER BY m.created_at, m.organization_id) AS organization_ids,
       CASE l.resource_type
           WHEN 'user' THEN NOT EXISTS (SELECT FROM users x WHERE x.id = l.resource_id AND NOT x.deleted)
           WHEN 'template' THEN NOT EXISTS (SELECT FROM templates x WHERE x.id = l.resource_id AND NOT x.deleted)
           WHEN 'workspace' THEN NOT EXISTS (SELECT FROM workspaces x WHERE x.id = l.resource_id AND NOT x.deleted)
           WHEN 'organization' THEN NOT EXISTS (SELECT FROM organizations x WHERE x.id = l.resource_id AND NOT x.deleted)
           WHEN 'group' THEN NOT EXISTS (SELECT FROM groups x WHERE x.id = l.resource_id)
           ELSE false
       END AS gone
FROM page p
JOIN audit_logs l ON l.id = p.id
LEFT JOIN users u ON u.id = l.user_id
LEFT JOIN organizations o ON o.id = l.organization_id
ORDER BY l.time DESC, l.id DESC;

-- How many there are, up to the cap.
-- query store_audit_count(see_all bool, see_orgs uuid[], request_id uuid?, resource_id uuid?, resource_target text?, resource_type text?, action text?, user_id uuid?, username text?, email text?, date_from time?, date_before time?, organization_id uuid?, build_reason text?, cap int) -> one int
SELECT count(*) FROM (SELECT {{found}} LIMIT $cap) c;
