"""Step-by-step agreement with PyTorch in float64: activations, losses, optimizers."""

import numpy as np
import pytest

import pynn
from pynn import activations, losses, optimizers

torch = pytest.importorskip("torch")
F = torch.nn.functional

ROWS, INPUTS, HIDDEN, OUTPUTS, STEPS = 16, 6, 8, 4, 20

ACTIVATIONS = {
    "linear": lambda z: z,
    "relu": torch.relu,
    "relu6": F.relu6,
    "leaky_relu": lambda z: F.leaky_relu(z, 0.01),
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "log_sigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": lambda z: torch.clamp(z / 6 + 0.5, 0, 1),  # F.hardsigmoid's derivative has a 1/6 in float32
    "tanh": torch.tanh,
    "exponential": torch.exp,
    "softmax": lambda z: torch.softmax(z, 1),
}
LOSSES = {
    "mean_squared_error": F.mse_loss,
    "mean_absolute_error": F.l1_loss,
    "huber": F.huber_loss,
    "log_cosh": lambda z, t: torch.log(torch.cosh(z - t)).mean(),
    "quantile": lambda z, t: torch.maximum((t - z) / 2, (z - t) / 2).mean(),
    "poisson": F.poisson_nll_loss,
    "gaussian_nll": lambda z, t: F.gaussian_nll_loss(z[:, :2], t, torch.exp(z[:, 2:]), eps=1e-300),
    "hinge": lambda z, t: torch.relu(1 - torch.where(t > 0, 1, -1) * z).mean(),
    "squared_hinge": lambda z, t: (torch.relu(1 - torch.where(t > 0, 1, -1) * z) ** 2).mean(),
    "softmax_cross_entropy": F.cross_entropy,
    "sigmoid_cross_entropy": F.binary_cross_entropy_with_logits,
    "focal": lambda z, t: sigmoid_focal(z, t).mean(),
    "kl_divergence": lambda z, t: F.kl_div(torch.log_softmax(z, 1), t, reduction="batchmean"),
}


def sigmoid_focal(z, t, gamma=2.0, alpha=0.25):
    """As torchvision.ops.sigmoid_focal_loss is defined."""
    p = torch.sigmoid(z)
    wrong = p * (1 - t) + (1 - p) * t
    weight = alpha * t + (1 - alpha) * (1 - t)
    return weight * wrong**gamma * F.binary_cross_entropy_with_logits(z, t, reduction="none")


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al., NeurIPS 2023."""

    def __init__(self, parameters, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = (first * m + (1 - first) * p.grad).sign() + group["weight_decay"] * p
                p -= group["lr"] * update
                m.mul_(second).add_((1 - second) * p.grad)


class NAdam(torch.optim.NAdam):
    """PyTorch's, whose running product of momenta is of the default dtype: float32 unless that is set."""

    def step(self):
        torch.set_default_dtype(torch.float64)
        try:
            super().step()
        finally:
            torch.set_default_dtype(torch.float32)


OPTIMIZERS = {
    "sgd": [
        (pynn.SGD(0.05), lambda p: torch.optim.SGD(p, 0.05)),
        (pynn.SGD(0.05, momentum=0.9), lambda p: torch.optim.SGD(p, 0.05, momentum=0.9)),
        (pynn.SGD(0.05, 0.9, True), lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True)),
    ],
    "adam": [(pynn.Adam(0.01, epsilon=1e-8), lambda p: torch.optim.Adam(p, 0.01))],
    "adamw": [
        (pynn.AdamW(0.01, epsilon=1e-8, weight_decay=0.1), lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1))
    ],
    "rmsprop": [
        (pynn.RMSprop(0.01, epsilon=1e-8), lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9)),
        (
            pynn.RMSprop(0.01, momentum=0.9, epsilon=1e-8),
            lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, momentum=0.9),
        ),
    ],
    "adagrad": [
        (
            pynn.Adagrad(0.05, initial_accumulator_value=0.1, epsilon=1e-10),
            lambda p: torch.optim.Adagrad(p, 0.05, initial_accumulator_value=0.1, eps=1e-10),
        )
    ],
    "amsgrad": [
        (pynn.AMSGrad(0.01, epsilon=1e-8), lambda p: torch.optim.Adam(p, 0.01, amsgrad=True)),
        (
            pynn.AMSGrad(0.05, beta_2=0.5, epsilon=1e-8, weight_decay=0.1),
            lambda p: torch.optim.AdamW(p, 0.05, (0.9, 0.5), amsgrad=True, weight_decay=0.1),
        ),
    ],
    "nadam": [
        (pynn.Nadam(0.01, epsilon=1e-8), lambda p: NAdam(p, 0.01)),
        (
            pynn.Nadam(0.01, 0.8, 0.95, 1e-8, 1.0, 0.1),
            lambda p: NAdam(p, 0.01, (0.8, 0.95), 1e-8, 0.1, 1.0, decoupled_weight_decay=True),
        ),
    ],
    "lion": [
        (pynn.Lion(0.003), lambda p: Lion(p, 0.003)),
        (pynn.Lion(0.003, 0.8, 0.95, 0.1), lambda p: Lion(p, 0.003, (0.8, 0.95), 0.1)),
    ],
}


