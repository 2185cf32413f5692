"""The programs under /bin, which workspaces download: whole, compressed for those who ask, not sent again to those who
have them, and at no price in memory for readers that are slow."""
import gzip
import hashlib
import socket
import threading

from cluster import Cluster, eventually

PATH = "/bin/coder-linux-amd64"
STALLED, READERS = 200, 10


def resident_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(f.read().split("RssAnon:")[1].split()[0]) / 1024


def main():
    with Cluster(provisioners=0) as c:
        anyone, pid = c.client(), c["coderd"].pid
        with open(c.path("coder"), "rb") as f:
            program = f.read()
        first = eventually(lambda: (r := anyone.request("GET", PATH)) and r.headers["ETag"] and r, 30, "an ETag")
        assert first.status == 200 and first.body == program, first.status
        tag = first.headers["ETag"]
        assert tag == f'"{hashlib.sha1(program).hexdigest()}"', tag
        assert first.headers["X-Original-Content-Length"] == str(len(program))
        # A proxy that compresses makes the tag a weak one.
        for known, status in ((tag, 304), (f'"other", {tag}', 304), (f"W/{tag}", 304), ("*", 304), ('"other"', 200)):
            r = anyone.request("GET", PATH, headers={"If-None-Match": known})
            assert r.status == status and (status == 200 or not r.body), (known, r.status)
        head = anyone.request("HEAD", PATH)
        assert head.headers["Content-Length"] == str(len(program)) and not head.body
        # The first one who asks waits until it is compressed.
        packed = anyone.request("GET", PATH, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip", packed.headers
        assert gzip.decompress(packed.body) == program and "Accept-Encoding" in packed.headers["Vary"]

        # A download that broke off goes on where it was, unless the program is another by now.
        size = len(program)
        for wanted, unless, status, part in (
                ("bytes=0-3", None, 206, program[:4]), ("bytes=100-", tag, 206, program[100:]),
                ("bytes=-5", None, 206, program[-5:]), (f"bytes=7-{2 * size}", None, 206, program[7:]),
                (f"bytes={size}-", None, 416, b""), ("bytes=7-", '"other"', 200, program),
                ("bytes=0-1,5-6", None, 200, program), ("lines=0-1", None, 200, program)):
            headers = {"Range": wanted, "Accept-Encoding": "gzip" if status != 200 else "identity"}
            r = anyone.request("GET", PATH, headers={**headers, **({"If-Range": unless} if unless else {})})
            assert r.status == status and r.body == part, (wanted, r.status, len(r.body))
            if status == 206:
                first = size - len(part) if wanted != "bytes=0-3" else 0
                assert r.headers["Content-Range"] == f"bytes {first}-{first + len(part) - 1}/{size}", r.headers
            elif status == 416:
                assert r.headers["Content-Range"] == f"bytes */{size}", r.headers
        assert anyone.request("GET", "/bin/nothing").status == 404

        before = resident_mb(pid)
        stalled = []
        for _ in range(STALLED):
            s = socket.create_connection(("127.0.0.1", c.port))
            s.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert s.recv(12) == b"HTTP/1.1 200"
            stalled.append(s)
        good = []
        threads = [threading.Thread(target=lambda: good.append(anyone.request("GET", PATH).body == program))
                   for _ in range(READERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert good == [True] * READERS, good
        grown = resident_mb(pid) - before
        # A tenth of what a copy for each would take, also with sanitizers.
        assert grown < (STALLED + READERS) * len(program) / 1e6 / 10, f"{grown} MB more"
        for s in stalled:
            s.close()


if __name__ == "__main__":
    main()
