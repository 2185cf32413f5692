"""Who gets on the way to an agent: the server looks at the stream ticket of each session itself (the agent does so again:
unit tests of net/session). A ticket is one person's, for one agent, and as it was signed."""
import http.client
import os
import uuid

from cluster import ROOT, Cluster

KEYS = {"client_cert_sha256": "ab" * 32, "kinds": ["ssh"]}


def open_session(c, client, agent, ticket, **query):
    """Status and text of the answer to a session on its way."""
    query = {"carrier": uuid.uuid4(), "offset": 0, **query}
    conn = http.client.HTTPConnection("127.0.0.1", c.port, timeout=30)
    headers = {"Coder-Session-Token": client.token, "Connection": "Upgrade", "Upgrade": "coder-session"}
    if ticket is not None:
        headers["Coder-Stream-Ticket"] = ticket
    conn.request("GET", f"/api/v2/workspaceagents/{agent['id']}/session?" + "&".join(f"{k}={v}" for k, v in query.items()),
                 headers=headers)
    r = conn.getresponse()
    text = b"" if r.status == 101 else r.read()
    conn.close()
    return r.status, text.decode()


def altered(ticket, at):
    """The same with another letter."""
    return ticket[:at] + ("A" if ticket[at] != "A" else "B") + ticket[at + 1:]


def main():
    with open(os.path.join(ROOT, "services/coder/templates/local/main.tf"), encoding="utf-8") as f:
        text = f.read()
    with Cluster() as c:
        admin = c.first_user()
        template = c.push_template(admin, "local", {"main.tf": text.replace("/tmp/coder-workspaces", c.sub("workspaces"))})
        spaces = [c.make_workspace(admin, name, template) for name in ("dev", "two")]
        dev, two = [c.wait_agent(admin, w) for w in spaces]

        def ticket(client, agent):
            return client.post(f"/api/v2/workspaceagents/{agent['id']}/session-ticket", KEYS)["ticket"]

        def refused(status, says, *args, **query):
            got = open_session(c, *args, **query)
            assert got[0] == status and says in got[1], got

        good = ticket(admin, dev)
        assert open_session(c, admin, dev, good) == (101, "")
        refused(401, "ticket", admin, dev, None)
        refused(401, "ticket", admin, dev, "rubbish")
        for at in (0, len(good) // 3, len(good) // 2, len(good) - 3):
            refused(401, "ticket", admin, dev, altered(good, at))
        refused(401, "ticket", admin, dev, good[:-4])
        refused(401, "agent", admin, dev, ticket(admin, two))
        refused(400, "carrier", admin, dev, good, carrier="x")
        refused(400, "offset", admin, dev, good, offset=-1)

        # Somebody else, also with a right to the workspace, has no use for it; without one there is no such agent.
        bea = c.add_user("bea")
        refused(404, "", bea, dev, good)
        assert bea.request("POST", f"/api/v2/workspaceagents/{dev['id']}/session-ticket", KEYS).status == 404
        admin.patch(f"/api/v2/workspaces/{spaces[0]['id']}/acl", {"user_roles": {bea.user["id"]: "admin"}})
        assert open_session(c, bea, dev, ticket(bea, dev)) == (101, "")
        refused(403, "another user", bea, dev, good)


if __name__ == "__main__":
    main()
