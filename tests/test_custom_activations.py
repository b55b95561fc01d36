"""Activations of the caller's, in Python and in C: agreement, first look, blame, failures, threads, files, resuming."""

import copy
import ctypes
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pynn
from pynn.activations import Custom

DTYPES = ["float32", "float64"]


def swish(z):
    return z / (1 + np.exp(-z))


def swish_slope(z):
    s = 1 / (1 + np.exp(-z))
    return s + z * s * (1 - s)


def native(kind, dtype):
    """ReLU as C code."""
    if kind == "ctypes":
        value, derivative = pynn.activations.signatures()

        def vector(pointer, of, n):
            real = ctypes.c_double if of else ctypes.c_float
            return np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(real)), (n,))

        @value
        def relu(user, of, n, z, y):
            np.maximum(vector(z, of, n), 0, out=vector(y, of, n))
            return 0

        @derivative
        def slope(user, of, n, z, y, delta):
            vector(delta, of, n)[vector(z, of, n) <= 0] = 0
            return 0

        return relu, slope
    numba = pytest.importorskip("numba")

    @numba.cfunc(f"int32(voidptr, int32, int64, CPointer({dtype}), CPointer({dtype}))")
    def relu(user, of, n, z, y):
        for i in range(n):
            y[i] = z[i] if z[i] > 0 else 0
        return 0

    @numba.cfunc(f"int32(voidptr, int32, int64, CPointer({dtype}), CPointer({dtype}), CPointer({dtype}))")
    def slope(user, of, n, z, y, delta):
        for i in range(n):
            if z[i] <= 0:
                delta[i] = 0
        return 0

    if kind == "address":
        made = Custom(relu.address, slope.address, name="my_relu", dtype=dtype)
        object.__setattr__(made, "kept", (relu, slope))
        return made
    return relu, slope


def data(rows=300):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 6))
    return x, np.sin(x[:, :2])


def made(activation, dtype="float64", seed=2):
    layers = [
        pynn.Dense(16, activation=activation, kernel_initializer="he_normal"),
        pynn.Residual([pynn.Dense(16), pynn.Activation(activation)]),
        pynn.Dense(2),
    ]
    model = pynn.Sequential(layers, seed=seed, dtype=dtype)
    model.compile("mse", pynn.Adam(0.01))
    return model


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["ctypes", "numba", "address"])
def test_c_code_trains_to_the_bits_of_the_librarys_own(kind, dtype, capsys):
    given = native(kind, dtype)
    custom = given if isinstance(given, Custom) else Custom(*given, name="my_relu")
    x, y = data()
    one, two = made(custom, dtype), made("relu", dtype)
    options = {"epochs": 3, "batch_size": 50, "validation_data": (x, y)}
    first, second = one.fit(x, y, **options).history, two.fit(x, y, **options).history
    assert (first["loss"], first["val_loss"]) == (second["loss"], second["val_loss"])
    np.testing.assert_array_equal(one.parameters, two.parameters)
    np.testing.assert_array_equal(one.predict(x), two.predict(x))
    one.summary()
    assert custom.name in capsys.readouterr().out


