"""The house: every module stands on a floor and imports lower ones only, nothing is too long, few know the core.

Imports of every kind count: at the top of a file, inside functions and under TYPE_CHECKING.
"""

import ast
import importlib.util
from pathlib import Path

import pytest

import pynn

PACKAGE = Path(pynn.__file__).parent

# From the ground up. A name ends in ".*" for all modules of a folder that no other floor names. Modules of one folder
# on one floor may import each other, but not in a circle.
FLOORS = [
    {"errors", "checks"},
    {"names", "native"},
    {"_core"},
    {"specs", "embedding"},
    {"runtime"},
    {"blas", "schedules", "activations", "initializers", "regularizers", "constraints", "losses", "lbfgs", "plots.*"},
    {"optimizers", "metrics.*", "report.*"},
    {"arrays", "callbacks.*", "layers.*", "data.*", "datasets.*"},
    {"network.*"},
    {"training.learner"},
    {"diagnosis.*"},
    {"training.*", "files.*"},
    {"model"},
    {"files.load", "files.foreign", "files.from_onnx", "tools.*", "sklearn.*"},
    {"cli.*"},
    {"__main__", "__init__"},
]
CORE = {
    "__init__", "arrays", "blas", "cli.doctor", "cli.main", "diagnosis.trials", "files.export_c.header",
    "files.export_c.program", "model",
    "network.adapt", "network.fills", "network.network", "network.precision", "runtime", "schedules", "specs",
    "training.checkpoint", "training.learner",
}  # fmt: skip

CALLS, CHANGES = 250, 148  # of one fit of one step; to come down to 150 and 40


def modules():
    """Path of each module by name, without pynn's own."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


MODULES = modules()
EVERY = pytest.mark.parametrize("name", MODULES)


def floor(name):
    """The floor of a module; None: it stands on none."""
    for i, names in enumerate(FLOORS):
        if name in names:
            return i
    folder = name
    while folder:
        for i, names in enumerate(FLOORS):
            if f"{folder}.*" in names:
                return i
        folder = folder.rpartition(".")[0]
    return None


def imports(name):
    """Modules of pynn that a module imports in any way."""
    path = MODULES[name]
    here = name if path.name == "__init__.py" else name.rpartition(".")[0]
    here = "" if name == "__init__" else here
    known = {*MODULES, "_core"}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = here.split(".") if here else []
        base = base[: len(base) - node.level + 1]
        target = ".".join([*base, *(node.module.split(".") if node.module else [])])
        for alias in node.names:
            inner = f"{target}.{alias.name}".lstrip(".")
            found.add(inner if inner in known else target)
    return {other for other in found if other and other != name}


@EVERY
def test_every_module_stands_on_a_floor(name):
    assert floor(name) is not None, f"{name} stands on no floor: name it in FLOORS of {__file__}"


@EVERY
def test_imports_point_down(name):
    mine = floor(name)
    for other in imports(name):
        below = floor(other) < mine or (floor(other) == mine and name.split(".")[0] == other.split(".")[0])
        same = floor(other) == mine and mine <= 7  # modules of the lower floors are single files: equals may meet
        assert below or same, f"{name} imports {other}, which stands higher"


def circles(graph):
    """The strongly connected parts of a graph with more than one node."""
    reached = {}

    def reach(start):
        seen, waiting = set(), [start]
        while waiting:
            for other in graph.get(waiting.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return seen

    for name in graph:
        reached[name] = reach(name)
    return {
        frozenset(o for o in reached[name] if name in reached.get(o, ())) for name in graph if name in reached[name]
    }


def test_no_circle():
    packages = {name for name in MODULES if MODULES[name].name == "__init__.py"}
    graph = {name: imports(name) - packages for name in MODULES}
    graph = {name: others for name, others in graph.items() if name not in packages}
    assert not circles(graph)


def test_few_modules_know_the_core():
    using = {name for name in MODULES if "_core" in imports(name)}
    assert using == CORE


@EVERY
def test_no_file_is_too_long(name):
    lines = len(MODULES[name].read_text().splitlines())
    assert lines <= 500, f"{name} has {lines} lines"


def body(function):
    """Lines of a function without its signature and documentation."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    rest = function.body[1:] if documented else function.body
    return rest[-1].end_lineno - rest[0].lineno + 1 if rest else 0


@EVERY
def test_no_body_is_too_long(name):
    tree = ast.parse(MODULES[name].read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert body(node) <= 40, f"{name}.{node.name} has {body(node)} lines"


def test_one_fit_of_one_step_walks_no_further():
    script = PACKAGE.parent / "benchmarks" / "walk.py"
    if not script.exists():
        pytest.skip("the benchmarks are not there")
    spec = importlib.util.spec_from_file_location("walk", script)
    walk = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(walk)
    calls = walk.walk()
    assert len(calls) <= CALLS
    assert walk.changes(calls) <= CHANGES
