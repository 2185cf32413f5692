-- include api/users.h

-- A user as the store knows it; password hashes have queries of their own.
-- row store_user: id uuid, username text, email text, name text, avatar_url text,
--     status enum api_user_status, login_type enum api_login_type, rbac_roles text[],
--     is_service_account bool, is_system bool, created_at time, updated_at time, last_seen_at time,
--     organization_ids uuid[]

-- query store_user_by_id(id uuid) -> one store_user
SELECT {u - organization_ids},
       ARRAY(SELECT m.organization_id FROM organization_members m WHERE m.user_id = u.id
             ORDER BY m.created_at, m.organization_id) AS organization_ids
FROM users u
WHERE u.id = $id AND NOT u.deleted;

-- query store_users_by_ids(ids uuid[]) -> many store_user
SELECT {u - organization_ids},
       ARRAY(SELECT m.organization_id FROM organization_members m WHERE m.user_id = u.id
             ORDER BY m.created_at, m.organization_id) AS organization_ids
FROM users u
WHERE u.id = ANY ($ids) AND NOT u.deleted;

-- Those who are members, by name; not those that act for the deployment.
-- query store_users_of_organization(organization_id uuid) -> many store_user
SELECT {u - organization_ids},
       ARRAY(SELECT m.organization_id FROM organization_members m WHERE m.user_id = u.id
             ORDER BY m.created_at, m.organization_id) AS organization_ids
FROM users u
JOIN organization_members o ON o.user_id = u.id AND o.organization_id = $organization_id
WHERE NOT u.deleted AND NOT u.is_system
ORDER BY lower(u.username);

-- query store_user_by_username(username text) -> one store_user
SELECT {u - organization_ids},
       ARRAY(SELECT m.organization_id FROM organization_members m WHERE m.user_id = u.id
             ORDER BY m.created_at, m.organization_id) AS organization_ids
FROM users u
WHERE lower(u.username) = lower($username) AND NOT u.deleted;

-- row store_user_password: id uuid, hashed_password text, status enum api_user_status,
--     login_type enum api_login_type, username text, rbac_roles text[]

-- For the login form.
-- query store_user_password_by_email(email text) -> optional store_user_password
SELECT {users}
FROM users
WHERE lower(email) = lower($email) AND email <> '' AND NOT deleted AND NOT is_system;

-- query store_user_password_by_id(id uuid) -> one store_user_password
SELECT {users}
FROM users
WHERE id = $id AND NOT deleted;

-- People, that is: neither deleted nor the deployment's own.
-- query store_user_count() -> one int
SELECT count(*) FROM users WHERE NOT deleted AND NOT is_system;

-- row store_user_first: user_id uuid, organization_id uuid

-- The first user: owner, active, member of the default organization. No row when there is a user already; of
-- attempts at the same time one wins, by the row in site_configs.
-- query store_user_create_first(email text, username text, name text, hashed_password text, login_type enum api_login_type) -> optional store_user_first
WITH won AS (
    INSERT INTO site_configs (key, value)
    SELECT 'first_user', gen_random_uuid()::text
    WHERE NOT EXISTS (SELECT FROM users WHERE NOT deleted AND NOT is_system)
    ON CONFLICT (key) DO NOTHING
    RETURNING value::uuid AS id
), made AS (
    INSERT INTO users (id, email, username, name, hashed_password, login_type, status, rbac_roles)
    SELECT id, $email, $username, $name, $hashed_password, $login_type, 'active', '{owner}' FROM won
    RETURNING id
), joined AS (
    INSERT INTO organization_members (user_id, organization_id)
    SELECT made.id, o.id FROM made, organizations o WHERE o.is_default
    RETURNING user_id, organization_id
)
SELECT user_id, organization_id FROM joined;

-- Violates users_username_key or users_email_key.
-- query store_user_insert(id uuid, email text, username text, name text, avatar_url text, hashed_password text, status enum api_user_status, login_type enum api_login_type, rbac_roles text[], is_service_account bool) -> exec
INSERT INTO users (id, email, username, name, avatar_url, hashed_password, status, login_type, rbac_roles,
                   is_service_account)
VALUES ($id, $email, $username, $name, $avatar_url, $hashed_password, $status, $login_type, $rbac_roles,
        $is_service_account);

-- query store_user_update_profile(id uuid, username text, name text) -> exec
UPDATE users SET username = $username, name = $name, updated_at = now()
WHERE id = $id AND NOT deleted;

-- query store_user_update_status(id uuid, status enum api_user_status) -> exec
UPDATE users SET status = $status, updated_at = now()
WHERE id = $id AND NOT deleted;

-- query store_user_update_roles(id uuid, rbac_roles text[]) -> exec
UPDATE users SET rbac_roles = $rbac_roles, updated_at = now()
WHERE id = $id AND NOT deleted;

-- Also signs the user out everywhere.
-- query store_user_update_password(id uuid, hashed_password text) -> exec
WITH signed_out AS (DELETE FROM api_keys WHERE user_id = $id)
UPDATE users SET hashed_password = $hashed_password, hashed_one_time_passcode = '',
       one_time_passcode_expires_at = NULL, updated_at = now()
WHERE id = $id AND NOT deleted;

