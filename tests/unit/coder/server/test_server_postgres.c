/* The data folder of the embedded database, as far as it can be judged without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "server/postgres.h"
#include "sys/fs.h"

struct fixture {
    struct cm_arena *a;
    char *dir;
    struct settings s;
    struct layout l;
    const char *data;
};

static void put(const char *path, const char *text)
{
    struct cm_err err;
    assert_int_equal(cm_fs_write(path, cm_str(text), 0644, false, &err), CM_OK);
}

static void set_up(struct fixture *f)
{
    struct cm_err err;
    *f = (struct fixture){.a = cm_arena_new()};
    assert_int_equal(cm_fs_temp_dir(NULL, "pg-", &f->dir, &err), CM_OK);
    f->s.postgres_bin_dir = "";
    f->l.postgres_dir = f->dir;
    f->l.run_dir = "/tmp/a b/run";
    f->data = cm_fs_join(f->a, f->dir, "data");
}

static void tear_down(struct fixture *f)
{
    struct cm_err err;
    assert_int_equal(cm_fs_remove_tree(f->dir, &err), CM_OK);
    cm_free(f->dir);
    cm_arena_free(f->a);
}

static void finds_programs_for_the_data(void **state)
{
    (void)state;
    static const struct {
        const char *version; /* the file's; NULL: no folder */
        enum cm_code code;
        const char *text;
    } rows[] = {
        {NULL, CM_OK, NULL},
        {"15\n", CM_OK, NULL},
        {"11\n", CM_CONFLICT, "was made by PostgreSQL 11, but the one installed is 15"},
        {"9.6\n", CM_CONFLICT, "does not hold a version"},
        {"", CM_CONFLICT, "does not hold a version"},
        {"elephant", CM_CONFLICT, "does not hold a version"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        struct postgres pg;
        struct cm_err err;
        set_up(&f);
        if (rows[i].version) {
            mkdir(f.data, 0700);
            put(cm_fs_join(f.a, f.data, "PG_VERSION"), rows[i].version);
        }
        assert_int_equal(postgres_find(f.a, &f.s, &f.l, &pg, &err), rows[i].code);
        if (rows[i].text)
            assert_non_null(strstr(err.text, rows[i].text));
        else
            assert_string_equal(pg.bin_dir, "/usr/lib/postgresql/15/bin");
        tear_down(&f);
    }
}

static void refuses_folders_that_are_something_else(void **state)
{
    (void)state;
    struct fixture f;
    struct postgres pg;
    struct cm_err err;
    set_up(&f);
    mkdir(f.data, 0700);
    put(cm_fs_join(f.a, f.data, "holiday.jpg"), "");
    assert_int_equal(postgres_find(f.a, &f.s, &f.l, &pg, &err), CM_CONFLICT);
    assert_non_null(strstr(err.text, "is no data folder of PostgreSQL"));
    f.s.postgres_bin_dir = "/nonexistent";
    assert_int_equal(cm_fs_remove_tree(f.data, &err), CM_OK);
    assert_int_equal(postgres_find(f.a, &f.s, &f.l, &pg, &err), CM_NOT_FOUND);
    assert_non_null(strstr(err.text, "no PostgreSQL in /nonexistent"));
    tear_down(&f);
}

static void ready_is_what_its_own_server_wrote(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        bool ready;
    } rows[] = {
        {NULL, false},
        {"", false},
        {"77\n/data\n1\n5432\n/run\n\n 1 2\nready   \n", true},
        {"77\n/data\n1\n5432\n/run\n\n 1 2\nstarting\n", false},
        {"78\n/data\n1\n5432\n/run\n\n 1 2\nready   \n", false},
        {"77\n/data\n1\n5432\n/run\n\n", false},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        set_up(&f);
        struct postgres pg = {.data_dir = f.data};
        mkdir(f.data, 0700);
        if (rows[i].file)
            put(cm_fs_join(f.a, f.data, "postmaster.pid"), rows[i].file);
        assert_int_equal(postgres_is_ready(&pg, 77), rows[i].ready);
        tear_down(&f);
    }
}

static void secret_is_checked_and_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *password, *port;
        enum cm_code code;
    } rows[] = {
        {"abcXYZ019", "5432\n", CM_OK}, {"abcXYZ019\n", "5433", CM_OK},
        {NULL, "5432", CM_NOT_FOUND},   {"abc", NULL, CM_NOT_FOUND},
        {"", "5432", CM_INVALID},       {"with'quote", "5432", CM_INVALID},
        {"abc", "0", CM_INVALID},       {"abc", "port", CM_INVALID},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        struct cm_err err;
        struct postgres pg = {.password = ""};
        set_up(&f);
        if (rows[i].password)
            put(cm_fs_join(f.a, f.dir, "password"), rows[i].password);
        if (rows[i].port)
            put(cm_fs_join(f.a, f.dir, "port"), rows[i].port);
        assert_int_equal(postgres_read_secret(f.a, &f.l, &pg, &err), rows[i].code);
        if (i == 0)
            assert_string_equal(postgres_url(f.a, &f.l, &pg),
                                "postgres://coder:abcXYZ019@/coder?host=/tmp/a%20b/run&port=5432");
        tear_down(&f);
    }
}

static void in_use_means_somebody_works_there(void **state)
{
    (void)state;
    struct fixture f;
    struct cm_err err;
    struct cm_child *c = NULL;
    set_up(&f);
    struct postgres pg = {.data_dir = f.data};
    assert_false(postgres_in_use(&pg));
    mkdir(f.data, 0700);
    assert_false(postgres_in_use(&pg));
    const char *argv[] = {"sleep", "60", NULL};
    const struct cm_child_spec spec = {.argv = argv, .cwd = f.data};
    assert_int_equal(cm_child_start(&spec, &c, &err), CM_OK);
    assert_true(postgres_in_use(&pg));
    cm_child_free(c);
    assert_false(postgres_in_use(&pg));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_programs_for_the_data),
        cmocka_unit_test(refuses_folders_that_are_something_else),
        cmocka_unit_test(ready_is_what_its_own_server_wrote),
        cmocka_unit_test(secret_is_checked_and_quoted),
        cmocka_unit_test(in_use_means_somebody_works_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
