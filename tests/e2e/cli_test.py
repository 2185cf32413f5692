"""The command as people use it: signing in, templates, workspaces, tokens, users; and what it says to careless ones."""
import json
import os
import re
import subprocess
import urllib.parse

from cluster import PASSWORD, STRETCH, Cluster, eventually
from people import refused, run, starter_workspace, terminal


def _a_template_and_a_workspace(c, admin):
    starter_workspace(c, admin)


def signing_in_at_a_terminal(c, admin):
    token = c.login("admin@example.com").token
    anew = {"CODER_CONFIG_DIR": c.sub("config-terminal"), "CODER_SESSION_TOKEN": None, "CODER_URL": None}
    t = terminal(c, "login", c.url, env=anew)
    assert f"{c.url}/cli-auth" in t.expect(r"Paste your token here: ")
    t.type("not-a-token\r")
    t.expect(r"not a valid token!\r\n> Paste your token here: ")
    t.type(token + "\r")
    shown = t.expect(r"Welcome to Coder, admin!")
    assert token not in shown, "a token is not echoed"
    assert t.wait() == 0
    for name in ("url", "session"):
        assert os.stat(os.path.join(anew["CODER_CONFIG_DIR"], name)).st_mode & 0o777 == 0o600
    env = {k: v or "" for k, v in anew.items()}
    assert c.coder("login", "token", env=env).stdout.strip() == token
    assert "authenticated as admin" in c.coder("whoami", env=env).stdout
    c.coder("logout", "-y", env=env)
    refused(c, "whoami", says="Try logging in using", client=None, env=env)
    assert c.client(token).request("GET", "/api/v2/users/me").status == 401, "the token ends with the session"


def signing_in_with_mail_and_password(c, admin):
    anew = {"CODER_CONFIG_DIR": c.sub("config-password"), "CODER_SESSION_TOKEN": None, "CODER_URL": None}
    t = terminal(c, "login", c.url, env=anew)
    for password in ("wrong", PASSWORD):
        t.expect(r"Paste your token here: ")
        t.type("admin@example.com\r")
        t.expect(r"Password: ")
        eventually(lambda: not t.echoes(), 10, "a hidden question")
        t.type(password + "\r")
        if password == "wrong":
            t.expect("Incorrect email or password")
    assert PASSWORD not in t.expect(r"Welcome to Coder, admin!")
    assert t.wait() == 0
    env = {k: v or "" for k, v in anew.items()}
    assert "authenticated as admin" in c.coder("whoami", env=env).stdout
    # And by a script.
    r = c.coder("login", c.url, env=env, input=f"admin@example.com\n{PASSWORD}\n")
    assert "Welcome to Coder, admin!" in r.stdout, r


def the_first_user_is_asked_again_for_what_will_not_do(c, admin):
    with Cluster(provisioners=0) as empty:
        t = terminal(empty, "login", empty.url)
        t.expect("first user")
        t.type("yes\r")
        for question, wrong, right, says in (("username", "two words", "ann", "single hyphens"),
                                             ("email", "nowhere", "ann@example.com", "not a valid email"),
                                             ("Enter a password:", "short", PASSWORD, "password")):
            t.expect(question)
            if "password" in question:
                eventually(lambda: not t.echoes(), 10, "a hidden question")
            t.type(wrong + "\r")
            t.expect(says)
            t.expect("> ")
            if "password" in question:
                eventually(lambda: not t.echoes(), 10, "a hidden question")
            t.type(right + "\r")
        t.expect("Confirm password:")
        eventually(lambda: not t.echoes(), 10, "a hidden question")
        t.type(PASSWORD + "\r")
        t.expect("Welcome to Coder, ann!")
        assert t.wait() == 0


def giving_up_at_a_question_leaves_the_terminal_as_it_was(c, admin):
    t = terminal(c, "login", c.url, env={"CODER_SESSION_TOKEN": None})
    t.expect(r"Paste your token here: ")
    eventually(lambda: not t.echoes(), 10, "a hidden question")
    t.type("\x03")
    assert t.wait() == 1
    assert t.echoes()
    t = terminal(c, "stop", "dev", client=admin)
    t.expect(r"\(yes/no\)")
    t.type("no\r")
    assert t.wait() == 1


