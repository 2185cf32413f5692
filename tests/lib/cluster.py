#!/usr/bin/python3
"""A private deployment for scenario tests: a database, coderd (one or several) and provisionerds on free ports, in a
folder of its own, gone with the test.

    with Cluster(provisioners=1) as c:          # PostgreSQL from pg.py, coderd, provisionerd over ipc://
        admin = c.first_user()                  # a Client: .get .post .patch .put .delete
        ws = c.make_workspace(admin, "dev", c.push_template(admin, "t", {"main.tf": "..."}))
        c.coder("list", client=admin)           # the command, as that user, with a config folder of its own
        c["coderd"].kill(); c["coderd"].start() # kill -9 and back, on the same port
        eventually(lambda: ..., 10, "what is waited for")

    with Bundle() as c: ...                     # the same by `coder server` on its embedded database

Programs come from the build folder named by CM_BIN (its bin/), or build/debug, or build. Leaving the `with` stops
everything by pid, also what the programs left behind (they carry CM_CLUSTER=<id> in their environment), and raises
when a sanitizer or an assertion said anything, in whichever process. When the test fails, the logs' last lines are
printed. As a program: `cluster.py shell [COMMAND...]` starts one with a first user and runs a shell in it.
"""
import glob
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import uuid

import pg

ROOT = pg.ROOT
PASSWORD = "SomeSecurePassword1!"
# All deadlines are stretched by this, e.g. for valgrind or a loaded machine.
STRETCH = float(os.environ.get("CM_STRETCH", "1"))
BAD_OUTPUT = re.compile(r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|WARNING: ThreadSanitizer|: runtime error: |"
                        r"assertion failed|Assertion .* failed")
LOG_TAIL_LINES = 60


class Timeout(AssertionError):
    pass


def eventually(condition, seconds=30, what="the condition"):
    """Calls condition until it returns something true, which is returned; an exception of its counts as no."""
    end, last = time.monotonic() + seconds * STRETCH, None
    while True:
        try:
            got = condition()
            if got:
                return got
            last = None
        except Exception as e:  # pylint: disable=broad-except
            last = e
        if time.monotonic() > end:
            raise Timeout(f"not within {seconds} s: {what}" + (f" ({last!r})" if last else ""))
        time.sleep(0.02)


def free_port():
    """Below the range that the kernel gives to outgoing connections, so that it is still free a moment later."""
    while True:
        port = random.randint(15000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def bin_dir():
    named = os.environ.get("CM_BIN")
    for d in [named] if named else [os.path.join(ROOT, "build/debug/bin"), os.path.join(ROOT, "build/bin")]:
        if os.access(os.path.join(d, "coderd"), os.X_OK):
            return d
    sys.exit(f"cluster.py: no coderd in {named or 'build/debug/bin or build/bin'}: run scripts/build, or set CM_BIN")


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:500]!r}>"


class ApiError(AssertionError):
    def __init__(self, method, path, response):
        super().__init__(f"{method} {path}: {response}")
        self.response = response


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


class Client:
    """One user of the HTTP API. get/post/... return decoded JSON (None for no body) and raise ApiError for any status
    of 400 or more; request returns the Response whatever it is."""

    def __init__(self, cluster, token=None, url=None, user=None):
        self.cluster, self.token, self.base, self.user = cluster, token, url, user
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)

    def request(self, method, path, body=None, headers=None, timeout=30, content_type=None):
        data, headers = body, dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            data, content_type = json.dumps(body).encode(), "application/json"
        if content_type:
            headers["Content-Type"] = content_type
        if self.token:
            headers["Coder-Session-Token"] = self.token
        req = urllib.request.Request((self.base or self.cluster.url) + path, data, headers, method=method)
        try:
            with self.opener.open(req, timeout=timeout * STRETCH) as r:
                return Response(r.status, r.headers, r.read())
        except urllib.error.HTTPError as e:
            return Response(e.code, e.headers, e.read())

    def call(self, method, path, body=None, **kwargs):
        r = self.request(method, path, body, **kwargs)
        if r.status >= 400:
            raise ApiError(method, path, r)
        return r.json() if r.body and "json" in r.headers.get("Content-Type", "") else None

    def get(self, path, **kwargs):
        return self.call("GET", path, **kwargs)

    def post(self, path, body=None, **kwargs):
        return self.call("POST", path, body, **kwargs)

    def put(self, path, body=None, **kwargs):
        return self.call("PUT", path, body, **kwargs)

    def patch(self, path, body=None, **kwargs):
        return self.call("PATCH", path, body, **kwargs)

    def delete(self, path, **kwargs):
        return self.call("DELETE", path, **kwargs)


