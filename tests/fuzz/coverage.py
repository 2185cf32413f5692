#!/usr/bin/python3
"""How much of its parser the kept corpus of each fuzz target reaches: 80% of the code at least.

Usage: coverage.py FOLDER [TARGET...]    FOLDER: a build of the profile fuzz; --missed lists the places not reached

What a target's parser is, its PARSER in CMakeLists.txt says. Counted are regions, as clang calls the stretches of code
that run as a whole: the halves of a condition and each error's way out count as much as a long function.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LEAST = 80
CODE_REGION = 0


def parsers():
    """{target: [(end of a path, pattern of functions or None)]}"""
    with open(os.path.join(HERE, "CMakeLists.txt"), encoding="utf-8") as f:
        text = f.read()
    found = {}
    for name, rest in re.findall(r"cm_fuzz\((\w+)([^)]*)\)", text):
        words = rest.split("PARSER")[1].split() if "PARSER" in rest else []
        found[name] = [(w.partition(":")[0], w.partition(":")[2] or None) for w in words]
        if not words:
            sys.exit(f"{name} does not say of which PARSER it is")
    return found


def run(*argv, **kwargs):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **kwargs)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def counted(binary, corpus):
    """What llvm-cov says of the functions after a run over the corpus."""
    with tempfile.TemporaryDirectory() as d:
        env = {**os.environ, "LLVM_PROFILE_FILE": d + "/raw"}
        run(binary, "-runs=0", corpus, env=env)
        run("llvm-profdata", "merge", "-sparse", d + "/raw", "-o", d + "/profile")
        return json.loads(run("llvm-cov", "export", "-instr-profile", d + "/profile", binary))["data"][0]["functions"]


def measure(functions, parser):
    """(reached, all, places that were not) of the regions of the parser; a region counts once, however often it is built."""
    regions, seen = {}, set()
    for f in functions:
        path, name = f["filenames"][0], f["name"].split(":")[-1]
        for end, pattern in parser:
            if (path + "$").find("/" + end + ("" if end.endswith("/") else "$")) >= 0 and (not pattern or re.search(pattern, name)):
                seen.add((end, pattern))
                for line, column, last, last_column, count, _, _, kind in f["regions"]:
                    if kind == CODE_REGION:
                        key = (path, line, column, last, last_column)
                        regions[key] = regions.get(key, 0) + count
    for missing in set(parser) - seen:
        sys.exit(f"{name}: no function of {':'.join(x for x in missing if x)} is built in: the name is wrong or old")
    missed = sorted(k for k, count in regions.items() if not count)
    return len(regions) - len(missed), len(regions), missed


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("-")]
    if not args or "--help" in sys.argv:
        sys.exit(__doc__)
    table, low = parsers(), []
    for name in args[1:] or table:
        reached, total, missed = measure(counted(f"{args[0]}/fuzz/{name}", f"{HERE}/corpus/{name}"), table[name])
        percent = 100 * reached / total
        print(f"{'ok    ' if percent >= LEAST else 'FAILED'}  {percent:3.0f}%  {name}: {reached} of {total}", flush=True)
        if percent < LEAST:
            low.append(name)
        if "--missed" in sys.argv:
            for path, line, column, last, _ in missed:
                print(f"        {os.path.relpath(path)}:{line}:{column}-{last}")
    if low:
        sys.exit(f"less than {LEAST}% of their parser is reached by the corpora of: {', '.join(low)}")


if __name__ == "__main__":
    main()
