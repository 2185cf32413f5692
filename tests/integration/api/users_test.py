#!/usr/bin/python3
"""Users: made by an administrator, found, changed, suspended, deleted; what they set for themselves."""
import os
import subprocess
import tempfile

from cluster import PASSWORD, Cluster
from expect import answers, names

NOBODY = "00000000-0000-4000-8000-000000000000"


def made_by_an_administrator(c, admin, org):
    bea = {"username": "bea", "email": "bea@example.com", "password": PASSWORD, "organization_ids": [org]}
    made = answers(201, admin, "POST /users", bea)
    assert made["status"] == "dormant" and made["login_type"] == "password", made
    assert made["organization_ids"] == [org] and made["roles"] == [], made
    assert made["last_seen_at"] == "0001-01-01T00:00:00Z", made
    # The first sign-in makes the account active.
    assert c.login("bea@example.com").user["status"] == "active"

    answers(409, admin, "POST /users", {**bea, "email": "other@example.com"}, field="username")
    answers(409, admin, "POST /users", {**bea, "username": "BEA", "email": "other@example.com"}, field="username")
    answers(409, admin, "POST /users", {**bea, "username": "other"}, field="email")
    answers(400, admin, "POST /users", {**bea, "organization_ids": []}, field="organization_ids")
    answers(404, admin, "POST /users", {**bea, "organization_ids": [NOBODY]})
    answers(400, admin, "POST /users", {**bea, "username": "bad name!", "email": "nope"}, field="username")
    answers(400, admin, "POST /users", {**bea, "username": "x", "name": " Bea "}, field="name")
    answers(400, admin, "POST /users", {**bea, "password": "short"}, field="password")
    answers(400, admin, "POST /users", {**bea, "login_type": "oidc", "password": ""}, field="login_type")
    answers(400, admin, "POST /users", {**bea, "login_type": "none"}, field="password")
    answers(400, admin, "POST /users", {**bea, "roles": ["organization-admin"]})
    answers(403, c.login("bea@example.com"), "POST /users", {**bea, "username": "x", "email": "x@example.com"})

    active = answers(201, admin, "POST /users", {"username": "cy", "email": "cy@example.com", "password": PASSWORD,
                                                 "user_status": "active", "organization_ids": [org]})
    assert active["status"] == "active", active
    answers(400, admin, "POST /users", {"username": "bot", "email": "b@example.com", "service_account": True,
                                        "organization_ids": [org]}, field="email")
    bot = answers(201, admin, "POST /users", {"username": "bot", "service_account": True, "organization_ids": [org]})
    assert bot["login_type"] == "none" and bot["is_service_account"] and bot["email"] == "", bot


def listed_and_found(c, admin):
    page = answers(200, admin, "GET /users")
    assert names(page["users"]) == ["admin", "bea", "bot", "cy"] and page["count"] == 4, page
    page = answers(200, admin, "GET /users?limit=1&offset=1")
    assert names(page["users"]) == ["bea"] and page["count"] == 4, page
    after = page["users"][0]["id"]
    page = answers(200, admin, f"GET /users?after_id={after}&limit=1")
    assert names(page["users"]) == ["bot"] and page["count"] == 2, page
    assert answers(200, admin, "GET /users?offset=99") == {"users": [], "count": 0}
    assert answers(200, admin, f"GET /users?after_id={NOBODY}")["users"] == []
    answers(400, admin, "GET /users?q=status:gone", field="status")
    answers(400, admin, "GET /users?q=login_type:magic", field="login_type")
    for q, found in (("be", ["bea"]), ("EXAMPLE", ["admin", "bea", "cy"]), ("status:active", ["admin", "bea", "cy"]),
                     ("role:owner", ["admin"]), ("role:member", ["admin", "bea", "bot", "cy"]),
                     ("service_account:true", ["bot"]), ("login_type:none", ["bot"]),
                     ("status:dormant,active%20be", ["bea"]),
                     ("created_after:%222001-01-01T00:00:00Z%22", ["admin", "bea", "bot", "cy"]),
                     ("created_before:%222001-01-01T00:00:00Z%22", [])):
        assert names(answers(200, admin, f"GET /users?q={q}")["users"]) == found, q
    answers(400, admin, "GET /users?q=created_after:2001-01-01T00:00:00Z", field="q")
    answers(400, admin, "GET /users?q=colour:red", field="colour")
    answers(400, admin, "GET /users?q=name:", field="q")
    answers(400, admin, "GET /users?q=:name", field="q")
    answers(400, admin, "GET /users?limit=x", field="limit")
    answers(400, admin, "GET /users?limit=-1", field="limit")

    # By id, by name in any case, and oneself.
    bea = answers(200, admin, "GET /users/Bea")
    assert answers(200, admin, f"GET /users/{bea['id']}") == bea
    assert answers(200, admin, "GET /users/me")["username"] == "admin"
    # The words by which clients know that a user is gone.
    assert answers(400, admin, "GET /users/nosuch") == {
        "message": '"user" must be an existing uuid or username.', "detail": 'queried user="nosuch"'}
    # Members see themselves only.
    member = c.login("bea@example.com")
    assert names(answers(200, member, "GET /users")["users"]) == ["bea"]
    answers(400, member, "GET /users/admin")


