-- include api/jobs.h

-- ---- keys ----

-- row store_provisioner_key: id uuid, organization_id uuid, name text, tags jsonmap, created_at time

-- query store_provisioner_keys(organization_id uuid) -> many store_provisioner_key
SELECT {k} FROM provisioner_keys k
WHERE k.organization_id = $organization_id AND k.hashed_secret <> ''
ORDER BY lower(k.name);

-- Violates provisioner_keys_name_key.
-- query store_provisioner_key_insert(id uuid, organization_id uuid, name text, hashed_secret bytes, tags jsonmap) -> exec
INSERT INTO provisioner_keys (id, organization_id, name, hashed_secret, tags)
VALUES ($id, $organization_id, $name, $hashed_secret, $tags);

-- Its daemons go with it.
-- query store_provisioner_key_delete(organization_id uuid, name text) -> exec
DELETE FROM provisioner_keys
WHERE organization_id = $organization_id AND lower(name) = lower($name) AND hashed_secret <> '';

-- row store_provisioner_secret: id uuid, organization_id uuid, name text, hashed_secret bytes, tags jsonmap

-- For a handshake, where the secret itself never comes: by the name that follows from it, see cm_psk_key_from_text and
-- provisionerd.
-- query store_provisioner_key_by_handshake(handshake_name text) -> optional store_provisioner_secret
SELECT {k} FROM provisioner_keys k
WHERE k.hashed_secret <> '' AND 'key-' || left(encode(sha256(k.hashed_secret), 'hex'), 32) = $handshake_name;

-- ---- daemons ----

-- A daemon that comes back by name gets its id again.
-- query store_provisioner_daemon_upsert(organization_id uuid, key_id uuid, name text, version text, api_version text, provisioners text[], tags jsonmap) -> one uuid
INSERT INTO provisioner_daemons (organization_id, key_id, name, version, api_version, provisioners, tags, last_seen_at)
VALUES ($organization_id, $key_id, $name, $version, $api_version, $provisioners, $tags, now())
ON CONFLICT (organization_id, key_id, lower(name), (coalesce(tags ->> 'owner', ''))) DO UPDATE
SET version = excluded.version, api_version = excluded.api_version,
    provisioners = excluded.provisioners, tags = excluded.tags, last_seen_at = excluded.last_seen_at
RETURNING id;

-- query store_provisioner_daemons_seen(ids uuid[]) -> exec
UPDATE provisioner_daemons SET last_seen_at = now() WHERE id = ANY ($ids);

-- row store_provisioner_daemon: id uuid, organization_id uuid, key_id uuid, key_name text, name text, version text,
--     api_version text, provisioners text[], tags jsonmap, created_at time, last_seen_at time?,
--     status enum api_provisioner_daemon_status,
--     current_job_id uuid?, current_job_status text, current_template_name text,
--     current_template_icon text, current_template_display_name text,
--     previous_job_id uuid?, previous_job_status text, previous_template_name text,
--     previous_template_icon text, previous_template_display_name text

-- Last seen first; filters may be absent. offline: also those not seen for stale_seconds. max_age_seconds NULL: all.
-- query store_provisioner_daemons(organization_id uuid, ids uuid[]?, tags json?, statuses text[]?, offline bool, stale_seconds int, max_age_seconds int?, limit int) -> many store_provisioner_daemon
WITH jobs AS (
    SELECT j.id, j.worker_id, j.status, j.completed_at, t.name, t.icon, t.display_name
    FROM provisioner_jobs j
    LEFT JOIN workspace_builds b ON b.job_id = j.id
    LEFT JOIN template_versions v ON v.id = b.template_version_id OR v.job_id = j.id
    LEFT JOIN templates t ON t.id = v.template_id
)
SELECT d.id, d.organization_id, d.key_id, k.name AS key_name, d.name, d.version, d.api_version, d.provisioners, d.tags,
       d.created_at, d.last_seen_at, s.status,
       c.id AS current_job_id, coalesce(c.status, '') AS current_job_status,
       coalesce(c.name, '') AS current_template_name, coalesce(c.icon, '') AS current_template_icon,
       coalesce(c.display_name, '') AS current_template_display_name,
       p.id AS previous_job_id, coalesce(p.status, '') AS previous_job_status,
       coalesce(p.name, '') AS previous_template_name, coalesce(p.icon, '') AS previous_template_icon,
       coalesce(p.display_name, '') AS previous_template_display_name
FROM provisioner_daemons d
JOIN provisioner_keys k ON k.id = d.key_id
LEFT JOIN LATERAL (
    SELECT * FROM jobs WHERE jobs.worker_id = d.id AND jobs.completed_at IS NULL ORDER BY id LIMIT 1
) c ON true
LEFT JOIN LATERAL (
    SELECT * FROM jobs WHERE jobs.worker_id = d.id AND jobs.completed_at IS NOT NULL
    ORDER BY jobs.completed_at DESC LIMIT 1
) p ON true
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN d.last_seen_at IS NULL OR d.last_seen_at < now() - make_interval(secs => $stale_seconds) THEN 'offline'
        WHEN c.id IS NOT NULL THEN 'busy'
        ELSE 'idle'
    END AS status
) s
WHERE d.organization_id = $organization_id
  AND ($ids::uuid[] IS NULL OR d.id = ANY ($ids))
  AND ($tags::jsonb IS NULL OR d.tags @> $tags)
  AND ($statuses::text[] IS NULL OR s.status = ANY ($statuses))
  AND ($offline OR s.status <> 'offline')
  AND ($max_age_seconds::int8 IS NULL OR d.last_seen_at >= now() - make_interval(secs => $max_age_seconds))
ORDER BY d.last_seen_at DESC NULLS LAST, d.name
LIMIT nullif($limit, 0);

-- row store_matched: count int, available int, most_recently_seen time?

-- Daemons that could run a job of these tags; available: seen within stale_seconds.
-- query store_provisioner_daemons_match(organization_id uuid, provisioner text, tags jsonmap, stale_seconds int) -> one store_matched
SELECT count(*) AS count,
       count(*) FILTER (WHERE last_seen_at > now() - make_interval(secs => $stale_seconds)) AS available,
       max(last_seen_at) AS most_recently_seen
FROM provisioner_daemons
WHERE organization_id = $organization_id AND $provisioner = ANY (provisioners)
  AND provisioner_tags_match($tags, tags);

-- query store_provisioner_daemons_purge(seen_before time) -> exec
DELETE FROM provisioner_daemons WHERE coalesce(last_seen_at, created_at) < $seen_before;
