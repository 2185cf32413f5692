/* The block that config-ssh keeps in an SSH configuration: finding, reading and writing it. Pure
 * text. */
#pragma once

#include "base/arena.h"
#include "conf/conf.h"

#define SSH_CONFIG_MAX ((size_t)1 << 20)

/* What the user asked for, which the block remembers in comments. */
struct ssh_options {
    const char *wait, *prefix, *suffix, *header_command;
    bool disable_autostart;
    struct cm_conf_list ssh, headers;
};

struct ssh_block {
    struct ssh_options options;
    const char *prefix, *suffix; /* in effect; suffix "" means none */
    const char *binary, *config_dir, *wait_default;
    const char **deployment; /* "Key=value" from the server */
    size_t n_deployment;
};

/* Splits the file around the section, markers included. No section: all is before. Two, or one
 * without its end, is CM_INVALID. */
CM_MUST_USE enum cm_code ssh_section_find(struct cm_str file, struct cm_str *ret_before,
                                          struct cm_str *ret_section, struct cm_str *ret_after,
                                          struct cm_err *err);
void ssh_options_read(struct cm_arena *a, struct cm_str section, struct ssh_options *ret);
bool ssh_options_equal(const struct ssh_options *a, const struct ssh_options *b);
void ssh_options_list(const struct ssh_options *o,
                      struct cm_buf *out); /* "    * wait: yes" a line */
/* Refuses values that would break out of their line or of the block. */
CM_MUST_USE enum cm_code ssh_block_check(const struct ssh_block *b, struct cm_err *err);
void ssh_block_write(struct cm_arena *a, const struct ssh_block *b, struct cm_buf *out);
/* The lines that differ, after what they have in common at both ends. */
void ssh_print_diff(struct cm_str before, struct cm_str after, const char *path);
