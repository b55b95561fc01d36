/* Dropout: in training each number becomes 0 with probability `rate` and is else divided by 1 - rate. The draws depend
 * on layer, step and position alone: backward repeats them. */
#include "graph/layer.h"

enum { RATE }; /* numbers */

struct dropping {
  const struct job *job;
  const void *in;
  int64_t ld;
  void *out;
};

static void tile(void *argument, int64_t index) {
  const struct dropping *d = argument;
  const struct job *job = d->job;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    kernels->dropout((size_t)t.columns, at(kernels, d->in, i * d->ld), at(kernels, d->out, i * t.columns),
                     job->layer->spec.values[RATE], job->key, job->step, (uint64_t)((job->place + i) * t.columns));
}

static void drop(struct job *job, const void *in, int64_t ld, void *out) {
  struct dropping d = {job, in, ld, out};
  job->tiling = tiling_of(job->rows, job->layer->units, LOSS_ROWS, job->layer->units);
  parallel_for(job->w->model->context, job->tiling.down, 30.0 * (double)(job->rows * job->layer->units), tile, &d);
}

static void forward(struct job *job) { drop(job, job->x, job->ldx, job_values(job)); }

static void backward(struct job *job) {
  drop(job, job->dY, job->layer->units, job->dY);
  job->dX = job->dY;
}

const struct layer_kind layer_dropout = {
    .row = {.name = "dropout",
            .aliases = "",
            .n_fields = 1,
            .fields = {[RATE] = {"rate", 0.5, 0, 1, PYNN_FIELD_OPEN_MAXIMUM}},
            .flags = PYNN_LAYER_ONLY_TRAINS | PYNN_LAYER_TAKES_MISSING | PYNN_LAYER_TIMESTEPS},
    .forward = forward,
    .backward = backward,
};
