/* What coderd gets to know, out of small hand-written states and graphs. */
#include "test.h"

#include "terraform/extract.h"

#define NODE(l)    "\"[root] " l " (expand)\" [label = \"" l "\", shape = \"box\"]\n"
#define EDGE(a, b) "\"[root] " a " (expand)\" -> \"[root] " b " (expand)\"\n"
#define RES(type, name, attrs)                                                                     \
    "{\"mode\":\"managed\",\"type\":\"" type "\",\"name\":\"" name                                 \
    "\",\"instances\":[{\"attributes\":{" attrs "}}]}"

static enum cm_code extract(struct cm_arena *a, const char *resources, const char *dot,
                            struct tf_extracted *ret, struct cm_err *err)
{
    struct tf_resources list;
    struct tf_graph *g;
    char *text = cm_arena_printf(a, "{\"version\":4,\"serial\":1,\"resources\":[%s]}", resources);
    assert_int_equal(tf_state_read(a, cm_str(text), &list, err), CM_OK);
    assert_int_equal(tf_graph_read(a, cm_str(dot), &g, err), CM_OK);
    return tf_extract_resources(a, &list, g, ret, err);
}

#define AGENT_ID "579ee3e9-8fc6-46b1-9f2b-78f4c4975a7b"
#define AGENT(name)                                                                                \
    RES("coder_agent", name,                                                                       \
        "\"id\":\"" AGENT_ID                                                                       \
        "\",\"os\":\"linux\",\"arch\":\"amd64\",\"token\":\"t\",\"auth\":\"token\"")

static void agent_goes_to_the_nearest_resource_that_depends_on_it(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_extracted x;
    struct cm_err err;
    static const char dot[] = NODE("coder_agent.dev") NODE("x.b") NODE("x.a") NODE("coder_app.c")
        EDGE("x.b", "coder_agent.dev") EDGE("coder_app.c", "coder_agent.dev")
            EDGE("x.a", "coder_app.c");
    assert_int_equal(extract(a,
                             AGENT("dev") "," RES("x", "a", "") "," RES("x", "b", "") "," RES(
                                 "coder_app", "c",
                                 "\"agent_id\":\"" AGENT_ID
                                 "\",\"slug\":\"s\"") "," RES("coder_app", "other",
                                                              "\"agent_id\":\"00000000-0000-0000-"
                                                              "0000-000000000001\","
                                                              "\"slug\":\"o\""),
                             dot, &x, &err),
                     CM_OK);
    assert_int_equal(x.n, 2); /* apps and agents are no resources */
    assert_string_equal(x.resources[0]->name, "a");
    assert_int_equal(x.resources[0]->n_agents, 0);
    assert_int_equal(x.resources[1]->n_agents, 1);
    const PB(Agent) *agent = x.resources[1]->agents[0];
    assert_string_equal(agent->name, "dev");
    assert_string_equal(agent->token, "t");
    assert_int_equal(agent->n_apps, 1);
    assert_string_equal(agent->apps[0]->slug, "s");
    assert_string_equal(agent->apps[0]->display_name, "s"); /* nobody said another */
    assert_int_equal(agent->n_display_apps, 4);
    assert_int_equal(agent->id.len, 16);
}

static void agent_without_a_resource_is_left_out(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_extracted x;
    struct cm_err err;
    assert_int_equal(extract(a, AGENT("dev"),
                             NODE("coder_agent.dev") NODE("x.b") EDGE("x.b", "coder_agent.dev"), &x,
                             &err),
                     CM_OK);
    assert_int_equal(x.n, 0);
}

/* The agent is one, the machine has count: its first instance runs the agent. With for_each on
 * both, the keys say who belongs to whom. */
static void agents_go_to_the_instance_of_their_index(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_extracted x;
    struct cm_err err;
    static const char dot[] = NODE("coder_agent.dev") NODE("x.c") EDGE("x.c", "coder_agent.dev");
    static const char machines[] =
        "{\"mode\":\"managed\",\"type\":\"x\",\"name\":\"c\",\"instances\":["
        "{\"index_key\":0,\"attributes\":{}},{\"index_key\":1,\"attributes\":{}}]}";
    assert_int_equal(extract(a, cm_arena_printf(a, AGENT("dev") ",%s", machines), dot, &x, &err),
                     CM_OK);
    assert_int_equal(x.n, 2);
    assert_int_equal(x.resources[0]->n_agents, 1);
    assert_int_equal(x.resources[1]->n_agents, 0);
    assert_int_equal(
        extract(a,
                cm_arena_printf(
                    a,
                    "{\"mode\":\"managed\",\"type\":\"coder_agent\",\"name\":\"dev\","
                    "\"instances\":[{\"index_key\":1,\"attributes\":{\"token\":\"t\"}}]},%s",
                    machines),
                dot, &x, &err),
        CM_OK);
    assert_int_equal(x.resources[0]->n_agents, 0);
    assert_int_equal(x.resources[1]->n_agents, 1);
}

