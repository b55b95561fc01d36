/* Gaussian noise: in training adds a normal number of deviation `stddev` to each number. The draws depend on layer,
 * step and position alone. */
#include "base/normal.h"
#include "graph/layer.h"

enum { STDDEV }; /* numbers */

/* Normal numbers 2 pair and 2 pair + 1: attempts are numbered, and the first one that fits is taken. */
static void draw(uint64_t key, uint64_t step, uint64_t pair, double *out) {
  uint64_t attempt = 0;
  while (!normal_pair(philox(key, step, pair | attempt << 48), out)) attempt++;
}

static void tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    for (int64_t from = 0; from < t.columns; from += PART) {
      const int64_t n = least(PART, t.columns - from), first = (job->place + i) * t.columns + from;
      const int64_t pairs = (first + n - 1) / 2;
      double noise[PART + 2];
      for (int64_t pair = first / 2; pair <= pairs; pair++)
        draw(job->key, job->step, (uint64_t)pair, noise + 2 * (pair - first / 2));
      for (int64_t j = 0; j < n + first % 2; j++) noise[j] *= job->layer->spec.values[STDDEV];
      kernels->add_double((size_t)n, at(kernels, job->x, i * job->ldx + from), noise + first % 2,
                          at(kernels, job_values(job), i * t.columns + from));
    }
  job_value_tile(job, index, &t);
}

static void forward(struct job *job) {
  job_rows(job, 200, tile);
  job_valued(job);
}

static void backward(struct job *job) { job->dX = job->dY; }

const struct layer_kind layer_gaussian_noise = {
    .row = {.name = "gaussian_noise",
            .aliases = "",
            .n_fields = 1,
            .fields = {[STDDEV] = {"stddev", 0.1, 0, 1e30, 0}},
            .flags = PYNN_LAYER_ONLY_TRAINS | PYNN_LAYER_TAKES_MISSING | PYNN_LAYER_TIMESTEPS},
    .forward = forward,
    .backward = backward,
};
