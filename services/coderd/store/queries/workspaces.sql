-- include api/builds.h
-- include api/workspaces.h

-- user_acl and group_acl: JSON, id -> role. latest_* are nil or empty for an instant only, before the first build.
-- row store_workspace: id uuid, owner_id uuid, organization_id uuid, template_id uuid, name text,
--     autostart_schedule text, ttl_ms int?, automatic_updates enum api_automatic_updates, favorite bool,
--     deleted bool, user_acl json, group_acl json, last_used_at time, dormant_at time?, deleting_at time?,
--     next_start_at time?, created_at time, updated_at time, owner_username text, owner_name text,
--     owner_avatar_url text, latest_build_id uuid, latest_job_id uuid, latest_version_id uuid,
--     latest_transition text, status enum api_workspace_status, outdated bool, is_prebuild bool,
--     organization_name text, template_name text, template_display_name text, template_icon text,
--     template_allow_user_cancel_workspace_jobs bool, template_active_version_id uuid,
--     template_require_active_version bool, template_use_classic_parameter_flow bool,
--     template_allow_user_autostop bool, template_default_ttl_ms int

-- Deleted ones too.
-- query store_workspace_by_id(id uuid) -> one store_workspace
SELECT {w} FROM workspace_details w WHERE w.id = $id;

-- query store_workspace_by_name(owner_id uuid, name text) -> one store_workspace
SELECT {w} FROM workspace_details w WHERE w.owner_id = $owner_id AND lower(w.name) = lower($name) AND NOT w.deleted;

-- The newest of the deleted ones of this name.
-- query store_workspace_by_name_deleted(owner_id uuid, name text) -> one store_workspace
SELECT {w} FROM workspace_details w
WHERE w.owner_id = $owner_id AND lower(w.name) = lower($name) AND w.deleted
ORDER BY w.created_at DESC
LIMIT 1;

-- query store_workspace_by_agent(agent_id uuid) -> one store_workspace
SELECT {w} FROM workspace_details w
WHERE w.id = (SELECT b.workspace_id
              FROM workspace_agents a
              JOIN workspace_resources r ON r.id = a.resource_id
              JOIN workspace_builds b ON b.job_id = r.job_id
              WHERE a.id = $agent_id);

-- A page of what the caller may see. see_all: everything; see_orgs: organizations whose workspaces the caller may
-- read by role; else own ones and those that access lists share: with caller, or with groups (ids as text, the
-- caller's organizations among them for their Everyone). Filters may be absent; name is a part of it, the other
-- names are whole. Order: the caller's favourites, then running ones, then by owner and name. limit 0: all.
-- query store_workspaces_page(caller uuid, see_all bool, see_orgs uuid[], groups text[], deleted bool, ids uuid[]?, owner_id uuid?, owner_username text?, organization_id uuid?, template_ids uuid[]?, template_name text?, name text?, exact_name text?, statuses text[]?, dormant bool?, outdated bool?, last_used_after time?, last_used_before time?, shared bool?, shared_with_user text?, shared_with_group text?, agent_statuses text[]?, healthy bool?, has_external_agent bool?, param_names text[]?, param_values text[]?, limit int, offset int) -> many store_workspace
WITH matching AS NOT MATERIALIZED (
    SELECT w.id, w.owner_id, w.favorite, w.status, w.owner_username, w.name
    FROM workspaces w
    WHERE w.deleted = $deleted
      AND ($see_all OR w.owner_id = $caller OR w.organization_id = ANY ($see_orgs)
           OR w.user_acl ? $caller::text OR w.group_acl ?| $groups)
      AND ($ids::uuid[] IS NULL OR w.id = ANY ($ids))
      AND ($owner_id::uuid IS NULL OR w.owner_id = $owner_id)
      AND ($owner_username::text IS NULL OR lower(w.owner_username) = lower($owner_username))
      AND ($organization_id::uuid IS NULL OR w.organization_id = $organization_id)
      AND ($template_ids::uuid[] IS NULL OR w.template_id = ANY ($template_ids))
      AND ($template_name::text IS NULL
           OR w.template_id IN (SELECT t.id FROM templates t WHERE lower(t.name) = lower($template_name)))
      AND ($name::text IS NULL OR position(lower($name) IN lower(w.name)) > 0)
      AND ($exact_name::text IS NULL OR lower(w.name) = lower($exact_name))
      AND ($statuses::text[] IS NULL OR w.status = ANY ($statuses))
      AND ($dormant::boolean IS NULL OR (w.dormant_at IS NOT NULL) = $dormant)
      AND ($last_used_after::timestamptz IS NULL OR w.last_used_at >= $last_used_after)
      AND ($last_used_before::timestamptz IS NULL OR w.last_used_at <= $last_used_before)
      AND ($shared::boolean IS NULL OR (w.user_acl <> '{}' OR w.group_acl <> '{}') = $shared)
      AND ($shared_with_user::text IS NULL OR w.user_acl ? $shared_with_user)
      AND ($shared_with_group::text IS NULL OR w.group_acl ? $shared_with_group)
      AND ($outdated::boolean IS NULL OR $outdated = (
               SELECT b.template_version_id <> t.active_version_id
               FROM workspace_builds b, templates t
               WHERE b.id = w.latest_build_id AND t.id = w.template_id))
      AND ($has_external_agent::boolean IS NULL OR $has_external_agent = (
               SELECT b.has_external_agent FROM workspace_builds b WHERE b.id = w.latest_build_id))
      AND ($agent_statuses::text[] IS NULL OR EXISTS (
               SELECT FROM workspace_latest_agents a
               WHERE a.workspace_id = w.id AND a.status = ANY ($agent_statuses)))
      AND ($healthy::boolean IS NULL OR $healthy = NOT EXISTS (
               SELECT FROM workspace_latest_agents a WHERE a.workspace_id = w.id AND NOT a.healthy))
      AND ($param_names::text[] IS NULL OR NOT EXISTS (
               SELECT FROM unnest($param_names, $param_values::text[]) AS p (name, value)
               WHERE NOT EXISTS (SELECT FROM workspace_build_parameters bp
                                 WHERE bp.workspace_build_id = w.latest_build_id AND bp.name = p.name
                                   AND (p.value IS NULL OR p.value = '' OR bp.value = p.value))))
), mine AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY status <> 'running', lower(owner_username), lower(name)) AS n
    FROM matching
    WHERE favorite AND owner_id = $caller
), others AS (
    SELECT id, row_number() OVER () AS n
    FROM (SELECT id
          FROM matching
          WHERE NOT (favorite AND owner_id = $caller)
          ORDER BY status <> 'running', lower(owner_username), lower(name)
          LIMIT nullif($limit, 0) OFFSET greatest(0, $offset - (SELECT count(*) FROM mine))) x
), page AS (
    SELECT id, 0 AS part, n FROM mine WHERE n > $offset
    UNION ALL
    SELECT id, 1, n FROM others
    ORDER BY part, n
    LIMIT nullif($limit, 0)
)
SELECT {w} FROM page JOIN workspace_details w ON w.id = page.id
ORDER BY page.part, page.n;

