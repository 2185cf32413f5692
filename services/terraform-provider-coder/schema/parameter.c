/* data coder_parameter: a question to the workspace's owner, and the answer. */
#include "base/buf.h"
#include "schema/checks.h"
#include "schema/parameter_check.h"
#include "schema/types.h"
#include "value/json.h"

static const struct field option_fields[] = {
    {.name = "name", .kind = FIELD_STRING, .flags = F_REQUIRED, .about = "Name that users see."},
    {.name = "value",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Value of the parameter when this option is chosen."},
    {.name = "description",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Text to show with the option."},
    {.name = "icon",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "URL of an icon.",
     .check = check_url},
};
static const struct block option = BLOCK_OF(option_fields);

static const struct field validation_fields[] = {
    {.name = "min", .kind = FIELD_INT, .flags = F_OPTIONAL, .about = "Smallest number."},
    {.name = "max", .kind = FIELD_INT, .flags = F_OPTIONAL, .about = "Largest number."},
    {.name = "monotonic",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "increasing or decreasing: which way the number may change."},
    {
        .name = "regex",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Regular expression that the text must match somewhere.",
        .conflicts = WORDS("validation.0.min", "validation.0.max", "validation.0.monotonic"),
    },
    {.name = "error",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "What to tell the user; {min}, {max} and {value} are filled in."},
    {.name = "min_disabled",
     .kind = FIELD_BOOL,
     .flags = F_COMPUTED,
     .about = "Whether there is no smallest number."},
    {.name = "max_disabled",
     .kind = FIELD_BOOL,
     .flags = F_COMPUTED,
     .about = "Whether there is no largest number."},
};
static const struct block validation = BLOCK_OF(validation_fields);

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {.name = "value",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "The answer, or the default."},
    {.name = "name", .kind = FIELD_STRING, .flags = F_REQUIRED, .about = "Name of the parameter."},
    {.name = "display_name",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Name that users see."},
    {.name = "description",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Text to show with the parameter, as Markdown."},
    {
        .name = "type",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Type of the value.",
        .dflt = DEFAULT_STR("string"),
        .check = check_one_of,
        .words = WORDS("string", "number", "bool", "list(string)"),
    },
    {
        .name = "form_type",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Control to ask with.",
        .dflt = DEFAULT_STR(""),
        .check = check_one_of,
        .words = WORDS("radio", "slider", "input", "dropdown", "checkbox", "switch", "multi-select",
                       "tag-select", "textarea", "error"),
    },
    {.name = "styling",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Looks of the control, as JSON.",
     .dflt = DEFAULT_STR("{}")},
    {.name = "mutable",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Whether the answer may change after the workspace was made.",
     .dflt = DEFAULT_BOOL(false)},
    {.name = "default",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Answer when the user gives none."},
    {.name = "icon",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "URL of an icon.",
     .check = check_url},
    {.name = "optional",
     .kind = FIELD_BOOL,
     .flags = F_COMPUTED,
     .about = "Whether there is a default."},
    {.name = "order",
     .kind = FIELD_INT,
     .flags = F_OPTIONAL,
     .about = "Place among the parameters; lower comes first."},
    {.name = "ephemeral",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Whether the answer holds for one build only.",
     .dflt = DEFAULT_BOOL(false)},
    {.name = "option",
     .kind = FIELD_LIST,
     .flags = F_OPTIONAL,
     .about = "A value to choose from.",
     .block = &option},
    {.name = "validation",
     .kind = FIELD_LIST,
     .flags = F_OPTIONAL,
     .about = "Rules for the value.",
     .block = &validation,
     .max_items = 1},
};

/* Which controls suit which type; the first is the default. */
static const struct form_rule {
    const char *type;
    bool options;
    const char *const *forms;
} form_rules[] = {
    {"string", true, WORDS("radio", "dropdown")},
    {"string", false, WORDS("input", "textarea")},
    {"number", true, WORDS("radio", "dropdown")},
    {"number", false, WORDS("input", "slider")},
    {"bool", true, WORDS("radio", "dropdown")},
    {"bool", false, WORDS("checkbox", "switch")},
    {"list(string)", true, WORDS("radio", "multi-select")},
    {"list(string)", false, WORDS("tag-select")},
};

static const struct form_rule *find_rule(struct cm_str type, bool options)
{
    for (size_t i = 0; i < CM_COUNT_OF(form_rules); i++)
        if (form_rules[i].options == options && cm_str_eq_c(type, form_rules[i].type))
            return &form_rules[i];
    return NULL;
}

static bool rule_allows(const struct form_rule *r, struct cm_str form)
{
    for (const char *const *f = r->forms; *f; f++)
        if (cm_str_eq_c(form, *f))
            return true;
    return false;
}

static void report_form(struct call *c, const struct form_rule *r, struct cm_str form)
{
    CM_AUTOBUF struct cm_buf list = CM_BUF_INIT(256);
    for (const char *const *f = r->forms; *f; f++)
        cm_buf_printf(&list, "%s%s", list.len ? ", " : "", *f);
    const char *hint = "";
    if (rule_allows(find_rule(cm_str(r->type), !r->options), form))
        hint = r->options ? " It suits this type only when options do not exist."
                          : " It suits this type only when options exist.";
    struct diag *d =
        call_error(c, path_name(PATH_ROOT, "form_type"), "Invalid form_type for parameter");
    d->detail = cm_arena_fmt(
        c->arena, "The form_type \"%.*s\" does not suit the type \"%s\" %s; use one of: %.*s.%s",
        CM_STR_ARG(form), r->type, r->options ? "when options exist" : "when options do not exist",
        CM_STR_ARG(cm_buf_view(&list)), hint);
}

/* What is being judged: the answer, else the default. */
struct subject {
    struct call *c;
    struct cm_str type, form;
    struct cm_str value;
    bool is_default, is_missing;
    struct path path;
};

static bool check_options(const struct subject *s, const struct value *options)
{
    bool multi = cm_str_eq_c(s->form, "multi-select");
    struct cm_str type = multi ? CM_STR("string") : s->type, why;
    struct call *c = s->c;
    bool ok = true;
    for (size_t i = 0; i < value_count(options); i++) {
        struct cm_str name = value_str(&options->list.items[i], "name");
        struct cm_str value = value_str(&options->list.items[i], "value");
        struct cm_str qn = call_quote(c, name), qv = call_quote(c, value);
        for (size_t k = 0; k < i; k++) {
            bool same_name = cm_str_eq(name, value_str(&options->list.items[k], "name"));
            if (!same_name && !cm_str_eq(value, value_str(&options->list.items[k], "value")))
                continue;
            struct diag *d =
                call_error(c, path_name(PATH_ROOT, "option"), "Option %s must be unique.",
                           same_name ? "names" : "values");
            d->detail = cm_arena_fmt(c->arena, "multiple options found with the same %s %.*s",
                                     same_name ? "name" : "value", CM_STR_ARG(same_name ? qn : qv));
            return false;
        }
        if (!parameter_is_of_type(c, type, value, &why)) {
            struct diag *d = call_error(c, path_name(PATH_ROOT, "option"),
                                        "Option %.*s with value=%.*s is not of type \"%.*s\"",
                                        CM_STR_ARG(qn), CM_STR_ARG(qv), CM_STR_ARG(type));
            d->detail = why;
            ok = false;
        }
    }
    return ok;
}

static bool is_option(const struct value *options, struct cm_str value)
{
    for (size_t i = 0; i < value_count(options); i++)
        if (cm_str_eq(value, value_str(&options->list.items[i], "value")))
            return true;
    return false;
}

static struct cm_str list_options(const struct subject *s, const struct value *options)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)1 << 20);
    for (size_t i = 0; i < value_count(options); i++) {
        cm_buf_cstr(&b, i ? ", " : "");
        cm_buf_str(&b, value_str(&options->list.items[i], "value"));
    }
    return cm_arena_str(s->c->arena, cm_buf_view(&b));
}

static bool check_chosen(const struct subject *s, const struct value *options)
{
    if (is_option(options, s->value))
        return true;
    struct cm_str quoted = call_quote(s->c, s->value), all = list_options(s, options);
    struct diag *d = call_error(s->c, s->path, "%s must be a valid option",
                                s->is_default ? "Default value" : "Value");
    const char *hint =
        s->value.len ? "" : " The value is empty: set a default, or give the parameter a value.";
    d->detail =
        cm_arena_fmt(s->c->arena, "the value %.*s must be defined as one of the options: %.*s.%s",
                     CM_STR_ARG(quoted), CM_STR_ARG(all), hint);
    return false;
}

static bool check_all_chosen(const struct subject *s, const struct value *options)
{
    struct value list;
    struct cm_err err;
    struct cm_str quoted = call_quote(s->c, s->value);
    if (json_decode_strings(s->c->arena, JSON_WHOLE, s->value, &list, &err) != CM_OK) {
        struct diag *d = call_error(s->c, s->path, "Value must be a json encoded list of strings");
        d->detail =
            cm_arena_fmt(s->c->arena, "value %.*s is not a json encoded list of strings: %s",
                         CM_STR_ARG(quoted), err.text);
        return false;
    }
    CM_AUTOBUF struct cm_buf missing = CM_BUF_INIT((size_t)1 << 20);
    for (size_t i = 0; i < list.list.n; i++) {
        if (is_option(options, list.list.items[i].str))
            continue;
        cm_buf_cstr(&missing, missing.len ? ", " : "");
        cm_buf_str(&missing, list.list.items[i].str);
    }
    if (!missing.len)
        return true;
    struct cm_str names = call_quote(s->c, cm_buf_view(&missing)), all = list_options(s, options);
    struct diag *d = call_error(s->c, s->path, "%s must be a valid option",
                                s->is_default ? "Default values" : "Values");
    d->detail = cm_arena_fmt(s->c->arena, "the values %.*s are not among the options: %.*s",
                             CM_STR_ARG(names), CM_STR_ARG(all));
    return false;
}

static bool check_rules(const struct subject *s, const struct value *block, struct cm_str name)
{
    struct call *c = s->c;
    struct parameter_rules r = {
        .type = s->type,
        .has_min = !value_bool(block, "min_disabled"),
        .has_max = !value_bool(block, "max_disabled"),
        .min = value_int(block, "min"),
        .max = value_int(block, "max"),
        .monotonic = value_str(block, "monotonic"),
        .regex = value_str(block, "regex"),
        .error = value_str(block, "error"),
    };
    bool exists;
    struct cm_str hash = call_sha256(c, name), why;
    struct cm_str previous = call_env(
        c, cm_arena_printf(c->arena, "CODER_PARAMETER_PREVIOUS_%.*s", CM_STR_ARG(hash)), &exists);
    if (parameter_validate(c, &r, s->value, exists ? &previous : NULL, &why))
        return true;
    struct diag *d = call_error(c, s->path, "Invalid parameter %s according to 'validation' block",
                                s->is_default ? "default value" : "value");
    d->detail = why;
    return false;
}

/* Fills min_disabled and max_disabled of the result and returns the block, or NULL without one. */
static const struct value *note_limits(const struct value *config, struct value *state)
{
    const struct value *in = value_get(config, "validation");
    if (!value_count(in)) {
        value_set(state, "validation", VALUE_EMPTY_LIST);
        return NULL;
    }
    struct value *out = &value_get(state, "validation")->list.items[0];
    const struct value *given = &in->list.items[0];
    value_set(out, "min_disabled", value_of_bool(value_get(given, "min")->kind == VALUE_NULL));
    value_set(out, "max_disabled", value_of_bool(value_get(given, "max")->kind == VALUE_NULL));
    return out;
}

static struct subject find_subject(struct call *c, const struct value *config,
                                   const struct value *state)
{
    struct cm_str hash = call_sha256(c, value_str(config, "name"));
    bool exists;
    struct subject s = {.c = c, .type = value_str(state, "type"), .path = PATH_ROOT};
    s.value =
        call_env(c, cm_arena_printf(c->arena, "CODER_PARAMETER_%.*s", CM_STR_ARG(hash)), &exists);
    if (exists)
        return s;
    s.value = value_str(config, "default");
    s.is_default = value_is_set(value_get(config, "default"));
    s.is_missing = !s.is_default;
    if (s.is_default)
        s.path = path_name(PATH_ROOT, "default");
    return s;
}

static bool check_ephemeral(struct call *c, const struct value *config)
{
    if (!value_bool(config, "ephemeral"))
        return true;
    if (!value_bool(config, "mutable"))
        call_error(c, PATH_ROOT, "parameter can't be immutable and ephemeral");
    else if (!value_is_set(value_get(config, "default")))
        call_error(c, PATH_ROOT, "ephemeral parameter requires the default property");
    return !c->failed;
}

static void parameter_read(struct call *c, const struct value *config, struct value *state)
{
    type_create_id(c, state);
    value_set(state, "optional", value_of_bool(value_get(config, "default")->kind != VALUE_NULL));
    const struct value *rules = note_limits(config, state);
    if (!check_ephemeral(c, config))
        return;
    struct subject s = find_subject(c, config, state);
    const struct value *options = value_get(config, "option");
    const struct form_rule *form = find_rule(s.type, value_count(options) > 0);
    s.form = value_str(config, "form_type");
    if (!form || (s.form.len && !rule_allows(form, s.form))) {
        report_form(c, form ? form : &form_rules[0], s.form);
        return;
    }
    if (!s.form.len)
        s.form = cm_str(form->forms[0]);
    value_set(state, "form_type", value_of_str(s.form));
    value_set(state, "value", value_of_str(s.value));
    if (!check_options(&s, options) || (s.is_missing && !rules))
        return;
    bool ok = true;
    if (value_count(options) > 0)
        ok = cm_str_eq_c(s.form, "multi-select") ? check_all_chosen(&s, options)
                                                 : check_chosen(&s, options);
    if (!ok || (rules && !check_rules(&s, rules, value_str(config, "name"))))
        return;
    struct cm_str why;
    if (!parameter_is_of_type(c, s.type, s.value, &why))
        call_error(c, s.path, "Parameter value is not of type \"%.*s\"", CM_STR_ARG(s.type))
            ->detail = why;
}

const struct type data_parameter = {
    .name = "coder_parameter",
    .about = "A question to the workspace's owner.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .data = true,
    .read = parameter_read,
};
