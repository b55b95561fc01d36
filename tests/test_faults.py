"""Faults that people meet in training, and what must happen: no NaN is invented, or the report names the cause."""

import importlib.util
import signal
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import pynn


def script(name):
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fitted(layers, X, y, loss, optimizer, seed=0, dtype="float32", **options):
    model = pynn.Sequential(layers, seed=seed, dtype=dtype)
    model.compile(loss, optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        model.fit(X, y, verbose=0, **options)
    return model


def report_of(*arguments, **options):
    with pytest.raises(pynn.NumericalError) as caught:
        fitted(*arguments, **options)
    assert caught.value.report.findings[0].severity == "fault"
    return caught.value.report


def codes(report):
    return [finding.code for finding in report.findings]


# ---- immune: what makes others write NaN does not reach a weight


@pytest.mark.parametrize("policy", ["raise", "off"])
def test_confident_and_wrong_never_takes_the_logarithm_of_zero(policy):
    """A sigmoid that rounds to exactly 0 or 1: log(p) and log(1 - p) would be -inf."""
    X = np.array([[1, 2], [2, 3], [3, 1], [4, 3], [5, 3], [6, 2]]) * 100.0
    y = np.array([0, 0, 0, 1, 1, 1])
    for last, loss in (("sigmoid", "binary_crossentropy"), ("linear", "sigmoid_cross_entropy")):
        guard = pynn.Guard(policy=policy, divergence=0)
        model = fitted([pynn.Dense(1, activation=last)], X, y, loss, pynn.SGD(1.0), epochs=200, guard=guard)
        assert np.isfinite(model.parameters).all()
        assert np.isfinite(model.evaluate(X, y)["loss"])


def test_a_softmax_that_underflows_keeps_its_loss_and_gradient():
    """Summed cross-entropy with an effective learning rate of 2: probabilities of exactly 0 for the true class."""
    rng = np.random.default_rng(0)
    X, y = 40 * rng.random(size=(205, 50)), rng.integers(0, 10, size=205)
    layers = [pynn.Dense(10, activation="softmax", kernel_initializer="zeros")]
    model = fitted(layers, X, y, "sparse_categorical_crossentropy", pynn.SGD(2.0), epochs=30, batch_size=205)
    logits = model.predict(X, raw=True)
    assert logits.max() - logits.min() > 104  # exp of less is 0 in float32
    assert np.isfinite(model.parameters).all()
    assert np.isfinite(model.evaluate(X, y)["loss"])


def test_logits_beyond_the_range_of_exp_do_no_harm():
    """Standard normal weights, three wide layers: logits of hundreds, exp of which is infinite."""
    rng = np.random.default_rng(0)
    X, y = rng.random(size=(128, 100)), rng.integers(0, 10, size=128)
    wide = [pynn.Dense(100, activation="relu", kernel_initializer=pynn.initializers.RandomNormal(stddev=1.0))] * 3
    model = pynn.Sequential([*wide, pynn.Dense(10, activation="softmax")])
    model.compile("categorical_crossentropy", pynn.Adam(0.003))
    model.build(100)
    assert np.abs(model.predict(X, raw=True)).max() > 200
    assert np.isfinite(model.predict(X)).all()
    model.fit(X, y, epochs=5, guard=pynn.Guard(divergence=0), verbose=0)
    assert np.isfinite(model.parameters).all()


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "amsgrad", "nadam", "rmsprop", "adagrad"])
def test_zero_gradients_over_a_small_epsilon_are_no_zero_over_zero(optimizer):
    """Units that never fire have gradient 0 and state 0; the smallest epsilon that float32 holds is still no NaN."""
    X, y = np.zeros((32, 4)), np.ones(32)
    options = {"initial_accumulator_value": 0.0} if optimizer == "adagrad" else {}
    chosen = pynn.optimizers.get({"name": optimizer, "learning_rate": 1e-3, "epsilon": 1e-45, **options})
    model = fitted([pynn.Dense(8, activation="relu"), pynn.Dense(1)], X, y, "mse", chosen, epochs=5)
    assert np.isfinite(model.parameters).all()


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "amsgrad", "nadam", "rmsprop", "adagrad"])
def test_an_epsilon_of_zero_is_refused_or_harmless(optimizer):
    X, y = np.zeros((32, 4)), np.ones(32)
    options = {"initial_accumulator_value": 0.0} if optimizer == "adagrad" else {}
    try:
        chosen = pynn.optimizers.get({"name": optimizer, "learning_rate": 1e-3, "epsilon": 0.0, **options})
    except pynn.ArgumentValueError:
        return
    model = fitted([pynn.Dense(8, activation="relu"), pynn.Dense(1)], X, y, "mse", chosen, epochs=5)
    assert np.isfinite(model.parameters).all()


