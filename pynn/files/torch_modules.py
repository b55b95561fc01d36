"""Networks as modules of PyTorch, and the few modules that it lacks. Importing this file imports PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import nn

from ..layers import nest
from .chain import Chain

__all__ = ["Categories", "Exponential", "GaussianNoise", "Residual", "Scale", "Targets", "module_of"]


class Residual(nn.Sequential):
    """``y = x + f(x)``, f the modules in a row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x plus what the modules make of it."""
        return x + super().forward(x)


class Exponential(nn.Module):
    """``y = e^x``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return e^x."""
        return torch.exp(x)


class GaussianNoise(nn.Module):
    """Adds normal numbers while training."""

    def __init__(self, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x, with noise in training."""
        return x + self.stddev * torch.randn_like(x) if self.training else x


class Scale(nn.Module):
    """``(x - shift) * scale`` in float64, rounded once; a column without a scale passes. Bad cells are filled in."""

    shift: torch.Tensor
    scale: torch.Tensor
    fill: torch.Tensor

    def __init__(self, tensors: dict[str, np.ndarray], missing: str, clip: float | None, dtype: torch.dtype) -> None:
        super().__init__()
        for name in ("shift", "scale", "fill"):
            self.register_buffer(name, torch.tensor(np.asarray(tensors[name], np.float64)))
        self.missing, self.clip, self.to_dtype = missing, clip, dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scaled columns."""
        x = x.double()
        bad = ~x.isfinite() if self.missing == "nonfinite" else x.isnan()
        filled = x if self.missing == "error" else torch.where(bad, self.fill, x)
        y = (filled - self.shift) * self.scale
        y = y if self.clip is None else y.clamp(-self.clip, self.clip)
        return torch.where(self.scale.isnan(), x, y).to(self.to_dtype)


class Categories(nn.Module):
    """Columns of codes as one-hot or embedded columns behind the others; slot 0 is for unknown codes."""

    def __init__(self, columns: tuple[int, ...], sizes: tuple[int, ...], embeddings: np.ndarray | None) -> None:
        super().__init__()
        self.columns, self.sizes = columns, sizes
        self.embeddings = None if embeddings is None else nn.Parameter(torch.tensor(embeddings))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the other columns, then those of each code."""
        rest = [i for i in range(x.shape[1]) if i not in self.columns]
        parts, first = [x[:, rest]], 0
        for column, size in zip(self.columns, self.sizes, strict=True):
            code = x[:, column]
            known = (code >= 0) & (code < size) & (code == code.floor())
            slot = torch.where(known, code + 1, torch.zeros_like(code)).long()
            if self.embeddings is None:
                parts.append(nn.functional.one_hot(slot, size + 1).to(x.dtype))
            else:
                parts.append(self.embeddings[first + slot])
            first += size + 1
        return torch.cat(parts, 1)


class Targets(nn.Module):
    """Scaled predictions in the units of the targets, in float64: ``y * spread + shift``."""

    shift: torch.Tensor
    spread: torch.Tensor

    def __init__(self, shift: np.ndarray, spread: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(np.asarray(shift, np.float64)))
        self.register_buffer("spread", torch.tensor(np.asarray(spread, np.float64)))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """Return y in the units of the targets."""
        return y.double() * self.spread + self.shift


_ACTIVATIONS: dict[str, Callable[[Any], nn.Module | None]] = {
    "linear": lambda a: None,
    "relu": lambda a: nn.ReLU(),
    "relu6": lambda a: nn.ReLU6(),
    "leaky_relu": lambda a: nn.LeakyReLU(a.negative_slope),
    "elu": lambda a: nn.ELU(a.alpha),
    "selu": lambda a: nn.SELU(),
    "gelu": lambda a: nn.GELU(),
    "gelu_tanh": lambda a: nn.GELU(approximate="tanh"),
    "silu": lambda a: nn.SiLU(),
    "mish": lambda a: nn.Mish(),
    "softplus": lambda a: nn.Softplus(threshold=40),
    "log_sigmoid": lambda a: nn.LogSigmoid(),
    "softsign": lambda a: nn.Softsign(),
    "sigmoid": lambda a: nn.Sigmoid(),
    "hard_sigmoid": lambda a: nn.Hardsigmoid(),
    "tanh": lambda a: nn.Tanh(),
    "exponential": lambda a: Exponential(),
    "softmax": lambda a: nn.Softmax(-1),
}


