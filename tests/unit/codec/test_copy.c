/* Copies stand on their own: what they were made from may go. */
#include "test_codec.h"

#include "api/agents.h"
#include "api/builds.h"
#include "codec/copy.h"
#include "codec/json.h"

static void encode(const struct api_workspace_resource *r, size_t n, struct cm_buf *out)
{
    cm_json_encode_list(out, &api_workspace_resource_msg, r, n);
    assert_non_null(out->ptr);
}

/* Each kind of member: texts, lists of texts and of messages, maps, messages, presence. */
static struct api_workspace_resource *make(struct cm_arena *a)
{
    struct api_workspace_resource *r = CM_NEW_ARRAY(a, struct api_workspace_resource, 2);
    struct api_workspace_agent *agent = CM_NEW(a, struct api_workspace_agent);
    struct api_workspace_app *app = CM_NEW(a, struct api_workspace_app);
    struct api_workspace_agent_script *script = CM_NEW(a, struct api_workspace_agent_script);
    struct cm_pair *env = CM_NEW(a, struct cm_pair);
    enum api_display_app *shown = CM_NEW(a, enum api_display_app);
    app->healthcheck = CM_NEW(a, struct api_healthcheck);
    app->healthcheck->url = cm_arena_fmt(a, "http://localhost:%d", 8080);
    app->slug = cm_arena_fmt(a, "code");
    script->script = cm_arena_fmt(a, "echo %s", "<hello>");
    script->exit_code = 3;
    cm_set_has(script->has, API_WORKSPACE_AGENT_SCRIPT_HAS_EXIT_CODE);
    *env = (struct cm_pair){cm_arena_fmt(a, "KEY"), cm_arena_fmt(a, "value")};
    *shown = API_DISPLAY_APP_VSCODE;
    *agent = (struct api_workspace_agent){.id = cm_uuid_random(),
                                          .name = cm_arena_fmt(a, "main"),
                                          .apps = app,
                                          .n_apps = 1,
                                          .scripts = script,
                                          .n_scripts = 1,
                                          .environment_variables = env,
                                          .n_environment_variables = 1,
                                          .display_apps = shown,
                                          .n_display_apps = 1};
    r[0] = (struct api_workspace_resource){
        .name = cm_arena_fmt(a, "box"), .agents = agent, .n_agents = 1};
    r[1] = (struct api_workspace_resource){.name = cm_arena_fmt(a, "home"), .daily_cost = 5};
    return r;
}

static void copy_is_the_same_after_its_source_is_gone(void **state)
{
    CM_AUTOBUF struct cm_buf want = CM_BUF_INIT(65536), got = CM_BUF_INIT(65536);
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_arena *source = cm_arena_new();
    struct api_workspace_resource *r = make(source), *copy;

    (void)state;
    encode(r, 2, &want);
    assert_non_null(strstr(want.ptr, "\"exit_code\":3"));
    copy = cm_message_copy(&api_workspace_resource_msg, r, 2, a);
    cm_arena_free(source);
    encode(copy, 2, &got);
    assert_string_equal(got.ptr, want.ptr);
}

static void copy_tells_an_empty_list_from_none(void **state)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct api_workspace_agent some[1];
    struct api_workspace_resource r[2] = {{.agents = some}, {.agents = NULL}}, *copy;

    (void)state;
    copy = cm_message_copy(&api_workspace_resource_msg, r, 2, a);
    assert_non_null(copy[0].agents);
    assert_ptr_not_equal(copy[0].agents, some);
    assert_null(copy[1].agents);
    assert_null(cm_message_copy(&api_workspace_resource_msg, NULL, 0, a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_is_the_same_after_its_source_is_gone),
        cmocka_unit_test(copy_tells_an_empty_list_from_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
