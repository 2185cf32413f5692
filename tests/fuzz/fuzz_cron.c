/* Schedules as users write them. */
#include <stdint.h>

#include "domain/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cron c;
    struct cm_err err;

    if (cron_parse(cm_str_n((const char *)data, size), &c, &err) != CM_OK)
        return 0;
    cm_assert(c.n_minutes && c.n_hours && c.n_weekdays && c.zone[0]);
    for (size_t i = 0; i < c.n_minutes; i++)
        cm_assert(c.minutes[i] >= 0 && c.minutes[i] < 60 &&
                  (!i || c.minutes[i] > c.minutes[i - 1]));
    for (size_t i = 0; i < c.n_hours; i++)
        cm_assert(c.hours[i] >= 0 && c.hours[i] < 24);
    for (size_t i = 0; i < c.n_weekdays; i++)
        cm_assert(c.weekdays[i] >= 0 && c.weekdays[i] < 7);
    return 0;
}
