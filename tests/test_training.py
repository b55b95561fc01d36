"""The loop: what it records, what it calls, how it stops; the same seed gives the same bits however data come."""

import json
import os
import re
import signal
import sys
import threading
import time
import types
import warnings

import numpy as np
import pytest

import pynn
from pynn.training import metrics


def make(dtype="float32", metrics=("accuracy",), optimizer="adam", layers=None, seed=4):
    layers = layers or [pynn.Dense(12, activation="relu"), pynn.Dropout(0.1), pynn.Dense(2)]
    model = pynn.Sequential(layers, seed=seed, dtype=dtype)
    model.compile(loss="softmax_cross_entropy", optimizer=optimizer, metrics=metrics)
    return model


def bits(model):
    return model.parameters.tobytes()


# ---- learning and what is recorded


def test_it_learns(points):
    x, y = points
    model = make(optimizer=pynn.Adam(0.01), layers=[pynn.Dense(32, activation="tanh"), pynn.Dense(2)])
    history = model.fit(x, y, epochs=60, validation_split=0.2)
    assert history[-1]["val_accuracy"] > 0.93
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert np.mean(model.predict(x).argmax(1) == y) == pytest.approx(model.evaluate(x, y)["accuracy"])


def test_history(points):
    x, y = points
    model = make()
    history = model.fit(x, y, epochs=3, validation_data=(x[:50], y[:50]))
    names = ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"]
    assert [list(epoch) for epoch in history] == [names] * 3
    assert all(type(value) is float for epoch in history for value in epoch.values())
    assert history.history["loss"] == [epoch["loss"] for epoch in history.epochs]
    assert len(history) == 3
    assert history is model.history
    assert not history.interrupted
    assert json.loads(json.dumps(history.to_dict()))["epochs"] == history.epochs
    assert history[-1]["val_loss"] == model.evaluate(x[:50], y[:50])["loss"]


def test_training_values_are_those_before_each_update(points):
    """With a learning rate of next to nothing, the epoch's loss and accuracy are those of evaluate."""
    x, y = points
    model = make(optimizer=pynn.SGD(1e-30), layers=[pynn.Dense(2)])
    for batch_size in (32, 600, 7, 1000):
        logs = model.fit(x, y, batch_size=batch_size)[-1]
        expected = model.evaluate(x, y)
        assert logs["loss"] == pytest.approx(expected["loss"], rel=1e-6)
        assert logs["accuracy"] == expected["accuracy"]


def test_metrics_do_not_change_training(points):
    x, y = points
    plain, measured = make(metrics=()), make(metrics=("accuracy", "mse", "top_k_accuracy"))
    plain.fit(x, y, epochs=2)
    measured.fit(x, y, epochs=2)
    assert bits(plain) == bits(measured)


def test_memory_for_metrics_is_bounded(monkeypatch, points):
    x, y = points
    expected = make()
    expected.fit(x, y, validation_data=(x, y))
    monkeypatch.setattr(metrics, "BYTES", 100)
    model = make()
    model.fit(x, y, validation_data=(x, y))
    assert bits(model) == bits(expected)
    assert model.history[0]["accuracy"] == expected.history[0]["accuracy"]
    assert model.history[0]["val_loss"] == pytest.approx(expected.history[0]["val_loss"], rel=1e-12)


def test_sample_weights(points):
    x, y = points
    w = np.random.default_rng(1).integers(0, 3, len(y))
    weighted, repeated = (
        make(layers=[pynn.Dense(2)], optimizer=pynn.SGD(0.1)),
        make(layers=[pynn.Dense(2)], optimizer=pynn.SGD(0.1)),
    )
    weighted.fit(x, y, sample_weight=w, batch_size=len(x), epochs=5)
    rows = np.repeat(np.arange(len(x)), w)
    scale = len(rows) / len(x)  # the loss is a sum divided by the number of rows
    repeated.compile("softmax_cross_entropy", pynn.SGD(0.1 * scale), ["accuracy"])
    repeated.fit(x[rows], y[rows], batch_size=len(rows), epochs=5)
    np.testing.assert_allclose(weighted.parameters, repeated.parameters, rtol=1e-4, atol=1e-6)
    assert weighted.evaluate(x, y, sample_weight=w)["accuracy"] == pytest.approx(
        repeated.evaluate(x[rows], y[rows])["accuracy"]
    )
    same = make(layers=[pynn.Dense(2)], optimizer=pynn.SGD(0.1))
    same.fit(x, y, sample_weight=w[:, None].astype(np.float16), batch_size=len(x), epochs=5)
    assert bits(same) == bits(weighted)


