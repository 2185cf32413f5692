/* Whether the schedules of a preset's prebuilds overlap. */
#pragma once

#include "schema/call.h"

/* Reports the first pair of schedule blocks that hold in the same hour of some day. */
void preset_schedule_check(struct call *c, const struct value *schedules);
