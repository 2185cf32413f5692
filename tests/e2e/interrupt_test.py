"""Ctrl-C while the command waits for a build or an import: the first one cancels it, the second leaves."""
import os
import signal

from cluster import eventually
from people import refused, run, terminal

# Terraform waits here for the file in `gate`, until it is canceled; "none" does not wait.
SLOW = """
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
data "coder_parameter" "gate" {
  name    = "gate"
  default = "none"
  mutable = true
}
data "coder_workspace" "me" {}
resource "terraform_data" "wait" {
  triggers_replace = [data.coder_workspace.me.transition]
  input            = data.coder_parameter.gate.value
  provisioner "local-exec" {
    command     = "test $GATE = none || { echo waiting; until test -e $GATE; do sleep 0.1; done; }"
    environment = { GATE = data.coder_parameter.gate.value }
  }
}
"""
CTRL_C = "\x03"


def status(c, admin, name):
    return admin.get(f"/api/v2/users/me/workspace/{name}")["latest_build"]["job"]["status"]


def _a_template(c, admin):
    c.push_template(admin, "slow", {"main.tf": SLOW})


def the_first_ctrl_c_cancels_a_new_workspace_s_build(c, admin):
    gate = os.path.join(c.dir, "never")
    t = terminal(c, "create", "one", "-t", "slow", "--parameter", f"gate={gate}", "-y", client=admin)
    t.expect("waiting", 60)
    t.type(CTRL_C)
    t.expect("Canceling gracefully")
    assert t.wait(60) == 1, t.seen
    assert b"canceled" in t.seen, t.seen
    assert status(c, admin, "one") == "canceled"
    # The job has ended before the command has: nothing is left to wait for.
    t = terminal(c, "delete", "one", "-y", client=admin)
    assert t.wait(60) == 0, t.seen


def the_second_leaves_and_the_job_ends_by_itself(c, admin):
    gate = os.path.join(c.dir, "gate")
    t = terminal(c, "create", "two", "-t", "slow", "-y", "--use-parameter-defaults", client=admin)
    assert t.wait(60) == 0, t.seen
    for verb in ("stop", "start", "restart"):
        args = () if verb == "stop" else ("--parameter", f"gate={gate}", "--always-prompt")
        t = terminal(c, verb, "two", "-y", *args, client=admin)
        if verb == "stop":
            assert t.wait(60) == 0, t.seen
            continue
        t.expect("waiting", 60)
        t.type(CTRL_C)
        t.expect("Canceling gracefully")
        t.type(CTRL_C)
        assert t.wait(20) == -signal.SIGINT
        eventually(lambda: status(c, admin, "two") == "canceled", 60, "the end of the job")


def where_nobody_may_cancel_the_command_says_so(c, admin):
    template = admin.get("/api/v2/organizations/default/templates/slow")
    admin.patch(f"/api/v2/templates/{template['id']}", {"allow_user_cancel_workspace_jobs": False})
    member = c.add_user("mia")
    gate = os.path.join(c.dir, "later")
    t = terminal(c, "create", "three", "-t", "slow", "--parameter", f"gate={gate}", "-y", client=member)
    t.expect("waiting", 60)
    t.type(CTRL_C)
    assert t.wait(20) == 1
    assert b"cancel" in t.seen and b"goes on without you" in t.seen, t.seen
    assert status(c, member, "three") == "running"
    with open(gate, "w", encoding="ascii"):
        pass
    eventually(lambda: status(c, member, "three") == "succeeded", 60, "the end of the job")


def an_import_is_canceled(c, admin):
    # Its only provisioner is stopped, as with many jobs before it: the import waits in the queue.
    c["provisionerd"].send(signal.SIGSTOP)
    os.makedirs(os.path.join(c.dir, "t"))
    with open(os.path.join(c.dir, "t/main.tf"), "w", encoding="ascii") as f:
        f.write(SLOW)
    t = terminal(c, "templates", "push", "t", "-d", "t", "-y", client=admin)
    t.expect("Queued", 30)
    t.type(CTRL_C)
    t.expect("Canceling gracefully")
    c["provisionerd"].send(signal.SIGCONT)
    assert t.wait(60) == 1, t.seen
    assert b"canceled" in t.seen, t.seen
    refused(c, "create", "none", "-t", "t", "-y", says="template not found", client=admin)


run(_a_template, the_first_ctrl_c_cancels_a_new_workspace_s_build, the_second_leaves_and_the_job_ends_by_itself,
    where_nobody_may_cancel_the_command_says_so, an_import_is_canceled)
