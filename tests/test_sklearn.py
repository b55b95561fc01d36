"""The estimators of pynn.sklearn: scikit-learn's interface and results, and what they have beside."""

import copy
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

import pynn
from pynn.sklearn import DivergenceError, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
W = np.random.default_rng(0).uniform(0.1, 2, len(y))
XR, YR = make_regression(200, 10, random_state=0)
YR = YR / YR.std()
XM, YM = make_multilabel_classification(60, random_state=0)
TEXT = np.array(["setosa", "versicolor", "virginica"], dtype=object)[y]


@parametrize_with_checks([MLPClassifier(), MLPRegressor()])
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


# ---- the same as scikit-learn

SGD = {"solver": "sgd", "max_iter": 30}


@pytest.mark.parametrize(
    ("arguments", "data", "tolerance"),
    [
        (SGD, (X, y), 1e-12),
        (SGD | {"batch_size": 50, "alpha": 0.5, "nesterovs_momentum": False}, (X, y), 1e-12),
        (SGD | {"batch_size": 50, "shuffle": False, "momentum": 0}, (X, y), 1e-12),
        (SGD | {"activation": "tanh", "hidden_layer_sizes": (7, 5)}, (X, y), 1e-12),
        (SGD | {"activation": "logistic", "learning_rate_init": 0.5}, (X, y), 1e-12),
        (SGD | {"learning_rate": "invscaling", "batch_size": 50}, (X, y), 1e-12),
        ({"solver": "sgd", "learning_rate": "adaptive", "tol": 0.01, "learning_rate_init": 0.1}, (X, y), 1e-10),
        (SGD | {"alpha": 1}, (X, y, W), 1e-12),
        (SGD | {"batch_size": 50, "alpha": 0}, (X, y, W), 1e-12),
        (SGD, (X, TEXT), 1e-12),
        (SGD, (XM, YM), 1e-12),
        (SGD | {"early_stopping": True}, (X[:100], y[:100]), 1e-12),
        ({"solver": "lbfgs", "max_iter": 20}, (X, y, W), 1e-7),
        ({"max_iter": 40, "activation": "tanh"}, (X, y), 1e-3),
    ],
)
def test_a_classifier_trains_as_scikit_learns_does(arguments, data, tolerance):
    same_training(TheirClassifier, MLPClassifier, arguments, data, tolerance)


@pytest.mark.parametrize(
    ("arguments", "data", "tolerance"),
    [
        (SGD, (XR, YR), 1e-12),
        (SGD | {"early_stopping": True}, (XR, YR), 1e-12),
        (SGD | {"alpha": 0}, (XR, np.c_[YR, -YR, YR**2]), 1e-12),
        (SGD | {"loss": "poisson"}, (XR, np.exp(YR / 2).round()), 1e-12),
        ({"solver": "lbfgs", "max_iter": 20}, (XR, YR), 1e-7),
    ],
)
def test_a_regressor_trains_as_scikit_learns_does(arguments, data, tolerance):
    same_training(TheirRegressor, MLPRegressor, arguments, data, tolerance)


def same_training(theirs, ours, arguments, data, tolerance):
    a = theirs(**arguments, random_state=3).fit(*data)
    b = ours(**arguments, random_state=3, dtype="float64").fit(*data)
    for one, other in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(a, name) == getattr(b, name), name
    for name in ("loss_", "loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_"):
        if getattr(a, name, None) is not None:
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=max(1e-7, 10 * tolerance), err_msg=name)
        else:
            assert getattr(b, name, None) is None
    np.testing.assert_array_equal(a.predict(data[0]).shape, b.predict(data[0]).shape)
    if hasattr(a, "classes_"):
        assert a.classes_.tolist() == b.classes_.tolist()
        assert a.predict(data[0]).dtype == b.predict(data[0]).dtype
        np.testing.assert_allclose(a.predict_proba(data[0]), b.predict_proba(data[0]), atol=10 * tolerance)


def test_large_data_is_trained_in_float32_and_answers_in_the_precision_of_x():
    rng = np.random.default_rng(0)
    big = rng.normal(size=(1001, 3))
    model = MLPRegressor(max_iter=3, random_state=0).fit(big, big[:, 0])
    assert model.network_.dtype == np.float32
    assert model.coefs_[0].dtype == np.float64
    assert model.predict(big).dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        model.coefs_[0][:] = 0
    assert MLPRegressor(max_iter=3).fit(big.astype("f4"), big[:, 0]).predict(big.astype("f4")).dtype == np.float32
    assert MLPRegressor(max_iter=3).fit(big[:1000], big[:1000, 0]).network_.dtype == np.float64


