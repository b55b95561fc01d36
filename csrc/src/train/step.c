/* One step: compute, reduce, judge, apply.
 *
 * A step is a transaction. Gradients are complete before a parameter changes; a step that is not finite by then is
 * refused, and parameters, optimizer state and counters stay as they were. */
#include "train/step.h"

#include "compute/array.h"
#include "graph/layer.h"
#include "pass/custom_loss.h"
#include "pass/loss.h"
#include "pass/targets.h"
#include "train/constrain.h"
#include "train/guard.h"
#include "train/mixup.h"
#include "train/statistics.h"
#include "train/update.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- compute: the loss and its gradient, on the rows of this process */

enum { GATHER_ROWS = 8 };
struct gather {
  const pynn_trainer *t;
  const pynn_array *x;
  const int64_t *order;
  int64_t first, rows;
};

static void gather_tile(void *argument, int64_t index) {
  const struct gather *job = argument;
  const struct kernels *kernels = job->t->model->input_kernels;
  const int64_t row = index * GATHER_ROWS, left = job->rows - row;
  char *out = (char *)job->t->w->input + (size_t)(row * job->x->columns) * kernels->size;
  array_gather(kernels, job->x, job->order, job->first + row, left < GATHER_ROWS ? left : GATHER_ROWS, out);
}

struct batch step_rows(const pynn_trainer *t, const pynn_array *x, const int64_t *order, int64_t first, int64_t rows) {
  struct batch batch = {.rows = rows, .ldx = t->model->inputs, .given = x};
  if (x->indices) {
    batch.sparse = (struct sparse){x, order, first};
    return batch;
  }
  if (!order && (batch.x = array_in_place(t->model->input_kernels, x, first, &batch.ldx))) return batch;
  struct gather job = {t, x, order, first, rows};
  parallel_for(t->model->context, (rows + GATHER_ROWS - 1) / GATHER_ROWS, 40.0 * (double)(rows * x->columns),
               gather_tile, &job);
  batch.x = t->w->input;
  return batch;
}

static pynn_status prepare(pynn_trainer *t, struct step *s, pynn_error *error) {
  const pynn_data *data = s->data;
  s->batch = step_rows(t, &data->x, s->order, s->first, s->rows);
  pynn_status status = s->batch.x ? PYNN_OK : sparse_check(&s->batch.sparse, s->rows, error);
  if (!status) status = pass_targets(t->w, &data->targets, &data->weights, s->order, s->first, &s->batch, error);
  if (status) return status;
  if (t->mixup > 0 && !s->batch.x)
    return fail(error, PYNN_ERROR_UNSUPPORTED, "expected dense rows to mix; received sparse ones");
  t->learning_rate = trainer_rate(t);
  if (t->mixup > 0) mixup_batch(t->w, &s->batch, t->mixup, t->mixup_key, (uint64_t)t->steps);
  guard_keep(t);
  t->w->observes = t->before && statistics_due(t);
  return PYNN_OK;
}

static pynn_status compute(pynn_trainer *t, struct step *s, pynn_dtype dtype, void *predictions, pynn_error *error) {
  pynn_status status = prepare(t, s, error);
  if (status) return status;
  const void *logits = pass_forward(t->w, &s->batch, 1, t->dropout_key, (uint64_t)t->steps);
  s->loss = pass_loss(t->w, &s->batch, logits, 1);
  status = pass_failed(t->w, error);
  if (status) return status;
  if (predictions) pass_predictions(t->w, s->rows, logits, t->raw_predictions, dtype, predictions);
  pass_backward(t->w, &s->batch, t->gradient, t->dropout_key, (uint64_t)t->steps);
  s->penalty = (double)s->rows * pass_seen_penalty(t->w);
  return pass_failed(t->w, error);
}

/* ---- reduce: the same numbers, over all processes */

/* Largest magnitudes and sums of squares of the reduced gradient: those of the tiles are this process's alone. */
static void measure_gradient(pynn_trainer *t) {
  const struct kernels *kernels = t->model->kernels;
  for (int32_t i = 0; i < t->model->n_layers; i++) {
    const struct layer *layer = &t->model->layers[i];
    struct layer_sums *sums = &t->w->sums[i];
    sums->gradient_squares = kernels->sum_squares((size_t)layer->n_parameters,
                                                  at(kernels, t->gradient, layer->parameters), &sums->gradient_max);
  }
}

static pynn_status reduce(pynn_trainer *t, struct step *s) {
  if (!t->reduction.sum) return PYNN_OK;
  pynn_status status = t->reduction.sum(t->reduction.user, t, s);
  if (!status) measure_gradient(t);
  return status;
}

/* ---- norms of the gradient; scaled where squares of doubles leave their range */

static int squares_in_range(const pynn_trainer *t, double squares) {
  return t->model->kernels->size == sizeof(float) || (squares > 1e-280 && squares <= DBL_MAX);
}

double step_layer_norm(const pynn_trainer *t, int32_t i) {
  const struct layer *layer = &t->model->layers[i];
  const double squares = t->w->sums[i].gradient_squares, largest = t->w->sums[i].gradient_max;
  if (squares_in_range(t, squares) || !(largest > 0)) return sqrt(squares);
  const double *g = (const double *)t->gradient + layer->parameters;
  double scaled = 0;
  for (int64_t j = 0; j < layer->n_parameters; j++) scaled += (g[j] / largest) * (g[j] / largest);
  return largest * sqrt(scaled);
}

