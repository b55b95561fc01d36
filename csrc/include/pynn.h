/* pynn.h - dense neural networks on the CPU: build, train, predict, save, load.
 *
 * Reads from simple to advanced: statuses, arrays, context, names, model, prediction, training, files, advanced.
 *
 * Rules that hold everywhere:
 *   - Every fallible function returns a pynn_status; results come through trailing out-pointers, which are left
 *     untouched on failure where a declaration says no more. An object is never left half changed by a call that
 * failed.
 *   - NULL for an object, or for anything that a function has to write, is INVALID_ARGUMENT; from functions that return
 *     no status it is 0, NULL or NaN, and nothing is done.
 *   - `_new` allocates and `_free` releases; freeing NULL is legal. Nothing else allocates: a step and a prediction
 *     use only the memory that their objects took at `_new`, through the allocator of the context.
 *   - Nothing prints, aborts or exits. There is no global state.
 *   - Options structs start with their size; fill them with the matching `_init` function, then change fields.
 *   - Matrices are row-major. A "real" is float or double, as the model's dtype says.
 *   - "Caller owns" means that the library keeps no pointer to it. Pointers that functions return belong to the object
 *     they were asked of, and live as long where a declaration says no more.
 *   - Thread-safety, where a declaration says no more: functions that take no object may be called from anywhere; those
 *     that take their object const, from any thread while none changes it; the others, from one thread at a time.
 *   - Subnormal numbers are treated as zero inside calls (FTZ|DAZ on the threads that compute); the caller's
 *     floating-point state is as before when a call returns.
 */
#ifndef PYNN_H
#define PYNN_H

#include <stddef.h>
#include <stdint.h>

#define PYNN_VERSION_MAJOR 0
#define PYNN_VERSION_MINOR 2
#define PYNN_VERSION_PATCH 0
#define PYNN_VERSION "0.2.0"

#if defined(_WIN32)
#  if defined(PYNN_BUILD_SHARED)
#    define PYNN_API __declspec(dllexport)
#  elif defined(PYNN_USE_SHARED)
#    define PYNN_API __declspec(dllimport)
#  else
#    define PYNN_API
#  endif
#elif defined(__GNUC__)
#  define PYNN_API __attribute__((visibility("default")))
#else
#  define PYNN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that is linked, as "major.minor.patch". Thread-safe. */
PYNN_API const char *pynn_version(void);

/* ---------------------------------------------------------------- statuses */

/* One list makes the enum and the texts of pynn_strerror. */
#define PYNN_STATUS_LIST(X)                                                                           \
  X(PYNN_OK, 0, "success")                                                                            \
  X(PYNN_ERROR_OUT_OF_MEMORY, 1, "the allocator returned no memory")                                  \
  X(PYNN_ERROR_INVALID_ARGUMENT, 2, "an argument is outside what the function accepts")               \
  X(PYNN_ERROR_UNKNOWN_NAME, 3, "no activation, loss, optimizer, initializer or layer has this name") \
  X(PYNN_ERROR_SHAPE, 4, "shapes do not fit together")                                                \
  X(PYNN_ERROR_DTYPE, 5, "the element type is not accepted here")                                     \
  X(PYNN_ERROR_LABEL, 6, "a label is not an integer in 0 ... classes-1")                              \
  X(PYNN_ERROR_NUMERIC, 7, "a value is NaN or infinite; nothing was updated")                         \
  X(PYNN_ERROR_TOO_LARGE, 8, "a size exceeds what can be addressed or what this object was made for") \
  X(PYNN_ERROR_IO, 9, "a file could not be opened, read, written, synchronised or renamed")           \
  X(PYNN_ERROR_FILE_FORMAT, 10, "the file is no valid pynn model")                                    \
  X(PYNN_ERROR_UNSUPPORTED, 11, "this build, processor or model does not support the request")        \
  X(PYNN_ERROR_THREAD, 12, "a thread could not be started")                                           \
  X(PYNN_ERROR_CALLBACK, 13, "a custom function failed; nothing was updated")                         \
  X(PYNN_ERROR_NOT_READY, 14, "something has to be done before")

typedef enum pynn_status {
#define PYNN_STATUS_ENUM(name, value, text) name = value,
  PYNN_STATUS_LIST(PYNN_STATUS_ENUM)
#undef PYNN_STATUS_ENUM
} pynn_status;

/* A short English text for a status; "unknown status" for any other number. Never NULL. Thread-safe. */
PYNN_API const char *pynn_strerror(pynn_status status);

/* Where and why a call failed, for calls that take one (NULL is always legal). Caller owns. `layer`, `row` and
 * `column` are -1 where they do not apply; `message` is complete, NUL-terminated English. Written only on failure. */
typedef struct pynn_error {
  pynn_status status;
  int32_t layer;
  int64_t row;
  int64_t column;
  double value;
  char message[256];
  int32_t operation; /* NUMERIC: the pynn_operation whose result is at fault, as far as that was seen; else 0 */
} pynn_error;

/* ---------------------------------------------------------------- arrays */

typedef enum pynn_dtype {
  PYNN_FLOAT32 = 0,
  PYNN_FLOAT64 = 1, /* also the dtypes of models */
  PYNN_FLOAT16 = 2,
  PYNN_BOOL = 3,
  PYNN_INT8 = 4,
  PYNN_INT16 = 5,
  PYNN_INT32 = 6,
  PYNN_INT64 = 7,
  PYNN_UINT8 = 8,
  PYNN_UINT16 = 9,
  PYNN_UINT32 = 10,
  PYNN_UINT64 = 11
} pynn_dtype;

/* Bytes of one element; 0 for a number that is no dtype. Thread-safe. */
PYNN_API size_t pynn_dtype_size(pynn_dtype dtype);

/* A read-only view of a rows x columns matrix in the caller's memory, in any element type, order and stride (native
 * byte order, elements need not be aligned). Strides are bytes and may be negative or zero. Nothing is copied but the
 * rows of the current batch. */
typedef struct pynn_array {
  const void *data;
  pynn_dtype dtype;
  int64_t rows;
  int64_t columns;
  int64_t row_stride;
  int64_t column_stride;
  const void *indices; /* NULL, or pynn_csr */
  const void *offsets;
  pynn_dtype index_dtype;
} pynn_array;

/* A view of a C-contiguous matrix. */
PYNN_API pynn_array pynn_matrix(const void *data, pynn_dtype dtype, int64_t rows, int64_t columns);

/* A view of a sparse matrix, row by row (CSR): row i holds data[offsets[i] ... offsets[i+1]-1] in the columns
 * indices[...], which increase; everything else is 0. Indices and offsets (rows + 1) are PYNN_INT32 or PYNN_INT64.
 * Accepted as `x` of training, prediction and evaluation where the first layer is dense: products then take time and
 * memory for what is not 0, and give the bits of the library's own dense ones. Rows are checked as they are used:
 * INVALID_ARGUMENT for offsets or indices out of order or range. */
PYNN_API pynn_array pynn_csr(const void *data, pynn_dtype dtype, const void *indices, const void *offsets,
                             pynn_dtype index_dtype, int64_t rows, int64_t columns);

/* ---------------------------------------------------------------- context */

/* Memory for everything an object holds. `allocate` returns `size` bytes aligned to 64, or NULL; `release` gets the
 * same pointer and size. Both may be called from the thread that calls `_new` or `_free` only. */
typedef struct pynn_allocator {
  void *(*allocate)(void *user, size_t size);
  void (*release)(void *user, void *memory, size_t size);
  void *user;
} pynn_allocator;

/* Memory in one piece: all that objects take comes from a buffer that the caller gives, static or on the stack,
 * and goes back to it. A plain value; its address must stay the same while an allocator of it is in use. `peak` is the
 * most that was ever in use: run once with a large buffer to learn how small it may be. */
typedef struct pynn_arena {
  unsigned char *memory;
  size_t size, used, peak; /* bytes */
  size_t holes;            /* for the arena alone */
} pynn_arena;

/* An arena over `size` bytes at `memory`, at best aligned to 64 (else up to 63 bytes are lost). Caller owns the memory.
 * NULL makes an arena that has none. Never fails. Thread-safe. */
PYNN_API pynn_arena pynn_arena_over(void *memory, size_t size);
/* The arena as an allocator, for pynn_context_options. Blocks take their size rounded up to 64; one that does not fit
 * is OUT_OF_MEMORY. An arena serves one thread at a time. */
PYNN_API pynn_allocator pynn_arena_allocator(pynn_arena *arena);

/* BLAS with the Fortran interface, every argument by address: sgemm(transa, transb, m, n, k, alpha, a, lda, b, ldb,
 * beta, c, ldc). `integer_size` is sizeof of its integers, 4 or 8. `get_threads`/`set_threads` control the library's
 * own threads and may be NULL; when given, they are set to 1 during calls and restored after. */
typedef struct pynn_blas {
  size_t struct_size;
  const char *name; /* for reports; the string must outlive the context */
  int integer_size;
  void (*sgemm)(void);
  void (*dgemm)(void);
  int (*get_threads)(void);
  void (*set_threads)(int);
} pynn_blas;

/* The BLAS that the library was linked with (CMake finds one unless -DPYNN_BLAS=OFF). UNSUPPORTED when there is none,
 * INVALID_ARGUMENT. Thread-safe. */
PYNN_API pynn_status pynn_blas_linked(pynn_blas *out);

