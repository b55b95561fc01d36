"""What ends a run with a word: causes that lie in the data, the task or the settings, and healthy neighbours."""

import warnings

import numpy as np
import pytest

import pynn

rng = np.random.default_rng(0)
X = rng.normal(size=(600, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
THREE = np.digitize(X.sum(axis=1), [-1, 1])


def report(x=X, y=Y, layers=None, loss="softmax_cross_entropy", optimizer=None, metrics=(), **options):
    units = 1 if layers or loss != "softmax_cross_entropy" or np.ndim(y) > 1 else int(np.max(y)) + 1
    layers = layers or [pynn.Dense(16, activation="relu"), pynn.Dense(max(units, 1))]
    model = pynn.Sequential(layers, seed=0)
    model.compile(loss, optimizer or pynn.Adam(0.01), metrics)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        return model.fit(x, y, verbose=0, **({"epochs": 5} | options)).report


def found(code, *arguments, **options):
    """The finding of the code, which must be a warning."""
    (finding,) = [one for one in report(*arguments, **options).findings if one.code == code]
    assert finding.severity == "warning"
    assert finding.message
    assert finding.remedy
    return finding


def codes(*arguments, **options):
    return [finding.code for finding in report(*arguments, **options).findings]


def with_column(column, at=2, x=X):
    x = x.copy()
    x[:, at] = column
    return x


# ---- digits that were lost before


@pytest.mark.parametrize(("centre", "size"), [(1.7e9, 30), (5.4e6, 0.3), (2024.5, 1e-4)])
def test_numbers_too_close_for_their_dtype_are_named(centre, size):
    y = centre + size * X.sum(axis=1)
    regression = {"layers": [pynn.Normalization(), pynn.Dense(8, activation="relu"), pynn.Dense(1)], "loss": "mse"}
    finding = found("precision_loss", y=y.astype(np.float32), **regression)
    assert (finding.columns, finding.evidence["array"], finding.evidence["dtype"]) == ([0], "y", "float32")
    assert finding.evidence["step"] == np.spacing(np.float32(y.max()))
    finding = found("precision_loss", x=with_column(y).astype(np.float32), y=X.sum(axis=1), **regression)
    assert (finding.columns, finding.evidence["array"]) == ([2], "X")
    assert "precision_loss" not in codes(x=with_column(y), y=X.sum(axis=1), **regression)


def test_counts_and_ordinary_float32_and_float16_are_fine_enough():
    regression = {"layers": [pynn.Dense(1)], "loss": "mse"}
    counts = (1e7 + np.arange(600) % 10).astype(np.float32)
    single, half = X.astype(np.float32), X.astype(np.float16)
    for x, y in ((single, single.sum(axis=1)), (half, half[:, 0]), (with_column(counts, x=single), single[:, 0])):
        assert "precision_loss" not in codes(x=x, y=y, **regression)


# ---- the everyday habit is right


@pytest.mark.parametrize(("activation", "loss", "y", "units"), [
    ("softmax", "softmax_cross_entropy", THREE, 3),
    ("softmax", "sparse_categorical_crossentropy", THREE, 3),
    ("softmax", "categorical_crossentropy", np.eye(3)[THREE], 3),
    ("softmax", "cross_entropy", THREE, 3),
    ("softmax", "kld", np.eye(3)[THREE], 3),
    ("sigmoid", "binary_crossentropy", Y, 1),
    ("sigmoid", "sigmoid_cross_entropy", np.c_[Y, 1 - Y], 2),
    ("sigmoid", "focal", Y, 1),
    ("exponential", "poisson", THREE, 1),
])  # fmt: skip
def test_the_links_own_activation_is_fused_and_says_nothing(activation, loss, y, units):
    models = []
    for layers in ([pynn.Dense(units, activation=activation)], [pynn.Dense(units), pynn.Activation(activation)],
                   [pynn.Dense(units)]):  # fmt: skip
        layers[0] = pynn.Dense(units, activation=layers[0].activation, kernel_initializer="glorot_uniform")
        model = pynn.Sequential(layers, seed=0)
        model.compile(loss, pynn.SGD(0.05))
        with warnings.catch_warnings():
            warnings.simplefilter("error", pynn.TrainingWarning)
            assert model.fit(X, y, epochs=2, verbose=0).report.findings == []
        models.append(model)
    for model in models[:2]:
        np.testing.assert_array_equal(model.parameters, models[2].parameters)


@pytest.mark.parametrize("layers", [
    [pynn.Dense(3, activation="relu")],
    [pynn.Dense(3, activation="sigmoid")],
    [pynn.Dense(3, activation="softmax"), pynn.Dropout(0.1)],  # applied, and then the loss's own
])  # fmt: skip
def test_another_activation_before_a_cross_entropy_is_found(layers):
    assert found("loss_mismatch", y=THREE, layers=layers).layer == 0


# ---- columns of X


@pytest.mark.parametrize(("mark", "text"), [(-9999.0, "-9999"), (999.0, "999"), (-(2.0**63), "missing date")])
@pytest.mark.parametrize("first", [[], [pynn.Normalization()]])
def test_marks_for_missing_values(mark, text, first):
    finding = found("missing_marker", with_column(np.where(np.arange(600) % 9, X[:, 2], mark)),
                    layers=[*first, pynn.Dense(8, activation="relu"), pynn.Dense(2)])  # fmt: skip
    assert finding.columns == [2]
    assert finding.rows[:3] == [0, 9, 18]
    assert text in finding.message


def test_a_mark_is_named_as_the_cause_of_a_fault():
    x = with_column(np.where(np.arange(600) % 9, X[:, 2], -(2.0**63)))
    model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(1)], seed=0)
    model.compile("mse", "sgd")
    with pytest.raises(pynn.NumericalError) as caught:
        model.fit(x, X[:, 0])
    cause = caught.value.report.findings[1]
    assert (cause.code, cause.columns, cause.evidence["tried"]) == ("missing_marker", [2], "alone")


