"""Bad input: an error that says what was expected, what came and where; and nothing half changed."""

import inspect
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import pynn
from pynn import _core, errors

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = np.arange(20) % 2


def make(outputs=2, loss="softmax_cross_entropy", **options):
    model = pynn.Sequential([pynn.Dense(4, activation="relu"), pynn.Dense(outputs)], **options)
    model.compile(loss=loss, optimizer="sgd")
    return model


def test_every_status_is_an_exception_of_its_own():
    found = _core.statuses()
    assert found[0] == ("success", None)
    classes = [cls for number, (_, cls) in found.items() if number]
    assert len(set(classes)) == len(classes)
    assert all(issubclass(cls, pynn.PynnError) for cls in classes)
    assert len({text for text, _ in found.values()}) == len(found)


def test_bad_arguments_are_also_what_python_calls_them():
    for name in errors.__all__:
        cls = getattr(errors, name)
        assert getattr(pynn, name) is cls
        assert inspect.getdoc(cls)
    for cls in (errors.ShapeError, errors.LabelError, errors.UnknownNameError, errors.NonfiniteDataError):
        assert issubclass(cls, ValueError)
    assert issubclass(errors.DtypeError, TypeError)
    assert issubclass(errors.FileError, OSError)


BAD_X = {
    "empty": (np.empty((0, 3)), pynn.ShapeError, "at least one row"),
    "no columns": (np.empty((20, 0)), pynn.ShapeError, "column"),
    "three dimensions": (np.zeros((20, 3, 2)), pynn.ShapeError, "reshape"),
    "a number": (3.0, pynn.ShapeError, "single value"),
    "text": ([["a", "b"]] * 20, pynn.DtypeError, "numbers"),
    "objects": (np.array([[None, 1, 2]] * 20), pynn.DtypeError, "object"),
    "ragged": ([[1, 2], [1, 2, 3]], pynn.ShapeError, "one length"),
    "complex": (np.zeros((20, 3), complex), pynn.DtypeError, "complex"),
    "dates": (np.zeros((20, 3), "M8[s]"), pynn.DtypeError, "datetime"),
    "None": (None, pynn.PynnError, "X"),
    "a text column": (pd.DataFrame({"a": [1] * 20, "name": ["x"] * 20}), pynn.DtypeError, "name"),
    "masked": (np.ma.masked_less(X, 0), pynn.DtypeError, "masked"),
}


@pytest.mark.parametrize("case", BAD_X)
def test_bad_inputs(case):
    x, error, text = BAD_X[case]
    model = make()
    with pytest.raises(error, match=text):
        model.fit(x, Y)
    assert not model.built
    model.build(3)
    before = model.parameters.copy()
    for call in (lambda: model.fit(x, Y), lambda: model.evaluate(x, Y), lambda: model.train_step(x, Y)):
        with pytest.raises(error, match=text):
            call()
    assert np.array_equal(before, model.parameters)


def test_wrong_number_of_columns():
    model = make().build(3)
    for call in (model.predict, lambda x: model.fit(x, Y), lambda x: model.evaluate(x, Y)):
        with pytest.raises(pynn.ShapeError, match=r"3 columns.*\(20, 5\)"):
            call(np.zeros((20, 5)))
    with pytest.raises(pynn.ShapeError, match=r"X\[None, :\]"):
        model.predict(np.zeros(3))


BAD_Y = {
    "too few": (Y[:-1], pynn.ShapeError, "20 rows.*19 rows"),
    "a class too many": (np.where(np.arange(20) == 7, 2, Y), pynn.LabelError, r"0 \.\.\. 1.*y\[7\]=2"),
    "negative": (np.where(np.arange(20) == 5, -1, Y), pynn.LabelError, r"y\[5\]=-1"),
    "fraction": (Y + 0.25, pynn.LabelError, r"y\[0\]=0.25"),
    "three columns": (np.zeros((20, 3)), pynn.ShapeError, r"1 column of class labels or 2 columns.*\(20, 3\)"),
    "improbable": (np.full((20, 2), 1.5), pynn.LabelError, r"\[0, 1\].*1\.5"),
    "None": (None, pynn.ArgumentTypeError, "y"),
}