@pytest.mark.parametrize("form", ["labels", "column", "one-hot", "float labels", "list", "uint8"])
def test_forms_of_labels(points, form):
    x, y = points
    given = {"labels": y, "column": y[:, None], "one-hot": np.eye(2)[y], "float labels": y.astype(float),
             "list": y.tolist(), "uint8": y.astype("u1")}[form]  # fmt: skip
    expected, model = make(), make()
    expected.fit(x, y, epochs=2)
    model.fit(x, given, epochs=2)
    np.testing.assert_allclose(model.parameters, expected.parameters, rtol=1e-5, atol=1e-6)
    assert model.history[-1]["accuracy"] == expected.history[-1]["accuracy"]
    assert model.evaluate(x, given)["accuracy"] == expected.evaluate(x, y)["accuracy"]


def test_one_output_takes_flat_and_column_targets(points):
    x, y = points
    for loss in ("binary_crossentropy", "mse"):
        results = []
        for target in (y, y[:, None], y.astype(bool), y.astype(float)):
            model = pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.Dense(1)], seed=1)
            model.compile(loss, "adam", ["accuracy"])
            model.fit(x, target, epochs=2)
            results.append((bits(model), model.history[-1]["accuracy"]))
        assert len(set(results)) == 1


# ---- same seed, same bits


def test_same_seed_same_bits(points):
    x, y = points
    one, two, other = make(), make(), make(seed=5)
    for model in (one, two, other):
        model.fit(x, y, epochs=3)
    assert bits(one) == bits(two)
    assert bits(one) != bits(other)


def test_arrays_loader_and_hand_written_loop_give_the_same_bits(points):
    x, y = points
    w = np.random.default_rng(0).uniform(0, 2, len(y))
    models = [make() for _ in range(5)]
    options = {"sample_weight": w, "batch_size": 50}
    loader = lambda: pynn.DataLoader(x, y, shuffle=True, seed=4, **options)  # noqa: E731
    models[0].fit(x, y, epochs=3, **options)
    models[1].fit(loader(), epochs=3)
    by_hand = loader()
    for _ in range(3):
        for xb, yb, wb in by_hand:
            models[2].train_step(xb, yb, wb)

    class Stream:
        def __init__(self):
            self.loader = loader()

        def __iter__(self):
            return iter(self.loader)

    models[3].fit(Stream(), epochs=3)
    models[4].fit(x, y, epochs=1, **options)
    models[4].fit(x, y, epochs=2, **options)
    assert len({bits(model) for model in models}) == 1
    for other in (1, 3):
        assert models[other].history[-1]["accuracy"] == models[0].history[-1]["accuracy"]
        assert models[other].history[-1]["loss"] == pytest.approx(models[0].history[-1]["loss"], rel=1e-12)


def test_a_loader_goes_on_where_it_stands(points):
    x, y = points
    whole, parts = make(), make()
    whole.fit(pynn.DataLoader(x, y, shuffle=True, seed=1), epochs=4)
    loader = pynn.DataLoader(x, y, shuffle=True, seed=1)
    for epochs in (1, 3):
        parts.fit(loader, epochs=epochs)
    assert loader.epoch == 4
    assert bits(whole) == bits(parts)


def test_every_source_and_layout_gives_the_same_bits(points, tmp_path):
    x, y = points
    np.save(tmp_path / "x.npy", x)
    pd = pytest.importorskip("pandas")

    class Source:
        def __len__(self):
            return len(x)

        def read_rows(self, rows):
            return x[rows]

    sources = {
        "memmap": np.load(tmp_path / "x.npy", mmap_mode="r"),
        "fortran": np.asfortranarray(x),
        "float64": x.astype(np.float64),
        "reversed twice": x[::-1].copy()[::-1],
        "frame": pd.DataFrame(x),
        "list": x.tolist(),
        "source": Source(),
    }
    expected = make()
    expected.fit(x, y, epochs=2)
    for name, source in sources.items():
        model = make()
        if name == "source":
            model.fit(pynn.DataLoader(source, y, shuffle=True, seed=4), epochs=2)
        else:
            model.fit(source, y, epochs=2)
        assert bits(model) == bits(expected), name