def test_a_batch_whose_weights_are_all_zero_moves_nothing():
    X, y = np.random.default_rng(0).normal(size=(64, 5)), np.arange(64) % 2
    weights = np.where(np.arange(64) < 32, 0.0, 1.0)
    model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(2)])
    model.compile("softmax_cross_entropy", pynn.SGD(0.1))
    model.build(5)
    before = model.parameters.copy()
    step = model.train_step(X[:32], y[:32], weights[:32])
    assert step.applied
    assert step.loss == 0
    assert np.array_equal(before, model.parameters)
    history = model.fit(X, y, sample_weight=weights, epochs=3, shuffle=False, verbose=0)
    assert history.ledger == []


def test_gradients_whose_squares_leave_float32_are_clipped_to_the_norm():
    """A norm of 1e25: its square is infinite in float32, a clip factor made of it would be 0 or NaN."""
    X, y = np.ones((8, 3)), np.full(8, 1e25)
    model = pynn.Sequential([pynn.Dense(1, kernel_initializer="zeros")])
    model.compile("mse", pynn.SGD(1.0, global_clipnorm=1.0))
    step = model.train_step(X, y)
    assert step.applied
    assert step.grad_norm > 1e25
    assert np.linalg.norm(model.parameters) == pytest.approx(1.0, rel=1e-6)


