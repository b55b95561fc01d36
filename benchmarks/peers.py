"""What PyTorch, Keras and scikit-learn tell the user of a program that goes wrong, beside pynn.

    python benchmarks/peers.py [OUTPUT]

The 54 programs of fault_cases.py are written for each peer as its user would: the same data, initial weights, layers,
loss, optimizer, rows a step and epochs; nothing is called that only looks for faults. Counted as told: an exception, or
a warning. scikit-learn takes those programs that its estimators can express. Needs torch, keras and jax. A line a
program goes to OUTPUT; a run that is started again goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fault_cases import Case, cases
from programs import Program

import pynn
from pynn import Dense, Dropout

os.environ["KERAS_BACKEND"] = "jax"
Line = dict[str, Any]
SOFTMAX, SIGMOID = "softmax", "sigmoid"


def initial(program: Program) -> list[list[np.ndarray]]:
    """Kernels and biases that pynn would start from; layers without a bias have the kernel alone."""
    model = program.model().build(program.data[0].shape[1])
    dense = [one for one in model.layers if isinstance(one.spec, Dense)]
    return [[np.array(part) for part in (one.kernel, one.bias) if part is not None] for one in dense]


def penalty(layer: Any) -> float:
    return 0.0 if layer.kernel_regularizer is None else float(layer.kernel_regularizer.l2)


def link(program: Program) -> str:
    return str(program.model().loss.row["link"])


def rates(program: Program) -> Callable[[int, float], float] | None:
    """The schedule of a callback."""
    found = [one for one in program.fit.get("callbacks", ()) if isinstance(one, pynn.LearningRateScheduler)]
    return found[0].schedule if found else None


# ---- PyTorch


def in_torch(program: Program) -> bool:
    """Train; returns whether loss and weights ended finite."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    X = torch.tensor(np.asarray(program.data[0]), dtype=torch.float32)
    acts = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "softmax": lambda: nn.Softmax(dim=-1)}
    parts: list[Any] = []
    weights, width = iter(initial(program)), X.shape[1]
    for layer in program.layers:
        if isinstance(layer, Dense):
            kernel, *bias = next(weights)
            linear = nn.Linear(width, layer.units, bias=bool(bias))
            linear.weight.data = torch.tensor(kernel.T).contiguous()
            if bias:
                linear.bias.data = torch.tensor(bias[0])
            parts += [linear] + ([acts[layer.activation.name]()] if layer.activation.name in acts else [])
            width = layer.units
        else:
            parts.append(nn.Dropout(layer.rate) if isinstance(layer, Dropout) else nn.BatchNorm1d(width))
    model = nn.Sequential(*parts)
    penalties = [
        (one, penalty(layer))
        for one, layer in zip(
            (part for part in parts if isinstance(part, nn.Linear)),
            (layer for layer in program.layers if isinstance(layer, Dense)),
            strict=True,
        )
    ]
    optimizer = torch_optimizer(torch, model, program.optimizer)
    loss, y = torch_loss(torch, program)
    given = program.fit.get("sample_weight")
    schedule, n, size = rates(program), len(X), program.fit["batch_size"]
    last = torch.zeros(())
    for epoch in range(program.fit["epochs"]):
        if schedule is not None:
            for group in optimizer.param_groups:
                group["lr"] = schedule(epoch, group["lr"])
        order = torch.arange(n) if program.fit.get("shuffle") is False else torch.randperm(n)
        for at in order.split(size):
            optimizer.zero_grad()
            each = loss(model(X[at]), y[at])
            last = each.mean() if given is None else (each * torch.tensor(given)[at]).mean()
            last = last + sum(l2 * (one.weight**2).sum() for one, l2 in penalties if l2)
            last.backward()
            optimizer.step()
    return bool(torch.isfinite(last)) and all(bool(torch.isfinite(one).all()) for one in model.parameters())


def torch_optimizer(torch: Any, model: Any, wanted: Any) -> Any:
    rate = float(wanted.learning_rate)
    if wanted.name == "sgd":
        return torch.optim.SGD(model.parameters(), rate, wanted.momentum, nesterov=wanted.nesterov)
    if wanted.name == "rmsprop":
        return torch.optim.RMSprop(model.parameters(), rate, wanted.rho, wanted.epsilon)
    return torch.optim.Adam(model.parameters(), rate, (wanted.beta_1, wanted.beta_2), wanted.epsilon)