def test_drop_last(points):
    x, y = points
    dropped, short = make(), make()
    dropped.fit(pynn.DataLoader(x, y, batch_size=64, drop_last=True))
    short.fit(pynn.DataLoader(x[:576], y[:576], batch_size=64))
    assert bits(dropped) == bits(short)


def test_without_shuffling_rows_come_in_order(points):
    x, y = points
    model, by_hand = make(), make()
    model.fit(x, y, shuffle=False, batch_size=100)
    for i in range(0, 600, 100):
        by_hand.train_step(x[i : i + 100], y[i : i + 100])
    assert bits(model) == bits(by_hand)


def test_a_larger_batch_keeps_the_optimizers_state(points):
    x, y = points
    sizes = (8, 64, 16, 200)
    one, two = make(), make()
    two.build(2)
    two._learner.trainer_for(256)
    for model in (one, two):
        for size in sizes:
            model.train_step(x[:size], y[:size])
    assert bits(one) == bits(two)


def test_batches_larger_than_the_data(points):
    x, y = points
    one, two = make(), make()
    one.fit(x, y, batch_size=600, epochs=2)
    two.fit(x, y, batch_size=10**9, epochs=2)
    assert bits(one) == bits(two)


# ---- callbacks


class Recorder(pynn.Callback):
    def __init__(self):
        self.calls = []

    def on_train_begin(self, logs):
        self.calls.append("train")

    def on_train_end(self, logs):
        self.calls.append("end")

    def on_epoch_begin(self, epoch, logs):
        self.calls.append(f"epoch {epoch}")

    def on_epoch_end(self, epoch, logs):
        self.calls.append(f"done {epoch} {sorted(logs)}")


class Batches(Recorder):
    def on_batch_begin(self, batch, logs):
        self.calls.append(f"batch {batch}")

    def on_batch_end(self, batch, logs):
        self.calls.append(f"loss {batch} {logs['loss'] > 0}")


def test_callbacks_are_called_in_order(points):
    x, y = points
    recorder = Batches()
    make(metrics=()).fit(x[:60], y[:60], epochs=2, batch_size=30, callbacks=[recorder])
    batches = ["batch 0", "loss 0 True", "batch 1", "loss 1 True", "batch 2"]
    logs = ["learning_rate", "loss", "seconds"]
    assert [c for c in recorder.calls if c != "batch 2"] == [
        "train", "epoch 0", *batches[:-1], f"done 0 {logs}", "epoch 1", *batches[:-1], f"done 1 {logs}", "end",
    ]  # fmt: skip


def test_batch_callbacks_begin_only_batches_that_are(points):
    x, y = points
    recorder = Batches()
    make().fit(x[:60], y[:60], batch_size=30, callbacks=recorder)
    assert recorder.calls.count("batch 2") == 0
    assert sum(c.startswith("batch") for c in recorder.calls) == 2


def test_callbacks_change_no_bit(points):
    x, y = points
    plain, watched = make(), make()
    plain.fit(x, y, epochs=2)
    watched.fit(x, y, epochs=2, callbacks=[Batches(), Recorder()])
    assert bits(plain) == bits(watched)


def test_stopping_by_the_flag(points):
    x, y = points
    model = make()
    stop = pynn.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1))
    assert len(model.fit(x, y, epochs=9, callbacks=[stop])) == 2
    seen = []
    stop = pynn.LambdaCallback(
        on_batch_end=lambda batch, logs: (seen.append(batch), setattr(model, "stop_training", batch == 3))
    )
    model.fit(x, y, epochs=9, callbacks=[stop])
    assert seen == [0, 1, 2, 3]
    assert len(model.fit(x, y, epochs=2)) == 2


