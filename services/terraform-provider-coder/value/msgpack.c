/* msgpack-c's streaming template with callbacks of our own, rather than its object API: that one
 * allocates whatever count an array header claims before a single element has been read. Here a
 * container's count is charged against the bytes of the message, so memory stays proportional to
 * what was really sent. */
#include "value/msgpack.h"

#include <assert.h>
#include <msgpack.h>
#include <msgpack/unpack_define.h>
#include <string.h>

struct decoder {
    struct cm_arena *arena;
    size_t budget;   /* elements that the rest of the message could at most hold */
    const char *why; /* set when a callback refuses */
};

static int refuse(struct decoder *d, const char *why)
{
    d->why = why;
    return -1;
}

#define msgpack_unpack_struct(name)    struct unpack##name
#define msgpack_unpack_func(ret, name) static CM_UNUSED ret unpack##name
#define msgpack_unpack_callback(name)  on##name
#define msgpack_unpack_object          struct value
#define msgpack_unpack_user            struct decoder

static struct value on_root(struct decoder *d CM_UNUSED)
{
    return VALUE_NONE;
}

static int on_uint64(struct decoder *d, uint64_t n, struct value *out)
{
    if (n > INT64_MAX) {
        struct cm_str text = cm_arena_fmt(d->arena, "%llu", (unsigned long long)n);
        *out = (struct value){.kind = VALUE_DECIMAL, .str = text};
    } else {
        *out = value_of_int((int64_t)n);
    }
    return 0;
}

static int on_int64(struct decoder *d CM_UNUSED, int64_t n, struct value *out)
{
    *out = value_of_int(n);
    return 0;
}

#define on_uint8  on_uint64
#define on_uint16 on_uint64
#define on_uint32 on_uint64
#define on_int8   on_int64
#define on_int16  on_int64
#define on_int32  on_int64

static int on_double(struct decoder *d CM_UNUSED, double n, struct value *out)
{
    *out = (struct value){.kind = VALUE_FLOAT, .real = n};
    return 0;
}

#define on_float on_double

static int on_nil(struct decoder *d CM_UNUSED, struct value *out)
{
    *out = VALUE_NONE;
    return 0;
}

static int on_true(struct decoder *d CM_UNUSED, struct value *out)
{
    *out = value_of_bool(true);
    return 0;
}

static int on_false(struct decoder *d CM_UNUSED, struct value *out)
{
    *out = value_of_bool(false);
    return 0;
}

static int charge(struct decoder *d, size_t elements)
{
    if (elements > d->budget)
        return refuse(d, "a container claims more elements than the message has bytes");
    d->budget -= elements;
    return 0;
}

/* While a container fills, its n counts what has arrived. */
static int on_array(struct decoder *d, unsigned int n, struct value *out)
{
    if (charge(d, n) < 0)
        return -1;
    *out = value_list_new(d->arena, n);
    out->list.n = 0;
    return 0;
}

static int on_array_item(struct decoder *d CM_UNUSED, struct value *list, struct value item)
{
    list->list.items[list->list.n++] = item;
    return 0;
}

static int on_map(struct decoder *d, unsigned int n, struct value *out)
{
    if (charge(d, (size_t)n * 2) < 0)
        return -1;
    *out = value_map_new(d->arena, n);
    out->map.n = 0;
    return 0;
}

static int on_map_item(struct decoder *d, struct value *map, struct value key, struct value item)
{
    if (key.kind != VALUE_STRING)
        return refuse(d, "a map key is not a string");
    map->map.entries[map->map.n++] = (struct value_entry){.key = key.str, .value = item};
    return 0;
}

static int on_str(struct decoder *d, const char *base CM_UNUSED, const char *p, unsigned int n,
                  struct value *out)
{
    struct cm_str s = n ? cm_str_n(p, n) : CM_STR("");
    if (!cm_str_is_utf8(s))
        return refuse(d, "a string is not UTF-8");
    *out = value_of_str(s);
    return 0;
}

