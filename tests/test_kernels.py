"""Kernels through the front door: float64 activations against mpmath, optimizers at the edges, the caller's
floating-point state."""

import platform
import sys

import numpy as np
import pytest

import pynn
from pynn import activations, optimizers

mp = pytest.importorskip("mpmath")

pytestmark = pytest.mark.filterwarnings("ignore::pynn.TrainingWarning")

# ---- float64 activations: largest error in units of the last place


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def softplus(x):
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


def phi(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def inner(x):
    return 2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)


def inner_slope(x):
    return 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mp.mpf("0.044715") * x**2)


def gated_slope(x, g, slope):
    return sigmoid(g) * (1 + x * sigmoid(-g) * slope)


SCALE, ALPHA = mp.mpf("1.0507009873554804934193349852946"), mp.mpf("1.6732632423543772848170429916717")
# name: value and slope, and their limits in units of the last place
EXACT = {
    "linear": (lambda x: x, lambda x: 1, 0.5, 0.5),
    "relu": (lambda x: max(x, 0), lambda x: x > 0, 0.5, 0.5),
    "relu6": (lambda x: min(max(x, 0), 6), lambda x: 0 < x < 6, 0.5, 0.5),
    "leaky_relu": (lambda x: x if x > 0 else x * mp.mpf(0.01), lambda x: 1 if x > 0 else mp.mpf(0.01), 0.51, 0.5),
    "elu": (lambda x: x if x > 0 else mp.expm1(x), lambda x: mp.exp(min(x, 0)), 1, 1),
    "selu": (
        lambda x: SCALE * (x if x > 0 else ALPHA * mp.expm1(x)),
        lambda x: SCALE * (1 if x > 0 else ALPHA * mp.exp(x)),
        2,
        2,
    ),
    "gelu": (lambda x: x * phi(x), lambda x: phi(x) + x * mp.npdf(x), 3, 10),
    "gelu_tanh": (lambda x: x * sigmoid(inner(x)), lambda x: gated_slope(x, inner(x), inner_slope(x)), 2, 5),
    "silu": (lambda x: x * sigmoid(x), lambda x: gated_slope(x, x, 1), 2, 4),
    "mish": (
        lambda x: x * mp.tanh(softplus(x)),
        lambda x: mp.tanh(softplus(x)) + x * mp.sech(softplus(x)) ** 2 * sigmoid(x),
        2.5,
        10,
    ),
    "softplus": (softplus, sigmoid, 1, 2),
    "log_sigmoid": (lambda x: -softplus(-x), lambda x: sigmoid(-x), 1, 2),
    "softsign": (lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2, 1, 4),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * sigmoid(-x), 1, 2),
    "hard_sigmoid": (lambda x: min(max(x + 3, 0), 6) / 6, lambda x: (0 < float(x) + 3 < 6) / mp.mpf(6), 1.5, 1),
    "tanh": (mp.tanh, lambda x: mp.sech(x) ** 2, 1, 2),
    "exponential": (mp.exp, mp.exp, 1, 1),
}
BEND = {
    "gelu",
    "gelu_tanh",
    "silu",
    "mish",
}  # near the root of the slope its error is counted in units of 1/16 at least
FLUSH = float(np.finfo(np.float64).tiny) * 2048  # what is smaller may be 0


def inputs():
    """Every fourth exponent, the range where functions bend densely, and the edges of branches, with both signs."""
    rng = np.random.default_rng(0)
    every = np.ldexp(1 + rng.uniform(size=258), np.arange(-1022, 10, 4))
    edges = np.array([0.55, 0.9, 1.1, 3, 6, 20, 37.64, 38.5, 39, 708.25, 709.7, 745, 1000])
    edges = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, np.inf)])
    x = np.concatenate([every, rng.uniform(0, 3, 120), rng.uniform(0, 40, 120), rng.uniform(0, 750, 40), edges])
    return np.concatenate([x, -x, [0.0]])