def signing_in_with_a_token(c, admin):
    env = {"CODER_CONFIG_DIR": c.sub("config-token"), "CODER_SESSION_TOKEN": "", "CODER_URL": ""}
    given = admin.post("/api/v2/users/me/keys/tokens", {"token_name": "login"})["key"]
    assert "Welcome to Coder, admin!" in c.coder("login", c.url, "--token", given, env=env).stdout
    kept = c.coder("login", "token", env=env).stdout.strip()
    assert kept != given, "a key of its own"
    c.coder("login", c.url, "--token", given, "--use-token-as-session", env=env)
    assert c.coder("login", "token", env=env).stdout.strip() == given
    refused(c, "login", c.url, "--token", "wrong", says="signed out or your session has expired", client=None, env=env)


def who_am_i(c, admin):
    [me] = json.loads(c.coder("whoami", "-o", "json", client=admin).stdout)
    assert me["url"] == c.url and me["username"] == "admin" and me["user_id"] == admin.user["id"]
    assert me["organization_ids"] == admin.user["organization_ids"] and me["roles"] == {"*": ["Owner"]}


def versions(c, admin):
    first = c.coder("version").stdout.splitlines()[0]
    assert re.fullmatch(r"Coder v2\.30\.\d+\S*", first), first
    assert json.loads(c.coder("version", "-o", "json").stdout)["version"] == first.split()[1]


def templates_and_workspaces_in_lists(c, admin):
    assert re.search(r"^local +coder +[A-Z][a-z]+ \d+, 20\d\d +1 active developer ", c.coder("templates", "list", client=admin).stdout,
                     re.M)
    [ws] = json.loads(c.coder("list", "-o", "json", client=admin).stdout)
    assert ws["name"] == "dev" and ws["template_name"] == "local" and ws["latest_build"]["status"] == "running"
    assert re.search(r"^  admin/dev +local +Started ", c.coder("list", client=admin).stdout, re.M)
    eventually(lambda: "\u29bf connected  \u2714 healthy " in c.coder("show", "dev", client=admin).stdout, 30,
               "an agent that is well in show")
    nobody = c.coder("list", "--search", "owner:me name:nosuch", client=admin)
    assert nobody.stdout == "", nobody


def the_parameter_reaches_the_workspace(c, admin):
    assert c.coder("ssh", "dev", "--wait=yes", "--", "cat", "greeting", client=admin).stdout == "good morning\n"


def answering_questions_makes_a_workspace(c, admin):
    t = terminal(c, "create", "asked", "-t", "local", client=admin)
    t.expect(r"Enter a value: \(hello\)")
    t.type("good evening\r")
    t.expect(r"Confirm create\? \(yes/no\)", 60)
    t.type("yes\r")
    assert t.wait(60) == 0, t.seen
    assert c.coder("ssh", "asked", "--wait=yes", "--", "cat", "greeting", client=admin).stdout == "good evening\n"
    c.coder("delete", "asked", "-y", client=admin)


def logs_of_a_build_and_its_scripts(c, admin):
    assert "Apply complete!" in c.coder("logs", "dev", client=admin).stdout
    t = terminal(c, "logs", "dev", "-f", client=admin)
    t.expect(r"Startup Script\] good morning")
    t.type("\x03")
    t.wait()
    # Whoever reads them may have had enough, long before there are more.
    follow = subprocess.run(["sh", "-c", '"$0" logs dev -f | head -n 1', c.path("coder")], env={**c.env, **c.coder_env(admin)},
                            capture_output=True, timeout=60 * STRETCH, check=True, stdin=subprocess.DEVNULL)
    assert follow.stdout.count(b"\n") == 1 and not follow.stderr, follow