/* How computation is done: memory, BLAS, processor target, threads. Shared by any number of models and trainers. */
typedef struct pynn_context pynn_context;

typedef struct pynn_context_options {
  size_t struct_size;
  pynn_allocator allocator; /* allocate == NULL: the C library's */
  const pynn_blas *blas;    /* NULL: the library's own kernels for every product */
  const char *cpu;          /* "baseline", "avx2", "avx512", "neon"; NULL: the best this processor has */
  int32_t threads;          /* 0: one for each processor; results do not depend on it */
} pynn_context_options;

/* Defaults: C allocator, no BLAS, best processor target, all processors. */
PYNN_API void pynn_context_options_init(pynn_context_options *options);

/* Allocates; starts threads-1 threads lazily. `options` may be NULL. The context must outlive what is made from it.
 * Fails with OUT_OF_MEMORY, INVALID_ARGUMENT, or UNSUPPORTED for a cpu that this machine does not have.
 * Thread-safety: any thread may compute with a context; the threads are lent to one caller at a time, others
 * compute alone. After fork() the child may go on using it. */
PYNN_API pynn_status pynn_context_new(pynn_context **out, const pynn_context_options *options);
/* Ends the threads and releases the memory; nothing that was made in the context may be alive. NULL is legal. */
PYNN_API void pynn_context_free(pynn_context *context);
/* Threads that compute, the caller's among them, >= 1; 1 in a library built without threads. */
PYNN_API int32_t pynn_context_threads(const pynn_context *context);
/* Sets the number of threads, 0: one for each processor. Waits for the current job. INVALID_ARGUMENT when negative. */
PYNN_API pynn_status pynn_context_set_threads(pynn_context *context, int32_t threads);
/* Another BLAS, or none (NULL), for everything made in the context. INVALID_ARGUMENT. Not while anything computes. */
PYNN_API pynn_status pynn_context_set_blas(pynn_context *context, const pynn_blas *blas);
/* The processor target in use, "avx2" for instance. */
PYNN_API const char *pynn_context_cpu(const pynn_context *context);
/* The name of the BLAS in use, "none" without one. */
PYNN_API const char *pynn_context_blas(const pynn_context *context);

/* ---------------------------------------------------------------- names */

/* What can be chosen by name. Each kind is one table of rows; a row has a name and up to PYNN_MAX_FIELDS numbers. */
typedef enum pynn_table {
  PYNN_ACTIVATION = 0,
  PYNN_LOSS = 1,
  PYNN_OPTIMIZER = 2,
  PYNN_INITIALIZER = 3,
  PYNN_LAYER = 4,
  PYNN_SCHEDULE = 5,
  PYNN_REGULARIZER = 6,
  PYNN_CONSTRAINT = 7
} pynn_table;

#define PYNN_MAX_FIELDS 8

/* A named number of a row: its default and the values it accepts. `minimum`, `maximum` are inclusive unless OPEN. */
typedef struct pynn_field {
  const char *name;
  double value;
  double minimum;
  double maximum;
  uint32_t flags;
} pynn_field;

#define PYNN_FIELD_OPEN_MINIMUM 1u /* value > minimum */
#define PYNN_FIELD_OPEN_MAXIMUM 2u /* value < maximum */
#define PYNN_FIELD_INTEGER 4u
#define PYNN_FIELD_BOOLEAN 8u

/* One row: static storage, never released. `aliases` is a space-separated list, "" for none. `link` is the
 * activation that turns a loss's logits into predictions; `initializer` is an activation's default kernel
 * initializer; both are NULL elsewhere. */
typedef struct pynn_row {
  const char *name;
  const char *aliases;
  int32_t n_fields;
  pynn_field fields[PYNN_MAX_FIELDS];
  const char *link;
  const char *initializer;
  uint32_t flags;
} pynn_row;

#define PYNN_ROW_LABELS 1u        /* loss: targets may be one column of integer class labels */
#define PYNN_ROW_PROBABILITIES 2u /* loss: targets are numbers in [0, 1] */
#define PYNN_ROW_ROWWISE 4u       /* activation: acts on a whole row (softmax) */
#define PYNN_ROW_NONNEGATIVE 8u   /* loss: targets are numbers >= 0 */
#define PYNN_ROW_PAIRS 16u        /* loss: an even number of outputs, targets have half as many columns */
#define PYNN_ROW_SIGNS 32u        /* loss: targets are two classes, those > 0 and the others */

/* The traits of a kind of layer, in the flags of its row. */
#define PYNN_LAYER_UNITS 1u          /* has units of its own; others give as many columns as their kind says */
#define PYNN_LAYER_ONLY_TRAINS 2u    /* does nothing in prediction */
#define PYNN_LAYER_ADAPTS 4u         /* needs data before it computes: pynn_normalization_adapt */
#define PYNN_LAYER_TAKES_CODES 8u    /* its own columns hold codes 0, 1, ...; they cannot be mixed or averaged */
#define PYNN_LAYER_TAKES_MISSING 16u /* may accept NaN in its input */
#define PYNN_LAYER_UPDATES_STATE 32u /* training changes its state beside the parameters: moving moments */
#define PYNN_LAYER_ADDS 64u          /* adds the input of an earlier layer */
#define PYNN_LAYER_READS_DOUBLE 128u /* as the first layer it reads X in double, whatever the model's dtype */
#define PYNN_LAYER_SPARSE 256u       /* takes sparse rows, as the first layer */
#define PYNN_LAYER_PRODUCT 512u      /* multiplies rows x inputs by inputs x units: may go to the BLAS */
#define PYNN_LAYER_TIMESTEPS 1024u   /* takes rows of more than one timestep */

/* Number of rows; 0 for a number that is no table. Thread-safe. */
PYNN_API int32_t pynn_table_size(pynn_table table);
/* Row by index, NULL when there is none. Thread-safe. */
PYNN_API const pynn_row *pynn_table_row(pynn_table table, int32_t index);

/* A row with chosen numbers: a plain value, copied freely. */
typedef struct pynn_spec {
  int32_t table;
  int32_t row;
  double values[PYNN_MAX_FIELDS];
} pynn_spec;

/* Looks a canonical name or alias up and fills in the row's defaults. UNKNOWN_NAME otherwise. Thread-safe. */
PYNN_API pynn_status pynn_spec_named(pynn_spec *out, pynn_table table, const char *name);
/* Sets one number by name. UNKNOWN_NAME, or INVALID_ARGUMENT when the row does not accept the value. */
PYNN_API pynn_status pynn_spec_set(pynn_spec *spec, const char *field, double value);
/* The number of that name; NaN when there is none. */
PYNN_API double pynn_spec_get(const pynn_spec *spec, const char *field);

/* ---------------------------------------------------------------- schedules */

/* The learning rate as a function of the steps applied so far: a PYNN_SCHEDULE row with its numbers, after a warm-up
 * in which the rate rises along a line from warmup_start_factor x to 1 x the schedule's first; the schedule's own steps
 * count from its end. Lists are for piecewise_constant_decay: values[i] holds up to and including step boundaries[i].
 */
#define PYNN_MAX_BOUNDARIES 64
typedef struct pynn_schedule {
  size_t struct_size;
  pynn_spec spec;
  int64_t warmup_steps;       /* >= 0; 0: none */
  double warmup_start_factor; /* in [0, 1] */
  int32_t n_boundaries;
  int64_t boundaries[PYNN_MAX_BOUNDARIES]; /* rising */
  double values[PYNN_MAX_BOUNDARIES + 1];  /* finite, >= 0 */
} pynn_schedule;

/* A row of the table with its defaults and no warm-up; pynn_spec_set(&schedule.spec, ...) changes its numbers.
 * UNKNOWN_NAME. Thread-safe. */
PYNN_API pynn_status pynn_schedule_named(pynn_schedule *out, const char *name);
/* The rate of the step that follows `step` applied ones; NaN for a bad schedule and for step < 0. Thread-safe. */
PYNN_API double pynn_schedule_rate(const pynn_schedule *schedule, int64_t step);

/* Lowers a rate when a value, a validation loss for instance, has not become better by more than min_delta for
 * `patience` calls. A plain value: copy it to save it. Not thread-safe. */
typedef struct pynn_plateau {
  size_t struct_size;
  double factor;            /* of the rate, in (0, 1); 0.1 */
  int64_t patience;         /* 10 */
  double min_delta;         /* >= 0; 1e-4 */
  int64_t cooldown;         /* calls after a change in which none is counted; 0 */
  double min_learning_rate; /* >= 0; 0 */
  int maximise;             /* 0: smaller values are better */
  double best;              /* what it remembers: zero at first */
  int64_t waited, cooling, n_values;
} pynn_plateau;
/* The defaults above, with nothing remembered. Never fails. */
PYNN_API void pynn_plateau_init(pynn_plateau *plateau);
/* The next rate, given the value of the epoch that ended (NaN: not better) and the current rate. NaN, and
 * nothing is remembered, for options outside what they accept. */
PYNN_API double pynn_plateau_next(pynn_plateau *plateau, double value, double learning_rate);

/* ---------------------------------------------------------------- model */

/* What a kind of layer lets one choose beside its numbers. One list gives the slots, their names in files and
 * functions, the table that the choice is from, and the row that pynn_layer_named chooses. */
