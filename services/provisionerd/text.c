#include "text.h"

#include "base/enc.h"

static const void *member_at(const void *array, size_t i, size_t size)
{
    return (const char *)array + i * size;
}

static void put_string(struct cm_buf *out, const char *s)
{
    cm_buf_char(out, '"');
    for (; s && *s; s++) {
        if (*s == '\n')
            cm_buf_cstr(out, "\\n");
        else if (*s == '"' || *s == '\\')
            cm_buf_printf(out, "\\%c", *s);
        else
            cm_buf_char(out, *s);
    }
    cm_buf_char(out, '"');
}

static void put_value(struct cm_buf *out, const ProtobufCFieldDescriptor *f, const void *v,
                      unsigned indent)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE: {
        cm_buf_cstr(out, " {\n");
        message_text(out, *(const ProtobufCMessage *const *)v, indent + 1);
        cm_buf_printf(out, "%*s}", (int)indent * 2, "");
        return;
    }
    case PROTOBUF_C_TYPE_STRING:
        cm_buf_cstr(out, ": ");
        put_string(out, *(char *const *)v);
        return;
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *d = v;
        cm_buf_cstr(out, ": ");
        cm_hex_encode(out, d->data, d->len);
        return;
    }
    case PROTOBUF_C_TYPE_ENUM: {
        const ProtobufCEnumValue *e =
            protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int *)v);
        cm_buf_printf(out, ": %s", e ? e->name : "?");
        return;
    }
    case PROTOBUF_C_TYPE_BOOL:
        cm_buf_cstr(out, *(const protobuf_c_boolean *)v ? ": true" : ": false");
        return;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        cm_buf_printf(out, ": %d", *(const int32_t *)v);
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        cm_buf_printf(out, ": %u", *(const uint32_t *)v);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        cm_buf_printf(out, ": %lld", (long long)*(const int64_t *)v);
        return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        cm_buf_printf(out, ": %llu", (unsigned long long)*(const uint64_t *)v);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
        cm_buf_printf(out, ": %g", (double)*(const float *)v);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        cm_buf_printf(out, ": %g", *(const double *)v);
        return;
    }
}

static size_t element_size(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    }
    return 0;
}

static bool is_set(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f, const void *v)
{
    if (f->type == PROTOBUF_C_TYPE_MESSAGE || f->type == PROTOBUF_C_TYPE_STRING)
        return *(void *const *)v != NULL;
    if (f->label == PROTOBUF_C_LABEL_REQUIRED)
        return true;
    return *(const protobuf_c_boolean *)((const char *)msg + f->quantifier_offset);
}

void message_text(struct cm_buf *out, const ProtobufCMessage *msg, unsigned indent)
{
    const ProtobufCMessageDescriptor *d = msg->descriptor;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        const void *v = (const char *)msg + f->offset;
        size_t n = 1;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            n = *(const size_t *)((const char *)msg + f->quantifier_offset);
            v = *(const void *const *)v;
        } else if (!is_set(msg, f, v)) {
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            cm_buf_printf(out, "%*s%s", (int)indent * 2, "", f->name);
            put_value(out, f, member_at(v, k, element_size(f)), indent);
            cm_buf_char(out, '\n');
        }
    }
}
