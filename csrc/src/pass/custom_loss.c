/* Custom losses: calls of their function, and the comparison of their gradient with differences. */
#include "pass/custom_loss.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

enum { SAID_SO = 1, WRONG_GRADIENT = 2 }; /* how a custom function failed */

pynn_status pass_failed(const pynn_workspace *w, pynn_error *error) {
  if (!w->failed) return PYNN_OK;
  if (w->failed != WRONG_GRADIENT) return fail(error, PYNN_ERROR_CALLBACK, "%s", pynn_strerror(PYNN_ERROR_CALLBACK));
  return fail(
      error, PYNN_ERROR_INVALID_ARGUMENT,
      "expected the gradient of the loss '%s' to be its derivative, about %.6g in row %lld of the batch, column "
      "%lld; received %.6g",
      w->model->custom.name, w->wrong.expected, (long long)w->wrong.row, (long long)w->wrong.column, w->wrong.received);
}

/* Calls the function for rows of logits, in the floating-point state that C programs start with. */
static int call_custom(const pynn_model *model, int64_t rows, const void *logits, const void *targets,
                       const int64_t *labels, double *losses, void *gradient) {
  fenv_t ours;
  /* NaN in every dtype, so that a function which did not write a result and returned 0 is refused */
  memset(losses, 0xFF, (size_t)rows * sizeof *losses);
  if (gradient) memset(gradient, 0xFF, (size_t)(rows * model->outputs) * model->kernels->size);
  fegetenv(&ours);
  fesetenv(FE_DFL_ENV);
  const int failed = model->custom.function(model->custom.user, model->dtype, rows, model->outputs, logits, targets,
                                            labels, losses, gradient, gradient != NULL);
  fesetenv(&ours);
  return failed;
}

double custom_row_loss(const pynn_workspace *w, const void *logits, const void *target, int64_t label, double scale,
                       void *gradient) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  const size_t n = (size_t)model->outputs;
  void *out = gradient ? gradient : w->keeps ? w->dY[1] : NULL;
  double loss = (double)NAN;
  if (call_custom(model, 1, logits, target, target ? NULL : &label, &loss, out)) return (double)NAN;
  if (out && !(kernels->largest(n, out) <= kernels->maximum)) return (double)NAN;
  if (gradient) kernels->scale(n, gradient, scale);
  return loss;
}

/* The loss of row i with logit j moved by `step`, and the moved logit. Overwrites dY[1]. */
static int moved_loss(pynn_workspace *w, const struct batch *batch, const void *logits, int64_t i, int64_t j,
                      double step, double *loss, double *z) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  memcpy(w->dY[1], at(kernels, logits, i * model->outputs), (size_t)model->outputs * kernels->size);
  *z = number(kernels, w->dY[1], j) + step;
  kernels->from_double(1, z, at(kernels, w->dY[1], j));
  *z = number(kernels, w->dY[1], j);
  return call_custom(model, 1, w->dY[1], batch->has_labels ? NULL : at(kernels, w->targets, i * model->targets),
                     batch->has_labels ? &w->labels[i] : NULL, loss, NULL);
}

/* Compares the gradient in dY[0] with differences, at logit j of row i. At a kink the slopes to both sides differ, and
 * anything between them is right. Numbers that are not finite are left to the guard. */
static int look_at_cell(pynn_workspace *w, const struct batch *batch, const void *logits, int64_t i, int64_t j) {
  const int is_double = w->model->dtype == PYNN_FLOAT64;
  const double tolerance = is_double ? 1e-3 : 2e-2,
               received = number(w->model->kernels, w->dY[0], i * w->model->outputs + j);
  double loss[3], z[3], step = (is_double ? 0x1p-17 : 0x1p-8);
  step *= fmax(1, fabs(number(w->model->kernels, logits, i * w->model->outputs + j)));
  for (int side = 0; side < 3; side++)
    if (moved_loss(w, batch, logits, i, j, (side - 1) * step, &loss[side], &z[side])) return SAID_SO;
  const double below = (loss[1] - loss[0]) / (z[1] - z[0]), above = (loss[2] - loss[1]) / (z[2] - z[1]);
  const double slack = tolerance * (fmax(1, fmax(fabs(below), fabs(above))) + 0.01 * fabs(loss[1]));
  if (!isfinite(below) || !isfinite(above) || !isfinite(received)) return 0;
  if (received >= fmin(below, above) - slack && received <= fmax(below, above) + slack) return 0;
  w->wrong.row = batch->place + i, w->wrong.column = j, w->wrong.expected = (below + above) / 2,
  w->wrong.received = received;
  return WRONG_GRADIENT;
}

/* A few rows and columns, spread over the batch. */
static int look_at_gradient(pynn_workspace *w, const struct batch *batch, const void *logits) {
  const int64_t n = w->model->outputs, rows = least(4, batch->rows), columns = least(16, n);
  int failed = 0;
  for (int64_t r = 0; r < rows && !failed; r++)
    for (int64_t c = 0; c < columns && !failed; c++)
      failed =
          look_at_cell(w, batch, logits, r * (batch->rows - 1) / most(1, rows - 1), c * (n - 1) / most(1, columns - 1));
  if (!failed) w->looked_at = w->model->custom.function;
  return failed;
}

/* Calls the function for the whole batch. A row with a gradient that is not finite makes the sum NaN, so that the loss
 * is at fault and not the layer. */
double custom_loss(pynn_workspace *w, const struct batch *batch, const void *logits, int backward) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  const int64_t n = model->outputs, rows = batch->rows;
  double sum = 0;
  const int first = backward && !model->custom.unchecked && w->looked_at != model->custom.function;
  w->failed = call_custom(model, rows, logits, batch->has_labels ? NULL : w->targets,
                          batch->has_labels ? w->labels : NULL, w->losses, backward ? w->dY[0] : NULL);
  if (w->failed) w->failed = SAID_SO;
  else if (first) w->failed = look_at_gradient(w, batch, logits);
  for (int64_t i = 0; i < rows && !w->failed; i++) {
    const double weight = batch->has_weights ? w->weights[i] : 1;
    void *gradient = at(kernels, w->dY[0], i * n);
    if (weight == 0) {
      if (backward) memset(gradient, 0, (size_t)n * kernels->size);
      continue;
    }
    sum += weight * w->losses[i];
    if (!backward) continue;
    if (!(kernels->largest((size_t)n, gradient) <= kernels->maximum)) sum = (double)NAN;
    kernels->scale((size_t)n, gradient, weight / (double)batch_whole(batch));
  }
  return w->failed ? (double)NAN : sum;
}
