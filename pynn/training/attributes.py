"""The attributes of a model, read from its network and its learner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import checks
from ..data import Schema
from ..network.network import Network
from ..report.history import History
from .learner import Learner


class Attributes:
    """Base of a model: what it is made of, what `compile` chose and where training stands."""

    layers: Any
    _network: Network
    _learner: Learner

    @property
    def built(self) -> bool:
        """Whether the number of inputs is known and parameters exist."""
        return self._network.built

    @property
    def seed(self) -> int:
        """Decides the initial parameters, the order of the rows and the draws of dropout."""
        return self._network.seed

    @property
    def dtype(self) -> np.dtype:
        """Of parameters and computation."""
        return self._network.dtype

    @property
    def inputs(self) -> int:
        """Columns of X."""
        return self._network.inputs

    @property
    def outputs(self) -> int:
        """Columns of predictions."""
        return self._network.outputs

    @property
    def parameters(self) -> np.ndarray:
        """All parameters as one writable vector: a view, valid as long as anyone holds it."""
        return self._network.parameters

    @property
    def schema(self) -> Schema | None:
        """What the columns of the tables mean that the model was trained on."""
        return self._network.schema

    @schema.setter
    def schema(self, schema: Schema | None) -> None:
        self._network.schema = schema

    @property
    def loss(self) -> Any:
        """What `compile` chose to train for."""
        return self._network.loss

    @property
    def target_scaling(self) -> str | None:
        """How targets are scaled."""
        return self._network.target_scaling

    @property
    def optimizer(self) -> Any:
        """How parameters are changed; assign another one to go on with it, from a state of zero."""
        return self._learner.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Any) -> None:
        self._learner.set_optimizer(optimizer)

    @property
    def metrics(self) -> list[Any]:
        """What is measured beside the loss."""
        return self._learner.metrics

    @metrics.setter
    def metrics(self, metrics: Iterable[Any]) -> None:
        self._learner.set_metrics(metrics)

    @property
    def history(self) -> History | None:
        """Epochs of the last `fit`."""
        return self._learner.history

    @property
    def stop_training(self) -> bool:
        """True ends `fit` after the current batch or epoch."""
        return self._learner.stop_training

    @stop_training.setter
    def stop_training(self, stop: bool) -> None:
        self._learner.stop_training = stop

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step; assign to change it, unless the optimizer follows a schedule."""
        return self._learner.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learner.learning_rate = value

    def statistics(self, layer: int) -> dict[str, float]:
        """What the last step that took statistics saw in a layer (see ``Guard.check_every``); empty when none did yet.

        ``mean``, ``std``, ``largest`` of its values, the shares ``zeros``, ``saturated``, ``tiny`` (below 1e-19) of
        them and ``dead`` of its units over the epoch, ``gradient_rms``, ``weight_norm``, ``update_ratio`` (of the
        update's norm to the weights') and ``updates_lost``, the share of weights whose update was below half an ulp.

        Parameters
        ----------
        layer : int
            Index of the layer, from 0.

        Returns
        -------
        dict of str -> float
            Also ``step``, at which they were taken.
        """
        return self._learner.statistics(checks.integer("layer", layer, 0, len(self.layers) - 1))
