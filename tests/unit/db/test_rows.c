/* Parameters and rows: every type there and back, through functions made by scripts/gen/sql.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pg_test.h"
#include "store/test_rows.h"

static struct cm_db *db;

#define assert_str(s, text) assert_true(cm_str_eq_c((s), (text)))

static void every_type_comes_back_as_it_went(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err = {0};
    struct cm_uuid ids[2] = {cm_uuid_random(), cm_uuid_random()};
    struct cm_time times[2] = {{1234567890123456}, {-1}};
    const bool bools[] = {true, false, true};
    const int64_t ints[] = {INT64_MIN, 0, INT64_MAX};
    const double floats[] = {-1.5, 1e300};
    const struct cm_str texts[] = {CM_STR(""), CM_STR("a\"b,{}\\"), CM_STR("é")};
    const struct cm_str raws[] = {CM_STR("\0\x01\xff"), CM_STR("")};
    const struct cm_str statuses[] = {CM_STR("dormant"), CM_STR("active")};
    const struct cm_pair pairs[] = {{CM_STR("k"), CM_STR("v \"q\" \\ \n")},
                                    {CM_STR("empty"), CM_STR("")}};
    struct t_all *row = NULL;
    enum cm_code code = t_echo(db, a,
                               &(struct t_echo_args){
                                   .b = true,
                                   .i = -5,
                                   .f = 0.1,
                                   .t = CM_STR("text"),
                                   .u = ids[0],
                                   .at = times[0],
                                   .raw = CM_STR("\0\xff"),
                                   .j = CM_STR("{\"x\": [1, null]}"),
                                   .m = pairs,
                                   .n_m = 2,
                                   .e = API_USER_STATUS_SUSPENDED,
                                   .bs = bools,
                                   .n_bs = 3,
                                   .is = ints,
                                   .n_is = 3,
                                   .fs = floats,
                                   .n_fs = 2,
                                   .ts = texts,
                                   .n_ts = 3,
                                   .us = ids,
                                   .n_us = 2,
                                   .ats = times,
                                   .n_ats = 2,
                                   .raws = raws,
                                   .n_raws = 2,
                                   .es = statuses,
                                   .n_es = 2,
                                   .role = CM_STR("{\"name\": \"owner\"}"),
                                   .roles = CM_STR("[{\"name\": \"x\"}, {\"name\": \"y\"}]"),
                               },
                               &row, &err);
    if (code != CM_OK)
        fail_msg("%s", err.text);
    assert_true(row->b);
    assert_int_equal(row->i, -5);
    assert_true(row->f == 0.1);
    assert_str(row->t, "text");
    assert_int_equal(row->t.ptr[row->t.len], 0);
    assert_true(cm_uuid_eq(row->u, ids[0]));
    assert_int_equal(row->at.us, times[0].us);
    assert_true(cm_str_eq(row->raw, CM_STR("\0\xff")));
    assert_str(row->j, "{\"x\": [1, null]}");
    assert_int_equal(row->n_m, 2);
    for (size_t i = 0; i < 2; i++) {
        bool first = cm_str_eq_c(row->m[i].key, "k");
        assert_str(row->m[i].key, first ? "k" : "empty");
        assert_str(row->m[i].value, first ? "v \"q\" \\ \n" : "");
    }
    assert_int_equal(row->e, API_USER_STATUS_SUSPENDED);
    assert_int_equal(row->n_bs, 3);
    assert_memory_equal(row->bs, bools, sizeof(bools));
    assert_int_equal(row->n_is, 3);
    assert_memory_equal(row->is, ints, sizeof(ints));
    assert_int_equal(row->n_fs, 2);
    assert_memory_equal(row->fs, floats, sizeof(floats));
    assert_int_equal(row->n_ts, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(cm_str_eq(row->ts[i], texts[i]));
    assert_int_equal(row->n_us, 2);
    assert_memory_equal(row->us, ids, sizeof(ids));
    assert_int_equal(row->n_ats, 2);
    assert_memory_equal(row->ats, times, sizeof(times));
    assert_int_equal(row->n_raws, 2);
    assert_true(cm_str_eq(row->raws[0], raws[0]));
    assert_int_equal(row->n_es, 2);
    assert_int_equal(row->es[0], API_USER_STATUS_DORMANT);
    assert_str(row->role->name, "owner");
    assert_int_equal(row->n_roles, 2);
    assert_str(row->roles[1].name, "y");
}

static void null_leaves_fields_empty_and_bits_clear(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct t_null *row = NULL;
    assert_int_equal(t_echo_null(db, a, &(struct t_echo_null_args){0}, &row, NULL), CM_OK);
    for (unsigned bit = T_NULL_HAS_B; bit <= T_NULL_HAS_E; bit++)
        assert_false(cm_has(row->has, bit));
    assert_true(cm_time_is_zero(row->never));
    assert_int_equal(row->n_m, 0);
    assert_int_equal(row->n_ts, 0);

    bool b = false;
    int64_t i = 0;
    double f = 0;
    struct cm_uuid u = {{0}};
    struct cm_time at = {0};
    struct cm_str none[1];
    struct t_echo_null_args args = {.b = &b,
                                    .i = &i,
                                    .f = &f,
                                    .t = CM_STR(""),
                                    .u = &u,
                                    .at = &at,
                                    .raw = CM_STR(""),
                                    .j = CM_STR("null"),
                                    .e = API_USER_STATUS_ACTIVE,
                                    .ts = none};
    assert_int_equal(t_echo_null(db, a, &args, &row, NULL), CM_OK);
    for (unsigned bit = T_NULL_HAS_B; bit <= T_NULL_HAS_E; bit++)
        assert_true(cm_has(row->has, bit));
    assert_int_equal(row->at.us, 0);
    assert_str(row->j, "null");
}

static void narrow_types_widen(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct t_small *row = NULL;
    assert_int_equal(t_narrow(db, a, &row, NULL), CM_OK);
    assert_int_equal(row->a, -7);
    assert_int_equal(row->b, -70000);
    assert_int_equal(row->c, 1);
    assert_true(row->d == 0.5);
    assert_str(row->n, "x");
    assert_str(row->v, "y");
    assert_str(row->u, "11111111-2222-4333-8444-555555555555");
}

static void api_structs_fill_by_column_name(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_uuid id = cm_uuid_random();
    struct api_user *user = NULL;
    assert_int_equal(t_api_user(db, a, id, &user, NULL), CM_OK);
    assert_str(user->username, "ann");
    assert_int_equal(user->status, API_USER_STATUS_SUSPENDED);
    assert_true(cm_time_is_zero(user->last_seen_at));
    assert_int_equal(user->n_organization_ids, 1);
    assert_true(cm_uuid_eq(user->organization_ids[0], id));
    assert_int_equal(user->n_roles, 1);
    assert_str(user->roles[0].display_name, "Owner");
}

static void shapes_of_results(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    int64_t one = 0, *many = NULL, *maybe = NULL;
    struct cm_str *text = NULL;
    size_t n = 9;
    assert_int_equal(t_count(db, a, 41, &one, &err), CM_OK);
    assert_int_equal(one, 42);
    assert_int_equal(t_none(db, a, &one, &err), CM_NOT_FOUND);
    assert_int_equal(one, 42);
    assert_int_equal(t_maybe(db, a, 0, &text, &err), CM_OK);
    assert_null(text);
    assert_int_equal(t_maybe(db, a, 1, &text, &err), CM_OK);
    assert_str(*text, "yes");
    assert_int_equal(t_two(db, a, &maybe, &err), CM_INTERNAL);
    assert_int_equal(t_series(db, a, 3, &many, &n, &err), CM_OK);
    assert_int_equal(n, 3);
    assert_int_equal(many[2], 3);
    assert_int_equal(t_series(db, a, 0, &many, &n, &err), CM_OK);
    assert_int_equal(n, 0);
}

/* An enum value that a newer release has written, and a column that changed its type: errors, not
 * garbage. */
