/* Normalization: Y = (X - shift) scale in double, rounded once, with a shift and a scale from data (model/adapt.c). As
 * the first layer it reads X in double in models of any dtype: 1e9 + 1 is not 1e9.
 *
 *   standard  shift = mean,    scale = 1 / standard deviation (of all rows, not n - 1)
 *   minmax    shift = minimum, scale = 1 / (maximum - minimum)
 *   robust    shift = median,  scale = 1 / (third - first quartile), or 1 / deviation where the quartiles agree
 *
 * A constant column has scale 0 and gives 0. A column without any number has shift 0, scale 0. Columns that are not the
 * layer's are copied: their scale is NaN. Under missing=nonfinite the fill stands for infinite cells too. */
#include "graph/layer.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { SHIFT, SCALE, FILL, ROWS }; /* tensors, all of them state; ROWS: of the data it was adapted to; 0: not adapted */
enum { MODE, MISSING, CLIP };      /* numbers */
enum { STANDARD, MINMAX, ROBUST };
enum { MISSING_ERROR, MISSING_MEAN, MISSING_MEDIAN, MISSING_NONFINITE };

static pynn_status shape(struct layer *layer, struct layout *layout, pynn_error *error) {
  pynn_status status = layer_check_columns(layer, layout, error);
  if (status) return status;
  layer_owns_state(layout, layer, SHIFT, "shift", layer->units, 0);
  layer_owns_state(layout, layer, SCALE, "scale", layer->units, 1);
  layer_owns_state(layout, layer, FILL, "fill", layer->units, 0);
  layer_owns_state(layout, layer, ROWS, "rows", 1, 0);
  return PYNN_OK;
}

static pynn_status ready(const pynn_model *model, int32_t index, pynn_error *error) {
  const struct layer *layer = &model->layers[index];
  if (model->state[layer->tensor[ROWS]] > 0) return PYNN_OK;
  fail(error, PYNN_ERROR_NOT_READY,
       "expected a normalization that was adapted to data; received none in layer %d: call "
       "adapt first",
       (int)index);
  if (error) error->layer = index;
  return PYNN_ERROR_NOT_READY;
}

static enum accepts accepts(const pynn_model *model, const struct layer *layer, int64_t column, double value) {
  const double *p = layer->spec.values, scale = model->state[layer->tensor[SCALE] + column];
  if (scale != scale) return ACCEPTS_AS_NEXT;
  if (value != value) return p[MISSING] != MISSING_ERROR ? ACCEPTED : REFUSED;
  return p[CLIP] > 0 || p[MISSING] == MISSING_NONFINITE || fabs(value) <= DBL_MAX ? ACCEPTED : REFUSED;
}

/* Doubles of columns from ... from+n-1 of a row of the input. */
static const double *row_part(const struct job *job, int64_t row, int64_t from, int64_t n, double *room) {
  if (job->index == 0) return (const double *)job->x + row * job->ldx + from;
  job_kernels(job)->to_double((size_t)n, at(job_kernels(job), job->x, row * job->ldx + from), room);
  return room;
}

/* The same with NaN for infinite cells, in `room`. */
static const double *without_infinities(int64_t n, const double *x, double *room) {
  for (int64_t j = 0; j < n; j++) room[j] = fabs(x[j]) <= DBL_MAX ? x[j] : (double)NAN;
  return room;
}

static void forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const double *shift = layer_state(job, SHIFT), *scale = layer_state(job, SCALE), *fill = layer_state(job, FILL);
  const double *p = job->layer->spec.values;
  const struct tile t = tile_at(&job->tiling, index);
  double room[PART], largest = 0;
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    for (int64_t from = 0; from < t.columns; from += PART) {
      const int64_t n = least(PART, t.columns - from);
      const double *x = row_part(job, i, from, n, room);
      if (p[MISSING] == MISSING_NONFINITE) x = without_infinities(n, x, room);
      const double m =
          kernels->normalize((size_t)n, x, at(kernels, job_values(job), i * t.columns + from), shift + from,
                             scale + from, p[MISSING] == MISSING_ERROR ? NULL : fill + from, p[CLIP]);
      largest = larger(largest, m);
    }
  job_value_tile(job, index, &t);
  job->w->tile_max[index] = largest; /* copied columns may hold codes, and NaN for an unknown one */
}

static void forward(struct job *job) {
  job_rows(job, 8, forward_tile);
  job_valued(job);
}

