"""Keras: files in and out, training that goes on as it would there. Those that need Keras itself skip without it."""

import importlib
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import pynn

h5py = pytest.importorskip("h5py")

X = np.random.default_rng(0).normal(size=(40, 6))
Y = np.random.default_rng(1).normal(size=(40, 3))
LABELS = np.random.default_rng(2).integers(0, 3, 40)


@pytest.fixture(scope="module")
def keras():
    """Keras on PyTorch, in float64.

    Keras 3.15 computes products, tanh, means and others of float64 in float32, on PyTorch and JAX alike: a table says
    so, in which float64 is made float64 here.
    """
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    found = pytest.importorskip("keras")
    found.config.set_floatx("float64")
    dtypes = importlib.import_module("keras.src.backend.common.dtypes")
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    return found


def output(model, x=X):
    return model(x).detach().numpy()


def sample(**more):
    """A model of the layers that Keras has too."""
    model = pynn.Sequential([
        pynn.Normalization(), pynn.Dense(8, activation="relu"), pynn.BatchNormalization(momentum=0.9),
        pynn.Residual([pynn.LayerNormalization(), pynn.Dense(8, activation=pynn.activations.LeakyReLU(0.3))]),
        pynn.Dropout(0.0), pynn.Dense(8, activation="elu", kernel_regularizer=pynn.regularizers.L1L2(1e-4, 1e-3)),
        pynn.BatchNormalization(scale=False), pynn.Activation("gelu"), pynn.Dense(3),
    ], seed=1, **more)  # fmt: skip
    model.compile("softmax_cross_entropy", pynn.Adam(0.01, early_epsilon=True), ["accuracy"])
    model.fit(X, np.array(["no", "yes", "maybe"])[LABELS], epochs=2, batch_size=8)
    return model


# ---- without Keras


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_file_comes_back_with_all_that_training_was(tmp_path, dtype):
    model = sample(dtype=dtype)
    model.export_keras(tmp_path / "m.keras")
    again = pynn.load(tmp_path / "m.keras")
    assert again.dtype == dtype
    assert np.allclose(again.predict(X), model.predict(X), rtol=1e-5 if dtype == "float32" else 1e-12)
    assert again.classify(X).tolist() == model.classify(X).tolist()  # names of classes
    assert again.optimizer == model.optimizer
    assert again.loss == model.loss
    for resumed in (model, again):
        for _ in range(5):
            resumed.train_step(X, LABELS)
    assert np.allclose(again.parameters, model.parameters, rtol=0, atol=1e-4 if dtype == "float32" else 1e-12)


