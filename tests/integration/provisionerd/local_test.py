"""Jobs from files: `provisionerd run-local` with the real terraform and provider."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

PROVISIONERD = os.environ["PROVISIONERD_BIN"]
PROVIDER = os.environ["PROVIDER_BIN"]
PATIENCE = 60  # seconds until a condition must hold

HEAD = """
terraform {
  required_providers {
    coder = {
      source  = "coder/coder"
      version = "~> 2.0"
    }
  }
}
data "coder_workspace" "me" {}
"""


def parse(text):
    """The text form of a message: a list of (name, value), where value is a str or such a list."""
    stack = [[]]
    for line in text.splitlines():
        line = line.strip()
        if line == "}":
            stack.pop()
        elif line.endswith(" {"):
            inner = []
            stack[-1].append((line[:-2], inner))
            stack.append(inner)
        else:
            name, _, value = line.partition(": ")
            if value.startswith('"'):
                value = value[1:-1].replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
            stack[-1].append((name, value))
    return stack[0]


def all_of(message, name):
    return [v for k, v in message if k == name]


def one(message, name):
    values = all_of(message, name)
    return values[0] if values else None


def inside(folder):
    """Processes whose working folder is inside folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(folder + "/"):
                found.append(int(pid))
        except OSError:
            pass
    return found


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = os.path.realpath(tempfile.mkdtemp(prefix="local-test-"))
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.cache = self.dir + "/cache"
        self.state = self.dir + "/state"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "CODER_"))}

    def template(self, files, name="template"):
        root = f"{self.dir}/{name}"
        for path, text in ({"main.tf": files} if isinstance(files, str) else files).items():
            os.makedirs(os.path.dirname(f"{root}/{path}"), exist_ok=True)
            with open(f"{root}/{path}", "w", encoding="utf-8") as f:
                f.write(text)
        return root

    def command(self, source, *args):
        return [PROVISIONERD, "run-local", "--source", source, "--cache-dir", self.cache, "--provider", PROVIDER,
                "--state", self.state, *args]

    def run_job(self, source, *args, ok=True):
        r = subprocess.run(self.command(source, *args), env=self.env, capture_output=True, text=True, timeout=300,
                           check=False)
        self.log = r.stderr
        message = parse(r.stdout)
        self.assertEqual(one(message, "outcome") == "SUCCEEDED", ok, r.stderr)
        self.assertEqual(r.returncode == 0, ok)
        return message

    def objects(self):
        with open(self.state, encoding="utf-8") as f:
            return {f"{r['type']}.{r['name']}": r["instances"] for r in json.load(f)["resources"]
                    if r["mode"] == "managed"}

    def wait_for(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, "condition not met in time")
            time.sleep(0.02)


WORKSPACE = HEAD + """
data "coder_parameter" "color" {
  name    = "color"
  default = "red"
  mutable = true
}
resource "coder_agent" "dev" {
  os   = "linux"
  arch = "amd64"
}
resource "coder_app" "code" {
  agent_id = coder_agent.dev.id
  slug     = "code"
  url      = "http://localhost:1"
}
resource "terraform_data" "home" {
  input = "home"
}
resource "terraform_data" "container" {
  count = data.coder_workspace.me.start_count
  input = "${coder_agent.dev.token} ${data.coder_parameter.color.value}"
}
resource "coder_metadata" "cost" {
  count       = data.coder_workspace.me.start_count
  resource_id = terraform_data.container[0].id
  daily_cost  = 7
}
"""


