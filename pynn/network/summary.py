"""A network as a table of text."""

from __future__ import annotations

from .network import Network

__all__ = ["summary"]


def summary(network: Network) -> str:
    """Return the layers with their outputs and numbers of parameters, one in a line."""
    counts: dict[int, int] = {}
    for _, index, _, rows, columns in network.core.tensors if network.built else ():
        counts[index] = counts.get(index, 0) + rows * columns
    width = _width(network, -1, "?")
    table = [("layer", "outputs", "activation", "parameters"), ("input", width, "", "")]
    for index, spec in enumerate(network.specs):
        width = _width(network, index, str(getattr(spec, "units", width)))
        activation = getattr(spec, "activation", None)
        count = f"{counts.get(index, 0):,}" if network.built else "?"
        kind = f"{index} {type(spec).__name__}"
        if spec.kind == "add":
            kind += f" (input of {index - spec.layers})"  # type: ignore[attr-defined]
        kind += " (frozen)" if index in network.frozen else ""
        table.append((kind, width, activation.name if activation is not None else "", count))
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in table]
    total = f"{len(network.parameters):,} parameters" if network.built else "not built yet"
    if network.built and network.frozen:
        total += f" ({sum(counts.get(index, 0) for index in network.frozen):,} frozen)"
    return "\n".join([*lines, f"{total}, {network.dtype.name}, seed {network.seed}"])


def _width(network: Network, index: int, guess: str) -> str:
    """Return the columns of a layer's values, "timesteps x features" of sequences; a guess if not built."""
    if not network.built:
        return guess
    timesteps, features = network.core.shape(index)
    return f"{timesteps} x {features}" if timesteps > 1 else str(features)


def _aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    return [
        cell.ljust(w) if i in (0, 2) else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
    ]