static void instance_identity_comes_from_the_machine(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_extracted x;
    struct cm_err err;
    assert_int_equal(
        extract(a,
                RES("coder_agent", "dev",
                    "\"id\":\"" AGENT_ID "\",\"auth\":\"aws-instance-identity\","
                    "\"token\":\"t\"") "," RES("aws_instance", "vm",
                                               "\"id\":\"i-1\",\"instance_type\":\"t3.large\""),
                NODE("coder_agent.dev") NODE("aws_instance.vm")
                    EDGE("aws_instance.vm", "coder_agent.dev"),
                &x, &err),
        CM_OK);
    assert_null(x.resources[0]->agents[0]->token);
    assert_string_equal(x.resources[0]->agents[0]->instance_id, "i-1");
    assert_string_equal(x.resources[0]->instance_type, "t3.large");
}

static void metadata_goes_to_what_it_depends_on(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_extracted x;
    struct cm_err err;
    static const char dot[] = NODE("x.a") NODE("coder_metadata.m") NODE("coder_metadata.n")
        EDGE("coder_metadata.m", "x.a") EDGE("coder_metadata.n", "x.a");
#define META(name)                                                                                 \
    RES("coder_metadata", name,                                                                    \
        "\"resource_id\":\"1\",\"hide\":true,\"icon\":\"/i\",\"daily_cost\":4,\"item\":["          \
        "{\"key\":\"k\",\"value\":\"v\",\"sensitive\":true,\"is_null\":false},"                    \
        "{\"key\":\"none\",\"value\":\"\",\"is_null\":true}]")
    assert_int_equal(extract(a, RES("x", "a", "\"id\":\"1\"") "," META("m"), dot, &x, &err), CM_OK);
    assert_int_equal(x.n, 1);
    assert_int_equal(x.daily_cost, 4);
    assert_true(x.resources[0]->hide);
    assert_string_equal(x.resources[0]->icon, "/i");
    assert_int_equal(x.resources[0]->n_metadata, 1);
    assert_true(x.resources[0]->metadata[0]->sensitive);
    assert_int_equal(
        extract(a, RES("x", "a", "\"id\":\"1\"") "," META("m") "," META("n"), dot, &x, &err),
        CM_INVALID);
    assert_non_null(strstr(err.text, "two coder_metadata"));
}

#define ENV(label, name, value, merge)                                                             \
    RES("coder_env", label,                                                                        \
        "\"agent_id\":\"" AGENT_ID "\",\"name\":\"" name "\",\"value\":\"" value                   \
        "\",\"merge_strategy\":\"" merge "\"")

static void environment_is_merged_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *merge, *expected; /* NULL: refused */
    } rows[] = {{"replace", "two"}, {"append", "one:two"}, {"prepend", "two:one"}, {"error", NULL}};
    static const char dot[] = NODE("coder_agent.dev") NODE("x.a") EDGE("x.a", "coder_agent.dev");
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct tf_extracted x;
        struct cm_err err;
        char *text = cm_arena_printf(
            a, "%s", AGENT("dev") "," RES("x", "a", "") "," ENV("a", "V", "one", "replace"));
        char *second = cm_arena_printf(
            a,
            ",{\"mode\":\"managed\",\"type\":\"coder_env\",\"name\":\"b\",\"instances\":["
            "{\"attributes\":{\"agent_id\":\"" AGENT_ID
            "\",\"name\":\"V\",\"value\":\"two\",\"merge_strategy\":\"%s\"}}]}",
            rows[i].merge);
        enum cm_code code = extract(a, cm_arena_printf(a, "%s%s", text, second), dot, &x, &err);
        assert_int_equal(code, rows[i].expected ? CM_OK : CM_INVALID);
        if (!rows[i].expected)
            continue;
        const PB(Agent) *agent = x.resources[0]->n_agents ? x.resources[0]->agents[0] : NULL;
        for (size_t k = 0; !agent && k < x.n; k++)
            agent = x.resources[k]->n_agents ? x.resources[k]->agents[0] : NULL;
        assert_non_null(agent);
        assert_int_equal(agent->n_env, 1);
        assert_string_equal(agent->env[0]->value, rows[i].expected);
    }
}

static void names_that_the_product_forbids_fail(void **state)
{
    (void)state;
    static const struct {
        const char *resources, *text;
    } rows[] = {
        {AGENT("a_b"), "\"a_b\" is not allowed"},
        {AGENT("a--b"), "not allowed"},
        {AGENT("-a"), "not allowed"},
        {AGENT("dev") "," AGENT("DEV"), "two agents are called"},
        {"{\"mode\":\"managed\",\"type\":\"coder_agent\",\"name\":\"dev\",\"instances\":["
         "{\"index_key\":0,\"attributes\":{}},{\"index_key\":1,\"attributes\":{}}]}",
         "two agents are called"},
        {AGENT("dev") "," RES("coder_app", "p",
                              "\"agent_id\":\"" AGENT_ID
                              "\",\"slug\":\"s\"") "," RES("coder_app", "q",
                                                           "\"agent_id\":\"" AGENT_ID
                                                           "\",\"slug\":\"s\""),
         "two apps have the slug \"s\""},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        struct tf_extracted x;
        struct cm_err err;
        assert_int_equal(extract(a, rows[i].resources, "", &x, &err), CM_INVALID);
        assert_non_null(strstr(err.text, rows[i].text));
    }
}

