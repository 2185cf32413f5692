/* Addresses in the program that this machine opens them with. */
#pragma once

#include "cli.h"

/* Tries $BROWSER and the usual openers; false when there is none, or nobody to look at it. */
bool ui_open_browser(struct cli *cli, const char *url);
