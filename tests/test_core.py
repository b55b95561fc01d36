"""The compiled core: buffers of every kind, views that outlive their owners, threads."""

import ctypes
import gc
import importlib.util
import threading

import numpy as np
import pytest

import pynn
from pynn import _core, arrays, runtime

DTYPES = [np.dtype(c) for c in "efd?bBhHiIlLqQ"]


def make(inputs=4, outputs=3, dtype="float64"):
    return pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.Dense(outputs)], seed=1, dtype=dtype).build(inputs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["C", "F", "reversed", "every other", "read-only", "broadcast", "unaligned"])
def test_every_dtype_and_layout_reads_the_same(dtype, layout):
    x = np.random.default_rng(0).integers(0, 2 if dtype == "?" else 100, (6, 4)).astype(dtype)
    laid = {
        "C": lambda: x.copy(),
        "F": lambda: np.asfortranarray(x),
        "reversed": lambda: x[::-1, ::-1].copy()[::-1, ::-1],
        "every other": lambda: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
        "read-only": lambda: np.frombuffer(x.tobytes(), dtype).reshape(x.shape),
        "broadcast": lambda: np.broadcast_to(x[:1], x.shape),
        "unaligned": lambda: _unaligned(x),
    }[layout]()
    model = make()
    expected = model.predict(np.ascontiguousarray(laid).astype(np.float64))
    assert np.array_equal(model.predict(laid), expected)
    order = np.array([5, 0, 3, 3])
    assert np.array_equal(arrays.gather(laid, order), laid[order])


def _unaligned(x):
    memory = np.zeros(x.nbytes + 1, np.uint8)
    view = memory[1:].view(x.dtype).reshape(x.shape)
    view[:] = x
    return view


@pytest.mark.parametrize("dtype", [">f4", ">i8", np.longdouble])
def test_foreign_numbers_are_converted(dtype):
    x = np.arange(8.0).reshape(2, 4)
    assert np.array_equal(make().predict(x.astype(dtype)), make().predict(x))


def test_other_containers():
    pd = pytest.importorskip("pandas")
    x = np.arange(8.0).reshape(2, 4)
    expected = make().predict(x)
    frame = pd.DataFrame(x, columns=list("abcd"))
    mixed = pd.DataFrame({"a": x[:, 0], "b": x[:, 1].astype(int), "c": pd.array(x[:, 2], "Float64"), "d": x[:, 3]})
    for other in (x.tolist(), frame, mixed, memoryview(x), (ctypes.c_double * 8)(*x.ravel())):
        data = other if not isinstance(other, ctypes.Array) else np.ctypeslib.as_array(other).reshape(2, 4)
        assert np.array_equal(make().predict(data), expected)


def test_the_core_refuses_what_it_cannot_read():
    core, out = make().core, np.empty((2, 3))
    for bad in (np.zeros((2, 4), ">f8"), np.zeros((2, 4), complex), np.zeros((2, 4), object), "text", None):
        with pytest.raises(pynn.DtypeError):
            core.predict(bad, out)
    with pytest.raises(pynn.ShapeError):
        core.predict(np.zeros((2, 5)), out)
    for bad in (np.empty((1, 3)), np.empty((2, 3), "f4"), np.empty((2, 6))[:, ::2], np.empty((2, 3)).tobytes()):
        with pytest.raises(pynn.PynnError):
            core.predict(np.zeros((2, 4)), bad)


def test_a_view_keeps_the_memory_alive():
    views = [make().parameters for _ in range(50)] + [make().layers[1].kernel for _ in range(50)]
    gc.collect()
    np.testing.assert_array_equal(views[0], views[49])
    np.testing.assert_array_equal(views[50], make().layers[1].kernel)
    views[0][:] = 7
    assert views[0].sum() == 7 * views[0].size


def test_a_trainer_keeps_its_model_alive():
    model = make()
    model.compile("mse", "adam")
    trainer = model._learner.trainer_for(4)
    del model
    gc.collect()
    trainer.train(np.zeros((4, 4)), np.zeros((4, 3)), None, None, 0, 4, 4)
    slots = [np.asarray(s) for s in trainer.slots]
    del trainer
    gc.collect()
    assert all(np.isfinite(s).all() for s in slots)


