/* One step: pass, health, clip, refuse or update; and steps over data in memory.
 *
 * A step is a transaction. Gradients are complete before a parameter changes; whatever is not finite by then refuses
 * the step. That the update itself stays finite is proved from the largest magnitudes that go into it, which costs
 * nothing; where the proof fails, the update is first tried on copies. */
#include "train/trainer.h"

#include "compute/array.h"
#include "train/health.h"
#include "graph/layer.h"
#include "train/mixup.h"
#include "base/rng.h"
#include "names/schedules.h"
#include "names/tables.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <time.h>

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

static void give_back(const pynn_context *context, void *pointer, size_t count, size_t size) {
  void *memory;
  memcpy(&memory, pointer, sizeof memory);
  context_release(context, memory, count, size);
  memset(pointer, 0, sizeof memory);
}

static int take(const pynn_context *context, void *pointer, size_t count, size_t size) {
  void *memory;
  memcpy(&memory, pointer, sizeof memory);
  if (!memory) memory = context_allocate(context, count, size);
  memcpy(pointer, &memory, sizeof memory);
  return memory != NULL;
}

pynn_status guard_memory(pynn_trainer *t, const pynn_guard *guard) {
  const pynn_context *context = t->model->context;
  const size_t n = (size_t)t->model->n_parameters, size = t->model->kernels->size, chunks = (size_t)t->chunks;
  const size_t state = n * (size_t)(1 + t->optimizer->n_slots), n_layers = (size_t)t->model->n_layers;
  int enough = 1;
  for (int i = 0; i < SNAPSHOTS && guard->policy == PYNN_POLICY_ROLLBACK; i++)
    enough &= take(context, &t->watch.snapshots[i].values, state, size) &&
              take(context, &t->watch.snapshots[i].state, (size_t)t->model->n_state, sizeof(double)) &&
              (!t->average.values || take(context, &t->watch.snapshots[i].average, n, sizeof(double)));
  if (guard->check_every > 0)
    enough &= workspace_observe(t->w, 1) == PYNN_OK && take(context, &t->before, n, size) &&
              take(context, &t->chunk_changed, chunks, sizeof *t->chunk_changed) &&
              take(context, &t->statistics, n_layers, sizeof *t->statistics);
  if (!enough) guard = &t->watch.options;
  for (int i = 0; i < SNAPSHOTS; i++) {
    if (guard->policy != PYNN_POLICY_ROLLBACK) {
      give_back(context, &t->watch.snapshots[i].values, state, size);
      give_back(context, &t->watch.snapshots[i].state, (size_t)t->model->n_state, sizeof(double));
    }
    if (guard->policy != PYNN_POLICY_ROLLBACK || !t->average.values)
      give_back(context, &t->watch.snapshots[i].average, n, sizeof(double));
  }
  if (!guard->check_every) {
    workspace_observe(t->w, 0);
    give_back(context, &t->before, n, size);
    give_back(context, &t->chunk_changed, chunks, sizeof *t->chunk_changed);
    give_back(context, &t->statistics, n_layers, sizeof *t->statistics);
  }
  return enough ? PYNN_OK : PYNN_ERROR_OUT_OF_MEMORY;
}

pynn_status pynn_trainer_set_guard(pynn_trainer *t, const pynn_guard *guard, pynn_error *error) {
  if (!t || !guard) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a trainer and a guard; received NULL");
  pynn_status status = guard_valid(guard, error);
  if (status) return status;
  status = guard_memory(t, guard);
  if (status) return fail(error, status, "expected memory for good states and statistics; received none");
  guard_restart(&t->watch, guard);
  return PYNN_OK;
}

static void fill(const struct kernels *kernels, void *vector, int64_t n, double value) {
  for (int64_t i = 0; i < n; i++) kernels->from_double(1, &value, (char *)vector + (size_t)i * kernels->size);
}

