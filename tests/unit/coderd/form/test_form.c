/* Forms evaluated from a template's files: expressions, and which parameters there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "form/expr.h"
#include "form/form.h"

static bool resolve(void *ctx, const struct cm_str *path, size_t n, struct form_value *ret,
                    size_t *ret_used)
{
    struct cm_arena *a = ctx;
    *ret_used = 1;
    if (cm_str_eq_c(path[0], "list")) {
        *ret = form_list(a, 3);
        form_push(ret, form_string(CM_STR("a")));
        form_push(ret, form_string(CM_STR("b")));
        form_push(ret, form_string(CM_STR("c")));
    } else if (cm_str_eq_c(path[0], "map")) {
        *ret = form_object(a, 2);
        form_set_c(ret, "x", form_number(1));
        form_set_c(ret, "y", form_string(CM_STR("two")));
    } else if (cm_str_eq_c(path[0], "unknown")) {
        *ret = FORM_UNKNOWN_VALUE;
        *ret_used = n;
    } else {
        return false;
    }
    return true;
}

static bool no_file(void *ctx, struct cm_str name, struct cm_str *ret)
{
    (void)ctx;
    (void)name;
    (void)ret;
    return false;
}

static void expressions_have_terraforms_values(void **state)
{
    static const struct {
        const char *text, *wanted; /* as JSON; "?" unknown, "!" an error */
    } rows[] = {
        {"1 + 2 * 3", "7"},
        {"(1 + 2) * 3", "9"},
        {"-4 % 3", "-1"},
        {"7 / 2", "3.5"},
        {"1 / 0", "!"},
        {"\"2\" + 1", "3"},
        {"\"2\" == 2", "false"},
        {"1 < 2 && !(2 >= 3) || false", "true"},
        {"false && unknown.x", "false"},
        {"true && unknown.x", "?"},
        {"true ? \"a\" : unknown.b", "\"a\""},
        {"unknown.a ? 1 : 2", "?"},
        {"false ? 1 : true ? 2 : 3", "2"},
        {"\"a ${1 + 1} $${b} \\\"c\\\"\\n\\u00e9\"", "\"a 2 ${b} \\\"c\\\"\\n\xc3\xa9\""},
        {"\"${list}\"", "[\"a\",\"b\",\"c\"]"},
        {"\"x${\"y${1}\"}\"", "\"xy1\""},
        {"\"x${unknown.a}\"", "?"},
        {"<<-EOT\n    a\n      b ${1}\n    EOT\n", "\"a\\n  b 1\\n\""},
        {"<<EOT\n  a\nEOT", "\"  a\\n\""},
        {"list[1]", "\"b\""},
        {"list[3]", "!"},
        {"list.0", "\"a\""},
        {"map.y", "\"two\""},
        {"map[\"x\"]", "1"},
        {"map.z", "!"},
        {"list[*]", "[\"a\",\"b\",\"c\"]"},
        {"[{n = 1}, {n = 2}][*].n", "[1,2]"},
        {"[{n = 1}, {n = 2}].*.n", "[1,2]"},
        {"[[1], [2]][*][0]", "[1,2]"},
        {"{ a = 1, \"b\" : 2, (list[2]) = 3 }", "{\"a\":1,\"b\":2,\"c\":3}"},
        {"{\n a = 1\n b = [\n 1,\n 2,\n ]\n # no more\n}", "{\"a\":1,\"b\":[1,2]}"},
        {"{for s in [\"ax\", \"by\", \"az\", \"aw\"] : substr(s, 0, 1) => s...}",
         "{\"a\":[\"ax\",\"az\",\"aw\"],\"b\":[\"by\"]}"},
        {"length({for i in range(700) : i % 7 => i... if i < 699}[5])", "100"},
        {"[for s in list : s...]", "?"},
        {"[for s in list : upper(s)]", "[\"A\",\"B\",\"C\"]"},
        {"[for i, s in list : \"${i}${s}\" if s != \"b\"]", "[\"0a\",\"2c\"]"},
        {"{ for k, v in map : v => k }", "{\"1\":\"x\",\"two\":\"y\"}"},
        {"[for x in [] : x.nothing]", "[]"},
        {"[for x in list : [for y in list : \"${x}${y}\" if x == y]]",
         "[[\"aa\"],[\"bb\"],[\"cc\"]]"},
        {"[for x in unknown.z : x]", "?"},
        {"flatten([[1, [2]], [3]])", "[1,2,3]"},
        {"try(list[9], map.z, \"none\")", "\"none\""},
        {"can(list[9])", "false"},
        {"coalesce(\"\", null, \"z\")", "\"z\""},
        {"contains(list, \"b\")", "true"},
        {"jsondecode(\"[{\\\"a\\\":1.5}]\")[0].a", "1.5"},
        {"jsonencode({ b = [true, null], a = \"<\" })",
         "\"{\\\"a\\\":\\\"\\\\u003c\\\",\\\"b\\\":[true,null]}\""},
        {"yamldecode(\"a: [1, x]\").a[1]", "\"x\""},
        {"join(\"-\", concat(list, [\"d\"]))", "\"a-b-c-d\""},
        {"split(\",\", \"a,,b\")", "[\"a\",\"\",\"b\"]"},
        {"merge(map, { x = 9 })", "{\"x\":9,\"y\":\"two\"}"},
        {"lookup(map, \"q\", 5)", "5"},
        {"keys(map)", "[\"x\",\"y\"]"},
        {"range(1, 4)", "[1,2,3]"},
        {"format(\"%s-%d%%\", \"a\", 3)", "\"a-3%\""},
        {"replace(\"a.b\", \".\", \"-\")", "\"a-b\""},
        {"toset([\"b\", \"a\", \"b\"])", "[\"a\",\"b\"]"},
        {"max([1, 5, 3]...)", "5"},
        {"length(\"h\xc3\xa9\")", "2"},
        {"timestamp()", "?"},
        {"length(nothing)", "!"},
        {"upper(1, 2)", "!"},
        {"1 +", "?"},
        {"\"%{ if true }x%{ endif }\"", "?"},
        {"((((1))))", "1"},
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(4096);
        size_t steps = 10000;
        const struct form_scope scope = {a, resolve, no_file, a, &steps, 0};
        struct form_value v = form_eval(&scope, cm_str(rows[i].text));
        if (v.kind == FORM_UNKNOWN || v.kind == FORM_ERROR)
            cm_buf_char(&b, v.kind == FORM_ERROR ? '!' : '?');
        else
            form_to_json(&b, v);
        if (!cm_str_eq_c(cm_buf_view(&b), rows[i].wanted))
            fail_msg("%s: %.*s, not %s", rows[i].text, CM_STR_ARG(cm_buf_view(&b)), rows[i].wanted);
    }
}

