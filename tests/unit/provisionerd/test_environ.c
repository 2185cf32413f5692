#include "test.h"

#include <stdlib.h>

#include "terraform/environ.h"

static const struct tf_install install = {.cli_config = "/c/terraform.rc",
                                          .plugin_cache = "/c/plugins"};

static const char *find(const struct tf_env *e, const char *name)
{
    const char *found = NULL;
    size_t n = strlen(name);
    for (size_t i = 0; i < e->n; i++) {
        if (strncmp(e->v[i], name, n) == 0 && e->v[i][n] == '=') {
            assert_null(found); /* never twice */
            found = e->v[i] + n + 1;
        }
    }
    assert_null(e->v[e->n]);
    return found;
}

static void environ_drops_what_is_ours_and_what_steers_terraform(void **state)
{
    (void)state;
    static const char *const host[] = {"PATH=/bin",
                                       "HOME=/h",
                                       "CODER_PROVISIONER_DAEMON_PSK=secret",
                                       "CODER_X=1",
                                       "TF_CLI_ARGS=-evil",
                                       "TF_CLI_ARGS_plan=-evil",
                                       "TF_DATA_DIR=/x",
                                       "TF_LOG=TRACE",
                                       "TF_WORKSPACE=other",
                                       "TF_CLI_CONFIG_FILE=/other",
                                       "TF_VAR_kept=1",
                                       "AWS_PROFILE=p",
                                       NULL};
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_env e;
    tf_env_init(&e, a, host, &install);
    assert_string_equal(find(&e, "PATH"), "/bin");
    assert_string_equal(find(&e, "TF_VAR_kept"), "1");
    assert_string_equal(find(&e, "AWS_PROFILE"), "p");
    assert_string_equal(find(&e, "TF_CLI_CONFIG_FILE"), "/c/terraform.rc");
    assert_null(find(&e, "CODER_PROVISIONER_DAEMON_PSK"));
    assert_null(find(&e, "CODER_X"));
    assert_null(find(&e, "TF_CLI_ARGS"));
    assert_null(find(&e, "TF_CLI_ARGS_plan"));
    assert_null(find(&e, "TF_DATA_DIR"));
    assert_null(find(&e, "TF_LOG"));
    assert_null(find(&e, "TF_WORKSPACE"));
}

static PB(Pair) pair(const char *name, const char *value)
{
    PB(Pair) p = PB_INIT(PAIR);
    p.name = (char *)(uintptr_t)name;
    p.value = (char *)(uintptr_t)value;
    return p;
}

static void environ_carries_the_contract_of_the_provider(void **state)
{
    (void)state;
    static const char *const host[] = {NULL};
    static uint8_t id[16] = {0x8e, 0x2e, 0xa8, 0xd5, 0xdf, 0x2d, 0x4d, 0x32,
                             0xb2, 0x7a, 0x87, 0xce, 0x88, 0xac, 0xfd, 0xad};
    static char group_a[] = "a\"b", group_c[] = "c", url[] = "https://x";
    char *groups[] = {group_a, group_c};
    PB(BuildContext) c = PB_INIT(BUILD_CONTEXT);
    PB(Job) job = PB_INIT(JOB);
    PB(Pair)
    auth = pair("github", "tok"), script = pair("linux_amd64", "#!/bin/sh"),
    param = pair("color", "");
    PB(Pair) previous = pair("color", "red");
    PB(Pair) * auths[] = {&auth}, *scripts[] = {&script}, *params[] = {&param},
               *previouses[] = {&previous};
    c.access_url = url;
    c.has_transition = 1;
    c.transition = PB_ENUM(TRANSITION__DELETE);
    c.has_workspace_id = 1;
    c.workspace_id = (ProtobufCBinaryData){16, id};
    c.owner_groups = groups;
    c.n_owner_groups = 2;
    c.external_auth_tokens = auths;
    c.n_external_auth_tokens = 1;
    c.agent_scripts = scripts;
    c.n_agent_scripts = 1;
    job.context = &c;
    job.parameters = params;
    job.n_parameters = 1;
    job.previous_parameters = previouses;
    job.n_previous_parameters = 1;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_env e;
    struct cm_err err;
    tf_env_init(&e, a, host, &install);
    assert_int_equal(tf_env_add_job(&e, &job, &err), CM_OK);
    assert_string_equal(find(&e, "CODER_AGENT_URL"), "https://x");
    assert_string_equal(find(&e, "CODER_WORKSPACE_TRANSITION"), "destroy");
    assert_string_equal(find(&e, "CODER_WORKSPACE_ID"), "8e2ea8d5-df2d-4d32-b27a-87ce88acfdad");
    assert_string_equal(find(&e, "CODER_WORKSPACE_OWNER_GROUPS"), "[\"a\\\"b\",\"c\"]");
    assert_string_equal(find(&e, "CODER_WORKSPACE_OWNER_RBAC_ROLES"), "[]");
    assert_string_equal(find(&e, "CODER_EXTERNAL_AUTH_ACCESS_TOKEN_github"), "tok");
    assert_string_equal(find(&e, "CODER_GIT_AUTH_ACCESS_TOKEN_github"), "tok");
    assert_string_equal(find(&e, "CODER_AGENT_SCRIPT_linux_amd64"), "#!/bin/sh");
    /* sha256sum of "color" */
    assert_string_equal(
        find(&e,
             "CODER_PARAMETER_74284d9dcbcc09928ca5d7d6187270a62ac1b58ccdc4a44b81e47257ffa53b9e"),
        "");
    assert_string_equal(find(&e,
                             "CODER_PARAMETER_PREVIOUS_"
                             "74284d9dcbcc09928ca5d7d6187270a62ac1b58ccdc4a44b81e47257ffa53b9e"),
                        "red");
    assert_null(find(&e, "CODER_WORKSPACE_BUILD_ID"));
}

static void environ_value_that_no_process_takes_is_named(void **state)
{
    (void)state;
    static const char *const host[] = {NULL};
    char *huge = malloc((size_t)200 << 10);
    memset(huge, 'x', (size_t)200 << 10);
    huge[((size_t)200 << 10) - 1] = '\0';
    PB(Job) job = PB_INIT(JOB);
    PB(Pair) param = pair("essay", huge);
    PB(Pair) * params[] = {&param};
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct tf_env e;
    struct cm_err err;
    job.parameters = params;
    job.n_parameters = 1;
    tf_env_init(&e, a, host, &install);
    assert_int_equal(tf_env_add_job(&e, &job, &err), CM_TOO_LARGE);
    assert_non_null(strstr(err.text, "\"essay\""));
    free(huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environ_drops_what_is_ours_and_what_steers_terraform),
        cmocka_unit_test(environ_carries_the_contract_of_the_provider),
        cmocka_unit_test(environ_value_that_no_process_takes_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
