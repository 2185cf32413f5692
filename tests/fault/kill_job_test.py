#!/usr/bin/python3
"""A build outlives kill -9 of coderd and of PostgreSQL, and ends in a clear state after kill -9 of its provisioner, of
terraform or of a provider, in each phase.

Each phase is held open by something that tells when it is reached, so that the kill is known to hit it:

  init    terraform fetches a module from a server of this test, which does not answer
  plan    terraform reads data from that server, which does not answer
  apply   the second of two resources waits for a file; the first is in the state already
  upload  the second part of the new state waits in PostgreSQL, for a lock that this test holds
  final   the job's last row waits in PostgreSQL for such a lock

Afterwards the build has ended with a reason, the state is what terraform wrote last (a resource that was made is never
made twice), no terraform or provider is left, and the workspace can be built again.

Then a provisioner that is stopped (SIGSTOP) past the end of its lease: the reaper ends the job, another provisioner
may build, and the late final word of the first changes nothing, while its late state counts as long as no newer build
exists.

That the last one can fail was tried by building coderd without the fence: with `load_job` of rpc/provisioner.c always
giving *ret_current = true, and without `fencing_token = $fencing_token AND status IN (...)` in store_job_complete,
store_job_renew and store_job_logs_append (queries/jobs.sql), the late final word makes the reaped build succeed:
"the build is succeeded" in late_word_test.
"""
import http.server
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import traceback

from cluster import Cluster, eventually

UPLOAD_LOCK, FINAL_LOCK = 4242, 4243

TEMPLATE = """
terraform {
  required_providers {
    coder = {
      source = "coder/coder"
    }
  }
}

data "coder_workspace" "me" {}

data "coder_parameter" "gate" {
  name    = "gate"
  mutable = true
  default = ""
}

data "coder_parameter" "size" {
  name    = "size"
  type    = "number"
  mutable = true
  default = 1
}

module "fetched" {
  source = "http://127.0.0.1:%(port)d/module.tar.gz"
}

data "terraform_remote_state" "gate" {
  backend = "http"
  config = {
    address = "http://127.0.0.1:%(port)d/plan/${data.coder_workspace.me.name}"
  }
}

resource "terraform_data" "one" {
  input = "made once"
}

resource "terraform_data" "two" {
  depends_on       = [terraform_data.one]
  triggers_replace = [data.coder_parameter.gate.value]
  input            = join("", [for i in range(data.coder_parameter.size.value) : format("%%05000d", i)])

  provisioner "local-exec" {
    command = "test -z \\"$GATE\\" || { touch \\"$GATE/reached\\"; while ! test -e \\"$GATE/open\\"; do sleep 0.05; done; }"
    environment = {
      GATE = data.coder_parameter.gate.value
    }
  }
}

# Needs its provider until the end of the apply.
resource "coder_agent" "last" {
  depends_on = [terraform_data.two]
  os         = "linux"
  arch       = "amd64"
}

resource "terraform_data" "running" {
  count = data.coder_workspace.me.start_count
  input = module.fetched.word
}
"""

# What a job's rows wait for. Shared: one waiting row does not hold up others once the test lets go.
TRIGGERS = f"""
CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint);
    RETURN NEW;
END $$;
CREATE TRIGGER wait_for_test BEFORE INSERT ON provisioner_job_uploads
    FOR EACH ROW WHEN (NEW.what = 'state' AND NEW.byte_offset > 0) EXECUTE FUNCTION wait_for_test({UPLOAD_LOCK});
CREATE TRIGGER wait_for_test BEFORE UPDATE ON provisioner_jobs
    FOR EACH ROW WHEN (NEW.completed_at IS NOT NULL AND OLD.completed_at IS NULL AND NEW.type = 'workspace_build')
    EXECUTE FUNCTION wait_for_test({FINAL_LOCK});
"""


class Web:
    """Serves the module and the data; a path that is held is answered only when it is let go."""

    def __init__(self):
        self.held, self.reached, self.lock = {}, set(), threading.Lock()
        web = self
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w:gz") as tar:
            text = b'output "word" {\n  value = "fetched"\n}\n'
            info = tarfile.TarInfo("main.tf")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
        module = raw.getvalue()
        state = json.dumps({"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "x", "outputs": {},
                            "resources": []}).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # pylint: disable=invalid-name
                path = self.path.split("?")[0]
                with web.lock:
                    gate = web.held.get(path)
                    web.reached.add(path)
                if gate:
                    gate.wait()
                body = module if path == "/module.tar.gz" else state
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # whoever asked was killed

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def hold(self, path):
        with self.lock:
            self.held[path] = threading.Event()
            self.reached.discard(path)

    def let_go(self, path):
        with self.lock:
            self.held.pop(path).set()


