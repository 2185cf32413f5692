"""A small server for the tests of the HTTP client: plain or TLS HTTP with odd habits, and a CONNECT proxy.

usage: peer.py http | tls CERT KEY | proxy [USER:PASSWORD]
Prints the port it listens on, then serves until its standard input ends.
"""
import base64
import os
import socket
import ssl
import sys
import threading


def read_head(f):
    line = f.readline()
    if not line:
        return None, None
    headers = {}
    while True:
        h = f.readline().decode("latin-1").rstrip("\r\n")
        if not h:
            return line.decode("latin-1").split(), headers
        name, _, value = h.partition(":")
        headers[name.lower()] = value.strip()


def answer(c, status, body=b"", extra=""):
    c.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body)


def serve_http(c):
    if not isinstance(c, ssl.SSLSocket) and c.recv(1, socket.MSG_PEEK) == b"\x16":
        answer(c, "400 Bad Request", b"TLS on a plain port")
        return
    f = c.makefile("rb")
    count = 0
    while True:
        request, headers = read_head(f)
        if request is None:
            return
        count += 1
        method, path = request[0], request[1]
        body = f.read(int(headers.get("content-length", 0)))
        if path == "/hello":
            answer(c, "200 OK", b"hello")
        elif path == "/count":
            answer(c, "200 OK", str(count).encode())
        elif path == "/echo":
            answer(c, "200 OK", body, f"X-Method: {method}\r\nX-Probe: {headers.get('x-probe', '')}\r\n")
        elif path == "/chunked":
            c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (b"one ", b"two ", b"three"):
                c.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            c.sendall(b"0\r\nX-Trailer: yes\r\n\r\n")
        elif path == "/until-close":
            c.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")
            return
        elif path == "/short":
            c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
            return
        elif path == "/interim":
            c.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
            answer(c, "200 OK", b"final")
        elif path == "/drop-next":
            answer(c, "200 OK", b"bye")
            return  # closes a connection that said it would stay
        elif path == "/big":
            answer(c, "200 OK", b"x" * 300000)
        elif path == "/silence":
            threading.Event().wait()
        elif path == "/rubbish":
            c.sendall(b"SSH-2.0-OpenSSH\r\n")
            return
        elif path == "/head-too-large":
            c.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"y" * 200000 + b"\r\n\r\n")
            return
        elif path == "/upgrade" and headers.get("upgrade") == "shout":
            # The first bytes of the new protocol come in the same packet.
            c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nHI ")
            while True:
                data = c.recv(4096)
                if not data:
                    return
                c.sendall(data.upper())
        elif path == "/unasked":
            c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
            return
        else:
            answer(c, "404 Not Found", b"no")


def pump(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data:
                break
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve_proxy(c, credentials):
    f = c.makefile("rb", buffering=0)
    request, headers = read_head(f)
    if request is None:
        return
    if credentials:
        want = "Basic " + base64.b64encode(credentials.encode()).decode()
        if headers.get("proxy-authorization") != want:
            answer(c, "407 Proxy Authentication Required")
            return
    if request[0] != "CONNECT":
        answer(c, "405 Method Not Allowed")
        return
    host, _, port = request[1].rpartition(":")
    if host == "forbidden.example":
        answer(c, "403 Forbidden by policy")
        return
    try:
        up = socket.create_connection(("127.0.0.1", int(port)))
    except OSError:
        answer(c, "502 Bad Gateway")
        return
    c.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    threading.Thread(target=pump, args=(up, c), daemon=True).start()
    pump(c, up)


def main():
    kind = sys.argv[1]
    context = None
    if kind == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
    credentials = sys.argv[2] if kind == "proxy" and len(sys.argv) > 2 else None
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def one(c):
        try:
            if context:
                c = context.wrap_socket(c, server_side=True)
            if kind == "proxy":
                serve_proxy(c, credentials)
            else:
                serve_http(c)
        except OSError:
            pass
        finally:
            c.close()

    def accept():
        while True:
            c, _ = listener.accept()
            threading.Thread(target=one, args=(c,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


main()
