"""A foreign TLS 1.3 stack (tlslite-ng) does the PSK handshake with our server, and both understand each other's seals.

usage: foreign_psk.py PSK_PEER VENV_FOLDER
Makes the virtual environment when it is not there yet. Anything that is missing is a failure, not a skip."""
import hashlib
import hmac
import os
import struct
import subprocess
import sys
import venv

VERSION = "0.8.2"
TEXT = b"q8xlJ0Zb2n2uS4rTt8Qm0w=="


def ensure_tlslite(folder):
    python = os.path.join(folder, "bin", "python")
    probe = [python, "-c", f"import tlslite; assert tlslite.__version__ == '{VERSION}'"]
    if not os.path.exists(python) or subprocess.run(probe, capture_output=True).returncode:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                        f"tlslite-ng=={VERSION}"], check=True)
        subprocess.run(probe, check=True)
    return python


def hkdf(ikm, salt, info, n):
    prk = hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()
    out, block, i = b"", b"", 1
    while len(out) < n:
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha256).digest()
        out, i = out + block, i + 1
    return out[:n]


class Refused(Exception):
    pass


class Wire:
    """What tlslite takes for a socket: sends a flight when it comes to reading the answer."""

    def __init__(self, peer):
        self.peer, self.out, self.inp = peer, b"", b""

    def send(self, data):
        self.out += bytes(data)
        return len(data)

    def sendall(self, data):
        self.send(data)

    def put(self, frame):
        self.peer.stdin.write(struct.pack(">I", len(frame)) + frame)
        self.peer.stdin.flush()

    def get(self):
        head = self.peer.stdout.read(4)
        frame = self.peer.stdout.read(struct.unpack(">I", head)[0]) if len(head) == 4 else b""
        if not frame:
            raise Refused()
        return frame

    def recv(self, n):
        if not self.inp:
            flight, self.out = self.out, b""
            self.put(flight)
            self.inp = self.get()
        data, self.inp = self.inp[:n], self.inp[n:]
        return data

    def flush(self):
        pass

    def close(self):
        pass


def message_key(secret, salt):
    material = hkdf(secret, salt, b"coder rpc v1 message\0", 44)
    from tlslite.utils.cipherfactory import createAESGCM
    return createAESGCM(bytearray(material[:32])), bytearray(material[32:])


def aad(direction):
    return bytearray(bytes([direction]) + bytes(range(16)) + bytes([12]) + b"test.Foreign")


def exchange(wire, secret):
    frame = wire.get()
    gcm, nonce = message_key(secret, frame[:32])
    greeting = gcm.open(nonce, bytearray(frame[48:] + frame[32:48]), aad(2))
    assert greeting == b"the server greets its foreign client", greeting
    salt = os.urandom(32)
    gcm, nonce = message_key(secret, salt)
    sealed = bytes(gcm.seal(nonce, bytearray(b"and is greeted in turn"), aad(1)))
    wire.put(salt + sealed[-16:] + sealed[:-16])


def attempt(program, name, key, change):
    from tlslite.api import HandshakeSettings, TLSConnection
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = (3, 4)
    settings.pskConfigs = [(name, key, "sha256")]
    settings.psk_modes = ["psk_dhe_ke"]
    change(settings)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as peer:
        wire = Wire(peer)
        try:
            conn = TLSConnection(wire)
            conn.handshakeClientCert(settings=settings)
            wire.put(wire.out)
            secret = bytes(conn.keyingMaterialExporter(bytearray(b"EXPORTER-coder-rpc-v1"), 32))
            exchange(wire, secret)
        except Refused:
            pass
        peer.stdin.close()
        return peer.wait(timeout=20)


def main():
    right = hkdf(TEXT, b"", b"coder psk v1\0", 32)

    def same(settings):
        pass

    def other_group(settings):  # the server asks for another key share: one more round trip
        settings.keyShares = ["secp384r1"]
        settings.eccCurves = ["secp384r1", "secp256r1"]

    def sha384(settings):
        settings.pskConfigs = [(b"psk", right, "sha384")]

    def no_ecdhe(settings):
        settings.psk_modes = ["psk_ke"]

    rows = [("right key", b"psk", right, same, 0), ("another group", b"psk", right, other_group, 0),
            ("wrong key", b"psk", bytes(32), same, 3), ("unknown name", b"nobody", right, same, 3),
            ("key of another hash", b"psk", right, sha384, 3), ("no forward secrecy", b"psk", right, no_ecdhe, 3)]
    failed = 0
    for what, name, key, change, want in rows:
        got = attempt(sys.argv[1], name, key, change)
        print(f"{'ok' if got == want else 'FAILED'}: {what}: exit status {got}")
        failed += got != want
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    if os.environ.get("FOREIGN_PSK_READY") != "1":
        python = ensure_tlslite(sys.argv[2])
        os.execve(python, [python] + sys.argv, dict(os.environ, FOREIGN_PSK_READY="1"))
    main()
