#!/usr/bin/python3
"""Walks all operations of the inventory of the API (tests/data/http-api.txt), and what coderd has beyond it.

The program prints its own table; what it says of itself is held against the inventory and against the lists below, so
that neither a route nor the rule of one can come or go unnoticed.

  an operation that there is not yet     -> an error, whoever asks

  no session                             -> 401
  no session of this deployment          -> 401
  a body that is no JSON                 -> 400
  a user whom the rule does not allow    -> 403 or 404, 400 where the path is another user's, or a list without anything of others

and proves of itself that it would notice: each of the last is asked again of a coderd whose authorisation is switched
off for the request (see switchable_authorize.c), which must then not be refused. And a handler that forgets to ask is
caught: its answer is 500, not what was asked for.

A new route is walked without further ado; it needs a line in World.sample if it has a body, one in World.params for each
new {name} in its path, and one in OURS or WITHOUT_A_RULE if it is so."""
import hashlib
import http.client
import io
import json
import os
import re
import subprocess
import tarfile
import uuid

from cluster import PASSWORD, ROOT, Cluster

TAR = io.BytesIO()
tarfile.open(fileobj=TAR, mode="w").close()
NOBODY = "00000000-0000-4000-8000-000000000000"

# Routes that the inventory does not have.
OURS = {
    "GET /api/": "says where the API is",
    "GET /api/v2": "the same as with a slash",
    "GET /rpc": "messages of daemons, each with its own ticket",
    "GET /api/v2/workspaceagents/me/tunnel": "the tunnel of an agent",
    "POST /api/v2/workspaceagents/{workspaceagent}/session-ticket": "the ticket of a client session",
    "GET /api/v2/workspaceagents/{workspaceagent}/session": "a client session",
}
# Routes that no rule of a role guards: open to all, or bound to whose token comes with the request.
WITHOUT_A_RULE = {f"{method} /{path}" for method, path in (line.split(" /") for line in """
GET /rpc
GET /.well-known/oauth-protected-resource
GET /api/
GET /api/v2
GET /api/v2/
GET /api/v2/appearance
GET /api/v2/applications/host
GET /api/v2/auth/scopes
POST /api/v2/authcheck
GET /api/v2/buildinfo
POST /api/v2/csp/reports
GET /api/v2/deployment/ssh
GET /api/v2/entitlements
GET /api/v2/experiments
GET /api/v2/experiments/available
GET /api/v2/external-auth
GET /api/v2/init-script/{os}/{arch}
GET /api/v2/regions
GET /api/v2/tailnet
GET /api/v2/updatecheck
GET /api/v2/users/authmethods
GET /api/v2/users/first
POST /api/v2/users/first
POST /api/v2/users/login
POST /api/v2/users/logout
POST /api/v2/users/validate-password
POST /api/v2/workspaceagents/aws-instance-identity
POST /api/v2/workspaceagents/azure-instance-identity
GET /api/v2/workspaceagents/connection
POST /api/v2/workspaceagents/google-instance-identity
PATCH /api/v2/workspaceagents/me/app-status
GET /api/v2/workspaceagents/me/external-auth
GET /api/v2/workspaceagents/me/gitauth
GET /api/v2/workspaceagents/me/gitsshkey
POST /api/v2/workspaceagents/me/log-source
PATCH /api/v2/workspaceagents/me/logs
GET /api/v2/workspaceagents/me/rpc
GET /api/v2/workspaceagents/me/tunnel
""".strip().splitlines())}
# Why somebody without any rights is not refused: rules that all users pass. Those are walked with a key whose scope
# allows nothing that the API has a route for.
FOR_EVERY_USER = {
    "GET /api/v2/users/roles": "the list of roles is no secret",
    "POST /api/v2/files": "files are their uploader's own",
}
# Lists: what one may not see is not in them.
LISTS = {f"GET /api/v2{path}" for path in (
    "/users", "/groups", "/organizations", "/templates", "/organizations/{organization}/templates", "/workspaces")}
