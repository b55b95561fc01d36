"""L-BFGS over all rows, and the test of learning rates."""

import itertools

import numpy as np
import pytest

import pynn


def test_it_reaches_the_solution_of_a_linear_problem():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 5))  # more rows than a part
    y = x @ rng.normal(size=(5, 2)) + [1, 2] + 0.1 * rng.normal(size=(3000, 2))
    w = rng.uniform(size=3000)
    layer = pynn.Dense(2, kernel_regularizer=pynn.regularizers.L2(0.03))
    model = pynn.Sequential([layer], dtype="float64")
    model.compile("mse", pynn.LBFGS(tolerance_grad=1e-10, tolerance_change=0))
    history = model.fit(x, y, sample_weight=w)
    a = np.hstack([x, np.ones((3000, 1))])
    ridge = np.diag([0.03 * 2.0] * 5 + [0])  # the loss is a mean over 2 outputs
    solution = np.linalg.solve(a.T @ (w[:, None] * a) / 3000 + ridge, a.T @ (w[:, None] * y) / 3000)
    np.testing.assert_allclose(model.layers[0].kernel, solution[:5], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(model.layers[0].bias, solution[5], rtol=1e-7, atol=1e-9)
    assert history[-1]["loss"] == pytest.approx(model.evaluate(x, y, sample_weight=w)["loss"], rel=1e-12)
    falling = history.history["loss"]
    assert all(later <= earlier for earlier, later in itertools.pairwise(falling))


def test_it_is_scipys_solver_on_the_same_function():
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1500, 3))
    y = np.sin(x).sum(axis=1)

    def network(w):
        w1, b1, w2, b2 = w[:18].reshape(3, 6), w[18:24], w[24:30], w[30]
        h = np.tanh(x @ w1 + b1)
        error = h @ w2 + b2 - y
        dz = 2 / len(x) * error[:, None] * w2 * (1 - h**2)
        gradient = [(x.T @ dz).ravel(), dz.sum(axis=0), 2 / len(x) * h.T @ error, [2 * error.mean()]]
        return (error**2).mean(), np.concatenate(gradient)

    model = pynn.Sequential([pynn.Dense(6, activation="tanh"), pynn.Dense(1)], dtype="float64").build(3)
    model.compile("mse", pynn.LBFGS(max_iter=20))
    options = {"maxiter": 20, "gtol": 1e-5, "ftol": 1e-9}
    theirs = optimize.minimize(network, np.array(model.parameters), jac=True, method="L-BFGS-B", options=options)
    history = model.fit(x, y)
    assert len(history) == theirs.nit
    assert history[-1]["loss"] == pytest.approx(theirs.fun, rel=1e-6)
    np.testing.assert_allclose(model.parameters, theirs.x, rtol=1e-4, atol=1e-5)