def test_what_keras_would_take_otherwise_comes_back_too(tmp_path):
    model = pynn.Sequential([pynn.Dense(4, activation="relu"), pynn.Dense(3)], seed=0)
    model.compile("softmax_cross_entropy", pynn.Adam(0.01))
    model.fit(X, LABELS)
    model.export_keras(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert json.loads(archive.read("config.json"))["compile_config"] is None
    again = pynn.load(tmp_path / "m.keras")
    assert np.array_equal(again.predict(X), model.predict(X))
    assert (again.loss, again.optimizer) == (model.loss, model.optimizer)


def test_weights_of_a_file_go_into_a_model(tmp_path):
    model = sample(dtype="float64")
    model.export_keras(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        (tmp_path / "m.weights.h5").write_bytes(archive.read("model.weights.h5"))
    other = pynn.Sequential([layer.spec for layer in model.layers], seed=9, dtype="float64").build(6)
    for path in ("m.weights.h5", "m.keras"):
        other.parameters[...] = 0
        other.load_weights(tmp_path / path)
        assert np.allclose(other.predict(X, raw=True), model.predict(X, raw=True), rtol=1e-12)
    with pytest.raises(pynn.FileFormatError, match="weights without their layers"):
        pynn.load(tmp_path / "m.weights.h5")


def change(path, target, edit):
    """Write a file again with another config."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                edit(config)
                data = json.dumps(config).encode()
            new.writestr(name, data)


@pytest.mark.parametrize(("cls", "config", "said"), [
    ("LSTM", {"units": 3}, "in layer 'layer_2' .LSTM."),
    ("Dense", {"units": 8, "activation": "my_function"}, "my_function"),
    ("Dense", {"units": 8, "use_bias": False}, "expected 1 tensors"),
    ("ReLU", {"max_value": 5.0}, "max_value"),
])  # fmt: skip
def test_what_pynn_does_not_compute_is_named(tmp_path, cls, config, said):
    sample().export_keras(tmp_path / "m.keras")

    def edit(whole):
        layer = whole["config"]["layers"][2]
        layer["class_name"], layer["config"] = cls, config | {"name": "layer_2"}

    change(tmp_path / "m.keras", tmp_path / "x.keras", edit)
    with pytest.raises(pynn.UnsupportedError, match=said):
        pynn.load(tmp_path / "x.keras")


def test_training_that_differs_is_left_out_and_said(tmp_path):
    sample().export_keras(tmp_path / "m.keras")
    change(tmp_path / "m.keras", tmp_path / "x.keras",
           lambda c: c["compile_config"]["optimizer"]["config"].update(use_ema=True))  # fmt: skip
    with pytest.warns(pynn.TrainingWarning, match="not compiled .*use_ema"):
        model = pynn.load(tmp_path / "x.keras")
    assert model.loss is None
    change(tmp_path / "m.keras", tmp_path / "y.keras", lambda c: c["compile_config"].update(metrics=["odd", "acc"]))
    with pytest.warns(pynn.TrainingWarning, match="the metrics odd are left out"):
        assert [metric.name for metric in pynn.load(tmp_path / "y.keras").metrics] == ["accuracy"]


def test_other_formats_are_refused_with_the_line_that_converts(tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"] = "{}"
    for call in (pynn.load, pynn.Sequential([pynn.Dense(1)]).build(1).load_weights):
        with pytest.raises(pynn.FileFormatError, match=r"weights|save\('model\.keras'\)"):
            call(tmp_path / "old.h5")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    with pytest.raises(pynn.FileFormatError, match="SavedModel"):
        pynn.load(tmp_path / "saved")


def test_links_and_sizes_of_a_file_are_not_believed(tmp_path):
    model = pynn.Sequential([pynn.Dense(2)]).build(3)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["layers/dense/vars/0"] = h5py.ExternalLink("other.h5", "x")
    with pytest.raises(pynn.FileFormatError, match="is a link"):
        model.load_weights(tmp_path / "link.h5")
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (1 << 20, 1 << 10), "f4", chunks=True)
    with pytest.raises(pynn.FileFormatError, match="larger than the file"):
        model.load_weights(tmp_path / "large.h5")


def test_what_keras_has_not_is_refused(tmp_path):
    for layer in (pynn.Dense(2, activation="gelu_tanh"), pynn.Categorical([0], 2, [3])):
        model = pynn.Sequential([layer, pynn.Dense(2)]).build(2)
        with pytest.raises(pynn.UnsupportedError, match="layer 0"):
            model.export_keras(tmp_path / "m.keras")


def test_without_h5py_the_extra_is_named(tmp_path):
    sample().export_keras(tmp_path / "m.keras")
    code = f"""
import sys
sys.modules["h5py"] = None
import pynn
try:
    pynn.load({str(tmp_path / "m.keras")!r})
except pynn.MissingDependencyError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pynn-dense[keras]" in said


# ---- with Keras


def of_keras(keras):
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential([
        layers.Input((2, 3)), layers.Flatten(), layers.Rescaling(0.5, offset=-1.0), layers.Normalization(),
        layers.Dense(8, activation="tanh", name="mine"), layers.Dense(8), layers.LeakyReLU(0.1), layers.Dropout(0.0),
        layers.Dense(8, use_bias=False), layers.BatchNormalization(), layers.ReLU(6.0),
        layers.LayerNormalization(), layers.Activation("silu"), *[layers.Dense(8, "selu") for _ in range(9)],
        layers.Dense(3),
    ])  # fmt: skip
    model.layers[2].adapt(X.reshape(-1, 6) * 0.5 - 1.0)
    return model


ACTIVATIONS = [
    "linear", "relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "sigmoid",
    "hard_sigmoid", "log_sigmoid", "tanh", "exponential", "softmax", "leaky_relu",
]  # fmt: skip


def test_a_model_of_keras_predicts_alike(keras, tmp_path):
    model = of_keras(keras)
    model.save(tmp_path / "m.keras")
    found = pynn.load(tmp_path / "m.keras")
    expected = output(model, X.reshape(-1, 2, 3))
    assert np.allclose(found.predict(X), expected, rtol=1e-7, atol=1e-7)  # means and variances are kept in float32
    found.export_keras(tmp_path / "back.keras")
    back = keras.models.load_model(tmp_path / "back.keras")
    assert np.allclose(output(back), found.predict(X), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(keras, name, tmp_path):
    model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(5, name), keras.layers.Dense(3)])
    model.save(tmp_path / "m.keras")
    found = pynn.load(tmp_path / "m.keras")
    expected = output(model, X * 3)
    assert np.allclose(found.predict(X * 3), expected, rtol=1e-12, atol=1e-12)
    found.export_keras(tmp_path / "back.keras")
    back = keras.models.load_model(tmp_path / "back.keras")
    assert np.allclose(output(back, X * 3), expected, rtol=1e-12, atol=1e-12)


def test_functional_models_with_sums(keras, tmp_path):
    layers = keras.layers
    x = inputs = keras.Input((6,))
    for _ in range(3):
        inner = layers.Dense(6, "tanh")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(6)(inner)])
    model = keras.Model(inputs, layers.Dense(3)(x))
    model.save(tmp_path / "m.keras")
    found = pynn.load(tmp_path / "m.keras")
    assert np.allclose(found.predict(X), output(model), rtol=1e-12, atol=1e-12)
    found.export_keras(tmp_path / "back.keras")
    back = keras.models.load_model(tmp_path / "back.keras")
    assert np.allclose(output(back), found.predict(X), rtol=1e-12, atol=1e-12)
    branch = keras.Model(inputs, layers.Concatenate()([layers.Dense(2)(inputs), layers.Dense(2)(inputs)]))
    branch.save(tmp_path / "x.keras")
    with pytest.raises(pynn.UnsupportedError, match="received"):
        pynn.load(tmp_path / "x.keras")


