#!/usr/bin/python3
"""API keys: session keys and tokens, how long they live, what they may do, and how they end."""
from cluster import Cluster, eventually
from expect import answers, names

SECOND = 10**9
DAY = 24 * 3600 * SECOND


def session_keys(c, admin, bea):
    key = answers(201, bea, "POST /users/me/keys")["key"]
    assert len(key) == 33 and key[10] == "-", key
    shown = answers(200, c.client(key), f"GET /users/me/keys/{key[:10]}")
    assert shown["login_type"] == "password" and shown["scopes"] == ["coder:all"] and shown["scope"] == "all", shown
    assert shown["allow_list"] == ["*:*"], shown
    assert shown["lifetime_seconds"] == 7 * 24 * 3600, shown
    # Owners make them for others; nobody else does.
    answers(200, c.client(answers(201, admin, "POST /users/bea/keys")["key"]), "GET /users/bea")
    answers(400, bea, "POST /users/admin/keys")


def how_a_key_is_carried(c, bea):
    me = {"username": bea.user["username"]}
    def whoami(client=None, path="/users/me", **kwargs):
        return answers(200, client or c.client(), f"GET {path}", **kwargs)["username"] == me["username"]
    assert whoami(headers={"Authorization": f"bearer {bea.token}"})
    assert whoami(path=f"/users/me?coder_session_token={bea.token}")
    assert whoami(path=f"/users/me?access_token={bea.token}")
    assert whoami(headers={"Cookie": f"coder_session_token={bea.token}"})
    # A stale cookie beats a good header.
    refused = c.client(bea.token).request("GET", "/api/v2/users/me",
                                          headers={"Cookie": "coder_session_token=abcdefghij-abcdefghijklmnopqrstuv"})
    assert refused.status == 401, refused
    challenge = refused.headers["WWW-Authenticate"]
    assert 'realm="coder"' in challenge and "resource_metadata=" in challenge, challenge
    # Writes by cookie need the token against forgery; writes by header or bearer do not.
    cookie = {"Cookie": f"coder_session_token={bea.token}"}
    forged = c.client().request("PUT", "/api/v2/users/me/gitsshkey", headers=cookie)
    assert forged.status == 400 and forged.headers["Content-Type"].startswith("text/plain"), forged
    answers(200, c.client(), "PUT /users/me/gitsshkey", headers={**cookie, "Coder-Session-Token": bea.token})
    answers(200, c.client(), "PUT /users/me/gitsshkey", headers={**cookie, "Authorization": f"Bearer {bea.token}"})
    token = "0123456789abcdef0123"
    answers(200, c.client(), "PUT /users/me/gitsshkey",
            headers={"Cookie": f"coder_session_token={bea.token}; csrf_token={token}", "X-CSRF-TOKEN": token})


def tokens(c, admin, bea):
    assert answers(200, bea, "GET /users/me/keys/tokens") == []
    made = answers(201, bea, "POST /users/me/keys/tokens", {"token_name": "ci 1", "lifetime": DAY})
    generated = answers(201, bea, "POST /users/me/keys/tokens", {})["key"]
    rows = answers(200, bea, "GET /users/me/keys/tokens")
    assert [r["token_name"] for r in rows][0] == "ci 1" and rows[1]["token_name"], rows
    first = rows[0]
    assert first["username"] == "bea" and first["login_type"] == "token" and first["lifetime_seconds"] == 86400, first
    assert first["last_used"] == "1970-01-01T00:00:00Z", first
    assert answers(200, bea, "GET /users/me/keys/tokens/ci%201")["id"] == first["id"] == made["key"][:10]
    answers(404, bea, "GET /users/me/keys/tokens/nosuch")
    answers(409, bea, "POST /users/me/keys/tokens", {"token_name": "ci 1"}, field="name")
    answers(400, bea, "POST /users/me/keys/tokens", {"token_name": " x"}, field="token_name")

    # Bea's may live for a hundred years, an owner's for a week.
    assert answers(200, admin, "GET /users/me/keys/tokens/tokenconfig") == {"max_token_lifetime": 7 * DAY}
    assert answers(200, bea, "GET /users/me/keys/tokens/tokenconfig") == {"max_token_lifetime": 36525 * DAY}
    answers(400, admin, "POST /users/me/keys/tokens", {"lifetime": 8 * DAY}, field="lifetime")
    answers(400, bea, "POST /users/me/keys/tokens", {"lifetime": -1}, field="lifetime")
    answers(400, bea, "POST /users/me/keys/tokens", {"lifetime": "24h"}, field="lifetime")
    short = c.client(answers(201, bea, "POST /users/me/keys/tokens", {"lifetime": SECOND, "token_name": "s"})["key"])
    def ended():
        r = short.request("GET", "/api/v2/users/me")
        return r.status == 401 and "expired at" in r.json()["detail"]
    eventually(ended, 10, "the end of a token of one second")

    # Seen by its owner and by owners of the deployment.
    assert answers(200, admin, "GET /users/me/keys/tokens") == []
    everybody = answers(200, admin, "GET /users/me/keys/tokens?include_all=true")
    assert names(everybody) == ["bea", "bea"], everybody
    everybody = answers(200, admin, "GET /users/me/keys/tokens?include_all=true&include_expired=true")
    assert len(everybody) == 3, everybody
    cy = c.add_user("cy")
    assert answers(200, cy, "GET /users/me/keys/tokens?include_all=true") == []
    answers(400, cy, "GET /users/bea/keys/tokens")
    answers(404, cy, f"GET /users/me/keys/{first['id']}")
    answers(404, cy, f"DELETE /users/me/keys/{first['id']}")

    client = c.client(generated)
    answers(204, bea, f"PUT /users/me/keys/{generated[:10]}/expire")
    assert "expired at" in answers(401, client, "GET /users/me")["detail"]
    answers(204, bea, f"DELETE /users/me/keys/{generated[:10]}")
    assert "unknown" in answers(401, client, "GET /users/me")["detail"]
    answers(404, bea, f"DELETE /users/me/keys/{generated[:10]}")


