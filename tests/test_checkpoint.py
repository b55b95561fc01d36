"""Checkpoints: a run that was killed and goes on ends with the bits of one that never stopped; what else may happen."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn.training import batches, metrics
from pynn.training import checkpoint as checkpoint_

ROWS = 330


class KilledHere(BaseException):
    """Stands for the end of the process: nothing of pynn catches it."""


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, 4)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


def make(optimizer=None, metrics=("accuracy", "mae", "r2"), dtype="float32", seed=5, layers=None):
    layers = layers or [pynn.Dense(10, activation="relu"), pynn.Dropout(0.2), pynn.Dense(2)]
    model = pynn.Sequential(layers, seed=seed, dtype=dtype)
    model.compile("softmax_cross_entropy", optimizer or pynn.Adam(learning_rate=0.01), metrics)
    return model


def outcome(model):
    """All that two runs of the same bits have in common."""
    history = model.history
    epochs = [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in history]
    slots = [np.asarray(slot).tobytes() for slot in model._learner.trainer.slots]
    ledger = json.dumps(history.ledger)
    return model.parameters.tobytes(), slots, model._learner.trainer.steps, model.learning_rate, epochs, ledger


def run(setup, path=None, die_after=None, epochs=4, resume=False, every=7):
    """One process's life: `setup` makes everything anew; dies after so many checkpoints were written."""
    model, x, y, options = setup()
    if path is None:
        model.fit(x, y, epochs=epochs, **options)
        return model
    saved = 0

    def save(self, state, steps, original=checkpoint_.Saver.save):
        nonlocal saved
        original(self, state, steps)
        saved += 1
        if saved == die_after:
            self.finish()
            raise KilledHere

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_.Saver, "save", save)
        settings = pynn.Checkpoint(path, every_steps=every)
        try:
            model.fit(x, y, epochs=epochs, checkpoint=settings, resume=resume, **options)
        except KilledHere:
            return None
    return model


def check_goes_on(setup, path, epochs=4, every=7, deaths=(1, 2, 3, 5, 8, 11)):
    """Killed after each of some checkpoints, and once after every one: always the bits of the run without a stop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        whole = run(setup, epochs=epochs)
        expected = outcome(whole)
        for deaths_at in [[n] for n in deaths] + [[1] * 40]:
            path.unlink(missing_ok=True)
            lives = 0
            for death in deaths_at:
                model = run(setup, path, death, epochs, resume=True, every=every)
                lives += 1
                if model is not None:
                    break
            if model is None:
                model = run(setup, path, None, epochs, resume=True, every=every)
            assert outcome(model) == expected
        assert lives > 3
    return whole, model


def tensor(path, name):
    """The numbers of a file that a reader of safetensors finds under a name."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:end])[name]
    dtype = {"I64": "<i8", "F64": "<f8", "F32": "<f4"}[entry["dtype"]]
    begin, stop = entry["data_offsets"]
    return np.frombuffer(data[end + begin : end + stop], dtype).tolist()


def patient():
    """A callback that waits at the end of each epoch until the writer is done: then the next save finds it idle."""

    def wait(epoch, logs):
        for thread in threading.enumerate():
            if thread.name == "pynn-checkpoint":
                thread.join()

    return pynn.LambdaCallback(on_epoch_end=wait)


# ---- the same bits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays(data, tmp_path, dtype, monkeypatch):
    x, y = data
    weights = np.linspace(0, 2, ROWS)
    monkeypatch.setattr(metrics, "ROWS", 100)
    options = {"validation_split": 0.2, "sample_weight": weights, "batch_size": 16}
    check_goes_on(lambda: (make(dtype=dtype), x, y, dict(options)), tmp_path / "run.ckpt")


def test_one_call_of_the_core_may_make_any_number_of_steps(data, tmp_path, monkeypatch):
    """The clock decides how many steps a call makes, and no bit of the history."""
    x, y = data
    expected = None
    for seconds in (0.05, 1e-9):
        monkeypatch.setattr(batches, "SECONDS", seconds)
        model = make()
        model.fit(x, y, epochs=2, batch_size=8)
        expected = expected or outcome(model)
        assert outcome(model) == expected


