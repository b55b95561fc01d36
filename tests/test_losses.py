"""Losses against mpmath where they are hard: ties, huge spreads, tiny losses, soft and smoothed targets, weights."""

import numpy as np
import pytest

import pynn
from pynn import losses

mp = pytest.importorskip("mpmath")

DTYPES = ["float32", "float64"]


def loss_and_gradient(loss, z, y, dtype, weights=None):
    """The loss of logits `z` and its gradient by them, from an identity kernel; the weight of a row is 1."""
    z = np.asarray(z, dtype)
    model = pynn.Sequential([pynn.Dense(z.shape[1], use_bias=False)], dtype=dtype).build(z.shape[1])
    model.layers[0].kernel = np.eye(z.shape[1])
    model.compile(loss, pynn.SGD(1e-30))
    value = model.evaluate(z, y, sample_weight=weights)["loss"]
    # one row's dL/dW = x^T delta: with the bias as the only parameter that moves, db is delta itself
    model = pynn.Sequential([pynn.Dense(z.shape[1])], dtype=dtype).build(1)
    model.layers[0].kernel = 0 * model.layers[0].kernel
    model.compile(loss, pynn.SGD(1e-30))
    gradients = []
    for i in range(len(z)):
        model.layers[0].bias = z[i]
        w = None if weights is None else weights[i : i + 1]
        model.train_step(np.ones((1, 1)), y[i : i + 1], w, guard="off")
        gradients.append(np.array(model._learner.trainer.gradient)[-z.shape[1] :])
    return value, np.array(gradients)


def softmax_oracle(z, y):
    """(loss, gradient) of one row of numbers as they stand, to 100 digits."""
    with mp.workdps(100 + 2 * int(np.log10(1 + np.abs(z).max()))):
        z, y = [mp.mpf(float(v)) for v in z], [mp.mpf(float(v)) for v in y]
        top = max(z)
        e = [mp.exp(v - top) for v in z]
        total = mp.fsum(e)
        # log(total) of 1 + 1e-300 needs the digits that log1p keeps
        rest = mp.fsum(sorted(e)[:-1])
        log_total = mp.log1p(rest)
        loss = mp.fsum(t * (log_total + (top - v)) for t, v in zip(y, z, strict=True))
        return loss, [ei / total * mp.fsum(y) - t for ei, t in zip(e, y, strict=True)]


def spacing(exact, dtype):
    most = np.finfo(dtype).max
    return float(np.spacing(np.asarray(min(abs(float(exact)), float(most) / 4), dtype)))


def ulps(got, exact, dtype):
    """|got - exact| in units of the last place of `exact` in `dtype`; what both flush to zero counts as equal."""
    info = np.finfo(dtype)
    if abs(exact) < info.tiny * 2048:
        return 0 if abs(got) <= float(info.tiny) * 2048 else np.inf
    return float(abs(mp.mpf(float(got)) - exact) / mp.mpf(spacing(exact, dtype)))


def close(got, slope, target, exactly, dtype):
    """Within 4 ULPs, 6 in float64, whose sums have no wider type; where probabilities cancel, of the larger one."""
    most = 4 if dtype == "float32" else 6
    scale = max(target, float(slope) + target)
    if exactly or abs(slope) > 0.5 * scale:
        return ulps(got, slope, dtype) <= most
    return abs(float(mp.mpf(float(got)) - slope)) <= most * np.finfo(dtype).eps * scale


def hard_rows(rng):
    """Logits that are near ties, far apart, or dominated by one class."""
    yield [0.0, 0.0]
    yield [1.0, np.nextafter(np.float32(1), np.float32(2)), 1.0]
    yield [70.0, 0.0]
    yield [69.0, 0.25, -3.0, 1.5]
    yield [-40.0, 39.0, 2.0]
    yield [1e30, -1e30, 0.0]
    yield [np.finfo(np.float32).max, -np.finfo(np.float32).max, 0.0, 1.0]
    yield [np.finfo(np.float32).max] * 3
    for spread in (1e-6, 1e-3, 1.0, 10.0, 80.0, 1e4):
        for n in (2, 3, 10, 33):
            yield list(rng.normal(size=n) * spread)


