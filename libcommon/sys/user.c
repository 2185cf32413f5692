#include "sys/user.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>

#include "sys/child.h"

#define PASSWD_LINE_MAX ((size_t)16 * 1024)

/* name NULL: by uid. */
static enum cm_code find_in(struct cm_arena *a, FILE *f, const char *name, uid_t uid,
                            struct cm_user *ret, struct cm_err *err)
{
    struct passwd entry, *got;
    char *buf = cm_arena_alloc(a, PASSWD_LINE_MAX);
    int e;
    while ((e = fgetpwent_r(f, &entry, buf, PASSWD_LINE_MAX, &got)) == 0 || e == ERANGE) {
        if (e == ERANGE || (name ? strcmp(got->pw_name, name) != 0 : got->pw_uid != uid))
            continue;
        *ret = (struct cm_user){
            .uid = got->pw_uid,
            .gid = got->pw_gid,
            .name = got->pw_name ? got->pw_name : "",
            .home = got->pw_dir ? got->pw_dir : "",
            .shell = got->pw_shell ? got->pw_shell : "",
        };
        return CM_OK;
    }
    if (name)
        return cm_err_set(err, CM_NOT_FOUND, "there is no user %s", name);
    return cm_err_set(err, CM_NOT_FOUND, "no user has id %u", (unsigned)uid);
}

static enum cm_code find_in_file(struct cm_arena *a, const char *path, const char *name, uid_t uid,
                                 struct cm_user *ret, struct cm_err *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return cm_err_errno(err, CM_NOT_FOUND, "open %s", path);
    enum cm_code code = find_in(a, f, name, uid, ret, err);
    cm_ignore(fclose(f) != 0, "it was only read");
    return code;
}

enum cm_code cm_user_in_file(struct cm_arena *a, const char *path, uid_t uid, struct cm_user *ret,
                             struct cm_err *err)
{
    return find_in_file(a, path, NULL, uid, ret, err);
}

enum cm_code cm_user_by_name(struct cm_arena *a, const char *name, struct cm_user *ret,
                             struct cm_err *err)
{
    return find_in_file(a, "/etc/passwd", name, 0, ret, err);
}

static enum cm_code ask_getent(struct cm_arena *a, uid_t uid, struct cm_user *ret,
                               struct cm_err *err)
{
    const char *id = cm_arena_printf(a, "%u", (unsigned)uid);
    const char *argv[] = {"getent", "passwd", id, NULL};
    struct cm_child_spec spec = {.argv = argv};
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(PASSWD_LINE_MAX);
    CM_AUTOBUF struct cm_buf complaints = CM_BUF_INIT(1024);
    struct cm_child_status st;
    enum cm_code code =
        cm_child_run(&spec, CM_STR_NONE, &out, &complaints, 5 * CM_SECOND, &st, NULL, err);
    if (code != CM_OK)
        return code;
    if (st.signo || st.code || !out.len)
        return cm_err_set(err, CM_NOT_FOUND, "no user has id %u", (unsigned)uid);
    FILE *f = fmemopen(out.ptr, out.len, "r");
    if (!f)
        return cm_err_errno(err, CM_IO, "read what getent said");
    code = find_in(a, f, NULL, uid, ret, err);
    cm_ignore(fclose(f) != 0, "it was only read");
    return code;
}

enum cm_code cm_user_by_uid(struct cm_arena *a, uid_t uid, struct cm_user *ret, struct cm_err *err)
{
    if (cm_user_in_file(a, "/etc/passwd", uid, ret, err) == CM_OK)
        return CM_OK;
    if (ask_getent(a, uid, ret, err) == CM_OK)
        return CM_OK;
    return cm_err_set(err, CM_NOT_FOUND, "neither /etc/passwd nor getent knows user id %u",
                      (unsigned)uid);
}
