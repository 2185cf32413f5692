#!/usr/bin/python3
"""What strangers and careless clients send to the public port: each is answered in one clear way or dropped, nothing of
it is kept, and everybody else goes on being served.

  heads     that two parsers read differently; the request that is smuggled behind them is never answered
  bodies    of a gigabyte, with and without a length, signed in or not: no byte of a large one is taken from strangers
  archives  that lead out of their folder, hold links or devices, or expand to more than is allowed
  text      that no text of ours can be: zero bytes, broken UTF-8, deep JSON
  sockets   by the thousand, half sent; and no descriptor left for the next one
  frames    of WebSockets that break the protocol: each ends in its close code
  rights    things of others under ids that one may have guessed
"""
import io
import os
import resource
import select
import socket
import struct
import sys
import tarfile
import time
import zipfile

from cluster import Cluster, PASSWORD, eventually
from expect import answers

NOBODY = "00000000-0000-4000-8000-000000000000"
MIB = 1 << 20
HIDDEN = b"GET /api/v2/buildinfo HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/v2/users/validate-password HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

# What must not be followed by an answer to the request behind it.
SMUGGLED = {
    "length and chunked": POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 4\r\n\r\nabcd",
    "a length past 64 bits": POST + b"Content-Length: 18446744073709551618\r\n\r\n{}",
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding behind chunked": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of no number": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk below zero": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk past 64 bits": CHUNKED + b"10000000000000002\r\n{}\r\n0\r\n\r\n",
    "a chunk without its end": CHUNKED + b"2\r\n{}0\r\n\r\n",
    "chunks with bare newlines": CHUNKED + b"2\n{}\n0\n\n",
    "an extension of 3 MB": CHUNKED + b"2;" + b"a" * 3000000 + b"\r\n{}\r\n0\r\n\r\n",
    "trailers of 3 MB": CHUNKED + b"2\r\n{}\r\n0\r\n" + b"A: bbbbbbbbbbbbbbbbbbbbbbbbbb\r\n" * 100000 + b"\r\n",
}

