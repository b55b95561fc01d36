"""Fitted multi-layer perceptrons of scikit-learn as networks, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import checks, layers, optimizers
from ..data import Schema
from ..data.schema import Column
from ..errors import UnsupportedError
from ..lbfgs import LBFGS
from ..network.network import Description, Place
from ..training.learner import Learner
from .chain import Chain, chain
from .content import Content, Slots

__all__ = ["describe", "to_sklearn"]

ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}  # scikit-learn's: ours
LOSSES = {"softmax": "softmax_cross_entropy", "logistic": "sigmoid_cross_entropy", "identity": "mse", "exp": "poisson"}
NAMES = {"linear": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}


def describe(estimator: Any) -> Content:
    """Describe a fitted `MLPClassifier` or `MLPRegressor`, alone or behind scalers in a `Pipeline`.

    Raises
    ------
    UnsupportedError
        Another estimator, or one that is not fitted.
    """
    *scalers, mlp = _steps(estimator)
    kind = type(mlp).__name__
    if kind not in ("MLPClassifier", "MLPRegressor") or not type(mlp).__module__.startswith("sklearn."):
        raise UnsupportedError(
            "expected scikit-learn's MLPClassifier or MLPRegressor, alone or in a Pipeline behind StandardScaler or "
            f"MinMaxScaler; received {type(mlp).__module__}.{kind}"
        )
    if not hasattr(mlp, "coefs_"):
        raise UnsupportedError(f"expected a fitted {kind}; received one without coefs_: call fit first")
    specs: list[layers.Layer] = []
    tensors: dict[Place, np.ndarray] = {}
    for scaler in scalers:
        _scale(scaler, specs, tensors)
    first = len(specs)
    for index, (kernel, bias) in enumerate(zip(mlp.coefs_, mlp.intercepts_, strict=True)):
        last = index == len(mlp.coefs_) - 1
        tensors |= {(len(specs), "kernel"): kernel, (len(specs), "bias"): bias}
        specs.append(layers.Dense(kernel.shape[1], None if last else ACTIVATIONS[mlp.activation]))
    dtype = "float32" if mlp.coefs_[0].dtype == np.float32 else "float64"
    description = Description(tuple(specs), 0, dtype, int(mlp.coefs_[0].shape[0]), tensors)
    steps, slots = _state(mlp, first)
    loss, schema = LOSSES[mlp.out_activation_], _schema(estimator, mlp)
    return Content(description, "scikit-learn", loss, _optimizer(mlp), schema=schema, steps=steps, slots=slots)


def _steps(estimator: Any) -> list[Any]:
    """Return the steps of a pipeline, without those that do nothing."""
    if not hasattr(estimator, "steps"):
        return [estimator]
    return [step for _, step in estimator.steps if step is not None and step != "passthrough"]


def _scale(scaler: Any, specs: list[layers.Layer], tensors: dict[Place, np.ndarray]) -> None:
    kind = type(scaler).__name__
    if kind == "StandardScaler":
        columns = scaler.n_features_in_
        shift = np.zeros(columns) if scaler.mean_ is None or not scaler.with_mean else scaler.mean_
        scale = np.ones(columns) if scaler.scale_ is None else 1 / scaler.scale_
    elif kind == "MinMaxScaler" and not scaler.clip:
        shift, scale = -scaler.min_ / scaler.scale_, scaler.scale_
    else:
        raise UnsupportedError(f"expected StandardScaler, or MinMaxScaler without clip; received {scaler!r}")
    for name, values in (("shift", shift), ("scale", scale), ("fill", shift), ("rows", np.ones(1))):
        tensors[len(specs), name] = np.asarray(values, np.float64)
    specs.append(layers.Normalization())


def _schema(estimator: Any, mlp: Any) -> Schema | None:
    """Return names of columns and classes; None where they are 0, 1, 2, ... anyway."""
    names = getattr(estimator, "feature_names_in_", None)
    classes = getattr(mlp, "classes_", None)
    if classes is not None:
        classes = tuple(classes.tolist())
        classes = None if all(c is not True and c is not False and c == i for i, c in enumerate(classes)) else classes
    if names is None and classes is None:
        return None
    columns = (None,) * mlp.coefs_[0].shape[0] if names is None else tuple(map(str, names))
    return Schema(tuple(map(Column, columns)), classes=classes)


def _optimizer(mlp: Any) -> Any:
    if mlp.solver == "lbfgs":
        return LBFGS()
    rate = float(getattr(getattr(mlp, "_optimizer", None), "learning_rate_init", mlp.learning_rate_init))
    if mlp.solver == "sgd":
        nesterov = bool(mlp.nesterovs_momentum and mlp.momentum)
        return optimizers.get({"name": "sgd", "learning_rate": rate, "momentum": mlp.momentum, "nesterov": nesterov})
    return optimizers.get({"name": "adam", "learning_rate": rate, "beta_1": mlp.beta_1, "beta_2": mlp.beta_2,
                           "epsilon": mlp.epsilon, "early_epsilon": True})  # fmt: skip


def _state(mlp: Any, first: int) -> tuple[int, Slots]:
    """Return Adam's steps and moments, where the loss has our scale: a mean over rows, and no penalty."""
    found = getattr(mlp, "_optimizer", None)
    same = mlp.out_activation_ == "softmax" or (mlp.out_activation_ == "logistic" and mlp.n_outputs_ == 1)
    if mlp.solver != "adam" or found is None or not same or mlp.alpha:
        return 0, ()
    n = len(mlp.coefs_)
    places = [(first + i, "kernel") for i in range(n)] + [(first + i, "bias") for i in range(n)]
    return int(found.t), [dict(zip(places, moments, strict=True)) for moments in (found.ms, found.vs)]


