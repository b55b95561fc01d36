"""The steps of a graph, one after another, and the layers that they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import layers as layers_
from ...errors import FileFormatError, PynnError, UnsupportedError
from ...network.network import Description

__all__ = ["Activate", "Affine", "Chain", "Clip", "Dense", "Fill", "Layer", "Skip"]


@dataclass
class Step:
    """Base of all; `node` is the name of the node that it came from."""

    node: str


@dataclass
class Dense(Step):
    """``X kernel + bias``."""

    kernel: np.ndarray
    bias: np.ndarray | None = None
    activation: Any = None


@dataclass
class Affine(Step):
    """``scale X + shift`` by columns or, as vectors of one number, for all columns."""

    scale: np.ndarray
    shift: np.ndarray


@dataclass
class Fill(Step):
    """Numbers in place of NaN and, perhaps, of infinities."""

    values: np.ndarray
    infinite: bool


@dataclass
class Clip(Step):
    """X kept within -most and most."""

    most: float


@dataclass
class Activate(Step):
    """An activation on its own."""

    activation: Any


@dataclass
class Layer(Step):
    """A layer that the graph has as a node, with its tensors by name."""

    spec: layers_.Layer
    tensors: dict[str, np.ndarray]


@dataclass
class Skip(Step):
    """The sum with what the first `position` steps give."""

    position: int


class Chain:
    """Steps in a row. `position` n is what the first n of them give."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, step: Step) -> int:
        """Add a step, and return the position behind it."""
        self.steps.append(step)
        return len(self.steps)

    def describe(self, inputs: int | None, budget: Any) -> Description:
        """Return the layers and their tensors.

        Raises
        ------
        UnsupportedError
            The steps are no layers of pynn.
        """
        found = _Layers(_merged(self.steps), inputs, budget)
        specs = tuple(found.specs)
        try:
            layers_.checked(layers_.nest(specs))
        except PynnError as error:
            raise UnsupportedError(f"expected a chain of layers that pynn has; {error}") from None
        return Description(specs, 0, found.dtype, found.inputs, found.tensors)


def _merged(steps: list[Step]) -> list[tuple[Step, int]]:
    """Return fewer steps, each with the position before it: sums and factors go into the dense layer before them."""
    kept = {step.position for step in steps if isinstance(step, Skip)}
    found: list[tuple[Step, int]] = []
    for position, step in enumerate(steps):
        last = found[-1][0] if found and position not in kept else None
        both = None if last is None else _joined(last, step)
        if both is None:
            found.append((step, position))
        else:
            found[-1] = (both, found[-1][1])
    return found


def _joined(last: Step, step: Step) -> Step | None:
    """Return one step that does what two do; None where there is none."""
    if isinstance(step, Affine) and isinstance(last, Affine):
        scale = np.asarray(last.scale * step.scale)
        return Affine(step.node, scale, np.asarray(last.shift * step.scale + step.shift))
    if isinstance(step, Affine) and isinstance(last, Dense) and last.activation is None:
        kernel, units = last.kernel, last.kernel.shape[1]
        if len(step.scale) not in (1, units) or len(step.shift) not in (1, units):
            return None
        if (step.scale != 1).any():
            kernel = (kernel * step.scale).astype(kernel.dtype)
        bias = np.zeros(1) if last.bias is None else last.bias
        return Dense(last.node, kernel, np.broadcast_to(bias * step.scale + step.shift, units))
    if isinstance(step, Dense) and isinstance(last, Dense) and last.activation is None and _is_pair(step.kernel):
        both = None if last.bias is None else last.bias @ step.kernel
        return Dense(last.node, (last.kernel @ step.kernel).astype(last.kernel.dtype), both)
    if isinstance(step, Activate) and isinstance(last, Dense) and last.activation is None:
        return Dense(last.node, last.kernel, last.bias, step.activation)
    return None


def _is_pair(kernel: np.ndarray) -> bool:
    """Tell whether a matrix puts a column of 0 before a column."""
    return kernel.shape == (1, 2) and kernel.tolist() == [[0, 1]]


