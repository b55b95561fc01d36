"""Metrics of classes and probabilities: scikit-learn's values over a whole epoch, however it is cut into chunks."""

import json

import numpy as np
import pytest

import pynn
from pynn import losses, metrics
from pynn.training import checkpoint

sk = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(3)
N = 400
WEIGHTS = RNG.uniform(0, 3, N) * (RNG.random(N) > 0.2)


def over_chunks(metric, targets, predictions, weights=None, loss=None, chunk=37, kept=False):
    """The result over chunks; with `kept`, of a metric that is replaced by a copy from a checkpoint in between."""
    if loss is not None:
        metric.take_loss(losses.get(loss))
    metric.reset()
    for i in range(0, len(targets), chunk):
        rows = slice(i, i + chunk)
        metric.update(targets[rows], predictions[rows], None if weights is None else weights[rows])
        if kept:
            arrays = {}
            state = json.loads(json.dumps(checkpoint.pack(metric.state_dict(), arrays)))
            metric.reset()
            metric.load_state_dict(checkpoint.unpack(state, arrays.get))
    return metric.result()


def task(kind, dtype=np.float32):
    """(loss, targets, predictions, classes, decided classes) of a kind of problem."""
    if kind == "one output":
        y = RNG.integers(0, 2, (N, 1))
        p = np.clip(0.4 * y + RNG.uniform(0, 0.7, (N, 1)), 0.001, 0.999).astype(dtype)
        return "sigmoid_cross_entropy", y, p, y[:, 0], (p[:, 0] > 0.5).astype(int)
    if kind == "outputs":
        y = RNG.integers(0, 2, (N, 3))
        p = np.clip(0.4 * y + RNG.uniform(0, 0.7, (N, 3)), 0.001, 0.999).astype(dtype)
        return "sigmoid_cross_entropy", y, p, y, (p > 0.5).astype(int)
    k = 2 if kind == "two classes" else 5
    y = RNG.integers(0, k, (N, 1))
    p = RNG.dirichlet(np.ones(k), N) + 0.7 * np.eye(k)[y[:, 0]]
    p = (p / p.sum(axis=1, keepdims=True)).astype(dtype)
    return "softmax_cross_entropy", y, p, y[:, 0], p.argmax(axis=1)


KINDS = ("one output", "two classes", "classes", "outputs")


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_precision_recall_and_f1_are_scikit_learns(name, kind, weights):
    loss, targets, predictions, y, chosen = task(kind)
    reference = getattr(sk, f"{name}_score")
    auto = "macro" if kind in ("classes", "outputs") else "binary"
    for average in ("auto", "macro", "micro", "weighted"):
        found = over_chunks(
            metrics.get(name if average == "auto" else f"{name}_{average}"), targets, predictions, weights, loss
        )
        expected = reference(y, chosen, average=auto if average == "auto" else average, sample_weight=weights)
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("kind", KINDS)
def test_agreement_is_scikit_learns(kind, weights):
    loss, targets, predictions, y, chosen = task(kind)
    for name, reference in (
        ("balanced_accuracy", sk.balanced_accuracy_score), ("cohen_kappa", sk.cohen_kappa_score),
        ("matthews", sk.matthews_corrcoef),
    ):  # fmt: skip
        columns = zip(y.T, chosen.T, strict=True) if kind == "outputs" else [(y, chosen)]
        expected = np.mean([reference(a, b, sample_weight=weights) for a, b in columns])
        assert over_chunks(metrics.get(name), targets, predictions, weights, loss) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_those_of_the_confusion_matrix(kind, weights):
    loss, targets, predictions, y, chosen = task(kind)
    table = sk.multilabel_confusion_matrix(y, chosen, sample_weight=weights)
    cells = table[1] if kind in ("one output", "two classes") else table.sum(axis=0)
    names = (("true_negatives", "false_positives"), ("false_negatives", "true_positives"))
    for i in (0, 1):
        for j in (0, 1):
            found = over_chunks(metrics.get(names[i][j]), targets, predictions, weights, loss)
            assert found == pytest.approx(cells[i, j], rel=1e-12)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
