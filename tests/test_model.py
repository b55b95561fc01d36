"""Sequential: building, parameters as views, predicting, saving, copying."""

import copy
import pickle

import numpy as np
import pytest

import pynn
from pynn import activations, losses

X = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
Y = np.arange(40) % 3


def make(dtype="float32", **compiled):
    layers = [pynn.Dense(7, activation="relu"), pynn.Dropout(0.2), pynn.Dense(3, use_bias=False)]
    model = pynn.Sequential(layers, seed=11, dtype=dtype)
    model.compile(**{"loss": "softmax_cross_entropy", "optimizer": pynn.Adam(0.01), "metrics": ["accuracy"]} | compiled)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64, np.dtype("f4")])
def test_predictions_are_the_maths(dtype):
    model = make(dtype).build(5)
    hidden = np.maximum(X @ model.layers[0].kernel + model.layers[0].bias, 0)
    logits = hidden @ model.layers[2].kernel
    tolerance = 1e-5 if model.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(model.predict(X, raw=True), logits, rtol=tolerance, atol=tolerance)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(model.predict(X), powers / powers.sum(1, keepdims=True), rtol=tolerance, atol=tolerance)
    assert model.predict(X).dtype == model.dtype


def test_a_rows_prediction_does_not_depend_on_the_others():
    model = make().build(5)
    whole = model.predict(X)
    assert all(np.array_equal(model.predict(X[i : i + 1])[0], whole[i]) for i in range(len(X)))
    assert np.array_equal(model.predict(X[::-1]), whole[::-1])


def test_many_rows_and_none():
    model = make().build(5)
    assert model.predict(np.empty((0, 5))).shape == (0, 3)
    many = np.tile(X, (5000, 1))
    assert np.array_equal(model.predict(many)[-40:], model.predict(X))


def test_parameters_are_views():
    model = make().build(5)
    assert model.parameters.shape == (5 * 7 + 7 + 7 * 3,)
    assert model.layers[0].kernel.shape == (5, 7)
    assert model.layers[0].bias.shape == (7,)
    assert model.layers[2].bias is None
    model.parameters[:] = np.arange(model.parameters.size)
    assert model.layers[0].kernel[1, 0] == 7
    model.layers[0].kernel[1, 0] = -5
    assert model.parameters[7] == -5
    model.layers[2].kernel = np.ones((7, 3))
    assert model.parameters[-1] == 1
    assert np.shares_memory(model.parameters, model.layers[0].bias)


def test_writing_parameters_changes_predictions_and_training():
    model = make().build(5)
    model.parameters[:] = 0
    np.testing.assert_allclose(model.predict(X), 1 / 3, rtol=1e-6)
    assert model.evaluate(X, Y)["loss"] == pytest.approx(np.log(3), rel=1e-6)


def test_layers_show_their_arguments():
    model = make()
    assert model.layers[0].units == 7
    assert model.layers[0].activation == activations.ReLU()
    assert model.layers[1].rate == 0.2
    with pytest.raises(AttributeError):
        model.layers[1].units


def test_building_again_starts_again():
    model = make().build(5)
    first = model.parameters.copy()
    model.fit(X, Y)
    assert not np.array_equal(first, model.parameters)
    model.build(5)
    assert np.array_equal(first, model.parameters)
    assert model.build(9).inputs == 9


def test_seeds_decide_the_start():
    starts = {pynn.Sequential([pynn.Dense(4)], seed=s).build(3).parameters.tobytes() for s in (0, 1, 2**64 - 1)}
    assert len(starts) == 3


def test_fused_link_and_written_activation_agree():
    fused = pynn.Sequential([pynn.Dense(3)], seed=1, dtype="float64").build(5)
    written = pynn.Sequential([pynn.Dense(3, activation="softmax")], seed=1, dtype="float64").build(5)
    for model in (fused, written):
        model.compile("softmax_cross_entropy")
        model.fit(X, Y, epochs=2)
    assert np.array_equal(fused.predict(X), written.predict(X))


@pytest.mark.parametrize("loss", losses.table.rows)
def test_evaluate_is_the_mean_of_row_losses(loss):
    model = pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.Dense(4)], seed=4, dtype="float64").build(5)
    model.compile(loss)
    y = np.random.default_rng(1).uniform(0, 1, (40, 2 if losses.get(loss).row["pairs"] else 4))
    rows = [model.evaluate(X[i : i + 1], y[i : i + 1])["loss"] for i in range(40)]
    assert model.evaluate(X, y) == {"loss": pytest.approx(np.mean(rows), rel=1e-12)}


