/* The computation of a step on a batch, or on a part of one. */
#include "train/part.h"

#include "compute/array.h"
#include "graph/layer.h"
#include "pass/custom_loss.h"
#include "pass/loss.h"
#include "pass/targets.h"
#include "train/mixup.h"
#include "train/statistics.h"

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
  if (!order && (batch.x = pass_in_place(t->model, x, first, &batch.ldx))) return batch;
  struct gather job = {t, x, order, first, rows};
  parallel_for(t->model->context, (rows + GATHER_ROWS - 1) / GATHER_ROWS, 40.0 * (double)(rows * x->columns),
               gather_tile, &job);
  batch.x = t->w->input;
  return batch;
}

void part_begin(pynn_trainer *t) {
  t->learning_rate = trainer_rate(t);
  guard_keep(t);
  t->w->observes = t->before && statistics_due(t);
}

pynn_status part_prepare(pynn_trainer *t, struct step *s, int begins, pynn_error *error) {
  const pynn_data *data = s->data;
  s->batch = step_rows(t, &data->x, s->order, s->first, s->rows);
  s->batch.place = s->place, s->batch.whole = s->whole;
  pynn_status status = s->batch.x ? PYNN_OK : sparse_check(&s->batch.sparse, s->rows, error);
  if (!status) status = pass_targets(t->w, &data->targets, &data->weights, s->order, s->first, &s->batch, error);
  if (status) return status;
  if (t->mixup > 0 && !s->batch.x)
    return fail(error, PYNN_ERROR_UNSUPPORTED, "expected dense rows to mix; received sparse ones");
  if (t->mixup > 0 && s->batch.has_cells)
    return fail(error, PYNN_ERROR_UNSUPPORTED, "expected weights of rows to mix; received weights of outputs");
  if (begins) part_begin(t);
  if (t->mixup > 0) mixup_batch(t->w, &s->batch, t->mixup, t->mixup_key, (uint64_t)t->steps);
  return PYNN_OK;
}

pynn_status part_compute(pynn_trainer *t, struct step *s, int begins, void *gradient, pynn_dtype dtype,
                         void *predictions, pynn_error *error) {
  pynn_status status = part_prepare(t, s, begins, error);
  if (status) return status;
  const void *logits = pass_forward(t->w, &s->batch, 1, t->dropout_key, (uint64_t)t->steps);
  s->loss = pass_loss(t->w, &s->batch, logits, 1);
  status = pass_failed(t->w, error);
  if (status) return status;
  if (predictions) pass_predictions(t->w, s->rows, logits, t->raw_predictions, dtype, predictions);
  pass_backward(t->w, &s->batch, gradient, t->dropout_key, (uint64_t)t->steps);
  s->penalty = (double)batch_whole(&s->batch) * pass_seen_penalty(t->w);
  return pass_failed(t->w, error);
}

pynn_status part_judge_unmixed(pynn_trainer *t, const struct step *s, struct fault *fault, pynn_error *error) {
  if (!is_of_the_data(fault->operation)) return PYNN_ERROR_NUMERIC;
  const pynn_data *data = s->data;
  struct batch batch = step_rows(t, &data->x, s->order, s->first, s->rows);
  pass_targets(t->w, &data->targets, &data->weights, s->order, s->first, &batch, NULL);
  return finite_check(t->w, &batch, s->loss, t->gradient, s->order, s->first, fault, error);
}
