"""Metrics of the user's own: functions, scorers and classes; their names, directions, errors and files."""

import json
import warnings
from contextlib import suppress

import numpy as np
import pytest

import pynn
from pynn import metrics

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = (X.sum(axis=1) > 0).astype(int)


def made(chosen, units=2, loss="softmax_cross_entropy", epochs=3, seed=0, **options):
    model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(units)], seed=seed)
    model.compile(loss, pynn.SGD(learning_rate=0.1), chosen)
    y = Y if loss != "mse" else np.column_stack([X[:, 0], X[:, 1] ** 2])[:, :units]
    history = model.fit(X, options.pop("y", y), epochs=epochs, **options)
    return model, history


class Kappa(pynn.Metric):
    name, direction = "kappa", "maximize"

    def values(self, targets, predictions):
        return 2.0 * (predictions.argmax(axis=1) == targets[:, 0]) - 1


class Hits(pynn.Metric):
    name = "hits"

    def values(self, targets, predictions):
        return predictions.argmax(axis=1) == targets[:, 0]


class Column(Hits):
    def values(self, targets, predictions):
        return super().values(targets, predictions)[:, None]


def returns(values):
    metric = Hits()
    metric.values = lambda targets, predictions: values(targets, predictions)
    return metric


# ---- classes


@pytest.mark.parametrize("weights", [None, np.linspace(0, 1, 200)])
def test_a_column_of_values_is_one_number_a_row(weights):
    one, other = (made([metric], sample_weight=weights)[1]["hits"] for metric in (Hits(), Column()))
    assert one == other
    assert max(one) <= 1


@pytest.mark.parametrize(("values", "received"), [
    (lambda t, p: (p.argmax(1) == t[:, 0]).mean(), r"received shape \(\): a number over all rows is a function f\(y"),
    (lambda t, p: np.ones(len(p) - 1), r"received shape \(\d+,\)"),
    (lambda t, p: p, r"received shape \(\d+, 2\): values.mean\(axis=1\)"),
    (lambda t, p: np.ones((1, len(p))), r"received shape \(1, \d+\)"),
    (lambda t, p: None, "received None"),
    (lambda t, p: ["yes"] * len(p), "received dtype"),
    (lambda t, p: [[1], [1, 2]], "rows of several lengths"),
])  # fmt: skip
def test_values_of_another_shape_are_refused(values, received):
    with pytest.raises(
        (ValueError, TypeError), match=rf"values of the metric 'hits' as one number for each.*{received}"
    ):
        made([returns(values)])


def test_a_result_that_is_no_number_is_refused():
    metric = Hits()
    metric.result = lambda: {"hits": 1}
    with pytest.raises(TypeError, match="result of the metric 'hits' as a number; received"):
        made([metric])


@pytest.mark.parametrize(("chosen", "message"), [
    ([metrics.Accuracy(name="loss")], "name='loss', which the history has"),
    ([metrics.Accuracy(name="val_accuracy")], "name='val_accuracy', which the history has"),
    ([metrics.Accuracy(name="seconds")], "name='seconds'"),
    ([metrics.Accuracy(name="learning_rate")], "name='learning_rate'"),
    (["accuracy", "acc"], r"received 'accuracy' twice.*name='accuracy_2'"),
    ([metrics.TopKAccuracy(2), metrics.TopKAccuracy(3)], "'top_k_accuracy' twice"),
    ([Kappa], r"the class Kappa: write Kappa\(\)"),
    ([lambda y, p: 0.0], "a function with a name; received <lambda>"),
    ([lambda y: 0.0], r"f\(y_true, y_pred\)"),
    (["acuracy"], "did you mean 'accuracy'"),
    ([3], "a function f"),
])  # fmt: skip
def test_names_and_kinds_that_cannot_be(chosen, message):
    with pytest.raises((ValueError, TypeError), match=message):
        made(chosen)


def test_a_direction_is_one_of_two():
    metric = Hits()
    metric.direction = "up"
    with pytest.raises(ValueError, match="direction of the metric 'hits' as 'maximize', 'minimize' or None"):
        made([metric])


# ---- functions and scorers


def worst(y_true, y_pred):
    return np.abs(y_true - y_pred).max()


def weighted_mean(y_true, y_pred, sample_weight=None):
    return np.average(np.abs(y_true - y_pred), weights=sample_weight)


def test_a_function_sees_the_whole_epoch_as_predict_and_y_are():
    seen = []

    def look(y_true, y_pred):
        seen.append((y_true, y_pred))
        return 1.0

    model, history = made([worst, look], 1, "mse", y=X[:, 0], validation_data=(X[:50], X[:50, 0]), epochs=2)
    assert [y.shape for y, _ in seen] == [(200,), (50,)] * 2
    assert np.array_equal(seen[-1][1], model.predict(X[:50])[:, 0])
    assert history["val_worst"][-1] == np.abs(X[:50, 0] - model.predict(X[:50])[:, 0]).max()
    model, _ = made([look], 2, "mse")
    assert seen[-1][0].shape == seen[-1][1].shape == (200, 2)
    made([look])
    assert seen[-1][0].shape == (200,)
    assert seen[-1][1].shape == (200, 2)


