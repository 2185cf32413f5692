-- include api/agents.h

-- row store_agent_auth: agent_id uuid, agent_name text, workspace_id uuid, workspace_name text, owner_id uuid,
--     owner_username text, organization_id uuid, template_id uuid, build_id uuid, job_id uuid

-- An agent by its token's hash, of a workspace's latest build only. Also one whose build has not ended: an agent may
-- be up before terraform is.
-- query store_agent_by_token(hashed_token bytes) -> optional store_agent_auth
SELECT a.id AS agent_id, a.name AS agent_name, w.id AS workspace_id, w.name AS workspace_name, w.owner_id,
       w.owner_username, w.organization_id, w.template_id, b.id AS build_id, b.job_id
FROM workspace_agents a
JOIN workspace_resources r ON r.id = a.resource_id
JOIN workspace_builds b ON b.job_id = r.job_id AND b.transition = 'start'
JOIN workspaces w ON w.latest_build_id = b.id AND NOT w.deleted
WHERE a.hashed_token = $hashed_token AND a.hashed_token <> '' AND NOT a.deleted;

-- status is computed as of now. workspace_id, owner_id and so on are nil for agents of an import's plan.
-- row store_agent: id uuid, resource_id uuid, parent_id uuid?, name text, instance_id text, architecture text,
--     operating_system text, environment_variables jsonmap, directory text, motd_file text,
--     display_apps enum api_display_app[], connection_timeout_seconds int, troubleshooting_url text,
--     startup_script_behavior enum api_workspace_agent_startup_script_behavior, api_key_scope text,
--     resources_monitoring json, display_order int, version text, api_version text, expanded_directory text,
--     subsystems enum api_agent_subsystem[], session_cert_sha256 bytes,
--     lifecycle_state enum api_workspace_agent_lifecycle, latency json, logs_length int, logs_overflowed bool,
--     started_at time?, ready_at time?, first_connected_at time?, last_connected_at time?,
--     disconnected_at time?, created_at time, updated_at time, status enum api_workspace_agent_status

-- query store_agent_by_id(id uuid) -> one store_agent
SELECT {a - status}, workspace_agent_status(a.created_at, a.first_connected_at, a.last_connected_at, a.disconnected_at,
                                            a.connection_timeout_seconds) AS status
FROM workspace_agents a
WHERE a.id = $id AND NOT a.deleted;

-- query store_agents_by_jobs(job_ids uuid[]) -> many store_agent
SELECT {a - status}, workspace_agent_status(a.created_at, a.first_connected_at, a.last_connected_at, a.disconnected_at,
                                            a.connection_timeout_seconds) AS status
FROM workspace_resources r
JOIN workspace_agents a ON a.resource_id = r.id AND NOT a.deleted
WHERE r.job_id = ANY ($job_ids)
ORDER BY a.resource_id, a.display_order, a.name;

-- What changes while a build's resources stay as they are.
-- row store_agent_state: id uuid, version text, api_version text, expanded_directory text,
--     subsystems enum api_agent_subsystem[], lifecycle_state enum api_workspace_agent_lifecycle, logs_length int,
--     logs_overflowed bool, started_at time?, ready_at time?, first_connected_at time?, last_connected_at time?,
--     disconnected_at time?, updated_at time, status enum api_workspace_agent_status

-- Ordered by id.
-- query store_agent_states(ids uuid[]) -> many store_agent_state
SELECT {a - status}, workspace_agent_status(a.created_at, a.first_connected_at, a.last_connected_at, a.disconnected_at,
                                            a.connection_timeout_seconds) AS status
FROM workspace_agents a
WHERE a.id = ANY ($ids) AND NOT a.deleted
ORDER BY a.id;

-- query store_agent_insert(id uuid, resource_id uuid, parent_id uuid?, name text, hashed_token bytes, instance_id text, architecture text, operating_system text, environment_variables jsonmap, directory text, motd_file text, display_apps text[], connection_timeout_seconds int, troubleshooting_url text, startup_script_behavior text, api_key_scope text, resources_monitoring json, display_order int) -> exec
INSERT INTO workspace_agents (id, resource_id, parent_id, name, hashed_token, instance_id, architecture, operating_system,
    environment_variables, directory, motd_file, display_apps, connection_timeout_seconds, troubleshooting_url,
    startup_script_behavior, api_key_scope, resources_monitoring, display_order)