# Status of the last answer, and how many there are.
WELL_FORMED = {
    "many in a row": (HIDDEN * 50, 200, 50),
    "a body for GET": (HIDDEN.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nabcde") + HIDDEN, 200, 2),
    "extensions and trailers": (CHUNKED + b"2;a=b\r\n{}\r\n0\r\nA: b\r\n\r\n" + HIDDEN, 200, 2),
    "HTTP/1.0": (b"GET /api/v2/buildinfo HTTP/1.0\r\n\r\n", 200, 1),
    "an upgrade with a body": (b"GET /rpc HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                               b"Content-Length: 2\r\n\r\n{}" + HIDDEN, 200, 2),
    "an upgrade to another protocol": (HIDDEN.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
                                       200, 1),
    "a header of 10 MB": (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 10000000 + b"\r\n\r\n", 431, 1),
    "a path of 10 MB": (b"GET /" + b"a" * 10000000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, 1),
    "101 headers": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 101 + b"\r\n", 400, 1),
    "an absolute target": (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, 1),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 1),
    "a zero byte in a path": (b"GET /api/v2/users/a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400, 1),
    "a zero byte in a query": (b"GET /api/v2/users?q=a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400, 1),
    "a query that is not UTF-8": (b"GET /api/v2/users?q=%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400, 1),
}


class Server:
    """What its process takes."""

    def __init__(self, cluster):
        self.cluster, self.pid = cluster, cluster["coderd"].pid

    def memory(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.cluster.port), timeout=30)
        return s

    def talk(self, data, until_closed=True):
        """Sends, says that nothing more follows, and yields all that comes back; or only the first head."""
        got = b""
        with self.connect() as s:
            try:
                s.sendall(data)
                if until_closed:
                    s.shutdown(socket.SHUT_WR)
                while part := s.recv(65536):
                    got += part
                    if not until_closed and b"\r\n\r\n" in got:
                        break
            except OSError:
                pass  # it has said what it had to say, and hung up on the rest
        return got


def statuses(answer):
    return [int(part[1:4]) for part in answer.split(b"HTTP/1.1")[1:]]


def heads(server):
    for what, data in SMUGGLED.items():
        got = statuses(server.talk(data + HIDDEN))
        assert got == [400], f"{what}: {got}"
    for what, (data, status, count) in WELL_FORMED.items():
        got = statuses(server.talk(data))
        assert len(got) == count and got[-1] == status, f"{what}: {got}"


def pour(server, path, total, token=None, length=None, fill=b"a"):
    """Sends a body until the server has had enough of it: the bytes that it took, and the status of its answer."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\n"
    head += f"Coder-Session-Token: {token}\r\n" if token else ""
    head += f"Content-Length: {length}\r\n\r\n" if length else "Transfer-Encoding: chunked\r\n\r\n"
    sent, block = 0, fill * MIB if length else b"100000\r\n" + fill * MIB + b"\r\n"
    with server.connect() as s:
        s.sendall(head.encode())
        s.setblocking(False)
        got = b""
        while sent < total and not got:
            view = memoryview(block)
            while view and not got:
                try:
                    got += s.recv(4096)
                    break
                except BlockingIOError:
                    pass
                try:
                    n = s.send(view)
                    view, sent = view[n:], sent + n
                except BlockingIOError:
                    select.select([s], [s], [], 5)
        return sent, statuses(got)[0] if got else None


def bodies(server, admin):
    builds = f"/api/v2/workspaces/{NOBODY}/builds"
    for token, status in ((None, 401), ("abcdefghij-abcdefghijklmnopqrstuv", 401), (admin.token, 413)):
        for path in ("/api/v2/files", builds):
            sent, got = pour(server, path, 1 << 30, token)
            assert got == status, f"{path}, {token}: {got} after {sent} bytes"
            # No more than what fits the sockets of both sides.
            assert token == admin.token or sent < 16 * MIB, f"{sent} bytes of {path} taken from a stranger"
    assert pour(server, "/api/v2/users/login", 1 << 30)[1] == 413
    assert pour(server, "/api/v2/files", 1 << 30, length=1 << 30)[1] == 413
    # Whoever asks before sending is told before sending.
    expect = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\nExpect: 100-continue\r\n\r\n"
    assert statuses(server.talk(expect % b"/api/v2/files", False)) == [401]
    assert statuses(server.talk(expect % b"/api/v2/users/login", False)) == [413]


def many_bodies(server, admin):
    """Bodies that are each in order, and together more than there is room for."""
    before, held, full = server.memory(), [], 0
    size = 15 * MIB
    head = (f"POST /api/v2/workspaces/{NOBODY}/builds HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
            f"Coder-Session-Token: {admin.token}\r\n\r\n").encode()
    try:
        for _ in range(48):
            s = server.connect()
            held.append(s)
            try:
                s.sendall(head + b" " * (size - 1))
                s.setblocking(False)
                full += b" 503 " in s.recv(100)
            except BlockingIOError:
                pass
            except OSError:
                full += 1
        assert full > 3, "there was room for all of them"
        grown = server.memory() - before
        assert grown < 900 * MIB, f"{grown >> 20} MiB for the bodies"
        answers(200, admin, "GET /users/me")
    finally:
        for s in held:
            s.close()
    eventually(lambda: server.memory() < before + 150 * MIB, 10, "the memory of the bodies is given back")


def tar_of(*entries):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, kind, target in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return raw.getvalue()


def zip_of(*names, size=0):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as z:
        for name in names:
            z.writestr(name, b"\0" * size)
    return raw.getvalue()


def lying_zip(says, is_really):
    """Its entry says that it is small."""
    data = bytearray(zip_of("a", size=is_really))
    local, central = data.index(b"PK\3\4"), data.index(b"PK\1\2")
    for at in (local + 22, central + 24):
        data[at:at + 4] = struct.pack("<I", says)
    return bytes(data)


def sparse_tar(size):
    """An entry with a hole of so many bytes, in some hundred bytes."""
    header = bytearray(512)
    header[0:1] = b"a"
    header[100:108], header[108:116], header[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    header[124:136], header[136:148] = b"00000000000\0", b"00000000000\0"
    header[156:157], header[257:265] = b"S", b"ustar  \0"
    header[386:398], header[398:410] = b"%011o\0" % size, b"00000000000\0"
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


def archives(server, member):
    tar, zipped = "application/x-tar", "application/zip"
    file, link, hard, device = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
    big = zip_of("a", "b", "c", size=40 * MIB)
    cases = [
        (tar, tar_of(("../a", file, "")), 400), (tar, tar_of(("a/../../b", file, "")), 400),
        (tar, tar_of(("/etc/passwd", file, "")), 400), (tar, tar_of(("a\\b", file, "")), 400),
        (tar, tar_of(("a", link, "/etc/passwd")), 400), (tar, tar_of(("a", file, ""), ("b", hard, "a")), 400),
        (tar, tar_of(("a", device, "")), 400), (tar, tar_of(("a", tarfile.FIFOTYPE, "")), 400),
        (tar, b"no archive" * 100, 400), (tar, tar_of(("a", file, ""))[:300], 400),
        (tar, sparse_tar(7 << 30), 413), (tar, tar_of(*((f"f{i}", file, "") for i in range(20001))), 413),
        (tar, tar_of(("a", file, ""), ("a", file, "")), 201),
        (zipped, zip_of("../a"), 400), (zipped, zip_of("/a"), 400), (zipped, b"PK\3\4" + b"\0" * 40, 400),
        (zipped, big, 413), (zipped, lying_zip(10, 90 * MIB), 400), (zipped, lying_zip(10, 120 * MIB), 413),
        ("text/html", b"<p>", 400),
    ]
    before = server.memory()
    for i, (kind, data, status) in enumerate(cases):
        r = member.request("POST", "/api/v2/files", data, content_type=kind)
        assert r.status == status, f"archive {i}: {r}"
        assert status < 400 or len(r.json()["message"]) > 20, f"archive {i}: {r}"
    eventually(lambda: server.memory() < before + 150 * MIB, 10, "the memory of the archives is given back")


def texts(server, admin, member):
    def post(raw):
        return member.request("POST", "/api/v2/users/validate-password", raw, content_type="application/json")
    for raw in (b'{"password":"a\\u0000b"}', b'{"password":"\xff\xfe"}', b'{"password":"\xed\xa0\x80"}',
                b'{"password":"\0"}', b"[" * 100000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"password":1e999}',
                b"[" + b"1," * 300000 + b"1]"):
        r = post(raw[:60000])
        assert r.status in (400, 413), (raw[:40], r)
    # What a client says of itself comes back as text, or not at all, and is no header of its own.
    r = server.talk(b"GET /login?redirect=%0d%0aX-Injected:%201%0d%0a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"\nX-Injected" not in r, r
    name = 'x"><script>alert(1)</script>'
    r = admin.request("POST", "/api/v2/users", {"username": name, "email": "x@example.com", "password": PASSWORD,
                                                "organization_ids": admin.user["organization_ids"]})
    assert r.status == 400 and b"<script>" not in r.body, r


def sockets(server, admin):
    """Thousands of half requests and silent connections hold up nobody; no descriptors is no reason to spin."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    idle, before = server.descriptors(), server.memory()
    held = []
    try:
        for i in range(3000):
            s = server.connect()
            held.append(s)
            if i % 2:
                s.sendall(b"GET /api/v2/buildinfo HTTP/1.1\r\nHost: x\r\nA: ")
        begin = time.monotonic()
        answers(200, admin, "GET /users/me")
        assert time.monotonic() - begin < 10, "an answer takes its time"
        assert server.memory() < before + 100 * MIB, (before, server.memory())
    finally:
        for s in held:
            s.close()
    eventually(lambda: server.descriptors() <= idle + 5, 20, "all connections are gone")

    few = server.descriptors() + 8
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (few, hard))
    held = [server.connect() for _ in range(60)]
    try:
        eventually(lambda: "cannot accept a connection" in server.cluster.log("coderd"), 10, "there are no descriptors")
        lines, cpu, begin = server.cluster.log("coderd").count("cannot accept"), server.cpu(), time.monotonic()
        eventually(lambda: server.cluster.log("coderd").count("cannot accept") >= lines + 4, 20, "it tries again")
        took = time.monotonic() - begin
        assert took > 0.5, f"four tries in {took} s"
        assert server.cpu() - cpu < took / 2, f"{server.cpu() - cpu} s of CPU in {took} s of waiting"
    finally:
        for s in held:
            s.close()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (hard, hard))
    eventually(lambda: admin.get("/api/v2/users/me"), 10, "it serves again")


