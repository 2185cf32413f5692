"""10,000 whole workspaces, straight into the database, and the page of 25 as PostgreSQL itself would write it."""

WORKSPACES = 10000
APPS, SCRIPTS, METADATA = 6, 3, 4

# Every workspace has a build, a job, a resource with metadata and an agent with apps, scripts and log sources, so that
# any page is whole. $$ are the ids of the owner, the organization, the template, its version and the file of both.
SQL = """
CREATE TEMP TABLE s AS SELECT i, gen_random_uuid() AS ws, gen_random_uuid() AS job, gen_random_uuid() AS res,
    gen_random_uuid() AS agent FROM generate_series(1, {n}) i;
INSERT INTO workspaces (id, owner_id, organization_id, template_id, name, created_at)
SELECT ws, '{owner}', '{org}', '{template}', 'seeded-' || lpad(i::text, 5, '0'), now() - i * interval '1 minute' FROM s;
INSERT INTO provisioner_jobs (id, organization_id, initiator_id, type, file_id, tags, started_at, completed_at)
SELECT job, '{org}', '{owner}', 'workspace_build', '{file}', '{{"scope":"organization","owner":""}}', now(), now() FROM s;
INSERT INTO workspace_builds (workspace_id, template_version_id, job_id, initiator_id, build_number, transition, reason)
SELECT ws, '{version}', job, '{owner}', 1, 'start', 'initiator' FROM s;
INSERT INTO workspace_resources (id, job_id, transition, type, name, icon)
SELECT res, job, 'start', 'docker_container', 'workspace', '/icon/docker.svg' FROM s;
INSERT INTO workspace_resource_metadata (resource_id, position, key, value)
SELECT res, k, 'detail ' || k, 'a value of ordinary length ' || i FROM s, generate_series(1, {metadata}) k;
INSERT INTO workspace_agents (id, resource_id, name, hashed_token, architecture, operating_system, directory, display_apps,
    version, api_version, expanded_directory, lifecycle_state, first_connected_at, last_connected_at, started_at, ready_at)
SELECT agent, res, 'main', sha256(agent::text::bytea), 'amd64', 'linux', '/home/coder/project',
    '{{vscode,web_terminal,ssh_helper,port_forwarding_helper}}', 'v2.30.0', '2.4', '/home/coder/project', 'ready', now(),
    now() + interval '1 hour', now(), now() FROM s;
INSERT INTO workspace_apps (agent_id, slug, display_name, icon, url, healthcheck_url, healthcheck_interval,
    healthcheck_threshold, health, display_order)
SELECT agent, 'app-' || k, 'Application number ' || k, '/icon/code.svg', 'http://localhost:' || 8000 + k || '/?folder=/home/coder',
    'http://localhost:' || 8000 + k || '/healthz', 5, 6, 'healthy', k FROM s, generate_series(1, {apps}) k;
CREATE TEMP TABLE l AS SELECT agent, k, gen_random_uuid() AS id FROM s, generate_series(1, {scripts}) k;
INSERT INTO workspace_agent_log_sources (workspace_agent_id, id, display_name, icon)
SELECT agent, id, 'Script ' || k, '/icon/code.svg' FROM l;
INSERT INTO workspace_agent_scripts (agent_id, log_source_id, log_path, display_name, script, run_on_start, timeout_seconds)
SELECT agent, id, 'coder-startup-script-' || k || '.log', 'Script ' || k,
    E'#!/bin/sh\\nset -e\\n' || repeat(E'echo "installing a tool && starting it"\\n', 8), true, 300 FROM l;
"""

# The same page by one statement of PostgreSQL's own JSON functions: what a server that did nothing itself would wait for.
PAGE = """
SELECT json_agg(json_build_object('workspace', to_json(w), 'build', to_json(b), 'job', to_json(j), 'resources', (
  SELECT json_agg(json_build_object('resource', to_json(r),
    'metadata', (SELECT json_agg(m) FROM workspace_resource_metadata m WHERE m.resource_id = r.id),
    'agents', (SELECT json_agg(json_build_object('agent', to_json(a),
      'apps', (SELECT json_agg(p) FROM workspace_apps p WHERE p.agent_id = a.id),
      'scripts', (SELECT json_agg(x) FROM workspace_agent_scripts x WHERE x.agent_id = a.id),
      'sources', (SELECT json_agg(y) FROM workspace_agent_log_sources y WHERE y.workspace_agent_id = a.id)))
      FROM workspace_agents a WHERE a.resource_id = r.id AND NOT a.deleted)))
  FROM workspace_resources r WHERE r.job_id = j.id))), (SELECT count(*) FROM workspaces WHERE NOT deleted)
FROM (SELECT * FROM workspaces WHERE NOT deleted ORDER BY status <> 'running', lower(owner_username), lower(name) LIMIT 25) w
JOIN workspace_builds b ON b.id = w.latest_build_id
JOIN provisioner_jobs j ON j.id = b.job_id;
"""


def seed(c, admin, template):
    """Fills the database; the template is one that was pushed."""
    file = c.psql("SELECT j.file_id FROM template_versions v JOIN provisioner_jobs j ON j.id = v.job_id "
                  f"WHERE v.id = '{template['active_version_id']}'")
    c.psql(SQL.format(n=WORKSPACES, apps=APPS, scripts=SCRIPTS, metadata=METADATA, owner=admin.user["id"],
                      org=admin.user["organization_ids"][0], template=template["id"],
                      version=template["active_version_id"], file=file))
    # Not in the transaction that seeds.
    c.pg.run("vacuumdb", "-q", "-z", "-d", c.pg.conninfo(c.database))


def check_page(page):
    """The page is what the budget means: 25 workspaces with all of theirs."""
    assert len(page["workspaces"]) == 25, len(page["workspaces"])
    assert page["count"] >= WORKSPACES, page["count"]
    seeded = [ws for ws in page["workspaces"] if ws["name"].startswith("seeded-")]
    assert len(seeded) >= 20, "the page is of other workspaces"
    for ws in seeded:
        agent = ws["latest_build"]["resources"][0]["agents"][0]
        assert len(agent["apps"]) == APPS and len(agent["scripts"]) == SCRIPTS, agent
        assert len(agent["log_sources"]) == SCRIPTS, agent