@pytest.mark.parametrize("optimizer", [pynn.SGD(0.1, momentum=0.9), pynn.RMSprop(pynn.schedules.CosineDecay(0.01, 50))])
def test_optimizers_and_schedules(data, tmp_path, optimizer):
    check_goes_on(lambda: (make(optimizer), *data, {}), tmp_path / "run.ckpt", every=5)


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_guards(data, tmp_path, policy):
    """Rows that are no numbers and a learning rate that cannot go well: skips and rollbacks before and after."""
    x, y = data[0].copy(), data[1]
    x[17] = np.nan
    guard = pynn.Guard(policy, snapshot_every=5, window=8, max_rollbacks=50, clip_z=2.0 if policy == "skip" else 0.0)
    optimizer = pynn.SGD(1e5 if policy == "rollback" else 0.1, momentum=0.9)

    def setup():
        return make(optimizer), x, y, {"guard": guard, "batch_size": 16}

    whole, _ = check_goes_on(setup, tmp_path / "run.ckpt", every=3)
    kinds = {event["kind"] for event in whole.history.ledger}
    assert ("rolled_back" if policy == "rollback" else "skipped") in kinds


def test_callbacks(data, tmp_path):
    """Early stopping stops at the same epoch with the same weights, plateaus too, and a log has each line once."""
    x, y = data

    def setup():
        log = tmp_path / "log.csv"
        callbacks = [
            pynn.EarlyStopping("loss", patience=2, restore_best_weights=True, min_delta=0.02),
            pynn.ReduceLROnPlateau("loss", patience=1, min_delta=0.02),
            pynn.CSVLogger(log),
        ]
        return make(), x, y, {"callbacks": callbacks}

    whole, _ = check_goes_on(setup, tmp_path / "run.ckpt", epochs=30)
    assert 2 < len(whole.history) < 30
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(i) for i in range(len(whole.history))]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("logger", [pynn.CSVLogger, pynn.JSONLogger])
@pytest.mark.parametrize("before", [None, "", "epoch,loss\nolder,1\n"])
@pytest.mark.parametrize("steps", [3, 14])
def test_a_log_that_is_added_to_has_each_line_once(data, tmp_path, logger, before, steps):
    """Killed in the third epoch, with a checkpoint before the first line or after it."""
    log = tmp_path / "log"
    if before is not None:
        log.write_text(before)

    def fit(end):
        options = {"epochs": 4, "checkpoint": pynn.Checkpoint(tmp_path / "run", every_steps=1)}
        make().fit(*data, callbacks=[logger(log, append=True), end], resume=True, **options)

    def die(epoch, logs):
        if epoch == 2:
            os._exit(9)

    child = os.fork()
    if child == 0:
        checkpoint_.Saver.due = lambda self, now: self.saved_steps < 0 and now >= steps
        checkpoint_.Saver.steps_left = lambda self, now: max(steps - now, 1)
        write = checkpoint_.Saver.save
        checkpoint_.Saver.save = lambda self, *arguments: (write(self, *arguments), self.close())
        fit(pynn.LambdaCallback(on_epoch_end=die))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert tensor(tmp_path / "run", "pynn.steps") == [steps]
    killed = log.read_text()
    fit(pynn.LambdaCallback(on_epoch_end=lambda epoch, logs: None))
    written = log.read_text()
    assert written.startswith(before or "")
    assert len(killed.splitlines()) < len(written.splitlines())
    lines = written[len(before or "") :].splitlines()
    if logger is pynn.JSONLogger:
        assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2, 3]
    else:
        header = [] if before else ["epoch"]
        assert [line.split(",")[0] for line in lines] == [*header, "0", "1", "2", "3"]


def test_batches_reported_one_by_one(data, tmp_path):
    class Counts(pynn.Callback):
        def __init__(self):
            self.seen = []

        def on_train_batch_end(self, batch, logs):
            self.seen.append([batch, logs["loss"]])

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state):
            self.seen = state["seen"]

    made = []

    def setup():
        made.append(Counts())
        return make(), *data, {"callbacks": [made[-1]]}

    check_goes_on(setup, tmp_path / "run.ckpt", epochs=2)
    assert made[0].seen == made[-1].seen
    assert len(made[0].seen) == 22


