/* Blame: a refused step, done again operation by operation on copies, to name the first that is not finite.
 *
 * The replay is the plain algorithm on whole matrices, without tiles or threads: where pass.c is fast this is exact
 * about the order of things. It runs in the model's dtype and then in double, which tells too little range from a fault
 * that no dtype would survive. */
#include "train/blame.h"

#include "compute/array.h"
#include "train/mixup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *pynn_operation_name(pynn_operation operation) {
  static const char *const names[] = {
#define OPERATION_TEXT(name, text) text,
      PYNN_OPERATION_LIST(OPERATION_TEXT)
#undef OPERATION_TEXT
  };
  return (unsigned)operation < sizeof names / sizeof *names ? names[operation] : "none";
}

static double number(const struct kernels *kernels, const void *x, int64_t i) {
  float single;
  double value;
  if (kernels->size == sizeof value) {
    memcpy(&value, (const char *)x + (size_t)i * sizeof value, sizeof value);
    return value;
  }
  memcpy(&single, (const char *)x + (size_t)i * sizeof single, sizeof single);
  return (double)single;
}

static char *part(const struct replay *r, void *vector, int64_t offset) {
  return (char *)vector + (size_t)offset * r->kernels->size;
}

static double largest_finite(const struct replay *r, const void *x, int64_t n) {
  double most = 0;
  for (int64_t i = 0; x && i < n; i++) {
    const double m = fabs(number(r->kernels, x, i));
    if (m <= r->kernels->maximum && m > most) most = m;
  }
  return most;
}

int replay_fault(struct replay *r, pynn_operation operation, int32_t layer, const void *x, int64_t rows,
                 int64_t columns, int data_rows) {
  pynn_blame *out = r->out, found = {.operation = operation, .layer = layer, .tensor_row = -1};
  const int input = operation == PYNN_OPERATION_INPUT;
  const struct kernels *kernels = input ? r->model->input_kernels : r->kernels;
  if (kernels->largest((size_t)(rows * columns), x) <= kernels->maximum) return 0;
  memset(r->seen, 0, (size_t)r->w->widest);
  for (int64_t i = 0; i < rows; i++) {
    int row_counted = 0;
    for (int64_t j = 0; j < columns; j++) {
      const double value = number(kernels, x, i * columns + j);
      if (fabs(value) <= kernels->maximum || (input && model_accepts(r->model, j, value))) continue;
      if (!found.n_cells++) {
        found.value = value;
        if (!data_rows) found.tensor_row = i;
      }
      if (data_rows && !row_counted++ && found.n_rows++ < PYNN_BLAME_CELLS)
        found.rows[found.n_rows - 1] = r->order ? r->order[r->first + i] : r->first + i;
      if (!r->seen[j] && found.n_columns++ < PYNN_BLAME_CELLS) found.columns[found.n_columns - 1] = j;
      r->seen[j] = 1;
    }
  }
  if (found.n_cells) *out = found;
  return found.n_cells > 0;
}

int replay_operands(struct replay *r, const void *left, int64_t n_left, const void *right, int64_t n_right) {
  r->out->largest_left = largest_finite(r, left, n_left);
  r->out->largest_right = largest_finite(r, right, n_right);
  return 1;
}

static int what_goes_in(struct replay *r, const struct batch *batch) {
  const pynn_model *model = r->model;
  if (replay_fault(r, PYNN_OPERATION_INPUT, -1, r->w->input, r->rows, model->inputs, 1)) return 1;
  for (int64_t i = 0; i < r->rows; i++) { /* a row of weight 0 is not there: its target may hold anything */
    const int64_t row = r->order ? r->order[r->first + i] : r->first + i;
    if (batch->has_weights && !(r->w->weights[i] <= r->kernels->maximum)) {
      *r->out = (pynn_blame){.operation = PYNN_OPERATION_SAMPLE_WEIGHT,
                             .layer = -1,
                             .n_cells = 1,
                             .n_rows = 1,
                             .rows = {row},
                             .tensor_row = -1,
                             .value = r->w->weights[i]};
      return 1;
    }
    if (batch->has_weights && r->w->weights[i] == 0)
      memset(part(r, r->w->targets, i * model->targets), 0, (size_t)model->targets * r->kernels->size);
  }
  if (!batch->has_labels && replay_fault(r, PYNN_OPERATION_TARGET, -1, r->w->targets, r->rows, model->targets, 1))
    return 1;
  for (int32_t i = 0; i < model->n_tensors; i++) {
    const pynn_tensor *tensor = &model->tensors[i].view;
    if (!tensor->trainable) continue;
    if (replay_fault(r, PYNN_OPERATION_PARAMETER, tensor->layer, part(r, model->parameters, tensor->offset),
                     tensor->rows, tensor->columns, 0))
      return 1;
    for (int s = 0; s < r->t->optimizer->n_slots; s++)
      if (replay_fault(r, PYNN_OPERATION_STATE, tensor->layer, part(r, r->slots[s], tensor->offset), tensor->rows,
                       tensor->columns, 0))
        return 1;
  }
  return 0;
}

