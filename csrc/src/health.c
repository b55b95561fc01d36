/* Health of a pass: the verdict from largest values, and the search for the first cell at fault. */
#include "health.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Written so that NaN fails too. */
static int finite_(const pynn_workspace *w, double largest) { return largest <= w->model->kernels->maximum; }

struct cell {
  int64_t row, column;
  double value;
};

/* The first number of a rows x columns matrix that is not finite. */
static int find(const struct kernels *kernels, const void *x, int64_t rows, int64_t columns, int64_t ldx,
                struct cell *cell) {
  for (int64_t i = 0; i < rows; i++) {
    const char *row = (const char *)x + (size_t)(i * ldx) * kernels->size;
    for (int64_t j = 0; j < columns; j++) {
      const char *number = row + (size_t)j * kernels->size;
      if (kernels->largest(1, number) <= kernels->maximum) continue;
      float single;
      *cell = (struct cell){.row = i, .column = j};
      if (kernels->size == sizeof single) {
        memcpy(&single, number, sizeof single);
        cell->value = (double)single;
      } else memcpy(&cell->value, number, sizeof cell->value);
      return 1;
    }
  }
  return 0;
}

static pynn_status found(pynn_error *error, const char *what, int32_t layer, struct cell cell) {
  char where[96] = "";
  size_t used = 0;
#define SAY(...) used += (size_t)snprintf(where + used, sizeof where - used, __VA_ARGS__)
  if (layer >= 0) SAY(" of layer %d", (int)layer);
  if (cell.row >= 0) SAY(", row %lld", (long long)cell.row);
  if (cell.column >= 0) SAY(", column %lld", (long long)cell.column);
#undef SAY
  fail(error, PYNN_ERROR_NUMERIC, "expected finite numbers; received %g as %s%s; nothing was updated", cell.value, what,
       where);
  if (error) error->layer = layer, error->row = cell.row, error->column = cell.column, error->value = cell.value;
  return PYNN_ERROR_NUMERIC;
}

static pynn_status search(const pynn_workspace *w, const struct batch *batch, double loss, const void *gradient,
                          const int64_t *order, int64_t first, pynn_error *error) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  struct cell cell = {-1, -1, (double)NAN};
#define DATA_ROW(i) (order ? order[first + (i)] : first + (i))
#define SEARCH(values, columns, ldx, what, layer)                \
  if (find(kernels, values, batch->rows, columns, ldx, &cell)) { \
    cell.row = DATA_ROW(cell.row);                               \
    return found(error, what, layer, cell);                      \
  }
  SEARCH(batch->x, model->inputs, batch->ldx, "an input", -1)
  if (!batch->has_labels) SEARCH(w->targets, model->outputs, model->outputs, "a target", -1)
  for (int64_t i = 0; batch->has_weights && i < batch->rows; i++)
    if (!isfinite(w->weights[i]))
      return found(error, "a sample weight", -1, (struct cell){DATA_ROW(i), -1, w->weights[i]});
  for (int32_t i = 0; i < model->n_tensors; i++) {
    const pynn_tensor *tensor = &model->tensors[i];
    if (find(kernels, (const char *)model->parameters + (size_t)tensor->offset * kernels->size, tensor->rows,
             tensor->columns, tensor->columns, &cell))
      return found(error, tensor->name[0] == 'k' ? "a kernel weight" : "a bias", tensor->layer, cell);
  }
  for (int32_t i = 0; i < model->n_layers; i++) {
    const int64_t units = model->layers[i].units;
    if (!model->layers[i].activation) continue;
    SEARCH(w->z[i], units, units, "a pre-activation", i)
    SEARCH(w->y[i], units, units, "an activation", i)
  }
#undef SEARCH
#undef DATA_ROW
  cell = (struct cell){-1, -1, (double)NAN};
  if (!isfinite(loss)) return found(error, "the loss", -1, (struct cell){-1, -1, loss});
  for (int32_t i = model->n_layers - 1; i >= 0; i--)
    if (!finite_(w, w->sums[i].delta_max))
      return found(error, "a gradient of the pre-activations", i, (struct cell){-1, -1, w->sums[i].delta_max});
  for (int32_t i = model->n_tensors - 1; i >= 0; i--) {
    const pynn_tensor *tensor = &model->tensors[i];
    if (find(kernels, (const char *)gradient + (size_t)tensor->offset * kernels->size, tensor->rows, tensor->columns,
             tensor->columns, &cell))
      return found(error, tensor->name[0] == 'k' ? "a gradient of the kernel" : "a gradient of the bias", tensor->layer,
                   cell);
  }
  return found(error, "a value", -1, cell);
}

pynn_status health_check(const pynn_workspace *w, const struct batch *batch, double loss, const void *gradient,
                         const int64_t *order, int64_t first, pynn_error *error) {
  int well = isfinite(loss);
  for (int32_t i = 0; i < w->model->n_layers; i++) {
    const struct layer_sums *sums = &w->sums[i];
    well &= finite_(w, sums->activation_max) & finite_(w, sums->delta_max) & finite_(w, sums->gradient_max);
  }
  return well ? PYNN_OK : search(w, batch, loss, gradient, order, first, error);
}
