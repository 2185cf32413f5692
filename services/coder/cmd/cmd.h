/* What commands share: the tables that cmd/all.c lists, and looking things up by the names that
 * people type. */
#pragma once

#include "api/builds.h"
#include "api/errors.h"
#include "api/files.h"
#include "api/keys.h"
#include "api/organizations.h"
#include "api/templates.h"
#include "api/users.h"
#include "api/workspaces.h"
#include "cli.h"
#include "ui/browser.h"
#include "ui/joblog.h"
#include "ui/prompt.h"
#include "ui/table.h"

/* In the order of --help. clang-format takes the list for nested calls. */
/* clang-format off */
#define COMMANDS(X) \
    X(login) X(logout) X(whoami) X(version) X(completion) X(publickey) X(tokens) X(users) \
    X(organizations) X(groups) X(features) X(templates) X(create) X(list) X(show) X(start) \
    X(stop) X(restart) X(update) X(delete) X(rename) X(favorite) X(unfavorite) X(autoupdate) \
    X(schedule) X(logs) X(state) X(config_ssh) X(ssh) X(ping) X(port_forward) X(open) X(stat) \
    X(dotfiles) X(server) X(reset_password) X(provisioner) X(reference) X(connect) X(vscodessh) \
    X(gitssh) X(gitaskpass) X(agent)
/* clang-format on */
#define COMMAND_DECLARE(name) extern const struct command command_##name;
COMMANDS(COMMAND_DECLARE)
#undef COMMAND_DECLARE

/* The organization to work in: --org by name or id, else the only one. */
CM_MUST_USE enum cm_code find_org(struct cli *cli, const struct api_organization **ret,
                                  struct cm_err *err);
/* "name", "owner/name" or an id. */
CM_MUST_USE enum cm_code find_workspace(struct cli *cli, const char *name,
                                        struct api_workspace **ret, struct cm_err *err);
CM_MUST_USE enum cm_code find_template(struct cli *cli, const struct api_organization *org,
                                       const char *name, struct api_template **ret,
                                       struct cm_err *err);

/* "name=value" at the first '='. */
CM_MUST_USE enum cm_code split_pair(struct cm_arena *a, const char *text, struct cm_str *ret_name,
                                    struct cm_str *ret_value, struct cm_err *err);

/* A JSON list under a key of an answer's body, as text for ui_json_print: "[]" when there is none.
 * key NULL: the body. */
CM_MUST_USE enum cm_code json_member(struct cli *cli, struct cm_str body, const char *key,
                                     struct cm_str *ret, struct cm_err *err);

/* The workspaces of a search. ret_json: the list as the server has sent it, for ui_json_print; or
 * NULL. */
CM_MUST_USE enum cm_code query_workspaces(struct cli *cli, const char *search,
                                          struct api_workspaces_response **ret,
                                          struct cm_str *ret_json, struct cm_err *err);

/* Prints [{"Key":<each of the body>, and what more adds}, ...]; more may be NULL. */
CM_MUST_USE enum cm_code json_rows(struct cli *cli, struct cm_str body, const char *key,
                                   const char *(*more)(void *ctx, size_t i), void *ctx,
                                   struct cm_err *err);

/* A tree of resources and agents in a frame, on stdout. */
struct resources_shown {
    const struct api_workspace_resource *resources;
    size_t n;
    enum api_workspace_transition transition; /* those of other transitions are left out */
    const char *title;                        /* NULL: none */
    struct cm_str workspace;                  /* with how to reach its agents; none: without */
    struct cm_str server_version;             /* with how its agents are; none: without */
};
void show_resources(struct cli *cli, const struct resources_shown *r);

/* Values for the parameters of a version. */
struct param_sources {
    struct cm_uuid version;
    const struct api_workspace_build_parameter *last; /* of the workspace's last build, or copied */
    size_t n_last;
    bool last_is_copy; /* copied from another workspace: immutable ones as well */
    bool is_new;       /* a new workspace: immutable parameters are to be set */
};
CM_MUST_USE enum cm_code resolve_params(struct cli *cli, const struct param_sources *from,
                                        struct api_workspace_build_parameter **ret, size_t *ret_n,
                                        struct cm_err *err);

/* Starts a build and follows it, unless no_wait. */
struct build_order {
    enum api_workspace_transition transition;
    struct cm_uuid version; /* nil: the last build's */
    const struct api_workspace_build_parameter *params;
    size_t n_params;
    bool orphan, no_wait;
    const char *reason; /* as in the API; NULL: cli */
    FILE *out;          /* where logs go; NULL: stdout */
};
CM_MUST_USE enum cm_code run_build(struct cli *cli, const struct api_workspace *ws,
                                   const struct build_order *order,
                                   struct api_workspace_build **ret, struct cm_err *err);
/* The parameters that a build had. */
CM_MUST_USE enum cm_code build_params(struct cli *cli, struct cm_uuid build,
                                      struct api_workspace_build_parameter **ret, size_t *ret_n,
                                      struct cm_err *err);