#define PYNN_SLOT_LIST(X)                                                                                       \
  X(PYNN_SLOT_ACTIVATION, "activation", PYNN_ACTIVATION, "linear")                                              \
  X(PYNN_SLOT_KERNEL_INITIALIZER, "kernel_initializer", PYNN_INITIALIZER, "glorot_uniform")                     \
  X(PYNN_SLOT_BIAS_INITIALIZER, "bias_initializer", PYNN_INITIALIZER, "zeros")                                  \
  X(PYNN_SLOT_KERNEL_REGULARIZER, "kernel_regularizer", PYNN_REGULARIZER, "none") /* a penalty in the loss */   \
  X(PYNN_SLOT_BIAS_REGULARIZER, "bias_regularizer", PYNN_REGULARIZER, "none")                                   \
  X(PYNN_SLOT_KERNEL_CONSTRAINT, "kernel_constraint", PYNN_CONSTRAINT, "none") /* on each unit's weights, after \
                                                                                  each update */                \
  X(PYNN_SLOT_BIAS_CONSTRAINT, "bias_constraint", PYNN_CONSTRAINT, "none")     /* on the bias as one vector */  \
  X(PYNN_SLOT_RECURRENT_ACTIVATION, "recurrent_activation", PYNN_ACTIVATION, "sigmoid") /* of gates */          \
  X(PYNN_SLOT_RECURRENT_INITIALIZER, "recurrent_initializer", PYNN_INITIALIZER, "orthogonal")                   \
  X(PYNN_SLOT_RECURRENT_REGULARIZER, "recurrent_regularizer", PYNN_REGULARIZER, "none")                         \
  X(PYNN_SLOT_RECURRENT_CONSTRAINT, "recurrent_constraint", PYNN_CONSTRAINT, "none")

typedef enum pynn_slot {
#define PYNN_SLOT_ENUM(slot, name, table, row) slot,
  PYNN_SLOT_LIST(PYNN_SLOT_ENUM)
#undef PYNN_SLOT_ENUM
} pynn_slot;

/* The name of a slot, "activation" for instance; NULL for a number that is no slot. Thread-safe. */
PYNN_API const char *pynn_slot_name(pynn_slot slot);

typedef struct pynn_choice {
  pynn_slot slot;
  pynn_spec spec;
} pynn_choice;

#define PYNN_MAX_CHOICES 12

/* One layer: its kind and numbers (a PYNN_LAYER row: dense, dropout, ...) and the choices of its kind. A plain value,
 * made by pynn_layer_named, pynn_dense or pynn_dropout; copied freely. */
typedef struct pynn_layer {
  size_t struct_size;
  pynn_spec kind;
  const int64_t *columns; /* categorical: ascending; normalization: its columns, NULL: all. Caller owns */
  const int64_t *sizes;   /* categorical: numbers of codes, one for each column */
  int64_t n_columns;      /* at most 8192 numbers in the lists of all layers */
  int32_t n_choices;
  pynn_choice choices[PYNN_MAX_CHOICES]; /* one for each slot of the kind, in the order of pynn_slot */
} pynn_layer;

/* Makes a layer of that kind with its default numbers and choices; pynn_spec_set(&layer.kind, ...) and
 * pynn_layer_choose change them. UNKNOWN_NAME. */
PYNN_API pynn_status pynn_layer_named(pynn_layer *out, const char *kind);
/* Returns the choice for a slot by its name; NULL when the layer's kind does not have it. Valid as long as the layer.
 */
PYNN_API const pynn_spec *pynn_layer_choice(const pynn_layer *layer, const char *name);
/* Makes a choice. UNKNOWN_NAME, INVALID_ARGUMENT for a spec of another table. */
PYNN_API pynn_status pynn_layer_choose(pynn_layer *layer, const char *name, const pynn_spec *spec);

/* A dense layer, Y = f(X W + b), with the activation's default initializer for W and zeros for b.
 * `activation` NULL means linear. UNKNOWN_NAME or INVALID_ARGUMENT (units < 1). */
PYNN_API pynn_status pynn_dense(pynn_layer *out, int64_t units, const char *activation);
/* Dropout: while training each input is zero with probability `rate` in [0, 1) and else divided by 1-rate.
 * INVALID_ARGUMENT for another rate. */
PYNN_API pynn_status pynn_dropout(pynn_layer *out, double rate);

/* Layers, their parameters (one contiguous vector of reals) and, once chosen, the loss whose link predictions pass
 * through. Constant in prediction: any number of threads may predict with one model, each with its own workspace, as
 * long as none trains it or writes its parameters. */
typedef struct pynn_model pynn_model;

/* The shape of a row: timesteps x features numbers, one timestep after the other. Rows that are no sequences have one
 * timestep. */
typedef struct pynn_shape {
  int64_t timesteps;
  int64_t features;
} pynn_shape;

typedef struct pynn_model_options {
  size_t struct_size;
  int64_t inputs;     /* columns of X, >= 1 */
  int64_t timesteps;  /* of a row of X, >= 1; divides `inputs` */
  pynn_dtype dtype;   /* PYNN_FLOAT32 or PYNN_FLOAT64 */
  uint64_t seed;      /* of the initial parameters, and default of a trainer's random streams */
  int target_scaling; /* 1: targets are learned as (t - shift) / spread, see pynn_target_adapt */
} pynn_model_options;

/* float32, seed 0, 1 timestep; `inputs` is 0 and has to be set. Never fails. */
PYNN_API void pynn_model_options_init(pynn_model_options *options);

/* Allocates the parameters and fills them by the layers' initializers. `layers` is copied. The context must outlive
 * the model. Fails with OUT_OF_MEMORY, INVALID_ARGUMENT, TOO_LARGE; `error` (may be NULL) names the layer. */
PYNN_API pynn_status pynn_model_new(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                                    const pynn_layer *layers, int32_t n_layers, pynn_error *error);
/* Releases the model; its workspaces and trainers are freed before. NULL is legal. */
PYNN_API void pynn_model_free(pynn_model *model);

/* Columns of X, as the options said. */
PYNN_API int64_t pynn_model_inputs(const pynn_model *model);
/* Columns of predictions: units of the last layer that has some. */
PYNN_API int64_t pynn_model_outputs(const pynn_model *model);
/* PYNN_FLOAT32 or PYNN_FLOAT64: of parameters and computation. */
PYNN_API pynn_dtype pynn_model_dtype(const pynn_model *model);
/* The dtype that predictions need: the model's, or PYNN_FLOAT64 when it scales targets that lie more than 8192 times
 * their spread from 0 (1.7e9 +- 30 for instance). */
PYNN_API pynn_dtype pynn_model_output_dtype(const pynn_model *model);
/* The seed it was made with. */
PYNN_API uint64_t pynn_model_seed(const pynn_model *model);
/* Number of layers, those without parameters included. */
PYNN_API int32_t pynn_model_n_layers(const pynn_model *model);
/* Copies layer `index`, as given, to `out`; its lists are valid as long as the model. INVALID_ARGUMENT when there is no
 * such layer. */
PYNN_API pynn_status pynn_model_layer(const pynn_model *model, int32_t index, pynn_layer *out);
/* The shape of the rows that layer `index` gives; -1: of the rows of X. INVALID_ARGUMENT when there is no such layer.
 */
PYNN_API pynn_status pynn_model_shape(const pynn_model *model, int32_t index, pynn_shape *out);

/* Number of reals in the parameter vector, and the vector. The caller may write it while nothing computes. */
PYNN_API int64_t pynn_model_n_parameters(const pynn_model *model);
/* The vector: n_parameters reals, aligned to 64 bytes. Written between calls, it is measured again by the next one. */
PYNN_API void *pynn_model_parameters(pynn_model *model);

/* Number of doubles in the state: what a model has beside its parameters and no gradient changes, shifts and scales of
 * normalizations and moving moments. */
PYNN_API int64_t pynn_model_n_state(const pynn_model *model);
/* That state, the model's own, valid while it lives. The caller may write it while nothing computes. */
PYNN_API double *pynn_model_state(pynn_model *model);
/* Whether the model was made with target_scaling. */
PYNN_API int pynn_model_target_scaling(const pynn_model *model);

/* A named part of the parameters or of the state: a rows x columns matrix (a bias has one row), row-major, at `offset`.
 */
typedef struct pynn_tensor {
  const char *name; /* "kernel", "bias", "gamma", "moving_mean", ...; static */
  int32_t layer;    /* -1: of the targets */
  int64_t offset;
  int64_t rows;
  int64_t columns;
  int trainable; /* 1: of the parameters; 0: of the state */
} pynn_tensor;
/* Number of named parts. */
PYNN_API int32_t pynn_model_n_tensors(const pynn_model *model);
/* INVALID_ARGUMENT when there is no such tensor. */
PYNN_API pynn_status pynn_model_tensor(const pynn_model *model, int32_t index, pynn_tensor *out);

/* Freezes a layer (`trainable` 0), or lets it be trained again. A frozen layer's parameters do not change in steps; its
 * regularizers and constraints do not act; its gradient is 0, so no norm counts it; a batch normalization uses its
 * moving moments in training too, and keeps them. Files do not have it. INVALID_ARGUMENT when there is no such layer.
 * Not while anything computes with the model. */
PYNN_API pynn_status pynn_model_set_trainable(pynn_model *model, int32_t layer, int trainable);
/* Whether a layer is trained: 0 when it is frozen, or there is no such layer. */
PYNN_API int pynn_model_trainable(const pynn_model *model, int32_t layer);

