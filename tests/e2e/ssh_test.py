"""Working in a workspace: a shell at a terminal, commands in scripts, and OpenSSH by the file that config-ssh writes."""
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request

import openssh
from cluster import STRETCH, eventually, free_port
from people import run, ssh, starter_workspace, terminal

PROMPT = r"[#$] "
RUNS = 50
SECONDS_AT_MOST = 15  # of one short command: far more than it takes, far less than a hang


def _a_workspace(c, admin):
    starter_workspace(c, admin)
    c.coder("ssh", "dev", "--wait=yes", "--", "true", client=admin)


def command(c, admin, *args, data=b"", flags=()):
    env = {**c.env, **c.coder_env(admin)}
    return subprocess.run([c.path("coder"), "ssh", *flags, "dev", "--", *args], env=env, input=data, capture_output=True,
                          timeout=SECONDS_AT_MOST * STRETCH, check=False)


def a_shell_at_a_terminal(c, admin):
    t = terminal(c, "ssh", "dev", client=admin, rows=24, columns=80)
    t.expect(PROMPT)
    t.type("stty size\r")
    t.expect(r"\r24 80\r")
    for rows in (30, 31, 32):
        # The window follows; the shell is asked until it has heard.
        t.resize(rows, 132)

        def asked():
            t.type("stty size\r")
            return f"{rows} 132" in t.expect(r"[\r\n]\d+ \d+\r", 5)
        eventually(asked, 10, "the new size")
    # It says so itself: a Ctrl-C between the shell's fork and the program would leave both at the terminal.
    t.type("sh -c 'echo u''p; exec sleep 1000'\r")
    t.expect(r"[\r\n]up\r")
    t.type("\x03")
    t.expect(PROMPT)
    t.type("echo a$((40+2))b\r")
    t.expect(r"a42b\r")
    t.type("yes flood\r")
    t.expect(r"flood\r\nflood\r\nflood")
    t.type("\x03")
    t.expect(r"\^C", 20)
    t.type("echo $CODER_WORKSPACE_NAME; exit 7\r")
    t.expect(r"[\r\n]dev\r")
    assert t.wait() == 7


def a_command_gets_a_terminal_when_asked(c, admin):
    t = terminal(c, "ssh", "-t", "dev", "tty; exit 5", client=admin)
    t.expect(r"/dev/pts/\d+")
    assert t.wait() == 5
    t = terminal(c, "ssh", "dev", "tty; exit 6", client=admin)
    t.expect(r"not a tty")
    assert t.wait() == 6


def a_killed_client_takes_its_shell_along(c, admin):
    """Without waiting for a client that is gone to come back, and with the terminal as it was."""
    path = os.path.join(c.dir, "shell.pid")
    t = terminal(c, "ssh", "dev", client=admin)
    t.expect(PROMPT)
    t.type(f"echo $$ > {path}; echo read''y\r")
    t.expect("ready")
    assert not t.echoes()
    with open(path, encoding="utf-8") as f:
        shell = f.read().strip()
    assert os.path.exists(f"/proc/{shell}")
    os.kill(t.pid, signal.SIGTERM)
    assert t.wait() == 128 + signal.SIGTERM
    assert t.echoes()
    eventually(lambda: not os.path.exists(f"/proc/{shell}"), 20, "the end of the shell")


def a_shell_outlives_the_server_and_a_sleep(c, admin):
    """kill -9 of the server in the middle of output, and of what is typed; then while the client sleeps, as in a laptop."""
    t = terminal(c, "ssh", "dev", client=admin)
    t.expect(PROMPT)
    t.type("n=40; for i in $(seq 1 100000); do echo line $i; done; echo do''ne\r")
    t.expect(r"line 2000\r")
    c["coderd"].kill()
    t.expect("connection is lost", 60)
    t.type("echo n$((n+1))\r")
    c["coderd"].start()
    t.expect("connection is back", 60)
    t.expect(r"line 99999\r\nline 100000\r\ndone", 120)
    t.expect("n41", 30)
    os.kill(t.pid, signal.SIGSTOP)
    c["coderd"].kill()
    c["coderd"].start()
    c.wait_ready()
    c.wait_agent(admin, admin.get("/api/v2/users/me/workspace/dev"))
    os.kill(t.pid, signal.SIGCONT)
    t.type("echo n$((n+2)); exit 5\r")
    t.expect("n42", 60)
    assert t.wait() == 5


def commands_in_a_loop_never_hang(c, admin):
    for i in range(RUNS):
        data = b"line %d\n" % i * 100
        done = command(c, admin, f"cat; echo problem >&2; exit {i % 7}", data=data)
        assert (done.stdout, done.stderr, done.returncode) == (data, b"problem\n", i % 7), (i, done)


