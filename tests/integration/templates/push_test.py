#!/usr/bin/python3
"""Templates from files to versions: what an import finds, what it says when it cannot, what it remembers."""
import io
import os
import re
import shutil
import tarfile
import tempfile
import urllib.parse

from cluster import bin_dir, eventually
from scenario import CODER, PLAIN, fields, org, run

VARIABLES = CODER + """
variable "region" {
  description = "Where machines are made."
  type        = string
}

variable "key" {
  type      = string
  sensitive = true
  default   = "none"
}

resource "terraform_data" "machine" {
  input = "${var.region} ${var.key}"
}
"""


def push(c, admin, files, **kwargs):
    """A version, whatever becomes of it."""
    v = c.push_version(admin, files if isinstance(files, dict) else {"main.tf": files}, wait=False, **kwargs)
    path = f"/api/v2/templateversions/{v['id']}"

    def ended():
        now = admin.get(path)
        return now if now["job"]["status"] in ("succeeded", "failed", "canceled") else None
    return eventually(ended, 60, "the end of the import")


def logs(admin, version):
    return admin.request("GET", f"/api/v2/templateversions/{version['id']}/logs?format=text").body.decode()


def an_import_finds_readme_and_resources(c, admin):
    v = push(c, admin, {"main.tf": PLAIN, "README.md": "# Words for people\n"})
    assert v["job"]["status"] == "succeeded", v["job"]
    assert v["readme"] == "# Words for people\n"
    resources = admin.get(f"/api/v2/templateversions/{v['id']}/resources")
    found = sorted((r["name"], r["workspace_transition"]) for r in resources)
    assert found == [("home", "start"), ("home", "stop"), ("machine", "start")], found
    assert v["template_id"] == "00000000-0000-0000-0000-000000000000"


def broken_hcl_fails_with_file_and_line(c, admin):
    v = push(c, admin, CODER + 'resource "terraform_data" {\n')
    assert v["job"]["status"] == "failed" and v["job"].get("error_code", "") == "", v["job"]
    assert "main.tf" in logs(admin, v) + v["job"]["error"], (v["job"]["error"], logs(admin, v))
    assert admin.request("GET", f"/api/v2/templateversions/{v['id']}/rich-parameters").status == 200


def an_unknown_provider_is_named(c, admin):
    v = push(c, admin, 'terraform {\n  required_providers {\n    x = {\n      source = "example.invalid/no/such"\n    }\n'
                       '  }\n}\n')
    assert v["job"]["status"] == "failed"
    assert "example.invalid/no/such" in logs(admin, v) + v["job"]["error"], v["job"]


def a_missing_variable_asks_for_it_and_values_are_remembered(c, admin):
    v = push(c, admin, VARIABLES)
    assert v["job"]["error_code"] == "REQUIRED_TEMPLATE_VARIABLES", v["job"]
    assert "region" in v["job"]["error"]
    asked = {x["name"]: x for x in admin.get(f"/api/v2/templateversions/{v['id']}/variables")}
    assert asked["region"]["required"] and not asked["key"]["required"]
    assert asked["region"]["description"] == "Where machines are made."

    v = push(c, admin, VARIABLES, user_variable_values=[{"name": "region", "value": "north"},
                                                        {"name": "key", "value": "secret-of-ours"}])
    assert v["job"]["status"] == "succeeded", v["job"]
    known = {x["name"]: x["value"] for x in admin.get(f"/api/v2/templateversions/{v['id']}/variables")}
    assert known == {"region": "north", "key": "*redacted*"}, known
    t = admin.post(f"/api/v2/organizations/{org(admin)}/templates",
                   {"name": "variables", "template_version_id": v["id"]})
    ws = c.make_workspace(admin, "variables", t)
    state = admin.request("GET", f"/api/v2/workspacebuilds/{ws['latest_build']['id']}/state").json()
    assert [r["instances"][0]["attributes"]["input"]["value"] for r in state["resources"]
            if r["type"] == "terraform_data"] == ["north secret-of-ours"]

    # The next version of the template needs no values again; one that is given replaces what was.
    v = push(c, admin, VARIABLES, template_id=t["id"], user_variable_values=[{"name": "region", "value": "south"}])
    assert v["job"]["status"] == "succeeded", v["job"]
    admin.patch(f"/api/v2/templates/{t['id']}/versions", {"id": v["id"]})
    built = c.build(admin, ws, "start", template_version_id=v["id"])
    state = admin.request("GET", f"/api/v2/workspacebuilds/{built['id']}/state").json()
    assert [r["instances"][0]["attributes"]["input"]["value"] for r in state["resources"]
            if r["type"] == "terraform_data"] == ["south secret-of-ours"]


