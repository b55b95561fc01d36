"""The data loader: what batches hold, in which order, from which sources, and where it goes on after a resume."""

import gc
import itertools
import json
import tracemalloc

import numpy as np
import pytest

import pynn
from pynn.data import Batch

DTYPES = [
    "float16",
    "float32",
    "float64",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]


def table(rows=11, columns=3):
    return np.arange(rows * columns, dtype=np.float64).reshape(rows, columns)


def rows_of(loader):
    return [batch[0].rows.tolist() if isinstance(batch, tuple) else batch.rows.tolist() for batch in loader]


def flat(lists):
    return list(itertools.chain.from_iterable(lists))


# ---- what a batch holds


def test_x_alone_x_and_y_and_weights():
    X, y, w = table(5), np.arange(5), np.linspace(0, 1, 5)
    assert [len(xb) for xb in pynn.DataLoader(X, batch_size=2)] == [2, 2, 1]
    for xb, yb in pynn.DataLoader(X, y, batch_size=2, shuffle=True):
        np.testing.assert_array_equal(xb, X[yb])
    for xb, yb, wb in pynn.DataLoader(X, y, sample_weight=w, batch_size=2, shuffle=True):
        np.testing.assert_array_equal(xb, X[yb])
        np.testing.assert_array_equal(wb, w[yb])
    xb, yb, wb = next(iter(pynn.DataLoader(X, sample_weight=w)))
    assert yb is None
    assert len(wb) == len(xb) == 5


@pytest.mark.parametrize(
    ("rows", "size", "drop", "expected"), [(10, 3, False, 4), (10, 3, True, 3), (9, 3, True, 3), (2, 5, False, 1)]
)
def test_length_is_the_number_of_batches(rows, size, drop, expected):
    loader = pynn.DataLoader(table(rows), batch_size=size, drop_last=drop)
    assert len(loader) == expected == len(list(loader))


@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_keep_the_dtype(dtype):
    X = (table() % 2).astype(dtype)
    for xb in pynn.DataLoader(X, batch_size=4, shuffle=True):
        assert xb.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(xb, X[xb.rows])


@pytest.mark.parametrize("shape", [(11,), (11, 1), (11, 3), (11, 2, 2), (11, 0)])
def test_batches_keep_the_shape_of_rows(shape):
    X = np.random.default_rng(0).normal(size=shape)
    for array in (X, np.asfortranarray(X), X[::-1], np.repeat(X, 2, axis=0)[::2]):
        for xb in pynn.DataLoader(array, batch_size=4, shuffle=True):
            assert xb.shape[1:] == shape[1:]
            assert xb.flags.c_contiguous
            np.testing.assert_array_equal(xb, array[xb.rows])


def test_a_batch_is_the_callers_own():
    X = table()
    for xb in pynn.DataLoader(X, batch_size=4):
        xb += 1000
    np.testing.assert_array_equal(X, table())


def test_bytes_in_another_order_become_native():
    X = table().astype(">f4")
    xb = next(iter(pynn.DataLoader(X)))
    assert xb.dtype == np.dtype("float32")
    assert xb.dtype.isnative
    np.testing.assert_array_equal(xb, X)


# ---- rows


def test_batches_know_their_rows_and_keep_them_through_arithmetic():
    X, y = table(), np.arange(11)
    for xb, yb in pynn.DataLoader(X, y, batch_size=4, shuffle=True):
        rows = yb.tolist()
        assert xb.rows.tolist() == yb.rows.tolist() == rows
        for derived in (xb / 255, np.sqrt(xb), xb + xb, xb - X.mean(axis=0), 1 - xb, xb.astype("float32"), xb > 3):
            assert isinstance(derived, Batch)
            assert derived.rows.tolist() == rows
        np.testing.assert_array_equal(xb / 2, X[rows] / 2)
        assert xb[1:].rows.tolist() == rows[1:]
        assert xb[::-1].rows.tolist() == rows[::-1]
        assert xb[:, :2].rows.tolist() == xb[:, 0].rows.tolist() == rows
        assert xb[yb > 5].rows.tolist() == [row for row in rows if row > 5]
        assert xb[[0]].rows.tolist() == rows[:1]


def test_what_could_break_the_correspondence_forgets_the_rows():
    xb = next(iter(pynn.DataLoader(np.eye(4), batch_size=4, shuffle=True)))
    other = next(iter(pynn.DataLoader(np.eye(4), batch_size=4)))
    for derived in (xb.T, xb.reshape(2, 8), xb + other, np.sort(xb, axis=0), xb[None]):
        assert getattr(derived, "rows", None) is None
    assert isinstance(xb.sum(), float)
    assert np.add.reduce(xb).tolist() == [1, 1, 1, 1]
    out = np.zeros((4, 4))
    assert np.multiply(xb, 2, out=out) is out


