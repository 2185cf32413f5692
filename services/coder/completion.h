/* What a shell's completion asks for. */
#pragma once

#include "base/arena.h"

/* Prints the candidates for the last word of argv, one a line. The exit status. */
int completion_print(struct cm_arena *a, int argc, char **argv);