class Lock:
    """Held in a session of PostgreSQL that does nothing else."""

    def __init__(self, cluster, number):
        self.cluster, self.number = cluster, number
        self.psql = subprocess.Popen([os.path.join(cluster.pg.bin, "psql"), "-X", "-q", "-A", "-t", "-d",
                                      cluster.pg.conninfo(cluster.database)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.psql.stdin.write(f"SELECT pg_advisory_lock({number});\\echo held\n")
        self.psql.stdin.flush()
        while self.psql.stdout.readline().strip() != "held":
            pass

    def waited_for(self):
        return self.cluster.psql(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {self.number} "
                                 "AND NOT granted") != "0"

    def release(self):
        try:
            self.psql.stdin.close()
        except BrokenPipeError:
            pass  # it went with the database
        self.psql.wait()


class Test:
    def __init__(self, cluster, web):
        self.c, self.web = cluster, web
        self.admin = cluster.first_user()
        cluster.psql(TRIGGERS)
        self.template = cluster.push_template(self.admin, "held", {"main.tf": TEMPLATE %
                                                                   {"port": web.server.server_port}})
        # Each build fetches the module anew, so that init can be held.
        self.admin.patch(f"/api/v2/templates/{self.template['id']}", {"disable_module_cache": True})
        self.counter = 0

    # ---- what is looked at ----

    def state(self, build_id):
        """Of each resource, by name: its id, or None when it is tainted."""
        r = self.admin.request("GET", f"/api/v2/workspacebuilds/{build_id}/state")
        if not r.body:
            return {}
        found = {}
        for resource in json.loads(r.body)["resources"]:
            for i in resource["instances"] if resource["type"] == "terraform_data" else []:
                found[resource["name"]] = None if i.get("status") == "tainted" else i["attributes"]["id"]
        return found

    def job_processes(self):
        """Everything of the deployment that is not one of its daemons: command lines by pid."""
        daemons = {p.pid for p in self.c.processes.values() if p.process}
        found = {}
        for pid in self.c.left_behind():
            try:
                with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
                    command = f.read().replace("\0", " ")
                if pid not in daemons and command:
                    found[pid] = command
            except OSError:
                pass
        return found

    def terraform_left(self):
        return list(self.job_processes().values())

    def kill_program(self, name):
        """kill -9 of what runs a program of that name for a job, as soon as there is one."""
        def hit():
            pids = [pid for pid, command in self.job_processes().items()
                    if os.path.basename(command.split(" ")[0]).startswith(name)]
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # it went with the one before: terraform takes its providers along
            return pids
        eventually(hit, 60, f"{name} runs for a job")

    # ---- the phases ----

    def gate_folder(self):
        self.counter += 1
        return self.c.sub(f"gate{self.counter}")

    def begin(self, name, **parameters):
        """A new workspace whose first build is under way."""
        return self.c.make_workspace(self.admin, name, self.template, parameters, wait=False)

    def hold_init(self, name):
        # A provisioner that has never seen the version: the module is fetched by its init.
        self.fresh_provisioner()
        self.web.hold("/module.tar.gz")
        ws = self.begin(name)
        eventually(lambda: "/module.tar.gz" in self.web.reached, 60, "init asks for the module")
        return ws, lambda: self.web.let_go("/module.tar.gz")

    def hold_plan(self, name):
        path = f"/plan/{name}"
        self.web.hold(path)
        ws = self.begin(name)
        eventually(lambda: path in self.web.reached, 60, "the plan asks for the data")
        return ws, lambda: self.web.let_go(path)

    def hold_apply(self, name):
        gate = self.gate_folder()
        ws = self.begin(name, gate=gate)
        eventually(lambda: os.path.exists(gate + "/reached"), 60, "the apply is at the second resource")
        eventually(lambda: "one" in self.state(ws["latest_build"]["id"]), 30, "the first resource is in the state")

        def let_go():
            with open(gate + "/open", "w", encoding="ascii"):
                pass
        return ws, let_go

    def hold_upload(self, name):
        lock = Lock(self.c, UPLOAD_LOCK)
        ws = self.begin(name, size="400")
        eventually(lock.waited_for, 60, "the second part of the state is on its way")
        parts = self.c.psql("SELECT count(*) FROM provisioner_job_uploads u JOIN workspace_builds b USING (job_id) "
                            f"WHERE b.workspace_id = '{ws['id']}' AND u.what = 'state'")
        assert parts == "1", f"{parts} parts of the state have arrived"
        return ws, lock.release

    def hold_final(self, name):
        lock = Lock(self.c, FINAL_LOCK)
        ws = self.begin(name)
        eventually(lock.waited_for, 60, "the final word is on its way")
        return ws, lock.release

    def fresh_provisioner(self):
        old = [n for n in self.c.processes if n.startswith("provisionerd")][-1]
        self.c[old].stop()
        self.counter += 1
        p = self.c.add_provisionerd(10 + self.counter, 0).start()
        p.wait_log("connected to the server")

    def provisioner(self):
        return [p for n, p in self.c.processes.items() if n.startswith("provisionerd") and p.running()][-1]

    # ---- the scenarios ----

    def after(self, ws, build, status):
        """What must hold after each kill; the state of the build that was hit."""
        build = self.c.wait_build(self.admin, build["id"], status=status)
        if build["job"]["status"] == "failed":
            assert len(build["job"]["error"]) > 20, f"no clear reason: {build['job']['error']!r}"
            print("    reason:", build["job"]["error"])
        eventually(lambda: not self.terraform_left(), 30, "all of terraform has ended")
        was = self.state(build["id"])
        again = self.c.build(self.admin, ws, "start", rich_parameter_values=[{"name": "gate", "value": ""}])
        now = self.state(again["id"])
        assert set(now) == {"one", "two", "running"} and None not in now.values(), now
        if "one" in was:
            assert now["one"] == was["one"], "the first resource was made twice"
        return was

    def coderd_killed(self, phase):
        ws, let_go = getattr(self, "hold_" + phase)(f"c-{phase}")
        build = ws["latest_build"]
        self.c["coderd"].kill()
        if phase in ("upload", "final"):
            let_go()  # what the dead server has asked of the database comes to nothing
        self.c["coderd"].start()
        self.c.wait_ready()
        if phase not in ("upload", "final"):
            let_go()
        # The provisioner went on, and hands in all that it has when the server is there again.
        was = self.after(ws, build, "succeeded")
        assert set(was) == {"one", "two", "running"}, was

    def provisionerd_killed(self, phase):
        ws, let_go = getattr(self, "hold_" + phase)(f"p-{phase}")
        build, victim = ws["latest_build"], self.provisioner()
        victim.kill()
        if phase != "apply":
            let_go()
        connected = len([x for x in victim.log().splitlines() if "connected to the server" in x])
        victim.start()
        victim.wait_log("connected to the server", count=connected + 1)
        # With its last word said, or on disk, the build succeeded; else it failed, and says so. While a part of the state
        # is on its way, terraform may have ended, and the last word be on disk, or not.
        was = self.after(ws, build, {"final": "succeeded", "upload": ("succeeded", "failed")}.get(phase, "failed"))
        everything = {"one", "two", "running"}
        must = {"init": set(), "plan": set(), "apply": {"one"}}.get(phase, everything)
        may = set() if phase in ("init", "plan") else everything
        assert must <= set(was) <= may, f"{phase}: {was}"

    def terraform_killed(self, phase):
        ws, let_go = getattr(self, "hold_" + phase)(f"t-{phase}")
        self.kill_program("terraform")
        if phase != "apply":
            let_go()
        was = self.after(ws, ws["latest_build"], "failed")
        if phase == "apply":
            assert was["one"], f"what terraform had written last: {was}"
        else:
            assert not was, was

    def provider_killed(self):
        """In the apply, which needs it for the last resource."""
        ws, let_go = self.hold_apply("provider")
        self.kill_program("terraform-provider-coder")
        let_go()
        was = self.after(ws, ws["latest_build"], "failed")
        assert was["one"] and was["two"], f"what terraform had written last: {was}"

    def database_killed(self, phase):
        """Whoever was connected finds it again, and nothing of the build is lost."""
        ws, let_go = getattr(self, "hold_" + phase)(f"d-{phase}")
        self.c.pg.stop("immediate")
        assert self.c.client().request("GET", "/api/v2/users/me", headers={
            "Coder-Session-Token": self.admin.token}).status == 503
        self.c.pg.start()
        eventually(lambda: self.admin.get("/api/v2/users/me"), 30, "the server has its database again")
        let_go()
        was = self.after(ws, ws["latest_build"], "succeeded")
        assert set(was) == {"one", "two", "running"}, was

    def late_word(self):
        """The lease of a stopped provisioner ends; what it says later changes nothing."""
        gate = self.gate_folder()
        first = self.provisioner()
        ws = self.begin("late", gate=gate)
        build = ws["latest_build"]
        eventually(lambda: os.path.exists(gate + "/reached"), 60, "the apply is at the second resource")
        first.send(signal.SIGSTOP)
        try:
            ended = self.c.wait_build(self.admin, build["id"], status="failed")
            assert "terminated by the reaper" in ended["job"]["error"], ended["job"]["error"]
            logs = self.admin.get(f"/api/v2/workspacebuilds/{build['id']}/logs")
            rule = "=" * 20
            notice = [line["output"] for line in logs[-5:]]
            assert [notice[0], notice[1], notice[3], notice[4]] == ["", rule, rule, ""], notice
            assert "hung" in notice[2], notice
            with open(gate + "/open", "w", encoding="ascii"):
                pass  # terraform itself was not stopped: it finishes its work
        finally:
            first.send(signal.SIGCONT)
        # The late state counts, since what it names exists.
        eventually(lambda: self.state(build["id"]).get("one"), 30, "the late state has arrived")
        eventually(lambda: not self.terraform_left(), 60, "all of terraform has ended")
        again = self.admin.get(f"/api/v2/workspacebuilds/{build['id']}")
        assert again["job"]["status"] == "failed", f"the build is {again['job']['status']}"
        assert again["job"]["error"] == ended["job"]["error"], again["job"]["error"]
        self.after(ws, build, "failed")

    def nobody_comes_back(self):
        """A provisioner dies for good: its build ends, and another one's state is not touched by the first's."""
        gate = self.gate_folder()
        victim = self.provisioner()
        ws = self.begin("gone", gate=gate)
        build = ws["latest_build"]
        eventually(lambda: os.path.exists(gate + "/reached"), 60, "the apply is at the second resource")
        eventually(lambda: "one" in self.state(build["id"]), 30, "the first resource is in the state")
        victim.kill()
        other = self.c.add_provisionerd(50, 0).start()
        other.wait_log("connected to the server")
        with open(gate + "/open", "w", encoding="ascii"):
            pass
        self.c.wait_build(self.admin, build["id"], status="failed")
        newer = self.c.build(self.admin, ws, "start")
        settled = self.state(newer["id"])
        # The first comes back and hands in what its terraform left on disk: too late, a newer build exists.
        victim.start()
        victim.wait_log("connected to the server", count=2)
        eventually(lambda: not self.terraform_left(), 60, "all of terraform has ended")
        assert self.state(newer["id"]) == settled, "an old state has replaced a newer one"
        self.after(ws, newer, "succeeded")
        other.stop()


PHASES = ("init", "plan", "apply", "upload", "final")


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    # A database that is killed must have what it said it has.
    with Cluster(pg_settings={"synchronous_commit": "on"},
                 coderd_env={"CODER_PROVISIONER_JOB_LEASE": "8s", "CODER_JOB_HANG_DETECTOR_INTERVAL": "1s"},
                 provisionerd_env={"CODER_PROVISIONER_TERRAFORM_GRACE": "2s", "CODER_PROVISIONER_HEARTBEAT": "1s"}) as c:
        t = Test(c, Web())
        scenarios = [(f"coderd in {p}", lambda p=p: t.coderd_killed(p)) for p in PHASES]
        scenarios += [(f"provisionerd in {p}", lambda p=p: t.provisionerd_killed(p)) for p in PHASES]
        scenarios += [(f"terraform in {p}", lambda p=p: t.terraform_killed(p)) for p in ("init", "plan", "apply")]
        scenarios += [("provider", t.provider_killed)]
        scenarios += [(f"database in {p}", lambda p=p: t.database_killed(p)) for p in PHASES]
        scenarios += [("late_word", t.late_word), ("nobody_comes_back", t.nobody_comes_back)]
        failed = []
        for name, run in scenarios:
            if only not in name:
                continue
            print(name, flush=True)
            try:
                run()
            except Exception:  # pylint: disable=broad-except
                traceback.print_exc()
                failed.append(name)
                break  # what is held would hold up the others
        if failed:
            raise AssertionError(f"failed: {failed}")


if __name__ == "__main__":
    main()
