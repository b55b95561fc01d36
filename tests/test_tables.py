"""From a file to a score: what columns become, what is refused and where, real tables end to end."""

import gzip
import json
import pickle

import numpy as np
import pytest

import pynn
from pynn import DataLoader
from pynn.data import Schema

pandas = pytest.importorskip("pandas")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def rows_of(loader):
    """X, y and row numbers of an epoch."""
    batches = list(loader)
    return tuple(np.concatenate(parts) for parts in zip(*((x, y, x.rows) for x, y in batches), strict=True))


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.fixture
def mixed():
    """Numbers, texts, numbers that are categories, booleans; holes in all of them; a name that needs quoting."""
    rng = np.random.default_rng(0)
    n = 500
    frame = pandas.DataFrame(
        {
            "größe": rng.normal(40, 10, n).round(2),
            'a "b", c': rng.choice(["low, or\nlower", "high", "ünder"], n),
            "class": rng.integers(1, 4, n),
            "paid": rng.random(n) < 0.5,
            "label": rng.choice(["yes", "no"], n),
        }
    )
    frame.loc[rng.random(n) < 0.1, "größe"] = np.nan
    frame.loc[rng.random(n) < 0.1, 'a "b", c'] = None
    return frame


def forms(frame, tmp_path):
    """The same table in every form that is read."""
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.assign(paid=frame["paid"].astype(int)).to_csv(tmp_path / "t.csv.gz", index=False)
    frame.to_csv(tmp_path / "t.txt", index=False, sep=";")
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=70)
    yield from (tmp_path / name for name in ("t.csv", "t.csv.gz", "t.txt", "t.parquet"))
    yield from (frame, pyarrow.Table.from_pandas(frame))
    polars = pytest.importorskip("polars")
    yield polars.from_pandas(frame)


