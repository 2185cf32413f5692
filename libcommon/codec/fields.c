#include "codec/fields.h"

const struct cm_field *cm_message_field(const struct cm_message *m, struct cm_str name)
{
    for (size_t i = 0; i < m->n_fields; i++)
        if (m->fields[i].name_len == name.len && memcmp(m->fields[i].name, name.ptr, name.len) == 0)
            return &m->fields[i];
    return NULL;
}

bool cm_enum_parse(const struct cm_enum *en, struct cm_str text, int *ret)
{
    for (size_t i = 0; i < en->n; i++) {
        if (cm_str_eq_c(text, en->texts[i])) {
            *ret = (int)i;
            return true;
        }
    }
    return false;
}

size_t cm_field_type_size(enum cm_field_type type)
{
    switch (type) {
    case CM_FT_STR:
    case CM_FT_RAW:
    case CM_FT_BYTES:
        return sizeof(struct cm_str);
    case CM_FT_UUID:
        return sizeof(struct cm_uuid);
    case CM_FT_TIME:
        return sizeof(struct cm_time);
    case CM_FT_I64:
        return sizeof(int64_t);
    case CM_FT_F64:
        return sizeof(double);
    case CM_FT_BOOL:
        return sizeof(bool);
    case CM_FT_ENUM:
        return sizeof(int);
    case CM_FT_MAP:
        return sizeof(struct cm_pair);
    case CM_FT_MSG:
    case CM_FT_UNSET:
        break;
    }
    return 0;
}

size_t cm_field_element_size(const struct cm_field *f)
{
    cm_assert(f->type != CM_FT_UNSET);
    if (f->msg && (f->type == CM_FT_MSG || f->type == CM_FT_MAP))
        return f->msg->size;
    return cm_field_type_size((enum cm_field_type)f->type);
}
