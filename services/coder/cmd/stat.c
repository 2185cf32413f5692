/* stat: how much of the machine or container is in use, for the metadata of templates. */
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "sys/fs.h"

#define FILE_MAX ((size_t)1 << 20)
#define SAMPLE   (100 * CM_MSEC)

struct stat_opts {
    bool host;
    const char *prefix, *path;
};

/* used of total of a unit; total below 0: without a limit. */
struct usage {
    bool known;
    double used, total;
    const char *unit;
};

static struct cm_str read_text(struct cli *cli, const char *path)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(FILE_MAX);
    if (cm_fs_read(path, &text, NULL) != CM_OK)
        return CM_STR("");
    return cm_arena_str(cli->arena, cm_buf_view(&text));
}

/* The number after a word at the beginning of a line; word "": the first of the text. */
static bool number_of(struct cm_str text, const char *word, double *ret)
{
    struct cm_str line;
    while (text.len) {
        text = cm_str_split(text, '\n', &line);
        if (!cm_str_starts(line, cm_str(word)))
            continue;
        int64_t v;
        struct cm_str rest = cm_str_trim(cm_str_sub(line, strlen(word), line.len)), first;
        cm_str_split(rest, ' ', &first);
        if (!cm_str_to_i64(first, &v))
            return false;
        *ret = (double)v;
        return true;
    }
    return false;
}

static bool in_container(struct cli *cli)
{
    static const char *const marks[] = {"docker", "kubepods", "containerd", "lxc", "podman"};
    struct cm_str mounts = read_text(cli, "/proc/self/mounts"), line;

    if (cm_fs_exists("/.dockerenv") || cm_fs_exists("/run/.containerenv"))
        return true;
    for (size_t i = 0; i < CM_COUNT_OF(marks); i++)
        if (cm_str_contains(read_text(cli, "/proc/1/cgroup"), cm_str(marks[i])))
            return true;
    while (mounts.len) {
        mounts = cm_str_split(mounts, '\n', &line);
        if (cm_str_starts(line, CM_STR("overlay / ")))
            return true;
    }
    return false;
}

/* --- processors --- */

/* Seconds of all processors that were not idle, since the start. */
static bool host_cpu_seconds(struct cli *cli, double *ret)
{
    struct cm_str rest, word;
    double ticks = 0;

    cm_str_split(read_text(cli, "/proc/stat"), '\n', &rest);
    if (!cm_str_starts(rest, CM_STR("cpu ")))
        return false;
    rest = cm_str_trim(cm_str_sub(rest, 4, rest.len));
    for (int i = 0; rest.len && i < 8; i++) {
        int64_t v = 0;
        rest = cm_str_split(rest, ' ', &word);
        if (!cm_str_to_i64(word, &v))
            return false;
        if (i != 3 && i != 4) /* idle, and waiting for disks */
            ticks += (double)v;
    }
    *ret = ticks / (double)sysconf(_SC_CLK_TCK);
    return true;
}

static bool container_cpu_seconds(struct cli *cli, double *ret)
{
    if (number_of(read_text(cli, "/sys/fs/cgroup/cpu.stat"), "usage_usec", ret)) {
        *ret /= 1e6;
        return true;
    }
    if (number_of(read_text(cli, "/sys/fs/cgroup/cpuacct/cpuacct.usage"), "", ret)) {
        *ret /= 1e9;
        return true;
    }
    return false;
}

static double container_cpu_total(struct cli *cli)
{
    struct cm_str quota,
        period = cm_str_split(read_text(cli, "/sys/fs/cgroup/cpu.max"), ' ', &quota);
    int64_t q, p;
    double q1, p1;

    if (period.ptr && cm_str_to_i64(quota, &q) && cm_str_to_i64(cm_str_trim(period), &p) && p > 0)
        return (double)q / (double)p;
    if (number_of(read_text(cli, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), "", &q1) && q1 > 0 &&
        number_of(read_text(cli, "/sys/fs/cgroup/cpu/cpu.cfs_period_us"), "", &p1) && p1 > 0)
        return q1 / p1;
    return -1;
}

static struct usage cpu(struct cli *cli, bool host)
{
    struct usage u = {.unit = "cores"};
    double before, after;
    bool (*seconds)(struct cli *, double *) = host ? host_cpu_seconds : container_cpu_seconds;

    cm_usec start = cm_monotonic_now();
    if (!seconds(cli, &before))
        return u;
    usleep((useconds_t)SAMPLE);
    if (!seconds(cli, &after))
        return u;
    cm_usec took = CM_MAX(cm_monotonic_now() - start, 1);
    u.known = true;
    u.used = CM_MAX(after - before, 0.0) * (double)CM_SECOND / (double)took;
    u.total = host ? (double)sysconf(_SC_NPROCESSORS_ONLN) : container_cpu_total(cli);
    return u;
}

