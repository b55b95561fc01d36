"""Layers: frozen specs of what a model is made of; the core computes them."""

from ..names import public
from ..specs import list_arguments_of
from .base import Layer
from .categorical import Categorical
from .dense import Activation, Dense
from .input import Input
from .noise import Dropout, GaussianNoise
from .normalization import BatchNormalization, LayerNormalization, Normalization
from .pooling import Flatten, GlobalAveragePooling1D, GlobalMaxPooling1D
from .recurrent import GRU, LSTM, Bidirectional, Masking, SimpleRNN
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
    "GRU", "LSTM", "Activation", "Add", "BatchNormalization", "Bidirectional", "Categorical", "Dense", "Dropout",
    "Flatten", "GaussianNoise", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "Input", "Layer", "LayerNormalization",
    "Masking", "Normalization", "Residual", "SimpleRNN", "checked", "flatten", "from_core", "from_dict", "nest",
    "require_dense", "tolerates", "with_functions",
]  # fmt: skip

for _cls in Layer.__subclasses__():
    list_arguments_of(public(_cls, __name__))
public(Layer, __name__)
list_arguments_of(public(Input, __name__))
