#include "terraform/variables.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "codec/node.h"
#include "sys/fs.h"
#include "codec/hcl.h"

#define FILE_MAX  ((size_t)4 << 20)
#define VALUE_MAX ((size_t)256 << 10)

/* The known one of that name, or a new one; NULL when there are too many. */
static struct tf_variable *add(struct cm_arena *a, struct tf_variables *list, struct cm_str name)
{
    for (size_t i = 0; i < list->n; i++) {
        if (cm_str_eq(list->v[i].name, name))
            return &list->v[i];
    }
    if (list->n >= TF_VARIABLES_MAX)
        return NULL;
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 16;
        struct tf_variable *v = CM_NEW_ARRAY(a, struct tf_variable, cap);
        if (list->n > 0)
            memcpy(v, list->v, list->n * sizeof *v);
        list->v = v;
        list->cap = cap;
    }
    list->v[list->n] = (struct tf_variable){.name = cm_arena_str(a, name)};
    return &list->v[list->n++];
}

const struct tf_variable *tf_variables_find(const struct tf_variables *list, struct cm_str name)
{
    for (size_t i = 0; i < list->n; i++) {
        if (cm_str_eq(list->v[i].name, name))
            return &list->v[i];
    }
    return NULL;
}

static void set_default(struct cm_arena *a, struct tf_variable *v, struct cm_str expr)
{
    CM_AUTOBUF struct cm_buf json = CM_BUF_INIT(VALUE_MAX);
    struct cm_str text = CM_STR_NONE;
    bool is_string = false;
    v->has_default = true;
    if (!cm_hcl_constant(a, expr, &json, &text, &is_string))
        text = expr; /* an expression: shown as it is written */
    else if (!is_string)
        text = cm_buf_view(&json);
    if (!is_string && cm_str_eq_c(text, "null"))
        text = CM_STR_NONE;
    v->default_value = cm_arena_str(a, text);
}

static void set_member(struct cm_arena *a, struct tf_variable *v, struct cm_str name,
                       struct cm_str expr)
{
    CM_AUTOBUF struct cm_buf json = CM_BUF_INIT(VALUE_MAX);
    struct cm_str text = CM_STR_NONE;
    bool is_string = false;
    if (cm_str_eq_c(name, "default")) {
        set_default(a, v, expr);
    } else if (cm_str_eq_c(name, "sensitive")) {
        v->sensitive = cm_str_eq_c(expr, "true");
    } else if (cm_str_eq_c(name, "type")) {
        /* Quoted in templates of old. */
        bool quoted = cm_hcl_constant(a, expr, &json, &text, &is_string) && is_string;
        v->type = cm_arena_str(a, quoted ? text : expr);
    } else if (cm_str_eq_c(name, "description")) {
        if (cm_hcl_constant(a, expr, &json, &text, &is_string) && is_string)
            v->description = cm_arena_str(a, text);
    }
}

/* The body of a variable block, behind its brace. */
static bool scan_variable(struct cm_hcl *h, struct tf_variable *v)
{
    for (;;) {
        struct cm_str name, expr;
        cm_hcl_skip_space(h, false);
        if (cm_hcl_take_char(h, '}'))
            return true;
        if (!cm_hcl_take_name(h, &name))
            return false;
        cm_hcl_skip_space(h, true);
        if (cm_hcl_take_char(h, '=')) {
            if (!cm_hcl_skip_expr(h, &expr))
                return false;
            set_member(h->arena, v, name, expr);
        } else if (!cm_hcl_take_char(h, '{') || !cm_hcl_skip_body(h)) {
            return false; /* only validation blocks may stand here */
        }
    }
}

/* One item at the top of a file. */
static bool scan_item(struct cm_hcl *h, struct tf_variables *list)
{
    struct cm_str type, label = CM_STR_NONE, expr;
    unsigned labels = 0;
    if (!cm_hcl_take_name(h, &type))
        return false;
    cm_hcl_skip_space(h, true);
    if (cm_hcl_take_char(h, '='))
        return cm_hcl_skip_expr(h, &expr);
    while (!cm_hcl_take_char(h, '{')) {
        if (!cm_hcl_take_label(h, &label))
            return false;
        labels++;
        cm_hcl_skip_space(h, true);
    }
    if (!cm_str_eq_c(type, "variable") || labels != 1)
        return cm_hcl_skip_body(h);
    struct tf_variable *v = add(h->arena, list, label);
    return v && scan_variable(h, v);
}