def test_the_learning_rate_can_be_changed_on_the_way(points):
    x, y = points
    changed, by_hand = make(optimizer=pynn.SGD(0.1)), make(optimizer=pynn.SGD(0.1))

    class Halve(pynn.Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.learning_rate = self.model.learning_rate / 2

    history = changed.fit(x, y, epochs=3, callbacks=[Halve()])
    assert history.history["learning_rate"] == [0.1, 0.05, 0.025]
    for rate in (0.1, 0.05, 0.025):
        by_hand.learning_rate = rate
        by_hand.fit(x, y)
    assert bits(changed) == bits(by_hand)
    for bad in (0, -1, float("nan"), "fast"):
        with pytest.raises((ValueError, TypeError), match="learning_rate"):
            changed.learning_rate = bad
    assert changed.learning_rate == 0.0125


def test_early_stopping(points):
    x, y = points
    scores = iter([3.0, 2.0, 2.5, 1.0, 1.5, 1.2, 1.1, 0.5])
    snapshots = []

    class Script(pynn.Callback):
        def on_epoch_end(self, epoch, logs):
            logs["score"] = next(scores)
            snapshots.append(bits(self.model))

    model = make()
    stopping = pynn.EarlyStopping(monitor="score", mode="min", patience=3, restore_best_weights=True)
    history = model.fit(x, y, epochs=20, callbacks=[Script(), stopping])
    assert len(history) == 7
    assert (stopping.best, stopping.best_epoch, stopping.stopped_epoch) == (1.0, 3, 6)
    assert bits(model) == snapshots[3]
    assert history.history["score"][-1] == 1.1


def test_early_stopping_looks_the_right_way(points):
    x, y = points
    for monitor, epochs in (("accuracy", 2), ("loss", 2)):
        flat = make(optimizer=pynn.SGD(1e-30), layers=[pynn.Dense(2)])
        assert (
            len(flat.fit(x, y, epochs=9, callbacks=[pynn.EarlyStopping(monitor, min_delta=1e-3, patience=1)])) == epochs
        )
    with pytest.raises(pynn.UnknownNameError, match="validation_data"):
        make().fit(x, y, callbacks=[pynn.EarlyStopping()])
    with pytest.raises(pynn.UnknownNameError, match="mode"):
        pynn.EarlyStopping(mode="up")


def test_csv_logger(points, tmp_path):
    x, y = points
    path = tmp_path / "log.csv"
    history = make().fit(x, y, epochs=3, callbacks=[pynn.CSVLogger(path)])
    table = np.genfromtxt(path, delimiter=",", names=True)
    assert table["loss"].tolist() == history.history["loss"]
    make().fit(x, y, epochs=2, callbacks=[pynn.CSVLogger(path, append=True)])
    assert np.genfromtxt(path, delimiter=",", names=True)["epoch"].tolist() == [0, 1, 2, 0, 1]


def test_lambda_callbacks_are_checked():
    with pytest.raises(pynn.UnknownNameError, match="on_epoch_end"):
        pynn.LambdaCallback(on_epoch=print)
    with pytest.raises(pynn.ArgumentTypeError, match="function"):
        pynn.LambdaCallback(on_epoch_end=3)


def test_an_error_in_a_callback_comes_out_and_training_can_go_on(points):
    x, y = points

    def fail(epoch, logs):
        raise RuntimeError("mine")

    ended = []
    model = make()
    callbacks = [pynn.LambdaCallback(on_epoch_end=fail), pynn.LambdaCallback(on_train_end=lambda logs: ended.append(1))]
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(x, y, callbacks=callbacks)
    assert ended == [1]
    assert len(model.fit(x, y, epochs=2)) == 2


# ---- Ctrl-C


def test_ctrl_c_stops_between_steps(points, capsys):
    x, y = points
    model = make()
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=10**6)
    history = model.history
    assert time.perf_counter() - begin < 5
    assert history.interrupted
    assert 0 < len(history) < 10**6
    assert "interrupted" in capsys.readouterr().err
    assert np.isfinite(model.parameters).all()
    assert signal.getsignal(signal.SIGINT) is before
    assert not model.fit(x, y).interrupted


