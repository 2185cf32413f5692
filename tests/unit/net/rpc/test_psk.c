/* The PSK handshake, sealing and tickets as pure functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ssl.h>

#include "base/enc.h"
#include "net/rpc/psk.h"
#include "net/rpc/ticket.h"

static const uint8_t FAKE[32] = {9, 9, 9};

static void hex(const char *text, void *out, size_t len)
{
    assert_true(cm_hex_decode(cm_str(text), out, len));
}

/* Computed by Python's hmac and cryptography from the definitions in seal.h and psk.h. */
static void derivations_match_their_vectors(void **state)
{
    (void)state;
    uint8_t got[32], want[32], secret[32];
    for (unsigned i = 0; i < 32; i++)
        secret[i] = (uint8_t)i;
    cm_psk_key_from_text(CM_STR("q8xlJ0Zb2n2uS4rTt8Qm0w=="), got);
    hex("00aeb340e66b830b62062f3209b49a6a42874565f3468b9aaf341a2db85d0cd0", want, 32);
    assert_memory_equal(got, want, 32);
    cm_seal_derive(cm_str_n(secret, 32), "label", CM_STR("context"), got);
    hex("41f1052cc63b4d35e76b656760342288d2fd0af0906655d1c1cec6791ad28d51", want, 32);
    assert_memory_equal(got, want, 32);
}

static void seals_match_their_vectors(void **state)
{
    (void)state;
    static const struct {
        enum cm_seal_dir dir;
        const char *method, *plain, *sealed, *tag;
    } rows[] = {
        {CM_SEAL_REQUEST, "provisioner.Acquire", "the quick brown fox",
         "cfbcb1c26e9f08783ca54c0f6104892593f462", "bc11f651384e7582722154537876756f"},
        {CM_SEAL_REPLY, "agent.Ping", "", "", "24be99174e5b48afbd94b648866ae2d7"},
    };
    uint8_t secret[32], salt[32];
    struct cm_uuid id;
    for (unsigned i = 0; i < 32; i++) {
        secret[i] = (uint8_t)i;
        salt[i] = (uint8_t)(100 + i);
    }
    memcpy(id.b, secret, 16);
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTOBUF struct cm_buf aad = CM_BUF_INIT(256);
        size_t n = strlen(rows[i].plain);
        uint8_t got[64], want[64], back[64], tag[16];
        struct cm_seal_box box;
        cm_seal_aad(&aad, rows[i].dir, cm_str(rows[i].method), id);
        cm_seal_with_salt(secret, salt, cm_buf_view(&aad), rows[i].plain, n, got, tag);
        hex(rows[i].sealed, want, n);
        assert_memory_equal(got, want, n);
        hex(rows[i].tag, want, 16);
        assert_memory_equal(tag, want, 16);
        memcpy(box.salt, salt, 32);
        memcpy(box.tag, tag, 16);
        assert_int_equal(cm_seal_open(secret, &box, cm_buf_view(&aad), got, n, back, NULL), CM_OK);
        assert_memory_equal(back, rows[i].plain, n);
    }
}

