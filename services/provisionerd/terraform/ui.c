#include "terraform/ui.h"

#include "base/buf.h"
#include "codec/node.h"

/* Texts that a job log may hold in one go; terraform quotes whole files in some diagnostics. */
#define TEXT_MAX ((size_t)256 << 10)

static const struct cm_json_limits line_limits = {
    .bytes = (size_t)1 << 20, .nodes = 50000, .depth = 64};

static const struct {
    const char *type;
    enum ui_kind kind;
} hook_types[] = {
    {"apply_start", UI_STARTED},        {"apply_complete", UI_ENDED},
    {"apply_errored", UI_ENDED},        {"refresh_start", UI_STARTED},
    {"refresh_complete", UI_ENDED},     {"provision_start", UI_STARTED},
    {"provision_complete", UI_ENDED},   {"provision_errored", UI_ENDED},
    {"ephemeral_op_start", UI_STARTED}, {"ephemeral_op_complete", UI_ENDED},
    {"ephemeral_op_errored", UI_ENDED},
};

static const struct {
    const char *message_code, *resource;
} init_steps[] = {
    {"initializing_backend_message", "backend"},
    {"initializing_modules_message", "modules"},
    {"upgrading_modules_message", "modules"},
    {"initializing_provider_plugin_message", "provider plugins"},
};

static const char *level_name(struct cm_str s)
{
    static const char *const names[] = {"trace", "debug", "info", "warn", "error"};
    for (size_t i = 0; i < CM_COUNT_OF(names); i++) {
        if (cm_str_eq_c(s, names[i]))
            return names[i];
    }
    return cm_str_eq_c(s, "warning") ? "warn" : "info";
}

static struct cm_str member(const struct cm_json *n, const char *key)
{
    return cm_json_str(cm_json_get(n, key));
}

static void append_snippet(struct cm_buf *b, const struct cm_json *range,
                           const struct cm_json *snippet)
{
    struct cm_str context = member(snippet, "context");
    int64_t line = cm_json_i64(cm_json_get(snippet, "start_line"));
    cm_buf_printf(b, "\n  on %.*s line %lld", CM_STR_ARG(member(range, "filename")),
                  (long long)cm_json_i64(cm_json_get(cm_json_get(range, "start"), "line")));
    if (context.len > 0)
        cm_buf_printf(b, ", in %.*s", CM_STR_ARG(context));
    cm_buf_char(b, ':');
    struct cm_str code = member(snippet, "code");
    while (code.len > 0) {
        struct cm_str one;
        code = cm_str_split(code, '\n', &one);
        cm_buf_printf(b, "\n  %lld: %.*s", (long long)line++, CM_STR_ARG(one));
    }
    const struct cm_json *values = cm_json_get(snippet, "values");
    for (size_t i = 0; i < cm_json_count(values); i++) {
        const struct cm_json *v = cm_json_at(values, i);
        cm_buf_printf(b, "\n    %.*s %.*s", CM_STR_ARG(member(v, "traversal")),
                      CM_STR_ARG(member(v, "statement")));
    }
}

/* Over several lines, as people know it from terraform:
 *   Error: SUMMARY
 *     on main.tf line 3, in resource "a" "b":
 *     3:   code
 *   DETAIL */
static struct cm_str format_diagnostic(struct cm_arena *a, const struct cm_json *d)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(TEXT_MAX);
    bool is_error = cm_str_eq_c(member(d, "severity"), "error");
    struct cm_str address = member(d, "address"), detail = member(d, "detail");
    cm_buf_printf(&b, "%s: %.*s", is_error ? "Error" : "Warning", CM_STR_ARG(member(d, "summary")));
    if (address.len > 0)
        cm_buf_printf(&b, "\n  with %.*s,", CM_STR_ARG(address));
    if (!cm_json_is_null(cm_json_get(d, "range")))
        append_snippet(&b, cm_json_get(d, "range"), cm_json_get(d, "snippet"));
    if (detail.len > 0)
        cm_buf_printf(&b, "\n%.*s", CM_STR_ARG(detail));
    return cm_arena_str(a, cm_buf_view(&b));
}

static void read_hook(const struct cm_json *root, struct cm_str type, struct ui_event *ev)
{
    const struct cm_json *hook = cm_json_get(root, "hook");
    const struct cm_json *res = cm_json_get(hook, "resource");
    for (size_t i = 0; i < CM_COUNT_OF(hook_types); i++) {
        if (!cm_str_eq_c(type, hook_types[i].type))
            continue;
        ev->kind = hook_types[i].kind;
        ev->action = member(hook, "action");
        if (ev->action.len == 0) /* refresh and provision hooks have none */
            ev->action = cm_str_starts(type, CM_STR("refresh")) ? CM_STR("state refresh")
                                                                : CM_STR("provision");
        ev->resource = member(res, "addr");
        ev->source = member(res, "implied_provider");
    }
}

static void read_event(struct cm_arena *a, const struct cm_json *root, struct ui_event *ev)
{
    struct cm_str type = member(root, "type");
    ev->level = level_name(member(root, "@level"));
    ev->text = member(root, "@message");
    if (!cm_time_parse(member(root, "@timestamp"), &ev->at))
        ev->at = cm_time_now();
    if (cm_str_eq_c(type, "diagnostic")) {
        const struct cm_json *d = cm_json_get(root, "diagnostic");
        ev->kind = UI_DIAGNOSTIC;
        ev->level = level_name(member(d, "severity"));
        ev->summary = member(d, "summary");
        ev->detail = member(d, "detail");
        ev->text = format_diagnostic(a, d);
    } else if (cm_str_eq_c(type, "change_summary")) {
        if (cm_str_eq_c(member(cm_json_get(root, "changes"), "operation"), "plan"))
            ev->kind = UI_PLANNED;
    } else if (cm_str_eq_c(type, "init_output")) {
        struct cm_str code = member(root, "message_code");
        for (size_t i = 0; i < CM_COUNT_OF(init_steps); i++) {
            if (cm_str_eq_c(code, init_steps[i].message_code)) {
                ev->kind = UI_INIT_STEP;
                ev->at = cm_time_now(); /* these lines tell whole seconds only */
                ev->resource = cm_str(init_steps[i].resource);
            }
        }
        /* Advice for people at a terminal: "you may now begin working with Terraform". */
        if (cm_str_eq_c(code, "output_init_success_cli_message"))
            ev->text = CM_STR_NONE;
    } else {
        read_hook(root, type, ev);
    }
}

void ui_parse_line(struct cm_arena *a, struct cm_str line, struct ui_event *ret)
{
    const struct cm_json *root = NULL;
    struct cm_str trimmed = cm_str_trim(line);
    *ret = (struct ui_event){.kind = UI_TEXT, .level = "info", .text = line};
    if (trimmed.len > 0 && trimmed.ptr[0] == '{' &&
        cm_json_parse(a, trimmed, &line_limits, &root, NULL) == CM_OK &&
        cm_json_type(cm_json_get(root, "@message")) == CM_JSON_STRING) {
        read_event(a, root, ret);
        return;
    }
    ret->at = cm_time_now();
    if (!cm_str_is_utf8(line))
        ret->text = CM_STR("(a line that is not UTF-8)");
}
