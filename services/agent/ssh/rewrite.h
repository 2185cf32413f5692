/* OpenSSH's unix-socket forwarding in words that libssh 0.10 knows. It can parse and open TCP
 * forwarding only, so on the way in the three streamlocal messages become their TCP counterparts
 * with the path where the host stands, and on the way out a channel of ours for such a "host"
 * becomes forwarded-streamlocal@openssh.com. Host names never begin with a slash, so neither can be
 * mistaken for the other. */
#pragma once

#include <libssh/libssh.h>

#include "base/buf.h"

/* A packet's payload without its type byte. True when out holds what to read instead. */
CM_MUST_USE bool ssh_rewrite_channel_open(struct cm_str packet, struct cm_buf *out);
CM_MUST_USE bool ssh_rewrite_global_request(struct cm_str packet, struct cm_buf *out);

/* The linker puts it in the place of libssh's ssh_buffer_add_buffer (see CMakeLists.txt), through
 * which the arguments of every channel that we open pass. */
int __wrap_ssh_buffer_add_buffer(ssh_buffer buffer, ssh_buffer source);
int __real_ssh_buffer_add_buffer(ssh_buffer buffer, ssh_buffer source);
