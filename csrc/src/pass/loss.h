/* The loss of a batch and of single rows, and the penalties of regularizers. */
#ifndef PYNN_LOSS_H
#define PYNN_LOSS_H

#include "pass/pass.h"

/* Returns the sum over rows of weight x loss; with `backward`, dY[0] <- d(sum / rows) / d logits. */
double pass_loss(pynn_workspace *workspace, const struct batch *batch, const void *logits, int backward);

/* Returns the loss of a row of the batch at its `logits`; gradient (may be NULL) <- scale * its gradient. NaN where a
 * custom loss fails or its gradient is not finite. Calls a custom loss for this row alone: only for rows at fault. */
double pass_row_loss(const pynn_workspace *workspace, const struct batch *batch, int64_t row, const void *logits,
                     double scale, void *gradient);

/* The penalties of the layers' regularizers, which are added to the mean loss: from the parameters, and as the last
 * backward pass saw them. */
double pass_penalty(const pynn_model *model);
double pass_seen_penalty(const pynn_workspace *workspace);

/* Sums over the first `rows` rows of weight x loss: of logits ld apart; with all logits 0 (the baseline of a model that
 * knows nothing); with the mean of these rows' `logits` in every row (a model that tells no row from another). The last
 * two overwrite dY. */
double pass_rows_loss(const pynn_workspace *workspace, const struct batch *batch, int64_t rows, const void *logits,
                      int64_t ld);
double pass_trivial_loss(pynn_workspace *workspace, const struct batch *batch, int64_t rows);
double pass_constant_loss(pynn_workspace *workspace, const struct batch *batch, int64_t rows, const void *logits);

#endif
