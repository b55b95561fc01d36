"""Builds `pynn._core`: the C library in csrc/ and the Cython module that exposes it, in one extension.

The kernels are compiled once for each processor target, with that target's flags, and chosen between at run time;
everything else once. All other metadata is in pyproject.toml.

The module uses the stable ABI of Python 3.11, so one wheel for each platform serves every later version; it costs 0.2
microseconds a call. Free-threaded builds have no stable ABI and get a module of their own.
"""

import os
import platform
import re
import sys
import sysconfig
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

COMMON = ["-std=c11", "-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
COMMON += ["-fvisibility=hidden"]
WARNINGS = ["-Wall", "-Wextra"]
TARGETS = {"baseline": []}
if platform.machine().lower() in ("x86_64", "amd64") and sys.platform != "win32":
    TARGETS["avx2"] = ["-mavx2", "-mfma"]
    TARGETS["avx512"] = [f"-mavx512{part}" for part in ("f", "bw", "dq", "vl")] + ["-mfma", "-mprefer-vector-width=512"]
KERNELS = ["csrc/src/kernels_f32.c", "csrc/src/kernels_f64.c"]
HEADERS = sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/src/**/*.template.c", recursive=True))
STABLE_ABI = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
DEFINES = [("_GNU_SOURCE", "1")] + [("PYNN_HAVE_X86_TARGETS", "1")] * ("avx2" in TARGETS)


class BuildWithTargets(build_ext):
    """Compiles the library's files, and the kernels once for each target, before the module that links them."""

    def build_extension(self, ext: Extension) -> None:
        sources = sorted(s for s in glob("csrc/src/*.c") if s not in KERNELS and not s.endswith(".template.c"))
        objects = self.compile_c("library", sources, [])
        for target, flags in TARGETS.items():
            objects += self.compile_c(f"kernels-{target}", KERNELS, flags)
        ext.extra_objects = objects
        super().build_extension(ext)

    def compile_c(self, name: str, sources: list[str], flags: list[str]) -> list[str]:
        """Objects of `sources` in a directory of their own; those newer than all they depend on are kept."""
        folder = Path(self.build_temp) / name
        newest_header = max(map(os.path.getmtime, [*HEADERS, __file__]))
        objects = [str(folder / Path(source).with_suffix(".o")) for source in sources]
        for source, target in zip(sources, objects, strict=True):
            inputs = max(os.path.getmtime(source), newest_header)
            if self.force or not os.path.exists(target) or os.path.getmtime(target) < inputs:
                self.compiler.compile(
                    [source],
                    output_dir=str(folder),
                    macros=DEFINES,
                    include_dirs=["csrc/include", "csrc/src"],
                    extra_postargs=COMMON + WARNINGS + flags,
                )
        return objects


def version() -> str:
    """The version's single source is the public header."""
    return re.search(r'#define PYNN_VERSION "(.+)"', Path("csrc/include/pynn.h").read_text())[1]  # type: ignore[index]


core = Extension(
    "pynn._core",
    ["pynn/_core.pyx"],
    include_dirs=["csrc/include"],
    depends=[*HEADERS, *glob("csrc/src/*.c"), "pynn/_core.pxd", "pynn/libpynn.pxd"],
    define_macros=[("Py_LIMITED_API", "0x030B0000")] * STABLE_ABI,
    py_limited_api=STABLE_ABI,
    extra_compile_args=["-O2", "-g0", "-fvisibility=hidden"],
    extra_link_args=["-pthread"],
    libraries=["m"],
)

setup(
    version=version(),
    ext_modules=[core],
    cmdclass={"build_ext": BuildWithTargets},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
