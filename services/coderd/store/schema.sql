-- The schema at the head of migrations/, for reading and for review. Written by tests/contract/sql/schema.py.

CREATE FUNCTION public.organizations_add_everyone() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO groups (id, organization_id, name) VALUES (NEW.id, NEW.id, 'Everyone');
    RETURN NULL;
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

CREATE TABLE public.user_configs (
    user_id uuid NOT NULL,
    key text NOT NULL,
    value text NOT NULL
);

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

ALTER TABLE ONLY public.replicas
    ADD CONSTRAINT replicas_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.site_configs
    ADD CONSTRAINT site_configs_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.user_configs
    ADD CONSTRAINT user_configs_pkey PRIMARY KEY (user_id, key);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

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

CREATE UNIQUE INDEX users_email_key ON public.users USING btree (lower(email)) WHERE ((NOT deleted) AND (email <> ''::text));

CREATE UNIQUE INDEX users_username_key ON public.users USING btree (lower(username)) WHERE (NOT deleted);

CREATE TRIGGER organizations_add_everyone AFTER INSERT ON public.organizations FOR EACH ROW EXECUTE FUNCTION public.organizations_add_everyone();

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

ALTER TABLE ONLY public.user_configs
    ADD CONSTRAINT user_configs_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
