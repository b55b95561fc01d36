"""Train what a recipe describes: whole, for the user, or in folds, for a judgement."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import arrays
from .. import layers as layers_
from ..data import DataLoader, is_frame
from ..diagnosis.folds import Fold, Task, as_labels, folds_of
from ..diagnosis.recipe import Recipe, kind_of
from ..diagnosis.search import Outcome
from ..diagnosis.start import Named, Start, named
from ..errors import ArgumentTypeError, NumericalError, ShapeError, UnsupportedError
from ..network.network import Network
from ..report import Finding, History
from .learner import Learner

Kind = Callable[..., Any]  # what makes a model of layers: Sequential

OF_DATA = ("normalization", "batch_normalization")  # kinds of layers that hold statistics of data
SAMPLE = 1 << 26  # cells of X that are held for trials


def recipe_of(learner: Learner, arguments: Mapping[str, Any], data: Any = None) -> Recipe:
    """Return what a compiled network and arguments of `fit` say; a loader brings its own batches."""
    callbacks, network = arguments.get("callbacks") or (), learner.network
    batches: Mapping[str, Any] = vars(data) if isinstance(data, DataLoader) else arguments
    return Recipe(
        layers=tuple(layers_.nest(network.specs)), loss=learner.loss, optimizer=learner.optimizer,
        target_scaling=network.target_scaling, dtype=network.dtype.name, seed=network.seed,
        epochs=arguments.get("epochs") or 1, batch_size=batches.get("batch_size") or 32,
        shuffle=batches.get("shuffle") is not False, class_weight=arguments.get("class_weight"),
        weighted=arguments.get("sample_weight") is not None, start=start_of(learner),
        callbacks=tuple(callbacks) if isinstance(callbacks, (list, tuple)) else (callbacks,),
        mixup=arguments.get("mixup") or 0.0, on_bad_rows=batches.get("on_bad_rows"),
    )  # fmt: skip


def start_of(learner: Learner) -> Start:
    """Return what a network starts from beside its seed: tensors brought along or set by hand, and frozen layers.

    A network that was trained, or ruined, starts from its seed; its frozen layers stay.
    """
    network, found = learner.network, dict(learner.network.initial)
    if network.built:
        fresh = Network(network.specs, seed=network.seed, dtype=network.dtype)
        fresh.initial = network.initial
        fresh.build(network.inputs, network.timesteps)
        drawn = fresh.tensors
        ruined = not (np.isfinite(network.parameters).all() and np.isfinite(network.state).all())
        spent = learner.epoch > 0 or learner.steps > 0 or ruined
        for place, view in network.tensors.items():
            kept = place[0] in network.frozen
            if place[0] >= 0 and (kept or not (spent or np.array_equal(view, drawn[place]))):
                found[place] = view.copy()
    names = named(network.specs)
    tensors: dict[Named, dict[str, np.ndarray]] = {}
    for (layer, name), array in found.items():
        tensors.setdefault(names[layer], {})[name] = array
    return Start(
        tensors, {names[i]: spec for i, spec in enumerate(network.specs)},
        frozenset(name for name in tensors if name[0] not in OF_DATA), frozenset(names[i] for i in network.frozen),
    )  # fmt: skip


def build(kind: Kind, recipe: Recipe, inputs: int, metrics: Any = ()) -> Any:
    """Return the model that a recipe describes, compiled."""
    model = kind(recipe.layers, seed=recipe.seed, dtype=recipe.dtype)
    model.compile(recipe.loss, recipe.optimizer, metrics, target_scaling=recipe.target_scaling)
    if recipe.start.tensors or recipe.start.frozen:
        _begin(model._learner, recipe.start, inputs)
    return model


def _begin(learner: Learner, start: Start, inputs: int) -> None:
    """Give a network what it starts from: the tensors of layers that are still as they were, and which are frozen."""
    network = learner.network
    places = {name: index for index, name in enumerate(named(network.specs))}
    for name in start.frozen & places.keys():
        network.set_trainable(places[name], False)
    same = {name for name in places if name in start.parameters or start.specs.get(name) == network.specs[places[name]]}
    found = {(places[name], key): array for name in same for key, array in start.tensors.get(name, {}).items()}
    if inputs and not any(getattr(spec, "sizes", ()) is None for spec in network.specs):
        learner.build(inputs)
        found = {
            place: array
            for place, array in found.items()
            if getattr(network.find(*place), "shape", None) == array.shape
        }
        network.assign(found)
    network.initial = found


def fit(recipe: Recipe, model: Any, X: Any, y: Any, weights: Any = None, **more: Any) -> History:
    """Train as a recipe says; its callbacks are copied."""
    history: History = model.fit(
        X, y, epochs=recipe.epochs, batch_size=recipe.batch_size, shuffle=recipe.shuffle,
        class_weight=recipe.class_weight, sample_weight=weights if recipe.weighted else None,
        callbacks=copied(recipe.callbacks), mixup=recipe.mixup, on_bad_rows=recipe.on_bad_rows,
        **({"verbose": 0} | more),
    )  # fmt: skip
    return history


def copied(callbacks: tuple[Any, ...]) -> list[Any]:
    """Return callbacks that share nothing with those given, nor with the model that these saw last."""
    found = []
    for callback in callbacks:
        alone = copy.copy(callback)
        for name in ("model", "trainee"):
            vars(alone).pop(name, None)
        found.append(copy.deepcopy(alone))
    return found


class Trainer:
    """Trains recipes on the folds of a task, and judges them on the rows held out.

    With `permuted`, the rows trained on have one another's targets.
    """

    def __init__(self, kind: Kind, task: Task, permuted: bool = False) -> None:
        self.kind, self.task, self.permuted = kind, task, permuted

    def __call__(self, recipe: Recipe) -> Outcome:
        task, parts = self.task, list[np.ndarray]()
        findings, left = list[Finding](), list[float]()
        record: Any = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for fold in task.folds:
                model = build(self.kind, recipe, task.X.shape[1])
                weights = None if task.weights is None else task.weights[fold.train]
                try:
                    y = task.y[fold.train]
                    y = np.random.default_rng(recipe.seed).permutation(y) if self.permuted else y
                    history = fit(recipe, model, task.X[fold.train], y, weights)
                    parts.append(np.asarray(model.predict(task.X[fold.held], guard="off"), np.float64))
                except NumericalError as error:
                    found = [_of_the_user(one, task, fold) for one in (error.report.findings if error.report else ())]
                    record = record or (error.report and error.report.record)
                    return Outcome(recipe, task.errors(None), (*findings, *found), stopped=True, record=record)
                if fold is task.folds[0]:
                    findings += [_of_the_user(finding, task, fold) for finding in history.report.findings]
                    record = history.report.record
                rates = [epoch["learning_rate"] for epoch in history if epoch.get("learning_rate")]
                left += [float(np.mean(rates) / max(rates))] if rates else []
        predictions = np.concatenate(parts)
        share = float(np.mean(left)) if left else 1.0
        return Outcome(recipe, task.errors(predictions), tuple(findings), False, share, predictions, record)


def _of_the_user(finding: Finding, task: Task, fold: Fold) -> Finding:
    """Return a finding with the rows of the user's data."""
    rows = np.array([row for row in finding.rows if row < len(fold.train)], np.int64)
    return replace(finding, rows=task.named_rows(fold.train[rows]))


