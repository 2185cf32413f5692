#!/usr/bin/python3
"""The life of a workspace: builds, their logs while they run, cancels, failures halfway, deletion; and who may see it."""
import json
import os

from cluster import eventually
from follow import Events, WebSocket
from scenario import CODER, PLAIN, fields, org, run

# The second resource waits for a file, or fails while there is another.
HALFWAY = CODER + """
resource "terraform_data" "first" {
  input = "made once"
}

resource "terraform_data" "second" {
  depends_on       = [terraform_data.first]
  triggers_replace = [data.coder_workspace.me.transition]

  provisioner "local-exec" {
    command = "if test -e %(dir)s/fail; then echo out of luck >&2; exit 3; fi; while test -e %(dir)s/wait; do touch %(dir)s/waiting; sleep 0.05; done"
  }
}
"""


def resources(build):
    return sorted(r["name"] for r in build["resources"])


def ids(admin, build_id):
    state = admin.request("GET", f"/api/v2/workspacebuilds/{build_id}/state").json()
    return {r["name"]: r["instances"][0]["attributes"]["id"] for r in state["resources"] if r["instances"]
            and r["mode"] == "managed"}


def template(c, admin, name, text):
    found = [t for t in admin.get("/api/v2/templates") if t["name"] == name]
    return found[0] if found else c.push_template(admin, name, {"main.tf": text},
                                                  allow_user_cancel_workspace_jobs=True)


def touch(path):
    with open(path, "w", encoding="ascii"):
        pass


def start_stop_and_delete(c, admin):
    ws = c.make_workspace(admin, "plain", template(c, admin, "plain", PLAIN))
    assert ws["latest_build"]["status"] == "running" and resources(ws["latest_build"]) == ["home", "machine"]
    home = ids(admin, ws["latest_build"]["id"])["home"]
    stopped = c.build(admin, ws, "stop")
    assert stopped["status"] == "stopped" and resources(stopped) == ["home"], "machines are counted by transition"
    started = c.build(admin, ws, "start")
    assert ids(admin, started["id"])["home"] == home, "what stays is the same still"
    assert started["build_number"] == 3
    gone = c.build(admin, ws, "delete")
    assert gone["status"] == "deleted"
    assert admin.request("GET", f"/api/v2/workspaces/{ws['id']}").status == 410
    assert admin.get(f"/api/v2/workspaces/{ws['id']}?include_deleted=true")["latest_build"]["status"] == "deleted"
    assert admin.request("POST", f"/api/v2/workspaces/{ws['id']}/builds", {"transition": "start"}).status == 410
    again = c.make_workspace(admin, "plain", template(c, admin, "plain", PLAIN))
    assert again["id"] != ws["id"], "the name is free again"


def logs_are_followed_to_the_end(c, admin):
    gate = c.sub("follow")
    touch(gate + "/wait")
    ws = c.make_workspace(admin, "follow", template(c, admin, "follow", HALFWAY % {"dir": gate}), wait=False)
    build = ws["latest_build"]["id"]
    with WebSocket(admin, f"/api/v2/workspacebuilds/{build}/logs?follow") as socket:
        lines = [json.loads(socket.next())]
        eventually(lambda: os.path.exists(gate + "/waiting"), 60, "the second resource")
        assert admin.get(f"/api/v2/workspacebuilds/{build}")["job"]["status"] == "running"
        os.unlink(gate + "/wait")
        lines += [json.loads(m) for m in socket]
        assert (socket.code, socket.reason) == (1000, "done"), (socket.code, socket.reason)
    # A clean close means that the build has ended; and nothing is missing.
    assert admin.get(f"/api/v2/workspacebuilds/{build}")["job"]["status"] == "succeeded"
    assert lines == admin.get(f"/api/v2/workspacebuilds/{build}/logs")
    assert [x["id"] for x in lines] == sorted({x["id"] for x in lines})
    assert any("terraform_data.second" in x["output"] for x in lines)
    # A stage begins with a line without words, so that clients do not show its name twice.
    assert (lines[0]["log_source"], lines[0]["output"]) == ("provisioner_daemon", "") and lines[0]["stage"], lines[0]
    assert not [x for x in lines if x["output"] == x["stage"]], lines
    after = lines[3]["id"]
    assert admin.get(f"/api/v2/workspacebuilds/{build}/logs?after={after}") == lines[4:]
    with WebSocket(admin, f"/api/v2/workspacebuilds/{build}/logs?follow&after={after}") as socket:
        assert [json.loads(m) for m in socket] == lines[4:] and socket.code == 1000
    assert admin.request("GET", f"/api/v2/workspacebuilds/{build}/logs?follow&format=text").status == 400