class Rows:
    """A source of rows that lies in no memory."""

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return len(self.array)

    def read_rows(self, rows):
        return self.array[rows]


def sources(x, y, tmp_path):
    np.save(tmp_path / "x.npy", x)
    return {
        "array": lambda: pynn.DataLoader(x, y, batch_size=16, shuffle=True, seed=9),
        "memmap": lambda: pynn.DataLoader(np.load(tmp_path / "x.npy", mmap_mode="r"), y, batch_size=16, shuffle=True),
        "rows": lambda: pynn.DataLoader(Rows(x), y, batch_size=16, shuffle=True, drop_last=True),
        "ahead": lambda: pynn.DataLoader(Rows(x), y, batch_size=16, shuffle=True, prefetch=2),
        "batches": lambda: [(x[i : i + 20], y[i : i + 20]) for i in range(0, ROWS, 20)],
    }


@pytest.mark.parametrize("source", ["array", "memmap", "rows", "ahead", "batches"])
@pytest.mark.parametrize("steps_per_epoch", [None, 13])
def test_sources(data, tmp_path, source, steps_per_epoch):
    loader = sources(*data, tmp_path)[source]

    class Batches:
        def __iter__(self):
            return iter(loader())

    def setup():
        return make(), Batches() if source == "batches" else loader(), None, {"steps_per_epoch": steps_per_epoch}

    check_goes_on(setup, tmp_path / "run.ckpt", epochs=3)


def test_an_iterable_with_a_state_of_its_own(data, tmp_path):
    x, y = data

    class Walk:
        """Batches by a random walk, which only its state can bring back."""

        def __init__(self):
            self.rng, self.left = np.random.default_rng(1), 15

        def __iter__(self):
            if not self.left:
                self.left = 15
            while self.left:
                self.left -= 1
                rows = self.rng.integers(0, ROWS, 16)
                yield x[rows], y[rows]

        def state_dict(self):
            return {"rng": self.rng.bit_generator.state, "left": self.left}

        def load_state_dict(self, state):
            self.rng.bit_generator.state, self.left = state["rng"], state["left"]

    check_goes_on(lambda: (make(), Walk(), None, {}), tmp_path / "run.ckpt", epochs=3)


