/* Trains a network on digits with no Python on the machine, and saves it.
 *
 *   train_digits TRAIN-IMAGES TRAIN-LABELS TEST-IMAGES TEST-LABELS MODEL [EPOCHS]
 *
 * The files are IDX, as MNIST is published, unpacked. The same seed gives the same bits as in Python:
 *
 *   model = pynn.Sequential([pynn.Dense(128, activation="relu"), pynn.Dense(10)], seed=0)
 *   model.compile(loss="softmax_cross_entropy", optimizer=pynn.Adam(learning_rate=1e-3), metrics=["accuracy"])
 *   model.fit(X, y, epochs=EPOCHS, batch_size=64)
 */
#include <pynn.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(const char *what, pynn_status status, const pynn_error *error) {
  fprintf(stderr, "%s: %s\n", what, error && error->status == status ? error->message : pynn_strerror(status));
  return 1;
}

/* The bytes of an IDX file of unsigned bytes with `dimensions` dimensions; *items of *size bytes each. NULL: it is
 * none, or shorter than it says. */
static unsigned char *read_idx(const char *path, int dimensions, int64_t *items, int64_t *size) {
  unsigned char header[16], *bytes = NULL;
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  if (fread(header, 4 + 4 * (size_t)dimensions, 1, file) == 1 && header[2] == 8 && header[3] == dimensions) {
    int64_t length[3] = {1, 1, 1};
    for (int d = 0; d < dimensions; d++)
      for (int i = 0; i < 4; i++) length[d] = (i ? length[d] * 256 : 0) + header[4 + 4 * d + i];
    *items = length[0], *size = length[1] * length[2];
    const size_t total = (size_t)(*items * *size);
    bytes = *items < 1 << 24 && *size < 1 << 20 ? malloc(total) : NULL;
    if (bytes && fread(bytes, 1, total, file) != total) free(bytes), bytes = NULL;
  }
  fclose(file);
  return bytes;
}

struct digits {
  float *x; /* rows x 784, in 0 ... 1 */
  unsigned char *y;
  int64_t rows;
};

static int read_digits(struct digits *digits, const char *images, const char *labels) {
  int64_t size = 0, rows = 0, one = 0;
  unsigned char *pixels = read_idx(images, 3, &digits->rows, &size);
  digits->y = read_idx(labels, 1, &rows, &one);
  digits->x = pixels ? malloc((size_t)(digits->rows * size) * sizeof(float)) : NULL;
  const int read = digits->x && digits->y && rows == digits->rows && size == 784;
  for (int64_t i = 0; read && i < rows * size; i++) digits->x[i] = (float)pixels[i] / 255.0f;
  free(pixels);
  if (!read) fprintf(stderr, "expected IDX files of digits, unpacked; received %s and %s\n", images, labels);
  return read;
}

static pynn_data as_data(const struct digits *digits) {
  return (pynn_data){pynn_matrix(digits->x, PYNN_FLOAT32, digits->rows, 784),
                     pynn_matrix(digits->y, PYNN_UINT8, digits->rows, 1),
                     {0}};
}

static pynn_status make(pynn_model **model, const pynn_context *context, pynn_error *error) {
  pynn_layer layers[2];
  pynn_spec loss;
  pynn_model_options options;
  pynn_dense(&layers[0], 128, "relu");
  pynn_dense(&layers[1], 10, NULL);
  pynn_spec_named(&loss, PYNN_LOSS, "softmax_cross_entropy");
  pynn_model_options_init(&options);
  options.inputs = 784;
  pynn_status status = pynn_model_new(model, context, &options, layers, 2, error);
  return status ? status : pynn_model_set_loss(*model, &loss);
}

static double accuracy(const pynn_model *model, pynn_workspace *workspace, const struct digits *digits, float *out) {
  const pynn_data data = as_data(digits);
  int64_t right = 0;
  if (pynn_predict(model, workspace, &data.x, 0, PYNN_FLOAT32, out, NULL)) return 0;
  for (int64_t i = 0; i < digits->rows; i++) {
    const float *p = out + 10 * i;
    int best = 0;
    for (int j = 1; j < 10; j++) best = p[j] > p[best] ? j : best;
    right += best == digits->y[i];
  }
  return (double)right / (double)digits->rows;
}

int main(int argc, char **argv) {
  struct digits train, test;
  pynn_error error = {0};
  pynn_context *context;
  pynn_model *model;
  pynn_trainer *trainer;
  pynn_workspace *workspace;
  pynn_trainer_options options;
  if (argc < 6) return fprintf(stderr, "train_digits IMAGES LABELS IMAGES LABELS MODEL [EPOCHS]\n"), 2;
  if (!read_digits(&train, argv[1], argv[2]) || !read_digits(&test, argv[3], argv[4])) return 1;
  const int epochs = argc > 6 ? atoi(argv[6]) : 5;

  pynn_status status = pynn_context_new(&context, NULL);
  if (status) return failed("context", status, NULL);
  status = make(&model, context, &error);
  if (status) return failed("model", status, &error);
  pynn_trainer_options_init(&options, model);
  options.batch_size = 64;
  pynn_spec_named(&options.optimizer, PYNN_OPTIMIZER, "adam");
  pynn_spec_set(&options.optimizer, "learning_rate", 1e-3);
  status = pynn_trainer_new(&trainer, model, &options, &error);
  if (!status) status = pynn_workspace_new(&workspace, model);
  if (status) return failed("trainer", status, &error);

  const pynn_data data = as_data(&train);
  int64_t *order = malloc((size_t)train.rows * sizeof *order);
  float *out = malloc((size_t)test.rows * 10 * sizeof *out);
  if (!order || !out) return 1;
  for (int epoch = 0; epoch < epochs; epoch++) {
    pynn_step step;
    pynn_shuffle(0, (uint64_t)epoch, train.rows, order);
    status = pynn_train_batches(trainer, &data, order, 0, train.rows, 64, 0, PYNN_FLOAT32, NULL, &step, &error);
    if (status) return failed("training", status, &error);
    printf("epoch %d  loss %.6f  test accuracy %.4f\n", epoch + 1, step.loss, accuracy(model, workspace, &test, out));
  }
  status = pynn_save(model, argv[5], NULL, 0, &error);
  if (status) return failed("save", status, &error);
  pynn_workspace_free(workspace);
  pynn_trainer_free(trainer);
  pynn_model_free(model);
  pynn_context_free(context);
  free(train.x), free(train.y), free(test.x), free(test.y), free(order), free(out);
  return 0;
}
