/* The values in force as a configuration file. */
#include <stdlib.h>

#include "conf/conf.h"

#define TEXT_MAX ((size_t)64 << 10)

struct line {
    const struct cm_opt *opt;
    const void *target;
};

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->opt->yaml, ((const struct line *)b)->opt->yaml);
}

/* In double quotes, so that it is a text whatever it looks like. */
static void put_text(struct cm_buf *out, struct cm_str s)
{
    cm_buf_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20)
            cm_buf_printf(out, "\\x%02x", c);
        else if (c == '"' || c == '\\')
            cm_buf_printf(out, "\\%c", c);
        else
            cm_buf_char(out, (char)c);
    }
    cm_buf_char(out, '"');
}

static void put_value(struct cm_buf *out, const struct line *l)
{
    const void *at = (const char *)l->target + l->opt->offset;
    const struct cm_conf_list *list = at;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(TEXT_MAX);

    switch (l->opt->type) {
    case CM_OPT_LIST:
    case CM_OPT_CHOICES:
        cm_buf_char(out, '[');
        for (size_t i = 0; i < list->n; i++) {
            cm_buf_cstr(out, i ? ", " : "");
            put_text(out, cm_str(list->v[i]));
        }
        cm_buf_char(out, ']');
        return;
    case CM_OPT_BOOL:
    case CM_OPT_INT:
        cm_conf_value_text(l->opt, l->target, out);
        return;
    case CM_OPT_STR:
    case CM_OPT_CHOICE:
    case CM_OPT_DURATION:
    case CM_OPT_UNSET:
        break;
    }
    cm_conf_value_text(l->opt, l->target, &text);
    put_text(out, cm_buf_view(&text));
}

/* The mappings on the way to path that before was not in yet. The depth of the last part, which is
 * left to *ret_key. */
static int open_mappings(struct cm_buf *out, const char *before, const char *path,
                         struct cm_str *ret_key)
{
    struct cm_str rest = cm_str(path), part, old = cm_str(before), old_part;
    bool same = true;
    int depth = 0;

    for (;; depth++) {
        rest = cm_str_split(rest, '.', &part);
        if (!rest.ptr)
            break;
        old = cm_str_split(old, '.', &old_part);
        same = same && old.ptr && cm_str_eq(part, old_part);
        if (!same)
            cm_buf_printf(out, "%*s%.*s:\n", 2 * depth, "", CM_STR_ARG(part));
    }
    *ret_key = part;
    return depth;
}

void cm_conf_yaml(struct cm_buf *out, const struct cm_conf_set *sets, size_t n_sets)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    size_t n = 0, max = 0;

    for (size_t s = 0; s < n_sets; s++)
        max += sets[s].n;
    struct line *lines = CM_NEW_ARRAY(a, struct line, max + 1);
    for (size_t s = 0; s < n_sets; s++) {
        for (size_t i = 0; i < sets[s].n; i++) {
            const struct cm_opt *o = &sets[s].opts[i];
            if (o->yaml && !o->deprecated && !(o->flags & CM_OPT_SECRET))
                lines[n++] = (struct line){o, sets[s].target};
        }
    }
    qsort(lines, n, sizeof(*lines), by_path);
    for (size_t i = 0; i < n; i++) {
        struct cm_str key;
        int indent =
            2 * open_mappings(out, i ? lines[i - 1].opt->yaml : "", lines[i].opt->yaml, &key);
        cm_buf_printf(out, "%*s# %s\n%*s%.*s: ", indent, "", lines[i].opt->help, indent, "",
                      CM_STR_ARG(key));
        put_value(out, &lines[i]);
        cm_buf_char(out, '\n');
    }
}
