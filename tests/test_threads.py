"""Threads that share a model, children of fork, and Python code that a computation calls: none waits for ever."""

import os
import signal
import threading
import time
import traceback

import numpy as np
import pytest

import pynn

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
Y = X[:, :2] ** 2
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
filtered = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def squares(logits, target):
    error = logits - target
    return (error**2).sum(axis=1), 2 * error


def make(loss="mse", activation="tanh"):
    model = pynn.Sequential([pynn.Dense(8, activation=activation), pynn.Dense(2)], seed=3)
    model.compile(loss, "sgd")
    model.build(4)
    return model


def in_child(work):
    """What `work` returns in a child of fork, a small integer; -SIGALRM if it hangs."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def refused(call, error=pynn.ThreadError, match="forked"):
    try:
        call()
    except error as caught:
        return match in str(caught)
    return False


class Stop:
    """A place where one thread waits until another has looked around."""

    def __init__(self):
        self.reached, self.go_on = threading.Event(), threading.Event()

    def wait(self):
        self.reached.set()
        assert self.go_on.wait(60)

    def during(self, work, look):
        thread = threading.Thread(target=work)
        thread.start()
        assert self.reached.wait(60)
        try:
            return look()
        finally:
            self.go_on.set()
            thread.join()


# ---- children of fork


@forks
@filtered
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OMP_NUM_THREADS": "1"}, 1), ({"OMP_NUM_THREADS": "1,4"}, 1), ({"OMP_NUM_THREADS": "many"}, None),
        ({"OMP_NUM_THREADS": "250"}, None), ({"OMP_NUM_THREADS": "1", "PYNN_NUM_THREADS": "3"}, 3), ({}, None),
    ],
)  # fmt: skip
def test_the_environment_of_other_libraries_limits_threads(environment, expected, python):
    """joblib gives its workers OMP_NUM_THREADS; pynn's own variable comes first. None: every processor."""
    unset = {"OMP_NUM_THREADS": "", "PYNN_NUM_THREADS": ""}
    found = int(python("import pynn; print(pynn.get_num_threads())", **unset | environment))
    assert found == (expected or len(os.sched_getaffinity(0)))


def test_threadpoolctl_limits_threads_and_gives_them_back(python):
    pytest.importorskip("threadpoolctl")
    code = """
import threadpoolctl, pynn
threadpoolctl.threadpool_info()  # what it finds before a model is built does not hide pynn later
pynn.set_num_threads(2)
with threadpoolctl.threadpool_limits(limits=1):
    inside = pynn.get_num_threads()
    listed = [i["num_threads"] for i in threadpoolctl.threadpool_info() if i["user_api"] == "pynn"]
print(inside, listed, pynn.get_num_threads())
"""
    assert python(code) == "1 [1] 2"


def test_a_model_in_the_middle_of_a_step_is_refused_in_the_child(tmp_path):
    stop, idle = Stop(), make()

    def loss(logits, target):
        stop.wait()
        return squares(logits, target)

    busy, expected = make(loss), idle.predict(X)

    def child():
        calls = [
            lambda: busy.predict(X), lambda: busy.evaluate(X, Y), lambda: busy.fit(X, Y),
            lambda: busy.save(tmp_path / "x"), lambda: busy.parameters.copy(), lambda: busy._learner.trainer.steps,
        ]  # fmt: skip
        assert [refused(call) for call in calls] == [True] * len(calls)
        assert not (tmp_path / "x").exists()
        assert np.array_equal(idle.predict(X), expected)
        idle.fit(X, Y, epochs=2)
        assert pynn.get_num_threads() > 0
        return 7

    assert stop.during(lambda: busy.train_step(X, Y), lambda: in_child(child)) == 7
    assert np.isfinite(busy.predict(X)).all()


@forks
@filtered
def test_a_model_between_two_steps_goes_on_in_the_child():
    stop, model, twin = Stop(), make(), make()
    wait = pynn.LambdaCallback(on_epoch_end=lambda epoch, logs: stop.wait() if epoch == 1 else None)
    twin.fit(X, Y, epochs=2)

    def child():
        assert np.array_equal(model.predict(X), twin.predict(X))
        model.fit(X, Y, epochs=1)
        return 7

    assert stop.during(lambda: model.fit(X, Y, epochs=3, callbacks=[wait]), lambda: in_child(child)) == 7


@forks
@filtered
def test_a_model_that_predicts_goes_on_in_the_child():
    stop, begun = Stop(), threading.Event()

    def function(z):
        if begun.is_set() and threading.current_thread().name == "predicts":
            stop.wait()
        return np.tanh(z)

    model = make(activation=pynn.activations.Custom(function, lambda z: 1 - np.tanh(z) ** 2, name="slow"))
    expected = model.predict(X)
    begun.set()

    def work():
        threading.current_thread().name = "predicts"
        model.predict(X)

    def child():
        assert np.array_equal(model.predict(X), expected)
        model.fit(X, Y, epochs=1)
        return 7

    assert stop.during(work, lambda: in_child(child)) == 7