def test_moments_that_decay_to_nothing_stay_finite_and_cost_no_time():
    """Gradients vanish, Adam's moments sink below 1e-38: they are zero then, not slow subnormal numbers."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(64, 256)).astype(np.float32)
    model = pynn.Sequential([pynn.Dense(256), pynn.Dense(1)])
    model.compile("mse", pynn.Adam(1e-3))
    model.train_step(X, np.zeros(64))
    slots = [np.asarray(slot) for slot in model._learner.trainer_for(64).slots]
    for slot in slots:
        slot[...] = 1e-39  # subnormal
    step = model.train_step(0 * X, np.zeros(64))
    assert step.applied
    assert all(np.all((slot == 0) | (np.abs(slot) > 1.1e-38)) for slot in slots)


# ---- data faults: the cell is named


def test_one_missing_cell_is_named_before_a_step():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1000, 20)), rng.integers(0, 2, size=1000)
    X[537, 3] = np.nan
    layers = [pynn.Dense(64, activation="relu"), pynn.Dense(2)]
    report = report_of(layers, X, y, "softmax_cross_entropy", pynn.Adam(0.001))
    (finding,) = report.findings
    assert (finding.code, finding.rows, finding.columns) == ("nonfinite_input", [537], [3])
    assert finding.evidence["data"] == "training"


def test_a_column_divided_by_a_deviation_of_zero():
    """Standardising a constant column makes 0/0 in every row: all rows are counted, the column is named."""
    X = np.random.default_rng(0).normal(size=(300, 4))
    X[:, 2] = 7
    with np.errstate(invalid="ignore"):
        X = (X - X.mean(axis=0)) / X.std(axis=0)
    report = report_of([pynn.Dense(1)], X, np.zeros(300), "mse", pynn.SGD(0.1))
    (finding,) = report.findings
    assert finding.columns == [2]
    assert finding.rows == list(range(20))
    assert finding.evidence["n_rows"] == 300
    assert "column 2" in str(report)


def test_missing_targets_are_named():
    X, y = np.zeros((50, 3)), np.zeros((50, 2))
    y[11, 1], y[40, 0] = np.nan, -np.inf
    report = report_of([pynn.Dense(2)], X, y, "mse", pynn.SGD(0.1))
    (finding,) = report.findings
    assert (finding.code, finding.rows, finding.columns) == ("nonfinite_target", [11, 40], [0, 1])


@pytest.mark.parametrize("sparse", [False, True])
def test_finite_numbers_beyond_float32_are_told_from_infinite_ones(sparse):
    X, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    X[41, 1] = -1e39
    data = pytest.importorskip("scipy.sparse").csr_matrix(X) if sparse else X
    model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    model.build(3)
    for call in (lambda: model.fit(data, y), lambda: model.evaluate(data, y), lambda: model.predict(data)):
        with pytest.raises(pynn.NumericalError, match=r"the float32 range .*3.4e38.*dtype='float64'") as caught:
            call()
        assert (caught.value.row, caught.value.column, caught.value.value) == (41, 1, -1e39)
        assert "-1e+39" in str(caught.value)
        assert caught.value.report.findings[0].rows == [41]
    with pytest.warns(pynn.TrainingWarning, match="float32"):
        step = model.train_step(data, y)
    assert (step.applied, step.findings[0].rows, step.findings[0].columns) == (False, [41], [1])
    with pytest.warns(pynn.TrainingWarning, match=r"-1e\+39.*float64"):
        history = model.fit(data, y, guard="skip")
    assert history.report.findings[0].rows == [41]
    wide = pynn.Sequential([pynn.Dense(2)], dtype="float64")
    wide.build(3)
    assert np.isfinite(wide.predict(data, raw=True)).all()


@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_targets_and_weights_beyond_float32_are_named(name):
    X, given = np.random.default_rng(0).normal(size=(40, 2)), {"y": np.zeros(40), "sample_weight": np.ones(40)}
    given[name][17] = 1e200
    model = pynn.Sequential([pynn.Dense(1)])
    model.compile("mse")
    with pytest.raises(pynn.NumericalError, match=f"{name} in the float32 range.*1e\\+200.*float64") as caught:
        model.fit(X, **given)
    assert caught.value.row == 17


def test_rows_of_a_validation_split_are_those_of_the_array():
    X, y = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 2
    bad = {"labels": (X, np.where(np.arange(100) == 90, 7, y)), "finite": (X.copy(), y), "dtype": (X.copy(), y)}
    bad["finite"][0][90, 1], bad["dtype"][0][90, 1] = np.nan, 1e300
    for options in ({}, {"on_bad_rows": "error"}, {"class_weight": {0: 1, 1: 2}}):  # read at once, or in blocks
        for Xb, yb in bad.values():
            model = pynn.Sequential([pynn.Dense(2)])
            model.compile("softmax_cross_entropy")
            with pytest.raises(pynn.PynnError, match=r"validation data.*\b90\b") as caught:
                model.fit(Xb, yb, validation_split=0.4, **options)
            assert caught.value.row == 90
            if caught.value.report:
                (finding,) = caught.value.report.findings
                assert (finding.rows, finding.evidence["data"]) == ([90], "validation")


@pytest.mark.parametrize("what", ["columns", "rows", "labels", "text"])
def test_errors_about_validation_data_say_so(what):
    X, y = np.zeros((50, 3)), np.arange(50) % 2
    held = {"columns": (X[:, :2], y), "rows": (X, y[1:]), "labels": (X, y + 5), "text": (X, y.astype(str))}[what]
    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    with pytest.raises(pynn.PynnError, match=r"^validation data: expected"):
        model.fit(X, y, validation_data=held)


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("policy", ["raise", "skip", "rollback"])
def test_validation_data_say_that_they_are(part, policy):
    rng = np.random.default_rng(0)
    data, held = ([rng.normal(size=(60, 3)), rng.normal(size=(60, 1))] for _ in range(2))
    held[part][7, 0] = np.inf
    report = report_of([pynn.Dense(1)], *data, "mse", pynn.SGD(0.1), validation_data=tuple(held), guard=policy)
    (finding,) = report.findings
    assert finding.evidence["data"] == "validation"
    assert finding.rows == [7]


def test_validation_that_overflows_says_that_it_is_validation():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=(60, 1))
    held = X.copy()
    held[13, 1] = 3e38
    report = report_of([pynn.Dense(300)], X, np.repeat(y, 300, axis=1), "mse", pynn.SGD(0.1),
                       validation_data=(10 * held, np.zeros((60, 300))))  # fmt: skip
    (finding,) = report.findings
    assert finding.evidence["data"] == "validation"
    assert finding.rows == [13]


@pytest.mark.parametrize(
    ("y", "row", "remedy"),
    [
        (np.r_[np.zeros(30), 3, np.zeros(9)], 30, "units=4"),
        (np.r_[np.arange(39) % 3 + 1, 1], 2, "y - 1"),
        (np.arange(40) % 5, 3, "units=5"),
        (np.r_[np.zeros(30), -1, np.zeros(9)].astype(int), 30, "Correct"),
        (np.array([0] * 39 + [2**63], dtype=np.uint64), 39, "Correct"),
        (np.r_[np.zeros(30), 1e300, np.zeros(9)], 30, "Correct"),
        (np.r_[np.zeros(30), 0.5, np.zeros(9)], 30, "Correct"),
    ],
)
def test_a_label_that_is_no_class(y, row, remedy):
    model = pynn.Sequential([pynn.Dense(3)])
    model.compile("softmax_cross_entropy")
    with pytest.raises(pynn.errors.LabelError, match=remedy) as caught:
        model.fit(np.zeros((40, 2)), y)
    (finding,) = caught.value.report.findings
    assert finding.code == "label_out_of_range"
    assert finding.rows[0] == row == caught.value.row


def test_targets_as_text_are_refused_with_what_to_do():
    """Where they are no classes, and where no `fit` has coded them."""
    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("mse")
    with pytest.raises(pynn.DtypeError, match="softmax_cross_entropy learns classes"):
        model.fit(np.zeros((4, 2)), ["cat", "dog", "cat", "dog"])
    assert not model.built
    model.compile("softmax_cross_entropy")
    with pytest.raises(pynn.DtypeError, match=r"np\.unique"):
        model.train_step(np.zeros((4, 2)), ["cat", "dog", "cat", "dog"])


@pytest.mark.parametrize(("value", "error"), [(np.nan, pynn.NumericalError), (-1.0, pynn.ArgumentValueError)])
def test_a_weight_that_is_none(value, error):
    rng = np.random.default_rng(0)
    X, y, weights = rng.normal(size=(60, 3)), rng.normal(size=(60, 1)), np.ones(60)
    weights[41] = value
    model = pynn.Sequential([pynn.Dense(1)])
    model.compile("mse")
    with pytest.raises(error, match="41"):
        model.fit(X, y, sample_weight=weights)
    with pytest.raises(error, match="41"):
        pynn.DataLoader(X, y, sample_weight=weights, batch_size=8, shuffle=True, seed=1)
    with pytest.raises(error, match="41"):
        model.train_step(X, y, weights)
    model.build(3)
    with pytest.raises(error, match="41"):
        model.evaluate(X, y, sample_weight=weights)


# ---- blame reaches the user's rows whatever lies between


@pytest.mark.parametrize("policy", ["raise", "skip", "rollback"])
def test_steps_name_rows_of_the_data_behind_a_shuffled_loader(policy):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(640, 5)), rng.normal(size=(640, 2))
    bad = rng.choice(640, size=30, replace=False)
    X[bad, 3] = np.nan
    model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(2)])
    model.compile("mse", pynn.SGD(0.01))
    named, batches = set(), 0
    for xb, yb in pynn.DataLoader(X, y, batch_size=32, shuffle=True, seed=5):
        before = model.parameters.copy() if model.built else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pynn.TrainingWarning)
            step = model.train_step(xb, yb, guard=pynn.Guard(policy=policy, streak=1000))
        inside = set(map(int, xb.rows)) & set(map(int, bad))
        assert step.applied == (not inside)
        if inside:
            batches += 1
            (finding,) = step.findings
            assert set(finding.rows) <= inside
            assert finding.columns == [3]
            if policy == "raise":
                assert set(finding.rows) == inside
                assert finding.evidence["n_rows"] == len(inside)
            if before is not None:
                assert before.tobytes() == model.parameters.tobytes()
            named |= set(finding.rows)
    assert batches > 5
    assert named == set(map(int, bad)) or policy != "raise"


def test_rows_are_given_up_to_twenty_and_counted():
    X, y = np.full((64, 2), 3e38), np.zeros((64, 1))
    model = pynn.Sequential([pynn.Dense(1, kernel_initializer="ones")])
    model.compile("mse", pynn.SGD(0.01))
    with pytest.warns(pynn.TrainingWarning):
        step = model.train_step(X, y)
    finding = step.findings[0]
    assert finding.evidence["operation"] == "gemm"
    assert not finding.evidence["fails_in_float64"]
    assert len(finding.rows) == 20
    assert finding.evidence["n_rows"] == 64


# ---- predictions


@pytest.fixture
def wide_model():
    model = pynn.Sequential([pynn.Dense(30, activation="relu"), pynn.Dropout(0.5), pynn.Dense(3)])
    model.compile("mse")
    model.build(5)
    model.layers[0].kernel[:] = 2
    return model


def test_a_prediction_that_overflows_is_named(wide_model):
    X = np.random.default_rng(0).normal(size=(70_000, 5))
    X[66_000, 2], X[3, 1] = 3e38, np.nan
    with pytest.raises(pynn.NumericalError) as caught:
        wide_model.predict(X)
    (finding,) = caught.value.report.findings
    assert (finding.code, finding.layer, finding.rows, finding.columns) == ("exploding_activation", 0, [66_000], [0])
    assert finding.evidence["operation"] == "gemm"
    assert "row 66000" in str(caught.value)
    out = wide_model.predict(X, guard="off")
    assert not np.isfinite(out[66_000]).all()
    assert np.isnan(out[3]).all()
    X[66_000, 2] = 0
    assert np.isnan(wide_model.predict(X)[3]).all()  # a row that is not finite itself may be anything


def test_an_evaluation_that_is_not_finite_is_named(wide_model):
    X, y = np.random.default_rng(0).normal(size=(500, 5)), np.zeros((500, 3))
    X[321, 2] = np.nan
    with pytest.raises(pynn.NumericalError) as caught:
        wide_model.evaluate(X, y)
    (finding,) = caught.value.report.findings
    assert (finding.code, finding.rows, finding.columns) == ("nonfinite_input", [321], [2])
    assert np.isnan(wide_model.evaluate(X, y, guard="off")["loss"])
    X[321, 2], y[77, 1] = 0, np.inf
    with pytest.raises(pynn.NumericalError) as caught:
        wide_model.evaluate(X, y)
    assert caught.value.report.findings[0].rows == [77]


def test_weights_that_are_not_finite_are_named_by_a_prediction(wide_model):
    wide_model.layers[2].kernel[4, 1] = np.inf
    with pytest.raises(pynn.NumericalError) as caught:
        wide_model.predict(np.zeros((2, 5)))
    (finding,) = caught.value.report.findings
    assert (finding.layer, finding.columns, finding.evidence["operation"]) == (2, [1], "parameter")


@pytest.mark.parametrize(
    ("name", "value"), [("moving_mean", np.nan), ("moving_variance", np.inf), ("moving_variance", -2.0)]
)
def test_moments_that_cannot_be_refuse_the_step_and_are_named(name, value):
    X, y = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 2
    model = pynn.Sequential([pynn.Dense(8), pynn.BatchNormalization(), pynn.Dense(2)])
    model.compile("softmax_cross_entropy", "adam")
    model.fit(X, y)
    getattr(model.layers[1], name)[5] = value
    before, state = model.parameters.copy(), np.array(model.core.state)
    for call in (lambda: model.fit(X, y), lambda: model.predict(X), lambda: model.evaluate(X, y)):
        with pytest.raises(pynn.NumericalError, match="moving mean or variance of layer 1") as caught:
            call()
        finding = caught.value.report.findings[0]
        assert (finding.layer, finding.columns, finding.rows) == (1, [5], [])
        np.testing.assert_array_equal(model.parameters, before)
        np.testing.assert_array_equal(model.core.state, state)


# ---- runs that explode, and the cause


def test_a_step_beyond_the_curvature_of_least_squares():
    rng = np.random.default_rng(0)
    x = rng.uniform(-8, 8, size=(8, 1))
    y = 3 * x + 2 + rng.uniform(-1, 1, size=(8, 1))
    report = report_of([pynn.Dense(1, kernel_initializer="zeros")], x, y, "mse", pynn.SGD(0.1), epochs=3000,
                       batch_size=8)  # fmt: skip
    assert codes(report)[:2] == ["diverging_loss", "learning_rate_too_high"]
    curvature = 2 * np.linalg.eigvalsh(np.c_[x, np.ones(8)].T @ np.c_[x, np.ones(8)] / 8)[-1]
    assert report.findings[1].evidence["limit"] == pytest.approx(2 / curvature, rel=1e-3)


def test_an_unscaled_feature_of_least_squares():
    t = np.arange(100.0)
    X, y = np.c_[t, np.ones(100)], 2 * t + 4
    report = report_of([pynn.Dense(1, use_bias=False, kernel_initializer="zeros")], X, y, "mse", pynn.SGD(0.5),
                       epochs=500, batch_size=100)  # fmt: skip
    assert "learning_rate_too_high" in codes(report)
    assert report.findings[0].code in ("diverging_loss", "exploding_activation", "nonfinite_gradient")


@pytest.mark.parametrize("scale", [1e4, 1e6])
def test_a_target_in_its_own_units(scale):
    """A price squared: the error is 1e11, and so is the first step."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 30))
    y = scale * (X[:, 0] + 0.5 * X[:, 1] + 3)
    layers = [pynn.Dense(64, activation="relu"), pynn.Dense(1)]
    report = report_of(layers, X, y, "mse", pynn.SGD(0.1), epochs=50)
    assert report.findings[1].code in ("unscaled_target", "learning_rate_too_high")
    assert "unscaled_target" in codes(report)


