"""Layers beside dense ones: gradients, exactness, state, normalization of data, categories, scaled targets."""

import json
import math
import pickle
import warnings

import numpy as np
import pytest
from test_gradients import INPUTS, OUTPUTS, ROWS, assert_agree, compiled, gradients

import pynn
from pynn import _core, layers, runtime

KINDS = {
    "dense": [pynn.Dense(4, activation="tanh")],
    "dropout": [pynn.Dense(4), pynn.Dropout(0.0)],
    "activation": [pynn.Dense(4), pynn.Activation("gelu")],
    "normalization": [pynn.Dense(4), pynn.Normalization(clip=1.5)],
    "batch_normalization": [pynn.Dense(4), pynn.BatchNormalization(epsilon=0.1)],
    "layer_normalization": [pynn.Dense(4), pynn.LayerNormalization(epsilon=0.1)],
    "gaussian_noise": [pynn.Dense(4), pynn.GaussianNoise(0.0)],
    "add": [pynn.Dense(INPUTS, activation="tanh"), pynn.Residual([pynn.Dense(INPUTS, activation="tanh")])],
    "categorical": [pynn.Categorical([1, 3], 3, sizes=[4, 2])],
    "simple_rnn": [pynn.SimpleRNN(3)],
    "lstm": [pynn.Bidirectional(pynn.LSTM(2))],
    "gru": [pynn.GRU(3)],
    "masking": [pynn.Masking(0.5), pynn.GRU(3, reset_after=False)],
    "flatten": [pynn.LSTM(3, return_sequences=True), pynn.Flatten()],
    "global_average_pooling_1d": [pynn.Dense(4), pynn.GlobalAveragePooling1D()],
    "global_max_pooling_1d": [pynn.Dense(4), pynn.GlobalMaxPooling1D()],
}


def data(kind, rng, rows=ROWS):
    if any(layer.takes_sequences for layer in KINDS[kind]):
        x = rng.normal(size=(rows, 4, INPUTS))
        x[::2, 3] = 0.5
        return x
    x = rng.normal(size=(rows, INPUTS))
    if kind == "categorical":
        x[:, 1], x[:, 3] = rng.integers(-1, 5, rows), rng.integers(0, 2, rows)
        x[0, 3] = np.nan
    return x


def trained_gradients(model, x, y):
    """As `gradients`, with the loss of training instead of prediction: batch statistics, not moving ones."""
    model.train_step(x, y)
    analytic = np.array(model._learner.trainer.gradient)
    numeric, p = np.empty_like(analytic), model.parameters
    for i in range(p.size):
        kept, h, ends = p[i], 1e-5 * max(1, abs(p[i])), []
        for p[i] in (kept + h, kept - h, kept + h / 2, kept - h / 2):
            ends.append(model.train_step(x, y).loss)
        p[i] = kept
        numeric[i] = (4 * (ends[2] - ends[3]) / h - (ends[0] - ends[1]) / (2 * h)) / 3
    return analytic, numeric


def ready(model, x):
    if any(isinstance(layer.spec, pynn.Normalization) for layer in model.layers):
        model.adapt(x)
    return model


