"""Metrics by name: for `compile`, and for files."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from .. import checks
from ..errors import ArgumentTypeError, ArgumentValueError, FileFormatError, UnknownNameError
from . import accuracy, confusion, probabilities, regression
from .base import MAXIMIZE, MINIMIZE, RESERVED, Metric
from .function import Function

ROWS = (*accuracy.ROWS, *confusion.ROWS, *probabilities.ROWS, *regression.ROWS)  # name, class, arguments, aliases
CLASSES = tuple(dict.fromkeys(row[1] for row in ROWS))
_MADE = {name: (cls, arguments) for name, cls, arguments, _ in ROWS}
_CANONICAL = {name: name for name in _MADE} | {alias: row[0] for row in ROWS for alias in row[3]}


def get(metric: Any) -> Metric:
    """Return the metric for a name, a function or a scorer, or `metric` itself when it is one.

    Parameters
    ----------
    metric : str, Metric or callable
        Names are taken in any case. ``f(y_true, y_pred)`` becomes a `Function`.

    Returns
    -------
    Metric

    Raises
    ------
    UnknownNameError
        No metric has this name; the message lists those there are.
    ArgumentTypeError
        Something else, a class instead of an object for instance.

    Examples
    --------
    >>> import pynn
    >>> pynn.metrics.get("acc").name
    'accuracy'
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        cls, arguments = _MADE[checks.name("metric", metric, _CANONICAL)]
        return cls(**arguments)
    if isinstance(metric, type) and issubclass(metric, Metric):
        raise ArgumentTypeError(
            f"expected a metric as a name or an object; received the class {metric.__name__}: write {metric.__name__}()"
        )
    if callable(metric) and not isinstance(metric, type):
        return Function(metric)
    raise ArgumentTypeError(
        f"expected a metric as a name, a pynn.Metric or a function f(y_true, y_pred); received {metric!r}"
    )


def of_model(metrics: Any, loss: Any) -> list[Metric]:
    """Return a model's own copies of its metrics, which know its loss.

    Parameters
    ----------
    metrics : str, Metric, callable, iterable of them, or None
    loss : Loss

    Raises
    ------
    ArgumentValueError
        A name that the history has for something else, or twice.
    """
    if metrics is None:
        return []
    if isinstance(metrics, (str, Metric)) or callable(metrics) or not isinstance(metrics, Iterable):
        metrics = [metrics]
    found: list[Metric] = []
    for metric in metrics:
        own = copy.deepcopy(get(metric))
        _require_name(own, [other.name for other in found])
        if own.direction not in (None, MAXIMIZE, MINIMIZE):
            raise ArgumentValueError(
                f"expected direction of the metric {own.name!r} as 'maximize', 'minimize' or None; received "
                f"direction={own.direction!r}"
            )
        own.take_loss(loss)
        found.append(own)
    return found


def _require_name(metric: Metric, others: list[str]) -> None:
    name = metric.name
    if not isinstance(name, str) or not name:
        raise ArgumentTypeError(f"expected the name of a metric as a string; received name={name!r}")
    if name in RESERVED or name.startswith("val_"):
        raise ArgumentValueError(
            f"expected a metric with a name of its own; received name={name!r}, which the history has for something "
            "else"
        )
    if name in others:
        raise ArgumentValueError(
            f"expected metrics of different names, which are keys of the history; received {name!r} twice: give one a "
            f"name, as in pynn.metrics.{type(metric).__name__}(..., name='{name}_2')"
        )


def to_dict(metric: Metric) -> str | dict[str, Any]:
    """Return a metric as plain values for JSON; of a metric of the user's own, the name alone."""
    if type(metric) not in CLASSES:
        return {"custom": metric.name}
    arguments = {key: getattr(metric, key) for key in metric.arguments}
    for name, (cls, given) in _MADE.items():
        if cls is type(metric) and name == metric.name and arguments == _defaults(cls) | given:
            return name
    name = next(name for name, (cls, _) in _MADE.items() if cls is type(metric))
    return {"metric": name, "name": metric.name, **arguments}


def _defaults(cls: type[Metric]) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters
    return {name: parameters[name].default for name in cls.arguments}


def from_dicts(values: Any, custom: Mapping[str, Any] | None = None) -> tuple[list[Any], list[str]]:
    """Return the metrics that `to_dict` described, and the names of those that only `custom` could have brought.

    Parameters
    ----------
    values : list of str and dict
    custom : dict of name -> Metric or function, optional

    Raises
    ------
    FileFormatError
        `values` are not what `to_dict` returns.
    UnknownNameError
        A metric in `custom` has another name.
    """
    found: list[Any] = []
    missing: list[str] = []
    if not isinstance(values, (list, tuple)):
        raise FileFormatError(f"expected a list of metrics; received {values!r}")
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, Mapping) and isinstance(value.get("custom"), str):
            name = value["custom"]
            if not isinstance(custom, Mapping) or name not in custom:
                missing.append(name)
                continue
            given = custom[name]
            given = given() if isinstance(given, type) and issubclass(given, Metric) else given
            found.append(given if isinstance(given, Metric) else Function(given, name=name))
            if found[-1].name != name:
                raise UnknownNameError(
                    f"expected custom[{name!r}] as the metric of this name; received one named {found[-1].name!r}"
                )
        else:
            found.append(_from_dict(value))
    return found, missing


def _from_dict(value: Mapping[str, Any]) -> Metric:
    try:
        arguments = {key: argument for key, argument in value.items() if key != "metric"}
        return _MADE[value["metric"]][0](**arguments)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"expected a metric that pynn saved; received {value!r} ({error})") from None


def missing_metrics(names: Iterable[str]) -> str:
    """Return what to tell when a file's metrics are not there."""
    listed = list(names)
    return (
        f"the model was saved with the metric{'s' * (len(listed) > 1)} {', '.join(map(repr, listed))}, which a file "
        f"cannot hold: evaluate leaves {'them' if len(listed) > 1 else 'it'} out; "
        f"load(path, custom={{{listed[0]!r}: ...}}) brings {'them' if len(listed) > 1 else 'it'} along"
    )