static void nothing_of_a_seal_can_be_altered(void **state)
{
    (void)state;
    const uint8_t secret[32] = {1}, other[32] = {2};
    struct cm_uuid id = {{3}}, id2 = {{4}};
    uint8_t sealed[16], copy[16], zero[16] = {0};
    struct cm_seal_box box, bad, again;
    struct cm_err err;
    CM_AUTOBUF struct cm_buf aad = CM_BUF_INIT(256), aad2 = CM_BUF_INIT(256);
    cm_seal_aad(&aad, CM_SEAL_REQUEST, CM_STR("a.B"), id);
    cm_seal(secret, cm_buf_view(&aad), "0123456789abcdef", 16, sealed, &box);
    assert_int_equal(cm_seal_open(secret, &box, cm_buf_view(&aad), sealed, 16, copy, &err), CM_OK);
    assert_memory_equal(copy, "0123456789abcdef", 16);
    for (size_t bit = 0; bit < 8 * (16 + sizeof(box)); bit++) {
        memcpy(copy, sealed, 16);
        bad = box;
        uint8_t *at = bit < 128 ? copy : (uint8_t *)&bad;
        at[bit / 8 - (bit < 128 ? 0 : 16)] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(cm_seal_open(secret, &bad, cm_buf_view(&aad), copy, 16, copy, &err),
                         CM_DENIED);
        assert_memory_equal(copy, zero, 16);
    }
    assert_int_equal(cm_seal_open(other, &box, cm_buf_view(&aad), sealed, 16, copy, &err),
                     CM_DENIED);
    assert_int_equal(cm_seal_open(secret, &box, cm_buf_view(&aad), sealed, 15, copy, &err),
                     CM_DENIED);
    static const struct {
        enum cm_seal_dir dir;
        const char *method;
    } others[] = {{CM_SEAL_REPLY, "a.B"},
                  {CM_SEAL_HELLO, "a.B"},
                  {CM_SEAL_REQUEST, "a.C"},
                  {CM_SEAL_REQUEST, "a.B"}};
    for (size_t i = 0; i < CM_COUNT_OF(others); i++) {
        cm_buf_reset(&aad2);
        cm_seal_aad(&aad2, others[i].dir, cm_str(others[i].method), i == 3 ? id2 : id);
        assert_int_equal(cm_seal_open(secret, &box, cm_buf_view(&aad2), sealed, 16, copy, &err),
                         CM_DENIED);
    }
    cm_seal(secret, cm_buf_view(&aad), "0123456789abcdef", 16, copy, &again);
    assert_memory_not_equal(again.salt, box.salt, 32);
    assert_memory_not_equal(copy, sealed, 16);
}

/* Handshakes. */

static enum cm_code lookup(void *ctx, struct cm_str name, uint8_t key[CM_PSK_KEY], bool *found,
                           struct cm_err *err)
{
    ++*(unsigned *)ctx;
    if (cm_str_eq_c(name, "broken"))
        return cm_err_set(err, CM_UNAVAILABLE, "no database");
    *found = cm_str_eq_c(name, "psk");
    if (*found)
        cm_psk_key_from_text(CM_STR("right"), key);
    return CM_OK;
}

struct run {
    struct cm_psk *client, *server;
    struct cm_buf a, b, c; /* flights */
    struct cm_err err;
    unsigned lookups;
};

static void run_start(struct run *r, const char *name, const char *text)
{
    uint8_t key[CM_PSK_KEY];
    *r = (struct run){.a = CM_BUF_INIT(65536), .b = CM_BUF_INIT(65536), .c = CM_BUF_INIT(65536)};
    cm_psk_key_from_text(cm_str(text), key);
    assert_int_equal(cm_psk_client_new(cm_str(name), key, &r->client, &r->err), CM_OK);
    assert_int_equal(cm_psk_server_new(FAKE, lookup, &r->server, &r->err), CM_OK);
    assert_int_equal(cm_psk_step(r->client, CM_STR_NONE, &r->a, NULL, &r->err), CM_OK);
}

static void run_done(struct run *r)
{
    cm_psk_free(r->client);
    cm_psk_free(r->server);
    cm_buf_done(&r->a);
    cm_buf_done(&r->b);
    cm_buf_done(&r->c);
}

