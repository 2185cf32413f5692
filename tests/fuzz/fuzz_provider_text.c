/* The small languages of templates. The first byte picks one. */
#include "schema/cron.h"
#include "schema/gourl.h"
#include "schema/parameter_check.h"
#include "schema/regex.h"
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
    regex_search(c, pattern, subject.ptr ? subject : CM_STR(""), &why);
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
