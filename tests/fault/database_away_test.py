#!/usr/bin/python3
"""The database goes away for a while and comes back, with requests, an agent, a shell and a build under way.

Requests are answered 503 in words, in no time; nobody's session ends; the build goes on; once the database is back
everything works within seconds, notifications too, and coderd has neither spun nor grown meanwhile.
"""
import os
import subprocess
import sys
import threading
import time

from cluster import ROOT, STRETCH, Cluster, eventually

sys.path.append(os.path.join(ROOT, "tests/e2e"))
from people import starter_workspace  # pylint: disable=wrong-import-position

GATED = """
resource "terraform_data" "one" {
  provisioner "local-exec" {
    command = "touch $GATE/reached; while ! test -e $GATE/open; do sleep 0.05; done"
    environment = {
      GATE = "%s"
    }
  }
}
"""


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Load:
    """Requests of four users at once, until it is stopped; what was answered, by status, and the longest wait."""

    def __init__(self, client):
        self.client, self.answers, self.texts, self.longest, self.going = client, {}, set(), 0, True
        self.threads = [threading.Thread(target=self.run) for _ in range(4)]
        for t in self.threads:
            t.start()

    def run(self):
        while self.going:
            began = time.monotonic()
            r = self.client.request("GET", "/api/v2/users/me")
            self.longest = max(self.longest, time.monotonic() - began)
            self.answers[r.status] = self.answers.get(r.status, 0) + 1
            if r.status != 200:
                self.texts.add(r.json()["message"])

    def stop(self):
        self.going = False
        for t in self.threads:
            t.join()


def reports_in_vain(c, more):
    """Waits for so many more heartbeats of the running job that nobody takes: one a second and more."""
    def count():
        return sum(c[n].log().count("cannot report to the server") for n in ("provisionerd", "provisionerd2"))
    at = count()
    eventually(lambda: count() >= at + more, 60, "heartbeats of the job")


def main():
    # A database that is killed must have what it said it has.
    cluster = Cluster(provisioners=2, pg_settings={"synchronous_commit": "on"},
                      provisionerd_env={"CODER_PROVISIONER_HEARTBEAT": "1s"})
    # What is freed counts as free, also where a sanitizer holds it back for a while.
    cluster.coderd_env["ASAN_OPTIONS"] = cluster.env["ASAN_OPTIONS"] + ":quarantine_size_mb=1"
    with cluster as c:
        admin = c.first_user()
        starter_workspace(c, admin)
        dev = admin.get("/api/v2/workspaces")["workspaces"][0]
        agent = c.wait_agent(admin, dev)
        gate = c.sub("gate")
        held = c.make_workspace(admin, "held", c.push_template(admin, "gated", {"main.tf": GATED % gate}), wait=False)
        eventually(lambda: os.path.exists(gate + "/reached"), 60, "the build is in its apply")
        shell = subprocess.Popen([c.path("coder"), "ssh", "dev", "--", "cat"], env={**c.env, **c.coder_env(admin)},
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

        def echo(word):
            shell.stdin.write(word + "\n")
            assert shell.stdout.readline() == word + "\n"
        echo("before")
        pid = c["coderd"].pid
        grown = resident_mb(pid)

        c.pg.stop("immediate")
        assert admin.request("GET", "/api/v2/users/me").status == 503
        began, lines, load = time.monotonic(), c["coderd"].log().count("\n"), Load(admin)
        reports_in_vain(c, 3)
        load.stop()
        echo("away")
        print("    answers:", load.answers, "longest", round(load.longest, 2), "s;", sorted(load.texts))
        assert set(load.answers) == {503}, load.answers
        assert load.longest < 10 * STRETCH, f"an answer took {load.longest} s"
        assert all("database" in t and "SQL" not in t and "store_" not in t for t in load.texts), load.texts
        # Without requests it costs nothing to wait.
        spent, since = cpu_seconds(pid), time.monotonic()
        reports_in_vain(c, 3)
        share = (cpu_seconds(pid) - spent) / (time.monotonic() - since)
        assert share < 0.2 * STRETCH, f"coderd spins: {share:.0%} of a core"
        lasted = time.monotonic() - began
        lines = c["coderd"].log().count("\n") - lines
        assert lines < 30 * lasted, f"{lines} lines of log in {lasted} s"

        c.pg.start()
        began = time.monotonic()
        # By every worker, each of which has a connection of its own.
        served = lambda: all(admin.request("GET", "/api/v2/users/me").status == 200 for _ in range(50))
        eventually(served, 30, "requests are served again")
        echo("back")
        with open(gate + "/open", "w", encoding="ascii"):
            pass
        c.wait_build(admin, held["latest_build"]["id"], seconds=30)
        # A notification finds its way: the provisioner that waits is told of the new job, not at its next turn.
        c.build(admin, held, "stop")
        assert time.monotonic() - began < 60 * STRETCH, "the way back took too long"
        assert c.wait_agent(admin, dev)["id"] == agent["id"]
        assert c.coder("ssh", "dev", "--", "echo", "new", client=admin).stdout == "new\n"
        echo("after")
        shell.stdin.close()
        assert shell.wait(20 * STRETCH) == 0
        assert c["provisionerd"].log().count("job started") + c["provisionerd2"].log().count("job started") >= 4
        assert resident_mb(pid) < grown + 100, f"coderd has grown from {grown} to {resident_mb(pid)} MB"
        print("    away for", round(lasted), "s; resident", round(grown), "->", round(resident_mb(pid)), "MB")


if __name__ == "__main__":
    main()
