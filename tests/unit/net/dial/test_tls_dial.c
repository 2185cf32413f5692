/* TLS dials against a real TLS server: who is believed, and what the errors say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net/dial/http_client.h"
#include "peer.h"

static char *folder;

static void run(const char *script)
{
    pid_t pid = fork();
    int status = -1;
    if (pid == 0) {
        if (chdir(folder) != 0 || !freopen("/dev/null", "w", stderr))
            _exit(126);
        execl("/bin/sh", "sh", "-ec", script, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static int make_certificates(void **state)
{
    (void)state;
    folder = cm_xstrdup("/tmp/test_tls_dial.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    run("openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj "
        "'/CN=Test CA' "
        "-addext keyUsage=critical,keyCertSign >/dev/null\n"
        "make() { openssl req -newkey rsa:2048 -nodes -keyout $1.key -out $1.csr -subj /CN=$1 "
        ">/dev/null; "
        "printf \"subjectAltName=$2\\n\" >$1.ext; shift 2; }\n"
        "make good DNS:localhost,IP:127.0.0.1\n"
        "openssl x509 -req -in good.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile "
        "good.ext -out good.pem\n"
        "make other DNS:elsewhere.example\n"
        "openssl x509 -req -in other.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile "
        "other.ext "
        "-out other.pem\n"
        "make old DNS:localhost,IP:127.0.0.1\n"
        "mkdir demo; : >demo/index; echo 01 >demo/serial\n"
        "printf "
        "'[ca]\\ndefault_ca=d\\n[d]\\ndatabase=demo/index\\nserial=demo/"
        "serial\\nnew_certs_dir=demo\\n"
        "default_md=sha256\\npolicy=p\\nx509_extensions=e\\n[p]\\ncommonName=supplied\\n[e]\\n"
        "subjectAltName=DNS:localhost,IP:127.0.0.1\\n' >ca.cnf\n"
        "openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in old.csr -out old.pem "
        "-notext "
        "-startdate 20200101000000Z -enddate 20210101000000Z >/dev/null\n"
        "make new DNS:localhost\n"
        "openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in new.csr -out new.pem "
        "-notext "
        "-startdate 20900101000000Z -enddate 20910101000000Z >/dev/null\n");
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    run("rm -rf \"$PWD\"");
    cm_free(folder);
    return 0;
}

static void verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *cert, *host, *text; /* text NULL: accepted */
        bool knows_ca;
    } rows[] = {
        {"good", "localhost", NULL, true},
        {"good", "127.0.0.1", NULL, true},
        {"good", "localhost", "does not trust (/CN=Test CA)", false},
        {"other", "localhost", "not for localhost but for elsewhere.example", true},
        {"other", "127.0.0.1", "not for 127.0.0.1 but for elsewhere.example", true},
        {"old", "localhost", "expired at 2021-01-01 00:00 UTC; this machine's clock says 20", true},
        {"new", "localhost", "valid only from 2090-01-01 00:00 UTC", true},
    };
    CM_AUTOFREE char *ca = cm_xasprintf("%s/ca.pem", folder);
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct peer peer;
        CM_AUTOFREE char *cert = cm_xasprintf("%s/%s.pem", folder, rows[i].cert);
        CM_AUTOFREE char *key = cm_xasprintf("%s/%s.key", folder, rows[i].cert);
        peer_start(&peer, "tls", cert, key);
        struct cm_dialer_config cfg = {.tls.extra_ca_file = rows[i].knows_ca ? ca : NULL};
        CM_AUTO(cm_dialer) dialer = NULL;
        CM_AUTO(cm_loop) loop = cm_loop_new();
        CM_AUTO(cm_httpc_answer) a = NULL;
        struct cm_err err = {.code = CM_OK};
        assert_int_equal(cm_dialer_new(&cfg, &dialer, &err), CM_OK);
        struct cm_httpc *http = cm_httpc_new(loop, dialer);
        CM_AUTOFREE char *url = cm_xasprintf("https://%s:%d/hello", rows[i].host, peer.port);
        struct cm_httpc_req req = {.url = cm_str(url), .timeout = 10 * CM_SECOND};
        enum cm_code code = cm_httpc_do(http, &req, &a, &err);
        if (rows[i].text && (code == CM_OK || !strstr(err.text, rows[i].text)))
            fail_msg("row %zu: %s", i, code == CM_OK ? "was accepted" : err.text);
        if (!rows[i].text) {
            if (code != CM_OK)
                fail_msg("row %zu: %s", i, err.text);
            assert_memory_equal(a->body.ptr, "hello", 5);
            /* Large bodies both ways, so that records and buffers are crossed. */
            CM_AUTO(cm_httpc_answer) big = NULL;
            CM_AUTOFREE char *echo = cm_xasprintf("https://%s:%d/echo", rows[i].host, peer.port);
            CM_AUTOFREE char *body = cm_xcalloc(1, 500000);
            struct cm_httpc_req put = {.method = "PUT",
                                       .url = cm_str(echo),
                                       .body = cm_str_n(body, 500000),
                                       .has_body = true};
            assert_int_equal(cm_httpc_do(http, &put, &big, &err), CM_OK);
            assert_int_equal(big->body.len, 500000);
        }
        cm_httpc_free(http);
        peer_stop(&peer);
    }
}

static void plain_http_on_a_tls_port_is_named(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, "http", NULL, NULL);
    struct cm_dialer_config cfg = {.https_proxy = NULL};
    CM_AUTO(cm_dialer) dialer = NULL;
    CM_AUTO(cm_loop) loop = cm_loop_new();
    CM_AUTO(cm_httpc_answer) a = NULL;
    struct cm_err err = {.code = CM_OK};
    assert_int_equal(cm_dialer_new(&cfg, &dialer, &err), CM_OK);
    struct cm_httpc *http = cm_httpc_new(loop, dialer);
    CM_AUTOFREE char *url = cm_xasprintf("https://localhost:%d/rubbish", peer.port);
    struct cm_httpc_req req = {.url = cm_str(url), .timeout = 2 * CM_SECOND};
    assert_int_not_equal(cm_httpc_do(http, &req, &a, &err), CM_OK);
    assert_non_null(strstr(err.text, "does not speak TLS"));
    cm_httpc_free(http);
    peer_stop(&peer);
}

static void unreadable_files_are_named(void **state)
{
    (void)state;
    struct cm_dialer_config cfg = {.tls.extra_ca_file = "/nonexistent/ca.pem"};
    CM_AUTO(cm_dialer) dialer = NULL;
    CM_AUTO(cm_loop) loop = cm_loop_new();
    CM_AUTO(cm_httpc_answer) a = NULL;
    struct peer peer;
    struct cm_err err = {.code = CM_OK};
    peer_start(&peer, "http", NULL, NULL);
    assert_int_equal(cm_dialer_new(&cfg, &dialer, &err), CM_OK);
    struct cm_httpc *http = cm_httpc_new(loop, dialer);
    CM_AUTOFREE char *url = cm_xasprintf("https://localhost:%d/", peer.port);
    struct cm_httpc_req req = {.url = cm_str(url)};
    assert_int_equal(cm_httpc_do(http, &req, &a, &err), CM_INVALID);
    assert_non_null(strstr(err.text, "/nonexistent/ca.pem"));
    cm_httpc_free(http);
    peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(plain_http_on_a_tls_port_is_named),
        cmocka_unit_test(unreadable_files_are_named),
    };
    cm_loop_global_init();
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
