#!/usr/bin/python3
"""Migrations from empty to head give exactly the committed services/coderd/store/schema.sql.

With --update the file is written anew; read the difference before committing it.
"""
import difflib
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(ROOT, "tests/lib"))
import pg  # noqa: E402

SCHEMA = os.path.join(ROOT, "services/coderd/store/schema.sql")
HEAD = "-- The schema at the head of migrations/, for reading and for review. Written by tests/contract/sql/schema.py.\n"


def dump():
    with pg.Postgres() as server:
        db = server.create_database(migrated=True)
        text = server.run("pg_dump", "--schema-only", "--no-owner", "--no-privileges", "-d", server.conninfo(db)).stdout
    # What depends on the server's version and not on us.
    lines = [line for line in text.splitlines()
             if not re.match(r"--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict", line)]
    return HEAD + "\n" + re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def main():
    now = dump()
    if "--update" in sys.argv[1:]:
        with open(SCHEMA, "w", encoding="utf-8") as f:
            f.write(now)
        return
    with open(SCHEMA, encoding="utf-8") as f:
        committed = f.read()
    if now != committed:
        sys.stdout.writelines(difflib.unified_diff(committed.splitlines(True), now.splitlines(True), "schema.sql", "migrations"))
        sys.exit("schema.sql differs from what the migrations make: run tests/contract/sql/schema.py --update")


if __name__ == "__main__":
    main()
