/* Streamlocal forwarding in the words of TCP forwarding, and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ssh/rewrite.h"

#define S(n)    "\0\0\0" n /* the length of a string */
#define NUMBERS "\0\0\0\1\0\0\0\2\0\0\0\3"

static void messages_are_rewritten(void **state)
{
    (void)state;
    static const struct {
        bool global;
        struct cm_str in, out;
    } rows[] = {
        {false,
         CM_STR(S("\x1e") "direct-streamlocal@openssh.com" NUMBERS S("\2") "/a" S("\0") S("\0")),
         CM_STR(S("\x0c") "direct-tcpip" NUMBERS S("\2") "/a" S("\0") S("\0") S("\0"))},
        {true, CM_STR(S("\x1f") "streamlocal-forward@openssh.com\1" S("\2") "/b"),
         CM_STR(S("\x0d") "tcpip-forward\1" S("\2") "/b\0\0\0\1")},
        {true, CM_STR(S("\x26") "cancel-streamlocal-forward@openssh.com\0" S("\2") "/b"),
         CM_STR(S("\x14") "cancel-tcpip-forward\0" S("\2") "/b\0\0\0\1")},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(1000);
        assert_true(rows[i].global ? ssh_rewrite_global_request(rows[i].in, &out)
                                   : ssh_rewrite_channel_open(rows[i].in, &out));
        assert_int_equal(out.len, rows[i].out.len);
        assert_memory_equal(out.ptr, rows[i].out.ptr, out.len);
        /* Cut anywhere before the path's end, it is left alone. */
        for (size_t n = 0; n + 8 < rows[i].in.len; n++) {
            struct cm_str cut = cm_str_sub(rows[i].in, 0, n);
            cm_buf_reset(&out);
            bool did = rows[i].global ? ssh_rewrite_global_request(cut, &out)
                                      : ssh_rewrite_channel_open(cut, &out);
            if (n < rows[i].in.len - 10)
                assert_false(did);
        }
    }
}

static void other_messages_are_left_alone(void **state)
{
    (void)state;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(1000);
    assert_false(ssh_rewrite_channel_open(CM_STR(S("\7") "session" NUMBERS), &out));
    assert_false(ssh_rewrite_channel_open(
        CM_STR(S("\x1e") "direct-streamlocal@openssh.com" NUMBERS S("\2") "ab" S("\0") S("\0")),
        &out));
    assert_false(ssh_rewrite_channel_open(
        CM_STR(S("\x1e") "direct-streamlocal@openssh.com" NUMBERS S("\2") "/\0" S("\0") S("\0")),
        &out));
    assert_false(ssh_rewrite_global_request(CM_STR(S("\x15") "keepalive@openssh.com\1"), &out));
    assert_int_equal(out.len, 0);
}

static void channels_to_paths_are_opened_as_streamlocal(void **state)
{
    (void)state;
    ssh_buffer head = ssh_buffer_new(), args = ssh_buffer_new();
    struct cm_str open = CM_STR("\x5a" S("\x0f") "forwarded-tcpip" NUMBERS);
    struct cm_str path = CM_STR(S("\2") "/a" S("\0") S("\0") S("\0"));
    struct cm_str want =
        CM_STR("\x5a" S("\x21") "forwarded-streamlocal@openssh.com" NUMBERS S("\2") "/a" S("\0"));
    ssh_buffer_add_data(head, open.ptr, (uint32_t)open.len);
    ssh_buffer_add_data(args, path.ptr, (uint32_t)path.len);
    assert_int_equal(__wrap_ssh_buffer_add_buffer(head, args), 0);
    assert_int_equal(ssh_buffer_get_len(head), want.len);
    assert_memory_equal(ssh_buffer_get(head), want.ptr, want.len);

    struct cm_str host = CM_STR(S("\2") "ab" S("\x50") S("\0") S("\0"));
    ssh_buffer_reinit(head);
    ssh_buffer_reinit(args);
    ssh_buffer_add_data(head, open.ptr, (uint32_t)open.len);
    ssh_buffer_add_data(args, host.ptr, (uint32_t)host.len);
    assert_int_equal(__wrap_ssh_buffer_add_buffer(head, args), 0);
    assert_int_equal(ssh_buffer_get_len(head), open.len + host.len);
    ssh_buffer_free(head);
    ssh_buffer_free(args);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_rewritten),
        cmocka_unit_test(other_messages_are_left_alone),
        cmocka_unit_test(channels_to_paths_are_opened_as_streamlocal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
