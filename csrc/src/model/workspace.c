/* Workspaces: the memory of passes over up to `capacity` rows, taken once. */
#include "model/workspace.h"

#include "graph/layer.h"

#include <string.h>

static pynn_status allocate(void *out, const pynn_context *context, size_t count, size_t size) {
  void *memory = context_allocate(context, count, size);
  memcpy(out, &memory, sizeof memory);
  return memory ? PYNN_OK : PYNN_ERROR_OUT_OF_MEMORY;
}

static struct needs needs_of(const pynn_workspace *w, int32_t index) {
  const struct layer *layer = &w->model->layers[index];
  return layer->kind->needs ? layer->kind->needs(layer, w->capacity, w->keeps) : (struct needs){0};
}

static int64_t most_tiles(const pynn_workspace *w) {
  int64_t tiles = divide_up(w->capacity, LOSS_ROWS);
  for (int32_t i = 0; i < w->model->n_layers; i++) tiles = most(tiles, needs_of(w, i).tiles);
  return tiles + 1;
}

/* Whether a later layer adds the values of layer `index`: then they must be kept. */
static int is_added(const pynn_model *model, int32_t index) {
  for (int32_t i = index + 1; i < model->n_layers; i++) {
    if (model->layers[i].begins) return 1;
    if (!(model->layers[i].kind->row.flags & PYNN_LAYER_ONLY_TRAINS)) return 0;
  }
  return 0;
}

/* Reals for the values of a layer. Without a backward pass layers share two buffers, but for values added later. */
static size_t own_values(const pynn_model *model, int32_t index, size_t rows, int keeps) {
  return keeps || is_added(model, index) ? rows * (size_t)model->layers[index].units : 0;
}

static void share_values(pynn_workspace *w) {
  int turn = 0;
  for (int32_t i = 0; i < w->model->n_layers; i++) {
    if (w->model->layers[i].kind->row.flags & PYNN_LAYER_ONLY_TRAINS) continue;
    if (!is_added(w->model, i)) w->y[i] = w->dY[turn = !turn];
    w->z[i] = w->y[i];
  }
}

/* Reals from one vector in the block of values to the next: vectors begin on cache lines. */
static size_t spaced(const struct kernels *kernels, size_t count) {
  const size_t align = 64 / kernels->size;
  return (count + align - 1) / align * align;
}

/* Places a vector of `count` reals at `offset` of the block, which need not exist yet; returns where the next begins.
 */
static size_t place(const pynn_workspace *w, void **pointer, size_t offset, size_t count) {
  if (w->input) *pointer = at(w->model->kernels, w->input, (int64_t)offset);
  return offset + spaced(w->model->kernels, count);
}

/* Places all vectors in the block of values; returns its size in reals. */
static size_t place_values(pynn_workspace *w) {
  const pynn_model *model = w->model;
  const size_t rows = (size_t)w->capacity, wide = rows * (size_t)w->widest;
  const size_t input_size = model->input_kernels->size / model->kernels->size; /* 2 for doubles before floats */
  void *begin = w->input;
  size_t offset = place(w, &begin, 0, rows * (size_t)model->inputs * input_size);
  offset = place(w, &w->targets, offset, rows * (size_t)model->outputs);
  for (int32_t i = 0; i < model->n_layers; i++) {
    void *none = NULL, **z = w->z ? &w->z[i] : &none, **y = w->y ? &w->y[i] : &none;
    if (w->keeps) offset = place(w, z, offset, rows * (size_t)needs_of(w, i).values);
    offset = place(w, y, offset, own_values(model, i, rows, w->keeps));
    offset = place(w, w->reals ? &w->reals[i] : &none, offset, (size_t)needs_of(w, i).reals);
  }
  if (w->keeps) offset = place(w, &w->panels, offset, (rows + GEMM_STEP) * (size_t)w->widest);
  offset = place(w, &w->dY[0], offset, wide);
  return place(w, &w->dY[1], offset, wide);
}

/* The sizes of a workspace; TOO_LARGE when its values exceed 2^46 bytes. */
static pynn_status measure(pynn_workspace *w) {
  const pynn_model *model = w->model;
  double total = 0; /* in double, which does not overflow */
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct needs needs = needs_of(w, i);
    w->widest = most(w->widest, model->layers[i].units);
    w->n_doubles += (size_t)needs.doubles;
    total += (double)model->layers[i].units + (double)needs.values + (double)needs.reals / (double)w->capacity;
  }
  total = (total + 4.0 * (double)w->widest + 64) * ((double)w->capacity + 64) * (double)model->kernels->size;
  if (w->capacity < 1 || total > 0x1p46) return PYNN_ERROR_TOO_LARGE;
  w->values = place_values(w);
  w->tiles = most_tiles(w);
  return PYNN_OK;
}