def test_statistics_go_on(data, tmp_path):
    guard = pynn.Guard(check_every=4)

    def setup():
        return make(), *data, {"guard": guard}

    whole, model = check_goes_on(setup, tmp_path / "run.ckpt", epochs=2)
    assert whole.statistics(0) == model.statistics(0) != {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_kill_nine(tmp_path):
    """A sample of benchmarks/kill.py: processes killed at random moments, in writes too."""
    script = Path(__file__).parent.parent / "benchmarks" / "kill.py"
    command = [sys.executable, script, "--kills", "20", "--seed", "1", "--small"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "20 kills" in result.stdout


# ---- finished runs, longer runs, other runs


def test_a_finished_run_returns_at_once(data, tmp_path):
    x, y = data
    path = tmp_path / "run.ckpt"
    first = make()
    history = first.fit(x, y, epochs=3, checkpoint=path, resume=True)
    assert len(history) == 3
    again = make()
    steps = []
    watch = pynn.LambdaCallback(on_epoch_begin=lambda epoch, logs: steps.append(epoch))
    with pytest.raises(pynn.ArgumentValueError, match=r"callbacks"):
        again.fit(x, y, epochs=3, checkpoint=path, resume=True, callbacks=[watch])
    again, written = make(), path.stat().st_mtime_ns
    assert [dict(epoch) for epoch in again.fit(x, y, epochs=3, checkpoint=path, resume=True)] == history.epochs
    assert outcome(again) == outcome(first)
    assert path.stat().st_mtime_ns == written
    assert again.fit(x, y, epochs=2, checkpoint=path, resume=True).epochs == history.epochs


def test_more_epochs_go_on(data, tmp_path):
    x, y = data
    path = tmp_path / "run.ckpt"
    whole = make()
    whole.fit(x, y, epochs=6)
    model = make()
    for epochs in (2, 3, 6):
        model.fit(x, y, epochs=epochs, checkpoint=path, resume=True)
    assert outcome(model) == outcome(whole)
    whole.fit(x, y, epochs=1)
    model.fit(x, y, epochs=1)
    assert model.parameters.tobytes() == whole.parameters.tobytes()


def test_without_resume_a_run_starts_anew(data, tmp_path):
    path = tmp_path / "run.ckpt"
    models = [make(), make()]
    for model in models:
        model.fit(*data, epochs=2, checkpoint=path)
    assert outcome(models[0]) == outcome(models[1])


def other(**changes):
    return lambda x, y: (make(**changes), x, y, {})


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("layers", other(layers=[pynn.Dense(11, activation="relu"), pynn.Dropout(0.2), pynn.Dense(2)])),
        ("layers", other(layers=[pynn.Dense(10, activation="relu"), pynn.Dropout(0.3), pynn.Dense(2)])),
        ("seed", other(seed=6)),
        ("dtype", other(dtype="float64")),
        ("optimizer", other(optimizer=pynn.Adam(learning_rate=0.02))),
        ("optimizer", other(optimizer=pynn.SGD(0.01))),
        ("metrics", other(metrics=["accuracy"])),
        ("batch_size", lambda x, y: (make(), x, y, {"batch_size": 16})),
        ("shuffle", lambda x, y: (make(), x, y, {"shuffle": False})),
        ("guard", lambda x, y: (make(), x, y, {"guard": "skip"})),
        ("data.X", lambda x, y: (make(), x * 2, y, {})),
        ("data.X", lambda x, y: (make(), x.astype(np.float64), y, {})),
        ("data.y", lambda x, y: (make(), x, 1 - y, {})),
        ("n_rows", lambda x, y: (make(), x[:-1], y[:-1], {})),
        ("data.sample_weight", lambda x, y: (make(), x, y, {"sample_weight": np.ones(ROWS)})),
        ("validation_data", lambda x, y: (make(), x, y, {"validation_data": (x, y)})),
        ("steps_per_epoch", lambda x, y: (make(), x, y, {"steps_per_epoch": 3})),
    ],
)
def test_another_run_is_refused(data, tmp_path, what, change):
    path = tmp_path / "run.ckpt"
    make().fit(*data, epochs=1, checkpoint=path)
    before = path.read_bytes()
    model, x, y, options = change(*data)
    log = tmp_path / "log"
    with pytest.raises(pynn.ArgumentValueError, match=rf"expected to go on with the run in .*{what}.*received"):
        model.fit(x, y, epochs=2, checkpoint=path, resume=True, **options)
    assert path.read_bytes() == before
    assert not log.exists()


