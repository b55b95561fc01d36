"""Run the programs of these pages. As a script: write each report below its program, and the table of `index.md`."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pynn

HERE = Path(__file__).parent
PROGRAM = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
SHOWN = re.compile(r"^```text\n.*?^```", re.M | re.S)
INDEX = """# Findings

Every finding of a report has a code. Each code has a page: what it means, how it looks, the number behind it, how to
cure it, and a program that shows it. The programs and their cures run in the tests.

| code | what it says |
|---|---|
{rows}

```{{toctree}}
:hidden:
:glob:

*
```
"""


def pages() -> dict[str, Path]:
    """Return the pages by code."""
    return {path.stem: path for path in sorted(HERE.glob("*.md")) if path.stem != "index"}


def run(page: Path) -> tuple[pynn.Report, pynn.Report]:
    """Run the program of a page, then its cure, and return the report of each."""
    program, cure = PROGRAM.findall(page.read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        exec(compile(program, page.name, "exec"), names)
        shown = names["report"]
        exec(compile(cure, page.name, "exec"), names)
    return shown, names["report"]


def write() -> None:
    """Write what the programs print into the pages, and the table of codes."""
    rows = []
    for code, page in pages().items():
        text, report = page.read_text(encoding="utf-8"), run(page)[0]
        page.write_text(SHOWN.sub(lambda _, said=report: f"```text\n{said}\n```", text), encoding="utf-8")
        rows.append(f"| [`{code}`]({code}.md) | {re.search(r'^[*](.+)[*]$', text, re.M)[1]} |")
    (HERE / "index.md").write_text(INDEX.format(rows="\n".join(rows)), encoding="utf-8")


if __name__ == "__main__":
    write()
