/* What SFTP requests do to files. Handles live here too. */
#pragma once

#define WITH_SERVER 1
#include <libssh/sftp.h>

#include "base/arena.h"

struct sftp_files;

struct sftp_files *sftp_files_new(const char *directory);
void sftp_files_free(struct sftp_files *f); /* closes what is open */
CM_DEFINE_CLEANUP(sftp_files, sftp_files_free)

/* Does what msg asks and replies, exactly once, with at most room bytes (16 KiB at least). */
void sftp_files_handle(struct sftp_files *f, sftp_client_message msg, size_t room);
