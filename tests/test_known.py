"""What training did to the data is in what predicts: fills, names and order of columns, codes, classes."""

import json
import pickle
import warnings

import numpy as np
import pytest

import pynn

RNG = np.random.default_rng(0)


def net(units=2, first=(), loss="softmax_cross_entropy", rate=0.01, **options):
    model = pynn.Sequential([*first, pynn.Dense(16, activation="relu"), pynn.Dense(units)], seed=0)
    model.compile(loss, pynn.Adam(learning_rate=rate), ["accuracy"] if loss != "mse" else [], **options)
    return model


def copies(model, folder):
    """The model after every way out and in again."""
    model.save(folder / "m.safetensors")
    return [pynn.load(folder / "m.safetensors"), pickle.loads(pickle.dumps(model))]


@pytest.fixture
def gaps():
    X = RNG.normal((0, 5, 0), size=(400, 3))
    y = (X[:, 0] + X[:, 2] > 0).astype(int)
    X[::10, 1] = np.nan
    X[1::50, 2] = np.inf
    return X, y


def by_hand(X, kind=np.mean):
    """X with the mean or median of the finite cells of each column."""
    X = X.copy()
    for column in X.T:
        bad = ~np.isfinite(column)
        column[bad] = kind(column[~bad])
    return X


# ---- fills


@pytest.mark.parametrize(("action", "kind"), [("impute", np.mean), ("median", np.median)])
@pytest.mark.parametrize("form", ["arrays", "float32", "pandas", "polars", "loader", "list"])
def test_gaps_are_filled_with_the_values_of_training(form, action, kind, gaps, tmp_path):
    X, y = gaps
    if form in ("pandas", "polars"):
        X = pytest.importorskip(form).DataFrame({name: X[:, i] for i, name in enumerate("abc")})
    X = X.astype(np.float32) if form == "float32" else X.tolist() if form == "list" else X
    model = net()
    if form == "loader":
        model.fit(pynn.DataLoader(X, y, on_bad_rows=action, shuffle=True), epochs=5)
    else:
        model.fit(X, y, on_bad_rows=action, epochs=5)
    whole = by_hand(np.asarray(X, np.float64), kind)
    later, labels = X[:40], y[:40]
    expected = model.predict(whole[:40])
    for one in [model, *copies(model, tmp_path)]:
        assert np.allclose(one.predict(later), expected, rtol=1e-5, atol=1e-6)
        found = one.evaluate(later, labels)
        assert found == pytest.approx(one.evaluate(whole[:40], labels), rel=1e-5)
        assert one.evaluate(pynn.DataLoader(later, labels))["loss"] == pytest.approx(found["loss"])
        refilled = pynn.DataLoader(later, labels, on_bad_rows="impute")  # a mean of its own is not that of training
        assert one.evaluate(refilled)["loss"] == pytest.approx(found["loss"], rel=1e-5)
        batches = [(np.asarray(later)[i : i + 10], labels[i : i + 10]) for i in range(0, 40, 10)]
        assert one.evaluate(iter(batches))["loss"] == pytest.approx(found["loss"])


def test_validation_is_filled_with_the_values_of_training(gaps):
    X, y = gaps
    for validation in ((X[:50], y[:50]), pynn.DataLoader(X[:50], y[:50])):
        model = net()
        history = model.fit(X, y, on_bad_rows="impute", epochs=1, validation_data=validation)
        expected = model.evaluate(by_hand(X)[:50], y[:50])["loss"]
        assert history.history["val_loss"] == [pytest.approx(expected, rel=1e-5)]


def test_a_second_fit_fills_in_with_the_first_values(gaps):
    X, y = gaps
    model = net()
    model.fit(X, y, on_bad_rows="impute")
    fill = model.schema.fill
    model.fit(X[:60], y[:60], on_bad_rows="impute")
    assert model.schema.fill == fill
    with pytest.raises(pynn.NonfiniteDataError, match="on_bad_rows"):
        model.fit(X, y)


def test_a_model_without_fills_does_not_invent_any(gaps):
    X, y = gaps
    model = net()
    model.fit(by_hand(X), y)
    assert model.schema is None
    assert np.isnan(model.predict(X)[::10]).all()


