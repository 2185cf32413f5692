/* coder_agent and what belongs to it: coder_app, coder_script, coder_env, coder_devcontainer. */
#include "base/buf.h"
#include "base/map.h"
#include "codec/json.h"
#include "terraform/extract_impl.h"

#define AGENT_NAME_MAX 64
#define AGENTS_MAX     256 /* each is compared with every resource */

/* The builder's view of one agent: lists that become the message's arrays at the end. */
struct building {
    struct agent_entry *entry;
    struct ptrs apps, scripts, env, metadata, devcontainers, display_apps;
};

/* Letters and digits with single hyphens between. */
static bool agent_name_ok(struct cm_str s)
{
    bool hyphen = true;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c != '-' || hyphen))
            return false;
        hyphen = !alnum;
    }
    return s.len > 0 && s.len <= AGENT_NAME_MAX && !hyphen;
}

static const struct cm_json *block(const struct cm_json *list)
{
    return cm_json_at(list, 0);
}

static void read_metadata(struct cm_arena *a, const struct cm_json *list, struct ptrs *out)
{
    for (size_t i = 0; i < cm_json_count(list); i++) {
        const struct cm_json *m = cm_json_at(list, i);
        PB(AgentMetadata) *msg = CM_NEW(a, PB(AgentMetadata));
        coder__provisioner__v1__agent_metadata__init(msg);
        char *key = text_of(a, cm_json_get(m, "key"));
        msg->key = key ? key : cm_arena_printf(a, "%zu", i);
        msg->display_name = text_of(a, cm_json_get(m, "display_name"));
        msg->script = text_of(a, cm_json_get(m, "script"));
        SET_INT(msg, interval, cm_json_get(m, "interval"));
        SET_INT(msg, timeout, cm_json_get(m, "timeout"));
        SET_INT(msg, order, cm_json_get(m, "order"));
        ptrs_add(a, out, msg);
    }
}

static void read_display_apps(struct cm_arena *a, const struct cm_json *list, struct ptrs *out)
{
    static const struct {
        const char *name;
        bool by_default;
    } apps[] = {{"vscode", true},
                {"vscode_insiders", false},
                {"web_terminal", true},
                {"port_forwarding_helper", true},
                {"ssh_helper", true}};
    const struct cm_json *chosen = block(list);
    for (size_t i = 0; i < CM_COUNT_OF(apps); i++) {
        bool on = apps[i].by_default;
        if (chosen && !cm_json_to_bool(cm_json_get(chosen, apps[i].name), &on))
            on = apps[i].by_default;
        if (on)
            ptrs_add(a, out, cm_arena_printf(a, "%s", apps[i].name));
    }
}

/* {"memory":{"enabled":..,"threshold":..},"volumes":[{"path":..,"enabled":..,"threshold":..}]} */
static char *monitoring_json(struct cm_arena *a, const struct cm_json *list)
{
    const struct cm_json *b = block(list), *memory = block(cm_json_get(b, "memory"));
    const struct cm_json *volumes = cm_json_get(b, "volume");
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT((size_t)64 << 10);
    if (!b)
        return NULL;
    cm_buf_char(&out, '{');
    if (memory) {
        cm_buf_cstr(&out, "\"memory\":");
        cm_json_write(&out, memory);
        cm_buf_char(&out, ',');
    }
    cm_buf_cstr(&out, "\"volumes\":");
    if (volumes)
        cm_json_write(&out, volumes);
    else
        cm_buf_cstr(&out, "[]");
    cm_buf_char(&out, '}');
    return out.failed ? NULL : cm_arena_cstr(a, cm_buf_view(&out));
}

