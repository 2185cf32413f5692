"""docs/reference.md is what the command prints about itself, and every word of the command tells its options."""
import os
import re
import subprocess
import unittest

from cluster import ROOT, bin_dir


def coder(*args):
    done = subprocess.run([os.path.join(bin_dir(), "coder"), *args], capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, env={k: v for k, v in os.environ.items() if not k.startswith("CODER_")})
    assert done.returncode == 0, done
    return done.stdout


class ReferenceTest(unittest.TestCase):
    maxDiff = 4000

    def test_the_page_is_current(self):
        with open(os.path.join(ROOT, "docs/reference.md"), encoding="utf-8") as f:
            kept = f.read()
        self.assertTrue(kept == coder("reference"), "docs/reference.md is old: scripts/build docs writes it anew")

    def test_every_command_has_a_help_with_its_flags(self):
        sections = re.split(r"^## (coder.*)$", coder("reference"), flags=re.M)[1:]
        names = sections[::2]
        self.assertGreater(len(names), 50)
        for name, text in zip(names, sections[1::2]):
            shown = coder(*name.split()[1:], "--help")
            self.assertIn("USAGE:", shown, name)
            flags = re.findall(r"^### .*(--[a-z0-9-]+)$", text, re.M)
            self.assertEqual([f for f in flags if f"{f} " not in shown], [], name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