def test_ctrl_c_is_heard_within_a_long_epoch():
    x = np.zeros((1_000_000, 30), np.float32)
    model = make(metrics=(), layers=[pynn.Dense(200), pynn.Dense(2)])
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, np.zeros(len(x), int), epochs=1, batch_size=8)
    assert model.history.interrupted
    assert time.perf_counter() - begin < 3


# ---- refused steps


def test_a_step_that_would_overflow_changes_nothing(points):
    x, y = points
    model = pynn.Sequential([pynn.Dense(8), pynn.Dense(1)], seed=0)
    model.compile("mse", pynn.SGD(1e30))
    with pytest.raises(pynn.NumericalError) as caught:
        model.fit(x, y, epochs=50)
    report = caught.value.report
    assert report.findings[0].severity == "fault"
    assert report is model.history.report
    assert report.findings[0].evidence["operation"] in str(report.to_dict())
    assert report.findings[0].layer in (0, 1)
    assert report.findings[0].step == model._learner.trainer.steps
    assert np.isfinite(model.parameters).all()


def test_the_row_and_unit_that_overflow_are_named(points):
    x, y = points
    x = x.copy()
    x[321] = 3e38
    model = pynn.Sequential([pynn.Dense(3, kernel_initializer="ones"), pynn.Dense(1)])
    model.compile("mse", "sgd")
    with pytest.raises(pynn.NumericalError, match="layer 0") as caught:
        model.fit(x, y)
    finding = caught.value.report.findings[0]
    assert (finding.code, finding.layer, finding.rows, finding.columns) == ("exploding_activation", 0, [321], [0, 1, 2])
    assert finding.evidence["operation"] == "gemm"
    assert not finding.evidence["fails_in_float64"]


def test_train_step_tells_of_a_refusal(points):
    x, y = points
    model = make()
    good = model.train_step(x[:8], y[:8])
    assert good.applied
    assert good.findings == []
    assert good.loss > 0
    assert good.grad_norm > 0
    before = bits(model)
    bad = x[:8].copy()
    bad[3, 1] = np.nan
    with pytest.warns(pynn.TrainingWarning, match="refused"):
        result = model.train_step(bad, y[:8])
    assert not result.applied
    assert np.isnan(result.loss)
    assert (result.findings[0].code, result.findings[0].rows, result.findings[0].columns) == (
        "nonfinite_input",
        [3],
        [1],
    )
    assert bits(model) == before
    loader = pynn.DataLoader(np.repeat(x, 2, 0), np.repeat(y, 2), shuffle=True, batch_size=10)
    loader.X[777, 1] = np.inf
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for xb, yb in loader:
            step = model.train_step(xb, yb)
            rows += [row for finding in step.findings for row in finding.rows]
    assert rows == [777]


def test_a_stream_with_a_bad_cell_names_the_row(points):
    x, y = points
    x = x.copy()
    x[431, 0] = np.nan

    class Source:
        def __len__(self):
            return len(x)

        def read_rows(self, rows):
            return x[rows]

    with pytest.raises(pynn.NumericalError, match=r"X\[431, 0\]") as caught:
        make().fit(pynn.DataLoader(Source(), y, shuffle=True, seed=1))
    assert caught.value.report.findings[0].rows == [431]


def test_streams_that_are_none(points):
    x, y = points
    with pytest.raises(pynn.ArgumentTypeError, match="runs out"):
        make().fit(iter([(x, y)]), epochs=2)
    for bad in ([x], [(x,)], x):
        with pytest.raises(pynn.ArgumentTypeError, match=r"\(xb, yb\)|targets"):
            make().fit(b for b in bad)
    once = make()
    once.fit(((x[i : i + 50], y[i : i + 50]) for i in range(0, 600, 50)), validation_data=(x, y))
    by_hand = make()
    by_hand.fit(x, y, batch_size=50, shuffle=False)
    assert bits(once) == bits(by_hand)
    with pytest.raises(pynn.ArgumentTypeError, match="targets"):
        make().fit(pynn.DataLoader(x))


# ---- progress


