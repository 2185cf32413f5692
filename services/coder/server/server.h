/* "coder server": runs the whole product on one machine. It starts an embedded PostgreSQL (unless
 * it is told of another database), coderd and built-in provisioners, restarts what crashes, passes
 * their logs on and stops them in order. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* The command. argv[0] is the program; what follows are the arguments after "server". The exit
 * status. */
int server_main(int argc, char **argv);
/* All its options, for the reference page. */
void server_reference(struct cm_buf *out);

/* Runs coderd with these arguments, argv[0] included, for its commands that work on the database of
 * the server that uses config_dir ("": the usual one), or on another one ("": none is named). Input
 * is for secrets. out gets what it prints; when it fails, that is the error. */
CM_MUST_USE enum cm_code server_in_database(const char *config_dir, const char *postgres_url_given,
                                            const char *const *args, struct cm_str input,
                                            struct cm_buf *out, struct cm_err *err);
