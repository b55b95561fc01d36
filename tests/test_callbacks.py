"""Callbacks: their rules, their files, their state between runs, and what an exception in one leaves behind."""

import csv
import json
import struct

import numpy as np
import pytest

import pynn


def made(seed=0):
    model = pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.Dense(2)], seed=seed)
    model.compile("softmax_cross_entropy", pynn.SGD(learning_rate=0.1), metrics=["accuracy"])
    return model


class Scripted(pynn.Callback):
    """Puts numbers of its own into the logs, for others to watch."""

    def __init__(self, values, name="val_loss"):
        self.values, self.name, self.at = list(values), name, 0

    def on_epoch_end(self, epoch, logs):
        logs[self.name] = self.values[self.at]
        self.at += 1


def scripted(points, values, *callbacks, name="val_loss", **options):
    """A run of one epoch for each of these values, which `name` takes."""
    model = made()
    model.fit(*points, epochs=len(values), batch_size=600, callbacks=[Scripted(values, name), *callbacks], **options)
    return model


# ---- hooks


class Recorder(pynn.Callback):
    def __init__(self, fails=None):
        self.seen, self.fails = [], fails

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        def note(*arguments):
            self.seen.append((name, *[a for a in arguments if not isinstance(a, dict)]))
            if name == self.fails:
                raise RuntimeError("a callback's own")

        return note


def test_hooks_come_in_keras_order(points):
    recorder = Recorder()
    made().fit(*points, epochs=2, batch_size=400, validation_data=points, callbacks=[recorder])
    batch = [("on_train_batch_begin", i) if k == 0 else ("on_train_batch_end", i) for i in range(2) for k in range(2)]
    epochs = [
        [("on_epoch_begin", e), *batch, ("on_test_begin",), ("on_test_end",), ("on_epoch_end", e)] for e in range(2)
    ]
    assert recorder.seen == [("on_train_begin",), *epochs[0], *epochs[1], ("on_train_end",)]


def test_the_old_names_of_batch_methods_are_called(points):
    class Old(pynn.Callback):
        def __init__(self):
            self.batches = []

        def on_batch_end(self, batch, logs):
            self.batches.append((batch, logs["loss"] > 0))

    old = Old()
    assert old.uses_batches
    assert not pynn.Callback().uses_batches
    made().fit(*points, batch_size=300, callbacks=[old])
    assert old.batches == [(0, True), (1, True)]


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end",
                                  "on_test_begin", "on_test_end", "on_epoch_end", "on_train_end"])  # fmt: skip
def test_an_exception_leaves_model_and_history_consistent(points, hook, tmp_path):
    model, witness, log = made(), Recorder(), pynn.JSONLogger(tmp_path / "log")
    with pytest.raises(RuntimeError, match="a callback's own"):
        model.fit(*points, epochs=3, batch_size=300, validation_data=points,
                  callbacks=[log, Recorder(fails=hook), witness])  # fmt: skip
    finished = {"on_epoch_end": 1, "on_train_end": 3}.get(hook, 0)
    assert len(model.history) == finished
    assert len((tmp_path / "log").read_text().splitlines()) == finished if finished else True
    assert log._file is None
    assert witness.seen[-1] == ("on_train_end",)
    assert np.isfinite(model.parameters).all() if model.built else True
    history = model.fit(*points, epochs=1, batch_size=300)  # and it goes on
    assert len(history) == 1
    steps = {"on_epoch_end": 2, "on_train_end": 6, "on_test_begin": 2, "on_test_end": 2, "on_train_batch_end": 1}
    assert model._learner.trainer.steps == steps.get(hook, 0) + 2


# ---- rules


def test_early_stopping_rules(points):
    falls = [5, 4, 4.5, 3, 3, 2.95, 3, 1]
    stop = pynn.EarlyStopping(patience=2, min_delta=0.1)
    assert len(scripted(points, falls, stop).history) == 6
    assert (stop.best, stop.best_epoch, stop.stopped_epoch) == (3, 3, 5)
    stop = pynn.EarlyStopping(patience=2, start_from_epoch=4)
    assert len(scripted(points, falls, stop).history) == 8
    assert stop.best_epoch == 7
    stop = pynn.EarlyStopping(baseline=2)
    assert len(scripted(points, falls, stop).history) == 1
    stop = pynn.EarlyStopping("val_accuracy", patience=1)  # up
    assert len(scripted(points, [1, 2, 3, 2], stop, name="val_accuracy").history) == 4
    stop = pynn.EarlyStopping("score", mode="max", patience=1)
    assert len(scripted(points, [1, 2, 3, 2, 9], stop, name="score").history) == 4