def test_the_garbage_collector_takes_models_and_trainers_in_any_order(python):
    for _ in range(20):
        model = make()
        model.compile("mse", "adam")
        cycle = [
            model._learner.trainer_for(4),
            model.core.parameters,
            model.core,
            model._learner.trainer_for(8),
            model.core.context,
            model,
        ]
        cycle.append(cycle)
        model.predict(np.zeros((4, 4)))
        del model, cycle
        gc.collect()
    code = (
        "import numpy as np, pynn\n"
        "m = pynn.Sequential([pynn.Dense(2)]).build(2); m.compile('mse', 'adam'); t = m._learner.trainer; c = m.core\n"
        "m.fit(np.zeros((9, 2)), np.zeros((9, 2)))\n"
        "m.cycle = [t, c, m.core.parameters, t.slots]; f = lambda: (t, m, f)\n"
        "print('well')"
    )
    assert python(code) == "well"


def test_gather_refuses_rows_that_are_not_there():
    for bad in (4, -1, 2**40):
        with pytest.raises(pynn.ArgumentValueError, match=str(bad)):
            arrays.gather(np.zeros((4, 2)), np.array([0, bad]))


def test_shuffle_depends_on_seed_epoch_and_length_alone():
    orders = {(s, e): tuple(arrays.shuffle(s, e, 50)) for s in (0, 1, 2**64 - 1) for e in (0, 1)}
    assert all(sorted(order) == list(range(50)) for order in orders.values())
    assert len(set(orders.values())) == len(orders)
    assert tuple(arrays.shuffle(1, 1, 50)) == orders[1, 1]
    assert arrays.shuffle(0, 0, 0).shape == (0,)


def test_threads_may_predict_at_once(in_threads):
    model, x = make(64, 10), np.random.default_rng(0).normal(size=(300, 64))
    expected, wrong = model.predict(x), []

    def work():
        for _ in range(100):
            if not np.array_equal(model.predict(x), expected):
                wrong.append(1)

    in_threads(work, 8)
    assert not wrong


def test_predictions_never_see_a_step_half_done():
    """All parameters move together, so outputs of one call are all of one step."""
    model = pynn.Sequential([pynn.Dense(2000, use_bias=False, kernel_initializer="zeros")], dtype="float64").build(1)
    model.compile("mse", pynn.SGD(0.1))
    x, y, done, mixed = np.ones((1, 1)), np.ones((1, 2000)), threading.Event(), []

    def work():
        while not done.is_set():
            out = model.predict(x)
            if out.min() != out.max():
                mixed.append(out)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        model.train_step(x, y)
    done.set()
    for thread in threads:
        thread.join()
    assert not mixed


def test_several_threads_may_train_one_model(in_threads):
    model = make()
    model.compile("mse", "sgd")
    x, y = np.ones((8, 4)), np.ones((8, 3))
    model.train_step(x, y)
    in_threads(lambda: [model.train_step(x, y) for _ in range(50)], 4)
    assert model._learner.trainer.steps == 201
    assert np.isfinite(model.parameters).all()


def test_the_number_of_threads_changes_no_bit(python):
    code = (
        "import numpy as np, pynn, hashlib\n"
        "x = np.random.default_rng(0).normal(size=(512, 200)).astype('f4'); y = np.arange(512) % 10\n"
        "m = pynn.Sequential([pynn.Dense(300, 'relu'), pynn.Dropout(0.2), pynn.Dense(10)], seed=3)\n"
        "m.compile('softmax_cross_entropy', 'adam'); m.fit(x, y, epochs=3, batch_size=128)\n"
        "print(pynn.get_num_threads(), hashlib.sha256(m.parameters.tobytes() + m.predict(x).tobytes()).hexdigest())"
    )
    results = [python(code, PYNN_NUM_THREADS=str(n)).split() for n in (1, 2, 3, 8)]
    assert [int(r[0]) for r in results] == [1, 2, 3, 8]
    assert len({r[1] for r in results}) == 1


