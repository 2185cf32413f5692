/* What a running job tells coderd: heartbeats, log lines, the state as it grows; and what coderd
 * answers: a longer lease, or that the job is to be stopped. One reporter per job.
 *
 * The job's thread puts things in, never waiting; report_main sends them from a thread of its own.
 * When coderd cannot be reached the job goes on until shortly before its lease ends, then terraform
 * is stopped, since afterwards somebody else may work on the same workspace. */
#pragma once

#include "base/arena.h"
#include "net/rpc/client.h"
#include "runner/job.h"
#include "terraform/cancel.h"
#include "terraform/proto.h"

struct report;

struct report_config {
    struct cm_rpc_client *client;
    PB(Lease) * lease;        /* borrowed; its lease_us counts from now */
    struct tf_cancel *cancel; /* borrowed */
    cm_usec heartbeat;        /* 0: 5 s */
};

CM_MUST_USE enum cm_code report_new(const struct report_config *cfg, struct report **ret,
                                    struct cm_err *err);
void report_free(struct report *r); /* after report_main has returned */
CM_DEFINE_CLEANUP(report, report_free)

/* From the job's thread. */
void report_log(struct report *r, const struct job_log_line *line);
void report_state(struct report *r, struct cm_str state);
void report_describe(struct report *r, struct cm_str readme, PB(TemplateVariable) *const *variables,
                     size_t n);
/* The job has ended: what is still to be sent is sent, and report_main returns. */
void report_finish(struct report *r);
/* Gives up what cannot be sent now: report_main returns at its next chance. */
void report_abandon(struct report *r);

/* Returns after report_finish, when all is sent, the server will not have it, or report_abandon was
 * called. */
void report_main(struct report *r);

/* After report_main: why the job was stopped, when not for a user's cancel. */
enum report_loss {
    REPORT_KEPT,    /* we hold the lease */
    REPORT_FENCED,  /* the server said that the job is not ours any more */
    REPORT_EXPIRED, /* no contact for too long */
};
enum report_loss report_lost(const struct report *r);
bool report_state_delivered(const struct report *r); /* is the last state with the server? */
