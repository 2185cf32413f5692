/* What a job's folder holds besides the job's files, so that a job survives the death of its
 * provisionerd at least as far as to say how it ended: its lease, and its final word once there is
 * one. And what is done with folders that were left behind. */
#pragma once

#include "base/arena.h"
#include "net/rpc/client.h"
#include "terraform/proto.h"

CM_MUST_USE enum cm_code record_lease(const char *folder, const PB(Lease) * lease,
                                      struct cm_err *err);
CM_MUST_USE enum cm_code record_complete(const char *folder, const PB(CompleteRequest) * done,
                                         struct cm_err *err);

/* Sends the final word until the server has it or refuses it. CM_CANCELED when *give_up is set
 * before. */
CM_MUST_USE enum cm_code record_deliver(struct cm_rpc_client *client,
                                        const PB(CompleteRequest) * done,
                                        const _Atomic bool *give_up, struct cm_err *err);

/* Deals with all folders in work_root: waits for a terraform that is still stopping there (its
 * supervisor gives it grace), kills what is left, hands in the state that it wrote and the final
 * word, removes the folder. Blocks as long as the server cannot be reached and *stop is not set;
 * what is not done then is left for the next start. */
void record_recover(struct cm_rpc_client *client, const char *work_root, cm_usec grace,
                    const _Atomic bool *stop);

/* Sends signo to every process whose working folder is inside dir; 0 only counts. Returns how many
 * there are. */
unsigned record_signal_processes(const char *dir, int signo);
