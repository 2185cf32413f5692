/* Rows of the audit log: who did what to which thing. Written after the fact by the handler that
 * did it; a row that cannot be written is logged as an error, since the deed is done. */
#pragma once

#include "api/request.h"

struct audit_event {
    const char *action;        /* create, write, delete, start, stop, login, logout, register */
    const char *resource_type; /* user, api_key, template, template_version, workspace,
                                  workspace_build, ... */
    struct cm_uuid resource_id;
    struct cm_str target;  /* its name */
    struct cm_uuid org_id; /* nil: none */
    int status;            /* HTTP status of the answer */
    struct cm_str diff;    /* JSON object or empty */
    struct cm_str extra;   /* additional_fields, JSON object or empty */
};

void audit(struct api_req *r, const struct audit_event *e);
/* For a caller who has no session yet. */
void audit_as(struct api_req *r, struct cm_uuid actor, const struct audit_event *e);
