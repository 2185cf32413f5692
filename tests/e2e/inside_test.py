"""What runs inside a workspace: git with the owner's key, the numbers for metadata, personal dotfiles."""
import json
import os
import re
import stat
import subprocess

from people import refused, run, starter_workspace

FAKE_SSH = """#!/bin/sh
test "$1" = -G && { echo "identityfile $HOME/own"; echo "identityfile ~/nosuch"; exit; }
echo "args $*"
for key; do case $key in */coder-gitssh.*) stat -c 'mode %a' "$key"; ssh-keygen -y -f "$key"; echo "at $key";; esac; done
exit 255
"""


def _a_workspace(c, admin):
    starter_workspace(c, admin)
    c.coder("ssh", "dev", "--wait=yes", "--", "true", client=admin)


def inside(c, admin, command, check=True):
    return c.coder("ssh", "dev", "--", command, client=admin, check=check)


def git_s_ssh_has_the_key_of_the_owner(c, admin):
    with open(os.path.join(c.sub("fake"), "ssh"), "w", encoding="utf-8") as f:
        f.write(FAKE_SSH)
        os.chmod(f.fileno(), 0o755)
    public = admin.get("/api/v2/users/me/gitsshkey")["public_key"].split()[1]
    done = inside(c, admin, f"touch own; PATH={c.dir}/fake:$PATH $GIT_SSH_COMMAND -p 22 git@host git-upload-pack x", check=False)
    assert done.returncode == 255, done
    assert re.search(r"^args -i \S+/own -i \S+/key -p 22 git@host git-upload-pack x$", done.stdout, re.M), done
    assert "mode 600" in done.stdout and public in done.stdout, done
    assert public in done.stderr, "what to add to the git host"
    assert not os.path.exists(re.search(r"^at (\S+)$", done.stdout, re.M)[1]), "the key does not stay"
    done = inside(c, admin, "CODER_AGENT_TOKEN= coder gitssh -- x", check=False)
    assert done.returncode == 1 and "inside a workspace" in done.stderr, done


def git_asks_a_deployment_that_knows_no_better(c, admin):
    ask = f"GIT_PREFIX= {c.path('coder')}"
    done = inside(c, admin, f"{ask} \"Username for 'https://github.com': \"", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", ""), done
    done = inside(c, admin, f"{ask} \"Password for 'ftp://x': \"", check=False)
    assert done.returncode == 1 and "not a question about a web site" in done.stderr, done


def numbers_for_metadata(c, admin):
    assert re.fullmatch(r"[\d.]+(/[\d.]+)? cores( \(\d+%\))?\n", inside(c, admin, "coder stat cpu --host").stdout)
    assert re.fullmatch(r"[\d.]+/[\d.]+ MiB \(\d+%\)\n", inside(c, admin, "coder stat mem --host --prefix Mi").stdout)
    disk = json.loads(inside(c, admin, "coder stat disk -o json").stdout)
    total = os.statvfs("/").f_blocks * os.statvfs("/").f_frsize
    assert disk["unit"] == "B" and disk["total"] == total and 0 < disk["used"] < total, disk
    [row] = json.loads(inside(c, admin, "coder stat -o json").stdout)
    assert row["host_cpu"]["total"] == os.sysconf("SC_NPROCESSORS_ONLN") and 0 < row["host_memory"]["used"], row
    assert "HOST CPU" in inside(c, admin, "coder stat").stdout
    refused(c, "stat", "disk", "--path", "/nosuch", says="No such file", client=None)


def _commit(repository):
    for args in (["add", "-A"], ["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "x"]):
        subprocess.run(["git", *args], cwd=repository, check=True)


def personal_dotfiles(c, admin):
    repository, home = c.sub("repository"), c.sub("home-of-dots")
    env = {"HOME": home, "CODER_CONFIG_DIR": c.sub("config-of-dots")}
    subprocess.run(["git", "init", "-q", repository], check=True)
    for name in (".profile-of-mine", ".gitconfig", ".gitignore", "README"):
        with open(os.path.join(repository, name), "w", encoding="utf-8") as f:
            f.write("" if name.startswith(".git") else "mine\n")
    _commit(repository)
    with open(os.path.join(home, ".profile-of-mine"), "w", encoding="utf-8") as f:
        f.write("before\n")
    refused(c, "dotfiles", repository, says="-y confirms", client=None, env=env)
    for _ in range(2):
        c.coder("dotfiles", repository, "-y", env=env)
        assert sorted(os.listdir(home)) == [".gitconfig", ".profile-of-mine", ".profile-of-mine.bak"]
        with open(os.path.join(home, ".profile-of-mine"), encoding="utf-8") as f:
            assert f.read() == "mine\n"
        with open(os.path.join(home, ".profile-of-mine.bak"), encoding="utf-8") as f:
            assert f.read() == "before\n"
    script = os.path.join(repository, "install.sh")
    with open(script, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\necho installed from $PWD\n")
    _commit(repository)
    refused(c, "dotfiles", repository, "-y", says="install.sh is not executable", client=None, env=env)
    os.chmod(script, stat.S_IRWXU)
    _commit(repository)
    assert f"installed from {env['CODER_CONFIG_DIR']}/dotfiles" in c.coder("dotfiles", repository, "-y", env=env).stdout
    other = c.sub("other") + "/clone"
    subprocess.run(["git", "clone", "-q", repository, other], check=True)
    c.coder("dotfiles", other, "-y", env=env)
    assert [n for n in os.listdir(env["CODER_CONFIG_DIR"]) if n.startswith("dotfiles_backup_20")]
    refused(c, "dotfiles", "/nosuch", "-y", says="git ended with status 128", client=None, env=env)


def _the_workspace_is_deleted(c, admin):
    c.coder("delete", "dev", "-y", client=admin)


run(_a_workspace, git_s_ssh_has_the_key_of_the_owner, git_asks_a_deployment_that_knows_no_better, numbers_for_metadata,
    personal_dotfiles, _the_workspace_is_deleted)
