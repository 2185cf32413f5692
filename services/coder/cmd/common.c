#include "cmd/cmd.h"

#include "near.h"

enum cm_code split_pair(struct cm_arena *a, const char *text, struct cm_str *ret_name,
                        struct cm_str *ret_value, struct cm_err *err)
{
    struct cm_str name, value = cm_str_split(cm_str(text), '=', &name);

    if (!value.ptr || !name.len)
        return cm_err_set(err, CM_INVALID,
                          "invalid value \"%.*s\": it must be of the form name=value",
                          CM_STR_ARG(name));
    *ret_name = cm_arena_str(a, name);
    *ret_value = cm_arena_str(a, value);
    return CM_OK;
}

enum cm_code json_member(struct cli *cli, struct cm_str body, const char *key, struct cm_str *ret,
                         struct cm_err *err)
{
    const struct cm_json *root;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT((size_t)64 << 20);

    if (cm_json_parse(cli->arena, body, &cm_json_file_limits, &root, err) != CM_OK)
        return cm_err_wrap(err, "the server's answer");
    if (key)
        root = cm_json_get(root, key);
    if (cm_json_is_null(root))
        cm_buf_cstr(&out, "[]");
    else
        cm_json_write(&out, root);
    *ret = cm_arena_str(cli->arena, cm_buf_view(&out));
    return CM_OK;
}

enum cm_code query_workspaces(struct cli *cli, const char *search,
                              struct api_workspaces_response **ret, struct cm_str *ret_json,
                              struct cm_err *err)
{
    struct cm_str body;

    if (cli_session(cli, err) != CM_OK)
        return err->code;
    if (cm_sdk_raw(cli->sdk, cli->arena, "GET", NULL, NULL, &body, err, "/api/v2/workspaces?q=%s",
                   cm_sdk_part(cli->arena, cm_str(search))) != CM_OK)
        return cm_err_wrap(err, "query workspaces");
    if (ret_json && json_member(cli, body, "workspaces", ret_json, err) != CM_OK)
        return err->code;
    return cm_json_decode_answer(&api_workspaces_response_msg, cli->arena, body, (void **)ret, err);
}

enum cm_code json_rows(struct cli *cli, struct cm_str body, const char *key,
                       const char *(*more)(void *, size_t), void *ctx, struct cm_err *err)
{
    const struct cm_json *root;
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT((size_t)64 << 20);

    if (cm_json_parse(cli->arena, body, &cm_json_file_limits, &root, err) != CM_OK)
        return cm_err_wrap(err, "the server's answer");
    cm_buf_char(&out, '[');
    for (size_t i = 0; i < cm_json_count(root); i++) {
        cm_buf_printf(&out, "%s{\"%s\":", i ? "," : "", key);
        cm_json_write(&out, cm_json_at(root, i));
        cm_buf_printf(&out, "%s}", more ? more(ctx, i) : "");
    }
    cm_buf_char(&out, ']');
    ui_json_print(cm_buf_view(&out));
    return CM_OK;
}

enum cm_code find_org(struct cli *cli, const struct api_organization **ret, struct cm_err *err)
{
    struct api_organization *orgs = NULL;
    size_t n = 0;
    struct cm_uuid id;
    CM_AUTOBUF struct cm_buf names = CM_BUF_INIT(4096);

    if (cm_sdk_get_list(cli->sdk, cli->arena, &api_organization_msg, &orgs, &n, err,
                        "/api/v2/users/me/organizations") != CM_OK)
        return cm_err_wrap(err, "get organizations");
    bool by_id = cm_uuid_parse(cm_str(cli->org), &id);
    for (size_t i = 0; i < n; i++) {
        if (cli->org && *cli->org &&
            (cm_str_eq_c(orgs[i].name, cli->org) || (by_id && cm_uuid_eq(id, orgs[i].id)))) {
            *ret = &orgs[i];
            return CM_OK;
        }
        cm_buf_printf(&names, "%s%.*s", i ? ", " : "", CM_STR_ARG(orgs[i].name));
    }
    if (cli->org && *cli->org)
        return cm_err_set(err, CM_NOT_FOUND,
                          "organization \"%s\" not found, are you sure you are a member of this "
                          "organization? Valid "
                          "options for '--org=' are [%.*s].",
                          cli->org, CM_STR_ARG(cm_buf_view(&names)));
    if (n == 1) {
        *ret = &orgs[0];
        return CM_OK;
    }
    return cm_err_set(err, CM_INVALID,
                      "Must select an organization with --org=<org_name>. Choose from: %.*s",
                      CM_STR_ARG(cm_buf_view(&names)));
}

/* An answer for a hint: what the server said of the call before is still to be printed, so this one
 * leaves no trace. */
static struct cm_str quiet_get(struct cli *cli, const char *path)
{
    struct cm_httpc_req req = {.url = {NULL, 0}};
    CM_AUTO(cm_httpc_answer) answer = NULL;

    cm_sdk_request(cli->sdk, cli->arena, path, &req);
    if (cm_httpc_do(cm_sdk_http(cli->sdk), &req, &answer, NULL) != CM_OK || answer->status != 200)
        return CM_STR("");
    return cm_arena_str(cli->arena, answer->body);
}

static const char *hint(struct cli *cli, const struct near *near, const char *where)
{
    if (!near->best.ptr)
        return where;
    return cm_arena_printf(cli->arena, "Did you mean \"%.*s\"? %s", CM_STR_ARG(near->best), where);
}

