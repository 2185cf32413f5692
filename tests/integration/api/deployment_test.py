#!/usr/bin/python3
"""The deployment as a whole: who sees its options, figures, health and audit log; what everybody may know."""
import base64
import datetime
import email.utils
import hashlib
import json
import re
import time

from cluster import PASSWORD, Cluster
from expect import answers


def for_everybody(c, bea):
    anyone = c.client()
    build = answers(200, anyone, "GET /buildinfo")
    assert answers(200, anyone, "GET /updatecheck") == {"current": True, "version": build["version"], "url": c.url}
    entitled = answers(200, anyone, "GET /entitlements")
    assert entitled["has_license"] and all(f["enabled"] for f in entitled["features"].values()), entitled
    script = anyone.request("GET", "/api/v2/init-script/linux/amd64")
    digest = base64.b64encode(hashlib.sha256(script.body).digest()).decode()
    assert script.status == 200 and script.headers["Content-Digest"] == f"sha-256=:{digest}:", script.headers
    assert f"{c.url}/bin/".encode() in script.body and b"${A" not in script.body, script.body
    region = answers(200, anyone, "GET /regions")["regions"][0]
    assert region["id"] == build["deployment_id"] and region["name"] == "primary", region
    assert region["path_app_url"] == c.url and region["wildcard_hostname"] == "*.apps.example.com:8443", region
    assert answers(200, anyone, "POST /csp/reports", {"csp-report": {}}) == "ok"
    answers(401, anyone, "GET /deployment/ssh")
    assert answers(200, bea, "GET /deployment/ssh") == {
        "hostname_prefix": "coder.", "hostname_suffix": "coder", "ssh_config_options": {}}
    assert answers(200, bea, "GET /applications/host") == {"host": "*.apps.example.com:8443"}
    assert answers(200, bea, "GET /experiments") == []
    assert answers(200, bea, "GET /experiments/available") == {"safe": []}
    assert answers(200, bea, "GET /external-auth") == {"providers": [], "links": []}


def paths(c, admin):
    """What holds for all routes."""
    anyone = c.client()
    for path in ("/api/", "/api/v2", "/api/v2/"):
        assert "message" in anyone.get(path), path
    refused = anyone.request("GET", "/api/v2/users/me")
    pointer = re.search(r'resource_metadata="([^"]+)"', refused.headers["WWW-Authenticate"])[1]
    metadata = anyone.request("GET", pointer.removeprefix(c.url)).json()
    assert metadata["resource"] == c.url and metadata["bearer_methods_supported"] == ["header"], metadata
    assert "coder:all" in metadata["scopes_supported"] and metadata["authorization_servers"] == [], metadata
    assert anyone.request("GET", "//api//v2//buildinfo").status == 200
    assert anyone.request("GET", "/api/v2/buildinfo/").status == 200
    assert admin.request("PUT", "/api/v2/users/me/").status == 405
    for path in ("/api/v2/nosuch", "/api/v2/nosuch/", "/api/v2/buildinfo//x", "/api/v2/../buildinfo"):
        got = admin.request("GET", path)
        assert got.status == 404 and got.json()["message"] == "Route not found.", (path, got)
    for method in ("HEAD", "OPTIONS", "PUT"):
        got = admin.request(method, "/api/v2/users/me")
        assert got.status == 405 and not got.body, (method, got)
    got = anyone.request("GET", "/api/v2/users/me")
    assert got.headers["X-Coder-Build-Version"].startswith("v2.") and got.headers["X-Content-Type-Options"] == "nosniff"
    assert not got.headers["Access-Control-Allow-Origin"], got.headers
    at = email.utils.parsedate_to_datetime(got.headers["Date"])
    assert abs(at.timestamp() - time.time()) < 60 and got.headers["Date"].endswith(" GMT"), got.headers


