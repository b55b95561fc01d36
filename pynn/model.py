"""The front door: `Sequential`."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from . import _core, checks
from . import layers as layers_
from .callbacks.base import Callback
from .errors import TrainingWarning
from .files.exports import Exports
from .files.interchange import Interchange
from .files.save import save
from .layers.input import without_input
from .metrics.names import missing_metrics
from .names import public
from .network.bound import BoundLayer, bring_tensors
from .network.network import Network
from .network.predict import classify, predict
from .network.settable import require_settable
from .network.summary import summary
from .report.guard import as_guard
from .report.history import History, StepResult
from .specs import lists_arguments
from .training import inputs as inputs_
from .training import pickled
from .training.building import Building
from .training.distributed import train
from .training.learner import Learner, takes_optimizer_first
from .training.prepare import Arguments, prepare
from .training.progress import require_habits
from .training.repair import run_or_repair
from .training.step import step

__all__ = ["BoundLayer", "Sequential"]


def draw_seed() -> int:
    """Draw a seed for a model that is given none."""
    return secrets.randbits(32)


@public
class Sequential(Exports, Interchange, Building):
    """Layers one after another, trained with a loss and an optimizer.

    Parameters
    ----------
    layers : iterable of layers
        `Dense`, `Dropout` and the others of `pynn.layers`; None: `add` them. The number of inputs is taken from the
        data, or given to `build` or by a first `pynn.Input`. Layers of another model,
        ``[*trained.layers[:-1], pynn.Dense(4)]``, bring copies of their parameters along, frozen or not;
        ``layer.spec`` starts fresh. A layer listed twice becomes two, with their own weights.
    seed : int in 0 ... 2**64 - 1, optional
        Decides the initial parameters, the order of the rows and the draws of dropout. Same seed, same bits. None: one
        is drawn; `summary` prints it, and files keep it.
    dtype : "float32" or "float64"
        Of parameters and computation. Losses, norms and statistics are summed in float64 in both.

    Attributes
    ----------
    layers : tuple of BoundLayer
        The layers with their parameters: ``model.layers[0].kernel``.
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

    layers: tuple[BoundLayer, ...]

    @lists_arguments
    def __init__(self, layers: Iterable[Any] | None = None, *, seed: int | None = None, dtype: Any = "float32") -> None:
        seed = draw_seed() if seed is None else checks.integer("seed", seed, 0, 2**64 - 1)
        dtype = checks.dtype("dtype", dtype)
        if layers is None:
            self._take(Network((), seed=seed, dtype=dtype))
        else:
            self._given(list(layers), seed, dtype)
            layers_.require_dense(self._network.specs)

    def _given(self, layers: list[Any], seed: int, dtype: np.dtype) -> None:
        """Become the model of these layers, which may be those of another model."""
        inputs, layers = without_input(layers)
        specs = layers_.checked([layer.spec if isinstance(layer, BoundLayer) else layer for layer in layers])
        self._take(Network(specs, seed=seed, dtype=dtype))
        bring_tensors(self._network, layers)
        if inputs is not None:
            self.build(inputs)

    @classmethod
    def _of(cls, network: Network) -> Sequential:
        """Make the model of a network."""
        model = cls.__new__(cls)
        model._take(network)
        return model

    def _take(self, network: Network) -> None:
        self._network, self._learner = network, Learner(network)
        vars(self)["layers"] = tuple([BoundLayer(network, i) for i in range(len(network.specs))])

    def __setattr__(self, name: str, value: Any) -> None:
        require_settable(type(self), name, value)
        super().__setattr__(name, value)

    @property
    def core(self) -> _core.Model:
        """The compiled model, for Cython programs: see docs/embedding.md."""
        return self._network.core

    def summary(self) -> None:
        """Print the layers with their outputs and numbers of parameters."""
        print(summary(self._network))

    # ---- training

    @takes_optimizer_first
    @lists_arguments
    def compile(
        self, loss: Any, optimizer: Any = "adam", metrics: Iterable[Any] = (), *, target_scaling: str | None = None
    ) -> None:
        """Choose what to train for and how.

        Parameters stay; the optimizer's state and the count of epochs start from zero.

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
            Not a loss, optimizer or metric, or a `target_scaling` or metric that does not go with the loss.
        ShapeError
            A last layer whose width does not go with the loss.
        """
        self._learner.compile(loss, optimizer, metrics, target_scaling)

    @lists_arguments
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        shuffle: bool | None = None,
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
        callbacks: Sequence[Callback] = (),
        verbose: Any = "auto",
        guard: Any = "raise",
        checkpoint: Any = None,
        resume: bool = False,
        communicator: Any = None,
        shards: int | None = None,
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
        batch_size : int, default 32
            Rows in a step; the last of an epoch may have fewer. Loaders and batches bring their own.
        shuffle : bool, default True
            A new order in each epoch, by the model's seed. Loaders and batches bring their own.
        sample_weight : array-like of shape (rows,) or (rows, outputs), or the name of a table's column, optional
            What each row's loss is multiplied by, >= 0; or that of each output, where the loss is a mean over outputs.
            A target of weight 0 may be NaN: ``sample_weight=np.isfinite(y)`` trains on what is known of y. X of a row
            of weight 0 goes through the layers, and counts for those that normalize by batches.
        class_weight : dict of weights by class, list of them by output, or "balanced", optional
            What it is multiplied by besides, in training and validation, loss and metrics; see `DataLoader`. A loader
            for validation that has weights by class keeps its own.
        on_bad_rows : "error", "skip", "impute" or "median", optional
            What is done about rows of X with missing or infinite cells, in validation too, with the values of the rows
            trained on; see `DataLoader`. None: they are refused.
        steps_per_epoch : int, optional
            Steps in an epoch. The next epoch continues with the batches that follow; data start over when they end.
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
        guard : "raise", "skip", "rollback", "repair", "off" or Guard
            What is done about a step that would not be finite, or about a loss that runs away.
        checkpoint : str, path or Checkpoint, optional
            A file to keep the run in: every 60 seconds, or as a `Checkpoint` says, at the end and at Ctrl-C.
            An earlier run's file that is not resumed is kept as ``path.1``; any other file is refused.
        resume : bool
            Go on with the run that `checkpoint` holds, if it is there: a run that was killed at any moment ends with
            the bits of one that never stopped, in model, history and callbacks. Model, data and settings must be the
            same but for `epochs`, which counts the whole run: more go on, a run that has them returns at once.
        communicator : mpi4py communicator, optional
            ``MPI.COMM_WORLD`` under ``mpiexec -n N``: N processes, a power of two, that make this same call on the same
            data train together. Each computes its part of every batch; see docs/distributed.md.
        shards : power of two, optional
            Parts of a batch whose gradients are added in a fixed order: with as many shards, any number of processes
            ends with the same bits. By default as many as processes; without a communicator batches are whole.
        verbose : "auto", 0, 1 or 2
            Nothing, a bar or lines on stderr; "auto": a bar on a terminal.

        Returns
        -------
        History
            Also ``model.history``.

        Raises
        ------
        KeyboardInterrupt
            Ctrl-C ended training between two steps. The model is as the last step left it, a checkpoint is written,
            and ``model.history`` has all that there is, with ``interrupted=True``.
        NumericalError
            A cell of the data is not finite, or a step would not have been; the model is as it was before that step.
        ShapeError, DtypeError, LabelError
            The data do not fit the model; nothing was changed.
        """
        arguments = Arguments(
            self, x, y, epochs, batch_size, shuffle, target, categories, exclude, sample_weight, class_weight,
            on_bad_rows, steps_per_epoch, validation_data, validation_split, initial_epoch, mixup, callbacks, verbose,
            guard, checkpoint, resume, communicator, shards,
        )  # fmt: skip
        with self._learner as learner:
            if communicator is not None:
                return train(learner, arguments)
            if getattr(guard, "policy", guard) != "repair":
                return prepare(learner, arguments).run()
            history, repaired = run_or_repair(type(self), learner, arguments)
        if repaired is not None:
            self.__dict__.update(repaired.model.__dict__)
        return history

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
        return step(self._learner, x, y, sample_weight, guard)

    # ---- using

    @lists_arguments
    def predict(
        self, x: Any, raw: bool = False, *, batch_size: int | None = None, verbose: Any = 0, guard: Any = "raise"
    ) -> np.ndarray:
        """Predict every row: an array (rows, outputs) in the model's dtype.

        With a loss, its link is applied: softmax turns logits into probabilities, for instance. Under `target_scaling`
        a float32 model predicts in float64 where float32 has too few steps: for targets whose distance from 0 is more
        than 8192 times their spread. Threads may predict at the same time. A row's result does not depend on the rows
        around it, to the last bit.

        Parameters
        ----------
        x : array-like of shape (rows, inputs), a table with the columns trained on, DataLoader or iterable of batches
            A row with cells that are not finite may give anything, NaN as a rule. Rows of a loader come in the order
            of its source, shuffled or not.
        raw : bool
            Logits, before the link.
        batch_size, verbose
            Keras's. Memory is bounded, predictions are the same and nothing is shown, whatever they say.
        guard : "raise" or "off"
            ``"off"``: finite rows may give predictions that are not finite, as arithmetic has it.

        Raises
        ------
        NumericalError
            A row of finite cells met a value that is not finite on its way; `report` names row, layer and unit.
        """
        require_habits(batch_size, verbose)
        return predict(self._network, x, raw, guard == "raise" or as_guard(guard).policy != "off")

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
        return classify(self._network, x)

    @lists_arguments
    def evaluate(
        self, x: Any, y: Any = None, *, sample_weight: Any = None, class_weight: Any = None, guard: Any = "raise",
        batch_size: int | None = None, verbose: Any = 0, return_dict: bool = True,
    ) -> Any:  # fmt: skip
        """Loss and metrics over all rows, without dropout: ``{"loss": ..., "accuracy": ...}``.

        Memory is bounded however many rows there are.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As for `fit`; `x` may be a `DataLoader` or an iterable of batches too, which bring the others, or a table
            with the columns trained on.
        guard : "raise" or "off"
            With ``"off"``, numbers that are not finite go into the result.
        batch_size, verbose
            As for `predict`.
        return_dict : bool
            False: a list of the values, to unpack. Iterating over the dict gives names.

        Returns
        -------
        dict of str -> float, or list of float
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
        require_habits(batch_size, verbose)
        guarded = as_guard(guard).policy != "off"
        found = inputs_.evaluate(self._learner, x, y, sample_weight, class_weight, guarded)
        return found if checks.boolean("return_dict", return_dict) else list(found.values())

    # ---- keeping

    def to_dict(self) -> dict[str, Any]:
        """Describe layers, seed, dtype and what `compile` chose as plain values for JSON."""
        return self._learner.to_dict()

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, custom: dict[str, Any] | None = None) -> Sequential:
        """The model, not built, that `to_dict` described; `custom` as for `load`."""
        layers = [layers_.from_dict(layers_.with_functions(layer, custom)) for layer in values["layers"]]
        model = cls(layers, seed=values.get("seed", 0), dtype=values.get("dtype", "float32"))
        model._network.frozen = set(values.get("frozen", ()))
        missing = pickled.compile_as(model.compile, values, custom)
        if missing:
            warnings.warn(missing_metrics(missing), TrainingWarning, stacklevel=2)
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
        save(self._network, path, self._learner.notes())

    def __getstate__(self) -> dict[str, Any]:
        return pickled.state(self._learner)

    def __setstate__(self, state: dict[str, Any]) -> None:
        config = state["config"] | {"metrics": ()}
        self.__dict__.update(self.from_dict(config, custom=state["custom"]).__dict__)
        pickled.restore(self._learner, state)

    def __repr__(self) -> str:
        layers = layers_.nest(self._network.specs)
        return f"Sequential({layers!r}, seed={self.seed}, dtype={self.dtype.name!r})"