@pytest.mark.parametrize("case", BAD_Y)
def test_bad_targets(case):
    y, error, text = BAD_Y[case]
    model = make()
    with pytest.raises(error, match=text) as caught:
        model.fit(X, y)
    assert not model.built
    if error is pynn.LabelError:
        assert caught.value.row is not None
    model.build(3)
    for call in (model.evaluate, model.train_step):
        with pytest.raises(error, match=text):
            call(X, y)


def test_labels_where_numbers_are_wanted():
    with pytest.raises(pynn.ShapeError, match=r"numpy\.eye"):
        make(3, "mse").fit(X, Y)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_cell_that_is_not_finite_is_named(value):
    for name in ("X", "y"):
        x, y = X.copy(), np.zeros((20, 2))
        (x if name == "X" else y)[13, 1] = value
        model = make(loss="mse")
        with pytest.raises(pynn.NonfiniteDataError):
            model.fit(x, y)
        assert not model.built
        model.build(3)
        before = model.parameters.copy()
        with pytest.raises(pynn.NumericalError, match=rf"{name}\[13, 1\]") as caught:
            model.fit(x, y, epochs=2)
        assert isinstance(caught.value, ValueError)
        (finding,) = caught.value.report.findings
        assert (finding.rows, finding.columns) == ([13], [1])
        assert finding.code == {"X": "nonfinite_input", "y": "nonfinite_target"}[name]
        assert np.array_equal(before, model.parameters)


def test_a_missing_value_of_a_frame_is_named():
    for dtype in ("boolean", "Int64", "Float32"):
        frame = pd.DataFrame({"a": 1.5, "b": pd.array([1, 0, None, 1] * 5, dtype)})
        with pytest.raises(pynn.NonfiniteDataError, match=r"X\[2, 'b'\]") as caught:
            make().fit(frame, Y)
        assert caught.value.report.findings[0].rows == [2, 6, 10, 14, 18]


def test_a_memory_mapped_cell_is_named_too(tmp_path):
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (20, 3))
    x[:] = X
    x[17, 2] = np.nan
    with pytest.raises(pynn.NumericalError, match=r"X\[17, 2\]=nan"):
        make().fit(x, Y, batch_size=4)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": -1}, "epochs=-1"),
        ({"epochs": 1.5}, "epochs=1.5"),
        ({"epochs": True}, "epochs=True"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": -8}, "batch_size=-8"),
        ({"batch_size": 2.0}, "batch_size=2.0"),
        ({"shuffle": "yes"}, "shuffle='yes'"),
        ({"verbose": 3}, "verbose=3"),
        ({"verbose": "loud"}, "verbose='loud'"),
        ({"validation_split": 1.0}, "validation_split=1.0"),
        ({"validation_split": -0.1}, "validation_split=-0.1"),
        ({"validation_split": 0.01}, "validation_split=0.01"),
        ({"validation_data": X}, "validation_data"),
        ({"validation_data": (X, Y), "validation_split": 0.5}, "both"),
        ({"validation_data": (X[:, :2], Y)}, "3 columns"),
        ({"callbacks": [print]}, r"callbacks\[0\]"),
        ({"sample_weight": np.ones(19)}, "sample_weight"),
        ({"sample_weight": -np.ones(20)}, r"sample_weight\[0\]=-1"),
        ({"sample_weight": np.full(20, np.nan)}, "sample_weight"),
        ({"sample_weight": np.ones((20, 2))}, "sample_weight"),
    ],
)
def test_bad_arguments_of_fit(options, text):
    model = make()
    with pytest.raises((ValueError, TypeError), match=text) as caught:
        model.fit(X, Y, **options)
    assert isinstance(caught.value, pynn.PynnError)
    assert model.history is None


