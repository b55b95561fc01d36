/* Targets and predictions of a pass. */
#ifndef PYNN_TARGETS_H
#define PYNN_TARGETS_H

#include "pass/pass.h"

/* Checks shape and dtype of x against the model; and of targets and weights against its loss. */
pynn_status pass_check_inputs(const pynn_model *model, const pynn_array *x, pynn_error *error);
pynn_status pass_check_targets(const pynn_model *model, const pynn_array *x, const pynn_array *targets,
                               const pynn_array *weights, pynn_error *error);

/* Takes targets and weights of rows order[first ...] into the workspace; LABEL names the row in `error`. */
pynn_status pass_targets(pynn_workspace *workspace, const pynn_array *targets, const pynn_array *weights,
                         const int64_t *order, int64_t first, struct batch *batch, pynn_error *error);

/* out (rows x outputs of `dtype`) <- link(logits) in the targets' own units, or the logits when raw. */
void pass_predictions(const pynn_workspace *workspace, int64_t rows, const void *logits, int raw, pynn_dtype dtype,
                      void *out);
/* Checks that `dtype` holds the predictions, and the alignment of `out`; NULL is fine. */
pynn_status pass_check_output(const pynn_model *model, int raw, pynn_dtype dtype, const void *out, const char *name,
                              pynn_error *error);

#endif
