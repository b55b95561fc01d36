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


def test_a_report_names_all_rows_with_contradicted_labels(rows):
    X, y, _ = rows
    random = np.random.default_rng(1)
    wrong = np.where(random.random(len(y)) < 0.25, random.integers(0, 5, len(y)), y)
    report = pynn.diagnose(network(), X, wrong, epochs=25)
    noise = report.findings[0]
    found = report.label_errors()
    assert noise.code == "label_noise"
    assert noise.rows == [one.row for one in found[:20]]
    assert noise.evidence["n_rows"] == len(found) > 20
    assert np.mean([wrong[one.row] != y[one.row] for one in found]) > 0.8
    assert all(one.given == wrong[one.row] and one.score > 0 for one in found)


def test_a_report_names_few_wrong_labels_when_asked(rows):
    X, _, wrong = rows
    found = pynn.diagnose(network(), X, wrong, epochs=25).label_errors()
    assert np.mean([one.row < 30 for one in found]) > 0.7
    assert len(found) >= 20


def test_a_report_without_data_says_that_it_cannot_tell(rows):
    X, y, _ = rows
    for report in (pynn.diagnose(network(), X, y, preflight=True), network().fit(X, y, verbose=0).report):
        with pytest.raises(pynn.NotReadyError, match="find_label_errors"):
            report.label_errors()
