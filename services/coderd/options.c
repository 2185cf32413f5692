#include "options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"

enum type { STR, INT, BOOL, DUR };

struct row {
    enum type type;
    size_t offset;
    const char *flag, *def, *help;
};

static const struct row rows[] = {
#define OPTION_ROW(type, member, flag, def, help)                                                  \
    {type, offsetof(struct coderd_options, member), flag, def, help},
    CODERD_OPTIONS(OPTION_ROW)
#undef OPTION_ROW
};

static char *env_name(struct cm_arena *a, const char *flag)
{
    if (strcmp(flag, "postgres-url") == 0)
        return cm_arena_cstr(a, CM_STR("CODER_PG_CONNECTION_URL"));
    if (strcmp(flag, "cache-dir") == 0)
        return cm_arena_cstr(a, CM_STR("CODER_CACHE_DIRECTORY"));
    char *name = cm_arena_printf(a, "CODER_%s", flag);
    for (char *p = name; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return name;
}

static bool parse_bool(const char *text, bool *ret)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {{"true", true}, {"1", true},  {"t", true}, {"false", false},
                 {"0", false},   {"f", false}, {"", false}};
    for (size_t i = 0; i < CM_COUNT_OF(words); i++) {
        if (strcasecmp(text, words[i].text) == 0) {
            *ret = words[i].value;
            return true;
        }
    }
    return false;
}

static enum cm_code set(struct cm_arena *a, const struct row *row, const char *text,
                        const char *source, struct coderd_options *o, struct cm_err *err)
{
    void *at = (char *)o + row->offset;
    const char *form = NULL;
    switch (row->type) {
    case STR:
        *(const char **)at = cm_arena_cstr(a, cm_str(text));
        break;
    case INT:
        if (!cm_str_to_i64(cm_str(text), at) || *(int64_t *)at < 0)
            form = "a number of 0 or more";
        break;
    case BOOL:
        if (!parse_bool(text, at))
            form = "true or false";
        break;
    case DUR:
        if (!cm_duration_parse(cm_str(text), at) || *(cm_usec *)at < 0)
            form = "a duration such as 90s, 15m or 24h";
        break;
    }
    if (form)
        return cm_err_set(err, CM_INVALID, "%s must be %s, not \"%s\"", source, form, text);
    return CM_OK;
}

static void print_help(struct cm_arena *a)
{
    printf("coderd %s: the API server. People start it by \"coder server\".\n\n", CM_VERSION);
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++)
        printf("  --%s, %s (default \"%s\")\n      %s\n", rows[i].flag, env_name(a, rows[i].flag),
               rows[i].def, rows[i].help);
}

static const char *flag_value(const char *flag, int argc, char **argv, int *used)
{
    size_t len = strlen(flag);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0 || strncmp(argv[i] + 2, flag, len) != 0)
            continue;
        const char *rest = argv[i] + 2 + len;
        if (*rest == '=') {
            (*used)++;
            return rest + 1;
        }
        if (*rest == '\0' && i + 1 < argc) {
            *used += 2;
            return argv[i + 1];
        }
    }
    return NULL;
}

enum cm_code options_load(struct cm_arena *a, int argc, char **argv, struct coderd_options *ret,
                          struct cm_err *err)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(a);
            return cm_err_set(err, CM_CANCELED, "help");
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("coderd %s\n", CM_VERSION);
            return cm_err_set(err, CM_CANCELED, "version");
        }
    }
    int used = 0;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        const char *source = rows[i].flag, *text = flag_value(rows[i].flag, argc, argv, &used);
        if (!text) {
            source = env_name(a, rows[i].flag);
            text = getenv(source); /* NOLINT(concurrency-mt-unsafe): before any thread */
        }
        if (set(a, &rows[i], text ? text : rows[i].def, source, ret, err) != CM_OK)
            return err->code;
    }
    if (used != argc - 1)
        return cm_err_set(err, CM_INVALID, "unknown or repeated arguments; see coderd --help");
    return CM_OK;
}

bool option_trusts_proxy(const struct coderd_options *opt, const char *address)
{
    struct cm_str rest = cm_str(opt->proxy_trusted_origins), one;
    while (rest.len) {
        rest = cm_str_split(rest, ',', &one);
        if (cm_str_eq_c(cm_str_trim(one), address))
            return true;
    }
    return false;
}
