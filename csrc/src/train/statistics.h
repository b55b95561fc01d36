/* Statistics of a step. */
#ifndef PYNN_STATISTICS_H
#define PYNN_STATISTICS_H

#include "train/state.h"

/* Whether the next step takes statistics. */
int statistics_due(const pynn_trainer *trainer);
/* Fills the trainer's statistics after an update; `before` holds the parameters before it. */
void statistics_take(pynn_trainer *trainer);

#endif