def test_what_must_come_first():
    model = pynn.Sequential([pynn.Dense(2)])
    for call in (lambda: model.predict(X), lambda: model.parameters, lambda: model.layers[0].kernel,
                 lambda: model.save("never.safetensors"), lambda: model.evaluate(X, Y)):  # fmt: skip
        with pytest.raises(pynn.NotReadyError, match="build"):
            call()
    for call in (lambda: model.fit(X, Y), lambda: model.train_step(X, Y), lambda: model.learning_rate):
        with pytest.raises(pynn.NotReadyError, match="compile"):
            call()
    model.build(3)
    with pytest.raises(pynn.NotReadyError, match="compile"):
        model.evaluate(X, Y)


@pytest.mark.parametrize("bad", [[], [pynn.Dropout(0.5)], ["relu"], [pynn.Dense], 3])
def test_bad_layers(bad):
    with pytest.raises((ValueError, TypeError)):
        pynn.Sequential(bad)


@pytest.mark.parametrize("bad", [-1, 2**64, 1.0, "0", True])
def test_bad_seeds(bad):
    with pytest.raises((ValueError, TypeError), match="seed"):
        make(seed=bad)


@pytest.mark.parametrize("bad", ["float16", "int32", "nonsense", None, 3])
def test_bad_dtypes(bad):
    with pytest.raises(pynn.DtypeError, match="dtype"):
        make(dtype=bad)


@pytest.mark.parametrize("bad", [0, -3, 2.0, "3", True])
def test_bad_builds(bad):
    with pytest.raises((ValueError, TypeError), match="inputs"):
        make().build(bad)


def test_a_failed_compile_changes_nothing(points):
    x, y = points
    model = make()
    model.fit(x, y)
    before = model.to_dict(), model.predict(x)
    for arguments in ({"loss": "no"}, {"loss": "mse", "optimizer": "no"}, {"loss": "mse", "metrics": ["no"]}):
        with pytest.raises(pynn.UnknownNameError):
            model.compile(**arguments)
    assert model.to_dict() == before[0]
    assert np.array_equal(model.predict(x), before[1])


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        pynn.load(tmp_path / "nothing")
    for content in (b"", b"\0" * 100, b"hello" * 100, bytes(range(256))):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(pynn.FileFormatError):
            pynn.load(tmp_path / "bad")
    with pytest.raises(OSError, match=r"."):
        pynn.load(tmp_path)
    model = make().build(3)
    with pytest.raises(OSError, match=r"."):
        model.save(tmp_path / "no" / "such" / "folder")
    for bad in (3.5, None, "a\0b"):
        with pytest.raises((ValueError, TypeError)):
            model.save(bad)


def test_a_disk_that_is_full_leaves_the_old_model(tmp_path, python):
    path = tmp_path / "m.safetensors"
    make().build(3).save(path)
    before = path.read_bytes()
    code = f"""
import pynn, resource
model = pynn.load({str(path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))  # a write of more is cut short, the next fails
try:
    model.save({str(path)!r})
except pynn.FileError as error:
    print(error)
"""
    assert re.search(r"expected to write .*m\.safetensors.*File too large", python(code))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_writing_to_a_layer_checks_the_shape():
    model = make().build(3)
    with pytest.raises(pynn.ShapeError, match=r"\(3, 4\).*\(4, 3\)"):
        model.layers[0].kernel = np.zeros((4, 3))
    with pytest.raises(AttributeError, match="kernel"):
        pynn.Sequential([pynn.Dropout(0.1), pynn.Dense(1)]).build(1).layers[0].kernel


