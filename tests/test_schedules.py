"""Schedules: every row against its formula or PyTorch, in training, through plain dicts, after rollbacks."""

import json
import math
import pickle

import numpy as np
import pytest

import pynn
from pynn import schedules as s

STEPS = range(700)


def keras_restarts(t, first=100, t_mul=2.0, m_mul=0.8, alpha=0.1):
    done = t / first
    i = math.floor(math.log(1 - done * (1 - t_mul)) / math.log(t_mul))
    done = (done - (1 - t_mul**i) / (1 - t_mul)) / t_mul**i
    return 0.5 * ((1 - alpha) * 0.5 * m_mul**i * (1 + math.cos(math.pi * done)) + alpha)


def keras_cosine(t, start=0.0, target=0.5, warmup=50, decay=300, alpha=0.1):
    if t < warmup:
        return start + (target - start) * t / warmup
    done = min(t - warmup, decay) / decay
    return target * ((1 - alpha) * 0.5 * (1 + math.cos(math.pi * done)) + alpha)


def keras_polynomial_cycle(t):
    length = 200 * (math.ceil(t / 200) if t else 1)
    return (0.5 - 0.01) * (1 - t / length) ** 2 + 0.01


FORMULAS = {
    "constant": [(s.Constant(0.3), lambda t: 0.3)],
    "step_decay": [(s.StepDecay(0.5, 30, 0.7), lambda t: 0.5 * 0.7 ** (t // 30))],
    "piecewise_constant_decay": [
        (s.PiecewiseConstantDecay([100, 250], [0.3, 0.2, 0.1]), lambda t: 0.3 if t <= 100 else 0.2 if t <= 250 else 0.1)
    ],
    "exponential_decay": [
        (s.ExponentialDecay(0.5, 90, 0.8), lambda t: 0.5 * 0.8 ** (t / 90)),
        (s.ExponentialDecay(0.5, 90, 0.8, staircase=True), lambda t: 0.5 * 0.8 ** (t // 90)),
    ],
    "inverse_time_decay": [
        (s.InverseTimeDecay(0.5, 90, 0.8), lambda t: 0.5 / (1 + 0.8 * t / 90)),
        (s.InverseTimeDecay(0.5, 90, 0.8, staircase=True), lambda t: 0.5 / (1 + 0.8 * (t // 90))),
    ],
    "inverse_scaling": [(s.InverseScaling(0.5, 0.3), lambda t: 0.5 / (t + 1) ** 0.3)],
    "polynomial_decay": [
        (s.PolynomialDecay(0.5, 300, 0.01, 2.0), lambda t: 0.49 * (1 - min(t, 300) / 300) ** 2 + 0.01),
        (s.PolynomialDecay(0.5, 200, 0.01, 2.0, cycle=True), keras_polynomial_cycle),
    ],
    "cosine_decay": [
        (s.CosineDecay(0.5, 300, 0.1), lambda t: keras_cosine(t, warmup=0)),
        (s.CosineDecay(0.0, 300, 0.1, warmup_target=0.5, warmup_steps=50), keras_cosine),
    ],
    "cosine_decay_restarts": [
        (s.CosineDecayRestarts(0.5, 100, 2.0, 0.8, 0.1), keras_restarts),
        (
            s.CosineDecayRestarts(0.5, 64, 1.0, 0.5),
            lambda t: 0.5 * 0.5 ** (t // 64) * 0.5 * (1 + math.cos(math.pi * (t % 64) / 64)),
        ),
    ],
}
# rows that PyTorch has: our schedule, theirs
TORCH = {
    "step_decay": [(s.StepDecay(0.5, 30, 0.7), "StepLR", {"step_size": 30, "gamma": 0.7})],
    "one_cycle": [
        (s.OneCycle(0.5, 700), "OneCycleLR", {"max_lr": 0.5, "total_steps": 700, "cycle_momentum": False}),
        (
            s.OneCycle(0.5, 700, 0.4, 10.0, 100.0, three_phase=True, linear=True),
            "OneCycleLR",
            {
                "max_lr": 0.5, "total_steps": 700, "cycle_momentum": False, "pct_start": 0.4, "div_factor": 10,
                "final_div_factor": 100, "three_phase": True, "anneal_strategy": "linear",
            },
        ),
    ],
    "triangular": [(s.Triangular(0.1, 0.5, 40, 90), {"step_size_up": 40, "step_size_down": 90, "mode": "triangular"})],
    "triangular2": [(s.Triangular2(0.1, 0.5, 40), {"step_size_up": 40, "mode": "triangular2"})],
    "exp_range": [(s.ExpRange(0.1, 0.5, 40, 0, 0.99), {"step_size_up": 40, "mode": "exp_range", "gamma": 0.99})],
}  # fmt: skip


@pytest.mark.parametrize("name", s.table.rows)
def test_every_row_against_its_source(name):
    assert name in FORMULAS or name in TORCH
    for ours, formula in FORMULAS.get(name, ()):
        np.testing.assert_allclose([ours(t) for t in STEPS], [formula(t) for t in STEPS], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", TORCH)
def test_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    for ours, *theirs in TORCH[name]:
        kind, arguments = theirs if len(theirs) == 2 else ("CyclicLR", theirs[0])
        if kind == "CyclicLR":
            arguments = arguments | {"base_lr": 0.1, "max_lr": 0.5, "cycle_momentum": False}
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
        scheduler = getattr(torch.optim.lr_scheduler, kind)(optimizer, **arguments)
        for t in STEPS:
            assert ours(t) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
            optimizer.step()
            if t < 699:
                scheduler.step()


# schedules that PyTorch composes or names differently
PEERS = {
    "constant": (s.Constant(0.5), lambda t, o: t.LambdaLR(o, lambda step: 1.0)),
    "exponential": (s.ExponentialDecay(0.5, 1, 0.99), lambda t, o: t.ExponentialLR(o, 0.99)),
    "piecewise": (
        s.PiecewiseConstantDecay([99, 249], [0.5, 0.25, 0.125]), lambda t, o: t.MultiStepLR(o, [100, 250], 0.5)
    ),
    "polynomial": (s.PolynomialDecay(0.5, 300, 0.0, 2.0), lambda t, o: t.PolynomialLR(o, 300, 2.0)),
    "inverse_time": (s.InverseTimeDecay(0.5, 90, 0.8), lambda t, o: t.LambdaLR(o, lambda n: 1 / (1 + 0.8 * n / 90))),
    "restarts": (
        s.CosineDecayRestarts(0.5, 100, 2.0, 1.0, 0.1), lambda t, o: t.CosineAnnealingWarmRestarts(o, 100, 2, 0.05)
    ),
    "warmup": (
        s.Warmup(s.StepDecay(0.5, 30, 0.7), 50, 0.1),
        lambda t, o: t.SequentialLR(o, [t.LinearLR(o, 0.1, 1.0, 50), t.StepLR(o, 30, 0.7)], [50]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_those_that_pytorch_calls_otherwise(name):
    torch = pytest.importorskip("torch")
    ours, theirs = PEERS[name]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    scheduler = theirs(torch.optim.lr_scheduler, optimizer)
    for t in STEPS:
        assert ours(t) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12), t
        optimizer.step()
        scheduler.step()


def test_cosine_decay_is_pytorchs_up_to_its_end():
    """After which PyTorch's comes back up, and ours, as Keras's, stays."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300, 0.05)
    ours = s.CosineDecay(0.5, 300, 0.1)
    for t in range(301):
        assert ours(t) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()
    assert ours(400) == pytest.approx(0.05)


def test_inverse_scaling_is_scikit_learns():
    """Row by row on squares: its gradient is (z - y) x, ours twice that."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    y = x @ [1.0, -2.0, 0.5] + 0.3
    theirs = linear_model.SGDRegressor(
        penalty=None, learning_rate="invscaling", eta0=0.1, power_t=0.4, shuffle=False, max_iter=1, tol=None
    ).fit(x, y)
    model = pynn.Sequential([pynn.Dense(1, kernel_initializer="zeros")], dtype="float64")
    model.compile("mse", pynn.SGD(s.InverseScaling(0.05, 0.4)))
    model.fit(x, y, batch_size=1, shuffle=False)
    np.testing.assert_allclose(model.layers[0].kernel[:, 0], theirs.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.layers[0].bias, theirs.intercept_, rtol=1e-9)


@pytest.mark.parametrize("name", s.table.rows)
def test_warm_up_in_front_of_any(name):
    schedule = s.get(name)
    warm = s.Warmup(schedule, warmup_steps=20, start_factor=0.25)
    for t in range(20):
        assert warm(t) == pytest.approx(schedule(0) * (0.25 + 0.75 * t / 20), rel=1e-12)
    assert [warm(20 + t) for t in range(50)] == [schedule(t) for t in range(50)]


@pytest.mark.parametrize("name", s.table.class_names.values())
def test_plain_dicts_and_pickles(name):
    schedule = s.get(name)
    for value in (schedule, s.Warmup(schedule, 5)) if name != "warmup" else (schedule,):
        assert s.get(json.loads(json.dumps(value.to_dict()))) == value
        assert pickle.loads(pickle.dumps(value)) == value
        optimizer = pynn.SGD(learning_rate=value, momentum=0.5)
        assert pynn.optimizers.get(json.loads(json.dumps(optimizer.to_dict()))) == optimizer
        assert len({optimizer, pynn.optimizers.get(optimizer.to_dict())}) == 1


def test_steps_in_training_follow_it(points):
    """SGD with a schedule is SGD with the rate set by hand before each step."""
    x, y = points
    schedule = s.Warmup(s.CosineDecay(0.5, 20), 5, 0.1)
    models = [pynn.Sequential([pynn.Dense(4, activation="tanh"), pynn.Dense(2)], dtype="float64") for _ in range(2)]
    models[0].compile("softmax_cross_entropy", pynn.SGD(learning_rate=schedule))
    models[1].compile("softmax_cross_entropy", pynn.SGD())
    for t in range(30):
        rows = slice(20 * t, 20 * t + 20)
        models[1].learning_rate = max(schedule(t), 1e-300)
        results = [model.train_step(x[rows], y[rows]) for model in models]
        assert results[0].loss == results[1].loss
    np.testing.assert_array_equal(models[0].parameters, models[1].parameters)
    assert models[0].learning_rate == schedule(30)


def test_the_rate_is_recorded_and_saved(points, tmp_path):
    x, y = points
    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy", pynn.Adam(learning_rate=s.ExponentialDecay(0.1, 10, 0.5)))
    history = model.fit(x, y, epochs=3, batch_size=60)
    assert history.history["learning_rate"] == pytest.approx([0.05, 0.025, 0.0125])
    again = pickle.loads(pickle.dumps(model))
    assert again.learning_rate == model.learning_rate
    model.save(tmp_path / "m.safetensors")
    assert pynn.load(tmp_path / "m.safetensors").optimizer == model.optimizer
    with pytest.raises(pynn.ArgumentValueError, match="learning rate"):
        model.learning_rate = 0.1


def test_a_refused_step_does_not_count_and_a_rollback_multiplies():
    x, y = np.ones((8, 1)), np.ones((8, 1))
    model = pynn.Sequential([pynn.Dense(1)], dtype="float64")
    schedule = s.ExponentialDecay(0.1, 1, 0.9)
    model.compile("mse", pynn.SGD(learning_rate=schedule))
    guard = pynn.Guard(policy="rollback", backoff=0.5)
    model.train_step(x, y, guard=guard)
    with pytest.warns(pynn.TrainingWarning):
        model.train_step(x * 1e200, y, guard=guard)
    assert model.learning_rate == pytest.approx(0.5 * schedule(model._learner.trainer.steps))
    kept = pickle.loads(pickle.dumps(model))
    assert kept.learning_rate == model.learning_rate


@pytest.mark.parametrize("make", [
    lambda: s.CosineDecay(-0.1), lambda: s.CosineDecay(decay_steps=0), lambda: s.CosineDecay(decay_steps=1.5),
    lambda: s.PiecewiseConstantDecay([2, 1], [1, 1, 1]), lambda: s.PiecewiseConstantDecay([1], [1]),
    lambda: s.PiecewiseConstantDecay([1], [1, float("nan")]), lambda: s.PiecewiseConstantDecay(3, [1, 2]),
    lambda: s.PiecewiseConstantDecay(range(65), [1] * 66), lambda: s.Warmup(s.Warmup(0.1)),
    lambda: s.Warmup(0.1, warmup_steps=-1), lambda: s.Warmup(0.1, start_factor=2), lambda: s.Constant(0),
    lambda: pynn.Adam(learning_rate="no_such_schedule"), lambda: pynn.Adam(learning_rate={"name": "nothing"}),
    lambda: pynn.Adam(learning_rate=None), lambda: s.get(True), lambda: s.Constant(0.1)(-1),
])  # fmt: skip
def test_bad_arguments_are_said(make):
    with pytest.raises((ValueError, TypeError), match=r"^expected .*received"):
        make()