def test_history_callbacks_validation_and_files(points, tmp_path):
    x, y = points
    model = pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.Dense(2)], dtype="float64")
    model.compile("softmax_cross_entropy", pynn.LBFGS(max_iter=25), metrics=["accuracy"])
    stop = pynn.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    history = model.fit(x, y, validation_split=0.2, callbacks=[stop])
    assert set(history[-1]) >= {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
    assert len(history) <= 25
    assert history[-1]["accuracy"] > 0.8
    if stop.stopped_epoch is not None:
        assert model.evaluate(x[480:], y[480:])["loss"] == pytest.approx(stop.best, rel=1e-12)
    model.save(tmp_path / "m")
    assert pynn.load(tmp_path / "m").optimizer == model.optimizer


def test_points_that_are_not_finite_are_stepped_back_from():
    x, y = np.linspace(0, 2, 50)[:, None], np.exp(np.linspace(0, 2, 50))
    model = pynn.Sequential([pynn.Dense(1, activation="exponential")]).build(1)
    model.layers[0].kernel = [[-30.0]]
    model.layers[0].bias = [8.0]
    model.compile("mse", pynn.LBFGS(max_iter=300, tolerance_change=1e-12))
    before = model.evaluate(x, y)["loss"]
    history = model.fit(x, y)
    assert np.isfinite(model.parameters).all()
    assert model.evaluate(x, y)["loss"] < 0.01 * before
    assert any("line search" in finding.message for finding in history.report.findings)


@pytest.mark.parametrize("policy", ["raise", "skip", "rollback", "off"])
@pytest.mark.parametrize("fault", ["weight", "cell", "line search"])
def test_a_start_that_is_not_finite_is_an_error_that_names_the_place(points, policy, fault):
    x, y = points[0].astype(np.float64), points[1].copy()
    model = pynn.Sequential([pynn.Dense(4, activation="tanh"), pynn.Dense(2)], dtype="float64").build(x.shape[1])
    model.compile("softmax_cross_entropy", "lbfgs")
    row, layer, unit = None, None, None
    if fault == "weight":
        model.layers[1].kernel[3, 1], layer, unit = np.nan, 1, 1
    elif fault == "cell":
        x[7, 1], row, unit = np.inf, 7, 1
    else:
        model = pynn.Sequential([pynn.Dense(2)], dtype="float64").build(x.shape[1])
        model.compile("softmax_cross_entropy", "lbfgs")
        x[7, 1], y[7] = 1e308, np.argmin(model.layers[0].kernel[1])
    before = model.parameters.copy()
    with pytest.raises(pynn.NumericalError) as caught:
        model.fit(x, y, guard=policy)
    np.testing.assert_array_equal(model.parameters, before)
    finding = caught.value.report.findings[0]
    assert (finding.severity, finding.layer) == ("fault", layer)
    assert row is None or row in finding.rows
    assert unit is None or finding.columns == [unit]
    if fault == "line search":
        assert [(f.code, f.rows) for f in caught.value.report.findings[1:2]] == [("outlier", [7])]
    assert model.history is None or model.history.report is caught.value.report
    assert "learning rate" not in str(caught.value.report)


def test_what_it_does_not_do_is_said(points):
    x, y = points

    def made(*layers):
        model = pynn.Sequential([*layers, pynn.Dense(2)])
        model.compile("softmax_cross_entropy", "lbfgs")
        return model

    with pytest.raises(pynn.UnsupportedError, match="dropout"):
        made(pynn.Dropout(0.5)).fit(x, y)
    with pytest.raises(pynn.ArgumentValueError, match="epochs=3"):
        made().fit(x, y, epochs=3)
    with pytest.raises(pynn.ArgumentTypeError, match="LBFGS"):
        made().fit([(x, y)].__iter__())
    with pytest.raises(pynn.ArgumentValueError, match="LBFGS"):
        made().train_step(x, y)
    with pytest.raises(pynn.ArgumentValueError, match="mixup=0 with LBFGS"):
        made().fit(x, y, mixup=0.2)
    with pytest.raises(pynn.ArgumentValueError, match="no EMA or SWA with LBFGS"):
        made().fit(x, y, callbacks=[pynn.SWA()])
    with pytest.raises(pynn.ArgumentValueError, match="received layer 0 with bias_constraint"):
        made(pynn.Dense(3, bias_constraint="non_neg")).fit(x, y)
    with pytest.raises(pynn.NotReadyError, match="received LBFGS"):
        pynn.find_learning_rate(made(), x, y)
    with pytest.raises(pynn.NotReadyError, match="not compiled"):
        pynn.find_learning_rate(pynn.Sequential([pynn.Dense(2)]), x, y)
    with pytest.raises(pynn.ArgumentValueError, match="LBFGS"):
        made().learning_rate = 0.1
    for bad in ({"max_iter": 0}, {"tolerance_grad": -1}, {"history_size": 1.5}, {"max_eval": 0}):
        with pytest.raises((ValueError, TypeError), match=next(iter(bad))):
            pynn.LBFGS(**bad)


# ---- learning rates


def test_the_range_test_leaves_the_model_alone_and_proposes_a_rate_that_trains():
    (x, y), _ = pynn.datasets.digits()
    model = pynn.Sequential([pynn.Dense(32, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile("softmax_cross_entropy", pynn.SGD(1e-6))
    test = pynn.find_learning_rate(model, x[:2000], y[:2000])
    assert not model.built
    model.fit(x[:500], y[:500])
    kept, steps = np.array(model.parameters), model._learner.trainer.steps
    again = pynn.find_learning_rate(model, x[:2000], y[:2000])
    np.testing.assert_array_equal(model.parameters, kept)
    assert model._learner.trainer.steps == steps
    assert model.learning_rate == 1e-6
    assert again.suggestion > 0
    assert (np.diff(test.learning_rates) > 0).all()
    assert test.learning_rates[0] == 1e-7
    lowest = test.smoothed.argmin()
    assert test.learning_rates[0] < test.suggestion <= test.learning_rates[lowest]
    model = pynn.Sequential([pynn.Dense(32, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile("softmax_cross_entropy", pynn.SGD(test.suggestion))
    assert model.fit(x[:2000], y[:2000], epochs=3)[-1]["loss"] < 0.7


def test_the_range_test_reads_no_more_than_its_steps(points):
    read = []

    class Rows:
        def __len__(self):
            return len(points[0])

        def __getitem__(self, i):
            read.append(i)
            return points[0][i], points[1][i]

    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy", "adam")
    test = pynn.find_learning_rate(model, Rows(), None, steps=10, batch_size=4)
    assert len(test.losses) == 10
    assert len(read) < len(points[0])


def test_the_range_test_draws(points):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy", "adam")
    axes = pynn.find_learning_rate(model, *points, steps=20).plot()
    assert axes.get_xscale() == "log"
    rates = np.logspace(-5, 1, 50)
    loss = np.where(rates < 0.3, 2.3 - 0.2 * np.log10(rates / 1e-5), 1e6 * rates)
    axes = pynn.LearningRateTest(0.03, rates, loss, loss).plot()
    low, high = axes.get_ylim()  # the fall is what one sees, not the explosion after it
    assert low < loss.min() < loss[0] < high < 3
    for bad in ({"steps": 9}, {"min_learning_rate": 0}, {"max_learning_rate": 1e-9}):
        with pytest.raises(pynn.ArgumentValueError, match=next(iter(bad))):
            pynn.find_learning_rate(model, *points, **bad)
