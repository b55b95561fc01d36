/* Recurrent layers: rows go through time in tiles, from the first timestep to the last, and back.
 *
 *   forward    Z = X W for some timesteps at once;  Z_t += h_before U, then the cell: h, c
 *   backward   dL/dh += dY_t, then the cell: dZ_t in place of the gates;  dL/dh_before = dZ_t U^T;  dX = dZ W^T
 *   gradient   dW = X^T dZ,  dU = H_before^T dZ,  db = column sums of dZ, each one product over all timesteps
 *
 * Inside a tile of rows everything lies timestep by timestep, so that a timestep's matrices are contiguous. A row's
 * numbers depend on that row alone. */
#include "layers/recurrent.h"

#include "layers/recurrent_memory.h"

#include <string.h>

/* ---- shape */

/* The activations whose slope is known from their values: the gates keep nothing else. */
static pynn_status check_activation(const struct layer *layer, const struct kernels *kernels, int slot,
                                    pynn_error *error) {
  static const char *const known[] = {"tanh", "sigmoid", "relu", "linear", "hard_sigmoid"};
  const pynn_spec *spec = layer_choice(layer, slot);
  const char *name = spec ? kernels->activations[spec->row].row.name : known[0];
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strcmp(name, known[i])) return PYNN_OK;
  return fail(error, PYNN_ERROR_UNSUPPORTED,
              "expected %s of a recurrent layer as tanh, sigmoid, relu, linear or hard_sigmoid; received '%s'",
              slot_table[slot].name, name);
}

pynn_status recurrent_shape(struct layer *layer, struct layout *layout, int cell, pynn_error *error) {
  static const char *const names[][DIRECTION_TENSORS] = {
      {"kernel", "recurrent_kernel", "bias"}, {"backward_kernel", "backward_recurrent_kernel", "backward_bias"}};
  const struct slots recurrent = {PYNN_SLOT_RECURRENT_INITIALIZER, PYNN_SLOT_RECURRENT_REGULARIZER,
                                  PYNN_SLOT_RECURRENT_CONSTRAINT, 0};
  const struct cell_layout *c = &cell_layouts[cell];
  const double *p = layer->spec.values;
  const int64_t units = (int64_t)p[UNITS];
  const int directions = p[BIDIRECTIONAL] != 0 ? 2 : 1;
  pynn_status status = check_activation(layer, layout->model->kernels, PYNN_SLOT_ACTIVATION, error);
  if (!status) status = check_activation(layer, layout->model->kernels, PYNN_SLOT_RECURRENT_ACTIVATION, error);
  if (status) return status;
  layer->cell = cell;
  layer->activation = NULL; /* of the cell, not of the layer: neither a link nor a custom one takes its place */
  for (int d = 0; d < directions; d++) {
    const int first = d * DIRECTION_TENSORS;
    layer_owns(layout, layer, first + KERNEL, names[d][KERNEL], layer->in.features, c->gates * units, SLOTS_OF_KERNEL);
    layer_owns(layout, layer, first + RECURRENT, names[d][RECURRENT], units, c->gates * units, recurrent);
    if (p[USE_BIAS] != 0)
      layer_owns(layout, layer, first + BIAS, names[d][BIAS], 1 + c->recurrent_bias, c->gates * units, SLOTS_OF_BIAS);
  }
  if (directions == 1 && p[GO_BACKWARDS] != 0) layout->reversed = !layout->reversed;
  layer->out = (pynn_shape){p[RETURN_SEQUENCES] != 0 ? layer->in.timesteps : 1, directions * units};
  return PYNN_OK;
}

/* ---- forward */

static struct cell_step step_of(const struct through *p, int64_t t) {
  const struct layer *layer = p->job->layer;
  const struct kernels *kernels = job_kernels(p->job);
  const pynn_spec *f = layer_choice(layer, PYNN_SLOT_ACTIVATION);
  const pynn_spec *gate = layer_choice(layer, PYNN_SLOT_RECURRENT_ACTIVATION);
  const void *bias = layer_tensor(p->job, p->direction * DIRECTION_TENSORS + BIAS);
  const pynn_workspace *w = p->job->w;
  if (!gate) gate = f;
  return (struct cell_step){
      .rows = (size_t)p->rows,
      .units = (size_t)p->m.units,
      .f = &kernels->activations[f->row],
      .gate = &kernels->activations[gate->row],
      .f_numbers = f->values,
      .gate_numbers = gate->values,
      .z = through_z(p, t),
      .bias = bias,
      .recurrent_bias = bias && p->m.layout->recurrent_bias ? at(kernels, bias, p->m.layout->gates * p->m.units) : NULL,
      .h_before = through_h(p, t),
      .c_before = through_c(p, t),
      .h = through_h(p, t + 1),
      .c = through_c(p, t + 1),
      .skips = w->masked ? w->skips + p->first * p->m.timesteps + through_skip(p, t) : NULL,
      .skip_stride = (size_t)p->m.timesteps,
      .dh = p->dh,
      .dc = p->dc,
      .dq = p->dq,
  };
}

