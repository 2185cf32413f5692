#!/usr/bin/python3
"""Parameters: what a form shows, which values a build takes, and what it remembers of the build before."""
import json

from follow import Closed, WebSocket
from scenario import CODER, fields, org, run

TEMPLATE = CODER + """
data "coder_parameter" "size" {
  name    = "size"
  type    = "number"
  default = 3
  mutable = true

  validation {
    min       = 1
    max       = 9
    monotonic = "increasing"
  }
}

data "coder_parameter" "region" {
  name = "region"
  type = "string"

  option {
    name  = "North"
    value = "north"
  }
  option {
    name  = "South"
    value = "south"
  }
}

data "coder_parameter" "word" {
  name    = "word"
  type    = "string"
  default = "abc"
  mutable = true

  validation {
    regex = "^[\\\\w-.]+$"
    error = "Letters, dots and hyphens only."
  }
}

data "coder_parameter" "flag" {
  name      = "flag"
  order     = 1
  type      = "bool"
  default   = false
  mutable   = true
  ephemeral = true
}

resource "terraform_data" "seen" {
  input = jsonencode([
    data.coder_parameter.size.value, data.coder_parameter.region.value, data.coder_parameter.word.value,
    data.coder_parameter.flag.value
  ])
}
"""


def pairs(**values):
    return [{"name": k, "value": v} for k, v in values.items()]


def seen(admin, build_id):
    """What terraform saw."""
    state = admin.request("GET", f"/api/v2/workspacebuilds/{build_id}/state").json()
    resource = [r for r in state["resources"] if r["name"] == "seen"][0]
    return json.loads(resource["instances"][0]["attributes"]["output"]["value"])


def template(c, admin):
    found = [t for t in admin.get("/api/v2/templates") if t["name"] == "parameters"]
    return found[0] if found else c.push_template(admin, "parameters", {"main.tf": TEMPLATE})


def the_import_has_stored_them(c, admin):
    t = template(c, admin)
    p = {x["name"]: x for x in admin.get(f"/api/v2/templateversions/{t['active_version_id']}/rich-parameters")}
    assert list(p) == ["region", "size", "word", "flag"], "by order, then by name"
    assert (p["size"]["type"], p["size"]["validation_min"], p["size"]["validation_max"]) == ("number", 1, 9)
    assert p["region"]["required"] and [o["value"] for o in p["region"]["options"]] == ["north", "south"]
    assert p["flag"]["ephemeral"] and p["flag"]["default_value"] == "false"


def bad_values_are_named_one_by_one(c, admin):
    t = template(c, admin)
    bad = [({"region": "north", "size": "12"}, "size"), ({"region": "north", "size": "many"}, "size"),
           ({"region": "east"}, "region"), ({}, "region"), ({"region": "north", "word": "A B"}, "word"),
           ({"region": "north", "flag": "yes"}, "flag")]
    for values, field in bad:
        r = admin.request("POST", "/api/v2/users/me/workspaces",
                          {"name": "refused", "template_id": t["id"], "rich_parameter_values": pairs(**values)})
        assert r.status == 400 and set(fields(r)) == {field}, (values, r)
    r = admin.request("POST", "/api/v2/users/me/workspaces",
                      {"name": "refused", "template_id": t["id"],
                       "rich_parameter_values": pairs(size="0", word="!", region="north")})
    assert set(fields(r)) == {"size", "word"} and fields(r)["word"] == "Letters, dots and hyphens only.", r
    assert admin.request("GET", "/api/v2/users/me/workspace/refused").status == 404, "nothing was made"


def values_are_carried_over(c, admin):
    t = template(c, admin)
    ws = c.make_workspace(admin, "carried", t, {"region": "south", "size": "4", "flag": "true"})
    assert seen(admin, ws["latest_build"]["id"]) == ["4", "south", "abc", "true"]
    b = c.build(admin, ws, "start", rich_parameter_values=pairs(word="x-y.z"))
    assert seen(admin, b["id"]) == ["4", "south", "x-y.z", "false"], "an ephemeral value is for one build"
    refused = [("region", pairs(region="north")), ("size", pairs(size="2"))]
    for field, values in refused:
        r = admin.request("POST", f"/api/v2/workspaces/{ws['id']}/builds",
                          {"transition": "start", "rich_parameter_values": values})
        assert r.status == 400 and set(fields(r)) == {field}, r
    b = c.build(admin, ws, "start", rich_parameter_values=pairs(size="9", unknown="x"))
    assert seen(admin, b["id"])[0] == "9"
    stored = {p["name"]: p["value"] for p in admin.get(f"/api/v2/workspacebuilds/{b['id']}/parameters")}
    assert stored == {"size": "9", "region": "south", "word": "x-y.z", "flag": "false"}, stored


