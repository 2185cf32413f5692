/* What cmocka wants before its own header, and a call to work with. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema/call.h"

struct fixture {
    struct cm_arena *arena;
    struct environment env;
    struct call call;
};

static inline void fixture_init(struct fixture *f, const char *const *vars)
{
    f->arena = cm_arena_new();
    f->env.vars = vars;
    call_init(&f->call, f->arena, &f->env, CM_STR("https://coder.example"));
}

static inline void fixture_done(struct fixture *f)
{
    cm_arena_free(f->arena);
}

static inline void assert_str(struct cm_str got, const char *wanted)
{
    if (!cm_str_eq_c(got, wanted))
        fail_msg("got \"%.*s\", wanted \"%s\"", CM_STR_ARG(got), wanted);
}
