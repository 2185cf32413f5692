/* The lock file, terraform's version, and what the command-line configuration says. */
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fs.h"
#include "terraform/binary.h"
#include "terraform/install.h"

static char *fresh_dir(void)
{
    char *dir = NULL;
    struct cm_err err;
    assert_int_equal(cm_fs_temp_dir(NULL, "lock-", &dir, &err), CM_OK);
    return dir;
}

static void remove_dir(char *dir)
{
    assert_int_equal(cm_fs_remove_tree(dir, NULL), CM_OK);
    cm_free(dir);
}

static char *read_all(struct cm_arena *a, const char *path)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT((size_t)1 << 20);
    struct cm_err err;
    assert_int_equal(cm_fs_read(path, &b, &err), CM_OK);
    return cm_arena_cstr(a, cm_buf_view(&b));
}

static void lock_loses_our_entry_only(void **state)
{
    (void)state;
    static const char before[] =
        "# kept\n"
        "provider \"registry.terraform.io/coder/coder\" {\n  version = \"2.1.3\"\n"
        "  hashes = [\n    \"h1:x\",\n  ]\n}\n\n"
        "provider \"registry.terraform.io/kreuzwerker/docker\" {\n  version = \"3.0.2\"\n}\n";
    CM_AUTO(cm_arena) a = cm_arena_new();
    char *dir = fresh_dir();
    const char *path = cm_fs_join(a, dir, ".terraform.lock.hcl");
    struct cm_err err;
    assert_int_equal(tf_lock_forget_own(dir, &err), CM_OK);
    assert_false(cm_fs_exists(path));
    assert_int_equal(cm_fs_write(path, cm_str(before), 0600, false, &err), CM_OK);
    assert_int_equal(tf_lock_forget_own(dir, &err), CM_OK);
    assert_string_equal(read_all(a, path),
                        "# kept\n\nprovider \"registry.terraform.io/kreuzwerker/docker\" {\n"
                        "  version = \"3.0.2\"\n}\n");
    remove_dir(dir);
}

static void version_text_becomes_a_number(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int number; /* -1: no version */
    } rows[] = {{"1.11.4", 11104}, {"1.1.0", 10100}, {"1.14.0-beta1", 11400}, {"0.15.5", 1505},
                {"1.2", -1},       {"", -1},         {"a.b.c", -1},           {"1.100.0", -1}};
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        unsigned n = 0;
        assert_int_equal(tf_version_number(cm_str(rows[i].text), &n), rows[i].number >= 0);
        if (rows[i].number >= 0)
            assert_int_equal(n, rows[i].number);
    }
}

static void fake_terraform(const char *dir, const char *version)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    char *text = cm_arena_printf(
        a, "#!/bin/sh\necho '{\"terraform_version\":\"%s\",\"platform\":\"linux_amd64\"}'\n",
        version);
    assert_int_equal(cm_fs_write(cm_fs_join(a, dir, "terraform"), cm_str(text), 0700, false, &err),
                     CM_OK);
}

static void binary_missing_or_old_is_told_in_a_sentence(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    char *dir = fresh_dir();
    struct tf_binary bin;
    struct cm_err err;
    const char *path_env = cm_arena_printf(a, "relative:%s", dir);
    assert_int_equal(tf_binary_find(a, NULL, path_env, &bin, &err), CM_NOT_FOUND);
    assert_non_null(strstr(err.text, "install terraform 1.1.0 or newer"));
    fake_terraform(dir, "1.0.11");
    assert_int_equal(tf_binary_find(a, NULL, path_env, &bin, &err), CM_INVALID);
    assert_non_null(strstr(err.text, "is terraform 1.0.11; install 1.1.0 or newer"));
    fake_terraform(dir, "1.99.0");
    assert_int_equal(tf_binary_find(a, NULL, path_env, &bin, &err), CM_OK);
    assert_string_equal(bin.version, "1.99.0");
    assert_int_equal(tf_binary_find(a, cm_fs_join(a, dir, "nothing"), NULL, &bin, &err),
                     CM_NOT_FOUND);
    remove_dir(dir);
}