def names_change(c, admin):
    bea = c.login("bea@example.com")
    answers(200, bea, "PUT /users/me/profile", {"username": "bea", "name": "Bea B."})
    answers(404, bea, "PUT /users/me/profile", {"username": "beatrice", "name": "Bea B."})
    answers(400, bea, "PUT /users/cy/profile", {"username": "cy", "name": "Fool"})
    answers(409, admin, "PUT /users/bea/profile", {"username": "CY", "name": ""}, field="username")
    changed = answers(200, admin, "PUT /users/bea/profile", {"username": "beatrice", "name": "Bea"})
    assert changed["username"] == "beatrice" and changed["name"] == "Bea", changed
    answers(200, admin, "PUT /users/beatrice/profile", {"username": "bea", "name": ""})


def suspended_and_back(c, admin):
    bea = c.login("bea@example.com")
    assert answers(200, admin, "PUT /users/bea/status/suspend")["status"] == "suspended"
    refused = answers(401, bea, "GET /users/me")
    assert "suspended" in refused["detail"], refused
    answers(401, c.client(), "POST /users/login", {"email": "bea@example.com", "password": PASSWORD})
    assert answers(200, admin, "PUT /users/bea/status/activate")["status"] == "active"
    answers(200, bea, "GET /users/me")
    answers(400, admin, "PUT /users/me/status/suspend")
    # Whoever was away for long is active again on coming back.
    c.psql("UPDATE users SET status = 'dormant' WHERE username = 'bea'")
    answers(200, bea, "GET /users/me")
    assert answers(200, admin, "GET /users/bea")["status"] == "active"
    answers(400, bea, "PUT /users/cy/status/suspend")


