/* What the checks that several tables name say of a value, or nothing. */
#include "test_provider.h"

#include "schema/checks.h"

static const struct field words = {.check = check_one_of, .words = WORDS("owner", "public")};
static const struct field range = {.check = check_range, .min = 1, .max = 3600};
static const struct field least = {.check = check_at_least, .min = 0};
static const struct field length = {.check = check_length, .min = 1, .max = 4};
static const struct field brief = {.check = check_short_text, .max = 4, .text = "a name"};
static const struct field filled = {.check = check_not_empty};
static const struct field uuid = {.check = check_uuid};
static const struct field url = {.check = check_url};

#define S(text)                                                                                    \
    {                                                                                              \
        .kind = VALUE_STRING, .str = { text, sizeof(text) - 1 }                                    \
    }
#define I(number)                                                                                  \
    {                                                                                              \
        .kind = VALUE_INT, .integer = number                                                       \
    }

static const struct {
    const struct field *field;
    struct value value;
    const char *said;
} rows[] = {
    {&words, S("owner"), NULL},
    {&words, S("public"), NULL},
    {&words, S("Owner"), "expected k to be one of [\"owner\" \"public\"], got Owner"},
    {&words, S("own"), "expected k to be one of [\"owner\" \"public\"], got own"},
    {&words, S(""), "expected k to be one of [\"owner\" \"public\"], got "},
    {&range, I(1), NULL},
    {&range, I(3600), NULL},
    {&range, I(0), "expected k to be in the range (1 - 3600), got 0"},
    {&range, I(3601), "expected k to be in the range (1 - 3600), got 3601"},
    {&range, I(INT64_MIN), "expected k to be in the range (1 - 3600), got -9223372036854775808"},
    {&least, I(0), NULL},
    {&least, I(INT64_MAX), NULL},
    {&least, I(-1), "expected k to be at least (0), got -1"},
    {&length, S("a"), NULL},
    {&length, S("abcd"), NULL},
    {&length, S(""), "expected length of k to be in the range (1 - 4), got "},
    {&length, S("abcde"), "expected length of k to be in the range (1 - 4), got abcde"},
    {&brief, S(""), NULL},
    {&brief, S("abcd"), NULL},
    {&brief, S("abcde"), "a name is too long (max 4 characters)"},
    {&filled, S(" "), NULL},
    {&filled, S(""), "expected \"k\" to not be an empty string, got "},
    {&uuid, S("00000000-0000-0000-0000-00000000000a"), NULL},
    {&uuid, S("00000000-0000-0000-0000-00000000000"),
     "expected \"k\" to be a valid UUID, got 00000000-0000-0000-0000-00000000000"},
    {&uuid, S(""), "expected \"k\" to be a valid UUID, got "},
    {&url, S("https://example.com/x?y"), NULL},
    {&url, S("/icon/x.svg"), NULL},
    {&url, S(":x"), "parse \":x\": missing protocol scheme"},
};

static void checks_speak_of_what_is_wrong_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        fixture_init(&f, NULL);
        const struct check c = {&f.call, rows[i].field, CM_STR("k"), path_name(PATH_ROOT, "k")};
        rows[i].field->check(&c, &rows[i].value);
        struct cm_str said = f.call.first ? f.call.first->summary : CM_STR_NONE;
        if (!cm_str_eq(said, cm_str(rows[i].said)))
            fail_msg("row %zu: \"%.*s\"", i, CM_STR_ARG(said));
        assert_int_equal(f.call.n_diags, rows[i].said ? 1 : 0);
        assert_int_equal(f.call.failed, rows[i].said != NULL);
        if (f.call.first)
            assert_str(f.call.first->path.steps[0].name, "k");
        fixture_done(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_speak_of_what_is_wrong_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
