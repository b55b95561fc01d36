"""What callbacks watch: which way is better, and which epoch's weights come back."""

from contextlib import suppress

import numpy as np
import pytest

import pynn


def made():
    model = pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy", pynn.SGD(learning_rate=0.1), metrics=["accuracy"])
    return model


class Scripted(pynn.Callback):
    """Puts numbers of its own into the logs, for others to watch."""

    def __init__(self, values, name="val_loss"):
        self.values, self.name = values, name

    def on_epoch_end(self, epoch, logs):
        logs[self.name] = self.values[epoch]


def scripted(points, values, *callbacks):
    """A run of an epoch for each of the values, which `val_loss` takes."""
    model = made()
    model.fit(*points, epochs=len(values), batch_size=600, callbacks=[Scripted(values), *callbacks])
    return model


@pytest.mark.parametrize(("values", "options", "best", "epochs"), [
    ([0.9, 0.8, 0.7, 0.71, 0.72], {"patience": 5, "baseline": 0.5}, 2, 5),
    ([0.9, 0.8, 0.7, 0.6, 0.5], {"patience": 2, "baseline": 0.1}, 1, 2),
    ([0.9, 0.4, 0.7, 0.6, 0.5], {"patience": 3, "baseline": 0.5}, 1, 5),
    ([np.nan] * 4, {"patience": 9}, 0, 4),
    ([np.nan, 3, np.nan, 4], {"patience": 9}, 1, 4),
    ([np.inf, 3, 4, 4], {"patience": 9}, 1, 4),
    ([1, 3, 2, 4], {"patience": 9, "start_from_epoch": 1}, 2, 4),
    ([1, 3, 2, 4], {"patience": 9, "start_from_epoch": 9}, 3, 4),
    ([1, 3, 2, 4], {"patience": 9, "mode": "max"}, 3, 4),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::pynn.errors.TrainingWarning")
def test_the_best_epoch_watched_is_restored(points, values, options, best, epochs):
    kept = []
    keep = pynn.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(keep.model.parameters.copy()))
    stop = pynn.EarlyStopping(restore_best_weights=True, **options)
    model = scripted(points, values, stop, keep)
    assert len(kept) == epochs
    np.testing.assert_array_equal(model.parameters, kept[best])
    assert stop.best_epoch == (best if options.get("start_from_epoch") != 9 else None)
    assert stop.best == values[best] or np.isnan(values).all() or stop.best_epoch is None


class Ends(pynn.Callback):
    def __init__(self, how, epoch):
        self.how, self.epoch = how, epoch

    def on_epoch_end(self, epoch, logs):
        if epoch == self.epoch:
            if self.how is None:
                self.model.stop_training = True
            else:
                raise self.how


@pytest.mark.parametrize("how", [None, RuntimeError("a callback's own"), KeyboardInterrupt()])
@pytest.mark.parametrize("first", [False, True])
def test_the_best_weights_come_back_whatever_ends_training(points, how, first):
    kept = []
    keep = pynn.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.parameters.copy()))
    callbacks = [pynn.EarlyStopping(patience=9, baseline=0.1, restore_best_weights=True), Ends(how, 3)]
    callbacks = callbacks[::-1] if first else callbacks
    model = made()
    with suppress(RuntimeError, KeyboardInterrupt):
        model.fit(*points, epochs=6, batch_size=600, callbacks=[Scripted([3, 1, 2, 2, 0, 0]), keep, *callbacks])
    np.testing.assert_array_equal(model.parameters, kept[1])


def test_values_that_are_all_nan_are_said(points):
    stop = pynn.EarlyStopping(patience=9, restore_best_weights=True)
    with pytest.warns(pynn.TrainingWarning, match=r"'val_loss' was never a finite number.*epoch 1, the first"):
        scripted(points, [np.nan] * 3, stop)


# ---- which way is better


class Rising(pynn.Metric):
    name, direction = "rising", "maximize"

    def values(self, targets, predictions):
        return predictions.argmax(axis=1) == targets[:, 0]


class Falling(Rising):
    name, direction = "falling", "minimize"


class Unsaid(Rising):
    name, direction = "gini", None


WATCHERS = {
    "EarlyStopping": lambda **options: pynn.EarlyStopping(patience=1, restore_best_weights=True, **options),
    "ReduceLROnPlateau": lambda **options: pynn.ReduceLROnPlateau(patience=1, min_delta=0, **options),
    "ModelCheckpoint": lambda **options: pynn.ModelCheckpoint("best", save_best_only=True, **options),
}


@pytest.mark.parametrize("watcher", WATCHERS)
@pytest.mark.parametrize(("metric", "mode", "up"), [
    ("rising", "auto", True), ("falling", "auto", False), ("gini", "max", True), ("gini", "min", False),
    ("rising", "min", False), ("accuracy", "auto", True), ("auc", "auto", True), ("log_loss", "auto", False),
])  # fmt: skip
def test_a_metric_says_which_way_is_better(points, tmp_path, monkeypatch, watcher, metric, mode, up):
    monkeypatch.chdir(tmp_path)
    model = pynn.Sequential([pynn.Dense(2)], seed=0)
    model.compile(
        "softmax_cross_entropy", pynn.SGD(0.1), [Rising(), Falling(), Unsaid(), "accuracy", "auc", "log_loss"]
    )
    callback = WATCHERS[watcher](monitor=f"val_{metric}", mode=mode)
    values = [0.5, 0.7, 0.3]
    script = Scripted(values, f"val_{metric}")
    model.fit(*points, epochs=3, callbacks=[script, callback], validation_data=points)
    assert callback.best == (0.7 if up else 0.3 if watcher != "EarlyStopping" else 0.5)


@pytest.mark.parametrize("watcher", WATCHERS)
@pytest.mark.parametrize(("monitor", "message"), [
    ("val_gini", r"mode='min' or 'max' for monitor='val_gini', a metric that declares no direction"),
    ("val_kappa", r"monitor as one of 'loss', 'gini'.*received monitor='val_kappa'.*needs mode='min' or 'max'"),
    ("los", r"did you mean 'loss'"),
])  # fmt: skip
def test_a_direction_is_not_guessed(points, watcher, monitor, message):
    model = pynn.Sequential([pynn.Dense(2)], seed=0).build(2)
    model.compile("softmax_cross_entropy", pynn.SGD(0.1), [Unsaid()])
    before = model.parameters.copy()
    with pytest.raises(pynn.UnknownNameError, match=message):
        model.fit(*points, epochs=3, callbacks=[WATCHERS[watcher](monitor=monitor)], validation_data=points)
    np.testing.assert_array_equal(model.parameters, before)
