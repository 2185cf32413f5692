/* What the server (accepting, draining), its connections (conn.c), their bodies (body.c) and
 * answers (answer.c) share. Private to net/http. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <http_parser.h>

#include "base/buf.h"
#include "net/http/server.h"

#define HEAD_TIMEOUT     (20 * CM_SECOND)
#define IDLE_TIMEOUT     (75 * CM_SECOND)
#define MOVE_TIMEOUT     (30 * CM_SECOND)
#define LINGER_TIMEOUT   (2 * CM_SECOND)
#define BODY_MAX_DEFAULT ((uint64_t)1024 * 1024)
/* Of a server that drains: how long a connection that waits for its next request must have been
 * silent to be closed; the least of it, in which what is in the kernel already gets here; and how
 * long a request may make a pause in the middle. */
#define DRAIN_SILENCE (100 * CM_MSEC)
#define DRAIN_GLANCE  (5 * CM_MSEC)
#define DRAIN_PAUSE   CM_SECOND
/* How long no connection is accepted once there are no descriptors left. */
#define ACCEPT_PAUSE (CM_SECOND / 4)
/* What the bodies of all requests of a server may take at once. */
#define BODIES_MEMORY_MAX ((size_t)512 * 1024 * 1024)
#define BODIES_DISK_MAX   ((size_t)4 * 1024 * 1024 * 1024)

struct evconnlistener;

/* Shared by the server and by requests, which may outlive it. */
struct http_budget {
    atomic_size_t memory, disk;
    atomic_int refs;
};

/* On its way to one of the loops. */
struct http_drainer {
    struct cm_http_server *server; /* NULL: it is gone */
    struct cm_loop *loop;
};

struct cm_http_server {
    struct cm_http_server_config cfg;
    struct evconnlistener *listener;
    uint16_t port;
    size_t next_loop;
    atomic_size_t n_conns;
    atomic_size_t n_busy; /* those that a drain waits for, and its drainers */
    atomic_bool draining;
    struct http_budget *budget;
    struct cm_timer accept_again;
    pthread_mutex_t lock; /* guards conns: connections of all loops; and drainers */
    struct cm_link conns;
    struct http_drainer **drainers; /* one for each loop, until it has run */
};

enum conn_state {
    CONN_HEAD,   /* waiting for, or in, a request head */
    CONN_BODY,   /* head known, body arriving */
    CONN_ANSWER, /* the application has the request */
    CONN_LINGER, /* answered for the last time; draining what the peer still sends */
    CONN_CLOSED,
};

struct cm_http_conn {
    struct cm_http_server *server;
    struct cm_loop *loop;
    struct cm_stream *stream;
    struct cm_link link;
    struct cm_timer timer;
    enum conn_state state;
    struct cm_http_req *req; /* the one being read or answered */
    http_parser parser;
    struct cm_buf body;
    struct http_charge *charge; /* of the request, in its arena */
    struct cm_str head_text;    /* in the request's arena */
    size_t scanned;             /* bytes of input known to hold no end of head */
    size_t unsent_seen;
    cm_usec since; /* monotonic; CONN_HEAD: it waits for a request */
    int spool_errno;
    bool busy; /* one of n_busy */
    bool head_started, complete, too_large, too_busy, held, handling, keep_alive;
    char peer[48];
};

/* conn.c; on the connection's loop. */
/* A connection on its way to its loop. */
struct http_accepted {
    struct cm_http_server *server;
    struct cm_loop *loop;
    int fd;
    char peer[48];
};
/* Posted to that loop; takes the struct http_accepted, allocated, and its descriptor. */
void http_conn_start(void *accepted);
/* Gives it that long; less when the server drains. */
void http_conn_arm(struct cm_http_conn *c, cm_usec d);
/* The server has begun to drain: how much longer it may wait for a request, or the rest of one. */
void http_conn_drain(struct cm_http_conn *c, cm_usec now);
void http_conn_close(struct cm_http_conn *c);
void http_next_request(struct cm_http_conn *c);
/* A drain waits for it no longer. */
void http_not_busy(struct cm_http_conn *c);

/* body.c */
/* The application wants the body. False when the connection has been answered. */
bool http_body_begin(struct cm_http_conn *c);
/* Takes what has arrived of it, and hands the request over when it is whole. */
void http_body_read(struct cm_http_conn *c);
void http_budget_unref(struct http_budget *b);

/* answer.c */
void http_req_free(struct cm_http_req *r);
/* Answers {"message": text} on behalf of the server itself and ends the connection. */
void http_answer_error(struct cm_http_conn *c, int status, const char *text);
