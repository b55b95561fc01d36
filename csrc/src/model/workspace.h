/* The memory of workspaces. */
#ifndef PYNN_WORKSPACE_H
#define PYNN_WORKSPACE_H

#include "graph/workspace.h"

/* Makes a workspace for batches of up to `capacity` rows; `keeps` != 0: for training. */
pynn_status workspace_new(pynn_workspace **out, const pynn_model *model, int64_t capacity, int keeps);

/* Takes the memory that statistics need, or gives it back. */
pynn_status workspace_observe(pynn_workspace *workspace, int wanted);

#endif