def test_a_cell_beyond_float32_is_refused_and_named():
    model = MLPClassifier(max_iter=5, dtype="float32").fit(X, y)
    with pytest.raises(pynn.NumericalError, match="column 0") as caught:
        model.predict([[1e300, 0, 0, 0]])
    assert caught.value.row == 0


def test_weights_set_by_hand_are_used():
    model = MLPClassifier(hidden_layer_sizes=3, max_iter=2).fit(X, y)
    model.coefs_ = [np.zeros((4, 3)), np.zeros((3, 3))]
    model.intercepts_ = [np.zeros(3), np.array([0.0, 0.0, 1.0])]
    assert set(model.predict(X)) == {2}
    model.intercepts_[1][:] = [5, 0, 0]
    assert set(model.predict(X)) == {0}
    with pytest.raises(ValueError, match="shape"):
        model.coefs_ = [np.zeros((4, 2)), np.zeros((3, 3))]
    with pytest.raises(ValueError, match="2 arrays"):
        model.coefs_ = [np.zeros((4, 3))]


def test_weights_set_before_training_are_where_it_starts():
    model = MLPRegressor(hidden_layer_sizes=2, solver="sgd", learning_rate_init=1e-30, warm_start=True, max_iter=1)
    model.coefs_, model.intercepts_ = [np.ones((10, 2)), np.ones((2, 1))], [np.zeros(2), np.full(1, 7.0)]
    model.fit(XR, YR)
    assert model.intercepts_[1] == 7
    assert (model.coefs_[0] == 1).all()


# ---- interface


def test_a_model_is_one_attribute_of_bytes_and_comes_back_whole():
    model = MLPClassifier(max_iter=5, random_state=0).fit(X, TEXT)
    assert isinstance(model.__getstate__()["network_"], bytes)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert (other.predict_proba(X) == model.predict_proba(X)).all()
        assert other.history_.history["loss"] == model.loss_curve_
        assert str(other.report_) == str(model.report_)
        once = copy.deepcopy(model).partial_fit(X, TEXT)
        other.partial_fit(X, TEXT)  # with the state of Adam
        assert all((a == b).all() for a, b in zip(once.coefs_, other.coefs_, strict=True))


def test_skops_needs_to_trust_nothing_but_the_class():
    skops = pytest.importorskip("skops.io")
    model = MLPClassifier(max_iter=5, random_state=0).fit(X, y)
    data = skops.dumps(model)
    trusted = skops.get_untrusted_types(data=data)
    assert trusted == ["pynn.sklearn.MLPClassifier"]
    assert (skops.loads(data, trusted=trusted).predict_proba(X) == model.predict_proba(X)).all()


def test_a_custom_loss_is_pickled_by_reference():
    model = MLPRegressor(loss=pynn.losses.Custom(cubic), max_iter=5, random_state=0).fit(XR, YR)
    assert (pickle.loads(pickle.dumps(model)).predict(XR) == model.predict(XR)).all()


def cubic(logits, target):
    error = logits - target
    return (abs(error) ** 3).sum(axis=1), 3 * error * abs(error)


def test_columns_are_checked_by_name():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    model = MLPClassifier(max_iter=5).fit(frame, y)
    assert model.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="same order"):
        model.predict(frame[list("bacd")])
    with pytest.raises(ValueError, match="unseen at fit"):
        model.predict(frame.rename(columns={"a": "e"}))


