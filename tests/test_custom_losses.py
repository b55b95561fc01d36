"""Losses of the caller's, in Python and in C: agreement, blame, checks of gradients, files."""

import copy
import ctypes
import pickle
import warnings

import numpy as np
import pytest

import pynn


def squares(logits, target):
    error = logits - target
    return (error**2).mean(axis=1), 2 * error / error.shape[1]


def cross_entropy(logits, labels):
    z = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    rows = np.arange(len(z))
    gradient = p.copy()
    gradient[rows, labels] -= 1
    return -np.log(p[rows, labels]), gradient


def hinge(logits, target):
    margin = 1 - target * logits
    return np.maximum(0, margin).sum(axis=1), np.where(margin > 0, -target, 0)


def data(rows=40, outputs=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 4)), rng.normal(size=(rows, outputs)), rng.integers(0, outputs, rows)


def made(loss, dtype="float64", outputs=3):
    model = pynn.Sequential([pynn.Dense(6, activation="tanh"), pynn.Dense(outputs)], seed=2, dtype=dtype)
    model.compile(loss, pynn.Adam(0.01), metrics=[])
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("ours", "librarys"), [(squares, "mse"), (cross_entropy, "softmax_cross_entropy")])
def test_a_function_trains_as_the_librarys_own(ours, librarys, dtype):
    x, numbers, labels = data()
    y = labels if ours is cross_entropy else numbers
    w = np.linspace(0, 1, len(x))
    link = "softmax" if ours is cross_entropy else "linear"
    one, two = made(pynn.losses.Custom(ours, link=link), dtype), made(librarys, dtype)
    options = {"epochs": 4, "batch_size": 7, "sample_weight": w, "validation_data": (x, y)}
    first, second = one.fit(x, y, **options), two.fit(x, y, **options)
    rtol = 1e-9 if dtype == "float64" else 2e-4
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(first.history[name], second.history[name], rtol=rtol)
    np.testing.assert_allclose(one.parameters, two.parameters, rtol=rtol, atol=1e-4 if dtype == "float32" else 1e-10)
    np.testing.assert_allclose(one.predict(x), two.predict(x), rtol=100 * rtol, atol=1e-5)
    assert one.evaluate(x, y)["loss"] == pytest.approx(two.evaluate(x, y)["loss"], rel=rtol)


def test_kinks_pass_and_wrong_gradients_do_not():
    x, _, labels = data()
    y = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    made(hinge).fit(x, y, epochs=2)
    x = np.zeros((4, 4))
    model = made(hinge)
    model.build(4)
    model.layers[1].bias = [1, -1, 1]  # logits on the kinks
    model.train_step(x, np.ones((4, 3)))

    def wrong(logits, target):
        losses, gradient = squares(logits, target)
        gradient[:, 1] *= 2
        return losses, gradient

    with pytest.raises(pynn.ArgumentValueError, match=r"'wrong' .* row 0 .* column 1; received") as caught:
        made(wrong).fit(*data()[:2], epochs=1)
    words = str(caught.value).split()
    true, claimed = float(words[words.index("about") + 1]), float(words[-1])
    assert claimed == pytest.approx(2 * true, rel=1e-3)
    made(pynn.losses.Custom(wrong, check=False)).fit(*data()[:2], epochs=1)