def test_every_kind_is_tested():
    assert set(KINDS) == {row["name"] for row in _core.table("layer")}
    assert {cls.kind for cls in layers.Layer.__subclasses__()} == set(KINDS) | {"residual", "bidirectional"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_every_kind(kind):
    rng = np.random.default_rng(1)
    x, y = data(kind, rng), rng.normal(size=(ROWS, OUTPUTS))
    specs = [*KINDS[kind], pynn.Dense(OUTPUTS)]
    if x.ndim == 3:
        model = pynn.Sequential(specs, seed=0, dtype="float64").build(x.shape[1:])
        model.compile(loss="mse", optimizer=pynn.SGD(learning_rate=1e-300))
    else:
        model = ready(compiled(specs, "mse"), x)
    assert_agree(*trained_gradients(model, x, y))


@pytest.mark.parametrize("first", ["normalization", "activation", "batch_normalization", "layer_normalization", "add"])
def test_the_gradient_of_a_kind_that_is_first(first):
    rng = np.random.default_rng(2)
    specs = {
        "normalization": pynn.Normalization(), "activation": pynn.Activation("tanh"),
        "batch_normalization": pynn.BatchNormalization(), "layer_normalization": pynn.LayerNormalization(),
        "add": pynn.Residual([pynn.Dense(INPUTS, activation="tanh")]),
    }  # fmt: skip
    x, y = rng.normal(size=(ROWS, INPUTS)), rng.normal(size=(ROWS, OUTPUTS))
    model = ready(compiled([specs[first], pynn.Dense(OUTPUTS)], "mse"), x)
    assert_agree(*trained_gradients(model, x, y))


BLOCKS = {
    "dense first, dense below": [pynn.Dense(6, activation="gelu"), pynn.Residual([pynn.Dense(6, "tanh")])],
    "norm first": [pynn.Dense(6, activation="gelu"), pynn.Residual([pynn.LayerNormalization(), pynn.Dense(6, "tanh")])],
    "activation first": [pynn.Dense(6), pynn.Residual([pynn.Activation("tanh"), pynn.Dense(6)])],
    "softmax below": [pynn.Dense(6, activation="softmax"), pynn.Residual([pynn.Dense(3, "tanh"), pynn.Dense(6)])],
    "nested, both begin at one layer": [
        pynn.Dense(6, activation="tanh"),
        pynn.Residual([pynn.Residual([pynn.Dense(6, "tanh"), pynn.Dense(6)]), pynn.Dense(6, "tanh")]),
    ],
    "nested, both end at one place": [
        pynn.Dense(6, activation="tanh"),
        pynn.Residual([pynn.Dense(6, "tanh"), pynn.Residual([pynn.BatchNormalization(), pynn.Dense(6)])]),
    ],
    "one after another": [
        pynn.Dense(6, activation="tanh"),
        pynn.Residual([pynn.Dense(6, "gelu")]), pynn.Residual([pynn.Activation("softplus")]),
    ],
    "last": [pynn.Dense(OUTPUTS, activation="tanh"), pynn.Residual([pynn.Dense(OUTPUTS, "tanh")])],
    "dropout below": [pynn.Dense(6, "tanh"), pynn.Dropout(0.0), pynn.Residual([pynn.Dense(6, "tanh")])],
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_the_gradient_of_residual_blocks(name):
    rng = np.random.default_rng(3)
    last = [] if name == "last" else [pynn.Dense(OUTPUTS)]
    model = compiled([*BLOCKS[name], *last], "mse")
    assert_agree(*trained_gradients(model, rng.normal(size=(ROWS, INPUTS)), rng.normal(size=(ROWS, OUTPUTS))))


def test_a_block_is_what_its_formula_says():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(9, 4))
    f = [pynn.Dense(7, activation="tanh"), pynn.Dense(4)]
    model = pynn.Sequential([pynn.Residual([pynn.Dropout(0.5), *f]), pynn.Dropout(0.5)], dtype="float64").build(4)
    plain = pynn.Sequential(f, dtype="float64").build(4)
    plain.parameters[:] = model.parameters
    np.testing.assert_array_equal(model.predict(x), plain.predict(x) + x)
    assert layers.nest(layer.spec for layer in model.layers)[0] == pynn.Residual([pynn.Dropout(0.5), *f])


def test_widths_of_a_block_agree():
    with pytest.raises(pynn.ShapeError, match=r"dense layer of 6 units") as caught:
        pynn.Sequential([pynn.Dense(6), pynn.Residual([pynn.Dense(5)])]).build(3)
    assert caught.value.layer == 2


def test_a_fused_activation_as_a_layer():
    """A standalone link in front of its loss is taken into it, as one of a dense layer is."""
    x = np.full((2, 1), 1000.0)
    model = pynn.Sequential([pynn.Dense(2, kernel_initializer="ones"), pynn.Activation("softmax")]).build(1)
    model.compile("softmax_cross_entropy")
    model.layers[0].kernel = [[1.0, -1.0]]
    assert model.evaluate(x, [1, 1])["loss"] == 2000
    np.testing.assert_array_equal(model.predict(x), [[1, 0], [1, 0]])


# ---- against PyTorch


def torch_twin(torch, model):
    modules = {
        pynn.Dense: lambda s, w: torch.nn.Linear(w, s.units), pynn.Activation: lambda s, w: torch.nn.GELU(),
        pynn.BatchNormalization: lambda s, w: torch.nn.BatchNorm1d(w, s.epsilon, 1 - s.momentum),
        pynn.LayerNormalization: lambda s, w: torch.nn.LayerNorm(w, s.epsilon),
    }  # fmt: skip
    width, found = model.inputs, []
    for layer in model.layers:
        module = modules[type(layer.spec)](layer.spec, width).double()
        width = getattr(layer.spec, "units", width)
        with torch.no_grad():
            if isinstance(layer.spec, pynn.Dense):
                module.weight[:], module.bias[:] = torch.tensor(layer.kernel.T), torch.tensor(layer.bias)
            elif not isinstance(layer.spec, pynn.Activation):
                module.weight[:], module.bias[:] = torch.tensor(layer.gamma), torch.tensor(layer.beta)
        found.append(module)
    return torch.nn.Sequential(*found)


@pytest.mark.parametrize("norm", [pynn.BatchNormalization(momentum=0.9), pynn.LayerNormalization()])
def test_training_as_in_torch(norm):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(60, 5)) * 3 + 1, rng.normal(size=(60, 2))
    specs = [pynn.Dense(16), norm, pynn.Activation("gelu"), pynn.Dense(8), norm, pynn.Dense(2)]
    model = pynn.Sequential(specs, dtype="float64", seed=3).build(5)
    model.compile("mse", optimizer=pynn.SGD(0.05, momentum=0.9))
    twin = torch_twin(torch, model)
    optimizer = torch.optim.SGD(twin.parameters(), 0.05, 0.9)
    for step in range(30):
        rows = slice(step % 3 * 20, step % 3 * 20 + 20)
        model.train_step(x[rows], y[rows])
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(twin(torch.tensor(x[rows])), torch.tensor(y[rows])).backward()
        optimizer.step()
    twin.eval()
    if isinstance(norm, pynn.BatchNormalization):  # torch's moving variance is of n - 1, Keras's of n rows
        for module, layer in zip(twin, model.layers, strict=True):
            if isinstance(layer.spec, pynn.BatchNormalization):
                np.testing.assert_allclose(layer.moving_mean, module.running_mean, rtol=1e-9, atol=1e-9)
                started = 0.9**30
                np.testing.assert_allclose(
                    (layer.moving_variance - started) * 20 / 19 + started, module.running_var, rtol=1e-9
                )
                module.running_var[:] = torch.tensor(layer.moving_variance)
    with torch.no_grad():
        np.testing.assert_allclose(model.predict(x), twin(torch.tensor(x)), rtol=1e-9, atol=1e-9)


