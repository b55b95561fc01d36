"""The sentences of findings, made from their fields.

One row a text: a template that the finding's evidence and layer fill in, or a function of the finding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .advice import ADVICE
from .cause_texts import CAUSES, PROOFS
from .facts import Facts
from .wording import BEFORE, OF_THE_DATA, operation

TRIED = {  # of a suspect whose cure was tried
    "alone": "Tried: {trial_steps} steps on this batch go well without it",
    "together": "Tried: {trial_steps} steps on this batch go well only without all of these causes",
}
INCOMPLETE = {
    "budget": "Incomplete: the budget ended before everything was tried. A larger budget tries the rest.",
    "clock": "Incomplete: the trials took far longer than their budget stands for, and were cut off.",
}
FILLS = {"impute": "mean", "median": "median"}


def message(finding: Facts) -> str:
    """Return what was seen, in words, without a full stop."""
    say = TEXTS[finding.text or finding.code]
    said = (say.format_map(_values(finding)) if isinstance(say, str) else say(finding)) + _likewise(finding)
    tried = TRIED.get(finding.evidence.get("tried", "")) or PROOFS.get(finding.evidence.get("proof", ""))
    return said if tried is None else f"{said}. {tried.format_map(_values(finding))}"


def remedy(finding: Facts) -> str:
    """Return what to do, in words."""
    return " ".join(ADVICE[advice].format_map(_values(finding)) for advice in finding.advice)


def capitalized(text: str) -> str:
    """Return the beginning of a sentence; names stay as they are."""
    first = text.split(" ", 1)[0]
    is_name = first == "y" or "_" in first or "=" in first
    return text if is_name else text[:1].upper() + text[1:]


def is_placed(finding: Facts) -> bool:
    """Whether the message itself names rows and columns."""
    return finding.text in PLACED


def _likewise(finding: Facts) -> str:
    others = [layer for layer in finding.evidence.get("layers", ()) if layer != finding.layer]
    return f" (likewise {listed('layer', others)})" if others else ""


def _values(finding: Facts) -> dict[str, Any]:
    names = finding.evidence.get("column_names")
    columns = [repr(name) for name in names] if names else finding.columns
    these = listed("column", columns, finding.evidence.get("n_columns", 0))
    return {"trial_steps": 0, "layer": finding.layer, "these_columns": these} | finding.evidence


def listed(name: str, numbers: Sequence[Any], count: int = 0, most: int = 5) -> str:
    """``row 3``, or ``rows 3, 8, 9 and 17 more``; `count` of them in all."""
    more = max(count, len(numbers)) - len(numbers[:most])
    tail = f" and {more} more" if more > 0 else ""
    return f"{name}{'s' if len(numbers) > 1 or more > 0 else ''} {', '.join(map(str, numbers[:most]))}{tail}"


def counted(n: int, noun: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


# ---- data


def _bad_cell(finding: Facts) -> str:
    evidence = finding.evidence
    name, value, n_cells = evidence["array"], evidence["value"], evidence["n_cells"]
    at: list[Any] = [finding.rows[0], *evidence["cell"]]
    names = evidence.get("column_names")
    if names and evidence["cell"]:
        at[1] = names[finding.columns.index(at[1])]
    rule = "in the float32 range (up to 3.4e38)" if np.isfinite(value) else "of finite numbers"
    said = f"expected {name} {rule}; received {name}[{', '.join(map(repr, at))}]={value}"
    if n_cells == 1:
        return said
    rows = listed("row", finding.rows, evidence["n_rows"])
    return f"{said}, in all {n_cells} such cells in {rows}" + _empty(finding)


def _empty(finding: Facts) -> str:
    empty = finding.evidence.get("empty_columns")
    if not empty:
        return ""
    names = dict(zip(finding.columns, finding.evidence.get("column_names", ()), strict=False))
    shown = [repr(names[column]) if column in names else column for column in empty]
    return f". {listed('column', shown).capitalize()} {'contains' if len(empty) == 1 else 'contain'} no numbers"


def _bad_label(finding: Facts) -> str:
    evidence = finding.evidence
    said = (
        f"expected labels in 0 ... {evidence['classes'] - 1}, as the last layer has units={evidence['classes']}; "
        f"received y[{finding.rows[0]}]={evidence['value']:g}"
    )
    return said + (f", in all {evidence['n_rows']} such labels" if evidence["n_rows"] > 1 else "")


def _passed_over(finding: Facts) -> str:
    evidence = finding.evidence
    rows, cells = evidence["n_rows"], evidence["n_cells"]
    if evidence["action"] == "skip":
        said = f"{counted(rows, 'row')} with missing or infinite cells or targets {_were(rows)} left out"
    else:
        said = (
            f"{counted(rows, 'row')} had missing cells filled in with the {FILLS[evidence['action']]}s of their columns"
        )
    columns = counted(evidence["n_columns"], "column")
    return said + (f", {counted(cells, 'cell')} of X in {columns}" if cells else "")


def _were(n: int) -> str:
    return "was" if n == 1 else "were"


def _column(finding: Facts, at: int = 0) -> str:
    """A column as its user knows it: ``column 3``, ``column 'age'``."""
    names = finding.evidence.get("column_names")
    return f"column {names[at]!r}" if names else f"column {finding.columns[at]}"


def _outlier(finding: Facts) -> str:
    evidence = finding.evidence
    column = _column(finding, finding.columns.index(evidence["column"]))
    return (
        f"row {evidence['row']} of {evidence['array']} has {evidence['value']:.3g} in {column}; "
        f"the other rows checked reach at most {evidence['rest']:.2g} there"
    )


def _out_of_scale(finding: Facts) -> str:
    evidence = finding.evidence
    others = evidence["n_columns"] - 1
    more = f", and {others} more exceed {evidence['limit']:g}" if others else ""
    if evidence["array"] == "sample_weight":
        return f"sample_weight has values up to {evidence['largest']:.3g}"
    return f"{_column(finding)} of {evidence['array']} has values up to {evidence['largest']:.3g}{more}"


# ---- operations, and what the guard did


def _operation(finding: Facts) -> str:
    evidence, value = finding.evidence, finding.evidence["value"]
    spoken = operation(evidence["operation"], value if evidence.get("predicted") else None)
    said = spoken.message.format(layer=finding.layer, value=f"{value:.3g}")
    if evidence["operation"] == "loss" and evidence.get("function_kind"):
        said = f"the loss, or its gradient, is {value:.3g}"
    sizes = zip(spoken.factors, (evidence.get("largest_left", 0), evidence.get("largest_right", 0)), strict=False)
    known = [f"{name} goes up to {size:.2g}" for name, size in sizes if size > 0]
    said += f": {' and '.join(known)}" if known else ""
    return said + _in_float64(evidence) + _ending(evidence)


def _in_float64(evidence: dict[str, Any]) -> str:
    if evidence["operation"] in (*OF_THE_DATA, *BEFORE) or evidence.get("dtype") != "float32":
        return ""
    if evidence["fails_in_float64"]:
        return ". In float64 the same step fails too"
    return ". In float64 the same step is finite; float32 ends at 3.4e38"


def _ending(evidence: dict[str, Any]) -> str:
    """Why the guard went on no longer."""
    if "batches_in_a_row" in evidence:
        return f"; {evidence['batches_in_a_row']} batches in a row"
    return f"; after {counted(evidence['rollbacks'], 'rollback')}" if "rollbacks" in evidence else ""


def _diverged(finding: Facts) -> str:
    seen, value = finding.evidence, finding.evidence["value"]
    known = f"it was {seen['first']:.3g} in the first step and would be {seen['nothing']:.3g} with all outputs 0"
    usual = max(seen["first"], seen["nothing"])
    if value > 10 * usual or value > max(usual, seen["worst"] / 2):
        said = f"the loss has diverged, to {value:.3g}: {known}"
    else:
        said = f"the loss rose to {seen['worst']:.3g} and settled at {value:.3g}: {known}"
    return f"{said}. Every number is still finite, but training does not recover from this{_ending(seen)}"


DONE = {
    "refused": "refused the step and ended the run",
    "skipped": "skipped the batch",
    "rolled_back": "went back to step {restored}, the learning rate is now {new_learning_rate:.3g}",
    "clipped": "clipped the gradient",
    "diverged": "it has diverged",
}


def event(entry: dict[str, Any]) -> str:
    """An entry of the ledger in a line: ``step 3, layer 1, row 17, unit 0: X·W is inf; skipped the batch``."""
    names = {"step": "step", "layer": "layer", "row": "row", "column": "column" if entry["layer"] is None else "unit"}
    where = ", ".join(f"{name} {entry[key]}" for key, name in names.items() if entry[key] is not None)
    seen = f"{operation(entry['operation']).name} is {entry['value']:.3g}"
    return f"{where}: {seen}; {DONE[entry['kind']].format(**entry)}"


def _event(finding: Facts) -> str:
    evidence = finding.evidence
    times = f" ({evidence['times']} times in all)" if evidence["times"] > 1 else ""
    return event({"layer": finding.layer, "step": finding.step} | evidence) + times


# ---- weights, rates, layers, the task


def _wide_kernel(finding: Facts) -> str:
    evidence = finding.evidence
    return (
        f"the kernel of layer {finding.layer} started with weights of root mean square {evidence['std']:.3g}; the "
        f"default initializer, {evidence['initializer']}, gives {evidence['default']:.2g}"
    )


def _rate_against_curvature(finding: Facts) -> str:
    evidence = finding.evidence
    momentum, room = evidence["momentum"], evidence["room"]
    bound = "2/curvature" if not momentum else f"{room:.3g}/curvature (momentum {momentum:g})"
    return (
        f"the learning rate, {evidence['learning_rate']:.3g}, exceeds {bound} = {evidence['limit']:.2g}, measured on "
        "this batch: above that bound each step overshoots by more than the last"
    )


def _improbable(finding: Facts) -> str:
    evidence = finding.evidence
    return (
        f"{evidence['n_rows']} of the {evidence['n_checked']} rows of y checked do not sum to 1 (row {finding.rows[0]} "
        f"sums to {evidence['sum']:.3g}), but {evidence['loss']!r} takes them as probabilities of classes of which "
        "one is right"
    )


def _missing_marker(finding: Facts) -> str:
    evidence = finding.evidence
    others = evidence["n_columns"] - 1
    more = f", and {counted(others, 'more column')} such a mark" if others else ""
    have = "has" if evidence["n_marked"] == 1 else "have"
    return (
        f"{counted(evidence['n_marked'], 'row')} of the sample {have} {evidence['value']:.6g} in {_column(finding)} of "
        f"X, far from every other value: it looks like a mark for missing values{more}"
    )


def _precision_loss(finding: Facts) -> str:
    evidence = finding.evidence
    others = evidence["n_columns"] - 1
    more = f", and {counted(others, 'more column')} alike" if others else ""
    return (
        f"{_column(finding)} of {evidence['array']} varies by {evidence['spread']:.3g} around "
        f"{evidence['largest']:.6g}, where numbers of its dtype {evidence['dtype']} are {evidence['step']:.3g} apart: "
        f"what told its rows from each other was rounded off before pynn saw it{more}"
    )


def _missing_date(finding: Facts) -> str:
    return (
        f"{_column(finding)} of X contains {finding.evidence['value']:.4g} in {listed('row', finding.rows)}: a missing "
        "date becomes this number when dates are converted to numbers"
    )


def _column_is_target(finding: Facts) -> str:
    exact = f"in all {finding.evidence['n_checked']} rows checked"
    return f"{_column(finding)} of X alone determines y exactly, {exact}: it may be the target itself"


def _column_counts_rows(finding: Facts) -> str:
    return f"{_column(finding)} of X numbers the rows, which are sorted by class: it gives every class away"


def _category_as_number(finding: Facts) -> str:
    evidence = finding.evidence
    others = evidence["n_columns"] - 1
    more = f" (likewise {counted(others, 'other column')})" if others else ""
    return (
        f"the {evidence['n_categories']} categories of {_column(finding)} reach a Dense layer as one number, as if "
        f"they had an order{more}"
    )


def _class_only_in_validation(finding: Facts) -> str:
    evidence = finding.evidence
    one = evidence["n_classes"] == 1
    classes = ", ".join(map(str, evidence["classes"][:5])) + ("" if evidence["n_classes"] <= 5 else ", ...")
    said = f"class {classes} occurs" if one else f"classes {classes} occur"
    return f"{said} in {counted(evidence['n_rows'], 'validation row')} but in no row trained on"


def _validation_mismatch(finding: Facts) -> str:
    evidence = finding.evidence
    others = evidence["n_columns"] - 1
    more = f" ({counted(others, 'other column')} likewise)" if others else ""
    return (
        f"{_column(finding)} of the validation data has a median of {evidence['median']:.3g} and a spread of "
        f"{evidence['spread']:.3g}, against {evidence['training_median']:.3g} and {evidence['training_spread']:.3g} in "
        f"the training data{more}: other units, or scaled otherwise"
    )


# ---- categories and classes


def quoted(values: Sequence[Any], most: int = 10) -> str:
    """Return ``'a', 'b', ...``."""
    return ", ".join(map(repr, values[:most])) + (", ..." if len(values) > most else "")


def _unknown_category(finding: Facts) -> str:
    evidence = finding.evidence
    share = "in every cell" if evidence["every"] else f"in {counted(evidence['n_rows'], 'cell')}"
    return (
        f"expected the categories of training in column {evidence['column_name']!r}, "
        f"{quoted(evidence['categories'])}; received {quoted(evidence['received'], 5)} {share}"
    )


def _class_spellings(finding: Facts) -> str:
    evidence = finding.evidence
    pairs = "; ".join(" and ".join(map(repr, pair)) for pair in evidence["spellings"][:5])
    return (
        f"expected one spelling for each class {evidence['place']}; received {pairs}, which differ only by "
        f"{evidence['differ_by']}"
    )


def _too_many_classes(finding: Facts) -> str:
    evidence = finding.evidence
    return (
        f"expected at most {evidence['units']} classes {evidence['place']}, as the last layer has "
        f"units={evidence['units']}; received {evidence['classes']}: {quoted(evidence['names'])}"
    )


TEXTS: dict[str, str | Callable[[Facts], str]] = {
    **CAUSES,
    "bad_cell": _bad_cell,
    "bad_label": _bad_label,
    "passed_over": _passed_over,
    "outlier": _outlier,
    "out_of_scale": _out_of_scale,
    "nearly_constant": "no column of X varies by more than {spread:.2g} over the {n_rows} rows checked",
    "all_rows_equal": "X is the same in all {n_rows} rows checked: nothing distinguishes them",
    "operation": _operation,
    "diverged": _diverged,
    "event": _event,
    "line_search_failed": (
        "from a gradient of up to {largest_gradient:.3g} the first line search reaches no finite point"
    ),
    "line_search_stepped_back": (
        "{n_points:.0f} points of the line search had a loss or gradient that is not finite; the search stepped back"
    ),
    "wide_kernel": _wide_kernel,
    "rate_against_curvature": _rate_against_curvature,
    "rate_against_weights": (
        "with the learning rate {learning_rate:.3g} the first update is {update_ratio:.2g} times as large as the "
        "weights; 0.001 to 0.01 is usual"
    ),
    "saturated_activation": (
        "{saturated:.0%} of the values of layer {layer} lie where its activation is flat: almost no gradient passes"
    ),
    "dead_relu": "{dead:.0%} of the units of layer {layer} gave 0 for every row checked: no gradient passes them",
    "zero_gradient": "the gradient of layer {layer} is exactly 0: the layer learns nothing",
    "underflow": "{gradient_tiny:.0%} of the gradient of layer {layer} is below 1e-19: its square is 0 in float32",
    "stalled_updates": (
        "{updates_lost:.0%} of the updates of layer {layer} are too small to change their weight, which rounds to the "
        "same number"
    ),
    "batch_too_small": (
        "layer {layer} normalizes each batch by itself, which turns a batch of one row into 0: no gradient passes it"
    ),
    "second_activation": (
        "the last layer applies {activation!r}, and the loss {loss!r} takes logits and applies {link} to them"
    ),
    "improbable_targets": _improbable,
    "numbers_as_signs": (
        "the loss {loss!r} expects labels in y, and row {row} has {value:.6g}: all numbers above 0 count as one label"
    ),
    "unknown_category": _unknown_category,
    "class_spellings": _class_spellings,
    "too_many_classes": _too_many_classes,
    "single_unit_softmax": (
        "the last layer has 1 unit and the loss is {loss!r}: the softmax of a single number is always 1"
    ),
    "misleading_metric": "the metric {metric!r} expects 0 or 1 in y, or rows of them; row {row} has {value:.6g}",
    "missing_marker": _missing_marker,
    "precision_loss": _precision_loss,
    "weighed_by_output": (
        "class_weight weighs the answers of each of the {n_outputs} outputs by themselves: the answer {label:g} counts "
        "{largest:.4g} times or less"
    ),
    "missing_date": _missing_date,
    "column_is_target": _column_is_target,
    "column_counts_rows": _column_counts_rows,
    "category_as_number": _category_as_number,
    "one_class": "all {n_rows} rows of y are of class {label}: there is nothing to tell apart",
    "unordered_rows": (
        "the rows are sorted by class and taken in that order: {of_one_class:.0%} of the stretches of {n_checked} rows "
        "hold a single class, so each class undoes what the one before it taught"
    ),
    "class_imbalance": (
        "{share:.1%} of the {n_checked} rows of y checked are of class {label}, and the model predicts that class for "
        "all of them: {metric!r} looks good without telling anything apart"
    ),
    "class_only_in_validation": _class_only_in_validation,
    "validation_mismatch": _validation_mismatch,
    "mean_weight": (
        "the mean of sample_weight is {mean:.3g}: the loss shown, and with it each gradient, is multiplied by it"
    ),
    "learning_rate_too_low": (
        "with the learning rate {learning_rate:.2g} each update changes the weights by {update_ratio:.1g} of their "
        "size: after {steps} steps the loss is {recent:.3g}, and it was {first:.3g} in the first. Tried: "
        "{trial_steps} steps on a batch with {suggested_learning_rate:.1g} bring it from {before:.3g} to {after:.3g}"
    ),
    "dropout_too_high": (
        "layer {layer} sets {rate:.0%} of its inputs to 0 in each step. Tried: {trial_steps} steps on a batch bring "
        "the loss to {after:.3g} without dropout, and to {with_dropout:.3g} with it"
    ),
}
PLACED = {"bad_cell", "bad_label", "unknown_category"}