def test_a_product_of_two_weights_and_an_unscaled_target():
    x = np.linspace(-1.7, 1.7, 100)[:, None]
    y = np.arange(100.0)[:, None] ** 2 + 3
    report = report_of([pynn.Dense(1), pynn.Dense(1)], x, y, "mse", pynn.SGD(0.05), epochs=200, seed=1)
    assert "unscaled_target" in codes(report)


def test_linear_layers_with_standard_normal_weights_and_a_learning_rate_of_three():
    rng = np.random.default_rng(0)
    X, y = rng.random(size=(600, 200)), np.eye(10)[rng.integers(0, 10, size=600)]
    wide = pynn.initializers.RandomNormal(stddev=1.0)
    layers = [pynn.Dense(30, kernel_initializer=wide), pynn.Dense(10, kernel_initializer=wide)]
    report = report_of(layers, X, y, "mse", pynn.SGD(3.0), epochs=20)
    assert report.findings[0].code in ("diverging_loss", "nonfinite_gradient", "exploding_activation")
    assert "learning_rate_too_high" in codes(report)
    assert report.findings[0].step < 20


def test_weights_that_overflowed_are_not_left_for_validation_to_find():
    """The step is refused inside the loop: validation sees finite weights, and the error says what diverged."""
    rng = np.random.default_rng(0)
    X, y = 1000 * rng.normal(size=(1000, 10)), 1000 * rng.normal(size=1000)
    layers = [pynn.Dense(100, activation="relu"), pynn.Dense(1)]
    report = report_of(layers, X, y, "mse", pynn.SGD(0.1), epochs=20, validation_split=0.2)
    assert report.findings[0].evidence.get("data") != "validation"
    assert report.findings[1].severity == "warning"


