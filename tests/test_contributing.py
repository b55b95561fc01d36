"""CONTRIBUTING.md's examples: inserted into a copy of the sources, compiled, held to the tests of every row."""

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
from test_rows import missing

from pynn.files.export_c import amalgamate

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^ *<!-- (\S+) (before|after): (.*?) -->\n( *)```\w+\n(.*?)^ *```$", re.M | re.S)
NAIVE = "static inline real squareplus_value(real z, real a) { return (z + sqrt_(z * z + a)) / 2; }\n"

needs_cmake = pytest.mark.skipif(not shutil.which("cmake"), reason="needs cmake")


def inserted(folder):
    """A copy of the sources with every block of CONTRIBUTING.md where its comment says."""
    for part in ("csrc", "pynn", "tests", "docs"):
        ignored = shutil.ignore_patterns("*.so", "_core.c", "lib", "build*", "__pycache__", "*.png")
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    for file, side, anchor, indent, block in BLOCK.findall(TEXT):
        path = folder / file
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (at,) = [i for i, line in enumerate(lines) if line.startswith(anchor)][:1]
        own = textwrap.indent(block, "").replace(f"\n{indent}", "\n").removeprefix(indent)
        lines.insert(at + (side == "after"), own + ("\n" if own.endswith(("}\n", ")\n")) else ""))
        path.write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return inserted(tmp_path_factory.mktemp("contributed"))


def built(tree, *targets):
    """The C tests, without optimisation: what the tests see does not depend on it."""
    flags = ["-DCMAKE_C_FLAGS=-O0 -Werror", "-DCMAKE_BUILD_TYPE=None"]
    subprocess.run(["cmake", "-S", "csrc", "-B", "build", *flags], cwd=tree, check=True, capture_output=True)
    command = ["cmake", "--build", "build", "--parallel", "2", "--target", *targets]
    result = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return [tree / "build" / target for target in targets]


def test_the_examples_are_found():
    assert [(Path(file).name, side) for file, side, *_ in BLOCK.findall(TEXT)] == [
        ("activations.template.c", "before"), ("activations.template.c", "before"), ("activations.py", "before"),
        ("references.h", "before"), ("references.h", "after"),
        ("losses.template.c", "before"), ("losses.template.c", "before"), ("losses.py", "before"),
    ]  # fmt: skip


def test_what_else_a_row_needs_is_named_with_its_file(tree):
    assert {file for file, _ in missing("activation", ["squareplus"], tree)} == {
        "tests/test_kernels.py", "tests/test_against_torch.py", "docs/numerics.md"
    }  # fmt: skip
    assert {file for file, _ in missing("loss", ["cauchy"], tree)} == {"tests/test_against_torch.py"}
    assert len(missing("activation", ["squareplus"])) == 5


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_an_example_can_be_exported(tree, tmp_path, monkeypatch):
    """The square root is the library's own, which no activation of the table uses."""
    for source in amalgamate.SOURCES:
        (found,) = (tree / "csrc" / "src").rglob(source)
        shutil.copy(found, tmp_path)
    items = {}
    for source in amalgamate.SOURCES:
        items |= amalgamate._items((tmp_path / source).read_text(encoding="utf-8"), "float")
    library = {name: amalgamate._expanded(text, "float") for name, text in items.items() if name not in amalgamate._OWN}
    monkeypatch.setattr(amalgamate, "_library", lambda real: library)
    text = amalgamate.extract(["squareplus_value"], "net_", "float")
    assert "net_sqrt_" in text
    prelude = "#include <math.h>\n#include <stdint.h>\n#include <string.h>\n#include <float.h>\n#include <stddef.h>\n"
    prelude += "typedef float net_real;\n"
    prelude += "static inline float net_fma_(float a, float b, float c) { return a * b + c; }\n"
    program = prelude + text + "\nint main(void) { return net_squareplus_value(0, 4) != 1; }\n"
    command = ["gcc", "-std=c99", "-Wall", "-x", "c", "-", "-o", str(tmp_path / "one"), "-lm"]
    subprocess.run(command, input=program, text=True, check=True)
    subprocess.run([tmp_path / "one"], check=True)


@needs_cmake
def test_the_examples_pass_the_tests_of_every_row_and_a_careless_one_does_not(tmp_path):
    tree = inserted(tmp_path)
    kernels, exhaustive = built(tree, "test_kernels", "exhaustive")
    for command in ([kernels], [exhaustive, "40001", "squareplus"]):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr

    careless = {
        "csrc/src/kernels/activations.template.c": (r"static inline real squareplus_value.*?^}\n", NAIVE),
        "csrc/tests/references.h": (r'^static wide squareplus.*?^}\n|^    {"squareplus".*?\n', ""),
    }
    for file, (pattern, text) in careless.items():  # extremes are looked at whether there is a reference or not
        found, count = re.subn(pattern, text, (tree / file).read_text(encoding="utf-8"), flags=re.M | re.S)
        assert count
        (tree / file).write_text(found, encoding="utf-8")
    (kernels,) = built(tree, "test_kernels")
    said = subprocess.run([kernels], capture_output=True, text=True).stderr
    assert re.search(r"squareplus\(0x1\.93e5\w+p\+99\) = inf.*edit csrc/src/kernels/activations\.template\.c", said)
    assert "squareplus has no reference: add a row to csrc/tests/references.h" in said
