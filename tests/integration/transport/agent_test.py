#!/usr/bin/python3
"""An agent in a network and a root folder of its own, from where nothing but the public port of nginx can be dialled.

Its start script fetches the program through nginx, behind which a capture sees nng's messages; people reach it by
`coder ssh`, by OpenSSH and by a forwarded port, also while coderd is killed (kill -9) and started again under a session: it
goes on, and nothing of it is lost or doubled.
"""
import os
import re
import subprocess

from balancer import Balanced, Capture, Namespace, need_root, unmask
from cluster import STRETCH, eventually, free_port

TEMPLATE = """
terraform {
  required_providers {
    coder = {
      source = "coder/coder"
    }
  }
}

data "coder_workspace" "me" {}

resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64"
}

resource "terraform_data" "machine" {
  count            = data.coder_workspace.me.start_count
  triggers_replace = [coder_agent.main.token]
  provisioner "local-exec" {
    command = "setsid ip netns exec %(namespace)s sh %(enter)s > %(log)s 2>&1 < /dev/null &"
    environment = {
      CODER_AGENT_TOKEN = coder_agent.main.token
      INIT_SCRIPT       = coder_agent.main.init_script
    }
  }
}
"""

# `ip netns exec` gives a mount namespace as well, so all this is gone with the last process.
ENTER = """
set -eu
root=%(root)s
mkdir -p $root/usr $root/etc $root/dev $root/proc $root/tmp $root/root
for d in bin sbin lib lib64; do ln -sfn usr/$d $root/$d; done
mount --bind /usr $root/usr
mount --bind /etc $root/etc
mount --rbind /dev $root/dev
mount --rbind /proc $root/proc
cp %(ca)s $root/ca.pem
printf '%%s' "$INIT_SCRIPT" > $root/init.sh
exec chroot $root /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root SHELL=/bin/bash SSL_CERT_FILE=/ca.pem \\
    CM_CLUSTER=$CM_CLUSTER ASAN_OPTIONS=log_path=/sanitizer UBSAN_OPTIONS=log_path=/sanitizer \\
    CODER_AGENT_TOKEN=$CODER_AGENT_TOKEN sh /init.sh
"""


