"""What `coder create` and its relatives ask at a terminal: templates, presets, and parameters in the way of their type."""
import json

from people import refused, run, terminal

ASKING = """
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
data "coder_parameter" "cpus" {
  name    = "cpus"
  type    = "number"
  order   = 1
  default = 2
  mutable = true
  validation {
    min = 1
    max = 8
  }
}
data "coder_parameter" "gpu" {
  name    = "gpu"
  type    = "bool"
  order   = 2
  default = true
  mutable = true
}
data "coder_parameter" "zone" {
  name    = "zone"
  order   = 3
  default = "b"
  option {
    name  = "Alps"
    value = "a"
  }
  option {
    name  = "Bay"
    value = "b"
  }
  option {
    name  = "Cape"
    value = "c"
  }
}
data "coder_parameter" "tools" {
  name      = "tools"
  type      = "list(string)"
  form_type = "multi-select"
  order     = 4
  default   = jsonencode(["git"])
  option {
    name  = "Git"
    value = "git"
  }
  option {
    name  = "Make"
    value = "make"
  }
  option {
    name  = "Vim"
    value = "vim"
  }
}
data "coder_parameter" "hosts" {
  name    = "hosts"
  type    = "list(string)"
  order   = 5
  default = jsonencode([])
}
data "coder_parameter" "tag" {
  name    = "tag"
  order   = 6
  default = "none"
  validation {
    regex = "^[a-z]+$"
    error = "Only small letters."
  }
}
data "coder_parameter" "once" {
  name      = "once"
  order     = 7
  default   = "no"
  mutable   = true
  ephemeral = true
}
data "coder_workspace_preset" "big" {
  name = "Big"
  parameters = { cpus = "8", zone = "c" }
}
resource "terraform_data" "x" {
  input = data.coder_parameter.once.value
}
"""
PLAIN = 'resource "terraform_data" "x" {}\n'
UP, DOWN, CTRL_C = "\x1b[A", "\x1b[B", "\x03"


def values(c, admin, name):
    build = admin.get(f"/api/v2/users/me/workspace/{name}")["latest_build"]["id"]
    return {p["name"]: p["value"] for p in admin.get(f"/api/v2/workspacebuilds/{build}/parameters")}


def answer(t, question, text, *more):
    t.expect(question)
    t.type(text)
    for says, again in zip(more[::2], more[1::2]):
        t.expect(says)
        t.type(again)


def _templates(c, admin):
    c.push_template(admin, "plain", {"main.tf": PLAIN})
    c.push_template(admin, "asking", {"main.tf": ASKING})


def everything_is_asked_in_its_own_way(c, admin):
    t = terminal(c, "create", client=admin)
    answer(t, "name for your workspace:", "one\r")
    answer(t, "Select a template", DOWN + UP + "as\r")
    answer(t, "Select a preset", "None\r")
    answer(t, r"cpus\r\n> Enter a value: \(2\)", "many\r", "not a number", "9\r", "more than the maximum 8", "4\r")
    answer(t, r"gpu\r\n> Select a value:", DOWN + "\r")
    answer(t, r"zone\r\n> Select a value:", UP + UP + "\r")  # round the end, from the default
    answer(t, r"tools\r\n> Select values", " " + DOWN + " " + DOWN + " \r")
    answer(t, r"hosts\r\n> Enter values", "h1, h2\r")
    answer(t, r"tag\r\n> Enter a value:", "BIG\r", "Only small letters", "small\r")
    answer(t, r"Confirm create\?", "yes\r")
    assert t.wait(60) == 0, t.seen
    assert values(c, admin, "one") == {"cpus": "4", "gpu": "false", "zone": "c", "tools": '["make","vim"]',
                                       "hosts": '["h1","h2"]', "tag": "small", "once": "no"}
    assert admin.get("/api/v2/users/me/workspace/one")["template_name"] == "asking"