def frame(op, payload, fin=True, masked=True, rsv=0, length=None):
    n = len(payload) if length is None else length
    size = bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n) if n < 65536 else b"\x7f" + struct.pack(">Q", n)
    return (bytes([fin << 7 | rsv << 4 | op, size[0] | masked << 7]) + size[1:] + bytes(4 * masked) + payload)


TEXT, CONT, CLOSE, PING = 1, 0, 8, 9
# The close code that each must be answered with.
FRAMES = {
    "no mask": ([frame(TEXT, b"{}", masked=False)], 1002),
    "a reserved bit": ([frame(TEXT, b"{}", rsv=4)], 1002),
    "an opcode of none": ([frame(3, b"")], 1002),
    "half a ping": ([frame(PING, b"x", fin=False)], 1002),
    "a large ping": ([frame(PING, b"x" * 126)], 1002),
    "the middle of nothing": ([frame(CONT, b"x")], 1002),
    "a message within another": ([frame(TEXT, b"x", fin=False), frame(TEXT, b"y")], 1002),
    "a length of 64 bits": ([frame(TEXT, b"", length=1 << 63)], 1002),
    "a message of a terabyte": ([frame(TEXT, b"", length=1 << 40)], 1009),
    "pieces without end": ([frame(TEXT, b"a" * 60000, fin=False)] + [frame(CONT, b"a" * 60000, fin=False)] * 30, 1009),
    "text that is none": ([frame(TEXT, b"\xff\xfe")], 1007),
    "text broken in its middle": ([frame(TEXT, b'"\xc3', fin=False), frame(CONT, b'("')], 1007),
    "half a close code": ([frame(CLOSE, b"x")], 1002),
    "a close code that is never sent": ([frame(CLOSE, struct.pack(">H", 1005))], 1002),
    "a goodbye": ([frame(CLOSE, struct.pack(">H", 1000))], 1000),
}


