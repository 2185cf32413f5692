/* The starter templates, inside the programs: of the command, and of coderd as its examples. */
#pragma once

#include "base/embedded.h"

extern const struct cm_embedded_file starter_files[]; /* "local/main.tf" */
