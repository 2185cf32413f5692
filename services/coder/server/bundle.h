/* The running bundle: database, coderd, provisioners, in this order; stopped in the other one. One
 * thread, one loop. */
#pragma once

#include "server/layout.h"
#include "server/postgres.h"

/* Runs until SIGINT, SIGTERM or SIGHUP has stopped everything, or until a first start fails. pg
 * NULL: the database is elsewhere. The exit status. */
int bundle_run(const struct settings *s, const struct layout *l, const struct postgres *pg);
