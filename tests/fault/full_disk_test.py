#!/usr/bin/python3
"""A disk that is full says so to whoever waits, and nothing has to be restarted once there is room again.

The provisioner's work folder and the database's table of files are on small file systems of their own, which the test
fills. Mounting takes root; where it is not allowed the test has nothing to say.
"""
import io
import os
import pwd
import shutil
import subprocess
import sys
import tarfile
import tempfile

from cluster import Cluster

TEMPLATE = """
resource "terraform_data" "one" {
  input = "here"
}
"""


class SmallDisk:
    def __init__(self, path, size):
        self.path, self.filler = path, os.path.join(path, "filler")
        os.makedirs(path, exist_ok=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path], check=False,
                          capture_output=True).returncode:
            print("mounting is not allowed here")
            sys.exit(0)

    def fill(self):
        try:
            with open(self.filler, "wb", buffering=0) as f:
                while True:
                    f.write(bytes(65536))
        except OSError:
            pass  # that is what was wanted

    def free(self):
        os.unlink(self.filler)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True)


def no_room_for_jobs(c, admin, template, disk):
    """A job that was waited for while there was room fails at once; afterwards none is taken until there is."""
    p, work = c["provisionerd"], os.path.join(disk.path, "work")
    ends = "; ask its administrator to put that right, then try again"
    disk.fill()
    ws = c.make_workspace(admin, "fails", template, wait=False)
    build = c.wait_build(admin, ws["latest_build"]["id"], seconds=10, status="failed")
    assert build["job"]["error"] == \
        f'the provisioner "provisionerd" cannot start the job: the disk of {work} is full' + ends, build["job"]["error"]
    waits = c.build(admin, ws, "start", wait=False)
    # It is there for another provisioner, which the first one does not rob it of.
    other = c.add_provisionerd(1).start()
    c.wait_build(admin, waits["id"], seconds=30)
    assert other.stop() == 0
    waits = c.build(admin, ws, "stop", wait=False)
    assert p.log().count("the disk is full: no job is taken until there is room") == 1, p.log()
    disk.free()
    p.wait_log("there is room for jobs again")
    c.wait_build(admin, waits["id"], seconds=30)
    # For whatever reason a job cannot be started, its user does not wait for the end of the lease.
    shutil.rmtree(work)
    build = c.build(admin, ws, "start", wait=False)
    build = c.wait_build(admin, build["id"], seconds=10, status="failed")
    assert build["job"]["error"] == \
        f'the provisioner "provisionerd" cannot start the job: {work}: No such file or directory' + ends, build["job"]
    os.mkdir(work, 0o700)
    c.build(admin, ws, "start")


def full_database(c, admin, disk):
    """What needs the disk is answered with a sentence, what does not is served; with room all goes on."""
    folder = os.path.join(disk.path, "files")
    os.mkdir(folder)
    if c.pg.user:
        account = pwd.getpwnam(c.pg.user)
        os.chown(folder, account.pw_uid, account.pw_gid)
    # A statement that must not be in a transaction is sent on its own.
    c.pg.run("psql", "-X", "-q", "-d", c.pg.conninfo(c.database), "-c", f"CREATE TABLESPACE small LOCATION '{folder}'")
    c.psql("ALTER TABLE file_chunks SET TABLESPACE small")
    disk.fill()

    def upload():
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            info = tarfile.TarInfo("main.tf")
            info.size = 1 << 18
            tar.addfile(info, io.BytesIO(os.urandom(info.size)))
        return admin.request("POST", "/api/v2/files", archive.getvalue(), content_type="application/x-tar")
    refused = upload()
    assert refused.status == 503, refused
    assert refused.json() == {"message": "the database's disk is full; ask the administrator to make room"}, refused
    c["coderd"].wait_log("request failed for now .*the database's disk is full")
    assert admin.get("/api/v2/users/me")["username"] == "admin"
    disk.free()
    assert upload().status == 201


def main():
    with tempfile.TemporaryDirectory(prefix="cm-disk-") as folder:
        os.chmod(folder, 0o755)
        with SmallDisk(folder + "/jobs", "64m") as jobs, SmallDisk(folder + "/database", "24m") as database, \
                Cluster(provisioners=0) as c:
            admin = c.first_user()
            c.add_provisionerd(0, CODER_CACHE_DIRECTORY=jobs.path).start()
            template = c.push_template(admin, "t", {"main.tf": TEMPLATE})
            no_room_for_jobs(c, admin, template, jobs)
            full_database(c, admin, database)


if __name__ == "__main__":
    main()
