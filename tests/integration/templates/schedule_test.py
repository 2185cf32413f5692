#!/usr/bin/python3
"""Workspaces that start and stop by themselves."""
import datetime

from cluster import eventually
from scenario import PLAIN, fields, run


def iso(delta):
    at = datetime.datetime.now(datetime.timezone.utc) + delta
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def template(c, admin):
    found = [t for t in admin.get("/api/v2/templates") if t["name"] == "schedule"]
    return found[0] if found else c.push_template(admin, "schedule", {"main.tf": PLAIN}, default_ttl_ms=3600000)


def a_start_sets_the_deadline_and_an_overdue_one_stops(c, admin):
    ws = c.make_workspace(admin, "deadline", template(c, admin))
    path = f"/api/v2/workspaces/{ws['id']}"
    b = ws["latest_build"]
    left = parse(b["deadline"]) - parse(b["job"]["completed_at"])
    assert abs(left - datetime.timedelta(hours=1)) < datetime.timedelta(seconds=5), left

    assert admin.request("PUT", path + "/extend", {"deadline": iso(datetime.timedelta(minutes=5))}).status == 400
    later = iso(datetime.timedelta(hours=3))
    assert admin.put(path + "/extend", {"deadline": later})["message"].startswith("Deadline updated")
    assert admin.get(path)["latest_build"]["deadline"] == later
    t = f"/api/v2/templates/{ws['template_id']}"
    for name, days in (("autostop", ["monday", "funday"]), ("autostart", ["Monday"])):
        r = admin.request("PATCH", t, {f"{name}_requirement": {"days_of_week": days, "weeks": 1}})
        assert r.status == 400 and set(fields(r)) == {f"{name}_requirement.days_of_week"}, r
    for source in ({}, {"template_id": ws["template_id"], "template_version_id": b["template_version_id"]}):
        r = admin.request("POST", "/api/v2/users/me/workspaces", {"name": "other", **source})
        assert r.status == 400 and set(fields(r)) == {"template_id", "template_version_id"}, r
    for bad in (59999, -1, 31 * 24 * 3600 * 1000):
        r = admin.request("PUT", path + "/ttl", {"ttl_ms": bad})
        assert r.status == 400 and set(fields(r)) == {"ttl_ms"}, r

    # Activity does not bring the deadline nearer; it puts off one that is near.
    admin.post(path + "/usage")
    app = {"agent_id": b["id"], "app_name": "ssh"}
    assert admin.request("POST", path + "/usage", app).status == 204
    for body, field in (({**app, "app_name": "telnet"}, "app_name"), ({"agent_id": b["id"]}, "app_name"),
                        ({"app_name": "ssh"}, "agent_id")):
        r = admin.request("POST", path + "/usage", body)
        assert r.status == 400 and set(fields(r)) == {field}, r
    assert admin.request("POST", path + "/usage", b"{").status == 400
    assert admin.get(path)["latest_build"]["deadline"] == later
    c.psql(f"UPDATE workspace_builds SET deadline = now() + interval '10 minutes' WHERE id = '{b['id']}'")
    admin.post(path + "/usage")
    left = parse(admin.get(path)["latest_build"]["deadline"]) - datetime.datetime.now(datetime.timezone.utc)
    assert left > datetime.timedelta(minutes=55), left

    c.psql(f"UPDATE workspace_builds SET deadline = now() - interval '1 minute' WHERE id = '{b['id']}'")
    stopped = eventually(lambda: [x for x in [admin.get(path)["latest_build"]] if x["status"] == "stopped"], 30,
                         "the stop by deadline")[0]
    assert (stopped["reason"], stopped["transition"]) == ("autostop", "stop")
    assert admin.request("PUT", path + "/extend", {"deadline": later}).status == 409


def no_time_until_stop_means_no_deadline(c, admin):
    ws = c.make_workspace(admin, "forever", template(c, admin))
    path = f"/api/v2/workspaces/{ws['id']}"
    admin.put(path + "/ttl", {"ttl_ms": None})
    now = admin.get(path)
    assert now["latest_build"]["deadline"] is None and "ttl_ms" not in now
    r = admin.request("PUT", path + "/extend", {"deadline": iso(datetime.timedelta(hours=1))})
    assert r.status == 409, r
    again = c.build(admin, ws, "start")
    assert again["deadline"] is None


def schedules_are_checked_and_show_their_next_time(c, admin):
    ws = c.make_workspace(admin, "cron", template(c, admin))
    path = f"/api/v2/workspaces/{ws['id']}"
    for bad in ("nonsense", "30 9 1 * *", "30 9 * 1 *", "60 9 * * *", "30 9 * * 8", "CRON_TZ=Mars/Base 30 9 * * *",
                "30 9 * *", "@daily", "CRON_TZ=Local 30 9 * * *"):
        r = admin.request("PUT", path + "/autostart", {"schedule": bad})
        assert r.status == 400 and set(fields(r)) == {"schedule"}, (bad, r)
    text = "CRON_TZ=Europe/Berlin 30 9 * * 1-5"
    admin.put(path + "/autostart", {"schedule": text})
    now = admin.get(path)
    assert now["autostart_schedule"] == text
    # Half past nine in Berlin is at half past seven or eight in UTC, by the season.
    at = parse(now["next_start_at"])
    assert at.minute == 30 and at.hour in (7, 8) and at.weekday() < 5, at
    admin.put(path + "/autostart", {"schedule": None})
    now = admin.get(path)
    assert "autostart_schedule" not in now and now["next_start_at"] is None
    t = template(c, admin)
    admin.patch(f"/api/v2/templates/{t['id']}", {"allow_user_autostart": False})
    assert admin.request("PUT", path + "/autostart", {"schedule": text}).status == 400
    admin.patch(f"/api/v2/templates/{t['id']}", {"allow_user_autostart": True})