def pipes_of_any_size_and_end(c, admin):
    big = bytes(range(256)) * 16000
    assert command(c, admin, "cat", data=big).stdout == big
    for _ in range(RUNS // 2):
        # The command ends at any moment of the sending.
        done = command(c, admin, "head -c 5; exit 3", data=big)
        assert (done.stdout, done.stderr, done.returncode) == (big[:5], b"", 3), done
    assert command(c, admin, "sleep 1000 >/dev/null 2>&1 & echo started").stdout == b"started\n"
    assert command(c, admin, "nosuchcommand").returncode == 127
    # A reader that goes away ends the command, as with any program in a pipe.
    env = {**c.env, **c.coder_env(admin)}
    line = subprocess.run(["sh", "-c", '"$0" ssh dev -- yes | head -n 1', c.path("coder")], env=env, capture_output=True,
                          timeout=SECONDS_AT_MOST * STRETCH, check=False, stdin=subprocess.DEVNULL)
    assert line.stdout == b"y\n", line


def the_key_agent_is_forwarded(c, admin):
    sock = os.path.join(c.dir, "key-agent.sock")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: os.path.exists(sock), 10, "the key agent")
        empty = command(c, admin, "ssh-add", "-l", flags=("-A", "--identity-agent", sock))
        assert b"no identities" in empty.stdout and empty.returncode == 1, empty
        without = command(c, admin, "ssh-add", "-l")
        assert b"no identities" not in without.stdout, without
    finally:
        agent.kill()
        agent.wait()


def openssh_works_with_the_file_of_config_ssh(c, admin):
    # The file names the configuration folder, which has to have the session.
    c.coder("login", c.url, "--token", admin.token, "--use-token-as-session", client=admin,
            env={"CODER_SESSION_TOKEN": ""})
    path = os.path.join(c.env["HOME"], ".ssh/config")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write("Host mine\n\tPort 2200\n")
    assert "+Host coder.*" in c.coder("config-ssh", "--dry-run", client=admin).stdout
    for _ in range(2):
        c.coder("config-ssh", "-y", client=admin)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert text.startswith("Host mine\n\tPort 2200\n") and text.count("START-CODER") == 1, text
    for host in ("coder.dev", "dev.coder"):
        done = ssh(c, host, "cat; exit 9", input=b"in")
        assert (done.stdout, done.returncode) == (b"in", 9), done


def an_ide_connects_with_its_own_flags(c, admin):
    """As the extensions of VS Code and its relatives do: by a ProxyCommand of their own, reading how fast it is."""
    c.coder("login", c.url, "--token", admin.token, "--use-token-as-session", client=admin,
            env={"CODER_SESSION_TOKEN": ""})
    for name, text in (("url", c.url), ("token", admin.token)):
        with open(os.path.join(c.dir, name), "w", encoding="utf-8") as f:
            f.write(text)
    old = f"vscodessh --url-file {c.dir}/url --session-token-file {c.dir}/token"
    new = (f"--global-config {c.coder_env(admin)['CODER_CONFIG_DIR']} ssh --stdio --usage-app=vscode --disable-autostart "
           "--log-dir logs --ssh-host-prefix coder-vscode.h--")
    for name, command in (("new", new), ("old", old)):
        info = os.path.join(c.dir, "network-info", name)
        # The file is under the id of the ssh that asked, and may go with it: it is read from inside.
        read = f"until grep -q 'latency.:[0-9.]*[1-9]' {info}/*.json 2>/dev/null; do :; done; cat {info}/*.json; exit 4"
        proxy = f"{c.path('coder')} {command} --network-info-dir {info} --network-info-interval 100ms %h"
        done = ssh(c, "-F", "/dev/null", "-o", f"ProxyCommand={proxy}", "-o", "StrictHostKeyChecking=no",
                   "-o", "UserKnownHostsFile=/dev/null", "coder-vscode.h--admin--dev", read)
        assert done.returncode == 4, done
        kept = json.loads(done.stdout)
        assert kept["p2p"] is False and kept["using_coder_connect"] is False and kept["preferred_derp"] in kept["derp_latency"]
    done = c.coder("vscodessh", "nonsense", client=admin, check=False)
    assert done.returncode == 1 and "coder-vscode--<owner>--<workspace>" in done.stderr, done


def _a_file(c, name):
    path = os.path.join(c.dir, name)
    with open(path, "wb") as f:
        f.write(os.urandom(2 << 20))
    return path


def files_by_scp_and_sftp(c, admin):
    with open(_a_file(c, "sent"), "rb") as f:
        data = f.read()
    assert ssh(c, "sent", "coder.dev:there", program="scp").returncode == 0
    assert ssh(c, "coder.dev:there", "back", program="scp").returncode == 0
    done = ssh(c, "-b", "-", "coder.dev", program="sftp", input=b"put sent second\nget second back2\n")
    assert done.returncode == 0, done
    for name in ("back", "back2"):
        with open(os.path.join(c.dir, name), "rb") as f:
            assert f.read() == data