static void both_ends_take_the_same_secret(void **state)
{
    (void)state;
    uint8_t first[32] = {0};
    for (int i = 0; i < 2; i++) {
        struct run r;
        uint8_t s[32], c[32];
        run_start(&r, "psk", "right");
        assert_int_equal(cm_psk_step(r.server, cm_buf_view(&r.a), &r.b, &r.lookups, &r.err), CM_OK);
        assert_false(cm_psk_is_done(r.server));
        assert_int_equal(cm_psk_step(r.client, cm_buf_view(&r.b), &r.c, NULL, &r.err), CM_OK);
        assert_true(cm_psk_is_done(r.client));
        cm_buf_reset(&r.b);
        assert_int_equal(cm_psk_step(r.server, cm_buf_view(&r.c), &r.b, &r.lookups, &r.err), CM_OK);
        assert_true(cm_psk_is_done(r.server));
        assert_int_equal(r.b.len, 0);
        assert_int_equal(r.lookups, 1);
        assert_true(cm_str_eq_c(cm_psk_name(r.server), "psk"));
        assert_false(cm_psk_name_unknown(r.server));
        cm_psk_secret(r.server, s);
        cm_psk_secret(r.client, c);
        assert_memory_equal(s, c, 32);
        assert_memory_not_equal(s, first, 32); /* and another one each time */
        memcpy(first, s, 32);
        /* No step after the end. */
        assert_int_equal(cm_psk_step(r.server, CM_STR("x"), &r.b, &r.lookups, &r.err),
                         CM_UNAUTHENTICATED);
        run_done(&r);
    }
}

static void servers_refuse_without_a_word(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *why;
        enum cm_code code;
        bool unknown;
    } rows[] = {
        {"psk", "wrong", "PSK handshake: the keys differ", CM_UNAUTHENTICATED, false},
        {"nobody", "right", "PSK handshake: no key has this name", CM_UNAUTHENTICATED, true},
        {"broken", "right", "look up the key of a PSK handshake: no database", CM_UNAVAILABLE,
         false},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct run r;
        run_start(&r, rows[i].name, rows[i].text);
        assert_int_equal(cm_psk_step(r.server, cm_buf_view(&r.a), &r.b, &r.lookups, &r.err),
                         rows[i].code);
        assert_string_equal(r.err.text, rows[i].why);
        assert_int_equal(r.b.len, 0);
        assert_int_equal(r.lookups, 1);
        assert_int_equal(cm_psk_name_unknown(r.server), rows[i].unknown);
        assert_false(cm_psk_is_done(r.server));
        run_done(&r);
    }
}

/* An unknown name must not end up with a key that anybody can guess. */
static void unknown_names_have_no_easy_key(void **state)
{
    (void)state;
    static const uint8_t keys[][CM_PSK_KEY] = {{0}, {9, 9, 9}};
    for (size_t i = 0; i < CM_COUNT_OF(keys); i++) {
        struct run r;
        struct cm_psk *p = NULL;
        run_start(&r, "nobody", "right");
        cm_buf_reset(&r.a);
        assert_int_equal(cm_psk_client_new(CM_STR("nobody"), keys[i], &p, &r.err), CM_OK);
        assert_int_equal(cm_psk_step(p, CM_STR_NONE, &r.a, NULL, &r.err), CM_OK);
        assert_int_equal(cm_psk_step(r.server, cm_buf_view(&r.a), &r.b, &r.lookups, &r.err),
                         CM_UNAUTHENTICATED);
        cm_psk_free(p);
        run_done(&r);
    }
}

/* Whatever byte of a flight changes: no end of it is reached. */
static void altered_flights_are_refused(void **state)
{
    (void)state;
    struct run r;
    run_start(&r, "psk", "right");
    assert_int_equal(cm_psk_step(r.server, cm_buf_view(&r.a), &r.b, &r.lookups, &r.err), CM_OK);
    assert_int_equal(cm_psk_step(r.client, cm_buf_view(&r.b), &r.c, NULL, &r.err), CM_OK);
    size_t lens[] = {r.a.len, r.b.len, r.c.len};
    run_done(&r);
    for (int flight = 0; flight < 3; flight++) {
        for (size_t at = 0; at < lens[flight]; at += flight ? 1 : 3) {
            enum cm_code code;
            run_start(&r, "psk", "right");
            if (flight == 0)
                r.a.ptr[at] ^= 0x40;
            code = cm_psk_step(r.server, cm_buf_view(&r.a), &r.b, &r.lookups, &r.err);
            if (code == CM_OK && flight == 1 && at < r.b.len)
                r.b.ptr[at] ^= 0x40;
            if (code == CM_OK)
                code = cm_psk_step(r.client, cm_buf_view(&r.b), &r.c, NULL, &r.err);
            if (code == CM_OK && flight == 2 && at < r.c.len)
                r.c.ptr[at] ^= 0x40;
            if (code == CM_OK)
                code = cm_psk_step(r.server, cm_buf_view(&r.c), &r.b, &r.lookups, &r.err);
            /* The version of the outer record is the one thing that TLS ignores. */
            bool ignored = code == CM_OK && at >= 1 && at <= 2;
            if (!ignored && cm_psk_is_done(r.server))
                fail_msg("flight %d, byte %zu of %zu", flight, at, lens[flight]);
            run_done(&r);
        }
    }
}