def test_a_refused_step_names_the_row_of_the_data_set():
    X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    X[37, 2] = np.nan
    model = pynn.Sequential([pynn.Dense(3)], seed=0)
    model.compile(loss="softmax_cross_entropy", optimizer="sgd")
    found = []
    for xb, yb in pynn.DataLoader(X, np.zeros(50, int), batch_size=8, shuffle=True, seed=3):
        if 37 in xb.rows:
            with pytest.warns(pynn.TrainingWarning):
                step = model.train_step(xb, yb)
            assert not step.applied
            found += step.findings
        else:
            assert model.train_step(xb, yb).applied
    assert found[0].rows == [37]
    assert found[0].columns == [2]


# ---- order


def test_order_is_a_permutation_decided_by_seed_and_epoch():
    loader = pynn.DataLoader(table(100), shuffle=True, seed=5)
    orders = [loader.order(epoch) for epoch in range(3)]
    for order in orders:
        assert order.dtype == np.int64
        assert sorted(order) == list(range(100))
    assert len({order.tobytes() for order in orders}) == 3
    again = pynn.DataLoader(np.zeros((100, 7), "uint8"), batch_size=3, shuffle=True, seed=5)
    np.testing.assert_array_equal(again.order(2), orders[2])
    assert not np.array_equal(pynn.DataLoader(table(100), shuffle=True, seed=6).order(0), orders[0])
    np.testing.assert_array_equal(pynn.DataLoader(table(4)).order(9), [0, 1, 2, 3])


def test_epochs_count_iterations_and_can_be_set():
    loader = pynn.DataLoader(table(20), batch_size=7, shuffle=True)
    assert loader.epoch == 0
    first, second = rows_of(loader), rows_of(loader)
    assert loader.epoch == 2
    assert flat(first) == loader.order(0).tolist()
    assert flat(second) == loader.order(1).tolist()
    loader.set_epoch(0)
    assert rows_of(loader) == first
    iter(loader)  # counts when it starts
    assert loader.epoch == 2


def test_every_row_comes_once_an_epoch():
    for drop in (False, True):
        loader = pynn.DataLoader(table(23), batch_size=4, shuffle=True, drop_last=drop)
        seen = flat(rows_of(loader))
        assert len(seen) == len(set(seen)) == (20 if drop else 23)


# ---- sources


def test_memory_maps_read_only_arrays_and_lists(tmp_path):
    X = table(11).astype(np.float32)
    X.tofile(tmp_path / "X.bin")
    mapped = np.memmap(tmp_path / "X.bin", np.float32, "r", shape=X.shape)
    frozen = X.copy()
    frozen.flags.writeable = False
    for source in (mapped, frozen, X.tolist()):
        for xb in pynn.DataLoader(source, batch_size=4, shuffle=True):
            np.testing.assert_array_equal(xb, X[xb.rows])
            assert xb.flags.writeable


def test_nothing_is_copied_as_a_whole(tmp_path):
    rows = 200_000
    X = np.memmap(tmp_path / "X.bin", np.float32, "w+", shape=(rows, 100))  # 80 MB
    gc.collect()
    tracemalloc.start()
    loader = pynn.DataLoader(X[:, ::2], batch_size=64, shuffle=True)
    for _, xb in zip(range(100), loader, strict=False):
        assert xb.shape == (64, 50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * rows + 16_000_000  # the order, and four blocks at most


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5]}, index=[7, 8, 9])
    for xb, yb in pynn.DataLoader(frame, frame["a"], batch_size=2, shuffle=True):
        assert xb.dtype == np.float64
        assert yb.dtype == np.int64
        np.testing.assert_array_equal(xb, frame.to_numpy()[xb.rows])
        np.testing.assert_array_equal(yb, frame["a"].to_numpy()[xb.rows])
    with pytest.raises(TypeError, match=r"expected X of real or integer numbers.*columns 'city'"):
        pynn.DataLoader(frame.assign(city=["x", "y", "z"]))


def test_missing_values_in_a_frame_of_integers_are_refused_with_the_row():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": pandas.array([1, 2, None, 4], dtype="Int64")})
    with pytest.raises(pynn.NonfiniteDataError, match=r"X without missing values; received missing ones in rows \[2\]"):
        list(pynn.DataLoader(frame, batch_size=2))