def test_every_form_of_a_table_gives_the_same_rows_and_schema(mixed, tmp_path):
    found = [DataLoader.from_table(form, "label", categories=["class"]) for form in forms(mixed, tmp_path)]
    schema = found[0].schema
    assert [c.values for c in schema.columns] == [None, ("high", "low, or\nlower", "ünder"), ("1", "2", "3"), None]
    assert schema.classes == ("no", "yes")
    assert schema.categories == {1: 4, 2: 4}
    x, y, numbers = rows_of(found[0])
    assert numbers.tolist() == list(range(500))
    np.testing.assert_array_equal(x[:, 0], mixed["größe"].to_numpy(np.float32))
    text = mixed['a "b", c']
    assert x[:, 1].tolist() == [0 if pandas.isna(v) else schema.columns[1].values.index(v) + 1 for v in text]
    np.testing.assert_array_equal(x[:, 2], mixed["class"])
    np.testing.assert_array_equal(x[:, 3], mixed["paid"])
    np.testing.assert_array_equal(y, (mixed["label"] == "yes").astype(int))
    for loader in found[1:]:
        assert loader.schema == schema
        for mine, theirs in zip(rows_of(loader), (x, y, numbers), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_schema_survives_json_and_codes_what_it_never_saw_as_0(mixed, tmp_path):
    schema = DataLoader.from_table(mixed, "label", categories=["class"]).schema
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    new = mixed.head(3).assign(**{"class": [9, 2, 1], 'a "b", c': ["???", "high", None], "more": 1.0})
    new[list(new.columns[::-1])].to_csv(tmp_path / "new.csv", index=False)
    x = rows_of(DataLoader.from_table(tmp_path / "new.csv", schema=schema))[0]
    np.testing.assert_array_equal(x[:, 1:3], [[0, 0], [1, 2], [0, 1]])
    with pytest.raises(ValueError, match=r"expected the columns 'größe', as in the data trained on.*without"):
        DataLoader.from_table(mixed.drop(columns="größe"), schema=schema)
    with pytest.raises(pynn.LabelError, match=r"one of the 2 classes 'no', 'yes' in column 'label'.*'maybe' in row 1"):
        DataLoader.from_table(new.assign(label=["no", "maybe", "yes"]), schema=schema)


def test_the_state_keeps_the_vocabulary(mixed, tmp_path):
    mixed.to_parquet(tmp_path / "t.parquet")
    loader = DataLoader.from_table(tmp_path / "t.parquet", "label")
    next(iter(loader))
    state = json.loads(json.dumps(loader.state_dict()))
    other = DataLoader.from_table(tmp_path / "t.parquet", "label")
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert other.schema == loader.schema


def test_columns_can_be_left_out_and_the_target_be_numbers(mixed, tmp_path):
    path = next(forms(mixed, tmp_path))
    loader = DataLoader.from_table(path, "class", exclude=['a "b", c', "label"])
    assert loader.schema.names == ["größe", "paid"]
    assert loader.schema.classes is None
    np.testing.assert_array_equal(rows_of(loader)[1], mixed["class"])
    coded = DataLoader.from_table(path, "class", exclude=['a "b", c', "label"], task="classification")
    assert coded.schema.classes == (1, 2, 3)
    np.testing.assert_array_equal(rows_of(coded)[1], mixed["class"] - 1)
    for arguments in ({"exclude": ["nothing"]}, {"categories": ["nothing"]}, {"target": "nothing"}):
        with pytest.raises(ValueError, match=r"expected one of the columns 'größe'.*received 'nothing'"):
            DataLoader.from_table(path, **arguments)


# ---- files that break


def numbers_csv(rows, wrong=None):
    lines = [f"{i},{i / 4},{i % 2}" for i in range(rows)]
    if wrong is not None:
        lines[wrong[0]] = wrong[1]
    return "a,b,y\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"empty"),
        ("\n\n", r"expected a header"),
        ("a,b,y\n", r"at least one row below the header.*received none"),
        ("a,b,y", r"at least one row below the header.*received none"),
        ("a,a,y\n1,2,3\n", r"columns of different names.*'a' more than once"),
        ("y\n1\n", r"at least one column beside the target"),
        (numbers_csv(2000, (1500, "1,2")), r"3 cells in each row.*2 in row 1500 \(line 1502\): '1,2'"),
        (numbers_csv(2000, (1500, "1,2,3,4")), r"3 cells in each row.*4 in row 1500"),
        (numbers_csv(2000, (1500, "1,oops,0")), r"number in column 'b'.*'oops' in row 1500 \(line 1502\)"),
        ("a,when,y\n1,2024-01-31,0\n2,2024-02-01,1\n", r"dates in column 'when'.*'2024-01-31'.*exclude=\['when'\]"),
        ("a,when,y\n1,31.1.2024,0\n2,1/2/2024 10:00,1\n", r"dates in column 'when'"),
        (
            "a,id,y\n" + "".join(f"1,name{i},0\n" for i in range(50)),
            r"'id'.*with 50 texts in 50 rows.*exclude=\['id'\]",
        ),
        ("a,at,y\n1,12:30,0\n2,7:15,1\n", r"dates in column 'at'"),
        ("a;b;y\n1;2,5;0\n2;3,5;1\n", r"numbers as 1234\.5, or categories; received '2,5' in column 'b'.*categories="),
        ('a,b,y\n1,"1,000",0\n2,999,1\n', r"received '1,000' in column 'b'"),
        ("a,b,y\n1,5%,0\n2,$7,1\n", r"received '5%' in column 'b'"),
        ("a,b,y\r1,2,0\r3,4,1\r", r"lines that end in \\n or \\r\\n; received \\r alone"),
        ("\n".join(["a,b,y", *["1,2,0"] * 20, "", "1,x,0"]), r"received 'x' in row 20\. "),  # which is line 23
        ("a,b,y\n" + "x" * 10 + '"' + "1,2,3\n" * 20, r"expected|received"),
        ('a,b,y\n1,2,"unclosed\n', r"expected|received"),
    ],
)
def test_a_csv_file_that_breaks_is_refused_with_file_and_row(text, message, tmp_path):
    path = write(tmp_path / "broken.csv", text)
    with pytest.raises(pynn.PynnError, match=message) as caught:
        list(DataLoader.from_table(path, "y"))
    assert "broken.csv" in str(caught.value)


def test_a_wrong_cell_in_the_millionth_row_is_named(tmp_path):
    path = write(tmp_path / "long.csv", numbers_csv(1_000_010, (1_000_000, "1,two,0")))
    with pytest.raises(pynn.FileFormatError, match=r"column 'b' of .*long\.csv.*'two' in row 1000000") as caught:
        DataLoader.from_table(path, "y")
    assert caught.value.row == 1_000_000


def test_a_file_that_changes_while_it_is_read_says_so(tmp_path):
    path = write(tmp_path / "t.csv", numbers_csv(300_000))
    loader = DataLoader.from_table(path, "y")
    write(path, numbers_csv(300_000, (200_000, "1,two,0")))
    with pytest.raises(pynn.FileFormatError, match=r"one that changed since of .*t\.csv"):
        list(loader)