FIRSTS = {
    "plain": lambda: (),
    "normalized": lambda: (pynn.Normalization(),),
    "median": lambda: (pynn.Normalization(missing="median"),),
    "partly normalized": lambda: (pynn.Normalization(columns=[0, 2], clip=3),),
    "residual": lambda: (pynn.Residual([pynn.Normalization(), pynn.Dense(3)]),),
    "noise": lambda: (pynn.GaussianNoise(0.1), pynn.Normalization()),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("first", FIRSTS)
def test_a_file_fills_in_for_c_programs_and_loads_as_it_was(first, dtype, gaps, tmp_path):
    X, y = gaps
    X[:, 1] *= 1 if first == "residual" else 1e5
    model = pynn.Sequential([*FIRSTS[first](), pynn.Dense(8, activation="tanh"), pynn.Dense(2)], seed=1, dtype=dtype)
    model.compile("softmax_cross_entropy", pynn.SGD(1e-3), ["accuracy"])
    model.fit(X, y, on_bad_rows="impute", epochs=2)
    model.save(tmp_path / "m.safetensors")
    loaded = pynn.load(tmp_path / "m.safetensors")
    assert [layer.spec for layer in loaded.layers] == [layer.spec for layer in model.layers]
    assert loaded.parameters.tobytes() == model.parameters.tobytes()
    assert np.asarray(loaded.core.state).tobytes() == np.asarray(model.core.state).tobytes()
    expected = model.predict(X)
    assert np.isfinite(expected).all()
    assert np.array_equal(loaded.predict(X), expected)
    core = pynn._core.load(pynn.runtime.context(), str(tmp_path / "m.safetensors").encode())  # what pynn_load gives
    found = core.predict(X, np.empty_like(expected))
    assert np.allclose(found, expected, rtol=1e-6) if first == "residual" else np.array_equal(found, expected)
    loaded.save(tmp_path / "again.safetensors")
    assert np.array_equal(pynn.load(tmp_path / "again.safetensors").predict(X), expected)


def test_a_file_with_fills_keeps_functions_of_the_users(gaps, tmp_path):
    X, y = gaps

    def squared(z, t):
        return ((z - t) ** 2).sum(1), 2 * (z - t)

    shrink = pynn.activations.Custom(lambda z: z / 2, lambda z: np.full_like(z, 0.5), name="shrink")
    model = pynn.Sequential([pynn.Dense(4, activation=shrink), pynn.Dense(1)], seed=0)
    model.compile(squared, pynn.SGD(1e-4))
    model.fit(X, y.astype(float), on_bad_rows="impute")
    model.save(tmp_path / "m.safetensors")
    loaded = pynn.load(tmp_path / "m.safetensors", custom={"squared": squared, "shrink": shrink})
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert loaded.evaluate(X, y.astype(float)) == model.evaluate(X, y.astype(float))


def test_normalization_replaces_infinite_cells_too():
    X = np.array([[1.0, 2.0], [3.0, np.inf], [np.nan, 4.0], [5.0, -np.inf]])
    model = pynn.Sequential([pynn.Normalization(missing="nonfinite"), pynn.Dense(1)], seed=0)
    model.compile("mse")
    model.fit(X, np.arange(4.0))
    assert np.array_equal(model.predict(X), model.predict(by_hand(X)))
    assert model.layers[0].shift.tolist() == [3, 3]


# ---- names and order of columns


def frames(values):
    pandas = pytest.importorskip("pandas")
    yield pandas.DataFrame(values)
    for name, make in (("polars", "DataFrame"), ("pyarrow", "table")):
        module = pytest.importorskip(name)
        yield getattr(module, make)(values)


def reordered(frame, names):
    return frame.select(names) if hasattr(type(frame), "select") else frame[names]


def test_columns_of_frames_are_taken_by_name(tmp_path):
    values = {name: RNG.normal(size=300) for name in "abc"}
    y = (values["a"] - values["c"] > 0).astype(int)
    for frame in frames(values):
        model = net()
        backwards = reordered(frame, ["c", "b", "a"])
        history = model.fit(frame, y, epochs=3, validation_data=(backwards, y))
        expected, scores = model.predict(frame), model.evaluate(frame, y)
        assert history.history["val_loss"][-1] == pytest.approx(scores["loss"])
        for one in [model, *copies(model, tmp_path)]:
            for other in frames(values):
                other = reordered(other, ["c", "b", "a"])
                assert np.array_equal(one.predict(other), expected)
                assert one.evaluate(other, y) == scores
                with pytest.raises(pynn.ArgumentValueError, match=r"columns 'a', 'b', 'c'.*without 'a'"):
                    one.predict(reordered(other, ["c", "b"]))
        again = net()
        again.fit(frame, y)
        twice = pickle.loads(pickle.dumps(again))
        again.fit(frame, y)
        twice.fit(backwards, y)
        assert again.parameters.tobytes() == twice.parameters.tobytes()
        with pytest.raises(pynn.ArgumentValueError, match=r"validation data: .*without 'a'"):
            net().fit(frame, y, validation_data=(reordered(frame, ["c", "b"]), y))


def test_renamed_columns_are_refused_and_named():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(RNG.normal(size=(50, 3)), columns=list("abc"))
    y = np.arange(50) % 2
    model = net()
    model.fit(frame, y)
    renamed = frame.rename(columns={"a": "q"})
    for call in (model.predict, lambda x: model.evaluate(x, y), lambda x: model.train_step(x, y),
                 lambda x: model.fit(x, y), lambda x: model.evaluate(pynn.DataLoader(x, y))):  # fmt: skip
        with pytest.raises(pynn.ArgumentValueError, match="'a'") as caught:
            call(renamed)
        assert "'q'" in str(caught.value)
    with pytest.raises(pynn.ArgumentValueError, match=r"in this order.*frame\[model.schema.names\]"):
        model.evaluate(pynn.DataLoader(frame[["c", "b", "a"]], y))
    assert np.array_equal(model.predict(frame.to_numpy()), model.predict(frame))  # an array has no names
    assert np.array_equal(model.predict(frame.assign(more=1.0)), model.predict(frame))


def test_frames_without_names_of_their_own_stay_arrays():
    pandas = pytest.importorskip("pandas")
    X, y = RNG.normal(size=(50, 3)), np.arange(50) % 2
    model = net()
    model.fit(pandas.DataFrame(X), y)
    assert model.schema is None
    assert np.array_equal(model.predict(pandas.DataFrame(X, columns=list("abc"))), model.predict(X))


def test_a_table_model_takes_frames_with_y_apart():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": RNG.normal(size=60), "c": ["u", "v", "w"] * 20, "y": ["n", "p"] * 30})
    model = net(first=[pynn.Categorical([1])])
    model.fit(frame, target="y")
    scores = model.evaluate(frame)
    assert model.evaluate(frame[["c", "x"]], frame["y"]) == scores
    assert model.evaluate(frame[["c", "x"]], (frame["y"] == "p").astype(int)) == scores
    with pytest.raises(pynn.LabelError, match=r"one of the 2 classes 'n', 'p'.*received 'other' in row 3"):
        model.evaluate(frame[["c", "x"]], ["n", "p", "n", "other"] * 15)


# ---- categories


@pytest.fixture
def coded():
    pandas = pytest.importorskip("pandas")
    k, x = RNG.integers(1, 6, 400), RNG.normal(size=400)
    frame = pandas.DataFrame({"x": x, "k": k, "y": (np.array([0, -3, 3, -3, 3, 0.5])[k] + x > 0).astype(int)})
    model = net(first=[pynn.Categorical([1])])
    model.fit(frame, target="y", categories=["k"], epochs=3)
    return frame, model


def test_numbers_are_the_same_category_however_they_are_written(coded, tmp_path):
    frame, model = coded
    expected = model.predict(frame)
    frame.assign(k=frame.k.astype(float)).to_csv(tmp_path / "floats.csv", index=False)
    frame.to_csv(tmp_path / "integers.csv", index=False)
    forms = [tmp_path / "floats.csv", tmp_path / "integers.csv", frame.assign(k=frame.k.astype(float)),
             frame.assign(k=frame.k.astype(str)), frame.assign(k=[f"{v}.0" for v in frame.k]),
             frame.assign(k=frame.k.astype("category"))]  # fmt: skip
    for form in forms:
        for one in [model, *copies(model, tmp_path)]:
            assert np.array_equal(one.predict(form), expected)
    other = net(first=[pynn.Categorical([1])])
    other.fit(tmp_path / "floats.csv", target="y", categories=["k"], epochs=3)
    assert np.array_equal(other.predict(frame), other.predict(tmp_path / "floats.csv"))
    assert np.ptp(other.predict(frame)[:, 0]) > 0.5


def test_spellings_that_training_told_apart_stay_apart():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"k": ["1", "01", "2"] * 10, "y": [0, 1, 1] * 10})
    loader = pynn.DataLoader.from_table(frame, "y", categories=["k"])
    assert loader.schema.columns[0].values == ("01", "1", "2")
    later = pynn.DataLoader.from_table(frame.assign(k=["1.0", "1", "2.0"] * 10), schema=loader.schema)
    assert next(iter(later))[0][:3, 0].tolist() == [0, 2, 3]