-- Leaves the row for the history; keys and memberships go, the names become free.
-- query store_user_delete(id uuid) -> exec
WITH keys AS (DELETE FROM api_keys WHERE user_id = $id),
     members AS (DELETE FROM organization_members WHERE user_id = $id),
     in_groups AS (DELETE FROM group_members WHERE user_id = $id),
     ssh AS (DELETE FROM git_ssh_keys WHERE user_id = $id)
UPDATE users SET deleted = true, updated_at = now()
WHERE id = $id AND NOT deleted;

-- row store_user_page: id uuid, username text, email text, name text, avatar_url text,
--     status enum api_user_status, login_type enum api_login_type, rbac_roles text[],
--     is_service_account bool, created_at time, updated_at time, last_seen_at time,
--     organization_ids uuid[], total int

-- In the order of the user name. Every filter but limit and offset may be absent; search is a part of e-mail
-- or user name; only_id: all that the caller may see. total is the number of matches, after after_id when that
-- is given. limit 0: all.
-- query store_users_page(only_id uuid?, search text?, name text?, statuses text[]?, roles text[]?, login_types text[]?, is_service_account bool?, last_seen_after time?, last_seen_before time?, created_after time?, created_before time?, github_com_user_id int?, after_id uuid?, limit int, offset int) -> many store_user_page
WITH found AS (
    SELECT u.*, count(*) OVER () AS total
    FROM users u
    WHERE NOT u.deleted AND NOT u.is_system
      AND ($only_id::uuid IS NULL OR u.id = $only_id)
      AND ($search::text IS NULL OR position(lower($search) IN lower(u.username)) > 0
           OR position(lower($search) IN lower(u.email)) > 0)
      AND ($name::text IS NULL OR position(lower($name) IN lower(u.name)) > 0)
      AND ($statuses::text[] IS NULL OR u.status = ANY ($statuses))
      AND ($roles::text[] IS NULL OR u.rbac_roles && $roles OR 'member' = ANY ($roles))
      AND ($login_types::text[] IS NULL OR u.login_type = ANY ($login_types))
      AND ($is_service_account::boolean IS NULL OR u.is_service_account = $is_service_account)
      AND ($last_seen_after::timestamptz IS NULL OR u.last_seen_at >= $last_seen_after)
      AND ($last_seen_before::timestamptz IS NULL OR u.last_seen_at <= $last_seen_before)
      AND ($created_after::timestamptz IS NULL OR u.created_at >= $created_after)
      AND ($created_before::timestamptz IS NULL OR u.created_at <= $created_before)
      AND ($github_com_user_id::bigint IS NULL OR u.github_com_user_id = $github_com_user_id)
      AND ($after_id::uuid IS NULL
           OR lower(u.username) > (SELECT lower(c.username) FROM users c WHERE c.id = $after_id))
)
SELECT {u - organization_ids, total},
       ARRAY(SELECT m.organization_id FROM organization_members m WHERE m.user_id = u.id
             ORDER BY m.created_at, m.organization_id) AS organization_ids,
       u.total
FROM found u
ORDER BY lower(u.username)
LIMIT nullif($limit, 0) OFFSET $offset;

-- ---- settings ----

-- row store_user_config: key text, value text

-- query store_user_configs(user_id uuid) -> many store_user_config
SELECT key, value FROM user_configs WHERE user_id = $user_id ORDER BY key;

-- query store_user_config_set(user_id uuid, key text, value text) -> exec
INSERT INTO user_configs (user_id, key, value) VALUES ($user_id, $key, $value)
ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value;

-- query store_user_quiet_hours(id uuid) -> one text
SELECT quiet_hours_schedule FROM users WHERE id = $id AND NOT deleted;

-- query store_user_set_quiet_hours(id uuid, schedule text) -> exec
UPDATE users SET quiet_hours_schedule = $schedule, updated_at = now() WHERE id = $id AND NOT deleted;

-- When it is hour:minute there the next time. CM_INVALID for a time zone that there is not.
-- query store_next_daily(timezone text, hour int, minute int) -> one time
SELECT (t.day + CASE WHEN (t.day AT TIME ZONE $timezone) > now() THEN interval '0' ELSE interval '1 day' END)
       AT TIME ZONE $timezone
FROM (SELECT date_trunc('day', now() AT TIME ZONE $timezone)
             + make_interval(hours => $hour::integer, mins => $minute::integer) AS day) t;

-- ---- git SSH keys ----

-- row store_git_ssh_key: user_id uuid, private_key text, public_key text, created_at time, updated_at time

-- query store_git_ssh_key_get(user_id uuid) -> one store_git_ssh_key
SELECT user_id, private_key, public_key, created_at, updated_at FROM git_ssh_keys WHERE user_id = $user_id;

-- query store_git_ssh_key_set(user_id uuid, private_key text, public_key text) -> one store_git_ssh_key
INSERT INTO git_ssh_keys (user_id, private_key, public_key) VALUES ($user_id, $private_key, $public_key)
ON CONFLICT (user_id) DO UPDATE
SET private_key = excluded.private_key, public_key = excluded.public_key, updated_at = now()
RETURNING user_id, private_key, public_key, created_at, updated_at;
