/* Tables as text: --help and the reference page. */
#include "conf/conf.h"

#define WIDTH  80
#define INDENT 10

static const char *type_name(const struct cm_opt *o)
{
    if (o->value)
        return o->value;
    switch (o->type) {
    case CM_OPT_STR:
        return "string";
    case CM_OPT_BOOL:
        return "bool";
    case CM_OPT_INT:
        return "int";
    case CM_OPT_DURATION:
        return "duration";
    case CM_OPT_LIST:
        return "string-array";
    case CM_OPT_CHOICE:
    case CM_OPT_CHOICES:
    case CM_OPT_UNSET:
        break;
    }
    return "";
}

static void type_text(struct cm_buf *out, const struct cm_opt *o)
{
    if (!o->value && (o->type == CM_OPT_CHOICE || o->type == CM_OPT_CHOICES))
        cm_buf_printf(out, "[%s]", o->choices);
    else
        cm_buf_cstr(out, type_name(o));
}

static bool has_default(const struct cm_opt *o)
{
    return o->def && *o->def && !(o->type == CM_OPT_BOOL && strcmp(o->def, "false") == 0);
}

/* Wraps at spaces; lines begin at the indent. */
static void wrapped(struct cm_buf *out, struct cm_str text, size_t indent)
{
    size_t column = 0;
    while (text.len) {
        struct cm_str word;
        text = cm_str_split(text, ' ', &word);
        if (column && column + 1 + word.len > WIDTH) {
            cm_buf_char(out, '\n');
            column = 0;
        }
        if (!column) {
            cm_buf_printf(out, "%*s", (int)indent, "");
            column = indent;
        } else {
            cm_buf_char(out, ' ');
            column++;
        }
        cm_buf_str(out, word);
        column += word.len;
    }
    cm_buf_char(out, '\n');
}

static void help_row(struct cm_buf *out, const struct cm_opt *o)
{
    char env[CM_OPT_ENV_MAX];

    if (o->shorthand)
        cm_buf_printf(out, "  -%c, --%s ", o->shorthand, o->flag);
    else
        cm_buf_printf(out, "      --%s ", o->flag);
    type_text(out, o);
    if (*cm_opt_env(o, env))
        cm_buf_printf(out, ", $%s", env);
    if (has_default(o))
        cm_buf_printf(out, " (default: %s)", o->def);
    cm_buf_char(out, '\n');
    wrapped(out, cm_str(o->help), INDENT);
    if (o->deprecated)
        cm_buf_printf(out, "%*sDEPRECATED: Use %s instead.\n", INDENT, "", o->deprecated);
    cm_buf_char(out, '\n');
}

void cm_conf_help(struct cm_buf *out, const struct cm_opt *opts, size_t n, unsigned exclude)
{
    const char *group = NULL;

    for (size_t i = 0; i < n; i++) {
        if (opts[i].flags & exclude || !opts[i].flag)
            continue;
        if (opts[i].group && (!group || strcmp(group, opts[i].group) != 0)) {
            group = opts[i].group;
            cm_buf_printf(out, "%s OPTIONS:\n", group);
        }
        help_row(out, &opts[i]);
    }
}

void cm_conf_markdown(struct cm_buf *out, const struct cm_opt *opts, size_t n)
{
    char env[CM_OPT_ENV_MAX];

    for (size_t i = 0; i < n; i++) {
        const struct cm_opt *o = &opts[i];
        if (o->flags & CM_OPT_HIDDEN || !o->flag)
            continue;
        cm_buf_cstr(out, "### ");
        if (o->shorthand)
            cm_buf_printf(out, "-%c, ", o->shorthand);
        cm_buf_printf(out, "--%s\n\n| | |\n|---|---|\n| Type | `", o->flag);
        CM_AUTOBUF struct cm_buf type = CM_BUF_INIT(4096);
        type_text(&type, o);
        for (size_t k = 0; k < type.len; k++) {
            if (type.ptr[k] == '|')
                cm_buf_char(out, '\\');
            cm_buf_char(out, type.ptr[k]);
        }
        cm_buf_cstr(out, "` |\n");
        if (*cm_opt_env(o, env))
            cm_buf_printf(out, "| Environment | `$%s` |\n", env);
        if (o->yaml)
            cm_buf_printf(out, "| YAML | `%s` |\n", o->yaml);
        if (has_default(o))
            cm_buf_printf(out, "| Default | `%s` |\n", o->def);
        cm_buf_printf(out, "\n%s\n\n", o->help);
        if (o->deprecated)
            cm_buf_printf(out, "Deprecated: use `%s` instead.\n\n", o->deprecated);
    }
}
