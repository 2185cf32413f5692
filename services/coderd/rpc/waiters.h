/* Parked requests that wait for a piece of news: all are woken by it, each looks for itself. */
#pragma once

#include "app.h"

struct waiters;

/* Wakes on news of the topic. */
struct waiters *waiters_new(struct coderd *app, const char *topic);
void waiters_free(struct waiters *w);
CM_DEFINE_CLEANUP(waiters, waiters_free)
/* Any thread. token: of cm_rpc_park. */
void waiters_add(struct waiters *w, uint64_t token);