def test_a_function_with_sample_weights():
    w = np.r_[np.zeros(50), np.linspace(1, 2, 150)]
    model, _ = made([weighted_mean, metrics.get("mae")], 1, "mse", y=X[:, 0], sample_weight=w)
    found = model.evaluate(X, X[:, 0], sample_weight=w)
    assert found["weighted_mean"] == pytest.approx(found["mae"], rel=1e-6)
    with pytest.raises(ValueError, match=r"'worst' with an argument sample_weight.*weighted=False"):
        made([worst], 1, "mse", y=X[:, 0], sample_weight=w)
    model, _ = made([metrics.Function(worst, weighted=False)], 1, "mse", y=X[:, 0], sample_weight=w)
    expected = np.abs(X[50:, 0] - model.predict(X[50:])[:, 0]).max()
    assert model.evaluate(X, X[:, 0], sample_weight=w)["worst"] == expected
    made([worst], 1, "mse", y=X[:, 0], sample_weight=(w > 0).astype(float))  # nothing but rows left out


def test_functions_of_classes():
    sk = pytest.importorskip("sklearn.metrics")
    with pytest.raises(ValueError, match="mix") as caught:
        made([sk.f1_score])
    assert "classes=True" in caught.value.__notes__[0]
    model, _ = made([metrics.Function(sk.f1_score, classes=True, direction="maximize"), "f1"])
    found = model.evaluate(X, Y)
    assert found["f1_score"] == pytest.approx(found["f1"], rel=1e-12)


@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2, 200)])
def test_scorers_of_scikit_learn(weights):
    sk = pytest.importorskip("sklearn.metrics")
    names = {"roc_auc": "auc", "f1": "f1", "accuracy": "accuracy", "neg_log_loss": "log_loss",
             "average_precision": "auc_pr", "matthews_corrcoef": "matthews"}  # fmt: skip
    for units, loss in ((1, "sigmoid_cross_entropy"), (2, "softmax_cross_entropy")):
        for scorer, ours in names.items():
            model, history = made([metrics.Function(sk.get_scorer(scorer), name="theirs"), ours], units, loss,
                                  sample_weight=weights, epochs=1)  # fmt: skip
            assert model.metrics[0].direction == "maximize"
            sign = -1 if scorer.startswith("neg_") else 1
            assert sign * history["theirs"][-1] == pytest.approx(history[ours][-1], rel=1e-5)
            assert sign * model.evaluate(X, Y)["theirs"] == pytest.approx(model.evaluate(X, Y)[ours], rel=1e-5)
    model, history = made([sk.get_scorer("neg_mean_squared_error"), "mse", sk.get_scorer("r2"), "r2"], 2, "mse")
    assert -history["neg_mean_squared_error"][-1] == pytest.approx(history["mse"][-1])
    assert history["r2_score"][-1] == pytest.approx(history["r2"][-1])
    model, _ = made([metrics.Function(sk.get_scorer("roc_auc"), name="theirs"), "auc"], 1, "hinge")
    assert model.evaluate(X, Y)["theirs"] == pytest.approx(model.evaluate(X, Y)["auc"])
    three = (X > 0).astype(int)
    theirs = metrics.Function(sk.get_scorer("f1_macro"), name="theirs")
    model, history = made([theirs, "f1"], 3, "sigmoid_cross_entropy", y=three, epochs=1)
    assert history["theirs"][-1] == pytest.approx(history["f1"][-1])


def test_what_metrics_keep_is_let_go_after_an_epoch():
    model, _ = made(["auc", metrics.Function(weighted_mean)], 1, "sigmoid_cross_entropy")
    assert all(len(metric.kept()[0]) == 0 for metric in model.metrics)


def test_training_with_kept_rows_resumes_to_the_same_numbers(tmp_path):
    class Stop(pynn.Callback):
        def on_train_batch_end(self, batch, logs):
            if self.armed and batch == 4:
                raise RuntimeError("killed")

    def run(armed, **options):
        stop = Stop()
        stop.armed = armed
        model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(2)], seed=0)
        model.compile("softmax_cross_entropy", "adam", ["auc", "f1", metrics.Function(weigh, name="weigh")])
        with suppress(RuntimeError):
            model.fit(X, Y, epochs=2, batch_size=20, callbacks=[stop], **options)
        return model.history.epochs

    def weigh(y_true, y_pred):
        return (y_pred[:, 1] * y_true).sum()

    whole = run(False)
    where = pynn.Checkpoint(tmp_path / "run.ckpt", every_steps=1)
    run(True, checkpoint=where)
    resumed = run(False, checkpoint=where, resume=True)
    assert [{k: v for k, v in e.items() if k != "seconds"} for e in resumed] == [
        {k: v for k, v in e.items() if k != "seconds"} for e in whole
    ]


# ---- files


