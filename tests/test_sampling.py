"""Samplers against their definitions, class weights in losses and metrics, splits, bad rows."""

import numpy as np
import pytest

import pynn
from pynn import DataLoader
from pynn.data import sampling


def labels(counts, seed=0):
    y = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(y)


def rows_of(loader):
    return np.concatenate([(batch[0] if isinstance(batch, tuple) else batch).rows for batch in loader])


def chi_square(seen, expected):
    """Pearson's statistic in standard deviations above its mean."""
    keep = expected > 0
    assert not seen[~keep].any()
    degrees = keep.sum() - 1
    return (np.sum((seen[keep] - expected[keep]) ** 2 / expected[keep]) - degrees) / np.sqrt(2 * degrees)


# ---- samplers


def test_weights_draw_rows_in_proportion_and_with_replacement():
    weights = np.array([0, 1, 2, 3, 4, 0, 10] * 10, float)
    loader = DataLoader(np.zeros((70, 2)), sampling=weights, batch_size=7, seed=3)
    epochs = 600
    drawn = np.stack([loader.order(epoch) for epoch in range(epochs)])
    assert drawn.shape == (epochs, 70)
    seen = np.bincount(drawn.ravel(), minlength=70)
    assert abs(chi_square(seen, weights / weights.sum() * drawn.size)) < 4
    pairs = (drawn[:, :-1] % 7) * 7 + drawn[:, 1:] % 7  # neighbours are independent
    share = np.bincount(np.arange(70) % 7, weights) / weights.sum()
    expected = np.outer(share, share).ravel() * pairs.size
    assert chi_square(np.bincount(pairs.ravel(), minlength=49), expected) < 4
    assert any(len(set(order)) < len(order) for order in drawn)
    assert rows_of(loader).tolist() == drawn[0].tolist()
    assert rows_of(loader).tolist() == drawn[1].tolist()


def test_oversampling_repeats_the_rows_of_rare_classes_evenly():
    y = labels([50, 20, 7])
    loader = DataLoader(np.zeros((77, 1)), y, sampling="oversample", batch_size=10)
    assert len(loader) == 15
    extra = np.zeros(77)
    for epoch in range(200):
        order = loader.order(epoch)
        times = np.bincount(order, minlength=77)
        assert np.bincount(y[order]).tolist() == [50, 50, 50]
        for label, few in ((0, 1), (1, 2), (2, 7)):
            assert set(times[y == label]) <= {few, few + 1}
        extra += times
    for label in (1, 2):  # who is drawn once more is a matter of chance, the same for all
        share = extra[y == label] / extra[y == label].mean()
        assert abs(share - 1).max() < 0.1
    first = y[loader.order(0)]
    assert len(set(first[:20])) == 3  # mixed, not one class after another
    assert not np.array_equal(loader.order(0), loader.order(1))


def test_undersampling_takes_others_in_each_epoch():
    y = labels([60, 9, 20])
    loader = DataLoader(np.zeros((89, 1)), y, sampling="undersample", batch_size=9)
    seen = np.zeros(89)
    for epoch in range(400):
        order = loader.order(epoch)
        assert len(set(order)) == len(order) == 27
        assert np.bincount(y[order]).tolist() == [9, 9, 9]
        seen += np.bincount(order, minlength=89)
    assert set(seen[y == 1]) == {400}
    expected = np.where(y == 0, 400 * 9 / 60, 400 * 9 / 20)
    for label in (0, 2):
        spread = expected[y == label] * (1 - 9 / (y == label).sum())  # draws without replacement vary less
        assert (np.abs(seen - expected)[y == label] < 5 * np.sqrt(spread)).all()


