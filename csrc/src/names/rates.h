/* Learning rates by a schedule. */
#ifndef PYNN_RATES_H
#define PYNN_RATES_H

#include "pynn.h"

/* Checks every number of a schedule. */
pynn_status schedule_check(const pynn_schedule *schedule, pynn_error *error);

#endif