def test_the_sample_predicts_alike_in_keras(keras, tmp_path):
    model = sample(dtype="float64")
    model.export_keras(tmp_path / "m.keras")
    found = keras.models.load_model(tmp_path / "m.keras")
    assert np.allclose(output(found), model.predict(X, raw=True), rtol=1e-6, atol=1e-6)


def optimizers(keras):
    k = keras.optimizers
    return {
        "sgd": k.SGD(0.05), "momentum": k.SGD(0.02, momentum=0.9), "nesterov": k.SGD(0.02, momentum=0.9, nesterov=True),
        "adam": k.Adam(0.01, epsilon=1e-3), "adamw": k.AdamW(0.01, weight_decay=0.1),
        "rmsprop": k.RMSprop(0.01, rho=0.95, epsilon=1e-3), "rmsprop momentum": k.RMSprop(0.01, momentum=0.5),
        "adagrad": k.Adagrad(0.05, epsilon=1e-3), "clipped": k.Adam(0.01, global_clipnorm=0.1),
        "amsgrad": k.Adam(0.01, amsgrad=True), "lion": k.Lion(0.001),
        "decay": k.Adam(0.01, weight_decay=0.1),
        "schedule": k.Adam(k.schedules.ExponentialDecay(0.01, 5, 0.9)),
    }  # fmt: skip


NAMES = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "rmsprop momentum", "adagrad",
         "amsgrad", "lion", "clipped", "decay",
         "schedule"]  # fmt: skip


def numbers(model):
    return np.concatenate([keras_array(w).ravel() for w in model.trainable_variables])


def keras_array(variable):
    return variable.value.detach().numpy()


def trainable(model):
    places = sorted(model._network.parts(model.parameters).items(), key=lambda item: item[0][0])
    return np.concatenate([view.ravel() for _, view in places])


@pytest.mark.parametrize("name", NAMES)
def test_twenty_steps_go_on_as_in_keras(keras, name, tmp_path):
    keras.utils.set_random_seed(5)
    loss = "mse" if NAMES.index(name) % 2 else "sparse_categorical_crossentropy"
    layers, y = keras.layers, Y if loss == "mse" else LABELS
    last = None if loss == "mse" else "softmax"
    model = keras.Sequential([layers.Input((6,)), layers.Dense(8, "relu"), layers.BatchNormalization(),
                              layers.Dense(3, last)])  # fmt: skip
    model.compile(optimizers(keras)[name], loss)
    for _ in range(5):
        model.train_on_batch(X, y)
    model.save(tmp_path / "m.keras")
    found = pynn.load(tmp_path / "m.keras")
    assert np.array_equal(trainable(found), numbers(model))
    found.export_keras(tmp_path / "back.keras")
    back = keras.models.load_model(tmp_path / "back.keras")
    for _ in range(20):
        model.train_on_batch(X, y)
        found.train_step(X, y)
    assert np.abs(trainable(found) - numbers(model)).max() < 1e-9
    if name != "schedule":
        for _ in range(20):
            back.train_on_batch(X, y)
        assert np.abs(numbers(back) - numbers(model)).max() < 1e-9


def test_weights_that_keras_saved(keras, tmp_path):
    model = of_keras(keras)
    model.save_weights(tmp_path / "m.weights.h5")
    model.save(tmp_path / "m.keras")
    loaded = pynn.load(tmp_path / "m.keras")
    other = pynn.Sequential([layer.spec for layer in loaded.layers[1:]], dtype="float64").build(6)
    other.load_weights(tmp_path / "m.weights.h5")  # all but the Rescaling, which has none
    assert np.allclose(other.predict(X * 0.5 - 1), loaded.predict(X), rtol=1e-12)


def test_subclassed_models_give_weights_and_no_model(keras, tmp_path):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = keras.layers.Dense(4, "relu"), keras.layers.Dense(3)

        def call(self, x):
            return self.out(self.hidden(x))

    net = Net()
    expected = output(net)
    net.save(tmp_path / "m.keras")
    with pytest.raises(pynn.UnsupportedError, match="is a program"):
        pynn.load(tmp_path / "m.keras")
    net.save_weights(tmp_path / "m.weights.h5")
    model = pynn.Sequential([pynn.Dense(4, activation="relu"), pynn.Dense(3)], dtype="float64").build(6)
    model.load_weights(tmp_path / "m.weights.h5")
    assert np.allclose(model.predict(X), expected, rtol=1e-12)
