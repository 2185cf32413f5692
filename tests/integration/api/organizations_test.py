#!/usr/bin/python3
"""Organizations: members and their roles, groups, provisioner keys; what an organization's administrator may and what
stays with the deployment's."""
from cluster import Cluster
from expect import answers, names

NOBODY = "00000000-0000-4000-8000-000000000000"


def organizations(c, admin, bea):
    first = answers(200, admin, "GET /organizations/default")
    assert first["name"] == "coder" and first["is_default"], first
    assert first["default_org_member_roles"] == ["organization-workspace-access"], first
    for spelling in (first["id"], "coder", "Coder", "00000000-0000-0000-0000-000000000000"):
        assert answers(200, bea, f"GET /organizations/{spelling}")["id"] == first["id"], spelling
    answers(404, admin, "GET /organizations/nosuch")

    lab = answers(201, admin, "POST /organizations", {"name": "lab", "description": "Trials"})
    assert lab["display_name"] == "lab" and not lab["is_default"], lab
    answers(409, admin, "POST /organizations", {"name": "LAB"}, field="name")
    answers(400, admin, "POST /organizations", {"name": "default"}, field="name")
    answers(400, admin, "POST /organizations", {"name": "new"}, field="name")
    answers(403, bea, "POST /organizations", {"name": "mine"})
    changed = answers(200, admin, "PATCH /organizations/lab", {"display_name": "Lab", "icon": "/l.svg"})
    assert (changed["display_name"], changed["icon"], changed["description"]) == ("Lab", "/l.svg", "Trials"), changed
    answers(400, admin, "PATCH /organizations/lab", {"default_org_member_roles": ["owner"]})

    # Whoever is not in it does not know of it.
    assert names(answers(200, bea, "GET /organizations"), "name") == ["coder"]
    assert names(answers(200, admin, "GET /organizations"), "name") == ["coder", "lab"]
    answers(404, bea, "GET /organizations/lab")
    answers(404, bea, "GET /users/me/organizations/lab")


def members(c, admin, bea):
    answers(404, bea, "GET /organizations/lab/members")
    added = answers(200, admin, "POST /organizations/lab/members/bea")
    assert added["user_id"] == bea.user["id"] and added["roles"] == [], added
    answers(400, admin, "POST /organizations/lab/members/bea")
    answers(404, admin, "POST /organizations/lab/members/nosuch")
    assert names(answers(200, bea, "GET /organizations/lab/members")) == ["admin", "bea"]
    # As unmodified clients write it.
    assert names(answers(200, bea, "GET /organizations/lab/members/")) == ["admin", "bea"]
    one = answers(200, bea, "GET /organizations/lab/members/bea")
    assert one["email"] == "bea@example.com" and one["global_roles"] == [] and one["status"] == "active", one
    answers(404, admin, "GET /organizations/lab/members/cy")
    page = answers(200, admin, "GET /organizations/lab/paginated-members?limit=1&offset=1")
    assert names(page["members"]) == ["bea"] and page["count"] == 2, page
    assert answers(200, admin, "GET /organizations/lab/paginated-members?offset=9") == {"members": [], "count": 0}
    assert names(answers(200, admin, "GET /organizations/lab/members?q=BEA")) == ["bea"]
    answers(400, admin, "GET /organizations/lab/members?q=colour:red", field="colour")
    assert names(answers(200, admin, "GET /organizations/coder/members")) == ["admin", "bea", "cy"]
    assert names(answers(200, admin, "GET /organizations/lab/members/me/workspaces/available-users")) == ["admin", "bea"]
    answers(404, bea, "GET /organizations/coder/members/me/workspaces/available-users")


def lists_know_their_parameters(c, admin):
    for path in ("/groups", "/organizations/coder/provisionerjobs", "/organizations/coder/provisionerdaemons",
                 "/users/me/autofill-parameters"):
        answers(400, admin, f"GET {path}?colour=red", field="colour")
    answers(200, admin, "GET /groups?has_member=me&organization=coder")
    answers(200, admin, "GET /organizations/coder/provisionerjobs?limit=1&status=failed&initiator=me")
    answers(200, admin, "GET /organizations/coder/provisionerdaemons?limit=1&offline=true&max_age=1h")


