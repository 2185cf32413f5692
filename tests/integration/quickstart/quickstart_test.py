"""scripts/quickstart as a newcomer runs it: to a workspace, again, in the background, and after everything was killed.

Runs the programs of CM_BIN in a private data folder on a free port.
"""
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from cluster import BAD_OUTPUT, Client, ROOT, STRETCH, bin_dir, eventually, free_port

SCRIPT = os.path.join(ROOT, "scripts/quickstart")
# What the promise of 10 s for a second run may take with sanitizers, beside other tests.
SECOND_RUN_SECONDS = 30


class Folder:
    """A data folder and who works in it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="cm-quickstart-")
        os.chmod(self.dir, 0o755)
        self.data = os.path.join(self.dir, "data")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("CODER_")}, "HOME": self.dir,
                    "CM_BIN": bin_dir(), "ASAN_OPTIONS": f"log_path={self.dir}/sanitizer",
                    "UBSAN_OPTIONS": f"log_path={self.dir}/sanitizer"}

    def args(self, *more):
        return [SCRIPT, "--data", self.data, "--port", str(self.port), *more]

    def run(self, *more, timeout=180):
        return subprocess.run(self.args(*more), env=self.env, capture_output=True, text=True, timeout=timeout * STRETCH,
                              check=False, stdin=subprocess.DEVNULL)

    def start(self, *more):
        """In the foreground of nobody: output to a file."""
        self.out = os.path.join(self.dir, "out")
        with open(self.out, "w", encoding="utf-8") as f:
            return subprocess.Popen(self.args(*more), env=self.env, stdout=f, stderr=f, stdin=subprocess.DEVNULL,
                                    start_new_session=True)

    def output(self):
        with open(self.out, encoding="utf-8") as f:
            return f.read()

    def coder(self, *args):
        done = subprocess.run([os.path.join(self.data, "bin/coder") if os.geteuid() == 0 else os.path.join(bin_dir(), "coder"),
                               "--global-config", os.path.join(self.data, "cli"), *args], env=self.env, timeout=60 * STRETCH,
                              capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done
        return done.stdout

    def processes(self):
        """Whoever has the data folder in its arguments, environment or as its place."""
        mine, mark = {}, self.data.encode() + b"/"
        for d in glob.glob("/proc/[0-9]*"):
            try:
                with open(d + "/cmdline", "rb") as f:
                    text = f.read()
                with open(d + "/environ", "rb") as f:
                    text += f.read()
                text += os.readlink(d + "/cwd").encode() + b"/"
                with open(d + "/comm", encoding="ascii") as f:
                    name = f.read().strip()
            except OSError:
                continue
            if mark in text and int(os.path.basename(d)) != os.getpid():
                mine[int(os.path.basename(d))] = name
        return mine

    def server(self):
        with open(os.path.join(self.data, "server.pid"), encoding="ascii") as f:
            return int(f.read())

    def close(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        eventually(lambda: not self.processes(), 20, "the end of what was killed")
        complaints = []
        for path in glob.glob(os.path.join(self.dir, "sanitizer.*")) + glob.glob(os.path.join(self.data, "*.log")):
            with open(path, encoding="utf-8", errors="replace") as f:
                text = f.read()
            if BAD_OUTPUT.search(text):
                complaints.append(f"{path}:\n{text[:4000]}")
        shutil.rmtree(self.dir, ignore_errors=True)
        return complaints


class QuickstartTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.close)

    def close(self):
        self.assertEqual(self.folder.close(), [])

    def serving(self, process):
        def is_serving():
            if process.poll() is not None:
                raise SystemExit(f"the script ended: {self.folder.output()}")
            return "serving; Ctrl-C stops everything" in self.folder.output()
        eventually(is_serving, 180, "the script serves")
        return self.folder.output()

    def test_from_nothing_to_a_workspace_and_back(self):
        f = self.folder
        first = f.start()
        out = self.serving(first)
        self.assertIn(f"The server is ready:   {f.url}", out)
        self.assertIn("admin (admin@example.com)", out)
        password = re.search(r"^Password: +(\S{16,})$", out, re.M)[1]
        self.assertRegex(out, "(?m)^Linux .*")
        self.assertIn("Apply complete!", out)  # the build's progress was shown
        commands = [l.strip() for l in out.split("Try next:\n", 1)[1].splitlines()[:3]]
        self.assertEqual(len(commands), 3)
        for command in commands[1:]:
            subprocess.run(command, shell=True, env=f.env, check=True, capture_output=True, timeout=60 * STRETCH)
        # The login is the user's.
        token = Client(None, url=f.url).post("/api/v2/users/login", {"email": "admin@example.com", "password": password})
        me = Client(None, token["session_token"], f.url).get("/api/v2/users/me")
        self.assertEqual(me["username"], "admin")
        if os.geteuid() == 0:
            servers = {name for pid, name in f.processes().items() if os.stat(f"/proc/{pid}").st_uid == 0}
            self.assertNotIn("coderd", servers)
            self.assertNotIn("postgres", servers)
        f.coder("ssh", "dev", "--", "echo kept > file")

        # Ctrl-C, as the terminal gives it to the script.
        first.send_signal(signal.SIGINT)
        self.assertEqual(first.wait(120 * STRETCH), 130)
        self.assertEqual(f.processes(), {})

        # The second run finds everything in place.
        began = time.monotonic()
        second = f.start()
        out = self.serving(second)
        self.assertLess(time.monotonic() - began, SECOND_RUN_SECONDS * STRETCH)
        self.assertNotIn(password, out)
        self.assertNotIn("making the", out)
        self.assertEqual(f.coder("ssh", "dev", "--", "cat file"), "kept\n")

        # Everything is killed, as by a power cut: the next run brings it back.
        second.kill()
        second.wait()
        for pid in f.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        eventually(lambda: not f.processes(), 20, "the end of everything")
        third = f.start()
        self.serving(third)
        self.assertEqual(f.coder("ssh", "dev", "--", "cat file"), "kept\n")
        # The terminal goes away while everything is being stopped: that is done nonetheless.
        third.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping the workspace" in f.output(), 20, "the beginning of the end")
        third.send_signal(signal.SIGHUP)
        self.assertEqual(third.wait(120 * STRETCH), 143)
        self.assertEqual(f.processes(), {})

    def test_in_the_background(self):
        f = self.folder
        done = f.run("--detach")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(Client(None, url=f.url).request("GET", "/api/v2/buildinfo").status, 200)
        # Once more: it runs already.
        again = f.run("--detach")
        self.assertEqual(again.returncode, 0, again)
        self.assertIn("it runs since an earlier run", again.stdout)
        elsewhere = subprocess.run([SCRIPT, "--data", f.data, "--port", str(free_port())], env=f.env, capture_output=True,
                                   text=True, check=False)
        self.assertEqual(elsewhere.returncode, 1)
        self.assertIn(f"a server runs in {f.data} on {f.url}", elsewhere.stderr)
        # The supervisor is killed; what it left goes, and the next run starts it again.
        server = f.server()
        os.kill(server, signal.SIGKILL)
        eventually(lambda: not {"coderd", "postgres", "provisionerd"} & set(f.processes().values()), 30,
                   "the end of the servers")
        back = f.run("--detach")
        self.assertEqual(back.returncode, 0, back)
        self.assertNotEqual(f.server(), server)
        self.assertRegex(back.stdout, "(?m)^Linux .*")
        # Somebody changed the password, and the session has ended.
        with open(os.path.join(f.data, "cli/password"), "w", encoding="ascii") as file:
            file.write("another-one-1\n")
        os.unlink(os.path.join(f.data, "cli/session"))
        self.refuses("cannot sign in with the password of", *f.args("--detach")[1:])
        stopped = f.run("--stop")
        self.assertEqual(stopped.returncode, 0, stopped)
        self.assertEqual(f.processes(), {})
        self.assertEqual(f.run("--stop").returncode, 1)

    def refuses(self, text, *args, env=None):
        done = subprocess.run([SCRIPT, *args], env={**self.folder.env, **(env or {})}, capture_output=True, text=True,
                              timeout=60 * STRETCH, check=False)
        self.assertEqual(done.returncode, 1, done)
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done)
        self.assertIn(text, lines[0])

    def test_what_is_wrong_is_one_sentence(self):
        f = self.folder
        with socket.socket() as s:
            s.bind(("127.0.0.1", f.port))
            s.listen()
            self.refuses(f"the port {f.port} is taken by another program", *f.args()[1:])
        self.refuses("nothing runs in", "--data", f.data, "--stop")
        self.refuses("--port takes a number", "--port", "70000")
        self.refuses("unknown option --no-such", "--no-such")
        self.refuses("--data needs a value", "--data")
        self.refuses("cannot be made", "--data", "/proc/nowhere", "--port", str(f.port))
        # Without terraform and without a way to get it.
        path = os.path.join(f.dir, "path")
        os.makedirs(path)
        for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
            for name in os.listdir(folder):
                if name != "terraform" and not os.path.lexists(os.path.join(path, name)):
                    os.symlink(os.path.join(folder, name), os.path.join(path, name))
        if not os.path.exists(os.path.join(ROOT, "build/tools/terraform")):
            self.refuses("terraform is missing and cannot be downloaded", *f.args()[1:],
                         env={"PATH": path, "TERRAFORM_RELEASES": f"http://127.0.0.1:{free_port()}"})
        self.assertEqual(f.processes(), {})

    @unittest.skipUnless(os.geteuid() == 0, "mounting takes root")
    def test_a_full_disk(self):
        f = self.folder
        os.makedirs(f.data)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", f.data], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", f.data], check=True)
        self.refuses("the disk is full", *f.args()[1:])

    def test_help(self):
        text = self.folder.run("--help").stdout
        for word in ("--port", "--data", "--detach", "--stop"):
            self.assertIn(word, text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
