#!/usr/bin/python3
"""What scripts/gen/sql.py refuses, and what it makes of a statement."""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
ROW = "-- row store_r: id uuid, name text?\n"
REFUSED = [
    ("an unknown type", "-- query q(x number) -> exec\nSELECT $x;\n", "unknown type"),
    ("a parameter that is not declared", "-- query q(x int) -> exec\nSELECT $x, $y;\n", "$y is no parameter"),
    ("a parameter that is not used", "-- query q(x int) -> exec\nSELECT 1;\n", "x is not used"),
    ("a row that does not exist", "-- query q() -> one store_x\nSELECT 1;\n", "no row is called store_x"),
    ("exec with a row", ROW + "-- query q() -> exec store_r\nSELECT 1;\n", "exec has no row"),
    ("one without a row", "-- query q() -> one\nSELECT 1;\n", "exec has no row"),
    ("a statement without its end", "-- query q() -> exec\nSELECT 1\n", "must end with ;"),
    ("a statement without a name", "SELECT 1;\n", "without a query directive"),
    ("a name twice", "-- query q() -> exec\nSELECT 1;\n-- query q() -> exec\nSELECT 1;\n", "declared twice"),
    ("a name of the generator's", "-- query q_batch() -> exec\nSELECT 1;\n", "the generator's"),
    ("columns of no row", "-- query q() -> one int\nSELECT {t} FROM t;\n", "needs a row"),
    ("an unknown column to leave out", ROW + "-- query q() -> one store_r\nSELECT {t - x} FROM t;\n", "x is no column"),
    ("an unknown fragment", "-- query q() -> exec\nSELECT {{x}};\n", "no fragment is called x"),
    ("an array of enums as a parameter", "-- query q(x enum e[]) -> exec\nSELECT $x;\n", "pass text[]"),
]


def generate(text):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "t.sql")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        done = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "scripts/gen/sql.py"), "queries", d, path],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            return None, done.stderr
        with open(os.path.join(d, "store/t.c"), encoding="utf-8") as f:
            return f.read(), ""


def check(what, ok, found):
    if not ok:
        sys.exit(f"{what}: {found}")


def main():
    for what, text, words in REFUSED:
        made, why = generate(text)
        check(what, made is None and words in why and "Traceback" not in why, why or "accepted")
    made, why = generate(ROW + "-- fragment cond\n  t.id = $id -- not this\n\n-- A word.\n"
                         "-- query q(id uuid, pairs jsonmap,\n--     note text?) -> one store_r\n"
                         "SELECT {t - name}, '$id -- {t} ''x''' AS name FROM t /* $1 */ WHERE {{cond}} AND x = $pairs AND y = $note;\n")
    check("a statement", made is not None, why)
    sql = "".join(part.strip()[1:-1] for part in made.split(".sql =\n")[1].split(",\n    .params")[0].split("\n"))
    want = ("SELECT t.id, '$id -- {t} ''x''' AS name FROM t /* $1 */ WHERE t.id = $1 AND x = jsonb_object($2)"
            " AND y = $3")
    check("its text", sql == want, sql)
    for text, read_only in (("SELECT 1", True), ("WITH a AS (SELECT 1) SELECT * FROM a", True),
                            ("SELECT 1 FROM t FOR UPDATE", False), ("WITH a AS (DELETE FROM t RETURNING 1) SELECT 1", False),
                            ("SELECT pg_notify('a', 'b')", False), ("UPDATE t SET x = 1", False),
                            ("SELECT 'DELETE'", True)):
        made, why = generate(f"-- query q() -> exec\n{text};\n")
        check(text, made is not None and (".read_only = true" in made) == read_only, why or "read_only is wrong")


if __name__ == "__main__":
    main()
