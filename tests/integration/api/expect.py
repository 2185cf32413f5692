"""How scenarios of the API read: answers(status, client, "METHOD /path", body) gives the JSON of that answer, and fails
when the status is another one. field= names the field that a refusal must be about."""
import json


def answers(status, client, request, body=None, field=None, **kwargs):
    method, path = request.split(" ", 1)
    r = client.request(method, "/api/v2" + path, body, **kwargs)
    assert r.status == status, f"{request} {body or ''}: expected {status}, got {r.status} {r.body[:600]!r}"
    got = json.loads(r.body) if r.body and "json" in r.headers.get("Content-Type", "") else None
    if status >= 400 and got is not None:
        assert got["message"], f"{request}: a refusal without a message"
    if field:
        fields = [v["field"] for v in got.get("validations", [])]
        assert field in fields, f"{request}: expected a complaint about {field}, got {got}"
    return got


def names(rows, key="username"):
    return [row[key] for row in rows]
