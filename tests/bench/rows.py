"""The rows: each measures ours and its peer and yields Row. In the order in which run.py takes them: what is idle first,
what loads the machine last."""
import dataclasses
import os
import shutil
import statistics
import subprocess
import tempfile
import time

import seed
from cluster import ROOT
from measure import (Nginx, OpenSsh, alternate, chain_of_haproxy, command_seconds, first_200, load, need, pgbench,
                     pgbench_tables, rss_mb, rss_of_tree, run, seconds_of, wrk)

SSH_BYTES = 256 << 20
BUILD = """
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
data "coder_workspace" "me" {}
resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64"
}
resource "coder_app" "web" {
  agent_id = coder_agent.main.id
  slug     = "web"
  url      = "http://127.0.0.1:8080"
}
resource "terraform_data" "machine" {
  count = data.coder_workspace.me.start_count
  input = coder_agent.main.id
}
"""


@dataclasses.dataclass
class Row:
    """One line of the table: figures as text, ours divided by the peer's, and whether the target is reached."""
    what: str
    target: str
    ours: str
    peer: str
    ratio: float
    ok: bool
    load: float = dataclasses.field(default_factory=load)


class Bench:
    """The deployment that the rows share."""

    def __init__(self, c):
        self.c, self.admin, self.workspace, self._sshd = c, None, None, None

    def sshd(self):
        self._sshd = self._sshd or OpenSsh(self.c)
        return self._sshd

    def template(self):
        with open(os.path.join(ROOT, "services/coder/templates/local/main.tf"), encoding="utf-8") as f:
            text = f.read().replace("/tmp/coder-workspaces", self.c.sub("workspaces"))
        return self.c.push_template(self.admin, "local", {"main.tf": text})

    def dev(self):
        """A workspace on this machine, connected and idle."""
        if not self.workspace:
            self.workspace = self.c.make_workspace(self.admin, "dev", self.template())
            self.c.wait_agent(self.admin, self.workspace)
        return self.workspace

    def env(self):
        return {**self.c.env, **self.c.coder_env(self.admin)}


def files(b):
    terraform = os.path.getsize(os.path.realpath(need("terraform", "terraform, see scripts/build"))) / 1e6
    for name, limit in (("coder", 8), ("coder-agent", 6)):
        with tempfile.NamedTemporaryFile() as f:
            run(["strip", "--strip-all", "-o", f.name, b.c.path(name)])
            mb = os.path.getsize(f.name) / 1e6
        yield Row(f"file `{name}`, stripped", f"<= {limit} MB", f"{mb:.2f} MB", f"terraform: {terraform:.1f} MB",
                  mb / terraform, mb <= limit)


def startup(b):
    """Also PostgreSQL is running and migrated; the time is from fork to the first 200."""
    c, nginx = b.c, Nginx(b.c)

    def ours():
        c["coderd"].stop()
        return 1000 * seconds_of(lambda: (c["coderd"].start(), first_200(c.port, "/api/v2/buildinfo")))

    def peer():
        c["nginx"].stop()
        return 1000 * seconds_of(lambda: (c["nginx"].start(), first_200(nginx.port, "/")))

    c.add("nginx", nginx.argv())
    a, p = alternate(7, ours, peer)
    yield Row("coderd, start to first 200, database ready", "< 60 ms", f"{a:.0f} ms", f"nginx: {p:.0f} ms", a / p, a < 60)


def version(b):
    ours, peer = [b.c.path("coder"), "version"], [need("git", "git"), "--version"]
    a, p = alternate(41, lambda: 1000 * command_seconds(ours, b.env()), lambda: 1000 * command_seconds(peer, b.env()))
    yield Row("`coder version`", "<= 10 ms", f"{a:.1f} ms", f"git --version: {p:.1f} ms", a / p, a <= 10)


def idle(b):
    """Resident memory, with one agent connected; sshd and nginx do nothing either."""
    b.dev()
    sshd = b.sshd()
    mine = {p.pid for p in b.c.processes.values()}
    agents = [p for p in b.c.left_behind() if p not in mine
              and os.path.basename(os.readlink(f"/proc/{p}/exe")).startswith("coder")]
    assert agents, "there is no agent's process"
    # What a connecting agent needed is given back a moment later: idle is the least of some seconds.
    agent, coderd, end = float("inf"), float("inf"), time.monotonic() + 4
    while time.monotonic() < end:
        agent, coderd = min(agent, max(rss_mb(p) for p in agents)), min(coderd, rss_mb(b.c["coderd"].pid))
        time.sleep(0.2)
    p = rss_mb(sshd.server.pid)
    yield Row("agent resident, idle", "<= 8 MB", f"{agent:.1f} MB", f"sshd: {p:.1f} MB", agent / p, agent <= 8)
    p = rss_of_tree(b.c["nginx"].pid)
    yield Row("coderd resident, idle, one agent", "<= 20 MB", f"{coderd:.1f} MB", f"nginx: {p:.1f} MB", coderd / p,
              coderd <= 20)


def ssh_true(b):
    b.dev()
    ours, peer = [b.c.path("coder"), "ssh", "dev", "--", "true"], b.sshd().argv() + ["true"]
    a, p = alternate(21, lambda: 1000 * command_seconds(ours, b.env()), lambda: 1000 * command_seconds(peer, b.env()))
    yield Row("`coder ssh dev -- true`", "<= 60 ms", f"{a:.0f} ms", f"OpenSSH: {p:.0f} ms", a / p, a <= 60)


