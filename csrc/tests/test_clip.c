/* Clipping by how unusual a norm is (pynn_guard.clip_z): an outlier's step is cut and noted, the others are left alone.
 */
#include "check.h"

enum { ROWS = 8, STEPS = 60 };

int main(void) {
  double x[ROWS * 2], y[ROWS];
  pynn_context *context;
  pynn_model *model;
  pynn_trainer *trainer;
  pynn_layer layer;
  pynn_spec loss;
  pynn_model_options shape;
  pynn_trainer_options how;
  pynn_step step;
  pynn_dense(&layer, 1, NULL);
  pynn_spec_named(&loss, PYNN_LOSS, "mse");
  pynn_model_options_init(&shape);
  shape.inputs = 2, shape.dtype = PYNN_FLOAT64;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &shape, &layer, 1, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
  pynn_trainer_options_init(&how, model);
  pynn_spec_set(&how.optimizer, "learning_rate", 1e-4);
  how.guard.clip_z = 3;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &how, NULL));
  const pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, 2), pynn_matrix(y, PYNN_FLOAT64, ROWS, 1), {0}};
  const double *w = pynn_model_parameters(model);
  double largest = 0, cut = 0;
  for (int i = 0; i < STEPS; i++) {
    for (int r = 0; r < ROWS; r++) {
      x[2 * r] = (i * 7 + r * 3) % 11 - 5, x[2 * r + 1] = (i * 5 + r) % 7 - 3;
      y[r] = 3 * x[2 * r] - x[2 * r + 1] + (i + r) % 3;
    }
    if (i == 50) y[3] = 1e6; /* the outlier */
    const double before[3] = {w[0], w[1], w[2]};
    CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, NULL));
    double moved = 0;
    for (int j = 0; j < 3; j++) moved += (w[j] - before[j]) * (w[j] - before[j]);
    if (i == 50) cut = sqrt(moved);
    else if (sqrt(moved) > largest) largest = sqrt(moved);
    if (i == 50) CHECK(step.gradient_norm > 1e4 && cut < 1e-3 * 1e-4 * step.gradient_norm);
  }
  CHECK(cut > 0 && cut < 3 * largest);
  pynn_event events[8];
  int64_t dropped;
  const int64_t n = pynn_trainer_events(trainer, events, 8, &dropped);
  CHECK_EQUAL(n, 1);
  CHECK_EQUAL(dropped, 0);
  CHECK(events[0].kind == PYNN_EVENT_CLIPPED && events[0].operation == PYNN_OPERATION_CLIP && events[0].step == 51);
  CHECK(events[0].value > 1e4);
  pynn_trainer_free(trainer);
  pynn_model_free(model);
  pynn_context_free(context);
  CHECK_REPORT();
}