def test_areas_are_scikit_learns(kind, average, weights):
    loss, targets, predictions, y, _ = task(kind)
    if kind == "classes":
        y = np.eye(5, dtype=int)[y]
    scores = predictions[:, 1] if kind == "two classes" else predictions[:, 0] if kind == "one output" else predictions
    for curve, reference in (("ROC", sk.roc_auc_score), ("PR", sk.average_precision_score)):
        expected = reference(y, scores, average=average, sample_weight=weights)
        if average == "weighted" and weights is not None:  # the classes' weights are weights of rows here
            support = (weights[:, None] * np.reshape(y, (N, -1))).sum(axis=0)
            expected = np.average(reference(y, scores, average=None, sample_weight=weights), weights=support) if (
                np.ndim(y) == 2
            ) else expected  # fmt: skip
        found = over_chunks(metrics.AUC(curve=curve, average=average), targets, predictions, weights, loss)
        assert found == pytest.approx(expected, rel=1e-9)


def test_areas_with_ties_and_with_one_class():
    y = RNG.integers(0, 2, (N, 1))
    p = np.round(0.5 * y + RNG.uniform(0, 0.5, (N, 1)), 1)
    assert over_chunks(metrics.get("auc"), y, p) == pytest.approx(sk.roc_auc_score(y, p), rel=1e-12)
    assert over_chunks(metrics.get("auc_pr"), y, p) == pytest.approx(sk.average_precision_score(y, p), rel=1e-12)
    for name in ("auc", "auc_pr"):
        assert np.isnan(over_chunks(metrics.get(name), np.zeros((N, 1)), p))
        assert np.isnan(metrics.get(name).result())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("average", ["macro", "micro"])
def test_area_by_bins_keeps_its_bound(kind, average):
    loss, targets, predictions, *_ = task(kind)
    for bins in (4, 100):
        metric = metrics.AUC(average=average, bins=bins)
        found = over_chunks(metric, targets, predictions, WEIGHTS, loss)
        positive, negative = metric._positive, metric._negative
        if average == "micro":
            positive, negative = positive.sum(0, keepdims=True), negative.sum(0, keepdims=True)
        shared = ((positive * negative).sum(1) / (positive.sum(1) * negative.sum(1))).mean()
        exact = over_chunks(metrics.AUC(average=average), targets, predictions, WEIGHTS, loss)
        assert abs(found - exact) <= shared / 2 + 1e-12
        assert found != exact
    with pytest.raises(ValueError, match=r"predictions in \[0, 1\].*bins=4"):
        over_chunks(metrics.AUC(bins=4), targets, 3 * predictions, loss=loss)
    with pytest.raises(ValueError, match="bins only with curve='ROC'"):
        metrics.AUC(curve="PR", bins=10)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_is_scikit_learns(kind, weights, dtype):
    loss, targets, predictions, y, _ = task(kind, dtype)
    p = predictions.astype(np.float64)
    p = p / p.sum(axis=1, keepdims=True) if loss.startswith("softmax") else p
    columns = zip(y.T, p.T, strict=True) if kind == "outputs" else [(y, p[:, 0] if kind == "one output" else p)]
    expected = np.mean([sk.log_loss(a, b, sample_weight=weights) for a, b in columns])
    assert over_chunks(metrics.get("log_loss"), targets, predictions, weights, loss) == pytest.approx(
        expected, rel=1e-5
    )
    sure = np.where(np.arange(predictions.shape[1]) == 0, 1, 0).astype(dtype) + 0 * predictions
    assert np.isfinite(over_chunks(metrics.get("log_loss"), targets, sure, weights, loss))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_distances_are_scikit_learns(weights):
    y = RNG.normal(size=(N, 3)) * [1, 10, 100] + 5
    p = y + RNG.normal(size=y.shape)
    w = {"sample_weight": weights}
    assert over_chunks(metrics.get("rmse"), y, p, weights) == pytest.approx(np.sqrt(sk.mean_squared_error(y, p, **w)))
    assert over_chunks(metrics.get("rmse"), y[:, :1], p[:, :1], weights) == pytest.approx(
        sk.root_mean_squared_error(y[:, 0], p[:, 0], **w)
    )
    assert over_chunks(metrics.get("mape"), y, p, weights) == pytest.approx(
        sk.mean_absolute_percentage_error(y, p, **w)
    )
    for output, expected in enumerate(sk.r2_score(y, p, multioutput="raw_values", **w)):
        metric = metrics.R2(output=output)
        assert metric.name == f"r2_{output}"
        assert over_chunks(metric, y, p, weights) == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"output as an integer in 0 \.\.\. 2; received output=3"):
        over_chunks(metrics.R2(output=3), y, p)


