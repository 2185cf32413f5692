#include "codec/copy.h"

static void copy_str(struct cm_str *s, struct cm_arena *a)
{
    if (s->ptr)
        *s = cm_arena_str(a, *s);
}

/* The array behind a list or map, whose pointer stands at `at`. */
static void copy_array(const struct cm_field *f, void *at, size_t n, struct cm_arena *a)
{
    void **ptr = at;
    if (!*ptr)
        return;
    if (f->msg) {
        *ptr = n ? cm_message_copy(f->msg, *ptr, n, a) : cm_arena_alloc(a, 1);
        return;
    }
    size_t size = cm_field_element_size(f);
    void *to = cm_arena_array(a, n, size);
    if (n)
        memcpy(to, *ptr, n * size);
    *ptr = to;
    switch ((enum cm_field_type)f->type) {
    case CM_FT_STR:
    case CM_FT_RAW:
    case CM_FT_BYTES:
        for (size_t i = 0; i < n; i++)
            copy_str(&((struct cm_str *)to)[i], a);
        break;
    case CM_FT_MAP:
        for (size_t i = 0; i < n; i++) {
            copy_str(&((struct cm_pair *)to)[i].key, a);
            copy_str(&((struct cm_pair *)to)[i].value, a);
        }
        break;
    case CM_FT_UUID:
    case CM_FT_TIME:
    case CM_FT_I64:
    case CM_FT_F64:
    case CM_FT_BOOL:
    case CM_FT_ENUM:
    case CM_FT_MSG:
    case CM_FT_UNSET:
        break;
    }
}

static void copy_field(const struct cm_field *f, char *base, struct cm_arena *a)
{
    void *at = base + f->offset;
    if (f->n_offset) {
        copy_array(f, at, *(const size_t *)(const void *)(base + f->n_offset), a);
        return;
    }
    if (f->type == CM_FT_STR || f->type == CM_FT_RAW || f->type == CM_FT_BYTES)
        copy_str(at, a);
    else if (f->type == CM_FT_MSG && *(void **)at)
        *(void **)at = cm_message_copy(f->msg, *(void **)at, 1, a);
}

void *cm_message_copy(const struct cm_message *m, const void *src, size_t n, struct cm_arena *a)
{
    if (!n)
        return NULL;
    char *to = cm_arena_array(a, n, m->size);
    memcpy(to, src, n * m->size);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < m->n_fields; k++)
            copy_field(&m->fields[k], to + i * m->size, a);
    }
    return to;
}
