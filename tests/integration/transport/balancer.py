"""What stands between a deployment and the rest of the world in these scenarios: nginx with TLS, a network namespace
that reaches nothing but nginx, and a capture of what nginx says to coderd."""
import os
import random
import re
import subprocess
import sys
import uuid

from cluster import Cluster, eventually, free_port

NGINX = """
daemon off;
user root;
worker_processes 2;
error_log {dir}/error.log warn;
pid {dir}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log {dir}/access.log;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  client_max_body_size 0;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{
    listen {host}:{port} ssl;
    ssl_certificate {dir}/leaf.pem;
    ssl_certificate_key {dir}/leaf.key;
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto https;
    }}
  }}
}}
"""


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}"
    return done.stdout


def need_root():
    if os.geteuid() != 0:
        sys.exit("this scenario makes network namespaces and captures packets: run it as root")


class Namespace:
    """A network with one way out: a TCP port of this machine's end of a cable. What other services listen on cannot help."""

    def __init__(self, port):
        self.name = "cm" + uuid.uuid4().hex[:8]
        self.link, self.peer = "h" + self.name, "n" + self.name
        net = f"10.{random.randint(200, 250)}.{random.randint(1, 250)}"
        self.host, self.inside, self.port = net + ".1", net + ".2", port

    def __enter__(self):
        run("ip", "netns", "add", self.name)
        try:
            run("ip", "link", "add", self.link, "type", "veth", "peer", "name", self.peer, "netns", self.name)
            run("ip", "addr", "add", self.host + "/30", "dev", self.link)
            run("ip", "-n", self.name, "addr", "add", self.inside + "/30", "dev", self.peer)
            for where in ([], ["-n", self.name]):
                run("ip", *where, "link", "set", self.peer if where else self.link, "up")
            run("ip", "-n", self.name, "link", "set", "lo", "up")
            self.restrict()
        except BaseException:
            self.__exit__()
            raise
        return self

    def restrict(self):
        """By routing: packets for any other port have nowhere to go."""
        run("ip", "-n", self.name, "rule", "add", "pref", "100", "ipproto", "tcp", "dport", str(self.port), "lookup", "main")
        run("ip", "-n", self.name, "rule", "del", "pref", "32766")

    def __exit__(self, *_):
        # The cable goes with its end here; the other end may be held by a process a moment longer.
        subprocess.run(["ip", "link", "del", self.link], capture_output=True, check=False)
        run("ip", "netns", "del", self.name)

    def can_dial(self, host, port):
        """From inside. Half a second is long on a cable without length."""
        return subprocess.run(["ip", "netns", "exec", self.name, "timeout", "0.5", "bash", "-c",
                               f"exec 3<>/dev/tcp/{host}/{port}"], capture_output=True, check=False).returncode == 0


class Balanced(Cluster):
    """A cluster without provisioners of its own; self.public is its access URL, at nginx, which terminates TLS with a
    certificate of self.ca. nginx listens where the namespace can dial, or on loopback without one."""

    def __init__(self, port=None, namespace=None, coderd_env=None):
        self.host, self.public_port = namespace.host if namespace else "127.0.0.1", port or free_port()
        self.public = f"https://{self.host}:{self.public_port}"
        super().__init__(provisioners=0, coderd_env={"CODER_ACCESS_URL": self.public,
                                                     "CODER_PROXY_TRUSTED_ORIGINS": "127.0.0.1", **(coderd_env or {})})
        self.balancer_dir = self.sub("nginx")
        self.ca = os.path.join(self.balancer_dir, "ca.pem")

    def certificates(self):
        d, days = self.balancer_dir, ["-days", "2"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        run("openssl", "req", "-x509", *key, *days, "-subj", "/CN=test CA", "-keyout", d + "/ca.key", "-out", self.ca)
        run("openssl", "req", "-new", *key, "-subj", "/CN=public", "-keyout", d + "/leaf.key", "-out", d + "/leaf.csr")
        with open(d + "/leaf.ext", "w", encoding="ascii") as f:
            f.write(f"subjectAltName=IP:{self.host}\nbasicConstraints=critical,CA:FALSE\n")
        run("openssl", "x509", "-req", "-in", d + "/leaf.csr", *days, "-CA", self.ca, "-CAkey", d + "/ca.key",
            "-CAcreateserial", "-extfile", d + "/leaf.ext", "-out", d + "/leaf.pem")

    def __enter__(self):
        super().__enter__()
        try:
            self.certificates()
            conf = os.path.join(self.balancer_dir, "nginx.conf")
            with open(conf, "w", encoding="ascii") as f:
                f.write(NGINX.format(dir=self.balancer_dir, host=self.host, port=self.public_port, upstream=self.port))
            self.add("nginx", ["nginx", "-e", self.balancer_dir + "/error.log", "-c", conf]).start()
            eventually(lambda: os.path.exists(self.balancer_dir + "/nginx.pid"), 10, "nginx listens")
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def through(self, **env):
        """The environment of a program that comes by the public port."""
        return {"CODER_URL": self.public, "SSL_CERT_FILE": self.ca, **env}


class Capture:
    """All packets of a TCP port on loopback, from here to stop()."""

    def __init__(self, cluster, port):
        self.cluster = cluster
        self.file, self.port = os.path.join(cluster.dir, f"capture{port}.pcapng"), port
        self.process = cluster.add(f"dumpcap{len(cluster.processes)}",
                                   ["dumpcap", "-q", "-i", "lo", "-f", f"tcp port {port}", "-B", "64", "-w", self.file])

    def __enter__(self):
        self.process.start()
        self.process.wait_log(r"^File: ")
        return self

    def __exit__(self, kind, *_):
        if not kind:
            # What is seen is written a moment later: the last that is asked must be there.
            last = "/last" + uuid.uuid4().hex
            self.cluster.client(url=f"http://127.0.0.1:{self.port}").request("GET", last)
            eventually(lambda: last.encode() in self.bytes(), 30, "the last request in the capture")
        assert self.process.stop(2) == 0, self.process.log()
        lost = re.search(r"dropped on interface '[^']*': \d+/(\d+)", self.process.log())
        assert lost and lost[1] == "0", f"the capture is not complete: {self.process.log()}"

    def bytes(self):
        with open(self.file, "rb") as f:
            return f.read()

    def streams(self):
        """{(stream, is_to_coderd): bytes}, in order and without what was sent twice."""
        rows = run("tshark", "-r", self.file, "-Y", "tcp.len > 0 && !tcp.analysis.retransmission", "-T", "fields",
                   "-e", "tcp.stream", "-e", "tcp.dstport", "-e", "tcp.payload")
        out = {}
        for row in rows.splitlines():
            stream, dst, payload = row.split("\t")
            key = (int(stream), int(dst) == self.port)
            out[key] = out.get(key, b"") + bytes.fromhex(payload.replace(":", ""))
        return out


def unmask(data):
    """What a client said after the head of a WebSocket: the payloads of its frames, without their masks."""
    at = data.find(b"\r\n\r\n")
    out, at = [], at + 4
    while 4 < at <= len(data) - 6:
        size, masked, head = data[at + 1] & 127, data[at + 1] >> 7, 2
        if size == 126:
            size, head = int.from_bytes(data[at + 2:at + 4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(data[at + 2:at + 10], "big"), 10
        mask = data[at + head:at + head + 4] if masked else bytes(4)
        at += head + (4 if masked else 0)
        part = data[at:at + size]
        pad = (mask * (len(part) // 4 + 1))[:len(part)]
        out.append((int.from_bytes(part, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(part), "big"))
        at += size
    return b"".join(out)
