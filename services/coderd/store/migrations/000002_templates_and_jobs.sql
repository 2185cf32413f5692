-- Provisioners and their jobs; templates and their versions.

CREATE TABLE provisioner_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    hashed_secret bytea NOT NULL,
    tags jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX provisioner_keys_name_key ON provisioner_keys (organization_id, lower(name));
CREATE UNIQUE INDEX provisioner_keys_hashed_secret_key ON provisioner_keys (hashed_secret) WHERE hashed_secret <> '';

-- What a daemon without a key of its own came by; the empty secret matches nothing.
INSERT INTO provisioner_keys (id, organization_id, name, hashed_secret)
SELECT k.id, o.id, k.name, ''
FROM organizations o,
     (VALUES ('00000000-0000-0000-0000-000000000001'::uuid, 'built-in'),
             ('00000000-0000-0000-0000-000000000002'::uuid, 'user-auth'),
             ('00000000-0000-0000-0000-000000000003'::uuid, 'psk')) AS k (id, name)
WHERE o.is_default;

CREATE TABLE provisioner_daemons (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    key_id uuid NOT NULL REFERENCES provisioner_keys (id) ON DELETE CASCADE,
    name text NOT NULL,
    version text NOT NULL DEFAULT '',
    api_version text NOT NULL DEFAULT '',
    provisioners text[] NOT NULL DEFAULT '{terraform}',
    tags jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz
);
-- A daemon that comes back is the same daemon.
CREATE UNIQUE INDEX provisioner_daemons_name_key
    ON provisioner_daemons (organization_id, lower(name), (coalesce(tags ->> 'owner', '')));
CREATE INDEX provisioner_daemons_last_seen_at_idx ON provisioner_daemons (last_seen_at);

CREATE TABLE provisioner_jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    initiator_id uuid NOT NULL REFERENCES users (id),
    type text NOT NULL
        CHECK (type IN ('template_version_import', 'workspace_build', 'template_version_dry_run')),
    provisioner text NOT NULL DEFAULT 'terraform' CHECK (provisioner IN ('terraform', 'echo')),
    storage_method text NOT NULL DEFAULT 'file' CHECK (storage_method IN ('file')),
    file_id uuid NOT NULL,
    tags jsonb NOT NULL,
    input jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    canceled_at timestamptz,
    completed_at timestamptz,
    error text NOT NULL DEFAULT '',
    error_code text NOT NULL DEFAULT ''
        CHECK (error_code IN ('', 'REQUIRED_TEMPLATE_VARIABLES', 'MISSING_TEMPLATE_PARAMETER', 'INSUFFICIENT_QUOTA')),
    worker_id uuid,
    lease_until timestamptz,
    fencing_token bigint NOT NULL DEFAULT 0,
    acquire_request_id text NOT NULL DEFAULT '',
    logs_next_seq bigint NOT NULL DEFAULT 0,
    logs_length bigint NOT NULL DEFAULT 0,
    logs_overflowed boolean NOT NULL DEFAULT false,
    status text NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN error <> '' THEN 'failed'
            WHEN completed_at IS NOT NULL AND canceled_at IS NOT NULL THEN 'canceled'
            WHEN completed_at IS NOT NULL THEN 'succeeded'
            WHEN canceled_at IS NOT NULL THEN 'canceling'
            WHEN started_at IS NULL THEN 'pending'
            ELSE 'running'
        END) STORED
);
COMMENT ON COLUMN provisioner_jobs.fencing_token IS 'Counts leases: what comes with an older token changes nothing.';
COMMENT ON COLUMN provisioner_jobs.acquire_request_id IS 'A repeated request for a job gets the job that it got before.';
COMMENT ON COLUMN provisioner_jobs.logs_next_seq IS 'Lines before it have arrived already.';
CREATE INDEX provisioner_jobs_pending_idx ON provisioner_jobs (organization_id, created_at) WHERE status = 'pending';
CREATE INDEX provisioner_jobs_active_idx ON provisioner_jobs (lease_until) WHERE status IN ('running', 'canceling');
CREATE INDEX provisioner_jobs_organization_id_idx ON provisioner_jobs (organization_id, created_at DESC);
CREATE INDEX provisioner_jobs_worker_id_idx ON provisioner_jobs (worker_id, completed_at DESC NULLS FIRST);

