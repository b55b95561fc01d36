/* Predicts rows of float32 from standard input with a saved model: predict MODEL < ROWS > PREDICTIONS */
#include <pynn.h>
#include <stdio.h>

int main(int argc, char **argv) {
  pynn_context *context;
  pynn_model *model;
  pynn_workspace *workspace;
  float x[4096], y[4096];
  if (argc != 2 || pynn_context_new(&context, NULL) || pynn_load(&model, context, argv[1], NULL)) return 1;
  if (pynn_model_inputs(model) > 4096 || pynn_model_outputs(model) > 4096 || pynn_model_dtype(model)) return 1;
  if (pynn_workspace_new(&workspace, model)) return 1;
  pynn_array row = pynn_matrix(x, PYNN_FLOAT32, 1, pynn_model_inputs(model));
  while (fread(x, sizeof *x, (size_t)row.columns, stdin) == (size_t)row.columns) {
    if (pynn_predict(model, workspace, &row, 0, PYNN_FLOAT32, y, NULL)) return 1;
    fwrite(y, sizeof *y, (size_t)pynn_model_outputs(model), stdout);
  }
  pynn_workspace_free(workspace), pynn_model_free(model), pynn_context_free(context);
  return 0;
}