def torch_loss(torch: Any, program: Program) -> tuple[Callable[[Any, Any], Any], Any]:
    """The loss of each row, as PyTorch's user takes it, and y for it."""
    functional, kind, y = torch.nn.functional, link(program), np.asarray(program.data[1])
    last = program.layers[-1].activation.name
    if kind == SOFTMAX:  # takes logits: behind a softmax layer it is applied twice
        labels = y.ndim == 1 or y.shape[1] == 1
        targets = torch.tensor(y.reshape(-1).astype(np.int64) if labels else y.astype(np.float32))
        return lambda out, t: functional.cross_entropy(out, t, reduction="none"), targets
    numbers = torch.tensor(y.reshape(len(y), -1).astype(np.float32))
    if kind == SIGMOID:
        of = functional.binary_cross_entropy if last == SIGMOID else functional.binary_cross_entropy_with_logits
        return lambda out, t: of(out, t.expand_as(out), reduction="none").mean(1), numbers
    of = functional.l1_loss if str(program.loss) == "mae" else functional.mse_loss
    return lambda out, t: of(out, t, reduction="none").mean(1), numbers


# ---- Keras


def in_keras(program: Program) -> bool:
    import keras

    keras.utils.set_random_seed(0)
    X, y = np.asarray(program.data[0], np.float32), np.asarray(program.data[1])
    layers: list[Any] = [keras.Input((X.shape[1],))]
    for layer in program.layers:
        if isinstance(layer, Dense):
            name = layer.activation.name
            l2 = keras.regularizers.L2(penalty(layer)) if penalty(layer) else None
            chosen = None if name == "linear" else name
            layers.append(keras.layers.Dense(layer.units, chosen, use_bias=layer.use_bias, kernel_regularizer=l2))
        else:
            of = keras.layers.Dropout(layer.rate) if isinstance(layer, Dropout) else keras.layers.BatchNormalization()
            layers.append(of)
    model = keras.Sequential(layers)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, weights in zip(dense, initial(program), strict=True):
        layer.set_weights(weights)
    model.compile(optimizer=keras_optimizer(keras, program.optimizer), loss=keras_loss(keras, program, y))
    schedule = rates(program)
    callbacks = [] if schedule is None else [keras.callbacks.LearningRateScheduler(schedule)]
    history = model.fit(
        X, y, epochs=program.fit["epochs"], batch_size=program.fit["batch_size"], verbose=0, callbacks=callbacks,
        shuffle=program.fit.get("shuffle") is not False, sample_weight=program.fit.get("sample_weight"),
    )  # fmt: skip
    finite = all(np.isfinite(one).all() for one in model.get_weights())
    return bool(np.isfinite(history.history["loss"][-1])) and finite


def keras_optimizer(keras: Any, wanted: Any) -> Any:
    rate = float(wanted.learning_rate)
    if wanted.name == "sgd":
        return keras.optimizers.SGD(rate, wanted.momentum, wanted.nesterov)
    if wanted.name == "rmsprop":
        return keras.optimizers.RMSprop(rate, wanted.rho, epsilon=wanted.epsilon)
    return keras.optimizers.Adam(rate, wanted.beta_1, wanted.beta_2, wanted.epsilon)


def keras_loss(keras: Any, program: Program, y: np.ndarray) -> Any:
    kind, last = link(program), program.layers[-1].activation.name
    if kind == SOFTMAX:
        labels = y.ndim == 1 or y.shape[1] == 1
        of = keras.losses.SparseCategoricalCrossentropy if labels else keras.losses.CategoricalCrossentropy
        return of(from_logits=last == "linear")
    if kind == SIGMOID:
        return keras.losses.BinaryCrossentropy(from_logits=last == "linear")
    return "mae" if str(program.loss) == "mae" else "mse"


# ---- scikit-learn

ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic", "linear": "identity"}