def roles(c, admin):
    assert answers(200, admin, "GET /users/me/roles")["roles"] == ["owner"]
    listed = answers(200, admin, "GET /users/roles")
    assert names(listed, "name") == ["owner", "user-admin", "template-admin", "auditor"], listed
    assert all(r["assignable"] and r["built_in"] for r in listed), listed
    auditor = [r for r in listed if r["name"] == "auditor"][0]
    assert {"negate": False, "resource_type": "template", "action": "view_insights"} in auditor["site_permissions"]
    owner = [r for r in listed if r["name"] == "owner"][0]
    assert {"negate": False, "resource_type": "template", "action": "*"} in owner["site_permissions"]
    assert not [p for p in owner["site_permissions"] if p["resource_type"] == "user_secret"], owner
    org_roles = answers(200, admin, "GET /organizations/default/members/roles")
    ban = [r for r in org_roles if r["name"] == "organization-workspace-creation-ban"][0]
    assert {"negate": True, "resource_type": "workspace", "action": "create"} in ban["organization_permissions"], ban

    given = answers(200, admin, "PUT /users/bea/roles", {"roles": ["user-admin"]})
    assert given["roles"] == [{"name": "user-admin", "display_name": "User Admin"}], given
    answers(400, admin, "PUT /users/bea/roles", {"roles": ["organization-admin"]})
    answers(400, admin, "PUT /users/bea/roles", {"roles": ["nosuch"]})
    answers(400, admin, "PUT /users/bea/roles", {"roles": ["member"]})
    answers(400, admin, "PUT /users/me/roles", {"roles": []})

    # A user admin rules over plain users, and can neither make nor unmake more than that.
    bea = c.login("bea@example.com")
    assert not any(r["assignable"] for r in answers(200, bea, "GET /users/roles"))
    answers(400, bea, "PUT /users/cy/roles", {"roles": ["owner"]})
    answers(400, bea, "PUT /users/admin/roles", {"roles": []})
    answers(400, bea, "POST /users", {"username": "evil", "email": "evil@example.com", "password": PASSWORD,
                                      "organization_ids": c.admin.user["organization_ids"], "roles": ["owner"]})
    answers(403, bea, "PUT /users/admin/password", {"password": "AnotherPassword2!"})
    answers(403, bea, "DELETE /users/admin")
    answers(400, bea, "PUT /users/admin/status/suspend")
    answers(200, admin, "PUT /users/cy/roles", {"roles": ["template-admin"]})
    cy = c.login("cy@example.com")
    answers(403, cy, "PUT /users/bea/roles", {"roles": []})
    answers(403, cy, "PUT /users/bea/status/suspend")
    answers(200, admin, "PUT /users/bea/roles", {"roles": []})
    answers(200, admin, "PUT /users/cy/roles", {"roles": []})


def passwords(c, admin):
    new = "AnotherPassword2!"
    bea, other_session = c.login("bea@example.com"), c.login("bea@example.com")
    answers(400, bea, "PUT /users/me/password", {"password": new}, field="old_password")
    answers(400, bea, "PUT /users/me/password", {"old_password": "wrong", "password": new}, field="old_password")
    answers(400, bea, "PUT /users/me/password", {"old_password": PASSWORD, "password": "short"}, field="password")
    answers(400, bea, "PUT /users/me/password", {"old_password": PASSWORD, "password": PASSWORD}, field="password")
    answers(400, bea, "PUT /users/cy/password", {"password": new})
    answers(204, bea, "PUT /users/me/password", {"old_password": PASSWORD, "password": new})
    # Whoever had a session has none now.
    for session in (bea, other_session):
        answers(401, session, "GET /users/me")
    answers(401, c.client(), "POST /users/login", {"email": "bea@example.com", "password": PASSWORD})
    c.login("bea@example.com", new)
    # An administrator need not know the old one.
    answers(204, admin, "PUT /users/bea/password", {"password": PASSWORD})
    answers(400, admin, "PUT /users/bot/password", {"password": PASSWORD})
    bea = c.login("bea@example.com")
    assert answers(200, bea, "GET /users/me/login-type") == {"login_type": "password"}
    answers(403, admin, "GET /users/bea/login-type")


