-- Everything that a request's credentials stand for, in one round trip. Several requests that arrive together
-- may be looked up at once.

-- row store_auth: key_id text, hashed_secret bytes, key_login_type text, scopes text[], allow_list json,
--     lifetime_seconds int, last_used time, expires_at time, ip_address text, token_name text,
--     user_id uuid, username text, email text, name text, avatar_url text, status text, login_type text,
--     is_service_account bool, last_seen_at time, user_created_at time, user_updated_at time,
--     rbac_roles text[], org_ids uuid[], org_role_orgs uuid[], org_roles text[], group_ids uuid[]

-- The keys that exist among ids, in no order, with their users. org_roles[i] holds in org_role_orgs[i], and
-- includes what the organization gives each member. Everyone groups are not listed: their ids are org_ids.
-- query store_auth_by_keys(ids text[]) -> many store_auth
SELECT k.id AS key_id, k.hashed_secret, k.login_type AS key_login_type, k.scopes, k.allow_list, k.lifetime_seconds,
       k.last_used, k.expires_at, k.ip_address, k.token_name,
       u.id AS user_id, u.username, u.email, u.name, u.avatar_url, u.status, u.login_type, u.is_service_account,
       u.last_seen_at, u.created_at AS user_created_at, u.updated_at AS user_updated_at, u.rbac_roles,
       m.org_ids, m.org_role_orgs, m.org_roles,
       ARRAY(SELECT g.group_id FROM group_members g WHERE g.user_id = u.id) AS group_ids
FROM api_keys k
JOIN users u ON u.id = k.user_id AND NOT u.deleted
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT o.id) AS org_ids,
           array_agg(o.id) FILTER (WHERE r.role IS NOT NULL) AS org_role_orgs,
           array_agg(r.role) FILTER (WHERE r.role IS NOT NULL) AS org_roles
    FROM organization_members om
    JOIN organizations o ON o.id = om.organization_id AND NOT o.deleted
    LEFT JOIN LATERAL unnest(om.roles || o.default_org_member_roles) AS r (role) ON true
    WHERE om.user_id = u.id
) m
WHERE k.id = ANY ($ids);

-- Notes that a key was used; keys not over an hour behind are to be left alone by the caller. expires_at NULL
-- leaves the expiry where it is.
-- query store_auth_touch(key_id text, user_id uuid, last_used time, ip_address text, expires_at time?) -> exec
WITH k AS (
    UPDATE api_keys SET last_used = $last_used, ip_address = $ip_address, updated_at = $last_used,
           expires_at = coalesce($expires_at, expires_at)
    WHERE id = $key_id
)
UPDATE users SET last_seen_at = $last_used
WHERE id = $user_id AND (last_seen_at IS NULL OR last_seen_at < $last_used);

-- Of the keys of open streams those that were taken away: deleted, expired by hand (which also touches updated_at;
-- one whose time has come by itself does not end what it opened), or of a user who is suspended or deleted.
-- query store_auth_keys_gone(ids text[]) -> many text
SELECT i.id
FROM unnest($ids) AS i (id)
WHERE NOT EXISTS (
    SELECT FROM api_keys k
    JOIN users u ON u.id = k.user_id AND NOT u.deleted AND u.status <> 'suspended'
    WHERE k.id = i.id AND k.expires_at > k.updated_at
);
