#!/usr/bin/python3
"""kill -9 of `coder server` itself in each phase of a build.

The server's parts end with it, or soon after: a provisioner that has a job goes on with it and hands it in to the
server that is started next. The phases are those of kill_job_test.py.
"""
import os
import shutil
import subprocess
import sys
import types

from cluster import Bundle, eventually
from kill_job_test import PHASES, Test, Web
import pg

ENV = {"CODER_PROVISIONER_JOB_LEASE": "15s", "CODER_JOB_HANG_DETECTOR_INTERVAL": "1s",
       "CODER_PROVISIONER_TERRAFORM_GRACE": "2s", "CODER_PROVISIONER_HEARTBEAT": "1s"}


class Server(Bundle):
    """With what the phases ask of a Cluster: its database."""

    def __enter__(self):
        super().__enter__()
        url = self.coder("server", "postgres-builtin-url", "--raw-url", env=self["server"].env).stdout.strip()
        self.database = "coder"
        self.pg = types.SimpleNamespace(bin=pg.bin_dir(), conninfo=lambda _: url)
        return self

    def psql(self, sql):
        return subprocess.run([os.path.join(self.pg.bin, "psql"), "-X", "-q", "-A", "-t", "-1", "-v", "ON_ERROR_STOP=1",
                               "-d", self.pg.conninfo(""), "-c", sql], capture_output=True, text=True,
                              check=True).stdout.rstrip("\n")


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


class ServerTest(Test):
    def job_processes(self):
        server = self.c["server"].pid
        daemons = {server, *children(server)}
        return {pid: command for pid, command in super().job_processes().items()
                if pid not in daemons and not os.path.basename(command.split(" ")[0]).startswith("postgres")}

    def fresh_provisioner(self):
        for name in os.listdir(self.c.sub("cache")):
            shutil.rmtree(os.path.join(self.c.sub("cache"), name, "versions"), ignore_errors=True)

    def server_killed(self, phase):
        ws, let_go = getattr(self, "hold_" + phase)(f"s-{phase}")
        build = ws["latest_build"]
        self.c["server"].kill()
        let_go()
        self.c.start()
        ended = eventually(lambda: self.ended(build["id"]), 60, "the end of the build")
        was = self.after(ws, build, ended["job"]["status"])
        print("    ended:", ended["job"]["status"], sorted(was))

    def ended(self, build_id):
        build = self.admin.get(f"/api/v2/workspacebuilds/{build_id}")
        return build if build["job"]["status"] in ("succeeded", "failed") else None


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    with Server(env=ENV) as c:
        t = ServerTest(c, Web())
        for phase in PHASES:
            if only in phase:
                print(f"server in {phase}", flush=True)
                t.server_killed(phase)


if __name__ == "__main__":
    main()
