"""Weights of single outputs: class weights of several yes/no outputs, and targets that are not known."""

import numpy as np
import pytest

import pynn
from pynn import metrics

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 4))
YES = (X[:, :3] > [0.8, 0, 1.2]).astype(int)
TENFOLD = np.where(YES == 1, 10.0, 1.0)
NUMBERS = X @ rng.normal(size=(4, 3))
KNOWN = rng.random(NUMBERS.shape) > 0.3
GAPS = np.where(KNOWN, NUMBERS, np.nan)


def compiled(loss="sigmoid_cross_entropy", optimizer=None, dtype="float64", units=3, **options):
    model = pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.Dense(units)], seed=0, dtype=dtype)
    model.compile(loss, optimizer or pynn.Adam(0.01), **options)
    return model


def fitted(y=YES, loss="sigmoid_cross_entropy", epochs=3, compiling=None, **options):
    model = compiled(loss, **(compiling or {}))
    return model, model.fit(X, y, epochs=epochs, verbose=0, **options)


def cross_entropy(p, y):
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))


@pytest.mark.parametrize("given", [{0: 1, 1: 10}, {1: 10}, [{1: 10}] * 3])
def test_a_weight_by_class_weighs_each_answer(given):
    by_class, history = fitted(class_weight=given, validation_data=(X, YES))
    (told,) = history.report.findings
    assert (told.code, told.severity, told.evidence["n_outputs"]) == ("class_imbalance", "info", 3)
    by_cell, other = fitted(sample_weight=TENFOLD)
    assert np.array_equal(by_class.predict(X), by_cell.predict(X))
    assert history["loss"] == other["loss"]
    expected = (cross_entropy(by_class.predict(X), YES) * TENFOLD).mean()
    assert history["val_loss"][-1] == pytest.approx(expected, rel=1e-12)
    assert by_class.evaluate(X, YES, class_weight=given)["loss"] == pytest.approx(expected, rel=1e-12)


def test_every_answer_of_every_output_weighs_the_same_when_balanced():
    table = pynn.DataLoader(X, YES, class_weight="balanced", batch_size=len(X), shuffle=False)
    ((_, y, weights),) = table
    for column in range(3):
        yes, no = (weights[y[:, column] == answer, column].sum() for answer in (1, 0))
        assert yes == pytest.approx(no)
        assert yes + no == pytest.approx(len(X))


def test_a_list_weighs_each_output_by_a_table_of_its_own():
    _, history = fitted(class_weight=[{1: 2}, {0: 5}, {1: 1}])
    weights = np.stack([np.where(YES[:, 0], 2, 1), np.where(YES[:, 1], 1, 5), np.ones(len(X))], axis=1)
    assert history["loss"] == fitted(sample_weight=weights)[1]["loss"]


def test_one_step_moves_by_the_gradient_of_the_weighted_mean():
    model = pynn.Sequential([pynn.Dense(3)], seed=0, dtype="float64")
    model.compile("mse", pynn.SGD(0.5))
    model.build(4)
    before = model.layers[0].kernel.copy()
    weights = rng.random(NUMBERS.shape)
    model.train_step(X, NUMBERS, sample_weight=weights)
    error = X @ before + 0.0 - NUMBERS
    gradient = X.T @ (2 * weights * error) / NUMBERS.size
    assert np.allclose(model.layers[0].kernel, before - 0.5 * gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "log_cosh", "quantile", "poisson", "hinge", "squared_hinge",
                                  "sigmoid_cross_entropy", "focal"])  # fmt: skip
def test_equal_weights_of_the_outputs_are_the_weight_of_the_row(loss):
    y = {"poisson": np.abs(NUMBERS), "hinge": 2 * YES - 1, "squared_hinge": 2 * YES - 1,
         "sigmoid_cross_entropy": YES, "focal": YES}.get(loss, NUMBERS)  # fmt: skip
    rows = rng.random(len(X))
    by_row = compiled(loss).build(4).evaluate(X, y, sample_weight=rows)["loss"]
    by_output = compiled(loss).build(4).evaluate(X, y, sample_weight=np.tile(rows[:, None], 3))["loss"]
    assert by_output == pytest.approx(by_row, rel=1e-12)