def frames(server, admin):
    org = admin.user["organization_ids"][0]
    file_id = admin.post("/api/v2/files", tar_of(("w.tf", tarfile.REGTYPE, "")), content_type="application/x-tar")["hash"]
    version = admin.post(f"/api/v2/organizations/{org}/templateversions", {
        "file_id": file_id, "provisioner": "terraform", "storage_method": "file", "tags": {}})
    server.cluster.psql("UPDATE provisioner_jobs SET started_at = now(), completed_at = now() WHERE completed_at IS NULL")
    upgrade = (f"GET /api/v2/templateversions/{version['id']}/dynamic-parameters HTTP/1.1\r\nHost: a\r\n"
               "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCoder-Session-Token: {admin.token}\r\n")
    for origin in ("https://evil.example", "null", "http://a:1", "http://a@evil.example", "a"):
        got = server.talk(f"{upgrade}Origin: {origin}\r\n\r\n".encode(), False)
        assert statuses(got) == [403], f"from {origin}: {got}"
    for what, (sent, code) in FRAMES.items():
        # Along with the request, too: nobody has to wait for its answer.
        got = server.talk(f"{upgrade}Origin: http://a\r\n\r\n".encode() + b"".join(sent))
        if sum(len(x) for x in sent) > MIB and not got:
            continue  # it hung up in the midst of so much, which takes its last word with it
        assert statuses(got) == [101], f"{what}: {got}"
        at = got.rfind(b"\x88")
        assert at > 0 and got[at + 2:at + 4] == struct.pack(">H", code), f"{what}: {got[-200:]}"


