/* News from PostgreSQL: one connection listens, whoever waits for news of a topic is woken on its
 * own loop.
 *
 * A topic is a short text such as "job_logs:<uuid>" and is the whole of a notification on the one
 * channel; notifications carry no data, so a woken subscriber reads the database. After a lost
 * connection everybody is woken, since notifications are lost with it. */
#pragma once

#include "db/db.h"
#include "loop/loop.h"

struct hub;
struct hub_sub;

#define HUB_CHANNEL   "coder"
#define HUB_TOPIC_MAX 64

enum cm_code hub_new(struct cm_loop *loop, const char *conninfo, struct hub **ret,
                     struct cm_err *err);
void hub_free(struct hub *h);
CM_DEFINE_CLEANUP(hub, hub_free)

/* fn(ctx) runs on the loop after each piece of news, several perhaps as one. From any thread;
 * cancel on that loop, after which fn does not run any more. */
struct hub_sub *hub_subscribe(struct hub *h, const char *topic, struct cm_loop *loop,
                              void (*fn)(void *ctx), void *ctx);
void hub_cancel(struct hub_sub *s); /* NULL is fine */

/* Tells everybody, on all replicas; inside a transaction at commit. The format makes the topic. */
enum cm_code hub_notify(struct cm_db *db, struct cm_err *err, const char *topic_fmt, ...)
    CM_PRINTF(3, 4);