static int layer_state_fault(struct replay *r) {
  int64_t unit;
  double value;
  const int32_t layer = model_odd_state(r->model, &unit, &value);
  if (layer < 0) return 0;
  *r->out = (pynn_blame){.operation = PYNN_OPERATION_LAYER_STATE,
                         .layer = layer,
                         .n_cells = 1,
                         .n_columns = 1,
                         .columns = {unit},
                         .tensor_row = -1,
                         .value = value};
  return 1;
}

/* A layer of one operation: as in training, then a look at what it gave. */
static int whole_forward(struct replay *r, struct job *job) {
  const struct layer *layer = job->layer;
  layer->kind->forward(job);
  if (r->w->sums[job->index].activation_max <= r->kernels->maximum) return 0; /* columns that pass may hold anything */
  if (!replay_fault(r, PYNN_OPERATION_FORWARD, job->index, job_values(job), r->rows, layer->units, 1)) return 0;
  return replay_operands(r, job->x, r->rows * layer->inputs,
                         layer->n_parameters ? part(r, r->model->parameters, layer->parameters) : NULL,
                         layer->n_parameters);
}

static int whole_backward(struct replay *r, struct job *job) {
  const struct layer *layer = job->layer;
  const int64_t n_delta = r->rows * layer->units;
  const double largest = largest_finite(r, job->delta, n_delta);
  layer->kind->backward(job);
  for (int32_t i = 0; i < r->model->n_tensors; i++) {
    const pynn_tensor *tensor = &r->model->tensors[i].view;
    if (tensor->layer == job->index && tensor->trainable &&
        replay_fault(r, PYNN_OPERATION_GRADIENT, job->index, part(r, r->gradient, tensor->offset), tensor->rows,
                     tensor->columns, 0)) {
      replay_operands(r, job->x, r->rows * layer->inputs, NULL, 0);
      return r->out->largest_right = largest, 1;
    }
  }
  if (!job->below || !replay_fault(r, PYNN_OPERATION_DX, job->index, job->below, r->rows, layer->inputs, 1)) return 0;
  r->out->largest_left = largest;
  return 1;
}

static int forward(struct replay *r) {
  const pynn_model *model = r->model;
  struct job job = {.w = r->w, .rows = r->rows, .training = 1, .step = (uint64_t)r->t->steps};
  r->w->inputs[0] = (struct values){r->w->input, model->inputs, NULL};
  pass_propose(r->w);
  for (int32_t i = 0; i < model->n_layers; i++) {
    pass_enter(&job, i, r->t->dropout_key);
    const struct layer_kind *kind = job.layer->kind;
    if (kind->replay_forward ? kind->replay_forward(r, &job) : whole_forward(r, &job)) return 1;
    r->w->inputs[i + 1] = (struct values){r->w->y[i], job.layer->units, NULL};
  }
  return 0;
}

