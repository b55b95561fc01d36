"""The documentation site: its pages are complete, their blocks run, and what is public is in the reference."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pynn

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# in the tests of what they are about, or with files and processes that they do not make
RUN_ELSEWHERE = {"guide", "sklearn", "tables", "embedding", "onnx", "interchange", "distributed"}


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def pages_with_blocks():
    return [page for page in sorted(DOCS.glob("*.md")) if blocks(page) and page.stem not in RUN_ELSEWHERE]


@pytest.mark.filterwarnings("ignore::pynn.TrainingWarning")
@pytest.mark.parametrize("page", pages_with_blocks(), ids=lambda page: page.stem)
def test_blocks_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    X, y = np.random.default_rng(0).normal(size=(200, 4)), np.arange(200) % 3
    model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(3)], seed=0)
    model.compile("softmax_cross_entropy")
    model.fit(X, y)
    names = {"np": np, "pynn": pynn, "X": X, "y": y, "xb": X[:32], "yb": y[:32], "model": model}
    for block in blocks(page):
        exec(compile(block, page.name, "exec"), names)


def test_every_page_is_in_the_table_of_contents():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = {line.strip() for tree in re.findall(r"```{toctree}\n(.*?)```", index, re.S) for line in tree.splitlines()}
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - {"index"}
    apart = {page for page in pages if page.startswith(("findings/", "api/", "gallery/"))} - {"findings/index"}
    assert pages - apart <= listed, pages - apart - listed


def test_links_between_pages_lead_somewhere():
    for page in DOCS.rglob("*.md"):
        if page.relative_to(DOCS).parts[0] in ("api", "gallery"):
            continue
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            made = target.startswith(("gallery/", "api/"))  # when the site is built
            assert made or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_command_of_contributing_is_that_of_ci():
    command = "python -m sphinx -W docs build/site"
    assert command in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "python -m sphinx -W" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_site_builds_without_a_warning(tmp_path):
    """A small one: every page but the reference and the gallery, which the step of CI builds too."""
    for package in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(package)
    settings = ["-C", "-D", "extensions=myst_parser", "-D", "html_theme=furo", "-D", "myst_heading_anchors=3"]
    options = [
        "-D",
        "myst_enable_extensions=colon_fence,dollarmath",
        "-D",
        "exclude_patterns=api,gallery,_templates,sg_execution_times.rst",
    ]
    quiet = ["-D", "suppress_warnings=toc.not_readable,toc.excluded,myst.xref_missing,ref.doc"]
    command = [sys.executable, "-m", "sphinx", "-q", "-W", *settings, *options, *quiet, str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "dead_relu" in (tmp_path / "findings" / "index.html").read_text(encoding="utf-8")
