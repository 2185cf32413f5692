/* An event loop and the thread that runs it; timers, watched descriptors, signals, and the bridge
 * from other threads. Everything that lives on a loop is touched on its thread only; cm_loop_post
 * is the one way in.
 *
 * Callbacks never run inside the call that set them up, and after a stop or free they do not run at
 * all. */
#pragma once

#include "base/defs.h"
#include "base/err.h"
#include "base/list.h"
#include "base/time.h"

struct cm_loop;
struct event;
struct event_base;

/* Call once in main before any loop or thread is made. */
void cm_loop_global_init(void);

struct cm_loop *cm_loop_new(void);
void cm_loop_free(struct cm_loop *l); /* after its thread has ended */
CM_DEFINE_CLEANUP(cm_loop, cm_loop_free)

void cm_loop_run(struct cm_loop *l);  /* on the calling thread, until cm_loop_stop */
void cm_loop_stop(struct cm_loop *l); /* any thread */
enum cm_code cm_loop_thread_start(struct cm_loop *l, const char *name, struct cm_err *err);
void cm_loop_thread_join(struct cm_loop *l); /* stops the loop and waits for its thread */
/* One turn: handles what is ready, waits at most timeout. For tests and programs that drive the
 * loop by hand. */
void cm_loop_turn(struct cm_loop *l, cm_usec timeout);

bool cm_loop_here(
    const struct cm_loop *l); /* is this the loop's thread (or is it not running yet)? */
#define CM_ON_LOOP(l) cm_assert(cm_loop_here(l))

/* Runs fn(arg) on the loop's thread, in order of posting, never before the call has returned. Any
 * thread. What is posted and not yet run when the loop is freed is run by cm_loop_free. */
void cm_loop_post(struct cm_loop *l, void (*fn)(void *), void *arg);

/* What nobody else owns, and ends by itself or, at the latest, with the loop: cm_loop_free calls
 * end for each that is still there. Embed; on the loop's thread. */
struct cm_loop_guest {
    void (*end)(struct cm_loop_guest *g); /* removes it */
    struct cm_link link;
};
void cm_loop_guest_add(struct cm_loop *l, struct cm_loop_guest *g);
void cm_loop_guest_remove(struct cm_loop_guest *g); /* fine for one that is not there */

/* For folders loop/ and net/ only. */
struct event_base *cm_loop_base(struct cm_loop *l);

/* Timers. Embed; start again to move; stopping a stopped one is fine. */
struct cm_timer {
    struct event *ev;
    void (*fn)(void *ctx);
    void *ctx;
    cm_usec period; /* 0: once */
};
void cm_timer_init(struct cm_timer *t, struct cm_loop *l, void (*fn)(void *ctx), void *ctx);
void cm_timer_start(struct cm_timer *t, cm_usec after);
void cm_timer_every(struct cm_timer *t, cm_usec period);
void cm_timer_stop(struct cm_timer *t);
void cm_timer_done(struct cm_timer *t);

/* Watches a descriptor that somebody else owns. fn runs on each readiness until cm_watch_stop. */
struct cm_watch {
    struct event *ev, *again;
    void (*fn)(void *ctx, int fd);
    void *ctx;
};
void cm_watch_start(struct cm_watch *w, struct cm_loop *l, int fd, bool for_write,
                    void (*fn)(void *ctx, int fd), void *ctx);
/* Looks away for a while, from something that stays ready and cannot be served now. */
void cm_watch_rest(struct cm_watch *w, cm_usec d);
void cm_watch_stop(struct cm_watch *w);

/* Signals, delivered on this loop. One loop per process takes signals. */
struct cm_sigwatch {
    struct event *ev;
    void (*fn)(void *ctx, int signo);
    void *ctx;
};
void cm_sigwatch_start(struct cm_sigwatch *s, struct cm_loop *l, int signo,
                       void (*fn)(void *ctx, int signo), void *ctx);
void cm_sigwatch_stop(struct cm_sigwatch *s);
