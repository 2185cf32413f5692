#!/usr/bin/python3
"""What the API says about a running agent, and what the agent's token opens."""
import http.server
import json
import os
import signal
import subprocess
import threading
import urllib.parse

from cluster import eventually
from follow import Events, WebSocket
from scenario import run

def workspace(c, admin):
    """A workspace of the starter template, its agent connected."""
    found = [w for w in admin.get("/api/v2/workspaces")["workspaces"] if w["name"] == "agent"]
    if found:
        return found[0]
    body = {"example_id": "local", "provisioner": "terraform", "storage_method": "file",
            "user_variable_values": [{"name": "base_path", "value": c.sub("homes")}]}
    organization = admin.user["organization_ids"][0]
    v = admin.post(f"/api/v2/organizations/{organization}/templateversions", body)
    c.wait_version(admin, v["id"])
    t = admin.post(f"/api/v2/organizations/{organization}/templates",
                   {"name": "starter", "template_version_id": v["id"]})
    ws = c.make_workspace(admin, "agent", t)
    c.wait_agent(admin, ws)
    return admin.get(f"/api/v2/workspaces/{ws['id']}")


def agent_of(c, admin):
    return c.wait_agent(admin, workspace(c, admin))


def as_agent(c, admin):
    """A client with the agent's token, which only the state knows."""
    build = workspace(c, admin)["latest_build"]["id"]
    state = admin.request("GET", f"/api/v2/workspacebuilds/{build}/state").json()
    token = [r["instances"][0]["attributes"]["token"] for r in state["resources"] if r["type"] == "coder_agent"][0]
    return c.client(token)


def listening_ports_come_from_the_agent(c, admin):
    agent = agent_of(c, admin)
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = f"/api/v2/workspaceagents/{agent['id']}/listening-ports"

    def ports():
        return [p["port"] for p in admin.get(path)["ports"]]
    eventually(lambda: server.server_port in ports(), 15, "the port of this test")
    server.shutdown()
    server.server_close()
    eventually(lambda: server.server_port not in ports(), 15, "the end of the port")
    assert all(p >= 9 and p not in (22, 25, 5432) for p in ports())
    assert admin.get(f"/api/v2/workspaceagents/{agent['id']}/containers") == {"devcontainers": [], "containers": []}
    assert c.add_user("nina").request("GET", path).status == 404


def metadata_is_followed(c, admin):
    agent = agent_of(c, admin)
    path = f"/api/v2/workspaceagents/{agent['id']}/watch-metadata"
    with Events(admin, path) as events, WebSocket(admin, path + "-ws") as socket:
        assert events.next() == ("ping", None) and json.loads(socket.next()) == {"type": "ping", "data": None}
        shown = events.until_data(lambda d: d and d[0]["result"]["value"])
        assert [d["description"]["key"] for d in shown] == ["home"] and shown[0]["description"]["interval"] == 60
        assert json.loads(socket.next())["type"] == "data"


def connecting_clients_see_the_agent_come(c, admin):
    ws = workspace(c, admin)
    with WebSocket(admin, f"/api/v2/workspaces/{ws['id']}/agent-connection-watch?agent_name=main") as socket:
        build, agent = json.loads(socket.next()), json.loads(socket.next())
    assert build["build_update"] == {"transition": "start", "job_status": "succeeded"}
    assert agent["agent_update"]["lifecycle"] == "ready" and agent["agent_update"]["id"] == agent_of(c, admin)["id"]
    with WebSocket(admin, f"/api/v2/workspaces/{ws['id']}/agent-connection-watch?agent_name=other") as socket:
        assert [json.loads(m) for m in socket][-1]["error"]["code"] == 2 and socket.code == 1000


def an_agent_sends_logs_by_http(c, admin):
    agent, me = agent_of(c, admin), as_agent(c, admin)
    source = "7f1c4b0e-5f43-4c3c-8a0a-3a1f4a7b9d11"
    logs = "/api/v2/workspaceagents/me/logs"
    me.post("/api/v2/workspaceagents/me/log-source", {"id": source, "display_name": "Mine", "icon": ""})
    before = len(admin.get(f"/api/v2/workspaceagents/{agent['id']}/logs"))
    with WebSocket(admin, f"/api/v2/workspaceagents/{agent['id']}/logs?follow") as socket:
        assert len(json.loads(socket.next())) == before
        for word in ("one", "two"):
            r = me.request("PATCH", logs, {"log_source_id": source, "logs": [
                {"created_at": "2026-01-31T00:00:00Z", "output": word, "level": "warn"}]})
            assert r.status == 200 and r.json() is None, r
            assert [(x["output"], x["level"], x["source_id"]) for x in json.loads(socket.next())] == \
                [(word, "warn", source)]
    text = admin.request("GET", f"/api/v2/workspaceagents/{agent['id']}/logs?format=text").body.decode()
    assert "2026-01-31T00:00:00Z [warn] [agent.main|Mine] two\n" in text, text
    assert me.request("PATCH", logs, {"log_source_id": source, "logs": []}).status == 400
    r = me.request("PATCH", logs, {"log_source_id": source, "logs": [
        {"created_at": "2026-01-31T00:00:00Z", "output": "x", "level": "loud"}]})
    assert r.status == 400, r
    assert admin.request("PATCH", logs, {"logs": []}).status == 401, "a user's session is not an agent's"


