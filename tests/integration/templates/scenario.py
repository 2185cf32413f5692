"""Runs the functions of a scenario file one after the other over one deployment, each named by what it shows."""
import sys
import traceback

from cluster import Cluster

# Beginning of every template here.
CODER = """
terraform {
  required_providers {
    coder = {
      source = "coder/coder"
    }
  }
}

data "coder_workspace" "me" {}
"""

# Something to build: what stays, and what there is only while the workspace runs.
PLAIN = CODER + """
resource "terraform_data" "home" {
  input = data.coder_workspace.me.name
}

resource "terraform_data" "machine" {
  count = data.coder_workspace.me.start_count
  input = terraform_data.home.id
}
"""


def fields(response):
    """Of a refusal: {field: detail}."""
    return {v["field"]: v["detail"] for v in response.json().get("validations", [])}


def org(client):
    return client.user["organization_ids"][0]


def run(*functions, **cluster):
    """Each gets the deployment and its first user. An argument on the command line picks some by name."""
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    failed = []
    with Cluster(**cluster) as c:
        admin = c.first_user()
        for f in functions:
            if only not in f.__name__:
                continue
            print(f.__name__.replace("_", " "), flush=True)
            try:
                f(c, admin)
            except Exception:  # pylint: disable=broad-except
                traceback.print_exc()
                failed.append(f.__name__)
        assert not failed, f"failed: {failed}"
