#!/usr/bin/python3
"""Rate limits: so many requests a minute for one caller and path; owners may ask to be spared."""
import http.client
import json

from cluster import Cluster
from expect import answers

LOGIN_LIMIT = 60


def forwarded(c, path, body, *values):
    """The status of a request that came with these X-Forwarded-For headers."""
    conn = http.client.HTTPConnection("127.0.0.1", c.port, timeout=30)
    text = json.dumps(body)
    conn.putrequest("POST", path)
    for value in values:
        conn.putheader("X-Forwarded-For", value)
    conn.putheader("Content-Length", str(len(text)))
    conn.endheaders(text.encode())
    status = conn.getresponse().status
    conn.close()
    return status


def main():
    with Cluster(provisioners=0, coderd_env={"CODER_DANGEROUS_DISABLE_RATE_LIMITS": "false",
                                             "CODER_PROXY_TRUSTED_ORIGINS": "127.0.0.0/8"}) as c:
        admin, anyone = c.first_user(), c.client()
        bea = c.add_user("bea")
        path, body = "/api/v2/users/validate-password", {"password": "x"}
        passed = 0
        while (refused := anyone.request("POST", path, body)).status == 200:
            passed += 1
        # Where a minute ends in between, what was asked before it counts a little less.
        assert LOGIN_LIMIT <= passed <= LOGIN_LIMIT + 2 and refused.status == 429, (passed, refused)
        assert refused.json()["message"] == \
            f"You've been rate limited for sending more than {LOGIN_LIMIT} requests in 1m0s.", refused
        assert refused.headers["X-RateLimit-Limit"] == str(LOGIN_LIMIT), refused.headers
        assert refused.headers["X-RateLimit-Remaining"] == "0", refused.headers
        assert 1 <= int(refused.headers["Retry-After"]) <= 60, refused.headers
        # Another way to write the path is no other path, and what a client says of its own address does not count
        # beside what the nearest proxy says; of an IPv6 address, its network counts.
        answers(429, anyone, "POST //users///validate-password", body)
        for made_up in ("192.0.2.7", "192.0.2.8, 192.0.2.9"):
            assert forwarded(c, path, body, made_up, "127.0.0.1") == 429, made_up
        assert forwarded(c, path, body, "192.0.2.7") == 200
        assert forwarded(c, path, body, "not an address") == 429
        while forwarded(c, path, body, "2001:db8:1:2::1") == 200:
            pass
        assert forwarded(c, path, body, "2001:db8:1:2:ffff::2") == 429
        assert forwarded(c, path, body, "2001:db8:1:3::1") == 200
        # A password is not tried more often by another of a user's names.
        wrong = {"password": "x", "old_password": "wrong"}
        names = ["me", "bea", "BEA", "b%65a", bea.user["id"]]
        got = [bea.request("PUT", f"/api/v2/users/{names[i % len(names)]}/password", wrong).status
               for i in range(LOGIN_LIMIT + 5)]
        assert got[0] == 400 and got[-1] == 429, got
        # Other paths count for themselves.
        answers(200, bea, "GET /users/me")
        spared = {"X-Coder-Bypass-Ratelimit": "true"}
        answers(200, admin, "GET /users/me", headers=spared)
        answers(428, bea, "GET /users/me", headers=spared)


if __name__ == "__main__":
    main()
