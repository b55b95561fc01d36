"""Keep what the report page shows of a run."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np

from .. import runtime
from ..diagnosis.search import Search
from ..diagnosis.seen import Seen
from ..diagnosis.trials import taken_rows
from ..errors import NumericalError
from ..network.network import Network
from ..network.passes import Part
from ..report.finding import Report
from ..report.history import History
from ..report.record import CELLS, DataSeen, Record
from .learner import Learner
from .plan import Plan

WEIGHTS, LEAST = 1 << 16, 256  # numbers kept of all tensors, and of each
EXAMPLES = 40  # rows that findings name


def recorded(learner: Learner, plan: Plan, history: History, seen: Seen | None) -> Record:
    """Return the record of a run that ended."""
    network, batches, optimizer = learner.network, plan.batches, learner.optimizer
    core = network.core if network.built else None
    setup: dict[str, Any] = {
        "loss": network.loss.name, "optimizer": repr(optimizer), "seed": network.seed, "dtype": network.dtype.name,
        "target scaling": network.target_scaling, "batch size": batches.batch_size, "rows": batches.rows,
    }  # fmt: skip
    rate = getattr(optimizer, "learning_rate", None)
    if isinstance(rate, float):
        setup["learning rate"] = rate
    found = Record(
        epochs=history.epochs, ledger=history.ledger, health=history.health, provenance=dict(history.provenance),
        optimizer=type(optimizer).__name__, interrupted=history.interrupted,
        data=None if seen is None else data_seen(seen, batches.rows or 0, plan.columns, network.schema),
    )  # fmt: skip
    if core is not None:
        parameters = np.asarray(core.parameters)
        setup |= {"parameters": len(parameters), "steps": learner.steps}
        setup["bits of the parameters"] = f"{zlib.crc32(parameters.data):08x}"
        _add_tensors(found, network, core.tensors, parameters)
    found.setup = setup
    return found


def refused(learner: Learner, part: Part, names: Any, error: NumericalError) -> None:
    """Add what the page shows of data that no training was begun on to the report of an error."""
    report, (n_rows, columns) = error.report, part.x.shape
    if report is None or part.rows is not None:
        return
    named = [row for finding in report.findings for row in finding.rows if row < n_rows]
    most = max(8, CELLS // max(columns, 1))
    spread = np.linspace(0, n_rows - 1, min(most, n_rows)).astype(np.int64)
    batch = taken_rows(part, np.unique(np.concatenate([spread, np.array(named, np.int64)])))
    data = DataSeen(batch.x, batch.y, batch.rows, n_rows, list(names) if names else None, whole=n_rows <= most)
    setup = {"loss": learner.loss.name, "optimizer": repr(learner.optimizer), "seed": learner.network.seed}
    report.record = Record(
        setup=setup, optimizer=type(learner.optimizer).__name__, data=data, provenance=runtime.provenance()
    )


def _add_tensors(record: Record, network: Network, tensors: Any, parameters: np.ndarray) -> None:
    """Add numbers of parameters to the record, and some numbers of each kernel and bias, evenly spaced."""
    counts, most = [0] * len(network.specs), min(4096, max(LEAST, WEIGHTS // max(len(tensors), 1)))
    for name, layer, offset, rows, columns in tensors:
        size = rows * columns
        if 0 <= layer < len(counts):
            counts[layer] += size
        record.weights.append((layer, name, parameters[offset : offset + size : -(-size // most)].copy()))
    for i, spec in enumerate(network.specs):
        about = {"units": getattr(spec, "units", None), "parameters": counts[i], "frozen": i in network.frozen}
        record.layers.append(about)


def of_search(search: Search, report: Report, X: np.ndarray) -> Record:
    """Return the record of a diagnosis: the run that it is about, on the rows that it trained on, and the trials."""
    user = search.user.record or Record()
    tried = [(str(trial.deviation.change), trial.closed) for trial in search.trials] if search.at_fault else []
    suspicions = [(one.row, one.given, one.likelier, one.score) for one in search.suspicions]
    found = replace(user, kind="diagnose", trials=sorted(tried, key=lambda one: -one[1]), suspicions=suspicions)
    if user.data is not None:
        task = search.facts.task
        trained = task.folds[0].train
        kept = np.zeros(0, np.int64) if user.data.rows is None else user.data.rows
        rows = np.array(task.named_rows(trained[kept[kept < len(trained)]]), np.int64)
        found.data = replace(user.data, rows=rows, n_rows=len(X), whole=False)
    named = [row for one in report.findings if one.data == "training" for row in one.rows]
    wanted = [row for row in dict.fromkeys([one[0] for one in suspicions[:EXAMPLES]] + named) if 0 <= row < len(X)]
    found.examples = {row: np.array(X[row]) for row in wanted[: 2 * EXAMPLES]}
    return found


def data_seen(seen: Seen, n_rows: int, names: Any, schema: Any) -> DataSeen:
    """Return a part of the rows that a run has seen, in bounded memory."""
    found, held = _part(seen.sample, n_rows), seen.validation
    found.names = list(names) if names else None
    classes = getattr(schema, "classes", None)
    found.classes = list(classes) if classes else None
    if held is not None:
        found.held = _part(held, 0 if seen.validation_targets is None else len(seen.validation_targets))
    return found


def _part(batch: Any, n_rows: int) -> DataSeen:
    most = max(8, CELLS // max(batch.x.shape[1], 1))
    step = -(-len(batch.x) // most)
    return DataSeen(
        batch.x[::step].copy(), None if batch.y is None else batch.y[::step].copy(), batch.rows[::step].copy(), n_rows,
        whole=step == 1 and len(batch.x) == n_rows,
    )  # fmt: skip
