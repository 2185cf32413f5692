-- The schema at the head of migrations/, for reading and for review. Written by tests/contract/sql/schema.py.

CREATE FUNCTION public.organizations_add_everyone() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO groups (id, organization_id, name) VALUES (NEW.id, NEW.id, 'Everyone');
    RETURN NULL;
END $$;

CREATE FUNCTION public.provisioner_tags_match(job jsonb, daemon jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
    SELECT CASE WHEN job = '{"scope": "organization", "owner": ""}' THEN daemon = job ELSE daemon @> job END
$$;

CREATE FUNCTION public.workspace_agent_status(created_at timestamp with time zone, first_connected_at timestamp with time zone, last_connected_at timestamp with time zone, disconnected_at timestamp with time zone, connection_timeout_seconds integer) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT CASE
        WHEN first_connected_at IS NULL AND connection_timeout_seconds > 0
             AND now() - created_at > make_interval(secs => connection_timeout_seconds) THEN 'timeout'
        WHEN first_connected_at IS NULL THEN 'connecting'
        WHEN disconnected_at >= last_connected_at THEN 'disconnected'
        WHEN now() - last_connected_at > interval '30 seconds' THEN 'disconnected'
        ELSE 'connected'
    END
$$;

CREATE FUNCTION public.workspace_status(transition text, job_status text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
    SELECT CASE job_status
        WHEN 'running' THEN CASE transition WHEN 'start' THEN 'starting' WHEN 'stop' THEN 'stopping' ELSE 'deleting' END
        WHEN 'succeeded' THEN CASE transition WHEN 'start' THEN 'running' WHEN 'stop' THEN 'stopped' ELSE 'deleted' END
        ELSE job_status
    END
$$;

CREATE FUNCTION public.workspaces_count_added() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO workspace_counts AS c (organization_id, live)
    SELECT organization_id, count(*) FROM added WHERE NOT deleted GROUP BY organization_id
    ON CONFLICT (organization_id) DO UPDATE SET live = c.live + excluded.live;
    RETURN NULL;
END $$;

CREATE FUNCTION public.workspaces_count_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE workspace_counts
    SET live = live + CASE WHEN TG_OP = 'UPDATE' AND OLD.deleted THEN 1 ELSE -1 END
    WHERE organization_id = OLD.organization_id;
    RETURN NULL;
END $$;

CREATE FUNCTION public.workspaces_on_build() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE workspaces w
    SET latest_build_id = NEW.id, status = workspace_status(NEW.transition, j.status), updated_at = now()
    FROM provisioner_jobs j
    WHERE w.id = NEW.workspace_id AND j.id = NEW.job_id
      AND NOT EXISTS (SELECT FROM workspace_builds b
                      WHERE b.workspace_id = NEW.workspace_id AND b.build_number > NEW.build_number);
    RETURN NULL;
END $$;

CREATE FUNCTION public.workspaces_on_job() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE workspaces w
    SET status = workspace_status(b.transition, NEW.status), updated_at = now()
    FROM workspace_builds b
    WHERE b.job_id = NEW.id AND w.latest_build_id = b.id;
    RETURN NULL;
END $$;

CREATE FUNCTION public.workspaces_on_username() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE workspaces SET owner_username = NEW.username WHERE owner_id = NEW.id;
    RETURN NULL;
END $$;

CREATE FUNCTION public.workspaces_set_owner() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.owner_username := (SELECT username FROM users WHERE id = NEW.owner_id);
    RETURN NEW;
END $$;

CREATE TABLE public.api_keys (
    id text NOT NULL,
    hashed_secret bytea NOT NULL,
    user_id uuid NOT NULL,
    login_type text NOT NULL,
    token_name text DEFAULT ''::text NOT NULL,
    scopes text[] DEFAULT '{coder:all}'::text[] NOT NULL,
    allow_list jsonb DEFAULT '[{"id": "*", "type": "*"}]'::jsonb NOT NULL,
    lifetime_seconds bigint NOT NULL,
    ip_address text DEFAULT ''::text NOT NULL,
    last_used timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT api_keys_id_check CHECK ((length(id) = 10)),
    CONSTRAINT api_keys_login_type_check CHECK ((login_type = ANY (ARRAY['password'::text, 'github'::text, 'oidc'::text, 'token'::text, 'oauth2_provider_app'::text])))
);

CREATE TABLE public.audit_logs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    "time" timestamp with time zone DEFAULT now() NOT NULL,
    user_id uuid,
    organization_id uuid,
    ip text DEFAULT ''::text NOT NULL,
    user_agent text DEFAULT ''::text NOT NULL,
    resource_type text NOT NULL,
    resource_id uuid NOT NULL,
    resource_target text DEFAULT ''::text NOT NULL,
    resource_icon text DEFAULT ''::text NOT NULL,
    action text NOT NULL,
    diff jsonb DEFAULT '{}'::jsonb NOT NULL,
    status_code integer NOT NULL,
    additional_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    request_id uuid NOT NULL
);

CREATE TABLE public.crypto_keys (
    feature text NOT NULL,
    sequence integer NOT NULL,
    secret bytea NOT NULL,
    starts_at timestamp with time zone DEFAULT now() NOT NULL,
    deletes_at timestamp with time zone
);

COMMENT ON TABLE public.crypto_keys IS 'Keys that all replicas share and rotate: signing and sealing of tickets, tokens of apps.';

CREATE TABLE public.file_chunks (
    file_id uuid NOT NULL,
    n integer NOT NULL,
    data bytea NOT NULL,
    CONSTRAINT file_chunks_data_check CHECK (((length(data) >= 1) AND (length(data) <= 1048576))),
    CONSTRAINT file_chunks_n_check CHECK ((n >= 0))
);
ALTER TABLE ONLY public.file_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

COMMENT ON TABLE public.file_chunks IS 'Content in pieces of 1 MiB, counted from 0, so that no statement carries a whole archive.';

CREATE TABLE public.files (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    hash text NOT NULL,
    created_by uuid NOT NULL,
    mimetype text NOT NULL,
    size_bytes bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT files_hash_check CHECK ((length(hash) = 64)),
    CONSTRAINT files_size_bytes_check CHECK ((size_bytes >= 0))
);

COMMENT ON COLUMN public.files.hash IS 'SHA-256 of the content in hex.';

CREATE TABLE public.git_ssh_keys (
    user_id uuid NOT NULL,
    private_key text NOT NULL,
    public_key text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.group_members (
    group_id uuid NOT NULL,
    user_id uuid NOT NULL
);

CREATE TABLE public.organization_members (
    user_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    roles text[] DEFAULT '{}'::text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE VIEW public.group_members_all AS
 SELECT group_members.group_id,
    group_members.user_id
   FROM public.group_members
UNION ALL
 SELECT organization_members.organization_id AS group_id,
    organization_members.user_id
   FROM public.organization_members;

CREATE TABLE public.groups (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    display_name text DEFAULT ''::text NOT NULL,
    avatar_url text DEFAULT ''::text NOT NULL,
    quota_allowance integer DEFAULT 0 NOT NULL,
    source text DEFAULT 'user'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT groups_source_check CHECK ((source = ANY (ARRAY['user'::text, 'oidc'::text])))
);

CREATE TABLE public.organizations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    display_name text DEFAULT ''::text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    icon text DEFAULT ''::text NOT NULL,
    is_default boolean DEFAULT false NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    default_org_member_roles text[] DEFAULT '{organization-workspace-access}'::text[] NOT NULL,
    shareable_workspace_owners text DEFAULT 'everyone'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT organizations_shareable_workspace_owners_check CHECK ((shareable_workspace_owners = ANY (ARRAY['none'::text, 'everyone'::text, 'service_accounts'::text])))
);

CREATE TABLE public.provisioner_daemons (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL,
    name text NOT NULL,
    version text DEFAULT ''::text NOT NULL,
    api_version text DEFAULT ''::text NOT NULL,
    provisioners text[] DEFAULT '{terraform}'::text[] NOT NULL,
    tags jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone
);

CREATE TABLE public.provisioner_job_logs (
    id bigint NOT NULL,
    job_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    source text NOT NULL,
    level text NOT NULL,
    stage text NOT NULL,
    output text NOT NULL,
    CONSTRAINT provisioner_job_logs_level_check CHECK ((level = ANY (ARRAY['trace'::text, 'debug'::text, 'info'::text, 'warn'::text, 'error'::text]))),
    CONSTRAINT provisioner_job_logs_source_check CHECK ((source = ANY (ARRAY['provisioner_daemon'::text, 'provisioner'::text])))
);

ALTER TABLE public.provisioner_job_logs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.provisioner_job_logs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.provisioner_job_timings (
    job_id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    stage text NOT NULL,
    source text NOT NULL,
    action text NOT NULL,
    resource text NOT NULL,
    CONSTRAINT provisioner_job_timings_stage_check CHECK ((stage = ANY (ARRAY['init'::text, 'plan'::text, 'graph'::text, 'apply'::text])))
);

CREATE TABLE public.provisioner_job_uploads (
    job_id uuid NOT NULL,
    what text NOT NULL,
    byte_offset bigint NOT NULL,
    data bytea NOT NULL,
    CONSTRAINT provisioner_job_uploads_byte_offset_check CHECK ((byte_offset >= 0)),
    CONSTRAINT provisioner_job_uploads_what_check CHECK ((what = ANY (ARRAY['state'::text, 'modules'::text])))
);
ALTER TABLE ONLY public.provisioner_job_uploads ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE public.provisioner_jobs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    initiator_id uuid NOT NULL,
    type text NOT NULL,
    provisioner text DEFAULT 'terraform'::text NOT NULL,
    storage_method text DEFAULT 'file'::text NOT NULL,
    file_id uuid NOT NULL,
    tags jsonb NOT NULL,
    input jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    canceled_at timestamp with time zone,
    completed_at timestamp with time zone,
    error text DEFAULT ''::text NOT NULL,
    error_code text DEFAULT ''::text NOT NULL,
    worker_id uuid,
    lease_until timestamp with time zone,
    fencing_token bigint DEFAULT 0 NOT NULL,
    acquire_request_id text DEFAULT ''::text NOT NULL,
    logs_next_seq bigint DEFAULT 0 NOT NULL,
    logs_length bigint DEFAULT 0 NOT NULL,
    logs_overflowed boolean DEFAULT false NOT NULL,
    status text GENERATED ALWAYS AS (
CASE
    WHEN (error <> ''::text) THEN 'failed'::text
    WHEN ((completed_at IS NOT NULL) AND (canceled_at IS NOT NULL)) THEN 'canceled'::text
    WHEN (completed_at IS NOT NULL) THEN 'succeeded'::text
    WHEN (canceled_at IS NOT NULL) THEN 'canceling'::text
    WHEN (started_at IS NULL) THEN 'pending'::text
    ELSE 'running'::text
END) STORED NOT NULL,
    CONSTRAINT provisioner_jobs_error_code_check CHECK ((error_code = ANY (ARRAY[''::text, 'REQUIRED_TEMPLATE_VARIABLES'::text, 'MISSING_TEMPLATE_PARAMETER'::text, 'INSUFFICIENT_QUOTA'::text]))),
    CONSTRAINT provisioner_jobs_provisioner_check CHECK ((provisioner = ANY (ARRAY['terraform'::text, 'echo'::text]))),
    CONSTRAINT provisioner_jobs_storage_method_check CHECK ((storage_method = 'file'::text)),
    CONSTRAINT provisioner_jobs_type_check CHECK ((type = ANY (ARRAY['template_version_import'::text, 'workspace_build'::text, 'template_version_dry_run'::text])))
);

COMMENT ON COLUMN public.provisioner_jobs.fencing_token IS 'Counts leases: what comes with an older token changes nothing.';

COMMENT ON COLUMN public.provisioner_jobs.acquire_request_id IS 'A repeated request for a job gets the job that it got before.';

COMMENT ON COLUMN public.provisioner_jobs.logs_next_seq IS 'Lines before it have arrived already.';

CREATE TABLE public.provisioner_keys (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    hashed_secret bytea NOT NULL,
    tags jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT provisioner_keys_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64)))
);