static void endless_expressions_end(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf deep = CM_BUF_INIT(1 << 16);
    size_t steps = 20000;
    const struct form_scope scope = {a, resolve, no_file, a, &steps, 0};
    const char *wide =
        "[for a in range(1000) : [for b in range(1000) : [for c in range(1000) : c]]]";
    (void)state;
    assert_int_equal(form_eval(&scope, cm_str(wide)).kind, FORM_UNKNOWN);
    steps = FORM_STEPS_MAX;
    const char *heavy =
        "jsonencode([for a in [[for b in [[for c in [[for d in range(1000) : d]] : [c, c, "
        "c, c, c, c, c, c]]] : [b, b, b, b, b, b, b, b]]] : [a, a, a, a, a, a, a, a]])";
    assert_int_equal(form_eval(&scope, cm_str(heavy)).kind, FORM_UNKNOWN);
    steps = 20000;
    for (int i = 0; i < 5000; i++)
        cm_buf_char(&deep, '(');
    assert_int_equal(form_eval(&scope, cm_buf_view(&deep)).kind, FORM_UNKNOWN);
}

static const char *const main_tf =
    "variable \"regions\" {\n"
    "  type    = map(string)\n"
    "  default = { eu = \"Europe\", us = \"America\" }\n"
    "}\n"
    "variable \"limit\" {\n"
    "  type = number\n"
    "}\n"
    "locals {\n"
    "  admin = contains(data.coder_workspace_owner.me.groups, \"admins\")\n"
    "  sizes = jsondecode(file(\"${path.module}/sizes.json\"))\n"
    "}\n"
    "data \"coder_workspace_owner\" \"me\" {}\n"
    "data \"coder_workspace_tags\" \"t\" {\n"
    "  tags = { kind = data.coder_parameter.kind.value, n = var.limit, x = terraform_data.x.id }\n"
    "}\n"
    "data \"coder_parameter\" \"kind\" {\n"
    "  name    = \"kind\"\n"
    "  default = \"plain\"\n"
    "  order   = 1\n"
    "  dynamic \"option\" {\n"
    "    for_each = local.admin ? [\"plain\", \"gpu\"] : [\"plain\"]\n"
    "    content {\n"
    "      name  = title(option.value)\n"
    "      value = option.value\n"
    "    }\n"
    "  }\n"
    "}\n"
    "data \"coder_parameter\" \"cards\" {\n"
    "  count   = data.coder_parameter.kind.value == \"gpu\" ? 1 : 0\n"
    "  name    = \"cards\"\n"
    "  type    = \"number\"\n"
    "  default = min(2, var.limit)\n"
    "  order   = 2\n"
    "  styling = jsonencode({ placeholder = \"how many\", disabled = !local.admin })\n"
    "  validation {\n"
    "    min = 1\n"
    "    max = var.limit\n"
    "  }\n"
    "}\n"
    "data \"coder_parameter\" \"per_region\" {\n"
    "  for_each = var.regions\n"
    "  name     = \"size_${each.key}\"\n"
    "  default  = local.sizes[0]\n"
    "  order    = 3\n"
    "}\n"
    "data \"coder_parameter\" \"late\" {\n"
    "  name    = \"late\"\n"
    "  default = terraform_data.x.output\n"
    "  order   = 4\n"
    "}\n"
    "resource \"terraform_data\" \"x\" {}\n"
    "module \"editor\" {\n"
    "  source  = \"./modules/editor\"\n"
    "  choices = [for k, v in var.regions : k if k != \"us\"]\n"
    "}\n"
    "data \"coder_parameter\" \"theme\" {\n"
    "  count = module.editor.chosen == \"vim\" ? 1 : 0\n"
    "  name  = \"theme\"\n"
    "  order = 6\n"
    "}\n";