def test_gzip_files_cut_short_are_refused(tmp_path):
    whole = gzip.compress(numbers_csv(50_000).encode())
    for part in (len(whole) // 2, len(whole) - 4):
        (tmp_path / "t.csv.gz").write_bytes(whole[:part])
        with pytest.raises(pynn.FileFormatError, match=r"intact gzip file.*t\.csv\.gz.*cut short after \d+ bytes"):
            DataLoader.from_table(tmp_path / "t.csv.gz", "y")


def test_parquet_files_that_break(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"a": [1.0, 2.0], "when": pyarrow.array([1, 2], pyarrow.date32())}), path)
    with pytest.raises(pynn.DtypeError, match=r"dates in column 'when' of .*t\.parquet"):
        DataLoader.from_table(path, "a")
    parquet.write_table(pyarrow.table({"a": [1.0, 2.0], "l": [[1], [2]]}), path)
    with pytest.raises(pynn.DtypeError, match=r"column 'l' of .*t\.parquet.* of list"):
        DataLoader.from_table(path, "a")
    parquet.write_table(pyarrow.table({"a": pyarrow.array([], pyarrow.float64()), "b": [][:0]}), path)
    with pytest.raises(pynn.ShapeError, match=r"at least one row of .*t\.parquet"):
        DataLoader.from_table(path, "a")
    parquet.write_table(pyarrow.table({"a": np.arange(1e5), "b": np.random.default_rng(0).random(10**5)}), path)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-100])
    with pytest.raises(pynn.FileFormatError, match=r"Parquet file.*t\.parquet"):
        list(DataLoader.from_table(path, "a"))
    content[300_000:300_400] = bytes(400)
    path.write_bytes(content)
    try:
        list(DataLoader.from_table(path, "a"))
    except pynn.FileFormatError as error:
        assert "t.parquet" in str(error)  # noqa: PT017


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "npy"])
def test_a_file_that_vanishes_or_is_replaced_says_so(kind, tmp_path):
    path = tmp_path / f"t.{kind}"
    frame = pandas.DataFrame({"a": np.arange(50.0), "y": 0})

    def save(frame):
        if kind == "parquet":
            frame.to_parquet(path)
        elif kind == "npy":
            np.save(path, frame.to_numpy())
        else:
            frame.to_csv(path, index=False)

    save(frame)
    loader = DataLoader(path, batch_size=10) if kind == "npy" else DataLoader.from_table(path, "y", batch_size=10)
    path.unlink()
    if kind == "npy":  # it was open all along
        assert len(list(loader)) == 5
        return
    with pytest.raises(FileNotFoundError):
        list(loader)
    if kind != "csv.gz":
        save(frame.rename(columns={"a": "b"}).head(20))
        with pytest.raises(pynn.FileFormatError, match=r"one that changed since of .*t\."):
            list(loader)


@pytest.mark.parametrize("begin", [b"PK\x03\x04", b"BZh9", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"\x93NUMPY", b"\x89HDF"])
def test_other_kinds_of_files_are_named(begin, tmp_path):
    (tmp_path / "t.csv").write_bytes(begin + bytes(range(100)))
    with pytest.raises(pynn.FileFormatError, match=r"received '.*t\.csv', which is (a|an|packed) "):
        DataLoader.from_table(tmp_path / "t.csv", "y")
    for read in (DataLoader, lambda path: DataLoader.from_table(path, "y")):
        with pytest.raises(pynn.FileError, match="Is a directory"):
            read(tmp_path)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "npy", "idx", "idx.gz"])
def test_files_with_bytes_that_changed_are_read_or_refused(kind, tmp_path):
    """Whatever a file holds, the error is pynn's and says what was expected."""
    rng, path = np.random.default_rng(0), tmp_path / f"t.{kind}"
    rows = "".join(f'{i},{i / 7:.2f},"x{i % 3}",{"pq"[i % 2]}\n' for i in range(40))
    if kind == "parquet":
        pandas.DataFrame({"a": np.arange(40.0), "b": ["u", "v"] * 20, "y": [0, 1] * 20}).to_parquet(path)
    elif kind == "npy":
        np.save(path, np.arange(120.0).reshape(40, 3))
    else:
        whole = bytes([0, 0, 8, 1, 0, 0, 0, 40, *range(40)]) if "idx" in kind else f"a,b,c,y\n{rows}".encode()
        path.write_bytes(gzip.compress(whole) if kind.endswith("gz") else whole)
    whole = path.read_bytes()
    for _ in range(120):
        changed = bytearray(whole)
        for at in rng.integers(0, len(whole), 3).tolist():
            new = rng.choice(list(b'",\n\r\0;\xff0-.e'), rng.integers(0, 3)).astype(np.uint8)
            changed[at : at + int(rng.integers(0, 3))] = new.tobytes()
        path.write_bytes(changed)
        try:
            list(DataLoader(path) if kind in ("npy", "idx", "idx.gz") else DataLoader.from_table(path, "y"))
        except pynn.PynnError as error:
            assert "expected" in str(error)  # noqa: PT017


