"""The attributes of a model, read from its network and its learner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import checks
from ..data import Schema
from ..errors import NotReadyError
from ..network.network import Network
from ..network.trace import Trace, trace
from ..plots import health
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

    def trace(self, x: Any) -> Trace:
        """Take one batch through every layer, as in prediction: shapes, ranges, what is not finite, time.

        Parameters
        ----------
        x : array-like of shape (rows, inputs), or a table with the columns trained on

        Returns
        -------
        Trace
            Prints as a table; ``report.save("report.html", trace=model.trace(x))`` shows it on the page.

        Raises
        ------
        NotReadyError
            The model was not built.
        ShapeError, DtypeError
            Not the columns that the model was built for, or not numbers.

        Examples
        --------
        >>> import pynn
        >>> model = pynn.Sequential([pynn.Dense(3, activation="relu"), pynn.Dense(1)], seed=0).build(2)
        >>> [layer.shape for layer in model.trace([[1.0, 2.0]])]
        [(1, 2), (1, 3), (1, 1)]
        """
        return trace(self._network, x)

    def plot_health(self, field: str = "gradient", ax: Any = None) -> Any:
        """Draw the health map of the last `fit`, layers x steps; needs the extra ``plot``. See `pynn.plots.health`.

        Parameters
        ----------
        field : str
            ``"gradient"``, ``"activation"``, ``"update_ratio"``, ``"saturated"``, ``"dead"``, ...
        ax : matplotlib Axes, optional

        Returns
        -------
        matplotlib.axes.Axes
        """
        if self.history is None or self.history.health is None:
            raise NotReadyError("expected a model that was trained by fit; received one without a history")
        return health(self.history, ax, field=field)

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
