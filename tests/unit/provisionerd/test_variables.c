#include "test.h"

#include "sys/fs.h"
#include "terraform/variables.h"

struct expected {
    const char *name, *description, *type, *default_value; /* NULL default: required */
    bool sensitive;
};

static void check(const struct tf_variables *list, const struct expected *e, size_t n)
{
    assert_int_equal(list->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_str_is(list->v[i].name, e[i].name);
        assert_str_is(list->v[i].description, e[i].description);
        assert_str_is(list->v[i].type, e[i].type);
        assert_int_equal(list->v[i].has_default, e[i].default_value != NULL);
        assert_str_is(list->v[i].default_value, e[i].default_value ? e[i].default_value : "");
        assert_int_equal(list->v[i].sensitive, e[i].sensitive);
    }
}

static void scan(const char *text, bool json, const struct expected *e, size_t n)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_variables list = {0};
    struct cm_err err;
    assert_int_equal(tf_variables_scan(a, cm_str(text), json, false, &list, &err), CM_OK);
    check(&list, e, n);
}

static void variables_of_every_form_are_found(void **state)
{
    (void)state;
    static const char text[] =
        "# variable \"no\" {}\n// variable \"no\" {}\n/* variable \"no\" {\n} */\n"
        "terraform {\n  required_providers { coder = { source = \"coder/coder\" } }\n}\n"
        "variable \"plain\" {}\n"
        "variable bare { type = string }\n"
        "variable \"a\" {\n  type        = string # comment }\n  description = \"say \\\"hi\\\" "
        "\\u00e9\"\n"
        "  default     = \"x\\ty $${z}\"\n  sensitive   = true\n"
        "  validation {\n    condition = can(regex(\"^[a-z}]+$\", var.a))\n    error_message = "
        "\"no ${\"}\"} way\"\n  }\n}\n"
        "locals { variable = \"variable \\\"no\\\" {}\" }\n"
        "resource \"x\" \"y\" {\n  script = <<-EOT\n    variable \"no\" {}\n    ${join(\"}\", "
        "[])}\n  EOT\n}\n"
        "variable \"list\" {\n  type = list(object({\n    name = string\n  }))\n"
        "  default = [\n    { name = \"a\", \"n\" = 1.5 },\n    { name : \"b\"\n      n = -2 }, # "
        "x\n  ]\n}\n"
        "variable \"num\" {\n  type = number\n  default = 3\n}\n"
        "variable \"nothing\" {\n  default = null\n}\n"
        "variable \"expr\" {\n  default = \"${1 + 1}\"\n}\n"
        "variable \"old\" {\n  type = \"string\"\n  default = <<EOF\none\n two\nEOF\n}\n"
        "variable \"indented\" {\n  default = <<-EOF\n    one\n      two\n    EOF\n}\n"
        "output \"o\" { value = var.a }\n";
    static const struct expected e[] = {
        {"plain", "", "", NULL, false},
        {"bare", "", "string", NULL, false},
        {"a", "say \"hi\" \xc3\xa9", "string", "x\ty ${z}", true},
        {"list", "", "list(object({\n    name = string\n  }))",
         "[{\"name\":\"a\",\"n\":1.5},{\"name\":\"b\",\"n\":-2}]", false},
        {"num", "", "number", "3", false},
        {"nothing", "", "", "", false},
        {"expr", "", "", "\"${1 + 1}\"", false},
        {"old", "", "string", "one\n two\n", false},
        {"indented", "", "", "one\n  two\n", false},
    };
    scan(text, false, e, CM_COUNT_OF(e));
}

static void variables_in_json_files_are_found(void **state)
{
    (void)state;
    static const struct expected e[] = {
        {"a", "d", "string", "x", true},
        {"b", "", "", NULL, false},
        {"c", "", "", "[1,2]", false},
    };
    scan("{\"variable\":{\"a\":{\"type\":\"string\",\"default\":\"x\",\"description\":\"d\","
         "\"sensitive\":true},"
         "\"b\":{},\"c\":{\"default\":[1,2]}}}",
         true, e, 3);
    scan("{\"variable\":[{\"a\":{\"type\":\"string\",\"default\":\"x\",\"description\":\"d\","
         "\"sensitive\":true}},"
         "{\"b\":{},\"c\":{\"default\":[1,2]}}]}",
         true, e, 3);
}

