-- Who: users, their keys, organizations, groups. What they did: the audit log. What they sent: files.

CREATE TABLE site_configs (
    key text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE site_configs IS 'Settings of the deployment that are not options, one value per key.';
INSERT INTO site_configs (key, value) VALUES ('deployment_id', gen_random_uuid()::text);

CREATE TABLE crypto_keys (
    feature text NOT NULL,
    sequence integer NOT NULL,
    secret bytea NOT NULL,
    starts_at timestamptz NOT NULL DEFAULT now(),
    deletes_at timestamptz,
    PRIMARY KEY (feature, sequence)
);
COMMENT ON TABLE crypto_keys IS 'Keys that all replicas share and rotate: signing and sealing of tickets, tokens of apps.';

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username text NOT NULL CHECK (length(username) BETWEEN 1 AND 64),
    email text NOT NULL DEFAULT '',
    name text NOT NULL DEFAULT '',
    avatar_url text NOT NULL DEFAULT '',
    hashed_password text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'dormant' CHECK (status IN ('active', 'dormant', 'suspended')),
    login_type text NOT NULL DEFAULT 'password' CHECK (login_type IN ('password', 'github', 'oidc', 'none')),
    rbac_roles text[] NOT NULL DEFAULT '{}',
    is_service_account boolean NOT NULL DEFAULT false,
    is_system boolean NOT NULL DEFAULT false,
    deleted boolean NOT NULL DEFAULT false,
    quiet_hours_schedule text NOT NULL DEFAULT '',
    github_com_user_id bigint,
    hashed_one_time_passcode text NOT NULL DEFAULT '',
    one_time_passcode_expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz
);
CREATE UNIQUE INDEX users_username_key ON users (lower(username)) WHERE NOT deleted;
CREATE UNIQUE INDEX users_email_key ON users (lower(email)) WHERE NOT deleted AND email <> '';
COMMENT ON COLUMN users.last_seen_at IS 'NULL: never.';
COMMENT ON COLUMN users.is_system IS 'Acts for the deployment itself, is never listed and cannot sign in.';

-- Owns prebuilt workspaces until somebody claims them.
INSERT INTO users (id, username, name, status, login_type, is_system)
VALUES ('c42fdf75-3097-471c-8c33-fb52454d81c0', 'prebuilds', 'Prebuilds Owner', 'active', 'none', true);

