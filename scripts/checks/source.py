#!/usr/bin/python3
"""What compilers do not know about our sources, in a second: calls and includes that belong to one layer only, words that
promise work, sleeps in tests. A rule is a row; a file that may break it is in the row, with the reason.

Usage: source.py [--list] [FILE...]      default: every tracked file; exit status 1 when something is found
"""
import re
import subprocess
import sys
from dataclasses import dataclass, field


@dataclass
class Rule:
    name: str
    pattern: str
    why: str
    where: str = r"\.[ch]$"  # paths that it is about
    allow: dict = field(default_factory=dict)  # path prefix: reason
    comments: bool = False  # look at comments and texts as well


RULES = [
    Rule("unsafe-call", r"(?<![\w.>])(sprintf|vsprintf|strcpy|strcat|strtok|strtok_r|atoi|atol|atof|alloca|gets|system|popen)\s*\(",
         "use cm_buf, cm_str, cm_child: these cannot say where they end", r"\.[ch]$",
         {"tests/unit/net/rpc/": "constant texts into larger arrays"}),
    Rule("raw-allocation", r"(?<![\w.>])(malloc|calloc|realloc|strdup|strndup|asprintf|vasprintf)\s*\(",
         "allocate through base/ (cm_arena, cm_xcalloc)", r"^(libcommon|services)/.*\.[ch]$",
         {"libcommon/base/": "is the layer itself"}),
    Rule("libevent", r"#\s*include\s+<event2?/",
         "libevent is for loop/ and net/; all others use their headers", r"^(libcommon|services)/.*\.[ch]$",
         {"libcommon/loop/": "is the layer", "libcommon/net/": "is the layer",
          "services/coder/remote/": "moves bytes between streams without copying"}),
    Rule("libpq", r"#\s*include\s+<(postgresql/)?libpq", "libpq is for db/", r"^(libcommon|services)/.*\.[ch]$",
         {"libcommon/db/": "is the layer"}),
    Rule("json-library", r"#\s*include\s+<(cjson|jansson)|\bcJSON_|(?<!\w)json_(loads|object|array|string)\w*\(",
         "JSON goes through codec/", r"^(libcommon|services)/.*\.[ch]$", {"libcommon/codec/": "is the layer"}),
    Rule("getenv", r"(?<!\w)(secure_)?getenv\s*\(", "the environment is read by conf/ (cm_conf_getenv)",
         r"^(libcommon|services)/.*\.[ch]$",
         {"libcommon/conf/": "is the layer", "libcommon/sys/fs.c": "TMPDIR of a temporary folder, below conf/",
          "services/provisionerd/main.c": "hands it to conf", "services/agent/": "reads it for its own options' module"}),
    Rule("sleep", r"(?<![\w.])(u|nano)?sleep\s*\(|time\.sleep\s*\(|waitForTimeout",
         "wait for the condition with a deadline (eventually)", r"^tests/.*\.(c|h|py|ts)$",
         {"tests/lib/": "the waiting itself", "tests/bench/": "paces its load",
          "tests/integration/provider/lifecycle_test.py": "the turn of a loop that waits for a condition",
          "tests/integration/provisionerd/local_test.py": "the turn of a loop that waits for a condition",
          "tests/unit/net/rpc/rpc_fixture.c": "the turn of a loop that waits for a condition"}),
    Rule("line-comment", r"(?<![:\"'\w])//(?!\S*\*/)", "only /* */ is committed", r"\.[ch]$"),
    Rule("promise", r"\b(TODO|FIXME|XXX|HACK)\b", "what is missing is said in docs/",
         r"\.(c|h|py|sh|ts|tsx|sql|proto|cmake)$|CMakeLists\.txt$",
         {"scripts/checks/source.py": "the rule itself"}, comments=True),
    Rule("machine-path", r"(?<![\w/.$}])/(work|farm)/", "a path of one machine", r".", comments=True),
]

STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)+\'')
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def code_only(text):
    """C without comments and texts; lines keep their numbers. Includes in quotes go, those in brackets stay."""
    return STRING.sub(blank, COMMENT.sub(blank, text))


def check(path, rules):
    try:
        with open(path, encoding="utf-8") as f:
            text = f.read()
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return 0
    found = 0
    stripped = code_only(text) if path.endswith((".c", ".h")) else text
    for rule in rules:
        if not re.search(rule.where, path) or any(path.startswith(p) for p in rule.allow):
            continue
        body = text if rule.comments else stripped
        for m in re.finditer(rule.pattern, body):
            line = body.count("\n", 0, m.start()) + 1
            shown = text.splitlines()[line - 1].strip()
            if f"check: {rule.name}" in shown:
                continue
            print(f"{path}:{line}: {rule.name}: {shown[:100]}\n    {rule.why}")
            found += 1
    return found


def main():
    args = sys.argv[1:]
    if args and args[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if args == ["--list"]:
        for r in RULES:
            print(f"{r.name}: {r.why}" + "".join(f"\n    not in {p}: {why}" for p, why in r.allow.items()))
        return 0
    files = args or subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True).stdout.split("\0")
    found = sum(check(f, RULES) for f in files if f)
    if found:
        print(f"{found} found; a line may be excused by the words \"check: NAME\" and a reason in a comment on it")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
