/* An RPC server with a few methods of its own, and clients to call them. The server's loop runs on
 * a thread; the clients' loop is turned by the test. */
#pragma once

#include <pthread.h>

#include <nng/nng.h>

#include "base/arena.h"
#include "loop/loop.h"
#include "net/rpc/client.h"
#include "net/rpc/front.h"
#include "net/rpc/server.h"
#include "provisioner.pb-c.h"

#define AGENT_TOKEN "fd9cd5a4-7f6c-4a0e-9a60-3a4b4f5f6a70"
#define PSK_NAME    "psk"
#define PSK_TEXT    "q8xlJ0Zb2n2uS4rTt8Qm0w=="

struct rpc_server_fixture {
    struct cm_loop *loop;
    struct cm_pool *pool;
    struct cm_rpc_server *server;
    struct cm_rpc_private private_port;
    char dir[64], path[96], url[112];
    pthread_mutex_t lock; /* guards last_id and last_address, until the answer is there */
    /* What the methods and callbacks saw and shall do; atomic. */
    unsigned echoes, hellos, checks, gone, max_at_once, at_once;
    unsigned revoked;
    uint64_t token;         /* of the request that test.Wait parked last */
    unsigned open;          /* test.Wait answers */
    struct cm_uuid last_id; /* of test.Echo's last request */
    char last_name[128], last_key[128], last_address[64];
    size_t last_tags;
    unsigned gate; /* test.Slow goes on */
};

struct server_options {
    unsigned contexts, threads;
    cm_usec ticket_life, heartbeat;
    size_t queue_max;
    unsigned caller_running, caller_waiting, caller_refused;
    uint8_t key_byte; /* of the ticket key */
};

void server_start(struct rpc_server_fixture *f,
                  const struct server_options *o); /* makes the folder when dir is empty */
void server_stop(struct rpc_server_fixture *f);
void server_drain(struct rpc_server_fixture *f);   /* soon, on its loop */
void server_cleanup(struct rpc_server_fixture *f); /* removes the folder */

/* A bare REQ socket that is let in to the private port with secret (NULL: without the header). */
nng_socket raw_dial(const struct rpc_server_fixture *f, const char *secret);

/* A client's loop and what its callbacks told. */
struct client_fixture {
    struct cm_loop *loop;
    struct cm_rpc_client *client;
    struct cm_dialer *dialer;
    unsigned ready, offline, refused;
    char err[512];
};
enum client_as { AS_BUILTIN, AS_AGENT, AS_EXTERNAL };
void client_start(struct client_fixture *f, enum client_as as, const char *url);
void client_start_psk(struct client_fixture *f, const char *url, const char *name,
                      const char *text);
void client_stop(struct client_fixture *f);

/* A server and a built-in client of it, for cmocka. */
struct rpc_pair {
    struct rpc_server_fixture s;
    struct client_fixture c;
};
int rpc_pair_setup(void **state);
int rpc_pair_teardown(void **state);

/* Turns the client's loop until *flag is at least n; fails the test after 20 s. */
void until(struct client_fixture *f, const unsigned *flag, unsigned n);

struct answer {
    unsigned done;
    enum cm_code code;
    char name[256], value[256], err[512];
    size_t value_len;
};
uint64_t call(struct client_fixture *f, const char *method, const char *name, const char *value,
              cm_usec deadline, struct answer *a);
/* The same, and waits. */
void call_now(struct client_fixture *f, const char *method, const char *name, const char *value,
              cm_usec deadline, struct answer *a);

/* A public port: accepts plain TCP, reads the upgrade's head as coderd's HTTP server would, and
 * splices. */
struct front_fixture;
struct front_fixture *front_start(struct rpc_server_fixture *server, uint16_t port);
uint16_t front_port(const struct front_fixture *f);
/* All bytes that went through, both ways: a balancer that ends TLS sees as much. Borrowed until
 * front_stop. */
struct cm_str front_capture(struct front_fixture *f);
void front_stop(struct front_fixture *f);
