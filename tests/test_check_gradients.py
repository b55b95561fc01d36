"""`check_gradients` and `trace`: which gradient is wrong, and where a batch goes wrong."""

import numpy as np
import pytest

import pynn

X = np.random.default_rng(0).normal(size=(12, 5))
LABELS = np.arange(12) % 3


def made(*layers, loss="softmax_cross_entropy", **choices):
    model = pynn.Sequential(layers, seed=1, **choices)
    model.compile(loss)
    return model


@pytest.mark.parametrize(
    "layers",
    [
        [pynn.Dense(4, activation="relu"), pynn.Dense(3)],
        [pynn.Dense(4, activation="gelu"), pynn.BatchNormalization(), pynn.Dropout(0.5), pynn.Dense(3)],
        [pynn.Residual([pynn.LayerNormalization(), pynn.Dense(5, activation="swish")]), pynn.Dense(3)],
        [pynn.GaussianNoise(0.3), pynn.Dense(3, kernel_regularizer=pynn.regularizers.L2(0.1))],
        [pynn.Dense(3, kernel_constraint=pynn.constraints.MaxNorm(0.5))],
    ],
)
def test_built_in_layers_agree(layers):
    check = pynn.check_gradients(made(*layers), X, LABELS)
    assert check, str(check)
    assert check.layer is None
    assert 0 < check.error < 1e-6


def test_a_wrong_derivative_is_named_with_its_layer():
    wrong = pynn.activations.Custom(np.sin, lambda z: 1.01 * np.cos(z), name="wrong", check=False)
    model = made(pynn.Dense(4, activation="tanh"), pynn.Dense(6, activation=wrong), pynn.Dense(3))
    check = pynn.check_gradients(model, X, LABELS)
    assert not check
    assert check.layer == 1
    assert check.error == pytest.approx(0.01, rel=0.2)
    assert "WRONG" in str(check)
    right = [one for one in check.tensors if one.layer == 2]
    assert right
    assert all(one.error < 1e-6 for one in right)


def test_a_wrong_gradient_of_a_loss_is_wrong_in_every_layer():
    def loss(logits, target):
        error = logits - target
        return (error**4).sum(axis=1), 3.9 * error**3

    model = made(pynn.Dense(4, activation="tanh"), pynn.Dense(1), loss=pynn.losses.Custom(loss, check=False))
    check = pynn.check_gradients(model, X, X.sum(axis=1))
    assert check.layer == 1
    assert all(one.error > 0.01 for one in check.tensors)

    def cube(logits, target):
        error = logits - target
        return (error**4).sum(axis=1), 4 * error**3

    assert pynn.check_gradients(made(pynn.Dense(1), loss=pynn.losses.Custom(cube)), X, X.sum(axis=1))


def test_the_model_is_left_as_it_is_and_few_parameters_are_drawn():
    model = made(pynn.Dense(40, activation="relu"), pynn.Dense(3))
    model.fit(X, LABELS, epochs=2)
    before, steps = model.parameters.copy(), model._learner.steps
    check = pynn.check_gradients(model, X, LABELS, samples=7)
    assert [one.checked for one in check.tensors] == [7, 7, 7, 3]
    assert np.array_equal(model.parameters, before)
    assert model._learner.steps == steps
    again = pynn.check_gradients(model, X, LABELS, samples=7)
    assert again == check
    with pytest.raises(pynn.NotReadyError):
        pynn.check_gradients(pynn.Sequential([pynn.Dense(1)]), X, LABELS)


def test_kinks_are_no_errors():
    model = made(pynn.Dense(4, activation="relu"), pynn.Dense(3), dtype="float64")
    model.build(5)
    model.layers[0].kernel[...], model.layers[0].bias[...] = 0, 0  # every unit stands at its corner
    check = pynn.check_gradients(model, X, np.minimum(LABELS, 1))
    assert check, str(check)
    assert sum(one.kinks for one in check.tensors) > 0


# ---- trace


def test_a_trace_shows_every_layer():
    model = made(pynn.Dense(4, activation="relu"), pynn.Dropout(0.5), pynn.Dense(3)).build(5)
    trace = model.trace(X)
    assert [layer.shape for layer in trace] == [(12, 5), (12, 4), (12, 4), (12, 3), (12, 3)]
    np.testing.assert_allclose(trace[-2].high, model.predict(X, raw=True).max(), rtol=1e-6)
    np.testing.assert_allclose(trace[-1].high, model.predict(X).max(), rtol=1e-6)
    assert trace[1].low == 0
    assert 0 < trace[1].zeros < 1
    assert all(layer.nonfinite == 0 for layer in trace)
    assert all(layer.seconds >= 0 for layer in trace)
    text = str(trace)
    assert len(text.splitlines()) == 6
    assert "prediction (softmax)" in text


def test_a_trace_names_the_first_layer_that_is_not_finite():
    model = pynn.Sequential([pynn.Dense(4), pynn.Dense(4), pynn.Dense(2)], seed=0).build(5)
    model.layers[1].kernel[...] = 3e38
    trace = model.trace(1e6 * X)
    assert [layer.nonfinite > 0 for layer in trace] == [False, False, True, True]
    assert (trace[2].row, trace[2].column) == (0, 0)
    assert np.isfinite(trace[1].high)


def test_a_trace_is_on_the_page():
    model = made(pynn.Dense(4, activation="relu"), pynn.Dense(3))
    report = model.fit(X, LABELS).report
    from pynn.report.page import render

    page = render(report, trace=model.trace(X))
    assert "One batch through every layer" in page
    assert "0 Dense relu" in page
    assert "One batch through every layer" not in render(report)
