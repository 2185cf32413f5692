/* JSON bodies. The input is a shape's name, a space and the text; an unknown name means the free
 * tree. What decodes must encode to something that decodes to the same again. */
#include <stdint.h>
#include <stdlib.h>

#include "api/all.h"
#include "codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_again(struct cm_arena *a, const struct cm_message *msg, void *v)
{
    CM_AUTOBUF struct cm_buf once = CM_BUF_INIT(64 << 20), twice = CM_BUF_INIT(64 << 20);
    void *w = NULL;
    struct cm_err err;

    cm_json_encode(&once, msg, v);
    cm_assert(!once.failed);
    cm_assert(cm_json_decode_answer(msg, a, cm_buf_view(&once), &w, &err) == CM_OK);
    cm_json_encode(&twice, msg, w);
    cm_assert(cm_str_eq(cm_buf_view(&once), cm_buf_view(&twice)));
}

/* Every getter on every value; types must agree with what the getters say. */
static void walk(const struct cm_json *n)
{
    struct cm_str s = cm_json_str(n);
    int64_t i;
    double d;

    cm_assert(cm_json_scalar_text(n, &s) ==
              (cm_json_count(n) == 0 && cm_json_type(n) != CM_JSON_ARRAY &&
               cm_json_type(n) != CM_JSON_OBJECT));
    cm_assert(!cm_json_to_i64(n, &i) || (cm_json_to_f64(n, &d) && cm_json_i64(n) == i));
    cm_assert(!cm_json_bool(n) || cm_json_type(n) == CM_JSON_BOOL);
    cm_assert(*cm_json_type_name(cm_json_type(n)) && cm_json_at(n, cm_json_count(n)) == NULL);
    for (size_t k = 0; k < cm_json_count(n); k++) {
        const struct cm_json *item = cm_json_at(n, k);
        cm_assert(cm_json_type(n) == CM_JSON_ARRAY || cm_json_get(n, cm_json_key(item).ptr));
        walk(item);
    }
}

static void free_tree(struct cm_arena *a, struct cm_str text)
{
    CM_AUTOBUF struct cm_buf once = CM_BUF_INIT(64 << 20), twice = CM_BUF_INIT(64 << 20);
    const struct cm_json *n = NULL;
    struct cm_err err;

    if (cm_json_parse(a, text, NULL, &n, &err) != CM_OK)
        return;
    walk(n);
    cm_json_write(&once, n);
    cm_assert(cm_json_parse(a, cm_buf_view(&once), &cm_json_file_limits, &n, &err) == CM_OK);
    cm_json_write(&twice, n);
    cm_assert(cm_str_eq(cm_buf_view(&once), cm_buf_view(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_violations vs;
    struct cm_err err;
    void *v = NULL;

    struct cm_str schema, text = cm_str_split(cm_str_n(data, size), ' ', &schema);
    const struct cm_message *msg = NULL;
    for (size_t i = 0; i < api_n_listings && !msg; i++)
        msg = cm_str_eq_c(schema, api_listings[i].schema) ? api_listings[i].msg : NULL;
    if (!msg) {
        free_tree(a, text);
        return 0;
    }
    if (cm_json_decode(msg, a, text, &v, &vs, &err) == CM_OK)
        same_again(a, msg, v);
    if (cm_json_decode_answer(msg, a, text, &v, &err) == CM_OK)
        same_again(a, msg, v);
    return 0;
}
