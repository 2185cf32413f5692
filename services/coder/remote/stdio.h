/* Raw SSH bytes between an agent and standard input and output, for OpenSSH's ProxyCommand. */
#pragma once

#include "remote/report.h"

/* Until either side ends. spec's pump is set here. */
CM_MUST_USE enum cm_code remote_stdio(struct cli *cli, struct remote_link *link,
                                      struct report_spec *spec, struct cm_err *err);
