/* Every shape of proto/api/ against the inventory of the reference's API (tests/data/http-api.txt):
 * names and types of fields, values of enums. What differs on purpose stands in a table here, with
 * the reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/all.h"
#include "base/buf.h"
#include "base/map.h"
#include "codec/node.h"
#include "codec/rules.h"

/* A field that only one side has, or that has another type here. */
static const struct {
    const char *schema, *field, *why;
} differences[] = {
    {"workspacesdk.WatchError", "code", "its enum is of plain numbers"},
    {"codersdk.CreateUserRequestWithOrgs", "organization_id", "older clients send it"},
    {"codersdk.CreateUserRequestWithOrgs", "disable_login", "older clients send it"},
    {"codersdk.APIKey", "allow_list", "clients read and write \"type:id\""},
    {"codersdk.APIKeyWithOwner", "allow_list", "clients read and write \"type:id\""},
    {"codersdk.CreateTokenRequest", "allow_list", "\"type:id\", or the object"},
    {"codersdk.TemplateExample", "id", "it is a word, such as docker"},
    {"codersdk.TemplateBuildTimeStats", "", "the map's three keys are known"},
};

/* Types of the reference that are plain strings here, since a handler knows their values. */
static const char *const text_enums[] = {
    "codersdk.APIKeyScope",
    "codersdk.RBACAction",
    "codersdk.RBACResource",
    "codersdk.OAuth2PKCECodeChallengeMethod",
    "codersdk.OAuth2ProviderGrantType",
    "codersdk.OAuth2ProviderResponseType",
    "codersdk.OAuth2TokenEndpointAuthMethod",
    "health.Code",
};

/* Types of the reference that are free JSON here. */
static const char *const raw_types[] = {
    "codersdk.DeploymentValues",
    "netcheck.Report",
    "tailcfg.DERPMap",
    "regexp.Regexp",
};

struct schema {
    struct cm_str name;
    struct cm_str body; /* `{ a: string, b*: integer }`, or what follows `= ` */
    bool is_struct;
};

struct inventory {
    char *text;
    struct cm_map *by_name; /* struct schema *, owned by the map's user */
    struct schema *all;
    size_t n;
};

struct result {
    struct cm_buf wrong; /* a line per disagreement */
    size_t fields, schemas;
};

static bool in_list(const char *const *list, size_t n, struct cm_str name)
{
    for (size_t i = 0; i < n; i++)
        if (cm_str_eq_c(name, list[i]))
            return true;
    return false;
}

static bool differs_on_purpose(const char *schema, struct cm_str field)
{
    for (size_t i = 0; i < CM_COUNT_OF(differences); i++)
        if (strcmp(differences[i].schema, schema) == 0 &&
            (!*differences[i].field || cm_str_eq_nocase(cm_str(differences[i].field), field)))
            return true;
    return false;
}

static int load(void **state)
{
    struct inventory *inv = cm_xcalloc(1, sizeof(*inv));
    FILE *f = fopen(CM_SOURCE_DIR "/tests/data/http-api.txt", "re");
    size_t size = 1 << 20;

    if (!f)
        return -1;
    inv->text = cm_xcalloc(1, size);
    size_t len = fread(inv->text, 1, size, f);
    fclose(f);
    inv->by_name = cm_map_new();
    inv->all = cm_xcalloc(1000, sizeof(*inv->all));
    struct cm_str rest = cm_str_n(inv->text, len), line;
    bool schemas = false;
    while (rest.ptr && inv->n < 1000) {
        rest = cm_str_split(rest, '\n', &line);
        schemas = schemas || cm_str_eq(line, CM_STR("## Schemas"));
        ptrdiff_t space = cm_str_find(line, ' ');
        if (!schemas || space < 0 || line.ptr[0] == '#')
            continue;
        struct schema *s = &inv->all[inv->n++];
        s->name = cm_str_sub(line, 0, (size_t)space);
        s->body = cm_str_sub(line, (size_t)space + 1, line.len);
        s->is_struct = cm_str_starts(s->body, CM_STR("{"));
        if (!s->is_struct)
            s->body = cm_str_sub(s->body, 2, s->body.len);
        cm_map_put(inv->by_name, s->name, s);
    }
    *state = inv;
    return 0;
}

static int unload(void **state)
{
    struct inventory *inv = *state;

    cm_map_free(inv->by_name);
    cm_free(inv->all);
    cm_free(inv->text);
    cm_free(inv);
    return 0;
}

static const char *schema_of(const struct cm_message *msg)
{
    for (size_t i = 0; i < api_n_listings; i++)
        if (api_listings[i].msg == msg)
            return api_listings[i].schema;
    return "";
}

/* The next of a comma-separated list, where commas inside brackets do not count. */
static struct cm_str next_item(struct cm_str rest, struct cm_str *item)
{
    int depth = 0;

