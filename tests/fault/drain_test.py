#!/usr/bin/python3
"""coderd is asked to stop while it has work: whatever it has begun it ends, and what it does not begin it has not touched.

Its port is free at once, requests in work get their answers, streams end in good order, a shell goes on and is there
after the restart; of requests that come at full speed during the stop, each is answered or has not been made at all.
What does not end is cut off after the time that the option gives, or by a second signal.
"""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from cluster import ROOT, STRETCH, Cluster, eventually
from follow import Closed, Events, WebSocket

sys.path.append(os.path.join(ROOT, "tests/e2e"))
from people import starter_workspace  # pylint: disable=wrong-import-position

TOKENS = "/api/v2/users/me/keys/tokens"
DRAIN = 4 * STRETCH
ROUNDS = 3


class Lock:
    """A table of the database that nobody else may read, from here on."""

    def __init__(self, cluster, table):
        self.psql = subprocess.Popen([os.path.join(cluster.pg.bin, "psql"), "-X", "-q", "-A", "-t", "-d",
                                      cluster.pg.conninfo(cluster.database)], text=True, bufsize=1,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.cluster, self.table = cluster, table
        self.psql.stdin.write(f"BEGIN; LOCK TABLE {table}; SELECT 'locked';\n")
        assert self.psql.stdout.readline() == "locked\n"

    def wait_wanted(self):
        eventually(lambda: self.cluster.psql("SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
                                             f"WHERE c.relname = '{self.table}' AND NOT l.granted") != "0",
                   20, "somebody waits for the lock")

    def release(self):
        self.psql.stdin.close()
        self.psql.wait()


class Raw:
    """A connection, byte by byte."""

    def __init__(self, cluster):
        self.sock = socket.create_connection(("127.0.0.1", cluster.port), 60 * STRETCH)

    def send(self, data):
        self.sock.sendall(data)

    def answer(self):
        """Status, headers and the whole body; None when the connection ended before any byte of an answer."""
        if not self.sock.recv(1, socket.MSG_PEEK):
            return None
        r = http.client.HTTPResponse(self.sock)
        r.begin()
        return r.status, r.headers, r.read()

    def ended(self):
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True


def head(client, method, path, length=0):
    return (f"{method} {path} HTTP/1.1\r\nHost: x\r\nCoder-Session-Token: {client.token}\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()


def last_words(stream):
    try:
        while True:
            stream.next()
    except Closed as e:
        return str(e)


def token_names(client):
    return {t["token_name"] for t in client.get(TOKENS + "?include_all=false")}


def port_is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        s.listen(1)
        return True


def say(what, began):
    print(f"    {what}: {round((time.monotonic() - began) * 1000)} ms", flush=True)


def work_is_ended(c, admin, dev):
    coderd = c["coderd"]
    shell = subprocess.Popen([c.path("coder"), "ssh", "dev", "--", "cat"], env={**c.env, **c.coder_env(admin)},
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def echo(word):
        shell.stdin.write(word + "\n")
        assert shell.stdout.readline() == word + "\n"
    echo("before")
    watch = f"/api/v2/workspaces/{dev['id']}/watch"
    body = json.dumps({"token_name": "halfway"}).encode()
    ws, events, idle, slow, halfway = WebSocket(admin, watch + "-ws"), Events(admin, watch), Raw(c), Raw(c), Raw(c)
    ws.next()
    events.next()
    idle.send(head(admin, "GET", "/api/v2/buildinfo"))
    assert idle.answer()[1]["Connection"] is None
    lock = Lock(c, "templates")
    slow.send(head(admin, "GET", "/api/v2/templates"))
    lock.wait_wanted()
    halfway.send(head(admin, "POST", TOKENS, len(body)) + body[:5])

    began = time.monotonic()
    coderd.send(signal.SIGTERM)
    eventually(lambda: port_is_free(c.port), 5, "the port is free")
    say("the port is free after", began)
    halfway.send(body[5:])
    status, headers, text = halfway.answer()
    assert (status, headers["Connection"]) == (201, "close") and json.loads(text)["key"], (status, text)
    last_words(ws)
    assert ws.code == 1001 and "stopping" in ws.reason, (ws.code, ws.reason)
    assert last_words(events) == "the stream has ended"
    assert idle.ended()
    say("streams and idle connections have ended after", began)
    echo("during the stop")
    assert coderd.running()

    lock.release()
    status, headers, text = slow.answer()
    assert (status, headers["Connection"]) == (200, "close"), (status, text)
    assert [t["name"] for t in json.loads(text)] == ["local"], text
    began = time.monotonic()
    for x in (ws, events, idle, slow, halfway):
        x.sock.close()
    assert coderd.process.wait(5 * STRETCH) == 0
    say("from the last answer to the end", began)

    coderd.start()
    c.wait_ready()
    echo("after")
    shell.stdin.close()
    assert shell.wait(20 * STRETCH) == 0
    assert "halfway" in token_names(admin)
    c.wait_agent(admin, dev)


class Crowd:
    """Many who make tokens, each as fast as it is answered, over connections that they keep. What was answered; what
    was refused, before any byte of an answer; and what went wrong."""

    def __init__(self, client, n, name):
        self.client, self.name = client, name
        self.answered, self.refused, self.wrong, self.going = [], [], [], True
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(n)]
        for t in self.threads:
            t.start()

    def run(self, who):
        raw = None
        for i in range(1000000):
            name = f"{self.name}-{who}-{i}"
            body = json.dumps({"token_name": name}).encode()
            got = None
            try:
                raw = raw or Raw(self.client.cluster)
                raw.send(head(self.client, "POST", TOKENS, len(body)) + body)
                got = raw.answer()
            except (ConnectionError, BrokenPipeError):
                pass
            except Exception as e:  # pylint: disable=broad-except
                self.wrong.append(f"{name}: {e!r}")
                return
            if not got:
                self.refused.append(name)
                if not self.going:
                    return
                raw = None
                continue
            status, headers, text = got
            if status != 201 or not json.loads(text)["key"]:
                self.wrong.append(f"{name}: {status} {text}")
                return
            self.answered.append(name)
            if headers["Connection"] == "close":
                raw.sock.close()
                raw = None

    def end(self):
        for t in self.threads:
            t.join()


def crowds_are_answered_or_refused(c, admin):
    before = token_names(admin)
    for turn in range(ROUNDS):
        crowd = Crowd(admin, 24, f"crowd{turn}")
        eventually(lambda x=crowd: len(x.answered) > 50, 60, "the crowd is served")
        began = time.monotonic()
        crowd.going = False
        assert c["coderd"].stop() == 0
        say("a stop amidst requests took", began)
        crowd.end()
        assert not crowd.wrong, crowd.wrong
        c["coderd"].start()
        c.wait_ready()
        made = token_names(admin) - before
        assert made == set(crowd.answered), (sorted(made - set(crowd.answered)), sorted(set(crowd.answered) - made))
        print(f"    {len(crowd.answered)} answered, {len(crowd.refused)} refused", flush=True)
        before |= made


def patience_has_an_end(c, admin):
    coderd = c["coderd"]
    for signals in (1, 2):
        lock, slow = Lock(c, "templates"), Raw(c)
        slow.send(head(admin, "GET", "/api/v2/templates"))
        lock.wait_wanted()
        stops, began = coderd.log().count("coderd: stopping signal="), time.monotonic()
        coderd.send(signal.SIGTERM)
        if signals == 2:
            coderd.wait_log("coderd: stopping signal=", count=stops + 1)
            coderd.send(signal.SIGTERM)
        assert coderd.process.wait(30 * STRETCH) == 0
        took = time.monotonic() - began
        say(f"with a request that does not end, and {signals} signals, the stop took", began)
        assert slow.ended()
        lock.release()
        assert took >= DRAIN if signals == 1 else took < DRAIN, took
        coderd.start()
        c.wait_ready()


def main():
    with Cluster(coderd_env={"CODER_DRAIN_TIMEOUT": f"{DRAIN}s"}) as c:
        admin = c.first_user()
        starter_workspace(c, admin)
        dev = admin.get("/api/v2/workspaces")["workspaces"][0]
        c.wait_agent(admin, dev)
        work_is_ended(c, admin, dev)
        crowds_are_answered_or_refused(c, admin)
        patience_has_an_end(c, admin)


if __name__ == "__main__":
    main()