@pytest.mark.parametrize("scaling", [None, "standard", "minmax"])
def test_targets_that_are_not_known_count_for_nothing(scaling):
    options = {"compiling": {"target_scaling": scaling, "metrics": ["r2", "mae", "rmse"], "optimizer": pynn.Adam(0.02)}}
    model, history = fitted(GAPS, "mse", 150, sample_weight=KNOWN, validation_split=0.2, **options)
    held = slice(240, None)
    predicted = model.predict(X)
    error = (predicted - NUMBERS)[held][KNOWN[held]]
    assert history["val_mae"][-1] == pytest.approx(np.abs(error).mean(), rel=1e-9)
    assert history["val_rmse"][-1] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-9)
    by_output = []
    for column in range(3):
        known = KNOWN[held][:, column]
        y, p = NUMBERS[held][known, column], predicted[held][known, column]
        by_output.append(1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    assert history["val_r2"][-1] == pytest.approx(np.mean(by_output), rel=1e-9)
    assert model.evaluate(X, NUMBERS)["r2"] > 0.95, "learns what it was not told too"
    assert not history.report.findings


def test_what_unknown_targets_hold_does_not_matter():
    models = [fitted(np.where(KNOWN, NUMBERS, fill), "mse", sample_weight=KNOWN)[0] for fill in (np.nan, np.inf, 1e30)]
    assert all(np.array_equal(models[0].predict(X), model.predict(X)) for model in models[1:])


class Batches:
    def __iter__(self):
        return ((X[i : i + 32], YES[i : i + 32], TENFOLD[i : i + 32]) for i in range(0, len(X), 32))


def test_loaders_batches_and_arrays_train_to_the_same_bits():
    expected = fitted(sample_weight=TENFOLD, shuffle=False)[0].predict(X)
    loader = pynn.DataLoader(X, YES, sample_weight=TENFOLD, batch_size=32, shuffle=False)
    by_class = pynn.DataLoader(X, YES, class_weight={1: 10}, batch_size=32, shuffle=False)
    for source in (loader, by_class, Batches()):
        model = compiled()
        model.fit(source, epochs=3, verbose=0)
        assert np.array_equal(model.predict(X), expected)


def test_accuracy_weighs_each_output_and_others_the_row():
    accuracy, right = metrics.Accuracy(), np.array([[1.0, 0, 1], [0, 1, 1]])
    accuracy.take_loss(compiled().loss)
    weights = np.array([[1.0, 2, 0], [3, 0, 1]])
    found = compiled(metrics=["accuracy", "f1"]).build(4).evaluate(X, YES, sample_weight=TENFOLD)
    p = compiled().build(4).predict(X)
    assert found["accuracy"] == pytest.approx((((p > 0.5) == YES) * TENFOLD).sum() / TENFOLD.sum())
    by_row = compiled(metrics=["f1"]).build(4).evaluate(X, YES, sample_weight=TENFOLD.mean(axis=1))
    assert found["f1"] == pytest.approx(by_row["f1"])
    targets, predictions, cells = accuracy.by_output(right, right, weights)
    assert (targets.shape, predictions.shape, cells.shape) == ((6, 1), (6, 1), (6,))


@pytest.mark.parametrize(("loss", "y", "weights", "error", "message"), [
    ("sigmoid_cross_entropy", YES, np.ones((300, 2)), pynn.ShapeError, r"\(300,\) or \(300, 3\); received.*\(300, 2\)"),
    ("softmax_cross_entropy", np.eye(3)[YES[:, 0]], np.ones((300, 3)), pynn.UnsupportedError, "no mean over outputs"),
    ("sigmoid_cross_entropy", YES, -TENFOLD, pynn.ArgumentValueError, r"sample_weight >= 0; received sample_weight\["),
    ("mse", GAPS, np.ones((300, 3)), pynn.NonfiniteDataError, "y of finite numbers"),
])  # fmt: skip
def test_bad_weights_say_what_was_expected(loss, y, weights, error, message):
    with pytest.raises(error, match=message):
        fitted(y, loss, sample_weight=weights)


def test_bad_tables_say_what_was_expected():
    with pytest.raises(pynn.ArgumentValueError, match="a list of 2 for y with 3"):
        fitted(class_weight=[{1: 2}, {1: 3}])
    with pytest.raises(pynn.ArgumentValueError, match=r"classes in 0 \.\.\. 1; received the class 2"):
        fitted(class_weight={1: 20, 2: 3})
    with pytest.raises(pynn.UnsupportedError, match="weights of rows to mix"):
        fitted(sample_weight=TENFOLD, mixup=0.2)
    with pytest.raises(pynn.ArgumentValueError, match="one weight for each row with guard='repair'"):
        fitted(sample_weight=TENFOLD, guard="repair")
    with pytest.raises(pynn.ShapeError, match="sample_weight of shape"):
        pynn.diagnose(compiled(), X, YES, sample_weight=TENFOLD, epochs=1)


def test_an_infinite_weight_is_named_with_its_place():
    weights = TENFOLD.copy()
    weights[5, 1] = np.inf
    with pytest.raises(pynn.NonfiniteDataError, match=r"sample_weight\[5, 1\]=inf"):
        fitted(sample_weight=weights)


def test_a_checkpoint_resumes_to_the_same_bits(tmp_path):
    whole = fitted(class_weight="balanced", epochs=4)[0].predict(X)
    path = tmp_path / "run.ckpt"
    compiled().fit(X, YES, epochs=2, verbose=0, class_weight="balanced", checkpoint=path)
    resumed = compiled()
    resumed.fit(X, YES, epochs=4, verbose=0, class_weight="balanced", checkpoint=path, resume=True)
    assert np.array_equal(resumed.predict(X), whole)