def a_preset_answers_for_its_parameters(c, admin):
    t = terminal(c, "create", "two", "-t", "asking", "--parameter", "tag=two", "--use-parameter-defaults",
                 "--preset", "Big", "-y", "--stop-after", "2h", "--start-at", "9:30AM Mon-Fri Europe/Dublin",
                 "--automatic-updates", "always", client=admin)
    t.expect("Preset 'Big' applied")
    assert t.wait(60) == 0, t.seen
    got = values(c, admin, "two")
    assert (got["cpus"], got["zone"], got["tag"]) == ("8", "c", "two")
    ws = admin.get("/api/v2/users/me/workspace/two")
    assert ws["ttl_ms"] == 7200000 and ws["automatic_updates"] == "always"
    assert ws["autostart_schedule"] == "CRON_TZ=Europe/Dublin 30 9 * * Mon-Fri"
    refused(c, "create", "no", "-t", "asking", "--preset", "Bog", "-y", says='preset "Bog" not found', client=admin)


def values_come_from_files_copies_and_defaults(c, admin):
    with open(f"{c.dir}/values.yaml", "w", encoding="ascii") as f:
        f.write("cpus: 3\ngpu: false\ntools: [vim]\ntag: file\n")
    c.coder("create", "three", "-t", "asking", "--rich-parameter-file", f"{c.dir}/values.yaml", "--parameter-default",
            "zone=a", "--use-parameter-defaults", "-y", client=admin)
    assert values(c, admin, "three") == {"cpus": "3", "gpu": "false", "zone": "a", "tools": '["vim"]', "hosts": "[]",
                                         "tag": "file", "once": "no"}
    c.coder("create", "four", "--copy-parameters-from", "three", "-y", "--no-wait", client=admin)
    c.wait_build(admin, admin.get("/api/v2/users/me/workspace/four")["latest_build"]["id"])
    assert values(c, admin, "four") == values(c, admin, "three")


def updates_ask_again_and_ephemeral_ones_last_one_build(c, admin):
    t = terminal(c, "update", "three", "--always-prompt", client=admin)
    answer(t, r"cpus\r\n> Enter a value: \(3\)", "5\r")
    answer(t, r"gpu\r\n> Select a value:", "\r")
    assert t.wait(90) == 0, t.seen
    got = values(c, admin, "three")
    assert (got["cpus"], got["gpu"], got["once"]) == ("5", "false", "no"), got
    c.coder("stop", "three", "-y", client=admin)
    c.coder("start", "three", "--ephemeral-parameter", "once=yes", "-y", client=admin)
    assert values(c, admin, "three")["once"] == "yes"
    c.coder("restart", "three", "--build-option", "once=maybe", "-y", client=admin)
    assert values(c, admin, "three")["once"] == "maybe"
    c.coder("restart", "three", "-y", client=admin)
    assert values(c, admin, "three")["once"] == "no"


def giving_up_leaves_the_terminal_as_it_was(c, admin):
    t = terminal(c, "create", "never", client=admin)
    t.expect("Select a template")
    t.type(CTRL_C)
    assert t.wait() == 1
    assert t.echoes()
    assert b"\x1b[?25h" in t.seen, "the cursor is back"


def without_a_terminal_lines_answer(c, admin):
    lines = "plain\n"
    done = c.coder("create", "five", "-y", client=admin, input=lines)
    assert "1. " in done.stderr and "has been created" in done.stdout, done
    refused(c, "create", "six", "-t", "asking", says=["needs an answer", "--parameter cpus="], client=admin, input="")
    refused(c, "create", "six", "-t", "asking", "--parameter", "tog=x", "-y", says="Did you mean: tag", client=admin)
    assert [w["name"] for w in json.loads(c.coder("list", "-o", "json", client=admin).stdout)].count("six") == 0


run(_templates, everything_is_asked_in_its_own_way, a_preset_answers_for_its_parameters,
    values_come_from_files_copies_and_defaults, updates_ask_again_and_ephemeral_ones_last_one_build,
    giving_up_leaves_the_terminal_as_it_was, without_a_terminal_lines_answer)
