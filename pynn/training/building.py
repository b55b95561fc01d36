"""What a model is made of, layer by layer, and what layers take from data."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from .. import checks
from ..layers.input import Input
from .estimator import Estimator


class Building(Estimator):
    """Base of a model: adding layers, building, adapting, and calling it like a function."""

    _take: Any
    _given: Any

    def add(self, layer: Any) -> None:
        """Add a layer at the end. Parameters and what `compile` chose stay; the optimizer's state starts from zero.

        Parameters
        ----------
        layer : layer, or Input before all layers
        """
        inputs = self._network.row_shape if self.built else None
        if isinstance(layer, Input) and not self.layers:
            self.__dict__["_first"] = layer
            return
        chosen = (self.loss, self.optimizer, self.metrics, self.target_scaling)
        first = vars(self).pop("_first", None)
        self._given([*([first] if first else []), *self.layers, layer], self.seed, self.dtype)
        if inputs is not None:
            self.build(inputs)
        if chosen[0] is not None:
            self.compile(*chosen[:3], target_scaling=chosen[3])

    def build(self, inputs: int | tuple[int, int]) -> Self:
        """Fix the number of inputs and create the parameters. `fit` and `train_step` do it by the data they get.

        Building again starts from scratch: same seed, same initial parameters.

        Parameters
        ----------
        inputs : int >= 1, or (timesteps, features)
            Columns of X; of sequences both numbers.

        Returns
        -------
        Sequential

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            `inputs` is no such number.
        ShapeError
            Layers that cannot follow one another, a residual block that changes the number of columns for instance.
        """
        self._learner.build(*checks.shape("inputs", inputs, self._network.sequential))
        return self

    def adapt(self, x: Any) -> None:
        """Let data decide what layers take from them: normalizations and the sizes of categories.

        All normalizations are adapted again, each to what the layers below it make of the data; `fit` adapts those
        that were not. ``model.layers[i].adapt(x)`` adapts one. Parameters stay, unless sizes of categories are
        learned, which builds the model.

        Parameters
        ----------
        x : array-like, memory map, DataLoader or iterable of 2-D arrays
            One pass in bounded memory for each layer, however many rows there are.

        Raises
        ------
        NonfiniteDataError
            A cell that is NaN or infinite, in a column that does not tolerate it; layers before it stay adapted.
        ShapeError, DtypeError, ArgumentValueError
            Not the columns that the model was built for, not numbers, or no rows at all.
        """
        self._learner.adapt(x)

    def update_moments(self, x: Any = None) -> None:
        """Moving means and variances of `BatchNormalization` from one pass over data, for the parameters as they are.

        Needed after parameters were set by hand, to an average of those of many steps for instance; `EMA` and `SWA` do
        it by themselves. Each layer sees what the layers below it, those of prediction, make of all rows: so
        nothing depends on batches. PyTorch's ``update_bn`` with one batch, but for its variance of n - 1 rows.

        Parameters
        ----------
        x : array-like, memory map, DataLoader or iterable of 2-D arrays
            Passed over once for each such layer, in bounded memory. None: the data that `fit` is training on.
        """
        self._learner.update_moments(x)

    def __call__(self, x: Any) -> np.ndarray:
        """Return `predict` of x.

        Parameters
        ----------
        x : as for `predict`
        """
        predictions: np.ndarray = self.predict(x)
        return predictions
