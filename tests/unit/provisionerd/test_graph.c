#include "test.h"

#include "terraform/graph.h"

/* near uses the agent; far uses it over a local; meta describes far; app is in a module. */
static const char dot[] =
    "digraph {\n\tcompound = \"true\"\n\tsubgraph \"root\" {\n"
    "\"[root] coder_agent.main (expand)\" [label = \"coder_agent.main\", shape = \"box\"]\n"
    "\"[root] x.near (expand)\" [label = \"x.near\", shape = \"box\"]\n"
    "\"[root] x.also (expand)\" [label = \"x.also\", shape = \"box\"]\n"
    "\"[root] x.far (expand)\" [label = \"x.far\", shape = \"box\"]\n"
    "\"[root] coder_metadata.m (expand)\" [label = \"coder_metadata.m\", shape = \"box\"]\n"
    "\"[root] module.m.coder_app.a (expand)\" [label = \"module.m.coder_app.a\", shape = \"box\"]\n"
    "\"[root] provider[\\\"registry.terraform.io/coder/coder\\\"]\" [label = \"p\", shape = "
    "\"diamond\"]\n"
    "\"[root] x.near (expand)\" -> \"[root] coder_agent.main (expand)\"\n"
    "\"[root] x.also (expand)\" -> \"[root] coder_agent.main (expand)\"\n"
    "\"[root] local.l (expand)\" -> \"[root] coder_agent.main (expand)\"\n"
    "\"[root] x.far (expand)\" -> \"[root] local.l (expand)\"\n"
    "\"[root] coder_metadata.m (expand)\" -> \"[root] x.far (expand)\"\n"
    "\"[root] module.m.coder_app.a (expand)\" -> \"[root] module.m.var.id (expand)\"\n"
    "\"[root] module.m.var.id (expand)\" -> \"[root] coder_agent.main (expand)\"\n"
    "\"[root] coder_agent.main (expand)\" -> \"[root] "
    "provider[\\\"registry.terraform.io/coder/coder\\\"]\"\n"
    "\t}\n}\n";

static bool accept_x(void *ctx, struct cm_str label)
{
    const char *except = ctx;
    return cm_str_starts(label, CM_STR("x.")) &&
           !(except && cm_str_contains(cm_str(except), label));
}

static void graph_nearest_is_by_steps_then_label(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        enum tf_graph_way way;
        const char *except, *expected;
    } rows[] = {
        {"coder_agent.main", TF_GRAPH_DEPENDENTS, NULL, "x.also"},
        {"coder_agent.main", TF_GRAPH_DEPENDENTS, "x.also", "x.near"},
        {"coder_agent.main", TF_GRAPH_DEPENDENTS, "x.also x.near", "x.far"},
        {"coder_agent.main", TF_GRAPH_DEPENDENTS, "x.also x.near x.far", NULL},
        {"coder_metadata.m", TF_GRAPH_DEPENDENCIES, NULL, "x.far"},
        {"x.near", TF_GRAPH_DEPENDENCIES, NULL, NULL},
        {"no.such", TF_GRAPH_DEPENDENTS, NULL, NULL},
    };
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_graph *g;
    struct cm_err err;
    assert_int_equal(tf_graph_read(a, cm_str(dot), &g, &err), CM_OK);
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct cm_str found = CM_STR("untouched");
        char except[64];
        bool ok = tf_graph_nearest(
            g, cm_str(rows[i].from), rows[i].way, accept_x,
            rows[i].except ? memcpy(except, rows[i].except, strlen(rows[i].except) + 1) : NULL,
            &found);
        assert_int_equal(ok, rows[i].expected != NULL);
        assert_str_is(found, ok ? rows[i].expected : "untouched");
    }
}

static void graph_depends_passes_over_what_is_no_resource(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_graph *g;
    struct cm_err err;
    struct cm_str agent = CM_STR("coder_agent.main");
    assert_int_equal(tf_graph_read(a, cm_str(dot), &g, &err), CM_OK);
    assert_true(tf_graph_depends(g, CM_STR("module.m.coder_app.a"), agent));
    assert_true(tf_graph_depends(g, CM_STR("x.near"), agent));
    assert_true(tf_graph_depends(g, CM_STR("x.far"), agent));
    /* Only over another resource. */
    assert_false(tf_graph_depends(g, CM_STR("coder_metadata.m"), agent));
    assert_false(tf_graph_depends(g, agent, CM_STR("x.near")));
}

static void graph_with_cycles_ends(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_graph *g;
    struct cm_str found;
    struct cm_err err;
    assert_int_equal(tf_graph_read(a, CM_STR("\"a\" -> \"b\"\n\"b\" -> \"a\"\n"), &g, &err), CM_OK);
    assert_false(tf_graph_nearest(g, CM_STR("a"), TF_GRAPH_DEPENDENCIES, accept_x, NULL, &found));
}

static void graph_broken_edge_is_an_error(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_graph *g;
    struct cm_err err;
    assert_int_equal(tf_graph_read(a, CM_STR("\"a\" -> b\n"), &g, &err), CM_INVALID);
    assert_int_equal(tf_graph_read(a, CM_STR(""), &g, &err), CM_OK);
    assert_int_equal(tf_graph_read(a, CM_STR("\"unterminated"), &g, &err), CM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graph_nearest_is_by_steps_then_label),
        cmocka_unit_test(graph_depends_passes_over_what_is_no_resource),
        cmocka_unit_test(graph_with_cycles_ends),
        cmocka_unit_test(graph_broken_edge_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
