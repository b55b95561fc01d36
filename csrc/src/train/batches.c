/* Steps over data in memory, and the gradient over all of it. */
#include "compute/array.h"
#include "compute/scope.h"
#include "graph/layer.h"
#include "pass/custom_loss.h"
#include "pass/loss.h"
#include "pass/targets.h"
#include "train/guard.h"
#include "train/series.h"
#include "train/step.h"

#include <math.h>
#include <string.h>
#include <time.h>

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static pynn_status check_order(const pynn_data *data, const int64_t *order, int64_t first, int64_t count,
                               pynn_error *error) {
  if (first < 0 || count < 0 || count > (order ? INT64_MAX : data->x.rows) - first)
    return fail(error, PYNN_ERROR_SHAPE, "expected rows within 0 ... %lld; received first=%lld, count=%lld",
                (long long)data->x.rows - 1, (long long)first, (long long)count);
  for (int64_t i = first; order && i < first + count; i++)
    if (order[i] < 0 || order[i] >= data->x.rows)
      return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected row numbers in 0 ... %lld; received order[%lld]=%lld",
                  (long long)data->x.rows - 1, (long long)i, (long long)order[i]);
  return PYNN_OK;
}

/* Checks that the model is ready, and some layer is left to train. */
static pynn_status check_model(const pynn_model *model, pynn_error *error) {
  if (model->frozen && pass_lowest(model) == model->n_layers)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a layer with parameters that is trainable; received a model whose layers are all frozen: set "
                "trainable of one of them to true");
  return model_ready(model, 1, error);
}

static void count_step(pynn_trainer *t, const struct step *taken, pynn_step *result) {
  t->epoch_loss += taken->loss + taken->penalty;
  t->epoch_rows += taken->rows;
  result->loss += taken->loss + taken->penalty;
  result->gradient_norm = taken->norm;
  result->rows += taken->rows;
  result->steps++;
  series_take(t, (taken->loss + taken->penalty) / (double)taken->rows);
}

pynn_status pynn_train_batches(pynn_trainer *t, const pynn_data *data, const int64_t *order, int64_t first,
                               int64_t count, int64_t batch_size, double seconds, pynn_dtype dtype, void *predictions,
                               pynn_step *step, pynn_error *error) {
  if (!t || !data || !step)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a trainer, data and step; received NULL");
  if (batch_size < 1 || batch_size > t->w->capacity)
    return fail(error, PYNN_ERROR_TOO_LARGE,
                "expected batches of 1 ... %lld rows, as the trainer was made for; received %lld",
                (long long)t->w->capacity, (long long)batch_size);
  pynn_status status = pass_check_targets(t->model, &data->x, &data->targets, &data->weights, error);
  if (!status) status = check_model(t->model, error);
  if (!status) status = check_order(data, order, first, count, error);
  if (!status) status = pass_check_output(t->model, t->raw_predictions, dtype, predictions, "predictions", error);
  if (status) return status;

  const struct kernels *kernels = t->model->context->kernels[predictions ? dtype : t->model->dtype];
  const struct compute_scope scope = compute_begin(t->model->context, pass_uses_blas(t->model, batch_size));
  const int together = t->shards.options.processes > 1; /* the clock of the first is all's */
  const double until = seconds > 0 ? seconds_now() + seconds : HUGE_VAL;
  pynn_step result = {0};
  if (t->slots_given || t->model->parameters_given) trainer_measure(t);
  for (int64_t done = 0; done < count && !status;) {
    const int64_t rows = count - done < batch_size ? count - done : batch_size, steps = result.steps;
    struct step taken = {.data = data, .order = order, .first = first + done, .rows = rows};
    if (together) taken.stops = seconds_now() >= until;
    struct fault fault;
    status = step_take(t, &taken, dtype, predictions, &fault, error);
    if (!status) count_step(t, &taken, &result);
    if (status == PYNN_ERROR_NUMERIC) {
      if (predictions) fill(kernels, predictions, rows * t->model->outputs, (double)NAN);
      status = guard_refused(t, &fault, first + done, rows, error);
      if (!status) result.refused++, result.refused_rows += rows;
    }
    result.applied = result.steps > steps;
    done += rows;
    if (predictions) predictions = at(kernels, predictions, rows * t->model->outputs);
    if (together ? taken.stops : seconds_now() >= until) break;
  }
  compute_end(t->model->context, scope);
  result.loss = result.rows ? result.loss / (double)result.rows : (double)NAN;
  if (!result.steps) result.gradient_norm = (double)NAN;
  *step = result;
  return status;
}

pynn_status pynn_trainer_full_gradient(pynn_trainer *t, const pynn_data *data, int64_t batch_size, double *loss,
                                       double *gradient, pynn_error *error) {
  if (!t || !data || !loss || !gradient || batch_size < 1 || batch_size > t->w->capacity || data->x.rows < 1)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a trainer, data, loss, gradient and a batch_size that the trainer was made for");
  for (int32_t i = 0; i < t->model->n_layers; i++)
    if (t->model->layers[i].kind->row.flags &
        (PYNN_LAYER_ONLY_TRAINS | (t->model->layers[i].frozen ? 0 : PYNN_LAYER_UPDATES_STATE)))
      return fail(error, PYNN_ERROR_UNSUPPORTED,
                  "expected layers that do the same in training as in prediction; received '%s' as layer %d",
                  t->model->layers[i].kind->row.name, (int)i);
  pynn_status status = pass_check_targets(t->model, &data->x, &data->targets, &data->weights, error);
  if (!status) status = check_model(t->model, error);
  if (status) return status;
  const struct compute_scope scope = compute_begin(t->model->context, pass_uses_blas(t->model, batch_size));
  const size_t n = (size_t)t->model->n_parameters;
  double mean = 0;
  memset(gradient, 0, n * sizeof *gradient);
  t->w->observes = 0;
  for (int64_t first = 0; first < data->x.rows && !status; first += batch_size) {
    const int64_t left = data->x.rows - first, rows = left < batch_size ? left : batch_size;
    struct batch batch = step_rows(t, &data->x, NULL, first, rows);
    status = batch.x ? PYNN_OK : sparse_check(&batch.sparse, rows, error);
    if (!status) status = pass_targets(t->w, &data->targets, &data->weights, NULL, first, &batch, error);
    if (status) break;
    const double sum = pass_loss(t->w, &batch, pass_forward(t->w, &batch, 1, t->dropout_key, 0), 1);
    pass_backward(t->w, &batch, t->gradient, t->dropout_key, 0);
    status = pass_failed(t->w, error);
    const double share = (double)rows / (double)(first + rows); /* of these rows in the means so far */
    mean += share * (sum / (double)rows + pass_seen_penalty(t->w) - mean);
    t->model->kernels->blend(n, t->gradient, gradient, share);
  }
  compute_end(t->model->context, scope);
  if (!status) *loss = mean;
  return status;
}

pynn_status pynn_train_step(pynn_trainer *t, const pynn_data *data, pynn_step *step, pynn_error *error) {
  if (!t || !data || !step)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a trainer, data and step; received NULL");
  if (data->x.rows < 1)
    return fail(error, PYNN_ERROR_SHAPE, "expected at least one row; received %lld", (long long)data->x.rows);
  return pynn_train_batches(t, data, NULL, 0, data->x.rows, data->x.rows, 0, PYNN_FLOAT32, NULL, step, error);
}
