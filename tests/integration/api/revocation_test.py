#!/usr/bin/python3
"""What is taken away at one replica is gone at the other, from its next request on: keys, sessions, people and their roles.

With the deployment of the benchmarks (tests/bench/run.py), and while 32 connections that stay open ask the other replica
without a pause: whatever makes that fast must not outlive a revocation.
"""
import http.client
import os
import sys
import threading
import time

from cluster import PASSWORD, ROOT, Cluster, eventually

sys.path.insert(0, os.path.join(ROOT, "tests/bench"))
from run import DATABASE  # noqa: E402  pylint: disable=wrong-import-position

CONNECTIONS = 32


class Load:
    """Asks a replica for one path over connections of which none is opened twice; notes when and with what answer."""

    def __init__(self, port, token, path="/api/v2/users/me"):
        self.port, self.token, self.path = port, token, path
        self.answers = [[] for _ in range(CONNECTIONS)]  # of each connection: (asked at, status)
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(a,)) for a in self.answers]

    def ask(self, answers):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        conn.connect()
        sock = conn.sock
        while not self.over.is_set():
            at = time.monotonic()
            conn.request("GET", self.path, headers={"Coder-Session-Token": self.token})
            r = conn.getresponse()
            r.read()
            answers.append((at, r.status if conn.sock is sock else "the connection was closed"))
        conn.close()

    def __enter__(self):
        for t in self.threads:
            t.start()
        eventually(lambda: all(len(a) > 5 for a in self.answers), 60, "all connections have their answers")
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join()

    def refused_from(self, moment, status):
        """Waits until each connection was answered so after the moment; nothing that was asked then has another answer."""
        def asked_since():
            return all(a[-1][0] > moment or not t.is_alive() for a, t in zip(self.answers, self.threads))
        eventually(asked_since, 60, "each connection has asked again")
        self.__exit__()
        for a in self.answers:
            before, after = [s for at, s in a if at < moment], [s for at, s in a if at > moment]
            assert before[0] == 200 and set(before) <= {200, status}, before[-3:]
            assert after and set(after) == {status}, f"asked after the revocation, and answered {after[:5]}"


def taken_away(c, token, how, status=401, path="/api/v2/users/me"):
    with Load(c.port, token, path) as load:
        how()
        load.refused_from(time.monotonic(), status)


def main():
    with Cluster(provisioners=0, replicas=2, pg_settings=DATABASE) as c:
        admin = c.first_user()
        there = c.client(admin.token, url=c.urls[1])  # the other replica

        def token(client):
            return client.post("/api/v2/users/me/keys/tokens", {})["key"]

        print("a token is deleted", flush=True)
        key = token(admin)
        taken_away(c, key, lambda: there.delete(f"/api/v2/users/me/keys/{key[:10]}"))
        print("a token is ended", flush=True)
        key = token(admin)
        taken_away(c, key, lambda: there.put(f"/api/v2/users/me/keys/{key[:10]}/expire"))
        print("somebody signs out", flush=True)
        bea = c.add_user("bea")
        taken_away(c, bea.token, lambda: c.client(bea.token, url=c.urls[1]).post("/api/v2/users/logout"))
        print("a new password ends all sessions", flush=True)
        bea = c.login("bea@example.com")
        taken_away(c, bea.token, lambda: there.put("/api/v2/users/bea/password", {"password": PASSWORD + "new"}))
        print("somebody is suspended", flush=True)
        cy = c.add_user("cy")
        taken_away(c, cy.token, lambda: there.put("/api/v2/users/cy/status/suspend"))
        print("somebody is deleted", flush=True)
        di = c.add_user("di")
        taken_away(c, di.token, lambda: there.delete("/api/v2/users/di"))
        print("a role is taken away", flush=True)
        ed = c.add_user("ed", roles=["user-admin"])
        taken_away(c, ed.token, lambda: there.put("/api/v2/users/ed/roles", {"roles": []}), 400, "/api/v2/users/admin")


if __name__ == "__main__":
    main()
