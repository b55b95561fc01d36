/* Categorical: encodes columns of codes 0, 1, ...; the other columns come first, unchanged.
 *
 * A code column of `size` codes has size + 1 slots: 0 for unknown codes (beyond the size, negative, no integer, NaN)
 * and 1 + code for the others. With dimension 0 each slot is a column that holds 1 or 0 (one-hot). Otherwise each slot
 * is a row of `dimension` learned numbers in `embeddings`; the tables of all code columns are stacked. */
#include "graph/layer.h"

#include <string.h>

enum { EMBEDDINGS }; /* tensors */
enum { DIMENSION };  /* numbers */

static int64_t dimension(const struct layer *layer) { return (int64_t)layer->spec.values[DIMENSION]; }

static pynn_status shape(struct layer *layer, struct layout *layout, pynn_error *error) {
  pynn_status status = layer_check_columns(layer, layout, error);
  int64_t slots = 0;
  for (int64_t i = 0; i < layer->n_columns && !status; i++) {
    const int64_t size = layer->sizes ? layer->sizes[i] : 0;
    if (size < 1 || size >= MAX_WIDTH)
      return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                  "expected sizes of layer %d, numbers of codes >= 1; received %lld for column %lld",
                  (int)layout->index, (long long)size, (long long)layer->columns[i]);
    slots += size + 1;
  }
  if (status) return status;
  if (!layer->n_columns)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected columns of codes in layer %d; received none",
                (int)layout->index);
  layer->out.features =
      layer->inputs - layer->n_columns + (dimension(layer) ? layer->n_columns * dimension(layer) : slots);
  if (dimension(layer)) layer_owns(layout, layer, EMBEDDINGS, "embeddings", slots, dimension(layer), SLOTS_OF_KERNEL);
  return PYNN_OK;
}

static struct needs needs(const struct layer *layer, int64_t rows, int keeps) {
  (void)keeps;
  (void)rows;
  return (struct needs){.tiles = layer->n_columns};
}

static enum accepts accepts(const pynn_model *model, const struct layer *layer, int64_t column, double value) {
  (void)model, (void)value;
  for (int64_t i = 0; i < layer->n_columns; i++)
    if (layer->columns[i] == column) return ACCEPTED;
  return REFUSED;
}

static int64_t slot(const struct job *job, int64_t row, int64_t i) {
  const struct layer *layer = job->layer;
  double code;
  job_kernels(job)->to_double(1, at(job_kernels(job), job->x, row * job->ldx + layer->columns[i]), &code);
  const int known = code >= 0 && code < (double)layer->sizes[i] && code == (double)(int64_t)code;
  return known ? 1 + (int64_t)code : 0;
}

/* The next run of columns that are copied: `n` of them from column `from` of the input go to column `to`. */
struct run {
  int64_t from, to, n, next; /* next: code column */
};
static int next_run(const struct layer *layer, struct run *r) {
  r->from += r->n + (r->next > 0), r->to += r->n;
  if (r->next > layer->n_columns) return 0;
  const int64_t end = r->next < layer->n_columns ? layer->columns[r->next] : layer->inputs;
  r->n = end - r->from;
  r->next++;
  return 1;
}

static void forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct layer *layer = job->layer;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  const size_t size = kernels->size;
  const double one = 1;
  for (int64_t i = t.row; i < t.row + t.rows; i++) {
    char *y = at(kernels, job_values(job), i * t.columns), *x = at(kernels, job->x, i * job->ldx);
    for (struct run r = {0}; next_run(layer, &r);)
      memcpy(at(kernels, y, r.to), at(kernels, x, r.from), (size_t)r.n * size);
    y = at(kernels, y, layer->inputs - layer->n_columns);
    for (int64_t c = 0, table = 0; c < layer->n_columns; table += layer->sizes[c++] + 1) {
      const int64_t wide = dimension(layer) ? dimension(layer) : layer->sizes[c] + 1, at_slot = slot(job, i, c);
      if (dimension(layer)) {
        memcpy(y, at(kernels, layer_tensor(job, EMBEDDINGS), (table + at_slot) * wide), (size_t)wide * size);
      } else {
        memset(y, 0, (size_t)wide * size);
        kernels->from_double(1, &one, at(kernels, y, at_slot));
      }
      y = at(kernels, y, wide);
    }
  }
  job_value_tile(job, index, &t);
}

static void forward(struct job *job) {
  job_rows(job, 4, forward_tile);
  job_valued(job);
}

/* The gradient of one code column's table: adds rows of dY to their slots, in order. */
static void table_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct layer *layer = job->layer;
  const struct kernels *kernels = job_kernels(job);
  const int64_t wide = dimension(layer), from = layer->inputs - layer->n_columns + index * wide;
  int64_t table = 0;
  for (int64_t c = 0; c < index; c++) table += layer->sizes[c] + 1;
  const size_t n = (size_t)((layer->sizes[index] + 1) * wide);
  void *gradient = job_gradient_of(job, EMBEDDINGS, table * wide);
  memset(gradient, 0, n * kernels->size);
  for (int64_t i = 0; i < job->rows; i++) {
    void *to = at(kernels, gradient, slot(job, i, index) * wide);
    kernels->add((size_t)wide, to, at(kernels, job->dY, i * layer->units + from), to);
  }
  job_gradient(job, index, gradient, n);
}

static void dX_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct layer *layer = job->layer;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  memset(at(kernels, job->dX, t.row * layer->inputs), 0, (size_t)(t.rows * layer->inputs) * kernels->size);
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    for (struct run r = {0}; next_run(layer, &r);)
      memcpy(at(kernels, job->dX, i * layer->inputs + r.from), at(kernels, job->dY, i * layer->units + r.to),
             (size_t)r.n * kernels->size);
}

static void backward(struct job *job) {
  const struct layer *layer = job->layer;
  if (dimension(layer)) {
    parallel_for(job->w->model->context, layer->n_columns, 4.0 * (double)(job->rows * layer->units), table_tile, job);
    job_gradients(job, layer->n_columns);
  }
  if (job->dX) job_rows(job, 4, dX_tile);
}

const struct layer_kind layer_categorical = {
    .row = {.name = "categorical",
            .aliases = "",
            .n_fields = 1,
            .fields = {[DIMENSION] = {"dimension", 0, 0, (double)MAX_WIDTH, PYNN_FIELD_INTEGER}},
            .flags = PYNN_LAYER_TAKES_CODES | PYNN_LAYER_TAKES_MISSING},
    .slots = 1u << PYNN_SLOT_KERNEL_INITIALIZER,
    .shape = shape,
    .needs = needs,
    .accepts = accepts,
    .forward = forward,
    .backward = backward,
};
