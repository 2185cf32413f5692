/* Calls over the unix socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "rpc_fixture.h"

static void echo_over_the_unix_socket(void **state)
{
    (void)state;
    struct rpc_server_fixture s = {0};
    struct client_fixture c;
    struct answer a;
    struct stat st;
    server_start(&s, NULL);
    assert_int_equal(stat(s.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    client_start(&c, AS_BUILTIN, s.url);
    call_now(&c, "test.Echo", "name", "value", 5 * CM_SECOND, &a);
    assert_int_equal(a.code, CM_OK);
    assert_string_equal(a.name, "name");
    assert_string_equal(a.value, "value");
    assert_int_equal(c.ready, 1);
    assert_int_equal(cm_rpc_client_api_version(c.client), 2);
    assert_int_equal(s.hellos, 1);
    assert_int_equal(s.checks, 1);
    assert_string_equal(s.last_name, "daemon-1");
    assert_int_equal(s.last_tags, 2);
    client_stop(&c);
    server_cleanup(&s);
}

int main(void)
{
    cm_loop_global_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_over_the_unix_socket),
    };
    return cmocka_run_group_tests_name("rpc", tests, NULL, NULL);
}
