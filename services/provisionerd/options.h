/* The daemon's options: one table, see conf/conf.h. */
#pragma once

#include "conf/conf.h"

struct options {
    const char *url, *cache_dir, *name, *psk, *key;
    struct cm_conf_list tags;
    const char *terraform_path, *provider_path, *mirror, *network_mirror, *cli_config;
    const char *ca_file, *tls_cert, *tls_key, *log_format;
    cm_usec grace, heartbeat;
    bool verbose, version, help;
};

extern const struct cm_opt option_rows[];
extern const size_t option_row_count;
