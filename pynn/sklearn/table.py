"""What TableClassifier and TableRegressor share: preparation, the recipe of training, averages."""

from __future__ import annotations

import time
import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import initializers, optimizers, schedules
from ..callbacks.base import Callback
from ..errors import ArgumentTypeError, ArgumentValueError, NumericalError, TrainingWarning
from ..layers import Categorical, Dense, Dropout
from ..model import Sequential
from ..report.finding import Report
from . import columns as columns_
from .mlp import _diverged
from .network import from_bytes, to_bytes
from .run import limit_threads

SMALL = 100  # rows below which nothing is held out or dropped, and all rows are one batch
SMALL_DECAY = 10.0  # weight decay of those
DOUBLE = 1000  # rows up to which training is in float64
FEW = 1000  # rows up to which all members together choose bins and weight decay
EMBEDDING = 8  # numbers for each category of a column with many

PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"hidden_layer_sizes": (128, 128), "max_iter": 32, "dropout": 0.0, "n_members": 1, "weight_decay": (1.0,)},
    "default": {
        "hidden_layer_sizes": (128, 128),
        "max_iter": 48,
        "dropout": 0.0,
        "n_members": 6,
        "weight_decay": (0.3, 3.0),
    },
    "best": {
        "hidden_layer_sizes": (256, 256),
        "max_iter": 64,
        "dropout": 0.1,
        "n_members": 12,
        "weight_decay": (0.3, 3.0),
    },
}
_POSITIVE = partial(Interval, Integral, 1, None, closed="left")


class Best(Callback):
    """Ends with the parameters of the epoch with the lowest loss on the rows held out, the latest of equal ones."""

    def on_train_begin(self, logs: dict[str, float]) -> None:
        self.lowest, self.epoch = np.inf, 0
        self.parameters: np.ndarray | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if logs["val_loss"] <= self.lowest:
            self.lowest, self.epoch, self.parameters = logs["val_loss"], epoch + 1, self.model.parameters.copy()

    def on_train_end(self, logs: dict[str, float]) -> None:
        if self.parameters is not None:
            self.model.parameters[...] = self.parameters


