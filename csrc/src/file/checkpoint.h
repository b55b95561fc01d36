/* What a test needs to know of the table of checkpoints. */
#ifndef PYNN_CHECKPOINT_H
#define PYNN_CHECKPOINT_H

#include <stddef.h>

/* Whether the byte at `offset` of a struct pynn_trainer is part of a number that checkpoints keep. */
int checkpoint_covers(size_t offset);

#endif