def test_a_sigmoid_net_that_stands_still_is_explained():
    rng = np.random.default_rng(0)
    X, y = rng.random(size=(2000, 200)), np.eye(10)[rng.integers(0, 10, size=2000)]
    model = pynn.Sequential(
        [pynn.Dense(width, activation="sigmoid", kernel_initializer=pynn.initializers.RandomUniform(minval=0, maxval=1))
         for width in (300, 10)]
    )  # fmt: skip
    model.compile("mse", pynn.SGD(0.1))
    with pytest.warns(pynn.TrainingWarning):
        history = model.fit(X, y, epochs=2, verbose=0, guard=pynn.Guard(check_every=20))
    found = codes(history.report)
    assert found[0] == "saturated_activation"
    assert found[1] == "poor_init"
    assert "zero_gradient" in found


def test_statistics_speak_in_loops_and_streams_too():
    rng = np.random.default_rng(0)
    X, y = rng.random(size=(1600, 50)), rng.random(size=(1600, 1)) + 50

    def model():
        wide = pynn.initializers.RandomNormal(stddev=50.0)
        made = pynn.Sequential([pynn.Dense(30, activation="tanh", kernel_initializer=wide), pynn.Dense(1)])
        made.compile("mse", pynn.SGD(1e-9))
        return made

    looped, guard = model(), pynn.Guard(check_every=10)
    found = []
    for xb, yb in pynn.DataLoader(X, y, batch_size=20):
        found += [finding.code for finding in looped.train_step(xb, yb, guard=guard).findings]
    assert "saturated_activation" in found
    assert "poor_init" in found
    with pytest.warns(pynn.TrainingWarning):
        history = model().fit(iter([(X[i : i + 20], y[i : i + 20]) for i in range(0, 1600, 20)]), guard=guard)
    assert codes(history.report)[:2] == ["saturated_activation", "poor_init"]