pynn_status pynn_trainer_new(pynn_trainer **out, pynn_model *model, const pynn_trainer_options *options,
                             pynn_error *error) {
  if (!out) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out; received NULL");
  pynn_status status = check_options(model, options, error);
  if (status) return status;
  const pynn_context *context = model->context;
  const struct kernels *kernels = model->kernels;
  const size_t n = (size_t)model->n_parameters;
  pynn_trainer *t = context_allocate(context, 1, sizeof *t);
  if (!t) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for a trainer; received none");
  t->model = model;
  t->optimizer = &kernels->optimizers[options->optimizer.row];
  t->spec = options->optimizer;
  t->clip_norm = options->clip_norm;
  t->learning_rate = options->optimizer.values[0];
  t->rate_factor = 1;
  t->weight_decay = pynn_spec_get(&options->optimizer, "weight_decay");
  if (t->weight_decay != t->weight_decay) t->weight_decay = 0; /* the row has none */
  t->mixup_key = stream_key(options->seed, STREAM_MIXUP, 0);
  t->dropout_key = stream_key(options->seed, STREAM_DROPOUT, 0);
  t->chunks = (model->n_parameters + CHUNK - 1) / CHUNK;
  status = workspace_new(&t->w, model, options->batch_size, 1);
  if (!status) {
    t->gradient = context_allocate(context, n, kernels->size);
    t->trial = context_allocate(context, CHUNK * (size_t)(1 + t->optimizer->n_slots), kernels->size);
    t->chunk_health = context_allocate(context, (size_t)t->chunks, sizeof *t->chunk_health);
    if (!t->gradient || !t->trial || !t->chunk_health) status = PYNN_ERROR_OUT_OF_MEMORY;
  }
  for (int i = 0; i < t->optimizer->n_slots && !status; i++) {
    t->slots[i] = context_allocate(context, n, kernels->size);
    if (!t->slots[i]) status = PYNN_ERROR_OUT_OF_MEMORY;
    if (status || t->optimizer->slot_start < 0) continue;
    t->largest.slot_max[i] = t->spec.values[t->optimizer->slot_start];
    fill(kernels, t->slots[i], model->n_parameters, t->largest.slot_max[i]);
  }
  if (!status) status = guard_memory(t, &options->guard);
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
  if (t->w) guard_memory(t, &nothing);
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
double pynn_trainer_learning_rate(const pynn_trainer *t) {
  if (!t) return (double)NAN;
  return t->scheduled ? t->rate_factor * pynn_schedule_rate(&t->schedule, t->steps) : t->learning_rate;
}
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

/* ---- norms of the gradient; where squares of doubles leave their range, once more and scaled */

static int squares_in_range(const pynn_trainer *t, double squares) {
  return t->model->kernels->size == sizeof(float) || (squares > 1e-280 && squares <= DBL_MAX);
}

static double layer_gradient_norm(const pynn_trainer *t, int32_t i) {
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
  for (int32_t i = 0; i < t->model->n_layers; i++) norm = hypot(norm, layer_gradient_norm(t, i));
  return norm;
}

pynn_status pynn_trainer_health(const pynn_trainer *t, int32_t layer, pynn_layer_health *out) {
  if (!t || !out || layer < 0 || layer >= t->model->n_layers) return PYNN_ERROR_INVALID_ARGUMENT;
  const struct layer_sums *sums = &t->w->sums[layer];
  *out = (pynn_layer_health){sums->activation_max, sums->delta_max, sums->gradient_max, layer_gradient_norm(t, layer)};
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

/* ---- the update */

int trainer_measure(pynn_trainer *t) {
  const struct kernels *kernels = t->model->kernels;
  const size_t n = (size_t)t->model->n_parameters;
  t->largest.parameter_max = kernels->largest(n, t->model->parameters);
  int finite = t->largest.parameter_max <= kernels->maximum;
  for (int i = 0; i < t->optimizer->n_slots; i++) {
    t->largest.slot_max[i] = kernels->largest(n, t->slots[i]);
    finite &= t->largest.slot_max[i] <= kernels->maximum;
  }
  return finite;
}

struct update update_prepare(const pynn_trainer *t, const struct kernels *kernels, double scale) {
  struct update u = {.t = t, .optimizer = &kernels->optimizers[t->spec.row], .kernels = kernels, .scale = scale};
  u.keep = 1 - t->learning_rate * t->weight_decay;
  u.optimizer->coefficients(t->spec.values, t->learning_rate, t->steps + 1, u.c);
  return u;
}

void update_apply(const struct update *u, size_t n, void *w, const void *g, void *const *slots,
                  struct update_health *health) {
  if (u->keep != 1) u->kernels->scale(n, w, u->keep);
  u->optimizer->update(n, w, g, u->scale, slots, u->c, health);
}

static void update_chunk(void *argument, int64_t index) {
  const struct update *u = argument;
  const pynn_trainer *t = u->t;
  const size_t size = t->model->kernels->size, from = (size_t)index * CHUNK * size;
  const int64_t left = t->model->n_parameters - index * CHUNK;
  void *slots[PYNN_MAX_SLOTS] = {NULL};
  const size_t n = (size_t)(left < CHUNK ? left : CHUNK);
  for (int i = 0; i < t->optimizer->n_slots; i++) slots[i] = (char *)t->slots[i] + from;
  if (t->w->observes) memcpy((char *)t->before + from, (const char *)t->model->parameters + from, n * size);
  update_apply(u, n, (char *)t->model->parameters + from, (const char *)t->gradient + from, slots,
               &t->chunk_health[index]);
}

/* Whether the update of every chunk is finite, tried on copies. */
static int update_survives(const struct update *u) {
  const pynn_trainer *t = u->t;
  const size_t size = t->model->kernels->size;
  const double maximum = t->model->kernels->maximum;
  int survives = 1;
  for (int64_t index = 0; index < t->chunks && survives; index++) {
    const size_t from = (size_t)index * CHUNK * size;
    const int64_t left = t->model->n_parameters - index * CHUNK;
    const size_t n = (size_t)(left < CHUNK ? left : CHUNK);
    struct update_health health = {0};
    void *slots[PYNN_MAX_SLOTS] = {NULL};
    memcpy(t->trial, (const char *)t->model->parameters + from, n * size);
    for (int i = 0; i < t->optimizer->n_slots; i++) {
      slots[i] = (char *)t->trial + (size_t)(i + 1) * CHUNK * size;
      memcpy(slots[i], (const char *)t->slots[i] + from, n * size);
    }
    update_apply(u, n, t->trial, (const char *)t->gradient + from, slots, &health);
    survives = health.parameter_max <= maximum;
    for (int i = 0; i < t->optimizer->n_slots; i++) survives &= health.slot_max[i] <= maximum;
  }
  return survives;
}

struct constraining {
  const pynn_model *model;
  const struct constraint *constraint;
  const double *p;
  char *w;
  int64_t rows, columns;
};

static void constrain_tile(void *argument, int64_t index) {
  const struct constraining *c = argument;
  const int64_t from = index * CONSTRAINED, left = c->columns - from;
  c->constraint->apply((size_t)c->rows, (size_t)(left < CONSTRAINED ? left : CONSTRAINED),
                       c->w + (size_t)from * c->model->kernels->size, (size_t)c->columns, c->p);
}

/* Tensors that have a constraint are made to keep it: kernels by columns, a bias as one column. */
static void constrain(pynn_trainer *t) {
  const pynn_model *model = t->model;
  for (int32_t i = 0; i < model->n_tensors; i++) {
    const pynn_tensor *view = &model->tensors[i].view;
    const pynn_spec *spec = layer_constraint(model, &model->tensors[i]);
    if (!spec) continue;
    const int bias = model->tensors[i].constraint == SPEC_BIAS_CONSTRAINT;
    struct constraining c = {.model = model,
                             .constraint = &model->kernels->constraints[spec->row],
                             .p = spec->values,
                             .w = (char *)model->parameters + (size_t)view->offset * model->kernels->size,
                             .rows = bias ? view->columns : view->rows,
                             .columns = bias ? view->rows : view->columns};
    parallel_for(model->context, (c.columns + CONSTRAINED - 1) / CONSTRAINED, 4.0 * (double)(c.rows * c.columns),
                 constrain_tile, &c);
    /* a bound: only a norm that was wanted can have made a number larger */
    t->largest.parameter_max = larger(t->largest.parameter_max, larger(1, larger(c.p[0], c.p[1])));
  }
}

/* Parameters and state move by one step, or stay as they are. */
static pynn_status update(pynn_trainer *t, double norm, double scale, struct fault *fault, pynn_error *error) {
  const struct kernels *kernels = t->model->kernels;
  struct update u = update_prepare(t, kernels, scale);
  if (t->watch.options.policy != PYNN_POLICY_OFF) {
    double g_max = 0;
    for (int32_t i = 0; i < t->model->n_layers; i++) g_max = larger(g_max, t->w->sums[i].gradient_max);
    /* Changes below an ulp of the largest number cannot overflow a finite parameter. */
    const double w_max = t->largest.parameter_max * fmax(1, fabs(u.keep));
    const double bound = t->optimizer->bound(u.c, w_max, g_max * u.scale, t->largest.slot_max);
    if (!(bound <= kernels->maximum * 0x1p-54) && !update_survives(&u)) {
      *fault = (struct fault){PYNN_OPERATION_UPDATE, -1, -1, -1, norm, 0};
      return fail(error, PYNN_ERROR_NUMERIC,
                  "expected finite parameters; received an update that would overflow (learning rate %g, gradient norm "
                  "%g); nothing was updated",
                  t->learning_rate, norm);
    }
  }
  parallel_for(t->model->context, t->chunks, 10.0 * (double)t->model->n_parameters, update_chunk, &u);
  t->largest = (struct update_health){0};
  for (int64_t i = 0; i < t->chunks; i++) {
    t->largest.parameter_max = larger(t->largest.parameter_max, t->chunk_health[i].parameter_max);
    for (int j = 0; j < t->optimizer->n_slots; j++)
      t->largest.slot_max[j] = larger(t->largest.slot_max[j], t->chunk_health[i].slot_max[j]);
  }
  if (t->model->constrained) constrain(t);
  t->steps++;
  if (t->average.values) average_step(t);
  return PYNN_OK;
}

/* ---- steps */

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

/* The batch's rows where they lie when they lie well, else gathered. */
static struct batch take_rows(const pynn_trainer *t, const pynn_array *x, const int64_t *order, int64_t first,
                              int64_t rows) {
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

/* What speaks against the step that a pass has prepared. */
static pynn_status judge(pynn_trainer *t, const struct batch *batch, double loss, double penalty, double norm,
                         const int64_t *order, int64_t first, struct fault *fault, pynn_error *error) {
  pynn_status status = health_check(t->w, batch, loss + penalty, t->gradient, order, first, fault, error);
  if (status) return status;
  if (!isfinite(norm)) {
    *fault = (struct fault){PYNN_OPERATION_CLIP, -1, -1, -1, norm, 0};
    return fail(error, PYNN_ERROR_NUMERIC, "expected a finite gradient norm; received %g; nothing was updated", norm);
  }
  const double mean = loss / (double)batch->rows;
  if (!guard_diverges(t, batch, mean)) return PYNN_OK;
  *fault = (struct fault){PYNN_OPERATION_NONE, -1, -1, -1, mean, 1};
  return fail(error, PYNN_ERROR_NUMERIC,
              "expected a loss that falls; received one that has diverged, to %g (learning rate %g, first loss %g); "
              "nothing was updated",
              mean, t->learning_rate, t->watch.first_loss);
}

/* A refused step again, on rows that are not mixed: a bad cell is found where it lies in the caller's data. */
static pynn_status judge_unmixed(pynn_trainer *t, const pynn_data *data, const int64_t *order, int64_t first,
                                 int64_t rows, double loss, struct fault *fault, pynn_error *error) {
  const int of_the_data = fault->operation == PYNN_OPERATION_INPUT || fault->operation == PYNN_OPERATION_TARGET ||
                          fault->operation == PYNN_OPERATION_SAMPLE_WEIGHT;
  if (!of_the_data) return PYNN_ERROR_NUMERIC;
  struct batch batch = take_rows(t, &data->x, order, first, rows);
  pass_targets(t->w, &data->targets, &data->weights, order, first, &batch, NULL);
  return health_check(t->w, &batch, loss, t->gradient, order, first, fault, error);
}

/* A factor below the smallest number would count as 0, though its product with a huge gradient is none: then the
 * gradient itself is brought to norm `wanted`. Returns the factor that is left. */
static double scale_to(pynn_trainer *t, double norm, double wanted, double scale) {
  const int single = t->model->dtype == PYNN_FLOAT32;
  if (scale >= (single ? (double)FLT_MIN : DBL_MIN) || !(wanted > 0)) return scale;
  for (int64_t i = 0; i < t->model->n_parameters; i++)
    if (single) ((float *)t->gradient)[i] = (float)((double)((float *)t->gradient)[i] / norm * wanted);
    else ((double *)t->gradient)[i] = ((double *)t->gradient)[i] / norm * wanted;
  return 1;
}

/* Now and then; in the first period more often, since short runs have no other. */
static int statistics_due(const pynn_trainer *t) {
  const int64_t every = t->watch.options.check_every, step = t->steps;
  return step % every == 0 || (step >= 16 && (step == every / 2 || step == every / 4 || step == every / 8));
}

static pynn_status step_rows(pynn_trainer *t, const pynn_data *data, const int64_t *order, int64_t first, int64_t rows,
                             void *predictions, pynn_step *result, struct fault *fault, pynn_error *error) {
  struct watch *watch = &t->watch;
  const int watched = watch->options.policy != PYNN_POLICY_OFF;
  struct batch batch = take_rows(t, &data->x, order, first, rows);
  pynn_status status = batch.x ? PYNN_OK : sparse_check(&batch.sparse, rows, error);
  if (!status) status = pass_targets(t->w, &data->targets, &data->weights, order, first, &batch, error);
  if (status) return status;
  if (t->mixup > 0 && !batch.x)
    return fail(error, PYNN_ERROR_UNSUPPORTED, "expected dense rows to mix; received sparse ones");
  t->learning_rate = pynn_trainer_learning_rate(t);
  if (t->mixup > 0) mixup_batch(t->w, &batch, t->mixup, t->mixup_key, (uint64_t)t->steps);
  guard_keep(t);
  t->w->observes = t->before && statistics_due(t);
  const void *logits = pass_forward(t->w, &batch, 1, t->dropout_key, (uint64_t)t->steps);
  const double loss = pass_loss(t->w, &batch, logits, 1);
  status = pass_failed(t->w, error);
  if (status) return status;
  if (predictions) pass_predictions(t->w, rows, logits, 0, predictions);
  pass_backward(t->w, &batch, t->gradient, t->dropout_key, (uint64_t)t->steps);
  status = pass_failed(t->w, error);
  if (status) return status;
  const double norm = gradient_norm(t), penalty = (double)rows * pass_seen_penalty(t->w);
  if (watched) status = judge(t, &batch, loss, penalty, norm, order, first, fault, error);
  if (status && t->mixup > 0) status = judge_unmixed(t, data, order, first, rows, loss, fault, error);
  if (status) return status;
  double scale = t->clip_norm > 0 && norm > t->clip_norm ? t->clip_norm / norm : 1;
  const double clipped = scale < 1 ? t->clip_norm : norm, unusual = guard_clip(watch, clipped);
  scale = scale_to(t, norm, clipped * unusual, scale * unusual);
  status = update(t, norm, scale, fault, error);
  if (status) return status;
  if (t->w->proposed) memcpy(t->model->state, t->w->proposed, (size_t)t->model->n_state * sizeof *t->w->proposed);
  if (unusual < 1)
    guard_note(t, PYNN_EVENT_CLIPPED, &(struct fault){PYNN_OPERATION_CLIP, -1, -1, -1, norm, 0}, first, rows);
  guard_applied(watch, clipped * unusual);
  if (t->w->observes) health_statistics(t);
  t->epoch_loss += loss + penalty;
  t->epoch_rows += rows;
  result->loss += loss + penalty;
  result->gradient_norm = norm;
  result->rows += rows;
  result->steps++;
  return PYNN_OK;
}

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

pynn_status pynn_train_batches(pynn_trainer *t, const pynn_data *data, const int64_t *order, int64_t first,
                               int64_t count, int64_t batch_size, double seconds, void *predictions, pynn_step *step,
                               pynn_error *error) {
  if (!t || !data || !step)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a trainer, data and step; received NULL");
  if (batch_size < 1 || batch_size > t->w->capacity)
    return fail(error, PYNN_ERROR_TOO_LARGE,
                "expected batches of 1 ... %lld rows, as the trainer was made for; received %lld",
                (long long)t->w->capacity, (long long)batch_size);
  pynn_status status = pass_check_targets(t->model, &data->x, &data->targets, &data->weights, error);
  if (!status) status = model_ready(t->model, 1, error);
  if (!status) status = check_order(data, order, first, count, error);
  if (!status) status = array_check_out(predictions, "predictions", t->model->kernels, error);
  if (status) return status;

  const struct kernels *kernels = t->model->kernels;
  const struct guard guard = compute_begin(t->model->context, pass_uses_blas(t->model, batch_size));
  const double until = seconds > 0 ? seconds_now() + seconds : HUGE_VAL;
  pynn_step result = {0};
  if (t->slots_given || t->model->parameters_given) trainer_measure(t);
  for (int64_t done = 0; done < count && !status;) {
    const int64_t rows = count - done < batch_size ? count - done : batch_size;
    const int64_t steps = result.steps;
    struct fault fault;
    status = step_rows(t, data, order, first + done, rows, predictions, &result, &fault, error);
    if (status == PYNN_ERROR_NUMERIC) {
      if (predictions) fill(kernels, predictions, rows * t->model->outputs, (double)NAN);
      status = guard_refused(t, &fault, first + done, rows, error);
      if (!status) result.refused++, result.refused_rows += rows;
    }
    result.applied = result.steps > steps;
    done += rows;
    if (predictions) predictions = (char *)predictions + (size_t)(rows * t->model->outputs) * kernels->size;
    if (seconds > 0 && seconds_now() >= until) break;
  }
  compute_end(t->model->context, guard);
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
    if (t->model->layers[i].kind->flags & ~(uint32_t)(LAYER_PRODUCT | LAYER_SPARSE))
      return fail(error, PYNN_ERROR_UNSUPPORTED,
                  "expected layers that do the same in training as in prediction; received '%s' as layer %d",
                  t->model->layers[i].kind->row.name, (int)i);
  pynn_status status = pass_check_targets(t->model, &data->x, &data->targets, &data->weights, error);
  if (!status) status = model_ready(t->model, 1, error);
  if (status) return status;
  const struct guard guard = compute_begin(t->model->context, pass_uses_blas(t->model, batch_size));
  const size_t n = (size_t)t->model->n_parameters;
  double mean = 0;
  memset(gradient, 0, n * sizeof *gradient);
  t->w->observes = 0;
  for (int64_t first = 0; first < data->x.rows && !status; first += batch_size) {
    const int64_t left = data->x.rows - first, rows = left < batch_size ? left : batch_size;
    struct batch batch = take_rows(t, &data->x, NULL, first, rows);
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
  compute_end(t->model->context, guard);
  if (!status) *loss = mean;
  return status;
}

pynn_status pynn_train_step(pynn_trainer *t, const pynn_data *data, pynn_step *step, pynn_error *error) {
  if (!t || !data || !step)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a trainer, data and step; received NULL");
  if (data->x.rows < 1)
    return fail(error, PYNN_ERROR_SHAPE, "expected at least one row; received %lld", (long long)data->x.rows);
  return pynn_train_batches(t, data, NULL, 0, data->x.rows, data->x.rows, 0, NULL, step, error);
}