@pytest.mark.parametrize(("call", "right", "wrong"), [
    (lambda: pynn.Adam(lr=0.1), "learning_rate, beta_1", "lr"),
    (lambda: pynn.SGD(0.1, momentun=0.9), "momentum", "momentun"),
    (lambda: pynn.schedules.CosineDecay(steps=3), "decay_steps", "steps"),
    (lambda: pynn.schedules.Warmup(0.1, 10, factor=2), "start_factor", "factor"),
    (lambda: pynn.Dense(3, activaton="relu"), "units, activation", "activaton"),
    (lambda: pynn.losses.Huber(d=1), "delta", "d"),
    (lambda: pynn.LBFGS(maxiter=3), "max_iter", "maxiter"),
    (lambda: pynn.Guard(polcy="skip"), "policy", "polcy"),
    (lambda: pynn.Sequential([pynn.Dense(1)], sed=1), "seed", "sed"),
    (lambda: pynn.Sequential([pynn.Dense(1)]).compile("mse", metric=["mae"]), "metrics", "metric"),
    (lambda: pynn.Sequential([pynn.Dense(1)]).fit(np.zeros((3, 1)), np.zeros(3), epoch=3), "epochs", "epoch"),
])  # fmt: skip
def test_a_misspelt_argument_lists_the_right_ones(call, right, wrong):
    with pytest.raises(
        pynn.ArgumentTypeError,
        match=rf"expected arguments among .*{right}.*; received {wrong}(: did you mean '.*'\?)?$",
    ):
        call()
    with pytest.raises(AttributeError, match=r"pynn.activations.ReLU"):
        pynn.ReLU()


@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_labels_as_text_from_a_series_say_what_to_do(dtype):
    pd = pytest.importorskip("pandas")
    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    with pytest.raises(pynn.DtypeError, match=r"y.dtype=\S+; labels as text: .*np.unique"):
        model.train_step(np.zeros((2, 1)), pd.Series(["no", "yes"], dtype=dtype))
    with pytest.raises(pynn.DtypeError, match=r"in columns b; text becomes codes with fit\(frame, target=...\)"):
        model.fit(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), [0, 1])


def test_batches_of_one_row_under_batch_normalization_are_found():
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    for size, first in ((1, "batch_too_small"), (10, None)):
        model = pynn.Sequential([pynn.Dense(4), pynn.BatchNormalization(), pynn.Dense(2)])
        model.compile("softmax_cross_entropy")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pynn.TrainingWarning)
            found = model.fit(x, y, batch_size=size).report.findings
        assert [(f.code, f.layer) for f in found[:1]] == ([(first, 1)] if first else [])


def test_a_softmax_over_one_unit_is_found():
    model = pynn.Sequential([pynn.Dense(1)])
    model.compile("softmax_cross_entropy")
    with pytest.warns(pynn.TrainingWarning, match="sigmoid_cross_entropy"):
        history = model.fit(np.zeros((4, 2)), np.zeros(4, int))
    assert "single_unit_softmax" in [finding.code for finding in history.report.findings]


@pytest.mark.parametrize(("x", "code"), [
    (np.ones((64, 3)), "constant_feature"),
    (1e-15 * np.random.default_rng(0).normal(size=(64, 3)), "unscaled_input"),
])  # fmt: skip
def test_rows_that_nothing_tells_apart_are_what_a_run_without_progress_is_blamed_on(x, code):
    model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    with pytest.warns(pynn.TrainingWarning):
        found = model.fit(x, np.arange(64) % 2, epochs=30).report.findings
    assert [finding.code for finding in found] == [code]


def test_targets_that_are_no_probabilities_are_found_under_a_softmax():
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.eye(2)[np.arange(20) % 2]
    y[7] = 1
    for targets, codes in ((y, ["loss_mismatch"]), (np.eye(2)[np.arange(20) % 2], [])):
        model = pynn.Sequential([pynn.Dense(2)])
        model.compile("softmax_cross_entropy")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pynn.TrainingWarning)
            found = model.fit(x, targets).report.findings
        assert [finding.code for finding in found] == codes
        assert not found or found[0].rows == [7]


def test_a_layer_prints_as_what_makes_it():
    block = pynn.Residual([pynn.Dense(4, activation="relu", kernel_initializer="zeros"), pynn.Dense(3)])
    text = "Residual(layers=(Dense(units=4, activation=ReLU(), kernel_initializer=Zeros()), Dense(units=3)))"
    assert repr(block) == text
    assert repr(pynn.Dropout(0.2)) == "Dropout(rate=0.2)"