def stopping_starting_and_deleting(c, admin):
    status = lambda: json.loads(c.coder("list", "-o", "json", client=admin).stdout)[0]["latest_build"]["status"]
    assert "has been stopped" in c.coder("stop", "dev", "-y", client=admin).stdout
    assert status() == "stopped"
    refused(c, "ssh", "dev", "--disable-autostart", "--", "true", says="coder start dev", client=admin)
    done = c.coder("ssh", "dev", "--wait=yes", "--", "cat", "greeting", client=admin)
    assert done.stdout == "good morning\n" and "starting workspace" in done.stderr, done
    assert "already running" in c.coder("start", "dev", "-y", client=admin).stdout
    # What cannot be started again is not stopped.
    for verb in ("restart", "update"):
        refused(c, verb, "dev", "--ephemeral-parameter", "nosuch=1", *(["-y"] if verb == "restart" else []),
                says="nosuch", client=admin)
        assert status() == "running", verb
    assert "has been restarted" in c.coder("restart", "dev", "-y", client=admin).stdout
    assert "up-to-date" in c.coder("update", "dev", client=admin).stdout
    c.coder("create", "gone", "-t", "local", "-y", client=admin)  # nobody to ask: the defaults do
    assert "has been deleted" in c.coder("delete", "gone", "-y", client=admin).stdout
    refused(c, "show", "gone", says=["\"gone\"", "coder list"], client=admin)


def the_state_of_a_workspace(c, admin):
    state = json.loads(c.coder("state", "pull", "dev", client=admin).stdout)
    assert state["version"] == 4 and any(r["type"] == "coder_agent" for r in state["resources"])
    with open("/dev/full", "wb") as full:
        cut = subprocess.run([c.path("coder"), "state", "pull", "dev"], env={**c.env, **c.coder_env(admin)}, stdout=full,
                             stderr=subprocess.PIPE, text=True, check=False)
    assert cut.returncode == 1 and "the output is not complete" in cut.stderr, cut


def pinging(c, admin):
    out = c.coder("ping", "dev", "-n", "2", client=admin).stdout
    assert out.count("pong from main") == 2, out


def tokens(c, admin):
    key = c.coder("tokens", "create", "-n", "ci", "--lifetime", "1h", client=admin).stdout.strip()
    assert re.fullmatch(r"\w{10}-\w{22}", key), key
    assert c.client(key).get("/api/v2/users/me")["username"] == "admin"
    names = lambda: [t["token_name"] for t in json.loads(c.coder("tokens", "list", "-o", "json", client=admin).stdout)]
    assert "ci" in names()
    c.coder("tokens", "remove", "ci", client=admin)
    assert "ci" not in names()
    env = {"CODER_SESSION_TOKEN": key}
    refused(c, "list", says=["session has expired", "coder login"], client=admin, env=env)
    refused(c, "tokens", "remove", "nosuch", says="coder tokens list", client=admin)
    refused(c, "tokens", "create", "--lifetime", "soon", says="use a form such as", client=admin)


def users(c, admin):
    add = ("users", "create", "--username", "bob", "--email", "bob@example.com", "--password")
    refused(c, *add, "short", says="password", client=admin)
    made = c.coder(*add, PASSWORD, client=admin)
    assert f"coder login {c.url}" in made.stdout + made.stderr, made
    refused(c, *add, PASSWORD, says="already exists", client=admin)
    listed = json.loads(c.coder("users", "list", "-o", "json", client=admin).stdout)
    assert sorted(u["username"] for u in listed) == ["admin", "bob"]
    bob = c.login("bob@example.com")
    refused(c, "show", "admin/dev", says="not found", client=bob)
    assert c.coder("list", client=bob).stdout == ""


def when_a_workspace_starts_and_stops_by_itself(c, admin):
    shown = lambda *args: c.coder("schedule", *args, client=admin).stdout
    assert re.search(r"^  admin/dev +9:30AM Mon-Fri \(Europe/Dublin\) +20\d\d-", shown("start", "dev", "9:30AM", "Mon-Fri",
                                                                                   "Europe/Dublin"), re.M)
    [ws] = json.loads(c.coder("list", "-o", "json", client=admin).stdout)
    assert ws["autostart_schedule"] == "CRON_TZ=Europe/Dublin 30 9 * * Mon-Fri"
    assert " 2h30m " in shown("stop", "dev", "150")
    [row] = json.loads(shown("show", "dev", "-o", "json"))
    assert set(row) == {"workspace", "starts_at", "starts_next", "stops_after", "stops_next"}, row
    assert (row["workspace"], row["starts_at"], row["stops_after"]) == ("admin/dev", "9:30AM Mon-Fri (Europe/Dublin)", "2h30m"), row
    assert "9:30AM Mon-Fri (Europe/Dublin)" in shown("show", "dev")
    shown("start", "dev", "manual")
    shown("stop", "dev", "manual")
    [ws] = json.loads(shown("show", "dev", "-o", "json"))
    assert not ws.get("autostart_schedule") and not ws.get("ttl_ms"), ws
    refused(c, "schedule", "start", "dev", "25:00", says="use a form such as 15:04", client=admin)
    refused(c, "schedule", "start", "dev", "9:00", "Nowhere/City", says="Nowhere/City", client=admin)
    refused(c, "schedule", "stop", "dev", "soon", says="use a form such as 90m", client=admin)
    assert shown("show", "nosuch") == ""