class Process:
    """A program of the deployment: started again with the same arguments after it was stopped or killed."""

    def __init__(self, cluster, name, argv, env, cwd=None, user=None):
        self.cluster, self.name, self.argv, self.env, self.cwd, self.user = cluster, name, argv, env, cwd, user
        self.log_path = os.path.join(cluster.dir, f"{name}.log")
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        assert not self.running(), f"{self.name} runs already"
        extra = {}
        if self.user:
            extra = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.argv, env={**self.cluster.env, **self.env}, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.cwd or self.cluster.dir,
                                            start_new_session=True, **extra)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def send(self, signo):
        os.kill(self.process.pid, signo)

    def kill(self):
        """kill -9, and gone when this returns."""
        self.process.kill()
        self.process.wait()

    def stop(self, signo=signal.SIGTERM, seconds=30):
        """Asks it to stop; its exit status. What does not obey is killed, and that is a failure."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.send(signo)
        try:
            return self.process.wait(seconds * STRETCH)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Timeout(f"{self.name} did not stop within {seconds} s of signal {signo}") from None

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, pattern, seconds=30, count=1):
        """Waits until the log has count matches of the regular expression; the last match."""
        def enough():
            found = list(re.finditer(pattern, self.log(), re.M))
            return found[-1] if len(found) >= count else None
        return eventually(enough, seconds, f"{pattern!r} in the log of {self.name}")


class Deployment:
    """What the two kinds share. self.processes, in order of starting, by name."""

    def __init__(self, env=None, bins=None):
        self.bin = bins or bin_dir()
        self.id = uuid.uuid4().hex
        self.dir = tempfile.mkdtemp(prefix="cm-cluster-")
        self.processes = {}
        self.admin = None
        self.port = free_port()
        keep = {k: os.environ[k] for k in ("PATH", "LANG", "TZ", "CM_PG_BIN", "CM_STRETCH") if k in os.environ}
        # In one line of the environment, so that what a workspace starts writes there as well.
        sanitizers = f"log_path={self.dir}/sanitizer:abort_on_error=0:detect_stack_use_after_return=1"
        self.env = {**keep, "HOME": os.path.join(self.dir, "home"), "TMPDIR": self.sub("tmp"), "CM_CLUSTER": self.id,
                    "ASAN_OPTIONS": sanitizers, "UBSAN_OPTIONS": f"{sanitizers}:print_stacktrace=1",
                    "TSAN_OPTIONS": sanitizers,
                    "CHECKPOINT_DISABLE": "1", "NO_COLOR": "1", **(env or {})}
        os.makedirs(self.env["HOME"], exist_ok=True)
        # Servers that drop root must reach what is theirs below; nothing here is a secret.
        os.chmod(self.dir, 0o755)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def sub(self, name):
        path = os.path.join(self.dir, name)
        os.makedirs(path, exist_ok=True)
        return path

    def path(self, program):
        return os.path.join(self.bin, program)

    def add(self, name, argv, env=None, **kwargs):
        """Another program of the deployment, not yet started."""
        self.processes[name] = Process(self, name, argv, env or {}, **kwargs)
        return self.processes[name]

    def __getitem__(self, name):
        return self.processes[name]

    # --- the API ---

    def client(self, token=None, url=None):
        return Client(self, token, url)

    def wait_ready(self, seconds=60, url=None, process=None):
        def answers():
            if process and not process.running():
                raise SystemExit(f"{process.name} has ended: {process.log()[-2000:]}")
            return Client(self, url=url).request("GET", "/api/v2/buildinfo", timeout=5).status == 200
        eventually(answers, seconds, "an answer of /api/v2/buildinfo")

    def first_user(self, username="admin", email="admin@example.com", password=PASSWORD):
        """Makes the first user and signs in."""
        anyone = self.client()
        anyone.post("/api/v2/users/first", {"username": username, "email": email, "password": password})
        self.admin = self.login(email, password)
        return self.admin

    def login(self, email, password=PASSWORD):
        token = self.client().post("/api/v2/users/login", {"email": email, "password": password})["session_token"]
        c = self.client(token)
        c.user = c.get("/api/v2/users/me")
        return c

    def add_user(self, username, roles=None):
        """A member of the default organization, signed in."""
        org = self.admin.user["organization_ids"][0]
        email = f"{username}@example.com"
        made = self.admin.post("/api/v2/users", {"username": username, "email": email, "password": PASSWORD,
                                                 "login_type": "password", "organization_ids": [org]})
        if roles:
            self.admin.put(f"/api/v2/users/{made['id']}/roles", {"roles": roles})
        return self.login(email)

    def push_version(self, client, files, template_id=None, wait=True, **fields):
        """files: a folder, or {path: text}. Uploads them and makes a template version; waits for its import."""
        org = client.user["organization_ids"][0]
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            if isinstance(files, dict):
                for name, text in files.items():
                    data = text.encode() if isinstance(text, str) else text
                    info = tarfile.TarInfo(name)
                    info.size, info.mode = len(data), 0o644
                    tar.addfile(info, io.BytesIO(data))
            else:
                tar.add(files, arcname=".")
        file_id = client.post("/api/v2/files", raw.getvalue(), content_type="application/x-tar")["hash"]
        body = {"file_id": file_id, "provisioner": "terraform", "storage_method": "file", "tags": {}, **fields}
        if template_id:
            body["template_id"] = template_id
        version = client.post(f"/api/v2/organizations/{org}/templateversions", body)
        return self.wait_version(client, version["id"]) if wait else version

    def wait_version(self, client, version_id, seconds=120, status="succeeded"):
        def done():
            v = client.get(f"/api/v2/templateversions/{version_id}")
            return v if v["job"]["status"] in ("succeeded", "failed", "canceled") else None
        v = eventually(done, seconds, "the import of the template version")
        assert v["job"]["status"] == status, f"the import is {v['job']['status']}: {v['job'].get('error')}"
        return v

    def push_template(self, client, name, files, **fields):
        """A template with one version; its JSON."""
        org = client.user["organization_ids"][0]
        version = self.push_version(client, files)
        return client.post(f"/api/v2/organizations/{org}/templates",
                           {"name": name, "template_version_id": version["id"], **fields})

    def wait_build(self, client, build_id, seconds=120, status="succeeded"):
        def done():
            b = client.get(f"/api/v2/workspacebuilds/{build_id}")
            return b if b["job"]["status"] in ("succeeded", "failed", "canceled") else None
        b = eventually(done, seconds, "the end of the build")
        wanted = (status,) if isinstance(status, str) else status
        assert b["job"]["status"] in wanted, f"the build is {b['job']['status']}: {b['job'].get('error')}"
        return b

    def make_workspace(self, client, name, template, parameters=None, wait=True):
        body = {"name": name, "template_id": template["id"], "rich_parameter_values":
                [{"name": k, "value": v} for k, v in (parameters or {}).items()]}
        ws = client.post("/api/v2/users/me/workspaces", body)
        if wait:
            self.wait_build(client, ws["latest_build"]["id"])
            ws = client.get(f"/api/v2/workspaces/{ws['id']}")
        return ws

    def build(self, client, workspace, transition, wait=True, **fields):
        b = client.post(f"/api/v2/workspaces/{workspace['id']}/builds", {"transition": transition, **fields})
        return self.wait_build(client, b["id"]) if wait else b

    def agents(self, client, workspace):
        ws = client.get(f"/api/v2/workspaces/{workspace['id']}")
        return [a for r in ws["latest_build"]["resources"] for a in r.get("agents") or []]

    def wait_agent(self, client, workspace, status="connected", lifecycle="ready", seconds=60):
        """Waits until all agents of the workspace are so (lifecycle None: any); the first one."""
        def there():
            agents = self.agents(client, workspace)
            ok = agents and all(a["status"] == status and lifecycle in (None, a["lifecycle_state"]) for a in agents)
            return agents[0] if ok else None
        return eventually(there, seconds, f"agents {status}, {lifecycle}")

    # --- the command ---

    def coder(self, *args, client=None, check=True, timeout=120, env=None, **kwargs):
        """Runs the command; a CompletedProcess with texts. Each client has a config folder of its own."""
        e = {**self.env, **self.coder_env(client), **(env or {})}
        kwargs.setdefault("stdin", subprocess.DEVNULL if "input" not in kwargs else None)
        if kwargs["stdin"] is None:
            del kwargs["stdin"]
        done = subprocess.run([self.path("coder"), *args], env=e, capture_output=True, text=True,
                              timeout=timeout * STRETCH, cwd=self.dir, check=False, **kwargs)
        if check and done.returncode:
            raise AssertionError(f"coder {' '.join(args)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def coder_env(self, client=None):
        who = (client.user or {}).get("username", "anyone") if client else "anyone"
        env = {"CODER_CONFIG_DIR": self.sub("config-" + who), "CODER_URL": self.url}
        if client and client.token:
            env["CODER_SESSION_TOKEN"] = client.token
        return env

    # --- the end ---

    def log(self, name):
        return self.processes[name].log()

    def logs(self):
        """The last lines of all logs, for people."""
        out = []
        for p in self.processes.values():
            out.append(f"---- {p.name} ({p.log_path}) ----\n" + "\n".join(p.log().splitlines()[-LOG_TAIL_LINES:]))
        return "\n".join(out)

    def complaints(self):
        """What sanitizers and assertions said, in any process of the deployment."""
        found = []
        for path in glob.glob(os.path.join(self.dir, "sanitizer.*")) + [p.log_path for p in self.processes.values()]:
            try:
                with open(path, encoding="utf-8", errors="replace") as f:
                    text = f.read()
            except FileNotFoundError:
                continue
            hit = BAD_OUTPUT.search(text)
            if hit:
                found.append(f"{path}:\n{text[max(0, hit.start() - 200):hit.start() + 4000]}")
        return found

    def left_behind(self):
        """Processes of this deployment that run still, e.g. agents of local workspaces."""
        mark, mine = f"CM_CLUSTER={self.id}".encode(), []
        for d in glob.glob("/proc/[0-9]*"):
            try:
                with open(d + "/environ", "rb") as f:
                    if mark in f.read().split(b"\0") and int(os.path.basename(d)) != os.getpid():
                        mine.append(int(os.path.basename(d)))
            except (OSError, ValueError):
                continue
        return mine

    def end_left_behind(self):
        for signo, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            for pid in self.left_behind():
                try:
                    os.kill(pid, signo)
                except ProcessLookupError:
                    pass
            try:
                eventually(lambda: not self.left_behind(), seconds)
                return
            except Timeout:
                continue
        raise AssertionError(f"processes that do not end: {self.left_behind()}")

    def stop_all(self):
        problems = []
        for p in reversed(self.processes.values()):
            try:
                p.stop()
            except AssertionError as e:
                problems.append(str(e))
        return problems

    def teardown(self):
        """After stop_all."""

    def __exit__(self, kind, value, trace):
        problems = self.stop_all()
        try:
            self.end_left_behind()
        except AssertionError as e:
            problems.append(str(e))
        self.teardown()
        problems += self.complaints()
        if kind or problems:
            sys.stderr.write(self.logs() + "\n")
        if not os.environ.get("CM_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
        if problems and not kind:
            raise AssertionError("\n".join(problems))
        if problems:
            sys.stderr.write("\n".join(problems) + "\n")


class Cluster(Deployment):
    """coderd and provisionerds as programs of their own over a private PostgreSQL. Processes: coderd (with replicas > 1:
    coderd, coderd2, ...: self.urls), provisionerd (provisionerd2, ...)."""

    def __init__(self, provisioners=1, replicas=1, env=None, coderd_env=None, provisionerd_env=None, bins=None,
                 pg_settings=None):
        super().__init__(env, bins)
        self.pg = pg.Postgres(pg_settings)
        self.database = None
        self.n_provisioners, self.n_replicas = provisioners, replicas
        self.coderd_env, self.provisionerd_env = coderd_env or {}, provisionerd_env or {}
        self.urls = []

    @staticmethod
    def nth(name, i):
        return name if i == 0 else f"{name}{i + 1}"

    def socket_path(self, i=0):
        return os.path.join(self.dir, f"prov{i}.sock")

    def add_coderd(self, i):
        port = self.port if i == 0 else free_port()
        self.urls.append(f"http://127.0.0.1:{port}")
        env = {"CODER_HTTP_ADDRESS": f"127.0.0.1:{port}", "CODER_ACCESS_URL": self.url,
               "CODER_PG_CONNECTION_URL": self.pg.url(self.database), "CODER_CACHE_DIRECTORY": self.sub("cache-coderd"),
               "CODER_PROVISIONER_SOCKET": self.socket_path(i), "CODER_BIN_DIR": self.bin,
               "CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true", **self.coderd_env}
        return self.add(self.nth("coderd", i), [self.path("coderd")], env)

    def add_provisionerd(self, i, replica=0, **env):
        name = self.nth("provisionerd", i)
        e = {"CODER_URL": f"ipc://{self.socket_path(replica)}", "CODER_CACHE_DIRECTORY": self.sub("cache-" + name),
             "CODER_PROVISIONER_DAEMON_NAME": name, **self.provisionerd_env, **env}
        return self.add(name, [self.path("provisionerd")], e)

    def __enter__(self):
        try:
            self.pg.__enter__()
            self.database = self.pg.create_database()
            for i in range(self.n_replicas):
                p = self.add_coderd(i).start()
                self.wait_ready(url=self.urls[i], process=p)
            for i in range(self.n_provisioners):
                self.add_provisionerd(i, i % self.n_replicas).start()
            for i in range(self.n_provisioners):
                self[self.nth("provisionerd", i)].wait_log("connected to the server")
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def psql(self, sql):
        return self.pg.psql(self.database, sql)

    def teardown(self):
        self.pg.__exit__(None, None, None)


class Bundle(Deployment):
    """`coder server` on its embedded database. One process: server. data_dir outlives stop and start."""

    def __init__(self, env=None, args=(), bins=None, provisioners=1):
        super().__init__(env, bins)
        self.data_dir = self.sub("data")
        self.add("server", [self.path("coder"), "server", *args],
                 {"CODER_HTTP_ADDRESS": f"127.0.0.1:{self.port}", "CODER_ACCESS_URL": self.url,
                  "CODER_CONFIG_DIR": self.data_dir, "CODER_CACHE_DIRECTORY": self.sub("cache"),
                  "CODER_PROVISIONER_DAEMONS": str(provisioners), "CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true"})

    def start(self, seconds=60):
        self["server"].start()
        self.wait_ready(seconds, process=self["server"])

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def left_behind(self):
        # Also of the server's children that have another environment: PostgreSQL, by its data folder.
        mine = super().left_behind()
        for d in glob.glob("/proc/[0-9]*"):
            try:
                with open(d + "/cmdline", "rb") as f:
                    if self.data_dir.encode() + b"/" in f.read():
                        mine.append(int(os.path.basename(d)))
            except (OSError, ValueError):
                continue
        return sorted(set(mine) - {os.getpid()})


def main():
    if len(sys.argv) < 2 or sys.argv[1] != "shell":
        sys.exit(__doc__)
    with Cluster() as c:
        admin = c.first_user()
        env = {**c.env, **c.coder_env(admin), "PATH": c.bin + ":" + c.env.get("PATH", "")}
        print(f"{c.url}  admin@example.com  {PASSWORD}  logs in {c.dir}", file=sys.stderr)
        command = sys.argv[2:] or [os.environ.get("SHELL", "/bin/sh")]
        sys.exit(subprocess.run(command, env=env, cwd=c.dir, check=False).returncode)


if __name__ == "__main__":
    main()
