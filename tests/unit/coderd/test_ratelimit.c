/* Whom a limit counts together, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/ratelimit.h"
#include "app.h"

#define API   512
#define LOGIN 60
#define FILES 12

static const struct route api = {.path = "/api/v2/things/{thing}", .limit = LIMIT_API};
static const struct route other = {.path = "/api/v2/others/{other}", .limit = LIMIT_API};
static const struct route login = {.path = "/api/v2/login/{name}", .limit = LIMIT_LOGIN};
static const struct route files = {.path = "/api/v2/files", .limit = LIMIT_FILES};
static const struct route boundless = {.path = "/healthz", .limit = LIMIT_NONE};

struct fixture {
    struct coderd app;
    cm_usec now; /* a minute begins */
};

static void start(struct fixture *f, bool enabled)
{
    *f = (struct fixture){.app = {.limits = ratelimit_new(enabled)}, .now = 1000 * CM_MINUTE};
}

static void stop(struct fixture *f)
{
    ratelimit_free(f->app.limits);
}

struct caller {
    const char *ip;
    const struct subject *who;
    const char *param;
    const char *bypass; /* X-Coder-Bypass-Ratelimit */
};

/* The status that one request is refused with, or 0. */
static int ask(struct fixture *f, const struct route *route, struct caller c)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_http_header h = {CM_STR("X-Coder-Bypass-Ratelimit"), cm_str(c.bypass)};
    struct cm_http_req http = {.head = {.headers = &h, .n_headers = c.bypass ? 1 : 0}};
    struct api_req r = {.app = &f->app,
                        .http = &http,
                        .arena = a,
                        .route = route,
                        .who = c.who,
                        .params = {cm_str(c.param)}};
    snprintf(r.client_ip, sizeof(r.client_ip), "%s", c.ip);
    bool passed = ratelimit_pass(&r, f->now);
    assert_int_equal(passed, r.reply.status == 0);
    return r.reply.status;
}

/* How many pass before the first one is refused. */
static int passing(struct fixture *f, const struct route *route, struct caller c)
{
    int n = 0, status;
    while ((status = ask(f, route, c)) == 0 && n <= 2 * API)
        n++;
    if (status)
        assert_int_equal(status, 429);
    return n;
}

static const struct caller one = {.ip = "192.0.2.1"};

static void each_kind_of_route_has_its_limit(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, true);
    assert_int_equal(passing(&f, &api, one), API);
    assert_int_equal(passing(&f, &login, one), LOGIN);
    assert_int_equal(passing(&f, &files, one), FILES);
    assert_int_equal(passing(&f, &boundless, one), 2 * API + 1);
    stop(&f);
    start(&f, false);
    assert_int_equal(passing(&f, &files, one), 2 * API + 1);
    stop(&f);
}

static void the_window_slides(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, true);
    assert_int_equal(passing(&f, &files, one), FILES); /* and the one that was refused counts */
    f.now += CM_MINUTE - 1;
    assert_int_equal(ask(&f, &files, one), 429);
    f.now += 1 + CM_MINUTE / 2; /* half of 14 still count */
    assert_int_equal(passing(&f, &files, one), FILES - (FILES + 2) / 2);
    f.now += 3 * CM_MINUTE;
    assert_int_equal(passing(&f, &files, one), FILES);
    stop(&f);
}

static void callers_are_told_apart(void **state)
{
    (void)state;
    struct fixture f;
    const struct subject ann = {.user_id = {{1}}}, bob = {.user_id = {{2}}};
    start(&f, true);
    assert_int_equal(passing(&f, &files, one), FILES);
    assert_int_equal(ask(&f, &files, (struct caller){.ip = "192.0.2.2"}), 0);
    /* Users by themselves, wherever they come from. */
    assert_int_equal(passing(&f, &files, (struct caller){.ip = one.ip, .who = &ann}), FILES);
    assert_int_equal(ask(&f, &files, (struct caller){.ip = "192.0.2.3", .who = &ann}), 429);
    assert_int_equal(ask(&f, &files, (struct caller){.ip = one.ip, .who = &bob}), 0);
    /* A network of IPv6 is one. */
    assert_int_equal(passing(&f, &files, (struct caller){.ip = "2001:db8:1:2::1"}), FILES);
    assert_int_equal(ask(&f, &files, (struct caller){.ip = "2001:db8:1:2:ffff::9"}), 429);
    assert_int_equal(ask(&f, &files, (struct caller){.ip = "2001:db8:1:3::1"}), 0);
    stop(&f);
}

static void routes_and_what_their_paths_name_are_told_apart(void **state)
{
    (void)state;
    struct fixture f;
    struct caller x = {.ip = one.ip, .param = "x"}, y = {.ip = one.ip, .param = "y"};
    start(&f, true);
    assert_int_equal(passing(&f, &api, x), API);
    assert_int_equal(ask(&f, &api, y), 0);
    assert_int_equal(ask(&f, &other, x), 0);
    /* Where passwords are tried, another name is no other counter. */
    assert_int_equal(passing(&f, &login, x), LOGIN);
    assert_int_equal(ask(&f, &login, y), 429);
    stop(&f);
}

static void owners_may_ask_to_be_spared(void **state)
{
    (void)state;
    struct fixture f;
    struct subject owner = {.user_id = {{1}}}, member = {.user_id = {{2}}};
    assert_true(rbac_role_add(&owner.roles, CM_STR("owner"), false));
    assert_true(rbac_role_add(&member.roles, CM_STR("member"), false));
    start(&f, true);
    struct caller spared = {.ip = one.ip, .who = &owner, .bypass = "true"};
    assert_int_equal(passing(&f, &files, spared), 2 * API + 1);
    spared.bypass = "false";
    assert_int_equal(passing(&f, &files, spared), FILES);
    assert_int_equal(ask(&f, &files, (struct caller){one.ip, &member, NULL, "true"}), 428);
    assert_int_equal(ask(&f, &files, (struct caller){one.ip, NULL, NULL, "true"}), 428);
    stop(&f);
}

static void a_flood_of_addresses_leaves_nobody_uncounted(void **state)
{
    (void)state;
    struct fixture f;
    struct caller c = {.ip = (char[48]){0}};
    char ip[48];
    int refused = 0;
    start(&f, true);
    /* Several for each place of the table. */
    for (int i = 0; i < 300000; i++) {
        snprintf(ip, sizeof(ip), "10.%d.%d.%d", i >> 16, (i >> 8) & 255, i & 255);
        c.ip = ip;
        refused += ask(&f, &files, c) == 429;
    }
    assert_true(refused > 0);
    assert_true(passing(&f, &files, one) <= FILES);
    f.now += 2 * CM_MINUTE; /* and it is over with its minute */
    assert_int_equal(passing(&f, &files, one), FILES);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_route_has_its_limit),
        cmocka_unit_test(the_window_slides),
        cmocka_unit_test(callers_are_told_apart),
        cmocka_unit_test(routes_and_what_their_paths_name_are_told_apart),
        cmocka_unit_test(owners_may_ask_to_be_spared),
        cmocka_unit_test(a_flood_of_addresses_leaves_nobody_uncounted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
