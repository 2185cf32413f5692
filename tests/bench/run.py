#!/usr/bin/python3
"""Our figures, each beside a named peer in the same run: scripts/bench starts it on a release build.

    run.py [NAME...]    rows whose name is given (default: all); --list names them; --markdown prints docs' table

A row fails when it misses its target, and when its peer is not installed. Figures belong to the machine and to what
else it does: the load average stands beside each.
"""
import os
import sys
import time
import traceback

import rows
from cluster import Cluster
from measure import load

HEAD = ("what", "target", "ours", "peer", "ours / peer", "", "load")
# As an administrator would have it on a small machine, but for durability: see lib/pg.py.
DATABASE = {"shared_buffers": "256MB"}


def cells(row):
    return (row.what, row.target, row.ours, row.peer, f"{row.ratio:.2f}", "pass" if row.ok else "FAIL", f"{row.load:.1f}")


def table(measured, markdown):
    lines = [HEAD] + [cells(r) for r in measured]
    if markdown:
        lines.insert(1, ("---",) * len(HEAD))
        return "\n".join("| " + " | ".join(x) + " |" for x in lines)
    widths = [max(len(x[i]) for x in lines) for i in range(len(HEAD))]
    return "\n".join("  ".join(v.ljust(w) for v, w in zip(x, widths)).rstrip() for x in lines)


def measure(functions):
    measured, broken = [], []
    with Cluster(provisioners=1, pg_settings=DATABASE) as c:
        b = rows.Bench(c)
        b.admin = c.first_user()
        for f in functions:
            begin = time.monotonic()
            try:
                for row in f(b):
                    print("  ".join(cells(row)), flush=True)
                    measured.append(row)
            except Exception as e:  # pylint: disable=broad-except
                traceback.print_exc()
                broken.append(f"{f.__name__}: {e}")
            print(f"({f.__name__}: {time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)
    return measured, broken


def main():
    markdown, names = "--markdown" in sys.argv, [a for a in sys.argv[1:] if not a.startswith("--")]
    known = [f.__name__ for f in rows.ALL]
    if "--list" in sys.argv:
        print("\n".join(known))
        return 0
    if set(names) - set(known):
        sys.exit(f"run.py: no row {', '.join(sorted(set(names) - set(known)))}; --list names them")
    begin = time.monotonic()
    measured, broken = measure([f for f in rows.ALL if not names or f.__name__ in names])
    print(f"\n{os.cpu_count()} cores, {time.monotonic() - begin:.0f} s, load average {load():.1f} at the end\n")
    print(table(measured, markdown))
    for b in broken:
        print(f"FAIL  {b}")
    return 1 if broken or not all(r.ok for r in measured) else 0


if __name__ == "__main__":
    sys.exit(main())
