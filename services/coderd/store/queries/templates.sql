-- include api/templates.h

-- autostop and autostart days are names of weekdays. Access lists are JSON: id -> role.
-- row store_template: id uuid, organization_id uuid, created_by uuid, name text, display_name text,
--     description text, icon text, provisioner enum api_provisioner_type, active_version_id uuid, deleted bool,
--     deprecation_message text, user_acl json, group_acl json, default_ttl_ms int, activity_bump_ms int,
--     time_til_autostop_notify_ms int, autostop_days_of_week text[], autostop_weeks int,
--     autostart_days_of_week text[], allow_user_autostart bool, allow_user_autostop bool,
--     allow_user_cancel_workspace_jobs bool, failure_ttl_ms int, time_til_dormant_ms int,
--     time_til_dormant_autodelete_ms int, require_active_version bool,
--     max_port_share_level enum api_workspace_agent_port_share_level, cors_behavior enum api_cors_behavior,
--     use_classic_parameter_flow bool, disable_module_cache bool, created_at time, updated_at time,
--     organization_name text, organization_display_name text, organization_icon text, created_by_name text,
--     active_user_count int

-- query store_template_by_id(id uuid) -> one store_template
SELECT {t} FROM template_details t WHERE t.id = $id AND NOT t.deleted;

-- query store_template_by_name(organization_id uuid, name text) -> one store_template
SELECT {t} FROM template_details t
WHERE t.organization_id = $organization_id AND lower(t.name) = lower($name) AND NOT t.deleted;

-- What the caller may see among what the filters, each of which may be absent, let through. see_all: everything;
-- see_orgs: organizations whose templates the caller may read by role; else access lists decide: for caller, and
-- for groups (ids as text, organizations for their Everyone). name is a part of the name.
-- A template without a display name shows its name, and is found by it.
-- query store_templates_list(see_all bool, see_orgs uuid[], caller text, groups text[], organization_id uuid?, ids uuid[]?, exact_name text?, exact_display_name text?, name text?, display_name text?, author_id uuid?, deprecated bool?, deleted bool, has_external_agent bool?) -> many store_template
SELECT {t} FROM template_details t
WHERE t.deleted = $deleted
  AND ($see_all OR t.organization_id = ANY ($see_orgs) OR t.user_acl ? $caller OR t.group_acl ?| $groups)
  AND ($organization_id::uuid IS NULL OR t.organization_id = $organization_id)
  AND ($ids::uuid[] IS NULL OR t.id = ANY ($ids))
  AND ($exact_name::text IS NULL OR lower(t.name) = lower($exact_name))
  AND ($name::text IS NULL OR position(lower($name) IN lower(t.name)) > 0)
  AND ($exact_display_name::text IS NULL OR lower(t.display_name) = lower($exact_display_name))
  AND ($display_name::text IS NULL
       OR CASE WHEN t.display_name <> '' THEN position(lower($display_name) IN lower(t.display_name)) > 0
               ELSE position(replace(lower($display_name), ' ', '') IN lower(t.name)) > 0 END)
  AND ($author_id::uuid IS NULL OR t.created_by = $author_id)
  AND ($deprecated::boolean IS NULL OR (t.deprecation_message <> '') = $deprecated)
  AND ($has_external_agent::boolean IS NULL OR EXISTS (
           SELECT FROM template_versions v
           WHERE v.id = t.active_version_id AND v.has_external_agent = $has_external_agent))
ORDER BY lower(t.name), t.id;

-- Violates templates_name_key.
-- query store_template_insert(id uuid, organization_id uuid, created_by uuid, name text, display_name text, description text, icon text, provisioner enum api_provisioner_type, active_version_id uuid, group_acl json, default_ttl_ms int, activity_bump_ms int, time_til_autostop_notify_ms int, autostop_days_of_week text[], autostop_weeks int, autostart_days_of_week text[], allow_user_autostart bool, allow_user_autostop bool, allow_user_cancel_workspace_jobs bool, failure_ttl_ms int, time_til_dormant_ms int, time_til_dormant_autodelete_ms int, require_active_version bool, max_port_share_level enum api_workspace_agent_port_share_level, cors_behavior enum api_cors_behavior, use_classic_parameter_flow bool) -> exec
INSERT INTO templates (id, organization_id, created_by, name, display_name, description, icon, provisioner,
    active_version_id, group_acl, default_ttl_ms, activity_bump_ms, time_til_autostop_notify_ms,
    autostop_days_of_week, autostop_weeks, autostart_days_of_week, allow_user_autostart, allow_user_autostop,
    allow_user_cancel_workspace_jobs, failure_ttl_ms, time_til_dormant_ms, time_til_dormant_autodelete_ms,
    require_active_version, max_port_share_level, cors_behavior, use_classic_parameter_flow)
VALUES ($id, $organization_id, $created_by, $name, $display_name, $description, $icon, $provisioner,
    $active_version_id, $group_acl, $default_ttl_ms, $activity_bump_ms, $time_til_autostop_notify_ms,
    $autostop_days_of_week, $autostop_weeks, $autostart_days_of_week, $allow_user_autostart, $allow_user_autostop,
    $allow_user_cancel_workspace_jobs, $failure_ttl_ms, $time_til_dormant_ms, $time_til_dormant_autodelete_ms,
    $require_active_version, $max_port_share_level, $cors_behavior, $use_classic_parameter_flow);

