"""The base of all layers."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, ClassVar

from .. import activations, checks, constraints, regularizers
from ..errors import ArgumentTypeError, ArgumentValueError
from ..specs import Spec, Table

table_rows = Table("layer").rows


class Layer:
    """Base of all layers. Immutable; equal to another with the same arguments."""

    kind: ClassVar[str]
    takes_sequences: ClassVar[bool] = False
    """Whether X of a network with such a layer is (rows, timesteps, features)."""

    @property
    def only_trains(self) -> bool:
        """Whether predictions pass through unchanged."""
        return bool(table_rows[self.kind]["only_trains"])

    def _check(self, name: str) -> None:
        """Replace argument `name` by its number, checked against the library's rule."""
        rule = next(rule for rule in table_rows[self.kind]["fields"] if rule["name"] == name)
        object.__setattr__(self, name, checks.field(f"{type(self).__name__}.{name}", getattr(self, name), rule))

    def _choose_limits(self) -> None:
        """Replace regularisers and constraints by their specs."""
        for module, kind in ((regularizers, "regularizer"), (constraints, "constraint")):
            for tensor in ("kernel", "recurrent", "bias"):
                name = f"{tensor}_{kind}"
                if not hasattr(self, name):
                    continue
                value = getattr(self, name)
                chosen = None if value in (None, "none") else module.table.get(value, name)
                object.__setattr__(self, name, chosen)

    def __repr__(self) -> str:
        """The arguments that make this layer, without those that may be left out."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        for f in fields(self):  # type: ignore[arg-type]
            others = {name: value for name, value in given.items() if name != f.name}
            if f.default is not MISSING and type(self)(**others) == self:
                given = others
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    @property
    def core(self) -> dict[str, Any]:
        """What the compiled core takes: the kind with its numbers, and each choice that is a spec, as pairs."""
        numbers = {rule["name"]: float(getattr(self, rule["name"])) for rule in table_rows[self.kind]["fields"]}
        found: dict[str, Any] = {"kind": (self.kind, numbers)}
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if isinstance(value, Spec):
                found[f.name] = value.core
            if f.name == "activation" and isinstance(value, activations.Custom):
                found["custom_activation"] = value
        return found

    @classmethod
    def from_core(cls, layer: Mapping[str, Any]) -> Layer:
        """The layer that `core` described."""
        custom = layer.get("custom_activation")
        choices = {k: v for k, v in layer.items() if k not in ("kind", "custom_activation") and v[0] != "none"}
        specs: dict[str, Any] = {key: {"name": name, **rest} for key, (name, rest) in choices.items()}
        return cls(**layer["kind"][1], **specs | ({} if custom is None else {"activation": custom}))

    def to_dict(self) -> dict[str, Any]:
        """``{"layer": kind, argument: value, ...}``, plain values for JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {"layer": self.kind, **{k: v.to_dict() if isinstance(v, Spec) else v for k, v in values.items()}}


def check_integers(name: str, values: Any, least: int) -> tuple[int, ...]:
    """Distinct or not, integers >= `least` as a tuple."""
    try:
        found = [operator.index(value) for value in values]
    except TypeError:
        raise ArgumentTypeError(f"expected {name} as integers; received {name}={values!r}") from None
    if not found or min(found) < least:
        raise ArgumentValueError(f"expected {name} as integers >= {least}; received {name}={values!r}")
    return tuple(found)


def check_columns(name: str, values: Any) -> tuple[int, ...]:
    found = check_integers(name, values, 0)
    if len(set(found)) < len(found):
        raise ArgumentValueError(f"expected {name} as distinct numbers of columns; received {name}={values!r}")
    return found