@forks
@filtered
def test_no_child_hangs_whenever_it_is_forked():
    x = np.tile(X, (400, 1))
    busy, idle, over = make(), make(), threading.Event()
    expected = idle.predict(X)

    def train():
        while not over.is_set():
            busy.fit(x, np.tile(Y, (400, 1)), batch_size=8)

    def child():
        assert np.array_equal(idle.predict(X), expected)
        idle.fit(X, Y)
        try:
            busy.predict(X)
        except pynn.ThreadError:
            return 8
        return 7

    thread = threading.Thread(target=train)
    thread.start()
    try:
        codes = [(time.sleep(0.01 * i), in_child(child))[1] for i in range(8)]
    finally:
        over.set()
        busy.stop_training = True
        thread.join()
    assert set(codes) <= {7, 8}, codes


# ---- code that a computation calls


@forks
@filtered
@pytest.mark.parametrize("what", ["predict", "evaluate", "train_step", "fit", "save", "learning_rate"])
@pytest.mark.parametrize("place", ["loss", "activation"])
def test_a_model_called_by_its_own_code_is_an_error(what, place, tmp_path):
    """In a child, since what is tested is that it ends."""
    calls = {
        "predict": lambda m: m.predict(X), "evaluate": lambda m: m.evaluate(X, Y),
        "train_step": lambda m: m.train_step(X, Y), "fit": lambda m: m.fit(X, Y),
        "save": lambda m: m.save(tmp_path / "x"), "learning_rate": lambda m: setattr(m, "learning_rate", 1.0),
    }  # fmt: skip
    model = None

    def loss(logits, target):
        if place == "loss":
            calls[what](model)
        return squares(logits, target)

    def function(z):
        if place == "activation" and model is not None:
            calls[what](model)
        return np.tanh(z)

    activation = pynn.activations.Custom(function, lambda z: 1 - np.tanh(z) ** 2, name="mine")
    model = make(loss, activation)

    def child():
        own = pynn.ArgumentValueError, "expected a model other than the one that is computing"
        rate = model.learning_rate
        assert refused(lambda: model.train_step(X, Y), *own)
        assert model.learning_rate == rate
        if place == "activation":
            assert refused(lambda: model.predict(X), *own)
        elif what != "fit":
            assert refused(lambda: model.evaluate(X, Y), *own)
        return 7

    assert in_child(child) == 7


def test_own_code_may_call_another_model_and_look_at_its_trainer():
    teacher, seen = make(), []

    def loss(logits, target):
        seen.append((model.learning_rate, model._learner.trainer.steps))
        assert teacher.predict(X[:1]).shape == (1, 2)
        return squares(logits, target)

    model = make(loss)
    model.fit(X, Y, epochs=2, batch_size=64)
    model.evaluate(X, Y)
    assert {steps for _, steps in seen} == {0, 1, 2}
    assert {rate for rate, _ in seen} == {model.learning_rate}


# ---- threads


def test_a_trainer_is_looked_at_between_steps():
    """What it tells waits for the step that another thread takes."""
    stop, found = Stop(), []

    def loss(logits, target):
        if threading.current_thread().name == "trains":
            stop.wait()
        return squares(logits, target)

    model = make(loss)

    def train():
        threading.current_thread().name = "trains"
        model.train_step(X, Y)

    names = ("steps", "epoch_loss", "learning_rate", "rate_factor", "n_averaged")
    model._learner.trainer_for(64)
    lookers = [
        threading.Thread(target=lambda n=name: found.append(getattr(model._learner.trainer, n))) for name in names
    ]
    lookers.append(threading.Thread(target=lambda: found.append(model._learner.trainer.losses())))

    def look():
        for thread in lookers:
            thread.start()
        time.sleep(0.05)
        return list(found)

    assert stop.during(train, look) == []
    for thread in lookers:
        thread.join(60)
    assert len(found) == len(lookers)


def test_two_threads_do_not_fit_one_model():
    stop, model, twin = Stop(), make(), make()
    wait = pynn.LambdaCallback(on_epoch_begin=lambda epoch, logs: stop.wait())

    def look():
        with pytest.raises(pynn.ArgumentValueError, match=r"fit after the one that is running.*another thread"):
            model.fit(X, Y, epochs=5)
        return len(model.history)

    assert stop.during(lambda: model.fit(X, Y, callbacks=[wait]), look) == 0
    model.fit(X, Y)
    twin.fit(X, Y)
    twin.fit(X, Y)
    assert np.array_equal(model.parameters, twin.parameters)


def test_of_threads_that_begin_at_once_one_fits(in_threads):
    model, line, outcomes = make(), threading.Barrier(8), []
    held = threading.Barrier(8)

    class Data:
        """Stays in `fit` until all others were refused."""

        def __iter__(self):
            held.wait(60)
            yield X, Y

    def work():
        line.wait()
        try:
            model.fit(Data())
            outcomes.append("fitted")
        except pynn.ArgumentValueError:
            outcomes.append("refused")
            held.wait(60)

    in_threads(work, 8)
    assert sorted(outcomes) == ["fitted"] + ["refused"] * 7
    assert model._learner.trainer.steps == 1
