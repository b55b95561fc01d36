/* Blame: replays a refused step operation by operation on copies, and names the first whose result is not finite.
 *
 * The replay is the plain algorithm on whole matrices, without tiles or threads, in the order of the operations. It
 * runs in the model's dtype and then in double, which tells a dtype with too little range from a fault in any dtype. */
#include "compute/array.h"
#include "compute/scope.h"
#include "graph/layer.h"
#include "graph/replay.h"
#include "model/model.h"
#include "model/workspace.h"
#include "pass/loss.h"
#include "pass/targets.h"
#include "train/mixup.h"
#include "train/shards.h"
#include "train/update.h"

#include <math.h>
#include <string.h>

const char *pynn_operation_name(pynn_operation operation) {
  static const char *const names[] = {
#define OPERATION_TEXT(name, text) text,
      PYNN_OPERATION_LIST(OPERATION_TEXT)
#undef OPERATION_TEXT
  };
  return (unsigned)operation < sizeof names / sizeof *names ? names[operation] : "none";
}

/* A replay with the trainer's part of the step. */
struct blame {
  struct replay replay;
  const pynn_trainer *t;
  const struct step *part;     /* the rows that are replayed */
  void *slots[PYNN_MAX_SLOTS]; /* copies */
};

/* Inputs, weights and targets of the batch. */
static int data_fault(struct replay *r, const struct batch *batch) {
  const pynn_model *model = r->model;
  if (replay_fault(r, PYNN_OPERATION_INPUT, -1, r->w->input, r->rows, model->inputs, 1)) return 1;
  for (int64_t i = 0; i < r->rows; i++) { /* the target of a row of weight 0 may hold anything */
    const int64_t row = replay_row(r, i);
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
      memset(at(r->kernels, r->w->targets, i * model->targets), 0, (size_t)model->targets * r->kernels->size);
  }
  return !batch->has_labels && replay_fault(r, PYNN_OPERATION_TARGET, -1, r->w->targets, r->rows, model->targets, 1);
}

