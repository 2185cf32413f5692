"""The checks that stand between a run of the tests and a green light: each goes red when it should."""
import os
import re
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECKS = os.path.join(ROOT, "scripts/checks")


def run(name, *args):
    done = subprocess.run([os.path.join(CHECKS, name), *args], capture_output=True, text=True, cwd=ROOT, check=False)
    return done.returncode, done.stdout + done.stderr


def case(name, status="run", said=""):
    failure = "<failure/>" if status == "fail" else ""
    return f'<testcase name="{name}" status="{status}">{failure}<system-out>{said}</system-out></testcase>'


class Checks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name

    def put(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_each_promise_needs_each_of_its_tests(self):
        with open(os.path.join(ROOT, "docs/promises.md"), encoding="utf-8") as f:
            rows = [line for line in f if line.startswith("|")][2:]
        tests = sorted({t for row in rows for t in re.findall(r"`([\w.-]+)`", row.strip().strip("|").split("|")[2])})
        self.assertGreater(len(tests), 30)
        self.assertEqual(run("promises", self.put("passed", "\n".join(tests)))[0], 0)
        for gone in tests:
            status, said = run("promises", self.put("passed", "\n".join(t for t in tests if t != gone)))
            self.assertEqual((status, f": {gone} failed, was skipped or did not run" in said), (1, True), gone)

    def results(self, *cases):
        """(passed, failed, skips) and the names of both, as the report with these cases gives them."""
        report = self.put("report", f"<testsuite>{''.join(cases)}</testsuite>")
        passed, failed = self.put("passed", ""), self.put("failed", "")
        status, said = run("results.py", report, passed, failed)
        self.assertEqual(status, 0, said)
        names = []
        for path in (passed, failed):
            with open(path, encoding="utf-8") as f:
                names.append(f.read().splitlines())
        return tuple(map(int, said.split())), *names

    def test_what_was_not_run_has_failed(self):
        self.assertEqual(self.results(case("a"), case("b", "fail"), case("c", "notrun"), case("d", "disabled")),
                         ((1, 3, 0), ["a"], ["b", "c (was not run)", "d (was not run)"]))

    def test_parts_that_are_skipped_are_seen(self):
        cmocka = "[==========] Running 2 test(s).\n[  SKIPPED ] part\n[  SKIPPED ] 1 test(s), listed below:\n[  SKIPPED ] part\n"
        unit = "test_part (x.Y.test_part) ... skipped 'no reason'\n\nOK (skipped=1)\n"
        counts, passed, failed = self.results(case("a", said=cmocka), case("b", said=unit), case("c", said="[  SKIPPED ]"))
        self.assertEqual(counts[2], 2)
        if os.geteuid() == 0:
            self.assertEqual(passed, ["c"])
            self.assertEqual(failed, ["a (skipped part)", "b (skipped skipped=1, test_part)"])
        else:
            self.assertEqual((passed, failed), (["a", "b", "c"], []))

    def test_only_other_people_s_leaks_are_overlooked(self):
        status, said = run("suppressions.py")
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"\d+ suppressions of sanitizers\n$")
        for text in ('"leak:cm_loop_new\\n"', '"race:api_reply"', "__attribute__((no_sanitize(\"address\")))",
                     "ASAN_OPTIONS=detect_leaks=0"):
            self.assertEqual(run("suppressions.py", self.put("x.c", text))[0], 1, text)
        self.assertEqual(run("suppressions.py", self.put("x.c", '"leak:nng_dial\\n"')), (0, "1 suppressions of sanitizers\n"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
