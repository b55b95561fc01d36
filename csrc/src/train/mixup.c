/* Mixup (Zhang et al., ICLR 2018): row i becomes share x_i + (1 - share) x_j with j = (i + shift) mod rows, its target
 * and weight likewise, share ~ Beta(alpha, alpha). Share and shift of a step are pure functions of (key, step).
 */
#include "train/mixup.h"

#include "base/rng.h"
#include "graph/layer.h"
#include "train/state.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { MIXED_ROWS = 32 }; /* of a tile */
#define PI 3.14159265358979323846
#define SHIFT_DRAW ((uint64_t)1 << 40) /* apart from the draws of the two gammas */

/* log of a Gamma(alpha, 1) number: Marsaglia and Tsang, ACM TOMS 26, 2000; for alpha < 1 by way of alpha + 1. In
 * logarithms, since u^(1/alpha) underflows. */
static double log_gamma_draw(double alpha, uint64_t key, uint64_t step, uint64_t first) {
  const double boost = alpha < 1 ? log(random_unit(key, step, first)) / alpha : 0;
  const double d = (alpha < 1 ? alpha + 1 : alpha) - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (uint64_t index = first + 1;; index += 2) {
    const struct philox draw = philox(key, step, index);
    const double u = unit(draw.word[0], draw.word[1]), v = unit(draw.word[2], draw.word[3]);
    const double normal = sqrt(-2 * log(u)) * cos(2 * PI * v), root = 1 + c * normal, cube = root * root * root;
    if (root > 0 && log(random_unit(key, step, index + 1)) < 0.5 * normal * normal + d - d * cube + d * log(cube))
      return boost + log(d * cube);
  }
}

static void draw(uint64_t key, uint64_t step, double alpha, int64_t rows, double *share, int64_t *shift) {
  const double a = log_gamma_draw(alpha, key, step, 0), b = log_gamma_draw(alpha, key, step, SHIFT_DRAW / 2);
  *share = 1 / (1 + exp(b - a));
  *shift = rows > 1 ? 1 + (int64_t)(random_bits(key, step, SHIFT_DRAW) % (uint64_t)(rows - 1)) : 0;
}

void pynn_mixup_draw(uint64_t seed, int64_t step, double alpha, int64_t rows, double *share, int64_t *shift) {
  if (share && shift) draw(stream_key(seed, STREAM_MIXUP, 0), (uint64_t)step, alpha, rows, share, shift);
}

pynn_status pynn_trainer_set_mixup(pynn_trainer *t, double alpha, pynn_error *error) {
  if (!t || !(alpha >= 0 && alpha <= 1e6))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected mixup in 0 ... 1e6; received mixup=%g", alpha);
  if (alpha > 0 && (t->model->loss->row.flags & PYNN_ROW_LABELS) &&
      !(t->model->loss->row.flags & PYNN_ROW_PROBABILITIES))
    return fail(error, PYNN_ERROR_UNSUPPORTED, "expected a loss that takes probabilities for mixup; received '%s'",
                t->model->loss->row.name);
  if (alpha > 0 && (t->model->loss->row.flags & PYNN_ROW_SIGNS))
    return fail(error, PYNN_ERROR_UNSUPPORTED,
                "expected a loss that takes mixed targets for mixup; received '%s', which looks at their signs",
                t->model->loss->row.name);
  for (int32_t i = 0; alpha > 0 && i < t->model->n_layers; i++)
    if (t->model->layers[i].kind->row.flags & PYNN_LAYER_TAKES_CODES)
      return fail(error, PYNN_ERROR_UNSUPPORTED,
                  "expected a model without codes for mixup, as a mixture of two is none; received layer %d, '%s'",
                  (int)i, t->model->layers[i].kind->row.name);
  t->mixup = alpha;
  return PYNN_OK;
}

/* Rows of `columns` reals from `from` (ld reals apart) mixed into `to`. */
struct mixing {
  const struct kernels *kernels;
  const char *from;
  char *to;
  int64_t rows, columns, ld, shift;
  double share;
};

static void mix_tile(void *argument, int64_t index) {
  const struct mixing *m = argument;
  const size_t size = m->kernels->size, row = (size_t)m->columns * size, ld = (size_t)m->ld * size;
  for (int64_t i = index * MIXED_ROWS; i < m->rows && i < (index + 1) * MIXED_ROWS; i++)
    m->kernels->mix((size_t)m->columns, m->from + (size_t)i * ld, m->from + (size_t)((i + m->shift) % m->rows) * ld,
                    m->share, m->to + (size_t)i * row);
}

static void mix(const pynn_context *context, struct mixing m) {
  parallel_for(context, (m.rows + MIXED_ROWS - 1) / MIXED_ROWS, 3.0 * (double)(m.rows * m.columns), mix_tile, &m);
}

/* Labels as rows of probabilities, which are mixed like any. */
static void soften(pynn_workspace *w, struct batch *batch) {
  const struct kernels *kernels = w->model->kernels;
  const size_t n = (size_t)w->model->outputs, size = kernels->size;
  const double certain = 1;
  memset(w->targets, 0, (size_t)batch->rows * n * size);
  for (int64_t i = 0; i < batch->rows; i++)
    kernels->from_double(1, &certain, (char *)w->targets + ((size_t)i * n + (size_t)w->labels[i]) * size);
  batch->has_labels = 0;
}

/* In place, along the cycles that a shift makes. */
static void mix_weights(double *weights, int64_t rows, int64_t shift, double share) {
  if (!shift) return;
  for (int64_t start = 0, done = 0; done < rows; start++) {
    const double first = weights[start];
    for (int64_t i = start, next; done < rows; i = next) {
      next = (i + shift) % rows;
      weights[i] = share * weights[i] + (1 - share) * (next == start ? first : weights[next]);
      done++;
      if (next == start) break;
    }
  }
}

void mixup_batch(pynn_workspace *w, struct batch *batch, double alpha, uint64_t key, uint64_t step) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  double share;
  int64_t shift;
  draw(key, step, alpha, batch->rows, &share, &shift);
  const struct kernels *inputs = model->input_kernels; /* doubles take both deltas, which lie side by side */
  struct mixing m = {.kernels = inputs, .rows = batch->rows, .shift = shift, .share = share};
  m.from = batch->x, m.ld = batch->ldx, m.columns = model->inputs, m.to = w->input;
  if (batch->x == w->input) {
    m.from = memcpy(w->dY[0], w->input, (size_t)(batch->rows * model->inputs) * inputs->size);
    m.ld = model->inputs;
  }
  mix(model->context, m);
  batch->x = w->input;
  batch->ldx = model->inputs;
  if (batch->has_labels) soften(w, batch);
  for (int64_t i = 0; batch->has_weights && i < batch->rows; i++) /* what a row of weight 0 holds does not matter */
    if (w->weights[i] == 0)
      memset((char *)w->targets + (size_t)(i * model->targets) * kernels->size, 0,
             (size_t)model->targets * kernels->size);
  m.kernels = kernels;
  m.from = memcpy(w->dY[1], w->targets, (size_t)(batch->rows * model->targets) * kernels->size);
  m.ld = m.columns = model->targets, m.to = w->targets;
  mix(model->context, m);
  if (batch->has_weights) mix_weights(w->weights, batch->rows, shift, share);
}
