/* Git in a workspace has this program as GIT_ASKPASS, and calls it with a prompt alone. */
#pragma once

#include <stdbool.h>

bool gitaskpass_is_meant(int argc, char **argv);
