#include "terraform/cancel.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum cm_code tf_cancel_init(struct tf_cancel *c, struct cm_err *err)
{
    atomic_init(&c->level, TF_STOP_NONE);
    c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return c->event_fd < 0 ? cm_err_errno(err, CM_IO, "eventfd") : CM_OK;
}

void tf_cancel_done(struct tf_cancel *c)
{
    cm_cleanup_fd(&c->event_fd);
    c->event_fd = -1;
}

void tf_cancel_request(struct tf_cancel *c, enum tf_stop level)
{
    int now = atomic_load(&c->level);
    while (now < (int)level && !atomic_compare_exchange_weak(&c->level, &now, (int)level))
        ;
    uint64_t one = 1;
    cm_ignore(write(c->event_fd, &one, sizeof one) < 0, "a full counter is readable too");
}

enum tf_stop tf_cancel_level(struct tf_cancel *c)
{
    return (enum tf_stop)atomic_load(&c->level);
}

void tf_cancel_seen(struct tf_cancel *c)
{
    uint64_t n;
    cm_ignore(read(c->event_fd, &n, sizeof n) < 0, "nothing was asked");
}
