"""What the rows share: figures, load, wrk and pgbench, resident memory, and peers that must be there."""
import os
import re
import shutil
import socket
import statistics
import subprocess
import time

from cluster import eventually, free_port


class MissingPeer(AssertionError):
    pass


def need(program, package):
    """The path of a peer's program; a row without its peer fails."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise MissingPeer(f"{program} is not installed (Debian: {package})")
    return path


def load():
    return os.getloadavg()[0]


def run(argv, timeout=60, **kwargs):
    """Output of a command that must succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, **kwargs)
    assert done.returncode == 0, f"{argv[0]}: status {done.returncode}: {done.stdout[-1000:]}{done.stderr[-1000:]}"
    return done.stdout


def seconds_of(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def alternate(times, ours, peer):
    """Both in turns, so that what else the machine does hits both; the medians."""
    a, b = [], []
    for _ in range(times):
        a.append(ours())
        b.append(peer())
    return statistics.median(a), statistics.median(b)


def command_seconds(argv, env, cwd="/"):
    """From the start of a command to its end; it must succeed."""
    with open(os.devnull, "r+b") as null:
        begin = time.perf_counter()
        status = subprocess.Popen(argv, env=env, stdin=null, stdout=null, stderr=null, cwd=cwd).wait(60)
        took = time.perf_counter() - begin
    assert status == 0, f"{argv}: status {status}"
    return took


def first_200(port, path, deadline=30):
    """Asks a port of this machine until it answers 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                s.sendall(request)
                if s.recv(64).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.001)
    raise AssertionError(f"port {port} does not answer 200")


def rss_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


def rss_of_tree(pid):
    """A process and its children, e.g. a server of several."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return rss_mb(pid) + sum(rss_of_tree(int(p)) for p in f.read().split())


def units(text):
    """Milliseconds of wrk's 1.23ms, 85us, 2.1s."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


class Load:
    """What wrk says: requests per second, p99 in ms, bytes of a whole answer (with head)."""

    def __init__(self, text):
        assert "Non-2xx" not in text and "Socket errors" not in text, text
        self.rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
        self.p99 = units(re.search(r"99%\s+(\S+)", text).group(1))


def wrk(url, connections, seconds, token=None):
    argv = [need("wrk", "wrk"), "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--latency", "--timeout", "10s"]
    if token:
        argv += ["-H", f"Coder-Session-Token: {token}"]
    return Load(run(argv + [url]))


def pgbench(c, clients, seconds, script=None):
    """Transactions per second of prepared statements: pgbench's own -S, or those of a file."""
    program = os.path.join(c.pg.bin, "pgbench")
    if not os.access(program, os.X_OK):
        raise MissingPeer("pgbench is not installed (Debian: postgresql-15)")
    argv = [program, "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(seconds)]
    argv += ["-f", script] if script else ["-S"]
    text = run(argv + [c.pg.conninfo(c.database)])
    return float(re.search(r"tps = ([\d.]+)", text).group(1))


def pgbench_tables(c):
    run([os.path.join(c.pg.bin, "pgbench"), "-i", "-q", "-s", "5", c.pg.conninfo(c.database)])


class Nginx:
    """The smallest: one worker, answers 200 by itself."""

    def __init__(self, c):
        self.c, self.port, self.dir = c, free_port(), c.sub("nginx")
        self.program = need("nginx", "nginx")
        self.conf = os.path.join(self.dir, "nginx.conf")
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(f"""daemon off; worker_processes 1; pid {self.dir}/pid; error_log {self.dir}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {self.dir}/body; proxy_temp_path {self.dir}/proxy; fastcgi_temp_path {self.dir}/fastcgi;
    uwsgi_temp_path {self.dir}/uwsgi; scgi_temp_path {self.dir}/scgi;
    server {{ listen 127.0.0.1:{self.port}; location / {{ return 200 "ok"; }} }}
}}
""")

    def argv(self):
        return [self.program, "-c", self.conf, "-p", self.dir, "-e", f"{self.dir}/error.log"]


def chain_of_haproxy(c, target):
    """Two HAProxy in a chain before a port; the first one's port."""
    program, ports = need("haproxy", "haproxy"), [free_port(), free_port()]
    for i, (port, to) in enumerate(zip(ports, (ports[1], target))):
        conf = os.path.join(c.sub("haproxy"), f"{i}.cfg")
        with open(conf, "w", encoding="ascii") as f:
            f.write(f"""global
    maxconn 64
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen hop
    bind 127.0.0.1:{port}
    server next 127.0.0.1:{to}
""")
        c.add(f"haproxy{i}", [program, "-f", conf, "-db"]).start()
    for port in ports:
        eventually(lambda p=port: socket.create_connection(("127.0.0.1", p), timeout=2).close() or True, 10, "HAProxy")
    return ports[0]


class OpenSsh:
    """A private sshd, and how its client calls it: options for the ssh command, then the host."""

    def __init__(self, c):
        self.dir = c.sub("openssh")
        self.ssh = need("ssh", "openssh-client")
        keygen, sshd = need("ssh-keygen", "openssh-client"), need("sshd", "openssh-server")
        for name in ("host", "user"):
            run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(self.dir, name)])
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self.port = free_port()
        with open(os.path.join(self.dir, "sshd_config"), "w", encoding="ascii") as f:
            f.write(f"""Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.dir}/host
AuthorizedKeysFile {self.dir}/user.pub
PidFile {self.dir}/pid
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
""")
        self.server = c.add("sshd", [sshd, "-D", "-e", "-f", os.path.join(self.dir, "sshd_config")]).start()
        eventually(lambda: socket.create_connection(("127.0.0.1", self.port), timeout=2).close() or True, 10, "sshd")

    def argv(self, port=None):
        return [self.ssh, "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-i", os.path.join(self.dir, "user"),
                "-p", str(port or self.port), "127.0.0.1"]