@pytest.mark.parametrize("sampling", ["oversample", "undersample", "weights"])
def test_samplers_resume_and_train_to_the_same_bits_by_any_path(sampling):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(90, 4)).astype(np.float32), labels([60, 30])

    def make(data=(x, y)):
        chosen = rng.random(90) * 0 + 1 + y if sampling == "weights" else sampling
        return DataLoader(*data, sampling=chosen, batch_size=8, seed=5)

    loader, batches, states = make(), [], []
    for _ in range(2):
        for xb, _ in loader:
            batches.append(xb.rows.tolist())
            states.append(loader.state_dict())
    for seen in (1, 4, len(loader), len(loader) + 2):
        resumed, rest = make(), []
        resumed.load_state_dict(states[seen - 1])
        while len(rest) < len(batches) - seen:
            rest += [xb.rows.tolist() for xb, _ in resumed]
        assert rest == batches[seen:]
    with pytest.raises(ValueError, match="the state of a DataLoader with"):
        DataLoader(x, y, batch_size=8, seed=5).load_state_dict(states[0])

    class Pairs:
        def __len__(self):
            return 90

        def __getitem__(self, i):
            return x[i], y[i]

    parameters = []
    for source in (make(), make((Pairs(),))):
        model = pynn.Sequential([pynn.Dense(2)], seed=0)
        model.compile("softmax_cross_entropy")
        model.fit(source, epochs=2)
        parameters.append(model.parameters.tobytes())
    assert parameters[0] == parameters[1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sampling": "upsample"}, ValueError, "sampling as 'oversample', 'undersample' or a weight for each row"),
        ({"sampling": "oversample", "y": None}, ValueError, "expected y, class labels, for sampling='oversample'"),
        (
            {"sampling": "oversample", "y": np.linspace(0, 1, 10)},
            ValueError,
            r"y of class labels.*received y\[1\]=0\.11",
        ),
        ({"sampling": np.zeros(10)}, ValueError, "a weight > 0; received weights that are all 0"),
        ({"sampling": np.ones(9)}, ValueError, "sample_weight of shape"),
        ({"sampling": -np.ones(10)}, ValueError, "-1"),
        ({"class_weight": "even"}, ValueError, "class_weight as a dict or 'balanced'"),
        ({"class_weight": [1, 2]}, TypeError, "class_weight as a dict"),
        ({"class_weight": {}}, TypeError, "class_weight as a dict"),
        ({"class_weight": {0: -1.0}}, ValueError, r"weights >= 0; received class_weight\[0\]=-1"),
        ({"class_weight": {0: float("nan")}}, ValueError, r"class_weight\[0\]=nan"),
        ({"class_weight": {"a": 1.0}}, TypeError, "the class 'a'"),
        ({"class_weight": {0: 0, 1: 0}}, ValueError, "a weight > 0; received weights that are all 0"),
        ({"class_weight": {7: 1}}, ValueError, r"classes in y, \[0, 1\]; received {7: 1}"),
        ({"on_bad_rows": "ignore"}, ValueError, "on_bad_rows as 'error', 'skip', 'impute', 'median' or None"),
        ({"prefetch": -1}, ValueError, "prefetch=-1"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        list(DataLoader(**{"X": np.zeros((10, 2)), "y": np.arange(10) % 2} | arguments))
    assert isinstance(caught.value, pynn.PynnError)


def test_streams_cannot_be_sampled_from():
    class Flow:
        def __iter__(self):
            return iter([(np.zeros(2), 0)] * 5)

    with pytest.raises(ValueError, match="rows can be asked for by number; received a stream"):
        DataLoader(Flow(), sampling="oversample")
    with pytest.raises(ValueError, match="class_weight as a dict where the labels are not known beforehand"):
        DataLoader(Flow(), class_weight="balanced")
    ((_, _, weights),) = DataLoader(Flow(), class_weight={0: 3})
    assert weights.tolist() == [3] * 5


# ---- class weights


def problem(seed=0, n=400):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return x, (x[:, 0] > 1).astype(int)


def model_of(metrics=("accuracy",)):
    model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy", metrics=metrics)
    return model


def test_class_weights_are_sample_weights_in_loss_and_metrics():
    x, y = problem()
    weights = np.where(y == 1, 5.0, 0.5)
    by_rows, by_class, both, stream = model_of(), model_of(), model_of(), model_of()
    options = {"epochs": 2, "batch_size": 32}
    expected = by_rows.fit(x, y, sample_weight=weights, validation_data=(x, y, weights), **options)
    found = by_class.fit(x, y, class_weight={0: 0.5, 1: 5}, validation_data=(x, y), **options)
    halves = both.fit(
        x, y, sample_weight=np.full(400, 0.5), class_weight={0: 1, 1: 10}, validation_data=(x, y, np.full(400, 0.5)),
        **options,
    )  # fmt: skip

    class Pairs:
        def __len__(self):
            return len(x)

        def __getitem__(self, i):
            return x[i], y[i]

    loader = DataLoader(Pairs(), class_weight={0: 0.5, 1: 5}, batch_size=32, shuffle=True)
    read = stream.fit(loader, epochs=2, validation_data=(x, y))
    for model, history in ((by_class, found), (both, halves), (stream, read)):
        assert model.parameters.tobytes() == by_rows.parameters.tobytes()
        for mine, theirs in zip(history, expected, strict=True):
            assert mine | {"seconds": 0} == theirs | {"seconds": 0}
    halves = [(x[:150], y[:150]), (x[150:], y[150:], np.ones(250))]
    streamed = type("Halves", (), {"__iter__": lambda self: iter(halves)})()
    for validation in (DataLoader(x, y), DataLoader(Pairs()), DataLoader(x, y, shuffle=True, batch_size=7), streamed):
        again = model_of().fit(x, y, class_weight={0: 0.5, 1: 5}, validation_data=validation, **options)
        for name in ("val_loss", "val_accuracy"):
            assert again.history[name] == pytest.approx(expected.history[name], rel=1e-6)
        assert getattr(validation, "class_weight", None) is None
    own = DataLoader(x, y, class_weight={0: 5, 1: 5})
    plain = model_of().fit(x, y, class_weight={0: 0.5, 1: 5}, validation_data=own, epochs=1)[-1]["val_accuracy"]
    assert plain != expected[0]["val_accuracy"]
    assert by_class.evaluate(x, y, class_weight={0: 0.5, 1: 5}) == by_rows.evaluate(x, y, sample_weight=weights)
    accuracy = by_rows.predict(x).argmax(1) == y
    assert by_rows.evaluate(x, y, sample_weight=weights)["accuracy"] == pytest.approx(
        np.average(accuracy, weights=weights)
    )


def test_balanced_weights_are_those_of_scikit_learn():
    utils = pytest.importorskip("sklearn.utils.class_weight")
    y = labels([50, 20, 7])
    expected = utils.compute_class_weight("balanced", classes=np.arange(3), y=y)
    ((_, _, weights),) = DataLoader(np.zeros((77, 1)), y, class_weight="balanced", batch_size=77)
    np.testing.assert_allclose(weights, expected[y])
    one_hot = np.eye(3)[y]
    ((_, _, weights),) = DataLoader(np.zeros((77, 1)), one_hot, class_weight="balanced", batch_size=77)
    np.testing.assert_allclose(weights, expected[y])


def test_what_loaders_and_batches_bring_is_not_given_besides():
    x, y = problem()
    model = model_of()
    model.fit(x, y)
    batches = type("Batches", (), {"__iter__": lambda self: iter([(x, y)])})()
    for data in (DataLoader(x, y), batches):
        for given in ({"sample_weight": np.ones(400)}, {"class_weight": {0: 2}}):
            with pytest.raises(TypeError, match=f"expected {next(iter(given))} only with arrays, files and tables"):
                model.evaluate(data, **given)
            with pytest.raises(TypeError, match=f"expected {next(iter(given))} only with arrays, files and tables"):
                model.fit(data, **given)


def test_class_weights_lift_the_accuracy_of_the_rare_class():
    """1000 : 1, overlapping: unweighted, the rare class is never predicted."""
    rng = np.random.default_rng(0)
    y = labels([20_000, 20])
    x = (rng.normal(size=(20_020, 4)) + 1.6 * y[:, None]).astype(np.float32)
    y_test = labels([20_000, 200], seed=1)
    x_test = (rng.normal(size=(20_200, 4)) + 1.6 * y_test[:, None]).astype(np.float32)

    def balanced_accuracy(**options):
        model = pynn.Sequential([pynn.Dense(2)], seed=0)
        model.compile("softmax_cross_entropy", optimizer=pynn.Adam(learning_rate=0.02))
        model.fit(x, y, epochs=3, batch_size=256, **options)
        right = model.predict(x_test).argmax(1) == y_test
        return (right[y_test == 0].mean() + right[y_test == 1].mean()) / 2

    assert balanced_accuracy() < 0.75
    assert balanced_accuracy(class_weight="balanced") > 0.9


@pytest.mark.parametrize("suffix", ["csv", "parquet", None])
def test_a_table_with_a_rare_class_straight_from_the_file(suffix, tmp_path):
    """1000 : 1 as a file, with classes that have names; weights go by them."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(1)

    def table(name, *counts):
        y = labels(counts)
        x = (rng.normal(size=(len(y), 3)) + 1.8 * y[:, None]).astype(np.float32)
        frame = pandas.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "kind": np.array(["fine", "fraud"])[y]})
        if suffix is None:
            return frame
        path = tmp_path / f"{name}.{suffix}"
        frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
        return path

    train, test = table("train", 20_000, 20), table("test", 5000, 5000)
    found = {}
    for weight in (None, "balanced", {"fine": 1, "fraud": 1000}):
        model = pynn.Sequential([pynn.Normalization(), pynn.Dense(2)], seed=0)
        model.compile("softmax_cross_entropy", optimizer=pynn.Adam(learning_rate=0.02), metrics=["accuracy"])
        model.fit(train, target="kind", class_weight=weight, epochs=2, batch_size=256)
        found[str(weight)] = model.evaluate(test)["accuracy"]  # balanced: as many rows of either
    assert found["None"] < 0.7
    assert min(found["balanced"], found["{'fine': 1, 'fraud': 1000}"]) > 0.85
    with pytest.raises(ValueError, match="expected class_weight of the classes 'fine', 'fraud'; received 'fruad'"):
        model.fit(train, target="kind", class_weight={"fine": 1, "fruad": 2})


def test_numbers_that_are_classes_are_weighted_by_what_they_are():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": np.arange(9.0), "y": [1, 2, 3] * 3})
    loader = DataLoader.from_table(frame, "y", task="classification", class_weight={1: 5, 3: 7}, batch_size=3)
    assert next(iter(loader))[2].tolist() == [5, 1, 7]


# ---- splits


def test_a_split_keeps_rows_together_and_uses_each_once():
    x, y = np.arange(200).reshape(100, 2), np.arange(100)
    x_train, x_test, y_train, y_test = pynn.train_test_split(x, y, test_size=0.3, seed=1)
    assert (len(x_train), len(x_test)) == (70, 30)
    np.testing.assert_array_equal(x_train, x[y_train])
    np.testing.assert_array_equal(x_test, x[y_test])
    assert sorted([*y_train, *y_test]) == list(range(100))
    assert list(y_test) != sorted(y_test)
    again = pynn.train_test_split(x, y, test_size=0.3, seed=1)[3]
    assert again.tolist() == y_test.tolist() != pynn.train_test_split(x, y, test_size=0.3, seed=2)[3].tolist()
    drawn = sum(np.bincount(pynn.train_test_split(y, test_size=0.3, seed=s)[1], minlength=100) for s in range(500))
    assert abs(drawn - 150).max() < 5 * np.sqrt(500 * 0.3 * 0.7)


@pytest.mark.parametrize("counts", [[97, 2, 1], [10, 10, 10], [50, 33, 17], [2, 2, 2, 2]])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_a_stratified_split_keeps_the_shares_of_classes(counts, share):
    y = labels(counts)
    train, test = pynn.train_test_split(y, test_size=share, stratify=True)
    taken = np.bincount(test, minlength=len(counts))
    for count, n in zip(counts, taken, strict=True):
        assert abs(n - count * share) <= 1
        assert count < 2 or 1 <= n < count
    assert len(test) + len(train) == len(y)


@pytest.mark.parametrize("name", ["pandas", "polars", "pyarrow", "scipy.sparse"])
def test_frames_and_sparse_matrices_are_split_in_their_own_type(name):
    module, x = pytest.importorskip(name), np.arange(40.0).reshape(20, 2)
    make = {"pyarrow": "table", "scipy.sparse": "csr_matrix"}.get(name, "DataFrame")
    table = getattr(module, make)(x if name == "scipy.sparse" else {"a": x[:, 0], "b": x[:, 1]})
    train, test, y_train, y_test = pynn.train_test_split(table, np.arange(20), test_size=0.25)
    assert type(train) is type(test) is type(table)
    assert (train.shape[0], test.shape[0]) == (15, 5)
    as_array = {"scipy.sparse": lambda t: t.toarray(), "pyarrow": lambda t: t.to_pandas().to_numpy()}
    np.testing.assert_array_equal(as_array.get(name, np.asarray)(test), x[y_test])
    assert len(y_train) == 15


@pytest.mark.parametrize(
    ("parts", "options", "message"),
    [
        ((), {}, "arrays to split"),
        ((np.zeros(3), np.zeros(4)), {}, "equal length; received 3, 4 rows"),
        ((np.zeros(3),), {"test_size": 1.0}, "test_size as a finite number > 0 and < 1"),
        ((np.zeros(3),), {"test_size": 0.01}, "rows on both sides of 3"),
        ((np.linspace(0, 1, 9),), {"stratify": True}, "class labels for stratify=True"),
    ],
)
def test_splits_that_make_no_sense_are_refused(parts, options, message):
    with pytest.raises(pynn.PynnError, match=message):
        pynn.train_test_split(*parts, **options)


# ---- bad rows


@pytest.fixture
def holes():
    rng = np.random.default_rng(0)
    x = rng.normal(5, 1, size=(200, 4)).astype(np.float32)
    y = (x[:, 0] > 5).astype(int)
    x[3, 1], x[50, 2], x[50, 3], x[199, 1] = np.nan, np.inf, np.nan, -np.inf
    return x, y


class Flow:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __iter__(self):
        return zip(self.x, self.y, strict=True)


def test_bad_rows_are_skipped_and_counted(holes):
    x, y = holes
    kept = [i for i in range(200) if i not in (3, 50, 199)]
    for data in ((x, y), (np.asfortranarray(x), y), (Flow(x, y),)):
        loader = DataLoader(*data, batch_size=16, on_bad_rows="skip")
        assert rows_of(loader).tolist() == kept
        assert loader.bad_rows == {"action": "skip", "rows": 3, "cells": 4, "columns": {1: 2, 2: 1, 3: 1}}
        model, plain = model_of(), model_of()
        history = model.fit(loader)
        plain.fit(DataLoader(x[kept], y[kept], batch_size=16))
        assert model.parameters.tobytes() == plain.parameters.tobytes()
        (finding,) = history.report.findings
        assert (finding.code, finding.severity, finding.columns) == ("nonfinite_input", "info", [1, 2, 3])
        assert finding.evidence.items() >= {"n_rows": 3, "n_cells": 4, "action": "skip"}.items()
    assert sorted(rows_of(DataLoader(x, y, shuffle=True, on_bad_rows="skip"))) == kept
    targets = y.astype(float)
    targets[7] = np.nan
    assert 7 not in rows_of(DataLoader(x, targets, on_bad_rows="skip"))
    with pytest.raises(pynn.NonfiniteDataError, match="200, all of them bad"):
        DataLoader(np.full((200, 1), np.nan), on_bad_rows="skip")


def test_bad_cells_are_filled_in_with_the_mean_and_counted(holes):
    x, y = holes
    filled = x.copy()
    for column in range(4):
        finite = np.isfinite(x[:, column])
        filled[~finite, column] = x[finite, column].astype(np.float64).mean()
    for data in ((x, y), (x.astype(np.float64), y)):
        loader = DataLoader(*data, batch_size=16, on_bad_rows="impute")
        np.testing.assert_allclose(np.concatenate([xb for xb, _ in loader]), filled, rtol=1e-6)
        assert loader.bad_rows == {"action": "impute", "rows": 3, "cells": 4, "columns": {1: 2, 2: 1, 3: 1}}
        assert model_of().fit(loader).report.findings[0].evidence["action"] == "impute"
    assert np.isnan(x[3, 1])  # the caller's array is as it was
    far = np.full((1000, 1), 1e9)
    far[::2] += 1
    far[0] = np.nan
    assert DataLoader(far, on_bad_rows="impute").impute_values[0] == pytest.approx(1e9 + 499 / 999, abs=1e-6)
    with pytest.raises(pynn.NonfiniteDataError, match="received none in column 1"):
        DataLoader(np.array([[1, np.nan], [2, np.nan]]), on_bad_rows="impute")
    with pytest.raises(ValueError, match="'error' or 'skip' for a stream"):
        DataLoader(Flow(x, y), on_bad_rows="impute")


def test_bad_cells_are_filled_in_with_the_median_as_scikit_learn_does(holes, tmp_path, monkeypatch):
    impute = pytest.importorskip("sklearn.impute")
    x, y = holes
    x[:, 0] = np.exp(x[:, 0])  # mean and median differ
    x[10, 0] = np.nan
    imputer = impute.SimpleImputer(strategy="median").fit(np.where(np.isfinite(x), x, np.nan))
    filled = np.where(np.isfinite(x), x, imputer.statistics_)
    np.save(tmp_path / "x.npy", x)
    for data in (x, np.asfortranarray(x), x.astype(np.float64), tmp_path / "x.npy"):
        loader = DataLoader(data, y, batch_size=16, on_bad_rows="median")
        np.testing.assert_array_equal(np.concatenate([xb for xb, _ in loader]), filled.astype(x.dtype))
        assert loader.bad_rows == {"action": "median", "rows": 4, "cells": 5, "columns": {0: 1, 1: 2, 2: 1, 3: 1}}
        (finding,) = model_of().fit(loader).report.findings
        assert finding.message.startswith("4 rows had missing cells filled in with the medians of their columns")
    monkeypatch.setattr("pynn.data.bad.BYTES", 2 * 8 * 200)  # columns of an array two by two, as those of a large one
    np.testing.assert_array_equal(DataLoader(x, on_bad_rows="median").impute_values, imputer.statistics_)
    far = np.random.default_rng(0).exponential(size=(50_000, 1))
    np.save(tmp_path / "far.npy", far)
    (middle,) = DataLoader(tmp_path / "far.npy", on_bad_rows="median").impute_values  # of numbers not held at once
    assert 0 < abs((far < middle).mean() - 0.5) < np.log2(50_000 / 2048) / 2048
    with pytest.raises(pynn.NonfiniteDataError, match="received none in column 1"):
        DataLoader(np.array([[1, np.nan], [2, np.nan]]), on_bad_rows="median")
    with pytest.raises(ValueError, match="no mean or median before its end; received on_bad_rows='median'"):
        DataLoader(Flow(x, y), on_bad_rows="median")


def test_bad_rows_are_refused_with_row_and_column(holes):
    x, y = holes
    for data in ((x, y), (Flow(x, y),)):
        with pytest.raises(pynn.NonfiniteDataError, match="nan in row 3, column 1") as caught:
            list(DataLoader(*data, on_bad_rows="error"))
        assert (caught.value.row, caught.value.column) == (3, 1)
        with pytest.raises(pynn.NonfiniteDataError) as caught:
            model_of().fit(DataLoader(*data, batch_size=16))
        assert (caught.value.row, caught.value.column) == (3, 1)
    targets = y.astype(float)
    targets[7] = np.nan
    with pytest.raises(pynn.NonfiniteDataError, match="expected y of finite numbers; received nan in row 7"):
        list(DataLoader(np.zeros((200, 2)), targets, on_bad_rows="impute"))


def test_validation_is_treated_as_training_is(holes):
    x, y = holes
    middle = np.nanmedian(np.where(np.isfinite(x), x, np.nan), axis=0)
    spoilt, more = x.copy(), np.isfinite(x).all(1)
    spoilt[5], more[5] = [np.nan, 1, np.inf, 4], False
    model = model_of()
    model.fit(x, y, on_bad_rows="median", validation_data=(spoilt, y))
    filled = np.where(np.isfinite(spoilt), spoilt, middle.astype(np.float32))
    assert model.history[-1]["val_loss"] == pytest.approx(model.evaluate(filled, y)["loss"], rel=1e-6)
    weights = np.linspace(0, 1, 200)
    model.fit(x, y, on_bad_rows="skip", validation_data=(spoilt, y, weights))
    expected = model.evaluate(x[more], y[more], sample_weight=weights[more])
    assert model.history[-1]["val_loss"] == pytest.approx(expected["loss"], rel=1e-6)


@pytest.mark.parametrize("choice", ["skip", "median"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_loaders_of_bad_rows_go_on_exactly(choice, shuffle, holes, tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    x, y = holes
    pandas.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y}).to_csv(tmp_path / "t.csv", index=False)
    options = {"batch_size": 8, "shuffle": shuffle, "on_bad_rows": choice, "class_weight": "balanced"}
    path = tmp_path / "t.csv"
    for make in (
        lambda: DataLoader(x, y, **options),
        lambda: DataLoader.from_table(path, "y", buffer=48, **options),
    ):
        loader, batches, states = make(), [], []
        for _ in range(2):
            for batch in loader:
                batches.append([np.asarray(part).tobytes() for part in batch])
                states.append(loader.state_dict())
        for seen in (1, 7, len(batches) // 2 - 1, len(batches) // 2, len(batches) // 2 + 3):
            resumed, rest = make(), []
            resumed.load_state_dict(states[seen - 1])
            while len(rest) < len(batches) - seen:
                rest += [[np.asarray(part).tobytes() for part in batch] for batch in resumed]
            assert rest == batches[seen:]


def test_fit_and_evaluate_take_loaders_that_skip_or_fill_in(holes):
    x, y = holes
    kept = np.isfinite(x).all(1)
    model = model_of()
    model.fit(x, y, on_bad_rows="skip", validation_data=DataLoader(x, y, on_bad_rows="skip"))
    assert model.history[-1]["val_loss"] == pytest.approx(model.evaluate(x[kept], y[kept])["loss"])
    assert model.evaluate(DataLoader(x, y, on_bad_rows="impute"))["loss"] > 0


@pytest.mark.parametrize("loss", ["mse", "softmax_cross_entropy"])
@pytest.mark.parametrize("kind", ["arrays", "loader", "frame"])
def test_rows_without_a_target_are_left_out_or_named(loss, kind):
    x, y = np.random.default_rng(0).normal(size=(80, 3)), (np.arange(80) % 2).astype(float)
    y[[9, 41]] = np.nan

    def fitted(bad, **options):
        model = pynn.Sequential([pynn.Dense(2 if loss != "mse" else 1)], seed=0)
        model.compile(loss, "adam", ["accuracy"] if loss != "mse" else [])
        if kind == "loader":
            return model, model.fit(pynn.DataLoader(x, y, on_bad_rows=bad, shuffle=True, **options))
        if kind == "frame":
            pd = pytest.importorskip("pandas")
            return model, model.fit(pd.DataFrame(x), pd.Series(y), on_bad_rows=bad, **options)
        return model, model.fit(x, y, on_bad_rows=bad, **options)

    model, history = fitted("skip")
    (finding,) = history.report.findings
    assert finding.message == "2 rows with missing or infinite cells or targets were left out"
    weighted, _ = fitted("skip", class_weight={0: 1, 1: 1}) if loss != "mse" else (model, None)
    np.testing.assert_array_equal(weighted.parameters, model.parameters)
    assert np.isnan(y[[9, 41]]).all()
    for bad in ("impute", "median", "error"):
        with pytest.raises(
            pynn.NonfiniteDataError, match=r"y of finite numbers.*\brow (9|41)\b.*on_bad_rows='skip'"
        ) as caught:
            fitted(bad)
        assert caught.value.row in (9, 41)
        assert "Normalization" not in str(caught.value)


@pytest.mark.parametrize(("units", "loss"), [(2, "softmax_cross_entropy"), (1, "sigmoid_cross_entropy")])
def test_a_weight_of_a_class_that_the_model_does_not_have_is_an_error(units, loss):
    model = pynn.Sequential([pynn.Dense(units)])
    model.compile(loss)
    with pytest.raises(pynn.ArgumentValueError, match=r"class_weight of classes in 0 \.\.\. 1; received the class 2"):
        model.fit(np.zeros((4, 3)), [0, 1, 0, 1], class_weight={1: 20, 2: 3})
    model.fit(np.zeros((4, 3)), [0, 1, 0, 1], class_weight={1: 20}, guard="off")


def test_several_yes_or_no_outputs_have_no_class_to_draw_by():
    X = np.random.default_rng(0).normal(size=(200, 3))
    Y = (X > 0.8).astype(int)
    for call, purpose, advice in (
        (lambda: pynn.DataLoader(X, Y, sampling="oversample"), "sampling", "sampling=weights"),
        (lambda: pynn.DataLoader(X, Y, sampling="undersample"), "sampling", "sampling=weights"),
        (lambda: pynn.DataLoader(X, Y / 3, class_weight={1: 2.0}), "class_weight", "list with a dict for each"),
        (lambda: pynn.train_test_split(X, Y, stratify=True), "stratify=True", r"np\.unique"),
    ):
        with pytest.raises(pynn.LabelError, match=rf"one class in each row for {purpose}.*{advice}") as caught:
            call()
        assert caught.value.row is not None
    combined = np.unique(Y, axis=0, return_inverse=True)[1]  # as advised
    *_, y_test = pynn.train_test_split(X, combined, stratify=True)
    assert abs((y_test == 0).mean() - (combined == 0).mean()) < 0.02


@pytest.mark.parametrize("smooth", [0.0, 0.1])
def test_one_hot_rows_and_probabilities_have_one(smooth):
    labels = np.array([0, 1, 2, 2] * 10)
    rows = np.eye(3, dtype=np.float32)[labels] * (1 - smooth) + np.float32(smooth / 3)
    assert np.array_equal(sampling.as_labels(rows, "class_weight"), labels)