-- NULL leaves a value as it is. Violates templates_name_key.
-- query store_template_update(id uuid, name text?, display_name text?, description text?, icon text?, deprecation_message text?, default_ttl_ms int?, activity_bump_ms int?, time_til_autostop_notify_ms int?, autostop_days_of_week text[]?, autostop_weeks int?, autostart_days_of_week text[]?, allow_user_autostart bool?, allow_user_autostop bool?, allow_user_cancel_workspace_jobs bool?, failure_ttl_ms int?, time_til_dormant_ms int?, time_til_dormant_autodelete_ms int?, require_active_version bool?, max_port_share_level enum api_workspace_agent_port_share_level?, cors_behavior enum api_cors_behavior?, use_classic_parameter_flow bool?, disable_module_cache bool?) -> exec
UPDATE templates SET
    name = coalesce($name, name),
    display_name = coalesce($display_name, display_name),
    description = coalesce($description, description),
    icon = coalesce($icon, icon),
    deprecation_message = coalesce($deprecation_message, deprecation_message),
    default_ttl_ms = coalesce($default_ttl_ms, default_ttl_ms),
    activity_bump_ms = coalesce($activity_bump_ms, activity_bump_ms),
    time_til_autostop_notify_ms = coalesce($time_til_autostop_notify_ms, time_til_autostop_notify_ms),
    autostop_days_of_week = coalesce($autostop_days_of_week, autostop_days_of_week),
    autostop_weeks = coalesce($autostop_weeks, autostop_weeks),
    autostart_days_of_week = coalesce($autostart_days_of_week, autostart_days_of_week),
    allow_user_autostart = coalesce($allow_user_autostart, allow_user_autostart),
    allow_user_autostop = coalesce($allow_user_autostop, allow_user_autostop),
    allow_user_cancel_workspace_jobs = coalesce($allow_user_cancel_workspace_jobs, allow_user_cancel_workspace_jobs),
    failure_ttl_ms = coalesce($failure_ttl_ms, failure_ttl_ms),
    time_til_dormant_ms = coalesce($time_til_dormant_ms, time_til_dormant_ms),
    time_til_dormant_autodelete_ms = coalesce($time_til_dormant_autodelete_ms, time_til_dormant_autodelete_ms),
    require_active_version = coalesce($require_active_version, require_active_version),
    max_port_share_level = coalesce($max_port_share_level, max_port_share_level),
    cors_behavior = coalesce($cors_behavior, cors_behavior),
    use_classic_parameter_flow = coalesce($use_classic_parameter_flow, use_classic_parameter_flow),
    disable_module_cache = coalesce($disable_module_cache, disable_module_cache),
    updated_at = now()
WHERE id = $id AND NOT deleted;

-- query store_template_set_active(id uuid, version_id uuid) -> exec
UPDATE templates SET active_version_id = $version_id, updated_at = now() WHERE id = $id AND NOT deleted;

-- Whole lists, id -> role.
-- query store_template_set_acl(id uuid, user_acl json, group_acl json) -> exec
UPDATE templates SET user_acl = $user_acl, group_acl = $group_acl, updated_at = now() WHERE id = $id AND NOT deleted;

-- query store_template_delete(id uuid) -> exec
UPDATE templates SET deleted = true, updated_at = now() WHERE id = $id AND NOT deleted;

-- Workspaces that keep a template from being deleted: prebuilt ones do not.
-- query store_template_workspaces(id uuid) -> one int
SELECT count(*) FROM workspaces w JOIN users u ON u.id = w.owner_id
WHERE w.template_id = $id AND NOT w.deleted AND NOT u.is_system;

-- row store_dau: date text, amount int

-- People who were connected to workspaces (NULL: of any template), for each of the days up to today, where it is
-- offset_hours later than UTC.
-- query store_daus(template_id uuid?, offset_hours int, days int) -> many store_dau
SELECT to_char(g.day, 'YYYY-MM-DD') AS date, count(DISTINCT d.user_id) AS amount
FROM (SELECT date_trunc('day', (now() AT TIME ZONE 'UTC') + make_interval(hours => $offset_hours::integer))
             - make_interval(days => n) AS day
      FROM generate_series(0, $days::integer) n) g
LEFT JOIN (SELECT date_trunc('day', (s.created_at AT TIME ZONE 'UTC') + make_interval(hours => $offset_hours::integer)) AS day,
                  s.user_id
           FROM workspace_agent_stats s
           WHERE ($template_id::uuid IS NULL OR s.template_id = $template_id) AND s.connection_count > 0
             AND s.created_at > now() - make_interval(days => $days::integer + 1)) d ON d.day = g.day
GROUP BY g.day
ORDER BY g.day;

-- row store_template_build_time: template_id uuid, transition enum api_workspace_transition, p50 float, p95 float

-- Milliseconds that succeeded builds took, of the last hundred of each transition.
-- query store_template_build_times(ids uuid[]) -> many store_template_build_time
SELECT t.id AS template_id, x.transition, percentile_cont(0.5) WITHIN GROUP (ORDER BY x.ms) AS p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY x.ms) AS p95
FROM templates t
CROSS JOIN unnest('{start,stop,delete}'::text[]) AS kind
CROSS JOIN LATERAL (
    SELECT b.transition, extract(epoch FROM j.completed_at - j.started_at)::float8 * 1000 AS ms
    FROM template_versions v
    JOIN workspace_builds b ON b.template_version_id = v.id AND b.transition = kind
    JOIN provisioner_jobs j ON j.id = b.job_id AND j.status = 'succeeded' AND j.started_at IS NOT NULL
    WHERE v.template_id = t.id
    ORDER BY b.created_at DESC
    LIMIT 100
) x
WHERE t.id = ANY ($ids)
GROUP BY t.id, x.transition;
