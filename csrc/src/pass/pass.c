/* Forward and backward: the algorithm, top to bottom. The operations of each kind of layer are in layers/, one file a
 * kind.
 *
 *   forward    Y = layer(X), from the first layer to the last, whose Y are the logits
 *   loss       L = 1/rows sum_i w_i loss(Y_i, target_i), dL/dY                       (loss.c)
 *   backward   gradient = dL/d(the layer's parameters), dL/dX = dL/dY of the layer below, from the last to the first
 *
 * Every operation is a job of tiles cut by shapes alone. */
#include "pass/pass.h"

#include "compute/array.h"
#include "compute/blas.h"
#include "graph/layer.h"

#include <string.h>

int pass_uses_blas(const pynn_model *model, int64_t rows) {
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct layer *layer = &model->layers[i];
    if ((layer->kind->row.flags & PYNN_LAYER_PRODUCT) &&
        blas_takes(model->context, rows * layer->in.timesteps, layer->out.features, layer->in.features))
      return 1;
  }
  return 0;
}

const void *pass_in_place(const pynn_model *model, const pynn_array *x, int64_t first, int64_t *ld) {
  int64_t given;
  const void *at = array_in_place(model->input_kernels, x, first, &given);
  if (!at || (model->shape.timesteps > 1 && given != model->inputs)) return NULL;
  *ld = given;
  return at;
}

void pass_enter(struct job *job, int32_t index, uint64_t dropout_key) {
  job->index = index;
  job->layer = &job->w->model->layers[index];
  job->x = job->w->inputs[index].at;
  job->ldx = job->w->inputs[index].ld;
  job->sparse = job->w->inputs[index].sparse;
  job->key = dropout_key + (uint64_t)index;
}

void pass_propose(pynn_workspace *w) {
  if (w->proposed) memcpy(w->proposed, w->model->state, (size_t)w->model->n_state * sizeof *w->proposed);
}

const void *pass_forward(pynn_workspace *w, const struct batch *batch, int training, uint64_t dropout_key,
                         uint64_t step) {
  struct job job = {.w = w, .rows = batch->rows, .place = batch->place, .training = training, .step = step};
  w->failed = w->masked = 0;
  w->inputs[0] = (struct values){batch->x, batch->ldx, batch->x ? NULL : &batch->sparse};
  if (training) pass_propose(w);
  for (int32_t i = 0; i < w->model->n_layers; i++) {
    pass_enter(&job, i, dropout_key);
    w->inputs[i + 1] = w->inputs[i];
    if (!training && (job.layer->kind->row.flags & PYNN_LAYER_ONLY_TRAINS)) continue;
    job.layer->kind->forward(&job);
    w->inputs[i + 1] = (struct values){w->y[i], job.layer->units, NULL};
  }
  return w->inputs[w->model->n_layers].at;
}

int32_t pass_lowest(const pynn_model *model) {
  for (int32_t i = 0; i < model->n_layers; i++)
    if (model->layers[i].n_parameters && !model->layers[i].frozen) return i;
  return model->n_layers;
}

void pass_join(const struct job *job) {
  const pynn_model *model = job->w->model;
  for (int32_t i = job->index + 1; i < model->n_layers; i++)
    if (model->layers[i].source == job->index)
      model->kernels->add((size_t)(job->rows * job->layer->inputs), job->dX, job->w->z[i], job->dX);
}

void pass_silence(pynn_workspace *w, void *gradient) {
  const pynn_model *model = w->model;
  const int32_t lowest = pass_lowest(model);
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct layer *layer = &model->layers[i];
    struct layer_sums *sums = &w->sums[i];
    if (i < lowest) sums->delta_max = 0; /* of a step before the layers were frozen */
    if (!layer->frozen) continue;
    memset(at(model->kernels, gradient, layer->parameters), 0, (size_t)layer->n_parameters * model->kernels->size);
    sums->gradient_max = sums->gradient_squares = sums->penalty = 0;
    if (w->observes) w->observed[i].gradient = (struct observed){0};
  }
}

void pass_backward(pynn_workspace *w, const struct batch *batch, void *gradient, uint64_t dropout_key, uint64_t step) {
  const int32_t lowest = pass_lowest(w->model);
  struct job job = {.w = w,
                    .rows = batch->rows,
                    .place = batch->place,
                    .training = 1,
                    .step = step,
                    .dY = w->dY[0],
                    .gradient = gradient};
  for (int32_t i = w->model->n_layers - 1; i >= lowest; i--) {
    pass_enter(&job, i, dropout_key);
    job.dX = i == lowest ? NULL : job.dY == w->dY[0] ? w->dY[1] : w->dY[0];
    job.fuses = job_fuses(&job);
    job.below_differentiated = 0;
    job.layer->kind->backward(&job);
    if (job.dX && job.layer->begins) pass_join(&job);
    job.dY = job.dX;
    job.differentiated = job.below_differentiated;
  }
  if (w->model->frozen) pass_silence(w, gradient);
}