VALUES ($id, $resource_id, $parent_id, $name, $hashed_token, $instance_id, $architecture, $operating_system,
    $environment_variables, $directory, $motd_file, $display_apps, $connection_timeout_seconds, $troubleshooting_url,
    $startup_script_behavior, $api_key_scope, $resources_monitoring, $display_order);

-- ---- what agents say of themselves ----

-- query store_agent_set_startup(id uuid, version text, api_version text, expanded_directory text, subsystems text[], session_cert_sha256 bytes) -> exec
UPDATE workspace_agents
SET version = $version, api_version = $api_version, expanded_directory = $expanded_directory, subsystems = $subsystems,
    session_cert_sha256 = $session_cert_sha256, updated_at = now()
WHERE id = $id;

-- States only move forwards within a start of the agent, whose first is starting. 0 rows: it was older.
-- query store_agent_set_lifecycle(id uuid, state enum api_workspace_agent_lifecycle, changed_at time) -> exec
UPDATE workspace_agents
SET lifecycle_state = $state, updated_at = now(),
    started_at = CASE WHEN $state = 'starting' THEN $changed_at ELSE started_at END,
    ready_at = CASE WHEN $state = 'starting' THEN NULL
                    WHEN $state IN ('ready', 'start_timeout', 'start_error') THEN $changed_at
                    ELSE ready_at END
WHERE id = $id
  AND ($state = 'starting'
       OR array_position('{created,starting,start_timeout,start_error,ready,shutting_down,shutdown_timeout,shutdown_error,off}', $state)
          > array_position('{created,starting,start_timeout,start_error,ready,shutting_down,shutdown_timeout,shutdown_error,off}', lifecycle_state));

-- Heartbeats, many at once. The ids of agents that were not connected before come back: their watchers want to know.
-- query store_agents_alive(ids uuid[], at time) -> many uuid
WITH was AS (
    SELECT id, workspace_agent_status(created_at, first_connected_at, last_connected_at, disconnected_at,
                                      connection_timeout_seconds) AS status
    FROM workspace_agents
    WHERE id = ANY ($ids) AND NOT deleted
    ORDER BY id
    FOR UPDATE
), alive AS (
    UPDATE workspace_agents a
    SET first_connected_at = coalesce(a.first_connected_at, $at), last_connected_at = greatest(a.last_connected_at, $at),
        disconnected_at = CASE WHEN a.disconnected_at >= $at THEN a.disconnected_at END
    FROM was
    WHERE a.id = was.id
    RETURNING a.id, was.status
)
SELECT id FROM alive WHERE status <> 'connected';

-- query store_agent_disconnected(id uuid, at time) -> exec
UPDATE workspace_agents SET disconnected_at = $at, updated_at = now()
WHERE id = $id AND last_connected_at <= $at;

-- Is the agent's build still its workspace's latest?
-- query store_agent_current(id uuid) -> one bool
SELECT EXISTS (SELECT FROM workspace_agents a
               JOIN workspace_resources r ON r.id = a.resource_id
               JOIN workspace_builds b ON b.job_id = r.job_id AND b.transition = 'start'
               JOIN workspaces w ON w.latest_build_id = b.id AND NOT w.deleted
               WHERE a.id = $id AND NOT a.deleted);

-- ---- apps ----

-- row store_app: id uuid, agent_id uuid, slug text, display_name text, icon text, command text, url text,
--     external bool, subdomain bool, sharing_level enum api_workspace_app_sharing_level, healthcheck_url text,
--     healthcheck_interval int, healthcheck_threshold int, health enum api_workspace_app_health,
--     display_order int, display_group text, hidden bool, open_in enum api_workspace_app_open_in, tooltip text

-- query store_apps_by_jobs(job_ids uuid[]) -> many store_app
SELECT {p}
FROM workspace_resources r
JOIN workspace_agents a ON a.resource_id = r.id AND NOT a.deleted
JOIN workspace_apps p ON p.agent_id = a.id
WHERE r.job_id = ANY ($job_ids)
ORDER BY p.agent_id, p.display_order, p.slug;

-- row store_app_health: id uuid, health enum api_workspace_app_health

-- Ordered by id.
-- query store_app_healths(agent_ids uuid[]) -> many store_app_health
SELECT {p} FROM workspace_apps p WHERE p.agent_id = ANY ($agent_ids) ORDER BY p.id;

-- query store_apps_by_agent(agent_id uuid) -> many store_app
SELECT {p} FROM workspace_apps p WHERE p.agent_id = $agent_id ORDER BY p.display_order, p.slug;

