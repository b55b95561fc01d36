/* Gaussian noise: in training a normal number of deviation `stddev` is added to each; the draws depend on the layer,
 * the step and the position alone. */
#include "../layer.h"

#define PYNN_REAL_BITS 64 /* the library's own log: the same numbers whatever the C library and dtype */
#include "../numerics.h"
#include "../rng.h"

enum { STDDEV }; /* numbers */
enum { PART = 256 };

/* Normal numbers 2 pair and 2 pair + 1 (Marsaglia's polar method: the first attempt that fits counts). */
static void normal_pair(uint64_t key, uint64_t step, uint64_t pair, double *out) {
  for (uint64_t attempt = 0;; attempt++) {
    const struct philox d = philox(key, step, pair | attempt << 48);
    const double u = unit(d.word[0], d.word[1]) * 2 - 1, v = unit(d.word[2], d.word[3]) * 2 - 1;
    const double square = u * u + v * v;
    if (square >= 1) continue;
    const double scale = sqrt(-2 * log_(square) / square);
    out[0] = u * scale, out[1] = v * scale;
    return;
  }
}

static void tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    for (int64_t from = 0; from < t.columns; from += PART) {
      const int64_t n = least(PART, t.columns - from), first = i * t.columns + from, pairs = (first + n - 1) / 2;
      double noise[PART + 2];
      for (int64_t pair = first / 2; pair <= pairs; pair++)
        normal_pair(job->key, job->step, (uint64_t)pair, noise + 2 * (pair - first / 2));
      for (int64_t j = 0; j < n + first % 2; j++) noise[j] *= job->layer->spec.kind.values[STDDEV];
      kernels->add_double((size_t)n, at(kernels, job->x, i * job->ldx + from), noise + first % 2,
                          at(kernels, job_values(job), first));
    }
  job_value_tile(job, index, &t);
}

static void forward(struct job *job) {
  job_rows(job, 200, tile);
  job_valued(job);
}

static void backward(struct job *job) { job->below = job->delta; }

const struct layer_kind layer_gaussian_noise = {
    .row = {.name = "gaussian_noise", .aliases = "", .n_fields = 1, .fields = {[STDDEV] = {"stddev", 0.1, 0, 1e30, 0}}},
    .flags = LAYER_ONLY_TRAINS,
    .forward = forward,
    .backward = backward,
};
