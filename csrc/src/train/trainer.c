/* Trainers: making them, and their settings. */
#include "base/rng.h"
#include "model/workspace.h"
#include "names/rates.h"
#include "names/tables.h"
#include "train/guard.h"
#include "train/shards.h"
#include "train/step.h"

#include <float.h>
#include <math.h>
#include <string.h>

void pynn_trainer_options_init(pynn_trainer_options *options, const pynn_model *model) {
  if (!options) return;
  *options = (pynn_trainer_options){.struct_size = sizeof *options, .batch_size = 32, .seed = model ? model->seed : 0};
  pynn_guard_init(&options->guard);
  pynn_spec_named(&options->optimizer, PYNN_OPTIMIZER, "sgd");
}

static pynn_status check_options(const pynn_model *model, const pynn_trainer_options *options, pynn_error *error) {
  if (!model || !options || options->struct_size != sizeof *options)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a model and options from pynn_trainer_options_init");
  if (!model->has_loss)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a loss, from pynn_model_set_loss; received none");
  if (!spec_valid(&options->optimizer, PYNN_OPTIMIZER))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected an optimizer made by pynn_spec_named and _set");
  if (options->batch_size < 1)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected batch_size >= 1; received batch_size=%lld",
                (long long)options->batch_size);
  if (options->batch_size > MAX_ROWS)
    return fail(error, PYNN_ERROR_TOO_LARGE, "expected batch_size <= 2^40; received batch_size=%lld",
                (long long)options->batch_size);
  if (!(options->clip_norm >= 0 && options->clip_norm <= model->kernels->maximum))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected clip_norm >= 0, finite; received clip_norm=%g",
                options->clip_norm);
  return guard_valid(&options->guard, error);
}

pynn_status pynn_trainer_set_guard(pynn_trainer *t, const pynn_guard *guard, pynn_error *error) {
  if (!t || !guard) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a trainer and a guard; received NULL");
  pynn_status status = guard_valid(guard, error);
  if (status) return status;
  status = trainer_memory(t, guard);
  if (status) return fail(error, status, "expected memory for good states and statistics; received none");
  guard_restart(&t->watch, guard);
  return PYNN_OK;
}

static pynn_status take_slots(pynn_trainer *t) {
  const pynn_model *model = t->model;
  for (int i = 0; i < t->optimizer->n_slots; i++) {
    t->slots[i] = context_allocate(model->context, (size_t)model->n_parameters, model->kernels->size);
    if (!t->slots[i]) return PYNN_ERROR_OUT_OF_MEMORY;
    if (t->optimizer->slot_start < 0) continue;
    t->largest.slot_max[i] = t->spec.values[t->optimizer->slot_start];
    fill(model->kernels, t->slots[i], model->n_parameters, t->largest.slot_max[i]);
  }
  return PYNN_OK;
}

static pynn_status take_memory(pynn_trainer *t, const pynn_trainer_options *options) {
  const pynn_context *context = t->model->context;
  const size_t size = t->model->kernels->size;
  pynn_status status = workspace_new(&t->w, t->model, options->batch_size, 1);
  if (status) return status;
  t->gradient = context_allocate(context, (size_t)t->model->n_parameters, size);
  t->trial = context_allocate(context, CHUNK * (size_t)(1 + t->optimizer->n_slots), size);
  t->chunk_health = context_allocate(context, (size_t)t->chunks, sizeof *t->chunk_health);
  if (!t->gradient || !t->trial || !t->chunk_health) return PYNN_ERROR_OUT_OF_MEMORY;
  status = take_slots(t);
  return status ? status : trainer_memory(t, &options->guard);
}

pynn_status pynn_trainer_new(pynn_trainer **out, pynn_model *model, const pynn_trainer_options *options,
                             pynn_error *error) {
  if (!out) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out; received NULL");
  pynn_status status = check_options(model, options, error);
  if (status) return status;
  pynn_trainer *t = context_allocate(model->context, 1, sizeof *t);
  if (!t) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for a trainer; received none");
  t->model = model;
  t->optimizer = &model->kernels->optimizers[options->optimizer.row];
  t->spec = options->optimizer;
  t->clip_norm = options->clip_norm;
  t->learning_rate = options->optimizer.values[0];
  t->rate_factor = 1;
  t->weight_decay = pynn_spec_get(&options->optimizer, "weight_decay");
  if (t->weight_decay != t->weight_decay) t->weight_decay = 0; /* the row has none */
  t->mixup_key = stream_key(options->seed, STREAM_MIXUP, 0);
  t->dropout_key = stream_key(options->seed, STREAM_DROPOUT, 0);
  t->chunks = (model->n_parameters + CHUNK - 1) / CHUNK;
  status = take_memory(t, options);
  if (status) {
    pynn_trainer_free(t);
    return fail(error, status, "expected memory for %lld parameters and a batch of %lld rows; received none",
                (long long)model->n_parameters, (long long)options->batch_size);
  }
  guard_restart(&t->watch, &options->guard);
  trainer_measure(t);
  *out = t;
  return PYNN_OK;
}