static void install_writes_one_method_per_provider(void **state)
{
    (void)state;
    CM_AUTO(cm_arena) a = cm_arena_new();
    char *dir = fresh_dir();
    const struct tf_binary bin = {.version = "1.11.4", .platform = "linux_amd64"};
    const char *mirror = cm_fs_join(a, dir, "mir\"ror"), *provider = cm_fs_join(a, dir, "prov");
    struct tf_install in, again;
    struct stat st;
    struct cm_err err;
    assert_int_equal(
        cm_fs_mkdirs(cm_fs_join(a, mirror, "registry.terraform.io/kreuzwerker/docker/3.0.2"), 0700,
                     &err),
        CM_OK);
    assert_int_equal(cm_fs_write(provider, CM_STR("#!/bin/false\n"), 0700, false, &err), CM_OK);
    const struct tf_install_spec spec = {
        .cache_dir = dir, .provider = provider, .filesystem_mirror = mirror};
    assert_int_equal(tf_install_prepare(a, &spec, &bin, &in, &err), CM_OK);
    const char *text = read_all(a, in.cli_config);
    const char *own = cm_arena_printf(a, "%s/providers/%.16s/mirror", dir,
                                      tf_sha256_hex(a, CM_STR("#!/bin/false\n")));
    assert_string_equal(
        text, cm_arena_printf(a,
                              "disable_checkpoint = true\nprovider_installation {\n"
                              "  filesystem_mirror {\n    path = \"%s\"\n"
                              "    include = [\"registry.terraform.io/coder/coder\"]\n  }\n"
                              "  filesystem_mirror {\n    path = \"%s/mir\\\"ror\"\n"
                              "    include = [\"registry.terraform.io/kreuzwerker/docker\"]\n  }\n"
                              "  direct {\n    exclude = [\"registry.terraform.io/coder/coder\", "
                              "\"registry.terraform.io/kreuzwerker/docker\"]\n  }\n}\n",
                              own, dir));
    /* Every pinned version is there. */
    const char *exe =
        "registry.terraform.io/coder/coder/2.1.3/linux_amd64/terraform-provider-coder";
    assert_int_equal(stat(cm_fs_join(a, own, exe), &st), 0);
    assert_int_equal(tf_install_prepare(a, &spec, &bin, &again, &err), CM_OK);
    assert_string_equal(in.fingerprint, again.fingerprint);
    assert_int_equal(cm_fs_write(provider, CM_STR("#!/bin/true\n"), 0700, false, &err), CM_OK);
    assert_int_equal(tf_install_prepare(a, &spec, &bin, &again, &err), CM_OK);
    assert_string_not_equal(in.fingerprint, again.fingerprint);
    remove_dir(dir);
}

static void install_completes_the_operators_configuration(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"credentials \"x\" { token = \"t\" }",
         "credentials \"x\" { token = \"t\" }\ndisable_checkpoint = true\nprovider_installation {\n"
         "  direct {\n  }\n}\n"},
        {"disable_checkpoint = false\nprovider_installation {\n direct {}\n}\n",
         "disable_checkpoint = false\nprovider_installation {\n direct {}\n}\n\n"},
    };
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        char *dir = fresh_dir();
        const struct tf_binary bin = {.version = "1.11.4", .platform = "linux_amd64"};
        const char *own = cm_fs_join(a, dir, "own.rc");
        const struct tf_install_spec spec = {.cache_dir = dir, .cli_config = own};
        struct tf_install in;
        struct cm_err err;
        assert_int_equal(tf_install_prepare(a, &spec, &bin, &in, &err), CM_NOT_FOUND);
        assert_int_equal(cm_fs_write(own, cm_str(rows[i].text), 0600, false, &err), CM_OK);
        assert_int_equal(tf_install_prepare(a, &spec, &bin, &in, &err), CM_OK);
        assert_string_equal(read_all(a, in.cli_config), rows[i].expected);
        remove_dir(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lock_loses_our_entry_only),
        cmocka_unit_test(version_text_becomes_a_number),
        cmocka_unit_test(binary_missing_or_old_is_told_in_a_sentence),
        cmocka_unit_test(install_writes_one_method_per_provider),
        cmocka_unit_test(install_completes_the_operators_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