def credentials_that_nobody_can_give_are_refused_unless_they_are_optional(c, admin):
    text = CODER + 'data "coder_external_auth" "git" {\n  id       = "forge"\n  optional = %s\n}\n'
    v = push(c, admin, text % "false")
    assert v["job"]["status"] == "failed" and v["job"]["error"].startswith(
        'external auth provider "forge" is not configured'), v["job"]
    v = push(c, admin, text % "true")
    assert v["job"]["status"] == "succeeded", v["job"]
    assert admin.get(f"/api/v2/templateversions/{v['id']}/external-auth") == []


def values_beside_the_template_go_along_and_their_files_do_not(c, admin):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        files = {"main.tf": "\ufeff" + VARIABLES, "terraform.tfvars": 'region = "north"\nkey = "hidden"\n',
                 "z.auto.tfvars.json": '{"region": "south"}'}
        for name, text in files.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        c.coder("templates", "push", "beside", "-d", folder, "-y", client=admin)
        t = admin.get(f"/api/v2/organizations/{org(admin)}/templates/beside")
        path = f"/api/v2/templateversions/{t['active_version_id']}"
        values = {x["name"]: x["value"] for x in admin.get(path + "/variables")}
        assert values == {"region": "south", "key": "*redacted*"}, values
        file_id = admin.get(path)["job"]["file_id"]
        with tarfile.open(fileobj=io.BytesIO(admin.request("GET", f"/api/v2/files/{file_id}").body)) as tar:
            assert [n for n in tar.getnames() if "tfvars" in n] == [], tar.getnames()
        c.coder("templates", "push", "beside", "-d", folder, "-y", "--variable", "region=west", client=admin)
        t = admin.get(f"/api/v2/organizations/{org(admin)}/templates/beside")
        values = {x["name"]: x["value"] for x in admin.get(f"/api/v2/templateversions/{t['active_version_id']}/variables")}
        assert values["region"] == "west", values


def a_local_module_comes_with_the_archive(c, admin):
    files = {"main.tf": CODER + 'module "part" {\n  source = "./part"\n  word   = "given"\n}\n',
             "part/main.tf": 'variable "word" {\n  type = string\n}\n\nresource "terraform_data" "inner" {\n'
                             "  input = var.word\n}\n"}
    t = c.push_template(admin, "module", files)
    ws = c.make_workspace(admin, "module", t)
    names = [r["name"] for r in ws["latest_build"]["resources"]]
    assert names == ["inner"], names


def a_provider_of_somebody_else_comes_from_the_mirror(c, admin):
    """Beside our own; its data is read when the template is imported, its word ends up in the state of the build."""
    text = CODER.replace('"coder/coder"\n    }', '"coder/coder"\n    }\n    other = {\n      source  = "example/other"\n'
                         '      version = "~> 1.2"\n    }') + """
data "coder_workspace" "seen" {
  provider = other
}

resource "terraform_data" "machine" {
  count = data.coder_workspace.seen.start_count
  input = data.coder_workspace.seen.name
}
"""
    ws = c.make_workspace(admin, "foreign", c.push_template(admin, "foreign", {"main.tf": text}))
    state = admin.request("GET", f"/api/v2/workspacebuilds/{ws['latest_build']['id']}/state").json()
    used = {r["provider"] for r in state["resources"]}
    assert 'provider["registry.terraform.io/example/other"]' in used, used
    made = [r["instances"][0]["attributes"]["input"]["value"] for r in state["resources"] if r["name"] == "machine"]
    assert made == ["foreign"], made
    # What the mirror does not have is not had from elsewhere.
    failed = push(c, admin, {"main.tf": text.replace("~> 1.2", "~> 2.0")})
    assert failed["job"]["status"] == "failed" and "example/other" in failed["job"]["error"], failed["job"]