# Refused by another status than 403 or 404.
OTHER_REFUSAL = {
    "POST /api/v2/users/{user}/workspaces": 400,  # a template that one may not see is one that there is not
    "POST /api/v2/organizations/{organization}/members/{user}/workspaces": 400,
}
# Still refused when no rule refuses: the reason is not a matter of rights.
REFUSED_ANYWAY = {
    "GET /api/v2/users/{user}/login-type": "only for oneself",
    "PUT /api/v2/workspaces/{workspace}/favorite": "only for one's own workspaces",
    "DELETE /api/v2/workspaces/{workspace}/favorite": "only for one's own workspaces",
}


def routes(binary):
    text = subprocess.run([binary, "--print-routes"], check=True, capture_output=True, text=True).stdout
    rows = [line.split(" ") for line in text.splitlines()]
    assert len(rows) > 150 and all(len(r) == 6 for r in rows), rows[:3]
    return [dict(zip(("method", "path", "auth", "rule", "kind", "body"), r)) for r in rows]


def inventory():
    with open(os.path.join(ROOT, "tests/data/http-api.txt"), encoding="utf-8") as f:
        found = re.findall(r"^(GET|POST|PUT|PATCH|DELETE|HEAD) +(/\S+) \|", f.read(), re.M)
    assert len(found) == 322, len(found)
    return found


def shape(method, path):
    """The same for both, whatever they call what stands in the path."""
    return f"{method} " + re.sub(r"\{\w+\}", "{}", path)


def surprises(rows):
    """Routes and rules that neither the inventory nor the lists above account for."""
    names = {f"{r['method']} {r['path']}": r for r in rows}
    known = {shape(*x) for x in inventory()}
    found = [f"{n} is not in the inventory" for n, r in names.items()
             if n not in OURS and shape(r["method"], r["path"]) not in known]
    found += [f"{n} has no rule" for n, r in names.items() if ":" not in r["rule"] and n not in WITHOUT_A_RULE]
    found += [f"{n} is no route, or has a rule: take it off the list" for n in WITHOUT_A_RULE
              if n not in names or ":" in names[n]["rule"]]
    return found + [f"{n} is no route: take it off the list" for n in OURS if n not in names]