-- query store_app_insert(id uuid, agent_id uuid, slug text, display_name text, icon text, command text, url text, external bool, subdomain bool, sharing_level text, healthcheck_url text, healthcheck_interval int, healthcheck_threshold int, health enum api_workspace_app_health, display_order int, display_group text, hidden bool, open_in text, tooltip text) -> exec
INSERT INTO workspace_apps (id, agent_id, slug, display_name, icon, command, url, external, subdomain, sharing_level,
    healthcheck_url, healthcheck_interval, healthcheck_threshold, health, display_order, display_group, hidden, open_in,
    tooltip)
VALUES ($id, $agent_id, $slug, $display_name, $icon, $command, $url, $external, $subdomain, $sharing_level,
    $healthcheck_url, $healthcheck_interval, $healthcheck_threshold, $health, $display_order, $display_group, $hidden,
    $open_in, $tooltip);

-- Only apps of the agent itself. Rows: those that changed.
-- query store_apps_set_health(agent_id uuid, ids uuid[], healths text[]) -> exec
UPDATE workspace_apps p SET health = x.health
FROM unnest($ids, $healths) AS x (id, health)
WHERE p.id = x.id AND p.agent_id = $agent_id AND p.health <> x.health;

-- row store_app_status: id uuid, workspace_id uuid, agent_id uuid, app_id uuid,
--     state enum api_workspace_app_status_state, message text, uri text, created_at time

-- Of each app the newest first; ordered by app.
-- query store_app_statuses_by_agents(agent_ids uuid[]) -> many store_app_status
SELECT {s} FROM workspace_app_statuses s
WHERE s.agent_id = ANY ($agent_ids)
ORDER BY s.app_id, s.created_at DESC;

-- The app is named by its slug; 0 rows when the agent has none of this name.
-- query store_app_status_insert(id uuid, workspace_id uuid, agent_id uuid, slug text, state enum api_workspace_app_status_state, message text, uri text) -> exec
INSERT INTO workspace_app_statuses (id, workspace_id, agent_id, app_id, state, message, uri)
SELECT $id, $workspace_id, $agent_id, p.id, $state, $message, $uri
FROM workspace_apps p WHERE p.agent_id = $agent_id AND p.slug = $slug;

-- ---- scripts ----

-- exit_code and status: see store_script_results.
-- row store_script: id uuid, agent_id uuid, log_source_id uuid, log_path text, display_name text, script text,
--     cron text, start_blocks_login bool, run_on_start bool, run_on_stop bool, timeout_seconds int,
--     exit_code int?, status enum api_workspace_agent_script_status

-- query store_scripts_by_jobs(job_ids uuid[]) -> many store_script
SELECT {s - exit_code, status}, NULL::integer AS exit_code, '' AS status
FROM workspace_resources r
JOIN workspace_agents a ON a.resource_id = r.id AND NOT a.deleted
JOIN workspace_agent_scripts s ON s.agent_id = a.id
WHERE r.job_id = ANY ($job_ids)
ORDER BY s.agent_id, s.display_name, s.id;

-- row store_script_result: script_id uuid, exit_code int, status enum api_workspace_agent_script_status

-- Of the last run at start, for those that ran. Ordered by script.
-- query store_script_results(script_ids uuid[]) -> many store_script_result
SELECT DISTINCT ON (t.script_id) t.script_id, t.exit_code, t.status
FROM workspace_agent_script_timings t
WHERE t.script_id = ANY ($script_ids) AND t.stage = 'start'
ORDER BY t.script_id, t.started_at DESC;

-- query store_scripts_by_agent(agent_id uuid) -> many store_script
SELECT {s - exit_code, status}, NULL::integer AS exit_code, '' AS status
FROM workspace_agent_scripts s
WHERE s.agent_id = $agent_id
ORDER BY s.display_name, s.id;

-- query store_script_insert(id uuid, agent_id uuid, log_source_id uuid, log_path text, display_name text, script text, cron text, start_blocks_login bool, run_on_start bool, run_on_stop bool, timeout_seconds int) -> exec
INSERT INTO workspace_agent_scripts (id, agent_id, log_source_id, log_path, display_name, script, cron,
    start_blocks_login, run_on_start, run_on_stop, timeout_seconds)
VALUES ($id, $agent_id, $log_source_id, $log_path, $display_name, $script, $cron, $start_blocks_login, $run_on_start,
    $run_on_stop, $timeout_seconds);