def small_things_about_a_workspace(c, admin):
    get = lambda: json.loads(c.coder("list", "-o", "json", client=admin).stdout)[0]
    c.coder("fav", "dev", client=admin)
    assert get()["favorite"] and "\u2605 admin/dev" in c.coder("list", client=admin).stdout
    c.coder("unfavorite", "dev", client=admin)
    assert not get()["favorite"]
    c.coder("autoupdate", "dev", "always", "-y", client=admin)
    assert get()["automatic_updates"] == "always"
    c.coder("autoupdate", "dev", "never", client=admin)
    refused(c, "autoupdate", "dev", "sometimes", says='either "always" or "never"', client=admin)
    refused(c, "rename", "dev", "other", says="-y confirms", client=admin)
    uri = c.coder("open", "vscode", "dev", "/srv", client=admin).stdout.strip()
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query)
    assert uri.startswith("vscode://coder.coder-remote/open?") and query == {
        "agent": ["main"], "folder": ["/srv"], "owner": ["admin"], "url": [c.url], "workspace": ["dev"]}, uri
    refused(c, "open", "app", "dev", "nosuch", says='app "nosuch" not found', client=admin)


def keys_roles_and_provisioners(c, admin):
    key = c.coder("publickey", client=admin).stdout
    assert re.fullmatch(r"ssh-ed25519 \S+\n", key), key
    assert c.coder("publickey", "--reset", "-y", client=admin).stdout != key
    c.coder("tokens", "create", "-n", "seen", client=admin)
    [token] = json.loads(c.coder("tokens", "view", "seen", "-o", "json", client=admin).stdout)
    assert token["token_name"] == "seen"
    c.coder("tokens", "remove", "seen", "--delete", client=admin)
    c.coder("users", "create", "--username", "eve", "--email", "eve@example.com", "--password", PASSWORD, client=admin)
    text = c.coder("users", "show", "eve", client=admin).stdout
    assert re.search(r"^Username: +eve +$", text, re.M) and re.search(r"^Organizations: +coder +$", text, re.M), text
    roles = lambda: [r["name"] for r in json.loads(c.coder("users", "show", "eve", "-o", "json", client=admin).stdout)["roles"]]
    c.coder("users", "edit-roles", "eve", "--roles", "template-admin,user-admin", client=admin)
    assert sorted(roles()) == ["template-admin", "user-admin"]
    refused(c, "users", "edit-roles", "eve", "--roles", "nosuch", says='no role "nosuch"', client=admin)
    c.coder("users", "delete", "eve", client=admin)
    refused(c, "users", "show", "eve", says="coder users list", client=admin)
    [org] = json.loads(c.coder("organizations", "list", "-o", "json", client=admin).stdout)
    assert c.coder("org", "show", "--only-id", client=admin).stdout.strip() == org["id"]
    [daemon] = json.loads(c.coder("provisioner", "list", "-o", "json", client=admin).stdout)
    assert daemon["organization_name"] == org["display_name"] and daemon["status"] in ("idle", "busy")
    jobs = json.loads(c.coder("provisioner", "jobs", "list", "-l", "2", "-o", "json", client=admin).stdout)
    assert len(jobs) == 2 and jobs[0]["created_at"] >= jobs[1]["created_at"]
    refused(c, "provisioner", "jobs", "cancel", org["id"], says="jobs list", client=admin)
    assert len(c.coder("provisioner", "keys", "create", "one", "-t", "a=b", client=admin).stdout.strip()) == 43
    assert re.search(r"^\S+ +one +a=b ", c.coder("provisioner", "keys", "list", client=admin).stdout, re.M)
    c.coder("provisioner", "keys", "delete", "one", "-y", client=admin)
    refused(c, "provisioner", "keys", "delete", "one", "-y", says="keys list", client=admin)


