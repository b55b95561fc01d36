"""`fit(..., shards=)` in one process: batches as sums of parts. Several processes: test_mpi.py."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.sparse

import pynn
from pynn.errors import ArgumentValueError

ROWS, INPUTS = 333, 6


def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, INPUTS)).astype("float32")
    return x, (x[:, 0] * x[:, 1] > 0).astype(int)


def layers(noisy=True):
    hidden = [pynn.Dense(16, activation="tanh", kernel_regularizer=pynn.regularizers.L2(1e-3))]
    if noisy:
        hidden += [pynn.BatchNormalization(), pynn.Dropout(0.2), pynn.GaussianNoise(0.1)]
    return [*hidden, pynn.Dense(2)]


def trained(x, y, shards, noisy=True, optimizer="adam", **options):
    model = pynn.Sequential(layers(noisy), seed=4)
    model.compile("softmax_cross_entropy", optimizer, metrics=["accuracy"])
    history = model.fit(x, y, epochs=2, batch_size=50, shards=shards, **options)
    return model, history


def bits(model):
    return np.array(model.parameters).tobytes() + np.array(model.core.state).tobytes()


@pytest.mark.parametrize("shards", [2, 8, 64])
def test_the_sum_over_parts_is_the_batch(shards):
    x, y = data()
    whole, history = trained(x, y, None, noisy=False, optimizer=pynn.SGD(learning_rate=0.1))
    parts, same = trained(x, y, shards, noisy=False, optimizer=pynn.SGD(learning_rate=0.1))
    np.testing.assert_allclose(parts.parameters, whole.parameters, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(same["loss"], history["loss"], rtol=1e-5)
    assert same["accuracy"] == history["accuracy"]


def test_dropout_draws_for_a_row_what_it_draws_in_the_whole_batch():
    x, y = data()
    found = []
    for shards in (None, 4):
        model = pynn.Sequential([pynn.Dropout(0.5), pynn.GaussianNoise(0.3), pynn.Dense(2)], seed=1, dtype="float64")
        model.compile("softmax_cross_entropy", pynn.SGD(learning_rate=0.1))
        model.fit(x, y, batch_size=64, shards=shards)
        found.append(np.array(model.parameters))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"mixup": 0.3}, {"sample_weight": "random"}, {"sparse": True}])
def test_any_number_of_threads_gives_the_same_bits(options):
    x, y = data()
    options = dict(options)
    if options.get("sample_weight"):
        options["sample_weight"] = np.random.default_rng(0).uniform(size=ROWS).astype("float32")
    x = scipy.sparse.csr_array(x * (x > 0)) if options.pop("sparse", False) else x
    before, found = pynn.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            pynn.set_num_threads(threads)
            found.add(bits(trained(x, y, 8, **options)[0]))
    finally:
        pynn.set_num_threads(before)
    assert len(found) == 1


def test_batch_normalization_takes_its_statistics_from_a_shard():
    x = np.arange(8, dtype="float64")[:, None]
    model = pynn.Sequential([pynn.BatchNormalization(momentum=0.0), pynn.Dense(1)], seed=0, dtype="float64")
    model.compile("mse", pynn.SGD(learning_rate=1e-9))
    model.fit(x, x, batch_size=7, shards=2, shuffle=False, steps_per_epoch=1)  # rows 0 1 2 3, 4 5 6
    mean, variance = (np.asarray(model.core.state)[i] for i in range(2))
    assert mean == pytest.approx(np.arange(7).mean())
    assert variance == pytest.approx((4 * np.var([0, 1, 2, 3]) + 3 * np.var([4, 5, 6])) / 7)


def test_mixup_pairs_rows_of_a_shard():
    x = np.repeat([0.0, 1000.0], 4)[:, None]  # two shards, each constant: mixing within them changes nothing
    found = []
    for mixup in (0.0, 0.5):
        model = pynn.Sequential([pynn.Dense(1)], seed=0, dtype="float64")
        model.compile("mse", pynn.SGD(learning_rate=1e-9))
        model.fit(x, x, batch_size=8, shards=2, shuffle=False, mixup=mixup)
        found.append(np.array(model.parameters))
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("mixup", [0.0, 0.3])
def test_a_fault_names_the_row(mixup):
    x, y = data()
    x = np.concatenate([x, x])
    y = np.concatenate([y, y])
    x[401, 3] = np.inf
    with pytest.raises(pynn.NumericalError) as caught:
        trained(x, y, 8, mixup=mixup)
    assert (caught.value.row, caught.value.column) == (401, 3)
    model, history = trained(x, y, 8, mixup=mixup, guard="skip")
    assert {entry["row"] for entry in history.ledger} == {401}
    assert np.isfinite(model.parameters).all()


def test_a_run_is_resumed_with_its_shards(tmp_path):
    x, y = data()
    whole, _ = trained(x, y, 4)
    path = tmp_path / "run.ckpt"
    model = pynn.Sequential(layers(), seed=4)
    model.compile("softmax_cross_entropy", "adam", metrics=["accuracy"])
    model.fit(x, y, epochs=1, batch_size=50, shards=4, checkpoint=path)
    with pytest.raises(ArgumentValueError, match="shards=4"):
        trained(x, y, 8, checkpoint=path, resume=True)
    resumed, _ = trained(x, y, 4, checkpoint=path, resume=True)
    assert bits(resumed) == bits(whole)


@pytest.mark.parametrize("shards", [0, 3, 12, 8192])
def test_shards_are_a_power_of_two(shards):
    x, y = data()
    with pytest.raises(ArgumentValueError, match=f"shards={shards}"):
        trained(x, y, shards)


def test_lbfgs_takes_no_shards():
    x, y = data()
    with pytest.raises(ArgumentValueError, match="shards"):
        trained(x, y, 2, noisy=False, optimizer="lbfgs")


class Pair:
    """A communicator of this process and a child, which says what this one says until it is killed in a step."""

    def __init__(self, child):
        self.child, self.aborted = child, threading.Event()

    def Dup(self):
        return self

    def Free(self):
        pass

    def Get_rank(self):
        return 0

    def Get_size(self):
        return 2

    def Allgather(self, own, everything):
        everything = np.asarray(everything).reshape(2, -1)
        everything[:] = own
        if everything.shape == (2, 3):  # machine, process, and when it was started
            with open(f"/proc/{self.child.pid}/stat") as file:
                everything[1, 1:] = self.child.pid, int(file.read().rpartition(")")[2].split()[19])
        if list(everything.ravel()) == [3, 3]:  # to a step
            self.child.kill()
            self.child.wait()
            assert self.aborted.wait(30)
            raise SystemExit

    def Allgatherv(self, own, everything):
        raise AssertionError

    Alltoallv = Allgatherv

    def Abort(self, code):
        assert code
        self.aborted.set()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_process_that_died_ends_the_run_where_the_launcher_does_not(capfd):
    x, y = data()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        communicator = Pair(child)
        with pytest.raises((SystemExit, AssertionError)):
            trained(x, y, 8, communicator=communicator)
    assert communicator.aborted.is_set()
    assert f"process 1 of 2 (pid {child.pid}) died" in capfd.readouterr().err
