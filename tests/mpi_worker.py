"""What one process of test_mpi.py does: ``mpi_worker.py CASE [FOLDER]`` under mpiexec, or ``alone`` as the reference.

Prints one JSON line from each process. A watchdog ends a process that hangs.
"""

import faulthandler
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse

import pynn

ROWS, INPUTS, SHARDS = 403, 8, 8
WATCHDOG = 150  # seconds; a case takes a few on an idle machine


def data():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(ROWS, INPUTS)).astype("float32")
    return x, (x[:, 0] * x[:, 1] > 0).astype(int)


def network(seed=2, noisy=True, units=24):
    hidden = [pynn.Dense(units, activation="relu", kernel_regularizer=pynn.regularizers.L2(1e-3))]
    if noisy:
        hidden += [pynn.BatchNormalization(), pynn.Dropout(0.3), pynn.GaussianNoise(0.1)]
    return pynn.Sequential([*hidden, pynn.Dense(2)], seed=seed)


def compiled(optimizer="adam", **options):
    model = network(**options)
    model.compile("softmax_cross_entropy", optimizer, metrics=["accuracy", "f1"])
    return model


def result(model, history):
    """Everything that must have the same bits, as a checksum."""
    epochs = [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in history.epochs]
    ledger = [{name: str(value) for name, value in entry.items()} for entry in history.ledger]
    found = [finding.code for finding in history.report.findings]
    said = json.dumps([epochs, ledger, found]).encode()
    state = np.array(model.parameters).tobytes() + np.array(model.core.state).tobytes()
    return hashlib.sha256(state + said).hexdigest()[:16]


def fit(model, x, y, communicator, **options):
    options = {"epochs": 2, "batch_size": 96, "shards": SHARDS, "verbose": 0} | options
    return result(model, model.fit(x, y, communicator=communicator, **options))


# ---- runs that end with the same bits for any number of processes


def bits(communicator, folder):
    x, y = data()
    held = x[:150], y[:150]
    wild = x.copy()
    wild[77, 3] = np.inf
    far = compiled(pynn.SGD(learning_rate=300.0), noisy=False)
    weights = np.linspace(0, 1, ROWS, dtype="float32")
    path = Path(folder) / f"x{os.getpid()}.npy"
    np.save(path, x)
    mapped = np.load(path, mmap_mode="r")
    loader = pynn.DataLoader(path, y, batch_size=96, seed=3, sampling="oversample")
    stopping = pynn.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    return {
        "sgd": fit(compiled(pynn.SGD(learning_rate=0.1, momentum=0.9)), x, y, communicator, validation_data=held),
        "adam": fit(compiled(), x, y, communicator, guard=pynn.Guard(policy="raise", check_every=2)),
        "mixup": fit(compiled(), x, y, communicator, mixup=0.3, sample_weight=weights),
        "sparse": fit(compiled(), scipy.sparse.csr_array(x * (x > 0)), y, communicator),
        "few rows": fit(compiled(), x[:98], y[:98], communicator, batch_size=95),  # three rows in the last batch
        "clipped": fit(compiled(pynn.Adam(global_clipnorm=0.1)), x, y, communicator),
        "skipped": fit(compiled(), wild, y, communicator, guard="skip"),
        "rolled back": fit(far, x, y, communicator, guard=pynn.Guard(policy="rollback", snapshot_every=2), epochs=6),
        "loader": result(model := compiled(), model.fit(loader, epochs=2, communicator=communicator, shards=SHARDS)),
        "mapped": fit(compiled(), mapped, y, communicator),
        "batches": fit_batches(x, y, communicator),
        "stopped": fit(compiled(), x, y, communicator, epochs=30, validation_data=held, callbacks=[stopping]),
        "averaged": fit(compiled(), x, y, communicator, callbacks=[pynn.EMA(decay=0.9)]),
        "target scaling": fit(numbers(), x, x @ np.arange(8.0) * 1e6 + 1e9, communicator),
    }


def fit_batches(x, y, communicator):
    model, batches = compiled(), [(x[i : i + 50], y[i : i + 50]) for i in range(0, ROWS, 50)]
    return result(model, model.fit(batches, epochs=2, communicator=communicator, shards=SHARDS))


def numbers():
    model = pynn.Sequential([pynn.Normalization(), pynn.Dense(8, activation="tanh"), pynn.Dense(1)], seed=0)
    model.compile("mse", "adam", metrics=["mae"], target_scaling="standard")
    return model


# ---- one process at fault, all of them told


def refused(call, *errors):
    """The class of the error that a call ends with, its row, and the start of its text."""
    try:
        call()
    except errors as error:
        return [type(error).__name__, getattr(error, "row", None), str(error)[:200]]
    return None


