/* The gradients of recurrent kernels: columns of X^T dZ and H^T dZ, and column sums, over all rows and timesteps. */
#include "layers/recurrent_memory.h"

#include <string.h>

/* The job with how the kernels are cut: all rows of some columns, as dZ is what is long. */
struct strips {
  struct job *job;
  struct memory m;
  struct tiling columns;
};

static const void *kept_at(const struct strips *s, int direction, int64_t offset) {
  return at(job_kernels(s->job), s->job->w->z[s->job->index], direction * s->m.kept + offset);
}

/* Columns of a kernel's gradient, of the blocks that they are in: A^T dZ. */
static void strip_of(const struct strips *s, int d, int role, const struct tile *t, const struct block *blocks, int n) {
  const struct kernels *kernels = job_kernels(s->job);
  const int64_t h = s->m.units, ldz = s->m.layout->width * h, ld = s->m.layout->gates * h;
  void *out = job_gradient_of(s->job, d * DIRECTION_TENSORS + role, 0);
  for (int b = 0; b < n; b++) {
    const int of_state = blocks[b].reads == OF_STATE;
    const int64_t a = role == KERNEL ? s->m.x : of_state ? s->m.h : s->m.z + blocks[b].reads * h;
    const int64_t lda = role == KERNEL ? s->m.features : of_state ? h : ldz;
    const int64_t begin = most(t->column, blocks[b].from * h);
    const int64_t end = least(t->column + t->columns, (blocks[b].from + blocks[b].gates) * h);
    if (begin >= end) continue;
    kernels->gemm_transposed((size_t)(role == KERNEL ? s->m.features : h), (size_t)(end - begin),
                             (size_t)(s->job->rows * s->m.timesteps), kept_at(s, d, a), (size_t)lda,
                             kept_at(s, d, s->m.z + (blocks[b].to - blocks[b].from) * h + begin), (size_t)ldz, NULL,
                             at(kernels, out, begin), (size_t)ld);
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

static void product_tile(void *argument, int64_t index) {
  const struct strips *s = argument;
  const struct cell_layout *c = s->m.layout;
  const int64_t of_direction = 2 * s->columns.across, i = index % of_direction;
  const struct tile t = tile_at(&s->columns, i / 2);
  if (i % 2) strip_of(s, (int)(index / of_direction), RECURRENT, &t, c->back, c->n_back);
  else strip_of(s, (int)(index / of_direction), KERNEL, &t, c->input, c->n_input);
}

/* Penalty, largest magnitude and sum of squares of a tensor's gradient; the bias, which has no product, itself. */
static void tensor_tile(void *argument, int64_t index) {
  static const int regularizers[] = {PYNN_SLOT_KERNEL_REGULARIZER, PYNN_SLOT_RECURRENT_REGULARIZER};
  const struct strips *s = argument;
  const int64_t ld = s->m.layout->gates * s->m.units;
  const int role = (int)(index % DIRECTION_TENSORS), d = (int)(index / DIRECTION_TENSORS);
  if (s->job->layer->tensor[index] < 0) job_gradient(s->job, index, NULL, 0);
  else if (role == BIAS) bias_of(s, d, index);
  else
    job_penalised_gradient(s->job, index, regularizers[role], job_gradient_of(s->job, (int)index, 0),
                           (size_t)((role == KERNEL ? s->m.features : s->m.units) * ld));
}

void recurrent_gradient(struct job *job) {
  const pynn_context *context = job->w->model->context;
  struct strips s = {.job = job, .m = memory_of(job->layer, job->w->capacity, 1)};
  const int64_t ld = s.m.layout->gates * s.m.units, tensors = s.m.directions * DIRECTION_TENSORS;
  const double work = 2.0 * (double)(job->rows * s.m.timesteps) * (double)(s.m.features + s.m.units);
  s.columns = tiling_of(1, ld, 1, strip(ld, work, GEMM_STEP, GEMM_STEP));
  parallel_for(context, s.columns.across * 2 * s.m.directions, work * (double)ld, product_tile, &s);
  parallel_for(context, tensors, 2.0 * (double)(job->rows * s.m.timesteps * ld), tensor_tile, &s);
  job_gradients(job, tensors);
}