-- Only scripts of the agent itself; a repeated report changes nothing.
-- query store_script_timing_insert(agent_id uuid, script_id uuid, started_at time, ended_at time, exit_code int, stage text, status text) -> exec
INSERT INTO workspace_agent_script_timings (script_id, started_at, ended_at, exit_code, stage, status)
SELECT s.id, $started_at, $ended_at, $exit_code, $stage, $status
FROM workspace_agent_scripts s WHERE s.id = $script_id AND s.agent_id = $agent_id
ON CONFLICT DO NOTHING;

-- row store_script_timing: agent_id uuid, agent_name text, display_name text, started_at time, ended_at time,
--     exit_code int, stage text, status text

-- query store_script_timings_by_job(job_id uuid) -> many store_script_timing
SELECT a.id AS agent_id, a.name AS agent_name, s.display_name, t.started_at, t.ended_at, t.exit_code, t.stage, t.status
FROM workspace_resources r
JOIN workspace_agents a ON a.resource_id = r.id AND NOT a.deleted
JOIN workspace_agent_scripts s ON s.agent_id = a.id
JOIN workspace_agent_script_timings t ON t.script_id = s.id
WHERE r.job_id = $job_id
ORDER BY t.started_at;

-- ---- logs ----

-- Ordered by agent.
-- query store_log_sources_by_agents(agent_ids uuid[]) -> many api_workspace_agent_log_source
SELECT l.workspace_agent_id, l.id, l.created_at, l.display_name, l.icon
FROM workspace_agent_log_sources l
WHERE l.workspace_agent_id = ANY ($agent_ids)
ORDER BY l.workspace_agent_id, l.created_at, l.id;

-- The same id again is the same source.
-- query store_log_source_set(agent_id uuid, id uuid, display_name text, icon text) -> one api_workspace_agent_log_source
INSERT INTO workspace_agent_log_sources AS l (workspace_agent_id, id, display_name, icon)
VALUES ($agent_id, $id, $display_name, $icon)
ON CONFLICT (workspace_agent_id, id) DO UPDATE SET display_name = l.display_name
RETURNING l.workspace_agent_id, l.id, l.created_at, l.display_name, l.icon;

-- Where the sequence of a source goes on; locks the source until the transaction ends.
-- query store_log_source_next(agent_id uuid, id uuid) -> optional int
SELECT next_seq FROM workspace_agent_log_sources
WHERE workspace_agent_id = $agent_id AND id = $id
FOR UPDATE;

-- row store_logs_state: next_seq int, overflowed bool

-- Appends lines of a source, the first of which has position first_seq in its sequence: those that have arrived
-- already are left out. Lines past max_bytes of the agent's output in all are dropped. No row: no such agent.
-- query store_agent_logs_append(agent_id uuid, log_source_id uuid, first_seq int, max_bytes int, times time[], levels text[], outputs text[]) -> optional store_logs_state
WITH agent AS (
    SELECT id, logs_length, logs_overflowed FROM workspace_agents WHERE id = $agent_id AND NOT deleted FOR UPDATE
), source AS (
    INSERT INTO workspace_agent_log_sources AS l (workspace_agent_id, id, next_seq)
    SELECT id, $log_source_id, $first_seq + cardinality($outputs) FROM agent
    ON CONFLICT (workspace_agent_id, id) DO UPDATE SET next_seq = greatest(l.next_seq, excluded.next_seq)
    RETURNING l.next_seq
), seen AS (
    SELECT coalesce((SELECT next_seq FROM workspace_agent_log_sources
                     WHERE workspace_agent_id = (SELECT id FROM agent) AND id = $log_source_id), 0) AS next_seq
), lines AS (
    SELECT x.*, sum(octet_length(x.output) + 1) OVER (ORDER BY x.n) AS upto
    FROM seen, unnest($times, $levels, $outputs) WITH ORDINALITY AS x (created_at, level, output, n)
    WHERE $first_seq + x.n - 1 >= seen.next_seq
), fit AS (
    SELECT lines.* FROM agent, lines
    WHERE NOT agent.logs_overflowed AND agent.logs_length + lines.upto <= $max_bytes
), kept AS (
    INSERT INTO workspace_agent_logs (agent_id, log_source_id, created_at, level, output)
    SELECT $agent_id, $log_source_id, created_at, level, output FROM fit ORDER BY n
)
UPDATE workspace_agents a
SET logs_length = agent.logs_length + coalesce((SELECT max(upto) FROM fit), 0),
    logs_overflowed = agent.logs_overflowed OR (SELECT count(*) FROM fit) < (SELECT count(*) FROM lines)
