/* Custom losses. */
#ifndef PYNN_CUSTOM_LOSS_H
#define PYNN_CUSTOM_LOSS_H

#include "pass/pass.h"

/* pass_loss and pass_row_loss (pass/loss.h) of a model with a custom loss. */
double custom_loss(pynn_workspace *workspace, const struct batch *batch, const void *logits, int backward);
double custom_row_loss(const pynn_workspace *workspace, const void *logits, const void *target, int64_t label,
                       double scale, void *gradient);

/* CALLBACK when a custom function failed in the last pass: its results are NaN. INVALID_ARGUMENT when the gradient of a
 * custom loss differs from differences of the loss. */
pynn_status pass_failed(const pynn_workspace *workspace, pynn_error *error);

#endif