/* Chooses the loss (a PYNN_LOSS spec): predictions pass through its link, and a last activation that is this link is
 * computed by the loss from logits. INVALID_ARGUMENT for another table; SHAPE when the
 * loss takes pairs of outputs and their number is odd. Not while anything computes with the model. */
PYNN_API pynn_status pynn_model_set_loss(pynn_model *model, const pynn_spec *loss);
/* The loss, or NULL when none was chosen. */
PYNN_API const pynn_spec *pynn_model_loss(const pynn_model *model);

/* A custom loss. For each of `rows` rows of n logits: losses[i], a double, and d losses[i] / d logits[i * n +
 * j] in gradient[i * n + j] if `backward`, else gradient is NULL. Logits, gradient and targets (rows x n; NULL:
 * `labels` has a class for each row) are reals of `dtype`, the model's or, in blame's replay, PYNN_FLOAT64. Returns 0;
 * anything else ends the call with CALLBACK. Called once for a batch, on the thread that called the library, with
 * floating-point state as C programs start with; it must not call the library on the same model. */
typedef int (*pynn_loss_function)(void *user, pynn_dtype dtype, int64_t rows, int64_t n, const void *logits,
                                  const void *targets, const int64_t *labels, double *losses, void *gradient,
                                  int backward);

#define PYNN_CUSTOM_NAME 64
typedef struct pynn_custom_loss {
  size_t struct_size;
  const char *name; /* stands in model files: 1 ... PYNN_CUSTOM_NAME - 1 bytes of UTF-8 */
  const char *link; /* activation from logits to predictions, NULL: linear */
  uint32_t flags;   /* PYNN_ROW_LABELS: a column of integers as targets is class labels, when there are outputs enough;
                       PYNN_CUSTOM_UNCHECKED */
  pynn_loss_function function;
  void *user;
} pynn_custom_loss;

/* In place of pynn_model_set_loss. Function and user are kept and must outlive the model; the rest is copied. A result
 * that is not finite is refused as any other's, and blamed to the loss with its row. A trainer's first gradient of it
 * is compared with differences of the loss, in a few rows: a step with another ends with INVALID_ARGUMENT, which says
 * where, unless that is meant (PYNN_CUSTOM_UNCHECKED). pynn_model_loss gives NULL. INVALID_ARGUMENT, UNKNOWN_NAME. Not
 * while anything computes with the model. */
PYNN_API pynn_status pynn_model_set_custom_loss(pynn_model *model, const pynn_custom_loss *loss);
/* The name of the model's custom loss, NULL when it has none. A file keeps the name and the link: what it was loaded
 * into predicts, and needs pynn_model_set_custom_loss before it evaluates or trains. */
PYNN_API const char *pynn_model_custom_loss_name(const pynn_model *model);

/* A custom activation: y[i] = f(z[i]) and delta[i] <- delta[i] * f'(z[i]) over `n` reals of `dtype`, one
 * number at a time; y may be z in the former. Return 0; anything else ends the call with CALLBACK, and what a training
 * step would have changed stays as it was. Called with the floating-point state that C programs start with, for parts
 * of a batch, from any thread of the context and any that predicts, several at once: they must be
 * re-entrant, and must not call the library on the same model. */
typedef int (*pynn_value_function)(void *user, pynn_dtype dtype, int64_t n, const void *z, void *y);
typedef int (*pynn_derivative_function)(void *user, pynn_dtype dtype, int64_t n, const void *z, const void *y,
                                        void *delta);

typedef struct pynn_custom_activation {
  size_t struct_size;
  const char *name; /* stands in model files: 1 ... PYNN_CUSTOM_NAME - 1 bytes of UTF-8 */
  uint32_t flags;   /* PYNN_CUSTOM_FLOAT32, _FLOAT64 or both, and more */
  pynn_value_function value;
  pynn_derivative_function derivative;
  void *user;
} pynn_custom_activation;

#define PYNN_CUSTOM_FLOAT32 1u   /* the functions take floats; numbers of another dtype are converted for them */
#define PYNN_CUSTOM_FLOAT64 2u   /* they take doubles */
#define PYNN_CUSTOM_SERIAL 4u    /* they are called once for a batch, on the thread that called the library */
#define PYNN_CUSTOM_UNCHECKED 8u /* the derivative is not what differences of the function say, on purpose */

/* In place of the activation of layer `layer`, of a kind that has one. Each function must write all of its results:
 * values and losses are NaN before a call, and what stays so is refused. The functions are tried at once: f has to
 * depend on one number alone, and the derivative to agree with differences of f, else INVALID_ARGUMENT. Functions and
 * user are kept and must outlive the model, the rest is copied; NULL: the layer's own activation again. Results that
 * are not finite are refused as any other's, and blamed to the layer. A file keeps the name: what it was loaded into
 * needs this call before it predicts or trains (NOT_READY). INVALID_ARGUMENT, CALLBACK. Not while anything computes
 * with the model. */
PYNN_API pynn_status pynn_model_set_custom_activation(pynn_model *model, int32_t layer,
                                                      const pynn_custom_activation *activation, pynn_error *error);
/* The name of a layer's custom activation, NULL when it has none; valid until it is set again. */
PYNN_API const char *pynn_model_custom_activation_name(const pynn_model *model, int32_t layer);

/* ---------------------------------------------------------------- adaptation to data */

/* What columns hold, from one pass over a matrix in any number of parts. One thread at a time. */
typedef struct pynn_summary pynn_summary;

/* `held` 0: no quartiles; else the count of numbers held of each column (>= 2), which takes 8 held bytes a column:
 * quartiles of up to `held` rows are exact; of n rows they have a rank that is wrong by at most
 * n log2(n / held) / held, and the memory grows by as much for each time that n doubles. */
PYNN_API pynn_status pynn_summary_new(pynn_summary **out, const pynn_context *context, int64_t columns, int64_t held,
                                      pynn_error *error);
/* NULL is allowed. */
PYNN_API void pynn_summary_free(pynn_summary *summary);
/* More rows. NaN counts as missing; infinities are counted and left out. SHAPE, DTYPE, OUT_OF_MEMORY: then
 * nothing was added. */
PYNN_API pynn_status pynn_summary_add(pynn_summary *summary, const pynn_array *x, pynn_error *error);
/* Number of columns that it was made for. */
PYNN_API int64_t pynn_summary_columns(const pynn_summary *summary);

typedef struct pynn_column {
  int64_t rows, count, missing, infinite; /* rows seen; finite numbers, NaN and infinities among them */
  int64_t first_missing, first_infinite;  /* rows; -1: none */
  double mean, std, minimum, maximum;     /* of the finite ones; std over all, not n - 1; NaN when there is none */
  double quartiles[3];                    /* linearly interpolated; NaN without `held` */
} pynn_column;
/* INVALID_ARGUMENT when there is no such column. */
PYNN_API pynn_status pynn_summary_column(const pynn_summary *summary, int64_t column, pynn_column *out);

/* Shift, scale and what replaces missing numbers of a normalization layer, from a summary of the layer's inputs; of
 * columns `first` ... when it is one of some columns: the last ones come last. NUMERIC, with row and column, for
 * missing numbers under missing=error and infinities without a clip. Not while anything computes with the model. */
PYNN_API pynn_status pynn_normalization_adapt(pynn_model *model, int32_t layer, const pynn_summary *summary,
                                              int64_t first, pynn_error *error);
/* Shift and spread of the targets of a model made with target_scaling: mean and standard deviation, or minimum and
 * range, of those that are known: a target that is NaN needs weight 0 in training. Predictions are in the targets' own
 * units; losses are of scaled targets. INVALID_ARGUMENT for a model made without target_scaling and for a summary of
 * other columns or of no row; NUMERIC, with row and column, for targets that are infinite, or of a column all unknown.
 * Not while anything computes with the model. */
PYNN_API pynn_status pynn_target_adapt(pynn_model *model, const pynn_summary *summary, int minmax, pynn_error *error);

/* ---------------------------------------------------------------- prediction */

/* Scratch memory for one thread: activations of up to PYNN_PREDICT_ROWS rows. Tied to its model. */
typedef struct pynn_workspace pynn_workspace;
#define PYNN_PREDICT_ROWS 128

/* Allocates a workspace for a model, which must outlive it. OUT_OF_MEMORY, INVALID_ARGUMENT. Thread-safe. */
PYNN_API pynn_status pynn_workspace_new(pynn_workspace **out, const pynn_model *model);
/* Releases the workspace. NULL is legal. */
PYNN_API void pynn_workspace_free(pynn_workspace *workspace);

/* Predictions for every row of x (rows x inputs) into out (rows x outputs numbers of `dtype`, contiguous, caller owns).
 * `dtype` is PYNN_FLOAT64, or PYNN_FLOAT32 where pynn_model_output_dtype is that; else DTYPE. `raw` != 0 gives logits,
 * before the loss's link, in the model's dtype or PYNN_FLOAT64. Memory does not grow with the rows; a row's result does
 * not depend on the rows around it, to the last bit. SHAPE, DTYPE; NUMERIC when a row of finite inputs meets a value
 * that is not finite on its way, with the layer, row and column in `error` (to find them takes memory for the time
 * being), or is itself beyond the model's dtype (`error->value` is finite then); `out` is complete even then.
 * INVALID_ARGUMENT: the workspace of another model, an `out` that is not aligned for its reals, sparse rows out of
 * order; UNSUPPORTED: sparse rows before a layer that takes none; NOT_READY: a layer to be adapted or given its
 * functions before; CALLBACK. After CALLBACK, and after sparse rows out of order, `out` holds the rows before.
 * Thread-safe with one workspace a thread. */