static void input_is_bounded(void **state)
{
    (void)state;
    struct run r;
    char *big = cm_xcalloc(1, CM_PSK_FLIGHT_MAX + 1);
    run_start(&r, "psk", "right");
    assert_int_equal(
        cm_psk_step(r.server, cm_str_n(big, CM_PSK_FLIGHT_MAX + 1), &r.b, &r.lookups, &r.err),
        CM_UNAUTHENTICATED);
    run_done(&r);
    cm_free(big);
    run_start(&r, "psk", "right");
    /* A flight that is cut never gets an answer. */
    assert_int_equal(
        cm_psk_step(r.server, cm_str_n(r.a.ptr, r.a.len / 2), &r.b, &r.lookups, &r.err),
        CM_UNAUTHENTICATED);
    assert_int_equal(r.b.len, 0);
    run_done(&r);
    uint8_t key[CM_PSK_KEY] = {0};
    char name[CM_PSK_NAME_MAX + 2];
    struct cm_psk *p = NULL;
    memset(name, 'n', sizeof(name));
    assert_int_equal(cm_psk_client_new(cm_str_n(name, CM_PSK_NAME_MAX + 1), key, &p, &r.err),
                     CM_INVALID);
    assert_int_equal(cm_psk_client_new(CM_STR_NONE, key, &p, &r.err), CM_INVALID);
}

/* A TLS client without a PSK, as any port scanner has, gets no handshake out of the server. */
static void a_client_without_a_key_is_refused(void **state)
{
    (void)state;
    struct run r;
    run_start(&r, "psk", "right");
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *out = BIO_new(BIO_s_mem());
    char flight[4096];
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    assert_int_equal(SSL_connect(ssl), -1);
    int n = BIO_read(out, flight, sizeof(flight));
    assert_true(n > 100);
    assert_int_equal(cm_psk_step(r.server, cm_str_n(flight, (size_t)n), &r.b, &r.lookups, &r.err),
                     CM_UNAUTHENTICATED);
    assert_int_equal(r.b.len, 0);
    assert_int_equal(r.lookups, 0);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    run_done(&r);
}

static void short_keys_are_refused_with_advice(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum cm_code code;
    } rows[] = {{"", CM_INVALID},
                {"hunter2", CM_INVALID},
                {"123456789012345678901", CM_INVALID},
                {"1234567890123456789012", CM_OK},
                {"q8xlJ0Zb2n2uS4rTt8Qm0wq8xlJ0Zb2n2uS4rTt8Qm0=", CM_OK}};
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct cm_err err = {0};
        assert_int_equal(cm_psk_text_check(cm_str(rows[i].text), &err), rows[i].code);
        if (rows[i].code == CM_OK)
            continue;
        assert_non_null(strstr(err.text, "openssl rand -base64 32"));
        assert_null(rows[i].text[0] ? strstr(err.text, rows[i].text) : NULL);
    }
}

/* Tickets. */

