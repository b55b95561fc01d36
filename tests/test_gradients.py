"""Gradients of every activation, loss and layer against central differences in float64, by iterating the tables."""

import numpy as np
import pytest

import pynn
from pynn import activations, initializers, losses

ROWS, INPUTS, OUTPUTS = 7, 5, 4


def targets_for(loss, outputs, rng):
    """Targets that the loss takes, in every form: (rows, outputs) numbers and, where they are, labels."""
    if loss.row["pairs"]:
        return [rng.normal(size=(ROWS, outputs // 2))]
    if loss.row["nonnegative"]:
        return [rng.poisson(2, size=(ROWS, outputs))]
    if not loss.row["probabilities"]:
        return [rng.normal(size=(ROWS, outputs))]
    forms = [rng.uniform(0.1, 0.9, size=(ROWS, outputs))]
    if loss.row["labels"]:
        forms.append(rng.integers(0, outputs, size=ROWS))
    return forms


def compiled(layers, loss, seed=3):
    model = pynn.Sequential(layers, seed=seed, dtype="float64").build(INPUTS)
    model.compile(loss=loss, optimizer=pynn.SGD(learning_rate=1e-300))
    model.parameters[:] = np.random.default_rng(seed).normal(scale=0.5, size=model.parameters.size)
    return model


def gradients(model, x, y, weights=None):
    """(analytic, numeric): the core's gradient and central differences of the loss."""
    model.train_step(x, y, weights)
    analytic = np.array(model._learner.trainer.gradient)
    numeric = np.empty_like(analytic)
    p = model.parameters
    for i in range(p.size):
        kept, h = p[i], 1e-5 * max(1, abs(p[i]))
        ends = []
        for p[i] in (kept + h, kept - h, kept + h / 2, kept - h / 2):
            ends.append(model.evaluate(x, y, sample_weight=weights)["loss"])
        p[i] = kept
        coarse, fine = (ends[0] - ends[1]) / (2 * h), (ends[2] - ends[3]) / h
        numeric[i] = (4 * fine - coarse) / 3
    return analytic, numeric


def assert_agree(analytic, numeric):
    assert np.abs(numeric).max() > 1e-3
    np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-6 * np.abs(numeric).max())


@pytest.mark.parametrize("loss", losses.table.rows)
@pytest.mark.parametrize("activation", activations.table.rows)
def test_every_activation_and_loss(activation, loss):
    rng = np.random.default_rng(1)
    loss = losses.get(loss)
    for y in targets_for(loss, OUTPUTS, rng):
        model = compiled([pynn.Dense(4, activation=activation), pynn.Dense(OUTPUTS)], loss)
        assert_agree(*gradients(model, rng.normal(size=(ROWS, INPUTS)), y))


@pytest.mark.parametrize("loss", losses.table.rows)
@pytest.mark.parametrize("activation", activations.table.rows)
def test_every_activation_as_the_last(activation, loss):
    """The loss's own link is fused; any other activation is applied as written."""
    rng = np.random.default_rng(2)
    loss = losses.get(loss)
    y = targets_for(loss, OUTPUTS, rng)[0]
    model = compiled([pynn.Dense(4, activation="tanh"), pynn.Dense(OUTPUTS, activation=activation)], loss)
    assert_agree(*gradients(model, rng.normal(size=(ROWS, INPUTS)), y))


@pytest.mark.parametrize(
    "loss",
    [
        losses.get({"name": name, rule["name"]: value})
        for name, row in losses.table.rows.items()
        for rule in row["fields"]
        for value in (0.1, 0.6)
    ],
    ids=str,
)
def test_the_numbers_of_losses(loss):
    rng = np.random.default_rng(3)
    for y in targets_for(loss, OUTPUTS, rng):
        model = compiled([pynn.Dense(OUTPUTS)], loss)
        assert_agree(*gradients(model, rng.normal(size=(ROWS, INPUTS)), y))


@pytest.mark.parametrize(
    "activation",
    [
        activations.get({"name": name, rule["name"]: value})
        for name, row in activations.table.rows.items()
        for rule in row["fields"]
        for value in (0.3, 1.7)
    ],
    ids=str,
)
def test_the_numbers_of_activations(activation):
    rng = np.random.default_rng(4)
    model = compiled([pynn.Dense(6, activation=activation), pynn.Dense(1)], "mse")
    assert_agree(*gradients(model, rng.normal(size=(ROWS, INPUTS)), rng.normal(size=ROWS)))


@pytest.mark.parametrize("use_bias", [True, False])
def test_weights_and_bias(use_bias):
    rng = np.random.default_rng(5)
    layers = [pynn.Dense(4, activation="tanh", use_bias=use_bias), pynn.Dense(OUTPUTS, use_bias=use_bias)]
    model = compiled(layers, "softmax_cross_entropy")
    x, y, w = rng.normal(size=(ROWS, INPUTS)), rng.integers(0, OUTPUTS, ROWS), rng.uniform(0, 2, ROWS)
    assert_agree(*gradients(model, x, y, w))


def test_a_deep_model():
    rng = np.random.default_rng(6)
    layers = [pynn.Dense(4, activation=name) for name in ("tanh", "gelu", "silu", "softplus")] + [pynn.Dense(OUTPUTS)]
    model = compiled(layers, "softmax_cross_entropy")
    model.parameters[:] *= 2
    assert_agree(*gradients(model, rng.normal(size=(ROWS, INPUTS)), rng.integers(0, OUTPUTS, ROWS)))


def test_dropout_drops_scales_and_passes_the_same_gradient():
    """With an identity kernel and a squared error, outputs and gradients show each unit's mask."""
    n = 4000
    layers = [pynn.Dropout(0.25), pynn.Dense(n, use_bias=False, kernel_initializer=initializers.get("zeros"))]
    model = pynn.Sequential(layers, dtype="float64").build(1)
    model.compile("mse", pynn.SGD(1e-300))
    model.train_step(np.ones((1, 1)), np.ones((1, n)))
    assert set(np.unique(np.array(model._learner.trainer.gradient))) <= {0.0, -2 / n, -2 / n / 0.75}
    kept = []
    for _ in range(2000):
        model.train_step(np.ones((1, 1)), np.ones((1, n)))
        kept.append(np.array(model._learner.trainer.gradient)[0])
    kept = np.array(kept) * -n / 2
    assert set(np.round(np.unique(kept), 12)) == {0.0, np.round(1 / 0.75, 12)}
    assert abs(np.mean(kept > 0) - 0.75) < 0.04