def train_both(activation, loss, optimizer, torch_optimizer, clip=None):
    """(pynn's parameters, PyTorch's) after 20 steps from the same start."""
    rng = np.random.default_rng(5)
    model = pynn.Sequential([pynn.Dense(HIDDEN, activation=activation), pynn.Dense(OUTPUTS)], seed=1, dtype="float64")
    model.build(INPUTS)
    model.compile(loss=loss, optimizer=optimizer)
    tensors = [torch.tensor(np.array(t)) for layer in model.layers for t in (layer.kernel, layer.bias)]
    parameters = [t.requires_grad_() for t in tensors]
    other = torch_optimizer(parameters)
    w1, b1, w2, b2 = parameters
    for _ in range(STEPS):
        x = rng.normal(size=(ROWS, INPUTS))
        if loss == "softmax_cross_entropy":
            y = rng.integers(0, OUTPUTS, ROWS)
        elif loss == "kl_divergence":
            y = rng.dirichlet(np.ones(OUTPUTS), ROWS)
        elif loss in ("poisson", "gaussian_nll"):
            y = rng.poisson(2, (ROWS, OUTPUTS // (1 + (loss == "gaussian_nll")))).astype(float)
        elif losses.get(loss).row["probabilities"]:
            y = rng.integers(0, 2, (ROWS, OUTPUTS)).astype(float)
        else:
            y = rng.normal(size=(ROWS, OUTPUTS))
        result = model.train_step(x, y)
        other.zero_grad()
        value = LOSSES[loss](ACTIVATIONS[activation](torch.tensor(x) @ w1 + b1) @ w2 + b2, torch.tensor(y))
        value.backward()
        norm = torch.sqrt(sum((p.grad**2).sum() for p in parameters))
        for p in parameters:
            p.grad *= min(1.0, clip / norm.item()) if clip else 1.0
        other.step()
        assert result.applied
        assert result.loss == pytest.approx(value.item(), rel=1e-9)
        assert result.grad_norm == pytest.approx(norm.item(), rel=1e-9)
    return np.array(model.parameters), np.concatenate([p.detach().numpy().ravel() for p in parameters])


def assert_agree(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", activations.table.rows)
def test_every_activation(name):
    if name not in ACTIVATIONS:
        pytest.skip(f"PyTorch has no {name}")
    assert_agree(*train_both(name, "mean_squared_error", *OPTIMIZERS["sgd"][0]))


@pytest.mark.parametrize("loss", losses.table.rows)
@pytest.mark.parametrize("name", optimizers.table.rows)
def test_every_loss_with_every_optimizer(name, loss):
    if name not in OPTIMIZERS or loss not in LOSSES:
        pytest.skip("PyTorch has no such thing")
    for ours, theirs in OPTIMIZERS[name]:
        assert_agree(*train_both("tanh", loss, ours, theirs))


def test_clipping_by_global_norm():
    ours = pynn.SGD(0.5, global_clipnorm=0.05)
    assert_agree(*train_both("tanh", "mean_squared_error", ours, lambda p: torch.optim.SGD(p, 0.5), clip=0.05))


def test_losses_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(50, 1)), rng.choice([-1.0, 1.0], size=(50, 1))
    y, p = rng.normal(size=(50, 1)), rng.dirichlet(np.ones(4), 50)
    wide = rng.normal(size=(50, 4))
    labels = rng.integers(0, 4, 50)
    peers = [
        ("hinge", z, t, metrics.hinge_loss(t[:, 0], z[:, 0])),
        (losses.Quantile(0.3), z, y, metrics.mean_pinball_loss(y, z, alpha=0.3)),
        ("mse", z, y, metrics.mean_squared_error(y, z)),
        ("mae", z, y, metrics.mean_absolute_error(y, z)),
        ("softmax_cross_entropy", wide, labels, metrics.log_loss(labels, torch.softmax(torch.tensor(wide), 1).numpy())),
        ("kl_divergence", wide, p, F.kl_div(torch.log_softmax(torch.tensor(wide), 1), torch.tensor(p),
                                            reduction="batchmean").item()),
        ("poisson", z, abs(y), metrics.mean_poisson_deviance(abs(y), np.exp(z)) / 2 + np.mean(
            abs(y) - abs(y) * np.log(abs(y)))),
    ]  # fmt: skip
    for loss, logits, targets, theirs in peers:
        model = pynn.Sequential([pynn.Dense(logits.shape[1], use_bias=False)], dtype="float64").build(logits.shape[1])
        model.layers[0].kernel = np.eye(logits.shape[1])
        model.compile(loss)
        assert model.evaluate(logits, targets)["loss"] == pytest.approx(theirs, rel=1e-9)


def test_binary_label_smoothing():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(9, 3)), rng.integers(0, 2, (9, 3)).astype(float)
    model = pynn.Sequential([pynn.Dense(3, use_bias=False)], dtype="float64").build(3)
    model.layers[0].kernel = np.eye(3)
    model.compile(losses.SigmoidCrossEntropy(label_smoothing=0.2))
    theirs = F.binary_cross_entropy_with_logits(torch.tensor(z), torch.tensor(y * 0.8 + 0.1)).item()
    assert model.evaluate(z, y)["loss"] == pytest.approx(theirs, rel=1e-9)


def test_label_smoothing():
    z, y = np.random.default_rng(0).normal(size=(9, 4)), np.arange(9) % 4
    model = pynn.Sequential([pynn.Dense(4, use_bias=False)], dtype="float64").build(4)
    model.layers[0].kernel = np.eye(4)
    model.compile(losses.SoftmaxCrossEntropy(label_smoothing=0.2))
    theirs = F.cross_entropy(torch.tensor(z), torch.tensor(y), label_smoothing=0.2).item()
    assert model.evaluate(z, y)["loss"] == pytest.approx(theirs, rel=1e-12)