def the_form_is_evaluated(c, admin):
    t = template(c, admin)
    path = f"/api/v2/templateversions/{t['active_version_id']}/dynamic-parameters"
    assert admin.request("GET", path).status == 426
    out = admin.post(path + "/evaluate", {"id": 7, "inputs": {"size": "99", "region": "north"}})
    p = {x["name"]: x for x in out["parameters"]}
    assert out["id"] == 0 and out["diagnostics"] == []
    assert [d["severity"] for d in p["size"]["diagnostics"]] == ["error"] and p["region"]["diagnostics"] == []
    assert (p["size"]["form_type"], p["region"]["form_type"], p["flag"]["form_type"]) == ("input", "radio", "checkbox")
    assert p["region"]["value"] == {"value": "north", "valid": True}
    with WebSocket(admin, path) as ws:
        first = json.loads(ws.next())
        p = {x["name"]: x for x in first["parameters"]}
        assert first["id"] == -1 and p["region"]["diagnostics"][0]["extra"]["code"] == "required", p["region"]
        assert p["region"]["value"]["valid"] is False
        ws.send(json.dumps({"id": 1, "inputs": {"region": "south"}}))
        answer = json.loads(ws.next())
        assert answer["id"] == 1 and not any(x["diagnostics"] for x in answer["parameters"])
        ws.send(json.dumps({"id": 2, "inputs": {}, "owner_id": t["id"]}))
        answer = json.loads(ws.next())
        assert answer["diagnostics"][0]["extra"]["code"] == "owner_not_found", answer["diagnostics"]
        ws.send("not JSON")
        assert json.loads(ws.next())["diagnostics"], "a broken request is answered, the form goes on"
        ws.send((1000).to_bytes(2, "big"), 8)
        try:
            ws.next()
            raise AssertionError("the server did not close")
        except Closed:
            assert ws.code == 1000


CONDITIONAL = CODER + """
data "coder_workspace_owner" "me" {}

data "coder_parameter" "kind" {
  name    = "kind"
  default = "plain"
  mutable = true

  dynamic "option" {
    for_each = concat(["plain", "gpu"], data.coder_workspace_owner.me.groups)
    content {
      name  = option.value
      value = option.value
    }
  }
}

data "coder_parameter" "cards" {
  count   = data.coder_parameter.kind.value == "gpu" ? 1 : 0
  name    = "cards"
  type    = "number"
  default = jsondecode(file("sizes.json")).cards
  mutable = true
  styling = jsonencode({ placeholder = "how many" })

  validation {
    min = 1
    max = 4
  }
}

resource "terraform_data" "seen" {
  input = jsonencode([data.coder_parameter.kind.value, try(data.coder_parameter.cards[0].value, "none")])
}
"""


def parameters_that_depend_on_others_come_and_go(c, admin):
    t = c.push_template(admin, "conditional", {"main.tf": CONDITIONAL, "sizes.json": '{"cards": 2}'})
    path = f"/api/v2/templateversions/{t['active_version_id']}/dynamic-parameters/evaluate"
    out = admin.post(path, {"id": 1, "inputs": {}})
    assert [p["name"] for p in out["parameters"]] == ["kind"], out
    assert [o["value"]["value"] for o in out["parameters"][0]["options"]] == ["plain", "gpu", "Everyone"]
    out = admin.post(path, {"id": 2, "inputs": {"kind": "gpu"}})
    cards = {p["name"]: p for p in out["parameters"]}["cards"]
    assert cards["value"] == {"value": "2", "valid": True} and cards["styling"]["placeholder"] == "how many", cards
    assert not any(p["diagnostics"] for p in out["parameters"]), out

    ws = c.make_workspace(admin, "depends", t, {"kind": "gpu", "cards": "3"})
    assert seen(admin, ws["latest_build"]["id"]) == ["gpu", "3"]
    b = c.build(admin, ws, "start")
    assert seen(admin, b["id"]) == ["gpu", "3"]
    r = admin.request("POST", f"/api/v2/workspaces/{ws['id']}/builds",
                      {"transition": "start", "rich_parameter_values": pairs(cards="9")})
    assert r.status == 400 and set(fields(r)) == {"cards"}, r
    b = c.build(admin, ws, "start", rich_parameter_values=pairs(kind="plain"))
    assert seen(admin, b["id"]) == ["plain", "none"]
    assert [p["name"] for p in admin.get(f"/api/v2/workspacebuilds/{b['id']}/parameters")] == ["kind"]
    c.build(admin, ws, "delete")
    c.coder("create", "typed", "--template", "conditional", "-y", "--parameter", "kind=gpu", "--parameter", "cards=4",
            client=admin)
    typed = admin.get("/api/v2/users/me/workspace/typed")
    assert seen(admin, typed["latest_build"]["id"]) == ["gpu", "4"]
    r = c.coder("create", "refused", "--template", "conditional", "-y", "--parameter", "kind=plain", "--parameter",
                "cards=4", client=admin, check=False)
    assert r.returncode == 1 and "not present in the template" in r.stderr, r

    # From a file as well, and of what was typed twice the last one.
    with open(f"{c.dir}/conditional.yaml", "w", encoding="ascii") as f:
        f.write("kind: gpu\ncards: 3\nof_another_template: x\n")
    c.coder("create", "filed", "--template", "conditional", "-y", "--rich-parameter-file", f"{c.dir}/conditional.yaml",
            client=admin)
    ws = admin.get("/api/v2/users/me/workspace/filed")
    assert seen(admin, ws["latest_build"]["id"]) == ["gpu", "3"]
    c.coder("create", "typed-over", "--template", "conditional", "-y", "--rich-parameter-file",
            f"{c.dir}/conditional.yaml", "--parameter", "cards=1", "--parameter", "cards=4", client=admin)
    ws = admin.get("/api/v2/users/me/workspace/typed-over")
    assert seen(admin, ws["latest_build"]["id"]) == ["gpu", "4"]