def the_starter_is_an_example(c, admin):
    examples = admin.get("/api/v2/templates/examples")
    assert [e["id"] for e in examples] == ["local"] and examples[0]["name"] == "Local process", examples
    assert examples == admin.get("/api/v2/organizations/default/templates/examples")
    assert examples[0]["markdown"].startswith("# "), examples[0]["markdown"][:40]
    body = {"example_id": "local", "provisioner": "terraform", "storage_method": "file"}
    path = f"/api/v2/organizations/{org(admin)}/templateversions"
    first, second = admin.post(path, body), admin.post(path, body)
    assert first["job"]["file_id"] == second["job"]["file_id"], "the same bytes are one file"
    c.wait_version(admin, first["id"])
    raw = admin.request("GET", f"/api/v2/files/{first['job']['file_id']}").body
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        assert sorted(tar.getnames()) == ["README.md", "main.tf"]
    r = admin.request("POST", path, {**body, "example_id": "none-such"})
    assert r.status == 404, r
    r = admin.request("POST", path, {**body, "file_id": first["job"]["file_id"]})
    assert r.status == 400 and set(fields(r)) == {"file_id", "example_id"}, r


def source_is_for_those_who_may_read_the_template(c, admin):
    t = c.push_template(admin, "source", {"main.tf": PLAIN})
    version = admin.get(f"/api/v2/templateversions/{t['active_version_id']}")
    path = f"/api/v2/files/{version['job']['file_id']}"
    ben = c.add_user("ben")
    assert ben.request("GET", path).status == 200
    # The organization is no secret to its members, so they hear that they may not.
    for what, body in (("templateversions", {"file_id": version["job"]["file_id"], "storage_method": "file",
                                             "provisioner": "terraform"}),
                       ("templates", {"name": "bens", "template_version_id": version["id"]})):
        r = ben.request("POST", f"/api/v2/organizations/{org(ben)}/{what}", body)
        assert r.status == 403, r
    admin.patch(f"/api/v2/templates/{t['id']}", {"disable_everyone_group_access": True})
    assert ben.request("GET", f"/api/v2/templates/{t['id']}").status == 404
    assert ben.request("GET", path).status == 404
    admin.patch(f"/api/v2/templates/{t['id']}/acl", {"user_perms": {ben.user["id"]: "use"}})
    assert ben.request("GET", path).status == 200
    assert ben.request("PATCH", f"/api/v2/templates/{t['id']}", {"icon": "/x"}).status == 403
    admin.patch(f"/api/v2/templates/{t['id']}/acl", {"user_perms": {ben.user["id"]: "admin"}})
    assert ben.request("PATCH", f"/api/v2/templates/{t['id']}", {"icon": "/x"}).status == 200
    acl = admin.get(f"/api/v2/templates/{t['id']}/acl")
    assert [(u["username"], u["role"]) for u in acl["users"]] == [("ben", "admin")] and acl["group"] == [], acl
    available = admin.get(f"/api/v2/templates/{t['id']}/acl/available")
    assert "ben" in [u["username"] for u in available["users"]] and available["groups"][0]["name"] == "Everyone", available
    r = admin.request("PATCH", f"/api/v2/templates/{t['id']}/acl", {"user_perms": {org(admin): "use"}})
    assert r.status == 400 and "user_perms" in fields(r), r