def test_text_in_another_encoding_is_refused(tmp_path):
    for encoding, text in (("latin1", "größe,y\n1,0\n"), ("latin1", "g,y\nü,0\n"), ("utf-16", "a,y\n1,0\n")):
        with pytest.raises(
            pynn.FileFormatError, match=r"CSV file in UTF-8 of .*t\.csv; received another encoding.*save it"
        ):
            DataLoader.from_table(write(tmp_path / "t.csv", text, encoding), "y")


def test_columns_of_frames_are_what_they_hold():
    """Objects that are numbers are numbers, as in a file; what holds others is refused."""
    from decimal import Decimal

    n = [0, 1] * 15
    frame = pandas.DataFrame({"y": n})
    made = {
        "objects": pandas.Series([1, 2.5, None] * 10, dtype=object), "decimals": [Decimal("1.5"), Decimal(2)] * 15,
        "sparse": pandas.arrays.SparseArray([0.0, 1] * 15), "bools": pandas.Series([True, None] * 15, dtype=object),
    }  # fmt: skip
    for name, column in made.items():
        loader = DataLoader.from_table(frame.assign(c=column), "y")
        assert loader.schema.numbers == [0], name
        expected = [np.nan if v is None else float(v) for v in column]
        np.testing.assert_array_equal(rows_of(loader)[0][:, 0], expected)
    codes = frame.assign(c=pandas.Categorical([7, 3] * 15))
    for form in (codes, pyarrow.Table.from_pandas(codes)):
        loader = DataLoader.from_table(form, "y")
        assert loader.schema.columns[0].values == ("3", "7")
        assert rows_of(loader)[0][:2, 0].tolist() == [2, 1]
    for row in ([1], {"a": 1}, (1,), {1}):
        with pytest.raises(pynn.DtypeError, match=r"booleans or texts in column 'c'.*received a .* in row 0.*exclude="):
            DataLoader.from_table(frame.assign(c=[row] * 30), "y")
    empty = pyarrow.table({"c": pyarrow.nulls(2), "y": [0, 1]})
    assert np.isnan(rows_of(DataLoader.from_table(empty, "y"))[0]).all()
    batch = pyarrow.RecordBatch.from_pydict({"c": [1.0, 2.0], "y": [0, 1]})
    assert rows_of(DataLoader.from_table(batch, "y"))[0].tolist() == [[1], [2]]
    with pytest.raises(TypeError, match=r"column's name as text; received 3, whose name is '3'"):
        DataLoader.from_table(pandas.DataFrame(np.zeros((2, 4))), 3)
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"a data frame; received a LazyFrame: collect\(\)"):
        DataLoader.from_table(polars.from_pandas(frame).lazy(), "y")


def test_texts_are_no_target_of_a_regression():
    frame = pandas.DataFrame({"x": np.arange(30.0), "y": ["a", "b", "c"] * 10})
    with pytest.raises(
        pynn.DtypeError, match=r"a target of numbers with the loss 'mean_squared_error'; received texts"
    ):
        small_model(1, "mse").fit(frame, target="y")


def test_the_index_of_a_frame_is_no_column(tmp_path):
    frame = pandas.DataFrame({"a": [1.0, 2.0], "y": [0, 1]}, index=pandas.Index([7, 9], name="row"))
    frame.to_parquet(tmp_path / "t.parquet")
    for form in (frame, tmp_path / "t.parquet", pyarrow.Table.from_pandas(frame), frame.sample(2)):
        assert DataLoader.from_table(form, "y").schema.names == ["a"]


