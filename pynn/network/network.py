"""A network: layer specs, and the compiled core that is made of them. Nothing else makes a core model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import _core, activations, arrays, losses, runtime
from .. import layers as layers_
from ..errors import ArgumentValueError, NotReadyError, ShapeError

__all__ = ["Description", "Network", "Place", "assemble", "read_core"]

Place = tuple[int, str]  # index of a layer, name of one of its tensors


@dataclass(frozen=True)
class Description:
    """A network as plain values: what readers of any format give, and what writers take.

    Attributes
    ----------
    layers : sequence of Layer
        Flat: residual blocks as their layers and an `Add`.
    inputs : int or None
        Columns of X; None: not known yet, and no `tensors`.
    tensors : mapping of (layer, name) to array
        Parameters and state that differ from freshly built ones.
    timesteps : int
        In a row of X; 1 for rows that are no sequences.
    """

    layers: tuple[layers_.Layer, ...]
    seed: int = 0
    dtype: str = "float32"
    inputs: int | None = None
    tensors: Mapping[Place, np.ndarray] = field(default_factory=dict)
    timesteps: int = 1


class Network:
    """Layers and their numbers.

    Parameters
    ----------
    layers : iterable of Layer
        Flat, as `layers.flatten` gives them.
    seed : int
    dtype : numpy dtype

    Attributes
    ----------
    specs : list of Layer
    outputs : int
        Columns of predictions.
    loss : Loss or None
        Applied to the core: its link makes predictions of logits.
    target_scaling : "standard", "minmax" or None
    schema : Schema or None
        Meaning of the columns of the tables trained on.
    sequential : bool
        X is (rows, timesteps, features).
    timesteps : int or None
        In a row of X; None: not known yet.
    initial : dict of (layer, name) to array
        Tensors that layers of trained models brought along; `build` starts from them.
    frozen : set of int
        Indices of the layers that are not trained; see `set_trainable`.
    """

    def __init__(self, layers: Iterable[layers_.Layer], *, seed: int = 0, dtype: Any = "float32") -> None:
        self.specs = list(layers)
        self.outputs = next((int(spec.units) for spec in reversed(self.specs) if hasattr(spec, "units")), 0)
        self.sequential = any(spec.takes_sequences for spec in self.specs)
        self.timesteps: int | None = None
        self.seed, self.dtype = seed, np.dtype(dtype)
        self.loss: Any = None
        self.target_scaling: str | None = None
        self.schema: Any = None
        self.initial: dict[Place, np.ndarray] = {}
        self.frozen: set[int] = set()
        self._core: _core.Model | None = None

    # ---- building

    def build(self, inputs: int, timesteps: int | None = None) -> Network:
        """Make the core with fresh parameters: same seed, same numbers. `timesteps` by default as the data had."""
        if not self.outputs:
            layers_.require_dense(self.specs)
        layers, timesteps = [spec.core for spec in self.specs], timesteps or self.timesteps or 1
        scales = self.target_scaling is not None
        core = self._freeze(assemble(inputs, layers, self.dtype.name, self.seed, scales, timesteps=timesteps))
        if self.sequential:
            self._refuse_sequences(core)
        self.timesteps = timesteps
        if self.loss is not None:
            self.loss.apply(core)
        before, self._core = self._core, core
        try:
            self.assign(self.initial)
        except ShapeError:
            self._core = before
            raise
        return self

    @classmethod
    def of_core(cls, core: _core.Model) -> Network:
        """Make the network of a core model, of a file for instance."""
        network = cls(map(layers_.from_core, core.layers), seed=core.seed, dtype=core.dtype)
        network._core, network.timesteps = core, core.timesteps
        return network

    @classmethod
    def of(cls, description: Description) -> Network:
        """Make the network that a description describes."""
        network = cls(description.layers, seed=description.seed, dtype=description.dtype)
        if description.inputs is not None:
            network.build(description.inputs, description.timesteps)
            network.assign(description.tensors)
        return network

    def describe(self) -> Description:
        """Describe this network; the tensors are views."""
        tensors = {} if self._core is None else self.tensors
        inputs = None if self._core is None else self.inputs
        return Description(tuple(self.specs), self.seed, self.dtype.name, inputs, tensors, self.timesteps or 1)

    def set_loss(self, loss: Any, target_scaling: str | None = None) -> None:
        """Apply a loss to the core; parameters stay."""
        core = self._core
        if core is not None:
            if core.target_scaling != (target_scaling is not None):
                core = self._freeze(self._copied(core, target_scaling=target_scaling is not None))
            loss.apply(core)
        self._core, self.loss, self.target_scaling = core, loss, target_scaling

    def set_trainable(self, index: int, trainable: bool) -> None:
        """Freeze a layer, or train it again."""
        if self._core is not None:
            self._core.set_trainable(index, trainable)
        self.frozen = self.frozen - {index} if trainable else self.frozen | {index}

    def _freeze(self, core: _core.Model) -> _core.Model:
        """Return a core whose layers are frozen as this network's are."""
        for index in self.frozen:
            core.set_trainable(index, False)
        return core

    def learn_sizes(self, sizes: Mapping[int, tuple[int, ...]]) -> None:
        """Set the numbers of codes of categories, by layer."""
        for index, found in sizes.items():
            spec: Any = self.specs[index]
            self.specs[index] = replace(spec, sizes=found)

    def bring(self, index: int, other: Network, layer: int) -> None:
        """Start layer `index` from copies of the tensors of another network's layer, frozen if that is."""
        self.set_trainable(index, layer not in other.frozen)
        if other.built:
            found = {name: view for (at, name), view in other.tensors.items() if at == layer}
        else:
            found = {name: array for (at, name), array in other.initial.items() if at == layer}
        self.initial |= {(index, name): np.array(array) for name, array in found.items()}

    # ---- sizes

    @property
    def built(self) -> bool:
        """Whether the number of inputs is known and parameters exist."""
        return self._core is not None

    @property
    def core(self) -> _core.Model:
        """The compiled model."""
        if self._core is None:
            raise NotReadyError("expected a model that was built; call fit, or build(inputs) first")
        return self._core

    @property
    def inputs(self) -> int:
        """Columns of X."""
        return int(self.core.inputs)

    def as_rows(self, x: Any, columns: int | None = None, empty: bool = False) -> Any:
        """Return X as the core reads it; sequences as rows of their timesteps and features, side by side. The first
        ones decide how many timesteps there are."""
        if not self.sequential:
            return arrays.as_inputs(x, self.inputs if self.built else columns, empty)
        if self.built:
            steps = self.core.timesteps
            return arrays.as_sequences(x, (steps, self.inputs // steps), empty)
        shape = None if columns is None or self.timesteps is None else (self.timesteps, columns // self.timesteps)
        x = arrays.as_inputs(x, empty=empty, sequences=True)
        self.timesteps = x.shape[1] if x.ndim == 3 else self.timesteps
        return arrays.as_sequences(x, shape, empty)

    @staticmethod
    def _refuse_sequences(core: _core.Model) -> None:
        """Refuse layers that end in sequences."""
        if core.shape(len(core.layers) - 1)[0] > 1:
            raise ArgumentValueError(
                "expected layers that end in one timestep; received a last recurrent layer with return_sequences=True: "
                "leave it out, or put pynn.Flatten(), GlobalAveragePooling1D() or GlobalMaxPooling1D() behind it"
            )

    @property
    def row_shape(self) -> int | tuple[int, int]:
        """Columns of X; of sequences timesteps and features."""
        return self.core.shape(-1) if self.sequential else self.inputs

    # ---- tensors

    @property
    def parameters(self) -> np.ndarray:
        """All parameters as one writable vector."""
        return np.asarray(self.core.parameters)

    @property
    def state(self) -> np.ndarray:
        """All that layers hold beside parameters, as one writable float64 vector."""
        return np.asarray(self.core.state)

    @property
    def tensors(self) -> dict[Place, np.ndarray]:
        """Parts of the parameters and the state by layer and name, as views; those of the targets have layer -1."""
        return self.parts(self.parameters) | _parts(self.core.states, self.state)

    def parts(self, vector: np.ndarray) -> dict[Place, np.ndarray]:
        """Return the parts of a vector that is laid out as the parameters are, by layer and name, as views."""
        return _parts(self.core.tensors, vector)

    def find(self, layer: int, name: str) -> np.ndarray | None:
        """Return a tensor as a view; None if the layer has none of that name, or the network is not built."""
        return None if self._core is None else self.tensors.get((layer, name))

    def view(self, layer: int, name: str) -> np.ndarray:
        """Return a tensor as a view."""
        found = self.tensors.get((layer, name))
        if found is None:
            raise AttributeError(f"layer {layer}, {self.specs[layer]!r}, has no {name}")
        return found

    def assign(self, tensors: Mapping[Place, Any]) -> None:
        """Write tensors, all or none of them."""
        if not tensors:
            return
        views = {place: self.view(*place) for place in tensors}
        values = {place: np.asarray(value) for place, value in tensors.items()}
        for (layer, name), view in views.items():
            shape = values[layer, name].shape
            if shape != view.shape:
                raise ShapeError(
                    f"expected {name} of layer {layer} with shape {view.shape}; received {name} of shape {shape}"
                )
        for place, view in views.items():
            view[...] = values[place]

    # ---- copies

    def copy(self, dtype: str | None = None, *, layers: list[Any] | None = None) -> Network:
        """Return a network of the same layers, numbers and loss; `layers` are other choices for the core's layers."""
        found = Network(self.specs, seed=self.seed, dtype=dtype or self.dtype)
        found.loss, found.target_scaling, found.schema = self.loss, self.target_scaling, self.schema
        found.frozen, found.timesteps = set(self.frozen), self.timesteps
        found._core = found._freeze(self._copied(self.core, dtype, layers=layers))
        if self.loss is not None:
            self.loss.apply(found._core)
        return found

    @staticmethod
    def _copied(
        core: _core.Model, dtype: str | None = None, layers: Any = None, target_scaling: bool | None = None
    ) -> _core.Model:
        """A core of the same layers, parameters and state, without a loss."""
        scales = core.target_scaling if target_scaling is None else target_scaling
        kinds = layers or core.layers
        copy = assemble(core.inputs, kinds, dtype or core.dtype, core.seed, scales, core.context, core.timesteps)
        np.asarray(copy.parameters)[...] = np.asarray(core.parameters)
        both = min(len(copy.state), len(core.state))  # that of the targets is the last
        np.asarray(copy.state)[:both] = np.asarray(core.state)[:both]
        return copy

    def open_stream(self, rows: int) -> _core.Stream:
        """Return a core of one timestep that keeps its states, with a copy of the numbers."""
        return _core.Stream(self.core, rows)

    def below(self, index: int) -> _core.Model | None:
        """Return a core of the layers below one; None if they leave X as it is."""
        unchanged = all(spec.only_trains for spec in self.specs[:index])
        return None if unchanged else self.cut(index)

    def cut(self, count: int) -> _core.Model:
        """Return a core of the first layers."""
        core = self.core
        kinds = core.layers[:count]
        below = assemble(core.inputs, kinds, core.dtype, core.seed, False, core.context, core.timesteps)
        for to, source in ((below.parameters, core.parameters), (below.state, core.state)):
            np.asarray(to)[...] = np.asarray(source)[: len(to)]
        return below

    def drawn(self, layers: list[Any] | None = None) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
        """Return the parameters that training starts from, by the seed, and the kernels in them by layer.

        Parameters
        ----------
        layers : list of dict, optional
            Other choices for the core's layers, other initializers for instance.
        """
        core = self.core
        kinds, scales = layers or core.layers, core.target_scaling
        fresh = assemble(core.inputs, kinds, core.dtype, core.seed, scales, core.context, core.timesteps)
        parameters, kernels = np.asarray(fresh.parameters), []
        for name, layer, offset, rows, columns in fresh.tensors:
            part = parameters[offset : offset + rows * columns]
            if layers is None and (layer, name) in self.initial:
                part[...] = self.initial[layer, name].reshape(-1)
            if name == "kernel":
                kernels.append((layer, part.reshape(rows, columns)))
        return parameters, kernels

    # ---- data

    def _scales(self, name: str) -> bool:
        """Whether numbers of X, y or sample_weight are scaled before they are numbers of the network's dtype."""
        if name == "y":
            return self.target_scaling is not None
        return any(spec.kind == "normalization" for spec in self.specs)

    def bad_cells(self, name: str, x: np.ndarray) -> np.ndarray:
        """Return the cells (row, column) of X, y or sample_weight that are no finite numbers of the network's dtype and
        that no layer takes care of. What a missing target means is a custom loss's to decide."""
        most = np.inf if x.dtype.itemsize < 8 or self._scales(name) else float(np.finfo(self.dtype).max)
        cells = arrays.find_nonfinite(x, most)
        if name == "y" and isinstance(self.loss, losses.Custom):
            return cells[~np.isnan(x[cells[:, 0], cells[:, 1]])]
        if name != "X" or not len(cells):
            return cells
        taken = {column: layers_.tolerates(self.specs, column) for column in np.unique(cells[:, 1]).tolist()}
        return cells[[not taken[column][0 if np.isnan(x[row, column]) else 1] for row, column in cells.tolist()]]


def _parts(places: Iterable[Any], vector: np.ndarray) -> dict[Place, np.ndarray]:
    """Return the parts of a vector at places that the core lists, as views."""
    found = {}
    for name, layer, offset, rows, columns in places:
        view = vector[offset : offset + rows * columns]
        found[layer, name] = view.reshape(rows, columns) if rows > 1 or name == "kernel" else view
    return found


def read_core(path: bytes, functions: Mapping[str, Any] | None = None) -> _core.Model:
    """Read a model file; `functions` are those that it names, by name."""
    core = _core.load(runtime.context(), path)
    for index, layer in enumerate(core.layers):
        if "custom_activation" in layer:
            core.set_custom_activation(index, activations.resolve(layer["custom_activation"], functions))
    return core


def assemble(
    inputs: int,
    layers: list[Any],
    dtype: str,
    seed: int,
    target_scaling: bool = False,
    context: Any = None,
    timesteps: int = 1,
) -> _core.Model:
    """Make a core model of the layers' choices."""
    return _core.Model(context or runtime.context(), inputs, layers, dtype, seed, target_scaling, timesteps)
