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
#define FOLLOWERS_REVOKED "the session that this began with has ended; sign in again"

/* Embed in such a stream, filled in before it joins. */
struct followers_member {
    /* After the loops have stopped: forget everything of the outside; the memory may go later, with
     * what holds it. */
    void (*let_go)(struct followers_member *m);
    /* On loop, where the stream lives: end it. May come again before it has left. */
    void (*revoke)(struct followers_member *m);
    struct cm_loop *loop;
    char key_id[FOLLOWERS_KEY_MAX]; /* followers_of_key; empty: of no user's key */
    struct cm_link link;            /* what follows is theirs */
    uint64_t id;
};

struct followers *followers_new(struct coderd *app);
void followers_of_key(struct followers_member *m, const struct subject *who);
/* False: the replica is stopping. Any thread. */
CM_MUST_USE bool followers_join(struct followers *all, struct followers_member *m);
void followers_leave(struct followers *all, struct followers_member *m); /* on its loop */
/* After the loops and the workers have stopped, before the hub goes: lets go of every connection;
 * what would begin later does not. */
void followers_close(struct followers *all);
void followers_free(struct followers *all); /* after the loops are freed */
