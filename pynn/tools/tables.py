"""Train a network on a table: the columns prepared, the epoch chosen on rows held out, nothing else to choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import checks, initializers, optimizers, schedules
from ..callbacks import EarlyStopping
from ..data import DataLoader, Schema, Source, train_test_split
from ..data.subset import Subset
from ..data.tables import FrameSource
from ..errors import DtypeError, ShapeError
from ..layers import Categorical, Dense, Dropout, Layer, Normalization
from ..model import Sequential
from ..report import Report

__all__ = ["PRESETS", "TrainedTable", "train_table"]

SMALL, SMALL_DECAY = 100, 10.0  # rows below which nothing is held out, and the weight decay for those
HELD_OUT = 0.2
ONE_HOT, EMBEDDING = 10, 8  # most codes that get a column each, and numbers for each code of a larger category
BATCH = 256
MOST_CLASSES = 20  # whole numbers that are taken for classes
IN_MEMORY = 1 << 30  # bytes of a table that is shuffled and split as a whole


@dataclass(frozen=True)
class Preset:
    """Size of a network and length of its training."""

    units: tuple[int, ...]
    epochs: int
    dropout: float
    decays: tuple[float, ...]  # the best on the rows held out is kept


PRESETS = {
    "fast": Preset((128, 128), 32, 0.0, (1.0,)),
    "default": Preset((128, 128), 48, 0.0, (0.3, 3.0)),
    "best": Preset((256, 256), 64, 0.1, (0.3, 1.0, 3.0)),
}


@dataclass(frozen=True)
class TrainedTable:
    """A model trained on a table, and how good it is.

    Attributes
    ----------
    model : Sequential
    report : Report
        What was found in the run that is kept.
    rows, held_out, without_target : int
        Rows trained on, rows that the epoch was chosen on, rows left out as their target is missing.
    epoch : int
        The epoch that is kept.
    scores : dict of str -> float
        Loss and metrics on the rows held out; of the rows trained on where none are.
    baseline : float
        The accuracy of the most frequent class, or the RMSE of the mean, on the same rows.
    whole : bool
        Whether the table was shuffled as a whole; False: it is large, and its last rows were held out.
    """

    model: Sequential
    report: Report
    rows: int
    held_out: int
    without_target: int
    epoch: int
    scores: dict[str, float]
    baseline: float
    whole: bool


def train_table(
    table: Any,
    target: str,
    *,
    validation: Any = None,
    preset: str = "default",
    task: str | None = None,
    categories: Iterable[str] = (),
    exclude: Iterable[str] = (),
    epochs: int | None = None,
    seed: int = 0,
    verbose: Any = "auto",
    tell: Callable[[DataLoader], None] = lambda loader: None,
) -> TrainedTable:
    """Train a network for one column of a table.

    Numbers are scaled by their quartiles, missing ones filled in with medians; categories become a column for each
    value or, where they are many, embeddings. A fifth of the rows, or `validation`, decides which epoch is kept.

    Parameters
    ----------
    table, validation : path of a CSV or Parquet file, or data frame
    target : str
    preset : "fast", "default" or "best"
    task : "classification", "regression" or None
        None: texts and up to 20 consecutive whole numbers are classes.
    categories, exclude : iterable of str
        As for `DataLoader.from_table`.
    epochs : int, optional
    seed : int
    verbose : "auto", 0, 1 or 2
    tell : function
        Is given the opened table before training.
    """
    chosen = PRESETS[checks.choice("preset", preset, PRESETS)]
    loader = _opened(table, target, task, categories, exclude)
    tell(loader)
    whole = int(loader.source.rows or 0) * 8 * len(loader.source.schema.columns) <= IN_MEMORY
    source, without = _in_memory(loader) if whole else (loader.source, 0)
    training, held = source, None
    if validation is not None:
        held = DataLoader.from_table(validation, schema=source.schema, dtype="float64").source
    elif int(source.rows or 0) >= SMALL:
        training, held = _split(source, seed) if whole else source.split(round((1 - HELD_OUT) * int(source.rows or 0)))
    small = int(source.rows or 0) < SMALL
    decays = (SMALL_DECAY,) if small else chosen.decays if held is not None else chosen.decays[-1:]
    run = _Run(training, held, chosen, chosen.epochs if epochs is None else epochs, small, seed, verbose)
    _, epoch, model = min((run.train(decay) for decay in decays), key=lambda one: one[0])
    judged = DataLoader(held if held is not None else training, batch_size=1024)
    report = model.history.report if model.history is not None else Report()
    return TrainedTable(
        model, report, int(training.rows or 0), 0 if held is None else int(held.rows or 0), without, epoch,
        model.evaluate(judged), _baseline(judged, bool(source.schema.classes)), whole,
    )  # fmt: skip


def _opened(table: Any, target: str, task: str | None, categories: Iterable[str], exclude: Iterable[str]) -> DataLoader:
    """Open a table; a target of few whole numbers is one of classes, unless `task` says otherwise."""
    arguments: dict[str, Any] = {"categories": list(categories), "exclude": list(exclude), "dtype": "float64"}
    loader = DataLoader.from_table(table, target, task=task, **arguments)
    classes = loader.source.schema.classes
    if task == "regression" and classes:
        raise DtypeError(f"expected numbers in column {target!r} for a regression; received text, such as "
                         f"{classes[0]!r}")  # fmt: skip
    if task is None and not classes and _are_classes(loader.source.labels()):
        loader = DataLoader.from_table(table, target, task="classification", **arguments)
    classes = loader.source.schema.classes
    if classes is not None and len(classes) < 2:
        raise ShapeError(f"expected two classes at least in column {target!r}; received {len(classes)}")
    return loader


def _are_classes(y: np.ndarray | None) -> bool:
    """Tell whether all targets are whole numbers that follow one another, few enough to be classes."""
    if y is None:
        return False
    values = np.unique(y[np.isfinite(y)])
    few = 1 < len(values) <= MOST_CLASSES
    return bool(few and values[0] in (0, 1) and (np.diff(values) == 1).all())


def _in_memory(loader: DataLoader) -> tuple[Source, int]:
    """Return the rows that have a target, and the number of those that have none."""
    blocks = list(loader.parts())
    x, y = np.concatenate([rows.x for rows in blocks]), np.concatenate([np.asarray(rows.targets) for rows in blocks])
    source = FrameSource(x, y, None, loader.source.schema, f" of {getattr(loader.source, 'name', 'the table')}")
    there = np.flatnonzero(~np.isnan(y))
    if not len(there):
        raise ShapeError("expected rows with a target; received none")
    return (source if len(there) == len(y) else Subset(source, there)), len(y) - len(there)


def _split(source: Source, seed: int) -> tuple[Source, Source]:
    """Hold out some rows at random, with the shares of the classes where there are enough of each."""
    labels: Any = source.labels()
    rows = np.arange(int(source.rows or 0))
    counts = np.unique(labels, return_counts=True)[1] if source.schema.classes else np.array([0])
    parts = train_test_split(rows, labels, test_size=HELD_OUT, seed=seed, stratify=bool(counts.min() > 1))
    return Subset(source, np.sort(parts[0])), Subset(source, np.sort(parts[1]))


@dataclass(frozen=True)
class _Run:
    """What the runs with different weight decays share."""

    training: Source
    held: Source | None
    preset: Preset
    epochs: int
    small: bool
    seed: int
    verbose: Any

    def train(self, decay: float) -> tuple[float, int, Sequential]:
        """Return the lowest loss on the rows held out, its epoch, and the model as it was then."""
        rows = int(self.training.rows or 0)
        batch = rows if self.small else min(BATCH, rows)
        classes = self.training.schema.classes
        model = _network(self.training.schema, self.preset, self.small, self.seed)
        rate = schedules.OneCycle(
            max_learning_rate=2.5e-3 if classes else 5e-3, total_steps=self.epochs * -(-rows // batch)
        )
        optimizer = optimizers.AdamW(learning_rate=rate, beta_2=0.95, epsilon=1e-8, weight_decay=decay)
        if classes:
            model.compile("softmax_cross_entropy", optimizer, ["accuracy"])
        else:
            model.compile("mse", optimizer, ["rmse", "r2"], target_scaling="standard")
        best = EarlyStopping(patience=self.epochs, restore_best_weights=True)
        model.fit(
            DataLoader(self.training, batch_size=batch, shuffle=not self.small, seed=self.seed), epochs=self.epochs,
            validation_data=None if self.held is None else DataLoader(self.held, batch_size=1024),
            callbacks=[] if self.held is None else [best], verbose=self.verbose,
        )  # fmt: skip
        return (0.0, self.epochs, model) if self.held is None else (best.best, (best.best_epoch or 0) + 1, model)


def _network(schema: Schema, preset: Preset, small: bool, seed: int) -> Sequential:
    """Return a network that takes the columns as they are read."""
    layers: list[Layer] = []
    if schema.numbers:
        layers.append(Normalization("robust", missing="median", clip=4.0, columns=tuple(schema.numbers)))
    few = [i for i, size in schema.categories.items() if size <= ONE_HOT]
    many = [i for i, size in schema.categories.items() if size > ONE_HOT]
    if few:
        layers.append(Categorical(tuple(few), sizes=tuple(schema.categories[i] for i in few)))
    if many:
        places = tuple(i - sum(j < i for j in few) for i in many)
        sizes = tuple(schema.categories[i] for i in many)
        layers.append(Categorical(places, EMBEDDING, sizes, initializers.RandomNormal(stddev=1.0)))
    for units in preset.units:
        layers.append(Dense(units, activation="selu" if schema.classes else "mish"))
        layers += [Dropout(preset.dropout)] if preset.dropout and not small else []
    return Sequential([*layers, Dense(len(schema.classes) if schema.classes else 1)], seed=seed)


def _baseline(rows: DataLoader, classes: bool) -> float:
    """Return the accuracy of the most frequent class, or the RMSE of the mean."""
    y = np.concatenate([np.asarray(block.targets, np.float64).ravel() for block in rows.parts()])
    return float(np.unique(y, return_counts=True)[1].max() / len(y)) if classes else float(y.std())
