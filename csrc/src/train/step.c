/* One step: compute, reduce, judge, apply.
 *
 * A step is a transaction. Gradients are complete before a parameter changes; a step that is not finite by then is
 * refused, and parameters, optimizer state and counters stay as they were. */
#include "train/step.h"

#include "graph/layer.h"
#include "pass/loss.h"
#include "train/constrain.h"
#include "train/shards.h"
#include "train/statistics.h"
#include "train/update.h"

#include <float.h>
#include <math.h>
#include <string.h>

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

static double whole_baseline(pynn_trainer *t, void *step) {
  const struct step *s = step;
  return pass_trivial_loss(t->w, &s->batch, s->rows) / (double)s->rows;
}

/* Whether all that was computed is finite; names the first cell that is not. */
static pynn_status judge_values(pynn_trainer *t, struct step *s, struct fault *fault, pynn_error *error) {
  if (shards_used(t)) return finite_step(t->w, s->loss + s->penalty) ? PYNN_OK : shards_blame(t, s, fault, error);
  pynn_status status =
      finite_check(t->w, &s->batch, s->loss + s->penalty, t->gradient, s->order, s->first, fault, error);
  if (!status) guard_look(t, &s->batch, &s->looked);
  return status && t->mixup > 0 ? part_judge_unmixed(t, s, fault, error) : status;
}

static pynn_status judge(pynn_trainer *t, struct step *s, struct fault *fault, pynn_error *error) {
  pynn_status status = judge_values(t, s, fault, error);
  if (status) return status;
  if (!isfinite(s->norm)) {
    *fault = (struct fault){PYNN_OPERATION_CLIP, -1, -1, -1, s->norm, 0};
    return fail(error, PYNN_ERROR_NUMERIC, "expected a finite gradient norm; received %g; nothing was updated",
                s->norm);
  }
  const double mean = s->loss / (double)s->rows;
  const int diverges = guard_diverges(t, &s->looked, mean, shards_used(t) ? shards_baseline : whole_baseline, s);
  if (s->status) return fail(error, s->status, "%s", pynn_strerror(s->status));
  if (!diverges) return PYNN_OK;
  *fault = (struct fault){PYNN_OPERATION_NONE, -1, -1, -1, mean, 1};
  return fail(error, PYNN_ERROR_NUMERIC,
              "expected a loss that falls; received one that has diverged, to %g (learning rate %g, first loss %g); "
              "nothing was updated",
              mean, t->learning_rate, t->watch.first_loss);
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
  pynn_status status = shards_used(t) ? shards_compute(t, s, dtype, predictions, error)
                                      : part_compute(t, s, 1, t->gradient, dtype, predictions, error);
  if (status) return status;
  s->norm = gradient_norm(t);
  if (t->watch.options.policy != PYNN_POLICY_OFF) status = judge(t, s, fault, error);
  return status ? status : apply(t, s, fault, error);
}