def rights(c, admin):
    """What the holder of some rights makes of them."""
    org = admin.user["organization_ids"][0]
    # A narrow key of an owner's does not take the place of another owner.
    narrow = c.client(answers(201, admin, "POST /users/me/keys/tokens",
                              {"token_name": "narrow", "scopes": ["user:*"]})["key"])
    c.add_user("second", roles=["owner"])
    answers(403, narrow, "PUT /users/second/password", {"password": PASSWORD + "2"})
    # A version for a template of one organization is not imported by the provisioners of another.
    other = answers(201, admin, "POST /organizations", {"name": "other"})["id"]
    raw = tar_of(("main.tf", tarfile.REGTYPE, ""))
    file_id = admin.post("/api/v2/files", raw, content_type="application/x-tar")["hash"]
    version = {"file_id": file_id, "provisioner": "terraform", "storage_method": "file", "tags": {}}

    def imported(name, **fields):
        v = answers(201, admin, f"POST /organizations/{org}/templateversions", {**version, **fields})
        c.psql("UPDATE provisioner_jobs SET started_at = now(), completed_at = now() WHERE completed_at IS NULL")
        return v, answers(201, admin, f"POST /organizations/{org}/templates",
                          {"name": name, "template_version_id": v["id"]})
    v1, t1 = imported("one", user_variable_values=[{"name": "key", "value": "s3cret"}])
    v2, t2 = imported("two")
    answers(404, admin, f"POST /organizations/{other}/templateversions", {**version, "template_id": t1["id"]})
    # A value whose import never got so far as to say that it is a secret is one.
    shown = answers(200, admin, f"GET /templateversions/{v1['id']}/variables")
    assert "s3cret" not in str(shown), shown
    # A preset of another template.
    preset = c.psql("INSERT INTO template_version_presets (id, template_version_id, name, parameters) VALUES "
                    f"(gen_random_uuid(), '{v1['id']}', 'p', '{{\"region\": \"hidden\"}}') RETURNING id").split()[0]
    make = {"name": "dev", "template_id": t2["id"], "template_version_preset_id": preset}
    assert "does not exist" in answers(400, admin, "POST /users/me/workspaces", make)["message"]
    # Resources are left to themselves by the template's managers only.
    member = c.add_user("leaver")
    ws = answers(201, member, "POST /users/me/workspaces", {"name": "dev", "template_id": t2["id"]})
    c.psql("UPDATE provisioner_jobs SET started_at = now(), completed_at = now() WHERE completed_at IS NULL")
    answers(403, member, f"POST /workspaces/{ws['id']}/builds", {"transition": "delete", "orphan": True})
    # A key for this workspace alone follows it for as long as it likes.
    one = c.client(answers(201, member, "POST /users/me/keys/tokens", {
        "token_name": "one", "allow_list": [{"type": "workspace", "id": ws["id"]}]})["key"])
    with Server(c).connect() as s:
        s.sendall(f"GET /api/v2/workspaces/{ws['id']}/watch-ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
                  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  f"Coder-Session-Token: {one.token}\r\n\r\n".encode())
        got = b""
        for ttl in (3600000, 7200000):
            answers(204, member, f"PUT /workspaces/{ws['id']}/ttl", {"ttl_ms": ttl})
            while f'"ttl_ms":{ttl}'.encode() not in got:
                part = s.recv(65536)
                assert part, f"closed: {got[-300:]}"
                got += part
    del v2


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    with Cluster(provisioners=0) as c:
        server = Server(c)
        admin = c.first_user()
        member = c.add_user("member")
        for name, run in (("heads", lambda: heads(server)), ("texts", lambda: texts(server, admin, member)),
                          ("archives", lambda: archives(server, member)), ("bodies", lambda: bodies(server, admin)),
                          ("many_bodies", lambda: many_bodies(server, admin)),
                          ("sockets", lambda: sockets(server, admin)), ("frames", lambda: frames(server, admin)),
                          ("rights", lambda: rights(c, admin))):
            if name.startswith(only):
                print(name, flush=True)
                run()
        answers(200, admin, "GET /users/me")


if __name__ == "__main__":
    main()
