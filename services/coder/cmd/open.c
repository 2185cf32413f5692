/* open: VS Code, or an app of a workspace, in what this machine opens addresses with. */
#include "api/deployment.h"
#include "remote/target.h"

struct vscode_opts {
    bool token;
};

static const struct cm_opt vscode_opts[] = {
    {CM_OPT_BOOL, offsetof(struct vscode_opts, token), "generate-token",
     .env = "CODER_OPEN_VSCODE_GENERATE_TOKEN",
     .help = "Generate an auth token and include it in the vscode:// URI. The token is not needed "
             "where the extension is logged in already."},
};

static const char *escaped(struct cli *cli, struct cm_str s)
{
    return cm_sdk_part(cli->arena, s);
}

/* An absolute path as it is, another one below the agent's directory. */
static enum cm_code choose_folder(struct cli *cli, const struct api_workspace_agent *agent,
                                  const char *given, const char **ret, struct cm_err *err)
{
    struct cm_str base = agent->expanded_directory;

    if (given && *given == '/') {
        *ret = given;
        return CM_OK;
    }
    if (!base.len && given)
        return cm_err_set(err, CM_INVALID,
                          "path \"%s\" not supported, use an absolute path instead: the agent has "
                          "no folder of its own",
                          given);
    *ret = given ? cm_arena_printf(cli->arena, "%.*s/%s", CM_STR_ARG(base), given)
                 : cm_arena_cstr(cli->arena, base);
    return CM_OK;
}

static enum cm_code run_vscode(struct cli *cli, struct cm_err *err)
{
    const struct vscode_opts *o = cli->opts;
    struct remote_wish wish = {.autostart = true, .wait = "no", .reason = "vscode_connection"};
    struct api_workspace *ws = NULL;
    struct api_workspace_agent *agent = NULL;
    struct api_generate_api_key_response *key = NULL;
    const char *folder = NULL;
    CM_AUTOBUF struct cm_buf uri = CM_BUF_INIT(65536);

    uri.wipe = o->token;
    if (remote_find(cli, cli_arg(cli, 0), &wish, &ws, &agent, err) != CM_OK ||
        choose_folder(cli, agent, cli_arg(cli, 1), &folder, err) != CM_OK)
        return err->code;
    cm_buf_printf(&uri, "vscode://coder.coder-remote/open?agent=%s", escaped(cli, agent->name));
    if (*folder)
        cm_buf_printf(&uri, "&folder=%s", escaped(cli, cm_str(folder)));
    cm_buf_printf(&uri, "&owner=%s", escaped(cli, ws->owner_name));
    if (o->token) {
        if (cm_sdk_send(cli->sdk, cli->arena, "POST", NULL, NULL,
                        &api_generate_api_key_response_msg, &key, err,
                        "/api/v2/users/me/keys") != CM_OK)
            return cm_err_wrap(err, "create API key");
        cm_buf_printf(&uri, "&token=%s", escaped(cli, key->key));
    }
    cm_buf_printf(&uri, "&url=%s&workspace=%s", escaped(cli, cm_str(cm_sdk_url(cli->sdk))),
                  escaped(cli, ws->name));
    if (cm_buf_check(&uri, "the URI", err) != CM_OK)
        return err->code;
    const char *text = cm_arena_cstr(cli->arena, cm_buf_view(&uri));
    if (ui_open_browser(cli, text)) {
        printf("Opening %.*s in VS Code\n", CM_STR_ARG(ws->name));
        return CM_OK;
    }
    fprintf(stderr, "Open the following address with VS Code and its Coder extension:\n\n");
    printf("%s\n", text);
    return CM_OK;
}

static enum cm_code find_app(const struct api_workspace *ws, const char *slug,
                             const struct api_workspace_agent **ret_agent,
                             const struct api_workspace_app **ret, struct cm_err *err)
{
    const struct api_workspace_build *b = ws->latest_build;
    CM_AUTOBUF struct cm_buf slugs = CM_BUF_INIT(65536);
    struct cm_str last = CM_STR(""), next;

    for (size_t r = 0; r < b->n_resources; r++)
        for (size_t k = 0; k < b->resources[r].n_agents; k++)
            for (size_t i = 0; i < b->resources[r].agents[k].n_apps; i++)
                if (cm_str_eq_c(b->resources[r].agents[k].apps[i].slug, slug)) {
                    *ret_agent = &b->resources[r].agents[k];
                    *ret = &b->resources[r].agents[k].apps[i];
                    return CM_OK;
                }
    do { /* the next in order, each time */
        next = CM_STR_NONE;
        for (size_t r = 0; r < b->n_resources; r++)
            for (size_t k = 0; k < b->resources[r].n_agents; k++)
                for (size_t i = 0; i < b->resources[r].agents[k].n_apps; i++) {
                    struct cm_str s = b->resources[r].agents[k].apps[i].slug;
                    if (cm_str_cmp(s, last) > 0 && (!next.ptr || cm_str_cmp(s, next) < 0))
                        next = s;
                }
        if (next.ptr)
            cm_buf_printf(&slugs, "%s%.*s", last.len ? ", " : "", CM_STR_ARG(next));
        last = next;
    } while (next.ptr);
    return cm_err_set(err, CM_NOT_FOUND,
                      "app \"%s\" not found in workspace \"%.*s\", available apps: [%.*s]", slug,
                      CM_STR_ARG(ws->name), CM_STR_ARG(cm_buf_view(&slugs)));
}