#define on_bin on_str

/* p is the type byte, then the body; n counts both and is 0 when the length overflowed. */
static int on_ext(struct decoder *d, const char *base CM_UNUSED, const char *p, unsigned int n,
                  struct value *out)
{
    if (n == 0)
        return refuse(d, "an extension is too long");
    *out = (struct value){.kind = VALUE_UNKNOWN, .str = cm_str_n(p, n)};
    return 0;
}

#include <msgpack/unpack_template.h>

enum cm_code value_decode(struct cm_arena *a, struct cm_str bytes, struct value *ret,
                          struct cm_err *err)
{
    if (bytes.len == 0) {
        *ret = VALUE_NONE;
        return CM_OK;
    }
    if (bytes.len > MSGPACK_MAX_BYTES)
        return cm_err_set(err, CM_TOO_LARGE, "a value has %zu bytes, at most %zu are taken",
                          bytes.len, MSGPACK_MAX_BYTES);
    struct unpack_context ctx = {.user = {.arena = a, .budget = bytes.len}};
    unpack_init(&ctx);
    size_t used = 0;
    int rc = unpack_execute(&ctx, bytes.ptr, bytes.len, &used);
    if (rc < 0)
        return cm_err_set(err, CM_PROTOCOL, "bad MessagePack at byte %zu: %s", used,
                          ctx.user.why ? ctx.user.why : "no such format, or nested too deeply");
    if (rc == 0)
        return cm_err_set(err, CM_PROTOCOL, "bad MessagePack: the value ends early");
    if (used != bytes.len)
        return cm_err_set(err, CM_PROTOCOL, "bad MessagePack: %zu bytes follow the value",
                          bytes.len - used);
    *ret = unpack_data(&ctx);
    return CM_OK;
}

static int append(void *data, const char *bytes, size_t len)
{
    cm_buf_append(data, bytes, len);
    return 0;
}

static void pack_str(msgpack_packer *pk, struct cm_str s)
{
    msgpack_pack_str(pk, s.len);
    msgpack_pack_str_body(pk, s.ptr ? s.ptr : "", s.len);
}

static void pack_unknown(msgpack_packer *pk, struct cm_str raw)
{
    /* Type byte and body; the plain unknown is type 0 with one zero byte. */
    struct cm_str plain = cm_str_n("\0\0", 2);
    struct cm_str ext = raw.len ? raw : plain;
    msgpack_pack_ext(pk, ext.len - 1, (int8_t)ext.ptr[0]);
    msgpack_pack_ext_body(pk, ext.ptr + 1, ext.len - 1);
}

static void pack(msgpack_packer *pk, const struct value *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        msgpack_pack_nil(pk);
        return;
    case VALUE_UNKNOWN:
        pack_unknown(pk, v->str);
        return;
    case VALUE_BOOL:
        if (v->boolean)
            msgpack_pack_true(pk);
        else
            msgpack_pack_false(pk);
        return;
    case VALUE_INT:
        msgpack_pack_int64(pk, v->integer);
        return;
    case VALUE_FLOAT:
        msgpack_pack_double(pk, v->real);
        return;
    case VALUE_DECIMAL:
    case VALUE_STRING:
        pack_str(pk, v->str);
        return;
    case VALUE_LIST:
        msgpack_pack_array(pk, v->list.n);
        for (size_t i = 0; i < v->list.n; i++)
            pack(pk, &v->list.items[i]);
        return;
    case VALUE_MAP:
        msgpack_pack_map(pk, v->map.n);
        for (size_t i = 0; i < v->map.n; i++) {
            pack_str(pk, v->map.entries[i].key);
            pack(pk, &v->map.entries[i].value);
        }
        return;
    }
}

void value_encode(struct cm_buf *out, const struct value *v)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, append);
    pack(&pk, v);
}
