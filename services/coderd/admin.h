/* Commands for whoever has the database and no other way in: a password that nobody knows any more,
 * a deployment without an administrator. Passwords come on standard input. */
#pragma once

#include <stdbool.h>

bool admin_is_meant(int argc, char **argv);
/* The exit status; what went wrong is one line on stderr. */
int admin_main(int argc, char **argv);