class World:
    """A deployment with one of everything, none of which the outsider may see."""

    def __init__(self, c):
        self.c = c
        self.admin = c.first_user()
        self.org = self.admin.user["organization_ids"][0]
        self.victim = c.add_user("victim")
        self.outsider = c.add_user("outsider")
        self.admin.delete(f"/api/v2/organizations/{self.org}/members/outsider")
        self.powerless = c.client(self.outsider.post("/api/v2/users/me/keys/tokens",
                                                     {"scopes": ["user_secret:read"]})["key"])
        self.victim_id = self.victim.user["id"]
        self.n = 0
        self.template()
        self.workspace()
        self.group = self.new_group()
        self.key = self.new_key("token")
        self.provisioner_key = self.new_provisioner_key()
        # Traces of others in a list that should have none.
        self.markers = [x.encode() for x in (
            self.victim_id, self.admin.user["id"], self.org, self.template_id, self.version_id, self.workspace_id,
            self.build_id, self.agent_id, self.group, self.key)]

    def name(self):
        self.n += 1
        return f"thing{self.n}"

    def finish_jobs(self):
        self.c.psql("UPDATE provisioner_jobs SET started_at = now(), completed_at = now() WHERE completed_at IS NULL")

    def template(self):
        self.file_id = self.admin.post("/api/v2/files", TAR.getvalue(), content_type="application/x-tar")["hash"]
        self.version_id = self.new_version()["id"]
        self.finish_jobs()
        t = self.admin.post(f"/api/v2/organizations/{self.org}/templates",
                            {"name": "tpl", "template_version_id": self.version_id})
        self.template_id = t["id"]
        self.version_name = self.admin.get(f"/api/v2/templateversions/{self.version_id}")["name"]
        dry = self.admin.post(f"/api/v2/templateversions/{self.version_id}/dry-run", {"workspace_name": "dry"})
        self.dry_run_id = dry["id"]
        self.finish_jobs()

    def new_version(self, **fields):
        return self.admin.post(f"/api/v2/organizations/{self.org}/templateversions", {
            "file_id": self.file_id, "provisioner": "terraform", "storage_method": "file", "tags": {}, **fields})

    def workspace(self):
        w = self.admin.post("/api/v2/users/victim/workspaces", {"name": "dev", "template_id": self.template_id})
        self.workspace_id, self.build_id = w["id"], w["latest_build"]["id"]
        self.finish_jobs()
        self.agent_id, self.agent_token, resource = (str(uuid.uuid4()) for _ in range(3))
        digest = hashlib.sha256(self.agent_token.encode()).hexdigest()
        self.c.psql(
            "INSERT INTO workspace_resources (id, job_id, transition, type, name) "
            f"SELECT '{resource}', job_id, 'start', 'null_resource', 'r' FROM workspace_builds WHERE id = '{self.build_id}';"
            "INSERT INTO workspace_agents (id, resource_id, name, hashed_token) "
            f"VALUES ('{self.agent_id}', '{resource}', 'main', '\\x{digest}')")
        self.job_id = w["latest_build"]["job"]["id"]

    def new_group(self, name=None):
        return self.admin.post(f"/api/v2/organizations/{self.org}/groups", {"name": name or self.name()})["id"]

    def new_key(self, name=None):
        return self.admin.post("/api/v2/users/victim/keys/tokens", {"token_name": name or self.name()})["key"][:10]

    def new_provisioner_key(self):
        name = self.name()
        self.admin.post(f"/api/v2/organizations/{self.org}/provisionerkeys", {"name": name})
        return name

    def new_member(self):
        name = self.name()
        self.admin.post("/api/v2/users", {"username": name, "email": f"{name}@example.com", "password": PASSWORD,
                                          "organization_ids": [self.org]})
        return name

    def new_org(self):
        return self.admin.post("/api/v2/organizations", {"name": self.name()})["id"]

    def new_port_share(self):
        self.c.psql("INSERT INTO workspace_port_shares (workspace_id, agent_name, port, share_level, protocol) "
                    f"VALUES ('{self.workspace_id}', 'main', 8080, 'public', 'http') ON CONFLICT DO NOTHING")
        return {}

    def new_template(self):
        v = self.new_version()
        self.finish_jobs()
        return self.admin.post(f"/api/v2/organizations/{self.org}/templates",
                               {"name": self.name(), "template_version_id": v["id"]})["id"]

    def params(self, row):
        """What stands for the {names} of a path; things that the route takes away are made for it alone."""
        key = f"{row['method']} {row['path'].removeprefix('/api/v2')}"
        gone = {
            "DELETE /users/{user}": lambda: {"user": self.new_member()},
            "DELETE /organizations/{organization}": lambda: {"organization": self.new_org()},
            "DELETE /organizations/{organization}/members/{user}": lambda: {"user": self.new_member()},
            "DELETE /groups/{group}": lambda: {"group": self.new_group()},
            "DELETE /users/{user}/keys/{keyid}": lambda: {"keyid": self.new_key()},
            "DELETE /organizations/{organization}/provisionerkeys/{provisionerkey}":
                lambda: {"provisionerkey": self.new_provisioner_key()},
            "DELETE /workspaces/{workspace}/port-share": self.new_port_share,
            "DELETE /templates/{template}": lambda: {"template": self.new_template()},
        }.get(key, dict)()
        named = "/organizations/" in row["path"]
        return {"workspaceagent": self.agent_id, "workspacebuild": self.build_id, "workspace": self.workspace_id,
                "workspacename": "dev", "buildnumber": "1", "template": self.template_id, "templatename": "tpl",
                "templateversion": self.version_id, "version": self.version_name, "file": self.file_id,
                "group": "Everyone" if named else self.group, "organization": self.org, "user": self.victim_id,
                "keyid": self.key, "keyname": "token", "job": self.job_id, "jobID": self.dry_run_id,
                "provisionerkey": self.provisioner_key, "devcontainer": NOBODY, "os": "linux", "arch": "amd64", **gone}

    def path(self, row):
        params = self.params(row)
        return re.sub(r"\{(\w+)\}", lambda m: params[m[1]], row["path"])

    def sample(self, message):
        """A body that is in order."""
        user, org = self.victim_id, self.org
        return {
            "CreateUserRequestWithOrgs": {"username": self.name(), "email": f"{self.name()}@example.com",
                                          "password": PASSWORD, "organization_ids": [org]},
            "UpdateUserProfileRequest": {"username": "victim", "name": "V"},
            "UpdateRoles": {"roles": []},
            "UpdateUserPasswordRequest": {"password": "AnotherPassword" + self.name()},
            "UpdateUserAppearanceSettingsRequest": {"theme_preference": "dark", "terminal_font": "fira-code"},
            "UpdateUserQuietHoursScheduleRequest": {"schedule": "0 0 * * *"},
            "CreateOrganizationRequest": {"name": self.name()},
            "UpdateOrganizationRequest": {"description": "x"},
            "CreateGroupRequest": {"name": self.name()},
            "PatchGroupRequest": {"quota_allowance": 1},
            "CreateProvisionerKeyRequest": {"name": self.name()},
            "UpdateAppearanceConfig": {"application_name": "x"},
            "UpdateHealthSettings": {"dismissed_healthchecks": []},
            "CreateTemplateVersionRequest": {"file_id": self.file_id, "provisioner": "terraform",
                                             "storage_method": "file", "tags": {}},
            "PatchTemplateVersionRequest": {"name": self.version_name},
            "CreateTemplateRequest": {"name": self.name(), "template_version_id": self.version_id},
            "UpdateActiveTemplateVersion": {"id": self.version_id},
            "CreateTemplateVersionDryRunRequest": {"workspace_name": "dry"},
            "CreateWorkspaceRequest": {"name": self.name(), "template_id": self.template_id},
            "CreateWorkspaceBuildRequest": {"transition": "stop"},
            "UpdateWorkspaceRequest": {"name": "dev"},
            "UpdateWorkspaceAutomaticUpdatesRequest": {"automatic_updates": "never"},
            "PutExtendWorkspaceRequest": {"deadline": "2100-01-01T00:00:00Z"},
            "UpsertWorkspaceAgentPortShareRequest": {"agent_name": "main", "port": 8080, "protocol": "http",
                                                     "share_level": "public"},
            "DeleteWorkspaceAgentPortShareRequest": {"agent_name": "main", "port": 8080},
            "SessionTicketRequest": {"client_cert_sha256": "00" * 32, "kinds": ["ssh"]},
            "UpdateWorkspaceBuildStateRequest": {"state": ""},
            "DynamicParametersRequest": {"id": 0, "inputs": {}, "owner_id": user},
        }.get(message, {})


