"""What the documents say is so: examples run, commands are those of CI, versions and names agree."""

import doctest
import importlib
import os
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import pynn

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/guide.md", "docs/guard.md",
    "docs/reliability.md", "pynn/datasets/data/README.md",
]  # fmt: skip


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


GUIDE = ROOT / "docs" / "guide.md"


@pytest.mark.filterwarnings("ignore::pynn.TrainingWarning")
def test_from_a_file_to_a_model_as_the_guide_says(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    text = GUIDE.read_text(encoding="utf-8")
    part, names = text[: text.index("## Metrics")], {}
    for block in re.findall(r"^```python\n(.*?)^```", part, re.M | re.S):
        exec(compile(block, "guide.md", "exec"), names)
    out = capsys.readouterr().out
    said = re.findall(r"^print\(.*  # (.*?)(?: \.\.\.)?$", part, re.M)
    assert said
    for comment in said:  # the comments beside the prints are what is printed
        assert comment in out


def test_metrics_as_the_guide_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    section, names = GUIDE.read_text(encoding="utf-8").split("## Metrics")[1].split("\n## ")[0], {}
    for block in re.findall(r"^```python\n(.*?)^```", section, re.M | re.S):
        exec(compile(block, "guide.md", "exec"), names)
    assert names["stop"].best > 0.9
    assert names["stop"].best == max(names["history"]["val_within_ten"])
    assert names["loaded"].evaluate(names["X"], names["y"]) == names["model"].evaluate(names["X"], names["y"])
    listed = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.M) for name in re.findall(r"`([a-z0-9_]+)`", row)
    }
    known = {row[0] for row in pynn.metrics.names.ROWS}
    assert {name for name in listed if not name.startswith("_")} == {
        name for name in known if not name.endswith(("_macro", "_micro", "_weighted"))
    }


def test_functions_of_ones_own_as_the_guide_says(tmp_path, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.chdir(tmp_path)
    text, names = GUIDE.read_text(encoding="utf-8"), {"np": np, "pynn": pynn}
    part = text[text.index("## Functions of your own") : text.index("## When training goes wrong")]
    for block in re.findall(r"^```python\n(.*?)^```", part, re.M | re.S):
        exec(compile(block, "guide.md", "exec"), names)
    X, y = names["X"], names["y"]
    for name in ("model", "again", "loaded"):
        assert np.mean((names[name].predict(X) - y) ** 2) < 0.01 * y.var()


def test_every_remedy_of_the_guide_works(tmp_path, monkeypatch):
    """Each block under "When training goes wrong" that says `after` is better than it was `before`, by far."""
    monkeypatch.chdir(tmp_path)
    text = GUIDE.read_text(encoding="utf-8")
    part = text[text.index("## When training goes wrong") :]
    names, shown = {}, 0
    for block in re.findall(r"^```python\n(.*?)^```", part, re.M | re.S):
        exec(compile(block, "guide.md", "exec"), names)
        if "after" in block:
            assert not names["before"] > names["after"] - 0.05, block
            assert names["after"] > 0.6
            shown += 1
    assert shown >= 8
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_readmes_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    out = capsys.readouterr().out
    assert names["model"].evaluate(names["Xt"], names["yt"])["accuracy"] > 0.92
    assert [entry["kind"] for entry in names["history"].ledger].count("rolled_back") > 0
    assert names["digit"] == names["yt"][0]
    # the comments beside the prints are what is printed
    assert "expected X of finite numbers; received X[4711, 300]=nan." in out
    assert "4711 300 nonfinite_input" in out


@pytest.mark.parametrize(("compiler", "language"), [("cc", "c"), ("c++", "c++")])
def test_the_readmes_c_program_compiles_without_a_warning(compiler, language, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    (program,) = blocks("c")
    flags = ["-std=c11"] if language == "c" else ["-std=c++17"]
    command = [compiler, "-x", language, *flags, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    include = f"-I{ROOT / 'csrc' / 'include'}"
    subprocess.run([*command, include, "-"], input=program, text=True, check=True, cwd=tmp_path)


def test_ci_runs_the_readmes_test_command():
    commands = [line for block in blocks("bash") for line in block.splitlines()]
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"grep -m1 -E '(.+)' README\.md", script)[1]
    found = [line for line in README.splitlines() if re.search(pattern, line)]
    assert len(found) == 1
    assert found[0] in commands
    extra = re.search(r"'\.\[(\w+)\]'", found[0])[1]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert "pytest" in extras[extra]
    assert subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=False).returncode == 0
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_there_is_one_version():
    header = re.search(r'#define PYNN_VERSION "(.+)"', (ROOT / "csrc/include/pynn.h").read_text())[1]
    assert pynn.__version__ == header == metadata.version("pynn-dense")
    assert re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == header


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_files_named_exist(document):
    path = ROOT / document
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (path.parent / target).exists(), target
    for named in re.findall(r"`((?:csrc|pynn|docs|benchmarks|tests)/[\w./-]+)`", text):
        assert (ROOT / named).exists(), named


def test_every_public_name_exists_and_is_documented():
    for name in pynn.__all__:
        assert getattr(pynn, name).__doc__, name


def documented():
    """Public classes and functions by name, once each, with those of modules that users name."""
    found = {name: getattr(pynn, name) for name in pynn.__all__}
    for module in ("specs", "datasets.idx", *pynn._MODULES):
        home = importlib.import_module(f"pynn.{module}")
        found |= {f"{module}.{name}": thing for name, thing in vars(home).items() if name[0] != "_"}
    public = {name: thing for name, thing in found.items() if getattr(thing, "__module__", "").startswith("pynn")}
    return {id(thing): (name, thing) for name, thing in public.items()}.values()


def test_examples_in_docstrings_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads, tried = pynn.get_num_threads(), 0
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    try:
        for name, thing in documented():
            for test in finder.find(thing, name, module=False, globs={name.rpartition(".")[2]: thing}):
                tried += bool(test.examples)
                runner.run(test)
    finally:
        pynn.set_num_threads(threads)
    assert runner.summarize(verbose=False).failed == 0
    assert tried > 30


def test_data_and_callbacks_never_import_the_core():
    for path in (*(ROOT / "pynn/data").glob("*.py"), *(ROOT / "pynn/callbacks").glob("*.py")):
        assert not re.search(r"import.*_core", path.read_text()), path


# Phrases that a native reader stumbles over, and what replaces them.
STUMBLED_OVER = {
    "anew": "again, start over", "at hand": "current, in memory, in progress", "so many": "this many, N",
    "of the caller's": "custom, the user's", "what is no": "any other, values that cannot be",
}  # fmt: skip


def test_plain_english():
    read = [path for folder in ("pynn", "csrc", "docs", "examples") for path in (ROOT / folder).rglob("*")]
    suffixes = {".py", ".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".md", ".hpp", ".cpp"}
    read = [path for path in read if path.suffix in suffixes and path.name != "_core.c" and "lib" not in path.parts]
    found = [
        f"{path.relative_to(ROOT)}: {phrase!r}, say {better}"
        for path in [*read, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
        for phrase, better in STUMBLED_OVER.items()
        if re.search(rf"\b{phrase}\b", path.read_text(encoding="utf-8"), re.I)
    ]
    assert not found, "\n".join(found)
