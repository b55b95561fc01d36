"""The binary interface of the C library, frozen in csrc/tests/abi.txt: symbols, sizes and offsets of public structs.

To change it on purpose:

    python tests/test_embedding_abi.py

writes the file anew. What was only added keeps the soname: symbols, and fields behind the last one of a struct that
begins with its size. Anything else breaks programs compiled before: raise `soversion` in csrc/CMakeLists.txt and the
second number of the version in pynn.h.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEADER = ROOT / "csrc/include/pynn.h"
FROZEN = ROOT / "csrc/tests/abi.txt"

pytestmark = [
    pytest.mark.skipif(not FROZEN.exists(), reason="needs the sources"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
    pytest.mark.skipif(sys.maxsize < 2**32 or sys.platform == "win32", reason="frozen for 64-bit Unix"),
]


def code():
    return re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.S)


def symbols():
    """What pynn.h declares; tests/test_embedding.py compares it with what the libraries give out."""
    return sorted(re.findall(r"PYNN_API [^;]*?\b(pynn_\w+)\(", code()))


def structs():
    """Fields of every public struct, in order."""
    found = {}
    for body, name in re.findall(r"typedef struct pynn_\w+ \{(.*?)\n\} (pynn_\w+);", code(), re.S):
        fields = []
        for declaration in body.split(";"):
            pointer = re.search(r"\(\*(\w+)\)\(", declaration)
            if pointer is not None:
                fields.append(pointer[1])
            elif declaration.strip():
                fields += [re.search(r"(\w+)\s*(\[.*)?$", part.strip())[1] for part in declaration.split(",")]
        found[name] = fields
    return found


def measured(folder):
    """The lines of abi.txt."""
    lines = [f"symbol {name}" for name in symbols()]
    prints = []
    for name, fields in sorted(structs().items()):
        prints.append(f'  printf("struct {name} %zu\\n", sizeof({name}));')
        prints += [f'  printf("  {field} %zu\\n", offsetof({name}, {field}));' for field in fields]
    enumerators = re.findall(r"^  (PYNN_\w+) = -?\d+", code(), re.M) + re.findall(r"X\((PYNN_\w+),", code())
    constants = re.findall(r"^#\s*define (PYNN_(?!API|VERSION|H\b)\w+) [\d(]", code(), re.M)
    for name in sorted({*enumerators, *constants}):
        prints.append(f'  printf("value {name} %lld\\n", (long long){name});')
    program = "\n".join(
        ["#include <pynn.h>", "#include <stdio.h>", "int main(void) {", *prints, "  return 0;", "}", ""]
    )
    (folder / "abi.c").write_text(program)
    subprocess.run(["cc", "-std=c11", f"-I{HEADER.parent}", "abi.c", "-o", "abi"], check=True, cwd=folder)
    out = subprocess.run(["./abi"], check=True, cwd=folder, capture_output=True, text=True).stdout
    return lines + out.splitlines()


def test_the_binary_interface_is_the_frozen_one(tmp_path):
    found, frozen = measured(tmp_path), FROZEN.read_text().splitlines()
    assert found == frozen, (
        f"pynn.h changed its binary interface; what to do stands at the top of {Path(__file__).name}"
    )


def test_every_struct_of_options_begins_with_its_size():
    options = {name: fields for name, fields in structs().items() if "struct_size" in fields}
    assert {"pynn_context_options", "pynn_model_options", "pynn_trainer_options", "pynn_layer", "pynn_blas"} <= set(
        options
    )
    for name, fields in options.items():
        assert fields[0] == "struct_size", name
    for name in structs():
        assert not name.endswith("_options") or name in options, name


def test_the_soname_is_that_of_the_frozen_interface():
    cmake = (ROOT / "csrc/CMakeLists.txt").read_text()
    assert re.search(r"^set\(soversion (\d+)\)", cmake, re.M)
    numbers = dict(re.findall(r"#define PYNN_VERSION_(MAJOR|MINOR|PATCH) (\d+)", HEADER.read_text()))
    version = re.search(r'#define PYNN_VERSION "(.+)"', HEADER.read_text())[1]
    assert version == f"{numbers['MAJOR']}.{numbers['MINOR']}.{numbers['PATCH']}"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        FROZEN.write_text("\n".join(measured(Path(folder))) + "\n")