static const char *const editor_tf =
    "variable \"choices\" { type = list(string) }\n"
    "data \"coder_parameter\" \"editor\" {\n"
    "  name    = \"editor\"\n"
    "  default = \"vim\"\n"
    "  order   = 5\n"
    "  dynamic \"option\" {\n"
    "    for_each = concat([\"vim\"], var.choices)\n"
    "    iterator = it\n"
    "    content {\n"
    "      name  = it.value\n"
    "      value = it.value\n"
    "    }\n"
    "  }\n"
    "}\n"
    "output \"chosen\" { value = data.coder_parameter.editor.value }\n";

static struct cm_str names(struct cm_arena *a, const struct form_result *f)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(4096);
    for (size_t i = 0; i < f->n; i++)
        cm_buf_printf(&b, "%s%.*s", i ? " " : "", CM_STR_ARG(f->v[i].p.name));
    return cm_arena_str(a, cm_buf_view(&b));
}

static void parameters_follow_from_what_is_filled_in(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_str groups[] = {CM_STR("Everyone"), CM_STR("admins")};
    const struct form_owner owner = {.name = CM_STR("ann"), .groups = groups, .n_groups = 2};
    const struct cm_pair files[] = {{CM_STR("main.tf"), cm_str(main_tf)},
                                    {CM_STR("modules/editor/main.tf"), cm_str(editor_tf)},
                                    {CM_STR("sizes.json"), CM_STR("[\"s\", \"m\"]")}};
    const struct cm_pair variables[] = {{CM_STR("limit"), CM_STR("8")}};
    const struct api_template_version_parameter imported[] = {
        {.name = CM_STR("late"), .default_value = CM_STR("seen"), .icon = CM_STR("/i")}};
    struct cm_pair values[] = {{CM_STR("kind"), CM_STR("gpu")}, {CM_STR("editor"), CM_STR("eu")}};
    struct form_input in = {.files = files,
                            .n_files = 3,
                            .variables = variables,
                            .n_variables = 1,
                            .owner = &owner,
                            .imported = imported,
                            .n_imported = 1};
    struct form_result f;
    (void)state;
    form_compute(a, &in, &f);
    assert_string_equal(names(a, &f).ptr, "kind size_eu size_us late editor theme");
    assert_int_equal(f.v[0].p.n_options, 2);
    assert_true(cm_str_eq_c(f.v[0].p.options[1].name, "Gpu"));
    assert_true(cm_str_eq_c(f.v[1].p.default_value, "s"));
    assert_string_equal(f.v[3].uncertain, "default");
    assert_true(cm_str_eq_c(f.v[3].p.default_value, "seen"));
    assert_int_equal(f.v[4].p.n_options, 2);
    assert_true(f.v[5].p.required);
    assert_false(f.opaque);

    in.values = values;
    in.n_values = 2;
    form_compute(a, &in, &f);
    assert_string_equal(names(a, &f).ptr, "kind cards size_eu size_us late editor");
    assert_int_equal(f.v[1].p.type, API_OPTION_TYPE_NUMBER);
    assert_true(cm_str_eq_c(f.v[1].p.default_value, "2"));
    assert_int_equal(f.v[1].p.validation_max, 8);
    assert_true(cm_str_eq_c(form_get(&f.v[1].styling, CM_STR("placeholder"))->s, "how many"));
    assert_false(form_get(&f.v[1].styling, CM_STR("disabled"))->b);
    assert_null(f.v[1].uncertain);
    assert_int_equal(f.n_tags, 2);
    assert_true(cm_str_eq_c(f.tags[0].key, "kind") && cm_str_eq_c(f.tags[0].value, "gpu"));
    assert_true(cm_str_eq_c(f.tags[1].key, "n") && cm_str_eq_c(f.tags[1].value, "8"));

    const struct form_owner other = {.name = CM_STR("bob"), .groups = groups, .n_groups = 1};
    in.owner = &other;
    form_compute(a, &in, &f);
    assert_int_equal(f.v[0].p.n_options, 1);
}