-- How many there are in all; the filters of store_workspaces_page.
-- query store_workspaces_count(caller uuid, see_all bool, see_orgs uuid[], groups text[], deleted bool, ids uuid[]?, owner_id uuid?, owner_username text?, organization_id uuid?, template_ids uuid[]?, template_name text?, name text?, exact_name text?, statuses text[]?, dormant bool?, outdated bool?, last_used_after time?, last_used_before time?, shared bool?, shared_with_user text?, shared_with_group text?, agent_statuses text[]?, healthy bool?, has_external_agent bool?, param_names text[]?, param_values text[]?) -> one int
SELECT count(*)
FROM workspaces w
WHERE w.deleted = $deleted
  AND ($see_all OR w.owner_id = $caller OR w.organization_id = ANY ($see_orgs)
       OR w.user_acl ? $caller::text OR w.group_acl ?| $groups)
  AND ($ids::uuid[] IS NULL OR w.id = ANY ($ids))
  AND ($owner_id::uuid IS NULL OR w.owner_id = $owner_id)
  AND ($owner_username::text IS NULL OR lower(w.owner_username) = lower($owner_username))
  AND ($organization_id::uuid IS NULL OR w.organization_id = $organization_id)
  AND ($template_ids::uuid[] IS NULL OR w.template_id = ANY ($template_ids))
  AND ($template_name::text IS NULL
       OR w.template_id IN (SELECT t.id FROM templates t WHERE lower(t.name) = lower($template_name)))
  AND ($name::text IS NULL OR position(lower($name) IN lower(w.name)) > 0)
  AND ($exact_name::text IS NULL OR lower(w.name) = lower($exact_name))
  AND ($statuses::text[] IS NULL OR w.status = ANY ($statuses))
  AND ($dormant::boolean IS NULL OR (w.dormant_at IS NOT NULL) = $dormant)
  AND ($last_used_after::timestamptz IS NULL OR w.last_used_at >= $last_used_after)
  AND ($last_used_before::timestamptz IS NULL OR w.last_used_at <= $last_used_before)
  AND ($shared::boolean IS NULL OR (w.user_acl <> '{}' OR w.group_acl <> '{}') = $shared)
  AND ($shared_with_user::text IS NULL OR w.user_acl ? $shared_with_user)
  AND ($shared_with_group::text IS NULL OR w.group_acl ? $shared_with_group)
  AND ($outdated::boolean IS NULL OR $outdated = (
           SELECT b.template_version_id <> t.active_version_id
           FROM workspace_builds b, templates t
           WHERE b.id = w.latest_build_id AND t.id = w.template_id))
  AND ($has_external_agent::boolean IS NULL OR $has_external_agent = (
           SELECT b.has_external_agent FROM workspace_builds b WHERE b.id = w.latest_build_id))
  AND ($agent_statuses::text[] IS NULL OR EXISTS (
           SELECT FROM workspace_latest_agents a WHERE a.workspace_id = w.id AND a.status = ANY ($agent_statuses)))
  AND ($healthy::boolean IS NULL OR $healthy = NOT EXISTS (
           SELECT FROM workspace_latest_agents a WHERE a.workspace_id = w.id AND NOT a.healthy))
  AND ($param_names::text[] IS NULL OR NOT EXISTS (
           SELECT FROM unnest($param_names, $param_values::text[]) AS p (name, value)
           WHERE NOT EXISTS (SELECT FROM workspace_build_parameters bp
                             WHERE bp.workspace_build_id = w.latest_build_id AND bp.name = p.name
                               AND (p.value IS NULL OR p.value = '' OR bp.value = p.value))));

