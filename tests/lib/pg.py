#!/usr/bin/python3
"""A private PostgreSQL for tests: on a unix socket in a temporary folder, gone with the test.

As a program:  pg.py run [--] COMMAND...   runs the command with CM_TEST_PG set to the connection parameters of
the cluster's maintenance database; the command's exit status is pg.py's.

As a module:

    with Postgres() as pg:
        db = pg.create_database()              # empty
        db = pg.create_database(migrated=True) # at the head of services/coderd/store/migrations
        pg.psql(db, "SELECT 1")
        pg.conninfo(db), pg.url(db)
        pg.stop("immediate"); pg.start()       # a server that dies and comes back

PostgreSQL refuses to run as root: then it runs as the user postgres, or nobody.
"""
import glob
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MIGRATIONS = os.path.join(ROOT, "services/coderd/store/migrations")
# Durability is not what these tests are about.
SETTINGS = {
    "listen_addresses": "", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
    "shared_buffers": "32MB", "max_connections": "100", "log_min_messages": "warning", "autovacuum": "on",
    "max_wal_size": "256MB", "wal_level": "replica", "max_wal_senders": "4", "jit": "off",
}


def bin_dir():
    """The newest installed PostgreSQL, or where CM_PG_BIN says."""
    if os.environ.get("CM_PG_BIN"):
        return os.environ["CM_PG_BIN"]
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: int(p.split("/")[-3]))
    if found:
        return os.path.dirname(found[-1])
    which = shutil.which("postgres")
    if not which:
        sys.exit("pg.py: PostgreSQL is not installed (Debian: postgresql-15)")
    return os.path.dirname(which)


class Postgres:
    def __init__(self, settings=None, port=5432):
        self.bin, self.port = bin_dir(), port
        self.settings = {**SETTINGS, **(settings or {})}
        self.dir = tempfile.mkdtemp(prefix="cm-pg-")
        self.data = os.path.join(self.dir, "data")
        self.user = None
        self.running = False
        self.migrated = None
        if os.geteuid() == 0:
            names = [n for n in ("postgres", "nobody") if n in {p.pw_name for p in pwd.getpwall()}]
            self.user = names[0]
            account = pwd.getpwnam(self.user)
            os.chown(self.dir, account.pw_uid, account.pw_gid)
        # The socket must be reachable by tests, which may run as somebody else.
        os.chmod(self.dir, 0o755)

    def run(self, name, *args, check=True, **kwargs):
        if self.user:
            account = pwd.getpwnam(self.user)
            kwargs.update(user=account.pw_uid, group=account.pw_gid, extra_groups=[])
        env = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
        return subprocess.run([os.path.join(self.bin, name), *args], check=check, cwd=self.dir, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              text=True, **kwargs)

    def __enter__(self):
        try:
            self.run("initdb", "-D", self.data, "-U", "coder", "-A", "trust", "-E", "UTF8", "--locale=C",
                     "--no-sync", "--no-instructions")
            with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as f:
                f.write(f"unix_socket_directories = '{self.dir}'\nport = {self.port}\n")
                for key, value in self.settings.items():
                    f.write(f"{key} = '{value}'\n")
            self.start()
        except subprocess.CalledProcessError as e:
            self.__exit__(None, None, None)
            sys.exit(f"pg.py: {' '.join(e.cmd)}: {e.stdout}")
        return self

    def __exit__(self, *exc):
        if self.running:
            self.stop("immediate", check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        return os.path.join(self.dir, "log")

    def start(self):
        # The server must not hold our pipe open: it logs to a file.
        account = pwd.getpwnam(self.user) if self.user else None
        extra = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
        subprocess.run([os.path.join(self.bin, "pg_ctl"), "-D", self.data, "-l", self.log(), "-w", "-s", "start"],
                       check=True, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **extra)
        self.running = True

    def stop(self, mode="fast", check=True):
        self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "-s", "stop", check=check)
        self.running = False

    def conninfo(self, database="postgres"):
        return f"host={self.dir} port={self.port} user=coder dbname={database}"

    def url(self, database="postgres"):
        return f"postgres://coder@/{database}?host={self.dir}&port={self.port}"

    def psql(self, database, sql, check=True):
        """Runs SQL, all of it in one transaction; rows as text, columns split by |."""
        done = self.run("psql", "-X", "-q", "-A", "-t", "-1", "-v", "ON_ERROR_STOP=1", "-d", self.conninfo(database),
                        "-c", sql, check=False)
        if check and done.returncode:
            raise RuntimeError(f"psql: {done.stdout}")
        return done.stdout.rstrip("\n")

    def create_database(self, migrated=False):
        name = "t" + uuid.uuid4().hex[:16]
        template = "template1"
        if migrated:
            if not self.migrated:
                self.migrated = self.create_database()
                for path in sorted(glob.glob(os.path.join(MIGRATIONS, "*.sql"))):
                    with open(path, encoding="utf-8") as f:
                        self.psql(self.migrated, f.read())
            template = self.migrated
        # Not the default strategy, which writes the copy to the log.
        done = self.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.conninfo(),
                        "-c", f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy", check=False)
        if done.returncode:
            raise RuntimeError(done.stdout)
        return name


def main():
    args = sys.argv[1:]
    if not args or args[0] != "run" or len(args) < 2:
        sys.exit(__doc__)
    command = args[2:] if args[1] == "--" else args[1:]
    with Postgres() as pg:
        done = subprocess.run(command, env={**os.environ, "CM_TEST_PG": pg.conninfo()}, check=False)
        if done.returncode and os.path.exists(pg.log()):
            with open(pg.log(), encoding="utf-8", errors="replace") as f:
                sys.stderr.write("---- last lines of the PostgreSQL log ----\n" + "".join(f.readlines()[-20:]))
        code = done.returncode
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
