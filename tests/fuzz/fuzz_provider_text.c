/* The small languages of templates. The first byte picks one. */
#include "codec/re2.h"
#include "schema/cron.h"
#include "schema/gourl.h"
#include "schema/parameter_check.h"
#include "schema/uuid_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted is accepted again when written out. */
static void try_url(struct call *c, struct cm_str text)
{
    struct gourl u;
    struct cm_str why;
    if (!gourl_parse(c, text, &u, &why))
        return;
    struct cm_str out = gourl_format(c, &u);
    cm_assert(out.ptr);
    cm_assert(gourl_root(c, &u).len > 0);
}

static void try_regex(struct call *c, struct cm_str text)
{
    struct cm_str pattern, why;
    struct cm_str subject = cm_str_split(text, '\n', &pattern);
    if (!cm_str_is_utf8(text))
        return; /* values are text before they get here */
    cm_ignore(cm_re2_search(c->arena, pattern, subject.ptr ? subject : CM_STR(""), &why) ==
                  CM_RE2_MATCH,
              "any answer is fine");
}

/* A line for each: type, min, max, monotonic, regex, error, previous value; the rest is the value.
 */
static void try_rules(struct call *c, struct cm_str text)
{
    struct cm_str line[7], why;
    if (!cm_str_is_utf8(text))
        return;
    for (size_t i = 0; i < CM_COUNT_OF(line); i++)
        text = cm_str_split(text, '\n', &line[i]);
    struct parameter_rules r = {
        .type = line[0], .monotonic = line[3], .regex = line[4], .error = line[5]};
    r.has_min = cm_str_to_i64(line[1], &r.min);
    r.has_max = cm_str_to_i64(line[2], &r.max);
    bool ok = parameter_validate(c, &r, text, line[6].len ? &line[6] : NULL, &why);
    cm_assert(ok || why.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"number", "bool", "list(string)"};
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct environment env = {.vars = NULL};
    struct call c;
    struct cm_str why;
    struct cm_uuid id;
    if (!size)
        return 0;
    call_init(&c, a, &env, CM_STR("https://coder.example"));
    struct cm_str text = cm_arena_str(a, cm_str_n(data + 1, size - 1));
    if (data[0] & 0x80) {
        try_rules(&c, text);
        return 0;
    }
    switch (data[0] % 5) {
    case 0:
        try_url(&c, text);
        break;
    case 1:
        cm_ignore(cron_check(&c, CRON_SCRIPT, text, &why), "either answer is fine");
        cm_ignore(cron_check(&c, CRON_UNIX, text, &why), "either answer is fine");
        break;
    case 2:
        try_regex(&c, text);
        break;
    case 3:
        cm_ignore(uuid_text_parse(&c, text, &id, &why), "either answer is fine");
        break;
    case 4:
        for (size_t i = 0; i < CM_COUNT_OF(types); i++)
            cm_ignore(parameter_is_of_type(&c, cm_str(types[i]), text, &why),
                      "either answer is fine");
        break;
    }
    return 0;
}
