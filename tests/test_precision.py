"""Targets and inputs that float32 has no steps for: predicted, judged and exported in float64."""

import pickle

import numpy as np
import pytest

import pynn

X = np.random.default_rng(0).normal(size=(300, 4))
FAR = {"unix seconds": 1.7e9 + 30 * X[:, 0], "northing": 5.4e6 + 0.3 * X[:, 0], "decimal year": 2024.5 + 1e-4 * X[:, 0]}


def trained(y, scaling="standard", epochs=150, optimizer=None, **options):
    model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(1 if y.ndim == 1 else y.shape[1])], seed=0)
    model.compile("mse", optimizer or pynn.Adam(learning_rate=0.01), ["r2", "mae"], target_scaling=scaling)
    model.fit(X, y, epochs=epochs, **options)
    return model


def r2(found, y):
    y = y.reshape(len(y), -1)
    return (1 - ((found - y) ** 2).mean(0) / y.var(0)).min()


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
@pytest.mark.parametrize("name", FAR)
def test_targets_far_from_0_are_predicted_and_judged_in_float64(name, scaling, tmp_path):
    y = FAR[name]
    model = trained(y, scaling, validation_data=(X, y))
    model.save(tmp_path / "m.safetensors")
    for one in (model, pynn.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model))):
        found = one.predict(X)
        assert found.dtype == np.float64
        assert r2(found, y) > 0.99
        scores = one.evaluate(X, y)
        assert scores["r2"] == pytest.approx(r2(found, y), abs=1e-9)
        assert scores["mae"] == pytest.approx(np.abs(found[:, 0] - y).mean(), rel=1e-9)
    last = model.history[-1]
    assert last["val_r2"] == pytest.approx(scores["r2"])
    assert last["r2"] > 0.99
    assert model.predict(X, raw=True).dtype == np.float32


def test_one_far_target_of_several_is_enough():
    y = np.column_stack([FAR["unix seconds"], X[:, 1]])
    assert r2(trained(y).predict(X), y) > 0.98


def test_full_batches_are_judged_in_float64_too():
    model = trained(FAR["northing"], epochs=1, optimizer=pynn.LBFGS(max_iter=100))
    assert model.history[-1]["r2"] > 0.99


def test_targets_near_0_are_predicted_in_float32_as_before():
    model = trained(100 + X[:, 0], epochs=2)
    assert model.predict(X).dtype == np.float32
    assert np.isfinite(model.history[-1]["r2"])


def test_float64_models_stay_as_they_are():
    model = pynn.Sequential([pynn.Dense(1)], seed=0, dtype="float64")
    model.compile("mse", pynn.Adam(learning_rate=0.05), target_scaling="standard")
    model.fit(X, FAR["unix seconds"], epochs=100)
    assert r2(model.predict(X), FAR["unix seconds"]) > 0.99


def test_a_large_constant_target_is_predicted_as_it_was():
    y = np.full(300, 1_700_000_030.0)
    assert np.array_equal(trained(y, epochs=1).predict(X), y[:, None])


def test_a_resumed_run_is_judged_alike(tmp_path):
    y, path = FAR["unix seconds"], tmp_path / "run.ckpt"
    whole = trained(y, epochs=4)
    model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(1)], seed=0)
    model.compile("mse", pynn.Adam(learning_rate=0.01), ["r2", "mae"], target_scaling="standard")
    model.fit(X, y, epochs=2, checkpoint=path)
    again = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(1)], seed=0)
    again.compile("mse", pynn.Adam(learning_rate=0.01), ["r2", "mae"], target_scaling="standard")
    again.fit(X, y, epochs=4, checkpoint=path, resume=True)
    assert again.parameters.tobytes() == whole.parameters.tobytes()
    assert again.history[-1]["r2"] == whole.history[-1]["r2"]