def test_rows_by_number_from_an_object_of_the_users_own():
    class Squares:
        def __len__(self):
            return 10

        def read_rows(self, rows):
            return rows[:, None] ** 2.0

    for xb, yb in pynn.DataLoader(Squares(), np.arange(10), batch_size=4, shuffle=True):
        np.testing.assert_array_equal(xb[:, 0], yb**2)

    class Short(Squares):
        def read_rows(self, rows):
            return rows[:-1, None] * 1.0

    with pytest.raises(pynn.ShapeError, match=r"expected 10 rows from X\.read_rows"):
        list(pynn.DataLoader(Short()))


def test_the_same_model_from_a_loader_by_hand_as_from_fit():
    X = np.random.default_rng(0).normal(size=(70, 5)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)

    def model():
        model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(2)], seed=4)
        model.compile(loss="softmax_cross_entropy", optimizer="adam")
        return model

    by_hand, fitted = model(), model()
    loader = pynn.DataLoader(X, y, batch_size=16, shuffle=True, seed=4)
    for _ in range(3):
        for xb, yb in loader:
            by_hand.train_step(xb, yb)
    fitted.fit(X, y, epochs=3, batch_size=16)
    assert by_hand.parameters.tobytes() == fitted.parameters.tobytes()


# ---- state


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_resumed_loader_goes_on_exactly(shuffle, drop):
    def make():
        return pynn.DataLoader(table(23), batch_size=4, shuffle=shuffle, drop_last=drop, seed=9)

    loader, batches, states = make(), [], [make().state_dict()]
    for _ in range(3):
        for xb in loader:
            batches.append(xb.rows.tolist())
            states.append(json.loads(json.dumps(loader.state_dict())))
    for seen, state in enumerate(states):
        resumed = make()
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        rest = []
        while len(rest) < len(batches) - seen:
            rest += rows_of(resumed)
        assert rest == batches[seen:]


def test_an_iteration_that_was_left_does_not_move_the_state():
    loader = pynn.DataLoader(table(12), batch_size=4)
    old, new = iter(loader), iter(loader)
    next(new)
    next(old)
    next(old)
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (1, 1)


def test_the_state_of_another_loader_is_refused():
    state = pynn.DataLoader(table(12), batch_size=4).state_dict()
    for other in (
        pynn.DataLoader(table(13), batch_size=4),
        pynn.DataLoader(table(12), batch_size=3),
        pynn.DataLoader(table(12), batch_size=4, seed=1),
        pynn.DataLoader(table(12), batch_size=4, shuffle=True),
    ):
        with pytest.raises(ValueError, match="expected the state of a DataLoader with"):
            other.load_state_dict(state)
    with pytest.raises(TypeError):
        pynn.DataLoader(table(12)).load_state_dict("nonsense")
    with pytest.raises(ValueError, match="batch"):
        pynn.DataLoader(table(12), batch_size=4).load_state_dict(state | {"batch": 3})


# ---- bad arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, r"expected batch_size as an integer >= 1; received batch_size=0"),
        ({"batch_size": 2.0}, TypeError, r"expected batch_size as an integer >= 1; received batch_size=2\.0"),
        ({"batch_size": True}, TypeError, "batch_size=True"),
        ({"seed": -1}, ValueError, "received seed=-1"),
        ({"seed": "1"}, TypeError, "received seed='1'"),
        ({"shuffle": 1}, TypeError, "expected shuffle as True or False; received shuffle=1"),
        ({"drop_last": None}, TypeError, "received drop_last=None"),
        (
            {"drop_last": True, "batch_size": 12},
            ValueError,
            "expected batch_size of at most 11.*received batch_size=12",
        ),
        ({"y": np.zeros(10)}, ValueError, "expected y with 11 rows, one for each row of X; received y with 10 rows"),
        ({"y": ["a"] * 11}, TypeError, "expected y of real or integer numbers"),
        ({"y": 3}, TypeError, "expected y as an array with rows; received y=3"),
        ({"y": [[1], [2, 3]] * 5 + [[1]]}, ValueError, "expected y as an array with rows"),
        ({"sample_weight": np.ones(10)}, ValueError, "sample_weight"),
        ({"sample_weight": -np.ones(11)}, ValueError, r"sample_weight\[0\]=-1"),
        ({"sample_weight": np.full(11, np.nan)}, ValueError, "sample_weight"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        pynn.DataLoader(table(), **arguments)
    assert isinstance(caught.value, pynn.PynnError)


@pytest.mark.parametrize("X", [np.zeros((0, 3)), [], np.zeros((3, 2), complex), np.array(["a", "b"]), None, 5, "text"])
def test_what_is_no_data_is_refused(X):
    with pytest.raises(pynn.PynnError, match=r"^expected X"):
        pynn.DataLoader(X)