PYNN_API pynn_status pynn_predict(const pynn_model *model, pynn_workspace *workspace, const pynn_array *x, int raw,
                                  pynn_dtype dtype, void *out, pynn_error *error);

/* A stream: `rows` sequences that come one timestep after the other. It gives at each timestep what pynn_predict gives
 * for the timesteps so far, to the last bit. It has a copy of the model's numbers as they are now; the context must
 * outlive it, the model need not. One thread at a time. */
typedef struct pynn_stream pynn_stream;
/* Allocates all that steps need, through the context's allocator. UNSUPPORTED for layers that need later timesteps:
 * bidirectional ones, go_backwards, flatten, pooling over time; `error` (may be NULL) names the layer. OUT_OF_MEMORY,
 * INVALID_ARGUMENT, NOT_READY. */
PYNN_API pynn_status pynn_stream_new(pynn_stream **out, const pynn_model *model, int64_t rows, pynn_error *error);
/* Releases the stream. NULL is legal. */
PYNN_API void pynn_stream_free(pynn_stream *stream);
/* One timestep: x (rows x features) into out (rows x outputs of `dtype`), as in pynn_predict. Before anything changes:
 * SHAPE, DTYPE, INVALID_ARGUMENT; NUMERIC for a cell of x that is not finite, with row and column. NUMERIC also when a
 * value is not finite on its way: the states hold it then, until pynn_stream_reset. */
PYNN_API pynn_status pynn_stream_step(pynn_stream *stream, const pynn_array *x, int raw, pynn_dtype dtype, void *out,
                                      pynn_error *error);
/* Starts all sequences again from their first timestep. */
PYNN_API void pynn_stream_reset(pynn_stream *stream);
/* The number of reals in the states of all recurrent layers. */
PYNN_API int64_t pynn_stream_n_state(const pynn_stream *stream);
/* The states, reals of the model's dtype that live as long as the stream: copy them to save a stream, and back to
 * resume it. */
PYNN_API void *pynn_stream_state(pynn_stream *stream);

/* Mean loss over the rows of x and their targets (see pynn_step), weighted by `weights` (of pynn_data; NULL: all 1), as
 * a trainer without dropout would see it: sum of weight x loss / rows. `out` (rows x outputs of `dtype`, may be NULL)
 * receives the predictions, as in pynn_predict. INVALID_ARGUMENT when the model has no loss; LABEL; NUMERIC as in
 * pynn_predict, or when x, targets, weights or the loss have a number that is not finite: `out` and `loss` are set even
 * then; else as pynn_predict, also UNSUPPORTED for sparse targets or weights. After LABEL too `out` may hold rows
 * before. */
PYNN_API pynn_status pynn_evaluate(const pynn_model *model, pynn_workspace *workspace, const pynn_array *x,
                                   const pynn_array *targets, const pynn_array *weights, pynn_dtype dtype, void *out,
                                   double *loss, pynn_error *error);

/* ---------------------------------------------------------------- training */

/* What is done about a step that must not be taken: one that is not finite, or that follows a divergence. The step
 * itself is refused in any case but OFF: parameters, optimizer state and counters stay as they were. */
typedef enum pynn_policy {
  PYNN_POLICY_RAISE = 0,    /* the call ends with NUMERIC */
  PYNN_POLICY_SKIP = 1,     /* the batch is left out; `streak` in a row, or a divergence, end the call with NUMERIC */
  PYNN_POLICY_ROLLBACK = 2, /* a good state is restored, the learning rate lowered, and the next batch follows */
  PYNN_POLICY_OFF = 3       /* nothing is looked at, and nothing refused */
} pynn_policy;

/* The guard of a trainer. A batch whose own numbers are not finite is left out under ROLLBACK as under SKIP: no
 * learning rate would mend it. */
typedef struct pynn_guard {
  size_t struct_size;
  pynn_policy policy;
  int64_t streak;         /* >= 1: batches left out in a row that end the call */
  int64_t max_rollbacks;  /* rollbacks; the next fault ends the call */
  double backoff;         /* in (0, 1): factor of the learning rate; the n-th rollback without a good state in between
                             takes backoff^n */
  int64_t snapshot_every; /* >= 1: steps between two good states kept (the last two are; only under ROLLBACK) */
  double divergence;   /* > 1: how many times worse than at first, or than knowing nothing, the loss may stay; 0: any */
  int64_t window;      /* 8 ... PYNN_GUARD_WINDOW: steps whose median loss is judged; three in a row decide */
  double clip_z;       /* > 0: gradient norms further above their mean, in standard deviations, are clipped; 0: none */
  double clip_alpha;   /* in (0, 1): how much of that mean a step leaves */
  int64_t check_every; /* steps from one that takes statistics to the next (at the start also after an
                        * eighth, a quarter and half of them); 0: none are taken */
} pynn_guard;
#define PYNN_GUARD_WINDOW 256

/* RAISE, with divergence 10 over windows of 50 steps and without statistics; streak 3, 10 rollbacks, backoff 0.3, a
 * snapshot every 100 steps, clip_z 0, clip_alpha 0.97. */
PYNN_API void pynn_guard_init(pynn_guard *guard);

/* An optimizer at work on one model: gradients, optimizer state, random streams, scratch. One thread at a time. */
typedef struct pynn_trainer pynn_trainer;

typedef struct pynn_trainer_options {
  size_t struct_size;
  pynn_spec optimizer; /* PYNN_OPTIMIZER; sgd by default */
  int64_t batch_size;  /* most rows that a step may have, >= 1 */
  double clip_norm;    /* > 0: gradients are scaled to at most this global norm; 0: not */
  uint64_t seed;       /* of dropout, noise and mixup; by default the model's */
  pynn_guard guard;    /* pynn_guard_init */
} pynn_trainer_options;

/* Plain SGD, batches of 32 rows, no clipping, the default guard; the seed of `model`, 0 when that is NULL. Never fails.
 */
PYNN_API void pynn_trainer_options_init(pynn_trainer_options *options, const pynn_model *model);

/* Allocates gradients, optimizer state and scratch for batches of up to batch_size rows. The model must have a loss
 * and outlive the trainer. OUT_OF_MEMORY, INVALID_ARGUMENT, TOO_LARGE. */
PYNN_API pynn_status pynn_trainer_new(pynn_trainer **out, pynn_model *model, const pynn_trainer_options *options,
                                      pynn_error *error);
/* Releases the trainer; the model keeps its parameters. NULL is legal. */
PYNN_API void pynn_trainer_free(pynn_trainer *trainer);

/* Another guard from now on. What the old one had learned (good states, usual losses and norms, counts) is forgotten;
 * the ledger stays. Allocates what ROLLBACK and statistics need and releases what they no longer do. INVALID_ARGUMENT,
 * OUT_OF_MEMORY: the old guard goes on. */
PYNN_API pynn_status pynn_trainer_set_guard(pynn_trainer *trainer, const pynn_guard *guard, pynn_error *error);

/* What an arena must hold, in bytes, for each object while it is made and lives. Their sum serves for one of each. */
typedef struct pynn_sizes {
  size_t context, model, workspace, trainer;
} pynn_sizes;

/* Measures them: makes the objects as described, in memory of the C library, counts, and frees them. So it takes that
 * memory while it runs, and what it says holds for processors like this one: call it where the program is developed.
 * `loss` and `trainer` may be NULL: no trainer then. Fails as the `_new` functions do. Thread-safe. */
PYNN_API pynn_status pynn_measure(pynn_sizes *out, const pynn_context_options *context, const pynn_model_options *model,
                                  const pynn_layer *layers, int32_t n_layers, const pynn_spec *loss,
                                  const pynn_trainer_options *trainer, pynn_error *error);

/* Data in memory. targets: rows x outputs numbers, or rows x 1 integer labels where the loss takes labels.
 * weights: rows x 1, or data == NULL for none; or rows x outputs, a weight for each output, where the loss is a mean
 * over outputs (memory for them is taken at the first batch that has them): a target of weight 0 counts for nothing,
 * whatever it holds. Not with mixup: UNSUPPORTED. Caller owns; must stay as it is during calls. */
typedef struct pynn_data {
  pynn_array x;
  pynn_array targets;
  pynn_array weights;
} pynn_data;

/* What the steps of one call did. Sums run over the steps applied or refused in the call. */
typedef struct pynn_step {
  int64_t steps;        /* steps applied */
  int64_t rows;         /* rows in them */
  double loss;          /* sum over rows of weight x loss, before each update, divided by `rows`; NaN for no row */
  double gradient_norm; /* global norm of the last applied step's gradient, before clipping; NaN for no step */
  int applied;          /* 0: the last step was refused and changed nothing; see error */
  int64_t refused;      /* batches that the guard left out or rolled back over */
  int64_t refused_rows; /* rows in them: order[first + rows + refused_rows] is where the next batch begins */
} pynn_step;

/* One step on all rows of `data` (at most batch_size): forward, loss, backward, clip, update.
 * A step whose activations, loss, gradients or new parameters would not be finite changes nothing and returns
 * NUMERIC, with the layer, row and column in `error`; what the guard's policy passes over is OK, with applied 0. Other
 * failures, those of pynn_train_batches, likewise change nothing. */
PYNN_API pynn_status pynn_train_step(pynn_trainer *trainer, const pynn_data *data, pynn_step *step, pynn_error *error);

