/* What every test program here needs. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define assert_str_is(s, expected)                                                                 \
    do {                                                                                           \
        CM_AUTO(cm_arena) a_ = cm_arena_new();                                                     \
        assert_string_equal(cm_arena_cstr(a_, (s)), (expected));                                   \
    } while (0)