def test_true_and_false_are_categories_in_any_spelling(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"b": [True, False, True] * 10, "y": [0, 1, 1] * 10})
    schema = pynn.DataLoader.from_table(frame, "y", categories=["b"]).schema
    for texts in (["true", "false", "true"], ["TRUE", "FALSE", "TRUE"]):
        other = pynn.DataLoader.from_table(frame.assign(b=texts * 10), schema=schema)
        assert next(iter(other))[0][:3, 0].tolist() == [2, 1, 2]


def test_a_column_whose_categories_are_spelled_otherwise_is_refused(coded):
    frame, _ = coded
    text = frame.assign(k=np.array(list("-abcde"))[frame.k])
    model = net(first=[pynn.Categorical([1])])
    model.fit(text, target="y")
    for strange in (text.k.str.upper(), text.k + " "):
        for rows in (slice(None), slice(0, 1)):
            with pytest.raises(
                pynn.ArgumentValueError, match=r"categories of training in column 'k'.*in every cell"
            ) as e:
                model.predict(text.assign(k=strange)[rows])
            (finding,) = e.value.report.findings
            assert finding.code == "unknown_category"
            assert finding.evidence["known"] in "abcde"
    with pytest.warns(pynn.TrainingWarning, match="unknown categories all count as one|Unknown categories"):
        model.predict(text.assign(k="?!"))
    with pytest.warns(pynn.TrainingWarning, match="same case"):
        model.predict(text.assign(k=np.where(np.arange(len(text)) % 2, text.k, text.k.str.upper())))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a new category in a few rows is everyday
        model.predict(text.assign(k="new")[:3])
        model.predict(text.assign(k=np.where(np.arange(len(text)) % 2, text.k, "new")))