def test_the_best_weights_come_back(points):
    kept = []
    keep = pynn.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(keep.model.parameters.copy()))
    stop = pynn.EarlyStopping(patience=3, restore_best_weights=True)
    model = scripted(points, [3, 1, 2, 2, 2, 2], stop, keep)
    np.testing.assert_array_equal(model.parameters, kept[1])
    assert not np.array_equal(kept[1], kept[-1])


def test_reduce_on_plateau_follows_keras_rule(points):
    """The table of csrc/tests/test_schedules.c."""
    values = [5, 4, 4, 3.95, 3.95, 3.95, 3.9, 3.9, 3.9, *[1] * 8]
    rates = [1, 1, 1, *[0.5] * 3, *[0.25] * 5, *[0.2] * 6]
    for sign in (1, -1):
        seen = []
        plateau = pynn.ReduceLROnPlateau(factor=0.5, patience=2, cooldown=2, min_delta=0.1, min_lr=0.2,
                                         mode="min" if sign > 0 else "max")  # fmt: skip
        first = pynn.LambdaCallback(on_train_begin=lambda logs, f=plateau: setattr(f.model, "learning_rate", 1.0))
        note = pynn.LambdaCallback(on_epoch_end=lambda e, logs, s=seen, f=plateau: s.append(f.model.learning_rate))
        scripted(points, [sign * value for value in values], plateau, first, note)
        assert seen == rates


def by_default(epoch, learning_rate=0.1):
    return learning_rate / (epoch + 1)


@pytest.mark.parametrize(("schedule", "rates"), [
    (lambda epoch: 0.1 * 0.5**epoch, [0.1, 0.05, 0.025]), (lambda epoch, rate: rate / 2, [0.05, 0.025, 0.0125]),
    (by_default, [0.1, 0.05, 0.1 / 6]), ([0.3, 0.2, 0.1].__getitem__, [0.3, 0.2, 0.1]),
])  # fmt: skip
def test_a_schedule_of_one_or_two_arguments(points, schedule, rates):
    history = made().fit(*points, epochs=3, callbacks=[pynn.LearningRateScheduler(schedule)])
    assert history["learning_rate"] == pytest.approx(rates)


def test_schedules_that_cannot_be(points):
    for wrong in (lambda: 0.1, lambda epoch, rate, more: 0.1):
        with pytest.raises(TypeError, match=r"f\(epoch\) or f\(epoch, learning_rate\)"):
            pynn.LearningRateScheduler(wrong)
    for wrong in (None, "0.1", float("nan"), -1.0):
        with pytest.raises(
            (ValueError, TypeError), match=r"schedule\(0\) as a finite number > 0; received schedule\(0\)="
        ):
            made().fit(*points, callbacks=[pynn.LearningRateScheduler([wrong].__getitem__)])


def test_learning_rate_scheduler(points):
    model = made()
    history = model.fit(*points, epochs=4, callbacks=[pynn.LearningRateScheduler(lambda e, rate: rate / (e + 1))])
    assert history.history["learning_rate"] == pytest.approx([0.1, 0.05, 0.1 / 6, 0.1 / 24])
    model.compile("softmax_cross_entropy", pynn.SGD(learning_rate=pynn.schedules.CosineDecay()))
    with pytest.raises(pynn.ArgumentValueError, match="CosineDecay"):
        model.fit(*points, callbacks=[pynn.LearningRateScheduler(lambda e, rate: rate)])


