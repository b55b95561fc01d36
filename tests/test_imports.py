"""What `import pynn` brings along and offers; the C library knows no Python."""

import re
import shutil
from pathlib import Path

import pytest

import pynn

PACKAGE = Path(pynn.__file__).parent
ROOT = PACKAGE.parent


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


def test_sources_that_were_not_built_say_so_and_what_to_do(python, tmp_path):
    for name in ("__init__.py", "names.py"):
        (tmp_path / "pynn").mkdir(exist_ok=True)
        shutil.copy(PACKAGE / name, tmp_path / "pynn")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
try:
    import pynn
except ImportError as error:
    print(error)
"""
    said = python(code)
    assert said.startswith(f"expected a built package; received the sources in '{tmp_path / 'pynn'}'")
    assert f"pip install -e {tmp_path}" in said


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