static void what_cannot_be_read_is_as_the_import_found_it(void **state)
{
    static const char *const rows[] = {
        "module \"m\" {\n  source = \"registry.example.com/a/b/c\"\n}\n",
        ("data \"coder_parameter\" \"p\" {\n"
         "  count = length(terraform_data.x.output)\n  name = \"p\"\n}\n"),
        "data \"coder_parameter\" \"p\" {\n  name = terraform_data.x.output\n}\n",
        "data \"coder_parameter\" {{{",
        "module \"m\" {\n  source = \"./m\"\n}\n",
    };
    const struct api_template_version_parameter imported[] = {{.name = CM_STR("p")}};
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        const struct cm_pair files[] = {{CM_STR("main.tf"), cm_str(rows[i])}};
        const struct form_input in = {
            .files = files, .n_files = 1, .imported = imported, .n_imported = 1};
        struct form_result f;
        form_compute(a, &in, &f);
        assert_true(f.opaque);
        assert_string_equal(names(a, &f).ptr, "p");
    }
}

static void circles_end(void **state)
{
    static const char *const text =
        "locals {\n  a = local.b\n  b = local.a\n}\n"
        "data \"coder_parameter\" \"x\" {\n  name = \"x\"\n  default = "
        "data.coder_parameter.y.value\n}\n"
        "data \"coder_parameter\" \"y\" {\n  name = \"y\"\n  default = "
        "data.coder_parameter.x.value\n}\n"
        "data \"coder_parameter\" \"z\" {\n  name = \"z\"\n  default = local.a\n}\n"
        "module \"self\" {\n  source = \"./\"\n}\n";
    CM_AUTO(cm_arena) a = cm_arena_new();
    const struct cm_pair files[] = {{CM_STR("main.tf"), cm_str(text)}};
    const struct form_input in = {.files = files, .n_files = 1};
    struct form_result f;
    (void)state;
    form_compute(a, &in, &f);
    assert_string_equal(names(a, &f).ptr, "x y z");
}

