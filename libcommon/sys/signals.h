/* Signals by name, and what every daemon does about them. */
#pragma once

#include "base/str.h"

/* "TERM" or "SIGTERM" -> SIGTERM; 0 when unknown. */
int cm_signal_by_name(struct cm_str name);
/* SIGTERM -> "TERM"; NULL when it has none. */
const char *cm_signal_name(int signo);
/* Writing to a broken pipe becomes EPIPE. Once in main. */
void cm_signal_ignore_pipe(void);