-- Violates workspaces_owner_name_key. The status is pending until there is a build.
-- query store_workspace_insert(id uuid, owner_id uuid, organization_id uuid, template_id uuid, name text, autostart_schedule text, ttl_ms int?, automatic_updates enum api_automatic_updates, next_start_at time?) -> exec
INSERT INTO workspaces (id, owner_id, organization_id, template_id, name, autostart_schedule, ttl_ms, automatic_updates,
                        next_start_at)
VALUES ($id, $owner_id, $organization_id, $template_id, $name, $autostart_schedule, $ttl_ms, $automatic_updates,
        $next_start_at);

-- Violates workspaces_owner_name_key.
-- query store_workspace_rename(id uuid, name text) -> exec
UPDATE workspaces SET name = $name, updated_at = now() WHERE id = $id AND NOT deleted;

-- query store_workspace_set_autostart(id uuid, autostart_schedule text, next_start_at time?) -> exec
UPDATE workspaces SET autostart_schedule = $autostart_schedule, next_start_at = $next_start_at, updated_at = now()
WHERE id = $id AND NOT deleted;

-- query store_workspace_set_ttl(id uuid, ttl_ms int?) -> exec
UPDATE workspaces SET ttl_ms = $ttl_ms, updated_at = now() WHERE id = $id AND NOT deleted;

-- dormant_at NULL: awake. deleting_at: when the template wants it gone.
-- query store_workspace_set_dormant(id uuid, dormant_at time?, deleting_at time?) -> exec
UPDATE workspaces
SET dormant_at = $dormant_at, deleting_at = $deleting_at, updated_at = now(),
    last_used_at = CASE WHEN $dormant_at::timestamptz IS NULL THEN now() ELSE last_used_at END
WHERE id = $id AND NOT deleted;

-- query store_workspace_set_favorite(id uuid, favorite bool) -> exec
UPDATE workspaces SET favorite = $favorite WHERE id = $id AND NOT deleted;

-- query store_workspace_set_automatic_updates(id uuid, automatic_updates enum api_automatic_updates) -> exec
UPDATE workspaces SET automatic_updates = $automatic_updates, updated_at = now() WHERE id = $id AND NOT deleted;

-- Whole lists, id -> role.
-- query store_workspace_set_acl(id uuid, user_acl json, group_acl json) -> exec
UPDATE workspaces SET user_acl = $user_acl, group_acl = $group_acl, updated_at = now() WHERE id = $id AND NOT deleted;

-- Several at once: what is only of the moment is written in batches.
-- query store_workspaces_used(ids uuid[], used_at time) -> exec
UPDATE workspaces SET last_used_at = $used_at WHERE id = ANY ($ids) AND last_used_at < $used_at;

-- After its delete build has succeeded: the name is free again.
-- query store_workspace_delete(id uuid) -> exec
UPDATE workspaces SET deleted = true, updated_at = now() WHERE id = $id AND NOT deleted;

-- query store_user_workspace_count(owner_id uuid) -> one int
SELECT count(*) FROM workspaces WHERE owner_id = $owner_id AND NOT deleted;

-- ---- port shares ----

-- query store_port_shares(workspace_id uuid) -> many api_workspace_agent_port_share
SELECT workspace_id, agent_name, port, share_level, protocol FROM workspace_port_shares
WHERE workspace_id = $workspace_id
ORDER BY agent_name, port;

-- query store_port_share_set(workspace_id uuid, agent_name text, port int, share_level enum api_workspace_agent_port_share_level, protocol enum api_workspace_agent_port_share_protocol) -> exec
INSERT INTO workspace_port_shares (workspace_id, agent_name, port, share_level, protocol)
VALUES ($workspace_id, $agent_name, $port, $share_level, $protocol)
ON CONFLICT (workspace_id, agent_name, port) DO UPDATE
SET share_level = excluded.share_level, protocol = excluded.protocol;

-- query store_port_share_delete(workspace_id uuid, agent_name text, port int) -> exec
DELETE FROM workspace_port_shares WHERE workspace_id = $workspace_id AND agent_name = $agent_name AND port = $port;