    for (size_t i = 0; i < rest.len; i++) {
        char c = rest.ptr[i];
        depth += (c == '{') + (c == '[') + (c == '(') - (c == '}') - (c == ']') - (c == ')');
        if (c == ',' && depth == 0) {
            *item = cm_str_trim(cm_str_sub(rest, 0, i));
            return cm_str_sub(rest, i + 1, rest.len);
        }
    }
    *item = cm_str_trim(rest);
    return CM_STR_NONE;
}

/* Both sides' values, but for what this system leaves out (AI) or adds. */
static bool enum_matches(const struct cm_enum *en, struct cm_str values)
{
    size_t theirs = 0, ours = 0;
    struct cm_str v;
    int value;

    for (struct cm_str rest = values; rest.ptr;) {
        rest = cm_str_split(rest, '|', &v);
        theirs += v.len > 0;
        if (v.len > 0 && !cm_enum_parse(en, v, &value))
            return false;
    }
    for (size_t i = 1; i < en->n; i++)
        ours += strcmp(en->texts[i], "oauth2_provider_app") != 0;
    return ours == theirs || strcmp(en->name, "ResourceType") == 0;
}

static bool type_matches(const struct inventory *inv, const struct cm_field *f, bool element,
                         struct cm_str type);

static bool named_type_matches(const struct inventory *inv, const struct cm_field *f, bool element,
                               struct cm_str type)
{
    const struct schema *s = cm_map_get(inv->by_name, type);

    if (in_list(text_enums, CM_COUNT_OF(text_enums), type))
        return f->type == CM_FT_STR;
    if (in_list(raw_types, CM_COUNT_OF(raw_types), type))
        return f->type == CM_FT_RAW || f->type == CM_FT_STR;
    if (cm_str_eq(type, CM_STR("uuid.NullUUID")))
        return f->type == CM_FT_UUID;
    if (!s)
        return false;
    if (s->is_struct)
        return f->type == CM_FT_MSG && cm_str_eq_c(type, schema_of(f->msg));
    if (cm_str_starts(s->body, CM_STR("{string:")))
        return f->type == CM_FT_MSG ? cm_str_eq_c(type, schema_of(f->msg))
                                    : type_matches(inv, f, element, s->body);
    return f->type == CM_FT_ENUM && enum_matches(f->en, s->body);
}

/* element: the type of one element of a repeated field. */
static bool type_matches(const struct inventory *inv, const struct cm_field *f, bool element,
                         struct cm_str type)
{
    static const struct cm_field text = {.type = CM_FT_STR};

    if (f->type == CM_FT_MSG && f->msg->bare)
        return type_matches(inv, &f->msg->fields[0], element, type);
    if (cm_str_eq(type, CM_STR("[integer]")))
        return f->type == CM_FT_BYTES || f->type == CM_FT_RAW;
    if (cm_str_starts(type, CM_STR("[")))
        return f->repeated && !element &&
               type_matches(inv, f, true, cm_str_sub(type, 1, type.len - 2));
    if (cm_str_starts(type, CM_STR("{string:"))) {
        struct cm_str value = cm_str_sub(type, 8, type.len - 9);
        return f->type == CM_FT_RAW ||
               (f->type == CM_FT_MAP &&
                type_matches(inv, f->msg ? &f->msg->fields[1] : &text, false, value));
    }
    if (cm_str_starts(type, CM_STR("{"))) /* a shape without a name */
        return f->type == CM_FT_MSG;
    if (f->repeated && !element)
        return false;
    if (cm_str_eq(type, CM_STR("string:uuid")))
        return f->type == CM_FT_UUID;
    if (cm_str_eq(type, CM_STR("string:date-time")))
        return f->type == CM_FT_TIME;
    if (cm_str_starts(type, CM_STR("string(")))
        return f->type == CM_FT_STR ||
               (f->type == CM_FT_ENUM && (enum_matches(f->en, cm_str_sub(type, 7, type.len - 8)) ||
                                          cm_str_eq_c(CM_STR("ProvisionerType"), f->en->name)));
    if (cm_str_starts(type, CM_STR("string")))
        return f->type == CM_FT_STR || f->type == CM_FT_UUID || f->type == CM_FT_TIME ||
               f->type == CM_FT_ENUM;
    if (cm_str_starts(type, CM_STR("integer")))
        return f->type == CM_FT_I64;
    if (cm_str_starts(type, CM_STR("number")))
        return f->type == CM_FT_F64;
    if (cm_str_eq(type, CM_STR("boolean")))
        return f->type == CM_FT_BOOL;
    if (cm_str_eq(type, CM_STR("any")) || cm_str_eq(type, CM_STR("object")))
        return f->type == CM_FT_RAW || f->type == CM_FT_MAP;
    return named_type_matches(inv, f, element, type);
}

