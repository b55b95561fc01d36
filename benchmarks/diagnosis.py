"""54 known faults, healthy programs and 288 combinations: what does `diagnose` name, what does `repair` reach?

    python benchmarks/diagnosis.py cases|healthy|grid [OUTPUT]

A line a program goes to OUTPUT; a run that is started again goes on where it stopped.
"""

from __future__ import annotations

import json
import sys
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


PARTS = {"cases": (of_cases, told_cases), "healthy": (of_healthy, told_healthy), "grid": (of_grid, told_grid)}


def main(part: str = "cases", output: str = "") -> None:
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