/* X of `count` timesteps, one after the other, rows that are padding filled with 0. */
static void gather(const struct through *p, int64_t from, int64_t count) {
  const struct kernels *kernels = job_kernels(p->job);
  const int64_t features = p->m.features;
  const size_t bytes = (size_t)features * kernels->size;
  for (int64_t t = from; t < from + count; t++) {
    const int64_t time = through_time(p, t);
    char *to = through_x(p, t);
    for (int64_t i = p->first; i < p->first + p->rows; i++, to += bytes)
      if (job_skips(p->job, i, time)) memset(to, 0, bytes);
      else memcpy(to, at(kernels, p->job->x, i * p->job->ldx + time * features), bytes);
  }
}

static void inputs(const struct through *p, int64_t from, int64_t count) {
  const struct kernels *kernels = job_kernels(p->job);
  const struct cell_layout *c = p->m.layout;
  const int64_t units = p->m.units;
  gather(p, from, count);
  for (int b = 0; b < c->n_input; b++)
    kernels->gemm_packed((size_t)(count * p->rows), (size_t)(c->input[b].gates * units), (size_t)p->m.features,
                         through_x(p, from), (size_t)p->m.features, packed_at(p, PACKED_INPUT, b), 0,
                         at(kernels, through_z(p, from), c->input[b].to * units), (size_t)(c->width * units));
}

static void step_forward(const struct through *p, int64_t t) {
  const struct kernels *kernels = job_kernels(p->job);
  const struct cell_layout *c = p->m.layout;
  const struct cell *cell = &kernels->cells[c->cell];
  const struct cell_step s = step_of(p, t);
  const int64_t units = p->m.units;
  for (int b = 0; b < c->n_recurrent; b++) {
    const struct block *block = &c->recurrent[b];
    const int of_state = block->reads == OF_STATE;
    if (!of_state) cell->reset(&s);
    kernels->gemm_packed((size_t)p->rows, (size_t)(block->gates * units), (size_t)units,
                         of_state ? s.h_before : at(kernels, s.z, block->reads * units),
                         (size_t)(of_state ? units : c->width * units), packed_at(p, PACKED_RECURRENT, b),
                         block->accumulates, at(kernels, s.z, block->to * units), (size_t)(c->width * units));
  }
  cell->forward(&s);
}

/* h after timestep t, to where the layer's values have it. */
static void give(const struct through *p, int64_t t) {
  const struct kernels *kernels = job_kernels(p->job);
  const struct layer *layer = p->job->layer;
  const int sequences = layer->spec.values[RETURN_SEQUENCES] != 0;
  if (!sequences && t + 1 < p->m.timesteps) return;
  const int64_t column = sequences ? through_place(p, t) : p->direction * p->m.units;
  const size_t bytes = (size_t)p->m.units * kernels->size;
  const char *h = through_h(p, t + 1);
  for (int64_t i = p->first; i < p->first + p->rows; i++, h += bytes)
    memcpy(at(kernels, job_values(p->job), i * layer->units + column), h, bytes);
}

int64_t recurrent_streams(const struct layer *layer) {
  const double *p = layer->spec.values;
  if (p[GO_BACKWARDS] != 0 || p[BIDIRECTIONAL] != 0) return -1;
  return (1 + cell_layouts[layer->cell].has_c) * (int64_t)p[UNITS];
}

/* The states before timestep t from what an earlier pass left, or 0; and into it. */
static void load_states(const struct through *p, int64_t t, int stores) {
  const struct kernels *kernels = job_kernels(p->job);
  const pynn_workspace *w = p->job->w;
  void *kept = w->states ? w->states[p->job->index] : NULL;
  for (int c = 0; c <= p->m.layout->has_c; c++) {
    void *state = c ? through_c(p, t) : through_h(p, t);
    void *from = at(kernels, kept, (c * w->capacity + p->first) * p->m.units);
    const size_t bytes = (size_t)(p->rows * p->m.units) * kernels->size;
    if (!kept && !stores) memset(state, 0, bytes);
    else if (kept) memcpy(stores ? from : state, stores ? state : from, bytes);
  }
}

