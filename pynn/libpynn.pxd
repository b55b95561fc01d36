# The C library as Cython sees it: declarations of pynn.h, nothing else.
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

cdef extern from "pynn.h" nogil:
    const char *PYNN_VERSION
    const char *pynn_version()

    ctypedef enum pynn_status:
        PYNN_OK
        PYNN_ERROR_OUT_OF_MEMORY
        PYNN_ERROR_INVALID_ARGUMENT
        PYNN_ERROR_UNKNOWN_NAME
        PYNN_ERROR_SHAPE
        PYNN_ERROR_DTYPE
        PYNN_ERROR_LABEL
        PYNN_ERROR_NUMERIC
        PYNN_ERROR_TOO_LARGE
        PYNN_ERROR_IO
        PYNN_ERROR_FILE_FORMAT
        PYNN_ERROR_UNSUPPORTED
        PYNN_ERROR_THREAD
        PYNN_ERROR_CALLBACK
        PYNN_ERROR_NOT_READY

    const char *pynn_strerror(pynn_status status)

    ctypedef struct pynn_error:
        pynn_status status
        int32_t layer
        int64_t row
        int64_t column
        double value
        char message[256]
        int32_t operation

    ctypedef enum pynn_dtype:
        PYNN_FLOAT32
        PYNN_FLOAT64
        PYNN_FLOAT16
        PYNN_BOOL
        PYNN_INT8
        PYNN_INT16
        PYNN_INT32
        PYNN_INT64
        PYNN_UINT8
        PYNN_UINT16
        PYNN_UINT32
        PYNN_UINT64

    size_t pynn_dtype_size(pynn_dtype dtype)

    ctypedef struct pynn_array:
        const void *data
        pynn_dtype dtype
        int64_t rows
        int64_t columns
        int64_t row_stride
        int64_t column_stride
        const void *indices
        const void *offsets
        pynn_dtype index_dtype

    pynn_array pynn_matrix(const void *data, pynn_dtype dtype, int64_t rows, int64_t columns)
    pynn_array pynn_csr(const void *data, pynn_dtype dtype, const void *indices, const void *offsets,
                        pynn_dtype index_dtype, int64_t rows, int64_t columns)

    # context
    ctypedef struct pynn_allocator:
        void *(*allocate)(void *user, size_t size)
        void (*release)(void *user, void *memory, size_t size)
        void *user

    ctypedef struct pynn_blas:
        size_t struct_size
        const char *name
        int integer_size
        void (*sgemm)()
        void (*dgemm)()
        int (*get_threads)()
        void (*set_threads)(int)

    ctypedef struct pynn_context:
        pass

    ctypedef struct pynn_context_options:
        size_t struct_size
        pynn_allocator allocator
        const pynn_blas *blas
        const char *cpu
        int32_t threads

    void pynn_context_options_init(pynn_context_options *options)
    pynn_status pynn_context_new(pynn_context **out, const pynn_context_options *options)
    void pynn_context_free(pynn_context *context)
    int32_t pynn_context_threads(const pynn_context *context)
    pynn_status pynn_context_set_threads(pynn_context *context, int32_t threads)
    pynn_status pynn_context_set_blas(pynn_context *context, const pynn_blas *blas)
    const char *pynn_context_cpu(const pynn_context *context)
    const char *pynn_context_blas(const pynn_context *context)

    # names
    ctypedef enum pynn_table:
        PYNN_ACTIVATION
        PYNN_LOSS
        PYNN_OPTIMIZER
        PYNN_INITIALIZER
        PYNN_LAYER
        PYNN_SCHEDULE
        PYNN_REGULARIZER
        PYNN_CONSTRAINT

    enum: PYNN_MAX_FIELDS
    enum: PYNN_FIELD_OPEN_MINIMUM
    enum: PYNN_FIELD_OPEN_MAXIMUM
    enum: PYNN_FIELD_INTEGER
    enum: PYNN_FIELD_BOOLEAN

    ctypedef struct pynn_field:
        const char *name
        double value
        double minimum
        double maximum
        uint32_t flags

    ctypedef struct pynn_row:
        const char *name
        const char *aliases
        int32_t n_fields
        pynn_field fields[8]
        const char *link
        const char *initializer
        uint32_t flags

    enum: PYNN_ROW_LABELS
    enum: PYNN_ROW_PROBABILITIES
    enum: PYNN_ROW_NONNEGATIVE
    enum: PYNN_ROW_PAIRS
    enum: PYNN_ROW_SIGNS
    enum: PYNN_ROW_ROWWISE
    enum: PYNN_LAYER_UNITS
    enum: PYNN_LAYER_ONLY_TRAINS
    enum: PYNN_LAYER_ADAPTS
    enum: PYNN_LAYER_TAKES_CODES
    enum: PYNN_LAYER_TAKES_MISSING
    enum: PYNN_LAYER_UPDATES_STATE
    enum: PYNN_LAYER_ADDS
    enum: PYNN_LAYER_READS_DOUBLE
    enum: PYNN_LAYER_SPARSE
    enum: PYNN_LAYER_PRODUCT
    enum: PYNN_LAYER_TIMESTEPS

    int32_t pynn_table_size(pynn_table table)
    const pynn_row *pynn_table_row(pynn_table table, int32_t index)

    ctypedef struct pynn_spec:
        int32_t table
        int32_t row
        double values[8]

    pynn_status pynn_spec_named(pynn_spec *out, pynn_table table, const char *name)
    pynn_status pynn_spec_set(pynn_spec *spec, const char *field, double value)
    double pynn_spec_get(const pynn_spec *spec, const char *field)

    # schedules
    enum: PYNN_MAX_BOUNDARIES

    ctypedef struct pynn_schedule:
        size_t struct_size
        pynn_spec spec
        int64_t warmup_steps
        double warmup_start_factor
        int32_t n_boundaries
        int64_t boundaries[64]
        double values[65]

    pynn_status pynn_schedule_named(pynn_schedule *out, const char *name)
    double pynn_schedule_rate(const pynn_schedule *schedule, int64_t step)

    # model
    ctypedef enum pynn_slot:
        PYNN_SLOT_ACTIVATION
        PYNN_SLOT_KERNEL_INITIALIZER
        PYNN_SLOT_BIAS_INITIALIZER
        PYNN_SLOT_KERNEL_REGULARIZER
        PYNN_SLOT_BIAS_REGULARIZER
        PYNN_SLOT_KERNEL_CONSTRAINT
        PYNN_SLOT_BIAS_CONSTRAINT

    const char *pynn_slot_name(pynn_slot slot)

    ctypedef struct pynn_choice:
        pynn_slot slot
        pynn_spec spec

    enum: PYNN_MAX_CHOICES

    ctypedef struct pynn_layer:
        size_t struct_size
        pynn_spec kind
        const int64_t *columns
        const int64_t *sizes
        int64_t n_columns
        int32_t n_choices
        pynn_choice choices[12]

    pynn_status pynn_layer_named(pynn_layer *out, const char *kind)
    const pynn_spec *pynn_layer_choice(const pynn_layer *layer, const char *name)
    pynn_status pynn_layer_choose(pynn_layer *layer, const char *name, const pynn_spec *spec)
    pynn_status pynn_dense(pynn_layer *out, int64_t units, const char *activation)
    pynn_status pynn_dropout(pynn_layer *out, double rate)

    ctypedef struct pynn_model:
        pass

    ctypedef struct pynn_shape:
        int64_t timesteps
        int64_t features

    ctypedef struct pynn_model_options:
        size_t struct_size
        int64_t inputs
        int64_t timesteps
        pynn_dtype dtype
        uint64_t seed
        int target_scaling

    void pynn_model_options_init(pynn_model_options *options)
    pynn_status pynn_model_new(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                               const pynn_layer *layers, int32_t n_layers, pynn_error *error)
    void pynn_model_free(pynn_model *model)
    int64_t pynn_model_inputs(const pynn_model *model)
    int64_t pynn_model_outputs(const pynn_model *model)
    pynn_dtype pynn_model_dtype(const pynn_model *model)
    pynn_dtype pynn_model_output_dtype(const pynn_model *model)
    uint64_t pynn_model_seed(const pynn_model *model)
    int32_t pynn_model_n_layers(const pynn_model *model)
    pynn_status pynn_model_layer(const pynn_model *model, int32_t index, pynn_layer *out)
    pynn_status pynn_model_shape(const pynn_model *model, int32_t index, pynn_shape *out)
    int64_t pynn_model_n_parameters(const pynn_model *model)
    void *pynn_model_parameters(pynn_model *model)

    ctypedef struct pynn_tensor:
        const char *name
        int32_t layer
        int64_t offset
        int64_t rows
        int64_t columns
        int trainable

    int64_t pynn_model_n_state(const pynn_model *model)
    double *pynn_model_state(pynn_model *model)
    int pynn_model_target_scaling(const pynn_model *model)
    int32_t pynn_model_n_tensors(const pynn_model *model)
    pynn_status pynn_model_tensor(const pynn_model *model, int32_t index, pynn_tensor *out)
    pynn_status pynn_model_set_loss(pynn_model *model, const pynn_spec *loss)
    const pynn_spec *pynn_model_loss(const pynn_model *model)

    ctypedef int (*pynn_loss_function)(void *user, pynn_dtype dtype, int64_t rows, int64_t n, const void *logits,
                                       const void *targets, const int64_t *labels, double *losses,
                                       void *gradient, int backward) noexcept

    ctypedef struct pynn_custom_loss:
        size_t struct_size
        const char *name
        const char *link
        uint32_t flags
        pynn_loss_function function
        void *user

    pynn_status pynn_model_set_custom_loss(pynn_model *model, const pynn_custom_loss *loss)
    const char *pynn_model_custom_loss_name(const pynn_model *model)

    ctypedef int (*pynn_value_function)(void *user, pynn_dtype dtype, int64_t n, const void *z, void *y) noexcept
    ctypedef int (*pynn_derivative_function)(void *user, pynn_dtype dtype, int64_t n, const void *z, const void *y,
                                             void *delta) noexcept

    ctypedef struct pynn_custom_activation:
        size_t struct_size
        const char *name
        uint32_t flags
        pynn_value_function value
        pynn_derivative_function derivative
        void *user

    uint32_t PYNN_CUSTOM_FLOAT32, PYNN_CUSTOM_FLOAT64, PYNN_CUSTOM_SERIAL, PYNN_CUSTOM_UNCHECKED
    pynn_status pynn_model_set_trainable(pynn_model *model, int32_t layer, int trainable)
    int pynn_model_trainable(const pynn_model *model, int32_t layer)
    pynn_status pynn_model_set_custom_activation(pynn_model *model, int32_t layer,
                                                 const pynn_custom_activation *activation, pynn_error *error)
    const char *pynn_model_custom_activation_name(const pynn_model *model, int32_t layer)

    # adaptation to data
    ctypedef struct pynn_summary:
        pass

    ctypedef struct pynn_column:
        int64_t rows
        int64_t count
        int64_t missing
        int64_t infinite
        int64_t first_missing
        int64_t first_infinite
        double mean
        double std
        double minimum
        double maximum
        double quartiles[3]

    pynn_status pynn_summary_new(pynn_summary **out, const pynn_context *context, int64_t columns, int64_t held,
                                 pynn_error *error)
    void pynn_summary_free(pynn_summary *summary)
    pynn_status pynn_summary_add(pynn_summary *summary, const pynn_array *x, pynn_error *error)
    int64_t pynn_summary_columns(const pynn_summary *summary)
    pynn_status pynn_summary_column(const pynn_summary *summary, int64_t column, pynn_column *out)
    pynn_status pynn_normalization_adapt(pynn_model *model, int32_t layer, const pynn_summary *summary,
                                         int64_t first, pynn_error *error)
    pynn_status pynn_target_adapt(pynn_model *model, const pynn_summary *summary, int minmax, pynn_error *error)

    # prediction
    ctypedef struct pynn_workspace:
        pass

    pynn_status pynn_workspace_new(pynn_workspace **out, const pynn_model *model)
    void pynn_workspace_free(pynn_workspace *workspace)
    pynn_status pynn_predict(const pynn_model *model, pynn_workspace *workspace, const pynn_array *x, int raw,
                             pynn_dtype dtype, void *out, pynn_error *error)
    ctypedef struct pynn_stream:
        pass
    pynn_status pynn_stream_new(pynn_stream **out, const pynn_model *model, int64_t rows, pynn_error *error)
    void pynn_stream_free(pynn_stream *stream)
    pynn_status pynn_stream_step(pynn_stream *stream, const pynn_array *x, int raw, pynn_dtype dtype, void *out,
                                 pynn_error *error)
    void pynn_stream_reset(pynn_stream *stream)
    int64_t pynn_stream_n_state(const pynn_stream *stream)
    void *pynn_stream_state(pynn_stream *stream)
    pynn_status pynn_evaluate(const pynn_model *model, pynn_workspace *workspace, const pynn_array *x,
                              const pynn_array *targets, const pynn_array *weights, pynn_dtype dtype, void *out,
                              double *loss, pynn_error *error)

    # training
    ctypedef enum pynn_policy:
        PYNN_POLICY_RAISE
        PYNN_POLICY_SKIP
        PYNN_POLICY_ROLLBACK
        PYNN_POLICY_OFF

    ctypedef struct pynn_guard:
        pynn_policy policy
        int64_t streak
        int64_t max_rollbacks
        double backoff
        int64_t snapshot_every
        double divergence
        int64_t window
        double clip_z
        double clip_alpha
        int64_t check_every

    void pynn_guard_init(pynn_guard *guard)

    ctypedef struct pynn_trainer:
        pass

    ctypedef struct pynn_trainer_options:
        size_t struct_size
        pynn_spec optimizer
        int64_t batch_size
        double clip_norm
        uint64_t seed
        pynn_guard guard

    void pynn_trainer_options_init(pynn_trainer_options *options, const pynn_model *model)
    pynn_status pynn_trainer_new(pynn_trainer **out, pynn_model *model, const pynn_trainer_options *options,
                                 pynn_error *error)
    void pynn_trainer_free(pynn_trainer *trainer)
    pynn_status pynn_trainer_set_guard(pynn_trainer *trainer, const pynn_guard *guard, pynn_error *error)

    ctypedef struct pynn_data:
        pynn_array x
        pynn_array targets
        pynn_array weights

    ctypedef struct pynn_step:
        int64_t steps
        int64_t rows
        double loss
        double gradient_norm
        int applied
        int64_t refused
        int64_t refused_rows

    pynn_status pynn_train_step(pynn_trainer *trainer, const pynn_data *data, pynn_step *step, pynn_error *error)
    pynn_status pynn_train_batches(pynn_trainer *trainer, const pynn_data *data, const int64_t *order,
                                   int64_t first, int64_t count, int64_t batch_size, double seconds,
                                   pynn_dtype dtype, void *predictions, pynn_step *step, pynn_error *error)
    pynn_status pynn_trainer_set_learning_rate(pynn_trainer *trainer, double learning_rate)
    double pynn_trainer_learning_rate(const pynn_trainer *trainer)
    pynn_status pynn_trainer_set_schedule(pynn_trainer *trainer, const pynn_schedule *schedule, pynn_error *error)
    pynn_status pynn_trainer_full_gradient(pynn_trainer *trainer, const pynn_data *data, int64_t batch_size,
                                           double *loss, double *gradient, pynn_error *error)

    ctypedef struct pynn_average:
        size_t struct_size
        double decay
        int64_t start
        int64_t every

    void pynn_average_init(pynn_average *average)
    pynn_status pynn_trainer_set_average(pynn_trainer *trainer, const pynn_average *average, pynn_error *error)
    double *pynn_trainer_average(pynn_trainer *trainer)
    int64_t pynn_trainer_n_averaged(const pynn_trainer *trainer)
    pynn_status pynn_trainer_set_n_averaged(pynn_trainer *trainer, int64_t n)
    pynn_status pynn_trainer_use_average(pynn_trainer *trainer)
    ctypedef struct pynn_shards:
        size_t struct_size
        int64_t shards
        int32_t processes, process
        int (*gather)(void *user, const void *own, size_t part, size_t size, void *all) noexcept nogil
        int (*exchange)(void *user, const void *all, size_t part, size_t size, void *received) noexcept nogil
        void *user
    void pynn_shards_init(pynn_shards *shards)
    pynn_status pynn_trainer_set_shards(pynn_trainer *trainer, const pynn_shards *shards, pynn_error *error)
    pynn_status pynn_trainer_set_mixup(pynn_trainer *trainer, double alpha, pynn_error *error)
    void pynn_trainer_set_raw_predictions(pynn_trainer *trainer, int raw)
    void pynn_mixup_draw(uint64_t seed, int64_t step, double alpha, int64_t rows, double *share, int64_t *shift)
    double pynn_trainer_rate_factor(const pynn_trainer *trainer)
    pynn_status pynn_trainer_set_rate_factor(pynn_trainer *trainer, double factor)
    int64_t pynn_trainer_steps(const pynn_trainer *trainer)
    pynn_status pynn_trainer_set_steps(pynn_trainer *trainer, int64_t steps)
    void *pynn_trainer_gradient(pynn_trainer *trainer)
    int32_t pynn_trainer_n_slots(const pynn_trainer *trainer)
    void *pynn_trainer_slot(pynn_trainer *trainer, int32_t index)

    ctypedef struct pynn_layer_health:
        double activation_max
        double delta_max
        double gradient_max
        double gradient_norm

    pynn_status pynn_trainer_health(const pynn_trainer *trainer, int32_t layer, pynn_layer_health *out)

    ctypedef struct pynn_statistics:
        int64_t step
        double largest
        double mean
        double std
        double zeros
        double saturated
        double tiny
        double dead
        double gradient_rms
        double gradient_zeros
        double gradient_tiny
        double weight_norm
        double update_ratio
        double updates_lost

    ctypedef struct pynn_series:
        double *values
        double *about
        int64_t *counters
        int64_t capacity
    enum: PYNN_SERIES_FIELDS
    pynn_status pynn_trainer_set_series(pynn_trainer *trainer, const pynn_series *series)
    pynn_status pynn_trainer_statistics(const pynn_trainer *trainer, int32_t layer, pynn_statistics *out)
    ctypedef struct pynn_losses:
        double first
        double recent
        double best
        double worst
        double nothing
        double sampled
        double constant
    void pynn_trainer_losses(const pynn_trainer *trainer, pynn_losses *out)
    void pynn_trainer_begin_epoch(pynn_trainer *trainer)
    double pynn_trainer_epoch_loss(const pynn_trainer *trainer)

    # blame
    ctypedef enum pynn_operation:
        PYNN_OPERATION_NONE

    const char *pynn_operation_name(pynn_operation operation)

    ctypedef enum pynn_event_kind:
        pass

    const char *pynn_event_name(pynn_event_kind kind)

    ctypedef struct pynn_event:
        pynn_event_kind kind
        pynn_operation operation
        int32_t layer
        int64_t row
        int64_t column
        int64_t step
        int64_t restored
        int64_t first
        int64_t rows
        double value
        double learning_rate
        double new_learning_rate

    enum: PYNN_EVENTS
    int64_t pynn_trainer_events(pynn_trainer *trainer, pynn_event *out, int64_t capacity, int64_t *dropped)

    enum: PYNN_BLAME_CELLS

    ctypedef struct pynn_blame:
        pynn_operation operation
        int32_t layer
        int64_t n_cells
        int64_t n_rows
        int64_t n_columns
        int64_t rows[20]
        int64_t columns[20]
        int64_t tensor_row
        double value
        double largest_left
        double largest_right
        int fails_in_float64

    pynn_status pynn_trainer_blame(const pynn_trainer *trainer, const pynn_data *data, const int64_t *order,
                                   int64_t first, int64_t rows, pynn_blame *out, pynn_error *error)

    # files
    ctypedef struct pynn_metadata:
        const char *key
        const char *value

    pynn_status pynn_save(const pynn_model *model, const char *path, const pynn_metadata *entries,
                          int32_t n_entries, pynn_error *error)
    pynn_status pynn_load(pynn_model **out, const pynn_context *context, const char *path, pynn_error *error)
    pynn_status pynn_load_memory(pynn_model **out, const pynn_context *context, const void *bytes, size_t size,
                                 pynn_error *error)
    const char *pynn_model_metadata(const pynn_model *model, const char *key)

    ctypedef struct pynn_checkpoint
    ctypedef struct pynn_vector:
        const char *name
        pynn_dtype dtype
        int64_t count
        const void *data
    pynn_status pynn_checkpoint_load(pynn_checkpoint **out, const pynn_context *context, const char *path,
                                     pynn_error *error)
    void pynn_checkpoint_free(pynn_checkpoint *checkpoint)
    pynn_status pynn_checkpoint_restore(const pynn_checkpoint *checkpoint, pynn_trainer *trainer, pynn_error *error)
    const pynn_model *pynn_checkpoint_model(const pynn_checkpoint *checkpoint)
    const char *pynn_checkpoint_entry(const pynn_checkpoint *checkpoint, const char *key)
    pynn_status pynn_checkpoint_vector(const pynn_checkpoint *checkpoint, const char *name, pynn_vector *out)
    pynn_status pynn_checkpoint_new(pynn_checkpoint **out, const pynn_trainer *trainer, pynn_error *error)
    pynn_status pynn_checkpoint_take(pynn_checkpoint *checkpoint, const pynn_trainer *trainer, pynn_error *error)
    pynn_status pynn_checkpoint_write(const pynn_checkpoint *checkpoint, const char *path,
                                      const pynn_metadata *entries, int32_t n_entries, const pynn_vector *vectors,
                                      int32_t n_vectors, pynn_error *error)

    # advanced
    pynn_status pynn_gather(const pynn_array *x, const int64_t *order, int64_t count, void *out, pynn_error *error)
    void pynn_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t *out)
    pynn_status pynn_activation_forward(const pynn_context *context, pynn_dtype dtype, const pynn_spec *spec,
                                        int64_t rows, int64_t columns, void *z)
    pynn_status pynn_activation_backward(const pynn_context *context, pynn_dtype dtype, const pynn_spec *spec,
                                         int64_t rows, int64_t columns, const void *z, const void *y, void *delta)
    pynn_status pynn_gemm(const pynn_context *context, pynn_dtype dtype, int64_t m, int64_t n, int64_t k,
                          const void *a, int64_t a_row, int64_t a_column, const void *b, int64_t ldb, double beta,
                          void *c, int64_t ldc)