/* --- memory --- */

static struct usage host_memory(struct cli *cli)
{
    struct cm_str info = read_text(cli, "/proc/meminfo");
    struct usage u = {.unit = "B"};
    double total, available;

    if (!number_of(info, "MemTotal:", &total) || !number_of(info, "MemAvailable:", &available))
        return u;
    return (struct usage){true, (total - available) * 1024, total * 1024, "B"};
}

static struct usage container_memory(struct cli *cli)
{
    struct usage u = {.unit = "B", .total = -1};
    double cache = 0;
    bool second = number_of(read_text(cli, "/sys/fs/cgroup/memory.current"), "", &u.used);

    if (!second &&
        !number_of(read_text(cli, "/sys/fs/cgroup/memory/memory.usage_in_bytes"), "", &u.used))
        return u;
    u.known = true;
    /* What the kernel would give up at once does not count. */
    if (number_of(read_text(cli, second ? "/sys/fs/cgroup/memory.stat"
                                        : "/sys/fs/cgroup/memory/memory.stat"),
                  second ? "inactive_file" : "total_inactive_file", &cache))
        u.used = CM_MAX(u.used - cache, 0.0);
    if (!number_of(read_text(cli, second ? "/sys/fs/cgroup/memory.max"
                                         : "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
                   "", &u.total) ||
        u.total > 1e18)
        u.total = -1;
    return u;
}

static struct usage disk(const char *path)
{
    struct statvfs s;
    struct usage u = {.unit = "B"};

    if (statvfs(path, &s) != 0)
        return u;
    double block = (double)s.f_frsize;
    return (struct usage){true, (double)(s.f_blocks - s.f_bfree) * block,
                          (double)s.f_blocks * block, "B"};
}

/* --- showing --- */

static const struct {
    const char *name;
    double scale;
} prefixes[] = {{"Ti", 1099511627776.0}, {"Gi", 1073741824.0}, {"Mi", 1048576.0}, {"Ki", 1024.0}};

static void put_number(struct cm_buf *out, double v)
{
    char text[64];
    snprintf(text, sizeof(text), "%.*f", v < 10 ? 2 : v < 100 ? 1 : 0, v);
    size_t n = strlen(text);
    if (strchr(text, '.'))
        while (text[n - 1] == '0' || text[n - 1] == '.')
            if (text[--n] == '.')
                break;
    cm_buf_append(out, text, n);
}

/* "1.5/4 cores (37%)", "2.1/15.6 GiB (13%)". prefix "": what fits. */
static const char *show(struct cm_arena *a, const struct usage *u, const char *prefix)
{
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(256);
    double scale = 1;

    if (!u->known)
        return "-";
    for (size_t i = 0; strcmp(u->unit, "B") == 0 && i < CM_COUNT_OF(prefixes); i++) {
        bool fits = *prefix ? strcmp(prefix, prefixes[i].name) == 0
                            : CM_MAX(u->total, u->used) >= prefixes[i].scale;
        if (!fits)
            continue;
        scale = prefixes[i].scale;
        prefix = prefixes[i].name;
        break;
    }
    put_number(&out, u->used / scale);
    if (u->total >= 0) {
        cm_buf_char(&out, '/');
        put_number(&out, u->total / scale);
    }
    cm_buf_printf(&out, " %s%s", scale > 1 ? prefix : "", u->unit);
    if (u->total > 0)
        cm_buf_printf(&out, " (%.0f%%)", u->used / u->total * 100);
    return cm_arena_cstr(a, cm_buf_view(&out));
}

static void put_json(struct cm_buf *out, const struct usage *u)
{
    if (!u->known) {
        cm_buf_cstr(out, "null");
        return;
    }
    int digits = strcmp(u->unit, "B") == 0 ? 0 : 3;
    cm_buf_cstr(out, "{\"total\":");
    if (u->total >= 0)
        cm_buf_printf(out, "%.*f", digits, u->total);
    else
        cm_buf_cstr(out, "null");
    cm_buf_printf(out, ",\"unit\":\"%s\",\"used\":%.*f}", u->unit, digits, u->used);
}

static enum cm_code print_one(struct cli *cli, const struct usage *u, struct cm_err *err)
{
    const struct stat_opts *o = cli->opts;
    CM_AUTOBUF struct cm_buf json = CM_BUF_INIT(1024);

