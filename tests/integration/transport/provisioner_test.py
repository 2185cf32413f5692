#!/usr/bin/python3
"""External provisioners through nginx, which terminates TLS and speaks plain HTTP to coderd, so that what the handshake
with the pre-shared key protects can be looked at there: nothing of a template variable or of Terraform's state can be
read, while the method's names can.

Then the keys: the wrong one, one that is too short, provisioner keys of two organizations, and one that is deleted
under a connected daemon.
"""
import base64
import secrets
import subprocess

from balancer import Balanced, Capture, need_root, unmask
from cluster import STRETCH, eventually, free_port

PSK = secrets.token_urlsafe(32)

TEMPLATE = """
terraform {
  required_providers {
    coder = {
      source = "coder/coder"
    }
  }
}

variable "cloud_password" {
  type      = string
  sensitive = true
}

resource "terraform_data" "machine" {
  input = var.cloud_password
}
"""

PLAIN = 'resource "terraform_data" "nothing" {}\n'


def traces(secret):
    """What would give the secret away: itself, and as base64 at each of the three alignments."""
    raw = secret.encode()
    return [raw, raw.hex().encode()] + [base64.b64encode(b"x" * k + raw)[(k * 8 + 5) // 6:-4] for k in range(3)]


def start(c, name, *args, program=None, **env):
    argv = program or [c.path("coder"), "provisioner", "start", "--name", name, *args]
    return c.add(name, argv, c.through(CODER_CACHE_DIRECTORY=c.sub("cache-" + name),
                                       CODER_CONFIG_DIR=c.sub("config-" + name), **env)).start()


def daemons(c, admin, org=None):
    org = org or admin.user["organization_ids"][0]
    return {d["name"]: d for d in admin.get(f"/api/v2/organizations/{org}/provisionerdaemons")}


def nothing_to_read(c, admin):
    secret = "Hunter2" + secrets.token_hex(16)
    variables = [{"name": "cloud_password", "value": secret}]
    version = c.push_version(admin, {"main.tf": TEMPLATE}, user_variable_values=variables, wait=False)
    with Capture(c, c.port) as wire:
        start(c, "external", CODER_PROVISIONER_DAEMON_PSK=PSK).wait_log("connected to the server")
        c.wait_version(admin, version["id"])
        org = admin.user["organization_ids"][0]
        template = admin.post(f"/api/v2/organizations/{org}/templates",
                              {"name": "secret", "template_version_id": version["id"]})
        ws = c.make_workspace(admin, "sealed", template)
        control = "control" + secrets.token_hex(16)
        c.push_version(admin, {"main.tf": TEMPLATE}, user_variable_values=[{"name": "cloud_password", "value": control}])
    assert ws["latest_build"]["job"]["status"] == "succeeded"
    assert daemons(c, admin)["external"]["key_name"] == "psk", daemons(c, admin)

    # The secret was there to be leaked: coderd sent it, and has got it back in the state.
    state = admin.request("GET", f"/api/v2/workspacebuilds/{ws['latest_build']['id']}/state")
    assert secret.encode() in state.body, state

    streams = wire.streams()
    rpc = [k[0] for k, v in streams.items() if k[1] and v.startswith(b"GET /rpc ")]
    assert len(rpc) >= 1, [v[:60] for v in streams.values()]
    for n in rpc:
        assert b"rep.sp.nanomsg.org" in streams[n, True].split(b"\r\n\r\n")[0]
        assert streams[n, False].startswith(b"HTTP/1.1 101 ")
        assert b"rep.sp.nanomsg.org" in streams[n, False].split(b"\r\n\r\n")[0]
    asked = b"".join(unmask(streams[n, True]) for n in rpc)
    for method in (b"rpc.Hello", b"provisioner.Acquire", b"provisioner.Store", b"provisioner.Complete"):
        assert method in asked, f"{method} cannot be read, so the capture is not understood"
    everything = asked + b"".join(streams.values())
    assert control.encode() in everything, "what the API was sent in the clear is not in the capture"
    for trace in [*traces(secret), *traces(PSK)]:
        assert trace not in everything, f"{trace} can be read behind nginx"


def tagged(c, admin):
    """A job goes to the daemon with its tags, whose name and tags everybody can see."""
    start(c, "eu", "--psk", PSK, "--tag", '"zone=eu,west"', "--tag", "gpu=yes").wait_log("connected to the server")
    assert daemons(c, admin)["eu"]["tags"] == {"scope": "organization", "owner": "", "zone": "eu,west", "gpu": "yes"}
    version = c.push_version(admin, {"main.tf": PLAIN}, tags={"zone": "eu,west"})
    assert version["job"]["worker_id"] == daemons(c, admin)["eu"]["id"]
    with open(f"/proc/{c['eu'].pid}/cmdline", "rb") as f:
        assert PSK.encode() not in f.read(), "the key can be seen in the list of processes"
    assert c["eu"].stop() == 0


def refused(c, argv, log=None, **env):
    """The program ends by itself, with one sentence; what it said."""
    done = subprocess.run(argv, env={**c.env, **c.through(CODER_CACHE_DIRECTORY=c.sub("cache-refused"), **env)},
                          capture_output=True, text=True, timeout=30 * STRETCH, check=False)
    assert done.returncode == 1, (done.returncode, done.stderr)
    if log:
        c["coderd"].wait_log(log)
    return done.stderr.strip().splitlines()[-1]


def wrong_keys(c):
    daemon = [c.path("provisionerd"), "--url", c.public]
    said = refused(c, daemon, r"handshake refused.*keys differ",
                   CODER_PROVISIONER_DAEMON_PSK=secrets.token_urlsafe(32))
    assert said == (f"provisionerd: the server refuses this provisioner: {c.public}: rpc.Hello: refused: wrong key or "
                    "unknown key name; the server's log has the cause"), said
    # A key that nobody made looks just the same.
    assert said == refused(c, daemon, r"handshake refused.*no key has this name",
                           CODER_PROVISIONER_DAEMON_KEY=secrets.token_urlsafe(32))
    said = refused(c, daemon, CODER_PROVISIONER_DAEMON_PSK="tooshort")
    assert "has 8 characters, but must have 22" in said and "openssl rand -base64 32" in said, said
    said = refused(c, [c.path("coder"), "provisioner", "start"])
    assert "--key" in said and "--psk" in said, said
    said = refused(c, [c.path("coder"), "provisioner", "start", "--key", PSK, "--tag", "a=b"])
    assert "tags of a provisioner key are fixed" in said, said
    # The server does not start with a key that can be guessed, and says how to make another one.
    done = subprocess.run(c["coderd"].argv, capture_output=True, text=True, timeout=30 * STRETCH, check=False,
                          env={**c.env, **c["coderd"].env, "CODER_HTTP_ADDRESS": f"127.0.0.1:{free_port()}",
                               "CODER_PROVISIONER_SOCKET": c.dir + "/short.sock", "CODER_PROVISIONER_DAEMON_PSK": "x" * 21})
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "CODER_PROVISIONER_DAEMON_PSK" in done.stderr and "openssl rand -base64 32" in done.stderr, done.stderr
    assert "x" * 21 not in done.stderr, done.stderr


def provisioner_keys(c, admin):
    org = admin.user["organization_ids"][0]
    keys = f"/api/v2/organizations/{org}/provisionerkeys"
    key = admin.post(keys, {"name": "fleet", "tags": {"zone": "us"}})["key"]
    start(c, "keyed", "--key", key).wait_log("connected to the server")
    row = daemons(c, admin)["keyed"]
    assert (row["key_name"], row["tags"]) == ("fleet", {"scope": "organization", "owner": "", "zone": "us"}), row
    version = c.push_version(admin, {"main.tf": PLAIN}, tags={"zone": "us"})
    assert version["job"]["worker_id"] == row["id"], version

    # A key belongs to its organization, and so do its daemons.
    other = admin.post("/api/v2/organizations", {"name": "elsewhere"})["id"]
    foreign = admin.post(f"/api/v2/organizations/{other}/provisionerkeys", {"name": "fleet"})["key"]
    start(c, "foreign", "--key", foreign).wait_log("connected to the server")
    assert list(daemons(c, admin, other)) == ["foreign"] and "foreign" not in daemons(c, admin)
    assert c["foreign"].stop() == 0

    # Deleted: the connected daemon gets no job any more, and is told why.
    admin.delete(keys + "/fleet")
    version = c.push_version(admin, {"main.tf": PLAIN}, tags={"zone": "us"}, wait=False)
    c["keyed"].wait_log("the server refuses this provisioner")
    job = admin.get(f"/api/v2/templateversions/{version['id']}")["job"]
    assert job["status"] == "pending", job
    assert "keyed" not in daemons(c, admin)
    assert c["keyed"].stop() == 0
    eventually(lambda: admin.patch(f"/api/v2/templateversions/{version['id']}/cancel"), 10, "the job is canceled")


def main():
    need_root()
    with Balanced(coderd_env={"CODER_PROVISIONER_DAEMON_PSK": PSK}) as c:
        admin = c.first_user()
        for name, part in (("nothing_to_read", nothing_to_read), ("tagged", tagged),
                           ("provisioner_keys", provisioner_keys)):
            print(name, flush=True)
            part(c, admin)
        print("wrong_keys", flush=True)
        wrong_keys(c)


if __name__ == "__main__":
    main()
