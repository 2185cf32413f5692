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
        # Compressing takes a while, and nobody waits for it.
        packed = eventually(lambda: (r := anyone.request("GET", PATH, headers={"Accept-Encoding": "gzip"})) and
                            r.headers["Content-Encoding"] == "gzip" and r, 60, "a compressed program")
        assert gzip.decompress(packed.body) == program and "Accept-Encoding" in packed.headers["Vary"]
        # Ranges are not offered, so the whole is what there is.
        assert anyone.request("GET", PATH, headers={"Range": "bytes=0-9"}).body == program
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
