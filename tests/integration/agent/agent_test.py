"""The agent as a process of its own against a real deployment: it starts, runs its scripts, reports, and stops."""
import os
import signal

from cluster import Cluster, eventually

TEMPLATE = '''
terraform {
  required_providers { coder = { source = "coder/coder" } }
}
data "coder_workspace" "me" {}
data "coder_workspace_owner" "me" {}
resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64"
  dir  = "%(dir)s"
  env  = { FROM_TEMPLATE = "a$${CODER}b" }
  metadata {
    key          = "answer"
    display_name = "Answer"
    script       = "echo 42; echo $FROM_TEMPLATE"
    interval     = 1
    timeout      = 5
  }
}
resource "coder_script" "start" {
  agent_id     = coder_agent.main.id
  display_name = "start"
  run_on_start = true
  script       = <<EOT
    #!/bin/sh
    echo "started in $(pwd)"
    echo complaint >&2
    echo "$CODER_WORKSPACE_NAME $CODER_SCRIPT_DATA_DIR" > %(dir)s/started
  EOT
}
resource "coder_script" "stop" {
  agent_id     = coder_agent.main.id
  display_name = "stop"
  run_on_stop  = true
  script       = "echo stopped > %(dir)s/stopped"
}
resource "coder_app" "web" {
  agent_id = coder_agent.main.id
  slug     = "web"
  url      = "http://127.0.0.1:%(port)d"
  healthcheck {
    url       = "http://127.0.0.1:%(port)d/"
    interval  = 1
    threshold = 1
  }
}
resource "terraform_data" "host" {
  count            = data.coder_workspace.me.start_count
  triggers_replace = coder_agent.main.id
  provisioner "local-exec" {
    command     = "printenv TOKEN > %(dir)s/token"
    environment = { TOKEN = coder_agent.main.token }
  }
}
'''


class WebServer:
    """Something in the workspace that an app's health check can ask."""

    def __enter__(self):
        import http.server
        import threading

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(404)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    @property
    def port(self):
        return self.server.server_address[1]

    def __exit__(self, *args):
        self.server.shutdown()


def agent_of(cluster, folder, name="agent", **env):
    """The agent of the only workspace, as its init script would start it."""
    token = open(folder + "/token").read().strip()
    home = cluster.sub(name + "-home")
    return cluster.add(name, [cluster.path("coder-agent"), "agent", "--log-dir", home, "--script-data-dir", home],
                       {"CODER_AGENT_URL": cluster.url, "CODER_AGENT_TOKEN": token, "HOME": home, **env})


def main():
    with Cluster(provisioners=1) as c, WebServer() as web:
        folder = str(c.sub("workspace"))
        admin = c.first_user()
        template = c.push_template(admin, "t", {"main.tf": TEMPLATE % {"dir": folder, "port": web.port}})
        ws = c.make_workspace(admin, "dev", template)
        agent = agent_of(c, folder)
        agent.start()
        a = c.wait_agent(admin, ws)

        assert open(folder + "/started").read().split()[0] == "dev"
        assert a["expanded_directory"] == folder, a["expanded_directory"]
        assert a["version"].startswith("v2."), a["version"]
        # Whoever sees that the agent is ready finds what its scripts said.
        lines = admin.get(f"/api/v2/workspaceagents/{a['id']}/logs")
        text = {line["output"]: line["level"] for line in lines}
        assert text.get("started in " + folder) == "info" and text.get("complaint") == "error", text

        def metadata():
            return c.psql("SELECT value FROM workspace_agent_metadata_values WHERE key = 'answer'") == "42\natrueb"
        eventually(metadata, 30, "the metadata's value")
        eventually(lambda: c.agents(admin, ws)[0]["apps"][0]["health"] == "healthy", 30, "a healthy app")

        c["coderd"].kill()
        c["coderd"].start()
        c.wait_ready()
        agent.wait_log("the tunnel to coderd is up", count=2, seconds=60)
        agent.wait_log("connected to coderd", count=2, seconds=60)
        assert agent.running

        assert agent.stop(signal.SIGTERM, seconds=40) == 0
        assert open(folder + "/stopped").read() == "stopped\n"
        eventually(lambda: c.agents(admin, ws)[0]["lifecycle_state"] == "off", 10, "lifecycle off")

        # Without coderd, a new process still knows what to do when it is told to stop.
        os.remove(folder + "/stopped")
        c["coderd"].kill()
        before = agent.log().count("not connected to coderd")
        agent.start()
        agent.wait_log("not connected to coderd", count=before + 1)
        assert agent.stop(signal.SIGTERM, seconds=40) == 0
        assert open(folder + "/stopped").read() == "stopped\n"
        c["coderd"].start()
        c.wait_ready()


if __name__ == "__main__":
    main()
