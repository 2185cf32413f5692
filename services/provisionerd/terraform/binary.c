#include "terraform/binary.h"

#include <stdlib.h>

#include "codec/node.h"
#include "sys/child.h"
#include "sys/fs.h"

#define VERSION_TIMEOUT (30 * CM_SECOND)

bool tf_version_number(struct cm_str text, unsigned *ret)
{
    static const unsigned weight[3] = {10000, 100, 1};
    unsigned number = 0;
    for (int i = 0; i < 3; i++) {
        struct cm_str part;
        int64_t v;
        text = cm_str_split(text, '.', &part);
        if (i == 2) {
            size_t digits = 0;
            while (digits < part.len && part.ptr[digits] >= '0' && part.ptr[digits] <= '9')
                digits++;
            part.len = digits;
        }
        if (!cm_str_to_i64(part, &v) || v < 0 || v > 99)
            return false;
        number += weight[i] * (unsigned)v;
    }
    *ret = number;
    return true;
}

static char *look_up(struct cm_arena *a, const char *path_env)
{
    struct cm_str rest = cm_str(path_env ? path_env : "/usr/local/bin:/usr/bin:/bin");
    while (rest.len > 0) {
        struct cm_str dir;
        rest = cm_str_split(rest, ':', &dir);
        if (dir.len == 0 || dir.ptr[0] != '/')
            continue;
        char *path = cm_fs_join(a, cm_arena_cstr(a, dir), "terraform");
        if (cm_fs_is_executable(path))
            return path;
    }
    return NULL;
}

static enum cm_code read_version(struct cm_arena *a, struct cm_str text, struct tf_binary *ret,
                                 struct cm_err *err)
{
    const struct cm_json *root = NULL;
    unsigned min = 0;
    cm_ignore(tf_version_number(CM_STR(TF_VERSION_MIN), &min), "a constant");
    if (cm_json_parse(a, text, NULL, &root, err) != CM_OK)
        return cm_err_wrap(err, "%s version", ret->path);
    struct cm_str version = cm_json_str(cm_json_get(root, "terraform_version"));
    struct cm_str platform = cm_json_str(cm_json_get(root, "platform"));
    if (!tf_version_number(version, &ret->number))
        return cm_err_set(err, CM_INVALID, "%s does not tell a terraform version", ret->path);
    if (ret->number < min)
        return cm_err_set(err, CM_INVALID, "%s is terraform %.*s; install %s or newer", ret->path,
                          CM_STR_ARG(version), TF_VERSION_MIN);
    ret->version = cm_arena_cstr(a, version);
    ret->platform = platform.len ? cm_arena_cstr(a, platform) : "linux_amd64";
    return CM_OK;
}

enum cm_code tf_binary_find(struct cm_arena *a, const char *configured, const char *path_env,
                            struct tf_binary *ret, struct cm_err *err)
{
    struct tf_binary bin = {.path = configured ? configured : look_up(a, path_env)};
    if (!bin.path)
        return cm_err_set(
            err, CM_NOT_FOUND,
            "terraform was not found in PATH: install terraform %s or newer, or name it with "
            "--terraform-path",
            TF_VERSION_MIN);
    const char *const argv[] = {bin.path, "version", "-json", NULL};
    const char *const env[] = {"CHECKPOINT_DISABLE=1", "HOME=/nonexistent",
                               "TF_CLI_CONFIG_FILE=/dev/null", NULL};
    const struct cm_child_spec spec = {.argv = argv, .env = env, .cwd = "/"};
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT((size_t)1 << 20),
                             log = CM_BUF_INIT((size_t)64 << 10);
    struct cm_child_status st;
    enum cm_code code =
        cm_child_run(&spec, CM_STR_NONE, &out, &log, VERSION_TIMEOUT, &st, NULL, err);
    if (code != CM_OK)
        return cm_err_wrap(err, "terraform");
    if (cm_child_status_shell(st) != 0)
        return cm_err_set(err, CM_INVALID, "%s version failed with status %d: %.200s", bin.path,
                          cm_child_status_shell(st), log.ptr ? log.ptr : "");
    code = read_version(a, cm_buf_view(&out), &bin, err);
    if (code == CM_OK)
        *ret = bin;
    return code;
}
