"""Estimators with scikit-learn's interface, trained by pynn; needs the extra ``sklearn``."""

from ..checks import package
from ..names import public

package("sklearn", "sklearn", "for pynn.sklearn")

from .classifier import MLPClassifier  # noqa: E402
from .mlp import DivergenceError  # noqa: E402
from .regressor import MLPRegressor  # noqa: E402
from .table_classifier import TableClassifier  # noqa: E402
from .table_regressor import TableRegressor  # noqa: E402

__all__ = ["DivergenceError", "MLPClassifier", "MLPRegressor", "TableClassifier", "TableRegressor"]

for _name in __all__:
    public(globals()[_name], __name__)