CREATE TABLE public.replicas (
    id uuid NOT NULL,
    hostname text NOT NULL,
    relay_address text DEFAULT ''::text NOT NULL,
    region_id integer DEFAULT 0 NOT NULL,
    version text NOT NULL,
    database_latency_us bigint DEFAULT 0 NOT NULL,
    error text DEFAULT ''::text NOT NULL,
    is_primary boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    stopped_at timestamp with time zone
);

CREATE TABLE public.site_configs (
    key text NOT NULL,
    value text NOT NULL
);

COMMENT ON TABLE public.site_configs IS 'Settings of the deployment that are not options, one value per key.';

CREATE TABLE public.templates (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    created_by uuid NOT NULL,
    name text NOT NULL,
    display_name text DEFAULT ''::text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    icon text DEFAULT ''::text NOT NULL,
    provisioner text DEFAULT 'terraform'::text NOT NULL,
    active_version_id uuid NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    deprecation_message text DEFAULT ''::text NOT NULL,
    user_acl jsonb DEFAULT '{}'::jsonb NOT NULL,
    group_acl jsonb DEFAULT '{}'::jsonb NOT NULL,
    default_ttl_ms bigint DEFAULT 0 NOT NULL,
    activity_bump_ms bigint DEFAULT 3600000 NOT NULL,
    time_til_autostop_notify_ms bigint DEFAULT 0 NOT NULL,
    autostop_days_of_week text[] DEFAULT '{}'::text[] NOT NULL,
    autostop_weeks bigint DEFAULT 1 NOT NULL,
    autostart_days_of_week text[] DEFAULT '{monday,tuesday,wednesday,thursday,friday,saturday,sunday}'::text[] NOT NULL,
    allow_user_autostart boolean DEFAULT true NOT NULL,
    allow_user_autostop boolean DEFAULT true NOT NULL,
    allow_user_cancel_workspace_jobs boolean DEFAULT true NOT NULL,
    failure_ttl_ms bigint DEFAULT 0 NOT NULL,
    time_til_dormant_ms bigint DEFAULT 0 NOT NULL,
    time_til_dormant_autodelete_ms bigint DEFAULT 0 NOT NULL,
    require_active_version boolean DEFAULT false NOT NULL,
    max_port_share_level text DEFAULT 'owner'::text NOT NULL,
    cors_behavior text DEFAULT 'simple'::text NOT NULL,
    use_classic_parameter_flow boolean DEFAULT false NOT NULL,
    disable_module_cache boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT templates_cors_behavior_check CHECK ((cors_behavior = ANY (ARRAY['simple'::text, 'passthru'::text]))),
    CONSTRAINT templates_max_port_share_level_check CHECK ((max_port_share_level = ANY (ARRAY['owner'::text, 'authenticated'::text, 'organization'::text, 'public'::text]))),
    CONSTRAINT templates_provisioner_check CHECK ((provisioner = ANY (ARRAY['terraform'::text, 'echo'::text])))
);