static int loss(struct replay *r, const struct batch *batch) {
  const pynn_model *model = r->model;
  const int64_t n = model->outputs;
  const char *logits = r->w->inputs[model->n_layers].at;
  double sum = 0;
  int bad = 0;
  for (int64_t i = 0; i < r->rows; i++) {
    const double weight = batch->has_weights ? r->w->weights[i] : 1;
    const void *target = batch->has_labels ? NULL : part(r, r->w->targets, i * model->targets);
    const double value = pass_row_loss(r->w, logits + (size_t)(i * n) * r->kernels->size, target, r->w->labels[i],
                                       weight / (double)r->rows, part(r, r->w->delta[0], i * n));
    if (weight == 0) continue;
    sum += weight * value;
    if (isfinite(weight * value) &&
        r->kernels->largest((size_t)n, part(r, r->w->delta[0], i * n)) <= r->kernels->maximum)
      continue;
    if (!bad++) *r->out = (pynn_blame){.operation = PYNN_OPERATION_LOSS, .layer = -1, .tensor_row = -1, .value = value};
    r->out->n_cells++;
    if (r->out->n_rows++ < PYNN_BLAME_CELLS)
      r->out->rows[r->out->n_rows - 1] = r->order ? r->order[r->first + i] : r->first + i;
  }
  if (!bad && !isfinite(sum))
    *r->out = (pynn_blame){.operation = PYNN_OPERATION_LOSS, .layer = -1, .tensor_row = -1, .value = sum, .n_cells = 1};
  return bad || !isfinite(sum) ? replay_operands(r, logits, r->rows * n, batch->has_labels ? NULL : r->w->targets,
                                                 r->rows * model->targets)
                               : 0;
}

void replay_row_of_gradient(struct replay *r, const struct job *job) {
  const int64_t inputs = job->layer->inputs, units = job->layer->units;
  double largest = -1;
  for (int64_t i = 0; i < r->rows; i++) {
    const double product = fabs(number(r->kernels, job->x, i * inputs + r->out->tensor_row) *
                                number(r->kernels, job->delta, i * units + r->out->columns[0]));
    if (product <= largest) continue;
    largest = product;
    r->out->n_rows = 1;
    r->out->rows[0] = r->order ? r->order[r->first + i] : r->first + i;
  }
}

static int backward(struct replay *r) {
  const int32_t lowest = pass_lowest(r->model);
  struct job job = {.w = r->w,
                    .rows = r->rows,
                    .training = 1,
                    .step = (uint64_t)r->t->steps,
                    .delta = r->w->delta[0],
                    .gradient = r->gradient};
  for (int32_t i = r->model->n_layers - 1; i >= lowest; i--) {
    pass_enter(&job, i, r->t->dropout_key);
    job.below = i == lowest ? NULL : job.delta == r->w->delta[0] ? r->w->delta[1] : r->w->delta[0];
    const struct layer_kind *kind = job.layer->kind;
    if (kind->replay_backward ? kind->replay_backward(r, &job) : whole_backward(r, &job)) return 1;
    if (job.below && job.layer->begins) pass_join(&job);
    job.delta = job.below;
  }
  return 0;
}

/* The update itself; the replay's copies take it. */
static int update(struct replay *r) {
  const pynn_trainer *t = r->t;
  const pynn_model *model = r->model;
  const struct optimizer *optimizer = &r->kernels->optimizers[t->spec.row];
  const size_t n = (size_t)model->n_parameters;
  const double most = r->kernels->largest(n, r->gradient), before = largest_finite(r, model->parameters, (int64_t)n);
  double norm = 0;
  struct update_health health = {0};
  for (size_t i = 0; i < n && most > 0; i++) {
    const double share = number(r->kernels, r->gradient, (int64_t)i) / most;
    norm += share * share;
  }
  norm = most * sqrt(norm);
  if (!isfinite(norm)) {
    *r->out = (pynn_blame){.operation = PYNN_OPERATION_CLIP,
                           .layer = -1,
                           .tensor_row = -1,
                           .value = norm,
                           .n_cells = 1,
                           .largest_left = most};
    return 1;
  }
  const struct update u =
      update_prepare(t, r->kernels, t->clip_norm > 0 && norm > t->clip_norm ? t->clip_norm / norm : 1);
  update_apply(&u, n, model->parameters, r->gradient, r->slots, &health);
  for (int32_t i = 0; i < model->n_tensors; i++)
    for (int s = -1; s < optimizer->n_slots; s++) {
      const pynn_tensor *tensor = &model->tensors[i].view;
      if (!tensor->trainable) continue;
      const void *vector = s < 0 ? model->parameters : r->slots[s];
      if (!replay_fault(r, PYNN_OPERATION_UPDATE, tensor->layer,
                        (const char *)vector + (size_t)tensor->offset * r->kernels->size, tensor->rows, tensor->columns,
                        0))
        continue;
      r->out->largest_left = most;
      r->out->largest_right = before;
      return 1;
    }
  return 0;
}

