#include "terraform/varfile.h"

static bool is_text_type(struct cm_str type)
{
    return type.len == 0 || cm_str_eq_c(type, "string") || cm_str_eq_c(type, "number") ||
           cm_str_eq_c(type, "bool");
}

static void put_string(struct cm_buf *out, const char *s)
{
    cm_buf_char(out, '"');
    for (; *s; s++) {
        if (*s == '\n')
            cm_buf_cstr(out, "\\n");
        else if (*s == '\r')
            cm_buf_cstr(out, "\\r");
        else if (*s == '"' || *s == '\\')
            cm_buf_printf(out, "\\%c", *s);
        else if ((*s == '$' || *s == '%') && s[1] == '{')
            cm_buf_printf(out, "%c%c", *s, *s);
        else
            cm_buf_char(out, *s);
    }
    cm_buf_char(out, '"');
}

void tf_varfile_format(const struct tf_variables *declared, PB(Pair) *const *values, size_t n,
                       struct cm_buf *out, size_t *ret_unknown)
{
    *ret_unknown = 0;
    for (size_t i = 0; i < n; i++) {
        const char *value = values[i]->value ? values[i]->value : "";
        const struct tf_variable *v = tf_variables_find(declared, cm_str(values[i]->name));
        if (!v) {
            ++*ret_unknown;
            continue;
        }
        cm_buf_printf(out, "%s = ", values[i]->name);
        /* In brackets an expression may go over several lines. */
        if (is_text_type(v->type))
            put_string(out, value);
        else
            cm_buf_printf(out, "(%s\n)", value);
        cm_buf_char(out, '\n');
    }
}