static double gradient_norm(const pynn_trainer *t) {
  double squares = 0, norm = 0;
  for (int32_t i = 0; i < t->model->n_layers; i++) squares += t->w->sums[i].gradient_squares;
  if (squares_in_range(t, squares)) return sqrt(squares);
  for (int32_t i = 0; i < t->model->n_layers; i++) norm = hypot(norm, step_layer_norm(t, i));
  return norm;
}

/* ---- judge: by the reduced numbers, so that every process decides alike */

static pynn_status judge(pynn_trainer *t, struct step *s, struct fault *fault, pynn_error *error) {
  pynn_status status =
      finite_check(t->w, &s->batch, s->loss + s->penalty, t->gradient, s->order, s->first, fault, error);
  if (status) return status;
  if (!isfinite(s->norm)) {
    *fault = (struct fault){PYNN_OPERATION_CLIP, -1, -1, -1, s->norm, 0};
    return fail(error, PYNN_ERROR_NUMERIC, "expected a finite gradient norm; received %g; nothing was updated",
                s->norm);
  }
  const double mean = s->loss / (double)s->rows;
  if (!guard_diverges(t, &s->batch, mean)) return PYNN_OK;
  *fault = (struct fault){PYNN_OPERATION_NONE, -1, -1, -1, mean, 1};
  return fail(error, PYNN_ERROR_NUMERIC,
              "expected a loss that falls; received one that has diverged, to %g (learning rate %g, first loss %g); "
              "nothing was updated",
              mean, t->learning_rate, t->watch.first_loss);
}

/* Judges a refused step again, on rows that are not mixed: names a bad cell as it is in the caller's data. */
static pynn_status judge_unmixed(pynn_trainer *t, const struct step *s, struct fault *fault, pynn_error *error) {
  if (!is_of_the_data(fault->operation)) return PYNN_ERROR_NUMERIC;
  const pynn_data *data = s->data;
  struct batch batch = step_rows(t, &data->x, s->order, s->first, s->rows);
  pass_targets(t->w, &data->targets, &data->weights, s->order, s->first, &batch, NULL);
  return finite_check(t->w, &batch, s->loss, t->gradient, s->order, s->first, fault, error);
}

/* ---- apply: clip, update, commit; or leave everything as it was */

/* A factor below the smallest normal number would count as 0, though its product with a huge gradient is not 0: then
 * scales the gradient itself to norm `wanted`. Returns the factor that remains. */
static double scale_to(pynn_trainer *t, double norm, double wanted, double scale) {
  const int single = t->model->dtype == PYNN_FLOAT32;
  if (scale >= (single ? (double)FLT_MIN : DBL_MIN) || !(wanted > 0)) return scale;
  for (int64_t i = 0; i < t->model->n_parameters; i++)
    if (single) ((float *)t->gradient)[i] = (float)((double)((float *)t->gradient)[i] / norm * wanted);
    else ((double *)t->gradient)[i] = ((double *)t->gradient)[i] / norm * wanted;
  return 1;
}

static pynn_status update(pynn_trainer *t, double norm, double scale, struct fault *fault, pynn_error *error) {
  const struct update u = update_prepare(t, t->model->kernels, scale);
  if (t->watch.options.policy != PYNN_POLICY_OFF && !update_finite(&u)) {
    *fault = (struct fault){PYNN_OPERATION_UPDATE, -1, -1, -1, norm, 0};
    return fail(error, PYNN_ERROR_NUMERIC,
                "expected finite parameters; received an update that would overflow (learning rate %g, gradient norm "
                "%g); nothing was updated",
                t->learning_rate, norm);
  }
  update_run(t, &u);
  if (t->model->constrained) constrain(t);
  t->steps++;
  if (t->average.values) average_step(t);
  return PYNN_OK;
}

static pynn_status apply(pynn_trainer *t, const struct step *s, struct fault *fault, pynn_error *error) {
  double scale = t->clip_norm > 0 && s->norm > t->clip_norm ? t->clip_norm / s->norm : 1;
  const double clipped = scale < 1 ? t->clip_norm : s->norm, unusual = guard_clip(&t->watch, clipped);
  scale = scale_to(t, s->norm, clipped * unusual, scale * unusual);
  pynn_status status = update(t, s->norm, scale, fault, error);
  if (status) return status;
  if (t->w->proposed) memcpy(t->model->state, t->w->proposed, (size_t)t->model->n_state * sizeof *t->w->proposed);
  if (unusual < 1)
    guard_note(t, PYNN_EVENT_CLIPPED, &(struct fault){PYNN_OPERATION_CLIP, -1, -1, -1, s->norm, 0}, s->first, s->rows);
  guard_applied(&t->watch, clipped * unusual);
  if (t->w->observes) statistics_take(t);
  return PYNN_OK;
}

pynn_status step_take(pynn_trainer *t, struct step *s, pynn_dtype dtype, void *predictions, struct fault *fault,
                      pynn_error *error) {
  pynn_status status = compute(t, s, dtype, predictions, error);
  if (!status) status = reduce(t, s);
  if (status) return status;
  s->norm = gradient_norm(t);
  if (t->watch.options.policy != PYNN_POLICY_OFF) status = judge(t, s, fault, error);
  if (status && t->mixup > 0) status = judge_unmixed(t, s, fault, error);
  return status ? status : apply(t, s, fault, error);
}