class LifeCycle(Case):
    def test_import_start_stop_delete(self):
        root = self.template({"main.tf": WORKSPACE, "README.md": "hello\n"})
        m = self.run_job(root, "--kind", "import")
        self.assertEqual([one(r, "name") for r in all_of(m, "resources")], ["container", "home"])
        self.assertEqual([one(r, "name") for r in all_of(m, "stop_resources")], ["home"])
        agent = one(all_of(m, "resources")[0], "agents")
        self.assertEqual((one(agent, "name"), one(agent, "token")), ("dev", None))
        self.assertEqual(one(one(agent, "apps"), "slug"), "code")
        self.assertEqual(one(one(m, "parameters"), "default_value"), "red")
        self.assertEqual(one(m, "readme_bytes"), "6")
        self.assertEqual({one(t, "stage") for t in all_of(m, "timings")}, {"init", "plan", "graph"})
        self.assertFalse(os.path.exists(self.state))

        m = self.run_job(root, "--parameter", "color=blue")
        self.assertIn("already here", self.log)
        self.assertIn("[Starting workspace]", self.log)
        container = all_of(m, "resources")[0]
        agent = one(container, "agents")
        recorded = self.objects()["coder_agent.dev"][0]["attributes"]
        self.assertEqual(one(agent, "token"), recorded["token"])
        self.assertEqual(one(agent, "id"), recorded["id"].replace("-", ""))
        self.assertEqual(one(container, "daily_cost"), "7")
        self.assertEqual(one(m, "daily_cost"), "7")
        made = self.objects()["terraform_data.container"][0]["attributes"]["input"]["value"]
        self.assertEqual(made, recorded["token"] + " blue")

        m = self.run_job(root, "--transition", "stop")
        self.assertIn("[Stopping workspace]", self.log)
        self.assertEqual([one(r, "name") for r in all_of(m, "resources")], ["home"])
        self.assertNotIn("terraform_data.container", self.objects())

        m = self.run_job(root, "--transition", "delete")
        self.assertIn("[Destroying workspace]", self.log)
        self.assertEqual(all_of(m, "resources"), [])
        self.assertEqual(self.objects(), {})
        self.run_job(root, "--transition", "delete")
        self.assertIn("nothing to destroy", self.log)

    def test_dry_run_makes_nothing(self):
        m = self.run_job(self.template(WORKSPACE), "--kind", "dry-run", "--parameter", "color=blue")
        self.assertEqual([one(r, "name") for r in all_of(m, "resources")], ["container", "home"])
        self.assertFalse(os.path.exists(self.state))

    def test_nothing_is_left_in_the_work_folder(self):
        self.run_job(self.template(WORKSPACE))
        self.assertEqual(os.listdir(self.cache + "/work"), [])


HALFWAY = HEAD + """
resource "terraform_data" "first" {}
resource "terraform_data" "second" {
  input = terraform_data.first.id
  provisioner "local-exec" {
    command = "%s"
  }
}
"""


class Trouble(Case):
    def test_apply_that_fails_halfway_keeps_what_was_made(self):
        m = self.run_job(self.template(HALFWAY % "exit 7"), ok=False)
        self.assertEqual(one(m, "outcome"), "FAILED")
        self.assertIn("terraform apply: local-exec provisioner error", one(m, "error"))
        objects = self.objects()
        self.assertEqual(len(objects["terraform_data.first"]), 1)
        self.assertEqual(objects["terraform_data.second"][0]["status"], "tainted")
        self.assertRegex(self.log, r"error \[Starting workspace\]   on main.tf line \d+, in resource")

    def test_plan_that_fails_leaves_the_state_alone(self):
        root = self.template(WORKSPACE)
        self.run_job(root)
        with open(self.state, "rb") as f:
            before = f.read()
        broken = self.template(WORKSPACE + 'resource "terraform_data" "x" { input = nope.x }', "broken")
        self.assertEqual(one(self.run_job(broken, ok=False), "outcome"), "FAILED")
        with open(self.state, "rb") as f:
            self.assertEqual(f.read(), before)

    def start_slow(self, script, *args):
        p = subprocess.Popen(self.command(self.template(HALFWAY % script), *args), env=self.env, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(p.kill)
        self.wait_for(lambda: os.path.exists(self.dir + "/up"))
        return p

    def test_partial_state_is_handed_over_while_the_apply_goes_on(self):
        p = self.start_slow(f"touch {self.dir}/up; exec sleep 1000")
        self.wait_for(lambda: os.path.exists(self.state) and "terraform_data.first" in self.objects())
        self.assertIsNone(p.poll())
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=PATIENCE)

    def test_cancel_in_the_middle_of_an_apply(self):
        p = self.start_slow(f"touch {self.dir}/up; exec sleep 1000")
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(timeout=PATIENCE)
        self.assertEqual(one(parse(out), "outcome"), "CANCELED")
        self.assertIn("terraform_data.first", self.objects())
        self.assertEqual(inside(self.dir), [])

    def test_what_does_not_stop_gently_is_killed(self):
        p = self.start_slow(f"trap '' INT TERM; touch {self.dir}/up; while :; do sleep 0.1; done", "--grace", "500ms")
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(timeout=PATIENCE)
        self.assertEqual(one(parse(out), "outcome"), "CANCELED")
        self.assertIn("terraform_data.first", self.objects())
        self.wait_for(lambda: inside(self.dir) == [])

    def test_kill_of_the_provisioner_leaves_no_terraform(self):
        p = self.start_slow(f"touch {self.dir}/up; exec sleep 1000")
        work = self.cache + "/work"
        self.assertNotEqual(inside(work), [])
        p.kill()
        p.communicate()
        self.wait_for(lambda: inside(work) == [])
        # Stopped gently: what it was making is recorded.
        left = os.listdir(work)
        self.assertEqual(len(left), 1)
        with open(f"{work}/{left[0]}/src/terraform.tfstate", encoding="utf-8") as f:
            names = [r["name"] for r in json.load(f)["resources"] if r["mode"] == "managed"]
        self.assertEqual(names, ["first", "second"])