# ---- exactness

ALL = [
    pynn.Normalization(columns=[0, 1, 2]), pynn.Categorical([3, 4], 5, sizes=[6, 3]), pynn.Dense(70, activation="relu"),
    pynn.BatchNormalization(), pynn.Activation("softmax"), pynn.GaussianNoise(0.1),
    pynn.Residual([pynn.LayerNormalization(), pynn.Dropout(0.2), pynn.Dense(70, activation="gelu")]), pynn.Dense(3),
]  # fmt: skip


def mixed(rng, rows):
    return np.column_stack([rng.normal(size=(rows, 3)), rng.integers(-1, 7, rows), rng.integers(0, 3, rows)])


def fitted(dtype, rows=300):
    rng = np.random.default_rng(6)
    x = mixed(rng, rows)
    x[5, 3] = np.nan
    model = pynn.Sequential(ALL, dtype=dtype, seed=1)
    model.compile("softmax_cross_entropy", optimizer="adam")
    model.fit(x, rng.integers(0, 3, rows), epochs=2, batch_size=130, verbose=0)
    return model, x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_on_any_number_of_threads(dtype):
    before, bits = pynn.get_num_threads(), set()
    try:
        for threads in (1, 2, 3, 4, 8):
            pynn.set_num_threads(threads)
            model, x = fitted(dtype)
            bits.add((model.parameters.tobytes(), np.asarray(model.core.state).tobytes(), model.predict(x).tobytes()))
    finally:
        pynn.set_num_threads(before)
    assert len(bits) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_is_predicted_alike_alone_and_in_company(dtype):
    model, x = fitted(dtype)
    whole = model.predict(x)
    for i in [*range(0, 300, 7), 5]:
        np.testing.assert_array_equal(model.predict(x[i : i + 1]), whole[i : i + 1])
    np.testing.assert_array_equal(model.predict(np.asfortranarray(x)), whole)
    wide = np.zeros((300, 9))
    wide[:, 2:7] = x
    np.testing.assert_array_equal(model.predict(wide[:, 2:7]), whole)