/* Steps over batches of `data`: batch j has the rows order[first + j*batch_size ...] (the last may be shorter), until
 * `count` indices are used or `seconds` (<= 0: no limit) have passed between steps. `order` has int64 row numbers,
 * NULL: in order. `predictions` (may be NULL; count x outputs of `dtype`, as in pynn_predict) receives each used row's
 * prediction before its update, in order; NaN for the rows of batches left out. Stops at the first refused step that
 * the guard's policy does not pass over; it is not counted. Before any step, `step` untouched: TOO_LARGE for a
 * batch_size outside 1 ... the trainer's; SHAPE, DTYPE, NOT_READY; INVALID_ARGUMENT for row numbers outside the data,
 * or `predictions` not aligned for reals; UNSUPPORTED for sparse x, targets or weights that are not taken. At a batch:
 * NUMERIC, LABEL, CALLBACK, INVALID_ARGUMENT for sparse rows out of order or a custom loss with another gradient,
 * UNSUPPORTED for sparse rows to mix; that batch changes nothing, those before it stay applied, and `step` is written:
 * its `rows` and `refused_rows` say how far the call got. */
PYNN_API pynn_status pynn_train_batches(pynn_trainer *trainer, const pynn_data *data, const int64_t *order,
                                        int64_t first, int64_t count, int64_t batch_size, double seconds,
                                        pynn_dtype dtype, void *predictions, pynn_step *step, pynn_error *error);

/* The mean loss over all rows of `data` at the parameters as they are, with the layers' penalties, and its gradient
 * (n_parameters doubles), in parts of batch_size rows: for optimizers outside the library. Nothing is updated. Numbers
 * that are not finite are results, not errors. UNSUPPORTED for models with layers that act differently in training
 * (dropout, batch normalization); INVALID_ARGUMENT also for data without rows and a batch_size outside 1 ... the
 * trainer's; SHAPE, DTYPE, NOT_READY; LABEL, CALLBACK, INVALID_ARGUMENT for sparse rows out of order or a custom loss
 * with another gradient: then `gradient` holds no result. */
PYNN_API pynn_status pynn_trainer_full_gradient(pynn_trainer *trainer, const pynn_data *data, int64_t batch_size,
                                                double *loss, double *gradient, pynn_error *error);

/* The learning rate of the next steps: finite and > 0, else INVALID_ARGUMENT. Ends a schedule. */
PYNN_API pynn_status pynn_trainer_set_learning_rate(pynn_trainer *trainer, double learning_rate);
/* The rate of the next step. */
PYNN_API double pynn_trainer_learning_rate(const pynn_trainer *trainer);
/* From now on the rate of each step is rate_factor x pynn_schedule_rate(schedule, steps applied). The schedule is
 * copied. INVALID_ARGUMENT, and the old rate goes on. */
PYNN_API pynn_status pynn_trainer_set_schedule(pynn_trainer *trainer, const pynn_schedule *schedule, pynn_error *error);
/* 1 at first; rollbacks multiply it by their backoff. Finite and > 0, else INVALID_ARGUMENT. Without a schedule it
 * does nothing. */
PYNN_API double pynn_trainer_rate_factor(const pynn_trainer *trainer);
/* Sets that factor: finite and > 0, else INVALID_ARGUMENT. */
PYNN_API pynn_status pynn_trainer_set_rate_factor(pynn_trainer *trainer, double factor);
/* Steps applied so far. Draws of dropout, noise and mixup depend on (seed, steps) alone. All else that a trainer
 * remembers is in a pynn_checkpoint. */
PYNN_API int64_t pynn_trainer_steps(const pynn_trainer *trainer);
/* Sets that number, of a run that is resumed: >= 0, else INVALID_ARGUMENT. */
PYNN_API pynn_status pynn_trainer_set_steps(pynn_trainer *trainer, int64_t steps);
/* The last step's gradient (n_parameters reals), before clipping; after, where clipping takes a factor below the
 * smallest normal number of the model's dtype. The next step overwrites it. */
PYNN_API void *pynn_trainer_gradient(pynn_trainer *trainer);
/* Number of state vectors of the optimizer: 0 for plain SGD, 2 for Adam. */
PYNN_API int32_t pynn_trainer_n_slots(const pynn_trainer *trainer);
/* State vector `index` (n_parameters reals), NULL when there is none. The caller may read and, between steps, write it:
 * the next call measures it again. */
PYNN_API void *pynn_trainer_slot(pynn_trainer *trainer, int32_t index);

/* The average of the parameters over a run: after the steps start, start + every, ... it takes the new parameters in,
 * with weight 1 - decay (an exponential moving average), or all alike when decay is 0 (stochastic weight averaging).
 * The first ones are taken as they are. */
typedef struct pynn_average {
  size_t struct_size;
  double decay;  /* in [0, 1); 0.999 */
  int64_t start; /* steps applied before the first; 0 */
  int64_t every; /* 1 */
} pynn_average;
/* The defaults above. Never fails. */
PYNN_API void pynn_average_init(pynn_average *average);
/* Starts a new average; NULL ends it. Takes n_parameters doubles, twice more under ROLLBACK, which
 * restores the average too, though never one begun before this call. INVALID_ARGUMENT, OUT_OF_MEMORY: what was goes
 * on. */
PYNN_API pynn_status pynn_trainer_set_average(pynn_trainer *trainer, const pynn_average *average, pynn_error *error);
/* The average, n_parameters doubles, NULL when there is none; the caller may read and, between steps, write it. Valid
 * until pynn_trainer_set_average ends it, and at most as long as the trainer. */
PYNN_API double *pynn_trainer_average(pynn_trainer *trainer);
/* Parameters taken in so far. */
PYNN_API int64_t pynn_trainer_n_averaged(const pynn_trainer *trainer);
/* Sets that number, of a run that is resumed: >= 0, else INVALID_ARGUMENT. */
PYNN_API pynn_status pynn_trainer_set_n_averaged(pynn_trainer *trainer, int64_t n);
/* Parameters <- average. INVALID_ARGUMENT when nothing was averaged. */
PYNN_API pynn_status pynn_trainer_use_average(pynn_trainer *trainer);

/* Mixup from now on: rows of a batch of step t (applied ones before it) are mixed, row i <- share x row i +
 * (1 - share) x row ((i + shift) mod rows), and targets and weights alike; labels become probabilities. share is drawn
 * from Beta(alpha, alpha) and shift from 1 ... rows-1 by (seed, t) alone. alpha 0: none. INVALID_ARGUMENT; UNSUPPORTED
 * for a loss that takes labels but no probabilities, or looks at signs. */
PYNN_API pynn_status pynn_trainer_set_mixup(pynn_trainer *trainer, double alpha, pynn_error *error);
/* 1: pynn_train_batches writes logits as predictions from now on, those of scaled targets in units of their spread: for
 * callers that turn them into doubles. 0: predictions. NULL is legal. */
PYNN_API void pynn_trainer_set_raw_predictions(pynn_trainer *trainer, int raw);
/* What is drawn for step `step` of a trainer with this seed. Thread-safe. */
PYNN_API void pynn_mixup_draw(uint64_t seed, int64_t step, double alpha, int64_t rows, double *share, int64_t *shift);

#define PYNN_MAX_SHARDS 4096
/* A step as the sum of shards: a batch is cut into `shards` parts of equal size, but for a row, whose losses and
 * gradients are added in one fixed binary tree, so that any power of two of processes which share the parts out ends
 * with the bits of one process. Batch normalization takes its statistics from a shard, mixup pairs rows within one;
 * empty shards of a last batch are left out. */
typedef struct pynn_shards {
  size_t struct_size;
  int64_t shards;             /* a power of two up to PYNN_MAX_SHARDS */
  int32_t processes, process; /* a power of two <= shards, and which of them this is; 1, 0 */
  /* What several processes need, NULL for one. Each returns 0, anything else ends the call with CALLBACK. Memory of
   * `size` bytes is cut into one part of `part` bytes for each process; the last ones may be shorter, or empty.
   * gather:   all <- the parts of all processes, in their order; `own` is this process's.
   * exchange: received <- this process's part of each process's `all`, in their order, close together. */
  int (*gather)(void *user, const void *own, size_t part, size_t size, void *all);
  int (*exchange)(void *user, const void *all, size_t part, size_t size, void *received);
  void *user;
} pynn_shards;
/* One process, shards 0: set that. Never fails. */
PYNN_API void pynn_shards_init(pynn_shards *shards);
/* Sums steps like this from now on; NULL: batches are whole again. With several processes each must be given the same
 * model, the same data and the same calls; it computes its own shards alone and writes their predictions alone, and a
 * step is refused by all or by none. Takes memory for log2(shards / processes) gradients, and one more for several
 * processes. INVALID_ARGUMENT, OUT_OF_MEMORY: what was goes on. */
PYNN_API pynn_status pynn_trainer_set_shards(pynn_trainer *trainer, const pynn_shards *shards, pynn_error *error);

/* What a step saw in one layer. Taken from the values while they are computed, not by extra passes. */
typedef struct pynn_layer_health {
  double activation_max; /* largest |value| before and after the activation; NaN or infinite when one was */
  double delta_max;      /* largest |dL/dz| */
  double gradient_max;   /* largest |dL/dparameter| */
  double gradient_norm;  /* Euclidean norm of the layer's parameter gradient */
} pynn_layer_health;
/* What the last step saw in `layer`; INVALID_ARGUMENT when there is no such layer. */
PYNN_API pynn_status pynn_trainer_health(const pynn_trainer *trainer, int32_t layer, pynn_layer_health *out);