FROM agent, source
WHERE a.id = agent.id
RETURNING source.next_seq, a.logs_overflowed AS overflowed;

-- after and before are ids, 0: no bound. limit 0: all.
-- query store_agent_logs(agent_id uuid, after int, before int, limit int) -> many api_workspace_agent_log
SELECT id, created_at, output, level, log_source_id AS source_id
FROM workspace_agent_logs
WHERE agent_id = $agent_id AND id > $after AND ($before = 0 OR id < $before)
ORDER BY id
LIMIT nullif($limit, 0);

-- row store_log_label: agent_name text, source_id uuid?, source_name text

-- Under which names an agent's logs show as text; one row without a source when there is none.
-- query store_agent_log_labels(agent_id uuid) -> many store_log_label
SELECT a.name AS agent_name, l.id AS source_id, coalesce(l.display_name, '') AS source_name
FROM workspace_agents a
LEFT JOIN workspace_agent_log_sources l ON l.workspace_agent_id = a.id
WHERE a.id = $agent_id;

-- Logs of agents that were last heard of before, and that are not of a latest build.
-- query store_agent_logs_purge(heard_before time) -> exec
DELETE FROM workspace_agent_logs l USING workspace_agents a
WHERE a.id = l.agent_id AND coalesce(a.last_connected_at, a.created_at) < $heard_before
  AND NOT EXISTS (SELECT FROM workspace_latest_agents c WHERE c.agent_id = a.id);

-- ---- metadata ----

-- query store_agent_metadata_insert(agent_id uuid, keys text[], display_names text[], scripts text[], intervals int[], timeouts int[], orders int[]) -> exec
INSERT INTO workspace_agent_metadata (agent_id, key, display_name, script, interval_seconds, timeout_seconds,
                                      display_order)
SELECT $agent_id, * FROM unnest($keys, $display_names, $scripts, $intervals, $timeouts, $orders);

-- Written in batches: row i is values[i] of keys[i] of agents[i]. Keys that were not declared are left out.
-- query store_agent_metadata_set(agents uuid[], keys text[], values text[], errors text[], collected_at time[]) -> exec
INSERT INTO workspace_agent_metadata_values AS v (agent_id, key, value, error, collected_at)
SELECT x.* FROM unnest($agents, $keys, $values, $errors, $collected_at) AS x (agent_id, key, value, error, collected_at)
WHERE EXISTS (SELECT FROM workspace_agent_metadata m WHERE m.agent_id = x.agent_id AND m.key = x.key)
ON CONFLICT (agent_id, key) DO UPDATE
SET value = excluded.value, error = excluded.error, collected_at = excluded.collected_at
WHERE v.collected_at <= excluded.collected_at;

-- row store_agent_metadata_row: key text, display_name text, script text, interval_seconds int,
--     timeout_seconds int, display_order int, value text, error text, collected_at time

-- query store_agent_metadata(agent_id uuid) -> many store_agent_metadata_row
SELECT {m - value, error, collected_at}, coalesce(v.value, '') AS value, coalesce(v.error, '') AS error, v.collected_at
FROM workspace_agent_metadata m
LEFT JOIN workspace_agent_metadata_values v ON v.agent_id = m.agent_id AND v.key = m.key
WHERE m.agent_id = $agent_id
ORDER BY m.display_order, m.key;

-- ---- stats ----

-- Written in batches: one row per report.
-- query store_agent_stats_insert(times time[], users uuid[], workspaces uuid[], templates uuid[], agents uuid[], connections int[], rx_bytes int[], tx_bytes int[], vscode int[], jetbrains int[], reconnecting_pty int[], ssh int[], latency_ms float[]) -> exec
INSERT INTO workspace_agent_stats (created_at, user_id, workspace_id, template_id, agent_id, connection_count, rx_bytes,
    tx_bytes, session_count_vscode, session_count_jetbrains, session_count_reconnecting_pty, session_count_ssh,
    connection_median_latency_ms)
SELECT * FROM unnest($times, $users, $workspaces, $templates, $agents, $connections, $rx_bytes, $tx_bytes, $vscode,
                     $jetbrains, $reconnecting_pty, $ssh, $latency_ms);

-- query store_agent_stats_purge(before time) -> exec
DELETE FROM workspace_agent_stats WHERE created_at < $before;