@pytest.mark.parametrize(("cells", "cure"), [
    ([(4, 1, np.nan)], "Normalization(missing='mean')"),
    ([(4, 1, np.inf)], "on_bad_rows='impute'"),
    ([(row, 2, np.nan) for row in range(30)], "Column 2 contains no numbers"),
])  # fmt: skip
def test_what_is_advised_cures(cells, cure):
    x, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 2
    for row, column, value in cells:
        x[row, column] = value

    def fit(x, *first, **options):
        model = pynn.Sequential([*first, pynn.Dense(2)])
        model.compile("softmax_cross_entropy")
        return model.fit(x, y, **options)

    with pytest.raises(pynn.NonfiniteDataError) as caught:
        fit(x)
    assert cure in str(caught.value)
    if len(cells) > 1:
        assert "pynn.Normalization()" in str(caught.value)
        fit(np.delete(x, 2, axis=1))
        fit(np.where(np.isnan(x), 7.0, x), pynn.Normalization())  # a column that never changes
        return
    for bad in ("skip", "impute"):
        assert f"'{bad}'" in str(caught.value)
        fit(x, on_bad_rows=bad)
    if "missing" in str(caught.value):
        fit(x, pynn.Normalization(missing="mean"))


def test_a_regression_that_ends_worse_than_the_mean_of_y_is_told_to_scale_it():
    g = np.random.default_rng(0)
    x = g.normal(size=(400, 4))
    y = 150 + 70 * x[:, 0]
    for scaling, codes in ((None, ["unscaled_target"]), ("standard", [])):
        model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(1)])
        model.compile("mse", target_scaling=scaling)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pynn.TrainingWarning)
            found = model.fit(x, y, epochs=20).report.findings
        assert [finding.code for finding in found] == codes


def test_an_activation_before_a_loss_of_logits_is_found():
    model = pynn.Sequential([pynn.Dense(2, activation="sigmoid")])
    model.compile("softmax_cross_entropy")
    with pytest.warns(pynn.TrainingWarning, match="Leave the last layer's activation out"):
        found = model.fit(np.eye(4), [0, 1, 0, 1]).report.findings
    assert [(finding.code, finding.layer) for finding in found] == [("loss_mismatch", 0)]


def test_advice_is_of_what_the_caller_can_do():
    x, y = np.ones((4, 3)), [0, 1, 0, 1]
    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    model.build(3)
    x[2, 1] = np.nan
    with pytest.raises(pynn.NumericalError, match="Leave these rows out, or make") as caught:
        model.evaluate(x, y)
    assert "on_bad_rows" not in str(caught.value.report)
    with pytest.warns(pynn.TrainingWarning):
        step = model.train_step(x, y)
    assert "on_bad_rows" not in step.findings[0].remedy
    with pytest.raises(pynn.NumericalError, match="Leave these rows out: on_bad_rows='skip'"):
        model.fit(sparse.csr_matrix(x), y)
    assert "nothing was checked" in str(model.fit(x, y, guard="off").report)


def test_the_rate_that_a_report_tells_is_the_one_in_use():
    (x, y), _ = pynn.datasets.digits()
    model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile("softmax_cross_entropy", pynn.SGD(learning_rate=1e6))
    with pytest.warns(pynn.TrainingWarning, match="the learning rate is now") as told:
        model.fit(x[:1000], y[:1000], epochs=5, guard="rollback")
    assert f"the learning rate is now {model.learning_rate:.3g}" in str(told[0].message)


def test_accuracy_of_numbers_is_found_to_mislead():
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40)
    for metric, targets, codes in (("accuracy", 5 * y, ["misleading_metric"]), ("accuracy", y % 2, []), ("r2", y, [])):
        model = pynn.Sequential([pynn.Dense(1)])
        model.compile("mse", metrics=[metric])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pynn.TrainingWarning)
            found = model.fit(x, targets).report.findings
        assert [finding.code for finding in found] == codes