def test_odd_tables_that_are_fine(tmp_path):
    one = write(tmp_path / "one.csv", "a,b,y\n1,2,0\n")
    x, y, _ = rows_of(DataLoader.from_table(one, "y"))
    assert (x.tolist(), y.tolist()) == ([[1, 2]], [0])
    bom = write(tmp_path / "bom.csv", "a,b,y\r\n1,2,0\r\n3,4,1", "utf-8-sig")
    loader = DataLoader.from_table(bom, "y")
    assert loader.schema.names == ["a", "b"]
    assert rows_of(loader)[0].tolist() == [[1, 2], [3, 4]]
    huge = write(tmp_path / "huge.csv", f"a,b,y\n{2**63},{10**30},0\n-5, 7 ,1\n")
    np.testing.assert_array_equal(
        rows_of(DataLoader.from_table(huge, "y", dtype="float64"))[0], [[2**63, 1e30], [-5, 7]]
    )
    far = write(tmp_path / "far.csv", "a,b,y\n1e300,1,0\ninf,2,1\n")  # float32 ends at 3e38
    with pytest.raises(pynn.NonfiniteDataError, match=r"received inf in row 0, column 'a' of .*far\.csv"):
        list(DataLoader.from_table(far, "y", on_bad_rows="error"))
    holes = tmp_path / "holes.parquet"
    table = {"a": [1, None, 3], "b": [True, None, False], "c": ["x", None, "y"], "y": [0, 1, 0]}
    parquet.write_table(pyarrow.table(table), holes)
    x, _, _ = rows_of(DataLoader.from_table(holes, "y"))
    np.testing.assert_array_equal(x, [[1, 1, 1], [np.nan, np.nan, 0], [3, 0, 2]])
    numbers = DataLoader.from_table(holes, "y", exclude="c", on_bad_rows="impute")
    np.testing.assert_array_equal(rows_of(numbers)[0], [[1, 1], [2, 0.5], [3, 0]])
    assert numbers.bad_rows == {"action": "impute", "rows": 1, "cells": 2, "columns": {0: 1, 1: 1}}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_csv_file_without_a_header_needs_names(line_end, zipped, encoding, tmp_path):
    text = "".join(f'{i / 4},"a, {i % 3}",{i % 2}{line_end}' for i in range(70_000)).encode(encoding)  # two blocks
    path = tmp_path / "bare.csv"
    path.write_bytes(gzip.compress(text) if zipped else text)
    with pytest.raises(pynn.FileFormatError, match=r"expected a header.*'0\.0,\"a, 0\",0' of .*bare\.csv.*names=\["):
        DataLoader.from_table(path, "y")
    loader = DataLoader.from_table(path, "y", names=["x", "kind", "y"], shuffle=True, batch_size=1000)
    assert loader.schema.names == ["x", "kind"]
    x, y, numbers = rows_of(loader)
    assert sorted(numbers) == list(range(70_000))
    np.testing.assert_array_equal(x, np.column_stack([numbers / 4, 1 + numbers % 3]))
    np.testing.assert_array_equal(y, numbers % 2)


def test_names_that_do_not_fit_are_refused(tmp_path):
    path = write(tmp_path / "bare.csv", "1,2.5,0\n3,4,1\n")
    with pytest.raises(pynn.FileFormatError, match=r"expected 2 cells in each row.*received 3 in row 0 \(line 1\)"):
        DataLoader.from_table(path, "y", names=["a", "y"])
    with pytest.raises(ValueError, match=r"columns of different names.*'a' more than once"):
        DataLoader.from_table(path, "y", names=["a", "a", "y"])
    for names in ([], [1, 2, 3]):
        with pytest.raises(TypeError, match="expected names of the columns, as strings"):
            DataLoader.from_table(path, "a", names=names)
    whole = write(tmp_path / "whole.csv", "a,b,y\n1,2,0\n")
    with pytest.raises(ValueError, match=r"names for a file without a header; received names=\['a', 'b', 'y'\], the f"):
        DataLoader.from_table(whole, "y", names=["a", "b", "y"])
    with pytest.raises(TypeError, match=r"names only for a CSV file.*received them of the DataFrame"):
        DataLoader.from_table(pandas.DataFrame({"a": [1], "y": [0]}), "y", names=["a", "y"])
    numbered = write(tmp_path / "numbered.csv", "0,1,2\n1,2.5,0\n3,4,1\n")  # as pandas names columns
    assert DataLoader.from_table(numbered, "2").schema.names == ["0", "1"]


def test_the_last_rows_of_a_table_are_held_out(mixed, tmp_path):
    """As many bits as two tables, each the part; values to fill in are of the rows trained on."""
    frame = mixed.assign(größe=mixed["größe"] / 40)
    for part in (frame[:400], frame[400:]):  # so that both have all values of the categories
        assert all(part[name].nunique() == frame[name].nunique() for name in ('a "b", c', "class", "label"))
    options = {"target": "label", "categories": ["class"], "on_bad_rows": "median", "batch_size": 32, "epochs": 2}

    def fitted(*data, **more):
        model = small_model()
        history = model.fit(*data, **(options | more))
        return model, [epoch | {"seconds": 0} for epoch in history], history.report.findings[0].evidence

    folders = [tmp_path / name for name in ("whole", "first", "last")]
    for folder in folders:
        folder.mkdir()
    parts = (frame, frame[:400], frame[400:])
    for whole, first, last in zip(*map(forms, parts, folders), strict=True):
        model, history, evidence = fitted(whole, validation_split=0.2, shuffle=False)
        other, expected, same = fitted(first, validation_data=last, shuffle=False)
        assert model.parameters.tobytes() == other.parameters.tobytes(), whole
        assert (history, evidence) == (expected, same), whole
        assert model.schema == other.schema
    shuffled = [fitted(form, validation_split=0.2)[1][-1]["val_loss"] for form in (frame, folders[0] / "t.csv")]
    assert shuffled[0] == pytest.approx(shuffled[1], rel=0.2)


