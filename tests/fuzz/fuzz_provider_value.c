/* Values from terraform: MessagePack to a tree and back, and the tree through the largest tables.
 */
#include "schema/conform.h"
#include "schema/plan.h"
#include "schema/types.h"
#include "schema/validate.h"
#include "value/msgpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_table(struct cm_arena *a, const struct type *t, const struct value *raw)
{
    const struct environment env = {.vars = NULL};
    struct value object, none = VALUE_NONE;
    struct call c;
    struct plan *plan = CM_NEW(a, struct plan);
    if (conform_object(a, &t->block, CONFORM_EXACT, raw, &object, NULL) == CM_OK)
        conform_zero_fill(&t->block, &object);
    if (conform_object(a, &t->block, CONFORM_LENIENT, raw, &object, NULL) != CM_OK ||
        !value_is_set(&object))
        return;
    call_init(&c, a, &env, CM_STR("https://coder.example"));
    validate_config(&c, t, &object);
    if (t->data) {
        if (value_wholly_known(&object) && !c.failed)
            plan_read(&c, t, &object);
        return;
    }
    plan_change(&c, t, &none, &object, plan);
    struct value made = plan_apply(&c, t, &none, &plan->planned);
    cm_assert(value_wholly_known(&made));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT((size_t)1 << 24);
    struct value v, again;
    if (value_decode(a, cm_str_n(data, size), &v, NULL) != CM_OK)
        return 0;
    value_encode(&out, &v);
    cm_assert(!out.failed);
    cm_assert(value_decode(a, cm_buf_view(&out), &again, NULL) == CM_OK);
    for (size_t i = 0; i < TYPES_COUNT; i++)
        run_table(a, types_all[i], &v);
    return 0;
}
