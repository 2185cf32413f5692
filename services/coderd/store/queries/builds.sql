-- include api/builds.h

-- job: see store/jobs.h.
-- row store_build: id uuid, workspace_id uuid, template_version_id uuid, template_version_preset_id uuid?,
--     job_id uuid, initiator_id uuid, build_number int, transition enum api_workspace_transition,
--     reason enum api_build_reason, deadline time?, max_deadline time?, daily_cost int, has_external_agent bool,
--     created_at time, updated_at time, status enum api_workspace_status,
--     job_status enum api_provisioner_job_status, workspace_name text, workspace_owner_id uuid,
--     workspace_owner_name text, workspace_owner_avatar_url text, organization_id uuid, template_id uuid,
--     template_version_name text, initiator_name text

-- query store_build_by_id(id uuid) -> one store_build
SELECT {b} FROM workspace_build_details b WHERE b.id = $id;

-- query store_build_by_job(job_id uuid) -> one store_build
SELECT {b} FROM workspace_build_details b WHERE b.job_id = $job_id;

-- For those who have the workspace and the job: without what these tell (status, names of the owner and so on).
-- query store_builds_brief(ids uuid[]) -> many store_build
SELECT {b - status, job_status, workspace_name, workspace_owner_id, workspace_owner_name, workspace_owner_avatar_url,
           organization_id, template_id, template_version_name, initiator_name},
       v.name AS template_version_name, i.username AS initiator_name
FROM workspace_builds b
JOIN template_versions v ON v.id = b.template_version_id
JOIN users i ON i.id = b.initiator_id
WHERE b.id = ANY ($ids);

-- query store_build_by_number(workspace_id uuid, build_number int) -> one store_build
SELECT {b} FROM workspace_build_details b WHERE b.workspace_id = $workspace_id AND b.build_number = $build_number;

-- Newest first; after_id is the last of the page before; limit 0: all.
-- query store_builds_page(workspace_id uuid, since time?, after_id uuid?, limit int, offset int) -> many store_build
SELECT {b} FROM workspace_build_details b
WHERE b.workspace_id = $workspace_id
  AND ($since::timestamptz IS NULL OR b.created_at >= $since)
  AND ($after_id::uuid IS NULL
       OR b.build_number < (SELECT c.build_number FROM workspace_builds c WHERE c.id = $after_id))
ORDER BY b.build_number DESC
LIMIT nullif($limit, 0) OFFSET $offset;

-- The next build of the workspace, with the state of the one before unless provisioner_state is given. No row: the
-- latest build has not ended. Two at the same time: one violates workspace_builds_number_key.
-- query store_build_insert(id uuid, workspace_id uuid, template_version_id uuid, template_version_preset_id uuid?, job_id uuid, initiator_id uuid, transition enum api_workspace_transition, reason enum api_build_reason, deadline time?, max_deadline time?, provisioner_state bytes?) -> optional int
INSERT INTO workspace_builds (id, workspace_id, template_version_id, template_version_preset_id, job_id, initiator_id,
                              build_number, transition, reason, deadline, max_deadline, provisioner_state)
SELECT $id, w.id, $template_version_id, $template_version_preset_id, $job_id, $initiator_id,
       coalesce(l.build_number, 0) + 1, $transition, $reason, $deadline, $max_deadline,
       coalesce($provisioner_state, l.provisioner_state)
FROM workspaces w
LEFT JOIN workspace_builds l ON l.id = w.latest_build_id
LEFT JOIN provisioner_jobs j ON j.id = l.job_id
WHERE w.id = $workspace_id AND (j.id IS NULL OR j.status NOT IN ('pending', 'running', 'canceling'))
RETURNING build_number;

-- query store_build_state(id uuid) -> optional bytes
SELECT coalesce(provisioner_state, '') FROM workspace_builds WHERE id = $id;

-- By an administrator.
-- query store_build_set_state(id uuid, provisioner_state bytes) -> exec
UPDATE workspace_builds SET provisioner_state = $provisioner_state, updated_at = now() WHERE id = $id;

