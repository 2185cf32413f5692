#!/usr/bin/python3
"""What a run of ctest came to, from its JUnit report: a test that was not run has failed, and so has, where nothing may be
in its way (as root), one that skipped a part of itself.

Usage: results.py REPORT PASSED FAILED    appends the names of those that passed to PASSED, and writes to FAILED a line
                                          for each that did not; prints how many: passed, failed, with skipped parts
"""
import os
import re
import sys
import xml.etree.ElementTree as ET

# cmocka and unittest tell so; ctest itself knows nothing of parts.
SKIPPED = re.compile(r"^\[  SKIPPED \] (?!\d+ test)(\S+)|^(\w+) \(.*\.\.\. skipped|^OK \((skipped=\d+)\)", re.M)


def verdict(case):
    """(failure or None, skipped parts)"""
    said = case.findtext("system-out") or ""
    parts = sorted({next(filter(None, m)) for m in SKIPPED.findall(said)})
    if case.get("status") == "fail":
        return "", parts
    if case.get("status") != "run":
        return " (was not run)", parts
    if parts and os.geteuid() == 0:
        return f" (skipped {', '.join(parts)})", parts
    return None, parts


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    passed, failed, with_skips = [], [], 0
    for case in ET.parse(sys.argv[1]).getroot().findall("testcase"):
        failure, parts = verdict(case)
        with_skips += bool(parts)
        if failure is None:
            passed.append(case.get("name"))
        else:
            failed.append(case.get("name") + failure)
    with open(sys.argv[2], "a", encoding="utf-8") as f:
        f.writelines(n + "\n" for n in passed)
    with open(sys.argv[3], "w", encoding="utf-8") as f:
        f.writelines(n + "\n" for n in failed)
    print(len(passed), len(failed), with_skips)


if __name__ == "__main__":
    main()