def raising(kind, dtype, where):
    """ReLU as C code that raises for z > 40, in the value or in the derivative, and so returns 0 all the same."""
    if kind == "ctypes":
        value, derivative = pynn.activations.signatures()
        real = np.ctypeslib.as_ctypes_type(dtype)

        def vector(pointer, n):
            return np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(real)), (n,))

        @value
        def relu(user, of, n, z, y):
            if where == "value" and vector(z, n).max() > 40:
                raise ValueError("too large")
            np.maximum(vector(z, n), 0, out=vector(y, n))
            return 0

        @derivative
        def slope(user, of, n, z, y, delta):
            if where == "derivative" and vector(z, n).max() > 40:
                raise ValueError("too large")
            vector(delta, n)[vector(z, n) <= 0] = 0
            return 0

        return relu, slope
    numba = pytest.importorskip("numba")
    in_value, in_derivative = where == "value", where == "derivative"

    @numba.cfunc(f"int32(voidptr, int32, int64, CPointer({dtype}), CPointer({dtype}))")
    def relu(user, of, n, z, y):
        for i in range(n):
            if in_value and z[i] > 40:
                raise ValueError("too large")
            y[i] = z[i] if z[i] > 0 else 0
        return 0

    @numba.cfunc(f"int32(voidptr, int32, int64, CPointer({dtype}), CPointer({dtype}), CPointer({dtype}))")
    def slope(user, of, n, z, y, delta):
        for i in range(n):
            if in_derivative and z[i] > 40:
                raise ValueError("too large")
            delta[i] = delta[i] if z[i] > 0 else 0
        return 0

    return relu, slope


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["ctypes", "numba"])
@pytest.mark.parametrize("where", ["value", "derivative"])
def test_c_code_that_raises_is_refused_and_blamed(where, kind, dtype, capfd):
    refused = (pynn.NumericalError, pynn.errors.CallbackError)  # what ctypes returns is undefined
    relu, slope = raising(kind, dtype, where)
    x, y = data()
    custom = Custom(relu, slope, name="raises", dtype=dtype)
    model = pynn.Sequential([pynn.Dense(6), pynn.Dense(8, activation=custom), pynn.Dense(2)], seed=0, dtype=dtype)
    model.compile("mse")
    model.fit(x, y, epochs=1, batch_size=50)
    before = np.array(model.parameters)
    x[123] *= 1e3
    with pytest.raises(refused) as caught:
        model.fit(x, y, epochs=1, batch_size=len(x))
    if isinstance(caught.value, pynn.NumericalError):
        assert caught.value.report.findings[0].layer == 1
    np.testing.assert_array_equal(model.parameters, before)
    if where == "value":
        with pytest.raises(refused):
            model.predict(x)
    else:
        assert np.isfinite(model.predict(x)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_python_trains_as_the_librarys_own(dtype):
    x, y = data()
    one, two = made(Custom(swish, swish_slope), dtype), made("silu", dtype)
    first, second = (model.fit(x, y, epochs=3, validation_data=(x, y)) for model in (one, two))
    rtol = 1e-9 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(first.history["val_loss"], second.history["val_loss"], rtol=rtol)
    np.testing.assert_allclose(one.parameters, two.parameters, rtol=rtol, atol=1e-4 if dtype == "float32" else 1e-10)


def test_typed_code_of_the_other_dtype_is_converted_for():
    relu, slope = native("numba", "float64")
    x, y = data()
    one, two = made(Custom(relu, slope), "float32"), made("relu", "float32")
    for model in (one, two):
        model.fit(x, y, epochs=2)
    np.testing.assert_array_equal(one.parameters, two.parameters)


def test_threads_change_no_bit():
    x, y = data(1000)
    found = []
    for threads in (1, 3):
        before = pynn.get_num_threads()
        pynn.set_num_threads(threads)
        model = pynn.Sequential([pynn.Dense(300, activation=Custom(swish, swish_slope)), pynn.Dense(2)], seed=0)
        model.compile("mse")
        model.fit(x, y, epochs=1, batch_size=250)
        found.append(np.array(model.parameters))
        pynn.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_many_threads_predict_at_once():
    x, y = data(2000)
    for custom in (Custom(swish, swish_slope), Custom(*native("ctypes", "float64"))):
        model = made(custom)
        model.fit(x, y, epochs=1)
        alone = model.predict(x)
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(lambda _, model=model: model.predict(x), range(12)):
                np.testing.assert_array_equal(found, alone)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_wrong_derivative_is_refused(dtype):
    wrong = Custom(swish, lambda z: 1.5 * swish_slope(z))
    with pytest.raises(pynn.ArgumentValueError, match=r"derivative .* 'swish' .* about .* at z=.*received"):
        made(wrong, dtype).build(6)
    relu, _ = native("ctypes", dtype)
    _, prototype = pynn.activations.signatures()
    with pytest.raises(pynn.ArgumentValueError, match="derivative"):
        made(Custom(relu, prototype(lambda *arguments: 0), name="passes_all"), dtype).build(6)
    step = Custom(lambda z: (z > 0).astype(z.dtype), lambda z: abs(z) < 1, name="step", check=False)
    x, y = data()
    assert made(step, dtype).train_step(x, y).applied


def test_one_number_decides_one_number():
    with pytest.raises(pynn.ArgumentValueError, match="from z\\[i\\] alone"):
        made(Custom(lambda z: z - z.mean(), np.ones_like, name="centred")).build(6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", ["value", "derivative"])
def test_what_is_not_finite_is_blamed_to_layer_row_and_unit(part, dtype):
    x, y = data(40)
    x[23] = 40  # far from where the functions were tried

    def value(z):
        return np.where(z > 25, np.nan, z) if part == "value" else z

    def slope(z):
        return np.where(z > 25, np.nan, 1.0) if part == "derivative" else np.ones_like(z)

    model = pynn.Sequential([pynn.Dense(4), pynn.Dense(3, activation=Custom(value, slope)), pynn.Dense(2)], dtype=dtype)
    model.compile("mse", pynn.SGD(1e-9))
    model.build(6)
    model.layers[0].kernel = np.eye(6, 4)
    model.layers[1].kernel = np.array([[0, 0.7, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    before = np.array(model.parameters)
    with pytest.raises(pynn.NumericalError) as caught:
        model.fit(x, y, batch_size=8, shuffle=False)
    found = caught.value.report.findings[0]
    assert found.evidence["operation"] == ("activation" if part == "value" else "dactivation")
    assert found.evidence["fails_in_float64"]
    function = part.replace("value", "function")
    assert found.remedy.startswith(f"Check what the {function} of your activation 'value' returns")
    assert (found.layer, found.rows, found.columns) == (1, [23], [1])
    assert model._learner.trainer.steps == 2
    np.testing.assert_allclose(model.parameters, before, atol=1e-4)
    if part == "value":
        with pytest.raises(pynn.NumericalError, match="layer 1, row 23, unit 1"):
            model.predict(x)
    with pytest.warns(pynn.TrainingWarning):
        history = model.fit(x, y, batch_size=8, shuffle=False, guard="skip")
    assert [event["kind"] for event in history.ledger] == ["skipped"]


@pytest.mark.parametrize("where", ["fit", "train_step", "evaluate", "predict"])
def test_an_exception_in_it_comes_through(where):
    raises = []

    def value(z):
        if raises:
            raise KeyError("mine")
        return z

    x, y = data()
    model = made(Custom(value, np.ones_like)).build(6)
    before = np.array(model.parameters)
    raises.append(True)
    with pytest.raises(KeyError, match="mine") as caught:
        getattr(model, where)(*((x,) if where == "predict" else (x, y)))
    assert "activation 'value'" in caught.value.__notes__[0]
    np.testing.assert_array_equal(model.parameters, before)
    raises.clear()
    assert model.train_step(x, y).applied


def test_c_code_may_fail():
    fails = []
    _, derivative = pynn.activations.signatures()
    relu, slope = native("ctypes", "float64")
    custom = Custom(relu, derivative(lambda *arguments: 3 if fails else slope(*arguments)), name="fails")
    x, y = data()
    model = made(custom).build(6)
    before = np.array(model.parameters)
    fails.append(True)
    with pytest.raises(pynn.errors.CallbackError, match="custom function failed"):
        model.fit(x, y)
    np.testing.assert_array_equal(model.parameters, before)
    assert model.predict(x).shape == (300, 2)
    fails.clear()
    assert model.train_step(x, y).applied


@pytest.mark.parametrize(("function", "message"), [
    (lambda z: z[:-1], r"a number for each of z"), (lambda z: 3.0, r"a number for each of z"),
    (lambda z: ["a"] * len(z), r"numbers"), (lambda z: z.__setitem__(0, 1), r"read-only"),
])  # fmt: skip
def test_results_of_other_shapes_are_said(function, message):
    with pytest.raises((ValueError, TypeError), match=message):
        made(Custom(function, np.ones_like, name="mine")).build(6)


def test_what_a_function_keeps_stays_as_it_was():
    kept = []

    def value(z):
        kept.append(z)
        return z

    x, y = data()
    model = made(Custom(value, np.ones_like)).build(6)
    model.predict(x)
    then = [z.copy() for z in kept]
    model.fit(x, y, epochs=2)
    for z, copied in zip(kept, then, strict=False):
        np.testing.assert_array_equal(z, copied)


def test_files_hold_its_name_only(tmp_path):
    x, y = data()
    custom = Custom(swish, swish_slope)
    model = made(custom)
    model.fit(x, y, epochs=2)
    model.save(tmp_path / "m")
    with pytest.raises(pynn.UnknownNameError, match=r"'swish'.*custom=\{'swish': \(function, derivative\)\}"):
        pynn.load(tmp_path / "m")
    for given in (custom, (swish, swish_slope)):
        again = pynn.load(tmp_path / "m", custom={"swish": given})
        np.testing.assert_array_equal(again.predict(x), model.predict(x))
        assert again.evaluate(x, y) == model.evaluate(x, y)
        assert again.layers[0].spec.activation == custom
    config = model.to_dict()
    with pytest.raises(pynn.UnknownNameError, match="swish"):
        pynn.Sequential.from_dict(config)
    assert pynn.Sequential.from_dict(config, custom={"swish": custom}).layers[0].spec == model.layers[0].spec
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin.predict(x), model.predict(x))
        assert twin.train_step(x, y).applied


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    x, y = data()
    whole, part = made(Custom(swish, swish_slope)), made(Custom(swish, swish_slope))
    whole.fit(x, y, epochs=4)
    part.fit(x, y, epochs=2, checkpoint=tmp_path / "run")
    resumed = made(Custom(swish, swish_slope))
    resumed.fit(x, y, epochs=4, checkpoint=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(whole.parameters, resumed.parameters)
    other = made(Custom(swish, swish_slope, name="another"))
    with pytest.raises(ValueError, match=r"activation.name='swish'; received .*'another'"):
        other.fit(x, y, epochs=4, checkpoint=tmp_path / "run", resume=True)


def test_what_copies_the_model_keeps_it():
    x, y = data()
    model = made(Custom(swish, swish_slope), "float32")
    model.fit(x, y, epochs=1)
    model.build(6)
    test = pynn.find_learning_rate(model, x, y)
    assert len(test.losses) > 10
    model.compile("mse", pynn.SGD(1e6))
    with np.errstate(over="ignore"), pytest.raises(pynn.NumericalError) as caught:  # causes are tried on copies
        model.fit(1e3 * x, y, epochs=5)
    assert caught.value.report.findings
    assert isinstance(model.layers[0].spec.activation, Custom)


@pytest.mark.parametrize("kind", ["ctypes", "numba"])
def test_models_with_c_code_are_copied(kind):
    x, y = data()
    model = made(Custom(*native(kind, "float64"), name="my_relu"))
    model.fit(x, y)
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(twin.predict(x), model.predict(x))
    assert twin.train_step(x, y).applied
    assert pynn.find_learning_rate(model, x, y).suggestion > 0


def test_it_is_not_exported(tmp_path):
    model = made(Custom(swish, swish_slope), "float32").build(6)
    with pytest.raises(pynn.UnsupportedError, match=r"layer 0 .*swish"):
        model.export_c(tmp_path / "net.h")


def test_as_the_first_layer_it_takes_rows_that_lie_apart():
    x, y = data()
    wide = np.hstack([x, x])
    one, two = (
        pynn.Sequential([pynn.Activation(custom), pynn.Dense(2)], dtype="float64")
        for custom in (Custom(*native("ctypes", "float64"), name="my_relu"), "relu")
    )
    for model in (one, two):
        model.compile("mse")
        model.fit(wide[:, :6], y, epochs=2, shuffle=False)
    np.testing.assert_array_equal(one.parameters, two.parameters)
    np.testing.assert_array_equal(one.predict(wide[:, 6:]), two.predict(x))


def test_as_the_last_layer_the_link_follows():
    x, _ = data()
    labels = np.random.default_rng(1).integers(0, 3, len(x))
    model = pynn.Sequential([pynn.Dense(3, activation=Custom(np.tanh, lambda z: 1 - np.tanh(z) ** 2))], dtype="float64")
    model.compile("softmax_cross_entropy")
    model.fit(x, labels, epochs=1)
    z = x @ model.layers[0].kernel + model.layers[0].bias
    p = np.exp(np.tanh(z))
    np.testing.assert_allclose(model.predict(x), p / p.sum(axis=1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("make", [
    lambda: Custom(3, 4), lambda: Custom(swish, None), lambda: Custom(True, True),
    lambda: Custom(swish, swish_slope, ""),
    lambda: Custom(swish, swish_slope, "x" * 64), lambda: Custom(swish, swish_slope, dtype="float16"),
    lambda: pynn.Dense(3, activation=swish), lambda: pynn.Dense(3, activation=(swish, swish_slope)),
    lambda: pynn.Dense(3, activation=native("ctypes", "float32")),
    lambda: Custom(swish, native("ctypes", "float32")[1]),
    lambda: Custom(*reversed(native("ctypes", "float32"))),
    lambda: Custom(native("numba", "float32")[0], native("numba", "float64")[1]),
    lambda: Custom(*native("numba", "float32"), dtype="float64"),
    lambda: made(Custom(swish, swish_slope)).to_dict() and pynn.Sequential([
        pynn.Dense(3, activation=Custom(swish, swish_slope)),
        pynn.Dense(3, activation=Custom(np.tanh, np.cosh, name="swish")),
    ]),
])  # fmt: skip
def test_bad_arguments_are_said(make):
    with pytest.raises((ValueError, TypeError), match=r"^expected .*received"):
        make()
