"""TableClassifier and TableRegressor: tables as they come, in one line."""

import datetime
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

import pynn
from pynn.sklearn import TableClassifier, TableRegressor

pd = pytest.importorskip("pandas")


@parametrize_with_checks([TableClassifier(n_members=2), TableRegressor(n_members=2)])
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


def table(rows=300, seed=0):
    """Columns of every kind, and a number that depends on them."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": rng.normal(50, 10, rows),
            "count": rng.integers(0, 9, rows),
            "colour": rng.choice(["red", "green", "blue"], rows),
            "flag": rng.random(rows) < 0.5,
            "town": pd.Categorical(rng.choice([f"town {i}" for i in range(20)], rows)),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, rows), "D"),
            "constant": 1.0,
        }
    )
    effect = 0.1 * (frame["number"] - 50) + 2.0 * (frame["colour"] == "red") - frame["flag"] + 0.3 * frame["count"]
    frame.loc[rng.random(rows) < 0.1, "number"] = np.nan
    frame.loc[rng.random(rows) < 0.1, "colour"] = None
    return frame, effect.to_numpy(float)


def test_a_table_of_everything_is_learned_in_one_line():
    X, y = table(600)
    assert TableRegressor(random_state=0).fit(X[:400], y[:400]).score(X[400:], y[400:]) > 0.75
    labels = np.where(y > np.median(y), "high", "low")
    model = TableClassifier(random_state=0).fit(X[:400], labels[:400])
    assert model.score(X[400:], labels[400:]) > 0.8
    assert model.predict(X[:1])[0] in ("high", "low")
    assert [about["kind"] for about in model.columns_] == ["number"] * 2 + ["one_hot", "number", "embedding"] + [
        "number"
    ] * 2


def test_frames_of_other_libraries_give_the_same():
    X, y = table()
    X["town"] = X["town"].astype(str)
    model = TableRegressor(preset="fast", random_state=0).fit(X, y)
    for package, convert in (("polars", "from_pandas"), ("pyarrow", None)):
        module = pytest.importorskip(package)
        other = module.from_pandas(X) if convert else module.Table.from_pandas(X)
        assert (model.predict(other) == model.predict(X)).all()
        assert (clone(model).fit(other, y).predict(X) == model.predict(X)).all()


def test_arrays_of_objects_hold_texts_and_numbers():
    X, y = table()
    values = X[["number", "count", "colour"]].to_numpy(object)
    model = TableRegressor(preset="fast", random_state=0).fit(values, y)
    assert [about["kind"] for about in model.columns_] == ["number", "number", "one_hot"]
    assert np.isfinite(model.predict([[None, 3, "violet"]])).all()


def test_the_same_random_state_gives_the_same_bits_and_pickle_keeps_them():
    X, y = table()
    a, b = (TableRegressor(preset="fast", random_state=3).fit(X, y) for _ in range(2))
    assert (a.predict(X) == b.predict(X)).all()
    assert (pickle.loads(pickle.dumps(a)).predict(X) == a.predict(X)).all()
    assert all(isinstance(data, bytes) for data in a.__getstate__()["networks_"])
    assert a.reports_[0].looked


def test_skops_needs_to_trust_nothing_but_the_class():
    skops = pytest.importorskip("skops.io")
    X, y = table()
    model = TableRegressor(preset="fast", random_state=0).fit(X, y)
    data = skops.dumps(model)
    trusted = skops.get_untrusted_types(data=data)
    assert trusted == ["pynn.sklearn.TableRegressor"]
    assert (skops.loads(data, trusted=trusted).predict(X) == model.predict(X)).all()


def test_predictions_stay_within_the_targets():
    X, y = load_diabetes(return_X_y=True)
    model = TableRegressor(preset="fast", random_state=0).fit(X, y)
    predicted = model.predict(X * 100)
    assert predicted.min() >= y.min()
    assert predicted.max() <= y.max()


def test_it_is_not_behind_a_linear_model_on_a_small_table():
    X, y = load_diabetes(return_X_y=True)
    scores = []
    for seed in range(5):
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=seed)
        linear = RidgeCV(np.logspace(-3, 3, 13)).fit(X_train, y_train)
        model = TableRegressor(random_state=seed).fit(X_train, y_train)
        scores.append(model.score(X_test, y_test) - linear.score(X_test, y_test))
    assert np.mean(scores) > -0.02


def test_several_outputs():
    X, y = table()
    model = TableRegressor(preset="fast", random_state=0).fit(X, np.c_[y, -y])
    assert model.predict(X).shape == (300, 2)
    assert model.score(X, np.c_[y, -y]) > 0.5


def test_rows_of_your_own_choose_the_epoch():
    X, y = load_breast_cancer(return_X_y=True)
    model = TableClassifier(preset="fast", random_state=0).fit(X[:300], y[:300], validation_data=(X[300:], y[300:]))
    assert 1 <= model.best_iter_[0] <= model.n_iter_
    with pytest.raises(ValueError, match="validation labels"):
        model.fit(X, y, validation_data=(X, y + 7))
    with pytest.raises(TypeError, match="validation_data"):
        model.fit(X, y, validation_data=X)


def test_searches_importance_and_dependence_of_scikit_learn():
    X, y = table(200)
    search = GridSearchCV(TableRegressor(preset="fast", random_state=0), {"max_iter": [2, 20]}, cv=2, n_jobs=2).fit(
        X, y
    )
    assert search.best_params_ == {"max_iter": 20}
    found = permutation_importance(search.best_estimator_, X, y, n_repeats=2, random_state=0)
    assert found.importances_mean[2] > found.importances_mean[6]
    assert np.isfinite(partial_dependence(search.best_estimator_, X, ["number"])["average"]).all()


def test_bad_tables_are_refused_by_name():
    X, y = table()
    labels = (y > 0).astype(int)
    with pytest.raises(ValueError, match="infinity in row 3, column 'number'"):
        TableRegressor().fit(X.assign(number=np.where(np.arange(300) == 3, np.inf, 1.0)), y)
    with pytest.raises(ValueError, match="NaN"):
        TableRegressor().fit(X, np.where(np.arange(300) == 3, np.nan, y))
    with pytest.raises(ValueError, match="one class"):
        TableClassifier().fit(X, np.zeros(300))
    with pytest.raises(ValueError, match="inconsistent"):
        TableRegressor().fit(X, y[:-1])
    model = TableClassifier(preset="fast", random_state=0).fit(X, labels)
    with pytest.raises(ValueError, match=r"column 'number'.*'many' in row 1"):
        model.predict(X[:2].astype({"number": object}).assign(number=[1.0, "many"]))
    with pytest.raises(ValueError, match="same order"):
        model.predict(X[X.columns[::-1]])
    with pytest.raises(ValueError, match="unseen at fit"):
        model.predict(X.assign(new=1))
    with pytest.raises(ValueError, match="at least one non-zero"):
        TableRegressor().fit(X, y, sample_weight=np.zeros(300))


def test_odd_columns_do_no_harm():
    X, y = table()
    odd = X.assign(
        nothing=np.nan, none=None, half=np.where(np.arange(300) % 2, np.nan, 1.0), huge=np.linspace(-1e300, 1e300, 300),
        dated=[None] * 150 + [datetime.datetime(2020, 1, 1)] * 150,
    )  # fmt: skip
    assert np.isfinite(TableRegressor(preset="fast", random_state=0).fit(odd, y).predict(odd)).all()


def test_texts_that_are_all_different_are_left_out_with_a_warning():
    X, y = table()
    with pytest.warns(pynn.TrainingWarning, match="'name'"):
        TableRegressor(preset="fast", random_state=0).fit(X.assign(name=[f"person {i}" for i in range(300)]), y)


def test_ten_thousand_categories():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 10_000, 5000)
    X = pd.DataFrame({"place": [f"place {code}" for code in codes], "number": rng.normal(size=5000)})
    model = TableRegressor(preset="fast", max_iter=3, random_state=0).fit(X, X["number"])
    assert np.isfinite(model.predict(X)).all()


def test_the_page_in_docs_runs(capsys):
    text = (Path(__file__).parent.parent / "docs" / "tables.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        exec(compile(block, "tables.md", "exec"), names)
    assert capsys.readouterr().out == "True\n(2, 2)\n"


def test_a_time_limit_ends_between_networks_and_the_run_can_be_repeated():
    X, y = table(150)
    limited = TableRegressor(n_members=50, max_iter=3, time_limit=1e-6, random_state=0).fit(X, y)
    assert limited.n_members_ == len(limited.networks_) == 1
    again = TableRegressor(n_members=limited.n_members_, max_iter=3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(limited.predict(X), again.predict(X))
    with pytest.raises(ValueError, match="time_limit"):
        TableRegressor(time_limit=0).fit(X, y)


def test_numbers_are_cut_into_more_bins_where_that_is_better_on_the_rows_held_out():
    x = np.random.default_rng(0).uniform(0, 10, 900)
    steps = np.random.default_rng(1).normal(size=10)[x.astype(int)]  # too sharp for a number alone
    model = TableRegressor(n_members=1, random_state=0).fit(x[:, None], steps)
    assert len(model.columns_[0]["edges"]) == 900 // 40 + 1
    line = TableRegressor(n_members=1, random_state=0).fit(x[:, None], x)
    assert not line.columns_[0]["edges"]