static const struct cm_field *field_of(const struct cm_message *msg, struct cm_str name)
{
    for (size_t i = 0; i < msg->n_fields; i++)
        if (cm_str_eq_nocase(cm_str(msg->fields[i].name), name))
            return &msg->fields[i];
    return NULL;
}

static void check_struct(const struct inventory *inv, const struct api_listing *l,
                         struct cm_str body, struct result *res)
{
    size_t found = 0;
    struct cm_str item, rest = cm_str_trim(cm_str_sub(body, 1, body.len - 2));

    while (rest.ptr) {
        rest = next_item(rest, &item);
        ptrdiff_t colon = cm_str_find(item, ':');
        assert_true(colon > 0);
        struct cm_str name = cm_str_sub(item, 0, (size_t)colon);
        struct cm_str type = cm_str_trim(cm_str_sub(item, (size_t)colon + 1, item.len));
        bool required = cm_str_ends(name, CM_STR("*"));
        name.len -= required;
        const struct cm_field *f = field_of(l->msg, name);
        found += f != NULL;
        res->fields++;
        if (differs_on_purpose(l->schema, name))
            continue;
        if (!f)
            cm_buf_printf(&res->wrong, "%s.%.*s is missing\n", l->schema, CM_STR_ARG(name));
        else if (required && !f->required && !differs_on_purpose(l->schema, CM_STR("")))
            cm_buf_printf(&res->wrong, "%s.%.*s must be required\n", l->schema, CM_STR_ARG(name));
        else if (!type_matches(inv, f, false, type))
            cm_buf_printf(&res->wrong, "%s.%.*s must be %.*s\n", l->schema, CM_STR_ARG(name),
                          CM_STR_ARG(type));
    }
    for (size_t i = 0; found < l->msg->n_fields && i < l->msg->n_fields; i++) {
        struct cm_str ours = cm_str(l->msg->fields[i].name);
        bool theirs = false;
        for (rest = cm_str_sub(body, 1, body.len - 2); rest.ptr && !theirs;) {
            rest = next_item(rest, &item);
            theirs = item.len > ours.len && cm_str_eq_nocase(cm_str_sub(item, 0, ours.len), ours) &&
                     (item.ptr[ours.len] == ':' || item.ptr[ours.len] == '*');
        }
        if (!theirs && !differs_on_purpose(l->schema, ours))
            cm_buf_printf(&res->wrong, "%s.%.*s is unknown to the reference\n", l->schema,
                          CM_STR_ARG(ours));
    }
}

static void every_shape_matches_the_inventory(void **state)
{
    const struct inventory *inv = *state;
    struct result res = {.wrong = CM_BUF_INIT(1 << 20)};

    assert_true(inv->n > 400);
    for (size_t i = 0; i < api_n_listings; i++) {
        const struct api_listing *l = &api_listings[i];
        const struct schema *s = cm_map_get(inv->by_name, cm_str(l->schema));
        if (!s)
            continue; /* newer, or without a name in the inventory: test_api_examples.c */
        res.schemas++;
        if (s->is_struct)
            check_struct(inv, l, s->body, &res);
        else if (!differs_on_purpose(l->schema, CM_STR("")) &&
                 !(l->msg->bare && type_matches(inv, &l->msg->fields[0], false, s->body)))
            cm_buf_printf(&res.wrong, "%s must be %.*s\n", l->schema, CM_STR_ARG(s->body));
    }
    if (res.wrong.len > 0)
        print_error("%s", res.wrong.ptr);
    assert_int_equal(res.wrong.len, 0);
    print_message("%zu shapes, %zu fields\n", res.schemas, res.fields);
    assert_true(res.schemas >= 280);
    assert_true(res.fields >= 1390);
    cm_buf_done(&res.wrong);
}

