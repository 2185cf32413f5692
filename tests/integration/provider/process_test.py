"""The plugin as a process: handshake, certificates, how it ends, how fast it starts."""

import base64
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from provider_test import provider_binary

COOKIE = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
DEADLINE_SECONDS = 10


def make_client_certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1", "-nodes", "-sha512"]
        + ["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/O=HashiCorp/CN=localhost", "-days", "2"]
        + ["-addext", "subjectAltName=DNS:localhost"],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def literal(name, value):
    """A header in HPACK's plainest form: never indexed, no Huffman code."""
    return b"\x10" + bytes([len(name)]) + name + bytes([len(value)]) + value


def request(stream, path):
    """HEADERS and a DATA frame with an empty gRPC message."""
    block = b"".join(
        literal(n, v)
        for n, v in [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", path),
            (b":authority", b"localhost"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        ]
    )
    ident = stream.to_bytes(4, "big")
    headers = len(block).to_bytes(3, "big") + b"\1\4" + ident + block
    return headers + (5).to_bytes(3, "big") + b"\0\1" + ident + bytes(5)


class ProcessTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="provider-proc-"))
        make_client_certificate(cls.folder)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="p"))
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)

    def start(self, tls=True, **extra):
        env = {
            **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")},
            "TF_PLUGIN_MAGIC_COOKIE": COOKIE,
            "PLUGIN_PROTOCOL_VERSIONS": "6,5",
            "TMPDIR": str(self.tmp),
            **extra,
        }
        if tls:
            env["PLUGIN_CLIENT_CERT"] = (self.folder / "cert.pem").read_text()
        process = subprocess.Popen(
            [provider_binary()], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        fields = process.stdout.readline().decode().rstrip("\n").split("|")
        return process, fields

    def dial(self, fields, cert="cert.pem", key="key.pem"):
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(DEADLINE_SECONDS)
        raw.connect(fields[3])
        self.addCleanup(raw.close)
        if not fields[5]:
            return raw
        padded = fields[5] + "=" * (-len(fields[5]) % 4)
        pem = ssl.DER_cert_to_PEM_cert(base64.b64decode(padded))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=pem)
        context.set_alpn_protocols(["h2"])
        if cert:
            context.load_cert_chain(self.folder / cert, self.folder / key)
        wrapped = context.wrap_socket(raw, server_hostname="localhost")
        self.addCleanup(wrapped.close)
        return wrapped

    def read_until_end(self, connection):
        got = b""
        try:
            while chunk := connection.recv(65536):
                got += chunk
        except (ConnectionResetError, ssl.SSLError):
            pass
        return got

    def test_line_and_connection(self):
        process, fields = self.start()
        self.assertEqual(fields[:3] + fields[4:5], ["1", "5", "unix", "grpc"])
        self.assertRegex(fields[5], re.compile(r"^[A-Za-z0-9+/]{50,}$"))
        self.assertEqual(len(fields), 6)
        self.assertTrue(fields[3].startswith(str(self.tmp) + "/"))
        self.assertEqual(os.stat(fields[3]).st_mode & 0o077, 0)
        connection = self.dial(fields)
        self.assertEqual(connection.selected_alpn_protocol(), "h2")
        self.assertEqual(connection.version(), "TLSv1.3")
        connection.sendall(PREFACE)
        self.assertEqual(connection.recv(9)[3], 4, "the first frame is SETTINGS")
        connection.close()
        self.assertEqual(process.wait(DEADLINE_SECONDS), 0)
        self.assertEqual(list(self.tmp.iterdir()), [])

    def test_shutdown_is_answered_and_obeyed_at_once(self):
        for tls in (True, False):
            with self.subTest(tls=tls):
                process, fields = self.start(tls)
                connection = self.dial(fields)
                connection.sendall(PREFACE + request(1, b"/plugin.GRPCController/Shutdown"))
                began = time.monotonic()
                got = self.read_until_end(connection)
                self.assertEqual(process.wait(DEADLINE_SECONDS), 0)
                self.assertLess(time.monotonic() - began, 2, "terraform kills what takes longer")
                self.assertIn(b"\0\0\5\0\0\0\0\0\1\0\0\0\0\0", got, "an empty message on stream 1")

    def test_unknown_methods_are_unimplemented(self):
        _, fields = self.start(tls=False)
        connection = self.dial(fields)
        connection.sendall(PREFACE + request(1, b"/tfplugin5.Provider/GetResourceIdentitySchemas"))
        connection.sendall(request(3, b"/plugin.GRPCController/Shutdown"))
        got = self.read_until_end(connection)
        self.assertRegex(got, re.compile(rb"\x01\x05\x00\x00\x00\x01", re.S), "HEADERS that end stream 1")
        self.assertNotIn(b"\0\0\5\0\0\0\0\0\1", got, "no DATA on stream 1")

    def test_strangers_are_turned_away(self):
        other = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        make_client_certificate(other)
        process, fields = self.start()
        for cert in (None, other / "cert.pem"):
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                connection = self.dial(fields, cert, other / "key.pem")
                connection.sendall(PREFACE)
                if not connection.recv(1):
                    raise ConnectionError
        self.assertIsNone(process.poll())
        self.dial(fields).sendall(PREFACE)

    def test_garbage_ends_the_process(self):
        process, fields = self.start(tls=False)
        connection = self.dial(fields)
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        self.read_until_end(connection)
        self.assertNotEqual(process.wait(DEADLINE_SECONDS), 0)
        self.assertIn(b"[ERROR]", process.stderr.read())

    def test_interrupts_are_ignored_and_terminations_obeyed(self):
        process, fields = self.start(tls=False)
        connection = self.dial(fields)
        connection.sendall(PREFACE)
        connection.recv(1)
        process.send_signal(signal.SIGINT)
        connection.sendall(request(1, b"/nobody"))
        self.assertTrue(connection.recv(65536))
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE_SECONDS), -signal.SIGTERM)

    def test_a_long_tmpdir_does_not_matter(self):
        long = self.tmp / ("x" * 120)
        long.mkdir()
        process, fields = self.start(tls=False, TMPDIR=str(long))
        self.assertTrue(fields[3].startswith("/tmp/plugin-"))
        self.dial(fields).close()
        self.assertEqual(process.wait(DEADLINE_SECONDS), 0)

    def test_started_by_hand(self):
        done = subprocess.run([provider_binary()], env={}, capture_output=True, text=True, timeout=10, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("plugin", done.stderr)
        done = subprocess.run([provider_binary(), "--version"], capture_output=True, text=True, timeout=10, check=False)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^terraform-provider-coder \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    unittest.main()