@pytest.mark.filterwarnings("error")
def test_arguments_of_metrics_are_saved(tmp_path):
    chosen = [metrics.TopKAccuracy(1, name="top"), metrics.F1Score(average="micro"), metrics.AUC(bins=50), "accuracy"]
    model, _ = made(chosen)
    model.save(tmp_path / "m")
    loaded = pynn.load(tmp_path / "m")
    assert loaded.evaluate(X, Y) == model.evaluate(X, Y)
    assert [type(m) for m in loaded.metrics] == [type(m) for m in model.metrics]
    assert json.loads(json.dumps(loaded.to_dict())) == json.loads(json.dumps(model.to_dict()))
    assert pynn.Sequential.from_dict(model.to_dict()).metrics[0].k == 1


def test_a_metric_of_ones_own_is_missed_or_brought(tmp_path):
    model, _ = made([Hits(), worst_of_classes, "accuracy"])
    model.save(tmp_path / "m")
    with pytest.warns(pynn.TrainingWarning, match=r"the metrics 'hits', 'worst_of_classes', which a file cannot hold"):
        assert set(pynn.load(tmp_path / "m").evaluate(X, Y)) == {"loss", "accuracy"}
    custom = {"hits": Hits(), "worst_of_classes": worst_of_classes}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for given in (custom, custom | {"hits": Hits}):
            assert pynn.load(tmp_path / "m", custom=given).evaluate(X, Y) == model.evaluate(X, Y)
    with pytest.raises(pynn.UnknownNameError, match=r"custom\['hits'\] as the metric of this name; received .*'kappa'"):
        pynn.load(tmp_path / "m", custom=custom | {"hits": Kappa()})


def worst_of_classes(y_true, y_pred):
    return (1 - y_pred[np.arange(len(y_true)), y_true.astype(int)]).max()


# ---- habits


def test_names_in_any_case_and_keras_order():
    model = pynn.Sequential([pynn.Dense(1)])
    for loss, optimizer in (("MSE", "Adam"), ("Adam", "MSE"), ("SGD", "MeanSquaredError"), (pynn.Adam(), "mse"),
                            ("adam", pynn.losses.Huber()), ("lbfgs", "mse"), ("rmsprop", squares)):  # fmt: skip
        model.compile(loss, optimizer, metrics=["MAE", "R2"])
        assert model.loss.kind == "loss"
        assert isinstance(model.optimizer, (pynn.optimizers.Optimizer, pynn.LBFGS))
    with pytest.raises(TypeError, match=r"received the optimizer loss='adam': compile\(loss='mse', optimizer='adam'\)"):
        model.compile("adam")
    model.compile("adam", loss="mae")
    assert model.loss.name == "mean_absolute_error"
    with pytest.raises(TypeError, match="expected loss once; received 'mae' in its place, and loss='mse'"):
        model.compile("mae", loss="mse")
    with pytest.raises(ValueError, match="did you mean 'mse'"):
        model.compile("mze")
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        pynn.Dense(1, activation="relo")


def squares(z, t):
    return ((z - t) ** 2).sum(axis=1), 2 * (z - t)


def test_the_history_gives_a_list_by_name():
    _, history = made(["accuracy"])
    assert history["loss"] == [epoch["loss"] for epoch in history]
    assert history[-1]["loss"] == history["loss"][-1]
    with pytest.raises(KeyError, match="did you mean 'accuracy'"):
        history["acuracy"]


# ---- weights of nothing


@pytest.mark.parametrize("options", [
    {"validation_data": (X, Y, np.zeros(200))},
    {"class_weight": {0: 1.0, 1: 0.0}, "validation_data": (X[Y == 1], Y[Y == 1])},
    {"validation_data": pynn.DataLoader(X, Y, sample_weight=np.zeros(200), batch_size=50)},
    {"sample_weight": np.r_[np.ones(100), np.zeros(100)], "validation_split": 0.5},
    {"sample_weight": np.zeros(200)},
    {"class_weight": {0: 0.0, 1: 0.0}},
])  # fmt: skip
def test_data_of_which_no_row_counts_are_refused_before_training(options):
    model = pynn.Sequential([pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy")
    with pytest.raises(pynn.ArgumentValueError, match="weight > 0"):
        model.fit(X, Y, epochs=5, callbacks=[pynn.EarlyStopping("loss", restore_best_weights=True)], **options)
    assert not model.built or model.trainer(1).steps == 0


class Batches:
    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def test_a_loader_and_a_stream_without_weight():
    model = pynn.Sequential([pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy", metrics=["accuracy"])
    with pytest.raises(pynn.ArgumentValueError, match="weight > 0"):
        model.fit(pynn.DataLoader(X, Y, sample_weight=np.zeros(200)))
    nothing = Batches((X[:32], Y[:32], np.zeros(32)))
    history = model.fit(nothing)
    assert np.isnan(history["loss"][0])
    assert np.isnan(history["accuracy"][0])
    with pytest.raises(pynn.ArgumentValueError, match="weight > 0"):
        model.evaluate(nothing)
    some = Batches((X[:32], Y[:32], np.zeros(32)), (X[:32], Y[:32], np.ones(32)))
    assert model.fit(some)["loss"][0] > 0
