/* Files inside a program: constant tables that cm_embed makes (scripts/cmake/cm.cmake). */
#pragma once

#include <stddef.h>

struct cm_embedded_file {
    const char *name; /* the path below the embedded folder; NULL in the row that ends a table */
    const char *data; /* a zero follows it */
    size_t len;
};
