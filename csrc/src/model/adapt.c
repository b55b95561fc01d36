/* Adaptation of a model to data: normalizations and the scaling of targets. */
#include "model/model.h"

#include <float.h>
#include <math.h>

pynn_status pynn_normalization_adapt(pynn_model *model, int32_t index, const pynn_summary *summary, int64_t first,
                                     pynn_error *error) {
  if (!model || !summary || index < 0 || index >= model->n_layers || !model->layers[index].kind->adapt || first < 0 ||
      pynn_summary_columns(summary) > model->layers[index].units - first)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a model, the index of a normalization and a summary of its columns; received layer=%d",
                (int)index);
  const struct layer *layer = &model->layers[index];
  const int64_t n = pynn_summary_columns(summary);
  pynn_column column = {0};
  for (int64_t j = 0; j < n; j++) {
    pynn_status status = pynn_summary_column(summary, j, &column);
    if (!status) status = layer->kind->adapt_check(layer, index, first + j, &column, error);
    if (status) return status;
  }
  if (!column.rows)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a summary of at least one row; received none");
  for (int64_t j = 0; j < n; j++) {
    pynn_summary_column(summary, j, &column);
    layer->kind->adapt(model, layer, first + j, &column);
  }
  if (first + n == layer->units) layer->kind->adapted(model, layer, column.rows);
  return PYNN_OK;
}

pynn_status pynn_target_adapt(pynn_model *model, const pynn_summary *summary, int minmax, pynn_error *error) {
  if (!model || !summary || !model->scales_targets || pynn_summary_columns(summary) != model->outputs)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a model made with target_scaling and a summary of its outputs; received another");
  double *shift = model->state + model->target_scaling, *spread = shift + model->outputs;
  pynn_column c = {0};
  for (int64_t j = 0; j < model->outputs; j++) {
    pynn_summary_column(summary, j, &c);
    if (c.count && !c.infinite) continue;
    const int64_t row = c.infinite ? c.first_infinite : c.first_missing;
    fail(error, PYNN_ERROR_NUMERIC, "expected finite targets; received NaN or infinity in row %lld, column %lld",
         (long long)row, (long long)j);
    if (error) error->row = row, error->column = j, error->operation = PYNN_OPERATION_TARGET;
    return c.rows ? PYNN_ERROR_NUMERIC
                  : fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected at least one row of targets; received none");
  }
  for (int64_t j = 0; j < model->outputs; j++) {
    pynn_summary_column(summary, j, &c);
    const double range = c.maximum - c.minimum;
    shift[j] = minmax || c.minimum == c.maximum ? c.minimum : c.mean;
    spread[j] = c.minimum == c.maximum ? 0 : minmax ? fmin(range, DBL_MAX) : c.std;
  }
  spread[model->outputs] = (double)c.rows;
  return PYNN_OK;
}