class Walk:
    def __init__(self, c, world):
        self.c, self.w = c, world
        self.problems = []

    def ask(self, row, token=None, body=None, headers=None):
        """Status and body of the answer; of a stream the status alone."""
        conn = http.client.HTTPConnection("127.0.0.1", self.c.port, timeout=30)
        headers = dict(headers or {})
        if token:
            headers["Coder-Session-Token"] = token
        if body is None and row["body"] != "-":
            body = json.dumps(self.w.sample(row["body"]))
        if row["path"] == "/api/v2/files" and row["method"] == "POST":
            body, headers["Content-Type"] = TAR.getvalue(), "application/x-tar"
        try:
            conn.request(row["method"], self.w.path(row), body, headers)
            r = conn.getresponse()
            return r.status, b"" if row["kind"] == "stream" and r.status < 300 else r.read()
        finally:
            conn.close()

    def want(self, ok, row, what, got):
        if not ok:
            self.problems.append(f"{row['method']} {row['path']} ({row['rule']}): {what}: got {got[0]} {got[1][:160]!r}")

    def refused(self, row, got):
        """Is that how somebody without the right is answered?"""
        status, body = got
        if status == 400 and b"must be an existing uuid or username" in body:
            return True  # a user whom one may not see is one that there is not
        if status in (403, 404, OTHER_REFUSAL.get(f"{row['method']} {row['path']}")):
            return True
        listed = f"{row['method']} {row['path']}" in LISTS and status == 200
        return listed and not any(m in body for m in self.w.markers)

    def not_yet(self, rows):
        """What the inventory has beyond the table answers nobody, not even the owner."""
        mine = {shape(r["method"], r["path"]) for r in rows}
        missing = [x for x in inventory() if shape(*x) not in mine]
        for method, path in missing:
            row = {"method": method, "path": path, "rule": "none", "body": "-", "kind": "call"}
            known = self.w.params(row)
            row["path"] = re.sub(r"\{(\w+)\}", lambda m, k=known: m[0] if m[1] in k else NOBODY, path)
            for token in (None, self.w.admin.token):
                self.want((got := self.ask(row, token))[0] >= 400, row, "there is no such route", got)
        return len(missing)

    def sessions(self, rows):
        for row in rows:
            if row["auth"] not in ("session", "agent"):
                continue
            self.want((got := self.ask(row))[0] == 401, row, "without a session", got)
            for token in ("rubbish", "abcdefghij-abcdefghijklmnopqrstuv", NOBODY):
                self.want((got := self.ask(row, token))[0] == 401, row, f"with {token}", got)

    def bodies(self, rows):
        for row in rows:
            if row["body"] == "-":
                continue
            token = self.w.agent_token if row["auth"] == "agent" else self.w.admin.token
            for text in ('{"', "", "[]", '"x"', "null", '{"a":\x01}'):
                got = self.ask(row, token, body=text)
                self.want(got[0] == 400, row, f"with the body {text!r}", got)

    def someone(self, row):
        return self.w.powerless if f"{row['method']} {row['path']}" in FOR_EVERY_USER else self.w.outsider

    def rules(self, rows):
        for row in rows:
            if ":" in row["rule"]:
                got = self.ask(row, self.someone(row).token)
                self.want(self.refused(row, got), row, "by somebody without the right", got)

    def rules_gone(self, rows):
        for row in rows:
            if ":" not in row["rule"]:
                continue
            got = self.ask(row, self.someone(row).token, headers={"X-Test-Rule": "blank"})
            if f"{row['method']} {row['path']}" in REFUSED_ANYWAY:
                self.want(self.refused(row, got), row, "is no longer refused anyway: take it off the list", got)
            else:
                self.want(not self.refused(row, got), row, "the walk would not notice that the rule is gone", got)

    def forgetful(self, rows):
        asked = 0
        for row in rows:
            if ":" not in row["rule"] or row["method"] != "GET":
                continue
            if "watch" in row["path"]:
                continue  # refused just so, but what the stream has prepared by then is leaked
            if self.ask(row, self.w.admin.token)[0] >= 400:
                continue  # nothing that a forgotten rule could give away
            got = self.ask(row, self.w.admin.token, headers={"X-Test-Rule": "forget"})
            self.want(got[0] == 500 and b"did not check its rule" in got[1], row, "the handler forgot to ask", got)
            asked += 1
        assert asked > 60, asked


