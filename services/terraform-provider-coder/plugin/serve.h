/* The life of a plugin process: handshake, one connection, answers until it ends. */
#pragma once

#include "base/err.h"

/* vars is the environment, borrowed. CM_OK after an orderly end; CM_DENIED when no plugin host
 * started us. */
CM_MUST_USE enum cm_code serve_run(const char *const *vars, struct cm_err *err);
