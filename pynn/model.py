"""The front door: `Sequential`, and `load` for what it saved."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import wraps
from threading import get_ident
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from . import _core, activations, arrays, checks, losses, optimizers, runtime
from . import callbacks as callbacks_
from . import layers as layers_
from .data import DataLoader, Schema, Source, is_frame, known
from .data.sources import open_source
from .data.tables import as_targets
from .errors import (
    ArgumentTypeError,
    ArgumentValueError,
    DtypeError,
    FileFormatError,
    MissingFileError,
    NotReadyError,
    NumericalError,
    ShapeError,
    TrainingWarning,
    UnknownNameError,
)
from .lbfgs import LBFGS, get_lbfgs
from .metrics import names as metrics_
from .names import public
from .network import adapt, fills, precision
from .network.adapt import Parts
from .report import data_faults
from .report.context import Context
from .report.guard import Guard, as_guard
from .report.history import History, StepResult
from .specs import lists_arguments
from .training import checkpoint as checkpoint_
from .training import lbfgs
from .training.batches import Batches, Limited, Loaded, Streamed
from .training.evaluate import Blocks, Held, evaluate, require_finite, require_weight
from .training.progress import progress
from .training.run import Training
from .training.step import step

if TYPE_CHECKING:
    from .files.export_c import Exported

__all__ = ["BoundLayer", "Sequential", "load"]

P = ParamSpec("P")
T = TypeVar("T")


class BoundLayer:
    """A layer of a model: the arguments it was made with, and its parameters as views."""

    def __init__(self, model: Sequential, index: int, spec: layers_.Layer) -> None:
        self._model, self.index, self.spec = model, index, spec

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "spec":
            raise AttributeError(name)
        found = self._model._find(self.index, name)
        return getattr(self.spec, name) if found is None else found

    def __repr__(self) -> str:
        return repr(self.spec)

    @property
    def kernel(self) -> np.ndarray:
        """W, a writable view of shape (inputs, units)."""
        return self._model._tensor(self.index, "kernel")

    @kernel.setter
    def kernel(self, value: Any) -> None:
        self._write("kernel", value)

    @property
    def bias(self) -> np.ndarray | None:
        """b, a writable view of shape (units,); None with ``use_bias=False``."""
        return self._model._tensor(self.index, "bias") if getattr(self.spec, "use_bias", True) else None

    @bias.setter
    def bias(self, value: Any) -> None:
        self._write("bias", value)

    def adapt(self, x: Any) -> None:
        """Adapt this normalization alone; see `Sequential.adapt`.

        Parameters
        ----------
        x : array-like, memory map, DataLoader or iterable of 2-D arrays
            Inputs of the model, of shape (rows, inputs).

        Raises
        ------
        ArgumentTypeError
            This layer is no `Normalization`.
        """
        if not isinstance(self.spec, layers_.Normalization):
            raise ArgumentTypeError(f"expected a pynn.Normalization to adapt; received {self.spec!r}")
        adapt.adapt(self._model, x, self.index)

    def _write(self, name: str, value: Any) -> None:
        view, value = self._model._tensor(self.index, name), np.asarray(value)
        if value.shape != view.shape:
            raise ShapeError(
                f"expected {name} of layer {self.index} with shape {view.shape}; received {name} of shape {value.shape}"
            )
        view[...] = value


def _alone(fit: Callable[Concatenate[Sequential, P], T]) -> Callable[Concatenate[Sequential, P], T]:
    """`fit`, refused while the same model is in it, in whatever thread."""

    @wraps(fit)
    def alone(self: Sequential, *args: P.args, **arguments: P.kwargs) -> T:
        process, mine = os.getpid(), [get_ident()]
        running = self._fits.setdefault(process, mine)  # one thread gets its own back, whatever their number
        if running is not mine:
            where = "within, from a callback" if running == mine else "from another thread: train a copy there"
            raise ArgumentValueError(f"expected fit after the one that is running; received it {where}")
        try:
            return fit(self, *args, **arguments)
        finally:
            del self._fits[process]

    return alone


@public
class Sequential:
    """Layers one after another, trained with a loss and an optimizer.

    Parameters
    ----------
    layers : iterable of layers
        `Dense`, `Dropout` and the others of `pynn.layers`. The number of inputs is taken from the data, or given to
        `build`.
    seed : int in 0 ... 2**64 - 1
        Decides the initial parameters, the order of the rows and the draws of dropout. Same seed, same bits.
    dtype : "float32" or "float64"
        Of parameters and computation. Losses, norms and statistics are summed in float64 in both.

    Attributes
    ----------
    history : History or None
        Of the last `fit`.
    schema : Schema or None
        What the columns of the tables mean that it was trained on.
    stop_training : bool
        Set it to True, in a callback for instance, and `fit` ends.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = (X[:, 0] > X[:, 1]).astype(int)
    >>> model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(2)], seed=0)
    >>> model.compile(loss="softmax_cross_entropy", optimizer=pynn.Adam(learning_rate=0.01), metrics=["accuracy"])
    >>> history = model.fit(X, y, epochs=20)
    >>> bool(model.evaluate(X, y)["accuracy"] > 0.9)
    True
    """

    @lists_arguments
    def __init__(self, layers: Iterable[layers_.Layer], *, seed: int = 0, dtype: Any = "float32") -> None:
        given = [layer.spec if isinstance(layer, BoundLayer) else layer for layer in layers]
        for i, layer in enumerate(given):
            if not isinstance(layer, layers_.Layer):
                raise ArgumentTypeError(f"expected layers such as pynn.Dense(10); received layers[{i}]={layer!r}")
        specs = layers_.flatten(given)
        layers_.check_names(specs)
        if not any(isinstance(layer, layers_.Dense) for layer in specs):
            raise ArgumentValueError("expected layers with at least one pynn.Dense; received none")
        self.seed = checks.integer("seed", seed, 0, 2**64 - 1)
        self.dtype = checks.dtype("dtype", dtype)
        self.layers = tuple(BoundLayer(self, i, layer) for i, layer in enumerate(specs))
        self.loss: Any = None
        self.target_scaling: str | None = None
        self.optimizer: Any = None
        self.metrics: list[metrics_.Metric] = []
        self.history: History | None = None
        self.schema: Schema | None = None
        self.stop_training = False
        self._guard = Guard()
        self._average: tuple[float, int, int] | None = None
        self._mixup = 0.0
        self._passes: Any = None  # over the data of the fit that is running
        self._fits: dict[int, list[int]] = {}  # the thread in `fit`, by process: a child of fork has none
        self.validated: dict[str, np.ndarray] | None = None  # parameters and state, where others than the model's were
        self._core: _core.Model | None = None
        self._forget_training()

    def _forget_training(self) -> None:
        self._trainer: _core.Trainer | None = None
        self._capacity = 0
        self._epoch = 0  # that the next fit on arrays begins with
        self._chosen: tuple[Any, Any] = (None, None)  # the optimizer that the last fit began with, and ended with

    def refused(self, name: str, x: np.ndarray) -> np.ndarray:
        """Cells (row, column) of X, y or sample_weight that are not finite numbers of the model's dtype and that no
        layer takes care of."""
        specs = [layer.spec for layer in self.layers]
        scaled = self.target_scaling if name == "y" else any(isinstance(s, layers_.Normalization) for s in specs)
        cells = arrays.find_nonfinite(x, np.inf if scaled or x.dtype.itemsize < 8 else float(np.finfo(self.dtype).max))
        if name != "X" or not len(cells):
            return cells
        taken = {column: layers_.tolerates(specs, column) for column in np.unique(cells[:, 1]).tolist()}
        return cells[[not taken[column][0 if np.isnan(x[row, column]) else 1] for row, column in cells.tolist()]]

    # ---- building

    def build(self, inputs: int) -> Sequential:
        """Decide the number of inputs and fill the parameters. `fit` and `train_step` do it by the data they get.

        Building anew starts from scratch: same seed, same initial parameters.

        Parameters
        ----------
        inputs : int >= 1
            Columns of X.

        Returns
        -------
        Sequential
            This model.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            `inputs` is no such number.
        ShapeError
            Layers that cannot follow one another, a residual block that changes the number of columns for instance.
        """
        inputs = checks.integer("inputs", inputs, 1, 2**62)
        self._core = _core.Model(
            runtime.context(), inputs, [layer.spec.core for layer in self.layers], self.dtype.name, self.seed,
            self.target_scaling is not None,
        )  # fmt: skip
        self._forget_training()
        if self.loss is not None:
            self.loss.apply(self._core)
        return self

    @property
    def built(self) -> bool:
        """Whether the number of inputs is known and parameters exist."""
        return self._core is not None

    @property
    def core(self) -> _core.Model:
        """The compiled model."""
        if self._core is None:
            raise NotReadyError("expected a model that was built; call fit, or build(inputs) first")
        return self._core

    @property
    def inputs(self) -> int:
        """Columns of X."""
        return int(self.core.inputs)

    @property
    def outputs(self) -> int:
        """Columns of predictions."""
        units = [layer.spec.units for layer in self.layers if isinstance(layer.spec, layers_.Dense)]
        return units[-1]

    @property
    def parameters(self) -> np.ndarray:
        """All parameters as one writable vector: a view, valid as long as anyone holds it."""
        return np.asarray(self.core.parameters)

    def _find(self, layer: int, name: str) -> np.ndarray | None:
        """A layer's part of the parameters or the state, as a view."""
        core = self._core
        for tensors, whole in () if core is None else ((core.tensors, core.parameters), (core.states, core.state)):
            for part, index, offset, rows, columns in tensors:
                if index == layer and part == name:
                    view = np.asarray(whole)[offset : offset + rows * columns]
                    return view.reshape(rows, columns) if rows > 1 or name == "kernel" else view
        return None

    def _tensor(self, layer: int, name: str) -> np.ndarray:
        self.core  # noqa: B018
        found = self._find(layer, name)
        if found is not None:
            return found
        raise AttributeError(f"layer {layer}, {self.layers[layer]!r}, has no {name}")

    def summary(self) -> None:
        """Print the layers with their outputs and numbers of parameters."""
        counts: dict[int, int] = {}
        for _, index, _, rows, columns in self._core.tensors if self._core is not None else []:
            counts[index] = counts.get(index, 0) + rows * columns
        width: Any = self.inputs if self.built else "?"
        table = [("layer", "outputs", "activation", "parameters"), ("input", str(width), "", "")]
        for layer in self.layers:
            width = getattr(layer.spec, "units", width)
            activation = getattr(layer.spec, "activation", None)
            count = f"{counts.get(layer.index, 0):,}" if self.built else "?"
            kind = f"{layer.index} {type(layer.spec).__name__}"
            if isinstance(layer.spec, layers_.Add):
                kind += f" (input of {layer.index - layer.spec.layers})"
            table.append((kind, str(width), activation.name if activation is not None else "", count))
        widths = [max(len(row[i]) for row in table) for i in range(4)]
        for row in table:
            cells = [
                cell.ljust(w) if i in (0, 2) else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ]
            print("  ".join(cells).rstrip())
        total = f"{len(self.parameters):,} parameters" if self.built else "not built yet"
        print(f"{total}, {self.dtype.name}, seed {self.seed}")

    # ---- training

    @lists_arguments
    def compile(
        self, loss: Any, optimizer: Any = "adam", metrics: Iterable[Any] = (), *, target_scaling: str | None = None
    ) -> None:
        """Choose what to train for and how. Parameters stay; the optimizer's state and the count of epochs start anew.

        Parameters
        ----------
        loss : str or loss
            ``"softmax_cross_entropy"``, ``"mse"``, ``pynn.losses.Huber(delta=2.0)``, ... Names are taken in any case.
        optimizer : str or optimizer
            ``"adam"``, ``pynn.SGD(learning_rate=0.1, momentum=0.9)``, ... ``compile("adam", "mse")``, the order of
            Keras, is understood.
        metrics : iterable of str, Metric or callable
            ``"accuracy"``, ``"f1"``, ``pynn.metrics.TopKAccuracy(k=3)``, a function ``f(y_true, y_pred)``, a scorer of
            scikit-learn, ...; see `pynn.metrics`. The model keeps copies.
        target_scaling : "standard", "minmax" or None
            Learn ``(y - shift) / spread`` of each column of y: mean and standard deviation, or minimum and range, of
            the first data that `fit` gets. The loss is of scaled targets; predictions and metrics are in the units of
            y, also in a C program that loads the model. For losses of numbers, such as "mse".

        Raises
        ------
        UnknownNameError
            A name that is none; the message lists those there are.
        ArgumentTypeError, ArgumentValueError
            What is no loss, optimizer or metric, or a `target_scaling` or metric that does not go with the loss.
        ShapeError
            A last layer whose width does not go with the loss.
        """
        loss, optimizer = _in_order(loss, optimizer)
        loss, optimizer = losses.get(loss), get_lbfgs(optimizer) or optimizers.get(optimizer)
        chosen = metrics_.of_model(metrics, loss)
        self._check_pairs(loss, chosen)
        if target_scaling not in (None, "standard", "minmax"):
            raise UnknownNameError(
                f"expected target_scaling as 'standard', 'minmax' or None; received target_scaling={target_scaling!r}"
            )
        of_numbers = loss.row["link"] == "linear" and not (loss.row["pairs"] or loss.row["signs"])
        if target_scaling is not None and not of_numbers:
            raise ArgumentValueError(
                f"expected target_scaling with a loss whose predictions are its logits, in the units of y; "
                f"received loss={loss.name!r}"
            )
        if self._core is not None and self._core.target_scaling != (target_scaling is not None):
            self._core = runtime.twin(self._core, target_scaling=target_scaling is not None)
        if self._core is not None:
            loss.apply(self._core)
        self.loss, self.optimizer, self.metrics, self.target_scaling = loss, optimizer, chosen, target_scaling
        self._forget_training()

    def _check_class_weight(self, table: Any) -> None:
        """Weights are of classes that the last layer tells apart."""
        units = next((layer.spec.units for layer in reversed(self.layers) if hasattr(layer.spec, "units")), 0)
        classes = {"softmax": units, "sigmoid": 2 if units == 1 else 0}.get(self.loss.row["link"], 0)
        if table is None or not classes:
            return
        unknown = [label for label in table[0].tolist() if label not in range(classes)]
        if unknown:
            raise ArgumentValueError(
                f"expected class_weight of classes in 0 ... {classes - 1}; received the class {unknown[0]:g}"
            )

    def _check_pairs(self, loss: Any, metrics: list[Any]) -> None:
        """A loss of pairs needs an even number of outputs, and no metric knows what to do with them."""
        if not loss.row["pairs"]:
            return
        units = next((layer.units for layer in reversed(self.layers) if hasattr(layer, "units")), 0)
        if units % 2:
            raise ShapeError(
                f"expected a last layer with an even number of units for the loss {loss.name!r}, one mean and one "
                f"log-variance for each target; received units={units}"
            )
        if metrics:
            raise ArgumentValueError(
                f"expected no metrics with the loss {loss.name!r}, whose predictions are means and log-variances; "
                f"received metrics={[metric.name for metric in metrics]}"
            )

    def adapt(self, x: Any) -> None:
        """Let data decide what layers take from them: normalizations and the sizes of categories.

        All normalizations are adapted anew, each to what the layers below it make of the data; `fit` adapts those
        that were not. ``model.layers[i].adapt(x)`` adapts one. Parameters stay, unless sizes of categories are
        learned, which builds the model.

        Parameters
        ----------
        x : array-like, memory map, DataLoader or iterable of 2-D arrays
            One pass in bounded memory for each layer, however many rows there are.

        Raises
        ------
        NonfiniteDataError
            A cell that is NaN or infinite, in a column that does not tolerate it; layers before it stay adapted.
        ShapeError, DtypeError, ArgumentValueError
            Not the columns that the model was built for, not numbers, or no rows at all.
        """
        parts = adapt.parts(x)
        self._learn_sizes(parts)
        if not self.built:
            first = next(iter(parts()), None)
            if first is None:
                raise ArgumentValueError("expected data with at least one row to adapt to; received none")
            self.build(arrays.as_matrix(first[0]).shape[1])
        for layer in self.layers:
            if isinstance(layer.spec, layers_.Normalization):
                adapt.adapt(self, x, layer.index)

    def update_moments(self, x: Any = None) -> None:
        """Moving means and variances of `BatchNormalization` from one pass over data, for the parameters as they are.

        Needed after parameters were set by hand, to an average of those of many steps for instance; `EMA` and `SWA` do
        it by themselves. Each layer sees what the layers below it, those of prediction, make of all rows: so
        nothing depends on batches. PyTorch's ``update_bn`` with one batch, but for its variance of n - 1 rows.

        Parameters
        ----------
        x : array-like, memory map, DataLoader or iterable of 2-D arrays
            Passed over once for each such layer, in bounded memory. None: the data that `fit` is training on.
        """
        data = self._passes if x is None else adapt.parts(x)
        if data is None:
            raise NotReadyError("expected x, data to take moments from; received none, and no fit on data that can be "
                                "passed over again is running")  # fmt: skip
        adapt.update_moments(self, data)

    def _learn_sizes(self, parts: Parts) -> None:
        for index, sizes in adapt.learn_sizes(self, parts).items():
            spec: Any = self.layers[index].spec
            self.layers[index].spec = replace(spec, sizes=sizes)

    def _adapt_to(self, loader: Any, batches: Batches) -> None:
        """What waits for data takes them from those of `fit`."""
        if not adapt.needed(self):
            return
        parts = adapt.parts(loader)
        self._learn_sizes(parts)
        inputs = batches.inputs
        if not self.built:
            self.build(inputs or arrays.as_matrix(next(iter(parts()))[0]).shape[1])
        whole = getattr(batches, "data", None)
        adapt.adapt(self, parts if whole is None else whole[0])
        if self.target_scaling is not None and not adapt.targets_ready(self):
            adapt.adapt_targets(self, parts() if whole is None else [(None, arrays.there(*whole[1:]))])

    @property
    def learning_rate(self) -> float:
        """Of the next step; assign to change it, unless the optimizer follows a schedule."""
        optimizer = self._compiled().optimizer
        if optimizer.schedule is None:
            return float(optimizer.learning_rate)
        return float(self._trainer.learning_rate if self._trainer is not None else optimizer.schedule(0))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if isinstance(self._compiled().optimizer, LBFGS):
            raise ArgumentValueError("expected an optimizer with a learning rate; received LBFGS, which has none")
        if self.optimizer.schedule is not None:
            raise ArgumentValueError(
                f"expected an optimizer whose learning rate is a number; received one that follows "
                f"{self.optimizer.schedule!r}: compile with a number to set it by hand"
            )
        optimizer = replace(self.optimizer, learning_rate=value)
        if self._trainer is not None:
            self._trainer.learning_rate = optimizer.learning_rate
        self.optimizer = optimizer

    def keep_learning_rate(self) -> None:
        """What rollbacks have left of a constant learning rate is the optimizer's from now on."""
        rate = self.trainer(1).learning_rate
        if self.optimizer.schedule is None and rate != self.optimizer.learning_rate:
            self.optimizer = replace(self.optimizer, learning_rate=rate)

    def _compiled(self) -> Sequential:
        if self.loss is None:
            raise NotReadyError("expected a compiled model; call compile(loss=..., optimizer=...) first")
        return self

    def trainer(self, batch_size: int) -> _core.Trainer:
        """The compiled trainer, with room for batches of `batch_size` rows. A larger one takes over the state."""
        if self._trainer is None or self._capacity < batch_size:
            clip = self._compiled().optimizer.global_clipnorm or 0.0
            new = _core.Trainer(
                self.core, self.optimizer.core, batch_size, clip, self.seed, guard=self._guard.to_dict()
            )
            if self.optimizer.schedule is not None:
                new.set_schedule(self.optimizer.schedule.core_schedule)
            new.set_average(self._average)
            new.set_mixup(self._mixup)
            new.set_raw_predictions(precision.scales_in_double(self.core))
            if self._trainer is not None:
                _core.Checkpoint(self._trainer).restore(new)
            self._trainer, self._capacity = new, batch_size
        return self._trainer

    def use_average(self, average: tuple[float, int, int] | None) -> None:
        """Average the parameters from now on: (decay, start, every); None: no longer. See `EMA`, `SWA`."""
        if self._trainer is not None:
            self._trainer.set_average(average)
        self._average = average

    @property
    def averages(self) -> bool:
        """Whether an average of the parameters is kept."""
        return self._average is not None

    def use_mixup(self, alpha: float) -> None:
        """Mix the rows of batches from now on; 0: not. See `fit`."""
        if self._trainer is not None:
            self._trainer.set_mixup(alpha)
        self._mixup = alpha

    def use_guard(self, guard: Guard) -> None:
        """Steps are guarded like this from now on, by a guard that has seen nothing yet."""
        self._guard = guard
        if self._trainer is not None:
            self._trainer.set_guard(guard.to_dict())

    def statistics(self, layer: int) -> dict[str, float]:
        """What the last step that took statistics saw in a layer (see ``Guard.check_every``); empty when none did yet.

        ``mean``, ``std``, ``largest`` of its values, the shares ``zeros``, ``saturated``, ``tiny`` (below 1e-19) of
        them and ``dead`` of its units over the epoch, ``gradient_rms``, ``weight_norm``, ``update_ratio`` (of the
        update's norm to the weights') and ``updates_lost``, the share of weights whose update was below half an ulp.

        Parameters
        ----------
        layer : int
            Index of the layer, from 0.

        Returns
        -------
        dict of str -> float
            Also ``step``, at which they were taken.
        """
        layer = checks.integer("layer", layer, 0, len(self.layers) - 1)
        found = {} if self._trainer is None else self._trainer.statistics(layer)
        return found if found.get("step") else {}

    @_alone
    @lists_arguments
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        target: str | Sequence[str] | None = None,
        categories: Iterable[str] = (),
        exclude: Iterable[str] = (),
        sample_weight: Any = None,
        class_weight: Any = None,
        on_bad_rows: str | None = None,
        steps_per_epoch: int | None = None,
        validation_data: Any = None,
        validation_split: float = 0.0,
        initial_epoch: int = 0,
        mixup: float = 0.0,
        callbacks: Sequence[callbacks_.Callback] = (),
        verbose: Any = "auto",
        guard: Any = "raise",
        checkpoint: Any = None,
        resume: bool = False,
    ) -> History:
        """Train for some epochs.

        Parameters
        ----------
        x : array-like of shape (rows, inputs), table, DataLoader, or iterable of batches
            A table is a data frame or the path of a CSV or Parquet file, and needs `target`. Scipy's sparse matrices
            stay sparse. Paths of ``.npy`` and IDX files and PyTorch's data sets will do too. A loader brings its own
            `y`, weights, batch size and shuffling. Any other iterable that can be iterated once an epoch and yields
            ``(xb, yb)`` or ``(xb, yb, wb)`` will do.
        y : array-like
            Class labels (rows,) or (rows, 1), or numbers (rows,), (rows, 1), (rows, outputs).
        target, categories, exclude
            Of a table: the column to predict, or several, columns to take as categories, columns to leave out; see
            `DataLoader.from_table`. Columns are coded as in the first `fit`; `schema` keeps how, for `predict` and
            `evaluate` on tables with the same columns.
        epochs : int
            How many more; with `initial_epoch` the number to stop before.
        batch_size : int
            Rows in a step; the last of an epoch may have fewer.
        shuffle : bool
            A new order in each epoch, by the model's seed.
        sample_weight : array-like of shape (rows,), or the name of a table's column, optional
            What each row's loss is multiplied by, >= 0. The target of a row of weight 0 may be NaN; its X goes
            through the layers, and counts for those that normalize by batches.
        class_weight : dict of weights by class, or "balanced", optional
            What it is multiplied by besides, in training and validation, loss and metrics; see `DataLoader`. A loader
            for validation that has weights by class keeps its own.
        on_bad_rows : "error", "skip", "impute" or "median", optional
            What is done about rows of X with missing or infinite cells, in validation too, with the values of the rows
            trained on; see `DataLoader`. None: they are refused.
        steps_per_epoch : int, optional
            Steps in an epoch. The next epoch goes on with the batches that follow; data begin anew when they end.
            Needed for data without an end.
        validation_data : (X, y), (X, y, sample_weight), DataLoader, table or iterable of batches, optional
            Evaluated after each epoch.
        validation_split : float in [0, 1)
            Instead: keep this share of the rows, the last ones, for validation: of arrays, of files and tables too.
        initial_epoch : int
            Number of the first epoch: for the order of the rows, callbacks and progress.
        mixup : float >= 0
            Train on mixtures: row i of a batch becomes share x_i + (1 - share) x_j with another row j, targets and
            weights alike, labels as probabilities, share drawn from Beta(mixup, mixup) for each step. Metrics of an
            epoch are of the mixed rows against their own targets. 0: not. Zhang et al., ICLR 2018.
        callbacks : sequence of Callback
        guard : "raise", "skip", "rollback", "off" or Guard
            What is done about a step that would not be finite, or about a loss that runs away.
        checkpoint : str, path or Checkpoint, optional
            A file to keep the run in: every 60 seconds, or as a `Checkpoint` says, at the end and at Ctrl-C.
            An earlier run's, when it is not gone on with, is kept as ``path.1``; what is no checkpoint is refused.
        resume : bool
            Go on with the run that `checkpoint` holds, if it is there: a run that was killed at any moment ends with
            the bits of one that never stopped, in model, history and callbacks. Model, data and settings must be the
            same but for `epochs`, which counts the whole run: more go on, a run that has them returns at once.
        verbose : "auto", 0, 1 or 2
            Nothing, a bar or lines on stderr; "auto" is a bar on a terminal and nothing elsewhere.

        Returns
        -------
        History
            Also ``model.history``. Ctrl-C ends training between two steps, keeps the model as the last step left it and
            returns what there is, with ``interrupted=True``; a second Ctrl-C after that is the program's own.

        Raises
        ------
        NumericalError
            A cell of the data is not finite, or a step would not have been; the model is as it was before that step.
        ShapeError, DtypeError, LabelError
            The data do not fit the model; nothing was changed.
        """
        self._compiled()
        epochs = checks.integer("epochs", epochs, 1, 2**31)
        initial_epoch = checks.integer("initial_epoch", initial_epoch, 0, epochs - 1)
        callbacks = _callbacks(callbacks)
        mixup = checks.number("mixup", mixup, 0, 1e6)
        guard = as_guard(guard)
        show = progress(verbose)
        if target is None and (isinstance(x, DataLoader) or (y is None and _is_batches(x))):
            _refuse_beside(
                x, y=y, sample_weight=sample_weight, class_weight=class_weight, on_bad_rows=on_bad_rows,
                validation_split=validation_split or None,
            )  # fmt: skip
            if epochs - initial_epoch > 1 and hasattr(x, "__next__") and steps_per_epoch is None:
                raise ArgumentTypeError(
                    f"expected batches that can be iterated once for each of {epochs} epochs; received an iterator, "
                    "which runs out: pass a pynn.DataLoader or another object whose __iter__ starts anew"
                )
            loader = x
        else:
            options: dict[str, Any] = {
                "batch_size": checks.integer("batch_size", batch_size, 1),
                "shuffle": checks.boolean("shuffle", shuffle),
                "seed": self.seed, "class_weight": class_weight, "on_bad_rows": on_bad_rows,
            }  # fmt: skip
            if target is not None or _is_source(x):
                source = self._open(x, y, sample_weight, target, categories, exclude)
            else:
                x, (y, classes) = known.inputs(x, self._known), known.labels(y, self.loss, self._known)
                source = open_source(*_checked(x, y, sample_weight))
                source = known.learned(source, x, classes, self._known)
            source, held = _split(source, validation_split, validation_data)
            loader = DataLoader(source, **options)
            if held is None and on_bad_rows is not None and isinstance(validation_data, (tuple, list)):
                held = open_source(*_checked(*self._recognised(loader.schema, *_triple(validation_data))))
            validation_data = validation_data if held is None else loader.held_out(held)
            loader.set_epoch(initial_epoch or self._epoch)
        schema = getattr(loader, "schema", None)
        names = schema and schema.names
        known.require_units(schema, self.outputs, self.loss)
        if isinstance(loader, DataLoader):
            known.loaded(loader, self._known)
        with Context(names=names):
            batches = self._batches(loader, guard)
        schema = known.merge(schema, self.schema)
        self._check_class_weight(getattr(loader, "class_weight", None))
        self._adapt_to(loader, batches)
        if epochs - initial_epoch > 1 and hasattr(validation_data, "__next__"):
            raise ArgumentTypeError(
                f"expected validation_data that can be iterated once for each of {epochs - initial_epoch} epochs; "
                "received an iterator, which runs out: pass (X, y), a pynn.DataLoader or another object whose __iter__ "
                "starts anew"
            )
        with Context(data="validation"):
            weights = getattr(loader, "class_weight", None)
            validation = self._validation(validation_data, batches.inputs, weights, schema)
            if isinstance(validation, list):
                require_weight(validation[0][2] is None or bool(validation[0][2].any()))
            if guard.policy != "off" and isinstance(validation, list):
                require_finite(self, validation[0][:3], validation[0][3])
        self.schema = schema
        if not self.built and batches.inputs is not None:
            self.build(batches.inputs)
        if steps_per_epoch is not None:
            batches = Limited(batches, checks.integer("steps_per_epoch", steps_per_epoch, 1, 2**62))
        if mixup and isinstance(self.optimizer, LBFGS):
            raise ArgumentValueError(f"expected mixup=0 with LBFGS, whose loss has to stay the same; received {mixup=}")
        base = initial_epoch or self._epoch
        kind = lbfgs.FullBatch if isinstance(self.optimizer, LBFGS) else Training
        training = kind(self, batches, validation, range(initial_epoch, epochs), callbacks, show, guard, base)
        chosen = self._chosen[0] if self._chosen[1] is self.optimizer else self.optimizer
        kept = None
        if checkpoint is not None:
            training.saver = self._saver(checkpoint, training, chosen, mixup)
            if checks.boolean("resume", resume):
                kept = training.saver.load()
            else:
                training.saver.begin_anew()
        elif resume:
            raise ArgumentValueError("expected checkpoint, the file to go on from, with resume=True; received none")
        if isinstance(batches, Loaded):
            self._passes = adapt.parts(loader if batches.data is None else batches.data[0])
        try:
            self.use_mixup(mixup)
            with Context(names=names):
                return training.run(kept)
        finally:  # the epochs finished count, however the run ended
            self._passes, self.validated = None, None
            self._chosen = chosen, self.optimizer
            self.use_mixup(0.0)
            if loader is not x:
                self._epoch = training.base + len(training.history)

    def _saver(self, checkpoint: Any, training: Training, chosen: Any, mixup: float) -> checkpoint_.Saver:
        """What keeps a run in a file, with a description of all that must be the same to go on with it."""
        validation = training.validation
        if isinstance(validation, list):
            held: Any = [[checkpoint_.fingerprint(part) for part in parts[:3]] for parts in validation]
        else:
            held = None if validation is None else type(validation).__name__
        run = {
            "guard": training.guard.to_dict(),
            "callbacks": [checkpoint_.choices(callback) for callback in training.callbacks],
            "data": training.batches.describe(),
            "validation_data": held,
            "mixup": mixup,
            "initial_epoch": training.epochs.start,
        }
        return checkpoint_.Saver(checkpoint_.checkpoint(checkpoint), self, checkpoint_.describe(self, chosen, run))

    def _open(
        self, x: Any, y: Any, weights: Any, target: Any, categories: Iterable[str], exclude: Iterable[str]
    ) -> Source:
        """A table, or what else is read where it lies."""
        if target is None:
            if y is None and _is_path(x):
                raise ArgumentTypeError(
                    f"expected target, the column of {_shown(x)} to predict, or y; received neither"
                )
            return open_source(x, y, weights)
        for name, given in (("y", y), ("sample_weight", None if isinstance(weights, str) else weights)):
            if given is not None:
                raise ArgumentTypeError(f"expected target or {name}; received both")
        same = self._known if self._known is not None and self._known.targets == as_targets(target) else None
        loader = DataLoader.from_table(
            x, target, sample_weight=weights, categories=categories, exclude=exclude, schema=same, dtype="float64",
            task="classification" if self.loss.row["labels"] else None,
        )  # fmt: skip
        classes = loader.schema.classes if loader.schema else None
        if classes and len(classes) > 2 and not self.loss.row["labels"]:
            raise DtypeError(
                f"expected a target of numbers with the loss {self.loss.name!r}; received texts in column {target!r}, "
                f"such as {classes[0]!r}: softmax_cross_entropy learns classes"
            )
        return loader.source

    def _table(self, x: Any, schema: Schema | None, target: bool = True) -> DataLoader | None:
        """A loader of a table by the columns known; None for what is no table."""
        if schema is None or not schema.names or not (_is_path(x) or (is_frame(x) and schema.reads_tables)):
            return None
        schema = schema if target else schema.without_targets()
        bad = None if schema.fill is None else "impute"
        return DataLoader.from_table(x, schema=schema, dtype="float64", batch_size=1024, on_bad_rows=bad)

    @property
    def _known(self) -> Schema | None:
        """What the model knows of its data, once it was built."""
        return self.schema if self.built else None

    def _recognised(self, schema: Schema | None, x: Any, y: Any, weights: Any) -> tuple[Any, Any, Any]:
        """X with columns and cells as in training, and y with labels as in training."""
        return known.filled(known.inputs(x, schema), schema), known.encode(y, schema), weights

    def _batches(self, loader: Any, guard: Guard) -> Batches:
        """What the loop trains on, checked as far as it lies in memory; cells that are not finite are left to a guard
        that passes over them."""
        if not isinstance(loader, DataLoader):
            return Streamed(loader)
        if loader.whole is None:
            return Loaded(loader, None)
        data = self._check_data(*loader.whole)
        require_weight(data[2] is None or bool(data[2].any()))
        if guard.policy == "raise" and loader.on_bad_rows != "skip":
            require_finite(self, data)
        return Loaded(loader, data)

    def _validation(self, data: Any, inputs: int | None, class_weight: Any, schema: Schema | None) -> Any:
        """What is evaluated after each epoch, checked as far as it lies in memory; weighted like the training data."""
        if data is None:
            return None
        if isinstance(data, DataLoader):
            return self._parts(data.weighed(class_weight), inputs, schema)
        weights = None if class_weight is None else dict(zip(*(part.tolist() for part in class_weight), strict=True))
        if (table := self._table(data, schema)) is not None:
            table.class_weight = class_weight
            return self._parts(table, inputs, schema)
        if _is_batches(data):
            return Held(self, data, class_weight)
        return self._arrays(*self._recognised(schema, *_triple(data)), weights, inputs)

    def _arrays(self, x: Any, y: Any, weights: Any, class_weight: Any, inputs: int | None = None) -> Any:
        """Arrays to evaluate on."""
        if class_weight is None:
            return [(*self._check_data(x, y, weights, inputs), None)]
        return self._parts(DataLoader(x, y, sample_weight=weights, class_weight=class_weight), inputs)

    def _parts(self, loader: DataLoader, inputs: int | None = None, schema: Schema | None = None) -> Any:
        """Rows of a loader to evaluate on."""
        schema = schema or self.schema
        loader = known.loaded(loader, schema)
        if loader.whole is None or not loader.plain:
            return Blocks(self, loader)
        source: Any = loader.source
        numbers = np.arange(source.first, source.first + source.rows) if source.first else None
        x, y, weights = loader.whole
        return [(*self._check_data(known.filled(x, schema), y, weights, inputs, numbers), numbers)]

    def _check_data(
        self, x: Any, y: Any, weights: Any = None, inputs: int | None = None, numbers: Any = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """X, y and weights as the core reads them; `numbers` are the rows' for the caller."""
        self._compiled()
        x = arrays.as_inputs(x, self.inputs if self.built else inputs)
        if y is None:
            raise ArgumentTypeError("expected y, the targets; received y=None")
        y = arrays.as_targets(y, x.shape[0], self.outputs, self.loss, numbers)
        return x, y, arrays.as_weights(weights, x.shape[0], numbers)

    def check_batch(
        self, x: Any, y: Any = None, weights: Any = None, numbers: Any = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """A batch as the core reads it; the first one decides the number of inputs."""
        data = self._check_data(x, y, weights, None, numbers)
        if not self.built:
            self.build(data[0].shape[1])
        return data

    def train_step(self, x: Any, y: Any, sample_weight: Any = None, *, guard: Any = "raise") -> StepResult:
        """One step on all rows of `x`: forward, loss, backward, update.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`.
        guard : "raise", "skip", "rollback", "off" or Guard
            Under ``"rollback"`` a refused step restores a good state and lowers the learning rate.

        Returns
        -------
        StepResult
            With ``applied=False`` and a finding (and a `TrainingWarning`) when the update would not have been finite;
            the model is unchanged then.

        Raises
        ------
        ShapeError, DtypeError, LabelError
            Data that do not go with the model or its loss.
        NotReadyError
            The model was not compiled.
        ArgumentValueError
            The optimizer is `LBFGS`, which takes no single steps.
        """
        if isinstance(self._compiled().optimizer, LBFGS):
            raise ArgumentValueError("expected an optimizer that takes steps for train_step; received LBFGS: use fit")
        guard, rows = as_guard(guard), getattr(x, "rows", None)
        if guard != self._guard:
            self.use_guard(guard)
        x, y = known.inputs(x, self._known), known.encode(y, self._known)
        return step(self, *self.check_batch(x, y, sample_weight), rows)

    # ---- using

    def predict(self, x: Any, raw: bool = False, *, guard: Any = "raise") -> np.ndarray:
        """Predict every row: an array (rows, outputs) in the model's dtype.

        With a loss, its link is applied: softmax turns logits into probabilities, for instance. Under `target_scaling`
        a float32 model predicts in float64 where float32 has too few steps: for targets whose distance from 0 is more
        than 8192 times their spread. Threads may predict at the same time. A row's result does not depend on the rows
        around it, to the last bit.

        Parameters
        ----------
        x : array-like of shape (rows, inputs), or a table with the columns trained on
            A row with cells that are not finite may give anything, NaN as a rule.
        raw : bool
            Logits, before the link.
        guard : "raise" or "off"
            ``"off"``: finite rows may give predictions that are not finite, as arithmetic has it.

        Raises
        ------
        NumericalError
            A row of finite cells met a value that is not finite on its way; `report` names row, layer and unit.
        """
        core, guarded = self.core, guard == "raise" or as_guard(guard).policy != "off"
        if (table := self._table(x, self.schema, target=False)) is not None:
            return np.concatenate([self.predict(block.x, raw, guard=guard) for block in table.blocks(0)])
        x = arrays.as_inputs(known.inputs(x, self.schema), core.inputs, empty=True)
        double = not raw and precision.scales_in_double(core)
        out = np.empty((x.shape[0], core.outputs), np.float64 if double else self.dtype)
        for first in range(0, x.shape[0], 1 << 16):  # so that Ctrl-C is heard
            part = slice(first, first + (1 << 16))
            try:
                precision.predict(core, known.filled(x[part], self.schema), out[part], raw, guarded)
            except NumericalError as error:
                raise data_faults.bad_prediction(error, first) from None
        return out

    def classify(self, x: Any) -> np.ndarray:
        """Return the likeliest class of every row: its name where y had names, else its label.

        Parameters
        ----------
        x : as for `predict`

        Returns
        -------
        ndarray
            Of shape (rows,); for several sigmoids (rows, outputs), 1 for each output that is likelier than not.

        Raises
        ------
        DtypeError
            The loss is none of classes.
        """
        link = None if self.loss is None else self.loss.row["link"]
        if link not in ("softmax", "sigmoid"):
            raise DtypeError(f"expected a loss of classes, such as softmax_cross_entropy; received loss={self.loss!r}")
        chosen = self.predict(x)
        several = link == "sigmoid" and self.outputs > 1
        labels = chosen.argmax(1) if link == "softmax" else (chosen > 0.5).astype(np.int64)
        labels = labels if several or link == "softmax" else labels[:, 0]
        classes = self.schema.classes if self.schema is not None else None
        return labels if classes is None or several else np.array(classes)[labels]

    def evaluate(
        self, x: Any, y: Any = None, *, sample_weight: Any = None, class_weight: Any = None, guard: Any = "raise"
    ) -> dict[str, float]:
        """Loss and metrics over all rows, without dropout: ``{"loss": ..., "accuracy": ...}``.

        Memory is bounded however many rows there are.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As for `fit`; `x` may be a `DataLoader` or an iterable of batches too, which bring the others, or a table
            with the columns trained on.
        guard : "raise" or "off"
            With ``"off"``, numbers that are not finite go into the result.

        Returns
        -------
        dict of str -> float
            ``"loss"``, the mean over all rows of weight times loss and what regularisers add, and each metric.

        Raises
        ------
        NumericalError
            A number that is not finite, in the data or on its way through the model; `report` names it.
        ShapeError, DtypeError, LabelError
            Data that do not go with the model or its loss.
        NotReadyError
            The model was not built, or not compiled.
        """
        self.core  # noqa: B018
        guarded = as_guard(guard).policy != "off"
        if y is None and (table := self._table(x, self.schema)) is not None:
            _refuse_beside(x, "arrays", sample_weight=sample_weight)
            table.weigh_classes(class_weight)
            parts = self._parts(table)
        elif isinstance(x, DataLoader) or (y is None and _is_batches(x)):
            _refuse_beside(x, y=y, sample_weight=sample_weight, class_weight=class_weight)
            parts = self._parts(x) if isinstance(x, DataLoader) else Held(self, x)
        else:
            with Context(on_bad_rows=False):
                x, y, sample_weight = self._recognised(self.schema, x, y, sample_weight)
                parts = self._arrays(x, y, sample_weight, known.by_label(class_weight, self.schema))
        with Context(on_bad_rows=False):
            return evaluate(self, parts, guarded=guarded)

    # ---- keeping

    def to_dict(self) -> dict[str, Any]:
        """Layers, seed, dtype and what `compile` chose, as plain values for JSON."""
        return {
            "layers": [layer.to_dict() for layer in layers_.nest(layer.spec for layer in self.layers)],
            "seed": self.seed,
            "dtype": self.dtype.name,
            "loss": self.loss and self.loss.to_dict(),
            "optimizer": self.optimizer and self.optimizer.to_dict(),
            "metrics": [metrics_.to_dict(metric) for metric in self.metrics],
            "target_scaling": self.target_scaling,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, custom: dict[str, Any] | None = None) -> Sequential:
        """The model, not built, that `to_dict` described; `custom` as for `load`."""
        layers = [layers_.from_dict(layers_.with_functions(layer, custom)) for layer in values["layers"]]
        model = cls(layers, seed=values.get("seed", 0), dtype=values.get("dtype", "float32"))
        loss = values.get("loss")
        if loss and loss.get("custom"):
            loss = losses.resolve(loss["name"], loss["link"], custom)
        if loss:
            metrics, missing = metrics_.from_dicts(values.get("metrics") or (), custom)
            model.compile(loss, values.get("optimizer") or "adam", metrics, target_scaling=values.get("target_scaling"))
            if missing:
                warnings.warn(metrics_.missing_metrics(missing), TrainingWarning, stacklevel=2)
        return model

    @lists_arguments
    def save(self, path: Any) -> None:
        """Write the model to a safetensors file; a failure or a crash leaves an older file as it was.

        Layers, parameters, loss, optimizer and metrics are kept; the optimizer's state is not.

        Parameters
        ----------
        path : str or path
            The file; its folder must be there.

        Raises
        ------
        FileError
            A folder that is missing or read-only, a full disk: what the system says.
        NotReadyError
            The model was not built.
        """
        core, remembered = self.core, self.remembered()
        if self.schema is not None and self.schema.fill is not None:
            core, remembered["fills"] = fills.with_fills(core, self.schema.fill)
            if self.loss is not None:
                self.loss.apply(core)
        core.save(os.fsencode(checks.path("path", path)), {"python": json.dumps(remembered)})

    def remembered(self) -> dict[str, Any]:
        """What a file keeps beside the layers' numbers and the loss, as plain values."""
        categories = [(layer.index, layer.spec) for layer in self.layers if isinstance(layer.spec, layers_.Categorical)]
        return {
            "link": getattr(self.loss, "link", None),
            "optimizer": self.optimizer and self.optimizer.to_dict(),
            "metrics": [metrics_.to_dict(metric) for metric in self.metrics],
            "schema": self.schema and self.schema.to_dict(),
            "target_scaling": self.target_scaling,
            "vocabularies": {str(index): spec.vocabularies for index, spec in categories if spec.vocabularies},
        }

    def export_c(self, path: Any, **options: Any) -> Exported:
        """Write the model as one self-contained C99 header: see `pynn.export.export_c`.

        Parameters
        ----------
        path : str or path
            The header, ``"digits.h"``.
        **options
            Those of `pynn.export.export_c`: ``name``, ``weights``, ``labels``, ...

        Returns
        -------
        Exported
            Bytes of flash and of scratch memory, and what rounding costs.
        """
        from .files.export_c import export_c

        return export_c(self, path, **options)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "config": self.to_dict(),
            "metrics": self.metrics,
            "history": self.history,
            "epoch": self._epoch,
            "schema": self.schema,
        }
        functions = [self.loss, *(getattr(layer.spec, "activation", None) for layer in self.layers)]
        state["custom"] = {f.name: f for f in functions if isinstance(f, (losses.Custom, activations.Custom))}
        if self._core is not None:
            state |= {"inputs": self.inputs, "parameters": self.parameters.copy()}
            state["state"] = np.array(self._core.state)
        if self._trainer is not None:
            slots = [np.array(slot) for slot in self._trainer.slots]
            state |= {"steps": self._trainer.steps, "slots": slots, "capacity": self._capacity}
            state["rate_factor"] = self._trainer.rate_factor
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        config = state["config"] | {"metrics": ()}
        self.__dict__.update(self.from_dict(config, custom=state["custom"]).__dict__)
        self.layers = tuple(BoundLayer(self, layer.index, layer.spec) for layer in self.layers)
        if "inputs" in state:
            self.build(state["inputs"])
            self.parameters[...] = state["parameters"]
            np.asarray(self.core.state)[...] = state["state"]
        if "steps" in state:
            trainer = self.trainer(state["capacity"])
            trainer.steps, trainer.rate_factor = state["steps"], state["rate_factor"]
            for to, source in zip(trainer.slots, state["slots"], strict=True):
                np.asarray(to)[...] = source
        self.metrics, self.history, self._epoch = state["metrics"], state["history"], state["epoch"]
        for metric in self.metrics:
            metric.take_loss(self.loss)
        self.schema = state["schema"]

    def __repr__(self) -> str:
        layers = layers_.nest(layer.spec for layer in self.layers)
        return f"Sequential({layers!r}, seed={self.seed}, dtype={self.dtype.name!r})"


@public
def load(path: Any, *, custom: dict[str, Any] | None = None) -> Sequential:
    """The model that `Sequential.save` wrote, compiled as it was.

    Nothing in the file is executed or believed unchecked.

    Parameters
    ----------
    path : str or path
    custom : dict of name -> function, optional
        Custom losses, activations and metrics by the names that the file has; see `pynn.losses.Custom`,
        `pynn.activations.Custom` and `pynn.Metric`. A file never holds code. A metric that is left out is warned of,
        and left out of the model.

    Raises
    ------
    MissingFileError, FileError, FileFormatError
    UnknownNameError
        The model has a custom loss or activation that `custom` does not.
    """
    if not os.path.exists(path):
        raise MissingFileError(f"expected a model file; received path={os.fspath(path)!r}, which does not exist")
    core = _core.load(runtime.context(), os.fsencode(checks.path("path", path)))
    choices = core.layers
    for index, layer in enumerate(choices):
        if "custom_activation" in layer:
            layer["custom_activation"] = activations.resolve(layer["custom_activation"], custom)
            core.set_custom_activation(index, layer["custom_activation"])
    file = core
    try:
        remembered = json.loads(file.metadata("python") or "{}")
        if remembered.get("fills"):
            core = fills.without_fills(file, remembered["fills"])
        model = Sequential([layers_.from_core(layer) for layer in core.layers], seed=core.seed, dtype=core.dtype)
        model.schema = Schema.from_dict(remembered["schema"]) if remembered.get("schema") else None
        loss: Any = None if file.loss is None else {"name": file.loss[0], **file.loss[1]}
        link = str(remembered.get("link") or "linear")
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise FileFormatError(f"expected a model that pynn saved; received {os.fspath(path)!r} ({error})") from None
    if file.custom_loss_name is not None:
        loss = losses.resolve(file.custom_loss_name, link, custom)
    metrics, missing = metrics_.from_dicts(remembered.get("metrics") or (), custom)
    try:
        if loss is not None:
            scaling = (remembered.get("target_scaling") or "standard") if core.target_scaling else None
            model.compile(loss, remembered.get("optimizer") or "adam", metrics, target_scaling=scaling)
        for index, names in (remembered.get("vocabularies") or {}).items():
            spec: Any = model.layers[int(index)].spec
            model.layers[int(index)].spec = replace(spec, vocabularies=names)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise FileFormatError(f"expected a model that pynn saved; received {os.fspath(path)!r} ({error})") from None
    model._core = core
    if loss is not None and (core is not file or isinstance(loss, losses.Custom)):
        model.loss.apply(core)
    if missing:
        warnings.warn(metrics_.missing_metrics(missing), TrainingWarning, stacklevel=2)
    return model


def _in_order(loss: Any, optimizer: Any) -> tuple[Any, Any]:
    """Return loss and optimizer, which Keras takes the other way round."""
    if not (optimizers.is_optimizer(loss) or isinstance(loss, LBFGS) or get_lbfgs(loss)):
        return loss, optimizer
    if losses.is_loss(optimizer):
        return optimizer, loss
    raise ArgumentTypeError(
        f"expected loss, what to train for; received the optimizer loss={loss!r}: "
        f"compile(loss='mse', optimizer={loss!r})"
    )


def _checked(x: Any, y: Any, weights: Any) -> tuple[Any, Any, Any]:
    """X, y and weights as arrays with as many rows."""
    x = arrays.as_inputs(x)
    if y is None:
        raise ArgumentTypeError("expected y, the targets; received y=None")
    y = arrays.as_matrix(y, "y")
    if x.shape[0] != len(y):
        raise ShapeError(f"expected y with {x.shape[0]} rows, one for each row of X; received y with {len(y)} rows")
    weights = arrays.as_weights(weights, x.shape[0])
    if weights is not None and not weights.any():
        raise ArgumentValueError("expected sample_weight with a weight > 0; received weights that are all 0")
    return x, y, weights


def _split(source: Source, share: Any, validation: Any) -> tuple[Source, Source | None]:
    """Rows to train on and, for `validation_split`, the last rows held out."""
    share = checks.number("validation_split", share, 0, below=1)
    if not share:
        return source, None
    if validation is not None:
        raise ArgumentValueError("expected validation_data or validation_split; received both")
    rows = int(source.rows or 0)
    n = rows - int(rows * share)
    if n == rows:
        raise ArgumentValueError(
            f"expected validation_split to hold out at least one of {n} rows; received validation_split={share!r}"
        )
    return source.split(n)


def _callbacks(callbacks: Any) -> list[callbacks_.Callback]:
    found = [callbacks] if isinstance(callbacks, callbacks_.Callback) else list(callbacks or ())
    for i, callback in enumerate(found):
        if not isinstance(callback, callbacks_.Callback):
            hint = f": write {callback.__name__}()" if isinstance(callback, type) else ""
            raise ArgumentTypeError(f"expected pynn.Callback objects; received callbacks[{i}]={callback!r}{hint}")
    return found


def _triple(data: Any) -> tuple[Any, Any, Any]:
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ArgumentTypeError(
            f"expected validation_data as (X, y) or (X, y, sample_weight); received {type(data).__name__}"
        )
    return data[0], data[1], data[2] if len(data) == 3 else None


def _refuse_beside(x: Any, rule: str = "arrays, files and tables", /, **given: Any) -> None:
    """Refuse what loaders, batches and tables bring themselves."""
    for name, value in given.items():
        if value is not None:
            raise ArgumentTypeError(f"expected {name} only with {rule}; received {name} and X={type(x).__name__}")


def _is_path(x: Any) -> bool:
    return isinstance(x, (str, os.PathLike))


def _is_source(x: Any) -> bool:
    """Whether a loader should read it where it lies: paths, sparse matrices, data sets."""
    is_array = hasattr(x, "__array__") or hasattr(x, "to_numpy") or isinstance(x, (list, tuple)) or arrays.is_sparse(x)
    return _is_path(x) or (hasattr(x, "__len__") and hasattr(x, "__getitem__") and not is_array)


def _shown(x: Any) -> str:
    return repr(os.fspath(x)) if _is_path(x) else type(x).__name__


def _is_batches(x: Any) -> bool:
    return hasattr(x, "__iter__") and not hasattr(x, "__array__") and not isinstance(x, (list, tuple, str, bytes))
