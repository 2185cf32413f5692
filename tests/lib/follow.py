"""Streams of the API for scenario tests: WebSockets and Server-Sent Events, as iterators of messages.

    with WebSocket(client, f"/api/v2/workspacebuilds/{id}/logs?follow") as ws:
        lines = [json.loads(m) for m in ws]     # until the server closes
    assert (ws.code, ws.reason) == (1000, "done")

    with Events(client, f"/api/v2/workspaces/{id}/watch") as events:
        kind, data = events.next()              # ("ping", None), then ("data", {...})
"""
import base64
import json
import os
import socket
import struct
import urllib.parse

STRETCH = float(os.environ.get("CM_STRETCH", "1"))


class Closed(Exception):
    """The stream has ended."""


class Connection:
    def __init__(self, client, path, headers, timeout):
        url = urllib.parse.urlparse((client.base or client.cluster.url) + path)
        self.sock = socket.create_connection((url.hostname, url.port), timeout * STRETCH)
        self.buffer = b""
        target = url.path + (f"?{url.query}" if url.query else "")
        head = [f"GET {target} HTTP/1.1", f"Host: {url.netloc}", f"Coder-Session-Token: {client.token}"]
        head += [f"{k}: {v}" for k, v in headers.items()]
        self.sock.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.strip().lower(): v.strip() for k, v in (x.split(":", 1) for x in lines[1:] if x)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Closed("the connection was closed")
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def exactly(self, n):
        while len(self.buffer) < n:
            self.more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data


class WebSocket(Connection):
    """self.code and self.reason are what the server closed with (None while open, 1006 without a word)."""

    def __init__(self, client, path, timeout=120):
        key = base64.b64encode(os.urandom(16)).decode()
        super().__init__(client, path, {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                                        "Sec-WebSocket-Key": key}, timeout)
        self.code, self.reason = None, None
        if self.status != 101:
            body = self.exactly(int(self.headers.get("content-length", "0")))
            raise AssertionError(f"{path}: status {self.status}: {body!r}")

    def send(self, text, opcode=1):
        data, mask = text.encode() if isinstance(text, str) else text, os.urandom(4)
        head = bytes([0x80 | opcode])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        else:
            head += bytes([0x80 | 126]) + struct.pack(">H", len(data))
        self.sock.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def frame(self):
        first, second = self.exactly(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", self.exactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.exactly(8))[0]
        return first & 0x80, first & 0x0F, self.exactly(size)

    def next(self):
        """The next message; raises Closed at the end."""
        message = b""
        while True:
            try:
                final, opcode, data = self.frame()
            except Closed:
                self.code = self.code or 1006
                raise
            if opcode == 8:
                self.code = struct.unpack(">H", data[:2])[0] if data else 1005
                self.reason = data[2:].decode()
                self.send(data[:2], 8)
                raise Closed(f"{self.code} {self.reason}")
            if opcode == 9:
                self.send(data, 10)
            elif opcode in (0, 1, 2):
                message += data
                if final:
                    return message.decode()

    def __iter__(self):
        while True:
            try:
                yield self.next()
            except Closed:
                return


class Events(Connection):
    def __init__(self, client, path, timeout=120):
        super().__init__(client, path, {"Accept": "text/event-stream"}, timeout)
        assert self.status == 200, f"{path}: status {self.status}"
        assert self.headers["content-type"].startswith("text/event-stream"), self.headers
        self.chunks = b""

    def line(self):
        while b"\n" not in self.chunks:
            size = int(self.until(b"\r\n"), 16)
            if size == 0:
                raise Closed("the stream has ended")
            self.chunks += self.exactly(size)
            self.exactly(2)
        line, self.chunks = self.chunks.split(b"\n", 1)
        return line.decode()

    def next(self):
        """(kind, decoded data or None)."""
        kind, data = None, None
        while True:
            line = self.line()
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif line == "" and kind:
                return kind, data

    def until_data(self, accept, limit=1000):
        """The first data that accept(data) likes."""
        for _ in range(limit):
            kind, data = self.next()
            if kind == "data" and accept(data):
                return data
        raise AssertionError("no such event")
