/* data coder_workspace: the workspace being built, as the provisioner's environment describes it.
 */
#include "schema/gourl.h"
#include "schema/types.h"

static const struct field fields[] = {
    {.name = "access_url",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "URL of the deployment."},
    {.name = "access_port",
     .kind = FIELD_INT,
     .flags = F_COMPUTED,
     .about = "Port of the deployment."},
    {.name = "prebuild_count",
     .kind = FIELD_INT,
     .flags = F_COMPUTED,
     .about = "1 in a prebuilt workspace that nobody has claimed, else 0."},
    {.name = "start_count",
     .kind = FIELD_INT,
     .flags = F_COMPUTED,
     .about =
         "1 when the workspace starts, else 0: a count for what a stopped workspace does without."},
    {.name = "transition",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "start, stop or destroy."},
    {.name = "id", .kind = FIELD_STRING, .flags = F_COMPUTED, .about = "Id of the workspace."},
    {.name = "is_prebuild",
     .kind = FIELD_BOOL,
     .flags = F_COMPUTED,
     .about = "Whether this is a prebuilt workspace that nobody has claimed."},
    {.name = "is_prebuild_claim",
     .kind = FIELD_BOOL,
     .flags = F_COMPUTED,
     .about = "Whether this build hands a prebuilt workspace to its owner."},
    {.name = "name", .kind = FIELD_STRING, .flags = F_COMPUTED, .about = "Name of the workspace."},
    {.name = "template_id",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Id of the template."},
    {.name = "template_name",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Name of the template."},
    {.name = "template_version",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Name of the template version."},
};

static bool is_true(const struct call *c, const char *variable)
{
    return cm_str_eq_nocase(call_env(c, variable, NULL), CM_STR("true"));
}

static void read_template(struct call *c, struct value *state)
{
    static const struct {
        const char *field, *variable, *missing;
    } rows[] = {
        {"template_id", "CODER_WORKSPACE_TEMPLATE_ID",
         "template ID is missing: CODER_WORKSPACE_TEMPLATE_ID is required"},
        {"template_name", "CODER_WORKSPACE_TEMPLATE_NAME",
         "template name is missing: CODER_WORKSPACE_TEMPLATE_NAME is required"},
        {"template_version", "CODER_WORKSPACE_TEMPLATE_VERSION",
         "template version is missing: CODER_WORKSPACE_TEMPLATE_VERSION is required"},
    };
    bool in_build = call_env(c, "CODER_WORKSPACE_BUILD_ID", NULL).len > 0;
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        struct cm_str text = call_env(c, rows[i].variable, NULL);
        if (in_build && !text.len) {
            call_error(c, PATH_ROOT, "%s", rows[i].missing);
            return;
        }
        value_set(state, rows[i].field, value_of_str(text));
    }
}

static void read_access_url(struct call *c, struct value *state)
{
    struct gourl u;
    struct cm_str why;
    if (!gourl_parse(c, c->access_url, &u, &why)) {
        call_error(c, PATH_ROOT, "the provider's url is not valid: %.*s", CM_STR_ARG(why));
        return;
    }
    int64_t port = cm_str_eq_c(u.scheme, "https") ? 443 : 80;
    if (u.port.len && !cm_str_to_i64(u.port, &port)) {
        call_error(c, PATH_ROOT, "the port of the provider's url is not a number: %.*s",
                   CM_STR_ARG(u.port));
        return;
    }
    value_set(state, "access_url", value_of_str(gourl_format(c, &u)));
    value_set(state, "access_port", value_of_int(port));
}

static void workspace_read(struct call *c, const struct value *config CM_UNUSED,
                           struct value *state)
{
    struct cm_str transition = call_env_or(c, "CODER_WORKSPACE_TRANSITION", "start");
    value_set(state, "transition", value_of_str(transition));
    value_set(state, "start_count", value_of_int(cm_str_eq_c(transition, "start")));

    bool claim = is_true(c, "CODER_WORKSPACE_IS_PREBUILD_CLAIM");
    bool prebuild = !claim && is_true(c, "CODER_WORKSPACE_IS_PREBUILD");
    value_set(state, "is_prebuild", value_of_bool(prebuild));
    value_set(state, "is_prebuild_claim", value_of_bool(claim));
    value_set(state, "prebuild_count", value_of_int(prebuild));

    struct cm_str id = call_env(c, "CODER_WORKSPACE_ID", NULL);
    value_set(state, "id", id.len ? value_of_str(id) : call_new_uuid(c));
    value_set(state, "name", value_of_str(call_env_or(c, "CODER_WORKSPACE_NAME", "default")));
    read_template(c, state);
    read_access_url(c, state);
}

const struct type data_workspace = {
    .name = "coder_workspace",
    .about = "The workspace that is being built.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .data = true,
    .read = workspace_read,
};
