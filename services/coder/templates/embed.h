/* The starter templates, inside the program. Made by scripts/gen/embed.py. */
#pragma once

#include <stddef.h>

struct embedded_file {
    const char *name; /* "local/main.tf" */
    const unsigned char *data;
    size_t len;
};

extern const struct embedded_file starter_files[]; /* ended by a row without a name */
