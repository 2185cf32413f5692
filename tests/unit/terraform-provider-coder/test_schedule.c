/* Which schedules of a preset's prebuilds overlap. */
#include "test_provider.h"

#include "schema/preset_schedule.h"

static struct value schedules_of(struct cm_arena *a, const char *const *crons, size_t n)
{
    struct value list = value_list_new(a, n);
    for (size_t i = 0; i < n; i++) {
        struct value row = value_map_new(a, 1);
        row.map.entries[0] = (struct value_entry){CM_STR("cron"), value_of_cstr(crons[i])};
        list.list.items[i] = row;
    }
    return list;
}

/* What is complained about, or NULL. */
static const char *check(struct fixture *f, const char *const *crons, size_t n)
{
    struct value list = schedules_of(f->arena, crons, n);
    preset_schedule_check(&f->call, &list);
    assert_true(f->call.n_diags <= 1); /* the first pair alone */
    return f->call.first ? cm_arena_cstr(f->arena, f->call.first->summary) : NULL;
}

#define OVERLAP(a, b) "schedules overlap with each other: schedules overlap: " a " and " b
#define WRONG(what, value)                                                                         \
    "schedules overlap with each other: invalid schedule: invalid " what " range: invalid value: " \
    "\"" value "\""

static void pairs(void **state)
{
    static const struct {
        const char *crons[3];
        const char *said;
    } rows[] = {
        {{"* 8-18 * * 1-5"}, NULL},
        {{"* 8-18 * * 1-5", "* 8-18 * * 6,0"}, NULL},
        {{"* 8-18 * * 1-5", "* 18-20 * * 5"}, OVERLAP("* 8-18 * * 1-5", "* 18-20 * * 5")},
        {{"* 8-18 * * 1-5", "* 19-20 * * 5"}, NULL},
        {{"* 8 * * *", "* 9 * * *", "* 8 * 3 *"}, OVERLAP("* 8 * * *", "* 8 * 3 *")},
        {{"* 8 * 1-6 *", "* 8 * 7-12 *"}, NULL},
        {{"* 8 * 1-6 *", "* * * 6,9 *"}, OVERLAP("* 8 * 1-6 *", "* * * 6,9 *")},
        /* Days of the month and of the week: one star makes the other count, none makes both. */
        {{"* 8 1-15 * *", "* 8 16-31 * *"}, NULL},
        {{"* 8 1-15 * *", "* 8 15 * 1"}, OVERLAP("* 8 1-15 * *", "* 8 15 * 1")},
        {{"* 8 1-15 * 1", "* 8 * * 2"}, NULL},
        {{"* 8 1-15 * 1", "* 8 16-31 * 2"}, NULL},
        {{"* 8 1-15 * 1", "* 8 16-31 * 1"}, OVERLAP("* 8 1-15 * 1", "* 8 16-31 * 1")},
        {{"* 8 1-15 * 1", "* 8 15 * 2"}, OVERLAP("* 8 1-15 * 1", "* 8 15 * 2")},
        {{"* 0 31 * 6", "* 23 31 * 6"}, NULL},
        {{"* 0,23 31 * 6", "* 23 31 * 6"}, OVERLAP("* 0,23 31 * 6", "* 23 31 * 6")},
        /* What the comparison cannot read. */
        {{"* 8 * * mon", "* 9 * * *"}, WRONG("day-of-week", "mon")},
        {{"* */2 * * *", "* 9 * * *"}, WRONG("hour", "*/2")},
        {{"* 8 * * *", "* 24 * * *"}, WRONG("hour", "24")},
        {{"* 8 0 * *", "* 9 * * *"}, WRONG("day-of-month", "0")},
        {{"* 8 * 13 *", "* 9 * * *"}, WRONG("month", "13")},
        {{"* 9-8 * * *", "* 9 * * *"}, WRONG("hour", "9-8")},
        {{"* 8, * * *", "* 9 * * *"}, WRONG("hour", "")},
        /* Said elsewhere. */
        {{"* 8 * *", "* 8 * *"}, NULL},
        {{"* 24 * * *"}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        size_t n = 0;
        while (n < 3 && rows[i].crons[n])
            n++;
        fixture_init(&f, NULL);
        const char *said = check(&f, rows[i].crons, n);
        if (!cm_str_eq(cm_str(said), cm_str(rows[i].said)))
            fail_msg("row %zu: %s", i, said ? said : "(nothing)");
        assert_int_equal(f.call.failed, said != NULL);
        fixture_done(&f);
    }
}

static void many_schedules_are_refused_before_they_are_compared(void **state)
{
    static const char *crons[1001];
    struct fixture f;
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(crons); i++)
        crons[i] = "* 8 * * *";
    fixture_init(&f, NULL);
    assert_string_equal(check(&f, crons, CM_COUNT_OF(crons)),
                        "a preset has 1001 schedules, at most 1000 are taken");
    fixture_done(&f);
    fixture_init(&f, NULL);
    assert_string_equal(check(&f, crons, CM_COUNT_OF(crons) - 1),
                        OVERLAP("* 8 * * *", "* 8 * * *"));
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),
        cmocka_unit_test(many_schedules_are_refused_before_they_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
