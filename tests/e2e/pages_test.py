"""The pages in a browser: signing in by typing, a wrong password, and a token for the command line.

Drives Debian's headless Chromium by its debugging port. CM_SHOTS=DIR keeps pictures of the pages there.
"""
import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import urllib.request

from cluster import PASSWORD, eventually, free_port
from people import run

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=900,700",
         "--remote-allow-origins=*"]


class Socket:
    """A WebSocket to the browser, which is on this machine and trusted: texts only."""

    def __init__(self, host, port, path):
        self.sock = socket.create_connection((host, port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.file = self.sock.makefile("rb")
        assert b"101" in self.file.readline()
        while self.file.readline() != b"\r\n":
            pass

    def send(self, text):
        data = text.encode()
        assert len(data) < 1 << 16
        head = struct.pack("!BBH", 0x81, 0x80 | 126, len(data))
        self.sock.sendall(head + b"\0\0\0\0" + data)  # a mask of zeros leaves the text as it is

    def receive(self):
        text = b""
        while True:
            first, n = self.file.read(2)
            if n == 126:
                [n] = struct.unpack("!H", self.file.read(2))
            elif n == 127:
                [n] = struct.unpack("!Q", self.file.read(8))
            text += self.file.read(n)
            if first & 0x80:
                return text.decode()


class Browser:
    def __init__(self, c):
        self.port, self.count = free_port(), 0
        argv = ["chromium", *FLAGS, f"--user-data-dir={c.sub('chromium')}", f"--remote-debugging-port={self.port}", "about:blank"]
        c.add("chromium", argv, {"HOME": c.sub("chromium-home")}).start()
        pages = eventually(lambda: [p for p in self.list() if p["type"] == "page"], 60, "a page of the browser")
        path = pages[0]["webSocketDebuggerUrl"].split(str(self.port), 1)[1]
        self.socket = Socket("127.0.0.1", self.port, path)

    def list(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json", timeout=5) as r:
            return json.load(r)

    def call(self, method, **params):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": params}))
        while True:
            got = json.loads(self.socket.receive())
            if got.get("id") == self.count:
                assert "error" not in got, (method, got)
                return got["result"]

    def js(self, text):
        got = self.call("Runtime.evaluate", expression=text, returnByValue=True)
        assert "exceptionDetails" not in got, (text, got)
        return got["result"].get("value")

    def open(self, url, selector):
        self.call("Page.navigate", url=url)
        eventually(lambda: self.js("document.readyState === 'complete' && !!document.querySelector(%s)" % json.dumps(selector)),
                   30, f"{selector} at {url}")

    def type(self, selector, text):
        """As a person: puts the focus there, empties it, and presses keys."""
        self.js("(e => { e.focus(); e.select(); })(document.querySelector(%s))" % json.dumps(selector))
        self.call("Input.insertText", text=text)

    def press(self, key, code, text=""):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                      **({"text": text} if kind == "keyDown" and text else {}))

    def enter(self):
        self.press("Enter", 13, "\r")

    def text(self, selector):
        return self.js("document.querySelector(%s).textContent" % json.dumps(selector))

    def picture(self, name):
        if os.environ.get("CM_SHOTS"):
            with open(os.path.join(os.environ["CM_SHOTS"], name + ".png"), "wb") as f:
                f.write(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


def _a_browser(c, admin):
    c.browser = Browser(c)


def the_sign_in_page_is_usable_by_keyboard_and_reader(c, admin):
    b = c.browser
    b.open(c.url + "/login", "#form")
    assert b.js("document.activeElement.id") == "email", "the first field has the focus"
    assert b.js("[...document.querySelectorAll('input')].every(e => e.labels.length === 1 && e.labels[0].textContent)")
    assert b.js("document.documentElement.lang") == "en" and b.js("document.title") == "Sign in"
    order = []
    for _ in range(2):
        b.press("Tab", 9)
        order.append(b.js("document.activeElement.id || document.activeElement.type"))
    assert order == ["password", "submit"], order
    for selector in ("h1", "button", "#problem", "label"):
        assert b.js(CONTRAST % json.dumps(selector)) >= 4.5, f"contrast of {selector}"
    b.picture("login")


# Of the text with the first opaque background behind it, as WCAG 2 defines it.
CONTRAST = """(() => {
  const e = document.querySelector(%s);
  const parts = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = parts(c).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  let behind = e;
  while (behind.parentElement && (parts(getComputedStyle(behind).backgroundColor)[3] === 0)) behind = behind.parentElement;
  const [a, b] = [light(getComputedStyle(e).color), light(getComputedStyle(behind).backgroundColor)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
})()"""


def a_wrong_password_is_told(c, admin):
    b = c.browser
    b.open(c.url + "/login?redirect=%2Fcli-auth", "#form")
    b.type("#email", "admin@example.com")
    b.type("#password", "wrong")
    b.enter()
    eventually(lambda: b.text("#problem") == "Incorrect email or password.", 20, "the message")
    assert b.js("document.querySelector('#problem').getAttribute('role')") == "alert"
    assert b.js("location.pathname") == "/login"
    b.picture("login-wrong")


def signing_in_leads_to_a_token_that_works(c, admin):
    b = c.browser
    b.type("#password", PASSWORD)
    b.enter()
    eventually(lambda: b.js("location.pathname === '/cli-auth' && !document.querySelector('#token').hidden"), 30, "the token")
    token = b.text("#token")
    assert c.client(token).get("/api/v2/users/me")["username"] == "admin"
    c.coder("login", c.url, "--token", token, env={"CODER_SESSION_TOKEN": ""})
    assert not b.js("document.cookie.includes('coder_session_token')"), "scripts do not see the session"
    b.call("Runtime.evaluate", expression="document.querySelector('#copy').click()", userGesture=True)
    eventually(lambda: b.text("#copy") != "Copy token", 10, "an answer of the button")
    b.picture("cli-auth")


def strangers_are_asked_to_sign_in_first(c, admin):
    b = c.browser
    b.call("Network.clearBrowserCookies")
    b.open(c.url + "/cli-auth", "main")
    eventually(lambda: b.js("location.pathname + location.search") == "/login?redirect=%2Fcli-auth", 30, "the sign-in page")


def redirects_stay_on_this_site(c, admin):
    b = c.browser
    b.open(c.url + "/login?redirect=" + "https%3A%2F%2Fevil.example%2F", "#form")
    b.type("#email", "admin@example.com")
    b.type("#password", PASSWORD)
    b.enter()
    eventually(lambda: b.js("location.href") == c.url + "/", 30, "the start page")
    eventually(lambda: b.js("!!document.querySelector('h1')"), 10)
    b.picture("home")


if not shutil.which("chromium"):
    sys.exit("pages_test.py: chromium is missing: see scripts/packages.txt")
assert subprocess.run(["chromium", "--version"], capture_output=True, check=False).returncode == 0
run(_a_browser, the_sign_in_page_is_usable_by_keyboard_and_reader, a_wrong_password_is_told,
    signing_in_leads_to_a_token_that_works, strangers_are_asked_to_sign_in_first, redirects_stay_on_this_site,
    provisioners=0)