static void json_variable(struct cm_arena *a, struct tf_variables *list,
                          const struct cm_json *member)
{
    struct tf_variable *v = add(a, list, cm_json_key(member));
    const struct cm_json *def = cm_json_get(member, "default");
    if (!v)
        return;
    v->type = cm_json_get(member, "type") ? cm_json_str(cm_json_get(member, "type")) : v->type;
    v->description = cm_json_get(member, "description")
                         ? cm_json_str(cm_json_get(member, "description"))
                         : v->description;
    v->sensitive = v->sensitive || cm_json_bool(cm_json_get(member, "sensitive"));
    if (def) {
        CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(VALUE_MAX);
        v->has_default = true;
        if (cm_json_type(def) == CM_JSON_STRING)
            cm_buf_str(&b, cm_json_str(def));
        else if (!cm_json_is_null(def))
            cm_json_write(&b, def);
        v->default_value = cm_arena_str(a, cm_buf_view(&b));
    }
}

static void scan_json(struct cm_arena *a, struct cm_str text, struct tf_variables *list)
{
    const struct cm_json *root = NULL;
    if (cm_json_parse(a, text, &cm_json_body_limits, &root, NULL) != CM_OK)
        return;
    const struct cm_json *vars = cm_json_get(root, "variable");
    /* terraform takes one object or a list of them. */
    bool is_list = cm_json_type(vars) == CM_JSON_ARRAY;
    size_t groups = is_list ? cm_json_count(vars) : 1;
    for (size_t g = 0; g < groups; g++) {
        const struct cm_json *group = is_list ? cm_json_at(vars, g) : vars;
        if (cm_json_type(group) != CM_JSON_OBJECT)
            continue;
        for (size_t i = 0; i < cm_json_count(group); i++)
            json_variable(a, list, cm_json_at(group, i));
    }
}

enum cm_code tf_variables_scan(struct cm_arena *a, struct cm_str text, bool is_json, bool override,
                               struct tf_variables *list, struct cm_err *err)
{
    struct tf_variables before = *list;
    struct cm_hcl h = cm_hcl_open(a, text);
    if (is_json) {
        scan_json(a, text, list);
    } else {
        for (;;) {
            cm_hcl_skip_space(&h, false);
            if (h.p == h.end || !scan_item(&h, list))
                break; /* terraform says what is wrong with the file */
        }
    }
    if (list->n >= TF_VARIABLES_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "the template declares %d variables or more",
                          TF_VARIABLES_MAX);
    if (override)
        list->n = before.n; /* an override file declares nothing new */
    return CM_OK;
}

static bool is_override(struct cm_str stem)
{
    return cm_str_eq_c(stem, "override") || cm_str_ends(stem, CM_STR("_override"));
}

/* The name without .tf or .tf.json; false for any other file. */
static bool is_config(const char *name, struct cm_str *ret_stem, bool *ret_json)
{
    struct cm_str s = cm_str(name);
    if (s.len == 0 || s.ptr[0] == '.' || s.ptr[0] == '#' || s.ptr[s.len - 1] == '~')
        return false;
    *ret_json = cm_str_ends(s, CM_STR(".tf.json"));
    if (!*ret_json && !cm_str_ends(s, CM_STR(".tf")))
        return false;
    *ret_stem = cm_str_sub(s, 0, s.len - (*ret_json ? 8 : 3));
    return true;
}

static enum cm_code scan_file(struct cm_arena *a, const char *dir, const char *name,
                              bool want_override, struct tf_variables *list, struct cm_err *err)
{
    struct cm_str stem;
    bool is_json;
    if (!is_config(name, &stem, &is_json) || is_override(stem) != want_override)
        return CM_OK;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(FILE_MAX);
    enum cm_code code = cm_fs_read(cm_fs_join(a, dir, name), &text, err);
    if (code != CM_OK)
        return code;
    /* The scanner's results point into the text. */
    struct cm_str copy = cm_arena_str(a, cm_buf_view(&text));
    return tf_variables_scan(a, copy, is_json, want_override, list, err);
}

enum cm_code tf_variables_read(struct cm_arena *a, const char *dir, struct tf_variables *ret,
                               struct cm_err *err)
{
    struct tf_variables list = {0};
    struct dirent **names = NULL;
    enum cm_code code = CM_OK;
    int n = scandir(dir, &names, NULL, alphasort);
    if (n < 0)
        return cm_err_errno(err, CM_IO, "read %s", dir);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n && code == CM_OK; i++)
            code = scan_file(a, dir, names[i]->d_name, pass == 1, &list, err);
    }
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    if (code == CM_OK)
        *ret = list;
    return code;
}