COMPARED = {
    "accuracy", "binary_accuracy", "top_k_accuracy", "precision", "precision_macro", "precision_micro",
    "precision_weighted", "recall", "recall_macro", "recall_micro", "recall_weighted", "f1", "f1_macro", "f1_micro",
    "f1_weighted", "balanced_accuracy", "cohen_kappa", "matthews", "true_positives", "false_positives",
    "true_negatives", "false_negatives", "auc", "auc_pr", "log_loss", "mse", "rmse", "mae", "mape", "r2",
}  # fmt: skip


def test_every_metric_is_compared_with_a_reference():
    """A new metric fails here until it is compared with another implementation, and named above."""
    assert {row[0] for row in metrics.names.ROWS} == COMPARED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted({row[0] for row in metrics.names.ROWS}))
def test_every_metric_continues_from_a_checkpoint_with_the_same_bits(name, kind):
    loss, targets, predictions, *_ = task(kind)
    metric = metrics.get(name)
    if name.startswith("top_k") and loss.startswith("sigmoid"):
        pytest.skip("of one class among several")
    one, other = (over_chunks(metric, targets, predictions, WEIGHTS, loss, kept=kept) for kept in (False, True))
    assert np.array(one).tobytes() == np.array(other).tobytes()


@pytest.mark.parametrize("name", sorted({row[0] for row in metrics.names.ROWS}))
def test_rows_of_weight_zero_count_for_nothing(name):
    for kind in KINDS:
        loss, targets, predictions, *_ = task(kind)
        if name.startswith("top_k") and loss.startswith("sigmoid"):
            continue
        there = WEIGHTS > 0
        targets = targets.astype(float) if loss.startswith("sigmoid") else targets
        spoilt = np.where(there[:, None], targets, np.nan) if loss.startswith("sigmoid") else targets
        found = over_chunks(metrics.get(name), spoilt, predictions, WEIGHTS, loss)
        without = over_chunks(metrics.get(name), targets[there], predictions[there], WEIGHTS[there], loss)
        assert found == pytest.approx(without, rel=1e-12)


def test_every_metric_declares_a_direction_and_gets_better_that_way():
    """A model that is right beats one that is wrong, in the direction declared."""
    y = np.r_[np.zeros(30, int), np.ones(20, int)][:, None]
    right, wrong = np.where(y, 0.9, 0.2), np.where(y, 0.4, 0.7)
    for name in {row[0] for row in metrics.names.ROWS}:
        metric = metrics.get(name)
        if name.startswith("top_k"):
            continue
        good, bad = (over_chunks(metric, y, p, loss="sigmoid_cross_entropy") for p in (right, wrong))
        assert metric.direction in ("maximize", "minimize")
        assert good > bad if metric.direction == "maximize" else good < bad, name


# ---- what targets and outputs mean