-- By a lease's holder, from its uploads; also when the lease is lost, as long as no newer build exists: refusing it
-- would orphan what was made. 0 rows: refused.
-- query store_build_take_state(job_id uuid) -> exec
UPDATE workspace_builds b
SET provisioner_state = u.state, updated_at = now()
FROM (SELECT string_agg(data, '' ORDER BY byte_offset) AS state
      FROM provisioner_job_uploads WHERE job_id = $job_id AND what = 'state') u
WHERE b.job_id = $job_id AND u.state IS NOT NULL
  AND NOT EXISTS (SELECT FROM workspace_builds newer
                  WHERE newer.workspace_id = b.workspace_id AND newer.build_number > b.build_number);

-- query store_build_set_deadline(id uuid, deadline time?, max_deadline time?) -> exec
UPDATE workspace_builds SET deadline = $deadline, max_deadline = $max_deadline, updated_at = now() WHERE id = $id;

-- query store_build_set_cost(id uuid, daily_cost int, has_external_agent bool) -> exec
UPDATE workspace_builds SET daily_cost = $daily_cost, has_external_agent = $has_external_agent, updated_at = now()
WHERE id = $id;

-- ---- parameters ----

-- query store_build_parameters(workspace_build_id uuid) -> many api_workspace_build_parameter
SELECT name, value FROM workspace_build_parameters WHERE workspace_build_id = $workspace_build_id ORDER BY name;

-- query store_build_parameters_insert(workspace_build_id uuid, names text[], values text[]) -> exec
INSERT INTO workspace_build_parameters (workspace_build_id, name, value)
SELECT $workspace_build_id, n, v FROM unnest($names, $values) AS x (n, v);

-- What the user gave last for parameters of the template, in any workspace.
-- query store_user_autofill(owner_id uuid, template_id uuid) -> many api_workspace_build_parameter
SELECT DISTINCT ON (p.name) p.name, p.value
FROM workspace_build_parameters p
JOIN workspace_builds b ON b.id = p.workspace_build_id AND b.initiator_id = $owner_id
JOIN workspaces w ON w.id = b.workspace_id AND w.template_id = $template_id AND w.owner_id = $owner_id
JOIN template_versions v ON v.id = b.template_version_id
JOIN template_version_parameters vp ON vp.template_version_id = v.id AND vp.name = p.name AND NOT vp.ephemeral
ORDER BY p.name, b.created_at DESC;

-- ---- resources ----

-- row store_resource: id uuid, job_id uuid, transition enum api_workspace_transition, type text, name text,
--     hide bool, icon text, daily_cost int, created_at time

-- query store_resources_by_jobs(job_ids uuid[]) -> many store_resource
SELECT {r} FROM workspace_resources r WHERE r.job_id = ANY ($job_ids) ORDER BY r.job_id, r.created_at, r.name, r.id;

-- row store_resource_metadata: resource_id uuid, key text, value text, sensitive bool

-- query store_resource_metadata_by_jobs(job_ids uuid[]) -> many store_resource_metadata
SELECT {m} FROM workspace_resource_metadata m
JOIN workspace_resources r ON r.id = m.resource_id
WHERE r.job_id = ANY ($job_ids)
ORDER BY m.resource_id, m.position;

-- query store_resource_insert(id uuid, job_id uuid, transition enum api_workspace_transition, type text, name text, hide bool, icon text, instance_type text, module_path text, daily_cost int) -> exec
INSERT INTO workspace_resources (id, job_id, transition, type, name, hide, icon, instance_type, module_path, daily_cost)
VALUES ($id, $job_id, $transition, $type, $name, $hide, $icon, $instance_type, $module_path, $daily_cost);

-- query store_resource_metadata_insert(resource_id uuid, keys text[], values text[], sensitive bool[]) -> exec
INSERT INTO workspace_resource_metadata (resource_id, position, key, value, sensitive)
SELECT $resource_id, x.n, x.key, coalesce(x.value, ''), x.sensitive
FROM unnest($keys, $values, $sensitive) WITH ORDINALITY AS x (key, value, sensitive, n);
