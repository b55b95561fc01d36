/* Contexts: names and numbers, arrays of every kind, floating-point state, BLAS threads, fork, bad arguments. */
#include "check.h"

#include <fenv.h>
#include <float.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(PYNN_NO_THREADS) /* the library was built with PYNN_THREADS=OFF */
#  define HAS_THREADS 0
#else
#  define HAS_THREADS 1
#endif

static void test_names(void) {
  for (int table = 0; table < 5; table++) {
    CHECK(pynn_table_size((pynn_table)table) > 0);
    CHECK(!pynn_table_row((pynn_table)table, -1));
    CHECK(!pynn_table_row((pynn_table)table, pynn_table_size((pynn_table)table)));
    for (int32_t i = 0; i < pynn_table_size((pynn_table)table); i++) {
      const pynn_row *row = pynn_table_row((pynn_table)table, i);
      pynn_spec spec;
      CHECK_STATUS(PYNN_OK, pynn_spec_named(&spec, (pynn_table)table, row->name));
      CHECK(spec.row == i && spec.table == table);
      for (int32_t f = 0; f < row->n_fields; f++) {
        const pynn_field *field = &row->fields[f];
        CHECK(pynn_spec_get(&spec, field->name) == field->value);
        CHECK_STATUS(PYNN_OK, pynn_spec_set(&spec, field->name, field->value));
        CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_spec_set(&spec, field->name, NAN));
        CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_spec_set(&spec, field->name, INFINITY));
        if (field->minimum > -DBL_MAX)
          CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_spec_set(&spec, field->name, field->minimum - 1));
        if (field->flags & PYNN_FIELD_OPEN_MAXIMUM)
          CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_spec_set(&spec, field->name, field->maximum));
        CHECK(pynn_spec_get(&spec, field->name) == field->value);
      }
      CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_spec_set(&spec, "no such number", 1));
      char alias[64];
      for (const char *a = row->aliases; *a; a += strcspn(a, " "), a += *a == ' ') {
        snprintf(alias, sizeof alias, "%.*s", (int)strcspn(a, " "), a);
        CHECK_STATUS(PYNN_OK, pynn_spec_named(&spec, (pynn_table)table, alias));
        CHECK_EQUAL(spec.row, i);
      }
    }
    pynn_spec spec = {.row = 77};
    CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_spec_named(&spec, (pynn_table)table, "rlu"));
    CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_spec_named(&spec, (pynn_table)table, ""));
    CHECK_EQUAL(spec.row, 77);
  }
  CHECK_EQUAL(pynn_table_size((pynn_table)9), 0);
  for (int status = 0; status < 13; status++) CHECK(strcmp(pynn_strerror((pynn_status)status), "unknown status"));
  CHECK(!strcmp(pynn_strerror((pynn_status)999), "unknown status"));
  CHECK(!strcmp(pynn_version(), PYNN_VERSION));
}

/* The same numbers through every element type and stride give the same predictions. */
static void test_arrays(const pynn_context *context) {
  enum { N = 9, IN = 4 };
  const double values[] = {0, 1, 2, 3, 5, 7, 11, 1};
  double base[N * IN], expected[N], out[N];
  char storage[N * IN * 16 + 1];
  pynn_layer layer;
  CHECK_STATUS(PYNN_OK, pynn_dense(&layer, 1, "linear"));
  pynn_model_options options;
  pynn_model_options_init(&options);
  options.inputs = IN;
  options.dtype = PYNN_FLOAT64;
  pynn_model *model;
  pynn_workspace *workspace;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, &layer, 1, NULL));
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
  for (int type = 0; type < 12; type++) {
    const pynn_dtype dtype = (pynn_dtype)type;
    const size_t size = pynn_dtype_size(dtype);
    const int64_t stride = (int64_t)size + 3; /* not aligned */
    for (int i = 0; i < N * IN; i++) {
      double v = dtype == PYNN_BOOL ? i % 3 == 0 : values[i % 8];
      uint64_t u = (uint64_t)v;
      float f = (float)v;
      int exponent = v == 0 ? 0 : ilogb(v);
      uint16_t half = (uint16_t)(v == 0 ? 0 : ((15 + exponent) << 10) + (int)((v / exp2(exponent) - 1) * 1024));
      base[i] = v;
      char *at = storage + 1 + i * stride;
      if (dtype == PYNN_FLOAT32) memcpy(at, &f, size);
      else if (dtype == PYNN_FLOAT64) memcpy(at, &v, size);
      else if (dtype == PYNN_FLOAT16) memcpy(at, &half, size);
      else memcpy(at, &u, size); /* little-endian */
    }
    pynn_array plain = pynn_matrix(base, PYNN_FLOAT64, N, IN);
    pynn_array odd = pynn_matrix(storage + 1, dtype, N, IN);
    odd.row_stride = stride * IN, odd.column_stride = stride;
    CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &plain, 0, pynn_model_dtype(model), expected, NULL));
    CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &odd, 0, pynn_model_dtype(model), out, NULL));
    for (int i = 0; i < N; i++) CHECK_CLOSE(out[i], expected[i], 0);
    odd.data = storage + 1 + (N - 1) * stride * IN; /* rows backwards */
    odd.row_stride = -stride * IN;
    CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &odd, 0, pynn_model_dtype(model), out, NULL));
    for (int i = 0; i < N; i++) CHECK_CLOSE(out[i], expected[N - 1 - i], 0);
    int64_t order[3] = {2, 0, 8};
    char rows[3 * IN * 8];
    CHECK_STATUS(PYNN_OK, pynn_gather(&odd, order, 3, rows, NULL));
    CHECK(!memcmp(rows + IN * size, storage + 1 + (N - 1) * stride * IN, size));
    order[1] = N;
    pynn_error error;
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_gather(&odd, order, 3, rows, &error));
    CHECK_EQUAL(error.row, 1);
  }
  CHECK_EQUAL(pynn_dtype_size((pynn_dtype)12), 0);
  pynn_workspace_free(workspace);
  pynn_model_free(model);
}

