#include "test.h"

#include "terraform/ui.h"

static const struct {
    const char *name, *line;
    enum ui_kind kind;
    const char *level, *text;
} lines[] = {
    {"plain text is shown as it is", "hello", UI_TEXT, "info", "hello"},
    {"an empty line", "", UI_TEXT, "info", ""},
    {"JSON that is not terraform's", "{\"a\":1}", UI_TEXT, "info", "{\"a\":1}"},
    {"broken JSON", "{\"@message\":\"x\"", UI_TEXT, "info", "{\"@message\":\"x\""},
    {"a message that is no text", "{\"@message\":5,\"type\":\"log\"}", UI_TEXT, "info",
     "{\"@message\":5,\"type\":\"log\"}"},
    {"a log line", "{\"@level\":\"warn\",\"@message\":\"careful\",\"type\":\"log\"}", UI_TEXT,
     "warn", "careful"},
    {"an unknown level", "{\"@level\":\"odd\",\"@message\":\"m\",\"type\":\"log\"}", UI_TEXT,
     "info", "m"},
    {"the end of a plan",
     "{\"@level\":\"info\",\"@message\":\"Plan: 1 to add\",\"changes\":{\"operation\":\"plan\"},"
     "\"type\":\"change_summary\"}",
     UI_PLANNED, "info", "Plan: 1 to add"},
    {"the end of an apply",
     "{\"@level\":\"info\",\"@message\":\"done\",\"changes\":{\"operation\":\"apply\"},\"type\":"
     "\"change_summary\"}",
     UI_TEXT, "info", "done"},
    {"init begins with modules",
     "{\"@level\":\"info\",\"@message\":\"Initializing modules...\",\"type\":\"init_output\","
     "\"message_code\":\"initializing_modules_message\"}",
     UI_INIT_STEP, "info", "Initializing modules..."},
    {"advice for a terminal is left out",
     "{\"@level\":\"info\",\"@message\":\"You may now begin\",\"type\":\"init_output\","
     "\"message_code\":\"output_init_success_cli_message\"}",
     UI_TEXT, "info", ""},
};

static void ui_lines_become_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(lines); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct ui_event ev;
        print_message("%s\n", lines[i].name);
        ui_parse_line(a, cm_str(lines[i].line), &ev);
        assert_int_equal(ev.kind, lines[i].kind);
        assert_string_equal(ev.level, lines[i].level);
        assert_str_is(ev.text, lines[i].text);
    }
}

static void ui_line_that_is_not_utf8_is_replaced(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct ui_event ev;
    ui_parse_line(a, CM_STR("a\xff"), &ev);
    assert_str_is(ev.text, "(a line that is not UTF-8)");
}

static void ui_hooks_give_spans(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct ui_event ev;
    ui_parse_line(
        a,
        CM_STR("{\"@level\":\"info\",\"@message\":\"x: Creating...\","
               "\"@timestamp\":\"2026-11-23T18:16:36.939940Z\",\"hook\":{\"resource\":{\"addr\":"
               "\"a.b\","
               "\"implied_provider\":\"docker\"},\"action\":\"create\"},\"type\":\"apply_start\"}"),
        &ev);
    assert_int_equal(ev.kind, UI_STARTED);
    assert_str_is(ev.action, "create");
    assert_str_is(ev.resource, "a.b");
    assert_str_is(ev.source, "docker");
    assert_int_equal(ev.at.us % 1000000, 939940);
    ui_parse_line(
        a,
        CM_STR("{\"@level\":\"info\",\"@message\":\"m\",\"hook\":{\"resource\":{\"addr\":\"a.b\"}},"
               "\"type\":\"refresh_complete\"}"),
        &ev);
    assert_int_equal(ev.kind, UI_ENDED);
    assert_str_is(ev.action, "state refresh");
}

static void ui_diagnostic_is_formatted_over_lines(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct ui_event ev;
    ui_parse_line(a,
                  CM_STR("{\"@level\":\"error\",\"@message\":\"Error: "
                         "Bad\",\"diagnostic\":{\"severity\":\"error\","
                         "\"summary\":\"Bad\",\"detail\":\"It "
                         "is\\nbad.\",\"address\":\"x.y\",\"range\":{\"filename\":\"main.tf\","
                         "\"start\":{\"line\":3,\"column\":1,\"byte\":9}},\"snippet\":{\"context\":"
                         "\"resource \\\"x\\\" "
                         "\\\"y\\\"\",\"code\":\"  a = b\\n  c = "
                         "d\",\"start_line\":3,\"values\":[{\"traversal\":\"var.v\","
                         "\"statement\":\"is \\\"1\\\"\"}]}},\"type\":\"diagnostic\"}"),
                  &ev);
    assert_int_equal(ev.kind, UI_DIAGNOSTIC);
    assert_string_equal(ev.level, "error");
    assert_str_is(ev.summary, "Bad");
    assert_str_is(ev.text,
                  "Error: Bad\n  with x.y,\n  on main.tf line 3, in resource \"x\" \"y\":\n"
                  "  3:   a = b\n  4:   c = d\n    var.v is \"1\"\nIt is\nbad.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ui_lines_become_events),
        cmocka_unit_test(ui_line_that_is_not_utf8_is_replaced),
        cmocka_unit_test(ui_hooks_give_spans),
        cmocka_unit_test(ui_diagnostic_is_formatted_over_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