def a_workspace_is_watched(c, admin):
    ws = c.make_workspace(admin, "watched", template(c, admin, "plain", PLAIN))
    path = f"/api/v2/workspaces/{ws['id']}"
    with Events(admin, path + "/watch") as events, WebSocket(admin, path + "/watch-ws") as socket:
        assert events.next() == ("ping", None) and json.loads(socket.next()) == {"type": "ping", "data": None}
        kind, shown = events.next()
        assert kind == "data" and shown == admin.get(path)
        assert json.loads(socket.next()) == {"type": "data", "data": shown}
        c.build(admin, ws, "stop", wait=False)
        seen = []

        def stopped(now):
            seen.append(now["latest_build"]["status"])
            return seen[-1] == "stopped"
        events.until_data(stopped)
        assert "stopping" in seen or "pending" in seen, seen
        admin.put(path + "/ttl", {"ttl_ms": 7200000})
        events.until_data(lambda now: now.get("ttl_ms") == 7200000)
    with WebSocket(admin, path + "/agent-connection-watch") as socket:
        first = json.loads(socket.next())
        assert first == {"error": None, "build_update": {"transition": "stop", "job_status": "succeeded"}}, first
        c.build(admin, ws, "start", wait=False)
        rest = [json.loads(m) for m in socket]
        assert rest[-1]["error"]["code"] == 3 and socket.code == 1000, rest


def a_running_build_is_canceled(c, admin):
    gate = c.sub("cancel")
    touch(gate + "/wait")
    ws = c.make_workspace(admin, "cancel", template(c, admin, "cancel", HALFWAY % {"dir": gate}), wait=False)
    build = f"/api/v2/workspacebuilds/{ws['latest_build']['id']}"
    eventually(lambda: os.path.exists(gate + "/waiting"), 60, "the second resource")
    assert admin.request("PATCH", build + "/cancel?expect_status=pending").status == 412
    r = admin.request("POST", f"/api/v2/workspaces/{ws['id']}/builds", {"transition": "stop"})
    assert r.status == 409, r
    assert admin.request("PATCH", build + "/cancel").status == 200
    assert admin.request("PATCH", build + "/cancel").status == 400, "it was asked already"
    c.wait_build(admin, ws["latest_build"]["id"], status="canceled")
    assert "first" in ids(admin, ws["latest_build"]["id"]), "what was made is in the state"
    os.unlink(gate + "/wait")
    done = c.build(admin, ws, "start")
    assert set(ids(admin, done["id"])) == {"first", "second"}


def a_pending_build_is_canceled_at_once(c, admin):
    c["provisionerd"].stop()
    ws = c.make_workspace(admin, "pending", template(c, admin, "plain", PLAIN), wait=False)
    build = f"/api/v2/workspacebuilds/{ws['latest_build']['id']}"
    admin.patch(build + "/cancel?expect_status=pending")
    assert admin.get(build)["job"]["status"] == "canceled"
    c["provisionerd"].start()
    c["provisionerd"].wait_log("connected to the server", count=2)
    done = c.build(admin, ws, "start")
    assert resources(done) == ["home", "machine"]


def an_apply_that_fails_halfway_keeps_what_it_made(c, admin):
    gate = c.sub("halfway")
    touch(gate + "/fail")
    ws = c.make_workspace(admin, "halfway", template(c, admin, "halfway", HALFWAY % {"dir": gate}), wait=False)
    failed = c.wait_build(admin, ws["latest_build"]["id"], status="failed")
    assert "terraform_data.second" in failed["job"]["error"] or "local-exec" in failed["job"]["error"], failed["job"]
    assert "out of luck" in admin.request("GET", f"/api/v2/workspacebuilds/{failed['id']}/logs?format=text").body.decode()
    assert admin.get(f"/api/v2/workspaces/{ws['id']}")["latest_build"]["status"] == "failed"
    made = ids(admin, failed["id"])["first"]
    os.unlink(gate + "/fail")
    done = c.build(admin, ws, "start")
    assert ids(admin, done["id"])["first"] == made, "nothing is made twice"
    c.build(admin, ws, "delete")


def resources_can_be_left_to_themselves(c, admin):
    ws = c.make_workspace(admin, "orphan", template(c, admin, "plain", PLAIN))
    builds = f"/api/v2/workspaces/{ws['id']}/builds"
    assert admin.request("POST", builds, {"transition": "stop", "orphan": True}).status == 400
    assert admin.request("POST", builds, {"transition": "delete", "orphan": True, "state": "e30="}).status == 400
    c["provisionerd"].stop()
    c.psql("UPDATE provisioner_daemons SET last_seen_at = now() - interval '1 hour'")
    gone = admin.post(builds, {"transition": "delete", "orphan": True})
    assert (gone["status"], gone["job"]["status"]) == ("deleted", "succeeded"), gone["job"]
    assert gone["matched_provisioners"]["available"] == 0
    assert admin.request("GET", f"/api/v2/workspaces/{ws['id']}").status == 410
    c["provisionerd"].start()
    c["provisionerd"].wait_log("connected to the server", count=3)
    ws = c.make_workspace(admin, "orphan", template(c, admin, "plain", PLAIN))
    gone = c.build(admin, ws, "delete", orphan=True)
    assert gone["status"] == "deleted", "with a provisioner it is a build like others"