static int parameter_fault(struct blame *b) {
  struct replay *r = &b->replay;
  const pynn_model *model = r->model;
  for (int32_t i = 0; i < model->n_tensors; i++) {
    const pynn_tensor *tensor = &model->tensors[i].view;
    if (!tensor->trainable) continue;
    if (replay_fault(r, PYNN_OPERATION_PARAMETER, tensor->layer, at(r->kernels, model->parameters, tensor->offset),
                     tensor->rows, tensor->columns, 0))
      return 1;
    for (int s = 0; s < b->t->optimizer->n_slots; s++)
      if (replay_fault(r, PYNN_OPERATION_STATE, tensor->layer, at(r->kernels, b->slots[s], tensor->offset),
                       tensor->rows, tensor->columns, 0))
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

/* A layer of one operation: as in training, then a search in its values. */
static int whole_forward(struct replay *r, struct job *job) {
  const struct layer *layer = job->layer;
  layer->kind->forward(job);
  if (r->w->sums[job->index].activation_max <= r->kernels->maximum) return 0; /* copied columns may hold anything */
  if (!replay_fault(r, PYNN_OPERATION_FORWARD, job->index, job_values(job), r->rows, layer->units, 1)) return 0;
  return replay_operands(r, job->x, r->rows * layer->inputs,
                         layer->n_parameters ? at(r->kernels, r->model->parameters, layer->parameters) : NULL,
                         layer->n_parameters);
}

static int whole_backward(struct replay *r, struct job *job) {
  const struct layer *layer = job->layer;
  const int64_t n_delta = r->rows * layer->units;
  const double largest = replay_largest(r, job->dY, n_delta);
  layer->kind->backward(job);
  for (int32_t i = 0; i < r->model->n_tensors; i++) {
    const pynn_tensor *tensor = &r->model->tensors[i].view;
    if (tensor->layer == job->index && tensor->trainable &&
        replay_fault(r, PYNN_OPERATION_GRADIENT, job->index, at(r->kernels, r->gradient, tensor->offset), tensor->rows,
                     tensor->columns, 0)) {
      replay_operands(r, job->x, r->rows * layer->inputs, NULL, 0);
      return r->out->largest_right = largest, 1;
    }
  }
  if (!job->dX || !replay_fault(r, PYNN_OPERATION_DX, job->index, job->dX, r->rows, layer->inputs, 1)) return 0;
  r->out->largest_left = largest;
  return 1;
}

static int forward(struct blame *b) {
  struct replay *r = &b->replay;
  const pynn_model *model = r->model;
  struct job job = {.w = r->w, .rows = r->rows, .place = b->part->place, .training = 1, .step = (uint64_t)b->t->steps};
  r->w->inputs[0] = (struct values){r->w->input, model->inputs, NULL};
  r->w->masked = 0;
  pass_propose(r->w);
  for (int32_t i = 0; i < model->n_layers; i++) {
    pass_enter(&job, i, b->t->dropout_key);
    const struct layer_kind *kind = job.layer->kind;
    if (kind->replay_forward ? kind->replay_forward(r, &job) : whole_forward(r, &job)) return 1;
    r->w->inputs[i + 1] = (struct values){r->w->y[i], job.layer->units, NULL};
  }
  return 0;
}

static int loss(struct blame *b, const struct batch *batch) {
  struct replay *r = &b->replay;
  const pynn_model *model = r->model;
  const int64_t n = model->outputs;
  const char *logits = r->w->inputs[model->n_layers].at;
  double sum = 0;
  int bad = 0;
  for (int64_t i = 0; i < r->rows; i++) {
    const double weight = batch->has_weights ? r->w->weights[i] : 1;
    const double value = pass_row_loss(r->w, batch, i, logits + (size_t)(i * n) * r->kernels->size,
                                       weight / (double)b->part->whole, at(r->kernels, r->w->dY[0], i * n));
    if (weight == 0) continue;
    sum += weight * value;
    if (isfinite(weight * value) &&
        r->kernels->largest((size_t)n, at(r->kernels, r->w->dY[0], i * n)) <= r->kernels->maximum)
      continue;
    if (!bad++) *r->out = (pynn_blame){.operation = PYNN_OPERATION_LOSS, .layer = -1, .tensor_row = -1, .value = value};
    r->out->n_cells++;
    if (r->out->n_rows++ < PYNN_BLAME_CELLS) r->out->rows[r->out->n_rows - 1] = replay_row(r, i);
  }
  if (!bad && !isfinite(sum))
    *r->out = (pynn_blame){.operation = PYNN_OPERATION_LOSS, .layer = -1, .tensor_row = -1, .value = sum, .n_cells = 1};
  return bad || !isfinite(sum) ? replay_operands(r, logits, r->rows * n, batch->has_labels ? NULL : r->w->targets,
                                                 r->rows * model->targets)
                               : 0;
}

static int backward(struct blame *b) {
  struct replay *r = &b->replay;
  const int32_t lowest = pass_lowest(r->model);
  struct job job = {.w = r->w,
                    .rows = r->rows,
                    .place = b->part->place,
                    .training = 1,
                    .step = (uint64_t)b->t->steps,
                    .dY = r->w->dY[0],
                    .gradient = r->gradient};
  for (int32_t i = r->model->n_layers - 1; i >= lowest; i--) {
    pass_enter(&job, i, b->t->dropout_key);
    job.dX = i == lowest ? NULL : job.dY == r->w->dY[0] ? r->w->dY[1] : r->w->dY[0];
    const struct layer_kind *kind = job.layer->kind;
    if (kind->replay_backward ? kind->replay_backward(r, &job) : whole_backward(r, &job)) return 1;
    if (job.dX && job.layer->begins) pass_join(&job);
    job.dY = job.dX;
  }
  if (r->model->frozen) pass_silence(r->w, r->gradient);
  return 0;
}

static double gradient_norm(const struct replay *r, size_t n, double largest) {
  double sum = 0;
  for (size_t i = 0; i < n && largest > 0; i++) {
    const double share = number(r->kernels, r->gradient, (int64_t)i) / largest;
    sum += share * share;
  }
  return largest * sqrt(sum);
}

/* The update, on the copies. */
static int update(struct blame *b) {
  struct replay *r = &b->replay;
  const pynn_trainer *t = b->t;
  const pynn_model *model = r->model;
  const struct optimizer *optimizer = &r->kernels->optimizers[t->spec.row];
  const size_t n = (size_t)model->n_parameters;
  const double most = r->kernels->largest(n, r->gradient), before = replay_largest(r, model->parameters, (int64_t)n);
  const double norm = gradient_norm(r, n, most);
  struct update_health health = {0};
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
  update_apply(&u, n, model->parameters, r->gradient, b->slots, &health);
  for (int32_t i = 0; i < model->n_tensors; i++)
    for (int s = -1; s < optimizer->n_slots; s++) {
      const pynn_tensor *tensor = &model->tensors[i].view;
      if (!tensor->trainable) continue;
      const void *vector = s < 0 ? model->parameters : b->slots[s];
      if (!replay_fault(r, PYNN_OPERATION_UPDATE, tensor->layer, at(r->kernels, vector, tensor->offset), tensor->rows,
                        tensor->columns, 0))
        continue;
      r->out->largest_left = most;
      r->out->largest_right = before;
      return 1;
    }
  return 0;
}

/* Mixes the batch as the step did. */
static int mix(struct blame *b, struct batch *batch) {
  const struct replay *r = &b->replay;
  const pynn_trainer *t = b->t;
  batch->x = r->w->input;
  batch->ldx = r->model->inputs;
  if (t->mixup > 0) mixup_batch(r->w, batch, t->mixup, t->mixup_key, (uint64_t)t->steps);
  return 0;
}

static pynn_status prepare(struct blame *b, pynn_dtype dtype, pynn_error *error) {
  struct replay *r = &b->replay;
  const pynn_trainer *t = b->t;
  const pynn_model *original = t->model;
  const pynn_context *context = original->context;
  const size_t n = (size_t)original->n_parameters;
  pynn_status status = model_like(&r->model, original, dtype, error);
  if (!status) status = workspace_new(&r->w, r->model, r->rows, 1);
  if (status) return status;
  r->kernels = context->kernels[dtype];
  r->seen = context_allocate(context, (size_t)r->w->widest, 1);
  r->gradient = context_allocate(context, n, r->kernels->size);
  if (!r->seen || !r->gradient) return PYNN_ERROR_OUT_OF_MEMORY;
  model_copy(r->model, original);
  for (int i = 0; i < t->optimizer->n_slots; i++) {
    b->slots[i] = context_allocate(context, n, r->kernels->size);
    if (!b->slots[i]) return PYNN_ERROR_OUT_OF_MEMORY;
    r->kernels->from_array(n, t->slots[i], (int64_t)original->kernels->size, original->dtype, b->slots[i]);
  }
  return PYNN_OK;
}

static void release(struct blame *b) {
  const struct replay *r = &b->replay;
  const pynn_context *context = b->t->model->context;
  const size_t n = (size_t)b->t->model->n_parameters, size = r->kernels ? r->kernels->size : 1;
  context_release(context, r->gradient, n, size);
  for (int i = 0; i < b->t->optimizer->n_slots; i++) context_release(context, b->slots[i], n, size);
  context_release(context, r->seen, r->w ? (size_t)r->w->widest : 1, 1);
  pynn_workspace_free(r->w);
  pynn_model_free(r->model);
}

/* Replays a part of a step; the update, if the part is all of it. */
static pynn_status replay(const pynn_trainer *t, const struct step *part, pynn_dtype dtype, pynn_blame *out,
                          pynn_error *error) {
  const pynn_data *data = part->data;
  struct blame b = {
      .replay = {.order = part->order, .first = part->first, .rows = part->rows, .out = out}, .t = t, .part = part};
  struct replay *r = &b.replay;
  struct batch batch = {.rows = part->rows};
  *out = (pynn_blame){.layer = -1, .tensor_row = -1};
  pynn_status status = prepare(&b, dtype, error);
  if (!status) {
    const struct compute_scope scope = compute_begin(t->model->context, 0);
    array_gather(r->model->input_kernels, &data->x, part->order, part->first, part->rows, r->w->input);
    status = pass_targets(r->w, &data->targets, &data->weights, part->order, part->first, &batch, error);
    if (!status)
      (void)(data_fault(r, &batch) || parameter_fault(&b) || layer_state_fault(r) || mix(&b, &batch) || forward(&b) ||
             loss(&b, &batch) || backward(&b) || (part->rows == part->whole && update(&b)));
    compute_end(t->model->context, scope);
  }
  release(&b);
  return status;
}

/* Replays a step shard by shard, where a row meets others of its shard; then, or if they are all finite, as one. */
static pynn_status replay_step(const pynn_trainer *t, const struct step *step, pynn_dtype dtype, pynn_blame *out,
                               pynn_error *error) {
  const int64_t shards = t->mixup > 0 || t->model->updates_state ? t->shards.options.shards : 0;
  for (int64_t k = 0; k < shards; k++) {
    const struct step part = shards_part(t, step, k);
    if (!part.rows) break;
    pynn_status status = replay(t, &part, dtype, out, error);
    if (status || out->operation != PYNN_OPERATION_NONE) return status;
  }
  return replay(t, step, dtype, out, error);
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
  const struct step step = {.data = data, .order = order, .first = first, .rows = rows, .whole = rows};
  if (!status) status = replay_step(t, &step, t->model->dtype, &own, error);
  if (!status) status = replay_step(t, &step, PYNN_FLOAT64, &wide, error);
  if (status) return status;
  own.fails_in_float64 = wide.operation != PYNN_OPERATION_NONE;
  *out = own;
  return PYNN_OK;
}