def test_set_num_threads_holds_for_models_that_exist():
    before = runtime.get_num_threads()
    model, x = make(64, 10), np.ones((300, 64))
    expected = model.predict(x)
    try:
        for n in (1, 3, 2):
            pynn.set_num_threads(n)
            assert pynn.get_num_threads() == n
            assert model.core.context.threads == n
            assert np.array_equal(model.predict(x), expected)
    finally:
        pynn.set_num_threads(before)
    for bad in (0, -1, 2.0, "2", None, True, 10**6):
        with pytest.raises((ValueError, TypeError), match="n="):
            pynn.set_num_threads(bad)


def test_bad_environment(python):
    code = "import pynn\ntry:\n    pynn.get_num_threads()\nexcept pynn.PynnError as e: print(e)"
    assert "PYNN_NUM_THREADS='many'" in python(code, PYNN_NUM_THREADS="many")
    assert "PYNN_CPU" in python(code, PYNN_CPU="z80")


def test_every_processor_target_trains(python):
    code = (
        "import numpy as np, pynn\n"
        "x = np.random.default_rng(0).normal(size=(64, 9)); y = np.arange(64) % 3\n"
        "m = pynn.Sequential([pynn.Dense(30, 'gelu'), pynn.Dense(3)], seed=3, dtype='float64')\n"
        "m.compile('softmax_cross_entropy', 'adam'); h = m.fit(x, y, epochs=9)\n"
        "print(pynn.runtime.context().cpu, h[-1]['loss'])"
    )
    plain = python(code, PYNN_CPU="baseline").split()
    best = python(code).split()
    assert plain[0] == "baseline"
    assert float(plain[1]) == pytest.approx(float(best[1]), rel=1e-9)


def test_a_forked_child_goes_on(python):
    code = (
        "import numpy as np, os, pynn, warnings; warnings.simplefilter('ignore')\n"
        "x = np.random.default_rng(0).normal(size=(512, 300)).astype('f4'); y = np.arange(512) % 10\n"
        "m = pynn.Sequential([pynn.Dense(300, 'relu'), pynn.Dense(10)])\n"
        "m.compile('softmax_cross_entropy', 'adam'); m.fit(x, y)\n"
        "child = os.fork()\n"
        "m.fit(x, y, epochs=2)\n"
        "os._exit(0) if child == 0 else print(os.waitpid(child, 0)[1])"
    )
    assert python(code) == "0"


def test_a_process_begins_without_a_blas(python):
    assert python("import pynn; print(pynn.blas.current(), pynn.runtime.context().blas)") == "none none"


def test_the_blas_may_be_scipys():
    assert pynn.blas.use("scipy").startswith("scipy, ")
    assert runtime.context().blas == runtime.provenance()["blas"].split(",")[0] == "scipy"
    assert pynn.blas.use() == "none"


def test_a_blas_can_be_chosen():
    x, y = np.random.default_rng(0).normal(size=(256, 256)).astype("f4"), np.zeros((256, 256), "f4")
    results = []
    for which in ("scipy", "none"):
        assert pynn.blas.use(which).startswith(which)
        model = pynn.Sequential([pynn.Dense(256)], seed=0)
        model.compile("mse", "sgd")
        model.train_step(x, y)
        results.append(model.parameters.copy())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-3, atol=1e-6)
    for wrong in ("openblas", _core.__file__):  # no such file; a file without sgemm_
        with pytest.raises(pynn.PynnError, match="which="):
            pynn.blas.use(wrong)
        assert pynn.blas.current() == "none"
    with pytest.raises(pynn.ArgumentTypeError):
        pynn.blas.use(3)


def test_without_scipys_blas_all_works(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(pynn.UnsupportedError, match="expected scipy to be installed"):
        pynn.blas.use("scipy")
    assert pynn.blas.current() == "none"
    context = _core.Context()
    assert context.blas == "none"
    model = make()
    plain = _core.Model(context, 4, model.core.layers, "float64", 1)
    x = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_allclose(plain.predict(x, np.empty((9, 3))), model.predict(x), rtol=1e-12)


def test_the_version_is_one(python):
    from importlib.metadata import PackageNotFoundError, version

    try:
        assert version("pynn-dense") == pynn.__version__
    except PackageNotFoundError:
        pytest.skip("not installed")