def test_what_scikit_learn_refuses_is_refused():
    for arguments in ({"alpha": -1}, {"solver": "newton"}, {"activation": "cube"}, {"max_iter": 0}, {"dropout": 1}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            MLPClassifier(**arguments).fit(X, y)
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        MLPClassifier(hidden_layer_sizes=(4, 0)).fit(X, y)
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(X)
    with pytest.raises(ValueError, match="classes must be passed"):
        MLPClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        MLPClassifier().fit(np.where(X > 2, np.nan, X), y)
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    assert not hasattr(MLPClassifier(solver=pynn.LBFGS()), "partial_fit")


def test_a_repr_in_html_and_metadata_routing():
    assert "MLPClassifier" in MLPClassifier(dropout=0.1)._repr_html_()
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier(max_iter=5).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        found = GridSearchCV(model, {"alpha": [0, 1]}, cv=2).fit(X, y, sample_weight=W)
    assert len(found.cv_results_["params"]) == 2


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_searches(n_jobs):
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingGridSearchCV, RandomizedSearchCV

    model, grid = (
        MLPClassifier(max_iter=20, learning_rate_init=0.05, random_state=0),
        {"hidden_layer_sizes": [(4,), (8, 4)]},
    )
    for search in (
        GridSearchCV(model, grid, cv=2, n_jobs=n_jobs),
        RandomizedSearchCV(model, grid, n_iter=2, cv=2, n_jobs=n_jobs),
        HalvingGridSearchCV(model, grid, cv=2, n_jobs=n_jobs, min_resources=60),
    ):
        assert search.fit(X, y).best_score_ > 0.8
    scores = cross_val_score(model, X, y, cv=3, n_jobs=n_jobs)
    assert scores.tolist() == cross_val_score(model, X, y, cv=3).tolist()


def test_workers_of_joblib_share_the_processors():
    joblib = pytest.importorskip("joblib")
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        assert joblib.Parallel(2)(joblib.delayed(threads_after_fit)() for _ in range(2)) == [1, 1]


def threads_after_fit():
    MLPClassifier(max_iter=1).fit(X, y)
    return pynn.get_num_threads()


# ---- what they have beside


@pytest.mark.parametrize(
    "arguments",
    [
        {"activation": "mish"}, {"activation": pynn.activations.LeakyReLU(negative_slope=0.2)}, {"solver": "adamw"},
        {"solver": pynn.AdamW(learning_rate=0.01)}, {"solver": pynn.LBFGS(max_iter=30)}, {"dropout": 0.2},
        {"dropout": [0.2], "dtype": "float32"}, {"loss": "focal"}, {"loss": "kl_divergence"},
        {"loss": pynn.losses.SoftmaxCrossEntropy(label_smoothing=0.1)}, {"loss": "squared_hinge"},
        {"class_weight": "balanced"}, {"guard": "rollback"}, {"guard": pynn.Guard("skip")},
    ],
    ids=repr,
)  # fmt: skip
def test_options_of_pynn_train(arguments):
    model = MLPClassifier(learning_rate_init=0.01, max_iter=100, random_state=0, **arguments).fit(X, TEXT)
    assert model.score(X, TEXT) > 0.9
    assert clone(model).fit(X, TEXT).coefs_[0].tolist() == model.coefs_[0].tolist()
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict(X) == model.predict(X)).all()
    if arguments.get("loss") == "squared_hinge":
        assert not hasattr(model, "predict_proba")
    else:
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
        np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), atol=1e-12)


@pytest.mark.parametrize("loss", ["huber", "mae", "log_cosh", "gaussian_nll", pynn.losses.Quantile(0.5)])
def test_losses_of_pynn_for_numbers(loss):
    model = MLPRegressor(loss=loss, learning_rate_init=0.01, random_state=0).fit(XR, YR)
    assert model.predict(XR).shape == (200,)
    assert model.score(XR, YR) > 0.9


def test_dropout_takes_one_rate_or_one_for_each_hidden_layer():
    with pytest.raises(ValueError, match="2 rates"):
        MLPClassifier((4, 4), dropout=[0.1]).fit(X, y)


def test_class_weights_favour_their_class():
    rng = np.random.default_rng(0)
    noise, labels = rng.normal(size=(300, 2)), rng.integers(2, size=300)
    shares = [
        (MLPClassifier(max_iter=30, random_state=0, class_weight=weights).fit(noise, labels).predict(noise) == 1).mean()
        for weights in (None, {0: 1, 1: 10})
    ]
    assert shares[0] < 0.8
    assert shares[1] > 0.95
    with pytest.raises(ValueError, match="balanced"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])


def test_rows_of_your_own_decide_when_to_stop():
    fits, held = X[::2], X[1::2]
    model = MLPClassifier(early_stopping=True, max_iter=50, learning_rate_init=0.05, random_state=0)
    model.fit(fits, y[::2], validation_data=(held, y[1::2]))
    assert len(model.validation_scores_) == model.n_iter_
    assert model.best_validation_score_ == max(model.validation_scores_) == model.score(held, y[1::2])
    assert model.t_ == len(fits) * model.n_iter_  # no row was held out of those
    with pytest.raises(ValueError, match="classes not in"):
        model.fit(X[y < 2], y[y < 2], validation_data=(X, y))
    with pytest.raises(TypeError, match="validation_data"):
        model.fit(X, y, validation_data=X)


