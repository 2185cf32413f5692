-- Workspaces, their builds and what the builds made: resources, agents, apps, scripts; what agents report.

CREATE TABLE workspaces (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner_id uuid NOT NULL REFERENCES users (id),
    organization_id uuid NOT NULL REFERENCES organizations (id),
    template_id uuid NOT NULL REFERENCES templates (id),
    name text NOT NULL,
    autostart_schedule text NOT NULL DEFAULT '',
    ttl_ms bigint,
    automatic_updates text NOT NULL DEFAULT 'never' CHECK (automatic_updates IN ('always', 'never')),
    favorite boolean NOT NULL DEFAULT false,
    deleted boolean NOT NULL DEFAULT false,
    user_acl jsonb NOT NULL DEFAULT '{}',
    group_acl jsonb NOT NULL DEFAULT '{}',
    last_used_at timestamptz NOT NULL DEFAULT now(),
    dormant_at timestamptz,
    deleting_at timestamptz,
    next_start_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Kept by triggers, so that a page of a long list is one walk along an index.
    owner_username text NOT NULL DEFAULT '',
    latest_build_id uuid,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'starting', 'running', 'stopping', 'stopped', 'failed', 'canceling', 'canceled',
                          'deleting', 'deleted'))
) WITH (fillfactor = 85);
COMMENT ON COLUMN workspaces.favorite IS 'The owner''s favourite; nobody else sees it.';
COMMENT ON COLUMN workspaces.status IS 'Of the latest build: its transition and the status of its job.';
CREATE UNIQUE INDEX workspaces_owner_name_key ON workspaces (owner_id, lower(name)) WHERE NOT deleted;
-- The order of the list; favourites of the caller, which come first, are looked up apart.
CREATE INDEX workspaces_list_idx
    ON workspaces ((status <> 'running'), lower(owner_username), lower(name)) WHERE NOT deleted;
CREATE INDEX workspaces_template_id_idx ON workspaces (template_id) WHERE NOT deleted;
CREATE INDEX workspaces_organization_id_idx ON workspaces (organization_id) WHERE NOT deleted;
CREATE INDEX workspaces_owner_id_idx ON workspaces (owner_id);
CREATE INDEX workspaces_user_acl_idx ON workspaces USING gin (user_acl);
CREATE INDEX workspaces_group_acl_idx ON workspaces USING gin (group_acl);
CREATE INDEX workspaces_next_start_at_idx ON workspaces (next_start_at) WHERE NOT deleted;

CREATE TABLE workspace_builds (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    template_version_id uuid NOT NULL REFERENCES template_versions (id),
    template_version_preset_id uuid REFERENCES template_version_presets (id) ON DELETE SET NULL,
    job_id uuid NOT NULL REFERENCES provisioner_jobs (id),
    initiator_id uuid NOT NULL REFERENCES users (id),
    build_number bigint NOT NULL CHECK (build_number > 0),
    transition text NOT NULL CHECK (transition IN ('start', 'stop', 'delete')),
    reason text NOT NULL
        CHECK (reason IN ('initiator', 'autostart', 'autostop', 'dormancy', 'dashboard', 'cli', 'ssh_connection',
                          'vscode_connection', 'jetbrains_connection', 'task_auto_pause', 'task_manual_pause',
                          'task_resume')),
    provisioner_state bytea,
    deadline timestamptz,
    max_deadline timestamptz,
    daily_cost bigint NOT NULL DEFAULT 0,
    has_external_agent boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT workspace_builds_number_key UNIQUE (workspace_id, build_number),
    CONSTRAINT workspace_builds_job_id_key UNIQUE (job_id)
);
ALTER TABLE workspace_builds ALTER COLUMN provisioner_state SET STORAGE EXTERNAL;
COMMENT ON COLUMN workspace_builds.provisioner_state IS 'Terraform''s state after the build; NULL while there is none.';
CREATE INDEX workspace_builds_template_version_id_idx ON workspace_builds (template_version_id);
CREATE INDEX workspace_builds_deadline_idx ON workspace_builds (deadline) WHERE deadline IS NOT NULL;

ALTER TABLE workspaces ADD FOREIGN KEY (latest_build_id) REFERENCES workspace_builds (id) ON DELETE SET NULL;

