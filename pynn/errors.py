"""What can go wrong, one class for each status of the C library and a few that only Python knows.

Messages have one form: ``expected <rule>; received <name>=<value>``, with the layer and what to do where that helps.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "DtypeError",
    "FileError",
    "FileFormatError",
    "LabelError",
    "MissingDependencyError",
    "MissingFileError",
    "NonfiniteDataError",
    "NotReadyError",
    "NumericalError",
    "OutOfMemoryError",
    "ProcessError",
    "PynnError",
    "ShapeError",
    "ThreadError",
    "TooLargeError",
    "TrainingWarning",
    "UnknownNameError",
    "UnsupportedError",
]


class PynnError(Exception):
    """Base of every error that pynn raises.

    Attributes
    ----------
    layer, row, column : int or None
        Place, where it is known: index of the layer, of the row in the user's data, of the feature or unit.
    value : float or None
        The number at fault.
    data : str or None
        ``"validation"`` when the error is about validation data.
    report : Report or None
        What was found, with the numbers that prove it. The error's text is made from its first finding.
    """

    data: str | None = None
    layer: int | None = None
    row: int | None = None
    column: int | None = None
    value: float | None = None
    report: Any = None  # a pynn.report.Report

    def __str__(self) -> str:
        found = self.report.findings if self.report is not None else []
        said = found[0].told() if found else super().__str__()
        return f"{self.data} data: {said}" if self.data else said


class ArgumentValueError(PynnError, ValueError):
    """An argument is of the right type but outside what is accepted."""


class ArgumentTypeError(PynnError, TypeError):
    """An argument is of a type that is not accepted."""


class UnknownNameError(ArgumentValueError):
    """A name is unknown; the message lists the valid names."""


class ShapeError(ArgumentValueError):
    """Shapes do not fit together."""


class DtypeError(ArgumentTypeError):
    """An array's element type is not accepted."""


class LabelError(ArgumentValueError):
    """A label is not an integer in 0 ... classes-1; `row` says which."""


class TooLargeError(ArgumentValueError):
    """A size exceeds what can be addressed."""


class NumericalError(PynnError, ArithmeticError):
    """A value became NaN or infinite; the update was refused and the model is as it was before the step."""

    operation: str = "none"  # whose result is at fault, where that is known
    progress: Any = None  # what the refused call had done until then


class NonfiniteDataError(NumericalError, ValueError):
    """X, y or sample_weight has a cell that is NaN or infinite; `row` and `column` say which."""


class OutOfMemoryError(PynnError, MemoryError):
    """There is not enough memory for the request."""


class FileError(PynnError, OSError):
    """A file could not be opened, read, written or renamed."""


class MissingFileError(FileError, FileNotFoundError):
    """There is no such file."""


class FileFormatError(PynnError, ValueError):
    """The file is no valid pynn model: another format, cut short or changed."""


class MissingDependencyError(PynnError, ImportError):
    """An optional package is not installed; the message names the extra that installs it."""


class UnsupportedError(PynnError, RuntimeError):
    """This build, processor or model does not support the request."""


class ThreadError(PynnError, RuntimeError):
    """A thread could not be started, or a forked child uses a model that a thread of its parent was changing."""


class CallbackError(PynnError, RuntimeError):
    """A user's function, such as a custom loss in C, reported a failure; nothing was updated."""


class ProcessError(PynnError, RuntimeError):
    """Another process of a run on several has failed, or does something else; the run has ended in all of them."""


class NotReadyError(PynnError, RuntimeError):
    """A call is missing: `build` or `fit` before `predict`, `compile` before `fit`."""


class TrainingWarning(UserWarning):
    """Training continued, but something needs attention."""