def hard_targets(rng, n):
    yield from np.eye(n)[[0, n - 1]]
    yield rng.dirichlet(np.ones(n))
    yield np.full(n, 1 / n)
    yield np.zeros(n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_softmax_cross_entropy_is_within_4_ulps(dtype, label_smoothing):
    rng = np.random.default_rng(0)
    loss = losses.SoftmaxCrossEntropy(label_smoothing=label_smoothing)
    for row in hard_rows(rng):
        z = np.array([row], dtype)
        for y in hard_targets(rng, z.shape[1]):
            y = y.astype(dtype)
            value, gradient = loss_and_gradient(loss, z, y[None], dtype)
            smoothed = y.astype(np.float64) * (1 - label_smoothing) + label_smoothing / len(y)
            exact, slopes = softmax_oracle(z[0], smoothed)
            assert ulps(value, exact, dtype) <= 4, (row, y)
            assert np.abs(gradient).max() <= 1
            exactly = not label_smoothing and np.isin(y, (0, 1)).all()
            for got, slope, t in zip(gradient[0], slopes, smoothed, strict=True):
                assert close(got, slope, t, exactly, dtype), (row, y, got, slope)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tiny_softmax_loss_keeps_its_digits(dtype):
    """One class dominates: 1e-30 is the loss, not 0, and its gradient is of that size."""
    value, gradient = loss_and_gradient("softmax_cross_entropy", [[69.0, 0.0]], np.array([0]), dtype)
    assert value == pytest.approx(np.exp(-69.0), rel=4 * float(np.finfo(dtype).eps))
    np.testing.assert_allclose(gradient[0], [-np.exp(-69.0), np.exp(-69.0)], rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_sigmoid_cross_entropy_is_within_4_ulps(dtype, label_smoothing):
    rng = np.random.default_rng(0)
    most = np.finfo(np.float32).max
    loss = losses.SigmoidCrossEntropy(label_smoothing=label_smoothing)
    z = np.concatenate([rng.normal(size=60) * 10.0 ** rng.uniform(-8, 3, 60), [0, 69, -69, most, -most, 17, -17]])
    for logit in z.astype(dtype):
        for target in np.array([0, 1, 0.5, 0.25, 0.9], dtype):
            value, gradient = loss_and_gradient(loss, [[logit]], np.array([[target]]), dtype)
            y = (1 - label_smoothing) * float(target) + 0.5 * label_smoothing
            with mp.workdps(120):
                x, t = mp.mpf(float(logit)), mp.mpf(y)
                positive = x if x > 0 else mp.mpf(0)
                exact = (1 - t) * x if x > 0 else -t * x
                exact += mp.log1p(mp.exp(-abs(x)))
                slope = (1 - t) - 1 / (1 + mp.exp(x)) if positive else 1 / (1 + mp.exp(-x)) - t
            assert ulps(value, exact, dtype) <= 4
            exactly = not label_smoothing and target in (0, 1)
            assert close(gradient[0, 0], slope, y, exactly, dtype), (logit, target)
            assert abs(gradient[0, 0]) <= 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_cross_entropy", "kl_divergence"])
def test_any_finite_logits_give_a_finite_loss_and_a_gradient_within_1(dtype, name):
    rng = np.random.default_rng(1)
    edges = np.array([0, 1, -1, 1e-30, 1e30, -1e30, np.finfo(np.float32).max, -np.finfo(np.float32).max])
    for _ in range(50):
        z = rng.choice(edges, size=(1, 5))
        y = rng.dirichlet(np.ones(5), 1)
        value, gradient = loss_and_gradient(name, z, y, dtype)
        assert 0 <= value < np.inf
        assert np.abs(gradient).max() <= 1


@pytest.mark.parametrize("name", losses.table.rows)
def test_rows_of_weight_zero_are_not_there(name):
    """Among others they add nothing; alone they have no loss."""
    rng = np.random.default_rng(2)
    z, y = rng.normal(size=(4, 4)), rng.dirichlet(np.ones(4), 4)
    if losses.get(name).row["pairs"]:
        y = y[:, :2]
    z[1] = 1e30
    weights = np.array([1.0, 0.0, 2.0, 0.0])
    value, gradient = loss_and_gradient(name, z, y, "float64", weights)
    rows = [loss_and_gradient(name, z[i : i + 1], y[i : i + 1], "float64")[0] for i in (0, 2)]
    assert value == pytest.approx((rows[0] + 2 * rows[1]) / 4, rel=1e-14)
    assert not gradient[[1, 3]].any()
    with pytest.raises(pynn.ArgumentValueError, match="a weight > 0; received weights that are all 0"):
        loss_and_gradient(name, z, y, "float64", np.zeros(4))


@pytest.mark.parametrize(
    ("name", "z", "y", "expected"),
    [
        ("log_cosh", 1e300, -1e300, 2e300),
        ("log_cosh", 1e-5, 0.0, 5e-11),
        ("log_cosh", 3.0, 1.0, np.log(np.cosh(2.0))),
        ("quantile", 1.0, 3.0, 1.0),
        ("poisson", 2.0, 3.0, np.exp(2.0) - 6),
        ("poisson", -1e300, 0.0, 0.0),
        ("hinge", 0.25, 1.0, 0.75),
        ("hinge", 0.25, 0.0, 1.25),
        ("hinge", 0.25, -1.0, 1.25),
        ("squared_hinge", -3.0, 1.0, 16.0),
        ("focal", 0.0, 1.0, 0.25 * 0.25 * np.log(2.0)),
        ("focal", -800.0, 1.0, 0.25 * 800),
        ("focal", 800.0, 1.0, 0.0),
    ],
)
def test_values(name, z, y, expected):
    value, gradient = loss_and_gradient(name, [[z]], np.array([[y]]), "float64")
    assert value == pytest.approx(expected, rel=1e-14)
    assert np.isfinite(gradient).all()


def test_gaussian_nll_is_finite_wherever_it_can_be():
    """A mean that is exact has a finite loss at any variance; a large error under a large variance too."""
    for mean, log_variance, y, expected in (
        (1, -700, 1, -350),
        (0, 700, 1e150, 350 + 0.5e300 * np.exp(-700)),
        (2, 0, 5, 4.5),
    ):
        z = np.array([[mean, log_variance]], float)
        value, gradient = loss_and_gradient("gaussian_nll", z, np.array([[y]], float), "float64")
        assert value == pytest.approx(expected, rel=1e-13)
        assert np.isfinite(gradient).all()


def test_gaussian_nll_wants_pairs_and_learns_both():
    with pytest.raises(pynn.ShapeError, match=r"even number of units .* received units=3"):
        pynn.Sequential([pynn.Dense(3)]).compile("gaussian_nll")
    with pytest.raises(ValueError, match="expected no metrics"):
        pynn.Sequential([pynn.Dense(2)]).compile("gaussian_nll", metrics=["mae"])
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(4000, 1))
    y = 2 * x + rng.normal(size=x.shape) * np.exp(x)
    model = pynn.Sequential([pynn.Dense(2)], seed=0)
    model.compile("gaussian_nll", pynn.Adam(0.02))
    model.fit(x, y, epochs=20, verbose=0)
    mean, log_variance = model.predict(np.array([[-0.5], [0.5]])).T
    np.testing.assert_allclose(mean, [-1, 1], atol=0.15)
    np.testing.assert_allclose(log_variance, [-1, 1], atol=0.2)
    with pytest.raises(pynn.ShapeError, match="y with 1 columns"):
        model.fit(x, np.c_[y, y])


def test_quantiles_are_learned():
    y = np.random.default_rng(0).normal(size=(4000, 1))
    for q, expected in ((0.1, -1.2816), (0.9, 1.2816)):
        model = pynn.Sequential([pynn.Dense(1)], dtype="float64")
        model.compile(losses.Quantile(quantile=q), pynn.Adam(0.01))
        model.fit(np.zeros((4000, 1)), y, epochs=12, verbose=0)
        assert model.predict(np.zeros((1, 1)))[0, 0] == pytest.approx(expected, abs=0.1)


def test_counts_below_zero_are_refused():
    model = pynn.Sequential([pynn.Dense(1)])
    model.compile("poisson")
    with pytest.raises(pynn.LabelError, match=r"expected y >= 0 with the loss 'poisson'; received y\[1, 0\]=-2"):
        model.fit(np.zeros((3, 1)), np.array([1.0, -2.0, 0.0]))
    assert model.fit(np.zeros((3, 1)), np.array([1.0, 2.0, 0.0]), verbose=0)
    assert model.predict(np.zeros((1, 1))) > 0  # a rate