def materialized(
    x: Any, y: Any, target: Any = None, weights: Any = None, arguments: Mapping[str, Any] = MappingProxyType({})
) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return rows of whatever `fit` takes, as arrays: a sample where there are too many."""
    if isinstance(x, DataLoader) or target is not None or (y is None and hasattr(x, "__iter__") and not is_frame(x)):
        if not isinstance(x, DataLoader) and target is not None:
            chosen = {name: arguments[name] for name in ("categories", "exclude") if arguments.get(name)}
            x = DataLoader.from_table(x, target, dtype="float64", batch_size=1024, **chosen)
        return _collected(x)
    if np.ndim(x) == 3:
        raise UnsupportedError(
            f"expected X of shape (rows, columns) for trials, which take no sequences yet; received X of shape "
            f"{np.shape(x)}: the report of fit looks at recurrent layers"
        )
    X, y = arrays.as_inputs(x), np.asarray(y)
    if len(y) != X.shape[0]:
        raise ShapeError(f"expected y with {X.shape[0]} rows, one for each row of X; received y with {len(y)} rows")
    weights = None if weights is None else _row_weights(weights, len(y))
    most = max(1, SAMPLE // max(X.shape[1], 1))
    if X.shape[0] > most:
        rows = np.linspace(0, X.shape[0] - 1, most).astype(np.int64)
        X, y, weights = X[rows], y[rows], None if weights is None else weights[rows]
    return (X.toarray() if arrays.is_sparse(X) else np.asarray(X)), y, weights


def _row_weights(weights: Any, rows: int) -> np.ndarray:
    """Return one weight for each row."""
    return np.asarray(arrays.as_weights(np.asarray(weights, np.float64), rows))[:, 0]


def _collected(loader: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return the rows of one pass over a loader or an iterable of batches."""
    xs, ys, ws, cells = [], [], [], 0
    for batch in loader:
        x, y, *w = batch
        xs.append(np.asarray(x.toarray() if arrays.is_sparse(x) else x))
        ys.append(np.asarray(y))
        ws += [_row_weights(w[0], len(y))] if w and w[0] is not None else []
        cells += xs[-1].size
        if cells > SAMPLE:
            break
    if not xs:
        raise ArgumentTypeError("expected data with at least one batch; received none")
    return np.concatenate(xs), np.concatenate(ys), np.concatenate(ws) if ws else None


def task_of(recipe: Recipe, X: np.ndarray, y: np.ndarray, weights: Any, validation: Any, rows: int) -> Task:
    """Divide at most `rows` rows into those that train and those that judge."""
    kind = kind_of(recipe, y)
    named = as_labels(y) if kind in ("classes", "yes_no") else None
    kept = np.arange(len(X))
    if len(X) > rows:
        random = np.random.default_rng(recipe.seed)
        kept = np.sort(random.permutation(len(X))[:rows])
        X, y, weights = X[kept], y[kept], None if weights is None else weights[kept]
        named = None if named is None else named[kept]
    if validation is None:
        return Task(kind, X, y, folds_of(len(X), named, recipe.seed), weights, kept)
    Xv, yv, _ = materialized(validation[0], validation[1])
    n, more = len(X), min(len(Xv), 5000)
    fold = Fold(np.arange(n), np.arange(n, n + more))
    yv = yv.reshape(len(yv), *y.shape[1:])
    weights = None if weights is None else np.concatenate([weights, np.ones(more)])
    return Task(kind, np.concatenate([X, Xv[:more]]), np.concatenate([y, yv[:more]]), (fold,), weights, kept)