CHANGING = CODER + """
data "coder_parameter" "region" {
  name    = "region"
  default = "%(first)s"
  mutable = true

  dynamic "option" {
    for_each = ["%(first)s", "%(second)s"]
    content {
      name  = option.value
      value = option.value
    }
  }
}

data "coder_parameter" "size" {
  name    = "size"
  type    = "number"
  mutable = true
}

resource "terraform_data" "seen" {
  input = jsonencode([data.coder_parameter.region.value, data.coder_parameter.size.value])
}
"""


def an_update_takes_a_value_for_what_is_no_longer_offered(c, admin):
    t = c.push_template(admin, "changing", {"main.tf": CHANGING % {"first": "eu", "second": "us"}})
    ws = c.make_workspace(admin, "moved", t, {"region": "us", "size": "2"})
    v = c.push_version(admin, {"main.tf": CHANGING % {"first": "ch", "second": "cn"}}, template_id=t["id"])
    admin.patch(f"/api/v2/templates/{t['id']}/versions", {"id": v["id"]})
    r = c.coder("update", "moved", client=admin, check=False)
    assert r.returncode == 1 and "--parameter region=" in r.stderr, r
    assert admin.get(f"/api/v2/workspaces/{ws['id']}")["latest_build"]["status"] == "running", "nothing was stopped"
    r = c.coder("update", "moved", "--parameter", "region=cn", "--parameter", "size=9", client=admin)
    assert 'Parameter "size" keeps the value "2" of the last build' in r.stderr, r.stderr
    latest = admin.get(f"/api/v2/workspaces/{ws['id']}")["latest_build"]
    assert seen(admin, latest["id"]) == ["cn", "2"], latest
    # Asked for all of them, with nobody to answer: -y means those that there are.
    c.coder("stop", "moved", "-y", client=admin)
    c.coder("start", "moved", "-y", "--always-prompt", "--parameter", "region=ch", client=admin)
    latest = admin.get(f"/api/v2/workspaces/{ws['id']}")["latest_build"]
    assert seen(admin, latest["id"]) == ["ch", "2"], latest


def presets_are_as_the_template_has_them(c, admin):
    text = CODER + """
data "coder_parameter" "size" {
  name    = "size"
  default = "small"
}

data "coder_workspace_preset" "plain" {
  name       = "Plain"
  parameters = { size = "small" }
}

data "coder_workspace_preset" "ready" {
  name        = "Ready"
  description = "Machines that wait."
  default     = true
  parameters  = { size = "large" }
  prebuilds {
    instances = 2
  }
}
"""
    v = c.push_version(admin, {"main.tf": text})
    plain, ready = admin.get(f"/api/v2/templateversions/{v['id']}/presets")
    assert plain["DesiredPrebuildInstances"] is None and not plain["Default"], plain
    assert ready["DesiredPrebuildInstances"] == 2 and ready["Default"], ready
    assert ready["Parameters"] == [{"Name": "size", "Value": "large"}], ready


def tags_of_the_template_choose_the_provisioner(c, admin):
    text = CODER + """
variable "zone" {
  default = "north"
}

data "coder_parameter" "size" {
  name    = "size"
  default = "small"
  mutable = true
}

data "coder_workspace_tags" "tags" {
  tags = {
    zone  = var.zone
    size  = data.coder_parameter.size.value
    scope = "user"
  }
}
"""
    v = c.push_version(admin, {"main.tf": text}, wait=False)
    expected = {"owner": "", "scope": "organization", "zone": "north", "size": "small"}
    assert v["job"]["tags"] == expected, v["job"]["tags"]
    assert v["matched_provisioners"]["count"] == 0, "none has these tags"
    c.add_provisionerd(1, CODER_PROVISIONERD_TAGS="zone=north,size=small").start()
    c.wait_version(admin, v["id"])
    t = admin.post(f"/api/v2/organizations/{org(admin)}/templates", {"name": "tags", "template_version_id": v["id"]})
    ws = c.make_workspace(admin, "tagged", t)
    assert ws["latest_build"]["job"]["tags"] == expected
    ws = c.make_workspace(admin, "elsewhere", t, {"size": "large"}, wait=False)
    assert ws["latest_build"]["job"]["tags"] == expected | {"size": "large"}, ws["latest_build"]["job"]["tags"]


run(tags_of_the_template_choose_the_provisioner, parameters_that_depend_on_others_come_and_go,
    an_update_takes_a_value_for_what_is_no_longer_offered, presets_are_as_the_template_has_them,
    the_import_has_stored_them, bad_values_are_named_one_by_one, values_are_carried_over, the_form_is_evaluated)
