/* templates pull: a template version becomes a folder, or an archive. */
#include <dirent.h>
#include <unistd.h>

#include "cmd/templates.h"
#include "sys/fd.h"
#include "sys/fs.h"
#include "template_tar.h"

struct pull_opts {
    bool tar, zip;
    const char *version;
};

static const struct cm_opt pull_opts[] = {
    {CM_OPT_BOOL, offsetof(struct pull_opts, tar), "tar",
     .help = "Output the template as a tar archive to stdout."},
    {CM_OPT_BOOL, offsetof(struct pull_opts, zip), "zip",
     .help = "Output the template as a zip archive to stdout."},
    {CM_OPT_STR, offsetof(struct pull_opts, version), "version",
     .help = "The name of the template version to pull. Use 'active' to pull the active version, "
             "'latest' to pull the "
             "latest version, or the name of the template version to pull."},
};

static enum cm_code pull_version(struct cli *cli, const struct api_template *t, const char *name,
                                 struct api_template_version **ret, struct cm_err *err)
{
    struct api_template_version *all = NULL;
    size_t n = 0;

    if (!*name || strcmp(name, "active") == 0)
        return cm_sdk_get(cli->sdk, cli->arena, &api_template_version_msg, ret, err,
                          "/api/v2/templateversions/%s", cm_uuid_text(t->active_version_id).s);
    if (strcmp(name, "latest") != 0)
        return cm_sdk_get(cli->sdk, cli->arena, &api_template_version_msg, ret, err,
                          "/api/v2/templates/%s/versions/%s", cm_uuid_text(t->id).s,
                          cm_sdk_part(cli->arena, cm_str(name)));
    if (cm_sdk_get_list(cli->sdk, cli->arena, &api_template_version_msg, &all, &n, err,
                        "/api/v2/templates/%s/versions", cm_uuid_text(t->id).s) != CM_OK)
        return err->code;
    if (!n)
        return cm_err_set(err, CM_NOT_FOUND, "no template versions found");
    *ret = &all[0];
    for (size_t i = 1; i < n; i++)
        if (all[i].created_at.us >= (*ret)->created_at.us)
            *ret = &all[i];
    return CM_OK;
}

static bool is_empty_dir(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;
    if (!d)
        return true;
    while (n < 3 && readdir(d))
        n++;
    closedir(d);
    return n <= 2; /* . and .. */
}

static enum cm_code run_pull(struct cli *cli, struct cm_err *err)
{
    const struct pull_opts *o = cli->opts;
    const struct api_organization *org = NULL;
    struct api_template *t = NULL;
    struct api_template_version *v = NULL;
    struct cm_str file;
    const char *name = cli_arg(cli, 0), *dest = cli_arg(cli, 1);

    if (o->tar && o->zip)
        return cm_err_set(err, CM_INVALID, "either --tar or --zip can be selected, not both");
    if (cli_session(cli, err) != CM_OK || find_org(cli, &org, err) != CM_OK ||
        find_template(cli, org, name, &t, err) != CM_OK ||
        pull_version(cli, t, o->version, &v, err) != CM_OK)
        return err->code;
    if (!v->job)
        return cm_err_set(err, CM_PROTOCOL, "the server's answer has no job");
    if (!*o->version)
        fprintf(stderr, "NOTE: Pulling template version %.*s (active).\n", CM_STR_ARG(v->name));
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &file, err, "/api/v2/files/%s%s",
                   cm_uuid_text(v->job->file_id).s, o->zip ? "?format=zip" : "") != CM_OK)
        return cm_err_wrap(err, "download template");
    if (o->tar || o->zip)
        return cm_fd_write_all(1, file.ptr, file.len, err);
    if (!dest)
        dest = cm_arena_printf(cli->arena, "./%s", name);
    if (cm_fs_mkdirs(dest, 0755, err) != CM_OK)
        return err->code;
    fprintf(stderr, "Extracting template to \"%s\"\n", dest);
    if (!is_empty_dir(dest) &&
        ui_confirm(cli,
                   cm_arena_printf(cli->arena,
                                   "The directory \"%s\" is not empty, existing files will be "
                                   "overwritten.\n> Continue extracting?",
                                   dest),
                   false, err) != CM_OK)
        return err->code;
    return template_tar_unpack(file, dest, err);
}

const struct command templates_pull = {
    .name = "pull",
    .args = "<name> [destination]",
    .brief = "Download the active, latest, or specified version of a template to a path.",
    .opts = pull_opts,
    .n_opts = CM_COUNT_OF(pull_opts),
    .opts_size = sizeof(struct pull_opts),
    .uses = USES_YES | USES_ORG,
    .min_args = 1,
    .max_args = 2,
    .run = run_pull,
};
