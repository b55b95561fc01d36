"""54 known faults, healthy programs and 288 combinations: what does `diagnose` name, what does `repair` reach?

    python benchmarks/diagnosis.py cases|healthy|grid [OUTPUT]
    python benchmarks/diagnosis.py rules FILE ...

A line a program goes to OUTPUT; a run that is started again goes on where it stopped. `rules` reads such files, and
those of mutants.py and wider.py, and prints a row a finding code: found, where it is right and among the first three;
missed, where it is right and no right code is; false, where it comes first and is wrong, or speaks of a control.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from fault_cases import Case, cases, grid
from mutants import examined, trained_score
from programs import Program, programs

REACHED = 0.8  # accuracy that a combination of the grid must reach
Line = dict[str, Any]


def of_cases() -> Iterator[Callable[[], Line]]:
    def line(case: Case) -> Line:
        program = case.program
        fixed = None if case.fixed is None else trained_score(case.fixed, 0)
        return {
            "name": program.name, "right": case.codes, "score": trained_score(program, 0), "fixed": fixed,
            "nothing": program.nothing(),
        } | examined(program)  # fmt: skip

    yield from (lambda case=case: line(case) for case in cases())


def of_healthy() -> Iterator[Callable[[], Line]]:
    def line(program: Program, seed: int) -> Line:
        return {"name": f"{program.name} {seed}"} | examined(program.change(seed=seed))

    yield from (lambda program=program, seed=seed: line(program, seed) for program in programs() for seed in range(10))


def of_grid() -> Iterator[Callable[[], Line]]:
    def line(program: Program) -> Line:
        return {"name": program.name, "score": trained_score(program, 0)} | examined(program)

    yield from (lambda program=program: line(program) for program in grid())


def told_cases(done: list[Line]) -> str:
    faults, controls = [x for x in done if x["right"]], [x for x in done if not x["right"]]
    found = [x for x in faults if x["codes"]]
    right = [x for x in faults if x["codes"] and x["codes"][0] in x["right"]]
    three = [x for x in faults if set(x["codes"][:3]) & set(x["right"])]
    silent = [x for x in controls if not x["codes"]]
    return (f"{len(faults)} faults: found {len(found)}, right first {len(right)}, in the first three {len(three)}; "
            f"{len(controls)} controls: silent {len(silent)}")  # fmt: skip


def told_healthy(done: list[Line]) -> str:
    return f"{len(done)} healthy runs: told of something {sum(bool(x['codes']) for x in done)}"


def told_grid(done: list[Line]) -> str:
    mended = [x for x in done if x["mended"] >= REACHED]
    silent = [x for x in done if x["mended"] < REACHED and not x["codes"]]
    plain = [x for x in done if x["score"] >= REACHED]
    return (f"{len(done)} combinations: {len(plain)} reach {REACHED:.0%} as they are, {len(mended)} by repair; "
            f"silent {len(silent)}")  # fmt: skip


def rules(paths: list[str]) -> str:
    """A row a code over all lines of these files."""
    lines = [json.loads(line) for path in paths for line in Path(path).read_text().splitlines()]
    found, missed, false = Counter[str](), Counter[str](), Counter[str]()
    for line in lines:
        right, told = list(line.get("right") or ()), line["codes"]
        if right and line.get("hurts", True):
            named = [code for code in told[:3] if code in right]
            found.update(named[:1])
            missed.update([] if named else right[:1])
            false.update(code for code in told[:1] if code not in right)
        else:
            false.update(told)
    codes = sorted({*found, *missed, *false}, key=lambda code: (-found[code], code))
    rows = [f"{code:30s} found {found[code]:3d}  missed {missed[code]:3d}  false {false[code]:3d}" for code in codes]
    return "\n".join([f"{len(lines)} programs", *rows])


PARTS = {"cases": (of_cases, told_cases), "healthy": (of_healthy, told_healthy), "grid": (of_grid, told_grid)}


def main(part: str = "cases", output: str = "", *more: str) -> None:
    if part == "rules":
        print(rules([output, *more]))
        return
    lines, told = PARTS[part]
    path = Path(output or f"diagnosis-{part}.jsonl")
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    with path.open("a") as file:
        for make in islice(lines(), len(done), None):
            done.append(make())
            file.write(json.dumps(done[-1]) + "\n")
            file.flush()
            print(*(done[-1].get(key) for key in ("name", "right", "codes", "score", "fixed", "mended")), flush=True)
    print(told(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
