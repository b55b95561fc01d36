"""Every row of every table has all that belongs to it: a sentence, references, an export or a reason against one.

What is missing fails with the file to edit. `missing` takes a root, so that CONTRIBUTING.md's example is held to the
same rules (test_contributing.py).
"""

import importlib
from pathlib import Path

import pytest

import pynn
from pynn import _core
from pynn.files.export_c import amalgamate, layers

ROOT = Path(__file__).parent.parent
SENTENCE = '        "{name}": "'

# kind of row -> what each has: the file, how a line of it begins or what it contains, and what to write there
NEEDS = {
    "activation": [
        ("pynn/activations.py", SENTENCE, "a sentence in `texts`"),
        ("csrc/tests/references.h", '    {{"{name}", ', "its value and derivative, and a row for them"),
        ("tests/test_kernels.py", '    "{name}": (', "its value and derivative in mpmath, in EXACT"),
        ("tests/test_against_torch.py", '    "{name}": ', "PyTorch's form of it, in ACTIVATIONS"),
        ("docs/numerics.md", "| {name} | ", "the errors that exhaustive measured"),
    ],
    "loss": [
        ("pynn/losses.py", SENTENCE, "a sentence in `texts`"),
        ("tests/test_against_torch.py", '    "{name}": ', "PyTorch's form of it, in LOSSES"),
    ],
    "optimizer": [
        ("pynn/optimizers.py", SENTENCE, "a sentence in `texts`"),
        ("csrc/tests/test_kernels.c", 'strcmp(name, "{name}")', "one step in long double, in `expected`"),
        ("tests/test_against_torch.py", '    "{name}": ', "PyTorch's, in OPTIMIZERS"),
    ],
    "initializer": [
        ("pynn/initializers.py", SENTENCE, "a sentence in `texts`"),
        ("csrc/tests/test_initializers.c", '"{name}"', "its moments"),
    ],
    "regularizer": [
        ("pynn/regularizers.py", SENTENCE, "a sentence in `texts`"),
        ("tests/test_regularization.py", '    "{name}": ', "its formula, in PENALTIES"),
    ],
    "constraint": [
        ("pynn/constraints.py", SENTENCE, "a sentence in `texts`"),
        ("tests/test_regularization.py", '    "{name}": ', "its formula, in CONSTRAINTS"),
    ],
    "schedule": [
        ("pynn/schedules.py", '"{name}"', "a sentence in `texts`, or a class of its own"),
        ("tests/test_schedules.py", '    "{name}": [', "its formula, in FORMULAS or TORCH"),
    ],
    "layer": [
        ("tests/test_layers.py", '    "{name}": [', "a case in KINDS"),
    ],
}  # fmt: skip
# row and file -> why nothing of it stands there
REASONS = {
    ("softmax", "csrc/tests/references.h"): "works on rows: `rowwise` in csrc/tests/test_kernels.c",
    ("softmax", "tests/test_kernels.py"): "works on rows",
    ("softmax", "docs/numerics.md"): "works on rows: the section on losses",
}


def missing(kind, names, root=ROOT):
    """``(file, what to write)`` for each thing that rows of a table lack."""
    found = []
    for file, form, what in NEEDS[kind]:
        text = (root / file).read_text(encoding="utf-8")
        lacking = [name for name in names if form.format(name=name) not in text and (name, file) not in REASONS]
        found += [(file, f"{name}: {what}") for name in lacking]
    return found


def rows(kind):
    return [row["name"] for row in _core.table(kind) if row["name"] != "none"]


def test_every_table_is_held_to_something():
    assert set(NEEDS) == set(_core.TABLES)


@pytest.mark.parametrize("kind", NEEDS)
def test_every_row_has_what_belongs_to_it(kind):
    lacking = missing(kind, rows(kind))
    assert not lacking, "\n".join(["write", *(f"  {file}: {what}" for file, what in lacking)])


@pytest.mark.parametrize("kind", [kind for kind in NEEDS if kind != "layer"])
def test_no_sentence_is_about_a_row_that_is_gone(kind):
    module = importlib.import_module(f"pynn.{'losses' if kind == 'loss' else kind + 's'}")
    assert set(module.table._texts) <= set(rows(kind))


@pytest.mark.parametrize("kind", [kind for kind in NEEDS if kind != "layer"])
def test_every_class_is_documented_in_a_sentence_of_its_own(kind):
    module = importlib.import_module(f"pynn.{'losses' if kind == 'loss' else kind + 's'}")
    for name in module.table.class_names:
        assert len(getattr(module, name).__doc__) > 8
        assert not getattr(module, name).__doc__.startswith(f"The {kind} "), f"a sentence for {name} in `texts`"


def test_every_activation_is_exported_by_its_name():
    for name in rows("activation"):
        exported = amalgamate.has_function(f"{name}_value") or name in ("linear", "softmax")
        assert exported, f"{name}: name its function {name}_value in csrc/src/kernels/activations.template.c"


def test_every_layer_is_exported():
    lacking = [kind for kind in rows("layer") if kind not in (*layers.KINDS, *layers.SEQUENCES)]
    assert not lacking, f"add {lacking} to KINDS in pynn/files/export_c/layers.py"


def test_every_reason_is_about_a_row_that_exists():
    names = {name for kind in NEEDS for name in rows(kind)}
    assert {name for name, _ in REASONS} <= names
    assert pynn.activations.table.rows["softmax"]["rowwise"]