def git_key(c, admin):
    bea = c.login("bea@example.com")
    key = answers(200, bea, "GET /users/me/gitsshkey")
    assert key["public_key"].startswith("ssh-ed25519 AAAA") and key["public_key"].endswith("\n"), key
    assert "private" not in str(key), key
    # OpenSSH reads the private half and finds the public one in it.
    private = c.psql(f"SELECT private_key FROM git_ssh_keys WHERE user_id = '{bea.user['id']}'") + "\n"
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "key")
        with open(path, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(private)
        public = subprocess.run(["ssh-keygen", "-y", "-f", path], check=True, capture_output=True, text=True).stdout
    assert public.split()[:2] == key["public_key"].split(), (public, key)
    new = answers(200, bea, "PUT /users/me/gitsshkey")
    assert new["public_key"] != key["public_key"] and new["created_at"] == key["created_at"], new
    assert answers(200, admin, "GET /users/me/gitsshkey")["public_key"].startswith("ssh-ed25519 ")
    answers(400, c.login("cy@example.com"), "GET /users/bea/gitsshkey")


def settings(c, admin):
    bea = c.login("bea@example.com")
    assert answers(200, bea, "GET /users/me/appearance") == {
        "theme_preference": "", "theme_mode": "", "theme_light": "", "theme_dark": "", "terminal_font": ""}
    answers(400, bea, "PUT /users/me/appearance", {"theme_preference": "dark", "terminal_font": "comic"},
            field="terminal_font")
    put = answers(200, bea, "PUT /users/me/appearance", {"theme_preference": "dark", "terminal_font": "fira-code"})
    assert put["theme_preference"] == "dark" and put["terminal_font"] == "fira-code", put
    assert answers(200, bea, "GET /users/me/appearance") == put
    answers(400, c.login("cy@example.com"), "GET /users/bea/appearance")

    assert not answers(200, bea, "GET /users/me/preferences")["task_notification_alert_dismissed"]
    answers(200, bea, "PUT /users/me/preferences", {"task_notification_alert_dismissed": True})
    assert answers(200, bea, "PUT /users/me/preferences", {})["task_notification_alert_dismissed"]

    quiet = answers(200, bea, "GET /users/me/quiet-hours")
    assert quiet["raw_schedule"] == "CRON_TZ=UTC 0 0 * * *" and not quiet["user_set"], quiet
    quiet = answers(200, bea, "PUT /users/me/quiet-hours", {"schedule": "CRON_TZ=Asia/Tokyo 30 23 * * *"})
    assert (quiet["time"], quiet["timezone"], quiet["user_set"]) == ("23:30", "Asia/Tokyo", True), quiet
    assert quiet["next"].endswith("T14:30:00Z"), quiet
    for bad in ("rubbish", "CRON_TZ=Mars/Base 0 0 * * *", "60 0 * * *", "0 24 * * *", "* * * * *", "0 0 1 * *"):
        answers(400, bea, "PUT /users/me/quiet-hours", {"schedule": bad}, field="schedule")

    assert answers(200, bea, "GET /users/me/notifications/preferences") == []
    assert answers(200, bea, f"GET /users/me/autofill-parameters?template_id={NOBODY}") == []
    answers(400, bea, "GET /users/me/autofill-parameters", field="template_id")
    assert names(answers(200, bea, "GET /users/me/organizations"), "name") == ["coder"]
    assert answers(200, bea, "GET /users/me/organizations/coder")["is_default"]
    answers(400, bea, "GET /users/admin/organizations")
    assert names(answers(200, admin, "GET /users/bea/organizations"), "name") == ["coder"]


def make_workspace(c, admin, org, owner):
    """A workspace whose jobs nobody ran."""
    tar = answers(201, admin, "POST /files", bytes(1024), content_type="application/x-tar")["hash"]
    version = answers(201, admin, f"POST /organizations/{org}/templateversions", {
        "file_id": tar, "provisioner": "terraform", "storage_method": "file", "tags": {}})
    c.psql("UPDATE provisioner_jobs SET started_at = now(), completed_at = now()")
    template = answers(201, admin, f"POST /organizations/{org}/templates",
                       {"name": "t", "template_version_id": version["id"]})
    return answers(201, admin, f"POST /users/{owner}/workspaces", {"name": "dev", "template_id": template["id"]})


def deleted(c, admin, org):
    bea = c.login("bea@example.com")
    answers(400, bea, "DELETE /users/cy")
    answers(403, admin, "DELETE /users/me")
    ws = make_workspace(c, admin, org, "bea")
    answers(417, admin, "DELETE /users/bea")
    c.psql(f"UPDATE workspaces SET deleted = true WHERE id = '{ws['id']}'")
    answers(200, admin, "DELETE /users/bea")
    answers(401, bea, "GET /users/me")
    answers(400, admin, "GET /users/bea")
    # Name and e-mail are free again.
    answers(201, admin, "POST /users", {"username": "bea", "email": "bea@example.com", "password": PASSWORD,
                                        "organization_ids": [org]})


def main():
    with Cluster(provisioners=0) as c:
        admin = c.first_user()
        org = admin.user["organization_ids"][0]
        made_by_an_administrator(c, admin, org)
        listed_and_found(c, admin)
        names_change(c, admin)
        suspended_and_back(c, admin)
        roles(c, admin)
        passwords(c, admin)
        git_key(c, admin)
        settings(c, admin)
        deleted(c, admin, org)


if __name__ == "__main__":
    main()