def what_a_build_made_is_kept_and_what_changes_is_not(c, admin):
    """A replica that has just started shows what one shows that has the build's parts in memory; log sources, states
    and results of scripts are the database's in both."""
    path = f"/api/v2/workspaces/{workspace(c, admin)['id']}"
    me = as_agent(c, admin)

    def shown():
        ws = admin.get(path)
        agents = [a for r in ws["latest_build"]["resources"] for a in r.get("agents", [])]
        for a in agents:
            for moment in ("updated_at", "last_connected_at", "logs_length"):
                del a[moment]
        return ws["latest_build"]["resources"], agents[0]

    before, agent = shown()
    assert [(s["exit_code"], s["status"]) for s in agent["scripts"]] == [(0, "ok")]
    assert agent["status"] == "connected" and shown()[0] == before
    source = "0d4e6c1a-6f5e-4b41-9f6f-5f0ad6c3c0aa"
    me.post("/api/v2/workspaceagents/me/log-source", {"id": source, "display_name": "Late", "icon": ""})
    warm, agent = shown()
    assert source in [s["id"] for s in agent["log_sources"]], agent["log_sources"]
    c["coderd"].stop()
    c["coderd"].start()
    c.wait_ready()
    c.wait_agent(admin, workspace(c, admin))
    assert shown()[0] == warm


def an_agent_asks_for_credentials(c, admin):
    me = as_agent(c, admin)
    key = me.get("/api/v2/workspaceagents/me/gitsshkey")
    assert key["public_key"].startswith("ssh-ed25519 ") and "OPENSSH PRIVATE KEY" in key["private_key"]
    assert key == me.get("/api/v2/workspaceagents/me/gitsshkey"), "it stays the same"
    site = urllib.parse.quote("https://example.com/x.git")
    assert me.request("GET", "/api/v2/workspaceagents/me/external-auth?id=none").status == 404
    assert me.request("GET", f"/api/v2/workspaceagents/me/gitauth?match={site}").status == 404
    assert me.request("GET", "/api/v2/workspaceagents/me/external-auth").status == 400
    assert me.request("GET", f"/api/v2/workspaceagents/me/external-auth?id=a&match={site}").status == 400
    r = me.request("PATCH", "/api/v2/workspaceagents/me/app-status",
                   {"app_slug": "none", "state": "working", "message": "m", "uri": ""})
    assert r.status == 400, r
    assert me.request("GET", "/api/v2/workspaces").status == 401, "an agent is no user"


def what_is_not_offered_says_so(c, admin):
    agent = agent_of(c, admin)
    # Clients of tailnet show what a conflict says, and ask again for ever on anything that is no refusal to them.
    for path, status in ((f"/api/v2/workspaceagents/{agent['id']}/coordinate", 409), ("/api/v2/tailnet", 409),
                         (f"/api/v2/workspaceagents/{agent['id']}/containers/watch", 501)):
        r = admin.request("GET", path)
        assert r.status == status and r.json()["message"], r
    for cloud, body in (("aws", {"signature": "x", "document": "y"}), ("azure", {"signature": "x", "encoding": "y"}),
                        ("google", {"json_web_token": "x"})):
        path = f"/api/v2/workspaceagents/{cloud}-instance-identity"
        assert c.client().request("POST", path, body).status == 401
        assert c.client().request("POST", path, {}).status == 400


def an_agent_that_hangs_goes_with_its_workspace_and_nobody_else_does(c, admin):
    ws = c.make_workspace(admin, "hung", admin.get("/api/v2/organizations/default/templates/starter"))
    note = os.path.join(c.sub("homes"), ws["id"], "agent.pid")

    def agent_pid():
        c.wait_agent(admin, ws)
        with open(note, encoding="ascii") as f:
            return int(f.read())

    pid = agent_pid()
    left = c.coder("ssh", "hung", "--", "nohup sleep 600 > /dev/null 2>&1 & echo $!", client=admin).stdout
    assert int(left) in c.left_behind(), left
    os.kill(pid, signal.SIGSTOP)
    c.build(admin, ws, "stop")
    eventually(lambda: not {pid, int(left)} & set(c.left_behind()), 10, "the end of the agent that hung, and of the rest")

    c.build(admin, ws, "start")
    pid = agent_pid()
    with subprocess.Popen(["sleep", "600"]) as other:
        with open(note, "w", encoding="ascii") as f:
            f.write(str(other.pid))
        c.build(admin, ws, "stop")
        assert other.poll() is None, "a process that has the agent's old number was ended"
        other.kill()
    eventually(lambda: pid not in c.left_behind(), 10, "the end of an agent whose number was lost")


def a_stopped_workspace_has_no_ports(c, admin):
    ws, agent, me = workspace(c, admin), agent_of(c, admin), as_agent(c, admin)
    c.build(admin, ws, "stop")
    r = admin.request("GET", f"/api/v2/workspaceagents/{agent['id']}/listening-ports")
    assert r.status == 400 and "must be in the" in r.json()["message"], r
    assert me.request("GET", "/api/v2/workspaceagents/me/gitsshkey").status == 401, "its token is of an old build"


run(listening_ports_come_from_the_agent, metadata_is_followed, connecting_clients_see_the_agent_come,
    an_agent_sends_logs_by_http, what_a_build_made_is_kept_and_what_changes_is_not, an_agent_asks_for_credentials,
    what_is_not_offered_says_so, an_agent_that_hangs_goes_with_its_workspace_and_nobody_else_does,
    a_stopped_workspace_has_no_ports)