def for_administrators(c, admin, bea):
    for path in ("/deployment/config", "/deployment/stats", "/debug/health", "/debug/health/settings", "/audit"):
        refused = answers(403, bea, f"GET {path}")
        assert refused["message"] == "Forbidden." and refused["detail"], refused
        answers(401, c.client(), f"GET {path}")
    shown = answers(200, admin, "GET /deployment/config")
    options = {o["flag"]: o for o in shown["options"]}
    assert shown["config"]["access_url"] == c.url, shown
    assert shown["config"]["session_lifetime"]["default_duration"] == 24 * 3600 * 10**9, shown
    assert shown["config"]["proxy_trusted_origins"] == [] and shown["config"]["tls"]["cert_file"] == [], shown
    assert options["tls-enable"]["name"] == "TLS Enable", options["tls-enable"]
    assert options["tls-enable"]["group"] == {"name": "TLS", "parent": {"name": "Networking"}}, options["tls-enable"]
    secret = options["provisioner-daemon-psk"]
    assert secret["value"] == "" and secret["annotations"]["secret"] == "true" and secret["value_source"] == "env"
    assert options["postgres-url"]["value"] == "" and options["db-workers"]["value_source"] == "default", options
    assert options["access-url"]["env"] == "CODER_ACCESS_URL" and options["access-url"]["value"] == c.url, options
    assert c.pg.dir not in json.dumps(shown) and "a-secret-of-the-provisioners" not in json.dumps(shown)

    answers(403, bea, "GET /insights/daus?tz_offset=0")
    answers(400, admin, "GET /insights/daus?tz_offset=99", field="tz_offset")
    daus = answers(200, admin, "GET /insights/daus?tz_offset=-2")
    today = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=-2))).date()
    days = [(today - datetime.timedelta(days=n)).isoformat() for n in range(60, -1, -1)]
    assert [e["date"] for e in daus["entries"]] in (days, days[1:] + [(today + datetime.timedelta(days=1)).isoformat()])
    assert all(e["amount"] == 0 for e in daus["entries"]) and daus["tz_hour_offset"] == -2, daus

    stats = answers(200, admin, "GET /deployment/stats")
    assert stats["workspaces"]["running"] == 0 and stats["workspaces"]["connection_latency_ms"]["P50"] == -1, stats
    assert stats["session_count"] == {"vscode": 0, "ssh": 0, "jetbrains": 0, "reconnecting_pty": 0}, stats

    health = answers(200, admin, "GET /debug/health")
    assert health["database"]["reachable"] and health["database"]["latency"], health
    # There is no provisioner, which is what ails this deployment.
    assert not health["healthy"] and health["provisioner_daemons"]["warnings"][0]["code"] == "EPD01", health
    put = {"dismissed_healthchecks": ["ProvisionerDaemons"]}
    assert answers(200, admin, "PUT /debug/health/settings", put) == put
    answers(204, admin, "PUT /debug/health/settings", put)
    assert answers(200, admin, "GET /debug/health")["provisioner_daemons"]["dismissed"]
    answers(400, admin, "PUT /debug/health/settings", {"dismissed_healthchecks": ["Luck"]})
    answers(403, bea, "PUT /debug/health/settings", put)


def appearance(c, admin, bea):
    assert answers(200, c.client(), "GET /appearance")["announcement_banners"] == []
    banner = {"enabled": True, "message": "Sunday: <maintenance>", "background_color": "#1a2b3c"}
    put = {"application_name": "Yard", "logo_url": "", "announcement_banners": [banner]}
    answers(403, bea, "PUT /appearance", put)
    answers(400, admin, "PUT /appearance", {**put, "announcement_banners": [{**banner, "background_color": "red"}]})
    answers(200, admin, "PUT /appearance", put)
    shown = answers(200, bea, "GET /appearance")
    assert shown["application_name"] == "Yard" and shown["announcement_banners"] == [banner], shown