static const char *workspace_hint(struct cli *cli, struct cm_str owner, struct cm_str name)
{
    struct api_workspaces_response *all = NULL;
    struct near near = near_start(name);
    const char *query = cm_arena_printf(cli->arena, "owner:%.*s", CM_STR_ARG(owner));
    struct cm_str body = quiet_get(cli, cm_arena_printf(cli->arena, "/api/v2/workspaces?q=%s",
                                                        cm_sdk_part(cli->arena, cm_str(query))));

    if (cm_json_decode_answer(&api_workspaces_response_msg, cli->arena, body, (void **)&all,
                              NULL) == CM_OK)
        for (size_t i = 0; i < all->n_workspaces; i++)
            near_try(&near, all->workspaces[i].name);
    return hint(cli, &near,
                "'coder list' shows your workspaces, 'coder list -a' all that you may see.");
}

static const char *template_hint(struct cli *cli, const struct api_organization *org,
                                 const char *name)
{
    struct api_template *all = NULL;
    struct near near = near_start(cm_str(name));
    size_t n = 0;
    struct cm_str body =
        quiet_get(cli, cm_arena_printf(cli->arena, "/api/v2/organizations/%s/templates",
                                       cm_uuid_text(org->id).s));

    if (cm_json_decode_answer_list(&api_template_msg, cli->arena, body, (void **)&all, &n, NULL) ==
        CM_OK)
        for (size_t i = 0; i < n; i++)
            near_try(&near, all[i].name);
    return hint(cli, &near, "'coder templates list' shows the templates.");
}

enum cm_code find_workspace(struct cli *cli, const char *name, struct api_workspace **ret,
                            struct cm_err *err)
{
    struct cm_str owner, rest = cm_str_split(cm_str(name), '/', &owner);
    struct cm_uuid id;
    enum cm_code code;

    if (cm_uuid_parse(cm_str(name), &id)) {
        code = cm_sdk_get(cli->sdk, cli->arena, &api_workspace_msg, ret, err,
                          "/api/v2/workspaces/%s", cm_uuid_text(id).s);
    } else {
        if (!rest.ptr) {
            rest = owner;
            owner = CM_STR("me");
        }
        if (!rest.len || !owner.len || cm_str_find(rest, '/') >= 0)
            return cm_err_set(err, CM_INVALID, "invalid workspace name: \"%s\"", name);
        code = cm_sdk_get(cli->sdk, cli->arena, &api_workspace_msg, ret, err,
                          "/api/v2/users/%s/workspace/%s", cm_sdk_part(cli->arena, owner),
                          cm_sdk_part(cli->arena, rest));
    }
    if (code == CM_NOT_FOUND)
        cli->hint = workspace_hint(cli, owner.ptr ? owner : CM_STR("me"), rest);
    if (code != CM_OK)
        return cm_err_wrap(err, "get workspace \"%s\"", name);
    if (!(*ret)->latest_build || !(*ret)->latest_build->job)
        return cm_err_set(err, CM_PROTOCOL, "the server's answer has a workspace without a build");
    return CM_OK;
}

enum cm_code find_template(struct cli *cli, const struct api_organization *org, const char *name,
                           struct api_template **ret, struct cm_err *err)
{
    enum cm_code code = cm_sdk_get(cli->sdk, cli->arena, &api_template_msg, ret, err,
                                   "/api/v2/organizations/%s/templates/%s", cm_uuid_text(org->id).s,
                                   cm_sdk_part(cli->arena, cm_str(name)));
    if (code == CM_NOT_FOUND)
        cli->hint = template_hint(cli, org, name);
    return code == CM_OK ? CM_OK : cm_err_wrap(err, "get template by name \"%s\"", name);
}

enum cm_code build_params(struct cli *cli, struct cm_uuid build,
                          struct api_workspace_build_parameter **ret, size_t *ret_n,
                          struct cm_err *err)
{
    if (cm_sdk_get_list(cli->sdk, cli->arena, &api_workspace_build_parameter_msg, ret, ret_n, err,
                        "/api/v2/workspacebuilds/%s/parameters", cm_uuid_text(build).s) != CM_OK)
        return cm_err_wrap(err, "get build parameters");
    return CM_OK;
}

enum cm_code run_build(struct cli *cli, const struct api_workspace *ws,
                       const struct build_order *order, struct api_workspace_build **ret,
                       struct cm_err *err)
{
    struct api_create_workspace_build_request req = {.transition = order->transition,
                                                     .template_version_id = order->version};
    struct api_workspace_build_parameter *params =
        CM_NEW_ARRAY(cli->arena, struct api_workspace_build_parameter, order->n_params + 1);
    int reason = 0;

    if (order->n_params)
        memcpy(params, order->params, order->n_params * sizeof(*params));
    req.rich_parameter_values = params;
    req.n_rich_parameter_values = order->n_params;
    if (order->transition == API_WORKSPACE_TRANSITION_START &&
        cm_enum_parse(&api_create_workspace_build_reason_enum,
                      cm_str(order->reason ? order->reason : "cli"), &reason))
        req.reason = (enum api_create_workspace_build_reason)reason;
    if (order->orphan) {
        req.orphan = true;
        cm_set_has(req.has, API_CREATE_WORKSPACE_BUILD_REQUEST_HAS_ORPHAN);
    }
    if (cm_sdk_send(cli->sdk, cli->arena, "POST", &api_create_workspace_build_request_msg, &req,
                    &api_workspace_build_msg, ret, err, "/api/v2/workspaces/%s/builds",
                    cm_uuid_text(ws->id).s) != CM_OK)
        return cm_err_wrap(err, "create workspace build");
    const struct api_matched_provisioners *m = (*ret)->matched_provisioners;
    if (m && m->count == 0)
        fprintf(stderr, "Your build is waiting: no provisioner takes jobs with its tags. Ask an "
                        "administrator to start one.\n");
    if (order->no_wait)
        return CM_OK;
    return ui_follow_build(cli, (*ret)->id, order->out ? order->out : stdout, err);
}