def templates_are_found(c, admin):
    plain = c.push_template(admin, "find-plain", {"main.tf": PLAIN})
    named = c.push_template(admin, "find-named", {"main.tf": PLAIN}, display_name="Big Machine")
    c.add_user("author", roles=["template-admin"])

    def found(q):
        names = [t["name"] for t in admin.get(f"/api/v2/templates?q={urllib.parse.quote(q)}")]
        return [n for n in names if n.startswith("find-")]
    for q, names in (("find", ["find-plain"]), ("find-pl ain", ["find-plain"]), ("machine", ["find-named"]),
                     ("named", []), ("name:named", ["find-named"]), ('exact_display_name:"big machine"', ["find-named"]),
                     ("exact_display_name:big", []), ("exact_name:find-plain", ["find-plain"]),
                     (f"ids:{plain['id']},{named['id']}", ["find-named", "find-plain"]), (f"ids:{named['id']}", ["find-named"]),
                     ("author:me machine", ["find-named"]), (f"author_id:{admin.user['id']} find", ["find-plain"]),
                     ("author:author", []), ("author:nobody", []), ("deprecated:true", [])):
        assert found(q) == names, (q, found(q))
    for q, field in (("deprecated:maybe", "deprecated"), ("ids:x", "ids"), ("author_id:x", "author_id")):
        r = admin.request("GET", f"/api/v2/templates?q={q}")
        assert r.status == 400 and set(fields(r)) == {field}, r


def versions_are_tried_and_archived(c, admin):
    t = c.push_template(admin, "versions", {"main.tf": PLAIN})
    path = f"/api/v2/templateversions/{t['active_version_id']}"
    job = admin.post(path + "/dry-run", {"workspace_name": "what-if", "rich_parameter_values": []})
    run_path = f"{path}/dry-run/{job['id']}"
    assert admin.request("GET", run_path + "/resources").status in (200, 400)
    eventually(lambda: admin.get(run_path)["status"] == "succeeded", 30, "the dry run")
    assert sorted(r["name"] for r in admin.get(run_path + "/resources")) == ["home", "machine"]
    text = admin.request("GET", run_path + "/logs?format=text").body.decode()
    assert "Planning" in text and re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[info\] \[provisioner\|\w", text), text
    assert admin.request("PATCH", run_path + "/cancel").status == 400
    assert admin.get("/api/v2/workspaces")["count"] == len(admin.get("/api/v2/workspaces")["workspaces"])
    other = c.push_template(admin, "versions-other", {"main.tf": PLAIN})
    elsewhere = f"/api/v2/templateversions/{other['active_version_id']}/dry-run/{job['id']}"
    assert admin.request("GET", elsewhere).status == 404

    assert admin.request("POST", path + "/archive").status == 400, "it is active"
    newer = c.push_version(admin, {"main.tf": PLAIN + "\n# newer\n"}, template_id=t["id"])
    broken = push(c, admin, "nonsense {", template_id=t["id"])
    done = admin.post(f"/api/v2/templates/{t['id']}/versions/archive", {"all": False})
    assert done["archived_ids"] == [broken["id"]], done
    assert admin.post(f"/api/v2/templateversions/{newer['id']}/archive") == "template version archived"
    shown = [v["id"] for v in admin.get(f"/api/v2/templates/{t['id']}/versions")]
    assert shown == [t["active_version_id"]], shown
    assert admin.request("POST", f"/api/v2/templateversions/{newer['id']}/archive").status == 400
    r = admin.request("PATCH", f"/api/v2/templates/{t['id']}/versions", {"id": newer["id"]})
    assert r.status == 400, r
    assert admin.post(f"/api/v2/templateversions/{newer['id']}/unarchive") == "template version unarchived"
    admin.patch(f"/api/v2/templates/{t['id']}/versions", {"id": newer["id"]})


with tempfile.TemporaryDirectory() as mirror:
    os.chmod(mirror, 0o755)
    other = os.path.join(mirror, "registry.terraform.io/example/other/1.2.3/linux_amd64")
    os.makedirs(other)
    shutil.copy(os.path.join(bin_dir(), "terraform-provider-coder"), os.path.join(other, "terraform-provider-other"))
    run(an_import_finds_readme_and_resources, broken_hcl_fails_with_file_and_line, an_unknown_provider_is_named,
        a_missing_variable_asks_for_it_and_values_are_remembered,
        credentials_that_nobody_can_give_are_refused_unless_they_are_optional,
        values_beside_the_template_go_along_and_their_files_do_not, a_local_module_comes_with_the_archive,
        a_provider_of_somebody_else_comes_from_the_mirror, the_starter_is_an_example,
        source_is_for_those_who_may_read_the_template, templates_are_found, versions_are_tried_and_archived,
        provisionerd_env={"CODER_PROVISIONER_PROVIDER_MIRROR": mirror})