def _dense(spec: Any, own: dict[str, np.ndarray], dtype: torch.dtype) -> list[nn.Module]:
    inputs, units = own["kernel"].shape
    linear = nn.Linear(inputs, units, bias=spec.use_bias, dtype=dtype)
    return [_filled(linear, weight=own["kernel"].T, bias=own.get("bias")), *_activation(spec)]


def _activation(spec: Any) -> list[nn.Module]:
    module = _ACTIVATIONS[spec.activation.name](spec.activation)
    return [] if module is None else [module]


def _filled(module: nn.Module, **tensors: np.ndarray | None) -> nn.Module:
    """Put numbers into a module; a parameter without any is not trained."""
    for name, values in tensors.items():
        tensor = getattr(module, name)
        if tensor is not None and values is None:
            tensor.requires_grad_(False)
        elif tensor is not None:
            with torch.no_grad():
                tensor.copy_(torch.tensor(np.array(values)))
    return module


def _batch_norm(spec: Any, own: dict[str, np.ndarray], dtype: torch.dtype) -> list[nn.Module]:
    affine = spec.center or spec.scale
    module = nn.BatchNorm1d(len(own["moving_mean"]), spec.epsilon, 1 - spec.momentum, affine, dtype=dtype)
    moving = {"running_mean": own["moving_mean"], "running_var": own["moving_variance"]}
    return [_filled(module, weight=own.get("gamma"), bias=own.get("beta"), **moving)]


def _layer_norm(spec: Any, own: dict[str, np.ndarray], dtype: torch.dtype, columns: int) -> list[nn.Module]:
    module = nn.LayerNorm(columns, spec.epsilon, spec.center or spec.scale, spec.center, dtype=dtype)
    return [_filled(module, weight=own.get("gamma"), bias=own.get("beta"))]


def _scale(spec: Any, own: dict[str, np.ndarray], dtype: torch.dtype) -> list[nn.Module]:
    return [Scale(own, spec.missing, spec.clip, dtype)]


def _categories(spec: Any, own: dict[str, np.ndarray], dtype: torch.dtype) -> list[nn.Module]:
    return [Categories(spec.columns, spec.sizes, own.get("embeddings"))]


_MODULES: dict[str, Callable[..., list[nn.Module]]] = {
    "dense": _dense,
    "activation": lambda spec, own, dtype: _activation(spec),
    "dropout": lambda spec, own, dtype: [nn.Dropout(spec.rate)],
    "gaussian_noise": lambda spec, own, dtype: [GaussianNoise(spec.stddev)],
    "normalization": _scale,
    "batch_normalization": _batch_norm,
    "layer_normalization": _layer_norm,
    "categorical": _categories,
}


def module_of(network: Chain, link: bool) -> nn.Sequential:
    """Return the module that computes a chain's logits, or its predictions, in evaluation mode."""
    dtype = torch.float64 if network.dtype == "float64" else torch.float32
    at = count()
    modules = [module for layer in nest(network.layers) for module in _modules(network, layer, at, dtype)]
    if (-1, "target_shift") in network.tensors:
        modules.append(Targets(network.tensors[-1, "target_shift"], network.tensors[-1, "target_spread"]))
    if link and (last := _ACTIVATIONS[network.link](None)) is not None:
        modules.append(last)
    return nn.Sequential(*modules).eval()


def _modules(network: Chain, layer: Any, at: Iterator[int], dtype: torch.dtype) -> list[nn.Module]:
    """Return the modules of a layer; `at` counts layers in a row."""
    if layer.kind == "residual":
        inner = [module for spec in layer.layers for module in _modules(network, spec, at, dtype)]
        next(at)  # the Add
        return [Residual(*inner)]
    index = next(at)
    own = {name: np.asarray(view) for (where, name), view in network.tensors.items() if where == index}
    if layer.kind == "layer_normalization":
        return _layer_norm(layer, own, dtype, network.widths[index])
    return _MODULES[layer.kind](layer, own, dtype)
