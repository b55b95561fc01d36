"""Layers: frozen specs of what a model is made of; the core computes them."""

from ..names import public
from ..specs import list_arguments_of
from .base import Layer
from .categorical import Categorical
from .dense import Activation, Dense
from .input import Input
from .noise import Dropout, GaussianNoise
from .normalization import BatchNormalization, LayerNormalization, Normalization
from .stack import (
    Add,
    Residual,
    checked,
    flatten,
    from_core,
    from_dict,
    nest,
    require_dense,
    tolerates,
    with_functions,
)

__all__ = [
    "Activation", "Add", "BatchNormalization", "Categorical", "Dense", "Dropout", "GaussianNoise", "Input", "Layer",
    "LayerNormalization", "Normalization", "Residual", "checked", "flatten", "from_core", "from_dict", "nest",
    "require_dense", "tolerates", "with_functions",
]  # fmt: skip

for _cls in Layer.__subclasses__():
    list_arguments_of(public(_cls, __name__))
public(Layer, __name__)
list_arguments_of(public(Input, __name__))
