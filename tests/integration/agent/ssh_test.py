"""The agent's SSH server under the real OpenSSH client: commands, terminals, files, forwarding, limits."""
import filecmp
import hashlib
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import openssh

BIN = os.environ["CM_BIN"]
PATIENCE = 60


def eventually(condition, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return
        select.select([], [], [], 0.02)
    raise AssertionError(f"never: {what}")


def read(path):
    with open(path) as f:
        return f.read()


class Ssh(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="cm-ssh-")
        self.home = os.path.join(self.dir, "home")
        os.mkdir(self.home)
        self.config()

    def tearDown(self):
        complaints = [read(os.path.join(self.dir, n)) for n in os.listdir(self.dir) if n.startswith("sanitizer.")]
        shutil.rmtree(self.dir)
        self.assertEqual(complaints, [])

    def config(self, *options, ssh=""):
        peer = " ".join([f"{BIN}/agent-ssh-peer", f"{BIN}/coder-agent", f"directory={self.dir}", *options])
        self.conf = os.path.join(self.dir, "config")
        with open(self.conf, "w") as f:
            f.write(f"Host ws\n ProxyCommand {peer}\n ProxyUseFdpass yes\n StrictHostKeyChecking no\n"
                    f" UserKnownHostsFile {self.dir}/known\n LogLevel ERROR\n ExitOnForwardFailure yes\n{ssh}")

    def env(self, **more):
        return {"PATH": os.environ["PATH"], "HOME": self.home, "TMPDIR": self.dir,
                "ASAN_OPTIONS": f"log_path={self.dir}/sanitizer", **more}

    def ssh(self, *args, stdin=b"", env=None, ssh="ssh"):
        return subprocess.run([ssh, "-F", self.conf, *args], input=stdin, capture_output=True, timeout=PATIENCE,
                              env=env or self.env())

    def out(self, *args, **kwargs):
        done = self.ssh("ws", *args, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    # --- commands ---

    def test_exit_status_and_streams(self):
        done = self.ssh("ws", "echo out; echo err >&2; exit 7")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (7, b"out\n", b"err\n"))
        self.assertEqual(self.ssh("ws", "kill -TERM $$").returncode, 255)
        self.assertEqual(self.ssh("ws", "true").returncode, 0)

    def test_bytes_arrive_whole_both_ways(self):
        data = os.urandom(1 << 20) * 24
        self.assertEqual(self.ssh("ws", "cat", stdin=data).stdout, data)
        want = hashlib.sha256(b"\0" * 100_000_000).hexdigest()
        got = subprocess.run(f"ssh -F {self.conf} ws 'head -c 100000000 /dev/zero' | sha256sum", shell=True,
                             capture_output=True, env=self.env(), timeout=PATIENCE).stdout.split()[0].decode()
        self.assertEqual(got, want)

    def test_keys_are_exchanged_again_without_loss(self):
        data = os.urandom(1 << 20) * 16
        done = self.ssh("-o", "RekeyLimit 1M", "ws", "cat", stdin=data)
        self.assertEqual(done.stdout, data)

    def test_a_slow_reader_gets_all_of_its_input(self):
        data = os.urandom(3_000_000)
        done = self.ssh("ws", "sleep 0.3; cat", stdin=data)
        self.assertEqual(done.stdout, data)

    def test_a_command_that_does_not_read_ends(self):
        self.assertEqual(self.ssh("ws", "exec 0<&-; echo done", stdin=b"x" * 5_000_000).stdout, b"done\n")

    def test_environment_and_folder(self):
        self.config("coder:CODER=true", "coder:CODER_WORKSPACE_NAME=dev", "env:FROM=$CODER_WORKSPACE_NAME".replace("$", "\\$"),
                    "path-first=/first", ssh=" SetEnv CODER_SSH_SESSION_TYPE=vscode MINE=yes CODER=no\n")
        vars = dict(line.split("=", 1) for line in self.out("env").splitlines() if "=" in line)
        self.assertEqual(vars["CODER"], "true")
        self.assertEqual(vars["FROM"], "dev")
        self.assertEqual(vars["MINE"], "yes")
        self.assertEqual(vars["USER"], vars["LOGNAME"])
        self.assertTrue(vars["PATH"].startswith("/first:"))
        self.assertIn("SSH_CONNECTION", vars)
        self.assertNotIn("CODER_SSH_SESSION_TYPE", vars)
        self.assertEqual(self.out("pwd").strip(), self.dir)

    def test_sessions_are_reported(self):
        events = os.path.join(self.dir, "events")
        self.config(f"events={events}", ssh=" SetEnv CODER_SSH_SESSION_TYPE=VSCode\n")
        self.ssh("ws", "exit 3")
        eventually(lambda: len(read(events).splitlines()) == 2, "two events")
        self.assertEqual(read(events), "begin session=1 type=vscode pty=0 exit=0\n"
                                              "end session=1 type=vscode pty=0 exit=3\n")

    def test_a_command_outlives_its_client_but_not_its_terminal(self):
        for tty in (False, True):
            mark, pid_file = os.path.join(self.dir, f"mark{tty}"), os.path.join(self.dir, f"pid{tty}")
            script = f"trap '' HUP; echo $$ > {pid_file}; while [ ! -e {mark} ]; do sleep 0.05; done; echo > {mark}.done"
            client = subprocess.Popen(["ssh", "-F", self.conf, *(["-tt"] if tty else []), "ws", script], env=self.env(),
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            eventually(lambda: os.path.exists(pid_file) and read(pid_file).strip(), "the command runs")
            pid = int(read(pid_file))
            client.kill()
            client.wait()
            if tty:
                eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the terminal's command is killed")
            else:
                open(mark, "w").close()
                eventually(lambda: os.path.exists(mark + ".done"), "the command goes on")

    def test_several_sessions_in_one_connection(self):
        control = os.path.join(self.dir, "ctl")
        master = subprocess.Popen(["ssh", "-F", self.conf, "-M", "-S", control, "-N", "ws"], env=self.env())
        try:
            eventually(lambda: os.path.exists(control), "the master is up")
            runs = [subprocess.Popen(["ssh", "-F", self.conf, "-S", control, "ws", f"head -c 3000000 /dev/zero; exit {i}"],
                                     env=self.env(), stdout=subprocess.PIPE) for i in range(8)]
            for i, run in enumerate(runs):
                self.assertEqual(len(run.communicate(timeout=PATIENCE)[0]), 3_000_000)
                self.assertEqual(run.returncode, i)
        finally:
            openssh.stop(master, signal.SIGTERM)

    def test_the_host_key_belongs_to_the_seed(self):
        def key(seed):
            self.config(f"seed={seed}")
            self.out("true")
            line = read(os.path.join(self.dir, "known")).split()[2]
            os.remove(os.path.join(self.dir, "known"))
            return line
        self.assertEqual(key(1), key(1))
        self.assertNotEqual(key(1), key(2))

    def test_the_time_limit_ends_an_idle_connection(self):
        self.config("timeout-ms=300")
        begin = time.monotonic()
        self.assertEqual(self.ssh("ws", "sleep 1000").returncode, 255)
        self.assertLess(time.monotonic() - begin, 30)

    # --- terminals ---

    def interact(self, script, *args, rows=33, cols=99):
        """Runs ssh in a terminal of its own; script is called with (read_until, write, master)."""
        master, slave = pty.openpty()
        subprocess.run(["stty", "rows", str(rows), "cols", str(cols)], stdin=slave, check=True)
        p = subprocess.Popen(["ssh", "-F", self.conf, "-t", *args], stdin=slave, stdout=slave, stderr=slave,
                             env=self.env(TERM="vt220"), start_new_session=True,
                             preexec_fn=lambda: __import__("fcntl").ioctl(0, 0x540E, 0))
        os.close(slave)
        seen = bytearray()

        def read_until(want):
            end = time.monotonic() + PATIENCE
            while want not in seen:
                left = max(0, end - time.monotonic())
                if not select.select([master], [], [], left)[0]:
                    raise AssertionError(f"{want!r} not in {bytes(seen)!r}")
                try:
                    piece = os.read(master, 65536)
                except OSError:
                    piece = b""
                if not piece:
                    raise AssertionError(f"{want!r} not in {bytes(seen)!r} at the end")
                seen.extend(piece)
            return bytes(seen)

        try:
            script(read_until, lambda data: os.write(master, data), master, p)
            return p.wait(timeout=PATIENCE), bytes(seen)
        finally:
            p.kill()
            p.wait()
            os.close(master)

    def test_terminal_size_type_and_resize(self):
        def script(read_until, write, master, p):
            read_until(b"READY\r\n")
            import fcntl
            import struct
            import termios
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 111, 0, 0))
            os.kill(p.pid, signal.SIGWINCH)
            read_until(b"44 111")
            write(b"go\n")
            read_until(b"over")
        code, seen = self.interact(script, "ws", "tty; echo $TERM $SSH_TTY; stty size; echo READY; "
                                   "while [ \"$(stty size)\" != '44 111' ]; do sleep 0.05; done; stty size; read x; echo over $x; exit 9")
        self.assertEqual(code, 9)
        self.assertIn(b"vt220 /dev/pts/", seen)
        self.assertIn(b"33 99\r\n", seen)

    def test_keystrokes_and_interrupts(self):
        def script(read_until, write, master, p):
            read_until(b"$ ")
            # It says so itself: a shell between its fork and the program may lose an interrupt.
            write(b"sh -c 'echo u''p; exec sleep 1000'\n")
            read_until(b"\nup\r\n")
            write(b"\x03")
            read_until(b"^C\r\n$ ")
            write(b"echo a''live; exit 5\n")
            read_until(b"alive")
        code, _ = self.interact(script, "ws", "PS1='$ ' exec sh -i")
        self.assertEqual(code, 5)

    def test_greeting_of_a_login_shell(self):
        motd = os.path.join(self.dir, "motd")
        with open(motd, "w") as f:
            f.write("message\nof the day\n")
        self.config(f"motd={motd}", "banner=Announcement", f"coder:HOME={self.home}")

        def script(read_until, write, master, p):
            write(b"echo a''live; exit\n")
            read_until(b"alive")
        _, seen = self.interact(script, "ws")
        self.assertIn(b"Announcement\r\n\r\nmessage\r\nof the day\r\n", seen)
        open(os.path.join(self.home, ".hushlogin"), "w").close()
        _, seen = self.interact(script, "ws")
        self.assertIn(b"Announcement\r\n", seen)
        self.assertNotIn(b"of the day", seen)
        self.assertEqual(self.out("echo x"), "x\n")

    def test_terminal_output_is_complete(self):
        done = self.ssh("-tt", "ws", "seq 1 50000; exit 3")
        self.assertEqual(done.returncode, 3)
        self.assertEqual(done.stdout.replace(b"\r\n", b"\n"), b"".join(b"%d\n" % i for i in range(1, 50001)))

    # --- files ---

    def make_tree(self):
        root = os.path.join(self.dir, "tree")
        os.makedirs(root + "/sub/empty")
        for name, size in (("a", 0), ("b", 1), ("sub/c", 3_000_000)):
            with open(f"{root}/{name}", "wb") as f:
                f.write(os.urandom(size))
        os.symlink("a", root + "/link")
        os.chmod(root + "/b", 0o640)
        os.utime(root + "/b", (1_000_000_000, 1_000_000_000))
        return root

    def test_scp_copies_trees(self):
        root = self.make_tree()
        for flags in ([], ["-O"]):
            for there, back in (("there", "back"), ):
                there, back = (os.path.join(self.dir, x + "".join(flags)) for x in (there, back))
                for source, target in ((root, f"ws:{there}"), (f"ws:{there}", back)):
                    done = self.ssh("-rp", *flags, source, target, ssh="scp")
                    self.assertEqual(done.returncode, 0, done.stderr)
                for name in ("a", "b", "sub/c", "link"):
                    self.assertTrue(filecmp.cmp(f"{root}/{name}", f"{back}/{name}", shallow=False), name)
                st = os.stat(back + "/b")
                self.assertEqual((st.st_mode & 0o777, int(st.st_mtime)), (0o640, 1_000_000_000))

    def sftp(self, *lines):
        batch = os.path.join(self.dir, "batch")
        with open(batch, "w") as f:
            f.write("\n".join(lines) + "\n")
        return self.ssh("-b", batch, "ws", ssh="sftp")

    def test_sftp_does_what_clients_ask(self):
        self.make_tree()
        done = self.sftp("pwd", "cd tree", "mkdir d", "rename a d/a2", "ln -s b soft", "ln b hard", "chmod 600 b",
                         "get sub/c got", "put got sub/up", "ls -la", "rm hard", "rmdir sub/empty", "ls -l soft")
        self.assertEqual(done.returncode, 0, done.stderr)
        tree = os.path.join(self.dir, "tree")
        self.assertIn(f"Remote working directory: {self.dir}".encode(), done.stdout)
        self.assertEqual(sorted(os.listdir(tree)), ["b", "d", "link", "soft", "sub"])
        self.assertEqual(os.readlink(tree + "/soft"), "b")
        self.assertEqual(os.stat(tree + "/b").st_mode & 0o777, 0o600)
        self.assertTrue(filecmp.cmp(tree + "/sub/c", tree + "/sub/up", shallow=False))
        self.assertRegex(done.stdout.decode(), r"-rw-------\s+2 \d+\s+\d+\s+1 .* hard")

    def test_sftp_errors_have_their_reasons(self):
        self.make_tree()
        for line, text in (("get nope", "not found"), ("mkdir tree", "ailure"), ("rmdir tree", "ailure"),
                           ("ls nope", "not found"), ("chmod 600 nope", "No such file")):
            done = self.sftp(line)
            self.assertNotEqual(done.returncode, 0, line)
            self.assertIn(text, done.stderr.decode(), line)

    def test_many_files_are_listed(self):
        os.mkdir(self.dir + "/many")
        for i in range(3000):
            open(f"{self.dir}/many/a-rather-long-name-of-a-file-{i:05}", "w").close()
        done = self.sftp("ls -1 many")
        self.assertEqual(len([l for l in done.stdout.splitlines() if b"a-rather" in l]), 3000)

    # --- forwarding ---

    class Server:
        """Answers each connection with what it sent, upper case, after its end."""

        def __init__(self, address, family=socket.AF_INET):
            self.socket = socket.socket(family)
            self.socket.bind(address)
            self.socket.listen(16)
            threading.Thread(target=self.run, daemon=True).start()

        def run(self):
            while True:
                try:
                    c = self.socket.accept()[0]
                except OSError:
                    return
                threading.Thread(target=self.serve, args=(c,), daemon=True).start()

        def serve(self, c):
            with c:
                data = b""
                while piece := c.recv(65536):
                    data += piece
                c.sendall(data.upper())

        @property
        def port(self):
            return self.socket.getsockname()[1]

        def close(self):
            self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    def ask(self, address, data, family=socket.AF_INET):
        with socket.socket(family) as s:
            s.settimeout(PATIENCE)
            s.connect(address)
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            got = b""
            while piece := s.recv(65536):
                got += piece
            return got

    def free_port(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    def forwarded(self, *args):
        p = subprocess.Popen(["ssh", "-F", self.conf, *args, "ws", "echo up; exec sleep 1000"], env=self.env(),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: (p.kill(), p.communicate()))
        self.assertEqual(p.stdout.readline(), b"up\n")
        return p

    def test_all_four_kinds_of_forwarding(self):
        tcp, unix = self.Server(("127.0.0.1", 0)), self.Server(self.dir + "/target", socket.AF_UNIX)
        self.addCleanup(tcp.close)
        self.addCleanup(unix.close)
        local, remote = self.free_port(), self.free_port()
        open(self.dir + "/r.sock", "w").close()  # in the way: replaced
        self.forwarded("-L", f"{local}:localhost:{tcp.port}", "-R", f"{remote}:127.0.0.1:{tcp.port}",
                       "-L", f"{self.dir}/l.sock:{self.dir}/target", "-R", f"{self.dir}/new/r.sock:{self.dir}/target",
                       "-R", f"{self.dir}/r.sock:127.0.0.1:{tcp.port}")
        big = os.urandom(2_000_000).hex().encode()
        places = [(("127.0.0.1", local), socket.AF_INET), (("127.0.0.1", remote), socket.AF_INET),
                  (self.dir + "/l.sock", socket.AF_UNIX), (self.dir + "/new/r.sock", socket.AF_UNIX),
                  (self.dir + "/r.sock", socket.AF_UNIX)]
        for address, family in places:
            self.assertEqual(self.ask(address, b"small", family), b"SMALL", address)
            self.assertEqual(self.ask(address, big, family), big.upper(), address)
        self.assertEqual(os.stat(self.dir + "/new").st_mode & 0o777, 0o700)
        results = {}
        threads = [threading.Thread(target=lambda i=i: results.update({i: self.ask(("127.0.0.1", local), b"x%d" % i)}))
                   for i in range(40)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, {i: b"X%d" % i for i in range(40)})

    def test_a_target_that_refuses_is_told(self):
        local = self.free_port()
        p = self.forwarded("-L", f"{local}:127.0.0.1:{self.free_port()}")
        try:
            self.assertEqual(self.ask(("127.0.0.1", local), b""), b"")
        except OSError:
            pass
        self.assertIsNone(p.poll())

    def test_listeners_end_with_the_connection(self):
        remote = self.free_port()
        p = self.forwarded("-R", f"{remote}:127.0.0.1:1", "-R", f"{self.dir}/gone.sock:127.0.0.1:1")
        self.assertTrue(os.path.exists(self.dir + "/gone.sock"))
        p.kill()

        def closed():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", remote)) != 0 and not os.path.exists(self.dir + "/gone.sock")
        eventually(closed, "listeners are gone")

    def test_the_clients_agent_is_reached(self):
        sock, key = self.dir + "/agent", self.dir + "/key"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.DEVNULL)
        try:
            eventually(lambda: os.path.exists(sock), "the agent")
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "forwarded key", "-f", key], check=True)
            subprocess.run(["ssh-add", "-q", key], env=self.env(SSH_AUTH_SOCK=sock), check=True)
            done = self.ssh("-A", "ws", "ssh-add -l", env=self.env(SSH_AUTH_SOCK=sock))
            self.assertIn(b"forwarded key", done.stdout)
            self.assertEqual(self.out("echo ${SSH_AUTH_SOCK:-none}"), "none\n")
        finally:
            agent.kill()
            agent.wait()

    # --- what an administrator may forbid ---

    def test_blocked_file_transfer(self):
        self.config("block=files")
        for command in ("scp -t x", "/usr/bin/rsync --server", "nc localhost 1", "sftp x"):
            done = self.ssh("ws", command)
            self.assertEqual(done.returncode, 65, command)
            self.assertIn(b"disabled", done.stderr)
        self.assertNotEqual(self.sftp("ls").returncode, 0)
        self.assertEqual(self.out("echo scp"), "scp\n")

    def test_blocked_forwarding(self):
        tcp = self.Server(("127.0.0.1", 0))
        self.addCleanup(tcp.close)
        self.config("block=remote")
        done = self.ssh("-R", f"{self.free_port()}:127.0.0.1:{tcp.port}", "ws", "true")
        self.assertNotEqual(done.returncode, 0)
        self.config("block=local")
        local = self.free_port()
        self.forwarded("-L", f"{local}:127.0.0.1:{tcp.port}")
        try:
            self.assertEqual(self.ask(("127.0.0.1", local), b"x"), b"")
        except OSError:
            pass


if __name__ == "__main__":
    unittest.main(verbosity=2)