class Sources(Case):
    def test_required_variable_without_value(self):
        root = self.template(HEAD + 'variable "key" {\n  type = string\n  description = "a key"\n  sensitive = true\n}\n')
        m = self.run_job(root, "--kind", "import", ok=False)
        self.assertEqual(one(m, "error_code"), "REQUIRED_TEMPLATE_VARIABLES")
        self.assertIn("key", one(m, "error"))
        v = one(m, "template_variables")
        self.assertEqual([one(v, k) for k in ("name", "description", "type", "required", "sensitive")],
                         ["key", "a key", "string", "true", "true"])
        self.run_job(root, "--kind", "import", "--var", "key=value")
        self.run_job(root, "--var", "key=value")

    def test_variables_reach_terraform_with_their_types_and_not_its_arguments(self):
        text = HEAD + """
variable "s" { type = string }
variable "n" { type = number }
variable "l" { type = list(string) }
variable "o" {
  type    = object({ a = number })
  default = { a = 1 }
}
resource "terraform_data" "x" {
  input = jsonencode([var.s, var.n, var.l, var.o])
  provisioner "local-exec" {
    command = "tr '\\\\0' ' ' < /proc/$PPID/cmdline > %s/argv"
  }
}
""" % self.dir
        root = self.template({"main.tf": text, "terraform.tfvars": 's = "from the template"\n',
                              "z.auto.tfvars": "n = 99\n"})
        secret = 'se"cr\\et ${x} %{y}\nline'
        self.run_job(root, "--var", "s=" + secret, "--var", "n=5", "--var", 'l=["a",\n"b"]', "--var", "unknown=1")
        made = self.objects()["terraform_data.x"][0]["attributes"]["input"]["value"]
        self.assertEqual(json.loads(made), [secret, 5, ["a", "b"], {"a": 1}])
        with open(self.dir + "/argv", encoding="utf-8") as f:
            argv = f.read()
        self.assertIn("-var-file=", argv)
        self.assertNotIn('se"cr', argv)
        self.assertIn("1 template variables have values but are not declared", self.log)

    def test_lock_file_made_with_another_build_of_the_provider(self):
        lock = ('provider "registry.terraform.io/coder/coder" {\n  version     = "2.1.3"\n'
                '  constraints = "~> 2.0"\n  hashes = [\n    "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",\n  ]\n}\n')
        self.run_job(self.template({"main.tf": WORKSPACE, ".terraform.lock.hcl": lock}))

    def test_state_that_would_go_elsewhere_is_refused(self):
        backend = 'terraform {\n  backend "local" {%s}\n}\n'
        elsewhere = self.template(backend % ' path = "elsewhere.tfstate" ' + WORKSPACE, "elsewhere")
        for kind in ("import", "build"):
            m = self.run_job(elsewhere, "--kind", kind, ok=False)
            self.assertEqual(one(m, "outcome"), "FAILED")
            self.assertIn("keeps Terraform's state by itself", one(m, "error"))
        self.run_job(self.template(backend % "" + WORKSPACE, "usual"))
        self.assertTrue(self.objects())

    def test_version_pins_resolve(self):
        for pin in (">= 0.12.4", "= 2.4.2", "~> 0.12.0", ">= 2.13"):
            text = HEAD.replace("~> 2.0", pin).replace('data "coder_workspace" "me" {}', "")
            with self.subTest(pin):
                self.run_job(self.template(text, "pin" + re.sub(r"\W", "", pin)), "--kind", "import")

    def test_module_from_git_is_stored_and_used_without_it(self):
        repo = self.template({"main.tf": 'output "o" { value = "from the module" }\n'}, "repo")
        for args in (["init", "-q"], ["add", "."],
                     ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "m"]):
            subprocess.run(["git", "-C", repo, *args], check=True)
        root = self.template(HEAD + f"""
module "m" {{
  source = "git::file://{repo}"
}}
resource "terraform_data" "x" {{
  input = module.m.o
}}
""")
        modules = self.dir + "/modules.tar"
        m = self.run_job(root, "--kind", "import", "--modules", modules)
        self.assertEqual(one(one(m, "modules"), "name"), f"git::file://{repo}")
        shutil.rmtree(repo)
        shutil.rmtree(self.cache)  # as on another machine
        self.run_job(root, "--modules", modules)
        made = self.objects()["terraform_data.x"][0]["attributes"]["input"]["value"]
        self.assertEqual(made, "from the module")

    def test_other_provider_from_a_mirror(self):
        folder = f"{self.dir}/mirror/registry.terraform.io/example/other/1.2.3/linux_amd64"
        os.makedirs(folder)
        shutil.copy(PROVIDER, folder + "/terraform-provider-other")
        root = self.template("""
terraform {
  required_providers {
    coder = { source = "coder/coder" }
    other = { source = "example/other" }
  }
}
data "coder_workspace" "me" {}
data "coder_workspace" "other" {
  provider = other
}
resource "terraform_data" "x" {
  input = data.coder_workspace.other.name
}
""")
        for kind in ("import", "build", "build"):
            self.run_job(root, "--kind", kind, "--mirror", self.dir + "/mirror")
        self.assertEqual(self.objects()["terraform_data.x"][0]["attributes"]["input"]["value"], "local")

    def test_cached_version_is_used_and_a_lost_cache_is_made_again(self):
        root = self.template(WORKSPACE)
        self.run_job(root)
        self.assertNotIn("already here", self.log)
        self.run_job(root)
        self.assertIn("already here", self.log)
        shutil.rmtree(self.cache + "/versions")
        self.run_job(root)
        self.assertNotIn("already here", self.log)

    def test_host_variables_do_not_reach_terraform(self):
        self.env.update(CODER_PROVISIONER_DAEMON_PSK="do not tell", TF_CLI_ARGS_apply="-nonsense",
                        TF_DATA_DIR="/nonexistent", CODER_WORKSPACE_NAME="host")
        text = HEAD + """
resource "terraform_data" "x" {
  input = data.coder_workspace.me.name
  provisioner "local-exec" {
    command = "env > %s/env"
  }
}
""" % self.dir
        self.run_job(self.template(text))
        self.assertEqual(self.objects()["terraform_data.x"][0]["attributes"]["input"]["value"], "local")
        with open(self.dir + "/env", encoding="utf-8") as f:
            self.assertNotIn("do not tell", f.read())

    def test_missing_terraform_is_told(self):
        r = subprocess.run(self.command(self.template(WORKSPACE), "--terraform-path", "/nonexistent/terraform"),
                           env=self.env, capture_output=True, text=True, check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("/nonexistent/terraform", r.stderr)


class Options(Case):
    def refused(self, expected, *args, **env):
        r = subprocess.run([PROVISIONERD, "--cache-dir", self.cache, *args], env={**self.env, **env},
                           capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertIn(expected, r.stderr)

    def test_what_cannot_work_is_told_at_once(self):
        url = ("--url", "http://127.0.0.1:1")
        self.refused("CODER_URL")
        self.refused("CODER_PROVISIONER_DAEMON_KEY", *url)
        self.refused("22", *url, CODER_PROVISIONER_DAEMON_PSK="too short")
        self.refused("not both", *url, CODER_PROVISIONER_DAEMON_PSK="x" * 30, CODER_PROVISIONER_DAEMON_KEY="y" * 43)
        self.refused("leave --tag out", *url, "--tag", "a=b", CODER_PROVISIONER_DAEMON_KEY="y" * 43)
        self.refused("name=value", *url, "--tag", "zone", CODER_PROVISIONER_DAEMON_PSK="x" * 30)
        self.refused("terraform", *url, "--terraform-path", "/nonexistent", CODER_PROVISIONER_DAEMON_PSK="x" * 30)


if __name__ == "__main__":
    unittest.main()
