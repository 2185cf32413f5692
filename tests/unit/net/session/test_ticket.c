#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/enc.h"
#include "net/session/session.h"
#include "net/session/ticket.h"

#define NOW ((struct cm_time){INT64_C(1800000000) * CM_SECOND})

static struct cm_ticket_key *key_of(uint8_t seed)
{
    uint8_t raw[32];
    memset(raw, seed, sizeof(raw));
    struct cm_ticket_key *k = NULL;
    struct cm_err err;
    assert_int_equal(cm_ticket_key_new(raw, &k, &err), CM_OK);
    return k;
}

static struct cm_ticket sample(void)
{
    struct cm_ticket t = {
        .user_id = {{1, 2, 3}},
        .agent_id = {{9, 8, 7}},
        .user_name = "alice",
        .kinds = cm_kind_bit(CM_KIND_SSH) | cm_kind_bit(CM_KIND_ECHO),
        .issued_at = NOW,
        .expires_at = cm_time_add(NOW, 5 * CM_MINUTE),
    };
    memset(t.client_cert_sha256, 0xab, sizeof(t.client_cert_sha256));
    return t;
}

static void minted_ticket_verifies_as_it_was(void **state)
{
    (void)state;
    CM_AUTO(cm_ticket_key) a = key_of(1);
    CM_AUTO(cm_ticket_key) b = key_of(2);
    const struct cm_ticket_public keys[] = {cm_ticket_key_public(a), cm_ticket_key_public(b)};
    struct cm_ticket t = sample(), got;
    memset(t.user_name, 'n', CM_TICKET_NAME_MAX); /* the longest */
    t.user_name[CM_TICKET_NAME_MAX] = '\0';
    struct cm_err err;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(CM_TICKET_TEXT_MAX);
    assert_int_equal(cm_ticket_mint(b, &t, &text, &err), CM_OK);
    assert_int_equal(cm_ticket_verify(cm_buf_view(&text), keys, 2, &t.agent_id, NOW, &got, &err),
                     CM_OK);
    assert_true(cm_uuid_eq(got.user_id, t.user_id));
    assert_true(cm_uuid_eq(got.agent_id, t.agent_id));
    assert_string_equal(got.user_name, t.user_name);
    assert_memory_equal(got.client_cert_sha256, t.client_cert_sha256, CM_SHA256_LEN);
    assert_int_equal(got.kinds, t.kinds);
    assert_int_equal(got.issued_at.us, t.issued_at.us);
    assert_int_equal(got.expires_at.us, t.expires_at.us);
    assert_int_equal(cm_ticket_verify(cm_buf_view(&text), keys, 2, NULL, NOW, &got, &err), CM_OK);
}

static void ticket_is_refused_when(void **state)
{
    (void)state;
    CM_AUTO(cm_ticket_key) a = key_of(1);
    CM_AUTO(cm_ticket_key) other = key_of(3);
    const struct cm_ticket_public keys[] = {cm_ticket_key_public(a)};
    const struct cm_uuid other_agent = {{5}};
    const struct {
        const char *why;
        const struct cm_ticket_key *signer;
        const struct cm_uuid *agent;
        cm_usec now;
        size_t n_keys;
    } rows[] = {
        {"not signed by this deployment", other, NULL, 0, 1},
        {"not signed by this deployment", a, NULL, 0, 0},
        {"it is for another agent", a, &other_agent, 0, 1},
        {"expired", a, NULL, 5 * CM_MINUTE, 1},
        {"expired", a, NULL, CM_DAY, 1},
        {"issued in the future; check the clocks of this machine and of the server", a, NULL,
         -CM_MINUTE - CM_SECOND, 1},
        {NULL, a, NULL, -CM_MINUTE, 1},
        {NULL, a, NULL, 5 * CM_MINUTE - 1, 1},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct cm_ticket t = sample(), got;
        struct cm_err err;
        CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(CM_TICKET_TEXT_MAX);
        assert_int_equal(cm_ticket_mint(rows[i].signer, &t, &text, &err), CM_OK);
        enum cm_code code = cm_ticket_verify(cm_buf_view(&text), keys, rows[i].n_keys,
                                             rows[i].agent ? rows[i].agent : &t.agent_id,
                                             cm_time_add(NOW, rows[i].now), &got, &err);
        if (!rows[i].why) {
            assert_int_equal(code, CM_OK);
            continue;
        }
        assert_int_equal(code, CM_UNAUTHENTICATED);
        assert_string_equal(err.text + strlen("stream ticket: "), rows[i].why);
    }
}