def trained(loss, y, outputs, chosen, epochs=150, rate=0.03):
    x = np.random.default_rng(0).normal(size=(300, 4))
    model = pynn.Sequential([pynn.Dense(32, activation="relu"), pynn.Dense(outputs)], seed=0)
    model.compile(loss, pynn.Adam(learning_rate=rate), chosen)
    y = y(x)
    history = model.fit(x, y, epochs=epochs)
    return model, x, y, history


def test_several_yes_or_no_are_counted_each():
    model, x, y, history = trained(
        "sigmoid_cross_entropy", lambda x: (x[:, :3] > 0.5).astype(int), 3, ["accuracy", "f1"]
    )
    right = ((model.predict(x) > 0.5) == y).mean()
    assert right > 0.99
    assert model.evaluate(x, y)["accuracy"] == pytest.approx(right)
    assert history["accuracy"][-1] > 0.99
    chosen = (model.predict(x) > 0.5).astype(int)
    assert model.evaluate(x, y)["f1"] == pytest.approx(sk.f1_score(y, chosen, average="macro"))


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "focal", "sigmoid_cross_entropy"])
def test_outputs_of_margins_and_sigmoids_are_a_yes_or_no_each(loss):
    low = -1 if loss.endswith("hinge") else 0
    model, x, y, _ = trained(loss, lambda x: np.where(x[:, :3] > 0.5, 1, low), 3, ["accuracy", "recall", "auc"], 30)
    chosen = model.predict(x) > (0 if loss.endswith("hinge") else 0.5)
    found = model.evaluate(x, y)
    assert found["accuracy"] == pytest.approx((chosen == (y == 1)).mean())
    assert found["recall"] == pytest.approx(sk.recall_score(y == 1, chosen, average="macro"))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(y == 1, model.predict(x)), rel=1e-6)


def test_one_hot_targets_of_a_loss_of_numbers_are_one_class():
    y = np.eye(3)[RNG.integers(0, 3, N)]
    p = y + RNG.normal(size=y.shape)
    assert over_chunks(metrics.get("accuracy"), y, p, loss="mse") == np.mean(p.argmax(1) == y.argmax(1))
    several = RNG.integers(0, 2, (N, 3))
    for name in ("accuracy", "f1", "top_k_accuracy", "auc"):
        with pytest.raises(pynn.LabelError, match=rf"a single 1 for the metric '{name}'.*binary_accuracy"):
            over_chunks(metrics.get(name), several, p, loss="mse")
    assert over_chunks(metrics.get("binary_accuracy"), several, p, loss="mse") == np.mean((p > 0.5) == several)


def test_metrics_of_classes_refuse_numbers():
    y, p = RNG.normal(size=(N, 1)) * 5, RNG.uniform(size=(N, 1))
    for name in ("f1", "precision", "auc", "matthews", "true_positives"):
        with pytest.raises(pynn.LabelError, match=rf"y of 0 and 1 for the metric '{name}'"):
            over_chunks(metrics.get(name), y, p, loss="mse")
    with pytest.raises(ValueError, match="'log_loss' with a loss that predicts probabilities"):
        pynn.Sequential([pynn.Dense(1)]).compile("mse", metrics=["log_loss"])
    _, targets, predictions, *_ = task("classes")
    with pytest.raises(ValueError, match=r"'macro', 'micro' or 'weighted' for the metric 'f1_binary' of 5 classes"):
        over_chunks(metrics.F1Score(average="binary"), targets, predictions, loss="softmax_cross_entropy")


# ---- losses of the user's own


def logistic(z, t):
    p = 1 / (1 + np.exp(-z))
    return (np.logaddexp(0, z) - t * z).sum(axis=1), p - t


def squares(z, t):
    return ((z - t) ** 2).sum(axis=1), 2 * (z - t)


def margins(z, t):
    return np.maximum(0, 1 - t * z).sum(axis=1), np.where(t * z < 1, -t, 0.0)


def huber(z, t):
    e = z - t
    return np.where(abs(e) < 0.1, e**2, 0.2 * abs(e) - 0.01).sum(axis=1), np.clip(2 * e, -0.2, 0.2)