def test_silent_where_nobody_watches(points, capsys):
    x, y = points
    make().fit(x, y)
    make().fit(x, y, verbose=0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_one_line_for_each_epoch(points, capsys):
    x, y = points
    make().fit(x, y, epochs=3, verbose=2, validation_split=0.1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("epoch 2/3: loss ")
    assert "val_accuracy" in lines[2]


def test_a_notebook_sees_progress_though_its_stderr_is_no_terminal(points, monkeypatch, capsys):
    pytest.importorskip("tqdm")

    class Kernel:
        kernel = object()

    x, y = points
    shells = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", shells)
    for shell, shown in ((None, False), (object(), False), (Kernel(), True)):  # noqa: B007
        make().fit(x, y, epochs=1)
        assert ("epoch 1/1" in capsys.readouterr().err) == shown


def test_a_bar(points, capsys):
    pytest.importorskip("tqdm")
    x, y = points
    make().fit(x, y, epochs=2, verbose=1)
    err = capsys.readouterr().err
    assert "epoch 2/2: 100%" in err
    assert "accuracy" in err


def test_progress_tells_what_the_guard_did_and_is_calm_in_logs(points, capsys):
    x, y = points
    x = x.copy()
    x[:: len(x) // 40, 0] = np.nan  # a bad row in most batches
    guard = pynn.Guard(policy="skip", streak=1000)
    make().fit(x, y, epochs=1, batch_size=8, verbose=2, guard=guard)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6  # five of many, and the epoch
    assert re.search(r"guard: \d\d+ skipped$", lines[-1])
    pytest.importorskip("tqdm")
    make().fit(x, y, epochs=1, batch_size=8, verbose=1, guard=guard)
    err = capsys.readouterr().err
    assert err.count("a cell of X is nan") == 1
    assert re.search(r"guard: \d\d+ skipped", err)


# ---- what changes between batches, and what is not there


def still(metrics, units=2, loss="softmax_cross_entropy"):
    """A model that steps do not move to speak of."""
    model = pynn.Sequential([pynn.Dense(units)], seed=0)
    model.compile(loss=loss, optimizer=pynn.SGD(1e-30), metrics=metrics)
    return model


class Stream:
    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def test_metrics_of_batches_with_and_without_weights():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(96, 4)), rng.integers(0, 2, 96)
    first, second, third = ((x[i : i + 32], y[i : i + 32]) for i in (0, 32, 64))
    some = np.r_[np.full(4, 5.0), np.zeros(28)]
    mixed = still(["accuracy"]).fit(Stream((*first, some), second, (*third, some)))[-1]
    ones = still(["accuracy"]).fit(Stream((*first, some), (*second, np.ones(32)), (*third, some)))[-1]
    assert (
        mixed["accuracy"] == ones["accuracy"] != still(["accuracy"]).fit(Stream(first, second, third))[-1]["accuracy"]
    )
    begun_without = still(["accuracy"]).fit(Stream(second, (*first, some)))[-1]
    assert (
        begun_without["accuracy"]
        == still(["accuracy"]).fit(Stream((*second, np.ones(32)), (*first, some)))[-1]["accuracy"]
    )


def test_metrics_of_batches_whose_targets_change_their_kind():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 4)), rng.integers(0, 2, 64)
    one_hot = np.eye(2)[y]
    labels = still(["accuracy"]).fit(Stream((x[:32], y[:32]), (x[32:], y[32:])))[-1]["accuracy"]
    for a, b in ((y, one_hot), (one_hot, y), (y.astype(np.int8), y)):
        assert still(["accuracy"]).fit(Stream((x[:32], a[:32]), (x[32:], b[32:])))[-1]["accuracy"] == labels
    numbers = rng.normal(size=32)
    whole = still(["mse"], 1, "mse").fit(Stream((x[:32], np.ones(32, int)), (x[32:], numbers)))[-1]
    assert whole["mse"] == pytest.approx(whole["loss"])


class Emptied(pynn.Callback):
    """Turns the data into NaN after the first epoch."""

    def __init__(self, data):
        self.data = data

    def on_epoch_begin(self, epoch, logs):
        if epoch:
            self.data[:] = np.nan


