#include "cmd/param_ask.h"

#include <stdlib.h>

#define LIST_MAX ((size_t)64 << 10)

struct asked {
    struct cli *cli;
    const struct param_question *q;
    struct cm_str value; /* as the API wants it */
};

/* "a,b", or JSON as it is: both are ways to write a list. */
static enum cm_code list_value(struct cli *cli, const char *answer, struct cm_str *ret,
                               struct cm_err *err)
{
    const struct cm_json *n;
    struct cm_conf_list items = {NULL, 0};
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(LIST_MAX);

    *ret = cm_str(answer);
    if (*answer == '[')
        return cm_json_parse_whole(cli->arena, *ret, &cm_json_file_limits, &n, err);
    if (*answer && cm_conf_split_csv(cli->arena, *ret, &items, err) != CM_OK)
        return err->code;
    cm_buf_char(&out, '[');
    for (size_t i = 0; i < items.n; i++) {
        cm_buf_cstr(&out, i ? "," : "");
        cm_json_write_str(&out, cm_str_trim(cm_str(items.v[i])));
    }
    cm_buf_char(&out, ']');
    *ret = cm_arena_str(cli->arena, cm_buf_view(&out));
    return cm_buf_check(&out, "the list", err);
}

static enum cm_code check_number(const struct api_template_version_parameter *p, const char *answer,
                                 struct cm_err *err)
{
    bool has_min = cm_has(p->has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MIN);
    bool has_max = cm_has(p->has, API_TEMPLATE_VERSION_PARAMETER_HAS_VALIDATION_MAX);
    char *end = NULL;
    double v = strtod(answer, &end);

    if (!*answer || *end)
        return cm_err_set(err, CM_INVALID, "value \"%s\" is not a number", answer);
    if (has_min && v < (double)p->validation_min)
        return cm_err_set(err, CM_INVALID, "value %s is less than the minimum %lld", answer,
                          (long long)p->validation_min);
    if (has_max && v > (double)p->validation_max)
        return cm_err_set(err, CM_INVALID, "value %s is more than the maximum %lld", answer,
                          (long long)p->validation_max);
    return CM_OK;
}

/* Patterns, and whatever else the template says, are the server's to judge. When it cannot be
 * asked, making the workspace will tell. */
static enum cm_code check_by_server(struct asked *x, struct cm_err *err)
{
    struct cli *cli = x->cli;
    const struct param_question *q = x->q;
    struct api_dynamic_parameters_response *form = NULL;
    struct api_dynamic_parameters_request req = {
        .id = 1, .inputs = CM_NEW_ARRAY(cli->arena, struct cm_pair, q->n_before + 1)};
    struct cm_err ignored;

    for (size_t i = 0; i < q->n_before; i++)
        req.inputs[req.n_inputs++] = (struct cm_pair){q->before[i].name, q->before[i].value};
    req.inputs[req.n_inputs++] = (struct cm_pair){q->p->name, x->value};
    if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_dynamic_parameters_request_msg, &req,
                    &api_dynamic_parameters_response_msg, (void **)&form, &ignored,
                    "/api/v2/templateversions/%s/dynamic-parameters/evaluate",
                    cm_uuid_text(q->version).s) != CM_OK)
        return CM_OK;
    for (size_t i = 0; i < form->n_parameters; i++) {
        const struct api_preview_parameter *p = &form->parameters[i];
        for (size_t k = 0; cm_str_eq(p->name, q->p->name) && k < p->n_diagnostics; k++) {
            const struct api_friendly_diagnostic *d = &p->diagnostics[k];
            if (d->severity == API_DIAGNOSTIC_SEVERITY_STRING_ERROR)
                return cm_err_set(err, CM_INVALID, "%.*s",
                                  CM_STR_ARG(d->detail.len ? d->detail : d->summary));
        }
    }
    return CM_OK;
}

static enum cm_code check_answer(void *ctx, const char *answer, struct cm_err *err)
{
    struct asked *x = ctx;
    const struct api_template_version_parameter *p = x->q->p;

    x->value = cm_str(answer);
    if (p->required && !*answer)
        return cm_err_set(err, CM_INVALID, "a value is required");
    switch (p->type) {
    case API_OPTION_TYPE_NUMBER:
        if (check_number(p, answer, err) != CM_OK)
            return err->code;
        break;
    case API_OPTION_TYPE_BOOL:
        if (strcmp(answer, "true") != 0 && strcmp(answer, "false") != 0)
            return cm_err_set(err, CM_INVALID, "value must be true or false");
        break;
    case API_OPTION_TYPE_LIST_STRING:
        if (list_value(x->cli, answer, &x->value, err) != CM_OK)
            return err->code;
        break;
    case API_OPTION_TYPE_UNSET:
    case API_OPTION_TYPE_STRING:
        break;
    }
    return check_by_server(x, err);
}

