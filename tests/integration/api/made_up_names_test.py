#!/usr/bin/python3
"""Names that the server makes up: one that is taken is not the client's business."""
from cluster import Cluster
from expect import answers

VERSION = {"example_id": "local", "storage_method": "file", "provisioner": "terraform"}

# The database says of the first names that they are taken; the sequence outlives what is rolled back.
TAKEN = """
CREATE SEQUENCE taken_{table};
CREATE FUNCTION taken_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('taken_{table}') <= {times} THEN
        RAISE unique_violation USING CONSTRAINT = '{constraint}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER taken BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION taken_{table}();
"""


def take(c, table, constraint, times):
    c.psql(TAKEN.format(table=table, constraint=constraint, times=times))


def asked(c, table):
    return int(c.psql(f"SELECT last_value FROM taken_{table}"))


def main():
    with Cluster(provisioners=0) as c:
        admin = c.first_user()
        versions = f"POST /organizations/{admin.user['organization_ids'][0]}/templateversions"
        take(c, "template_versions", "template_versions_name_key", 3)
        assert answers(201, admin, versions, VERSION)["name"]
        assert asked(c, "template_versions") == 4
        assert c.psql("SELECT count(*) FROM provisioner_jobs") == "1"
        take(c, "api_keys", "api_keys_token_name_key", 3)
        answers(201, admin, "POST /users/me/keys/tokens", {})
        assert asked(c, "api_keys") == 4
        assert c.psql("SELECT count(*) FROM api_keys WHERE login_type = 'token' AND token_name <> ''") == "1"
        # A name that the client has chosen is tried once.
        c.psql("SELECT setval('taken_api_keys', 1), setval('taken_template_versions', 1)")
        answers(409, admin, "POST /users/me/keys/tokens", {"token_name": "ci"}, field="name")
        answers(409, admin, versions, {**VERSION, "name": "v1"}, field="name")
        assert (asked(c, "api_keys"), asked(c, "template_versions")) == (2, 2)


if __name__ == "__main__":
    main()