def test_evaluate_takes_what_fit_takes():
    model = make().build(5)
    expected = model.evaluate(X, Y)
    assert model.evaluate(pynn.DataLoader(X, Y, batch_size=7)) == expected
    assert model.evaluate(X.tolist(), Y.tolist())["accuracy"] == expected["accuracy"]


def test_summary(capsys):
    model = make()
    model.summary()
    assert "not built" in capsys.readouterr().out
    model.build(5).summary()
    out = capsys.readouterr().out
    assert "63 parameters" in out
    assert "relu" in out
    assert "0 Dense" in out


# ---- keeping


def test_saved_and_loaded(tmp_path):
    model = make()
    model.fit(X, Y, epochs=2)
    model.save(tmp_path / "model.safetensors")
    loaded = pynn.load(tmp_path / "model.safetensors")
    assert loaded.to_dict() == model.to_dict()
    assert np.array_equal(loaded.parameters, model.parameters)
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert loaded.evaluate(X, Y) == model.evaluate(X, Y)
    loaded.fit(X, Y)


@pytest.mark.parametrize("loss", [losses.get(name) for name in losses.table.rows] + [losses.Huber(2.5)], ids=str)
def test_every_activation_and_loss_is_kept(tmp_path, loss):
    layers = [pynn.Dense(2, activation=activations.get(name)) for name in activations.table.rows]
    layers += [
        pynn.Dropout(0.25),
        pynn.Dense(4, activation=activations.LeakyReLU(0.3), kernel_initializer="orthogonal"),
    ]
    model = pynn.Sequential(layers, seed=2**64 - 1, dtype="float64")
    metrics = [] if loss.row["pairs"] else ["mae", "r2"]
    model.compile(loss, pynn.SGD(0.1, momentum=0.5, nesterov=True, global_clipnorm=2.0), metrics)
    model.build(5).save(tmp_path / "m")
    loaded = pynn.load(str(tmp_path / "m"))
    assert loaded.to_dict() == model.to_dict()
    assert np.array_equal(loaded.predict(X), model.predict(X))


def test_other_tools_read_the_file(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = make().build(5)
    model.save(tmp_path / "m.safetensors")
    tensors = safetensors.load_file(tmp_path / "m.safetensors")
    shapes = sorted(t.shape for t in tensors.values())
    assert shapes == [(5, 7), (7,), (7, 3)] or shapes == [(1, 7), (5, 7), (7, 3)]
    assert any(np.array_equal(t, model.layers[0].kernel) for t in tensors.values())


def test_a_model_without_a_loss_is_kept(tmp_path):
    model = pynn.Sequential([pynn.Dense(2)]).build(3)
    model.save(tmp_path / "m")
    loaded = pynn.load(tmp_path / "m")
    assert loaded.loss is None
    assert np.array_equal(loaded.predict(np.ones((1, 3))), model.predict(np.ones((1, 3))))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_a_copy_goes_on_as_the_model_would(copied):
    model = make()
    model.fit(X, Y, epochs=2)
    other = copied(model)
    assert np.array_equal(other.parameters, model.parameters)
    assert not np.shares_memory(other.parameters, model.parameters)
    model.fit(X, Y, epochs=2)
    assert not np.array_equal(other.parameters, model.parameters)
    other.fit(X, Y, epochs=2)
    assert np.array_equal(other.parameters, model.parameters)
    assert copied(make()).to_dict() == make().to_dict()


def test_a_model_round_trips_through_a_dict():
    model = make()
    again = pynn.Sequential.from_dict(model.to_dict())
    assert again.to_dict() == model.to_dict()
    assert np.array_equal(again.build(5).parameters, model.build(5).parameters)


def test_compiling_again_keeps_the_parameters():
    model = make()
    model.fit(X, Y)
    kept = model.parameters.copy()
    model.compile("mse", "sgd", metrics="mae")
    assert np.array_equal(kept, model.parameters)
    assert list(model.evaluate(X, np.eye(3)[Y])) == ["loss", "mae"]