-- The status that people see, from a build's transition and its job's status.
CREATE FUNCTION workspace_status(transition text, job_status text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE job_status
        WHEN 'running' THEN CASE transition WHEN 'start' THEN 'starting' WHEN 'stop' THEN 'stopping' ELSE 'deleting' END
        WHEN 'succeeded' THEN CASE transition WHEN 'start' THEN 'running' WHEN 'stop' THEN 'stopped' ELSE 'deleted' END
        ELSE job_status
    END
$$;

CREATE FUNCTION workspaces_on_build() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE workspaces w
    SET latest_build_id = NEW.id, status = workspace_status(NEW.transition, j.status), updated_at = now()
    FROM provisioner_jobs j
    WHERE w.id = NEW.workspace_id AND j.id = NEW.job_id
      AND NOT EXISTS (SELECT FROM workspace_builds b
                      WHERE b.workspace_id = NEW.workspace_id AND b.build_number > NEW.build_number);
    RETURN NULL;
END $$;
CREATE TRIGGER workspaces_on_build AFTER INSERT ON workspace_builds
    FOR EACH ROW EXECUTE FUNCTION workspaces_on_build();

CREATE FUNCTION workspaces_on_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE workspaces w
    SET status = workspace_status(b.transition, NEW.status), updated_at = now()
    FROM workspace_builds b
    WHERE b.job_id = NEW.id AND w.latest_build_id = b.id;
    RETURN NULL;
END $$;
CREATE TRIGGER workspaces_on_job AFTER UPDATE ON provisioner_jobs
    FOR EACH ROW WHEN (NEW.type = 'workspace_build' AND NEW.status <> OLD.status)
    EXECUTE FUNCTION workspaces_on_job();

CREATE FUNCTION workspaces_set_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.owner_username := (SELECT username FROM users WHERE id = NEW.owner_id);
    RETURN NEW;
END $$;
CREATE TRIGGER workspaces_set_owner BEFORE INSERT OR UPDATE OF owner_id ON workspaces
    FOR EACH ROW EXECUTE FUNCTION workspaces_set_owner();

CREATE FUNCTION workspaces_on_username() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE workspaces SET owner_username = NEW.username WHERE owner_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER workspaces_on_username AFTER UPDATE ON users
    FOR EACH ROW WHEN (NEW.username <> OLD.username) EXECUTE FUNCTION workspaces_on_username();

CREATE TABLE workspace_build_parameters (
    workspace_build_id uuid NOT NULL REFERENCES workspace_builds (id) ON DELETE CASCADE,
    name text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (workspace_build_id, name)
);

CREATE TABLE workspace_resources (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES provisioner_jobs (id) ON DELETE CASCADE,
    transition text NOT NULL CHECK (transition IN ('start', 'stop', 'delete')),
    type text NOT NULL,
    name text NOT NULL,
    hide boolean NOT NULL DEFAULT false,
    icon text NOT NULL DEFAULT '',
    instance_type text NOT NULL DEFAULT '',
    module_path text NOT NULL DEFAULT '',
    daily_cost bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX workspace_resources_job_id_idx ON workspace_resources (job_id);

CREATE TABLE workspace_resource_metadata (
    resource_id uuid NOT NULL REFERENCES workspace_resources (id) ON DELETE CASCADE,
    position integer NOT NULL,
    key text NOT NULL,
    value text NOT NULL DEFAULT '',
    sensitive boolean NOT NULL DEFAULT false,
    PRIMARY KEY (resource_id, position)
);

CREATE TABLE workspace_agents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    resource_id uuid NOT NULL REFERENCES workspace_resources (id) ON DELETE CASCADE,
    parent_id uuid REFERENCES workspace_agents (id) ON DELETE CASCADE,
    name text NOT NULL,
    hashed_token bytea NOT NULL,
    instance_id text NOT NULL DEFAULT '',
    architecture text NOT NULL DEFAULT '',
    operating_system text NOT NULL DEFAULT '',
    environment_variables jsonb NOT NULL DEFAULT '{}',
    directory text NOT NULL DEFAULT '',
    motd_file text NOT NULL DEFAULT '',
    display_apps text[] NOT NULL DEFAULT '{}',
    connection_timeout_seconds integer NOT NULL DEFAULT 120,
    troubleshooting_url text NOT NULL DEFAULT '',
    startup_script_behavior text NOT NULL DEFAULT 'non-blocking'
        CHECK (startup_script_behavior IN ('blocking', 'non-blocking')),
    api_key_scope text NOT NULL DEFAULT 'all' CHECK (api_key_scope IN ('all', 'no_user_data')),
    resources_monitoring jsonb NOT NULL DEFAULT '{}',
    display_order bigint NOT NULL DEFAULT 0,
    deleted boolean NOT NULL DEFAULT false,
    -- What the agent says of itself.
    version text NOT NULL DEFAULT '',
    api_version text NOT NULL DEFAULT '',
    expanded_directory text NOT NULL DEFAULT '',
    subsystems text[] NOT NULL DEFAULT '{}',
    session_cert_sha256 bytea NOT NULL DEFAULT '',
    lifecycle_state text NOT NULL DEFAULT 'created'
        CHECK (lifecycle_state IN ('created', 'starting', 'start_timeout', 'start_error', 'ready', 'shutting_down',
                                   'shutdown_timeout', 'shutdown_error', 'off')),
    latency jsonb NOT NULL DEFAULT '{}',
    logs_length bigint NOT NULL DEFAULT 0,
    logs_overflowed boolean NOT NULL DEFAULT false,
    started_at timestamptz,
    ready_at timestamptz,
    first_connected_at timestamptz,
    last_connected_at timestamptz,
    disconnected_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
COMMENT ON COLUMN workspace_agents.hashed_token IS 'SHA-256 of the token; empty when the agent signs in by instance_id.';
-- Not unique: an agent that its template keeps has the same token in every build.
CREATE INDEX workspace_agents_hashed_token_idx ON workspace_agents (hashed_token) WHERE hashed_token <> '';
CREATE INDEX workspace_agents_instance_id_idx ON workspace_agents (instance_id) WHERE instance_id <> '';
CREATE INDEX workspace_agents_resource_id_idx ON workspace_agents (resource_id);
CREATE INDEX workspace_agents_parent_id_idx ON workspace_agents (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE workspace_apps (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id uuid NOT NULL REFERENCES workspace_agents (id) ON DELETE CASCADE,
    slug text NOT NULL,
    display_name text NOT NULL DEFAULT '',
    icon text NOT NULL DEFAULT '',
    command text NOT NULL DEFAULT '',
    url text NOT NULL DEFAULT '',
    external boolean NOT NULL DEFAULT false,
    subdomain boolean NOT NULL DEFAULT false,
    sharing_level text NOT NULL DEFAULT 'owner'
        CHECK (sharing_level IN ('owner', 'authenticated', 'organization', 'public')),
    healthcheck_url text NOT NULL DEFAULT '',
    healthcheck_interval integer NOT NULL DEFAULT 0,
    healthcheck_threshold integer NOT NULL DEFAULT 0,
    health text NOT NULL DEFAULT 'disabled'
        CHECK (health IN ('disabled', 'initializing', 'healthy', 'unhealthy')),
    display_order bigint NOT NULL DEFAULT 0,
    display_group text NOT NULL DEFAULT '',
    hidden boolean NOT NULL DEFAULT false,
    open_in text NOT NULL DEFAULT 'slim-window' CHECK (open_in IN ('slim-window', 'tab')),
    tooltip text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT workspace_apps_slug_key UNIQUE (agent_id, slug)
);
COMMENT ON COLUMN workspace_apps.healthcheck_interval IS 'Seconds.';

CREATE TABLE workspace_app_statuses (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    agent_id uuid NOT NULL REFERENCES workspace_agents (id) ON DELETE CASCADE,
    app_id uuid NOT NULL REFERENCES workspace_apps (id) ON DELETE CASCADE,
    state text NOT NULL CHECK (state IN ('working', 'idle', 'complete', 'failure')),
    message text NOT NULL DEFAULT '',
    uri text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX workspace_app_statuses_workspace_id_idx ON workspace_app_statuses (workspace_id, created_at DESC);
CREATE INDEX workspace_app_statuses_app_id_idx ON workspace_app_statuses (app_id, created_at DESC);

CREATE TABLE workspace_agent_log_sources (
    workspace_agent_id uuid NOT NULL REFERENCES workspace_agents (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    display_name text NOT NULL DEFAULT '',
    icon text NOT NULL DEFAULT '',
    next_seq bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_agent_id, id)
);
COMMENT ON COLUMN workspace_agent_log_sources.next_seq IS 'Lines before it have arrived already.';

CREATE TABLE workspace_agent_logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_id uuid NOT NULL REFERENCES workspace_agents (id) ON DELETE CASCADE,
    log_source_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    level text NOT NULL CHECK (level IN ('trace', 'debug', 'info', 'warn', 'error')),
    output text NOT NULL
);
CREATE INDEX workspace_agent_logs_agent_id_idx ON workspace_agent_logs (agent_id, id);

CREATE TABLE workspace_agent_scripts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id uuid NOT NULL REFERENCES workspace_agents (id) ON DELETE CASCADE,
    log_source_id uuid NOT NULL,
    log_path text NOT NULL DEFAULT '',
    display_name text NOT NULL DEFAULT '',
    script text NOT NULL,
    cron text NOT NULL DEFAULT '',
    start_blocks_login boolean NOT NULL DEFAULT false,
    run_on_start boolean NOT NULL DEFAULT false,
    run_on_stop boolean NOT NULL DEFAULT false,
    timeout_seconds integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX workspace_agent_scripts_agent_id_idx ON workspace_agent_scripts (agent_id);

CREATE TABLE workspace_agent_script_timings (
    script_id uuid NOT NULL REFERENCES workspace_agent_scripts (id) ON DELETE CASCADE,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    exit_code integer NOT NULL,
    stage text NOT NULL CHECK (stage IN ('start', 'stop', 'cron')),
    status text NOT NULL CHECK (status IN ('ok', 'exit_failure', 'timed_out', 'pipes_left_open')),
    PRIMARY KEY (script_id, started_at)
);

CREATE TABLE workspace_agent_metadata (
    agent_id uuid NOT NULL REFERENCES workspace_agents (id) ON DELETE CASCADE,
    key text NOT NULL,
    display_name text NOT NULL DEFAULT '',
    script text NOT NULL,
    interval_seconds bigint NOT NULL DEFAULT 0,
    timeout_seconds bigint NOT NULL DEFAULT 0,
    display_order bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (agent_id, key)
);

-- The newest values, which come again within seconds: not worth a write-ahead log.
CREATE UNLOGGED TABLE workspace_agent_metadata_values (
    agent_id uuid NOT NULL,
    key text NOT NULL,
    value text NOT NULL DEFAULT '',
    error text NOT NULL DEFAULT '',
    collected_at timestamptz NOT NULL,
    PRIMARY KEY (agent_id, key),
    FOREIGN KEY (agent_id, key) REFERENCES workspace_agent_metadata (agent_id, key) ON DELETE CASCADE
) WITH (fillfactor = 70);

CREATE TABLE workspace_agent_stats (
    created_at timestamptz NOT NULL DEFAULT now(),
    user_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    template_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    connection_count bigint NOT NULL DEFAULT 0,
    rx_bytes bigint NOT NULL DEFAULT 0,
    tx_bytes bigint NOT NULL DEFAULT 0,
    session_count_vscode bigint NOT NULL DEFAULT 0,
    session_count_jetbrains bigint NOT NULL DEFAULT 0,
    session_count_reconnecting_pty bigint NOT NULL DEFAULT 0,
    session_count_ssh bigint NOT NULL DEFAULT 0,
    connection_median_latency_ms double precision NOT NULL DEFAULT -1
);
CREATE INDEX workspace_agent_stats_created_at_idx ON workspace_agent_stats (created_at);
CREATE INDEX workspace_agent_stats_agent_id_idx ON workspace_agent_stats (agent_id, created_at DESC);

CREATE TABLE workspace_app_stats (
    session_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    user_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    access_method text NOT NULL CHECK (access_method IN ('path', 'subdomain', 'terminal')),
    slug_or_port text NOT NULL,
    session_started_at timestamptz NOT NULL,
    session_ended_at timestamptz NOT NULL,
    requests bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (user_id, agent_id, session_id)
);
CREATE INDEX workspace_app_stats_session_ended_at_idx ON workspace_app_stats (session_ended_at);

CREATE TABLE workspace_port_shares (
    workspace_id uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    agent_name text NOT NULL,
    port integer NOT NULL CHECK (port BETWEEN 9 AND 65535),
    share_level text NOT NULL CHECK (share_level IN ('authenticated', 'organization', 'public')),
    protocol text NOT NULL CHECK (protocol IN ('http', 'https')),
    PRIMARY KEY (workspace_id, agent_name, port)
);

-- Templates with what is shown beside them; active users are owners of workspaces that were used this week.
CREATE VIEW template_details AS
    SELECT t.id, t.organization_id, t.created_by, t.name, t.display_name, t.description, t.icon, t.provisioner,
           t.active_version_id, t.deleted, t.deprecation_message, t.user_acl, t.group_acl, t.default_ttl_ms,
           t.activity_bump_ms, t.time_til_autostop_notify_ms, t.autostop_days_of_week, t.autostop_weeks,
           t.autostart_days_of_week, t.allow_user_autostart, t.allow_user_autostop,
           t.allow_user_cancel_workspace_jobs, t.failure_ttl_ms, t.time_til_dormant_ms,
           t.time_til_dormant_autodelete_ms, t.require_active_version, t.max_port_share_level, t.cors_behavior,
           t.use_classic_parameter_flow, t.disable_module_cache, t.created_at, t.updated_at,
           o.name AS organization_name, o.display_name AS organization_display_name, o.icon AS organization_icon,
           u.username AS created_by_name,
           (SELECT count(DISTINCT w.owner_id) FROM workspaces w
            WHERE w.template_id = t.id AND NOT w.deleted AND w.last_used_at > now() - interval '7 days')
               AS active_user_count
    FROM templates t
    JOIN organizations o ON o.id = t.organization_id
    JOIN users u ON u.id = t.created_by;

CREATE VIEW workspace_details AS
    SELECT w.id, w.owner_id, w.organization_id, w.template_id, w.name, w.autostart_schedule, w.ttl_ms,
           w.automatic_updates, w.favorite, w.deleted, w.user_acl, w.group_acl, w.last_used_at, w.dormant_at,
           w.deleting_at, w.next_start_at, w.created_at, w.updated_at, w.owner_username, w.latest_build_id, w.status,
           b.job_id AS latest_job_id, b.template_version_id AS latest_version_id, b.transition AS latest_transition,
           b.template_version_id IS DISTINCT FROM t.active_version_id AS outdated,
           u.avatar_url AS owner_avatar_url, u.name AS owner_name, u.is_system AS is_prebuild,
           o.name AS organization_name,
           t.name AS template_name, t.display_name AS template_display_name, t.icon AS template_icon,
           t.allow_user_cancel_workspace_jobs AS template_allow_user_cancel_workspace_jobs,
           t.active_version_id AS template_active_version_id,
           t.require_active_version AS template_require_active_version,
           t.use_classic_parameter_flow AS template_use_classic_parameter_flow,
           t.allow_user_autostop AS template_allow_user_autostop, t.default_ttl_ms AS template_default_ttl_ms
    FROM workspaces w
    JOIN users u ON u.id = w.owner_id
    JOIN organizations o ON o.id = w.organization_id
    JOIN templates t ON t.id = w.template_id
    LEFT JOIN workspace_builds b ON b.id = w.latest_build_id;

CREATE VIEW workspace_build_details AS
    SELECT b.id, b.workspace_id, b.template_version_id, b.template_version_preset_id, b.job_id, b.initiator_id,
           b.build_number, b.transition, b.reason, b.deadline, b.max_deadline, b.daily_cost, b.has_external_agent,
           b.created_at, b.updated_at, workspace_status(b.transition, j.status) AS status, j.status AS job_status,
           w.name AS workspace_name, w.owner_id AS workspace_owner_id, w.owner_username AS workspace_owner_name,
           w.organization_id, w.template_id, o.avatar_url AS workspace_owner_avatar_url,
           v.name AS template_version_name, i.username AS initiator_name
    FROM workspace_builds b
    JOIN workspaces w ON w.id = b.workspace_id
    JOIN users o ON o.id = w.owner_id
    JOIN users i ON i.id = b.initiator_id
    JOIN template_versions v ON v.id = b.template_version_id
    JOIN provisioner_jobs j ON j.id = b.job_id;

-- How an agent stands, from when it was last heard of: a heartbeat comes every 15 s, and two may be missing.
CREATE FUNCTION workspace_agent_status(created_at timestamptz, first_connected_at timestamptz,
                                       last_connected_at timestamptz, disconnected_at timestamptz,
                                       connection_timeout_seconds integer) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN first_connected_at IS NULL AND connection_timeout_seconds > 0
             AND now() - created_at > make_interval(secs => connection_timeout_seconds) THEN 'timeout'
        WHEN first_connected_at IS NULL THEN 'connecting'
        WHEN disconnected_at >= last_connected_at THEN 'disconnected'
        WHEN now() - last_connected_at > interval '30 seconds' THEN 'disconnected'
        ELSE 'connected'
    END
$$;

-- Agents of each workspace's latest build; agents inside of agents do not count for its health.
CREATE VIEW workspace_latest_agents AS
    SELECT w.id AS workspace_id, a.id AS agent_id, a.name, s.status,
           a.lifecycle_state NOT IN ('start_error', 'shutting_down', 'shutdown_timeout', 'shutdown_error', 'off')
               AND s.status = 'connected' AS healthy
    FROM workspaces w
    JOIN workspace_builds b ON b.id = w.latest_build_id
    JOIN workspace_resources r ON r.job_id = b.job_id
    JOIN workspace_agents a ON a.resource_id = r.id AND a.parent_id IS NULL AND NOT a.deleted
    CROSS JOIN LATERAL workspace_agent_status(a.created_at, a.first_connected_at, a.last_connected_at,
                                              a.disconnected_at, a.connection_timeout_seconds) AS s (status);
