#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"
#include "codec/rules.h"
#include "domain/names.h"

#define MANY 2000

static void names_follow_the_rules_and_hardly_repeat(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_map *seen = cm_map_new();
    for (int i = 0; i < MANY; i++) {
        struct cm_str name = name_make(a), noun;
        assert_null(cm_rule_check("template_version_name", name));
        assert_null(cm_rule_check("token_name", name));
        noun = cm_str_split(name, '_', &(struct cm_str){0});
        assert_true(noun.len > 1 && noun.ptr[noun.len - 1] >= '0' && noun.ptr[noun.len - 1] <= '9');
        cm_ignore(cm_map_put(seen, name, a) != NULL, "a name that came before");
    }
    /* Of 100,000 names about 20 of these repeat; that 200 do has no chance. */
    assert_true(cm_map_count(seen) > MANY - 200);
    cm_map_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_the_rules_and_hardly_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