static void tickets_keep_identity_and_secret(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_rpc_tag tags[] = {{CM_STR("scope"), CM_STR("user")},
                                      {CM_STR("owner"), CM_STR("")}};
    const struct cm_rpc_key keys[] = {{7, {7}}, {6, {6}}};
    const struct cm_rpc_ticket t = {.identity = {.kind = CM_RPC_EXTERNAL,
                                                 .subject_id = {{1}},
                                                 .key_id = {{2}},
                                                 .organization_id = {{3}},
                                                 .name = CM_STR("daemon"),
                                                 .tags = tags,
                                                 .n_tags = 2,
                                                 .api_version = 4,
                                                 .program_version = CM_STR("v1"),
                                                 .extra = CM_STR("x\0y")},
                                    .has_secret = true,
                                    .secret = {5},
                                    .expires_at = {1000}};
    CM_AUTOBUF struct cm_buf bytes = CM_BUF_INIT(CM_RPC_TICKET_MAX);
    struct cm_rpc_ticket *got = NULL;
    struct cm_err err;
    assert_int_equal(cm_rpc_ticket_seal(&keys[1], &t, &bytes, &err), CM_OK);
    assert_int_equal(
        cm_rpc_ticket_open(a, keys, 2, cm_buf_view(&bytes), (struct cm_time){999}, &got, &err),
        CM_OK);
    assert_int_equal(got->identity.kind, CM_RPC_EXTERNAL);
    assert_int_equal(got->identity.subject_id.b[0], 1);
    assert_int_equal(got->identity.key_id.b[0], 2);
    assert_int_equal(got->identity.organization_id.b[0], 3);
    assert_true(cm_str_eq_c(got->identity.name, "daemon"));
    assert_int_equal(got->identity.n_tags, 2);
    assert_true(cm_str_eq_c(got->identity.tags[0].value, "user"));
    assert_true(cm_str_eq_c(got->identity.tags[1].name, "owner"));
    assert_int_equal(got->identity.api_version, 4);
    assert_true(cm_str_eq(got->identity.extra, CM_STR("x\0y")));
    assert_true(got->has_secret);
    assert_memory_equal(got->secret, t.secret, 32);

    static const struct {
        size_t from, n_keys;
        int64_t now;
        const char *why;
    } bad[] = {{0, 2, 1000, "ticket: expired"},
               {0, 1, 999, "ticket: sealed under a key that is no longer in use"},
               {0, 0, 999, "ticket: sealed under a key that is no longer in use"}};
    for (size_t i = 0; i < CM_COUNT_OF(bad); i++) {
        assert_int_equal(cm_rpc_ticket_open(a, keys + bad[i].from, bad[i].n_keys,
                                            cm_buf_view(&bytes), (struct cm_time){bad[i].now}, &got,
                                            &err),
                         CM_UNAUTHENTICATED);
        assert_string_equal(err.text, bad[i].why);
    }
    for (size_t i = 0; i < bytes.len; i++) {
        bytes.ptr[i] ^= 1;
        assert_int_equal(
            cm_rpc_ticket_open(a, keys, 2, cm_buf_view(&bytes), (struct cm_time){999}, &got, &err),
            CM_UNAUTHENTICATED);
        bytes.ptr[i] ^= 1;
        assert_int_equal(cm_rpc_ticket_open(a, keys, 2, cm_str_n(bytes.ptr, i),
                                            (struct cm_time){999}, &got, &err),
                         CM_UNAUTHENTICATED);
    }
    /* Nothing of it can be read. */
    assert_false(cm_str_contains(cm_buf_view(&bytes), CM_STR("daemon")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivations_match_their_vectors),
        cmocka_unit_test(seals_match_their_vectors),
        cmocka_unit_test(nothing_of_a_seal_can_be_altered),
        cmocka_unit_test(both_ends_take_the_same_secret),
        cmocka_unit_test(servers_refuse_without_a_word),
        cmocka_unit_test(unknown_names_have_no_easy_key),
        cmocka_unit_test(altered_flights_are_refused),
        cmocka_unit_test(input_is_bounded),
        cmocka_unit_test(a_client_without_a_key_is_refused),
        cmocka_unit_test(short_keys_are_refused_with_advice),
        cmocka_unit_test(tickets_keep_identity_and_secret),
    };
    return cmocka_run_group_tests_name("psk", tests, NULL, NULL);
}