@pytest.mark.filterwarnings("ignore::pynn.errors.TrainingWarning")
def test_a_scheduler_keeps_what_rollbacks_left(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(640, 4))
    y = x.sum(axis=1)
    asked = []

    def constant(epoch, rate):
        asked.append(rate)
        return 30.0

    def trained(epochs, **options):
        model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(1)], seed=0)
        model.compile("mse", pynn.SGD(30.0))
        callbacks = [pynn.LearningRateScheduler(constant)]
        return model, model.fit(x, y, batch_size=16, epochs=epochs, guard="rollback", callbacks=callbacks, **options)

    model, history = trained(6)
    factors = [e["new_learning_rate"] / e["learning_rate"] for e in history.ledger if e["kind"] == "rolled_back"]
    assert 0 < len(factors) < 10
    assert history[-1]["learning_rate"] == pytest.approx(30 * np.prod(factors))
    assert asked == pytest.approx([30.0] * 6)
    assert history[-1]["loss"] < 1
    trained(3, checkpoint=tmp_path / "run")
    again, resumed = trained(6, checkpoint=tmp_path / "run", resume=True)
    assert again.parameters.tobytes() == model.parameters.tobytes()
    assert resumed.history["learning_rate"] == history.history["learning_rate"]


# ---- files


def test_checkpoints_of_models(points, tmp_path):
    values = [3, 1, 2, 0.5]
    pattern = tmp_path / "m-{epoch:02d}-{val_loss:.1f}.safetensors"
    last, best = tmp_path / "last.safetensors", tmp_path / "best.safetensors"
    kept = []
    callbacks = [pynn.ModelCheckpoint(pattern), pynn.ModelCheckpoint(last),
                 pynn.ModelCheckpoint(best, save_best_only=True, initial_value_threshold=0.7)]  # fmt: skip
    keep = pynn.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.append((keep.model.parameters.copy(), best.exists()))
    )
    model = scripted(points, values, *callbacks, keep)
    names = sorted(path.name for path in tmp_path.glob("m-*"))
    assert names == [f"m-{i + 1:02d}-{v:.1f}.safetensors" for i, v in enumerate(values)]
    for name, (parameters, _) in zip(names, kept, strict=True):
        np.testing.assert_array_equal(pynn.load(tmp_path / name).parameters, parameters)
    np.testing.assert_array_equal(pynn.load(last).parameters, model.parameters)
    assert [there for _, there in kept] == [False, False, False, True]
    steps = pynn.ModelCheckpoint(tmp_path / "step", save_freq=3)
    assert steps.uses_batches
    made().fit(*points, batch_size=250, callbacks=[steps])
    assert (tmp_path / "step").exists()
    with pytest.raises(pynn.UnknownNameError, match="no_such"):
        made().fit(*points, callbacks=[pynn.ModelCheckpoint(tmp_path / "{no_such}")])


def test_loggers(points, tmp_path):
    table, lines = tmp_path / "log.csv", tmp_path / "log.jsonl"
    for _ in range(2):
        scripted(points, [3, float("inf")], pynn.CSVLogger(table, append=True), pynn.JSONLogger(lines, append=True))
    rows = list(csv.DictReader(table.open()))
    assert [float(row["val_loss"]) for row in rows] == [3, float("inf")] * 2
    parsed = [
        json.loads(line, parse_constant=lambda name: pytest.fail(name)) for line in lines.read_text().splitlines()
    ]
    assert [row["val_loss"] for row in parsed] == [3, None] * 2
    assert [row["epoch"] for row in parsed] == [0, 1] * 2
    assert float(rows[0]["loss"]) == parsed[0]["loss"]