def picky(z, t):
    if len(z) < 10:
        raise ValueError("too few rows")
    return logistic(z, t)


@pytest.mark.parametrize(("loss", "middle"), [
    (logistic, 0.0), (squares, 0.5), (margins, 0.0), (huber, 0.5),
    (losses.Custom(logistic, link="sigmoid", check=False), 0.5)
])  # fmt: skip
def test_accuracy_of_custom_losses_knows_logits(loss, middle):
    low = -1 if loss is margins else 0
    model, x, y, history = trained(loss, lambda x: np.where(x[:, 0] > 0, 1, low), 1, ["accuracy", "f1"], 20)
    chosen = model.predict(x)[:, 0] > middle
    found = model.evaluate(x, y)
    assert found["accuracy"] == pytest.approx((chosen == (y == 1)).mean())
    assert found["accuracy"] > 0.9
    assert found["f1"] == pytest.approx(sk.f1_score(y == 1, chosen))
    assert not history.report.findings


def test_accuracy_of_a_custom_loss_that_does_not_show_its_logits_asks_for_a_threshold():
    with pytest.raises(ValueError, match=r"expected a threshold for the metric 'accuracy'.*threshold=0"):
        trained(losses.Custom(picky, check=False), lambda x: (x[:, 0] > 0).astype(int), 1, ["accuracy"], 1)
    model, x, y, _ = trained(
        losses.Custom(picky, check=False), lambda x: (x[:, 0] > 0).astype(int), 1, [metrics.Accuracy(0)], 20
    )
    assert model.evaluate(x, y)["accuracy"] == pytest.approx(((model.predict(x)[:, 0] > 0) == y).mean())


def test_a_custom_loss_of_c_code_shows_its_logits_too():
    import ctypes

    @losses.signature()
    def logits(user, dtype, rows, n, z, targets, labels, values, gradient, backward):
        real = ctypes.c_double if dtype else ctypes.c_float
        z, t = (np.ctypeslib.as_array((real * (rows * n)).from_address(p)).astype(float) for p in (z, targets))
        np.ctypeslib.as_array((ctypes.c_double * rows).from_address(values))[:] = np.logaddexp(0, z) - t * z
        if backward:
            np.ctypeslib.as_array((real * (rows * n)).from_address(gradient))[:] = 1 / (1 + np.exp(-z)) - t
        return 0

    loss = losses.Custom(logits, name="logits")
    model, x, y, _ = trained(loss, lambda x: (x[:, 0] > 0).astype(int), 1, ["accuracy"], 5)
    assert model.evaluate(x, y)["accuracy"] == pytest.approx(((model.predict(x)[:, 0] > 0) == y).mean())


def test_one_unit_and_integer_targets_of_a_custom_loss_train():
    model, x, y, _ = trained(squares, lambda x: (x[:, 0] > 0).astype(int), 1, [], 2)
    assert np.isfinite(model.evaluate(x, y)["loss"])


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("labels", [(1, 2), (0, 1, 2), (-1, 0, 1), (1.0, 2.0)])
def test_hinge_refuses_labels_that_are_no_two_signs(loss, labels):
    x = RNG.normal(size=(30, 2))
    y = np.resize(np.array(labels), 30)
    model = pynn.Sequential([pynn.Dense(1)])
    model.compile(loss)
    with pytest.raises(pynn.LabelError, match=r"y of 0 and 1, or of -1 and 1,.*y == c tells.*softmax_cross_entropy"):
        model.fit(x, y)
    assert not model.built


def test_numbers_under_a_hinge_are_found():
    x = RNG.normal(size=(60, 2))
    model = pynn.Sequential([pynn.Dense(1)], seed=0)
    model.compile("hinge")
    with pytest.warns(pynn.TrainingWarning, match="'hinge' expects labels in y, and row 0 has"):
        history = model.fit(x, x[:, 0] + 0.5)
    assert "loss_mismatch" in [finding.code for finding in history.report.findings]
