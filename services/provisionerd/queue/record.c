#include "queue/record.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "obs/log.h"
#include "queue/transfer.h"
#include "runner/job.h"
#include "sys/fs.h"
#include "terraform/model.h"

#define COMPLETE_DEADLINE (5 * CM_SECOND) /* of one try */
#define RETRY_PAUSE_MS    1000
#define SCAN_PAUSE_MS     50
#define KILL_WAIT         (10 * CM_SECOND)

static enum cm_code write_message(const char *folder, const char *name, const ProtobufCMessage *m,
                                  struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_str packed;
    enum cm_code code = cm_rpc_pack(a, m, &packed, err);
    return code == CM_OK ? cm_fs_write(cm_fs_join(a, folder, name), packed, 0600, false, err)
                         : code;
}

enum cm_code record_lease(const char *folder, const PB(Lease) * lease, struct cm_err *err)
{
    return write_message(folder, "lease", &lease->base, err);
}

enum cm_code record_complete(const char *folder, const PB(CompleteRequest) * done,
                             struct cm_err *err)
{
    return write_message(folder, "complete", &done->base, err);
}

static bool read_message(struct cm_arena *a, const char *folder, const char *name,
                         const ProtobufCMessageDescriptor *d, void *ret)
{
    CM_AUTOBUF struct cm_buf packed = CM_BUF_INIT(CM_RPC_PAYLOAD_MAX);
    ProtobufCMessage *m = NULL;
    if (cm_fs_read(cm_fs_join(a, folder, name), &packed, NULL) != CM_OK ||
        cm_rpc_unpack(a, d, cm_arena_str(a, cm_buf_view(&packed)), &m, NULL) != CM_OK)
        return false;
    *(ProtobufCMessage **)ret = m;
    return true;
}

static void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

enum cm_code record_deliver(struct cm_rpc_client *client, const PB(CompleteRequest) * done,
                            const _Atomic bool *give_up, struct cm_err *err)
{
    const struct cm_rpc_call_opts opts = {.deadline = COMPLETE_DEADLINE,
                                          .request_id = cm_uuid_random()};
    for (;;) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        const void *answer = NULL;
        enum cm_code code = cm_rpc_call_wait(client, METHOD_COMPLETE, &done->base,
                                             &coder__provisioner__v1__complete_reply__descriptor,
                                             &opts, a, &answer, err);
        if (code == CM_OK || transfer_is_final(code))
            return code;
        CM_WARN("cannot hand in the result of a job yet", CM_F_ERR(err));
        if (*give_up)
            return cm_err_set(err, CM_CANCELED,
                              "the result of a job is handed in at the next start");
        pause_ms(RETRY_PAUSE_MS);
    }
}

/* Is the process's working folder inside dir? */
static bool works_in(const char *pid, const char *dir)
{
    char link[64], cwd[PATH_MAX];
    size_t n = strlen(dir);
    snprintf(link, sizeof link, "/proc/%.20s/cwd", pid);
    ssize_t len = readlink(link, cwd, sizeof cwd - 1);
    if (len < 0)
        return false;
    cwd[len] = '\0';
    return strncmp(cwd, dir, n) == 0 && (cwd[n] == '/' || cwd[n] == '\0');
}

unsigned record_signal_processes(const char *dir, int signo)
{
    CM_AUTOFREE char *real = realpath(dir, NULL);
    DIR *proc = opendir("/proc");
    struct dirent *e;
    unsigned n = 0;
    while (real && proc && (e = readdir(proc))) {
        int64_t pid;
        if (!cm_str_to_i64(cm_str(e->d_name), &pid) || pid == getpid() ||
            !works_in(e->d_name, real))
            continue;
        n++;
        if (signo)
            kill((pid_t)pid, signo);
    }
    if (proc)
        closedir(proc);
    return n;
}

static void wait_for_processes(const char *folder, cm_usec grace, const _Atomic bool *stop)
{
    cm_usec until = cm_monotonic_now() + grace;
    while (!*stop && record_signal_processes(folder, 0) > 0 && cm_monotonic_now() < until)
        pause_ms(SCAN_PAUSE_MS);
    if (*stop)
        return;
    until = cm_monotonic_now() + KILL_WAIT;
    while (record_signal_processes(folder, SIGKILL) > 0 && cm_monotonic_now() < until)
        pause_ms(SCAN_PAUSE_MS);
}

/* The state that terraform left. False when it has to be tried again. */
static bool hand_in_state(struct cm_rpc_client *client, struct cm_arena *a, const char *folder,
                          PB(Lease) * lease)
{
    CM_AUTOBUF struct cm_buf state = CM_BUF_INIT(JOB_STATE_MAX);
    struct cm_err err;
    if (cm_fs_read(cm_fs_join(a, folder, "src/terraform.tfstate"), &state, NULL) != CM_OK ||
        !tf_state_is_complete(cm_buf_view(&state)))
        return true;
    enum cm_code code = transfer_store(client, lease, PB_ENUM(STORE_REQUEST__WHAT__STATE),
                                       cm_buf_view(&state), 0, NULL, NULL, &err);
    if (code == CM_OK)
        CM_INFO("handed in the state of a job that was broken off", CM_F_INT(bytes, state.len));
    else
        CM_WARN("cannot hand in the state of a job that was broken off", CM_F_ERR(&err));
    return code == CM_OK || transfer_is_final(code);
}

/* False: the client is going away, the folder stays for the next start. */
static bool recover_job(struct cm_rpc_client *client, const char *folder, cm_usec grace,
                        const _Atomic bool *stop)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    PB(Lease) *lease = NULL;
    PB(CompleteRequest) *done = NULL, broken = PB_INIT(COMPLETE_REQUEST);
    struct cm_err err;
    wait_for_processes(folder, grace, stop);
    if (*stop)
        return false;
    if (!read_message(a, folder, "lease", &coder__provisioner__v1__lease__descriptor, &lease))
        return true;
    while (!hand_in_state(client, a, folder, lease)) {
        if (*stop)
            return false;
        pause_ms(RETRY_PAUSE_MS);
    }
    if (!read_message(a, folder, "complete", &coder__provisioner__v1__complete_request__descriptor,
                      &done)) {
        broken.lease = lease;
        broken.outcome = PB_ENUM(COMPLETE_REQUEST__OUTCOME__FAILED);
        broken.error = cm_arena_printf(
            a, "the provisioner was stopped in the middle of the job; what terraform had "
               "made until then is recorded, so start the build again");
        done = &broken;
    }
    enum cm_code code = record_deliver(client, done, stop, &err);
    if (code == CM_CANCELED)
        return false;
    if (code != CM_OK)
        CM_WARN("the server does not take the result of a job that was broken off", CM_F_ERR(&err));
    return true;
}

void record_recover(struct cm_rpc_client *client, const char *work_root, cm_usec grace,
                    const _Atomic bool *stop)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    DIR *d = opendir(work_root);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        const char *folder = cm_fs_join(a, work_root, e->d_name);
        struct cm_err err;
        if (e->d_name[0] == '.' || !cm_fs_is_dir(folder))
            continue;
        if (!recover_job(client, folder, grace, stop))
            break;
        if (cm_fs_remove_tree(folder, &err) != CM_OK)
            CM_WARN("cannot remove the folder of a job", CM_F_ERR(&err));
    }
    if (d)
        closedir(d);
}
