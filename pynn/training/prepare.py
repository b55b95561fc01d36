"""From the arguments of `fit` to a plan: data opened, checked and split, the network built, checkpoints found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import checks
from ..callbacks.base import Callback
from ..data import DataLoader, known, sampling
from ..errors import ArgumentTypeError, ArgumentValueError, NumericalError
from ..network.passes import ROWS, ArrayPasses, LoaderPasses, Passes
from ..network.predict import table_loader
from ..report.context import Context
from ..report.guard import Guard, as_guard
from . import checkpoint as checkpoint_
from . import inputs
from .batches import Batches, Limited, Loaded, Streamed
from .evaluate import require_finite, require_weight
from .lbfgs import FullBatch
from .learner import Learner
from .plan import Plan
from .processes import Together
from .progress import Progress, progress
from .recorded import refused
from .run import Run

__all__ = ["Arguments", "prepare"]

MAX_SHARDS = 4096  # of the core


@dataclass(frozen=True)
class Arguments:
    """The arguments of `fit` as they were given, and the user's model."""

    model: Any
    x: Any
    y: Any
    epochs: int
    batch_size: int | None
    shuffle: bool | None
    target: Any
    categories: Iterable[str]
    exclude: Iterable[str]
    sample_weight: Any
    class_weight: Any
    on_bad_rows: str | None
    steps_per_epoch: int | None
    validation_data: Any
    validation_split: float
    initial_epoch: int
    mixup: float
    callbacks: Sequence[Callback]
    verbose: Any
    guard: Any
    checkpoint: Any
    resume: bool
    communicator: Any
    shards: int | None


def prepare(learner: Learner, a: Arguments, together: Together | None = None) -> Run:
    """Check the arguments, let the data decide what waits for them, and return the run they describe."""
    learner.require_compiled()
    epochs = checks.integer("epochs", a.epochs, 1, 2**31)
    first = checks.integer("initial_epoch", a.initial_epoch, 0, epochs - 1) if a.initial_epoch else 0
    callbacks, guard = _callbacks(a.callbacks), as_guard(a.guard)
    mixup = checks.number("mixup", a.mixup, 0, 1e6) if a.mixup else 0.0
    shards = 0 if together is None and a.shards is None else _shards(a, together)
    show = Progress() if together is not None and together.process else progress(a.verbose)
    loader, validation_data = _open(learner, a, epochs - first)
    own = loader is a.x  # the user's: it knows which epoch is next
    schema = loader.schema if isinstance(loader, DataLoader) else None
    if schema is not None:
        known.require_units(schema, learner.network.outputs, learner.loss)
        known.loaded(loader, learner.known)
    names = schema.names if schema else None
    with Context(names=names):
        batches = _batches(learner, loader, guard)
    schema = known.merge(schema, learner.network.schema)
    class_weight = getattr(loader, "class_weight", None)
    if class_weight is not None:
        _check_class_weight(learner, class_weight)
    whole = batches.data if isinstance(batches, Loaded) else None
    learner.adapt_to(loader, whole, batches.inputs)
    validation = None
    if validation_data is not None:
        _refuse_iterator("validation_data", validation_data, "(X, y), a pynn.DataLoader", epochs - first)
        with Context(data="validation"):
            validation = _validation(learner, validation_data, batches.inputs, class_weight, schema, guard)
    learner.network.schema = schema
    if not learner.network.built and batches.inputs is not None:
        learner.build(batches.inputs)
    if a.steps_per_epoch is not None:
        batches = Limited(batches, checks.integer("steps_per_epoch", a.steps_per_epoch, 1))
    plan = Plan(
        a.model, batches, validation, range(first, epochs), callbacks, show, guard, mixup, shards, together,
        first or learner.epoch, not own, _started_with(learner), names, _passes(loader, batches, whole),
    )  # fmt: skip
    return _run(learner, plan, a)


def _shards(a: Arguments, together: Together | None) -> int:
    """The number of parts of a batch: by default one for each process; 0 for one process."""
    shards = checks.power_of_two("shards", a.shards, MAX_SHARDS) if a.shards is not None else 0
    if together is None:
        return shards
    checks.power_of_two("communicator.Get_size()", together.processes, MAX_SHARDS)
    if 0 < shards < together.processes:
        raise ArgumentValueError(
            f"expected shards >= the number of processes, {together.processes}; received shards={shards}"
        )
    if as_guard(a.guard).policy == "repair":
        raise ArgumentValueError("expected a guard that acts within a run with a communicator; received guard='repair'")
    return shards or together.processes