@pytest.mark.parametrize("scaling", [None, "minmax"])
def test_models_are_kept_whole(tmp_path, scaling):
    rng = np.random.default_rng(7)
    x, y = mixed(rng, 200), rng.normal(size=200) * 50 + 1000
    model = pynn.Sequential([*ALL[:-1], pynn.Dense(1)], seed=2)
    model.compile("mse", metrics=["mae"], target_scaling=scaling)
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "m.safetensors")
    loaded = pynn.load(tmp_path / "m.safetensors")
    for other in (loaded, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(x), model.predict(x))
        assert other.evaluate(x, y) == model.evaluate(x, y)
        assert other.to_dict() == model.to_dict()
    again = pynn.Sequential.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again.to_dict() == model.to_dict()
    safetensors = pytest.importorskip("safetensors.numpy")
    found = safetensors.load_file(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(found["layers.0.shift"], model.layers[0].shift)
    assert found["layers.3.moving_variance"].dtype == np.float64


def test_a_changed_byte_of_the_state_is_seen(tmp_path):
    model, _ = fitted("float32")
    path = tmp_path / "m.safetensors"
    model.save(path)
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for at in (start, start + 100, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(pynn.FileFormatError):
            pynn.load(path)


# ---- state


def state_of(model):
    return np.array(model.core.state)


def test_a_refused_step_leaves_the_state():
    model = pynn.Sequential([pynn.Dense(4), pynn.BatchNormalization(), pynn.Dense(1)], seed=0)
    model.compile("mse", optimizer=pynn.SGD(0.01))
    x, y = np.random.default_rng(8).normal(size=(20, 3)), np.zeros((20, 1))
    assert model.train_step(x, y).applied
    before, parameters = state_of(model), model.parameters.copy()
    bad = x.copy()
    bad[7, 1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        step = model.train_step(bad, y)
    assert not step.applied
    assert step.findings[0].rows == [7]
    assert step.findings[0].columns == [1]
    np.testing.assert_array_equal(state_of(model), before)
    np.testing.assert_array_equal(model.parameters, parameters)
    assert model.train_step(x, y).applied
    assert not np.array_equal(state_of(model), before)


def test_a_rollback_restores_the_state():
    model = pynn.Sequential([pynn.Dense(4), pynn.BatchNormalization(momentum=0.5), pynn.Dense(1)], seed=0).build(3)
    model.compile("mse", optimizer=pynn.SGD(1e-3))
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    guard = pynn.Guard(policy="rollback", snapshot_every=4)
    kept = []
    for _ in range(6):
        kept.append((state_of(model), model.parameters.copy()))
        assert model.train_step(x, y, guard=guard).applied
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        model.layers[0].kernel[1, 2] = np.inf
        step = model.train_step(x, y, guard=guard)
    assert not step.applied
    restored = model._learner.trainer.steps
    assert restored < 6
    np.testing.assert_array_equal(state_of(model), kept[restored][0])
    np.testing.assert_array_equal(model.parameters, kept[restored][1])


def test_moving_moments_follow_keras():
    x = np.random.default_rng(10).normal(size=(50, 3)) * 2 + 5
    model = pynn.Sequential([pynn.BatchNormalization(momentum=0.9), pynn.Dense(1)], dtype="float64").build(3)
    model.compile("mse", optimizer=pynn.SGD(1e-9))
    model.train_step(x, np.zeros(50))
    layer = model.layers[0]
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * x.var(0), rtol=1e-14)


def test_a_batch_of_one_row():
    model = pynn.Sequential([pynn.BatchNormalization(), pynn.Dense(1)], dtype="float64").build(2)
    model.compile("mse", optimizer=pynn.SGD(0.1))
    out = np.empty((1, 1))
    model._learner.trainer.train(np.array([[3.0, 4.0]]), np.array([[1.0]]), None, None, 0, 1, 1, 0, out)
    assert out[0, 0] == 0  # beta and the bias
    np.testing.assert_array_equal(model.layers[0].moving_variance, [1, 1])
    np.testing.assert_allclose(model.layers[0].moving_mean, [0.03, 0.04])
    assert np.isfinite(model.parameters).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_and_huge_columns_in_batch_and_layer_normalization(dtype):
    huge = 1e30 if dtype == "float32" else 1e300
    x = np.random.default_rng(11).normal(size=(40, 4)).astype(dtype)
    x[:, 0], x[:, 1] = 0.1, x[:, 1] * huge
    model = pynn.Sequential([pynn.LayerNormalization(), pynn.Dense(2)], dtype=dtype).build(4)
    assert np.isfinite(model.predict(x)).all()
    if dtype == "float32":
        model = pynn.Sequential([pynn.BatchNormalization(), pynn.Dense(2)], dtype=dtype).build(4)
        model.compile("mse", optimizer=pynn.SGD(1e-3))
        for _ in range(3):
            assert model.train_step(x, np.zeros((40, 2))).applied
        assert model.layers[0].moving_variance[0] == pytest.approx(0.99**3, rel=1e-12)  # of a constant: exactly 0


def test_values_beyond_batch_normalization_are_blamed_on_it():
    model = pynn.Sequential([pynn.BatchNormalization(), pynn.Dense(1)], dtype="float64").build(2)
    model.compile("mse")
    x = np.array([[1e200, 1.0], [-1e200, 2.0], [0.0, 3.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        step = model.train_step(x, np.zeros(3))
    assert not step.applied
    assert step.findings[0].evidence["operation"] == "forward"
    assert step.findings[0].layer == 0
    assert step.findings[0].columns == [0]


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path):
    class Stop(pynn.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 1:
                raise KeyError

    rng = np.random.default_rng(25)
    x = mixed(rng, 200) * [50, 1, 1e-3, 1, 1]
    y = x[:, 0] * 3 + 1000
    ends = []
    for stops in (False, True):
        settings = {"epochs": 4, "guard": "rollback", "checkpoint": tmp_path / f"{stops}.ckpt", "verbose": 0}
        if stops:
            with pytest.raises(KeyError):
                regression().fit(x, y, callbacks=[Stop()], **settings)
        model = regression()
        model.fit(x, y, resume=True, **settings)
        ends.append(model.parameters.tobytes() + np.asarray(model.core.state).tobytes())
    assert ends[0] == ends[1]


def regression():
    model = pynn.Sequential([*ALL[:-1], pynn.Dense(1)], seed=2)
    model.compile("mse", target_scaling="standard")
    return model


# ---- noise


def test_noise_is_normal_reproducible_and_absent_in_prediction():
    x, layer = np.zeros((400, 50)), [pynn.GaussianNoise(0.5), pynn.Dense(50, kernel_initializer="orthogonal")]
    seen = []
    for dtype in ("float64", "float64", "float32"):
        model = pynn.Sequential(layer, dtype=dtype, seed=4).build(50)
        model.compile("mse", optimizer=pynn.SGD(1e-12))
        model.layers[1].kernel = np.eye(50)
        out = np.empty((400, 50), dtype)
        model._learner.trainer_for(400).train(x, x, None, None, 0, 400, 400, 0, out)
        seen.append(out)
        assert np.abs(model.predict(x)).max() < 1e-10
    noise = seen[0].ravel()
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0].astype(np.float32), seen[2])
    assert abs(noise.mean()) < 4 * 0.5 / len(noise) ** 0.5
    assert noise.std() == pytest.approx(0.5, rel=0.02)
    assert abs(np.mean(noise**4) / 0.5**4 - 3) < 0.2
    assert len(np.unique(noise)) == len(noise)


# ---- normalization of data


def normalized(x, layer, dtype="float64"):
    """What the layer makes of x: through an identity."""
    n = x.shape[1]
    model = pynn.Sequential([layer, pynn.Dense(n, use_bias=False)], dtype=dtype).build(n)
    model.adapt(x)
    model.layers[1].kernel = np.eye(n)
    return model, model.predict(x)


@pytest.mark.parametrize("mode", layers.Normalization.MODES)
@pytest.mark.parametrize("rows", [1, 2, 3, 1000])
def test_modes_are_what_they_say(mode, rows):
    x = np.random.default_rng(12).normal(size=(rows, 5)) * [1, 1e-6, 1e6, 1, 1] + [0, 0, 1e9, -1e3, 0]
    x[:, 4] = 0.1
    shift, spread = {
        "standard": (x.mean(0), x.std(0)), "minmax": (x.min(0), np.ptp(x, 0)),
        "robust": (np.median(x, 0), np.subtract(*np.quantile(x, [0.75, 0.25], axis=0))),
    }[mode]  # fmt: skip
    _, found = normalized(x, pynn.Normalization(mode))
    spread[4] = 0
    expected = np.divide(x - shift, spread, out=np.zeros_like(x), where=spread > 0)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert not found[:, 4].any()


def test_what_float32_cannot_hold_is_normalized_exactly():
    x = np.array([[1e9, 1e300, 2.0**60], [1e9 + 1, -1e300, 2.0**60 + 4096], [1e9 + 2, 0, 2.0**60 + 8192]])
    for dtype in ("float32", "float64"):
        _, found = normalized(x, pynn.Normalization(), dtype)
        third = np.sqrt(1.5)
        np.testing.assert_allclose(found, [[-third, third, -third], [0, -third, 0], [third, 0, third]], rtol=1e-6)


def test_parts_give_what_the_whole_gives():
    rng = np.random.default_rng(13)
    x = np.concatenate([rng.normal(size=(5000, 3)) + 1e8, rng.normal(size=(37, 3)) * 1e3])
    model, _ = normalized(x, pynn.Normalization())
    np.testing.assert_allclose(model.layers[0].shift, [math.fsum(column) / len(x) for column in x.T], rtol=1e-15)
    np.testing.assert_allclose(1 / model.layers[0].scale, x.std(0), rtol=1e-9)
    for cut in (1, 7, 300):
        other = pynn.Sequential([pynn.Normalization(), pynn.Dense(1)]).build(3)
        other.adapt(_Parts(x, cut))
        np.testing.assert_allclose(other.layers[0].shift, model.layers[0].shift, rtol=1e-15)
        np.testing.assert_allclose(other.layers[0].scale, model.layers[0].scale, rtol=1e-9)


class _Parts:
    def __init__(self, x, n):
        self.x, self.n = x, n

    def __iter__(self):
        return iter(np.array_split(self.x, self.n))


def test_memory_maps_and_loaders_adapt(tmp_path):
    x = np.random.default_rng(14).normal(size=(3000, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    found = []
    for data_ in (x, np.load(tmp_path / "x.npy", mmap_mode="r"), pynn.DataLoader(x, batch_size=7, shuffle=True)):
        model = pynn.Sequential([pynn.Normalization("robust"), pynn.Dense(1)]).build(4)
        model.adapt(data_)
        found.append(model.layers[0].shift.copy())
    np.testing.assert_array_equal(found[0], np.median(x.astype(float), 0))
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_allclose(found[2], found[0], atol=0.05)


@pytest.mark.parametrize("order", ["sorted", "reversed", "random", "blocks"])
def test_quartiles_of_a_stream_stay_within_their_bound(order):
    n, held = 200_000, 2048
    x = np.random.default_rng(15).exponential(size=n)
    x = {"sorted": np.sort(x), "reversed": -np.sort(-x), "random": x, "blocks": np.sort(x.reshape(100, -1), 1).ravel()}[
        order
    ]
    summary = _core.Summary(runtime.context(), 1, held)
    for part in np.array_split(x, 333):
        summary.add(part)
    ranks = np.searchsorted(np.sort(x), summary.column(0)["quartiles"]) / n
    assert np.abs(ranks - [0.25, 0.5, 0.75]).max() <= np.log2(n / held) / held
    exact = _core.Summary(runtime.context(), 1, n)
    exact.add(x)
    np.testing.assert_allclose(exact.column(0)["quartiles"], np.quantile(x, [0.25, 0.5, 0.75]), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_quartiles_of_numbers_of_any_size_are_exact(dtype):
    n = 4 * 777 + 1  # quartiles are numbers of the column
    rng = np.random.default_rng(16)
    x = rng.integers(-9, 9, n) if dtype == "int64" else 10 ** rng.uniform(-30, 30, n) * rng.choice([-1, 0, 1], n)
    x = x.astype(dtype)
    summary = _core.Summary(runtime.context(), 1, n)
    for part in np.array_split(x, 5):
        summary.add(part)
    expected = np.sort(x)[[777, 2 * 777, 3 * 777]].tolist()
    assert list(summary.column(0)["quartiles"]) == list(summary.column(0)["quartiles"]) == expected


def test_a_column_that_never_changes_has_no_variance():
    for value in (0.1, 1e9 + 0.1, -3e-300, 1e300, 1 / 3):
        summary = _core.Summary(runtime.context(), 1)
        for n in (1, 3, 999, 4000):
            summary.add(np.full(n, value))
        column = summary.column(0)
        assert column["std"] == 0
        assert column["mean"] == value


def test_spreads_at_the_ends_of_the_range():
    for scale in (1e-290, 1e-150, 1e150, 1e300):
        x = np.random.default_rng(16).normal(size=5000) * scale
        summary = _core.Summary(runtime.context(), 1)
        for part in np.array_split(x, 3):
            summary.add(part)
        assert summary.column(0)["std"] == pytest.approx(np.std(x / scale) * scale, rel=1e-12)


@pytest.mark.parametrize("missing", ["mean", "median"])
def test_missing_cells_are_filled_in_training_and_prediction(missing):
    x = np.random.default_rng(17).exponential(size=(101, 3))
    x[[3, 50], 1] = np.nan
    x[:, 2] = np.nan
    model, found = normalized(x, pynn.Normalization(missing=missing))
    filled = np.where(np.isnan(x), [*getattr(np, f"nan{missing}")(x[:, :2], 0).tolist(), 0.0], x)
    np.testing.assert_allclose(
        found[:, 1], (filled[:, 1] - np.nanmean(x[:, 1])) / np.nanstd(x[:, 1]), rtol=1e-12, atol=1e-12
    )
    assert not found[:, 2].any()
    model.compile("mse")
    model.fit(x, np.zeros((101, 3)), epochs=1, verbose=0)
    assert np.isfinite(model.predict(x)).all()


def test_missing_cells_are_refused_with_their_place():
    x = np.zeros((9, 3))
    x[4, 2] = np.nan
    model = pynn.Sequential([pynn.Normalization(), pynn.Dense(1)]).build(3)
    with pytest.raises(pynn.NumericalError) as caught:
        model.adapt(x)
    assert (caught.value.row, caught.value.column) == (4, 2)
    model.compile("mse")
    with pytest.raises(pynn.NumericalError) as caught:
        model.fit(x, np.zeros(9), verbose=0)
    assert (caught.value.row, caught.value.column) == (4, 2)
    model.adapt(np.arange(27.0).reshape(9, 3))
    with pytest.raises(pynn.NumericalError) as caught:
        model.predict(x)
    assert (caught.value.row, caught.value.column) == (4, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        step = model.train_step(x, np.zeros(9))
    assert not step.applied
    assert (step.findings[0].rows, step.findings[0].columns) == ([4], [2])


def test_infinite_cells_are_refused_or_clipped():
    x = np.random.default_rng(18).normal(size=(20, 2))
    x[3, 1], x[5, 1] = np.inf, -np.inf
    with pytest.raises(pynn.NumericalError, match=r"row 3, column 1"):
        normalized(x, pynn.Normalization(missing="mean"))
    _, found = normalized(x, pynn.Normalization(clip=3.0))
    assert found[3, 1] == 3
    assert found[5, 1] == -3
    assert np.abs(found).max() <= 3


def test_a_fault_beside_filled_cells_is_still_found():
    x = np.random.default_rng(19).normal(size=(20, 3))
    x[2, 0] = np.nan
    model = pynn.Sequential([pynn.Normalization(missing="mean"), pynn.Dense(4), pynn.Dense(1)], seed=0).build(3)
    model.adapt(x)
    model.compile("mse")
    model.layers[1].kernel[1, 2] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        step = model.train_step(x, np.zeros(20))
    assert not step.applied
    assert step.findings[0].evidence["operation"] == "parameter"
    assert step.findings[0].layer == 1


def test_nothing_is_predicted_by_a_normalization_that_saw_no_data():
    model = pynn.Sequential([pynn.Normalization(), pynn.Dense(1)]).build(2)
    model.compile("mse")
    for act in (lambda: model.predict(np.zeros((1, 2))), lambda: model.train_step(np.zeros((1, 2)), [0.0]),
                lambda: model.evaluate(np.zeros((1, 2)), [0.0])):  # fmt: skip
        with pytest.raises(pynn.NotReadyError, match="adapt"):
            act()
    with pytest.raises(pynn.ArgumentTypeError, match="Normalization"):
        model.layers[1].adapt(np.zeros((1, 2)))


def test_fit_adapts_once_and_each_layer_to_what_it_sees():
    rng = np.random.default_rng(20)
    x, y = rng.normal(size=(300, 4)) * 100, rng.normal(size=300)
    model = pynn.Sequential([pynn.Normalization(), pynn.Dense(6), pynn.Normalization("minmax"), pynn.Dense(1)], seed=0)
    model.compile("mse", optimizer=pynn.SGD(1e-9))
    model.fit(x, y, verbose=0)
    shift = model.layers[0].shift.copy()
    np.testing.assert_allclose(shift, x.mean(0))
    hidden = model.layers[1].kernel, model.layers[1].bias
    z = ((x - x.mean(0)) / x.std(0)) @ hidden[0] + hidden[1]
    np.testing.assert_allclose(model.layers[2].shift, z.min(0), rtol=1e-4)
    model.fit(x + 1000, y, verbose=0)
    np.testing.assert_array_equal(model.layers[0].shift, shift)


def test_fit_adapts_to_streams_and_not_to_what_runs_out():
    rng = np.random.default_rng(21)
    x, y = rng.normal(size=(64, 3)) + 5, rng.normal(size=64)
    model = pynn.Sequential([pynn.Normalization(), pynn.Dense(1)], seed=0)
    model.compile("mse", target_scaling="standard")
    batches = [(x[i : i + 16], y[i : i + 16]) for i in range(0, 64, 16)]
    with pytest.raises(pynn.ArgumentTypeError, match="adapt"):
        model.fit(iter(batches), verbose=0)

    class Stream:
        def __iter__(self):
            return iter(batches)

    model.fit(Stream(), epochs=2, verbose=0)
    np.testing.assert_allclose(model.layers[0].shift, x.mean(0))


# ---- categories


def test_one_hot_columns_and_the_unknown():
    x = np.array([[1.0, 10, 0], [0, 20, 2], [2, 30, 1], [7, 40, -1], [1.5, 50, np.nan]])
    model = pynn.Sequential([pynn.Categorical([2, 0], sizes=[3, 3]), pynn.Dense(9, use_bias=False)], dtype="float64")
    model.build(3)
    model.layers[1].kernel = np.eye(9)
    expected = np.zeros((5, 9))
    expected[:, 0] = x[:, 1]
    for row, (first, third) in enumerate([(2, 1), (1, 3), (3, 2), (0, 0), (0, 0)]):
        expected[row, 1 + first] = expected[row, 5 + third] = 1
    np.testing.assert_array_equal(model.predict(x), expected)
    assert model.outputs == 9


def test_embeddings_are_rows_of_a_table():
    x = np.array([[0.5, 1], [0.25, 0], [0, 9]])
    model = pynn.Sequential(
        [pynn.Categorical([1], 2, sizes=[2]), pynn.Dense(3, use_bias=False)], dtype="float64"
    ).build(2)
    model.layers[1].kernel = np.eye(3)
    table = model.layers[0].embeddings
    assert table.shape == (3, 2)
    np.testing.assert_array_equal(model.predict(x), np.column_stack([x[:, 0], table[[2, 1, 0]]]))


def test_sizes_are_learned_and_codes_checked(tmp_path):
    rng = np.random.default_rng(22)
    x = np.column_stack([rng.integers(0, 5, 100), rng.normal(size=100)])
    x[0, 0], x[1, 0] = np.nan, 4
    model = pynn.Sequential([pynn.Categorical([0]), pynn.Dense(2)])
    with pytest.raises(pynn.NotReadyError, match="sizes"):
        model.build(2)
    model.compile("softmax_cross_entropy")
    model.fit(x, (x[:, 0] > 2).astype(int), verbose=0)
    assert model.layers[0].sizes == (5,)
    model.save(tmp_path / "m.safetensors")
    assert pynn.load(tmp_path / "m.safetensors").layers[0].spec == model.layers[0].spec
    with pytest.raises(pynn.ArgumentValueError, match=r"X\[2, 0\]=1.5"):
        pynn.Sequential([pynn.Categorical([0]), pynn.Dense(2)]).adapt([[0, 1], [1, 1], [1.5, 0]])


def test_names_of_codes_are_kept_with_the_model(tmp_path):
    layer = pynn.Categorical([1], vocabularies=[["red", "gr\u00fcn"]])
    assert layer.sizes == (2,)
    model = pynn.Sequential([layer, pynn.Dense(1)]).build(2)
    model.compile("mse")
    model.save(tmp_path / "m.safetensors")
    assert pynn.load(tmp_path / "m.safetensors").layers[0].vocabularies == (("red", "gr\u00fcn"),)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: pynn.Categorical([]), "columns"), (lambda: pynn.Categorical([1, 1]), "distinct"),
        (lambda: pynn.Categorical([0], 0), "dimension"), (lambda: pynn.Categorical([0], sizes=[0]), "sizes"),
        (lambda: pynn.Categorical([0, 1], sizes=[3]), "sizes"), (lambda: pynn.Normalization("z"), "mode"),
        (lambda: pynn.Normalization(missing="drop"), "missing"), (lambda: pynn.Normalization(clip=0), "clip"),
        (lambda: pynn.BatchNormalization(epsilon=0), "epsilon"), (lambda: pynn.BatchNormalization(1.0), "momentum"),
        (lambda: pynn.Residual([]), "layers"), (lambda: pynn.Residual(["dense"]), "layers"),
        (lambda: pynn.GaussianNoise(-1), "stddev"), (lambda: pynn.Activation("rellu"), "activation"),
    ],
)  # fmt: skip
def test_arguments_are_checked(make, rule):
    with pytest.raises((ValueError, TypeError), match=rule):
        make()


# ---- scaled targets


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
def test_targets_are_scaled_and_predictions_are_not(scaling):
    rng = np.random.default_rng(23)
    x = rng.normal(size=(400, 3))
    y = np.column_stack([x @ [1, 2, 3] * 1e5 + 1e7, np.full(400, 42.0)])
    model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(2)], seed=0, dtype="float64")
    model.compile("mse", optimizer=pynn.Adam(0.02), metrics=["mae"], target_scaling=scaling)
    history = model.fit(x, y, epochs=40, verbose=0)
    shift, spread = (y.mean(0), y.std(0)) if scaling == "standard" else (y.min(0), np.ptp(y, 0))
    p = model.predict(x)
    assert np.abs(p[:, 0] - y[:, 0]).mean() < 0.2 * y[:, 0].std()
    assert (p[:, 1] == 42).all()
    raw = model.predict(x, raw=True)
    np.testing.assert_allclose(raw[:, 0] * spread[0] + shift[0], p[:, 0], rtol=1e-12)
    scores = model.evaluate(x, y)
    assert scores["mae"] == pytest.approx(np.abs(p - y).mean(), rel=1e-9)
    scaled = np.column_stack([(y[:, 0] - shift[0]) / spread[0], np.zeros(400)])
    assert scores["loss"] == pytest.approx(np.mean((raw - scaled) ** 2), rel=1e-9)
    assert history[-1]["loss"] < history[0]["loss"]


def test_scaling_is_for_numbers_and_needs_data():
    model = pynn.Sequential([pynn.Dense(1)], seed=0).build(2)
    with pytest.raises(pynn.ArgumentValueError, match="target_scaling"):
        model.compile("sigmoid_cross_entropy", target_scaling="standard")
    with pytest.raises(pynn.UnknownNameError, match="target_scaling"):
        model.compile("mse", target_scaling="robust")
    kernel = model.layers[0].kernel.copy()
    model.compile("mse", target_scaling="standard")
    np.testing.assert_array_equal(model.layers[0].kernel, kernel)
    with pytest.raises(pynn.NotReadyError):
        model.predict(np.zeros((1, 2)))
    model.fit(np.eye(2), [10.0, 30.0], verbose=0)
    assert np.abs(model.predict(np.eye(2)) - 20).max() < 40
    model.compile("mse")
    assert not model.core.target_scaling


def test_gradients_with_weights_and_dropped_rows_stay_exact():
    """The plain helper too: without batch statistics prediction and training are the same function."""
    rng = np.random.default_rng(24)
    model = compiled([pynn.Dense(4), pynn.LayerNormalization(), pynn.Activation("softmax"), pynn.Dense(OUTPUTS)], "mse")
    x, y, w = rng.normal(size=(ROWS, INPUTS)), rng.normal(size=(ROWS, OUTPUTS)), rng.uniform(0, 2, ROWS)
    assert_agree(*gradients(model, x, y, w))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_residual_block_may_begin_with_a_normalization(dtype):
    X = np.random.default_rng(0).normal(size=(50, 3))
    block = pynn.Residual([pynn.Normalization(), pynn.Dense(3)])
    model = pynn.Sequential([block, pynn.Dense(1)], seed=0, dtype=dtype).build(3)
    model.adapt(X)
    z = (X - X.mean(0)) / X.std(0) @ model.layers[1].kernel + X
    np.testing.assert_allclose(model.predict(X), z @ model.layers[3].kernel, rtol=1e-4, atol=1e-5)