def main():
    with Cluster(provisioners=0) as c:
        # The same program but for the switch, on the same database.
        c["coderd"].stop()
        c["coderd"].argv = [c.path("coderd-switchable")]
        c["coderd"].start()
        c.wait_ready()
        world = World(c)
        rows = routes(c.path("coderd"))
        assert not surprises(rows), "\n".join(surprises(rows))
        for i, row in enumerate(rows):
            if ":" in row["rule"]:
                blank = rows[:i] + [{**row, "rule": "public"}] + rows[i + 1:]
                assert surprises(blank) == [f"{row['method']} {row['path']} has no rule"], row
        # What takes away comes last; a new password takes all keys away.
        rows.sort(key=lambda r: (r["path"] == "/api/v2/users/{user}/password", r["method"] == "DELETE"))
        walk = Walk(c, world)
        missing = walk.not_yet(rows)
        walk.sessions(rows)
        walk.bodies(rows)
        walk.forgetful(rows)
        walk.rules(rows)
        walk.rules_gone(rows)
        assert not walk.problems, f"{len(walk.problems)} problems:\n" + "\n".join(walk.problems)
        used = {f"{r['method']} {r['path']}" for r in rows}
        for table in (FOR_EVERY_USER, LISTS, OTHER_REFUSAL, REFUSED_ANYWAY):
            assert set(table) <= used, set(table) - used
        print(f"walked {len(rows)} routes; {missing} operations of the inventory are still to come")


if __name__ == "__main__":
    main()