/* The batch as the step saw it. */
static int mix(struct replay *r, struct batch *batch) {
  batch->x = r->w->input;
  batch->ldx = r->model->inputs;
  if (r->t->mixup > 0) mixup_batch(r->w, batch, r->t->mixup, r->t->mixup_key, (uint64_t)r->t->steps);
  return 0;
}

static void copy_reals(const struct replay *r, const void *from, int64_t n, void *to) {
  const pynn_model *original = r->t->model;
  r->kernels->from_array((size_t)n, from, (int64_t)original->kernels->size, original->dtype, to);
}

static pynn_status prepare(struct replay *r, pynn_dtype dtype, pynn_error *error) {
  const pynn_model *original = r->t->model;
  const pynn_context *context = original->context;
  pynn_status status = model_like(&r->model, original, dtype, error);
  if (!status) status = workspace_new(&r->w, r->model, r->rows, 1);
  if (status) return status;
  r->kernels = context->kernels[dtype];
  r->seen = context_allocate(context, (size_t)r->w->widest, 1);
  r->gradient = context_allocate(context, (size_t)original->n_parameters, r->kernels->size);
  if (!r->seen || !r->gradient) return PYNN_ERROR_OUT_OF_MEMORY;
  model_copy(r->model, original);
  for (int i = 0; i < r->t->optimizer->n_slots; i++) {
    r->slots[i] = context_allocate(context, (size_t)original->n_parameters, r->kernels->size);
    if (!r->slots[i]) return PYNN_ERROR_OUT_OF_MEMORY;
    copy_reals(r, r->t->slots[i], original->n_parameters, r->slots[i]);
  }
  return PYNN_OK;
}

static void release(struct replay *r) {
  const pynn_context *context = r->t->model->context;
  const size_t n = (size_t)r->t->model->n_parameters, size = r->kernels ? r->kernels->size : 1;
  context_release(context, r->gradient, n, size);
  for (int i = 0; i < r->t->optimizer->n_slots; i++) context_release(context, r->slots[i], n, size);
  context_release(context, r->seen, r->w ? (size_t)r->w->widest : 1, 1);
  pynn_workspace_free(r->w);
  pynn_model_free(r->model);
}

static pynn_status replay(const pynn_trainer *t, const pynn_data *data, const int64_t *order, int64_t first,
                          int64_t rows, pynn_dtype dtype, pynn_blame *out, pynn_error *error) {
  struct replay r = {.t = t, .order = order, .first = first, .rows = rows, .out = out};
  struct batch batch = {.rows = rows};
  *out = (pynn_blame){.layer = -1, .tensor_row = -1};
  pynn_status status = prepare(&r, dtype, error);
  if (!status) {
    const struct guard guard = compute_begin(t->model->context, 0);
    array_gather(r.model->input_kernels, &data->x, order, first, rows, r.w->input);
    status = pass_targets(r.w, &data->targets, &data->weights, order, first, &batch, error);
    if (!status)
      (void)(what_goes_in(&r, &batch) || layer_state_fault(&r) || mix(&r, &batch) || forward(&r) || loss(&r, &batch) ||
             backward(&r) || update(&r));
    compute_end(t->model->context, guard);
  }
  release(&r);
  return status;
}

pynn_status pynn_trainer_blame(const pynn_trainer *t, const pynn_data *data, const int64_t *order, int64_t first,
                               int64_t rows, pynn_blame *out, pynn_error *error) {
  if (!t || !data || !out || rows < 1 || first < 0)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a trainer, data, rows >= 1 and out");
  pynn_status status = pass_check_targets(t->model, &data->x, &data->targets, &data->weights, error);
  for (int64_t i = 0; i < rows && !status; i++) {
    const int64_t row = order ? order[first + i] : first + i;
    if (row < 0 || row >= data->x.rows)
      status = fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected row numbers in 0 ... %lld; received %lld",
                    (long long)data->x.rows - 1, (long long)row);
  }
  pynn_blame own, wide;
  if (!status) status = replay(t, data, order, first, rows, t->model->dtype, &own, error);
  if (!status) status = replay(t, data, order, first, rows, PYNN_FLOAT64, &wide, error);
  if (status) return status;
  own.fails_in_float64 = wide.operation != PYNN_OPERATION_NONE;
  *out = own;
  return PYNN_OK;
}
