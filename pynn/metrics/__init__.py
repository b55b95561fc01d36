"""Metrics: what training is judged by, over all rows of an epoch, in float64.

Predictions are those of `Sequential.predict`, (rows, outputs); targets are class labels, (rows, 1), or (rows, outputs)
numbers. With sample weights a metric is weighted. Choose metrics in ``compile(metrics=[...])``: by name, as objects, as
functions ``f(y_true, y_pred)`` or as scorers of scikit-learn.
"""

from ..names import public
from .accuracy import Accuracy, BinaryAccuracy, TopKAccuracy
from .base import Metric
from .confusion import (
    BalancedAccuracy,
    CohenKappa,
    F1Score,
    FalseNegatives,
    FalsePositives,
    MatthewsCorrelation,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from .function import Function
from .names import get
from .probabilities import AUC, LogLoss
from .regression import R2, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError, RootMeanSquaredError

__all__ = [
    "AUC", "R2", "Accuracy", "BalancedAccuracy", "BinaryAccuracy", "CohenKappa", "F1Score", "FalseNegatives",
    "FalsePositives", "Function", "LogLoss", "MatthewsCorrelation", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanSquaredError", "Metric", "Precision", "Recall", "RootMeanSquaredError",
    "TopKAccuracy", "TrueNegatives", "TruePositives", "get",
]  # fmt: skip

for _name in __all__:
    public(globals()[_name], __name__)
