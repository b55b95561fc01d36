"""The methods of a model that exchange its numbers with other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..network.network import Network
from ..training.learner import Learner
from . import keras_write, pytorch, scikit, weights

__all__ = ["Interchange"]


class Interchange:
    """Base of a model: its numbers as dictionaries, lists and other programs' files."""

    _network: Network
    _learner: Learner

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all numbers by name: ``"0.kernel"``, ``"0.bias"``, ``"1.moving_mean"``, ...

        Returns
        -------
        dict of str -> ndarray
            Index of the layer and name of the tensor. Kernels have the shape (inputs, units).
        """
        return weights.state_dict(self._network)

    def load_state_dict(self, state: Mapping[str, Any], *, names: Mapping[str, int] | None = None) -> None:
        """Take numbers by name, those of `state_dict` or of another program; all of them or none.

        Parameters
        ----------
        state : mapping of str to array
            Names of PyTorch (``"0.weight"`` of shape (units, inputs)) and of Keras, JAX and Flax (``"dense/kernel"``)
            are understood: see `load_weights`.
        names : mapping of str to int, optional
            Index of the layer that a name such as ``"encoder.fc"`` belongs to, where names alone do not tell.

        Raises
        ------
        ShapeError
            Tensors that do not go with the model; the message lists them all.
        """
        weights.assign(self._network, state, names)

    def load_weights(self, path: Any, *, names: Mapping[str, int] | None = None, optimizer: bool = False) -> None:
        """Take the weights that another program saved, or those of a model of pynn; all of them or none.

        Tensors go to layers by their shapes, and among layers of equal shapes by the numbers in their names. The model
        has to be built. Nothing in the file is executed.

        Parameters
        ----------
        path : str or path
            A state dict that ``torch.save`` wrote, ``.weights.h5`` of Keras, safetensors of any program: see
            docs/interchange.md.
        names : mapping of str to int, optional
            Index of the layer that a name such as ``"encoder.fc"`` belongs to, where names alone do not tell.
        optimizer : bool
            Take the optimizer's settings and state too, from a checkpoint of PyTorch such as
            ``{"model": model.state_dict(), "optimizer": optimizer.state_dict()}``: training goes on from there.

        Raises
        ------
        ShapeError
            Tensors that do not go with the model; the message lists them all.
        ArgumentValueError
            Layers of equal shapes whose names do not tell their order; the message shows how `names` does.
        MissingFileError, FileFormatError
        """
        if optimizer:
            pytorch.resume(self._learner, path, names)
        else:
            weights.assign(self._network, weights.read(path), names)

    def to_torch(self, *, link: bool = False) -> Any:
        """Return a ``torch.nn.Sequential`` of the same numbers, in evaluation mode; PyTorch has to be installed.

        Parameters
        ----------
        link : bool
            True ends the module in the loss's link, softmax for instance, so that it computes what `predict` does.
            False: logits, as ``predict(raw=True)`` and PyTorch's losses have them.

        Raises
        ------
        MissingDependencyError
            PyTorch is not installed.
        UnsupportedError
            The model has a custom activation.
        """
        return pytorch.module_of(self._network, link)

    def export_keras(self, path: Any) -> None:
        """Write a ``.keras`` file that Keras 3 loads; it takes h5py, not Keras.

        Loss, optimizer and its state are in it where Keras means the same by them: for Adam, AdamW, RMSprop and Adagrad
        that takes ``early_epsilon=True``. Otherwise compile the model there. `pynn.load` reads the file back, with
        names of columns and classes, which Keras does not keep.

        Parameters
        ----------
        path : str or path
            ``"model.keras"``.

        Raises
        ------
        MissingDependencyError
            h5py is not installed.
        UnsupportedError
            The model has a layer or an activation that Keras has not; the message names it.
        """
        keras_write.write(self._learner, path)

    def to_sklearn(self) -> Any:
        """Return a fitted `MLPClassifier` or `MLPRegressor` of scikit-learn that predicts alike.

        Behind a `StandardScaler` in a pipeline where the first layer is a `Normalization`. Scaled targets go into the
        last layer; two classes become one logistic output, as scikit-learn has it.

        Raises
        ------
        UnsupportedError
            Layers that those do not have: anything but dense ones with one activation, dropout and a normalization in
            front.
        NotReadyError
            The model was not built, or not compiled.
        """
        return scikit.to_sklearn(self._learner)

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of all numbers as a list: layer by layer, parameters before state, as Keras has them."""
        return list(weights.state_dict(self._network).values())

    def set_weights(self, values: Sequence[Any]) -> None:
        """Take the numbers that `get_weights` returned.

        Parameters
        ----------
        values : sequence of array-like

        Raises
        ------
        ShapeError
            Other shapes, or another number of arrays; nothing is changed.
        """
        weights.set_weights(self._network, values)