def a_workspace_is_shared(c, admin):
    ws = c.make_workspace(admin, "shared", template(c, admin, "plain", PLAIN))
    path, kim = f"/api/v2/workspaces/{ws['id']}", c.add_user("kim")
    assert kim.request("GET", path).status == 404
    admin.patch(path + "/acl", {"user_roles": {kim.user["id"]: "use"}})
    assert kim.get(path)["name"] == "shared" and kim.get("/api/v2/workspaces")["count"] == 1
    for q, count in (("shared_with_user:kim", 1), (f"shared_with_user:{kim.user['id']}", 1), ("shared_with_user:me", 0),
                     ("shared_with_group:everyone", 0), ("shared_with_group:coder/everyone", 0),
                     (f"shared_with_group:{org(admin)}", 0)):
        assert admin.get(f"/api/v2/workspaces?q={q}")["count"] == count, q
    other = c.make_workspace(admin, "alone", template(c, admin, "plain", PLAIN))
    for q, count in ((f"id:{ws['id']}", 1), (f"id:{ws['id']},{other['id']}", 2), (f"id:{ws['id']} id:{other['id']}", 2)):
        assert admin.get(f"/api/v2/workspaces?q={q.replace(' ', '%20')}")["count"] == count, q
    for q in ("id:x", "shared_with_user:nobody", "shared_with_group:nowhere/helpers", "shared_with_group:nobody", "status:odd"):
        r = admin.request("GET", f"/api/v2/workspaces?q={q}")
        assert r.status == 400 and set(fields(r)) == {q.partition(":")[0]}, r
    # Whom one may not see is as unknown.
    assert kim.request("GET", "/api/v2/workspaces?q=shared_with_user:admin").status == 400
    assert kim.get("/api/v2/workspaces?q=shared_with_user:me")["count"] == 1
    assert kim.request("PUT", path + "/ttl", {"ttl_ms": 60000}).status == 403
    r = kim.request("PATCH", path + "/acl", {"user_roles": {}})
    assert r.status == 403 and r.json()["detail"], r
    r = kim.request("GET", f"/api/v2/workspacebuilds/{ws['latest_build']['id']}/state")
    assert r.status == 404 and "detail" not in r.json(), "what is not to be seen says nothing of rights"
    with Events(kim, path + "/watch") as events:
        assert events.next()[0] == "ping" and events.next()[0] == "data"
        admin.delete(path + "/acl")
        # Who may not see it any more sees no more of it.
        r = eventually(lambda: kim.request("GET", path).status == 404, 10, "the end of sharing")
        assert r
    # With a group, too; who is in it may change meanwhile.
    group = admin.post(f"/api/v2/organizations/{org(admin)}/groups", {"name": "helpers"})
    admin.patch(path + "/acl", {"group_roles": {group["id"]: "admin"}})
    assert kim.request("GET", path).status == 404
    admin.patch(f"/api/v2/groups/{group['id']}", {"add_users": [kim.user["id"]]})
    shared = kim.get(path)["shared_with"]
    assert [(x["actor_type"], x["name"], x["roles"]) for x in shared] == [("group", "helpers", ["admin"])], shared
    assert kim.get("/api/v2/workspaces")["count"] == 1
    assert admin.get("/api/v2/workspaces?q=shared_with_group:helpers")["count"] == 1
    assert kim.request("PUT", path + "/ttl", {"ttl_ms": 60000}).status == 204
    assert kim.request("POST", f"{path}/builds", {"transition": "delete"}).status == 403
    admin.delete(path + "/acl")
    assert kim.request("GET", path).status == 404 and "shared_with" not in admin.get(path)
    r = admin.request("PATCH", path + "/acl", {"user_roles": {ws["id"]: "use"}})
    assert r.status == 400 and set(fields(r)) == {"user_roles"}, r


def streams_end_with_the_server(c, admin):
    ws = c.make_workspace(admin, "streams", template(c, admin, "plain", PLAIN))
    path, version = f"/api/v2/workspaces/{ws['id']}", ws["template_active_version_id"]
    with Events(admin, path + "/watch") as events, WebSocket(admin, path + "/watch-ws") as socket, \
            WebSocket(admin, f"/api/v2/templateversions/{version}/dynamic-parameters") as form:
        events.next(), socket.next(), form.next()
        assert c["coderd"].stop() == 0  # the sanitizer's word about leaks is read at the end of the scenario
        assert list(socket) is not None and list(form) is not None
    c["coderd"].start()
    c.wait_ready()


run(start_stop_and_delete, logs_are_followed_to_the_end, a_workspace_is_watched, a_running_build_is_canceled,
    a_pending_build_is_canceled_at_once, an_apply_that_fails_halfway_keeps_what_it_made,
    resources_can_be_left_to_themselves, a_workspace_is_shared, streams_end_with_the_server,
    provisionerd_env={"CODER_PROVISIONER_HEARTBEAT": "1s", "CODER_PROVISIONER_TERRAFORM_GRACE": "5s"})
