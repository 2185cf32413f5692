#!/usr/bin/python3
"""kill -9 of a workspace's agent: it is seen to be gone, the next build has another, and nothing of either is left."""
import os
import signal
import sys

from cluster import ROOT, Cluster, eventually

sys.path.append(os.path.join(ROOT, "tests/e2e"))
from people import starter_workspace  # pylint: disable=wrong-import-position


def agents(c):
    """Processes of workspaces."""
    found = set()
    for pid in c.left_behind():
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if b"CODER_AGENT_TOKEN=" in f.read():
                    found.add(pid)
        except OSError:
            pass
    return found


def the_next_build_has_another(c, admin, ws):
    first = agents(c)
    assert first
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    c.wait_agent(admin, ws, status="disconnected", lifecycle=None)
    c.build(admin, ws, "stop")
    eventually(lambda: not agents(c), 10, "the end of all of the agent")
    c.build(admin, ws, "start")
    c.wait_agent(admin, ws)
    assert not agents(c) & first


def deleting_a_running_workspace_leaves_no_agent(c, admin, ws):
    """Which process to end stands in the folder that is deleted in the same build."""
    assert agents(c)
    build = c.build(admin, ws, "delete")
    lines = [x["output"] for x in admin.get(f"/api/v2/workspacebuilds/{build['id']}/logs")]
    order = [next(i for i, x in enumerate(lines) if x.startswith(start)) for start in (
        "terraform_data.process[0]: Destruction complete", "terraform_data.home: Destroying")]
    assert order == sorted(order), lines
    eventually(lambda: not agents(c), 10, "the end of all of the agent")
    assert not os.listdir(c.sub("workspaces"))


def main():
    with Cluster(provisioners=1) as c:
        admin = c.first_user()
        starter_workspace(c, admin)
        [ws] = admin.get("/api/v2/workspaces")["workspaces"]
        c.wait_agent(admin, ws)
        the_next_build_has_another(c, admin, ws)
        deleting_a_running_workspace_leaves_no_agent(c, admin, ws)


if __name__ == "__main__":
    main()