def a_stopped_workspace_starts_at_its_time(c, admin):
    ws = c.make_workspace(admin, "morning", template(c, admin))
    path = f"/api/v2/workspaces/{ws['id']}"
    stop = c.build(admin, ws, "stop")
    admin.put(path + "/autostart", {"schedule": "* * * * *"})
    # As if it had been stopped some minutes ago, so that the schedule has come since.
    c.psql(f"UPDATE workspace_builds SET created_at = now() - interval '3 minutes' WHERE id = '{stop['id']}'")
    c.psql(f"UPDATE workspaces SET next_start_at = NULL WHERE id = '{ws['id']}'")
    started = eventually(lambda: [x for x in [admin.get(path)["latest_build"]] if x["status"] == "running"], 30,
                         "the start by schedule")[0]
    assert (started["reason"], started["initiator_name"]) == ("autostart", "admin")
    admin.put(path + "/autostart", {"schedule": ""})


def dormant_workspaces_are_deleted_when_the_template_says(c, admin):
    t = c.push_template(admin, "sleepy", {"main.tf": PLAIN}, delete_ttl_ms=24 * 3600 * 1000)
    ws = c.make_workspace(admin, "sleepy", t)
    path, day = f"/api/v2/workspaces/{ws['id']}", datetime.timedelta(days=1)
    asleep = admin.put(path + "/dormant", {"dormant": True})
    assert parse(asleep["deleting_at"]) - parse(asleep["dormant_at"]) == day, asleep
    admin.patch(f"/api/v2/templates/{t['id']}", {"time_til_dormant_autodelete_ms": 48 * 3600 * 1000})
    now = admin.get(path)
    assert now["dormant_at"] == asleep["dormant_at"] and parse(now["deleting_at"]) - parse(now["dormant_at"]) == 2 * day
    admin.patch(f"/api/v2/templates/{t['id']}", {"update_workspace_dormant_at": True, "update_workspace_last_used_at": True})
    later = admin.get(path)
    assert later["dormant_at"] > now["dormant_at"] and later["last_used_at"] > now["last_used_at"], later
    assert parse(later["deleting_at"]) - parse(later["dormant_at"]) == 2 * day, later
    awake = admin.put(path + "/dormant", {"dormant": False})
    assert awake["dormant_at"] is None and awake["deleting_at"] is None, awake


def a_form_without_what_is_false_is_taken_whole(c, admin):
    t = c.push_template(admin, "form", {"main.tf": PLAIN}, default_ttl_ms=3600000, failure_ttl_ms=60000)
    path = f"/api/v2/templates/{t['id']}"
    assert admin.patch(path, {"display_name": "Some"})["allow_user_autostart"], "absent keys keep their values"
    # Clients of the 2.30 line always send these three, and leave out of the rest what is false or 0.
    switches = {"update_workspace_last_used_at": False, "update_workspace_dormant_at": False,
                "disable_everyone_group_access": False}
    now = admin.patch(path, {**switches, "allow_user_autostop": True, "default_ttl_ms": 7200000, "description": "x"})
    assert (now["allow_user_autostart"], now["allow_user_autostop"]) == (False, True), now
    assert (now["default_ttl_ms"], now["failure_ttl_ms"], now["activity_bump_ms"]) == (7200000, 0, 0), now
    assert (now["display_name"], now["description"]) == ("Some", "x"), now


def a_failed_start_is_cleaned_up(c, admin):
    broken = PLAIN + '\nresource "terraform_data" "broken" {\n  provisioner "local-exec" {\n    command = "exit 1"\n  }\n}\n'
    t = c.push_template(admin, "broken", {"main.tf": broken}, failure_ttl_ms=60000)
    ws = c.make_workspace(admin, "broken", t, wait=False)
    failed = c.wait_build(admin, ws["latest_build"]["id"], status="failed")
    c.psql(f"UPDATE provisioner_jobs SET completed_at = now() - interval '2 minutes' WHERE id = '{failed['job']['id']}'")
    path = f"/api/v2/workspaces/{ws['id']}"
    b = eventually(lambda: [x for x in [admin.get(path)["latest_build"]] if x["transition"] == "stop"], 30,
                   "the stop after the failure")[0]
    assert b["reason"] == "autostop"


run(a_start_sets_the_deadline_and_an_overdue_one_stops, no_time_until_stop_means_no_deadline,
    schedules_are_checked_and_show_their_next_time, a_stopped_workspace_starts_at_its_time, a_failed_start_is_cleaned_up,
    dormant_workspaces_are_deleted_when_the_template_says, a_form_without_what_is_false_is_taken_whole,
    coderd_env={"CODER_AUTOBUILD_POLL_INTERVAL": "500ms"})
