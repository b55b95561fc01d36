/* Constraints on tensors. */
#ifndef PYNN_CONSTRAIN_H
#define PYNN_CONSTRAIN_H

#include "train/state.h"

/* Applies every constraint of the model to its parameters. */
void constrain(pynn_trainer *trainer);

#endif
