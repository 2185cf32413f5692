#include "priority.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "obs/log.h"
#include "sys/fs.h"

#define OOM_FILE "/proc/self/oom_score_adj"
#define OOM_OWN  "-900"

int priority_child_oom(int own)
{
    if (own < 0)
        return 0;
    return own >= 998 ? 1000 : 998;
}

int priority_child_nice(int own)
{
    return CM_MIN(own + 5, 19);
}

static int read_oom(void)
{
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(64);
    int64_t v = 0;
    if (cm_fs_read(OOM_FILE, &b, NULL) != CM_OK || !cm_str_to_i64(cm_str_trim(cm_buf_view(&b)), &v))
        return 0;
    return (int)v;
}

static bool lower_own_oom(void)
{
    CM_AUTOFD int fd = open(OOM_FILE, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, OOM_OWN, strlen(OOM_OWN)) > 0;
}

static int override(const char *text, int value, int min, int max, const char *name)
{
    int64_t v;
    if (!*text)
        return value;
    if (cm_str_to_i64(cm_str(text), &v) && v >= min && v <= max)
        return (int)v;
    CM_WARN("a priority is not a number in its range and was ignored", CM_F_CSTR(option, name));
    return value;
}

struct priority priority_setup(const struct agent_options *opt)
{
    int oom = read_oom();
    errno = 0;
    int nice = getpriority(PRIO_PROCESS, 0);
    bool lowered = oom > -900 && lower_own_oom();
    struct priority p = {.set = lowered, .nice = nice, .oom_score_adj = oom};
    if (*opt->prio_mgmt) {
        p.set = true;
        p.nice =
            override(opt->nice_score, priority_child_nice(nice), -20, 19, "CODER_PROC_NICE_SCORE");
        p.oom_score_adj =
            override(opt->oom_score, priority_child_oom(oom), -1000, 1000, "CODER_PROC_OOM_SCORE");
    }
    return p;
}
