-- row store_api_key: id text, user_id uuid, username text, login_type text, token_name text, scopes text[],
--     allow_list json, lifetime_seconds int, ip_address text, last_used time, expires_at time,
--     created_at time, updated_at time

-- allow_list NULL: everything. Violates api_keys_token_name_key.
-- query store_api_key_insert(id text, hashed_secret bytes, user_id uuid, login_type text, token_name text, scopes text[], allow_list json?, lifetime_seconds int, ip_address text, expires_at time) -> exec
INSERT INTO api_keys (id, hashed_secret, user_id, login_type, token_name, scopes, allow_list, lifetime_seconds,
                      ip_address, expires_at)
VALUES ($id, $hashed_secret, $user_id, $login_type, $token_name, $scopes,
        coalesce($allow_list, '[{"id": "*", "type": "*"}]'), $lifetime_seconds, $ip_address, $expires_at);

-- query store_api_key_by_id(id text) -> one store_api_key
SELECT {k - username}, u.username
FROM api_keys k JOIN users u ON u.id = k.user_id
WHERE k.id = $id;

-- query store_api_key_by_name(user_id uuid, token_name text) -> one store_api_key
SELECT {k - username}, u.username
FROM api_keys k JOIN users u ON u.id = k.user_id
WHERE k.user_id = $user_id AND k.login_type = 'token' AND k.token_name = $token_name AND k.token_name <> '';

-- Tokens, that is keys made by name. user_id NULL: everybody's.
-- query store_api_key_tokens(user_id uuid?, include_expired bool) -> many store_api_key
SELECT {k - username}, u.username
FROM api_keys k JOIN users u ON u.id = k.user_id AND NOT u.deleted
WHERE k.login_type = 'token' AND ($user_id::uuid IS NULL OR k.user_id = $user_id)
  AND ($include_expired OR k.expires_at > now())
ORDER BY k.created_at, k.id;

-- query store_api_key_expire(id text) -> exec
UPDATE api_keys SET expires_at = now(), updated_at = now() WHERE id = $id;

-- query store_api_key_delete(id text) -> exec
DELETE FROM api_keys WHERE id = $id;

-- The key used, and all keys of apps.
-- query store_api_keys_logout(id text, user_id uuid) -> exec
DELETE FROM api_keys
WHERE id = $id OR (user_id = $user_id AND scopes = '{coder:application_connect}');

-- query store_api_key_delete_by_name(user_id uuid, token_name text) -> exec
DELETE FROM api_keys WHERE user_id = $user_id AND login_type = 'token' AND token_name = $token_name;

-- Expired keys are kept for a while so that an error can say when they expired.
-- query store_api_keys_purge(expired_before time) -> exec
DELETE FROM api_keys WHERE expires_at < $expired_before;
