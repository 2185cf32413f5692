/* What a workspace is made of, as a tree in a frame: its resources, their agents, what these listen
 * on. */
#include <stdlib.h>

#include "api/deployment.h"
#include "cmd/cmd.h"

#define ERROR_SHOWN 500

struct show_opts {
    bool details;
};

static const struct cm_opt opts[] = {
    {CM_OPT_BOOL, offsetof(struct show_opts, details), "details",
     .help = "Show full error messages and additional details."},
};

static const char *branch(bool last)
{
    return last ? "\u2514\u2500" : "\u251c\u2500";
}

/* --- one agent --- */

static void status_cell(struct ui_table *t, const struct api_workspace_agent *a)
{
    const char *text = api_workspace_agent_status_enum.texts[a->status];
    struct cm_time since =
        a->status == API_WORKSPACE_AGENT_STATUS_DISCONNECTED ? a->disconnected_at : a->created_at;
    long long seconds = (long long)((cm_time_now().us - since.us) / CM_SECOND);

    if (a->status == API_WORKSPACE_AGENT_STATUS_CONNECTED)
        ui_table_cellf(t, "\u29bf %s", text);
    else
        ui_table_cellf(t, "\u29be %s [%llds]", text, CM_MAX(seconds, 0LL));
}

static void health_cell(struct ui_table *t, const struct api_workspace_agent *a)
{
    if (a->health->healthy)
        ui_table_cell(t, CM_STR("\u2714 healthy"));
    else
        ui_table_cellf(t, "\u2718 %.*s", CM_STR_ARG(a->health->reason));
}

/* "v2.30.0" of "v2.30.0+abc" as one number; 0: it is none. */
static unsigned long long version_number(struct cli *cli, struct cm_str text)
{
    unsigned v[3];
    if (sscanf(cm_arena_cstr(cli->arena, text), "v%5u.%5u.%5u", &v[0], &v[1], &v[2]) != 3)
        return 0;
    return (v[0] * 100000ULL + v[1]) * 100000 + v[2];
}

static void version_cell(struct cli *cli, struct ui_table *t, struct cm_str version,
                         struct cm_str server)
{
    unsigned long long ours = version_number(cli, version), theirs = version_number(cli, server);
    if (!version.len)
        ui_table_cell(t, CM_STR("(unknown)"));
    else
        ui_table_cellf(t, "%.*s%s", CM_STR_ARG(version),
                       ours && ours < theirs ? " (outdated)" : "");
}

static void listening_rows(struct cli *cli, struct ui_table *t, const struct api_workspace_agent *a,
                           bool last)
{
    struct api_workspace_agent_listening_ports_response *ports = NULL;

    if (a->status != API_WORKSPACE_AGENT_STATUS_CONNECTED ||
        cm_sdk_get(cli->sdk, cli->arena, &api_workspace_agent_listening_ports_response_msg, &ports,
                   NULL, "/api/v2/workspaceagents/%s/listening-ports",
                   cm_uuid_text(a->id).s) != CM_OK ||
        !ports->n_ports)
        return;
    ui_table_row(t);
    ui_table_cellf(t, "   %s Open Ports", branch(last));
    ui_table_rest(t);
    for (size_t i = 0; i < ports->n_ports; i++) {
        const struct api_workspace_agent_listening_port *p = &ports->ports[i];
        ui_table_row(t);
        ui_table_cellf(t, "      %s %5lld/%.*s", branch(i + 1 == ports->n_ports),
                       (long long)p->port, CM_STR_ARG(p->network));
        if (p->process_name.len)
            ui_table_append(t, " [%.*s]", CM_STR_ARG(p->process_name));
        ui_table_rest(t);
    }
}

static void agent_rows(struct cli *cli, struct ui_table *t, const struct resources_shown *r,
                       const struct api_workspace_agent *a, bool last, bool alone)
{
    ui_table_row(t);
    ui_table_cellf(t, "%s %.*s (%.*s, %.*s)", branch(last), CM_STR_ARG(a->name),
                   CM_STR_ARG(a->operating_system), CM_STR_ARG(a->architecture));
    if (r->server_version.len) {
        status_cell(t, a);
        health_cell(t, a);
        version_cell(cli, t, a->version, r->server_version);
    }
    if (r->workspace.len) {
        ui_table_cellf(t, "coder ssh %.*s", CM_STR_ARG(r->workspace));
        if (!alone)
            ui_table_append(t, ".%.*s", CM_STR_ARG(a->name));
    }
    if (r->server_version.len)
        listening_rows(cli, t, a, last);
}