def test_a_loader_with_codes_of_its_own_is_refused(coded):
    frame, model = coded
    other = pynn.DataLoader.from_table(frame[frame.k > 2], "y", categories=["k"])
    with pytest.raises(
        pynn.ArgumentValueError, match=r"column 'k' with the categories of training.*schema=model.schema"
    ):
        model.evaluate(other)
    model.evaluate(pynn.DataLoader.from_table(frame[frame.k > 2], schema=model.schema))


def test_numbers_as_text_are_taken_as_numbers_and_told(tmp_path):
    pandas = pytest.importorskip("pandas")
    x = RNG.normal(scale=2, size=(60, 2)).round()
    numbers = pandas.DataFrame({"a": x[:, 0], "y": 10 * x[:, 0]})
    texts = numbers.assign(a=[str(v) for v in numbers.a])
    texts.loc[3, "a"] = None
    texts.to_parquet(tmp_path / "t.parquet")
    for table in (texts, tmp_path / "t.parquet", pytest.importorskip("pyarrow").Table.from_pandas(texts)):
        with pytest.warns(pynn.TrainingWarning, match="column 'a'.*numbers as text"):
            loader = pynn.DataLoader.from_table(table, "y")
        assert loader.schema.numbers == [0]
        found = np.concatenate([xb[:, 0] for xb, _ in loader])
        assert np.isnan(found[3])
        assert np.allclose(np.delete(found, 3), np.delete(x[:, 0], 3), atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # asked for
        assert pynn.DataLoader.from_table(texts, "y", categories=["a"]).schema.categories
        assert pynn.DataLoader.from_table(texts.assign(a=texts.a.astype("category")), "y").schema.categories
    with pytest.raises(pynn.DtypeError, match=r"number in each cell of column 'a'.*received 'about 3'"):
        pynn.DataLoader.from_table(texts.assign(a=["about 3", *texts.a[1:]]), "y")
    with pytest.warns(pynn.TrainingWarning, match="column 'y'.*numbers as text"):
        assert pynn.DataLoader.from_table(numbers.assign(y=numbers.y.astype(str)), "y").schema.classes is None


# ---- classes


def test_two_spellings_of_a_class_are_named():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": RNG.normal(size=40), "y": ["good", "bad", "good ", "bad"] * 10})
    for units in (2, 3):
        for call in (lambda m: m.fit(frame, target="y"), lambda m: m.fit(frame[["a"]], frame["y"])):
            with pytest.raises(pynn.LabelError, match=r"'good' and 'good ', which differ only by spaces") as caught:
                call(net(units))
            assert caught.value.report.findings[0].evidence["spellings"] == [["good", "good "]]
    with pytest.warns(pynn.TrainingWarning, match="'Good' and 'good', which differ only by case"):
        net(3).fit(frame.assign(y=["good", "bad", "Good", "bad"] * 10), target="y")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net(3).fit(frame.assign(y=["a", "b", "A", "b"] * 10), target="y")


def test_more_classes_than_units_are_named():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": RNG.normal(size=30), "y": ["u", "v", "w"] * 10})
    for call in (lambda m: m.fit(frame, target="y"), lambda m: m.fit(frame[["a"]], frame["y"])):
        with pytest.raises(pynn.LabelError, match=r"at most 2 classes.*units=2; received 3: 'u', 'v', 'w'.*units=3"):
            call(net(2))


@pytest.mark.parametrize("form", ["list", "array", "objects", "bytes", "column", "series", "polars", "categorical"])
def test_labels_of_text_are_classes(form, tmp_path):
    X = RNG.normal(size=(200, 2))
    labels = (X[:, 0] > 0).astype(int)
    names = np.array(["yes", "no"])[labels]
    pandas = pytest.importorskip("pandas")
    y = {
        "list": lambda: names.tolist(), "array": lambda: names, "objects": lambda: names.astype(object),
        "bytes": lambda: names.astype("S"), "column": lambda: names[:, None], "series": lambda: pandas.Series(names),
        "polars": lambda: pytest.importorskip("polars").Series(names.tolist()),
        "categorical": lambda: pandas.Series(pandas.Categorical(names)),
    }[form]()  # fmt: skip
    model = net()
    history = model.fit(X, y, epochs=3, class_weight={"no": 2.0}, validation_data=(X[:50], y[:50]))
    same = net()
    kept = same.fit(X, 1 - labels, epochs=3, class_weight={0: 2.0}, validation_data=(X[:50], 1 - labels[:50]))
    assert model.schema.classes == ("no", "yes")
    assert model.parameters.tobytes() == same.parameters.tobytes()
    assert history.history["val_loss"] == kept.history["val_loss"]
    for one in [model, *copies(model, tmp_path)]:
        assert one.evaluate(X, y) == same.evaluate(X, 1 - labels)
        assert one.evaluate(X, 1 - labels) == same.evaluate(X, 1 - labels)
        assert one.evaluate(X, y, class_weight={"no": 2.0}) == same.evaluate(X, 1 - labels, class_weight={0: 2.0})
        found = one.classify(X)
        assert (found == names).mean() == one.evaluate(X, y)["accuracy"]
        assert found.dtype.kind == "U"
    model.fit(X[:20], y[:20])
    with pytest.raises(pynn.LabelError, match="'no', 'yes' of training; received 'maybe'"):
        model.fit(X[:3], ["yes", "no", "maybe"])


def test_labels_of_text_for_one_unit_and_none_for_numbers():
    X = RNG.normal(size=(100, 2))
    y = np.where(X[:, 0] > 0, "late", "paid")
    model = net(1, loss="sigmoid_cross_entropy")
    model.fit(X, y, epochs=40)
    assert (model.classify(X) == y).mean() == model.evaluate(X, y)["accuracy"] > 0.9
    with pytest.raises(pynn.DtypeError, match=r"numbers with the loss 'mean_squared_error'.*'late'"):
        net(1, loss="mse").fit(X, y)
    with pytest.raises(pynn.DtypeError, match="classes"):
        net(1, loss="mse").build(2).classify(X)


def test_classes_of_several_outputs_and_of_numbers():
    X = RNG.normal(size=(100, 3))
    several = net(3, loss="sigmoid_cross_entropy")
    several.fit(X, (X > 0).astype(int), epochs=2)
    assert np.array_equal(several.classify(X), (several.predict(X) > 0.5).astype(int))
    plain = net(2)
    plain.fit(X, (X[:, 0] > 0).astype(int))
    assert np.array_equal(plain.classify(X), plain.predict(X).argmax(1))


# ---- targets and weights in a table


@pytest.mark.parametrize("suffix", ["frame", "csv", "parquet"])
def test_several_targets_and_weights_in_a_table(suffix, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(RNG.normal(size=(100, 4)), columns=["a", "b", "y1", "y2"])
    frame["w"] = RNG.random(100)
    table = frame
    if suffix != "frame":
        table = tmp_path / f"t.{suffix}"
        (frame.to_csv if suffix == "csv" else frame.to_parquet)(table, index=False)
    model, same = net(2, loss="mse"), net(2, loss="mse")
    model.fit(table, target=["y1", "y2"], sample_weight="w", epochs=2, shuffle=False, validation_data=table)
    same.fit(frame[["a", "b"]], frame[["y1", "y2"]], sample_weight=frame["w"], epochs=2, shuffle=False)
    assert model.schema.names == ["a", "b"]
    assert model.schema.targets == ("y1", "y2")
    assert model.parameters.tobytes() == same.parameters.tobytes()
    expected = same.evaluate(frame[["a", "b"]], frame[["y1", "y2"]], sample_weight=frame["w"])
    assert model.history.history["val_loss"][-1] == pytest.approx(expected["loss"])
    for one in [model, *copies(model, tmp_path)]:
        assert one.evaluate(table) == pytest.approx(expected)
        assert one.evaluate(frame.drop(columns="w")) == pytest.approx(
            same.evaluate(frame[["a", "b"]], frame[["y1", "y2"]])
        )
        assert np.array_equal(one.predict(frame[["b", "a"]]), same.predict(frame[["a", "b"]]))
    with pytest.raises(pynn.DtypeError, match="numbers in several target columns; received text, such as 'n'"):
        net(2, loss="mse").fit(frame.assign(y2=["n", "p"] * 50), target=["y1", "y2"])
    with pytest.raises(pynn.ArgumentValueError, match=r"one of the columns.*received 'weight'"):
        net(2, loss="mse").fit(frame, target=["y1", "y2"], sample_weight="weight")


def test_schemas_of_0_1_are_read():
    kept = {"columns": [["a", None], ["c", ["u", "v"]]], "target": "y", "classes": ["n", "p"], "fill": None}
    schema = pynn.data.Schema.from_dict(kept)
    assert schema.to_dict() == kept
    arrays = pynn.data.Schema((pynn.data.schema.Column(None),) * 3, fill=(1.0, 2.0, 3.0))
    assert pynn.data.Schema.from_dict(json.loads(json.dumps(arrays.to_dict()))) == arrays


def test_a_sparse_matrix_before_a_normalization_says_how_to_scale_it():
    sparse = pytest.importorskip("scipy.sparse")
    S = sparse.random(200, 20, 0.3, "csr", random_state=0)
    model, y = net(first=[pynn.Normalization()]), RNG.integers(0, 2, 200)
    with pytest.raises(pynn.UnsupportedError, match=r"sparse csr.*spread alone.*X\.multiply"):
        model.fit(S, y)
    scaled = S.multiply(1 / abs(S).max(axis=0).toarray()).tocsr()  # as advised
    assert scaled.max() == 1
    plain = net()
    plain.fit(scaled, y)
    assert plain.evaluate(scaled, y) == pytest.approx(plain.evaluate(scaled.toarray(), y), rel=1e-5)
