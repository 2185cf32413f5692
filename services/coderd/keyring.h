/* The deployment's keys in use: those that sign stream tickets and those that seal RPC tickets.
 *
 * A key is made a day before it is first used, so that by then all replicas have read it and their
 * agents know of it, and is read for a day after its last use. Any thread. */
#pragma once

#include "app.h"
#include "net/session/ticket.h"

struct keyring;

/* Reads the keys by app.start_db. */
enum cm_code keyring_new(struct coderd *app, struct keyring **ret, struct cm_err *err);
void keyring_free(struct keyring *k); /* after the workers and the loops are gone */
CM_DEFINE_CLEANUP(keyring, keyring_free)

CM_MUST_USE enum cm_code keyring_mint(struct keyring *k, const struct cm_ticket *t,
                                      struct cm_buf *out, struct cm_err *err);
/* All that verify; how many. */
size_t keyring_publics(struct keyring *k, struct cm_ticket_public out[CM_TICKET_KEYS_MAX]);

/* The chore of each replica: makes the next key when it is time, and reads all anew. When there are
 * others than before, the RPC server and the agents that are connected here get them. */
enum cm_code keyring_run(struct coderd *app, struct cm_db *db, struct cm_err *err);
