/* The replay of a step: the search in the result of one operation. */
#include "graph/replay.h"

#include "graph/layout.h"

#include <math.h>
#include <string.h>

double replay_largest(const struct replay *r, const void *x, int64_t n) {
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
        found.rows[found.n_rows - 1] = replay_row(r, i);
      if (!r->seen[j] && found.n_columns++ < PYNN_BLAME_CELLS) found.columns[found.n_columns - 1] = j;
      r->seen[j] = 1;
    }
  }
  if (found.n_cells) *out = found;
  return found.n_cells > 0;
}

int replay_operands(struct replay *r, const void *left, int64_t n_left, const void *right, int64_t n_right) {
  r->out->largest_left = replay_largest(r, left, n_left);
  r->out->largest_right = replay_largest(r, right, n_right);
  return 1;
}

void replay_row_of_gradient(struct replay *r, const struct job *job) {
  const int64_t inputs = job->layer->in.features, units = job->layer->out.features, steps = job->layer->in.timesteps;
  double largest = -1;
  for (int64_t i = 0; i < r->rows * steps; i++) {
    const double product = fabs(number(r->kernels, job->x, i * inputs + r->out->tensor_row) *
                                number(r->kernels, job->dY, i * units + r->out->columns[0]));
    if (product <= largest) continue;
    largest = product;
    r->out->n_rows = 1;
    r->out->rows[0] = replay_row(r, i / steps);
  }
}
