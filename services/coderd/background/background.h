/* What a deployment does by itself: ends jobs that nobody works on, starts and stops workspaces by
 * their schedules, removes what is past its time.
 *
 * Each chore runs on a worker of any one replica at a time, by an advisory lock of its own; the
 * other replicas skip their turn. Those that keep up what a replica has in memory run on each. */
#pragma once

#include "app.h"

struct background;

/* On the first loop, which need not run yet. */
struct background *background_new(struct coderd *app);
/* After the loops have stopped, before the workers go: no chore begins any more. */
void background_stop(struct background *b);
void background_free(struct background *b); /* after the loops are freed */

/* The chores. Each does what is due now; an error means that the next turn tries again. */
typedef enum cm_code (*background_chore_fn)(struct coderd *app, struct cm_db *db,
                                            struct cm_err *err);
enum cm_code reaper_run(struct coderd *app, struct cm_db *db, struct cm_err *err);
enum cm_code scheduler_run(struct coderd *app, struct cm_db *db, struct cm_err *err);
enum cm_code purge_run(struct coderd *app, struct cm_db *db, struct cm_err *err);
