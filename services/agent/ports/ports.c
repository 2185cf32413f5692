#include "ports/ports.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/enc.h"
#include "sys/fs.h"

#define TCP_LISTEN   0x0a
#define PROC_NET_MAX ((size_t)4 * 1024 * 1024)
#define PROCESSES    20000

static struct cm_str next_word(struct cm_str *line)
{
    *line = cm_str_trim(*line);
    struct cm_str word;
    *line = cm_str_split(*line, ' ', &word);
    return word;
}

/* Of a line "sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode ...": the port
 * and the inode of a socket that listens. */
static bool parse_line(struct cm_str line, uint16_t *port, uint64_t *inode)
{
    struct cm_str words[10];
    for (size_t i = 0; i < CM_COUNT_OF(words); i++)
        words[i] = next_word(&line);
    uint8_t state, be[2];
    ptrdiff_t colon = cm_str_find(words[1], ':');
    int64_t n;
    if (colon < 0 || !cm_hex_decode(words[3], &state, 1) || state != TCP_LISTEN ||
        !cm_hex_decode(cm_str_sub(words[1], (size_t)colon + 1, words[1].len), be, 2) ||
        !cm_str_to_i64(words[9], &n))
        return false;
    *port = (uint16_t)(be[0] << 8 | be[1]);
    *inode = (uint64_t)n;
    return true;
}

size_t listening_ports_parse(struct cm_str text, struct listening_port *out, uint64_t *inodes,
                             size_t max)
{
    size_t n = 0;
    struct cm_str line;
    text = cm_str_split(text, '\n', &line); /* headings */
    while (text.len && n < max) {
        uint16_t port;
        uint64_t inode;
        text = cm_str_split(text, '\n', &line);
        if (!parse_line(line, &port, &inode) || port < PORT_MIN)
            continue;
        size_t at = 0;
        while (at < n && out[at].port < port)
            at++;
        if (at < n && out[at].port == port)
            continue;
        memmove(out + at + 1, out + at, (n - at) * sizeof(*out));
        if (inodes)
            memmove(inodes + at + 1, inodes + at, (n - at) * sizeof(*inodes));
        out[at] = (struct listening_port){.port = port};
        if (inodes)
            inodes[at] = inode;
        n++;
    }
    return n;
}

static void name_sockets_of(const char *pid, struct listening_port *ports, const uint64_t *inodes,
                            size_t n)
{
    char path[64], link[64], target[64];
    snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
    DIR *d = opendir(path);
    if (!d)
        return;
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        snprintf(link, sizeof(link), "/proc/%.16s/fd/%.16s", pid, e->d_name);
        ssize_t len = readlink(link, target, sizeof(target) - 1);
        struct cm_str t = cm_str_n(target, len > 0 ? (size_t)len : 0);
        int64_t inode;
        if (!cm_str_starts(t, CM_STR("socket:[")) ||
            !cm_str_to_i64(cm_str_sub(t, 8, t.len - 9), &inode))
            continue;
        for (size_t i = 0; i < n; i++) {
            if (inodes[i] != (uint64_t)inode || ports[i].process[0])
                continue;
            CM_AUTOBUF struct cm_buf comm = CM_BUF_INIT(sizeof(ports[i].process));
            snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
            if (cm_fs_read(path, &comm, NULL) == CM_OK)
                snprintf(ports[i].process, sizeof(ports[i].process), "%.*s",
                         CM_STR_ARG(cm_str_trim(cm_buf_view(&comm))));
        }
    }
    closedir(d);
}

enum cm_code ports_list(struct listening_port *out, size_t max, size_t *ret_n, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(PROC_NET_MAX);
    enum cm_code code = cm_fs_read("/proc/net/tcp", &text, err);
    if (code != CM_OK)
        return code;
    max = CM_MIN(max, (size_t)PORTS_MAX);
    uint64_t *inodes = cm_xcalloc(max, sizeof(*inodes));
    size_t n = listening_ports_parse(cm_buf_view(&text), out, inodes, max);
    DIR *d = n ? opendir("/proc") : NULL;
    const struct dirent *e;
    for (int seen = 0; d && seen < PROCESSES && (e = readdir(d)) != NULL; seen++)
        if (isdigit((unsigned char)e->d_name[0]))
            name_sockets_of(e->d_name, out, inodes, n);
    if (d)
        closedir(d);
    cm_free(inodes);
    *ret_n = n;
    return CM_OK;
}