/* --- all of them --- */

static int by_type(const void *a, const void *b)
{
    const struct api_workspace_resource *x = *(const struct api_workspace_resource *const *)a,
                                        *y = *(const struct api_workspace_resource *const *)b;
    int order = cm_str_cmp(x->type, y->type);
    return order ? order : cm_str_cmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return cm_str_cmp((*(const struct api_workspace_agent *const *)a)->name,
                      (*(const struct api_workspace_agent *const *)b)->name);
}

void show_resources(struct cli *cli, const struct resources_shown *r)
{
    const struct api_workspace_resource **sorted =
        CM_NEW_ARRAY(cli->arena, const struct api_workspace_resource *, r->n + 1);
    struct ui_table *t = ui_table_new(
        cli->arena, cm_arena_printf(cli->arena, "resource%s%s",
                                    r->server_version.len ? "|status|health|version" : "",
                                    r->workspace.len ? "|access" : ""));
    size_t n = 0, n_agents = 0;

    for (size_t i = 0; i < r->n; i++) {
        /* It is a helper of other resources, and nothing to people. */
        if (cm_str_eq_c(r->resources[i].type, "random_string") ||
            r->resources[i].workspace_transition != r->transition)
            continue;
        sorted[n++] = &r->resources[i];
        n_agents += r->resources[i].n_agents;
    }
    qsort(sorted, n, sizeof(struct api_workspace_resource *), by_type);
    for (size_t i = 0; i < n; i++) {
        const struct api_workspace_resource *one = sorted[i];
        const struct api_workspace_agent **agents =
            CM_NEW_ARRAY(cli->arena, const struct api_workspace_agent *, one->n_agents + 1);
        ui_table_rule(t);
        ui_table_row(t);
        ui_table_cellf(t, "%.*s.%.*s", CM_STR_ARG(one->type), CM_STR_ARG(one->name));
        ui_table_rest(t);
        for (size_t k = 0; k < one->n_agents; k++)
            agents[k] = &one->agents[k];
        qsort(agents, one->n_agents, sizeof(struct api_workspace_agent *), by_name);
        for (size_t k = 0; k < one->n_agents; k++)
            agent_rows(cli, t, r, agents[k], k + 1 == one->n_agents, n_agents == 1);
    }
    ui_table_frame(t, r->title);
}

/* --- the command --- */

/* In whole seconds: "1h0m5s". */
static const char *seconds_text(struct cm_arena *a, cm_usec d)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(64);
    cm_duration_format(&text, d / CM_SECOND * CM_SECOND);
    return cm_arena_cstr(a, cm_buf_view(&text));
}

static enum cm_code run(struct cli *cli, struct cm_err *err)
{
    const struct show_opts *o = cli->opts;
    struct api_workspace *w = NULL;
    struct api_build_info_response *server = NULL;

    if (cli_session(cli, err) != CM_OK || find_workspace(cli, cli_arg(cli, 0), &w, err) != CM_OK ||
        cm_sdk_get(cli->sdk, cli->arena, &api_build_info_response_msg, &server, err,
                   "/api/v2/buildinfo") != CM_OK)
        return err->code;
    const struct api_workspace_build *b = w->latest_build;
    if (b->job->error.len)
        fprintf(
            stderr, "The last build did not succeed: %.*s\n",
            (int)(o->details ? b->job->error.len : CM_MIN(b->job->error.len, (size_t)ERROR_SHOWN)),
            b->job->error.ptr);
    cm_usec age = CM_MAX(cm_time_now().us - b->created_at.us, (cm_usec)0);
    const char *title =
        cm_arena_printf(cli->arena, "%.*s/%.*s (%s since %s) %.*s:%.*s", CM_STR_ARG(w->owner_name),
                        CM_STR_ARG(w->name), api_workspace_status_enum.texts[b->status],
                        seconds_text(cli->arena, age), CM_STR_ARG(w->template_name),
                        CM_STR_ARG(b->template_version_name));
    show_resources(cli, &(struct resources_shown){.title = title,
                                                  .resources = b->resources,
                                                  .n = b->n_resources,
                                                  .transition = b->transition,
                                                  .workspace = w->name,
                                                  .server_version = server->version});
    return CM_OK;
}

const struct command command_show = {
    .name = "show",
    .args = "<workspace>",
    .brief = "Display details of a workspace's resources and agents",
    .opts = opts,
    .n_opts = CM_COUNT_OF(opts),
    .opts_size = sizeof(struct show_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
