/* A series of what steps saw in the layers. */
#ifndef PYNN_SERIES_H
#define PYNN_SERIES_H

#include "train/state.h"

/* Takes a point after a step of mean loss `loss`, if one is due. */
void series_take(pynn_trainer *trainer, double loss);

#endif