/* dY <- dY scale, and 0 where Y is a constant: for a cell filled in and beyond the clip. */
static void backward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const double *shift = layer_state(job, SHIFT), *scale = layer_state(job, SCALE);
  const double clip = job->layer->spec.values[CLIP];
  const struct tile t = tile_at(&job->tiling, index);
  double room[PART], dY[PART];
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    for (int64_t from = 0; from < t.columns; from += PART) {
      const int64_t n = least(PART, t.columns - from);
      void *to = at(kernels, job->dY, i * t.columns + from);
      const double *x = row_part(job, i, from, n, room);
      kernels->to_double((size_t)n, to, dY);
      for (int64_t j = 0; j < n; j++) {
        const double s = scale[from + j], z = (x[j] - shift[from + j]) * s;
        if (s == s) dY[j] = !(fabs(x[j]) <= DBL_MAX) || (clip > 0 && !(fabs(z) <= clip)) ? 0 : dY[j] * s;
      }
      kernels->from_double((size_t)n, dY, to);
    }
}

static void backward(struct job *job) {
  if (!job->dX) return;
  job_rows(job, 8, backward_tile);
  job_dX_in_place(job);
}

/* ---- adaptation */

struct setting {
  double shift, scale, fill;
};

static double inverse_of(double spread) {
  const double scale = spread > 0 ? 1 / spread : 0;
  return scale <= DBL_MAX ? scale : 0; /* a spread below the least normal number is none */
}

static struct setting setting_of(const double *p, const pynn_column *c) {
  struct setting s = {0};
  const double iqr = c->quartiles[2] - c->quartiles[0];
  if (!c->count) return s;
  s.fill = p[MISSING] == MISSING_MEDIAN ? c->quartiles[1] : c->mean;
  if (p[MODE] == MINMAX) {
    s.shift = c->minimum, s.scale = 0.5 * inverse_of(c->maximum * 0.5 - c->minimum * 0.5);
  } else if (p[MODE] == ROBUST) {
    s.shift = c->quartiles[1], s.scale = inverse_of(iqr > 0 ? iqr : c->std);
  } else {
    s.shift = c->mean, s.scale = inverse_of(c->std);
  }
  if (c->minimum == c->maximum) s.shift = c->minimum, s.scale = 0;
  return s;
}

static pynn_status fail_cell(pynn_error *error, int32_t layer, int64_t row, int64_t column, double value) {
  fail(error, PYNN_ERROR_NUMERIC, "expected finite numbers to adapt to; received %g in row %lld, column %lld%s", value,
       (long long)row, (long long)column, value != value ? ": choose what is done about missing values" : "");
  if (error) {
    error->layer = layer, error->row = row, error->column = column, error->value = value;
    error->operation = PYNN_OPERATION_INPUT;
  }
  return PYNN_ERROR_NUMERIC;
}

static int is_own(const struct layer *layer, int64_t column) {
  if (!layer->n_columns) return 1;
  for (int64_t i = 0; i < layer->n_columns; i++)
    if (layer->columns[i] == column) return 1;
  return 0;
}

static pynn_status adapt_check(const struct layer *layer, int32_t index, int64_t column, const pynn_column *c,
                               pynn_error *error) {
  const double *p = layer->spec.values;
  if (!is_own(layer, column)) return PYNN_OK;
  if (c->missing && p[MISSING] == MISSING_ERROR) return fail_cell(error, index, c->first_missing, column, (double)NAN);
  if (c->infinite && !(p[CLIP] > 0) && p[MISSING] != MISSING_NONFINITE)
    return fail_cell(error, index, c->first_infinite, column, (double)INFINITY);
  if ((p[MODE] == ROBUST || p[MISSING] == MISSING_MEDIAN) && c->count && c->quartiles[1] != c->quartiles[1])
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a summary with quartiles; received one with held=0");
  return PYNN_OK;
}

static void adapt(pynn_model *model, const struct layer *layer, int64_t column, const pynn_column *c) {
  struct setting s = {0, (double)NAN, 0};
  if (is_own(layer, column)) s = setting_of(layer->spec.values, c);
  model->state[layer->tensor[SHIFT] + column] = s.shift;
  model->state[layer->tensor[SCALE] + column] = s.scale;
  model->state[layer->tensor[FILL] + column] = s.fill;
}

static void adapted(pynn_model *model, const struct layer *layer, int64_t rows) {
  model->state[layer->tensor[ROWS]] = (double)rows;
}

const struct layer_kind layer_normalization = {
    .row = {.name = "normalization",
            .aliases = "",
            .n_fields = 3,
            .fields = {[MODE] = {"mode", STANDARD, STANDARD, ROBUST, PYNN_FIELD_INTEGER},
                       [MISSING] = {"missing", MISSING_ERROR, MISSING_ERROR, MISSING_NONFINITE, PYNN_FIELD_INTEGER},
                       [CLIP] = {"clip", 0, 0, 1e30, 0}},
            .flags = PYNN_LAYER_ADAPTS | PYNN_LAYER_TAKES_MISSING | PYNN_LAYER_READS_DOUBLE},
    .shape = shape,
    .ready = ready,
    .accepts = accepts,
    .adapt_check = adapt_check,
    .adapt = adapt,
    .adapted = adapted,
    .forward = forward,
    .backward = backward,
};