/* startup_script and shutdown_script are scripts of their own. */
static void read_agent_scripts(struct cm_arena *a, const struct tf_resource *r, struct ptrs *out)
{
    for (int stop = 0; stop < 2; stop++) {
        char *text = nonempty_of(a, value_of(r, stop ? "shutdown_script" : "startup_script"));
        if (!text)
            continue;
        PB(Script) *s = CM_NEW(a, PB(Script));
        coder__provisioner__v1__script__init(s);
        s->script = text;
        s->display_name = cm_arena_printf(a, stop ? "Shutdown Script" : "Startup Script");
        s->log_path =
            cm_arena_printf(a, stop ? "coder-shutdown-script.log" : "coder-startup-script.log");
        s->icon = cm_arena_printf(a, stop ? "/emojis/25c0.png" : "/emojis/25b6-fe0f.png");
        s->has_run_on_start = s->has_run_on_stop = s->has_start_blocks_login = true;
        s->run_on_start = !stop;
        s->run_on_stop = stop;
        s->start_blocks_login =
            !stop && cm_str_eq_c(cm_json_str(value_of(r, "startup_script_behavior")), "blocking");
        ptrs_add(a, out, s);
    }
}

static enum cm_code read_agent(struct cm_arena *a, const struct tf_resource *r, struct building *b,
                               struct cm_err *err)
{
    PB(Agent) *m = CM_NEW(a, PB(Agent));
    coder__provisioner__v1__agent__init(m);
    if (!agent_name_ok(r->name))
        return cm_err_set(err, CM_INVALID,
                          "the agent name \"%.*s\" is not allowed: use letters and digits with "
                          "single hyphens between",
                          CM_STR_ARG(r->name));
    b->entry->res = r;
    b->entry->msg = m;
    b->entry->id = cm_json_str(value_of(r, "id"));
    m->name = cm_arena_cstr(a, r->name);
    m->has_id = uuid_bytes(a, value_of(r, "id"), &m->id);
    m->operating_system = text_of(a, value_of(r, "os"));
    m->architecture = text_of(a, value_of(r, "arch"));
    m->directory = nonempty_of(a, value_of(r, "dir"));
    m->motd_file = nonempty_of(a, value_of(r, "motd_file"));
    m->troubleshooting_url = nonempty_of(a, value_of(r, "troubleshooting_url"));
    m->startup_script_behavior = nonempty_of(a, value_of(r, "startup_script_behavior"));
    m->api_key_scope = nonempty_of(a, value_of(r, "api_key_scope"));
    m->resources_monitoring_json = monitoring_json(a, value_of(r, "resources_monitoring"));
    SET_INT(m, connection_timeout_seconds, value_of(r, "connection_timeout"));
    SET_INT(m, order, value_of(r, "order"));
    struct cm_str auth = cm_json_str(value_of(r, "auth"));
    if (auth.len == 0 || cm_str_eq_c(auth, "token"))
        m->token = nonempty_of(a, value_of(r, "token"));
    read_metadata(a, value_of(r, "metadata"), &b->metadata);
    read_display_apps(a, value_of(r, "display_apps"), &b->display_apps);
    read_agent_scripts(a, r, &b->scripts);
    return CM_OK;
}

/* --- what hangs on an agent --- */

static bool belongs(const struct tf_resource *r, const struct agent_entry *agent,
                    const struct tf_graph *graph)
{
    struct cm_str wanted = cm_json_str(value_of(r, "agent_id"));
    if (wanted.len > 0)
        return agent->id.len > 0 && cm_str_eq(wanted, agent->id);
    /* Ids are unknown while planning. */
    return agent->id.len == 0 && tf_graph_depends(graph, r->label, agent->res->label);
}

