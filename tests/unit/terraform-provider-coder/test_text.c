/* The small languages in templates: URLs, cron lines, regular expressions, UUIDs, time zones. */
#include "test_provider.h"

#include "codec/re2.h"
#include "schema/cron.h"
#include "schema/gourl.h"
#include "schema/uuid_text.h"
#include "schema/zone.h"

static void urls_are_read_and_written_as_go_does(void **state)
{
    static const struct {
        const char *in, *out, *root, *port;
    } rows[] = {
        {"https://h.example", "https://h.example", "https://h.example/", ""},
        {"HTTPS://H.example:8443/a/b?x=1#f", "https://H.example:8443/a/b?x=1#f",
         "https://H.example:8443/", "8443"},
        {"http://u:p@h:/x", "http://u:p@h:/x", "http://u:p@h:/", ""},
        {"http://[::1]:80/", "http://[::1]:80/", "http://[::1]:80/", "80"},
        {"http://h/a b", "http://h/a%20b", "http://h/", ""},
        {"http://h/a%2fb c", "http://h/a/b%20c", "http://h/", ""},
        {"http://h/a%2Fb", "http://h/a%2Fb", "http://h/", ""},
        {"/icon/x y.svg", "/icon/x%20y.svg", "/", ""},
        {"mailto:a@b", "mailto:a@b", "mailto:/", ""},
        {"", "", "/", ""},
        {"a/b:c", "a/b:c", "/", ""},
        {"http://h?", "http://h?", "http://h/", ""},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        struct gourl u;
        struct cm_str why = CM_STR("");
        fixture_init(&f, NULL);
        if (!gourl_parse(&f.call, cm_str(rows[i].in), &u, &why))
            fail_msg("row %zu: %.*s", i, CM_STR_ARG(why));
        assert_str(gourl_format(&f.call, &u), rows[i].out);
        assert_str(gourl_root(&f.call, &u), rows[i].root);
        assert_str(u.port.len ? u.port : CM_STR(""), rows[i].port);
        fixture_done(&f);
    }
}

static void urls_that_go_refuses_are_refused(void **state)
{
    static const struct {
        const char *in, *why;
    } rows[] = {
        {":x", "missing protocol scheme"},
        {"a:b", NULL},
        {"1a:b", "first path segment in URL cannot contain colon"},
        {"http://h\x7f/", "net/url: invalid control character in URL"},
        {"http://h/%zz", "invalid URL escape \"%zz\""},
        {"http://h/%4", "invalid URL escape \"%4\""},
        {"http://h:8a/", "invalid port \":8a\" after host"},
        {"http://[::1/", "missing ']' in host"},
        {"http://a b/", "invalid character \" \" in host name"},
        {"http://h%41/", "invalid URL escape \"%41\""},
        {"http://u\\:p@h/", "net/url: invalid userinfo"},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        struct gourl u;
        struct cm_str why = CM_STR("");
        fixture_init(&f, NULL);
        bool ok = gourl_parse(&f.call, cm_str(rows[i].in), &u, &why);
        if (ok != !rows[i].why)
            fail_msg("row %zu", i);
        if (!ok)
            assert_str(why, rows[i].why);
        fixture_done(&f);
    }
}