/* A network big enough for the threads. */
static pynn_model *wide(const pynn_context *context) {
  pynn_layer layers[2];
  pynn_dense(&layers[0], 300, "sigmoid");
  pynn_dense(&layers[1], 300, "linear");
  pynn_model_options options;
  pynn_model_options_init(&options);
  options.inputs = 300;
  pynn_model *model = NULL;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, 2, NULL));
  return model;
}

static float in[200 * 300], reference[200 * 300];

static void predict(const pynn_model *model, float *out) {
  pynn_workspace *workspace = NULL;
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
  pynn_array x = pynn_matrix(in, PYNN_FLOAT32, 200, 300);
  CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &x, 0, pynn_model_dtype(model), out, NULL));
  pynn_workspace_free(workspace);
}

/* Returns NULL when each of many predictions was the reference. */
static void *predict_often(void *model) {
  pynn_workspace *workspace = NULL;
  float *out = malloc(sizeof reference);
  int wrong = pynn_workspace_new(&workspace, model) != PYNN_OK;
  for (int i = 0; i < 20 && !wrong; i++) {
    pynn_array x = pynn_matrix(in, PYNN_FLOAT32, 200, 300);
    wrong = pynn_predict(model, workspace, &x, 0, pynn_model_dtype(model), out, NULL) != PYNN_OK ||
            memcmp(out, reference, sizeof reference);
  }
  pynn_workspace_free(workspace);
  free(out);
  return wrong ? model : NULL;
}

static int blas_threads = 4;
static int get_blas_threads(void) { return blas_threads; }
static void set_blas_threads(int n) { blas_threads = n; }
static _Atomic int threads_seen;
/* C^T = B^T A^T in the column-major world: the plainest sgemm, which notes how many threads it was allowed. */
static void sgemm(const char *ta, const char *tb, const int *m, const int *n, const int *k, const float *alpha,
                  const float *a, const int *lda, const float *b, const int *ldb, const float *beta, float *c,
                  const int *ldc) {
  threads_seen = blas_threads;
  for (int i = 0; i < *m; i++)
    for (int j = 0; j < *n; j++) {
      double sum = 0;
      for (int s = 0; s < *k; s++)
        sum += (double)(*ta == 'N' ? a[s * *lda + i] : a[i * *lda + s]) *
               (double)(*tb == 'N' ? b[j * *ldb + s] : b[s * *ldb + j]);
      c[j * *ldc + i] = *alpha * (float)sum + (*beta != 0 ? *beta * c[j * *ldc + i] : 0);
    }
}
static void dgemm(void) {}