def _open(learner: Learner, a: Arguments, epochs: int) -> tuple[Any, Any]:
    """The loader or the batches to train on, and what to validate on."""
    if a.target is None and inputs.brings_its_own(a.x, a.y):
        inputs.refuse_beside(
            a.x, y=a.y, sample_weight=a.sample_weight, class_weight=a.class_weight, on_bad_rows=a.on_bad_rows,
            validation_split=a.validation_split or None, batch_size=a.batch_size, shuffle=a.shuffle,
        )  # fmt: skip
        if a.steps_per_epoch is None:
            _refuse_iterator("batches", a.x, "a pynn.DataLoader", epochs)
        return a.x, a.validation_data
    source = inputs.open_data(learner, a.x, a.y, a.sample_weight, a.target, a.categories, a.exclude)
    source, held = inputs.split(source, a.validation_split, a.validation_data)
    loader = DataLoader(
        source, batch_size=32 if a.batch_size is None else a.batch_size, shuffle=a.shuffle is None or a.shuffle,
        seed=learner.network.seed, class_weight=a.class_weight, on_bad_rows=a.on_bad_rows,
    )  # fmt: skip
    loader.epoch = a.initial_epoch or learner.epoch
    validation = a.validation_data
    if held is None and a.on_bad_rows is not None and isinstance(validation, (tuple, list)):
        held = inputs.open_arrays(*inputs.recognised(loader.schema, *inputs.triple(validation)))
    return loader, validation if held is None else loader.held_out(held)


def _refuse_iterator(name: str, data: Any, others: str, epochs: int) -> None:
    """Refuse what runs out in the first of several epochs."""
    if epochs > 1 and hasattr(data, "__next__"):
        raise ArgumentTypeError(
            f"expected {name} that can be iterated once for each of {epochs} epochs; received an iterator, which runs "
            f"out: pass {others} or another object whose __iter__ starts over"
        )


def _callbacks(given: Any) -> list[Callback]:
    found = [given] if isinstance(given, Callback) else list(given or ())
    for i, callback in enumerate(found):
        if not isinstance(callback, Callback):
            hint = f": write {callback.__name__}()" if isinstance(callback, type) else ""
            raise ArgumentTypeError(f"expected pynn.Callback objects; received callbacks[{i}]={callback!r}{hint}")
    return found


def _batches(learner: Learner, loader: Any, guard: Guard) -> Batches:
    """What the loop trains on, checked as far as it lies in memory; cells that are not finite are left to a guard that
    passes over them."""
    if not isinstance(loader, DataLoader):
        return Streamed(loader)
    arrays = loader.whole
    if arrays is None:
        return Loaded(loader, None)
    data = learner.check(*arrays)
    if data.weights is not None:
        require_weight(bool(data.weights.any()))
    if guard.policy in ("raise", "repair") and loader.on_bad_rows != "skip":
        try:
            require_finite(learner, data)
        except NumericalError as error:
            refused(learner, data, loader.schema and loader.schema.names, error)
            raise
    return Loaded(loader, data)


def _check_class_weight(learner: Learner, table: Any) -> None:
    """Require weights of classes that the last layer tells apart."""
    units = learner.network.outputs
    yes_or_no = 2 if units == 1 or table[1].ndim == 2 else 0
    classes = {"softmax": units, "sigmoid": yes_or_no}.get(learner.loss.row["link"], 0)
    unknown = [label for label in table[0].tolist() if label not in range(classes)] if classes else []
    if unknown:
        raise ArgumentValueError(
            f"expected class_weight of classes in 0 ... {classes - 1}; received the class {unknown[0]:g}"
        )


