#include "terraform/install.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/enc.h"
#include "sys/fs.h"

#define OWN_ADDRESS  "registry.terraform.io/coder/coder"
#define PROVIDER_MAX ((size_t)256 << 20)

/* The releases that templates and lock files name, so that any pin finds its version; all are the
 * same program. The last is higher than any release that exists, for templates that only have a
 * lower bound. */
static const char *const versions[] = {
    "0.6.0",  "0.6.10", "0.6.23", "0.7.0",  "0.8.0",  "0.8.3",  "0.9.0",  "0.10.0", "0.11.0",
    "0.11.1", "0.11.2", "0.12.0", "0.12.1", "0.12.2", "0.12.3", "0.12.4", "0.13.0", "0.13.1",
    "0.14.0", "0.14.1", "0.15.0", "0.16.0", "0.17.0", "0.18.0", "0.19.0", "0.20.0", "0.20.1",
    "0.21.0", "0.22.0", "0.23.0", "1.0.0",  "1.0.1",  "1.0.2",  "1.0.3",  "1.0.4",  "2.0.0",
    "2.0.1",  "2.0.2",  "2.1.0",  "2.1.1",  "2.1.2",  "2.1.3",  "2.2.0",  "2.3.0",  "2.4.0",
    "2.4.1",  "2.4.2",  "2.5.0",  "2.5.1",  "2.5.2",  "2.5.3",  "2.6.0",  "2.7.0",  "2.8.0",
    "2.9.0",  "2.10.0", "2.10.1", "2.11.0", "2.12.0", "2.13.0", "2.13.1", "2.14.0", "2.15.0",
    "2.16.0", "2.17.0", "2.18.0", "2.19.0", "2.20.0", "2.99.0",
};

char *tf_sha256_hex(struct cm_arena *a, struct cm_str data)
{
    unsigned char digest[32];
    CM_AUTOBUF struct cm_buf hex = CM_BUF_INIT(65);
    cm_assert(EVP_Digest(data.ptr ? data.ptr : "", data.len, digest, NULL, EVP_sha256(), NULL) ==
              1);
    cm_hex_encode(&hex, digest, sizeof digest);
    return cm_arena_cstr(a, cm_buf_view(&hex));
}

/* A copy rather than a link into the installation: a running terraform must not see its provider
 * change under it. */
static enum cm_code place_provider(struct cm_arena *a, const char *package, struct cm_str program,
                                   struct cm_err *err)
{
    char *path = cm_fs_join(a, package, "terraform-provider-coder");
    if (cm_fs_is_executable(path))
        return CM_OK;
    if (cm_fs_mkdirs(package, 0700, err) != CM_OK)
        return err ? err->code : CM_IO;
    return cm_fs_write(path, program, 0700, false, err);
}

static enum cm_code make_mirror(struct cm_arena *a, const char *root, const char *package,
                                const char *platform, struct cm_err *err)
{
    for (size_t i = 0; i < CM_COUNT_OF(versions); i++) {
        char *dir = cm_arena_printf(a, "%s/" OWN_ADDRESS "/%s", root, versions[i]);
        enum cm_code code = cm_fs_mkdirs(dir, 0700, err);
        if (code != CM_OK)
            return code;
        if (symlink(package, cm_fs_join(a, dir, platform)) < 0 && errno != EEXIST)
            return cm_err_errno(err, CM_IO, "make %s/%s", dir, platform);
    }
    return CM_OK;
}

static bool is_plain_name(const char *s)
{
    return s[0] != '.' && !strpbrk(s, "\"\\${}%");
}

/* HOST/NAMESPACE/TYPE folders of a mirror, as a list for `include` and `exclude`. */
static void list_mirror(struct cm_arena *a, const char *dir, struct cm_str address, unsigned depth,
                        struct cm_buf *out)
{
    if (depth == 3) {
        if (!cm_str_eq_c(address, OWN_ADDRESS))
            cm_buf_printf(out, "%s\"%.*s\"", out->len ? ", " : "", CM_STR_ARG(address));
        return;
    }
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        char *sub = cm_fs_join(a, dir, e->d_name);
        if (is_plain_name(e->d_name) && cm_fs_is_dir(sub))
            list_mirror(
                a, sub,
                cm_arena_fmt(a, "%.*s%s%s", CM_STR_ARG(address), depth ? "/" : "", e->d_name),
                depth + 1, out);
    }
    if (d)
        closedir(d);
}

/* A quoted string of the configuration language. */
static void put_quoted(struct cm_buf *out, const char *s)
{
    cm_buf_char(out, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            cm_buf_char(out, '\\');
        if ((*s == '$' || *s == '%') && s[1] == '{')
            cm_buf_char(out, *s);
        cm_buf_char(out, *s);
    }
    cm_buf_char(out, '"');
}

static void put_method(struct cm_buf *out, const char *method, const char *key, const char *value,
                       const char *filter, const char *providers)
{
    cm_buf_printf(out, "  %s {\n", method);
    if (key) {
        cm_buf_printf(out, "    %s = ", key);
        put_quoted(out, value);
        cm_buf_char(out, '\n');
    }
    if (providers[0])
        cm_buf_printf(out, "    %s = [%s]\n", filter, providers);
    cm_buf_cstr(out, "  }\n");
}

