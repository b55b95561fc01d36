/* Health of a pass: the verdict from largest values, and the search for the first cell at fault. */
#include "health.h"

#include "trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Written so that NaN fails too. */
static int finite_(const pynn_workspace *w, double largest) { return largest <= w->model->kernels->maximum; }

/* The first number of a rows x columns matrix that is not finite. */
static int find(const struct kernels *kernels, const void *x, int64_t rows, int64_t columns, int64_t ldx,
                struct fault *fault) {
  for (int64_t i = 0; i < rows; i++) {
    const char *row = (const char *)x + (size_t)(i * ldx) * kernels->size;
    for (int64_t j = 0; j < columns; j++) {
      const char *number = row + (size_t)j * kernels->size;
      if (kernels->largest(1, number) <= kernels->maximum) continue;
      float single;
      *fault = (struct fault){.layer = -1, .row = i, .column = j};
      if (kernels->size == sizeof single) {
        memcpy(&single, number, sizeof single);
        fault->value = (double)single;
      } else memcpy(&fault->value, number, sizeof fault->value);
      return 1;
    }
  }
  return 0;
}

static pynn_status found(pynn_operation operation, const char *what, int32_t layer, struct fault *fault,
                         pynn_error *error) {
  char where[96] = "";
  size_t used = 0;
#define SAY(...) used += (size_t)snprintf(where + used, sizeof where - used, __VA_ARGS__)
  if (layer >= 0) SAY(" of layer %d", (int)layer);
  if (fault->row >= 0) SAY(", row %lld", (long long)fault->row);
  if (fault->column >= 0) SAY(", column %lld", (long long)fault->column);
#undef SAY
  fault->operation = operation;
  fault->layer = layer;
  fail(error, PYNN_ERROR_NUMERIC, "expected finite numbers; received %g as %s%s; nothing was updated", fault->value,
       what, where);
  if (error) error->layer = layer, error->row = fault->row, error->column = fault->column, error->value = fault->value;
  return PYNN_ERROR_NUMERIC;
}

static struct fault no_cell(double value) {
  return (struct fault){.layer = -1, .row = -1, .column = -1, .value = value};
}

static pynn_status search(const pynn_workspace *w, const struct batch *batch, double loss, const void *gradient,
                          const int64_t *order, int64_t first, struct fault *fault, pynn_error *error) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
#define DATA_ROW(i) (order ? order[first + (i)] : first + (i))
#define SEARCH(operation, values, columns, ldx, what, layer)     \
  if (find(kernels, values, batch->rows, columns, ldx, fault)) { \
    fault->row = DATA_ROW(fault->row);                           \
    return found(operation, what, layer, fault, error);          \
  }
  SEARCH(PYNN_OPERATION_INPUT, batch->x, model->inputs, batch->ldx, "an input", -1)
  for (int64_t i = 0; i < batch->rows; i++) {
    const double weight = batch->has_weights ? w->weights[i] : 1;
    *fault = no_cell(weight);
    fault->row = DATA_ROW(i);
    if (!isfinite(weight)) return found(PYNN_OPERATION_SAMPLE_WEIGHT, "a sample weight", -1, fault, error);
    if (batch->has_labels || weight == 0) continue; /* a row of weight 0 is not there: its target may hold anything */
    if (!find(kernels, (const char *)w->targets + (size_t)(i * model->outputs) * kernels->size, 1, model->outputs,
              model->outputs, fault))
      continue;
    fault->row = DATA_ROW(i);
    return found(PYNN_OPERATION_TARGET, "a target", -1, fault, error);
  }
  for (int32_t i = 0; i < model->n_tensors; i++) {
    const pynn_tensor *tensor = &model->tensors[i];
    if (!find(kernels, (const char *)model->parameters + (size_t)tensor->offset * kernels->size, tensor->rows,
              tensor->columns, tensor->columns, fault))
      continue;
    fault->row = -1; /* of the kernel, not of the data */
    return found(PYNN_OPERATION_PARAMETER, tensor->name[0] == 'k' ? "a kernel weight" : "a bias", tensor->layer, fault,
                 error);
  }
  for (int32_t i = 0; i < model->n_layers; i++) {
    const int64_t units = model->layers[i].units;
    if (!model->layers[i].activation) continue;
    SEARCH(PYNN_OPERATION_GEMM, w->z[i], units, units, "a pre-activation", i)
    SEARCH(PYNN_OPERATION_ACTIVATION, w->y[i], units, units, "an activation", i)
  }