static void what_does_not_fit_is_refused(void **state CM_UNUSED)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    struct cm_str unknown[] = {CM_STR("sleepy")};
    struct t_all *row = NULL;
    struct t_echo_args args = {.e = API_USER_STATUS_ACTIVE,
                               .j = CM_STR("{}"),
                               .role = CM_STR("{}"),
                               .roles = CM_STR("[]"),
                               .es = unknown,
                               .n_es = 1};
    assert_int_equal(t_echo(db, a, &args, &row, &err), CM_INTERNAL);
    assert_non_null(strstr(err.text, "column es"));

    struct cm_db_stmt wrong = t_count_stmt;
    wrong.name = "t_wrong";
    wrong.row = &t_small_msg;
    assert_int_equal(cm_db_check(db, &wrong, &err), CM_INTERNAL);
    assert_non_null(strstr(err.text, "no field of t_small"));
    wrong.name = "t_wrong_type";
    wrong.row = &cm_db_row_text;
    assert_int_equal(cm_db_check(db, &wrong, &err), CM_INTERNAL);
    assert_non_null(strstr(err.text, "does not fit"));
}

static int open_db(void **state CM_UNUSED)
{
    db = pg_test_empty(NULL);
    return 0;
}

static int close_db(void **state CM_UNUSED)
{
    cm_db_free(db);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back_as_it_went),
        cmocka_unit_test(null_leaves_fields_empty_and_bits_clear),
        cmocka_unit_test(narrow_types_widen),
        cmocka_unit_test(api_structs_fill_by_column_name),
        cmocka_unit_test(shapes_of_results),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
