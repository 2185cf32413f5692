/* "coder server": runs the whole product on one machine. It starts an embedded PostgreSQL (unless
 * it is told of another database), coderd and built-in provisioners, restarts what crashes, passes
 * their logs on and stops them in order. */
#pragma once

#include "base/buf.h"

/* The command. argv[0] is the program; what follows are the arguments after "server". The exit
 * status. */
int server_main(int argc, char **argv);
/* All its options, for the reference page. */
void server_reference(struct cm_buf *out);