/* What a parameter gets from one variable of that type, as text; "" where it is not known. */
static void variables_are_what_they_are_declared_to_be(void **state)
{
    static const struct {
        const char *type, *value, *expr, *wanted;
    } rows[] = {
        {"number", "\"3\"", "var.x + 1", "4"},
        {"object({ n = string, size = optional(number, 3) })", "{ n = \"a\" }",
         "\"${var.x.n}${var.x.size}\"", "a3"},
        {"object({ n = string, size = optional(number, 3) })", "{ n = 5, size = \"4\", more = 1 }",
         "\"${var.x.n}${var.x.size + 1}${length(var.x)}\"", "552"},
        {"map(object({\r\n  name = string\r\n  tags = optional(list(string), [\"t\", 1]) # "
         "some\r\n}))",
         "{ a = { name = \"A\" } }", "join(\",\", var.x[\"a\"].tags)", "t,1"},
        {"object({ o = optional(object({ k = optional(string, \"deep\") }), {}) })", "{}",
         "var.x.o.k", "deep"},
        {"object({ o = optional(string) })", "{}", "var.x.o == null ? \"none\" : \"some\"", "none"},
        {"set(string)", "[\"b\", \"a\", \"b\"]", "join(\"\", var.x)", "ab"},
        {"tuple([string, number])", "[1, \"2\"]", "\"${var.x[0]}${var.x[1] + 1}\"", "13"},
        {"list(any)", "[1, 2]", "length(var.x)", "2"},
        {"map", "{ a = 1 }", "var.x.a", "1"},
        {"\"string\"", "7", "\"${var.x}!\"", "7!"},
        /* What terraform would refuse, and what cannot be read. */
        {"object({ n = string })", "{}", "var.x.n", ""},
        {"list(number)", "[\"a\"]", "var.x[0]", ""},
        {"map(string)", "[1]", "var.x[0]", ""},
        {"tuple([string])", "[1, 2]", "var.x[0]", ""},
        {"object({ n string })", "{ n = 1 }", "var.x.n", ""},
        {"strange(string)", "1", "var.x", ""},
    };
    (void)state;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        const struct cm_pair files[] = {
            {CM_STR("main.tf"),
             cm_arena_fmt(a,
                          "\xef\xbb\xbfvariable \"x\" {\n  type = %s\n  default = %s\n}\n"
                          "data \"coder_parameter\" \"p\" {\n  name = \"p\"\n  default = %s\n}\n",
                          rows[i].type, rows[i].value, rows[i].expr)}};
        const struct form_input in = {.files = files, .n_files = 1};
        struct form_result f;
        form_compute(a, &in, &f);
        assert_int_equal(f.n, 1);
        assert_string_equal(cm_arena_cstr(a, f.v[0].p.default_value), rows[i].wanted);
    }
}

/* Items that are all the same one, in a type with many attributes: either it is done or given up.
 */
static void endless_types_end(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT((size_t)1 << 20);
    struct form_result f;
    (void)state;
    cm_buf_cstr(&text, "variable \"x\" {\n  type = list(list(object({");
    for (int i = 0; i < 2000; i++)
        cm_buf_printf(&text, " a%d = optional(string, \"x\"),", i);
    cm_buf_cstr(&text, " })))\n  default = [for i in range(1000) : [for k in range(40) : {}]]\n}\n"
                       "variable \"y\" {\n  type = ");
    for (int i = 0; i < 5000; i++)
        cm_buf_cstr(&text, "list(");
    cm_buf_cstr(&text, "\n}\ndata \"coder_parameter\" \"p\" {\n  name = \"p\"\n"
                       "  default = var.x[0][0].a0\n}\n");
    const struct cm_pair files[] = {{CM_STR("main.tf"), cm_buf_view(&text)}};
    const struct form_input in = {.files = files, .n_files = 1};
    form_compute(a, &in, &f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_have_terraforms_values),
        cmocka_unit_test(endless_expressions_end),
        cmocka_unit_test(parameters_follow_from_what_is_filled_in),
        cmocka_unit_test(what_cannot_be_read_is_as_the_import_found_it),
        cmocka_unit_test(circles_end),
        cmocka_unit_test(variables_are_what_they_are_declared_to_be),
        cmocka_unit_test(endless_types_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
