#include "codec/rules.h"

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Groups of letters and digits, joined by one of seps each. */
static bool is_joined(struct cm_str s, size_t max, const char *seps)
{
    bool after_sep = true;

    if (s.len == 0 || s.len > max)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (is_alnum(s.ptr[i]))
            after_sep = false;
        else if (after_sep || s.ptr[i] == '\0' || !strchr(seps, s.ptr[i]))
            return false;
        else
            after_sep = true;
    }
    return !after_sep;
}

/* "new" and "create" are pages of the dashboard. */
static bool is_name(struct cm_str s)
{
    return is_joined(s, 32, "-") && !cm_str_eq(s, CM_STR("new")) && !cm_str_eq(s, CM_STR("create"));
}

static bool is_group_name(struct cm_str s)
{
    return is_joined(s, 255, "-") && !cm_str_eq(s, CM_STR("new")) &&
           !cm_str_eq(s, CM_STR("create"));
}

static bool is_template_version_name(struct cm_str s)
{
    return is_joined(s, 64, "-_.");
}

static bool is_display_name(struct cm_str s)
{
    return s.len <= 64 && cm_str_trim(s).len == s.len;
}

static bool is_real_name(struct cm_str s)
{
    return s.len <= 128 && cm_str_trim(s).len == s.len;
}

/* What a mail server could accept: a local part without spaces, one @, a domain of dot-separated
 * labels. */
static bool is_email(struct cm_str s)
{
    ptrdiff_t at = cm_str_find_last(s, '@');

    if (s.len > 254 || at < 1 || at > 64)
        return false;
    struct cm_str domain = cm_str_sub(s, (size_t)at + 1, s.len);
    for (size_t i = 0; i < (size_t)at; i++)
        if ((unsigned char)s.ptr[i] <= 0x20 || s.ptr[i] == 0x7f ||
            strchr("@,;:<>()[]\\\"", s.ptr[i]))
            return false;
    while (domain.ptr) {
        struct cm_str label;
        domain = cm_str_split(domain, '.', &label);
        if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' ||
            label.ptr[label.len - 1] == '-')
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!is_alnum(label.ptr[i]) && label.ptr[i] != '-' &&
                (unsigned char)label.ptr[i] < 0x80)
                return false;
    }
    return true;
}

/* For people only: anything that shows on one line. */
static bool is_token_name(struct cm_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f || s.ptr[i] == '/')
            return false;
    return s.len > 0 && s.len <= 64 && cm_str_trim(s).len == s.len;
}

/* Slugs of apps, which become labels of host names. */
static bool is_slug(struct cm_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z')
            return false;
    return is_joined(s, 64, "-");
}

static bool is_colour(struct cm_str s)
{
    if (s.len != 7 || s.ptr[0] != '#')
        return false;
    for (size_t i = 1; i < 7; i++)
        if (!is_alnum(s.ptr[i]) || (s.ptr[i] | 0x20) > 'f')
            return false;
    return true;
}

#define NAME_FORM                                                                                  \
    "1 to 32 letters and digits, with single hyphens between them, and neither \"new\" nor "       \
    "\"create\""

static const struct {
    const char *name;
    bool (*follows)(struct cm_str);
    const char *form;
} rules[] = {
    {"username", is_name, NAME_FORM},
    {"organization_name", is_name, NAME_FORM},
    {"template_name", is_name, NAME_FORM},
    {"workspace_name", is_name, NAME_FORM},
    {"role_name", is_name, NAME_FORM},
    {"oauth2_app_name", is_name, NAME_FORM},
    {"provisioner_key_name", is_group_name,
     "1 to 255 letters and digits, with single hyphens between them"},
    {"group_name", is_group_name, "1 to 255 letters and digits, with single hyphens between them"},
    {"template_version_name", is_template_version_name,
     "1 to 64 letters and digits, with single hyphens, underscores or dots between them"},
    {"token_name", is_token_name,
     "1 to 64 bytes without slashes, line breaks, or spaces at either end"},
    {"display_name", is_display_name, "at most 64 bytes, without spaces at either end"},
    {"real_name", is_real_name, "at most 128 bytes, without spaces at either end"},
    {"email", is_email, "an e-mail address, such as ann@example.com"},
    {"slug", is_slug, "1 to 64 lower-case letters and digits, with single hyphens between them"},
    {"colour", is_colour, "a colour in the form #1a2b3c"},
};

bool cm_rule_exists(const char *rule)
{
    for (size_t i = 0; i < CM_COUNT_OF(rules); i++)
        if (strcmp(rules[i].name, rule) == 0)
            return true;
    return false;
}

const char *cm_rule_check(const char *rule, struct cm_str value)
{
    for (size_t i = 0; i < CM_COUNT_OF(rules); i++)
        if (strcmp(rules[i].name, rule) == 0)
            return rules[i].follows(value) ? NULL : rules[i].form;
    cm_assert(!"known rule");
    return NULL;
}