@pytest.mark.parametrize("part", ["loss", "gradient"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_blamed_to_the_loss_and_its_row(part, bad):
    x, y, _ = data()
    y[23, 0] = 77.0  # marks the row

    def sometimes(logits, target):
        losses, gradient = squares(logits, target)
        marked = target[:, 0] == 77
        if part == "loss":
            losses = np.where(marked, bad, losses)
        else:
            gradient = np.where(marked[:, None], bad, gradient)
        return losses, gradient

    model = made(sometimes)
    with pytest.raises(pynn.NumericalError) as caught:
        model.fit(x, y, batch_size=8, shuffle=False)
    found = caught.value.report.findings[0]
    assert found.evidence["operation"] == "loss"
    assert found.rows == [23]
    assert model._learner.trainer.steps == 2
    with pytest.warns(pynn.TrainingWarning):
        history = made(sometimes).fit(x, y, batch_size=8, shuffle=False, guard="skip")
    assert [event["kind"] for event in history.ledger] == ["skipped"]
    assert history.ledger[0]["row"] == 23


@pytest.mark.parametrize("where", ["fit", "evaluate", "train_step"])
def test_an_exception_in_it_comes_through(where):
    def breaks(logits, target):
        raise KeyError("mine")

    x, y, _ = data()
    model = made(breaks).build(4)
    before = np.array(model.parameters)
    with pytest.raises(KeyError, match="mine"):
        getattr(model, where)(x, y)
    np.testing.assert_array_equal(model.parameters, before)
    model.compile("mse")
    assert model.train_step(x, y).applied


@pytest.mark.parametrize(("result", "message"), [
    (lambda z, t: 3, r"\(losses, gradient\); received int"),
    (lambda z, t: (z[:, 0], z[:, :1]), r"shapes \(40,\) and \(40, 3\)"),
    (lambda z, t: (z, z), r"shapes"),
    (lambda z, t: (["a"] * len(z), z), r"numbers"),
    (lambda z, t: (z.__setitem__(0, 1), z), r"read-only"),
])  # fmt: skip
def test_results_of_other_shapes_are_said(result, message):
    x, y, _ = data()
    with pytest.raises((ValueError, TypeError), match=message):
        made(pynn.losses.Custom(result, name="mine")).fit(x, y, batch_size=40)


def test_the_caller_keeps_its_floating_point_state():
    tiny = []

    def subnormal(logits, target):
        tiny.append(float(np.float64(1e-310) * np.float64(0.5)))
        return squares(logits, target)

    made(subnormal).train_step(*data()[:2])
    assert all(value == 5e-311 for value in tiny)


def test_files_hold_its_name_only(tmp_path):
    x, _, labels = data()
    model = made(pynn.losses.Custom(cross_entropy, link="softmax"))
    model.fit(x, labels, epochs=2)
    model.save(tmp_path / "m")
    with pytest.raises(pynn.UnknownNameError, match=r"'cross_entropy'.*custom=\{'cross_entropy': f\}"):
        pynn.load(tmp_path / "m")
    again = pynn.load(tmp_path / "m", custom={"cross_entropy": cross_entropy})
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    np.testing.assert_allclose(again.predict(x).sum(axis=1), 1)
    assert again.evaluate(x, labels) == model.evaluate(x, labels)
    copy = pickle.loads(pickle.dumps(model))
    for each in (again, copy):
        assert each.train_step(x, labels).applied
    config = model.to_dict()
    assert pynn.Sequential.from_dict(config, custom={"cross_entropy": cross_entropy}).loss.link == "softmax"


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    x, y, _ = data()
    whole, part, resumed = made(squares), made(squares), made(squares)
    options = {"batch_size": 7, "validation_data": (x, y)}
    history = whole.fit(x, y, epochs=4, **options)
    part.fit(x, y, epochs=2, checkpoint=tmp_path / "run", **options)
    again = resumed.fit(x, y, epochs=4, checkpoint=tmp_path / "run", resume=True, **options)
    np.testing.assert_array_equal(whole.parameters, resumed.parameters)
    assert again.history["val_loss"] == history.history["val_loss"]
    for other in (pynn.losses.Custom(squares, name="other"), "mse"):
        with pytest.raises(pynn.ArgumentValueError, match=r"loss.*'squares'"):
            made(other).fit(x, y, epochs=4, checkpoint=tmp_path / "run", resume=True, **options)


def native(kind):
    """Squares as C code."""
    if kind == "ctypes":

        @pynn.losses.signature()
        def squares_in_c(user, dtype, rows, n, logits, targets, labels, losses, gradient, backward):
            real = ctypes.c_double if dtype else ctypes.c_float
            z, t = (np.ctypeslib.as_array(ctypes.cast(p, ctypes.POINTER(real)), (rows, n)) for p in (logits, targets))
            found = np.ctypeslib.as_array(ctypes.cast(losses, ctypes.POINTER(ctypes.c_double)), (rows,))
            found[:] = ((z - t) ** 2).mean(axis=1)
            if backward:
                out = np.ctypeslib.as_array(ctypes.cast(gradient, ctypes.POINTER(real)), (rows, n))
                out[:] = 2 * (z - t) / n
            return 0

        return squares_in_c
    numba = pytest.importorskip("numba")
    types = numba.types

    @numba.cfunc(types.int32(types.voidptr, types.int32, types.int64, types.int64, types.CPointer(types.float64),
                             types.CPointer(types.float64), types.voidptr, types.CPointer(types.float64),
                             types.CPointer(types.float64), types.int32))  # fmt: skip
    def squares_in_c(user, dtype, rows, n, logits, targets, labels, losses, gradient, backward):
        z, t = numba.carray(logits, (rows, n)), numba.carray(targets, (rows, n))
        found, out = numba.carray(losses, (rows,)), numba.carray(gradient, (rows, n))
        for i in range(rows):
            found[i] = 0
            for j in range(n):
                error = z[i, j] - t[i, j]
                found[i] += error * error / n
                if backward:
                    out[i, j] = 2 * error / n
        return 0

    return squares_in_c


@pytest.mark.parametrize("kind", ["ctypes", "numba"])
def test_losses_in_c(kind):
    x, y, _ = data()
    one, two = made(pynn.losses.Custom(native(kind), name="squares")), made("mse")
    first = one.fit(x, y, epochs=4, batch_size=7, validation_data=(x, y))
    second = two.fit(x, y, epochs=4, batch_size=7, validation_data=(x, y))
    np.testing.assert_allclose(first.history["val_loss"], second.history["val_loss"], rtol=1e-9)
    np.testing.assert_allclose(one.parameters, two.parameters, rtol=1e-9, atol=1e-10)
    assert copy.deepcopy(one).train_step(x, y).applied
    assert pynn.find_learning_rate(one, x, y).suggestion > 0


def raising(kind):
    """Squared errors as C code that raises for a target above 40, and so returns 0 all the same."""
    if kind == "ctypes":

        @pynn.losses.signature()
        def squares(user, dtype, rows, n, logits, targets, labels, losses, gradient, backward):
            real = ctypes.c_double if dtype else ctypes.c_float
            z, t = (np.ctypeslib.as_array(ctypes.cast(p, ctypes.POINTER(real)), (rows, n)) for p in (logits, targets))
            if t.max() > 40:
                raise ValueError("too large")
            np.ctypeslib.as_array(ctypes.cast(losses, ctypes.POINTER(ctypes.c_double)), (rows,))[:] = (
                (z - t) ** 2
            ).mean(axis=1)
            if backward:
                np.ctypeslib.as_array(ctypes.cast(gradient, ctypes.POINTER(real)), (rows, n))[:] = 2 * (z - t) / n
            return 0

        return squares
    numba = pytest.importorskip("numba")
    types = numba.types

    @numba.cfunc(types.int32(types.voidptr, types.int32, types.int64, types.int64, types.CPointer(types.float64),
                             types.CPointer(types.float64), types.voidptr, types.CPointer(types.float64),
                             types.CPointer(types.float64), types.int32))  # fmt: skip
    def squares(user, dtype, rows, n, logits, targets, labels, losses, gradient, backward):
        for i in range(rows):
            losses[i] = 0
            for j in range(n):
                if targets[i * n + j] > 40:
                    raise ValueError("too large")
                error = logits[i * n + j] - targets[i * n + j]
                losses[i] += error * error / n
                if backward:
                    gradient[i * n + j] = 2 * error / n
        return 0

    return squares


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["ctypes", "numba"])
def test_c_code_that_raises_is_refused(kind, capfd):
    refused = (pynn.NumericalError, pynn.errors.CallbackError)  # what ctypes returns is undefined
    x, y, _ = data()
    loss = raising(kind)
    model = made(pynn.losses.Custom(loss, name="raises"))
    model.fit(x, y, epochs=1, batch_size=7)
    before = np.array(model.parameters)
    y = y.copy()
    y[5] = 50
    with pytest.raises(refused):
        model.fit(x, y, epochs=1, batch_size=len(x))
    np.testing.assert_array_equal(model.parameters, before)
    with pytest.raises(refused):
        model.evaluate(x, y)


def test_gradients_of_c_code_are_checked_too():
    right = native("ctypes")
    x, y, _ = data()

    @pynn.losses.signature()
    def wrong(*arguments):
        failed = right(*arguments)
        if arguments[-1]:
            ctypes.cast(arguments[-2], ctypes.POINTER(ctypes.c_double))[1] *= 3
        return failed

    model = made(pynn.losses.Custom(wrong, name="wrong")).build(4)
    before = np.array(model.parameters)
    with pytest.raises(pynn.ArgumentValueError, match=r"'wrong' .* row 0 .* column 1; received"):
        model.fit(x, y, batch_size=7)
    np.testing.assert_array_equal(model.parameters, before)
    assert len(made(pynn.losses.Custom(wrong, name="wrong", check=False)).fit(x, y, batch_size=7)) == 1


def test_c_code_of_another_dtype_is_refused():
    loss = pynn.losses.Custom(native("numba"), name="doubles")
    x, y, _ = data()
    with pytest.raises(pynn.DtypeError, match=r"'doubles' to take float32.*received.*float64"):
        made(loss, "float32").fit(x, y)


def test_a_loss_in_c_may_fail():
    @pynn.losses.signature()
    def fails(*arguments):
        return 7

    with pytest.raises(pynn.errors.CallbackError, match="custom function failed"):
        made(pynn.losses.Custom(fails, name="fails")).fit(*data()[:2])


@pytest.mark.parametrize("make", [
    lambda: pynn.losses.Custom(3), lambda: pynn.losses.Custom(squares, link="no_such"),
    lambda: pynn.losses.Custom(squares, name="x" * 64), lambda: pynn.losses.get(3),
])  # fmt: skip
def test_bad_arguments_are_said(make):
    with pytest.raises((ValueError, TypeError), match=r"^expected .*received"):
        make()


def test_a_custom_loss_decides_what_a_missing_target_means(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    whole = X @ rng.normal(size=(3, 3))
    Y = np.where(rng.random(whole.shape) < 0.3, np.nan, whole)

    def known(z, t):
        error = np.where(np.isnan(t), 0, z - np.nan_to_num(t))
        return (error**2).sum(1), 2 * error

    for data in ((X, Y), (pynn.DataLoader(X, Y, batch_size=32, shuffle=True),)):
        model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(3)], seed=0)
        model.compile(known, pynn.Adam(learning_rate=0.01))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            history = model.fit(*data, epochs=60, validation_data=(X, Y))
        assert ((model.predict(X) - whole) ** 2).mean() < 0.01 * whole.var()
        assert model.evaluate(X, Y)["loss"] == pytest.approx(history[-1]["val_loss"])


def test_a_custom_loss_that_decides_nothing_is_told_the_missing_target():
    X = np.random.default_rng(0).normal(size=(50, 2))
    Y = X.copy()
    Y[17, 1] = np.nan
    model = pynn.Sequential([pynn.Dense(2)], seed=0)
    model.compile(lambda z, t: (((z - t) ** 2).sum(1), 2 * (z - t)))
    with pytest.raises(pynn.NumericalError) as caught:
        model.fit(X, Y, shuffle=False)
    assert caught.value.row == 17
    Y[17, 1] = np.inf
    with pytest.raises(pynn.NonfiniteDataError, match=r"y\[17, 1\]=inf"):
        model.fit(X, Y)