@pytest.mark.parametrize("column", [
    rng.integers(0, 1000, 600),  # counts that reach 999
    np.where(np.arange(600) % 9, 0.0, 999.0),  # a flag
    np.where(np.arange(600) % 300, rng.normal(500, 100, 600), 999),
    rng.integers(0, 10000, 600),
])  # fmt: skip
def test_numbers_that_are_no_marks(column):
    assert "missing_marker" not in codes(with_column(column))


def test_the_target_among_the_features():
    finding = found("target_leak", np.c_[X, Y], Y)
    assert finding.columns == [4]
    assert found("target_leak", np.c_[X, 7 - 2 * THREE], THREE).columns == [4]
    y = X @ [1, 2, 3, 4]
    assert found("target_leak", np.c_[X, y], y, loss="mse").columns == [4]


def test_a_row_number_among_the_features_of_sorted_rows():
    order = np.argsort(THREE, kind="stable")
    numbered = np.c_[X[order], np.arange(600) / 600]
    assert found("target_leak", numbered, THREE[order]).columns == [4]
    mixed = rng.permutation(600)
    assert "target_leak" not in codes(numbered[mixed], THREE[order][mixed])


@pytest.mark.parametrize(("x", "y", "loss"), [
    (np.c_[X, Y ^ (np.arange(600) % 50 == 0)], Y, "softmax_cross_entropy"),  # nearly
    (X[:, :1], X[:, 0], "mse"),  # the first examples of every course
    (X, 2 * X[:, 0] + 1, "mse"),
    (np.c_[X[:, :2], X[:, :2] + 1e-3 * X[:, 2:]], X[:, 0] + X[:, 1], "mse"),
    (np.c_[np.arange(600) / 600, X], np.arange(600) / 300 + X[:, 0], "mse"),  # a trend in time
    (np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), np.array([0, 0, 1, 1]), "softmax_cross_entropy"),
])  # fmt: skip
def test_features_that_are_no_leak(x, y, loss):
    assert "target_leak" not in codes(x, y, loss=loss)


def test_text_categories_as_one_number():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": X[:, 0], "city": [f"c{i % 40:02d}" for i in range(600)], "y": Y})
    layers = [pynn.Dense(8, activation="relu"), pynn.Dense(2)]

    def fit(*first, columns=("x", "city", "y")):
        model = pynn.Sequential([*first, *layers])
        model.compile("softmax_cross_entropy", "adam")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pynn.TrainingWarning)
            return model.fit(frame[list(columns)], target="y", verbose=0).report.findings

    (finding,) = [one for one in fit() if one.code == "category_as_number"]
    assert finding.severity == "warning"
    assert "column 'city'" in finding.message
    assert "pynn.Categorical([1])" in finding.remedy
    assert not [one for one in fit(pynn.Categorical([1])) if one.code == "category_as_number"]
    assert not [one for one in fit(columns=("x", "y")) if one.code == "category_as_number"]