static void cron_lines(void **state)
{
    static const struct {
        enum cron_kind kind;
        const char *in, *why;
    } rows[] = {
        {CRON_SCRIPT, "0 0 22 * * *", NULL},
        {CRON_SCRIPT, "0 22 * * *", NULL},
        {CRON_SCRIPT, "*/5 1-3,7 ? 1/2 jan-DEC sun", NULL},
        {CRON_SCRIPT, "@daily", NULL},
        {CRON_SCRIPT, "@every 1h30m", NULL},
        {CRON_SCRIPT, "TZ=Europe/Berlin 0 0 1 * * *", NULL},
        {CRON_SCRIPT, "TZ= 0 0 1 * * *", NULL},
        {CRON_SCRIPT, "", "empty spec string"},
        {CRON_SCRIPT, "@every 1d", "failed to parse duration @every 1d: invalid duration"},
        {CRON_SCRIPT, "@never", "unrecognized descriptor: @never"},
        {CRON_SCRIPT, "* * * *", "expected 5 to 6 fields, found 4: [* * * *]"},
        {CRON_SCRIPT, "60 * * * *", "end of range (60) above maximum (59): 60"},
        {CRON_SCRIPT, "0 0 0 0 *", "beginning of range (0) below minimum (1): 0"},
        {CRON_SCRIPT, "9-3 * * * *", "beginning of range (9) beyond end of range (3): 9-3"},
        {CRON_SCRIPT, "*/0 * * * *", "step of range should be a positive number: */0"},
        {CRON_SCRIPT, "1/2/3 * * * *", "too many slashes: 1/2/3"},
        {CRON_SCRIPT, "1-2-3 * * * *", "too many hyphens: 1-2-3"},
        {CRON_SCRIPT, "x * * * *", "failed to parse int from \"x\": invalid syntax"},
        {CRON_SCRIPT, "-1 * * * *", "failed to parse int from \"\": invalid syntax"},
        {CRON_SCRIPT, "TZ=No/Where 0 0 1 * * *",
         "provided bad location No/Where: unknown time zone No/Where"},
        {CRON_UNIX, "* 8-18 * * mon-fri", NULL},
        {CRON_UNIX, "* * * * 7", "end of range (7) above maximum (6): 7"},
        {CRON_UNIX, "* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"},
        {CRON_UNIX, "@daily", "parser does not accept descriptors: @daily"},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        struct cm_str why = CM_STR("");
        fixture_init(&f, NULL);
        bool ok = cron_check(&f.call, rows[i].kind, cm_str(rows[i].in), &why);
        if (ok != !rows[i].why)
            fail_msg("row %zu: %.*s", i, CM_STR_ARG(why));
        if (!ok)
            assert_str(why, rows[i].why);
        fixture_done(&f);
    }
}

