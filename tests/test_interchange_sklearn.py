"""scikit-learn: fitted perceptrons in and out."""

import warnings

import numpy as np
import pytest

import pynn

pytest.importorskip("sklearn")
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore")

X = np.random.default_rng(0).normal(3, 5, size=(80, 4))
SCORE = X @ [1.0, -1.0, 0.5, 0.2]
TARGETS = {
    "binary": (SCORE > 3), "text": np.where(SCORE > 3, "yes", "no"), "many": np.digitize(SCORE, [0, 3, 6]) * 2 + 1,
    "several": np.column_stack([SCORE > 0, SCORE > 3, SCORE > 6]).astype(int),
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scaler", [None, StandardScaler, MinMaxScaler])
def test_classifiers_predict_alike_both_ways(target, scaler):
    y = TARGETS[target]
    mlp = MLPClassifier((6, 5), activation="tanh", max_iter=20, random_state=0)
    mlp = mlp if scaler is None else make_pipeline(scaler(), mlp)
    mlp.fit(X, y)
    model = pynn.from_sklearn(mlp)
    expected = mlp.predict_proba(X)
    found = model.predict(X)
    assert np.allclose(found, expected[:, 1:] if found.shape[1] == 1 else expected, rtol=1e-12, atol=1e-14)
    classes = model.classify(X)
    assert np.array_equal(classes, mlp.predict(X))
    back = model.to_sklearn()
    assert np.allclose(back.predict_proba(X), expected, rtol=1e-12, atol=1e-14)
    assert np.array_equal(back.predict(X), mlp.predict(X))


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_regressors_predict_alike_both_ways(activation, loss):
    try:
        mlp = MLPRegressor(loss=loss, hidden_layer_sizes=(6,), activation=activation, max_iter=50, random_state=0)
    except TypeError:
        pytest.skip("this scikit-learn has no argument loss")
    mlp.fit(X / 5, np.abs(SCORE) + 1)
    model = pynn.from_sklearn(mlp)
    assert np.allclose(model.predict(X / 5)[:, 0], mlp.predict(X / 5), rtol=1e-10)
    assert np.allclose(model.to_sklearn().predict(X / 5), mlp.predict(X / 5), rtol=1e-10)


def test_twenty_steps_go_on_as_in_sklearn():
    y = np.digitize(SCORE, [0, 3])
    mlp = MLPClassifier(
        (6,), alpha=0.0, batch_size=80, max_iter=5, random_state=0, learning_rate_init=0.01, epsilon=1e-4
    )
    mlp.fit(X, y)
    model = pynn.from_sklearn(mlp)
    for _ in range(20):
        model.train_step(X, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mlp.partial_fit(X, y)
    for layer, kernel, bias in zip(model.layers, mlp.coefs_, mlp.intercepts_, strict=True):
        assert np.abs(layer.kernel - kernel).max() < 1e-9
        assert np.abs(layer.bias - bias).max() < 1e-9


def test_names_of_columns_come_along():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    mlp = make_pipeline(StandardScaler(), MLPClassifier((3,), max_iter=5, random_state=0)).fit(frame, TARGETS["text"])
    model = pynn.from_sklearn(mlp)
    assert np.array_equal(model.predict(frame[list("dcba")]), model.predict(X))
    assert model.evaluate(frame, TARGETS["text"])["loss"] > 0
    assert model.to_sklearn().predict(X).tolist() == mlp.predict(frame).tolist()


def test_models_trained_here_go_there():
    model = pynn.Sequential([pynn.Normalization(), pynn.Dense(8, activation="relu"), pynn.Dropout(0.2),
                             pynn.Dense(2, activation="softmax")], seed=0)  # fmt: skip
    model.compile("softmax_cross_entropy", pynn.Adam(0.01))
    model.fit(X, TARGETS["text"], epochs=5)
    mlp = model.to_sklearn()
    assert np.allclose(mlp.predict_proba(X), model.predict(X), atol=1e-6)
    assert mlp.predict(X).tolist() == model.classify(X).tolist()
    numbers = pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.Dense(1)], seed=0, dtype="float64")
    numbers.compile("mse", "adam", target_scaling="standard")
    numbers.fit(X, SCORE * 100, epochs=3)
    assert np.allclose(numbers.to_sklearn().predict(X), numbers.predict(X)[:, 0], rtol=1e-10)


def test_what_the_other_side_has_not_is_refused():
    for estimator in (Ridge().fit(X, SCORE), MLPRegressor(),
                      make_pipeline(RobustScaler(), MLPRegressor(max_iter=2)).fit(X, SCORE)):  # fmt: skip
        with pytest.raises(pynn.UnsupportedError, match="expected"):
            pynn.from_sklearn(estimator)
    for layers in ([pynn.Dense(3, activation="gelu"), pynn.Dense(1)], [pynn.BatchNormalization(), pynn.Dense(1)],
                   [pynn.Dense(3, activation="relu"), pynn.Dense(3, activation="tanh"), pynn.Dense(1)],
                   [pynn.Dense(1, activation="tanh")]):  # fmt: skip
        model = pynn.Sequential(layers).build(4)
        model.compile("mse")
        with pytest.raises(pynn.UnsupportedError, match="layer"):
            model.to_sklearn()
