"""Every code of a finding has a page, and the page's program shows it and its cure."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("finding_pages", ROOT / "docs" / "findings" / "run.py")
finding_pages = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(finding_pages)
PAGES = finding_pages.pages()
SECTIONS = ["What it means", "How it looks", "The number behind it", "How to cure it"]
NEEDS = {"unknown_category": "pandas", "category_as_number": "pandas"}


def codes_in_the_source():
    """Constants that the package hands to what becomes a finding, as the code or in a table of codes."""
    found = set()
    for path in (ROOT / "pynn").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if name in ("Finding", "Rule", "Deviation", "Operation"):
                found |= {part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)}
    return {code for code in found if isinstance(code, str) and re.fullmatch(r"[a-z]+(_[a-z]+)*", code)}


def test_every_code_has_its_page():
    missing = codes_in_the_source() - set(PAGES)
    assert not missing, f"write docs/findings/CODE.md for {sorted(missing)}, then run docs/findings/run.py"
    assert len(PAGES) > 40


def test_every_page_has_its_parts_and_its_line_in_the_table():
    index = (ROOT / "docs" / "findings" / "index.md").read_text(encoding="utf-8")
    for code, page in PAGES.items():
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# `{code}`\n\n*"), code
        assert re.findall(r"^## (.+)$", text, re.M) == SECTIONS, code
        assert len(finding_pages.PROGRAM.findall(text)[0].strip().splitlines()) <= 13, code
        assert f": {code}" in finding_pages.SHOWN.search(text)[0], f"run docs/findings/run.py: {code}"
        assert f"[`{code}`]({code}.md)" in index, f"run docs/findings/run.py: {code}"


@pytest.mark.parametrize("code", PAGES)
def test_the_program_of_a_page_shows_its_code_and_the_cure_ends_it(code):
    if code in NEEDS:
        pytest.importorskip(NEEDS[code])
    shown, cured = finding_pages.run(PAGES[code])
    assert code in [finding.code for finding in shown.findings]
    assert code not in [finding.code for finding in cured.findings if finding.severity != "info"]
