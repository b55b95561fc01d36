"""Models of objects of other libraries that are in memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

from ..errors import ArgumentTypeError, NotReadyError
from ..model import Sequential
from ..names import public
from . import pytorch, scikit
from .content import Content, Slots
from .load import model_of

__all__ = ["from_sklearn", "from_torch"]


@public
def from_sklearn(estimator: Any) -> Sequential:
    """Make a model of a fitted `MLPClassifier` or `MLPRegressor` of scikit-learn.

    Names of columns and classes come along, and the optimizer's settings; Adam's state too for losses that both scale
    alike, classification of one label without a penalty (``alpha=0``). Integer labels for `fit` and `evaluate` count
    the classes from 0; text ones are the classes.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or Pipeline
        In a pipeline, behind `StandardScaler` or `MinMaxScaler`, which become a `Normalization`.

    Returns
    -------
    Sequential

    Raises
    ------
    UnsupportedError
        Another estimator, or one that is not fitted.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> from sklearn.neural_network import MLPRegressor
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> mlp = MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", random_state=0).fit(X, X[:, 0] ** 2)
    >>> model = pynn.from_sklearn(mlp)
    >>> bool(np.allclose(model.predict(X)[:, 0], mlp.predict(X)))
    True
    """
    return model_of(scikit.describe(estimator), type(estimator).__name__)


@public
def from_torch(
    source: Any, *, like: Sequential | None = None, optimizer: Any = None, loss: Any = None,
    names: Mapping[str, int] | None = None,
) -> Sequential:  # fmt: skip
    """Make a model of PyTorch's layers, or of a state dict and a model that says what its tensors belong to.

    Parameters
    ----------
    source : torch.nn.Sequential or mapping of str to tensor
        A module of PyTorch's own layers, or a state dict: it has neither activations nor the order of layers, so it
        needs `like`. For a file, see `Sequential.load_weights`.
    like : Sequential, optional
        A model that was built; it stays as it is.
    optimizer : torch.optim.Optimizer or its state dict, optional
        Adam, AdamW, SGD, RMSprop or Adagrad: training goes on from its state. Its parameters have to be
        ``module.parameters()``, in this order.
    loss : str or loss, optional
        What to compile the model with; needed with `optimizer` unless `like` is compiled. A module has none.
    names : mapping of str to int, optional
        For state dicts, as in `Sequential.load_weights`.

    Returns
    -------
    Sequential

    Raises
    ------
    UnsupportedError
        A module or an optimizer that pynn does not compute; the message names it.
    ShapeError
        Tensors that do not go with `like`; the message lists them all.
    """
    state = optimizer.state_dict() if hasattr(optimizer, "state_dict") else optimizer
    if isinstance(source, Mapping):
        return _from_state(source, like, state, loss, names)
    if like is not None or not hasattr(source, "_modules"):
        raise ArgumentTypeError(
            f"expected an nn.Sequential alone, or a state dict with like=model; received {type(source).__name__}"
        )
    if state is not None and loss is None:
        raise ArgumentTypeError("expected loss beside optimizer, since a module has none; received loss=None")
    description, order = pytorch.describe(source)
    steps, slots = 0, cast(Slots, ())
    if state is not None:
        shapes = {place: description.tensors[place].shape for place in order}
        steps, slots = pytorch.slots_of(state, order, shapes)
    chosen = None if state is None else pytorch.optimizer_of(state)
    return model_of(
        Content(description, "PyTorch", loss=loss, optimizer=chosen, steps=steps, slots=slots), type(source).__name__
    )


def _from_state(source: Mapping[str, Any], like: Any, state: Any, loss: Any, names: Any) -> Sequential:
    if not isinstance(like, Sequential):
        raise ArgumentTypeError(
            "expected like=model beside a state dict, which has neither activations nor the order of layers; received "
            f"like={like!r}"
        )
    if not like.built:
        raise NotReadyError("expected like as a model that was built; call like.build(inputs) first")
    model = copy.deepcopy(like)
    if loss is not None or model.loss is not None:  # the optimizer starts from zero
        chosen = model.optimizer or "adam"
        model.compile(loss or model.loss, chosen, model.metrics, target_scaling=model.target_scaling)
    pytorch.take(model._learner, source, state, names)
    return model