def test_the_last_rows_of_files_and_data_sets_are_held_out(tmp_path):
    x = np.random.default_rng(0).normal(size=(250, 3)).astype(np.float32)
    x[7, 1] = x[230, 2] = np.nan
    y = (x[:, 0] > 0).astype(int)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)

    class Pairs:
        def __len__(self):
            return 250

        def __getitem__(self, i):
            return x[i], y[i]

    for choice in ("skip", "impute"):
        found = []
        for data in ((x, y), (tmp_path / "x.npy", tmp_path / "y.npy"), (Pairs(),)):
            model = small_model()
            history = model.fit(*data, validation_split=0.2, on_bad_rows=choice, class_weight="balanced", epochs=2)
            assert history.report.findings[0].evidence["n_rows"] == 1
            found.append((model.parameters.tobytes(), [epoch | {"seconds": 0} for epoch in history]))
        assert found[0] == found[1] == found[2]
        clean = x[200:].copy() if choice == "impute" else np.delete(x, 230, 0)[200:]
        if choice == "impute":
            clean[30, 2] = x[:200, 2].astype(float).mean()
        labels = y[200:] if choice == "impute" else np.delete(y, 230)[200:]
        counts = np.bincount(y[[i for i in range(200) if i != 7 or choice == "impute"]])
        expected = model.evaluate(clean, labels, class_weight=dict(enumerate(counts.sum() / (2 * counts))))
        assert found[0][1][-1]["val_loss"] == pytest.approx(expected["loss"], rel=1e-5)
    with pytest.raises(TypeError, match=r"validation_split only with arrays, files and tables; received .* X=zip"):
        small_model().fit(zip([x], [y], strict=True), validation_split=0.2)


def test_rows_without_a_target_are_skipped_and_have_no_class(tmp_path):
    rows = "".join(f"{i},{['a', 'b', 'b', ''][i % 4]}\n" for i in range(400))
    path = write(tmp_path / "t.csv", "x,y\n" + rows)
    frame = pandas.read_csv(path)
    for form in (path, frame):
        with pytest.raises(pynn.NonfiniteDataError, match="expected y of finite numbers; received nan in row 3"):
            list(DataLoader.from_table(form, "y", on_bad_rows="error"))
        loader = DataLoader.from_table(form, "y", on_bad_rows="skip", class_weight="balanced", batch_size=400)
        ((x, y, weights),) = loader
        assert x[:, 0].tolist() == [i for i in range(400) if i % 4 < 3]
        np.testing.assert_allclose(weights, np.where(y == 0, 1.5, 0.75))
    sampled = DataLoader.from_table(frame, "y", on_bad_rows="skip", sampling="oversample", batch_size=400)
    ((_, y),) = sampled
    assert np.bincount(y.astype(int)).tolist() == [200, 200]
    with pytest.raises(ValueError, match=r"received a stream: class_weight.*sampled from as a data frame"):
        DataLoader.from_table(path, "y", sampling="oversample")


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no"):
        DataLoader.from_table(tmp_path / "none.csv", "y")
    (tmp_path / "binary").write_bytes(bytes(range(128, 256)) * 40)
    with pytest.raises(pynn.FileFormatError, match="UTF-8"):
        DataLoader.from_table(tmp_path / "binary", "y")
    with pytest.raises(TypeError, match="expected a table, as a data frame or the path"):
        DataLoader.from_table(np.zeros((3, 2)), "y")
    with pytest.raises(ValueError, match="expected task as 'classification'"):
        DataLoader.from_table(pandas.DataFrame({"a": [1], "y": [2]}), "y", task="clustering")


# ---- the front door


def small_model(units=2, loss="softmax_cross_entropy", rate=0.01):
    model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(units)], seed=0)
    model.compile(loss, optimizer=pynn.Adam(learning_rate=rate), metrics=["accuracy"] if units > 1 else ["r2"])
    return model


