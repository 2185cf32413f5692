/* Keys for git, as OpenSSH's own tool reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "domain/ssh_key.h"
#include "sys/child.h"
#include "sys/fs.h"

#define DEADLINE (60 * CM_SECOND)

struct fixture {
    struct cm_arena *arena;
    char dir[64];
    const char *file;
};

static int start(void **state)
{
    static struct fixture f;
    f = (struct fixture){.arena = cm_arena_new(), .dir = "/tmp/test_ssh_key.XXXXXX"};
    assert_non_null(mkdtemp(f.dir));
    f.file = cm_fs_join(f.arena, f.dir, "key");
    *state = &f;
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    unlink(f->file);
    assert_int_equal(rmdir(f->dir), 0);
    cm_arena_free(f->arena);
    return 0;
}

/* What ssh-keygen, asked that way, says of the key in the file. */
static struct cm_str keygen(struct fixture *f, const char *option)
{
    const char *argv[] = {"ssh-keygen", option, "-f", f->file, NULL};
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(65536);
    struct cm_child_status st;
    struct cm_err err;
    assert_int_equal(cm_child_run(&(struct cm_child_spec){.argv = argv}, CM_STR(""), &out, NULL,
                                  DEADLINE, &st, NULL, &err),
                     CM_OK);
    if (st.code || st.signo)
        fail_msg("ssh-keygen %s: %.*s", option, CM_STR_ARG(cm_buf_view(&out)));
    return cm_arena_str(f->arena, cm_buf_view(&out));
}

static void openssh_finds_the_public_half_in_the_private_one(void **state)
{
    struct fixture *f = *state;
    struct ssh_key key;
    struct cm_err err;
    assert_int_equal(ssh_key_make(f->arena, &key, &err), CM_OK);
    assert_true(cm_str_starts(key.public_key, CM_STR("ssh-ed25519 AAAA")));
    assert_int_equal(cm_fs_write(f->file, key.private_key, 0600, false, &err), CM_OK);
    struct cm_str found = keygen(f, "-y");
    if (!cm_str_eq(found, key.public_key))
        fail_msg("%.*s is not %.*s", CM_STR_ARG(found), CM_STR_ARG(key.public_key));
    assert_true(cm_str_ends(cm_str_trim(keygen(f, "-l")), CM_STR("(ED25519)")));
}

static void no_two_are_alike(void **state)
{
    struct fixture *f = *state;
    struct ssh_key one, two;
    struct cm_err err;
    assert_int_equal(ssh_key_make(f->arena, &one, &err), CM_OK);
    assert_int_equal(ssh_key_make(f->arena, &two, &err), CM_OK);
    assert_false(cm_str_eq(one.public_key, two.public_key));
    assert_false(cm_str_eq(one.private_key, two.private_key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssh_finds_the_public_half_in_the_private_one),
        cmocka_unit_test(no_two_are_alike),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
