/* Shared by the files that fill messages. A message member is only set when terraform has a value
 * for it. */
#pragma once

#include "base/uuid.h"
#include "terraform/extract.h"

/* A growing array of message pointers, in the shape that protobuf-c wants. */
struct ptrs {
    void **v;
    size_t n, cap;
};
void ptrs_add(struct cm_arena *a, struct ptrs *p, void *item);

const struct cm_json *value_of(const struct tf_resource *r, const char *key);
/* A string value, or the text of a number or bool, terminated; NULL when absent, null, or with a
 * NUL byte inside. */
char *text_of(struct cm_arena *a, const struct cm_json *n);
/* The same for strings that are "" when terraform has none: NULL then too. */
char *nonempty_of(struct cm_arena *a, const struct cm_json *n);
bool uuid_bytes(struct cm_arena *a, const struct cm_json *n, ProtobufCBinaryData *ret);
/* Sets the member and its has_ flag. */
#define SET_BOOL(msg, member, node)                                                                \
    do {                                                                                           \
        bool v_;                                                                                   \
        if (cm_json_to_bool((node), &v_)) {                                                        \
            (msg)->has_##member = true;                                                            \
            (msg)->member = v_;                                                                    \
        }                                                                                          \
    } while (0)
#define SET_INT(msg, member, node)                                                                 \
    do {                                                                                           \
        int64_t v_;                                                                                \
        if (cm_json_to_i64((node), &v_)) {                                                         \
            (msg)->has_##member = true;                                                            \
            (msg)->member = (__typeof__((msg)->member))v_;                                         \
        }                                                                                          \
    } while (0)
PB(Pair) * pair_new(struct cm_arena *a, const char *name, const char *value);

/* One agent under construction. */
struct agent_entry {
    const struct tf_resource *res;
    struct cm_str id; /* empty while planning */
    PB(Agent) * msg;
};
struct agents {
    struct agent_entry *v;
    size_t n;
};
/* All coder_agents with what hangs on them. */
CM_MUST_USE enum cm_code agents_read(struct cm_arena *a, const struct tf_resources *list,
                                     const struct tf_graph *graph, struct agents *ret,
                                     struct cm_err *err);
