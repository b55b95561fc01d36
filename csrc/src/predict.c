/* Predictions and evaluation: tiles of rows through a workspace, however many rows there are. */
#include "array.h"
#include "pass.h"

static pynn_status run(const pynn_model *model, pynn_workspace *w, const pynn_array *x, const pynn_array *targets,
                       const pynn_array *weights, int raw, void *out, double *loss, pynn_error *error) {
  const struct guard guard = compute_begin(model->context, 0);
  pynn_status status = PYNN_OK;
  for (int64_t first = 0; first < x->rows && !status; first += w->capacity) {
    const int64_t rows = x->rows - first < w->capacity ? x->rows - first : w->capacity;
    struct batch batch = {.rows = rows, .x = w->input, .ldx = model->inputs};
    if (targets) status = pass_targets(w, targets, weights, NULL, first, &batch, error);
    if (status) break;
    array_gather(model->kernels, x, NULL, first, rows, w->input);
    const void *logits = pass_forward(w, &batch, 0, 0, 0);
    if (targets) *loss += pass_loss(w, &batch, logits, 0);
    if (out)
      pass_predictions(w, rows, logits, raw,
                       (char *)out + (size_t)first * (size_t)model->outputs * model->kernels->size);
  }
  compute_end(model->context, guard);
  return status;
}

pynn_status pynn_predict(const pynn_model *model, pynn_workspace *workspace, const pynn_array *x, int raw, void *out,
                         pynn_error *error) {
  if (!model || !workspace || workspace->model != model || !x || !out)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a model, its workspace, x and out; received NULL");
  pynn_status status = array_check(x, "x", -1, model->inputs, error);
  return status ? status : run(model, workspace, x, NULL, NULL, raw, out, NULL, error);
}

pynn_status pynn_evaluate(const pynn_model *model, pynn_workspace *workspace, const pynn_array *x,
                          const pynn_array *targets, const pynn_array *weights, void *out, double *loss,
                          pynn_error *error) {
  if (!model || !workspace || workspace->model != model || !x || !targets || !loss)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a model, its workspace, x, targets and loss; received NULL");
  pynn_status status = pass_check_targets(model, x, targets, weights, error);
  double sum = 0;
  if (!status) status = run(model, workspace, x, targets, weights, 0, out, &sum, error);
  if (!status) *loss = x->rows ? sum / (double)x->rows : 0;
  return status;
}