CREATE TABLE api_keys (
    id text PRIMARY KEY CHECK (length(id) = 10),
    hashed_secret bytea NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    login_type text NOT NULL
        CHECK (login_type IN ('password', 'github', 'oidc', 'token', 'oauth2_provider_app')),
    token_name text NOT NULL DEFAULT '',
    scopes text[] NOT NULL DEFAULT '{coder:all}',
    allow_list jsonb NOT NULL DEFAULT '[{"id": "*", "type": "*"}]',
    lifetime_seconds bigint NOT NULL,
    ip_address text NOT NULL DEFAULT '',
    last_used timestamptz NOT NULL DEFAULT 'epoch',
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX api_keys_user_id_idx ON api_keys (user_id);
CREATE INDEX api_keys_expires_at_idx ON api_keys (expires_at);
CREATE UNIQUE INDEX api_keys_token_name_key ON api_keys (user_id, token_name)
    WHERE login_type = 'token' AND token_name <> '';

CREATE TABLE git_ssh_keys (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    private_key text NOT NULL,
    public_key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE user_configs (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (user_id, key)
);

CREATE TABLE organizations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    display_name text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    icon text NOT NULL DEFAULT '',
    is_default boolean NOT NULL DEFAULT false,
    deleted boolean NOT NULL DEFAULT false,
    default_org_member_roles text[] NOT NULL DEFAULT '{organization-workspace-access}',
    shareable_workspace_owners text NOT NULL DEFAULT 'everyone'
        CHECK (shareable_workspace_owners IN ('none', 'everyone', 'service_accounts')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX organizations_name_key ON organizations (lower(name)) WHERE NOT deleted;
CREATE UNIQUE INDEX organizations_default_key ON organizations (is_default) WHERE is_default;

CREATE TABLE organization_members (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    organization_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    roles text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, organization_id)
);
CREATE INDEX organization_members_organization_id_idx ON organization_members (organization_id);

CREATE TABLE groups (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name text NOT NULL,
    display_name text NOT NULL DEFAULT '',
    avatar_url text NOT NULL DEFAULT '',
    quota_allowance integer NOT NULL DEFAULT 0,
    source text NOT NULL DEFAULT 'user' CHECK (source IN ('user', 'oidc')),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT groups_name_key UNIQUE (organization_id, name)
);

CREATE TABLE group_members (
    group_id uuid NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX group_members_group_id_idx ON group_members (group_id);

-- The group Everyone has its organization's id and all its members, without rows of its own.
CREATE VIEW group_members_all AS
    SELECT group_id, user_id FROM group_members
    UNION ALL
    SELECT organization_id AS group_id, user_id FROM organization_members;

-- Each organization has its Everyone from the start.
CREATE FUNCTION organizations_add_everyone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO groups (id, organization_id, name) VALUES (NEW.id, NEW.id, 'Everyone');
    RETURN NULL;
END $$;
CREATE TRIGGER organizations_add_everyone AFTER INSERT ON organizations
    FOR EACH ROW EXECUTE FUNCTION organizations_add_everyone();

INSERT INTO organizations (name, display_name, is_default) VALUES ('coder', 'Coder', true);
INSERT INTO organization_members (user_id, organization_id)
    SELECT 'c42fdf75-3097-471c-8c33-fb52454d81c0', id FROM organizations;

CREATE TABLE audit_logs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    time timestamptz NOT NULL DEFAULT now(),
    user_id uuid,
    organization_id uuid,
    ip text NOT NULL DEFAULT '',
    user_agent text NOT NULL DEFAULT '',
    resource_type text NOT NULL,
    resource_id uuid NOT NULL,
    resource_target text NOT NULL DEFAULT '',
    resource_icon text NOT NULL DEFAULT '',
    action text NOT NULL,
    diff jsonb NOT NULL DEFAULT '{}',
    status_code integer NOT NULL,
    additional_fields jsonb NOT NULL DEFAULT '{}',
    request_id uuid NOT NULL
);
CREATE INDEX audit_logs_time_idx ON audit_logs (time DESC);
CREATE INDEX audit_logs_user_id_idx ON audit_logs (user_id, time DESC);
CREATE INDEX audit_logs_organization_id_idx ON audit_logs (organization_id, time DESC);
CREATE INDEX audit_logs_resource_id_idx ON audit_logs (resource_id);

CREATE TABLE files (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    hash text NOT NULL CHECK (length(hash) = 64),
    created_by uuid NOT NULL,
    mimetype text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT files_hash_created_by_key UNIQUE (hash, created_by)
);
COMMENT ON COLUMN files.hash IS 'SHA-256 of the content in hex.';

CREATE TABLE file_chunks (
    file_id uuid NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    n integer NOT NULL CHECK (n >= 0),
    data bytea NOT NULL CHECK (length(data) BETWEEN 1 AND 1048576),
    PRIMARY KEY (file_id, n)
);
-- Archives do not compress again.
ALTER TABLE file_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE file_chunks IS 'Content in pieces of 1 MiB, counted from 0, so that no statement carries a whole archive.';

CREATE TABLE replicas (
    id uuid PRIMARY KEY,
    hostname text NOT NULL,
    relay_address text NOT NULL DEFAULT '',
    region_id integer NOT NULL DEFAULT 0,
    version text NOT NULL,
    database_latency_us bigint NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    is_primary boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz NOT NULL DEFAULT now(),
    stopped_at timestamptz
);
