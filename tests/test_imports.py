"""The house: imports point down only, the C library knows no Python, and `import pynn` brings little along."""

import ast
import re
from pathlib import Path

import pytest

import pynn

PACKAGE = Path(pynn.__file__).parent
ROOT = PACKAGE.parent


def imported(path):
    """Modules of pynn that a file imports when it runs, with those only for type checking left out."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in hidden:
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return found


def test_only_the_core_knows_the_core():
    allowed = {
        "adapt", "arrays", "model", "runtime", "specs", "__init__", "blas", "cli", "causes", "checkpoint", "schedules"
    }  # fmt: skip
    paths = {*PACKAGE.glob("*.py"), *PACKAGE.glob("data/*.py")}
    using = {str(path.relative_to(PACKAGE).with_suffix("")) for path in paths if "_core" in imported(path)}
    assert using <= allowed
    assert not {name for name in using if name.startswith(("data", "callbacks"))}


def test_imports_point_down():
    levels = [
        {"errors"}, {"_core"}, {"specs", "arrays", "runtime"},
        {"activations", "initializers", "losses", "optimizers", "schedules", "regularizers", "constraints", "metrics",
         "history", "plots"},
        {"layers", "data", "callbacks", "progress"}, {"training"}, {"lbfgs"}, {"model"},
        {"rates", "cli", "datasets"},
    ]  # fmt: skip
    level = {name: i for i, names in enumerate(levels) for name in names}
    for name, own in level.items():
        path = PACKAGE / f"{name}.py"
        for other in imported(path) if path.exists() else ():
            assert level.get(other, -1) <= own, f"{name} imports {other}"
            assert level.get(other, -1) < own or own >= 3, f"{name} imports {other}"


def test_the_library_knows_no_python():
    files = [*(ROOT / "csrc").rglob("*.c"), *(ROOT / "csrc").rglob("*.h")]
    if not files:
        return
    assert not [path for path in files if re.search(r"\bPython\.h|\bPyObject\b", path.read_text())]


def test_import_brings_little_along(python):
    heavy = ["scipy", "json", "argparse", "matplotlib", "tqdm", "pandas", "pynn.model", "pynn._core"]
    code = f"import numpy, pynn, sys; print([m for m in {heavy} if m in sys.modules])"
    assert python(code) == "[]"
    use = "import numpy, pynn, sys; m = pynn.Sequential([pynn.Dense(2)]).build(3); m.predict([[1, 2, 3]]); "
    assert (
        python(use + "print([m for m in ['scipy.linalg', 'tqdm', 'matplotlib', 'pandas'] if m in sys.modules])") == "[]"
    )


def test_public_names_exist():
    for name in dir(pynn):
        if not name.startswith("_") and name not in ("plots", "datasets"):
            assert getattr(pynn, name) is not None
    for name in ("Adam", "SGD", "RMSprop", "Adagrad", "AdamW"):
        assert getattr(pynn, name) is getattr(pynn.optimizers, name)


def test_an_unknown_attribute_is_said():
    with pytest.raises(AttributeError, match="no_such_name"):
        pynn.no_such_name


def test_star_import(python):
    assert python("from pynn import *; print(Sequential.__name__, Adam.__name__)") == "Sequential Adam"


def test_the_public_names_have_documentation():
    for name in pynn.__all__:
        thing = getattr(pynn, name)
        if callable(thing):
            assert thing.__doc__, name


@pytest.mark.parametrize(("name", "said"), [
    ("EarlyStoping", "did you mean 'EarlyStopping'"), ("ADAM", "did you mean 'Adam'"), ("Relu", "did you mean 'ReLU'"),
    ("Huber", "there is pynn.losses.Huber"), ("AUC", "there is pynn.metrics.AUC"),
])  # fmt: skip
def test_a_misspelt_class_is_told_the_nearest(name, said):
    with pytest.raises(AttributeError, match=said):
        getattr(pynn, name)
    with pytest.raises(AttributeError, match="did you mean 'Huber'"):
        pynn.losses.Hubber