#undef SEARCH
#undef DATA_ROW
  *fault = no_cell(loss);
  if (!isfinite(loss)) return found(PYNN_OPERATION_LOSS, "the loss", -1, fault, error);
  for (int32_t i = model->n_layers - 1; i >= 0; i--) {
    *fault = no_cell(w->sums[i].delta_max);
    if (!finite_(w, w->sums[i].delta_max))
      return found(PYNN_OPERATION_DACTIVATION, "a gradient of the pre-activations", i, fault, error);
  }
  for (int32_t i = model->n_tensors - 1; i >= 0; i--) {
    const pynn_tensor *tensor = &model->tensors[i];
    const int kernel = tensor->name[0] == 'k';
    if (!find(kernels, (const char *)gradient + (size_t)tensor->offset * kernels->size, tensor->rows, tensor->columns,
              tensor->columns, fault))
      continue;
    fault->row = -1;
    return found(kernel ? PYNN_OPERATION_DW : PYNN_OPERATION_DB,
                 kernel ? "a gradient of the kernel" : "a gradient of the bias", tensor->layer, fault, error);
  }
  *fault = no_cell((double)NAN);
  return found(PYNN_OPERATION_NONE, "a value", -1, fault, error);
}

pynn_status health_check(const pynn_workspace *w, const struct batch *batch, double loss, const void *gradient,
                         const int64_t *order, int64_t first, struct fault *fault, pynn_error *error) {
  int well = isfinite(loss);
  for (int32_t i = 0; i < w->model->n_layers; i++) {
    const struct layer_sums *sums = &w->sums[i];
    well &= finite_(w, sums->activation_max) & finite_(w, sums->delta_max) & finite_(w, sums->gradient_max);
  }
  return well ? PYNN_OK : search(w, batch, loss, gradient, order, first, fault, error);
}

/* ---- statistics */

struct comparison {
  const pynn_trainer *t;
  int64_t from, n; /* a layer's parameters */
};

static void compare_chunk(void *argument, int64_t index) {
  const struct comparison *c = argument;
  const pynn_trainer *t = c->t;
  const struct kernels *kernels = t->model->kernels;
  const int64_t left = c->n - index * CHUNK;
  const size_t from = (size_t)(c->from + index * CHUNK) * kernels->size;
  kernels->compare((size_t)(left < CHUNK ? left : CHUNK), (const char *)t->before + from,
                   (const char *)t->model->parameters + from, (const char *)t->gradient + from,
                   &t->chunk_changed[index]);
}

static struct changed changes(const pynn_trainer *t, int64_t from, int64_t n) {
  struct comparison c = {t, from, n};
  struct changed all = {0};
  parallel_for(t->model->context, (n + CHUNK - 1) / CHUNK, 10.0 * (double)n, compare_chunk, &c);
  for (int64_t i = 0; i < (n + CHUNK - 1) / CHUNK; i++) {
    all.squares += t->chunk_changed[i].squares;
    all.weight_squares += t->chunk_changed[i].weight_squares;
    all.lost += t->chunk_changed[i].lost;
  }
  return all;
}

void health_statistics(pynn_trainer *t) {
  const pynn_model *model = t->model;
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct layer *layer = &model->layers[i];
    const struct layer_observed *observed = &t->w->observed[i];
    const struct observed *y = &observed->activation, *g = &observed->gradient;
    pynn_statistics *s = &t->statistics[i];
    *s = (pynn_statistics){.step = t->steps};
    if (!layer->activation) continue; /* dropout has nothing of its own */
    const double n = (double)y->n, n_gradient = (double)g->n;
    const struct changed change =
        changes(t, layer->kernel, layer->inputs * layer->units + (layer->bias < 0 ? 0 : layer->units));
    int64_t dead = 0;
    for (int64_t j = 0; j < layer->units; j++) dead += !observed->alive[j];
    s->largest = y->largest;
    s->mean = y->sum / n;
    s->std = sqrt(fmax(0, y->squares / n - s->mean * s->mean));
    s->zeros = (double)y->zeros / n;
    s->saturated = (double)y->saturated / n;
    s->tiny = (double)y->tiny / n;
    s->dead = (double)dead / (double)layer->units;
    s->gradient_rms = sqrt(g->squares / n_gradient);
    s->gradient_zeros = (double)g->zeros / n_gradient;
    s->gradient_tiny = (double)g->tiny / n_gradient;
    s->weight_norm = sqrt(change.weight_squares);
    s->update_ratio = change.weight_squares > 0 ? sqrt(change.squares) / s->weight_norm : 0;
    s->updates_lost = (double)change.lost / n_gradient;
  }
}