def _fetches(c, argv, port, env):
    def answer():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/buildinfo", timeout=5) as r:
            return r.status == 200
    with open(os.path.join(c.dir, "forward.log"), "wb") as log:
        p = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        eventually(answer, 30, "an answer through the forwarded port")
    finally:
        if argv[0] == "ssh":
            openssh.stop(p, signal.SIGINT)
        else:
            p.send_signal(signal.SIGINT)
            p.wait(SECONDS_AT_MOST * STRETCH)


def ports_are_forwarded(c, admin):
    """Port-forward by the command, and -L of OpenSSH; the server's own port serves as one in the workspace. -R the other
    way, to a server here."""
    port = free_port()
    _fetches(c, [c.path("coder"), "port-forward", "dev", "--tcp", f"{port}:{c.port}"], port,
             {**c.env, **c.coder_env(admin)})
    port = free_port()
    _fetches(c, ["ssh", "-F", os.path.join(c.env["HOME"], ".ssh/config"), "-N", "-L", f"{port}:127.0.0.1:{c.port}",
                 "coder.dev"], port, c.env)
    port = free_port()
    done = command(c, admin, "curl", "-sS", f"http://127.0.0.1:{port}/healthz", flags=("-R", f"{port}:localhost:{c.port}"))
    assert done.stdout == b"OK", done
    nobody = command(c, admin, "curl", "-sS", f"http://127.0.0.1:{port}/", flags=("-R", f"{port}:localhost:{free_port()}"))
    assert nobody.returncode != 0 and b"is not forwarded: Connection refused.\n" in nobody.stderr, nobody
    refused = command(c, admin, "true", flags=("-R", f"{c.port}:localhost:{c.port}"))
    assert refused.returncode != 0 and b"the port is in use there" in refused.stderr, refused


ASKS = """
import socket
with socket.create_connection(("127.0.0.1", %d)) as s:
    s.shutdown(socket.SHUT_WR)
    print("asked", flush=True)
    print(s.makefile().read(), flush=True)
"""


def who_answers_late_is_waited_for(c, admin):
    """By somebody in the workspace who has nothing to say: the connection here is not there yet when that is known."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as here:
        here.settimeout(SECONDS_AT_MOST * STRETCH)
        others = [socket.socket() for _ in range(3)]
        for s in others:
            s.setblocking(False)
            s.connect_ex(here.getsockname())
        port = free_port()
        p = subprocess.Popen([c.path("coder"), "ssh", "-R", f"{port}:127.0.0.1:{here.getsockname()[1]}", "dev", "--",
                              "python3", "-"], env={**c.env, **c.coder_env(admin)}, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
        try:
            p.stdin.write((ASKS % port).encode())
            p.stdin.close()
            assert p.stdout.readline() == b"asked\n"
            names = [s.getsockname() for s in others]
            end, name = here.accept()
            while name in names:
                end.close()
                end, name = here.accept()
            with end:
                assert end.recv(1) == b""
                end.sendall(b"late")
            assert p.stdout.readline() == b"late\n"
            assert p.wait(SECONDS_AT_MOST * STRETCH) == 0
        finally:
            for s in others:
                s.close()
            p.kill()
            p.wait()


SILENT = """
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
resource "coder_agent" "main" {
  os                  = "linux"
  arch                = "amd64"
  connection_timeout  = 1
  troubleshooting_url = "https://help.example.com/agents"
}
resource "terraform_data" "x" {
  input = coder_agent.main.id
}
"""


def an_agent_that_never_comes_is_explained(c, admin):
    """Nothing starts it. What to look at is said while it is waited for, and the wait ends with the workspace."""
    ws = c.make_workspace(admin, "silent", c.push_template(admin, "silent", {"main.tf": SILENT}))
    t = terminal(c, "ssh", "silent", client=admin)
    t.expect("Waiting for the workspace agent to connect")
    t.expect("has not connected in the time that the template gives it")
    t.expect("help.example.com/agents")
    c.build(admin, ws, "stop")
    t.expect("has been stopped or deleted meanwhile", 30)
    assert t.wait() == 1


def _the_workspace_is_deleted(c, admin):
    assert "has been deleted" in c.coder("delete", "dev", "-y", client=admin).stdout


run(_a_workspace, a_shell_at_a_terminal, a_command_gets_a_terminal_when_asked, a_killed_client_takes_its_shell_along,
    a_shell_outlives_the_server_and_a_sleep, commands_in_a_loop_never_hang,
    pipes_of_any_size_and_end, the_key_agent_is_forwarded, openssh_works_with_the_file_of_config_ssh,
    an_ide_connects_with_its_own_flags, files_by_scp_and_sftp, ports_are_forwarded,
    who_answers_late_is_waited_for,
    an_agent_that_never_comes_is_explained, _the_workspace_is_deleted)