# ---- the learning rate's bound, the ranking of causes, healthy runs


@pytest.mark.parametrize(
    ("activation", "loss", "seed"),
    [("tanh", "mse", 0), ("sigmoid", "softmax_cross_entropy", 1), ("softplus", "huber", 2), ("tanh", "bce", 3)],
)
def test_the_curvature_is_that_of_the_dense_second_derivative(activation, loss, seed):
    from pynn.diagnosis import curvature, trials

    rng = np.random.default_rng(seed)
    X = 2 * rng.normal(size=(20, 4))
    loss = {"bce": "sigmoid_cross_entropy"}.get(loss, loss)
    y = {
        "softmax_cross_entropy": rng.integers(0, 3, size=(20, 1)),
        "sigmoid_cross_entropy": rng.integers(0, 2, size=(20, 3)).astype(float),
    }.get(loss, rng.normal(size=(20, 3)))
    model = pynn.Sequential([pynn.Dense(6, activation=activation), pynn.Dense(3)], seed=seed, dtype="float64")
    model.compile(loss, pynn.SGD(0.1))
    model.build(4)
    start, n = model.parameters.copy(), len(model.parameters)
    setup = trials.Setup(model._learner, trials.Batch(X, y, None, np.arange(20)), start, 0.1)

    def gradient(at):
        model.compile(loss, pynn.SGD(1.0))
        model.parameters[:] = at
        model.train_step(X, y, guard="off")
        return at - model.parameters

    steps = 1e-5 * np.eye(n)
    hessian = np.array([(gradient(start + step) - gradient(start - step)) / 2e-5 for step in steps])
    largest = np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1]
    assert curvature.largest_curvature(setup) == pytest.approx(largest, rel=5e-3)