static enum cm_code ask_text(struct asked *x, struct cm_err *err)
{
    const struct api_template_version_parameter *p = x->q->p;
    struct ui_question q = {.text = p->type == API_OPTION_TYPE_LIST_STRING
                                        ? "Enter values, separated by commas:"
                                        : "Enter a value:",
                            .def = p->required ? NULL : cm_arena_cstr(x->cli->arena, x->q->def),
                            .check = check_answer,
                            .ctx = x};
    const char *answer = NULL;

    return ui_ask(x->cli, &q, &answer, err);
}

static enum cm_code ask_bool(struct asked *x, struct cm_err *err)
{
    static const char *const words[] = {"true", "false"};
    size_t chosen = cm_str_eq_c(x->q->def, "true") ? 0 : 1;

    if (ui_select(x->cli, "Select a value:", words, 2, &chosen, err) != CM_OK)
        return err->code;
    x->value = cm_str(words[chosen]);
    return CM_OK;
}

static const char **option_names(struct asked *x)
{
    const struct api_template_version_parameter *p = x->q->p;
    const char **names = CM_NEW_ARRAY(x->cli->arena, const char *, p->n_options);

    for (size_t i = 0; i < p->n_options; i++)
        names[i] = cm_arena_cstr(x->cli->arena,
                                 p->options[i].name.len ? p->options[i].name : p->options[i].value);
    return names;
}

static enum cm_code ask_option(struct asked *x, struct cm_err *err)
{
    const struct api_template_version_parameter *p = x->q->p;
    size_t chosen = 0;

    for (size_t i = 0; i < p->n_options; i++)
        if (cm_str_eq(p->options[i].value, x->q->def))
            chosen = i;
    if (ui_select(x->cli, "Select a value:", option_names(x), p->n_options, &chosen, err) != CM_OK)
        return err->code;
    x->value = p->options[chosen].value;
    return CM_OK;
}

static enum cm_code ask_options(struct asked *x, struct cm_err *err)
{
    const struct api_template_version_parameter *p = x->q->p;
    struct cm_arena *a = x->cli->arena;
    bool *marked = CM_NEW_ARRAY(a, bool, p->n_options);
    const struct cm_json *def = NULL;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(LIST_MAX);
    bool first = true;

    if (cm_json_parse(a, x->q->def, &cm_json_file_limits, &def, NULL) == CM_OK)
        for (size_t i = 0; i < p->n_options; i++)
            for (size_t k = 0; k < cm_json_count(def); k++)
                marked[i] =
                    marked[i] || cm_str_eq(cm_json_str(cm_json_at(def, k)), p->options[i].value);
    if (ui_select_many(x->cli, "Select values (Space marks):", option_names(x), p->n_options,
                       marked, err) != CM_OK)
        return err->code;
    cm_buf_char(&out, '[');
    for (size_t i = 0; i < p->n_options; i++) {
        if (!marked[i])
            continue;
        cm_buf_cstr(&out, first ? "" : ",");
        cm_json_write_str(&out, p->options[i].value);
        first = false;
    }
    cm_buf_char(&out, ']');
    x->value = cm_arena_str(a, cm_buf_view(&out));
    return cm_buf_check(&out, "the list", err);
}

enum cm_code param_ask(struct cli *cli, const struct param_question *q, struct cm_str *ret,
                       struct cm_err *err)
{
    const struct api_template_version_parameter *p = q->p;
    struct asked x = {cli, q, CM_STR_NONE};
    bool list = p->type == API_OPTION_TYPE_LIST_STRING;
    enum cm_code code;

    fprintf(stderr, "\n%.*s\n", CM_STR_ARG(p->display_name.len ? p->display_name : p->name));
    if (p->description_plaintext.len)
        fprintf(stderr, "  %.*s\n", CM_STR_ARG(p->description_plaintext));
    if (p->n_options)
        code = list ? ask_options(&x, err) : ask_option(&x, err);
    else
        code = p->type == API_OPTION_TYPE_BOOL ? ask_bool(&x, err) : ask_text(&x, err);
    *ret = x.value;
    return code;
}

bool param_is_accepted(struct cli *cli, const struct param_question *q, struct cm_str value)
{
    struct asked x = {.cli = cli, .q = q, .value = value};
    struct cm_err why;
    return check_by_server(&x, &why) == CM_OK;
}