static void add_app(struct cm_arena *a, const struct tf_resource *r, struct building *b)
{
    PB(App) *m = CM_NEW(a, PB(App));
    coder__provisioner__v1__app__init(m);
    char *slug = nonempty_of(a, value_of(r, "slug"));
    m->slug = slug ? slug : cm_arena_cstr(a, r->name);
    /* An app is always called something; "name" is what display_name was once. */
    m->display_name = nonempty_of(a, value_of(r, "display_name"));
    if (!m->display_name)
        m->display_name = nonempty_of(a, value_of(r, "name"));
    if (!m->display_name)
        m->display_name = m->slug;
    m->command = nonempty_of(a, value_of(r, "command"));
    m->url = nonempty_of(a, value_of(r, "url"));
    m->icon = nonempty_of(a, value_of(r, "icon"));
    m->sharing_level = nonempty_of(a, value_of(r, "share"));
    m->group = nonempty_of(a, value_of(r, "group"));
    m->open_in = nonempty_of(a, value_of(r, "open_in"));
    m->tooltip = nonempty_of(a, value_of(r, "tooltip"));
    SET_BOOL(m, subdomain, value_of(r, "subdomain"));
    SET_BOOL(m, external, value_of(r, "external"));
    SET_BOOL(m, hidden, value_of(r, "hidden"));
    SET_INT(m, order, value_of(r, "order"));
    m->has_id = uuid_bytes(a, value_of(r, "id"), &m->id);
    const struct cm_json *check = block(value_of(r, "healthcheck"));
    if (check) {
        m->healthcheck = CM_NEW(a, PB(Healthcheck));
        coder__provisioner__v1__healthcheck__init(m->healthcheck);
        m->healthcheck->url = text_of(a, cm_json_get(check, "url"));
        SET_INT(m->healthcheck, interval, cm_json_get(check, "interval"));
        SET_INT(m->healthcheck, threshold, cm_json_get(check, "threshold"));
    }
    ptrs_add(a, &b->apps, m);
}

static void add_script(struct cm_arena *a, const struct tf_resource *r, struct building *b)
{
    PB(Script) *m = CM_NEW(a, PB(Script));
    coder__provisioner__v1__script__init(m);
    m->display_name = text_of(a, value_of(r, "display_name"));
    m->icon = nonempty_of(a, value_of(r, "icon"));
    m->script = text_of(a, value_of(r, "script"));
    m->cron = nonempty_of(a, value_of(r, "cron"));
    m->log_path = nonempty_of(a, value_of(r, "log_path"));
    SET_BOOL(m, start_blocks_login, value_of(r, "start_blocks_login"));
    SET_BOOL(m, run_on_start, value_of(r, "run_on_start"));
    SET_BOOL(m, run_on_stop, value_of(r, "run_on_stop"));
    SET_INT(m, timeout_seconds, value_of(r, "timeout"));
    ptrs_add(a, &b->scripts, m);
}

static void add_devcontainer(struct cm_arena *a, const struct tf_resource *r, struct building *b)
{
    PB(Devcontainer) *m = CM_NEW(a, PB(Devcontainer));
    coder__provisioner__v1__devcontainer__init(m);
    m->has_id = uuid_bytes(a, value_of(r, "id"), &m->id);
    m->has_subagent_id = uuid_bytes(a, value_of(r, "subagent_id"), &m->subagent_id);
    m->workspace_folder = text_of(a, value_of(r, "workspace_folder"));
    m->config_path = nonempty_of(a, value_of(r, "config_path"));
    m->name = cm_arena_cstr(a, r->name);
    ptrs_add(a, &b->devcontainers, m);
}