/* More about one layer, from the last step that took statistics (pynn_guard.check_every) and was applied. Y are the
 * layer's values after the activation. Shares are of all numbers, in [0, 1]. */
typedef struct pynn_statistics {
  int64_t step;        /* 1, 2, ...; 0: none was taken yet */
  double largest;      /* of |Y| */
  double mean, std;    /* of Y */
  double zeros;        /* share of Y that is 0 */
  double saturated;    /* share of Y where the activation is flat: |z| > 5 for sigmoid, > 2.5 for tanh */
  double tiny;         /* share of Y that is not 0 but below 1e-19: its square is lost in float32 */
  double dead;         /* share of units that were 0 or saturated in every row looked at since the epoch began */
  double gradient_rms; /* root mean square of dW and db */
  double gradient_zeros, gradient_tiny; /* shares of dW, as above */
  double weight_norm;                   /* Euclidean norm of W and b before the step */
  double update_ratio;                  /* norm of the update / weight_norm; 0 when that is 0 */
  double updates_lost; /* share of parameters with a gradient whose update was below half an ulp: they did not move */
} pynn_statistics;
/* INVALID_ARGUMENT when there is no such layer. */
PYNN_API pynn_status pynn_trainer_statistics(const pynn_trainer *trainer, int32_t layer, pynn_statistics *out);

/* A series of what applied steps saw in all layers, in the caller's memory and of bounded size: when it is full, every
 * second point is dropped and the spacing doubles. Which steps have a point depends on their numbers alone. */
typedef struct pynn_series {
  double *values;    /* capacity x layers x PYNN_SERIES_FIELDS: the fields of pynn_layer_health, then those of
                      * pynn_statistics without the step; NaN where the step took no statistics */
  double *about;     /* capacity x 3: step, mean loss of the batch, learning rate */
  int64_t *counters; /* 3: points there are, steps from one to the next, step that is due; 0, 1, 1 begin a series */
  int64_t capacity;  /* >= 2 */
} pynn_series;
#define PYNN_SERIES_FIELDS 17
/* Writes a series from now on; the memory must outlive it. NULL: no longer. INVALID_ARGUMENT for pointers that are
 * missing or counters out of range. */
PYNN_API pynn_status pynn_trainer_set_series(pynn_trainer *trainer, const pynn_series *series);
/* What the guard has seen of the losses since it was set: means over the rows of batches, before each update. NaN where
 * nothing was seen yet, or where the guard is OFF or watches nothing. */
typedef struct pynn_losses {
  double first;    /* of the first step */
  double recent;   /* median of the last full window, before that the mean so far */
  double best;     /* lowest median of a window */
  double worst;    /* of all steps */
  double nothing;  /* of knowing nothing, all logits 0, on a sample of the same batches */
  double sampled;  /* on rows of a batch of each window, later ones counting more ... */
  double constant; /* ... and what it would be there if each row had the rows' mean logits: if none is told from
                    * another; both NaN for batches below 8 rows */
} pynn_losses;
/* What the trainer knows of its losses. Never fails. */
PYNN_API void pynn_trainer_losses(const pynn_trainer *trainer, pynn_losses *out);

/* Begins an epoch: units count as dead until they are seen alive in it. */
PYNN_API void pynn_trainer_begin_epoch(pynn_trainer *trainer);
/* Mean loss over the rows of all steps applied since the epoch began, NaN without any; before each update, weighted, as
 * pynn_step.loss. Its bits do not depend on how many steps a call made. */
PYNN_API double pynn_trainer_epoch_loss(const pynn_trainer *trainer);

/* ---------------------------------------------------------------- blame */

/* What a step does, in the order in which it is done, with the names that reports use. */
#define PYNN_OPERATION_LIST(X)                                                                        \
  X(PYNN_OPERATION_NONE, "none")                                                                      \
  X(PYNN_OPERATION_INPUT, "input")   /* a cell of x, in the model's dtype */                          \
  X(PYNN_OPERATION_TARGET, "target") /* a cell of targets */                                          \
  X(PYNN_OPERATION_SAMPLE_WEIGHT, "sample_weight")                                                    \
  X(PYNN_OPERATION_PARAMETER, "parameter")     /* a weight or bias, before the step */                \
  X(PYNN_OPERATION_STATE, "optimizer_state")   /* a state vector of the optimizer, before the step */ \
  X(PYNN_OPERATION_GEMM, "gemm")               /* X W */                                              \
  X(PYNN_OPERATION_BIAS, "bias")               /* X W + b */                                          \
  X(PYNN_OPERATION_ACTIVATION, "activation")   /* f(Z) */                                             \
  X(PYNN_OPERATION_FORWARD, "forward")         /* what a layer that is not dense computes */          \
  X(PYNN_OPERATION_LOSS, "loss")               /* a row's loss or its gradient, or their sum */       \
  X(PYNN_OPERATION_DACTIVATION, "dactivation") /* dL/dZ = dL/dY * f'(Z) */                            \
  X(PYNN_OPERATION_DW, "dW")                   /* X^T dZ */                                           \
  X(PYNN_OPERATION_DB, "db")                   /* column sums of dZ */                                \
  X(PYNN_OPERATION_DX, "dX")                   /* dZ W^T */                                           \
  X(PYNN_OPERATION_GRADIENT, "gradient")       /* of the parameters of a layer that is not dense */   \
  X(PYNN_OPERATION_CLIP, "clip")               /* the global norm */                                  \
  X(PYNN_OPERATION_UPDATE, "update")           /* new parameters and optimizer state */               \
  X(PYNN_OPERATION_LAYER_STATE, "layer_state") /* a layer's moving moments, before the step */

typedef enum pynn_operation {
#define PYNN_OPERATION_ENUM(name, text) name,
  PYNN_OPERATION_LIST(PYNN_OPERATION_ENUM)
#undef PYNN_OPERATION_ENUM
} pynn_operation;

/* The name of an operation, "none" for a number that is none. Thread-safe. */
PYNN_API const char *pynn_operation_name(pynn_operation operation);

/* What the guard did. */
#define PYNN_EVENT_LIST(X)                                                                     \
  X(PYNN_EVENT_REFUSED, "refused")         /* the call ended with NUMERIC */                   \
  X(PYNN_EVENT_SKIPPED, "skipped")         /* the batch was left out */                        \
  X(PYNN_EVENT_ROLLED_BACK, "rolled_back") /* the state after `restored` steps was restored */ \
  X(PYNN_EVENT_CLIPPED, "clipped")         /* the gradient, from norm `value` */               \
  X(PYNN_EVENT_DIVERGED, "diverged")       /* the loss, `value`; another event says what followed */

typedef enum pynn_event_kind {
#define PYNN_EVENT_ENUM(name, text) name,
  PYNN_EVENT_LIST(PYNN_EVENT_ENUM)
#undef PYNN_EVENT_ENUM
} pynn_event_kind;

/* The name of a kind of event, "unknown" for a number that is none. Thread-safe. */
PYNN_API const char *pynn_event_name(pynn_event_kind kind);

typedef struct pynn_event {
  pynn_event_kind kind;
  pynn_operation operation; /* that was at fault, as far as that was seen; NONE: not one alone */
  int32_t layer;            /* -1: none */
  int64_t row;              /* of the data given, -1: none */
  int64_t column;           /* -1: none */
  int64_t step;             /* steps applied before it */
  int64_t restored;         /* ROLLED_BACK: steps applied in the state restored; else -1 */
  int64_t first, rows;      /* the batch: order[first ... first+rows-1] of its call */
  double value;             /* at fault */
  double learning_rate;     /* before and */
  double new_learning_rate; /* after */
} pynn_event;

#define PYNN_EVENTS 256
/* Moves up to `capacity` of the oldest events to `out` and returns how many. The ledger holds PYNN_EVENTS of them; a
 * newer one then pushes the oldest out, and `dropped` (may be NULL) receives how many since the last call that was. */
PYNN_API int64_t pynn_trainer_events(pynn_trainer *trainer, pynn_event *out, int64_t capacity, int64_t *dropped);

#define PYNN_BLAME_CELLS 20

/* The first operation of a step whose result is not finite. */
typedef struct pynn_blame {
  pynn_operation operation; /* NONE: the whole step is finite */
  int32_t layer;            /* -1: none */
  int64_t n_cells;          /* numbers of the result that are not finite */
  int64_t n_rows;           /* rows of the data they are in; the first PYNN_BLAME_CELLS are listed */
  int64_t n_columns;        /* columns (of x, of targets, units of the layer) they are in; likewise */
  int64_t rows[PYNN_BLAME_CELLS];
  int64_t columns[PYNN_BLAME_CELLS];
  int64_t tensor_row;   /* row of the kernel where a parameter, its gradient or update is at fault; else -1 */
  double value;         /* the first such number */
  double largest_left;  /* largest finite magnitude of what went in: x, z, delta or the gradient, */
  double largest_right; /* and of the other factor: kernel, bias, parameters; 0 when there is none */
  int fails_in_float64; /* 1: the same step in float64 is not finite either; 0: float32 has too little range */
} pynn_blame;