def evaluated(name, x):
    """(f(x), f'(x)): units of one layer have x as their bias; the loss |sum of units + 1e308| passes 1 back."""
    layers = [pynn.Dense(len(x), activation=name, kernel_initializer="zeros"), pynn.Dense(1, kernel_initializer="ones")]
    model = pynn.Sequential(layers, dtype="float64").build(1)
    model.layers[0].bias = x
    model.compile("mae", pynn.SGD(1e-300))
    model.fit(np.ones((1, 1)), np.full((1, 1), -1e308), verbose=0, guard="off")
    gradient = np.array(model._learner.trainer.gradient)[len(x) : 2 * len(x)]
    one = pynn.Sequential([pynn.Dense(1, activation=name, kernel_initializer="ones")], dtype="float64").build(1)
    return one.predict(x[x < 709.5][:, None])[:, 0], gradient


def errors(got, exact, floor):
    """In units of the last place of the exact result, or of `floor` where that is more; 0 where both vanish."""
    out = np.zeros(len(got))
    for i, (g, e, least) in enumerate(zip(got, exact, floor, strict=True)):
        if abs(e) < FLUSH:
            out[i] = 0 if abs(g) <= FLUSH else np.inf
        elif abs(e) > np.finfo(np.float64).max:
            out[i] = 0 if g == np.inf else np.inf
        else:
            out[i] = float(abs(mp.mpf(float(g)) - e) / mp.mpf(float(np.spacing(max(abs(float(e)), least)))))
    return out


@pytest.mark.parametrize("name", [name for name, row in activations.table.rows.items() if not row["rowwise"]])
def test_float64_activations_against_mpmath(name):
    assert name in EXACT, f"write the value and derivative of {name} into EXACT of tests/test_kernels.py"
    value, slope, value_limit, slope_limit = EXACT[name]
    x = inputs()
    values, gradient = evaluated(name, x)
    with mp.workdps(40):
        exact = [mp.mpf(value(mp.mpf(v))) for v in x[x < 709.5].tolist()]
        off = errors(values, exact, np.zeros(len(values)))
        assert off.max() <= value_limit, (x[x < 709.5][np.argmax(off)], off.max())
        exact = [mp.mpf(slope(mp.mpf(v))) for v in x.tolist()]
        off = errors(gradient, exact, np.where((np.abs(x) < 2) & (name in BEND), 1 / 16, 0))
        assert off.max() <= slope_limit, (x[np.argmax(off)], off.max())


# ---- optimizers: from any finite state a step is finite, or refused with nothing changed


def edge(rng, n, dtype, sign=True):
    """Numbers of every size that the dtype has, zeros among them."""
    top = np.log10(float(np.finfo(dtype).max))
    x = 10.0 ** rng.uniform(-top, top - 0.01, n) * rng.choice([0, 1, 1, 1], n)
    return (x * rng.choice([-1, 1], n) if sign else x).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", optimizers.table.rows)
def test_a_step_from_any_state_is_finite_or_refused(name, dtype):
    rng = np.random.default_rng(7)
    applied = 0
    for repeat in range(100):
        model = pynn.Sequential([pynn.Dense(1, use_bias=False)], dtype=dtype).build(4)
        model.compile("mae", optimizers.get(name))
        trainer = model._learner.trainer
        calm = repeat % 2  # then only the gradient is extreme
        model.parameters[:] = rng.normal(size=4) if calm else edge(rng, 4, dtype)
        trainer.steps = int(rng.choice([0, 1, 10**3, 10**9, 2**53]))
        for slot in trainer.slots:  # squares where the optimizer keeps squares: any optimizer takes them
            np.asarray(slot)[:] = 0 if calm else np.sqrt(edge(rng, 4, dtype, sign=False))
        before = np.array(model.parameters), [np.array(slot) for slot in trainer.slots], trainer.steps
        try:
            step = model.train_step(edge(rng, 4, dtype)[None], np.array([float(rng.normal())]))
        except pynn.NumericalError:
            after = np.array(model.parameters), [np.array(slot) for slot in trainer.slots], trainer.steps
            assert np.array_equal(before[0], after[0])
            assert all(np.array_equal(a, b) for a, b in zip(before[1], after[1], strict=True))
            assert before[2] == after[2]
        else:
            applied += step.applied
        assert np.isfinite(model.parameters).all()
        assert all(np.isfinite(np.asarray(slot)).all() for slot in trainer.slots)
    assert applied > 20