static PB(Pair) * env_find(const struct ptrs *env, const char *name)
{
    for (size_t i = 0; i < env->n; i++) {
        PB(Pair) *p = env->v[i];
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

static enum cm_code add_env(struct cm_arena *a, const struct tf_resource *r, struct building *b,
                            struct cm_err *err)
{
    char *name = nonempty_of(a, value_of(r, "name")), *value = text_of(a, value_of(r, "value"));
    struct cm_str merge = cm_json_str(value_of(r, "merge_strategy"));
    PB(Pair) *known = name ? env_find(&b->env, name) : NULL;
    if (!name)
        return CM_OK;
    if (!value)
        value = cm_arena_printf(a, "%s", "");
    if (!known)
        ptrs_add(a, &b->env, pair_new(a, name, value));
    else if (cm_str_eq_c(merge, "error"))
        return cm_err_set(err, CM_INVALID, "the variable %s of agent \"%s\" is set more than once",
                          name, b->entry->msg->name);
    else if (cm_str_eq_c(merge, "append"))
        known->value = cm_arena_printf(a, "%s:%s", known->value, value);
    else if (cm_str_eq_c(merge, "prepend"))
        known->value = cm_arena_printf(a, "%s:%s", value, known->value);
    else
        known->value = value;
    return CM_OK;
}

/* The agent's own env comes last: it wins over every coder_env. */
static void add_own_env(struct cm_arena *a, struct building *b)
{
    const struct cm_json *env = value_of(b->entry->res, "env");
    for (size_t i = 0; i < cm_json_count(env); i++) {
        const struct cm_json *v = cm_json_at(env, i);
        const char *name = cm_arena_cstr(a, cm_json_key(v));
        PB(Pair) *known = env_find(&b->env, name);
        char *value = text_of(a, v);
        if (known)
            known->value = value;
        else
            ptrs_add(a, &b->env, pair_new(a, name, value));
    }
}

static enum cm_code attach(struct cm_arena *a, const struct tf_resource *r, struct building *b,
                           const struct tf_graph *graph, struct cm_err *err)
{
    bool app = cm_str_eq_c(r->type, "coder_app"), script = cm_str_eq_c(r->type, "coder_script");
    bool env = cm_str_eq_c(r->type, "coder_env"),
         container = cm_str_eq_c(r->type, "coder_devcontainer");
    if (!r->managed || (!app && !script && !env && !container) || !belongs(r, b->entry, graph))
        return CM_OK;
    if (app)
        add_app(a, r, b);
    else if (script)
        add_script(a, r, b);
    else if (container)
        add_devcontainer(a, r, b);
    else
        return add_env(a, r, b, err);
    return CM_OK;
}

static void finish(struct building *b)
{
    PB(Agent) *m = b->entry->msg;
    m->apps = (PB(App) **)b->apps.v;
    m->n_apps = b->apps.n;
    m->scripts = (PB(Script) **)b->scripts.v;
    m->n_scripts = b->scripts.n;
    m->env = (PB(Pair) **)b->env.v;
    m->n_env = b->env.n;
    m->metadata = (PB(AgentMetadata) **)b->metadata.v;
    m->n_metadata = b->metadata.n;
    m->devcontainers = (PB(Devcontainer) **)b->devcontainers.v;
    m->n_devcontainers = b->devcontainers.n;
    m->display_apps = (char **)b->display_apps.v;
    m->n_display_apps = b->display_apps.n;
}

/* People name an agent without regard to case, and an app by its slug alone. */
static enum cm_code check_unique(const struct agents *agents, struct cm_err *err)
{
    CM_AUTO(cm_map) slugs = cm_map_new();
    for (size_t i = 0; i < agents->n; i++) {
        PB(Agent) *m = agents->v[i].msg;
        for (size_t j = 0; j < i; j++) {
            if (cm_str_eq_nocase(cm_str(m->name), cm_str(agents->v[j].msg->name)))
                return cm_err_set(err, CM_INVALID, "two agents are called \"%s\"", m->name);
        }
        for (size_t k = 0; k < m->n_apps; k++) {
            if (cm_map_put(slugs, cm_str(m->apps[k]->slug), m))
                return cm_err_set(err, CM_INVALID, "two apps have the slug \"%s\"",
                                  m->apps[k]->slug);
        }
    }
    return CM_OK;
}

enum cm_code agents_read(struct cm_arena *a, const struct tf_resources *list,
                         const struct tf_graph *graph, struct agents *ret, struct cm_err *err)
{
    struct agents agents = {.v = CM_NEW_ARRAY(a, struct agent_entry, list->n + 1)};
    enum cm_code code = CM_OK;
    for (size_t i = 0; code == CM_OK && i < list->n; i++) {
        const struct tf_resource *r = &list->v[i];
        if (!r->managed || !cm_str_eq_c(r->type, "coder_agent"))
            continue;
        if (agents.n == AGENTS_MAX)
            return cm_err_set(err, CM_TOO_LARGE, "the template has more than %d agents",
                              AGENTS_MAX);
        struct building b = {.entry = &agents.v[agents.n++]};
        code = read_agent(a, r, &b, err);
        for (size_t j = 0; code == CM_OK && j < list->n; j++)
            code = attach(a, &list->v[j], &b, graph, err);
        if (code == CM_OK) {
            add_own_env(a, &b);
            finish(&b);
        }
    }
    if (code == CM_OK)
        code = check_unique(&agents, err);
    if (code == CM_OK)
        *ret = agents;
    return code;
}