/* The injected BLAS gives what the own kernels give, on one thread of its own, whose number is put back. */
static void test_blas(void) {
  enum { N = 256 };
  static float x[N * 300], y[N * 300];
  float *own = NULL;
  for (int i = 0; i < N * 300; i++) x[i] = (float)sin(i), y[i] = (float)cos(3 * i);
  for (int with = 0; with < 3; with++) {
    pynn_blas blas = {sizeof blas, "test", 4, (void (*)(void))sgemm, dgemm, get_blas_threads, set_blas_threads};
    pynn_context_options options;
    pynn_context *context;
    pynn_context_options_init(&options);
    if (with == 2 && pynn_blas_linked(&blas)) break;
    if (with) options.blas = &blas;
    CHECK_STATUS(PYNN_OK, pynn_context_new(&context, &options));
    CHECK(!strcmp(pynn_context_blas(context), with ? blas.name : "none"));
    pynn_model *model = wide(context);
    pynn_spec loss;
    pynn_spec_named(&loss, PYNN_LOSS, "mse");
    CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
    pynn_trainer_options trainer_options;
    pynn_trainer *trainer;
    pynn_trainer_options_init(&trainer_options, model);
    trainer_options.batch_size = N;
    CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &trainer_options, NULL));
    pynn_data data = {pynn_matrix(x, PYNN_FLOAT32, N, 300), pynn_matrix(y, PYNN_FLOAT32, N, 300), {0}};
    pynn_step step;
    CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, NULL));
    const int64_t n = pynn_model_n_parameters(model);
    const float *gradient = pynn_trainer_gradient(trainer);
    if (!with) memcpy(own = malloc((size_t)n * sizeof(float)), gradient, (size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++) CHECK(fabsf(own[i] - gradient[i]) < 1e-6f);
    pynn_trainer_free(trainer);
    pynn_model_free(model);
    pynn_context_free(context);
  }
  CHECK_EQUAL(threads_seen, 1);
  CHECK_EQUAL(blas_threads, 4);
  pynn_context *context;
  pynn_blas blas = {.struct_size = sizeof blas, .name = "half", .integer_size = 4, .sgemm = dgemm};
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_context_set_blas(context, &blas));
  CHECK(!strcmp(pynn_context_blas(context), "none"));
  blas.dgemm = dgemm;
  CHECK_STATUS(PYNN_OK, pynn_context_set_blas(context, &blas));
  CHECK(!strcmp(pynn_context_blas(context), "half"));
  CHECK_STATUS(PYNN_OK, pynn_context_set_blas(context, NULL));
  CHECK(!strcmp(pynn_context_blas(context), "none"));
  pynn_context_free(context);
  free(own);
}

int main(void) {
  pynn_context_options options;
  pynn_context *context = NULL;
  test_names();
  pynn_context_options_init(&options);
  options.cpu = "z80";
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_context_new(&context, &options));
  options.cpu = NULL;
  options.threads = -1;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_context_new(&context, &options));
  options.threads = 3;
  options.struct_size = 1;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_context_new(&context, &options));
  CHECK(!context);
  options.struct_size = sizeof options;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, &options));
  CHECK_EQUAL(pynn_context_threads(context), HAS_THREADS ? 3 : 1);
  test_arrays(context);
  test_blas();

  /* the caller's rounding mode and handling of subnormals are as before, and do not change results */
  for (int i = 0; i < 200 * 300; i++) in[i] = (float)sin(i) * 3;
  pynn_model *model = wide(context);
  static float out[200 * 300];
  predict(model, reference);
  fesetround(FE_UPWARD);
  predict(model, out);
  CHECK_EQUAL(fegetround(), FE_UPWARD);
  pynn_model *upward = wide(context);
  CHECK_EQUAL(fegetround(), FE_UPWARD);
  fesetround(FE_TONEAREST);
  CHECK(!memcmp(pynn_model_parameters(upward), pynn_model_parameters(model),
                (size_t)pynn_model_n_parameters(model) * sizeof(float)));
  pynn_model_free(upward);
  CHECK(!memcmp(out, reference, sizeof out));
  volatile float tiny = FLT_MIN;
  CHECK(tiny / 2 > 0);

  /* more and fewer threads */
  for (int threads = 5; threads >= 0; threads--) {
    CHECK_STATUS(PYNN_OK, pynn_context_set_threads(context, threads));
    CHECK(threads && HAS_THREADS ? pynn_context_threads(context) == threads : pynn_context_threads(context) > 0);
    predict(model, out);
    CHECK(!memcmp(out, reference, sizeof out));
  }
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_context_set_threads(context, -1));
  CHECK_STATUS(PYNN_OK, pynn_context_set_threads(context, 3));

  /* many threads on one context, then a fork whose child goes on */
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, predict_often, model);
  for (int i = 0; i < 4; i++) {
    void *wrong = NULL;
    pthread_join(threads[i], &wrong);
    CHECK(!wrong);
  }
#if !defined(__SANITIZE_THREAD__) /* which cannot follow a fork of threads */
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    predict(model, out);
    pynn_model_free(model);
    pynn_context_free(context);
    _exit(memcmp(out, reference, sizeof out) != 0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
  predict(model, out);
  CHECK(!memcmp(out, reference, sizeof out));
  pynn_model_free(model);
  pynn_context_free(context);
  CHECK_REPORT();
}
