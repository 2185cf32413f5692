/* coder_agent: the program that runs inside a workspace and speaks for it. */
#include "base/buf.h"
#include "schema/checks.h"
#include "schema/gourl.h"
#include "schema/types.h"

#define PERCENT_MAX 100

static void check_dir(const struct check *c, const struct value *v)
{
    static const char *const harmless[] = {"", "$HOME", "~"};
    for (size_t i = 0; i < CM_COUNT_OF(harmless); i++)
        if (cm_str_eq_c(v->str, harmless[i]))
            return;
    call_warning(c->call, c->path,
                 "A working directory set for the agent holds for every session in it");
    call_warning(c->call, c->path,
                 "Set the directory where it is needed instead, for example with cd in a "
                 "script or as the folder that an app opens");
}

static void check_volume_path(const struct check *c, const struct value *v)
{
    if (!v->str.len)
        check_fail(c, "volume path must not be empty");
    else if (v->str.ptr[0] != '/')
        check_fail(c, "volume path must be an absolute path");
}

static const struct field display_apps_fields[] = {
    {.name = "vscode",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Show the VS Code Desktop button.",
     .dflt = DEFAULT_BOOL(true)},
    {.name = "vscode_insiders",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Show the VS Code Insiders button.",
     .dflt = DEFAULT_BOOL(false)},
    {.name = "web_terminal",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Show the web terminal button.",
     .dflt = DEFAULT_BOOL(true)},
    {.name = "port_forwarding_helper",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Show the port forwarding button.",
     .dflt = DEFAULT_BOOL(true)},
    {.name = "ssh_helper",
     .kind = FIELD_BOOL,
     .flags = F_OPTIONAL,
     .about = "Show the SSH button.",
     .dflt = DEFAULT_BOOL(true)},
};
static const struct block display_apps = BLOCK_OF(display_apps_fields);