class BaseTable(BaseEstimator, metaclass=ABCMeta):
    """Base of the estimators for tables."""

    networks_: list[Sequential]
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "preset": [StrOptions(set(PRESETS))],
        "hidden_layer_sizes": ["array-like", _POSITIVE(), None],
        "max_iter": [_POSITIVE(), None],
        "batch_size": [_POSITIVE()],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "n_members": [_POSITIVE(), None],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _recipe_: ClassVar[dict[str, Any]]  # activation, learning_rate, weight_decay of the kind of target

    def __init__(self, **arguments: Any) -> None:
        for name, value in arguments.items():
            setattr(self, name, value)

    # ---- what the two differ in

    @abstractmethod
    def _learn_target(self, y: Any, weights: np.ndarray) -> tuple[np.ndarray, str, int]:
        """Targets for the network, its loss and its outputs."""

    @abstractmethod
    def _strata(self, y: np.ndarray, held: float) -> Any:
        """Labels whose shares hold in the rows held out; None: any rows."""

    @abstractmethod
    def _code_target(self, y: Any) -> np.ndarray:
        """Targets of other rows, as `_learn_target` coded those of training."""

    # ---- training

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation_data: Any) -> Any:
        limit_threads()
        self.__dict__.pop("networks_", None)
        columns, y = self._read(X, True), y
        rows = len(columns[0])
        weights = np.ones(rows) if sample_weight is None else _weights(sample_weight, columns)
        there = weights > 0
        if not there.all():
            columns, y, weights = [column[there] for column in columns], y[there], weights[there]
        targets, loss, outputs = self._learn_target(y, weights)
        recipes = self._recipes(columns, weights)
        self._tell_left_out()
        data = columns, targets, weights / weights.mean()
        held = None if validation_data is None else self._check_validation(validation_data)
        decays = [SMALL_DECAY] if self.weight_decay is None and len(targets) < SMALL else self._option("weight_decay")
        ways = [(recipe, decay) for recipe in recipes for decay in np.atleast_1d(decays).tolist()]
        random = check_random_state(self.random_state)
        begin = time.monotonic()
        runs: list[list[tuple[float, int, Sequential]]] = []  # by member, then by way
        for member in range(self._option("n_members")):
            if member and self._is_late(time.monotonic() - begin, member):
                break
            parts = self._parts(data, held, random)
            runs.append([self._train_member(way, *parts, loss, outputs) for way in ways])
            if len(targets) > FEW:  # enough rows are held out for the first member to choose
                best = int(np.argmin([one[0] for one in runs[-1]]))
                ways, runs[-1] = ways[best : best + 1], runs[-1][best : best + 1]
            if self.verbose:
                lowest = min(one[0] for one in runs[-1])
                print(f"member {member + 1}: loss of the rows held out {lowest:.5g}")
        best = int(np.argmin(np.mean([[one[0] for one in run] for run in runs], axis=0)))
        self.columns_, self.weight_decay_ = ways[best]
        self.best_iter_, self.networks_ = [run[best][1] for run in runs], [run[best][2] for run in runs]
        self.n_iter_, self.n_members_ = self._option("max_iter"), len(runs)
        return self

    def _recipes(self, columns: list[np.ndarray], weights: np.ndarray) -> list[columns_.Recipe]:
        """What may be done to the columns: numbers in few bins, or in many, where that differs."""
        self.columns_ = columns_.learn(columns, weights)
        fine = columns_.learn(columns, weights, columns_.FINE)
        small = len(columns[0]) < SMALL
        return [self.columns_] if small or fine == self.columns_ else [self.columns_, fine]

    def _is_late(self, seconds: float, members: int) -> bool:
        """Whether another member would end after the limit."""
        return self.time_limit is not None and seconds * (members + 1) / members > self.time_limit

    def _read(self, X: Any, reset: bool) -> list[np.ndarray]:
        """Columns, checked by name and number."""
        frame = hasattr(X, "iloc") or hasattr(X, "to_pandas")
        if not frame:
            X = _array(X)
        validate_data(self, X, reset=reset, skip_check_array=True)
        found = columns_.read(X)
        if not found or not len(found[0]):
            raise ArgumentValueError("expected X with at least one row and column, minimum of 1 is required; received "
                                     f"shape {X.shape}")  # fmt: skip
        for i, column in enumerate(found):
            if column.dtype.kind == "f" and np.isinf(column).any():
                row = int(np.flatnonzero(np.isinf(column))[0])
                raise ArgumentValueError(
                    f"expected X of finite or missing cells; received infinity in row {row}, column {self._name(i)}"
                )
        return found

    def _name(self, column: int) -> Any:
        names = getattr(self, "feature_names_in_", None)
        return column if names is None else repr(str(names[column]))

    def _tell_left_out(self) -> None:
        many = [
            self._name(i)
            for i, about in enumerate(self.columns_)
            if about["kind"] == "left_out" and not about["values"]
        ]
        if many:
            warnings.warn(
                f"left out of training: columns {', '.join(map(str, many))}, whose texts are nearly all different",
                TrainingWarning, stacklevel=5,
            )  # fmt: skip

    def _check_validation(self, data: Any) -> tuple[list[np.ndarray], np.ndarray]:
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise ArgumentTypeError(f"expected validation_data as (X, y); received {type(data).__name__}")
        return self._columns(data[0]), self._code_target(data[1])

    def _columns(self, X: Any) -> list[np.ndarray]:
        """Columns of rows that were not trained on."""
        columns = self._read(X, False)
        for i, (about, column) in enumerate(zip(self.columns_, columns, strict=True)):
            row = columns_.text_among_numbers(about, column)
            if row is not None:
                raise ArgumentValueError(
                    f"expected numbers in column {self._name(i)}, as fit had; received {column[row]!r} in row {row}"
                )
        return columns

    def _option(self, name: str) -> Any:
        """An argument, or what the preset or the kind of target has in its place."""
        given = getattr(self, name)
        chosen = {**self._recipe_, **PRESETS[self.preset]} if given is None else {name: given}
        return chosen[name]

    def _parts(self, data: Any, held: Any, random: np.random.RandomState) -> tuple[Any, Any, int]:
        """Rows to train on, rows to judge by, and the seed of a member."""
        seed, rows = int(random.randint(2**31)), len(data[1])
        if held is not None or rows < SMALL:
            return data, held, seed
        split = train_test_split(
            np.arange(rows), test_size=self.validation_fraction, random_state=seed,
            stratify=self._strata(data[1], self.validation_fraction),
        )  # fmt: skip
        training, judging = (([column[part] for column in data[0]], data[1][part], data[2][part]) for part in split)
        return training, judging, seed

    def _train_member(
        self, way: tuple[columns_.Recipe, float], data: Any, held: Any, seed: int, loss: str, outputs: int
    ) -> tuple[float, int, Sequential]:
        """The lowest loss on the rows held out, its epoch, and the network as it was then."""
        recipe, decay = way
        x, epochs = columns_.apply(recipe, data[0]), self._option("max_iter")
        rows, small = len(x), len(x) < SMALL
        batch = rows if small else min(self.batch_size, rows)
        sizes, dtype = columns_.embedded(recipe), "float64" if rows <= DOUBLE else "float32"
        network = self._network(x.shape[1], sizes, outputs, 0.0 if small else self._option("dropout"), seed, dtype)
        steps = epochs * -(-rows // batch)
        rate = schedules.OneCycle(max_learning_rate=self._option("learning_rate"), total_steps=steps)
        network.compile(loss, optimizers.AdamW(learning_rate=rate, beta_2=0.95, epsilon=1e-8, weight_decay=decay))
        best = Best()
        judged = None if held is None else (columns_.apply(recipe, held[0]), *held[1:])
        try:
            network.fit(x, data[1], sample_weight=data[2], epochs=epochs, batch_size=batch, shuffle=not small,
                        validation_data=judged, callbacks=[] if held is None else [best], verbose=0)  # fmt: skip
        except NumericalError as error:
            raise _diverged(error) from error
        return (0.0, epochs, network) if held is None else (best.lowest, best.epoch, network)

    def _network(
        self, inputs: int, sizes: list[int], outputs: int, dropout: float, seed: int, dtype: str
    ) -> Sequential:
        layers: list[Any] = []
        if sizes:
            places = tuple(range(inputs - len(sizes), inputs))
            layers.append(Categorical(places, EMBEDDING, tuple(sizes), initializers.RandomNormal(stddev=1.0)))
        units = self._option("hidden_layer_sizes")
        for size in units if hasattr(units, "__iter__") else [units]:
            layers.append(Dense(int(size), activation=self._recipe_["activation"]))
            layers += [Dropout(dropout)] if dropout else []
        return Sequential([*layers, Dense(outputs)], seed=seed, dtype=dtype)

    # ---- prediction

    def _outputs(self, X: Any, use: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The mean over members of `use` of their logits, float64."""
        check_is_fitted(self)
        limit_threads()
        inputs = columns_.apply(self.columns_, self._columns(X))
        return np.mean(
            [use(network.predict(inputs, raw=True).astype(np.float64)) for network in self.networks_], axis=0
        )

    @property
    def reports_(self) -> list[Report]:
        """What pynn found while it trained each network."""
        check_is_fitted(self)
        return [network.history.report for network in self.networks_ if network.history is not None]

    def __sklearn_is_fitted__(self) -> bool:
        return "networks_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "networks_" in state:
            state["networks_"] = [to_bytes(network) for network in state["networks_"]]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "networks_" in state:
            state["networks_"] = [from_bytes(data, {}) for data in state["networks_"]]
        super().__setstate__(state)


def _array(X: Any) -> np.ndarray:
    """An array of two dimensions as scikit-learn checks it; cells may be missing or texts."""
    if isinstance(X, list):
        X = np.asarray(X, dtype=object) if any(isinstance(cell, str) for row in X[:1] for cell in np.ravel(row)) else X
    return check_array(X, dtype=None, ensure_all_finite=False, accept_sparse=False)


def _weights(sample_weight: Any, columns: list[np.ndarray]) -> np.ndarray:
    weights = _check_sample_weight(sample_weight, columns[0][:, None].astype(object)).astype(np.float64)
    if weights.min() < 0:
        raise ArgumentValueError(f"expected sample_weight >= 0; received {weights.min():g}")
    return weights