def faults(communicator, folder):
    x, y = data()
    rank, error = communicator.Get_rank(), pynn.PynnError
    bad = x.copy()
    bad[301, 2] = np.nan
    guard = {"guard": pynn.Guard(policy="skip", streak=1)}
    far = np.where(np.arange(50)[:, None] == 7, np.float32(3e38), x[:50]), y[:50]  # finite, but not its product
    labels = y.copy()
    labels[401] = 7

    class Raises(pynn.Callback):
        def on_epoch_end(self, epoch, logs):
            if rank == 1:
                raise OSError("the disk is full")

    class Stops(pynn.Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = rank == 1

    class Changes(pynn.Callback):
        def on_epoch_end(self, epoch, logs):
            if rank == 1:
                np.asarray(self.model.parameters)[0] += 1

    class Interrupts(pynn.Callback):
        def on_train_batch_end(self, batch, logs):
            if rank == 1 and batch == 2 and not path.exists():
                os.kill(os.getpid(), signal.SIGINT)

    path = Path(folder) / "interrupted.ckpt"
    stopped = compiled()
    fit(stopped, x, y, communicator, epochs=9, callbacks=[Stops()])
    log = Path(folder) / "log.csv"
    fit(compiled(), x, y, communicator, callbacks=[pynn.CSVLogger(log)])
    interrupted = compiled()
    kept = {"checkpoint": path, "callbacks": [Interrupts()]}
    ended = refused(lambda: fit(interrupted, x, y, communicator, **kept), KeyboardInterrupt)
    return {
        "a cell that is not finite": refused(lambda: fit(compiled(), bad, y, communicator, **guard), error),
        "a label": refused(lambda: fit(compiled(), x, labels, communicator), error),
        "validation": refused(lambda: fit(compiled(), x, y, communicator, validation_data=far), error),
        "shards": refused(lambda: fit(compiled(), x, y, communicator, shards=12), error),
        "fewer shards": refused(lambda: fit(compiled(), x, y, communicator, shards=1), error),
        "other shards": refused(lambda: fit(compiled(), x, y, communicator, shards=8 << rank), error),
        "seeds": refused(lambda: fit(compiled(seed=rank), x, y, communicator), error),
        "models": refused(lambda: fit(compiled(units=8 + rank), x, y, communicator), error),
        "data": refused(lambda: fit(compiled(), x + rank, y, communicator), error),
        "no rows": refused(lambda: fit(compiled(), x[: rank * 200], y[: rank * 200], communicator), error),
        "a row in a batch": refused(lambda: fit(compiled(), x, y, communicator, batch_size=1), error),
        "lbfgs": refused(lambda: fit(compiled("lbfgs", noisy=False), x, y, communicator), error),
        "repair": refused(lambda: fit(compiled(), x, y, communicator, guard="repair"), error),
        "a callback": refused(lambda: fit(compiled(), x, y, communicator, callbacks=[Raises()]), error, OSError),
        "weights of one": refused(lambda: fit(compiled(), x, y, communicator, callbacks=[Changes()]), error),
        "ctrl-c": [ended and ended[0], interrupted.history.interrupted, interrupted._learner.steps],
        "went on": fit(compiled(), x, y, communicator, resume=True, **kept),
        "stopped by one": len(stopped.history),
        "lines": len(log.read_text().splitlines()),
        "still": fit(compiled(), x, y, communicator),
    }


# ---- killed and resumed


class Dies(pynn.Callback):
    """Kills one process, once a checkpoint is there."""

    def __init__(self, path=None, me=False):
        self.path, self.me = path, me

    def on_train_batch_end(self, batch, logs):
        if self.me and self.model._learner.steps == 13:
            while not self.path.exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)

    def state_dict(self):
        return {}


def kept(communicator, folder, dies):
    x, y = data()
    path = Path(folder) / "run.ckpt"
    return {
        "resumed": fit(
            compiled(), x, y, communicator, epochs=4, mixup=0.2, callbacks=[Dies(path, dies)], resume=True,
            checkpoint=pynn.Checkpoint(path, every_steps=3),
        )
    }  # fmt: skip


def resumed(communicator, folder):
    return kept(communicator, folder, False)


def killed(communicator, folder):
    return kept(communicator, folder, communicator.Get_rank() == communicator.Get_size() - 1)


CASES = {"bits": bits, "faults": faults, "resumed": resumed, "killed": killed}

if __name__ == "__main__":
    faulthandler.dump_traceback_later(WATCHDOG, exit=True)
    case, folder, alone = sys.argv[1], sys.argv[2], sys.argv[3:] == ["alone"]
    if alone:
        communicator = None
    else:
        from mpi4py import MPI

        communicator = MPI.COMM_WORLD
    found = CASES[case](communicator, folder)
    rank = 0 if communicator is None else communicator.Get_rank()
    (Path(folder) / f"{case}.{rank}.json").write_text(json.dumps(found))
