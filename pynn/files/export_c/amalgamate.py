"""Parts of the library's C sources as self-contained C99 for one exported header.

An exported network must compute what `predict` computes, to the last bit where the processor allows it. So its scalars
are not written a second time: they are taken from the kernels' own sources, which the package carries, with whatever
they need, for ``float`` or ``double``, under the header's own prefix, and in the subset of C that C99 and C++ share.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from ...errors import UnsupportedError

SOURCES = ("real.h", "numerics.h", "activations.template.c")
# what the header defines itself: see FMA in c.py
_OWN = {"real", "fma_", "FMA_BUILTIN", "R", "INLINED", "INDEPENDENT", "UNROLLED", "POLYNOMIAL"}
BITS = {"float": 32, "double": 64}

_ITEM_START = re.compile(r"^(static|struct|typedef|enum|INLINED)\b|^\s*#\s*define\b")
_NAMES = [
    re.compile(r"^\s*#\s*define\s+(\w+)"),
    re.compile(r"^static const [\w ]*?(\w+)\s*\["),
    re.compile(r"^(?:static inline|INLINED|static)\b[^(=]*?\b(\w+)\s*\("),
    re.compile(r"^struct (\w+)\s*\{"),
    re.compile(r"^typedef\b[^;]*?\b(\w+);"),
    re.compile(r"^enum\s*\{\s*(\w+)"),
]
_WORD = re.compile(r"\b[A-Za-z_]\w*\b")
_FIELD = re.compile(r"(real|struct \w+)\s+([\w, ]+);")


def _conditionals(lines: list[str], real: str) -> list[str]:
    """Resolve the conditions that are known for a real type; ``FMA_BUILTIN`` stays for the C compiler."""
    known = {f"PYNN_REAL_BITS == {bits}": bits == BITS[real] for bits in BITS.values()}
    out: list[str] = []
    stack: list[list[bool]] = []  # of each open condition: was a branch taken, is this one, is it left to C
    for line in lines:
        directive = re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b\s*(.*?)\s*(/\*.*)?$", line)
        if directive is None:
            if all(taking for _, taking, _ in stack):
                out.append(line)
            continue
        kind, condition = directive[1], directive[2]
        if kind.startswith("if"):
            symbolic = condition == "FMA_BUILTIN"
            value = symbolic or (kind == "ifndef") or known.get(condition, False)
            stack.append([value, value, symbolic])
            if symbolic:
                out.append(line)
        elif stack[-1][2]:
            out.append(line)
            if kind == "endif":
                stack.pop()
        elif kind == "endif":
            stack.pop()
        else:
            value = not stack[-1][0] and (kind == "else" or known.get(condition, False))
            stack[-1] = [stack[-1][0] or value, value, False]
    return out


def _uncommented(text: str) -> str:
    """Comments are the library's to keep; the header stays small."""
    return re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment[0].count("\n"), text, flags=re.S)


def _complete(item: list[str]) -> bool:
    text = "\n".join(item)
    return text.count("{") == text.count("}") and text.rstrip().endswith((";", "}"))


def _items(text: str, real: str) -> dict[str, str]:
    """Top-level definitions by name, in order."""
    found: dict[str, str] = {}
    lines = iter(_conditionals(_uncommented(text).splitlines(), real))
    for line in lines:
        if not _ITEM_START.match(line):
            continue
        item = [line.rstrip()]
        if "#" in line and "define" in line:
            while item[-1].endswith("\\"):
                item.append(next(lines).rstrip())
        else:
            while not _complete(item):
                item.append(next(lines).rstrip())
        whole = "\n".join(part for part in item if part)
        for pattern in _NAMES:
            if (name := pattern.match(whole)) is not None:
                found.setdefault(name[1] if not whole.startswith("struct") else f"struct {name[1]}", whole)
                break
    return found


@cache
def _library(real: str) -> dict[str, str]:
    folder = Path(__file__).parent / "source"
    items: dict[str, str] = {}
    for name in SOURCES:
        if not (folder / name).exists():
            raise UnsupportedError(f"expected {folder / name} in the package; install pynn-dense again")
        items |= _items((folder / name).read_text(encoding="utf-8"), real)
    return {name: _expanded(text, real) for name, text in items.items() if name not in _OWN}


def _expanded(text: str, real: str) -> str:
    """Without the kernels' own macros and without hexadecimal floats, which C++ before 2017 does not have."""
    text = re.sub(r"POLYNOMIAL\((\w+),", r"polynomial(\1_polynomial, (int)(sizeof \1_polynomial / sizeof(real)),", text)
    text = re.sub(r"\bR\((-?(?:0x[\da-fA-F.]+p[+-]?\d+|[\d.e+-]+))\)", r"\1f" if real == "float" else r"\1", text)
    text = re.sub(r"\b(UNROLLED|INDEPENDENT) ", "", text)
    text = re.sub(r"^INLINED\b", "static inline", text)
    text = re.sub(r"^enum \{ (\w+) = (\d+) \};$", r"#define \1 \2", text)
    return re.sub(r"(?<![\w.])0x[\da-fA-F]+\.?[\da-fA-F]*p[+-]?\d+(f?)", _decimal, text)


def _decimal(match: re.Match[str]) -> str:
    import numpy as np

    value = float.fromhex(match[0].rstrip("f") if match[1] else match[0])
    return f"{np.float32(value)!s}f" if match[1] else repr(value)


def has_function(name: str, real: str = "float") -> bool:
    """Whether the library's kernels define `name`."""
    return name in _library(real)


def extract(names: list[str], prefix: str, real: str) -> str:
    """The definitions of `names` and all that they need, in the library's order, each name with `prefix`."""
    items = _library(real)
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        words = set(_WORD.findall(items[name]))
        waiting += [other for other in items if other.removeprefix("struct ") in words]
    kept = {name: _constructors(text, items) for name, text in items.items() if name in needed}
    text = "\n".join(_with_constructors(name, body, items) for name, body in kept.items())
    own = {name.removeprefix("struct ") for name in kept} | {"real", "fma_", "FMA_BUILTIN"}
    own |= {f"make_{name.removeprefix('struct ')}" for name in kept if name.startswith("struct ")}
    own |= {word for name in kept if name.startswith("real") for word in [name]}
    return _WORD.sub(lambda word: prefix + word[0] if word[0] in own else word[0], text)


def _constructors(text: str, items: dict[str, str]) -> str:
    """``(struct pair){a, b}``, which is no C++, as ``make_pair(a, b)``."""
    while (literal := re.search(r"\(struct (\w+)\)\{", text)) is not None:
        depth, end = 1, literal.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        inner = text[literal.end() : end - 1]
        text = f"{text[: literal.start()]}make_{literal[1]}({inner}){text[end:]}"
    return text


def _with_constructors(name: str, text: str, items: dict[str, str]) -> str:
    """A struct's definition followed by the function that makes one."""
    if not name.startswith("struct "):
        return text
    members = [(kind, m.strip()) for kind, some in _FIELD.findall(text) for m in some.split(",")]
    tag = name.removeprefix("struct ")
    arguments = ", ".join(f"{kind} {m}" for kind, m in members)
    body = " ".join(f"made.{m} = {m};" for _, m in members)
    return f"{text}\nstatic inline {name} make_{tag}({arguments}) {{\n  {name} made;\n  {body}\n  return made;\n}}"