static const struct field metadata_fields[] = {
    {.name = "key",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Name of the item, unique within the agent."},
    {.name = "script",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Script whose output is the item's value."},
    {.name = "interval",
     .kind = FIELD_INT,
     .flags = F_REQUIRED,
     .about = "Seconds between two runs of the script."},
    {.name = "display_name",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Name that users see."},
    {.name = "timeout",
     .kind = FIELD_INT,
     .flags = F_OPTIONAL,
     .about = "Seconds that a run may take."},
    {.name = "order",
     .kind = FIELD_INT,
     .flags = F_OPTIONAL,
     .about = "Place among the items; lower comes first."},
};
static const struct block metadata = BLOCK_OF(metadata_fields);

static const struct field memory_fields[] = {
    {.name = "enabled",
     .kind = FIELD_BOOL,
     .flags = F_REQUIRED,
     .about = "Whether memory is watched."},
    {.name = "threshold",
     .kind = FIELD_INT,
     .flags = F_REQUIRED,
     .about = "Percentage in use that raises a notification.",
     .check = check_range,
     .max = PERCENT_MAX},
};
static const struct block memory = BLOCK_OF(memory_fields);

static const struct field volume_fields[] = {
    {.name = "path",
     .kind = FIELD_STRING,
     .flags = F_REQUIRED,
     .about = "Where the volume is mounted.",
     .check = check_volume_path},
    {.name = "enabled",
     .kind = FIELD_BOOL,
     .flags = F_REQUIRED,
     .about = "Whether the volume is watched."},
    {.name = "threshold",
     .kind = FIELD_INT,
     .flags = F_REQUIRED,
     .about = "Percentage in use that raises a notification.",
     .check = check_range,
     .max = PERCENT_MAX},
};
static const struct block volume = BLOCK_OF(volume_fields);

static const struct field monitoring_fields[] = {
    {.name = "memory",
     .kind = FIELD_SET,
     .flags = F_OPTIONAL,
     .about = "Watch the memory.",
     .block = &memory,
     .max_items = 1},
    {.name = "volume",
     .kind = FIELD_SET,
     .flags = F_OPTIONAL,
     .about = "Watch a volume.",
     .block = &volume},
};
static const struct block monitoring = BLOCK_OF(monitoring_fields);

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {
        .name = "os",
        .kind = FIELD_STRING,
        .flags = F_REQUIRED,
        .about = "Operating system of the workspace.",
        .check = check_one_of,
        .words = WORDS("linux", "darwin", "windows"),
    },
    {
        .name = "arch",
        .kind = FIELD_STRING,
        .flags = F_REQUIRED,
        .about = "Processor architecture of the workspace.",
        .check = check_one_of,
        .words = WORDS("amd64", "armv7", "arm64"),
    },
    {
        .name = "auth",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "How the agent proves who it is.",
        .dflt = DEFAULT_STR("token"),
        .check = check_one_of,
        .words = WORDS("token", "google-instance-identity", "aws-instance-identity",
                       "azure-instance-identity"),
    },
    {
        .name = "api_key_scope",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "What the agent's API key may read.",
        .dflt = DEFAULT_STR("all"),
        .check = check_one_of,
        .words = WORDS("all", "no_user_data"),
    },
    {
        .name = "dir",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Working directory of sessions.",
        .check = check_dir,
        .deprecated = "Set the directory in scripts and apps instead.",
    },
    {.name = "env",
     .kind = FIELD_MAP,
     .flags = F_OPTIONAL,
     .about = "Environment of everything the agent starts."},
    {.name = "startup_script",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Script to run when the agent starts."},
    {.name = "shutdown_script",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Script to run before the workspace stops."},
    {
        .name = "startup_script_behavior",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "Whether logins wait for the startup script.",
        .dflt = DEFAULT_STR("non-blocking"),
        .check = check_one_of,
        .words = WORDS("blocking", "non-blocking"),
    },
    {
        .name = "connection_timeout",
        .kind = FIELD_INT,
        .flags = F_OPTIONAL,
        .about = "Seconds until an agent that has not connected is reported; 0 is never.",
        .dflt = DEFAULT_INT(120),
        .check = check_at_least,
    },
    {.name = "troubleshooting_url",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "Page to show when the agent does not connect."},
    {.name = "motd_file",
     .kind = FIELD_STRING,
     .flags = F_OPTIONAL,
     .about = "File in the workspace to show at login."},
    {.name = "order",
     .kind = FIELD_INT,
     .flags = F_OPTIONAL,
     .about = "Place among the workspace's agents; lower comes first."},
    {.name = "init_script",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Script that starts the agent."},
    {.name = "token",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED | F_SENSITIVE,
     .about = "Secret of the agent, for CODER_AGENT_TOKEN."},
    {.name = "metadata",
     .kind = FIELD_LIST,
     .flags = F_OPTIONAL,
     .about = "Values to show beside the workspace.",
     .block = &metadata},
    {.name = "display_apps",
     .kind = FIELD_SET,
     .flags = F_OPTIONAL | F_COMPUTED,
     .about = "Built-in buttons to show.",
     .block = &display_apps,
     .max_items = 1},
    {.name = "resources_monitoring",
     .kind = FIELD_SET,
     .flags = F_OPTIONAL,
     .about = "Notifications on memory and disk use.",
     .block = &monitoring,
     .max_items = 1},
};

static void check_unique(struct call *c, const struct value *blocks, const char *key,
                         const char *what)
{
    for (size_t i = 0; i < value_count(blocks); i++) {
        const struct value *a = value_get(&blocks->list.items[i], key);
        for (size_t k = 0; k < i; k++) {
            const struct value *b = value_get(&blocks->list.items[k], key);
            if (a->kind == VALUE_STRING && value_equal(a, b)) {
                struct cm_str quoted = call_quote(c, a->str);
                call_error(c, PATH_ROOT, "%s %.*s", what, CM_STR_ARG(quoted));
                return;
            }
        }
    }
}

static void agent_check_plan(struct call *c, const struct value *planned)
{
    check_unique(c, value_get(planned, "metadata"), "key", "duplicate agent metadata key");
    const struct value *watch = value_get(planned, "resources_monitoring");
    if (watch->kind != VALUE_LIST || watch->list.n == 0)
        return;
    const struct value *mem = value_get(&watch->list.items[0], "memory");
    const struct value *volumes = value_get(&watch->list.items[0], "volume");
    if (mem->kind == VALUE_LIST && volumes->kind == VALUE_LIST &&
        mem->list.n + volumes->list.n == 0)
        call_error(c, PATH_ROOT, "resources_monitoring must define at least one monitor");
    check_unique(c, volumes, "path", "duplicate volume path");
}

static void replace_all(struct cm_buf *out, struct cm_str text, const struct cm_str marks[2],
                        const struct cm_str values[2])
{
    while (text.len) {
        size_t hit = 2;
        for (size_t i = 0; i < 2 && hit == 2; i++)
            if (cm_str_starts(text, marks[i]))
                hit = i;
        if (hit < 2) {
            cm_buf_str(out, values[hit]);
            text = cm_str_sub(text, marks[hit].len, text.len);
        } else {
            cm_buf_char(out, text.ptr[0]);
            text = cm_str_sub(text, 1, text.len);
        }
    }
}

/* A URL may occur many times in a script; a template that grows past this is refused. */
#define INIT_SCRIPT_MAX ((size_t)4 << 20)

static struct value init_script(struct call *c, const struct value *state)
{
    const char *name =
        cm_arena_printf(c->arena, "CODER_AGENT_SCRIPT_%.*s_%.*s",
                        CM_STR_ARG(value_str(state, "os")), CM_STR_ARG(value_str(state, "arch")));
    struct cm_str template = call_env(c, name, NULL), why;
    struct gourl u;
    if (!template.len)
        return value_of_str(CM_STR(""));
    if (!gourl_parse(c, c->access_url, &u, &why)) {
        call_error(c, PATH_ROOT, "the provider's url is not valid: %.*s", CM_STR_ARG(why));
        return value_of_str(CM_STR(""));
    }
    const struct cm_str marks[2] = {CM_STR("${ACCESS_URL}"), CM_STR("${AUTH_TYPE}")};
    const struct cm_str values[2] = {gourl_root(c, &u), value_str(state, "auth")};
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(INIT_SCRIPT_MAX);
    replace_all(&b, template, marks, values);
    if (b.failed)
        call_error(c, PATH_ROOT, "the agent's init script is larger than %zu bytes",
                   INIT_SCRIPT_MAX);
    return value_of_str(cm_arena_str(c->arena, cm_buf_view(&b)));
}

/* A workspace claimed from a prebuild keeps its agent running, which then must keep its token too.
 * The variable's name has the hash of an agent id, and an agent under construction has the empty
 * one. */
static struct value agent_token(struct call *c)
{
    struct cm_str hash = call_sha256(c, CM_STR(""));
    const char *name =
        cm_arena_printf(c->arena, "CODER_RUNNING_WORKSPACE_AGENT_TOKEN_%.*s", CM_STR_ARG(hash));
    struct cm_str token = call_env(c, name, NULL);
    return token.len ? value_of_str(token) : call_new_uuid(c);
}

static void agent_refresh(struct call *c, struct value *state)
{
    value_set(state, "token", agent_token(c));
    value_set(state, "init_script", init_script(c, state));
    const struct value *apps = value_get(state, "display_apps");
    if (value_is_set(apps) && value_count(apps) > 0)
        return;
    struct value all = value_list_new(c->arena, 1);
    all.list.items[0] = value_map_new(c->arena, display_apps.n);
    for (size_t i = 0; i < display_apps.n; i++)
        all.list.items[0].map.entries[i] =
            (struct value_entry){cm_str(display_apps_fields[i].name), display_apps_fields[i].dflt};
    value_set(state, "display_apps", all);
}

static void agent_create(struct call *c, struct value *state)
{
    value_set(state, "id", call_new_uuid(c));
    agent_refresh(c, state);
}

const struct type resource_agent = {
    .name = "coder_agent",
    .about = "The agent of a workspace.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .check_plan = agent_check_plan,
    .create = agent_create,
    .refresh = agent_refresh,
};
