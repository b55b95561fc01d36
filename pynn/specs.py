"""Choices by name and number: frozen dataclasses made from the rows of the C library's tables.

A row that is added in C appears here, with its class, its arguments and their limits, and nothing else to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, field, fields, make_dataclass
from functools import cached_property, wraps
from typing import Any, ClassVar, ParamSpec, TypeVar

from . import _core, checks
from .errors import ArgumentTypeError

__all__ = ["Spec", "Table", "list_arguments_of", "lists_arguments"]

Numbers = dict[str, float]
P = ParamSpec("P")
T = TypeVar("T")

_SPELLINGS = {
    "sgd": "SGD", "rmsprop": "RMSprop", "adamw": "AdamW", "relu": "ReLU", "elu": "ELU", "selu": "SELU", "celu": "CELU",
    "gelu": "GELU", "silu": "SiLU", "relu6": "ReLU6", "glu": "GLU", "nll": "NLL", "kl": "KL",
    "amsgrad": "AMSGrad",
}  # fmt: skip

_HABITS = {  # what other libraries call an argument, or say in another place
    "lr": "learning_rate", "n_epochs": "epochs", "nb_epoch": "epochs", "eps": "epsilon", "alpha": "learning_rate",
    "max_epochs": "epochs", "input_shape": "put pynn.Input((columns,)) before the layers",
    "input_dim": "put pynn.Input((columns,)) before the layers",
}  # fmt: skip


def class_name(name: str) -> str:
    """``he_normal`` -> ``HeNormal``; abbreviations keep the spelling of the field."""
    return "".join(_SPELLINGS.get(word, word.capitalize()) for word in name.split("_"))


def lists_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """The same function or method; a misspelt argument is an error that lists the right ones."""
    code = function.__code__
    names = [
        name for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if name not in ("self", "cls")
    ]
    known, placed = frozenset(names), code.co_varnames[: code.co_argcount]

    @wraps(function)
    def checked(*args: P.args, **arguments: P.kwargs) -> T:
        if not known.issuperset(arguments):
            wrong = [name for name in arguments if name not in known]
            raise ArgumentTypeError(
                f"expected arguments among {', '.join(names)}; received {', '.join(wrong)}" + _meant(wrong[0], names)
            )
        for name, value in zip(placed, args, strict=False):
            if name in arguments:
                raise ArgumentTypeError(
                    f"expected {name} once; received {value!r} in its place, and {name}={arguments[name]!r}"
                )
        return function(*args, **arguments)

    return checked


def _meant(name: str, known: list[str]) -> str:
    """Return the argument that is called `name` elsewhere, or the nearest one, as a question."""
    if name in _HABITS and (_HABITS[name] in known or " " in _HABITS[name]):
        return f": did you mean {_HABITS[name]!r}?" if _HABITS[name] in known else f": {_HABITS[name]}"
    return checks.nearest(name, known)


def list_arguments_of(cls: type) -> None:
    """The same for the arguments that a class is made with."""
    cls.__init__ = lists_arguments(cls.__init__)  # type: ignore[misc]


def say_how_to_change(cls: type) -> None:
    """Setting an attribute of an object that never changes is an error that says what to do instead."""

    def refuse(self: Spec, name: str, value: Any) -> None:
        raise FrozenInstanceError(
            f"expected {type(self).__name__} to stay as it was made; received {name}={value!r}: {self.to_change}"
        )

    cls.__setattr__ = refuse  # type: ignore[assignment,method-assign]


class Spec:
    """A choice from a table: its name and its numbers. Immutable; equal to another with the same ones."""

    kind: ClassVar[str]
    name: ClassVar[str]
    row: ClassVar[Mapping[str, Any]]
    to_change: ClassVar[str] = "make another one"

    def __post_init__(self) -> None:
        for rule in self.row["fields"]:
            value = checks.field(f"{type(self).__name__}.{rule['name']}", getattr(self, rule["name"]), rule)
            object.__setattr__(self, rule["name"], value)

    @cached_property
    def core(self) -> tuple[str, Numbers]:
        """What the compiled core takes: the name and the numbers of its row."""
        return self.name, {rule["name"]: float(getattr(self, rule["name"])) for rule in self.row["fields"]}

    def to_dict(self) -> dict[str, Any]:
        """``{"name": ..., argument: value, ...}``, plain values for JSON."""
        return {"name": self.name, **{f.name: getattr(self, f.name) for f in fields(self)}}  # type: ignore[arg-type]


class Table:
    """The rows of one kind (``"activation"``, ...) and the classes made from them.

    Parameters
    ----------
    kind : str
        Which table of the library.
    base : type
        What the classes derive from: `Spec`, or a frozen dataclass with keyword-only fields of its own.
    texts : dict of str -> str
        First words of a class's documentation, by row; a row without one is described by its arguments.
    """

    def __init__(self, kind: str, base: type = Spec, texts: Mapping[str, str] | None = None) -> None:
        self.kind, self._base, self._texts = kind, base, texts or {}
        self._classes: dict[str, type] = {}
        self._defaults: dict[str, Any] = {}  # by name; specs never change, so one of each will do

    @cached_property
    def rows(self) -> dict[str, Mapping[str, Any]]:
        """Name -> row; what stands for having none is left out."""
        return {row["name"]: row for row in _core.table(self.kind) if row["name"] != "none"}

    @cached_property
    def _canonical(self) -> dict[str, str]:
        names = {alias: name for name, row in self.rows.items() for alias in row["aliases"]}
        return names | {name: name for name in [*self.rows, *self._classes]}

    @cached_property
    def class_names(self) -> dict[str, str]:
        """Name of the class -> name of the row."""
        return {class_name(name): name for name in dict.fromkeys([*self.rows, *self._classes])}

    def canonical(self, name: str, argument: str | None = None) -> str:
        """Return the row's name for a name or alias, in any case."""
        return checks.name(argument or self.kind, name, self._canonical)

    def knows(self, value: Any) -> bool:
        """Return whether `value` is a name in this table, or a spec of it."""
        if isinstance(value, str):
            return checks.is_name(value, self._canonical)
        return isinstance(value, Spec) and value.kind == self.kind

    def spec_class(self, name: str) -> type:
        """The class of a row."""
        if name not in self._classes:
            self._classes[name] = self._make(self.rows[name])
        return self._classes[name]

    def define(self, cls: type) -> None:
        """A class that is written by hand, for the row of its `name` or beside the rows."""
        self._classes[cls.name] = cls  # type: ignore[attr-defined]
        self._defaults.pop(cls.name, None)  # type: ignore[attr-defined]
        list_arguments_of(cls)
        say_how_to_change(cls)

    def _make(self, row: Mapping[str, Any]) -> type:
        members = [(rule["name"], rule["type"], field(default=rule["type"](rule["default"]))) for rule in row["fields"]]
        name = class_name(row["name"])
        namespace = {
            "kind": self.kind, "name": row["name"], "row": row, "__doc__": self._document(row),
            "__module__": f"pynn.{self.kind}s" if self.kind != "loss" else "pynn.losses",
        }  # fmt: skip
        cls = make_dataclass(name, members, bases=(self._base,), namespace=namespace, frozen=True)
        list_arguments_of(cls)
        say_how_to_change(cls)
        return cls

    def _document(self, row: Mapping[str, Any]) -> str:
        lines = [self._texts.get(row["name"], f"The {self.kind} {row['name']!r}.")]
        if row["fields"]:
            lines += ["", "Parameters", "----------"]
            for rule in row["fields"]:
                lines += [f"{rule['name']} : {rule['type'].__name__}, default {rule['type'](rule['default'])}"]
                lines += [f"    {checks.describe(rule).capitalize()}."]
        if row["aliases"]:
            lines += ["", f"Also known as {', '.join(map(repr, row['aliases']))}."]
        return "\n".join(lines)

    def get(self, value: Any, argument: str | None = None) -> Any:
        """The spec for a name, alias, spec of this table or what its `to_dict` gave.

        Examples
        --------
        >>> import pynn
        >>> pynn.losses.get("mse")
        MeanSquaredError()
        """
        argument = argument or self.kind
        if isinstance(value, str):
            name = self.canonical(value, argument)
            if name not in self._defaults:
                self._defaults[name] = self.spec_class(name)()
            return self._defaults[name]
        if isinstance(value, Spec) and value.kind == self.kind:
            return value
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            numbers = {key: number for key, number in value.items() if key != "name"}
            return self.spec_class(self.canonical(value["name"], argument))(**numbers)
        if isinstance(value, type) and issubclass(value, Spec):
            raise ArgumentTypeError(
                f"expected {argument} as a name or an object; received the class {value.__name__}: "
                f"write {value.__name__}()"
            )
        raise ArgumentTypeError(
            f"expected {argument} as a name such as {next(iter(self.rows))!r} or an object of pynn's; "
            f"received {argument}={value!r}"
        )

    def module(self, name: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
        """``__all__, __getattr__, __dir__`` of the module that offers this table: classes are made when first named."""
        public = ["get", *self.class_names]

        def get_attribute(attribute: str) -> Any:
            if attribute in self.class_names:
                return self.spec_class(self.class_names[attribute])
            raise AttributeError(
                f"module {name!r} has no attribute {attribute!r}; it has {', '.join(public)}"
                f"{checks.nearest(attribute, public)}"
            )

        return public, get_attribute, lambda: sorted(public)
