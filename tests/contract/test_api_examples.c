/* Answers of the reference (tests/data/http-examples.txt), decoded by table and encoded again: what
 * was null, missing, [] or "" must come out as it went in. Only members that the reference got
 * later may be added. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/all.h"
#include "codec/json.h"

/* Always shown members that are newer than the examples. */
static const char *const newer[] = {
    "has_ai_seat",
    "organization_member_permissions",
    "default_org_member_roles",
    "scopes",
    "allow_list",
    "username",
    "theme_mode",
    "theme_light",
    "theme_dark",
    "deleted",
    "time_til_autostop_notify_ms",
    "disable_module_cache",
    "initiator_id",
    "task_id",
    "count_cap",
    "status",
    "login_type",
    "last_seen_at",
    "user_created_at",
    "user_updated_at",
};

struct walk {
    const char *where; /* the example, for messages */
    size_t wrong, values;
};

static bool is_newer(struct cm_str key)
{
    for (size_t i = 0; i < CM_COUNT_OF(newer); i++)
        if (cm_str_eq_c(key, newer[i]))
            return true;
    return false;
}

static void differ(struct walk *w, struct cm_str key, const struct cm_json *want,
                   const struct cm_json *got)
{
    CM_AUTOBUF struct cm_buf a = CM_BUF_INIT(1 << 20), b = CM_BUF_INIT(1 << 20);

    cm_json_write(&a, want);
    cm_json_write(&b, got);
    print_error("%s: %.*s is %.200s, not %.200s\n", w->where, CM_STR_ARG(key),
                got ? b.ptr : "missing", want ? a.ptr : "missing");
    w->wrong++;
}

static bool scalars_equal(const struct cm_json *a, const struct cm_json *b)
{
    struct cm_str x, y;
    struct cm_time s, t;

    if (!cm_json_scalar_text(a, &x) || !cm_json_scalar_text(b, &y))
        return false;
    /* Ours have microseconds, some of the reference's nanoseconds. */
    return cm_str_eq(x, y) || (cm_time_parse(x, &s) && cm_time_parse(y, &t) && s.us == t.us);
}

static void compare(struct walk *w, struct cm_str key, const struct cm_json *want,
                    const struct cm_json *got)
{
    size_t last = 0;

    w->values++;
    if (cm_json_type(want) != cm_json_type(got)) {
        differ(w, key, want, got);
    } else if (cm_json_type(want) == CM_JSON_ARRAY) {
        if (cm_json_count(want) != cm_json_count(got))
            differ(w, key, want, got);
        for (size_t i = 0; i < cm_json_count(want); i++)
            compare(w, key, cm_json_at(want, i), cm_json_at(got, i));
    } else if (cm_json_type(want) == CM_JSON_OBJECT) {
        for (size_t i = 0; i < cm_json_count(want); i++) {
            const struct cm_json *member = cm_json_at(want, i);
            compare(w, cm_json_key(member), member, cm_json_get_str(got, cm_json_key(member)));
        }
        for (size_t i = 0; i < cm_json_count(got); i++) {
            const struct cm_json *member = cm_json_at(got, i);
            const struct cm_json *theirs = cm_json_get_str(want, cm_json_key(member));
            if (!theirs && !is_newer(cm_json_key(member)))
                differ(w, cm_json_key(member), NULL, member);
            size_t at = 0;
            while (theirs && cm_json_at(want, at) != theirs)
                at++;
            if (theirs && at < last) {
                print_error("%s: %.*s is out of order\n", w->where,
                            CM_STR_ARG(cm_json_key(member)));
                w->wrong++;
            }
            last = theirs ? at : last;
        }
    } else if (!scalars_equal(want, got)) {
        differ(w, key, want, got);
    }
}

static const struct cm_message *message_named(struct cm_str schema)
{
    for (size_t i = 0; i < api_n_listings; i++) {
        struct cm_str name = cm_str(api_listings[i].schema);
        if (cm_str_eq(name, schema) || (cm_str_starts(name, CM_STR("codersdk.")) &&
                                        cm_str_eq(cm_str_sub(name, 9, name.len), schema)))
            return api_listings[i].msg;
    }
    return NULL;
}

static void check_example(struct walk *w, struct cm_str schema, struct cm_str text)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(1 << 20);
    bool list = cm_str_starts(schema, CM_STR("["));
    const struct cm_message *msg =
        message_named(list ? cm_str_sub(schema, 1, schema.len - 2) : schema);
    const struct cm_json *want = NULL, *got = NULL;
    struct cm_err err = {0};
    void *v = NULL;
    size_t n = 0;

    w->where = cm_arena_cstr(a, schema);
    if (!msg)
        fail_msg("no shape for %s", w->where);
    if (list) {
        if (cm_json_decode_answer_list(msg, a, text, &v, &n, &err) != CM_OK)
            fail_msg("%s: %s", w->where, err.text);
        cm_json_encode_list(&out, msg, v, n);
    } else {
        if (cm_json_decode_answer(msg, a, text, &v, &err) != CM_OK)
            fail_msg("%s: %s", w->where, err.text);
        cm_json_encode(&out, msg, v);
    }
    assert_int_equal(cm_json_parse(a, text, NULL, &want, &err), CM_OK);
    assert_int_equal(cm_json_parse(a, cm_buf_view(&out), NULL, &got, &err), CM_OK);
    if (list && cm_json_is_null(want)) /* clients take both; a list is always [] here */
        assert_string_equal(out.ptr, "[]");
    else
        compare(w, schema, want, got);
}

static void examples_come_out_as_they_went_in(void **state)
{
    CM_AUTOFREE char *file = cm_xcalloc(1, 1 << 20);
    FILE *f = fopen(CM_SOURCE_DIR "/tests/data/http-examples.txt", "re");
    struct walk w = {0};
    struct cm_str line, schema;
    size_t examples = 0;

    (void)state;
    assert_non_null(f);
    struct cm_str rest = cm_str_n(file, fread(file, 1, 1 << 20, f));
    fclose(f);
    while (rest.ptr) {
        rest = cm_str_split(rest, '\n', &line);
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        struct cm_str text = cm_str_split(line, ' ', &schema);
        check_example(&w, schema, text);
        examples++;
    }
    assert_int_equal(w.wrong, 0);
    assert_true(examples >= 75);
    print_message("%zu examples, %zu values\n", examples, w.values);
    assert_true(w.values > 2500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples_come_out_as_they_went_in)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
