#include "tfvars.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "codec/hcl.h"
#include "codec/node.h"
#include "sys/fs.h"

#define FILE_MAX ((size_t)1 << 20)
#define VARS_MAX 1000

static bool is_json_file(struct cm_str name)
{
    return cm_str_ends(name, CM_STR(".json"));
}

static bool is_fixed_name(struct cm_str name)
{
    return cm_str_eq_c(name, "terraform.tfvars") || cm_str_eq_c(name, "terraform.tfvars.json");
}

bool tfvars_is_file(struct cm_str name)
{
    return is_fixed_name(name) || cm_str_ends(name, CM_STR(".auto.tfvars")) ||
           cm_str_ends(name, CM_STR(".auto.tfvars.json"));
}

static enum cm_code set(struct cm_arena *a, struct tfvars *vars, struct cm_str name,
                        struct cm_str value, struct cm_err *err)
{
    struct cm_str copy = cm_arena_str(a, value);
    for (size_t i = 0; i < vars->n; i++) {
        if (cm_str_eq(vars->v[i].name, name)) {
            vars->v[i].value = copy;
            return CM_OK;
        }
    }
    if (vars->n == VARS_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "more than %d values", VARS_MAX);
    if (!vars->v)
        vars->v = CM_NEW_ARRAY(a, struct tfvar, VARS_MAX);
    vars->v[vars->n++] = (struct tfvar){cm_arena_str(a, name), copy};
    return CM_OK;
}

static enum cm_code parse_json(struct cm_arena *a, struct cm_str text, struct tfvars *vars,
                               struct cm_err *err)
{
    const struct cm_json *root = NULL;
    if (cm_json_parse_whole(a, text, NULL, &root, err) != CM_OK)
        return err->code;
    if (cm_json_type(root) != CM_JSON_OBJECT)
        return cm_err_set(err, CM_INVALID, "there must be one object of names and values");
    for (size_t i = 0; i < cm_json_count(root); i++) {
        const struct cm_json *m = cm_json_at(root, i);
        CM_AUTOBUF struct cm_buf json = CM_BUF_INIT(FILE_MAX);
        struct cm_str value;
        json.wipe = true;
        if (cm_json_is_null(m))
            continue;
        if (!cm_json_scalar_text(m, &value)) {
            cm_json_write(&json, m);
            value = cm_buf_view(&json);
        }
        if (set(a, vars, cm_json_key(m), value, err) != CM_OK)
            return err->code;
    }
    return CM_OK;
}

/* One assignment; false when there is none that can be read. */
static bool take_assignment(struct cm_hcl *h, struct cm_str *ret_name, struct cm_str *ret_expr)
{
    if (!cm_hcl_take_label(h, ret_name))
        return false;
    cm_hcl_skip_space(h, true);
    return cm_hcl_take_char(h, '=') && cm_hcl_skip_expr(h, ret_expr);
}

static enum cm_code parse_hcl(struct cm_arena *a, struct cm_str text, struct tfvars *vars,
                              struct cm_err *err)
{
    struct cm_hcl h = cm_hcl_open(a, text);
    for (;;) {
        struct cm_str name = CM_STR_NONE, expr, value = CM_STR_NONE;
        CM_AUTOBUF struct cm_buf json = CM_BUF_INIT(FILE_MAX);
        bool is_string = false;
        json.wipe = true;
        cm_hcl_skip_space(&h, false);
        if (h.p == h.end)
            return CM_OK;
        if (!take_assignment(&h, &name, &expr))
            return cm_err_set(err, CM_INVALID, "name = value is expected in each line%s%.*s",
                              name.len ? ", unlike at " : "", CM_STR_ARG(name));
        if (!cm_hcl_constant(a, expr, &json, &value, &is_string))
            return cm_err_set(err, CM_INVALID, "the value of \"%.*s\" is not a constant",
                              CM_STR_ARG(name));
        if (!is_string)
            value = cm_buf_view(&json);
        if (!is_string && cm_str_eq_c(value, "null"))
            continue;
        if (set(a, vars, name, value, err) != CM_OK)
            return err->code;
    }
}

enum cm_code tfvars_parse(struct cm_arena *a, struct cm_str text, bool is_json, struct tfvars *vars,
                          struct cm_err *err)
{
    return is_json ? parse_json(a, text, vars, err) : parse_hcl(a, text, vars, err);
}

static enum cm_code read_file(struct cm_arena *a, const char *dir, const char *name,
                              struct tfvars *vars, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(FILE_MAX);
    text.wipe = true;
    if (cm_fs_read(cm_fs_join(a, dir, name), &text, err) != CM_OK ||
        tfvars_parse(a, cm_buf_view(&text), is_json_file(cm_str(name)), vars, err) != CM_OK)
        return cm_err_wrap(err, "read %s", name);
    return CM_OK;
}

enum cm_code tfvars_read(struct cm_arena *a, const char *dir, struct tfvars *ret,
                         struct cm_err *err)
{
    struct tfvars vars = {0};
    struct dirent **names = NULL;
    enum cm_code code = CM_OK;
    int n = scandir(dir, &names, NULL, alphasort);
    if (n < 0)
        return cm_err_errno(err, errno == ENOENT ? CM_NOT_FOUND : CM_IO, "read folder %s", dir);
    /* The two fixed names first; in both passes the order of names is terraform's. */
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n && code == CM_OK; i++) {
            struct cm_str name = cm_str(names[i]->d_name);
            if (tfvars_is_file(name) && is_fixed_name(name) == (pass == 0))
                code = read_file(a, dir, names[i]->d_name, &vars, err);
        }
    }
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    if (code == CM_OK)
        *ret = vars;
    return code;
}