/* Shapes of the reference that this system does not speak, or builds from elsewhere. */
static const char *const left_out[] = {
    "codersdk.AI",
    "codersdk.Chat",
    "codersdk.UserSkill",
    "codersdk.CreateUserSkillRequest",
    "codersdk.UpdateUserSkillRequest",
    "derp.",
    "tailcfg.",
    "netcheck.",
    "key.",
    "url.",
    "regexp.",
    "uuid.",
    "serpent.",
    "legacyscim.",
    "workspaceapps.",
    "healthsdk.DERP",
    "healthsdk.STUN",
    "wsproxysdk.ReportApp",
    "wsproxysdk.IssueSigned",
    "workspacesdk.",
    "coderd.csp",
    "codersdk.OAuth2Client",
    /* Options, which the table in conf/ describes. */
    "codersdk.ClusterConfig",
    "codersdk.DERP",
    "codersdk.DangerousConfig",
    "codersdk.DeploymentValues",
    "codersdk.ExternalAuthConfig",
    "codersdk.HTTPCookieConfig",
    "codersdk.HealthcheckConfig",
    "codersdk.LoggingConfig",
    "codersdk.NotificationsConfig",
    "codersdk.NotificationsEmail",
    "codersdk.NotificationsInboxConfig",
    "codersdk.NotificationsWebhookConfig",
    "codersdk.OAuth2Config",
    "codersdk.OAuth2GithubConfig",
    "codersdk.OIDCConfig",
    "codersdk.PprofConfig",
    "codersdk.PrebuildsConfig",
    "codersdk.PrometheusConfig",
    "codersdk.ProvisionerConfig",
    "codersdk.RateLimitConfig",
    "codersdk.RetentionConfig",
    "codersdk.SSHConfig",
    "codersdk.SessionLifetime",
    "codersdk.StatsCollectionConfig",
    "codersdk.SupportConfig",
    "codersdk.SwaggerConfig",
    "codersdk.TLSConfig",
    "codersdk.TelemetryConfig",
    "codersdk.TemplateBuilderConfig",
    "codersdk.TraceConfig",
    "codersdk.UsageStatsConfig",
    "codersdk.UserQuietHoursScheduleConfig",
    /* A map inside another shape. */
    "codersdk.ProvisionerKeyTags",
};

static void every_schema_is_here_or_left_out_on_purpose(void **state)
{
    const struct inventory *inv = *state;
    size_t missing = 0;

    for (size_t i = 0; i < inv->n; i++) {
        struct cm_str name = inv->all[i].name;
        bool ok = !inv->all[i].is_struct && !cm_str_starts(inv->all[i].body, CM_STR("{"));
        for (size_t k = 0; k < api_n_listings && !ok; k++)
            ok = cm_str_eq_c(name, api_listings[k].schema);
        for (size_t k = 0; k < CM_COUNT_OF(left_out) && !ok; k++)
            ok = cm_str_starts(name, cm_str(left_out[k]));
        if (!ok) {
            print_error("no shape for %.*s\n", CM_STR_ARG(name));
            missing++;
        }
    }
    assert_int_equal(missing, 0);
}

static void every_rule_of_a_field_exists(void **state)
{
    size_t rules = 0;

    (void)state;
    for (size_t i = 0; i < api_n_listings; i++)
        for (size_t k = 0; k < api_listings[i].msg->n_fields; k++) {
            const char *rule = api_listings[i].msg->fields[k].rule;
            if (rule && !cm_rule_exists(rule))
                fail_msg("%s: no rule %s", api_listings[i].schema, rule);
            rules += rule != NULL;
        }
    assert_true(rules > 20);
}

/* Adds up the references of the OpenAPI text, and those that lead nowhere. */
static void follow_refs(const struct cm_json *schemas, const struct cm_json *n, size_t *refs,
                        size_t *lost)
{
    static const struct cm_str prefix = {"#/components/schemas/", 21};

    for (size_t i = 0; i < cm_json_count(n); i++) {
        const struct cm_json *item = cm_json_at(n, i);
        if (cm_json_type(n) == CM_JSON_OBJECT && cm_str_eq(cm_json_key(item), CM_STR("$ref"))) {
            struct cm_str to = cm_json_str(item);
            ++*refs;
            *lost += !cm_str_starts(to, prefix) ||
                     !cm_json_get_str(schemas, cm_str_sub(to, prefix.len, to.len));
        }
        follow_refs(schemas, item, refs, lost);
    }
}

static void openapi_schemas_are_whole(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_json *schemas = NULL;
    struct cm_err err = {0};
    size_t refs = 0, lost = 0;

    (void)state;
    assert_int_equal(cm_json_parse_whole(a, cm_str(api_openapi_schemas), NULL, &schemas, &err),
                     CM_OK);
    for (size_t i = 0; i < api_n_listings; i++)
        if (!cm_json_get(schemas, api_listings[i].schema))
            fail_msg("%s is missing", api_listings[i].schema);
    follow_refs(schemas, schemas, &refs, &lost);
    assert_int_equal(lost, 0);
    assert_true(refs > 300);
    const struct cm_json *user = cm_json_get(cm_json_get(schemas, "codersdk.User"), "properties");
    assert_true(cm_str_eq_c(cm_json_str(cm_json_get(cm_json_get(user, "id"), "format")), "uuid"));
    assert_true(cm_str_eq_c(cm_json_str(cm_json_get(cm_json_get(user, "status"), "$ref")),
                            "#/components/schemas/codersdk.UserStatus"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_matches_the_inventory),
        cmocka_unit_test(every_schema_is_here_or_left_out_on_purpose),
        cmocka_unit_test(every_rule_of_a_field_exists),
        cmocka_unit_test(openapi_schemas_are_whole),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