# ---- back


def to_sklearn(learner: Learner) -> Any:
    """Return a fitted `MLPClassifier` or `MLPRegressor`, behind a `StandardScaler` where there is a normalization.

    Raises
    ------
    UnsupportedError
        Layers that those do not have; the message names the first.
    """
    checks.package("sklearn", "sklearn", "to make its estimators")
    from sklearn.pipeline import make_pipeline

    loss = learner.require_compiled().loss
    network = chain(learner.network)
    specs = [(i, spec) for i, spec in enumerate(network.layers) if spec.kind not in ("dropout", "gaussian_noise")]
    scaler = _scaler(network) if specs[0][1].kind == "normalization" else None
    dense = specs[1:] if scaler is not None else specs
    mlp = _mlp(network, dense, loss, learner.network.schema)
    return mlp if scaler is None else make_pipeline(scaler, mlp)


def _mlp(network: Chain, dense: Sequence[tuple[int, Any]], loss: Any, schema: Schema | None) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    hidden = {spec.activation.name for _, spec in dense[:-1] if spec.kind == "dense"}
    for index, spec in dense:
        right = spec.kind == "dense" and spec.activation.name in (NAMES if index != dense[-1][0] else ("linear",))
        if not right or len(hidden) > 1:
            raise UnsupportedError(
                f"expected dense layers with one activation among {', '.join(NAMES)}, and none in the last; received "
                f"layer {index}, {spec!r}"
            )
    known = {"softmax_cross_entropy", "sigmoid_cross_entropy", "mean_squared_error", "poisson"}
    if loss.name not in known:
        raise UnsupportedError(f"expected a loss among {', '.join(sorted(known))}; received {loss!r}")
    kernels = [network.tensors[i, "kernel"].copy() for i, _ in dense]
    biases = [network.tensors[i, "bias"].copy() if spec.use_bias else np.zeros(spec.units) for i, spec in dense]
    if (-1, "target_shift") in network.tensors:
        kernels[-1] = kernels[-1] * network.tensors[-1, "target_spread"]
        biases[-1] = biases[-1] * network.tensors[-1, "target_spread"] + network.tensors[-1, "target_shift"]
    arguments: dict[str, Any] = {
        "hidden_layer_sizes": tuple(kernel.shape[1] for kernel in kernels[:-1]),
        "activation": NAMES[hidden.pop()] if hidden else "identity",
    }
    if loss.row["link"] in ("softmax", "sigmoid"):
        mlp = MLPClassifier(**arguments)
        _take_classes(mlp, kernels, biases, loss.row["link"], schema)
    else:
        mlp = MLPRegressor(loss="poisson" if loss.name == "poisson" else "squared_error", **arguments)
        mlp.out_activation_ = "exp" if loss.name == "poisson" else "identity"
    fitted: Mapping[str, Any] = {
        "coefs_": kernels, "intercepts_": biases, "n_layers_": len(kernels) + 1, "n_outputs_": kernels[-1].shape[1],
        "n_features_in_": kernels[0].shape[0], "n_iter_": 0, "t_": 0, "loss_curve_": [], "best_loss_": np.inf,
        "_no_improvement_count": 0, "validation_scores_": None, "best_validation_score_": None, "loss_": np.nan,
    }  # fmt: skip
    vars(mlp).update(fitted)
    if schema is not None and schema.names:
        mlp.feature_names_in_ = np.array(schema.names, object)
    return mlp


def _take_classes(mlp: Any, kernels: list[np.ndarray], biases: list[np.ndarray], link: str, schema: Any) -> None:
    """Fit the classes; two outputs of a softmax become one logistic of their difference."""
    from sklearn.preprocessing import LabelBinarizer

    outputs = kernels[-1].shape[1]
    several = link == "sigmoid" and outputs > 1
    count = 2 if outputs == 1 else outputs
    classes = schema.classes if schema is not None and schema.classes and not several else range(count)
    if link == "softmax" and outputs == 2:
        kernels[-1], biases[-1] = kernels[-1][:, 1:] - kernels[-1][:, :1], biases[-1][1:] - biases[-1][:1]
    targets = np.eye(count, dtype=int) if several else np.array(list(classes))
    mlp._label_binarizer = LabelBinarizer().fit(np.vstack([targets, np.ones_like(targets[:1])]) if several else targets)
    mlp.classes_ = mlp._label_binarizer.classes_
    mlp.out_activation_ = "softmax" if link == "softmax" and outputs > 2 else "logistic"


def _scaler(network: Chain) -> Any:
    from sklearn.preprocessing import StandardScaler

    spec: Any = network.layers[0]
    own = {name: np.asarray(network.tensors[0, name]) for name in ("shift", "scale", "rows")}
    if spec.missing != "error" or spec.clip is not None or not np.all(own["scale"] > 0):
        raise UnsupportedError(
            "expected a normalization of all columns, none of them constant, without filling in or clipping; received "
            f"layer 0, {spec!r}"
        )
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = own["shift"].copy(), 1 / own["scale"]
    scaler.var_, scaler.n_samples_seen_ = scaler.scale_**2, max(1, int(own["rows"][0]))
    scaler.n_features_in_ = len(scaler.mean_)
    return scaler