def templates_create_of_older_scripts(c, admin):
    c.coder("templates", "create", "older", "-d", "local", "-y", client=admin)
    refused(c, "templates", "create", "older", "-d", "local", "-y", says="templates push older", client=admin)
    c.coder("templates", "delete", "older", "-y", client=admin)


SEVERAL = """
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
resource "coder_agent" "b" {
  os   = "linux"
  arch = "arm64"
}
resource "coder_agent" "a" {
  os   = "linux"
  arch = "amd64"
}
resource "terraform_data" "machine" {
  input = [coder_agent.a.id, coder_agent.b.id]
}
resource "terraform_data" "disk" {
}
"""
TREE = """\
┌────────────────────────┐
│ Template Preview       │
├────────────────────────┤
│ RESOURCE               │
├────────────────────────┤
│ terraform_data.disk    │
├────────────────────────┤
│ terraform_data.machine │
│ ├─ a (linux, amd64)    │
│ └─ b (linux, arm64)    │
└────────────────────────┘
"""


def resources_are_shown_as_a_tree(c, admin):
    os.makedirs(os.path.join(c.dir, "several"))
    with open(os.path.join(c.dir, "several/main.tf"), "w", encoding="utf-8") as f:
        f.write(SEVERAL)
    assert TREE in c.coder("templates", "push", "several", "-d", "several", "-y", client=admin).stdout
    assert "coder ssh more.a" in c.coder("create", "more", "--template", "several", "-y", client=admin).stdout
    lines = c.coder("show", "more", client=admin).stdout.splitlines()
    assert re.search("^\u2502 admin/more \\(running since \\d+s\\) several:[a-z]+_[a-z]+[0-9]+ +\u2502$", lines[1]), lines
    assert len({len(line) for line in lines}) == 1, lines
    assert re.search("^\u2502 \u2514\u2500 b \\(linux, arm64\\) +\u29be connecting \\[\\d+s\\]  "
                     "\u2718 agent has not yet connected +\\(unknown\\)  coder ssh more.b \u2502$", lines[-2]), lines
    c.coder("delete", "more", "-y", client=admin)
    c.coder("templates", "delete", "several", "-y", client=admin)


def a_template_comes_from_standard_input(c, admin):
    push = lambda *args, **kwargs: c.coder("templates", "push", *args, "-y", client=admin, check=False, **kwargs)
    tar = subprocess.run(["tar", "-c", "-C", os.path.join(c.dir, "local"), "."], capture_output=True, check=True,
                         text=True).stdout
    for name, args in (("dash", ["-d", "-"]), ("piped", [])):
        done = push(name, *args, input=tar)
        assert done.returncode == 0 and f"The {name} template has been created" in done.stdout, done
        c.coder("templates", "delete", name, "-y", client=admin)
    done = push(input=tar)
    assert done.returncode == 1 and "template name argument must be provided" in done.stderr, done
    done = push("none")
    assert done.returncode == 1 and "there is no template here" in done.stderr, done
    # A job's stdin is no terminal, and nothing comes out of it: the folder is meant.
    done = subprocess.run([c.path("coder"), "templates", "push", "job", "-y"], env={**c.env, **c.coder_env(admin)},
                          cwd=os.path.join(c.dir, "local"), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60 * STRETCH, check=False)
    assert done.returncode == 0, done
    c.coder("templates", "delete", "job", "-y", client=admin)