def test_tensorboard(points, tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    model = made()
    history = model.fit(*points, epochs=3, callbacks=[pynn.callbacks.TensorBoard(tmp_path, histograms=True)])
    seen, histograms = {}, 0
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    seen[value.tag, event.step] = value.simple_value
                histograms += value.HasField("histo")
    assert histograms == 3 * 4
    for epoch, logs in enumerate(history):
        for name, value in logs.items():
            assert seen[name, epoch] == pytest.approx(value, rel=1e-6)


# ---- state


@pytest.mark.parametrize("after", [1, 3, 4])
def test_state_goes_on_in_another_process(points, tmp_path, after):
    """A run cut in two, with the states carried over, acts as the run in one piece."""
    values = [5, 4, 4.2, 4.1, 4.3, 3, 4, 4, 4, 4]

    def callbacks(folder):
        folder.mkdir(exist_ok=True)
        return [
            pynn.EarlyStopping(patience=4, restore_best_weights=True), pynn.ReduceLROnPlateau(patience=2, cooldown=1),
            pynn.ModelCheckpoint(folder / "best", save_best_only=True), pynn.CSVLogger(folder / "log.csv"),
            pynn.JSONLogger(folder / "log.jsonl"),
        ]  # fmt: skip

    class Carry(pynn.Callback):
        """Loads the states that the run before left, after all others have begun."""

        def __init__(self, others, states=None):
            self.others, self.states = others, states

        def on_train_begin(self, logs):
            for other, state in zip(self.others, self.states or [], strict=bool(self.states)):
                other.load_state_dict(state)

        def on_epoch_end(self, epoch, logs):
            self.states = [other.state_dict() for other in self.others]

    whole = callbacks(tmp_path / "whole")
    one = made()
    one.fit(*points, epochs=len(values), batch_size=600, callbacks=[Scripted(values), *whole])

    model, first = made(), callbacks(tmp_path / "cut")
    carry = Carry(first)
    stop = pynn.LambdaCallback(on_epoch_end=lambda e, logs: setattr(model, "stop_training", e == after))
    parameters = []
    keep = pynn.LambdaCallback(on_epoch_end=lambda e, logs: parameters.append(model.parameters.copy()))
    model.fit(*points, epochs=len(values), batch_size=600, callbacks=[Scripted(values), *first, carry, stop, keep])
    model.parameters[...] = parameters[-1]  # EarlyStopping gave the best ones back
    (tmp_path / "cut" / "log.csv").open("a").write("9,lines,of,an,epoch,that,the,checkpoint,does,not,know\n")
    states = json.loads(json.dumps(carry.states, default=lambda a: a.tolist()))
    for state in states:
        for name in [name for name in state if name.startswith("weights.")]:
            state[name] = np.array(state[name], np.float32)
    second = callbacks(tmp_path / "cut")
    model.fit(*points, epochs=len(values), initial_epoch=after + 1, batch_size=600,
              callbacks=[Scripted(values[after + 1 :]), *second, Carry(second, states)])  # fmt: skip
    np.testing.assert_array_equal(model.parameters, one.parameters)
    assert second[0].best_epoch == whole[0].best_epoch
    assert second[0].stopped_epoch == whole[0].stopped_epoch
    assert model.learning_rate == one.learning_rate

    def columns(folder):
        rows = list(csv.DictReader((tmp_path / folder / "log.csv").open()))
        lines = [json.loads(line) for line in (tmp_path / folder / "log.jsonl").read_text().splitlines()]
        return [[row.get(name) for name in ("epoch", "loss", "val_loss", "learning_rate")] for row in rows + lines]

    assert columns("cut") == columns("whole")
    assert (tmp_path / "cut" / "best").read_bytes() == (tmp_path / "whole" / "best").read_bytes()


# ---- arguments


@pytest.mark.parametrize("make", [
    lambda: pynn.EarlyStopping(patience=-1), lambda: pynn.EarlyStopping(min_delta=-1),
    lambda: pynn.EarlyStopping(mode="sideways"), lambda: pynn.EarlyStopping(start_from_epoch=-1),
    lambda: pynn.ReduceLROnPlateau(factor=1), lambda: pynn.ReduceLROnPlateau(patience=-1),
    lambda: pynn.ReduceLROnPlateau(min_lr=-1), lambda: pynn.ModelCheckpoint("x", save_freq=0),
    lambda: pynn.ModelCheckpoint("x", save_freq="step"), lambda: pynn.LearningRateScheduler(0.1),
    lambda: pynn.LambdaCallback(on_epoch_end=3), lambda: pynn.LambdaCallback(on_nothing=print),
    lambda: pynn.EarlyStopping(patience="3"), lambda: pynn.EarlyStopping(patience=1.5), lambda: pynn.EarlyStopping(3),
    lambda: pynn.EarlyStopping(min_delta="a"), lambda: pynn.EarlyStopping(baseline="a"),
    lambda: pynn.ReduceLROnPlateau(factor="0.1"), lambda: pynn.ReduceLROnPlateau(cooldown=0.5),
    lambda: pynn.EMA("0.9"), lambda: pynn.SWA(start=1.5), lambda: pynn.SWA(every=True), lambda: pynn.CSVLogger(None),
    lambda: pynn.ModelCheckpoint(None), lambda: pynn.LearningRateScheduler(pynn.schedules.CosineDecay()),
])  # fmt: skip
def test_bad_arguments_are_said(make):
    with pytest.raises((ValueError, TypeError), match=r"^expected .*received"):
        make()


class Fits(pynn.Callback):
    def on_epoch_end(self, epoch, logs):
        self.model.fit(np.zeros((4, 2)), np.zeros(4, int))


@pytest.mark.parametrize(("callbacks", "options", "message"), [
    (lambda: [pynn.ReduceLROnPlateau("loss")], {"scheduled": True}, r"ReduceLROnPlateau.*received.*CosineDecay"),
    (lambda: [pynn.LearningRateScheduler(lambda e, rate: rate)], {"scheduled": True}, r"received.*CosineDecay"),
    (lambda: [pynn.EMA(0.5), pynn.SWA()], {}, r"one EMA or SWA.*received two"),
    (lambda: [pynn.CSVLogger("no_such_folder/log.csv")], {}, r"folder that exists; received filename"),
    (lambda: [pynn.ModelCheckpoint("no_such_folder/{epoch}")], {}, r"folder that exists; received filepath"),
    (lambda: [pynn.EarlyStopping], {}, r"received.*write EarlyStopping\(\)"),
    (list, {"validation_data": iter([])}, r"validation_data.*received an iterator"),
])  # fmt: skip
def test_what_could_not_go_on_does_not_begin(points, callbacks, options, message):
    rate = pynn.schedules.CosineDecay() if options.pop("scheduled", False) else 0.1
    model = made().build(2)
    model.compile("softmax_cross_entropy", pynn.SGD(learning_rate=rate))
    before = np.array(model.parameters)
    with pytest.raises((ValueError, TypeError, OSError), match=message):
        model.fit(*points, epochs=2, callbacks=callbacks(), **options)
    np.testing.assert_array_equal(model.parameters, before)
    assert not model._learner.averages


def test_a_fit_within_a_fit_is_refused(points):
    model = made()
    with pytest.raises(pynn.ArgumentValueError, match="from a callback"):
        model.fit(*points, epochs=2, callbacks=[Fits()])
    assert len(model.fit(*points, epochs=2)) == 2


def test_an_average_that_never_began_is_said(points):
    model = made()
    with pytest.warns(pynn.TrainingWarning, match=r"nothing was averaged.*start=1000"):
        model.fit(*points, callbacks=[pynn.SWA(start=1000)])


@pytest.mark.parametrize("patience", [1, 3])
@pytest.mark.parametrize("cooldown", [0, 1, 3])
def test_reduce_on_plateau_is_pytorchs(points, patience, cooldown):
    """With its `patience` and `cooldown` one less: it waits for more than `patience` epochs."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(patience + 10 * cooldown)
    for mode in ("min", "max"):
        values = np.round(rng.uniform(size=40).cumsum() * rng.choice([-1, 1]) + rng.normal(size=40), 1)
        seen, theirs = [], []
        optimizer = torch.optim.SGD([torch.zeros(1)], 0.1)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, 0.5, patience - 1, 0.05, "abs", max(0, cooldown - 1), 0.001, 0.0
        )
        for value in values:
            scheduler.step(value)
            theirs.append(optimizer.param_groups[0]["lr"])
        plateau = pynn.ReduceLROnPlateau(
            factor=0.5, patience=patience, mode=mode, min_delta=0.05, cooldown=cooldown, min_lr=0.001
        )
        note = pynn.LambdaCallback(on_epoch_end=lambda e, logs, s=seen, c=plateau: s.append(c.model.learning_rate))
        scripted(points, values.tolist(), plateau, note)
        np.testing.assert_allclose(seen, theirs, rtol=1e-9)
        assert len(set(theirs)) > 1


@pytest.mark.parametrize("callback", [
    pynn.EarlyStopping(), pynn.ReduceLROnPlateau(), pynn.ModelCheckpoint("x", save_best_only=True)
])  # fmt: skip
def test_a_value_that_is_not_there_is_said(points, callback):
    with pytest.raises(pynn.UnknownNameError, match=r"'loss'.*validation_data"):
        made().fit(*points, callbacks=[callback])


# ---- epochs, steps, validation


def test_initial_epoch_goes_on_where_a_run_was(points, tmp_path):
    one = made()
    one.fit(*points, epochs=5, batch_size=64)
    two = made()
    two.fit(*points, epochs=2, batch_size=64)
    two.save(tmp_path / "m")
    three = pynn.load(tmp_path / "m")
    seen = []
    history = three.fit(*points, epochs=5, initial_epoch=2, batch_size=64,
                        callbacks=[pynn.LambdaCallback(on_epoch_begin=lambda e, logs: seen.append(e))])  # fmt: skip
    assert seen == [2, 3, 4]
    assert len(history) == 3
    np.testing.assert_array_equal(three.parameters, one.parameters)
    for bad in (5, -1, 1.0):
        with pytest.raises((ValueError, TypeError), match="initial_epoch"):
            three.fit(*points, epochs=5, initial_epoch=bad)


@pytest.mark.parametrize("steps", [1, 3, 10, 13, 25])
@pytest.mark.parametrize("kind", ["arrays", "loader", "batches", "iterator"])
def test_steps_per_epoch(points, steps, kind):
    """The same steps as epochs through the data, cut differently: 10 batches of 64 rows are in them."""
    x, y = points
    count = 0
    epochs = 5

    def loader():
        return pynn.DataLoader(x, y, batch_size=64, shuffle=True)

    data = {
        "arrays": lambda: (x, y), "loader": lambda: (loader(),), "batches": lambda: (list(loader()),),
        "iterator": lambda: (iter([batch for one in [loader()] for _ in range(13) for batch in one]),),
    }[kind]()  # fmt: skip
    if kind == "batches":
        data = (Repeated(loader),)
    model, by_hand = made(), made()
    note = pynn.LambdaCallback(on_epoch_end=lambda e, logs: ends.append(model._learner.trainer.steps))
    ends = []
    model.fit(*data, epochs=epochs, batch_size=64, steps_per_epoch=steps, callbacks=[note]) if kind == "arrays" else (
        model.fit(*data, epochs=epochs, steps_per_epoch=steps, callbacks=[note])
    )
    assert ends == [steps * (i + 1) for i in range(epochs)]
    batches = loader()
    while count < steps * epochs:
        for xb, yb in batches:
            if count < steps * epochs:
                by_hand.train_step(xb, yb)
                count += 1
    np.testing.assert_array_equal(model.parameters, by_hand.parameters)


class Repeated:
    """Batches of a loader whose epochs go on."""

    def __init__(self, make):
        self.loader = make()

    def __iter__(self):
        yield from self.loader


def test_validation_takes_loaders_and_batches(points):
    x, y = points
    w = np.linspace(0, 2, len(x))
    expected = made().fit(x, y, epochs=2, validation_data=(x, y, w)).history
    for data in (
        pynn.DataLoader(x, y, sample_weight=w, batch_size=50), Batched(x, y, w, 7), Batched(x, y, w, 600),
    ):  # fmt: skip
        found = made().fit(x, y, epochs=2, validation_data=data).history
        for name in ("val_loss", "val_accuracy"):
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)
        model = made()
        model.build(2)
        assert model.evaluate(data) == pytest.approx(model.evaluate(x, y, sample_weight=w), rel=1e-12)
    with pytest.raises(pynn.ArgumentTypeError, match=r"\(xb, yb\)"):
        made().fit(x, y, validation_data=Batched(x, y, None, 7))
    with pytest.raises(pynn.ShapeError, match="row"):
        made().fit(x, y, validation_data=Batched(x[:0], y[:0], w[:0], 7))


class Batched:
    """Batches of so many rows, every time it is iterated."""

    def __init__(self, x, y, w, rows):
        self.data, self.rows = (x, y, w), rows

    def __iter__(self):
        x, y, w = self.data
        for first in range(0, len(x), self.rows):
            part = slice(first, first + self.rows)
            yield (x[part], y[part], w[part]) if w is not None else x[part]


def test_what_is_missing_for_a_value_is_said(points):
    with pytest.raises(pynn.UnknownNameError, match="fit needs validation_data"):
        made().fit(*points, callbacks=[pynn.EarlyStopping()])
    with pytest.raises(pynn.UnknownNameError, match=r"received monitor='val_mae'; what compile\(metrics"):
        made().fit(*points, validation_data=points, callbacks=[pynn.EarlyStopping("val_mae")])
