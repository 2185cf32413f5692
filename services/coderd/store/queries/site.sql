-- Settings and keys of the deployment as a whole.

-- query store_site_config_get(key text) -> optional text
SELECT value FROM site_configs WHERE key = $key;

-- query store_site_config_set(key text, value text) -> exec
INSERT INTO site_configs (key, value) VALUES ($key, $value)
ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- row store_crypto_key: feature text, sequence int, secret bytes, starts_at time, deletes_at time?

-- The newest that is in use comes first; those past deletes_at are gone.
-- query store_crypto_keys(feature text) -> many store_crypto_key
SELECT feature, sequence, secret, starts_at, deletes_at
FROM crypto_keys
WHERE feature = $feature AND (deletes_at IS NULL OR deletes_at > now())
ORDER BY starts_at <= now() DESC, sequence DESC;

-- Nothing happens (0 rows) when another replica made the key of this sequence first.
-- query store_crypto_key_insert(feature text, sequence int, secret bytes, starts_at time) -> exec
INSERT INTO crypto_keys (feature, sequence, secret, starts_at) VALUES ($feature, $sequence, $secret, $starts_at)
ON CONFLICT DO NOTHING;

-- The next key, when the newest is in use since old_before, and an end for those that it follows. Once, whoever asks.
-- query store_crypto_key_succeed(feature text, secret bytes, old_before time, starts_at time, deletes_at time) -> exec
WITH made AS (
    INSERT INTO crypto_keys (feature, sequence, secret, starts_at)
    SELECT $feature, max(k.sequence) + 1, $secret, $starts_at
    FROM crypto_keys k
    WHERE k.feature = $feature
    HAVING max(k.starts_at) < $old_before
    ON CONFLICT DO NOTHING
    RETURNING feature
)
UPDATE crypto_keys k SET deletes_at = $deletes_at
FROM made
WHERE k.feature = made.feature AND k.deletes_at IS NULL;

-- query store_crypto_keys_purge() -> exec
DELETE FROM crypto_keys WHERE deletes_at <= now();