def in_sklearn(program: Program) -> bool | None:
    """Train; None: its estimators cannot express the program."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if not expressible(program):
        return None
    X, y = np.asarray(program.data[0]), np.asarray(program.data[1])
    wanted, hidden = program.optimizer, program.layers[:-1]
    of = MLPRegressor if link(program) == "linear" else MLPClassifier
    more = {"momentum": wanted.momentum, "nesterovs_momentum": wanted.nesterov} if wanted.name == "sgd" else {
        "beta_1": wanted.beta_1, "beta_2": wanted.beta_2, "epsilon": wanted.epsilon}  # fmt: skip
    model = of(
        hidden_layer_sizes=tuple(layer.units for layer in hidden),
        activation=ACTIVATIONS[hidden[0].activation.name], solver=wanted.name,
        alpha=max(map(penalty, program.layers)), batch_size=min(program.fit["batch_size"], len(X)),
        learning_rate_init=float(wanted.learning_rate), max_iter=program.fit["epochs"], random_state=0,
        n_iter_no_change=program.fit["epochs"], **more,
    )  # fmt: skip
    model.fit(X, y)
    return bool(all(np.isfinite(one).all() for one in [*model.coefs_, *model.intercepts_]) and np.isfinite(model.loss_))


def expressible(program: Program) -> bool:
    """Whether an estimator has these layers with their initial weights, this loss and optimizer."""
    layers, kind = program.layers, link(program)
    if not all(isinstance(layer, Dense) for layer in layers) or len(layers) < 2:
        return False
    if program.fit.keys() - {"epochs", "batch_size"} or program.optimizer.name not in ("sgd", "adam"):
        return False
    names = {layer.activation.name for layer in layers[:-1]}
    drawn = {layer.kernel_initializer.name for layer in layers} <= {"glorot_uniform", "he_uniform", "random_uniform"}
    last = layers[-1].activation.name
    whole = last in ("linear", kind) and str(program.loss) != "mae"
    several = np.ndim(program.data[1]) == 2 and np.shape(program.data[1])[1] > 1
    drawn = drawn and all(layer.use_bias for layer in layers)
    return len(names) == 1 and names <= ACTIVATIONS.keys() and drawn and whole and not (several and kind == SOFTMAX)


# ---- the run

PEERS = {"pytorch": in_torch, "keras": in_keras, "scikit-learn": in_sklearn}


def told(train: Callable[[Program], bool | None], program: Program) -> Line | None:
    """What one peer says, and whether it ends finite."""
    with warnings.catch_warnings(record=True) as seen, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            finite = train(program)
        except Exception as error:
            return {"finite": None, "says": [f"{type(error).__name__}: {str(error).strip()[:160]}"]}
    if finite is None:
        return None
    says = {f"{one.category.__name__}: {str(one.message).strip()[:160]}" for one in seen if is_for_users(one)}
    return {"finite": finite, "says": sorted(says)}


def is_for_users(one: Any) -> bool:
    """Whether a warning is about the program, and not about versions of libraries."""
    return not issubclass(one.category, (DeprecationWarning, PendingDeprecationWarning, FutureWarning))


def line_of(case: Case) -> Line:
    found = {name: told(train, case.program) for name, train in PEERS.items()}
    return {"name": case.program.name, "right": case.codes} | found


def summary(done: list[Line]) -> str:
    lines = []
    for name in PEERS:
        for kind, of in (
            ("faults", [x for x in done if x["right"]]),
            ("controls", [x for x in done if not x["right"]]),
        ):
            ran = [x[name] for x in of if x[name] is not None]
            said = [x for x in ran if x["says"]]
            lost = [x for x in ran if x["finite"] is False]
            unsaid = sum(not x["says"] for x in lost)
            lines.append(
                f"{name:13s} {kind:9s} ran {len(ran):2d}  told of something {len(said):2d}  "
                f"ended not finite {len(lost):2d}, without a word {unsaid:2d}"
            )
    heard = {says for x in done for name in PEERS if x[name] for says in x[name]["says"]}
    return "\n".join([*lines, *sorted(heard)])


def tasks() -> list[Case]:
    """The cases, those of few steps first: a part is a stated subset."""

    def steps(case: Case) -> int:
        fit = case.program.fit
        return int(fit["epochs"] * -(-len(case.program.data[0]) // fit["batch_size"]))

    return sorted(cases(), key=steps)


def main(output: str = "peers.jsonl") -> None:
    path = Path(output)
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    over = {line["name"] for line in done}
    with path.open("a") as file:
        for case in (one for one in tasks() if one.program.name not in over):
            done.append(line_of(case))
            file.write(json.dumps(done[-1]) + "\n")
            file.flush()
            print(json.dumps(done[-1]), flush=True)
    print(summary(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