def test_the_first_cause_is_the_right_one():
    ranking = script("causes")
    for seed in (20, 21):
        for name, (code, place, inject) in ranking.FAULTS.items():
            found = codes(ranking.report(seed, inject))
            assert found[place : place + 1] == [code], f"{name}: {found}"


def test_healthy_runs_raise_no_alarm():
    healthy = script("false_alarms")
    for name, make in healthy.KINDS.items():
        well, said = healthy.alarms(make, 30)
        assert well, name
        assert not said, f"{name}: {said}"


# ---- what a run leaves behind, however it ends


@pytest.mark.parametrize("policy", ["raise", "skip", "rollback"])
def test_a_stop_on_a_fault_keeps_the_last_good_checkpoint(policy, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(320, 4)), rng.normal(size=(320, 1))

    class Spoil(pynn.Callback):
        def on_epoch_begin(self, epoch, logs):
            if epoch == 2:
                self.model.learning_rate = 1e300 if policy == "rollback" else 1e30

    model = pynn.Sequential([pynn.Dense(4, activation="relu"), pynn.Dense(1)], dtype="float64" * (policy == "rollback")
                            or "float32")  # fmt: skip
    model.compile("mse", pynn.SGD(0.01))
    path = tmp_path / "last.safetensors"
    guard = pynn.Guard(policy=policy, max_rollbacks=2)
    with pytest.raises(pynn.NumericalError):
        model.fit(X, y, epochs=5, guard=guard, callbacks=[pynn.ModelCheckpoint(path), Spoil()], verbose=0)
    assert len(model.history) == 2
    assert model.history.ledger[-1]["kind"] == "refused"
    assert pynn.load(path).evaluate(X, y)["loss"] < 10
    assert np.isfinite(model.parameters).all()


# ---- Ctrl-C


def test_an_interrupted_run_leaves_a_good_model_and_a_history():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4000, 50)), rng.normal(size=(4000, 1))
    X[5, 0] = np.nan  # left out, and in the ledger
    model = pynn.Sequential([pynn.Dense(256, activation="relu"), pynn.Dense(1)])
    model.compile("mse", pynn.SGD(1e-3))
    main = threading.main_thread().ident
    timer = threading.Timer(1.0, lambda: signal.pthread_kill(main, signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y, epochs=10**6, guard="skip", verbose=0)
    history = model.history
    timer.join()
    assert time.monotonic() - begin < 30
    assert history.interrupted
    assert len(history) > 0
    assert {entry["row"] for entry in history.ledger} == {5}
    assert history.report.findings[0].rows == [5]
    assert np.isfinite(model.parameters).all()
    assert np.isfinite(model.predict(X[6:])).all()
    assert model.train_step(X[6:38], y[6:38]).applied
