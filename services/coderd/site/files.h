/* The pages of site/pages/, embedded at build time by embed.py. */
#pragma once

#include <stddef.h>

struct site_file {
    const char *name;
    const char *data;
    size_t len;
};
extern const struct site_file site_files[];
extern const size_t n_site_files;
