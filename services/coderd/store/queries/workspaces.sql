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

-- ---- lists ----

-- Lists are made by store_workspaces_list() of store/workspace_list.h, which knows what the parameters mean and
-- which of these statements answers best. Plans are made once for all values, so what wants another plan is
-- another statement. The filters stand in a CASE, or the planner would think that so many leave one row.

-- fragment filters
CASE WHEN ($see_all OR w.owner_id = $caller OR w.organization_id = ANY ($see_orgs)
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
                                    AND (p.value IS NULL OR p.value = '' OR bp.value = p.value))))
     THEN true ELSE false END

-- query store_workspaces_page_all(caller uuid, see_all bool, see_orgs uuid[], groups text[], ids uuid[]?, owner_id uuid?, owner_username text?, organization_id uuid?, template_ids uuid[]?, template_name text?, name text?, exact_name text?, statuses text[]?, dormant bool?, outdated bool?, last_used_after time?, last_used_before time?, shared bool?, shared_with_user text?, shared_with_group text?, agent_statuses text[]?, healthy bool?, has_external_agent bool?, param_names text[]?, param_values text[]?, limit int, offset int) -> many store_workspace
WITH mine AS MATERIALIZED (
    SELECT w.id, row_number() OVER (ORDER BY w.status <> 'running', lower(w.owner_username), lower(w.name)) AS n
    FROM workspaces w
    WHERE w.favorite AND w.owner_id = $caller AND NOT w.deleted AND {{filters}}
), others AS (
    SELECT id, row_number() OVER () AS n
    FROM (SELECT w.id
          FROM workspaces w
          WHERE NOT w.deleted AND NOT (w.favorite AND w.owner_id = $caller) AND {{filters}}
          ORDER BY w.status <> 'running', lower(w.owner_username), lower(w.name)
          LIMIT nullif($limit, 0) OFFSET greatest(0, $offset - (SELECT count(*) FROM mine))) x
), page AS MATERIALIZED (
    SELECT id, 0 AS part, n FROM mine WHERE n > $offset
    UNION ALL
    SELECT id, 1, n FROM others
    ORDER BY part, n
    LIMIT nullif($limit, 0)
)
SELECT {w} FROM page CROSS JOIN LATERAL (SELECT * FROM workspace_details d WHERE d.id = page.id OFFSET 0) w
ORDER BY page.part, page.n;

-- The same for those who see everything and ask for nothing in particular: making a plan's filters ready costs more than
-- such a page.
-- query store_workspaces_page_plain(caller uuid, limit int, offset int) -> many store_workspace
WITH mine AS MATERIALIZED (
    SELECT w.id, row_number() OVER (ORDER BY w.status <> 'running', lower(w.owner_username), lower(w.name)) AS n
    FROM workspaces w
    WHERE w.favorite AND w.owner_id = $caller AND NOT w.deleted
), others AS (
    SELECT id, row_number() OVER () AS n
    FROM (SELECT w.id
          FROM workspaces w
          WHERE NOT w.deleted AND NOT (w.favorite AND w.owner_id = $caller)
          ORDER BY w.status <> 'running', lower(w.owner_username), lower(w.name)
          LIMIT nullif($limit, 0) OFFSET greatest(0, $offset - (SELECT count(*) FROM mine))) x
), page AS MATERIALIZED (
    SELECT id, 0 AS part, n FROM mine WHERE n > $offset
    UNION ALL
    SELECT id, 1, n FROM others
    ORDER BY part, n
    LIMIT nullif($limit, 0)
)
SELECT {w} FROM page CROSS JOIN LATERAL (SELECT * FROM workspace_details d WHERE d.id = page.id OFFSET 0) w
ORDER BY page.part, page.n;

-- fragment few
few AS MATERIALIZED (
    SELECT id FROM workspaces WHERE owner_id = coalesce($owner_id, $caller)
    UNION
    SELECT id FROM workspaces WHERE $owner_id IS NULL AND user_acl ? $caller::text
    UNION
    SELECT id FROM workspaces WHERE $owner_id IS NULL AND group_acl ?| $groups
)