# ---- classes and their order


def test_one_class():
    assert found("one_class", y=np.ones(600, int)).evidence["label"] == 1
    assert found("one_class", y=np.zeros(600), loss="binary_crossentropy").evidence["n_rows"] == 600
    assert "one_class" not in codes(y=np.ones(600), loss="mse")


def test_a_class_that_is_only_validated():
    order = np.argsort(THREE, kind="stable")
    held = (THREE == 2).mean()
    finding = found("validation_mismatch", X[order], THREE[order], validation_split=float(held))
    assert finding.data == "validation"
    assert finding.evidence["classes"] == [2]
    assert "validation_mismatch" not in codes(y=THREE, validation_split=0.2)
    assert "validation_mismatch" not in codes(y=THREE, validation_data=(X[THREE == 1], THREE[THREE == 1]))


def test_a_class_that_is_only_validated_of_a_file(tmp_path):
    order = np.argsort(THREE, kind="stable")
    for name, rows in (("sorted", order), ("mixed", np.arange(600))):
        lines = [",".join(map(str, (*x, f"c{label}"))) for x, label in zip(X[rows], THREE[rows], strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,b,c,d,y", *lines]) + "\n")
    held = {"target": "y", "validation_split": float((THREE == 2).mean())}
    layers = [pynn.Dense(8, activation="relu"), pynn.Dense(3)]
    assert found("validation_mismatch", tmp_path / "sorted.csv", None, layers, **held).evidence["classes"] == [2]
    assert "validation_mismatch" not in codes(tmp_path / "mixed.csv", None, layers, **held)


@pytest.mark.parametrize("batch_size", [1, 32, 100])
def test_rows_sorted_by_class_and_not_shuffled(batch_size):
    order = np.argsort(THREE, kind="stable")
    options = {"batch_size": batch_size, "epochs": 2}
    assert found("unordered_rows", X[order], THREE[order], shuffle=False, **options).evidence["n_classes"] == 3
    assert "unordered_rows" not in codes(X[order], THREE[order], **options)
    assert "unordered_rows" not in codes(y=THREE, shuffle=False, **options)
    rare = (np.arange(600) % 40 == 0).astype(int)
    assert "unordered_rows" not in codes(y=rare, shuffle=False, **options)


def test_accuracy_of_the_most_frequent_class():
    rare = (np.random.default_rng(1).random(600) < 0.05).astype(int)
    finding = found("class_imbalance", y=rare, metrics=["accuracy"])
    assert finding.evidence["share"] == pytest.approx(1 - rare.mean())
    assert "class_imbalance" not in codes(y=rare)  # nobody looks at accuracy
    learned = (X[:, 0] > 1.6).astype(int)
    assert "class_imbalance" not in codes(y=learned, metrics=["accuracy"], epochs=30)
    assert "class_imbalance" not in codes(y=Y, metrics=["accuracy"])


# ---- validation in other units


@pytest.mark.parametrize(
    "change", [lambda x: 255 * x, lambda x: x / 255, lambda x: x + 273, lambda x: x * [1, 1, 1000, 1]]
)
def test_validation_in_other_units(change):
    finding = found("validation_mismatch", validation_data=(change(X[:200]), Y[:200]))
    assert finding.data == finding.evidence["data"] == "validation"
    assert 2 in finding.columns


@pytest.mark.parametrize("held", [X[:100], 2 * X[:200], X[:200] + 1, X[:10] * 100, np.round(X[:200], 1)])
def test_validation_that_is_merely_different(held):
    assert "validation_mismatch" not in codes(validation_data=(held, Y[: len(held)]))


# ---- weights, rates, dropout


@pytest.mark.parametrize("weight", [1 / 600, 1500.0])
def test_sample_weights_whose_mean_is_far_from_one(weight):
    y = X @ [0.1, 0.2, 0.1, 0.1]
    options = {"loss": "mse", "sample_weight": np.full(600, weight)}
    finding = found("loss_scale", y=y, optimizer=pynn.SGD(0.01 / max(weight, 1)), **options)
    assert finding.evidence["mean"] == pytest.approx(weight)
    assert "sample_weight" in finding.message
    harmless = report(y=y, **options).findings  # Adam trains alike; only the loss that is shown differs
    assert [(one.code, one.severity) for one in harmless] == [("loss_scale", "info")]


def test_sample_weights_so_small_that_adam_stops():
    found("loss_scale", y=X.sum(axis=1), loss="mse", sample_weight=np.full(600, 1e-9))


@pytest.mark.parametrize("weights", [np.where(Y, 10.0, 0.1), rng.random(600), np.where(np.arange(600) % 2, 2.0, 0.0)])
def test_usual_sample_weights_say_nothing(weights):
    assert codes(sample_weight=weights, optimizer=pynn.SGD(0.1)) == []


@pytest.mark.parametrize(("y", "loss"), [(Y, "softmax_cross_entropy"), (X @ [1.0, 2, 3, 4], "mse")])
def test_a_learning_rate_too_low(y, loss):
    layers = [pynn.Dense(16, activation="relu"), pynn.Dense(2 if loss != "mse" else 1)]
    finding = found("learning_rate_too_low", y=y, loss=loss, layers=layers, optimizer=pynn.SGD(1e-6), epochs=68)
    better = finding.evidence["suggested_learning_rate"]
    model = pynn.Sequential(layers, seed=0)
    model.compile(loss, pynn.SGD(better))
    model.fit(X, y, epochs=30, verbose=0)
    assert model.evaluate(X, y)["loss"] < 0.5 * finding.evidence["recent"]


@pytest.mark.parametrize("y", [Y, np.random.default_rng(2).permutation(Y)])
def test_a_usual_learning_rate_is_not_called_too_low(y):
    assert "learning_rate_too_low" not in codes(y=y, optimizer=pynn.SGD(0.1), epochs=30)
    schedule = pynn.schedules.CosineDecay(0.1, 500)
    assert "learning_rate_too_low" not in codes(y=y, optimizer=pynn.SGD(schedule), epochs=30)


def test_dropout_taken_for_the_share_to_keep():
    (x, y), _ = pynn.datasets.digits()
    layers = [pynn.Dense(64, activation="relu"), pynn.Dropout(0.9)] * 2 + [pynn.Dense(10)]
    findings = report(x[:2000], y[:2000], layers, optimizer=pynn.Adam(1e-3), epochs=6).findings
    assert [one.code for one in findings] == ["dropout_too_high"]  # and no unit is called dead
    assert findings[0].layer in (1, 3)
    assert "Dropout(0.1)" in findings[0].remedy
    usual = [pynn.Dense(64, activation="relu"), pynn.Dropout(0.5)] * 2 + [pynn.Dense(10)]
    assert report(x[:2000], y[:2000], usual, optimizer=pynn.Adam(1e-3), epochs=6).findings == []


def test_units_that_fire_rarely_are_not_dead():
    """Dead is what gives 0 for all rows, not for the few of one batch."""
    x, labels = np.eye(200), np.random.default_rng(0).integers(0, 2, 200)
    model = pynn.Sequential([pynn.Dense(200, activation="relu", bias_initializer="zeros"), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy", pynn.SGD(1e-3))
    model.build(200)
    model.layers[0].kernel[...] = 2 * np.eye(200) - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        history = model.fit(x, labels, epochs=30, batch_size=8, verbose=0)
    assert "dead_relu" not in [finding.code for finding in history.report.findings]
    assert model.statistics(0)["dead"] > 0.5


def test_what_the_guard_is_not_asked_for_is_not_looked_for():
    assert codes(y=np.ones(600, int), guard="off") == []


# ---- data before layers


def test_the_scale_of_a_column_comes_before_what_it_does_to_the_first_layer():
    layers = [pynn.Dense(16, activation="sigmoid"), pynn.Dense(16, activation="sigmoid"), pynn.Dense(2)]
    found = report(with_column(1e6 * X[:, 2]), layers=layers, optimizer=pynn.SGD(1e-5), epochs=40).findings
    assert (found[0].code, found[0].columns) == ("unscaled_input", [2])
    assert "saturated_activation" in [finding.code for finding in found[1:]]