static void editors_of_all_systems_are_read(void **state)
{
    (void)state;
    static const struct expected e[] = {
        {"a", "", "string", NULL, false},
        {"b", "", "map(number)", "{\"\xc3\xb6l\":1}", false},
    };
    scan("\xef\xbb\xbfvariable \"a\" {\r\n  type = string\r\n}\r\n"
         "locals { gr\xc3\xb6\xc3\x9f"
         "e = 1 }\r\n"
         "variable \"b\" {\r\n  type = map(number)\r\n  default = {\r\n    \xc3\xb6l = 1\r\n  "
         "}\r\n}\r\n",
         false, e, 2);
}

/* terraform tells what is wrong; what stands before the mistake is found. */
static void variables_before_a_mistake_are_found(void **state)
{
    (void)state;
    static const char *const rests[] = {
        "resource \"x\" {",   "}",           "variable \"b\" {\n default = \"x\n}",
        "variable \"b\" { x", "\"",          "x = <<EOT\nno end",
        "variable \"b",       "a = [ } ]\n", "b \"x\" = {}\n",
    };
    for (size_t i = 0; i < CM_COUNT_OF(rests); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct tf_variables list = {0};
        struct cm_err err;
        char *text = cm_arena_printf(a, "variable \"a\" {}\n%s", rests[i]);
        assert_int_equal(tf_variables_scan(a, cm_str(text), false, false, &list, &err), CM_OK);
        assert_true(list.n >= 1);
        assert_str_is(list.v[0].name, "a");
    }
}

static void variables_nesting_without_end_is_survived(void **state)
{
    (void)state;
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)1 << 20);
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_variables list = {0};
    struct cm_err err;
    cm_buf_cstr(&b, "variable \"a\" {}\nx = ");
    for (int i = 0; i < 100000; i++)
        cm_buf_char(&b, '[');
    assert_int_equal(tf_variables_scan(a, cm_buf_view(&b), false, false, &list, &err), CM_OK);
    assert_int_equal(list.n, 1);
}

static void variables_of_override_files_change_known_ones(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } files[] = {
        {"a_override.tf", "variable \"v\" { default = \"over\" }\nvariable \"new\" {}\n"},
        {"main.tf", "variable \"v\" {\n type = string\n}\n"},
        {"z.tf.json", "{\"variable\":{\"j\":{}}}"},
        {"notes.txt", "variable \"no\" {}"},
        {".hidden.tf", "variable \"no\" {}"},
    };
    static const struct expected e[] = {{"v", "", "string", "over", false},
                                        {"j", "", "", NULL, false}};
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_variables list;
    struct cm_err err;
    char *dir = NULL;
    assert_int_equal(cm_fs_temp_dir(NULL, "variables-", &dir, &err), CM_OK);
    for (size_t i = 0; i < CM_COUNT_OF(files); i++)
        assert_int_equal(cm_fs_write(cm_fs_join(a, dir, files[i].name), cm_str(files[i].text), 0600,
                                     false, &err),
                         CM_OK);
    assert_int_equal(tf_variables_read(a, dir, &list, &err), CM_OK);
    check(&list, e, CM_COUNT_OF(e));
    assert_int_equal(cm_fs_remove_tree(dir, &err), CM_OK);
    cm_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_of_every_form_are_found),
        cmocka_unit_test(variables_in_json_files_are_found),
        cmocka_unit_test(editors_of_all_systems_are_read),
        cmocka_unit_test(variables_before_a_mistake_are_found),
        cmocka_unit_test(variables_nesting_without_end_is_survived),
        cmocka_unit_test(variables_of_override_files_change_known_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