static enum cm_code inputs(struct cm_arena *a, const char *resources, struct tf_inputs *ret,
                           struct cm_err *err)
{
    struct tf_resources list;
    char *text = cm_arena_printf(a, "{\"version\":4,\"serial\":1,\"resources\":[%s]}", resources);
    assert_int_equal(tf_state_read(a, cm_str(text), &list, err), CM_OK);
    return tf_extract_inputs(a, &list, ret, err);
}

#define DATA(module, type, name, attrs)                                                            \
    "{" module "\"mode\":\"data\",\"type\":\"" type "\",\"name\":\"" name                          \
    "\",\"instances\":[{\"attributes\":{" attrs "}}]}"

#define CPU                                                                                        \
    DATA("", "coder_parameter", "p",                                                               \
         "\"name\":\"cpu\",\"type\":\"number\",\"optional\":false,\"mutable\":true,"               \
         "\"default\":null,\"validation\":[{\"min\":1,\"max\":0,\"min_disabled\":false,"           \
         "\"max_disabled\":true,\"regex\":\"\",\"error\":\"\",\"monotonic\":\"increasing\"}]")
#define ZONE                                                                                       \
    DATA("\"module\":\"module.m\",", "coder_parameter", "q",                                       \
         "\"name\":\"zone\",\"type\":\"string\",\"optional\":true,\"default\":\"eu\","             \
         "\"option\":[{\"name\":\"EU\",\"value\":\"eu\",\"icon\":\"\",\"description\":\"\"}]")
#define SMALL                                                                                      \
    DATA("", "coder_workspace_preset", "s",                                                        \
         "\"name\":\"small\",\"default\":true,\"parameters\":{\"cpu\":\"1\"},"                     \
         "\"prebuilds\":[{\"instances\":2,\"expiration_policy\":[{\"ttl\":3600}],"                 \
         "\"scheduling\":[]}]")
#define AUTH(name, attrs) DATA("", "coder_external_auth", name, attrs)

static void inputs_come_modules_first_with_their_bounds(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_inputs in;
    struct cm_err err;
    static const char may[] = AUTH("z", "\"id\":\"z\",\"optional\":true");
    static const char must[] = AUTH("g", "\"id\":\"github\"");
    const char *text = cm_arena_printf(a, "%s,%s,%s,%s,%s", CPU, ZONE, may, must, SMALL);
    assert_int_equal(inputs(a, text, &in, &err), CM_OK);
    assert_int_equal(in.n_parameters, 2);
    assert_string_equal(in.parameters[0]->name, "zone");
    assert_false(in.parameters[0]->required);
    assert_string_equal(in.parameters[0]->options[0]->value, "eu");
    assert_true(in.parameters[1]->required);
    assert_true(in.parameters[1]->has_validation_min);
    assert_false(in.parameters[1]->has_validation_max);
    assert_string_equal(in.parameters[1]->validation_monotonic, "increasing");
    assert_int_equal(in.n_external_auth_ids, 2);
    assert_string_equal(in.external_auth_ids[0], "github");
    assert_int_equal(in.n_optional_auth_ids, 1);
    assert_string_equal(in.optional_auth_ids[0], "z");
    assert_int_equal(in.n_presets, 1);
    assert_int_equal(in.presets[0]->prebuild_instances, 2);
    assert_int_equal(in.presets[0]->prebuild_ttl_seconds, 3600);
}

static void inputs_that_clash_fail(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_inputs in;
    struct cm_err err;
    assert_int_equal(inputs(a,
                            DATA("", "coder_parameter", "a", "\"name\":\"x\"") "," DATA(
                                "", "coder_parameter", "b", "\"name\":\"x\""),
                            &in, &err),
                     CM_INVALID);
    assert_non_null(strstr(err.text, "two parameters are called \"x\""));
    assert_int_equal(
        inputs(a,
               DATA("", "coder_workspace_preset", "a", "\"name\":\"x\",\"default\":true") "," DATA(
                   "", "coder_workspace_preset", "b", "\"name\":\"y\",\"default\":true"),
               &in, &err),
        CM_INVALID);
    assert_non_null(strstr(err.text, "both are the default"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agent_goes_to_the_nearest_resource_that_depends_on_it),
        cmocka_unit_test(agent_without_a_resource_is_left_out),
        cmocka_unit_test(agents_go_to_the_instance_of_their_index),
        cmocka_unit_test(instance_identity_comes_from_the_machine),
        cmocka_unit_test(metadata_goes_to_what_it_depends_on),
        cmocka_unit_test(environment_is_merged_in_order),
        cmocka_unit_test(names_that_the_product_forbids_fail),
        cmocka_unit_test(inputs_come_modules_first_with_their_bounds),
        cmocka_unit_test(inputs_that_clash_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
