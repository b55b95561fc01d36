/* Predictions and evaluation: tiles of rows through a workspace, however many rows there are. */
#include "compute/array.h"
#include "compute/scope.h"
#include "graph/layer.h"
#include "model/workspace.h"
#include "pass/custom_loss.h"
#include "pass/finite.h"
#include "pass/loss.h"
#include "pass/targets.h"

#include <math.h>

/* What a call was given. */
struct call {
  const pynn_model *model;
  const pynn_array *x, *targets, *weights; /* targets NULL: a prediction */
  int raw;
  pynn_dtype dtype;
  void *out; /* may be NULL in an evaluation */
  pynn_error *error;
};

/* Whether a row holds finite numbers alone, as it was given: in the model's dtype some may be infinite. */
static int row_finite(const struct call *call, int64_t row) {
  const struct kernels *doubles = call->model->context->kernels[PYNN_FLOAT64];
  for (int64_t j = 0; j < call->x->columns; j++)
    if (!isfinite(array_cell(doubles, call->x, row, j))) return 0;
  return 1;
}

/* A tile that is not finite once more, with every layer's values kept, to name the first cell at fault. In a prediction
 * rows of `x` that are not finite themselves may give anything: they are left out. Allocates; releases. */
static pynn_status locate(const struct call *call, int64_t first, int64_t rows) {
  const pynn_model *model = call->model;
  struct batch batch = {.ldx = model->inputs, .given = call->x};
  int64_t order[PYNN_PREDICT_ROWS];
  pynn_workspace *w = NULL;
  pynn_status status = workspace_new(&w, model, rows, 1);
  if (status) return fail(call->error, PYNN_ERROR_NUMERIC, "expected finite numbers; received NaN or infinity");
  w->keeps = 0; /* what was computed before is computed again, to the last bit: without the BLAS */
  for (int64_t i = 0; i < rows; i++) {
    array_gather(model->input_kernels, call->x, NULL, first + i, 1, w->input);
    if (call->targets || (model->layers->kind->row.flags & PYNN_LAYER_READS_DOUBLE) ||
        model_accepts_row(model, w->input) || row_finite(call, first + i))
      order[batch.rows++] = first + i;
  }
  if (batch.rows) {
    array_gather(model->input_kernels, call->x, order, 0, batch.rows, w->input);
    batch.x = w->input;
    if (call->targets) status = pass_targets(w, call->targets, call->weights, order, 0, &batch, call->error);
    const void *logits = pass_forward(w, &batch, 0, 0, 0);
    pass_predictions(w, batch.rows, logits, call->raw, call->dtype, w->dY[0]); /* doubles take both dY, side by side */
    if (!status) status = pass_failed(w, call->error);
    if (!status)
      status =
          finite_check_forward(w, &batch, call->targets != NULL, logits, call->dtype, w->dY[0], order, 0, call->error);
  }
  pynn_workspace_free(w);
  return status;
}

/* A loss that is not finite though every row alone is: a custom loss did not write all of its results. */
static pynn_status bad_loss(double loss, pynn_error *error) {
  fail(error, PYNN_ERROR_NUMERIC, "expected a finite loss; received %g", loss);
  if (error) error->value = loss, error->operation = PYNN_OPERATION_LOSS;
  return PYNN_ERROR_NUMERIC;
}

static pynn_status run(const struct call *call, pynn_workspace *w, double *loss) {
  const pynn_model *model = call->model;
  const struct compute_scope scope = compute_begin(model->context, 0);
  pynn_status status = PYNN_OK, fault = PYNN_OK;
  for (int64_t first = 0; first < call->x->rows && !status; first += w->capacity) {
    const int64_t rows = call->x->rows - first < w->capacity ? call->x->rows - first : w->capacity;
    struct batch batch = {.rows = rows, .ldx = model->inputs, .given = call->x};
    if (call->targets) status = pass_targets(w, call->targets, call->weights, NULL, first, &batch, call->error);
    if (status) break;
    batch.x = pass_in_place(model, call->x, first, &batch.ldx);
    if (call->x->indices) {
      batch.sparse = (struct sparse){call->x, NULL, first};
      status = sparse_check(&batch.sparse, rows, call->error);
      if (status) break;
    } else if (!batch.x) {
      array_gather(model->input_kernels, call->x, NULL, first, rows, w->input);
      batch.x = w->input;
    }
    const void *logits = pass_forward(w, &batch, 0, 0, 0), *seen = logits;
    pynn_dtype dtype = model->dtype;
    const double sum = call->targets ? pass_loss(w, &batch, logits, 0) : 0;
    *loss += sum;
    status = pass_failed(w, call->error);
    if (status) break;
    if (call->out) {
      void *out = at(model->context->kernels[call->dtype], call->out, first * model->outputs);
      pass_predictions(w, rows, logits, call->raw, call->dtype, out);
      seen = out;
      dtype = call->dtype;
    }
    if (!fault && !(isfinite(sum) && finite_forward(w, rows, dtype, seen))) fault = locate(call, first, rows);
    if (!fault && !isfinite(sum)) fault = bad_loss(sum, call->error);
  }
  compute_end(model->context, scope);
  return status ? status : fault;
}

pynn_status pynn_predict(const pynn_model *model, pynn_workspace *workspace, const pynn_array *x, int raw,
                         pynn_dtype dtype, void *out, pynn_error *error) {
  if (!model || !workspace || workspace->model != model || !x || !out)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a model, its own workspace, x and out; received NULL, or the workspace of another");
  pynn_status status = pass_check_inputs(model, x, error);
  if (!status) status = model_ready(model, !raw, error);
  if (!status) status = pass_check_output(model, raw, dtype, out, "out", error);
  const struct call call = {.model = model, .x = x, .raw = raw, .dtype = dtype, .out = out, .error = error};
  double none = 0;
  return status ? status : run(&call, workspace, &none);
}

pynn_status pynn_evaluate(const pynn_model *model, pynn_workspace *workspace, const pynn_array *x,
                          const pynn_array *targets, const pynn_array *weights, pynn_dtype dtype, void *out,
                          double *loss, pynn_error *error) {
  if (!model || !workspace || workspace->model != model || !x || !targets || !loss)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a model, its own workspace, x, targets and loss; received NULL, or the workspace of another");
  pynn_status status = pass_check_targets(model, x, targets, weights, error);
  if (!status) status = model_ready(model, 1, error);
  if (!status) status = pass_check_output(model, 0, dtype, out, "out", error);
  const struct call call = {model, x, targets, weights, 0, out ? dtype : model->dtype, out, error};
  double sum = 0;
  if (!status) status = run(&call, workspace, &sum);
  if (!status || status == PYNN_ERROR_NUMERIC) *loss = x->rows ? sum / (double)x->rows + pass_penalty(model) : 0;
  return status;
}