def versions_of_a_template(c, admin):
    assert re.search(r"^\S+ +20\d\d-\S+ +admin +Succeeded +Active", c.coder("templates", "versions", "list", "local",
                                                                            client=admin).stdout, re.M)
    rows = lambda *args: json.loads(c.coder("templates", "versions", "list", "local", "-o", "json", *args, client=admin).stdout)
    [first] = [r for r in rows() if r["active"]]
    c.coder("templates", "push", "local", "-d", "local", "--name", "second", "--activate=false", "-y", client=admin)
    c.coder("templates", "versions", "promote", "-t", "local", "--template-version", "second", client=admin)
    assert [r["TemplateVersion"]["name"] for r in rows() if r["active"]] == ["second"]
    name = first["TemplateVersion"]["name"]
    c.coder("templates", "versions", "promote", "-t", "local", "--template-version", name, client=admin)
    c.coder("templates", "versions", "archive", "local", "second", "-y", client=admin)
    assert [r["TemplateVersion"]["name"] for r in rows()] == [name]
    c.coder("templates", "versions", "unarchive", "local", "second", "-y", client=admin)
    assert len(rows()) == 2
    assert "Archived 1 versions" in c.coder("templates", "archive", "local", "--all", "-y", client=admin).stdout
    refused(c, "templates", "versions", "promote", "-t", "local", "--template-version", "nosuch",
            says="versions list local", client=admin)
    assert "No presets found" in c.coder("templates", "presets", "list", "local", client=admin).stdout


def the_settings_of_a_template(c, admin):
    def edit(*args):
        c.coder("templates", "edit", "local", *args, "-y", client=admin)
        return admin.get("/api/v2/organizations/default/templates/local")
    before = admin.get("/api/v2/organizations/default/templates/local")
    after = edit("--description", "a text", "--default-ttl", "3h", "--autostart-requirement-weekdays", "monday,friday")
    assert (after["description"], after["default_ttl_ms"]) == ("a text", 3 * 3600 * 1000), after
    assert after["autostart_requirement"]["days_of_week"] == ["monday", "friday"], after
    after = edit("--autostart-requirement-weekdays", "all", "--default-ttl", "0")
    assert {**after, "description": before["description"], "updated_at": 0} == {**before, "updated_at": 0}, after
    refused(c, "templates", "edit", "local", "--autostart-requirement-weekdays", "someday", "-y", says="someday", client=admin)


def organizations_their_members_and_groups(c, admin):
    """Without a word about the organization where there is only one."""
    for name in ("ida", "jim"):
        c.coder("users", "create", "--username", name, "--email", f"{name}@example.com", "--password", PASSWORD, client=admin)
    members = lambda *args: {m["username"]: [r["name"] for r in m["roles"]] for m in json.loads(
        c.coder("organizations", "members", "list", "-o", "json", *args, client=admin).stdout)}
    c.coder("org", "members", "edit-roles", "ida", "organization-auditor", client=admin)
    assert members()["ida"] == ["organization-auditor"] and members()["jim"] == []
    assert re.search(r"^ida +organization-auditor", c.coder("org", "members", "list", client=admin).stdout, re.M)
    c.coder("org", "members", "remove", "jim", client=admin)
    assert "jim" not in members()
    c.coder("org", "members", "add", "jim", client=admin)
    refused(c, "org", "members", "add", "jim", says="already", client=admin)
    groups = lambda: {g["Group"]["name"]: [m["username"] for m in g["Group"]["members"] or []] for g in json.loads(
        c.coder("groups", "list", "-o", "json", client=admin).stdout)}
    c.coder("groups", "create", "makers", "--display-name", "Makers", client=admin)
    c.coder("groups", "edit", "makers", "-a", "ida,jim@example.com", client=admin)
    assert sorted(groups()["makers"]) == ["ida", "jim"]
    c.coder("groups", "edit", "makers", "-r", "ida", "-n", "builders", client=admin)
    assert groups()["builders"] == ["jim"]
    refused(c, "groups", "edit", "builders", "-a", "nobody", says="members list", client=admin)
    c.coder("groups", "delete", "builders", client=admin)
    refused(c, "groups", "delete", "builders", says="groups list", client=admin)
    assert "second" in c.coder("organizations", "create", "second", "-y", client=admin).stdout
    assert list(members("-O", "second")) == ["admin"]
    c.coder("organizations", "delete", "second", "-y", client=admin)
    refused(c, "organizations", "delete", "second", "-y", says="second", client=admin)
    for name in ("ida", "jim"):
        c.coder("users", "delete", name, client=admin)
    assert re.search(r"^template_rbac +entitled +true", c.coder("features", "list", client=admin).stdout, re.M)


