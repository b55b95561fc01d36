/* The loss of a batch and of single rows, and the penalties of regularizers. */
#include "pass/loss.h"

#include "graph/layout.h"
#include "pass/custom_loss.h"

#include <math.h>
#include <string.h>

/* The mean over outputs of weight x loss. An output of weight 0 is not there. */
static double weighted_outputs(const pynn_model *model, const double *cells, const void *logits, const void *target,
                               double scale, void *gradient) {
  const struct kernels *kernels = model->kernels;
  const double share = 1 / (double)model->outputs;
  double sum = 0;
  for (int64_t j = 0; j < model->outputs; j++) {
    const double weight = share * cells[j];
    const double loss = model->loss->row_loss(1, at(kernels, logits, j), at(kernels, target, j), 0, scale * weight,
                                              gradient ? at(kernels, gradient, j) : NULL, model->loss_spec.values);
    if (weight != 0) sum += weight * loss;
  }
  return sum;
}

double pass_row_loss(const pynn_workspace *w, const struct batch *batch, int64_t row, const void *logits, double scale,
                     void *gradient) {
  const pynn_model *model = w->model;
  const void *target = batch->has_labels ? NULL : at(model->kernels, w->targets, row * model->targets);
  if (model->custom.function) return custom_row_loss(w, logits, target, w->labels[row], scale, gradient);
  if (batch->has_cells)
    return weighted_outputs(model, w->cells + row * model->targets, logits, target, scale, gradient);
  return model->loss->row_loss((size_t)model->outputs, logits, target, w->labels[row], scale, gradient,
                               model->loss_spec.values);
}

struct loss_job {
  pynn_workspace *w;
  const struct batch *batch;
  const void *logits;
  int backward;
};

static void loss_tile(void *argument, int64_t index) {
  const struct loss_job *job = argument;
  const pynn_workspace *w = job->w;
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  const int64_t n = model->outputs, rows = job->batch->rows;
  double sum = 0;
  for (int64_t i = index * LOSS_ROWS; i < least(rows, (index + 1) * LOSS_ROWS); i++) {
    const double weight = job->batch->has_weights ? w->weights[i] : 1;
    const double loss =
        pass_row_loss(w, job->batch, i, at(kernels, job->logits, i * n), weight / (double)batch_whole(job->batch),
                      job->backward ? at(kernels, w->dY[0], i * n) : NULL);
    if (weight != 0) sum += weight * loss; /* a row of weight 0 is not there, whatever it holds */
  }
  w->tile_sum[index] = sum;
}

double pass_loss(pynn_workspace *w, const struct batch *batch, const void *logits, int backward) {
  if (w->failed) return (double)NAN;
  if (w->model->custom.function) return custom_loss(w, batch, logits, backward);
  struct loss_job job = {w, batch, logits, backward};
  int64_t tiles = divide_up(batch->rows, LOSS_ROWS);
  double sum = 0;
  parallel_for(w->model->context, tiles, 40.0 * (double)(batch->rows * w->model->outputs), loss_tile, &job);
  for (int64_t i = 0; i < tiles; i++) sum += w->tile_sum[i];
  return sum;
}

double pass_penalty(const pynn_model *model) {
  double sum = 0;
  for (int32_t i = 0; i < model->n_tensors && model->regularized; i++) {
    const pynn_tensor *view = &model->tensors[i].view;
    const pynn_spec *spec = layer_penalty(model, &model->tensors[i]);
    if (spec)
      sum += model->kernels->regularizers[spec->row].penalty((size_t)(view->rows * view->columns),
                                                             at(model->kernels, model->parameters, view->offset), NULL,
                                                             spec->values);
  }
  return sum;
}

double pass_seen_penalty(const pynn_workspace *w) {
  double sum = 0;
  for (int32_t i = 0; i < w->model->n_layers && w->model->regularized; i++) sum += w->sums[i].penalty;
  return sum;
}

double pass_rows_loss(const pynn_workspace *w, const struct batch *batch, int64_t rows, const void *logits,
                      int64_t ld) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  double sum = 0;
  for (int64_t i = 0; i < rows; i++) {
    const double weight = batch->has_weights ? w->weights[i] : 1;
    if (weight == 0) continue;
    sum += weight * pass_row_loss(w, batch, i, at(kernels, logits, i * ld), 0, NULL);
  }
  return sum;
}

double pass_trivial_loss(pynn_workspace *w, const struct batch *batch, int64_t rows) {
  memset(w->dY[0], 0, (size_t)w->model->outputs * w->model->kernels->size);
  return pass_rows_loss(w, batch, rows, w->dY[0], 0);
}

double pass_constant_loss(pynn_workspace *w, const struct batch *batch, int64_t rows, const void *logits) {
  const size_t n = (size_t)w->model->outputs;
  w->model->kernels->column_sums((size_t)rows, n, logits, n, w->dY[0]);
  w->model->kernels->scale(n, w->dY[0], 1 / (double)rows);
  return pass_rows_loss(w, batch, rows, w->dY[0], 0);
}
