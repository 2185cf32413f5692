"""coder server: the bundle on an empty folder, its restarts after kill -9 of any part, its refusals in one sentence."""
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.request

from cluster import BAD_OUTPUT, PASSWORD, Bundle, Client, Deployment, eventually, free_port
import pg


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def program(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            return f.read().strip()
    except FileNotFoundError:
        return ""


def title(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def uid(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"^Uid:\s+(\d+)", f.read(), re.M)[1])


def ended(pid):
    return not os.path.exists(f"/proc/{pid}") or program(pid) == "" or state(pid) == "Z"


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


class Parts:
    """The bundle's processes by name."""

    def __init__(self, bundle):
        self.bundle = bundle

    def pids(self, name):
        return [p for p in children(self.bundle["server"].pid) if program(p) == name]

    def one(self, name):
        return eventually(lambda: self.pids(name), 20, f"a process {name}")[0]


def refusal(*args, env=None):
    """What the command says when it cannot start; its status must be 1 and its text one line."""
    d = Deployment()
    try:
        e = {**d.env, "CODER_CACHE_DIRECTORY": d.sub("cache"), "CODER_CONFIG_DIR": d.sub("data"), **(env or {})}
        done = subprocess.run([d.path("coder"), "server", *args], env=e, capture_output=True, text=True, timeout=60,
                              check=False)
        assert done.returncode == 1, done
        return done.stderr.strip().splitlines()
    finally:
        d.__exit__(None, None, None)


class BundleTest(unittest.TestCase):
    maxDiff = None

    def test_whatever_is_killed_comes_back_and_nothing_is_lost(self):
        with Bundle(provisioners=2) as b:
            parts, server = Parts(b), b["server"]
            server.wait_log("View the Web UI: " + re.escape(b.url))
            admin = b.first_user()
            self.assertEqual(len(parts.pids("coderd")), 1)
            server.wait_log("connected to the server", count=2)
            self.assertEqual(len(parts.pids("provisionerd")), 2)
            if os.geteuid() == 0:
                self.assertNotEqual(uid(parts.one("coderd")), 0)
                self.assertNotEqual(uid(parts.one("postgres")), 0)
            # Neither password nor token is where other users could read it.
            for name in ("coderd", "postgres", "provisionerd"):
                with open(f"/proc/{parts.one(name)}/cmdline", encoding="ascii") as f:
                    self.assertNotIn("postgres://", f.read())

            def me():
                return admin.get("/api/v2/users/me")["username"] == "admin"

            for name in ("postgres", "coderd", "provisionerd"):
                before = parts.one(name)
                os.kill(before, signal.SIGKILL)
                eventually(lambda n=name, p=before: parts.pids(n) and p not in parts.pids(n), 20, f"another {name}")
                eventually(me, 20, f"an answer after kill -9 of {name}")
            # A child of the database: it starts over by itself.
            backend = eventually(lambda: children(parts.one("postgres")), 10)[-1]
            os.kill(backend, signal.SIGKILL)
            eventually(me, 20, "an answer after kill -9 of a database process")
            eventually(lambda: len(parts.pids("provisionerd")) == 2, 20, "both provisioners")

            # The end comes while the database recovers, when it would outlive a gentler signal.
            everything = parts.pids("coderd") + parts.pids("postgres") + parts.pids("provisionerd")
            self.assertEqual(len(everything), 4)
            postmaster = parts.one("postgres")
            os.kill(children(postmaster)[-1], signal.SIGKILL)
            missed = time.monotonic() + 1
            while not any("startup" in title(p) for p in children(postmaster)) and time.monotonic() < missed:
                pass
            server.kill()
            eventually(lambda: all(ended(p) for p in everything), 20, "the end of the parts of a killed server")
            b.start()
            self.assertTrue(me())
            self.assertEqual(server.stop(signal.SIGTERM, 60), 0)
            self.assertEqual(b.left_behind(), [])

            # Once more, interrupted at the keyboard.
            b.start()
            self.assertTrue(me())
            self.assertEqual(server.stop(signal.SIGINT, 60), 0)
            self.assertEqual(b.left_behind(), [])
            # What it starts on is a number that is another process's now.
            for lock in ("postgres/data/postmaster.pid", "run/.s.PGSQL.5432.lock"):
                with open(os.path.join(b.data_dir, lock), "w", encoding="ascii") as f:
                    f.write(f"{os.getpid()}\n{b.data_dir}/postgres/data\n1\n5432\n/x\n\n 1 2\nready   \n")
            b.start()
            self.assertTrue(me())

    def test_the_database_can_be_used_by_itself(self):
        with Bundle(provisioners=0) as b:
            env = b["server"].env
            url = b.coder("server", "postgres-builtin-url", "--raw-url", env=env).stdout.strip()
            self.assertRegex(b.coder("server", "postgres-builtin-url", env=env).stdout, '^psql "postgres://coder:')
            psql = [os.path.join(pg.bin_dir(), "psql"), "-XAtc",
                    "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user", url]
            self.assertEqual(subprocess.run(psql, capture_output=True, text=True, check=True).stdout, "coder|f\n")
            wrong = re.sub("coder:[^@]*@", "coder:wrong@", url)
            self.assertNotEqual(subprocess.run([*psql[:-1], wrong], capture_output=True, check=False).returncode, 0)
            # Its files are closed to others.
            for name, mode in (("postgres", 0o700), ("postgres/password", 0o600), ("run", 0o700)):
                self.assertEqual(os.stat(os.path.join(b.data_dir, name)).st_mode & 0o777, mode, name)
            second = subprocess.run([b.path("coder"), "server"], env={**b.env, **env}, capture_output=True, text=True,
                                    timeout=60, check=False)
            self.assertEqual(second.returncode, 1)
            self.assertIn("another server uses the folder", second.stderr)
            self.assertEqual(b["server"].stop(), 0)
            alone = b.add("database", [b.path("coder"), "server", "postgres-builtin-serve", "--raw-url"], env)
            alone.start()
            alone.wait_log("^postgres://coder:")
            self.assertEqual(subprocess.run(psql, capture_output=True, text=True, check=True).stdout, "coder|f\n")
            self.assertEqual(alone.stop(), 0)
            # A password that was lost is made again.
            os.unlink(os.path.join(b.data_dir, "postgres/password"))
            b.start()
            self.assertNotEqual(b.coder("server", "postgres-builtin-url", "--raw-url", env=env).stdout.strip(), url)

    def test_an_old_database_server_that_does_not_end(self):
        with Bundle(provisioners=0) as b:
            b.first_user()
            folder = os.path.join(b.data_dir, "postgres")
            url = b.coder("server", "postgres-builtin-url", "--raw-url", env=b["server"].env).stdout.strip()
            b["server"].stop()
            settings = {"listen_addresses": "", "unix_socket_directories": os.path.join(b.data_dir, "run"),
                        "hba_file": os.path.join(folder, "pg_hba.conf"), "ident_file": os.path.join(folder, "pg_ident.conf")}
            argv = [os.path.join(pg.bin_dir(), "postgres"), "-D", os.path.join(folder, "data")]
            argv += [f"--{name}={value}" for name, value in settings.items()]
            if os.geteuid() == 0:
                argv = ["setpriv", f"--reuid={os.stat(folder).st_uid}", "--clear-groups", *argv]
            old = b.add("old", argv, b["server"].env)
            old.start()
            old.wait_log("ready to accept connections")
            # It waits for a connection's process, which does not hear it.
            psql = [os.path.join(pg.bin_dir(), "psql"), "-XAtq", "-c", "SELECT pg_backend_pid()", "-c", "SELECT pg_sleep(1000)", url]
            with subprocess.Popen(psql, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as client:
                os.kill(int(client.stdout.readline()), signal.SIGSTOP)
                b.start()
                b["server"].wait_log("the earlier database server does not end: stopping it at once")
                self.assertTrue(ended(old.pid))

    def test_another_database(self):
        with pg.Postgres() as external:
            name = external.create_database()
            with Bundle(provisioners=0, env={"CODER_PG_CONNECTION_URL": external.url(name)}) as b:
                b.first_user()
                self.assertEqual(external.psql(name, "SELECT username FROM users WHERE NOT is_system"), "admin")
                self.assertFalse(os.path.exists(os.path.join(b.data_dir, "postgres")))

    def test_tls_by_itself_with_a_key_that_only_its_starter_can_read(self):
        with tempfile.TemporaryDirectory() as d:
            cert, key = os.path.join(d, "cert.pem"), os.path.join(d, "key.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
                           check=True, capture_output=True)
            os.chmod(key, 0o600)
            port = free_port()
            env = {"CODER_TLS_ENABLE": "true", "CODER_TLS_ADDRESS": f"127.0.0.1:{port}", "CODER_TLS_CERT_FILE": cert,
                   "CODER_TLS_KEY_FILE": key}
            with Bundle(provisioners=0, env=env) as b:
                context = ssl.create_default_context(cafile=cert)
                with urllib.request.urlopen(f"https://localhost:{port}/api/v2/buildinfo", context=context, timeout=20) as r:
                    self.assertEqual(r.status, 200)
                b["server"].stop()
                other = os.path.join(d, "other.pem")
                subprocess.run(["openssl", "genrsa", "-out", other, "2048"], check=True, capture_output=True)
                for name, path, says in (("KEY", other, "the key is not the certificate's"), ("KEY", cert, "none in PEM form"),
                                         ("CERT", "/nonexistent.pem", "No such file"), ("CERT", __file__, "none in PEM form")):
                    done = subprocess.run([b.path("coder"), "server"], env={**b["server"].env, **env, f"CODER_TLS_{name}_FILE": path},
                                          capture_output=True, text=True, timeout=120, check=False)
                    self.assertEqual(done.returncode, 1, done)
                    self.assertIn(says, done.stderr)
                    self.assertIn(path, done.stderr)

    def test_a_long_and_closed_way_to_the_data(self):
        with tempfile.TemporaryDirectory() as d:  # of mode 0700
            data = os.path.join(d, "a-folder-with-quite-a-long-name" * 3, "data")
            os.makedirs(data)
            with Bundle(provisioners=1, env={"XDG_CONFIG_HOME": data}) as b:
                b["server"].stop()
                b.port = free_port()
                far = b.add("far", [b.path("coder"), "server"],
                            {**b["server"].env, "CODER_CONFIG_DIR": data, "CODER_HTTP_ADDRESS": f"127.0.0.1:{b.port}"})
                far.start()
                b.wait_ready(process=far)
                b.first_user()
                far.wait_log("connected to the server")
                self.assertEqual(far.stop(), 0)

    def test_refusals_are_one_sentence(self):
        with tempfile.TemporaryDirectory() as d, socket.socket() as taken:
            os.chmod(d, 0o755)
            os.makedirs(os.path.join(d, "postgres/data"))
            version = os.path.join(d, "postgres/data/PG_VERSION")
            with open(version, "w", encoding="ascii") as f:
                f.write("11\n")
            old = refusal(env={"CODER_CONFIG_DIR": d})
            self.assertEqual(len(old), 1)
            self.assertRegex(old[0], "was made by PostgreSQL 11, but the one installed is [0-9]+: install postgresql-11")
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            # Before it makes a database, and whether or not there is one already.
            lines = refusal(env={"CODER_HTTP_ADDRESS": f"127.0.0.1:{port}"})
            self.assertEqual(len([l for l in lines if f"port {port} is in use" in l]), 1, lines)
            self.assertFalse([l for l in lines if "making the database" in l])
            lines = refusal("--tls-enable", "--tls-cert-file", "/nonexistent.pem", "--tls-key-file", "/nonexistent.pem")
            self.assertEqual(lines[-1], 'coder server: TLS certificate file "/nonexistent.pem": No such file or directory')
            self.assertFalse([l for l in lines if "making the database" in l])
            self.assertEqual(refusal("--nope"), ["coder server: unknown flag: --nope"])
            no = refusal(env={"CODER_CONFIG_DIR": "/proc/nowhere"})
            self.assertEqual(len(no), 1)
            self.assertIn("/proc/nowhere", no[0])
            none = refusal("postgres-builtin-url")
            self.assertIn("there is no embedded database", none[0])

    def test_whoever_has_the_database_gets_in(self):
        def asked(b, *args, answers, says, status=0):
            done = b.coder(*args, env=b["server"].env, input="".join(a + "\n" for a in answers), check=False)
            self.assertEqual(done.returncode, status, done)
            self.assertIn(says, done.stdout + done.stderr)
            self.assertNotIn(PASSWORD, done.stdout + done.stderr)

        with Bundle(provisioners=0) as b:
            new = PASSWORD + "2"
            asked(b, "server", "create-admin-user", answers=["root", "root@example.com", PASSWORD, PASSWORD], says="created")
            admin = b.login("root@example.com")
            self.assertEqual([r["name"] for r in admin.get("/api/v2/users/me")["roles"]], ["owner"])
            self.assertEqual(len(admin.get("/api/v2/users/me/organizations")), 1)
            asked(b, "server", "create-admin-user", "--username", "root", "--email", "r@example.com",
                  answers=[PASSWORD, PASSWORD], says="another user has the name already", status=1)
            asked(b, "reset-password", "root", answers=[new, PASSWORD], says="do not match", status=1)
            asked(b, "reset-password", "root", answers=["weak", "weak"], says="too weak", status=1)
            asked(b, "reset-password", "nobody", answers=[new, new], says='no user "nobody"', status=1)
            self.assertEqual(admin.request("GET", "/api/v2/users/me").status, 200)
            asked(b, "reset-password", "root", answers=[new, new], says="has been reset")
            self.assertEqual(admin.request("GET", "/api/v2/users/me").status, 401, "signed out everywhere")
            self.assertTrue(b.login("root@example.com", new).token)

    def test_what_write_config_prints_is_a_file_for_config(self):
        d = Deployment()
        try:
            def printed(*args, **env):
                return subprocess.run([d.path("coder"), "server", "--write-config", *args], capture_output=True, text=True,
                                      check=True, env={**d.env, **env}).stdout
            first = printed("--http-address", "127.0.0.1:4321", CODER_PROVISIONER_DAEMON_PSK="hidden",
                            CODER_PROXY_TRUSTED_ORIGINS="10.0.0.1,10.0.0.2")
            self.assertRegex(first, r'(?m)^networking:$')
            self.assertRegex(first, r'(?m)^    httpAddress: "127.0.0.1:4321"$')
            self.assertNotIn("hidden", first)
            path = os.path.join(d.dir, "server.yaml")
            with open(path, "w", encoding="ascii") as f:
                f.write(first)
            self.assertEqual(printed("--config", path), first)
            # Lists, as the reference writes them.
            with open(path, "w", encoding="ascii") as f:
                f.write("networking:\n  proxyTrustedOrigins: [10.0.0.1, 10.0.0.2]\n  http:\n    httpAddress: 127.0.0.1:4321\n")
            self.assertEqual(printed("--config", path), first)
        finally:
            d.__exit__(None, None, None)

    def test_help_names_the_options_of_both(self):
        d = Deployment()
        try:
            text = subprocess.run([d.path("coder"), "server", "--help"], capture_output=True, text=True, check=True,
                                  env=d.env).stdout
            for word in ("$CODER_PROVISIONER_DAEMONS", "$CODER_HTTP_ADDRESS", "$CODER_PG_CONNECTION_URL", "$CODER_TLS_KEY_FILE",
                         "$CODER_CONFIG_DIR", "$CODER_CACHE_DIRECTORY", "$CODER_WILDCARD_ACCESS_URL", "postgres-builtin-serve"):
                self.assertIn(word, text)
            self.assertIsNone(BAD_OUTPUT.search(text))
        finally:
            d.__exit__(None, None, None)


if __name__ == "__main__":
    unittest.main(verbosity=2)