def careless_mistakes_get_an_answer(c, admin):
    os.makedirs(os.path.join(c.dir, "empty"), exist_ok=True)
    for args, says in (
            (["nosuch"], 'unrecognized subcommand "nosuch"'),
            (["templates", "psh"], 'Did you mean "push"?'),
            (["list", "--nosuch"], "unknown flag: --nosuch"),
            (["list", "--serch", "x"], "Did you mean --search?"),
            (["stop", "dve", "-y"], 'Did you mean "dev"?'),
            (["create", "x", "-t", "locl", "-y"], 'did you mean "local"?'),
            (["templates", "edit", "locl", "-y"], 'Did you mean "local"?'),
            (["stop", "dev"], "-y confirms"),
            (["whoami", "-o", "yaml"], "should be one of [text|json|table]"),
            (["list", "--search", "nosuch:x"], "not a search key"),
            (["create", "dev", "-t", "local", "-y"], "already exists named \"dev\": choose another name"),
            (["create", "two words", "-t", "local", "-y"], "invalid workspace name: \"two words\": use"),
            (["create", "x", "-t", "nosuch", "-y"], "template not found: \"nosuch\"; 'coder templates list'"),
            (["create", "x", "-t", "local", "--parameter", "greetin=x", "-y"], "Did you mean: greeting"),
            (["create", "x", "-t", "local", "--parameter", "greeting", "-y"], "name=value"),
            (["create", "x", "-t", "local"], ["needs an answer", "--parameter greeting=<value>"]),
            (["ssh"], "wanted at least 1 args"),
            (["ssh", "nosuch"], ["\"me/nosuch\"", "coder list"]),
            (["ssh", "dev.nosuch"], "available agents:\n  coder ssh main.dev.admin"),
            (["stop", "nosuch", "-y"], "coder list"),
            (["logs", "nosuch"], "coder list"),
            (["state", "pull", "nosuch"], "coder list"),
            (["port-forward", "dev"], "no port-forwards requested"),
            (["port-forward", "dev", "--tcp", "80,"], "with ports from 1 to 65535"),
            (["templates", "init", "--id", "nosuch"], "The starters are: local"),
            (["templates", "init", "--id", "local"], "exists already: choose another folder"),
            (["templates", "push", "x", "-d", "nosuch", "-y"], "nosuch: No such file or directory"),
            (["templates", "push", "x", "-d", "empty", "-y"], "it has no .tf file"),
            (["templates", "push", "my_template", "-d", "local", "-y"], "letters and digits, with single hyphens"),
            (["templates", "delete", "nosuch", "-y"], "coder templates list"),
            (["templates", "delete", "local", "-y"], "All workspaces must be deleted"),
            (["login"], None)):
        if says:
            refused(c, *args, says=says, client=admin)
    refused(c, "login", says="coder login <url>", client=None,
            env={"CODER_URL": "", "CODER_SESSION_TOKEN": "", "CODER_CONFIG_DIR": c.sub("config-none")})
    down = refused(c, "list", says=["Connection refused", "Check that http://127.0.0.1:1 is the address"], client=admin,
                   env={"CODER_URL": "http://127.0.0.1:1"})
    assert admin.token not in down


def _templates_end_when_nothing_uses_them(c, admin):
    refused(c, "templates", "delete", "local", "-y", says="All workspaces must be deleted", client=admin)
    c.coder("delete", "dev", "-y", client=admin)
    assert "Deleted template" in c.coder("templates", "delete", "local", "-y", client=admin).stdout
    assert "local" not in c.coder("templates", "list", client=admin).stdout


run(_a_template_and_a_workspace, signing_in_at_a_terminal, signing_in_with_mail_and_password,
    the_first_user_is_asked_again_for_what_will_not_do, giving_up_at_a_question_leaves_the_terminal_as_it_was,
    signing_in_with_a_token, who_am_i, versions, templates_and_workspaces_in_lists, the_parameter_reaches_the_workspace,
    answering_questions_makes_a_workspace, logs_of_a_build_and_its_scripts, the_state_of_a_workspace, pinging, tokens,
    users, when_a_workspace_starts_and_stops_by_itself, small_things_about_a_workspace, keys_roles_and_provisioners,
    templates_create_of_older_scripts, resources_are_shown_as_a_tree, a_template_comes_from_standard_input,
    versions_of_a_template, the_settings_of_a_template, organizations_their_members_and_groups, careless_mistakes_get_an_answer,
    stopping_starting_and_deleting, _templates_end_when_nothing_uses_them)
