"""Sources of rows: each gives the same rows and the same bits, says where it broke, and leaves nothing behind."""

import gc
import gzip
import importlib.util
import json
import os
import struct
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn.data import Rows, Source

ROWS, COLUMNS = 301, 5


@pytest.fixture
def table():
    x = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    return x, (x[:, 0] > x[:, 1]).astype(np.int64)


class Pairs:
    """Map style, as PyTorch's data sets."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Flow:
    """Rows one after another, begun anew each time."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __iter__(self):
        return zip(self.x, self.y, strict=True)


def threads():
    return [t for t in threading.enumerate() if t.name == "pynn-data"]


def write_idx(path, array, opener=open):
    code = {"uint8": 8, "int32": 0x0C, "float32": 0x0D}[array.dtype.name]
    with opener(path, "wb") as file:
        file.write(struct.pack(">BBBB", 0, 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape))
        file.write(array.astype(array.dtype.newbyteorder(">")).tobytes())


def csv_of(path, x, y):
    names = [f"x{i}" for i in range(x.shape[1])]
    lines = [",".join([*names, "y"])]
    lines += [",".join([*(repr(float(v)) for v in row), str(label)]) for row, label in zip(x, y, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def trained(loader, epochs=2):
    model = pynn.Sequential([pynn.Dense(7, activation="relu"), pynn.Dense(2)], seed=4)
    model.compile(loss="softmax_cross_entropy", optimizer="adam", metrics=["accuracy"])
    history = model.fit(loader, epochs=epochs)
    return model.parameters.tobytes(), [epoch["accuracy"] for epoch in history]


def sources(table, tmp_path):
    """Name -> the arguments of a loader over the same rows."""
    x, y = table
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(x))
    np.save(tmp_path / "big.npy", x.astype(">f4"))
    write_idx(tmp_path / "x.idx", x)
    write_idx(tmp_path / "x.idx.gz", x, gzip.open)
    write_idx(tmp_path / "y.idx", y.astype(np.uint8))
    frozen = x.copy()
    frozen.flags.writeable = False
    return {
        "arrays": (x, y),
        "read-only": (frozen, y),
        "negative strides": (x[::-1].copy()[::-1], y[::-1].copy()[::-1]),
        "memmap": (np.load(tmp_path / "x.npy", mmap_mode="r"), y),
        "private memmap": (np.load(tmp_path / "x.npy", mmap_mode="c"), y),
        "paths": (tmp_path / "x.npy", str(tmp_path / "y.npy")),
        "fortran": (tmp_path / "fortran.npy", y),
        "big endian": (tmp_path / "big.npy", y),
        "idx": (tmp_path / "x.idx", tmp_path / "y.idx"),
        "idx gzip": (tmp_path / "x.idx.gz", tmp_path / "y.idx"),
        "map style": (Pairs(x, y),),
        "stream": (Flow(x, y),),
    }


NAMES = [
    "arrays", "read-only", "negative strides", "memmap", "private memmap", "paths", "fortran", "big endian", "idx",
    "idx gzip", "map style", "stream",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_source_trains_to_the_same_bits(name, shuffle, table, tmp_path):
    if shuffle and name == "stream":
        pytest.skip("a stream is shuffled through a buffer, in another order")
    expected = trained(pynn.DataLoader(*table, batch_size=16, shuffle=shuffle, seed=2))
    assert trained(pynn.DataLoader(*sources(table, tmp_path)[name], batch_size=16, shuffle=shuffle, seed=2)) == expected
    assert not threads()


def test_data_frames_train_to_the_same_bits(table):
    x, y = table
    expected = trained(pynn.DataLoader(x, y, batch_size=16, shuffle=True))
    for module in ("pandas", "polars", "pyarrow"):
        library = pytest.importorskip(module)
        columns = {f"x{i}": x[:, i] for i in range(COLUMNS)}
        frame = library.table(columns) if module == "pyarrow" else library.DataFrame(columns)
        assert trained(pynn.DataLoader(frame, y, batch_size=16, shuffle=True)) == expected, module


def test_files_of_tables_train_to_the_same_bits_as_arrays(table, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    x, y = table
    expected = trained(pynn.DataLoader(x, y, batch_size=16))
    parquet.write_table(
        pyarrow.table({f"x{i}": x[:, i] for i in range(COLUMNS)} | {"y": y}), tmp_path / "t.parquet", row_group_size=50
    )
    csv = csv_of(tmp_path / "t.csv", x, y)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(csv.read_bytes()))
    for file in ("t.parquet", "t.csv", "t.csv.gz"):
        assert trained(pynn.DataLoader.from_table(tmp_path / file, "y", batch_size=16)) == expected, file


def test_pytorch_data_sets(table):
    torch = pytest.importorskip("torch")
    x, y = table
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    expected = trained(pynn.DataLoader(x, y, batch_size=16, shuffle=True))
    assert trained(pynn.DataLoader(data, batch_size=16, shuffle=True)) == expected


def test_fit_takes_paths_and_data_sets_as_they_are(table, tmp_path):
    x, y = table
    paths = sources(table, tmp_path)["paths"]

    def fitted(*data):
        model = pynn.Sequential([pynn.Dense(2)], seed=1)
        model.compile("softmax_cross_entropy", metrics=["accuracy"])
        model.fit(*data, epochs=2, validation_data=(x, y))
        return model.parameters.tobytes()

    assert fitted(x, y) == fitted(*paths) == fitted(Pairs(x, y))


def test_a_source_of_the_users_own(table):
    x, y = table

    class Halves(Source):
        rows, bounds, row_bytes = ROWS, np.array([0, 150, ROWS]), 4 * COLUMNS

        def chunk(self, index):
            for first in range(self.bounds[index], self.bounds[index + 1], 40):
                rows = slice(first, min(first + 40, self.bounds[index + 1]))
                yield Rows(np.arange(rows.start, rows.stop), x[rows], y[rows])

    assert trained(pynn.DataLoader(Halves(), batch_size=16)) == trained(pynn.DataLoader(x, y, batch_size=16))
    loader = pynn.DataLoader(Halves(), batch_size=16, shuffle=True, buffer=64)
    for xb, yb in loader:
        np.testing.assert_array_equal(xb, x[xb.rows])
        np.testing.assert_array_equal(yb, y[yb.rows])
    assert np.concatenate([xb.rows for xb, _ in iter(loader)]).tolist() == loader.order(1).tolist()


def test_fit_adapts_in_one_pass(table):
    x, y = table

    class Counted(Source):
        rows, bounds, row_bytes, pieces = ROWS, np.array([0, ROWS]), 4 * COLUMNS, 0

        def chunk(self, index):
            for first in range(0, ROWS, 50):
                type(self).pieces += 1
                rows = slice(first, first + 50)
                yield Rows(np.arange(ROWS)[rows], x[rows], y[rows])

    model = pynn.Sequential([pynn.Normalization("robust", missing="median", clip=5), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy")
    model.fit(pynn.DataLoader(Counted(), batch_size=16), epochs=3)
    assert Counted.pieces == 1 + 7 + 3 * 7  # the number of columns, the pass, the epochs


def test_tables_in_files_need_an_extra(python, tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n1,0\n")
    code = f"""
import sys; sys.modules["pyarrow"] = None
import pynn
try:
    pynn.DataLoader.from_table({str(tmp_path / "t.csv")!r}, "y")
except pynn.MissingDependencyError as error:
    print(error)
"""
    assert "pip install 'pynn-dense[data]'" in python(code)


# ---- streams: order and state


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", ["stream", "map style", "csv", "parquet", "csv.gz"])
def test_a_resumed_loader_goes_on_exactly(kind, shuffle, drop_last, table, tmp_path):
    x, y = table
    if kind in ("csv", "csv.gz", "parquet"):
        pyarrow = pytest.importorskip("pyarrow")
        path = csv_of(tmp_path / "t.csv", x, y)
        if kind == "parquet":
            path = tmp_path / "t.parquet"
            columns = {f"x{i}": x[:, i] for i in range(COLUMNS)} | {"y": y}
            pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), path, row_group_size=77)
        if kind == "csv.gz":
            path = tmp_path / "t.csv.gz"
            path.write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))

    def make():
        options = {"batch_size": 8, "shuffle": shuffle, "drop_last": drop_last, "seed": 9, "buffer": 48}
        if kind in ("stream", "map style"):
            return pynn.DataLoader(Flow(x, y) if kind == "stream" else Pairs(x, y), **options)
        return pynn.DataLoader.from_table(path, "y", **options)

    loader, batches, states = make(), [], [make().state_dict()]
    for _ in range(2):
        for xb, _ in loader:
            batches.append(xb.rows.tolist())
            states.append(json.loads(json.dumps(loader.state_dict())))
    assert len(batches) == 2 * (ROWS // 8 + (not drop_last))
    for seen in (0, 1, 5, 6, 7, 30, len(batches) // 2 - 1, len(batches) // 2, len(batches) // 2 + 3):
        resumed = make()
        resumed.load_state_dict(states[seen])
        rest = []
        while len(rest) < len(batches) - seen:
            rest += [xb.rows.tolist() for xb, _ in resumed]
        assert rest == batches[seen:], seen


def test_fit_goes_on_in_the_middle_of_an_epoch(table):
    for data in (table, (Flow(*table),)):
        whole = pynn.DataLoader(*data, batch_size=16, shuffle=True, seed=1)
        expected = trained(whole, epochs=2)[0]

        class Stop(pynn.Callback):
            uses_batches = True

            def on_batch_end(self, batch, logs):
                self.model.stop_training = batch == 6

        model = pynn.Sequential([pynn.Dense(7, activation="relu"), pynn.Dense(2)], seed=4)
        model.compile(loss="softmax_cross_entropy", optimizer="adam", metrics=["accuracy"])
        loader = pynn.DataLoader(*data, batch_size=16, shuffle=True, seed=1)
        model.fit(loader, callbacks=[Stop()])
        state = json.loads(json.dumps(loader.state_dict()))
        assert (state["epoch"], state["batch"]) == (0, 7)
        loader = pynn.DataLoader(*data, batch_size=16, shuffle=True, seed=1)
        loader.load_state_dict(state)
        model.fit(loader, epochs=2)
        assert model.parameters.tobytes() == expected


def test_the_buffer_shuffles_as_well_as_it_says():
    rows, buffer = 4000, 400
    x = np.arange(rows, dtype=np.float32)[:, None]
    loader = pynn.DataLoader(Flow(x, np.zeros(rows)), batch_size=10, shuffle=True, buffer=buffer)
    cuts, places = set(), np.zeros((40, rows), np.int64)
    for epoch in range(40):
        order = np.concatenate([xb.rows for xb, _ in loader])
        assert sorted(order) == list(range(rows))
        places[epoch, order] = np.arange(rows)
        moved = np.abs(places[epoch] - np.arange(rows))
        assert moved.max() < buffer
        assert moved.mean() > buffer / 4  # a uniform permutation of 400 moves rows by 133 on average
        ends = [k for k in range(10, rows, 10) if places[epoch, :k].max() == k - 1]
        cuts.add(tuple(ends))
    assert len(cuts) > 20  # buffers end elsewhere in each epoch
    first = places[:, 0]  # a row's place within the first buffer, uniform: not stuck in a corner
    assert first.min() < 50
    assert first.max() > 150


def test_parts_of_a_file_come_in_shuffled_order(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    x = np.arange(1000, dtype=np.float32)
    parquet.write_table(pyarrow.table({"x": x, "y": x}), tmp_path / "t.parquet", row_group_size=50)
    loader = pynn.DataLoader.from_table(tmp_path / "t.parquet", "y", batch_size=10, shuffle=True, buffer=100)
    order = np.concatenate([xb.rows for xb, _ in loader])
    assert sorted(order) == list(range(1000))
    assert order.tolist() == loader.order(0).tolist()
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.5
    assert np.concatenate([xb.rows for xb, _ in loader]).tolist() == loader.order(1).tolist() != order.tolist()


# ---- reading ahead


def test_what_is_dropped_in_the_middle_leaves_no_thread(table):
    for prefetch in (1, 3):
        loader = pynn.DataLoader(Flow(*table), batch_size=4, prefetch=prefetch, buffer=8)
        for _ in loader:
            assert threads()
            break
        assert not threads()
        batches = iter(loader)
        next(batches)
        del batches
        gc.collect()
        assert not threads()
        with pytest.raises(ZeroDivisionError):
            [1 / 0 for _ in loader]
        assert not threads()
        assert len(list(loader)) == -(-ROWS // 4)


def test_the_next_block_is_read_while_the_caller_works():
    read = []

    class Counting:
        def __iter__(self):
            for i in range(400):
                read.append(i)
                yield np.full(2, i, np.float32), 0

    loader = pynn.DataLoader(Counting(), batch_size=8, buffer=8, prefetch=2)
    loader.source.PIECE = 8
    batches = iter(loader)
    next(batches)
    for _ in range(2000):  # three blocks: one handed over, two ahead
        if len(read) >= 24:
            break
        time.sleep(0.01)
    time.sleep(0.05)
    assert 24 <= len(read) <= 32
    assert sum(len(xb) for xb, _ in batches) == 392


def test_the_interpreter_ends_in_the_middle_of_an_iteration(python):
    code = """
import numpy as np, pynn, itertools
class Endless:
    def __iter__(self):
        return ((np.zeros(3), 0) for _ in itertools.count())
batches = iter(pynn.DataLoader(Endless(), batch_size=2))
print(next(batches)[0].shape)
"""
    assert python(code) == "(2, 3)"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_iterations_begin_anew(table):
    loader = pynn.DataLoader(Flow(*table), batch_size=4, buffer=8)
    batches = iter(loader)
    next(batches)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            try:
                for _ in range(5):
                    next(batches)
            except pynn.ThreadError:
                status = 0 if len(list(loader)) == -(-ROWS // 4) else 2
        finally:
            os._exit(status)
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 0
    assert next(batches)[0].shape == (4, COLUMNS)


# ---- sources that break


def test_an_error_in_a_data_set_arrives_with_its_row(table):
    class Broken(Pairs):
        def __getitem__(self, i):
            if i == 117:
                raise OSError("disk on fire")
            return super().__getitem__(i)

    for prefetch in (0, 1):
        loader = pynn.DataLoader(Broken(*table), batch_size=10, shuffle=True, prefetch=prefetch)
        with pytest.raises(OSError, match="disk on fire") as caught:
            list(loader)
        assert caught.value.__notes__ == ["while reading row 117 of the Broken"]
    assert not threads()


def test_an_error_in_a_stream_arrives_with_its_row(table):
    class Broken(Flow):
        def __iter__(self):
            for i, pair in enumerate(super().__iter__()):
                if i == 260:
                    raise ValueError("bad record")
                yield pair

    model = pynn.Sequential([pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy")
    with pytest.raises(ValueError, match="bad record") as caught:
        model.fit(pynn.DataLoader(Broken(*table), batch_size=10))
    assert caught.value.__notes__ == ["while reading row 260 of the Broken"]
    assert not threads()


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([(np.zeros(3), 0), (np.zeros(4), 0)], r"of one shape; received X of row 1: \(4,\) after \(3,\)"),
        ([(np.zeros(3), 0), (np.zeros(3),)], "of row 1: 1 parts"),
        ([(np.zeros(3), 0, 1, 2)], "received item of row 0"),
        ([], "a stream that ended at once"),
        ([("text", 0)], "expected X of real or integer numbers"),
    ],
)
def test_items_of_no_shape_are_refused(items, message):
    class Odd:
        def __iter__(self):
            return iter(items)

    with pytest.raises(pynn.PynnError, match=message):
        list(pynn.DataLoader(Odd()))


def test_numbers_that_turn_out_to_be_larger_are_not_cut():
    class Mixed:
        def __iter__(self):
            yield from ([1, 2] for _ in range(300))
            yield from ([0.5, 1e300] for _ in range(300))

    batches = list(pynn.DataLoader(Mixed(), batch_size=600, buffer=600))
    np.testing.assert_array_equal(batches[0][[0, 599]], [[1, 2], [0.5, 1e300]])


def test_a_first_batch_that_is_bad_says_what_is_bad():
    for weight, message in ((np.nan, "expected sample_weight of finite"), (-1.0, "expected sample_weight >= 0")):

        class One:
            def __iter__(self, weight=weight):
                return iter([(np.zeros(2), 0, weight)])

        model = pynn.Sequential([pynn.Dense(2)])
        model.compile("softmax_cross_entropy")
        with pytest.raises(pynn.PynnError, match=message):
            model.fit(pynn.DataLoader(One()))


def test_ctrl_c_while_the_first_rows_are_waited_for():
    class Interrupted:
        def __iter__(self):
            raise KeyboardInterrupt

    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    with pytest.raises(KeyboardInterrupt):
        model.fit(pynn.DataLoader(Interrupted()))
    assert model.history.interrupted
    assert not threads()


def test_data_without_a_row_are_no_data(table):
    class Bad:
        def __iter__(self):
            return iter([(np.full(2, np.nan), 0)] * 5)

    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    with pytest.raises(ValueError, match="expected batches to train on; received an iterable that ended at once"):
        model.fit(iter([]))
    for prefetch in (0, 1):
        with pytest.raises(
            ValueError, match="rows for a batch of 32; received fewer, and 5 with cells that are no num"
        ):
            model.fit(pynn.DataLoader(Bad(), on_bad_rows="skip", prefetch=prefetch))
        with pytest.raises(ValueError, match="expected rows for a batch of 999; received fewer"):
            list(pynn.DataLoader(Flow(*table), batch_size=999, drop_last=True, prefetch=prefetch))

    class Short(Source):
        rows, bounds = 10, np.array([0, 10])

        def chunk(self, index):
            yield Rows(np.arange(4), np.zeros((4, 2)))

    with pytest.raises(pynn.ShapeError, match="expected 10 rows, as the source says; received 4"):
        list(pynn.DataLoader(Short(), batch_size=3))
    assert not threads()


def test_an_iterator_gives_one_epoch(table):
    loader = pynn.DataLoader(iter(Flow(*table)), batch_size=50)
    assert len(list(loader)) == 7
    with pytest.raises(ValueError, match="received an iterator, which has run out"):
        list(loader)


def test_a_stream_has_no_length(table):
    loader = pynn.DataLoader(Flow(*table))
    with pytest.raises(TypeError, match="a loader of known length"):
        len(loader)
    with pytest.raises(TypeError, match="a loader of known length"):
        loader.order(0)


def test_files_that_are_none(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text.txt").write_text("hello")
    np.save(tmp_path / "objects.npy", np.array([{}, None]))
    np.save(tmp_path / "x.npy", np.zeros((50, 3)))
    (tmp_path / "short.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-100])
    for name in ("empty", "text.txt", "objects.npy", "short.npy"):
        with pytest.raises(pynn.FileFormatError, match=name):
            pynn.DataLoader(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        pynn.DataLoader(tmp_path / "none.npy")


@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_what_belongs_into_the_items_is_refused_beside_them(name, table):
    with pytest.raises(TypeError, match=f"expected {name} within the rows of the data set Pairs"):
        pynn.DataLoader(Pairs(*table), **{name: table[1]})


# ---- endless data


def test_an_endless_stream_with_steps_per_epoch():
    class Endless:
        def __iter__(self):
            rng = np.random.default_rng(0)
            while True:
                x = rng.normal(size=3)
                yield x, int(x[0] > 0)

    model = pynn.Sequential([pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy", optimizer=pynn.Adam(learning_rate=0.05), metrics=["accuracy"])
    history = model.fit(pynn.DataLoader(Endless(), batch_size=20), epochs=4, steps_per_epoch=25)
    assert model._learner.trainer.steps == 100
    assert history[-1]["accuracy"] > 0.9 > history[0]["accuracy"]
    gc.collect()
    assert not threads()


def test_steps_per_epoch_goes_on_where_the_last_epoch_ended(table):
    x, y = table
    model = pynn.Sequential([pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy", optimizer="sgd")
    seen = []

    class Batches:
        def __iter__(self):
            for i in range(0, ROWS, 50):
                seen.append(i)
                yield x[i : i + 50], y[i : i + 50]

    model.fit(Batches(), epochs=3, steps_per_epoch=4)
    assert seen == [0, 50, 100, 150, 200, 250, 300, 0, 50, 100, 150, 200]
    with pytest.raises(ValueError, match="steps_per_epoch; received an iterable that has run out"):
        model.fit(iter([(x, y)]), epochs=3, steps_per_epoch=2)
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit(x, y, steps_per_epoch=0)


# ---- memory


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_a_mapped_file_does_not_stay_in_memory(tmp_path, python):
    """128 MB of rows pass through; what is held at a time are blocks of 4 MB."""
    array = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (1 << 17, 256))
    array[:, 0] = np.arange(len(array))
    array.flush()
    del array
    code = f"""
import numpy as np, pynn
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
model = pynn.Sequential([pynn.Dense(1)], seed=0)
model.compile("mse", optimizer=pynn.SGD(learning_rate=1e-12))
loader = pynn.DataLoader({str(tmp_path / "x.npy")!r}, np.zeros(1 << 17, np.float32), shuffle=True, batch_size=256)
model.fit(np.zeros((256, 256), np.float32), np.zeros(256))
before, most = resident(), 0
class Watch(pynn.Callback):
    uses_batches = True
    def on_batch_end(self, batch, logs):
        global most
        most = max(most, resident())
model.fit(loader, callbacks=[Watch()])
print((most - before) >> 20)
"""
    assert int(python(code)) < 100


@pytest.mark.parametrize("columns", [1, 100, 9000])
@pytest.mark.parametrize("rows_of", ["random", "weighted", "reversed", "few"])
def test_rows_of_a_file_come_from_where_they_lie(columns, rows_of, tmp_path):
    rows, rng = 5000 if columns < 9000 else 300, np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(rows, columns)).astype(np.float32))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    for part in (x, x[7:], x[::3], x[1::7]):  # near one another, next to one another, far apart
        order = {
            "random": rng.permutation(len(part)), "weighted": rng.integers(0, len(part), len(part)),
            "reversed": np.arange(len(part))[::-1], "few": rng.permutation(len(part))[:5],
        }[rows_of]  # fmt: skip
        source = pynn.DataLoader(part, batch_size=8).source
        assert source.x.mapped
        np.testing.assert_array_equal(source.gather(order).x, part[order])


def test_a_mapped_file_that_becomes_shorter_names_the_row(tmp_path):
    x = np.random.default_rng(0).normal(size=(2000, 30)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    whole = (tmp_path / "x.npy").read_bytes()
    for shuffle in (False, True):
        (tmp_path / "x.npy").write_bytes(whole)
        loader = pynn.DataLoader(tmp_path / "x.npy", batch_size=100, shuffle=shuffle)
        os.truncate(tmp_path / "x.npy", len(whole) - 700 * 120 + 5)
        with pytest.raises(pynn.FileFormatError, match=r"expected row 1300 in .*x\.npy.*a file that ends before"):
            list(loader)
    assert not threads()


# ---- sparse matrices


@pytest.fixture
def sparse():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    x = scipy_sparse.random(400, 300, 0.05, "csr", dtype=np.float32, random_state=0)
    return x, (np.asarray(x.sum(axis=1)).ravel() > x.sum() / 400).astype(int)


def fitted(x, y, **options):
    model = pynn.Sequential([pynn.Dense(24, activation="relu"), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=3, validation_split=0.25, **options)
    return model, [epoch | {"seconds": 0} for epoch in history]


def test_sparse_rows_train_to_the_bits_of_dense_ones(sparse):
    x, y = sparse
    model, history = fitted(x.toarray(), y)
    for form in (x, x.tocsc(), x.tocoo(), type(x)(x, copy=True).astype(np.float64), x.asformat("lil")):
        other, same = fitted(form, y)
        assert other.parameters.tobytes() == model.parameters.tobytes()
        assert same == history
        np.testing.assert_array_equal(other.predict(form), model.predict(x.toarray()))
    assert model.evaluate(x, y) == model.evaluate(x.toarray(), y)
    by_hand = pynn.Sequential([pynn.Dense(24, activation="relu"), pynn.Dense(2)], seed=0)
    by_hand.compile("softmax_cross_entropy", metrics=["accuracy"])
    loader = pynn.DataLoader(x[:300], y[:300], batch_size=32, shuffle=True)
    for _ in range(3):
        for xb, yb in loader:
            assert xb.nnz <= x.nnz
            by_hand.train_step(xb, yb)
    assert by_hand.parameters.tobytes() == model.parameters.tobytes()


def test_a_bad_cell_of_a_sparse_matrix_is_named(sparse):
    x, y = sparse
    x.data[100] = np.nan
    row = int(np.searchsorted(x.indptr, 100, side="right")) - 1
    with pytest.raises(pynn.NonfiniteDataError) as caught:
        fitted(x, y)
    assert (caught.value.row, caught.value.column) == (row, x.indices[100])
    history = fitted(x, y, on_bad_rows="skip")[0].history
    assert history.report.findings[0].evidence["n_rows"] == 1
    with pytest.raises(ValueError, match="on_bad_rows='error' or 'skip' for a sparse X"):
        fitted(x, y, on_bad_rows="impute")
    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    with pytest.warns(pynn.TrainingWarning):
        step = model.train_step(x, y)
    assert (step.findings[0].rows, step.findings[0].columns) == ([row], [x.indices[100]])


def test_sparse_rows_are_refused_where_they_would_fill_up(sparse):
    x, y = sparse
    model = pynn.Sequential([pynn.Dropout(0.5), pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    with pytest.raises(pynn.UnsupportedError, match="a dense layer first; received a sparse x and layer 0, dropout"):
        model.fit(x, y)
    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    with pytest.raises(ValueError, match="expected X with 300 columns"):
        model.build(300).predict(x[:, :10])
    with pytest.raises(TypeError, match="expected y as a dense array; received a sparse"):
        model.fit(x, x[:, :1])
    with pytest.raises(TypeError, match="expected X of numbers"):
        model.fit(x.astype(complex), y)


def test_a_sparse_matrix_that_is_damaged_is_refused(sparse):
    x, y = sparse
    for offset in (10**6, -3, 0):
        damaged = x.copy()
        damaged.indptr[200] = offset
        with pytest.raises(ValueError, match="expected X as an intact sparse matrix"):
            fitted(damaged, y)
    damaged = x.copy()
    damaged.indices[77] = 300
    with pytest.raises(ValueError, match="expected X as an intact sparse matrix"):
        fitted(damaged, y)


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_a_csv_file_does_not_stay_in_memory(tmp_path, python):
    """22 MB of text pass through, plain or gzip; what is held at a time are pieces of 1 MB and buffers of 16."""
    pytest.importorskip("pyarrow")
    block = "".join(f"{i % 97},{i / 7:.6f},{i % 2}\n" for i in range(50_000)).encode() * 2
    with open(tmp_path / "t.csv", "wb") as file, gzip.open(tmp_path / "t.csv.gz", "wb", 1) as packed:
        for target in (file, packed):
            target.write(b"a,b,y\n")
            for _ in range(12):
                target.write(block)
    for name in ("t.csv", "t.csv.gz"):
        code = f"""
import pynn, resource
from pynn.data import tables
list(pynn.DataLoader.from_table({str(tmp_path / "small.csv")!r}, "y"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
loader = pynn.DataLoader.from_table({str(tmp_path / name)!r}, "y", batch_size=4096, shuffle=True, buffer=65536)
print(sum(len(x) for x, _ in loader), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10)
"""
        (tmp_path / "small.csv").write_bytes(b"a,b,y\n" + block[:1000000].rpartition(b"\n")[0])
        rows, megabytes = map(int, python(code).split())
        assert rows == 1_200_000
        assert megabytes < 40


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_a_sparse_matrix_is_never_filled(python):
    code = """
import numpy as np, pynn, scipy.sparse, resource
rng = np.random.default_rng(0)
rows, columns, each = 20_000, 50_000, 50
indices = np.sort(rng.integers(0, columns // each, (rows, each)) + np.arange(each) * (columns // each), axis=1)
x = scipy.sparse.csr_array((rng.random(rows * each, np.float32), indices.ravel(), np.arange(rows + 1) * each),
                           shape=(rows, columns))  # 4 GB if it were dense
model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(2)], seed=0)
model.compile("softmax_cross_entropy")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model.fit(x, np.arange(rows) % 2, epochs=1, batch_size=64)
model.evaluate(x, np.arange(rows) % 2)
model.predict(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10)
"""
    assert int(python(code)) < 250  # the batches' input and deltas, 64 and 128 rows wide; five vectors of parameters


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_the_streaming_benchmark_in_small(kind):
    pytest.importorskip("pyarrow")
    path = Path(__file__).parent.parent / "benchmarks" / "streaming.py"
    spec = importlib.util.spec_from_file_location("streaming", path)
    streaming = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(streaming)
    found = streaming.measure(kind, 0.2, units=16, batch_size=256)
    assert found["size"] > found["rows"] * 4 * streaming.COLUMNS > 1.9e8
    assert found["memory"] < (300e6 if kind == "parquet" else 80e6)
    assert found["accuracy"] > 0.6  # of ten classes, over the first epoch
    assert 0 <= found["waited"] < 1