/* All matching methods are asked and must answer, so each provider gets exactly one. */
static void write_methods(struct cm_arena *a, const struct tf_install_spec *spec,
                          const char *mirror, struct cm_buf *out)
{
    CM_AUTOBUF struct cm_buf mirrored = CM_BUF_INIT((size_t)1 << 20);
    CM_AUTOBUF struct cm_buf excluded = CM_BUF_INIT((size_t)1 << 20);
    cm_buf_cstr(out, "provider_installation {\n");
    if (mirror) {
        put_method(out, "filesystem_mirror", "path", mirror, "include", "\"" OWN_ADDRESS "\"");
        cm_buf_cstr(&excluded, "\"" OWN_ADDRESS "\"");
    }
    if (spec->filesystem_mirror) {
        list_mirror(a, spec->filesystem_mirror, CM_STR_NONE, 0, &mirrored);
        if (mirrored.len > 0) {
            put_method(out, "filesystem_mirror", "path", spec->filesystem_mirror, "include",
                       mirrored.ptr);
            cm_buf_printf(&excluded, "%s%s", excluded.len ? ", " : "", mirrored.ptr);
        }
    }
    const char *rest = excluded.ptr ? excluded.ptr : "";
    if (spec->network_mirror)
        put_method(out, "network_mirror", "url", spec->network_mirror, "exclude", rest);
    else
        put_method(out, "direct", NULL, NULL, "exclude", rest);
    cm_buf_cstr(out, "}\n");
}

static enum cm_code write_config(struct cm_arena *a, const struct tf_install_spec *spec,
                                 const char *mirror, struct cm_buf *out, struct cm_err *err)
{
    struct cm_str own = CM_STR_NONE;
    if (spec->cli_config) {
        enum cm_code code = cm_fs_read(spec->cli_config, out, err);
        if (code != CM_OK)
            return cm_err_wrap(err, "terraform's CLI configuration");
        own = cm_arena_str(a, cm_buf_view(out));
        cm_buf_char(out, '\n');
    }
    if (!cm_str_contains(own, CM_STR("disable_checkpoint")))
        cm_buf_cstr(out, "disable_checkpoint = true\n");
    if (!cm_str_contains(own, CM_STR("provider_installation")))
        write_methods(a, spec, mirror, out);
    return cm_buf_check(out, "terraform's CLI configuration", err);
}

enum cm_code tf_install_prepare(struct cm_arena *a, const struct tf_install_spec *spec,
                                const struct tf_binary *bin, struct tf_install *ret,
                                struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf program = CM_BUF_INIT(PROVIDER_MAX),
                             config = CM_BUF_INIT((size_t)4 << 20);
    const char *mirror = NULL, *provider_hash = "none";
    struct tf_install in = {.plugin_cache = cm_fs_join(a, spec->cache_dir, "plugins")};
    enum cm_code code = cm_fs_mkdirs(in.plugin_cache, 0700, err);
    if (code == CM_OK && spec->provider) {
        code = cm_fs_read(spec->provider, &program, err);
        if (code != CM_OK)
            return cm_err_wrap(err, "the provider for workspaces");
        provider_hash = tf_sha256_hex(a, cm_buf_view(&program));
        char *root = cm_arena_printf(a, "%s/providers/%.16s", spec->cache_dir, provider_hash);
        const char *package = cm_fs_join(a, root, "package");
        mirror = cm_fs_join(a, root, "mirror");
        code = place_provider(a, package, cm_buf_view(&program), err);
        if (code == CM_OK)
            code = make_mirror(a, mirror, package, bin->platform, err);
    }
    if (code != CM_OK)
        return code;
    code = write_config(a, spec, mirror, &config, err);
    in.cli_config = cm_fs_join(a, spec->cache_dir, "terraform.rc");
    if (code == CM_OK)
        code = cm_fs_write(in.cli_config, cm_buf_view(&config), 0600, false, err);
    if (code != CM_OK)
        return code;
    in.fingerprint = tf_sha256_hex(a, cm_arena_fmt(a, "%s %s %s %s %s", bin->version, bin->platform,
                                                   provider_hash, in.cli_config, config.ptr));
    if (code == CM_OK)
        *ret = in;
    return code;
}

enum cm_code tf_lock_forget_own(const char *dir, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT((size_t)1 << 20),
                             out = CM_BUF_INIT((size_t)1 << 20);
    const char *path = cm_fs_join(a, dir, ".terraform.lock.hcl");
    bool inside = false, dropped = false;
    if (!cm_fs_exists(path))
        return CM_OK;
    enum cm_code code = cm_fs_read(path, &text, err);
    if (code != CM_OK)
        return code;
    for (struct cm_str rest = cm_buf_view(&text), line; rest.len > 0;) {
        rest = cm_str_split(rest, '\n', &line);
        if (cm_str_starts(line, CM_STR("provider \"" OWN_ADDRESS "\"")))
            inside = dropped = true;
        if (!inside) {
            cm_buf_str(&out, line);
            cm_buf_char(&out, '\n');
        } else if (cm_str_eq_c(cm_str_trim(line), "}")) {
            inside = false;
        }
    }
    return dropped ? cm_fs_write(path, cm_buf_view(&out), 0600, false, err) : CM_OK;
}