@pytest.mark.parametrize("what", ["X", "y", "sample_weight", "validation_data", "sparse"])
def test_one_number_that_changed_is_seen(what, tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(1)
    x, y, w = rng.normal(size=(2000, 4)), rng.integers(0, 2, 2000), np.ones(2000)
    arrays = {"X": x, "y": y, "sample_weight": w, "validation_data": x[::2].copy(), "sparse": x}

    def fit(epochs):
        given = sparse.csr_matrix(x) if what == "sparse" else x
        options = {"sample_weight": w, "validation_data": (arrays["validation_data"], y[::2])}
        make().fit(given, y, epochs=epochs, checkpoint=tmp_path / "run", resume=True, **options)

    fit(1)
    fit(2)
    arrays[what].flat[1111] = 1 - arrays[what].flat[1111]
    with pytest.raises(pynn.ArgumentValueError, match="data.X" if what == "sparse" else what):
        fit(3)


def test_how_much_of_data_is_compared(tmp_path, monkeypatch):
    """All that lies in memory, however it lies; of larger arrays every so manieth row, of mapped files some."""
    x = np.arange(6000, dtype=np.float32).reshape(1000, 6)
    same = checkpoint_.fingerprint(x)
    monkeypatch.setattr(checkpoint_, "BLOCK", 100)
    assert checkpoint_.fingerprint(np.asfortranarray(x)) == same
    assert checkpoint_.fingerprint(np.repeat(x, 2, axis=0)[::2]) == same

    def seen(array):
        """Rows of which a change is seen."""
        before, found = checkpoint_.fingerprint(array), []
        for i in range(len(array)):
            array[i, 3] += 1
            if checkpoint_.fingerprint(array) != before:
                found.append(i)
            array[i, 3] -= 1
        return found

    assert seen(x) == list(range(1000))
    monkeypatch.setattr(checkpoint_, "WHOLE", x.nbytes // 10)
    assert seen(x) == list(range(0, 1000, 10))
    np.save(tmp_path / "x.npy", x)
    assert len(seen(np.load(tmp_path / "x.npy", mmap_mode="r+")[:, :])) == 64


def test_arguments_of_callbacks_are_compared(data, tmp_path):
    x, y = data

    def fit(epochs, patience=5, log="a", function=None):
        callbacks = [
            pynn.EarlyStopping("loss", patience=patience), pynn.ReduceLROnPlateau("loss"), pynn.EMA(0.9),
            pynn.ModelCheckpoint(tmp_path / f"{log}.model", "loss"), pynn.CSVLogger(tmp_path / log),
            pynn.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        ]  # fmt: skip
        make().fit(x, y, epochs=epochs, callbacks=callbacks, checkpoint=tmp_path / "run", resume=True)

    fit(1)
    fit(2)
    fit(3, log="b")
    with pytest.raises(pynn.ArgumentValueError, match=r"callbacks\[0\].*patience=5; received .*patience=6"):
        fit(4, patience=6)


def test_arguments(data, tmp_path):
    for bad, error in [
        ({"path": 3}, TypeError), ({"every_steps": 0}, ValueError), ({"every_steps": 1.5}, TypeError),
        ({"every_seconds": -1}, ValueError), ({"every_seconds": "1"}, TypeError), ({"keep": 0}, ValueError),
    ]:  # fmt: skip
        with pytest.raises(error, match="expected"):
            pynn.Checkpoint(**({"path": "x"} | bad))
    with pytest.raises(pynn.ArgumentValueError, match="resume=True"):
        make().fit(*data, resume=True)
    with pytest.raises(TypeError, match="resume"):
        make().fit(*data, checkpoint=tmp_path / "x", resume="yes")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", tmp_path / "no" / "x", ""):
        with pytest.raises((pynn.FileError, pynn.ArgumentValueError), match="expected checkpoint"):
            make().fit(*data, checkpoint=place)
    (tmp_path / "other").write_bytes(b"something else")
    with pytest.raises(pynn.FileFormatError, match="other"):
        make().fit(*data, checkpoint=tmp_path / "other", resume=True)
    model = make()
    model.fit(*data)
    model.save(tmp_path / "model")
    with pytest.raises(pynn.FileFormatError, match="checkpoint"):
        model.fit(*data, checkpoint=tmp_path / "model", resume=True)


def test_a_state_that_cannot_be_kept_is_said(data, tmp_path):
    class Odd(pynn.Callback):
        def state_dict(self):
            return {"file": sys.stdout}

    with pytest.raises(pynn.ArgumentTypeError, match="state_dict"):
        make().fit(*data, checkpoint=tmp_path / "x", callbacks=[Odd()])


@pytest.mark.parametrize("key", [0, 1.5, None, (1, 2)])
def test_a_key_that_would_come_back_as_another_is_said(data, tmp_path, key):
    class Odd(pynn.Callback):
        def state_dict(self):
            return {"losses": [{"fine": 1, key: 2.5}]}

    with pytest.raises(pynn.ArgumentTypeError, match=re.escape(f"the key {key!r} of type {type(key).__name__}")):
        make().fit(*data, checkpoint=tmp_path / "x", callbacks=[Odd()])
    assert not (tmp_path / "x").exists()


# ---- the file


def test_it_is_a_model(data, tmp_path):
    path = tmp_path / "run.ckpt"
    model = make()
    model.fit(*data, epochs=2, checkpoint=path)
    loaded = pynn.load(path)
    assert np.array_equal(loaded.predict(data[0]), model.predict(data[0]))
    assert loaded.evaluate(*data) == model.evaluate(*data)
    assert loaded.optimizer == model.optimizer


def test_it_is_a_safetensors_file(data, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = make()
    model.fit(*data, checkpoint=tmp_path / "run.ckpt")
    tensors = safetensors.load_file(tmp_path / "run.ckpt")
    assert np.array_equal(tensors["layers.0.kernel"], model.layers[0].kernel)
    assert tensors["pynn.steps"].tolist() == [model._learner.trainer.steps]
    assert np.array_equal(tensors["pynn.slot.1"], np.asarray(model._learner.trainer.slots[1]))


def test_keep(data, tmp_path):
    path = tmp_path / "run.ckpt"
    settings = pynn.Checkpoint(path, every_steps=5, keep=3)
    make().fit(*data, epochs=3, checkpoint=settings, callbacks=[patient()])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.ckpt", "run.ckpt.1", "run.ckpt.2"]
    steps = [tensor(p, "pynn.steps") for p in (path, tmp_path / "run.ckpt.1", tmp_path / "run.ckpt.2")]
    assert steps[0] == [33]
    assert steps[0] > steps[1] > steps[2]
    resumed, older = make(), tmp_path / "run.ckpt.2"
    assert len(resumed.fit(*data, epochs=3, checkpoint=older, resume=True, callbacks=[patient()])) == 3


class Kept:
    """Checkpoints of a model that takes a step before each, the last three kept."""

    def __init__(self, folder, steps=0):
        self.path, self.model = folder / "run.ckpt", make()
        self.model.train_step(np.ones((4, 4), np.float32), np.zeros(4, np.int64))
        self.model._learner.trainer.steps = steps
        self.saver = checkpoint_.Saver(pynn.Checkpoint(self.path, keep=3), self.model._learner, {})

    def save(self, times=1):
        for _ in range(times):
            trainer = self.model._learner.trainer
            trainer.steps += 1
            self.saver.save({}, trainer.steps)
            self.saver.close()


def kept(folder):
    """The steps in each file by its name; every one is whole."""
    for path in folder.iterdir():
        pynn.load(path)
    return {path.name: tensor(path, "pynn.steps")[0] for path in folder.iterdir()}


def test_a_state_that_is_not_kept_costs_no_kept_one(tmp_path):
    run = Kept(tmp_path)
    run.save(4)
    before = {"run.ckpt": 4, "run.ckpt.1": 3, "run.ckpt.2": 2}
    assert kept(tmp_path) == before
    good, run.model.parameters[0] = run.model.parameters[0], np.nan
    run.save(3)
    assert kept(tmp_path) == before
    run.model.parameters[0] = good
    run.save()
    assert kept(tmp_path) == {"run.ckpt": 8, "run.ckpt.1": 4, "run.ckpt.2": 3}


def test_a_full_disk_costs_no_kept_checkpoint(tmp_path):
    resource = pytest.importorskip("resource")
    run = Kept(tmp_path)
    run.save(4)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        run.save(3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with pytest.raises(pynn.FileError, match="File too large"):
        run.saver.finish()
    assert kept(tmp_path) == {"run.ckpt": 4, "run.ckpt.1": 3, "run.ckpt.2": 2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_kill_between_any_two_operations_costs_no_kept_checkpoint(tmp_path):
    """The process ends before the first, second, ... change of a name (of the file itself: see test_checkpoint.c)."""
    codes = []
    for most in range(40):
        folder = tmp_path / str(most)
        folder.mkdir()
        child = os.fork()
        if child == 0:
            left = iter(range(most))

            def change(original, *arguments, left=left):
                if next(left, None) is None:
                    os._exit(9)
                original(*arguments)

            for name in ("link", "replace", "unlink"):
                setattr(os, name, partial(change, getattr(os, name)))
            Kept(folder).save(5)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        found = kept(folder)
        newest = found["run.ckpt"]
        assert sorted({*found.values()}, reverse=True)[:3] == [n for n in (newest, newest - 1, newest - 2) if n > 0]
        resumed = Path(shutil.copytree(folder, tmp_path / f"{most}.resumed"))
        for name in {"run.ckpt.0"} & {*found}:  # a second name stays one
            if (folder / name).samefile(folder / "run.ckpt"):
                (resumed / name).unlink()
                (resumed / name).hardlink_to(resumed / "run.ckpt")
        assert Kept(resumed).saver.load() is not None  # what was left is put in order by a run that goes on
        newer = [f"run.ckpt.{n}" for n in range(1, 3) if newest > n]
        assert kept(resumed) == {"run.ckpt": newest} | {name: newest - n for n, name in enumerate(newer, 1)}
        Kept(folder, newest).save(2)  # or by the next that is written
        assert kept(folder) == {"run.ckpt": newest + 2, "run.ckpt.1": newest + 1, "run.ckpt.2": newest}
        Kept(folder, newest + 2).save()
        assert kept(folder) == {"run.ckpt": newest + 3, "run.ckpt.1": newest + 2, "run.ckpt.2": newest + 1}
        if not codes[-1]:
            break
    assert codes == [9] * (len(codes) - 1) + [0]
    assert len(codes) > 10


def test_links_modes_and_names(data, tmp_path):
    path = tmp_path / "läuft 😀.ckpt"
    (tmp_path / "link").symlink_to(path)
    make().fit(*data, checkpoint=tmp_path / "link")
    path.chmod(0o640)
    make().fit(*data, checkpoint=tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert len(make().fit(*data, checkpoint=path, resume=True)) == 1
    assert {file.name for file in tmp_path.iterdir()} == {"link", "link.1", path.name}


def test_every_seconds(data, tmp_path):
    saves = []

    def save(self, state, steps, original=checkpoint_.Saver.save):
        saves.append(steps)
        original(self, state, steps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_.Saver, "save", save)
        patch.setattr(batches, "SECONDS", 1e-9)
        settings = pynn.Checkpoint(tmp_path / "a", every_seconds=0)
        make().fit(*data, epochs=3, checkpoint=settings, callbacks=[patient()])
        often = len(saves)
        make().fit(*data, epochs=3, checkpoint=tmp_path / "b")
    assert often > 3
    assert len(saves) == often + 1  # only the last one within a minute


# ---- disks that fail


def test_a_write_that_fails_is_said_and_training_goes_on(data, tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    expected = make()
    expected.fit(*data, epochs=3)
    make().fit(*data, epochs=1, checkpoint=path)
    before = path.read_bytes()
    model = make()
    limited = f"""
import resource, warnings, numpy as np, pynn, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_checkpoint import make, patient
x = np.load({str(tmp_path / "x.npy")!r}); y = np.load({str(tmp_path / "y.npy")!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
model = make()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        model.fit(x, y, epochs=3, checkpoint=pynn.Checkpoint({str(path)!r}, every_steps=11), callbacks=[patient()])
    except pynn.FileError as error:
        print("error:", error)
print("warnings:", len([w for w in caught if "no checkpoint was written" in str(w.message)]))
print(model.parameters.tobytes().hex())
"""
    for name, array in zip("xy", data, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    result = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("error: expected to write"), result.stdout
    assert "File too large" in lines[0]
    assert lines[1] in ("warnings: 1", "warnings: 2", "warnings: 3")
    assert lines[2] == expected.parameters.tobytes().hex()
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.ckpt", "x.npy", "y.npy"]
    del model


def test_a_slow_disk_does_not_hold_training_up(data, tmp_path, monkeypatch):
    released, begun = threading.Event(), []

    def write(self, *arguments, original=checkpoint_.Saver._write):
        begun.append(time.monotonic())
        released.wait(60)
        original(self, *arguments)

    monkeypatch.setattr(checkpoint_.Saver, "_write", write)
    ends = []

    def end(epoch, logs):
        ends.append(epoch)
        if epoch == 9:
            released.set()

    callback = pynn.LambdaCallback(on_epoch_end=end)
    make().fit(*data, epochs=10, checkpoint=pynn.Checkpoint(tmp_path / "x", every_steps=1), callbacks=[callback])
    assert ends == list(range(10))
    assert len(begun) <= 3  # the first one waited until the tenth epoch was over
    assert (tmp_path / "x").exists()


def test_a_numerical_fault_leaves_the_last_good_checkpoint(data, tmp_path):
    x, y = data
    path = tmp_path / "run.ckpt"

    class Break(pynn.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                self.model.parameters[0] = np.nan

    settings = pynn.Checkpoint(path, every_steps=1)
    with pytest.raises(pynn.NumericalError):
        make().fit(x, y, epochs=5, checkpoint=settings, callbacks=[Break()])
    good = pynn.load(path)
    assert np.isfinite(good.parameters).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make().fit(x, y, epochs=5, checkpoint=settings, callbacks=[Break()], guard="off")
    assert np.isfinite(pynn.load(path).parameters).all()


# ---- Ctrl-C


def interrupt_at(step):
    """Sends Ctrl-C to this process when a run has made so many steps."""

    class Interrupt(pynn.Callback):
        def __init__(self):
            self.count = 0

        def on_train_batch_end(self, batch, logs):
            self.count += 1
            if self.count == step:
                os.kill(os.getpid(), signal.SIGINT)

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count = state["count"]

    return Interrupt()


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("step", [1, 5, 11, 12, 30])
def test_ctrl_c_keeps_the_run(data, tmp_path, step):
    whole = make()
    whole.fit(*data, epochs=3, callbacks=[interrupt_at(-1)])
    path = tmp_path / "run.ckpt"
    model = make()
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data, epochs=3, checkpoint=path, callbacks=[interrupt_at(step)])
    assert model.history.interrupted
    assert model._learner.trainer.steps in (step, step + (-step % 11 if step % 11 else 0))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = make()
    assert not resumed.fit(*data, epochs=3, checkpoint=path, resume=True, callbacks=[interrupt_at(-1)]).interrupted
    assert outcome(resumed) == outcome(whole)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_while_data_are_waited_for(data, tmp_path):
    x, y = data

    class Slow:
        def __init__(self, wait):
            self.wait = wait

        def __iter__(self):
            for i in range(0, ROWS, 30):
                if self.wait and i == 90:
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(30)
                yield x[i : i + 30], y[i : i + 30]

    path = tmp_path / "run.ckpt"
    model, begin = make(), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        model.fit(Slow(True), epochs=2, checkpoint=path)
    assert model.history.interrupted
    assert time.monotonic() - begin < 20
    assert model._learner.trainer.steps == 3
    whole, resumed = make(), make()
    whole.fit(Slow(False), epochs=2)
    resumed.fit(Slow(False), epochs=2, checkpoint=path, resume=True)
    assert outcome(resumed) == outcome(whole)


def test_a_run_that_begins_anew_keeps_the_earlier_one(tmp_path):
    path, x = tmp_path / "run.ckpt", np.eye(4)
    for epochs in (3, 1):
        model = pynn.Sequential([pynn.Dense(2)], seed=0)
        model.compile("softmax_cross_entropy")
        model.fit(x, [0, 1, 0, 1], epochs=epochs, checkpoint=path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.ckpt", "run.ckpt.1"]
    for name, epochs in (("run.ckpt", 1), ("run.ckpt.1", 3)):
        again = pynn.Sequential([pynn.Dense(2)], seed=0)
        again.compile("softmax_cross_entropy")
        assert len(again.fit(x, [0, 1, 0, 1], epochs=3, checkpoint=tmp_path / name, resume=True)) == 3
        assert again._learner.epoch == 3, epochs


def test_a_file_that_is_no_checkpoint_is_not_written_over(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    with pytest.raises(pynn.FileFormatError, match="choose another name, or delete it"):
        model.fit(np.eye(4), [0, 1, 0, 1], checkpoint=path)
    assert path.read_text() == "a,b\n1,2\n"
    assert not model.history or not len(model.history)
