"""Create, plan again, change, destroy: every resource, and the values that data sources give."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest
import uuid

from provider_test import ProviderTest

RUNNING_TOKEN = "CODER_RUNNING_WORKSPACE_AGENT_TOKEN_" + hashlib.sha256(b"").hexdigest()
SCRIPT = "CODER_AGENT_SCRIPT_linux_amd64"

EVERYTHING = """
provider "coder" {}
data "coder_workspace" "me" {}
resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64"
  env  = { A = "1", B = null }
  metadata {
    key      = "cpu"
    script   = "top"
    interval = 5
  }
  resources_monitoring {
    memory {
      enabled   = true
      threshold = 80
    }
    volume {
      path      = "/home"
      enabled   = true
      threshold = 90
    }
    volume {
      path      = "/data"
      enabled   = false
      threshold = 50
    }
  }
}
resource "coder_agent_instance" "i" {
  agent_id    = coder_agent.main.id
  instance_id = "i-1"
}
resource "coder_app" "web" {
  agent_id = coder_agent.main.id
  slug     = "web"
  url      = "http://localhost:1"
  healthcheck {
    url       = "http://localhost:1/ok"
    interval  = 5
    threshold = 6
  }
}
resource "coder_script" "start" {
  agent_id     = coder_agent.main.id
  display_name = "Start"
  script       = "echo"
  run_on_start = true
  cron         = "0 0 22 * * *"
}
resource "coder_env" "e" {
  agent_id = coder_agent.main.id
  name     = "FOO"
  value    = ""
}
resource "coder_metadata" "m" {
  resource_id = coder_agent.main.id
  item {
    key   = "k"
    value = "v"
  }
  item {
    key = "empty"
  }
}
resource "coder_devcontainer" "d" {
  agent_id         = coder_agent.main.id
  workspace_folder = "/w"
}
resource "coder_external_agent" "x" {
  agent_id = coder_agent.main.id
}
resource "coder_ai_task" "t" {
  app_id = coder_app.web.id
}
"""


class LifecycleTest(ProviderTest):
    def test_everything_is_created_stays_and_goes(self):
        env = {SCRIPT: "get ${ACCESS_URL}bin as ${AUTH_TYPE} ${ACCESS_URL}", "CODER_AGENT_URL": "https://c.example:8443/sub"}
        self.config(EVERYTHING)
        self.apply(**env)
        state = self.state()

        agent = state["coder_agent.main"]
        uuid.UUID(agent["id"])
        uuid.UUID(agent["token"])
        self.assertEqual(agent["init_script"], "get https://c.example:8443/bin as token https://c.example:8443/")
        self.assertEqual(agent["env"], {"A": "1"})
        self.assertEqual(agent["auth"], "token")
        self.assertEqual(agent["connection_timeout"], 120)
        self.assertEqual(agent["startup_script_behavior"], "non-blocking")
        self.assertIsNone(agent["startup_script"])
        self.assertEqual(
            agent["metadata"],
            [{"key": "cpu", "script": "top", "interval": 5, "display_name": "", "timeout": 0, "order": 0}],
        )
        self.assertEqual(
            agent["display_apps"],
            [
                {
                    "vscode": True,
                    "vscode_insiders": False,
                    "web_terminal": True,
                    "port_forwarding_helper": True,
                    "ssh_helper": True,
                }
            ],
        )
        self.assertEqual(
            sorted(v["path"] for v in agent["resources_monitoring"][0]["volume"]), ["/data", "/home"]
        )
        app = state["coder_app.web"]
        self.assertEqual(
            (app["share"], app["open_in"], app["external"], app["hidden"], app["subdomain"]),
            ("owner", "slim-window", False, False, None),
        )
        self.assertEqual(state["coder_env.e"]["value"], "")
        self.assertEqual(state["coder_env.e"]["merge_strategy"], "replace")
        self.assertEqual(state["coder_script.start"]["timeout"], 0)
        self.assertEqual(
            state["coder_metadata.m"]["item"],
            [
                {"key": "k", "value": "v", "sensitive": False, "is_null": False},
                {"key": "empty", "value": "", "sensitive": False, "is_null": True},
            ],
        )
        uuid.UUID(state["coder_devcontainer.d"]["subagent_id"])
        self.assertIsNone(state["coder_devcontainer.d"]["config_path"])
        task = state["coder_ai_task.t"]
        self.assertEqual((task["app_id"], task["enabled"], task["prompt"]), (app["id"], False, None))

        for address, (actions, _) in self.actions(**env).items():
            self.assertEqual(actions, ["no-op"], address)

        self.run_ok("destroy", "-no-color", "-auto-approve", **env)
        self.assertEqual(self.state(), {})

    def test_planned_values_leave_only_computed_ones_open(self):
        self.config(EVERYTHING)
        changes = {c["address"]: c["change"] for c in self.plan()["resource_changes"]}
        agent = changes["coder_agent.main"]
        self.assertEqual(
            {k for k, v in agent["after_unknown"].items() if v is True},
            {"display_apps", "id", "init_script", "token"},
        )
        self.assertEqual(agent["after"]["metadata"][0]["timeout"], None)
        self.assertEqual(
            changes["coder_metadata.m"]["after_unknown"]["item"], [{"is_null": True}, {"is_null": True}]
        )
        self.assertEqual(
            {k for k, v in changes["coder_ai_task.t"]["after_unknown"].items() if v is True},
            {"app_id", "enabled", "id", "prompt"},
        )

    def test_changes_replace_and_name_what_changed(self):
        self.config(EVERYTHING)
        self.apply()
        changed = (
            EVERYTHING.replace('threshold = 80', 'threshold = 81')
            .replace('value = "v"', 'value = "w"')
            .replace('slug     = "web"', 'slug     = "site"')
        )
        self.config(changed)
        actions = self.actions()
        self.assertEqual(actions["coder_agent.main"], (["delete", "create"], [["resources_monitoring"]]))
        self.assertEqual(actions["coder_metadata.m"][0], ["delete", "create"])
        self.assertIn(["item", 0, "value"], actions["coder_metadata.m"][1])
        self.assertIn(["slug"], actions["coder_app.web"][1])
        self.apply()
        self.assertEqual(self.state()["coder_app.web"]["slug"], "site")
        for address, (now, _) in self.actions().items():
            self.assertEqual(now, ["no-op"], address)

    def test_unset_equals_zero_and_order_of_sets_does_not_matter(self):
        self.config(EVERYTHING)
        self.apply()
        same = (
            EVERYTHING.replace("interval = 5\n  }", 'interval = 5\n    display_name = ""\n    timeout = 0\n  }')
            .replace('env  = {', 'motd_file = ""\n  order = 0\n  env  = {')
            .replace('key = "empty"', 'key = "empty"\n    value = ""')
        )
        first, second = same.index("    volume {"), same.index("    volume {", same.index("    volume {") + 1)
        end = same.index("  }\n}\nresource \"coder_agent_instance\"")
        same = same[:first] + same[second:end] + same[first:second] + same[end:]
        self.config(same)
        for address, (now, _) in self.actions().items():
            self.assertEqual(now, ["no-op"], address)

    def test_states_of_other_writers_are_taken(self):
        agent = 'provider "coder" {}\nresource "coder_agent" "main" {\n os = "linux"\n arch = "amd64"\n%s}\n'
        block = ' metadata {\n  key = "k"\n  script = "s"\n  interval = 1\n }\n'
        self.config(agent % block)
        self.apply()
        path = self.work / "terraform.tfstate"

        def edit(change):
            state = json.loads(path.read_text())
            state["serial"] += 1
            instance = state["resources"][0]["instances"][0]
            change(instance)
            path.write_text(json.dumps(state))

        def nulls(i):
            i["attributes"]["metadata"][0].update(timeout=None, display_name=None)
            i["attributes"].update(display_apps=None, resources_monitoring=None, motd_file="")

        edit(nulls)
        plan = self.plan()
        self.assertEqual(plan["resource_changes"][0]["change"]["actions"], ["no-op"])
        self.assertEqual(plan["resource_drift"][0]["address"], "coder_agent.main")

        def older(i):
            i["schema_version"] = 0
            i["attributes"]["login_before_ready"] = True
            i["attributes"]["connection_timeout"] = "120"
            del i["attributes"]["order"]

        edit(older)
        self.assertEqual(self.actions()["coder_agent.main"][0], ["no-op"])

        edit(lambda i: i["attributes"].pop("api_key_scope"))
        self.assertEqual(
            self.actions()["coder_agent.main"], (["delete", "create"], [["api_key_scope"]])
        )

    def test_a_running_agent_keeps_its_token(self):
        self.config('provider "coder" {}\nresource "coder_agent" "a" {\n os = "linux"\n arch = "arm64"\n}\n')
        self.apply(**{RUNNING_TOKEN: "keep-me"})
        self.assertEqual(self.state()["coder_agent.a"]["token"], "keep-me")
        self.assertNotIn("resource_drift", self.plan(**{RUNNING_TOKEN: "keep-me"}))
        drift = self.plan()["resource_drift"]
        self.assertEqual([d["address"] for d in drift], ["coder_agent.a"])
        self.assertNotEqual(drift[0]["change"]["after"]["token"], "keep-me")

    def test_count_follows_the_transition(self):
        self.config(
            """
            data "coder_workspace" "me" {}
            resource "coder_agent" "a" {
              count = data.coder_workspace.me.start_count
              os    = "linux"
              arch  = "amd64"
            }
            """
        )
        self.apply(CODER_WORKSPACE_TRANSITION="start")
        self.assertIn("coder_agent.a[0]", self.state())
        self.apply(CODER_WORKSPACE_TRANSITION="stop")
        self.assertNotIn("coder_agent.a[0]", self.state())

    def test_unknown_blocks_and_values_pass_a_plan(self):
        self.config(
            """
            resource "terraform_data" "later" { input = ["a", "b"] }
            resource "coder_agent" "a" {
              os   = "linux"
              arch = "amd64"
              startup_script = "x-${terraform_data.later.id}"
              dynamic "metadata" {
                for_each = terraform_data.later.output
                content {
                  key      = metadata.value
                  script   = "s"
                  interval = 1
                }
              }
              dynamic "resources_monitoring" {
                for_each = terraform_data.later.output == null ? [] : [1]
                content {
                  memory {
                    enabled   = true
                    threshold = 5
                  }
                }
              }
              display_apps {
                vscode = terraform_data.later.output == null
              }
            }
            """
        )
        after = {c["address"]: c["change"] for c in self.plan()["resource_changes"]}["coder_agent.a"]
        self.assertEqual(after["after_unknown"]["metadata"], True)
        self.assertEqual(after["after_unknown"]["display_apps"], [{"vscode": True}])
        self.assertEqual(after["after"]["display_apps"][0]["web_terminal"], True)
        self.apply()
        agent = self.state()["coder_agent.a"]
        self.assertEqual([m["key"] for m in agent["metadata"]], ["a", "b"])
        self.assertEqual(agent["display_apps"][0]["vscode"], False)
        self.assertEqual(self.actions()["coder_agent.a"][0], ["no-op"])

    def test_many_agents_and_large_scripts(self):
        # Terraform itself is quadratic in the size of a state, hence not fifty times a megabyte.
        self.config(
            """
            resource "coder_agent" "a" {
              count          = 50
              os             = "linux"
              arch           = "amd64"
              startup_script = join("", [for i in range(32) : format("%01023d\\n", count.index)])
            }
            resource "coder_agent" "large" {
              count          = 3
              os             = "linux"
              arch           = "amd64"
              startup_script = join("", [for i in range(1024) : format("%01023d\\n", count.index)])
            }
            """
        )
        self.apply(TF_CLI_ARGS_apply="-parallelism=60")
        agents = self.state()
        self.assertEqual(len({a["token"] for a in agents.values()}), 53)
        self.assertEqual({len(a["startup_script"]) for a in agents.values()}, {32 << 10, 1 << 20})

    def test_failed_creation_is_kept_as_tainted(self):
        self.config('resource "coder_script" "s" {\n agent_id = "a"\n display_name = "S"\n script = "x"\n}\n')
        failed = self.run_terraform("apply", "-auto-approve", "-json")
        self.assertEqual(failed.code, 1)
        self.assertEqual(
            [d["summary"] for d in failed.diagnostics()],
            ['at least one of "run_on_start", "run_on_stop", or "cron" must be set'],
        )
        state = json.loads((self.work / "terraform.tfstate").read_text())
        self.assertEqual(state["resources"][0]["instances"][0]["status"], "tainted")
        self.config(
            'resource "coder_script" "s" {\n agent_id = "a"\n display_name = "S"\n script = "x"\n run_on_stop = true\n}\n'
        )
        self.apply()
        self.assertEqual(self.actions()["coder_script.s"][0], ["no-op"])


class FaultTest(ProviderTest):
    def providers(self):
        """Processes that run the provider from this test's folder."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "cwd") == str(self.work):
                    if b"terraform-provider-coder" in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
            except OSError:
                pass
        return found

    def wait_for(self, condition, what):
        deadline = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.02)

    def test_the_provider_does_not_outlive_a_killed_terraform(self):
        started, gate = self.root / "started", self.root / "gate"
        os.mkfifo(gate)
        self.config(
            """
            resource "coder_agent" "a" {
              os   = "linux"
              arch = "amd64"
            }
            resource "terraform_data" "slow" {
              input = coder_agent.a.id
              provisioner "local-exec" {
                command = "touch %s; cat %s"
              }
            }
            resource "coder_env" "last" {
              agent_id = terraform_data.slow.output
              name     = "A"
            }
            """
            % (started, gate)
        )
        terraform = subprocess.Popen(
            ["terraform", "apply", "-auto-approve", "-input=false"],
            cwd=self.work,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.wait_for(started.exists, "the apply is under way")
        self.assertEqual(len(self.providers()), 1)
        terraform.kill()
        terraform.wait()
        self.wait_for(lambda: not self.providers(), "the provider is gone")
        self.assertEqual(list((self.root / "tmp").glob("plugin-*")), [])
        # Lets the command that terraform left behind end.
        gate.write_bytes(b"")
        shutil.rmtree(self.root / "tmp")
        (self.root / "tmp").mkdir()


TASK_ID = "5B1D6F0A-9C3E-4F0B-8A57-0123456789AB"


class DataTest(ProviderTest):
    def read(self, body, **env):
        self.config(body)
        self.apply(**env)
        return self.state()

    def test_workspace(self):
        rows = [
            ({}, {"name": "default", "start_count": 1, "transition": "start", "prebuild_count": 0, "access_port": 443}),
            ({"CODER_WORKSPACE_TRANSITION": "START"}, {"start_count": 0, "transition": "START"}),
            ({"CODER_WORKSPACE_TRANSITION": ""}, {"start_count": 1, "transition": "start"}),
            ({"CODER_WORKSPACE_IS_PREBUILD": "True"}, {"is_prebuild": True, "prebuild_count": 1, "is_prebuild_claim": False}),
            (
                {"CODER_WORKSPACE_IS_PREBUILD": "true", "CODER_WORKSPACE_IS_PREBUILD_CLAIM": "true"},
                {"is_prebuild": False, "prebuild_count": 0, "is_prebuild_claim": True},
            ),
            ({"CODER_AGENT_URL": "HTTP://Host.Example:/a b?q#f"}, {"access_url": "http://Host.Example:/a%20b?q#f", "access_port": 80}),
            ({"CODER_AGENT_URL": "https://h:8443"}, {"access_url": "https://h:8443", "access_port": 8443}),
            ({"CODER_AGENT_URL": "plain/path"}, {"access_url": "plain/path", "access_port": 80}),
            (
                {
                    "CODER_WORKSPACE_BUILD_ID": "b",
                    "CODER_WORKSPACE_TEMPLATE_ID": "i",
                    "CODER_WORKSPACE_TEMPLATE_NAME": "n",
                    "CODER_WORKSPACE_TEMPLATE_VERSION": "v",
                    "CODER_WORKSPACE_ID": "w",
                },
                {"template_id": "i", "template_name": "n", "template_version": "v", "id": "w"},
            ),
        ]
        for env, expected in rows:
            with self.subTest(env=env):
                got = self.read('data "coder_workspace" "me" {}', **env)["data.coder_workspace.me"]
                self.assertEqual({k: got[k] for k in expected}, expected)

    def test_owner(self):
        body = 'data "coder_workspace_owner" "me" {}'
        got = self.read(body)["data.coder_workspace_owner.me"]
        self.assertEqual(
            (got["name"], got["full_name"], got["email"], got["groups"], got["rbac_roles"], got["login_type"], got["session_token"]),
            ("default", "default", "default@example.com", [], [], None, ""),
        )
        got = self.read(
            body,
            CODER_WORKSPACE_OWNER="ann",
            CODER_WORKSPACE_OWNER_ID="o",
            CODER_WORKSPACE_OWNER_GROUPS='["a","b"] and more',
            CODER_WORKSPACE_OWNER_RBAC_ROLES='[{"name":"r","org_id":"x"},{"name":"s"}]',
            CODER_WORKSPACE_OWNER_LOGIN_TYPE="oidc",
            CODER_WORKSPACE_OWNER_SESSION_TOKEN="t",
        )["data.coder_workspace_owner.me"]
        self.assertEqual(got["groups"], ["a", "b"])
        self.assertEqual(got["rbac_roles"], [{"name": "r", "org_id": "x"}, {"name": "s", "org_id": ""}])
        self.assertEqual((got["id"], got["login_type"], got["session_token"]), ("o", "oidc", "t"))

    def test_the_small_ones(self):
        got = self.read(
            """
            data "coder_provisioner" "p" {}
            data "coder_external_auth" "g" { id = "github" }
            data "coder_workspace_tags" "t" {
              tags = { a = 1, b = true, c = "", d = null }
            }
            data "coder_workspace_tags" "none" { tags = {} }
            data "coder_task" "t" {}
            data "coder_secret" "e" {
              env          = "TOKEN"
              help_message = "h"
            }
            data "coder_secret" "f" {
              file         = "~/k"
              help_message = "h"
            }
            data "coder_workspace_preset" "p" {
              name       = "P"
              parameters = { x = "", y = null }
              prebuilds {
                instances = 2
              }
            }
            data "coder_workspace_preset" "bare" { name = "B" }
            """,
            CODER_EXTERNAL_AUTH_ACCESS_TOKEN_github="gh",
            CODER_TASK_ID=TASK_ID,
            CODER_TASK_PROMPT="do",
            CODER_SECRET_ENV_TOKEN="s1",
            **{"CODER_SECRET_FILE_" + b"~/k".hex(): "s2"},
        )
        self.assertEqual(got["data.coder_provisioner.p"]["os"], "linux")
        self.assertIn(got["data.coder_provisioner.p"]["arch"], ("amd64", "arm64", "armv7"))
        auth = got["data.coder_external_auth.g"]
        self.assertEqual((auth["access_token"], auth["optional"]), ("gh", None))
        self.assertEqual(got["data.coder_workspace_tags.t"]["tags"], {"a": "1", "b": "true", "c": ""})
        self.assertIsNone(got["data.coder_workspace_tags.none"]["tags"])
        task = got["data.coder_task.t"]
        self.assertEqual((task["id"], task["enabled"], task["prompt"]), (TASK_ID, True, "do"))
        self.assertEqual(got["data.coder_secret.e"]["value"], "s1")
        self.assertEqual(got["data.coder_secret.e"]["id"], "env:TOKEN")
        self.assertEqual((got["data.coder_secret.f"]["value"], got["data.coder_secret.f"]["id"]), ("s2", "file:~/k"))
        preset = got["data.coder_workspace_preset.p"]
        self.assertEqual((preset["id"], preset["default"], preset["parameters"]), ("P", False, {"x": ""}))
        self.assertEqual(preset["prebuilds"], [{"instances": 2, "expiration_policy": [], "scheduling": []}])
        self.assertIsNone(got["data.coder_workspace_preset.bare"]["prebuilds"])

    def test_ai_task_takes_the_task(self):
        body = 'resource "coder_ai_task" "t" {\n sidebar_app {\n  id = "5b1d6f0a-9c3e-4f0b-8a57-0123456789ac"\n }\n}\n'
        got = self.read(body, CODER_TASK_ID=TASK_ID, CODER_TASK_PROMPT="do")["coder_ai_task.t"]
        self.assertEqual(
            (got["id"], got["enabled"], got["prompt"], got["app_id"]),
            (TASK_ID.lower(), True, "do", "5b1d6f0a-9c3e-4f0b-8a57-0123456789ac"),
        )


if __name__ == "__main__":
    unittest.main()
