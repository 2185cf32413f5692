"""A few answers of an API server, plain and WebSocket, for the tests of the client. Prints its port; ends with its input."""
import base64
import hashlib
import http.server
import os
import struct
import sys
import threading

JSON = {
    "/api/v2/ok": (200, '{"message":"fine"}'),
    "/api/v2/null-list": (200, "null"),
    "/api/v2/list": (200, '[{"message":"a"},{"message":"b","newer_field":[1,{"x":null}]}]'),
    "/api/v2/401": (401, '{"message":"You are signed out.","detail":"no cookie"}'),
    "/api/v2/400": (400, '{"message":"Validation failed.","validations":[{"field":"name","detail":"too long"},'
                         '{"field":"email","detail":"no"}]}'),
    "/api/v2/500": (500, '{"message":"An internal server error occurred.","detail":"pq: broken"}'),
    "/api/v2/wrong-shape": (200, '{"message":[1,2]}'),
    "/api/v2/not-json": (200, "<html>login page</html>"),
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, **headers):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for k, v in headers.items():
            self.send_header(k, v)
        self.end_headers()
        self.wfile.write(body)

    def frame(self, opcode, data):
        head = bytes([0x80 | opcode])
        head += bytes([len(data)]) if len(data) < 126 else bytes([126]) + struct.pack(">H", len(data))
        self.wfile.write(head + data)

    def follow(self, code):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        if code == "bad":
            accept = "AAAA"
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                         b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n")
        self.close_connection = True
        for i in range(3):
            self.frame(1, b'{"id":%d}' % i)
        if code == "drop":
            return
        self.frame(8, struct.pack(">H", int(code)) + b"because")
        self.rfile.read(1)

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path in JSON:
            self.answer(*JSON[path])
        elif path == "/api/v2/text":
            self.answer(502, "Bad Gateway from a balancer\n")
        elif path == "/api/v2/moved":
            self.answer(307, "", Location="https://elsewhere.example/")
        elif path == "/api/v2/headers":
            self.answer(200, '{"message":"%s|%s|%s"}' % (self.headers.get("Coder-Session-Token"),
                                                         self.headers.get("X-Extra"), self.headers.get("User-Agent")))
        elif path.startswith("/api/v2/follow/"):
            self.follow(path.rpartition("/")[2])
        else:
            self.answer(404, '{"message":"Route not found."}')

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.answer(201, '{"message":%s,"detail":"%s"}' % (body and body.split(":", 1)[1].split(",")[0].rstrip("}") or '""',
                                                           self.headers.get("Content-Type")))

    def do_DELETE(self):
        self.send_response(204)
        self.end_headers()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)