class Session:
    """A command that talks by pipes, over which the test has the hand."""

    def __init__(self, c, argv, env):
        self.path = os.path.join(c.sub("sessions"), f"{len(os.listdir(c.sub('sessions')))}")
        with open(self.path, "wb") as out, open(self.path + ".err", "wb") as err:
            self.process = subprocess.Popen(argv, env={**c.env, **env}, stdin=subprocess.PIPE, stdout=out, stderr=err)

    def text(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read()

    def stderr(self):
        with open(self.path + ".err", encoding="utf-8") as f:
            return f.read()

    def say(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait(self, text, seconds=30):
        def there():
            assert self.process.poll() is None or text in self.text(), self.stderr()
            return text in self.text()
        try:
            eventually(there, seconds, f"{text!r} in the session")
        except AssertionError as e:
            raise AssertionError(f"{e}; it said {self.text()[-500:]!r} and {self.stderr()[-1000:]!r}") from e

    def end(self):
        self.process.stdin.close()
        return self.process.wait(30 * STRETCH)


def ssh_argv(c, admin, env):
    """OpenSSH as `coder config-ssh` sets it up."""
    config = c.dir + "/ssh_config"
    c.coder("config-ssh", "-y", "--ssh-config-file", config, client=admin, env=env)
    return ["ssh", "-F", config, "-o", "UserKnownHostsFile=/dev/null", "coder.dev"]


def walls(c, ns, ssh):
    assert ns.can_dial(ns.host, ns.port), "the public port cannot be dialled"
    assert not ns.can_dial("127.0.0.1", c.port), "coderd can be dialled past nginx"
    other = c.add("other", ["python3", "-m", "http.server", "--bind", "0.0.0.0", str(free_port())]).start()
    port = int(other.argv[-1])
    eventually(lambda: c.client(url=f"http://{ns.host}:{port}").request("GET", "/").status == 200, 30, "another server")
    assert not ns.can_dial(ns.host, port), "more than the public port can be dialled"
    here = os.readlink("/proc/self/ns/net")
    there = ssh("readlink", "/proc/self/ns/net")
    assert re.fullmatch(r"net:\[\d+\]\n", there) and there.strip() != here, (here, there)
    assert "ca.pem" in ssh("ls", "/") and not os.path.exists("/ca.pem")


def messages(wire):
    """The agent's RPCs are nng's own protocol over a WebSocket, through nginx."""
    streams = wire.streams()
    rpc = [n for (n, is_to_coderd), data in streams.items() if is_to_coderd and data.startswith(b"GET /rpc ")]
    assert rpc, [data[:60] for data in streams.values()]
    for n in rpc:
        for way in (True, False):
            assert b"rep.sp.nanomsg.org" in streams[n, way].split(b"\r\n\r\n")[0], streams[n, way][:1000]
        assert streams[n, False].startswith(b"HTTP/1.1 101 "), streams[n, False][:100]
    asked = b"".join(unmask(streams[n, True]) for n in rpc)
    for method in (b"rpc.Hello", b"agent.Manifest", b"agent.Startup", b"agent.Lifecycle"):
        assert method in asked, f"{method} was not said in {asked}"


def forwarded(c, ns, ssh, env):
    """A server that only the agent can dial is reached through a port of this machine."""
    inside, here = 8080, free_port()
    ssh(f"cd /tmp; echo served from $(readlink /proc/self/ns/net) > page; python3 -m http.server --bind 127.0.0.1 {inside} "
        "> log 2>&1 < /dev/null &")
    forward = c.add("forward", [c.path("coder"), "port-forward", "dev", "--tcp", f"{here}:{inside}"], env).start()
    page = eventually(lambda: c.client(url=f"http://127.0.0.1:{here}").request("GET", "/page").body, 30, "the forwarded port")
    assert page.decode() == f"served from {ssh('readlink', '/proc/self/ns/net')}", page
    assert not ns.can_dial(ns.host, here)
    assert forward.stop(2) in (0, 1, 130), forward.log()


def killed(c, session, count):
    """coderd dies under a session in which a numbered stream runs in both directions."""
    session.say("first\n")
    session.wait("got first\n")
    for i in range(count):
        c["coderd"].kill()
        session.say(f"while dead {i}\n")
        c["coderd"].start()
        session.wait(f"got while dead {i}\n", 60)
        session.say(f"after {i}\n")
        session.wait(f"got after {i}\n")
    session.wait("\n1000\n", 60)
    session.say("last\n")
    session.wait("got last\n")
    assert session.end() == 0, session.stderr()
    lines = session.text().splitlines()
    said = ["first"] + [x for i in range(count) for x in (f"while dead {i}", f"after {i}")] + ["last"]
    assert [x for x in lines if x.startswith("got")] == [f"got {x}" for x in said], lines[-20:]
    numbers = [int(x) for x in lines if x.isdigit()]
    assert numbers == list(range(len(numbers))) and len(numbers) > 1000, (len(numbers), numbers[-5:])


# Counts without an end in the background, in whole lines, and answers each line; ends with its input.
COUNTING = r'''python3 -uc '
import os, sys, threading, itertools
def count():
    stop = threading.Event()
    for i in itertools.count():
        os.write(1, b"%d\n" % i)
        stop.wait(0.0005)
threading.Thread(target=count, daemon=True).start()
for line in sys.stdin:
    os.write(1, b"got " + line.encode())
os._exit(0)
' '''


def main():
    need_root()
    with Namespace(free_port()) as ns, Balanced(port=ns.port, namespace=ns) as c:
        admin = c.first_user()
        root = c.sub("root")
        with open(c.dir + "/enter.sh", "w", encoding="ascii") as f:
            f.write(ENTER % {"root": root, "ca": c.ca})
        c.add_provisionerd(0).start()
        files = {"main.tf": TEMPLATE % {"namespace": ns.name, "enter": c.dir + "/enter.sh", "log": c.dir + "/agent.log"}}
        template = c.push_template(admin, "walled", files)
        try:
            with Capture(c, c.port) as wire:
                ws = c.make_workspace(admin, "dev", template)
                c.wait_agent(admin, ws)
            messages(wire)
            env = {**c.coder_env(admin), **c.through()}
            argv = [c.path("coder"), "ssh", "dev", "--"]
            openssh = ssh_argv(c, admin, env)
            print("walls", flush=True)
            def ssh(*args):
                return c.coder("ssh", "dev", "--", *args, client=admin, env=c.through()).stdout
            walls(c, ns, ssh)
            print("forwarded", flush=True)
            forwarded(c, ns, ssh, env)
            print("openssh", flush=True)
            done = subprocess.run([*openssh, "echo $SSH_CONNECTION; cat; exit 7"], input="x" * 3000000, env={**c.env, **env},
                                  capture_output=True, text=True, timeout=60 * STRETCH, check=False)
            assert done.returncode == 7 and done.stdout.endswith("\n" + "x" * 3000000), (done.returncode, done.stderr)
            for name, how in (("coder ssh", argv), ("OpenSSH", openssh)):
                print(f"kill -9 under {name}", flush=True)
                killed(c, Session(c, [*how, COUNTING], env), 3)
        except BaseException:
            with open(c.dir + "/agent.log", encoding="utf-8", errors="replace") as f:
                print("---- agent ----\n" + f.read()[-6000:], flush=True)
            raise
        said = [n for n in os.listdir(root) if n.startswith("sanitizer")]
        assert not said, "\n".join(open(os.path.join(root, n), encoding="utf-8").read() for n in said)


if __name__ == "__main__":
    main()
