"""What is set on a model or its layers works, or is refused with what to do; warnings, seeds, Ctrl-C, transfer."""

import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import pynn

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
Y = np.arange(60) % 2


def make(seed=1, **options):
    model = pynn.Sequential([pynn.Dense(5, activation="relu"), pynn.Dropout(0.5), pynn.Dense(2)], seed=seed, **options)
    model.compile("softmax_cross_entropy", "adam")
    return model


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("seed", 3, "Sequential\\(layers, seed="), ("loss", "mse", "compile\\(loss="),
        ("parameters", np.zeros(3), "model.parameters\\[...\\]"), ("layers", [], "Sequential\\(layers\\)"),
        ("inputs", 4, "build\\(inputs\\)"), ("optimiser", "sgd", "optimizer"), ("learning_rat", 0.1, "learning_rate"),
    ],
)  # fmt: skip
def test_what_cannot_be_set_says_what_to_do(name, value, advice):
    model = make().build(3)
    with pytest.raises(AttributeError, match=advice):
        setattr(model, name, value)


@pytest.mark.parametrize(
    ("layer", "name", "value", "advice"),
    [
        (1, "rate", 0.0, r"pynn\.Dropout\(rate=0\.0\)"),
        (0, "units", 9, "another model"), (0, "kernl", 1.0, "'kernel', 'bias'"),
    ],
)  # fmt: skip
def test_what_a_layer_cannot_take_is_refused(layer, name, value, advice):
    model = make().build(3)
    with pytest.raises(AttributeError, match=advice):
        setattr(model.layers[layer], name, value)


def test_tensors_of_any_name_can_be_set():
    model = pynn.Sequential([pynn.BatchNormalization(), pynn.Dense(1)]).build(2)
    model.layers[0].gamma = [2.0, 3.0]
    model.layers[0].moving_mean = [1.0, 1.0]
    model.layers[1].kernel = [[1.0], [2.0]]
    assert model.layers[0].gamma.tolist() == [2.0, 3.0]
    assert model.layers[0].moving_mean.tolist() == [1.0, 1.0]
    assert model.layers[1].kernel.tolist() == [[1.0], [2.0]]


def test_another_optimizer_takes_over():
    model, other = make(), make()
    model.fit(X, Y, verbose=0)
    model.optimizer = pynn.SGD(5.0)
    assert model.learning_rate == 5.0
    other.fit(X, Y, verbose=0)
    kept = other.parameters.copy()
    other.compile("softmax_cross_entropy", pynn.SGD(5.0))
    np.testing.assert_array_equal(other.parameters, kept)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        model.train_step(X, Y)
        other.train_step(X, Y)
    np.testing.assert_array_equal(model.parameters, other.parameters)


def test_layers_of_a_trained_model_bring_copies_of_their_weights():
    trained = make()
    trained.fit(X, Y, verbose=0)
    model = pynn.Sequential([*trained.layers[:-1], pynn.Dense(4)], seed=0).build(3)
    np.testing.assert_array_equal(model.layers[0].kernel, trained.layers[0].kernel)
    np.testing.assert_array_equal(model.layers[0].bias, trained.layers[0].bias)
    before = trained.layers[0].kernel.copy()
    model.layers[0].kernel[...] = 0
    np.testing.assert_array_equal(trained.layers[0].kernel, before)
    np.testing.assert_array_equal(model.build(3).layers[0].kernel, before)  # building again starts there again
    fresh = pynn.Sequential([layer.spec for layer in trained.layers], seed=0).build(3)
    assert not np.array_equal(fresh.layers[0].kernel, before)
    with pytest.raises(pynn.ShapeError, match="kernel of layer 0"):
        model.build(7)


def test_a_layer_listed_twice_is_two_layers():
    layer = pynn.Dense(3)
    model = pynn.Sequential([layer, layer], seed=0).build(3)
    assert not np.array_equal(model.layers[0].kernel, model.layers[1].kernel)


def test_models_without_a_seed_differ_and_tell_theirs(python, tmp_path):
    code = (
        "import pynn; a, b = (pynn.Sequential([pynn.Dense(3)]).build(4) for _ in range(2)); "
        f"a.save({str(tmp_path / 'm')!r}); "
        f"print(a.seed != b.seed, (a.parameters != b.parameters).any(), "
        f"pynn.load({str(tmp_path / 'm')!r}).seed == a.seed); "
        "a.summary(); print(a.seed)"
    )  # fmt: skip
    lines = python(code).splitlines()
    assert lines[0] == "True True True"
    assert lines[-2].endswith(f"seed {lines[-1]}")


def test_the_warning_points_at_the_line_that_called_fit():
    model = pynn.Sequential([pynn.Dense(4), pynn.Dense(1)], seed=0)
    model.compile("softmax_cross_entropy", "sgd")
    with pytest.warns(pynn.TrainingWarning) as caught:
        model.fit(X, np.zeros(60, int), verbose=0)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("given", [{"batch_size": 8}, {"shuffle": True}])
def test_arguments_that_a_loader_brings_are_refused(given):
    with pytest.raises(TypeError, match=next(iter(given))):
        make().fit(pynn.DataLoader(X, Y, batch_size=16), **given)


@pytest.mark.parametrize(("rows", "share", "held"), [(90, 0.7, 63), (100, 0.29, 29), (100, 0.1, 10), (7, 0.5, 4)])
def test_validation_split_rounds_as_train_test_split_does(rows, share, held):
    x, y = np.arange(rows, dtype=np.float64)[:, None] / rows, np.arange(rows) % 2
    counted = []

    class Count(pynn.Metric):
        name = "count"

        def update(self, targets, predictions, weights=None):
            counted[-1] += len(targets)

        def reset(self):
            counted.append(0)

        def result(self):
            return float(counted[-1])

    model = pynn.Sequential([pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy", metrics=[Count()])
    model.fit(x, y, validation_split=share, verbose=0)
    assert held in counted
    assert len(pynn.train_test_split(x, y, test_size=share)[1]) == held


PROGRAM = """
import numpy as np, pynn
X, y = np.random.default_rng(0).normal(size=(2000, 20)), np.arange(2000) % 2
for i in range(3):
    model = pynn.Sequential([pynn.Dense(64), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy")
    print("started", i, flush=True)
    try:
        model.fit(X, y, epochs=10**6, verbose=0)
    except KeyboardInterrupt:
        print("whole", model.history.interrupted, len(model.history) > 0, flush=True)
        raise
print("ended", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")
def test_ctrl_c_in_a_terminal_ends_a_loop_of_fits():
    import pty

    main, terminal = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(terminal)
    seen = b""
    while b"started 0" not in seen:
        seen += os.read(main, 1024)
    time.sleep(1.5)
    os.write(main, b"\x03")
    try:
        while part := os.read(main, 1024):
            seen += part
    except OSError:  # the terminal is closed
        pass
    assert child.wait(timeout=60) != 0
    assert b"whole True True" in seen
    assert b"started 1" not in seen
    assert b"ended" not in seen
