"""OpenSet: rows of no class trained on are rejected, rows of the classes are kept."""

import pickle

import numpy as np
import pytest

import pynn

RNG = np.random.default_rng(0)
CENTRES = np.array([[4, 0, 0], [0, 4, 0], [0, 0, 4]])
Y = RNG.integers(0, 3, 600)
X = CENTRES[Y] + 0.5 * RNG.normal(size=(600, 3))
OTHERS = -CENTRES[Y[:100]] + 0.5 * RNG.normal(size=(100, 3))
RULES = ["neighbors", "energy", "softmax"]


def trained(layers=None, y=Y, loss="softmax_cross_entropy"):
    model = pynn.Sequential(layers or [pynn.Dense(16, activation="relu"), pynn.Dense(3)], seed=0)
    model.compile(loss, pynn.Adam(learning_rate=0.02))
    model.fit(X[:400], y[:400], epochs=10)
    return model


@pytest.fixture(scope="module")
def model():
    return trained()


def test_rows_of_no_class_are_rejected(model):
    open_set = pynn.OpenSet(model, keep=0.95).calibrate(X[:400], X[400:])
    classes = open_set.classify(X[400:])
    assert (classes[classes >= 0] == Y[400:][classes >= 0]).all()
    assert (open_set.classify(OTHERS) == -1).mean() > 0.9
    assert open_set.score(OTHERS).max() < np.median(open_set.score(X[400:]))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("keep", [0.5, 0.9, 0.99])
def test_the_share_asked_for_is_kept(model, rule, keep):
    open_set = pynn.OpenSet(model, rule, keep=keep).calibrate(X[:400], X[400:])
    kept = (open_set.classify(X[400:]) >= 0).mean()
    assert keep <= kept <= keep + 0.02
    np.testing.assert_array_equal(open_set.score(X[:5]) < open_set.threshold, open_set.classify(X[:5]) == -1)


def test_energy_and_softmax_are_what_the_logits_say(model):
    logits = model.predict(X[:9], raw=True).astype(np.float64)
    energy = pynn.OpenSet(model, "energy").calibrate(X[:400], X[400:]).score(X[:9])
    np.testing.assert_allclose(energy, np.log(np.exp(logits).sum(axis=1)), rtol=1e-6)
    softmax = pynn.OpenSet(model, "softmax").calibrate(X[:400], X[400:]).score(X[:9])
    np.testing.assert_allclose(softmax, model.predict(X[:9]).max(axis=1), rtol=1e-6)


@pytest.mark.parametrize("layers", [
    [pynn.Dense(3)],
    [pynn.Normalization(), pynn.Dense(3)],
    [pynn.Dense(8, "relu"), pynn.BatchNormalization(), pynn.Dropout(0.2), pynn.Dense(8, "relu"), pynn.Dense(3)],
    [pynn.Dense(8, "relu"), pynn.Residual([pynn.Dense(8, "relu"), pynn.Dense(8)]), pynn.Dense(3)],
])  # fmt: skip
def test_any_network_of_classes(layers):
    open_set = pynn.OpenSet(trained(layers)).calibrate(X[:400], X[400:])
    assert (open_set.classify(X[400:]) == Y[400:]).mean() > 0.9
    assert np.isfinite(open_set.score(OTHERS)).all()
    assert open_set.score(np.zeros((2, 3))).shape == (2,)
    assert open_set.score(X[:0]).shape == (0,)


def test_classes_with_names_are_names_and_none():
    names = np.array(["ape", "bee", "cat"])[Y]
    open_set = pynn.OpenSet(trained(y=names)).calibrate(X[:400], X[400:])
    classes = open_set.classify(np.concatenate([X[400:410], OTHERS[:10]]))
    assert set(classes[:10]) <= {*names, None}
    assert list(classes).count(None) >= 8


def test_it_can_be_kept(model):
    open_set = pynn.OpenSet(model).calibrate(X[:400], X[400:])
    again = pickle.loads(pickle.dumps(open_set))
    np.testing.assert_array_equal(again.score(OTHERS), open_set.score(OTHERS))


def test_what_cannot_be_is_said(model):
    with pytest.raises(pynn.ArgumentValueError, match="expected rule as"):
        pynn.OpenSet(model, "guess")
    with pytest.raises(pynn.ArgumentValueError, match="expected keep as"):
        pynn.OpenSet(model, keep=1.0)
    with pytest.raises(pynn.NotReadyError, match="calibrate"):
        pynn.OpenSet(model).score(X)
    with pytest.raises(pynn.NotReadyError, match="trained model"):
        pynn.OpenSet(pynn.Sequential([pynn.Dense(2)])).calibrate(X, X)
    numbers = pynn.Sequential([pynn.Dense(1)], seed=0)
    numbers.compile("mse")
    numbers.fit(X, X @ [1, 2, 3])
    with pytest.raises(pynn.DtypeError, match="loss of classes"):
        pynn.OpenSet(numbers).calibrate(X, X)
