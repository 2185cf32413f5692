"""What the tests of the Terraform provider share: private folders with a mirror, and terraform itself.

A test is a unittest.TestCase that derives from ProviderTest. The provider's binary is named by PROVIDER_BIN.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

HEADER = """
terraform {
  required_providers {
    coder = {
      source = "coder/coder"
      %s
    }
  }
}
"""

DEADLINE_SECONDS = 120
VERSIONS = ["2.17.0"]


def provider_binary():
    path = os.environ.get("PROVIDER_BIN")
    if not path or not os.access(path, os.X_OK):
        raise AssertionError("PROVIDER_BIN does not name an executable")
    return path


class Result:
    """The outcome of one terraform command: exit code, text, and the JSON lines if it printed any."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr
        self.lines = []
        for line in done.stdout.splitlines():
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                pass

    def diagnostics(self):
        return [l["diagnostic"] for l in self.lines if isinstance(l, dict) and l.get("type") == "diagnostic"]


class ProviderTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        if not shutil.which("terraform"):
            self.fail("terraform is not installed")
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="provider-test-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.work = self.root / "work"
        self.work.mkdir()
        (self.root / "tmp").mkdir()
        binary = provider_binary()
        for version in VERSIONS:
            folder = self.root / "mirror/registry.terraform.io/coder/coder" / version / "linux_amd64"
            folder.mkdir(parents=True)
            os.symlink(binary, folder / f"terraform-provider-coder_v{version}")
        (self.root / "rc").write_text(
            'provider_installation {\n  filesystem_mirror {\n    path = "%s/mirror"\n  }\n}\n' % self.root
        )
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "TMPDIR": str(self.root / "tmp"),
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
            "TF_CLI_CONFIG_FILE": str(self.root / "rc"),
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        # Nothing of the provider may stay behind: its socket goes when the process does.
        self.addCleanup(lambda: self.assertEqual(list((self.root / "tmp").iterdir()), []))

    def config(self, text, version=""):
        pin = f'version = "{version}"' if version else ""
        (self.work / "main.tf").write_text(HEADER % pin + text)
        if not (self.work / ".terraform").exists():
            self.run_ok("init", "-no-color", "-input=false")

    def run_terraform(self, *argv, **env):
        done = subprocess.run(
            ["terraform", *argv],
            cwd=self.work,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        return Result(done)

    def run_ok(self, *argv, **env):
        result = self.run_terraform(*argv, **env)
        self.assertEqual(result.code, 0, f"terraform {' '.join(argv)}\n{result.out}\n{result.err}")
        return result

    def apply(self, **env):
        return self.run_ok("apply", "-no-color", "-auto-approve", "-input=false", "-json", **env)

    def plan(self, *argv, **env):
        """The plan as `terraform show -json` gives it."""
        self.run_ok("plan", "-no-color", "-input=false", "-out=plan", *argv, **env)
        return json.loads(self.run_ok("show", "-json", "-no-color", "plan").out)

    def actions(self, **env):
        """Address -> actions of the plan, and the paths that force a replacement."""
        changes = self.plan(**env).get("resource_changes", [])
        return {c["address"]: (c["change"]["actions"], c["change"].get("replace_paths", [])) for c in changes}

    def state(self):
        """Address -> values."""
        shown = json.loads(self.run_ok("show", "-json", "-no-color").out)
        resources = shown.get("values", {}).get("root_module", {}).get("resources", [])
        return {r["address"]: r["values"] for r in resources}

    def outputs(self):
        return {k: v["value"] for k, v in json.loads(self.run_ok("output", "-json").out).items()}

    def errors(self, text, command="plan", **env):
        """Diagnostics of a command that must fail: (summary, detail, line of the configuration or None)."""
        self.config(text)
        extra = ["-auto-approve"] if command == "apply" else []
        result = self.run_terraform(command, "-no-color", "-json", "-input=false", *extra, **env)
        self.assertEqual(result.code, 1, result.out + result.err)
        found = []
        for d in result.diagnostics():
            if d["severity"] == "error":
                code = (d.get("snippet") or {}).get("code", "").strip()
                found.append((d["summary"], d.get("detail", ""), code))
        return found
