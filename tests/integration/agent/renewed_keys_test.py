"""Keys of the deployment follow one another while everything runs: the next one is made a day before its use, agents that
stay connected hear of it, and sessions and builds go on when the first one is gone."""
import os

from cluster import ROOT, Cluster

CHANGED = "other keys sign stream tickets"
KEYS = "SELECT feature, sequence, starts_at > now() + interval '23 hours', deletes_at > starts_at FROM crypto_keys ORDER BY 1, 2"


def main():
    with open(os.path.join(ROOT, "services/coder/templates/local/main.tf"), encoding="utf-8") as f:
        text = f.read()
    with Cluster() as c:
        admin = c.first_user()
        template = c.push_template(admin, "local", {"main.tf": text.replace("/tmp/coder-workspaces", c.sub("workspaces"))})
        dev = c.make_workspace(admin, "dev", template)
        c.wait_agent(admin, dev)

        def says_hi():
            assert c.coder("ssh", "dev", "--", "echo", "hi", client=admin).stdout == "hi\n"

        says_hi()
        c.psql("UPDATE crypto_keys SET starts_at = now() - interval '91 days'")
        c["coderd"].wait_log(CHANGED, seconds=90)
        # The one with which secrets are made up for unknown names stays.
        assert c.psql(KEYS).splitlines() == ["psk_fake|1|f|", "rpc_ticket|1|f|t", "rpc_ticket|2|t|",
                                             "stream_ticket|1|f|t", "stream_ticket|2|t|"], c.psql(KEYS)
        says_hi()
        # A day later, and another.
        c.psql("UPDATE crypto_keys SET starts_at = now() WHERE sequence = 2;"
               "UPDATE crypto_keys SET deletes_at = now() WHERE sequence = 1 AND feature <> 'psk_fake'")
        c["coderd"].wait_log(CHANGED, seconds=90, count=2)
        says_hi()
        build = admin.post(f"/api/v2/workspaces/{dev['id']}/builds", {"transition": "stop"})
        c.wait_build(admin, build["id"])


if __name__ == "__main__":
    main()
