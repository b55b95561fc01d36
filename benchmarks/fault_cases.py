"""54 faults that people reported or that studies use, as programs: the same facts, rebuilt on packaged or made data.

Each has the finding codes that name its cause. Where the fix is known, `fixed` is the program with the fix by hand.
Cases without codes are controls: healthy programs, or mistakes that cannot happen here, since losses take logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn.datasets as packaged
from programs import Program, digits, one_hot, split

import pynn
from pynn import BatchNormalization, Dense, Dropout
from pynn.initializers import Constant, RandomNormal, RandomUniform, TruncatedNormal

SMALL = RandomUniform(minval=-0.05, maxval=0.05)
UNIT = RandomNormal(stddev=1.0)
HE = "he_uniform"
adam, sgd = pynn.Adam, pynn.SGD


@dataclass(frozen=True)
class Case:
    """A fault as a program, and the codes that name it."""

    program: Program
    codes: tuple[str, ...]
    fixed: Program | None = None
    rows: tuple[int, ...] = ()  # exact place, where the fault has one


def layers(*widths: Any, kernel: Any = None, last_kernel: Any = None, bias: Any = "zeros") -> tuple[Any, ...]:
    """``layers((50, "relu"), (1, None))``."""
    found = []
    for i, (units, activation) in enumerate(widths):
        chosen = last_kernel if i == len(widths) - 1 and last_kernel is not None else kernel
        found.append(Dense(units, activation=activation, kernel_initializer=chosen, bias_initializer=bias))
    return tuple(found)


def fit(epochs: int, batch_size: int, **more: Any) -> dict[str, Any]:
    return {"epochs": epochs, "batch_size": batch_size} | more


def hot_digits() -> tuple[np.ndarray, ...]:
    X, y, Xt, yt = digits()
    return X, one_hot(y, 10), Xt, one_hot(yt, 10)


def on_digits() -> Iterator[Case]:
    data, labels = hot_digits(), digits()
    good = Program(
        "fixed",
        labels,
        layers((100, "sigmoid"), (10, None)),
        "softmax_cross_entropy",
        sgd(learning_rate=0.5),
        "classes",
        fit(3, 10),
    )
    wide = layers((1000, "sigmoid"), (10, "sigmoid"), kernel=UNIT)
    yield Case(
        Program("seed-44686609a", data, wide, "mse", sgd(learning_rate=0.1), "classes", fit(3, 100)),
        ("saturated_activation", "poor_init", "vanishing_gradient"),
        good,
    )
    ones = layers((1000, "sigmoid"), (10, "sigmoid"), kernel=RandomUniform(minval=0.0, maxval=1.0))
    yield Case(
        Program("seed-44686609b", data, ones, "mse", sgd(learning_rate=0.1), "classes", fit(3, 100)),
        ("saturated_activation", "zero_gradient", "poor_init"),
        good,
    )
    linear = layers((30, None), (10, None), kernel=UNIT, bias=UNIT)
    yield Case(
        Program("so-48385830", data, linear, "mse", sgd(learning_rate=3.0), "classes", fit(30, 10)),
        (
            "exploding_gradient",
            "missing_nonlinearity",
            "learning_rate_too_high",
            "loss_mismatch",
            "diverging_loss",
            "poor_init",
        ),
        good,
    )
    yield Case(
        Program(
            "so-35078027",
            data,
            layers((512, "sigmoid"), (10, None), kernel=UNIT),
            "sigmoid_cross_entropy",
            sgd(learning_rate=0.5),
            "classes",
            fit(18, 100),
        ),
        ("poor_init", "saturated_activation"),
    )
    yield Case(
        Program(
            "so-33641799",
            labels,
            layers((10, None), kernel="zeros"),
            "softmax_cross_entropy",
            sgd(learning_rate=0.5),
            "classes",
            fit(4, 32),
        ),
        (),
    )
    deep = layers((500, "relu"), (500, "relu"), (500, "relu"), (10, None), kernel=UNIT)
    yield Case(
        Program("so-48723158", labels, deep, "softmax_cross_entropy", adam(learning_rate=3e-3), "classes", fit(1, 100)),
        ("exploding_activation", "poor_init"),
        good,
    )
    dropped = (
        Dense(500, activation="relu"),
        Dropout(0.4),
        Dense(300, activation="relu"),
        Dropout(0.4),
        Dense(10, activation="softmax"),
    )
    yield Case(
        Program(
            "keras-1429",
            data,
            dropped,
            "categorical_crossentropy",
            pynn.RMSprop(learning_rate=1e-3),
            "classes",
            fit(8, 64),
        ),
        (),
    )
    stack = layers(*[(128, "relu")] * 20, (10, "softmax"), kernel="glorot_uniform")
    yield Case(
        Program(
            "at-mnist-deep", data, stack, "categorical_crossentropy", adam(learning_rate=1e-3), "classes", fit(8, 32)
        ),
        ("oscillating_loss", "vanishing_gradient", "learning_rate_too_high"),
        good,
    )


def on_tiny_data() -> Iterator[Case]:
    random = np.random.default_rng(0)
    X, Y = packaged.make_multilabel_classification(2000, 20, n_classes=3, random_state=0)
    Y = Y.astype(np.float32)
    counts = (X[:1500], Y[:1500], X[1500:], Y[1500:])
    multi = (
        Dense(20, activation="relu"),
        Dropout(0.5),
        Dense(20, activation="relu"),
        Dropout(0.5),
        Dense(3, activation="softmax"),
    )
    yield Case(
        Program("so-38648195", counts, multi, "mse", sgd(learning_rate=0.01), "classes", fit(20, 20)),
        ("loss_mismatch", "unscaled_input"),
    )
    xor = np.array([(1, 1), (0, 0), (1, 0), (0, 1), (1, 1), (0, 0)], np.float32)
    answers = np.array([0, 0, 1, 1, 0, 0])
    nesterov = sgd(learning_rate=1e-3, momentum=0.9, nesterov=True)
    yield Case(
        Program(
            "so-34311586",
            (xor, answers, xor, answers),
            layers((2, "sigmoid"), (3, "sigmoid"), (1, "softmax"), kernel=SMALL),
            "mse",
            nesterov,
            "yes_no",
            fit(20, 32),
        ),
        ("single_unit_softmax", "learning_rate_too_low", "poor_init"),
    )
    codes = np.array([(65, 66, 67)] * 13 + [(68, 69, 70)] * 8, np.float32)
    which = np.array([0] * 13 + [1] * 8)
    yield Case(
        Program(
            "so-39525358",
            (codes, which, codes, which),
            layers((12, "relu"), (3, "relu"), (1, "sigmoid"), kernel=SMALL),
            "binary_crossentropy",
            adam(learning_rate=1e-3),
            "yes_no",
            fit(150, 1),
        ),
        ("unscaled_input", "dead_relu"),
    )
    x = np.arange(0, 5, 0.1)[:, None]
    y = 5 * x[:, 0] ** 2 + random.normal(size=50) ** 3
    square = Program(
        "so-48934338",
        (x, y, x, y),
        layers((50, "relu"), (30, "relu"), (1, None), last_kernel="glorot_uniform"),
        "mse",
        sgd(learning_rate=0.1),
        "numbers",
        fit(1000, 32),
    )
    yield Case(
        square,
        ("learning_rate_too_high", "dead_relu", "unscaled_target", "diverging_loss"),
        square.change(optimizer=sgd(learning_rate=1e-3)),
    )
    iris = split(*packaged.load_iris(return_X_y=True))
    tiny = RandomNormal(stddev=0.05)
    for name, epochs in (("so-59278771", 200), ("so-51930566", 50)):
        yield Case(
            Program(
                name,
                iris,
                layers((4, "relu"), (3, "sigmoid"), kernel=tiny),
                "categorical_crossentropy",
                adam(learning_rate=1e-3),
                "classes",
                fit(epochs, 5),
            ),
            ("loss_mismatch", "poor_init"),
        )
    t = np.arange(300) * 0.0628
    wave = np.column_stack([np.sin(t[1:]), np.sin(t[:-1])])
    rising = (wave[:, 0] > wave[:, 1]).astype(int)
    yield Case(
        Program(
            "so-41372874",
            (wave, rising, wave, rising),
            layers((2, "relu"), (2, "relu"), (1, "sigmoid"), kernel=SMALL),
            "binary_crossentropy",
            adam(learning_rate=1e-3),
            "yes_no",
            fit(20, 2),
        ),
        ("dead_relu", "underfitting", "poor_init"),
    )
    x = np.arange(-10, 10.05, 0.1)[:, None]
    parabola = (x, x[:, 0] ** 2 + 3, x, x[:, 0] ** 2 + 3)
    yield Case(
        Program(
            "so-48221692",
            parabola,
            layers((5, "sigmoid"), (1, "sigmoid")),
            "mse",
            sgd(learning_rate=0.01),
            "numbers",
            fit(1000, 201),
        ),
        ("output_range_mismatch",),
    )
    big = random.integers(15041, 24987, (999, 1)).astype(np.float64)
    coin = random.integers(0, 2, 999)
    yield Case(
        Program(
            "so-45442843",
            (big, coin, big, coin),
            layers((1, "sigmoid"), (1, "softmax")),
            "mae",
            pynn.RMSprop(learning_rate=1e-3),
            "yes_no",
            fit(100, 200),
        ),
        ("single_unit_softmax", "unscaled_input"),
    )
    six = np.array([(1, 2), (2, 3), (3, 1), (4, 3), (5, 3), (6, 2)], np.float32)
    side = np.array([0, 0, 0, 1, 1, 1])
    yield Case(
        Program(
            "grist-26",
            (six, side, six, side),
            layers((1, "sigmoid"), kernel="zeros"),
            "binary_crossentropy",
            sgd(learning_rate=1.0),
            "yes_no",
            fit(1000, 6),
        ),
        (),
    )


def on_lines() -> Iterator[Case]:
    random = np.random.default_rng(1)
    x = random.uniform(-8, 8, (8, 1))
    y = 5.3 * x[:, 0] - 3.1 + random.uniform(-1, 1, 8)
    line = Program(
        "so-39939881",
        (x, y, x, y),
        layers((1, None), kernel="zeros"),
        "mse",
        sgd(learning_rate=0.1),
        "numbers",
        fit(100, 8),
    )
    yield Case(line, ("diverging_loss", "learning_rate_too_high"), line.change(optimizer=sgd(learning_rate=0.02)))
    t = np.arange(100.0)
    ramp = (np.column_stack([t, np.ones(100)]), 2 * t + 4 + random.uniform(0, 10, 100))
    plain = Program(
        "so-43636736",
        (*ramp, *ramp),
        (Dense(1, use_bias=False, kernel_initializer="zeros"),),
        "mse",
        sgd(learning_rate=0.25),
        "numbers",
        fit(100, 100),
    )
    yield Case(
        plain,
        ("diverging_loss", "learning_rate_too_high", "unscaled_input"),
        plain.change(optimizer=sgd(learning_rate=2.5e-4)),
    )
    x = (t[:, None] - t.mean()) / t.std()
    square = (x, t**2 + 3)
    yield Case(
        Program(
            "cv-418955",
            (*square, *square),
            layers((1, None), (1, None)),
            "mse",
            sgd(learning_rate=0.01),
            "numbers",
            fit(300, 32),
        ),
        ("diverging_loss", "unscaled_target"),
    )
    x = np.arange(-1.0, 6.0)[:, None]
    yield Case(
        Program(
            "dl-2xm1",
            (x, 2 * x[:, 0] - 1, x, 2 * x[:, 0] - 1),
            layers((4, "relu"), (2, "relu"), (1, "relu"), kernel="glorot_uniform"),
            "mse",
            adam(learning_rate=1e-3),
            "numbers",
            fit(500, 7),
        ),
        ("dead_relu", "output_range_mismatch"),
    )
    pair = random.integers(0, 500, (2000, 2)).astype(np.float64)
    product = (pair, pair[:, 0] * pair[:, 1])
    yield Case(
        Program(
            "so-50-mult",
            (*product, *product),
            layers((3, None), (5, "relu"), (3, "relu"), (5, "relu"), (1, "relu"), kernel="glorot_uniform"),
            "mse",
            adam(learning_rate=1e-3),
            "numbers",
            fit(10, 10),
        ),
        ("unscaled_target", "dead_relu", "unscaled_input"),
    )


def on_tables() -> Iterator[Case]:
    random = np.random.default_rng(2)
    X = random.normal(size=(2051, 80))
    price = 180_000 + 30_000 * X[:, :10].sum(axis=1) + 9_000 * random.normal(size=2051)
    houses = split(X, price)
    yield Case(
        Program(
            "rstudio-9",
            houses,
            layers((128, "relu"), (128, "relu"), (1, None), kernel="glorot_uniform"),
            "mse",
            sgd(learning_rate=0.1),
            "numbers",
            fit(10, 16),
        ),
        ("diverging_loss", "unscaled_target"),
    )
    X, y = packaged.make_regression(1000, 10, noise=5, random_state=0)
    yield Case(
        Program(
            "sklearn-29504",
            split(100 * X, 1e4 * y),
            layers((100, "relu"), (1, None), kernel="glorot_uniform"),
            "mse",
            sgd(learning_rate=0.1),
            "numbers",
            fit(40, 200),
        ),
        ("diverging_loss", "unscaled_target", "unscaled_input", "learning_rate_too_high"),
    )
    X = np.column_stack(
        [
            random.normal(138, 20, 370),
            random.gamma(1, 4, 370),
            random.normal(4.7, 2, 370),
            random.normal(25, 8, 370),
            random.integers(0, 2, 370),
            random.normal(53, 10, 370),
            random.normal(26, 4, 370),
            random.gamma(1, 17, 370),
            random.normal(43, 15, 370),
        ]
    )
    logit = 0.02 * (X[:, 0] - 138) + 0.15 * X[:, 1] + 0.06 * (X[:, 8] - 43) - 0.6
    heart = split(X, (logit + random.logistic(size=370) > 0).astype(int))
    one = (Dense(2, kernel_initializer=TruncatedNormal(stddev=1.0), kernel_regularizer=pynn.regularizers.L2(0.5)),)
    yield Case(
        Program("so-45002504", heart, one, "softmax_cross_entropy", sgd(learning_rate=0.5), "classes", fit(100, 7)),
        ("diverging_loss", "over_regularised", "unscaled_input", "learning_rate_too_high"),
    )
    side = random.integers(0, 2, 400)
    X = random.normal(0, 0.1, (400, 14)) + np.where(side[:, None] == 0, random.integers(-1, 2, 14), 0)
    bce = layers((20, "relu"), (20, "relu"), (15, "relu"), (1, None), kernel=TruncatedNormal(stddev=0.4))
    yield Case(
        Program(
            "so-42821125",
            split(X, side),
            bce,
            "sigmoid_cross_entropy",
            adam(learning_rate=5e-3),
            "yes_no",
            fit(100, 100),
        ),
        (),
    )
    X = np.exp(random.normal(0, 3, (4000, 20)) + 8)
    kind = (np.log(X[:, 0]) > 11.8).astype(int) + 2 * (np.log(X[:, 1]) > 12.5) + (np.log(X[:, 2]) > 13)
    yield Case(
        Program(
            "gh-ddos",
            split(X, np.minimum(kind, 4)),
            (
                Dense(22, activation="relu", kernel_initializer=SMALL),
                *layers((64, "relu"), (128, "relu"), (64, "relu"), (5, "softmax"), kernel="glorot_uniform"),
            ),
            "sparse_categorical_crossentropy",
            adam(learning_rate=1e-3),
            "classes",
            fit(2, 32),
        ),
        ("unscaled_input", "class_imbalance", "outlier"),
    )
    base = random.normal(size=(500, 6))
    X, Y = np.clip(base @ random.normal(size=(6, 400)) / 6 + 0.5, 0, 1), np.tanh(base @ random.normal(size=(6, 30)) / 3)
    yield Case(
        Program(
            "gh-facial",
            split(X, Y),
            layers((50, None), (100, None), (30, None)),
            "mse",
            adam(learning_rate=0.1),
            "numbers",
            fit(100, 32),
        ),
        ("learning_rate_too_high", "missing_nonlinearity", "nonfinite_target"),
    )


def on_circles_and_blobs() -> Iterator[Case]:
    circle = split(*packaged.make_circles(1000, noise=0.1, factor=0.8, random_state=1))
    eight = layers(*[(5, "sigmoid")] * 8, (1, "sigmoid"), kernel=HE)
    yield Case(
        Program(
            "at-circle-gv8", circle, eight, "binary_crossentropy", adam(learning_rate=1e-3), "yes_no", fit(300, 128)
        ),
        ("vanishing_gradient",),
    )
    five = layers(*[(5, "tanh")] * 5, (1, "sigmoid"), kernel=HE)
    healthy = Program(
        "at-circle-normal5", circle, five, "binary_crossentropy", adam(learning_rate=1e-3), "yes_no", fit(300, 128)
    )
    yield Case(healthy, ())
    betas = adam(learning_rate=1e-3, beta_1=0.3499, beta_2=0.1259)
    yield Case(healthy.change(name="at-circle-betas", optimizer=betas, fit=fit(300, 32)), ())
    X, y = packaged.make_blobs(
        1000, 2, centers=[(-1.28, -9.48), (0.99, -1.29), (-1.59, -3.39)], cluster_std=2, random_state=2
    )
    blob = split(X, y)
    loss = "sparse_categorical_crossentropy"
    shallow = (Dense(50, activation="relu", kernel_initializer=HE), Dense(3, activation="softmax"))
    yield Case(
        Program("at-blob-ol", blob, shallow, loss, sgd(learning_rate=0.01, momentum=0.9), "classes", fit(40, 1)),
        ("oscillating_loss", "learning_rate_too_high", "dead_relu"),
    )
    nine = layers(*[(5, "relu")] * 9, (3, "sigmoid"), kernel=SMALL, last_kernel=HE)
    yield Case(
        Program("at-blob-dr9", blob, nine, loss, adam(learning_rate=1e-3), "classes", fit(300, 256)),
        ("dead_relu", "poor_init"),
    )
    tanhs = layers(*[(5, "tanh")] * 5, (3, "softmax"), kernel=HE)
    far = split(100 * X, y)
    yield Case(
        Program("at-blob-ad100", far, tanhs, loss, adam(learning_rate=1e-3), "classes", fit(300, 256)),
        ("unscaled_input", "saturated_activation"),
    )
    odd = adam(learning_rate=1e-3, beta_1=0.3897, beta_2=0.4435)
    yield Case(Program("at-blob-betas", blob, tanhs, loss, odd, "classes", fit(300, 64)), ())
    random = np.random.default_rng(3)
    negative = random.uniform(-1, 0, (4000, 4))
    flips = random.integers(0, 2, 4000)
    yield Case(
        Program(
            "at-negrelu",
            split(negative, flips),
            layers((5, "relu"), (5, "relu"), (1, "sigmoid"), kernel=SMALL, last_kernel="glorot_uniform"),
            "binary_crossentropy",
            adam(learning_rate=1e-3),
            "yes_no",
            fit(10, 256),
        ),
        ("labels_independent_of_inputs",),
    )


def cars() -> tuple[np.ndarray, ...]:
    """Fuel consumption by weight, power and year, as in the classical table: 392 rows, 9 columns in 0 ... 1."""
    random = np.random.default_rng(4)
    weight = random.uniform(1613, 5140, 392)
    power = np.clip(weight / 28 + random.normal(0, 18, 392), 45, 230)
    year, origin = random.integers(70, 83, 392), random.integers(0, 3, 392)
    X = np.column_stack(
        [
            np.digitize(weight, [2500, 3300]),
            weight / 14,
            power,
            weight,
            24 - power / 16,
            year,
            *(origin == k for k in range(3)),
        ]
    ).astype(np.float64)
    mpg = 46 - 0.0075 * weight + 0.7 * (year - 76) + 20_000 / weight + random.normal(0, 2.2, 392)
    X = (X - X.min(axis=0)) / np.ptp(X, axis=0)
    return split(X, mpg)


def on_cars() -> Iterator[Case]:
    l2 = pynn.regularizers.L2(1e-5)

    def stack(kernel: Any = "he_normal", penalty: Any = l2, last: Any = None) -> tuple[Any, ...]:
        hidden = [Dense(64, activation="relu", kernel_initializer=kernel, kernel_regularizer=penalty) for _ in range(2)]
        return (*hidden, Dense(1, activation=last, kernel_regularizer=penalty))

    clean = Program("tdc-clean", cars(), stack(), "mse", adam(learning_rate=1e-3), "numbers", fit(100, 32))
    yield Case(clean, ())
    made: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
        ("tdc-high-lr", {"optimizer": adam(learning_rate=0.1)}, ("learning_rate_too_high", "dead_relu")),
        ("tdc-low-lr", {"optimizer": adam(learning_rate=1e-5)}, ("learning_rate_too_low",)),
        ("tdc-low-eps", {"optimizer": adam(learning_rate=1e-3, epsilon=1e-16)}, ()),
        ("tdc-zero-eps", {"optimizer": adam(learning_rate=1e-3, epsilon=1e-30)}, ()),
        ("tdc-over-reg", {"layers": stack(penalty=pynn.regularizers.L2(0.1))}, ("over_regularised",)),
        ("tdc-const-init", {"layers": stack(kernel=Constant(0.01))}, ("symmetric_init",)),
        ("tdc-std-init", {"layers": stack(kernel=RandomNormal(stddev=0.25))}, ()),
    ]
    for name, changes, codes in made:
        yield Case(clean.change(name=name, **changes), codes, clean)
    X, y, Xt, yt = clean.data
    low, high = y.min(), y.max()
    pm = (X, 2 * (y - low) / (high - low) - 1, Xt, 2 * (yt - low) / (high - low) - 1)
    yield Case(clean.change(name="tdc-sigmoid-out", data=pm, layers=stack(last="sigmoid")), ("output_range_mismatch",))


def injected() -> Iterator[Case]:
    X, y = packaged.make_classification(1000, 20, n_informative=8, class_sep=1.5, flip_y=0.0, random_state=0)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    data = (X, y, X, y)
    two = layers((64, "relu"), (64, "relu"), (2, None), kernel=HE, last_kernel="glorot_uniform")
    good = Program("inj-none", data, two, "softmax_cross_entropy", adam(learning_rate=1e-3), "classes", fit(20, 32))
    broken = X.copy()
    broken[537, 3] = np.nan
    yield Case(good.change(name="inj-nan-row", data=(broken, y, X, y)), ("nonfinite_input",), rows=(537,))
    beyond = y.copy()
    beyond[211] = 2
    yield Case(good.change(name="inj-label-range", data=(X, beyond, X, y)), ("label_out_of_range",), rows=(211,))
    random = np.random.default_rng(5)
    noisy, at = y.copy(), random.permutation(1000)[:400]
    noisy[at] = random.permutation(noisy[at])
    yield Case(good.change(name="inj-label-noise", data=(X, noisy, X, y)), ("label_noise",))
    yield Case(
        good.change(name="inj-denormal", data=(1e-22 * X, y, 1e-22 * X, y)),
        ("underflow", "unscaled_input", "vanishing_activation"),
    )
    normalized = (*two[:1], BatchNormalization(), *two[1:])
    yield Case(good.change(name="inj-batch1-bn", layers=normalized, fit=fit(2, 1)), ("batch_too_small",))
    weights = np.ones(1000)
    weights[:32] = 0
    yield Case(good.change(name="inj-zero-weight-batch", fit=fit(20, 32, sample_weight=weights, shuffle=False)), ())
    spike = pynn.LearningRateScheduler(lambda epoch, rate: 1.0 if epoch == 15 else 1e-3)
    yield Case(
        good.change(name="inj-lr-spike", fit=fit(20, 32, callbacks=[spike])),
        ("loss_spike", "schedule_mismatch", "diverging_loss", "learning_rate_too_high"),
    )
    zeros = np.zeros((400, 8))
    target = random.normal(size=400)
    yield Case(
        Program(
            "so-42064941",
            (zeros, target, zeros, target),
            layers((16, None), (1, None)),
            "mse",
            adam(learning_rate=1e-3),
            "numbers",
            fit(2, 4),
        ),
        ("constant_feature", "labels_independent_of_inputs"),
    )


def cases() -> list[Case]:
    groups: tuple[Callable[[], Iterator[Case]], ...] = (
        on_digits,
        on_tiny_data,
        on_lines,
        on_tables,
        on_circles_and_blobs,
        on_cars,
        injected,
    )
    return [case for group in groups for case in group()]


def grid() -> Iterator[Program]:
    """The 288 combinations: width, activation, loss, initial weights, rate, batch and scale of X, one epoch of SGD."""
    X, y, Xt, yt = split(*pynn.datasets.digits()[0], 5333)  # 4,000 to train on
    for scale in (1.0, 255.0):
        sets = {
            "softmax_cross_entropy": (scale * X, y, scale * Xt, yt),
            "mse": (scale * X, one_hot(y, 10), scale * Xt, one_hot(yt, 10)),
        }
        for width in (100, 1000):
            for activation in ("sigmoid", "tanh", "relu"):
                for loss, data in sets.items():
                    for kernel in (UNIT, None):
                        for rate in (0.01, 1.0, 100.0):
                            for batch in (10, 100):
                                start = "unit" if kernel else "default"
                                name = f"{width}-{activation}-{loss[:3]}-{start}-{rate:g}-{batch}-{scale:g}"
                                yield Program(
                                    name,
                                    data,
                                    layers((width, activation), (10, None), kernel=kernel),
                                    loss,
                                    sgd(learning_rate=rate),
                                    "classes",
                                    fit(1, batch),
                                )