def member_roles(c, admin, bea):
    answers(403, bea, "PUT /organizations/lab/members/admin/roles", {"roles": []})
    given = answers(200, admin, "PUT /organizations/lab/members/bea/roles", {"roles": ["organization-admin"]})
    assert given["roles"] == [{"name": "organization-admin", "display_name": "Organization Admin"}], given
    answers(400, admin, "PUT /organizations/lab/members/bea/roles", {"roles": ["owner"]})
    answers(400, admin, "PUT /organizations/lab/members/bea/roles", {"roles": ["organization-member"]})
    answers(404, admin, "PUT /organizations/lab/members/cy/roles", {"roles": []})
    answers(400, bea, "PUT /organizations/lab/members/me/roles", {"roles": []})
    roles = answers(200, admin, "GET /users/bea/roles")
    assert sorted(roles["organization_roles"].values()) == [[], ["organization-admin"]], roles

    # She rules in the lab, nowhere else.
    answers(200, bea, "POST /organizations/lab/members/cy")
    answers(200, bea, "PUT /organizations/lab/members/cy/roles", {"roles": ["organization-user-admin"]})
    answers(403, bea, "POST /organizations/coder/groups", {"name": "g"})
    cy = c.login("cy@example.com")
    # A user admin of an organization gives no more than access to workspaces.
    answers(400, cy, "PUT /organizations/lab/members/bea/roles", {"roles": []})
    answers(400, cy, "PUT /organizations/lab/members/bea/roles",
            {"roles": ["organization-admin", "organization-auditor"]})
    answers(200, bea, "PUT /organizations/lab/members/cy/roles", {"roles": []})
    answers(204, bea, "DELETE /organizations/lab/members/cy")
    answers(404, bea, "DELETE /organizations/lab/members/cy")
    answers(400, bea, "DELETE /organizations/lab/members/me")


def groups(c, admin, bea):
    lab = answers(200, bea, "GET /organizations/lab")["id"]
    dev = answers(201, bea, "POST /organizations/lab/groups", {"name": "dev", "quota_allowance": 5})
    assert dev["members"] is None and dev["total_member_count"] == 0 and dev["source"] == "user", dev
    assert (dev["organization_name"], dev["quota_allowance"]) == ("lab", 5), dev
    answers(409, bea, "POST /organizations/lab/groups", {"name": "dev"}, field="name")
    answers(400, bea, "POST /organizations/lab/groups", {"name": "Everyone"}, field="name")
    answers(400, bea, "POST /organizations/lab/groups", {"name": "a b"}, field="name")
    answers(400, bea, "POST /organizations/lab/groups", {"name": "x", "quota_allowance": -1}, field="quota_allowance")
    path = f"/groups/{dev['id']}"
    cy = c.login("cy@example.com")
    answers(400, bea, f"PATCH {path}", {"add_users": [cy.user["id"]]})
    answers(400, bea, f"PATCH {path}", {"add_users": ["cy"]}, field="add_users")
    answers(400, bea, f"PATCH {path}", {"add_users": [bea.user["id"]] * 2}, field="add_users")
    patched = answers(200, bea, f"PATCH {path}", {"add_users": [bea.user["id"], admin.user["id"]], "name": "devs"})
    assert names(patched["members"]) == ["admin", "bea"] and patched["name"] == "devs", patched
    assert patched["quota_allowance"] == 5 and patched["total_member_count"] == 2, patched
    assert answers(200, bea, "GET /organizations/lab/groups/devs") == patched
    assert answers(200, bea, f"GET {path}?exclude_members=true")["members"] is None
    page = answers(200, bea, f"GET {path}/members?limit=1")
    assert names(page["users"]) == ["admin"] and page["count"] == 2, page
    assert names(answers(200, bea, "GET /organizations/lab/groups/devs/members?q=be")["users"]) == ["bea"]

    everyone = answers(200, bea, f"GET /groups/{lab}")
    assert everyone["name"] == "Everyone" and names(everyone["members"]) == ["admin", "bea"], everyone
    answers(400, bea, f"DELETE /groups/{lab}")
    answers(400, bea, f"PATCH /groups/{lab}", {"name": "all"})
    answers(403, bea, f"PATCH /groups/{lab}", {"remove_users": [bea.user["id"]]})
    assert answers(200, bea, f"PATCH /groups/{lab}", {"quota_allowance": 7})["quota_allowance"] == 7

    def seen(client, query=""):
        return sorted(g["name"] for g in answers(200, client, f"GET /groups{query}"))
    assert seen(admin) == ["Everyone", "Everyone", "devs"]
    assert seen(admin, "?organization=lab") == ["Everyone", "devs"]
    assert seen(admin, f"?organization=lab&has_member={cy.user['id']}") == []
    assert seen(admin, f"?group_ids={dev['id']}") == ["devs"]
    answers(400, admin, "GET /groups?group_ids=x", field="group_ids")
    # Cy is in the default organization only, and sees nobody else in its groups.
    assert seen(cy) == ["Everyone"]
    answers(404, cy, f"GET {path}")
    default = answers(200, cy, "GET /organizations/default/groups/Everyone")
    assert names(default["members"]) == ["cy"] and default["total_member_count"] == 3, default
    answers(403, cy, f"PATCH /groups/{default['id']}", {"quota_allowance": 1000})
    answers(200, bea, f"DELETE {path}")
    answers(404, bea, f"GET {path}")