static void forward_tile(void *argument, int64_t index) {
  struct job *job = argument;
  struct through p = through_of(job, index % job->tiling.down, (int)(index / job->tiling.down));
  load_states(&p, 0, 0);
  for (int64_t from = 0, count; from < p.m.timesteps; from += count) {
    count = least(p.m.chunk, p.m.timesteps - from);
    inputs(&p, from, count);
    for (int64_t t = from; t < from + count; t++) {
      step_forward(&p, t);
      give(&p, t);
    }
  }
  load_states(&p, p.m.timesteps, 1);
}

static void value_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct tile t = tile_at(&job->tiling, index);
  job_value_tile(job, index, &t);
}

void recurrent_forward(struct job *job) {
  const struct memory m = memory_of(job->layer, job->w->capacity, job_keeps(job));
  if (!job->w->packed) memory_pack(job, &m);
  job->tiling = tiling_of(job->rows, job->layer->units, m.tile, job->layer->units);
  parallel_for(job->w->model->context, job->tiling.down * m.directions, recurrent_work(&m, job->rows), forward_tile,
               job);
  job_rows(job, 1, value_tile);
  job_valued(job);
}

/* ---- backward */

/* dL/dh += dY of timestep t. */
static void take(const struct through *p, int64_t t) {
  const struct kernels *kernels = job_kernels(p->job);
  const struct layer *layer = p->job->layer;
  const int sequences = layer->spec.values[RETURN_SEQUENCES] != 0;
  if (!sequences && t + 1 < p->m.timesteps) return;
  const int64_t column = sequences ? through_place(p, t) : p->direction * p->m.units;
  for (int64_t i = 0; i < p->rows; i++) {
    void *dh = at(kernels, p->dh, i * p->m.units);
    kernels->add((size_t)p->m.units, dh, at(kernels, p->job->dY, (p->first + i) * layer->units + column), dh);
  }
}

static double step_backward(const struct through *p, int64_t t) {
  const struct kernels *kernels = job_kernels(p->job);
  const struct cell_layout *c = p->m.layout;
  const struct cell *cell = &kernels->cells[c->cell];
  const struct cell_step s = step_of(p, t);
  const int64_t units = p->m.units;
  cell->backward(&s);
  for (int b = 0; b < c->n_back; b++) {
    const struct block *block = &c->back[b];
    const int resets = cell->reset_backward && b == 0;
    if (t == 0 && !resets) continue; /* nobody needs dL/dh before the first timestep */
    kernels->gemm_packed((size_t)p->rows, (size_t)units, (size_t)(block->gates * units),
                         at(kernels, s.z, block->to * units), (size_t)(c->width * units), packed_at(p, PACKED_BACK, b),
                         !resets, resets ? p->dq : p->dh, (size_t)units);
    if (resets) cell->reset_backward(&s);
  }
  return kernels->largest((size_t)(p->rows * c->width * units), s.z);
}

static void step_dX(const struct through *p, int64_t t) {
  const struct kernels *kernels = job_kernels(p->job);
  const struct cell_layout *c = p->m.layout;
  const int64_t units = p->m.units, inputs = p->job->layer->inputs;
  for (int b = 0; b < c->n_input; b++)
    kernels->gemm_packed((size_t)p->rows, (size_t)p->m.features, (size_t)(c->input[b].gates * units),
                         at(kernels, through_z(p, t), c->input[b].to * units), (size_t)(c->width * units),
                         packed_at(p, PACKED_DX, b), b > 0 || p->direction > 0,
                         at(kernels, p->job->dX, p->first * inputs + through_time(p, t) * p->m.features),
                         (size_t)inputs);
}

static void backward_tile(void *argument, int64_t index) {
  struct job *job = argument;
  double largest = 0;
  for (int d = 0; d < (job->layer->spec.values[BIDIRECTIONAL] != 0 ? 2 : 1); d++) {
    const struct through p = through_of(job, index, d);
    const size_t bytes = (size_t)(p.rows * p.m.units) * job_kernels(job)->size;
    memset(p.dh, 0, bytes);
    memset(p.dc, 0, bytes);
    for (int64_t t = p.m.timesteps - 1; t >= 0; t--) {
      take(&p, t);
      largest = larger(largest, step_backward(&p, t));
      if (job->dX) step_dX(&p, t);
    }
  }
  job->w->tile_max[index] = largest;
}

void recurrent_backward(struct job *job) {
  const struct memory m = memory_of(job->layer, job->w->capacity, 1);
  memory_pack_back(job, &m);
  job->tiling = tiling_of(job->rows, job->layer->units, m.tile, job->layer->units);
  parallel_for(job->w->model->context, job->tiling.down, recurrent_work(&m, job->rows), backward_tile, job);
  job->w->sums[job->index].delta_max = job_largest(job, job->tiling.down);
  recurrent_gradient(job);
}
