/* coder_app: something in the workspace that users open from the dashboard. */
#include "schema/checks.h"
#include "schema/types.h"

#define NAME_MAX_BYTES    64
#define TOOLTIP_MAX_BYTES 2048

/* ^[a-z0-9](-?[a-z0-9])*$ */
static bool is_slug(struct cm_str s)
{
    bool after_hyphen = true; /* nor may one stand first */
    for (size_t i = 0; i < s.len; i++) {
        char ch = s.ptr[i];
        bool word = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');
        if (!word && (ch != '-' || after_hyphen))
            return false;
        after_hyphen = !word;
    }
    return s.len > 0 && !after_hyphen;
}

static void check_slug(const struct check *c, const struct value *v)
{
    if (is_slug(v->str))
        return;
    struct cm_str quoted = call_quote(c->call, v->str);
    check_fail(c,
               "invalid \"coder_app\" slug %.*s: use lower-case letters and digits, with single "
               "hyphens between "
               "them",
               CM_STR_ARG(quoted));
}

static bool is_word(const struct check *c, struct cm_str s)
{
    for (const char *const *w = c->field->words; *w; w++)
        if (cm_str_eq_c(s, *w))
            return true;
    return false;
}

static void check_share(const struct check *c, const struct value *v)
{
    struct cm_str quoted = call_quote(c->call, v->str);
    if (!is_word(c, v->str))
        check_fail(
            c, "invalid app share %.*s, must be one of \"owner\", \"authenticated\", \"public\"",
            CM_STR_ARG(quoted));
}

static void check_open_in(const struct check *c, const struct value *v)
{
    struct cm_str quoted = call_quote(c->call, v->str);
    if (!is_word(c, v->str))
        check_fail(
            c, "invalid \"coder_app\" open_in value %.*s, must be one of \"tab\", \"slim-window\"",
            CM_STR_ARG(quoted));
}

static const struct field healthcheck_fields[] = {
    {.name = "url",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Address to ask, from inside the workspace."},
    {.name = "interval",
     .kind = FIELD_INT,
     .flags = F_REQUIRED,
     .about = "Seconds between two checks."},
    {.name = "threshold",
     .kind = FIELD_INT,
     .flags = F_REQUIRED,
     .about = "Failed checks until the app counts as unhealthy."},
};
static const struct block healthcheck = BLOCK_OF(healthcheck_fields);

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {.name = "agent_id",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Agent that the app runs beside."},
    {.name = "slug",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Name of the app in its address.",
     .check = check_slug},
    {
        .name = "command",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Command to run in a web terminal.",
        .conflicts = WORDS("url", "subdomain"),
    },
    {
        .name = "url",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Address of the app as the workspace sees it.",
        .conflicts = WORDS("command"),
    },
    {
        .name = "display_name",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Name that users see.",
        .check = check_short_text,
        .max = NAME_MAX_BYTES,
        .text = "display name",
    },
    {.name = "icon",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "URL of the app's icon.",
     .check = check_url},
    {.name = "subdomain",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Serve the app under a host name of its own."},
    {
        .name = "share",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Who may open the app.",
        .dflt = DEFAULT_STR("owner"),
        .check = check_share,
        .words = WORDS("owner", "authenticated", "public"),
    },
    {
        .name = "external",
        .kind = FIELD_BOOL,
        .flags = F_OPTIONAL,
        .about = "Open the url from the user's own machine.",
        .dflt = DEFAULT_BOOL(false),
        .conflicts = WORDS("healthcheck", "command", "subdomain", "share"),
    },
    {
        .name = "healthcheck",
        .kind = FIELD_SET,
        .flags = F_OPTIONAL,
        .about = "How to tell that the app is ready.",
        .conflicts = WORDS("command"),
        .block = &healthcheck,
        .max_items = 1,
    },
    {
        .name = "group",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Name of the group to show the app in.",
        .check = check_short_text,
        .max = NAME_MAX_BYTES,
        .text = "group name",
    },
    {.name = "order",
     .kind = FIELD_INT,
     .flags = F_OPTIONAL,
     .about = "Place among the apps; lower comes first."},
    {.name = "hidden",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Do not show the app.",
     .dflt = DEFAULT_BOOL(false)},
    {
        .name = "open_in",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Where the app opens.",
        .dflt = DEFAULT_STR("slim-window"),
        .check = check_open_in,
        .words = WORDS("tab", "slim-window"),
    },
    {
        .name = "tooltip",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Text to show while the pointer is on the app.",
        .check = check_short_text,
        .max = TOOLTIP_MAX_BYTES,
        .text = "tooltip",
    },
};

static void app_create(struct call *c, struct value *state)
{
    static const char *const pointless[] = {"display_name", "icon", "order"};
    type_create_id(c, state);
    for (size_t i = 0; value_bool(state, "hidden") && i < CM_COUNT_OF(pointless); i++)
        if (value_str(state, pointless[i]).len || value_int(state, pointless[i]) != 0)
            call_warning(c, PATH_ROOT, "`%s` set when app is hidden", pointless[i]);
}

const struct type resource_app = {
    .name = "coder_app",
    .about = "A web app, terminal command or link of a workspace.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .create = app_create,
};
