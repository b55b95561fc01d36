"""Arguments: one rule for each kind of value, one form of message, one error for a missing package."""

import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn import checks, errors


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_an_integer_of_any_kind_becomes_pythons(value):
    assert checks.integer("n", value, 1, 5) == 3
    assert type(checks.integer("n", value, 1)) is int


@pytest.mark.parametrize("value", [True, np.True_, 3.0, "3", None, np.array([3]), 3j])
def test_no_integer_is_refused_by_type(value):
    with pytest.raises(errors.ArgumentTypeError, match=r"expected n as an integer in 1 \.\.\. 5; received n="):
        checks.integer("n", value, 1, 5)


def test_a_large_limit_is_named_only_to_those_beyond_it():
    with pytest.raises(errors.ArgumentValueError, match=r"^expected n as an integer >= 1; received n=0$"):
        checks.integer("n", 0, 1, 2**62)
    with pytest.raises(errors.ArgumentValueError, match=rf"an integer in 1 \.\.\. {2**62}; received"):
        checks.integer("n", 2**63, 1, 2**62)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), Fraction(1, 2)])
def test_a_number_of_any_kind_becomes_a_float(value):
    found = checks.number("x", value, above=0, below=1)
    assert type(found) is float
    assert found == 0.5


@pytest.mark.parametrize("value", [0, 1, -1.0, math.nan, math.inf, np.float32("nan")])
def test_open_limits_and_nan_are_refused(value):
    with pytest.raises(errors.ArgumentValueError, match="expected x as a finite number > 0 and < 1; received x="):
        checks.number("x", value, above=0, below=1)


def test_closed_limits_are_accepted():
    assert [checks.number("x", v, 0, 1) for v in (0, 1)] == [0.0, 1.0]
    assert checks.number("x", math.inf, 0, finite=False) == math.inf
    with pytest.raises(errors.ArgumentTypeError, match="finite number"):
        checks.number("x", "0.5", 0, 1)


def test_zero_is_no_boolean():
    assert checks.boolean("b", np.True_) is True
    with pytest.raises(errors.ArgumentTypeError, match="expected b as True or False; received b=0"):
        checks.boolean("b", 0)


def test_a_choice_lists_the_others():
    assert checks.choice("c", None, ["a", None]) is None
    for wrong in ("d", 1, np.array(["a", "b"]), ["a"]):
        with pytest.raises(errors.UnknownNameError, match="expected c as one of 'a', 'b'; received c="):
            checks.choice("c", wrong, ["a", "b"])


def test_paths():
    assert checks.path("path", Path("a") / "b") == str(Path("a") / "b")
    with pytest.raises(errors.ArgumentTypeError, match="expected path as a string or path; received path=3"):
        checks.path("path", 3)
    with pytest.raises(errors.ArgumentValueError, match="NUL"):
        checks.path("path", "a\0b")


@pytest.mark.parametrize("value", [None, "int32", "float16", "nonsense", 3])
def test_other_dtypes_are_refused(value):
    with pytest.raises(errors.DtypeError, match="expected dtype as 'float32' or 'float64'; received dtype="):
        checks.dtype("dtype", value)


WRONG = {
    "Guard": lambda: pynn.Guard(window=True),
    "Checkpoint": lambda: pynn.Checkpoint("a", keep="1"),
    "TopKAccuracy": lambda: pynn.metrics.TopKAccuracy(2.0),
    "LBFGS": lambda: pynn.LBFGS(max_iter=True),
    "EarlyStopping": lambda: pynn.EarlyStopping(patience=1.5),
    "EMA": lambda: pynn.EMA(decay="0.9"),
    "Adam": lambda: pynn.Adam(learning_rate=None),
    "DataLoader": lambda: pynn.DataLoader(np.zeros((2, 1)), batch_size=2.0),
    "Sequential": lambda: pynn.Sequential([pynn.Dense(1)], seed=1.0),
    "set_num_threads": lambda: pynn.set_num_threads(1.0),
}


@pytest.mark.parametrize("name", WRONG)
def test_every_home_of_arguments_says_it_the_same_way(name):
    with pytest.raises(
        errors.ArgumentTypeError, match=r"^expected \S+ as (an integer|a finite number).*; received \S+="
    ):
        WRONG[name]()


def test_a_missing_package_names_its_extra():
    with pytest.raises(pynn.MissingDependencyError, match=r"pip install 'pynn-dense\[plot\]'") as raised:
        checks.package("no_such_package.part", "plot", "to draw")
    assert isinstance(raised.value, ImportError)
    assert pynn.plots.MissingDependencyError is pynn.MissingDependencyError


def test_each_missing_package_is_the_same_error(python, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    code = (
        f"path = {str(tmp_path / 't.csv')!r}"
        + """
import sys
for name in ("matplotlib", "pyarrow", "tensorboardX"):
    sys.modules[name] = None
import pynn
def said(call):
    try:
        call()
    except pynn.MissingDependencyError as error:
        return str(error).split("[")[1].split("]")[0]
print(said(lambda: pynn.plots.learning_curve({"loss": [1.0]})),
      said(lambda: pynn.DataLoader.from_table(path, target="b")),
      said(lambda: pynn.TensorBoard().on_train_begin({})))
"""
    )
    assert python(code) == "plot data tensorboard"


def test_every_extra_that_a_message_names_exists():
    root = Path(pynn.__file__).parents[1]
    if not (root / "pyproject.toml").exists():
        pytest.skip("no source tree")
    extras = set(re.findall(r"^(\w+) = \[", (root / "pyproject.toml").read_text(), re.M))
    text = "".join(path.read_text() for path in Path(pynn.__file__).parent.rglob("*.py"))
    named = set(re.findall(r"pynn-dense\[(\w+)\]", text)) | set(re.findall(r'package\("[\w.]+", "(\w+)"', text))
    assert {"plot", "tensorboard"} <= named <= extras
