"""What a user has opened ends soon after the user is suspended or the key deleted, as new requests are refused; what
others have open goes on."""
import http.client
import subprocess
import threading

from cluster import STRETCH, Cluster, eventually
from people import starter_workspace

SOON = 20  # open streams are looked at every ten seconds


class Watch:
    """Server-sent events of a workspace, read until they end."""

    def __init__(self, c, token, path):
        self.conn = http.client.HTTPConnection("127.0.0.1", c.port, timeout=60 * STRETCH)
        self.conn.request("GET", path, headers={"Coder-Session-Token": token})
        self.answer = self.conn.getresponse()
        assert self.answer.status == 200, self.answer.status
        assert self.answer.readline().startswith(b"event: "), "no event"
        self.ended = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while self.answer.readline():
            pass
        self.ended.set()


def main():
    with Cluster() as c:
        admin = c.first_user()
        bob = c.add_user("bob", ["template-admin"])
        starter_workspace(c, bob)
        workspace = bob.get("/api/v2/workspaces")["workspaces"][0]
        path = f"/api/v2/workspaces/{workspace['id']}/watch"
        token = bob.post("/api/v2/users/me/keys/tokens", {"token_name": "other"})["key"]
        watches = {name: Watch(c, t, path) for name, t in (("bob", bob.token), ("token", token), ("admin", admin.token))}
        ssh = subprocess.Popen([c.path("coder"), "ssh", "dev", "--wait=yes", "--", "echo begun; exec sleep 600"],
                               env={**c.env, **c.coder_env(bob)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        assert ssh.stdout.readline() == "begun\n"

        bob.delete(f"/api/v2/users/me/keys/{token.split('-', maxsplit=1)[0]}")
        assert watches["token"].ended.wait(SOON * STRETCH), "a stream outlives its key"
        assert not watches["bob"].ended.is_set() and ssh.poll() is None

        admin.put(f"/api/v2/users/{bob.user['id']}/status/suspend")
        assert watches["bob"].ended.wait(SOON * STRETCH), "a stream outlives the suspension of its user"
        said = ssh.communicate(timeout=SOON * STRETCH)
        assert ssh.returncode not in (0, None), said
        assert "suspended" in said[1], said
        assert not watches["admin"].ended.is_set()
        eventually(lambda: admin.get(f"/api/v2/workspaces/{workspace['id']}")["name"] == "dev", 5)


if __name__ == "__main__":
    main()
