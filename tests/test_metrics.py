"""Metrics: the same over chunks as over the whole, and the same as scikit-learn's."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pynn
from pynn import _core, metrics

sk = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(0)
N, K = 500, 7
PREDICTIONS = RNG.dirichlet(np.ones(K), N).astype(np.float32)
LABELS = RNG.integers(0, K, (N, 1))
WEIGHTS = RNG.uniform(0, 2, N)


def over_chunks(metric, targets, predictions, weights=None, chunk=33):
    metric.reset()
    for i in range(0, len(targets), chunk):
        rows = slice(i, i + chunk)
        metric.update(targets[rows], predictions[rows], None if weights is None else weights[rows])
    return metric.result()


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_classification(weights):
    chosen = PREDICTIONS.argmax(1)
    assert over_chunks(metrics.get("accuracy"), LABELS, PREDICTIONS, weights) == pytest.approx(
        sk.accuracy_score(LABELS, chosen, sample_weight=weights)
    )
    for k in (1, 3, K - 1):
        assert over_chunks(metrics.TopKAccuracy(k), LABELS, PREDICTIONS, weights) == pytest.approx(
            sk.top_k_accuracy_score(LABELS.ravel(), PREDICTIONS, k=k, sample_weight=weights, labels=range(K))
        )


def test_one_hot_rows_count_as_labels():
    one_hot = np.eye(K)[LABELS[:, 0]]
    for name in ("accuracy", "top_k_accuracy"):
        assert over_chunks(metrics.get(name), one_hot, PREDICTIONS) == over_chunks(
            metrics.get(name), LABELS, PREDICTIONS
        )
    assert over_chunks(metrics.get("mse"), one_hot, PREDICTIONS) == over_chunks(metrics.get("mse"), LABELS, PREDICTIONS)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_regression(weights, outputs):
    y = RNG.normal(size=(N, outputs)) + 5
    p = (y + RNG.normal(size=y.shape) / 3).astype(np.float32)
    for name, reference in (("mse", sk.mean_squared_error), ("mae", sk.mean_absolute_error), ("r2", sk.r2_score)):
        assert over_chunks(metrics.get(name), y, p, weights) == pytest.approx(reference(y, p, sample_weight=weights))


def test_a_large_mean_costs_r2_no_digits():
    y = RNG.normal(size=(N, 1))
    p = y + RNG.normal(size=y.shape) / 3
    assert over_chunks(metrics.get("r2"), y + 1e8, p + 1e8) == pytest.approx(sk.r2_score(y, p), rel=1e-5)


def test_r2_of_a_constant_target():
    flat = np.ones((9, 1))
    assert over_chunks(metrics.get("r2"), flat, flat) == 1
    assert over_chunks(metrics.get("r2"), flat, flat + 1) == 0


def test_one_output_and_several_yes_or_no():
    p, y = RNG.uniform(size=(N, 4)), RNG.integers(0, 2, (N, 4))
    assert over_chunks(metrics.get("accuracy"), y[:, :1], p[:, :1]) == np.mean((p[:, 0] > 0.5) == y[:, 0])
    assert over_chunks(metrics.get("binary_accuracy"), y, p) == pytest.approx(np.mean((p > 0.5) == y))
    assert over_chunks(metrics.BinaryAccuracy(0.9), y, p) == pytest.approx(np.mean((p > 0.9) == y))


def test_no_rows_are_no_number():
    assert all(np.isnan(metrics.get(name).result()) for name in ("accuracy", "mse", "r2"))


def test_a_row_of_weight_zero_counts_for_nothing():
    p = np.array([[1.0], [np.inf]])
    assert over_chunks(metrics.get("mse"), np.array([[0.0], [0.0]]), p, np.array([1.0, 0.0])) == 1


def test_sums_are_in_double():
    p = np.full((10_000_0, 1), 0.1, np.float32)
    assert over_chunks(metrics.get("mae"), np.zeros_like(p), p, chunk=4096) == pytest.approx(
        float(np.float32(0.1)), rel=1e-12
    )


def test_unknown_names_and_bad_arguments():
    with pytest.raises(pynn.UnknownNameError, match="'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(pynn.ArgumentTypeError):
        metrics.get(len)
    for bad in (0, -1, 1.5, True):
        with pytest.raises((ValueError, TypeError), match="k="):
            metrics.TopKAccuracy(bad)


# ---- in a model


def judged(loss, metrics, outputs=1):
    """A model of one layer that is not trained yet."""
    model = pynn.Sequential([pynn.Dense(outputs)], seed=0, dtype="float64")
    model.compile(loss=loss, optimizer=pynn.SGD(0.05), metrics=metrics)
    return model.build(2)


MIDDLE = {"hinge": 0.0, "squared_hinge": 0.0}  # of predictions; 0.5 with all other losses
LOSSES = [row["name"] for row in _core.table("loss") if not row["pairs"] and row["name"] != "none"]


@pytest.mark.parametrize("loss", [name for name in LOSSES if name not in ("softmax_cross_entropy", "kl_divergence")])
def test_accuracy_decides_where_the_loss_does(loss):
    """A model that says just what it is told to: on this side, on that side."""
    stricter = pynn.metrics.BinaryAccuracy(threshold=0.7, name="above_0.7")
    model = judged(loss, ["accuracy", "binary_accuracy", stricter])
    x = np.array([[z, 0.0] for z in np.linspace(-2, 2, 41)])
    model.layers[0].kernel = [[1.0], [0.0]]
    predictions = model.predict(x)[:, 0]
    high = predictions > MIDDLE.get(loss, 0.5)
    assert 5 < high.sum() < 36
    for targets in (high.astype(int), np.where(high, 1, -1) if loss in MIDDLE else high.astype(float)):
        found = model.evaluate(x, targets)
        assert found["accuracy"] == found["binary_accuracy"] == 1
        assert found["above_0.7"] == pytest.approx(np.mean((predictions > 0.7) == high))
    model.compile(loss, metrics=["binary_accuracy"])
    assert model.evaluate(x, high.astype(int))["binary_accuracy"] == 1


def test_accuracy_of_margins_is_that_of_their_signs(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 2))
    y = np.where(x @ [1.0, -1.0] > 0, 1, -1)
    model = judged("hinge", ["accuracy"])
    model.fit(x, y, epochs=20)
    by_sign = np.mean((model.predict(x)[:, 0] > 0) == (y > 0))
    assert model.evaluate(x, y)["accuracy"] == by_sign > 0.95
    model.save(tmp_path / "model.safetensors")
    assert pynn.load(tmp_path / "model.safetensors").evaluate(x, y)["accuracy"] == by_sign
    assert copy.deepcopy(model).evaluate(x, y)["accuracy"] == by_sign


def test_targets_of_margins_are_not_scaled():
    model = pynn.Sequential([pynn.Dense(1)])
    with pytest.raises(ValueError, match="expected target_scaling with a loss whose predictions are its logits"):
        model.compile("hinge", target_scaling="minmax")


def test_evaluating_in_threads_and_callbacks_disturbs_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 2))
    y = (x[:, 0] > 0).astype(int)
    model = judged("softmax_cross_entropy", ["accuracy"], 2)
    alone = model.evaluate(x, y)
    with ThreadPoolExecutor(3) as pool:
        assert all(found == alone for found in pool.map(lambda _: model.evaluate(x, y), range(30)))

    def trained(callbacks):
        fresh = judged("softmax_cross_entropy", ["accuracy"], 2)
        return fresh.fit(x[:500], y[:500], batch_size=50, callbacks=callbacks)[-1]["accuracy"]

    looks = pynn.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: looks.model.evaluate(x[:9], 1 - y[:9]))
    assert trained([looks]) == trained([])


def test_models_do_not_share_a_metric():
    metric = pynn.metrics.BinaryAccuracy()
    first, second = judged("hinge", [metric]), judged("sigmoid_cross_entropy", [metric])
    assert len({id(metric), id(first.metrics[0]), id(second.metrics[0])}) == 3
    x = np.array([[0.3, 0.0]])
    for model in (first, second):
        model.layers[0].kernel = [[1.0], [0.0]]
        assert model.evaluate(x, [1])["binary_accuracy"] == 1