@pytest.mark.filterwarnings("ignore::pynn.errors.TrainingWarning")
def test_the_loss_of_an_epoch_without_a_step_is_nan_and_never_the_best(points, tmp_path):
    x, y = np.array(points[0]), points[1]
    stopping = pynn.callbacks.EarlyStopping("loss", patience=9)
    saving = pynn.callbacks.ModelCheckpoint(tmp_path / "best.safetensors", "loss", save_best_only=True)
    lowering = pynn.callbacks.ReduceLROnPlateau("loss", patience=1)
    callbacks = [Emptied(x), stopping, saving, lowering]
    history = make().fit(x, y, epochs=3, guard=pynn.Guard("skip", streak=999), callbacks=callbacks)
    assert history[0]["loss"] > 0
    assert all(np.isnan(epoch["loss"]) and np.isnan(epoch["accuracy"]) for epoch in history.epochs[1:])
    assert stopping.best == saving.best == lowering.best == history[0]["loss"]
    assert stopping.best_epoch == 0


@pytest.mark.filterwarnings("ignore::pynn.errors.TrainingWarning")
@pytest.mark.parametrize("streamed", [False, True])
def test_a_batch_passed_over_counts_and_has_no_loss(points, streamed):
    x, y = np.array(points[0][:96]), points[1][:96]
    x[[3, 70]] = np.nan
    begun, ended = [], []
    callback = pynn.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: begun.append(batch),
        on_train_batch_end=lambda batch, logs: ended.append(
            (batch, np.isnan(logs["loss"]), np.isnan(logs["grad_norm"]))
        ),
    )
    batches = Stream(*((x[i : i + 16], y[i : i + 16]) for i in range(0, 96, 16)))
    data = (batches,) if streamed else (x, y)
    options = {} if streamed else {"batch_size": 16, "shuffle": False}
    history = make().fit(*data, guard="skip", callbacks=[callback], **options)
    assert begun == [0, 1, 2, 3, 4, 5]
    assert ended == [(batch, batch in (0, 4), batch in (0, 4)) for batch in range(6)]
    assert np.isfinite(history[0]["loss"])


# ---- rows of weight 0


@pytest.mark.parametrize("optimizer", [pynn.SGD(0.1), pynn.LBFGS(max_iter=5)])
@pytest.mark.parametrize("scaling", [None, "standard"])
def test_a_row_of_weight_0_may_have_no_target(optimizer, scaling):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    y, weights = x.sum(axis=1), np.ones(200)
    weights[[3, 150]] = 0
    found = []
    for target in (np.nan, np.inf) if scaling else (0.0, np.nan):
        y[[3, 150]] = target
        model = pynn.Sequential([pynn.Dense(1)], seed=0)
        model.compile("mse", optimizer, metrics=["mse", "mae", "r2"], target_scaling=scaling)
        logs = model.fit(x, y, sample_weight=weights, validation_data=(x, y, weights))[-1]
        found.append((bits(model), logs | {"seconds": 0}, model.evaluate(x, y, sample_weight=weights)))
    assert found[0] == found[1]
    assert found[0][2]["r2"] > 0
    y[7] = np.inf
    with pytest.raises(pynn.NumericalError, match=r"expected y of finite numbers; received y\[7\]=inf"):
        model.fit(x, y, sample_weight=weights)
    y[7], x[3, 1] = 0, np.nan
    with pytest.raises(pynn.NumericalError, match=r"expected X of finite numbers; received X\[3, 1\]=nan"):
        model.fit(x, y, sample_weight=weights)


@pytest.mark.parametrize(("loss", "rule"), [("sigmoid_cross_entropy", r"y in \[0, 1\]"), ("poisson", "y >= 0")])
def test_a_missing_target_hides_no_wrong_one(loss, rule):
    y, weights = np.ones(8), np.ones(8)
    y[3], weights[3], y[5] = np.nan, 0, -7
    model = still([], 1, loss)
    with pytest.raises(pynn.LabelError, match=rf"expected {rule} with the loss '{loss}'; received y\[5, 0\]=-7"):
        model.fit(np.eye(8), y, sample_weight=weights)
    y[5] = 0
    assert np.isfinite(model.fit(np.eye(8), y, sample_weight=weights)[-1]["loss"])