-- What a caller can see who sees nothing by role, or the workspaces of one owner: few, found by their indexes.
-- query store_workspaces_page_few(caller uuid, see_all bool, see_orgs uuid[], groups text[], ids uuid[]?, owner_id uuid?, owner_username text?, organization_id uuid?, template_ids uuid[]?, template_name text?, name text?, exact_name text?, statuses text[]?, dormant bool?, outdated bool?, last_used_after time?, last_used_before time?, shared bool?, shared_with_user text?, shared_with_group text?, agent_statuses text[]?, healthy bool?, has_external_agent bool?, param_names text[]?, param_values text[]?, limit int, offset int) -> many store_workspace
WITH {{few}}, page AS MATERIALIZED (
    SELECT w.id, row_number() OVER (ORDER BY NOT (w.favorite AND w.owner_id = $caller), w.status <> 'running',
                                    lower(w.owner_username), lower(w.name)) AS n
    FROM few CROSS JOIN LATERAL (SELECT * FROM workspaces x WHERE x.id = few.id AND NOT x.deleted OFFSET 0) w
    WHERE {{filters}}
    ORDER BY n
    LIMIT nullif($limit, 0) OFFSET $offset
)
SELECT {w} FROM page CROSS JOIN LATERAL (SELECT * FROM workspace_details d WHERE d.id = page.id OFFSET 0) w
ORDER BY page.n;

-- query store_workspaces_page_deleted(caller uuid, see_all bool, see_orgs uuid[], groups text[], ids uuid[]?, owner_id uuid?, owner_username text?, organization_id uuid?, template_ids uuid[]?, template_name text?, name text?, exact_name text?, statuses text[]?, dormant bool?, outdated bool?, last_used_after time?, last_used_before time?, shared bool?, shared_with_user text?, shared_with_group text?, agent_statuses text[]?, healthy bool?, has_external_agent bool?, param_names text[]?, param_values text[]?, limit int, offset int) -> many store_workspace
SELECT {w} FROM workspace_details w
WHERE w.deleted AND {{filters}}
ORDER BY lower(w.owner_username), lower(w.name), w.created_at
LIMIT nullif($limit, 0) OFFSET $offset;

-- query store_workspaces_count_unfiltered() -> one int
SELECT coalesce(sum(c.live), 0)::bigint FROM workspace_counts c;

-- query store_workspaces_count_all(caller uuid, deleted bool, see_all bool, see_orgs uuid[], groups text[], ids uuid[]?, owner_id uuid?, owner_username text?, organization_id uuid?, template_ids uuid[]?, template_name text?, name text?, exact_name text?, statuses text[]?, dormant bool?, outdated bool?, last_used_after time?, last_used_before time?, shared bool?, shared_with_user text?, shared_with_group text?, agent_statuses text[]?, healthy bool?, has_external_agent bool?, param_names text[]?, param_values text[]?) -> one int
SELECT count(*) FROM workspaces w WHERE w.deleted = $deleted AND {{filters}};

-- query store_workspaces_count_few(caller uuid, see_all bool, see_orgs uuid[], groups text[], ids uuid[]?, owner_id uuid?, owner_username text?, organization_id uuid?, template_ids uuid[]?, template_name text?, name text?, exact_name text?, statuses text[]?, dormant bool?, outdated bool?, last_used_after time?, last_used_before time?, shared bool?, shared_with_user text?, shared_with_group text?, agent_statuses text[]?, healthy bool?, has_external_agent bool?, param_names text[]?, param_values text[]?) -> one int
WITH {{few}}
SELECT count(*)
FROM few CROSS JOIN LATERAL (SELECT * FROM workspaces x WHERE x.id = few.id AND NOT x.deleted OFFSET 0) w
WHERE {{filters}};

-- ---- one workspace ----

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

-- dormant_at NULL: awake. It is deleted when the template wants dormant ones gone.
-- query store_workspace_set_dormant(id uuid, dormant_at time?) -> exec
UPDATE workspaces
SET dormant_at = $dormant_at, updated_at = now(),
    deleting_at = $dormant_at::timestamptz + (
        SELECT make_interval(secs => t.time_til_dormant_autodelete_ms / 1000.0) FROM templates t
        WHERE t.id = template_id AND t.time_til_dormant_autodelete_ms > 0),
    last_used_at = CASE WHEN $dormant_at::timestamptz IS NULL THEN now() ELSE last_used_at END
WHERE id = $id AND NOT deleted;

-- What a change of the template means for its dormant workspaces; restart: they fall asleep now.
-- query store_workspaces_dormant_again(template_id uuid, restart bool) -> exec
UPDATE workspaces w
SET dormant_at = n.dormant_at,
    deleting_at = CASE WHEN n.keep > 0 THEN n.dormant_at + make_interval(secs => n.keep / 1000.0) END
FROM (SELECT x.id, CASE WHEN $restart::boolean THEN now() ELSE x.dormant_at END AS dormant_at,
             t.time_til_dormant_autodelete_ms AS keep
      FROM workspaces x JOIN templates t ON t.id = x.template_id
      WHERE x.template_id = $template_id AND x.dormant_at IS NOT NULL AND NOT x.deleted) n
WHERE w.id = n.id;

-- query store_workspaces_of_template_used(template_id uuid) -> exec
UPDATE workspaces SET last_used_at = now() WHERE template_id = $template_id AND NOT deleted;

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