void pynn_trainer_free(pynn_trainer *t) {
  if (!t) return;
  const pynn_context *context = t->model->context;
  const size_t n = (size_t)t->model->n_parameters, size = t->model->kernels->size;
  const pynn_guard nothing = {.policy = PYNN_POLICY_OFF};
  shards_free(t);
  if (t->w) trainer_memory(t, &nothing);
  context_release(context, t->average.values, n, sizeof(double));
  pynn_workspace_free(t->w);
  context_release(context, t->gradient, n, size);
  for (int i = 0; i < t->optimizer->n_slots; i++) context_release(context, t->slots[i], n, size);
  context_release(context, t->trial, CHUNK * (size_t)(1 + t->optimizer->n_slots), size);
  context_release(context, t->chunk_health, (size_t)t->chunks, sizeof *t->chunk_health);
  context_release(context, t, 1, sizeof *t);
}

pynn_status pynn_trainer_set_learning_rate(pynn_trainer *t, double learning_rate) {
  if (!t) return PYNN_ERROR_INVALID_ARGUMENT;
  pynn_spec spec = t->spec;
  pynn_status status = pynn_spec_set(&spec, "learning_rate", learning_rate);
  if (!status) t->learning_rate = learning_rate, t->scheduled = 0;
  return status;
}
pynn_status pynn_trainer_set_schedule(pynn_trainer *t, const pynn_schedule *schedule, pynn_error *error) {
  if (!t || !schedule)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a trainer and a schedule; received NULL");
  pynn_status status = schedule_check(schedule, error);
  if (status) return status;
  t->schedule = *schedule;
  t->scheduled = 1;
  return PYNN_OK;
}
double pynn_trainer_rate_factor(const pynn_trainer *t) { return t ? t->rate_factor : (double)NAN; }
pynn_status pynn_trainer_set_rate_factor(pynn_trainer *t, double factor) {
  if (!t || !(factor > 0 && factor <= DBL_MAX)) return PYNN_ERROR_INVALID_ARGUMENT;
  t->rate_factor = factor;
  return PYNN_OK;
}
double pynn_trainer_learning_rate(const pynn_trainer *t) { return t ? trainer_rate(t) : (double)NAN; }
int64_t pynn_trainer_steps(const pynn_trainer *t) { return t ? t->steps : 0; }
pynn_status pynn_trainer_set_steps(pynn_trainer *t, int64_t steps) {
  if (!t || steps < 0) return PYNN_ERROR_INVALID_ARGUMENT;
  t->steps = steps;
  return PYNN_OK;
}
void *pynn_trainer_gradient(pynn_trainer *t) { return t ? t->gradient : NULL; }
int32_t pynn_trainer_n_slots(const pynn_trainer *t) { return t ? t->optimizer->n_slots : 0; }
void *pynn_trainer_slot(pynn_trainer *t, int32_t index) {
  if (!t || index < 0 || index >= t->optimizer->n_slots) return NULL;
  t->slots_given = 1;
  return t->slots[index];
}

pynn_status pynn_trainer_health(const pynn_trainer *t, int32_t layer, pynn_layer_health *out) {
  if (!t || !out || layer < 0 || layer >= t->model->n_layers) return PYNN_ERROR_INVALID_ARGUMENT;
  const struct layer_sums *sums = &t->w->sums[layer];
  *out = (pynn_layer_health){sums->activation_max, sums->delta_max, sums->gradient_max, step_layer_norm(t, layer)};
  return PYNN_OK;
}

pynn_status pynn_trainer_statistics(const pynn_trainer *t, int32_t layer, pynn_statistics *out) {
  if (!t || !out || layer < 0 || layer >= t->model->n_layers) return PYNN_ERROR_INVALID_ARGUMENT;
  *out = t->statistics ? t->statistics[layer] : (pynn_statistics){0};
  return PYNN_OK;
}

double pynn_trainer_epoch_loss(const pynn_trainer *t) {
  return t && t->epoch_rows ? t->epoch_loss / (double)t->epoch_rows : (double)NAN;
}

void pynn_trainer_begin_epoch(pynn_trainer *t) {
  if (!t) return;
  t->epoch_loss = 0;
  t->epoch_rows = 0;
  for (int32_t i = 0; t->w->observed && i < t->model->n_layers; i++)
    memset(t->w->observed[i].alive, 0, (size_t)t->model->layers[i].units);
}

void pynn_trainer_set_raw_predictions(pynn_trainer *t, int raw) {
  if (t) t->raw_predictions = raw != 0;
}
