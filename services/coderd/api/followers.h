/* All streams of a replica that live on after their request: logs that are followed, forms, paths
 * of sessions. They end when the replica stops, and soon after the key that they were opened with
 * was deleted or its user suspended: a request is refused then, and so must be what began as one.
 */
#pragma once

#include "base/list.h"
#include "loop/loop.h"

struct coderd;
struct followers;
struct subject;

#define FOLLOWERS_KEY_MAX 32

/* Why one ends before its time. */
enum followers_end {
    FOLLOWERS_REVOKED,
    FOLLOWERS_STOPPING,
};
int followers_end_code(enum followers_end why); /* of a WebSocket */
const char *followers_end_text(enum followers_end why);

/* Embed in such a stream, filled in before it joins. */
struct followers_member {
    /* After the loops have stopped: forget everything of the outside; the memory may go later, with
     * what holds it. */
    void (*let_go)(struct followers_member *m);
    /* On loop, where the stream lives: end it. May come again before it has left. */
    void (*end)(struct followers_member *m, enum followers_end why);
    struct cm_loop *loop;
    bool to_the_last; /* whoever is at its other end finds another way by itself: it is not ended
                         before a stop, which does not wait for it */
    char key_id[FOLLOWERS_KEY_MAX]; /* followers_of_key; empty: of no user's key */
    struct cm_link link;            /* what follows is theirs */
    uint64_t id;
};

struct followers *followers_new(struct coderd *app);
void followers_of_key(struct followers_member *m, const struct subject *who);
/* False: the replica is stopping. Any thread. */
CM_MUST_USE bool followers_join(struct followers *all, struct followers_member *m);
void followers_leave(struct followers *all, struct followers_member *m); /* on its loop */
/* Before a stop, on the first loop: ends all, in good order, and nothing joins any more. */
void followers_drain(struct followers *all);
/* Those that a drain still waits for. Any thread. */
size_t followers_busy(struct followers *all);
/* After the loops and the workers have stopped, before the hub goes: lets go of every connection;
 * what would begin later does not. */
void followers_close(struct followers *all);
void followers_free(struct followers *all); /* after the loops are freed */