struct app_opts {
    const char *region;
};

static const struct cm_opt app_opts[] = {
    {CM_OPT_STR, offsetof(struct app_opts, region), "region", .def = "primary",
     .env = "CODER_OPEN_APP_REGION", .help = "Region to use when opening the app."},
};

static enum cm_code app_address(struct cli *cli, const struct api_workspace *ws,
                                const struct api_workspace_agent *agent,
                                const struct api_workspace_app *app, const char **ret,
                                struct cm_err *err)
{
    const struct app_opts *o = cli->opts;
    struct api_regions_response *regions = NULL;
    const struct api_region *region = NULL;

    if (app->external) {
        *ret = cm_arena_cstr(cli->arena, app->url);
        return CM_OK;
    }
    if (cm_sdk_get(cli->sdk, cli->arena, &api_regions_response_msg, &regions, err,
                   "/api/v2/regions") != CM_OK)
        return cm_err_wrap(err, "fetch regions");
    for (size_t i = 0; i < regions->n_regions; i++)
        if (cm_str_eq_c(regions->regions[i].name, o->region))
            region = &regions->regions[i];
    if (!region)
        return cm_err_set(err, CM_NOT_FOUND, "region \"%s\" not found", o->region);
    struct cm_str wild = region->wildcard_hostname, scheme;
    if (app->subdomain && app->subdomain_name.len && wild.len > 1 && wild.ptr[0] == '*') {
        cm_str_split(region->path_app_url, ':', &scheme);
        *ret = cm_arena_printf(cli->arena, "%.*s://%.*s%.*s/", CM_STR_ARG(scheme),
                               CM_STR_ARG(app->subdomain_name),
                               CM_STR_ARG(cm_str_sub(wild, 1, wild.len)));
        return CM_OK;
    }
    struct cm_str base = region->path_app_url;
    if (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    *ret = app->command.len
               ? cm_arena_printf(cli->arena, "%.*s/@%.*s/%.*s.%.*s/terminal?command=%s",
                                 CM_STR_ARG(base), CM_STR_ARG(ws->owner_name), CM_STR_ARG(ws->name),
                                 CM_STR_ARG(agent->name), escaped(cli, app->command))
               : cm_arena_printf(cli->arena, "%.*s/@%.*s/%.*s.%.*s/apps/%s/", CM_STR_ARG(base),
                                 CM_STR_ARG(ws->owner_name), CM_STR_ARG(ws->name),
                                 CM_STR_ARG(agent->name), escaped(cli, app->slug));
    return CM_OK;
}

static enum cm_code run_app(struct cli *cli, struct cm_err *err)
{
    struct api_workspace *ws = NULL;
    const struct api_workspace_agent *agent = NULL;
    const struct api_workspace_app *app = NULL;
    const char *url = NULL;

    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &ws, err) != CM_OK ||
        find_app(ws, cli_arg(cli, 1), &agent, &app, err) != CM_OK ||
        app_address(cli, ws, agent, app, &url, err) != CM_OK)
        return err->code;
    printf("Opening %s\n", url);
    if (ui_open_browser(cli, url))
        return CM_OK;
    return cm_err_set(err, CM_NOT_FOUND,
                      "nothing here opens addresses: set BROWSER, or open the one above yourself");
}

static const struct command vscode = {
    .name = "vscode",
    .args = "<workspace> [<directory in workspace>]",
    .brief = "Open a workspace in VS Code Desktop",
    .opts = vscode_opts,
    .n_opts = CM_COUNT_OF(vscode_opts),
    .opts_size = sizeof(struct vscode_opts),
    .min_args = 1,
    .max_args = 2,
    .run = run_vscode,
};
static const struct command app = {
    .name = "app",
    .args = "<workspace> <app slug>",
    .brief = "Open a workspace application.",
    .opts = app_opts,
    .n_opts = CM_COUNT_OF(app_opts),
    .opts_size = sizeof(struct app_opts),
    .min_args = 2,
    .max_args = 2,
    .run = run_app,
};
static const struct command *const subs[] = {&vscode, &app, NULL};

const struct command command_open = {
    .name = "open",
    .brief = "Open a workspace",
    .sub = subs,
};