COMMENT ON COLUMN public.templates.user_acl IS 'User id -> role: admin or use. group_acl likewise; an organization''s id is its Everyone.';

CREATE TABLE public.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    username text NOT NULL,
    email text DEFAULT ''::text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    avatar_url text DEFAULT ''::text NOT NULL,
    hashed_password text DEFAULT ''::text NOT NULL,
    status text DEFAULT 'dormant'::text NOT NULL,
    login_type text DEFAULT 'password'::text NOT NULL,
    rbac_roles text[] DEFAULT '{}'::text[] NOT NULL,
    is_service_account boolean DEFAULT false NOT NULL,
    is_system boolean DEFAULT false NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    quiet_hours_schedule text DEFAULT ''::text NOT NULL,
    github_com_user_id bigint,
    hashed_one_time_passcode text DEFAULT ''::text NOT NULL,
    one_time_passcode_expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone,
    CONSTRAINT users_login_type_check CHECK ((login_type = ANY (ARRAY['password'::text, 'github'::text, 'oidc'::text, 'none'::text]))),
    CONSTRAINT users_status_check CHECK ((status = ANY (ARRAY['active'::text, 'dormant'::text, 'suspended'::text]))),
    CONSTRAINT users_username_check CHECK (((length(username) >= 1) AND (length(username) <= 64)))
);

COMMENT ON COLUMN public.users.is_system IS 'Acts for the deployment itself, is never listed and cannot sign in.';

COMMENT ON COLUMN public.users.last_seen_at IS 'NULL: never.';

CREATE TABLE public.workspaces (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    owner_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    template_id uuid NOT NULL,
    name text NOT NULL,
    autostart_schedule text DEFAULT ''::text NOT NULL,
    ttl_ms bigint,
    automatic_updates text DEFAULT 'never'::text NOT NULL,
    favorite boolean DEFAULT false NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    user_acl jsonb DEFAULT '{}'::jsonb NOT NULL,
    group_acl jsonb DEFAULT '{}'::jsonb NOT NULL,
    last_used_at timestamp with time zone DEFAULT now() NOT NULL,
    dormant_at timestamp with time zone,
    deleting_at timestamp with time zone,
    next_start_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    owner_username text DEFAULT ''::text NOT NULL,
    latest_build_id uuid,
    status text DEFAULT 'pending'::text NOT NULL,
    CONSTRAINT workspaces_automatic_updates_check CHECK ((automatic_updates = ANY (ARRAY['always'::text, 'never'::text]))),
    CONSTRAINT workspaces_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'starting'::text, 'running'::text, 'stopping'::text, 'stopped'::text, 'failed'::text, 'canceling'::text, 'canceled'::text, 'deleting'::text, 'deleted'::text])))
)
WITH (fillfactor='85');

COMMENT ON COLUMN public.workspaces.favorite IS 'The owner''s favourite; nobody else sees it.';

COMMENT ON COLUMN public.workspaces.status IS 'Of the latest build: its transition and the status of its job.';

CREATE VIEW public.template_details AS
 SELECT t.id,
    t.organization_id,
    t.created_by,
    t.name,
    t.display_name,
    t.description,
    t.icon,
    t.provisioner,
    t.active_version_id,
    t.deleted,
    t.deprecation_message,
    t.user_acl,
    t.group_acl,
    t.default_ttl_ms,
    t.activity_bump_ms,
    t.time_til_autostop_notify_ms,
    t.autostop_days_of_week,
    t.autostop_weeks,
    t.autostart_days_of_week,
    t.allow_user_autostart,
    t.allow_user_autostop,
    t.allow_user_cancel_workspace_jobs,
    t.failure_ttl_ms,
    t.time_til_dormant_ms,
    t.time_til_dormant_autodelete_ms,
    t.require_active_version,
    t.max_port_share_level,
    t.cors_behavior,
    t.use_classic_parameter_flow,
    t.disable_module_cache,
    t.created_at,
    t.updated_at,
    o.name AS organization_name,
    o.display_name AS organization_display_name,
    o.icon AS organization_icon,
    u.username AS created_by_name,
    ( SELECT count(DISTINCT w.owner_id) AS count
           FROM public.workspaces w
          WHERE ((w.template_id = t.id) AND (NOT w.deleted) AND (w.last_used_at > (now() - '7 days'::interval)))) AS active_user_count
   FROM ((public.templates t
     JOIN public.organizations o ON ((o.id = t.organization_id)))
     JOIN public.users u ON ((u.id = t.created_by)));

CREATE TABLE public.template_versions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    template_id uuid,
    organization_id uuid NOT NULL,
    job_id uuid NOT NULL,
    created_by uuid NOT NULL,
    name text NOT NULL,
    message text DEFAULT ''::text NOT NULL,
    readme text DEFAULT ''::text NOT NULL,
    archived boolean DEFAULT false NOT NULL,
    has_external_agent boolean DEFAULT false NOT NULL,
    external_auth_ids text[] DEFAULT '{}'::text[] NOT NULL,
    source_example_id text DEFAULT ''::text NOT NULL,
    modules jsonb DEFAULT '{}'::jsonb NOT NULL,
    modules_file_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON COLUMN public.template_versions.modules IS 'Source -> version of the modules that the import fetched.';

CREATE VIEW public.template_version_details AS
 SELECT v.id,
    v.template_id,
    v.organization_id,
    v.job_id,
    v.created_by,
    v.name,
    v.message,
    v.readme,
    v.archived,
    v.has_external_agent,
    v.external_auth_ids,
    v.modules,
    v.modules_file_id,
    v.created_at,
    v.updated_at,
    u.username AS created_by_username,
    u.name AS created_by_name,
    u.avatar_url AS created_by_avatar_url
   FROM (public.template_versions v
     JOIN public.users u ON ((u.id = v.created_by)));

CREATE TABLE public.template_version_parameters (
    template_version_id uuid NOT NULL,
    name text NOT NULL,
    display_name text DEFAULT ''::text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    type text NOT NULL,
    form_type text DEFAULT ''::text NOT NULL,
    mutable boolean DEFAULT false NOT NULL,
    default_value text DEFAULT ''::text NOT NULL,
    icon text DEFAULT ''::text NOT NULL,
    options jsonb DEFAULT '[]'::jsonb NOT NULL,
    validation_error text DEFAULT ''::text NOT NULL,
    validation_regex text DEFAULT ''::text NOT NULL,
    validation_min bigint,
    validation_max bigint,
    validation_monotonic text DEFAULT ''::text NOT NULL,
    required boolean DEFAULT false NOT NULL,
    ephemeral boolean DEFAULT false NOT NULL,
    display_order bigint DEFAULT 0 NOT NULL,
    CONSTRAINT template_version_parameters_type_check CHECK ((type = ANY (ARRAY['string'::text, 'number'::text, 'bool'::text, 'list(string)'::text]))),
    CONSTRAINT template_version_parameters_validation_monotonic_check CHECK ((validation_monotonic = ANY (ARRAY[''::text, 'increasing'::text, 'decreasing'::text])))
);

