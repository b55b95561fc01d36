/* The gradients of recurrent kernels: strips of X^T dZ and H^T dZ, and column sums, over all rows and timesteps. */
#include "layers/recurrent_memory.h"

#include <string.h>

enum { STEP = 8 }; /* strips of rows are multiples of it */

/* The job with how the kernels are cut. */
struct strips {
  struct job *job;
  struct memory m;
  struct tiling kernel, recurrent;
};

static const void *kept_at(const struct strips *s, int direction, int64_t offset) {
  return at(job_kernels(s->job), s->job->w->z[s->job->index], direction * s->m.kept + offset);
}

/* Rows of a kernel's gradient: of each block of its columns, A^T dZ. */
static void strip_of(const struct strips *s, int d, int role, const struct tile *t, const struct block *blocks, int n,
                     void *out) {
  const struct kernels *kernels = job_kernels(s->job);
  const int64_t h = s->m.units, ldz = s->m.layout->width * h, ld = s->m.layout->gates * h;
  for (int b = 0; b < n; b++) {
    const int of_state = blocks[b].reads == OF_STATE;
    const int64_t from = role == KERNEL ? s->m.x : of_state ? s->m.h : s->m.z + blocks[b].reads * h;
    const int64_t lda = role == KERNEL ? s->m.features : of_state ? h : ldz;
    kernels->gemm_transposed((size_t)t->rows, (size_t)(blocks[b].gates * h), (size_t)(s->job->rows * s->m.timesteps),
                             kept_at(s, d, from + t->row), (size_t)lda, kept_at(s, d, s->m.z + blocks[b].to * h),
                             (size_t)ldz, NULL, at(kernels, out, blocks[b].from * h), (size_t)ld);
  }
}

/* The rows of the bias: sums of the columns that the inputs' products go to, and of those of the recurrent ones. */
static void bias_of(const struct strips *s, int d, int64_t index) {
  const struct job *job = s->job;
  const struct kernels *kernels = job_kernels(job);
  const struct cell_layout *c = s->m.layout;
  const int64_t h = s->m.units, columns = c->width * h, n = (1 + c->recurrent_bias) * c->gates * h;
  void *sums = at(kernels, job->w->reals[job->index], s->m.sums + d * columns);
  void *bias = job_gradient_of(job, d * DIRECTION_TENSORS + BIAS, 0);
  kernels->column_sums((size_t)(job->rows * s->m.timesteps), (size_t)columns, kept_at(s, d, s->m.z), (size_t)columns,
                       sums);
  for (int row = 0; row <= c->recurrent_bias; row++)
    for (int b = 0; b < (row ? c->n_back : c->n_input); b++) {
      const struct block *block = row ? &c->back[b] : &c->input[b];
      memcpy(at(kernels, bias, (row * c->gates + block->from) * h), at(kernels, sums, block->to * h),
             (size_t)(block->gates * h) * kernels->size);
    }
  job_penalised_gradient(job, index, PYNN_SLOT_BIAS_REGULARIZER, bias, (size_t)n);
}

static void gradient_tile(void *argument, int64_t index) {
  const struct strips *s = argument;
  const struct cell_layout *c = s->m.layout;
  const int64_t of_direction = s->kernel.down + s->recurrent.down + 1, i = index % of_direction;
  const int d = (int)(index / of_direction), first = d * DIRECTION_TENSORS;
  const int recurrent = i >= s->kernel.down;
  if (i == of_direction - 1) {
    if (s->job->layer->tensor[first + BIAS] >= 0) bias_of(s, d, index);
    else job_gradient(s->job, index, NULL, 0);
    return;
  }
  const struct tile t = tile_at(recurrent ? &s->recurrent : &s->kernel, recurrent ? i - s->kernel.down : i);
  const int64_t ld = c->gates * s->m.units;
  void *out = job_gradient_of(s->job, first + (recurrent ? RECURRENT : KERNEL), t.row * ld);
  if (recurrent) strip_of(s, d, RECURRENT, &t, c->back, c->n_back, out);
  else strip_of(s, d, KERNEL, &t, c->input, c->n_input, out);
  job_penalised_gradient(s->job, index, recurrent ? PYNN_SLOT_RECURRENT_REGULARIZER : PYNN_SLOT_KERNEL_REGULARIZER, out,
                         (size_t)(t.rows * ld));
}

void recurrent_gradient(struct job *job) {
  struct strips s = {.job = job, .m = memory_of(job->layer, job->w->capacity, 1)};
  const int64_t ld = s.m.layout->gates * s.m.units;
  const double work = 2.0 * (double)(job->rows * s.m.timesteps) * (double)ld;
  s.kernel = tiling_of(s.m.features, ld, strip(s.m.features, work, STEP, STEP), ld);
  s.recurrent = tiling_of(s.m.units, ld, strip(s.m.units, work, STEP, STEP), ld);
  const int64_t tiles = (s.kernel.down + s.recurrent.down + 1) * s.m.directions;
  parallel_for(job->w->model->context, tiles, work * (double)(s.m.features + s.m.units), gradient_tile, &s);
  job_gradients(job, tiles);
}