def ssh_bytes(b):
    b.dev()
    port = chain_of_haproxy(b.c, b.sshd().port)
    send = f"head -c {SSH_BYTES} /dev/zero"

    def rate(argv):
        def once():
            with subprocess.Popen(argv + [send], env=b.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as p:
                count = int(run(["wc", "-c"], stdin=p.stdout))
            assert p.returncode == 0 and count == SSH_BYTES, (argv, p.returncode, count)
        return lambda: SSH_BYTES / 1e6 / seconds_of(once)

    a, p = alternate(5, rate([b.c.path("coder"), "ssh", "dev", "--"]), rate(b.sshd().argv(port)))
    yield Row("bytes through `coder ssh`, relayed", ">= 70% of peer", f"{a:.0f} MB/s", f"OpenSSH, 2 HAProxy: {p:.0f} MB/s",
              a / p, a >= 0.7 * p)


def build(b):
    """From the request to the job's end as the database has it, beside the three commands in an empty folder."""
    c, terraform = b.c, need("terraform", "terraform, see scripts/build")
    ws = c.make_workspace(b.admin, "build", c.push_template(b.admin, "build", {"main.tf": BUILD}))
    mirror = os.path.join(c.sub("mirror"), "registry.terraform.io/coder/coder/2.99.0/linux_amd64")
    os.makedirs(mirror)
    shutil.copy(c.path("terraform-provider-coder"), os.path.join(mirror, "terraform-provider-coder_v2.99.0"))
    with open(os.path.join(c.sub("mirror"), "rc"), "w", encoding="ascii") as f:
        f.write('disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = "'
                + c.sub("mirror") + '"\n  }\n}\n')
    env = {**c.env, "TF_CLI_CONFIG_FILE": os.path.join(c.sub("mirror"), "rc"), "TF_IN_AUTOMATION": "1",
           "CODER_WORKSPACE_TRANSITION": "start", "CODER_AGENT_URL": c.url}

    def ours():
        c.build(b.admin, ws, "stop")
        begin = time.time()
        done = c.build(b.admin, ws, "start")
        end = c.psql(f"SELECT extract(epoch FROM completed_at) FROM provisioner_jobs WHERE id = '{done['job']['id']}'")
        return 1000 * (float(end) - begin)

    def peer():
        folder = tempfile.mkdtemp(dir=c.dir)
        with open(os.path.join(folder, "main.tf"), "w", encoding="ascii") as f:
            f.write(BUILD)
        flags = ["-input=false", "-no-color"]
        return 1000 * seconds_of(lambda: (run([terraform, "init", *flags], cwd=folder, env=env),
                                          run([terraform, "plan", *flags, "-out=plan"], cwd=folder, env=env),
                                          run([terraform, "apply", *flags, "plan"], cwd=folder, env=env)))

    a, p = alternate(5, ours, peer)
    yield Row("start build, request to done", "<= bare + 100 ms", f"{a:.0f} ms", f"bare init+plan+apply: {p:.0f} ms", a / p,
              a <= p + 100)


def users_me(b):
    c = b.c
    pgbench_tables(c)
    pg, health, ours = [], [], []
    for _ in range(3):
        ours.append(wrk(c.url + "/api/v2/users/me", 32, 4, b.admin.token))
        pg.append(pgbench(c, 32, 3))
        health.append(wrk(c.url + "/healthz", 32, 2))
    a, p99 = statistics.median(x.rate for x in ours), statistics.median(x.p99 for x in ours)
    what = "`GET /api/v2/users/me`, 32 connections"
    p = statistics.median(pg)
    yield Row(what, "> 15,000/s, p99 < 5 ms", f"{a:,.0f}/s, p99 {p99:.1f} ms", f"pgbench -S: {p:,.0f}/s", a / p,
              a > 15000 and p99 < 5)
    h, hp99 = statistics.median(x.rate for x in health), statistics.median(x.p99 for x in health)
    yield Row("the same beside `/healthz`", "> 15,000/s, p99 < 5 ms", f"{a:,.0f}/s, p99 {p99:.1f} ms",
              f"/healthz: {h:,.0f}/s, p99 {hp99:.1f} ms", a / h, a > 15000 and p99 < 5)


def page(b):
    c, url = b.c, "/api/v2/workspaces?limit=25"
    b.dev()
    seed.seed(c, b.admin, b.admin.get(f"/api/v2/templates/{b.workspace['template_id']}"))
    seed.check_page(b.admin.get(url))
    body = len(b.admin.request("GET", url).body)
    assert body >= 150000, f"the page has {body} bytes only"
    script = os.path.join(c.dir, "page.sql")
    with open(script, "w", encoding="ascii") as f:
        f.write(seed.PAGE)
    ours, peer = [], []
    for _ in range(3):
        ours.append(wrk(c.url + url, 8, 4, b.admin.token))
        peer.append(pgbench(c, 8, 3, script))
    a, p99, p = (statistics.median(x.rate for x in ours), statistics.median(x.p99 for x in ours), statistics.median(peer))
    yield Row(f"25 of {seed.WORKSPACES:,} workspaces, whole, {body / 1000:.0f} KB, 8 connections", "> 600/s, p99 < 50 ms",
              f"{a:,.0f}/s, p99 {p99:.0f} ms", f"PostgreSQL's own JSON: {p:,.0f}/s", a / p, a > 600 and p99 < 50)


ALL = [files, startup, version, idle, ssh_true, ssh_bytes, build, users_me, page]