def _validation(
    learner: Learner, data: Any, columns: int | None, class_weight: Any, schema: Any, guard: Guard
) -> Passes:
    """What is evaluated after each epoch, checked as far as it lies in memory; weighted like the training data."""
    table = None if isinstance(data, DataLoader) else table_loader(data, schema)
    if isinstance(data, DataLoader):
        found = inputs.rows_to_evaluate(learner, data.weighed(class_weight), inputs=columns, schema=schema)
    elif table is not None:
        table.class_weight = class_weight
        found = inputs.rows_to_evaluate(learner, table, inputs=columns, schema=schema)
    elif inputs.brings_its_own(data, None):
        found = inputs.batches_to_evaluate(learner, data, class_weight)
    else:
        weights = None if class_weight is None else sampling.as_given(class_weight)
        arrays = inputs.recognised(schema, *inputs.triple(data))
        found = inputs.rows_to_evaluate(learner, *arrays, weights, columns)
    if not isinstance(found, ArrayPasses):
        return found
    require_weight(found.whole.weights is None or bool(found.whole.weights.any()))
    if guard.policy != "off":
        require_finite(learner, found.whole)
    return found


def _started_with(learner: Learner) -> Any:
    """The optimizer with the learning rate that training started with, before rollbacks and callbacks lowered it."""
    first, last = learner.chosen
    return first if last is learner.optimizer else learner.optimizer


def _passes(loader: Any, batches: Batches, whole: Any) -> Passes | None:
    """Passes over the training data, if they can be passed over again."""
    if not isinstance(loader, DataLoader):
        return None
    return LoaderPasses(loader) if whole is None else ArrayPasses(whole.x, step=ROWS)


def _run(learner: Learner, plan: Plan, a: Arguments) -> Run:
    """The run of a plan, with its checkpoints."""
    full_batch = not learner.optimizer.takes_steps
    if plan.mixup and full_batch:
        raise ArgumentValueError(
            f"expected mixup=0 with LBFGS, whose loss has to stay the same; received mixup={plan.mixup!r}"
        )
    if plan.shards and full_batch:
        raise ArgumentValueError(
            f"expected no communicator and no shards with LBFGS, which takes no steps on batches; received "
            f"shards={plan.shards!r}"
        )
    if plan.together is not None:
        _require_rows(plan.batches, plan.together)
    run: Run = FullBatch(learner, plan) if full_batch else Run(learner, plan)
    if a.checkpoint is not None:
        run.saver = _saver(learner, plan, a.checkpoint)
        if checks.boolean("resume", a.resume):
            run.kept = _kept(run.saver, plan.together)
        else:
            run.saver.start()
    elif a.resume:
        raise ArgumentValueError("expected checkpoint, the file to go on from, with resume=True; received none")
    return run


def _kept(saver: checkpoint_.Saver, together: Together | None) -> Any:
    """What the checkpoint holds; the first process puts its files in order before others read them."""
    if together is None:
        return saver.load()
    kept = None if together.process else saver.load()
    together.wait()
    return saver.load() if together.process else kept


def _require_rows(batches: Batches, together: Together) -> None:
    """Refuse batches in which some process has no row."""
    loaded = isinstance(getattr(batches, "batches", batches), Loaded)
    if loaded and batches.batch_size < together.processes:
        raise ArgumentValueError(
            f"expected batches with a row for each of {together.processes} processes; received batches of "
            f"{batches.batch_size}: set batch_size, or give fewer processes"
        )


def _saver(learner: Learner, plan: Plan, where: Any) -> checkpoint_.Saver:
    """What keeps the run in a file, with a description of all that must be the same to resume it."""
    held: Any = None
    if isinstance(plan.validation, ArrayPasses):
        held = [[checkpoint_.fingerprint(part) for part in plan.validation.whole[:3]]]
    elif plan.validation is not None:
        loaded = isinstance(getattr(plan.validation, "passes", None), LoaderPasses)
        held = "Blocks" if loaded else "Held"  # as in the files of version 0.1
    run = {
        "guard": plan.guard.to_dict(),
        "callbacks": [checkpoint_.choices(callback) for callback in plan.callbacks],
        "data": plan.batches.describe(),
        "validation_data": held,
        "mixup": plan.mixup,
        "shards": plan.shards or None,
        "initial_epoch": plan.epochs.start,
    }
    description = checkpoint_.describe(learner.to_dict(), plan.optimizer, run)
    writes = plan.together is None or not plan.together.process
    return checkpoint_.Saver(checkpoint_.checkpoint(where), learner, description, writes)