    if (!u->known)
        return cm_err_set(err, CM_UNIMPLEMENTED, "this system does not tell");
    if (!ui_wants_json(cli)) {
        printf("%s\n", show(cli->arena, u, o->prefix ? o->prefix : ""));
        return CM_OK;
    }
    put_json(&json, u);
    ui_json_print(cm_buf_view(&json));
    return CM_OK;
}

static const char *home(void)
{
    const char *dir = cm_conf_getenv("HOME");
    return dir && *dir ? dir : "/";
}

static enum cm_code run_all(struct cli *cli, struct cm_err *err)
{
    bool container = in_container(cli);
    static const char *const keys[] = {"host_cpu", "host_memory", "home_disk", "container_cpu",
                                       "container_memory"};
    const struct usage all[CM_COUNT_OF(keys)] = {
        cpu(cli, true), host_memory(cli), disk(home()),
        container ? cpu(cli, false) : (struct usage){.known = false},
        container ? container_memory(cli) : (struct usage){.known = false}};
    CM_AUTOBUF struct cm_buf json = CM_BUF_INIT(4096);
    struct ui_table *t = ui_table_new(cli->arena, cli->command->columns);

    (void)err;
    ui_table_row(t);
    for (size_t i = 0; i < CM_COUNT_OF(keys); i++) {
        cm_buf_printf(&json, "%s\"%s\":", i ? "," : "[{", keys[i]);
        put_json(&json, &all[i]);
        ui_table_cell(t, cm_str(show(cli->arena, &all[i], "")));
    }
    cm_buf_cstr(&json, "}]");
    if (ui_wants_json(cli))
        ui_json_print(cm_buf_view(&json));
    else
        ui_table_print(t, &cli->output.columns);
    return CM_OK;
}

static enum cm_code run_cpu(struct cli *cli, struct cm_err *err)
{
    const struct stat_opts *o = cli->opts;
    bool host = o->host || !in_container(cli);
    struct usage u = cpu(cli, host);

    if (!u.known && !host) /* of a container that hides its own */
        u = cpu(cli, true);
    return print_one(cli, &u, err);
}

static enum cm_code run_mem(struct cli *cli, struct cm_err *err)
{
    const struct stat_opts *o = cli->opts;
    bool host = o->host || !in_container(cli);
    struct usage u = host ? host_memory(cli) : container_memory(cli);

    if (!u.known && !host)
        u = host_memory(cli);
    return print_one(cli, &u, err);
}

static enum cm_code run_disk(struct cli *cli, struct cm_err *err)
{
    const struct stat_opts *o = cli->opts;
    struct usage u = disk(o->path);

    if (!u.known)
        return cm_err_errno(err, CM_NOT_FOUND, "disk of %s", o->path);
    return print_one(cli, &u, err);
}

#define O(member) offsetof(struct stat_opts, member)

static const struct cm_opt cpu_opts[] = {
    {CM_OPT_BOOL, O(host), "host", .help = "Force host CPU measurement."},
};
static const struct cm_opt mem_opts[] = {
    {CM_OPT_BOOL, O(host), "host", .help = "Force host memory measurement."},
    {CM_OPT_CHOICE, O(prefix), "prefix", .choices = "Ki|Mi|Gi|Ti", .def = "Gi",
     .help = "SI Prefix for memory measurement."},
};
static const struct cm_opt disk_opts[] = {
    {CM_OPT_STR, O(path), "path", .def = "/", .help = "Path for which to check disk usage."},
    {CM_OPT_CHOICE, O(prefix), "prefix", .choices = "Ki|Mi|Gi|Ti", .def = "Gi",
     .help = "SI Prefix for disk measurement."},
};

#define ONE(name_, brief_)                                                                         \
    .name = #name_, .brief = (brief_), .opts = name_##_opts, .n_opts = CM_COUNT_OF(name_##_opts),  \
    .opts_size = sizeof(struct stat_opts), .uses = USES_OUTPUT, .outputs = "text|json",            \
    .run = run_##name_

static const struct command stat_cpu = {ONE(cpu, "Show CPU usage, in cores.")};
static const struct command stat_mem = {ONE(mem, "Show memory usage, in gigabytes.")};
static const struct command stat_disk = {ONE(disk, "Show disk usage, in gigabytes.")};
static const struct command *const subs[] = {&stat_cpu, &stat_mem, &stat_disk, NULL};

const struct command command_stat = {
    .name = "stat",
    .brief = "Show resource usage for the current workspace.",
    .uses = USES_OUTPUT,
    .outputs = "table|json",
    .columns = "host cpu|host memory|home disk|container cpu|container memory",
    .default_columns = "host cpu,host memory,home disk,container cpu,container memory",
    .sub = subs,
    .run = run_all,
};
