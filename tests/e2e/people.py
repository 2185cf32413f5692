"""What the scenarios of this folder share: the command at a terminal, the starter template, and running functions one
after the other over one deployment, each named by what it shows."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import traceback

from cluster import STRETCH, Cluster, Timeout

TAIL = 1 << 16  # of the output that is kept: enough for any pattern here, little enough to search often


class Terminal:
    """A command at a terminal of its own, as a person sees it."""

    def __init__(self, argv, env, cwd, rows=24, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                os.execvpe(argv[0], argv, env)
            finally:
                os._exit(127)  # pylint: disable=protected-access
        self.seen = b""
        self.status = None
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def read(self, seconds):
        """Some output, "" at the end of it."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return None
        try:
            return os.read(self.fd, 1 << 16)
        except OSError:
            return b""

    def expect(self, pattern, seconds=30):
        """Waits for the pattern in what has not been matched before; the text up to its end."""
        end = time.monotonic() + seconds * STRETCH
        while True:
            hit = re.search(pattern.encode(), self.seen)
            if hit:
                text, self.seen = self.seen[:hit.end()], self.seen[hit.end():]
                return text.decode(errors="replace")
            got = self.read(max(0, end - time.monotonic()))
            if not got:
                raise Timeout(f"no {pattern!r} {'before the end' if got == b'' else 'in time'}: {self.seen[-2000:]!r}")
            self.seen = (self.seen + got)[-TAIL:]

    def wait(self, seconds=30):
        """The exit status; the rest of the output is in seen."""
        end = time.monotonic() + seconds * STRETCH
        while time.monotonic() < end:
            got = self.read(0.05)
            if got:
                self.seen = (self.seen + got)[-TAIL:]
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                return self.status
        raise Timeout(f"still runs: {self.seen[-2000:]!r}")


def terminal(c, *args, client=None, env=None, **kwargs):
    """`coder ARGS` at a terminal."""
    e = {**c.env, **c.coder_env(client), "TERM": "xterm", **(env or {})}
    return Terminal([c.path("coder"), *args], {k: v for k, v in e.items() if v is not None}, c.dir, **kwargs)


def refused(c, *args, says, client, **kwargs):
    """The command fails with status 1, and its error has each of these in it; returns the error."""
    done = c.coder(*args, client=client, check=False, **kwargs)
    assert done.returncode == 1, (args, done)
    for text in [says] if isinstance(says, str) else says:
        assert text in done.stderr, (args, text, done.stderr)
    assert "(null)" not in done.stderr and done.stdout.count("\n") <= 40, done
    return done.stderr


def starter_workspace(c, admin, name="dev"):
    """The starter template, pushed as "local", and a workspace of it: all by the command."""
    c.coder("templates", "init", "--id", "local", client=admin)
    main = os.path.join(c.dir, "local/main.tf")
    with open(main, encoding="utf-8") as f:
        text = f.read()
    assert "/tmp/coder-workspaces" in text
    with open(main, "w", encoding="utf-8") as f:
        f.write(text.replace("/tmp/coder-workspaces", c.sub("workspaces")))
    c.coder("templates", "push", "local", "-d", "local", "-y", client=admin)
    c.coder("create", name, "--template", "local", "--parameter", "greeting=good morning", "-y", client=admin)


def ssh(c, *args, program="ssh", **kwargs):
    """OpenSSH with the file that config-ssh wrote."""
    config = os.path.join(c.env["HOME"], ".ssh/config")
    kwargs.setdefault("stdin", subprocess.DEVNULL if "input" not in kwargs else None)
    if kwargs["stdin"] is None:
        del kwargs["stdin"]
    return subprocess.run([program, "-F", config, *args], env=c.env, cwd=c.dir, capture_output=True, check=False,
                          timeout=60 * STRETCH, **kwargs)


def run(*functions, **cluster):
    """Each gets the deployment and its first user. An argument on the command line picks some by name."""
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    failed = []
    with Cluster(**cluster) as c:
        admin = c.first_user()
        for f in functions:
            if only not in f.__name__ and f.__name__[0] != "_":
                continue
            print(f.__name__.replace("_", " ").strip(), flush=True)
            try:
                f(c, admin)
            except Exception:  # pylint: disable=broad-except
                traceback.print_exc()
                failed.append(f.__name__)
        assert not failed, f"failed: {failed}"