def scopes(c, bea):
    listed = answers(200, c.client(), "GET /auth/scopes")["external"]
    assert {"coder:all", "coder:application_connect", "workspace:ssh", "template:*", "api_key:create"} <= set(listed)
    def token(**body):
        return c.client(answers(201, bea, "POST /users/me/keys/tokens", body)["key"])
    answers(400, bea, "POST /users/me/keys/tokens", {"scopes": ["nosuch:read"]}, field="scopes")
    answers(400, bea, "POST /users/me/keys/tokens", {"scope": "system:read"}, field="scope")

    apps = token(token_name="apps", scope="application_connect")
    shown = answers(200, bea, "GET /users/me/keys/tokens/apps")
    assert shown["scope"] == "application_connect" and shown["scopes"] == ["coder:application_connect"], shown
    answers(404, apps, "GET /users/me")
    assert answers(200, apps, "GET /workspaces")["workspaces"] == []

    reader = token(scopes=["user:read"])
    answers(200, reader, "GET /users/me")
    answers(403, reader, "GET /users/me/gitsshkey")
    answers(404, reader, "POST /users/me/keys")

    # A token that may make tokens makes none that may do more.
    maker = token(scopes=["coder:apikeys.manage_self"])
    answers(403, maker, "POST /users/me/keys")
    answers(400, maker, "POST /users/me/keys/tokens", {}, field="scope")
    answers(400, maker, "POST /users/me/keys/tokens", {"scopes": ["workspace:read"]}, field="scopes")
    answers(201, maker, "POST /users/me/keys/tokens", {"scopes": ["api_key:read"]})


def allow_lists(c, bea):
    def token(allow):
        return c.client(answers(201, bea, "POST /users/me/keys/tokens", {"allow_list": allow})["key"])
    answers(400, bea, "POST /users/me/keys/tokens", {"allow_list": [{"type": "ship", "id": "*"}]}, field="allow_list")
    answers(400, bea, "POST /users/me/keys/tokens", {"allow_list": [{"type": "user", "id": "x"}]}, field="allow_list")
    for entry in ("ship:*", "user:x", "user", ":", 7, None):
        answers(400, bea, "POST /users/me/keys/tokens", {"allow_list": [entry]}, field="allow_list")
    me = bea.user["id"]
    # Clients send text, as they get it; the objects of the inventory are taken as well.
    answers(200, token([f"user:{me}"]), "GET /users/me")
    answers(200, token([{"type": "user", "id": me}]), "GET /users/me")
    answers(200, token([{"type": "user", "id": "*"}]), "GET /users/me")
    other = token([{"type": "user", "id": "00000000-0000-4000-8000-000000000001"}])
    answers(404, other, "GET /users/me")
    # What it makes is as narrow as it is itself.
    keys_only = token(["api_key:*"])
    answers(403, keys_only, "POST /users/me/keys")
    child = answers(201, keys_only, "POST /users/me/keys/tokens", {"token_name": "child"})["key"]
    answers(404, c.client(child), "GET /users/me")
    shown = answers(200, bea, "GET /users/me/keys/tokens/child")
    assert shown["allow_list"] == ["api_key:*"], shown


def signing_out(c, bea):
    apps = answers(201, bea, "POST /users/me/keys/tokens", {"scope": "application_connect"})["key"]
    out = bea.request("POST", "/api/v2/users/logout")
    assert out.status == 200 and "Max-Age=-1" in out.headers["Set-Cookie"], out.headers
    answers(401, bea, "GET /users/me")
    answers(401, c.client(apps), "GET /workspaces")


def main():
    with Cluster(provisioners=0) as c:
        admin = c.first_user()
        bea = c.add_user("bea")
        session_keys(c, admin, bea)
        how_a_key_is_carried(c, bea)
        tokens(c, admin, bea)
        scopes(c, bea)
        allow_lists(c, bea)
        signing_out(c, bea)


if __name__ == "__main__":
    main()