def test_a_model_remembers_the_columns_it_was_trained_on(mixed, tmp_path):
    frame = mixed.assign(größe=mixed["größe"] / 40)
    train, test = pynn.train_test_split(frame, test_size=0.3)
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    test.to_parquet(tmp_path / "test.parquet")
    model = small_model()
    history = model.fit(
        tmp_path / "train.csv", target="label", on_bad_rows="impute", validation_data=str(tmp_path / "test.csv")
    )
    (finding,) = [one for one in history.report.findings if one.code == "nonfinite_input"]
    assert (finding.severity, finding.columns) == ("info", [0])
    assert finding.evidence["n_rows"] == int(train["größe"].isna().sum())
    assert history[-1]["val_loss"] == model.evaluate(tmp_path / "test.csv")["loss"]
    assert model.evaluate(test) == model.evaluate(tmp_path / "test.parquet") == model.evaluate(tmp_path / "test.csv")
    expected = model.predict(test)
    model.save(tmp_path / "m.safetensors")
    for other in (model, pynn.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model))):
        assert other.schema == model.schema
        assert other.schema.classes == ("no", "yes")
        for data in (test, test.drop(columns="label"), tmp_path / "test.csv", tmp_path / "test.parquet"):
            np.testing.assert_array_equal(other.predict(data), expected)
    model.fit(train.assign(label="yes"), target="label", on_bad_rows="impute")
    assert model.schema.classes == ("no", "yes")  # further training keeps the codes
    with pytest.raises(TypeError, match=r"expected target, the column of .*train\.csv"):
        model.fit(tmp_path / "train.csv")
    with pytest.raises(TypeError, match="expected target or y"):
        model.fit(train, np.zeros(len(train)), target="label")


def test_missing_cells_are_refused_unless_something_is_done(mixed, tmp_path):
    path = next(forms(mixed, tmp_path))
    with pytest.raises(pynn.NonfiniteDataError):
        small_model().fit(path, target="label")
    for choice in ("skip", "impute"):
        assert small_model().fit(path, target="label", on_bad_rows=choice).report.findings


def titanic(n=891, seed=0):
    """A table like the Titanic's passengers: who survives depends on sex, class, age and fare; a fifth has no age."""
    rng = np.random.default_rng(seed)
    pclass = rng.choice([1, 2, 3], n, p=[0.24, 0.21, 0.55])
    sex = rng.choice(["male", "female"], n, p=[0.65, 0.35])
    age = np.clip(rng.normal(38 - 4 * pclass, 13), 0.5, 80).round()
    fare = np.exp(rng.normal(5 - pclass, 0.5)).round(4)
    port = rng.choice(["S", "C", "Q"], n, p=[0.72, 0.19, 0.09])
    logit = 2.8 * (sex == "female") - 1.1 * (pclass - 2) - 0.03 * (age - 30) + 0.5 * (port == "C") - 1.1
    survived = rng.random(n) < 1 / (1 + np.exp(-1.3 * logit))
    frame = pandas.DataFrame(
        {
            "PassengerId": np.arange(1, n + 1),
            "Survived": survived.astype(int),
            "Pclass": pclass,
            "Name": [f'Doe, {i} "Jo"' for i in range(n)],
            "Sex": sex,
            "Age": age,
            "SibSp": rng.poisson(0.5, n),
            "Fare": fare,
            "Cabin": [f"{rng.choice(list('ABC'))}{i}" for i in range(n)],
            "Embarked": port,
        }
    )
    frame.loc[rng.random(n) < 0.2, "Age"] = np.nan
    frame.loc[rng.random(n) < 0.77, "Cabin"] = None
    frame.loc[rng.random(n) < 0.003, "Embarked"] = None
    return frame


# ---- real tables, against scikit-learn doing the same by hand


def layers_for(schema, *hidden):
    """What stands before the hidden layers: numbers scaled, missing ones filled in, codes one-hot."""
    first = [pynn.Normalization(missing="mean", columns=schema.numbers)]
    coded = [pynn.Categorical(list(schema.categories))] if schema.categories else []
    return [*first, *coded, *(pynn.Dense(units, activation="relu") for units in hidden)]