static void any_changed_bit_is_refused(void **state)
{
    (void)state;
    CM_AUTO(cm_ticket_key) a = key_of(1);
    const struct cm_ticket_public keys[] = {cm_ticket_key_public(a)};
    struct cm_ticket t = sample(), got;
    struct cm_err err;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(CM_TICKET_TEXT_MAX);
    CM_AUTOBUF struct cm_buf raw = CM_BUF_INIT(CM_TICKET_TEXT_MAX);
    assert_int_equal(cm_ticket_mint(a, &t, &text, &err), CM_OK);
    assert_true(cm_base64_decode(&raw, CM_BASE64_URL_NOPAD, cm_buf_view(&text)));
    for (size_t bit = 0; bit < raw.len * 8; bit++) {
        raw.ptr[bit / 8] = (char)(raw.ptr[bit / 8] ^ 1 << bit % 8);
        CM_AUTOBUF struct cm_buf changed = CM_BUF_INIT(CM_TICKET_TEXT_MAX);
        cm_base64_encode(&changed, CM_BASE64_URL_NOPAD, raw.ptr, raw.len);
        assert_int_equal(cm_ticket_verify(cm_buf_view(&changed), keys, 1, NULL, NOW, &got, &err),
                         CM_UNAUTHENTICATED);
        raw.ptr[bit / 8] = (char)(raw.ptr[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t len = 0; len < text.len; len++)
        assert_int_equal(cm_ticket_verify(cm_str_n(text.ptr, len), keys, 1, NULL, NOW, &got, &err),
                         CM_UNAUTHENTICATED);
    static char huge[100000];
    memset(huge, 'A', sizeof(huge));
    assert_int_equal(cm_ticket_verify(cm_str_n(huge, sizeof(huge)), keys, 1, NULL, NOW, &got, &err),
                     CM_UNAUTHENTICATED);
}

static void mint_refuses_what_should_not_exist(void **state)
{
    (void)state;
    CM_AUTO(cm_ticket_key) a = key_of(1);
    struct cm_err err;
    for (int i = 0; i < 5; i++) {
        struct cm_ticket t = sample();
        CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(CM_TICKET_TEXT_MAX);
        if (i == 0)
            t.kinds = 0;
        else if (i == 1)
            t.kinds = 1u << 20 | 1;
        else if (i == 2)
            t.expires_at = t.issued_at;
        else if (i == 3)
            t.expires_at = cm_time_add(t.issued_at, CM_TICKET_LIFE_MAX + CM_SECOND);
        else
            memset(t.user_name, 'x', sizeof(t.user_name));
        assert_int_equal(cm_ticket_mint(a, &t, &text, &err), CM_INVALID);
        assert_int_equal(text.len, 0);
    }
}

static void kinds_have_names_and_bits(void **state)
{
    (void)state;
    uint32_t all = 0;
    const char *const names[] = {"ssh", "tcp", "udp", "unix", "pty", "echo", "speedtest", "stdio"};
    for (size_t i = 0; i < CM_COUNT_OF(names); i++) {
        enum cm_kind k = cm_kind_parse(cm_str(names[i]));
        assert_string_equal(cm_kind_name(k), names[i]);
        assert_int_equal(cm_kind_bit(k), 1u << i);
        all |= cm_kind_bit(k);
    }
    assert_int_equal(all, CM_KINDS_ALL);
    assert_int_equal(cm_kind_parse(CM_STR("")), CM_KIND_UNSET);
    assert_int_equal(cm_kind_parse(CM_STR("SSH")), CM_KIND_UNSET);
    assert_int_equal(cm_kind_bit(CM_KIND_UNSET), 0);
}

static void session_paths_parse_strictly(void **state)
{
    (void)state;
    struct cm_uuid id = cm_uuid_random(), got;
    uint64_t offset;
    char text[CM_SESSION_PATH_TEXT];
    cm_session_path_format(id, INT64_MAX, text);
    assert_true(cm_session_path_parse(cm_str(text), &got, &offset));
    assert_true(cm_uuid_eq(id, got));
    assert_int_equal(offset, INT64_MAX);
    const char *const bad[] = {
        "",
        "/",
        "/?offset=1",
        "/00000000-0000-0000-0000-000000000000?offset=0",
        "/8f14e45f-ceea-467f-a0b4-5d2d6c1a0e11",
        "/8f14e45f-ceea-467f-a0b4-5d2d6c1a0e11?offset=",
        "/8f14e45f-ceea-467f-a0b4-5d2d6c1a0e11?offset=-1",
        "/8f14e45f-ceea-467f-a0b4-5d2d6c1a0e11?offset=1x",
        "/8f14e45f-ceea-467f-a0b4-5d2d6c1a0e11?offset=99999999999999999999",
        "8f14e45f-ceea-467f-a0b4-5d2d6c1a0e11?offset=1",
        "/8f14e45f-ceea-467f-a0b4-5d2d6c1a0e1?offset=1",
    };
    for (size_t i = 0; i < CM_COUNT_OF(bad); i++)
        assert_false(cm_session_path_parse(cm_str(bad[i]), &got, &offset));
    assert_true(cm_session_path_parse(CM_STR("/8f14e45f-ceea-467f-a0b4-5d2d6c1a0e11?offset=0"),
                                      &got, &offset));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minted_ticket_verifies_as_it_was),
        cmocka_unit_test(ticket_is_refused_when),
        cmocka_unit_test(any_changed_bit_is_refused),
        cmocka_unit_test(mint_refuses_what_should_not_exist),
        cmocka_unit_test(kinds_have_names_and_bits),
        cmocka_unit_test(session_paths_parse_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
