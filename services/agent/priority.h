/* Who dies first when memory runs out, and who waits when the processor is busy: the workspace's
 * commands, not the agent, through which people would put things right. */
#pragma once

#include "options.h"

struct priority {
    bool set; /* children get the two below; otherwise they inherit */
    int nice, oom_score_adj;
};

/* Asks the kernel for better odds for ourselves, where we may, and says what children get. */
struct priority priority_setup(const struct agent_options *opt);
/* Of an agent that has these itself. */
int priority_child_oom(int own);
int priority_child_nice(int own);