CREATE TABLE provisioner_job_logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id uuid NOT NULL REFERENCES provisioner_jobs (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    source text NOT NULL CHECK (source IN ('provisioner_daemon', 'provisioner')),
    level text NOT NULL CHECK (level IN ('trace', 'debug', 'info', 'warn', 'error')),
    stage text NOT NULL,
    output text NOT NULL
);
CREATE INDEX provisioner_job_logs_job_id_idx ON provisioner_job_logs (job_id, id);

CREATE TABLE provisioner_job_timings (
    job_id uuid NOT NULL REFERENCES provisioner_jobs (id) ON DELETE CASCADE,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    stage text NOT NULL CHECK (stage IN ('init', 'plan', 'graph', 'apply')),
    source text NOT NULL,
    action text NOT NULL,
    resource text NOT NULL
);
CREATE INDEX provisioner_job_timings_job_id_idx ON provisioner_job_timings (job_id);

-- What a daemon sends in parts, until the last part is there.
CREATE TABLE provisioner_job_uploads (
    job_id uuid NOT NULL REFERENCES provisioner_jobs (id) ON DELETE CASCADE,
    what text NOT NULL CHECK (what IN ('state', 'modules')),
    byte_offset bigint NOT NULL CHECK (byte_offset >= 0),
    data bytea NOT NULL,
    PRIMARY KEY (job_id, what, byte_offset)
);
ALTER TABLE provisioner_job_uploads ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE templates (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    created_by uuid NOT NULL REFERENCES users (id),
    name text NOT NULL,
    display_name text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    icon text NOT NULL DEFAULT '',
    provisioner text NOT NULL DEFAULT 'terraform' CHECK (provisioner IN ('terraform', 'echo')),
    active_version_id uuid NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    deprecation_message text NOT NULL DEFAULT '',
    user_acl jsonb NOT NULL DEFAULT '{}',
    group_acl jsonb NOT NULL DEFAULT '{}',
    default_ttl_ms bigint NOT NULL DEFAULT 0,
    activity_bump_ms bigint NOT NULL DEFAULT 3600000,
    time_til_autostop_notify_ms bigint NOT NULL DEFAULT 0,
    autostop_days_of_week text[] NOT NULL DEFAULT '{}',
    autostop_weeks bigint NOT NULL DEFAULT 1,
    autostart_days_of_week text[] NOT NULL
        DEFAULT '{monday,tuesday,wednesday,thursday,friday,saturday,sunday}',
    allow_user_autostart boolean NOT NULL DEFAULT true,
    allow_user_autostop boolean NOT NULL DEFAULT true,
    allow_user_cancel_workspace_jobs boolean NOT NULL DEFAULT true,
    failure_ttl_ms bigint NOT NULL DEFAULT 0,
    time_til_dormant_ms bigint NOT NULL DEFAULT 0,
    time_til_dormant_autodelete_ms bigint NOT NULL DEFAULT 0,
    require_active_version boolean NOT NULL DEFAULT false,
    max_port_share_level text NOT NULL DEFAULT 'owner'
        CHECK (max_port_share_level IN ('owner', 'authenticated', 'organization', 'public')),
    cors_behavior text NOT NULL DEFAULT 'simple' CHECK (cors_behavior IN ('simple', 'passthru')),
    use_classic_parameter_flow boolean NOT NULL DEFAULT false,
    disable_module_cache boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN templates.user_acl IS 'User id -> role: admin or use. group_acl likewise; an organization''s id is its Everyone.';
CREATE UNIQUE INDEX templates_name_key ON templates (organization_id, lower(name)) WHERE NOT deleted;

CREATE TABLE template_versions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    template_id uuid REFERENCES templates (id) ON DELETE CASCADE,
    organization_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    job_id uuid NOT NULL REFERENCES provisioner_jobs (id),
    created_by uuid NOT NULL REFERENCES users (id),
    name text NOT NULL,
    message text NOT NULL DEFAULT '',
    readme text NOT NULL DEFAULT '',
    archived boolean NOT NULL DEFAULT false,
    has_external_agent boolean NOT NULL DEFAULT false,
    external_auth_ids text[] NOT NULL DEFAULT '{}',
    source_example_id text NOT NULL DEFAULT '',
    modules jsonb NOT NULL DEFAULT '{}',
    modules_file_id uuid REFERENCES files (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT template_versions_name_key UNIQUE (template_id, name)
);
COMMENT ON COLUMN template_versions.modules IS 'Source -> version of the modules that the import fetched.';
CREATE UNIQUE INDEX template_versions_job_id_key ON template_versions (job_id);
CREATE INDEX template_versions_template_id_idx ON template_versions (template_id, created_at, id);

CREATE TABLE template_version_parameters (
    template_version_id uuid NOT NULL REFERENCES template_versions (id) ON DELETE CASCADE,
    name text NOT NULL,
    display_name text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    type text NOT NULL CHECK (type IN ('string', 'number', 'bool', 'list(string)')),
    form_type text NOT NULL DEFAULT '',
    mutable boolean NOT NULL DEFAULT false,
    default_value text NOT NULL DEFAULT '',
    icon text NOT NULL DEFAULT '',
    options jsonb NOT NULL DEFAULT '[]',
    validation_error text NOT NULL DEFAULT '',
    validation_regex text NOT NULL DEFAULT '',
    validation_min bigint,
    validation_max bigint,
    validation_monotonic text NOT NULL DEFAULT '' CHECK (validation_monotonic IN ('', 'increasing', 'decreasing')),
    required boolean NOT NULL DEFAULT false,
    ephemeral boolean NOT NULL DEFAULT false,
    display_order bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (template_version_id, name)
);

CREATE TABLE template_version_variables (
    template_version_id uuid NOT NULL REFERENCES template_versions (id) ON DELETE CASCADE,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    type text NOT NULL DEFAULT 'string',
    value text NOT NULL DEFAULT '',
    default_value text NOT NULL DEFAULT '',
    required boolean NOT NULL DEFAULT false,
    sensitive boolean NOT NULL DEFAULT false,
    PRIMARY KEY (template_version_id, name)
);

CREATE TABLE template_version_presets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    template_version_id uuid NOT NULL REFERENCES template_versions (id) ON DELETE CASCADE,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    icon text NOT NULL DEFAULT '',
    is_default boolean NOT NULL DEFAULT false,
    prebuild_instances bigint,
    parameters jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT template_version_presets_name_key UNIQUE (template_version_id, name)
);
COMMENT ON COLUMN template_version_presets.parameters IS 'Name -> value.';
CREATE UNIQUE INDEX template_version_presets_default_key ON template_version_presets (template_version_id)
    WHERE is_default;

CREATE TABLE template_version_workspace_tags (
    template_version_id uuid NOT NULL REFERENCES template_versions (id) ON DELETE CASCADE,
    key text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (template_version_id, key)
);

-- A daemon takes a job whose tags are among its own; one without tags only from a daemon without.
CREATE FUNCTION provisioner_tags_match(job jsonb, daemon jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN job = '{"scope": "organization", "owner": ""}' THEN daemon = job ELSE daemon @> job END
$$;

CREATE VIEW template_version_details AS
    SELECT v.id, v.template_id, v.organization_id, v.job_id, v.created_by, v.name, v.message, v.readme, v.archived,
           v.has_external_agent, v.external_auth_ids, v.modules, v.modules_file_id, v.created_at, v.updated_at,
           u.username AS created_by_username, u.name AS created_by_name, u.avatar_url AS created_by_avatar_url
    FROM template_versions v
    JOIN users u ON u.id = v.created_by;
