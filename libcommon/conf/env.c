/* The one place that reads the environment. */
#include <stdlib.h>

#include "conf/conf.h"

const char *cm_conf_getenv(const char *name)
{
    return getenv(
        name); /* NOLINT(concurrency-mt-unsafe): programs read it before they start threads */
}
