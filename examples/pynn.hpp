/* A thin C++17 wrapper: objects that free themselves, statuses as exceptions. Copy it and change it. */
#ifndef PYNN_HPP
#define PYNN_HPP

#include <pynn.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace pynn {

class Error : public std::runtime_error {
 public:
  explicit Error(pynn_status status_, const pynn_error &error = {})
      : std::runtime_error(error.status == status_ ? error.message : pynn_strerror(status_)), status(status_) {}
  pynn_status status;
};

inline void check(pynn_status status, const pynn_error &error = {}) {
  if (status) throw Error(status, error);
}

template <auto free>
struct Free {
  template <class T>
  void operator()(T *object) const noexcept {
    free(object);
  }
};

inline pynn_spec spec(pynn_table table, const char *name) {
  pynn_spec found;
  check(pynn_spec_named(&found, table, name));
  return found;
}

inline pynn_layer dense(int64_t units, const char *activation = nullptr) {
  pynn_layer layer;
  check(pynn_dense(&layer, units, activation));
  return layer;
}

class Context {
 public:
  explicit Context(int32_t threads = 0) {
    pynn_context_options options;
    pynn_context_options_init(&options);
    options.threads = threads;
    pynn_context *context = nullptr;
    check(pynn_context_new(&context, &options));
    c_.reset(context);
  }
  const pynn_context *c() const { return c_.get(); }

 private:
  std::unique_ptr<pynn_context, Free<pynn_context_free>> c_;
};

/* A model of float32. One thread may train it; any number may predict, each with its own Predictor. */
class Model {
 public:
  Model(const Context &context, int64_t inputs, const std::vector<pynn_layer> &layers, const char *loss,
        uint64_t seed = 0) {
    pynn_model_options options;
    pynn_model_options_init(&options);
    options.inputs = inputs;
    options.seed = seed;
    pynn_model *model = nullptr;
    pynn_error error{};
    check(pynn_model_new(&model, context.c(), &options, layers.data(), static_cast<int32_t>(layers.size()), &error),
          error);
    c_.reset(model);
    const pynn_spec chosen = spec(PYNN_LOSS, loss);
    check(pynn_model_set_loss(model, &chosen));
  }
  Model(const Context &context, const std::string &path) {
    pynn_model *model = nullptr;
    pynn_error error{};
    check(pynn_load(&model, context.c(), path.c_str(), &error), error);
    c_.reset(model);
    if (pynn_model_dtype(model) != PYNN_FLOAT32) throw Error(PYNN_ERROR_DTYPE);
  }
  void save(const std::string &path) const {
    pynn_error error{};
    check(pynn_save(c_.get(), path.c_str(), nullptr, 0, &error), error);
  }
  int64_t outputs() const { return pynn_model_outputs(c_.get()); }
  int64_t inputs() const { return pynn_model_inputs(c_.get()); }
  pynn_model *c() { return c_.get(); }
  const pynn_model *c() const { return c_.get(); }

 private:
  std::unique_ptr<pynn_model, Free<pynn_model_free>> c_;
};

class Predictor {
 public:
  explicit Predictor(const Model &model) : model_(model) {
    pynn_workspace *workspace = nullptr;
    check(pynn_workspace_new(&workspace, model.c()));
    c_.reset(workspace);
  }
  std::vector<float> operator()(const std::vector<float> &x) {
    const int64_t rows = static_cast<int64_t>(x.size()) / model_.inputs();
    std::vector<float> out(static_cast<size_t>(rows * model_.outputs()));
    const pynn_array view = pynn_matrix(x.data(), PYNN_FLOAT32, rows, model_.inputs());
    pynn_error error{};
    check(pynn_predict(model_.c(), c_.get(), &view, 0, PYNN_FLOAT32, out.data(), &error), error);
    return out;
  }

 private:
  const Model &model_;
  std::unique_ptr<pynn_workspace, Free<pynn_workspace_free>> c_;
};

class Trainer {
 public:
  Trainer(Model &model, const char *optimizer, double learning_rate, int64_t batch_size) : model_(model) {
    pynn_trainer_options options;
    pynn_trainer_options_init(&options, model.c());
    options.optimizer = spec(PYNN_OPTIMIZER, optimizer);
    check(pynn_spec_set(&options.optimizer, "learning_rate", learning_rate));
    options.batch_size = batch_size;
    pynn_trainer *trainer = nullptr;
    pynn_error error{};
    check(pynn_trainer_new(&trainer, model.c(), &options, &error), error);
    c_.reset(trainer);
  }
  /* One step on all rows; labels are classes. The mean loss before the update. */
  double step(const std::vector<float> &x, const std::vector<int64_t> &labels) {
    const int64_t rows = static_cast<int64_t>(labels.size());
    const pynn_data data = {pynn_matrix(x.data(), PYNN_FLOAT32, rows, model_.inputs()),
                            pynn_matrix(labels.data(), PYNN_INT64, rows, 1),
                            {}};
    pynn_step done{};
    pynn_error error{};
    check(pynn_train_step(c_.get(), &data, &done, &error), error);
    return done.loss;
  }

 private:
  Model &model_;
  std::unique_ptr<pynn_trainer, Free<pynn_trainer_free>> c_;
};

} // namespace pynn

#endif
