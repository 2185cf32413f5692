/* The workspace's scripts: those of a stage all at once, those with a schedule when it says so.
 * Their output goes to a file and to coderd, and each run's times are reported. */
#pragma once

#include "context.h"
#include "logs/logs.h"

enum script_stage { STAGE_START, STAGE_STOP, STAGE_CRON };

enum stage_outcome {
    STAGE_OK,
    STAGE_ERROR,
    STAGE_TIMEOUT, /* at least one ran into its limit: more telling than another's error */
};

struct scripts;

struct scripts *scripts_new(const struct agent_context *ctx, struct logs *logs);
/* Kills what still runs. */
void scripts_free(struct scripts *s);

/* Runs the manifest's scripts of STAGE_START or STAGE_STOP; done tells when the last has ended,
 * never inside this call. One stage at a time. */
void scripts_run_stage(struct scripts *s, enum script_stage stage,
                       void (*done)(void *ctx, enum stage_outcome outcome), void *ctx);
/* Begins with the schedules, of the manifest as it is now. */
void scripts_start_cron(struct scripts *s);
void scripts_stop_cron(struct scripts *s);
