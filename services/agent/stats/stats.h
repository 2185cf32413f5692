/* What the agent counts, and its report every few minutes. */
#pragma once

#include "context.h"

/* Kept up to date by whoever counts. */
struct agent_counters {
    int64_t connections;                  /* open now */
    int64_t rx_bytes, tx_bytes;           /* since the start of the process */
    int64_t ssh, vscode, jetbrains, ptys; /* sessions open now */
    double median_latency_ms;             /* below 0: not known */
};

struct stats;
struct stats *stats_new(const struct agent_context *ctx, const struct agent_counters *counters);
void stats_free(struct stats *s);
void stats_start(struct stats *s); /* the first report is blank and asks for the interval */
