"""The floors of the C library: folders include only earlier ones, objects link without circles, files stay short.

When one of these tests fails, move the function to the floor that it belongs to; do not extend the lists below.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent.parent / "csrc/src"
FLOORS = ["base", "kernels", "compute", "graph", "layers", "names", "model", "pass", "train", "file", "."]
"""Each folder may include itself and those before it; "." holds direct.c, for tests and tools."""

FILE_LINES, BODY_LINES = 500, 40

pytestmark = pytest.mark.skipif(not SOURCES.exists(), reason="needs the sources")


def files(*suffixes):
    return sorted(path for path in SOURCES.rglob("*") if path.suffix in suffixes)


def floor(path):
    return FLOORS.index(str(path.relative_to(SOURCES).parent))


def code(path):
    """The file with comments and strings blanked out, line for line."""
    text = path.read_text(encoding="utf-8")
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])  # noqa: E731
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text, flags=re.S)


def circles(arrows):
    """The strongly connected components of more than one node (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in arrows.get(node, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in arrows:
        if node not in index:
            visit(node)
    return found


def test_every_folder_stands_on_a_floor():
    unknown = sorted({str(path.relative_to(SOURCES).parent) for path in files(".c", ".h")} - set(FLOORS))
    assert not unknown, f"expected the folders {FLOORS} in csrc/src; received {unknown}"


def test_includes_point_to_the_same_or_an_earlier_folder():
    wrong = []
    for path in files(".c", ".h"):
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            included = re.match(r'#\s*include "([^"]+)"', text)
            if included is None or included[1] == "pynn.h":
                continue
            target = SOURCES / included[1]
            if not target.exists() or floor(target) > floor(path):
                wrong.append(f"{path.relative_to(SOURCES)}:{line} includes {included[1]}")
    assert not wrong, wrong


def test_headers_include_one_another_without_circles():
    arrows = {}
    for path in files(".c", ".h"):
        included = re.findall(r'^#\s*include "([^"]+)"', path.read_text(encoding="utf-8"), re.M)
        arrows[str(path.relative_to(SOURCES))] = [name for name in included if name != "pynn.h"]
    assert circles(arrows) == []


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """The library's objects, compiled without optimisation: only their symbols matter."""
    compiler, nm = shutil.which("cc"), shutil.which("nm")
    if compiler is None or nm is None:
        pytest.skip("needs a C compiler and nm")
    folder = tmp_path_factory.mktemp("objects")
    skipped = {"serial.c", "kernels_f32.c", "kernels_f64.c", "normals.c"}
    found = {}
    for source in files(".c"):
        if source.name in skipped or source.name.endswith(".template.c"):
            continue
        name = str(source.relative_to(SOURCES).with_suffix(""))
        target = folder / f"{name.replace('/', '-')}.o"
        command = [compiler, "-std=c11", "-O0", "-D_GNU_SOURCE", f"-I{SOURCES}", f"-I{SOURCES.parent / 'include'}"]
        subprocess.run([*command, "-c", str(source), "-o", str(target)], check=True)
        lines = subprocess.run([nm, "-P", str(target)], check=True, capture_output=True, text=True).stdout.splitlines()
        symbols = [line.split()[:2] for line in lines]
        defined = {symbol for symbol, kind in symbols if kind in "TDRBV"}
        found[name] = defined, {symbol for symbol, kind in symbols if kind in "Uw"}
    return found


def links(objects):
    owner = {symbol: name for name, (defined, _) in objects.items() for symbol in defined}
    return {name: sorted({owner[s] for s in wanted if s in owner} - {name}) for name, (_, wanted) in objects.items()}


def test_objects_link_to_the_same_or_an_earlier_folder(objects):
    wrong = [
        f"{name} needs {other}"
        for name, others in links(objects).items()
        for other in others
        if floor(SOURCES / f"{other}.c") > floor(SOURCES / f"{name}.c")
    ]
    assert len(objects) > 30
    assert not wrong, wrong


def test_objects_link_without_circles(objects):
    assert circles(links(objects)) == []


def test_files_are_short():
    lengths = {str(p.relative_to(SOURCES)): len(p.read_text(encoding="utf-8").splitlines()) for p in files(".c", ".h")}
    long = {name: lines for name, lines in lengths.items() if lines > FILE_LINES}
    assert not long, f"expected at most {FILE_LINES} lines a file; received {long}"


def bodies(path):
    """(name, line, lines of the body) of each function: a brace at the end of a line that starts a definition."""
    lines = code(path).splitlines()
    start, depth, name, head = None, 0, None, ""
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        if depth == 0:
            head = line if re.match(r"\w", line) else head + line
        before = depth
        depth += line.count("{") - line.count("}")
        if before == 0 and depth > 0:
            called = re.search(r"(\w+)\s*\([^{]*\)\s*\{", head)
            start, name = (number, called[1]) if called and "=" not in head.split("(")[0] else (None, None)
        elif before > 0 and depth == 0 and start is not None:
            yield name, start, number - start - 1


def test_functions_are_short():
    long = [
        f"{path.relative_to(SOURCES)}:{line} {name} has {length} lines"
        for path in files(".c", ".h")
        for name, line, length in bodies(path)
        if length > BODY_LINES
    ]
    assert sum(1 for path in files(".c") for _ in bodies(path)) > 500
    assert not long, f"expected at most {BODY_LINES} lines a body; received {long}"


def test_the_trainer_is_known_to_train_and_file_alone():
    wrong = [
        str(path.relative_to(SOURCES))
        for path in files(".c", ".h")
        if path.relative_to(SOURCES).parts[0] not in ("train", "file") and "struct pynn_trainer" in code(path)
    ]
    assert not wrong, wrong