static pynn_status allocate_all(pynn_workspace *w) {
  const pynn_model *model = w->model;
  const pynn_context *context = model->context;
  const size_t rows = (size_t)w->capacity, n_layers = (size_t)model->n_layers, tiles = (size_t)w->tiles;
  const int proposes = w->keeps && model->updates_state;
  return allocate(&w->input, context, w->values, model->kernels->size) ||
                 allocate(&w->labels, context, rows, sizeof *w->labels) ||
                 allocate(&w->weights, context, rows, sizeof *w->weights) ||
                 allocate(&w->skips, context, rows, (size_t)model->shape.timesteps) ||
                 allocate(&w->losses, context, rows, sizeof *w->losses) ||
                 allocate(&w->z, context, n_layers, sizeof *w->z) || allocate(&w->y, context, n_layers, sizeof *w->y) ||
                 allocate(&w->inputs, context, n_layers + 1, sizeof *w->inputs) ||
                 allocate(&w->reals, context, n_layers, sizeof *w->reals) ||
                 allocate(&w->doubles, context, n_layers, sizeof *w->doubles) ||
                 allocate(&w->doubles_block, context, w->n_doubles, sizeof *w->doubles_block) ||
                 (proposes && allocate(&w->proposed, context, (size_t)model->n_state, sizeof *w->proposed)) ||
                 allocate(&w->sums, context, n_layers, sizeof *w->sums) ||
                 allocate(&w->tile_max, context, tiles, sizeof *w->tile_max) ||
                 allocate(&w->tile_sum, context, tiles, sizeof *w->tile_sum) ||
                 allocate(&w->tile_penalty, context, tiles, sizeof *w->tile_penalty)
             ? PYNN_ERROR_OUT_OF_MEMORY
             : PYNN_OK;
}

pynn_status workspace_new(pynn_workspace **out, const pynn_model *model, int64_t capacity, int keeps) {
  pynn_workspace shape = {.model = model, .capacity = capacity, .widest = model->inputs, .keeps = keeps};
  pynn_status status = measure(&shape);
  if (status) return status;
  pynn_workspace *w = context_allocate(model->context, 1, sizeof *w);
  if (!w) return PYNN_ERROR_OUT_OF_MEMORY;
  *w = shape;
  status = allocate_all(w);
  if (status) {
    pynn_workspace_free(w);
    return status;
  }
  place_values(w);
  double *doubles = w->doubles_block;
  for (int32_t i = 0; i < model->n_layers; i++) {
    w->doubles[i] = doubles;
    doubles += needs_of(w, i).doubles;
  }
  if (!keeps) share_values(w);
  *out = w;
  return PYNN_OK;
}

pynn_status pynn_workspace_new(pynn_workspace **out, const pynn_model *model) {
  if (!out || !model) return PYNN_ERROR_INVALID_ARGUMENT;
  return workspace_new(out, model, PYNN_PREDICT_ROWS, 0);
}

static size_t total_units(const pynn_model *model) {
  size_t units = 0;
  for (int32_t i = 0; i < model->n_layers; i++) units += (size_t)model->layers[i].units;
  return units;
}
static size_t tile_rows(const pynn_workspace *w) { return (size_t)divide_up(w->capacity, LOSS_ROWS); }

pynn_status workspace_observe(pynn_workspace *w, int wanted) {
  const pynn_model *model = w->model;
  const pynn_context *context = model->context;
  const size_t n_layers = (size_t)model->n_layers, tiles = (size_t)w->tiles, units = total_units(model);
  const size_t wide = tile_rows(w) * (size_t)w->widest;
  if ((w->observed != NULL) == (wanted != 0)) return PYNN_OK;
  w->observes = 0;
  if (wanted && !allocate(&w->observed, context, n_layers, sizeof *w->observed) &&
      !allocate(&w->tile_observed, context, tiles, sizeof *w->tile_observed) &&
      !allocate(&w->tile_alive, context, wide, 1) && !allocate(&w->alive, context, units, 1)) {
    unsigned char *alive = w->alive;
    for (int32_t i = 0; i < model->n_layers; alive += model->layers[i++].units) w->observed[i].alive = alive;
    return PYNN_OK;
  }
  context_release(context, w->observed, n_layers, sizeof *w->observed);
  context_release(context, w->tile_observed, tiles, sizeof *w->tile_observed);
  context_release(context, w->tile_alive, wide, 1);
  context_release(context, w->alive, units, 1);
  w->observed = NULL, w->tile_observed = NULL, w->tile_alive = NULL, w->alive = NULL;
  return wanted ? PYNN_ERROR_OUT_OF_MEMORY : PYNN_OK;
}

void pynn_workspace_free(pynn_workspace *w) {
  if (!w) return;
  workspace_observe(w, 0);
  const pynn_context *context = w->model->context;
  const size_t rows = (size_t)w->capacity, n_layers = (size_t)w->model->n_layers, tiles = (size_t)w->tiles;
  context_release(context, w->input, w->values, w->model->kernels->size);
  context_release(context, w->labels, rows, sizeof *w->labels);
  context_release(context, w->weights, rows, sizeof *w->weights);
  context_release(context, w->cells, rows * (size_t)w->model->targets, sizeof *w->cells);
  context_release(context, w->skips, rows, (size_t)w->model->shape.timesteps);
  context_release(context, w->losses, rows, sizeof *w->losses);
  context_release(context, w->z, n_layers, sizeof *w->z);
  context_release(context, w->y, n_layers, sizeof *w->y);
  context_release(context, w->inputs, n_layers + 1, sizeof *w->inputs);
  context_release(context, w->reals, n_layers, sizeof *w->reals);
  context_release(context, w->doubles, n_layers, sizeof *w->doubles);
  context_release(context, w->doubles_block, w->n_doubles, sizeof *w->doubles_block);
  context_release(context, w->proposed, (size_t)w->model->n_state, sizeof *w->proposed);
  context_release(context, w->sums, n_layers, sizeof *w->sums);
  context_release(context, w->tile_max, tiles, sizeof *w->tile_max);
  context_release(context, w->tile_sum, tiles, sizeof *w->tile_sum);
  context_release(context, w->tile_penalty, tiles, sizeof *w->tile_penalty);
  context_release(context, w, 1, sizeof *w);
}