def may_i(c, admin, bea):
    def check(client, action, **obj):
        return answers(200, client, "POST /authcheck", {"checks": {"x": {"object": obj, "action": action}}})["x"]
    org = bea.user["organization_ids"][0]
    assert check(bea, "read", resource_type="user", owner_id="me", resource_id=bea.user["id"])
    assert not check(bea, "read", resource_type="user", resource_id=admin.user["id"])
    assert not check(bea, "create", resource_type="user") and check(admin, "create", resource_type="user")
    assert check(bea, "create", resource_type="workspace", owner_id="me", organization_id=org)
    assert not check(bea, "create", resource_type="workspace", owner_id="*", organization_id=org)
    assert check(admin, "create", resource_type="workspace", owner_id="*", organization_id=org)
    assert not check(bea, "create", resource_type="template", any_org=True)
    def refused(field, action, **obj):
        answers(400, bea, "POST /authcheck", {"checks": {"x": {"object": obj, "action": action}}}, field=field)
    refused("resource_type", "read", resource_type="ship")
    refused("action", "fly", resource_type="workspace")
    refused("action", "ssh", resource_type="template")
    refused("owner_id", "read", resource_type="workspace", owner_id="bea")
    answers(400, bea, "POST /authcheck", {"checks": {"x": {"action": "read"}}}, field="object")


def audited(c, admin, bea):
    answers(401, c.client(), "POST /users/login", {"email": "bea@example.com", "password": "wrong"})
    c.login("bea@example.com")
    page = answers(200, admin, "GET /audit?limit=2")
    assert len(page["audit_logs"]) == 2 and page["count"] >= 5 and page["count_cap"] == 2000, page
    newest = page["audit_logs"][0]
    assert (newest["action"], newest["resource_type"], newest["status_code"]) == ("login", "api_key", 201), newest
    assert newest["user"]["username"] == "bea" and newest["ip"] == "127.0.0.1", newest
    assert newest["description"] == "{user} logged in" and newest["diff"] == {}, newest
    assert page["audit_logs"][1]["status_code"] == 401, page

    def found(q):
        page = answers(200, admin, f"GET /audit?q={q}")
        assert page["count"] == len(page["audit_logs"]), page
        return page["audit_logs"]
    assert [a["resource_target"] for a in found("resource_type:user%20action:create")] == ["bea", "admin"]
    assert {a["user"]["username"] for a in found("username:bea")} == {"bea"}
    assert {a["user"]["username"] for a in found("username:me")} == {"admin"}
    assert found("date_from:2100-01-01") == [] and found("date_to:2001-01-01") == []
    assert len(found("date_from:2001-01-01")) >= 5
    assert found(f"resource_id:{bea.user['id']}%20action:create")[0]["resource_target"] == "bea"
    assert found("email:nobody@example.com") == [] and found("organization:nosuch") == []
    assert found("user")  # a bare word is a type of resource
    answers(400, admin, "GET /audit?q=action:fly", field="action")
    answers(400, admin, "GET /audit?q=date_from:yesterday", field="date_from")
    answers(400, admin, "GET /audit?q=ship", field="resource_type")

    # Auditors of an organization see what happened in it.
    answers(201, admin, "POST /organizations", {"name": "lab"})
    answers(200, admin, "POST /organizations/lab/members/bea")
    answers(200, admin, "PUT /organizations/lab/members/bea/roles", {"roles": ["organization-auditor"]})
    seen = answers(200, bea, "GET /audit")["audit_logs"]
    assert {a["organization"]["name"] for a in seen} == {"lab"} and len(seen) == 3, seen
    assert PASSWORD not in json.dumps(answers(200, admin, "GET /audit?limit=500"))


def main():
    with Cluster(provisioners=0, coderd_env={
            "CODER_WILDCARD_ACCESS_URL": "https://*.apps.example.com:8443",
            "CODER_PROVISIONER_DAEMON_PSK": "a-secret-of-the-provisioners"}) as c:
        admin = c.first_user()
        bea = c.add_user("bea")
        paths(c, admin)
        for_everybody(c, bea)
        for_administrators(c, admin, bea)
        appearance(c, admin, bea)
        may_i(c, admin, bea)
        audited(c, admin, bea)


if __name__ == "__main__":
    main()