class _Layers:
    """Specs and tensors, made of steps from the first to the last."""

    def __init__(self, steps: list[tuple[Step, int]], inputs: int | None, budget: Any) -> None:
        self.specs: list[layers_.Layer] = []
        self.tensors: dict[tuple[int, str], np.ndarray] = {}
        kernels = [step.kernel for step, _ in steps if isinstance(step, Dense)]
        self.dtype = np.result_type(np.float32, *kernels).name
        for kernel in kernels:
            budget.take(kernel.size * np.dtype(self.dtype).itemsize)
        self.inputs = self._width = _inputs(steps, inputs)
        self._at: dict[int, int] = {}  # position -> index of the layer that begins there
        self._widths: dict[int, int] = {}
        kept = {step.position for step, _ in steps if isinstance(step, Skip)}
        index = 0
        while index < len(steps):
            self._at[steps[index][1]] = len(self.specs)
            self._widths[steps[index][1]] = self._width
            index += self._take(steps, index, kept)

    def _take(self, steps: list[tuple[Step, int]], index: int, kept: set[int]) -> int:
        """Make a layer of the next step or steps, and return how many they were."""
        step = steps[index][0]
        if isinstance(step, Dense):
            self._dense(step)
            return 1
        if isinstance(step, Activate):
            self.specs.append(layers_.Activation(step.activation))
            return 1
        if isinstance(step, Layer):
            if any(values.shape != (self._width,) for values in step.tensors.values()):
                raise FileFormatError(f"expected tensors of {self._width} numbers of the node {step.node!r}")
            self._add(step.spec, step.tensors)
            return 1
        if isinstance(step, Skip):
            self._skip(step)
            return 1
        run: list[Step] = []
        for kind in (Fill, Affine, Clip):
            at = index + len(run)
            if at < len(steps) and isinstance(steps[at][0], kind) and (not run or steps[at][1] not in kept):
                run.append(steps[at][0])
        self._normalization(run)
        return len(run)

    def _add(self, spec: layers_.Layer, tensors: dict[str, np.ndarray]) -> None:
        self.tensors |= {(len(self.specs), name): values for name, values in tensors.items()}
        self.specs.append(spec)

    def _dense(self, step: Dense) -> None:
        inputs, units = step.kernel.shape
        if inputs != self._width:
            raise FileFormatError(
                f"expected a matrix with {self._width} inputs in the node {step.node!r}; received one with {inputs}"
            )
        spec = layers_.Dense(units, activation=step.activation, use_bias=step.bias is not None)
        tensors = {"kernel": step.kernel} | ({} if step.bias is None else {"bias": np.asarray(step.bias)})
        self._add(spec, tensors)
        self._width = units

    def _skip(self, step: Skip) -> None:
        if self._widths[step.position] != self._width:
            raise UnsupportedError(f"expected a sum of equal widths in the node {step.node!r}")
        self.specs.append(layers_.Add(len(self.specs) - self._at[step.position]))

    def _normalization(self, run: list[Step]) -> None:
        """Make a normalization of a fill, a scaling and a cut, or of some of them."""
        width = self._width
        fill, scale, shift = np.zeros(width), np.ones(width), np.zeros(width)
        missing, clip = "error", None
        for step in run:
            if isinstance(step, Fill):
                fill = self._columns(step, step.values)
                missing = "nonfinite" if step.infinite else "mean"
            elif isinstance(step, Affine):
                scale, offset = self._columns(step, step.scale), self._columns(step, step.shift)
                if ((scale == 0) & (offset != 0)).any():
                    raise UnsupportedError(
                        f"expected columns that vary behind the node {step.node!r}; received a constant other than 0"
                    )
                shift = -np.divide(offset, scale, out=np.zeros(width), where=scale != 0)
            elif isinstance(step, Clip):
                clip = step.most
        spec = layers_.Normalization(missing=missing, clip=clip)
        self._add(spec, {"shift": shift, "scale": scale, "fill": fill, "rows": np.ones(1)})

    def _columns(self, step: Step, values: np.ndarray) -> np.ndarray:
        if values.shape not in ((1,), (self._width,)):
            raise FileFormatError(
                f"expected one number or {self._width} in the node {step.node!r}; received {len(values)}"
            )
        return np.broadcast_to(values, self._width).astype(np.float64)


def _inputs(steps: list[tuple[Step, int]], inputs: int | None) -> int:
    """Return the columns of the input, which the first matrix tells where the graph does not."""
    first = next((step for step, _ in steps if isinstance(step, Dense)), None)
    if first is None:
        raise UnsupportedError("expected a chain of layers that pynn has; received a graph without a matrix")
    found = first.kernel.shape[0]
    if inputs is not None and inputs != found:
        raise FileFormatError(
            f"expected a matrix with {inputs} inputs in the node {first.node!r}; received one with {found}"
        )
    return found