/* Replays a step on rows order[first ... first+rows-1] (`order` NULL: first ...) from the state the trainer is in,
 * operation by operation, in the model's dtype and in float64, and says where it first goes wrong. Changes nothing.
 * Allocates, and releases, copies of the parameters, the optimizer's state and the batch. One thread at a time with the
 * trainer. OUT_OF_MEMORY, SHAPE, DTYPE, LABEL, UNSUPPORTED; INVALID_ARGUMENT for rows < 1 or outside the data. */
PYNN_API pynn_status pynn_trainer_blame(const pynn_trainer *trainer, const pynn_data *data, const int64_t *order,
                                        int64_t first, int64_t rows, pynn_blame *out, pynn_error *error);

/* ---------------------------------------------------------------- files */

/* A text entry of a model file beside the model itself: names of classes, for instance. */
typedef struct pynn_metadata {
  const char *key;   /* letters, digits, '.', '_', '-'; not "format", not starting with "pynn." or "layers." */
  const char *value; /* UTF-8 */
} pynn_metadata;

/* Writes the model (layers, parameters, loss) as a safetensors file at `path` (UTF-8): to a temporary file beside it,
 * synchronised, then renamed over it, so that a failure or a crash leaves the old file as it was. IO, OUT_OF_MEMORY,
 * INVALID_ARGUMENT for an entry that is not as above, TOO_LARGE for more than 100 MB of entries. */
PYNN_API pynn_status pynn_save(const pynn_model *model, const char *path, const pynn_metadata *entries,
                               int32_t n_entries, pynn_error *error);
/* Reads a model that pynn_save or pynn_checkpoint_save wrote. Nothing of the file is believed unchecked: memory stays
 * below the file's size plus a megabyte, and a file with any byte changed or missing is refused. IO, FILE_FORMAT,
 * OUT_OF_MEMORY, TOO_LARGE.
 */
PYNN_API pynn_status pynn_load(pynn_model **out, const pynn_context *context, const char *path, pynn_error *error);
/* The same from `size` bytes of memory. */
PYNN_API pynn_status pynn_load_memory(pynn_model **out, const pynn_context *context, const void *bytes, size_t size,
                                      pynn_error *error);
/* Text entry of the loaded file, NULL when there is none. Valid as long as the model. */
PYNN_API const char *pynn_model_metadata(const pynn_model *model, const char *key);

/* ---------------------------------------------------------------- checkpoints */

/* A run of steps at one moment: all that decides what the next steps do, so that a run which goes on from here ends
 * with the bits of one that never stopped, whatever the guard does on the way. That is: parameters, the optimizer's
 * state, steps, learning rate, what the guard has learned with its good states, statistics, events not yet moved out.
 * Beside it the caller's own texts and vectors. A file of it is a model file too: pynn_load reads the model. */
typedef struct pynn_checkpoint pynn_checkpoint;

/* A named vector of numbers for the caller's own use. */
typedef struct pynn_vector {
  const char *name; /* as a key of pynn_metadata, nor "__metadata__" */
  pynn_dtype dtype;
  int64_t count;
  const void *data; /* count numbers, one after the other; need not be aligned */
} pynn_vector;

/* Writes the trainer's state with `entries` and `vectors` (at most 900) to `path`, as pynn_save does: the old file
 * stays until the new one is whole. Takes memory for a copy of the state meanwhile. Not while the trainer trains. IO,
 * OUT_OF_MEMORY, TOO_LARGE, INVALID_ARGUMENT and DTYPE for names, texts and vectors that are not as above; NUMERIC when
 * the state holds a number that is not finite, or the guard suspects it: the last good file is then left alone. */
PYNN_API pynn_status pynn_checkpoint_save(const pynn_trainer *trainer, const char *path, const pynn_metadata *entries,
                                          int32_t n_entries, const pynn_vector *vectors, int32_t n_vectors,
                                          pynn_error *error);

/* Reads what pynn_checkpoint_save or _write wrote. Nothing of the file is believed unchecked: memory stays below the
 * file's size plus a megabyte, and a file with any byte changed or missing is refused. The context must outlive the
 * checkpoint. IO, FILE_FORMAT (a model file is no checkpoint), OUT_OF_MEMORY, TOO_LARGE. */
PYNN_API pynn_status pynn_checkpoint_load(pynn_checkpoint **out, const pynn_context *context, const char *path,
                                          pynn_error *error);
/* The same from `size` bytes of memory. */
PYNN_API pynn_status pynn_checkpoint_load_memory(pynn_checkpoint **out, const pynn_context *context, const void *bytes,
                                                 size_t size, pynn_error *error);
/* Releases the checkpoint. NULL is legal. */
PYNN_API void pynn_checkpoint_free(pynn_checkpoint *checkpoint);

/* Puts the trainer and its model where the checkpoint was taken. Their layers with custom activations, dtype,
 * target_scaling, loss, optimizer (its learning rate apart), seed, schedule, average, mixup, clip_norm and guard must
 * be those of the checkpoint; INVALID_ARGUMENT names what differs, FILE_FORMAT a number that no run has; nothing is
 * changed then. Neither allocates nor reads files. Not while the trainer trains. */
PYNN_API pynn_status pynn_checkpoint_restore(const pynn_checkpoint *checkpoint, pynn_trainer *trainer,
                                             pynn_error *error);

/* The model in it, for predictions. Valid as long as the checkpoint. Thread-safe, as are the next two. */
PYNN_API const pynn_model *pynn_checkpoint_model(const pynn_checkpoint *checkpoint);
/* A text of the loaded file, NULL when there is none. Valid as long as the checkpoint. */
PYNN_API const char *pynn_checkpoint_entry(const pynn_checkpoint *checkpoint, const char *key);
/* A vector of the loaded file; its name and data are valid as long as the checkpoint. INVALID_ARGUMENT when there is
 * none. */
PYNN_API pynn_status pynn_checkpoint_vector(const pynn_checkpoint *checkpoint, const char *name, pynn_vector *out);
/* The same by number, in the order of the names, the library's own ("pynn.") among them. */
PYNN_API int32_t pynn_checkpoint_n_vectors(const pynn_checkpoint *checkpoint);
/* Vector by index; INVALID_ARGUMENT when there is none. */
PYNN_API pynn_status pynn_checkpoint_vector_at(const pynn_checkpoint *checkpoint, int32_t index, pynn_vector *out);

/* To write while steps go on: take a copy between two steps, then write it from another thread. _new takes the memory
 * for copies of this trainer's state, and the first copy; OUT_OF_MEMORY. _take replaces the copy without allocating;
 * INVALID_ARGUMENT for a trainer whose state has another size. _write fails as pynn_checkpoint_save does; one thread at
 * a time with _take. */
PYNN_API pynn_status pynn_checkpoint_new(pynn_checkpoint **out, const pynn_trainer *trainer, pynn_error *error);
/* Replaces the copy by one of the trainer's state now, without allocating; INVALID_ARGUMENT as above. */
PYNN_API pynn_status pynn_checkpoint_take(pynn_checkpoint *checkpoint, const pynn_trainer *trainer, pynn_error *error);
/* Writes the copy to `path` (UTF-8), as pynn_checkpoint_save does. */
PYNN_API pynn_status pynn_checkpoint_write(const pynn_checkpoint *checkpoint, const char *path,
                                           const pynn_metadata *entries, int32_t n_entries, const pynn_vector *vectors,
                                           int32_t n_vectors, pynn_error *error);

/* ---------------------------------------------------------------- advanced */

/* Copies rows of x into out (count x x->columns, contiguous, of dtype x->dtype): row order[i], or row i when order is
 * NULL. INVALID_ARGUMENT with the position in error->row when an index is outside x, and for count < 0; SHAPE, DTYPE
 * for a view that is none; UNSUPPORTED for a sparse one. Thread-safe. */
PYNN_API pynn_status pynn_gather(const pynn_array *x, const int64_t *order, int64_t count, void *out,
                                 pynn_error *error);

/* A permutation of 0 ... n-1 that depends on (seed, epoch, n) alone. Thread-safe. */
PYNN_API void pynn_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t *out);

/* Applies an activation to a rows x columns matrix of reals in place, or its derivative: delta <- delta * f'(z),
 * given z and y = f(z). The kernels that layers use, one thread, for tests and tools. INVALID_ARGUMENT for a dtype that
 * is no model's, a spec of another table, rows or columns < 0. Thread-safe. */
PYNN_API pynn_status pynn_activation_forward(const pynn_context *context, pynn_dtype dtype, const pynn_spec *spec,
                                             int64_t rows, int64_t columns, void *z);
/* The derivative, likewise: z, y and delta are rows x columns reals; delta is changed in place, and is neither z nor y.
 */
PYNN_API pynn_status pynn_activation_backward(const pynn_context *context, pynn_dtype dtype, const pynn_spec *spec,
                                              int64_t rows, int64_t columns, const void *z, const void *y, void *delta);

/* C = A B (beta 0) or C + A B (beta 1): A is m x k with element strides (row, column), B is k x n with rows of ldb,
 * C is m x n with rows of ldc, apart from both. The library's own product, one thread. INVALID_ARGUMENT for another
 * beta, a dtype that is no model's, sizes or strides < 0, ldb or ldc < n. Thread-safe. */
PYNN_API pynn_status pynn_gemm(const pynn_context *context, pynn_dtype dtype, int64_t m, int64_t n, int64_t k,
                               const void *a, int64_t a_row, int64_t a_column, const void *b, int64_t ldb, double beta,
                               void *c, int64_t ldc);

#ifdef __cplusplus
}
#endif

#endif