@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 1e38), ("float32", 1e-30), ("float64", 1e305), ("float64", 1e-290)]
)
def test_the_norm_and_the_clipped_step_are_exact_wherever_gradients_lie(dtype, size):
    """Squares of these gradients, and the clip factor 1e-3/norm of the first, leave the dtype's range."""
    x = size * np.array([[1.0, -2.0, 2.0]])
    model = pynn.Sequential([pynn.Dense(1, use_bias=False, kernel_initializer="zeros")], dtype=dtype)
    model.compile("mae", pynn.SGD(1.0, global_clipnorm=1e-3))
    step = model.train_step(x, np.array([1.0]))
    assert step.grad_norm == pytest.approx(3 * size, rel=1e-6)
    expected = x[0] / (3 * size) * min(1e-3, 3 * size)
    np.testing.assert_allclose(np.array(model.parameters), expected, rtol=1e-6)


# ---- the caller's floating-point state

STATE = """
import ctypes, ctypes.util, numpy as np, pynn
libm = ctypes.CDLL(ctypes.util.find_library("m"))
UPWARD = {upward}
tiny = np.full(1000, np.finfo(np.float32).tiny)
def check(where):
    assert libm.fegetround() == UPWARD, "rounding mode changed by " + where
    assert (tiny * np.float32(0.5) > 0).all(), "subnormals are flushed after " + where
class Callback(pynn.callbacks.Callback):
    def on_batch_end(self, *a): check("on_batch_end")
    def on_epoch_begin(self, *a): check("on_epoch_begin")
    def on_epoch_end(self, *a): check("on_epoch_end")
rng = np.random.default_rng(0)
X, y = rng.normal(size=(600, 64)), rng.integers(0, 2, 600)
pynn.set_num_threads(2)
assert libm.fesetround(UPWARD) == 0
model = pynn.Sequential([pynn.Dense(300, activation="gelu"), pynn.Dropout(0.1), pynn.Dense(2)])
model.compile("softmax_cross_entropy", metrics=["accuracy"])
for name, call in {{
    "fit": lambda: model.fit(X, y, epochs=2, validation_data=(X, y), callbacks=[Callback()], verbose=0),
    "fit, guard rollback": lambda: model.fit(X, y, guard="rollback", callbacks=[Callback()], verbose=0),
    "train_step": lambda: model.train_step(X[:32], y[:32]),
    "predict": lambda: model.predict(X),
    "predict one row": lambda: model.predict(X[:1]),
    "evaluate": lambda: model.evaluate(X, y),
    "diagnose": lambda: pynn.diagnose(model, X[:64], y[:64], epochs=1),
    "a refused step": lambda: model.fit(X * np.where(np.arange(64) == 3, np.nan, 1), y, verbose=0),
}}.items():
    try:
        call()
    except (pynn.NumericalError, AttributeError):
        assert name in ("a refused step", "diagnose")
    check(name)
print("as before")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="fegetround by ctypes")
def test_the_callers_floating_point_state_is_left_alone(python):
    """Neither flushing of subnormals nor the rounding mode leaks, into callbacks neither."""
    upward = {"x86_64": 0x800, "AMD64": 0x800, "aarch64": 0x400000, "arm64": 0x400000}.get(platform.machine())
    if upward is None:
        pytest.skip("FE_UPWARD of this processor is not known here")
    assert python(STATE.format(upward=upward)) == "as before"