def test_early_stopping_keeps_the_shares_of_any_number_of_classes():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [160, 20, 20])
    seen = []
    monitored = MLPClassifier(early_stopping=True, max_iter=1, random_state=0)
    monitored._score = lambda network, X, y, weights: seen.append(np.bincount(y).tolist()) or 0.5
    monitored.fit(rng.normal(size=(200, 2)), labels)
    assert seen == [[16, 2, 2]]
    rare = np.r_[labels, 3]  # one row of class 3 cannot be on both sides
    MLPClassifier(early_stopping=True, max_iter=2).fit(rng.normal(size=(201, 2)), rare)


def test_callbacks_see_epochs_and_may_stop():
    seen = []
    stop = pynn.EarlyStopping("val_loss", patience=2)
    model = MLPRegressor(
        callbacks=[stop, pynn.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))]
    )
    model.fit(XR[:150], YR[:150], validation_data=(XR[150:], YR[150:]))
    np.testing.assert_allclose(seen, model.loss_curve_)
    assert "val_loss" in model.history_[0]


def test_a_run_that_diverges_is_an_error_with_a_report():
    wild = MLPRegressor(solver="sgd", learning_rate_init=100, momentum=0, random_state=0, activation="identity")
    with pytest.raises(DivergenceError) as caught:
        wild.fit(XR * 1e3, YR)
    assert isinstance(caught.value, ValueError)
    assert caught.value.report.findings
    with pytest.raises(NotFittedError):
        wild.predict(XR)


def test_with_early_stopping_it_keeps_the_best_epoch_and_warns():
    wild = MLPRegressor(
        solver="sgd", learning_rate_init=0.02, early_stopping=True, random_state=0, activation="identity", max_iter=60,
        n_iter_no_change=60,
    )  # fmt: skip
    with pytest.warns(pynn.TrainingWarning, match="best parameters"):
        wild.fit(XR, YR * 100)
    assert np.isnan(wild.validation_scores_[-1])
    assert np.isfinite(wild.predict(XR)).all()


def test_what_was_found_is_in_the_report():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        model = MLPClassifier(max_iter=20).fit(np.c_[X, np.ones(len(X))], y)
    assert isinstance(model.report_, pynn.Report)
    assert model.report_ is model.history_.report


def test_partial_fit_goes_on_and_follows_batches_of_other_sizes():
    model = MLPRegressor(solver="sgd", random_state=0, alpha=0.1, dtype="float64")
    theirs = TheirRegressor(solver="sgd", random_state=0, alpha=0.1)
    for first, last in ((0, 50), (50, 150), (150, 200)):
        model.partial_fit(XR[first:last], YR[first:last])
        theirs.partial_fit(XR[first:last], YR[first:last])
    for one, other in zip(theirs.coefs_, model.coefs_, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_lbfgs_tells_whether_it_converged():
    with pytest.warns(ConvergenceWarning, match="lbfgs"):
        short = MLPClassifier(solver="lbfgs", max_iter=3).fit(X, y)
    assert short.n_iter_ == 3
    assert short.history_.converged is False
    long = MLPRegressor(solver="lbfgs", hidden_layer_sizes=2, alpha=1, random_state=0, tol=1e-3).fit(XR, YR)
    assert long.history_.converged is True


def test_the_network_is_a_sequential_model(tmp_path):
    parts = train_test_split(X, y, random_state=0)
    model = MLPClassifier(max_iter=50, random_state=0).fit(parts[0], parts[2])
    model.network_.save(tmp_path / "iris.safetensors")
    np.testing.assert_allclose(
        pynn.load(tmp_path / "iris.safetensors").predict(parts[1]), model.predict_proba(parts[1]), atol=1e-12
    )


def test_importing_pynn_does_not_import_scikit_learn(python):
    assert python("import sys, pynn; pynn.Sequential; print('sklearn' in sys.modules)") == "False"


def test_the_page_in_docs_runs(capsys):
    text = (Path(__file__).parent.parent / "docs" / "sklearn.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        exec(compile(block, "sklearn.md", "exec"), names)
    out = capsys.readouterr().out
    assert out.startswith("True\nTrue\n")


def test_cross_val_score_takes_a_sequential_model():
    for loss, targets in (("softmax_cross_entropy", y), ("mse", X[:, 0])):
        model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(3 if loss != "mse" else 1)], seed=0)
        model.compile(loss, pynn.Adam(learning_rate=0.02))
        scores = cross_val_score(model, X, targets, cv=3 if loss != "mse" else 5, params={"epochs": 60})
        assert scores.mean() > 0.8
        assert not model.built
        model.fit(X, targets, epochs=60)
        assert model.score(X, targets) > 0.8
        assert model.score(X, targets, sample_weight=W) != model.score(X, targets)