static void expressions_mean_what_re2_means(void **state)
{
    static const struct {
        const char *pattern, *subject;
        enum cm_re2 wanted;
    } rows[] = {
        {"^a+$", "aaa", CM_RE2_MATCH},
        {"^a$", "a\n", CM_RE2_NO_MATCH},
        {"b", "abc", CM_RE2_MATCH},
        {"(?i)ABC", "xabcx", CM_RE2_MATCH},
        {"(?P<n>a)(?<m>b)", "ab", CM_RE2_MATCH},
        {"(?:a|b){2,3}?", "ab", CM_RE2_MATCH},
        {"[]a]", "]", CM_RE2_MATCH},
        {"[[:alpha:]]+", "x1", CM_RE2_MATCH},
        {"\\Q*+\\E", "*+", CM_RE2_MATCH},
        {"a{,2}", "a{,2}", CM_RE2_MATCH},
        {"\\pL", "\xc3\xa9", CM_RE2_MATCH},
        {"\\x41", "A", CM_RE2_MATCH},
        {"^\\d+$", "\xd9\xa1", CM_RE2_NO_MATCH},
        {"^[\\w-.]+$", "a-b.c", CM_RE2_MATCH},
        {"^[[:alpha:]-_]+$", "a-_", CM_RE2_MATCH},
        {"^[\\pL-1]+$", "a-1", CM_RE2_MATCH},
        {"^[\\d-]$", "-", CM_RE2_MATCH},
        {"[\\d-z]", "y", CM_RE2_NO_MATCH},
        {"[\\]-a]", "^", CM_RE2_MATCH},
        {"\\s|[\\s]", "\v", CM_RE2_NO_MATCH},
        {"^\\S[\\s]\\s$", "x\t\n", CM_RE2_MATCH},
        {"\\Q[\\s-\\E", "[\\s-", CM_RE2_MATCH},
        {"(?=a)", "a", CM_RE2_ERROR},
        {"(?<!a)b", "b", CM_RE2_ERROR},
        {"(?>a)", "a", CM_RE2_ERROR},
        {"(a)\\1", "aa", CM_RE2_ERROR},
        {"a++", "a", CM_RE2_ERROR},
        {"a**", "a", CM_RE2_ERROR},
        {"a{2}{3}", "a", CM_RE2_ERROR},
        {"a{1001}", "a", CM_RE2_ERROR},
        {"(?R)", "a", CM_RE2_ERROR},
        {"\\Kb", "b", CM_RE2_ERROR},
        {"\\Zb", "b", CM_RE2_ERROR},
        {"(*UTF)a", "a", CM_RE2_ERROR},
        {"(?#c)a", "a", CM_RE2_ERROR},
        {"(", "a", CM_RE2_ERROR},
        {"[a", "a", CM_RE2_ERROR},
        {"(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", CM_RE2_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        struct cm_str why = CM_STR("");
        fixture_init(&f, NULL);
        enum cm_re2 got =
            cm_re2_search(f.call.arena, cm_str(rows[i].pattern), cm_str(rows[i].subject), &why);
        if (got != rows[i].wanted)
            fail_msg("row %zu: %d (%.*s)", i, (int)got, CM_STR_ARG(why));
        assert_true((got == CM_RE2_ERROR) == (why.len > 0));
        fixture_done(&f);
    }
}

static void uuids_in_four_spellings(void **state)
{
    static const struct {
        const char *in, *why;
    } rows[] = {
        {"5b1d6f0a-9c3e-4f0b-8a57-0123456789ab", NULL},
        {"urn:uuid:5B1D6F0A-9c3e-4f0b-8a57-0123456789ab", NULL},
        {"{5b1d6f0a-9c3e-4f0b-8a57-0123456789ab}", NULL},
        {"5b1d6f0a9c3e4f0b8a570123456789ab", NULL},
        {"broken", "invalid UUID length: 6"},
        {"", "invalid UUID length: 0"},
        {"5b1d6f0a-9c3e-4f0b-8a57-0123456789ag", "invalid UUID format"},
        {"[5b1d6f0a-9c3e-4f0b-8a57-0123456789ab]", "invalid UUID format"},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        struct cm_uuid id;
        struct cm_str why = CM_STR("");
        fixture_init(&f, NULL);
        bool ok = uuid_text_parse(&f.call, cm_str(rows[i].in), &id, &why);
        if (ok)
            assert_string_equal(cm_uuid_text(id).s, "5b1d6f0a-9c3e-4f0b-8a57-0123456789ab");
        assert_str(why, rows[i].why ? rows[i].why : "");
        fixture_done(&f);
    }
}

static void zones(void **state)
{
    static const struct {
        const char *name;
        bool exists;
    } rows[] = {
        {"", true},
        {"UTC", true},
        {"Local", true},
        {"Europe/Berlin", true},
        {"EST5EDT", true},
        {"utc+1", false},
        {"/usr/share/zoneinfo/UTC", false},
        {"../zoneinfo/UTC", false},
        {"Europe", false},
    };

    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct fixture f;
        struct cm_str why = CM_STR("");
        fixture_init(&f, NULL);
        if (zone_exists(&f.call, cm_str(rows[i].name), &why) != rows[i].exists)
            fail_msg("%s: %.*s", rows[i].name, CM_STR_ARG(why));
        fixture_done(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read_and_written_as_go_does),
        cmocka_unit_test(urls_that_go_refuses_are_refused),
        cmocka_unit_test(cron_lines),
        cmocka_unit_test(expressions_mean_what_re2_means),
        cmocka_unit_test(uuids_in_four_spellings),
        cmocka_unit_test(zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