CREATE TABLE public.template_version_presets (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    template_version_id uuid NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    icon text DEFAULT ''::text NOT NULL,
    is_default boolean DEFAULT false NOT NULL,
    prebuild_instances bigint,
    parameters jsonb DEFAULT '{}'::jsonb NOT NULL
);

COMMENT ON COLUMN public.template_version_presets.parameters IS 'Name -> value.';

CREATE TABLE public.template_version_variables (
    template_version_id uuid NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    type text DEFAULT 'string'::text NOT NULL,
    value text DEFAULT ''::text NOT NULL,
    default_value text DEFAULT ''::text NOT NULL,
    required boolean DEFAULT false NOT NULL,
    sensitive boolean DEFAULT false NOT NULL
);

CREATE TABLE public.user_configs (
    user_id uuid NOT NULL,
    key text NOT NULL,
    value text NOT NULL
);

CREATE TABLE public.workspace_agent_log_sources (
    workspace_agent_id uuid NOT NULL,
    id uuid NOT NULL,
    display_name text DEFAULT ''::text NOT NULL,
    icon text DEFAULT ''::text NOT NULL,
    next_seq bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON COLUMN public.workspace_agent_log_sources.next_seq IS 'Lines before it have arrived already.';

CREATE TABLE public.workspace_agent_logs (
    id bigint NOT NULL,
    agent_id uuid NOT NULL,
    log_source_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    level text NOT NULL,
    output text NOT NULL,
    CONSTRAINT workspace_agent_logs_level_check CHECK ((level = ANY (ARRAY['trace'::text, 'debug'::text, 'info'::text, 'warn'::text, 'error'::text])))
);

ALTER TABLE public.workspace_agent_logs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.workspace_agent_logs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.workspace_agent_metadata (
    agent_id uuid NOT NULL,
    key text NOT NULL,
    display_name text DEFAULT ''::text NOT NULL,
    script text NOT NULL,
    interval_seconds bigint DEFAULT 0 NOT NULL,
    timeout_seconds bigint DEFAULT 0 NOT NULL,
    display_order bigint DEFAULT 0 NOT NULL
);

CREATE UNLOGGED TABLE public.workspace_agent_metadata_values (
    agent_id uuid NOT NULL,
    key text NOT NULL,
    value text DEFAULT ''::text NOT NULL,
    error text DEFAULT ''::text NOT NULL,
    collected_at timestamp with time zone NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE public.workspace_agent_script_timings (
    script_id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    exit_code integer NOT NULL,
    stage text NOT NULL,
    status text NOT NULL,
    CONSTRAINT workspace_agent_script_timings_stage_check CHECK ((stage = ANY (ARRAY['start'::text, 'stop'::text, 'cron'::text]))),
    CONSTRAINT workspace_agent_script_timings_status_check CHECK ((status = ANY (ARRAY['ok'::text, 'exit_failure'::text, 'timed_out'::text, 'pipes_left_open'::text])))
);

CREATE TABLE public.workspace_agent_scripts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    agent_id uuid NOT NULL,
    log_source_id uuid NOT NULL,
    log_path text DEFAULT ''::text NOT NULL,
    display_name text DEFAULT ''::text NOT NULL,
    script text NOT NULL,
    cron text DEFAULT ''::text NOT NULL,
    start_blocks_login boolean DEFAULT false NOT NULL,
    run_on_start boolean DEFAULT false NOT NULL,
    run_on_stop boolean DEFAULT false NOT NULL,
    timeout_seconds integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.workspace_agent_stats (
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    user_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    template_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    connection_count bigint DEFAULT 0 NOT NULL,
    rx_bytes bigint DEFAULT 0 NOT NULL,
    tx_bytes bigint DEFAULT 0 NOT NULL,
    session_count_vscode bigint DEFAULT 0 NOT NULL,
    session_count_jetbrains bigint DEFAULT 0 NOT NULL,
    session_count_reconnecting_pty bigint DEFAULT 0 NOT NULL,
    session_count_ssh bigint DEFAULT 0 NOT NULL,
    connection_median_latency_ms double precision DEFAULT '-1'::integer NOT NULL
);

CREATE TABLE public.workspace_agents (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    resource_id uuid NOT NULL,
    parent_id uuid,
    name text NOT NULL,
    hashed_token bytea NOT NULL,
    instance_id text DEFAULT ''::text NOT NULL,
    architecture text DEFAULT ''::text NOT NULL,
    operating_system text DEFAULT ''::text NOT NULL,
    environment_variables jsonb DEFAULT '{}'::jsonb NOT NULL,
    directory text DEFAULT ''::text NOT NULL,
    motd_file text DEFAULT ''::text NOT NULL,
    display_apps text[] DEFAULT '{}'::text[] NOT NULL,
    connection_timeout_seconds integer DEFAULT 120 NOT NULL,
    troubleshooting_url text DEFAULT ''::text NOT NULL,
    startup_script_behavior text DEFAULT 'non-blocking'::text NOT NULL,
    api_key_scope text DEFAULT 'all'::text NOT NULL,
    resources_monitoring jsonb DEFAULT '{}'::jsonb NOT NULL,
    display_order bigint DEFAULT 0 NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    version text DEFAULT ''::text NOT NULL,
    api_version text DEFAULT ''::text NOT NULL,
    expanded_directory text DEFAULT ''::text NOT NULL,
    subsystems text[] DEFAULT '{}'::text[] NOT NULL,
    session_cert_sha256 bytea DEFAULT '\x'::bytea NOT NULL,
    lifecycle_state text DEFAULT 'created'::text NOT NULL,
    latency jsonb DEFAULT '{}'::jsonb NOT NULL,
    logs_length bigint DEFAULT 0 NOT NULL,
    logs_overflowed boolean DEFAULT false NOT NULL,
    started_at timestamp with time zone,
    ready_at timestamp with time zone,
    first_connected_at timestamp with time zone,
    last_connected_at timestamp with time zone,
    disconnected_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT workspace_agents_api_key_scope_check CHECK ((api_key_scope = ANY (ARRAY['all'::text, 'no_user_data'::text]))),
    CONSTRAINT workspace_agents_lifecycle_state_check CHECK ((lifecycle_state = ANY (ARRAY['created'::text, 'starting'::text, 'start_timeout'::text, 'start_error'::text, 'ready'::text, 'shutting_down'::text, 'shutdown_timeout'::text, 'shutdown_error'::text, 'off'::text]))),
    CONSTRAINT workspace_agents_startup_script_behavior_check CHECK ((startup_script_behavior = ANY (ARRAY['blocking'::text, 'non-blocking'::text])))
)
WITH (fillfactor='70');

COMMENT ON COLUMN public.workspace_agents.hashed_token IS 'SHA-256 of the token; empty when the agent signs in by instance_id.';

CREATE TABLE public.workspace_app_stats (
    session_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    user_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    access_method text NOT NULL,
    slug_or_port text NOT NULL,
    session_started_at timestamp with time zone NOT NULL,
    session_ended_at timestamp with time zone NOT NULL,
    requests bigint DEFAULT 1 NOT NULL,
    CONSTRAINT workspace_app_stats_access_method_check CHECK ((access_method = ANY (ARRAY['path'::text, 'subdomain'::text, 'terminal'::text])))
);

CREATE TABLE public.workspace_app_statuses (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    workspace_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    app_id uuid NOT NULL,
    state text NOT NULL,
    message text DEFAULT ''::text NOT NULL,
    uri text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT workspace_app_statuses_state_check CHECK ((state = ANY (ARRAY['working'::text, 'idle'::text, 'complete'::text, 'failure'::text])))
);

CREATE TABLE public.workspace_apps (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    agent_id uuid NOT NULL,
    slug text NOT NULL,
    display_name text DEFAULT ''::text NOT NULL,
    icon text DEFAULT ''::text NOT NULL,
    command text DEFAULT ''::text NOT NULL,
    url text DEFAULT ''::text NOT NULL,
    external boolean DEFAULT false NOT NULL,
    subdomain boolean DEFAULT false NOT NULL,
    sharing_level text DEFAULT 'owner'::text NOT NULL,
    healthcheck_url text DEFAULT ''::text NOT NULL,
    healthcheck_interval integer DEFAULT 0 NOT NULL,
    healthcheck_threshold integer DEFAULT 0 NOT NULL,
    health text DEFAULT 'disabled'::text NOT NULL,
    display_order bigint DEFAULT 0 NOT NULL,
    display_group text DEFAULT ''::text NOT NULL,
    hidden boolean DEFAULT false NOT NULL,
    open_in text DEFAULT 'slim-window'::text NOT NULL,
    tooltip text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT workspace_apps_health_check CHECK ((health = ANY (ARRAY['disabled'::text, 'initializing'::text, 'healthy'::text, 'unhealthy'::text]))),
    CONSTRAINT workspace_apps_open_in_check CHECK ((open_in = ANY (ARRAY['slim-window'::text, 'tab'::text]))),
    CONSTRAINT workspace_apps_sharing_level_check CHECK ((sharing_level = ANY (ARRAY['owner'::text, 'authenticated'::text, 'organization'::text, 'public'::text])))
);

COMMENT ON COLUMN public.workspace_apps.healthcheck_interval IS 'Seconds.';

CREATE TABLE public.workspace_builds (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    workspace_id uuid NOT NULL,
    template_version_id uuid NOT NULL,
    template_version_preset_id uuid,
    job_id uuid NOT NULL,
    initiator_id uuid NOT NULL,
    build_number bigint NOT NULL,
    transition text NOT NULL,
    reason text NOT NULL,
    provisioner_state bytea,
    deadline timestamp with time zone,
    max_deadline timestamp with time zone,
    daily_cost bigint DEFAULT 0 NOT NULL,
    has_external_agent boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT workspace_builds_build_number_check CHECK ((build_number > 0)),
    CONSTRAINT workspace_builds_reason_check CHECK ((reason = ANY (ARRAY['initiator'::text, 'autostart'::text, 'autostop'::text, 'dormancy'::text, 'dashboard'::text, 'cli'::text, 'ssh_connection'::text, 'vscode_connection'::text, 'jetbrains_connection'::text, 'task_auto_pause'::text, 'task_manual_pause'::text, 'task_resume'::text]))),
    CONSTRAINT workspace_builds_transition_check CHECK ((transition = ANY (ARRAY['start'::text, 'stop'::text, 'delete'::text])))
);
ALTER TABLE ONLY public.workspace_builds ALTER COLUMN provisioner_state SET STORAGE EXTERNAL;

COMMENT ON COLUMN public.workspace_builds.provisioner_state IS 'Terraform''s state after the build; NULL while there is none.';

CREATE VIEW public.workspace_build_details AS
 SELECT b.id,
    b.workspace_id,
    b.template_version_id,
    b.template_version_preset_id,
    b.job_id,
    b.initiator_id,
    b.build_number,
    b.transition,
    b.reason,
    b.deadline,
    b.max_deadline,
    b.daily_cost,
    b.has_external_agent,
    b.created_at,
    b.updated_at,
    public.workspace_status(b.transition, j.status) AS status,
    j.status AS job_status,
    w.name AS workspace_name,
    w.owner_id AS workspace_owner_id,
    w.owner_username AS workspace_owner_name,
    w.organization_id,
    w.template_id,
    o.avatar_url AS workspace_owner_avatar_url,
    v.name AS template_version_name,
    i.username AS initiator_name
   FROM (((((public.workspace_builds b
     JOIN public.workspaces w ON ((w.id = b.workspace_id)))
     JOIN public.users o ON ((o.id = w.owner_id)))
     JOIN public.users i ON ((i.id = b.initiator_id)))
     JOIN public.template_versions v ON ((v.id = b.template_version_id)))
     JOIN public.provisioner_jobs j ON ((j.id = b.job_id)));

CREATE TABLE public.workspace_build_parameters (
    workspace_build_id uuid NOT NULL,
    name text NOT NULL,
    value text NOT NULL
);

CREATE TABLE public.workspace_counts (
    organization_id uuid NOT NULL,
    live bigint NOT NULL
);

COMMENT ON TABLE public.workspace_counts IS 'Workspaces that are not deleted, kept by triggers of workspaces.';

CREATE VIEW public.workspace_details AS
 SELECT w.id,
    w.owner_id,
    w.organization_id,
    w.template_id,
    w.name,
    w.autostart_schedule,
    w.ttl_ms,
    w.automatic_updates,
    w.favorite,
    w.deleted,
    w.user_acl,
    w.group_acl,
    w.last_used_at,
    w.dormant_at,
    w.deleting_at,
    w.next_start_at,
    w.created_at,
    w.updated_at,
    w.owner_username,
    w.latest_build_id,
    w.status,
    b.job_id AS latest_job_id,
    b.template_version_id AS latest_version_id,
    b.transition AS latest_transition,
    (b.template_version_id IS DISTINCT FROM t.active_version_id) AS outdated,
    u.avatar_url AS owner_avatar_url,
    u.name AS owner_name,
    u.is_system AS is_prebuild,
    o.name AS organization_name,
    t.name AS template_name,
    t.display_name AS template_display_name,
    t.icon AS template_icon,
    t.allow_user_cancel_workspace_jobs AS template_allow_user_cancel_workspace_jobs,
    t.active_version_id AS template_active_version_id,
    t.require_active_version AS template_require_active_version,
    t.use_classic_parameter_flow AS template_use_classic_parameter_flow,
    t.allow_user_autostop AS template_allow_user_autostop,
    t.default_ttl_ms AS template_default_ttl_ms
   FROM ((((public.workspaces w
     JOIN public.users u ON ((u.id = w.owner_id)))
     JOIN public.organizations o ON ((o.id = w.organization_id)))
     JOIN public.templates t ON ((t.id = w.template_id)))
     LEFT JOIN public.workspace_builds b ON ((b.id = w.latest_build_id)));

CREATE TABLE public.workspace_resources (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    job_id uuid NOT NULL,
    transition text NOT NULL,
    type text NOT NULL,
    name text NOT NULL,
    hide boolean DEFAULT false NOT NULL,
    icon text DEFAULT ''::text NOT NULL,
    instance_type text DEFAULT ''::text NOT NULL,
    module_path text DEFAULT ''::text NOT NULL,
    daily_cost bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT workspace_resources_transition_check CHECK ((transition = ANY (ARRAY['start'::text, 'stop'::text, 'delete'::text])))
);

CREATE VIEW public.workspace_latest_agents AS
 SELECT w.id AS workspace_id,
    a.id AS agent_id,
    a.name,
    s.status,
    ((a.lifecycle_state <> ALL (ARRAY['start_error'::text, 'shutting_down'::text, 'shutdown_timeout'::text, 'shutdown_error'::text, 'off'::text])) AND (s.status = 'connected'::text)) AS healthy
   FROM ((((public.workspaces w
     JOIN public.workspace_builds b ON ((b.id = w.latest_build_id)))
     JOIN public.workspace_resources r ON ((r.job_id = b.job_id)))
     JOIN public.workspace_agents a ON (((a.resource_id = r.id) AND (a.parent_id IS NULL) AND (NOT a.deleted))))
     CROSS JOIN LATERAL public.workspace_agent_status(a.created_at, a.first_connected_at, a.last_connected_at, a.disconnected_at, a.connection_timeout_seconds) s(status));

CREATE TABLE public.workspace_port_shares (
    workspace_id uuid NOT NULL,
    agent_name text NOT NULL,
    port integer NOT NULL,
    share_level text NOT NULL,
    protocol text NOT NULL,
    CONSTRAINT workspace_port_shares_port_check CHECK (((port >= 9) AND (port <= 65535))),
    CONSTRAINT workspace_port_shares_protocol_check CHECK ((protocol = ANY (ARRAY['http'::text, 'https'::text]))),
    CONSTRAINT workspace_port_shares_share_level_check CHECK ((share_level = ANY (ARRAY['authenticated'::text, 'organization'::text, 'public'::text])))
);

CREATE TABLE public.workspace_resource_metadata (
    resource_id uuid NOT NULL,
    "position" integer NOT NULL,
    key text NOT NULL,
    value text DEFAULT ''::text NOT NULL,
    sensitive boolean DEFAULT false NOT NULL
);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audit_logs
    ADD CONSTRAINT audit_logs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.crypto_keys
    ADD CONSTRAINT crypto_keys_pkey PRIMARY KEY (feature, sequence);

ALTER TABLE ONLY public.file_chunks
    ADD CONSTRAINT file_chunks_pkey PRIMARY KEY (file_id, n);

ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_hash_created_by_key UNIQUE (hash, created_by);

ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.git_ssh_keys
    ADD CONSTRAINT git_ssh_keys_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.group_members
    ADD CONSTRAINT group_members_pkey PRIMARY KEY (user_id, group_id);

ALTER TABLE ONLY public.groups
    ADD CONSTRAINT groups_name_key UNIQUE (organization_id, name);

ALTER TABLE ONLY public.groups
    ADD CONSTRAINT groups_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.organization_members
    ADD CONSTRAINT organization_members_pkey PRIMARY KEY (user_id, organization_id);

ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT organizations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.provisioner_daemons
    ADD CONSTRAINT provisioner_daemons_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.provisioner_job_logs
    ADD CONSTRAINT provisioner_job_logs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.provisioner_job_uploads
    ADD CONSTRAINT provisioner_job_uploads_pkey PRIMARY KEY (job_id, what, byte_offset);

ALTER TABLE ONLY public.provisioner_jobs
    ADD CONSTRAINT provisioner_jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.provisioner_keys
    ADD CONSTRAINT provisioner_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.replicas
    ADD CONSTRAINT replicas_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.site_configs
    ADD CONSTRAINT site_configs_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.template_version_parameters
    ADD CONSTRAINT template_version_parameters_pkey PRIMARY KEY (template_version_id, name);

ALTER TABLE ONLY public.template_version_presets
    ADD CONSTRAINT template_version_presets_name_key UNIQUE (template_version_id, name);

ALTER TABLE ONLY public.template_version_presets
    ADD CONSTRAINT template_version_presets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.template_version_variables
    ADD CONSTRAINT template_version_variables_pkey PRIMARY KEY (template_version_id, name);

ALTER TABLE ONLY public.template_versions
    ADD CONSTRAINT template_versions_name_key UNIQUE (template_id, name);

ALTER TABLE ONLY public.template_versions
    ADD CONSTRAINT template_versions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.templates
    ADD CONSTRAINT templates_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.user_configs
    ADD CONSTRAINT user_configs_pkey PRIMARY KEY (user_id, key);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workspace_agent_log_sources
    ADD CONSTRAINT workspace_agent_log_sources_pkey PRIMARY KEY (workspace_agent_id, id);

ALTER TABLE ONLY public.workspace_agent_logs
    ADD CONSTRAINT workspace_agent_logs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workspace_agent_metadata
    ADD CONSTRAINT workspace_agent_metadata_pkey PRIMARY KEY (agent_id, key);

ALTER TABLE ONLY public.workspace_agent_metadata_values
    ADD CONSTRAINT workspace_agent_metadata_values_pkey PRIMARY KEY (agent_id, key);

ALTER TABLE ONLY public.workspace_agent_script_timings
    ADD CONSTRAINT workspace_agent_script_timings_pkey PRIMARY KEY (script_id, started_at);

ALTER TABLE ONLY public.workspace_agent_scripts
    ADD CONSTRAINT workspace_agent_scripts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workspace_agents
    ADD CONSTRAINT workspace_agents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workspace_app_stats
    ADD CONSTRAINT workspace_app_stats_pkey PRIMARY KEY (user_id, agent_id, session_id);

ALTER TABLE ONLY public.workspace_app_statuses
    ADD CONSTRAINT workspace_app_statuses_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workspace_apps
    ADD CONSTRAINT workspace_apps_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workspace_apps
    ADD CONSTRAINT workspace_apps_slug_key UNIQUE (agent_id, slug);

ALTER TABLE ONLY public.workspace_build_parameters
    ADD CONSTRAINT workspace_build_parameters_pkey PRIMARY KEY (workspace_build_id, name);

ALTER TABLE ONLY public.workspace_builds
    ADD CONSTRAINT workspace_builds_job_id_key UNIQUE (job_id);

ALTER TABLE ONLY public.workspace_builds
    ADD CONSTRAINT workspace_builds_number_key UNIQUE (workspace_id, build_number);

ALTER TABLE ONLY public.workspace_builds
    ADD CONSTRAINT workspace_builds_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workspace_counts
    ADD CONSTRAINT workspace_counts_pkey PRIMARY KEY (organization_id);

ALTER TABLE ONLY public.workspace_port_shares
    ADD CONSTRAINT workspace_port_shares_pkey PRIMARY KEY (workspace_id, agent_name, port);

ALTER TABLE ONLY public.workspace_resource_metadata
    ADD CONSTRAINT workspace_resource_metadata_pkey PRIMARY KEY (resource_id, "position");

ALTER TABLE ONLY public.workspace_resources
    ADD CONSTRAINT workspace_resources_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workspaces
    ADD CONSTRAINT workspaces_pkey PRIMARY KEY (id);

CREATE INDEX api_keys_expires_at_idx ON public.api_keys USING btree (expires_at);

CREATE UNIQUE INDEX api_keys_token_name_key ON public.api_keys USING btree (user_id, token_name) WHERE ((login_type = 'token'::text) AND (token_name <> ''::text));

CREATE INDEX api_keys_user_id_idx ON public.api_keys USING btree (user_id);

CREATE INDEX audit_logs_organization_id_idx ON public.audit_logs USING btree (organization_id, "time" DESC);

CREATE INDEX audit_logs_resource_id_idx ON public.audit_logs USING btree (resource_id);

CREATE INDEX audit_logs_time_idx ON public.audit_logs USING btree ("time" DESC);

CREATE INDEX audit_logs_user_id_idx ON public.audit_logs USING btree (user_id, "time" DESC);

CREATE INDEX group_members_group_id_idx ON public.group_members USING btree (group_id);

CREATE INDEX organization_members_organization_id_idx ON public.organization_members USING btree (organization_id);

CREATE UNIQUE INDEX organizations_default_key ON public.organizations USING btree (is_default) WHERE is_default;

CREATE UNIQUE INDEX organizations_name_key ON public.organizations USING btree (lower(name)) WHERE (NOT deleted);

CREATE UNIQUE INDEX provisioner_daemons_key_name_key ON public.provisioner_daemons USING btree (organization_id, key_id, lower(name), COALESCE((tags ->> 'owner'::text), ''::text));

CREATE INDEX provisioner_daemons_last_seen_at_idx ON public.provisioner_daemons USING btree (last_seen_at);

CREATE INDEX provisioner_job_logs_job_id_idx ON public.provisioner_job_logs USING btree (job_id, id);

CREATE INDEX provisioner_job_timings_job_id_idx ON public.provisioner_job_timings USING btree (job_id);

CREATE INDEX provisioner_jobs_active_idx ON public.provisioner_jobs USING btree (lease_until) WHERE (status = ANY (ARRAY['running'::text, 'canceling'::text]));

CREATE INDEX provisioner_jobs_organization_id_idx ON public.provisioner_jobs USING btree (organization_id, created_at DESC);

CREATE INDEX provisioner_jobs_pending_idx ON public.provisioner_jobs USING btree (organization_id, created_at) WHERE (status = 'pending'::text);

CREATE INDEX provisioner_jobs_worker_id_idx ON public.provisioner_jobs USING btree (worker_id, completed_at DESC);

CREATE UNIQUE INDEX provisioner_keys_hashed_secret_key ON public.provisioner_keys USING btree (hashed_secret) WHERE (hashed_secret <> '\x'::bytea);

CREATE UNIQUE INDEX provisioner_keys_name_key ON public.provisioner_keys USING btree (organization_id, lower(name));

CREATE UNIQUE INDEX template_version_presets_default_key ON public.template_version_presets USING btree (template_version_id) WHERE is_default;

CREATE UNIQUE INDEX template_versions_job_id_key ON public.template_versions USING btree (job_id);

CREATE INDEX template_versions_template_id_idx ON public.template_versions USING btree (template_id, created_at, id);

CREATE UNIQUE INDEX templates_name_key ON public.templates USING btree (organization_id, lower(name)) WHERE (NOT deleted);

CREATE UNIQUE INDEX users_email_key ON public.users USING btree (lower(email)) WHERE ((NOT deleted) AND (email <> ''::text));

CREATE UNIQUE INDEX users_username_key ON public.users USING btree (lower(username)) WHERE (NOT deleted);

CREATE INDEX workspace_agent_logs_agent_id_idx ON public.workspace_agent_logs USING btree (agent_id, id);

CREATE INDEX workspace_agent_scripts_agent_id_idx ON public.workspace_agent_scripts USING btree (agent_id);

CREATE INDEX workspace_agent_stats_agent_id_idx ON public.workspace_agent_stats USING btree (agent_id, created_at DESC);

CREATE INDEX workspace_agent_stats_created_at_idx ON public.workspace_agent_stats USING btree (created_at);

CREATE INDEX workspace_agents_hashed_token_idx ON public.workspace_agents USING btree (hashed_token) WHERE (hashed_token <> '\x'::bytea);

CREATE INDEX workspace_agents_instance_id_idx ON public.workspace_agents USING btree (instance_id) WHERE (instance_id <> ''::text);

CREATE INDEX workspace_agents_parent_id_idx ON public.workspace_agents USING btree (parent_id) WHERE (parent_id IS NOT NULL);

CREATE INDEX workspace_agents_resource_id_idx ON public.workspace_agents USING btree (resource_id);

CREATE INDEX workspace_app_stats_session_ended_at_idx ON public.workspace_app_stats USING btree (session_ended_at);

CREATE INDEX workspace_app_statuses_app_id_idx ON public.workspace_app_statuses USING btree (app_id, created_at DESC);

CREATE INDEX workspace_app_statuses_workspace_id_idx ON public.workspace_app_statuses USING btree (workspace_id, created_at DESC);

CREATE INDEX workspace_builds_deadline_idx ON public.workspace_builds USING btree (deadline) WHERE (deadline IS NOT NULL);

CREATE INDEX workspace_builds_template_version_id_idx ON public.workspace_builds USING btree (template_version_id);

CREATE INDEX workspace_resources_job_id_idx ON public.workspace_resources USING btree (job_id);

CREATE INDEX workspaces_favorite_idx ON public.workspaces USING btree (owner_id) WHERE (favorite AND (NOT deleted));

CREATE INDEX workspaces_group_acl_idx ON public.workspaces USING gin (group_acl);

CREATE INDEX workspaces_list_idx ON public.workspaces USING btree (((status <> 'running'::text)), lower(owner_username), lower(name)) WHERE (NOT deleted);

CREATE INDEX workspaces_next_start_at_idx ON public.workspaces USING btree (next_start_at) WHERE (NOT deleted);

CREATE INDEX workspaces_organization_id_idx ON public.workspaces USING btree (organization_id) WHERE (NOT deleted);

CREATE INDEX workspaces_owner_id_idx ON public.workspaces USING btree (owner_id);

CREATE UNIQUE INDEX workspaces_owner_name_key ON public.workspaces USING btree (owner_id, lower(name)) WHERE (NOT deleted);

CREATE INDEX workspaces_template_id_idx ON public.workspaces USING btree (template_id) WHERE (NOT deleted);

CREATE INDEX workspaces_user_acl_idx ON public.workspaces USING gin (user_acl);

CREATE TRIGGER organizations_add_everyone AFTER INSERT ON public.organizations FOR EACH ROW EXECUTE FUNCTION public.organizations_add_everyone();

CREATE TRIGGER workspaces_count_added AFTER INSERT ON public.workspaces REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.workspaces_count_added();

CREATE TRIGGER workspaces_count_deleted AFTER UPDATE ON public.workspaces FOR EACH ROW WHEN ((old.deleted <> new.deleted)) EXECUTE FUNCTION public.workspaces_count_changed();

CREATE TRIGGER workspaces_count_removed AFTER DELETE ON public.workspaces FOR EACH ROW WHEN ((NOT old.deleted)) EXECUTE FUNCTION public.workspaces_count_changed();

CREATE TRIGGER workspaces_on_build AFTER INSERT ON public.workspace_builds FOR EACH ROW EXECUTE FUNCTION public.workspaces_on_build();

CREATE TRIGGER workspaces_on_job AFTER UPDATE ON public.provisioner_jobs FOR EACH ROW WHEN (((new.type = 'workspace_build'::text) AND (new.status <> old.status))) EXECUTE FUNCTION public.workspaces_on_job();

CREATE TRIGGER workspaces_on_username AFTER UPDATE ON public.users FOR EACH ROW WHEN ((new.username <> old.username)) EXECUTE FUNCTION public.workspaces_on_username();

CREATE TRIGGER workspaces_set_owner BEFORE INSERT OR UPDATE OF owner_id ON public.workspaces FOR EACH ROW EXECUTE FUNCTION public.workspaces_set_owner();

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.file_chunks
    ADD CONSTRAINT file_chunks_file_id_fkey FOREIGN KEY (file_id) REFERENCES public.files(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.git_ssh_keys
    ADD CONSTRAINT git_ssh_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.group_members
    ADD CONSTRAINT group_members_group_id_fkey FOREIGN KEY (group_id) REFERENCES public.groups(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.group_members
    ADD CONSTRAINT group_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.groups
    ADD CONSTRAINT groups_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.organization_members
    ADD CONSTRAINT organization_members_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.organization_members
    ADD CONSTRAINT organization_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.provisioner_daemons
    ADD CONSTRAINT provisioner_daemons_key_id_fkey FOREIGN KEY (key_id) REFERENCES public.provisioner_keys(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.provisioner_daemons
    ADD CONSTRAINT provisioner_daemons_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.provisioner_job_logs
    ADD CONSTRAINT provisioner_job_logs_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.provisioner_jobs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.provisioner_job_timings
    ADD CONSTRAINT provisioner_job_timings_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.provisioner_jobs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.provisioner_job_uploads
    ADD CONSTRAINT provisioner_job_uploads_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.provisioner_jobs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.provisioner_jobs
    ADD CONSTRAINT provisioner_jobs_initiator_id_fkey FOREIGN KEY (initiator_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.provisioner_jobs
    ADD CONSTRAINT provisioner_jobs_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.provisioner_keys
    ADD CONSTRAINT provisioner_keys_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_version_parameters
    ADD CONSTRAINT template_version_parameters_template_version_id_fkey FOREIGN KEY (template_version_id) REFERENCES public.template_versions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_version_presets
    ADD CONSTRAINT template_version_presets_template_version_id_fkey FOREIGN KEY (template_version_id) REFERENCES public.template_versions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_version_variables
    ADD CONSTRAINT template_version_variables_template_version_id_fkey FOREIGN KEY (template_version_id) REFERENCES public.template_versions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_versions
    ADD CONSTRAINT template_versions_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.template_versions
    ADD CONSTRAINT template_versions_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.provisioner_jobs(id);

ALTER TABLE ONLY public.template_versions
    ADD CONSTRAINT template_versions_modules_file_id_fkey FOREIGN KEY (modules_file_id) REFERENCES public.files(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.template_versions
    ADD CONSTRAINT template_versions_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_versions
    ADD CONSTRAINT template_versions_template_id_fkey FOREIGN KEY (template_id) REFERENCES public.templates(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.templates
    ADD CONSTRAINT templates_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.templates
    ADD CONSTRAINT templates_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.user_configs
    ADD CONSTRAINT user_configs_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_agent_log_sources
    ADD CONSTRAINT workspace_agent_log_sources_workspace_agent_id_fkey FOREIGN KEY (workspace_agent_id) REFERENCES public.workspace_agents(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_agent_logs
    ADD CONSTRAINT workspace_agent_logs_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES public.workspace_agents(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_agent_metadata
    ADD CONSTRAINT workspace_agent_metadata_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES public.workspace_agents(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_agent_metadata_values
    ADD CONSTRAINT workspace_agent_metadata_values_agent_id_key_fkey FOREIGN KEY (agent_id, key) REFERENCES public.workspace_agent_metadata(agent_id, key) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_agent_script_timings
    ADD CONSTRAINT workspace_agent_script_timings_script_id_fkey FOREIGN KEY (script_id) REFERENCES public.workspace_agent_scripts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_agent_scripts
    ADD CONSTRAINT workspace_agent_scripts_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES public.workspace_agents(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_agents
    ADD CONSTRAINT workspace_agents_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES public.workspace_agents(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_agents
    ADD CONSTRAINT workspace_agents_resource_id_fkey FOREIGN KEY (resource_id) REFERENCES public.workspace_resources(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_app_statuses
    ADD CONSTRAINT workspace_app_statuses_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES public.workspace_agents(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_app_statuses
    ADD CONSTRAINT workspace_app_statuses_app_id_fkey FOREIGN KEY (app_id) REFERENCES public.workspace_apps(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_app_statuses
    ADD CONSTRAINT workspace_app_statuses_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_apps
    ADD CONSTRAINT workspace_apps_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES public.workspace_agents(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_build_parameters
    ADD CONSTRAINT workspace_build_parameters_workspace_build_id_fkey FOREIGN KEY (workspace_build_id) REFERENCES public.workspace_builds(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_builds
    ADD CONSTRAINT workspace_builds_initiator_id_fkey FOREIGN KEY (initiator_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.workspace_builds
    ADD CONSTRAINT workspace_builds_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.provisioner_jobs(id);

ALTER TABLE ONLY public.workspace_builds
    ADD CONSTRAINT workspace_builds_template_version_id_fkey FOREIGN KEY (template_version_id) REFERENCES public.template_versions(id);

ALTER TABLE ONLY public.workspace_builds
    ADD CONSTRAINT workspace_builds_template_version_preset_id_fkey FOREIGN KEY (template_version_preset_id) REFERENCES public.template_version_presets(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.workspace_builds
    ADD CONSTRAINT workspace_builds_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_counts
    ADD CONSTRAINT workspace_counts_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_port_shares
    ADD CONSTRAINT workspace_port_shares_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_resource_metadata
    ADD CONSTRAINT workspace_resource_metadata_resource_id_fkey FOREIGN KEY (resource_id) REFERENCES public.workspace_resources(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspace_resources
    ADD CONSTRAINT workspace_resources_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.provisioner_jobs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workspaces
    ADD CONSTRAINT workspaces_latest_build_id_fkey FOREIGN KEY (latest_build_id) REFERENCES public.workspace_builds(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.workspaces
    ADD CONSTRAINT workspaces_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(id);

ALTER TABLE ONLY public.workspaces
    ADD CONSTRAINT workspaces_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.workspaces
    ADD CONSTRAINT workspaces_template_id_fkey FOREIGN KEY (template_id) REFERENCES public.templates(id);
