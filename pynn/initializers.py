"""Initializers: what fills a kernel or bias before training, as classes such as ``RandomNormal(stddev=0.05)``.

The draws depend on the model's seed and the place in the model alone. ``dir(pynn.initializers)`` lists them. Below,
`fan_in` and `fan_out` are a kernel's inputs and units.
"""

from __future__ import annotations

from typing import Any

from .specs import Table

table = Table(
    "initializer",
    texts={
        "zeros": "Fill with 0.",
        "ones": "Fill with 1.",
        "constant": "Fill with `value`.",
        "random_normal": "Normal with the given mean and standard deviation.",
        "random_uniform": "Uniform between `minval` and `maxval`.",
        "truncated_normal": "Normal, redrawn beyond two standard deviations from the mean.",
        "glorot_uniform": "Uniform within +-sqrt(6 / (fan_in + fan_out)). Glorot and Bengio, AISTATS 2010.",
        "glorot_normal": "Truncated normal with variance 2 / (fan_in + fan_out). Glorot and Bengio, AISTATS 2010.",
        "he_uniform": "Uniform within +-sqrt(6 / fan_in). He et al., ICCV 2015.",
        "he_normal": "Truncated normal with variance 2 / fan_in. He et al., ICCV 2015.",
        "lecun_uniform": "Uniform within +-sqrt(3 / fan_in). LeCun et al., Efficient BackProp, 1998.",
        "lecun_normal": "Truncated normal with variance 1 / fan_in. LeCun et al., Efficient BackProp, 1998.",
        "orthogonal": "Random orthonormal rows or columns times `gain`. Saxe, McClelland and Ganguli, ICLR 2014.",
    },
)

__all__, __getattr__, __dir__ = table.module(__name__)


def get(initializer: Any, argument: str = "initializer") -> Any:
    """The initializer for a name or an object.

    Examples
    --------
    >>> import pynn
    >>> pynn.initializers.get("zeros")
    Zeros()
    """
    return table.get(initializer, argument)
