#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "domain/password.h"

static void a_hash_knows_its_password_and_no_other(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_str password = CM_STR("correct horse battery");
    const char *one = password_hash(a, password), *two = password_hash(a, password);
    assert_string_not_equal(one, two); /* each has a salt of its own */
    assert_true(password_verify(cm_str(one), password));
    assert_true(password_verify(cm_str(two), password));
    assert_false(password_verify(cm_str(one), CM_STR("correct horse batterz")));
    assert_false(password_verify(cm_str(one), CM_STR("")));
}

static void texts_that_are_no_hash_match_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "x", "$scrypt$", "$pbkdf2-sha256$65535$abc$def",
                                        "$scrypt$ln=99,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaA"};
    for (size_t i = 0; i < CM_COUNT_OF(texts); i++) {
        assert_false(password_verify(cm_str(texts[i]), CM_STR("")));
        assert_false(password_verify(cm_str(texts[i]), CM_STR("correct horse battery")));
    }
}

static void weak_passwords_get_a_sentence(void **state)
{
    (void)state;
    char much[66];
    memset(much, 'a', sizeof(much) - 1);
    much[sizeof(much) - 1] = '\0';
    static const char *const good[] = {"correct horse battery", "Tr0ub4dor&3-x",
                                       "SomeSecurePassword!", "correcthorsebattery"};
    const char *const bad[] = {"",
                               "a",
                               "password",
                               "12345678",
                               "aaaaaaaaaaaaaaaaaaaa",
                               much,
                               "abcdefghijklmnopqrstuvwxyz",
                               "ZYXWVUTSRQPONMLKJIHGFEDCBA",
                               "qwertyuiopasdfghjklzxcvbnm"};
    for (size_t i = 0; i < CM_COUNT_OF(good); i++)
        assert_null(password_weakness(cm_str(good[i])));
    for (size_t i = 0; i < CM_COUNT_OF(bad); i++)
        assert_non_null(password_weakness(cm_str(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_knows_its_password_and_no_other),
        cmocka_unit_test(texts_that_are_no_hash_match_nothing),
        cmocka_unit_test(weak_passwords_get_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
