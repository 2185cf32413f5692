/* The frame decoder: what it accepts, and with which close code it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "net/ws/frame.h"
#include "net/ws/ws.h"

static bool record(void *ctx, enum cm_ws_opcode op, struct cm_str payload)
{
    cm_buf_printf(ctx, "%d:%.*s;", (int)op, CM_STR_ARG(payload));
    return true;
}

#define BYTES(text) text, sizeof(text) - 1

static void frames(void **state)
{
    (void)state;
    static const struct {
        const char *name, *bytes;
        size_t len;
        bool from_client;
        const char *seen; /* "opcode:payload;" each */
        int close;        /* 0: accepted */
    } rows[] = {
        {"text", BYTES("\x81\x02hi"), false, "1:hi;", 0},
        {"empty binary", BYTES("\x82\x00"), false, "2:;", 0},
        {"masked text", BYTES("\x81\x82\x01\x02\x03\x04\x69\x6b"), true, "1:hi;", 0},
        {"fragments with a ping between", BYTES("\x01\x01h\x89\x01p\x80\x01i"), false, "9:p;1:hi;",
         0},
        {"fragment cut inside a character", BYTES("\x01\x01\xc3\x80\x01\xa9"), false, "1:\xc3\xa9;",
         0},
        {"two messages",
         BYTES("\x81\x01"
               "a\x82\x01"
               "b"),
         false, "1:a;2:b;", 0},
        {"close",
         BYTES("\x88\x05\x03\xe8"
               "bye"),
         false,
         "8:\x03\xe8"
         "bye;",
         0},
        {"pong", BYTES("\x8a\x00"), false, "10:;", 0},
        {"not masked by a client", BYTES("\x81\x02hi"), true, "", CM_WS_PROTOCOL_ERROR},
        {"masked by a server", BYTES("\x81\x82\x01\x02\x03\x04\x69\x6b"), false, "",
         CM_WS_PROTOCOL_ERROR},
        {"extension bit", BYTES("\xc1\x00"), false, "", CM_WS_PROTOCOL_ERROR},
        {"unknown kind", BYTES("\x83\x00"), false, "", CM_WS_PROTOCOL_ERROR},
        {"unknown control", BYTES("\x8b\x00"), false, "", CM_WS_PROTOCOL_ERROR},
        {"fragmented ping", BYTES("\x09\x00"), false, "", CM_WS_PROTOCOL_ERROR},
        {"long ping", BYTES("\x89\x7e\x00\x7e"), false, "", CM_WS_PROTOCOL_ERROR},
        {"continuation of nothing", BYTES("\x80\x00"), false, "", CM_WS_PROTOCOL_ERROR},
        {"new message inside another", BYTES("\x01\x01h\x81\x01i"), false, "",
         CM_WS_PROTOCOL_ERROR},
        {"length not in shortest form", BYTES("\x81\x7e\x00\x05"), false, "", CM_WS_PROTOCOL_ERROR},
        {"length not in shortest form, 64 bits", BYTES("\x81\x7f\0\0\0\0\0\0\xff\xff"), false, "",
         CM_WS_PROTOCOL_ERROR},
        {"negative length", BYTES("\x82\x7f\x80\0\0\0\0\x01\0\0"), false, "", CM_WS_PROTOCOL_ERROR},
        {"too large", BYTES("\x82\x7e\x03\xe9"), false, "", CM_WS_TOO_BIG},
        {"too large in sum", BYTES("\x02\x01x\x80\x7e\x03\xe8"), false, "", CM_WS_TOO_BIG},
        {"broken text", BYTES("\x81\x02\xc3\x28"), false, "", CM_WS_BAD_DATA},
        {"close of one byte", BYTES("\x88\x01\x03"), false, "", CM_WS_PROTOCOL_ERROR},
        {"close with a reserved code", BYTES("\x88\x02\x03\xed"), false, "", CM_WS_PROTOCOL_ERROR},
        {"close with a broken reason", BYTES("\x88\x03\x03\xe8\xff"), false, "",
         CM_WS_PROTOCOL_ERROR},
    };
    /* Whole, and byte by byte: the cut must not matter. */
    for (size_t step = 1; step <= 64; step *= 64) {
        for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
            CM_AUTOBUF struct cm_buf seen = CM_BUF_INIT(4096);
            struct cm_ws_decoder d;
            int close = 0;
            struct cm_err err = {.code = CM_OK};
            enum cm_code code = CM_OK;
            cm_ws_decoder_init(&d, rows[i].from_client, 1000);
            d.on_frame = record;
            d.ctx = &seen;
            for (size_t at = 0; at < rows[i].len && code == CM_OK;) {
                size_t used = 0;
                code = cm_ws_decoder_feed(&d, rows[i].bytes + at, CM_MIN(step, rows[i].len - at),
                                          &used, &close, &err);
                at += used;
            }
            if (close != rows[i].close || strcmp(seen.ptr ? seen.ptr : "", rows[i].seen) != 0)
                fail_msg("%s (step %zu): close %d, saw %s", rows[i].name, step, close,
                         seen.ptr ? seen.ptr : "");
            assert_int_equal(code == CM_OK, rows[i].close == 0);
            cm_ws_decoder_done(&d);
        }
    }
}

static void masking_is_its_own_inverse_at_any_offset(void **state)
{
    (void)state;
    const unsigned char mask[4] = {1, 2, 3, 4};
    unsigned char whole[100], parts[100];
    for (size_t i = 0; i < sizeof(whole); i++)
        whole[i] = parts[i] = (unsigned char)(i * 7);
    cm_ws_mask(whole, sizeof(whole), mask, 0);
    for (size_t at = 0, n = 1; at < sizeof(parts); at += n, n += 2)
        cm_ws_mask(parts + at, CM_MIN(n, sizeof(parts) - at), mask, at);
    assert_memory_equal(whole, parts, sizeof(whole));
    assert_int_equal(whole[5], (5 * 7) ^ 2);
}

static void accept_key_of_the_rfc(void **state)
{
    (void)state;
    char accept[CM_WS_ACCEPT_TEXT], key[CM_WS_KEY_TEXT];
    cm_ws_accept_key(CM_STR("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    cm_ws_key_new(key);
    assert_true(cm_ws_key_valid(cm_str(key)));
    assert_false(cm_ws_key_valid(CM_STR("short")));
    assert_false(cm_ws_key_valid(CM_STR("dGhlIHNhbXBsZSBub25jZQ=!")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames),
        cmocka_unit_test(masking_is_its_own_inverse_at_any_offset),
        cmocka_unit_test(accept_key_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
