"""`find_label_errors` names rows whose labels the rest of the data contradicts, and none of clean data."""

import numpy as np
import pytest

import pynn


@pytest.fixture(scope="module")
def rows():
    """Five classes in eight columns, 600 rows; 30 labels are wrong in the second vector."""
    random = np.random.default_rng(0)
    y = random.integers(0, 5, 600)
    X = (random.normal(size=(5, 8))[y] * 2 + 0.7 * random.normal(size=(600, 8))).astype(np.float32)
    wrong = y.copy()
    wrong[:30] = (wrong[:30] + 1) % 5
    return X, y, wrong


def network(units=5):
    model = pynn.Sequential([pynn.Dense(32, activation="relu"), pynn.Dense(units)], seed=0)
    model.compile("softmax_cross_entropy", pynn.Adam(learning_rate=5e-3))
    return model


def test_wrong_labels_are_named_with_the_likelier_class(rows):
    X, y, wrong = rows
    found = pynn.find_label_errors(network(), X, wrong, epochs=25, repeats=1)
    right = [one for one in found if one.row < 30]
    assert len(right) >= 24
    assert len(found) - len(right) <= 6
    assert np.mean([one.likelier == y[one.row] for one in right]) > 0.9
    assert all(one.given == wrong[one.row] for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_clean_labels_are_left_in_peace(rows):
    X, y, _ = rows
    assert len(pynn.find_label_errors(network(), X, y, epochs=25, repeats=1)) <= 2


def test_the_model_is_left_as_it_is(rows):
    X, y, _ = rows
    model = network()
    pynn.find_label_errors(model, X, y, epochs=1, repeats=1)
    assert not model.built


def test_bad_input_is_said(rows):
    X, y, _ = rows
    with pytest.raises(pynn.NotReadyError, match="compile"):
        pynn.find_label_errors(pynn.Sequential([pynn.Dense(5)], seed=0), X, y)
    with pytest.raises(pynn.ArgumentValueError, match="50 rows"):
        pynn.find_label_errors(network(), X[:10], y[:10])
    numbers = pynn.Sequential([pynn.Dense(1)], seed=0)
    numbers.compile("mse")
    with pytest.raises(pynn.ArgumentValueError, match="classes"):
        pynn.find_label_errors(numbers, X, X[:, 0])