def test_passengers_survive_as_with_scikit_learn(tmp_path):
    pytest.importorskip("sklearn")
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    train, test = titanic(), titanic(2000, seed=1)
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    numbers, codes = ["Age", "SibSp", "Fare"], ["Pclass", "Sex", "Embarked"]
    peer = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), numbers), (OneHotEncoder(handle_unknown="ignore"), codes)
        ),
        LogisticRegression(),
    )
    peer.fit(train[numbers + codes], train["Survived"])
    expected = peer.score(test[numbers + codes], test["Survived"])

    loader = DataLoader.from_table(
        tmp_path / "train.csv", "Survived", categories=["Pclass"], exclude=["PassengerId", "Name", "Cabin"],
        dtype="float64", shuffle=True,
    )  # fmt: skip
    model = pynn.Sequential([*layers_for(loader.schema, 16), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy", optimizer=pynn.Adam(learning_rate=2e-3), metrics=["accuracy"])
    model.fit(loader, epochs=12)
    found = model.evaluate(tmp_path / "test.csv")["accuracy"]
    assert found == model.evaluate(test)["accuracy"]
    assert found > expected - 0.02  # two standard deviations of a score from 2,000 rows
    assert found > 0.75 > max(test["Survived"].mean(), 1 - test["Survived"].mean()) + 0.05


@pytest.mark.parametrize("name", ["breast_cancer", "digits"])
def test_bundled_classes_as_with_scikit_learn(name, tmp_path):
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = bunch.frame.assign(target=[f"class {bunch.target_names[i]}" for i in bunch.target])
    train, test = pynn.train_test_split(frame, seed=3)
    inputs = frame.columns[:-1]
    peer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train[inputs], train["target"])
    expected = peer.score(test[inputs], test["target"])

    paths = [tmp_path / f"train.{'csv' if name == 'breast_cancer' else 'parquet'}", tmp_path / "test.csv"]
    train.to_csv(paths[0], index=False) if paths[0].suffix == ".csv" else train.to_parquet(paths[0])
    test.to_csv(paths[1], index=False)
    model = pynn.Sequential(
        [pynn.Normalization(), pynn.Dense(32, activation="relu"), pynn.Dense(len(bunch.target_names))], seed=0
    )
    model.compile("softmax_cross_entropy", optimizer=pynn.Adam(learning_rate=5e-3), metrics=["accuracy"])
    model.fit(paths[0], target="target", epochs=30)
    assert model.schema.classes == tuple(sorted(set(frame["target"])))
    assert model.evaluate(paths[1])["accuracy"] > expected - 0.03


def test_diabetes_as_with_scikit_learn(tmp_path):
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.linear_model import Ridge

    frame = datasets.load_diabetes(as_frame=True, scaled=False).frame
    train, test = pynn.train_test_split(frame, seed=1)
    train.to_parquet(tmp_path / "train.parquet")
    test.to_parquet(tmp_path / "test.parquet")
    inputs = frame.columns[:-1]
    expected = Ridge().fit(train[inputs], train["target"]).score(test[inputs], test["target"])
    model = pynn.Sequential([pynn.Normalization(), pynn.Dense(16, activation="tanh"), pynn.Dense(1)], seed=0)
    model.compile("mse", optimizer=pynn.Adam(learning_rate=3e-3), metrics=["r2"], target_scaling="standard")
    model.fit(tmp_path / "train.parquet", target="target", epochs=25)
    assert model.evaluate(tmp_path / "test.parquet")["r2"] > expected - 0.05


def test_a_cell_of_a_table_is_named_by_its_column(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"sex": ["m", "f"] * 20, "age": np.arange(40.0), "label": [0, 1] * 20})
    frame.loc[[33, 7], "age"] = np.nan
    frame.to_csv(tmp_path / "people.csv", index=False)
    for source in (frame, tmp_path / "people.csv"):
        model = pynn.Sequential([pynn.Dense(2)])
        model.compile("softmax_cross_entropy")
        with pytest.raises(
            pynn.NonfiniteDataError, match=r"X\[7, 'age'\]=nan, in all 2 such cells in rows 7, 33"
        ) as caught:
            model.fit(source, target="label", verbose=0)
        (finding,) = caught.value.report.findings
        assert (finding.rows, finding.columns, finding.evidence["column_names"]) == ([7, 33], [1], ["age"])


def test_predict_takes_loaders_and_batches_in_the_order_of_their_rows():
    X = np.random.default_rng(0).normal(size=(70, 3))
    model = pynn.Sequential([pynn.Dense(2)], seed=0).build(3)
    expected = model.predict(X)
    assert (model.predict(DataLoader(X, np.zeros(70), batch_size=16, shuffle=True)) == expected).all()
    assert (model.predict((X[i : i + 16], np.zeros(len(X[i : i + 16]))) for i in range(0, 70, 16)) == expected).all()
    with pytest.raises(pynn.ShapeError, match="at least one batch"):
        model.predict(iter(()))


def test_a_prediction_that_is_not_finite_names_the_row_of_a_long_table(tmp_path):
    frame = pandas.DataFrame({"a": np.zeros(300_000), "y": np.zeros(300_000)})
    model = pynn.Sequential([pynn.Dense(1, kernel_initializer=pynn.initializers.Constant(1e38))], seed=0)
    model.compile("mse")
    model.fit(frame.head(8), target="y")
    frame.loc[290_000, "a"] = 1e30
    frame[["a"]].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(pynn.NumericalError) as caught:
        model.predict(tmp_path / "t.csv")
    assert caught.value.report.findings[0].rows == [290_000]