def provisioner_keys(c, admin, bea):
    made = answers(201, bea, "POST /organizations/lab/provisionerkeys", {"name": "east", "tags": {"zone": "east"}})
    assert len(made["key"]) == 43 and made["key"].isalnum(), made
    answers(409, bea, "POST /organizations/lab/provisionerkeys", {"name": "east"}, field="name")
    answers(400, bea, "POST /organizations/lab/provisionerkeys", {"name": "psk"}, field="name")
    answers(403, c.login("cy@example.com"), "POST /organizations/coder/provisionerkeys", {"name": "x"})
    rows = answers(200, bea, "GET /organizations/lab/provisionerkeys")
    assert names(rows, "name") == ["east"] and rows[0]["tags"]["zone"] == "east", rows
    assert made["key"] not in str(rows), "the key is shown again"
    assert answers(200, bea, "GET /organizations/lab/provisionerkeys/daemons")[0]["daemons"] == []
    answers(204, bea, "DELETE /organizations/lab/provisionerkeys/east")
    answers(404, bea, "DELETE /organizations/lab/provisionerkeys/east")
    answers(400, bea, "DELETE /organizations/lab/provisionerkeys/psk")

    assert answers(200, bea, "GET /organizations/lab/provisionerdaemons?offline=true") == []
    assert answers(200, bea, "GET /organizations/lab/provisionerjobs") == []
    answers(400, bea, "GET /organizations/lab/provisionerjobs?status=done", field="status")
    answers(400, bea, "GET /organizations/lab/provisionerjobs?tags=x", field="tags")
    answers(400, bea, "GET /organizations/lab/provisionerdaemons?ids=x", field="ids")
    answers(404, bea, f"GET /organizations/lab/provisionerjobs/{NOBODY}")
    answers(404, bea, "GET /organizations/coder/provisionerjobs")


def deleted(c, admin, bea):
    answers(400, admin, "DELETE /organizations/coder")
    refused = answers(400, admin, "DELETE /organizations/lab")
    assert "1 other members" in refused["detail"], refused
    answers(204, admin, "DELETE /organizations/lab/members/bea")
    answers(404, bea, "GET /organizations/lab")
    answers(200, admin, "DELETE /organizations/lab")
    answers(404, admin, "GET /organizations/lab")
    answers(201, admin, "POST /organizations", {"name": "lab"})


def main():
    with Cluster(provisioners=0) as c:
        admin = c.first_user()
        bea = c.add_user("bea")
        c.add_user("cy")
        organizations(c, admin, bea)
        members(c, admin, bea)
        lists_know_their_parameters(c, admin)
        member_roles(c, admin, bea)
        groups(c, admin, bea)
        provisioner_keys(c, admin, bea)
        deleted(c, admin, bea)


if __name__ == "__main__":
    main()
