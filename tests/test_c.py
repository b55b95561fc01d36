"""The C library on its own: built by CMake, tested by CTest."""

import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).parent.parent / "csrc"


@pytest.mark.skipif(not (shutil.which("cmake") and (CSRC / "CMakeLists.txt").exists()), reason="needs cmake and csrc")
def test_the_c_tests_pass(tmp_path):
    for command in (
        ["cmake", "-S", str(CSRC), "-B", str(tmp_path), "-DCMAKE_BUILD_TYPE=Release"],
        ["cmake", "--build", str(tmp_path), "--parallel", "2"],
        ["ctest", "--test-dir", str(tmp_path), "--output-on-failure", "--no-tests=error"],
    ):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
