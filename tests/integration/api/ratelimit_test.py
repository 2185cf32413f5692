#!/usr/bin/python3
"""Rate limits: so many requests a minute for one caller and path; owners may ask to be spared."""
from cluster import Cluster
from expect import answers

LOGIN_LIMIT = 60


def main():
    with Cluster(provisioners=0, coderd_env={"CODER_DANGEROUS_DISABLE_RATE_LIMITS": "false"}) as c:
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
        # Other paths count for themselves.
        answers(200, bea, "GET /users/me")
        spared = {"X-Coder-Bypass-Ratelimit": "true"}
        answers(200, admin, "GET /users/me", headers=spared)
        answers(428, bea, "GET /users/me", headers=spared)


if __name__ == "__main__":
    main()
