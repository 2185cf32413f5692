/* A ProxyCommand for tests: starts the agent's SSH child on one end of a socket pair and hands the
 * other end to ssh (ProxyUseFdpass), so that a real OpenSSH client talks to the child and nothing
 * else stands between.
 *
 * usage: agent-ssh-peer AGENT [name=value ...]
 *   directory= motd= banner= block=files|local|remote timeout-ms= env:NAME=VALUE coder:NAME=VALUE
 * path-first= seed=N events=FILE  stay, and write the child's events to FILE */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent_child.pb-c.h"
#include "base/defs.h"
#include "base/str.h"
#include "sys/child.h"
#include "sys/fd.h"

struct peer {
    Coder__Agent__V1__SshChildConfig cfg;
    Coder__Agent__V1__CommandEnvironment env;
    Coder__Agent__V1__Variable vars[2][32];
    Coder__Agent__V1__Variable *list[2][32];
    char *banners[8];
    uint8_t seed[32];
    const char *events;
};

static void add_variable(struct peer *p, int which, size_t *count, char *text)
{
    char *eq = strchr(text, '=');
    if (!eq || *count == CM_COUNT_OF(p->list[0]))
        return;
    *eq = '\0';
    Coder__Agent__V1__Variable *v = &p->vars[which][*count];
    coder__agent__v1__variable__init(v);
    v->name = text;
    v->value = eq + 1;
    p->list[which][(*count)++] = v;
}

static bool value_of(char *arg, const char *name, char **ret)
{
    size_t n = strlen(name);
    if (strncmp(arg, name, n) != 0)
        return false;
    *ret = arg + n;
    return true;
}

static void parse(struct peer *p, int argc, char **argv)
{
    char *v;
    coder__agent__v1__ssh_child_config__init(&p->cfg);
    coder__agent__v1__command_environment__init(&p->env);
    p->cfg.environment = &p->env;
    p->cfg.host_key_seed = (ProtobufCBinaryData){.len = sizeof(p->seed), .data = p->seed};
    p->env.coder = p->list[0];
    p->env.manifest = p->list[1];
    p->cfg.banners = p->banners;
    for (int i = 0; i < argc; i++) {
        if (value_of(argv[i], "directory=", &v))
            p->env.directory = v;
        else if (value_of(argv[i], "path-first=", &v))
            p->env.path_first = v;
        else if (value_of(argv[i], "motd=", &v))
            p->cfg.motd_file = v;
        else if (value_of(argv[i], "banner=", &v) && p->cfg.n_banners < CM_COUNT_OF(p->banners))
            p->banners[p->cfg.n_banners++] = v;
        else if (strcmp(argv[i], "block=files") == 0)
            p->cfg.block_file_transfer = p->cfg.has_block_file_transfer = true;
        else if (strcmp(argv[i], "block=local") == 0)
            p->cfg.block_local_forward = p->cfg.has_block_local_forward = true;
        else if (strcmp(argv[i], "block=remote") == 0)
            p->cfg.block_remote_forward = p->cfg.has_block_remote_forward = true;
        else if (value_of(argv[i], "timeout-ms=", &v)) {
            p->cfg.has_max_timeout_us = true;
            p->cfg.max_timeout_us = strtol(v, NULL, 10) * 1000;
        } else if (value_of(argv[i], "coder:", &v))
            add_variable(p, 0, &p->env.n_coder, v);
        else if (value_of(argv[i], "env:", &v))
            add_variable(p, 1, &p->env.n_manifest, v);
        else if (value_of(argv[i], "seed=", &v))
            memset(p->seed, (int)strtol(v, NULL, 10), sizeof(p->seed));
        else if (value_of(argv[i], "events=", &v))
            p->events = v;
    }
}

static int pass_fd(int over, int fd)
{
    char byte = 0;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } u = {{0}};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    return sendmsg(over, &msg, 0) < 0;
}

static void write_events(int fd, const char *path)
{
    FILE *f = fopen(path, "w");
    uint8_t frame[1024];
    uint32_t be;
    while (f && recv(fd, &be, 4, MSG_WAITALL) == 4) {
        uint32_t n = ntohl(be);
        if (n > sizeof(frame) || recv(fd, frame, n, MSG_WAITALL) != (ssize_t)n)
            break;
        Coder__Agent__V1__SshChildEvent *e =
            coder__agent__v1__ssh_child_event__unpack(NULL, n, frame);
        if (!e)
            break;
        fprintf(f, "%s session=%u type=%s pty=%d exit=%d\n", e->kind == 1 ? "begin" : "end",
                e->session, e->type, e->pty, e->exit_code);
        fflush(f);
        coder__agent__v1__ssh_child_event__free_unpacked(e, NULL);
    }
    if (f)
        fclose(f);
}

int main(int argc, char **argv)
{
    struct peer p = {.events = NULL};
    if (argc < 2)
        return 2;
    parse(&p, argc - 2, argv + 2);
    int stream[2], control[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0)
        return 3;
    const char *child_argv[] = {argv[1], "ssh-session", NULL};
    struct cm_child_spec spec = {
        .argv = child_argv,
        .std = {[2] = {.kind = CM_CHILD_INHERIT}},
        .extra = {{.fd = stream[1], .child_fd = 3}, {.fd = control[1], .child_fd = 4}},
        .extra_count = 2,
        .new_session = true,
    };
    struct cm_child *child = NULL;
    struct cm_err err;
    if (cm_child_start(&spec, &child, &err) != CM_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 4;
    }
    close(stream[1]);
    close(control[1]);
    size_t n = coder__agent__v1__ssh_child_config__get_packed_size(&p.cfg);
    uint8_t *packed = malloc(n + 4);
    uint32_t be = htonl((uint32_t)n);
    memcpy(packed, &be, 4);
    coder__agent__v1__ssh_child_config__pack(&p.cfg, packed + 4);
    if (cm_fd_write_all(control[0], packed, n + 4, &err) != CM_OK)
        return 5;
    free(packed);
    if (pass_fd(STDOUT_FILENO, stream[0]))
        return 6;
    close(stream[0]);
    close(STDOUT_FILENO);
    if (p.events && fork() == 0) /* ssh waits for the end of this process */
        write_events(control[0], p.events);
    cm_child_detach(child);
    return 0;
}
